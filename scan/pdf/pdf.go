// Package pdf writes searchable PDF/A-2u: for each page the image as it was
// scanned and, invisibly, the words on it in their places.
//
// A [Writer] streams: images pass through it, and what it keeps in memory is
// the text of one page and a table of the characters used. It follows ISO
// 32000-1 (PDF 1.7) and ISO 19005-2; docs/pdfa.md says which of the latter's
// rules are checked, and by what.
package pdf

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"docscan/scan/text"
)

// Meta says what the document is.
type Meta struct {
	Title     string
	Author    string
	Subject   string
	Producer  string
	Created   time.Time
	Modified  time.Time
	Languages []string // the engine's names, main language first
	ID        [16]byte // the same for all versions of a document
}

// A Page is one page: what it shows and what it says.
type Page struct {
	// Image is what the page shows. Where there are Layers it has no data and
	// only says how large the page is.
	Image  Image
	Layers []Layer // over each other, the lowest first
	// Straight says that the skew of Text is already taken out of the Layers, by
	// turning them about the middle of the page. Viewers draw stencils that are
	// askew with ragged edges.
	Straight bool
	Rotate   int        // clockwise turn that makes the image upright: 0, 90, 180 or 270 degrees
	Text     *text.Page // nil: no text
}

// An Image is a picture whose data already is in a form PDF knows.
type Image struct {
	Width, Height int    // pixels, at least 1
	DPI           int    // 0: 300
	Colors        int    // components: 1 (grey) or 3 (sRGB)
	Bits          int    // per component: 1, 2, 4 or 8; 8 with DCTDecode, 1 with CCITTFaxDecode and JBIG2Decode
	Filter        string // DCTDecode, FlateDecode, CCITTFaxDecode (Group 4) or JBIG2Decode (1 is black)
	Predictor     int    // of FlateDecode: 15 for PNG filters; 0 or 1 for none
	BlackIs1      bool   // of CCITTFaxDecode
	Size          int64  // of Data in bytes
	Data          io.Reader
}

// maxSide is the largest page side in points (ISO 32000-1, annex C.2; ISO
// 19005-2, 6.1.13). A longer page gets a coarser unit.
const maxSide = 14400

// defaultDPI is taken for an image of unknown resolution.
const defaultDPI = 300

// Numbers of the objects that every file has. The others follow.
const (
	objCatalog = iota + 1
	objPages
	objInfo
	objMetadata
	objIntent
	objProfile
	objFont
	objCIDFont
	objDescriptor
	objFontFile
	objToUnicode
	objCIDToGID
	firstFree
)

// part is the conformance the file claims. Tests write the same pages as
// PDF/A-1b too, because an independent validator exists for that one.
type part struct {
	version     string // of PDF
	part        int
	conformance string
}

var (
	a2u = part{"1.7", 2, "U"}
	a1b = part{"1.4", 1, "B"}
)

// Writer writes one document. It is used by one goroutine. After an error in
// reading or writing all further calls return it; a page that is refused leaves
// the document as it was.
type Writer struct {
	w       io.Writer
	n       int64 // bytes written
	meta    Meta
	part    part
	offsets []int64 // by object number
	pages   []int   // object numbers
	chars   charTable
	err     error
}

// NewWriter begins a document on w. Close ends it; w stays open.
func NewWriter(w io.Writer, m Meta) *Writer { return newWriter(w, m, a2u) }

func newWriter(w io.Writer, m Meta, p part) *Writer {
	out := &Writer{w: w, meta: m, part: p, offsets: make([]int64, firstFree)}
	// The comment of bytes above 127 marks the file as binary (6.1.2).
	out.printf("%%PDF-%s\n%%\xe2\xe3\xcf\xd3\n", p.version)
	return out
}

// printf writes unless an error has come before.
func (w *Writer) printf(format string, args ...any) {
	w.write(fmt.Appendf(nil, format, args...))
}

func (w *Writer) write(p []byte) {
	if w.err != nil {
		return
	}
	n, err := w.w.Write(p)
	w.n += int64(n)
	w.err = err
}

// begin notes where object n begins.
func (w *Writer) begin(n int) {
	w.offsets[n] = w.n
	w.printf("%d 0 obj\n", n)
}

// object writes a whole object.
func (w *Writer) object(n int, format string, args ...any) {
	w.begin(n)
	w.printf(format, args...)
	w.printf("\nendobj\n")
}

// stream writes a compressed stream object; dict is what its dictionary holds
// besides filter and length.
func (w *Writer) stream(n int, dict string, data []byte) {
	var z bytes.Buffer
	c, err := zlib.NewWriterLevel(&z, zlib.BestCompression)
	if err == nil {
		_, err = c.Write(data)
		err = errors.Join(err, c.Close())
	}
	if err != nil && w.err == nil {
		w.err = err
	}
	w.begin(n)
	w.printf("<<%s/Filter/FlateDecode/Length %d>>\nstream\n", dict, z.Len())
	w.write(z.Bytes())
	w.printf("\nendstream\nendobj\n")
}

// number makes a new object.
func (w *Writer) number() int {
	w.offsets = append(w.offsets, 0)
	return len(w.offsets) - 1
}

// AddPage adds a page and reads its image to the end. The error says what is
// wrong with the image, or what Data or the underlying writer returned.
func (w *Writer) AddPage(p Page) error {
	if w.err != nil {
		return w.err
	}
	if err := p.check(); err != nil {
		return fmt.Errorf("add page: %w", err)
	}
	first := len(w.offsets) // of the numbers of the images
	for i := range p.Layers {
		if p.Layers[i].Image == nil {
			continue
		}
		if err := w.image(w.number(), *p.Layers[i].Image, p.Layers[i].Stencil); err != nil {
			return err
		}
	}
	if len(p.Layers) == 0 {
		if err := w.image(w.number(), p.Image, false); err != nil {
			return err
		}
	}
	beyond := len(w.offsets)
	content, page := w.number(), w.number()
	dpi := float64(p.Image.DPI)
	if dpi == 0 {
		dpi = defaultDPI
	}
	dpi = max(dpi, 72*float64(max(p.Image.Width, p.Image.Height))/maxSide)
	scale := 72 / dpi
	width, height := float64(p.Image.Width)*scale, float64(p.Image.Height)*scale

	words := p.Text
	var c bytes.Buffer
	c.WriteString("q ")
	if p.Text != nil && Askew(p.Text.Skew) {
		words = levelled(p)
		if !p.Straight {
			sin, cos := math.Sincos(p.Text.Skew * math.Pi / 180)
			fmt.Fprintf(&c, "1 0 0 1 %s %s cm %s %s %s %s 0 0 cm 1 0 0 1 %s %s cm ", num(width/2), num(height/2),
				coef(cos), coef(sin), coef(-sin), coef(cos), num(-width/2), num(-height/2))
		}
	}
	if len(p.Layers) == 0 {
		fmt.Fprintf(&c, "%s 0 0 %s 0 0 cm/Im0 Do Q\n", num(width), num(height))
	} else {
		layers(&c, p, scale)
	}
	fonts := ""
	if words != nil && w.words(&c, words, p.Image.Height, scale) {
		fonts = fmt.Sprintf("/Font<</F0 %d 0 R>>", objFont)
	}
	w.stream(content, "", c.Bytes())
	left, low, right, high := 0.0, 0.0, width, height
	if s := sheet(p); s != nil {
		left, right = s.X*scale, (s.X+s.Width)*scale
		low, high = height-(s.Y+s.Height)*scale, height-s.Y*scale
	}
	w.object(page, "<</Type/Page/Parent %d 0 R/MediaBox[%s %s %s %s]/Rotate %d/Resources<<%s%s>>/Contents %d 0 R>>",
		objPages, num(left), num(low), num(right), num(high), p.Rotate, images(first, beyond), fonts, content)
	w.pages = append(w.pages, page)
	return w.err
}

// sheet gives the part of the page's image that is shown, nil for all of it.
func sheet(p Page) *text.Box {
	if p.Text == nil || p.Text.Sheet == nil || p.Text.Width != p.Image.Width || p.Text.Height != p.Image.Height {
		return nil
	}
	return p.Text.Sheet
}

// The skew that is taken away, in degrees: less cannot be seen, and more than
// that is no paper that went askew through a feeder.
const minSkew, maxSkew = 0.1, 10

// Askew reports whether a page of that skew, in degrees, is shown straight.
func Askew(skew float64) bool { return math.Abs(skew) >= minSkew && math.Abs(skew) <= maxSkew }

// levelled gives the words of a page that went askew through the feeder as they
// stand once the image is drawn straight: turned back about its middle. The
// image itself stays as it is, byte for byte; only the page shows it straight.
func levelled(p Page) *text.Page {
	out := *p.Text
	out.Skew = 0
	out.Lines = make([]text.Line, len(p.Text.Lines))
	cx, cy := float64(p.Image.Width)/2, float64(p.Image.Height)/2
	sin, cos := math.Sincos(-p.Text.Skew * math.Pi / 180)
	for i, l := range p.Text.Lines {
		out.Lines[i] = text.Line{Paragraph: l.Paragraph, Words: make([]text.Word, len(l.Words))}
		for j, word := range l.Words {
			dx, dy := word.X-cx, word.Y-cy
			word.X, word.Y = cx+dx*cos-dy*sin, cy+dx*sin+dy*cos
			word.Angle -= p.Text.Skew
			out.Lines[i].Words[j] = word
		}
	}
	return &out
}

func (p *Page) check() error {
	i := p.Image
	switch {
	case i.Width < 1 || i.Height < 1:
		return fmt.Errorf("image of %d x %d pixels", i.Width, i.Height)
	case i.DPI < 0:
		return fmt.Errorf("%d dpi", i.DPI)
	case p.Rotate != 0 && p.Rotate != 90 && p.Rotate != 180 && p.Rotate != 270:
		return fmt.Errorf("a turn of %d degrees", p.Rotate)
	case len(p.Layers) == 0:
		return i.check()
	}
	for n := range p.Layers {
		if err := p.Layers[n].check(); err != nil {
			return fmt.Errorf("layer %d: %w", n+1, err)
		}
	}
	return nil
}

func (i *Image) check() error {
	switch {
	case i.Width < 1 || i.Height < 1:
		return fmt.Errorf("image of %d x %d pixels", i.Width, i.Height)
	case i.Colors != 1 && i.Colors != 3:
		return fmt.Errorf("%d colour components", i.Colors)
	case i.Bits != 1 && i.Bits != 2 && i.Bits != 4 && i.Bits != 8:
		return fmt.Errorf("%d bits per component", i.Bits)
	case i.Filter == "DCTDecode" && i.Bits != 8:
		return fmt.Errorf("%d bits per component in a JPEG", i.Bits)
	case (i.Filter == "CCITTFaxDecode" || i.Filter == "JBIG2Decode") && (i.Bits != 1 || i.Colors != 1):
		return fmt.Errorf("a %s that is not bilevel", i.Filter)
	case i.Filter != "DCTDecode" && i.Filter != "FlateDecode" && i.Filter != "CCITTFaxDecode" && i.Filter != "JBIG2Decode":
		return fmt.Errorf("unknown filter %q", i.Filter)
	case i.Data == nil || i.Size < 1:
		return errors.New("image without data")
	}
	return nil
}

// image writes an image, or one that is only where paint goes.
func (w *Writer) image(n int, i Image, stencil bool) error {
	space, parms := "/ColorSpace/DeviceGray", ""
	switch {
	case stencil:
		space = "/ImageMask true" // paint goes where it is 0, which is black
	case i.Colors == 3:
		space = "/ColorSpace/DeviceRGB"
	}
	switch {
	case i.Filter == "CCITTFaxDecode":
		parms = fmt.Sprintf("/DecodeParms<</K -1/Columns %d/Rows %d/BlackIs1 %t>>", i.Width, i.Height, i.BlackIs1)
	case i.Filter == "FlateDecode" && i.Predictor > 1:
		parms = fmt.Sprintf("/DecodeParms<</Predictor %d/Colors %d/BitsPerComponent %d/Columns %d>>", i.Predictor, i.Colors, i.Bits, i.Width)
	}
	w.begin(n)
	w.printf("<</Type/XObject/Subtype/Image/Width %d/Height %d%s/BitsPerComponent %d/Interpolate false/Filter/%s%s/Length %d>>\nstream\n",
		i.Width, i.Height, space, i.Bits, i.Filter, parms, i.Size)
	if w.err != nil {
		return w.err
	}
	copied, err := io.CopyN(w.w, i.Data, i.Size)
	w.n += copied
	if err != nil {
		w.err = fmt.Errorf("copy image, %d of %d bytes: %w", copied, i.Size, err)
		return w.err
	}
	w.printf("\nendstream\nendobj\n")
	return w.err
}

// Close writes what belongs to the whole document. It does not close the
// underlying writer.
func (w *Writer) Close() error {
	if w.err == nil && len(w.pages) == 0 {
		w.err = errors.New("a document without pages")
	}
	if w.err != nil {
		return w.err
	}
	var kids strings.Builder
	for _, p := range w.pages {
		fmt.Fprintf(&kids, "%d 0 R ", p)
	}
	w.object(objCatalog, "<</Type/Catalog/Pages %d 0 R/Metadata %d 0 R/OutputIntents[%d 0 R]/ViewerPreferences<</DisplayDocTitle true>>%s>>",
		objPages, objMetadata, objIntent, w.lang())
	w.object(objPages, "<</Type/Pages/Count %d/Kids[%s]>>", len(w.pages), strings.TrimSpace(kids.String()))
	w.info()
	w.metadata()
	w.object(objIntent, "<</Type/OutputIntent/S/GTS_PDFA1/OutputConditionIdentifier(sRGB)/Info(sRGB IEC61966-2.1)/RegistryName(http://www.color.org)/DestOutputProfile %d 0 R>>", objProfile)
	w.stream(objProfile, "/N 3", sRGB())
	w.font()
	w.trailer()
	err := w.err
	if w.err == nil {
		w.err = errors.New("the document is closed")
	}
	return err
}

// trailer writes the cross-reference table and the trailer. Objects that this
// document does not need are entries on the free list.
func (w *Writer) trailer() {
	at := w.n
	w.printf("xref\n0 %d\n", len(w.offsets))
	free := make([]int, len(w.offsets)) // next free object
	last := 0
	for n := len(w.offsets) - 1; n > 0; n-- {
		if w.offsets[n] == 0 {
			free[n], last = last, n
		}
	}
	w.printf("%010d 65535 f \n", last)
	for n := 1; n < len(w.offsets); n++ {
		if w.offsets[n] == 0 {
			w.printf("%010d 00001 f \n", free[n])
		} else {
			w.printf("%010d 00000 n \n", w.offsets[n])
		}
	}
	id := strings.ToUpper(hex.EncodeToString(w.meta.ID[:]))
	w.printf("trailer\n<</Size %d/Root %d 0 R/Info %d 0 R/ID[<%s><%s>]>>\nstartxref\n%d\n%%%%EOF\n", len(w.offsets), objCatalog, objInfo, id, id, at)
}

// num writes a number as PDF wants it: no exponent, at most three decimals
// (a thousandth of a point is far below a pixel).
func num(f float64) string {
	s := strconv.FormatFloat(math.Round(f*1000)/1000, 'f', -1, 64)
	if s == "-0" {
		return "0"
	}
	return s
}

// pdfString writes s as a text string: plain where it is ASCII, UTF-16 with a
// byte order mark otherwise (ISO 32000-1, 7.9.2.2).
func pdfString(s string) string {
	ascii := true
	for _, r := range s {
		if r < ' ' || r > '~' {
			ascii = false
			break
		}
	}
	if ascii {
		return "(" + strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(s) + ")"
	}
	var b strings.Builder
	b.WriteString("<FEFF")
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	b.WriteString(">")
	return b.String()
}
