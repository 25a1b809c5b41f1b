//go:build linux

package slot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseState(t *testing.T) {
	good, err := state{State: Committed, Slot: "a", Digest: "d"}.encode()
	if err != nil {
		t.Fatal(err)
	}
	odd := func(s state) string {
		b, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"good", string(good), true},
		{"of a newer version with more in it", strings.Replace(string(good), `"format":1`, `"format":1,"more":true`, 1), true},
		{"empty", "", false},
		{"cut", string(good[:len(good)-5]), false},
		{"one letter changed", strings.Replace(string(good), "committed", "committee", 1), false},
		{"another format", strings.Replace(string(good), `"format":1`, `"format":2`, 1), false},
		{"unknown state", odd(state{State: "happy", Slot: "a"}), false},
		{"unknown slot", odd(state{State: Staged, Slot: "../c"}), false},
		{"state without a slot", odd(state{State: Staged}), false},
		{"idle with a slot", odd(state{State: Idle, Slot: "a"}), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseState([]byte(tt.text)); (err == nil) != tt.ok || err != nil && !errors.Is(err, errBadState) {
				t.Errorf("%v, want ok: %v", err, tt.ok)
			}
		})
	}
}

// A damaged state file costs a step of the story, two damaged ones all of it,
// but never what is installed.
func TestDamagedStateFiles(t *testing.T) {
	press := newPress(t)
	tests := []struct {
		name   string
		spoil  []string
		state  State // after the next start
		mended bool
	}{
		{"the state", []string{stateName}, Committed, true},
		{"the one before", []string{oldStateName}, Committed, false},
		{"both", []string{stateName, oldStateName}, Committed, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, press)
			if err := errors.Join(b.update("1.0.0"), b.update("1.1.0")); err != nil {
				t.Fatal(err)
			}
			for _, name := range tt.spoil {
				if err := os.WriteFile(filepath.Join(b.cfg.Dir, name), []byte("\x00\x00"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b.events = nil
			if err := b.boot(); err != nil {
				t.Fatal(err)
			}
			if b.state() != tt.state || b.runs() != "1.1.0" || len(b.events) > 0 != tt.mended {
				t.Errorf("%s, runs %q, events %v; want %s, 1.1.0, mended %v", b.state(), b.runs(), b.events, tt.state, tt.mended)
			}
			b.mustBeWhole("")
			if err := b.rollBack(); err != nil || b.runs() != "1.0.0" {
				t.Errorf("roll back: %v, runs %q, want 1.0.0", err, b.runs())
			}
			if err := b.update("1.2.0"); err != nil || b.runs() != "1.2.0" {
				t.Errorf("update: %v, runs %q, want 1.2.0", err, b.runs())
			}
		})
	}
}

// The history is bounded, and so is what a caller puts into it.
func TestHistoryIsBounded(t *testing.T) {
	b := newBox(t, newPress(t))
	if err := b.update("1.0.0"); err != nil {
		t.Fatal(err)
	}
	long := Origin{Who: strings.Repeat("x", 5000), From: "a\nb"}
	for range historyLength {
		if err := b.install("1.1.0"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Try(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	history, err := b.History()
	if err != nil || len(history) != historyLength {
		t.Fatalf("%d events, error %v, want %d", len(history), err, historyLength)
	}
	if last := history[len(history)-1]; len(last.Who) >= maxText || last.From != "a" {
		t.Errorf("who of %d bytes, from %q; want fewer than %d and %q", len(last.Who), last.From, maxText, "a")
	}
}
