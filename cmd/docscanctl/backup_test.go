package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docscan/store"
)

// openStore opens a store with one user in dir.
func openStore(t *testing.T, dir, user string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{Dir: dir}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if user != "" {
		if err := s.AddUser(store.User{ID: store.UserID(store.NewID()), Name: user, Role: store.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// A backup made over the API comes back by restore, and the data that were
// there are moved aside.
func TestBackupAndRestore(t *testing.T) {
	t.Chdir(t.TempDir())
	d := startDaemon(t, nil)
	s := openStore(t, "box", "anna")
	d.handle("GET /api/v1/system/backup", func(w http.ResponseWriter, r *http.Request) {
		if err := s.Backup(r.Context(), w, nil); err != nil {
			t.Error(err)
		}
	})
	code, out, errs := d.ctl(t, "", "backup", "box.tar")
	if code != exitOK || !strings.Contains(out, "box.tar (") || !strings.Contains(out, "verified") {
		t.Fatalf("backup: code %d\n%s%s", code, out, errs)
	}
	code, _, errs = ctl(t, nil, "", "restore", "box.tar", "--data", "box")
	if code != exitFailure || !strings.Contains(errs, "another docscand is using") {
		t.Errorf("onto a running docscand: code %d\n%s", code, errs)
	}
	openStore(t, "other", "bob").Close()
	code, out, errs = ctl(t, map[string]string{"DOCSCAN_STORE_DIR": "other"}, "", "restore", "box.tar")
	if code != exitOK || !strings.Contains(out, "The data that were there before are in "+filepath.Join("other", "replaced-")) {
		t.Errorf("restore: code %d\n%s%s", code, out, errs)
	}
	if _, err := openStore(t, "other", "").UserByName("anna"); err != nil {
		t.Errorf("what was backed up is not there: %v", err)
	}
	if code, out, errs := ctl(t, nil, "", "restore", "box.tar", "--data", "new"); code != exitOK || strings.Contains(out, "before") {
		t.Errorf("into a new directory: code %d\n%s%s", code, out, errs)
	}
}

func TestBackupDamaged(t *testing.T) {
	t.Chdir(t.TempDir())
	var whole bytes.Buffer
	if err := openStore(t, "box", "anna").Backup(context.Background(), &whole, nil); err != nil {
		t.Fatal(err)
	}
	half := whole.Bytes()[:whole.Len()/2]
	d := startDaemon(t, nil)
	d.handle("GET /api/v1/system/backup", func(w http.ResponseWriter, _ *http.Request) { w.Write(half) })
	if err := os.WriteFile("b.tar", []byte("yesterday's"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := d.ctl(t, "", "backup", "b.tar")
	if code != exitFailure || !strings.Contains(errs, "thrown away") {
		t.Errorf("code %d\n%s", code, errs)
	}
	if b, err := os.ReadFile("b.tar"); string(b) != "yesterday's" {
		t.Errorf("the old backup is gone: %q, %v", b, err)
	}
	if err := os.WriteFile("half.tar", half, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := ctl(t, nil, "", "restore", "half.tar", "--data", "new"); code != exitFailure || !strings.Contains(errs, store.ErrBadBackup.Error()) {
		t.Errorf("restore: code %d\n%s", code, errs)
	}
	if _, err := os.Stat(filepath.Join("new", "docscan.db")); err == nil {
		t.Error("half a backup was restored")
	}
}

func TestRestoreNowhere(t *testing.T) {
	t.Chdir(t.TempDir())
	before := dataPlaces
	dataPlaces = dataPlaces[1:] // docscand may be installed on this machine
	t.Cleanup(func() { dataPlaces = before })
	if code, _, errs := ctl(t, nil, "", "restore", "x.tar"); code != exitUsage || !strings.Contains(errs, "--data DIR") {
		t.Errorf("code %d\n%s", code, errs)
	}
	if code, _, errs := ctl(t, nil, "", "restore", "x.tar", "--data", "d"); code != exitFailure || !strings.Contains(errs, "no such file") {
		t.Errorf("code %d\n%s", code, errs)
	}
}

func TestCheck(t *testing.T) {
	t.Chdir(t.TempDir())
	s := openStore(t, "box", "anna")
	if code, _, errs := ctl(t, nil, "", "check", "--offline", "--data", "box"); code != exitFailure || !strings.Contains(errs, "Leave --offline out") {
		t.Errorf("in use: code %d\n%s", code, errs)
	}
	blob, err := s.NewBlob()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(blob, "page"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if code, out, errs := ctl(t, nil, "", "check", "--offline", "--data", "box"); code != exitOK || !strings.Contains(out, "Everything is in order: 0 documents") {
		t.Errorf("whole: code %d\n%s%s", code, out, errs)
	}
	orphan := filepath.Join("box", "blobs", "ab", "ab"+strings.Repeat("0", 62))
	if err := os.MkdirAll(filepath.Dir(orphan), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(orphan, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := ctl(t, nil, "", "check", "--offline", "--data", "box")
	if code != exitFailure || !strings.Contains(out, "orphan-blob") || !strings.Contains(errs, "1 problem found") {
		t.Errorf("orphan: code %d\n%s%s", code, out, errs)
	}
	if code, out, _ := ctl(t, nil, "", "check", "--offline", "--data", "box", "--json"); code != exitFailure || !strings.Contains(out, `"kind": "orphan-blob"`) {
		t.Errorf("--json: code %d\n%s", code, out)
	}
	if code, _, _ := ctl(t, nil, "", "check", "--data", "box"); code != exitUsage {
		t.Errorf("--data without --offline: code %d", code)
	}
}

func TestCheckOnline(t *testing.T) {
	d := startDaemon(t, map[string]string{"POST /api/v1/system/check": `{"problems":[{"kind":"missing-blob","subject":"page 1\u001b","what":"It is gone.","advice":"Restore."}],"counts":{}}`})
	code, out, errs := d.ctl(t, "", "check")
	if code != exitFailure || out != "missing-blob page 1: It is gone.\n  -> Restore.\n" || errs != "docscanctl: 1 problem found\n" {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
}
