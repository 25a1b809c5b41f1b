package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// schemaVersion is the newest form of the data this program knows. A migration
// only adds (expand); what a form no longer needs goes when no release that can
// be rolled back to reads it any more (contract). oldestReader is the oldest
// form whose programs can still read what this one writes; whatever such a program
// keeps, as an index, this one keeps as well.
//
// Open takes the first step of a migration and [Store.Migrate] the others, while work
// goes on: requests wait for a new version until it has the store open. So a program
// must do without what a migration adds until that is done; see Store.indexed.
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
	keyWriter = []byte("writer")        // the form of the program that wrote last
	keyResume = []byte("resume")        // how far that one's unfinished migration has come
)

// A migration brings the data from one form to the next in steps, each in a
// transaction of its own that ends with where the next one goes on. It begins
// with nil, and with nil it is done.
type migration func(tx *bbolt.Tx, from []byte) (next []byte, err error)

// migrations[v] leads from form v to v+1. A new store begins with the newest.
var migrations = map[uint64]migration{1: buildIndexes}

// migrationStep is how many records one step of a migration handles: so few that
// nobody notices the time that others cannot write.
const migrationStep = 250

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

// begin makes missing buckets, and takes the first step towards schemaVersion. For a new
// store, and for one that this form of program wrote last, there is no other.
func (s *Store) begin() error {
	ready := false
	err := s.view(func(tx *bbolt.Tx) error {
		if err := checkSchema(tx); err != nil {
			return err
		}
		ready = migrated(tx)
		return nil
	})
	if err == nil && !ready {
		s.unfinished = sync.OnceValues(s.readUnfinished)
		return s.takeStep()
	}
	s.indexed.Store(ready)
	return err
}

// readUnfinished goes through all batches for those that are not final.
func (s *Store) readUnfinished() (ids []BatchID, err error) {
	open, err := list(s, bucketBatches, func(b *Batch) bool { return !b.State.Final() })
	for _, b := range open {
		ids = append(ids, b.ID)
	}
	return ids, err
}

// openWithoutIndex is OpenBatches while the index is being built. All batches are gone
// through once; what has been opened since then is in the index.
func (s *Store) openWithoutIndex() (open []Batch, err error) {
	ids, err := s.unfinished()
	if err != nil {
		return nil, err
	}
	err = s.view(func(tx *bbolt.Tx) error {
		ids := slices.Clone(ids)
		err := tx.Bucket(bucketOpenBatches).ForEach(func(k, _ []byte) error {
			ids = append(ids, BatchID(k))
			return nil
		})
		if err != nil {
			return err
		}
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			var b Batch
			switch err := get(tx, bucketBatches, []byte(id), &b); {
			case errors.Is(err, ErrNotFound): // it was deleted since
			case err != nil:
				return fmt.Errorf("batch %s: %w", id, err)
			case !b.State.Final():
				open = append(open, b)
			}
		}
		return nil
	})
	return open, err
}

// migrated reports whether nothing is left to do.
func migrated(tx *bbolt.Tx) bool {
	meta := tx.Bucket(bucketMeta)
	return meta != nil && number(tx, keySchema) >= schemaVersion && number(tx, keyWriter) == schemaVersion && meta.Get(keyResume) == nil
}

// Migrate brings the data to the form of this program, which Open has begun, until ctx
// ends. Between its steps others write. A power cut at any step is no harm: the next
// Open goes on, unless a program of another form has written meanwhile; then it begins
// anew.
func (s *Store) Migrate(ctx context.Context) error {
	for !s.indexed.Load() && ctx.Err() == nil {
		if err := s.takeStep(); err != nil {
			return fmt.Errorf("bring the data to schema %d: %w", schemaVersion, err)
		}
	}
	return nil
}

func (s *Store) takeStep() error {
	done := false
	err := s.update(func(tx *bbolt.Tx) (err error) {
		done, err = s.migrateStep(tx)
		return err
	})
	if err == nil && done {
		s.indexed.Store(true)
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
	from, writer, at := number(tx, keySchema), number(tx, keyWriter), bytes.Clone(meta.Get(keyResume))
	if writer != schemaVersion {
		at = nil // what was built so far may be out of date
	}
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
	case writer < schemaVersion || at != nil: // an older program has written since
		to, m = from, buildIndexes
	default: // a newer one has, and kept what we keep
		to = from
	}
	var next []byte
	if m != nil {
		if next, err = m(tx, at); err != nil {
			return false, fmt.Errorf("migrate from schema %d: %w", from, err)
		}
	}
	// From now on there are records in our form, and programs of others must know.
	if err := setNumber(tx, keyWriter, schemaVersion); err != nil {
		return false, err
	}
	if from < schemaVersion {
		if err := setNumber(tx, keyReader, oldestReader); err != nil {
			return false, err
		}
	}
	if next != nil {
		return false, meta.Put(keyResume, next)
	}
	if err := meta.Delete(keyResume); err != nil {
		return false, err
	}
	switch {
	case from == 0:
		s.log.Info("a new store is made", "schema", to)
	case to != from:
		s.log.Info("schema migrated", "from", from, "to", to)
	}
	return to >= schemaVersion, setNumber(tx, keySchema, to)
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
