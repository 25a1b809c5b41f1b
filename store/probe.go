package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// probeTimeout is how long Probe waits for a database that another process
// holds. A daemon holds it all its life, so there is no point in waiting.
const probeTimeout = 50 * time.Millisecond

// Probe reports whether Open would take the data directory dir, and changes
// nothing. The error wraps fs.ErrNotExist when there are no data yet, ErrLocked
// when a daemon is using them, and ErrNewerSchema.
func Probe(dir string) error {
	if err := look(dir, checkSchema); err != nil {
		return fmt.Errorf("look at the store in %s: %w", dir, err)
	}
	return nil
}

// ProbeFile reports whether this program can read a copy of the database: its form,
// and each batch, page, document and user. It changes nothing. The error may wrap
// ErrNewerSchema.
func ProbeFile(name string) error {
	err := lookAt(name, func(tx *bbolt.Tx) error {
		if err := checkSchema(tx); err != nil {
			return err
		}
		return errors.Join(readable[Batch](tx, bucketBatches), readable[Page](tx, bucketPages),
			readable[Document](tx, bucketDocuments), readable[User](tx, bucketUsers))
	})
	if err != nil {
		return fmt.Errorf("look at the copy %s: %w", name, err)
	}
	return nil
}

func readable[T any](tx *bbolt.Tx, bucket []byte) error {
	return each(tx, bucket, func([]byte, *T) error { return nil })
}

// ProbeSchema gives the form of the data in dir and the oldest form whose
// programs can read them, also of data that this program cannot read. It changes
// nothing. Of its errors Probe tells.
func ProbeSchema(dir string) (form, reader uint64, err error) {
	err = look(dir, func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketMeta) == nil {
			return fs.ErrNotExist // it was begun and not finished
		}
		form, reader = number(tx, keySchema), number(tx, keyReader)
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("look at the schema of the store in %s: %w", dir, err)
	}
	return form, reader, nil
}

// look lets f read the database in dir.
func look(dir string, f func(*bbolt.Tx) error) error {
	return lookAt(filepath.Join(dir, databaseName), f)
}

// lookAt lets f read the database in the file name.
func lookAt(name string, f func(*bbolt.Tx) error) error {
	if _, err := os.Stat(name); err != nil {
		return err
	}
	db, err := bbolt.Open(name, 0, &bbolt.Options{ReadOnly: true, Timeout: probeTimeout})
	if errors.Is(err, berrors.ErrTimeout) {
		return ErrLocked
	}
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(f)
}
