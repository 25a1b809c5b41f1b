package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// age makes a blob's file old, and the store forget that it wrote it.
func age(t *testing.T, s *Store, b Blob) {
	t.Helper()
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(s.blobPath(b.Sum), old, old); err != nil {
		t.Fatal(err)
	}
	s.files.mu.Lock()
	delete(s.files.recent, b.Sum)
	s.files.mu.Unlock()
}

func TestBlob(t *testing.T) {
	s := openTest(t)
	w, err := s.NewBlob()
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("hello "))
	w.Write([]byte("world"))
	b, err := w.Commit("text/plain")
	want := Blob{"b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9", 11, "text/plain"}
	if err != nil || b != want {
		t.Errorf("%+v, %v, want %+v", b, err, want)
	}
	if _, err := w.Commit("text/plain"); err == nil {
		t.Error("a second Commit succeeded")
	}
	path, err := s.BlobPath(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "hello world" {
		t.Errorf("%q", got)
	}
	gone, err := s.NewBlob()
	if err != nil {
		t.Fatal(err)
	}
	gone.Write([]byte("never mind"))
	gone.Abort()
	if left, _ := os.ReadDir(filepath.Join(s.Dir(), spoolName)); len(left) != 0 {
		t.Errorf("the spool has %v", left)
	}
}

// The same bytes again make a damaged file whole.
func TestBlobWrittenAgain(t *testing.T) {
	s := openTest(t)
	b := blob(t, s, "content")
	if err := os.WriteFile(s.blobPath(b.Sum), []byte("c0ntent"), 0o600); err != nil {
		t.Fatal(err)
	}
	age(t, s, b)
	blob(t, s, "content")
	if got, _ := os.ReadFile(s.blobPath(b.Sum)); string(got) != "content" {
		t.Errorf("%q", got)
	}
	if n, err := s.Sweep(t.Context(), Grace); n != 0 || err != nil {
		t.Errorf("swept %d, %v: its time must have begun anew", n, err)
	}
}

func TestSweep(t *testing.T) {
	s := openTest(t)
	d := fileBatch(t, s, "", 1)
	age(t, s, d.PDF)
	old, young, jumped := blob(t, s, "old"), blob(t, s, "young"), blob(t, s, "jumped")
	age(t, s, old)
	// The clock of a box may jump by years when it learns the date.
	if err := os.Chtimes(s.blobPath(jumped.Sum), time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	release := s.files.hold()
	if n, err := s.Sweep(t.Context(), Grace); n != 0 || err != nil {
		t.Errorf("while a backup reads: %d, %v", n, err)
	}
	release()
	if n, err := s.Sweep(t.Context(), Grace); n != 1 || err != nil {
		t.Errorf("%d, %v, want 1", n, err)
	}
	for _, tt := range []struct {
		name string
		b    Blob
		want bool
	}{{"old", old, false}, {"young", young, true}, {"jumped", jumped, true}, {"named", d.PDF, true}} {
		if got := exists(s.blobPath(tt.b.Sum)); got != tt.want {
			t.Errorf("%s is there: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A commit must not wait for a backup and a sweep that wait for each other: the
// feeder would stand still.
func TestCommitGoesOnWhileFilesAreHeld(t *testing.T) {
	s := openTest(t)
	release := s.files.hold()
	defer release()
	swept := make(chan error)
	go func() {
		_, err := s.Sweep(t.Context(), 0)
		swept <- err
	}()
	blob(t, s, "a page")
	if err := <-swept; err != nil {
		t.Error(err)
	}
}

func TestScratchIsClearedByOpen(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	scratch, err := s.ScratchDir("prepare")
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(scratch) || !exists(scratch) {
		t.Errorf("%s is no directory that a worker can find", scratch)
	}
	if err := os.WriteFile(filepath.Join(scratch, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Close()
	openIn(t, dir)
	if exists(scratch) {
		t.Errorf("%s is still there", scratch)
	}
}
