// Package barcode finds and reads the barcodes of a page, and the bars of patch
// sheets.
//
// Nearly all pages have none, so looking for them must cost next to nothing:
// cells of a small copy of the page tell where levels change in one direction
// only, as between bars, or where it is half dark all over, as in a QR or Data
// Matrix code. Only such regions are given to a library, each laid straight
// first: libzbar reads bars and QR codes, gozxing Data Matrix codes. Bars are read from the mean of many lines across them, so that
// worn, blurred and grainy ones are read too.
//
// A word between strokes is a barcode to a library now and then. What is believed
// has check digits, or fills the region in which it was found.
//
// Like package imaging this is for one goroutine at a time in a worker process.
package barcode

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docscan/scan/imaging"
)

// A Kind is what a code is.
type Kind string

// The kinds. Patch codes are the bars of patch sheets; their text is the letter
// or digit of the patch.
const (
	Code39     Kind = "code39"
	Code93     Kind = "code93"
	Code128    Kind = "code128"
	Codabar    Kind = "codabar"
	ITF        Kind = "itf" // interleaved 2 of 5
	EAN8       Kind = "ean8"
	EAN13      Kind = "ean13" // and ISBN
	UPCA       Kind = "upca"
	UPCE       Kind = "upce"
	QR         Kind = "qr"
	DataMatrix Kind = "datamatrix"
	Patch      Kind = "patch"
)

// Kinds lists them.
func Kinds() []Kind {
	return []Kind{Code39, Code93, Code128, Codabar, ITF, EAN8, EAN13, UPCA, UPCE, QR, DataMatrix, Patch}
}

// A Code is one on a page. Lengths are in pixels of the image.
type Code struct {
	Kind   Kind
	Text   string  // valid UTF-8 without control characters but tab and line feed
	X, Y   float64 // its middle
	Width  float64 // along its reading direction
	Height float64
	Angle  float64 // of that direction, clockwise, degrees; 0 runs to the right
}

const (
	// lookDPI is about the resolution at which regions are looked for.
	lookDPI = 150
	// cellSize is the side of a cell in millimetres: no code that people stick
	// onto paper is lower than three.
	cellSize = 1.35
	// levels is how often the copy is halved: large modules are too plain to be
	// noticed in a fine one.
	levels = 3
	// mostRegions bounds the work on a page, by kind of region and level.
	mostRegions = 48
	// mostCodes bounds what is told of a page.
	mostCodes = 64
)

// Read gives the codes in an image of 8 bits. level is the grey of the paper.
func Read(p *imaging.Pix, dpi float64, level int) ([]Code, error) {
	if min(p.Width(), p.Height()) < 32 {
		return nil, nil
	}
	r := reader{page: p, dpi: dpi}
	small, scale := p, 1.0
	for {
		if dpi/scale < 1.5*lookDPI {
			break
		}
		next, err := half(small)
		if small != p {
			small.Close()
		}
		if err != nil {
			return nil, err
		}
		small, scale = next, 2*scale
	}
	for l := range levels {
		if l > 0 {
			next, err := half(small)
			if small != p {
				small.Close()
			}
			if err != nil {
				return nil, err
			}
			small, scale = next, 2*scale
		}
		if min(small.Width(), small.Height()) < 32 {
			break
		}
		size := max(4, int(math.Round(cellSize*lookDPI/25.4)))
		if l == 0 {
			size = max(4, int(math.Round(cellSize*dpi/scale/25.4)))
		}
		m, err := look(small, size, level, scale)
		if err != nil {
			return nil, err
		}
		if err := r.bars(m); err != nil {
			return nil, err
		}
		if err := r.matrices(m); err != nil {
			return nil, err
		}
	}
	if small != p {
		small.Close()
	}
	return r.codes, nil
}

func half(p *imaging.Pix) (*imaging.Pix, error) {
	return p.Halve()
}

// A reader collects the codes of a page.
type reader struct {
	page  *imaging.Pix
	dpi   float64
	codes []Code
}

// known reports whether a point lies within a code that was read already.
func (r *reader) known(x, y float64) bool {
	return slices.ContainsFunc(r.codes, func(c Code) bool {
		sin, cos := math.Sincos(c.Angle * math.Pi / 180)
		u, v := (x-c.X)*cos+(y-c.Y)*sin, (y-c.Y)*cos-(x-c.X)*sin
		return math.Abs(u) <= c.Width/2 && math.Abs(v) <= c.Height/2
	})
}

// add keeps a code, unless it is there already.
func (r *reader) add(c Code) {
	if len(r.codes) < mostCodes && !slices.ContainsFunc(r.codes, func(o Code) bool {
		return o.Kind == c.Kind && o.Text == c.Text && math.Hypot(o.X-c.X, o.Y-c.Y) < max(o.Width, c.Width, o.Height, c.Height)/2
	}) {
		r.codes = append(r.codes, c)
	}
}

// clean makes the bytes of a code a text.
func clean(b []byte) string {
	s := string(b)
	if !utf8.ValidString(s) { // the standard's other character set
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		s = string(runes)
	}
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\t' && c != '\n' {
			return -1
		}
		return c
	}, s)
	return strings.TrimSpace(s)
}

// digits reports whether all of s are.
func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func (c Code) String() string { return fmt.Sprintf("%s %q", c.Kind, c.Text) }
