//go:build linux

package swap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
)

// RopeEnv names the open file of the rope in the new process's environment.
const RopeEnv = "DOCSCAN_SWAP_FD"

// stepsEnv names the process that listens to the steps of a start. One of an earlier
// version would take the first of them for a wrong answer; it knows nothing of this, and
// hands on what it was started with.
const stepsEnv = "SWAP_STEPS"

// Taken reports whether this process was started to take over.
func Taken() bool { return os.Getenv(RopeEnv) != "" }

// TakeFrame returns the frame of a process that was started to take over.
func TakeFrame(servers Servers, start Start, log *slog.Logger) (*Frame, error) {
	fd, err := strconv.ParseUint(os.Getenv(RopeEnv), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("take over: %s: %w", RopeEnv, err)
	}
	steps := os.Getenv(stepsEnv) == strconv.Itoa(os.Getppid())
	// Not for processes that this one starts.
	if err := errors.Join(os.Unsetenv(RopeEnv), os.Unsetenv(stepsEnv)); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	r, err := ropeOf(os.NewFile(uintptr(fd), "rope"))
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	ls, err := r.receiveFiles()
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	if len(ls) != 2 {
		return nil, fmt.Errorf("take over: %d sockets, want 2", len(ls))
	}
	f, err := NewFrame(ls[0], ls[1], servers, start, log)
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	f.rope, f.steps = r, steps
	f.Step("it has the sockets")
	return f, nil
}

// Step tells the process that started this one, if there is one, what is done now: so it
// knows a start that is slow from one that hangs. It is for as long as this process has
// not said that it serves.
func (f *Frame) Step(doing string) {
	if f.steps && f.OnTrial() {
		_ = f.rope.send(message{Say: sayStep, Reason: doing}) // if it has ended, that is noticed elsewhere
	}
}

// Refuse tells the process that started this one why it cannot take over.
func (f *Frame) Refuse(why error) error {
	_ = f.rope.send(message{Say: sayFailed, Reason: why.Error()}) // it may have ended
	return errors.Join(why, f.rope.close())
}

// OnTrial reports whether this process must still prove itself.
func (f *Frame) OnTrial() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rope != nil && !f.main
}

// Addr is the address of the public socket.
func (f *Frame) Addr() string { return f.public.Addr().String() }

// Take takes over from the process that started this one, and then does what
// Run does. ready is called when this process is the one for good.
func (f *Frame) Take(ctx context.Context, ready func()) (handedOver bool, err error) {
	failed := make(chan error, servers)
	stop := f.serve(failed)
	given, err := f.trial(ctx, failed)
	if err != nil {
		// Whoever started this one may still listen.
		_ = f.rope.send(message{Say: sayFailed, Reason: err.Error()})
	}
	if given || err != nil {
		handedOver, err = f.finish(ctx, stop, given, err)
		_ = f.rope.close() // it may be already
		return handedOver, err
	}
	f.mu.Lock()
	f.main = true
	f.mu.Unlock()
	ready()
	handedOver, err = f.watch(ctx, failed)
	handedOver, err = f.finish(ctx, stop, handedOver, err)
	_ = f.rope.close() // it may be already
	return handedOver, err
}

// heard is what came over the rope.
type heard struct {
	message
	err error
}

// trial does what the old process says until it commits this one (false) or
// this one has handed back (true).
func (f *Frame) trial(ctx context.Context, failed <-chan error) (given bool, err error) {
	if err := f.rope.send(message{Say: sayReady, Proxy: f.passed.Addr().String()}); err != nil {
		return false, err
	}
	for {
		said := make(chan heard, 1)
		go func() {
			m, err := f.rope.receive(0)
			said <- heard{m, err}
		}()
		var done <-chan error
		if p := f.Program(); p != nil {
			done = p.Done()
		}
		var h heard
		select {
		case <-ctx.Done():
			return false, errors.New("it was told to stop")
		case err := <-failed:
			return false, err
		case err := <-done:
			return false, fmt.Errorf("it stopped by itself: %w", err)
		case h = <-said:
		}
		if h.err != nil {
			return false, fmt.Errorf("the version before: %w", h.err)
		}
		answer, err := f.obey(ctx, h.message)
		if err == nil {
			err = f.rope.send(answer)
		}
		switch {
		case err != nil:
			return false, err
		case answer.Say == sayGiven:
			return true, nil
		case h.Say == sayCommit:
			return false, nil
		}
	}
}

// obey does what the old process says, and gives the answer.
func (f *Frame) obey(ctx context.Context, m message) (message, error) {
	p := f.Program()
	switch {
	case m.Say == sayTake && p == nil:
		f.before = m.Proxy
		return message{Say: sayServing}, f.begin(ctx, m.Baton)
	case p == nil:
		return message{}, fmt.Errorf("%q came too early", m.Say)
	case m.Say == sayProve:
		proof, err := p.Prove(ctx)
		return message{Say: sayProof, Proof: &proof}, err
	case m.Say == sayRecord && m.Event != nil:
		return message{Say: sayDone}, p.Record(*m.Event)
	case m.Say == sayCommit:
		return message{Say: sayDone}, nil
	case m.Say == sayReturn:
		b, err := f.end(ctx)
		if err != nil {
			return message{}, err
		}
		f.gate.Pass(onward(f.before, f.log, f.servers.Local))
		return message{Say: sayGiven, Baton: b}, nil
	}
	return message{}, fmt.Errorf("%q means nothing", m.Say)
}
