package language

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeApt puts an apt-get, an apt-cache and a dpkg into the path that write down what
// they are asked, know tesseract-ocr-deu, -chi-sim and -broken, and fail with the last.
// What apt-get loads is what lies in packages.
func fakeApt(t *testing.T) (packages string, asked func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	packages = filepath.Join(dir, "packages")
	if err := os.Mkdir(packages, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, body string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("apt-get", `echo "apt-get $*" >>"`+log+`"
[ ! -p /dev/stdout ] || echo "writes to a pipe" >>"`+log+`"
case "$*" in
*broken*) echo "Reading lists"; echo "E: Failed to fetch: no route to host" >&2; exit 100 ;;
*download*) cp "`+packages+`"/*.deb . ;;
*error-on=any*update*) [ ! -e "`+dir+`/offline" ] || { echo "E: Temporary failure resolving" >&2; exit 100; } ;;
esac`)
	write("apt-cache", `for last; do :; done
case "$last" in tesseract-ocr-deu|tesseract-ocr-chi-sim|tesseract-ocr-broken) echo "Depends: tesseract-ocr-other (>= 1), libc6"; exit 0;; esac; exit 1`)
	// Somebody else installs something at first.
	write("dpkg", `echo "dpkg $*" >>"`+log+`"
[ -e "`+dir+`/free" ] || { touch "`+dir+`/free"; echo "dpkg: error: dpkg frontend lock was locked by another process with pid 1" >&2; exit 2; }`)
	write("dpkg-query", `exit 1`)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("LANGUAGE_PAUSE", "0")
	return packages, func() string {
		b, err := os.ReadFile(log)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(b)
	}
}

// data are the files of a package of language data.
var data = map[string]string{
	"usr/share/tesseract-ocr/5/tessdata/deu.traineddata":  "data",
	"usr/share/doc/tesseract-ocr-deu/changelog.Debian.gz": "story",
}

// build puts a package into dir, with more fields, files and modes than it needs.
func build(t *testing.T, dir, name, fields string, files map[string]string, modes map[string]os.FileMode) {
	t.Helper()
	tree := t.TempDir()
	if err := os.Chmod(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(file, content string) {
		file = filepath.Join(tree, file)
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if to, ok := strings.CutPrefix(content, "-> "); ok && err == nil {
			err = os.Symlink(to, file)
		} else if err == nil {
			err = os.WriteFile(file, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("DEBIAN/control", "Package: "+name+"\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@docscan.invalid>\n"+fields+"Description: data\n")
	for file, content := range files {
		put(file, content)
	}
	for file, mode := range modes {
		if err := os.Chmod(filepath.Join(tree, file), mode); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "--build", tree, filepath.Join(dir, name+"_1_all.deb")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// units does what the two units do.
func units(t *testing.T, wish, folder, result string) {
	t.Helper()
	for _, args := range [][]string{{"--fetch", wish, folder}, {"--put", folder, result}} {
		if out, err := exec.Command("/bin/sh", append([]string{"install.sh"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, out)
		}
	}
}

func TestInstall(t *testing.T) {
	_, asked := fakeApt(t)
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

// A box that is offline may have no lists. Nothing is said of what Debian has then.
func TestOffline(t *testing.T) {
	packages, _ := fakeApt(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(packages), "offline"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const want = "the lists of Debian's packages could not be loaded; is this box online?"
	i := &Installer{Root: true}
	if err := i.Install("none"); err != nil {
		t.Fatal(err)
	}
	i.Wait()
	if p := i.Progress(); p.State != Failed || p.Reason != want {
		t.Errorf("as root: %+v, want %q", p, want)
	}
	dir := t.TempDir()
	wish, result := filepath.Join(dir, "wish"), filepath.Join(dir, "result")
	if err := os.WriteFile(wish, []byte("1 none\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	units(t, wish, dir, result)
	got, err := os.ReadFile(result)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != "1 failed "+want+"\n" {
		t.Errorf("by the units: %q, want %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	_, asked := fakeApt(t)
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

// The units run when the wish is there.
func TestWish(t *testing.T) {
	packages, asked := fakeApt(t)
	build(t, packages, "tesseract-ocr-deu", "Depends: tesseract-ocr-other\n", data, nil)
	build(t, packages, "tesseract-ocr-other", "", nil, nil)
	dir := t.TempDir()
	i := &Installer{Wish: filepath.Join(dir, "wish"), Result: filepath.Join(dir, "result")}
	for _, tt := range []struct {
		language string
		want     Progress
	}{
		{"deu", Progress{"deu", Done, ""}},
		{"broken", Progress{"broken", Failed, "apt: Failed to fetch: no route to host"}},
		{"none", Progress{"none", Failed, "apt: Debian has no package tesseract-ocr-none"}},
		{"chi_sim", Progress{"chi_sim", Failed, "apt: tesseract-ocr-chi-sim was not loaded"}},
	} {
		if err := i.Install(tt.language); err != nil {
			t.Fatal(err)
		}
		if err := i.Install("fra"); err == nil {
			t.Error("two at once")
		}
		for {
			if _, err := os.Stat(i.Wish); err == nil {
				break
			}
			if t.Context().Err() != nil {
				t.Fatal("there is no wish")
			}
			time.Sleep(time.Millisecond) // until the wish is there
		}
		units(t, i.Wish, dir, i.Result)
		i.Wait()
		if p := i.Progress(); p == nil || *p != tt.want {
			t.Errorf("%+v, want %+v", p, tt.want)
		}
	}
	if n := strings.Count(asked(), "dpkg --install 0.deb 1.deb"); n != 2 {
		t.Errorf("dpkg was asked %d times, want twice, for somebody held its lock: %s", n, asked())
	}
	if s := asked(); !strings.Contains(s, "download tesseract-ocr-deu tesseract-ocr-other\n") || !strings.Contains(s, "update") {
		t.Errorf("apt was asked %q", s)
	}
}

// What a program with fewer rights writes may be anything.
func TestHostileWish(t *testing.T) {
	_, asked := fakeApt(t)
	dir := t.TempDir()
	wish, result := filepath.Join(dir, "wish"), filepath.Join(dir, "result")
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("01 deu\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func() {
		t.Helper()
		units(t, wish, t.TempDir(), result)
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

// Root installs nothing but data, whatever the unit with the network was made to leave.
func TestHostilePackage(t *testing.T) {
	with := func(more map[string]string) map[string]string {
		all := maps.Clone(data)
		maps.Copy(all, more)
		return all
	}
	const file = "usr/share/tesseract-ocr/5/tessdata/deu.traineddata"
	tests := []struct {
		name, fields string
		files        map[string]string
		modes        map[string]os.FileMode
		want         string // in the answer; "": it is installed
	}{
		{"tesseract-ocr-deu", "Recommends: tesseract-ocr\nBreaks: tesseract-ocr (<< 4.9.9)\nReplaces: tesseract-ocr-data\n", data, nil, ""},
		{"tesseract-ocr-fra", "", data, nil, "files that no language needs"},
		{"tesseract-ocr-deu", "", with(map[string]string{"usr/share/tesseract-ocr/5/tessdata/eng.traineddata": "x"}), nil, "files that no language needs"},
		{"tesseract-ocr-fra", "", nil, nil, "tesseract-ocr-deu was not loaded"},
		{"sudo", "", data, nil, "no language"},
		{"tesseract-ocr-deu", "Depends: tesseract-ocr-other\n", data, nil, "tesseract-ocr-other was not loaded"},
		{"tesseract-ocr-deu", "Conflicts: sudo\n", data, nil, "Conflicts: sudo"},
		{"tesseract-ocr-deu", "Conflicts : sudo\n", data, nil, "sudo"},
		{"tesseract-ocr-deu", "Provides: x\nconflicts: sudo\n", data, nil, "sudo"},
		{"tesseract-ocr-deu", "Depends: libc6,\n sudo\n", data, nil, "sudo"},
		{"tesseract-ocr-deu", "Essential: yes\n", data, nil, "Essential: yes"},
		{"tesseract-ocr-deu", "", with(map[string]string{"DEBIAN/postinst": "#!/bin/sh\n"}), map[string]os.FileMode{"DEBIAN/postinst": 0o755}, "a script"},
		{"tesseract-ocr-deu", "", with(map[string]string{"DEBIAN/triggers": "activate ldconfig\n"}), nil, "a script"},
		{"tesseract-ocr-deu", "", with(map[string]string{"usr/bin/x": "x"}), nil, "files"},
		{"tesseract-ocr-deu", "", with(map[string]string{"usr/share/tesseract-ocr/5/tessdata/configs": "x"}), nil, "files"},
		{"tesseract-ocr-deu", "", with(map[string]string{"usr/share/doc/tesseract-ocr-deu/a b": "x"}), nil, "files"},
		{"tesseract-ocr-deu", "", map[string]string{file: "-> /etc/shadow"}, nil, "files"},
		{"tesseract-ocr-deu", "", map[string]string{"usr/share/tesseract-ocr": "-> /etc"}, nil, "files"},
		{"tesseract-ocr-deu", "", data, map[string]os.FileMode{file: os.ModeSetuid | 0o755}, "files"},
		{"tesseract-ocr-deu", "", data, map[string]os.FileMode{"usr/share/doc": 0o777}, "files"},
	}
	for _, tt := range tests {
		packages, asked := fakeApt(t)
		build(t, packages, tt.name, tt.fields, tt.files, tt.modes)
		dir := t.TempDir()
		wish, result := filepath.Join(dir, "wish"), filepath.Join(dir, "result")
		if err := os.WriteFile(wish, []byte("01 deu\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		units(t, wish, dir, result)
		got, err := os.ReadFile(result)
		if err != nil {
			t.Fatal(err)
		}
		want := "01 done\n"
		if tt.want != "" {
			want = tt.want
		}
		if !strings.Contains(string(got), want) || strings.Contains(asked(), "dpkg --install") != (tt.want == "") {
			t.Errorf("%s with %q, %v, %v: %q, want %q; asked were %q", tt.name, tt.fields, tt.files, tt.modes, got, want, asked())
		}
	}

	// One that is no package at all, and one that leads elsewhere.
	packages, asked := fakeApt(t)
	build(t, packages, "tesseract-ocr-deu", "", data, nil)
	whole, err := os.ReadFile(filepath.Join(packages, "tesseract-ocr-deu_1_all.deb"))
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"", "!<arch>\n", string(whole[:len(whole)/2]), string(whole[:len(whole)-9])} {
		dir := t.TempDir()
		wish, result := filepath.Join(dir, "wish"), filepath.Join(dir, "result")
		err := errors.Join(os.WriteFile(wish, []byte("01 deu\n"), 0o600),
			os.WriteFile(filepath.Join(packages, "tesseract-ocr-deu_1_all.deb"), []byte(content), 0o644))
		if err != nil {
			t.Fatal(err)
		}
		units(t, wish, dir, result)
		if _, err := os.Lstat(wish); !os.IsNotExist(err) {
			t.Errorf("the wish is left: %v", err)
		}
		if got, err := os.ReadFile(result); err != nil || !strings.Contains(string(got), "01 failed the package that was loaded is damaged") {
			t.Errorf("%d bytes: %q, %v", len(content), got, err)
		}
	}
	if strings.Contains(asked(), "dpkg --install") {
		t.Errorf("asked were %q", asked())
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
