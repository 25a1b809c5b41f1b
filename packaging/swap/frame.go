//go:build linux

package swap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Servers make what serves a handler on the network and on the local socket,
// and know how a request over the local socket is told from others.
type Servers struct {
	Server func(http.Handler) *http.Server
	// Public makes of the public socket what is served, such as one that speaks TLS.
	Public  func(net.Listener) net.Listener
	Local   func(*http.Request) (who string, local bool)
	AsLocal func(r *http.Request, who string) *http.Request
	// AsRemote makes a request over any socket one that came over the network.
	AsRemote func(*http.Request) *http.Request
	// Lasting reports whether the work for a request may take longer than a hand-over has
	// time: such requests wait for the next process while paper comes to rest.
	Lasting func(*http.Request) bool
}

// A Frame is what a process has all its life: sockets, connections, the gate.
type Frame struct {
	log     *slog.Logger
	public  *Listener
	local   *Listener
	servers Servers
	start   Start
	gate    *Gate
	conns   conns

	rope   *rope        // to the process that started this one; nil for the first
	steps  bool         // it listens to the steps of a start
	passed net.Listener // for requests that another process passes on
	closed time.Time    // when requests began to wait last
	before string       // where the process before takes requests that are passed on

	mu      sync.Mutex
	program Program // nil while another process has it
	child   *child  // that process, during its trial
	main    bool    // this process was committed
	swaps   chan func(context.Context) bool
	leaving []*child // processes that have handed back and end with their connections
}

// NewFrame returns the frame of a process that nobody has handed over to.
func NewFrame(public, local *Listener, servers Servers, start Start, log *slog.Logger) (*Frame, error) {
	l, err := listenOnward()
	if err != nil {
		return nil, err
	}
	g := NewGate()
	g.lasting = servers.Lasting
	return &Frame{log: log, public: public, local: local, passed: l, servers: servers, start: start, gate: g,
		swaps: make(chan func(context.Context) bool)}, nil
}

// Gate is the frame's gate.
func (f *Frame) Gate() *Gate { return f.gate }

// Program is what this process runs, nil while another does.
func (f *Frame) Program() Program {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.program
}

func (f *Frame) setProgram(p Program) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.program = p
}

// begin starts a program and lets requests in.
func (f *Frame) begin(ctx context.Context, b Baton) error {
	p, err := f.start(ctx, b)
	if err != nil {
		return err
	}
	f.setProgram(p)
	f.gate.Open(p.Handlers())
	return errors.Join(f.public.Resume(), f.local.Resume())
}

// quietTries is how often the gate is closed for quietTime until nobody is
// inside; between the tries all go on for pauseTime.
const (
	quietTries = 240
	quietTime  = 100 * time.Millisecond
	pauseTime  = 500 * time.Millisecond
)

// end ends the program at a moment when no request is under way. Requests wait
// then. After ErrQuiet it goes on as if nothing had been.
func (f *Frame) end(ctx context.Context) (Baton, error) {
	if !f.hush(ctx, quietTries) {
		return nil, ErrQuiet
	}
	f.gate.Narrow() // what follows may take as long as a sheet, an upload or an export much longer
	f.Program().Yield(ctx)
	if !f.hush(ctx, quietTries/10) { // nobody can scan meanwhile
		f.gate.Close(0) // the others wait
		f.log.Warn("a long request that has just begun is broken off")
	}
	if err := errors.Join(f.public.Pause(), f.local.Pause()); err != nil {
		f.log.Warn("a socket cannot be paused; its connections are passed on", "err", err)
	}
	f.closed = time.Now()
	b, err := f.Program().Stop()
	f.setProgram(nil)
	return b, err
}

// hush closes the gate when nobody is inside. If that does not happen in so many
// tries, or in the time of ctx, it is open.
func (f *Frame) hush(ctx context.Context, tries int) bool {
	for try := 1; !f.gate.Close(quietTime); try++ {
		f.gate.Reopen()
		if try == 1 {
			f.log.Info("the hand-over waits for requests under way")
		}
		if try == tries {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pauseTime):
		}
	}
	return true
}

// servers is how many serve starts.
const servers = 3

// serve serves the sockets until stop is called, which lets requests end.
func (f *Frame) serve(failed chan<- error) (stop func()) {
	type served struct {
		*http.Server
		l net.Listener
	}
	here, there := f.gate.Public(), f.gate.Local()
	list := []served{
		{f.servers.Server(here), f.servers.Public(f.public)},
		{f.servers.Server(there), f.local},
		{f.servers.Server(arrive(here, there, f.servers)), ownListener{f.passed}},
	}
	var wg sync.WaitGroup
	for _, x := range list {
		x.ConnState = f.conns.count
		wg.Go(func() {
			if err := x.Serve(x.l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", x.l.Addr(), err)
			}
		})
	}
	return func() {
		var stopping sync.WaitGroup
		for _, x := range list {
			stopping.Go(func() { shutDown(x.Server) })
		}
		stopping.Wait()
		wg.Wait()
	}
}

// drainTime is how long a stopping process lets requests end.
const drainTime = 5 * time.Second

func shutDown(s *http.Server) {
	ctx, stop := context.WithTimeout(context.Background(), drainTime)
	defer stop()
	if err := s.Shutdown(ctx); err != nil {
		s.Close() // a slow download does not hold up the stop
	}
}

// Run serves p until ctx ends, or until another process has taken over for good;
// handedOver tells these apart. ready is called when requests are answered. The
// frame ends the program.
func (f *Frame) Run(ctx context.Context, p Program, ready func()) (handedOver bool, err error) {
	f.setProgram(p)
	f.gate.Open(p.Handlers())
	failed := make(chan error, servers)
	stop := f.serve(failed)
	ready()
	handedOver, err = f.watch(ctx, failed)
	return f.finish(ctx, stop, handedOver, err)
}

// watch works off swaps until there is nothing left to do here.
func (f *Frame) watch(ctx context.Context, failed <-chan error) (handedOver bool, err error) {
	for {
		var done <-chan error
		if p := f.Program(); p != nil {
			done = p.Done()
		}
		select {
		case <-ctx.Done():
			return false, nil
		case err := <-failed:
			return false, err
		case err := <-done:
			return false, err
		case swap := <-f.swaps:
			if swap(ctx) {
				return true, nil
			}
			if f.Program() == nil && ctx.Err() == nil {
				return false, errors.New("the version before could not go on")
			}
		}
	}
}

// lingerTime bounds how long a process stays for its last connections: longer
// than a connection may be idle, and long enough for a large download.
const lingerTime = 15 * time.Minute

// finish ends the process's part.
func (f *Frame) finish(ctx context.Context, stop func(), handedOver bool, err error) (bool, error) {
	if handedOver {
		ctx, cancel := context.WithTimeout(ctx, lingerTime)
		defer cancel()
		f.conns.wait(ctx)
		if f.rope != nil && !f.OnTrial() {
			f.awaitBefore(ctx)
		}
		for _, c := range f.leaving {
			select {
			case <-c.gone:
			case <-ctx.Done():
			}
		}
		stop()
		return true, err
	}
	stop()
	if p := f.Program(); p != nil {
		_, serr := p.Stop()
		err = errors.Join(err, serr)
		f.setProgram(nil)
	}
	for _, c := range f.leaving {
		_ = c.end(nil)
	}
	return false, err
}

// awaitBefore waits for the end of the process before this one, which may still
// pass requests on to it.
func (f *Frame) awaitBefore(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = f.rope.close() })
	defer stop()
	_, _ = f.rope.receive(0) // the rope breaks
}
