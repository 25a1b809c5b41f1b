package device

import (
	"context"
	"slices"
	"time"
)

// How often a machine is asked for its buttons: often while somebody may be about
// to press, as the time until the motor starts is the sum of this and of what we
// do; less often when paper has lain there for a while, or while there is none, as
// it costs a transfer or three.
const (
	askLoaded = 100 * time.Millisecond
	askRested = 150 * time.Millisecond
	askEmpty  = 250 * time.Millisecond
	askLater  = 2 * time.Second // after an answer that was none

	restedAfter = time.Minute // without paper put in, or a button down
)

// watch asks an open machine for its buttons until it is closed or ctx ends. A
// machine that is lent is left alone.
func (r *Registry) watch(ctx context.Context, id string, s Scanner, b Buttons) {
	buttons := make(map[string]*Button)
	wait, failing, first := askLoaded, false, true
	var held bool       // paper, at the last look
	var moved time.Time // when somebody did something there last
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		wait = askEmpty
		here, free, loaded, timing := r.look(id, s)
		switch {
		case !here:
			return
		case !free:
			clear(buttons)
			first = true
		default:
			actx, stop := context.WithTimeout(ctx, statusTimeout)
			state, err := b.Buttons(actx)
			stop()
			if err != nil {
				wait = askLater
				if ctx.Err() == nil && !failing {
					r.log.Warn("the scanner does not tell its buttons", "device", id, "err", err)
					r.Look()
				}
				failing = true
				break
			}
			failing = false
			if first || state.Loaded != held || len(state.Down) > 0 {
				held, moved = state.Loaded, time.Now()
			}
			switch {
			case time.Since(moved) < restedAfter && (state.Loaded || len(state.Down) > 0):
				wait = askLoaded
			case state.Loaded:
				wait = askRested
			}
			if state.Loaded != loaded {
				r.Look() // paper was put in or taken out: the status should say so now
			}
			r.tell(id, buttons, state, timing, first)
			first = false
		}
		t.Reset(wait)
	}
}

// look says whether s is still the machine of that ID, free to be asked, what
// its status says of paper, and what gestures it may be given.
func (r *Registry) look(id string, s Scanner) (here, free, loaded bool, timing Timing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.devices[id]
	return e.scanner == s, !e.lent, e.state.Status.Loaded, r.choices[id].Timing
}

// tell makes presses of what is down. In the first look after the machine came
// or after a run, what is down was not pressed for us.
func (r *Registry) tell(id string, buttons map[string]*Button, state ButtonState, timing Timing, first bool) {
	now := time.Now()
	for _, name := range state.Down {
		if buttons[name] == nil {
			buttons[name] = NewButton(timing, now, first)
		}
	}
	for name, b := range buttons {
		b.Timing = timing
		for _, g := range b.Read(now, slices.Contains(state.Down, name)) {
			r.pressed(Press{Device: id, Button: name, Gesture: g})
		}
	}
}
