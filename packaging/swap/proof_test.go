//go:build linux

package swap

import (
	"slices"
	"testing"
)

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
