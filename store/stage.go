package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

// A backup can be restored while docscan works, but for the last step: it is unpacked
// beside the data and proven, shown to who brought it, and takes the place of the data at
// the next start, before these are opened. Until that step, which is the renaming of one
// file, all is as it was.

// stagedName is the file in an unpacked backup that says what is in it.
const stagedName = "staged.json"

// Staged is a backup that lies unpacked and proven beside the data.
type Staged struct {
	ID             string    `json:"id"`
	Until          time.Time `json:"until,omitzero"` // when the last was recorded in it
	Documents      int       `json:"documents"`
	People         int       `json:"people"`
	Administrators []string  `json:"administrators"` // who can log in and administer
	Ready          bool      `json:"ready"`          // it takes the place of the data at the next start
}

// StageBackup unpacks and proves a backup. One that was laid ready before goes. The error
// is one of RestoreBackup's; after it nothing is left of the backup.
func (s *Store) StageBackup(r io.Reader) (Staged, error) {
	x, err := s.stage(r)
	if err != nil {
		return Staged{}, fmt.Errorf("lay the backup ready: %w", mapError(err))
	}
	return x, nil
}

func (s *Store) stage(r io.Reader) (x Staged, err error) {
	staged, err := unpack(r, s.dir)
	if err != nil {
		return x, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(staged)
		}
	}()
	if x, err = describe(filepath.Join(staged, databaseName)); err != nil {
		return x, err
	}
	x.ID = strings.TrimPrefix(filepath.Base(staged), restorePrefix)
	return x, writeStaged(staged, x)
}

// describe tells what is in a database of a backup.
func describe(path string) (Staged, error) {
	x := Staged{Administrators: []string{}}
	err := withDatabase(path, func(tx *bbolt.Tx) error {
		x.Documents = tx.Bucket(bucketDocuments).Stats().KeyN
		last, _, err := audit.List(tx.Bucket(bucketAudit), audit.Query{Limit: 1})
		if err != nil {
			return err
		}
		for _, l := range last {
			x.Until = l.Time
		}
		return each(tx, bucketUsers, func(_ []byte, u *User) error {
			x.People++
			if u.Role == RoleAdmin && u.Active() {
				x.Administrators = append(x.Administrators, u.Name)
			}
			return nil
		})
	})
	slices.Sort(x.Administrators)
	return x, err
}

// writeStaged says durably what is in an unpacked backup.
func writeStaged(staged string, x Staged) error {
	j, err := json.Marshal(x)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(staged, stagedName+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // no longer there when all went well
	_, err = f.Write(j)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(staged, stagedName)); err != nil {
		return err
	}
	return syncDir(staged)
}

// eachStaged goes through the unpacked backups below dir; one that is not whole has no ID.
func eachStaged(dir string, f func(path string, x Staged) error) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), restorePrefix) {
			continue
		}
		var x Staged
		path := filepath.Join(dir, e.Name())
		j, err := os.ReadFile(filepath.Join(path, stagedName))
		if err == nil {
			err = json.Unmarshal(j, &x)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			x = Staged{}
		}
		if err := f(path, x); err != nil {
			return err
		}
	}
	return nil
}

// Staged gives the backup that lies ready beside the data, or ErrNotFound.
func (s *Store) Staged() (found Staged, err error) {
	err = eachStaged(s.dir, func(_ string, x Staged) error {
		if x.ID != "" {
			found = x
		}
		return nil
	})
	if err == nil && found.ID == "" {
		err = ErrNotFound
	}
	return found, err
}

// ReadyStaged has the backup with that ID take the place of the data at the next start.
// Who wishes it stands in by, which goes into the log of the data and into that of the backup,
// once however often that is wished: a crash may come between any two steps of it.
func (s *Store) ReadyStaged(id string, by audit.Entry) error {
	by.Target = id
	found := false
	err := eachStaged(s.dir, func(path string, x Staged) error {
		if x.ID != id || id == "" {
			return nil
		}
		found = true
		if x.Ready {
			return nil
		}
		if err := noteRestore(filepath.Join(path, databaseName), by); err != nil {
			return err
		}
		noted, _, err := s.Audit(audit.Query{Action: by.Action, Target: id, Limit: 1})
		if err == nil && len(noted) == 0 {
			err = s.AddAudit(by)
		}
		if err != nil {
			return err
		}
		x.Ready = true
		return writeStaged(path, x)
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return mapError(err)
}

// DropStaged removes what lies ready.
func (s *Store) DropStaged() error { return clearRestores(s.dir) }

// FinishRestore lets a backup that is ready take the place of the data in dir, before they
// are opened, and reports whether it did. What is not ready goes. After an error the data
// are as they were, and nothing is left of the backup; ErrLocked is that a daemon uses the
// data, and nothing was touched. With many files it takes minutes: it calls goesOn with
// each, so that others can tell it from one that hangs.
func FinishRestore(dir string, goesOn func()) (restored bool, err error) {
	if restored, err = finishRestore(dir, goesOn); err != nil {
		return restored, fmt.Errorf("restore the backup that lies ready: %w", mapError(err))
	}
	return restored, nil
}

func finishRestore(dir string, goesOn func()) (restored bool, err error) {
	var list []string
	ready := make(map[string]bool)
	err = eachStaged(dir, func(path string, x Staged) error {
		list, ready[path] = append(list, path), x.Ready
		return nil
	})
	if err != nil || len(list) == 0 {
		return false, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return false, err
	}
	defer unlock()
	for _, path := range list {
		if ready[path] {
			// The last step is the move of the database. A power cut may have come behind it.
			if !moved(path) {
				err = takeIn(path, dir, goesOn)
			}
			if moved(path) {
				restored, err = true, nil // what is left of the old data is swept
			}
		}
		if err = errors.Join(err, os.RemoveAll(path)); err != nil {
			return restored, err
		}
	}
	return restored, nil
}

// moved reports whether the database of an unpacked backup is where it belongs.
func moved(staged string) bool {
	_, err := os.Stat(filepath.Join(staged, databaseName))
	return errors.Is(err, fs.ErrNotExist)
}
