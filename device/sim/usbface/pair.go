package usbface

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// pair is the IN and the OUT endpoint of one interface. For the HTTP server it
// is a listener: its connection is the pair of pipes itself, so there is never
// more than one, and when the server closes it, the next one continues on the
// same pipes. The host notices nothing, as there is no close on USB.
type pair struct {
	gone <-chan struct{} // the device was unplugged
	done chan struct{}   // closed by Close
	once sync.Once

	inMu, outMu sync.Mutex // one transfer at a time in each direction

	mu      sync.Mutex
	host    net.Conn      // the host's end of the present connection; nil if there is none
	changed chan struct{} // closed and replaced when host changes
}

func newPair(gone <-chan struct{}) *pair {
	return &pair{gone: gone, done: make(chan struct{}), changed: make(chan struct{})}
}

// Accept waits until there is no connection, then gives the next.
func (p *pair) Accept() (net.Conn, error) {
	for {
		p.mu.Lock()
		if p.host == nil {
			host, device := net.Pipe()
			p.setHost(host)
			p.mu.Unlock()
			return &deviceConn{Conn: device, pair: p, host: host}, nil
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.gone:
			p.drop()
			return nil, ErrGone
		case <-p.done:
			return nil, net.ErrClosed
		}
	}
}

// Close stops Accept.
func (p *pair) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr is there because a net.Listener has one.
func (p *pair) Addr() net.Addr { return usbAddr{} }

type usbAddr struct{}

func (usbAddr) Network() string { return "usb" }
func (usbAddr) String() string  { return "usb" }

// deviceConn is the device's end of a connection.
type deviceConn struct {
	net.Conn
	pair *pair
	host net.Conn
}

// Close frees the pipes for the next connection.
func (c *deviceConn) Close() error {
	err := c.Conn.Close()
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if c.pair.host == c.host {
		c.pair.setHost(nil)
	}
	return err
}

// setHost changes the connection and tells those who wait. p.mu is held.
func (p *pair) setHost(c net.Conn) {
	p.host = c
	close(p.changed)
	p.changed = make(chan struct{})
}

// drop ends the connection from the host's side, as a reset does. The server
// sees its end and closes its own.
func (p *pair) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.host != nil {
		p.host.Close()
	}
}

// in reads what the device writes next. A write of the device ends a transfer.
func (p *pair) in(ctx context.Context, b []byte) (int, error) {
	p.inMu.Lock()
	defer p.inMu.Unlock()
	for {
		c, err := p.connected(ctx)
		if err != nil {
			return 0, err
		}
		n, err := interruptible(ctx, p.gone, c.SetReadDeadline, func() (int, error) { return c.Read(b) })
		if err == nil || n > 0 {
			// The last packet may have been a longer one that did not fit. A
			// real device overflows only then; this one never lets it pass.
			if n == len(b) && n%MaxPacket != 0 {
				return n, ErrOverflow
			}
			return n, nil
		}
		if !closed(err) {
			return n, p.ended(ctx, err)
		}
		if err := p.wait(ctx, c); err != nil {
			return 0, err
		}
	}
}

// out hands b to the device.
func (p *pair) out(ctx context.Context, b []byte) (int, error) {
	p.outMu.Lock()
	defer p.outMu.Unlock()
	sent := 0
	for sent < len(b) {
		c, err := p.connected(ctx)
		if err != nil {
			return sent, err
		}
		n, err := interruptible(ctx, p.gone, c.SetWriteDeadline, func() (int, error) { return c.Write(b[sent:]) })
		sent += n
		if err == nil {
			continue
		}
		if !closed(err) {
			return sent, p.ended(ctx, err)
		}
		if err := p.wait(ctx, c); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// connected waits for a connection.
func (p *pair) connected(ctx context.Context) (net.Conn, error) {
	for {
		p.mu.Lock()
		c, changed := p.host, p.changed
		p.mu.Unlock()
		if c != nil {
			return c, nil
		}
		select {
		case <-changed:
		case <-p.gone:
			return nil, ErrGone
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// wait waits until c is no longer the connection.
func (p *pair) wait(ctx context.Context, c net.Conn) error {
	for {
		p.mu.Lock()
		same, changed := p.host == c, p.changed
		p.mu.Unlock()
		if !same {
			return nil
		}
		select {
		case <-changed:
		case <-p.gone:
			return ErrGone
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ended says why a transfer was cut short.
func (p *pair) ended(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		err = ctx.Err()
	}
	return p.asGone(err)
}

// interruptible runs f, which a past deadline makes return, and sets one when
// ctx ends or the device goes. No deadline is left behind.
func interruptible(ctx context.Context, gone <-chan struct{}, deadline func(time.Time) error, f func() (int, error)) (int, error) {
	finished, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
		case <-gone:
		case <-finished:
			return
		}
		deadline(time.Unix(1, 0)) // fails only on a closed pipe, where f returns anyway
	}()
	n, err := f()
	close(finished)
	<-watched
	deadline(time.Time{})
	return n, err
}
