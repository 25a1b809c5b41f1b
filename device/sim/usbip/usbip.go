// Package usbip plugs a simulated USB device into a real kernel.
//
// The kernel's virtual host controller, vhci_hcd, reaches a device through a
// stream socket on which it speaks USB/IP. [Serve] answers there for a
// simulated device, and [Attach] gives the kernel such a socket. Nothing goes
// over a network, so the protocol's first part, which lists and imports the
// devices of another machine, is not here.
package usbip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"docscan/device/sim/usbface"
)

// Device is what is plugged in, such as a usbface.Device. Its methods are
// called from several goroutines, but for one endpoint one after the other.
type Device interface {
	// Control answers a control request. Data to the device is not passed on.
	Control(s usbface.Setup) ([]byte, error)
	In(ctx context.Context, ep uint8, b []byte) (int, error)
	Out(ctx context.Context, ep uint8, b []byte) (int, error)
	// Gone is closed when the device has been unplugged.
	Gone() <-chan struct{}
}

var _ Device = (*usbface.Device)(nil)

// maxQueued bounds the transfers that wait at one endpoint.
const maxQueued = 1024

// Serve answers the host at the other end of conn until the device is
// unplugged, ctx ends or the host closes conn, which Serve closes too. These
// are no errors; it returns one for a host that does not speak the protocol.
func Serve(ctx context.Context, conn net.Conn, dev Device) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{conn: conn, dev: dev, ctx: ctx, pending: make(map[uint32]*transfer), queues: make(map[uint8]chan *transfer)}
	var closers sync.WaitGroup
	closers.Go(func() {
		select {
		case <-ctx.Done():
		case <-dev.Gone():
		}
		conn.Close() // which a blocked read notices
	})
	err := s.read()
	cancel()
	for _, q := range s.queues {
		close(q)
	}
	s.workers.Wait()
	closers.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || isReset(err) {
		return nil
	}
	return err
}

// server is one attached device.
type server struct {
	conn    net.Conn
	dev     Device
	ctx     context.Context
	queues  map[uint8]chan *transfer // by endpoint; of the reader alone
	workers sync.WaitGroup

	writing sync.Mutex // a header and its data stay together

	mu      sync.Mutex
	pending map[uint32]*transfer
}

// transfer is one URB of the host.
type transfer struct {
	command
	data   []byte // of an OUT transfer
	ctx    context.Context
	cancel context.CancelFunc

	// Guarded by server.mu.
	started bool
	dead    bool   // unlinked before it was started, and answered
	unlink  uint32 // the unlink to answer when it ends; 0: none
}

// read takes commands until the connection ends.
func (s *server) read() error {
	header := make([]byte, headerLen)
	for {
		if _, err := io.ReadFull(s.conn, header); err != nil {
			return fmt.Errorf("read a command: %w", err)
		}
		c, err := parse(header)
		if err != nil {
			return fmt.Errorf("read a command: %w", err)
		}
		if c.code == cmdUnlink {
			if err := s.end(c); err != nil {
				return err
			}
			continue
		}
		t := &transfer{command: c}
		t.ctx, t.cancel = context.WithCancel(s.ctx)
		if !c.in && c.length > 0 {
			t.data = make([]byte, c.length)
			if _, err := io.ReadFull(s.conn, t.data); err != nil {
				return fmt.Errorf("read the data of a transfer: %w", err)
			}
		}
		if err := s.queue(t); err != nil {
			return err
		}
	}
}

// queue hands t to the goroutine of its endpoint.
func (s *server) queue(t *transfer) error {
	q := s.queues[t.ep]
	if q == nil {
		q = make(chan *transfer, maxQueued)
		s.queues[t.ep] = q
		s.workers.Go(func() { s.work(q) })
	}
	s.mu.Lock()
	if s.pending[t.seq] != nil {
		s.mu.Unlock()
		return fmt.Errorf("transfer %d is under way already", t.seq)
	}
	s.pending[t.seq] = t
	s.mu.Unlock()
	select {
	case q <- t:
		return nil
	default:
		return fmt.Errorf("more than %d transfers wait at endpoint %#x", maxQueued, t.ep)
	}
}

// end answers an unlink, at once or when the transfer has ended.
func (s *server) end(c command) error {
	s.mu.Lock()
	t := s.pending[c.victim]
	status := 0 // it has ended already
	if t != nil {
		t.cancel()
		if t.started {
			t.unlink = c.seq
			s.mu.Unlock()
			return nil
		}
		t.dead = true
		delete(s.pending, c.victim)
		status = eConnReset
	}
	s.mu.Unlock()
	return s.write(unlinked(c.seq, status), nil)
}

// work runs the transfers of one endpoint in their order. After a failed write
// the reader ends too, and what is left is thrown away.
func (s *server) work(q <-chan *transfer) {
	for t := range q {
		s.mu.Lock()
		t.started = true
		dead := t.dead
		s.mu.Unlock()
		if !dead {
			s.run(t)
		}
		t.cancel()
	}
}

// run runs one transfer and answers it.
func (s *server) run(t *transfer) {
	b, n, err := s.do(t)
	s.mu.Lock()
	delete(s.pending, t.seq)
	unlink := t.unlink
	s.mu.Unlock()
	if t.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		if unlink != 0 {
			s.fail(s.write(unlinked(unlink, eConnReset), nil))
		}
		return
	}
	if errors.Is(err, usbface.ErrGone) {
		return // the connection ends, which tells the host
	}
	status := statusOf(err)
	if status == 0 && t.in && n < t.length && t.flags&shortNotOK != 0 {
		status = eRemoteIO
	}
	s.fail(s.write(submitted(t.seq, status, n), b))
	if unlink != 0 {
		s.fail(s.write(unlinked(unlink, 0), nil))
	}
}

// do gives the data for the host and how much was moved.
func (s *server) do(t *transfer) (b []byte, n int, err error) {
	switch {
	case t.ep == 0:
		b, err = s.dev.Control(t.setup)
		if !t.in {
			return nil, t.length, err
		}
		b = b[:min(len(b), t.length)]
		return b, len(b), err
	case t.in:
		b = make([]byte, t.length)
		n, err = s.dev.In(t.ctx, t.ep, b)
		return b[:n], n, err
	}
	n, err = s.dev.Out(t.ctx, t.ep, t.data)
	return nil, n, err
}

func statusOf(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, usbface.ErrStall):
		return ePipe
	case errors.Is(err, usbface.ErrOverflow):
		return eOverflow
	}
	return eProto
}

// write sends a header and what belongs to it.
func (s *server) write(header, data []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, err := s.conn.Write(append(header, data...)); err != nil {
		return fmt.Errorf("answer the host: %w", err)
	}
	return nil
}

// fail ends the connection if an answer could not be sent; the reader says why.
func (s *server) fail(err error) {
	if err != nil {
		s.conn.Close()
	}
}
