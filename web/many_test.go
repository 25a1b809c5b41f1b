package web

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/store"
	"docscan/store/audit"
	"docscan/store/search"
)

// many puts n documents with a word into the store at once, each like d.
func (s *site) many(d store.Document, n int, word string) []store.Document {
	s.t.Helper()
	var docs []store.Document
	var found []search.Doc
	for i := range n {
		x := d
		x.ID, x.Title, x.Created = store.DocumentID(store.NewID()), fmt.Sprintf("%s %d", word, i), time.Now()
		docs = append(docs, x)
		found = append(found, search.Doc{ID: string(x.ID), Owner: string(x.Owner), Title: x.Title, Revision: 1})
	}
	if err := s.Store.FileDocuments(d.Batch, docs); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Index.Put(s.t.Context(), found...); err != nil {
		s.t.Fatal(err)
	}
	return docs
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`)

// asks gives the form of a page that asks before something is done.
func (s *site) asks(a answer, question string) url.Values {
	s.t.Helper()
	if a.StatusCode != 200 || !strings.Contains(a.body, question) {
		s.t.Fatalf("%s, want %q\n%s", a.Status, question, a.body)
	}
	form := make(url.Values)
	for _, m := range hiddenInput.FindAllStringSubmatch(a.body, -1) {
		form.Add(m[1], html.UnescapeString(m[2]))
	}
	return form
}

// What a search finds on all its pages can be changed together: that is asked first, is done
// to what was asked about and to nothing else, and can be taken back.
func TestAllThatIsFound(t *testing.T) {
	s := newSite(t, nil)
	admin, ben, carl := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember), s.user("carl", store.RoleMember)
	office := s.group(admin, "Office", "ben", "carl")
	shared, secret := s.file(s.userID("carl"), "Shared", "boiler lease"), s.file(s.userID("carl"), "Secret", "boiler")
	s.json("PUT", "/api/v1/documents/"+string(shared.ID)+"/groups", carl, `{"groups":["`+string(office.ID)+`"]}`, 200, nil)
	docs := s.many(s.file(s.userID("ben"), "Other", "garage"), 60, "boiler")
	trashed := func(list ...store.Document) (n int) {
		t.Helper()
		for _, d := range list {
			now, err := s.Store.Document(d.ID)
			if err != nil {
				t.Fatal(err)
			}
			if !now.Trashed.IsZero() {
				n++
			}
		}
		return n
	}

	if a := s.ask("GET", "/documents?q=boiler", ben, ""); !strings.Contains(a.body, "All 61 documents found, those on further pages too") {
		t.Errorf("the list does not offer all:\n%s", a.body)
	}
	if a := s.ask("GET", "/documents?q=garage", ben, ""); strings.Contains(a.body, `name="all"`) {
		t.Error("a list of one page offers its further ones")
	}
	all := url.Values{"q": {"boiler"}, "all": {"1"}, "do": {"trash"}, "id": {string(docs[0].ID)}}
	a := s.form("/documents", ben, all)
	form := s.asks(a, "Put 60 documents into the trash?")
	if !strings.Contains(a.body, "1 more document is shared with you to read") || !strings.Contains(a.body, "and 50 more") || strings.Contains(a.body, string(shared.ID)) || strings.Contains(a.body, string(secret.ID)) || trashed(docs...) > 0 {
		t.Errorf("asked about others, or done already (%d):\n%s", trashed(docs...), a.body)
	}
	if a := s.form("/documents", admin, all); !strings.Contains(a.body, "62 of them belong to somebody else") || s.recorded("document_search", "success") == 0 {
		t.Errorf("an administrator:\n%s", a.body)
	}
	if a := s.ask("GET", "/documents?q=boiler", admin, ""); strings.Count(a.body, "belongs to ben") != listLimit {
		t.Errorf("an administrator is not told whose they are:\n%s", a.body)
	}
	late := s.file(s.userID("ben"), "Late", "boiler") // nobody was asked about this one
	before := s.newest()
	if a := s.form("/documents", ben, form); a.StatusCode != 303 || a.Header.Get("Location") != "/documents?q=boiler" {
		t.Fatalf("%s\n%s", a.Status, a.body)
	}
	if got := s.since(before); !slices.Equal(got, []string{"document_trash success"}) {
		t.Errorf("in the log: %q", got)
	}
	if list, _, err := s.Store.Audit(audit.Query{Target: string(docs[40].ID), Limit: 1}); err != nil || len(list) != 1 || list[0].Action != "document_trash" || list[0].Actor != "ben" {
		t.Errorf("of one of them the log has %+v, %v", list, err)
	}
	if got, other := trashed(docs...), trashed(late, shared, secret); got != 60 || other != 0 {
		t.Errorf("%d of 60 are in the trash, and %d others", got, other)
	}
	changes, err := s.Store.ChangesOf(docs[7].ID, 1)
	if err != nil || len(changes) != 1 {
		t.Fatal(changes, err)
	}
	if a := s.form("/changes/"+string(changes[0].ID)+"/undo", ben, nil); a.StatusCode != 303 || trashed(docs...) != 0 {
		t.Errorf("taken back: %s, %d are still in the trash", a.Status, trashed(docs...))
	}

	form.Add("id", string(secret.ID))
	for name, tt := range map[string]struct {
		who    string
		values url.Values
		want   int
		text   string
	}{
		"another's":      {ben, form, 404, "no longer there"},
		"nothing fits":   {ben, url.Values{"q": {"nonsense"}, "all": {"1"}, "do": {"trash"}}, 422, "No document fits"},
		"only shared":    {ben, url.Values{"q": {"lease"}, "all": {"1"}, "do": {"trash"}}, 403, "shared with you to read"},
		"no action":      {ben, url.Values{"q": {"boiler"}, "all": {"1"}, "do": {"dance"}}, 422, "Choose what to do"},
		"no tags":        {ben, url.Values{"q": {"boiler"}, "all": {"1"}, "do": {"tag"}, "value": {" ,"}}, 422, "Write the tags"},
		"the whole list": {ben, url.Values{"all": {"1"}, "do": {"type"}}, 200, "Set the type of 62 documents?"},
		"taken away":     {ben, url.Values{"q": {"boiler"}, "all": {"1"}, "do": {"untag"}, "value": {"a, b"}}, 200, "Tags: a, b"},
		"one of one":     {admin, url.Values{"q": {"lease"}, "all": {"1"}, "do": {"merge"}}, 422, "Only one document fits"},
		"together":       {ben, url.Values{"q": {"boiler"}, "all": {"1"}, "do": {"merge"}}, 200, "Make one document of 61 documents?"},
	} {
		if a := s.form("/documents", tt.who, tt.values); a.StatusCode != tt.want || !strings.Contains(a.body, tt.text) {
			t.Errorf("%s: %s, want %d with %q\n%s", name, a.Status, tt.want, tt.text, a.body)
		}
	}
	if n := trashed(append(docs, late, shared, secret)...); n > 0 {
		t.Errorf("%d are in the trash by what was refused", n)
	}

	// Programs say how many they mean.
	tag := func(query string, count int) string {
		return fmt.Sprintf(`{"query":%q,"count":%d,"add_tags":["tax"]}`, query, count)
	}
	for body, want := range map[string]int{tag("boiler", 60): 412, tag(" ", 61): 422, `{"documents":[{"id":"x","revision":1}],"query":"boiler","count":61,"add_tags":["tax"]}`: 422, tag("nonsense", 0): 422} {
		if got := s.status("POST", "/api/v1/changes", ben, body); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
	var done splitView
	s.json("POST", "/api/v1/changes", ben, tag("boiler", 61), 200, &done)
	if len(done.Documents) != 61 || slices.ContainsFunc(done.Documents, func(d store.Document) bool {
		return !slices.Equal(d.Tags, []string{"tax"}) || d.Owner != s.userID("ben")
	}) {
		t.Errorf("%d documents, %+v", len(done.Documents), done.Documents)
	}
	for by, a := range map[string]answer{
		"a program": s.ask("GET", "/api/v1/export?q=boiler", ben, ""),
		"a form":    s.form("/documents", ben, url.Values{"q": {"boiler"}, "all": {"1"}, "do": {"zip"}}),
	} {
		z, err := zip.NewReader(strings.NewReader(a.body), int64(len(a.body)))
		if err != nil || len(z.File) != 62 { // what may be read may be taken away
			t.Errorf("%s: %s, %v, want 62 files", by, a.Status, err)
		}
	}
}

// Very many documents are changed in steps, each of which is asked for and is a change of its
// own.
func TestAllInSteps(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	docs := s.many(s.file(s.userID("ben"), "Other", "garage"), maxChosen+3, "boiler")
	all := url.Values{"q": {"boiler"}, "all": {"1"}, "do": {"trash"}}
	a := s.form("/documents", ben, all)
	form := s.asks(a, "Put 503 documents into the trash?")
	if !strings.Contains(a.body, "Do it with 500 documents") || !strings.Contains(a.body, "This goes in steps of 500") {
		t.Errorf("the steps are not told:\n%s", a.body)
	}
	s.asks(s.form("/documents", ben, url.Values{"all": {"1"}, "do": {"type"}}), "Set the type of 504 documents?")
	for whole, most := range map[string]string{"merge": "more than 100 documents", "zip": "more than 500 documents", "pdf": "more than 500 documents"} {
		if a := s.form("/documents", ben, url.Values{"q": {"boiler"}, "all": {"1"}, "do": {whole}}); a.StatusCode != 422 || !strings.Contains(a.body, most) {
			t.Errorf("%s: %s, want %q\n%s", whole, a.Status, most, a.body)
		}
	}
	if got := s.status("POST", "/api/v1/changes", ben, `{"query":"boiler","count":503,"trash":true}`); got != 422 {
		t.Errorf("by a program: %d, want 422", got)
	}
	for name, told := range map[string]string{"others": "7 of them belong", "shared": "8 more documents are shared", "more": "There may be more than these. Do the same again afterwards."} {
		if strings.Contains(a.body, told) {
			t.Errorf("it is said that %q", told)
		}
		form.Set(name, map[string]string{"others": "7", "shared": "8", "more": "1"}[name])
	}
	a = s.form("/documents", ben, form)
	form = s.asks(a, "500 of 503 are done.")
	for _, told := range []string{"7 of them belong", "8 more documents are shared", "There may be more than these. Do the same again afterwards."} {
		if !strings.Contains(a.body, told) || form.Get("others") != "7" || form.Get("shared") != "8" || form.Get("more") != "1" {
			t.Errorf("%q is not said any more, or not passed on:\n%s", told, a.body)
		}
	}
	if len(form["id"]) != 3 || !strings.Contains(a.body, "Do it with 3 documents") {
		t.Errorf("%d are left\n%s", len(form["id"]), a.body)
	}
	undo := regexp.MustCompile(`/changes/[^"]+/undo`).FindString(a.body)
	if a := s.form("/documents", ben, form); a.StatusCode != 303 {
		t.Errorf("the last step: %s\n%s", a.Status, a.body)
	}
	in, err := s.Store.Documents(store.DocumentQuery{Trash: true})
	if err != nil || len(in) != len(docs) {
		t.Errorf("%d of %d are in the trash, %v", len(in), len(docs), err)
	}
	a = s.form(undo, ben, form) // with the ones that were left then
	missing := func(d store.Document) bool { return !slices.Contains(form["id"], string(d.ID)) }
	if form = s.asks(a, "Taken back. 0 of 503 are done."); len(form["id"]) != 503 || slices.ContainsFunc(docs, missing) || !strings.Contains(a.body, "Put 503 documents into the trash?") || strings.Contains(a.body, "/undo") {
		t.Errorf("after the first step is taken back %d are asked about\n%s", len(form["id"]), a.body)
	}
	if in, err = s.Store.Documents(store.DocumentQuery{Trash: true}); err != nil || len(in) != 3 {
		t.Errorf("%d are in the trash, want those of the last step alone: %v", len(in), err)
	}
}

// Of more than what is done at once it is said how to come to the others: those of a search
// that was done to are found by it again, unless they are in the trash.
func TestMoreThanAll(t *testing.T) {
	s := newSite(t, nil)
	s.user("ben", store.RoleMember)
	for _, do := range []string{"trash", "tag", "untag", "type", "from"} {
		for tag, want := range map[string]string{"en": "narrow the search afterwards", "de": "Grenzen Sie die Suche danach ein"} {
			if do == "trash" {
				want = map[string]string{"en": "Do the same again afterwards.", "de": "Machen Sie danach dasselbe noch einmal."}[tag]
			}
			w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/documents", nil)
			r.Header.Set("Accept-Language", tag)
			c := &call{w: w, r: r, caller: &caller{user: s.named("ben")}}
			if err := s.askMany(c, manyData{Do: do, Value: "x", Query: "boiler", More: true}); err != nil || !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: %v, want %q\n%s", do, err, want, w.Body)
			}
		}
	}
}

// Where it takes too long to find all, that is said, and not that there are none or too many.
func TestAllTakeTooLong(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	docs := s.many(s.file(s.userID("ben"), "Other", "garage"), 3, "boiler")
	s.allTime = -time.Hour
	for _, do := range []string{"trash", "merge", "zip", "pdf"} {
		if a := s.form("/documents", ben, url.Values{"q": {"boiler"}, "all": {"1"}, "do": {do}}); a.StatusCode != 422 || !strings.Contains(a.body, "It takes too long to find all documents that fit.") {
			t.Errorf("%s: %s\n%s", do, a.Status, a.body)
		}
	}
	for by, a := range map[string]answer{
		"a change":  s.ask("POST", "/api/v1/changes", ben, `{"query":"boiler","count":3,"trash":true}`),
		"an export": s.ask("GET", "/api/v1/export?q=boiler", ben, ""),
	} {
		if a.StatusCode != 422 || !strings.Contains(a.body, "/problems/uncounted") {
			t.Errorf("%s: %s %s", by, a.Status, a.body)
		}
	}
	for _, d := range docs {
		if now, err := s.Store.Document(d.ID); err != nil || !now.Trashed.IsZero() {
			t.Errorf("%s is in the trash, %v", d.Title, err)
		}
	}
}

// An answer with the text of many documents is sent one by one, and never looks whole if it
// breaks off.
func TestManyResults(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	docs := s.many(s.file(s.userID("ben"), "Other", "garage"), 2*resultsAtOnce+4, "boiler") // 45 with the first
	var ids []store.DocumentID
	for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
		var v resultsView
		s.json("GET", fmt.Sprintf("/api/results?limit=%d&cursor=%s", resultsAtOnce+5, cursor), ben, "", 200, &v)
		for _, r := range v.Results {
			if r.Text != "garage" {
				t.Errorf("%+v", r)
			}
			ids = append(ids, r.ID)
		}
		cursor = v.Next
	}
	if len(ids) != len(docs)+1 || !slices.IsSortedFunc(ids, func(a, b store.DocumentID) int { return strings.Compare(string(b), string(a)) }) {
		t.Errorf("%d results: %v", len(ids), ids)
	}
	if a := s.ask("GET", "/api/results?cursor="+string(ids[len(ids)-1]), ben, ""); a.body != "{\"results\":[],\"next\":\"\"}\n" {
		t.Errorf("behind the last: %s", a.body)
	}
	for i, at := range []int{30, len(docs) - 1} { // the last is the first of the list
		begun := i == 0
		if _, err := s.Store.UpdateDocument(docs[at].ID, func(d *store.Document) error { d.Pages = []store.DocumentPage{{Batch: d.Batch, Seq: 99}}; return nil }); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/api/results?limit=500", nil)
		r.Header.Set("Authorization", "Bearer "+ben)
		broke := func() (broke bool) {
			defer func() { broke = recover() == http.ErrAbortHandler }()
			s.Handler().ServeHTTP(w, r)
			return false
		}()
		if broke != begun || json.Valid(w.Body.Bytes()) == begun || w.Code == 200 && !begun {
			t.Errorf("with document %d broken: broken off %t, %d %.100s", at, broke, w.Code, w.Body)
		}
	}
}

// An administrator who is asked about documents of others sees their titles, and leaves an
// entry, wherever their numbers come from.
func TestAskedTitlesAreAudited(t *testing.T) {
	s := newSite(t, nil)
	s.user("anna", store.RoleAdmin)
	s.user("ben", store.RoleMember)
	s.user("carl", store.RoleMember)
	d := s.file(s.userID("ben"), "Dismissal", "boiler")
	for name, sees := range map[string]bool{"anna": true, "ben": true, "carl": false} {
		before := s.newest()
		w := httptest.NewRecorder()
		c := &call{w: w, r: httptest.NewRequest("POST", "/documents", nil), caller: &caller{user: s.named(name)}}
		if err := s.askMany(c, manyData{Do: "trash", IDs: []string{string(d.ID), "no/number"}}); err != nil || strings.Contains(w.Body.String(), "Dismissal") != sees {
			t.Errorf("%s is asked: %v\n%s", name, err, w.Body)
		}
		var want []string
		if name == "anna" {
			want = []string{"document_list success"}
		}
		if got := s.since(before); !slices.Equal(got, want) {
			t.Errorf("%s leaves %q, want %q", name, got, want)
		}
	}
}

// An administrator who sees what files of others are called leaves an entry.
func TestNamesOfFilesAreAudited(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	for i, path := range []string{"/api/v1/batches", "/api/v1/batches/%[1]s", "/api/batches", "/api/batches/%[1]s", "/api/admin/users/%[2]s/activities"} {
		name := fmt.Sprintf("ben%d", i)
		own := s.user(name, store.RoleMember)
		d := s.file(s.userID(name), "Letter", "boiler")
		page, err := s.Store.Page(d.Batch, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Store.UpdateBatch(d.Batch, func(b *store.Batch) error {
			b.Upload = &store.Upload{Name: "dismissal.jpg", File: page.Raw, Pages: 1}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(path, "%") {
			path = fmt.Sprintf(path, d.Batch, d.Owner)
		}
		before := s.newest()
		for _, who := range []string{own, admin, admin} {
			if a := s.ask("GET", path, who, ""); who == admin && (a.StatusCode != 200 || !strings.Contains(a.body, "dismissal.jpg")) {
				t.Errorf("%s: %s %s", path, a.Status, a.body)
			}
		}
		got := s.since(before)
		if strings.HasSuffix(path, "activities") { // which is for administrators
			got = slices.DeleteFunc(got, func(e string) bool { return e == "access_denied blocked" })
		}
		if !slices.Equal(got, []string{"document_list success"}) {
			t.Errorf("%s leaves %q", path, got)
		}
	}
}
