package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode"
)

var noTime time.Time

func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain", "plain"},
		{"Müller 請求書 😀", "Müller 請求書 😀"},
		{"a\x1b[31mb\x00\u009bc", "a[31mbc"},
		{"a\nb\tc\u2028d", "a b c d"},
		{"\u202eevil\u2066", "evil"},
		{"می\u200cخواهم", "می\u200cخواهم"},
		{"a\xffb", "a\ufffdb"},
	}
	for _, tt := range tests {
		if got := clean(tt.in); got != tt.want {
			t.Errorf("clean(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if got := clean(s); strings.ContainsFunc(got, unicode.IsControl) || columns(got) > 2*len(s) {
			t.Errorf("clean(%q) = %q", s, got)
		}
	})
}

func TestTable(t *testing.T) {
	var tab table
	tab.add("NAME", "N")
	tab.add("請求書", "1")
	tab.add("e\u0301", "")
	tab.add("😀", "x\ny")
	var b strings.Builder
	if err := tab.print(&b); err != nil {
		t.Fatal(err)
	}
	want := "NAME    N\n請求書  1\ne\u0301       -\n😀      x y\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestWords(t *testing.T) {
	for want, got := range map[string]string{
		"0 pages":   count(0, "page"),
		"1 page":    count(1, "page"),
		"2 batches": count(2, "batch"),
		"999 B":     bytesText(999),
		"1.0 kB":    bytesText(1000),
		"1.0 MB":    bytesText(999_999),
		"12.3 GB":   bytesText(12_345_678_901),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Every state of a scanner is told in words.
func TestDeviceStates(t *testing.T) {
	tests := []struct{ state, fault, want string }{
		{"ready", "", "ready"}, {"empty", "", "empty"}, {"scanning", "", "scanning"}, {"asleep", "", "asleep"},
		{"warming-up", "", "warming up"}, {"cover-open", "cover-open", "cover open"}, {"fault", "double-feed", "fault (double feed)"},
		{"fault", "no-rights", "fault (no rights)"}, {"in-use", "in-use", "in use"}, {"gone", "", "gone"},
	}
	for _, tt := range tests {
		var d device
		d.Status.State, d.Status.Fault = tt.state, tt.fault
		var out bytes.Buffer
		if err := (&app{terminal: terminal{out: &out}}).showDevices([]device{d}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "  "+tt.want+"  ") {
			t.Errorf("%s with fault %q is shown as\n%s", tt.state, tt.fault, &out)
		}
	}
}
