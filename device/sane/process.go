package sane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"docscan/device/confine"
)

// errDead is in the chain of every error after which a helper is no more.
var errDead = errors.New("the process of the SANE backend has ended")

// launcher starts helpers. The kernel kills a helper when the thread that started
// it ends (PR_SET_PDEATHSIG means the thread, not the process), so all are
// started by one thread that lives as long as the launcher.
type launcher struct {
	exe   string
	flags helperFlags
	conf  string // SANE_CONFIG_DIR without the part that is one helper's own
	jobs  chan func()
	ended sync.WaitGroup
}

func newLauncher(exe string, flags helperFlags, conf string) *launcher {
	l := &launcher{exe: exe, flags: flags, conf: conf, jobs: make(chan func())}
	l.ended.Go(func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for f := range l.jobs {
			f()
		}
	})
	return l
}

// close ends the launcher, and with it every helper that still runs.
func (l *launcher) close() {
	close(l.jobs)
	l.ended.Wait()
}

// startTimeout is for the start of a process on a slow card.
const startTimeout = 30 * time.Second

// start starts a helper that looks for SANE's settings in conf first, and waits
// until it has given up its rights.
func (l *launcher) start(ctx context.Context, conf string) (*process, *confine.Rights, error) {
	var p *process
	var err error
	started := make(chan struct{})
	l.jobs <- func() {
		defer close(started)
		p, err = l.startProcess(conf)
	}
	<-started
	if err != nil {
		return nil, nil, fmt.Errorf("start a helper: %w", err)
	}
	a, _, err := p.call(ctx, startTimeout, nil)
	if err == nil && a.Rights == nil {
		err = fmt.Errorf("%w: it does not say what it may do", errFrame)
	}
	if err != nil {
		p.stop(0)
		return nil, nil, fmt.Errorf("start a helper: %w", err)
	}
	return p, a.Rights, nil
}

func (l *launcher) startProcess(conf string) (*process, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer theirOut.Close()

	p := &process{in: in, out: out, said: new(confine.Tail), turn: make(chan struct{}, 1), ended: make(chan struct{}), buf: make([]byte, maxBody)}
	p.cmd = exec.Command(l.exe, append([]string{HelperCommand}, l.flags.args()...)...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirIn, theirOut, p.said
	p.cmd.Dir = "/"
	p.cmd.Env = []string{
		"LC_ALL=C", "PATH=/usr/bin:/bin",
		// Backends keep calibration data in the home folder.
		"HOME=" + l.flags.dir, "TMPDIR=" + l.flags.dir,
		// The colon at the end keeps SANE's own folders behind these.
		"SANE_CONFIG_DIR=" + conf + ":" + l.conf + ":",
		"GOMAXPROCS=1", "GOTRACEBACK=single",
		// Go's signals between its threads would cut the pauses short that
		// backends make.
		"GODEBUG=asyncpreemptoff=1",
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // an interrupt from the terminal is for the daemon alone; children go with it
		Pdeathsig: syscall.SIGKILL, // nothing survives a killed daemon
	}
	// A child of a backend may hold the standard error open.
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	go p.reap()
	return p, nil
}

// process is one helper as the daemon sees it. Its methods may be called from
// any goroutine; one call is made at a time.
type process struct {
	cmd  *exec.Cmd
	in   *os.File
	out  *os.File
	said *confine.Tail
	turn chan struct{} // full while a call is under way
	buf  []byte        // of the body of the last answer

	calls sync.WaitGroup
	ended chan struct{} // closed when the process is gone and its state is known
	mu    sync.Mutex
	why   error // set once it is dead
}

// reap waits for the end of the process and takes its children with it. Until it
// has been waited for, nothing else gets its number.
func (p *process) reap() {
	defer close(p.ended)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // fails if nothing is left
	p.cmd.Wait()                                // its error is in the state
	p.in.Close()
	p.out.Close()
}

// kill ends the process at once and waits for its end.
func (p *process) kill() {
	p.cmd.Process.Kill() // fails if it has ended
	<-p.ended
}

// stop lets the helper give its device back, for as long as grace, and ends it.
// No call must be begun after it.
func (p *process) stop(grace time.Duration) {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.ended:
	case p.turn <- struct{}{}: // kept: nobody calls any more
		p.die(errDead)
		p.in.Close()
		select {
		case <-p.ended:
		case <-t.C:
		}
	case <-t.C:
		p.die(errDead)
	}
	p.kill()
	p.calls.Wait()
}

// die notes why the process is of no more use, unless that is known already.
func (p *process) die(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why == nil {
		p.why = why
	}
}

// dead says why the process is of no more use; nil: it is.
func (p *process) dead() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why != nil {
		return p.why
	}
	select {
	case <-p.ended:
		return p.crashed()
	default:
		return nil
	}
}

// call sends r, if any, and waits for the answer. The helper has until timeout;
// after that it is killed. When ctx ends before, the answer is still waited for,
// in the background, as the helper cannot be interrupted; the next call comes
// after it. The body is good until the next call.
func (p *process) call(ctx context.Context, timeout time.Duration, r *request) (answer, []byte, error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return answer{}, nil, ctx.Err()
	case <-p.ended:
		return answer{}, nil, p.dead()
	}
	type result struct {
		a    answer
		body []byte
		err  error
	}
	done := make(chan result, 1)
	p.calls.Go(func() {
		defer func() { <-p.turn }()
		var res result
		res.body, res.err = p.exchange(timeout, r, &res.a)
		if res.err != nil {
			res.err = p.failed(res.err, timeout)
			p.die(res.err)
		}
		done <- res
	})
	select {
	case res := <-done:
		return res.a, res.body, res.err
	case <-ctx.Done():
		return answer{}, nil, ctx.Err()
	}
}

func (p *process) exchange(timeout time.Duration, r *request, a *answer) ([]byte, error) {
	if err := p.dead(); err != nil {
		return nil, err
	}
	end := time.Now().Add(timeout)
	if err := errors.Join(p.in.SetWriteDeadline(end), p.out.SetReadDeadline(end)); err != nil {
		return nil, err
	}
	if r != nil {
		if err := writeFrame(p.in, r, nil); err != nil {
			return nil, err
		}
	}
	body, err := readFrame(p.out, a, p.buf)
	if err != nil {
		return nil, err
	}
	return body, a.check()
}

// failed ends the process and says why it failed: err is what its user met.
func (p *process) failed(err error, timeout time.Duration) error {
	switch {
	case errors.Is(err, errDead):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.kill()
		return fmt.Errorf("%w: it said nothing for %v and was stopped%s", errDead, timeout, p.said.Note())
	case errors.Is(err, errFrame):
		p.kill()
		return fmt.Errorf("%w: %w%s", errDead, err, p.said.Note())
	}
	// It has closed its end, so it has died or is about to. Let it, because how
	// it ended says why.
	select {
	case <-p.ended:
	case <-time.After(3 * time.Second):
		p.kill()
	}
	return p.crashed()
}

// crashed says how the process ended.
func (p *process) crashed() error {
	return fmt.Errorf("%w: %v%s", errDead, p.cmd.ProcessState, p.said.Note())
}
