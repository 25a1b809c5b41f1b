package sane

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// HelperCommand is the argument with which the daemon's own binary is a helper.
const HelperCommand = "sane-helper"

// helperFlags are the arguments of a helper.
type helperFlags struct {
	library  string   // file name of libsane
	dir      string   // it may write here
	readable []string // it may read these folders, besides those of the system
	memoryMB int      // it may take this much for its work
}

func (f helperFlags) args() []string {
	return []string{
		"-library", f.library, "-dir", f.dir, "-readable", strings.Join(f.readable, ":"), "-memory-mb", strconv.Itoa(f.memoryMB),
	}
}

func parseHelperFlags(args []string) (helperFlags, error) {
	var f helperFlags
	set := flag.NewFlagSet(HelperCommand, flag.ContinueOnError)
	set.StringVar(&f.library, "library", libraryFile, "file name of libsane")
	set.StringVar(&f.dir, "dir", "", "folder the helper may write to")
	readable := set.String("readable", "", "folders with settings, separated by colons")
	set.IntVar(&f.memoryMB, "memory-mb", DefaultConfig().MemoryMB, "memory the helper may use for its work")
	err := set.Parse(args)
	for _, dir := range strings.Split(*readable, ":") {
		if dir != "" {
			f.readable = append(f.readable, dir)
		}
	}
	return f, err
}

// helper is the inside of a helper process. It has at most one device open.
type helper struct {
	lib     *library // nil before the first request
	missing string   // why there is no library
	ready   bool     // sane_init has succeeded
	open    bool
	h       handle
	started bool // sane_start without sane_cancel after it
	buf     []byte
}

// HelperMain is the main function of a helper process, with the arguments after
// [HelperCommand]. It works off requests until its standard input ends, and
// returns the exit status.
func HelperMain(args []string) int {
	runtime.LockOSThread() // the backends see one thread only
	flags, err := parseHelperFlags(args)
	if err != nil {
		return 2
	}
	in, out, err := takePipes()
	if err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		return 1
	}
	// Backends have threads that write to pipes which they may have closed before.
	signal.Ignore(unix.SIGPIPE)
	debug.SetGCPercent(50) // what is here is small and short-lived
	if err := writeFrame(out, answer{Rights: giveUp(flags)}, nil); err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		return 1
	}
	h := &helper{buf: make([]byte, maxBody)}
	defer h.end()
	for {
		var r request
		_, err := readFrame(in, &r, nil)
		if err == io.EOF {
			return 0
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "helper: wait for a request (helpers are started by docscand itself):", err)
			return 1
		}
		a, body := h.do(flags, &r)
		if err := writeFrame(out, a, body); err != nil {
			fmt.Fprintln(os.Stderr, "helper:", err)
			return 1
		}
	}
}

// takePipes gives the pipes of requests and answers, and puts nothing and the
// standard error in their places: what a backend reads or prints must not spoil
// them, and its own children must not hold them open.
func takePipes() (in, out *os.File, err error) {
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer unix.Close(null)
	var files [2]*os.File
	for i, put := range []int{null, unix.Stderr} {
		fd, err := unix.FcntlInt(uintptr(i), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, nil, fmt.Errorf("take standard file %d: %w", i, err)
		}
		if err := unix.Dup3(put, i, 0); err != nil {
			return nil, nil, fmt.Errorf("replace standard file %d: %w", i, err)
		}
		files[i] = os.NewFile(uintptr(fd), [...]string{"requests", "answers"}[i])
	}
	return files[0], files[1], nil
}

// begin loads libsane, once. It says what is wrong with it, or what came of
// sane_init.
func (h *helper) begin(flags helperFlags) (missing string, st status) {
	if h.lib == nil && h.missing == "" {
		lib, err := load(flags.library)
		if err != nil {
			h.missing = err.Error()
		}
		h.lib = lib
	}
	if h.missing != "" {
		return h.missing, statusGood
	}
	if !h.ready {
		var version int32
		if st := status(h.lib.init(&version, 0)); st != statusGood {
			return "", st
		}
		if major := version >> 24; major != 1 {
			return fmt.Sprintf("%s is of version %d of the SANE standard, not 1", flags.library, major), statusGood
		}
		h.ready = true
	}
	return "", statusGood
}

// do does one request.
func (h *helper) do(flags helperFlags, r *request) (a answer, body []byte) {
	if a.Missing, a.Status = h.begin(flags); a.Missing != "" || a.Status != statusGood {
		return a, nil
	}
	if r.Op != opList && r.Op != opOpen && !h.open {
		a.Status = statusInval
		return a, nil
	}
	switch r.Op {
	case opList:
		a.Devices, a.Status = h.lib.devices()
	case opOpen:
		a.Status = h.openDevice(r.Name)
		if a.Status == statusGood {
			a.Options, a.Status = h.lib.options(h.h)
		}
	case opOptions:
		a.Options, a.Status = h.lib.options(h.h)
	case opSet:
		a.Options, a.Status = h.set(r)
	case opGet:
		a.Values, a.Status = h.get(r)
	case opStart:
		a.Parameters, a.Status = h.start()
	case opRead:
		body, a.Status = h.read()
	case opCancel:
		h.lib.cancel(h.h)
		h.started = false
	default:
		a.Status = statusInval
	}
	return a, body
}

func (h *helper) openDevice(name string) status {
	if h.open {
		return statusInval
	}
	st := status(h.lib.open(&append([]byte(name), 0)[0], &h.h))
	h.open = st == statusGood
	return st
}

// set sets an option. If it has become anything but what was asked for, it gives
// all options anew.
func (h *helper) set(r *request) ([]option, status) {
	d := h.lib.option(h.h, r.Option)
	if d == nil {
		return nil, statusInval
	}
	info, st := h.lib.set(h.h, d, r.Option, r.Value)
	if st != statusGood || info&(infoInexact|infoReloadOptions) == 0 {
		return nil, st
	}
	return h.lib.options(h.h)
}

// get reads options. One that has no value at the moment is 0.
func (h *helper) get(r *request) ([]value, status) {
	if r.Option != 0 {
		d := h.lib.option(h.h, r.Option)
		if d == nil {
			return nil, statusInval
		}
		if _, st := h.lib.set(h.h, d, r.Option, value{}); st != statusGood {
			return nil, st
		}
	}
	if len(r.Indices) > maxOptions {
		return nil, statusInval
	}
	values := make([]value, 0, len(r.Indices))
	for _, i := range r.Indices {
		var v value
		st := statusInval
		if d := h.lib.option(h.h, i); d != nil {
			v, st = h.lib.get(h.h, d, i)
		}
		if st != statusGood && st != statusInval && st != statusUnsupported {
			return nil, st
		}
		values = append(values, v)
	}
	return values, statusGood
}

func (h *helper) start() (*parameters, status) {
	h.started = true // also if it fails: only sane_cancel makes sure
	if st := status(h.lib.start(h.h)); st != statusGood {
		return nil, st
	}
	var p cParameters
	if st := status(h.lib.getParameters(h.h, &p)); st != statusGood {
		return nil, st
	}
	return &parameters{
		Format: frameFormat(p.format), Last: p.last != 0,
		Bytes: p.bytesPerLine, Pixels: p.pixelsPerLine, Lines: p.lines, Depth: p.depth,
	}, statusGood
}

// How long a helper gathers bytes before it answers: a cancel waits for no
// longer than that and one sane_read.
const gatherTime = 200 * time.Millisecond

// read gathers what backends give in small pieces. What came before an error is
// given with it.
func (h *helper) read() ([]byte, status) {
	n := 0
	for begun := time.Now(); n < len(h.buf) && time.Since(begun) < gatherTime; {
		var got int32
		st := status(h.lib.read(h.h, &h.buf[n], int32(len(h.buf)-n), &got))
		if st == statusGood {
			if got < 0 || int(got) > len(h.buf)-n {
				return nil, statusInval // and memory that is no longer to be trusted
			}
			n += int(got)
		}
		if st != statusGood {
			return h.buf[:n], st
		}
		if got == 0 {
			time.Sleep(5 * time.Millisecond) // nothing at the moment
		}
	}
	return h.buf[:n], statusGood
}

// end gives the device back. A backend that hangs here is killed with the
// process.
func (h *helper) end() {
	if !h.ready {
		return
	}
	if h.open {
		if h.started {
			h.lib.cancel(h.h)
		}
		h.lib.close(h.h)
	}
	h.lib.exit()
}

// errMissing says that there is no libsane here.
var errMissing = errors.New("libsane cannot be used")
