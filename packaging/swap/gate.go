//go:build linux

package swap

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// A Gate is what all requests pass. It lets them into a program of this process,
// lets them wait, or passes them on to another process.
type Gate struct {
	mu      sync.Mutex
	state   gateState
	narrow  bool                     // open: large bodies, and what lasting knows, wait
	lasting func(*http.Request) bool // whether the work for a request may take long; nil: for none
	public  http.Handler             // open
	local   http.Handler
	onward  http.Handler  // passing
	changed chan struct{} // closed when the state changes
	inside  int           // requests in the program
	quiet   chan struct{} // closed when nobody is inside; nil: nobody waits for it
}

type gateState int

const (
	closed gateState = iota // requests wait
	open
	passing
)

// NewGate returns a gate that is closed.
func NewGate() *Gate { return &Gate{changed: make(chan struct{})} }

// visitKey finds in a request's context what stands for it at the gate.
type visitKey struct{}

// visit is one request in the program.
type visit struct {
	gate *Gate
	once sync.Once
}

func (v *visit) leave() {
	v.once.Do(func() {
		g := v.gate
		g.mu.Lock()
		defer g.mu.Unlock()
		g.inside--
		if g.inside == 0 && g.quiet != nil {
			close(g.quiet)
			g.quiet = nil
		}
	})
}

// Leave says that the request of ctx needs nothing of the program any more but
// what it has open: a hand-over does not wait for it.
func Leave(ctx context.Context) {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		v.leave()
	}
}

// Public and Local are the handlers to serve.
func (g *Gate) Public() http.Handler { return g.handler(false) }

// Local is the handler for the local socket.
func (g *Gate) Local() http.Handler { return g.handler(true) }

// smallBody is how large a body may be that is read before its request is let
// in, so that a slow sender does not hold up a hand-over.
const smallBody = 64 << 10

func (g *Gate) handler(local bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		large := r.ContentLength != 0
		if 0 < r.ContentLength && r.ContentLength <= smallBody && r.Header.Get("Expect") == "" {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, "the body did not arrive", http.StatusBadRequest)
				return
			}
			r.Body, large = io.NopCloser(bytes.NewReader(b)), false
		}
		h, v := g.enter(r.Context(), local, large || g.lasting != nil && g.lasting(r))
		if h == nil {
			return // whoever asked has gone
		}
		if v != nil {
			defer v.leave()
			r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
		}
		h.ServeHTTP(w, r)
	})
}

// enter waits for the gate to let a request in or to pass it on.
func (g *Gate) enter(ctx context.Context, local, long bool) (http.Handler, *visit) {
	for {
		g.mu.Lock()
		state, changed := g.state, g.changed
		if state == open && g.narrow && long {
			state = closed
		}
		switch state {
		case open:
			defer g.mu.Unlock()
			g.inside++
			if local {
				return g.local, &visit{gate: g}
			}
			return g.public, &visit{gate: g}
		case passing:
			defer g.mu.Unlock()
			return g.onward, nil
		}
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

func (g *Gate) set(s gateState, do func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	do()
	g.state = s
	close(g.changed)
	g.changed = make(chan struct{})
}

// Open lets requests in.
func (g *Gate) Open(public, local http.Handler) {
	g.set(open, func() { g.public, g.local, g.narrow = public, local, false })
}

// Narrow undoes Close, but requests with large bodies, which may take long to
// arrive, and such as may take long to be answered wait on. That holds until Open or Pass.
func (g *Gate) Narrow() { g.set(open, func() { g.narrow = true }) }

// Pass passes requests on to h.
func (g *Gate) Pass(h http.Handler) { g.set(passing, func() { g.onward = h }) }

// Close lets requests wait, and waits itself for those inside, that long at
// most. It reports whether nobody is inside.
func (g *Gate) Close(within time.Duration) bool {
	var quiet chan struct{}
	g.set(closed, func() {
		if g.inside > 0 {
			quiet = make(chan struct{})
			g.quiet = quiet
		}
	})
	if quiet == nil {
		return true
	}
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-quiet:
		return true
	case <-t.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.quiet = nil
	return g.inside == 0
}

// Reopen undoes Close. A narrow gate is narrow again.
func (g *Gate) Reopen() { g.set(open, func() {}) }
