package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"aead.dev/minisign"
	"github.com/klauspost/compress/zstd"
)

// signer is a key pair and the directory of keys in which it is trusted.
type signer struct {
	private minisign.PrivateKey
	public  minisign.PublicKey
}

// newSigner is the same for the same seed.
func newSigner(t testing.TB, seed byte) signer {
	t.Helper()
	public, private, err := minisign.GenerateKey(rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return signer{private, public}
}

// trusting makes keys that trust the signers.
func trusting(t testing.TB, signers ...signer) *Keys {
	t.Helper()
	dir := t.TempDir()
	for _, s := range signers {
		if err := writeKey(dir, s.public); err != nil {
			t.Fatal(err)
		}
	}
	return loadedKeys(t, dir)
}

func loadedKeys(t testing.TB, dirs ...string) *Keys {
	t.Helper()
	k, err := LoadKeys(dirs...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// release is a manifest before its files.
func release(version string) Manifest {
	return Manifest{
		Version: version, Architecture: "arm64", Created: time.Unix(1e9, 0).UTC(),
		Schema: Schema{Oldest: 1, Newest: 2, Reader: 1},
	}
}

// tree writes files, those below bin as programs, and gives their directory.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o755
		}
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// build makes an unsigned bundle.
func build(t testing.TB, m Manifest, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Create(t.Context(), &b, m, tree(t, files)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func signed(t testing.TB, b []byte, s signer) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Sign(&out, bytes.NewReader(b), int64(len(b)), s.private); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func opened(t testing.TB, b []byte, k *Keys) *Bundle {
	t.Helper()
	bundle, err := Open(bytes.NewReader(b), int64(len(b)), k)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// openAll opens a bundle and proves all of it.
func openAll(t testing.TB, b []byte, k *Keys) error {
	bundle, err := Open(bytes.NewReader(b), int64(len(b)), k)
	if err != nil {
		return err
	}
	return bundle.Verify(t.Context())
}

// contents unpacks all files of a bundle.
func contents(t testing.TB, b *Bundle, base fs.FS) map[string]string {
	t.Helper()
	got := map[string]string{}
	for i, f := range b.Manifest.Files {
		var out bytes.Buffer
		if err := b.Unpack(t.Context(), i, base, &out); err != nil {
			t.Fatalf("unpack %s: %v", f.Path, err)
		}
		got[f.Path] = out.String()
	}
	return got
}

var someFiles = map[string]string{
	"bin/docscand":            strings.Repeat("the daemon ", 3000),
	"bin/docscanctl":          "the command line",
	"systemd/docscan.service": "[Service]\n",
	"empty":                   "",
}

func TestRoundTrip(t *testing.T) {
	s := newSigner(t, 1)
	raw := build(t, release("1.2.0"), someFiles)
	if again := build(t, release("1.2.0"), someFiles); !bytes.Equal(again, raw) {
		t.Error("the same files gave another bundle")
	}
	b := opened(t, signed(t, raw, s), trusting(t, s))
	if err := b.Verify(t.Context()); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if want := keyID(s.public.ID()); b.Signer != want {
		t.Errorf("Signer = %q, want %q", b.Signer, want)
	}
	got := contents(t, b, nil)
	for name, want := range someFiles {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if len(got) != len(someFiles) {
		t.Errorf("%d files, want %d", len(got), len(someFiles))
	}
	if f, ok := b.Manifest.File("bin/docscand"); !ok || f.FileMode() != 0o755 {
		t.Errorf("bin/docscand: mode %v, found %v, want 0755, true", f.FileMode(), ok)
	}
	manifest, sig := b.Signed()
	m, err := ReadManifest(manifest, sig, trusting(t, s))
	if err != nil || m.Digest() != b.Manifest.Digest() {
		t.Errorf("ReadManifest: digest %q, error %v, want %q", m.Digest(), err, b.Manifest.Digest())
	}
	twice := signed(t, signed(t, raw, newSigner(t, 2)), s)
	if !bytes.Equal(twice, signed(t, raw, s)) && openAll(t, twice, trusting(t, s)) != nil {
		t.Error("a bundle signed anew does not keep only the new signature")
	}
}

// Whoever changes one byte anywhere, or cuts the file anywhere, is found out.
func TestEveryByteCounts(t *testing.T) {
	s := newSigner(t, 1)
	keys := trusting(t, s)
	whole := signed(t, build(t, release("1.2.0"), map[string]string{"bin/docscand": "the daemon", "note": "hello"}), s)
	if err := openAll(t, whole, keys); err != nil {
		t.Fatal(err)
	}
	// The comment that minisign itself calls untrusted is the one exception, and
	// even there the form must stay.
	from := bytes.Index(whole, []byte("untrusted comment: ")) + len("untrusted comment: ")
	to := from + bytes.IndexByte(whole[from:], '\n')
	for i := range whole {
		if i >= from && i < to {
			continue
		}
		bad := bytes.Clone(whole)
		bad[i] ^= 1
		if err := openAll(t, bad, keys); err == nil {
			t.Errorf("byte %d (%q) changed: accepted", i, whole[i])
		}
	}
	for n := 0; n < len(whole); n += 13 { // any would do; all take long with the race detector
		if err := openAll(t, whole[:n], keys); !errors.Is(err, ErrTruncated) {
			t.Errorf("cut to %d bytes: %v, want %v", n, err, ErrTruncated)
		}
	}
}

// forgery makes a bundle whose manifest and entries are what the test says, not
// what Create would make of them.
type forgery struct {
	manifest func(*Manifest)
	raw      func([]byte) []byte // the manifest as signed
	entry    func(name string, header []byte)
	stored   func([]byte) []byte
	tail     string
	signer   byte // 1 if zero; 255: none
}

func (f forgery) make(t testing.TB) []byte {
	t.Helper()
	text := "the daemon"
	stored := compress(t, text)
	if f.stored != nil {
		stored = f.stored(stored)
	}
	m := release("1.2.0")
	m.Format = Format
	m.Files = []File{{
		Path: "bin/docscand", Mode: modeProgram, Size: int64(len(text)), SHA256: sum(text),
		Stored: StoredWhole, StoredSize: int64(len(stored)), StoredSHA256: sum(string(stored)),
	}}
	if f.manifest != nil {
		f.manifest(&m)
	}
	raw, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	if f.raw != nil {
		raw = f.raw(raw)
	}
	var b bytes.Buffer
	if f.signer != 255 {
		key := newSigner(t, max(f.signer, 1)).private
		r := minisign.NewReader(bytes.NewReader(raw))
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		b.Write(f.entryBytes(t, SignatureName, r.Sign(key)))
	}
	b.Write(f.entryBytes(t, ManifestName, raw))
	for _, file := range m.Files {
		if _, err := header(file.entry(), 0); err == nil { // tar has no words for some names
			b.Write(f.entryBytes(t, file.entry(), stored))
		}
	}
	b.Write(make([]byte, tarEnd))
	b.WriteString(f.tail)
	return b.Bytes()
}

func (f forgery) entryBytes(t testing.TB, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeEntry(&b, name, bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if f.entry != nil {
		f.entry(name, b.Bytes()[:tarBlock])
	}
	return b.Bytes()
}

// setField changes a field of a tar header and makes its checksum right again.
func setField(header []byte, at int, text string) {
	copy(header[at:], text)
	copy(header[148:], "        ")
	var n int
	for _, b := range header {
		n += int(b)
	}
	copy(header[148:], octal(n)+"\x00 ")
}

func octal(n int) string {
	s := make([]byte, 6)
	for i := range s {
		s[5-i] = byte('0' + n&7)
		n >>= 3
	}
	return string(s)
}

func sum(s string) string {
	b := sha256.Sum256([]byte(s))
	return hex.EncodeToString(b[:])
}

func compress(t testing.TB, s string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll([]byte(s), nil)
}

func TestRefusals(t *testing.T) {
	path := func(p string) forgery {
		return forgery{manifest: func(m *Manifest) { m.Files[0].Path = p }}
	}
	file := func(change func(*File)) forgery {
		return forgery{manifest: func(m *Manifest) { change(&m.Files[0]) }}
	}
	// A link or device has another type in its header, at 156 (ustar).
	typed := func(flag, target string) forgery {
		return forgery{entry: func(name string, h []byte) {
			if strings.HasPrefix(name, filesName) {
				setField(h, 157, target)
				setField(h, 156, flag)
			}
		}}
	}
	tests := []struct {
		name string
		f    forgery
		want error
	}{
		{"nothing wrong", forgery{}, nil},
		{"no signature", forgery{signer: 255}, ErrUnsigned},
		{"unknown key", forgery{signer: 9}, ErrUntrusted},
		{"revoked key", forgery{signer: 2}, ErrRevoked},
		{"unknown format", forgery{manifest: func(m *Manifest) { m.Format = 2 }}, ErrFormat},
		{"no format", forgery{raw: func([]byte) []byte { return []byte("{}") }}, ErrFormat},
		{"manifest is no JSON", forgery{raw: func([]byte) []byte { return []byte("hello") }}, ErrManifest},
		{"two manifests", forgery{raw: func(b []byte) []byte { return append(b, '{') }}, ErrManifest},
		{"manifest of wrong types", forgery{raw: func([]byte) []byte { return []byte(`{"format":1,"files":7}`) }}, ErrManifest},
		{"huge manifest", forgery{raw: func(b []byte) []byte { return append(b, make([]byte, MaxManifest)...) }}, ErrTooLarge},
		{"no files", forgery{manifest: func(m *Manifest) { m.Files = nil }}, ErrManifest},
		{"too many files", forgery{manifest: func(m *Manifest) { m.Files = make([]File, maxFiles+1) }}, ErrTooLarge},
		{"too many keys", forgery{manifest: func(m *Manifest) { m.Trust = make([]string, maxKeys+1) }}, ErrTooLarge},
		{"key that is none", forgery{manifest: func(m *Manifest) { m.Trust = []string{"RWQ"} }}, ErrManifest},
		{"version", forgery{manifest: func(m *Manifest) { m.Version = "1.2" }}, ErrManifest},
		{"version to come from", forgery{manifest: func(m *Manifest) { m.From = "new" }}, ErrManifest},
		{"architecture", forgery{manifest: func(m *Manifest) { m.Architecture = "../x" }}, ErrManifest},
		{"schema 0", forgery{manifest: func(m *Manifest) { m.Schema.Oldest = 0 }}, ErrManifest},
		{"schema backwards", forgery{manifest: func(m *Manifest) { m.Schema.Oldest = 3 }}, ErrManifest},
		{"base", forgery{manifest: func(m *Manifest) { m.Base = "x" }}, ErrManifest},
		{"path goes up", path("bin/../../etc/passwd"), ErrPath},
		{"path is up", path(".."), ErrPath},
		{"absolute path", path("/etc/passwd"), ErrPath},
		{"empty path", path(""), ErrPath},
		{"the directory itself", path("."), ErrPath},
		{"path with a dot", path("./a"), ErrPath},
		{"path with two slashes", path("a//b"), ErrPath},
		{"path ends with a slash", path("a/"), ErrPath},
		{"path of Windows", path(`..\a`), ErrPath},
		{"drive of Windows", path("c:a"), ErrPath},
		{"path with a zero byte", path("a\x00b"), ErrPath},
		{"path with a line feed", path("a\nb"), ErrPath},
		{"long path", path(strings.Repeat("a", maxPath+1)), ErrPath},
		{"name of the manifest", path(ManifestName), ErrPath},
		{"twice the same", forgery{manifest: func(m *Manifest) { m.Files = append(m.Files, m.Files[0]) }}, ErrPath},
		{"file below a file", forgery{manifest: func(m *Manifest) {
			m.Files = append(m.Files, m.Files[0])
			m.Files[1].Path += "/x"
		}}, ErrPath},
		{"file over a directory", forgery{manifest: func(m *Manifest) {
			m.Files = append(m.Files, m.Files[0])
			m.Files[1].Path = "bin"
		}}, ErrPath},
		{"setuid", file(func(f *File) { f.Mode = "4755" }), ErrPath},
		{"writable for all", file(func(f *File) { f.Mode = "0777" }), ErrPath},
		{"negative size", file(func(f *File) { f.Size = -1 }), ErrManifest},
		{"SHA-256", file(func(f *File) { f.SHA256 = strings.ToUpper(f.SHA256) }), ErrManifest},
		{"stored SHA-256", file(func(f *File) { f.StoredSHA256 = "" }), ErrManifest},
		{"huge file", file(func(f *File) { f.Size = maxFile + 1 }), ErrTooLarge},
		{"stored larger than the file", file(func(f *File) { f.StoredSize = 1 << 20 }), ErrTooLarge},
		{"huge in all", forgery{manifest: func(m *Manifest) {
			m.Files[0].Size = maxFile
			m.Files = []File{m.Files[0], m.Files[0], m.Files[0]}
			m.Files[0].Path, m.Files[1].Path = "a", "b"
		}}, ErrTooLarge},
		{"unknown way to store", file(func(f *File) { f.Stored = "xz" }), ErrFormat},
		{"patch without a base", file(func(f *File) { f.Stored = StoredPatch }), ErrManifest},
		{"patch of nothing", forgery{manifest: func(m *Manifest) {
			m.Base, m.Files[0].Stored = sum(""), StoredPatch
		}}, ErrManifest},
		{"base's file with another content", forgery{manifest: func(m *Manifest) {
			m.Base, m.Files[0].Stored, m.Files[0].BaseSHA256 = sum(""), StoredBase, sum("")
		}}, ErrManifest},
		{"symbolic link", typed("2", "/etc/passwd"), ErrTampered},
		{"hard link", typed("1", "/etc/passwd"), ErrTampered},
		{"device", typed("3", ""), ErrTampered},
		{"directory", typed("5", ""), ErrTampered},
		{"long name of GNU", typed("L", ""), ErrTampered},
		{"setuid in the header", forgery{entry: func(name string, h []byte) {
			if strings.HasPrefix(name, filesName) {
				setField(h, 100, "0004755")
			}
		}}, ErrTampered},
		{"another name in the header", forgery{entry: func(name string, h []byte) {
			if strings.HasPrefix(name, filesName) {
				setField(h, 0, "../x")
			}
		}}, ErrTampered},
		{"another entry first", forgery{entry: func(name string, h []byte) {
			if name == SignatureName {
				setField(h, 0, "x")
			}
		}}, ErrNotBundle},
		{"another entry second", forgery{entry: func(name string, h []byte) {
			if name == ManifestName {
				setField(h, 0, "x")
			}
		}}, ErrNotBundle},
		{"something at the end", forgery{tail: "x"}, ErrTampered},
		{"stored bytes changed", forgery{manifest: func(m *Manifest) { m.Files[0].StoredSHA256 = sum("x") }}, ErrTampered},
		{"unpacks to less", file(func(f *File) { f.Size++ }), ErrManifest},
		{"unpacks to more", file(func(f *File) { f.Size-- }), ErrTooLarge},
		{"unpacks to something else", file(func(f *File) { f.SHA256 = sum("x") }), ErrManifest},
		{"needs too large a window", forgery{stored: func([]byte) []byte {
			// RFC 8878, 3.1.1.1: magic, no flags, a window of 2^(10+20) bytes.
			return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 0x01, 0x00, 0x00}
		}}, ErrTooLarge},
	}
	keys := trusting(t, newSigner(t, 1), newSigner(t, 2))
	if err := writeKey(filepath.Join(keys.dir, revokedName), newSigner(t, 2).public); err != nil {
		t.Fatal(err)
	}
	keys = loadedKeys(t, keys.dir)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := openAll(t, tt.f.make(t), keys); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	t.Run("another file altogether", func(t *testing.T) {
		if err := openAll(t, bytes.Repeat([]byte("hello "), 1000), keys); !errors.Is(err, ErrNotBundle) {
			t.Errorf("%v, want %v", err, ErrNotBundle)
		}
	})
	t.Run("larger than any bundle", func(t *testing.T) {
		if _, err := Open(bytes.NewReader(nil), MaxSize+1, keys); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v, want %v", err, ErrTooLarge)
		}
	})
	t.Run("shorter than its size", func(t *testing.T) {
		if _, err := Open(bytes.NewReader(nil), 5000, keys); !errors.Is(err, ErrTruncated) {
			t.Errorf("%v, want %v", err, ErrTruncated)
		}
	})
}

// What is no plain file cannot get into a bundle in the first place.
func TestCreateRefuses(t *testing.T) {
	tests := []struct {
		name string
		put  func(dir string) error
		want error
	}{
		{"symbolic link", func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "x")) }, ErrPath},
		{"setuid", func(dir string) error { return os.Chmod(filepath.Join(dir, "note"), 0o755|os.ModeSetuid) }, ErrPath},
		{"odd name", func(dir string) error { return os.WriteFile(filepath.Join(dir, "a b"), nil, 0o644) }, ErrPath},
		{"empty", func(dir string) error { return os.Remove(filepath.Join(dir, "note")) }, ErrManifest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, map[string]string{"note": "hello"})
			if err := tt.put(dir); err != nil {
				t.Fatal(err)
			}
			if err := Create(t.Context(), io.Discard, release("1.0.0"), dir); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestFits(t *testing.T) {
	m := release("1.4.0")
	m.From = "1.2.0"
	m.Schema = Schema{Oldest: 3, Newest: 5, Reader: 4}
	here := Target{Architecture: "arm64", Version: "1.3.0", Schema: 4, DataSchema: 4, DataReader: 3}
	tests := []struct {
		name   string
		change func(*Manifest, *Target)
		want   error
	}{
		{"newer", func(*Manifest, *Target) {}, nil},
		{"the same again", func(_ *Manifest, t *Target) { t.Version = "1.4.0" }, nil},
		{"first of all", func(_ *Manifest, t *Target) { *t = Target{Architecture: "arm64"} }, nil},
		{"other machine", func(_ *Manifest, t *Target) { t.Architecture = "amd64" }, ErrArchitecture},
		{"older", func(_ *Manifest, t *Target) { t.Version = "1.4.1" }, ErrDowngrade},
		{"older than a release candidate", func(_ *Manifest, t *Target) { t.Version = "1.5.0-rc1" }, ErrDowngrade},
		{"release after its candidate", func(_ *Manifest, t *Target) { t.Version = "1.4.0-rc1" }, nil},
		{"ten is more than nine", func(m *Manifest, t *Target) { m.Version, t.Version = "1.10.0", "1.9.0" }, nil},
		{"older, asked for", func(_ *Manifest, t *Target) { t.Version, t.AllowDowngrade = "1.4.1", true }, nil},
		{"older, asked for, data too new", func(_ *Manifest, t *Target) {
			t.Version, t.AllowDowngrade, t.Schema, t.DataSchema, t.DataReader = "1.6.0", true, 7, 7, 6
		}, ErrSchema},
		{"older, asked for, data still readable", func(_ *Manifest, t *Target) {
			t.Version, t.AllowDowngrade, t.Schema, t.DataSchema, t.DataReader = "1.5.0", true, 6, 6, 5
		}, nil},
		{"too old to come from", func(_ *Manifest, t *Target) { t.Version = "1.1.9" }, ErrTooOld},
		{"data too old", func(_ *Manifest, t *Target) { t.DataSchema, t.DataReader = 2, 2 }, ErrSchema},
		{"no way back", func(_ *Manifest, t *Target) { t.Schema = 3 }, ErrSchema},
		{"delta on its base", func(m *Manifest, t *Target) { m.Base, t.Digest = "x", "x" }, nil},
		{"delta on another", func(m *Manifest, t *Target) { m.Base, t.Digest = "x", "y" }, ErrBase},
		{"delta on nothing", func(m *Manifest, t *Target) { m.Base, *t = "x", Target{Architecture: "arm64"} }, ErrBase},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, target := m, here
			tt.change(&m, &target)
			if err := m.Fits(target); !errors.Is(err, tt.want) {
				t.Errorf("Fits: %v, want %v", err, tt.want)
			}
		})
	}
}

// random is text that does not compress.
func random(seed byte, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{seed})
	r.Read(b)
	return b
}

func TestDelta(t *testing.T) {
	s := newSigner(t, 1)
	keys := trusting(t, s)
	program := random(1, 3<<20)
	changed := slices.Concat(program[:1<<20], []byte("new code"), program[1<<20:])
	oldFiles := map[string]string{"bin/docscand": string(program), "bin/docscanctl": "as before", "gone": "old", "small": "x"}
	newFiles := map[string]string{"bin/docscand": string(changed), "bin/docscanctl": "as before", "added": "new", "small": "y"}
	from := opened(t, signed(t, build(t, release("1.0.0"), oldFiles), s), keys)
	to := opened(t, signed(t, build(t, release("1.1.0"), newFiles), s), keys)
	var out bytes.Buffer
	if err := Delta(t.Context(), &out, from, to); err != nil {
		t.Fatal(err)
	}
	b := opened(t, signed(t, out.Bytes(), s), keys)
	if err := b.Verify(t.Context()); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if out.Len() > 64<<10 {
		t.Errorf("the delta has %d bytes, want at most 64 KiB", out.Len())
	}
	if b.Manifest.Digest() != to.Manifest.Digest() || b.Manifest.Base != from.Manifest.Digest() {
		t.Errorf("digest %s on base %s, want %s on %s", b.Manifest.Digest(), b.Manifest.Base, to.Manifest.Digest(), from.Manifest.Digest())
	}
	installed := func(files map[string]string) fs.FS {
		system := fstest.MapFS{}
		for path, text := range files {
			system[path] = &fstest.MapFile{Data: []byte(text)}
		}
		return system
	}
	got := contents(t, b, installed(oldFiles))
	for name, want := range newFiles {
		if got[name] != want {
			t.Errorf("%s has %d bytes, not the %d it should have", name, len(got[name]), len(want))
		}
	}
	stored := map[string]string{}
	for _, f := range b.Manifest.Files {
		stored[f.Path] = f.Stored
	}
	want := map[string]string{"bin/docscand": StoredPatch, "bin/docscanctl": StoredBase, "added": StoredWhole, "small": StoredWhole}
	for name := range want {
		if stored[name] != want[name] {
			t.Errorf("%s is stored as %q, want %q", name, stored[name], want[name])
		}
	}
	t.Run("refusals", func(t *testing.T) {
		i := slices.IndexFunc(b.Manifest.Files, func(f File) bool { return f.Path == "bin/docscand" })
		for _, tt := range []struct {
			name string
			base fs.FS
			want error
		}{
			{"no base", nil, ErrBase},
			{"damaged base", installed(map[string]string{"bin/docscand": string(changed)}), ErrBase},
			{"base is gone", installed(nil), os.ErrNotExist},
		} {
			if err := b.Unpack(t.Context(), i, tt.base, io.Discard); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		if err := Delta(t.Context(), io.Discard, b, to); !errors.Is(err, ErrBase) {
			t.Errorf("delta on a delta: %v, want %v", err, ErrBase)
		}
		other := release("1.0.0")
		other.Architecture = "amd64"
		if err := Delta(t.Context(), io.Discard, opened(t, signed(t, build(t, other, oldFiles), s), keys), to); !errors.Is(err, ErrArchitecture) {
			t.Errorf("delta over machines: %v, want %v", err, ErrArchitecture)
		}
	})
}
