package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
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

// grow writes n records of 1 MiB each.
func grow(s *Store, n int) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("large"))
		for i := 0; i < n && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "%d", i), make([]byte, 1<<20))
		}
		return err
	})
}

// While somebody reads, as a copy does for as long as it takes, the database grows
// without waiting for the end of it.
func TestReaderHoldsUpNobody(t *testing.T) {
	s := openTest(t)
	reading, err := s.db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	grown := make(chan error, 1)
	go func() { grown <- grow(s, 40) }()
	select {
	case err = <-grown:
	case <-time.After(time.Minute):
		err = errors.New("writing waits for reading to end")
	}
	if rerr := reading.Rollback(); err != nil || rerr != nil {
		t.Fatal(err, rerr)
	}
}

// BenchmarkCopyDatabase gives the longest time that a write takes while a database of
// 240 MB is copied.
func BenchmarkCopyDatabase(b *testing.B) {
	s := openTest(b)
	if err := grow(s, 240); err != nil {
		b.Fatal(err)
	}
	var longest time.Duration
	for b.Loop() {
		copied := make(chan error, 1)
		go func() { copied <- s.CopyDatabase(filepath.Join(b.TempDir(), "copy.db")) }()
		for n, done := 0, false; !done; n++ {
			select {
			case err := <-copied:
				if err != nil {
					b.Fatal(err)
				}
				done = true
			default:
			}
			start := time.Now()
			err := s.db.Update(func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("large")).Put(fmt.Appendf(nil, "small %d", n), make([]byte, 300))
			})
			if err != nil {
				b.Fatal(err)
			}
			longest = max(longest, time.Since(start))
			time.Sleep(3 * time.Millisecond)
		}
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms/longest")
}
