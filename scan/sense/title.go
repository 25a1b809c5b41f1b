package sense

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"docscan/store"
)

// maxTitle bounds a title that was found, in characters.
const maxTitle = 90

// kind finds what kind of document it is: by the words of its headings, then by
// those of other short lines. The kinds are those of rules.toml.
func (d *document) kind() string {
	best, most := "", 0
	for i, l := range d.first() {
		for _, k := range d.rules.kinds {
			start, end, ok := l.find(k.words)
			if !ok {
				start, end, ok = l.find(k.hints)
			}
			if !ok || len(l.words) > 8 || l.inText {
				continue
			}
			score := 1
			if start == 0 {
				score += 2
			}
			if end-start == len(l.words) {
				score++
			}
			if l.height > 1.25*d.body {
				score += 2
			}
			if i < 15 || l.top < 0.4 {
				score++
			}
			if end-start > 1 {
				score++
			}
			if score > most {
				best, most = k.kind, score
			}
		}
	}
	if most < 3 {
		if _, ok := d.salutationAt(); ok {
			return "letter"
		}
		return ""
	}
	return best
}

// salutationAt gives the line of the first page that begins a letter.
func (d *document) salutationAt() (int, bool) {
	for i, l := range d.first() {
		for _, p := range d.rules.salutation {
			end, ok := l.at(0, p)
			// A sentence may begin so, too; a salutation is short and ends in a comma.
			if ok && end <= len(l.words) && len(l.words) <= 8 && (strings.HasSuffix(l.words[len(l.words)-1].text, ",") || len(l.words) > end) {
				return i, true
			}
		}
	}
	return 0, false
}

// title makes a title: what the document itself says it is about; what kind it is,
// with its number and who sent it; or its headline.
func (d *document) title(f *store.Found) string {
	if s := d.subject(); s != "" {
		return s
	}
	if s := d.kindHeading(f); s != "" {
		return s
	}
	if s := d.aboveSalutation(f); s != "" {
		return s
	}
	if s := d.headline(f); s != "" {
		return s
	}
	if f.Kind == "letter" || f.Kind == "receipt" {
		return f.Correspondent
	}
	return ""
}

// subject finds the line that says that it is the subject.
func (d *document) subject() string {
	for i, l := range d.first() {
		for _, p := range d.rules.subject {
			end, ok := l.at(0, p)
			if !ok || !strings.HasSuffix(l.words[end-1].text, ":") && (end >= len(l.words) || l.words[end].text != ":") {
				continue
			}
			s := clip(l.raw(end, len(l.words)))
			if s == "" && i+1 < len(d.lines) && d.lines[i+1].page == l.page {
				s = clip(d.lines[i+1].raw(0, len(d.lines[i+1].words)))
			}
			if letters(s) >= 3 {
				return s
			}
		}
	}
	return ""
}

// kindHeading is the heading that says what kind of document it is.
func (d *document) kindHeading(f *store.Found) string {
	if f.Kind == "" || f.Kind == "letter" {
		return ""
	}
	for _, l := range d.first() {
		for _, k := range d.rules.kinds {
			if k.kind != f.Kind {
				continue
			}
			start, end, ok := l.find(k.words)
			if !ok || start != 0 || len(l.words) > 8 || l.inText {
				continue
			}
			s := d.rules.sentence(clip(l.raw(0, end)))
			if n := d.number(); n != "" {
				s += " " + n
			} else if len(l.words) > end && len(d.dates(&l)) == 0 && len(l.amounts()) == 0 {
				s = d.rules.sentence(clip(l.raw(0, len(l.words))))
			}
			if f.Correspondent != "" && !strings.Contains(s, f.Correspondent) {
				s += ", " + f.Correspondent
			}
			return clip(s)
		}
	}
	return ""
}

// number finds the number that the document bears.
func (d *document) number() string {
	for _, l := range d.first() {
		for i, w := range l.words {
			if !strings.ContainsFunc(w.bare, unicode.IsDigit) || len(w.bare) < 3 || len(w.bare) > 24 {
				continue
			}
			if l.before(i, d.rules.number, 1) && len(d.dates(&line{words: l.words[i : i+1]})) == 0 && len((&line{words: l.words[i : i+1]}).amounts()) == 0 {
				return strings.Trim(w.text, ".,;:()#")
			}
		}
	}
	return ""
}

// aboveSalutation is the line above "Dear ...", where letters say what they are
// about without saying so.
func (d *document) aboveSalutation(f *store.Found) string {
	at, ok := d.salutationAt()
	if !ok || at == 0 {
		return ""
	}
	lines := d.first()
	l := &lines[at-1]
	s := clip(l.raw(0, len(l.words)))
	switch {
	case len(l.words) < 2 || len(l.words) > 14 || letters(s) < 8,
		len(d.dates(l)) > 0, s == f.Correspondent,
		strings.ContainsAny(l.words[min(1, len(l.words)-1)].text, ":") || strings.HasSuffix(l.words[0].text, ":"), // Our reference: ...
		!l.newBlock, l.top < 0.2, postcode(l):
		return ""
	}
	return s
}

// headline is the line in much larger letters than the others.
func (d *document) headline(f *store.Found) string {
	best, height := "", 1.35*d.body
	for _, l := range d.first() {
		s := clip(l.raw(0, len(l.words)))
		if l.top > 0.6 || l.height <= height || letters(s) < 5 || letters(s)*2 < utf8.RuneCountInString(s) || s == f.Correspondent || sureness(&l) < 70 {
			continue
		}
		best, height = s, l.height*1.05
	}
	return d.rules.sentence(best)
}

func sureness(l *line) float64 {
	sum := 0.0
	for _, w := range l.words {
		sum += w.sure
	}
	return sum / float64(len(l.words))
}

func letters(s string) (n int) {
	for _, r := range s {
		if unicode.IsLetter(r) {
			n++
		}
	}
	return n
}

// clip makes s one line of bounded length without signs at its ends.
func clip(s string) string {
	s = strings.TrimFunc(strings.Join(strings.Fields(s), " "), func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`.,;:-–—_|*"'·•#=<>`, r)
	})
	if utf8.RuneCountInString(s) <= maxTitle {
		return s
	}
	r := []rune(s)[:maxTitle]
	for i := len(r) - 1; i > maxTitle/2; i-- {
		if unicode.IsSpace(r[i]) {
			r = r[:i]
			break
		}
	}
	return strings.TrimRight(string(r), " ,;:-") + "…"
}

// sentence takes the shouting out of what is all capitals: TAX INVOICE becomes Tax
// Invoice. What has no long word may be a name, and companies keep their AG.
func (r *rules) sentence(s string) string {
	words := strings.Fields(s)
	long := false
	for _, w := range words {
		if strings.ContainsFunc(w, unicode.IsLower) && letters(w) > 1 {
			return s
		}
		long = long || letters(w) >= 5
	}
	if !long {
		return s
	}
	for i, w := range words {
		if strings.ContainsFunc(w, unicode.IsDigit) || letters(w) < 2 || r.forms[strings.Trim(strings.ToLower(w), ".,")] {
			continue
		}
		out := []rune(strings.ToLower(w))
		for j, c := range out {
			if unicode.IsLetter(c) {
				out[j] = unicode.ToUpper(c)
				break
			}
		}
		words[i] = string(out)
	}
	return strings.Join(words, " ")
}
