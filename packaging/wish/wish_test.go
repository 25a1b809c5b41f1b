package wish

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAsk(t *testing.T) {
	dir := t.TempDir()
	f := Files{filepath.Join(dir, "wish"), filepath.Join(dir, "result")}
	granted := make(chan error, 1)
	go func() {
		for range 2 {
			for {
				if _, err := os.Stat(f.Wish); err == nil {
					break
				}
				time.Sleep(time.Millisecond) // until the wish is there
			}
			id, text, err := f.Take()
			var no error
			if text == "the moon" {
				no = errors.New("it is\nnot here")
			}
			if err = errors.Join(err, f.Answer(id, "granted: "+text, no)); err != nil {
				granted <- err
				return
			}
		}
		granted <- nil
	}()
	if got, err := f.Ask(t.Context(), "a b"); got != "granted: a b" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	var no Refusal
	if _, err := f.Ask(t.Context(), "the moon"); !errors.As(err, &no) || no != "it is not here" {
		t.Errorf("%v, want a refusal", err)
	}
	if err := <-granted; err != nil {
		t.Error(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	if _, err := f.Ask(ctx, "x"); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%v, want that nobody answers", err)
	}
	for _, bad := range []string{"a\nb", strings.Repeat("x", maxLine)} {
		if _, err := f.Ask(t.Context(), bad); !errors.Is(err, ErrNone) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}

// What lies where a wish should may be anything, for a program with fewer rights
// can put it there. It is taken away, and nothing else is.
func TestTakeHostile(t *testing.T) {
	const id = "11111111-2222-4333-8444-555555555555"
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(id+" x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(text string) func(string) error {
		return func(name string) error { return os.WriteFile(name, []byte(text), 0o600) }
	}
	for name, put := range map[string]func(string) error{
		"nothing":  file(""),
		"no end":   file(id + " x"),
		"no id":    file("x y\n"),
		"lines":    file(id + " x\ny\n"),
		"long":     file(id + " " + strings.Repeat("x", maxLine) + "\n"),
		"endless":  func(name string) error { return os.Truncate(name, 1<<40) },
		"a link":   func(name string) error { return os.Symlink(secret, name) },
		"a pipe":   func(name string) error { return syscall.Mkfifo(name, 0o600) },
		"a folder": func(name string) error { return errors.Join(os.Mkdir(name, 0o700), os.Symlink(secret, name+"/x")) },
	} {
		t.Run(name, func(t *testing.T) {
			f := Files{Wish: filepath.Join(t.TempDir(), "wish")}
			if name == "endless" {
				if err := file("")(f.Wish); err != nil {
					t.Fatal(err)
				}
			}
			if err := put(f.Wish); err != nil {
				t.Fatal(err)
			}
			if _, _, err := f.Take(); !errors.Is(err, ErrNone) {
				t.Errorf("taken: %v", err)
			}
			if _, err := os.Lstat(f.Wish); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it is left: %v", err)
			}
			if _, err := os.Stat(secret); err != nil {
				t.Error(err)
			}
		})
	}
}
