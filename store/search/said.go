package search

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Said is what is said of documents, the most used first.
type Said struct{ Types, Senders, Tags []string }

// maxSaid bounds each list of Said, and maxReaders for how many readers they are kept.
const (
	maxSaid    = 200
	maxReaders = 100
)

// What took longer than long to make, as all documents are looked at for it, is good for a
// while though the documents have changed since: for staleFor times as long as that.
const (
	long     = 100 * time.Millisecond
	staleFor = 50
)

// saidLists are lists that were made.
type saidLists struct {
	Said
	changes uint64 // of the index before
	made    time.Time
	took    time.Duration
}

// Said gives what is said of the documents that q may find, whatever its text.
func (x *Index) Said(ctx context.Context, q Query) (_ Said, err error) {
	defer x.watch(x.db.Load(), &err)
	reader := "all"
	if q.Owner != nil {
		reader = strings.Join(append([]string{"", *q.Owner}, q.Groups...), "\x00")
	}
	x.mu.Lock()
	l, ok := x.said[reader]
	x.mu.Unlock()
	if ok && (l.changes == x.changes.Load() || l.took > long && time.Since(l.made) < staleFor*l.took) {
		return l.Said, nil
	}
	l = saidLists{changes: x.changes.Load(), made: time.Now()}
	if l.Said, err = x.makeSaid(ctx, q); err != nil {
		return Said{}, fmt.Errorf("list what is said: %w", err)
	}
	l.took = time.Since(l.made)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.said == nil || len(x.said) >= maxReaders {
		x.said = make(map[string]saidLists)
	}
	x.said[reader] = l
	return l.Said, nil
}

func (x *Index) makeSaid(ctx context.Context, q Query) (s Said, err error) {
	readable, args := q.readable()
	args = append(args, maxSaid)
	for _, l := range []struct {
		list *[]string
		sql  string
	}{
		{&s.Types, "SELECT type_said FROM docs d WHERE type <> '' AND %s GROUP BY type ORDER BY COUNT(*) DESC, type LIMIT ?"},
		{&s.Senders, "SELECT sender_said FROM docs d WHERE sender <> '' AND %s GROUP BY sender ORDER BY COUNT(*) DESC, sender LIMIT ?"},
		{&s.Tags, "SELECT t.said FROM tags t JOIN docs d ON d.n = t.n WHERE %s GROUP BY t.tag ORDER BY COUNT(*) DESC, t.tag LIMIT ?"},
	} {
		if *l.list, err = x.column(ctx, fmt.Sprintf(l.sql, readable), args); err != nil {
			return Said{}, err
		}
	}
	return s, nil
}

// column gives the one column of a query.
func (x *Index) column(ctx context.Context, query string, args []any) (list []string, err error) {
	rows, err := x.db.Load().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}
