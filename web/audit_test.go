package web

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	// What belongs to somebody else is not there, but who asked for it stands in the log.
	anna := s.user("anna", store.RoleAdmin)
	d := s.file(s.named("anna").ID, "Letter of Anna", "boiler")
	paths := []string{"/api/v1/documents/" + string(d.ID), "/api/v1/batches/" + string(d.Batch), "/api/batches/" + string(d.Batch), "/documents/" + string(d.ID)}
	for _, path := range paths {
		if got := s.status("GET", path, ben, ""); got != 404 {
			t.Errorf("%s: %d", path, got)
		}
	}
	var list auditList
	s.json("GET", "/api/v1/audit?action=access_denied&actor=ben", anna, "", 200, &list)
	for i, path := range paths {
		if at := len(paths) - 1 - i; at >= len(list.Entries) || list.Entries[at].Target != "GET "+path || list.Entries[at].Status != audit.Blocked {
			t.Errorf("%s leaves no entry: %+v", path, list.Entries)
		}
	}
	if got := s.status("GET", "/api/v1/documents/nothing", ben, ""); got != 404 || s.recorded("access_denied", audit.Blocked) != len(paths)+1 {
		t.Errorf("what is not there at all: %d, with %d entries", got, s.recorded("access_denied", audit.Blocked))
	}
	for range 3 * maxRefusals {
		s.ask("GET", "/api/v1/me", "a-token-that-is-none", "")
	}
	if n := s.recorded("token_refused", audit.Blocked) + s.recorded("access_denied", audit.Blocked) + s.recorded("cross_origin_blocked", audit.Blocked); n > maxRefusals {
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
	_, table, _ := strings.Cut(a.body, "<tbody>")
	if a.StatusCode != 200 || !strings.Contains(table, "carla&lt;b&gt;") || strings.Contains(table, "user_added") {
		t.Errorf("the filtered page: %s\n%s", a.Status, a.body)
	}
	if a := s.ask("GET", "/audit?action=login", anna, "", "Accept-Language", "de"); !strings.Contains(a.body, "Anmelden") || !strings.Contains(a.body, `<option value="login" selected>Anmelden</option>`) || !strings.Contains(a.body, "<code>login</code>") {
		t.Errorf("in German:\n%s", a.body)
	}
	if a := s.ask("GET", "/audit?action=of_tomorrow", anna, ""); !strings.Contains(a.body, `<option value="of_tomorrow" selected>of_tomorrow</option>`) {
		t.Errorf("an action of another version cannot be looked for:\n%s", a.body)
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
	s.logInAs("ben")
	s.logInAs("ben")
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
	key := func(scope string) string {
		return s.read(s.ask("POST", "/api/v1/tokens", anna, fmt.Sprintf(`{"name":"Prometheus","scopes":[%q]}`, scope)), "token")
	}
	for _, tt := range []struct {
		name, token string
		header      []string
		want        int
	}{
		{"through a proxy", "", []string{"X-Forwarded-For", "192.0.2.1"}, 401},
		{"a member", ben, nil, 403},
		{"an administrator through a proxy", anna, []string{"X-Forwarded-For", "192.0.2.1"}, 200},
		{"a key for reading", key("read"), []string{"X-Forwarded-For", "192.0.2.1"}, 200},
		{"a key for uploads", key("upload"), nil, 403},
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
	manyTypes, manyHeader := form(strings.Repeat("invoice,", maxFiles+1))
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
		{"POST", "/api/upload", ben, manyTypes, manyHeader, 422, `More than 50 document types`},
		{"POST", "/api/upload", "", unknownType, unknownHeader, 401, `"detail":"Not authenticated"`},
		{"POST", "/api/login", "", `{"username":"ben","password":"` + password + `"}`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 200, `"token_type":"bearer"`}, // as curl -d says by itself
		{"POST", "/api/login", "", "username=ben&password=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "not the JSON that is wanted here"},
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

	// To administrators it is one, too, and stays one when somebody else gets it.
	anna := s.user("anna", store.RoleAdmin)
	did := func(name string, batches int) {
		t.Helper()
		var users []personView
		s.json("GET", "/api/admin/users", anna, "", 200, &users)
		for _, u := range users {
			var v activitiesView
			s.json("GET", "/api/admin/users/"+string(u.ID)+"/activities", anna, "", 200, &v)
			if u.Name == name && (u.Batches != batches || len(v.Batches) != batches || v.Batches[0].ID != string(h.ID) || v.Batches[0].Total != 4) {
				t.Errorf("%s has %d batches: %+v, want %d", name, u.Batches, v.Batches, batches)
			}
		}
	}
	if err := s.Store.AddBatch(store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchFailed, Created: time.Now()}); err != nil { // of nobody in particular
		t.Fatal(err)
	}
	did("ben", 1)
	s.json("DELETE", "/api/v1/users/"+string(user.ID)+"?heir="+string(s.named("anna").ID), anna, "", 204, nil)
	did("anna", 1)
	s.json("GET", "/api/batches/"+string(h.ID), anna, "", 200, &one)
	if one.Owner != s.named("anna").ID {
		t.Errorf("it belongs to %s", one.Owner)
	}
}

// Whatever docscan records, the pages can say in words.
func TestAuditIsInWords(t *testing.T) {
	forms := regexp.MustCompile(`(?:entry|deed)\((?:audit\.\w+, )?"([a-z_]+)"|\bAction(?::\s+| = )"([a-z_]+)"|ecord(?:Refusal|View|Language)\([^"\n]*"([a-z_]+)"|\baction(?:, err)?,? :?= "([a-z_]+)"|\baction, target, err = "([a-z_]+)"`)
	found := make(map[string]bool)
	for _, pattern := range []string{"*.go", "../scan/*.go", "../scan/*/*.go", "../store/*.go", "../store/audit/*.go", "../cmd/docscand/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range forms.FindAllStringSubmatch(string(text), -1) {
				if action := strings.Join(m[1:], ""); !strings.HasSuffix(action, "_") {
					found[action] = true
				}
			}
		}
	}
	for _, action := range []string{"rate_limit_exceeded", "user_changed", "document_export", "document_list"} { // which stand in no such place
		found[action] = true
	}
	for action := range changesInWords {
		found["document_"+action] = true
	}
	for _, step := range []string{"install", "try", "commit", "roll-back", "mend", "restart", "settings"} {
		found["update_"+step] = true
	}
	if len(found) < 70 {
		t.Errorf("only %d actions were found: %v", len(found), slices.Sorted(maps.Keys(found)))
	}
	for action := range found {
		if auditActions[action] == "" {
			t.Errorf("%s has no words", action)
		}
	}
	for action := range auditActions {
		if !found[action] {
			t.Errorf("%s is recorded by nobody", action)
		}
	}
	de := wished(allTongues(t), "de", english)
	for _, tt := range []struct {
		entry          audit.Entry
		place, details string
	}{
		{audit.Entry{Action: "login", Target: "anna", Details: "with recovery code, new device"}, "anna", "mit einem Wiederherstellungscode, von einem neuen Gerät"},
		{audit.Entry{Action: "rate_limit_exceeded", Target: "exports a minute"}, "mitgenommene Dateien je Minute", ""},
		{audit.Entry{Action: "group_added", Target: "language"}, "language", ""},
		{audit.Entry{Action: "document_view", EventType: audit.DataAccess, Target: "x", Details: "of ben"}, "x", "von ben"},
		{audit.Entry{Action: "device_new", EventType: audit.Security, Details: "Fujitsu fi-7160, 1-2"}, "", "Fujitsu fi-7160, 1-2"},
		{audit.Entry{Action: "device_loose", EventType: audit.Security, Details: "Fujitsu fi-7160, 1-2, 9 more changes"}, "", "Fujitsu fi-7160, 1-2, noch 9 Wechsel"},
		{audit.Entry{Action: "document_trash", EventType: audit.DataAccess, Target: "a b c d e"}, "a b c und 2 weitere", ""},
		{audit.Entry{Action: "scan_end", Details: "jam"}, "", de.T("A sheet is jammed in the scanner.")},
		{audit.Entry{Action: "token_created", Details: "read scan"}, "", "Dokumente sehen und herunterladen, scannen"},
	} {
		l := audit.Line{Entry: tt.entry}
		if place, details := placeIn(de, l), detailsIn(de, l); place != tt.place || details != tt.details {
			t.Errorf("%+v: %q, %q, want %q, %q", tt.entry, place, details, tt.place, tt.details)
		}
	}
}
