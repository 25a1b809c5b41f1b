package ocr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"docscan/device/confine"
)

// A process is one worker as the daemon sees it. It is used by one goroutine.
type process struct {
	cmd    *exec.Cmd
	in     *net.UnixConn // requests and open files
	out    *os.File      // frames
	stderr *confine.Tail
	data   []string // folders with language data
	steps  int      // requests so far
	dead   bool
}

// startProcess starts `exe worker`. It must be called on the launcher's thread.
func startProcess(exe string, flags workerFlags) (*process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "requests")
	defer theirs.Close()
	ours := os.NewFile(uintptr(pair[0]), "requests")
	conn, err := net.FileConn(ours)
	ours.Close() // FileConn has made a copy
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	out, answers, err := os.Pipe()
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	defer answers.Close()

	w := &process{in: conn.(*net.UnixConn), out: out, stderr: new(confine.Tail), data: flags.data}
	w.cmd = exec.Command(exe, append([]string{"worker"}, flags.args()...)...)
	w.cmd.Stdin = theirs
	w.cmd.Stdout = answers
	w.cmd.Stderr = w.stderr
	w.cmd.Dir = "/"
	w.cmd.Env = []string{
		"LC_ALL=C",
		// One thread each: more cost several times the processor for nothing, as
		// there is a worker for every core. libgomp reads it when it is loaded.
		"OMP_THREAD_LIMIT=1",
		// The C library keeps an arena for every thread otherwise.
		"MALLOC_ARENA_MAX=1",
		// Images go back to the system as soon as they are freed. Without a fixed
		// bound the C library soon keeps them in its heap, which then has holes.
		"MALLOC_MMAP_THRESHOLD_=262144",
		"GOMAXPROCS=1", // it does one thing at a time
		"GOTRACEBACK=single",
	}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // an interrupt from the terminal is for the daemon alone
		Pdeathsig: syscall.SIGKILL, // nothing survives a killed daemon
	}
	// A worker has no children that could hold its standard error open.
	w.cmd.WaitDelay = 5 * time.Second
	if err := w.cmd.Start(); err != nil {
		conn.Close()
		out.Close()
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	return w, nil
}

// do sends t to the worker and waits for the answer. After an error other than
// that of opening files the worker is dead.
func (w *process) do(ctx context.Context, timeout time.Duration, t *task) (answer, error) {
	w.steps++
	w.stderr.Reset()
	files, err := t.open()
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return answer{}, err
	}
	packet, err := json.Marshal(t.req)
	if err != nil {
		return answer{}, fmt.Errorf("ask a worker: %w", err)
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	if _, _, err := w.in.WriteMsgUnix(packet, unix.UnixRights(fds...), nil); err != nil {
		return answer{}, w.failed(ctx, err)
	}
	var a answer
	err = w.read(ctx, timeout, &a)
	return a, err
}

// open opens the files of t in the order of the file constants.
func (t *task) open() ([]*os.File, error) {
	f, err := os.Open(t.image)
	if err != nil {
		return nil, fmt.Errorf("open the image: %w", err)
	}
	files := []*os.File{f}
	for _, path := range t.out {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return files, fmt.Errorf("make a file for a worker: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}

// read reads a frame into v. The worker is dead when that does not succeed.
func (w *process) read(ctx context.Context, timeout time.Duration, v any) error {
	// A deadline in the past ends a read that has begun.
	defer context.AfterFunc(ctx, func() { w.out.SetReadDeadline(time.Unix(1, 0)) })()
	if err := w.out.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return w.failed(ctx, err)
	}
	if ctx.Err() != nil { // ended before the deadline was set
		return w.failed(ctx, ctx.Err())
	}
	if err := readFrame(w.out, v); err != nil {
		return w.failed(ctx, err)
	}
	return nil
}

// failed ends the worker and says why it failed: err is what its user met.
func (w *process) failed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		w.kill()
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.kill()
		return fmt.Errorf("%w: the worker was stopped%s", ErrTimeout, w.stderr.Note())
	case errors.Is(err, errAnswer):
		w.kill()
		return fmt.Errorf("%w: %w%s", ErrCrashed, err, w.stderr.Note())
	}
	// It has closed its end, so it has died or is about to. Let it, because how
	// it ended says why.
	const moment = 3 * time.Second
	w.in.Close()
	if err := w.out.SetReadDeadline(time.Now().Add(moment)); err == nil {
		io.Copy(io.Discard, w.out) // until it is gone, or the deadline
	}
	w.kill()
	state := w.cmd.ProcessState
	status, ok := state.Sys().(syscall.WaitStatus)
	// Nobody here has sent SIGKILL before its end, so the kernel did, for want of
	// memory.
	if ok && status.Signaled() && status.Signal() == syscall.SIGKILL || w.stderr.OutOfMemory() {
		return fmt.Errorf("%w: %v%s", ErrMemory, state, w.stderr.Note())
	}
	return fmt.Errorf("%w: %v%s", ErrCrashed, state, w.stderr.Note())
}

// kill ends the worker at once; it holds nothing that could be lost. If it has
// ended already, its state stays what it was. Killing a nil or ended worker does
// nothing.
func (w *process) kill() {
	if w == nil || w.dead {
		return
	}
	w.dead = true
	w.cmd.Process.Kill() // fails if it has ended
	w.in.Close()
	w.out.Close()
	w.cmd.Wait() // its error is in the state
}

// resident gives the worker's memory in bytes, as the kernel counts it.
func (w *process) resident() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", w.cmd.Process.Pid))
	if err != nil {
		return 0 // it is gone, which the next step will find
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
