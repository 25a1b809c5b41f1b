package barcode

import (
	"bytes"
	"image"
	"image/jpeg"
	"runtime"
	"slices"
	"testing"

	"docscan/device/sim/sample"
	"docscan/scan/imaging"
)

// open gives the image of a JPEG file in grey.
func open(tb testing.TB, data []byte) *imaging.Pix {
	tb.Helper()
	h, err := imaging.ReadHeader(data, 100e6)
	if err != nil {
		tb.Fatal(err)
	}
	p, _, err := imaging.Decode(data, h, 1, true)
	if err != nil {
		tb.Fatal(err)
	}
	defer p.Close()
	g, err := p.Gray()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(g.Close)
	return g
}

// encode makes a JPEG in grey, as codes are read: one in colour takes the test three
// times as long.
func encode(tb testing.TB, img image.Image) []byte {
	tb.Helper()
	from, ok := img.(*image.RGBA)
	if !ok {
		tb.Fatalf("drawn as %T", img)
	}
	g := image.NewGray(from.Rect)
	for i := range g.Pix { // rows of both are packed
		p := from.Pix[4*i : 4*i+3]
		g.Pix[i] = uint8((299*int(p[0]) + 587*int(p[1]) + 114*int(p[2])) / 1000)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, g, &jpeg.Options{Quality: 85}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// drawn are the kinds of pages that are tested. Drawing takes most of the time, so
// that it is done coarsely, and left to make bench-pages for the others.
var drawn = []string{
	"separator: Code 39, -20 degrees, fuzzy", "separator: Code 128, tinted, 200 dpi", "separator: QR, upside down, worn",
	"separator: patch bars, skewed", "separator: patch bars, upside down", "label: QR, 150 dpi", "label: Code 39, 20 degrees",
	"label: Code 128, low quality", "label: Code 128, sideways", "label: Data Matrix, 20 degrees", "label: Data Matrix, upside down, 200 dpi",
	"codes: EAN 13 and a web address", "codes: on a delivery note", "none: rows of l and I", "none: bars at random", "none: a photograph",
}

// Every code on the drawn pages is found, and nothing else.
func TestRead(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, page := range sample.Codes(1) {
		if !slices.Contains(drawn, page.Kind) {
			continue
		}
		t.Run(page.Kind, func(t *testing.T) {
			dpi := min(page.DPI, 200)
			img, err := page.Draw(dpi)
			if err != nil {
				t.Fatal(err)
			}
			codes, err := Read(open(t, encode(t, img)), float64(dpi), 255)
			if err != nil {
				t.Fatal(err)
			}
			var got []sample.Code
			for _, c := range codes {
				got = append(got, sample.Code{Kind: string(c.Kind), Text: c.Text})
				if c.X < 0 || c.Y < 0 || c.X > float64(img.Bounds().Dx()) || c.Y > float64(img.Bounds().Dy()) || c.Width < 20 || c.Height < 10 {
					t.Errorf("%v is at %+v", c, c)
				}
				// Bars tell which way they are read; the page is turned the other way.
				upright := turn(c.Angle - page.Skew + float64(page.Upright))
				if c.Kind != Patch && c.Kind != DataMatrix && page.Kind != "label: Code 128, sideways" && (upright < -6 || upright > 6) {
					t.Errorf("%v is turned by %g, on a page turned by %g", c, c.Angle, page.Skew-float64(page.Upright))
				}
			}
			for _, c := range got {
				if !slices.Contains(page.Codes, c) {
					t.Errorf("%v is not there", c)
				}
			}
			for _, c := range page.Codes {
				if !slices.Contains(got, c) {
					t.Errorf("%v was not found", c)
				}
			}
		})
	}
}

// What was read is no longer there afterwards, and what stands beside it is.
func TestBlot(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, page := range sample.Codes(2) {
		if page.Kind != "label: Code 39, 20 degrees" {
			continue
		}
		const dpi = 200
		img, err := page.Draw(dpi)
		if err != nil {
			t.Fatal(err)
		}
		p := open(t, encode(t, img))
		codes, err := Read(p, dpi, 255)
		if err != nil || len(codes) != 1 {
			t.Fatal(codes, err)
		}
		before, err := p.Binary(128)
		if err != nil {
			t.Fatal(err)
		}
		defer before.Close()
		Blot(p, p.Width(), codes)
		again, err := Read(p, dpi, 255)
		if err != nil || len(again) != 0 {
			t.Errorf("after it there is %v (%v)", again, err)
		}
		c := codes[0]
		area, err := p.Cut(int(c.X)-5, int(c.Y)-5, 10, 10)
		if err != nil {
			t.Fatal(err)
		}
		defer area.Close()
		v := make([]byte, 100)
		grayOf(area, v)
		if slices.Min(v) < 255 {
			t.Errorf("its middle is %v", v)
		}
		return
	}
	t.Error("there is no such page")
}

func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{"ASN00123", "ASN00123"},
		{" a\x00b\x1fc\n ", "abc"},
		{"Gr\xf6\xdfe", "Größe"},
		{"Größe\tL", "Größe\tL"},
		{"\x00\x01", ""},
	}
	for _, tt := range tests {
		if got := clean([]byte(tt.in)); got != tt.want {
			t.Errorf("clean(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// Any image may come: what is read of it stays within bounds.
func FuzzRead(f *testing.F) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, page := range sample.Codes(3) {
		if page.Separator && page.DPI == 150 || page.Kind == "label: Data Matrix" {
			img, err := page.Draw(60)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(encode(f, img), uint16(60))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, dpi uint16) {
		h, err := imaging.ReadHeader(data, 4e6)
		if err != nil {
			return
		}
		p, _, err := imaging.Decode(data, h, 1, true)
		if err != nil {
			return
		}
		defer p.Close()
		g, err := p.Gray()
		if err != nil {
			return
		}
		defer g.Close()
		codes, err := Read(g, float64(min(max(dpi, imaging.MinDPI), imaging.MaxDPI)), 255)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range codes {
			if c.Text == "" || !slices.Contains(Kinds(), c.Kind) {
				t.Errorf("%+v", c)
			}
		}
	})
}
