// Package audit keeps the log of who did what. Entries are chained by hash, and
// each is appended in the transaction that does what it records: there is
// neither a deed without an entry nor an entry without a deed.
//
// The chain shows what was changed or taken out between two entries. What was cut
// off at its end, or made anew as a whole, only somebody else can tell: checkpoints,
// which the box signs now and then, say what the last entry was. A [Verifier]
// holds entries against each other and against checkpoints, in the database or
// in an export that has left the box.
//
// Package store owns the database; this package owns two buckets in it.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
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
	e.valid()
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

// valid replaces what is not UTF-8: it would not come back from JSON as it went
// in, and the chain would seem broken.
func (e *Entry) valid() {
	for _, s := range []*string{&e.Level, &e.EventType, &e.Actor, &e.Action, &e.Target, &e.Address, &e.Status, &e.Details, &e.Message} {
		*s = strings.ToValidUTF8(*s, "\uFFFD")
	}
}

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }
