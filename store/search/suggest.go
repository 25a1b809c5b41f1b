package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what a suggestion may cost: it must not be slower than a person
// types, however many words the index has.
const (
	suggestTime  = 200 * time.Millisecond
	maxTried     = 8 // of the nearest, that are searched for
	minSuggested = 3 // characters of a word that others are suggested for
	maxSuggested = 40
)

// Suggest gives q's text with words that are found in place of those that are
// not: misspelt by the person, or misread by the machine. It is "" where there
// are none near enough. Only words of documents that q may find are suggested.
func (x *Index) Suggest(ctx context.Context, q Query) (_ string, err error) {
	defer x.watch(x.db.Load(), &err)
	ctx, stop := context.WithTimeout(ctx, suggestTime)
	defer stop()
	s, err := x.suggest(ctx, q)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", nil // no suggestion is better than a late one
	}
	if err != nil {
		return "", fmt.Errorf("suggest: %w", err)
	}
	return s, nil
}

func (x *Index) suggest(ctx context.Context, q Query) (string, error) {
	q.Limit, q.Offset = 1, 0
	changed := false
	var texts []string
	for _, t := range parse(q.Text) {
		texts = append(texts, t.text)
		if t.filter != "" || t.not || len(t.words) != 1 {
			continue
		}
		found, err := x.finds(ctx, q, t.text)
		if err != nil {
			return "", err
		}
		if found {
			continue
		}
		near, err := x.near(ctx, fold(t.words[0]))
		if err != nil {
			return "", err
		}
		for _, word := range near {
			if found, err = x.finds(ctx, q, `"`+word+`"`); err != nil { // as it stands in the index
				return "", err
			}
			if found {
				texts[len(texts)-1] = word
				changed = true
				break
			}
		}
	}
	if !changed {
		return "", nil
	}
	text := strings.Join(texts, " ")
	if len(texts) == 1 {
		return text, nil
	}
	found, err := x.finds(ctx, q, text)
	if !found {
		text = ""
	}
	return text, err
}

func (x *Index) finds(ctx context.Context, q Query, text string) (bool, error) {
	q.Text = text
	p, _, ok, err := x.plan(ctx, &q)
	if err != nil || !ok {
		return false, err
	}
	if len(p.terms) == 1 && len(p.phrases) == 0 {
		return x.has(ctx, p)
	}
	r, err := x.search(ctx, p, q)
	return len(r.Hits) > 0, err
}

// anyPage is whether there is a page that matches.
const anyPage = `SELECT EXISTS (SELECT 1 FROM pages p CROSS JOIN rows r ON r.row = p.rowid CROSS JOIN docs d ON d.n = r.n WHERE pages MATCH ? AND %s)`

// has reports whether a document has the one word of a plan.
func (x *Index) has(ctx context.Context, p *plan) (has bool, err error) {
	err = x.db.Load().QueryRowContext(ctx, fmt.Sprintf(anyPage, p.where.String()), append([]any{p.terms[0]}, p.args...)...).Scan(&has)
	return has, err
}

// near gives the words of the index that are most like word, the nearest first.
func (x *Index) near(ctx context.Context, word string) ([]string, error) {
	runes := []rune(word)
	if len(runes) < minSuggested || len(runes) > maxSuggested {
		return nil, nil
	}
	v, err := x.vocabulary(ctx)
	if err != nil {
		return nil, err
	}
	type candidate struct {
		word  string
		cost  int
		count uint32
	}
	var list []candidate
	limit := allowed(len(runes))
	enough := time.Now().Add(suggestTime / 2) // the rest is for trying them
	compared := 0
	var first []byte // that it may begin with
	for _, b := range beginnings(runes) {
		if !slices.Contains(first, b[0]) {
			first = append(first, b[0])
		}
	}
	var other []rune
compare:
	for _, b := range first {
		for w, count := range v.beginning(b) {
			if len(w) < len(runes)-2 || len(w) > utf8.UTFMax*(len(runes)+2) {
				continue
			}
			other = other[:0]
			for rest := w; len(rest) > 0; {
				r, size := utf8.DecodeRune(rest)
				other, rest = append(other, r), rest[size:]
			}
			if compared++; compared%1000 == 0 && time.Now().After(enough) {
				break compare
			}
			if cost := distance(runes, other, limit); cost <= limit && string(w) != word {
				list = append(list, candidate{string(w), cost, count})
			}
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(b.count, a.count), cmp.Compare(a.word, b.word))
	})
	var words []string
	for _, c := range list[:min(len(list), maxTried)] {
		words = append(words, c.word)
	}
	return words, nil
}

// Costs of what makes one word another. A letter that a machine takes for another
// costs half of what any other letter does.
const (
	alikeCost = 1
	otherCost = 2
)

// allowed is how much may be wrong with a word of n characters: one letter of a
// short one, two of a longer one.
func allowed(n int) int {
	if n < 6 {
		return otherCost
	}
	return 2 * otherCost
}

// alike are letters and digits that look much the same to a machine, in the form
// in which the index has them.
var alike = []string{"il1tj!|f", "o0qcde", "s58", "b86h", "z27", "g9q", "uvyn", "nmhr", "ce", "a4o", "vw"}

// confused are pairs of letters that a machine takes for one.
var confused = map[string]string{"rn": "m", "nn": "m", "ri": "n", "cl": "d", "vv": "w", "li": "h", "ii": "u", "fi": "h", "ij": "y"}

// What alike and confused say, by character: a letter is compared with some hundred
// thousand others while somebody types.
var (
	looksLike = func() (t [utf8.RuneSelf][utf8.RuneSelf]bool) {
		for _, set := range alike {
			for _, a := range set {
				for _, b := range set {
					t[a][b] = true
				}
			}
		}
		return t
	}()
	takenFor = func() (t [utf8.RuneSelf][utf8.RuneSelf]rune) {
		for two, one := range confused {
			t[two[0]][two[1]] = rune(one[0])
		}
		return t
	}()
)

func areAlike(a, b rune) bool {
	return a < utf8.RuneSelf && b < utf8.RuneSelf && looksLike[a][b]
}

// isTaken reports whether a machine takes the letters a and b for the letter one.
func isTaken(a, b, one rune) bool {
	return a < utf8.RuneSelf && b < utf8.RuneSelf && takenFor[a][b] == one
}

// beginnings are the letters that a word like w may begin with.
func beginnings(w []rune) []string {
	list := []string{string(w[0])}
	add := func(s string) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	add(string(w[1])) // the first letter too many, or the two in the wrong order
	for _, set := range alike {
		if strings.ContainsRune(set, w[0]) {
			for _, r := range set {
				add(string(r))
			}
		}
	}
	for two, one := range confused {
		if strings.HasPrefix(string(w), two) {
			add(one)
		}
		if strings.HasPrefix(string(w), one) {
			add(two[:1])
		}
	}
	slices.Sort(list[1:])
	return list
}

// distance is what it costs to make b of a, or more than limit if that is more:
// letters left out, put in, replaced, or changed about.
func distance(a, b []rune, limit int) int {
	if d := len(a) - len(b); d*otherCost > limit+alikeCost || -d*otherCost > limit+alikeCost {
		return limit + 1
	}
	// now[j] is the distance of the first i letters of a and j of b; one and two are those
	// of the first i-1 and i-2.
	var rows [3][maxSuggested + 3]int
	now, one, two := &rows[0], &rows[1], &rows[2]
	if len(a) > maxSuggested || len(b) >= len(now) {
		return limit + 1
	}
	for j := range len(b) + 1 {
		now[j] = j * otherCost
	}
	for i := 1; i <= len(a); i++ {
		now, one, two = two, now, one
		now[0] = i * otherCost
		least := limit + 1
		for j := 1; j <= len(b); j++ {
			step := otherCost
			switch {
			case a[i-1] == b[j-1]:
				step = 0
			case areAlike(a[i-1], b[j-1]):
				step = alikeCost
			}
			d := min(one[j-1]+step, one[j]+otherCost, now[j-1]+otherCost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, two[j-2]+otherCost)
			}
			if i > 1 && isTaken(a[i-2], a[i-1], b[j-1]) {
				d = min(d, two[j-1]+alikeCost)
			}
			if j > 1 && isTaken(b[j-2], b[j-1], a[i-1]) {
				d = min(d, one[j-2]+alikeCost)
			}
			now[j] = d
			least = min(least, d)
		}
		if least > limit+otherCost { // a step over two letters may still come back from the row before
			return limit + 1
		}
	}
	return now[len(b)]
}
