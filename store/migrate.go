package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// schemaVersion is the newest form of the data this program knows. A migration
// only adds (expand); what a form no longer needs goes when no release that can
// be rolled back to reads it any more (contract). oldestReader is the oldest
// form whose programs can still read what this one writes.
//
//	1  batches, pages, documents, users, sessions, tokens, profiles, settings, audit
//	2  indexes: open-batches, batches-by-owner, documents-by-owner
const (
	schemaVersion = 2
	oldestReader  = 1
)

// Keys of bucketMeta.
var (
	keySchema = []byte("schema")        // the form of the data
	keyReader = []byte("oldest-reader") // the oldest form whose programs can read them
	keyWriter = []byte("writer")        // the form of the program that opened them last
	keyResume = []byte("resume")        // how far an unfinished migration has come
)

// A migration brings the data from one form to the next in steps, each in a
// transaction of its own that ends with where the next one goes on. It begins
// with nil, and with nil it is done.
type migration func(tx *bbolt.Tx, from []byte) (next []byte, err error)

// migrations[v] leads from form v to v+1. A new store begins with the newest.
var migrations = map[uint64]migration{1: buildIndexes}

// migrationStep is how many records one step of a migration handles: enough to
// be quick, few enough that a step needs little memory and little time.
const migrationStep = 1000

// buildIndexes fills all indexes anew. A program of form 1 leaves them alone and
// lets them go stale; after it they are built once more.
func buildIndexes(tx *bbolt.Tx, from []byte) ([]byte, error) {
	if from == nil {
		for _, name := range indexBuckets {
			if err := tx.DeleteBucket(name); err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
				return nil, err
			}
			if _, err := tx.CreateBucket(name); err != nil {
				return nil, err
			}
		}
		from = []byte("b")
	}
	if key, ok := bytes.CutPrefix(from, []byte("b")); ok {
		next, err := step(tx, bucketBatches, key, func(b *Batch) error { return indexBatch(tx, b) })
		if err != nil {
			return nil, err
		}
		if next != nil {
			return append([]byte("b"), next...), nil
		}
		return []byte("d"), nil
	}
	next, err := step(tx, bucketDocuments, from[1:], func(d *Document) error { return indexDocument(tx, d) })
	if next == nil || err != nil {
		return nil, err
	}
	return append([]byte("d"), next...), nil
}

// step gives f the records of a bucket from key on, and returns the key at which
// the next step begins, nil for none.
func step[T any](tx *bbolt.Tx, bucket, key []byte, f func(*T) error) ([]byte, error) {
	c := tx.Bucket(bucket).Cursor()
	n := 0
	for k, v := c.Seek(key); k != nil; k, v = c.Next() {
		if n == migrationStep {
			return bytes.Clone(k), nil
		}
		n++
		var t T
		if err := json.Unmarshal(v, &t); err != nil {
			return nil, fmt.Errorf("broken record %s/%s: %w", bucket, k, err)
		}
		if err := f(&t); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// migrate makes missing buckets and brings the data to schemaVersion. A power
// cut at any step is no harm: the next Open goes on.
func (s *Store) migrate() error {
	if err := s.db.View(checkSchema); err != nil {
		return err
	}
	ready := false
	err := s.db.View(func(tx *bbolt.Tx) error {
		ready = tx.Bucket(bucketMeta) != nil && number(tx, keySchema) >= schemaVersion && number(tx, keyWriter) == schemaVersion
		return nil
	})
	for err == nil && !ready {
		err = s.update(func(tx *bbolt.Tx) (err error) {
			ready, err = s.migrateStep(tx)
			return err
		})
	}
	return err
}

// migrateStep does one step and reports whether it was the last.
func (s *Store) migrateStep(tx *bbolt.Tx) (done bool, err error) {
	for _, names := range [][][]byte{recordBuckets, indexBuckets} {
		for _, name := range names {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return false, err
			}
		}
	}
	meta := tx.Bucket(bucketMeta)
	from := number(tx, keySchema)
	to := from + 1
	var m migration
	switch {
	case from == 0: // a new store
		to = schemaVersion
	case from < schemaVersion:
		var ok bool
		if m, ok = migrations[from]; !ok {
			return false, fmt.Errorf("no way leads from schema %d to %d", from, to)
		}
	default: // a program of another form has written since
		to = from
		m = buildIndexes
	}
	var next []byte
	if m != nil {
		if next, err = m(tx, bytes.Clone(meta.Get(keyResume))); err != nil {
			return false, fmt.Errorf("migrate from schema %d: %w", from, err)
		}
	}
	if next != nil {
		return false, meta.Put(keyResume, next)
	}
	if err := meta.Delete(keyResume); err != nil {
		return false, err
	}
	if to != from {
		if from == 0 {
			s.log.Info("a new store is made", "schema", to)
		} else {
			s.log.Info("schema migrated", "from", from, "to", to)
		}
		if err := setNumber(tx, keySchema, to); err != nil {
			return false, err
		}
		if err := setNumber(tx, keyReader, oldestReader); err != nil {
			return false, err
		}
	}
	if to < schemaVersion {
		return false, nil
	}
	return true, setNumber(tx, keyWriter, schemaVersion)
}

// checkSchema refuses data that this program cannot read. Newer data is read
// when the program that wrote it says that ours can.
func checkSchema(tx *bbolt.Tx) error {
	if tx.Bucket(bucketMeta) == nil {
		return nil
	}
	v, reader := number(tx, keySchema), number(tx, keyReader)
	if v > schemaVersion && reader > schemaVersion {
		return fmt.Errorf("%w: their schema is %d, for programs that know schema %d or later; this one knows up to %d. "+
			"Install the newer docscan again, or restore a backup made by this version", ErrNewerSchema, v, reader, schemaVersion)
	}
	return nil
}

// number reads a number of bucketMeta; 0 when it is not there.
func number(tx *bbolt.Tx, key []byte) uint64 {
	v := tx.Bucket(bucketMeta).Get(key)
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

func setNumber(tx *bbolt.Tx, key []byte, n uint64) error {
	return tx.Bucket(bucketMeta).Put(key, binary.BigEndian.AppendUint64(nil, n))
}
