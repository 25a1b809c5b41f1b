package store

import (
	"log/slog"
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
	// A file that is lost already must not keep the box from an update: the copy is
	// made, and the log tells.
	if err := os.Remove(s.blobPath(raw.Sum)); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	other := filepath.Join(filepath.Dir(name), "other.db")
	if err := s.CopyDatabase(other); err != nil {
		t.Errorf("with a file missing: %v", err)
	}
	if !strings.Contains(log.String(), raw.Sum) {
		t.Errorf("the log does not name the missing file: %s", &log)
	}
	if err := ProbeFile(other); err != nil {
		t.Errorf("the copy cannot be read: %v", err)
	}
}

func TestSchema(t *testing.T) {
	form, reader, err := openIn(t, t.TempDir()).Schema()
	if err != nil || form != SchemaVersion || reader != oldestReader {
		t.Errorf("schema %d, reader %d (%v); want %d, %d", form, reader, err, SchemaVersion, oldestReader)
	}
}
