package imaging

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"
)

// onBed draws a sheet of 700 x 1000 pixels in the middle of a bed, turned
// clockwise by degrees, with print on it.
func onBed(bed, sheet uint8, degrees float64) func(m *image.Gray) {
	return onBedOf(bed, sheet, 700, 1000, degrees)
}

// lightBoxes draws a dark sheet with some lines of light print, and light boxes one below
// the other.
func lightBoxes(m *image.Gray) {
	fill(m, m.Rect, 30)
	word := func(x, y int) { fill(m, image.Rect(x, y, x+40, y+8), 235) }
	for line := range 5 {
		for i := range 13 {
			word(100+i*60, 100+line*22)
		}
	}
	for i := range 4 {
		box := image.Rect(100, 260+i*250, 880, 470+i*250)
		fill(m, box, []uint8{215, 190}[i%2])
		for j := range 10 {
			fill(m, image.Rect(120+j*60, box.Min.Y+30, 160+j*60, box.Min.Y+38), 30)
		}
	}
}

// A dark sheet is none that lies on a dark bed, however many light boxes are printed
// on it: what stands beside them would be lost.
func TestDarkSheetWithLightBoxes(t *testing.T) {
	lockThread(t)
	s, err := drawn(t, 250, lightBoxes).Sheet(100)
	if err != nil {
		t.Fatal(err)
	}
	if s.Cut() || s.Level > 60 {
		t.Errorf("a sheet of the grey %d, cut %v: want the whole image, with a grey of about 30", s.Level, s.Cut())
	}
	// A light sheet with light print on a dark band from side to side is no dark one.
	band := func(m *image.Gray) {
		lightBoxes(m)
		fill(m, image.Rect(0, 240, 1000, 620), 30)
		fill(m, image.Rect(0, 620, 1000, 1400), 240)
	}
	if s, err = drawn(t, 250, band).Sheet(100); err != nil || s.Level < 200 {
		t.Errorf("a dark band on a light sheet: %+v, %v", s, err)
	}
	// Most of the image is dark here, too.
	if s, err = drawn(t, 250, onBedOf(12, 245, 450, 900, 0)).Sheet(100); err != nil || !s.Cut() || s.Level < 200 {
		t.Errorf("a receipt on a black bed: %+v, %v", s, err)
	}
}

// onBedOf draws one of another size.
func onBedOf(bed, sheet uint8, width, height, degrees float64) func(m *image.Gray) {
	return func(m *image.Gray) {
		r := rand.New(rand.NewPCG(3, 4))
		s, c := math.Sincos(degrees * math.Pi / 180)
		for y := range m.Rect.Dy() {
			for x := range m.Rect.Dx() {
				dx, dy := float64(x-500), float64(y-700)
				u, v := c*dx+s*dy, c*dy-s*dx
				level := bed
				if math.Abs(u) < width/2 && math.Abs(v) < height/2 {
					level = sheet
					// Lines of words, with a straight left margin.
					if u > -280 && u < 250 && math.Abs(v) < 400 && int(v+1000)%40 < 18 && int(u+1000)%24 < 14 {
						level = 30
					}
				}
				m.SetGray(x, y, color.Gray{Y: uint8(min(max(float64(level)+2*r.NormFloat64(), 0), 255))})
			}
		}
	}
}

// blotched makes what draw has drawn lighter and darker in places of some millimetres.
func blotched(draw func(m *image.Gray)) func(m *image.Gray) {
	return func(m *image.Gray) {
		draw(m)
		for i := range m.Pix {
			x, y := float64(i%m.Stride), float64(i/m.Stride)
			m.Pix[i] = uint8(float64(m.Pix[i]) + 5*math.Sin(x/13)*math.Sin(y/17))
		}
	}
}

func TestSheet(t *testing.T) {
	lockThread(t)
	tests := []struct {
		name string
		draw func(m *image.Gray)
		cut  bool
		skew float64
	}{
		{"black bed", onBed(12, 245, 0), true, 0},
		{"black bed, askew", onBed(12, 245, 3), true, 3},
		{"grey bed, tinted paper", onBed(70, 200, -2), true, -2},
		{"white bed, paper a little darker", onBed(254, 240, 1), true, 1},
		{"white bed that is not even, grey paper", blotched(onBed(236, 204, 1)), true, 1},
		{"grey bed, tinted paper, not much lighter", blotched(onBed(184, 222, 1)), true, 1},
		{"white bed, paper as white", onBed(248, 248, 1), false, 0},
		{"no bed", lines, false, 0},
		{"a dark page", func(m *image.Gray) { fill(m, m.Rect, 40) }, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := drawn(t, 250, tt.draw)
			s, err := p.Sheet(100)
			if err != nil {
				t.Fatal(err)
			}
			if s.Cut() != tt.cut {
				t.Fatalf("sheet %+v: seen %v, want %v", s, s.Cut(), tt.cut)
			}
			if !tt.cut {
				return
			}
			if math.Abs(s.Skew-tt.skew) > 0.2 {
				t.Errorf("skew %.2f, want %.2f", s.Skew, tt.skew)
			}
			const near = 4 // pixels: a millimetre
			x, y, w, h := s.Box(1000, 1400, s.Skew)
			if math.Abs(x-150) > near || math.Abs(y-200) > near || math.Abs(w-700) > 2*near || math.Abs(h-1000) > 2*near {
				t.Errorf("sheet at %.0f,%.0f, %.0f x %.0f; want 150,200, 700 x 1000", x, y, w, h)
			}
			if err := p.Outside(s, 2); err != nil {
				t.Fatal(err)
			}
			img := goImage(t, p)
			for _, at := range []image.Point{{5, 5}, {995, 5}, {5, 1395}, {995, 1395}, {60, 700}} {
				if g := color.GrayModel.Convert(img.At(at.X, at.Y)).(color.Gray); int(g.Y) != s.Level {
					t.Errorf("the bed at %v is %d, want the paper's %d", at, g.Y, s.Level)
				}
			}
		})
	}
}

// Where a sheet lies askew on a dark bed of its own size, wedges of the bed are seen. They
// are no part of it, and all else is.
func TestWedges(t *testing.T) {
	lockThread(t)
	for _, degrees := range []float64{-3, -1, 1, 2} {
		p := drawn(t, 250, onBedOf(12, 245, 1000, 1400, degrees))
		s, err := p.Sheet(100)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(s.Skew-degrees) > 0.2 {
			t.Errorf("askew by %g degrees: found to be by %.2f", degrees, s.Skew)
		}
		if x, y, w, h := s.Box(1000, 1400, s.Skew); x > 4 || y > 4 || w < 992 || h < 1392 {
			t.Errorf("askew by %g degrees: the sheet is %.0f,%.0f, %.0f x %.0f, want all of the image", degrees, x, y, w, h)
		}
		before := goImage(t, p)
		if err := p.Outside(s, 3); err != nil {
			t.Fatal(err)
		}
		after := goImage(t, p)
		gray := func(m image.Image, x, y int) uint8 { return color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y }
		dark, gone := 0, 0
		for y := range 1400 {
			for x := range 1000 {
				switch was, is := gray(before, x, y), gray(after, x, y); {
				case x > 150 && x < 850 && y > 200 && y < 1200:
					if was != is {
						gone++
					}
				case is < 150:
					dark++
				}
			}
		}
		if dark > 0 || gone > 0 {
			t.Errorf("askew by %g degrees: %d pixels of the bed stay, %d of the sheet are gone", degrees, dark, gone)
		}
	}
}

// The shadow of an edge is cut off, be it a hairline; print and pictures that reach the edge are not.
func TestShadowOfTheEdge(t *testing.T) {
	lockThread(t)
	tests := []struct {
		name     string
		draw     func(m *image.Gray)
		from, to int // where the sheet begins, pixels from the upper edge
	}{
		{"none", lines, 0, 0},
		{"a hairline", func(m *image.Gray) { lines(m); fill(m, image.Rect(0, 0, 1000, 2), 90) }, 2, 6},
		{"a soft one", func(m *image.Gray) {
			lines(m)
			for y := range 40 {
				fill(m, image.Rect(0, y, 1000, y+1), uint8(250-80*math.Exp(-float64(y)/6)))
			}
		}, 8, 24},
		{"a line of the length of a word", func(m *image.Gray) { lines(m); fill(m, image.Rect(100, 0, 300, 2), 30) }, 0, 0},
		{"a line near the edge", func(m *image.Gray) { lines(m); fill(m, image.Rect(0, 8, 1000, 12), 30) }, 0, 0},
	}
	for _, tt := range tests {
		p := drawn(t, 250, tt.draw)
		s, err := p.Sheet(100)
		if err != nil {
			t.Fatal(err)
		}
		_, y, _, h := s.Box(1000, 1400, 0)
		if y < float64(tt.from) || y > float64(tt.to) || h < 1400-float64(tt.to) || s.Skew > 0.1 || s.Skew < -0.1 {
			t.Errorf("%s: the sheet begins at %.1f and is %.1f high, skew %g; want %d to %d", tt.name, y, h, s.Skew, tt.from, tt.to)
		}
	}
}

// The pixels come from outside.
func FuzzFindSheet(f *testing.F) {
	f.Add(40, []byte("\x00\xff"))
	f.Add(100, []byte("a bed of letters"))
	f.Fuzz(func(t *testing.T, w int, pattern []byte) {
		if w < 1 || w > 300 || len(pattern) == 0 {
			return
		}
		r := raster{w: w, h: 60 + w/2, pix: make([]uint8, w*(60+w/2))}
		for i := range r.pix {
			r.pix[i] = pattern[i%len(pattern)]
		}
		s := findSheet(r, 10*r.w, 10*r.h)
		x, y, width, height := s.Box(10*r.w, 10*r.h, 0)
		for _, v := range []float64{x, y, width, height} {
			if math.IsNaN(v) || math.Abs(v) > float64(20*(r.w+r.h)) {
				t.Errorf("sheet at %g,%g, %g x %g", x, y, width, height)
			}
		}
		if s.Level < 0 || s.Level > 255 {
			t.Errorf("level %d", s.Level)
		}
	})
}

func TestLevelAndCut(t *testing.T) {
	lockThread(t)
	p := drawn(t, 255, lines)
	for _, degrees := range []float64{2, -3} {
		turned, err := p.Level(degrees)
		if err != nil {
			t.Fatal(err)
		}
		defer turned.Close()
		if turned.Width() != p.Width() || turned.Height() != p.Height() {
			t.Errorf("%d x %d, want the size to stay", turned.Width(), turned.Height())
		}
		ink, err := turned.Binary(128)
		if err != nil {
			t.Fatal(err)
		}
		defer ink.Close()
		if got := ink.Skew(); math.Abs(got-degrees) > 0.1 {
			t.Errorf("turned by %.2f degrees, want %.2f", got, degrees)
		}
	}
	part, err := p.Cut(100, 200, 300, 400)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	if part.Width() != 300 || part.Height() != 400 {
		t.Errorf("cut to %d x %d, want 300 x 400", part.Width(), part.Height())
	}
}

func TestFade(t *testing.T) {
	lockThread(t)
	for _, tt := range []struct {
		name  string
		ink   uint8 // on an even page
		shine float64
		white bool
	}{
		{"print", 40, 0.3, false},
		{"pencil", 130, 0, false},
		{"what is seen through the paper", 150, 0.25, true},
		{"little is seen through", 160, 0.05, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := drawn(t, paperLevel, func(m *image.Gray) { fill(m, image.Rect(400, 400, 500, 500), tt.ink) })
			if err := p.Whiten(); err != nil {
				t.Fatal(err)
			}
			if err := p.Fade(tt.shine); err != nil {
				t.Fatal(err)
			}
			got := color.GrayModel.Convert(goImage(t, p).At(450, 450)).(color.Gray).Y
			if (got == 255) != tt.white {
				t.Errorf("%d became %d, want white %v", tt.ink, got, tt.white)
			}
		})
	}
}
