package web

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/device"
	"docscan/scan"
	"docscan/scan/intake"
	"docscan/store"
)

// form posts a form as the bearer of token.
func (s *site) form(path, token string, values url.Values) answer {
	s.t.Helper()
	return s.ask("POST", path, token, values.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// Documents are changed many at once, by whom they belong to, and as one change.
func TestManyDocuments(t *testing.T) {
	s := newSite(t, nil)
	ben, carl := s.user("ben", store.RoleMember), s.user("carl", store.RoleMember)
	owner := s.userID("ben")
	a, b := s.file(owner, "Letter/1", "boiler"), s.file(owner, "Letter/1", "garage")
	both := url.Values{"id": {string(a.ID), string(b.ID)}, "do": {"tag"}, "value": {"Tax, house"}}
	for name, tt := range map[string]struct {
		token  string
		values url.Values
		want   int
	}{
		"another":          {carl, both, 404},
		"nothing chosen":   {ben, url.Values{"do": {"tag"}}, 422},
		"nothing to do":    {ben, url.Values{"id": both["id"], "do": {"dance"}}, 422},
		"one twice":        {ben, url.Values{"id": {string(a.ID), string(a.ID)}, "do": {"trash"}}, 422},
		"an unknown one":   {ben, url.Values{"id": {string(a.ID), "none"}, "do": {"trash"}}, 404},
		"a type too long":  {ben, url.Values{"id": both["id"], "do": {"type"}, "value": {strings.Repeat("x", 65)}}, 422},
		"all in order":     {ben, both, 303},
		"a tag taken away": {ben, url.Values{"id": both["id"], "do": {"untag"}, "value": {"HOUSE"}}, 303},
	} {
		if name == "a tag taken away" {
			continue // after the others
		}
		if got := s.form("/documents", tt.token, tt.values); got.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d", name, got.Status, tt.want)
		}
	}
	if got := s.form("/documents", ben, url.Values{"id": both["id"], "do": {"untag"}, "value": {"HOUSE"}}); got.StatusCode != 303 {
		t.Errorf("taking a tag away: %s", got.Status)
	}
	for _, id := range []store.DocumentID{a.ID, b.ID} {
		d, err := s.Store.Document(id)
		if err != nil || !slices.Equal(d.Tags, []string{"tax"}) {
			t.Errorf("tags %q, %v, want tax", d.Tags, err)
		}
	}
	got := s.ask("GET", "/api/v1/export?document="+string(a.ID)+"&document="+string(b.ID), ben, "")
	z, err := zip.NewReader(bytes.NewReader([]byte(got.body)), int64(len(got.body)))
	if err != nil {
		t.Fatalf("%s: %v", got.Status, err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || string(data) != "%PDF of Letter/1" {
			t.Errorf("%s: %q, %v", f.Name, data, err)
		}
	}
	if want := []string{"Letter-1.pdf", "Letter-1 (2).pdf"}; !slices.Equal(names, want) {
		t.Errorf("the archive has %q, want %q", names, want)
	}
	// Names fit every file system, and differ on those that know no case.
	upper, long := s.file(owner, "LETTER/1", "attic"), s.file(owner, strings.Repeat("頁", 200), "cellar")
	got = s.ask("GET", "/api/v1/export?document="+string(a.ID)+"&document="+string(upper.ID)+"&document="+string(long.ID), ben, "")
	if z, err = zip.NewReader(bytes.NewReader([]byte(got.body)), int64(len(got.body))); err != nil {
		t.Fatalf("%s: %v", got.Status, err)
	}
	if second, third := z.File[1].Name, z.File[2].Name; second != "LETTER-1 (2).pdf" || third != strings.Repeat("頁", 80)+".pdf" {
		t.Errorf("the archive has %q and %q", second, third)
	}
	// What is made for the request has no parts: those of two would make nothing.
	for _, path := range []string{"/api/v1/export?document=" + string(a.ID), "/api/results/" + string(a.ID) + "/export/excel"} {
		if got := s.ask("GET", path, ben, "", "Range", "bytes=10-"); got.StatusCode != 200 || got.Header.Get("Accept-Ranges") == "bytes" {
			t.Errorf("a part of %s: %s", path, got.Status)
		}
	}
	if got := s.ask("GET", "/api/v1/export?document="+string(a.ID), carl, ""); got.StatusCode != 404 {
		t.Errorf("another exports: %s", got.Status)
	}
}

func (s *site) userID(name string) store.UserID {
	s.t.Helper()
	users, err := s.Store.Users()
	if err != nil {
		s.t.Fatal(err)
	}
	i := slices.IndexFunc(users, func(u store.User) bool { return u.Name == name })
	if i < 0 {
		s.t.Fatalf("no user %s", name)
	}
	return users[i].ID
}

// Nothing of another's change is overwritten by a form that was open meanwhile.
func TestMarksFormConflict(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	d := s.file(s.userID("ben"), "Letter", "boiler")
	path := "/documents/" + string(d.ID) + "/marks"
	if got := s.ask("PATCH", "/api/v1/documents/"+string(d.ID), ben, `{"type":"Invoice"}`, "If-Match", `"r1"`); got.StatusCode != 200 {
		t.Fatalf("the other change: %s %s", got.Status, got.body)
	}
	if _, err := s.Store.UpdateDocument(d.ID, func(d *store.Document) error { d.Tags, d.Revision = []string{"heating", "house"}, 1; return nil }); err != nil {
		t.Fatal(err)
	}
	mine := url.Values{"revision": {"1"}, "title": {"Letter"}, "type": {"Contract"}, "remark": {"my words"}, "tags": {"heating,  house, "}}
	got := s.form(path, ben, mine)
	if strings.Contains(got.body, "Now it is: heating") {
		t.Errorf("the same tags are told to be others:\n%s", got.body)
	}
	if got.StatusCode != 412 || !strings.Contains(got.body, "Now it is: Invoice") || !strings.Contains(got.body, "my words") || !strings.Contains(got.body, `value="Contract"`) {
		t.Errorf("%s, want both states shown", got.Status)
	}
	if now, err := s.Store.Document(d.ID); err != nil || now.Type != "Invoice" {
		t.Errorf("%+v, %v: the other's change is lost", now.Type, err)
	}
	mine.Set("revision", "2")
	if got := s.form(path, ben, mine); got.StatusCode != 303 {
		t.Errorf("saving over it knowingly: %s", got.Status)
	}
	if _, err := s.Store.UpdateDocument(d.ID, func(d *store.Document) error { d.ASN = 12; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := s.ask("GET", "/documents/"+string(d.ID), ben, ""); !strings.Contains(got.body, `name="asn"`) || !strings.Contains(got.body, `value="12"`) {
		t.Error("the form has no archive number, so saving would lose it")
	}
	mine.Set("revision", "4")
	mine.Set("asn", "many")
	if got := s.form(path, ben, mine); got.StatusCode != 422 {
		t.Errorf("an archive number that is none: %s", got.Status)
	}
	mine.Set("asn", "13")
	if got := s.form(path, ben, mine); got.StatusCode != 303 {
		t.Errorf("another archive number: %s", got.Status)
	}
	if now, err := s.Store.Document(d.ID); err != nil || now.ASN != 13 {
		t.Errorf("archive number %d, %v, want 13", now.ASN, err)
	}
	mine.Set("revision", "5")
	mine.Set("date", "tomorrow")
	if got := s.form(path, ben, mine); got.StatusCode != 422 || !strings.Contains(got.body, "my words") {
		t.Errorf("a date that is none: %s, want the form again", got.Status)
	}
	if got := s.form(path, ben, url.Values{"title": {"x"}}); got.StatusCode != 400 {
		t.Errorf("a form without its state: %s", got.Status)
	}

	// The other has thrown it away.
	mine.Del("date")
	s.json("DELETE", "/api/v1/documents/"+string(d.ID), ben, "", 204, nil)
	for revision, status := range map[string]int{"5": 412, "6": 422} { // knowing it, too
		mine.Set("revision", revision)
		if got := s.form(path, ben, mine); got.StatusCode != status || !strings.Contains(got.body, "my words") || !strings.Contains(got.body, `name="restore"`) || !strings.Contains(got.body, `role="alert">`) {
			t.Errorf("from state %s: %s, want what was typed, and a way to save it\n%s", revision, got.Status, got.body)
		}
	}
	mine.Set("restore", "1")
	mine.Set("remark", "my last words")
	mine.Set("revision", "5")
	if got := s.form(path, ben, mine); got.StatusCode != 412 {
		t.Errorf("taken out from a state that is gone: %s", got.Status)
	}
	mine.Set("revision", "6")
	if got := s.form(path, ben, mine); got.StatusCode != 303 {
		t.Errorf("taken out and saved: %s\n%s", got.Status, got.body)
	}
	if now, err := s.Store.Document(d.ID); err != nil || !now.Trashed.IsZero() || now.Remark != "my last words" {
		t.Errorf("%v, %q, %v: want it out of the trash with what was typed", now.Trashed, now.Remark, err)
	}
	// A wish about its pages that comes too late leads back to it.
	if got := s.form("/documents/"+string(d.ID)+"/pages", ben, url.Values{"revision": {"1"}, "do": {"turn 1 90"}}); got.StatusCode != 412 || !strings.Contains(got.body, `href="/documents/`+string(d.ID)+`"`) {
		t.Errorf("too late: %s\n%s", got.Status, got.body)
	}
	if got := s.ask("GET", "/documents/"+string(d.ID)+"/now?revision=1", ben, ""); !strings.Contains(got.body, "If you are writing, go on") {
		t.Errorf("who has it open is told: %s", got.body)
	}
}

// What the document page says of figures, of what somebody else has emptied, and of sides set
// aside, is in the reader's language and can be judged.
func TestDocumentPageInWords(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	d := s.file(s.userID("ben"), "Letter", "boiler")
	side, err := s.Store.Page(d.Batch, 1)
	if err != nil {
		t.Fatal(err)
	}
	side.Seq, side.Back, side.Aside = 2, true, store.AsideBlank
	if _, err := s.Store.AddPage(side); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.UpdateDocument(d.ID, func(d *store.Document) error {
		d.Date, d.Found = "2026-03-09", &store.Found{Total: &store.FoundAmount{Value: "1234.50", Currency: "EUR", Words: "Summe", Page: 1}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	at := "/documents/" + string(d.ID)
	a := s.ask("GET", at, ben, "", "Accept-Language", "de")
	for _, want := range []string{"1234,50 EUR", `href="/api/v1/batches/` + string(d.Batch) + `/pages/2/view"`, `alt="Seite 2 ansehen"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page is without %q\n%s", want, a.body)
		}
	}
	typed := url.Values{"revision": {"1"}, "title": {"Letter"}, "remark": {"my words"}}
	a = s.ask("POST", at+"/marks", ben, typed.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept-Language", "de")
	for _, want := range []string{"Jetzt steht dort: 9. März 2026", "Jetzt steht dort nichts."} {
		if a.StatusCode != 412 || !strings.Contains(a.body, want) {
			t.Errorf("%s without %q\n%s", a.Status, want, a.body)
		}
	}
	// The history says from what to what.
	for _, change := range []string{`{"tags":["tax"],"date":"2026-03-10"}`, `{"tags":["home"],"date":""}`} {
		if a := s.ask("PATCH", "/api/v1"+at, ben, change, "If-Match", "*"); a.StatusCode != 200 {
			t.Fatalf("%s %s", a.Status, a.body)
		}
	}
	body := html.UnescapeString(s.ask("GET", at, ben, "", "Accept-Language", "de").body)
	for _, text := range []string{"Schlagwörter: – → tax", "Schlagwörter: tax → home", "9. März 2026 → 10. März 2026", "10. März 2026 → –"} {
		if !strings.Contains(body, text) {
			t.Errorf("the history is without %q\n%s", text, body)
		}
	}
}

func TestSearches(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	d := s.file(s.userID("ben"), "Letter", "boiler")
	if got := s.form("/searches", ben, url.Values{"name": {"Heat & co"}, "q": {`boiler "x"`}}); got.StatusCode != 303 {
		t.Fatalf("%s %s", got.Status, got.body)
	}
	if got := s.ask("GET", "/documents", ben, ""); !strings.Contains(got.body, `/documents?q=boiler%20%22x%22`) || !strings.Contains(got.body, "Heat &amp; co") {
		t.Error("the kept search is not offered")
	}
	for _, bad := range []url.Values{{"name": {""}, "q": {"x"}}, {"name": {"x"}, "q": {" "}}, {"name": {strings.Repeat("x", 65)}, "q": {"x"}}} {
		if got := s.form("/searches", ben, bad); got.StatusCode != 422 {
			t.Errorf("%v: %s, want 422", bad, got.Status)
		}
	}
	if got := s.ask("PUT", "/api/v1/searches", ben, `{"searches":[{"name":"a","query":"tag:tax"}]}`, "If-Match", "*"); got.StatusCode != 200 || !strings.Contains(got.body, "tag:tax") {
		t.Errorf("%s %s", got.Status, got.body)
	}
	if got := s.form("/searches/delete", ben, url.Values{"name": {"a"}}); got.StatusCode != 303 {
		t.Errorf("%s", got.Status)
	}
	if got := s.ask("GET", "/api/v1/searches", ben, ""); got.body != "{\"searches\":[]}\n" {
		t.Errorf("%s, want none", got.body)
	}
	for begun := time.Now(); ; { // the words to compare with may have to be loaded first
		got := s.ask("GET", "/api/v1/documents?q=bo1ler", ben, "")
		if strings.Contains(got.body, `"suggestion":"boiler"`) {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("no suggestion: %s", got.body)
		}
	}
	if got := s.ask("GET", "/api/v1/documents?q=created:soon", ben, ""); !strings.Contains(got.body, `"refused":["created:soon"]`) {
		t.Errorf("a bad filter is not told of: %s", got.body)
	}
	if got := s.ask("GET", "/documents/"+string(d.ID)+"/now?revision=1", ben, ""); got.StatusCode != 204 {
		t.Errorf("nothing has changed: %s", got.Status)
	}
	if got := s.ask("GET", "/documents/"+string(d.ID)+"/now?revision=7", ben, ""); !strings.Contains(got.body, "has been changed") {
		t.Errorf("it has changed: %s", got.body)
	}
}

// Files of the program are kept by browsers for ever under the name of their
// content, are packed, and what was fetched from others is what it was.
func TestStatic(t *testing.T) {
	s := newSite(t, nil)
	at, err := s.assets.address("pages.js")
	if err != nil {
		t.Fatal(err)
	}
	a := s.ask("GET", at, "", "", "Accept-Encoding", "gzip")
	if a.StatusCode != 200 || a.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") || len(a.body) > 30<<10 {
		t.Errorf("%s: %s, %q, %d bytes", at, a.Status, a.Header, len(a.body))
	}
	if a := s.ask("GET", "/static/pages.0123456789abcdef.js", "", ""); a.StatusCode != 200 || a.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("what the version before asked for: %s, %s", a.Status, a.Header.Get("Cache-Control"))
	}
	for _, none := range []string{"/static/", "/static/none.js", "/static/..%2fweb.go", "/static/vendor"} {
		if a := s.ask("GET", none, "", ""); a.StatusCode != 404 {
			t.Errorf("%s: %s, want 404", none, a.Status)
		}
	}
	sums, err := staticFiles.ReadFile("static/vendor/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if name == "SHA256SUMS" {
			continue
		}
		data, err := staticFiles.ReadFile("static/vendor/" + name)
		if err != nil || hashSecret(string(data)) != sum {
			t.Errorf("%s is not what packaging/vendor-web fetched: %v", name, err)
		}
		n++
	}
	if n != 6 {
		t.Errorf("%d files of others, want 6", n)
	}
}

// A document of 500 pages is shown in parts, found in all of them, and cut like any other.
func TestLongDocument(t *testing.T) {
	const pages = 500
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	d := s.file("", "Long", "boiler")
	page, err := s.Store.Page(d.Batch, 1)
	if err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= pages; n++ {
		page.Seq, page.Sheet = n, n
		if _, err := s.Store.AddPage(page); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Store.UpdateDocument(d.ID, func(d *store.Document) error {
		for n := 2; n <= pages; n++ {
			d.Pages = append(d.Pages, store.DocumentPage{Batch: d.Batch, Seq: n})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	at := "/documents/" + string(d.ID)
	for from, want := range map[string]string{"": `id="page-1"`, "?from=500": `id="page-500"`, "?from=999": `id="page-1"`, "?q=boiler&from=481": "Page 500"} {
		a := s.ask("GET", at+from, token, "")
		if n := strings.Count(a.body, `id="page-`); a.StatusCode != 200 || !strings.Contains(a.body, want) || n > shownPages || n == 0 {
			t.Errorf("%q: %s with %d pages, want at most %d with %s", from, a.Status, n, shownPages, want)
		}
	}
	if a := s.ask("GET", "/api/v1"+at+"/text", token, ""); strings.Count(a.body, "boiler") != pages || strings.Count(a.body, "\f") != pages-1 {
		t.Errorf("the text: %s, %d words, %d form feeds", a.Status, strings.Count(a.body, "boiler"), strings.Count(a.body, "\f"))
	}
	cut := answered(t, s.ask("POST", "/api/v1"+at+"/split", token, `{"after":[250]}`, "If-Match", "*"), 200)
	if len(cut.Documents) != 2 || len(cut.Documents[0].Pages) != pages/2 || len(cut.Documents[1].Pages) != pages/2 {
		t.Errorf("%d documents", len(cut.Documents))
	}
}

// What people choose for the pages, programs can choose for them.
func TestPreferences(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	s.json("PUT", "/api/v1/preferences", ben, `{"language":"tlh","keys":true}`, 422, nil)
	var p preferencesView
	s.json("PUT", "/api/v1/preferences", ben, `{"language":"de","keys":false}`, 200, &p)
	s.json("GET", "/api/v1/preferences", ben, "", 200, &p)
	if p.Language != "de" || p.Keys {
		t.Errorf("%+v", p)
	}
	if a := s.ask("GET", "/account", ben, "", "Accept-Language", "en"); !strings.Contains(a.body, `<html lang="de">`) {
		t.Error("the pages are in another language")
	}
}

func TestSystem(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	if a := s.ask("PUT", "/api/v1/system/settings", admin, `{"language":"de","zone":"Asia/Tokyo"}`, "If-Match", "*"); a.StatusCode != 200 || !strings.Contains(a.body, "Asia/Tokyo") {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	if a := s.form("/system/settings", admin, url.Values{"language": {"en"}, "zone": {"Mars/Base"}}); a.StatusCode != 422 || !strings.Contains(a.body, `value="Mars/Base"`) || !strings.Contains(a.body, `role="alert">`) {
		t.Errorf("a wrong zone on the page: %s, want the form with what was typed", a.Status)
	}
	if z := s.Store.Zone().String(); z != "Asia/Tokyo" {
		t.Errorf("the zone is %s", z)
	}
	for _, bad := range []string{`{"zone":"Mars/Base"}`, `{"zone":"../../etc/passwd"}`, `{"zone":"Local"}`, `{"language":"tlh"}`} {
		if a := s.ask("PUT", "/api/v1/system/settings", admin, bad, "If-Match", "*"); a.StatusCode != 422 {
			t.Errorf("%s: %s, want 422", bad, a.Status)
		}
	}
	if a := s.ask("GET", "/system", admin, ""); a.StatusCode != 200 || !strings.Contains(a.body, `<html lang="de">`) || !strings.Contains(a.body, "Asia/Tokyo") {
		t.Errorf("the page: %s\n%s", a.Status, a.body)
	}
	if a := s.form("/system/check", admin, nil); a.StatusCode != 200 || !strings.Contains(a.body, "Alles ist in Ordnung.") {
		t.Errorf("the check: %s\n%s", a.Status, a.body)
	}
	if a := s.ask("GET", "/api/v1/system/log", admin, ""); a.StatusCode != 200 || !strings.HasPrefix(a.body, `{"lines":[`) {
		t.Errorf("the log: %s %s", a.Status, a.body)
	}
}

// Setting up can be left and gone on with, and each step left out.
func TestWelcome(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	next := func(want string) {
		t.Helper()
		if a := s.ask("GET", "/welcome", admin, ""); a.Header.Get("Location") != want {
			t.Errorf("setting up goes on at %q, want %q", a.Header.Get("Location"), want)
		}
	}
	next("/welcome/zone")
	if a := s.form("/welcome/zone", admin, url.Values{"zone": {"Nowhere"}}); a.StatusCode != 422 {
		t.Errorf("a wrong zone: %s", a.Status)
	}
	if a := s.ask("GET", "/", admin, ""); !strings.Contains(a.body, `href="/welcome"`) {
		t.Error("the home page does not tell that setting up is not done")
	}
	if a := s.ask("GET", "/destinations", admin, ""); !strings.Contains(a.body, `href="/welcome"`) {
		t.Error("a page to which setting up leads does not lead back")
	}
	for _, step := range []string{"zone", "scanner", "documents"} {
		next("/welcome/" + step)
		if a := s.ask("GET", "/welcome/"+step, admin, ""); a.StatusCode != 200 {
			t.Errorf("%s: %s", step, a.Status)
		}
		if a := s.form("/welcome/"+step, admin, url.Values{"skip": {"1"}}); a.StatusCode != 303 {
			t.Errorf("leaving %s out: %s", step, a.Status)
		}
	}
	if a := s.form("/scan", admin, url.Values{"back": {"/welcome/scanner"}}); a.StatusCode != 503 || !strings.Contains(a.body, "Check that it is switched on") || !strings.Contains(a.body, `action="/welcome/scanner"`) {
		t.Errorf("a test page without a scanner: %s %s", a.Status, a.body)
	}
	for tag, code := range map[string]string{"de": "deu", "en": "eng"} { // both are installed where tests run
		a := s.ask("GET", "/welcome/zone", admin, "", "Accept-Language", tag)
		for _, want := range []string{`<option value="` + tag + `" lang="` + tag + `" selected>`, `name="languages" value="` + code + `" checked`, `<option value="` + code + `" selected>`} {
			if !strings.Contains(a.body, want) {
				t.Errorf("who reads %s is not offered it for the box and its papers: no %s", tag, want)
			}
		}
	}
	if a := s.form("/welcome/zone", admin, url.Values{"languages": {"deu", "eng", "fra"}, "main": {"fra"}}); a.StatusCode != 303 {
		t.Errorf("languages: %s\n%s", a.Status, a.body)
	}
	if list, err := s.Store.Profiles(); err != nil || !slices.Equal(list[0].Languages, []string{"fra", "deu", "eng"}) {
		t.Errorf("profiles read %q, %v, want French first", list[0].Languages, err)
	}
	if a := s.ask("GET", "/welcome/zone", admin, "", "Accept-Language", "de"); !strings.Contains(a.body, `<option value="fra" selected>`) {
		t.Error("what was chosen is not shown")
	}
	next("/")
	for _, path := range []string{"/", "/destinations"} {
		if a := s.ask("GET", path, admin, ""); strings.Contains(a.body, `href="/welcome"`) {
			t.Errorf("%s still tells that setting up is not done", path)
		}
	}
	if a := s.ask("GET", "/welcome/dance", admin, ""); a.StatusCode != 404 {
		t.Errorf("an unknown step: %s", a.Status)
	}
}

// The kiosk tells why a press did nothing, and works for a panel.
func TestKiosk(t *testing.T) {
	s := newSite(t, nil)
	wall := s.user("wall", store.RolePanel)
	if a := s.ask("GET", "/kiosk", wall, ""); a.StatusCode != 200 || !strings.Contains(a.body, "No scanner is connected.") || strings.Contains(a.body, "wall") {
		t.Errorf("%s\n%s", a.Status, a.body)
	}
	for token, want := range map[string]bool{wall: false, s.user("ben", store.RoleMember): true} {
		if a := s.ask("GET", "/kiosk", token, ""); strings.Contains(a.body, `href="/"`) != want {
			t.Errorf("a way to the other pages, want it %t:\n%s", want, a.body)
		}
	}
	if a := s.form("/kiosk/scan", wall, nil); a.StatusCode != 503 || !strings.Contains(a.body, "Check that it is switched on") {
		t.Errorf("a press without a scanner: %s\n%s", a.Status, a.body)
	}
	if a := s.form("/kiosk/batches/none/resume", wall, nil); a.StatusCode != 404 {
		t.Errorf("an unknown batch: %s", a.Status)
	}
	if a := s.ask("GET", "/kiosk/now", wall, ""); a.StatusCode != 200 || strings.Contains(a.body, "<html") {
		t.Errorf("its part: %s", a.Status)
	}
}

// While one scanner is at work, or waits for somebody, the screen scans with the other; one
// that is not connected counts for none.
func TestKioskOfTwoScanners(t *testing.T) {
	s := newSite(t, nil)
	wall := s.user("wall", store.RolePanel)
	stopped := func(scanner string) {
		t.Helper()
		b := store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchStopped, Origin: "panel", Device: scanner, Created: time.Now(),
			Documents: []store.DocumentID{store.DocumentID(store.NewID())}, Profile: store.Profile{ID: "standard"}, Fault: &store.Fault{Kind: "jam", Time: time.Now()}}
		if err := s.Store.AddBatch(b); err != nil {
			t.Fatal(err)
		}
	}
	connected := func(machines row) {
		t.Helper()
		s.Registry = device.NewRegistry(slog.New(slog.DiscardHandler), func(string) {}, machines)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Registry.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		for {
			is := s.Registry.Devices()
			if len(is) == len(machines) && !slices.ContainsFunc(is, func(d device.DeviceState) bool { return machines[0].err == nil && d.Status.State != device.Ready }) {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	shows := func(what string, want, device bool) {
		t.Helper()
		a := s.ask("GET", "/kiosk", wall, "")
		if got, on := strings.Contains(a.body, `<button class="main"><span class="name">`), strings.Contains(a.body, `name="device" value="hall"`); got != want || on != device {
			t.Errorf("%s: buttons %t, want %t; on the other scanner %t, want %t\n%s", what, got, want, on, device, a.body)
		}
	}
	ready := device.Status{State: device.Ready}
	connected(row{{info: device.Info{ID: "desk", Model: "Desk"}, is: ready}, {info: device.Info{ID: "hall", Model: "Hall"}, is: ready}})
	shows("both are free", true, false)
	stopped("desk")
	shows("one waits for somebody", true, true)
	stopped("hall")
	if a := s.ask("GET", "/kiosk", wall, ""); strings.Contains(a.body, `<span class="name">`) {
		t.Errorf("both wait, and yet there are buttons:\n%s", a.body)
	}
	connected(row{{info: device.Info{ID: "attic", Model: "Attic"}, err: device.Faultf(device.Unplugged, "away")}})
	if a := s.ask("GET", "/kiosk", wall, ""); strings.Contains(a.body, `<span class="name">`) || !strings.Contains(a.body, "No scanner is connected.") {
		t.Errorf("none is connected:\n%s", a.body)
	}
}

// Who looks at a page or at the kiosk is told the same of a batch that a fault has
// stopped: which pages are safe, which is one less than there are when the back of
// the last one is missing, and what to do. Beginning anew is one tap.
func TestStoppedBatchIsTold(t *testing.T) {
	s := newSite(t, nil)
	admin, wall := s.user("admin", store.RoleAdmin), s.user("wall", store.RolePanel)
	b := store.Batch{
		ID: store.BatchID(store.NewID()), State: store.BatchStopped, Origin: "panel", Device: "desk", Created: time.Now(),
		Documents: []store.DocumentID{store.DocumentID(store.NewID())}, Profile: store.Profile{ID: "standard"},
		Fault: &store.Fault{Kind: "jam", What: "-", Safe: "Pages 1-2 are safe.", Pages: 2, Advice: "-", Time: time.Now()},
	}
	if err := s.Store.AddBatch(b); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		p := store.Page{Batch: b.ID, Seq: n + 1, Sheet: n/2 + 1, Back: n == 1, State: store.PageSafe, Created: time.Now()}
		if _, err := s.Store.AddPage(p); err != nil {
			t.Fatal(err)
		}
	}
	for path, token := range map[string]string{"/": admin, "/kiosk": wall} {
		for language, want := range map[string][]string{
			"en": {"Pages 1-2 are safe.", "Open the cover, take out the sheet, put it back on top of the stack and press the button.", "Finish, and start anew"},
			"de": {"Die Seiten 1-2 sind sicher.", "Öffnen Sie die Klappe", "Abschließen und neu beginnen"},
		} {
			a := s.ask("GET", path, token, "", "Accept-Language", language)
			for _, text := range want {
				if a.StatusCode != 200 || !strings.Contains(a.body, text) {
					t.Errorf("%s in %s: %s without %q:\n%s", path, language, a.Status, text, a.body)
				}
			}
			if !strings.Contains(a.body, `name="anew" value="1"><input type="hidden" name="device" value="desk"`) {
				t.Errorf("%s: to begin anew is no tap:\n%s", path, a.body)
			}
		}
	}
	for f, want := range map[store.Fault]string{
		{Safe: "Pages 1-9 are safe."}:            "Pages 1-9 are safe.", // of a version that did not give the number
		{Safe: "No page was scanned."}:           "No page was scanned.",
		{Safe: "Page 1 is safe.", Pages: 1}:      "Page 1 is safe.",
		{Safe: "Pages 1-12 are safe", Pages: 12}: "Pages 1-12 are safe.",
	} {
		if got := safeIn(english, &f); got != want {
			t.Errorf("%+v: %q, want %q", f, got, want)
		}
	}
}

// Of several files handed in on the page each that is refused is told of, and how many
// are safe: nobody sends those again.
func TestUploadForm(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	s.Engine.TakeUploads(intake.Config{MaxPages: 10, MaxPixels: 1 << 20})
	if err := s.Engine.PutProfile(store.Profile{ID: "one", Name: "One", Source: "auto", Mode: "gray", Resolution: 300}, scan.By{}); err != nil {
		t.Fatal(err)
	}
	if a := s.ask("GET", "/", ben, ""); !strings.Contains(a.body, `<option value="one">One</option>`) {
		t.Errorf("a profile for files cannot be chosen:\n%s", a.body)
	}
	const good = "=\xff\xd8\xff\xe0 is how a JPEG begins"
	send := func(parts ...string) answer {
		t.Helper()
		body, kind := form(t, parts...)
		return s.ask("POST", uploadsPage, ben, body, "Content-Type", kind)
	}
	a := send("files@one.jpg"+good, "files@letter.doc=hello", "files@two.jpg"+good, "files@<b>.pdf=")
	for _, want := range []string{"Not all files were taken", "2 files are safe", "<strong>letter.doc</strong>: This kind of file is not known", "&lt;b&gt;.pdf</strong>: The file is empty"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page is without %q: %s\n%s", want, a.Status, a.body)
		}
	}
	if list, err := s.Store.OpenBatches(); err != nil || len(list) != 2 {
		t.Errorf("%d batches, %v, want 2", len(list), err)
	}
	if a := send("files@letter.doc=hello"); a.StatusCode != 415 || !strings.Contains(a.body, "No file was taken") || strings.Contains(a.body, "safe and") {
		t.Errorf("a bad one alone: %s\n%s", a.Status, a.body)
	}
	if a := send("files@one.jpg" + good); a.StatusCode != 303 || a.Header.Get("Location") != "/" {
		t.Errorf("a good one: %s", a.Status)
	}
	body, kind := form(t, "files@one.jpg"+good, "files@two.jpg"+good)
	if a := s.ask("POST", uploadsPage, ben, body[:len(body)-60], "Content-Type", kind); a.StatusCode != 400 || !strings.Contains(a.body, "1 file is safe") {
		t.Errorf("one that breaks off: %s\n%s", a.Status, a.body)
	}
}

// What was typed for a document that is no longer there, or by somebody whose log-in has
// ended, stands on the page that says so; a secret never does.
func TestTypedIsNotLost(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	d := s.file(s.named("ben").ID, "Letter", "boiler")
	at := "/documents/" + string(d.ID)
	mine := url.Values{"revision": {"1"}, "title": {"Boiler <b>"}, "remark": {"my words\nin two lines"}, "tags": {"heating"}, "password": {password}}
	kept := []string{`<input readonly value="Boiler &lt;b&gt;">`, "my words\nin two lines</textarea>", `value="heating"`}
	look := func(what string, a answer, status int, want ...string) {
		t.Helper()
		if a.StatusCode != status || strings.Contains(a.body, password) {
			t.Errorf("%s: %s\n%s", what, a.Status, a.body)
		}
		for _, w := range want {
			if !strings.Contains(a.body, w) {
				t.Errorf("%s: the page is without %q:\n%s", what, w, a.body)
			}
		}
	}
	look("logged out", s.form(at+"/marks", "", mine), 401, append(kept, "You are no longer logged in", `href="/login" target="_blank"`)...)
	look("logged out before adding", s.form("/destinations", "", url.Values{"folder": {"/srv/box"}, "user": {"anna"}, "password": {password}}), 401, `value="/srv/box"`, `value="anna"`)
	if a := s.form("/system/ssh", "", url.Values{"key": {"-----BEGIN OPENSSH PRIVATE KEY-----"}}); a.StatusCode != 401 || strings.Contains(a.body, "BEGIN") {
		t.Errorf("a private key is sent back: %s\n%s", a.Status, a.body)
	}
	s.json("DELETE", "/api/v1"+at+"?forever=1", ben, "", 204, nil)
	look("deleted for ever", s.form(at+"/marks", ben, mine), 404, append(kept, "somebody has deleted it for ever")...)
	mine.Set("restore", "1")
	look("to be taken out of the trash", s.form(at+"/marks", ben, mine), 404, kept...)
	look("another form", s.form(at+"/pages", ben, url.Values{"revision": {"1"}, "do": {"turn 1 90"}}), 404, "somebody has deleted it for ever")
	if a := s.ask("GET", "/people?title=boiler", ben, ""); strings.Contains(a.body, "readonly") {
		t.Errorf("what stands in an address is taken for typed:\n%s", a.body)
	}
}

// The trash is emptied of what its page has shown, and of nothing that has changed since
// or is somebody else's.
func TestEmptyTrash(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	s.user("carl", store.RoleMember)
	owner := s.named("ben").ID
	shown, later, kept, foreign := s.file(owner, "Shown", "x"), s.file(owner, "Later", "x"), s.file(owner, "Kept", "x"), s.file(s.named("carl").ID, "Foreign", "x")
	trash := func(d store.Document) string {
		t.Helper()
		now, err := s.Store.UpdateDocument(d.ID, func(d *store.Document) error { d.Trashed = time.Now(); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s %d", d.ID, now.Revision)
	}
	form := url.Values{"document": {trash(shown), trash(later), fmt.Sprintf("%s %d", kept.ID, kept.Revision), "gone 1"}}
	trash(later)
	page := s.ask("GET", "/trash", ben, "").body
	if !strings.Contains(page, `value="`+form["document"][0]+`"`) || strings.Contains(page, string(foreign.ID)) {
		t.Errorf("the page:\n%s", page)
	}
	if a := s.form("/trash", ben, form); a.StatusCode != 200 || !strings.Contains(a.body, "1 document is deleted.") || !strings.Contains(a.body, "3 have changed since this page was shown") {
		t.Errorf("%s\n%s", a.Status, a.body)
	}
	again := []string{trash(kept), fmt.Sprintf("%s %d", later.ID, 1)}
	if a := s.form("/trash", ben, url.Values{"document": again, "restore": {"1"}}); a.StatusCode != 200 || !strings.Contains(a.body, "1 document is back.") || !strings.Contains(a.body, "1 has changed since this page was shown") {
		t.Errorf("taking them out: %s\n%s", a.Status, a.body)
	}
	for d, want := range map[store.DocumentID]bool{kept.ID: true, later.ID: false} { // that one has changed since
		if now, err := s.Store.Document(d); err != nil || now.Trashed.IsZero() != want {
			t.Errorf("%s is out of the trash: %t, want %t (%v)", now.Title, now.Trashed.IsZero(), want, err)
		}
	}
	if a := s.form("/trash", ben, url.Values{"document": {trash(foreign)}}); a.StatusCode != 412 || !strings.Contains(a.body, "None of them is deleted.") || strings.Contains(a.body, "Foreign") {
		t.Errorf("somebody else's: %s\n%s", a.Status, a.body)
	}
	if a := s.form("/trash", ben, nil); a.StatusCode != 400 {
		t.Errorf("nothing: %s", a.Status)
	}
	for _, d := range []store.Document{shown, later, kept, foreign} {
		_, err := s.Store.Document(d.ID)
		if gone := errors.Is(err, store.ErrNotFound); gone != (d.ID == shown.ID) || err != nil && !gone {
			t.Errorf("%s: gone %t, %v", d.Title, gone, err)
		}
	}
}

// Of what is taken out of the trash together each comes back that can, and of the others it is
// said why not.
func TestSomeComeBack(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	owner := s.named("ben").ID
	numbered := func(title string, asn int, trashed time.Time) string {
		t.Helper()
		d, err := s.Store.UpdateDocument(s.file(owner, title, "x").ID, func(d *store.Document) error { d.ASN, d.Trashed = asn, trashed; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s %d", d.ID, d.Revision)
	}
	numbered("Has the number", 7, time.Time{})
	stays := []string{numbered("Twelfth", 7, time.Now())}
	for range maxRefused + 1 {
		stays = append(stays, numbered("Another", 7, time.Now()))
	}
	comes, too := numbered("Comes", 0, time.Now()), numbered("Comes, too", 8, time.Now())
	back := func(documents ...string) answer {
		t.Helper()
		return s.ask("POST", "/trash", ben, url.Values{"document": documents, "restore": {"1"}}.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept-Language", "de")
	}
	a := back(append(slices.Clone(stays), comes)...)
	for _, want := range []string{"1 Dokument ist wieder da.", "<li>Twelfth: Ein anderes Dokument hat die Archivnummer 7", "und 2 weitere"} {
		if a.StatusCode != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s, want %q\n%s", a.Status, want, a.body)
		}
	}
	if a := back(stays[0]); a.StatusCode != 422 || !strings.Contains(a.body, "Keines davon ist wieder da.") {
		t.Errorf("none: %s\n%s", a.Status, a.body)
	}
	if a := back(too); a.StatusCode != 303 {
		t.Errorf("all: %s\n%s", a.Status, a.body)
	}
	if in, err := s.Store.Documents(store.DocumentQuery{Trash: true}); err != nil || len(in) != len(stays) {
		t.Errorf("%d are still in the trash, want %d: %v", len(in), len(stays), err)
	}
}

// When the disk is full, or the box changes its version, halfway through the trash, it is said
// how far that came.
func TestEmptyingBreaksOff(t *testing.T) {
	s := newSite(t, nil)
	for _, tt := range []struct {
		x      emptied
		err    error
		status int
		want   string
	}{
		{emptied{Done: 3}, store.ErrDiskFull, 507, "3 von 7 Dokumenten sind endgültig gelöscht. Die anderen sind noch im Papierkorb. Der Speicher ist voll."},
		{emptied{Done: 1, Restore: true}, store.ErrClosed, 503, "1 von 7 Dokumenten sind aus dem Papierkorb geholt. Die anderen sind noch darin. docscan startet gleich neu"},
		{emptied{Done: 2}, io.ErrUnexpectedEOF, 500, "Hier ist etwas schiefgegangen."},
		{emptied{Restore: true}, store.ErrDiskFull, 507, "Der Speicher ist voll."},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/trash", nil)
		r.Header.Set("Accept-Language", "de")
		s.fail(w, r, nil, tt.x.brokenOff(tt.err, problem(tt.err), 7))
		if page := html.UnescapeString(w.Body.String()); w.Code != tt.status || !strings.Contains(page, tt.want) || strings.Contains(page, "von 7") != (tt.x.Done > 0) {
			t.Errorf("%+v, %v: %d, want %d with %q\n%s", tt.x, tt.err, w.Code, tt.status, tt.want, page)
		}
	}
}

// What is wrong with one of the two forms for sheets stands beside it, with what was typed.
func TestSheetsForms(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	if a := s.ask("GET", "/sheets", ben, "", "Accept-Language", "de"); !strings.Contains(a.body, "189 Etiketten zu 25,4 x 10 mm") {
		t.Errorf("how large a label is, in German:\n%s", a.body)
	}
	for _, tt := range []struct {
		a      answer
		typed  string
		labels bool
	}{
		{s.form("/sheets/labels", ben, url.Values{"layout": {"L4731"}, "kind": {"qr"}, "digits": {"99"}}), `value="99"`, true},
		{s.form("/sheets/labels", ben, url.Values{"layout": {"L4731"}, "kind": {"qr"}, "digits": {"5"}, "right": {"a bit"}}), `name="right"`, true},
		{s.ask("GET", "/sheets/separators?kind=qr&sheets=5&paper=A4", ben, ""), `<option value="qr" selected>`, false},
	} {
		before, after, found := strings.Cut(tt.a.body, `<p class="fault" role="alert">`)
		if tt.a.StatusCode != 422 || !found || !strings.Contains(tt.a.body, tt.typed) || strings.Contains(after, `id="h-labels"`) == tt.labels || strings.Contains(before, `id="h-labels"`) != tt.labels {
			t.Errorf("labels %t: %s\n%s", tt.labels, tt.a.Status, tt.a.body)
		}
	}
}

// Who chooses several documents of which one cannot be changed is told which, and nothing
// is done.
func TestManyWithMixedRights(t *testing.T) {
	s := newSite(t, nil)
	admin, ben, carl := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember), s.user("carl", store.RoleMember)
	office := s.group(admin, "Office", "ben", "carl")
	bens, own := s.file(s.named("ben").ID, "Letter of Ben", "boiler"), s.file(s.named("carl").ID, "Own", "garage")
	s.json("PUT", "/api/v1/documents/"+string(bens.ID)+"/groups", ben, `{"groups":["`+string(office.ID)+`"]}`, 200, nil)
	both := url.Values{"id": {string(own.ID), string(bens.ID)}, "value": {"tax"}}
	ticked := func(a answer, id store.DocumentID) bool {
		return strings.Contains(a.body, `value="`+string(id)+`" checked`)
	}
	for _, do := range []string{"tag", "trash", "merge"} {
		both.Set("do", do)
		a := s.form("/documents", carl, both)
		if a.StatusCode != 403 || !strings.Contains(a.body, "“Letter of Ben” is shared with you to read.") || !strings.Contains(a.body, `value="tax"`) {
			t.Errorf("%s: %s\n%s", do, a.Status, a.body)
		}
		if !ticked(a, own.ID) || do != "tag" && !strings.Contains(a.body, `<option value="`+do+`" selected>`) {
			t.Errorf("%s: what was chosen is not chosen any more:\n%s", do, a.body)
		}
	}
	if a := s.form("/documents", carl, url.Values{"id": {string(own.ID)}, "do": {"untag"}, "value": {" , "}}); a.StatusCode != 422 || !strings.Contains(a.body, "Write the tags") || !ticked(a, own.ID) {
		t.Errorf("no tags: %s\n%s", a.Status, a.body)
	}
	if a := s.form("/documents", carl, url.Values{"id": {"gone", string(own.ID)}, "do": {"trash"}}); a.StatusCode != 404 || !strings.Contains(a.body, "is no longer there") || !ticked(a, own.ID) {
		t.Errorf("one that is gone: %s\n%s", a.Status, a.body)
	}
	both.Set("do", "zip")
	if a := s.form("/documents", carl, both); a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/zip" {
		t.Errorf("who may read both takes both: %s", a.Status)
	}
	if d, err := s.Store.Document(own.ID); err != nil || len(d.Tags) > 0 || !d.Trashed.IsZero() {
		t.Errorf("the own one was changed: %+v, %v", d, err)
	}
}

// A change that somebody has gone on from cannot be taken back, and that is said. Reading
// again stands in the history and offers no way back.
func TestUndoComesTooLate(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	d := s.file("", "Letter", "boiler")
	at := "/api/v1/documents/" + string(d.ID)
	change := s.read(s.ask("PATCH", at, admin, `{"title":"Bill"}`, "If-Match", "*"), "change")
	s.json("PATCH", at, admin, `{"type":"Invoice"}`, 200, nil)
	if a := s.form("/changes/"+change+"/undo", admin, nil); a.StatusCode != 412 || !strings.Contains(a.body, "something has been done since") {
		t.Errorf("%s\n%s", a.Status, a.body)
	}
	now, err := s.Store.Document(d.ID)
	if err != nil || now.Title != "Bill" || now.Type != "Invoice" {
		t.Errorf("%+v, %v", now, err)
	}
	read := store.Change{ID: store.ChangeID(store.NewID()), Time: time.Now(), Actor: "anna", Action: "read"}
	if _, err := s.Store.ChangeDocuments(read, []store.Document{now}, nil); err != nil {
		t.Fatal(err)
	}
	if a := s.ask("GET", "/documents/"+string(d.ID), admin, ""); !strings.Contains(a.body, "it was read again") || strings.Contains(a.body, "/changes/"+string(read.ID)) {
		t.Errorf("the history:\n%s", a.body)
	}
	s.json("DELETE", at+"?forever=1", admin, "", 204, nil)
	if a := s.form("/changes/"+change+"/undo", admin, nil); a.StatusCode != 404 || !strings.Contains(a.body, "no longer kept") {
		t.Errorf("of a document that is gone: %s\n%s", a.Status, a.body)
	}
}
