package gpio

import (
	"time"

	"docscan/device"
)

// timing says how the levels of a button become gestures.
type timing struct {
	debounce time.Duration // a level counts once it has held this long
	long     time.Duration // held this long it is a long press; 0: there are none
	gap      time.Duration // a second press within this is a double press; 0: there are none
}

// A button's states. A gesture is told as soon as it is sure.
//
//	start -> up -> down -> held -> up       a long press is told on the way to held
//	               |  ^      ^
//	               v  |      |
//	              again -----+              a double press is told on the way to held
//	               |
//	               +-> up                   a short press is told once gap is over
type phase int

const (
	start phase = iota // not yet seen up: held since before we looked
	up
	down
	again // up after a press, and a second one may follow
	held  // down, and told already
)

// button turns levels into gestures. It has no clock: it is told the time with
// each level, and says when it wants to be asked again.
type button struct {
	timing
	phase phase
	since time.Time // when the phase began
	last  bool      // the level last read: down
	lastT time.Time // since when it is so
	level bool      // the level that counts
}

// newButton begins with the level read at now. A button that is down then was
// not pressed for us.
func newButton(t timing, now time.Time, isDown bool) *button {
	b := &button{timing: t, phase: up, since: now, last: isDown, lastT: now, level: isDown}
	if isDown {
		b.phase = start
	}
	return b
}

// read takes the level at now, which must not be before the time of the last
// call, and gives the gestures that have become sure.
func (b *button) read(now time.Time, isDown bool) []device.Gesture {
	told := b.pass(nil, now)
	if isDown != b.last {
		b.last, b.lastT = isDown, now
		told = b.pass(told, now) // without debouncing it counts at once
	}
	return told
}

// pass lets the time go on to now with the level as it was.
func (b *button) pass(told []device.Gesture, now time.Time) []device.Gesture {
	if b.last == b.level {
		return b.expire(told, now)
	}
	told = b.expire(told, b.lastT) // up to where the level began to change
	if now.Sub(b.lastT) < b.debounce {
		return told
	}
	b.level = b.last
	told = b.edge(told, b.lastT)
	return b.expire(told, now)
}

// edge takes a change of the level that counts.
func (b *button) edge(told []device.Gesture, at time.Time) []device.Gesture {
	b.since = at
	switch {
	case b.level && b.phase == again:
		b.phase = held
		return append(told, device.Double)
	case b.level && b.long == 0 && b.gap == 0:
		b.phase = held // nothing else can become of it
		return append(told, device.Short)
	case b.level:
		b.phase = down
	case b.phase == down && b.gap > 0:
		b.phase = again
	case b.phase == down:
		b.phase = up
		return append(told, device.Short)
	default:
		b.phase = up
	}
	return told
}

// expire ends a phase whose time is over at now.
func (b *button) expire(told []device.Gesture, now time.Time) []device.Gesture {
	end, ok := b.end()
	if !ok || now.Before(end) {
		return told
	}
	b.since = end
	if b.phase == down {
		b.phase = held
		return append(told, device.Long)
	}
	b.phase = up
	return append(told, device.Short)
}

// end says when the phase ends by itself.
func (b *button) end() (time.Time, bool) {
	switch {
	case b.phase == down && b.long > 0:
		return b.since.Add(b.long), true
	case b.phase == again:
		return b.since.Add(b.gap), true
	}
	return time.Time{}, false
}

// next says when the level should be read again even if nothing changes.
func (b *button) next() (time.Time, bool) {
	if b.last != b.level {
		return b.lastT.Add(b.debounce), true
	}
	return b.end()
}
