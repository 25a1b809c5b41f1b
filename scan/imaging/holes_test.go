package imaging

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"testing"
)

// Two discs as far from each other as punches have them are holes; others are print.
func TestHoles(t *testing.T) {
	lockThread(t)
	const mm = 250 / 25.4
	punched := func(m *image.Gray, x, y, radius float64) {
		ball(m, int(x*mm), int(y*mm), int(radius*mm), 0, 25)
	}
	tests := []struct {
		name string
		draw func(m *image.Gray)
		want int
	}{
		{"nothing", func(*image.Gray) {}, 0},
		{"two", func(m *image.Gray) { punched(m, 12, 31, 3); punched(m, 12, 111, 3) }, 2},
		{"two, a little askew", func(m *image.Gray) { punched(m, 11, 31, 3); punched(m, 13.5, 111, 3) }, 2},
		{"two of North America, at the right", func(m *image.Gray) { punched(m, 89, 17, 3.6); punched(m, 89, 125, 3.6) }, 2},
		{"one alone", func(m *image.Gray) { punched(m, 12, 31, 3) }, 0},
		{"two in the middle", func(m *image.Gray) { punched(m, 50, 31, 3); punched(m, 50, 111, 3) }, 0},
		{"points of a list", func(m *image.Gray) {
			for i := range 10 {
				punched(m, 12, 20+12*float64(i), 1.5)
			}
		}, 0},
		{"large points of a list", func(m *image.Gray) {
			for i := range 5 {
				punched(m, 12, 20+15*float64(i), 3)
			}
		}, 0},
		{"points of a list at a fifth of a punch's distance", func(m *image.Gray) {
			for i := range 6 {
				punched(m, 12, 20+16*float64(i), 3)
			}
		}, 0},
		{"squares", func(m *image.Gray) {
			fill(m, image.Rect(90, 270, 150, 330), 25)
			fill(m, image.Rect(90, 1057, 150, 1117), 25)
		}, 0},
		{"rings", func(m *image.Gray) { ball(m, 118, 305, 30, 24, 25); ball(m, 118, 1092, 30, 24, 25) }, 0},
		{"print", lines, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := drawn(t, 230, tt.draw)
			s := findSheet(raster{}, p.Width(), p.Height())
			s.Level = 230
			holes, err := p.Holes(250, s)
			if err != nil || len(holes) != tt.want {
				t.Fatalf("%v, %v: want %d", holes, err, tt.want)
			}
			if err := p.Fill(holes, 230); err != nil {
				t.Fatal(err)
			}
			if again, err := p.Holes(250, s); err != nil || len(again) != 0 {
				t.Errorf("filled, there is %v, %v", again, err)
			}
			if r := p.raster(); tt.want > 0 {
				for i, v := range r.pix {
					if v != 230 {
						t.Fatalf("%d is left at %d, %d", v, i%r.w, i/r.w)
					}
				}
			}
		})
	}
}

// What is painted over has the colour of the paper around it, in planes of any size.
func TestFillPlanes(t *testing.T) {
	p := Planes{Y: NewPlane(200, 200), Cb: NewPlane(100, 100), Cr: NewPlane(100, 100)}
	for i := range p.Y.Pix {
		p.Y.Pix[i] = 220
	}
	for i := range p.Cb.Pix {
		p.Cb.Pix[i], p.Cr.Pix[i] = 120, 135
	}
	for y := -30; y <= 30; y++ {
		for x := -30; x <= 30; x++ {
			if x*x+y*y <= 30*30 {
				p.Y.Row(100 + y)[60+x], p.Cb.Row((100 + y) / 2)[(60+x)/2], p.Cr.Row((100 + y) / 2)[(60+x)/2] = 20, 128, 128
			}
		}
	}
	p.Fill([]Hole{{120, 200, 60}}, 400) // of an image of twice the size
	for name, want := range map[string]struct {
		plane *Plane
		level uint8
	}{"Y": {p.Y, 220}, "Cb": {p.Cb, 120}, "Cr": {p.Cr, 135}} {
		for i, v := range want.plane.Pix {
			if v != want.level {
				t.Errorf("%s is %d at %d, %d", name, v, i%want.plane.Width, i/want.plane.Width)
				break
			}
		}
	}
}

// The paper around a hole covers it in an image of any depth.
func TestCover(t *testing.T) {
	lockThread(t)
	const width, height = 200, 300
	for _, tt := range []struct {
		name  string
		m     draw.Image
		paper color.Color
	}{
		{"colour", image.NewNRGBA(image.Rect(0, 0, width, height)), color.NRGBA{R: 250, G: 230, B: 180, A: 255}},
		{"grey", image.NewGray(image.Rect(0, 0, width, height)), color.Gray{Y: 225}},
		{"black and white", image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.White, color.Black}), color.White},
	} {
		t.Run(tt.name, func(t *testing.T) {
			draw.Draw(tt.m, tt.m.Bounds(), image.NewUniform(tt.paper), image.Point{}, draw.Src)
			for y := range height {
				for x := range width {
					if (x-30)*(x-30)+(y-50)*(y-50) <= 15*15 || (x-5)*(x-5)+(y-250)*(y-250) <= 15*15 {
						tt.m.Set(x, y, color.Black)
					}
				}
			}
			var b bytes.Buffer
			if err := png.Encode(&b, tt.m); err != nil {
				t.Fatal(err)
			}
			h, err := ReadHeader(b.Bytes(), limit)
			if err != nil {
				t.Fatal(err)
			}
			p, _, err := Decode(b.Bytes(), h, 1, false)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			// In an image of twice the size; one is cut off by its edge.
			if err := p.Cover([]Hole{{60, 100, 30}, {10, 500, 30}}, 2*width); err != nil {
				t.Fatal(err)
			}
			m := goImage(t, p)
			for y := range height {
				for x := range width {
					if got, want := color.RGBAModel.Convert(m.At(x, y)), color.RGBAModel.Convert(tt.paper); got != want {
						t.Fatalf("%v at %d, %d, want %v", got, x, y, want)
					}
				}
			}
		})
	}
}
