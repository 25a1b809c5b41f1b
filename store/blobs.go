package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/writeback"
)

// What stands in a data directory beside the database.
const (
	blobsName = "blobs"
	spoolName = "spool"
	indexName = "index" // of package search
)

// Grace is how long a file may be named by no record before it counts as left
// over: longer than anything takes between writing a blob and naming it.
const Grace = time.Hour

// files guards the removal of blobs against those who still need them.
type files struct {
	mu   sync.Mutex
	held int // how many backups and checks need every file to stay
	// recent has the blobs this process has written, or has stopped naming, by
	// sum. Unlike a file's time it does not jump with the clock of a box that
	// learns the date only after its start.
	recent map[string]time.Time
}

// hold keeps all files where they are until release is called.
func (f *files) hold() (release func()) {
	f.mu.Lock()
	f.held++
	f.mu.Unlock()
	return sync.OnceFunc(func() {
		f.mu.Lock()
		f.held--
		f.mu.Unlock()
	})
}

// note remembers that a sum may be without a name from now on.
func (f *files) note(sum string) {
	if f.recent == nil {
		f.recent = make(map[string]time.Time)
	}
	f.recent[sum] = time.Now()
}

// A BlobWriter streams one blob to disk. It lies in the spool until Commit
// gives it its name. One goroutine uses it.
type BlobWriter struct {
	store *Store
	file  *os.File
	out   *writeback.Writer // to file
	hash  hash.Hash
	size  int64
	err   error // of an earlier Write
}

// NewBlob begins a blob. The caller ends it with Commit or Abort.
func (s *Store) NewBlob() (*BlobWriter, error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, spoolName), "blob-*")
	if err != nil {
		return nil, fmt.Errorf("begin a blob: %w", mapError(err))
	}
	return &BlobWriter{store: s, file: f, out: writeback.New(f, 0), hash: sha256.New()}, nil
}

// Write adds p. The error wraps ErrDiskFull when there is no room.
func (w *BlobWriter) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	if err != nil {
		w.err = fmt.Errorf("write a blob: %w", mapError(err))
	}
	return n, w.err
}

// Commit syncs the file, gives it its name and syncs that. When it returns nil
// the blob outlives a power cut; it must then be named by a record before the
// grace time of a sweep is over.
func (w *BlobWriter) Commit(mediaType string) (Blob, error) {
	if w.file == nil {
		return Blob{}, errors.New("commit a blob: it has ended already")
	}
	defer w.Abort()
	if w.err != nil {
		return Blob{}, w.err
	}
	if err := w.file.Sync(); err != nil {
		return Blob{}, fmt.Errorf("sync a blob: %w", mapError(err))
	}
	b := Blob{Sum: hex.EncodeToString(w.hash.Sum(nil)), Size: w.size, Type: mediaType}
	path := w.store.blobPath(b.Sum)
	// A file of the same content that is there already is replaced: its time
	// begins anew for a sweep, and should it be damaged it is whole again.
	w.store.files.mu.Lock()
	w.store.files.note(b.Sum)
	err := os.Rename(w.file.Name(), path)
	w.store.files.mu.Unlock()
	if err != nil {
		return Blob{}, fmt.Errorf("name a blob: %w", mapError(err))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return Blob{}, fmt.Errorf("sync a blob's name: %w", mapError(err))
	}
	return b, nil
}

// Abort forgets the blob. After Commit it does nothing.
func (w *BlobWriter) Abort() {
	if w.file == nil {
		return
	}
	w.file.Close()
	// After a rename there is nothing to remove; what stays in the spool is
	// cleared by the next Open.
	os.Remove(w.file.Name())
	w.file = nil
}

func (s *Store) blobPath(sum string) string { return blobPath(s.dir, sum) }

func blobPath(dir, sum string) string { return filepath.Join(dir, blobsName, sum[:2], sum) }

// BlobPath is where b lies. The error wraps ErrNotFound when it does not.
func (s *Store) BlobPath(b Blob) (string, error) {
	if !validSum(b.Sum) {
		return "", fmt.Errorf("blob %.10q: %w", b.Sum, ErrNotFound)
	}
	path := s.blobPath(b.Sum)
	if _, err := os.Stat(path); err != nil {
		return "", blobError(b, err)
	}
	return path, nil
}

// OpenBlob opens b for reading. The error wraps ErrNotFound when it is gone.
func (s *Store) OpenBlob(b Blob) (*os.File, error) {
	if !validSum(b.Sum) {
		return nil, fmt.Errorf("blob %.10q: %w", b.Sum, ErrNotFound)
	}
	f, err := os.Open(s.blobPath(b.Sum))
	if err != nil {
		return nil, blobError(b, err)
	}
	return f, nil
}

func blobError(b Blob, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	return fmt.Errorf("blob %s: %w", b.Sum, err)
}

func validSum(sum string) bool {
	if len(sum) != 2*sha256.Size {
		return false
	}
	for _, c := range sum {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// ScratchDir makes an empty directory for a worker. Its owner removes it; what
// a crash leaves is cleared by the next Open.
func (s *Store) ScratchDir(name string) (string, error) {
	dir, err := os.MkdirTemp(filepath.Join(s.dir, spoolName), name+"-*")
	if err != nil {
		return "", fmt.Errorf("make a scratch directory: %w", mapError(err))
	}
	return filepath.Abs(dir)
}

// clearSpool removes what an earlier process left. It was never reported safe.
func (s *Store) clearSpool() error {
	spool := filepath.Join(s.dir, spoolName)
	entries, err := os.ReadDir(spool)
	if err != nil {
		return fmt.Errorf("clear the spool: %w", err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(spool, e.Name())); err != nil {
			return fmt.Errorf("clear the spool: %w", err)
		}
	}
	return nil
}

// Sweep removes files that no record names and that are older than age, and
// returns how many. While a backup or a check reads it removes nothing: what is
// left goes with the next sweep.
func (s *Store) Sweep(ctx context.Context, age time.Duration) (int, error) {
	var named map[string]Blob
	err := s.view(func(tx *bbolt.Tx) (err error) {
		n := 0
		named, err = namedBlobs(tx, func() error {
			if n++; n%64 == 0 { // nearly all of the database is read
				s.letGo(tx)
			}
			return ctx.Err()
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	n := 0
	err = eachBlobFile(s.dir, func(path string, _ fs.FileInfo) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, ok := named[filepath.Base(path)]; ok {
			return nil
		}
		removed, err := s.sweepFile(path, age)
		if removed {
			n++
		}
		return err
	})
	s.files.forget(named, age)
	if err != nil {
		return n, fmt.Errorf("sweep: %w", err)
	}
	return n, nil
}

// sweepFile removes the file at path if it is old and nobody holds it. A record
// that names it could only have come since by way of Commit, which makes it new.
func (s *Store) sweepFile(path string, age time.Duration) (bool, error) {
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	sum := filepath.Base(path)
	since, recent := s.files.recent[sum]
	if s.files.held > 0 || time.Since(info.ModTime()) < age || recent && time.Since(since) < age {
		return false, nil
	}
	delete(s.files.recent, sum)
	return true, os.Remove(path)
}

// forget drops what is older than age and needs no memory any more after a
// sweep: what is named, and what the sweep has removed.
func (f *files) forget(named map[string]Blob, age time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for sum, since := range f.recent {
		if _, ok := named[sum]; (ok || f.held == 0) && time.Since(since) >= age {
			delete(f.recent, sum)
		}
	}
}

// unnamed is called after a transaction that took names away: a sweep and a
// check are to know that those files may be without one.
func (s *Store) unnamed(before, after []Blob) {
	now := time.Now()
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	for _, b := range before {
		if b.Zero() || slices.ContainsFunc(after, func(x Blob) bool { return x.Sum == b.Sum }) {
			continue
		}
		s.files.note(b.Sum)
		// For a check of a later process. A file without its new time is at
		// worst called left over before it is swept.
		if err := os.Chtimes(s.blobPath(b.Sum), now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("a file that is no longer needed keeps its time", "err", err)
		}
	}
}

// eachBlobFile calls f for everything below blobs/ of dir that is no directory.
func eachBlobFile(dir string, f func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(filepath.Join(dir, blobsName), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since its directory was read
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return f(path, info)
	})
}

// namedBlobs gives every blob that a record names, by sum. With many documents that takes a
// while; it ends with an error of stop, which it asks after each record.
func namedBlobs(tx *bbolt.Tx, stop func() error) (map[string]Blob, error) {
	named := make(map[string]Blob)
	add := func(blobs ...Blob) {
		for _, b := range blobs {
			if !b.Zero() {
				named[b.Sum] = b
			}
		}
	}
	err := each(tx, bucketPages, func(_ []byte, p *Page) error {
		add(p.blobs()...)
		return stop()
	})
	if err != nil {
		return nil, err
	}
	err = each(tx, bucketBatches, func(_ []byte, b *Batch) error {
		add(b.blobs()...)
		return stop()
	})
	if err != nil {
		return nil, err
	}
	err = each(tx, bucketDocuments, func(_ []byte, d *Document) error {
		add(d.PDF)
		return stop()
	})
	return named, err
}

// blobs are those a batch names itself.
func (b *Batch) blobs() []Blob {
	if b.Upload == nil {
		return nil
	}
	return []Blob{b.Upload.File}
}

// blobs are those a page names.
func (p *Page) blobs() []Blob {
	return []Blob{p.Raw, p.Image.Blob, p.Layered.Blob, p.View, p.Thumb, p.Text}
}
