package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// SchemaVersion is the newest form of the data this program knows.
const SchemaVersion = schemaVersion

// Schema gives the form of the data, and the oldest form whose programs can
// read them.
func (s *Store) Schema() (form, reader uint64, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		form, reader = number(tx, keySchema), number(tx, keyReader)
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read the schema: %w", err)
	}
	return form, reader, nil
}

// DatabaseBytes is the size of the database, in bytes.
func (s *Store) DatabaseBytes() (int64, error) {
	info, err := os.Stat(filepath.Join(s.dir, databaseName))
	if err != nil {
		return 0, fmt.Errorf("size of the database: %w", err)
	}
	return info.Size(), nil
}

// CopyDatabase writes the database as it is at one moment to the file name,
// while other work goes on, and proves it: every record can be read. That a file it
// names is missing is logged and no error, for the store has lost it already: this
// copy is as good as what it was made of. The copy is synced, or not there after an
// error.
func (s *Store) CopyDatabase(name string) error {
	if err := s.copyDatabase(name); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	return nil
}

func (s *Store) copyDatabase(name string) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return mapError(err)
	}
	release := s.files.hold() // before the snapshot: its files must stay
	defer release()
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	defer snap.remove() // does nothing once it has its name
	err = withDatabase(snap.path, func(tx *bbolt.Tx) error {
		var broken []error
		for err := range tx.Check() {
			if len(broken) < 10 {
				broken = append(broken, err)
			}
		}
		if len(broken) > 0 {
			return errors.Join(broken...)
		}
		named, err := namedBlobs(tx, context.Background().Err)
		if err != nil {
			return err
		}
		missing, one := 0, ""
		for sum, b := range named {
			if info, err := os.Stat(s.blobPath(sum)); err != nil || info.Size() != b.Size {
				missing, one = missing+1, sum
			}
		}
		if missing > 0 {
			s.log.Warn("files that pages or documents need are missing or have another size; docscanctl check says whose they are", "files", missing, "one", one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	f, err := os.Open(snap.path)
	if err != nil {
		return err
	}
	err = errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(snap.path, name)
	}
	if err == nil {
		err = syncDir(dir)
	}
	return mapError(err)
}
