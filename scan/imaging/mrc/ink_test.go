package mrc

import (
	"image"
	imgcolor "image/color"
	"testing"
)

// colored gives the share of a rectangle that is ink which is like.
func (s *shown) colored(r image.Rectangle, like func(c color) bool) float64 {
	n := 0
	for _, i := range s.inks {
		if !like(i.color) {
			continue
		}
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				if i.bits.At(x-i.x, y-i.y) {
					n++
				}
			}
		}
	}
	return float64(n) / float64(r.Dx()*r.Dy())
}

// White print on a coloured box leaves the box in one colour: viewers show gaps between
// stencils.
func TestWhiteOnColour(t *testing.T) {
	img := canvas(1240, 700)
	where := image.Rect(60, 200, 1180, 500)
	box(img, where.Min.X, where.Min.Y, where.Max.X, where.Max.Y, imgcolor.RGBA{200, 40, 40, 255})
	for y := 260; y < 480; y += 40 {
		print(t, img, "The quick brown fox jumps over the lazy dog", 90, y, 8, imgcolor.White)
	}
	got := show(t, grain(img, 5), Balanced())
	all, most := got.inked(where), 0.0
	for _, i := range got.inks {
		most = max(most, got.colored(where, func(c color) bool { return c == i.color }))
	}
	if most < 0.98*all {
		t.Errorf("%.2f %% of the box is not of its one colour, in %d inks", 100*(1-most/all), len(got.inks))
	}
}

// Large letters of a page without colours keep their shade, also pale ones.
func TestShadesOfGreyPage(t *testing.T) {
	img := canvas(1240, 700)
	pale, black := image.Rect(100, 80, 1100, 210), image.Rect(100, 380, 1100, 510)
	print(t, img, "BIG", 120, 200, 30, imgcolor.Gray{190})
	print(t, img, "BIG", 120, 500, 30, imgcolor.Gray{30})
	o := Balanced()
	o.Gray = true
	got := show(t, grain(img, 5), o)
	dark := func(c color) bool { return c.y < 110 }
	if a, b := got.colored(pale, dark), got.colored(black, dark); a > 0 || b < 0.05 {
		t.Errorf("%.3f of pale words is dark, and %.3f of black ones", a, b)
	}
}
