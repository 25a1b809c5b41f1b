package mrc

import (
	"bytes"
	"errors"
	"image"
	imgcolor "image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	xdraw "golang.org/x/image/draw"

	"docscan/scan/imaging"
	"docscan/scan/imaging/jbig2"
)

const testDPI = 300

// print sets a line of text in points.
func print(t testing.TB, img draw.Image, s string, x, y int, points float64, c imgcolor.Color) {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: points, DPI: testDPI})
	if err != nil {
		t.Fatal(err)
	}
	defer face.Close()
	d := font.Drawer{Dst: img, Src: image.NewUniform(c), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(s)
}

func box(img draw.Image, x0, y0, x1, y1 int, c imgcolor.Color) {
	draw.Draw(img, image.Rect(x0, y0, x1, y1), image.NewUniform(c), image.Point{}, draw.Src)
}

// grain is what a scanner adds: some blur, and noise.
func grain(img *image.RGBA, seed uint64) *image.RGBA {
	b := img.Bounds()
	half := image.NewRGBA(image.Rect(0, 0, b.Dx()*2/3, b.Dy()*2/3))
	xdraw.ApproxBiLinear.Scale(half, half.Bounds(), img, b, draw.Src, nil)
	out := image.NewRGBA(b)
	xdraw.ApproxBiLinear.Scale(out, b, half, half.Bounds(), draw.Src, nil)
	addNoise(out, rand.New(rand.NewPCG(seed, 1)), 3)
	return out
}

// addNoise makes pixels lighter and darker by some levels, in the root of the mean square.
func addNoise(img *image.RGBA, r *rand.Rand, levels float64) {
	for i := 0; i < len(img.Pix); i += 4 {
		n := int(r.NormFloat64() * levels)
		for k := range 3 {
			img.Pix[i+k] = uint8(min(max(int(img.Pix[i+k])+n, 0), 255))
		}
	}
}

// photograph fills a rectangle with soft shapes and texture.
func photograph(img *image.RGBA, r image.Rectangle) {
	random := rand.New(rand.NewPCG(5, 6))
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			v := 120 + 70*math.Sin(float64(x)/37) + 50*math.Cos(float64(y)/23+float64(x)/90) + 12*random.NormFloat64()
			at := func(f float64) uint8 { return uint8(min(max(f, 0), 255)) }
			img.SetRGBA(x, y, imgcolor.RGBA{at(v), at(v * 0.8), at(v*0.5 + 30), 255})
		}
	}
}

// A shown page is what its layers show, at the size at which they were made.
type shown struct {
	img    *image.RGBA
	layers []Layer
	inks   []ink
}

// show takes img apart and puts it together again.
func show(t testing.TB, img *image.RGBA, o Options) shown {
	t.Helper()
	p := planes(t, encode(t, img))
	s, err := newSeparation(p, p.Y.Width, p.Y.Height, testDPI, o)
	if err != nil {
		t.Fatal(err)
	}
	layers, inks, err := s.take()
	if err != nil {
		t.Fatal(err)
	}
	out := shown{canvas(s.w, s.h), layers, inks}
	for _, l := range layers {
		at := image.Rect(int(l.X), int(l.Y), int(l.X+l.Width+0.5), int(l.Y+l.Height+0.5))
		if l.Kind == Fill {
			draw.Draw(out.img, at, image.NewUniform(rgba(l.Color)), image.Point{}, draw.Src)
			continue
		}
		photo, err := jpeg.Decode(bytes.NewReader(l.Data))
		if err != nil {
			t.Fatal(err)
		}
		if b := photo.Bounds(); b.Dx() != l.Columns || b.Dy() != l.Rows {
			t.Errorf("a JPEG of %v, said to have %d x %d pixels", b, l.Columns, l.Rows)
		}
		xdraw.NearestNeighbor.Scale(out.img, at, photo, photo.Bounds(), draw.Src, nil)
	}
	for _, i := range inks {
		for y := range i.bits.Height {
			for x := range i.bits.Width {
				if i.bits.At(x, y) {
					out.img.SetRGBA(i.x+x, i.y+y, rgba(i.color.rgb()))
				}
			}
		}
	}
	return out
}

func rgba(c [3]uint8) imgcolor.RGBA { return imgcolor.RGBA{c[0], c[1], c[2], 255} }

// differs gives the mean difference of two images over a rectangle, in levels.
func differs(a, b *image.RGBA, r image.Rectangle) float64 {
	sum, n := 0, 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			p, q := a.RGBAAt(x, y), b.RGBAAt(x, y)
			sum += abs(int(p.R)-int(q.R)) + abs(int(p.G)-int(q.G)) + abs(int(p.B)-int(q.B))
			n += 3
		}
	}
	return float64(sum) / float64(n)
}

// inked gives the share of a rectangle that is ink.
func (s *shown) inked(r image.Rectangle) float64 {
	return s.colored(r, func(color) bool { return true })
}

// What stands on a page must stand on it again, each thing as sharp and of the
// colour that it was, whatever is next to it.
func TestWhatSurvives(t *testing.T) {
	const width, height = 1240, 700
	middle := image.Rect(100, 250, 1100, 400)
	type page struct {
		draw  func(img *image.RGBA)
		ink   bool    // it must be a stencil
		most  float64 // mean difference from the page before it was scanned
		where image.Rectangle
	}
	white, black := imgcolor.Gray{250}, imgcolor.Gray{25}
	tests := map[string]page{
		"black print": {func(img *image.RGBA) { print(t, img, "The quick brown fox", 120, 360, 11, black) }, true, 9, middle},
		"small print": {func(img *image.RGBA) { print(t, img, "The quick brown fox jumps", 120, 340, 5, black) }, true, 6, middle},
		"red print": {func(img *image.RGBA) {
			print(t, img, "The quick brown fox", 120, 360, 11, imgcolor.RGBA{190, 20, 30, 255})
		}, true, 9, middle},
		"blue beside black": {func(img *image.RGBA) {
			print(t, img, "The quick brown", 120, 360, 11, imgcolor.RGBA{20, 40, 170, 255})
			print(t, img, "fox jumps", 700, 360, 11, black)
		}, true, 9, middle},
		"pale pencil": {func(img *image.RGBA) { print(t, img, "The quick brown fox", 120, 360, 12, imgcolor.Gray{195}) }, true, 7, middle},
		"pencil beside print": {func(img *image.RGBA) {
			print(t, img, "Name:", 120, 360, 11, black)
			print(t, img, "Hollander", 330, 360, 12, imgcolor.Gray{190})
		}, true, 8, middle},
		"white on dark": {func(img *image.RGBA) {
			box(img, 60, 230, 1180, 420, imgcolor.RGBA{20, 50, 110, 255})
			print(t, img, "The quick brown fox", 120, 360, 12, white)
		}, true, 12, middle},
		"black on a tint": {func(img *image.RGBA) {
			box(img, 60, 230, 1180, 420, imgcolor.RGBA{205, 220, 235, 255})
			print(t, img, "The quick brown fox", 120, 360, 12, black)
		}, true, 10, middle},
		"highlighter": {func(img *image.RGBA) {
			box(img, 110, 290, 800, 380, imgcolor.RGBA{250, 245, 90, 255})
			print(t, img, "The quick brown fox", 120, 360, 11, black)
		}, true, 11, middle},
		"stamp over print": {func(img *image.RGBA) {
			print(t, img, "The quick brown fox", 120, 360, 11, black)
			for y := 255; y < 395; y++ {
				for x := 500; x < 860; x++ {
					if edge := min(x-500, 860-x, y-255, 395-y); edge < 12 && (x*7+y*13)%11 != 0 {
						img.SetRGBA(x, y, imgcolor.RGBA{200, 30, 60, 255})
					}
				}
			}
		}, true, 12, middle},
		"thin lines": {func(img *image.RGBA) {
			for y := 260; y < 400; y += 40 {
				box(img, 100, y, 1100, y+2, black)
			}
		}, true, 7, middle},
		"a large letter": {func(img *image.RGBA) { print(t, img, "BIG", 150, 500, 90, black) }, true, 6, image.Rect(100, 150, 1100, 600)},
		"a photograph":   {func(img *image.RGBA) { photograph(img, image.Rect(200, 150, 900, 600)) }, false, 14, image.Rect(220, 170, 880, 580)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			img := canvas(width, height)
			box(img, 0, 0, width, height, white)
			tt.draw(img)
			got := show(t, grain(img, 9), Balanced())
			// White paper becomes white.
			want := canvas(width, height)
			draw.Draw(want, want.Bounds(), img, image.Point{}, draw.Src)
			for i, v := range want.Pix {
				if v == white.Y {
					want.Pix[i] = 255
				}
			}
			if d := differs(got.img, want, tt.where); d > tt.most {
				t.Errorf("it differs by %.1f levels, want at most %.1f", d, tt.most)
			}
			if share := got.inked(tt.where); tt.ink != (share > 0.002) {
				t.Errorf("%.2f %% of it is ink", 100*share)
			}
		})
	}
}

// Letters that a worn ribbon has left as pale as the paper's noise keep their shape, and
// are no smear in the paper.
func TestWornPrint(t *testing.T) {
	img := canvas(1240, 700)
	box(img, 0, 0, 1240, 700, imgcolor.Gray{242})
	print(t, img, "Should the enclosed", 120, 300, 11, imgcolor.Gray{60})
	print(t, img, "cheque not be paid", 120, 400, 11, imgcolor.Gray{192})
	scanned := grain(img, 9)
	addNoise(scanned, rand.New(rand.NewPCG(2, 3)), 7)
	got := show(t, scanned, Balanced())
	pale := image.Rect(120, 350, 800, 420)
	want := canvas(1240, 700)
	print(t, want, "cheque not be paid", 120, 400, 11, imgcolor.Gray{205}) // white paper becomes white
	if d, blank := differs(got.img, want, pale), differs(canvas(1240, 700), want, pale); d > blank*2/3 {
		t.Errorf("pale print differs by %.1f levels; if it were not there it would by %.1f", d, blank)
	}
}

// Strokes that are hardly darker than the paper, beside dark ones, are kept where the engine
// has read a doubtful word.
func TestPaleStrokesOfDoubtfulWords(t *testing.T) {
	img := canvas(900, 600)
	box(img, 0, 0, 900, 600, imgcolor.Gray{245})
	inked := func(got shown, y int) (share float64) {
		for x := 112; x < 712; x += 24 {
			share += got.inked(image.Rect(x, y, x+4, y+40)) / 25
		}
		return share
	}
	for _, y := range []int{150, 350} {
		for x := 100; x < 700; x += 24 {
			box(img, x, y, x+4, y+40, imgcolor.Gray{40})
			box(img, x+12, y, x+16, y+40, imgcolor.Gray{230})
		}
	}
	o := Balanced()
	o.Soft = []image.Rectangle{image.Rect(80, 130, 720, 210)}
	got := show(t, img, o)
	if a, b := inked(got, 150), inked(got, 350); a < 0.7 || b > 0.1 {
		t.Errorf("%.2f of the pale strokes of doubtful words are ink, %.2f of others; want all and none", a, b)
	}
}

// Where ink is to keep its soft edges they are nearer to what was scanned, and nothing else
// changes.
func TestSoftEdges(t *testing.T) {
	img := canvas(1240, 700)
	print(t, img, "The quick brown fox", 120, 300, 9, imgcolor.Gray{30})
	print(t, img, "The quick brown fox", 120, 500, 9, imgcolor.Gray{30})
	soft, sharp := image.Rect(100, 250, 900, 330), image.Rect(100, 450, 900, 530)
	scanned := grain(img, 9)
	plain := show(t, scanned, Balanced())
	o := Balanced()
	o.Soft = []image.Rectangle{soft, image.Rect(-50, 650, 5000, 9000)}
	got := show(t, scanned, o)
	if a, b := differs(got.img, scanned, soft), differs(plain.img, scanned, soft); a > b*7/8 {
		t.Errorf("with soft edges it differs by %.1f levels, without by %.1f", a, b)
	}
	if a, b := differs(got.img, scanned, sharp), differs(plain.img, scanned, sharp); a != b {
		t.Errorf("elsewhere it differs by %.1f levels, before by %.1f", a, b)
	}
}

// Paper keeps its tint; white paper with grain is white and nothing else.
func TestPaper(t *testing.T) {
	for name, tt := range map[string]struct {
		paper imgcolor.RGBA
		want  [3]uint8
		off   int
	}{
		"white":    {imgcolor.RGBA{246, 246, 247, 255}, [3]uint8{255, 255, 255}, 0},
		"cream":    {imgcolor.RGBA{244, 238, 220, 255}, [3]uint8{244, 238, 220}, 4},
		"recycled": {imgcolor.RGBA{205, 203, 192, 255}, [3]uint8{205, 203, 192}, 4},
		"black":    {imgcolor.RGBA{20, 20, 20, 255}, [3]uint8{20, 20, 20}, 4},
	} {
		img := canvas(800, 800)
		box(img, 0, 0, 800, 800, tt.paper)
		got := show(t, grain(img, 3), Balanced())
		if len(got.layers) != 1 || got.layers[0].Kind != Fill || len(got.inks) != 0 {
			t.Errorf("%s paper has %d layers and %d inks, want one layer", name, len(got.layers), len(got.inks))
		}
		for i, v := range got.layers[0].Color {
			if abs(int(v)-int(tt.want[i])) > tt.off {
				t.Errorf("%s paper is %v, want %v", name, got.layers[0].Color, tt.want)
			}
		}
	}
}

// Photographs have 150 dpi at least, and print beside them stays sharp.
func TestPhotograph(t *testing.T) {
	img := canvas(1240, 1240)
	photo := image.Rect(200, 150, 900, 600)
	photograph(img, photo)
	print(t, img, "The quick brown fox", 200, 720, 11, imgcolor.Gray{20})
	got := show(t, grain(img, 4), Balanced())
	// The paper's own layer, which is coarse, may lie below.
	i := slices.IndexFunc(got.layers, func(l Layer) bool { return l.Kind == Picture && l.Height > 400 && l.Height < 2.5*float64(l.Rows) })
	if i < 0 {
		t.Fatalf("no photograph in %+v", got.layers)
	}
	l := got.layers[i]
	if dpi := testDPI * float64(l.Columns) / l.Width; dpi < 149 {
		t.Errorf("the photograph has %.0f dpi, want 150", dpi)
	}
	if l.X > 200 || l.Y > 150 || l.X+l.Width < 900 || l.Y+l.Height < 600 {
		t.Errorf("the photograph is at %g, %g, %g x %g, which cuts it", l.X, l.Y, l.Width, l.Height)
	}
	if got.inked(image.Rect(200, 670, 900, 740)) == 0 {
		t.Error("the line below the photograph is no ink")
	}
}

// The places of layers are those of the page, also when it was reduced, doubled
// or turned.
func TestPlaces(t *testing.T) {
	for _, tt := range []struct{ dpi, width, height int }{{150, 620, 877}, {300, 1240, 1000}, {600, 1240, 1000}} {
		img := canvas(tt.width, tt.height)
		box(img, tt.width/2-10, tt.height/2-60, tt.width/2+10, tt.height/2+60, imgcolor.Black)
		data := encode(t, img)
		h, err := imaging.ReadHeader(data, 1e9)
		if err != nil {
			t.Fatal(err)
		}
		p, err := imaging.DecodePlanes(data, h, Reduction(tt.dpi))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		layers, err := Separate(p, tt.width, tt.height, tt.dpi, Balanced())
		if err != nil {
			t.Fatal(err)
		}
		if got := layers[0]; got.Width != float64(tt.width) || got.Height != float64(tt.height) {
			t.Errorf("at %d dpi the paper is %g x %g, want %d x %d", tt.dpi, got.Width, got.Height, tt.width, tt.height)
		}
		last := layers[len(layers)-1]
		around := margin * last.Width / float64(last.Columns)
		want := [4]float64{float64(tt.width)/2 - 10 - around, float64(tt.height)/2 - 60 - around, 20 + 2*around, 120 + 2*around}
		for i, v := range [4]float64{last.X, last.Y, last.Width, last.Height} {
			if math.Abs(v-want[i]) > 2.5 || last.Kind != Stencil {
				t.Errorf("at %d dpi the bar is a %s at %v, want %v", tt.dpi, last.Kind, v, want[i])
			}
		}
	}
}

func TestSameInputSameLayers(t *testing.T) {
	data := scanned(t, 0, 0, 200)
	var got [2][]Layer
	for i := range got {
		p := planes(t, data)
		var err error
		if got[i], err = Separate(p, p.Y.Width, p.Y.Height, 200, Balanced()); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got[0], got[1]) {
		t.Error("the same page was taken apart in two ways")
	}
}

func TestUnsuited(t *testing.T) {
	for _, tt := range []struct{ width, height, dpi int }{{1, 1, 300}, {2000, 20, 300}, {800, 800, 80}} {
		p := &imaging.Planes{Y: imaging.NewPlane(tt.width, tt.height)}
		if _, err := Separate(p, tt.width, tt.height, tt.dpi, Balanced()); !errors.Is(err, ErrResolution) {
			t.Errorf("%d x %d at %d dpi: %v, want %v", tt.width, tt.height, tt.dpi, err, ErrResolution)
		}
	}
}

// Pixels come from outside: any of them, in planes of any size.
func FuzzSeparate(f *testing.F) {
	f.Add(uint8(0), uint8(0), uint16(300), false, []byte{0, 255, 128, 3, 9})
	f.Add(uint8(77), uint8(13), uint16(150), true, bytes.Repeat([]byte{250, 250, 250, 10}, 40))
	f.Fuzz(func(t *testing.T, w, h uint8, dpi uint16, gray bool, seed []byte) {
		width, height := 64+int(w), 64+int(h)
		noise := func(width, height int) *imaging.Plane {
			p := imaging.NewPlane(width, height)
			for i := range p.Pix {
				if len(seed) > 0 {
					p.Pix[i] = seed[(i+i/width*7)%len(seed)]
				}
			}
			return p
		}
		p := &imaging.Planes{Y: noise(width, height)}
		if !gray {
			p.Cb, p.Cr = noise((width+1)/2, (height+1)/2), noise(width, height)
		}
		layers, err := Separate(p, width, height, 75+int(dpi)%1100, Smallest())
		if err != nil && !errors.Is(err, ErrResolution) {
			t.Fatal(err)
		}
		for _, l := range layers {
			if !(l.X >= 0 && l.Y >= 0 && l.Width > 0 && l.Height > 0) || (l.Kind == Fill) != (len(l.Data) == 0) {
				t.Errorf("layer %s at %g, %g of %g x %g with %d bytes", l.Kind, l.X, l.Y, l.Width, l.Height, len(l.Data))
			}
		}
	})
}

// Colours are kept where there are some.
func TestColoured(t *testing.T) {
	blue, black := imgcolor.RGBA{36, 58, 140, 255}, imgcolor.RGBA{30, 30, 30, 255}
	tests := []struct {
		name string
		draw func(*image.RGBA)
		want bool
	}{
		{"nothing", func(*image.RGBA) {}, false},
		{"black print", func(img *image.RGBA) { print(t, img, "black print on white paper", 60, 200, 12, black) }, false},
		{"the fringes of a scanner", func(img *image.RGBA) {
			for x := 50; x < 700; x += 12 { // red before each stroke, cyan after it
				box(img, x, 100, x+1, 500, imgcolor.RGBA{200, 110, 110, 255})
				box(img, x+1, 100, x+4, 500, black)
				box(img, x+4, 100, x+5, 500, imgcolor.RGBA{110, 190, 190, 255})
			}
		}, false},
		{"a signature", func(img *image.RGBA) {
			for x := range 300 {
				box(img, 300+x, 600+x%40, 304+x, 604+x%40, blue)
			}
		}, true},
		{"a red stamp", func(img *image.RGBA) { print(t, img, "PAID", 400, 300, 20, imgcolor.RGBA{190, 40, 40, 255}) }, true},
		{"a photograph", func(img *image.RGBA) { photograph(img, image.Rect(200, 200, 500, 400)) }, true},
		{"recycled paper", func(img *image.RGBA) { box(img, 0, 0, 800, 800, imgcolor.RGBA{205, 203, 192, 255}) }, false},
		{"pink paper", func(img *image.RGBA) { box(img, 0, 0, 800, 800, imgcolor.RGBA{245, 200, 205, 255}) }, true},
	}
	for _, tt := range tests {
		img := canvas(800, 800)
		tt.draw(img)
		if got := Coloured(planes(t, encode(t, grain(img, 3))), 300); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Who wants the paper as it is gets it.
func TestPaperAsItIs(t *testing.T) {
	img := canvas(800, 800)
	box(img, 0, 0, 800, 800, imgcolor.RGBA{240, 240, 241, 255})
	o := Balanced()
	o.Paper = true
	if got := show(t, grain(img, 3), o).layers[0].Color; abs(int(got[0])-240) > 3 {
		t.Errorf("the paper is %v, want 240", got)
	}
}

// What is seen through the paper stays part of it, while print becomes ink.
func TestSeenThrough(t *testing.T) {
	img := canvas(800, 800)
	box(img, 0, 0, 800, 800, imgcolor.RGBA{245, 245, 245, 255})
	print(t, img, "the other side of the sheet", 60, 200, 14, imgcolor.RGBA{190, 190, 190, 255})
	print(t, img, "this side of the sheet", 60, 500, 14, imgcolor.RGBA{40, 40, 40, 255})
	other, this := image.Rect(50, 100, 800, 230), image.Rect(50, 400, 800, 530)
	grain(img, 3)
	o := Balanced()
	if got := show(t, img, o); got.inked(other) == 0 || got.inked(this) == 0 {
		t.Error("without a word of it both are ink")
	}
	o.Shine = 0.22
	if got := show(t, img, o); got.inked(other) != 0 || got.inked(this) == 0 {
		t.Errorf("ink on %.4f of the other side's print and %.4f of this one's", got.inked(other), got.inked(this))
	}
}

// Light print on dark paper is as sharp as dark print on light paper, and has
// the colours that were scanned.
func TestNegative(t *testing.T) {
	img := canvas(800, 800)
	paper := imgcolor.RGBA{40, 78, 120, 255}
	box(img, 0, 0, 800, 800, paper)
	print(t, img, "light print on a dark sheet", 60, 400, 12, imgcolor.RGBA{250, 250, 250, 255})
	grain(img, 3)
	o := Balanced()
	o.Negative = true
	p := planes(t, encode(t, img))
	layers, err := Separate(p, 800, 800, testDPI, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range layers[0].Color {
		if want := []uint8{40, 78, 120}[i]; layers[0].Kind != Fill || abs(int(v)-int(want)) > 6 {
			t.Errorf("the paper is %v, want %v", layers[0].Color, paper)
		}
	}
	print := 0
	for _, l := range layers[1:] {
		if l.Kind == Stencil && l.Color[0] > 220 && l.Color[1] > 220 && l.Color[2] > 220 {
			print++
		}
	}
	if print != 1 {
		t.Errorf("%d stencils are light in %d layers, want one", print, len(layers))
	}
}

// The grain of a grey bed around a sheet is a photograph to the eye of the machine, and would
// make one of the whole page. Print up to the edge of the sheet stays, also beside paper that lies in the shade.
func TestBedIsLeftOut(t *testing.T) {
	img := canvas(900, 900)
	photograph(img, img.Rect)
	sheet := image.Rect(90, 70, 830, 820)
	box(img, sheet.Min.X, sheet.Min.Y, sheet.Max.X, sheet.Max.Y, imgcolor.Gray{240})
	box(img, sheet.Min.X, 600, sheet.Max.X, sheet.Max.Y, imgcolor.Gray{225})
	for y := 150; y < 800; y += 60 {
		print(t, img, "words on a sheet that lies on a bed", 110, y, 10, imgcolor.Gray{20})
	}
	box(img, 780, 300, 830, 320, imgcolor.Gray{20})
	grain(img, 5)
	pictures := func(s shown) (size int) {
		for _, l := range s.layers {
			size += len(l.Data)
		}
		return size
	}
	o := Balanced()
	if with := show(t, img, o); pictures(with) < 15_000 {
		t.Fatalf("pictures of %d bytes with the bed, so that this tests nothing", pictures(with))
	}
	o.Sheet = sheet
	got := show(t, img, o)
	if size := pictures(got); size > 3000 {
		t.Errorf("pictures of %d bytes without the bed", size)
	}
	if n := got.inked(image.Rect(785, 303, 828, 317)); n < 0.95 {
		t.Errorf("of what is printed up to the edge %.2f is ink", n)
	}
	if got.inked(image.Rect(0, 0, 900, 60)) > 0 || got.inked(image.Rect(0, 0, 80, 900)) > 0 {
		t.Error("there is ink on the bed")
	}
}

// Of a letter that is worn in places, the lens makes the thin strokes paler than
// half of the contrast of the others; the letter must not fall to pieces.
func TestThinStrokes(t *testing.T) {
	img := canvas(800, 400)
	const from, to = 110, 700
	for y := 100; y < 300; y += 50 {
		box(img, from-10, y-15, from, y+15, imgcolor.Gray{20})
		box(img, from, y, to, y+2, imgcolor.Gray{150})
		box(img, to, y-15, to+10, y+15, imgcolor.Gray{20})
	}
	got := show(t, grain(img, 4), Balanced())
	for y := 100; y < 300; y += 50 {
		gaps := 0
		for x := from; x < to; x++ {
			if got.inked(image.Rect(x, y-2, x+1, y+4)) == 0 {
				gaps++
			}
		}
		if most := (to - from) / 50; gaps > most {
			t.Errorf("the stroke at %d has %d gaps, want at most %d", y, gaps, most)
		}
	}
}

// On newsprint, whose grain is as strong as the contrast of hairlines, letters keep these, and
// have even edges.
func TestHairlinesOnNewsprint(t *testing.T) {
	img := canvas(900, 600)
	box(img, 0, 0, 900, 600, imgcolor.Gray{205})
	const hair, stem = 12, 5
	for y := 100; y < 500; y += 40 {
		for x := 100; x < 800; x += hair + stem {
			box(img, x, y-10, x+stem, y+12, imgcolor.Gray{90})
			box(img, x+stem, y, x+stem+hair, y+2, imgcolor.Gray{135})
		}
	}
	scanned := grain(img, 9)
	addNoise(scanned, rand.New(rand.NewPCG(2, 3)), 13)
	got := show(t, scanned, Balanced())
	gaps, all, specks := 0, 0, 0.0
	for y := 100; y < 500; y += 40 {
		for x := 100; x < 800-hair; x += hair + stem {
			for at := x + stem + 2; at < x+stem+hair-2; at++ {
				all++
				if got.inked(image.Rect(at, y-1, at+1, y+3)) == 0 {
					gaps++
				}
			}
		}
		specks += got.inked(image.Rect(100, y+16, 800, y+26)) / 10
	}
	if 5*gaps > all || specks > 0.005 {
		t.Errorf("%d of %d pixels of hairlines are not there; %.2f %% of the paper is ink", gaps, all, 100*specks)
	}
}

// Each ink has its own colour, also where one lies over another, and where there are
// many.
func TestColoursOfInks(t *testing.T) {
	img := canvas(1240, 700)
	black, red := imgcolor.RGBA{25, 25, 28, 255}, imgcolor.RGBA{200, 30, 60, 255}
	for y := 100; y < 400; y += 60 {
		print(t, img, "these words are black and go on", 100, y, 11, black)
	}
	stamp := func(x0, y0, x1, y1 int) {
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				if img.RGBAAt(x, y).R > 100 { // what is black stays so
					img.SetRGBA(x, y, red)
				}
			}
		}
	}
	stamp(300, 40, 310, 420)
	stamp(300, 210, 800, 220)
	stamp(790, 40, 800, 420)
	stamp(300, 410, 800, 420)
	many := []imgcolor.RGBA{{20, 120, 60, 255}, {30, 60, 170, 255}, {230, 120, 20, 255}, {120, 40, 140, 255}, {0, 130, 150, 255}, {130, 90, 40, 255}, {100, 100, 100, 255}, {160, 160, 160, 255}}
	for i, c := range many {
		print(t, img, "a line of its own", 60+i%2*600, 470+i/2*50, 10, c)
	}
	got := show(t, grain(img, 4), Balanced())
	// The hue of what is dark in a rectangle, as red less blue and green less blue.
	hue := func(r image.Rectangle, dark uint8) (rb, gb int) {
		n := 0
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				if c := got.img.RGBAAt(x, y); min(c.R, c.G, c.B) < dark {
					rb, gb, n = rb+int(c.R)-int(c.B), gb+int(c.G)-int(c.B), n+1
				}
			}
		}
		if n == 0 {
			t.Fatalf("nothing stands in %v", r)
		}
		return rb / n, gb / n
	}
	for _, r := range []image.Rectangle{image.Rect(250, 60, 295, 410), image.Rect(315, 230, 700, 400), image.Rect(315, 60, 700, 205)} {
		if rb, gb := hue(r, 200); abs(rb) > 16 || abs(gb) > 16 {
			t.Errorf("print in %v is off black by %d and %d levels", r, rb, gb)
		}
	}
	if rb, _ := hue(image.Rect(790, 60, 800, 400), 200); rb < 100 {
		t.Errorf("the stamp has %d levels more of red than of blue, want 140", rb)
	}
	for i, c := range many {
		r := image.Rect(60+i%2*600, 430+i/2*50, 460+i%2*600, 470+i/2*50)
		rb, gb := hue(r, 200)
		if wr, wg := int(c.R)-int(c.B), int(c.G)-int(c.B); abs(rb-wr) > 40 || abs(gb-wg) > 40 {
			t.Errorf("line %d is off by %d and %d levels", i, rb-wr, gb-wg)
		}
	}
}

// An area of one tint is even, and its edge sharp, whatever stands on it.
func TestTintHasASharpEdge(t *testing.T) {
	for name, tint := range map[string]imgcolor.RGBA{"yellow marker": {250, 240, 60, 255}, "pink marker": {255, 170, 200, 255}, "blue row": {215, 228, 244, 255}} {
		img := canvas(800, 400)
		marked := image.Rect(103, 121, 650, 262)
		box(img, 103, 121, 650, 262, tint)
		print(t, img, "marked words and", 120, 210, 11, imgcolor.Gray{25})
		print(t, img, "plain words", 120, 350, 11, imgcolor.Gray{25})
		got := show(t, grain(img, 4), Balanced())
		// Beyond what the lens blurs there is the one colour or the other.
		wrong, all := 0, 0
		for y := 100; y < 300; y++ {
			for x := 80; x < 680; x++ {
				at := image.Pt(x, y)
				want := imgcolor.RGBA{255, 255, 255, 255}
				if at.In(marked.Inset(3)) {
					want = tint
				} else if at.In(marked.Inset(-3)) {
					continue
				}
				c := got.img.RGBAAt(x, y)
				if img.RGBAAt(x, y) != want && at.In(marked) || min(c.R, c.G) < 130 {
					continue // print
				}
				all++
				if abs(int(c.R)-int(want.R)) > 12 || abs(int(c.G)-int(want.G)) > 12 || abs(int(c.B)-int(want.B)) > 30 {
					wrong++
				}
			}
		}
		if 200*wrong > all {
			t.Errorf("%s: %d of %d pixels have another colour", name, wrong, all)
		}
	}
}

// A line of print close to a photograph is not drawn half as ink and half as photograph.
func TestCaption(t *testing.T) {
	img := canvas(1240, 800)
	photograph(img, image.Rect(200, 120, 900, 600))
	const line = "A caption below the photograph"
	print(t, img, line, 220, 640, 8, imgcolor.Gray{25})
	alone := canvas(1240, 800)
	print(t, alone, line, 220, 640, 8, imgcolor.Gray{25})
	where := image.Rect(210, 606, 900, 655)
	got, want := show(t, grain(img, 4), Balanced()), show(t, grain(alone, 4), Balanced())
	if a, b := got.inked(where), want.inked(where); a < 0.97*b {
		t.Errorf("%.2f %% of the caption's place is ink, want %.2f", 100*a, 100*b)
	}
}

// A decimal point that is next to nothing after another program's clean-up stays: a sum is
// another one without it.
func TestPaleDotStays(t *testing.T) {
	img := canvas(600, 400)
	print(t, img, "12 50", 100, 200, 12, imgcolor.Gray{110})
	dot := image.Rect(163, 198, 166, 201)
	box(img, dot.Min.X, dot.Min.Y, dot.Max.X, dot.Max.Y, imgcolor.Gray{232})
	box(img, dot.Min.X, dot.Min.Y, dot.Max.X-1, dot.Max.Y-1, imgcolor.Gray{210})
	out := show(t, img, Balanced())
	if got := out.inked(dot); got < 0.3 {
		t.Errorf("%.2f of the dot is left", got)
	}
	if got := out.inked(image.Rect(300, 50, 590, 350)); got > 0 {
		t.Errorf("%.4f of empty paper is ink", got)
	}
}

// What sticks out of a straight edge by a pixel is noise; dots and thin strokes are none.
func TestTrim(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"bumps of one and two pixels",
			"..........  ...#..#...  .########.  .########.  .#########  .########.  ##########  .########.  .########.  ....##....",
			"..........  ..........  .########.  .########.  .########.  .########.  .########.  .########.  .########.  .........."},
		{"notches",
			"##########  ##########  ####.#####  ##########  ##########  ##########  ##########  ##########  #####..###  ..........  ..........  ..........",
			"##########  ##########  ####.#####  ##########  ##########  ##########  ##########  ##########  ##########  ..........  ..........  .........."},
		{"a step, and a stroke on an edge",
			"...#......  ...#......  .########.  .########.  .########.  .########.  .####.....  .####.....  .####.....  ..........",
			"...#......  ...#......  .########.  .########.  .########.  .########.  .####.....  .####.....  .####.....  .........."},
		{"dots and thin strokes",
			"..........  .##....#..  ####..###.  ####...#..  .##.......  ..........  ....#.....  ##########  ..........  ..........",
			"..........  .##....#..  ####..###.  ####...#..  .##.......  ..........  ....#.....  ##########  ..........  .........."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows := strings.Fields(tt.in)
			for _, at := range []int{3, 7, 12} { // within a byte, and across two
				s := &separation{w: 30, h: len(rows) + 8, dpi: testDPI, mask: jbig2.NewBitmap(30, len(rows)+8)}
				for y, row := range rows {
					for x, c := range row {
						if c == '#' {
							s.mask.Set(at+x, 4+y)
						}
					}
				}
				s.trim()
				for y, want := range strings.Fields(tt.want) {
					got := make([]byte, len(want))
					for x := range got {
						got[x] = '.'
						if s.mask.At(at+x, 4+y) {
							got[x] = '#'
						}
					}
					if string(got) != want {
						t.Errorf("from %d on, row %d is %s, want %s", at, y, got, want)
					}
				}
			}
		})
	}
}
