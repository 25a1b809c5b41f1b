package intake

import (
	"bytes"
	"encoding/xml"
	"math"
	"strconv"
	"strings"
	"unicode"

	"docscan/scan/text"
)

// descent is how much of a word's box lies below the baseline, a usual value of
// fonts for text: pdftotext gives boxes from a font's ascent to its descent.
const descent = 0.21

// layout reads what `pdftotext -bbox-layout` prints of one page and gives the
// words in pixels of a picture of dpi. What is broken ends the page there.
func layout(said []byte, dpi int) *text.Page {
	p := &text.Page{Version: 1, DPI: dpi, Confidence: 100}
	scale := float64(dpi) / 72
	d := xml.NewDecoder(bytes.NewReader(said))
	d.Strict = false
	d.Entity = xml.HTMLEntity
	var line *text.Line
	var word *text.Word
	var width, height float64 // of the page, points; 0: not known
	paragraph := 0
	for {
		t, err := d.Token()
		if err != nil { // io.EOF, or an end that came too soon
			break
		}
		switch t := t.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "page":
				width, height = number(t, "width"), number(t, "height")
				// The size that it prints is that of the page before it is turned.
				width, height = max(width, height), max(width, height)
			case "block":
				paragraph++
			case "line":
				line = &text.Line{Paragraph: paragraph}
			case "word":
				x0, y0, x1, y1 := number(t, "xMin"), number(t, "yMin"), number(t, "xMax"), number(t, "yMax")
				word = nil
				if x1 > x0 && y1 > y0 && x1 > 0 && y1 > 0 && x0 < width && y0 < height {
					word = &text.Word{
						X: x0 * scale, Y: (y1 - descent*(y1-y0)) * scale, Width: (x1 - x0) * scale,
						Height: (y1 - y0) * scale, Descent: descent * (y1 - y0) * scale, Confidence: 100,
					}
				}
			}
		case xml.CharData:
			if word != nil {
				word.Text += string(t)
			}
		case xml.EndElement:
			switch t.Name.Local {
			case "word":
				if word != nil && line != nil {
					if word.Text = clean(word.Text); word.Text != "" {
						line.Words = append(line.Words, *word)
					}
				}
				word = nil
			case "line":
				if line != nil && len(line.Words) > 0 {
					p.Lines = append(p.Lines, *line)
				}
				line = nil
			}
		}
	}
	return p
}

// number reads an attribute; 0 if it is none, or no sensible one.
func number(e xml.StartElement, name string) float64 {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			v, err := strconv.ParseFloat(a.Value, 64)
			if err != nil || math.IsNaN(v) || math.Abs(v) > 1e6 {
				return 0
			}
			return v
		}
	}
	return 0
}

// clean drops what is no part of a word.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == '\u00ad' { // soft hyphens are not seen
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// Fewer words than this may be a stamp or a page number over a picture of text;
// reading the picture costs a second and loses nothing.
const fewestDrawn, fewestScanned = 5, 10

// worth reports whether the text that came with a page is better than what could
// be read from its picture. Not so is text without the encoding of its font
// (unknown or private characters, or letters that make no words), text that
// stands sideways, and next to no text. scan: the page is a picture.
func worth(p *text.Page, scan bool) bool {
	var words, wordlike, upright, runes, unknown, latin, vowels int
	for _, l := range p.Lines {
		for _, w := range l.Words {
			words++
			letters := 0
			n := 0
			for _, r := range w.Text {
				n++
				switch {
				case r == unicode.ReplacementChar, unicode.Is(unicode.Co, r), !unicode.IsGraphic(r):
					unknown++
				case unicode.IsLetter(r), unicode.IsDigit(r):
					letters++
				}
				if unicode.Is(unicode.Latin, r) {
					latin++
					if strings.ContainsRune("aeiouyäöüàâéèêëîïôûùáíóúåæøœ", unicode.ToLower(r)) {
						vowels++
					}
				}
			}
			runes += n
			if 2*letters >= n {
				wordlike++
			}
			if n < 3 || w.Width > 0.8*w.Height {
				upright++
			}
		}
	}
	fewest := fewestDrawn
	if scan {
		fewest = fewestScanned
	}
	switch {
	case words < fewest, 20*unknown > runes, 2*wordlike < words, 2*upright < words:
		return false
	case latin > 20*words: // words have run together
		return false
	}
	// Of the letters of texts in the Latin script a third to a half are vowels; the
	// bounds leave room for codes and abbreviations.
	const enough = 100
	return latin < enough || 6*vowels > latin && 10*vowels < 7*latin
}
