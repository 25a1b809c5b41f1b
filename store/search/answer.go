package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bounds of how long documents are read to see whether the words of a phrase stand one
// after the other in them: to fill an answer, and to count those beyond it.
const (
	fillTime  = time.Second
	countTime = 50 * time.Millisecond
	// atOnce is how many documents are asked of the index for that at first. Each time
	// it begins anew with the newest, so it is asked for more and more.
	atOnce = 100
)

// Search finds the documents that fit q.
func (x *Index) Search(ctx context.Context, q Query) (_ Result, err error) {
	defer x.watch(&err)
	p, refused, ok := q.plan()
	if !ok {
		return Result{Refused: refused}, nil
	}
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
		if c.page > 0 {
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
func (x *Index) sift(ctx context.Context, p *plan, q Query) (r Result, list []candidate, err error) {
	begun := time.Now()
	limited, stop := context.WithTimeout(ctx, fillTime)
	defer stop()
	at := q.Offset
	for many := atOnce; ; many *= 4 {
		some, _, more, err := x.find(limited, p, at, many)
		if limited.Err() != nil && ctx.Err() == nil { // words that are everywhere, and many documents
			r.More = true
			if r.Next == 0 {
				r.Next = at
			}
			return r, list, nil
		}
		if err != nil {
			return r, nil, err
		}
		for _, c := range some {
			took := time.Since(begun)
			if full := len(list) == q.Limit; full && took > countTime || took > fillTime {
				r.More = true
				if r.Next == 0 {
					r.Next = at
				}
				return r, list, nil
			}
			fits, err := x.fits(ctx, p, &c)
			if err != nil {
				return r, nil, err
			}
			at++
			if !fits {
				continue
			}
			r.Total++
			if len(list) < q.Limit {
				list = append(list, c)
			} else if r.Next == 0 {
				r.Next = at - 1
			}
		}
		if len(some) < many && !more {
			return r, list, nil
		}
	}
}

// fits reports whether a document has the phrases of p, and lacks those it must not
// have. The page of c becomes one that has a phrase.
func (x *Index) fits(ctx context.Context, p *plan, c *candidate) (bool, error) {
	for _, t := range p.phrases {
		has, page, err := x.has(ctx, c.n, &t)
		if err != nil || has == t.not {
			return false, err
		}
		if page > 0 {
			c.page = page
		}
	}
	return true, nil
}

// pagesWith are the pages of one document that have all words of a phrase.
const pagesWith = `SELECT r.page, r.text FROM pages p CROSS JOIN rows r ON r.row = p.rowid
WHERE pages MATCH ? AND p.rowid BETWEEN (SELECT MIN(row) FROM rows WHERE n = ?) AND (SELECT MAX(row) FROM rows WHERE n = ?) AND r.n = ? ORDER BY r.page`

// has reports whether a phrase stands in document n, and on which page; 0: in what is
// said of it.
func (x *Index) has(ctx context.Context, n int64, t *term) (bool, int, error) {
	var title, said string
	err := x.db.Load().QueryRowContext(ctx, "SELECT title, said FROM docs WHERE n = ?", n).Scan(&title, &said)
	if errors.Is(err, sql.ErrNoRows) {
		return false, 0, nil // taken out since
	}
	if err != nil {
		return false, 0, err
	}
	if t.in(title) || t.in(said) {
		return true, 0, nil
	}
	rows, err := x.db.Load().QueryContext(ctx, pagesWith, t.match(), n, n, n)
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
		text, err := x.text(unpack(name))
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
	var places []place
	var tokens []string
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
