// Package audit keeps the log of who did what. Entries are chained by hash, and
// each is appended in the transaction that does what it records: there is
// neither a deed without an entry nor an entry without a deed.
//
// Package store owns the database; this package owns one bucket in it.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.etcd.io/bbolt"
)

// Kinds of events, as scripts of old know them.
const (
	Authentication = "authentication"
	AdminAction    = "admin_action"
	Security       = "security"
	DataAccess     = "data_access"
)

// Outcomes.
const (
	Success = "success"
	Failure = "failure"
	Blocked = "blocked"
)

// An Entry is one line of the log.
type Entry struct {
	Time      time.Time `json:"timestamp"`
	Level     string    `json:"level"` // INFO or WARNING; filled in by Append when empty
	EventType string    `json:"event_type"`
	Actor     string    `json:"actor"`
	Action    string    `json:"action"`
	Target    string    `json:"target"`
	Address   string    `json:"ip_address"`
	Status    string    `json:"status"`
	Details   string    `json:"details,omitempty"`
	Message   string    `json:"message"` // filled in by Append when empty
}

// record is an Entry in its place in the chain.
type record struct {
	Seq  uint64 `json:"seq"`
	Prev string `json:"prev"` // Hash of the entry before; empty for the first
	Hash string `json:"hash"`
	Entry
}

// sum is the hash of r: over its number, the hash before it and its entry.
func (r *record) sum() (string, error) {
	j, err := json.Marshal(r.Entry)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], r.Seq)
	h.Write(seq[:])
	io.WriteString(h, r.Prev)
	h.Write(j)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Append adds e to the chain in bucket b, within the caller's transaction.
func Append(b *bbolt.Bucket, e Entry) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	if e.Level == "" {
		e.Level = "INFO"
		if e.Status != Success {
			e.Level = "WARNING"
		}
	}
	if e.Message == "" {
		e.Message = fmt.Sprintf("%s by %s: %s", e.Action, e.Actor, e.Status)
	}
	r := record{Entry: e}
	if key, last := b.Cursor().Last(); key != nil {
		var before record
		if err := json.Unmarshal(last, &before); err != nil {
			return fmt.Errorf("append audit entry: the one before is broken: %w", err)
		}
		r.Prev = before.Hash
	}
	var err error
	if r.Seq, err = b.NextSequence(); err != nil {
		return fmt.Errorf("append audit entry: %w", err)
	}
	if r.Hash, err = r.sum(); err != nil {
		return fmt.Errorf("append audit entry: %w", err)
	}
	j, err := json.Marshal(&r)
	if err != nil {
		return fmt.Errorf("append audit entry: %w", err)
	}
	if err := b.Put(key(r.Seq), j); err != nil {
		return fmt.Errorf("append audit entry: %w", err)
	}
	return nil
}

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// ErrBroken says that the chain does not hold.
var ErrBroken = errors.New("the audit log has been changed")

// Verify walks the chain in b and returns how many entries hold. An entry that
// was changed, removed or put in gives an error that names its number and wraps
// ErrBroken.
func Verify(b *bbolt.Bucket) (n int, err error) {
	var before record
	err = b.ForEach(func(k, v []byte) error {
		var r record
		if err := json.Unmarshal(v, &r); err != nil {
			return fmt.Errorf("entry %x: %w: it is not readable", k, ErrBroken)
		}
		sum, err := r.sum()
		if err != nil {
			return err
		}
		switch {
		case len(k) != 8 || binary.BigEndian.Uint64(k) != r.Seq:
			return fmt.Errorf("entry %d: %w: it is not in its place", r.Seq, ErrBroken)
		case r.Seq != before.Seq+1:
			return fmt.Errorf("entry %d: %w: entries before it are missing", r.Seq, ErrBroken)
		case r.Prev != before.Hash:
			return fmt.Errorf("entry %d: %w: it does not follow the one before", r.Seq, ErrBroken)
		case r.Hash != sum:
			return fmt.Errorf("entry %d: %w: its content is not what was recorded", r.Seq, ErrBroken)
		}
		before = r
		n++
		return nil
	})
	if err == nil && b.Sequence() != before.Seq {
		err = fmt.Errorf("entry %d: %w: entries after it are missing", before.Seq, ErrBroken)
	}
	return n, err
}

// Export writes all entries in b as JSON lines, oldest first.
func Export(b *bbolt.Bucket, w io.Writer) error {
	enc := json.NewEncoder(w)
	return b.ForEach(func(k, v []byte) error {
		var r record
		if err := json.Unmarshal(v, &r); err != nil {
			return fmt.Errorf("export audit entry %x: %w", k, err)
		}
		return enc.Encode(&r)
	})
}
