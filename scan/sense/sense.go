// Package sense finds out what a document is about: a title, its date with the
// words it came from, what is to be paid, account and tax numbers, what kind of
// document it is, who sent it, and whether it is another one scanned again.
//
// All of it goes by rules that a person can read: the words are in rules.toml,
// what is done with them in one file for each subject. What no rule is sure of is
// left empty, for a wrong date is worse than none.
//
// Nothing here decides anything: what is found is a suggestion, and package scan
// says what becomes of it.
package sense

import (
	"slices"
	"time"

	"docscan/scan/text"
	"docscan/store"
)

// maxPages is how many pages from the start are looked at, and one more: the last,
// where sums stand. What a document is about stands at its beginning.
const maxPages = 5

// Find says what pages are about, of which some may be nil: they could not be
// read. now is the day of the scan, by which dates are judged; a clock that was
// never set does no harm.
func Find(pages []*text.Page, now time.Time) *store.Found {
	r := shipped()
	d := newDocument(r, pages)
	if len(d.lines) == 0 {
		return nil
	}
	f := &store.Found{Accounts: d.accounts(), TaxNumbers: d.taxNumbers(), Domains: d.domains()}
	f.Date = d.date(now)
	f.Total = d.total()
	f.Kind = d.kind()
	f.Correspondent = d.sender()
	f.Title = d.title(f)
	return f
}

// Language tells in which language a text is written of which no engine has said it: by the
// short words that each language has, and by those of its rules. It is "" where they do not tell.
func Language(p *text.Page) string {
	d := newDocument(shipped(), []*text.Page{p})
	return d.language()
}

func (d *document) language() string {
	found := make(map[string]int)
	for i := range d.lines {
		for _, w := range d.lines[i].words {
			for name, words := range d.rules.common {
				if words[w.bare] {
					found[name]++
				}
			}
		}
	}
	const fewest = 3
	best, second := "", 0
	for name, n := range found {
		if best == "" || n > found[best] {
			best, second = name, max(second, found[best])
		} else {
			second = max(second, n)
		}
	}
	if n := found[best]; n < fewest || 2*n < 3*second {
		return ""
	}
	return best
}

// document is the lines of a document with the rules they are read by.
type document struct {
	rules     *rules
	lines     []line
	languages []string // of its pages, most used first
	body      float64  // the usual height of a letter line, as a part of the page's height
}

func newDocument(r *rules, pages []*text.Page) *document {
	d := &document{rules: r}
	for i, p := range pages {
		if p == nil || i >= maxPages && i != len(pages)-1 {
			continue
		}
		for _, l := range p.Languages {
			if !slices.Contains(d.languages, l) {
				d.languages = append(d.languages, l)
			}
		}
		d.lines = append(d.lines, linesOf(p, i+1)...)
	}
	var heights []float64
	for _, l := range d.lines {
		for range l.words {
			heights = append(heights, l.height)
		}
	}
	if len(heights) > 0 {
		slices.Sort(heights)
		d.body = heights[len(heights)/2]
	}
	return d
}

// first gives the lines of the first page that has any.
func (d *document) first() []line {
	for i, l := range d.lines {
		if l.page != d.lines[0].page {
			return d.lines[:i]
		}
	}
	return d.lines
}
