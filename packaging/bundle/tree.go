package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// OpenTree gives the version that lies unpacked below dir, with its manifest.json
// beside its files, as Debian's package brings it. It is not signed: whoever calls
// this trusts the directory. Close the tree when the Bundle is used no more.
func OpenTree(dir string) (*Bundle, io.Closer, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open version: %w", err)
	}
	b, err := openTree(root)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open version in %s: %w", dir, err), root.Close())
	}
	return b, root, nil
}

func openTree(root *os.Root) (*Bundle, error) {
	f, err := root.Open(ManifestName)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := &Bundle{tree: root.FS()}
	if b.raw, err = io.ReadAll(io.LimitReader(f, MaxManifest+1)); err != nil {
		return nil, err
	}
	if b.Manifest, err = ParseManifest(b.raw); err != nil {
		return nil, err
	}
	if b.Manifest.Base != "" {
		return nil, fmt.Errorf("the manifest is that of a delta: %w", ErrBase)
	}
	return b, nil
}

// copyPlain is Unpack for a file that lies there unpacked.
func (b *Bundle) copyPlain(ctx context.Context, f File, w io.Writer) error {
	r, err := b.tree.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("missing: %w", ErrTruncated)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(contextReader{ctx, r}, f.Size+1))
	if err != nil {
		return err
	}
	if n != f.Size || hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return ErrTampered
	}
	return nil
}
