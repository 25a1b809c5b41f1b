package esci

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"os"
	"os/exec"
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
	testDPI    = 100
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
	dir := t.TempDir()
	conf := ""
	for _, m := range Models() {
		conf += fmt.Sprintf("usb %#04x %#04x\n", VendorID, m.ProductID)
	}
	for name, content := range map[string]string{"dll.conf": "epsonds\n", "epsonds.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	knobs, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, bustest.Build(t), append([]string{"-esci=" + string(knobs), "--", "scanimage"}, args...)...)
	cmd.Env = append(os.Environ(), "SANE_CONFIG_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "executable file not found") {
		t.Fatal("scanimage is not installed; make test installs sane-utils")
	}
	if strings.Contains(string(out), "the host did wrong") {
		t.Errorf("SANE's driver did what the simulated scanner takes for wrong:\n%s", out)
	}
	return string(out), err
}

// area asks scanimage for the whole of a test page.
func area() []string {
	mm := func(pixels int) string { return fmt.Sprintf("%.4f", float64(pixels)*25.4/testDPI+0.02) }
	return []string{fmt.Sprintf("--resolution=%d", testDPI), "-x", mm(testWidth), "-y", mm(testHeight)}
}

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
			cfg.Stack, cfg.Resolution = dir, testDPI
			out := t.TempDir()
			said, err := scanimage(t, cfg, append(append(tt.args, area()...), "--format=png", "--batch="+filepath.Join(out, "p%d.png"))...)
			files, globErr := filepath.Glob(filepath.Join(out, "*.png"))
			if globErr != nil || len(files) != 4 {
				t.Fatalf("%d pages, %v, want 4\n%v %s", len(files), globErr, err, said)
			}
			for i := range files {
				compare(t, filepath.Join(out, fmt.Sprintf("p%d.png", i+1)), testPage(i), tt.loss)
			}
		})
	}
}

// compare checks a scanned file against the page, as grey or black where the
// file is. No level may be further off than loss.
func compare(t *testing.T, name string, page image.Image, loss int) {
	t.Helper()
	got := scantest.Picture(t, name)
	if got.Bounds().Size() != page.Bounds().Size() {
		t.Fatalf("%s is of %v, want %v", name, got.Bounds().Size(), page.Bounds().Size())
	}
	gray, isGray := got.(*image.Gray)
	twoTone := isGray && twoTone(gray)
	for y := range testHeight {
		for x := range testWidth {
			want := color.RGBAModel.Convert(page.At(x, y)).(color.RGBA)
			have := color.RGBAModel.Convert(got.At(x, y)).(color.RGBA)
			if isGray {
				level := color.GrayModel.Convert(want).(color.Gray).Y
				if twoTone && level < 128 {
					level = 0
				} else if twoTone {
					level = 255
				}
				want = color.RGBA{level, level, level, 255}
			}
			if far(have.R, want.R) > loss || far(have.G, want.G) > loss || far(have.B, want.B) > loss {
				t.Fatalf("%s at %d,%d is %v, want %v", name, x, y, have, want)
			}
		}
	}
}

func far(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }

// twoTone says whether there is nothing but black and white.
func twoTone(g *image.Gray) bool {
	for _, v := range g.Pix {
		if v != 0 && v != 255 {
			return false
		}
	}
	return true
}

// What SANE says of faults, and of the sheets before them.
func TestSANESeesFaults(t *testing.T) {
	bustest.Build(t) // once for all that run beside one another
	dir := scantest.Stack(t, 8, testPage)
	duplex := Config{Model: "DS-860", Duplex: true, Stack: dir, Resolution: testDPI, Block: 65536}
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
