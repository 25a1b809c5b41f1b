package box

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"aead.dev/minisign"

	"docscan/packaging/bundle"
)

// Publisher makes signed updates.
type Publisher struct {
	Keys string // the directory of its public key
	key  minisign.PrivateKey
}

// NewPublisher makes a key of its own in dir.
func NewPublisher(dir string) (*Publisher, error) {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	text, err := public.MarshalText()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &Publisher{dir, private}, os.WriteFile(filepath.Join(dir, "test.pub"), text, 0o600)
}

// Publish makes a bundle of a version in the file name. Its program is exe; with
// a script, that is what starts and the program is docscand.real beside it.
func (p *Publisher) Publish(ctx context.Context, name, version, exe, script string) error {
	tree, err := os.MkdirTemp(filepath.Dir(name), "tree-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	program, err := os.ReadFile(exe)
	if err != nil {
		return err
	}
	files := map[string][]byte{"docscand": program}
	if script != "" {
		files = map[string][]byte{"docscand": []byte(script), "docscand.real": program}
	}
	if err := os.Mkdir(filepath.Join(tree, "bin"), 0o755); err != nil {
		return err
	}
	for file, content := range files {
		if err := os.WriteFile(filepath.Join(tree, "bin", file), content, 0o755); err != nil {
			return err
		}
	}
	var unsigned, signed bytes.Buffer
	err = bundle.Create(ctx, &unsigned, bundle.Manifest{
		Version: version, Architecture: runtime.GOARCH, Created: time.Now().UTC().Truncate(time.Second),
		Schema: bundle.Schema{Oldest: 1, Newest: 2, Reader: 1}, From: "0.0.1",
	}, tree)
	if err == nil {
		err = bundle.Sign(&signed, bytes.NewReader(unsigned.Bytes()), int64(unsigned.Len()), p.key)
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", version, err)
	}
	return os.WriteFile(name, signed.Bytes(), 0o600)
}

// Delta makes a signed delta in the file name that leads from one bundle to another.
func (p *Publisher) Delta(ctx context.Context, name, from, to string) error {
	keys, err := bundle.LoadKeys(p.Keys)
	if err != nil {
		return err
	}
	var list []*bundle.Bundle
	for _, file := range []string{from, to} {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		b, err := bundle.Open(bytes.NewReader(data), int64(len(data)), keys)
		if err != nil {
			return err
		}
		list = append(list, b)
	}
	var unsigned, signed bytes.Buffer
	err = bundle.Delta(ctx, &unsigned, list[0], list[1])
	if err == nil {
		err = bundle.Sign(&signed, bytes.NewReader(unsigned.Bytes()), int64(unsigned.Len()), p.key)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(name, signed.Bytes(), 0o600)
}

// Update is how an update stands, as the API tells.
type Update struct {
	Running string `json:"running"`
	State   string `json:"state"`
	Doing   string `json:"doing"`
	Reason  string `json:"reason"`
	Failure string `json:"failure"`
}

// partSize is how much of a bundle one request uploads, in bytes.
const partSize = 8 << 20

// Upload uploads a file and gives its digest and size.
func (b *Box) Upload(ctx context.Context, name string) (digest string, size int64, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", 0, err
	}
	sum := sha256.Sum256(data)
	digest, size = hex.EncodeToString(sum[:]), int64(len(data))
	for at := 0; at < len(data); at += partSize {
		part := data[at:min(at+partSize, len(data))]
		path := fmt.Sprintf("/api/v1/update/uploads/%s?size=%d&offset=%d", digest, size, at)
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, b.URL+path, bytes.NewReader(part))
		if err != nil {
			return "", 0, err
		}
		req.Header.Set("Authorization", "Bearer "+b.Token)
		resp, err := b.client().Do(req)
		if err != nil {
			return "", 0, err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return "", 0, fmt.Errorf("upload: status %d, %v: %s", resp.StatusCode, err, text)
		}
	}
	return digest, size, nil
}

// Install uploads a bundle, has it installed, and waits for what comes of it.
func (b *Box) Install(ctx context.Context, name string, downgrade bool) (Update, error) {
	digest, size, err := b.Upload(ctx, name)
	if err != nil {
		return Update{}, err
	}
	in := map[string]any{"digest": digest, "size": size, "downgrade": downgrade}
	if err := b.Post(ctx, "/api/v1/update/install", in, nil); err != nil {
		return Update{}, err
	}
	return b.Settled(ctx)
}

// Settled waits until nothing of an update is going on.
func (b *Box) Settled(ctx context.Context) (Update, error) {
	var u Update
	err := Until(ctx, func() (bool, error) {
		u = Update{}
		if err := b.Get(ctx, "/api/v1/update", &u); err != nil {
			return false, nil // it may be taken back at this moment
		}
		return u.Doing == "" && u.State != "trying", nil
	})
	if err != nil {
		return u, fmt.Errorf("wait for the update (%+v): %w", u, err)
	}
	return u, nil
}
