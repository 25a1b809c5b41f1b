package esci

import (
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"docscan/device"
	"docscan/device/quirks"
	"docscan/device/sim/bustest"
	"docscan/device/sim/esci"
	"docscan/device/sim/scantest"
	"docscan/device/usb"
)

func TestMain(m *testing.M) { os.Exit(bustest.Main(m)) }

// knobs are the flags of mockbus that plug such a scanner in.
func knobs(t testing.TB, cfg esci.Config) []string {
	t.Helper()
	return scantest.Knobs(t, "esci", cfg)
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
		cfg  esci.Config
		mode device.ColorMode
		both bool
	}{
		{esci.Config{Model: "DS-530"}, device.Color, true},
		{esci.Config{Model: "DS-510"}, device.Color, false},
		{esci.Config{Model: "DS-860", Padding: 2, Block: 10_000}, device.LineArt, true},
		{esci.Config{Model: "raw only", Block: 5120, NoData: 1}, device.Color, true},
		{esci.Config{Model: "raw only", Short: 512, Order: esci.BackWhole}, device.Gray, true},
		{esci.Config{Model: "raw only", Short: 1000}, device.Gray, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s %t", tt.cfg.Model, tt.mode, tt.both), func(t *testing.T) {
			cfg := tt.cfg
			cfg.Stack, cfg.Duplex, cfg.Resolution = stack(t, 4), tt.both, scantest.DPI
			bustest.Run(t, knobs(t, cfg), func(t *testing.T) {
				s := found(t)
				if got := s.Info(); got.Driver != "esci" || got.Serial != "SIM0000001" || got.ID == "" || got.Make != "EPSON" {
					t.Errorf("Info = %+v", got)
				}
				got, err := scantest.All(t, s, settings(tt.both, tt.mode))
				want := "1f 2f 3f 4f"
				if tt.both {
					want = "1f 1b 2f 2b"
				}
				if err != io.EOF || scantest.Places(got) != want {
					t.Fatalf("%s, %v", scantest.Places(got), err)
				}
				for i, side := range got {
					checkSide(t, side, i, tt.mode)
				}
				if st, err := s.Status(t.Context()); err != nil || st.State != device.Empty {
					t.Errorf("Status = %+v, %v, want an empty feeder", st, err)
				}
			})
		})
	}
}

// A machine whose descriptors have no serial number is asked for it.
func TestOnBusNameless(t *testing.T) {
	bustest.Run(t, knobs(t, esci.Config{Model: "DS-530", Stack: stack(t, 1), Resolution: scantest.DPI, Nameless: true}), func(t *testing.T) {
		if got := found(t).Info(); got.Serial != "SIM0000001" || got.ID != "epson-epson-ds-530-sim0000001" {
			t.Errorf("Info = %+v, want one that is known by its number", got)
		}
	})
}

// A stall, a machine that speaks nonsense and one that is pulled out, on the real
// libusb: the reason is right, and what can go on goes on.
func TestOnBusFaults(t *testing.T) {
	tests := []struct {
		f    esci.Fault
		want device.FaultKind
	}{
		{esci.Fault{Where: esci.MidPage, Deed: esci.Stall}, device.BadAnswer},
		{esci.Fault{Where: esci.AtFeed, Deed: esci.Garbage}, device.BadAnswer},
		{esci.Fault{Where: esci.MidPage, Deed: esci.Unplug}, device.Unplugged},
		{esci.Fault{Where: esci.AtEnd, Back: true, Cause: esci.DoubleFeed}, device.DoubleFeed},
	}
	for _, tt := range tests {
		t.Run(tt.f.String(), func(t *testing.T) {
			tt.f.Sheet = 2
			cfg := esci.Config{Model: "raw only", Stack: stack(t, 4), Duplex: true, Resolution: scantest.DPI, Block: 2000, Faults: []esci.Fault{tt.f}}
			bustest.Run(t, knobs(t, cfg), func(t *testing.T) {
				s := found(t)
				got, err := scantest.All(t, s, settings(true, device.Gray))
				want := "1f 1b"
				if tt.f.Back {
					want += " 2f"
				}
				if device.KindOf(err) != tt.want || scantest.Places(got) != want {
					t.Errorf("%s, %v, want %s and %s", scantest.Places(got), err, want, tt.want)
				}
				if tt.want == device.Unplugged {
					return
				}
				got, err = scantest.All(t, s, settings(true, device.Gray))
				if err != io.EOF || scantest.Places(got) != "1f 1b" {
					t.Fatalf("afterwards %s, %v", scantest.Places(got), err)
				}
				for i, side := range got {
					checkSide(t, side, 2+i, device.Gray)
				}
			})
		})
	}
}

// Side by side: from one stack SANE's own driver and ours, both on the real
// libusb, get the same pixels.
func TestSameAsSANE(t *testing.T) {
	tests := []struct {
		model, sane string
		mode        device.ColorMode
		both        bool
	}{
		{"raw only", "Color", device.Color, true}, {"raw only", "Gray", device.Gray, true}, {"raw only", "Lineart", device.LineArt, true},
		{"raw only", "Color", device.Color, false}, {"DS-530", "Gray", device.Gray, true}, {"DS-530", "Color", device.Color, false},
	}
	const images = "DOCSCAN_TEST_IMAGES" // where SANE's are, for the test on the bus
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s %t", tt.model, tt.sane, tt.both), func(t *testing.T) {
			cfg := esci.Config{Model: tt.model, Stack: stack(t, 4), Duplex: tt.both, Resolution: scantest.DPI}
			if os.Getenv(images) == "" {
				t.Setenv(images, sane(t, cfg, tt.sane, tt.both))
			}
			bustest.Run(t, knobs(t, cfg), func(t *testing.T) {
				got, err := scantest.All(t, found(t), settings(tt.both, tt.mode))
				if err != io.EOF || len(got) != 4 {
					t.Fatalf("%s, %v", scantest.Places(got), err)
				}
				for i, side := range got {
					alike(t, side, scantest.Picture(t, filepath.Join(os.Getenv(images), fmt.Sprintf("p%d.png", i+1))))
				}
			})
		})
	}
}

// sane has SANE's driver scan and gives the folder of its images.
func sane(t *testing.T, cfg esci.Config, mode string, both bool) string {
	t.Helper()
	out := t.TempDir()
	source := map[bool]string{false: "ADF Front", true: "ADF Duplex"}[both]
	args := append(scantest.Area(image.Pt(testWidth, testHeight)), "--source="+source, "--mode="+mode, "--format=png", "--batch="+filepath.Join(out, "p%d.png"))
	said, err := scantest.Scanimage(t, knobs(t, cfg), "epsonds", "usb 0x04b8 0x0146\nusb 0x04b8 0x0155\n", args...)
	if files, _ := filepath.Glob(filepath.Join(out, "*.png")); len(files) != 4 { // the pattern is good
		t.Fatalf("scanimage gave %d pages: %v\n%s", len(files), err, said)
	}
	return out
}

// alike checks a side of ours against an image of SANE's. Two decoders of JPEG
// may differ a little.
func alike(t *testing.T, side scantest.Side, img image.Image) {
	t.Helper()
	loss := 0
	if side.Type == "image/jpeg" {
		loss = 3
	}
	scantest.Same(t, "SANE's side "+side.Where, img, side.Pixels, device.Color, loss)
}
