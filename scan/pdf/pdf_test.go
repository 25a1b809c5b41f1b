package pdf

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

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

// Every other reader must take the file without a complaint.
func TestReadersAccept(t *testing.T) {
	data := picture(t, 600, 800)
	for name, pages := range map[string][]Page{
		"text":    {jpegPage(data, 600, 800, 100, 0, invoice()), jpegPage(data, 600, 800, 100, 180, invoice())},
		"no text": {jpegPage(data, 600, 800, 100, 0, nil)},
	} {
		for i := range pages {
			pages[i].Image.Data = bytes.NewReader(data)
		}
		file := write(t, a2u, pages...)
		t.Run(name, func(t *testing.T) {
			if out := tool(t, "qpdf", "--check", file); strings.Contains(out, "WARNING") {
				t.Errorf("qpdf warns: %s", out)
			}
			tool(t, "gs", "-q", "-dNOPAUSE", "-dBATCH", "-dPDFSTOPONWARNING", "-sDEVICE=nullpage", file)
			tool(t, "mutool", "clean", file, filepath.Join(t.TempDir(), "clean.pdf"))
			tool(t, "pdftoppm", "-r", "30", file, filepath.Join(t.TempDir(), "page"))
			info := tool(t, "pdfinfo", file)
			for _, want := range []string{"PDF version:     1.7", "Title:           " + meta.Title, "Producer:        docscan", fmt.Sprintf("Pages:           %d", len(pages)), "432 x 576 pts"} {
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
	data := picture(t, 600, 800)
	file := write(t, a1b, jpegPage(data, 600, 800, 100, 90, invoice()))
	out := tool(t, "java", "-cp", "/usr/share/java/*", "org.apache.pdfbox.preflight.Validator_A1b", file)
	if !strings.Contains(out, "is a valid PDF/A-1b file") {
		t.Errorf("preflight says: %s", out)
	}
}

func TestTextInReadingOrder(t *testing.T) {
	data := picture(t, 600, 800)
	file := write(t, a2u, jpegPage(data, 600, 800, 100, 0, invoice()))
	want := []string{"Rechnung", "Größe", "(7)", "Total", "1,299.00", "€"}
	for _, read := range []string{tool(t, "pdftotext", "-raw", file, "-"), tool(t, "mutool", "draw", "-q", "-F", "text", file)} {
		if got := strings.Fields(read); !reflect.DeepEqual(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Every script comes out as it went in, by two independent readers.
func TestScripts(t *testing.T) {
	tests := []struct{ name, word string }{
		{"Latin", "Straßenübergang"},
		{"Greek", "Ελληνικά"},
		{"Cyrillic", "Объявление"},
		{"Hebrew", "שלום"},
		{"Arabic", "مرحبا"},
		{"Devanagari", "नमस्ते"},
		{"Chinese", "文書管理"},
		{"Hangul", "문서"},
		{"emoji", "🖨📄"},
		{"combining", "e\u0301te\u0301"},
		{"mathematical", "𝑥²"},
	}
	data := picture(t, 600, 800)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &text.Page{Lines: []text.Line{line(word(tt.word, 60, 100, 200, 30, 0))}}
			file := write(t, a2u, jpegPage(data, 600, 800, 100, 0, p))
			// Readers put direction marks around right-to-left text.
			plain := func(s string) string {
				return strings.Map(func(r rune) rune {
					if r == '\u202b' || r == '\u202c' || r == '\u200f' || r == '\u202a' {
						return -1
					}
					return r
				}, strings.TrimSpace(s))
			}
			if got := plain(tool(t, "pdftotext", "-raw", file, "-")); got != tt.word {
				t.Errorf("pdftotext: %q, want %q", got, tt.word)
			}
		})
	}
}

var box = regexp.MustCompile(`<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">([^<]*)</word>`)

// A selection in a viewer must hit the word: its box is where the word was
// found, whichever way the page lies.
func TestBoxes(t *testing.T) {
	const width, height, dpi, tolerance = 600, 800, 100, 1.0
	data := picture(t, width, height)
	for _, rotate := range []int{0, 90, 180, 270} {
		for _, skew := range []float64{0, 1.5} {
			t.Run(fmt.Sprintf("%d turned %v", rotate, skew), func(t *testing.T) {
				// Text that reads upright once the page is turned clockwise by
				// rotate runs the other way round in the image.
				angle := math.Mod(360-float64(rotate), 360) + skew
				w := word("Rechnung", 300, 400, 150, 30, angle)
				file := write(t, a2u, jpegPage(data, width, height, dpi, rotate, &text.Page{Lines: []text.Line{line(w)}}))
				m := box.FindStringSubmatch(tool(t, "pdftotext", "-bbox", file, "-"))
				if m == nil || m[5] != w.Text {
					t.Fatalf("the word is not found: %q", m)
				}
				// The word's corners in the image, then on the upright page.
				sin, cos := math.Sincos(angle * math.Pi / 180)
				minX, minY, maxX, maxY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
				for _, c := range [][2]float64{{0, w.Descent}, {w.Width, w.Descent}, {0, w.Descent - w.Height}, {w.Width, w.Descent - w.Height}} {
					x, y := w.X+c[0]*cos-c[1]*sin, w.Y+c[0]*sin+c[1]*cos
					switch rotate {
					case 90:
						x, y = height-y, x
					case 180:
						x, y = width-x, height-y
					case 270:
						x, y = y, width-x
					}
					x, y = x*72/dpi, y*72/dpi
					minX, minY, maxX, maxY = min(minX, x), min(minY, y), max(maxX, x), max(maxY, y)
				}
				for i, want := range []float64{minX, minY, maxX, maxY} {
					got, err := strconv.ParseFloat(m[i+1], 64)
					if err != nil {
						t.Fatal(err)
					}
					limit := tolerance
					if skew != 0 {
						// pdftotext gives the box of the unskewed word.
						limit += 150 * 72 / dpi * math.Sin(skew*math.Pi/180)
					}
					if math.Abs(got-want) > limit {
						t.Errorf("edge %d of %s at %.2f, want %.2f", i, m[5], got, want)
					}
				}
			})
		}
	}
}

// A JPEG from the scanner must come out bit for bit.
func TestImagesPassThrough(t *testing.T) {
	data := picture(t, 600, 800)
	file := write(t, a2u, jpegPage(data, 600, 800, 300, 0, nil))
	dir := t.TempDir()
	tool(t, "pdfimages", "-all", file, filepath.Join(dir, "i"))
	got, err := os.ReadFile(filepath.Join(dir, "i-000.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("the JPEG is not what went in: %d bytes, want %d", len(got), len(data))
	}
	if list := tool(t, "pdfimages", "-list", file); !strings.Contains(list, "300   300") {
		t.Errorf("pdfimages does not see 300 dpi:\n%s", list)
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

// The metadata must say the same as the document information.
func TestMetadata(t *testing.T) {
	data := picture(t, 60, 80)
	raw, err := os.ReadFile(write(t, a2u, jpegPage(data, 60, 80, 10, 0, nil)))
	if err != nil {
		t.Fatal(err)
	}
	start, end := bytes.Index(raw, []byte("<?xpacket begin")), bytes.Index(raw, []byte(`<?xpacket end="w"?>`))
	if start < 0 || end < 0 {
		t.Fatal("the metadata is not to be found in plain")
	}
	dec := xml.NewDecoder(bytes.NewReader(raw[start:end]))
	values := make(map[string]string)
	var path []string
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			path = append(path, tok.Name.Local)
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if s := strings.TrimSpace(string(tok)); s != "" {
				values[strings.Join(path[3:], "/")] = s
			}
		}
	}
	for path, want := range map[string]string{
		"part": "2", "conformance": "U", "title/Alt/li": meta.Title, "creator/Seq/li": meta.Author,
		"description/Alt/li": meta.Subject, "Producer": meta.Producer, "CreateDate": "2026-11-23T17:30:05Z",
		"ModifyDate": "2026-11-23T18:31:00Z", "format": "application/pdf",
	} {
		if values[path] != want {
			t.Errorf("%s is %q, want %q", path, values[path], want)
		}
	}
	for _, want := range []string{"/CreationDate(D:20261123173005Z)", "/ModDate(D:20261123183100Z)", "/Lang(de)"} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("the file does not say %s", want)
		}
	}
}

// The rules of ISO 19005-2 that can be seen in the bytes.
func TestStructure(t *testing.T) {
	data := picture(t, 60, 80)
	raw, err := os.ReadFile(write(t, a2u, jpegPage(data, 60, 80, 10, 0, invoice())))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(raw, []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")) {
		t.Errorf("6.1.2: the header is %q", raw[:16])
	}
	if !bytes.HasSuffix(raw, []byte("%%EOF\n")) {
		t.Errorf("6.1.3: something follows the end mark")
	}
	if !regexp.MustCompile(`/ID\[<[0-9A-F]{32}><[0-9A-F]{32}>\]`).Match(raw) {
		t.Errorf("6.1.3: the trailer has no ID")
	}
	for _, no := range []string{"/Encrypt", "/LZWDecode", "/JavaScript", "/Launch", "/SMask", "/Group", "/Interpolate true", "/Alternates", "/OPI", "/TR ", "/AA", "/OpenAction", "/EmbeddedFile", "/Annots"} {
		if bytes.Contains(raw, []byte(no)) {
			t.Errorf("the file has %s", no)
		}
	}
	for _, yes := range []string{"/GTS_PDFA1", "/DestOutputProfile", "/Metadata", "/FontFile2", "/ToUnicode", "/CIDToGIDMap"} {
		if !bytes.Contains(raw, []byte(yes)) {
			t.Errorf("the file has no %s", yes)
		}
	}
	// Every entry of the cross-reference table points at its object, and every
	// stream is as long as it says.
	var at int
	if _, err := fmt.Sscanf(string(raw[bytes.LastIndex(raw, []byte("startxref\n"))+10:]), "%d", &at); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(raw[at:]), "\n")
	var first, count int
	if _, err := fmt.Sscanf(lines[1], "%d %d", &first, &count); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < count; n++ {
		var offset, generation int
		var kind string
		if _, err := fmt.Sscanf(lines[2+n], "%d %d %s", &offset, &generation, &kind); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%d 0 obj\n", n); kind == "n" && !bytes.HasPrefix(raw[offset:], []byte(want)) {
			t.Errorf("6.1.4: object %d is not at %d", n, offset)
		}
	}
	stream := regexp.MustCompile(`/Length (\d+)>>\nstream\n`)
	for _, m := range stream.FindAllSubmatchIndex(raw, -1) {
		length, err := strconv.Atoi(string(raw[m[2]:m[3]]))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(raw[m[1]+length:], []byte("\nendstream")) {
			t.Errorf("6.1.7: the stream at %d is not %d bytes long", m[1], length)
		}
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
	operators := regexp.MustCompile(`^(BT 3 Tr\n(/F0 [\d.]+ Tf( -?[\d.]+){6} Tm -?[\d.]+ Tz<([0-9A-F]{4})+>Tj( -?[\d.]+ Tz<[0-9A-F]{4}>Tj)?\n)+ET\n)?$`)
	f.Fuzz(func(t *testing.T, s string, x, y, width, height, angle float64) {
		w := NewWriter(io.Discard, meta)
		var b bytes.Buffer
		w.words(&b, &text.Page{Lines: []text.Line{line(word(s, x, y, width, height, angle), word("next", 1, 1, 1, 1, 0))}}, 100, 0.24)
		if !operators.Match(b.Bytes()) {
			t.Errorf("content %q", b.Bytes())
		}
	})
}
