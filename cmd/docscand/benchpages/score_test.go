package main

import (
	"slices"
	"testing"
)

func TestCompare(t *testing.T) {
	tests := []struct {
		name      string
		got, want string
		fold      bool
		edits     int
		f1        float64
	}{
		{"nothing on either", "", "", false, 0, 1},
		{"the same but for print", "“Größe” –  12\n", "\"Größe\" - 12", false, 0, 1},
		{"a letter", "cot", "cat", false, 1, 0},
		{"a word too many", "the cat", "cat", false, 4, 2.0 / 3},
		{"order", "b a", "a b", false, 2, 1},
		{"capitals", "CAT", "cat", true, 0, 1},
		{"nothing read", "", "a b", false, 3, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := compare(tt.got, tt.want, tt.fold)
			if s.edits != tt.edits || s.f1() != tt.f1 {
				t.Errorf("%d edits, F1 %.3f; want %d, %.3f", s.edits, s.f1(), tt.edits, tt.f1)
			}
		})
	}
}

func TestSorted(t *testing.T) {
	got := sorted([]string{"PATCHT", "ASN 000123", "ASN00123", "40123455"})
	if want := []string{"40123455", "ASN123", "PATCHT"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
