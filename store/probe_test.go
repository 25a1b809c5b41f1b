package store

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
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
