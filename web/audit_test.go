package web

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/store"
	"docscan/store/audit"
)

// newest gives the number of the last entry of the log.
func (s *site) newest() uint64 {
	s.t.Helper()
	n, _, err := s.Store.AuditCount()
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// since gives what was done since an entry, with its outcome.
func (s *site) since(n uint64) (done []string) {
	s.t.Helper()
	list, _, err := s.Store.Audit(audit.Query{Limit: 50})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range list {
		if l.Seq > n {
			done = append(done, l.Action+" "+l.Status)
		}
	}
	return done
}

// noEntry are routes that change something or show content and leave no entry, or whose
// entry another test looks for, with the reason.
var noEntry = map[string]string{
	"POST /api/heartbeat":                        "changes nothing",
	"POST /api/v1/login/passkey-challenge":       "begins a log-in; its end is recorded",
	"POST /api/v1/passkey-challenges":            "begins adding a passkey; a wrong password is recorded (password_check)",
	"POST /api/v1/second-factor":                 "begins one-time codes; a wrong password is recorded (password_check)",
	"POST /account/second-factor":                "the same as a form",
	"POST /account/preferences":                  "how pages look to oneself",
	"PUT /api/v1/searches":                       "kept searches of oneself",
	"POST /searches":                             "the same as a form",
	"POST /searches/delete":                      "the same as a form",
	"GET /api/v1/batches/:id/pages/:seq/thumb":   "too small to read",
	"GET /api/v1/documents/:id/pages/:seq/thumb": "too small to read",
	"GET /api/v1/batches/:id":                    "how far a batch is; no content",
	"GET /api/batches/:id":                       "how far a batch is; no content",
	"GET /api/v1/documents/:id/aside":            "which pages there are; no content",
	"GET /api/v1/documents/:id/deliveries":       "where it has arrived; no content",
	"POST /api/v1/destinations/:id/retry":        "tries what waits; each delivery is recorded (document_delivered)",
	"POST /destinations/:id/retry":               "the same as a form",
	"GET /api/v1/documents/:id/changes":          "what was done; no content",
	"GET /documents/:id/now":                     "whether it is still there; no content",
	"GET /trash/:id/delete":                      "asks whether to delete",
	"GET /api/v1/devices/:id":                    "a scanner",
	"GET /api/v1/profiles/:id":                   "a profile",
	"GET /api/v1/users/:id":                      "an account, for administrators",
	"GET /api/v1/users/:id/sessions":             "log-ins, for administrators",
	"GET /api/admin/users/:id/activities":        "batches, for administrators",
	"GET /people/:id":                            "an account, for administrators",
	"PUT /api/v1/update/uploads/:digest":         "a part of a file that does nothing until it is installed",
}

// elsewhere are routes whose entries other tests or other handlers' rows show: forms do
// what the API does, through the same functions.
var elsewhere = []string{
	"POST /api/v1/setup", "POST /setup", "POST /login", "POST /login/code", "POST /logout", "POST /api/v1/login/passkey", "POST /register", "POST /api/v1/register",
	"POST /api/v1/second-factor/", "POST /account/", "POST /api/v1/passkeys", "DELETE /api/v1/passkeys/:id", "POST /people", "POST /groups", "POST /profiles", "POST /devices/:id",
	"POST /documents", "POST /changes/:id/undo", "POST /trash/", "POST /system/", "POST /welcome/:step", "POST /kiosk/", "POST /scan", "POST /batches/:id/:action", "POST /uploads",
	"POST /languages", "POST /sheets/labels", "POST /api/v1/languages", "PUT /api/v1/languages/:name", "DELETE /api/v1/languages/:name", "POST /audit/verify",
	"POST /api/v1/destinations", "DELETE /api/v1/destinations/:id", "POST /destinations",
	"POST /api/v1/system/ssh",                                                 // TestSSHAccessAPI
	"POST /api/v1/update/", "POST /api/v1/fleet/", "PUT /api/v1/fleet/config", // package slot's events, recorded by docscand
	"POST /api/v1/scans", "POST /api/v1/uploads", "POST /api/upload", "POST /api/v1/batches/:id/", // package scan's entries, in the transaction of the batch
	"POST /api/v1/documents/:id/read", "POST /api/v1/documents/:id/split", "POST /api/v1/documents/:id/merge", "PUT /api/v1/documents/:id/pages", // scan's change, as undo below
	"GET /api/v1/batches/:id/original", "GET /api/v1/documents/:id/original",
	"PUT /api/v1/devices/:id", "GET /api/v1/devices/:id/diagnosis", "DELETE /api/v1/sessions/:id", "DELETE /api/v1/users/:id/sessions/:session",
	"PATCH /api/admin/users/:id/status", "POST /api/admin/users/:id/reset-password", "POST /api/register",
}

// Every route that changes something, or shows what stands on paper, leaves an entry:
// this table does what it can, and a route in none of the lists fails.
func TestEveryDeedLeavesAnEntry(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	s.user("ben", store.RoleMember)
	ben, err := s.Store.UserByName("ben")
	if err != nil {
		t.Fatal(err)
	}
	d := s.file(ben.ID, "Letter", "dear tractors")
	group := store.Group{}
	var change store.ChangeID
	doc, batch, person := "/api/v1/documents/"+string(d.ID), "/api/v1/batches/"+string(d.Batch), "/api/v1/users/"+string(ben.ID)
	token := ""
	tests := []struct {
		route, path, body string
		header            []string
		want              string
	}{
		{"GET /api/v1/documents/:id", doc, "", nil, "document_view success"},
		{"GET /documents/:id", "/documents/" + string(d.ID), "", nil, ""}, // the same view
		{"GET /api/v1/documents/:id/pages/:seq/view", doc + "/pages/1/view", "", nil, ""},
		{"GET /api/v1/documents/:id/pages/:seq/text", doc + "/pages/1/text", "", nil, ""},
		{"GET /api/batches/:id/results", "/api/batches/" + string(d.Batch) + "/results", "", nil, ""},
		{"GET /api/v1/batches/:id/pages/:seq/view", batch + "/pages/1/view", "", nil, "batch_view success"},
		{"GET /api/v1/batches/:id/pages/:seq/text", batch + "/pages/1/text", "", nil, ""},
		{"GET /api/v1/batches/:id/pages/:seq/raw", batch + "/pages/1/raw", "", nil, ""},
		{"GET /api/v1/documents/:id/pdf", doc + "/pdf", "", nil, "document_export success"},
		{"GET /api/v1/documents/:id/text", doc + "/text", "", nil, "document_export success"},
		{"GET /api/results/:id/export/:format", "/api/results/" + string(d.ID) + "/export/excel", "", nil, "document_export success"},
		{"GET /api/batches/:id/export/:format", "/api/batches/" + string(d.Batch) + "/export/pdf", "", nil, "document_export success"},
		{"GET /api/v1/system/backup", "/api/v1/system/backup", "", nil, "backup success"},
		{"GET /api/v1/audit/export", "/api/v1/audit/export", "", nil, "audit_export success"},
		{"PATCH /api/v1/documents/:id", doc, `{"title":"Bill"}`, []string{"If-Match", `"r1"`}, "document_edit success"},
		{"POST /api/v1/changes/:id/undo", "", "", nil, "document_undo success"},
		{"PUT /api/v1/documents/:id/groups", doc + "/groups", `{"groups":[]}`, nil, ""},
		{"DELETE /api/v1/documents/:id", doc, "", nil, "document_trash success"},
		{"POST /api/v1/documents/:id/restore", doc + "/restore", "", nil, "document_restore success"},
		{"DELETE /api/v1/documents/:id", doc + "?forever=1", "", nil, "document_delete success"},
		{"POST /api/cache/clear", "/api/cache/clear", "", nil, "cache_clear success"},
		{"POST /api/v1/audit/verify", "/api/v1/audit/verify", "", nil, "audit_verified success"},
		{"POST /api/v1/system/check", "/api/v1/system/check", "", nil, "check success"},
		{"PUT /api/v1/system/settings", "/api/v1/system/settings", `{"language":"de","zone":""}`, nil, "settings_changed success"},
		{"POST /api/v1/sheets/labels", "/api/v1/sheets/labels", `{"layout":"L4731","kind":"qr","count":2}`, nil, "labels_printed success"},
		{"PUT /api/v1/profiles/:id", "/api/v1/profiles/new", `{"name":"New","source":"auto","mode":"gray","resolution":300}`, nil, "profile_saved success"},
		{"DELETE /api/v1/profiles/:id", "/api/v1/profiles/new", "", []string{"If-Match", "*"}, "profile_deleted success"},
		{"POST /api/v1/groups", "/api/v1/groups", `{"name":"Office"}`, nil, "group_added success"},
		{"PATCH /api/v1/groups/:id", "", `{"name":"Back office"}`, nil, "group_renamed success"},
		{"DELETE /api/v1/groups/:id", "", "", nil, "group_deleted success"},
		{"POST /api/v1/users", "/api/v1/users", fmt.Sprintf(`{"username":"carla","password":%q}`, password), nil, "user_added success"},
		{"PATCH /api/v1/users/:id", person, `{"role":"panel"}`, []string{"If-Match", "*"}, "user_changed success"},
		{"POST /api/v1/users/:id/end", person + "/end", "", nil, "sessions_ended success"},
		{"POST /api/v1/users/:id/reset", person + "/reset", `{}`, nil, "password_reset success"},
		{"POST /api/admin/users/:id/generate-temp-password", "/api/admin/users/" + string(ben.ID) + "/generate-temp-password", "", nil, "password_reset success"},
		{"DELETE /api/v1/users/:id", person, "", nil, "user_deleted success"},
		{"POST /api/v1/tokens", "/api/v1/tokens", `{"name":"x"}`, nil, "token_created success"},
		{"DELETE /api/v1/tokens/:id", "", "", nil, "token_deleted success"},
		{"POST /api/login", "/api/login", fmt.Sprintf(`{"username":"anna","password":%q}`, password), nil, "login success"},
		{"POST /api/v1/login", "/api/v1/login", `{"username":"anna","password":"wrong"}`, nil, "login failure"},
		{"POST /api/v1/logout", "/api/v1/logout", "", nil, "logout success"},
		{"POST /api/v1/password", "/api/v1/password", fmt.Sprintf(`{"old":%q,"password":"eight yellow tractors"}`, password), nil, "password_changed success"},
	}
	known := make(map[string]bool)
	for _, tt := range tests {
		known[tt.route] = true
		method, _, _ := strings.Cut(tt.route, " ")
		switch tt.route {
		case "POST /api/v1/changes/:id/undo":
			list, err := s.Store.ChangesOf(d.ID, 1)
			if err != nil || len(list) != 1 {
				t.Fatalf("%v, %v", list, err)
			}
			change = list[0].ID
			tt.path = "/api/v1/changes/" + string(change) + "/undo"
		case "PATCH /api/v1/groups/:id", "DELETE /api/v1/groups/:id":
			tt.path = "/api/v1/groups/" + string(group.ID)
		case "DELETE /api/v1/tokens/:id":
			tt.path = "/api/v1/tokens/" + token
		}
		who := admin
		if tt.route == "POST /api/v1/logout" {
			who = s.logInAs("anna")
		}
		before := s.newest()
		a := s.ask(method, tt.path, who, tt.body, tt.header...)
		if a.StatusCode >= 400 && !strings.HasSuffix(tt.want, "failure") {
			t.Errorf("%s: %s %.300s", tt.route, a.Status, a.body)
		}
		if got := s.since(before); tt.want != "" && !slices.Contains(got, tt.want) {
			t.Errorf("%s leaves %q, want %s", tt.route, got, tt.want)
		}
		switch tt.route {
		case "POST /api/v1/groups":
			err = json.Unmarshal([]byte(a.body), &group)
		case "POST /api/v1/tokens":
			var v tokenView
			err = json.Unmarshal([]byte(a.body), &v)
			token = string(v.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, rt := range routes() {
		key := rt.method + " " + rt.path
		if rt.method == "GET" && !strings.Contains(rt.path, ":id") || known[key] || noEntry[key] != "" {
			continue
		}
		if !slices.ContainsFunc(elsewhere, func(e string) bool { return strings.HasPrefix(key, e) }) {
			t.Errorf("%s: say in this table what entry it leaves", key)
		}
	}
	if sum, err := s.Store.VerifyAudit(); err != nil {
		t.Errorf("%+v, %v", sum, err)
	}
}

// What is not allowed is recorded, but not without bound.
func TestRefusalsAreRecorded(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	before := s.newest()
	s.ask("GET", "/api/v1/audit", ben, "")
	s.ask("GET", "/api/v1/me", "a-token-that-is-none", "")
	s.ask("POST", "/api/v1/logout", ben, "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	if got := s.since(before); !slices.Equal(got, []string{"cross_origin_blocked blocked", "token_refused blocked", "access_denied blocked"}) {
		t.Errorf("%q", got)
	}
	for range 3 * maxRefusals {
		s.ask("GET", "/api/v1/me", "a-token-that-is-none", "")
	}
	if n := s.newest() - before; n > maxRefusals {
		t.Errorf("%d refusals of one address are recorded in a minute, want at most %d", n, maxRefusals)
	}
}

// The pages show the log to administrators only, and filter it.
func TestAuditPages(t *testing.T) {
	s := newSite(t, nil)
	anna, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	s.ask("POST", "/api/v1/login", "", `{"username":"carla<b>","password":"no"}`)
	for _, path := range []string{"/audit", "/security", "/api/v1/audit", "/api/v1/audit/export", "/api/v1/security"} {
		if a := s.ask("GET", path, ben, ""); a.StatusCode != 403 {
			t.Errorf("%s is %s for a member", path, a.Status)
		}
	}
	a := s.ask("GET", "/audit?event_type=authentication&status=failure", anna, "")
	if a.StatusCode != 200 || !strings.Contains(a.body, "carla&lt;b&gt;") || strings.Contains(a.body, "user_added") {
		t.Errorf("the filtered page: %s\n%s", a.Status, a.body)
	}
	if a := s.ask("GET", "/security", anna, ""); a.StatusCode != 200 || !strings.Contains(a.body, "127.0.0.1") || !strings.Contains(a.body, "carla&lt;b&gt;") {
		t.Errorf("the security page: %s\n%s", a.Status, a.body)
	}
	seen := 0
	for cursor := ""; ; {
		var list auditList
		a := s.ask("GET", "/api/v1/audit?limit=2&cursor="+url.QueryEscape(cursor), anna, "")
		if err := json.Unmarshal([]byte(a.body), &list); err != nil {
			t.Fatal(err)
		}
		seen += len(list.Entries)
		if cursor = list.Next; cursor == "" {
			break
		}
	}
	if n := s.newest(); seen != int(n) {
		t.Errorf("by pages there are %d entries, want %d", seen, n)
	}
	sum, err := new(audit.Verifier).Export(t.Context(), strings.NewReader(s.ask("GET", "/api/v1/audit/export", anna, "").body))
	if err != nil || sum.Entries != seen+1 {
		t.Errorf("the export: %+v, %v", sum, err)
	}
}

// Prometheus' own tool takes the figures; nobody else gets them.
func TestMetrics(t *testing.T) {
	s := newSite(t, nil)
	anna, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	s.file("", "Letter", "words")
	a := s.ask("GET", "/metrics", "", "") // on this machine
	if a.StatusCode != 200 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(a.body)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	for _, want := range []string{
		"docscan_documents 1\n", "docscan_queue_pages{step=\"read\"} 0\n", "docscan_worker_deaths_total 0\n", "docscan_audit_entries_total ",
		"docscan_http_requests_total{code=\"200\",method=\"POST\"} 2\n", "docscan_limits_hit_total 0\n", "docscan_disk_bytes{kind=\"free\"} ", "docscan_event_streams 0\n", "docscan_ocr_seconds_total 0\n",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("there is no %q", want)
		}
	}
	for _, tt := range []struct {
		name, token string
		header      []string
		want        int
	}{
		{"through a proxy", "", []string{"X-Forwarded-For", "192.0.2.1"}, 401},
		{"a member", ben, nil, 403},
		{"an administrator through a proxy", anna, []string{"X-Forwarded-For", "192.0.2.1"}, 200},
	} {
		if a := s.ask("GET", "/metrics", tt.token, "", tt.header...); a.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d", tt.name, a.Status, tt.want)
		}
	}
}

// The workbook is one: a ZIP of well-formed XML with the words in it, and no formula.
func TestExcel(t *testing.T) {
	s := newSite(t, nil)
	anna := s.user("anna", store.RoleAdmin)
	d := s.file("", "=cmd|' /C calc'!A0", "words")
	a := s.ask("GET", "/api/results/"+string(d.ID)+"/export/excel", anna, "")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != excelType || !strings.Contains(a.Header.Get("Content-Disposition"), ".xlsx") {
		t.Fatalf("%s %v", a.Status, a.Header)
	}
	z, err := zip.NewReader(bytes.NewReader([]byte(a.body)), int64(len(a.body)))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
		x := xml.NewDecoder(bytes.NewReader(data))
		for err == nil {
			_, err = x.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if !strings.Contains(all.String(), "cmd|") || strings.Contains(all.String(), "<f>") {
		t.Error("the title is not in it as text")
	}
	for _, path := range []string{"/api/results/" + string(d.ID) + "/export/word", "/api/results/none/export/pdf"} {
		if a := s.ask("GET", path, anna, ""); a.StatusCode != 404 {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}

// Scripts of the service before get what they know: its texts, its fields, its limits.
func TestServiceBefore(t *testing.T) {
	s := newSite(t, func(c *Config) { c.DocumentTypes = []string{"delivery_note"} })
	anna, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	user, err := s.Store.UserByName("ben")
	if err != nil {
		t.Fatal(err)
	}
	d := s.file(user.ID, "Letter", "dear tractors")
	other := s.file("somebody", "Secret", "secret words")
	form := func(types string) (string, []string) {
		body, kind := form(t, "document_types="+types, "files@a.pdf=%PDF-1.4 broken")
		return body, []string{"Content-Type", kind}
	}
	unknownType, unknownHeader := form("spaceship")
	tests := []struct {
		method, path, token, body string
		header                    []string
		status                    int
		has                       string
	}{
		{"GET", "/api/health", "", "", nil, 200, `"status":"healthy"`},
		{"POST", "/api/heartbeat", "", "", nil, 200, `"ocr_engine":"tesseract"`},
		{"GET", "/api/batches", "", "", nil, 401, `"detail":"Not authenticated"`},
		{"GET", "/api/cache/stats", "", "", nil, 401, `"detail":"Not authenticated"`},
		{"GET", "/api/admin/dashboard/stats", ben, "", nil, 403, `"detail":"Admin access required"`},
		{"GET", "/api/admin/dashboard/stats", anna, "", nil, 200, `"total_batches":2`},
		{"POST", "/api/cache/clear", ben, "", nil, 403, `"detail":"Admin access required"`},
		{"POST", "/api/cache/clear", anna, "", nil, 200, `"message":"Cache cleared"`},
		{"DELETE", "/api/debug/clear-storage", "", "", nil, 404, `"detail":"Not Found"`},
		{"DELETE", "/api/debug/clear-storage", anna, "", nil, 404, `"detail":"Not Found"`},
		{"GET", "/api/batches", ben, "", nil, 200, `"status":"completed","created_at"`},
		{"GET", "/api/batches/" + string(d.Batch), ben, "", nil, 200, `"total_files":1,"processed_files":1,"progress_percentage":100`},
		{"GET", "/api/batches/" + string(other.Batch), ben, "", nil, 404, ""},
		{"GET", "/api/batches/" + string(other.Batch) + "/results", ben, "", nil, 404, ""},
		{"GET", "/api/results/" + string(other.ID) + "/export/pdf", ben, "", nil, 404, ""},
		{"GET", "/api/batches/" + string(other.Batch) + "/export/excel", ben, "", nil, 404, ""},
		{"GET", "/api/batches/" + string(d.Batch) + "/results", ben, "", nil, 200, `"filename":"Letter.pdf","title":"Letter"`},
		{"GET", "/api/results", ben, "", nil, 200, `"extracted_text"`},
		{"GET", "/api/results/" + string(d.ID) + "/export/pdf", ben, "", nil, 200, "%PDF of Letter"},
		{"GET", "/api/connections", ben, "", nil, 200, `{"total_connections":0,"connections":[]}`},
		{"GET", "/api/v1/document-types", ben, "", nil, 200, `"driver_license","other","delivery_note"`},
		{"POST", "/api/upload", ben, unknownType, unknownHeader, 422, `is no document type here`},
		{"POST", "/api/upload", "", unknownType, unknownHeader, 401, `"detail":"Not authenticated"`},
		{"POST", "/api/login", "", `{"username":"` + strings.Repeat("x", 11<<20) + `"}`, nil, 413, `"status":413`},
	}
	for _, tt := range tests {
		a := s.ask(tt.method, tt.path, tt.token, tt.body, tt.header...)
		if a.StatusCode != tt.status || !strings.Contains(a.body, tt.has) {
			t.Errorf("%s %s: %s %.300s, want %d with %s", tt.method, tt.path, a.Status, a.body, tt.status, tt.has)
		}
		if tt.status == 401 && a.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s %s: WWW-Authenticate is %q", tt.method, tt.path, a.Header.Get("WWW-Authenticate"))
		}
		if tt.status >= 400 && a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: it is %q", tt.method, tt.path, a.Header.Get("Content-Type"))
		}
	}
}

// A request with several files is one batch to clients of the service before, whatever
// becomes of each.
func TestHandins(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	user, err := s.Store.UserByName("ben")
	if err != nil {
		t.Fatal(err)
	}
	h := store.Handin{ID: store.HandinID(store.NewID()), Owner: user.ID, Created: time.Now()}
	for i, state := range []store.BatchState{store.BatchCompleted, store.BatchProcessing, store.BatchFailed} {
		b := store.Batch{ID: store.BatchID(store.NewID()), State: state, Owner: user.ID, Created: time.Now(), Pages: 4, Done: 2,
			Upload: &store.Upload{Name: fmt.Sprintf("%d.pdf", i), Pages: 4, Type: "invoice", Handin: h.ID}}
		if err := s.Store.AddBatch(b); err != nil {
			t.Fatal(err)
		}
		h.Files = append(h.Files, store.HandinFile{Name: b.Upload.Name, Type: "invoice", Batch: b.ID})
	}
	h.Files = append(h.Files, store.HandinFile{Name: "zip.pdf", Problem: "It is no PDF."})
	if err := s.Store.AddHandin(h); err != nil {
		t.Fatal(err)
	}
	ask := func(path string, v any) {
		t.Helper()
		a := s.ask("GET", path, ben, "")
		if err := json.Unmarshal([]byte(a.body), v); err != nil || a.StatusCode != 200 {
			t.Fatalf("%s: %s %s, %v", path, a.Status, a.body, err)
		}
	}
	var list batchesBeforeView
	ask("/api/batches", &list)
	if len(list.Batches) != 1 {
		t.Fatalf("the list has %d batches, want one of several files", len(list.Batches))
	}
	var one batchBefore
	ask("/api/batches/"+string(h.ID), &one)
	if one.Status != "processing" || one.Total != 4 || one.Processed != 3 || one.Progress != 87 || one.Files[3].Error != "It is no PDF." || one.Files[0].Type != "invoice" {
		t.Errorf("%+v", one)
	}
	if _, err := s.Store.UpdateBatch(h.Files[1].Batch, func(b *store.Batch) error { b.State = store.BatchCompleted; return nil }); err != nil {
		t.Fatal(err)
	}
	ask("/api/batches/"+string(h.ID), &one)
	if one.Status != "partial" || one.Progress != 100 {
		t.Errorf("at the end: %+v", one)
	}
}
