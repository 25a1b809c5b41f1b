// Package bundle makes, signs and opens the files by which docscan is updated.
//
// A bundle is a tar file in exactly one form, so that a person can look inside
// with tar, minisign and zstd. Its entries, in this order:
//
//	manifest.json.minisig     signature of manifest.json, as minisign makes it
//	manifest.json             a Manifest
//	files/PATH.zst            a file of the version, compressed
//	files/PATH.patch.zst      in a delta: what leads to it from the base's file
//
// The manifest names the size and SHA-256 of every other entry, as stored and
// as unpacked, so the one signature covers every byte. Nothing of it is parsed
// before the signature is proven, and nothing is decompressed before its stored
// bytes are. Everything outside the manifest must be, to the byte, what this
// package would have written: a tar header is compared, never interpreted.
//
// Where a version is put, and which one runs, is package slot's business.
package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// What a bundle may have at most. The largest program is below 20 MiB today.
const (
	MaxSignature = 4 << 10   // bytes
	MaxManifest  = 256 << 10 // bytes
	maxFiles     = 256
	maxFile      = 256 << 20 // bytes of one file, unpacked
	maxTotal     = 512 << 20 // bytes of all files, unpacked
	maxBase      = 128 << 20 // bytes of a file that a patch begins from: it is held in memory
)

// The names of the manifest and its signature, in a bundle and beside an
// unpacked version.
const (
	ManifestName  = "manifest.json"
	SignatureName = "manifest.json.minisig"
)

// MaxSize is how large a bundle file can be. Stored files may exceed what they
// unpack to by a little, when they cannot be compressed.
const MaxSize = maxTotal + maxTotal/64

// Why a bundle is refused, and what a person can do. Each is wrapped in what was
// found.
var (
	ErrNotBundle    = errors.New("this is not an update file of docscan; Debian's package is installed with apt")
	ErrFormat       = errors.New("the update file has a format this version does not know; update to a version in between first")
	ErrUnsigned     = errors.New("the update file is not signed; get the signed one, or sign it with docscanctl bundle sign")
	ErrUntrusted    = errors.New("the update file is signed with a key that is not trusted here; if it is the right key, put its .pub file into the folder of trusted keys, /etc/docscan/update-keys")
	ErrRevoked      = errors.New("the update file is signed with a revoked key; get one that is signed with another key")
	ErrSignature    = errors.New("the signature of the update file is wrong; get it again from where it was published")
	ErrTampered     = errors.New("the update file was changed or damaged after it was signed; get it again")
	ErrTruncated    = errors.New("the update file is not whole; get it again")
	ErrTooLarge     = errors.New("this is larger than an update file of docscan can be")
	ErrManifest     = errors.New("the manifest of the update file makes no sense; whoever made the file must make it anew")
	ErrPath         = errors.New("the update file names a file that may not be in it; do not trust where it came from")
	ErrArchitecture = errors.New("the update file is for another kind of machine; get the one for this machine")
	ErrDowngrade    = errors.New("the update file holds an older version than the one installed; an administrator can allow that, with --downgrade")
	ErrSchema       = errors.New("the version in the update file and the data here do not go together")
	ErrTooOld       = errors.New("the installed version is too old for this update file")
	ErrBase         = errors.New("the update file is a delta against another version than the one installed; use the full one")
)

// A Bundle is an update file whose signature and form have been proven. Its
// methods only read, and may be called concurrently.
type Bundle struct {
	Manifest  Manifest
	Signer    string // the key ID of the signature, as minisign prints it
	raw, sig  []byte // the manifest and its signature as they stand in the file
	file      io.ReaderAt
	positions []int64 // of the stored bytes of Manifest.Files
	tree      fs.FS   // where the files lie unpacked, instead of file and positions
}

// Open proves the signature of the bundle of size bytes in f with keys, and
// that the file is whole and of the right form. The contents of its files are
// proven by [Bundle.Verify] or as they are unpacked. f must stay open and
// unchanged while the Bundle is used.
func Open(f io.ReaderAt, size int64, keys *Keys) (*Bundle, error) {
	return open(f, size, keys)
}

// Look opens a signed bundle to see what it holds. Without keys neither its
// signature nor its contents are proven; who installs it has to do that.
func Look(f io.ReaderAt, size int64, keys *Keys) (*Bundle, error) {
	b, err := open(f, size, keys)
	if err == nil && b.sig == nil {
		return nil, ErrUnsigned
	}
	if err == nil && keys != nil {
		err = b.Verify(context.Background())
	}
	return b, err
}

// open lets keys be nil for a bundle that need not be signed: to show or to
// sign it.
func open(f io.ReaderAt, size int64, keys *Keys) (*Bundle, error) {
	if size > MaxSize {
		return nil, fmt.Errorf("%d bytes, at most %d: %w", size, int64(MaxSize), ErrTooLarge)
	}
	b := &Bundle{file: f}
	var err error
	c := container{f: f, size: size}
	b.sig, err = c.next(SignatureName, MaxSignature)
	switch {
	case errors.Is(err, errOtherEntry) && keys != nil && c.holds(ManifestName):
		return nil, ErrUnsigned
	case errors.Is(err, errOtherEntry) && c.holds(ManifestName):
		b.sig = nil // it waits for its signature
	case errors.Is(err, errOtherEntry):
		return nil, ErrNotBundle
	case err != nil:
		return nil, fmt.Errorf("signature: %w", err)
	}
	b.raw, err = c.next(ManifestName, MaxManifest)
	if errors.Is(err, errOtherEntry) {
		return nil, fmt.Errorf("no manifest after the signature: %w", ErrNotBundle)
	}
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if keys != nil {
		if b.Signer, err = keys.verify(b.raw, b.sig); err != nil {
			return nil, err
		}
	}
	if b.Manifest, err = ParseManifest(b.raw); err != nil {
		return nil, err
	}
	for _, file := range b.Manifest.Files {
		at, err := c.skip(file.entry(), file.StoredSize)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Path, err)
		}
		b.positions = append(b.positions, at)
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return b, nil
}

// Signed gives the manifest and its signature as they stand in the file, to be
// kept beside the unpacked version. [ReadManifest] proves them again.
func (b *Bundle) Signed() (manifest, signature []byte) {
	return bytes.Clone(b.raw), bytes.Clone(b.sig)
}

// Verify proves the stored bytes of every file. For a bundle that is no delta
// it also proves what they unpack to.
func (b *Bundle) Verify(ctx context.Context) error {
	for i, f := range b.Manifest.Files {
		var err error
		if f.Stored == StoredWhole {
			err = b.Unpack(ctx, i, nil, io.Discard)
		} else {
			err = b.verifyStored(ctx, i)
		}
		if err != nil {
			return fmt.Errorf("verify %s: %w", f.Path, err)
		}
	}
	return nil
}

// verifyStored proves the stored bytes of the file with this index.
func (b *Bundle) verifyStored(ctx context.Context, i int) error {
	f := b.Manifest.Files[i]
	if f.Stored == StoredBase {
		return nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, b.stored(i)}); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != f.StoredSHA256 {
		return ErrTampered
	}
	return nil
}

func (b *Bundle) stored(i int) *io.SectionReader {
	return io.NewSectionReader(b.file, b.positions[i], b.Manifest.Files[i].StoredSize)
}

// contextReader ends a copy when ctx does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
