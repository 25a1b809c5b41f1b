package esci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/image/tiff"

	"docscan/device"
	"docscan/device/sim/esci"
	"docscan/device/sim/usbface"
)

// wire is the in-process way to a simulated scanner.
type wire struct{ dev *usbface.Device }

func (w wire) Read(ctx context.Context, b []byte) (int, error) {
	n, err := w.dev.In(ctx, 0x82, b)
	return n, gone(err)
}

func (w wire) Write(ctx context.Context, b []byte) (int, error) {
	n, err := w.dev.Out(ctx, 0x01, b)
	return n, gone(err)
}

func (w wire) Restart(context.Context) error {
	select {
	case <-w.dev.Gone():
		return gone(usbface.ErrGone)
	default:
	}
	if !w.dev.SetInterface(0, 0) {
		return errors.New("no such interface")
	}
	return nil
}

// gone says of an unplugged device what package usb says.
func gone(err error) error {
	if errors.Is(err, usbface.ErrGone) {
		return &device.Fault{Kind: device.Unplugged, Err: err}
	}
	return err
}

const (
	testDPI    = 100
	testWidth  = 160
	testHeight = 120
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
	return device.Settings{
		Source: device.Feeder, Duplex: duplex, Mode: mode, Resolution: testDPI,
		Width: testWidth * 300 / testDPI, Length: testHeight * 300 / testDPI,
	}
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
			cfg.Resolution = testDPI
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
		drv, err := Open(t.Context(), Options{Pipe: wire{dev}, Temp: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
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

// taken is one side that came.
type taken struct {
	where  string // such as "1f" and "1b"
	kind   string
	turned bool
	data   []byte
	pixels image.Image
}

// scanAll takes all sides of one run. It ends with what the run ended with.
func scanAll(t *testing.T, s device.Scanner, set device.Settings) ([]taken, error) {
	t.Helper()
	r, err := s.Start(t.Context(), set)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	var list []taken
	for {
		side, err := r.Next(t.Context())
		if err != nil {
			return list, err
		}
		got := taken{where: fmt.Sprintf("%d%s", side.Sheet, map[bool]string{false: "f", true: "b"}[side.Back]), kind: side.Type, turned: side.Turned}
		if got.data, err = io.ReadAll(side.Body); err != nil {
			return list, err
		}
		if side.Type == "image/jpeg" {
			got.pixels, err = jpeg.Decode(bytes.NewReader(got.data))
		} else {
			got.pixels, err = tiff.Decode(bytes.NewReader(got.data))
		}
		if err != nil {
			t.Fatalf("side %s: %v", got.where, err)
		}
		list = append(list, got)
	}
}

// places lists where sides are from.
func places(list []taken) string {
	var all []string
	for _, l := range list {
		all = append(all, l.where)
	}
	return strings.Join(all, " ")
}

// checkSide checks a side against page n, which may have been cut off or have
// white below it.
func checkSide(t *testing.T, side taken, n int, mode device.ColorMode) {
	t.Helper()
	want := page(n)
	b := side.pixels.Bounds()
	if b.Dx() != testWidth {
		t.Fatalf("side %s is %d wide, want %d", side.where, b.Dx(), testWidth)
	}
	loss := 0
	if side.kind == "image/jpeg" {
		loss = 16
	}
	far := func(a, b uint8) bool { return max(int(a)-int(b), int(b)-int(a)) > loss }
	for y := range b.Dy() {
		for x := range b.Dx() {
			w := color.RGBA{255, 255, 255, 255}
			if y < testHeight {
				w = want.RGBAAt(x, y)
			}
			if mode != device.Color {
				g := color.GrayModel.Convert(w).(color.Gray).Y
				if mode == device.LineArt && g >= 128 {
					g = 255
				} else if mode == device.LineArt {
					g = 0
				}
				w = color.RGBA{g, g, g, 255}
			}
			if y >= testHeight-8 && loss > 0 {
				continue // white below the paper rings in JPEG
			}
			at := image.Pt(b.Min.X+x, b.Min.Y+y)
			if side.turned {
				at = image.Pt(b.Max.X-1-x, b.Max.Y-1-y)
			}
			h := color.RGBAModel.Convert(side.pixels.At(at.X, at.Y)).(color.RGBA)
			if far(h.R, w.R) || far(h.G, w.G) || far(h.B, w.B) {
				t.Fatalf("side %s at %d,%d is %v, want %v", side.where, x, y, h, w)
			}
		}
	}
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
		{"bytes after each line", esci.Config{Model: "raw only", Padding: 3, Block: 10_000}, device.Color, true, "image/tiff"},
		{"bytes after each line of dots", esci.Config{Model: "raw only", Padding: 5, Block: 1_000}, device.LineArt, true, "image/tiff"},
		{"JPEG that ends with the paper", esci.Config{Model: "DS-530", Block: 4_000}, device.Color, true, "image/jpeg"},
		{"ends with the paper unasked", esci.Config{Model: "DS-510", Block: 4_000}, device.Color, true, "image/jpeg"},
		{"line art without RAW", esci.Config{Model: "DS-510"}, device.LineArt, true, "image/tiff"},
		{"paper at the left", esci.Config{Model: "DS-40"}, device.Gray, false, "image/jpeg"},
		{"needs a double-feed setting", esci.Config{NeedsDFL: true}, device.Color, true, "image/jpeg"},
		{"a sheet goes through twice", esci.Config{Model: "DS-1630"}, device.Color, true, "image/jpeg"},
		{"back first", esci.Config{Model: "raw only", Order: esci.BackFirst, Block: 50_000}, device.Color, true, "image/tiff"},
		{"all of the front first", esci.Config{Model: "raw only", Order: esci.FrontWhole, Block: 50_000}, device.Color, true, "image/tiff"},
		{"all of the back first", esci.Config{Model: "raw only", Order: esci.BackWhole, Block: 50_000}, device.Color, true, "image/tiff"},
		{"short transfers", esci.Config{Model: "raw only", Short: 512}, device.Color, true, "image/tiff"},
		{"odd transfers", esci.Config{Model: "raw only", Short: 1000, Block: 5000}, device.Color, true, "image/tiff"},
		{"busy, warming up, with nothing at first", esci.Config{Busy: 3, Warming: 5, NoData: 4}, device.Color, true, "image/jpeg"},
		{"end alone", esci.Config{EndAlone: true, Block: 9_999}, device.Color, true, "image/jpeg"},
		{"does not say that none is left", esci.Config{NoLeft: true}, device.Color, true, "image/jpeg"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Pages, tt.cfg.Duplex = pages(4), tt.both
			onBench(t, tt.cfg, func(t *testing.T, b *bench) {
				got, err := scanAll(t, b.drv, settings(tt.both, tt.mode))
				want := simplex
				if tt.both {
					want = duplex
				}
				if err != io.EOF || places(got) != want {
					t.Fatalf("%s and %v, want %s and the end", places(got), err, want)
				}
				for i, side := range got {
					if side.kind != tt.kind {
						t.Errorf("side %s is %s, want %s", side.where, side.kind, tt.kind)
					}
					if h := side.pixels.Bounds().Dy(); h != testHeight {
						t.Errorf("side %s has %d lines, want %d", side.where, h, testHeight)
					}
					checkSide(t, side, i, tt.mode)
				}
			})
		})
	}
}
