package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/store"
)

// results gives the results of findings, in order.
func results(findings []finding) string {
	var r []string
	for _, f := range findings {
		r = append(r, f.Result)
	}
	return strings.Join(r, " ")
}

// snapshot lists everything below dir with size and time.
func snapshot(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.Walk(dir, func(path string, st fs.FileInfo, err error) error {
		if err != nil {
			return err
		}
		all = append(all, path+" "+st.Mode().String()+" "+st.ModTime().String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The whole command on an empty box, on one with data, and beside a running
// daemon: it changes nothing, and each time a start would work.
func TestCheckChangesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	args := []string{"--data", "data", "--listen", "127.0.0.1:0", "--set", "device.usb.enabled=false"}
	for _, step := range []string{"no directory", "data", "running"} {
		t.Run(step, func(t *testing.T) {
			if step != "no directory" {
				s, err := store.Open(store.Config{Dir: "data"}, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				if step == "running" {
					defer s.Close()
				} else {
					s.Close()
				}
			}
			before := snapshot(t, ".")
			var out, errs bytes.Buffer
			if code := check(t.Context(), args, &out, &errs); code != 0 || errs.Len() > 0 {
				t.Errorf("code %d\n%s%s", code, &out, &errs)
			}
			if after := snapshot(t, "."); !slices.Equal(before, after) {
				t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
			}
			if running := strings.Contains(out.String(), "docscand is running with these data"); running != (step == "running") {
				t.Errorf("output:\n%s", &out)
			}
		})
	}
}

// A copy of the data is looked at beside a docscand that holds them: what this version
// could not read is told before it is asked to take over.
func TestCheckDatabase(t *testing.T) {
	dir := t.TempDir()
	bad, good := filepath.Join(dir, "bad.db"), filepath.Join(dir, "good.db")
	if err := os.WriteFile(bad, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: filepath.Join(dir, "data")}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.CopyDatabase(good); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{good: 0, bad: 1} {
		var out bytes.Buffer
		code := check(t.Context(), []string{"--config", os.DevNull, "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0",
			"--set", "device.usb.enabled=false", "--database", name}, &out, &out)
		if code != want || strings.Contains(out.String(), "this version can read the data") != (want == 0) {
			t.Errorf("%s: code %d, want %d\n%s", filepath.Base(name), code, want, &out)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	var out bytes.Buffer
	code := check(t.Context(), []string{"--json", "--set", "log.levle=info", "--set", "log.format=xml", "--set", "store.dirr=x"}, &out, &out)
	if code != 1 {
		t.Errorf("code %d, want 1", code)
	}
	var got []finding
	for d := json.NewDecoder(&out); d.More(); {
		var f finding
		if err := d.Decode(&f); err != nil {
			t.Fatal(err)
		}
		got = append(got, f)
	}
	if results(got) != "fail fail fail" || got[0].Check != "settings" || !strings.Contains(got[0].What, "did you mean log.level?") {
		t.Errorf("got %+v", got)
	}
}

func TestCheckUsage(t *testing.T) {
	var out bytes.Buffer
	if code := check(t.Context(), []string{"--jsn"}, &out, &out); code != 2 {
		t.Errorf("code %d, want 2", code)
	}
}

func TestCheckDirectory(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(base, "there"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ dir, want string }{
		{filepath.Join(base, "new", "deep"), resultOK},
		{file, resultFail},
		{filepath.Join(file, "below"), resultFail},
		{filepath.Join(base, "there"), resultOK},
		{"/proc/docscan", resultFail},
	}
	for _, tt := range tests {
		cfg := defaultConfig()
		cfg.Store.Dir = tt.dir
		got := checkDirectory(t.Context(), &cfg)
		if tt.dir == "/proc/docscan" && os.Geteuid() == 0 {
			continue // root has the right, only the file system refuses
		}
		if results(got) != tt.want {
			t.Errorf("%s: %+v, want %s", tt.dir, got, tt.want)
		}
	}
}

func TestCheckSpace(t *testing.T) {
	tests := []struct {
		need int
		want string
	}{
		{1, resultOK},
		{1 << 40, resultFail},
	}
	for _, tt := range tests {
		cfg := defaultConfig()
		cfg.Store.Dir = t.TempDir()
		cfg.Scan.MinFreeMB = tt.need
		if got := checkSpace(t.Context(), &cfg); results(got) != tt.want {
			t.Errorf("%d MiB: %+v, want %s", tt.need, got, tt.want)
		}
	}
}

func TestCheckStoreDamaged(t *testing.T) {
	cfg := defaultConfig()
	cfg.Store.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(cfg.Store.Dir, "docscan.db"), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := checkStore(t.Context(), &cfg); results(got) != resultFail || !strings.Contains(got[0].Advice, "restore") {
		t.Errorf("got %+v", got)
	}
}

func TestCheckSocket(t *testing.T) {
	cfg := defaultConfig()
	cfg.Store.Dir = "/" + strings.Repeat("x", 100)
	if got := checkSocket(t.Context(), &cfg); results(got) != resultFail {
		t.Errorf("long path: %+v", got)
	}
	cfg.Store.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(cfg.Store.Dir, "docscand.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := checkSocket(t.Context(), &cfg); results(got) != resultFail {
		t.Errorf("a file in its place: %+v", got)
	}
}

func TestCheckListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte(`{"status":"unhealthy","service":"docscan"}`))
	}))
	defer srv.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	running, err := store.Open(store.Config{Dir: t.TempDir()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	tests := []struct {
		name, address, dir, want string
	}{
		{"free", "127.0.0.1:0", t.TempDir(), resultOK},
		{"held by ours", srv.Listener.Addr().String(), running.Dir(), resultOK},
		{"held by the docscan of other data", srv.Listener.Addr().String(), t.TempDir(), resultFail},
		{"held by another", other.Listener.Addr().String(), running.Dir(), resultFail},
		{"not of this machine", "192.0.2.1:8000", t.TempDir(), resultFail},
		{"no address", "nonsense", t.TempDir(), resultFail},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := defaultConfig()
			cfg.Web.Listen, cfg.Store.Dir = tt.address, tt.dir
			if got := checkListen(t.Context(), &cfg); results(got) != tt.want {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
		})
	}
}

func TestCheckEncryption(t *testing.T) {
	pair := func(ends time.Time) (cert, key string) {
		t.Helper()
		dir := t.TempDir()
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		x := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: ends, DNSNames: []string{"box.example"}}
		der, err := x509.CreateCertificate(rand.Reader, x, x, private.Public(), private)
		must(t, err)
		secret, err := x509.MarshalPKCS8PrivateKey(private)
		must(t, err)
		cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
		must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
		return cert, key
	}
	later := time.Now().Add(100 * 24 * time.Hour)
	good, goodKey := pair(later)
	old, oldKey := pair(time.Now().Add(24 * time.Hour))
	shown, shownKey := pair(time.Now().Add(24 * time.Hour))
	must(t, os.Chmod(shownKey, 0o644))
	for _, tt := range []struct {
		name, listen, tls, cert, key, want, what string
	}{
		{"loopback", "127.0.0.1:8000", "auto", "", "", resultOK, "only this machine"},
		{"its own", ":8000", "auto", "", "", resultOK, "makes itself"},
		{"off", ":8000", "off", "", "", resultWarning, "can read passwords"},
		{"given", ":8000", "auto", good, goodKey, resultOK, good},
		{"ends soon", ":8000", "auto", old, oldKey, resultWarning, "ends on"},
		{"of another key", ":8000", "auto", good, oldKey, resultFail, oldKey},
		{"not there", ":8000", "auto", good + ".none", goodKey, resultFail, "no such file"},
		{"no certificate", ":8000", "auto", goodKey, goodKey, resultFail, goodKey},
		{"a key for everybody, and ends soon", ":8000", "auto", shown, shownKey, resultWarning + " " + resultWarning, "everybody on this machine"},
	} {
		cfg := defaultConfig()
		cfg.Web.Listen, cfg.Web.TLS, cfg.Web.Certificate, cfg.Web.Key = tt.listen, tt.tls, tt.cert, tt.key
		got := checkEncryption(t.Context(), &cfg)
		if results(got) != tt.want || !strings.Contains(got[len(got)-1].What, tt.what) {
			t.Errorf("%s: %+v, want %s with %q", tt.name, got, tt.want, tt.what)
		}
	}
}

func TestCheckLanguages(t *testing.T) {
	cfg := defaultConfig()
	cfg.OCR.Languages = []string{"xyz"}
	got := checkLanguages(t.Context(), &cfg)
	if results(got) != resultFail || !strings.Contains(got[0].What, "tesseract-ocr-xyz") {
		t.Errorf("got %+v, want the package's name", got)
	}
}

func TestCheckSimulator(t *testing.T) {
	cfg := defaultConfig()
	if got := checkSimulator(t.Context(), &cfg); results(got) != resultOK {
		t.Errorf("off: %+v", got)
	}
	cfg.Device.Sim.Enabled = true
	cfg.Device.Sim.Stack = t.TempDir()
	if got := checkSimulator(t.Context(), &cfg); results(got) != resultWarning {
		t.Errorf("empty: %+v", got)
	}
	if err := os.WriteFile(filepath.Join(cfg.Device.Sim.Stack, "1.JPG"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := checkSimulator(t.Context(), &cfg); results(got) != resultOK {
		t.Errorf("one page: %+v", got)
	}
	cfg.Device.Sim.Stack = "missing"
	if got := checkSimulator(t.Context(), &cfg); results(got) != resultWarning {
		t.Errorf("missing: %+v", got)
	}
}

func TestCheckBus(t *testing.T) {
	root := t.TempDir()
	if got := checkBus(root); results(got) != resultWarning {
		t.Errorf("no bus: %+v", got)
	}
	if err := os.Mkdir(filepath.Join(root, "001"), 0o700); err != nil {
		t.Fatal(err)
	}
	device := filepath.Join(root, "001", "002")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := checkBus(root); results(got) != resultOK {
		t.Errorf("one device: %+v", got)
	}
	if os.Geteuid() != 0 { // root may open everything
		if err := os.Chmod(device, 0); err != nil {
			t.Fatal(err)
		}
		if got := checkBus(root); results(got) != resultWarning {
			t.Errorf("closed: %+v", got)
		}
	}
}

func TestCheckTime(t *testing.T) {
	dir := t.TempDir()
	now := built.Add(time.Hour)
	tests := []struct {
		name    string
		now     time.Time
		written time.Time // of the database; zero: there is none
		want    string
	}{
		{"new box", now, time.Time{}, resultOK},
		{"no battery", time.Unix(0, 0), time.Time{}, resultWarning},
		{"goes on", now, now.Add(-time.Second), resultOK},
		{"went back", now, now.Add(time.Hour), resultWarning},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.written.IsZero() {
				db := filepath.Join(dir, "docscan.db")
				if err := os.WriteFile(db, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(db, tt.written, tt.written); err != nil {
					t.Fatal(err)
				}
			}
			if got := checkTime(tt.now, dir); results(got) != tt.want {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
		})
	}
}
