package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"docscan/store/audit"
)

// stagedIn lists what lies unpacked in a data directory.
func stagedIn(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, restorePrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A backup is laid ready while work goes on, and takes the place of the data at the next
// start if somebody has confirmed it; whenever the power goes, it is one or the other.
func TestRestoreInTwoSteps(t *testing.T) {
	by := audit.Entry{EventType: audit.AdminAction, Actor: "anna", Address: "10.0.0.9", Action: "restore", Status: audit.Success}
	type box struct {
		dir              string
		s                *Store
		kept, since      DocumentID // before and after the backup
		backup           []byte
		restored, intact func()
	}
	start := func(t *testing.T) *box {
		dir := t.TempDir()
		b := &box{dir: dir, s: openIn(t, dir)}
		for _, u := range []User{{ID: "1", Name: "anna", Role: RoleAdmin}, {ID: "2", Name: "ben", Role: RoleMember}, {ID: "3", Name: "carl", Role: RoleAdmin, Disabled: true}} {
			u.Created = time.Now()
			if err := b.s.AddUser(u, entry); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.s.AddSession(nil, Session{ID: "s", Hash: "h", User: "1", Created: time.Now(), Seen: time.Now(), Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		b.kept = fileBatch(t, b.s, "1", 3).ID
		var backup bytes.Buffer
		if err := b.s.Backup(t.Context(), &backup, nil); err != nil {
			t.Fatal(err)
		}
		b.backup = backup.Bytes()
		b.since = fileBatch(t, b.s, "1", 2).ID
		look := func(want bool) {
			t.Helper()
			if list := stagedIn(t, dir); len(list) > 0 {
				t.Errorf("there is still %q", list)
			}
			s := openIn(t, dir)
			defer s.Close()
			_, err := s.Document(b.since)
			if gone := errors.Is(err, ErrNotFound); gone != want {
				t.Errorf("the document that came since: %v, want it gone: %t", err, want)
			}
			if _, err := s.Document(b.kept); err != nil {
				t.Errorf("the document of the backup: %v", err)
			}
			// A log-in of the backup may have been ended since.
			if in, err := s.Sessions("1"); err != nil || (len(in) == 0) != want {
				t.Errorf("%d log-ins (%v), want them ended: %t", len(in), err, want)
			}
			clean(t, s)
			if _, err := s.VerifyAudit(); err != nil {
				t.Error(err)
			}
			last, _, err := s.Audit(audit.Query{Limit: 2, Action: "restore"})
			if err != nil || want && (len(last) != 1 || last[0].Actor != "anna" || last[0].Address != "10.0.0.9") {
				t.Errorf("the restore in the log: %+v, %v", last, err)
			}
		}
		b.restored = func() { t.Helper(); look(true) }
		b.intact = func() { t.Helper(); look(false) }
		return b
	}
	stage := func(t *testing.T, b *box) Staged {
		t.Helper()
		x, err := b.s.StageBackup(bytes.NewReader(b.backup))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	finish := func(t *testing.T, b *box, want bool) {
		t.Helper()
		if got, err := FinishRestore(b.dir, func() {}); err != nil || got != want {
			t.Errorf("restored: %t, %v, want %t", got, err, want)
		}
	}

	t.Run("damaged", func(t *testing.T) {
		b := start(t)
		for what, data := range map[string][]byte{"half": b.backup[:len(b.backup)/2], "nothing": nil, "text": []byte("hello")} {
			if x, err := b.s.StageBackup(bytes.NewReader(data)); !errors.Is(err, ErrBadBackup) {
				t.Errorf("%s: %+v, %v", what, x, err)
			}
		}
		if _, err := b.s.Staged(); !errors.Is(err, ErrNotFound) {
			t.Errorf("something lies ready: %v", err)
		}
		b.s.Close()
		finish(t, b, false)
		b.intact()
	})
	t.Run("not confirmed", func(t *testing.T) {
		b := start(t)
		x := stage(t, b)
		if x.Documents != 1 || x.People != 3 || !slices.Equal(x.Administrators, []string{"anna"}) || time.Since(x.Until) > time.Minute || x.Ready {
			t.Errorf("%+v", x)
		}
		if again, err := b.s.Staged(); err != nil || again.ID != x.ID {
			t.Errorf("%+v, %v", again, err)
		}
		clean(t, b.s)
		b.s.Close()
		finish(t, b, false)
		b.intact()
	})
	t.Run("dropped", func(t *testing.T) {
		b := start(t)
		stage(t, b)
		if err := b.s.DropStaged(); err != nil {
			t.Fatal(err)
		}
		b.s.Close()
		b.intact()
	})
	t.Run("confirmed", func(t *testing.T) {
		b := start(t)
		x := stage(t, b)
		if err := b.s.ReadyStaged("another", by); !errors.Is(err, ErrNotFound) {
			t.Errorf("another was confirmed: %v", err)
		}
		for range 2 { // as by a double click
			if err := b.s.ReadyStaged(x.ID, by); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := FinishRestore(b.dir, func() {}); !errors.Is(err, ErrLocked) {
			t.Errorf("beside a daemon: %v, want ErrLocked", err)
		}
		b.s.Close()
		signs := 0
		if got, err := FinishRestore(b.dir, func() { signs++ }); err != nil || !got || signs < 2*3 { // a step for each page, there and in
			t.Errorf("restored: %t, %v, with %d signs of life", got, err, signs)
		}
		b.restored()
		finish(t, b, false)
		aside, err := filepath.Glob(filepath.Join(b.dir, replacedPrefix+"*"))
		if err != nil || len(aside) != 1 {
			t.Fatalf("kept aside: %q, %v", aside, err)
		}
		if _, err := openIn(t, aside[0]).Document(b.since); err != nil {
			t.Errorf("what came since is not kept aside: %v", err)
		}
	})
	t.Run("power cut while it was confirmed", func(t *testing.T) {
		b := start(t)
		x := stage(t, b)
		if err := b.s.ReadyStaged(x.ID, by); err != nil {
			t.Fatal(err)
		}
		// Both logs have it, but that it is ready is not on the disk.
		if err := writeStaged(stagedIn(t, b.dir)[0], x); err != nil {
			t.Fatal(err)
		}
		if err := b.s.ReadyStaged(x.ID, by); err != nil {
			t.Fatal(err)
		}
		if list, _, err := b.s.Audit(audit.Query{Limit: 5, Action: "restore"}); err != nil || len(list) != 1 || list[0].Target != x.ID {
			t.Errorf("the wish in the log of the data: %+v, %v, want it once", list, err)
		}
		b.s.Close()
		finish(t, b, true)
		b.restored()
	})
	t.Run("power cut before the last step", func(t *testing.T) {
		b := start(t)
		if err := b.s.ReadyStaged(stage(t, b).ID, by); err != nil {
			t.Fatal(err)
		}
		b.s.Close()
		staged := stagedIn(t, b.dir)[0]
		if _, err := setAside(b.dir, func() {}); err != nil {
			t.Fatal(err)
		}
		moved := false // one file of several
		err := eachBlobFile(staged, func(path string, info os.FileInfo) error {
			if moved {
				return nil
			}
			moved = true
			return os.Rename(path, blobPath(b.dir, info.Name()))
		})
		if err != nil || !moved {
			t.Fatal(err)
		}
		finish(t, b, true)
		b.restored()
	})
	t.Run("power cut behind the last step", func(t *testing.T) {
		b := start(t)
		if err := b.s.ReadyStaged(stage(t, b).ID, by); err != nil {
			t.Fatal(err)
		}
		b.s.Close()
		if err := takeIn(stagedIn(t, b.dir)[0], b.dir, func() {}); err != nil {
			t.Fatal(err)
		}
		finish(t, b, true)
		b.restored()
	})
}
