package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// schemaVersion is the newest form of the data this program knows. A migration
// only adds (expand); what a form no longer needs goes when the release before
// the last no longer reads it (contract). oldestReader is the oldest form whose
// programs can still read what this one writes.
const (
	schemaVersion = 2
	oldestReader  = 1
)

var (
	keySchema = []byte("schema")
	keyReader = []byte("oldest-reader")
)

// migrations[v] brings the data from version v to v+1. Each runs in one
// transaction together with the new version number, so that a power cut leaves
// one form or the other.
var migrations = map[uint64]func(tx *bbolt.Tx) error{
	0: func(*bbolt.Tx) error { return nil }, // a new store: prepare has made the buckets
	1: indexOpenBatches,
}

// indexOpenBatches adds the list of batches that are not final, so that finding
// unfinished work does not read all batches ever scanned. A version-1 program
// does not know the list and leaves it alone; it may therefore name batches
// that are final by now, or lack new ones, and is rebuilt by Open whenever such
// a program has written last.
func indexOpenBatches(tx *bbolt.Tx) error { return rebuildOpen(tx) }

func rebuildOpen(tx *bbolt.Tx) error {
	if err := tx.DeleteBucket(bucketOpen); err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
		return err
	}
	open, err := tx.CreateBucket(bucketOpen)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketBatches).ForEach(func(k, v []byte) error {
		var b Batch
		if err := json.Unmarshal(v, &b); err != nil {
			return fmt.Errorf("broken record %s/%s: %w", bucketBatches, k, err)
		}
		if b.State.Final() {
			return nil
		}
		return open.Put(k, []byte{})
	})
}

// migrate makes missing buckets and brings the schema to schemaVersion.
func (s *Store) migrate() error {
	err := s.db.View(checkSchema)
	if err != nil {
		return err
	}
	for {
		var done bool
		err := s.update(func(tx *bbolt.Tx) error {
			for _, name := range allBuckets {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			v := number(tx, keySchema)
			if v >= schemaVersion {
				done = true
				// A program of an older form may have written since.
				return rebuildOpen(tx)
			}
			step, ok := migrations[v]
			if !ok {
				return fmt.Errorf("no way leads from schema %d to %d", v, v+1)
			}
			if err := step(tx); err != nil {
				return fmt.Errorf("migrate from schema %d: %w", v, err)
			}
			s.log.Info("schema migrated", "from", v, "to", v+1)
			if err := setNumber(tx, keySchema, v+1); err != nil {
				return err
			}
			return setNumber(tx, keyReader, oldestReader)
		})
		if err != nil {
			return err
		}
		if done {
			return nil
		}
	}
}

// checkSchema refuses data that this program cannot read. Newer data is read
// when the program that wrote it says that ours can.
func checkSchema(tx *bbolt.Tx) error {
	if tx.Bucket(bucketMeta) == nil {
		return nil
	}
	v, reader := number(tx, keySchema), number(tx, keyReader)
	if v > schemaVersion && reader > schemaVersion {
		return fmt.Errorf("%w: its schema is %d, this one reads up to %d. Install the newer docscan again, or restore a backup made by this version", ErrNewerSchema, v, schemaVersion)
	}
	return nil
}

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
