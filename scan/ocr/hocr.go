package ocr

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// An hocrLine is a line as the engine tells it, in pixels of the image it saw.
type hocrLine struct {
	paragraph int
	box       box
	// The baseline is y = box.bottom + offset + slope*(x - box.left).
	slope, offset float64
	based         bool    // the baseline was told
	size          float64 // from descender to ascender, pixels; 0 if not told
	descenders    float64
	// angle is how far the text is turned counter-clockwise: 0, 90, 180 or 270.
	angle int
	boxed bool // it stands in a box of a form, and in its place
	words []hocrWord
}

type hocrWord struct {
	box        box
	text       string
	confidence float64 // 0 to 100
	language   string  // the engine's name of the language it is in; empty if not told
}

// parseHOCR reads the lines of a page in hOCR, the HTML with layout that
// Tesseract writes. Words that are no words (white space, control characters)
// and lines without words are left out.
func parseHOCR(hocr string) ([]hocrLine, error) {
	z := html.NewTokenizer(strings.NewReader(hocr))
	var lines []hocrLine
	var paragraph, words int
	var language string // of the paragraph
	var word *hocrWord  // being read
	var text strings.Builder
	depth := 0 // of elements within word
	endWord := func() {
		if word == nil {
			return
		}
		word.text = wordText(text.String())
		if word.text != "" && len(lines) > 0 {
			l := &lines[len(lines)-1]
			l.words = append(l.words, *word)
		}
		word, depth = nil, 0
		text.Reset()
	}
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("read hOCR: %w", err)
			}
			endWord()
			lines = withWords(lines)
			setAngles(lines)
			return lines, nil
		case html.TextToken:
			if word != nil {
				text.Write(z.Text())
			}
		case html.EndTagToken:
			if word != nil {
				if depth == 0 {
					endWord()
				} else {
					depth--
				}
			}
		case html.StartTagToken:
			class, title, lang := attributes(z)
			switch class {
			case "ocr_par":
				endWord()
				paragraph++
				language = lang
			case "ocr_line", "ocr_header", "ocr_caption", "ocr_textfloat":
				endWord()
				l, err := parseLine(title)
				if err != nil {
					return nil, fmt.Errorf("read hOCR: %w", err)
				}
				l.paragraph = paragraph
				lines = append(lines, l)
			case "ocrx_word":
				endWord()
				w, err := parseWord(title)
				if err != nil {
					return nil, fmt.Errorf("read hOCR: %w", err)
				}
				if words++; words > maxWords {
					return nil, fmt.Errorf("read hOCR: more than %d words", maxWords)
				}
				if w.language = lang; lang == "" {
					w.language = language
				}
				word = &w
			default:
				if word != nil {
					depth++
				}
			}
		}
	}
}

// withWords leaves out the lines that have none.
func withWords(lines []hocrLine) []hocrLine {
	kept := lines[:0]
	for _, l := range lines {
		if len(l.words) > 0 {
			kept = append(kept, l)
		}
	}
	return kept
}

// setAngles finds the lines that run up or down the page. Tesseract tells the
// angle of some of them; others get an upright baseline or none, and the order
// of their words tells up from down.
func setAngles(lines []hocrLine) {
	var down int // lines that do, less those that run up
	for i := range lines {
		l := &lines[i]
		first, last := l.words[0].box.centre(), l.words[len(l.words)-1].box.centre()
		dx, dy := math.Abs(last.x-first.x), last.y-first.y
		switch {
		case l.angle != 0 || math.Abs(dy) <= 2*dx:
			continue
		case dy > 0:
			l.angle = 270
			down++
		default:
			l.angle = 90
			down--
		}
	}
	for i := range lines { // of one word
		if l := &lines[i]; l.angle == 0 && (math.Abs(l.slope) > 1 || !l.based && down != 0) {
			l.angle = 270
			if down < 0 {
				l.angle = 90
			}
		}
	}
}

// attributes gives those of the tag that z is at.
func attributes(z *html.Tokenizer) (class, title, lang string) {
	for {
		key, value, more := z.TagAttr()
		switch string(key) {
		case "class":
			class = string(value)
		case "title":
			title = string(value)
		case "lang":
			lang = string(value)
		}
		if !more {
			return class, title, lang
		}
	}
}

// wordText drops what can be in no word, and gives "" if nothing is left.
func wordText(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	if len(s) > maxWordBytes {
		return ""
	}
	return s
}

func parseLine(title string) (hocrLine, error) {
	var l hocrLine
	err := properties(title, func(name string, v []float64) error {
		switch {
		case name == "bbox":
			return l.box.set(v)
		case name == "baseline" && len(v) == 2:
			l.slope, l.offset, l.based = v[0], v[1], true
		case name == "x_size" && len(v) == 1:
			l.size = v[0]
		case name == "x_descenders" && len(v) == 1:
			l.descenders = v[0]
		case name == "textangle" && len(v) == 1:
			l.angle = (int(math.Round(v[0]/90))*90%360 + 360) % 360
		}
		return nil
	})
	return l, err
}

func parseWord(title string) (hocrWord, error) {
	var w hocrWord
	err := properties(title, func(name string, v []float64) error {
		switch {
		case name == "bbox":
			return w.box.set(v)
		case name == "x_wconf" && len(v) == 1:
			w.confidence = min(max(v[0], 0), 100)
		}
		return nil
	})
	return w, err
}

// properties calls do with each property of an hOCR title whose values are all
// numbers.
func properties(title string, do func(name string, v []float64) error) error {
	for property := range strings.SplitSeq(title, ";") {
		fields := strings.Fields(property)
		if len(fields) < 2 {
			continue
		}
		values := make([]float64, 0, len(fields)-1)
		for _, f := range fields[1:] {
			v, err := strconv.ParseFloat(f, 64)
			if err != nil || math.IsNaN(v) || math.Abs(v) > 1e6 {
				break
			}
			values = append(values, v)
		}
		if len(values) != len(fields)-1 {
			continue
		}
		if err := do(fields[0], values); err != nil {
			return err
		}
	}
	return nil
}
