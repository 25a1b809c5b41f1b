package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"
)

// linked lists the modules that the programs are linked with.
func linked(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-tags", "sqlite_fts5,libsqlite3", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}",
		"docscan/cmd/docscand", "docscan/cmd/docscanctl")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	return slices.Compact(modules)
}

// Each module has a licence that is known and whose text is there, so that no
// package is built without it.
func TestLicences(t *testing.T) {
	dirs, err := moduleDirs()
	if err != nil {
		t.Fatal(err)
	}
	modules := linked(t)
	if len(modules) < 10 {
		t.Fatalf("only %q are linked", modules)
	}
	for _, m := range modules {
		if licences()[m] == "" {
			t.Errorf("add the licence of module %s to packaging/bill", m)
		}
		if _, err := licenceText(dirs[m]); err != nil {
			t.Errorf("module %s: %v", m, err)
		}
	}
}

// The bill can be read by SPDX's own library and names all that is in it and what
// it loads; the same input gives the same bytes.
func TestBill(t *testing.T) {
	b := bill{version: "1.2.3", arch: "arm64", created: time.Unix(1e9, 0).UTC(), parts: []part{
		{"example.org/m", "v1.0.0", "MIT", "Copyright 2026 M\n\nPermission ...\n", "pkg:golang/example.org/m@v1.0.0", false},
		{"libc6", "2.36-9", "LGPL-2.1-or-later", "", "pkg:deb/debian/libc6@2.36-9?arch=arm64", true},
	}}
	var first bytes.Buffer
	if err := json.Write(b.document(), &first); err != nil {
		t.Fatal(err)
	}
	doc, err := json.Read(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	var how []string
	for _, r := range doc.Relationships {
		how = append(how, r.Relationship)
	}
	if want := []string{"DESCRIBES", "CONTAINS", "DYNAMIC_LINK"}; !slices.Equal(how, want) || len(doc.Packages) != 3 {
		t.Errorf("%d packages, related by %q; want 3 and %q", len(doc.Packages), how, want)
	}
	if doc.CreationInfo.Created != "2001-09-09T01:46:40Z" {
		t.Errorf("made at %s", doc.CreationInfo.Created)
	}
	var again bytes.Buffer
	if err := json.Write(b.document(), &again); err != nil || !bytes.Equal(first.Bytes(), again.Bytes()) {
		t.Errorf("the second time it differs (%v)", err)
	}
	if text := b.copyright(); !strings.Contains(text, "Files: example.org/m\n") || strings.Contains(text, "libc6") {
		t.Errorf("copyright:\n%s", text)
	}
	if text := b.texts(); !strings.Contains(text, "Permission ...") {
		t.Errorf("licences:\n%s", text)
	}
}

func TestReadPackages(t *testing.T) {
	name := filepath.Join(t.TempDir(), "packages.txt")
	for text, ok := range map[string]bool{"libc6 2.36-9 glibc\nlibusb-1.0-0 2:1.0.26-1 libusb-1.0\n": true, "libc6 2.36\n": false} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readPackages(name)
		if (err == nil) != ok || ok && got["libusb-1.0-0"] != "2:1.0.26-1" {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
