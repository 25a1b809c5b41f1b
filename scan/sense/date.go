package sense

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"docscan/store"
)

// A date as it stands in a line.
type dateAt struct {
	line        *line
	from, to    int    // words
	day         string // 2006-01-02
	other       string // the other reading, if day and month may be the other way round
	shortYear   bool
	slash       bool // day and month as numbers, with a stroke between them
	monthFirst  bool // as they stand, only this makes a date
	monthBefore bool // the name of the month stands before the day, as Americans write
}

// How dates are written. Each takes whole words, so that no digits are taken out of
// a number. The names are folded.
var (
	numeric = regexp.MustCompile(`^(\d{1,4})(\.|/|-)( ?)(\d{1,2})(\.|/|-)( ?)(\d{4}|\d{2})$`)
	named   = regexp.MustCompile(`^(\d{1,2})(?:\.|st|nd|rd|th|er|º|°)?[ -]?(?:(?:of|de|d') ?)?([a-z]{3,10})\.?,?[ -]?(?:(?:de|del) ?)?'?(\d{4}|\d{2})$`)
	english = regexp.MustCompile(`^([a-z]{3,10})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})$`)
)

// longestDate is how many words a date has at most: "9 de marzo de 2026".
const longestDate = 5

// dates finds what is a date in a line.
func (d *document) dates(l *line) []dateAt {
	var all []dateAt
	for i := 0; i < len(l.words); i++ {
		for n := min(longestDate, len(l.words)-i); n > 0; n-- {
			if at, ok := d.dateIn(l, i, i+n); ok {
				all = append(all, at)
				i += n - 1
				break
			}
		}
	}
	return all
}

func (d *document) dateIn(l *line, from, to int) (dateAt, bool) {
	at := dateAt{line: l, from: from, to: to}
	var b strings.Builder
	for k, w := range l.words[from:to] {
		if k > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w.folded)
	}
	s := strings.TrimRight(strings.TrimLeft(b.String(), `([{"'`), `,;:)]}"`)
	if strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "..") {
		s = strings.TrimSuffix(s, ".") // of the sentence
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0
		}
		return n
	}
	year := func(s string) int {
		n := number(s)
		if len(s) == 2 {
			at.shortYear = true
			n += 2000
		}
		return n
	}
	switch {
	case numeric.MatchString(s):
		m := numeric.FindStringSubmatch(s)
		if m[2] != m[5] || m[3] != m[6] || m[3] != "" && m[2] != "." {
			return at, false
		}
		a, b := number(m[1]), number(m[4])
		switch {
		case len(m[1]) == 4:
			if len(m[7]) != 2 {
				return at, false
			}
			at.day = day(a, b, number(m[7]))
		case len(m[1]) > 2:
			return at, false
		default:
			y := year(m[7])
			at.day = day(y, b, a)
			if m[2] != "." {
				at.slash = true
				if at.other = day(y, a, b); at.day == "" {
					at.day, at.other, at.monthFirst = at.other, "", at.other != ""
				} else if at.other == at.day {
					at.other = ""
				}
			}
		}
	case named.MatchString(s):
		m := named.FindStringSubmatch(s)
		at.day = day(year(m[3]), d.rules.month(m[2]), number(m[1]))
	case english.MatchString(s):
		m := english.FindStringSubmatch(s)
		at.day = day(year(m[3]), d.rules.month(m[1]), number(m[2]))
		at.monthBefore = true
	}
	return at, at.day != ""
}

// day gives a day that the calendar has, from 1900 to 2099, or "".
func day(y, m, d int) string {
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	if y < 1900 || y > 2099 || t.Year() != y || int(t.Month()) != m || t.Day() != d {
		return ""
	}
	return t.Format(time.DateOnly)
}

var americanAddress = regexp.MustCompile(`\b[A-Z]{2},? \d{5}(-\d{4})?\b`)

// american tells whether 03/04/2026 is the fourth of March here, and whether the
// document says so itself: by a date that can be read in one way only, by how it
// writes the names of months, or by an address. Only English text can be.
func (d *document) american(all []dateAt) (yes, sure bool) {
	if len(d.languages) > 0 && !slices.Contains(d.languages, "eng") {
		return false, true
	}
	if l := d.language(); l != "" && l != "eng" { // read as English where no other language is installed, or with words of it
		return false, true
	}
	before, behind, addresses := 0, 0, 0
	for _, at := range all {
		switch {
		case at.slash && at.monthFirst:
			return true, true
		case at.slash && at.other == "" && at.day[8:] > "12":
			return false, true
		case at.slash:
		case at.monthBefore:
			before++
		case strings.ContainsFunc(at.line.raw(at.from, at.to), func(r rune) bool { return r >= 'A' }):
			behind++
		}
	}
	for i := range d.lines {
		if l := &d.lines[i]; americanAddress.MatchString(l.raw(0, len(l.words))) {
			addresses++
		}
	}
	if (before > 0) != (behind > 0) {
		return before > 0, true
	}
	return addresses > 0, addresses > 0
}

// Bounds of what a document's own date can be.
const (
	inFuture = 45 * 24 * time.Hour       // letters are dated ahead, by weeks at most
	longAgo  = 40 * 365 * 24 * time.Hour // older ones are scanned too, but dates of birth are commoner
	// aboutNow is the first moment that a clock which was set can show.
	aboutNow = 2026
)

// enough is the least score of a date that is taken: it stands by itself, or a word
// before it says that it is the document's.
const enough = 4

// date finds the document's own date.
func (d *document) date(now time.Time) *store.FoundDate {
	var all []dateAt
	for i := range d.lines {
		all = append(all, d.dates(&d.lines[i])...)
	}
	american, sure := d.american(all)
	best, most := -1, enough-1
	for i := range all {
		at := &all[i]
		if at.slash && american && at.other != "" {
			at.day, at.other = at.other, at.day
		}
		if sure {
			at.other = ""
		}
		if score := d.weigh(at, now); score > most {
			best, most = i, score
		}
	}
	if best < 0 {
		return nil
	}
	at := all[best]
	return &store.FoundDate{
		Day: at.day, Other: at.other, Page: at.line.page,
		Words: strings.TrimRight(strings.TrimLeft(at.line.raw(at.from, at.to), `([{"'`), `.,;:)]}"`),
	}
}

// weigh tells how likely it is that a date is that of the document.
func (d *document) weigh(at *dateAt, now time.Time) int {
	r, l := d.rules, at.line
	score := 0
	if l.page == d.lines[0].page {
		score += 2
		if l.top < 0.5 {
			score++
		}
	}
	before := 0 // words of the line before the date, and behind it
	for _, w := range l.words[:at.from] {
		if w.bare != "" {
			before++
		}
	}
	behind := len(l.words) - at.to
	switch {
	case l.behindNumber(at.from, r):
		score += 6
	case l.numbered(at.from, r), l.before(at.from, r.otherDates, 1):
		score -= 8
	case l.before(at.from, r.letters, 0): // Your letter of 2 March, in the head of the answer
		score -= 5
	case (l.inText || before+behind > 7) && l.before(at.from, r.ofSentences, 0):
		score -= 5
	case l.before(at.from, r.dated, 1), d.headed(at, r.dated):
		score += 6
	case d.headed(at, r.otherDates):
		score -= 8
	case l.inText:
		score -= 4
	case before+behind == 0:
		score += 4
	case behind == 0 && before <= 3 && strings.HasSuffix(l.words[at.from-1].text, ","): // Leeds, 9 March 2026
		score += 4
	case before+behind <= 4: // on a till receipt, with the time
		score += 2
	case before+behind > 7:
		score -= 4
	}
	if at.shortYear && !(behind > 0 && clock.MatchString(l.words[at.to].bare)) { // a till prints the time, too
		score -= 2
	}
	if t, err := time.Parse(time.DateOnly, at.day); err == nil && now.Year() >= aboutNow {
		switch age := now.Sub(t); {
		case age < -inFuture:
			score -= 4
		case age > longAgo:
			score -= 3
		}
	}
	return score
}

var clock = regexp.MustCompile(`^[012]?\d:[0-5]\d(:[0-5]\d)?$`)

// behindNumber reports whether a line says the document's number and, right before word i, a
// word that its date follows: Facture n° 88 du 3 avril 2026.
func (l *line) behindNumber(i int, r *rules) bool {
	if l.inText || !l.before(i, r.behindNumber, 0) {
		return false
	}
	for _, p := range r.number {
		if end, ok := l.at(0, p); ok && end < i {
			return true
		}
	}
	return false
}

// numbered reports whether what stands at word i is a number of something: a word before it
// says so. Invoice 03/04/2026 has a date all the same.
func (l *line) numbered(i int, r *rules) bool {
	if l.before(i, r.surelyNumber, 0) {
		return true
	}
	for i--; i >= 0 && l.words[i].bare == ""; i-- {
	}
	return i >= 0 && (strings.HasSuffix(l.words[i].bare, "nummer") || strings.HasSuffix(l.words[i].bare, "-nr") || strings.HasSuffix(l.words[i].bare, "nr"))
}

// headed reports whether the date stands in a table below one of the phrases: in
// the line above, as far to the right as the date.
func (d *document) headed(at *dateAt, phrases []phrase) bool {
	i := slices.IndexFunc(d.lines, func(l line) bool { return l.page == at.line.page && l.top == at.line.top && l.left == at.line.left })
	if i < 1 || d.lines[i-1].page != at.line.page {
		return false
	}
	above := &d.lines[i-1]
	if len(d.dates(above)) > 0 {
		return false
	}
	if _, _, ok := above.find(phrases); !ok {
		return false
	}
	start, end, _ := above.find(phrases)
	// Without places of single words, the share of the line is what there is: a
	// heading of one word above a date of one word, or both at the beginning.
	return start == 0 && at.from == 0 || end == len(above.words) && at.to == len(at.line.words) || len(above.words) == len(at.line.words) && start == at.from
}
