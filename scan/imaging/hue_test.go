package imaging

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"testing"
)

// mix gives a share of b to a, 0 to 1.
func mix(a, b color.NRGBA, share float64) color.NRGBA {
	one := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + share*(float64(b)-float64(a)))) }
	return color.NRGBA{one(a.R, b.R), one(a.G, b.G), one(a.B, b.B), 255}
}

// patch puts a colour onto a rectangle with round ends, whose edges fade over so many pixels.
func patch(m *image.NRGBA, r image.Rectangle, fade float64, c color.NRGBA) {
	radius := float64(min(r.Dx(), r.Dy())) / 2
	for y := r.Min.Y - int(fade); y < r.Max.Y+int(fade); y++ {
		for x := r.Min.X - int(fade); x < r.Max.X+int(fade); x++ {
			dx := max(float64(r.Min.X)+radius-float64(x), float64(x)-float64(r.Max.X)+radius, 0)
			dy := max(float64(r.Min.Y)+radius-float64(y), float64(y)-float64(r.Max.Y)+radius, 0)
			share := min(max((radius-math.Hypot(dx, dy))/fade+0.5, 0), 1)
			m.SetNRGBA(x, y, mix(m.NRGBAAt(x, y), c, share))
		}
	}
}

// Marks that are nearly as light as their paper are told by their colour; the colour of the paper, and
// what is on it or in it without having been put there, tells nothing.
func TestHued(t *testing.T) {
	lockThread(t)
	var (
		white  = color.NRGBA{248, 247, 244, 255}
		yellow = color.NRGBA{250, 238, 190, 255}
		blue   = color.NRGBA{200, 222, 245, 255}
		brown  = color.NRGBA{240, 228, 205, 255}
		sign   = image.Rect(300, 400, 500, 600)
	)
	const sharp, through, soaked = 1.0, 9.0, 30.0 // pixels of a tenth of a millimetre
	tests := []struct {
		name  string
		paper color.NRGBA
		draw  func(m *image.NRGBA)
		want  bool
	}{
		{"nothing", white, func(*image.NRGBA) {}, false},
		{"tinted paper", blue, func(*image.NRGBA) {}, false},
		{"a firm's sign in pale green", white, func(m *image.NRGBA) { patch(m, sign, sharp, color.NRGBA{226, 244, 226, 255}) }, true},
		{"in pale blue on yellow paper", yellow, func(m *image.NRGBA) { patch(m, sign, sharp, color.NRGBA{232, 232, 196, 255}) }, true},
		{"in pink on blue paper", blue, func(m *image.NRGBA) { patch(m, sign, sharp, color.NRGBA{214, 204, 230, 255}) }, true},
		{"in beige", white, func(m *image.NRGBA) { patch(m, sign, sharp, brown) }, true},
		{"a stroke of a yellow marker", white, func(m *image.NRGBA) { patch(m, image.Rect(300, 400, 700, 445), sharp, color.NRGBA{250, 249, 160, 255}) }, true},
		{"a line of light blue pencil", white, func(m *image.NRGBA) { patch(m, image.Rect(300, 400, 500, 407), sharp, color.NRGBA{200, 230, 250, 255}) }, true},
		{"a sign that is seen through the paper", white, func(m *image.NRGBA) { patch(m, sign, through, color.NRGBA{226, 244, 226, 255}) }, false},
		{"a marker through the paper", white, func(m *image.NRGBA) {
			patch(m, image.Rect(300, 400, 700, 445), through, color.NRGBA{249, 247, 225, 255})
		}, false},
		{"a stain", white, func(m *image.NRGBA) { patch(m, sign, soaked, brown) }, false},
		{"the ring of a cup", white, func(m *image.NRGBA) {
			patch(m, image.Rect(280, 380, 520, 620), 5, brown)
			patch(m, sign, 5, white)
		}, false},
		{"a dark mark with coloured edges", white, func(m *image.NRGBA) {
			patch(m, image.Rect(298, 400, 498, 600), sharp, color.NRGBA{250, 200, 200, 255})
			patch(m, sign, sharp, color.NRGBA{40, 40, 40, 255})
		}, false},
		{"a streak of the glass", white, func(m *image.NRGBA) { patch(m, image.Rect(400, 0, 402, 1400), sharp, color.NRGBA{225, 247, 244, 255}) }, false},
		{"yellowed edges", white, func(m *image.NRGBA) {
			for y := range 1400 {
				for x := range 1000 {
					m.SetNRGBA(x, y, mix(white, color.NRGBA{235, 220, 180, 255}, math.Exp(-float64(min(x, y, 999-x, 1399-y))/60)))
				}
			}
		}, false},
		{"tinted paper in uneven light", yellow, func(m *image.NRGBA) {
			for y := range 1400 {
				for x := range 1000 {
					m.SetNRGBA(x, y, mix(yellow, color.NRGBA{A: 255}, 0.35*float64(x)/1000))
				}
			}
		}, false},
		{"a strip of a bed that is as light as the paper", yellow, func(m *image.NRGBA) {
			for y := range 1400 {
				for x := range 80 {
					m.SetNRGBA(x, y, color.NRGBA{238, 238, 238, 255})
				}
			}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := image.NewNRGBA(image.Rect(0, 0, 1000, 1400))
			draw.Draw(m, m.Rect, image.NewUniform(tt.paper), image.Point{}, draw.Src)
			tt.draw(m)
			r := rand.New(rand.NewPCG(11, 12))
			for i := range m.Pix {
				if i%4 < 3 {
					m.Pix[i] = uint8(min(max(int(m.Pix[i])+r.IntN(7)-3, 0), 255))
				}
			}
			page := pixOf(t, m)
			// As scanners send it: colours at half the resolution, in coarse steps.
			for _, quality := range []int{50, 85} {
				data, err := page.EncodeJPEG(quality)
				if err != nil {
					t.Fatal(err)
				}
				h, err := ReadHeader(data, 2*limit)
				if err != nil {
					t.Fatal(err)
				}
				planes, err := DecodePlanes(data, h, 1)
				if err != nil {
					t.Fatal(err)
				}
				defer planes.Close()
				if got := planes.Hued(250, findSheet(raster{}, 1000, 1400), 1000, care); got != tt.want {
					t.Errorf("quality %d: %v, want %v", quality, got, tt.want)
				}
			}
		})
	}
}

// What has no colour, or is too small to tell, has no marks.
func TestHuedWithout(t *testing.T) {
	lockThread(t)
	gray, err := drawn(t, paperLevel, lines).Planes()
	if err != nil {
		t.Fatal(err)
	}
	defer gray.Close()
	if gray.Hued(250, findSheet(raster{}, 1000, 1400), 1000, care) {
		t.Error("a grey page has coloured marks")
	}
	for _, size := range []int{1, 2, 20, 80} {
		p := Planes{Y: NewPlane(size, size), Cb: NewPlane((size+1)/2, (size+1)/2), Cr: NewPlane((size+1)/2, (size+1)/2)}
		for _, dpi := range []float64{75, 250, 1200} {
			if p.Hued(dpi, findSheet(raster{}, size, size), size, care) {
				t.Errorf("%d pixels at %.0f dpi have coloured marks", size, dpi)
			}
		}
	}
}
