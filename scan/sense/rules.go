package sense

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"
)

//go:embed rules.toml
var rulesFile []byte

// shipped gives the rules that are part of the program. TestRules proves that
// they can be read.
var shipped = sync.OnceValue(func() *rules {
	r, err := parseRules(rulesFile)
	if err != nil {
		panic(err) // the file is part of the program
	}
	return r
})

// rules are those of all languages together: a document may be in several, and
// their words are seldom in each other's way.
type rules struct {
	months                                            map[string]int
	dated, otherDates, ofSentences, notTotal, subject []phrase
	salutation, addressee, number                     []phrase
	behindNumber                                      []phrase
	common                                            map[string]map[string]bool // words of each language
	surelyNumber                                      []phrase                   // of number, those that name no kind of document
	letters                                           []phrase                   // of ofSentences, those of several words
	totals                                            [3][]phrase                // what is due, what all comes to, what may be a part
	kinds                                             []kindWords
	forms, organisations                              map[string]bool
}

type kindWords struct {
	kind  string
	words []phrase // that name it
	hints []phrase // that only tell of it
}

type ruleFile struct {
	Forms         []string `toml:"forms"`
	Organisations []string `toml:"organisations"`
	Language      []struct {
		Name         string              `toml:"name"`
		Common       []string            `toml:"common"`
		Months       []string            `toml:"months"`
		MoreMonths   map[string]int      `toml:"more_months"`
		Dated        []string            `toml:"dated"`
		OtherDates   []string            `toml:"other_dates"`
		OfSentences  []string            `toml:"of_sentences"`
		BehindNumber []string            `toml:"behind_number"`
		Total        [][]string          `toml:"total"`
		NotTotal     []string            `toml:"not_total"`
		Subject      []string            `toml:"subject"`
		Salutation   []string            `toml:"salutation"`
		Addressee    []string            `toml:"addressee"`
		Number       []string            `toml:"number"`
		Kinds        map[string][]string `toml:"kinds"`
	} `toml:"language"`
}

func parseRules(b []byte) (*rules, error) {
	var f ruleFile
	dec := toml.NewDecoder(strings.NewReader(string(b))).DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("rules of package sense: %w", err)
	}
	r := &rules{months: make(map[string]int), common: make(map[string]map[string]bool), forms: set(f.Forms), organisations: set(f.Organisations)}
	for _, l := range f.Language {
		if len(l.Months) != 12 || len(l.Total) != len(r.totals) {
			return nil, fmt.Errorf("rules of package sense: %s needs 12 months and %d lists of totals", l.Name, len(r.totals))
		}
		r.common[l.Name] = set(l.Common)
		for _, phrases := range append(l.Total, l.Dated, l.OtherDates, l.Salutation, l.Subject, l.Number) {
			for _, p := range phrases {
				for _, w := range strings.Fields(p) {
					if len(w) > 2 {
						r.common[l.Name][w] = true
					}
				}
			}
		}
		for i, m := range l.Months {
			r.months[m] = i + 1
		}
		for m, n := range l.MoreMonths {
			r.months[m] = n
		}
		for to, from := range map[*[]phrase][]string{
			&r.dated: l.Dated, &r.otherDates: l.OtherDates, &r.ofSentences: l.OfSentences, &r.totals[0]: l.Total[0], &r.totals[1]: l.Total[1], &r.totals[2]: l.Total[2],
			&r.notTotal: l.NotTotal, &r.subject: l.Subject, &r.salutation: l.Salutation, &r.addressee: l.Addressee, &r.number: l.Number, &r.behindNumber: l.BehindNumber,
		} {
			*to = append(*to, phrasesOf(from)...)
		}
		for kind, words := range l.Kinds {
			i := slices.IndexFunc(r.kinds, func(k kindWords) bool { return k.kind == kind })
			if i < 0 {
				i = len(r.kinds)
				r.kinds = append(r.kinds, kindWords{kind: kind})
			}
			for _, w := range words {
				if hint, ok := strings.CutPrefix(w, "~"); ok {
					r.kinds[i].hints = append(r.kinds[i].hints, strings.Fields(hint))
				} else {
					r.kinds[i].words = append(r.kinds[i].words, strings.Fields(w))
				}
			}
		}
	}
	shared := make(map[string]int)
	for _, words := range r.common {
		for w := range words {
			shared[w]++
		}
	}
	for _, words := range r.common {
		maps.DeleteFunc(words, func(w string, _ bool) bool { return shared[w] > mostShared })
	}
	for _, p := range r.number {
		if !slices.ContainsFunc(r.kinds, func(k kindWords) bool {
			return len(p) == 1 && slices.ContainsFunc(k.words, func(w phrase) bool { return slices.Equal(w, p) })
		}) {
			r.surelyNumber = append(r.surelyNumber, p)
		}
	}
	for _, p := range r.ofSentences {
		if len(p) > 1 {
			r.letters = append(r.letters, p)
		}
	}
	// A map has no order, and the same document must give the same every time.
	slices.SortFunc(r.kinds, func(a, b kindWords) int { return strings.Compare(a.kind, b.kind) })
	return r, nil
}

// mostShared is in how many languages a word may stand that tells which one it is.
const mostShared = 2

func set(list []string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, s := range list {
		m[s] = true
	}
	return m
}

// month tells which month s names: whole, cut short to three letters or more, or
// with one letter misread; 0: none.
func (r *rules) month(s string) int {
	s = strings.Trim(s, ".,")
	if n := r.months[s]; n != 0 {
		return n
	}
	found := 0
	for name, n := range r.months {
		short := len(s) >= 3 && len(s) <= 5 && strings.HasPrefix(name, s)
		misread := len(s) >= 5 && len(name) >= 5 && oneLetterOff(s, name)
		if !short && !misread {
			continue
		}
		if found != 0 && found != n {
			return 0
		}
		found = n
	}
	return found
}

// oneLetterOff reports whether a and b differ in one letter, or one has one more.
func oneLetterOff(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i < len(a) && a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}
