package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// ErrBroken says that the chain does not hold.
var ErrBroken = errors.New("the audit log has been changed")

// A Summary is what a verification found in order.
type Summary struct {
	Entries     int       `json:"entries"`
	First       uint64    `json:"first"` // number of the first entry that is there
	Last        uint64    `json:"last"`
	From        time.Time `json:"from,omitzero"`
	To          time.Time `json:"to,omitzero"`
	Checkpoints int       `json:"checkpoints"`
	Sealed      uint64    `json:"sealed"` // the last entry that a checkpoint vouches for
	Keys        []string  `json:"keys"`   // fingerprints of those that signed
}

// A Verifier reads a log from its beginning: each entry, and after it the
// checkpoints that vouch for it. An error names the entry and wraps ErrBroken.
type Verifier struct {
	// Trusted are the keys whose checkpoints count; none: those of any key, which
	// Summary names.
	Trusted []ed25519.PublicKey
	// Earlier is a checkpoint of an earlier export that must still be true.
	Earlier *Checkpoint

	before  record // of no entry yet: Seq is 0, or where a note of pruning ends
	summary Summary
}

func broken(seq uint64, what string) error {
	return fmt.Errorf("entry %d: %w: %s", seq, ErrBroken, what)
}

func (v *Verifier) entry(r *record) error {
	sum, err := r.sum()
	if err != nil {
		return err
	}
	switch {
	case r.Seq <= v.before.Seq:
		return broken(r.Seq, "it is not in its place")
	case r.Seq != v.before.Seq+1:
		return broken(r.Seq, "entries before it are missing")
	case r.Prev != v.before.Hash:
		return broken(r.Seq, "it does not follow the one before")
	case r.Hash != sum:
		return broken(r.Seq, "its content is not what was recorded")
	case v.Earlier != nil && v.Earlier.Seq == r.Seq && v.Earlier.Hash != r.Hash:
		return broken(r.Seq, "it is another than in the earlier export")
	}
	v.before = *r
	s := &v.summary
	if s.Entries == 0 {
		s.First, s.From = r.Seq, r.Time
	}
	s.Entries++
	s.Last, s.To = r.Seq, r.Time
	return nil
}

func (v *Verifier) checkpoint(c *Checkpoint) error {
	trusted := func(k ed25519.PublicKey) bool { return k.Equal(ed25519.PublicKey(c.Key)) }
	switch {
	case !c.holds():
		return broken(c.Seq, "the signature of its checkpoint is false")
	case len(v.Trusted) > 0 && !slices.ContainsFunc(v.Trusted, trusted):
		return broken(c.Seq, "its checkpoint is signed with another key, "+Fingerprint(c.Key))
	case c.Pruned && v.summary.Entries == 0 && v.before.Seq == 0:
		v.before.Seq, v.before.Hash = c.Seq, c.Hash
	case c.Seq > v.before.Seq:
		return broken(v.before.Seq, fmt.Sprintf("entries after it are missing: a checkpoint of %s counts %d", c.Time.Format(time.RFC3339), c.Seq))
	case c.Seq != v.before.Seq || c.Hash != v.before.Hash:
		return broken(c.Seq, "it is not the one that its checkpoint vouches for")
	}
	s := &v.summary
	s.Checkpoints++
	s.Sealed = c.Seq
	if f := Fingerprint(c.Key); !slices.Contains(s.Keys, f) {
		s.Keys = append(s.Keys, f)
	}
	return nil
}

func (v *Verifier) end() (Summary, error) {
	if v.Earlier != nil && v.Earlier.Seq > v.before.Seq {
		return v.summary, broken(v.before.Seq, fmt.Sprintf("entries after it are missing: the earlier export has %d", v.Earlier.Seq))
	}
	return v.summary, nil
}

// Bucket verifies a log in the database.
func (v *Verifier) Bucket(entries, checkpoints *bbolt.Bucket) (Summary, error) {
	if err := walk(entries, checkpoints, Position{}, 0, v.entry, v.checkpoint); err != nil {
		return v.summary, err
	}
	s, err := v.end()
	if err == nil && entries.Sequence() != v.before.Seq {
		err = broken(v.before.Seq, "entries after it are missing")
	}
	return s, err
}

// walk gives the entries after a position, at most limit (0: all), and the
// checkpoints up to the last of these, in the order in which a Verifier wants
// them. checkpoints may be nil.
func walk(entries, checkpoints *bbolt.Bucket, after Position, limit int, entry func(*record) error, checkpoint func(*Checkpoint) error) error {
	var points *bbolt.Cursor
	var at, point []byte
	if checkpoints != nil {
		points = checkpoints.Cursor()
		at, point = points.Seek(key(after.Checkpoint + 1))
	}
	pass := func(upTo []byte) error {
		for ; at != nil && (upTo == nil || bytes.Compare(at, upTo) <= 0); at, point = points.Next() {
			var c Checkpoint
			if err := json.Unmarshal(point, &c); err != nil || !bytes.Equal(at, key(c.Seq)) {
				return broken(number(at), "its checkpoint is not readable")
			}
			if err := checkpoint(&c); err != nil {
				return err
			}
		}
		return nil
	}
	c := entries.Cursor()
	n := 0
	for k, v := c.Seek(key(after.Entry + 1)); k != nil; k, v = c.Next() {
		if n == limit && limit > 0 {
			return nil
		}
		n++
		var r record
		if err := json.Unmarshal(v, &r); err != nil {
			return broken(number(k), "it is not readable")
		}
		if !bytes.Equal(k, key(r.Seq)) {
			return broken(r.Seq, "it is not in its place")
		}
		if err := pass(key(r.Seq - 1)); err != nil { // where pruned entries ended
			return err
		}
		if err := entry(&r); err != nil {
			return err
		}
		if err := pass(key(r.Seq)); err != nil {
			return err
		}
	}
	return pass(nil)
}

func number(k []byte) uint64 {
	if len(k) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}

// maxLine bounds one line of an export, in bytes. Entries have some 500; details
// of a failed update may have some thousands.
const maxLine = 1 << 20

// Export verifies what Export wrote, or files of it one after the other. An
// export ends with a checkpoint for its last entry, so that it cannot be cut short.
func (v *Verifier) Export(ctx context.Context, r io.Reader) (Summary, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for n := 1; lines.Scan(); n++ {
		if err := ctx.Err(); err != nil {
			return v.summary, err
		}
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var l Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return v.summary, fmt.Errorf("line %d: %w: it is not a line of an export", n, ErrBroken)
		}
		var err error
		if l.Checkpoint != nil {
			err = v.checkpoint(l.Checkpoint)
		} else {
			err = v.entry(&record{Seq: l.Seq, Prev: l.Prev, Hash: l.Hash, Entry: l.Entry})
		}
		if err != nil {
			return v.summary, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return v.summary, fmt.Errorf("%w: a line is longer than an entry can be", ErrBroken)
	}
	if err := lines.Err(); err != nil {
		return v.summary, err
	}
	s, err := v.end()
	if err == nil && s.Sealed != v.before.Seq {
		err = broken(v.before.Seq, "no checkpoint follows: what came after it has been cut off")
	}
	return s, err
}

// LastCheckpoint gives the last checkpoint of an export.
func LastCheckpoint(r io.Reader) (Checkpoint, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	var found Checkpoint
	for lines.Scan() {
		var l Line
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Checkpoint != nil && l.Checkpoint.holds() {
			found = *l.Checkpoint
		}
	}
	if err := lines.Err(); err != nil {
		return found, err
	}
	if found.Seq == 0 {
		return found, errors.New("there is no checkpoint in it")
	}
	return found, nil
}
