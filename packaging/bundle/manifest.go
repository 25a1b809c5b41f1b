package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// Format is the form of manifests this package writes and the newest it reads.
// A later release may add fields that an older one can do without; what an older
// one must not pass over raises Format.
const Format = 1

// A Manifest says what a bundle holds and what it goes with.
type Manifest struct {
	Format       int       `json:"format"`
	Version      string    `json:"version"`      // as of Semantic Versioning 2.0.0, without a v
	Architecture string    `json:"architecture"` // as GOARCH names it
	Created      time.Time `json:"created"`
	Schema       Schema    `json:"schema"`
	From         string    `json:"from,omitempty"`   // the oldest version that can be updated from; any, if empty
	Base         string    `json:"base,omitempty"`   // a delta: the Digest of the version it begins from
	Trust        []string  `json:"trust,omitempty"`  // minisign public keys to trust from now on
	Revoke       []string  `json:"revoke,omitempty"` // minisign public keys never to trust again
	Files        []File    `json:"files"`
}

// Schema says how a version and data of different age go together. Forms of
// data are numbered from 1.
type Schema struct {
	Oldest uint64 `json:"oldest"` // the oldest form of data the version can take over
	Newest uint64 `json:"newest"` // the form it writes
	Reader uint64 `json:"reader"` // the oldest form whose programs can read what it writes
}

// How a file is stored.
const (
	StoredWhole = "zstd"       // as one zstd frame
	StoredPatch = "zstd-patch" // as one zstd frame that goes on from the base's file of the same path
	StoredBase  = "base"       // not at all: the base's file of the same path is the same
)

// A File is one file of the version.
type File struct {
	Path         string `json:"path"` // below the slot's directory, with slashes
	Mode         string `json:"mode"` // "0644" or "0755"
	Size         int64  `json:"size"` // bytes
	SHA256       string `json:"sha256"`
	Stored       string `json:"stored"`
	StoredSize   int64  `json:"stored_size"`
	StoredSHA256 string `json:"stored_sha256,omitempty"`
	BaseSHA256   string `json:"base_sha256,omitempty"` // of the base's file that is needed
}

// FileMode is Mode as a number.
func (f File) FileMode() fs.FileMode {
	if f.Mode == modeProgram {
		return 0o755
	}
	return 0o644
}

const (
	modePlain   = "0644"
	modeProgram = "0755"
)

// entry is the name of the file's entry in the bundle, empty for none.
func (f File) entry() string {
	switch f.Stored {
	case StoredWhole:
		return filesName + f.Path + ".zst"
	case StoredPatch:
		return filesName + f.Path + ".patch.zst"
	}
	return ""
}

// Size is how many bytes the files of the version have unpacked.
func (m Manifest) Size() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// Digest identifies the version by what it consists of, in hexadecimal: the same
// for a full bundle and for a delta that leads to it.
func (m Manifest) Digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "docscan %s %s\n", m.Version, m.Architecture)
	for _, f := range m.Files {
		fmt.Fprintf(h, "%s %s %d %s\n", f.SHA256, f.Mode, f.Size, f.Path)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// File gives the file of the path.
func (m Manifest) File(path string) (File, bool) {
	for _, f := range m.Files {
		if f.Path == path {
			return f, true
		}
	}
	return File{}, false
}

// ReadManifest proves the signature of a manifest with keys, and parses it.
func ReadManifest(manifest, signature []byte, keys *Keys) (Manifest, error) {
	if len(manifest) > MaxManifest || len(signature) > MaxSignature {
		return Manifest{}, fmt.Errorf("manifest of %d and signature of %d bytes: %w", len(manifest), len(signature), ErrTooLarge)
	}
	if _, err := keys.verify(manifest, signature); err != nil {
		return Manifest{}, err
	}
	return ParseManifest(manifest)
}

// ParseManifest parses and checks a manifest whose signature was proven before,
// such as that of an installed version.
func ParseManifest(b []byte) (Manifest, error) {
	if len(b) > MaxManifest {
		return Manifest{}, fmt.Errorf("manifest of %d bytes, at most %d: %w", len(b), MaxManifest, ErrTooLarge)
	}
	// The format goes first: the rest of an unknown one need not fit.
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Manifest{}, fmt.Errorf("%w: %v", ErrManifest, err)
	}
	if head.Format != Format {
		return Manifest{}, fmt.Errorf("format %d, this version knows %d: %w", head.Format, Format, ErrFormat)
	}
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %v", ErrManifest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Manifest{}, fmt.Errorf("%w: something follows it", ErrManifest)
	}
	if err := m.check(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// check finds what cannot be in a manifest.
func (m Manifest) check() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrManifest, fmt.Sprintf(format, a...))
	}
	switch s := m.Schema; {
	case !validVersion(m.Version):
		return bad("version %q is not of the form 1.2.3", m.Version)
	case m.From != "" && !validVersion(m.From):
		return bad("version %q to come from is not of the form 1.2.3", m.From)
	case !isWord(m.Architecture):
		return bad("architecture %q", m.Architecture)
	case s.Oldest == 0 || s.Reader == 0 || s.Newest < s.Oldest || s.Newest < s.Reader:
		return bad("forms of data %d to %d, readable from %d", s.Oldest, s.Newest, s.Reader)
	case m.Base != "" && !isSHA256(m.Base):
		return bad("base %q is no SHA-256", m.Base)
	case len(m.Files) == 0:
		return bad("no files")
	case len(m.Files) > maxFiles:
		return fmt.Errorf("%d files, at most %d: %w", len(m.Files), maxFiles, ErrTooLarge)
	case len(m.Trust)+len(m.Revoke) > maxKeys:
		return fmt.Errorf("%d keys, at most %d: %w", len(m.Trust)+len(m.Revoke), maxKeys, ErrTooLarge)
	}
	for _, k := range append(m.Trust[:len(m.Trust):len(m.Trust)], m.Revoke...) {
		if _, err := parseKey([]byte(k)); err != nil {
			return bad("key %q: %v", k, err)
		}
	}
	return m.checkFiles()
}

func (m Manifest) checkFiles() error {
	var total int64
	taken := map[string]bool{} // paths, and the directories they are in
	files := map[string]bool{}
	for _, f := range m.Files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if files[f.Path] || taken[f.Path] {
			return fmt.Errorf("%q is there twice: %w", f.Path, ErrPath)
		}
		files[f.Path] = true
		for dir := f.Path; dir != ""; {
			taken[dir] = true
			dir = dir[:max(strings.LastIndexByte(dir, '/'), 0)]
			if files[dir] {
				return fmt.Errorf("%q is both a file and a directory: %w", dir, ErrPath)
			}
		}
		if err := f.check(m.Base != ""); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		total += f.Size
		if total > maxTotal {
			return fmt.Errorf("more than %d bytes unpacked: %w", int64(maxTotal), ErrTooLarge)
		}
	}
	return nil
}

func (f File) check(delta bool) error {
	if f.Mode != modePlain && f.Mode != modeProgram {
		return fmt.Errorf("mode %q is neither %s nor %s: %w", f.Mode, modePlain, modeProgram, ErrPath)
	}
	if f.Size < 0 || f.StoredSize < 0 || !isSHA256(f.SHA256) {
		return fmt.Errorf("%w: sizes %d and %d, SHA-256 %q", ErrManifest, f.Size, f.StoredSize, f.SHA256)
	}
	// What cannot be compressed grows by 3 bytes for each block of at most
	// 128 KiB, and by a frame header (RFC 8878, 3.1.1).
	if f.Size > maxFile || f.StoredSize > f.Size+f.Size/64+1024 {
		return fmt.Errorf("%d bytes, stored as %d, at most %d: %w", f.Size, f.StoredSize, int64(maxFile), ErrTooLarge)
	}
	switch {
	case f.Stored != StoredWhole && f.Stored != StoredPatch && f.Stored != StoredBase:
		return fmt.Errorf("stored as %q: %w", f.Stored, ErrFormat)
	case f.Stored != StoredWhole && !delta:
		return fmt.Errorf("%w: stored as %q without a base", ErrManifest, f.Stored)
	case f.Stored != StoredWhole && !isSHA256(f.BaseSHA256):
		return fmt.Errorf("%w: SHA-256 %q of the base's file", ErrManifest, f.BaseSHA256)
	case f.Stored == StoredBase && (f.BaseSHA256 != f.SHA256 || f.StoredSize != 0):
		return fmt.Errorf("%w: it is not the base's file", ErrManifest)
	case f.Stored != StoredBase && !isSHA256(f.StoredSHA256):
		return fmt.Errorf("%w: SHA-256 %q as stored", ErrManifest, f.StoredSHA256)
	}
	return nil
}

// maxPath leaves room for what entry puts around a path: a name in a tar header
// has 100 bytes.
const maxPath = 84

// checkPath takes only plain relative paths of plain names. Links, devices and
// the like need no check: a manifest has no words for them.
func checkPath(p string) error {
	switch {
	case p == "" || len(p) > maxPath:
		return fmt.Errorf("path %q has not 1 to %d bytes: %w", p, maxPath, ErrPath)
	case !fs.ValidPath(p) || p == ".":
		return fmt.Errorf("%q does not stay below the slot: %w", p, ErrPath)
	case strings.ContainsFunc(p, func(r rune) bool { return !plain(r) && r != '/' }):
		return fmt.Errorf("%q has letters other than A-Z a-z 0-9 . _ + @ -: %w", p, ErrPath)
	case p == ManifestName || p == SignatureName:
		return fmt.Errorf("%q is a name of docscan's own: %w", p, ErrPath)
	}
	return nil
}

func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+@-", r)
}

// isWord reports whether s is a short word of small letters and digits.
func isWord(s string) bool {
	return s != "" && len(s) <= 16 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

func isSHA256(s string) bool {
	return len(s) == 2*sha256.Size && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'f') && (r < '0' || r > '9')
	})
}

// validVersion asks for all three numbers.
func validVersion(v string) bool {
	return len(v) <= 64 && semver.IsValid("v"+v) && strings.HasPrefix(v, strings.TrimPrefix(semver.Canonical("v"+v), "v"))
}

// compareVersions gives -1, 0 or 1 in the order of Semantic Versioning.
func compareVersions(a, b string) int { return semver.Compare("v"+a, "v"+b) }

// encode is the form in which a manifest is signed: for people to read, too.
func (m Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}
