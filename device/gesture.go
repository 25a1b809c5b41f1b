package device

import "time"

// Timing says how the levels of a button become gestures. A gesture that nobody
// has a use for should have no time here: a short press that cannot become a
// double one is told at once.
type Timing struct {
	Debounce time.Duration // a level counts once it has held this long
	Long     time.Duration // held this long it is a long press; 0: there are none
	Gap      time.Duration // a second press within this is a double press; 0: there are none
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

// Button turns levels into gestures. It has no clock: it is told the time with
// each level, and says when it wants to be asked again.
type Button struct {
	Timing
	phase phase
	since time.Time // when the phase began
	last  bool      // the level last read: down
	lastT time.Time // since when it is so
	level bool      // the level that counts
}

// NewButton begins with the level read at now. A button that is down then was
// not pressed for us.
func NewButton(t Timing, now time.Time, isDown bool) *Button {
	b := &Button{Timing: t, phase: up, since: now, last: isDown, lastT: now, level: isDown}
	if isDown {
		b.phase = start
	}
	return b
}

// Read takes the level at now, which must not be before the time of the last
// call, and gives the gestures that have become sure.
func (b *Button) Read(now time.Time, isDown bool) []Gesture {
	told := b.pass(nil, now)
	if isDown != b.last {
		b.last, b.lastT = isDown, now
		told = b.pass(told, now) // without debouncing it counts at once
	}
	return told
}

// pass lets the time go on to now with the level as it was.
func (b *Button) pass(told []Gesture, now time.Time) []Gesture {
	if b.last == b.level {
		return b.expire(told, now)
	}
	told = b.expire(told, b.lastT) // up to where the level began to change
	if now.Sub(b.lastT) < b.Debounce {
		return told
	}
	b.level = b.last
	told = b.edge(told, b.lastT)
	return b.expire(told, now)
}

// edge takes a change of the level that counts.
func (b *Button) edge(told []Gesture, at time.Time) []Gesture {
	b.since = at
	switch {
	case b.level && b.phase == again:
		b.phase = held
		return append(told, Double)
	case b.level && b.Long == 0 && b.Gap == 0:
		b.phase = held // nothing else can become of it
		return append(told, Short)
	case b.level:
		b.phase = down
	case b.phase == down && b.Gap > 0:
		b.phase = again
	case b.phase == down:
		b.phase = up
		return append(told, Short)
	default:
		b.phase = up
	}
	return told
}

// expire ends a phase whose time is over at now.
func (b *Button) expire(told []Gesture, now time.Time) []Gesture {
	end, ok := b.end()
	if !ok || now.Before(end) {
		return told
	}
	b.since = end
	if b.phase == down {
		b.phase = held
		return append(told, Long)
	}
	b.phase = up
	return append(told, Short)
}

// end says when the phase ends by itself.
func (b *Button) end() (time.Time, bool) {
	switch {
	case b.phase == down && b.Long > 0:
		return b.since.Add(b.Long), true
	case b.phase == again:
		return b.since.Add(b.Gap), true
	}
	return time.Time{}, false
}

// Next says when the level should be read again even if nothing changes.
func (b *Button) Next() (time.Time, bool) {
	if b.last != b.level {
		return b.lastT.Add(b.Debounce), true
	}
	return b.end()
}
