package sim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/device"
	"docscan/device/sim/scantest"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// shade gives page n a grey of its own, far enough from the others to survive
// a JPEG.
func shade(n int) uint8 { return uint8(20 + 25*n) }

func drawPage(n int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, 96, 128))
	draw.Draw(img, img.Bounds(), image.NewUniform(color.Gray{Y: shade(n)}), image.Point{}, draw.Src)
	// Something by which up, down, left and right are told apart.
	draw.Draw(img, image.Rect(8, 16, 40, 24), image.NewUniform(color.Gray{Y: 255 - shade(n)}), image.Point{}, draw.Src)
	return img
}

// stack writes n pages and returns their folder and their bytes.
func stack(t testing.TB, n int) (string, [][]byte) {
	t.Helper()
	dir := t.TempDir()
	var files [][]byte
	for i := range n {
		var b bytes.Buffer
		name := fmt.Sprintf("%02d.jpg", i)
		err := jpeg.Encode(&b, drawPage(i), &jpeg.Options{Quality: 95})
		if i == 2 { // another format, to be fed as it is
			b.Reset()
			name = fmt.Sprintf("%02d.png", i)
			err = png.Encode(&b, drawPage(i))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, b.Bytes())
	}
	return dir, files
}

// start serves a scanner on loopback until the test ends.
func start(t testing.TB, cfg Config) *Scanner {
	t.Helper()
	def := DefaultConfig()
	def.Stack, def.Duplex, def.Enabled, def.SheetsPerMinute = cfg.Stack, cfg.Duplex, true, cfg.SheetsPerMinute
	def.Resolution = cmp.Or(cfg.Resolution, def.Resolution)
	s, err := New(def, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t testing.TB, s *Scanner) device.Scanner {
	t.Helper()
	found, err := s.Find(t.Context())
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v, want one scanner", found, err)
	}
	d, err := found[0].Open(t.Context())
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

// scan takes all sides of a run and returns what ended it.
func scan(t testing.TB, d device.Scanner, set device.Settings) (sides [][]byte, where []string, err error) {
	t.Helper()
	run, err := d.Start(t.Context(), set)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err := run.Close(); err != nil {
			t.Errorf("close the run: %v", err)
		}
	}()
	for {
		side, err := run.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return sides, where, nil
		}
		if err != nil {
			return sides, where, err
		}
		data, err := io.ReadAll(side.Body)
		if cerr := side.Body.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return sides, where, err
		}
		sides = append(sides, data)
		where = append(where, fmt.Sprintf("%d%s", side.Sheet, map[bool]string{false: "f", true: "b"}[side.Back]))
	}
}

func TestOurDriver(t *testing.T) {
	dir, files := stack(t, 6)
	tests := []struct {
		name   string
		duplex bool
		set    device.Settings
		want   []int // files
		where  string
	}{
		{"simplex", false, device.Settings{Source: device.Feeder}, []int{0, 1, 2, 3, 4, 5}, "1f 2f 3f 4f 5f 6f"},
		{"duplex", true, device.Settings{Source: device.Feeder, Duplex: true}, []int{0, 1, 2, 3, 4, 5}, "1f 1b 2f 2b 3f 3b"},
		{"fronts of a duplex stack", true, device.Settings{Source: device.Feeder}, []int{0, 2, 4}, "1f 2f 3f"},
		{"platen", false, device.Settings{Source: device.Platen}, []int{0}, "1f"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, start(t, Config{Stack: dir, Duplex: tt.duplex}))
			for round := range 2 { // the feeder is filled again for the next run
				sides, where, err := scan(t, d, tt.set)
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(where, " "); got != tt.where {
					t.Errorf("round %d: sides %s, want %s", round, got, tt.where)
				}
				for i, n := range tt.want {
					if !bytes.Equal(sides[i], files[n]) {
						t.Errorf("round %d: side %d is not file %d", round, i, n)
					}
				}
			}
		})
	}
}

// Glass with nothing on it is scanned like any other, also while the feeder is
// empty.
func TestBareGlass(t *testing.T) {
	d := open(t, start(t, Config{Stack: t.TempDir(), Resolution: 75}))
	sides, where, err := scan(t, d, device.Settings{Source: device.Platen})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(where, " "); got != "1f" {
		t.Fatalf("sides %q, want 1f", got)
	}
	c, format, err := image.DecodeConfig(bytes.NewReader(sides[0]))
	if err != nil || format != "jpeg" || c.Width != 620 || c.Height != 876 {
		t.Errorf("the side is %s of %d x %d (%v), want an A4 JPEG of 620 x 876", format, c.Width, c.Height, err)
	}
	if _, _, err := scan(t, d, device.Settings{Source: device.Feeder}); device.KindOf(err) != device.NoPaper {
		t.Errorf("the empty feeder gives %v, want no paper", err)
	}
}

func TestDuplexIsRefusedWithoutIt(t *testing.T) {
	dir, _ := stack(t, 2)
	d := open(t, start(t, Config{Stack: dir}))
	if d.Caps().Duplex {
		t.Error("a simplex scanner says it can do both sides")
	}
	if _, err := d.Start(t.Context(), device.Settings{Source: device.Feeder, Duplex: true}); !errors.Is(err, device.ErrUnsupported) {
		t.Errorf("%v, want ErrUnsupported", err)
	}
}

// Every fault, wherever it strikes, keeps its reason, spares the sides before it,
// and lets the rest of the stack come once it is cleared.
func TestFaults(t *testing.T) {
	dir, files := stack(t, 6)
	kinds := map[Kind]device.FaultKind{
		Jam: device.Jam, DoubleFeed: device.DoubleFeed, Mispick: device.Mispick, CoverOpen: device.Cover,
		PageTooLong: device.PageLength, TrayFailed: device.Hardware, Unplugged: device.Unplugged,
		NotXML: device.BadAnswer, NotImage: device.BadAnswer,
	}
	spots := []struct {
		where Place
		after int // sheets
		sides int // before it, of a duplex run
	}{
		{AtFeed, 0, 0}, {AtFeed, 1, 2}, {AtFeed, 2, 4}, {MidPage, 1, 2}, {Between, 1, 3}, {AtStatus, 0, 0},
	}
	for kind, want := range kinds {
		for _, spot := range spots {
			if kind == NotImage && spot.where == AtStatus {
				continue // it can only be met in the place of an image
			}
			t.Run(fmt.Sprintf("%s after %d at %s", kind, spot.after, spot.where), func(t *testing.T) {
				t.Parallel()
				s := start(t, Config{Stack: dir, Duplex: true})
				d := open(t, s)
				if err := s.Arm(Fault{Kind: kind, AfterSheets: spot.after, Where: spot.where}); err != nil {
					t.Fatal(err)
				}
				if told := adfStates[kind]; told != "" && spot.where == AtStatus {
					if st, err := d.Status(t.Context()); err != nil || st.Fault != want {
						t.Errorf("its status is %+v, %v, want %s", st, err, want)
					}
				}
				sides, _, err := scan(t, d, device.Settings{Source: device.Feeder, Duplex: true})
				if device.KindOf(err) != want || len(sides) != spot.sides {
					t.Fatalf("%d sides and %v, want %d and a fault of kind %s", len(sides), err, spot.sides, want)
				}
				for i := range sides {
					if !bytes.Equal(sides[i], files[i]) {
						t.Errorf("side %d is not file %d", i, i)
					}
				}
				s.Clear()
				sides, _, err = scan(t, d, device.Settings{Source: device.Feeder, Duplex: true})
				if err != nil {
					t.Fatalf("after it was cleared: %v", err)
				}
				rest := files[spot.sides/2*2:]
				if !slices.EqualFunc(sides, rest, bytes.Equal) {
					t.Errorf("after it was cleared %d sides came, want the %d that were left", len(sides), len(rest))
				}
			})
		}
	}
}

func TestEmptyFeeder(t *testing.T) {
	s := start(t, Config{Stack: t.TempDir()})
	d := open(t, s)
	if st, err := d.Status(t.Context()); err != nil || st.State != device.Empty || st.Loaded {
		t.Errorf("status %+v, %v, want empty", st, err)
	}
	if _, _, err := scan(t, d, device.Settings{Source: device.Feeder}); device.KindOf(err) != device.NoPaper {
		t.Errorf("%v, want a fault of kind feeder-empty", err)
	}
}

func TestCancel(t *testing.T) {
	dir, _ := stack(t, 6)
	d := open(t, start(t, Config{Stack: dir, SheetsPerMinute: 600}))
	run, err := d.Start(t.Context(), device.Settings{Source: device.Feeder})
	if err != nil {
		t.Fatal(err)
	}
	side, err := run.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, side.Body); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Start(t.Context(), device.Settings{Source: device.Feeder}); device.KindOf(err) != device.Busy {
		t.Errorf("a second run: %v, want a fault of kind busy", err)
	}
	if err := run.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Next(t.Context()); device.KindOf(err) != device.Stopped {
		t.Errorf("after the cancel: %v, want a fault of kind stopped", err)
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	if sides, _, err := scan(t, d, device.Settings{Source: device.Feeder}); err != nil || len(sides) != 5 {
		t.Errorf("the next run gives %d sides, %v, want the 5 that are left", len(sides), err)
	}
	text := ""
	for _, s := range d.(device.Diagnoser).Diagnose(t.Context()) {
		text += s.Text
	}
	if !strings.Contains(text, "cancel command 1;") {
		t.Errorf("the cancel, and no other, is not counted:\n%s", text)
	}
}

// The panel page works by plain forms and by JSON, and for nobody else.
func TestPanel(t *testing.T) {
	dir, _ := stack(t, 4)
	s := start(t, Config{Stack: dir, Duplex: true})
	pressed := make(chan device.Press)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- s.Panel().Watch(ctx, func(p device.Press) { pressed <- p })
	}()
	post := func(path, kind, body, origin, host string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		if origin != "" {
			req.Header.Set("Origin", origin)
			req.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		if host != "" {
			req.Host = host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	answered := make(chan int)
	go func() { answered <- post("/sim/press", "application/x-www-form-urlencoded", "gesture=long", "", "") }()
	if p := <-pressed; p.Gesture != device.Long {
		t.Errorf("pressed %+v, want long", p)
	}
	if code := <-answered; code != http.StatusOK {
		t.Errorf("the press is answered with %d", code)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if code := post("/sim/fault", "application/json", `{"kind":"jam","after_sheets":3}`, "", ""); code != http.StatusOK {
		t.Errorf("a fault as JSON: %d", code)
	}
	if st := s.State(); st.Armed == nil || st.Armed.AfterSheets != 3 || st.Sheets != 2 {
		t.Errorf("state %+v", st)
	}
	for name, code := range map[string]int{
		"an unknown fault":  post("/sim/fault", "application/json", `{"kind":"gremlins"}`, "", ""),
		"a foreign origin":  post("/sim/clear", "application/x-www-form-urlencoded", "", "http://evil.example", ""),
		"a rebound address": post("/sim/clear", "application/x-www-form-urlencoded", "", "", "evil.example:80"),
	} {
		if code/100 != 4 {
			t.Errorf("%s is answered with %d", name, code)
		}
	}
}

// scanimage runs Debian's scanimage with its airscan driver alone, on the scanner at
// that address alone.
func scanimage(t *testing.T, url string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"dll.conf":     "airscan\n",
		"airscan.conf": fmt.Sprintf("[devices]\nsim = %s/eSCL/, eSCL\n[options]\ndiscovery = disable\n", url),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "scanimage", append([]string{"-d", "airscan:e0:sim"}, args...)...)
	cmd.Env = append(os.Environ(), "SANE_CONFIG_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("scanimage is not installed; make test installs sane-utils and sane-airscan")
	}
	return string(out), err
}

// SANE's airscan driver must see a scanner in the simulator.
func TestSANEScans(t *testing.T) {
	dir, _ := stack(t, 6)
	tests := []struct {
		source string
		duplex bool
		want   []int
	}{
		{"ADF", false, []int{0, 1, 2, 3, 4, 5}},
		{"ADF Duplex", true, []int{0, 1, 2, 3, 4, 5}},
		{"ADF", true, []int{0, 2, 4}},
		{"Flatbed", false, []int{0}},
	}
	// sane-airscan decodes the PNG page too, though it has asked for JPEG.
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s of duplex %t", tt.source, tt.duplex), func(t *testing.T) {
			s := start(t, Config{Stack: jpegOnly(t, dir), Duplex: tt.duplex})
			out := t.TempDir()
			args := []string{"--format=png", "--source=" + tt.source, "--resolution=300", "--mode=Color", "-x", "20", "-y", "20"}
			if tt.source == "Flatbed" {
				args = append(args, "--output-file="+filepath.Join(out, "p1.png"))
			} else {
				args = append(args, "--batch="+filepath.Join(out, "p%d.png"), fmt.Sprintf("--batch-count=%d", len(tt.want)))
			}
			if said, err := scanimage(t, s.URL(), args...); err != nil {
				t.Fatalf("scanimage: %v\n%s", err, said)
			}
			files, err := filepath.Glob(filepath.Join(out, "*.png"))
			if err != nil || len(files) != len(tt.want) {
				t.Fatalf("%d pages, %v, want %d", len(files), err, len(tt.want))
			}
			for i, n := range tt.want {
				sameAsPage(t, filepath.Join(out, fmt.Sprintf("p%d.png", i+1)), n)
			}
		})
	}
}

// sameAsPage checks a picture of SANE's against page n, as a JPEG of the simulated
// scanner, which our driver hands over as it is. SANE puts white around it, and two
// decoders of JPEG may differ a little.
func sameAsPage(t *testing.T, file string, n int) {
	t.Helper()
	got := scantest.Picture(t, file)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, drawPage(n), &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	want, err := jpeg.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	size := want.Bounds()
	if !size.In(got.Bounds()) {
		t.Fatalf("%s is of %v, the page of %v", file, got.Bounds(), size)
	}
	for y := range size.Dy() {
		for x := range size.Dx() {
			g, w := color.GrayModel.Convert(got.At(x, y)).(color.Gray).Y, color.GrayModel.Convert(want.At(x, y)).(color.Gray).Y
			if d := int(g) - int(w); d < -3 || d > 3 {
				t.Fatalf("%s at %d,%d is %d, page %d is %d there", file, x, y, g, n, w)
			}
		}
	}
}

// jpegOnly copies a stack with all pages as JPEG.
func jpegOnly(t *testing.T, dir string) string {
	t.Helper()
	files, err := pages(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	for i := range files {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, drawPage(i), &jpeg.Options{Quality: 95}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(out, fmt.Sprintf("%02d.jpg", i)), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// What SANE is told of faults: its own words for them.
func TestSANESeesFaults(t *testing.T) {
	dir, _ := stack(t, 2)
	full := jpegOnly(t, dir)
	tests := []struct {
		name  string
		stack string
		fault *Fault
		want  string
	}{
		{"empty", t.TempDir(), nil, "out of documents"},
		{"jam", full, &Fault{Kind: Jam}, "jammed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Config{Stack: tt.stack})
			if tt.fault != nil {
				if err := s.Arm(*tt.fault); err != nil {
					t.Fatal(err)
				}
			}
			said, _ := scanimage(t, s.URL(), "--format=png", "--source=ADF", "--batch="+filepath.Join(t.TempDir(), "p%d.png"))
			if !strings.Contains(said, tt.want) {
				t.Errorf("scanimage says %q, want %q in it", said, tt.want)
			}
		})
	}
}

func TestConfigCheck(t *testing.T) {
	good := DefaultConfig()
	good.Enabled = true
	if err := good.Check(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"no stack":    func(c *Config) { c.Stack = "" },
		"open to all": func(c *Config) { c.Listen = "0.0.0.0:80" },
		"no port":     func(c *Config) { c.Listen = "127.0.0.1" },
		"too fine":    func(c *Config) { c.Resolution = 9600 },
		"backwards":   func(c *Config) { c.SheetsPerMinute = -1 },
		"nameless":    func(c *Config) { c.Model = "" },
	} {
		c := good
		change(&c)
		if err := c.Check(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
