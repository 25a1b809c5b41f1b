package bundle

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aead.dev/minisign"
	"github.com/klauspost/compress/zstd"
)

// Create writes an unsigned bundle of all files below dir to w. The version and
// what goes with it are m's; Files are filled in: programs are those that their
// owner may execute. The same files and the same m give the same bytes.
//
// Compressed files are kept below a directory of their own in os.TempDir until
// the end, because the manifest that names them comes first.
func Create(ctx context.Context, w io.Writer, m Manifest, dir string) error {
	if err := create(ctx, w, m, dir); err != nil {
		return fmt.Errorf("create bundle: %w", err)
	}
	return nil
}

func create(ctx context.Context, w io.Writer, m Manifest, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	m.Format, m.Base, m.Files = Format, "", nil
	err = fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		f, err := describe(path, info)
		m.Files = append(m.Files, f)
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	b, err := newBuilder()
	if err != nil {
		return err
	}
	defer b.remove()
	for i := range m.Files {
		f := &m.Files[i]
		r, err := root.Open(filepath.FromSlash(f.Path))
		if err != nil {
			return err
		}
		err = errors.Join(b.add(ctx, f, r, nil), r.Close())
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return b.finish(w, m)
}

// describe refuses what is no plain file.
func describe(path string, info fs.FileInfo) (File, error) {
	if !info.Mode().IsRegular() || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
		return File{}, fmt.Errorf("%s is %s, neither a plain file nor a plain program: %w", path, info.Mode(), ErrPath)
	}
	mode := modePlain
	if info.Mode()&0o100 != 0 {
		mode = modeProgram
	}
	return File{Path: path, Mode: mode}, nil
}

// Delta writes an unsigned delta that leads from one full bundle to another. It
// has the manifest of the other, so it gives the same version, to the byte.
func Delta(ctx context.Context, w io.Writer, from, to *Bundle) error {
	if err := delta(ctx, w, from, to); err != nil {
		return fmt.Errorf("create delta: %w", err)
	}
	return nil
}

func delta(ctx context.Context, w io.Writer, from, to *Bundle) error {
	if from.Manifest.Base != "" || to.Manifest.Base != "" {
		return fmt.Errorf("only from a full bundle to a full bundle: %w", ErrBase)
	}
	if from.Manifest.Architecture != to.Manifest.Architecture {
		return fmt.Errorf("from %s to %s: %w", from.Manifest.Architecture, to.Manifest.Architecture, ErrArchitecture)
	}
	m := to.Manifest
	m.Base, m.Files = from.Manifest.Digest(), slices.Clone(m.Files)
	b, err := newBuilder()
	if err != nil {
		return err
	}
	defer b.remove()
	for i := range m.Files {
		if err := b.addDelta(ctx, from, to, i, &m.Files[i]); err != nil {
			return fmt.Errorf("%s: %w", m.Files[i].Path, err)
		}
	}
	return b.finish(w, m)
}

// addDelta stores a file as whatever is smallest.
func (b *builder) addDelta(ctx context.Context, from, to *Bundle, i int, f *File) error {
	j := slices.IndexFunc(from.Manifest.Files, func(o File) bool { return o.Path == f.Path })
	if j >= 0 && from.Manifest.Files[j].SHA256 == f.SHA256 {
		f.Stored, f.BaseSHA256, f.StoredSize, f.StoredSHA256 = StoredBase, f.SHA256, 0, ""
		return nil
	}
	var new bytes.Buffer
	if err := to.Unpack(ctx, i, nil, &new); err != nil {
		return err
	}
	if j < 0 || from.Manifest.Files[j].Size > maxBase {
		return b.add(ctx, f, &new, nil)
	}
	var old bytes.Buffer
	if err := from.Unpack(ctx, j, nil, &old); err != nil {
		return err
	}
	whole := *f
	f.BaseSHA256 = from.Manifest.Files[j].SHA256
	if err := b.add(ctx, f, bytes.NewReader(new.Bytes()), old.Bytes()); err != nil {
		return err
	}
	if f.StoredSize >= whole.StoredSize {
		*f = whole
		return b.add(ctx, f, &new, nil)
	}
	return nil
}

// builder keeps the stored files of a bundle until the manifest is known.
type builder struct{ dir string }

func newBuilder() (*builder, error) {
	dir, err := os.MkdirTemp("", "docscan-bundle-")
	return &builder{dir}, err
}

func (b *builder) remove() { os.RemoveAll(b.dir) }

// name is where the stored bytes of a file are.
func (b *builder) name(f File) string {
	return filepath.Join(b.dir, strings.ReplaceAll(f.entry(), "/", "%"))
}

// add compresses a file, against old if that is not nil, and describes it in f.
func (b *builder) add(ctx context.Context, f *File, r io.Reader, old []byte) (err error) {
	f.Stored = StoredWhole
	window := wholeWindow
	opts := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1)}
	if old != nil {
		f.Stored = StoredPatch
		window = patchWindow(f.Size, int64(len(old)))
		opts = append(opts, zstd.WithEncoderDictRaw(0, old))
	}
	out, err := os.Create(b.name(*f))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	plain, stored := sha256.New(), counter{Hash: sha256.New()}
	z, err := zstd.NewWriter(io.MultiWriter(out, &stored), append(opts, zstd.WithWindowSize(window))...)
	if err != nil {
		return err
	}
	f.Size, err = io.Copy(io.MultiWriter(z, plain), contextReader{ctx, io.LimitReader(r, maxFile+1)})
	if err := errors.Join(err, z.Close()); err != nil {
		return err
	}
	f.SHA256 = hex.EncodeToString(plain.Sum(nil))
	f.StoredSize, f.StoredSHA256 = stored.n, hex.EncodeToString(stored.Sum(nil))
	return nil
}

// counter counts what is hashed.
type counter struct {
	hash.Hash
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.Hash.Write(p)
}

// finish writes the bundle.
func (b *builder) finish(w io.Writer, m Manifest) error {
	if err := m.check(); err != nil {
		return err
	}
	raw, err := m.encode()
	if err != nil {
		return err
	}
	if len(raw) > MaxManifest {
		return fmt.Errorf("manifest of %d bytes: %w", len(raw), ErrTooLarge)
	}
	if err := writeEntry(w, ManifestName, bytes.NewReader(raw), int64(len(raw))); err != nil {
		return err
	}
	for _, f := range m.Files {
		if f.Stored == StoredBase {
			continue
		}
		r, err := os.Open(b.name(f))
		if err != nil {
			return err
		}
		if err := errors.Join(writeEntry(w, f.entry(), r, f.StoredSize), r.Close()); err != nil {
			return err
		}
	}
	_, err = w.Write(make([]byte, tarEnd))
	return err
}

// Sign writes the bundle of size bytes in f, signed with key, to w. A signature
// that is there already is replaced.
func Sign(w io.Writer, f io.ReaderAt, size int64, key minisign.PrivateKey) error {
	return attach(w, f, size, func(b *Bundle) ([]byte, error) {
		r := minisign.NewReader(bytes.NewReader(b.raw))
		if _, err := io.Copy(io.Discard, r); err != nil {
			return nil, err
		}
		trusted := fmt.Sprintf("docscan %s %s %s", b.Manifest.Version, b.Manifest.Architecture, b.Manifest.Digest())
		return r.SignWithComments(key, trusted, "signature of docscan's "+ManifestName+" by key "+keyID(key.ID())), nil
	})
}

// Attach writes the bundle with a signature that minisign made of its
// manifest.json. Whether the signature is right is for [Open] to say.
func Attach(w io.Writer, f io.ReaderAt, size int64, signature []byte) error {
	return attach(w, f, size, func(*Bundle) ([]byte, error) {
		if len(signature) > MaxSignature {
			return nil, fmt.Errorf("%d bytes: %w", len(signature), ErrTooLarge)
		}
		var s minisign.Signature
		if err := s.UnmarshalText(signature); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrSignature, err)
		}
		return s.MarshalText() // without line ends of Windows
	})
}

func attach(w io.Writer, f io.ReaderAt, size int64, sign func(*Bundle) ([]byte, error)) error {
	b, err := open(f, size, nil)
	if err != nil {
		return fmt.Errorf("sign bundle: %w", err)
	}
	sig, err := sign(b)
	if err != nil {
		return fmt.Errorf("sign bundle: %w", err)
	}
	if err := writeEntry(w, SignatureName, bytes.NewReader(sig), int64(len(sig))); err != nil {
		return fmt.Errorf("sign bundle: %w", err)
	}
	var at int64
	if b.sig != nil {
		at = tarBlock + int64(len(b.sig)) + padding(int64(len(b.sig)))
	}
	if _, err := io.Copy(w, io.NewSectionReader(f, at, size-at)); err != nil {
		return fmt.Errorf("sign bundle: %w", err)
	}
	return nil
}
