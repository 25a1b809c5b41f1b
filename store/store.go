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
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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
	ErrConflict    = errors.New("changed in the meantime")
	ErrBadID       = errors.New("malformed identifier")
	ErrNewerSchema = errors.New("the data was written by a newer docscan")
	ErrLocked      = errors.New("another docscand is using this data directory")
	ErrDiskFull    = errors.New("the disk is full")
	ErrClosed      = berrors.ErrDatabaseNotOpen // by who handed over meanwhile, or ends
)

// The top-level buckets. Keys sort by time, as identifiers are UUIDs of
// version 7; the key of a page is its batch's followed by its number. Sessions
// and tokens are found by the hash of their secret.
var (
	bucketMeta      = []byte("meta")
	bucketBatches   = []byte("batches")
	bucketPages     = []byte("pages")
	bucketDocuments = []byte("documents")
	bucketUsers     = []byte("users")
	bucketSessions  = []byte("sessions")
	bucketTokens    = []byte("tokens")
	bucketProfiles  = []byte("profiles")
	bucketSettings  = []byte("settings")
	bucketAudit     = []byte("audit")

	// Indexes, since schema 2; see index.go.
	bucketOpenBatches  = []byte("open-batches")
	bucketOwnBatches   = []byte("batches-by-owner")
	bucketOwnDocuments = []byte("documents-by-owner")
	indexBuckets       = [][]byte{bucketOpenBatches, bucketOwnBatches, bucketOwnDocuments}
	recordBuckets      = [][]byte{bucketMeta, bucketBatches, bucketPages, bucketDocuments, bucketUsers,
		bucketSessions, bucketTokens, bucketProfiles, bucketSettings, bucketAudit}
)

const databaseName = "docscan.db"

// lockTimeout is how long Open waits for a database that another process
// holds: long enough for one that is just ending.
const lockTimeout = 2 * time.Second

// Store is an open data directory. Its methods may be called from any
// goroutine.
type Store struct {
	dir    string
	db     *bbolt.DB
	log    *slog.Logger
	opened time.Time
	files  files

	footprint footprint
	complain  sync.Once // of what is wrong with it

	// indexed: the indexes have what the records ask for. Until then lists are made from
	// the records, and of the batches unfinished has those that were not final at first.
	indexed    atomic.Bool
	unfinished func() ([]BatchID, error)

	auditKey ed25519.PrivateKey
	pruning  sync.RWMutex                  // held while entries of the audit log are removed, shared while they are exported
	changed  chan struct{}                 // has one when something has been written
	zone     atomic.Pointer[time.Location] // cached; nil: to be read
}

// mapped is up to which size, in bytes, the database grows without all others waiting
// until a copy of it is made: it is mapped into memory once, in addresses only. 8 GiB
// is some millions of pages; where addresses have 32 bits it is 256 MiB.
const mapped = 256 << 20 << (^uint(0) >> 63 * 5)

// Open opens the data directory and makes what is missing. Data of an older form can be
// used at once; [Store.Migrate] brings them up to date. The error wraps ErrLocked,
// ErrNewerSchema or ErrDiskFull.
func Open(cfg Config, log *slog.Logger) (*Store, error) {
	s := &Store{dir: cfg.Dir, log: log, opened: time.Now(), changed: make(chan struct{}, 1)}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", cfg.Dir, mapError(err))
	}
	return s, nil
}

func (s *Store) open() error {
	if err := makeDirs(s.dir); err != nil {
		return err
	}
	db, err := bbolt.Open(filepath.Join(s.dir, databaseName), 0o600, &bbolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapped,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("%w. Stop it first, or give this one a directory of its own (store.dir)", ErrLocked)
	}
	if err != nil {
		return err
	}
	s.db = db
	if err := s.footprint.open(); err != nil {
		s.cannotLetGo(err)
	}
	if err := s.prepare(); err != nil {
		db.Close()
		s.footprint.close()
		return err
	}
	return nil
}

func (s *Store) prepare() error {
	if err := syncDir(s.dir); err != nil { // the database may be new
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	if err := s.clearSpool(); err != nil {
		return err
	}
	if err := s.openAudit(); err != nil {
		return err
	}
	return s.seedProfiles()
}

// makeDirs makes the directories of a data directory that are missing. All 256
// below blobs/ are made at once, so that naming a blob syncs one directory only.
func makeDirs(dir string) error {
	blobs := filepath.Join(dir, blobsName)
	for _, d := range []string{dir, blobs, filepath.Join(dir, spoolName), filepath.Join(dir, indexName)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	made := false
	for i := range 256 {
		switch err := os.Mkdir(filepath.Join(blobs, fmt.Sprintf("%02x", i)), 0o700); {
		case err == nil:
			made = true
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	if !made {
		return nil
	}
	if err := syncDir(blobs); err != nil {
		return err
	}
	return syncDir(dir)
}

// Close signs the audit log and closes the store.
func (s *Store) Close() error {
	_, err := s.SealAudit()
	err = errors.Join(err, s.db.Close())
	s.footprint.close()
	return err
}

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

// checkKey refuses what would not stay apart from other keys.
func checkKey(id string) error {
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == '/' || r > '~' }) {
		return fmt.Errorf("%.40q: %w", id, ErrBadID)
	}
	return nil
}

// view runs f in a transaction that only reads.
func (s *Store) view(f func(tx *bbolt.Tx) error) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		defer s.letGo(tx)
		return f(tx)
	})
}

// letGo gives pages of the database back that were read, if they are many.
func (s *Store) letGo(tx *bbolt.Tx) {
	if err := s.footprint.letGo(tx); err != nil {
		s.cannotLetGo(err)
	}
}

func (s *Store) cannotLetGo(err error) {
	s.complain.Do(func() { s.log.Warn("what is read of the database stays in memory", "err", err) })
}

// update runs f in a transaction that is synced when update returns nil.
func (s *Store) update(f func(tx *bbolt.Tx) error) error {
	err := s.db.Update(f)
	if err == nil {
		select {
		case s.changed <- struct{}{}:
		default: // who is woken by it sees this too
		}
	}
	return mapError(err)
}

// put stores v as JSON, with what a newer release wrote there and v has no words
// for.
func put(tx *bbolt.Tx, bucket, key []byte, v any) error {
	j, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if j, err = keepUnknown(tx.Bucket(bucket).Get(key), j, v); err != nil {
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
	err := s.view(func(tx *bbolt.Tx) error { return get(tx, bucket, []byte(key), &v) })
	if err != nil {
		return v, fmt.Errorf("%s %s: %w", what, key, err)
	}
	return v, nil
}

// list reads all records of a bucket in the order of their keys.
func list[T any](s *Store, bucket []byte, keep func(*T) bool) ([]T, error) {
	var all []T
	err := s.view(func(tx *bbolt.Tx) error {
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

// newest reads at most limit (0: all) records from the end of a bucket, those
// before key before ("" for the end), newest first, without those that keep (nil:
// all) refuses.
func newest[T any](s *Store, bucket []byte, before string, limit int, keep func(*T) bool) ([]T, error) {
	var found []T
	err := s.view(func(tx *bbolt.Tx) error {
		for d := descend(tx.Bucket(bucket), nil, before); d.id != nil && (limit <= 0 || len(found) < limit); d.next() {
			var t T
			if err := get(tx, bucket, d.id, &t); err != nil {
				return fmt.Errorf("%s/%s: %w", bucket, d.id, err)
			}
			if keep == nil || keep(&t) {
				if found == nil {
					found = make([]T, 0, min(max(limit, 1), 100)) // documents are large
				}
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
