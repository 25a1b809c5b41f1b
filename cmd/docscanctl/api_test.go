//go:build linux && sqlite_fts5

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	scanners "docscan/device"
	"docscan/scan"
	"docscan/scan/ocr"
	"docscan/scan/text"
	"docscan/store"
	"docscan/store/search"
	"docscan/web"
)

// site serves the real API over a store in box, without a scanner: on a local
// socket as the daemon does, and on the loopback address it returns.
func site(t *testing.T) (socket, url string, st *store.Store, index *search.Index) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	dir, err := os.MkdirTemp("", "ctl") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	st = openStore(t, dir, "")
	index, err = search.Open(filepath.Join(dir, "index", "search.db"), scan.Texts(st), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	pool, err := ocr.NewPool(ocr.DefaultConfig().In(dir), "/bin/false", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	engine := scan.New(scan.DefaultConfig(), 1, st, pool, index, log)
	reg := scanners.NewRegistry(log, engine.DeviceChanged)
	engine.Attach(reg)
	s, err := web.New(web.DefaultConfig(), web.Deps{Store: st, Engine: engine, Registry: reg, Index: index, Version: "test", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(network, address string, h http.Handler) net.Listener {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		srv := s.Server(h)
		done := make(chan error)
		go func() { done <- srv.Serve(l) }()
		t.Cleanup(func() {
			srv.Close()
			<-done
		})
		return l
	}
	socket = filepath.Join(dir, "docscand.sock")
	serve("unix", socket, s.LocalHandler())
	return socket, "http://" + serve("tcp", "127.0.0.1:0", s.Handler()).Addr().String(), st, index
}

// file puts a document of one page into the store, and gives its ID.
func file(t *testing.T, st *store.Store, index *search.Index, title, words string) string {
	t.Helper()
	blob := func(data, kind string) store.Blob {
		w, err := st.NewBlob()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, data); err != nil {
			t.Fatal(err)
		}
		b, err := w.Commit(kind)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var content bytes.Buffer
	if err := text.Write(&content, &text.Page{Lines: []text.Line{{Words: []text.Word{{Text: words}}}}}); err != nil {
		t.Fatal(err)
	}
	stands := blob(content.String(), text.MediaType)
	raw, pdf := blob(title, "image/png"), blob("%PDF of "+title, "application/pdf")
	batch, id := store.BatchID(store.NewID()), store.DocumentID(store.NewID())
	if err := st.AddBatch(store.Batch{ID: batch, State: store.BatchScanning, Created: time.Now(), Documents: []store.DocumentID{id}}); err != nil {
		t.Fatal(err)
	}
	if _, err := st.AddPage(store.Page{Batch: batch, Seq: 1, Sheet: 1, State: store.PageSafe, Raw: raw, Text: stands}); err != nil {
		t.Fatal(err)
	}
	if _, err := st.UpdatePage(batch, 1, func(p *store.Page) error { p.State = store.PageDone; return nil }); err != nil {
		t.Fatal(err)
	}
	d := store.Document{ID: id, Title: title, Batch: batch, Pages: []store.DocumentPage{{Batch: batch, Seq: 1}}, PDF: pdf, Created: time.Now()}
	if err := st.FileDocument(d); err != nil {
		t.Fatal(err)
	}
	err := index.Put(t.Context(), search.Doc{ID: string(id), Title: title, Revision: 1, Created: d.Created, Pages: []search.Page{{Text: words, Name: stands.Sum}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(id)
}

// Each command against the real API, over the local socket.
func TestAPI(t *testing.T) {
	socket, _, st, index := site(t)
	letter := file(t, st, index, "Letter", "dear customer")
	file(t, st, index, "Bill", "invoice for one tractor")
	t.Chdir(t.TempDir())
	tests := []struct {
		args string
		code int
		want string // part of what is printed or said
	}{
		{"status", exitOK, "docscand  test, running since"},
		{"devices", exitOK, "No scanner is connected."},
		{"profiles", exitOK, "standard"},
		{"device diagnose", exitFailure, "no scanner has been seen"},
		{"device diagnose nothing", exitNotFound, "There is no such scanner"},
		{"scan", exitFailure, "No scanner is connected."},
		{"scan --wait", exitFailure, "No scanner is connected."},
		{"batches list", exitOK, "completed"},
		{"batches show nothing", exitNotFound, "there is no such thing here"},
		{"documents list", exitOK, "Letter"},
		{"documents list -q tractor", exitOK, "  page 1: invoice for one [tractor]"},
		{"documents list --limit 1", exitOK, "There are more: add --cursor"},
		{"documents list --limit 0", exitFailure, "limit must be"},
		{"documents show " + letter, exitOK, "Letter"},
		{"documents get " + letter + " -o letter.pdf", exitOK, "letter.pdf"},
		{"documents get nothing -o x.pdf", exitNotFound, "there is no such thing here"},
		{"documents text " + letter, exitOK, ""},
		{"documents edit " + letter, exitUsage, "say what to change"},
		{"documents edit " + letter + " --tag home,tax --type contract --date 2026-03-09", exitOK, "Changed: Letter"},
		{"documents edit " + letter + " --date soon", exitFailure, "The date must be like"},
		{"documents trash", exitOK, "The trash is empty."},
		{"documents trash " + letter, exitOK, "It is in the trash."},
		{"documents trash", exitOK, letter},
		{"documents restore " + letter, exitOK, "Restored: Letter"},
		{"documents restore nothing", exitNotFound, "there is no such thing here"},
		{"documents read nothing", exitNotFound, "there is no such thing here"},
		{"documents read " + letter + " --language xyz", exitFailure, "tesseract-ocr-xyz"},
		{"documents read " + letter + " --without ironing", exitFailure, "The steps of the clean-up are"},
		{"documents read " + letter + " --without straighten,crop", exitOK, ""},
		{"language list", exitOK, "English"},
		{"language list --available", exitOK, "NAME"},
		{"language install swe", exitNotFound, "Languages cannot be installed from here. Install the Debian package tesseract-ocr-swe."},
		{"language add letter.pdf", exitUsage, "must be called after its language"},
		{"language remove eng", exitNotFound, "was not handed in"},
		{"user add anna --admin", exitOK, "User anna was added (admin)."},
		{"user add anna", exitFailure, "already registered"},
		{"user list", exitOK, "anna"},
		{"token list", exitOK, "There is no token."},
		{"backup b.tar", exitOK, "verified"},
		{"check", exitOK, "Everything is in order: 2 documents, 2 pages"},
	}
	for _, tt := range tests {
		code, out, errs := ctl(t, map[string]string{"DOCSCAN_SOCKET": socket}, "seven green tractors\n", strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(out+errs, tt.want) {
			t.Errorf("%s: code %d, want %d and %q\n%s%s", tt.args, code, tt.code, tt.want, out, errs)
		}
	}
	if b, err := os.ReadFile("letter.pdf"); string(b) != "%PDF of Letter" {
		t.Errorf("letter.pdf holds %q, %v", b, err)
	}
	// What was planted is found.
	d, err := st.Document(store.DocumentID(letter))
	if err != nil {
		t.Fatal(err)
	}
	path, err := st.BlobPath(d.PDF)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	code, out, errs := ctl(t, map[string]string{"DOCSCAN_SOCKET": socket}, "", "check")
	if code != exitFailure || !strings.Contains(out, "missing-blob") || !strings.Contains(out, letter) {
		t.Errorf("check: code %d\n%s%s", code, out, errs)
	}
	code, _, errs = ctl(t, map[string]string{"DOCSCAN_SOCKET": socket}, "", "backup", "c.tar")
	if _, err := os.Stat("c.tar"); code != exitFailure || err == nil {
		t.Errorf("backup of damaged data: code %d, %v\n%s", code, err, errs)
	}
}

// Somebody who is locked out is let in again from the box: the temporary password opens
// one door, to a new password, and all that was held before ends.
func TestUserReset(t *testing.T) {
	socket, url, _, _ := site(t)
	local := map[string]string{"DOCSCAN_SOCKET": socket}
	const password = "seven green tractors"
	for _, args := range []string{"user add anna --admin", "user add ben"} {
		if code, _, errs := ctl(t, local, password+"\n", strings.Fields(args)...); code != exitOK {
			t.Fatalf("%s: code %d\n%s", args, code, errs)
		}
	}
	logIn := func(password string) (token string, status int) {
		t.Helper()
		body, err := json.Marshal(map[string]string{"username": "ben", "password": password})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post(url+"/api/v1/login", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var in struct {
			Token string `json:"access_token"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&in); err != nil {
			t.Fatal(err)
		}
		return in.Token, resp.StatusCode
	}
	ask := func(token string) int {
		t.Helper()
		req, err := http.NewRequest("GET", url+"/api/v1/documents", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	before, status := logIn(password)
	if status != 200 || ask(before) != 200 {
		t.Fatalf("before: log-in %d, a call %d", status, ask(before))
	}
	code, out, errs := ctl(t, local, "", "user", "reset", "BEN")
	temporary := strings.TrimSpace(out)
	if code != exitOK || temporary == "" || strings.Contains(temporary, "\n") || !strings.Contains(errs, "cannot be shown again") || strings.Contains(errs, temporary) {
		t.Fatalf("reset: code %d, %q\n%s", code, out, errs)
	}
	if got := ask(before); got != 401 {
		t.Errorf("the log-in from before: %d", got)
	}
	if _, status := logIn(password); status != 401 {
		t.Errorf("the password from before: %d", status)
	}
	token, status := logIn(temporary)
	if got := ask(token); status != 200 || got != 403 {
		t.Errorf("the temporary password: log-in %d, a call %d; want 200 and 403 until it is changed", status, got)
	}
	if code, _, errs := ctl(t, local, "", "user", "reset", "carl"); code != exitNotFound || !strings.Contains(errs, "there is no user") {
		t.Errorf("nobody: code %d\n%s", code, errs)
	}
}

// A token works over the network until it is deleted.
func TestAPIRemote(t *testing.T) {
	socket, url, _, _ := site(t)
	local := map[string]string{"DOCSCAN_SOCKET": socket}
	code, out, errs := ctl(t, local, "", "token", "create", "monitor", "--json")
	var made token
	if err := json.Unmarshal([]byte(out), &made); code != exitOK || err != nil || made.Token == "" {
		t.Fatalf("create: code %d, %v\n%s%s", code, err, out, errs)
	}
	remote := map[string]string{"DOCSCAN_SERVER": url, "DOCSCAN_TOKEN": made.Token}
	if code, _, errs := ctl(t, remote, "", "status"); code != exitOK {
		t.Errorf("with the token: code %d\n%s", code, errs)
	}
	if code, _, errs := ctl(t, local, "", "token", "delete", made.ID); code != exitOK {
		t.Errorf("delete: code %d\n%s", code, errs)
	}
	for _, tok := range []string{made.Token, "wrong", ""} {
		remote["DOCSCAN_TOKEN"] = tok
		if code, _, errs := ctl(t, remote, "", "status"); code != exitRefused || !strings.Contains(errs, "--token-file") {
			t.Errorf("token %q: code %d\n%s", tok, code, errs)
		}
	}
}
