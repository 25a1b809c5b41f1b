package search

import (
	"context"
	"database/sql"
	"unicode/utf8"
)

// Bounds of what is looked at to see what a beginning of a word may stand for.
const (
	// begun is how many characters of a word the index has lists for: those of pages that
	// have a word that begins so.
	begun = 3
	// maxLonger is how many words a query may ask for so: SQLite keeps some 8 KB of the index
	// for each while it goes through it.
	maxLonger = 256
	// maxSame is after how many pages with one word the next one is looked for anew, which
	// takes as long as to go through some 35.
	maxSame = 20
	// maxSought is how often that is done for a query at most, 60 microseconds each.
	maxSought = 100
)

// A stretch is what one query may still ask for: words, and how often one is looked for anew.
type stretch struct{ words, sought int }

// lengthen finds the words of the index that begin with the last word of t, unless these
// are more than may still be asked for. Of a beginning of more than begun characters SQLite
// gathers all pages first, a hundred thousand for a common one, to give the newest; of some
// words it gives the newest at once.
func (x *Index) lengthen(ctx context.Context, t *term, left *stretch) error {
	word := t.words[len(t.words)-1]
	if t.exact || utf8.RuneCountInString(word) <= begun || !x.places.Load() {
		return nil
	}
	var words []string
	// No character of a word is less than a digit, and none more than the last there is.
	from, to := word, word+string(utf8.MaxRune)
	for ; left.sought > 0; left.sought-- {
		last, more, err := x.placesOf(ctx, from, to, left.words, &words)
		if err != nil {
			return err
		}
		if len(words) > left.words {
			return nil
		}
		if !more {
			t.longer = words
			left.words -= len(words)
			return nil
		}
		from = last + "0"
	}
	return nil
}

// placesOf adds words to a list, in their order, up to one that is on many pages, which is
// the last, or one more than most. more tells that there may be others behind it.
func (x *Index) placesOf(ctx context.Context, from, to string, most int, words *[]string) (last string, more bool, err error) {
	rows, err := x.db.Load().QueryContext(ctx, "SELECT term FROM places WHERE term >= ? AND term <= ?", from, to)
	if err != nil {
		return "", false, err
	}
	defer rows.Close()
	var word sql.RawBytes
	same := 0
	for rows.Next() {
		if err := rows.Scan(&word); err != nil {
			return "", false, err
		}
		if string(word) != last {
			last, same = string(word), 0
			if *words = append(*words, last); len(*words) > most {
				return last, false, nil
			}
		}
		if same++; same == maxSame {
			return last, true, nil
		}
	}
	return last, false, rows.Err()
}
