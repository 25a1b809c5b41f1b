package search

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A Query says what is looked for.
type Query struct {
	// Text is what a person typed: words, "phrases", -words that must not be
	// there, and filters: type: tag: from: title: created: date: asn:, with "quotes"
	// around what has spaces. Every word also finds longer ones that begin with
	// it. A document is found if all words are in it, and none that must not be: there
	// may be only such. Nothing in it is an error; without any word nothing is found.
	Text   string
	Owner  *string // documents of this owner, of its Groups and of nobody in particular; nil: all
	Groups []string
	Limit  int            // at most so many documents; 0: 50
	Offset int            // leave out what comes before it: 0, or Next of a Result
	Zone   *time.Location // of the dates in Text; nil: the system's
	Bare   bool           // hits have no Snippet, which takes the longest
}

// A Hit is one document that was found.
type Hit struct {
	ID      string
	Page    int    // the page that fits best, from 1; 0: the filters alone found it
	Snippet []Span // of that page
}

// A Span is a piece of a snippet.
type Span struct {
	Text  string `json:"text"`
	Match bool   `json:"match"`
}

// A Result is what a query found: documents that have all words in their title, then
// the others; among each the newest first.
type Result struct {
	Total int  // documents, without regard to Limit and Offset
	More  bool // there are more than Total; they were not counted
	Hits  []Hit
	Next  int // the Offset of those after Hits; 0: there are none
	// Refused are filters whose value makes no sense, such as created:soon. They
	// find nothing.
	Refused []string
}

// Bounds of how much work one query can ask for.
const (
	maxTerms = 32
	maxText  = 2000 // bytes that are looked at
	maxValue = 200  // bytes of a filter's value
)

// A term is a piece of what a person typed.
type term struct {
	filter string   // such as "type"; "": words of the text
	value  string   // of the filter, folded
	words  []string // to be found one after the other, folded
	longer []string // all words that the last one may stand for, see [Index.lengthen]
	exact  bool     // it stood in quotes: nothing may follow the last word
	not    bool     // it must not be there
	text   string   // as it was typed
}

// filters are those that Query.Text knows.
var filters = []string{"type", "tag", "from", "title", "created", "date", "asn"}

// parse takes apart what a person typed.
func parse(s string) []term {
	var all []term
	s = clean(strings.ToValidUTF8(clip(s, maxText), " "))
	for len(all) < maxTerms {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		if s == "" {
			break
		}
		var t term
		begin := s
		if rest, ok := strings.CutPrefix(s, "-"); ok {
			t.not, s = true, rest
		}
		if name, rest, ok := strings.Cut(s, ":"); ok && rest != "" && !unicode.IsSpace(first(rest)) {
			for _, f := range filters {
				if strings.EqualFold(name, f) {
					t.filter, s = f, rest
				}
			}
		}
		var value string
		if rest, ok := strings.CutPrefix(s, `"`); ok {
			t.exact = true
			value, s, _ = strings.Cut(rest, `"`)
		} else if i := strings.IndexFunc(s, unicode.IsSpace); i >= 0 {
			value, s = s[:i], s[i:]
		} else {
			value, s = s, ""
		}
		t.text = begin[:len(begin)-len(s)]
		t.words = tokenize(fold(value))
		t.value = fold(clip(value, maxValue))
		if len(t.words) > 0 {
			all = append(all, t)
		}
	}
	return all
}

func first(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// clip cuts s to at most n bytes, between characters.
func clip(s string, n int) string {
	for len(s) > n {
		n--
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return s
}

// fold makes what differs only in case, marks and spaces the same, as the
// tokenizer does with words.
func fold(s string) string {
	if isFolded(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false // stands before what comes next
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ' ' || '\t' <= c && c <= '\r':
			space = b.Len() > 0
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c >= utf8.RuneSelf: // such letters have to do with each other only: their marks are taken off
			end := i + 1
			for end < len(s) && s[end] >= utf8.RuneSelf {
				end++
			}
			for _, r := range foldForeign(s[i:end]) {
				if r == ' ' {
					space = b.Len() > 0
					continue
				}
				if space {
					b.WriteByte(' ')
					space = false
				}
				b.WriteRune(r)
			}
			i = end - 1
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteByte(c)
	}
	return b.String()
}

// isFolded reports that fold need not look at s more closely: most words of a page are in
// small letters.
func isFolded(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func foldForeign(s string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ToLower(r)
	}, norm.NFD.String(s)))
}

// match puts a term into FTS5's query language: all of its words. All of it is
// quoted, so that nothing is taken for syntax. That they stand one after the other
// is another matter.
func (t *term) match() string {
	var b strings.Builder
	for i, w := range t.words {
		if i > 0 {
			b.WriteString(" AND ")
		}
		if i == len(t.words)-1 && len(t.longer) > 0 {
			return "(" + b.String() + `("` + strings.Join(t.longer, `" OR "`) + `"))`
		}
		b.WriteString(`"` + w + `"`)
	}
	if !t.exact {
		b.WriteString("*")
	}
	return "(" + b.String() + ")"
}

// phrase puts a term into FTS5's query language for titles, which know where a word
// stands.
func (t *term) phrase() string {
	m := `"` + strings.Join(t.words, " ") + `"`
	if !t.exact {
		m += "*"
	}
	return m
}

// like gives a pattern for LIKE, with \ as its escape.
func like(before, value, after string) string {
	return before + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(value) + after
}

// condition gives what a filter asks of docs d, or false if its value makes no
// sense.
func (t *term) condition(zone *time.Location) (sql string, args []any, ok bool) {
	end := "%"
	if t.exact {
		end = ""
	}
	switch t.filter {
	case "type":
		return `d.type LIKE ? ESCAPE '\'`, []any{like("", t.value, end)}, true
	case "from":
		return `d.sender LIKE ? ESCAPE '\'`, []any{like("%", t.value, "%")}, true
	case "tag":
		return `d.n IN (SELECT n FROM tags WHERE tag LIKE ? ESCAPE '\')`, []any{like("", t.value, end)}, true
	case "created":
		from, to, ok := span(t.value, zone)
		return "d.created >= ? AND d.created < ?", []any{from.UnixMilli(), to.UnixMilli()}, ok
	case "date":
		from, to, ok := span(t.value, time.UTC)
		return "d.day >= ? AND d.day < ?", []any{from.Format(time.DateOnly), to.Format(time.DateOnly)}, ok
	case "title":
		return "d.n IN (SELECT rowid FROM titles WHERE titles MATCH ?)", []any{t.phrase()}, true
	case "asn":
		low, high, ok := numbers(t.value)
		return "d.asn >= ? AND d.asn <= ?", []any{low, high}, ok
	}
	return "", nil, false
}

// The first and last time that a filter can mean.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// span reads 2026, 2026-03 or 2026-03-09; with > or < before it, or two of them
// with .. between. to is the first moment after it.
func span(s string, zone *time.Location) (from, to time.Time, ok bool) {
	if a, b, two := strings.Cut(s, ".."); two {
		from, to = earliest, latest
		if a != "" {
			if from, _, ok = period(a, zone); !ok {
				return from, to, false
			}
		}
		if b != "" {
			if _, to, ok = period(b, zone); !ok {
				return from, to, false
			}
		}
		return from, to, a != "" || b != ""
	}
	rest := strings.TrimLeft(s, "<>=")
	from, to, ok = period(rest, zone)
	switch s[:len(s)-len(rest)] {
	case "", "=":
		return from, to, ok
	case ">":
		return to, latest, ok
	case ">=":
		return from, latest, ok
	case "<":
		return earliest, from, ok
	case "<=":
		return earliest, to, ok
	}
	return from, to, false
}

// period reads a year, month or day.
func period(s string, zone *time.Location) (from, to time.Time, ok bool) {
	for i, layout := range []string{"2006", "2006-01", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil && t.Year() > 0 {
			return t, t.AddDate([]int{1, 0, 0}[i], []int{0, 1, 0}[i], []int{0, 0, 1}[i]), true
		}
	}
	return earliest, earliest, false
}

// numbers reads 12 or 12..20.
func numbers(s string) (low, high int, ok bool) {
	a, b, two := strings.Cut(s, "..")
	if !two {
		b = a
	}
	low, err := strconv.Atoi(a)
	high, err2 := strconv.Atoi(b)
	return low, high, err == nil && err2 == nil && low > 0
}

// A plan is a query ready for SQLite.
type plan struct {
	terms   []string // matches, all of which a document must have
	phrases []term   // of these and of what it must not have, those of several words
	where   strings.Builder
	args    []any
}

// readable is the condition on docs d that q may find them, with its values.
func (q *Query) readable() (sql string, args []any) {
	if q.Owner == nil {
		return "1", nil
	}
	sql, args = "(d.owner IN ('', ?)", []any{*q.Owner}
	if len(q.Groups) > 0 {
		sql += " OR d.n IN (SELECT n FROM shares WHERE team IN (?" + strings.Repeat(", ?", len(q.Groups)-1) + "))"
		for _, g := range q.Groups {
			args = append(args, g)
		}
	}
	return sql + ")", args
}

// plan gives what to ask of the index, or false where nothing can be found.
func (x *Index) plan(ctx context.Context, q *Query) (p *plan, refused []string, ok bool, err error) {
	zone := q.Zone
	if zone == nil {
		zone = time.Local
	}
	p = &plan{}
	readable, args := q.readable()
	p.where.WriteString(readable)
	p.args = args
	wants := false
	left := stretch{maxLonger, maxSought}
	for _, t := range parse(q.Text) {
		wants = true
		if t.filter != "" {
			c, args, ok := t.condition(zone)
			if !ok {
				refused = append(refused, t.text)
				continue
			}
			if t.not {
				c = "NOT (" + c + ")"
			}
			p.where.WriteString(" AND " + c)
			p.args = append(p.args, args...)
			continue
		}
		if err := x.lengthen(ctx, &t, &left); err != nil {
			return nil, nil, false, err
		}
		if len(t.words) > 1 {
			p.phrases = append(p.phrases, t)
		}
		switch {
		case !t.not:
			p.terms = append(p.terms, t.match())
		case len(t.words) == 1:
			p.where.WriteString(" AND d.n NOT IN " + having)
			p.args = append(p.args, t.match())
		}
	}
	return p, refused, wants && len(refused) == 0, nil
}

// having are the documents of which a page matches.
const having = "(SELECT r.n FROM pages p CROSS JOIN rows r ON r.row = p.rowid WHERE pages MATCH ?)"

// best takes the newest pages that match, up to a number, and documents whose titles
// do, and of each document the first of its pages, but rather one with all words. The
// order of rows is about that of documents, and FTS5 gives it without sorting: a word
// that is in a hundred thousand documents costs no more than one in a thousand.
const best = `
WITH heads AS MATERIALIZED (SELECT d.n FROM titles t CROSS JOIN docs d ON d.n = t.rowid WHERE titles MATCH ? AND %[1]s ORDER BY t.rowid DESC LIMIT ?),
texts AS MATERIALIZED (SELECT r.n, r.page FROM pages p CROSS JOIN rows r ON r.row = p.rowid CROSS JOIN docs d ON d.n = r.n WHERE pages MATCH ? AND %[1]s ORDER BY p.rowid DESC LIMIT ?)%[2]s
SELECT d.n, d.id, MIN(h.at) & 0xfffff, COUNT(*) OVER (), MAX((SELECT COUNT(*) FROM heads), (SELECT COUNT(*) FROM texts))
FROM (SELECT n, page AS at FROM texts UNION ALL SELECT n, 1 FROM heads%[3]s) h CROSS JOIN docs d ON d.n = h.n
GROUP BY d.n ORDER BY d.n IN heads DESC, MIN(h.at) >= 0x100000, d.created DESC, d.n DESC LIMIT ? OFFSET ?`

// scattered adds documents to best, behind all others, that have the words on different
// pages. It begins
// with those of the rarest word that have several pages, and looks for the others on the
// pages of these.
const scattered = `,
some AS MATERIALIZED (SELECT r.n, MIN(r.page) AS page FROM (SELECT rowid AS row FROM pages WHERE pages MATCH ? ORDER BY rowid DESC LIMIT ?) p CROSS JOIN rows r ON r.row = p.row
	WHERE EXISTS (SELECT 1 FROM rows o WHERE o.n = r.n AND o.row <> r.row) GROUP BY r.n),
theirs AS MATERIALIZED (SELECT row FROM rows WHERE n IN (SELECT n FROM some)),
parts AS MATERIALIZED (SELECT s.n, s.page FROM some s CROSS JOIN docs d ON d.n = s.n WHERE %s)`

// also are those of some that have another word, too.
const also = " AND s.n IN (SELECT r.n FROM pages p CROSS JOIN rows r ON r.row = p.rowid WHERE pages MATCH ? AND +p.rowid IN (SELECT row FROM theirs))"

// newestFirst is for filters without words.
const newestFirst = `SELECT d.n, d.id, 0, COUNT(*) OVER (), 0 FROM docs d WHERE %s ORDER BY d.created DESC, d.n DESC LIMIT ? OFFSET ?`

const (
	// window is how many pages are looked at first.
	window = 500
	// few is up to how many documents with all words on one page are too few not to
	// look at once for such as have them on different pages, too. With more, that is done
	// when one comes to the last of them.
	few = 50
	// most is how many of the newest pages with the rarest word are looked at then. Where
	// each word is on more, many have them on one page.
	most = 3000
)

// A candidate is a document that has the words of a query.
type candidate struct {
	n    int64
	id   string
	page int
}

// find gives limit documents that fit but for the order of words, how many there are,
// and whether there are more than these.
func (x *Index) find(ctx context.Context, p *plan, offset, limit int) (list []candidate, total int, more bool, err error) {
	if len(p.terms) == 0 {
		list, total, _, err = x.candidates(ctx, fmt.Sprintf(newestFirst, p.where.String()), append(slices.Clone(p.args), limit, offset))
		return list, total, false, err
	}
	list, total, more, err = x.findBest(ctx, p, "", "", nil, offset, limit)
	if err != nil || len(p.terms) == 1 {
		return list, total, more, err
	}
	if more || total > few && offset+limit < total {
		return list, total, true, nil
	}
	return x.findScattered(ctx, p, offset, limit)
}

// findBest asks best, with a part that adds documents, for ever wider windows.
func (x *Index) findBest(ctx context.Context, p *plan, parts, from string, its []any, offset, limit int) ([]candidate, int, bool, error) {
	all := strings.Join(p.terms, " AND ")
	for width := window; ; width *= 10 {
		args := slices.Concat([]any{all}, p.args, []any{width, all}, p.args, []any{width}, its)
		query := fmt.Sprintf(best, p.where.String(), parts, from)
		list, total, looked, err := x.candidates(ctx, query, append(args, limit, offset))
		if err == nil && len(list) == 0 && offset > 0 { // beyond the last no row tells the numbers
			_, total, looked, err = x.candidates(ctx, query, append(args, 1, 0))
		}
		if err != nil || looked < width || len(list) == limit {
			return list, total, looked == width, err
		}
	}
}

// findScattered is find for documents that have the words on one page or on several.
func (x *Index) findScattered(ctx context.Context, p *plan, offset, limit int) (list []candidate, total int, more bool, err error) {
	rare, others, err := x.rarest(ctx, p.terms)
	if err != nil {
		return nil, 0, false, err
	}
	args := append([]any{rare, most}, p.args...)
	for _, t := range others {
		args = append(args, t)
	}
	parts := fmt.Sprintf(scattered, p.where.String()+strings.Repeat(also, len(others)))
	return x.findBest(ctx, p, parts, " UNION ALL SELECT n, page | 0x100000 FROM parts", args, offset, limit)
}

// rarest parts off the term that is on the fewest pages.
func (x *Index) rarest(ctx context.Context, terms []string) (rare string, others []string, err error) {
	least := most + 1
	at := 0
	for i, t := range terms {
		var n int
		if err := x.db.Load().QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM pages WHERE pages MATCH ? LIMIT ?)", t, least).Scan(&n); err != nil {
			return "", nil, err
		}
		if n < least {
			least, at = n, i
		}
	}
	return terms[at], slices.Delete(slices.Clone(terms), at, at+1), nil
}

func (x *Index) candidates(ctx context.Context, query string, args []any) (list []candidate, total, looked int, err error) {
	rows, err := x.db.Load().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var c candidate
		var id any
		if err := rows.Scan(&c.n, &id, &c.page, &total, &looked); err != nil {
			return nil, 0, 0, err
		}
		c.id = unpack(id)
		list = append(list, c)
	}
	return list, total, looked, rows.Err()
}

// Matches reports which words of a text, in reading order, a query means, so that
// they can be marked.
func Matches(query string, words []string) []bool {
	var tokens []string
	var of []int // the word of each token
	for i, w := range words {
		for _, t := range tokenize(w) {
			tokens = append(tokens, fold(t))
			of = append(of, i)
		}
	}
	marked := make([]bool, len(words))
	for i, m := range matches(parse(query), tokens) {
		if m {
			marked[of[i]] = true
		}
	}
	return marked
}

// matches reports which tokens, which are folded, some of the terms mean.
func matches(terms []term, tokens []string) []bool {
	marked := make([]bool, len(tokens))
	for _, t := range terms {
		if t.not || t.filter != "" {
			continue
		}
		for at := range tokens {
			if t.stands(tokens[at:]) {
				for i := range t.words {
					marked[at+i] = true
				}
			}
		}
	}
	return marked
}

// stands reports whether tokens begin with the words of t.
func (t *term) stands(tokens []string) bool {
	last := len(t.words) - 1
	if len(tokens) <= last {
		return false
	}
	for i, w := range t.words {
		if tokens[i] != w && (i != last || t.exact || !strings.HasPrefix(tokens[i], w)) {
			return false
		}
	}
	return true
}

// in reports whether the words of t stand in a text one after the other.
func (t *term) in(text string) bool {
	text = fold(text)
	tokens := make([]string, 0, len(t.words))
	for at := 0; ; at += len(t.words[0]) {
		i := strings.Index(text[at:], t.words[0])
		if i < 0 {
			return false
		}
		at += i
		if before, _ := utf8.DecodeLastRuneInString(text[:at]); at > 0 && !separates(before) {
			continue // it is the end of another word
		}
		tokens = tokens[:0]
		for rest := text[at:]; len(tokens) < len(t.words) && rest != ""; {
			end := strings.IndexFunc(rest, separates)
			if end < 0 {
				end = len(rest)
			}
			tokens = append(tokens, rest[:end])
			rest = strings.TrimLeftFunc(rest[end:], separates)
		}
		if t.stands(tokens) {
			return true
		}
	}
}

// tokenize gives the letters, digits and marks of s that stand together.
func tokenize(s string) []string { return strings.FieldsFunc(s, separates) }

func separates(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
}
