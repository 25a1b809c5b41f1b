package search

import (
	"context"
	"database/sql"
	"encoding/binary"
	"iter"
	"time"
)

// maxWords is how many words of the index are kept; beyond it those that are on one page
// only are left out. They take some 5 MB.
const maxWords = 500_000

// A vocabulary is the words of the index in memory: to compare a misspelt one with all of
// them takes milliseconds there, and in the index as long as to read it whole.
type vocabulary struct {
	// packed has, by their first byte, of each word how many bytes it begins with like the
	// one before, how many others follow, these, and how many pages have it. As FTS5 gives
	// words in their order, most have little that is new.
	packed [256][]byte
	words  int
	last   []byte // that was added

	changes uint64 // of the index before
	made    time.Time
	took    time.Duration
	err     error
}

// add takes in a word, which is not empty.
func (v *vocabulary) add(word []byte, pages uint32) {
	like := 0
	for like < min(len(word), len(v.last)) && word[like] == v.last[like] {
		like++
	}
	b := v.packed[word[0]]
	b = binary.AppendUvarint(b, uint64(like))
	b = binary.AppendUvarint(b, uint64(len(word)-like))
	b = append(b, word[like:]...)
	v.packed[word[0]] = binary.AppendUvarint(b, uint64(pages))
	v.last = append(v.last[:0], word...)
	v.words++
}

// beginning gives the words whose first byte is b, and how many pages have each. A word
// is good until the next one.
func (v *vocabulary) beginning(b byte) iter.Seq2[[]byte, uint32] {
	return func(yield func([]byte, uint32) bool) {
		rest := v.packed[b]
		number := func() uint64 {
			n, size := binary.Uvarint(rest)
			rest = rest[size:]
			return n
		}
		var word []byte
		for len(rest) > 0 {
			like, other := number(), number()
			word = append(word[:like], rest[:other]...)
			rest = rest[other:]
			if !yield(word, uint32(number())) {
				return
			}
		}
	}
}

// bytes is what it takes.
func (v *vocabulary) bytes() (n int64) {
	if v == nil {
		return 0
	}
	for _, b := range v.packed {
		n += int64(cap(b))
	}
	return n
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
	db := x.db.Load()
	v.err = readWords(x.open, db, v)
	x.watch(db, &v.err)
	v.took = time.Since(v.made)
	if v.err != nil {
		v.took = 0 // the next one tries again
		v.changes--
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.db.Load() == db { // or they are words of one that has been replaced
		x.words = v
	}
	x.loaded = nil
	close(loaded)
}

func readWords(ctx context.Context, db *sql.DB, v *vocabulary) error {
	rows, err := db.QueryContext(ctx, "SELECT term, doc FROM words")
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
		if len(word) > 0 && (count > 1 || v.words < maxWords) {
			v.add(word, count)
		}
	}
	return rows.Err()
}
