package fujitsu

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/device/sim/bustest"
	"docscan/device/sim/scantest"
)

func TestMain(m *testing.M) { os.Exit(bustest.Main(m)) }

// The size of the pages of a test, in pixels at the resolution of a test. SANE
// measures in millimetres, so it is one that it can say exactly.
const (
	testWidth  = 400
	testHeight = 300
)

// testPage draws page n: no two pages, lines or columns are alike.
func testPage(n int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, testWidth, testHeight))
	for y := range testHeight {
		for x := range testWidth {
			img.SetRGBA(x, y, color.RGBA{uint8(x ^ y + 31*n), uint8(y + 7*n), uint8(x*y>>5 + n), 255})
		}
	}
	return img
}

// scanimage runs Debian's scanimage with its fujitsu driver alone, on a bus with
// the simulated scanner alone.
func scanimage(t *testing.T, cfg Config, args ...string) (string, error) {
	t.Helper()
	conf := "option buffer-size 262144\nusb 0x04c5 0x132e\nusb 0x04c5 0x132b\nusb 0x04c5 0x10e0\nusb 0x04c5 0x1041\nusb 0x04c5 0x15ff\n"
	return scantest.Scanimage(t, scantest.Knobs(t, "fujitsu", cfg), "fujitsu", conf, args...)
}

// area asks scanimage for the whole of a test page.
func area() []string {
	size := image.Pt(testWidth, testHeight)
	return append(scantest.Area(size), scantest.Paper(size)...)
}

// compare checks a scanned file against the page, as grey or black where the
// file is.
func compare(t *testing.T, name string, page image.Image) {
	t.Helper()
	got := scantest.Picture(t, name)
	scantest.Same(t, name, got, page, scantest.Shown(got), 0)
}

func TestSANELists(t *testing.T) {
	out, err := scanimage(t, Config{Model: "fi-7160"}, "-L")
	if err != nil || !strings.Contains(out, "device `fujitsu:fi-7160:1234' is a FUJITSU fi-7160 scanner") {
		t.Errorf("scanimage -L: %v\n%s", err, out)
	}
}

// SANE's driver scans the very pixels that are on the stack.
func TestSANEScans(t *testing.T) {
	bustest.Build(t) // once for all that run beside one another
	dir := scantest.Stack(t, 4, testPage)
	tests := []struct {
		name  string
		cfg   Config
		args  []string
		pages []int
	}{
		{"simplex colour", Config{Model: "fi-7160"}, []string{"--source=ADF Front", "--mode=Color"}, []int{0, 1, 2, 3}},
		{"duplex colour", Config{Model: "fi-7160", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Color"}, []int{0, 1, 2, 3}},
		{"duplex grey", Config{Model: "fi-7160", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Gray"}, []int{0, 1, 2, 3}},
		{"duplex line art", Config{Model: "fi-7160", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Lineart"}, []int{0, 1, 2, 3}},
		{"colours by line", Config{Model: "fi-4120C", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Color"}, []int{0, 1, 2, 3}},
		{"blue first", Config{Model: "fi-8170", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Color"}, []int{0, 1, 2, 3}},
		{"ScanSnap", Config{Model: "iX500", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Color"}, []int{0, 1, 2, 3}},
		{"busy, slow and in pieces", Config{Model: "fi-7160", Duplex: true, Busy: 1, NoData: 2, Short: 50_000, Slow: time.Millisecond}, []string{"--source=ADF Duplex", "--mode=Color"}, []int{0, 1, 2, 3}},
		{"padded", Config{Model: "fi-7160", Duplex: true, Padded: true, Short: 50_000}, []string{"--source=ADF Duplex", "--mode=Color"}, []int{0, 1, 2, 3}},
		{"no size, one end", Config{Model: "fi-7160", Duplex: true, NoPixelSize: true, EndOnce: true}, []string{"--source=ADF Duplex", "--mode=Color"}, []int{0, 1, 2, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := tt.cfg
			cfg.Stack, cfg.Resolution = dir, scantest.DPI
			out := t.TempDir()
			said, err := scanimage(t, cfg, append(append(tt.args, area()...), "--format=png", "--batch="+filepath.Join(out, "p%d.png"))...)
			if !strings.Contains(said, "out of documents") {
				t.Fatalf("scanimage: %v\n%s", err, said)
			}
			files, err := filepath.Glob(filepath.Join(out, "*.png"))
			if err != nil || len(files) != len(tt.pages) {
				t.Fatalf("%d pages, %v, want %d\n%s", len(files), err, len(tt.pages), said)
			}
			for i, n := range tt.pages {
				compare(t, filepath.Join(out, fmt.Sprintf("p%d.png", i+1)), testPage(n))
			}
		})
	}
}

// The glass of a machine that has one.
func TestSANEScansThePlaten(t *testing.T) {
	out := filepath.Join(t.TempDir(), "p.png")
	cfg := Config{Model: "fi-5120C", Stack: scantest.Stack(t, 1, testPage), Resolution: scantest.DPI}
	args := append([]string{"--source=Flatbed", "--mode=Color", "--format=png", "--output-file=" + out}, area()...)
	args = slices.DeleteFunc(args, func(a string) bool { return strings.HasPrefix(a, "--page-") }) // there is no paper size
	if said, err := scanimage(t, cfg, args...); err != nil {
		t.Fatalf("scanimage: %v\n%s", err, said)
	}
	compare(t, out, testPage(0))
}

// What SANE says of faults, and of the sheets before them.
func TestSANESeesFaults(t *testing.T) {
	bustest.Build(t) // once for all that run beside one another
	dir := scantest.Stack(t, 8, testPage)
	duplex := Config{Model: "fi-7160", Duplex: true, Stack: dir, Resolution: scantest.DPI}
	tests := []struct {
		name   string
		change func(*Config)
		want   string
		pages  int
	}{
		{"empty", func(c *Config) { c.Stack = t.TempDir() }, "out of documents", 0},
		{"empty ScanSnap", func(c *Config) { c.Model, c.Stack = "iX500", t.TempDir() }, "out of documents", 0},
		{"cover open", func(c *Config) { c.CoverOpen = true }, "cover is open", 0},
		{"jam at the feed", func(c *Config) { c.Faults = []Fault{{Sheet: 2, Sense: Jam}} }, "jammed", 2},
		{"jam at the check", func(c *Config) { c.Faults = []Fault{{Sheet: 2, Where: AtRIC, Sense: Jam}} }, "jammed", 2},
		{"jam halfway", func(c *Config) { c.Faults = []Fault{{Sheet: 3, Where: MidRead, Sense: Jam}} }, "jammed", 4},
		{"jam at a status", func(c *Config) { c.Faults = []Fault{{Sheet: 3, Back: true, Where: AtStatus, Sense: Jam}} }, "jammed", 4},
		{"double feed", func(c *Config) { c.Faults = []Fault{{Sheet: 2, Where: AtRIC, Sense: DoubleFeed}} }, "jammed", 2},
		{"cover opened halfway", func(c *Config) { c.Faults = []Fault{{Sheet: 2, Where: MidRead, Sense: CoverOpened}} }, "cover is open", 2},
		{"unplugged", func(c *Config) { c.Faults = []Fault{{Sheet: 2, Where: MidRead, Deed: Unplug}} }, "I/O", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := duplex
			tt.change(&cfg)
			out := t.TempDir()
			args := []string{"--source=ADF Duplex", "--mode=Gray", "--format=pnm", "--batch=" + filepath.Join(out, "p%d.pnm")}
			if tt.name == "double feed" {
				args = append(args, "--df-action=Stop", "--df-thickness=yes")
			}
			said, err := scanimage(t, cfg, append(args, area()...)...)
			if !strings.Contains(said, tt.want) {
				t.Errorf("scanimage: %v\n%s\nwant %q in it", err, said, tt.want)
			}
			files, err := filepath.Glob(filepath.Join(out, "*.pnm"))
			if err != nil || len(files) != tt.pages {
				t.Errorf("%d pages, %v, want %d\n%s", len(files), err, tt.pages, said)
			}
		})
	}
}

// SANE's driver sees the sensors and the buttons.
func TestSANESensors(t *testing.T) {
	dir := scantest.Stack(t, 1, testPage)
	tests := []struct {
		name string
		cfg  Config
		want map[string]string
	}{
		{"loaded", Config{Stack: dir}, map[string]string{"page-loaded": "yes", "cover-open": "no", "scan": "no", "email": "no"}},
		{"empty and open", Config{CoverOpen: true}, map[string]string{"page-loaded": "no", "cover-open": "yes"}},
		{"pressed", Config{Stack: dir, Presses: []Press{{For: 99}}}, map[string]string{"scan": "yes", "email": "no"}},
		{"second button", Config{Stack: dir, Presses: []Press{{For: 99, Send: true}}}, map[string]string{"scan": "no", "email": "yes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Model = "fi-7160"
			said, err := scanimage(t, tt.cfg, "-A")
			if err != nil {
				t.Fatalf("scanimage -A: %v\n%s", err, said)
			}
			for option, want := range tt.want {
				if line := "--" + option + "[=(yes|no)] [" + want + "]"; !strings.Contains(said, line) {
					t.Errorf("no %q in:\n%s", line, said)
				}
			}
		})
	}
}
