package search

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of how long documents are read to see whether the words of a phrase stand one
// after the other in them: while nothing is found, to fill an answer, and to count those
// beyond it. However slow the box is, so many are read.
const (
	findTime  = time.Second
	fillTime  = 50 * time.Millisecond
	countTime = 20 * time.Millisecond
	leastRead = 100
)

// Search finds the documents that fit q.
func (x *Index) Search(ctx context.Context, q Query) (_ Result, err error) {
	defer x.watch(x.db.Load(), &err)
	p, refused, ok, err := x.plan(ctx, &q)
	if err != nil {
		return Result{}, fmt.Errorf("search: %w", err)
	}
	if !ok {
		return Result{Refused: refused}, nil
	}
	x.preload() // in case nothing is found
	if q.Limit <= 0 {
		q.Limit = 50
	}
	q.Offset = max(q.Offset, 0)
	r, err := x.search(ctx, p, q)
	if err != nil {
		return Result{}, fmt.Errorf("search: %w", err)
	}
	return r, nil
}

func (x *Index) search(ctx context.Context, p *plan, q Query) (r Result, err error) {
	var list []candidate
	if len(p.phrases) > 0 {
		r, list, err = x.sift(ctx, p, q)
	} else if list, r.Total, r.More, err = x.find(ctx, p, q.Offset, q.Limit); err == nil && (r.More || q.Offset+len(list) < r.Total) {
		r.Next = q.Offset + len(list)
	}
	if err != nil {
		return Result{}, err
	}
	terms := parse(q.Text)
	for _, c := range list {
		h := Hit{ID: c.id, Page: c.page}
		if c.page > 0 && !q.Bare {
			text, err := x.textOf(ctx, c.n, c.page)
			if err != nil {
				return Result{}, err
			}
			h.Snippet = snippet(terms, clean(text))
		}
		r.Hits = append(r.Hits, h)
	}
	return r, nil
}

// sift finds documents in which the words of phrases stand one after the other. An
// Offset then counts the documents that were looked at.
func (x *Index) sift(ctx context.Context, p *plan, q Query) (Result, []candidate, error) {
	limited, stop := context.WithTimeout(ctx, findTime)
	defer stop()
	s := &sieve{x: x, db: x.db.Load(), p: p, offset: q.Offset, limit: q.Limit, begun: time.Now(), known: make(map[int64]bool)}
	err := s.pour(limited)
	switch {
	case err == nil:
	case errors.Is(err, errEnough), limited.Err() != nil && ctx.Err() == nil: // words that are everywhere, and many documents
		s.r.More = true
		if s.r.Next == 0 && s.at > q.Offset { // or who goes on would go round in circles
			s.r.Next = s.at
		}
	default:
		return Result{}, nil, err
	}
	return s.r, s.list, nil
}

// A sieve goes through the documents that have all words, and keeps those in which they
// stand as they should.
type sieve struct {
	x             *Index
	db            asker
	p             *plan
	offset, limit int
	begun         time.Time
	known         map[int64]bool // documents that came by
	at            int            // how many these are
	r             Result
	list          []candidate
}

// An asker is a database or a connection to one. While documents stream over one, all is
// asked over it: if all that there are waited for a second one, it would be for ever.
type asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// errEnough ends a search that has taken its time.
var errEnough = errors.New("enough was looked at")

// Documents, those whose titles have all words, and pages that have them, each in an order
// that the index has them in, the newest first: they come one by one, so that no more are
// asked for than are looked at.
const (
	streamDocs   = `SELECT d.n, d.id, d.created, d.title, d.said, 0, NULL FROM docs d WHERE %s ORDER BY d.created DESC, d.n DESC`
	streamTitles = `SELECT d.n, d.id, d.created, d.title, d.said, 1, NULL FROM titles t CROSS JOIN docs d ON d.n = t.rowid WHERE titles MATCH ? AND %s ORDER BY t.rowid DESC`
	streamPages  = `SELECT d.n, d.id, d.created, d.title, d.said, r.page, r.text FROM pages p CROSS JOIN rows r ON r.row = p.rowid CROSS JOIN docs d ON d.n = r.n
WHERE pages MATCH ? AND %s ORDER BY p.rowid DESC`
)

// A suspect is a document that has the words.
type suspect struct {
	candidate
	created     int64
	title, said string
	pages       []pageText // that have all words; none: unknown
}

// A pageText names the text of a page.
type pageText struct {
	page int
	name string
}

// pour looks at all that may fit: documents with the words in their titles, those with all
// of them on one page, and where these are few, or shown, those that have them on several.
func (s *sieve) pour(ctx context.Context) error {
	where := s.p.where.String()
	if len(s.p.terms) == 0 { // there are only phrases that must not be
		return s.stream(ctx, fmt.Sprintf(streamDocs, where), s.p.args)
	}
	all := strings.Join(s.p.terms, " AND ")
	for _, stream := range []string{streamTitles, streamPages} {
		if err := s.stream(ctx, fmt.Sprintf(stream, where), append([]any{all}, s.p.args...)); err != nil {
			return err
		}
	}
	if len(s.p.terms) == 1 {
		return nil
	}
	if s.r.Total > few && len(s.list) == s.limit {
		return errEnough
	}
	list, _, _, err := s.x.findScattered(ctx, s.p, 0, most)
	if err != nil {
		return err
	}
	for _, c := range list {
		d := suspect{candidate: c}
		err := s.x.db.Load().QueryRowContext(ctx, "SELECT title, said FROM docs WHERE n = ?", c.n).Scan(&d.title, &d.said)
		if errors.Is(err, sql.ErrNoRows) {
			continue // taken out since
		}
		if err == nil {
			err = s.look(ctx, &d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stream looks at the documents of a query, a window at a time, in the order in which they
// came to the box.
func (s *sieve) stream(ctx context.Context, query string, args []any) error {
	conn, err := s.x.db.Load().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	before := s.db
	s.db = conn
	defer func() { s.db = before }()
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var some []suspect
	look := func() error {
		slices.SortFunc(some, func(a, b suspect) int { return cmp.Or(cmp.Compare(b.created, a.created), cmp.Compare(b.n, a.n)) })
		for i := range some {
			if err := s.look(ctx, &some[i]); err != nil {
				return err
			}
		}
		some = some[:0]
		return nil
	}
	for rows.Next() {
		var d suspect
		var t pageText
		var id, name any
		if err := rows.Scan(&d.n, &id, &d.created, &d.title, &d.said, &t.page, &name); err != nil {
			return err
		}
		t.name, d.page = unpack(name), t.page
		// The pages of a document come together, the last one first.
		if last := len(some) - 1; last >= 0 && some[last].n == d.n {
			some[last].page = t.page
			some[last].pages = append(some[last].pages, t)
			continue
		}
		if len(some) == window {
			if err := look(); err != nil {
				return err
			}
		}
		if s.known[d.n] {
			continue
		}
		d.id = unpack(id)
		if name != nil {
			d.pages = []pageText{t}
		}
		some = append(some, d)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return look()
}

// look keeps a document if it fits, and gives errEnough once that has taken too long.
func (s *sieve) look(ctx context.Context, d *suspect) error {
	if s.known[d.n] {
		return nil
	}
	took := time.Since(s.begun)
	switch found := len(s.list); {
	case s.at-s.offset < leastRead:
	case found == s.limit && took > countTime, found > 0 && took > fillTime, took > findTime:
		return errEnough
	}
	s.known[d.n] = true
	s.at++
	if s.at <= s.offset {
		return nil
	}
	fits, err := s.fits(ctx, d)
	if err != nil {
		s.at-- // it is looked at again
		return err
	}
	if !fits {
		return nil
	}
	s.r.Total++
	if len(s.list) < s.limit {
		s.list = append(s.list, d.candidate)
	} else if s.r.Next == 0 {
		s.r.Next = s.at - 1
	}
	return nil
}

// fits reports whether a document has the phrases, and lacks those it must not have. Its
// page becomes one that has a phrase.
func (s *sieve) fits(ctx context.Context, d *suspect) (bool, error) {
	for _, t := range s.p.phrases {
		has, page, err := s.has(ctx, d, &t)
		if err != nil || has == t.not {
			return false, err
		}
		if page > 0 {
			d.page = page
		}
	}
	return true, nil
}

// has reports whether a phrase stands in a document, and on which page; 0: in what is
// said of it.
func (s *sieve) has(ctx context.Context, d *suspect, t *term) (bool, int, error) {
	if t.in(d.title) || t.in(d.said) {
		return true, 0, nil
	}
	for _, p := range slices.Backward(d.pages) {
		text, err := s.x.text(p.name)
		if err != nil {
			return false, 0, err
		}
		if t.in(text) {
			return true, p.page, nil
		}
	}
	// With nothing but the phrase asked for, its words are on no other page.
	if len(d.pages) > 0 && len(s.p.terms) == 1 && !t.not {
		return false, 0, nil
	}
	return s.hasOn(ctx, d.n, t)
}

// pagesWith are the pages of one document that have all words of a phrase.
const pagesWith = `SELECT r.page, r.text FROM pages p CROSS JOIN rows r ON r.row = p.rowid
WHERE pages MATCH ? AND p.rowid BETWEEN (SELECT MIN(row) FROM rows WHERE n = ?) AND (SELECT MAX(row) FROM rows WHERE n = ?) AND r.n = ? ORDER BY r.page`

// hasOn reports whether a phrase stands on a page of document n, and on which.
func (s *sieve) hasOn(ctx context.Context, n int64, t *term) (bool, int, error) {
	rows, err := s.db.QueryContext(ctx, pagesWith, t.match(), n, n, n)
	if err != nil {
		return false, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var page int
		var name any
		if err := rows.Scan(&page, &name); err != nil {
			return false, 0, err
		}
		text, err := s.x.text(unpack(name))
		if err != nil {
			return false, 0, err
		}
		if t.in(text) {
			return true, page, nil
		}
	}
	return false, 0, rows.Err()
}

// textOf gives the text of a page.
func (x *Index) textOf(ctx context.Context, n int64, page int) (string, error) {
	var name any
	err := x.db.Load().QueryRowContext(ctx, "SELECT text FROM rows WHERE n = ? AND page = ?", n, page).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil // replaced since; the document is still a hit
	}
	if err != nil {
		return "", err
	}
	return x.text(unpack(name))
}

// text gives a text, or none if it is gone: the document is being deleted.
func (x *Index) text(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	x.mu.Lock()
	s, ok := x.read[name]
	x.mu.Unlock()
	if ok {
		return s, nil
	}
	s, err := x.texts(name)
	if errors.Is(err, ErrNoText) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.read == nil || x.size+len(s) > maxRead {
		x.read, x.size = make(map[string]string), 0
	}
	if _, ok := x.read[name]; !ok && len(s) <= maxRead {
		x.read[name] = s
		x.size += len(s)
	}
	return s, nil
}

// snippetWords is how long a snippet is.
const snippetWords = 24

// snippet cuts out of a text where it has the most of what the terms mean.
func snippet(terms []term, text string) []Span {
	type place struct{ from, to int }
	places := make([]place, 0, len(text)/5) // words of languages have five letters and a space
	tokens := make([]string, 0, len(text)/5)
	for at := 0; at < len(text); {
		begin := strings.IndexFunc(text[at:], func(r rune) bool { return !separates(r) })
		if begin < 0 {
			break
		}
		begin += at
		end := len(text)
		if n := strings.IndexFunc(text[begin:], separates); n >= 0 {
			end = begin + n
		}
		places = append(places, place{begin, end})
		tokens = append(tokens, fold(text[begin:end]))
		at = end
	}
	if len(places) == 0 {
		return nil
	}
	marked := matches(terms, tokens)
	count, most, first := 0, 0, 0
	for i, m := range marked {
		if m {
			count++
		}
		if i >= snippetWords && marked[i-snippetWords] {
			count--
		}
		if count > most {
			most, first = count, max(0, i-snippetWords+1)
		}
	}
	// What comes before the first match is as much as room is left for.
	if i := first; most > 0 {
		for !marked[i] {
			i++
		}
		last := min(first+snippetWords, len(marked)) - 1
		for !marked[last] {
			last--
		}
		first = max(0, i-(snippetWords-(last-i+1))/2)
	}
	end := min(first+snippetWords, len(places))

	var all []Span
	add := func(s string, match bool) {
		switch {
		case s == "":
		case len(all) > 0 && all[len(all)-1].Match == match:
			all[len(all)-1].Text += s
		default:
			all = append(all, Span{s, match})
		}
	}
	at := places[first].from
	if first == 0 {
		at = 0
	} else {
		add("…", false)
	}
	for i := first; i < end; i++ {
		if !marked[i] {
			continue
		}
		add(text[at:places[i].from], false)
		add(text[places[i].from:places[i].to], true)
		at = places[i].to
	}
	if end == len(places) {
		add(text[at:], false)
	} else {
		add(text[at:places[end-1].to], false)
		add("…", false)
	}
	return all
}
