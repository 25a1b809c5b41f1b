package search

import (
	"context"
	"database/sql"
	"time"
)

// maxWords is how many words of the index are kept; beyond it those that are on one page
// only are left out. With a number for each they take some 20 MB at most.
const maxWords = 500_000

// A vocabulary is the words of the index in memory: to compare a misspelt one with all of
// them takes milliseconds there, and in the index as long as to read it whole.
type vocabulary struct {
	letters []byte // of all words, one behind the other
	ends    []uint32
	counts  []uint32 // pages that have the word

	changes uint64 // of the index before
	made    time.Time
	took    time.Duration
	err     error
}

// all gives the words and how many pages have each.
func (v *vocabulary) all(yield func([]byte, uint32) bool) {
	begin := uint32(0)
	for i, end := range v.ends {
		if !yield(v.letters[begin:end], v.counts[i]) {
			return
		}
		begin = end
	}
}

// bytes is what it takes.
func (v *vocabulary) bytes() int64 {
	if v == nil {
		return 0
	}
	return int64(cap(v.letters) + 4*cap(v.ends) + 4*cap(v.counts))
}

// loadWait is how long a search waits for the words when they are loaded for the first
// time: for a hundred thousand documents that takes a second.
const loadWait = 100 * time.Millisecond

// vocabulary gives the words of the index, or none while they are loaded for the first
// time. They may lack the latest while others are loaded.
func (x *Index) vocabulary(ctx context.Context) (*vocabulary, error) {
	v, loaded := x.preload()
	if loaded != nil && (v == nil || v.took <= long) {
		t := time.NewTimer(loadWait)
		defer t.Stop()
		select {
		case <-loaded:
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		x.mu.Lock()
		v = x.words
		x.mu.Unlock()
	}
	if v == nil {
		return &vocabulary{}, nil
	}
	return v, v.err
}

// preload begins to load the words of the index, if those that are there are too old or
// none are. It gives what is there, and what is closed at the end of loading; nil: none is
// needed.
func (x *Index) preload() (*vocabulary, <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.words
	if v != nil && (v.changes == x.changes.Load() || v.took > long && time.Since(v.made) < staleFor*v.took) {
		return v, nil
	}
	if x.loaded == nil {
		loaded := make(chan struct{})
		x.loaded = loaded
		x.loads.Go(func() { x.load(loaded) })
	}
	return v, x.loaded
}

// load reads the words of the index and closes loaded.
func (x *Index) load(loaded chan struct{}) {
	v := &vocabulary{changes: x.changes.Load(), made: time.Now()}
	v.err = x.readWords(v)
	x.watch(&v.err)
	v.took = time.Since(v.made)
	if v.err != nil {
		v.took = 0 // the next one tries again
		v.changes--
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.words, x.loaded = v, nil
	close(loaded)
}

func (x *Index) readWords(v *vocabulary) error {
	rows, err := x.db.Load().QueryContext(x.open, "SELECT term, doc FROM words")
	if err != nil {
		return err
	}
	defer rows.Close()
	var word sql.RawBytes
	var count uint32
	for rows.Next() {
		if err := rows.Scan(&word, &count); err != nil {
			return err
		}
		if len(word) == 0 || count == 1 && len(v.ends) >= maxWords {
			continue
		}
		v.letters = append(v.letters, word...)
		v.ends = append(v.ends, uint32(len(v.letters)))
		v.counts = append(v.counts, count)
	}
	return rows.Err()
}
