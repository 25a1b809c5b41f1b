package esci

import (
	"image"
	"image/color"
	"image/draw"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"

	"docscan/device"
	"docscan/device/sim/esci"
	"docscan/device/sim/scantest"
	"docscan/device/sim/usbface"
)

const (
	testWidth  = 96
	testHeight = 64
)

// page draws test page n: no two pages, lines or columns are alike, and a JPEG of
// it looks much like it.
func page(n int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, testWidth, testHeight))
	for y := range testHeight {
		for x := range testWidth {
			img.SetRGBA(x, y, color.RGBA{uint8(x + 6*n), uint8(y + 20*n), uint8(x + y/2), 255})
		}
	}
	return img
}

// pages draws n of them.
func pages(n int) []image.Image {
	var list []image.Image
	for i := range n {
		list = append(list, page(i))
	}
	return list
}

// settings are for a whole test page.
func settings(duplex bool, mode device.ColorMode) device.Settings {
	return scantest.Settings(image.Pt(testWidth, testHeight), duplex, mode)
}

// bench is a driver and the simulated scanner that it drives.
type bench struct {
	sim *esci.Scanner
	dev *usbface.Device
	drv *Scanner
}

// onBench runs body in a bubble of fake time with a scanner, of which it expects
// at the end that it is nobody's and that nothing was done to it that must not be.
func onBench(t *testing.T, cfg esci.Config, body func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if cfg.Model == "" {
			cfg.Model = "DS-860"
		}
		if cfg.Resolution == 0 {
			cfg.Resolution = scantest.DPI
		}
		sim, err := esci.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		dev, err := usbface.NewVendor(sim.Layout(), usbface.Faults{}, sim)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		drv, err := Open(t.Context(), Options{Pipe: scantest.Wire{Dev: dev}, Temp: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		body(t, &bench{sim, dev, drv})
		if err := drv.Close(); err != nil {
			t.Error(err)
		}
		for _, v := range sim.Violations() {
			t.Errorf("the driver did wrong: %s", v)
		}
		select {
		case <-dev.Gone():
		default:
			if sim.InSession() {
				t.Error("the driver did not end its session")
			}
		}
	})
}

// checkSide checks a side against page n, which may have been cut off or have
// white below it.
func checkSide(t *testing.T, side scantest.Side, n int, mode device.ColorMode) {
	t.Helper()
	b := side.Pixels.Bounds()
	if b.Dx() != testWidth {
		t.Fatalf("side %s is %d wide, want %d", side.Where, b.Dx(), testWidth)
	}
	loss, lines := 0, b.Dy()
	if side.Type == "image/jpeg" {
		loss, lines = 16, min(lines, testHeight-8) // white below the paper rings in JPEG
	}
	got, want := image.NewRGBA(image.Rect(0, 0, testWidth, lines)), image.NewRGBA(image.Rect(0, 0, testWidth, lines))
	draw.Draw(want, want.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(want, want.Rect, page(n), image.Point{}, draw.Src)
	for y := range lines {
		for x := range testWidth {
			at := b.Min.Add(image.Pt(x, y))
			if side.Turned {
				at = b.Max.Sub(image.Pt(1+x, 1+y))
			}
			got.Set(x, y, side.Pixels.At(at.X, at.Y))
		}
	}
	scantest.Same(t, "side "+side.Where, got, want, mode, loss)
}

// Every kind of machine gives the very pixels of the paper, in feed order.
func TestScan(t *testing.T) {
	const simplex, duplex = "1f 2f 3f 4f", "1f 1b 2f 2b"
	tests := []struct {
		name string
		cfg  esci.Config
		mode device.ColorMode
		both bool
		kind string
	}{
		{"simplex colour", esci.Config{}, device.Color, false, "image/jpeg"},
		{"simplex grey", esci.Config{}, device.Gray, false, "image/jpeg"},
		{"simplex line art", esci.Config{}, device.LineArt, false, "image/tiff"},
		{"duplex colour", esci.Config{}, device.Color, true, "image/jpeg"},
		{"duplex line art", esci.Config{}, device.LineArt, true, "image/tiff"},
		{"lines, colour", esci.Config{Model: "raw only"}, device.Color, true, "image/tiff"},
		{"lines, grey", esci.Config{Model: "raw only"}, device.Gray, true, "image/tiff"},
		{"lines, line art", esci.Config{Model: "raw only"}, device.LineArt, true, "image/tiff"},
		{"bytes after each line", esci.Config{Model: "raw only", Padding: 3, Block: 4_000}, device.Color, true, "image/tiff"},
		{"bytes after each line of dots", esci.Config{Model: "raw only", Padding: 5, Block: 1_000}, device.LineArt, true, "image/tiff"},
		{"JPEG that ends with the paper", esci.Config{Model: "DS-530", Block: 1_500}, device.Color, true, "image/jpeg"},
		{"ends with the paper unasked", esci.Config{Model: "DS-510", Block: 1_500}, device.Color, true, "image/jpeg"},
		{"line art without RAW", esci.Config{Model: "DS-510"}, device.LineArt, true, "image/tiff"},
		{"paper at the left", esci.Config{Model: "DS-40"}, device.Gray, false, "image/jpeg"},
		{"needs a double-feed setting", esci.Config{NeedsDFL: true}, device.Color, true, "image/jpeg"},
		{"a sheet goes through twice", esci.Config{Model: "DS-1630"}, device.Color, true, "image/jpeg"},
		{"back first", esci.Config{Model: "raw only", Order: esci.BackFirst, Block: 12_000}, device.Color, true, "image/tiff"},
		{"all of the front first", esci.Config{Model: "raw only", Order: esci.FrontWhole, Block: 12_000}, device.Color, true, "image/tiff"},
		{"all of the back first", esci.Config{Model: "raw only", Order: esci.BackWhole, Block: 12_000}, device.Color, true, "image/tiff"},
		{"short transfers", esci.Config{Model: "raw only", Short: 512}, device.Color, true, "image/tiff"},
		{"odd transfers", esci.Config{Model: "raw only", Short: 1000, Block: 2500}, device.Color, true, "image/tiff"},
		{"busy, warming up, with nothing at first", esci.Config{Busy: 3, Warming: 5, NoData: 4}, device.Color, true, "image/jpeg"},
		{"end alone", esci.Config{EndAlone: true, Block: 2_999}, device.Color, true, "image/jpeg"},
		{"does not say that none is left", esci.Config{NoLeft: true}, device.Color, true, "image/jpeg"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Pages, tt.cfg.Duplex = pages(4), tt.both
			onBench(t, tt.cfg, func(t *testing.T, b *bench) {
				got, err := scantest.All(t, b.drv, settings(tt.both, tt.mode))
				want := simplex
				if tt.both {
					want = duplex
				}
				if err != io.EOF || scantest.Places(got) != want {
					t.Fatalf("%s and %v, want %s and the end", scantest.Places(got), err, want)
				}
				for i, side := range got {
					if side.Type != tt.kind {
						t.Errorf("side %s is %s, want %s", side.Where, side.Type, tt.kind)
					}
					if h := side.Pixels.Bounds().Dy(); h != testHeight {
						t.Errorf("side %s has %d lines, want %d", side.Where, h, testHeight)
					}
					checkSide(t, side, i, tt.mode)
				}
			})
		})
	}
}
