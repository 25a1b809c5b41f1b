//go:build linux

package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"docscan/packaging/wish"
)

// A Wish is what docscand asks root for. It opens the box for updates and nothing
// else: what more a key may do, only root itself can say. Who has taken docscand
// over could thereby let a key in that may do less than docscand may anyway.
type Wish struct {
	Keys   string `json:"keys,omitempty"`   // lines as in authorized_keys, to let in
	CA     string `json:"ca,omitempty"`     // authorities to let in
	Remove string `json:"remove,omitempty"` // fingerprint of a key or an authority to keep out
	Off    bool   `json:"off,omitempty"`    // keep everybody out
}

// Paths of the units in packaging/systemd.
const (
	unitFile   = "/usr/lib/systemd/system/docscan-fleet.path"
	wishFile   = "/run/docscan/fleet-wish"
	resultFile = "/run/docscan-fleet/result"
)

// Files are those through which this system's docscand asks; ok is false where
// nobody would answer.
func Files() (f wish.Files, ok bool) {
	_, err := os.Stat(unitFile)
	return wish.Files{Wish: wishFile, Result: resultFile}, err == nil
}

// Ask asks root for w and gives what was done, a line each. The error is a
// [wish.Refusal] if it was not.
func Ask(ctx context.Context, f wish.Files, w Wish) (done []string, err error) {
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	answer, err := f.Ask(ctx, string(text))
	if err == nil && answer != "" {
		err = json.Unmarshal([]byte(answer), &done)
	}
	return done, err
}

// Grant grants the wish that docscand has left, if it is one that may be granted,
// and answers it. An error is one of this system, not of the wish.
func (b Box) Grant(ctx context.Context, f wish.Files) error {
	id, text, err := f.Take()
	if errors.Is(err, wish.ErrNone) {
		return nil // nobody waits for an answer
	}
	if err != nil {
		return err
	}
	done, refusal := b.grant(ctx, []byte(text))
	answer, err := json.Marshal(done)
	if err != nil {
		return err
	}
	return f.Answer(id, string(answer), refusal)
}

// parseWish reads a wish, which wants one thing.
func parseWish(text []byte) (Wish, error) {
	var w Wish
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return w, fmt.Errorf("%w: %w", wish.ErrNone, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return w, fmt.Errorf("%w: something follows it", wish.ErrNone)
	}
	n := 0
	for _, wanted := range []bool{w.Keys != "" || w.CA != "", w.Remove != "", w.Off} {
		if wanted {
			n++
		}
	}
	if n != 1 {
		return w, fmt.Errorf("%w: it wants %d things", wish.ErrNone, n)
	}
	return w, nil
}

func (b Box) grant(ctx context.Context, text []byte) (done []string, err error) {
	w, err := parseWish(text)
	switch {
	case err != nil:
		return nil, err
	case w.Off:
		return nil, b.Off(ctx)
	case w.Remove != "":
		return nil, b.Remove(ctx, w.Remove)
	}
	return b.Let(ctx, Grant{Keys: []byte(w.Keys), CA: []byte(w.CA)})
}
