//go:build linux

package account

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docscan/packaging/wish"
)

// waits gives files between which nothing has happened yet, and grants the wishes
// that come, as systemd would start it.
func waits(t *testing.T, b Box) wish.Files {
	t.Helper()
	dir := t.TempDir()
	f := wish.Files{Wish: filepath.Join(dir, "wish"), Result: filepath.Join(dir, "result")}
	ended := make(chan error, 1)
	go func() {
		for t.Context().Err() == nil {
			if _, err := os.Lstat(f.Wish); err == nil {
				if err := b.Grant(t.Context(), f); err != nil && t.Context().Err() == nil {
					ended <- err
					return
				}
			}
			time.Sleep(5 * time.Millisecond) // as the path unit waits
		}
		ended <- nil
	}()
	t.Cleanup(func() { // the context of the test has ended
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestWish(t *testing.T) {
	b := newBox(t)
	f := waits(t, b)
	done, err := Ask(t.Context(), f, Wish{Keys: string(newKey(t, "anna@laptop")), CA: string(newKey(t, "ca"))})
	if err != nil || !strings.Contains(strings.Join(done, "\n"), "anna@laptop may come in as docscan-update and use: updates.") {
		t.Errorf("let in: %q, %v", done, err)
	}
	ways, err := b.Ways()
	if err != nil || len(ways) != 2 {
		t.Fatalf("ways: %q, %v", ways, err)
	}
	if _, err := Ask(t.Context(), f, Wish{Remove: ways[0].Fingerprint}); err != nil {
		t.Error(err)
	}
	var no wish.Refusal
	for name, w := range map[string]Wish{"no key": {Keys: "hello"}, "no such key": {Remove: "SHA256:x"}, "nothing": {}, "two things": {Off: true, Remove: "x"}} {
		if _, err := Ask(t.Context(), f, w); !errors.As(err, &no) || no == "" {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	if _, err := Ask(t.Context(), f, Wish{Off: true}); err != nil {
		t.Error(err)
	}
	if ways, err := b.Ways(); err != nil || len(ways) != 0 {
		t.Errorf("ways afterwards: %q, %v", ways, err)
	}
}

// Whatever a docscand that somebody has taken over wishes for: no key may do more
// than bring updates, and nothing but the files of this package is touched.
func FuzzWish(f *testing.F) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9rBQhXyGfsVq4DLwRnqtMH4zJ4OjvS2oXCcUGo8W2q x"
	for _, w := range []Wish{{Keys: key}, {CA: key}, {Keys: `command="/bin/sh" ` + key}, {Remove: "SHA256:x"}, {Off: true}} {
		text, err := json.Marshal(w)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"keys":"x","allow":["config"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		w, err := parseWish(text)
		if err != nil {
			return
		}
		lines, err := Box{Program: "/usr/bin/docscanctl"}.keyLines(Grant{Keys: []byte(w.Keys), CA: []byte(w.CA)})
		if err != nil {
			return
		}
		for _, l := range lines {
			if !strings.HasPrefix(l.text, `restrict,command="/usr/bin/docscanctl receive --name `) || strings.ContainsAny(l.text, "\n\r\x00") || strings.Contains(l.text[:strings.Index(l.text, `" `)], "--allow") {
				t.Errorf("line %q", l.text)
			}
		}
	})
}
