package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"docscan/device"
	"docscan/scan/intake"
	"docscan/store"
	"docscan/store/audit"
)

// noEntry are routes that change something or show content and leave no entry, with the
// reason.
var noEntry = map[string]string{
	"POST /api/heartbeat":                  "changes nothing",
	"POST /api/v1/login/passkey-challenge": "begins a log-in; its end is recorded",
	"POST /api/v1/passkey-challenges":      "begins adding a passkey; a wrong password is recorded (password_check)",
	"POST /api/v1/second-factor":           "begins one-time codes; a wrong password is recorded (password_check)",
	"POST /account/second-factor":          "the same as a form",
	"PUT /api/v1/preferences":              "how pages look to oneself",
	"POST /account/preferences":            "the same as a form",
	"PUT /api/v1/searches":                 "kept searches of oneself",
	"POST /searches":                       "the same as a form",
	"POST /searches/delete":                "the same as a form",
	"GET /api/v1/batches/:id":              "how far a batch is; names of files: TestNamesOfFilesAreAudited",
	"GET /api/batches/:id":                 "how far a batch is; names of files: TestNamesOfFilesAreAudited",
	"GET /api/v1/documents/:id/aside":      "which pages there are; no content",
	"GET /api/v1/documents/:id/deliveries": "where it has arrived; no content",
	"POST /api/v1/destinations/:id/retry":  "tries what waits; each delivery is recorded (document_delivered)",
	"POST /destinations/:id/retry":         "the same as a form",
	"GET /documents/:id/now":               "whether it is still there; no content",
	"GET /trash/:id/delete":                "asks whether to delete",
	"GET /api/v1/devices/:id":              "a scanner",
	"GET /api/v1/profiles/:id":             "a profile",
	"GET /api/v1/groups/:id":               "a group",
	"GET /api/v1/users/:id":                "an account, for administrators",
	"GET /api/v1/users/:id/sessions":       "log-ins, for administrators",
	"GET /api/admin/users/:id/activities":  "batches; names of files: TestNamesOfFilesAreAudited",
	"GET /people/:id":                      "an account, for administrators",
	"PUT /api/v1/update/uploads/:digest":   "a part of a file that does nothing until it is installed",
}

// elsewhere are routes whose entries other tests look for, by the test.
var elsewhere = map[string]string{
	"POST /api/v1/passkeys":        "TestPasskeys",
	"POST /api/v1/login/passkey":   "TestPasskeys",
	"POST /api/v1/update/package":  "TestAdopt",
	"POST /api/v1/update/install":  "TestSwapInTheMiddleOfABatch",
	"POST /api/v1/update/rollback": "TestSwapInTheMiddleOfABatch",
	"POST /system/update/install":  "TestSwapInTheMiddleOfABatch", // as the next one
	"POST /system/update/rollback": "TestSwapInTheMiddleOfABatch", // asked for the same by a form: TestUpdateAPI
	"POST /api/v1/fleet/restart":   "TestFleetWork",
	"PUT /api/v1/fleet/config":     "TestFleetWork",
}

// sameAs names for each form of the pages the operations of the API that do the same.
var sameAs = map[string][]string{
	"POST /setup":                          {"POST /api/v1/setup"},
	"POST /login":                          {"POST /api/v1/login"},
	"POST /login/code":                     {"POST /api/v1/login"},
	"POST /logout":                         {"POST /api/v1/logout"},
	"POST /register":                       {"POST /api/v1/register"},
	"POST /scan":                           {"POST /api/v1/scans"},
	"POST /kiosk/scan":                     {"POST /api/v1/scans"},
	"POST /batches/:id/:action":            {"POST /api/v1/batches/:id/cancel", "POST /api/v1/batches/:id/resume", "POST /api/v1/batches/:id/finish"},
	"POST /kiosk/batches/:id/:action":      {"POST /api/v1/batches/:id/cancel", "POST /api/v1/batches/:id/resume", "POST /api/v1/batches/:id/finish"},
	"POST /uploads":                        {"POST /api/v1/uploads"},
	"POST /documents":                      {"POST /api/v1/changes", "POST /api/v1/documents/:id/merge", "GET /api/v1/export"},
	"POST /documents/:id/marks":            {"PATCH /api/v1/documents/:id"},
	"POST /documents/:id/pages":            {"PUT /api/v1/documents/:id/pages", "POST /api/v1/documents/:id/split"},
	"POST /documents/:id/read":             {"POST /api/v1/documents/:id/read"},
	"POST /documents/:id/share":            {"PUT /api/v1/documents/:id/groups"},
	"POST /documents/:id/trash":            {"DELETE /api/v1/documents/:id"},
	"POST /changes/:id/undo":               {"POST /api/v1/changes/:id/undo"},
	"POST /trash":                          {"DELETE /api/v1/documents/:id"},
	"POST /trash/:id/restore":              {"POST /api/v1/documents/:id/restore"},
	"POST /trash/:id/delete":               {"DELETE /api/v1/documents/:id"},
	"POST /searches":                       {"PUT /api/v1/searches"},
	"POST /searches/delete":                {"PUT /api/v1/searches"},
	"POST /account/preferences":            {"PUT /api/v1/preferences"},
	"POST /account/password":               {"POST /api/v1/password"},
	"POST /account/sessions/:id/end":       {"DELETE /api/v1/sessions/:id"},
	"POST /account/tokens":                 {"POST /api/v1/tokens"},
	"POST /account/tokens/:id/delete":      {"DELETE /api/v1/tokens/:id"},
	"POST /account/second-factor":          {"POST /api/v1/second-factor"},
	"POST /account/second-factor/confirm":  {"POST /api/v1/second-factor/confirm"},
	"POST /account/second-factor/recovery": {"POST /api/v1/second-factor/recovery"},
	"POST /account/second-factor/off":      {"POST /api/v1/second-factor/off"},
	"POST /account/passkeys/:id/delete":    {"DELETE /api/v1/passkeys/:id"},
	"POST /people":                         {"POST /api/v1/users"},
	"POST /people/:id":                     {"PATCH /api/v1/users/:id"},
	"POST /people/:id/:action":             {"PATCH /api/v1/users/:id", "POST /api/v1/users/:id/end", "DELETE /api/v1/users/:id/sessions/:session", "POST /api/v1/users/:id/reset", "DELETE /api/v1/users/:id"},
	"POST /groups":                         {"POST /api/v1/groups"},
	"POST /groups/:id":                     {"PATCH /api/v1/groups/:id"},
	"POST /groups/:id/delete":              {"DELETE /api/v1/groups/:id"},
	"POST /profiles":                       {"PUT /api/v1/profiles/:id"},
	"POST /profiles/:id/delete":            {"DELETE /api/v1/profiles/:id"},
	"POST /devices/:id":                    {"PUT /api/v1/devices/:id"},
	"POST /destinations":                   {"POST /api/v1/destinations"},
	"POST /destinations/:id/delete":        {"DELETE /api/v1/destinations/:id"},
	"POST /destinations/:id/retry":         {"POST /api/v1/destinations/:id/retry"},
	"POST /languages":                      {"POST /api/v1/languages", "PUT /api/v1/languages/:name", "DELETE /api/v1/languages/:name"},
	"POST /sheets/labels":                  {"POST /api/v1/sheets/labels"},
	"POST /audit/verify":                   {"POST /api/v1/audit/verify"},
	"POST /system/settings":                {"PUT /api/v1/system/settings"},
	"POST /system/check":                   {"POST /api/v1/system/check"},
	"POST /system/restore":                 {"POST /api/v1/system/restore"},
	"POST /system/restore/start":           {"POST /api/v1/system/restore/start"},
	"POST /system/restore/drop":            {"DELETE /api/v1/system/restore"},
	"POST /system/ssh":                     {"POST /api/v1/system/ssh"},
	"POST /system/update/install":          {"PUT /api/v1/update/uploads/:digest", "POST /api/v1/update/install"},
	"POST /system/update/rollback":         {"POST /api/v1/update/rollback"},
	"POST /welcome/:step":                  {"PUT /api/v1/system/settings", "PUT /api/v1/profiles/:id"}, // and which page comes next
}

// Whatever a form of the pages does, an operation of the API does, too.
func TestEveryFormHasAnOperation(t *testing.T) {
	known := make(map[string]bool)
	for _, rt := range routes() {
		known[rt.method+" "+rt.path] = true
	}
	for _, rt := range routes() {
		form := rt.method + " " + rt.path
		if rt.summary != "" || rt.method == "GET" {
			continue
		}
		if len(sameAs[form]) == 0 {
			t.Errorf("%s: no operation of the API does the same", form)
		}
		for _, o := range sameAs[form] {
			if !known[o] || !strings.Contains(o, " /api/v1/") {
				t.Errorf("%s: %s is no operation", form, o)
			}
		}
	}
	for form := range sameAs {
		if !known[form] {
			t.Errorf("%s: there is no such form", form)
		}
	}
}

// A clerk does what people and programs do, and looks what the audit log has of it.
type clerk struct {
	*site
	seen map[string][]string // entries by route
}

// saw notes that a route has left an entry such as "login success" since before.
func (k *clerk) saw(route, want string, before uint64) {
	k.t.Helper()
	if got := k.since(before); !slices.Contains(got, want) {
		k.t.Errorf("%s leaves %q, want %s", route, got, want)
	}
	k.seen[route] = append(k.seen[route], want)
}

// does makes a request by a route in somebody's name.
func (k *clerk) does(route, path, who, body, want string, header ...string) answer {
	k.t.Helper()
	method, pattern, _ := strings.Cut(route, " ")
	if at, _, _ := strings.Cut(path, "?"); routeOf(at) != pattern {
		k.t.Errorf("%s is no path of %s", path, route)
	}
	before := k.newest()
	a := k.ask(method, path, who, body, header...)
	if refused := strings.HasSuffix(want, audit.Failure); a.StatusCode >= 400 != refused {
		k.t.Errorf("%s: %s %.500s", route, a.Status, a.body)
	}
	k.saw(route, want, before)
	return a
}

// fills sends a form of fields, each a name and a value.
func (k *clerk) fills(path, who, want string, fields ...string) answer {
	k.t.Helper()
	v := make(url.Values)
	for i := 0; i < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return k.does("POST "+routeOf(path), path, who, v.Encode(), want, "Content-Type", "application/x-www-form-urlencoded")
}

// must stops the test for an error of the test itself.
func (k *clerk) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// Every route that changes something, or shows what stands on paper, leaves an entry; a
// route that nobody has tried fails. A form leaves the same as the operations that do
// what it does.
func TestEveryDeedLeavesAnEntry(t *testing.T) {
	s := newSite(t, nil)
	k := &clerk{s, make(map[string][]string)}
	k.setsUp()
	admin := s.user("anna", store.RoleAdmin)
	k.reads(admin)
	k.changesDocuments(admin)
	k.managesPeople(admin)
	k.managesTheBox(admin)
	k.scans(admin)
	k.managesItself()

	for _, rt := range routes() {
		key := rt.method + " " + rt.path
		if rt.method == "GET" && !strings.Contains(rt.path, ":id") || len(k.seen[key]) > 0 || noEntry[key] != "" || elsewhere[key] != "" {
			continue
		}
		t.Errorf("%s: no entry of it was looked for", key)
	}
	for form, operations := range sameAs {
		var same []string
		for _, o := range operations {
			same = append(same, k.seen[o]...)
		}
		for _, entry := range k.seen[form] {
			if !slices.Contains(same, entry) {
				t.Errorf("%s leaves %s, which %q do not", form, entry, operations)
			}
		}
	}
	for key := range maps.Keys(k.seen) {
		if noEntry[key] != "" || elsewhere[key] != "" {
			t.Errorf("%s leaves an entry, and is in a list of those that need none here", key)
		}
	}
	if sum, err := s.Store.VerifyAudit(); err != nil {
		t.Errorf("%+v, %v", sum, err)
	}
}

// setsUp sets up two boxes of their own, by program and by form.
func (k *clerk) setsUp() {
	body := func(s *site) (token string) {
		code, err := s.SetupCode()
		k.must(err)
		return code
	}
	box := &clerk{newSite(k.t, nil), k.seen}
	box.does("POST /api/v1/setup", "/api/v1/setup", "", fmt.Sprintf(`{"token":%q,"username":"anna","password":%q}`, body(box.site), password), "setup success")
	box = &clerk{newSite(k.t, nil), k.seen}
	form := url.Values{"username": {"anna"}, "password": {password}, "again": {password}}.Encode()
	box.does("POST /setup", "/setup", "", form, "setup success", "Cookie", setupCookie+"="+body(box.site), "Content-Type", "application/x-www-form-urlencoded")
}

// reads opens what stands on paper, each time another document.
func (k *clerk) reads(admin string) {
	k.user("ben", store.RoleMember)
	for _, tt := range []struct{ route, want string }{
		{"GET /api/v1/documents/:id", "document_view success"},
		{"GET /documents/:id", "document_view success"},
		{"GET /api/v1/documents/:id/pages/:seq/view", "document_view success"},
		{"GET /api/v1/documents/:id/pages/:seq/text", "document_view success"},
		{"GET /api/v1/documents/:id/changes", "document_view success"},
		{"GET /api/batches/:id/results", "document_view success"},
		{"GET /api/v1/batches/:id/pages/:seq/view", "batch_view success"},
		{"GET /api/v1/batches/:id/pages/:seq/text", "batch_view success"},
		{"GET /api/v1/batches/:id/pages/:seq/raw", "batch_view success"},
		{"GET /api/v1/documents/:id/pdf", "document_export success"},
		{"GET /api/v1/documents/:id/text", "document_export success"},
		{"GET /api/v1/documents/:id/original", "document_export success"},
		{"GET /api/v1/batches/:id/original", "document_export success"},
		{"GET /api/results/:id/export/:format", "document_export success"},
		{"GET /api/batches/:id/export/:format", "document_export success"},
		{"GET /api/v1/export", "document_export success"},
		{"GET /api/v1/documents", "document_search success"},
		{"GET /api/results", "document_view success"},
		{"GET /api/v1/documents/:id/pages/:seq/thumb", "document_list success"},
		{"GET /api/v1/batches/:id/pages/:seq/thumb", "document_list success"},
	} {
		clear(k.lists.seen) // small pictures leave an entry a day
		d := k.file(k.named("ben").ID, "Letter", "dear tractors")
		page, err := k.Store.Page(d.Batch, 1)
		k.must(err)
		_, err = k.Store.UpdateBatch(d.Batch, func(b *store.Batch) error {
			b.Upload = &store.Upload{Name: "letter.jpg", File: page.Raw, Pages: 1}
			return nil
		})
		k.must(err)
		id := string(d.ID)
		if strings.Contains(tt.route, "/batches/") {
			id = string(d.Batch)
		}
		_, path, _ := strings.Cut(strings.NewReplacer(":id", id, ":seq", "1", ":format", "excel").Replace(tt.route), " ")
		switch tt.route {
		case "GET /api/v1/export":
			path += "?document=" + id
		case "GET /api/v1/documents":
			path += "?q=tractors"
		}
		k.does(tt.route, path, admin, "", tt.want)
	}
	k.does("GET /api/v1/audit/export", "/api/v1/audit/export", admin, "", "audit_export success")
	k.does("GET /api/v1/system/backup", "/api/v1/system/backup", admin, "", "backup success")
}

// changesDocuments does all that can be done to documents, by program and by form.
func (k *clerk) changesDocuments(admin string) {
	group := store.Group{ID: store.GroupID(store.NewID()), Name: "Readers", Created: time.Now()}
	k.must(k.Store.PutGroup(group))
	d, other := k.file("", "Letter", "dear tractors"), k.file("", "Enclosure", "green")
	at := "/api/v1/documents/" + string(d.ID)
	revision := func(id store.DocumentID) int {
		k.t.Helper()
		d, err := k.Store.Document(id)
		k.must(err)
		return d.Revision
	}
	these := func(ids ...store.DocumentID) string {
		var list []store.Revision
		for _, id := range ids {
			list = append(list, store.Revision{ID: id, Revision: revision(id)})
		}
		j, err := json.Marshal(list)
		k.must(err)
		return string(j)
	}
	now := func(format string, args ...any) string {
		return fmt.Sprintf(`{"revision":%d,`, revision(d.ID)) + fmt.Sprintf(format, args...) + "}"
	}
	k.does("PATCH /api/v1/documents/:id", at, admin, now(`"title":"Bill"`), "document_edit success")
	change := k.read(k.does("POST /api/v1/changes", "/api/v1/changes", admin, fmt.Sprintf(`{"documents":%s,"add_tags":["tax"]}`, these(d.ID, other.ID)), "document_edit success"), "change")
	k.does("POST /api/v1/changes/:id/undo", "/api/v1/changes/"+change+"/undo", admin, "", "document_undo success")
	k.does("POST /api/v1/changes", "/api/v1/changes", admin, fmt.Sprintf(`{"documents":%s,"trash":true}`, these(other.ID)), "document_trash success")
	k.does("POST /api/v1/documents/:id/restore", "/api/v1/documents/"+string(other.ID)+"/restore", admin, "", "document_restore success")
	k.does("PUT /api/v1/documents/:id/groups", at+"/groups", admin, fmt.Sprintf(`{"groups":[%q]}`, group.ID), "document_shared success", "If-Match", "*")
	k.does("POST /api/v1/documents/:id/merge", at+"/merge", admin, now(`"documents":%s`, these(other.ID)), "document_merge success")
	k.does("PUT /api/v1/documents/:id/pages", at+"/pages", admin, now(`"pages":[{"batch":%q,"seq":1},{"batch":%q,"seq":1,"turn":90}]`, d.Batch, other.Batch), "document_pages success")
	k.does("POST /api/v1/documents/:id/read", at+"/read", admin, now(`"languages":["eng"]`), "document_read_again success")
	k.does("POST /api/v1/documents/:id/split", at+"/split", admin, now(`"after":[1]`), "document_split success")
	k.does("DELETE /api/v1/documents/:id", at, admin, "", "document_trash success")
	k.does("DELETE /api/v1/documents/:id", at+"?forever=1", admin, "", "document_delete success", "If-Match", "*")

	d, other = k.file("", "Letter", "dear tractors"), k.file("", "Enclosure", "green")
	at = "/documents/" + string(d.ID)
	seen := func() string { return fmt.Sprint(revision(d.ID)) }
	both := []string{"id", string(d.ID), "id", string(other.ID)}
	k.fills(at+"/marks", admin, "document_edit success", "revision", seen(), "title", "Bill")
	k.fills(at+"/share", admin, "document_shared success", "group", string(group.ID))
	k.fills(at+"/read", admin, "document_read_again success", "revision", seen(), "languages", "eng")
	for do, want := range map[string]string{"tag": "document_edit", "type": "document_edit", "from": "document_edit", "zip": "document_export"} {
		k.fills("/documents", admin, want+" success", append(both, "do", do, "value", "x")...)
	}
	k.fills("/documents", admin, "document_merge success", append(both, "do", "merge")...)
	k.fills(at+"/pages", admin, "document_pages success", "revision", seen(), "do", "turn 1 90")
	k.fills(at+"/pages", admin, "document_split success", "revision", seen(), "do", "split 1")
	k.fills(at+"/trash", admin, "document_trash success", "revision", seen())
	list, err := k.Store.ChangesOf(d.ID, 1)
	k.must(err)
	k.fills("/changes/"+string(list[0].ID)+"/undo", admin, "document_undo success")
	k.fills("/documents", admin, "document_trash success", "id", string(d.ID), "do", "trash")
	k.fills("/trash/"+string(d.ID)+"/restore", admin, "document_restore success")
	k.fills(at+"/trash", admin, "document_trash success", "revision", seen())
	k.fills("/trash/"+string(d.ID)+"/delete", admin, "document_delete success", "revision", seen())
	d, other = k.file("", "Letter", "dear tractors"), k.file("", "Enclosure", "green")
	k.fills("/documents/"+string(d.ID)+"/trash", admin, "document_trash success", "revision", seen())
	k.fills("/trash", admin, "document_delete success", "document", string(d.ID)+" "+seen())
}

// managesPeople does what administrators do with accounts and groups.
func (k *clerk) managesPeople(admin string) {
	add := func(name string) string { return fmt.Sprintf(`{"username":%q,"password":%q}`, name, password) }
	carla := "/api/v1/users/" + k.read(k.does("POST /api/v1/users", "/api/v1/users", admin, add("carla"), "user_added success"), "id")
	k.fills("/people", admin, "user_added success", "username", "dora", "password", password, "role", "member")
	dora := "/people/" + string(k.named("dora").ID)
	k.does("PATCH /api/v1/users/:id", carla, admin, `{"full_name":"Carla C"}`, "user_changed success", "If-Match", "*")
	k.fills(dora, admin, "user_changed success", "role", "member", "full_name", "Dora D")
	k.does("PATCH /api/v1/users/:id", carla, admin, `{"disabled":true}`, "user_deactivated success", "If-Match", "*")
	k.does("PATCH /api/v1/users/:id", carla, admin, `{"disabled":false}`, "user_activated success", "If-Match", "*")
	k.fills(dora+"/disable", admin, "user_deactivated success")
	k.fills(dora+"/enable", admin, "user_activated success")
	before := strings.Replace(carla, "/v1/", "/admin/", 1)
	k.does("PATCH /api/admin/users/:id/status", before+"/status?is_active=false", admin, "", "user_deactivated success")
	k.does("PATCH /api/admin/users/:id/status", before+"/status?is_active=true", admin, "", "user_activated success")
	k.does("POST /api/admin/users/:id/generate-temp-password", before+"/generate-temp-password", admin, "", "password_reset success")
	k.does("POST /api/admin/users/:id/reset-password", before+"/reset-password", admin, `{"new_password":"nine blue tractors"}`, "password_reset success")
	k.does("POST /api/v1/users/:id/reset", carla+"/reset", admin, `{}`, "password_reset success")
	k.fills(dora+"/reset", admin, "password_reset success")
	k.does("POST /api/v1/users/:id/end", carla+"/end", admin, "", "sessions_ended success")
	k.fills(dora+"/end", admin, "sessions_ended success")
	k.logInAs("ben")
	sessions, err := k.Store.Sessions(k.named("ben").ID)
	k.must(err)
	k.does("DELETE /api/v1/users/:id/sessions/:session", "/api/v1/users/"+string(k.named("ben").ID)+"/sessions/"+string(sessions[0].ID), admin, "", "session_ended success")
	k.logInAs("ben")
	sessions, err = k.Store.Sessions(k.named("ben").ID)
	k.must(err)
	k.fills("/people/"+string(k.named("ben").ID)+"/end", admin, "session_ended success", "session", string(sessions[0].ID))
	k.does("DELETE /api/v1/users/:id", carla, admin, "", "user_deleted success", "If-Match", "*")
	k.fills(dora+"/delete", admin, "user_deleted success")

	group := k.read(k.does("POST /api/v1/groups", "/api/v1/groups", admin, `{"name":"Office"}`, "group_added success"), "id")
	k.does("PATCH /api/v1/groups/:id", "/api/v1/groups/"+group, admin, `{"name":"Back office"}`, "group_renamed success", "If-Match", "*")
	k.does("DELETE /api/v1/groups/:id", "/api/v1/groups/"+group, admin, "", "group_deleted success", "If-Match", "*")
	k.fills("/groups", admin, "group_added success", "name", "Kitchen")
	groups, err := k.Store.Groups()
	k.must(err)
	i := slices.IndexFunc(groups, func(g store.Group) bool { return g.Name == "Kitchen" })
	k.fills("/groups/"+string(groups[i].ID), admin, "group_renamed success", "name", "Pantry")
	k.fills("/groups/"+string(groups[i].ID)+"/delete", admin, "group_deleted success")
}

// managesTheBox does what administrators do with the box.
func (k *clerk) managesTheBox(admin string) {
	k.does("POST /api/cache/clear", "/api/cache/clear", admin, "", "cache_clear success")
	k.does("POST /api/v1/audit/verify", "/api/v1/audit/verify", admin, "", "audit_verified success")
	k.fills("/audit/verify", admin, "audit_verified success")
	k.does("POST /api/v1/system/check", "/api/v1/system/check", admin, "", "check success")
	k.does("POST /api/v1/fleet/check", "/api/v1/fleet/check", admin, "", "check success")
	k.fills("/system/check", admin, "check success")
	k.does("PUT /api/v1/system/settings", "/api/v1/system/settings", admin, `{"language":"de","zone":""}`, "settings_changed success", "If-Match", "*")
	k.fills("/system/settings", admin, "settings_changed success", "language", "en", "zone", "Europe/Berlin")
	k.fills("/welcome/zone", admin, "settings_changed success", "language", "en", "zone", "Europe/Berlin", "languages", "eng")
	k.does("POST /api/v1/sheets/labels", "/api/v1/sheets/labels", admin, `{"layout":"L4731","kind":"qr","count":2}`, "labels_printed success")
	k.fills("/sheets/labels", admin, "labels_printed success", "layout", "L4731", "kind", "qr", "digits", "5", "count", "2")
	k.does("PUT /api/v1/profiles/:id", "/api/v1/profiles/new", admin, `{"name":"New","source":"auto","mode":"gray","resolution":300}`, "profile_saved success")
	k.does("DELETE /api/v1/profiles/:id", "/api/v1/profiles/new", admin, "", "profile_deleted success", "If-Match", "*")
	k.fills("/profiles", admin, "profile_saved success", "name", "Newer", "source", "auto", "mode", "gray", "resolution", "300")
	k.fills("/profiles/newer/delete", admin, "profile_deleted success")
	destination := k.read(k.does("POST /api/v1/destinations", "/api/v1/destinations", admin, fmt.Sprintf(`{"name":"Share","kind":"folder","folder":%q}`, k.t.TempDir()), "destination_added success"), "id")
	k.does("DELETE /api/v1/destinations/:id", "/api/v1/destinations/"+destination, admin, "", "destination_deleted success")
	k.fills("/destinations", admin, "destination_added success", "name", "Share", "kind", "folder", "folder", k.t.TempDir())
	destinations, err := k.Store.Destinations()
	k.must(err)
	k.fills("/destinations/"+string(destinations[0].ID)+"/delete", admin, "destination_deleted success")
	k.SSHAccess = &fakeSSH{}
	k.does("POST /api/v1/system/ssh", sshAccessPath, admin, fmt.Sprintf(`{"keys":%q}`, publicKey), "ssh_let_key success")
	k.fills(sshAccessPage, admin, "ssh_let_key success", "kind", "key", "key", publicKey)

	k.Restart = func() {}
	backup := k.ask("GET", "/api/v1/system/backup", admin, "").body
	k.does("POST /api/v1/system/restore", restorePath, admin, backup, "restore_checked success", "Content-Type", anyFile)
	k.does("DELETE /api/v1/system/restore", restorePath, admin, "", "restore_dropped success", "If-Match", "*")
	k.does("POST /api/v1/system/restore", restorePath, admin, "half", "restore_checked failure", "Content-Type", anyFile)
	upload, multi := form(k.t, "backup@box.backup="+backup)
	k.does("POST /system/restore", restorePage, admin, upload, "restore_checked success", "Content-Type", multi)
	k.fills(restorePage+"/drop", admin, "restore_dropped success")
	k.does("POST /system/restore", restorePage, admin, upload, "restore_checked success", "Content-Type", multi)
	k.does("POST /api/v1/system/restore/start", restorePath+"/start", admin, fmt.Sprintf(`{"password":%q}`, password), "restore success", "If-Match", "*")
	k.does("POST /system/restore", restorePage, admin, upload, "restore_checked success", "Content-Type", multi)
	k.fills(restorePage+"/start", admin, "restore success", "password", password)

	k.LanguageInstaller = &fakeInstaller{}
	k.does("POST /api/v1/languages", "/api/v1/languages", admin, `{"name":"tlh"}`, "language_install success")
	k.fills(languagesPage, admin, "language_install success", "action", "install", "name", "tlh")
	found, err := filepath.Glob("/usr/share/tesseract-ocr/*/tessdata/eng.traineddata")
	if err != nil || len(found) == 0 {
		k.t.Fatalf("Debian's data of English are not here: %v", err)
	}
	data, err := os.ReadFile(found[0])
	k.must(err)
	k.does("PUT /api/v1/languages/:name", "/api/v1/languages/eng_one", admin, string(data), "language_added success", "Content-Type", anyFile)
	k.does("DELETE /api/v1/languages/:name", "/api/v1/languages/eng_one", admin, "", "language_removed success")
	file, kind := form(k.t, "file@eng_two.traineddata="+string(data))
	k.does("POST /languages", languagesPage, admin, file, "language_added success", "Content-Type", kind)
	k.fills(languagesPage, admin, "language_removed success", "action", "remove", "name", "eng_two")
}

// managesItself does what people do with their own accounts, and how they come in and
// leave.
func (k *clerk) managesItself() {
	in := func(password string) string { return fmt.Sprintf(`{"username":"ben","password":%q}`, password) }
	for _, route := range []string{"POST /api/v1/login", "POST /api/login"} {
		_, path, _ := strings.Cut(route, " ")
		k.does(route, path, "", in(password), "login success")
		k.does(route, path, "", in("wrong"), "login failure")
	}
	k.fills("/login", "", "login success", "username", "ben", "password", password)
	k.fills("/login", "", "login failure", "username", "ben", "password", "wrong")
	k.does("POST /api/v1/logout", "/api/v1/logout", k.logInAs("ben"), "", "logout success")
	if a := k.fills("/logout", k.logInAs("ben"), "logout success"); a.Header.Get("Clear-Site-Data") != `"storage"` {
		k.t.Error("a log-out does not clear what the browser keeps")
	}
	for name, path := range map[string]string{"emil": "/api/register", "else": "/api/v1/register"} {
		k.does("POST "+path, path, "", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password), "register success")
	}
	k.fills("/register", "", "register success", "username", "frida", "password", password, "again", password)

	ben := k.logInAs("ben")
	other := func() string {
		k.t.Helper()
		k.logInAs("ben")
		list, err := k.Store.Sessions(k.named("ben").ID)
		k.must(err)
		i := slices.IndexFunc(list, func(x store.Session) bool { return x.Hash != hashSecret(ben) })
		return string(list[i].ID)
	}
	k.does("DELETE /api/v1/sessions/:id", "/api/v1/sessions/"+other(), ben, "", "session_ended success")
	k.fills("/account/sessions/"+other()+"/end", ben, "session_ended success")
	token := k.read(k.does("POST /api/v1/tokens", "/api/v1/tokens", ben, `{"name":"x"}`, "token_created success"), "id")
	k.does("DELETE /api/v1/tokens/:id", "/api/v1/tokens/"+token, ben, "", "token_deleted success")
	k.fills("/account/tokens", ben, "token_created success", "name", "x", "scope", "read")
	tokens, err := k.Store.Tokens(k.named("ben").ID)
	k.must(err)
	k.fills("/account/tokens/"+string(tokens[0].ID)+"/delete", ben, "token_deleted success")
	proof := fmt.Sprintf(`{"password":%q}`, password)
	_, err = k.Store.UpdateUser(k.named("ben").ID, func(u *store.User) error {
		u.Passkeys = []store.Passkey{{ID: "one", Name: "Phone", Site: "box"}, {ID: "two", Name: "Laptop", Site: "box"}}
		return nil
	})
	k.must(err)
	k.does("DELETE /api/v1/passkeys/:id", "/api/v1/passkeys/one", ben, proof, "passkey_deleted success")
	k.fills("/account/passkeys/two/delete", ben, "passkey_deleted success", "password", password)

	before := k.newest()
	_, recovery, _ := k.secondFactor(ben)
	k.saw("POST /api/v1/second-factor/confirm", "second_factor_on success", before)
	enter := func(code string) string {
		k.t.Helper()
		return k.read(k.logInWith("ben", code), "access_token")
	}
	ben = enter(recovery[0])
	k.does("POST /api/v1/second-factor/recovery", "/api/v1/second-factor/recovery", ben, proof, "recovery_codes_made success")
	k.does("POST /api/v1/second-factor/off", "/api/v1/second-factor/off", ben, `{"password":"wrong"}`, "password_check failure")
	k.does("POST /api/v1/second-factor/off", "/api/v1/second-factor/off", ben, proof, "second_factor_off success")
	field := func(a answer, pattern string) string {
		k.t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(a.body)
		if m == nil {
			k.t.Fatalf("no %s: %s\n%s", pattern, a.Status, a.body)
		}
		return m[1]
	}
	const ticket, code = `name="ticket" value="([^"]+)"`, `<code>([a-z2-7]{6}(?:-[a-z2-7]{6}){3})</code>`
	a := k.form("/account/second-factor", ben, url.Values{"password": {password}})
	first, err := totp.GenerateCode(field(a, `<code>([A-Z2-7]{32})</code>`), time.Now())
	k.must(err)
	a = k.fills("/account/second-factor/confirm", ben, "second_factor_on success", "ticket", field(a, ticket), "code", first)
	ben = enter(field(a, code))
	a = k.fills("/account/second-factor/recovery", ben, "recovery_codes_made success", "password", password)
	halfway := k.form("/login", "", url.Values{"username": {"ben"}, "password": {password}})
	good := field(a, code)
	wrong := k.fills("/login/code", "", "login failure", "ticket", field(halfway, ticket), "code", "wrong")
	k.fills("/login/code", "", "login success", "ticket", field(wrong, ticket), "code", good)
	k.fills("/account/second-factor/off", ben, "second_factor_off success", "password", password)

	ben = k.logInAs("ben")
	ben = k.read(k.does("POST /api/v1/password", "/api/v1/password", ben, fmt.Sprintf(`{"old":%q,"password":"eight yellow tractors"}`, password), "password_changed success"), "access_token")
	k.fills("/account/password", ben, "password_changed success", "old", "eight yellow tractors", "password", "nine yellow tractors", "again", "nine yellow tractors")
}

// patientScanner takes a scan and waits: for its cancel, or for the end of the box.
type patientScanner struct{ posed }

// Find makes it a finder of itself.
func (p patientScanner) Find(context.Context) ([]device.Found, error) {
	return []device.Found{{Info: p.info, Open: func(context.Context) (device.Scanner, error) { return p, nil }}}, nil
}

func (p patientScanner) Start(context.Context, device.Settings) (device.Run, error) {
	return &patientRun{ended: make(chan struct{})}, nil
}

type patientRun struct {
	ended chan struct{}
	once  sync.Once
}

func (r *patientRun) Next(ctx context.Context) (*device.Side, error) {
	select {
	case <-r.ended:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *patientRun) Cancel(context.Context) error {
	r.once.Do(func() { close(r.ended) })
	return nil
}

func (r *patientRun) Close() error { return nil }

// scans presses, stops and goes on, hands files in, and chooses what a scanner does.
func (k *clerk) scans(admin string) {
	scanner := patientScanner{posed{info: device.Info{ID: "desk", Model: "S1"}, is: device.Status{State: device.Ready, Loaded: true}}}
	k.Registry = device.NewRegistry(slog.New(slog.DiscardHandler), k.Engine.DeviceChanged, scanner)
	k.Engine.Attach(k.Registry)
	k.Engine.TakeUploads(intake.Config{MaxPages: 10, MaxPixels: 1 << 20})
	ctx, stop := context.WithCancel(k.t.Context())
	ended := make(chan error, 2)
	go func() { ended <- k.Registry.Run(ctx) }()
	go func() { ended <- k.Engine.Run(ctx) }()
	k.t.Cleanup(func() { // before that of the site, which closes the store
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				k.t.Error(err)
			}
		}
	})
	until := func(what string, done func() bool) {
		k.t.Helper()
		for !done() {
			time.Sleep(2 * time.Millisecond)
			if ctx.Err() != nil {
				k.t.Fatalf("in vain: %s", what)
			}
		}
	}
	ready := func() {
		k.t.Helper()
		until("the scanner is ready", func() bool {
			d, err := k.Registry.Device("desk")
			return err == nil && d.Status.State == device.Ready
		})
	}
	open := func(state store.BatchState) (id string) {
		k.t.Helper()
		until("a batch is "+string(state), func() bool {
			list, err := k.Store.OpenBatches()
			k.must(err)
			i := slices.IndexFunc(list, func(b store.Batch) bool { return b.State == state && b.Device == "desk" })
			if i >= 0 {
				id = string(list[i].ID)
			}
			return i >= 0
		})
		return id
	}
	// stopped is a batch that a fault has stopped.
	stopped := func() string {
		k.t.Helper()
		ready()
		b := store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchStopped, Device: "desk", Created: time.Now(), Updated: time.Now(),
			Documents: []store.DocumentID{store.DocumentID(store.NewID())}, Profile: store.Profile{ID: "standard", Name: "Standard", Source: "feeder"},
			Fault: &store.Fault{Kind: "jam", Time: time.Now()}}
		k.must(k.Store.AddBatch(b))
		return string(b.ID)
	}
	ready()
	k.does("PUT /api/v1/devices/:id", "/api/v1/devices/desk", admin, `{"name":"Front desk"}`, "device_settings success", "If-Match", "*")
	k.fills("/devices/desk", admin, "device_settings success", "name", "Front desk")
	k.does("GET /api/v1/devices/:id/diagnosis", "/api/v1/devices/desk/diagnosis", admin, "", "diagnosis success")

	k.does("POST /api/v1/scans", "/api/v1/scans", admin, `{"device":"desk"}`, "scan success")
	k.does("POST /api/v1/batches/:id/cancel", "/api/v1/batches/"+open(store.BatchScanning)+"/cancel", admin, "", "scan_cancel success")
	for _, p := range []struct{ press, act string }{{"/scan", "/batches/"}, {"/kiosk/scan", "/kiosk/batches/"}} {
		ready()
		k.fills(p.press, admin, "scan success", "device", "desk")
		k.fills(p.act+open(store.BatchScanning)+"/cancel", admin, "scan_cancel success")
		k.fills(p.act+stopped()+"/resume", admin, "scan_resume success")
		k.fills(p.act+open(store.BatchScanning)+"/cancel", admin, "scan_cancel success")
		k.fills(p.act+stopped()+"/finish", admin, "scan_finish success")
	}
	k.does("POST /api/v1/batches/:id/resume", "/api/v1/batches/"+stopped()+"/resume", admin, "", "scan_resume success")
	k.does("POST /api/v1/batches/:id/cancel", "/api/v1/batches/"+open(store.BatchScanning)+"/cancel", admin, "", "scan_cancel success")
	k.does("POST /api/v1/batches/:id/finish", "/api/v1/batches/"+stopped()+"/finish", admin, "", "scan_finish success")

	for _, path := range []string{"/api/v1/uploads", "/uploads"} {
		file, kind := form(k.t, "files@page.jpg=\xff\xd8\xff\xe0 is how a JPEG begins")
		k.does("POST "+path, path, admin, file, "upload success", "Content-Type", kind)
	}
	file, kind := form(k.t, "document_types=invoice", "files@page.jpg=\xff\xd8\xff\xe0 is how a JPEG begins")
	k.does("POST /api/upload", "/api/upload", admin, file, "upload success", "Content-Type", kind)
	k.saw("POST /api/upload", "upload_batch success", 0)
}
