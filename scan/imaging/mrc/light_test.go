package mrc

import (
	"image"
	imgcolor "image/color"
	"math"
	"testing"
)

// shaded gives img in the light that at says, from 0 to 1, of places from 0 to 1.
func shaded(img *image.RGBA, at func(x, y float64) float64) *image.RGBA {
	out := image.NewRGBA(img.Rect)
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			light := at(float64(x)/float64(img.Rect.Dx()), float64(y)/float64(img.Rect.Dy()))
			c := img.RGBAAt(x, y)
			out.SetRGBA(x, y, imgcolor.RGBA{uint8(float64(c.R) * light), uint8(float64(c.G) * light), uint8(float64(c.B) * light), 255})
		}
	}
	return out
}

// The lights that pages are scanned and photographed in.
var lights = map[string]func(x, y float64) float64{
	"from a side":   func(x, _ float64) float64 { return 1 - 0.6*x },
	"from a corner": func(x, y float64) float64 { return 0.4 + 0.3*x + 0.3*y },
	"from above":    func(x, y float64) float64 { return 1 - 0.7*((x-0.5)*(x-0.5)+(y-0.4)*(y-0.4)) },
	"a waved sheet": func(x, y float64) float64 { return 0.85 + 0.15*math.Sin(5*y+2*x) },
}

// pictured gives the bytes of all pictures.
func (s *shown) pictured() (bytes int) {
	for _, l := range s.layers {
		bytes += len(l.Data)
	}
	return bytes
}

// lines prints a letter.
func lines(t *testing.T, img *image.RGBA, from, to int) {
	for y := from; y < to; y += 60 {
		print(t, img, "The quick brown fox jumps over the dog", 120, y, 11, imgcolor.Gray{30})
	}
}

// Uneven light is no part of a page: its paper comes out even, in its own tint, and its
// print black all over.
func TestUnevenLight(t *testing.T) {
	papers := map[string]imgcolor.RGBA{"white": {248, 248, 248, 255}, "cream": {248, 240, 220, 255}}
	for where, at := range lights {
		for tint, paper := range papers {
			img := canvas(1240, 1400)
			box(img, 0, 0, 1240, 1400, paper)
			lines(t, img, 150, 1300)
			got := show(t, grain(shaded(img, at), 7), Balanced())
			if n := got.pictured(); n > 0 {
				t.Errorf("light %s on %s paper: pictures of %d bytes", where, tint, n)
			}
			want := [3]uint8{paper.R, paper.G, paper.B}
			if tint == "white" {
				want = [3]uint8{255, 255, 255}
			}
			for i, v := range got.layers[0].Color {
				if abs(int(v)-int(want[i])) > 12 {
					t.Errorf("light %s on %s paper: the paper is %v, want %v", where, tint, got.layers[0].Color, want)
					break
				}
			}
			main := 0
			for _, i := range got.inks {
				if i.color.y < 80 {
					main++
				}
			}
			if share := got.inked(image.Rect(100, 100, 1000, 1300)); share < 0.02 || main == 0 {
				t.Errorf("light %s on %s paper: %.3f of it is ink", where, tint, share)
			}
		}
	}
}

// What is printed on a page in uneven light stays as it is, in the light of the page.
func TestUnevenLightSparesContent(t *testing.T) {
	photo, pale, gray := image.Rect(150, 620, 750, 1000), image.Rect(800, 620, 1150, 800), image.Rect(800, 830, 1150, 1000)
	for where, at := range lights {
		img := canvas(1240, 1400)
		box(img, 0, 0, 1240, 1400, imgcolor.RGBA{255, 255, 255, 255})
		lines(t, img, 150, 560)
		lines(t, img, 1080, 1350)
		photograph(img, photo)
		box(img, pale.Min.X, pale.Min.Y, pale.Max.X, pale.Max.Y, imgcolor.RGBA{255, 225, 200, 255})
		box(img, gray.Min.X, gray.Min.Y, gray.Max.X, gray.Max.Y, imgcolor.Gray{200})
		got := show(t, grain(shaded(img, at), 7), Balanced())
		for what, r := range map[string]image.Rectangle{"photograph": photo, "pale area": pale, "grey area": gray} {
			if d := differs(got.img, img, r.Inset(20)); d > 20 {
				t.Errorf("light %s: the %s differs by %.1f levels", where, what, d)
			}
		}
		if d := differs(got.img, img, image.Rect(10, 10, 1230, 100)); d > 3 {
			t.Errorf("light %s: the paper differs by %.1f levels", where, d)
		}
	}
}

// A picture that grows lighter from one side to the other and has no print on it is no
// paper in uneven light.
func TestNoLightWithoutPrint(t *testing.T) {
	img := canvas(1240, 1400)
	box(img, 0, 0, 1240, 1400, imgcolor.Gray{240})
	sky := grain(shaded(img, lights["from a side"]), 7)
	got := show(t, sky, Balanced())
	if d := differs(got.img, sky, sky.Rect); d > 6 {
		t.Errorf("a sky differs by %.1f levels", d)
	}
}
