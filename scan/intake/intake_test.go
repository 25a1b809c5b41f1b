package intake

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/tiff"

	"docscan/scan/text"
)

// TestMain is the confined tool, too: the tests' own program stands for the
// daemon's.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Command {
		os.Exit(Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func config(t *testing.T) Config {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{Exe: exe, MemoryMB: 1024, PageSeconds: 60, MaxPages: 20, MaxPixels: 150_000_000}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// drawn makes a PDF with words on every page, as programs print it.
func drawn(t *testing.T, pages int) string {
	t.Helper()
	var ps strings.Builder
	ps.WriteString("%!PS\n/Helvetica findfont 20 scalefont setfont\n")
	for n := range pages {
		fmt.Fprintf(&ps, "72 700 moveto (Dear Mrs Smith, this is page number %d) show 72 650 moveto (of a letter about many small things) show showpage\n", n+1)
	}
	out := filepath.Join(t.TempDir(), "drawn.pdf")
	command(t, "gs", "-q", "-sDEVICE=pdfwrite", "-sPAPERSIZE=a4", "-o", out, write(t, "drawn.ps", []byte(ps.String())))
	return out
}

func picturePNG(t *testing.T, width, height int) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Pix[i] = uint8(255 - i%97)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sheets makes a TIFF of several images.
func sheets(t *testing.T, pages int) string {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for n := range pages {
		m := image.NewGray(image.Rect(0, 0, 100+n, 50))
		m.SetGray(n, 0, color.Gray{Y: 200})
		var b bytes.Buffer
		if err := tiff.Encode(&b, m, nil); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, fmt.Sprintf("%d.tif", n))
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	out := filepath.Join(dir, "all.tif")
	command(t, "tiffcp", append(files, out)...)
	return out
}

func TestPagesOfPDF(t *testing.T) {
	f, err := Open(t.Context(), config(t), drawn(t, 2), t.TempDir())
	if err != nil || f.Kind != PDF || f.Pages != 2 {
		t.Fatalf("%+v, %v", f, err)
	}
	side, err := f.Page(t.Context(), 2, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if side.Type != "image/png" || side.Resolution != 300 {
		t.Errorf("type %s at %d dpi, want image/png at 300", side.Type, side.Resolution)
	}
	file, err := os.Open(side.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c, _, err := image.DecodeConfig(file)
	if err != nil || c.Width != 2480 || c.Height != 3509 && c.Height != 3508 {
		t.Errorf("picture of %d x %d, %v; want that of A4", c.Width, c.Height, err)
	}
	if side.Text == nil {
		t.Fatal("no text")
	}
	if got, want := side.Text.Plain(), "Dear Mrs Smith, this is page number 2\n\nof a letter about many small things"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// 72 points from the left at 300 dpi; the baseline is 700 points from below.
	w := side.Text.Lines[0].Words[0]
	if w.X < 299 || w.X > 301 || w.Y < (842-700)*300/72-12 || w.Y > (842-700)*300/72+12 {
		t.Errorf("the first word is at %.0f, %.0f", w.X, w.Y)
	}
}

// A scan in a PDF comes at its own resolution; words that another program has
// read are taken, with the place they have on a page that is cropped and turned.
func TestScanInPDF(t *testing.T) {
	ps := `%!PS
<< /PageSize [200 100] >> setpagedevice
gsave 200 100 scale 400 200 8 [400 0 0 -200 0 200] { currentfile 400 string readhexstring pop } image
` + strings.Repeat(strings.Repeat("e0", 400)+"\n", 200) + `
grestore /Helvetica findfont 8 scalefont setfont
20 80 moveto (one two three four five six seven) show 20 60 moveto (eight nine ten eleven twelve) show showpage
`
	out := filepath.Join(t.TempDir(), "scan.pdf")
	command(t, "gs", "-q", "-sDEVICE=pdfwrite", "-dAutoRotatePages=/None", "-dDownsampleGrayImages=false", "-o", out, write(t, "scan.ps", []byte(ps)))
	f, err := Open(t.Context(), config(t), out, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	side, err := f.Page(t.Context(), 1, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if side.Resolution != minDPI || side.Text == nil {
		t.Errorf("%d dpi, want %d; text %v", side.Resolution, minDPI, side.Text)
	}
}

func TestPagesOfTIFF(t *testing.T) {
	f, err := Open(t.Context(), config(t), sheets(t, 3), t.TempDir())
	if err != nil || f.Kind != TIFF || f.Pages != 3 {
		t.Fatalf("%+v, %v", f, err)
	}
	for n := 1; n <= 3; n++ {
		side, err := f.Page(t.Context(), n, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(side.Path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := tiff.Decode(file)
		file.Close()
		if err != nil || m.Bounds().Dx() != 99+n {
			t.Errorf("page %d is %v, %v", n, m, err)
		}
	}
	if _, err := f.Page(t.Context(), 4, t.TempDir()); !errors.Is(err, ErrPages) {
		t.Errorf("page 4 of 3: %v", err)
	}
}

// A TIFF of the large form, which few programs read, becomes one of the common form.
func TestBigTIFF(t *testing.T) {
	for _, pages := range []int{1, 2} {
		big := filepath.Join(t.TempDir(), "big.tif")
		command(t, "tiffcp", "-8", sheets(t, pages), big)
		f, err := Open(t.Context(), config(t), big, t.TempDir())
		if err != nil || f.Kind != TIFF || f.Pages != pages {
			t.Fatalf("%+v, %v", f, err)
		}
		side, err := f.Page(t.Context(), pages, t.TempDir())
		if err != nil || side.Whole {
			t.Fatalf("%+v, %v", side, err)
		}
		file, err := os.ReadFile(side.Path)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := tiff.Decode(bytes.NewReader(file)); err != nil || m.Bounds().Dx() != 99+pages {
			t.Errorf("page %d is %v, %v", pages, m, err)
		}
	}
}

// A TIFF that was cut off says so, and gives the pages that are there.
func TestCutOffTIFF(t *testing.T) {
	for _, form := range [][]string{nil, {"-8"}, {"-B"}} {
		path := filepath.Join(t.TempDir(), "whole.tif")
		command(t, "tiffcp", append(form, sheets(t, 3), path)...)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Open(t.Context(), config(t), path, t.TempDir())
		if err != nil || f.CutOff {
			t.Errorf("%v: the whole file: %+v, %v", form, f, err)
		}
		f, err = Open(t.Context(), config(t), write(t, "cut.tif", whole[:len(whole)*5/6]), t.TempDir())
		if err != nil || !f.CutOff || f.Pages != 2 {
			t.Errorf("%v: without its end: %+v, %v", form, f, err)
		}
	}
}

func TestOneImage(t *testing.T) {
	path := write(t, "a.pdf", picturePNG(t, 10, 10)) // its name lies
	f, err := Open(t.Context(), config(t), path, t.TempDir())
	if err != nil || f.Kind != PNG || f.Pages != 1 {
		t.Fatalf("%+v, %v", f, err)
	}
	if side, err := f.Page(t.Context(), 1, t.TempDir()); err != nil || side.Path != path || !side.Whole || side.Type != "image/png" {
		t.Errorf("%+v, %v", side, err)
	}
}

// pngHead is the beginning of a PNG that claims to be so large.
func pngHead(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(b, width)
	b = binary.BigEndian.AppendUint32(b, height)
	return append(append(b, 8, 2, 0, 0, 0, 0, 0, 0, 0), "\x00\x00\x00\x09IDAT and so on"...)
}

// tiffOf is a TIFF of one image that claims a size.
func tiffOf(t *testing.T, width, height uint32) []byte {
	t.Helper()
	b, err := os.ReadFile(sheets(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	const imageWidth, imageLength, long = 256, 257, 4
	directory := b[binary.LittleEndian.Uint32(b[4:]):]
	for n := range int(binary.LittleEndian.Uint16(directory)) {
		entry := directory[2+12*n:]
		size := width
		switch binary.LittleEndian.Uint16(entry) {
		case imageLength:
			size = height
			fallthrough
		case imageWidth:
			binary.LittleEndian.PutUint16(entry[2:], long)
			binary.LittleEndian.PutUint32(entry[8:], size)
		}
	}
	return b
}

func TestRefused(t *testing.T) {
	good, err := os.ReadFile(drawn(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(t.TempDir(), "locked.pdf")
	command(t, "qpdf", "--encrypt", "user", "owner", "256", "--", write(t, "good.pdf", good), locked)
	multi, err := os.ReadFile(sheets(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		path string
		want error
		says string
	}{
		{"empty", write(t, "a.pdf", nil), ErrEmpty, "empty"},
		{"text", write(t, "a.pdf", []byte("Hello there, I am no PDF.")), ErrKind, "PDF, TIFF, JPEG and PNG"},
		{"a web page", write(t, "a.jpg", []byte("<html>")), ErrKind, "not known"},
		{"an Office document", write(t, "a.docx", []byte("PK\x03\x04\x14\x00\x06\x00")), ErrKind, "save it as PDF"},
		{"a GIF", write(t, "a.gif", []byte("GIF89a....")), ErrKind, "GIF"},
		{"locked", locked, ErrEncrypted, "without one"},
		{"half a PDF's head", write(t, "a.pdf", good[:30]), ErrDamaged, "damaged"},
		{"a PDF of noise", write(t, "a.pdf", append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte{0, 1, 2, 3, 254}, 1000)...)), ErrDamaged, "damaged"},
		{"a TIFF's head only", write(t, "a.tif", multi[:8]), ErrDamaged, "damaged"},
		{"half a TIFF's head", write(t, "a.tif", multi[:6]), ErrDamaged, ": Cannot read TIFF header"},
		{"a PDF without pages", write(t, "a.pdf", pdfOf("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[]/Count 0>>")), ErrDamaged, "no page in it"},
		{"a PNG of 60,000 x 60,000", write(t, "a.png", pngHead(60_000, 60_000)), ErrSize, "more than 1000 million pixels"},
		{"a PNG of nothing", write(t, "a.png", pngHead(0, 7)), ErrSize, "no size"},
		{"a TIFF of 60,000 x 60,000", write(t, "a.tif", tiffOf(t, 60_000, 60_000)), ErrSize, "more than 1000 million pixels"},
		{"a TIFF of nothing", write(t, "a.tif", tiffOf(t, 0, 7)), ErrDamaged, "damaged"},
		{"too many pages", drawn(t, 21), ErrPages, "has 21 pages, and 20 are the most"},
	}
	for _, tt := range tests {
		_, err := Open(t.Context(), config(t), tt.path, t.TempDir())
		if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
		if err != nil && (strings.Contains(err.Error(), filepath.Dir(tt.path)) || strings.HasSuffix(err.Error(), "..")) {
			t.Errorf("%s: %q tells where the file lies, or ends twice", tt.name, err)
		}
	}
}

// A page that is metres wide is drawn as coarsely as the limit on pixels wants.
func TestHugePage(t *testing.T) {
	out := filepath.Join(t.TempDir(), "huge.pdf")
	command(t, "gs", "-q", "-sDEVICE=pdfwrite", "-dDEVICEWIDTHPOINTS=10000", "-dDEVICEHEIGHTPOINTS=10000", "-dFIXEDMEDIA", "-o", out, write(t, "huge.ps", []byte("%!PS\nshowpage\n")))
	cfg := config(t)
	cfg.MaxPixels = 30_000_000
	f, err := Open(t.Context(), cfg, out, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	side, err := f.Page(t.Context(), 1, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(side.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if c, _, err := image.DecodeConfig(file); err != nil || int64(c.Width*c.Height) > cfg.MaxPixels || c.Width < 5000 {
		t.Errorf("%d x %d, %v", c.Width, c.Height, err)
	}
}

func TestToolEnds(t *testing.T) {
	path := drawn(t, 1)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Open(ctx, config(t), path, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	cfg := config(t)
	cfg.MemoryMB = 16 // a picture of A4 takes 26 MB
	f, err := Open(t.Context(), cfg, path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Page(t.Context(), 1, t.TempDir()); !errors.Is(err, ErrDamaged) {
		t.Errorf("with little memory: %v", err)
	}
	f.cfg = config(t)
	if _, err := f.tool(t.Context(), t.TempDir(), "no-package", "docscan-no-such-program"); !errors.Is(err, ErrTools) || !strings.Contains(err.Error(), "no-package") {
		t.Errorf("not installed: %v", err)
	}
}

// What is confined sees neither other files nor the network.
func TestConfined(t *testing.T) {
	path := drawn(t, 1)
	secret := write(t, "secret", []byte("secret"))
	f := &File{path: path, cfg: config(t)}
	dir := t.TempDir()
	for _, tt := range []struct {
		args []string
		want bool // it succeeds
	}{
		{[]string{"cat", path}, true},
		{[]string{"cat", secret}, false},
		{[]string{"cat", "/etc/shadow"}, false},
		{[]string{"touch", filepath.Join(dir, "new")}, true},
		{[]string{"touch", filepath.Join(filepath.Dir(secret), "new")}, false},
		{[]string{"bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9"}, false},
	} {
		_, err := f.tool(t.Context(), dir, "coreutils", tt.args[0], tt.args[1:]...)
		if (err == nil) != tt.want {
			t.Errorf("%v: %v", tt.args, err)
		}
	}
	_, err := f.tool(t.Context(), dir, "bash", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9")
	if err == nil || !strings.Contains(err.Error(), "Operation not permitted") {
		t.Errorf("a socket: %v", err)
	}
}

func TestWorth(t *testing.T) {
	page := func(words string, width float64) *text.Page {
		p := &text.Page{}
		for w := range strings.FieldsSeq(words) {
			p.Lines = append(p.Lines, text.Line{Words: []text.Word{{Text: w, Width: width * float64(len(w)), Height: 10}}})
		}
		return p
	}
	letter := strings.Repeat("The invoice of last month was paid on time, thank you. ", 3)
	tests := []struct {
		name  string
		words string
		width float64
		scan  bool
		want  bool
	}{
		{"a letter", letter, 5, false, true},
		{"a letter read by another program", letter, 5, true, true},
		{"German", strings.Repeat("Die Rechnung über zwölf Bücher ist bezahlt, schönen Dank. ", 3), 5, true, true},
		{"Chinese", strings.Repeat("这是一份用于测试的文件内容 ", 6), 5, false, true},
		{"a stamp over a scan", "Received 12 May", 5, true, false},
		{"nothing", "", 5, false, false},
		{"sideways", letter, 0.5, false, false},
		{"no encoding", strings.Repeat("\ue001\ue002\ue003 \ue004\ue005 ", 20), 5, false, false},
		{"unknown letters", strings.Repeat("in\ufffdoic\ufffd ", 20), 5, false, false},
		{"a shifted font", strings.Repeat("Wkh lqyrlfh rqwkv pqrst ", 10), 5, false, false},
		{"dirt", strings.Repeat("., ;' |_ -- ", 20), 5, true, false},
	}
	for _, tt := range tests {
		if got := worth(page(tt.words, tt.width), tt.scan); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Words of the file that are fewer than what is seen say so.
func TestSparse(t *testing.T) {
	a4 := sheet{width: 595, height: 842}
	upside := sheet{width: 595, height: 842, turned: true}
	lying := sheet{width: 842, height: 595, turned: true, sideways: true}
	page := func(words, lines int, from, to float64) *text.Page {
		p := &text.Page{DPI: 100}
		for i := range lines {
			var l text.Line
			for range words / lines {
				l.Words = append(l.Words, text.Word{Text: "word", Y: (from + (to-from)*float64(i)/float64(lines)) * 842 / 72 * 100})
			}
			p.Lines = append(p.Lines, l)
		}
		return p
	}
	const all = 595.0 / 72 * 842 / 72 // square inches
	tests := []struct {
		name   string
		sheet  sheet
		page   *text.Page
		images []picture
		scan   bool
		want   bool
	}{
		{"a letter", a4, page(200, 20, 0.1, 0.9), nil, false, false},
		{"a line", a4, page(8, 1, 0.1, 0.1), nil, false, true},
		{"a letter with its sign", a4, page(200, 20, 0.1, 0.9), []picture{{area: 0.03 * all}}, false, false},
		{"a heading over a picture of text", a4, page(60, 3, 0.1, 0.2), []picture{{area: 0.3 * all}}, false, true},
		{"many small drawings", a4, page(200, 20, 0.1, 0.9), slices.Repeat([]picture{{area: 0.005 * all}}, 100), false, false},
		{"a scan with its words", a4, page(200, 20, 0.1, 0.9), []picture{{area: all}}, true, false},
		{"a scan with a stamp", a4, page(12, 1, 0.02, 0.02), []picture{{area: all}}, true, true},
		{"a scan with a long stamp", a4, page(80, 4, 0.02, 0.08), []picture{{area: all}}, true, true},
		{"a scan, upside down, with a long stamp", upside, page(80, 10, 0.02, 0.3), []picture{{area: all}}, true, true},
		{"a scan, lying, with a long stamp", lying, page(80, 10, 0.02, 0.3), []picture{{area: all}}, true, true},
		{"a scan, lying, with its words", lying, page(200, 20, 0.1, 0.9), []picture{{area: all}}, true, false},
	}
	for _, tt := range tests {
		if got := sparse(tt.page, tt.sheet, tt.images, tt.scan); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// The height of a page is that by which it is shown.
func TestHeightOfTurnedPage(t *testing.T) {
	for turn, want := range map[int]float64{0: 842, 90: 595, 180: 842, 270: 595} {
		data := pdfOf("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
			fmt.Sprintf("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Rotate %d>>", turn))
		f, err := Open(t.Context(), config(t), write(t, "turned.pdf", data), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.sheetOf(t.Context(), 1, t.TempDir())
		if err != nil || s.high() != want || s.turned != (turn != 0) {
			t.Errorf("turned by %d: %+v, %g high, %v; want %g", turn, s, s.high(), err, want)
		}
	}
}

func FuzzSniff(f *testing.F) {
	f.Add([]byte("%PDF-1.4"))
	f.Add([]byte{0xff, 0xd8, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, err := Sniff(data)
		if (kind == "") == (err == nil) {
			t.Errorf("%q, %v", kind, err)
		}
	})
}

// FuzzTools reads what tools print of hostile files.
func FuzzTools(f *testing.F) {
	f.Add([]byte(`<page width="595.0" height="842.0"><flow><block><line><word xMin="72.0" yMin="124.7" xMax="126.6" yMax="146.9">Hello</word></line></block></flow></page>`))
	f.Add([]byte("Pages:  2\nPage    1 CropBox: 0.00 0.00 595.00 842.00\n"))
	f.Add([]byte("   1     0 image    2480  3508  rgb     3   8  jpeg   no         7  0   300   300  1234K  4.8%\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := layout(data, 300)
		worth(p, true)
		for _, l := range p.Lines {
			for _, w := range l.Words {
				if w.Text == "" || w.Width <= 0 || w.Height <= 0 {
					t.Errorf("a word without text or size: %+v", w)
				}
			}
		}
		if b, ok := box(field(data, "Page 1 CropBox")); ok && b[2] > b[0] && b[3] > b[1] {
			dpi, _, _ := plan(sheet{width: b[2] - b[0], height: b[3] - b[1]}, listed(data), 150_000_000)
			if dpi < leastDPI || dpi > maxDPI {
				t.Errorf("%d dpi", dpi)
			}
		}
	})
}
