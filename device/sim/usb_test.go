package sim

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docscan/device"
	"docscan/device/escl"
	"docscan/device/ippusb"
	"docscan/device/quirks"
	"docscan/device/sim/bustest"
	"docscan/device/usb"
)

func TestMain(m *testing.M) { os.Exit(bustest.Main(m)) }

// onBus is the simulated scanner without a web server of its own: it answers
// through the simulated USB device.
func onBus(t *testing.T, stack string) *Scanner {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Enabled, cfg.Listen, cfg.Stack, cfg.SheetsPerMinute = true, "", stack, 0
	s, err := New(cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The same simulator, at the other end of a USB cable: through our own
// IPP-over-USB on the real gousb and libusb, and through Debian's ipp-usb.
func TestScanOverUSB(t *testing.T) {
	dir, files := stack(t, 6)
	for _, way := range []string{"ours", "ours, gap in the interfaces", "ipp-usb"} {
		t.Run(way, func(t *testing.T) {
			var flags []string
			if strings.Contains(way, "gap") {
				flags = []string{"-gap"}
			}
			bustest.RunWith(t, onBus(t, dir).Handler(), flags, func(t *testing.T) {
				d := overUSB(t, way == "ipp-usb")
				defer func() { checkDiagnosis(t, d, way, files) }()
				for range 2 {
					sides, where, err := scan(t, d, device.Settings{Source: device.Feeder, Duplex: true})
					if err != nil {
						t.Fatal(err)
					}
					if got := strings.Join(where, " "); got != "1f 1b 2f 2b 3f 3b" {
						t.Errorf("sides %s", got)
					}
					for i := range sides {
						if !bytes.Equal(sides[i], files[i]) {
							t.Errorf("side %d is not file %d", i, i)
						}
					}
				}
			})
		})
	}
}

// SANE's airscan driver scans from ours through Debian's ipp-usb, too, and gets the
// same pixels as we do.
func TestSANEScansThroughIPPUSB(t *testing.T) {
	all, _ := stack(t, 6)
	dir := jpegOnly(t, all)
	bustest.RunWith(t, onBus(t, dir).Handler(), nil, func(t *testing.T) {
		out := t.TempDir()
		said, err := scanimage(t, bustest.IPPUSB(t), "--format=png", "--source=ADF Duplex", "--resolution=300", "--mode=Color", "-x", "20", "-y", "20",
			"--batch="+filepath.Join(out, "p%d.png"))
		for n := range 6 {
			if _, serr := os.Stat(filepath.Join(out, fmt.Sprintf("p%d.png", n+1))); serr != nil {
				t.Fatalf("scanimage: %v\n%s", err, said)
			}
			sameAsPage(t, filepath.Join(out, fmt.Sprintf("p%d.png", n+1)), n)
		}
		if !strings.Contains(said, "out of documents") {
			t.Errorf("scanimage: %v\n%s", err, said)
		}
	})
}

// checkDiagnosis looks for all that a diagnosis of such a scanner must have, and for
// nothing of what was scanned.
func checkDiagnosis(t *testing.T, d device.Scanner, way string, files [][]byte) {
	t.Helper()
	var all strings.Builder
	for _, s := range d.(device.Diagnoser).Diagnose(t.Context()) {
		fmt.Fprintf(&all, "== %s\n%s", s.Title, s.Text)
	}
	text := all.String()
	want := []string{"== Quirks in force\nnone\n", "== eSCL ScannerCapabilities\n200 OK", "AdfDuplexInputCaps", "== eSCL ScannerStatus\n200 OK", "== Recovery\n"}
	if way != "ipp-usb" {
		want = append(want, "== USB\n", "class 7/1/4", "<- in use", "== Last USB transfers\n", "read from")
	}
	for _, w := range want {
		if strings.Count(text, w) == 0 {
			t.Errorf("the diagnosis does not say %q:\n%s", w, text)
		}
	}
	if strings.Count(text, "== Quirks in force") != 1 || strings.Count(text, "== Recovery") != 1 {
		t.Errorf("the diagnosis says something twice:\n%s", text)
	}
	for i, f := range files {
		if strings.Contains(text, string(f[100:200])) {
			t.Errorf("the diagnosis has something of side %d in it", i)
		}
	}
}

// overUSB opens the one scanner of the bus on which the test runs.
func overUSB(t *testing.T, debians bool) device.Scanner {
	t.Helper()
	var d device.Scanner
	known, err := quirks.Load("")
	if err != nil {
		t.Fatal(err)
	}
	if debians {
		d, err = escl.Network(bustest.IPPUSB(t)+"/eSCL", t.TempDir(), known, quiet).Open(t.Context())
	} else {
		open := func(ctx context.Context, rt http.RoundTripper, info device.Info, q quirks.Quirks) (device.Scanner, error) {
			return escl.Open(ctx, escl.Options{BaseURL: "http://localhost/eSCL/", HTTP: rt, Info: info, Quirks: q, Log: quiet})
		}
		f := usb.NewFinder(usb.DefaultConfig(), quiet, ippusb.NewDriver(ippusb.DefaultConfig(), known, open, quiet))
		t.Cleanup(func() {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
		var found []device.Found
		if found, err = f.Find(t.Context()); err == nil && len(found) != 1 {
			t.Fatalf("%d scanners on the bus, want 1", len(found))
		}
		if err == nil {
			d, err = found[0].Open(t.Context())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// A scanner that ipp-usb holds is not fought for: it is used where ipp-usb
// serves it, under the same name.
func TestHeldByIPPUSB(t *testing.T) {
	dir, want := stack(t, 4)
	s := onBus(t, dir)
	bustest.RunWith(t, s.Handler(), nil, func(t *testing.T) {
		_, devices := bustest.IPPUSBIn(t)
		known, err := quirks.Load("")
		if err != nil {
			t.Fatal(err)
		}
		open := func(ctx context.Context, rt http.RoundTripper, info device.Info, q quirks.Quirks) (device.Scanner, error) {
			return escl.Open(ctx, escl.Options{BaseURL: "http://localhost/eSCL/", HTTP: rt, Info: info, Quirks: q, Log: quiet})
		}
		for name, dir := range map[string]string{"used through it": devices, "left alone": ""} {
			cfg := ippusb.DefaultConfig()
			cfg.IPPUSBDir = dir
			f := usb.NewFinder(usb.DefaultConfig(), quiet, ippusb.NewDriver(cfg, known, open, quiet))
			found, err := f.Find(t.Context())
			if err != nil || len(found) != 1 {
				t.Fatalf("%s: %v, %v, want one scanner", name, found, err)
			}
			d, err := found[0].Open(t.Context())
			if dir == "" {
				if device.KindOf(err) != device.HeldByOther {
					t.Errorf("%s: %v, want a fault of kind in-use", name, err)
				}
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
			} else {
				sides, _, err := scan(t, d, device.Settings{Source: device.Feeder, Duplex: true})
				if err != nil || len(sides) != len(want) {
					t.Errorf("%s: %d sides, %v, want %d", name, len(sides), err, len(want))
				}
				if d.Info().ID != found[0].Info.ID {
					t.Errorf("%s: it is %s, found as %s", name, d.Info().ID, found[0].Info.ID)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A jam keeps its reason over USB too.
func TestJamOverUSB(t *testing.T) {
	dir, _ := stack(t, 6)
	s := onBus(t, dir)
	if err := s.Arm(Fault{Kind: Jam, AfterSheets: 2, Where: MidPage}); err != nil {
		t.Fatal(err)
	}
	bustest.RunWith(t, s.Handler(), nil, func(t *testing.T) {
		d := overUSB(t, false)
		sides, _, err := scan(t, d, device.Settings{Source: device.Feeder, Duplex: true})
		if device.KindOf(err) != device.Jam || len(sides) != 4 {
			t.Errorf("%d sides and %v, want 4 and a jam", len(sides), err)
		}
	})
}
