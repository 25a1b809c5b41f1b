// Package text says what stands on a page: words, where they are and how sure
// the engine was of them. It is what package ocr makes, package pdf writes
// invisibly over the image, the index finds and the screen highlights.
//
// All coordinates are pixels of the image as it was scanned, before any
// turning or straightening: x to the right, y down, origin top left.
package text

import (
	"math"
	"strings"
)

// A Page is the text of one side in reading order.
type Page struct {
	Version    int      `json:"version"`         // of this format; 1
	Width      int      `json:"width"`           // of the scanned image, pixels
	Height     int      `json:"height"`          // of the scanned image, pixels
	DPI        int      `json:"dpi"`             // of the scanned image
	Rotate     int      `json:"rotate"`          // clockwise turn that makes the image upright: 0, 90, 180 or 270 degrees
	Skew       float64  `json:"skew"`            // what the content is turned clockwise beyond that, degrees
	Sheet      *Box     `json:"sheet,omitempty"` // what of the image, turned back by Skew about its middle, shows the paper; nil: all
	Languages  []string `json:"languages"`       // those it is written in, most used first; the engine's names, such as "eng"
	Confidence float64  `json:"confidence"`      // mean over all words, 0 to 100; 0 without words
	Lines      []Line   `json:"lines"`
	Codes      []Code   `json:"codes,omitempty"` // barcodes; a reader that does not know them shows the page without
}

// A Code is a barcode on a page.
type Code struct {
	Kind   string  `json:"kind"` // one of package barcode's, such as "qr"
	Text   string  `json:"text"` // of the bars of a patch sheet: their letter
	X      float64 `json:"x"`    // its middle
	Y      float64 `json:"y"`
	Width  float64 `json:"width"` // along its reading direction
	Height float64 `json:"height"`
	Angle  float64 `json:"angle"` // of that direction, clockwise, degrees; as of a Word
}

// Patch is the kind of the bars of a patch sheet.
const Patch = "patch"

// A Box is an upright part of an image, in pixels.
type Box struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// A Line is words that stand on one baseline.
type Line struct {
	Paragraph int    `json:"paragraph"` // counts up; a new number starts a new paragraph
	Words     []Word `json:"words"`
}

// A Word is placed by its baseline: it starts at (X, Y), runs Width pixels in
// the direction Angle, and is Height pixels tall, of which Descent lie below
// the baseline.
type Word struct {
	Text       string  `json:"text"`
	X          float64 `json:"x"`
	Y          float64 `json:"y"`
	Width      float64 `json:"width"`
	Height     float64 `json:"height"`
	Descent    float64 `json:"descent"`
	Angle      float64 `json:"angle"` // clockwise, degrees; 0 runs to the right, 90 downwards, 180 to the left (upside down)
	Confidence float64 `json:"confidence"`
}

// Corners gives the four of the word's box, which may be askew: above the first letter
// and on around it.
func (w *Word) Corners() (x, y [4]float64) {
	sin, cos := math.Sincos(w.Angle * math.Pi / 180)
	above, below := w.Height-w.Descent, w.Descent
	for i, at := range [4][2]float64{{0, above}, {w.Width, above}, {w.Width, -below}, {0, -below}} {
		x[i], y[i] = w.X+at[0]*cos+at[1]*sin, w.Y+at[0]*sin-at[1]*cos
	}
	return x, y
}

// Doubtful gives boxes around the words that the engine was less than sure of, as they
// stand once the page is turned clockwise by turn degrees about its middle.
func (p *Page) Doubtful(sure, turn float64) []Box {
	cx, cy := float64(p.Width)/2, float64(p.Height)/2
	sin, cos := math.Sincos(turn * math.Pi / 180)
	var out []Box
	for i := range p.Lines {
		for j := range p.Lines[i].Words {
			w := &p.Lines[i].Words[j]
			if w.Confidence >= sure {
				continue
			}
			left, top, right, bottom := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
			xs, ys := w.Corners()
			for k := range xs {
				dx, dy := xs[k]-cx, ys[k]-cy
				x, y := cx+dx*cos-dy*sin, cy+dx*sin+dy*cos
				left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
			}
			out = append(out, Box{left, top, right - left, bottom - top})
		}
	}
	return out
}

// Count gives how many words there are.
func (p *Page) Count() (words int) {
	for _, l := range p.Lines {
		words += len(l.Words)
	}
	return words
}

// Plain gives the words as plain text: one line a line, an empty line between
// paragraphs.
func (p *Page) Plain() string {
	var b strings.Builder
	for i, l := range p.Lines {
		if i > 0 {
			b.WriteByte('\n')
			if l.Paragraph != p.Lines[i-1].Paragraph {
				b.WriteByte('\n')
			}
		}
		for j, w := range l.Words {
			if j > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(w.Text)
		}
	}
	return b.String()
}

// Findable gives all that a search should find the page by: its words and what
// its barcodes say.
func (p *Page) Findable() string {
	var b strings.Builder
	b.WriteString(p.Plain())
	for _, c := range p.Codes {
		if c.Kind == Patch {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(c.Text)
	}
	return b.String()
}
