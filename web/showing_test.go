package web

import (
	"bytes"
	"image"
	"image/jpeg"
	"testing"

	"docscan/scan/text"
)

// A word is marked where it stands in the picture, however the page lay.
func TestShowing(t *testing.T) {
	word := text.Word{X: 100, Y: 200, Width: 50, Height: 20, Descent: 5}
	page := text.Page{Width: 1000, Height: 2000}
	cut := page
	cut.Sheet = &text.Box{X: 90, Y: 100, Width: 500, Height: 1000}
	quarter := page
	quarter.Rotate = 90
	tests := []struct {
		name    string
		page    text.Page
		turn    int
		w, h    int
		corners string
	}{
		{"as it lies", page, 0, 1000, 2000, "100,185 150,185 150,205 100,205"},
		{"cut to the sheet", cut, 0, 500, 1000, "10,85 60,85 60,105 10,105"},
		{"turned upright", quarter, 0, 2000, 1000, "1815,100 1815,150 1795,150 1795,100"},
		{"turned by a person too", quarter, 270, 1000, 2000, "100,185 150,185 150,205 100,205"},
		{"upside down", page, 180, 1000, 2000, "900,1815 850,1815 850,1795 900,1795"},
		{"to the left", page, 270, 2000, 1000, "185,900 185,850 205,850 205,900"},
	}
	for _, tt := range tests {
		s := showing(&tt.page, tt.turn)
		if w, h := s.size(); w != tt.w || h != tt.h {
			t.Errorf("%s: %d x %d, want %d x %d", tt.name, w, h, tt.w, tt.h)
		}
		if got := s.corners(word); got != tt.corners {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.corners)
		}
	}
	askew := page
	askew.Skew = 1 // a word far right of the middle comes up when the page is levelled
	s := showing(&askew, 0)
	if x, y := s.place(1000, 1000); y > 992 || x < 999 {
		t.Errorf("levelled to %g, %g, want about 1000, 991", x, y)
	}
}

func TestTurnedStaysAJPEG(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 4)), nil); err != nil {
		t.Fatal(err)
	}
	for _, turn := range []int{0, 90, 180, 270} {
		out, err := turned(b.Bytes(), turn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jpeg.Decode(bytes.NewReader(out)); err != nil {
			t.Errorf("turned by %d: %v", turn, err)
		}
		if (turn == 0) != bytes.Equal(out, b.Bytes()) {
			t.Errorf("turned by %d: the same bytes: %v", turn, turn != 0)
		}
	}
	if _, err := turned(b.Bytes(), 45); err == nil {
		t.Error("a turn of 45 degrees is taken")
	}
	if out, err := turned([]byte("no picture"), 90); err != nil || string(out) != "no picture" {
		t.Errorf("what is no JPEG: %q, %v", out, err)
	}
}
