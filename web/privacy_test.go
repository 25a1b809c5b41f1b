package web

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/scan"
	"docscan/store"
	"docscan/store/audit"
)

// What is shared with a group its people can read, and only that: list, search,
// pictures, files and events, and nothing that changes it.
func TestGroups(t *testing.T) {
	s := newSite(t, nil)
	admin, ben, carl, dora := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember), s.user("carl", store.RoleMember), s.user("dora", store.RoleMember)
	office := s.group(admin, "Office", "ben", "carl")
	if got := s.status("POST", "/api/v1/groups", admin, `{"name":"office"}`); got != 409 {
		t.Errorf("a second group of that name: %d", got)
	}
	d := s.file(s.named("ben").ID, "Letter of Ben", "boiler")
	at := "/api/v1/documents/" + string(d.ID)
	reads := func(who, token string, want bool) {
		t.Helper()
		for _, path := range []string{"", "/pdf", "/text", "/pages/1/thumb", "/pages/1/view", "/pages/1/text"} {
			if got := s.status("GET", at+path, token, ""); (got == 200) != want || got != 200 && got != 404 {
				t.Errorf("%s reads %q: %d, want %t", who, path, got, want)
			}
		}
		for _, query := range []string{"", "?q=ben"} {
			var list struct{ Documents []store.Document }
			s.json("GET", "/api/v1/documents"+query, token, "", 200, &list)
			if listed := slices.ContainsFunc(list.Documents, func(x store.Document) bool { return x.ID == d.ID }); listed != want {
				t.Errorf("%s lists %q: %t, want %t", who, query, listed, want)
			}
		}
		if got := s.status("GET", "/api/v1/batches/"+string(d.Batch)+"/pages/1/raw", token, ""); got != 404 {
			t.Errorf("%s gets at the batch: %d", who, got)
		}
		u := s.named(who)
		if got := s.concerns(&caller{user: u}, scan.Event{Document: d.ID}); got != want {
			t.Errorf("%s hears of it: %t, want %t", who, got, want)
		}
	}
	reads("carl", carl, false)
	if got := s.status("PUT", at+"/groups", carl, fmt.Sprintf(`{"groups":[%q]}`, office.ID)); got != 404 {
		t.Errorf("somebody else shares it: %d", got)
	}
	s.json("PUT", at+"/groups", ben, `{"groups":["none"]}`, 422, nil)
	s.json("PUT", at+"/groups", ben, fmt.Sprintf(`{"groups":[%q]}`, office.ID), 200, nil)
	reads("carl", carl, true)
	reads("dora", dora, false)
	for _, tt := range []struct{ method, path, body string }{
		{"PATCH", at, `{"title":"Mine now","revision":2}`},
		{"PUT", at + "/groups", `{"groups":[]}`},
		{"DELETE", at, ""},
		{"DELETE", at + "?forever=1", ""},
		{"POST", at + "/split", `{"after":[1],"revision":2}`},
	} {
		if got := s.status(tt.method, tt.path, carl, tt.body); got != 403 {
			t.Errorf("who may read it does %s %s: %d, want 403", tt.method, tt.path, got)
		}
	}
	// The page says with whom, and changes it.
	if a := s.ask("GET", "/documents/"+string(d.ID), ben, ""); !strings.Contains(a.body, fmt.Sprintf(`name="group" value="%s" checked`, office.ID)) {
		t.Errorf("the page of the owner does not say that it is shared:\n%s", a.body)
	}
	if a := s.ask("GET", "/documents/"+string(d.ID), carl, ""); strings.Contains(a.body, `name="group"`) || !strings.Contains(a.body, "belongs to ben") {
		t.Errorf("who may only read it is offered to share it, or not told whose it is:\n%s", a.body)
	}
	share := "/documents/" + string(d.ID) + "/share"
	if a := s.form(share, ben, url.Values{}); a.StatusCode != 303 {
		t.Errorf("the form: %s", a.Status)
	}
	reads("carl", carl, false)
	if a := s.form(share, ben, url.Values{"group": {string(office.ID)}}); a.StatusCode != 303 {
		t.Errorf("the form: %s", a.Status)
	}
	reads("carl", carl, true)
	// Two share at once: who comes later is told.
	if a := s.form(share, ben, url.Values{"was": {tagOf([]store.GroupID(nil))}}); a.StatusCode != 412 {
		t.Errorf("a form that was opened before: %s", a.Status)
	}
	if a := s.ask("PUT", at+"/groups", ben, `{"groups":[]}`, "If-Match", `"r1"`); a.StatusCode != 412 {
		t.Errorf("a program from another state: %s", a.Status)
	}
	reads("carl", carl, true)
	if a := s.form(share, ben, url.Values{"was": {tagOf([]store.GroupID{office.ID})}, "group": {string(office.ID)}}); a.StatusCode != 303 {
		t.Errorf("a form that is up to date: %s", a.Status)
	}
	own := s.file(s.named("carl").ID, "Letter of Carl", "garage")
	if got := s.status("POST", "/api/v1/documents/"+string(own.ID)+"/merge", carl, fmt.Sprintf(`{"documents":[{"id":%q,"revision":2}],"revision":1}`, d.ID)); got != 403 {
		t.Errorf("merged into the own: %d, want 403", got)
	}
	if d, err := s.Store.Document(d.ID); err != nil || d.Title != "Letter of Ben" || !d.Trashed.IsZero() {
		t.Errorf("after that: %+v, %v", d, err)
	}
	var groups struct{ Groups []groupView }
	s.json("GET", "/api/v1/groups", dora, "", 200, &groups)
	if len(groups.Groups) != 0 {
		t.Errorf("dora knows of %v", groups.Groups)
	}
	s.json("PATCH", "/api/v1/users/"+string(s.named("carl").ID), admin, `{"groups":[]}`, 200, nil)
	reads("carl", carl, false)
	s.json("PATCH", "/api/v1/users/"+string(s.named("carl").ID), admin, fmt.Sprintf(`{"groups":[%q]}`, office.ID), 200, nil)
	reads("carl", carl, true)
	// What goes into the trash is no longer shared there.
	s.json("DELETE", at, ben, "", 204, nil)
	var trash struct{ Documents []store.Document }
	s.json("GET", "/api/v1/trash", carl, "", 200, &trash)
	if len(trash.Documents) != 0 {
		t.Errorf("carl sees ben's trash")
	}
	reads("carl", carl, false)
	if a := s.ask("GET", "/trash", carl, ""); a.StatusCode != 200 || strings.Contains(a.body, "Letter of Ben") {
		t.Errorf("the page of carl's trash: %s\n%s", a.Status, a.body)
	}
	if a := s.ask("GET", "/trash", ben, ""); !strings.Contains(a.body, "Letter of Ben") {
		t.Errorf("the page of ben's trash: %s", a.Status)
	}
	s.json("POST", at+"/restore", ben, "", 200, nil)
	s.json("DELETE", "/api/v1/groups/"+string(office.ID), admin, "", 204, nil)
	reads("carl", carl, false)
	reads("dora", dora, false)
}

// The screen at the box scans, sees how far scanning is, and no document.
func TestPanel(t *testing.T) {
	s := newSite(t, nil)
	panel := s.user("wall", store.RolePanel)
	all := s.file("", "From the panel", "boiler")
	for _, path := range []string{
		"/api/v1/documents", "/api/v1/documents/" + string(all.ID), "/api/v1/documents/" + string(all.ID) + "/pdf", "/api/v1/documents/" + string(all.ID) + "/pages/1/thumb",
		"/api/v1/batches/" + string(all.Batch) + "/pages/1/thumb", "/api/v1/batches/" + string(all.Batch) + "/pages/1/raw", "/api/v1/trash", "/api/v1/tokens", "/api/v1/users",
	} {
		if got := s.status("GET", path, panel, ""); got != 403 {
			t.Errorf("%s: %d, want 403", path, got)
		}
	}
	for _, path := range []string{"/api/v1/devices", "/api/v1/profiles", "/api/v1/batches", "/api/v1/batches/" + string(all.Batch), "/api/v1/me"} {
		if got := s.status("GET", path, panel, ""); got != 200 {
			t.Errorf("%s: %d, want 200", path, got)
		}
	}
	who := &caller{user: s.named("wall")}
	if s.concerns(who, scan.Event{Document: all.ID}) || s.concerns(who, scan.Event{Document: all.ID, Deleted: true}) || !s.concerns(who, scan.Event{Device: "x"}) || !s.concerns(who, scan.Event{Batch: all.Batch}) {
		t.Error("it hears of documents, or not of what it shows")
	}
	b := store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchScanning, Owner: "somebody", Created: time.Now(), Updated: time.Now(), Upload: &store.Upload{Name: "notice to Meier.pdf"}}
	if err := s.Store.AddBatch(b); err != nil {
		t.Fatal(err)
	}
	if a := s.ask("GET", "/api/v1/batches/"+string(b.ID), panel, ""); a.StatusCode != 200 || strings.Contains(a.body, "Meier") {
		t.Errorf("a batch that is being fed: %s %s", a.Status, a.body)
	}
	if _, err := s.Store.UpdateBatch(b.ID, func(b *store.Batch) error { b.State = store.BatchCanceled; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := s.status("GET", "/api/v1/batches/"+string(b.ID), panel, ""); got != 404 {
		t.Errorf("somebody's batch when it has ended: %d", got)
	}
	if a := s.ask("GET", "/", "", "", "Cookie", cookieName+"="+panel); a.Header.Get("Location") != "/kiosk" {
		t.Errorf("the home page sends it to %q", a.Header.Get("Location"))
	}
}

// Nobody who stands at the screen has its password, so its log-in holds over a holiday;
// those of people end all the same.
func TestPanelStaysIn(t *testing.T) {
	s := newSite(t, nil)
	panel := store.User{ID: store.UserID(store.NewID()), Name: "wall", Role: store.RolePanel, Created: time.Now()}
	s.user("ben", store.RoleMember)
	panel.Password = s.named("ben").Password
	if err := s.Store.AddUser(panel); err != nil {
		t.Fatal(err)
	}
	enter := func(name string) (token string, in store.Session) {
		t.Helper()
		a := s.form("/login", "", url.Values{"username": {name}, "password": {password}})
		for _, c := range a.Cookies() {
			if c.Name == cookieName {
				token = c.Value
			}
		}
		in, err := s.Store.SessionByHash(hashSecret(token))
		if err != nil {
			t.Fatalf("%s: %s, %v", name, a.Status, err)
		}
		return token, in
	}
	wall, longest := enter("wall")
	ben, shorter := enter("ben")
	if days := time.Until(longest.Expires).Hours() / 24; days < 364 || days > 366 {
		t.Errorf("the screen's log-in holds %v days", days)
	}
	if until := time.Until(shorter.Expires); until > s.longest() {
		t.Errorf("a member's log-in holds %v", until)
	}
	asleep := time.Now().Add(-20 * 24 * time.Hour)
	for _, token := range []string{wall, ben} {
		if err := s.Store.TouchSession(hashSecret(token), asleep); err != nil {
			t.Fatal(err)
		}
	}
	enter("ben") // which sweeps what is over
	if got := s.status("GET", "/kiosk", wall, ""); got != 200 {
		t.Errorf("the screen after three weeks: %d", got)
	}
	if got := s.status("GET", "/api/v1/me", ben, ""); got != 401 {
		t.Errorf("a member after three weeks: %d", got)
	}
	// With a program's log-in nothing changes.
	in, err := s.Store.SessionByHash(hashSecret(s.logInAs("wall")))
	if err != nil || time.Until(in.Expires) > s.shortest() || in.Idle != 0 {
		t.Errorf("a program's log-in: %+v, %v", in, err)
	}
	if _, err := s.Store.CutUser(panel.ID, store.Keeps{}, func(*store.User) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if a := s.ask("GET", "/kiosk", "", "", "Cookie", cookieName+"="+wall); a.Header.Get("Location") != "/login" {
		t.Errorf("the screen that was ended is at %q", a.Header.Get("Location"))
	}
}

// A log-in leads to the page that was asked for, on this host only.
func TestLogInLeadsOn(t *testing.T) {
	s := newSite(t, nil)
	s.user("ben", store.RoleMember)
	s.user("wall", store.RolePanel)
	in := func(name, cookies string) string {
		t.Helper()
		a := s.ask("POST", "/login", "", url.Values{"username": {name}, "password": {password}}.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Cookie", cookies)
		if a.StatusCode != 303 {
			t.Errorf("%s, %s: %s", name, cookies, a.Status)
		}
		return a.Header.Get("Location")
	}
	way := func(path string) string {
		t.Helper()
		a := s.ask("GET", path, "", "")
		if a.StatusCode != 303 || a.Header.Get("Location") != "/login" {
			t.Errorf("%s: %s to %q", path, a.Status, a.Header.Get("Location"))
		}
		for _, c := range a.Cookies() {
			if c.Name == wayCookie {
				return wayCookie + "=" + c.Value
			}
		}
		return ""
	}
	for path, want := range map[string]string{
		"/documents?q=b%C3%BCro&cursor=25": "/documents?q=b%C3%BCro&cursor=25",
		"/":                                "/",
		"/documents/nothing?q=" + strings.Repeat("x", 2000): "/", // not kept
	} {
		if got := in("ben", way(path)); got != want {
			t.Errorf("after %.50s a log-in leads to %q, want %q", path, got, want)
		}
	}
	if got := in("wall", way("/system")); got != "/" {
		t.Errorf("the screen is led to %q", got)
	}
	for _, forged := range []string{"//evil.example", "https://evil.example/", "/\\evil.example", "/%5cevil", "javascript:1", "/a\r\nSet-Cookie: x=y", "%zz", ""} {
		cookie := wayCookie + "=" + url.QueryEscape(forged)
		if forged == "%zz" {
			cookie = wayCookie + "=%zz"
		}
		if got := in("ben", cookie); got != "/" && got != "/%5cevil" {
			t.Errorf("%q leads to %q", forged, got)
		}
	}
	a := s.form("/documents/x/trash", "", url.Values{"revision": {"1"}})
	if a.StatusCode != 401 || !strings.Contains(a.body, "nothing was done") {
		t.Errorf("a form without a log-in: %s\n%s", a.Status, a.body)
	}
	if len(a.Cookies()) != 1 || in("ben", a.Cookies()[0].Name+"="+a.Cookies()[0].Value) != "/documents/x" {
		t.Errorf("after a form a log-in does not lead to its page: %v", a.Cookies())
	}
}

// An administrator sees all, and that leaves entries that name whose it was.
func TestAdminReadsOthers(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	s.user("ben", store.RoleMember)
	d := s.file(s.named("ben").ID, "Letter of Ben", "boiler")
	mine := s.file(s.named("anna").ID, "Letter of Anna", "garage")
	s.json("GET", "/api/v1/documents?q=garage", admin, "", 200, nil)
	s.json("GET", "/api/v1/documents/"+string(mine.ID), admin, "", 200, nil)
	foreign := func() (n int) {
		t.Helper()
		list, _, err := s.Store.Audit(audit.Query{EventType: audit.DataAccess, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if strings.Contains(e.Details, "of ben") && e.Actor == "anna" {
				n++
			}
		}
		return n
	}
	if n := foreign(); n != 0 {
		t.Errorf("own documents leave %d entries of others'", n)
	}
	s.json("GET", "/api/v1/documents?q=boiler", admin, "", 200, nil)
	if n := foreign(); n != 1 {
		t.Errorf("searching others' documents leaves %d entries, want 1", n)
	}
	s.json("GET", "/api/v1/documents/"+string(d.ID), admin, "", 200, nil)
	if got := s.status("GET", "/api/v1/documents/"+string(d.ID)+"/pages/1/view", admin, ""); got != 200 {
		t.Errorf("its picture: %d", got)
	}
	if n := foreign(); n != 2 {
		t.Errorf("reading one leaves %d entries in all, want 2", n)
	}
	for i, path := range []string{"/pdf", "/text", "/pdf?download=1"} {
		if got := s.status("GET", "/api/v1/documents/"+string(d.ID)+path, admin, ""); got != 200 {
			t.Errorf("%s: %d", path, got)
		}
		if n := foreign(); n != 3+i {
			t.Errorf("taking it away as %s leaves %d entries in all, want %d", path, n, 3+i)
		}
	}
	if a := s.form("/documents", admin, url.Values{"do": {"zip"}, "id": {string(d.ID), string(mine.ID)}}); a.StatusCode != 200 || foreign() != 6 {
		t.Errorf("a ZIP with one of them: %s, %d entries in all, want 6", a.Status, foreign())
	}
}

// unfolded finds what is wrong with a form that is folded otherwise.
var unfolded = regexp.MustCompile(`<details [^>]*open><summary[^>]*><h2>[^<]*</h2></summary>\s*<p class="fault" role="alert">`)

// A form that is refused, or that changes nothing, shows a document, too.
func TestRefusedFormsAreViews(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	s.user("ben", store.RoleMember)
	for _, form := range []struct {
		path   string
		values url.Values
	}{
		{"/marks", url.Values{"revision": {"1"}, "title": {"x"}, "date": {"never"}}},
		{"/marks", url.Values{"revision": {"99"}, "title": {"x"}}},
		{"/read", url.Values{"revision": {"1"}, "languages": {"xyz"}}},
		{"/share", url.Values{"group": {"none"}}},
	} {
		d := s.file(s.named("ben").ID, "Letter of Ben", "boiler")
		before := s.newest()
		a := s.form("/documents/"+string(d.ID)+form.path, admin, form.values)
		if a.StatusCode/100 != 4 || !strings.Contains(a.body, "boiler") {
			t.Errorf("%s with %v: %s, want the page with what was wrong", form.path, form.values, a.Status)
		}
		if !unfolded.MatchString(a.body) {
			t.Errorf("%s with %v: what was wrong is not seen:\n%s", form.path, form.values, a.body)
		}
		if got := s.since(before); !slices.Equal(got, []string{"document_view success"}) {
			t.Errorf("%s with %v leaves %q", form.path, form.values, got)
		}
	}
	d := s.file(s.named("ben").ID, "Letter of Ben", "boiler")
	before := s.newest()
	s.json("PUT", "/api/v1/documents/"+string(d.ID)+"/groups", admin, `{"groups":[]}`, 200, nil)
	if got := s.since(before); !slices.Equal(got, []string{"document_view success"}) {
		t.Errorf("sharing it as it was leaves %q", got)
	}
}

// So do lists of what others have and small pictures of it, once a day.
func TestAdminLooksThroughOthers(t *testing.T) {
	for _, path := range []string{"/", "/live", "/api/v1/documents", "/documents", "/api/v1/trash", "/trash", "/api/v1/documents/%[1]s/pages/1/thumb", "/api/v1/batches/%[2]s/pages/1/thumb"} {
		s := newSite(t, nil)
		admin, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
		s.file(s.named("anna").ID, "Letter of Anna", "garage")
		d := s.file(s.named("ben").ID, "Letter of Ben", "boiler")
		if strings.HasSuffix(path, "trash") {
			s.json("DELETE", "/api/v1/documents/"+string(d.ID), ben, "", 204, nil)
		}
		if strings.Contains(path, "%") {
			path = fmt.Sprintf(path, d.ID, d.Batch)
		}
		before := s.newest()
		for _, who := range []string{ben, admin, admin} {
			if got := s.status("GET", path, who, ""); got != 200 {
				t.Errorf("%s: %d", path, got)
			}
		}
		if got := s.since(before); !slices.Equal(got, []string{"document_list success"}) {
			t.Errorf("%s leaves %q", path, got)
		}
		list, _, err := s.Store.Audit(audit.Query{Action: "document_list", Limit: 1})
		if err != nil || len(list) == 0 || list[0].Actor != "anna" || list[0].Details != "of ben" {
			t.Errorf("%s: %+v, %v", path, list, err)
		}
	}
}

// Whom a document is shared with learns nothing of what else its owner has, or of with
// whom else it is shared.
func TestSharedTellsNoMore(t *testing.T) {
	s := newSite(t, nil)
	admin, ben, carl := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember), s.user("carl", store.RoleMember)
	office, board := s.group(admin, "Office", "ben", "carl"), s.group(admin, "Board", "ben")
	other, d := s.file(s.named("ben").ID, "Private", "boiler"), s.file(s.named("ben").ID, "Letter", "boiler")
	if _, err := s.Store.UpdateDocument(d.ID, func(d *store.Document) error { d.Found = &store.Found{Title: "Boiler", Same: other.ID}; return nil }); err != nil {
		t.Fatal(err)
	}
	page, err := s.Store.Page(d.Batch, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.UpdateBatch(d.Batch, func(b *store.Batch) error {
		b.Upload = &store.Upload{Name: "all.jpg", File: page.Raw, Pages: 1}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	revisions := fmt.Sprintf(`[{"id":%q,"revision":1},{"id":%q,"revision":2}]`, other.ID, d.ID)
	s.json("POST", "/api/v1/changes", ben, fmt.Sprintf(`{"documents":%s,"add_tags":["tax"]}`, revisions), 200, nil)
	at := "/api/v1/documents/" + string(d.ID)
	s.json("PUT", at+"/groups", ben, fmt.Sprintf(`{"groups":[%q,%q]}`, office.ID, board.ID), 200, nil)
	for _, path := range []string{at, at + "/changes", "/api/results", "/api/v1/documents", "/api/v1/documents?q=boiler", "/documents/" + string(d.ID)} {
		a := s.ask("GET", path, carl, "")
		if a.StatusCode != 200 || !strings.Contains(a.body, string(d.ID)) || !strings.Contains(a.body, "Boiler") && path == at {
			t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
		for what, hidden := range map[string]string{"another document": string(other.ID), "another group": string(board.ID), "the file it was made of": "all.jpg", "what was said before": `"was":`} {
			if strings.Contains(a.body, hidden) {
				t.Errorf("%s tells of %s:\n%s", path, what, a.body)
			}
		}
	}
	if a := s.ask("GET", at, ben, ""); !strings.Contains(a.body, string(other.ID)) || !strings.Contains(a.body, string(board.ID)) {
		t.Errorf("the owner is told less: %s", a.body)
	}
	for path, what := range map[string]string{"/aside": "what was taken out of it", "/original": "the file it was made of"} {
		if got, own := s.status("GET", at+path, carl, ""), s.status("GET", at+path, ben, ""); got != 403 || own != 200 {
			t.Errorf("%s: %d, want 403, and %d for the owner, want 200", what, got, own)
		}
	}
}

// What an answer tells of people holds no secret.
func TestSecretsAreNotTold(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	s.user("ben", store.RoleMember)
	u, err := s.Store.UpdateUser(s.named("ben").ID, func(u *store.User) error {
		u.OneTime, u.Recovery = &store.OneTime{Secret: "TOPSECRETSEED"}, []string{"recoveryhash"}
		u.Passkeys = []store.Passkey{{ID: "x", Name: "phone", Credential: json.RawMessage(`{"publickey":"credentialblob"}`)}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/v1/users", "/api/v1/users/" + string(u.ID), "/api/admin/users", "/api/admin/users/" + string(u.ID) + "/activities", "/api/v1/users/" + string(u.ID) + "/sessions", "/people/" + string(u.ID), "/people"} {
		a := s.ask("GET", path, admin, "")
		if a.StatusCode != 200 {
			t.Errorf("%s: %s", path, a.Status)
		}
		for _, secret := range []string{"TOPSECRETSEED", "recoveryhash", "credentialblob", "argon2id", u.Password} {
			if strings.Contains(a.body, secret) {
				t.Errorf("%s tells %q", path, secret)
			}
		}
	}
}
