package store

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	if err := Probe(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v, want ErrNotExist", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("Probe made %v", left)
	}
	s, err := Open(Config{Dir: dir}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := Probe(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("in use: %v, want ErrLocked", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	if err := Probe(dir); err != nil {
		t.Errorf("whole: %v", err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, databaseName)); string(after) != string(before) {
		t.Error("Probe changed the database")
	}
	db, err := bbolt.Open(filepath.Join(dir, databaseName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		if err := setNumber(tx, keySchema, schemaVersion+2); err != nil {
			return err
		}
		return setNumber(tx, keyReader, schemaVersion+1)
	})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if err := Probe(dir); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("of the future: %v, want ErrNewerSchema", err)
	}
	if err := os.WriteFile(filepath.Join(dir, databaseName), []byte("this is no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Probe(dir); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("damaged: %v", err)
	}
}

// A version on trial looks at a copy, for the data themselves are held by the one that
// runs.
func TestProbeFile(t *testing.T) {
	s := openIn(t, t.TempDir())
	if err := s.AddBatch(Batch{ID: BatchID(NewID()), State: BatchScanning}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "copy.db")
	if err := s.CopyDatabase(name); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := ProbeFile(name); err != nil {
		t.Errorf("whole: %v", err)
	}
	if after, err := os.ReadFile(name); err != nil || string(after) != string(before) {
		t.Errorf("ProbeFile changed the copy (%v)", err)
	}
	if err := ProbeFile(name + ".gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v, want ErrNotExist", err)
	}
	change := func(do func(*bbolt.Tx) error) {
		t.Helper()
		db, err := bbolt.Open(name, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(do), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	change(func(tx *bbolt.Tx) error { return tx.Bucket(bucketUsers).Put([]byte("u"), []byte(`{"name":7}`)) })
	if err := ProbeFile(name); err == nil || !strings.Contains(err.Error(), "broken record users/u") {
		t.Errorf("with a record that cannot be read: %v", err)
	}
	change(func(tx *bbolt.Tx) error {
		return errors.Join(setNumber(tx, keySchema, schemaVersion+2), setNumber(tx, keyReader, schemaVersion+1))
	})
	if err := ProbeFile(name); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("of the future: %v, want ErrNewerSchema", err)
	}
}
