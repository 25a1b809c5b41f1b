package mrc

import (
	imgcolor "image/color"
	"testing"
)

// Letters that touch the pale lines of checked paper are as black as all others, and the lines
// are as pale between them as elsewhere.
func TestCheckedPaper(t *testing.T) {
	tests := []struct {
		name         string
		line, letter imgcolor.Color
		width, step  int
	}{
		{"blue lines", imgcolor.RGBA{150, 170, 215, 255}, imgcolor.Gray{20}, 2, 59},
		{"wide grey lines", imgcolor.Gray{175}, imgcolor.Gray{40}, 3, 47},
		{"blue ink", imgcolor.RGBA{170, 185, 220, 255}, imgcolor.RGBA{30, 40, 130, 255}, 2, 59},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := canvas(1240, 900)
			for at := 30; at < 1240; at += tt.step {
				box(img, at, 20, at+tt.width, 880, tt.line)
				box(img, 20, at, 1220, at+tt.width, tt.line)
			}
			for y := 101; y < 800; y += 59 { // lines run through the middle of letters
				print(t, img, "The quick brown fox jumps over the dog", 120, y, 11, tt.letter)
			}
			got := show(t, grain(img, 5), Balanced())
			luma := func(c imgcolor.Color) int {
				r, g, b, _ := c.RGBA()
				return int(299*r+587*g+114*b) / 257000
			}
			middle := (luma(tt.line) + luma(tt.letter)) / 2
			letters, pale, lines, dark := 0, 0, 0, 0
			line, letter := rgbaOf(tt.line), rgbaOf(tt.letter)
			for y := 50; y < 800; y++ {
				for x := 120; x < 1100; x++ {
					c, l := img.RGBAAt(x, y), luma(got.img.RGBAAt(x, y))
					switch {
					case c == letter:
						letters++
						if l > middle {
							pale++
						}
					case c != line || img.RGBAAt(x-4, y) == letter || img.RGBAAt(x+4, y) == letter || img.RGBAAt(x, y-4) == letter || img.RGBAAt(x, y+4) == letter: // beside letters it is theirs
					default:
						lines++
						if l < middle {
							dark++
						}
					}
				}
			}
			if 100*pale > 3*letters {
				t.Errorf("%.1f %% of the letters is pale", 100*float64(pale)/float64(letters))
			}
			if 100*dark > 3*lines {
				t.Errorf("%.1f %% of the lines is dark", 100*float64(dark)/float64(lines))
			}
		})
	}
}

// Print itself, and lines as dark as it is, are no lines that print stands on.
func TestNoRules(t *testing.T) {
	img := canvas(1240, 900)
	for y := 100; y < 850; y += 40 {
		print(t, img, "mmmmmmmmmm The quick brown fox jumps over the lazy dog", 60, y, 8, imgcolor.Gray{40})
	}
	for y := 112; y < 850; y += 120 {
		box(img, 60, y, 1200, y+3, imgcolor.Gray{40})
	}
	p := planes(t, encode(t, grain(img, 5)))
	s, err := newSeparation(p, p.Y.Width, p.Y.Height, testDPI, Balanced())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.take(); err != nil {
		t.Fatal(err)
	}
	if s.rules != nil {
		t.Error("there are lines")
	}
}

// rgbaOf gives c as the pixels of an image have it.
func rgbaOf(c imgcolor.Color) imgcolor.RGBA {
	r, g, b, _ := c.RGBA()
	return imgcolor.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}
}
