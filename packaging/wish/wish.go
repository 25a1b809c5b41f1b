// Package wish asks root for what docscand may not do itself on an installed box.
//
// docscand leaves a wish, one line, in a file of its runtime directory. A path unit
// of systemd waits for that file and starts a program as root, which takes the wish
// away, judges it, and answers in a file of root's directory. The two trust each
// other with nothing but the line: what it says was written by a program with fewer
// rights, and what may be wished for is decided by the one that answers.
package wish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// Files are where a wish is left and where its answer comes.
type Files struct{ Wish, Result string }

// An answer begins with the number of its wish and one of these words.
const (
	done   = "done"
	failed = "failed"
)

// maxLine bounds a wish and an answer, in bytes.
const maxLine = 64 << 10

// pollEvery is how often the answer is looked for.
const pollEvery = 250 * time.Millisecond

var (
	// ErrNoAnswer says that nobody took the wish, or did not come to an end.
	ErrNoAnswer = errors.New("there was no answer")
	// ErrNone says that a file holds no wish.
	ErrNone = errors.New("this is no wish")
)

// A Refusal is the reason why a wish was not granted, for people.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Ask leaves a wish, a line without its end, and waits for the answer until ctx
// ends. The error is a [Refusal] if the answer was no.
func (f Files) Ask(ctx context.Context, text string) (answer string, err error) {
	if strings.ContainsAny(text, "\n\r\x00") || len(text) > maxLine-64 {
		return "", fmt.Errorf("%w: it has %d bytes or several lines", ErrNone, len(text))
	}
	id := uuid.NewString()
	fresh := filepath.Join(filepath.Dir(f.Wish), "."+filepath.Base(f.Wish)+"-"+id)
	if err := os.WriteFile(fresh, []byte(id+" "+text+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("leave a wish: %w", err)
	}
	if err := os.Rename(fresh, f.Wish); err != nil {
		return "", errors.Join(fmt.Errorf("leave a wish: %w", err), os.Remove(fresh))
	}
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		b, err := os.ReadFile(f.Result)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("look for the answer: %w", err)
		}
		if rest, ok := strings.CutPrefix(strings.TrimSpace(string(b)), id+" "); ok {
			switch state, why, _ := strings.Cut(rest, " "); state {
			case done:
				return why, nil
			case failed:
				return "", Refusal(why)
			}
		}
		select {
		case <-ctx.Done():
			return "", ErrNoAnswer
		case <-t.C:
		}
	}
}

// Take takes the wish that was left, for the program that grants it. What it gives
// is untrusted.
func (f Files) Take() (id, text string, err error) {
	// A link could lead to a file that only root may read; a pipe would never end.
	file, err := os.OpenFile(f.Wish, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", "", errors.Join(fmt.Errorf("%w: %w", ErrNone, err), os.RemoveAll(f.Wish))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return "", "", errors.Join(ErrNone, err, os.RemoveAll(f.Wish))
	}
	b, err := io.ReadAll(io.LimitReader(file, maxLine+1))
	if err := errors.Join(err, os.Remove(f.Wish)); err != nil {
		return "", "", fmt.Errorf("take the wish: %w", err)
	}
	line, ok := bytes.CutSuffix(b, []byte("\n"))
	id, text, _ = strings.Cut(string(line), " ")
	if _, err := uuid.Parse(id); !ok || err != nil || len(id) != 36 || len(b) > maxLine || strings.ContainsAny(text, "\n\r\x00") {
		return "", "", ErrNone
	}
	return id, text, nil
}

// Answer says that the wish was granted, with text, or why it was not.
func (f Files) Answer(id, text string, refusal error) error {
	state := done
	if refusal != nil {
		state, text = failed, refusal.Error()
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxLine-128 {
		text = strings.ToValidUTF8(text[:maxLine-128], "") + "..."
	}
	fresh := f.Result + ".new"
	err := os.WriteFile(fresh, []byte(id+" "+state+" "+text+"\n"), 0o644)
	if err == nil {
		err = os.Chmod(fresh, 0o644) // whatever the umask is: docscand has to read it
	}
	if err == nil {
		err = os.Rename(fresh, f.Result)
	}
	if err != nil {
		return fmt.Errorf("answer the wish: %w", err)
	}
	return nil
}
