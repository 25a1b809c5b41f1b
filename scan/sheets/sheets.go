// Package sheets makes what people print for their stacks: separator sheets, and
// sheets of labels with archive numbers. They are PDF files of one bitmap a page,
// whose bars lie on whole pixels, so that printers draw them sharp.
package sheets

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/code39"
	"github.com/boombuler/barcode/datamatrix"
	"github.com/boombuler/barcode/qr"

	"docscan/scan/imaging/jbig2"
	"docscan/scan/pdf"
	"docscan/scan/refusal"
)

// ErrChoice is wrapped by errors that say what of a wish makes no sense.
var ErrChoice = errors.New("this cannot be printed")

// Kinds of codes.
const (
	Patch      = "patch" // of separators: the bars of patch code T, and PATCHT in Code 39 and as a QR code
	Code39     = "code39"
	Code128    = "code128"
	QR         = "qr"
	DataMatrix = "datamatrix" // of labels
)

// SeparatorKinds and LabelKinds list them.
func SeparatorKinds() []string { return []string{Patch, QR, Code128, Code39} }

// LabelKinds lists the codes that labels can have.
func LabelKinds() []string { return []string{QR, Code128, Code39, DataMatrix} }

// MaxSheets is how many sheets are made in one go.
const MaxSheets = 100

// Separators are separator sheets.
type Separators struct {
	Kind   string // one of SeparatorKinds
	Text   string // of the code; not of a patch sheet
	Sheets int
	Letter bool   // on paper of 8.5 x 11 inches instead of A4
	Title  string // what people read on it
	Advice string
}

// patchText is what the code of a patch sheet says.
const patchText = "PATCHT"

// Write writes the sheets as a PDF file. The error wraps ErrChoice where they make
// no sense.
func (s Separators) Write(w io.Writer, made time.Time) error {
	if s.Sheets < 1 || s.Sheets > MaxSheets {
		return refusal.New(ErrChoice, "1 to %d sheets can be made at once.", MaxSheets)
	}
	if !slices.Contains(SeparatorKinds(), s.Kind) {
		return refusal.New(ErrChoice, "A separator is one of %q, not %q.", SeparatorKinds(), clip(s.Kind, 40))
	}
	p := newPaper(s.Letter)
	middle := p.width / 2
	if s.Kind == Patch {
		// Along the edge that is fed first, whichever that is.
		p.bars(middle, 8)
		p.bars(middle, p.height-8-patchWidth)
		if err := p.code(Code39, patchText, middle-60, 95, 120, 40); err != nil {
			return err
		}
		if err := p.code(QR, patchText, middle-20, 145, 40, 40); err != nil {
			return err
		}
	} else {
		if s.Text = strings.TrimSpace(s.Text); s.Text == "" {
			return refusal.New(ErrChoice, "A code needs a text: the profile tells the sheet by it. Or take a patch sheet.")
		}
		width := 60.0
		if s.Kind != QR {
			width = p.width - 40
		}
		for _, y := range []float64{75, 150} {
			if err := p.code(s.Kind, s.Text, middle-width/2, y, width, 55); err != nil {
				return err
			}
		}
	}
	p.say(gobold.TTF, 30, middle, 50, s.Title)
	p.say(goregular.TTF, 12, middle, 62, s.Advice)
	if s.Kind != Patch {
		p.say(gobold.TTF, 14, middle, 220, clip(s.Text, 60))
	}
	if p.err != nil {
		return p.err
	}
	pages := make([]*paper, s.Sheets)
	for i := range pages {
		pages[i] = p
	}
	return write(w, s.Title, made, pages)
}

// clip shortens a text to n characters.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// A Layout is a sheet of labels as makers sell them. Lengths are in millimetres.
type Layout struct {
	Name          string
	Letter        bool // of 8.5 x 11 inches instead of A4
	Columns, Rows int
	Width, Height float64 // of a label
	Left, Top     float64 // of the first one
	Right, Down   float64 // from one to the next
}

// Layouts lists the sheets that are known, by the numbers of Avery Zweckform and,
// for the last, Avery; sheets of other makers have the same measures.
func Layouts() []Layout {
	return []Layout{
		{"L4731", false, 7, 27, 25.4, 10, 8.6, 13.5, 27.9, 10},
		{"L4732", false, 5, 16, 35.6, 16.9, 11, 13.3, 38.1, 16.9},
		{"L4737", false, 3, 9, 63.5, 29.6, 7.2, 15.3, 66.04, 29.6},
		{"L7160", false, 3, 7, 63.5, 38.1, 7.2, 15.15, 66.04, 38.1},
		{"5160", true, 3, 10, 66.68, 25.4, 4.76, 12.7, 69.85, 25.4},
	}
}

// Labels are labels with consecutive archive numbers.
type Labels struct {
	Layout string // the name of one of Layouts
	Kind   string // one of LabelKinds
	Prefix string // before the number
	Digits int    // of the number, with zeros before it: 1 to 9
	From   int    // the first number
	Count  int    // labels; 0: as many as fit on the first sheet
	Skip   int    // labels of the first sheet that are used up
	// Right and Down move all labels, for printers that draw the paper in askew,
	// in millimetres.
	Right, Down float64
	Grid        bool // with the labels' outlines
}

// Number gives the text of a label.
func (l Labels) Number(n int) string { return fmt.Sprintf("%s%0*d", l.Prefix, l.Digits, n) }

// layout finds the sheet of l, and how many labels are made.
func (l Labels) layout() (Layout, int, error) {
	list := Layouts()
	i := slices.IndexFunc(list, func(o Layout) bool { return o.Name == l.Layout })
	if i < 0 {
		return Layout{}, 0, refusal.New(ErrChoice, "There is no sheet of labels %q.", clip(l.Layout, 40))
	}
	o := list[i]
	each := o.Columns * o.Rows
	count := l.Count
	if count == 0 {
		count = each - l.Skip
	}
	const most = 999_999_999
	switch {
	case !slices.Contains(LabelKinds(), l.Kind):
		return o, 0, refusal.New(ErrChoice, "Labels have one of %q, not %q.", LabelKinds(), clip(l.Kind, 40))
	case l.Skip < 0 || l.Skip >= each:
		return o, 0, refusal.New(ErrChoice, "0 to %d labels of the first sheet can be used up.", each-1)
	case count < 1 || l.Skip+count > MaxSheets*each:
		return o, 0, refusal.New(ErrChoice, "1 to %d labels can be made at once.", MaxSheets*each-l.Skip)
	case l.Digits < 1 || l.Digits > 9:
		return o, 0, refusal.New(ErrChoice, "A number has 1 to 9 digits.")
	case l.From < 1 || l.From+count-1 > most:
		return o, 0, refusal.New(ErrChoice, "Numbers are 1 to %d.", most)
	case math.IsNaN(l.Right) || math.IsNaN(l.Down) || math.Abs(l.Right) > 10 || math.Abs(l.Down) > 10:
		return o, 0, refusal.New(ErrChoice, "Labels can be moved by 10 mm.")
	}
	return o, count, nil
}

// Next gives the number after the last one of l.
func (l Labels) Next() (int, error) {
	_, count, err := l.layout()
	return l.From + count, err
}

// Write writes the labels as a PDF file. The error wraps ErrChoice where they make
// no sense.
func (l Labels) Write(w io.Writer, made time.Time) error {
	o, count, err := l.layout()
	if err != nil {
		return err
	}
	each := o.Columns * o.Rows
	pages := &labelPages{labels: l, layout: o, count: count, sheets: (l.Skip + count + each - 1) / each}
	return pages.write(w, made)
}

// labelPages makes one sheet of labels after the other.
type labelPages struct {
	labels        Labels
	layout        Layout
	count, sheets int
}

func (p *labelPages) write(w io.Writer, made time.Time) error {
	title := fmt.Sprintf("%s - %s", p.labels.Number(p.labels.From), p.labels.Number(p.labels.From+p.count-1))
	out := begin(w, title, made)
	for i := range p.sheets {
		sheet, err := p.sheet(i)
		if err != nil {
			return err
		}
		if err := sheet.add(out); err != nil {
			return err
		}
	}
	return out.Close()
}

func (p *labelPages) sheet(n int) (*paper, error) {
	l, o := p.labels, p.layout
	sheet := newPaper(o.Letter)
	each := o.Columns * o.Rows
	for at := range each {
		i := n*each + at - l.Skip
		x := o.Left + o.Right*float64(at%o.Columns) + l.Right
		y := o.Top + o.Down*float64(at/o.Columns) + l.Down
		if l.Grid {
			sheet.frame(x, y, o.Width, o.Height)
		}
		if i < 0 || i >= p.count {
			continue
		}
		if err := sheet.label(l.Kind, l.Number(l.From+i), x, y, o.Width, o.Height); err != nil {
			return nil, err
		}
	}
	return sheet, sheet.err
}

// label draws a code with its text beside or below it.
func (p *paper) label(kind, text string, x, y, width, height float64) error {
	margin := min(1.5, height/8)
	if kind == QR || kind == DataMatrix {
		side := height - 2*margin
		if err := p.code(kind, text, x+margin, y+margin, side, side); err != nil {
			return err
		}
		room := width - side - 3*margin
		size := min(11, fitting(gobold.TTF, text, room))
		p.sayAt(gobold.TTF, size, x+2*margin+side, y+height/2+size*0.12, text)
		return p.err
	}
	size := min(10, height*0.6)
	letters := size / 72 * 25.4
	if err := p.code(kind, text, x+margin, y+margin, width-2*margin, height-2.6*margin-letters); err != nil {
		return err
	}
	p.say(gobold.TTF, size, x+width/2, y+height-margin, text)
	return p.err
}

const dpi = 300

// A paper is a page that is being drawn. Lengths are in millimetres.
type paper struct {
	width, height float64
	img           *image.Gray
	err           error
}

func newPaper(letter bool) *paper {
	p := &paper{width: 210, height: 297}
	if letter {
		p.width, p.height = 215.9, 279.4
	}
	p.img = image.NewGray(image.Rect(0, 0, pixels(p.width), pixels(p.height)))
	for i := range p.img.Pix {
		p.img.Pix[i] = 0xff
	}
	return p
}

func pixels(mm float64) int { return int(math.Round(mm / 25.4 * dpi)) }

// fill makes r black. Package draw asks an interface for every pixel of a grey
// image, which takes a quarter of a second for a page.
func (p *paper) fill(r image.Rectangle) {
	r = r.Intersect(p.img.Rect)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		clear(p.img.Pix[p.img.PixOffset(r.Min.X, y):p.img.PixOffset(r.Max.X, y)])
	}
}

// patchWidth is that of a patch code across its bars.
const patchWidth = 20.32

// bars draws patch code T with bars that lie, its middle at x and its upper edge
// at y; see Kodak's A-61599 for the measures.
func (p *paper) bars(x, y float64) {
	const narrow, wide, length = 2.032, 5.08, 160
	for i, bar := range []float64{narrow, wide, narrow, wide} {
		p.fill(image.Rect(pixels(x-length/2), pixels(y), pixels(x+length/2), pixels(y+bar)))
		if y += bar; i < 3 {
			y += narrow
		}
	}
}

// code draws a code into the middle of a rectangle, as large as whole pixels for
// its narrowest bar allow.
func (p *paper) code(kind, text string, x, y, width, height float64) error {
	const longest = 100 // characters; before work is done on them
	if utf8.RuneCountInString(text) > longest {
		return refusal.New(ErrChoice, "%q is too long for a code.", clip(text, 40))
	}
	var b barcode.Barcode
	var err error
	quiet := 10 // modules that stay white on either side
	switch kind {
	case Code39:
		b, err = code39.Encode(text, false, false)
	case Code128:
		b, err = code128.Encode(text)
	case QR:
		quiet = 2 // the label's own margin adds to it
		b, err = qr.Encode(text, qr.M, qr.Auto)
	case DataMatrix:
		quiet = 1
		b, err = datamatrix.Encode(text)
	}
	if err != nil {
		return refusal.New(ErrChoice, "%q is no text for this kind of code.", clip(text, 40))
	}
	size := b.Bounds()
	square := kind == QR || kind == DataMatrix
	module := pixels(width) / (size.Dx() + 2*quiet)
	if square {
		module = min(module, pixels(height)/(size.Dy()+2*quiet))
	} else {
		module = min(module, 8)
	}
	const least = 2 // pixels: 0.17 mm
	if module < least {
		return refusal.New(ErrChoice, "%q is too long for such a code in this size. Choose a QR code, larger labels or a shorter text.", clip(text, 40))
	}
	rows, high := 1, pixels(height)
	if square {
		rows, high = size.Dy(), module
	}
	left := pixels(x) + (pixels(width)-module*size.Dx())/2
	top := pixels(y) + (pixels(height)-high*rows)/2
	for j := range rows {
		for i := range size.Dx() {
			if v, _, _, _ := b.At(size.Min.X+i, size.Min.Y+j).RGBA(); v < 0x8000 {
				p.fill(image.Rect(left+module*i, top+high*j, left+module*(i+1), top+high*(j+1)))
			}
		}
	}
	return nil
}

// frame draws the outline of a rectangle.
func (p *paper) frame(x, y, width, height float64) {
	r := image.Rect(pixels(x), pixels(y), pixels(x+width), pixels(y+height))
	for _, side := range []image.Rectangle{
		{r.Min, image.Pt(r.Max.X, r.Min.Y+1)}, {image.Pt(r.Min.X, r.Max.Y-1), r.Max},
		{r.Min, image.Pt(r.Min.X+1, r.Max.Y)}, {image.Pt(r.Max.X-1, r.Min.Y), r.Max},
	} {
		p.fill(side)
	}
}

// face opens a font at a size in points.
func face(program []byte, size float64) (font.Face, error) {
	f, err := opentype.Parse(program)
	if err != nil {
		return nil, fmt.Errorf("open a font: %w", err)
	}
	return opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: dpi, Hinting: font.HintingFull})
}

// say writes text with its middle at x and its baseline at y, smaller if it is
// wider than the page.
func (p *paper) say(program []byte, size, x, y float64, text string) {
	size = min(size, fitting(program, text, p.width-20))
	f, err := face(program, size)
	if err != nil {
		p.err = err
		return
	}
	width := float64(font.MeasureString(f, text)) / 64 / dpi * 25.4
	f.Close()
	p.sayAt(program, size, x-width/2, y, text)
}

// sayAt writes text that begins at x with its baseline at y.
func (p *paper) sayAt(program []byte, size, x, y float64, text string) {
	f, err := face(program, size)
	if err != nil {
		p.err = err
		return
	}
	defer f.Close()
	d := font.Drawer{Dst: p.img, Src: image.Black, Face: f, Dot: fixed.P(pixels(x), pixels(y))}
	d.DrawString(text)
}

// fitting gives the size in points at which text is as wide as room.
func fitting(program []byte, text string, room float64) float64 {
	const tried = 10
	f, err := face(program, tried)
	if err != nil {
		return tried // writing it says what is wrong
	}
	defer f.Close()
	width := float64(font.MeasureString(f, text)) / 64 / dpi * 25.4
	return max(3, tried*room/max(width, 0.1))
}

func begin(w io.Writer, title string, made time.Time) *pdf.Writer {
	id := sha256.Sum256(fmt.Appendf(nil, "%s %d", title, made.UnixNano()))
	return pdf.NewWriter(w, pdf.Meta{Title: title, Producer: "docscan", Created: made, Modified: made, ID: [16]byte(id[:16])})
}

func write(w io.Writer, title string, made time.Time, pages []*paper) error {
	out := begin(w, title, made)
	for _, p := range pages {
		if err := p.add(out); err != nil {
			return err
		}
	}
	return out.Close()
}

// add adds the page to a file.
func (p *paper) add(out *pdf.Writer) error {
	size := p.img.Bounds().Size()
	bits := jbig2.NewBitmap(size.X, size.Y)
	for y := range size.Y {
		for x, v := range p.img.Pix[y*p.img.Stride : y*p.img.Stride+size.X] {
			if v < 128 {
				bits.Set(x, y)
			}
		}
	}
	data, err := jbig2.Encode(bits)
	if err != nil {
		return err
	}
	return out.AddPage(pdf.Page{Image: pdf.Image{
		Width: size.X, Height: size.Y, DPI: dpi, Colors: 1, Bits: 1, Filter: "JBIG2Decode",
		Size: int64(len(data)), Data: bytes.NewReader(data),
	}})
}
