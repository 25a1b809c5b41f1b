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
	"time"

	"go.etcd.io/bbolt"
)

const (
	blobsName = "blobs"
	spoolName = "spool"
)

// A BlobWriter streams one blob to disk. It lies in the spool until Commit
// gives it its name. One goroutine uses it.
type BlobWriter struct {
	store *Store
	file  *os.File
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
	return &BlobWriter{store: s, file: f, hash: sha256.New()}, nil
}

// Write adds p. The error wraps ErrDiskFull when there is no room.
func (w *BlobWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
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
	// A sweep must not take an old file of the same content between our look
	// at it and the record that will name it: its new time protects it.
	w.store.sweeping.RLock()
	defer w.store.sweeping.RUnlock()
	now := time.Now()
	if err := os.Chtimes(path, now, now); err == nil {
		return b, nil // the same bytes are here already
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return Blob{}, fmt.Errorf("name a blob: %w", mapError(err))
	}
	if err := os.Rename(w.file.Name(), path); err != nil {
		return Blob{}, fmt.Errorf("name a blob: %w", mapError(err))
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Join(w.store.dir, blobsName)} {
		if err := syncDir(dir); err != nil {
			return Blob{}, fmt.Errorf("sync a blob's name: %w", mapError(err))
		}
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

func (s *Store) blobPath(sum string) string {
	return filepath.Join(s.dir, blobsName, sum[:2], sum)
}

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
// returns how many. It waits while a backup reads.
func (s *Store) Sweep(ctx context.Context, age time.Duration) (int, error) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	limit := time.Now().Add(-age)
	var named map[string]Blob
	err := s.db.View(func(tx *bbolt.Tx) (err error) {
		named, err = namedBlobs(tx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	n := 0
	err = s.eachBlobFile(func(path string, info fs.FileInfo) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, ok := named[info.Name()]; ok || info.ModTime().After(limit) {
			return nil
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		n++
		return nil
	})
	if err != nil {
		return n, fmt.Errorf("sweep: %w", err)
	}
	return n, nil
}

// eachBlobFile calls f for every file below blobs/.
func (s *Store) eachBlobFile(f func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(filepath.Join(s.dir, blobsName), func(path string, d fs.DirEntry, err error) error {
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

// namedBlobs gives every blob that a record names, by sum.
func namedBlobs(tx *bbolt.Tx) (map[string]Blob, error) {
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
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(tx, bucketDocuments, func(_ []byte, d *Document) error {
		add(d.PDF)
		return nil
	})
	return named, err
}

// blobs are those a page names.
func (p *Page) blobs() []Blob { return []Blob{p.Raw, p.Image.Blob, p.View, p.Thumb, p.Text} }
