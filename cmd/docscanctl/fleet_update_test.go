package main

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"docscan/packaging/fleet/rollout"
)

func TestLiveLine(t *testing.T) {
	c := rollout.Counts{rollout.Updated: 100, rollout.Installing: 60, rollout.Failed: 2, rollout.Waiting: 38}
	const want = "wave 2 [##########----------] 102/200  1m5s  100 updated, 60 installing, 2 failed, 38 waiting; 3 of before again"
	if got := liveLine("wave 2", c, 3, 65*time.Second, 120); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, width := range []int{0, 1, 10, 79, len(want), len(want) + 1} {
		got := liveLine("wave 2", c, 3, 65*time.Second, width)
		if columns(got) >= max(width, 1) || !strings.HasPrefix(want, got) {
			t.Errorf("in %d columns: %q", width, got)
		}
	}
	if got := liveLine("canary", rollout.Counts{}, 0, 0, 80); got != "canary [--------------------] 0/0  0s  " {
		t.Errorf("of no boxes: %q", got)
	}
}

// screen is a terminal that knows \r and \b and nothing more.
type screen struct {
	mu    sync.Mutex
	lines []string
	at    int
}

var _ io.Writer = (*screen)(nil)

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) == 0 {
		s.lines = []string{""}
	}
	for _, c := range string(b) {
		last := &s.lines[len(s.lines)-1]
		switch c {
		case '\r':
			s.at = 0
		case '\b':
			s.at--
		case '\n':
			s.lines, s.at = append(s.lines, ""), 0
		default:
			for len(*last) <= s.at {
				*last += " "
			}
			*last = (*last)[:s.at] + string(c) + (*last)[s.at+1:]
			s.at++
		}
	}
	return len(b), nil
}

// What is on the terminal in the end: one line a wave, one a box that failed, each
// once, and nothing left of what was rewritten.
func TestProgressOnTerminal(t *testing.T) {
	var s screen
	p := &progress{begun: time.Now(), w: &s, width: func() int { return 60 }, said: make(map[string]bool), r: &rollout.Rollout{}}
	p.tell(rollout.Event{Doing: rollout.WaveBegun, Wave: 1})
	p.rewrite("wave 1 [####] a long line that is rewritten")
	fault := rollout.Event{Box: "box-7", State: rollout.OffLine, Text: "connection\nrefused\x1b[2J"}
	p.tell(fault)
	p.rewrite("wave 1 [####] short")
	p.tell(fault)
	p.tell(rollout.Event{Box: "box-8", State: rollout.Kept, Kind: "key-changed", Text: "its host key is another one"})
	p.tell(rollout.Event{Box: "box-9", State: rollout.Updated})
	p.tell(rollout.Event{Doing: rollout.WavePassed, Wave: 1, Counts: rollout.Counts{rollout.Updated: 9, rollout.OffLine: 1}})
	p.wipe()
	var got []string
	for _, l := range s.lines {
		if l = strings.TrimRight(l, " "); l != "" {
			got = append(got, l)
		}
	}
	want := []string{"box-7 off: connection refused[2J", "WARNING box-8: its host key is another one", "wave 1 is over after 0s: 9 updated, 1 off"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("on the terminal:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
