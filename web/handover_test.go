package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docscan/scan"
	"docscan/store"
	"docscan/store/search"
)

// The limit on log-ins is not new again after a hand-over, whichever of two
// neighbouring versions goes on.
func TestAttemptsGoOn(t *testing.T) {
	cfg := DefaultConfig()
	cfg.LoginsPerMinute = 2
	const key = "192.0.2.1/32"
	first := &Server{limits: newLimits(cfg)}
	for range 2 {
		if v := first.limits[limitLogin].allow(key); !v.ok {
			t.Fatal("refused too early")
		}
	}
	first.limits[limitLogin].seen["192.0.2.2/32"] = []time.Time{time.Now().Add(-time.Hour)}
	first.limits[limitLogin].allow("user 1")
	wire, err := json.Marshal(first.Attempts())
	if err != nil {
		t.Fatal(err)
	}
	var a Attempts
	if err := json.Unmarshal(wire, &a); err != nil {
		t.Fatal(err)
	}
	if len(a) != 1 {
		t.Errorf("attempts from %d networks are handed over, want 1", len(a))
	}
	next := &Server{limits: newLimits(cfg)}
	next.TakeAttempts(a)
	if v := next.limits[limitLogin].allow(key); v.ok {
		t.Error("the next server allows a third attempt")
	}
}

// Over the socket for requests that are passed on everybody is docscan itself;
// what counts is what the request was where it came from.
func TestPassedOnRequests(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{os.Getuid()}))
	who, local := LocalRequest(r)
	if !local || who != trustedPeer {
		t.Errorf("over the local socket: local %t, by %q", local, who)
	}
	if who, local := LocalRequest(AsLocal(AsRemote(r), who)); !local || who != trustedPeer {
		t.Errorf("passed on: local %t, by %q", local, who)
	}
	if who, local := LocalRequest(AsRemote(r)); local || who != "" {
		t.Errorf("from the network: local %t, by %q", local, who)
	}
	for _, by := range []string{"false", "-1", "0", "4711", "nonsense"} {
		who, local := LocalRequest(AsLocal(AsRemote(r), by))
		if !local || who == trustedPeer {
			t.Errorf("from somebody at the box, %q: local %t, by %q", by, local, who)
		}
	}
	if who, _ := LocalRequest(AsLocal(AsRemote(r), "4711")); who != "4711" {
		t.Errorf("from user 4711 at the box: by %q", who)
	}
	s := &Server{}
	if who, err := s.identify(AsRemote(r)); who != nil || err != nil {
		t.Errorf("from the network without a log-in: %+v (%v), want nobody", who, err)
	}
}

// What may take long is known by its route, and nothing else is held up.
func TestLasting(t *testing.T) {
	found := make(map[string]bool)
	for _, rt := range routes() {
		r := httptest.NewRequest(rt.method, param.ReplaceAllString(rt.path, "x"), nil)
		if Lasting(r) {
			found[rt.method+" "+param.ReplaceAllString(rt.path, "*")] = true
		}
	}
	for _, pattern := range longWork {
		if !found[pattern] {
			t.Errorf("%s is no route", pattern)
		}
	}
	if len(found) != len(longWork) {
		t.Errorf("%d routes are known by %d patterns: %v", len(found), len(longWork), found)
	}
	for _, quick := range []string{"GET /documents", "GET /api/v1/documents", "POST /api/v1/login", "GET /api/v1/documents/x/pdf"} {
		method, at, _ := strings.Cut(quick, " ")
		if Lasting(httptest.NewRequest(method, at, nil)) {
			t.Errorf("%s is taken to last", quick)
		}
	}
}

// Who is broken off by the end of the process is told to come again.
func TestEndingIsTold(t *testing.T) {
	s := newSite(t, nil)
	index, err := search.Open(filepath.Join(t.TempDir(), "search.db"), scan.Texts(s.Store), s.Log)
	if err != nil {
		t.Fatal(err)
	}
	if err := index.Close(); err != nil {
		t.Fatal(err)
	}
	_, broken := index.Search(t.Context(), search.Query{Text: "boiler"})
	for _, err := range []error{fmt.Errorf("check: %w", store.ErrClosed), broken} {
		w := httptest.NewRecorder()
		s.fail(w, httptest.NewRequest("POST", "/api/v1/system/check", nil), nil, err)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "change its version") {
			t.Errorf("%v: %d, %v\n%s", err, w.Code, w.Header(), w.Body)
		}
	}
}

// While the index is damaged, who searches is told so and to come again; lists and documents
// do without it.
func TestDamagedIndexIsTold(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	d := s.file(s.userID("ben"), "Letter", "boiler")
	if err := s.Index.Tidy(t.Context()); err != nil { // all of it is in the file
		t.Fatal(err)
	}
	at := filepath.Join(s.Store.Dir(), "index", "search.db")
	data, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	for page := 4096; page < len(data); page += 4096 {
		copy(data[page:], strings.Repeat("x", 64))
	}
	if err := os.WriteFile(at, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Index.Shrink() // what it has read is forgotten
	for path, want := range map[string]string{"/api/v1/documents?q=boiler": "being made anew from the documents", "/documents?q=boiler": "wird aus den Dokumenten neu angelegt"} {
		a := s.ask("GET", path, ben, "", "Accept-Language", "de")
		if a.StatusCode != 503 || a.Header.Get("Retry-After") != "60" || !strings.Contains(a.body, want) {
			t.Errorf("%s: %s, %v\n%s", path, a.Status, a.Header, a.body)
		}
	}
	for _, path := range []string{"/", "/documents", "/documents/" + string(d.ID), "/api/v1/documents", "/api/v1/documents/" + string(d.ID)} {
		if a := s.ask("GET", path, ben, ""); a.StatusCode != 200 {
			t.Errorf("%s: %s\n%s", path, a.Status, a.body)
		}
	}
	select {
	case <-s.Index.Damaged():
	default:
		t.Error("nobody is told to make it anew")
	}
}
