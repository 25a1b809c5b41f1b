package bundle

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// newTree makes a version as Debian's package brings it.
func newTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"bin/docscand": "program", "LICENSE": "free"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	m := Manifest{Version: "1.0.0", Architecture: "arm64", Schema: Schema{Oldest: 1, Newest: 1, Reader: 1}}
	if err := Create(t.Context(), &out, m, dir); err != nil {
		t.Fatal(err)
	}
	b, err := open(bytes.NewReader(out.Bytes()), int64(out.Len()), nil)
	if err != nil {
		t.Fatal(err)
	}
	manifest, _ := b.Signed()
	if err := os.WriteFile(filepath.Join(dir, ManifestName), manifest, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenTree(t *testing.T) {
	dir := newTree(t)
	b, tree, err := OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if err := b.Verify(t.Context()); err != nil {
		t.Errorf("a whole version: %v", err)
	}
	for i, f := range b.Manifest.Files {
		var got bytes.Buffer
		want, err := os.ReadFile(filepath.Join(dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Unpack(t.Context(), i, nil, &got); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: %q, %v; want %q", f.Path, got.Bytes(), err, want)
		}
	}
	program := filepath.Join(dir, "bin/docscand")
	if err := os.WriteFile(program, []byte("progrom"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(t.Context()); !errors.Is(err, ErrTampered) {
		t.Errorf("a changed file: %v, want %v", err, ErrTampered)
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(t.Context()); !errors.Is(err, ErrTruncated) {
		t.Errorf("a missing file: %v, want %v", err, ErrTruncated)
	}
	if err := os.WriteFile(filepath.Join(dir, ManifestName), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenTree(dir); !errors.Is(err, ErrFormat) {
		t.Errorf("another manifest: %v, want %v", err, ErrFormat)
	}
	if _, _, err := OpenTree(filepath.Join(dir, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}
