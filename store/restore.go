package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"docscan/store/audit"
)

// Names a restore gives to directories in the data directory.
const (
	restorePrefix  = "restore-"  // a backup on its way in; removed by the next restore
	replacedPrefix = "replaced-" // the data that a restore took the place of
)

// RestoreBackup puts a backup into the data directory dir, which no daemon may
// be using (ErrLocked). The whole backup is unpacked beside the data and
// verified first: after an error all is as it was, and it wraps ErrBadBackup,
// ErrNewerSchema, ErrDiskFull or ErrExists (dir holds something else than data
// of docscan).
//
// Data that are there already are never deleted: they are in replaced-TIME
// below dir afterwards, a data directory of its own. The change from one to the
// other is the renaming of one file, so that a power cut leaves one or the other.
func RestoreBackup(r io.Reader, dir string) error {
	if err := restore(r, dir); err != nil {
		return fmt.Errorf("restore into %s: %w", dir, mapError(err))
	}
	return nil
}

func restore(r io.Reader, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := checkTarget(dir); err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	staged, err := unpack(r, dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(staged)
	if err := noteRestore(filepath.Join(staged, databaseName), audit.Entry{Actor: "local"}); err != nil {
		return err
	}
	return takeIn(staged, dir, func() {})
}

// unpack puts a backup into a directory of its own below dir and proves it. What earlier
// ones have left there goes.
func unpack(r io.Reader, dir string) (_ string, err error) {
	if err := clearRestores(dir); err != nil {
		return "", err
	}
	staged, err := os.MkdirTemp(dir, restorePrefix)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(staged)
		}
	}()
	if err := makeDirs(staged); err != nil {
		return "", err
	}
	err = readBackup(r, staged, func(sum string) (io.WriteCloser, error) {
		f, err := os.OpenFile(blobPath(staged, sum), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		return newSyncCloser(f), nil
	})
	return staged, err
}

// takeIn lets what was unpacked take the place of the data in dir, which no daemon uses.
// It calls goesOn with each file.
func takeIn(staged, dir string, goesOn func()) error {
	if err := giveTo(dir, staged); err != nil {
		return err
	}
	old, err := setAside(dir, goesOn)
	if err != nil {
		return err
	}
	if err := moveIn(staged, dir, goesOn); err != nil {
		return err
	}
	return dropReplaced(dir, old, goesOn)
}

// checkTarget refuses a directory that is not docscan's.
func checkTarget(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, databaseName)); err == nil {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == blobsName, name == spoolName, name == indexName, name == auditKeyName, name == "lost+found",
			strings.HasPrefix(name, restorePrefix), strings.HasPrefix(name, replacedPrefix):
		default:
			return fmt.Errorf("%w: %s is there, but no data of docscan. Name docscan's data directory, or an empty one", ErrExists, name)
		}
	}
	return nil
}

// lock keeps daemons away from the database in dir, if there is one.
func lock(dir string) (unlock func(), err error) {
	name := filepath.Join(dir, databaseName)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	var db *bbolt.DB
	err = guarded(func() (err error) {
		db, err = bbolt.Open(name, 0o600, &bbolt.Options{Timeout: lockTimeout})
		return err
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%w. Nothing was touched. Stop it first", ErrLocked)
	}
	if err != nil {
		// Nobody holds it, and a damaged database is a reason to restore one.
		return func() {}, nil
	}
	return func() { db.Close() }, nil
}

// clearRestores removes what restores that were cut off have left.
func clearRestores(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), restorePrefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// noteRestore enters the restore into the log of the database it brings, unless by, which
// says who does it and in Target of what, is the last entry already. The log-ins of that
// time end: of some that has happened since.
func noteRestore(path string, by audit.Entry) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bbolt.Tx) error {
		if err := deleteWhere(tx, bucketSessions, func(*Session) bool { return true }); err != nil {
			return err
		}
		last, _, err := audit.List(tx.Bucket(bucketAudit), audit.Query{Limit: 1})
		if err != nil {
			return err
		}
		if by.Target != "" && len(last) > 0 && last[0].Action == "restore" && last[0].Target == by.Target {
			return nil
		}
		return audit.Append(tx.Bucket(bucketAudit), audit.Entry{
			EventType: audit.AdminAction,
			Actor:     by.Actor,
			Address:   by.Address,
			Action:    "restore",
			Target:    by.Target,
			Status:    audit.Success,
			Message:   "the data were replaced by those of a backup",
		})
	})
}

// setAside gives the data in dir a second name below dir and returns the sums of
// its blobs. Hard links cost no room, and leave the data usable until the new
// database takes the place of the old.
func setAside(dir string, goesOn func()) (sums []string, err error) {
	err = eachBlobFile(dir, func(path string, info fs.FileInfo) error {
		goesOn()
		if sum := info.Name(); validSum(sum) && path == blobPath(dir, sum) {
			sums = append(sums, sum)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	db := filepath.Join(dir, databaseName)
	_, err = os.Stat(db)
	if errors.Is(err, fs.ErrNotExist) && len(sums) == 0 {
		return nil, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	have := err == nil
	aside, err := os.MkdirTemp(dir, replacedPrefix+time.Now().UTC().Format("20060102T150405Z")+"-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(aside)
		}
	}()
	if err := makeDirs(aside); err != nil {
		return nil, err
	}
	if have {
		if err := os.Link(db, filepath.Join(aside, databaseName)); err != nil {
			return nil, fmt.Errorf("keep the data that are there: %w. Move them elsewhere yourself and restore into an empty directory", err)
		}
	}
	for _, sum := range sums {
		goesOn()
		if err := os.Link(blobPath(dir, sum), blobPath(aside, sum)); err != nil {
			return nil, fmt.Errorf("keep the data that are there: %w. Move them elsewhere yourself and restore into an empty directory", err)
		}
	}
	if err := giveTo(dir, aside); err != nil {
		return nil, err
	}
	if err := syncDirs(aside, goesOn); err != nil {
		return nil, err
	}
	return sums, nil
}

// moveIn moves the staged data to dir. Until the last step the data in dir are
// as before but for files that no record names.
func moveIn(staged, dir string, goesOn func()) error {
	if err := makeDirs(dir); err != nil {
		return err
	}
	err := eachBlobFile(staged, func(path string, info fs.FileInfo) error {
		goesOn()
		return os.Rename(path, blobPath(dir, info.Name()))
	})
	if err != nil {
		return err
	}
	// The index belongs to the old data; the daemon makes it anew.
	if err := os.RemoveAll(filepath.Join(dir, indexName)); err != nil {
		return err
	}
	if err := makeDirs(dir); err != nil {
		return err
	}
	for _, name := range []string{blobsName, spoolName, indexName} {
		if err := giveTo(dir, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := syncDirs(dir, goesOn); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(staged, databaseName), filepath.Join(dir, databaseName)); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDirs makes all names of a data directory durable.
func syncDirs(dir string, goesOn func()) error {
	blobs := filepath.Join(dir, blobsName)
	entries, err := os.ReadDir(blobs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		goesOn()
		if err := syncDir(filepath.Join(blobs, e.Name())); err != nil {
			return err
		}
	}
	if err := syncDir(blobs); err != nil {
		return err
	}
	return syncDir(dir)
}

// dropReplaced takes those of the old blobs out of dir that its database does
// not name. They are still in the directory of the replaced data.
func dropReplaced(dir string, old []string, goesOn func()) error {
	var named map[string]Blob
	err := withDatabase(filepath.Join(dir, databaseName), func(tx *bbolt.Tx) (err error) {
		named, err = namedBlobs(tx, context.Background().Err)
		return err
	})
	if err != nil {
		return err
	}
	for _, sum := range old {
		goesOn()
		if _, ok := named[sum]; ok {
			continue
		}
		if err := os.Remove(blobPath(dir, sum)); err != nil {
			return err
		}
	}
	return nil
}
