package ocr

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"docscan/scan/imaging"
)

// Of several languages the engine asks, word by word, first the one that read the word
// before, and asks no other one if that is sure enough. So after a name or a number the
// words of a French letter can be read as English ones, without their accents. A page
// is written in one language mostly: what another one has read is read once more in that
// alone, and kept where that is as sure.

// leastShare is how much of the letters of a text in a language is read as such, where
// another one is asked first, which reads what looks like its own.
const leastShare = 0.2

// mostShare is how much of the letters of a text in a language alone is read as such in the end.
const mostShare = 0.5

// mainLanguage gives the language other than first, which is asked first, in which r is
// written: that of most letters, or else, and then it is not sure, the one that is used
// most where the first one fails. It gives none if neither is plain.
func (r *reading) mainLanguage(first string) (name string, sure bool) {
	const (
		most   = 0.6 // of the letters
		others = 2   // times those of any other language but the first
	)
	used, all := lettersByLanguage(r.lines)
	delete(used, "")
	second := 0
	// The words of the first language itself hardly stray.
	for l, n := range used {
		switch {
		case l == first:
		case float64(n) > most*float64(all):
			return l, true
		case name == "" || n > used[name]:
			name, second = l, used[name]
		default:
			second = max(second, n)
		}
	}
	if float64(used[name]) < leastShare*float64(all) || used[name] < others*second {
		return "", false
	}
	return name, false
}

// paragraphsIn gives the paragraphs of whose letters at least a share is in a language.
func (r *reading) paragraphsIn(language string, share float64) map[int]bool {
	lines := make(map[int][]hocrLine)
	for _, l := range r.lines {
		lines[l.paragraph] = append(lines[l.paragraph], l)
	}
	in := make(map[int]bool)
	for n, list := range lines {
		used, all := lettersByLanguage(list)
		in[n] = used[language] > 0 && float64(used[language]) >= share*float64(all)
	}
	return in
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
	language, sure := r.mainLanguage(p.request.Languages[0])
	if language == "" {
		return nil
	}
	const (
		fewest = 3   // lines of a page: less tells no language
		most   = 100 // lines that are read again
		margin = 6   // pixels
	)
	in := r.paragraphsIn(language, leastShare)
	var stray []*hocrLine
	var parts []box
	for i := range r.lines {
		l := &r.lines[i]
		if l.angle == 0 && !l.boxed && (sure || in[l.paragraph]) && l.strays(language) && len(stray) < most {
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
	if !sure {
		other, err := p.readsOtherwise(straight, language, stray, parts)
		if !other || err != nil {
			return err
		}
	}
	again, err := p.worker.engine.readLines(straight, p.dpi, language, parts)
	if err != nil {
		return err
	}
	for i, l := range stray {
		l.adopt(again[i], language, false)
	}
	in = r.paragraphsIn(language, mostShare)
	for i, l := range stray {
		if sure || in[l.paragraph] { // others may be written in two languages
			l.adopt(again[i], language, true)
		}
	}
	return nil
}

// readsOtherwise reports whether stray lines are read otherwise in the language, by those of
// them with the most letters: a table of names and numbers has no language. parts are their
// places.
func (p *page) readsOtherwise(straight *imaging.Pix, language string, stray []*hocrLine, parts []box) (bool, error) {
	const few = 6
	if len(stray) <= 2*few {
		return true, nil // it is as quick to read them all
	}
	order := make([]int, len(stray))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return letters(stray[j].text()) - letters(stray[i].text()) })
	order = order[:few]
	var some []box
	for _, i := range order {
		some = append(some, parts[i])
	}
	again, err := p.worker.engine.readLines(straight, p.dpi, language, some)
	if err != nil {
		return false, err
	}
	for n, i := range order {
		l := *stray[i]
		l.words = slices.Clone(l.words)
		if l.adopt(again[n], language, true); l.text() != stray[i].text() {
			return true, nil
		}
	}
	return false, nil
}

// adopt takes the words of another reading of the same line, in one language, for those
// of l in other ones, if they stand in the same place and are as sure, or nearly if marks says
// so and only those of letters differ.
func (l *hocrLine) adopt(again []hocrWord, language string, marks bool) {
	const (
		lessSure = 3  // per cent: no word is as sure in two languages
		marked   = 15 // the same, if only the marks of letters differ: a language has its own
	)
	for i := range l.words {
		w := &l.words[i]
		if !w.strays(language) {
			continue
		}
		for _, a := range again {
			shared := math.Min(w.box.right, a.box.right) - math.Max(w.box.left, a.box.left)
			if shared <= 0.8*math.Max(w.box.right-w.box.left, a.box.right-a.box.left) {
				continue
			}
			if a.confidence >= w.confidence-lessSure || marks && w.marked(a.text) && a.confidence >= w.confidence-marked {
				w.text, w.confidence, w.language = a.text, a.confidence, language
			}
			break
		}
	}
}

// marked reports whether s is w with marks on its letters, which it has none of. An ii is
// how a u with two dots is read in a language that does not know it.
func (w *hocrWord) marked(s string) bool {
	plain := unmarked(w.text)
	return plain == w.text && s != plain && (unmarked(s) == plain || strings.Contains(s, "ü") && strings.ReplaceAll(s, "ü", "ii") == plain)
}

// unmarked gives s without the marks of its letters.
func unmarked(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))
}
