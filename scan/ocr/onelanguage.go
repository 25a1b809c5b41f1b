package ocr

import (
	"math"
	"strings"
	"unicode"
)

// Of several languages the engine asks, word by word, first the one that read the word
// before, and asks no other one if that is sure enough. So after a name or a number the
// words of a French letter can be read as English ones, without their accents. A page
// is written in one language mostly: what another one has read is read once more in that
// alone, and kept where that is as sure.

// mainLanguage gives the language in which most of r is written; ok is false if no
// language has most of it.
func (r *reading) mainLanguage() (name string, ok bool) {
	const most = 0.6 // of the letters
	used, all := r.lettersByLanguage()
	for l, n := range used {
		if l != "" && float64(n) > most*float64(all) {
			return l, true
		}
	}
	return "", false
}

// strays reports whether a word of l may be one of another language by mistake.
func (l *hocrLine) strays(language string) bool {
	for _, w := range l.words {
		if w.strays(language) {
			return true
		}
	}
	return false
}

func (w *hocrWord) strays(language string) bool {
	return w.language != language && w.language != "" && strings.ContainsFunc(w.text, unicode.IsLetter) && !strings.ContainsFunc(w.text, unicode.IsDigit)
}

// inOneLanguage reads the lines of r with words of other languages than most of it
// again.
func (p *page) inOneLanguage(r *reading) error {
	language, ok := r.mainLanguage()
	// The first one asked for is the one that the engine begins with, and its words
	// hardly stray.
	if !ok || language == p.request.Languages[0] {
		return nil
	}
	const (
		fewest = 3   // lines of a page: less tells no language
		most   = 100 // lines that are read again
		margin = 6   // pixels
	)
	var stray []*hocrLine
	var parts []box
	for i := range r.lines {
		l := &r.lines[i]
		if l.angle == 0 && l.strays(language) && len(stray) < most {
			stray = append(stray, l)
			parts = append(parts, box{
				math.Max(l.box.left-margin, 0), math.Max(l.box.top-margin, 0),
				l.box.right + margin, l.box.bottom + margin,
			})
		}
	}
	if len(stray) == 0 || len(r.lines) < fewest {
		return nil
	}
	_, straight, err := p.straight(r.place.quarters, r.from)
	if err != nil {
		return err
	}
	defer straight.Close()
	if err := p.putAway(); err != nil {
		return err
	}
	for i := range parts {
		parts[i].right = math.Min(parts[i].right, float64(straight.Width()))
		parts[i].bottom = math.Min(parts[i].bottom, float64(straight.Height()))
	}
	again, err := p.worker.engine.readLines(straight, p.dpi, language, parts)
	if err != nil {
		return err
	}
	for i, l := range stray {
		l.adopt(again[i], language)
	}
	return nil
}

// adopt takes the words of another reading of the same line, in one language, for those
// of l in other ones, if they stand in the same place and are as sure.
func (l *hocrLine) adopt(again []hocrWord, language string) {
	const lessSure = 3 // per cent: no word is as sure in two languages
	for i := range l.words {
		w := &l.words[i]
		if !w.strays(language) {
			continue
		}
		for _, a := range again {
			shared := math.Min(w.box.right, a.box.right) - math.Max(w.box.left, a.box.left)
			if shared > 0.8*math.Max(w.box.right-w.box.left, a.box.right-a.box.left) && a.confidence >= w.confidence-lessSure {
				w.text, w.confidence, w.language = a.text, a.confidence, language
				break
			}
		}
	}
}
