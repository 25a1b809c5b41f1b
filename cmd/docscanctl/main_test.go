package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A daemon stands in for docscand: it serves the answers it was given on a
// local socket and keeps what it was asked.
type daemon struct {
	socket string

	mu      sync.Mutex
	answers map[string]http.HandlerFunc // by "METHOD /path", without the query
	asked   []string                    // "METHOD /path?query body"
}

// startDaemon starts one. An answer is a body, or a status and a body with a
// space between them.
func startDaemon(t *testing.T, answers map[string]string) *daemon {
	t.Helper()
	d := &daemon{answers: make(map[string]http.HandlerFunc)}
	for k, v := range answers {
		d.handle(k, func(w http.ResponseWriter, _ *http.Request) { writeAnswer(w, v) })
	}
	dir, err := os.MkdirTemp("", "ctl") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d.socket = filepath.Join(dir, "sock")
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(d)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return d
}

func writeAnswer(w http.ResponseWriter, v string) {
	status := http.StatusOK
	if n, body, ok := strings.Cut(v, " "); ok && len(n) == 3 {
		if _, err := fmt.Sscanf(n, "%d", &status); err == nil {
			v = body
			w.Header().Set("Content-Type", "application/problem+json")
		}
	}
	w.WriteHeader(status)
	io.WriteString(w, v)
}

func (d *daemon) handle(call string, h http.HandlerFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[call] = h
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	call := r.Method + " " + r.URL.Path
	d.mu.Lock()
	h := d.answers[call]
	d.asked = append(d.asked, strings.TrimSpace(r.Method+" "+r.URL.String()+" "+string(body)))
	d.mu.Unlock()
	if h == nil {
		writeAnswer(w, `404 {"title":"No such thing here","detail":"`+call+`: not found"}`)
		return
	}
	h(w, r)
}

// calls gives what the daemon was asked.
func (d *daemon) calls() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.asked, "\n")
}

// ctl runs docscanctl against d with in as standard input.
func (d *daemon) ctl(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	return ctl(t, map[string]string{"DOCSCAN_SOCKET": d.socket}, in, args...)
}

func ctl(t *testing.T, env map[string]string, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, terminal{strings.NewReader(in), &o, &e}, func(k string) string { return env[k] })
	return code, o.String(), e.String()
}

const (
	oneBatch = `{"id":"b1","state":"completed","device":"sim-1","profile":{"id":"standard","name":"Both \u001b[31msides"},
		"created":"2026-11-23T10:00:00Z","sheets":1,"pages":2,"done":2,"documents":["d1"]}`
	oneDocument = `{"id":"d1","title":"請求書 42","batch":"b1","created":"2026-11-23T10:00:00Z","languages":["eng"],
		"pages":[{"batch":"b1","seq":1},{"batch":"b1","seq":2}],"pdf":{"size":123456},"notes":["page 2 is kept as an image only"]}`
)

// Times are printed as they are here. It is set before any server runs, which
// reads it.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	var err error
	if built, err = os.MkdirTemp("", "docscan-fleet-"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(built); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// built is a folder for programs.
var built string

func TestReaders(t *testing.T) {
	d := startDaemon(t, map[string]string{
		"GET /api/v1/status": `{"version":"1.2","started":"2026-11-23T10:00:00Z","disk_free_bytes":1234567890,"open_batches":1,"pages_waiting":3,"devices":{"sim-2":"warming-up","sim-1":"ready"}}`,
		"GET /api/v1/devices": `{"devices":[{"info":{"id":"sim-1","port":"sim:1"},"name":"ACME S1","caps":{"sources":["feeder","platen"],"duplex":true},
			"status":{"state":"fault","fault":"jam"}}]}`,
		"GET /api/v1/profiles":     `{"profiles":[{"id":"standard","name":"Standard","source":"feeder","duplex":true,"mode":"color","resolution":300,"languages":["eng"]}]}`,
		"GET /api/v1/batches":      `{"batches":[` + oneBatch + `]}`,
		"GET /api/v1/batches/b1":   `{"id":"b1","state":"stopped","device":"sim-1","profile":{"name":"Standard"},"created":"2026-11-23T10:00:00Z","sheets":1,"done":0,"pages":[{"seq":1,"sheet":1,"state":"safe"}],"fault":{"what":"Jam.","safe":"Page 1 is safe.","advice":"Open the cover."}}`,
		"GET /api/v1/documents":    `{"documents":[` + oneDocument + `,{"id":"d2","title":"x\r\u001b]0;y\u0007\u202ez","created":"2026-11-23T10:00:00Z","pages":1,"hits":[{"page":1,"snippet":[{"text":"an "},{"text":"invoice","match":true}]}]}],"next":"c2"}`,
		"GET /api/v1/documents/d1": oneDocument,
		"GET /api/v1/users":        `{"users":[{"name":"anna","role":"admin","created":"2026-11-23T10:00:00Z"},{"name":"bob","role":"member","disabled":true,"created":"2026-11-23T10:00:00Z"}]}`,
		"GET /api/v1/tokens":       `{"tokens":[{"id":"t1","name":"monitor","scopes":["read","scan"],"created":"2026-11-23T10:00:00Z"}]}`,
	})
	tests := []struct {
		args string
		want string
	}{
		{"status", "" +
			"docscand  1.2, running since 2026-11-23 10:00\n" +
			"Work      1 batch open, 3 pages to be read\n" +
			"Disk      1.2 GB free\n" +
			"Scanner   sim-1: ready\n" +
			"Scanner   sim-2: warming up\n"},
		{"devices", "" +
			"DEVICE  NAME     STATE        SOURCES                 PORT\n" +
			"sim-1   ACME S1  fault (jam)  feeder, platen, duplex  sim:1\n"},
		{"profiles", "" +
			"PROFILE   NAME      SOURCE  SIDES  COLOUR  DPI  LANGUAGES\n" +
			"standard  Standard  feeder  both   color   300  eng\n"},
		{"batches list", "" +
			"BATCH  BEGUN             STATE      PAGES  PROFILE         DEVICE\n" +
			"b1     2026-11-23 10:00  completed  2      Both [31msides  sim-1\n"},
		{"batches show b1", "" +
			"Batch    b1\n" +
			"State    stopped\n" +
			"Begun    2026-11-23 10:00\n" +
			"Device   sim-1\n" +
			"Profile  Standard\n" +
			"Pages    1 on 1 sheet, 0 of them read\n" +
			"Fault    Jam.\n" +
			"Safe     Page 1 is safe.\n" +
			"To do    Open the cover.\n" +
			"\n" +
			"PAGE  SHEET  SIDE   STATE  WORDS  NOTE\n" +
			"1     1      front  safe   0      -\n"},
		{"documents list -q invoice", "" +
			"DOCUMENT  SCANNED           PAGES  TITLE\n" +
			"d1        2026-11-23 10:00  2      請求書 42\n" +
			"d2        2026-11-23 10:00  1      x]0;yz\n" +
			"  page 1: an [invoice]\n" +
			"\n" +
			"There are more: add --cursor c2\n"},
		{"documents show d1", "" +
			"Document   d1\n" +
			"Title      請求書 42\n" +
			"Scanned    2026-11-23 10:00\n" +
			"Pages      2\n" +
			"PDF        123.5 kB\n" +
			"Languages  eng\n" +
			"Batch      b1\n" +
			"Note       page 2 is kept as an image only\n"},
		{"user list", "" +
			"NAME  ROLE    SINCE             STATE\n" +
			"anna  admin   2026-11-23 10:00  active\n" +
			"bob   member  2026-11-23 10:00  disabled\n"},
		{"token list", "" +
			"TOKEN  NAME     GOOD FOR   MADE              EXPIRES\n" +
			"t1     monitor  read scan  2026-11-23 10:00  never\n"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			code, out, errs := d.ctl(t, "", strings.Fields(tt.args)...)
			if code != exitOK || errs != "" || out != tt.want {
				t.Errorf("code %d %s\n%s\nwant\n%s", code, errs, out, tt.want)
			}
			code, out, errs = d.ctl(t, "", append(strings.Fields(tt.args), "--json")...)
			if code != exitOK || errs != "" || !json.Valid([]byte(out)) {
				t.Errorf("--json: code %d %s\n%s", code, errs, out)
			}
		})
	}
	if asked := d.calls(); !strings.Contains(asked, "GET /api/v1/documents?limit=20&q=invoice") {
		t.Errorf("the daemon was asked\n%s", asked)
	}
}

func TestExitCodes(t *testing.T) {
	d := startDaemon(t, map[string]string{
		"GET /api/v1/devices":   `401 {"detail":"Not authenticated"}`,
		"GET /api/v1/users":     `403 {"detail":"Admin access required"}`,
		"POST /api/v1/scans":    `409 {"title":"Scanner busy","detail":"The scanner is\u001b[2J at work already."}`,
		"GET /api/v1/status":    `<html>`,
		"GET /api/v1/tokens":    `{"tokens":{}}`,
		"GET /api/v1/documents": `{"documents":[]}`,
	})
	tests := []struct {
		args string
		want int
		text string // part of what is said
	}{
		{"documents list", exitOK, ""},
		{"version", exitOK, ""},
		{"", exitOK, ""},
		{"--help", exitOK, ""},
		{"completion bash", exitOK, ""},
		{"scan", exitFailure, "docscanctl: The scanner is[2J at work already.\n"},
		{"status", exitFailure, "is this really docscand?"},
		{"token list", exitFailure, "of another version?"},
		{"nonsense", exitUsage, `unknown command "nonsense"`},
		{"batches", exitUsage, "wants one of its commands"},
		{"batches nonsense", exitUsage, `no command "nonsense"`},
		{"batches show", exitUsage, "accepts 1 arg"},
		{"scan --sideways", exitUsage, "unknown flag"},
		{"devices --token-file x", exitUsage, "--token-file needs --server"},
		{"devices --server nonsense", exitUsage, "is not the address of a server"},
		{"devices --server http://localhost:1 --socket x", exitUsage, "exclude each other"},
		{"devices --socket /nowhere/sock", exitUnreachable, "Is it running?"},
		{"devices --server http://127.0.0.1:1", exitUnreachable, "Is it running?"},
		{"devices", exitRefused, "Not authenticated"},
		{"user list", exitRefused, "Admin access required"},
		{"documents show d9", exitNotFound, "GET /api/v1/documents/d9: not found"},
		{"documents show a/../b?c", exitNotFound, "not found"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			code, out, errs := d.ctl(t, "", strings.Fields(tt.args)...)
			if code != tt.want || !strings.Contains(errs, tt.text) {
				t.Errorf("code %d, want %d\n%s%s", code, tt.want, out, errs)
			}
			if code != exitOK && out != "" {
				t.Errorf("standard output has %q", out)
			}
		})
	}
	if asked := d.calls(); !strings.Contains(asked, "GET /api/v1/documents/a%2F..%2Fb%3Fc") {
		t.Errorf("an ID became a path:\n%s", asked)
	}
}

func TestNoSocket(t *testing.T) {
	t.Chdir(t.TempDir())
	before := sockets
	sockets = sockets[2:] // a docscand may run on this machine
	t.Cleanup(func() { sockets = before })
	code, _, errs := ctl(t, nil, "", "status")
	if code != exitUnreachable || !strings.Contains(errs, "docscand is not running here") || !strings.Contains(errs, "systemctl start docscand") {
		t.Errorf("code %d: %s", code, errs)
	}
}

func TestRemote(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		io.WriteString(w, `{"devices":[]}`)
	}))
	defer s.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name string
		env  map[string]string
		args []string
		code int
		want string
	}{
		{"file", nil, []string{"--server", s.URL, "--token-file", write("good", "abc\n")}, exitOK, "Bearer abc"},
		{"environment", map[string]string{"DOCSCAN_SERVER": s.URL, "DOCSCAN_TOKEN": "def"}, nil, exitOK, "Bearer def"},
		{"file goes first", map[string]string{"DOCSCAN_TOKEN": "def"}, []string{"--server", s.URL, "--token-file", write("good", "abc\n")}, exitOK, "Bearer abc"},
		{"no token", nil, []string{"--server", s.URL + "/"}, exitOK, ""},
		{"empty file", nil, []string{"--server", s.URL, "--token-file", write("empty", "\n")}, exitUsage, ""},
		{"not a token", nil, []string{"--server", s.URL, "--token-file", write("long", "a b\nc")}, exitUsage, ""},
		{"missing file", nil, []string{"--server", s.URL, "--token-file", filepath.Join(dir, "none")}, exitFailure, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got = ""
			code, _, errs := ctl(t, tt.env, "", append([]string{"devices"}, tt.args...)...)
			if code != tt.code || got != tt.want {
				t.Errorf("code %d, Authorization %q; want %d, %q\n%s", code, got, tt.code, tt.want, errs)
			}
		})
	}
}

func TestLoopback(t *testing.T) {
	tests := []struct {
		host string
		want bool
	}{{"localhost", true}, {"127.0.0.9", true}, {"::1", true}, {"192.168.1.2", false}, {"localhost.example", false}}
	for _, tt := range tests {
		if got := loopback(tt.host); got != tt.want {
			t.Errorf("loopback(%q) = %v", tt.host, got)
		}
	}
}

func TestDocumentsGet(t *testing.T) {
	d := startDaemon(t, map[string]string{"GET /api/v1/documents/d1/text": "one\r\ntwo \x1b[2J\n\n\fthree\n"})
	d.handle("GET /api/v1/documents/d1/pdf", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", noTime, strings.NewReader("%PDF"))
	})
	d.handle("GET /api/v1/documents/d1/original", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", noTime, strings.NewReader("II*"))
	})
	t.Chdir(t.TempDir())
	steps := []struct {
		args string
		code int
		out  string
		file string // that holds the PDF afterwards
	}{
		{"documents get d1", exitOK, "d1.pdf (4 B)\n", "d1.pdf"},
		{"documents get d1", exitFailure, "", "d1.pdf"}, // it is there already
		{"documents get d1 -o d1.pdf", exitOK, "d1.pdf (4 B)\n", "d1.pdf"},
		{"documents get d1 -o x", exitOK, "x (4 B)\n", "x"},
		{"documents get d1 -o -", exitOK, "%PDF", ""},
		{"documents get d2 -o y", exitNotFound, "", ""},
		{"documents get d1 -o none/y", exitFailure, "", ""},
		{"documents get d1 --original", exitUsage, "", ""},
		{"documents get d1 --original -o -", exitOK, "II*", ""},
		{"documents text d1", exitOK, "one\ntwo [2J\n\n\fthree\n", ""},
	}
	for _, s := range steps {
		code, out, errs := d.ctl(t, "", strings.Fields(s.args)...)
		if code != s.code || out != s.out {
			t.Errorf("%s: code %d, %q; want %d, %q\n%s", s.args, code, out, s.code, s.out, errs)
		}
		if s.file != "" {
			if b, err := os.ReadFile(s.file); string(b) != "%PDF" {
				t.Errorf("%s: %s holds %q, %v", s.args, s.file, b, err)
			}
		}
	}
	if left, _ := os.ReadDir("."); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUserAdd(t *testing.T) {
	d := startDaemon(t, map[string]string{"POST /api/v1/users": `{"id":"u1","name":"anna","role":"admin"}`})
	tests := []struct {
		in, args string
		code     int
		asked    string
	}{
		{"seven green tractors\nmore", "user add anna --admin", exitOK, `POST /api/v1/users {"password":"seven green tractors","role":"admin","username":"anna"}`},
		{"no line break", "user add bob", exitOK, `POST /api/v1/users {"password":"no line break","role":"member","username":"bob"}`},
		{"", "user add bob", exitUsage, ""},
		{"\n", "user add bob", exitUsage, ""},
	}
	for _, tt := range tests {
		d.asked = nil
		code, _, errs := d.ctl(t, tt.in, strings.Fields(tt.args)...)
		if code != tt.code || d.calls() != tt.asked {
			t.Errorf("%s: code %d, asked %s; want %d, %s\n%s", tt.args, code, d.calls(), tt.code, tt.asked, errs)
		}
	}
}

func TestTokens(t *testing.T) {
	d := startDaemon(t, map[string]string{
		"POST /api/v1/tokens":      `{"id":"t1","name":"monitor","token":"secret"}`,
		"DELETE /api/v1/tokens/t1": ``,
	})
	code, out, errs := d.ctl(t, "", "token", "create", "monitor")
	if code != exitOK || out != "secret\n" || !strings.Contains(errs, "cannot be shown again") {
		t.Errorf("create: code %d, %q, %q", code, out, errs)
	}
	if code, out, errs := d.ctl(t, "", "token", "delete", "t1"); code != exitOK || out != "The token was deleted.\n" {
		t.Errorf("delete: code %d, %q, %q", code, out, errs)
	}
}
