package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// file is what an archive says of one file.
type file struct {
	mode, uid, device int
	data              string
}

// readArchive reads an archive as the kernel does.
func readArchive(t *testing.T, b []byte) map[string]file {
	t.Helper()
	all := make(map[string]file)
	for {
		if len(b) < 110 || string(b[:6]) != "070701" {
			t.Fatalf("header %.110q", b)
		}
		field := func(i int) int {
			n, err := strconv.ParseUint(string(b[6+8*i:14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		size, nameSize := field(6), field(11)
		f := file{mode: field(1), uid: field(2), device: field(9)<<8 | field(10)}
		name := string(b[110 : 110+nameSize-1])
		end := (110 + nameSize + 3) &^ 3
		f.data = string(b[end : end+size])
		b = b[(end+size+3)&^3:]
		if name == "TRAILER!!!" {
			if len(b) > 0 {
				t.Errorf("%d bytes behind the end", len(b))
			}
			return all
		}
		all[name] = f
	}
}

func TestArchive(t *testing.T) {
	var root bytes.Buffer
	w := tar.NewWriter(&root)
	for _, h := range []*tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./etc/shadow", Typeflag: tar.TypeReg, Mode: 0o640, Uid: 7, Size: 5},
		{Name: "./etc/shadow-", Typeflag: tar.TypeLink, Linkname: "./etc/shadow", Mode: 0o640},
		{Name: "./bin", Typeflag: tar.TypeSymlink, Linkname: "usr/bin", Mode: 0o777},
		{Name: "./dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666},
		{Name: "./usr/bin/su", Typeflag: tar.TypeReg, Mode: 0o4755, Size: 0},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, "12345"[:h.Size]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := newArchive(&out)
	if err := a.addTar(&root); err != nil {
		t.Fatal(err)
	}
	ours := fstest.MapFS{"files/etc/docscan/docscan.toml": {Data: []byte("[web]\n")}}
	if err := a.addFiles(ours, "files"); err != nil {
		t.Fatal(err)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	want := map[string]file{
		"etc":                      {mode: isDir | 0o755},
		"etc/shadow":               {mode: isFile | 0o640, uid: 7, data: "12345"},
		"etc/shadow-":              {mode: isFile | 0o640, data: "12345"},
		"bin":                      {mode: isLink | 0o777, data: "usr/bin"},
		"dev/null":                 {mode: isChar | 0o666, device: 1<<8 | 3},
		"usr/bin/su":               {mode: isFile | 0o4755},
		"etc/docscan":              {mode: isDir | 0o755},
		"etc/docscan/docscan.toml": {mode: isFile | 0o644, data: "[web]\n"},
	}
	if got := readArchive(t, out.Bytes()); !reflect.DeepEqual(got, want) {
		t.Errorf("archive has %+v, want %+v", got, want)
	}
}

func TestDepends(t *testing.T) {
	tests := []struct {
		info string
		want []string
	}{
		{"license=GPL\x00depends=\x00name=usbcore\x00", []string{}},
		{"depends=usbip-core,usbcore\x00", []string{"usbip-core", "usbcore"}},
		{"license=GPL\x00", nil},
	}
	for _, tt := range tests {
		if got := depends([]byte(tt.info)); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q depends on %q, want %q", tt.info, got, tt.want)
		}
	}
}

func TestFindModules(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{
		"kernel/usb/vhci-hcd.ko":      "no module",
		"kernel/gpio/gpio_sim.ko.xz":  "",
		"kernel/readme.txt":           "",
		"modules.builtin":             "kernel/fs/ext4/ext4.ko\nkernel/crypto/crc32c_generic.ko\n",
		"kernel/net/not.ko.signature": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := findModules(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"vhci-hcd": filepath.Join(dir, "kernel/usb/vhci-hcd.ko"), "gpio-sim": filepath.Join(dir, "kernel/gpio/gpio_sim.ko.xz")}
	if !reflect.DeepEqual(m.paths, want) {
		t.Errorf("modules %v, want %v", m.paths, want)
	}
	if list, err := m.resolve([]string{"ext4", "crc32c_generic"}); len(list) > 0 || err != nil {
		t.Errorf("of what is built in, %d modules and %v, want none", len(list), err)
	}
	for _, name := range []string{"vhci_hcd", "usblp"} {
		if _, err := m.resolve([]string{name}); err == nil {
			t.Errorf("resolve(%s) = nil, want an error: it is no module, or not there", name)
		}
	}
}

func TestVerdict(t *testing.T) {
	tests := []struct {
		name, said, want string
	}{
		{"good", "boot\r\n[ 1.0] guest[1]: rig: idle\r\n[ 2.0] guest[1]: rig: PASS\r\n", ""},
		{"bad", "rig: idle\nrig: FAIL: no light\n", "FAIL: no light"},
		{"bad after good", "rig: PASS\nrig: FAIL: late\n", "FAIL: late"},
		{"none", "rig: idle\nkernel panic\n", "the machine stopped without a verdict"},
		{"cut off", "rig: PASS", "the machine stopped without a verdict"},
	}
	for _, tt := range tests {
		var out strings.Builder
		c := &console{out: &out}
		for _, b := range []byte(tt.said) { // in the smallest pieces
			if _, err := c.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		if err := c.verdict(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: verdict %q, want %q", tt.name, got, tt.want)
		}
		if shown := out.String(); strings.Contains(shown, "boot") || strings.Contains(tt.said, "rig: idle") && !strings.HasPrefix(shown, "rig: idle\n") {
			t.Errorf("%s: shows %s", tt.name, fmt.Sprintf("%q", shown))
		}
	}
}
