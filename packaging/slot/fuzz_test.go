//go:build linux

package slot

import (
	"strings"
	"testing"
)

// A state file may have been damaged in any way.
func FuzzParseState(f *testing.F) {
	for _, s := range []state{
		{State: Idle},
		{State: Trying, Slot: "b", Digest: "d", Attempts: 1, Begun: 5, End: 10, History: []Event{{Step: StepTry, Slot: "b"}}},
	} {
		b, err := s.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		again, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		s2, err := parseState(again)
		if err != nil || s2.State != s.State || s2.Slot != s.Slot || len(s2.History) != len(s.History) {
			t.Errorf("written again: %v, error %v, want %v", s2, err, s)
		}
	})
}

// The file of crashes is written by a script, and may be written by anybody.
func FuzzCrashes(f *testing.F) {
	f.Add("1 a\n2 b\n3 b\n", int64(100), "b")
	f.Add("9999999999999999999999 b\n-5 b\n b", int64(-1), "")
	f.Fuzz(func(t *testing.T, text string, now int64, slot string) {
		if n := crashes(text, now, slot); n < 0 || n > strings.Count(text, "\n")+1 {
			t.Errorf("%d crashes in %d lines", n, strings.Count(text, "\n")+1)
		}
	})
}

// Reasons come from anywhere, and go into files of one line.
func FuzzFirstLine(f *testing.F) {
	f.Add("a reason\nand more")
	f.Add("\x00\xff" + strings.Repeat("ü", 1000))
	f.Fuzz(func(t *testing.T, text string) {
		if got := firstLine(text); strings.ContainsAny(got, "\n\r\x00") || len(got) >= maxText {
			t.Errorf("firstLine(%q) = %q", text, got)
		}
	})
}
