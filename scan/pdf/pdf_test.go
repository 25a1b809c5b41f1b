package pdf

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"docscan/scan/imaging/jbig2"
	"docscan/scan/text"
)

var meta = Meta{
	Title:     "Rechnung <7> & Größe (\\)",
	Author:    "Anna",
	Subject:   "A test",
	Producer:  "docscan",
	Created:   time.Date(2026, 11, 23, 18, 30, 5, 0, time.FixedZone("", 3600)),
	Modified:  time.Date(2026, 11, 23, 18, 31, 0, 0, time.UTC),
	Languages: []string{"deu", "eng"},
	ID:        [16]byte{1, 2, 3},
}

// picture is a grey-scale JPEG with a dark top left corner.
func picture(t testing.TB, width, height int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for y := range height / 4 {
		for x := range width / 4 {
			img.SetGray(x, y, color.Gray{Y: 30})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func coloured(t testing.TB, width, height int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Bounds(), image.NewUniform(color.RGBA{200, 40, 90, 255}), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegPage(data []byte, width, height, dpi, rotate int, p *text.Page) Page {
	return Page{
		Image:  Image{Width: width, Height: height, DPI: dpi, Colors: 1, Bits: 8, Filter: "DCTDecode", Size: int64(len(data)), Data: bytes.NewReader(data)},
		Rotate: rotate,
		Text:   p,
	}
}

// write writes pages to a file of the test and returns its path.
func write(t testing.TB, p part, pages ...Page) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "out.pdf")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(f, meta, p)
	for _, page := range pages {
		if err := w.AddPage(page); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

// tool runs a program of another project and returns what it prints; a
// complaint or a failure fails the test.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, complaint bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is not installed; make test installs it", name)
	} else if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, &out, &complaint)
	}
	for l := range strings.Lines(complaint.String()) {
		// Words on how the tool itself was built or set up.
		if !strings.HasPrefix(l, "SLF4J:") && !strings.HasPrefix(l, "warning: ICC support is not available") {
			t.Errorf("%s complains: %s", name, l)
		}
	}
	return out.String()
}

func line(words ...text.Word) text.Line { return text.Line{Words: words} }

func word(s string, x, y, width, height, angle float64) text.Word {
	return text.Word{Text: s, X: x, Y: y, Width: width, Height: height, Descent: height / 5, Angle: angle}
}

// invoice is a page of text at 100 dpi, 600 x 800 pixels.
func invoice() *text.Page {
	return &text.Page{Lines: []text.Line{
		line(word("Rechnung", 60, 100, 150, 30, 0), word("Größe", 230, 100, 90, 30, 0), word("(7)", 340, 100, 40, 30, 0)),
		line(word("Total", 60, 200, 80, 24, 0), word("1,299.00", 400, 200, 120, 24, 0), word("€", 530, 200, 20, 24, 0)),
	}}
}

// kinds has a page of every form an image can have, with and without text and
// turns, by the name of the form.
func kinds(t testing.TB) map[string]Page {
	const width, height, dpi = 120, 160, 20
	grey, rgb := picture(t, width, height), coloured(t, width, height)
	flat := deflate(t, bytes.Repeat([]byte{200}, width*height))
	// PNG's filter 1: each byte is the difference from the one a pixel before.
	rows := deflate(t, bytes.Repeat(append([]byte{1, 250, 100, 20}, make([]byte, 3*(width-1))...), height))
	bits := deflate(t, bytes.Repeat([]byte{0xf0}, width/8*height))
	page := func(i Image, data []byte, p *text.Page, rotate int) Page {
		i.DPI, i.Size, i.Data = dpi, int64(len(data)), bytes.NewReader(data)
		return Page{Image: i, Text: p, Rotate: rotate}
	}
	words := invoice()
	return map[string]Page{
		"grey JPEG":      page(Image{Width: width, Height: height, Colors: 1, Bits: 8, Filter: "DCTDecode"}, grey, words, 0),
		"colour JPEG":    page(Image{Width: width, Height: height, Colors: 3, Bits: 8, Filter: "DCTDecode"}, rgb, words, 180),
		"plain grey":     page(Image{Width: width, Height: height, Colors: 1, Bits: 8, Filter: "FlateDecode", Predictor: 1}, flat, nil, 90),
		"colour PNG":     page(Image{Width: width, Height: height, Colors: 3, Bits: 8, Filter: "FlateDecode", Predictor: 15}, rows, words, 270),
		"bilevel":        page(Image{Width: width, Height: height, Colors: 1, Bits: 1, Filter: "FlateDecode"}, bits, nil, 0),
		"fax":            page(Image{Width: 16, Height: 8, Colors: 1, Bits: 1, Filter: "CCITTFaxDecode"}, leftHalfBlack, words, 0),
		"JBIG2":          page(Image{Width: 16, Height: 8, Colors: 1, Bits: 1, Filter: "JBIG2Decode"}, leftHalf(t), words, 0),
		"layers":         layered(t, width, height, dpi, words),
		"blank layers":   {Image: Image{Width: width, Height: height, DPI: dpi}, Layers: []Layer{{Width: width, Height: height, Color: [3]uint8{250, 240, 230}}}},
		"fax of 1 black": page(Image{Width: 16, Height: 8, Colors: 1, Bits: 1, Filter: "CCITTFaxDecode", BlackIs1: true}, leftHalfBlack, nil, 0),
	}
}

// leftHalf is the image of leftHalfBlack in JBIG2.
func leftHalf(t testing.TB) []byte {
	t.Helper()
	b := jbig2.NewBitmap(16, 8)
	for i := 0; i < len(b.Pix); i += 2 {
		b.Pix[i] = 0xff
	}
	data, err := jbig2.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// layered is a page of yellow paper with a picture on its upper part and, below
// it, a stencil whose left half lets blue through.
func layered(t testing.TB, width, height, dpi int, words *text.Page) Page {
	photo, mask := coloured(t, 40, 30), leftHalf(t)
	w, h := float64(width), float64(height)
	return Page{
		Image: Image{Width: width, Height: height, DPI: dpi},
		Layers: []Layer{
			{Width: w, Height: h, Color: [3]uint8{255, 255, 0}},
			{Width: w, Height: h / 4, Image: &Image{Width: 40, Height: 30, Colors: 3, Bits: 8, Filter: "DCTDecode", Size: int64(len(photo)), Data: bytes.NewReader(photo)}},
			{Y: h / 4, Width: w, Height: h / 2, Color: [3]uint8{0, 0, 255}, Stencil: true,
				Image: &Image{Width: 16, Height: 8, Colors: 1, Bits: 1, Filter: "JBIG2Decode", Size: int64(len(mask)), Data: bytes.NewReader(mask)}},
		},
		Text: words,
	}
}

// all gives the pages of kinds in the order of their names.
func all(t testing.TB) []Page {
	m := kinds(t)
	var pages []Page
	for _, name := range slices.Sorted(maps.Keys(m)) {
		pages = append(pages, m[name])
	}
	return pages
}

// leftHalfBlack is an image of 16 x 8 pixels by ITU-T T.6: the first line is
// "horizontal, 0 white, 8 black; vertical 0", each other "vertical 0" three
// times, and then comes the end of the block.
var leftHalfBlack = pack("001" + "00110101" + "000101" + "1" + strings.Repeat("111", 7) + strings.Repeat("000000000001", 2))

func pack(bits string) []byte {
	out := make([]byte, (len(bits)+7)/8)
	for i, b := range bits {
		out[i/8] |= byte(b-'0') << (7 - i%8)
	}
	return out
}

func deflate(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, err := z.Write(data)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every other reader must take the file without a complaint.
func TestReadersAccept(t *testing.T) {
	for name, pages := range map[string][]Page{
		"all kinds":         all(t),
		"no text":           {kinds(t)["plain grey"]},
		"one colour page":   {kinds(t)["colour JPEG"]},
		"one page of words": {kinds(t)["grey JPEG"]},
	} {
		file := write(t, a2u, pages...)
		t.Run(name, func(t *testing.T) {
			if out := tool(t, "qpdf", "--check", file); strings.Contains(out, "WARNING") {
				t.Errorf("qpdf warns: %s", out)
			}
			tool(t, "pdfcpu", "validate", "--conf", "disable", "--offline", "--quiet", "--mode", "strict", file)
			tool(t, "gs", "-q", "-dNOPAUSE", "-dBATCH", "-dPDFSTOPONWARNING", "-sDEVICE=nullpage", file)
			tool(t, "mutool", "clean", file, filepath.Join(t.TempDir(), "clean.pdf"))
			tool(t, "mutool", "draw", "-q", "-r", "30", "-o", filepath.Join(t.TempDir(), "page%d.png"), file)
			tool(t, "pdftoppm", "-r", "30", file, filepath.Join(t.TempDir(), "page"))
			info := tool(t, "pdfinfo", file)
			for _, want := range []string{"PDF version:     1.7", "Title:           " + meta.Title, "Producer:        docscan", fmt.Sprintf("Pages:           %d", len(pages))} {
				if !strings.Contains(info, want) {
					t.Errorf("pdfinfo does not say %q:\n%s", want, info)
				}
			}
		})
	}
}

// PDF/A-2 has no free validator in Debian; the same pages written as PDF/A-1b
// have: PDFBox's preflight.
func TestPreflight(t *testing.T) {
	for name, page := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			out := tool(t, "java", "-cp", "/usr/share/java/*", "org.apache.pdfbox.preflight.Validator_A1b", write(t, a1b, page))
			if !strings.Contains(out, "is a valid PDF/A-1b file") {
				t.Errorf("preflight says: %s", out)
			}
		})
	}
}

func TestTextInReadingOrder(t *testing.T) {
	data := picture(t, 600, 800)
	file := write(t, a2u, jpegPage(data, 600, 800, 100, 0, invoice()))
	want := invoice().Plain()
	for reader, got := range map[string]string{
		"pdftotext -raw": tool(t, "pdftotext", "-raw", file, "-"),
		"mutool":         tool(t, "mutool", "draw", "-q", "-F", "text", file),
	} {
		var lines []string
		for _, l := range strings.FieldsFunc(got, func(r rune) bool { return r == '\n' || r == '\f' }) {
			lines = append(lines, strings.TrimSpace(l))
		}
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("%s: %q, want %q", reader, got, want)
		}
	}
}

// setLine puts words on a line of the invoice's page, the first one on the
// left, or on the right where the script runs from there.
func setLine(fromRight bool, words ...string) text.Line {
	var l text.Line
	x := 40.0
	for _, s := range words {
		w := word(s, x, 100, 14*float64(utf8.RuneCountInString(s)), 30, 0)
		if fromRight {
			w.X = 600 - w.X - w.Width
		}
		l.Words = append(l.Words, w)
		x += w.Width + 12
	}
	return l
}

// Every script comes out as it went in, a line as a line and its words apart.
func TestScripts(t *testing.T) {
	tests := []struct {
		name      string
		fromRight bool
		words     string
	}{
		{"Latin", false, "Straßenübergang fünf Žižkov"},
		{"Greek", false, "Ελληνικά γράμματα"},
		{"Cyrillic", false, "Объявление о собрании"},
		{"Devanagari", false, "नमस्ते दुनिया हिन्दी"},
		{"Thai", false, "สวัสดี ที่นี่"},
		{"Khmer", false, "ភាសាខ្មែរ"},
		{"Tamil", false, "தமிழ் மொழி"},
		{"Chinese", false, "文書 管理 𠮷野家"},
		{"Hangul", false, "문서 관리"},
		{"emoji", false, "🖨📄 👩\u200d👩\u200d👧 🇩🇪"},
		{"combining", false, "e\u0301te\u0301 a\u0308\u0304"},
		{"mathematical", false, "𝑥² ≤ 𝟙"},
		{"Hebrew", true, "שלום עולם טוב"},
		{"Hebrew with points", true, "שָׁלוֹם עוֹלָם"},
		{"Arabic", true, "مرحبا بكم في المكتب"},
		{"Arabic with marks", true, "مُحَمَّدٌ كِتَابٌ"},
	}
	data := picture(t, 600, 800)
	// Readers put marks of direction around right-to-left text.
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Bidi_Control, r) {
				return -1
			}
			return r
		}, strings.TrimSpace(s))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &text.Page{Lines: []text.Line{setLine(tt.fromRight, strings.Fields(tt.words)...)}}
			file := write(t, a2u, jpegPage(data, 600, 800, 100, 0, p))
			if got := plain(tool(t, "pdftotext", file, "-")); got != tt.words {
				t.Errorf("pdftotext: %q, want %q", got, tt.words)
			}
			if tt.fromRight {
				return // MuPDF leaves letters in the order of the paper
			}
			if got := plain(tool(t, "mutool", "draw", "-q", "-F", "text", file)); got != tt.words {
				t.Errorf("mutool: %q, want %q", got, tt.words)
			}
		})
	}
}

func TestVisualOrder(t *testing.T) {
	// Letters are named as in the Unicode standard's own examples, but real:
	// what is read from the right is Hebrew.
	tests := []struct{ word, want string }{
		{"abc", "abc"},
		{"12.5.2026", "12.5.2026"},
		{"אבג", "גבא"},
		{"(אבג)", ")גבא("},
		{"א-12.5", "12.5-א"},
		{"12-אב", "בא-12"},
		{"אבabגד", "דגabבא"},
		{"abאבc", "abבאc"},
		{"ab-אבָ", "ab-ָבא"},
		{"אָב", "בָא"},
	}
	for _, tt := range tests {
		if got := string(visual([]rune(tt.word))); got != tt.want {
			t.Errorf("visual(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

// turned says where a point of an image stands on the page when that is turned
// clockwise.
func turned(x, y, width, height float64, rotate int) (float64, float64) {
	switch rotate {
	case 90:
		return height - y, x
	case 180:
		return width - x, height - y
	case 270:
		return y, width - x
	}
	return x, y
}

var (
	box      = regexp.MustCompile(`<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">([^<]*)</word>`)
	charQuad = regexp.MustCompile(`<char quad="([^"]*)"[^>]* c="(.)"`)
)

func floats(t *testing.T, list ...string) []float64 {
	t.Helper()
	var out []float64
	for _, s := range list {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// A selection in a viewer must hit the word: its box is where the word was
// found, whichever way the page lies. A word that leans a little is written
// level about the middle of its baseline; one that leans much, as it leans.
func TestBoxes(t *testing.T) {
	const width, height, dpi = 600.0, 800.0, 100
	const points = 72.0 / dpi
	data := picture(t, width, height)
	for _, rotate := range []int{0, 90, 180, 270} {
		for _, lean := range []float64{0, 1.5, -4, 20} {
			t.Run(fmt.Sprintf("turned %d, leaning %v", rotate, lean), func(t *testing.T) {
				// Text that reads upright once the page is turned clockwise by
				// rotate runs the other way round in the image.
				upright := math.Mod(360-float64(rotate), 360)
				sin, cos := math.Sincos((upright + lean) * math.Pi / 180)
				first := word("Rechnung", 300, 400, 150, 30, upright+lean)
				second := word("Jahr", 300+180*cos, 400+180*sin, 70, 30, upright+lean)
				words := []text.Word{first, second}
				file := write(t, a2u, jpegPage(data, width, height, dpi, rotate, &text.Page{Lines: []text.Line{line(words...)}}))

				shown := 0.0 // how much it leans in the file, degrees
				if lean == 20 {
					shown = lean
				}
				// corner gives a point on the page as it is shown, in points: so far
				// along the baseline from the middle of the word, and so far up.
				corner := func(w text.Word, along, up float64) (float64, float64) {
					x, y := turned(w.X+w.Width/2*cos, w.Y+w.Width/2*sin, width, height, rotate)
					s, c := math.Sincos(shown * math.Pi / 180)
					return (x + along*c + up*s) * points, (y + along*s - up*c) * points
				}
				if shown == 0 { // pdftotext takes boxes that lean to pieces
					boxes := box.FindAllStringSubmatch(tool(t, "pdftotext", "-bbox", file, "-"), -1)
					if len(boxes) != len(words) {
						t.Fatalf("pdftotext finds %q", boxes)
					}
					for i, w := range words {
						minX, minY := corner(w, -w.Width/2, w.Height-w.Descent)
						maxX, maxY := corner(w, w.Width/2, -w.Descent)
						got := floats(t, boxes[i][1:5]...)
						for j, want := range []float64{minX, minY, maxX, maxY} {
							if math.Abs(got[j]-want) > 0.1 {
								t.Errorf("pdftotext: edge %d of %s at %.2f, want %.2f", j, w.Text, got[j], want)
							}
						}
						if boxes[i][5] != w.Text {
							t.Errorf("pdftotext: word %d is %q", i, boxes[i][5])
						}
					}
				}
				// MuPDF gives the four corners of every character, and those of the
				// space between the words.
				chars := charQuad.FindAllStringSubmatch(tool(t, "mutool", "draw", "-q", "-F", "stext", file), -1)
				if len(chars) != len("Rechnung Jahr") {
					t.Fatalf("mutool finds %d characters", len(chars))
				}
				quads := func(i int) []float64 { return floats(t, strings.Fields(chars[i][1])...) }
				check := func(what string, got []float64, w text.Word, along, up float64) {
					x, y := corner(w, along, up)
					if math.Hypot(got[0]-x, got[1]-y) > 0.1 {
						t.Errorf("mutool: %s at %.2f, want %.2f %.2f", what, got[:2], x, y)
					}
				}
				check("start of the first word, top", quads(0), first, -75, first.Height-first.Descent)
				check("start of the first word, bottom", quads(0)[4:], first, -75, -first.Descent)
				check("end of the first word, top", quads(7)[2:], first, 75, first.Height-first.Descent)
				check("end of the first word, bottom", quads(7)[6:], first, 75, -first.Descent)
				if end, next := quads(8)[6], quads(9)[4]; math.Abs(end-next) > 0.15 { // both are rounded
					t.Errorf("mutool: the space ends at %.2f, the next word starts at %.2f", end, next)
				}
				check("start of the second word, bottom", quads(9)[4:], second, -35, -second.Descent)
				check("end of the second word, bottom", quads(12)[6:], second, 35, -second.Descent)
			})
		}
	}
}

// The words of a line are written one after the other, with one place for all, and each
// stands where it was found, though engines give each a height and a baseline of its own.
func TestLineIsWrittenAtOnce(t *testing.T) {
	const dpi, points = 300, 72.0 / 300
	words := strings.Fields("We are pleased to confirm the internationally renowned hall on Saturday 3 October, before ten in the morning")
	var l text.Line
	x := 250.0
	for i, s := range words {
		wide := float64(19*len(s) + 3*(i%4))
		l.Words = append(l.Words, word(s, x, 400+float64(i%2)*0.8, wide, 39+float64(i%3)*0.7, 0))
		x += wide + 11 + float64(i%5)
	}
	file := write(t, a2u, jpegPage(picture(t, 60, 80), 2480, 3508, dpi, 0, &text.Page{Lines: []text.Line{l}}))
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	moves, f := 0, readFile(t, raw)
	for _, o := range f.operations(f.kids()[0]["/Contents"]) {
		if o.op == "Td" || o.op == "Tm" {
			moves++
		}
	}
	if moves != 1 {
		t.Errorf("%d places for one line", moves)
	}
	boxes := box.FindAllStringSubmatch(tool(t, "pdftotext", "-bbox", file, "-"), -1)
	if len(boxes) != len(words) {
		t.Fatalf("pdftotext finds %q", boxes)
	}
	for i, w := range l.Words {
		got := floats(t, boxes[i][1:5]...)
		want := []float64{w.X, w.Y - w.Height + w.Descent, w.X + w.Width, w.Y + w.Descent}
		for j := range want {
			if most := []float64{0.15, 0.5, 0.15, 0.5}[j]; math.Abs(got[j]-want[j]*points) > most {
				t.Errorf("edge %d of %s at %.2f, want %.2f", j, w.Text, got[j], want[j]*points)
			}
		}
	}
}

// A page that went through the feeder askew must keep its words whole, and up
// to a usual skew also their order: poppler takes words apart whose baseline
// falls by half a point.
func TestSkewedPage(t *testing.T) {
	words := strings.Fields(strings.Repeat("We are pleased to confirm that one hundred and twenty rye loaves and forty plum tarts "+
		"will be delivered to the internationally renowned hall on Saturday 3 October before ten. ", 7))
	data := picture(t, 60, 80)
	for _, skew := range []float64{0, 0.5, 1.5, 3, 5} {
		t.Run(fmt.Sprint(skew), func(t *testing.T) {
			sin, cos := math.Sincos(skew * math.Pi / 180)
			p := &text.Page{Lines: []text.Line{{}}}
			x, y := 0.0, 0.0 // on the straight page at 300 dpi, 10 point type
			for _, s := range words {
				wide := 20 * float64(len(s))
				if x+wide > 1900 {
					p.Lines = append(p.Lines, text.Line{})
					x, y = 0, y+58
				}
				l := &p.Lines[len(p.Lines)-1]
				l.Words = append(l.Words, word(s, 250+x*cos-y*sin, 400+x*sin+y*cos, wide, 39, skew))
				x += wide + 14
			}
			file := write(t, a2u, jpegPage(data, 2480, 3508, 300, 0, p))
			got := strings.Fields(tool(t, "pdftotext", "-raw", file, "-"))
			if !slices.Equal(got, words) {
				t.Errorf("pdftotext -raw: %q", got)
			}
			got = strings.Fields(tool(t, "pdftotext", file, "-"))
			want := words
			if skew > 1.5 { // the order is beyond poppler
				want = slices.Sorted(slices.Values(words))
				slices.Sort(got)
			}
			if !slices.Equal(got, want) {
				t.Errorf("pdftotext: %q", got)
			}
		})
	}
}

// What the scanner sent must come out bit for bit, named for what it is.
func TestImagesPassThrough(t *testing.T) {
	tests := []struct{ name, list, ending string }{
		{"grey JPEG", "gray    1   8  jpeg   no", ".jpg"},
		{"colour JPEG", "rgb     3   8  jpeg   no", ".jpg"},
		{"plain grey", "gray    1   8  image  no", ""},
		{"colour PNG", "rgb     3   8  image  no", ""},
		{"bilevel", "gray    1   1  image  no", ""},
		{"fax", "gray    1   1  ccitt  no", ".ccitt"},
		{"JBIG2", "gray    1   1  jbig2  no", ".jb2e"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page := kinds(t)[tt.name]
			var want bytes.Buffer
			page.Image.Data = io.TeeReader(page.Image.Data, &want)
			file := write(t, a2u, page)
			if list := tool(t, "pdfimages", "-list", file); !strings.Contains(list, tt.list) || !regexp.MustCompile(` 20 +20 `).MatchString(list) {
				t.Errorf("pdfimages does not see %q at 20 dpi:\n%s", tt.list, list)
			}
			if tt.ending == "" {
				return // pdfimages makes its own PNG of deflated data
			}
			dir := t.TempDir()
			tool(t, "pdfimages", "-all", file, filepath.Join(dir, "i"))
			got, err := os.ReadFile(filepath.Join(dir, "i-000"+tt.ending))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want.Bytes()) {
				t.Errorf("the image is not what went in: %d bytes, want %d", len(got), want.Len())
			}
		})
	}
}

// Two readers must show deflated and fax images as they were meant.
func TestPixels(t *testing.T) {
	tests := []struct {
		name  string
		left  color.RGBA // in the middle of the left half
		right color.RGBA
	}{
		{"plain grey", color.RGBA{200, 200, 200, 255}, color.RGBA{200, 200, 200, 255}},
		{"colour PNG", color.RGBA{250, 100, 20, 255}, color.RGBA{250, 100, 20, 255}},
		{"fax", color.RGBA{0, 0, 0, 255}, color.RGBA{255, 255, 255, 255}},
		{"fax of 1 black", color.RGBA{255, 255, 255, 255}, color.RGBA{0, 0, 0, 255}},
		{"JBIG2", color.RGBA{0, 0, 0, 255}, color.RGBA{255, 255, 255, 255}},
		{"layers", color.RGBA{0, 0, 255, 255}, color.RGBA{255, 255, 0, 255}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page := kinds(t)[tt.name]
			page.Rotate = 0
			file, dir := write(t, a2u, page), t.TempDir()
			tool(t, "pdftoppm", "-png", "-singlefile", "-r", "40", file, filepath.Join(dir, "poppler"))
			tool(t, "mutool", "draw", "-q", "-r", "40", "-o", filepath.Join(dir, "mupdf.png"), file)
			for _, reader := range []string{"poppler", "mupdf"} {
				f, err := os.Open(filepath.Join(dir, reader+".png"))
				if err != nil {
					t.Fatal(err)
				}
				img, err := png.Decode(f)
				f.Close()
				if err != nil {
					t.Fatal(err)
				}
				b := img.Bounds()
				for i, want := range []color.RGBA{tt.left, tt.right} {
					x, y := b.Dx()*(1+2*i)/4, b.Dy()/2
					got := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
					if got.B == 254 { // MuPDF's stencils let a trace of the ground through
						got.B = 255
					}
					if got != want {
						t.Errorf("%s shows %v at %d, %d, want %v", reader, got, x, y, want)
					}
				}
			}
		})
	}
}

func TestFontIsEmbeddedAndMapped(t *testing.T) {
	data := picture(t, 60, 80)
	file := write(t, a2u, jpegPage(data, 60, 80, 10, 0, invoice()))
	list := tool(t, "pdffonts", file)
	if !regexp.MustCompile(`CID TrueType\s+Identity-H\s+yes no  yes`).MatchString(list) {
		t.Errorf("the font is not embedded, or has no Unicode map:\n%s", list)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	data := picture(t, 60, 80)
	var files [2][]byte
	for i := range files {
		raw, err := os.ReadFile(write(t, a2u, jpegPage(data, 60, 80, 10, 0, invoice())))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = raw
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("the same document was written in two ways")
	}
}

func TestRefusedPages(t *testing.T) {
	good := func() Image {
		return Image{Width: 1, Height: 1, Colors: 1, Bits: 8, Filter: "FlateDecode", Size: 1, Data: strings.NewReader("x")}
	}
	for name, change := range map[string]func(*Page){
		"no pixels":       func(p *Page) { p.Image.Width = 0 },
		"CMYK":            func(p *Page) { p.Image.Colors = 4 },
		"16 bits":         func(p *Page) { p.Image.Bits = 16 },
		"JPEG 2000":       func(p *Page) { p.Image.Filter = "JPXDecode" },
		"bilevel JPEG":    func(p *Page) { p.Image.Filter, p.Image.Bits = "DCTDecode", 1 },
		"grey fax":        func(p *Page) { p.Image.Filter = "CCITTFaxDecode" },
		"an eighth turn":  func(p *Page) { p.Rotate = 45 },
		"no data":         func(p *Page) { p.Image.Data = nil },
		"data too short":  func(p *Page) { p.Image.Size = 2 },
		"negative length": func(p *Page) { p.Image.Size = -1 },
		"grey JBIG2":      func(p *Page) { p.Image.Filter = "JBIG2Decode" },
		"flat layer":      func(p *Page) { p.Layers = []Layer{{Width: 1}} },
		"layer nowhere":   func(p *Page) { p.Layers = []Layer{{X: math.NaN(), Width: 1, Height: 1}} },
		"empty stencil":   func(p *Page) { p.Layers = []Layer{{Width: 1, Height: 1, Stencil: true}} },
		"grey stencil": func(p *Page) {
			i := good()
			p.Layers = []Layer{{Width: 1, Height: 1, Stencil: true, Image: &i}}
		},
		"layer of CMYK": func(p *Page) {
			i := good()
			i.Colors = 4
			p.Layers = []Layer{{Width: 1, Height: 1, Image: &i}}
		},
	} {
		p := Page{Image: good()}
		change(&p)
		w := NewWriter(io.Discard, meta)
		if err := w.AddPage(p); err == nil {
			t.Errorf("%s: taken, want an error", name)
		}
	}
	if err := NewWriter(io.Discard, meta).Close(); err == nil {
		t.Error("a document without pages was written")
	}
}

func TestPageSize(t *testing.T) {
	for _, tt := range []struct {
		width, height, dpi int
		want               string
	}{
		{2480, 3508, 300, "595.2 x 841.92 pts"},
		{2550, 3300, 300, "612 x 792 pts"},
		{1653, 2339, 0, "396.72 x 561.36 pts"}, // taken for 300 dpi
		{4959, 7017, 600, "595.08 x 842.04 pts"},
	} {
		p := jpegPage(picture(t, 20, 20), tt.width, tt.height, tt.dpi, 0, nil)
		if out := tool(t, "pdfinfo", write(t, a2u, p)); !strings.Contains(out, tt.want) {
			t.Errorf("%d x %d at %d dpi: want %s:\n%s", tt.width, tt.height, tt.dpi, tt.want, out)
		}
	}
}

// A document's images must not pass through memory as a whole.
func TestMemoryIsBounded(t *testing.T) {
	const pages, size = 50, 4 << 20
	w := NewWriter(io.Discard, meta)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range pages {
		p := Page{Text: invoice(), Image: Image{Width: 2048, Height: 2048, Colors: 1, Bits: 8, Filter: "DCTDecode", Size: size, Data: zeros{}}}
		if err := w.AddPage(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	// The compressor of a content stream takes most: under 1 MB, for a moment.
	if got := (after.TotalAlloc - before.TotalAlloc) / pages; got > size/2 {
		t.Errorf("%d bytes allocated for each page with %d bytes of image", got, size)
	}
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestLongPageStaysWithinTheLimit(t *testing.T) {
	data := picture(t, 20, 40)
	p := jpegPage(data, 20, 40, 0, 0, nil)
	p.Image.Height = 70000 // a till roll of 6 m at 300 dpi
	file := write(t, a2u, p)
	if out := tool(t, "pdfinfo", file); !strings.Contains(out, "x 14400 pts") {
		t.Errorf("want a page of 14400 points:\n%s", out)
	}
}

// Whatever an engine says it read must give a content stream that is one.
func FuzzWords(f *testing.F) {
	f.Add("Rechnung", 1.0, 2.0, 3.0, 4.0, 90.0)
	f.Add("\xff\x00\ufeff\U0010ffff", 0.0, 0.0, -1.0, 1e300, -720.0)
	f.Add("שלום 123 abc", 1e6, 1e-9, 1e-9, 1e6, 1.5)
	const move = `((-?[\d.]+ ){6}Tm|(-?[\d.]+ ){2}Td)`
	operators := regexp.MustCompile(`^(BT 3 Tr(((\n/F0 [\d.]+ Tf |\n)` + move + `)?( [\d.]+ Tz)?<([0-9A-F]{4})+>Tj)+\nET\n)?$`)
	f.Fuzz(func(t *testing.T, s string, x, y, width, height, angle float64) {
		w := NewWriter(io.Discard, meta)
		var b bytes.Buffer
		w.words(&b, &text.Page{Lines: []text.Line{line(word(s, x, y, width, height, angle), word("next", 1, 1, 1, 1, 0))}}, 100, 0.24)
		if !operators.Match(b.Bytes()) {
			t.Errorf("content %q", b.Bytes())
		}
		for _, r := range w.chars.runes {
			if r == 0 || r == 0xfeff || r&0xfffe == 0xfffe || !utf8.ValidRune(r) {
				t.Errorf("%U is mapped to", r)
			}
		}
		chars := usable(s)
		shown := visual(chars)
		slices.Sort(chars)
		slices.Sort(shown)
		if !slices.Equal(chars, shown) {
			t.Errorf("%q is shown as %q", string(chars), string(shown))
		}
	})
}

// Of an image that shows more than the sheet, the page is the sheet alone; the
// image keeps all its pixels.
func TestPageIsCutToTheSheet(t *testing.T) {
	const width, height, dpi = 1000, 1400, 100
	data := picture(t, width, height)
	cut := &text.Page{Width: width, Height: height, Sheet: &text.Box{X: 100, Y: 50, Width: 800, Height: 1200},
		Lines: []text.Line{{Words: []text.Word{word("inside", 300, 400, 110, 24, 0)}}}}
	other := &text.Page{Width: 10, Height: 14, Sheet: &text.Box{X: 1, Y: 1, Width: 5, Height: 5}}
	for _, tt := range []struct {
		name string
		page *text.Page
		want string
	}{
		{"cut", cut, "576 x 864 pts"},
		{"the sheet of another image", other, "720 x 1008 pts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, a2u, jpegPage(data, width, height, dpi, 0, tt.page))
			if got := tool(t, "pdfinfo", file); !strings.Contains(got, tt.want) {
				t.Errorf("%s, want a page of %s", got, tt.want)
			}
			if got := tool(t, "pdfimages", "-list", file); !strings.Contains(got, "1000  1400") {
				t.Errorf("%s, want all of the image", got)
			}
			if want := tt.page == cut; strings.Contains(tool(t, "pdftotext", file, "-"), "inside") != want {
				t.Errorf("the word is found: %v, want %v", !want, want)
			}
		})
	}
}

// A page that went askew through the feeder is shown straight, and its words
// stand on level lines, so that every reader takes a line for one.
func TestSkewIsTakenAway(t *testing.T) {
	const width, height, dpi, skew = 1000, 1400, 100, 3.0
	data := picture(t, width, height)
	sin, cos := math.Sincos(skew * math.Pi / 180)
	p := &text.Page{Skew: skew}
	var want []string
	for row := range 12 {
		var l text.Line
		for column := range 6 {
			s := fmt.Sprintf("row%dword%d", row, column)
			x, y := float64(column*130-380), float64(row*60-300)
			l.Words = append(l.Words, word(s, width/2+x*cos-y*sin, height/2+x*sin+y*cos, 110, 24, skew))
			want = append(want, s)
		}
		p.Lines = append(p.Lines, l)
	}
	file := write(t, a2u, jpegPage(data, width, height, dpi, 0, p))
	for _, arg := range []string{"-raw", "-layout", "-nopgbrk"} {
		if got := strings.Fields(tool(t, "pdftotext", arg, file, "-")); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", arg, got, want)
		}
	}
	boxes := box.FindAllStringSubmatch(tool(t, "pdftotext", "-bbox", file, "-"), -1)
	if len(boxes) != len(want) {
		t.Fatalf("%d words, want %d", len(boxes), len(want))
	}
	if boxes[0][2] != boxes[5][2] {
		t.Errorf("the first line is not level: %s and %s", boxes[0][2], boxes[5][2])
	}
}
