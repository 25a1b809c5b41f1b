package fujitsu

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"

	"docscan/device"
	"docscan/device/sim/fujitsu"
	"docscan/device/sim/scantest"
	"docscan/device/sim/usbface"
)

const (
	testWidth  = 112
	testHeight = 80
)

// page draws test page n: no two pages, lines or columns are alike.
func page(n int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, testWidth, testHeight))
	for y := range testHeight {
		for x := range testWidth {
			img.SetRGBA(x, y, color.RGBA{uint8(x ^ y + 31*n), uint8(y + 7*n), uint8(x*y>>5 + n), 255})
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
	sim *fujitsu.Scanner
	dev *usbface.Device
	drv *Scanner
}

// onBench runs body in a bubble of fake time with a scanner.
func onBench(t *testing.T, cfg fujitsu.Config, body func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if cfg.Model == "" {
			cfg.Model = "fi-7160"
		}
		if cfg.Resolution == 0 {
			cfg.Resolution = scantest.DPI
		}
		sim, err := fujitsu.New(cfg)
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
	})
}

// Every model, mode and knob: the pixels that come are those on the stack.
func TestScans(t *testing.T) {
	tests := []struct {
		name string
		cfg  fujitsu.Config
		set  device.Settings
		kind string
		off  int
	}{
		{"simplex colour", fujitsu.Config{Model: "fi-4120C"}, settings(false, device.Color), "image/tiff", 0},
		{"duplex colour, by line", fujitsu.Config{Model: "fi-4120C", Duplex: true}, settings(true, device.Color), "image/tiff", 0},
		{"duplex grey, no JPEG", fujitsu.Config{Model: "fi-4120C", Duplex: true}, settings(true, device.Gray), "image/tiff", 0},
		{"duplex line art", fujitsu.Config{Duplex: true}, settings(true, device.LineArt), "image/tiff", 0},
		{"grey of a ScanSnap", fujitsu.Config{Model: "iX500", Duplex: true}, settings(true, device.Gray), "image/tiff", 1},
		{"line art of a ScanSnap", fujitsu.Config{Model: "iX500", Duplex: true}, settings(true, device.LineArt), "image/tiff", 2},
		{"JPEG", fujitsu.Config{}, settings(false, device.Color), "image/jpeg", 0},
		{"JPEG of two sides", fujitsu.Config{Duplex: true}, settings(true, device.Color), "image/jpeg", 0},
		{"grey JPEG", fujitsu.Config{Duplex: true}, settings(true, device.Gray), "image/jpeg", 0},
		{"JPEG with its head", fujitsu.Config{Model: "iX500", Duplex: true}, settings(true, device.Color), "image/jpeg", 0},
		{"interleaved JPEG", fujitsu.Config{Model: "fi-5120C", Duplex: true}, settings(true, device.Color), "image/jpeg", 0},
		{"interleaved grey JPEG", fujitsu.Config{Model: "fi-5120C", Duplex: true}, settings(true, device.Gray), "image/jpeg", 0},
		{"one side of a machine that interleaves", fujitsu.Config{Model: "fi-5120C"}, settings(false, device.Color), "image/jpeg", 0},
		{"interleaved in pieces", fujitsu.Config{Model: "fi-5120C", Duplex: true, Short: 777}, settings(true, device.Color), "image/jpeg", 0},
		{"no need for a size", fujitsu.Config{Model: "fi-4120C", Duplex: true, NoPixelSize: true}, settings(true, device.Color), "image/tiff", 0},
		{"busy", fujitsu.Config{Model: "fi-4120C", Duplex: true, Busy: 5}, settings(true, device.Color), "image/tiff", 0},
		{"no data at first", fujitsu.Config{Model: "fi-4120C", Duplex: true, NoData: 9}, settings(true, device.Color), "image/tiff", 0},
		{"no data, status embedded", fujitsu.Config{Model: "fi-4120C", Duplex: true, NoData: 9, Embedded: true}, settings(true, device.Color), "image/tiff", 0},
		{"in pieces", fujitsu.Config{Model: "fi-4120C", Duplex: true, Short: 3_000}, settings(true, device.Color), "image/tiff", 0},
		{"in pieces, one end", fujitsu.Config{Model: "fi-4120C", Duplex: true, Short: 3_000, EndOnce: true}, settings(true, device.Color), "image/tiff", 0},
		{"in padded pieces", fujitsu.Config{Model: "fi-4120C", Duplex: true, Short: 3_000, Padded: true}, settings(true, device.Color), "image/tiff", 0},
		{"wrong residuals", fujitsu.Config{Model: "fi-4120C", Duplex: true, Short: 3_000, WrongResidual: true}, settings(true, device.Color), "image/tiff", 0},
		{"slow", fujitsu.Config{Model: "fi-4120C", Duplex: true, Slow: 5e9}, settings(true, device.Color), "image/tiff", 0},
		{"a Ricoh", fujitsu.Config{Model: "fi-8040", Duplex: true}, settings(true, device.LineArt), "image/tiff", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Pages, tt.cfg.Refill = pages(4), true
			onBench(t, tt.cfg, func(t *testing.T, b *bench) {
				for range 2 { // the second run finds the paper put in again
					got, err := scantest.All(t, b.drv, tt.set)
					if !errors.Is(err, io.EOF) {
						t.Fatalf("after %s: %v", scantest.Places(got), err)
					}
					want := "1f 2f 3f 4f"
					if tt.set.Duplex {
						want = "1f 1b 2f 2b"
					}
					if scantest.Places(got) != want {
						t.Fatalf("sides %s, want %s", scantest.Places(got), want)
					}
					for i, side := range got {
						if side.Type != tt.kind {
							t.Errorf("side %s is %s, want %s", side.Where, side.Type, tt.kind)
						}
						if tt.kind == "image/jpeg" {
							sameJPEG(t, side, page(i), tt.set.Mode)
						} else {
							scantest.Same(t, side.Where, side.Pixels, page(i), tt.set.Mode, tt.off)
						}
					}
				}
			})
		})
	}
}

// sameJPEG checks a side against what the simulated scanner's compressor makes
// of the page, and that it says its resolution.
func sameJPEG(t *testing.T, side scantest.Side, p image.Image, mode device.ColorMode) {
	t.Helper()
	if !bytes.HasPrefix(side.Data, []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02\x01")) {
		t.Errorf("side %s begins with %x", side.Where, side.Data[:16])
	}
	if mode == device.Gray {
		g := image.NewGray(p.Bounds())
		draw.Draw(g, g.Rect, p, p.Bounds().Min, draw.Src)
		p = g
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, p, &jpeg.Options{Quality: 85}); err != nil {
		t.Fatal(err)
	}
	want, err := jpeg.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	scantest.Same(t, side.Where, side.Pixels, want, device.Color, 0)
}
