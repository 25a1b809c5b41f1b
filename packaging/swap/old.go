//go:build linux

package swap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"docscan/packaging/slot"
)

// A Trial says what takes over and how it is put to the proof.
type Trial struct {
	Version  string   // it must say that it has this
	Exe      string   // its program file
	Args     []string // as this process has them
	Prove    time.Duration
	Patience time.Duration
	Silence  time.Duration // how long it may say nothing while it starts
	Memory   int64         // bytes it may have
	// Commit makes it the version that starts, and Undo takes that back. They
	// give the step for the audit log.
	Commit func() error
	Undo   func(reason string) error
	// Main is told the process that is now the one.
	Main func(pid int)
}

// Bounds in time of what the new process does.
const (
	startTime  = time.Minute      // to be ready; nobody waits for it
	takeTime   = 8 * time.Second  // to open the data; requests wait
	returnTime = 40 * time.Second // to hand back, paper included
	killTime   = 3 * time.Second  // from SIGTERM to SIGKILL
	proveTime  = 60 * time.Second // to read the known page; a slow box needs 20 s
	deviceTime = 60 * time.Second // to find the machines that were there, or as long as the proof takes
)

// child is the new process.
type child struct {
	cmd   *exec.Cmd
	rope  *rope
	proxy string        // where requests are passed on to
	gone  chan struct{} // closed when it has ended
	undo  func()        // see preferred
}

// launch starts the new process and waits until it is ready to take over.
func (f *Frame) launch(ctx context.Context, t Trial) (*child, error) {
	near, far, err := newRope()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(t.Exe, t.Args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// With what it starts itself it is a group of its own, to be ended together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.ExtraFiles = []*os.File{far} // becomes 3
	// The notification socket is for the one process that is the main one. Its
	// watchdog begins with its commit.
	cmd.Env = append(without(os.Environ(), "WATCHDOG_PID"), RopeEnv+"=3", stepsEnv+"="+strconv.Itoa(os.Getpid()))
	err = cmd.Start()
	far.Close() // so that the rope breaks when the process ends
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start it: %w", err), near.close())
	}
	c := &child{cmd: cmd, rope: near, gone: make(chan struct{}), undo: preferred(cmd.Process.Pid)}
	go func() { // ends with the process
		defer close(c.gone)
		_ = cmd.Wait() // how it ended is in ProcessState
	}()
	stop := context.AfterFunc(ctx, func() { near.close() })
	err = near.sendFiles([]*Listener{f.public, f.local})
	var m message
	if err == nil {
		m, err = near.await(t.Silence, startTime)
	}
	if err == nil && m.Say != sayReady {
		err = fmt.Errorf("it says %q first", m.Say)
	}
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return nil, c.end(err)
	}
	c.proxy = m.Proxy
	return c, nil
}

func without(env []string, name string) []string {
	var rest []string
	for _, e := range env {
		if !strings.HasPrefix(e, name+"=") {
			rest = append(rest, e)
		}
	}
	return rest
}

// kill ends the new process and all it has started, at once.
func (c *child) kill() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
}

// end ends the new process, if it has not ended already, and adds how to why.
func (c *child) end(why error) error {
	if errors.Is(why, errGone) { // let it be buried
		select {
		case <-c.gone:
		case <-time.After(killTime):
		}
	}
	select {
	case <-c.gone:
		if why != nil {
			why = fmt.Errorf("%w (%s)", why, c.cmd.ProcessState)
		}
	default:
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may end at this moment
		select {
		case <-c.gone:
		case <-time.After(killTime):
			c.kill()
			<-c.gone
		}
	}
	_ = c.rope.close()
	return why
}

// Hand hands over to the version of t. It returns nil once that one is
// committed, and then this process has nothing left to do but to end. After an
// error this process goes on, or has never stopped.
func (f *Frame) Hand(ctx context.Context, t Trial) error {
	// An update must be able to mend what is broken: the new one has to show all
	// of it, whatever this one can.
	p := f.Program()
	if p == nil { // this process ends just now
		return ErrBusy
	}
	before, err := p.Prove(ctx)
	if err != nil {
		f.log.Warn("the version that runs cannot do itself all that the new one is asked to", "err", err)
	}
	c, err := f.launch(ctx, t)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCheck, err)
	}
	done := make(chan error, 1)
	swap := func(ctx context.Context) bool {
		err := f.over(ctx, c, t, before)
		done <- err
		return err == nil
	}
	select {
	case f.swaps <- swap:
		return <-done
	case <-ctx.Done():
		return c.end(ctx.Err())
	}
}

// over is the hand-over itself, while nothing else watches the program.
func (f *Frame) over(ctx context.Context, c *child, t Trial, before Proof) error {
	key, err := f.Program().Key()
	if err != nil {
		return c.end(fmt.Errorf("make a log-in for the proof: %w", err))
	}
	b, err := f.end(ctx)
	if errors.Is(err, ErrQuiet) {
		return c.end(err)
	}
	if err != nil {
		return f.goOn(ctx, b, c.end(fmt.Errorf("end the program here: %w", err)))
	}
	take := message{Say: sayTake, Baton: b, Proxy: f.passed.Addr().String()}
	if _, err := c.rope.askSlow(take, sayServing, min(t.Silence, takeTime), takeTime); err != nil {
		c.kill()
		return f.goOn(ctx, b, c.end(fmt.Errorf("%w: taking over: %w", ErrProof, err)))
	}
	f.gate.Pass(onward(c.proxy, f.log, f.servers.Local))
	f.log.Info("another version has taken over on trial", "version", t.Version, "pid", c.cmd.Process.Pid, "pause_ms", time.Since(f.closed).Milliseconds())
	f.set(c)
	defer f.set(nil)
	if err := f.prove(ctx, c, t, key, before); err != nil {
		return f.takeBack(ctx, c, fmt.Errorf("%w: %w", ErrProof, err))
	}
	if err := t.Commit(); err != nil {
		return f.takeBack(ctx, c, fmt.Errorf("commit: %w", err))
	}
	if _, err := c.rope.ask(message{Say: sayCommit}, sayDone, t.Patience); err != nil {
		err = fmt.Errorf("%w: after its commit: %w", ErrProof, err)
		return errors.Join(f.takeBack(ctx, c, err), t.Undo(err.Error()))
	}
	c.undo()
	t.Main(c.cmd.Process.Pid)
	f.log.Info("the other version has proved itself; this process ends when its connections have", "version", t.Version)
	return nil
}

// set notes who has the program now, for Record.
func (f *Frame) set(c *child) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.child = c
}

// Record puts a step into the audit log, wherever that is now.
func (f *Frame) Record(e slot.Event) error {
	f.mu.Lock()
	p, c := f.program, f.child
	f.mu.Unlock()
	switch {
	case p != nil:
		return p.Record(e)
	case c != nil:
		_, err := c.rope.ask(message{Say: sayRecord, Event: &e}, sayDone, takeTime)
		return err
	}
	return errors.New("the audit log is in no process now")
}

// errUnwell is in the chain of errors after which the new process is not asked to
// hand back: it would only take time. What is on the disk is whole all the same.
var errUnwell = errors.New("it is not well")

// takeBack ends the trial: the new process hands back what it has, or is ended,
// and the program goes on here. It returns why.
func (f *Frame) takeBack(ctx context.Context, c *child, why error) error {
	if ctx.Err() != nil { // this process ends as well
		return c.end(why)
	}
	b := Broken
	unwell := errors.Is(why, errGone) || errors.Is(why, errUnwell)
	if !unwell {
		m, err := c.rope.ask(message{Say: sayReturn}, sayGiven, returnTime)
		if err == nil {
			b = m.Baton
		}
		unwell = err != nil
	}
	f.gate.Close(0)
	if unwell {
		c.kill()
		why = c.end(why)
	} else {
		_ = c.rope.close()
		f.leaving = append(f.leaving, c)
	}
	return f.goOn(ctx, b, why)
}

// goOn begins a program here again, and returns why that had to be.
func (f *Frame) goOn(ctx context.Context, b Baton, why error) error {
	f.log.Error("the other version is rolled back", "err", why)
	start := time.Now()
	if err := f.begin(ctx, b); err != nil {
		return errors.Join(why, fmt.Errorf("go on here: %w", err))
	}
	f.log.Info("this version goes on", "ms", time.Since(start).Milliseconds())
	return why
}

// Broken is what a program leaves that did not end well.
var Broken = Baton(`{"broken":true}`)

// prove puts the new process to the proof for as long as t says.
func (f *Frame) prove(ctx context.Context, c *child, t Trial, key string, before Proof) error {
	x := newExaminer(f.public.Addr().String(), t.Version, t.Patience)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var watched sync.WaitGroup
	for _, watch := range []func() error{
		func() error { return c.watch(ctx, t.Memory) },
		func() error { return c.pulse(ctx, x, t.Prove) },
	} {
		watched.Go(func() {
			if err := watch(); err != nil {
				stop(err)
			}
		})
	}
	err := examine(ctx, c, x, t, key, before)
	if err != nil { // that it broke off an answer may only be the first sign of its end
		select {
		case <-ctx.Done():
		case <-c.gone:
			stop(errGone)
		case <-time.After(goneTime):
		}
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errGone) && err != nil && !errors.Is(err, errGone) && !errors.Is(err, context.Canceled):
		err = fmt.Errorf("%w: %w", errGone, err) // it may have said why
	case cause != nil:
		err = cause
	}
	stop(nil)
	watched.Wait()
	return err
}

// goneTime is how long the end of a process may come after that of its connections.
const goneTime = 500 * time.Millisecond

// memoryEvery is how often the memory of the new process is looked at.
const memoryEvery = 100 * time.Millisecond

// watch gives an error when the process ends or becomes too large.
func (c *child) watch(ctx context.Context, most int64) error {
	t := time.NewTicker(memoryEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.gone:
			return errGone
		case <-t.C:
		}
		if n, err := anonymous(c.cmd.Process.Pid); err == nil && n > most {
			c.kill() // it has no time to hand back
			return fmt.Errorf("%w: it used more than %d MiB of memory", errUnwell, most>>20)
		}
	}
}

// pulse gives an error when the process does not answer in time. It asks all the
// while, for one that hangs would let people wait until it had shown what it can.
func (c *child) pulse(ctx context.Context, x *examiner, prove time.Duration) error {
	t := time.NewTicker(max(min(time.Second, prove/10), 10*time.Millisecond))
	defer t.Stop()
	for {
		if err := x.health(ctx); err != nil && ctx.Err() == nil {
			if !errors.Is(err, context.DeadlineExceeded) { // that it broke off may only be the first sign of its end
				select {
				case <-c.gone:
					return errGone
				case <-time.After(goneTime):
				}
			}
			c.kill() // nothing else breaks off what it is asked now
			if !errors.Is(err, errUnwell) {
				err = fmt.Errorf("%w: %w", errUnwell, err)
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// examine asks for all at the beginning and at the end.
func examine(ctx context.Context, c *child, x *examiner, t Trial, key string, before Proof) error {
	end := time.After(t.Prove)
	if err := x.logIn(ctx, key); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	if err := c.prove(ctx, t, before); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-end:
	}
	return c.prove(ctx, t, before)
}

// prove asks the new process to show what it can, until it has found the
// machines that were there.
func (c *child) prove(ctx context.Context, t Trial, before Proof) error {
	ctx, stop := context.WithTimeout(ctx, min(deviceTime, t.Prove))
	defer stop()
	for {
		m, err := c.rope.ask(message{Say: sayProve}, sayProof, proveTime)
		if err != nil {
			return fmt.Errorf("show what it can: %w", err)
		}
		if m.Proof == nil {
			return errors.New("it shows nothing")
		}
		err = judge(before, *m.Proof, t.Version)
		if err == nil || len(missing(before, *m.Proof)) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}
