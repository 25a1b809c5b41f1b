package sense

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a sender's name, in characters.
const maxName = 64

// likely is the least score of a name that is suggested.
const likely = 5

// sender finds who sent the document: the name at its head that looks like one of a
// company or an office, or stands in larger letters, or is followed by an address.
func (d *document) sender() string {
	lines := d.first()
	best, most := "", likely-1
	for i := range lines {
		l := &lines[i]
		name := nameIn(l)
		if name == "" || d.isOther(l) {
			continue
		}
		score, says := 0, false
		switch { // where it stands
		case i == 0:
			score += 4
		case i == 1:
			score += 2
		case l.top > 0.88: // the foot of a letter has the sender's name and bank
			score++
		case l.top > 0.35:
			score -= 3
		}
		if l.height > 1.3*d.body {
			score += 2
		}
		switch words := strings.Fields(fold(name)); {
		case d.rules.forms[strings.Trim(words[len(words)-1], ".,")] && len(words) > 1:
			score, says = score+4, true
		case hasAny(words, d.rules.organisations):
			score, says = score+3, true
		}
		if strings.ContainsAny(l.raw(0, len(l.words)), "·•|") && i < 12 { // the line above the address in a window envelope
			score, says = score+2, true
		}
		if i+2 < len(lines) && i < 6 && (postcode(&lines[i+1]) || postcode(&lines[i+2])) {
			score, says = score+1, true
		}
		if i > 0 && d.addressed(lines[:i]) && i < 25 && l.top < 0.35 && score < 8 {
			score -= 3 // the second address is that of who got it
		}
		if says && score > most {
			best, most = name, score
		}
	}
	return d.rules.sentence(best)
}

// nameIn gives what of a line may be a name: all of it up to a mark that ends it.
func nameIn(l *line) string {
	s := l.raw(0, len(l.words))
	for _, mark := range []string{" · ", " • ", " | ", " - ", " – ", " — ", ", "} {
		s, _, _ = strings.Cut(s, mark)
	}
	s = strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != ')' })
	large := 0
	for _, w := range strings.Fields(s) {
		if r, _ := utf8.DecodeRuneInString(w); !unicode.IsLower(r) {
			large++
		}
	}
	digits := 0
	for _, r := range s {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	n := utf8.RuneCountInString(s)
	if letters(s) < 3 || n > maxName || digits*3 > n || len(strings.Fields(s)) > 7 || large*2 <= len(strings.Fields(s)) || l.inText || sureness(l) < 60 || strings.ContainsAny(s, "@:") {
		return ""
	}
	return s
}

// isOther reports whether a line is surely no name.
func (d *document) isOther(l *line) bool {
	sum := func(a amountAt) bool { return !a.whole } // Euro 2000 Ltd is a name
	if len(d.dates(l)) > 0 || slices.ContainsFunc(l.amounts(), sum) || postcode(l) {
		return true
	}
	for _, p := range d.rules.addressee {
		if _, ok := l.at(0, p); ok {
			return true
		}
	}
	for _, k := range d.rules.kinds {
		if _, end, ok := l.find(k.words); ok && end == len(l.words) && !d.rules.organisations[l.words[end-1].bare] {
			return true
		}
	}
	_, _, salutes := l.find(d.rules.salutation)
	return salutes && len(l.words) <= 6
}

var postcodes = regexp.MustCompile(`(?:^|[ ,]|\b(?:D|A|CH|F|B|L)-)(\d{4,5}|[A-Z]{1,2}\d[A-Z0-9]? \d[A-Z]{2}|\d{4} [A-Z]{2}|[A-Z]{2} \d{5})(?:$|[ ,])`)

// postcode reports whether a line looks like the end of an address.
func postcode(l *line) bool {
	s := l.raw(0, len(l.words))
	return len(l.words) <= 7 && postcodes.MatchString(s) && letters(s) >= 3
}

// addressed reports whether the lines hold a whole address already.
func (d *document) addressed(lines []line) bool {
	for i := range lines {
		if postcode(&lines[i]) {
			return true
		}
	}
	return false
}

func hasAny(words []string, list map[string]bool) bool {
	for _, w := range words {
		if list[strings.Trim(w, ".,()")] {
			return true
		}
	}
	return false
}
