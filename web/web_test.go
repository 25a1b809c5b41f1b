package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"docscan/device"
	"docscan/scan"
	"docscan/scan/deliver"
	"docscan/scan/ocr"
	"docscan/scan/text"
	"docscan/store"
	"docscan/store/audit"
	"docscan/store/search"
)

// TestMain is also the worker that reads pages.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(ocr.WorkerMain(os.Args[2:]))
	}
	// The store syncs every transaction, which takes most of the time here on a disk
	// and is the business of other tests.
	const memory, room = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) > room && os.Getenv("TMPDIR") == "" {
		if err := os.Setenv("TMPDIR", memory); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// site is a server over a real store, with nothing scanned by a scanner.
type site struct {
	*Server
	t   testing.TB
	url string
	log *bytes.Buffer
}

const password = "seven green tractors"

func newSite(t testing.TB, change func(*Config)) *site {
	t.Helper()
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	dir := t.TempDir()
	st, err := store.Open(store.Config{Dir: dir}, log)
	if err != nil {
		t.Fatal(err)
	}
	index, err := search.Open(filepath.Join(dir, "index", "search.db"), scan.Texts(st), log)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := ocr.NewPool(ocr.DefaultConfig().In(dir), exe, log)
	if err != nil {
		t.Fatal(err)
	}
	engine := scan.New(scan.DefaultConfig(), 1, st, pool, index, log)
	reg := device.NewRegistry(log, engine.DeviceChanged)
	engine.Attach(reg)
	cfg := DefaultConfig()
	cfg.LoginsPerMinute, cfg.RegistrationsPerMinute, cfg.AdminPerMinute, cfg.ExportsPerMinute, cfg.UploadsPerMinute = 1000, 1000, 1000, 1000, 1000
	cfg.PasswordPasses = 1
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, Deps{Store: st, Engine: engine, Registry: reg, Index: index, Deliveries: deliver.New(st, engine.Subscribe, log), Version: "test", Versions: func() string { return "docscand test" }, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = s.Server(asDescribed(t, s.Handler()))
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		pool.Close()
		if err := index.Close(); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{Server: s, t: t, url: srv.URL, log: &logged}
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

// ask sends a request as the bearer of token ("" for nobody).
func (s *site) ask(method, path, token, body string, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp, string(data)}
}

// stream opens a stream of events, which ends with ctx.
func (s *site) stream(ctx context.Context, token, last string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+eventsPath, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// passwordHash is that of password, made once: it takes a while, as it should.
var passwordHash = sync.OnceValues(func() (string, error) {
	s := &Server{passes: 1, hashing: make(chan struct{}, 1)}
	return s.hashPassword(context.Background(), password)
})

// user adds somebody, and gives the secret of a log-in of theirs, for which no
// password had to be hashed.
func (s *site) user(name string, role store.Role) string {
	s.t.Helper()
	hash, err := passwordHash()
	if err == nil {
		err = s.Store.AddUser(store.User{ID: store.UserID(store.NewID()), Name: name, Role: role, Password: hash, Created: time.Now()})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	secret, now := newSecret(), time.Now()
	err = s.Store.AddSession(nil, store.Session{
		ID: store.SessionID(store.NewID()), Hash: hashSecret(secret), User: s.named(name).ID, Created: now, Seen: now,
		Expires: now.Add(s.shortest()), Address: "127.0.0.1",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}

// group adds a group of these people, in the name of an administrator.
func (s *site) group(admin, name string, people ...string) store.Group {
	s.t.Helper()
	var g store.Group
	s.json("POST", "/api/v1/groups", admin, fmt.Sprintf(`{"name":%q}`, name), 201, &g)
	for _, p := range people {
		u := s.named(p)
		groups, err := json.Marshal(append(slices.Clone(u.Groups), g.ID))
		if err != nil {
			s.t.Fatal(err)
		}
		s.json("PATCH", "/api/v1/users/"+string(u.ID), admin, fmt.Sprintf(`{"groups":%s}`, groups), 200, nil)
	}
	return g
}

func (s *site) logInAs(name string) string {
	s.t.Helper()
	a := s.ask("POST", "/api/v1/login", "", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password))
	var in struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &in); err != nil || a.StatusCode != 200 {
		s.t.Fatalf("log in as %s: %s %s", name, a.Status, a.body)
	}
	return in.Token
}

// file puts a document of one page into the store, as a scan would.
func (s *site) file(owner store.UserID, title, words string) store.Document {
	s.t.Helper()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	blob := func(data, kind string) store.Blob {
		w, err := s.Store.NewBlob()
		must(err)
		_, err = io.WriteString(w, data)
		must(err)
		b, err := w.Commit(kind)
		must(err)
		return b
	}
	var content bytes.Buffer
	page := text.Page{Lines: []text.Line{{}}}
	for _, w := range strings.Fields(words) {
		page.Lines[0].Words = append(page.Lines[0].Words, text.Word{Text: w})
	}
	must(text.Write(&content, &page))
	stands := blob(content.String(), text.MediaType)
	now := time.Now()
	b := store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchScanning, Owner: owner, Created: now, Updated: now, Documents: []store.DocumentID{store.DocumentID(store.NewID())}}
	must(s.Store.AddBatch(b, audit.Entry{Action: "scan", Status: audit.Success}))
	_, err := s.Store.AddPage(store.Page{Batch: b.ID, Seq: 1, Sheet: 1, State: store.PageDone, Created: now,
		Raw: blob("raw of "+title, "image/jpeg"), Text: stands, View: blob("view of "+title, "image/jpeg"), Thumb: blob("thumb of "+title, "image/jpeg")})
	must(err)
	d := store.Document{ID: b.Documents[0], Title: title, Owner: owner, Batch: b.ID, Pages: []store.DocumentPage{{Batch: b.ID, Seq: 1}},
		PDF: blob("%PDF of "+title, "application/pdf"), Created: now, Updated: now}
	must(s.Store.FileDocument(d, audit.Entry{Action: "document_filed", Status: audit.Success}))
	must(s.Index.Put(s.t.Context(), search.Doc{ID: string(d.ID), Owner: string(owner), Title: title, Revision: 1, Pages: []search.Page{{Text: words, Name: stands.Sum}}}))
	return d
}

func TestSetup(t *testing.T) {
	s := newSite(t, nil)
	token, err := s.SetupCode()
	if err != nil {
		t.Fatal(err)
	}
	try := func(token, name, pass string) int {
		return s.ask("POST", "/api/v1/setup", "", fmt.Sprintf(`{"token":%q,"username":%q,"password":%q}`, token, name, pass)).StatusCode
	}
	for _, tt := range []struct {
		what, token, name, pass string
		want                    int
	}{
		{"a wrong token", "guess", "anna", password, 403},
		{"no token", "", "anna", password, 403},
		{"a short password", token, "anna", "short", 422},
		{"a common password", token, "anna", "password123", 422},
		{"the name as password", token, "annabelle9", "annabelle9", 422},
		{"a name of docscan's own", token, "local", password, 422},
		{"a name with a line break", token, "an\nna", password, 422},
		{"all in order, in another spelling", strings.ToUpper(strings.ReplaceAll(token, "-", " ")), "anna", password, 201},
		{"the code a second time", token, "ben", password, 403},
	} {
		if got := try(tt.token, tt.name, tt.pass); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
	if code, err := s.SetupCode(); err != nil || code != "" {
		t.Errorf("a code is given although there is an administrator: %q, %v", code, err)
	}
	if strings.Contains(s.log.String(), token) || strings.Contains(s.log.String(), password) {
		t.Error("the log holds a secret")
	}
}

// The link and the form work without script, and take the token out of the
// address.
func TestSetupPage(t *testing.T) {
	s := newSite(t, nil)
	code, err := s.SetupCode()
	if err != nil {
		t.Fatal(err)
	}
	link := SetupLink("", code)
	a := s.ask("GET", link, "", "")
	if a.StatusCode != 303 || a.Header.Get("Location") != "/setup" || len(a.Cookies()) != 1 {
		t.Fatalf("the link is answered with %s to %s", a.Status, a.Header.Get("Location"))
	}
	cookie := a.Cookies()[0].Name + "=" + a.Cookies()[0].Value
	if a := s.ask("GET", "/setup", "", "", "Cookie", cookie); a.StatusCode != 200 || !strings.Contains(a.body, "<form") {
		t.Errorf("the form: %s", a.Status)
	}
	// Without the link the page asks for the code, and keeps what was typed.
	if a := s.ask("GET", "/setup", "", ""); a.StatusCode != 200 || !strings.Contains(a.body, `name="setup_code"`) || strings.Contains(a.body, `role="alert">`) {
		t.Errorf("without the link: %s\n%s", a.Status, a.body)
	}
	if a := s.ask("GET", "/setup", "", "", "Cookie", setupCookie+"=old"); a.StatusCode != 200 || !strings.Contains(a.body, "used or older than 24 hours") {
		t.Errorf("with an old link: %s\n%s", a.Status, a.body)
	}
	typed := url.Values{"setup_code": {"aaaa-bbbb"}, "username": {"anna"}, "password": {password}, "again": {password}}
	if a := s.form("/setup", "", typed); a.StatusCode != 403 || !strings.Contains(a.body, `value="aaaa-bbbb"`) || !strings.Contains(a.body, `value="anna"`) {
		t.Errorf("a wrong code: %s\n%s", a.Status, a.body)
	}
	typed.Set("setup_code", code)
	typed.Set("again", "another")
	if a := s.form("/setup", "", typed); a.StatusCode != 422 || !strings.Contains(a.body, `value="`+code+`"`) {
		t.Errorf("two passwords: %s\n%s", a.Status, a.body)
	}
	told := false
	s.SetUp = func() { told = true }
	form := url.Values{"username": {"anna"}, "password": {password}, "again": {password}}.Encode()
	a = s.ask("POST", "/setup", "", form, "Cookie", cookie, "Content-Type", "application/x-www-form-urlencoded")
	if a.StatusCode != 303 || a.Header.Get("Location") != "/welcome" {
		t.Errorf("setting up: %s to %s\n%s", a.Status, a.Header.Get("Location"), a.body)
	}
	if !told {
		t.Error("the box is not told that it is set up")
	}
	if a := s.ask("GET", "/", "", ""); a.Header.Get("Location") != "/login" {
		t.Errorf("without a log-in the home page sends to %q", a.Header.Get("Location"))
	}
}

// Who may do what: every route, for nobody, a panel, a member and an
// administrator.
func TestAccess(t *testing.T) {
	s := newSite(t, nil)
	tokens := map[store.Role]string{"": "", store.RolePanel: s.user("wall", store.RolePanel), store.RoleMember: s.user("ben", store.RoleMember), store.RoleAdmin: s.user("anna", store.RoleAdmin)}
	for _, rt := range routes() {
		if rt.path == eventsPath || rt.path == eventsBefore || rt.path == "/api/v1/logout" || rt.path == "/logout" || rt.access == anyone {
			continue // a stream that does not end, what ends the log-in, and what refuses for reasons of its own
		}
		path := strings.NewReplacer(":id", "none", ":session", "none", ":seq", "1", ":action", "cancel").Replace(rt.path)
		for role, token := range tokens {
			allowed := role == store.RoleAdmin || role == store.RoleMember && !rt.access.administers() || role == store.RolePanel && (rt.access == panels || rt.access == entering)
			a := s.ask(rt.method, path, token, "")
			to := a.Header.Get("Location")
			refused := a.StatusCode == 401 || a.StatusCode == 403 || a.StatusCode == 303 && (strings.HasSuffix(to, "/login") || to == "/kiosk")
			if refused == allowed {
				t.Errorf("%s %s for %q: %s", rt.method, path, role, a.Status)
			}
			if a.StatusCode >= 500 && a.StatusCode != 503 {
				t.Errorf("%s %s for %q: %s", rt.method, path, role, a.Status)
			}
		}
	}
}

// What belongs to somebody else is not there; what belongs to nobody in
// particular is everybody's.
func TestForeignDocuments(t *testing.T) {
	s := newSite(t, nil)
	admin, ben, carl := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember), s.user("carl", store.RoleMember)
	u, err := s.Store.UserByName("ben")
	if err != nil {
		t.Fatal(err)
	}
	his, all := s.file(u.ID, "Letter of Ben", "boiler"), s.file("", "From the panel", "boiler")
	for _, tt := range []struct {
		who, token string
		his        int
		listed     int
	}{{"the owner", ben, 200, 2}, {"another member", carl, 404, 1}, {"an administrator", admin, 200, 2}} {
		for _, path := range []string{"", "/pdf", "/text", "/pages/1/thumb", "/pages/1/view", "/pages/1/text"} {
			if got := s.ask("GET", "/api/v1/documents/"+string(his.ID)+path, tt.token, "").StatusCode; got != tt.his {
				t.Errorf("%s asks for %q: %d, want %d", tt.who, path, got, tt.his)
			}
			if got := s.ask("GET", "/api/v1/documents/"+string(all.ID)+path, tt.token, "").StatusCode; got != 200 {
				t.Errorf("%s asks for %q of everybody's document: %d", tt.who, path, got)
			}
		}
		for _, path := range []string{"", "/pages/1/raw", "/pages/1/thumb"} {
			if got := s.ask("GET", "/api/v1/batches/"+string(his.Batch)+path, tt.token, "").StatusCode; got != tt.his {
				t.Errorf("%s asks for batch %q: %d, want %d", tt.who, path, got, tt.his)
			}
		}
		for _, query := range []string{"", "?q=boiler"} {
			var list struct{ Documents []any }
			if err := json.Unmarshal([]byte(s.ask("GET", "/api/v1/documents"+query, tt.token, "").body), &list); err != nil || len(list.Documents) != tt.listed {
				t.Errorf("%s lists %q: %d documents, %v, want %d", tt.who, query, len(list.Documents), err, tt.listed)
			}
		}
	}
	if got := s.ask("DELETE", "/api/v1/documents/"+string(his.ID), carl, "").StatusCode; got != 404 {
		t.Errorf("another member deletes: %d, want 404", got)
	}
	if got := s.ask("DELETE", "/api/v1/documents/"+string(his.ID), ben, "").StatusCode; got != 204 {
		t.Errorf("the owner deletes: %d, want 204", got)
	}
	if a := s.ask("GET", "/api/v1/documents/"+string(his.ID), ben, ""); !strings.Contains(a.body, `"trashed"`) {
		t.Errorf("after that it is not in the trash: %s", a.body)
	}
	if got := s.ask("DELETE", "/api/v1/documents/"+string(his.ID)+"?forever=1", ben, "", "If-Match", "*").StatusCode; got != 204 {
		t.Errorf("the owner deletes for good: %d, want 204", got)
	}
	if got := s.ask("GET", "/api/v1/documents/"+string(his.ID), ben, "").StatusCode; got != 404 {
		t.Errorf("after that it is still there: %d", got)
	}
}

// Whatever names a document, a scan or a change of somebody else's is refused by every route
// there is, and leaves all as it was.
func TestForeignByEveryRoute(t *testing.T) {
	s := newSite(t, nil)
	ben, carl, wall := s.user("ben", store.RoleMember), s.user("carl", store.RoleMember), s.user("wall", store.RolePanel)
	d := s.file(s.named("ben").ID, "Letter of Ben", "boiler")
	page, err := s.Store.Page(d.Batch, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.UpdateBatch(d.Batch, func(b *store.Batch) error {
		b.Upload = &store.Upload{Name: "secret.jpg", File: page.Raw, Pages: 1}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	change := s.read(s.ask("PATCH", "/api/v1/documents/"+string(d.ID), ben, `{"title":"Boiler"}`, "If-Match", "*"), "change")
	before, err := s.Store.Document(d.ID)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, rt := range routes() {
		id := ""
		switch {
		case strings.Contains(rt.path, "/changes/:id"):
			id = change
		case strings.Contains(rt.path, "/batches/:id"):
			id = string(d.Batch)
		case strings.Contains(rt.path, "/documents/:id"), strings.Contains(rt.path, "/results/:id"), strings.Contains(rt.path, "/trash/:id"):
			id = string(d.ID)
		default:
			continue
		}
		asked++
		path := strings.NewReplacer(":id", id, ":seq", "1", ":action", "finish", ":format", "excel").Replace(rt.path)
		kind, body := jsonType, "{}"
		if rt.summary == "" {
			kind, body = "application/x-www-form-urlencoded", fmt.Sprint("revision=", before.Revision)
		}
		for who, token := range map[string]string{"another member": carl, "a panel": wall} {
			if rt.method == "GET" {
				body = ""
			}
			a := s.ask(rt.method, path, token, body, "If-Match", "*", "Content-Type", kind)
			refused := a.StatusCode == 403 || a.StatusCode == 404
			if rt.path == "/documents/:id/now" { // a part of a page that is open
				refused = refused || strings.Contains(a.body, "no longer there")
			}
			if !refused || strings.Contains(strings.ToLower(a.body), "boiler") || strings.Contains(a.body, "secret.jpg") {
				t.Errorf("%s %s by %s: %s %.300s", rt.method, rt.path, who, a.Status, a.body)
			}
		}
	}
	if asked < 40 {
		t.Errorf("only %d routes were tried", asked)
	}
	if after, err := s.Store.Document(d.ID); err != nil || after.Revision != before.Revision || after.Title != before.Title || !after.Trashed.IsZero() {
		t.Errorf("it is %+v (%v) now", after, err)
	}
}

func TestDisabledUserIsOut(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("ben", store.RoleMember)
	u, err := s.Store.UserByName("ben")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.UpdateUser(u.ID, func(u *store.User) error { u.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := s.ask("GET", "/api/v1/me", token, "").StatusCode; got != 401 {
		t.Errorf("a disabled user's session: %d, want 401", got)
	}
	if got := s.ask("POST", "/api/v1/login", "", fmt.Sprintf(`{"username":"ben","password":%q}`, password)).StatusCode; got != 401 {
		t.Errorf("a disabled user logs in: %d, want 401", got)
	}
}

func TestLoginLimit(t *testing.T) {
	s := newSite(t, func(c *Config) { c.LoginsPerMinute = 3 })
	for i := range 4 {
		a := s.ask("POST", "/api/login", "", `{"username":"nobody","password":"wrong"}`)
		want := 401
		if i == 3 {
			want = 429
		}
		if a.StatusCode != want {
			t.Errorf("attempt %d: %d, want %d", i+1, a.StatusCode, want)
		}
		if want == 401 && (a.Header.Get("WWW-Authenticate") != "Bearer" || !strings.Contains(a.body, "Incorrect username or password")) {
			t.Errorf("attempt %d: %q %s", i+1, a.Header.Get("WWW-Authenticate"), a.body)
		}
		if want == 429 && a.Header.Get("Retry-After") == "" {
			t.Errorf("attempt %d: no Retry-After", i+1)
		}
	}
}

func TestProblems(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	for _, tt := range []struct {
		method, path, token, body string
		status                    int
		kind                      string
	}{
		{"GET", "/api/v1/me", "", "", 401, "/problems/not-authenticated"},
		{"GET", "/api/v1/me", "wrong", "", 401, "/problems/not-authenticated"},
		{"GET", "/api/v1/nothing", token, "", 404, "/problems/not-found"},
		{"DELETE", "/api/v1/me", token, "", 405, "/problems/method"},
		{"POST", "/api/v1/scans", token, "", 503, "/problems/no-scanner"},
		{"POST", "/api/v1/scans", token, `{"device":"other"}`, 404, "/problems/unknown-scanner"},
		{"POST", "/api/v1/scans", token, `{`, 400, "/problems/bad-json"},
		{"POST", "/api/v1/scans", token, `{"device":"` + strings.Repeat("x", 11<<20) + `"}`, 413, "/problems/too-large"},
		{"GET", "/api/v1/documents?limit=x", token, "", 400, "/problems/bad-limit"},
		{"GET", "/api/v1/documents/../../etc/passwd", token, "", 404, "/problems/not-found"},
		{"POST", "/api/v1/users", token, `{"username":"anna","password":"another long one"}`, 409, "/problems/name-taken"},
	} {
		a := s.ask(tt.method, tt.path, tt.token, tt.body)
		if a.StatusCode == 301 || a.StatusCode == 307 || a.StatusCode == 308 {
			continue // the cleaned path is asked for next
		}
		var p Problem
		if err := json.Unmarshal([]byte(a.body), &p); err != nil {
			t.Errorf("%s %.60s: %v in %q", tt.method, tt.path, err, a.body)
			continue
		}
		if allow := a.Header.Get("Allow"); tt.status == 405 && allow != "GET, HEAD" {
			t.Errorf("%s %s allows %q", tt.method, tt.path, allow)
		}
		if a.StatusCode != tt.status || p.Status != tt.status || p.Type != tt.kind || p.Detail == "" || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %.60s: %d %+v, want %d %s", tt.method, tt.path, a.StatusCode, p, tt.status, tt.kind)
		}
	}
}

// A page of another site must not be able to act in a person's name.
func TestCrossOriginIsRefused(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	for _, path := range []string{"/scan", "/logout", "/api/v1/scans", "/people"} {
		a := s.ask("POST", path, "", "x=y", "Cookie", cookieName+"="+token, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
		if a.StatusCode != 403 {
			t.Errorf("%s: %s, want 403", path, a.Status)
		}
		if kind := a.Header.Get("Content-Type"); strings.HasPrefix(path, "/api/") && kind != "application/problem+json" {
			t.Errorf("%s: the refusal is %s, want a problem", path, kind)
		}
	}
}

func TestHeaders(t *testing.T) {
	s := newSite(t, nil)
	s.user("anna", store.RoleAdmin)
	a := s.ask("GET", "/login", "", "")
	for _, h := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"} {
		if a.Header.Get(h) == "" {
			t.Errorf("no %s", h)
		}
	}
	if strings.Contains(a.body, "<style") || strings.Contains(a.body, "style=") || strings.Contains(a.body, " onclick") {
		t.Error("the page has inline code or style")
	}
	total := 0
	for _, f := range []string{"/login", "/static/docscan.css", "/static/docscan.js", "/static/icon.svg"} {
		total += len(s.ask("GET", f, "", "").body)
	}
	if total > 45<<10 {
		t.Errorf("the first load takes %d bytes, even before compression", total)
	}
}

func TestFiles(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	d := s.file("", "Größe \"7\"/8\r\n", "text")
	path := "/api/v1/documents/" + string(d.ID) + "/pdf"
	a := s.ask("GET", path+"?download=1", token, "")
	etag := a.Header.Get("ETag")
	if a.body != "%PDF of "+d.Title || etag == "" || a.Header.Get("Content-Type") != "application/pdf" {
		t.Errorf("the PDF is %q, %q", a.body, etag)
	}
	if cd := a.Header.Get("Content-Disposition"); !strings.HasPrefix(cd, "attachment") || !strings.Contains(cd, "filename*=UTF-8''Gr%C3%B6%C3%9Fe%20-7--8") {
		t.Errorf("its name is %q", cd)
	}
	if a := s.ask("GET", path, token, "", "If-None-Match", etag); a.StatusCode != 304 {
		t.Errorf("what has not changed: %s", a.Status)
	}
	if a := s.ask("GET", path, token, "", "Range", "bytes=0-3"); a.StatusCode != 206 || a.body != "%PDF" {
		t.Errorf("a range: %s %q", a.Status, a.body)
	}
}

// exports counts the entries of the audit log on documents that were read.
func (s *site) exports() int {
	s.t.Helper()
	list, _, err := s.Store.Audit(audit.Query{Limit: 1000, Action: "document_export"})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

// Nobody gets a document without an entry in the audit log, whichever part is
// asked for first; the parts that a browser then fetches are one reading.
func TestReadingLeavesAnEntry(t *testing.T) {
	tests := []struct {
		name   string
		method string
		path   string
		ranges []string // one a request; "" is the whole
		want   int
	}{
		{"whole", "GET", "/pdf", []string{""}, 1},
		{"whole, twice", "GET", "/pdf", []string{"", ""}, 2},
		{"from the start", "GET", "/pdf", []string{"bytes=0-"}, 1},
		{"all but one byte", "GET", "/pdf", []string{"bytes=1-"}, 1},
		{"from the end", "GET", "/pdf", []string{"bytes=-5"}, 1},
		{"in parts", "GET", "/pdf", []string{"bytes=0-1", "bytes=2-3", "bytes=4-"}, 1},
		{"whole, then parts", "GET", "/pdf", []string{"", "bytes=2-3", "bytes=4-"}, 1},
		{"text", "GET", "/text", []string{""}, 1},
		{"head", "HEAD", "/pdf", []string{""}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, nil)
			token := s.user("anna", store.RoleAdmin)
			d := s.file("", "letter", "text")
			for _, r := range tt.ranges {
				var header []string
				if r != "" {
					header = []string{"Range", r}
				}
				if a := s.ask(tt.method, "/api/v1/documents/"+string(d.ID)+tt.path, token, "", header...); a.StatusCode > 299 {
					t.Fatalf("%s: %s", r, a.Status)
				}
			}
			if got := s.exports(); got != tt.want {
				t.Errorf("%d entries, want %d", got, tt.want)
			}
		})
	}
}

// A text that cannot be had whole is an error, not a shorter text.
func TestTextIsWholeOrNot(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	d := s.file("", "letter", "text")
	bad, err := s.Store.NewBlob()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(bad, "not a page's text"); err != nil {
		t.Fatal(err)
	}
	blob, err := bad.Commit("application/json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.UpdatePage(d.Batch, 1, func(p *store.Page) error { p.Text = blob; return nil }); err != nil {
		t.Fatal(err)
	}
	a := s.ask("GET", "/api/v1/documents/"+string(d.ID)+"/text", token, "")
	if a.StatusCode != 500 || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s %s, want a problem", a.Status, a.Header.Get("Content-Type"), a.body)
	}
}

// What is for all is not hidden by a token that no longer holds, and monitors
// ask with HEAD.
func TestForAll(t *testing.T) {
	s := newSite(t, nil)
	s.user("anna", store.RoleAdmin)
	for _, tt := range []struct {
		method, path, token string
		want                int
	}{
		{"GET", "/api/health", "stale", 200},
		{"HEAD", "/api/health", "", 200},
		{"HEAD", "/login", "", 200},
		{"GET", "/login", "stale", 200},
		{"GET", "/api/v1/me", "stale", 401},
		{"HEAD", "/api/v1/me", "", 401},
		{"HEAD", "/api/v1/events", "", 405},
		{"HEAD", "/documents", "", 303}, // as GET
	} {
		if a := s.ask(tt.method, tt.path, tt.token, ""); a.StatusCode != tt.want {
			t.Errorf("%s %s with %q: %s, want %d", tt.method, tt.path, tt.token, a.Status, tt.want)
		}
	}
	a := s.ask("POST", "/api/v1/login", "stale", fmt.Sprintf(`{"username":"anna","password":%q}`, password))
	if a.StatusCode != 200 {
		t.Errorf("log in with a stale token: %s", a.Status)
	}
}

func TestSessionsEndOneByOne(t *testing.T) {
	s := newSite(t, nil)
	mine := s.user("ben", store.RoleMember)
	other := s.logInAs("ben")
	stranger := s.user("cara", store.RoleMember)
	var list struct {
		Sessions []struct {
			ID   string
			This bool
		}
	}
	a := s.ask("GET", "/api/v1/sessions", mine, "")
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Sessions) != 2 {
		t.Fatalf("%s %v, want two sessions", a.body, err)
	}
	if strings.Contains(a.body, hashSecret(mine)) {
		t.Error("the list shows a hash")
	}
	for _, x := range list.Sessions {
		if x.This {
			continue
		}
		if a := s.ask("DELETE", "/api/v1/sessions/"+x.ID, stranger, ""); a.StatusCode != 404 {
			t.Errorf("a stranger ends it: %s, want 404", a.Status)
		}
		if a := s.ask("DELETE", "/api/v1/sessions/"+x.ID, mine, ""); a.StatusCode != 204 {
			t.Errorf("ending it: %s", a.Status)
		}
	}
	if a, b := s.ask("GET", "/api/v1/me", mine, "").StatusCode, s.ask("GET", "/api/v1/me", other, "").StatusCode; a != 200 || b != 401 {
		t.Errorf("mine %d, the ended one %d, want 200 and 401", a, b)
	}
}

// The owner hears that a document is gone, others do not; and a stream ends with
// the log-in that opened it.
func TestEventsAreTheOwners(t *testing.T) {
	s := newSite(t, nil)
	ben, cara := s.user("ben", store.RoleMember), s.user("cara", store.RoleMember)
	owner, err := s.Store.UserByName("ben")
	if err != nil {
		t.Fatal(err)
	}
	listen := func(token string) *bufio.Scanner {
		sc := bufio.NewScanner(s.stream(t.Context(), token, "").Body)
		sc.Scan() // the retry line: the stream is open
		return sc
	}
	bens, caras := listen(ben), listen(cara)
	d := s.file(owner.ID, "letter", "text")
	if a := s.ask("DELETE", "/api/v1/documents/"+string(d.ID), ben, ""); a.StatusCode != 204 {
		t.Fatal(a.Status)
	}
	s.Engine.DeviceChanged("scanner") // concerns both, and comes after
	upToDevice := func(sc *bufio.Scanner) string {
		var all strings.Builder
		for sc.Scan() && !strings.Contains(sc.Text(), `"scanner"`) {
			all.WriteString(sc.Text() + "\n")
		}
		return all.String()
	}
	if got := upToDevice(bens); !strings.Contains(got, string(d.ID)) || !strings.Contains(got, `"deleted":true`) {
		t.Errorf("the owner heard %q", got)
	}
	if got := upToDevice(caras); strings.Contains(got, string(d.ID)) {
		t.Errorf("a stranger heard %q", got)
	}
	if a := s.ask("POST", "/api/v1/logout", ben, ""); a.StatusCode != 204 {
		t.Fatal(a.Status)
	}
	s.Engine.DeviceChanged("later")
	for bens.Scan() {
		if strings.Contains(bens.Text(), "later") {
			t.Error("the stream goes on after the log-out")
		}
	}
}

// A stream ends also with a log-in that nobody ends but its time.
func TestStreamEndsInTime(t *testing.T) {
	s := newSite(t, nil)
	s.beat = 10 * time.Millisecond
	for what, change := range map[string]func(x *store.Session){
		"used until its end": func(x *store.Session) { x.Expires = time.Now().Add(-time.Second) },
		"not used for long":  func(x *store.Session) { x.Seen = time.Now().Add(-s.idle() - time.Minute) },
	} {
		token := s.user(strings.ReplaceAll(what, " ", "."), store.RoleMember)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		lines := bufio.NewScanner(s.stream(ctx, token, "").Body)
		beats := 0
		for beats < 2 && lines.Scan() {
			beats += strings.Count(lines.Text(), "still here")
		}
		x, err := s.Store.SessionByHash(hashSecret(token))
		if err != nil {
			t.Fatal(err)
		}
		change(&x)
		if err := s.Store.AddSession(nil, x); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
		}
		if err := lines.Err(); err != nil {
			t.Errorf("a stream of a log-in %s: %v", what, err)
		}
	}
}

func TestTokens(t *testing.T) {
	s := newSite(t, nil)
	session := s.user("ben", store.RoleMember)
	var made struct{ ID, Token string }
	if err := json.Unmarshal([]byte(s.ask("POST", "/api/v1/tokens", session, `{"name":"monitor"}`).body), &made); err != nil {
		t.Fatal(err)
	}
	if got := s.ask("GET", "/api/v1/me", made.Token, ""); got.StatusCode != 200 || !strings.Contains(got.body, `"ben"`) {
		t.Errorf("the token: %s %s", got.Status, got.body)
	}
	if a := s.ask("GET", "/api/v1/tokens", session, ""); strings.Contains(a.body, made.Token) || strings.Contains(a.body, hashSecret(made.Token)) {
		t.Error("a token is shown again")
	}
	if a := s.ask("GET", "/api/v1/me", "", "", "Cookie", cookieName+"="+made.Token); a.StatusCode != 401 {
		t.Errorf("a token as a cookie: %s", a.Status)
	}
	if a := s.ask("DELETE", "/api/v1/tokens/"+made.ID, session, ""); a.StatusCode != 204 {
		t.Errorf("deleting it: %s", a.Status)
	}
	if a := s.ask("GET", "/api/v1/me", made.Token, ""); a.StatusCode != 401 {
		t.Errorf("the deleted token: %s", a.Status)
	}
	// What was typed stays in the form.
	a := s.form("/account/tokens", session, url.Values{"name": {"Nightly copy"}, "scope": {"read", "scan"}, "days": {"99999"}})
	for _, want := range []string{`value="Nightly copy"`, `value="read" checked`, `value="scan" checked`, `value="99999"`, `role="alert">`} {
		if a.StatusCode != 422 || !strings.Contains(a.body, want) {
			t.Errorf("a key for too long: %s without %s\n%s", a.Status, want, a.body)
		}
	}
	if a := s.form("/account/tokens", session, url.Values{"name": {"Nightly copy"}, "days": {"30"}}); a.StatusCode != 422 || !strings.Contains(a.body, "Tick what the key is good for.") || !strings.Contains(a.body, `value="Nightly copy"`) {
		t.Errorf("a key for nothing: %s\n%s", a.Status, a.body)
	}
}

func TestPasswordChangeEndsOtherSessions(t *testing.T) {
	s := newSite(t, nil)
	one := s.user("ben", store.RoleMember)
	two := s.logInAs("ben")
	if a := s.ask("POST", "/api/v1/password", one, `{"old":"wrong","password":"a new long password"}`); a.StatusCode != 422 {
		t.Errorf("with a wrong password: %s", a.Status)
	}
	a := s.ask("POST", "/api/v1/password", one, fmt.Sprintf(`{"old":%q,"password":"a new long password"}`, password))
	var in struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &in); err != nil || a.StatusCode != 200 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	for what, tt := range map[string]struct {
		token string
		want  int
	}{"the secret of before": {one, 401}, "another session": {two, 401}, "the new secret": {in.Token, 200}} {
		if got := s.ask("GET", "/api/v1/me", tt.token, "").StatusCode; got != tt.want {
			t.Errorf("%s: %d, want %d", what, got, tt.want)
		}
	}
}

// Events come as they happen, and those that were missed come again.
func TestEvents(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	listen := func(last string) (*bufio.Scanner, func()) {
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		resp := s.stream(ctx, token, last)
		if resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%s %s", resp.Status, resp.Header.Get("Content-Type"))
		}
		return bufio.NewScanner(resp.Body), func() { stop(); resp.Body.Close() }
	}
	// next gives the ID and the device of the next event.
	next := func(sc *bufio.Scanner) (id, device string) {
		t.Helper()
		for sc.Scan() {
			line := sc.Text()
			if v, ok := strings.CutPrefix(line, "id: "); ok {
				id = v
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				var ev scan.Event
				if err := json.Unmarshal([]byte(v), &ev); err != nil {
					t.Fatal(err)
				}
				return id, ev.Device
			}
		}
		t.Fatalf("the stream ended: %v", sc.Err())
		return "", ""
	}
	first, stop := listen("")
	first.Scan() // the retry line: the stream is open
	s.Engine.DeviceChanged("one")
	id, device := next(first)
	if device != "one" {
		t.Errorf("the event is of %q", device)
	}
	stop()
	s.Engine.DeviceChanged("two")
	s.Engine.DeviceChanged("three")
	second, stop := listen(id)
	defer stop()
	for _, want := range []string{"two", "three"} {
		if _, device := next(second); device != want {
			t.Errorf("the event is of %q, want %q", device, want)
		}
	}

	// Who has heard of nothing yet knows from where to go on all the same.
	third, stop := listen("")
	id = ""
	for third.Scan() && id == "" {
		id, _ = strings.CutPrefix(third.Text(), "id: ")
		if !strings.HasPrefix(third.Text(), "id: ") {
			id = ""
		}
	}
	stop()
	s.Engine.DeviceChanged("four")
	fourth, stop := listen(id)
	defer stop()
	if _, device := next(fourth); device != "four" {
		t.Errorf("the event is of %q, want the one that was missed", device)
	}
}

// One user cannot take all the memory with event streams; others go on.
func TestStreamsAreBounded(t *testing.T) {
	s := newSite(t, func(c *Config) { c.ConnectionsPerAddress = 4 })
	anna, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	watch := func(token string) int {
		t.Helper()
		resp := s.stream(t.Context(), token, "")
		if resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
			t.Error("it is not said when to try again")
		}
		return resp.StatusCode
	}
	for range 4 {
		if got := watch(anna); got != 200 {
			t.Fatalf("one of the first: %d", got)
		}
	}
	if got := watch(anna); got != 429 {
		t.Errorf("one too many: %d, want 429", got)
	}
	if got := watch(ben); got != 200 {
		t.Errorf("another user: %d", got)
	}
}

// The API's description must have every route of the API, and no other.
func TestOpenAPI(t *testing.T) {
	s := newSite(t, nil)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Summary     string
			OperationID string
		}
	}
	if err := json.Unmarshal([]byte(s.ask("GET", "/api/v1/openapi.json", "", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	n := 0
	ids := make(map[string]bool)
	for _, rt := range routes() {
		op, ok := doc.Paths[param.ReplaceAllString(rt.path, "{$1}")][strings.ToLower(rt.method)]
		if isAPI := strings.HasPrefix(rt.path, "/api/"); ok != isAPI || isAPI && op.Summary == "" {
			t.Errorf("%s %s: described %t", rt.method, rt.path, ok)
		}
		if ok {
			n++
			if ids[op.OperationID] {
				t.Errorf("the operation %s is there twice", op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	described := 0
	for _, ops := range doc.Paths {
		described += len(ops)
	}
	if described != n {
		t.Errorf("%d operations are described, %d are there", described, n)
	}
}

// The local socket trusts root and docscan's own user, which tests run as.
func TestLocalSocket(t *testing.T) {
	s := newSite(t, nil)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := s.Server.Server(s.LocalHandler())
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	defer func() {
		srv.Close()
		<-done
	}()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	resp, err := client.Get("http://local/api/v1/me")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), `"local"`) {
		t.Errorf("%s %s, %v", resp.Status, body, err)
	}
}

func TestHealth(t *testing.T) {
	s := newSite(t, nil)
	a := s.ask("GET", "/api/health", "", "")
	if a.StatusCode != 200 || !strings.Contains(a.body, `"status":"healthy"`) || !strings.Contains(a.body, `"database":"connected"`) {
		t.Errorf("%s %s", a.Status, a.body)
	}

	// Which part has failed is told, and nothing of why.
	dir := t.TempDir()
	closed, err := store.Open(store.Config{Dir: dir}, s.Log)
	if err != nil {
		t.Fatal(err)
	}
	index, err := search.Open(filepath.Join(dir, "index", "search.db"), scan.Texts(closed), s.Log)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(index.Close(), closed.Close()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what string
		ill  Deps
		want string
	}{
		{"the database", Deps{Store: closed, Index: s.Index, Log: s.Log}, `"database":"failed","index":"ok"`},
		{"the index", Deps{Store: s.Store, Index: index, Log: s.Log}, `"database":"connected","index":"failed"`},
	} {
		w := httptest.NewRecorder()
		err := (&Server{Deps: tt.ill}).health(&call{w: w, r: httptest.NewRequest("GET", "/api/health", nil)})
		if body := w.Body.String(); err != nil || w.Code != 503 || !strings.Contains(body, `"status":"unhealthy"`) || !strings.Contains(body, tt.want) || strings.Contains(body, dir) || strings.Contains(body, "not open") {
			t.Errorf("without %s: %d %s, %v", tt.what, w.Code, body, err)
		}
	}
}

// Every page a person can open must come out whole.
func TestPages(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	d := s.file("", "Letter", "boiler")
	for path, want := range map[string]string{
		"/":                                  "What to scan",
		"/live":                              "Newest documents",
		"/documents":                         "Letter",
		"/documents?q=boil":                  "<mark>boiler</mark>",
		"/documents/" + string(d.ID):         "Download PDF",
		"/trash/" + string(d.ID) + "/delete": "Keep it",
		"/account":                           "Keys for programs",
		"/people":                            "Add a person",
	} {
		a := s.ask("GET", path, token, "")
		if a.StatusCode != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %s without %q\n%s\n%s", path, a.Status, want, a.body, s.log)
		}
	}
}

func TestProfiles(t *testing.T) {
	s := newSite(t, nil)
	admin, member := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	good := `{"name":"Receipts","source":"feeder","duplex":false,"mode":"gray","resolution":200,"languages":["eng"],"double_feed":"ignore","paper":"a5"}`
	if a := s.ask("PUT", "/api/v1/profiles/receipts", member, good); a.StatusCode != 403 {
		t.Errorf("a member: %s, want 403", a.Status)
	}
	if a := s.ask("PUT", "/api/v1/profiles/receipts", admin, good); a.StatusCode != 200 || !strings.Contains(a.body, `"double_feed":"ignore","paper":"a5"`) {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	for _, bad := range []string{
		`{"name":"","source":"feeder","mode":"gray","resolution":200}`,
		`{"name":"x","source":"tray","mode":"gray","resolution":200}`,
		`{"name":"x","source":"feeder","mode":"sepia","resolution":200}`,
		`{"name":"x","source":"feeder","mode":"gray","resolution":20}`,
		`{"name":"x","source":"feeder","mode":"gray","resolution":200,"double_feed":"pray"}`,
		`{"name":"x","source":"feeder","mode":"gray","resolution":200,"paper":"napkin"}`,
		`{"name":"x","source":"feeder","mode":"gray","resolution":200,"languages":["klingon"]}`,
	} {
		if a := s.ask("PUT", "/api/v1/profiles/x", admin, bad); a.StatusCode != 422 {
			t.Errorf("%s: %s, want 422", bad, a.Status)
		}
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if a := s.ask("POST", "/profiles", admin, "name=Gr%C3%BCne+Seiten&source=auto&duplex=1&mode=color&resolution=300&double_feed=stop", form...); a.StatusCode != 303 {
		t.Errorf("the form: %s %s", a.Status, a.body)
	}
	if a := s.ask("POST", "/profiles", admin, "name=Wrong&source=auto&mode=color&resolution=many", form...); a.StatusCode != 422 || !strings.Contains(a.body, `value="Wrong"`) {
		t.Errorf("the form with a mistake: %s, want it again", a.Status)
	}
	list, err := s.Store.Profiles()
	if err != nil || len(list) != 5 {
		t.Fatalf("%d profiles, %v, want the three of a new box and two", len(list), err)
	}
	for i, p := range list {
		want := 204
		if i == len(list)-1 {
			want = 409 // a press must mean something
		}
		if a := s.ask("DELETE", "/api/v1/profiles/"+string(p.ID), admin, "", "If-Match", "*"); a.StatusCode != want {
			t.Errorf("deleting %s: %s, want %d", p.ID, a.Status, want)
		}
	}
}

// The address of an answer to a form, opened again or typed in, leads to a page.
func TestFormsHavePages(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	known := make(map[string]bool)
	for _, rt := range routes() {
		known[rt.method+" "+rt.path] = true
	}
	n := 0
	for _, rt := range routes() {
		if rt.method != "POST" || known["GET "+rt.path] || strings.HasPrefix(rt.path, "/api/") {
			continue
		}
		n++
		at := strings.NewReplacer(":id", "x", ":action", "x").Replace(rt.path)
		a := s.ask("GET", at, admin, "")
		to := a.Header.Get("Location")
		if a.StatusCode != 303 || !known["GET "+routeOf(to)] {
			t.Errorf("%s: %s to %q", at, a.Status, to)
		}
	}
	if n < 30 {
		t.Errorf("%d forms, want all", n)
	}
	for path, want := range map[string]string{
		"/documents/x/marks": "/documents/x", "/people/x/reset": "/people/x", "/system/restore/start": "/system", "/system/update/install": "/system/update",
		"/groups/x": "/people", "/account/tokens": "/account", "/scan": "/", "/sheets/labels": "/sheets",
	} {
		if a := s.ask("GET", path, admin, ""); a.Header.Get("Location") != want {
			t.Errorf("%s leads to %q, want %q", path, a.Header.Get("Location"), want)
		}
	}
}
