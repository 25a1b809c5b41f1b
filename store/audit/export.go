package audit

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"
)

// A Line is one line of an export: an entry with its place in the chain, or a
// checkpoint, which looks like an entry to whoever does not know of checkpoints.
type Line struct {
	Entry
	Seq        uint64      `json:"seq,omitempty"`
	Prev       string      `json:"prev,omitempty"`
	Hash       string      `json:"hash,omitempty"`
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
}

func (r *record) line() Line { return Line{Entry: r.Entry, Seq: r.Seq, Prev: r.Prev, Hash: r.Hash} }

func (c *Checkpoint) line() Line {
	return Line{
		Entry: Entry{
			Time: c.Time, Level: "INFO", EventType: Security, Actor: "docscan", Action: "audit_checkpoint",
			Target: strconv.FormatUint(c.Seq, 10), Status: Success, Message: "the log up to here is signed",
		},
		Checkpoint: c,
	}
}

// A Position is how far a log has been read.
type Position struct {
	Entry      uint64 // number of the last entry
	Hash       string // of that entry
	Checkpoint uint64 // number of the entry that the last checkpoint vouches for
}

// Passed reports whether the log can have been read up to at: the entry there is the same,
// or it is no longer kept. After a restore it is another one.
func Passed(entries *bbolt.Bucket, at Position) (bool, error) {
	v := entries.Get(key(at.Entry))
	if v == nil {
		return at.Entry <= entries.Sequence(), nil
	}
	var r record
	if err := json.Unmarshal(v, &r); err != nil {
		return false, broken(at.Entry, "it is not readable")
	}
	return r.Hash == at.Hash, nil
}

// Export writes the entries after a position, at most limit (0: all), with their
// checkpoints as JSON lines, oldest first, and gives the position it has come to.
func Export(entries, checkpoints *bbolt.Bucket, w io.Writer, from Position, limit int) (Position, error) {
	err := walk(entries, checkpoints, from, limit, func(r *record) error {
		from.Entry, from.Hash = r.Seq, r.Hash
		return writeLine(w, r.line())
	}, func(c *Checkpoint) error {
		from.Checkpoint = c.Seq
		return writeLine(w, c.line())
	})
	return from, err
}

// writeLine writes l with a space after each colon and comma, as the service before
// this one did: people have grep lines that know it.
func writeLine(w io.Writer, l Line) error {
	j, err := json.Marshal(l)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	text, escaped := false, false
	for _, c := range j {
		b.WriteByte(c)
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			text = !text
		case !text && (c == ':' || c == ','):
			b.WriteByte(' ')
		}
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(w)
	return err
}

// A Query says which entries are wanted. Empty fields ask for all; texts are
// compared whole and without regard to case, Target and Address by their beginning.
type Query struct {
	Limit  int    // at most so many
	Before uint64 // older than this number; 0: from the newest

	EventType, Actor, Action, Target, Address, Status string
}

func (q *Query) fits(e *Entry) bool {
	whole := func(want, have string) bool { return want == "" || strings.EqualFold(want, have) }
	begin := func(want, have string) bool {
		return len(have) >= len(want) && strings.EqualFold(want, have[:len(want)])
	}
	if !whole(q.EventType, e.EventType) || !whole(q.Actor, e.Actor) || !whole(q.Action, e.Action) || !whole(q.Status, e.Status) || !begin(q.Address, e.Address) {
		return false
	}
	// A change of several documents names all of them.
	return begin(q.Target, e.Target) || slices.ContainsFunc(strings.Fields(e.Target), func(one string) bool { return begin(q.Target, one) })
}

// maxLooked bounds how many entries one List reads, so that a filter that fits
// little does not read years.
const maxLooked = 20000

// List gives entries, newest first. next asks for the rest; 0: there is none.
func List(entries *bbolt.Bucket, q Query) (list []Line, next uint64, err error) {
	c := entries.Cursor()
	k, v := c.Last()
	if q.Before > 0 {
		if k, _ = c.Seek(key(q.Before)); k == nil {
			k, v = c.Last()
		} else {
			k, v = c.Prev()
		}
	}
	for looked := 0; k != nil; k, v = c.Prev() {
		if len(list) == q.Limit || looked == maxLooked {
			return list, number(k) + 1, nil
		}
		looked++
		var r record
		if err := json.Unmarshal(v, &r); err != nil {
			return nil, 0, broken(number(k), "it is not readable")
		}
		if q.fits(&r.Entry) {
			list = append(list, r.line())
		}
	}
	return list, 0, nil
}
