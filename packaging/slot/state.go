//go:build linux

package slot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A State is where the story of updates stands.
//
//	Idle ---------> Staged -> Trying -> Committed
//	(nothing yet)    ^ |        | ^       |
//	                 | |        v |       |
//	   Install from  +-+     RolledBack <-+
//	   all but Trying
type State string

// The states. Each is about one slot: the one installed into last.
const (
	Idle       State = "idle"        // no version came by a bundle yet
	Staged     State = "staged"      // it is installed and waits
	Trying     State = "trying"      // it is on trial; the other slot is what would start
	Committed  State = "committed"   // it is the current version
	RolledBack State = "rolled-back" // it was on trial, or even current, and is so no more
)

// state is what the state file tells.
type state struct {
	State    State  `json:"state"`
	Slot     string `json:"slot,omitempty"`   // which State is about
	Digest   string `json:"digest,omitempty"` // of the version that is
	Attempts int    `json:"attempts,omitempty"`
	// The trial's begin and end, in nanoseconds after the start of the box, and
	// the end for people.
	Begun    time.Duration `json:"begun,omitempty"`
	End      time.Duration `json:"end,omitempty"`
	Deadline time.Time     `json:"deadline,omitzero"`
	Reason   string        `json:"reason,omitempty"`  // of a roll back
	History  []Event       `json:"history,omitempty"` // the newest last
}

// endTrial rolls back.
func (s *state) endTrial(reason string) {
	s.State, s.Reason = RolledBack, reason
	s.Begun, s.End, s.Deadline = 0, 0, time.Time{}
}

// historyLength is how many events the state file keeps. The audit log has all.
const historyLength = 50

// remember adds an event to the history.
func (s *state) remember(e Event) {
	s.History = append(slices.Clone(s.History), e)
	if n := len(s.History) - historyLength; n > 0 {
		s.History = s.History[n:]
	}
}

// stateFormat is the form of state files. An older version must read what a
// newer one wrote, after a roll back: fields may be added, never change.
const stateFormat = 1

// maxState bounds a state file: historyLength events whose texts have at most
// maxText bytes each.
const (
	maxState = 1 << 20
	maxText  = 1000
)

// envelope is the state file: the state and its checksum.
type envelope struct {
	Format int             `json:"format"`
	SHA256 string          `json:"sha256"` // of the bytes of State
	State  json.RawMessage `json:"state"`
}

var errBadState = errors.New("the state file is damaged")

// parseState reads a state file.
func parseState(b []byte) (state, error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return state{}, fmt.Errorf("%w: %v", errBadState, err)
	}
	if sum := sha256.Sum256(e.State); e.Format != stateFormat || hex.EncodeToString(sum[:]) != e.SHA256 {
		return state{}, fmt.Errorf("%w: format %d, or its checksum", errBadState, e.Format)
	}
	var s state
	if err := json.Unmarshal(e.State, &s); err != nil {
		return state{}, fmt.Errorf("%w: %v", errBadState, err)
	}
	known := slices.Contains([]State{Idle, Staged, Trying, Committed, RolledBack}, s.State)
	if !known || (s.State == Idle) != (s.Slot == "") || s.Slot != "" && !isSlot(s.Slot) {
		return state{}, fmt.Errorf("%w: state %q of slot %q", errBadState, s.State, s.Slot)
	}
	return s, nil
}

func isSlot(s string) bool { return s == nameA || s == nameB }

// encode is what parseState reads.
func (s state) encode() ([]byte, error) {
	inner, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(inner)
	b, err := json.Marshal(envelope{stateFormat, hex.EncodeToString(sum[:]), inner})
	return append(b, '\n'), err
}

// layout is everything that says how things are.
type layout struct {
	state
	current  string // slots; empty for none
	previous string
	note     string // why a roll back was begun that state does not know of yet
	raw      []byte // the state file that was read; nil if none could be
	lost     bool   // there are state files, but none can be read
	mended   bool   // state is not as it was read
}

// layout reads how things are. Nothing is changed.
func (s *Slots) layout() (layout, error) {
	l := layout{state: state{State: Idle}, current: s.pointer(currentName), previous: s.pointer(previousName)}
	if l.previous == l.current {
		l.previous = "" // a commit or roll back was cut short
	}
	b, err := s.disk.read(noteName, maxText)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l, err
	}
	l.note = firstLine(string(b))
	for _, name := range []string{stateName, oldStateName} {
		b, err := s.disk.read(name, maxState)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return l, err
		}
		if l.state, err = parseState(b); err == nil {
			l.raw, l.lost = b, false
			break
		}
		l.state, l.lost = state{State: Idle}, true
	}
	before := l.State
	l.settle()
	v, err := s.version(l.Slot)
	gone, another := err != nil && l.State == Staged, err == nil && l.Digest != "" && v.Digest != l.Digest
	if l.waits() && (gone || another) {
		// An installation was cut off after it took the slot of this version.
		l.state = state{State: Idle, History: l.History}
		l.settle()
	}
	l.mended = l.lost || before != l.State
	return l, nil
}

// waits reports whether the state is about a version that could be tried.
func (l *layout) waits() bool {
	return (l.State == Staged || l.State == RolledBack) && l.Slot != l.current
}

// pointer reads one of the two links.
func (s *Slots) pointer(name string) string {
	if to, err := s.disk.root.Readlink(name); err == nil && isSlot(to) {
		return to
	}
	return ""
}

// settle makes state say what the links do, where something came between them.
func (l *layout) settle() {
	switch {
	case l.current == "" && l.State == Committed, l.current == "" && l.lost:
		l.state = state{State: Idle, History: l.History}
	case l.current == "":
	case l.State == Idle:
		l.state = state{State: Committed, Slot: l.current, History: l.History}
	case l.State != Committed && l.Slot == l.current:
		// Commit moved the link, and was cut off before it said so.
		l.state = state{State: Committed, Slot: l.Slot, Digest: l.Digest, History: l.History}
	case l.State == Committed && l.Slot != l.current:
		// A roll back did, here or in the script.
		l.State, l.Reason = RolledBack, l.note
		if l.Reason == "" {
			l.Reason = "somebody changed which version is current"
		}
	}
}

// save writes the state, and the one before beside it.
func (s *Slots) save(l *layout) error {
	if l.raw != nil {
		if err := s.disk.replace(oldStateName, l.raw); err != nil {
			return err
		}
	}
	b, err := l.encode()
	if err != nil {
		return err
	}
	if err := s.disk.replace(stateName, b); err != nil {
		return err
	}
	l.raw = b
	return s.unlink(noteName)
}

// firstLine is a text as it may stand in the state file and in messages.
func firstLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	text = strings.ToValidUTF8(text[:min(len(text), maxText-1)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}

// Status is how things are, for people and programs.
type Status struct {
	State    State     `json:"state"`
	Current  *Version  `json:"current,omitempty"`  // what starts
	Previous *Version  `json:"previous,omitempty"` // what can be gone back to
	Next     *Version  `json:"next,omitempty"`     // staged, on trial or rolled back
	Attempts int       `json:"attempts,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
	Reason   string    `json:"reason,omitempty"`
}

// Status tells how things are. It waits for nothing, so it may see a step that
// is going on half done.
func (s *Slots) Status() (Status, error) {
	l, err := s.layout()
	if err != nil {
		return Status{}, fmt.Errorf("status of the slots: %w", err)
	}
	st := Status{State: l.State, Attempts: l.Attempts, Deadline: l.Deadline, Reason: l.Reason}
	for slot, to := range map[string]**Version{l.current: &st.Current, l.previous: &st.Previous} {
		if v, err := s.version(slot); slot != "" && err == nil {
			*to = &v
		}
	}
	if v, err := s.version(l.Slot); l.State != Idle && l.Slot != l.current && err == nil {
		st.Next = &v
	}
	return st, nil
}

// History gives the last events, the newest last.
func (s *Slots) History() ([]Event, error) {
	l, err := s.layout()
	if err != nil {
		return nil, fmt.Errorf("history of the slots: %w", err)
	}
	return l.History, nil
}
