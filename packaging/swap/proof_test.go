//go:build linux

package swap

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// A process that hangs is known by the first question that it does not answer.
func TestOneThatHangsIsAskedOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	x := newExaminer(l.Addr().String(), "1.0.0", 200*time.Millisecond)
	if err := x.health(t.Context()); !errors.Is(err, errUnwell) || !strings.Contains(err.Error(), "no answer within 200ms") {
		t.Errorf("%v, want it not well, with the time", err)
	}
}

func TestReach(t *testing.T) {
	for address, want := range map[string][]string{
		":8000":          {"localhost:8000", "127.0.0.1:8000"}, // by whether the name is known here
		"[::]:8000":      {"localhost:8000", "127.0.0.1:8000"},
		"0.0.0.0:8000":   {"localhost:8000", "127.0.0.1:8000"},
		"127.0.0.1:8000": {"127.0.0.1:8000"},
		"box:8000":       {"box:8000"},
		"[::1]:8000":     {"[::1]:8000"},
	} {
		if got := Reach(address); !slices.Contains(want, got) {
			t.Errorf("Reach(%q) = %q, want one of %q", address, got, want)
		}
	}
}
