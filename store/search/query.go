package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	// it. A document is found if all words are in it. Nothing in it is an error;
	// without a word or filter in it nothing is found.
	Text   string
	Owner  *string // documents of this owner, of its Groups and of nobody in particular; nil: all
	Groups []string
	Limit  int            // at most so many documents; 0: 50
	Offset int            // leave out so many of the best
	Zone   *time.Location // of the dates in Text; nil: the system's
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

// A Result is what a query found, the best first; without words in the query, the
// newest first.
type Result struct {
	Total int // documents, without regard to Limit and Offset
	Hits  []Hit
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
	words  []string // to be found one after the other
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
		t.words = tokenize(value)
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
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.Join(strings.Fields(s), " ")) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return norm.NFC.String(b.String())
}

// match puts a term into FTS5's query language. All of it is quoted, so that
// nothing is taken for syntax.
func (t *term) match() string {
	m := `"` + strings.Join(t.words, " ") + `"`
	if !t.exact {
		m += "*"
	}
	if t.filter == "title" {
		m = "title : (" + m + ")"
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
	terms []string // matches, all of which a document must have
	where strings.Builder
	args  []any
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
func (q *Query) plan() (p *plan, refused []string, ok bool) {
	zone := q.Zone
	if zone == nil {
		zone = time.Local
	}
	p = &plan{}
	readable, args := q.readable()
	p.where.WriteString(readable)
	p.args = args
	wants := false
	for _, t := range parse(q.Text) {
		if t.filter != "" && t.filter != "title" {
			c, args, ok := t.condition(zone)
			if !ok {
				refused = append(refused, t.text)
				continue
			}
			if t.not {
				c = "NOT (" + c + ")"
			}
			wants = true
			p.where.WriteString(" AND " + c)
			p.args = append(p.args, args...)
			continue
		}
		if t.not {
			p.where.WriteString(" AND d.n NOT IN " + having)
			p.args = append(p.args, t.match())
			continue
		}
		wants = true
		p.terms = append(p.terms, t.match())
	}
	return p, refused, wants && len(refused) == 0
}

// having are the documents that match.
const having = "(SELECT rowid >> 16 FROM pages WHERE pages MATCH ?)"

// best ranks pages, then keeps the best of each document. SQLite gives bare
// columns the values of the row that holds the MIN (lang_select.html, "bare
// columns in an aggregate query"). bm25 works only in the query of the FTS5
// table itself, so that one must be materialized. A word in the title counts five
// times as much as one in the text.
const best = `
WITH hits AS MATERIALIZED (SELECT rowid AS at, bm25(pages, 5.0, 1.0, 3.0) AS score FROM pages WHERE pages MATCH ?)
SELECT at, d.id, at & 65535, MIN(score), COUNT(*) OVER () FROM hits JOIN docs d ON d.n = at >> 16
WHERE %s GROUP BY d.n ORDER BY 4, d.created DESC, d.n DESC LIMIT ? OFFSET ?`

// newestFirst is for filters without words.
const newestFirst = `SELECT 0, d.id, 0, 0, COUNT(*) OVER () FROM docs d WHERE %s ORDER BY d.created DESC, d.n DESC LIMIT ? OFFSET ?`

// snippets are made only for what is shown: they cost more than the search.
const snippetOf = `SELECT snippet(pages, 1, ?, ?, '…', ?) FROM pages WHERE pages MATCH ? AND rowid = ?`

// few is up to how many documents with all words on one page are too few not to
// look for such as have them on different pages, too.
const few = 50

// Search finds the documents that fit q.
func (x *Index) Search(ctx context.Context, q Query) (Result, error) {
	p, refused, ok := q.plan()
	if !ok {
		return Result{Refused: refused}, nil
	}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	q.Offset = max(q.Offset, 0)
	r, rows, match, err := x.find(ctx, p, q)
	if err != nil {
		return Result{}, fmt.Errorf("search: %w", err)
	}
	for i, at := range rows {
		if at == 0 {
			continue
		}
		var snippet string
		err := x.db.QueryRowContext(ctx, snippetOf, matchStart, matchEnd, snippetWords, match, at).Scan(&snippet)
		if errors.Is(err, sql.ErrNoRows) {
			continue // replaced since; the document is still a hit
		}
		if err != nil {
			return Result{}, fmt.Errorf("search: %w", err)
		}
		r.Hits[i].Snippet = spans(snippet)
	}
	return r, nil
}

// find gives the hits without their snippets, the rows of their pages, and what
// these match.
func (x *Index) find(ctx context.Context, p *plan, q Query) (r Result, rows []int64, match string, err error) {
	if len(p.terms) == 0 {
		r, rows, err = x.rows(ctx, fmt.Sprintf(newestFirst, p.where.String()), append(p.args, q.Limit, q.Offset))
		return r, rows, "", err
	}
	match = strings.Join(p.terms, " AND ")
	args := append([]any{match}, p.args...)
	r, rows, err = x.rows(ctx, fmt.Sprintf(best, p.where.String()), append(args, q.Limit, q.Offset))
	if err != nil || len(p.terms) == 1 || r.Total > few {
		return r, rows, match, err
	}
	match = strings.Join(p.terms, " OR ")
	args = append([]any{match}, p.args...)
	where := p.where.String()
	for _, t := range p.terms {
		where += " AND d.n IN " + having
		args = append(args, t)
	}
	r, rows, err = x.rows(ctx, fmt.Sprintf(best, where), append(args, q.Limit, q.Offset))
	return r, rows, match, err
}

func (x *Index) rows(ctx context.Context, query string, args []any) (r Result, ats []int64, err error) {
	rows, err := x.db.QueryContext(ctx, query, args...)
	if err != nil {
		return Result{}, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var h Hit
		var at int64
		var score float64
		if err := rows.Scan(&at, &h.ID, &h.Page, &score, &r.Total); err != nil {
			return Result{}, nil, err
		}
		r.Hits = append(r.Hits, h)
		ats = append(ats, at)
	}
	return r, ats, rows.Err()
}

// Said is what is said of documents, the most used first.
type Said struct{ Types, Senders, Tags []string }

// maxSaid bounds each list of Said.
const maxSaid = 200

// Said gives what is said of the documents that q may find, whatever its text.
func (x *Index) Said(ctx context.Context, q Query) (Said, error) {
	readable, args := q.readable()
	args = append(args, maxSaid)
	var s Said
	for _, l := range []struct {
		list *[]string
		sql  string
	}{
		{&s.Types, "SELECT type_said FROM docs d WHERE type <> '' AND %s GROUP BY type ORDER BY COUNT(*) DESC, type LIMIT ?"},
		{&s.Senders, "SELECT sender_said FROM docs d WHERE sender <> '' AND %s GROUP BY sender ORDER BY COUNT(*) DESC, sender LIMIT ?"},
		{&s.Tags, "SELECT t.said FROM tags t JOIN docs d ON d.n = t.n WHERE %s GROUP BY t.tag ORDER BY COUNT(*) DESC, t.tag LIMIT ?"},
	} {
		rows, err := x.db.QueryContext(ctx, fmt.Sprintf(l.sql, readable), args...)
		if err != nil {
			return Said{}, fmt.Errorf("list what is said: %w", err)
		}
		for rows.Next() {
			var v string
			if err := rows.Scan(&v); err != nil {
				rows.Close()
				return Said{}, fmt.Errorf("list what is said: %w", err)
			}
			*l.list = append(*l.list, v)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return Said{}, fmt.Errorf("list what is said: %w", err)
		}
	}
	return s, nil
}

// Matches reports which words of a text, in reading order, a query means, so that
// they can be marked.
func Matches(query string, words []string) []bool {
	type token struct {
		text string
		word int
	}
	var tokens []token
	for i, w := range words {
		for _, t := range tokenize(w) {
			tokens = append(tokens, token{fold(t), i})
		}
	}
	marked := make([]bool, len(words))
	for _, t := range parse(query) {
		if t.not || t.filter != "" {
			continue
		}
		want := make([]string, len(t.words))
		for i, w := range t.words {
			want[i] = fold(w)
		}
		last := len(want) - 1
		for at := range tokens[:max(0, len(tokens)-last)] {
			fits := true
			for i, w := range want {
				have := tokens[at+i].text
				if have != w && (i != last || t.exact || !strings.HasPrefix(have, w)) {
					fits = false
					break
				}
			}
			for i := range want {
				if fits {
					marked[tokens[at+i].word] = true
				}
			}
		}
	}
	return marked
}

// tokenize gives the letters, digits and marks of s that stand together, as the
// index sees them.
func tokenize(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
	})
}

// spans cuts a snippet at its marks.
func spans(s string) []Span {
	var all []Span
	add := func(text string, match bool) {
		if text != "" {
			all = append(all, Span{text, match})
		}
	}
	for s != "" {
		plain, rest, ok := strings.Cut(s, matchStart)
		add(plain, false)
		if !ok {
			break
		}
		var match string
		match, s, _ = strings.Cut(rest, matchEnd)
		add(match, true)
	}
	return all
}
