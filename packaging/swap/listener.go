//go:build linux

package swap

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// deadliner is a listener whose Accept can be interrupted: TCP and unix ones.
type deadliner interface {
	net.Listener
	SetDeadline(time.Time) error
	syscall.Conn
}

// A Listener can stop to accept and begin again. While it is stopped
// connections wait in the kernel's queue, for whichever process accepts next.
type Listener struct {
	deadliner
	mu      sync.Mutex
	paused  bool
	closed  bool
	changed *sync.Cond
}

// NewListener wraps a TCP or unix listener.
func NewListener(l net.Listener) (*Listener, error) {
	d, ok := l.(deadliner)
	if !ok {
		return nil, errors.New("this kind of socket cannot be handed over")
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // another process may still listen there
	}
	p := &Listener{deadliner: d}
	p.changed = sync.NewCond(&p.mu)
	return p, nil
}

// Accept waits for a connection, and while the listener is paused for its end.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		for l.paused && !l.closed {
			l.changed.Wait()
		}
		l.mu.Unlock()
		c, err := l.deadliner.Accept()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
	}
}

// Pause stops to accept. A listener that was received is paused.
func (l *Listener) Pause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = true
	return l.SetDeadline(time.Unix(1, 0))
}

// Resume begins again.
func (l *Listener) Resume() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = false
	err := l.SetDeadline(time.Time{})
	l.changed.Broadcast()
	return err
}

// Close closes this process's socket; others keep theirs.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	return l.deadliner.Close()
}
