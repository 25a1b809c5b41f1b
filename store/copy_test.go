package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCopyDatabase(t *testing.T) {
	s := openIn(t, t.TempDir())
	raw := blob(t, s, "a page")
	b := Batch{ID: BatchID(NewID()), State: BatchScanning}
	if err := s.AddBatch(b); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddPage(Page{Batch: b.ID, Seq: 1, Raw: raw}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "copies", "before.db")
	if err := s.CopyDatabase(name); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if size, serr := s.DatabaseBytes(); err != nil || serr != nil || info.Size() > size || info.Size() == 0 {
		t.Errorf("the copy has %v bytes of %d (%v, %v)", info, size, err, serr)
	}
	// What a copy names must be there.
	if err := os.Remove(s.blobPath(raw.Sum)); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(filepath.Dir(name), "other.db")
	if err := s.CopyDatabase(other); err == nil || !strings.Contains(err.Error(), raw.Sum) {
		t.Errorf("with a file missing: %v, want its name", err)
	}
	if _, err := os.Stat(other); err == nil {
		t.Error("the bad copy is there")
	}
}

func TestSchema(t *testing.T) {
	form, reader, err := openIn(t, t.TempDir()).Schema()
	if err != nil || form != SchemaVersion || reader != oldestReader {
		t.Errorf("schema %d, reader %d (%v); want %d, %d", form, reader, err, SchemaVersion, oldestReader)
	}
}
