package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"docscan/scan"
	"docscan/store"
	"docscan/store/audit"
)

// Names with every trick there is: they are refused with a reason, or they are
// the name they look like.
func TestNames(t *testing.T) {
	for _, tt := range []struct {
		what, name string
		want       string // as it is kept; "": refused
	}{
		{"plain", "anna", "anna"},
		{"with a dot and a digit", "anna.2", "anna.2"},
		{"an address", "anna@example.org", "anna@example.org"},
		{"upper case is kept", "Anna", "Anna"},
		{"German", "jürgen", "jürgen"},
		{"decomposed", "ju\u0308rgen", "jürgen"},
		{"full width", "ａｎｎａ", "anna"},
		{"Greek", "σοφία", "σοφία"},
		{"Cyrillic", "анна", "анна"},
		{"Japanese", "花子", "花子"},
		{"Arabic", "سارة", "سارة"},
		{"Hebrew", "שרה", "שרה"},
		{"Devanagari, with marks", "प्रिया", "प्रिया"},

		{"nothing", "", ""},
		{"a space", "an na", ""},
		{"only spaces", "   ", ""},
		{"no-break space", "an\u00a0na", ""},
		{"a line break", "an\nna", ""},
		{"NUL", "an\x00na", ""},
		{"escape", "\x1b[31manna", ""},
		{"delete", "anna\x7f", ""},
		{"zero width space", "an\u200bna", ""},
		{"zero width joiner", "an\u200dna", ""},
		{"zero width no-break space", "\ufeffanna", ""},
		{"soft hyphen", "an\u00adna", ""},
		{"right to left override", "anna\u202egnp", ""},
		{"right to left isolate", "\u2067anna\u2069", ""},
		{"right to left within left to right", "annaשרה1a", ""},
		{"a Cyrillic a in a Latin name", "аnna", ""},
		{"a Greek omicron in a Latin name", "bοb", ""},
		{"Latin in a Cyrillic name", "pусский", ""},
		{"mathematical letters", "𝒶𝓃𝓃𝒶", ""},
		{"circled letters", "ⓐⓝⓝⓐ", ""},
		{"a ligature", "ﬁona", ""},
		{"a Roman numeral", "annaⅣ", ""},
		{"a long s", "anna\u017f", ""},
		{"an emoji", "anna🙂", ""},
		{"tag characters", "anna\U000e0061", ""},
		{"private use", "anna\ue000", ""},
		{"not assigned", "anna\u0378", ""},
		{"a surrogate, as UTF-8 must not have it", "anna\xed\xa0\x80", ""},
		{"overlong UTF-8", "anna\xc0\xaf", ""},
		{"a variation selector", "anna\ufe0f", ""},
		{"a stack of marks", "a" + strings.Repeat("\u0301", 20), ""},
		{"marks without a letter", "\u0301\u0301", ""},
		{"too long", strings.Repeat("a", maxName+1), ""},
		{"a path", "../../etc/passwd", ""},
		{"markup", "<script>alert(1)</script>", ""},
		{"a quote", "anna'--", ""},
		{"a formula", "=cmd|x", ""},
		{"docscan's own", "local", ""},
		{"docscan's own in another case", "PANEL", ""},
		{"docscan's own in full width", "ｌｏｃａｌ", ""},
	} {
		got, err := newName(tt.name)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v; want %q", tt.what, got, err, tt.want)
		}
		if err != nil && problem(err).Status != 422 {
			t.Errorf("%s: status %d", tt.what, problem(err).Status)
		}
	}
	for name, want := range map[string]string{"anna": "", "анна": "Cyrillic", "σοφία": "Greek", "花子": ""} {
		if got := script(name); got != want {
			t.Errorf("the letters of %q are said to be %q, want %q", name, got, want)
		}
	}
}

// A name opens what it looks like, however it is typed.
func TestNamesAtLogin(t *testing.T) {
	s := newSite(t, nil)
	s.user("jürgen", store.RoleMember)
	for _, name := range []string{"jürgen", "JÜRGEN", "ju\u0308rgen", "ｊürgen"} {
		if a := s.logInWith(name, ""); a.StatusCode != 200 {
			t.Errorf("%q: %s", name, a.Status)
		}
	}
	for _, name := range []string{"jurgen", "jürgеn" /* Cyrillic */, "jürgen\u200b", "jürgen "} {
		if a := s.logInWith(name, ""); a.StatusCode != 401 {
			t.Errorf("%q: %s", name, a.Status)
		}
	}
}

// Whatever comes, the answer is a clear refusal, and docscan goes on.
func TestHostileRequests(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	deep := strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000)
	for _, tt := range []struct {
		what, method, path, token, body string
		header                          []string
		want                            []int
	}{
		{"no JSON", "POST", "/api/v1/login", "", "hello", nil, []int{400}},
		{"half of it", "POST", "/api/v1/login", "", `{"username":"a`, nil, []int{400}},
		{"a list", "POST", "/api/v1/login", "", `[]`, nil, []int{400}},
		{"null", "POST", "/api/v1/login", "", `null`, nil, []int{401}},
		{"wrong kinds", "POST", "/api/v1/login", "", `{"username":1,"password":{}}`, nil, []int{400}},
		{"a name twice", "POST", "/api/v1/login", "", `{"username":"a","username":"b","password":"c"}`, nil, []int{401}},
		{"deeper than any sense", "POST", "/api/v1/login", "", deep, nil, []int{400, 413}},
		{"not UTF-8", "POST", "/api/v1/login", "", "{\"username\":\"\xff\xfe\",\"password\":\"\xff\"}", nil, []int{401}},
		{"a long password", "POST", "/api/v1/login", "", `{"username":"anna","password":"` + strings.Repeat("p", 60<<10) + `"}`, nil, []int{401}},
		{"one that wants to fill the memory", "POST", "/api/v1/login", "", `{"username":"anna","password":"` + strings.Repeat("p", 1<<20) + `"}`, nil, []int{413}},
		{"a bad token", "GET", "/api/v1/me", strings.Repeat("x", 9000), "", nil, []int{401}},
		{"another scheme", "GET", "/api/v1/me", "", "", []string{"Authorization", "Basic YTpi"}, []int{401}},
		{"an empty scheme", "GET", "/api/v1/me", "", "", []string{"Authorization", "Bearer"}, []int{401}},
		{"a JWT that says it is an administrator's", "GET", "/api/v1/me", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", "", nil, []int{401}},
		{"a header that is too long", "GET", "/api/health", "", "", []string{"X-Long", strings.Repeat("x", 64<<10)}, []int{431}},
		{"a path that goes up", "GET", "/static/../../../../etc/passwd", "", "", nil, []int{301, 404}},
		{"the same, disguised", "GET", "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "", "", nil, []int{404}},
		{"NUL in a path", "GET", "/static/docscan.css%00.html", "", "", nil, []int{404}},
		{"NUL in an ID", "GET", "/api/v1/documents/%00", token, "", nil, []int{404}},
		{"an ID with a slash", "GET", "/api/v1/documents/..%2f..%2fusers", token, "", nil, []int{404}},
		{"a page that cannot be", "GET", "/api/v1/documents/x/pages/99999999999999999999/thumb", token, "", nil, []int{404}},
		{"a negative limit", "GET", "/api/v1/documents?limit=-1", token, "", nil, []int{400}},
		{"an odd cursor", "GET", "/api/v1/documents?cursor=%00%ff", token, "", nil, []int{200, 400}},
		{"a search that is SQL", "GET", "/api/v1/documents?q=%27%20OR%201%3D1%20--", token, "", nil, []int{200}},
		{"an event that cannot be", "GET", eventsPath, token, "", []string{"Last-Event-ID", "-1"}, []int{400}},
		{"a method of its own", "BREW", "/api/v1/login", "", "", nil, []int{405}},
		{"TRACE", "TRACE", "/api/v1/login", "", "", nil, []int{405}},
		{"a folder", "GET", "/static/", "", "", nil, []int{404}},
		{"a folder in it", "GET", "/static/vendor/", "", "", nil, []int{404}},
		{"what the source is kept in", "GET", "/.git/config", token, "", nil, []int{404}},
		{"profiles of the program", "GET", "/debug/pprof/", token, "", nil, []int{404}},
		{"a debug route", "DELETE", "/api/debug/clear-storage", token, "", nil, []int{404}},
		{"an upload without a boundary", "POST", uploadsPath, token, "x", []string{"Content-Type", "multipart/form-data"}, []int{400, 415, 422}},
		{"a form without an end", "POST", uploadsPath, token, "--x\r\nContent-Disposition: form-data; name=files; filename=a.pdf\r\n\r\n", []string{"Content-Type", "multipart/form-data; boundary=x"}, []int{400}},
		{"a form that is none", "POST", "/login", "", "%zz=%zz;&&&=", []string{"Content-Type", "application/x-www-form-urlencoded"}, []int{401}},
		{"a passkey that is none", "POST", "/api/v1/login/passkey", "", `{"ticket":"x","credential":"x"}`, nil, []int{401, 409}},
		{"a code without a log-in", "POST", "/login/code", "", "ticket=x&code=123456", []string{"Content-Type", "application/x-www-form-urlencoded"}, []int{401}},
		{"a host that is none", "GET", "/login", "", "", []string{"X-Forwarded-Host", "evil.example"}, []int{200}},
		{"a range that is none", "GET", "/static/docscan.css", "", "", []string{"Range", "bytes=9-1,x"}, []int{200, 416}},
	} {
		a := s.ask(tt.method, tt.path, tt.token, tt.body, tt.header...)
		good := false
		for _, want := range tt.want {
			good = good || a.StatusCode == want
		}
		if !good {
			t.Errorf("%s: %s %.200s, want %v", tt.what, a.Status, a.body, tt.want)
		}
		if strings.Contains(a.body, "goroutine") || strings.Contains(a.body, ".go:") {
			t.Errorf("%s: the answer tells of the program: %s", tt.what, a.body)
		}
		if strings.HasPrefix(tt.path, "/api/") && a.StatusCode >= 400 && a.StatusCode != 431 {
			var p Problem
			if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Detail == "" || p.Status != a.StatusCode {
				t.Errorf("%s: no problem with a reason: %.200s", tt.what, a.body)
			}
		}
	}
	if got := s.status("GET", "/api/health", "", ""); got != 200 {
		t.Errorf("after all that: %d", got)
	}
	if strings.Contains(s.log.String(), "request failed") || strings.Contains(s.log.String(), "panic") {
		t.Errorf("the log: %s", s.log)
	}
}

// raw sends bytes as they are and gives the status line.
func (s *site) raw(send string) string {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	_, _ = io.WriteString(c, send)                 // it may be refused before all is sent
	line, _ := bufio.NewReader(c).ReadString('\n') // nothing is an answer too
	return strings.TrimSpace(line)
}

// hasty is the same site with bounds of time that a test can wait for.
func (s *site) hasty(t *testing.T) *site {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = s.Server.Server(s.Handler())
	srv.Config.ReadHeaderTimeout, srv.Config.ReadTimeout = haste, haste
	srv.Start()
	t.Cleanup(srv.Close)
	return &site{Server: s.Server, t: t, url: srv.URL, log: s.log}
}

const haste = time.Second

// Requests that HTTP libraries do not make: smuggling, bodies without a length,
// and such as end early.
func TestRawRequests(t *testing.T) {
	t.Parallel() // it waits for limits of time
	s := newSite(t, func(c *Config) { c.MaxBodyKB = 16 }).hasty(t)
	big := strings.Repeat("x", 32<<10)
	for _, tt := range []struct{ what, send, want string }{
		{"two lengths", "POST /api/v1/login HTTP/1.1\r\nHost: box\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "400"},
		// Of both, the chunks count (RFC 9112, 6.3): by the length it would be no JSON.
		{"length and chunks", "POST /api/v1/login HTTP/1.1\r\nHost: box\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n1f\r\n{\"username\":\"a\",\"password\":\"b\"}\r\n0\r\n\r\n", "401"},
		{"chunks that are none", "POST /api/v1/login HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked, identity\r\n\r\n", "501"},
		{"a body without a length that is too large", "POST /api/v1/login HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n{\"username\":\"%s\"}\r\n0\r\n\r\n", len(big)+15, big), "413"},
		{"such a body that is no JSON either", "POST /api/v1/login HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big), "413"},
		{"a chunk without any size", "POST /api/v1/login HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{", "400"},
		{"a space before the colon", "GET /api/health HTTP/1.1\r\nHost : box\r\n\r\n", "400"},
		{"no host", "GET /api/health HTTP/1.1\r\n\r\n", "400"},
		{"two hosts", "GET /api/health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		{"another version", "GET /api/health HTTP/9.9\r\nHost: box\r\n\r\n", "505"},
		{"no HTTP", "\x16\x03\x01\x00\x00", "400"},
		{"an absolute address", "GET http://evil.example/api/health HTTP/1.1\r\nHost: box\r\n\r\n", "200"},
		{"a proxy request", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n", "40"},
		{"a length that is negative", "POST /api/v1/login HTTP/1.1\r\nHost: box\r\nContent-Length: -1\r\n\r\n", "400"},
	} {
		got := s.raw(tt.send)
		if _, status, _ := strings.Cut(got, " "); !strings.HasPrefix(status, tt.want) {
			t.Errorf("%s: %q, want %s", tt.what, got, tt.want)
		}
	}
}

// Who sends slowly is cut off: headers within their time, and nobody waits for it.
func TestSlowRequests(t *testing.T) {
	t.Parallel() // it waits for limits of time
	s := newSite(t, nil)
	if srv := s.Server.Server(s.Handler()); srv.ReadHeaderTimeout > 15*time.Second || srv.ReadTimeout > 2*time.Minute || srv.IdleTimeout > 5*time.Minute || srv.MaxHeaderBytes > 64<<10 {
		t.Errorf("the bounds of a connection: %v, %v, %v, %d", srv.ReadHeaderTimeout, srv.ReadTimeout, srv.IdleTimeout, srv.MaxHeaderBytes)
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(s.hasty(t).url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /api/health HTTP/1.1\r\nHost: box\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := c.SetReadDeadline(start.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("a header that does not end is not cut off: %v", err)
	}
	if d := time.Since(start); d > haste+20*time.Second {
		t.Errorf("it was cut off after %v", d)
	}
}

// A body that does not come is no success, and its sender is told why.
func TestBodyThatDoesNotCome(t *testing.T) {
	t.Parallel() // it waits for limits of time
	s := newSite(t, nil)
	slow := s.hasty(t)
	for what, send := range map[string]string{
		"a length":  "POST /api/v1/login HTTP/1.1\r\nHost: box\r\nContent-Length: 99\r\n\r\n{\"username\":",
		"chunks":    "POST /api/v1/login HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n{",
		"a form":    "POST /login HTTP/1.1\r\nHost: box\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\nusername=a",
		"an upload": "POST /api/v1/uploads HTTP/1.1\r\nHost: box\r\nContent-Type: application/pdf\r\nContent-Length: 99\r\n\r\n%PDF",
	} {
		if got := slow.raw(send); !strings.HasPrefix(got, "HTTP/1.1 4") {
			t.Errorf("%s: %q\n%s", what, got, s.log)
		}
	}
}

// Every answer has the headers that keep browsers on the safe side, and says what it is.
func TestSecurityHeaders(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	d := s.file("", "Letter", "words")
	document, batch := "/api/v1/documents/"+string(d.ID), "/api/v1/batches/"+string(d.Batch)
	directives := func(policy string) map[string]string {
		all := make(map[string]string)
		for part := range strings.SplitSeq(policy, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
			all[name] = value
		}
		return all
	}
	for _, tt := range []struct{ method, path, token, kind string }{
		{"GET", "/login", "", "text/html; charset=utf-8"},
		{"GET", "/", token, "text/html; charset=utf-8"},
		{"GET", "/account", token, "text/html; charset=utf-8"},
		{"GET", "/nothing", token, "text/html; charset=utf-8"},
		{"PUT", "/login", "", "text/html; charset=utf-8"},
		{"GET", "/documents/" + string(d.ID), token, "text/html; charset=utf-8"},
		{"GET", "/api/health", "", "application/json"},
		{"GET", "/api/v1/me", token, "application/json"},
		{"GET", "/api/v1/me", "", "application/problem+json"},
		{"DELETE", "/api/v1/me", token, "application/problem+json"},
		{"GET", "/api/nothing", token, "application/problem+json"},
		{"GET", "/static/docscan.css", "", "text/css; charset=utf-8"},
		{"GET", "/static/pages.js", "", "text/javascript; charset=utf-8"},
		{"GET", "/static/icon.svg", "", "image/svg+xml"},
		{"GET", "/metrics", token, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"},
		{"GET", document + "/pdf", token, "application/pdf"},
		{"GET", document + "/text", token, "text/plain; charset=utf-8"},
		{"GET", document + "/pages/1/view", token, "image/jpeg"},
		{"GET", batch + "/pages/1/raw", token, "image/jpeg"},
		{"GET", auditExport, token, "application/x-ndjson"},
	} {
		at := tt.method + " " + tt.path
		a := s.ask(tt.method, tt.path, tt.token, "")
		for name, want := range map[string]string{
			"Content-Type": tt.kind, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"Server": "", "X-Powered-By": "", "Access-Control-Allow-Origin": "", "Strict-Transport-Security": "",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", at, name, got, want)
			}
		}
		if a.Header.Get("Permissions-Policy") == "" {
			t.Errorf("%s: no Permissions-Policy", at)
		}
		if list := a.Header.Values("Content-Security-Policy"); len(list) != 1 {
			t.Errorf("%s: the policies %q", at, list)
		}
		policy := directives(a.Header.Get("Content-Security-Policy"))
		objects := "'none'"
		if tt.kind == "application/pdf" {
			objects = "'self'" // what Chromium shows it with
		}
		for name, want := range map[string]string{
			"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'", "object-src": objects, "base-uri": "'none'",
			"form-action": "'self'", "frame-ancestors": "'none'", "require-trusted-types-for": "'script'", "trusted-types": "default",
		} {
			if policy[name] != want {
				t.Errorf("%s: the policy says %s %s, want %s", at, name, policy[name], want)
			}
		}
		for name, value := range policy {
			if strings.ContainsAny(value, "*:") && !(name == "img-src" && value == "'self' data:") || strings.Contains(value, "unsafe") {
				t.Errorf("%s: the policy says %s %s", at, name, value)
			}
		}
		keep := "no-store" // what somebody has got who is logged in
		switch {
		case strings.HasPrefix(tt.path, document), strings.HasPrefix(tt.path, batch):
			keep = "private, no-cache" // asked for each time it is to be shown
		case tt.token == "":
			continue
		}
		if got := a.Header.Get("Cache-Control"); got != keep {
			t.Errorf("%s: it may be kept: %q, want %q", at, got, keep)
		}
	}
	// Cookies, where the connection is encrypted.
	for _, given := range []bool{false, true} {
		cert, err := OpenCertificate(DefaultConfig(), t.TempDir(), quiet)
		if err != nil {
			t.Fatal(err)
		}
		cert.given = given
		s.Certificate = cert
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "https://box/api/v1/login", strings.NewReader(fmt.Sprintf(`{"username":"anna","password":%q}`, password)))
		s.Handler().ServeHTTP(w, r)
		resp := w.Result()
		if len(resp.Cookies()) != 2 {
			t.Fatalf("%s, cookies %v", resp.Status, resp.Cookies())
		}
		for _, c := range resp.Cookies() {
			if !strings.HasPrefix(c.Name, "__Host-docscan_") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("the cookie %s: %+v", c.Name, c)
			}
		}
		want := ""
		if given {
			want = "max-age=31536000"
		}
		if got := resp.Header.Get("Strict-Transport-Security"); got != want {
			t.Errorf("with a given certificate %t: browsers are told to stay encrypted: %q, want %q", given, got, want)
		}
	}
}

// A secret from before the log-in opens nothing after it.
func TestSessionIsRotated(t *testing.T) {
	s := newSite(t, nil)
	old := s.user("ben", store.RoleMember)
	form := "username=ben&password=" + strings.ReplaceAll(password, " ", "+")
	a := s.ask("POST", "/login", "", form, "Cookie", cookieName+"="+old, "Content-Type", "application/x-www-form-urlencoded")
	fixed := s.ask("POST", "/login", "", form, "Cookie", cookieName+"=chosen-by-somebody-else", "Content-Type", "application/x-www-form-urlencoded")
	for _, x := range []answer{a, fixed} {
		fresh := ""
		for _, c := range x.Cookies() {
			if c.Name == cookieName {
				fresh = c.Value
			}
		}
		if fresh == "" || fresh == old || fresh == "chosen-by-somebody-else" {
			t.Errorf("%s: the secret is %q", x.Status, fresh)
		}
	}
	if got := s.status("GET", "/api/v1/me", old, ""); got != 401 {
		t.Errorf("the old one: %d", got)
	}
	// Idle and absolute ends.
	for what, change := range map[string]func(x *store.Session){
		"not used for long":  func(x *store.Session) { x.Seen = time.Now().Add(-s.idle() - time.Minute) },
		"used until its end": func(x *store.Session) { x.Expires = time.Now().Add(-time.Second) },
	} {
		token := s.logInAs("ben")
		x, err := s.Store.SessionByHash(hashSecret(token))
		if err != nil {
			t.Fatal(err)
		}
		change(&x)
		if err := s.Store.AddSession(nil, x); err != nil {
			t.Fatal(err)
		}
		if got := s.status("GET", "/api/v1/me", token, ""); got != 401 {
			t.Errorf("a log-in %s: %d", what, got)
		}
	}
	if x, err := s.Store.SessionByHash(hashSecret(s.logInAs("ben"))); err != nil || x.Expires.Sub(x.Created) != 30*time.Minute {
		t.Errorf("a program's log-in holds %v, %v", x.Expires.Sub(x.Created), err)
	}
}

// Handlers that anybody can reach take any bytes, and so does the refusal of all others.
func FuzzOpenHandlers(f *testing.F) {
	// Few log-ins, so that most of the time goes into requests instead of hashes.
	s := newSite(f, func(c *Config) { c.Registration, c.LoginsPerMinute, c.RegistrationsPerMinute = registerOpen, 20, 20 })
	s.user("anna", store.RoleAdmin)
	h := s.Handler()
	var open []route
	for _, anybody := range []bool{true, false} {
		for _, rt := range routes() {
			if (rt.access == anyone) == anybody {
				open = append(open, rt)
			}
		}
	}
	f.Add(uint8(100), "", "application/x-www-form-urlencoded", []byte("title=a%00&remark=%ff&key=x&was=1"), "docscan_session=x", "")
	f.Add(uint8(1), "", "application/json", []byte(`{"username":"anna","password":"x","code":"1"}`), "docscan_session=x; docscan_device=a.b; docscan_setup=t; docscan_notice=saved+x", "Bearer x")
	f.Add(uint8(3), "token=x", "application/x-www-form-urlencoded", []byte("username=a&password=b&again=b&ticket=x"), "docscan_notice=%zz", "Basic x")
	f.Add(uint8(7), "%zz&q=%00", "multipart/form-data; boundary=x", []byte("--x\r\n\r\n--x--"), "", "")
	f.Add(uint8(9), "", "application/json", []byte(`{"ticket":"x","credential":{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA"}}}`), "", "")
	f.Fuzz(func(t *testing.T, which uint8, query, kind string, body []byte, cookie, authorization string) {
		rt := open[int(which)%len(open)]
		path := strings.NewReplacer(":id", "x", "*file", "docscan.css").Replace(rt.path)
		r := httptest.NewRequest(rt.method, "https://box.example"+path, bytes.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Cookie", cookie)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%s %s: %d %s", rt.method, path, w.Code, w.Body)
		}
	})
}

// Whatever the cookie holds, a log-in leads to a page of this host.
func FuzzOnward(f *testing.F) {
	for _, left := range []string{"%2Fdocuments%3Fq%3Dx", "%2F%2Fevil.example", "%2F%09%2Fevil.example", "%2F%5Cevil.example", "https%3A%2F%2Fevil.example", "%zz"} {
		f.Add(left)
	}
	f.Fuzz(func(t *testing.T, left string) {
		r := httptest.NewRequest("GET", "/login", nil)
		r.Header.Set("Cookie", wayCookie+"="+left)
		to := onward(&call{w: httptest.NewRecorder(), r: r})
		u, err := url.Parse(to)
		if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\t\r\n") || err == nil && (u.Host != "" || u.Scheme != "") {
			t.Errorf("%q leads to %q", left, to)
		}
	})
}

func FuzzNewName(f *testing.F) {
	f.Add("anna")
	f.Add("ju\u0308rgen")
	f.Add("ａｎｎａ\u202e")
	f.Fuzz(func(t *testing.T, name string) {
		kept, err := newName(name)
		if err != nil {
			return
		}
		again, err := newName(kept)
		if err != nil || again != kept || store.FoldName(kept) != store.FoldName(name) {
			t.Errorf("%q is kept as %q, and that as %q (%v)", name, kept, again, err)
		}
	})
}

// tricks are names that are not what they seem.
var tricks = map[string]string{
	"NUL": "a\x00b", "a line break": "a\r\nSet-Cookie: b", "an escape": "\x1b[31mred", "right to left override": "tax\u202efdp.exe",
	"isolates": "\u2067a\u2069", "zero width": "a\u200bb", "a soft hyphen": "a\u00adb", "byte order mark": "\ufeffa", "a tower of marks": "a" + strings.Repeat("\u0301", 60),
	"10 kB": strings.Repeat("x", 10<<10), "a line separator": "a\u2028b",
}

// What people call a thing is refused where it is a trick, and kept as it is
// where it is only unusual.
func TestTricksInNames(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	person := string(s.named("anna").ID)
	forms := map[string]func(name string) answer{
		"a key": func(n string) answer {
			return s.ask("POST", "/api/v1/tokens", admin, jsonOf(t, map[string]any{"name": n}))
		},
		"a group": func(n string) answer {
			return s.ask("POST", "/api/v1/groups", admin, jsonOf(t, map[string]any{"name": n}))
		},
		"a person": func(n string) answer {
			return s.ask("POST", "/api/v1/users", admin, jsonOf(t, map[string]any{"username": n, "password": password}))
		},
		"a full name": func(n string) answer {
			return s.ask("PATCH", "/api/v1/users/"+person, admin, jsonOf(t, map[string]any{"full_name": n}), "If-Match", "*")
		},
		"an address": func(n string) answer {
			return s.ask("PATCH", "/api/v1/users/"+person, admin, jsonOf(t, map[string]any{"email": n + "@example.org"}), "If-Match", "*")
		},
		"a search": func(n string) answer {
			return s.ask("PUT", "/api/v1/searches", admin, jsonOf(t, map[string]any{"searches": []map[string]string{{"name": n, "query": "x"}}}), "If-Match", "*")
		},
		"a profile": func(n string) answer {
			return s.ask("PUT", "/api/v1/profiles/x", admin, jsonOf(t, map[string]any{"name": n, "source": "auto", "mode": "gray", "resolution": 300}), "If-Match", "*")
		},
		"a destination": func(n string) answer {
			return s.ask("POST", "/api/v1/destinations", admin, jsonOf(t, map[string]any{"name": n, "kind": "folder", "folder": t.TempDir()}))
		},
	}
	for what, send := range forms {
		for trick, name := range tricks {
			a := send(name)
			tidied := a.StatusCode/100 == 2 && strings.Contains(trick, "line") && !strings.Contains(a.body, `\n`) && !strings.Contains(a.body, `\u2028`)
			if a.StatusCode != 422 && !tidied {
				t.Errorf("%s with %s: %s %.200s", what, trick, a.Status, a.body)
			}
		}
		if what == "a person" || what == "an address" {
			continue
		}
		for _, name := range []string{"Tax 🧾", "Ørsted & Søn", "نص عربي", "👩‍👧", "../../etc", "<b>"} {
			if a := send(name); a.StatusCode/100 != 2 {
				t.Errorf("%s %q: %s %.200s", what, name, a.Status, a.body)
			}
		}
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	j, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(j)
}

// What is said of a document is kept without what nobody sees, and the file it is
// downloaded as ends as it seems to.
func TestTricksInTitles(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("ben", store.RoleMember)
	d := s.file(s.named("ben").ID, "Letter", "words")
	path := "/api/v1/documents/" + string(d.ID)
	for trick, text := range tricks {
		a := s.ask("PATCH", path, token, jsonOf(t, map[string]any{"title": text, "type": text, "correspondent": text, "tags": []string{text}, "remark": text}), "If-Match", "*")
		if trick == "10 kB" {
			if a.StatusCode != 422 {
				t.Errorf("%s: %s %.200s", trick, a.Status, a.body)
			}
			continue
		}
		var got struct{ Document store.Document }
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != 200 {
			t.Errorf("%s: %s %.200s", trick, a.Status, a.body)
			continue
		}
		for _, kept := range append([]string{got.Document.Title, got.Document.Type, got.Document.Correspondent}, got.Document.Tags...) {
			if !scan.Readable(kept) || kept == "" {
				t.Errorf("%s is kept as %q", trick, kept)
			}
		}
	}
	for title, want := range map[string]string{
		"../../etc/passwd":   `attachment; filename=-..-etc-passwd.pdf; filename*=UTF-8''-..-etc-passwd.pdf`,
		`C:\autoexec.bat`:    `attachment; filename=C--autoexec.bat.pdf; filename*=UTF-8''C--autoexec.bat.pdf`,
		".hidden":            `attachment; filename=hidden.pdf; filename*=UTF-8''hidden.pdf`,
		`a"; filename=b.exe`: `attachment; filename="a-; filename=b.exe.pdf"; filename*=UTF-8''a-%3B%20filename%3Db.exe.pdf`,
		"Größe 🧾":            `attachment; filename="Gr__e _.pdf"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%F0%9F%A7%BE.pdf`,
	} {
		if a := s.ask("PATCH", path, token, jsonOf(t, map[string]any{"title": title}), "If-Match", "*"); a.StatusCode != 200 {
			t.Fatalf("%q: %s %s", title, a.Status, a.body)
		}
		if got := s.ask("GET", path+"/pdf?download=1", token, "").Header.Get("Content-Disposition"); got != want {
			t.Errorf("%q is downloaded as %s, want %s", title, got, want)
		}
	}
	if got := fileName("tax\u202efdp.exe\xff\x00.pdf"); got != "taxfdp.exe--.pdf" {
		t.Errorf("a name of an old record: %q", got)
	}
}

// A file is handed out under a name that ends as its content is, whatever its sender called it.
func TestEndings(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("ben", store.RoleMember)
	for _, tt := range []struct{ name, kind, want string }{
		{"invoice.pdf", pdfType, "invoice.pdf"},
		{"INVOICE.PDF", pdfType, "INVOICE.PDF"},
		{"invoice.exe", pdfType, "invoice.exe.pdf"},
		{"invoice.html", "image/jpeg", "invoice.html.jpg"},
		{"photo.jpeg", "image/jpeg", "photo.jpeg"},
		{"scan.TIF", "image/tiff", "scan.TIF"},
		{"upload", "image/png", "upload.png"},
		{"docscan.html", "text/html", "docscan.html"}, // nothing that docscan knows as taken
	} {
		if got := namedAs(tt.name, tt.kind); got != tt.want {
			t.Errorf("%s, %s: %s, want %s", tt.name, tt.kind, got, tt.want)
		}
	}
	d := s.file(s.named("ben").ID, "Letter", "words")
	page, err := s.Store.Page(d.Batch, 1)
	if err != nil {
		t.Fatal(err)
	}
	link := "/api/v1/documents/" + string(d.ID) + "/original"
	if strings.Contains(s.ask("GET", "/documents/"+string(d.ID), token, "").body, link) {
		t.Error("the page of a scan offers the file that was sent")
	}
	defer func() {
		if !strings.Contains(s.ask("GET", "/documents/"+string(d.ID), token, "").body, link) {
			t.Error("the page does not offer the file that was sent")
		}
	}()
	_, err = s.Store.UpdateBatch(d.Batch, func(b *store.Batch) error {
		b.Upload = &store.Upload{Name: "letter.js", File: page.Raw, Pages: 1}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A page that has no picture offers the image, and does not say that a scanner sent it.
	if _, err := s.Store.UpdatePage(d.Batch, 1, func(p *store.Page) error {
		p.View, p.Note = store.Blob{}, "the image is incomplete"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for language, want := range map[string]string{"en": ">Download the image as it came</a>", "de": ">Bild herunterladen, wie es kam</a>"} {
		if body := s.ask("GET", "/documents/"+string(d.ID), token, "", "Accept-Language", language).body; !strings.Contains(body, want) {
			t.Errorf("%s: the page without a picture does not have %s", language, want)
		}
	}
	for path, want := range map[string]string{
		"/api/v1/documents/" + string(d.ID) + "/original":     "letter.js.jpg",
		"/api/v1/batches/" + string(d.Batch) + "/original":    "letter.js.jpg",
		"/api/v1/batches/" + string(d.Batch) + "/pages/1/raw": "page 1.jpg",
	} {
		kind, more, err := mime.ParseMediaType(s.ask("GET", path, token, "").Header.Get("Content-Disposition"))
		if err != nil || kind != "attachment" || more["filename"] != want {
			t.Errorf("%s: %s of %q (%v), want an attachment %s", path, kind, more, err, want)
		}
	}
}

// A fault of docscan's own is told without what it was, and the next request is answered.
func TestPanicIsTold(t *testing.T) {
	s := newSite(t, nil)
	h := s.protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the secret of the box") }))
	for _, path := range []string{"/api/v1/me", "/documents"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if body := w.Body.String(); w.Code != 500 || strings.Contains(body, "secret of the box") || strings.Contains(body, "goroutine") || strings.Contains(body, ".go:") {
			t.Errorf("%s: %d %s", path, w.Code, body)
		}
	}
	if !strings.Contains(s.log.String(), "panic: the secret of the box") {
		t.Errorf("the log does not tell it: %s", s.log)
	}
	if got := s.status("GET", "/api/health", "", ""); got != 200 {
		t.Errorf("after that: %d", got)
	}
}

// If-Match is read as RFC 9110 has it (13.1.1): one tag or several, of which one
// must be that of the state, or *; a weak one never is.
func TestIfMatch(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("ben", store.RoleMember)
	path := "/api/v1/documents/" + string(s.file(s.named("ben").ID, "Letter", "words").ID)
	for i, tt := range []struct {
		tag  func(now string) string
		want int
	}{
		{func(now string) string { return now }, 200},
		{func(now string) string { return `"x", ` + now }, 200},
		{func(string) string { return "*" }, 200},
		{func(now string) string { return "W/" + now }, 412},
		{func(string) string { return `"r999999999999999999999"` }, 412},
		{func(string) string { return `"r-1"` }, 412},
		{func(string) string { return "r1" }, 400},
		{func(string) string { return "" }, 428},
	} {
		tag := tt.tag(s.ask("GET", path, token, "").Header.Get("ETag"))
		var header []string
		if tag != "" {
			header = []string{"If-Match", tag}
		}
		if a := s.ask("PATCH", path, token, fmt.Sprintf(`{"title":"Letter %d"}`, i), header...); a.StatusCode != tt.want {
			t.Errorf("If-Match: %s: %s %s, want %d", tag, a.Status, a.body, tt.want)
		}
	}
}

// A body that is missing or goes on behind its end replaces nothing.
func TestHalfBodiesReplaceNothing(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	search := `{"searches":[{"name":"Heating","query":"boiler"}]}`
	s.json("PUT", "/api/v1/searches", token, search, 200, nil)
	for what, body := range map[string]string{"nothing": "", "two values": `{"searches":[]}{"searches":[]}`, "half": `{"searches":[`, "a comma": `{"searches":[]},`} {
		if a := s.ask("PUT", "/api/v1/searches", token, body, "If-Match", "*"); a.StatusCode != 400 {
			t.Errorf("%s: %s %s", what, a.Status, a.body)
		}
	}
	if a := s.ask("GET", "/api/v1/searches", token, ""); !strings.Contains(a.body, "Heating") {
		t.Errorf("the searches are now %s", a.body)
	}
}

// What strangers try as a name stands in the audit log so that it can be read.
func TestTricksInTheLog(t *testing.T) {
	s := newSite(t, nil)
	s.user("anna", store.RoleAdmin)
	if a := s.ask("POST", "/api/login", "", jsonOf(t, map[string]string{"username": "ad\u202emin\x1b[2J\x00\u200b", "password": "x"})); a.StatusCode != 401 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	list, _, err := s.Store.Audit(audit.Query{Limit: 1})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if want := `ad\u202emin\u001b[2J\u0000\u200b`; list[0].Actor != want {
		t.Errorf("the log has %q, want %q", list[0].Actor, want)
	}
}
