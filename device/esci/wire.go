package esci

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"docscan/device"
	"docscan/device/usb"
)

// A Pipe carries transfers to a machine and back. usb.Pipe is one.
type Pipe interface {
	Exchange(ctx context.Context, x *usb.Exchange) error
	// Read does one transfer. It may move no bytes at all.
	Read(ctx context.Context, b []byte) (int, error)
	// Restart puts both ends in step again.
	Restart(ctx context.Context) error
}

// Limits of time.
const (
	stageTime  = 10 * time.Second // for one part of a request
	feedTime   = 60 * time.Second // for an answer that may wait for paper to move
	beginTime  = 5 * time.Second  // for a session; a machine that sleeps wakes up by it
	unlockTime = 3 * time.Second  // for the end of a session that may not be there
	busyTime   = 60 * time.Second // a cold lamp takes up to a minute
	busyPause  = 100 * time.Millisecond
)

// packetSize is that of a USB 2.0 bulk endpoint, in bytes.
const packetSize = 512

// maxAnswer is the most data that an answer without an image may have, in bytes.
// The largest known, to RESA, has 1.2 KB.
const maxAnswer = 64 << 10

// kind is that of a session, by the letter that begins it.
type kind byte

// The kinds of session. Outside of one the machine's own panel works, and other
// hosts can have the machine.
const (
	none    kind = 0
	inquiry kind = 'Y' // questions only
	control kind = 'X' // all requests
)

// conn speaks with one machine, one request at a time. It is not for several
// goroutines.
type conn struct {
	pipe    Pipe
	reset   func(context.Context) error // of the port; nil: there is none
	log     *slog.Logger
	session kind // that the machine is believed to have with us
	broken  bool // a request was left in the middle
	failed  int  // restarts since the last answer that came whole
	onlyX   bool // the machine knows no inquiry session
	head    [packetSize]byte
	answer  []byte
}

// errRefused says that a machine does not begin a session now.
var errRefused = errors.New("it refuses to begin a session (NAK)")

// freeTries is how often the interface is restarted before the port is reset. To
// free a machine that a dead host has left in a session takes two.
const freeTries = 2

// tries is how often a session is begun before that is given up. A machine whose
// host went away in the middle has to be freed first.
const tries = 3

// begin begins a session. A machine that knows no sessions of questions, because
// it says so or never answers to that, begins one for all.
func (c *conn) begin(ctx context.Context, k kind) error {
	if c.onlyX {
		k = control
	}
	var err error
	for try := 1; try <= tries; try++ {
		as := k
		if try == tries || errors.Is(err, errRefused) {
			as = control
		}
		if err = c.enter(ctx, as); err == nil {
			if as != k {
				c.log.Debug("scanner knows no inquiry session")
				c.onlyX = true
			}
			return nil
		}
		if errors.Is(err, errRefused) && as == control || device.KindOf(err) != "" || ctx.Err() != nil {
			break
		}
		c.log.Debug("session not begun yet", "err", err)
	}
	return fmt.Errorf("begin a session: %w", err)
}

// enter tries to begin a session once.
func (c *conn) enter(ctx context.Context, k kind) error {
	if c.broken {
		if err := c.free(ctx); err != nil {
			return err
		}
	}
	c.broken = true
	if _, err := c.send(ctx, &usb.Exchange{Command: []byte{0x1c, byte(k)}, Limit: stageTime}); err != nil {
		return err
	}
	n, err := c.read(ctx, c.head[:], beginTime)
	if err != nil {
		c.session = k // perhaps it has one of its own that must be ended
		return err
	}
	switch {
	case n == 1 && c.head[0] == 0x06:
		c.session, c.broken = k, false
		return nil
	case n == 1 && c.head[0] == 0x15:
		c.broken = false
		return errRefused
	}
	c.session = k
	return fmt.Errorf("%w: %d bytes in place of an ACK: %.16q", errStep, n, c.head[:n])
}

// free puts both ends in step and ends the session that the machine may still
// have, be it in the middle of a scan.
func (c *conn) free(ctx context.Context) error {
	if err := c.inStep(ctx); err != nil {
		return err
	}
	if c.session == none {
		c.broken = false
		return nil
	}
	_, _, err := c.exchange(ctx, "FIN ", nil, nil, unlockTime)
	c.session, c.broken = none, false
	if err == nil || errors.As(err, new(*refusal)) {
		return nil
	}
	c.log.Debug("session not ended", "err", err)
	return c.inStep(ctx)
}

// inStep puts both ends in step: by a restart of the interface, and, if that has
// not helped before, by a reset of the port.
func (c *conn) inStep(ctx context.Context) error {
	if c.failed++; c.failed <= freeTries || c.reset == nil {
		if err := c.pipe.Restart(ctx); err != nil {
			return fmt.Errorf("restart the interface: %w", err)
		}
		return nil
	}
	if err := c.reset(ctx); err != nil {
		return fmt.Errorf("reset the port: %w", err)
	}
	return nil
}

// finish ends the session.
func (c *conn) finish(ctx context.Context) error {
	if c.session == none {
		return nil
	}
	if c.broken {
		return c.free(ctx)
	}
	if _, _, err := c.exchange(ctx, "FIN ", nil, nil, stageTime); err != nil {
		return fmt.Errorf("end the session: %w", err)
	}
	c.session = none
	return nil
}

// refusal says that a request is unknown, or has no place in the present state.
type refusal struct{ asked, got string }

func (r *refusal) Error() string { return fmt.Sprintf("%s is answered with %s", r.asked, r.got) }

// exchange sends a request with its data and takes the answer with its data,
// which are in to if that is large enough, and otherwise valid until the next
// exchange. What the reply says of faults is for the caller.
func (c *conn) exchange(ctx context.Context, code string, out, to []byte, limit time.Duration) (reply, []byte, error) {
	fail := func(err error) (reply, []byte, error) {
		return reply{}, nil, fmt.Errorf("%s: %w", code, err)
	}
	if c.broken && code != "FIN " {
		return fail(errStep)
	}
	c.broken = true // until all of the answer has come
	n, err := c.send(ctx, &usb.Exchange{Command: request(code, len(out)), Out: out, In: c.head[:], Limit: limit})
	if err != nil {
		return fail(err)
	}
	if n, err = c.fill(ctx, c.head[:], n, replySize, limit); err != nil {
		return fail(err)
	}
	r, err := parseReply(c.head[:n])
	if err != nil {
		return fail(err)
	}
	refused := r.code == "UNKN" || r.code == "INVD"
	if r.code != code && !refused {
		return fail(fmt.Errorf("%w: the answer is to %q", errStep, r.code))
	}
	if to == nil {
		if r.size > maxAnswer {
			return fail(fmt.Errorf("%w: %d bytes of data", errStep, r.size))
		}
		to = c.room(r.size)
	}
	if r.size > len(to) {
		return fail(fmt.Errorf("%w: %d bytes of data, %d are the most", errStep, r.size, len(to)))
	}
	if r.size > 0 {
		if _, err := c.fill(ctx, to, 0, r.size, stageTime); err != nil {
			return fail(fmt.Errorf("its %d bytes of data: %w", r.size, err))
		}
	}
	c.broken, c.failed = false, 0
	if refused {
		return reply{}, nil, &refusal{code, r.code}
	}
	return r, to[:r.size], nil
}

// room gives a buffer for an answer of n bytes.
func (c *conn) room(n int) []byte {
	if n = packets(n); cap(c.answer) < n {
		c.answer = make([]byte, n)
	}
	return c.answer[:n]
}

// packets is n rounded up to whole packets.
func packets(n int) int { return (n + packetSize - 1) / packetSize * packetSize }

// fill reads what is missing in b, of which got bytes are there, up to n bytes. They
// may come in several transfers. No transfer may
// be asked for more packets than the bytes need: one that ends with a full packet
// would be waited for in vain. b has room for whole packets.
func (c *conn) fill(ctx context.Context, b []byte, got, n int, limit time.Duration) (int, error) {
	for got < n {
		if n == replySize && got == 1 { // it has forgotten the session
			return got, fmt.Errorf("%w: %#02x in place of a reply", errStep, b[0])
		}
		end := min(got+packets(n-got), len(b))
		k, err := c.read(ctx, b[got:end], limit)
		if err != nil {
			return got, err
		}
		got += k
	}
	if got > n {
		return got, fmt.Errorf("%w: %d bytes where %d were announced", errStep, got, n)
	}
	return got, nil
}

// send sends a request with its data and waits for the first transfer of the
// answer, if there is room for one, and gives its size. A machine that moves paper
// may not take the request before that is done.
func (c *conn) send(ctx context.Context, x *usb.Exchange) (int, error) {
	err := c.pipe.Exchange(ctx, x)
	if err == nil && !x.Taken() {
		err = fmt.Errorf("%w: it took %d of %d bytes", errStep, x.Moved[0]+x.Moved[1], len(x.Command)+len(x.Out))
	}
	return x.Moved[2], err
}

// emptyPause is between reads that give nothing.
const emptyPause = 2 * time.Millisecond

// read waits for one transfer that is not empty.
func (c *conn) read(ctx context.Context, b []byte, limit time.Duration) (int, error) {
	rctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	for {
		n, err := c.pipe.Read(rctx, b)
		if err != nil || n > 0 {
			return n, late(ctx, rctx, err)
		}
		if err := sleep(rctx, emptyPause, nil); err != nil {
			return 0, late(ctx, rctx, err)
		}
	}
}

// late tells the end of the time for one part from that of the caller's.
func late(ctx, part context.Context, err error) error {
	if err != nil && part.Err() != nil && ctx.Err() == nil {
		return usb.ErrLate
	}
	return err
}

// patiently repeats a request for as long as the machine is not ready, but not
// beyond busyTime, nor after stopped was closed.
func (c *conn) patiently(ctx context.Context, code string, out []byte, limit time.Duration, stopped <-chan struct{}) (reply, []byte, error) {
	wctx, stop := context.WithTimeout(ctx, busyTime)
	defer stop()
	pause := busyPause
	for {
		r, b, err := c.exchange(ctx, code, out, nil, limit)
		if err != nil || r.wait == "" {
			return r, b, err
		}
		if r.wait == "RSVD" {
			return r, nil, device.Faultf(device.HeldByOther, "%s: #nrdRSVD", code)
		}
		if why := sleep(wctx, pause, stopped); errors.Is(why, errStopped) || ctx.Err() != nil {
			return r, nil, why
		} else if why != nil {
			return r, nil, device.Faultf(device.Warming, "%s: #nrd%s for %v", code, r.wait, busyTime)
		}
		pause = min(2*pause, 500*time.Millisecond)
	}
}

// errStopped says that somebody cancelled the run while a machine was waited for.
var errStopped = &device.Fault{Kind: device.Stopped, Detail: "cancelled while the scanner was busy"}

// sleep waits for d, or less if ctx ends or stopped is closed.
func sleep(ctx context.Context, d time.Duration, stopped <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-stopped:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fault says what an error means for a person. The end of the caller's time stays
// what it is.
func fault(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case device.KindOf(err) != "":
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errRefused):
		return &device.Fault{Kind: device.HeldByOther, Err: err}
	}
	return &device.Fault{Kind: device.BadAnswer, Err: err}
}
