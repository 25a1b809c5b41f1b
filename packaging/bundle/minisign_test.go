package bundle

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tool runs a program of Debian's in dir and gives what it prints.
func tool(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// minisign of Debian verifies what we signed, and tar and zstd unpack it.
func TestMinisignReadsOurs(t *testing.T) {
	s := newSigner(t, 1)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x.bundle"), signed(t, build(t, release("1.2.0"), someFiles), s))
	text, err := s.public.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "key.pub"), append(text, '\n'))
	tool(t, dir, "tar", "xf", "x.bundle")
	tool(t, dir, "minisign", "-V", "-q", "-m", ManifestName, "-p", "key.pub")
	for name, want := range someFiles {
		if got := tool(t, dir, "zstd", "-q", "-d", "-c", filepath.Join("files", name+".zst")); got != want {
			t.Errorf("%s unpacks to %q, want %q", name, got, want)
		}
	}
}

// We verify what minisign signed, with the keys it made.
func TestWeReadMinisigns(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x.bundle"), build(t, release("1.2.0"), someFiles))
	tool(t, dir, "minisign", "-G", "-W", "-p", "key.pub", "-s", "key")
	tool(t, dir, "tar", "xf", "x.bundle")
	tool(t, dir, "minisign", "-S", "-s", "key", "-m", ManifestName)
	b := read(t, filepath.Join(dir, "x.bundle"))
	var out bytes.Buffer
	if err := Attach(&out, bytes.NewReader(b), int64(len(b)), read(t, filepath.Join(dir, SignatureName))); err != nil {
		t.Fatal(err)
	}
	if err := openAll(t, out.Bytes(), loadedKeys(t, dir)); err != nil {
		t.Errorf("signed by minisign: %v", err)
	}
}

// zstd of Debian applies our patches, and we its.
func TestZstdPatches(t *testing.T) {
	dir := t.TempDir()
	old := random(1, 1<<20)
	new := append(append(bytes.Clone(old[:1000]), "something new"...), old[1000:]...)
	write(t, filepath.Join(dir, "old"), old)
	write(t, filepath.Join(dir, "new"), new)
	s := newSigner(t, 1)
	keys := trusting(t, s)
	from := opened(t, signed(t, build(t, release("1.0.0"), map[string]string{"p": string(old)}), s), keys)
	to := opened(t, signed(t, build(t, release("1.1.0"), map[string]string{"p": string(new)}), s), keys)
	var out bytes.Buffer
	if err := Delta(t.Context(), &out, from, to); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "x.bundle"), out.Bytes())
	tool(t, dir, "tar", "xf", "x.bundle")
	tool(t, dir, "zstd", "-q", "-d", "--patch-from=old", "files/p.patch.zst", "-o", "got")
	if !bytes.Equal(read(t, filepath.Join(dir, "got")), new) {
		t.Error("zstd made something else of our patch")
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("SOURCE_DATE_EPOCH", "1000000000")
	tool(t, dir, "minisign", "-G", "-W", "-p", "first.pub", "-s", "first")
	tool(t, dir, "minisign", "-G", "-W", "-p", "second.pub", "-s", "second")
	one, two := tree(t, map[string]string{"bin/docscand": string(random(1, 1<<16))}), tree(t, map[string]string{"bin/docscand": string(random(1, 1<<16)) + "!"})
	if err := os.Mkdir("keys", 0o755); err != nil {
		t.Fatal(err)
	}
	tool(t, dir, "cp", "first.pub", "keys")
	write(t, "garbage", []byte("hello"))
	tests := []struct {
		args []string
		code int
		want string // part of what is printed or said
	}{
		{nil, exitUsage, "wrong usage"},
		{[]string{"help"}, exitOK, "Make, sign and look"},
		{[]string{"create", "-h"}, exitOK, "Make, sign and look"},
		{[]string{"burn"}, exitUsage, `no command "burn"`},
		{[]string{"create", "--colour", "red", one}, exitUsage, "colour"},
		{[]string{"create", "--version", "1.0.0", "--arch", "arm64", "--schema", "1", "--out", "one", one}, exitUsage, "--schema"},
		{[]string{"create", "--version", "1.0.0", "--arch", "arm64", "--schema", "1-2", one}, exitUsage, "--out"},
		{[]string{"create", "--version", "1.0", "--arch", "arm64", "--schema", "1-2", "--out", "one", one}, exitFailure, "not of the form 1.2.3"},
		{[]string{"create", "--version", "1.0.0", "--arch", "arm64", "--schema", "1-2", "--trust", "garbage", "--out", "one", one}, exitFailure, "garbage"},
		{[]string{"create", "--version", "1.0.0", "--arch", "arm64", "--schema", "1-2", "--out", "one", one}, exitOK, ""},
		{[]string{"create", "--version", "1.1.0", "--arch", "arm64", "--schema", "1-2", "--trust", "second.pub", "--out", "two", two}, exitOK, ""},
		{[]string{"inspect", "two"}, exitOK, `"signed": false`},
		{[]string{"verify", "--keys", "keys", "one"}, exitFailure, ErrUnsigned.Error()},
		{[]string{"verify", "one"}, exitUsage, "--keys"},
		{[]string{"sign", "--out", "x", "one"}, exitUsage, "either"},
		{[]string{"sign", "--key", "first.pub", "--out", "x", "one"}, exitFailure, "no private key"},
		{[]string{"sign", "--key", "first", "--out", "one.bundle", "one"}, exitOK, ""},
		{[]string{"verify", "--keys", "keys", "one.bundle"}, exitOK, "docscan 1.0.0 for arm64"},
		{[]string{"sign", "--key", "second", "--out", "two.bundle", "two"}, exitOK, ""},
		{[]string{"verify", "--keys", "keys", "two.bundle"}, exitFailure, ErrUntrusted.Error()},
		{[]string{"delta", "--out", "delta", "one", "two"}, exitOK, ""},
		{[]string{"sign", "--key", "first", "--out", "delta.bundle", "delta"}, exitOK, ""},
		{[]string{"verify", "--keys", "keys", "delta.bundle"}, exitOK, "docscan 1.1.0"},
		{[]string{"inspect", "delta.bundle"}, exitOK, StoredPatch},
		{[]string{"sign", "--signature", "garbage", "--out", "x", "one"}, exitFailure, ErrSignature.Error()},
		{[]string{"inspect", "garbage"}, exitFailure, ErrTruncated.Error()},
		{[]string{"inspect", "missing"}, exitFailure, "missing"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		code := Command(t.Context(), tt.args, bytes.NewReader(nil), &stdout, &stderr)
		if code != tt.code || !bytes.Contains(append(stdout.Bytes(), stderr.Bytes()...), []byte(tt.want)) {
			t.Errorf("bundle %q: code %d, said %q%q; want %d, %q", tt.args, code, stdout.String(), stderr.String(), tt.code, tt.want)
		}
	}
	left, err := filepath.Glob(".new-*")
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
}
