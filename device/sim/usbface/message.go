package usbface

import (
	"context"
	"sync"
)

// A Function is what stands behind a vendor-class interface that talks in
// messages. One call of Out and one of In may run at the same time.
type Function interface {
	// Out takes one transfer of the host, whole. It may block while the device
	// takes no more (NAK) until ctx ends; the transfer was not taken then.
	Out(ctx context.Context, b []byte) error

	// In gives the next message for the host, who may have asked for less, or
	// an empty one for a packet without data. It blocks while there is nothing
	// to say (NAK) until ctx ends; no message is lost then. ErrStall halts the
	// endpoint and ErrGone unplugs the device.
	In(ctx context.Context) ([]byte, error)

	// Reset forgets what is under way, as after a reset of the port and when
	// the interface is selected.
	Reset()
}

// messages moves the transfers of a Function.
type messages struct {
	fn   Function
	gone <-chan struct{}

	inMu, outMu sync.Mutex // one transfer at a time in each direction

	mu   sync.Mutex
	rest []byte // of the message that the host has asked for in part
}

// in gives the next message. The host sees its end by a short packet, or by
// having got all it asked for. What it asked not for waits for its next
// transfer, as packets wait in a real endpoint.
func (m *messages) in(ctx context.Context, b []byte) (int, error) {
	m.inMu.Lock()
	defer m.inMu.Unlock()
	m.mu.Lock()
	msg := m.rest
	m.rest = nil
	m.mu.Unlock()
	if msg == nil {
		var err error
		ctx, cancel := m.here(ctx)
		msg, err = m.fn.In(ctx)
		cancel()
		if err != nil {
			return 0, m.asGone(err)
		}
	}
	n := copy(b, msg)
	if n == len(msg) {
		return n, nil
	}
	if n%MaxPacket != 0 {
		return n, ErrOverflow // and the packet is lost
	}
	m.mu.Lock()
	m.rest = msg[n:]
	m.mu.Unlock()
	return n, nil
}

func (m *messages) out(ctx context.Context, b []byte) (int, error) {
	m.outMu.Lock()
	defer m.outMu.Unlock()
	ctx, cancel := m.here(ctx)
	defer cancel()
	if err := m.fn.Out(ctx, b); err != nil {
		return 0, m.asGone(err)
	}
	return len(b), nil
}

func (m *messages) drop() {
	m.mu.Lock()
	m.rest = nil
	m.mu.Unlock()
	m.fn.Reset()
}

// here gives a context that ends when the device is unplugged, too.
func (m *messages) here(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-m.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-ended }
}

// asGone turns err into ErrGone if the device was unplugged.
func (m *messages) asGone(err error) error {
	select {
	case <-m.gone:
		return ErrGone
	default:
		return err
	}
}
