package esci

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
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

// testPage draws page n: no two pages, lines or columns are alike, and a JPEG of
// it looks much like it.
func testPage(n int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, testWidth, testHeight))
	for y := range testHeight {
		for x := range testWidth {
			img.SetRGBA(x, y, color.RGBA{uint8(x/2 + 15*n), uint8(y/2 + 7*n), uint8((x + y) / 3), 255})
		}
	}
	return img
}

// scanimage runs Debian's scanimage with its epsonds driver alone, on a bus with
// the simulated scanner alone.
func scanimage(t *testing.T, cfg Config, args ...string) (string, error) {
	t.Helper()
	conf := ""
	for _, m := range Models() {
		conf += fmt.Sprintf("usb %#04x %#04x\n", VendorID, m.ProductID)
	}
	return scantest.Scanimage(t, scantest.Knobs(t, "esci", cfg), "epsonds", conf, args...)
}

// area asks scanimage for the whole of a test page.
func area() []string { return scantest.Area(image.Pt(testWidth, testHeight)) }

func TestSANELists(t *testing.T) {
	for name, m := range Models() {
		out, err := scanimage(t, Config{Model: name}, "-L")
		if err != nil || !strings.Contains(out, "is a Epson "+m.Product+" ESC/I-2") {
			t.Errorf("%s: scanimage -L: %v\n%s", name, err, out)
		}
	}
}

// SANE's driver scans the very pixels that are on the stack.
func TestSANEScans(t *testing.T) {
	bustest.Build(t) // once for all that run beside one another
	dir := scantest.Stack(t, 4, testPage)
	tests := []struct {
		name string
		cfg  Config
		args []string
		loss int // of a level, by JPEG
	}{
		{"simplex colour", Config{Model: "DS-860"}, []string{"--source=ADF Front", "--mode=Color"}, 0},
		{"simplex grey", Config{Model: "DS-860"}, []string{"--source=ADF Front", "--mode=Gray"}, 0},
		{"simplex line art", Config{Model: "DS-860"}, []string{"--source=ADF Front", "--mode=Lineart"}, 0},
		{"duplex colour", Config{Model: "DS-860", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Color"}, 0},
		{"duplex grey", Config{Model: "DS-860", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Gray"}, 0},
		{"duplex line art", Config{Model: "DS-860", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Lineart"}, 0},
		{"all of the front first", Config{Model: "DS-860", Duplex: true, Order: FrontWhole}, []string{"--source=ADF Duplex", "--mode=Color"}, 0},
		{"lines with bytes after them", Config{Model: "DS-860", Duplex: true, Padding: 4}, []string{"--source=ADF Duplex", "--mode=Color"}, 0},
		{"slow, and nothing at first", Config{Model: "DS-860", Duplex: true, NoData: 2, Slow: time.Millisecond}, []string{"--source=ADF Duplex", "--mode=Color"}, 0},
		{"end alone", Config{Model: "DS-860", Duplex: true, EndAlone: true}, []string{"--source=ADF Duplex", "--mode=Color"}, 0},
		{"duplex JPEG", Config{Model: "DS-530", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Color"}, 16},
		{"duplex grey JPEG", Config{Model: "DS-530", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Gray"}, 6},
		{"lines only", Config{Model: "raw only", Duplex: true}, []string{"--source=ADF Duplex", "--mode=Color"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := tt.cfg
			cfg.Stack, cfg.Resolution = dir, scantest.DPI
			out := t.TempDir()
			said, err := scanimage(t, cfg, append(append(tt.args, area()...), "--format=png", "--batch="+filepath.Join(out, "p%d.png"))...)
			files, globErr := filepath.Glob(filepath.Join(out, "*.png"))
			if globErr != nil || len(files) != 4 {
				t.Fatalf("%d pages, %v, want 4\n%v %s", len(files), globErr, err, said)
			}
			for i := range files {
				got := scantest.Picture(t, filepath.Join(out, fmt.Sprintf("p%d.png", i+1)))
				scantest.Same(t, fmt.Sprintf("page %d", i+1), got, testPage(i), scantest.Shown(got), tt.loss)
			}
		})
	}
}

// What SANE says of faults, and of the sheets before them.
func TestSANESeesFaults(t *testing.T) {
	bustest.Build(t) // once for all that run beside one another
	dir := scantest.Stack(t, 8, testPage)
	duplex := Config{Model: "DS-860", Duplex: true, Stack: dir, Resolution: scantest.DPI, Block: 65536}
	tests := []struct {
		name   string
		change func(*Config)
		want   string
		pages  int
	}{
		{"empty", func(c *Config) { c.Stack = t.TempDir() }, "out of documents", 0},
		{"cover open", func(c *Config) { c.CoverOpen = true }, "cover is open", 0},
		{"jam at the start", func(c *Config) { c.Faults = []Fault{{Sheet: 1, Where: AtStart, Cause: Jam}} }, "", 0},
		{"jam at the feed", func(c *Config) { c.Faults = []Fault{{Sheet: 2, Cause: Jam}} }, "jammed", 2},
		{"jam halfway", func(c *Config) { c.Faults = []Fault{{Sheet: 3, Where: MidPage, Cause: Jam}} }, "jammed", 4},
		{"jam at the end", func(c *Config) { c.Faults = []Fault{{Sheet: 3, Where: AtEnd, Cause: Jam}} }, "jammed", 4},
		{"double feed", func(c *Config) { c.Faults = []Fault{{Sheet: 2, Where: MidPage, Cause: DoubleFeed}} }, "", 2},
		{"cover opened", func(c *Config) { c.Faults = []Fault{{Sheet: 2, Where: MidPage, Cause: CoverOpened}} }, "cover is open", 2},
		{"stop button", func(c *Config) { c.Faults = []Fault{{Sheet: 2, Where: MidPage, Deed: Cancel}} }, "", 2},
		{"busy", func(c *Config) { c.Busy = 1 }, "busy", 0},
		{"held", func(c *Config) { c.Held = true }, "no SANE devices", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := duplex
			tt.change(&cfg)
			out := t.TempDir()
			args := []string{"--source=ADF Duplex", "--mode=Gray", "--format=pnm", "--batch=" + filepath.Join(out, "p%d.pnm")}
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
