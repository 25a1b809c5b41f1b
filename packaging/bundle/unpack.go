package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/klauspost/compress/zstd"
)

// wholeWindow bounds the memory that unpacking a file needs, whatever its size.
const wholeWindow = 8 << 20

// Unpack writes Manifest.Files[i] to w. The stored bytes are proven before they
// are decompressed, and what was written before nil is returned; after an error
// it is worthless. base has the files of the version that a delta begins from;
// it may be nil unless the bundle is one.
func (b *Bundle) Unpack(ctx context.Context, i int, base fs.FS, w io.Writer) error {
	f := b.Manifest.Files[i]
	if b.tree != nil {
		return b.copyPlain(ctx, f, w)
	}
	if err := b.verifyStored(ctx, i); err != nil {
		return err
	}
	old, err := readBase(ctx, f, base)
	if err != nil {
		return err
	}
	if f.Stored == StoredBase {
		_, err := w.Write(old)
		return err
	}
	d, err := zstd.NewReader(contextReader{ctx, b.stored(i)}, decoderOptions(f, old)...)
	if err != nil {
		return err
	}
	defer d.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(d, f.Size+1))
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return fmt.Errorf("it needs too much memory to unpack: %w", ErrTooLarge)
	}
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if n > f.Size {
		return fmt.Errorf("it unpacks to more than the %d bytes of the manifest: %w", f.Size, ErrTooLarge)
	}
	if n != f.Size || hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("it unpacks to something else than the manifest says: %w", ErrManifest)
	}
	return nil
}

// readBase reads and proves the base's file that f needs, nil for none.
func readBase(ctx context.Context, f File, base fs.FS) ([]byte, error) {
	if f.Stored == StoredWhole {
		return nil, nil
	}
	if base == nil {
		return nil, fmt.Errorf("none is at hand: %w", ErrBase)
	}
	r, err := base.Open(f.Path)
	if err != nil {
		return nil, fmt.Errorf("file of the installed version: %w", err)
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, fmt.Errorf("file of the installed version: %w", err)
	}
	if info.Size() > maxBase {
		return nil, fmt.Errorf("the installed file has more than %d bytes: %w", maxBase, ErrTooLarge)
	}
	old := make([]byte, info.Size())
	if _, err := io.ReadFull(contextReader{ctx, r}, old); err != nil {
		return nil, fmt.Errorf("file of the installed version: %w", err)
	}
	if sum := sha256.Sum256(old); hex.EncodeToString(sum[:]) != f.BaseSHA256 {
		return nil, fmt.Errorf("the installed file is not as that version had it: %w", ErrBase)
	}
	return old, nil
}

// decoderOptions let the decoder have no more memory than the file needs. One
// goroutine of it is enough, on a box that scans at the same time.
func decoderOptions(f File, old []byte) []zstd.DOption {
	o := []zstd.DOption{
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(wholeWindow),
	}
	if f.Stored == StoredPatch {
		// Number 0 is what zstd --patch-from uses.
		o = append(o, zstd.WithDecoderMaxWindow(uint64(patchWindow(f.Size, int64(len(old))))), zstd.WithDecoderDictRaw(0, old))
	}
	return o
}

// patchWindow is the window of a patch: a power of two that reaches over both
// the file and the base's.
func patchWindow(size, baseSize int64) int {
	w := int64(zstd.MinWindowSize)
	for w < size+baseSize && w < zstd.MaxWindowSize {
		w *= 2
	}
	return int(w)
}
