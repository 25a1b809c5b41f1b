// Package scantest has what the tests of the drivers share whose machines speak
// a protocol of their maker's: the ways to a simulated scanner, in this process or
// on the simulated bus, and all that comes of one run. It is for tests only.
package scantest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/tiff"

	"docscan/device"
	"docscan/device/sim/usbface"
	"docscan/device/usb"
)

// DPI is the resolution of test pages.
const DPI = 100

// Settings are for a whole test page of that size in pixels.
func Settings(size image.Point, duplex bool, mode device.ColorMode) device.Settings {
	return device.Settings{
		Source: device.Feeder, Duplex: duplex, Mode: mode, Resolution: DPI,
		Width: size.X * 300 / DPI, Length: size.Y * 300 / DPI,
	}
}

// Wire is the in-process way to a simulated scanner with one vendor's interface.
type Wire struct{ Dev *usbface.Device }

// Read does one transfer from the scanner.
func (w Wire) Read(ctx context.Context, b []byte) (int, error) {
	n, err := w.Dev.In(ctx, 0x82, b)
	return n, gone(err)
}

// Write does one transfer to the scanner.
func (w Wire) Write(ctx context.Context, b []byte) (int, error) {
	n, err := w.Dev.Out(ctx, 0x01, b)
	return n, gone(err)
}

// Exchange does x by single transfers.
func (w Wire) Exchange(ctx context.Context, x *usb.Exchange) error { return InTurn(ctx, w, x) }

// InTurn does x by the single transfers of a way to a scanner.
func InTurn(ctx context.Context, w interface {
	Read(ctx context.Context, b []byte) (int, error)
	Write(ctx context.Context, b []byte) (int, error)
}, x *usb.Exchange) error {
	x.Moved = [4]int{}
	for i, part := range []struct {
		data []byte
		want int
		move func(context.Context, []byte) (int, error)
	}{
		{x.Command, len(x.Command), w.Write}, {x.Out, len(x.Out), w.Write}, {x.In, x.Want, w.Read}, {x.Status, 0, w.Read},
	} {
		if len(part.data) == 0 {
			continue
		}
		pctx, stop := ctx, context.CancelFunc(func() {})
		if x.Limit > 0 {
			pctx, stop = context.WithTimeoutCause(ctx, x.Limit, usb.ErrLate)
		}
		n, err := part.move(pctx, part.data)
		if err != nil && pctx.Err() != nil {
			err = context.Cause(pctx)
		}
		stop()
		if x.Moved[i] = n; err != nil || n != part.want {
			return err
		}
	}
	return nil
}

// Restart selects the interface's setting anew.
func (w Wire) Restart(context.Context) error {
	select {
	case <-w.Dev.Gone():
		return gone(usbface.ErrGone)
	default:
	}
	if !w.Dev.SetInterface(0, 0) {
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

// Deaf is a Wire to a scanner that says nothing while IsDeaf. Each time its port
// is reset it hears again.
type Deaf struct {
	Wire
	IsDeaf           bool
	Restarts, Resets int
}

// Read says nothing while the scanner is deaf.
func (d *Deaf) Read(ctx context.Context, b []byte) (int, error) {
	if d.IsDeaf {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return d.Wire.Read(ctx, b)
}

// Exchange does x by single transfers.
func (d *Deaf) Exchange(ctx context.Context, x *usb.Exchange) error { return InTurn(ctx, d, x) }

// Restart counts.
func (d *Deaf) Restart(ctx context.Context) error {
	d.Restarts++
	return d.Wire.Restart(ctx)
}

// Reset is of the port.
func (d *Deaf) Reset(context.Context) error {
	d.Dev.Reset()
	d.Resets++
	d.IsDeaf = false
	return nil
}

// Side is one side that came.
type Side struct {
	Where  string // such as "1f" and "1b", with "!" for a double feed
	Type   string
	Data   []byte
	Pixels image.Image
	Turned bool
}

// All takes all sides of one run. It ends with what the run ended with, or with
// what broke a side off.
func All(t *testing.T, s device.Scanner, set device.Settings) ([]Side, error) {
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
	var list []Side
	for {
		side, err := r.Next(t.Context())
		if err != nil {
			return list, err
		}
		got := Side{Where: fmt.Sprintf("%d%s", side.Sheet, map[bool]string{false: "f", true: "b"}[side.Back]), Type: side.Type, Turned: side.Turned}
		if side.DoubleFeed {
			got.Where += "!"
		}
		if got.Data, err = io.ReadAll(side.Body); err != nil {
			return list, err
		}
		if side.Type == "image/jpeg" {
			got.Pixels, err = jpeg.Decode(bytes.NewReader(got.Data))
		} else {
			got.Pixels, err = tiff.Decode(bytes.NewReader(got.Data))
		}
		if err != nil {
			t.Fatalf("side %s: %v", got.Where, err)
		}
		list = append(list, got)
	}
}

// Places lists where sides are from.
func Places(list []Side) string {
	var all []string
	for _, l := range list {
		all = append(all, l.Where)
	}
	return strings.Join(all, " ")
}

// Stack writes n pages into a folder.
func Stack[I image.Image](t testing.TB, n int, page func(n int) I) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%02d.png", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(png.Encode(f, page(i)), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Picture reads a PNG file.
func Picture(t testing.TB, name string) image.Image {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// Knobs are the flags of mockbus that plug in a scanner of that kind, which is the
// name of a flag, with its settings.
func Knobs(t testing.TB, kind string, cfg any) []string {
	t.Helper()
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"-" + kind + "=" + string(b)}
}

// Find looks on the bus on which the test runs until there are n scanners that
// drivers know. Its Finder is closed with the test.
func Find(t testing.TB, n int, drivers ...usb.Driver) []device.Found {
	t.Helper()
	f := usb.NewFinder(usb.Config{Enabled: true, SettleMS: 1}, slog.New(slog.DiscardHandler), drivers...)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return Await(t, f, n)
}

// Await looks with f until there are n scanners.
func Await(t testing.TB, f *usb.Finder, n int) []device.Found {
	t.Helper()
	for {
		list, err := f.Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == n {
			return list
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%d scanners on the bus, want %d", len(list), n)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Open opens the one scanner of the bus on which the test runs. It is closed with
// the test.
func Open(t testing.TB, drivers ...usb.Driver) device.Scanner {
	t.Helper()
	s, err := Find(t, 1, drivers...)[0].Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
