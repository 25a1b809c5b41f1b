package mrc

import (
	"bytes"
	"image"
	"image/draw"
	"image/jpeg"
	"testing"

	"docscan/device/sim/sample"
	"docscan/scan/imaging"
)

// scanned gives a side of the sample stack as the scanner's JPEG.
func scanned(t testing.TB, sheet, side, dpi int) []byte {
	t.Helper()
	img, err := sample.Stack(true)[sheet].Sides[side].Draw(dpi)
	if err != nil {
		t.Fatal(err)
	}
	return encode(t, img)
}

func encode(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// planes decodes a JPEG.
func planes(t testing.TB, data []byte) *imaging.Planes {
	t.Helper()
	h, err := imaging.ReadHeader(data, 1e9)
	if err != nil {
		t.Fatal(err)
	}
	p, err := imaging.DecodePlanes(data, h, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// canvas is a white page of so many pixels.
func canvas(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	return img
}

// BenchmarkSeparate takes a letter apart, A4 in colour at 300 dpi, from the JPEG
// to the layers.
func BenchmarkSeparate(b *testing.B) {
	for name, turn := range map[string]float64{"level": 0, "askew": 0.8} {
		b.Run(name, func(b *testing.B) {
			data := scanned(b, 0, 0, 300)
			h, err := imaging.ReadHeader(data, 1e9)
			if err != nil {
				b.Fatal(err)
			}
			o := Balanced()
			o.Turn = turn
			for b.Loop() {
				p, err := imaging.DecodePlanes(data, h, 1)
				if err != nil {
					b.Fatal(err)
				}
				layers, err := Separate(p, h.Width, h.Height, 300, o)
				if err != nil {
					b.Fatal(err)
				}
				p.Close()
				n := 0
				for _, l := range layers {
					n += len(l.Data)
				}
				b.ReportMetric(float64(n), "bytes")
			}
		})
	}
}
