// Package store keeps what must not be lost: users, profiles, batches, pages,
// documents and the audit log in one bbolt database, and the files they name
// as blobs beside it.
//
// A blob is written, synced and renamed before the transaction that names it,
// so that no record names a file that is not there; a file that no record names
// is swept later. Whatever one promise needs is done in one transaction, which
// bbolt syncs. What can be derived (the search index) is not kept here.
//
// The package knows nothing of scanners, engines or web pages; its model is
// the model they all speak.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"docscan/store/audit"
)

// Config is the table [store] of docscan.toml.
type Config struct {
	// Dir holds all data: database, blobs, spool, index and local socket.
	Dir string `toml:"dir"`
}

// DefaultConfig is what holds where docscan.toml is silent.
func DefaultConfig() Config { return Config{Dir: "var"} }

// Check reports the first value that makes no sense.
func (c *Config) Check() error {
	if c.Dir == "" {
		return errors.New("dir is empty; it must name the directory for docscan's data")
	}
	return nil
}

// Conditions a caller can act on.
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("exists already")
	ErrBadID       = errors.New("malformed identifier")
	ErrNewerSchema = errors.New("the data was written by a newer docscan")
	ErrLocked      = errors.New("another docscand is using this data directory")
	ErrDiskFull    = errors.New("the disk is full")
)

// The top-level buckets. Keys sort by time, as identifiers are UUIDs of
// version 7; the key of a page is its batch's followed by its number.
var (
	bucketMeta      = []byte("meta")
	bucketBatches   = []byte("batches")
	bucketOpen      = []byte("open-batches") // keys of the batches that are not final; since schema 2
	bucketPages     = []byte("pages")
	bucketDocuments = []byte("documents")
	bucketUsers     = []byte("users")
	bucketSessions  = []byte("sessions") // by hash of the secret
	bucketTokens    = []byte("tokens")   // by hash of the secret
	bucketProfiles  = []byte("profiles")
	bucketSettings  = []byte("settings")
	bucketAudit     = []byte("audit")

	allBuckets = [][]byte{bucketMeta, bucketBatches, bucketOpen, bucketPages, bucketDocuments, bucketUsers,
		bucketSessions, bucketTokens, bucketProfiles, bucketSettings, bucketAudit}
)

const databaseName = "docscan.db"

// lockTimeout is how long Open waits for a database that another process
// holds: long enough for one that is just ending.
const lockTimeout = 2 * time.Second

// Store is an open data directory. Its methods may be called from any
// goroutine.
type Store struct {
	dir string
	db  *bbolt.DB
	log *slog.Logger

	// sweeping is held for writing while files are removed, and for reading by
	// whoever needs the files of a snapshot to stay.
	sweeping sync.RWMutex
}

// Open opens the data directory, makes what is missing, and brings the schema
// up to date. The error wraps ErrLocked, ErrNewerSchema or ErrDiskFull.
func Open(cfg Config, log *slog.Logger) (*Store, error) {
	for _, d := range []string{cfg.Dir, filepath.Join(cfg.Dir, blobsName), filepath.Join(cfg.Dir, spoolName), filepath.Join(cfg.Dir, "index")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open the store: %w", mapError(err))
		}
	}
	db, err := bbolt.Open(filepath.Join(cfg.Dir, databaseName), 0o600, &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("open the store in %s: %w. Stop it first, or give this one a directory of its own (store.dir)", cfg.Dir, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", cfg.Dir, mapError(err))
	}
	s := &Store{dir: cfg.Dir, db: db, log: log}
	if err := s.prepare(); err != nil {
		db.Close()
		return nil, fmt.Errorf("open the store in %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func (s *Store) prepare() error {
	if err := s.migrate(); err != nil {
		return err
	}
	if err := s.clearSpool(); err != nil {
		return err
	}
	return s.seedProfiles()
}

// Close closes the store.
func (s *Store) Close() error { return s.db.Close() }

// Dir is the data directory.
func (s *Store) Dir() string { return s.dir }

// NewID makes an identifier: a UUID of version 7, which sorts by time.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// CheckID reports with ErrBadID that id is not one NewID could have made.
func CheckID(id string) error {
	u, err := uuid.Parse(id)
	if err != nil || u.String() != id {
		return fmt.Errorf("%.40q: %w", id, ErrBadID)
	}
	return nil
}

// update runs f in a transaction that is synced when update returns nil.
func (s *Store) update(f func(tx *bbolt.Tx) error) error {
	return mapError(s.db.Update(f))
}

// put stores v as JSON.
func put(tx *bbolt.Tx, bucket, key []byte, v any) error {
	j, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put(key, j)
}

// get reads what put stored, or ErrNotFound.
func get(tx *bbolt.Tx, bucket, key []byte, v any) error {
	j := tx.Bucket(bucket).Get(key)
	if j == nil {
		return ErrNotFound
	}
	if err := json.Unmarshal(j, v); err != nil {
		return fmt.Errorf("broken record: %w", err)
	}
	return nil
}

// read reads one record in a transaction of its own.
func read[T any](s *Store, bucket []byte, what, key string) (T, error) {
	var v T
	err := s.db.View(func(tx *bbolt.Tx) error { return get(tx, bucket, []byte(key), &v) })
	if err != nil {
		return v, fmt.Errorf("%s %s: %w", what, key, err)
	}
	return v, nil
}

// list reads all records of a bucket in the order of their keys.
func list[T any](s *Store, bucket []byte, keep func(*T) bool) ([]T, error) {
	var all []T
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(k, v []byte) error {
			var t T
			if err := json.Unmarshal(v, &t); err != nil {
				return fmt.Errorf("broken record %s/%s: %w", bucket, k, err)
			}
			if keep == nil || keep(&t) {
				all = append(all, t)
			}
			return nil
		})
	})
	return all, err
}

// newest reads at most limit records from the end of a bucket, those before
// key before ("" for the end), newest first.
func newest[T any](s *Store, bucket []byte, before string, limit int, keep func(*T) bool) ([]T, error) {
	var found []T
	err := s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		var k, v []byte
		if before == "" {
			k, v = c.Last()
		} else if k, _ = c.Seek([]byte(before)); k == nil {
			k, v = c.Last()
		} else {
			k, v = c.Prev()
		}
		for ; k != nil && (limit <= 0 || len(found) < limit); k, v = c.Prev() {
			var t T
			if err := json.Unmarshal(v, &t); err != nil {
				return fmt.Errorf("broken record %s/%s: %w", bucket, k, err)
			}
			if keep == nil || keep(&t) {
				found = append(found, t)
			}
		}
		return nil
	})
	return found, err
}

func appendAudit(tx *bbolt.Tx, entries []audit.Entry) error {
	for _, e := range entries {
		if err := audit.Append(tx.Bucket(bucketAudit), e); err != nil {
			return err
		}
	}
	return nil
}

// mapError makes a full disk the error a caller can act on.
func mapError(err error) error {
	if err != nil && isDiskFull(err) && !errors.Is(err, ErrDiskFull) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}
