package fujitsu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"docscan/device"
	"docscan/device/usb"
)

// Pipe carries messages to a machine and back. usb.Pipe is one.
type Pipe interface {
	Exchange(ctx context.Context, x *usb.Exchange) error
	// Read does one transfer. It may end early, at the end of a message.
	Read(ctx context.Context, b []byte) (int, error)
	// Restart puts both ends in step again.
	Restart(ctx context.Context) error
}

// The envelope in which SCSI commands travel over USB.
const (
	commandSize = 31
	commandMark = 0x43
	commandAt   = 19 // where the SCSI command begins
	statusSize  = 13
	statusMark  = 0x53
	statusAt    = 9 // where the SCSI status is
	packetSize  = 512
)

// SCSI statuses.
const (
	statusGood  = 0
	statusCheck = 2
	statusBusy  = 8
)

// How long things take. stageTime is what SANE's driver allows each part of a
// command; a readiness check and the lamp are asked again for busyTime.
const (
	stageTime  = 30 * time.Second
	probeTime  = 500 * time.Millisecond
	busyTime   = 60 * time.Second
	busyPause  = 50 * time.Millisecond
	emptyPause = 10 * time.Millisecond
	cancelTime = 5 * time.Second // for telling a machine to forget its scan, when nobody waits
)

// errStep says that what came was not what comes at that point. The pipe must
// be restarted.
var errStep = errors.New("the scanner and docscan are out of step")

// command is one SCSI command.
type command struct {
	name string // for people
	cdb  []byte
	out  []byte        // data to send with it
	in   []byte        // room for the data to come, as long as what is asked for
	time time.Duration // for each part; 0: stageTime
}

// conn sends commands over a pipe, one at a time.
type conn struct {
	pipe  Pipe
	reset func(context.Context) error // of the port; nil: there is none
	log   *slog.Logger

	mu     sync.Mutex
	broken bool // a command was left in the middle
	failed int  // restarts since the last command that went well
	frame  [commandSize]byte
	status [2 * packetSize]byte // more than a status: what comes out of step must not overflow
}

// exchange does one command and gives the number of bytes that came and the
// SCSI status. c.mu is held.
func (c *conn) exchange(ctx context.Context, cmd *command) (n int, status byte, err error) {
	if c.broken {
		if err := c.inStep(ctx); err != nil {
			return 0, 0, err
		}
	}
	c.broken = true // until the status has come
	c.frame = [commandSize]byte{commandMark}
	copy(c.frame[commandAt:], cmd.cdb)
	st := c.status[:]
	x := &usb.Exchange{Command: c.frame[:], Out: cmd.out, In: room(cmd.in), Want: len(cmd.in), Status: st, Limit: cmd.time}
	if x.Limit == 0 {
		x.Limit = stageTime
	}
	err = c.pipe.Exchange(ctx, x)
	if err == nil && !x.Taken() {
		err = fmt.Errorf("%w: it took %d of %d bytes", errStep, x.Moved[0]+x.Moved[1], len(x.Command)+len(x.Out))
	}
	if err != nil {
		return 0, 0, err
	}
	n, got := x.Moved[2], x.Moved[3]
	if n > len(cmd.in) {
		return 0, 0, fmt.Errorf("%w: %d bytes for the %d asked for", errStep, n, len(cmd.in))
	}
	// Some send the status in place of the data when there are none.
	if len(cmd.in) > statusSize && isStatus(cmd.in[:n]) && bytes.Count(cmd.in[:n], []byte{0}) >= statusSize-2 {
		c.broken, c.failed = false, 0
		return 0, cmd.in[statusAt], nil
	}
	// The status was not waited for after data that are short, or there was the empty
	// packet after data that filled their last one.
	for try := 0; got == 0 && try < 2; try++ {
		if got, err = c.read(ctx, x.Limit, st); err != nil {
			return 0, 0, err
		}
	}
	if !isStatus(st[:got]) {
		return 0, 0, fmt.Errorf("%w: %d bytes where the status should be: %.16x", errStep, got, st[:got])
	}
	c.broken, c.failed = false, 0
	return n, st[statusAt], nil
}

// inStep puts both ends in step: by a restart of the interface, and, if that has
// not helped before, by a reset of the port.
func (c *conn) inStep(ctx context.Context) error {
	if c.failed++; c.failed == 1 || c.reset == nil {
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

// room makes b longer, if it has the capacity, so that a packet which does not
// belong there does not overflow. A transfer that could fill its last packet
// must not be waited for beyond that packet.
func room(b []byte) []byte {
	full := (len(b) + packetSize - 1) / packetSize * packetSize
	return b[:min(full, cap(b))]
}

// isStatus says whether b is a status.
func isStatus(b []byte) bool {
	return len(b) == statusSize && b[0] == statusMark
}

// read waits for the part of an answer that has not come yet.
func (c *conn) read(ctx context.Context, limit time.Duration, b []byte) (int, error) {
	rctx, stop := context.WithTimeoutCause(ctx, limit, usb.ErrLate)
	defer stop()
	n, err := c.pipe.Read(rctx, b)
	if err != nil && context.Cause(rctx) == usb.ErrLate {
		err = usb.ErrLate
	}
	return n, err
}

// errBusy is the status by which a machine asks for the same command again.
var errBusy = errors.New("busy")

// attentions is how often a command is sent again because the machine had to say
// that it was reset or has slept.
const attentions = 3

// do sends a command and asks why, if it is refused. The sense tells of a short
// answer and of the end of a side too, which are no errors.
func (c *conn) do(ctx context.Context, cmd *command) (n int, s sense, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range attentions {
		var status byte
		n, status, err = c.exchange(ctx, cmd)
		switch {
		case err != nil:
			return 0, sense{}, fmt.Errorf("%s: %w", cmd.name, err)
		case status == statusGood:
			return n, sense{}, nil
		case status == statusBusy:
			return 0, sense{}, fmt.Errorf("%s: %w", cmd.name, errBusy)
		case status != statusCheck:
			return 0, sense{}, fmt.Errorf("%s: %w: SCSI status %#x", cmd.name, errStep, status)
		}
		if s, err = c.ask(ctx); err != nil {
			return 0, sense{}, fmt.Errorf("%s: %w", cmd.name, err)
		}
		if s.key != attention {
			break
		}
		c.log.Debug("scanner wants attention", "command", cmd.name, "sense", s)
	}
	if s.key != 0 {
		return 0, s, fmt.Errorf("%s: %w", cmd.name, &senseError{s})
	}
	return n, s, nil
}

// ask sends REQUEST SENSE. c.mu is held.
func (c *conn) ask(ctx context.Context) (sense, error) {
	b := make([]byte, senseSize, packetSize)
	n, status, err := c.exchange(ctx, &command{name: "REQUEST SENSE", cdb: []byte{0x03, 0, 0, 0, senseSize, 0}, in: b})
	if err != nil {
		return sense{}, fmt.Errorf("REQUEST SENSE: %w", err)
	}
	if status != statusGood {
		return sense{}, fmt.Errorf("REQUEST SENSE: %w: SCSI status %#x", errStep, status)
	}
	return parseSense(b[:n])
}

// errStopped says that somebody cancelled the run while a machine was waited for.
var errStopped = &device.Fault{Kind: device.Stopped, Detail: "cancelled while the scanner was busy"}

// patiently repeats a command for as long as the machine is busy with something
// that passes, but not beyond busyTime, nor after stopped was closed.
func (c *conn) patiently(ctx context.Context, cmd *command, stopped <-chan struct{}) (n int, s sense, err error) {
	wctx, stop := context.WithTimeout(ctx, busyTime)
	defer stop()
	pause := busyPause
	for {
		n, s, err = c.do(ctx, cmd)
		if err == nil || !passes(err) {
			return n, s, err
		}
		if why := sleep(wctx, pause, stopped); errors.Is(why, errStopped) || ctx.Err() != nil {
			return 0, s, why
		} else if why != nil {
			return 0, s, err
		}
		pause = min(2*pause, 500*time.Millisecond)
	}
}

// passes says whether the reason of an error goes away by itself.
func passes(err error) bool {
	var s *senseError
	return errors.Is(err, errBusy) || errors.As(err, &s) && s.passes()
}

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

// fault says what an error of a command means for a person. The end of the
// caller's time stays what it is.
func fault(ctx context.Context, err error) error {
	var f *device.Fault
	var s *senseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return err
	case errors.As(err, &s):
		return &device.Fault{Kind: s.kind(), Detail: err.Error()}
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errBusy):
		return &device.Fault{Kind: device.Warming, Detail: err.Error()}
	}
	return &device.Fault{Kind: device.BadAnswer, Err: err}
}
