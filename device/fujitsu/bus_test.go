package fujitsu

import (
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"docscan/device"
	"docscan/device/quirks"
	"docscan/device/sim/bustest"
	"docscan/device/sim/fujitsu"
	"docscan/device/sim/scantest"
	"docscan/device/usb"
)

func TestMain(m *testing.M) { os.Exit(bustest.Main(m)) }

// knobs are the flags of mockbus that plug such a scanner in.
func knobs(t testing.TB, cfg fujitsu.Config) []string {
	t.Helper()
	return scantest.Knobs(t, "fujitsu", cfg)
}

// stack writes n test pages.
func stack(t testing.TB, n int) string {
	t.Helper()
	return scantest.Stack(t, n, page)
}

// driver is ours, for the bus on which the test runs.
func driver(t testing.TB) usb.Driver {
	t.Helper()
	return NewDriver(t.TempDir(), &quirks.List{}, slog.New(slog.DiscardHandler))
}

// found opens the one scanner of that bus.
func found(t testing.TB) device.Scanner {
	t.Helper()
	return scantest.Open(t, driver(t))
}

// On the real gousb and libusb the same pixels come.
func TestOnBusScans(t *testing.T) {
	tests := []struct {
		model string
		mode  device.ColorMode
	}{
		{"fi-4120C", device.Color}, {"fi-7160", device.LineArt}, {"fi-7160", device.Color}, {"fi-5120C", device.Color}, {"iX500", device.Color},
	}
	for _, tt := range tests {
		t.Run(tt.model+" "+string(tt.mode), func(t *testing.T) {
			cfg := fujitsu.Config{Model: tt.model, Stack: stack(t, 4), Duplex: true, Resolution: scantest.DPI, Refill: true}
			bustest.Run(t, knobs(t, cfg), func(t *testing.T) {
				s := found(t)
				if got := s.Info(); got.Driver != "fujitsu" || got.Serial != "00001234" || got.ID == "" || got.Make != "FUJITSU" {
					t.Errorf("Info = %+v", got)
				}
				for range 2 {
					got, err := scantest.All(t, s, settings(true, tt.mode))
					if !errors.Is(err, io.EOF) || scantest.Places(got) != "1f 1b 2f 2b" {
						t.Fatalf("%s, %v", scantest.Places(got), err)
					}
					for i, side := range got {
						checkSide(t, side, page(i), tt.mode)
					}
				}
			})
		})
	}
}

// Two machines of one model are two machines, also at the same time: each gives
// its own sheets, and the end of one is not that of the other.
func TestOnBusTwins(t *testing.T) {
	cfg := fujitsu.Config{Stack: stack(t, 8), Duplex: true, Resolution: scantest.DPI, Model: "fi-7160", Slow: 5 * time.Millisecond, Serial: 1234, Nameless: true}
	bustest.Run(t, append(knobs(t, cfg), "-twin"), func(t *testing.T) {
		list := scantest.Find(t, 2, driver(t))
		if list[0].Info.ID == list[1].Info.ID {
			t.Fatalf("%v, want two scanners", list)
		}
		var ended [2]string
		var all sync.WaitGroup
		for i, found := range list {
			s, err := found.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil && i != 0 {
					t.Errorf("close %s: %v", s.Info().ID, err)
				}
			}()
			if want := fmt.Sprintf("fujitsu-fi-7160-%d", 1234+2*i); s.Info().ID != want {
				t.Errorf("ID %q, want %q", s.Info().ID, want)
			}
			all.Go(func() {
				got, err := scantest.All(t, s, settings(true, device.LineArt))
				for n, side := range got {
					checkSide(t, side, page(n), device.LineArt)
				}
				ended[i] = fmt.Sprint(scantest.Places(got), " ", device.KindOf(err))
				if i == 1 {
					return
				}
				// The first goes on to be pulled out while the second scans.
				if err := bustest.Unplug(); err != nil {
					t.Error(err)
				}
				// The bus is told, and does it in its own time.
				_, err = s.Status(t.Context())
				for err == nil && t.Context().Err() == nil {
					_, err = s.Status(t.Context())
				}
				if device.KindOf(err) != device.Unplugged {
					t.Errorf("status after the unplug: %v", err)
				}
			})
		}
		all.Wait()
		for i, got := range ended {
			if want := "1f 1b 2f 2b 3f 3b 4f 4b "; got != want {
				t.Errorf("scanner %d: %q, want %q", i, got, want)
			}
		}
	})
}

// A machine whose descriptors have no serial number is asked for it, so that it
// is known wherever it is plugged in.
func TestOnBusNameless(t *testing.T) {
	cfg := fujitsu.Config{Model: "fi-7160", Stack: stack(t, 2), Resolution: scantest.DPI, Nameless: true}
	bustest.Run(t, knobs(t, cfg), func(t *testing.T) {
		if got := scantest.Find(t, 1, driver(t))[0].Info; got.ID != "fujitsu-fi-7160-1234" || got.Serial != "1234" {
			t.Fatalf("%+v, want one scanner that is known by its number", got)
		}
	})
}

// A stall, a machine that goes mute and one that is pulled out, on the real
// libusb: the reason is right, and what can go on goes on.
func TestOnBusFaults(t *testing.T) {
	tests := []struct {
		deed  fujitsu.Deed
		where fujitsu.Place
		want  device.FaultKind
	}{
		{fujitsu.Stall, fujitsu.MidRead, device.BadAnswer}, {fujitsu.Garbage, fujitsu.AtRIC, device.BadAnswer},
		{fujitsu.Unplug, fujitsu.MidRead, device.Unplugged},
	}
	for _, tt := range tests {
		t.Run(string(tt.deed), func(t *testing.T) {
			cfg := fujitsu.Config{Model: "fi-4120C", Stack: stack(t, 4), Duplex: true, Resolution: scantest.DPI,
				Faults: []fujitsu.Fault{{Sheet: 2, Where: tt.where, Deed: tt.deed}}}
			bustest.Run(t, knobs(t, cfg), func(t *testing.T) {
				s := found(t)
				got, err := scantest.All(t, s, settings(true, device.Gray))
				if device.KindOf(err) != tt.want || scantest.Places(got) != "1f 1b" {
					t.Errorf("%s, %v, want one sheet and %s", scantest.Places(got), err, tt.want)
				}
				if tt.want == device.Unplugged {
					return
				}
				got, err = scantest.All(t, s, settings(true, device.Gray))
				if !errors.Is(err, io.EOF) || scantest.Places(got) != "1f 1b" {
					t.Fatalf("afterwards %s, %v", scantest.Places(got), err)
				}
				for i, side := range got {
					checkSide(t, side, page(2+i), device.Gray)
				}
			})
		})
	}
}

// Side by side: from one stack SANE's own driver and ours get the same pixels.
func TestSameAsSANE(t *testing.T) {
	tests := []struct {
		model, sane string
		mode        device.ColorMode
	}{
		{"fi-4120C", "Color", device.Color}, {"fi-4120C", "Gray", device.Gray}, {"fi-7160", "Lineart", device.LineArt},
	}
	dir := stack(t, 4)
	for _, tt := range tests {
		t.Run(tt.model+" "+tt.sane, func(t *testing.T) {
			cfg := fujitsu.Config{Model: tt.model, Stack: dir, Duplex: true, Resolution: scantest.DPI}
			out, size := t.TempDir(), image.Pt(testWidth, testHeight)
			args := slices.Concat(scantest.Area(size), scantest.Paper(size),
				[]string{"--source=ADF Duplex", "--mode=" + tt.sane, "--format=png", "--batch=" + filepath.Join(out, "p%d.png")})
			said, err := scantest.Scanimage(t, knobs(t, cfg), "fujitsu", "option buffer-size 262144\nusb 0x04c5 0x132e\nusb 0x04c5 0x1041\n", args...)
			if !strings.Contains(said, "out of documents") {
				t.Fatalf("scanimage: %v\n%s", err, said)
			}
			onBench(t, fujitsu.Config{Model: tt.model, Stack: dir, Duplex: true}, func(t *testing.T, b *bench) {
				got, err := scantest.All(t, b.drv, settings(true, tt.mode))
				if !errors.Is(err, io.EOF) || len(got) != 4 {
					t.Fatalf("%s, %v", scantest.Places(got), err)
				}
				for i, side := range got {
					img := scantest.Picture(t, filepath.Join(out, fmt.Sprintf("p%d.png", i+1)))
					scantest.Same(t, "SANE's side "+side.Where, img, side.Pixels, device.Color, 0)
				}
			})
		})
	}
}
