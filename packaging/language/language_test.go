package language

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeApt puts an apt-get and an apt-cache into the path that write down what they
// are asked, know tesseract-ocr-deu, -chi-sim and -broken, and fail with the last.
func fakeApt(t *testing.T) (asked func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	write := func(name, body string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("apt-get", `echo "apt-get $*" >>"`+log+`"
[ ! -p /dev/stdout ] || echo "writes to a pipe" >>"`+log+`"
case "$*" in *broken*) echo "Reading lists"; echo "E: Failed to fetch: no route to host" >&2; exit 100;; esac`)
	write("apt-cache", `case "$2" in tesseract-ocr-deu|tesseract-ocr-chi-sim|tesseract-ocr-broken) exit 0;; esac; exit 1`)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		b, err := os.ReadFile(log)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(b)
	}
}

func TestInstall(t *testing.T) {
	asked := fakeApt(t)
	tests := []struct {
		language string
		state    State
		reason   string
		asked    string
	}{
		{"deu", Done, "", "install tesseract-ocr-deu"},
		{"chi_sim", Done, "", "install tesseract-ocr-chi-sim"},
		{"broken", Failed, "Failed to fetch: no route to host", "install tesseract-ocr-broken"},
		{"none", Failed, "Debian has no package tesseract-ocr-none", "update"},
	}
	for _, tt := range tests {
		i := &Installer{Root: true}
		if err := i.Install(tt.language); err != nil {
			t.Fatal(err)
		}
		i.Wait()
		p := i.Progress()
		if p == nil || p.Language != tt.language || p.State != tt.state || p.Reason != tt.reason {
			t.Errorf("%s: %+v, want %s %q", tt.language, p, tt.state, tt.reason)
		}
		if !strings.Contains(asked(), tt.asked) || strings.Contains(asked(), "pipe") {
			t.Errorf("%s: apt was asked %q", tt.language, asked())
		}
	}
}

func TestRefused(t *testing.T) {
	asked := fakeApt(t)
	for _, bad := range []string{"", "deu;reboot", "../x", "-y", "deu fra", "deu\n", "$(id)", "_a", strings.Repeat("a", 40)} {
		i := &Installer{Root: true}
		if err := i.Install(bad); err == nil {
			t.Errorf("%q is installed", bad)
		}
		i.Wait()
		cmd := exec.Command("/bin/sh", "install.sh", bad)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("the script installs %q: %s", bad, out)
		}
	}
	if asked() != "" {
		t.Errorf("apt was asked %q", asked())
	}
	if err := new(Installer).Install("deu"); err == nil || !strings.Contains(err.Error(), "apt install tesseract-ocr-deu") {
		t.Errorf("without rights: %v", err)
	}
}

// The script stands in for systemd: it runs when the wish is there.
func TestWish(t *testing.T) {
	fakeApt(t)
	dir := t.TempDir()
	i := &Installer{Wish: filepath.Join(dir, "wish"), Result: filepath.Join(dir, "result")}
	serve := func() {
		t.Helper()
		for {
			if _, err := os.Stat(i.Wish); err == nil {
				break
			}
			if t.Context().Err() != nil {
				t.Fatal("there is no wish")
			}
			time.Sleep(time.Millisecond) // until the wish is there
		}
		if out, err := exec.Command("/bin/sh", "install.sh", "--wish", i.Wish, i.Result).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, tt := range []struct {
		language string
		want     Progress
	}{
		{"deu", Progress{"deu", Done, ""}},
		{"broken", Progress{"broken", Failed, "apt: E: Failed to fetch: no route to host"}},
	} {
		if err := i.Install(tt.language); err != nil {
			t.Fatal(err)
		}
		if err := i.Install("fra"); err == nil {
			t.Error("two at once")
		}
		serve()
		i.Wait()
		if p := i.Progress(); p == nil || *p != tt.want {
			t.Errorf("%+v, want %+v", p, tt.want)
		}
	}
}

// What a program with fewer rights writes may be anything.
func TestHostileWish(t *testing.T) {
	asked := fakeApt(t)
	dir := t.TempDir()
	wish, result := filepath.Join(dir, "wish"), filepath.Join(dir, "result")
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("01 deu\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func() {
		t.Helper()
		if out, err := exec.Command("/bin/sh", "install.sh", "--wish", wish, result).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if _, err := os.Lstat(wish); !os.IsNotExist(err) {
			t.Errorf("the wish is left: %v", err)
		}
	}
	for _, s := range []string{"", "\n", "zz deu\n", "01\n", "01 deu;reboot\n", "01 $(touch x)\n", "01 -o\n", "../../x deu\n", strings.Repeat("0", 5000)} {
		if err := os.WriteFile(wish, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		run()
	}
	if err := os.Symlink(secret, wish); err != nil {
		t.Fatal(err)
	}
	run()
	if asked() != "" {
		t.Errorf("apt was asked %q", asked())
	}
	if _, err := os.Stat(secret); err != nil {
		t.Error(err)
	}
}

func TestAvailable(t *testing.T) {
	list := Available()
	if len(list) < 100 || !slices.IsSorted(list) || !slices.Contains(list, "deu") || slices.Contains(list, "osd") {
		t.Errorf("%d languages: %q", len(list), list)
	}
	for _, l := range list {
		if !name.MatchString(l) {
			t.Errorf("%q", l)
		}
	}
}
