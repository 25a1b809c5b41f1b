package web

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"docscan/scan"
	"docscan/store"
)

// answered reads what a change answers.
func answered(t *testing.T, a answer, status int) (got struct {
	Document  store.Document   `json:"document"`
	Documents []store.Document `json:"documents"`
	Change    string           `json:"change"`
}) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// Two people have one document open. The second to save is told, and what the
// first saved stays.
func TestEditConflict(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	owner, err := s.Store.UserByName("ben")
	if err != nil {
		t.Fatal(err)
	}
	at := "/api/v1/documents/" + string(s.file(owner.ID, "letter", "text").ID)
	tag := s.ask("GET", at, ben, "").Header.Get("ETag")
	first := s.ask("PATCH", at, ben, `{"title":"Rent","tags":["home"]}`, "If-Match", tag)
	answered(t, first, 200)
	if a := s.ask("PATCH", at, ben, `{"title":"Letter"}`, "If-Match", tag); a.StatusCode != 412 || !strings.Contains(a.body, "/problems/changed") {
		t.Errorf("the second edit: %s %s", a.Status, a.body)
	}
	if a := s.ask("PATCH", at, ben, `{"title":"Letter"}`); a.StatusCode != 428 {
		t.Errorf("an edit of no state in particular: %s", a.Status)
	}
	// What is not said stays.
	got := answered(t, s.ask("PATCH", at, ben, `{"type":"invoice"}`, "If-Match", first.Header.Get("ETag")), 200)
	if d := got.Document; d.Title != "Rent" || d.Type != "invoice" || len(d.Tags) != 1 {
		t.Errorf("%+v", d)
	}
	if a := s.ask("PATCH", at, ben, `{"date":"soon"}`, "If-Match", `"r3"`); a.StatusCode != 422 {
		t.Errorf("a date that is none: %s %s", a.Status, a.body)
	}
}

func TestDocumentChanges(t *testing.T) {
	s := newSite(t, nil)
	ben, carl := s.user("ben", store.RoleMember), s.user("carl", store.RoleMember)
	owner, err := s.Store.UserByName("ben")
	if err != nil {
		t.Fatal(err)
	}
	a, b := s.file(owner.ID, "a", "one"), s.file(owner.ID, "b", "two")
	at := "/api/v1/documents/" + string(a.ID)
	other := fmt.Sprintf(`{"documents":[{"id":%q,"revision":1}],"revision":1}`, b.ID)
	merged := answered(t, s.ask("POST", at+"/merge", ben, other), 200)
	if len(merged.Document.Pages) != 2 {
		t.Fatalf("%+v", merged.Document)
	}
	if trash := answered(t, s.ask("GET", "/api/v1/trash", ben, ""), 200); len(trash.Documents) != 1 {
		t.Errorf("the trash has %d documents, want 1", len(trash.Documents))
	}
	for _, x := range []string{"POST " + at + "/split", "POST " + at + "/merge", "PUT " + at + "/pages", "PATCH " + at, "POST " + at + "/restore",
		"POST /api/v1/changes/" + merged.Change + "/undo", "GET " + at + "/changes", "GET " + at + "/aside"} {
		method, path, _ := strings.Cut(x, " ")
		if got := s.ask(method, path, carl, `{"revision":2,"after":[1]}`); got.StatusCode != 404 {
			t.Errorf("somebody else: %s: %s", x, got.Status)
		}
	}
	if got := answered(t, s.ask("POST", "/api/v1/changes/"+merged.Change+"/undo", ben, ""), 200); len(got.Documents) != 2 {
		t.Errorf("undo gives %d documents, want 2", len(got.Documents))
	}
	again := answered(t, s.ask("POST", at+"/merge", ben, strings.ReplaceAll(other, `"revision":1`, `"revision":3`)), 200)
	pages, err := json.Marshal(map[string]any{"pages": []store.DocumentPage{again.Document.Pages[1], {Batch: a.Batch, Seq: 1, Turn: 180}}, "revision": 4})
	if err != nil {
		t.Fatal(err)
	}
	turned := answered(t, s.ask("PUT", at+"/pages", ben, string(pages)), 200)
	if p := turned.Document.Pages; p[0].Batch != b.Batch || p[1].Turn != 180 {
		t.Errorf("%+v", p)
	}
	if got := answered(t, s.ask("POST", at+"/split", ben, `{"after":[1],"revision":5}`), 200); len(got.Documents) != 2 {
		t.Errorf("split gives %d documents, want 2", len(got.Documents))
	}
	var history struct{ Changes []store.Change }
	if err := json.Unmarshal([]byte(s.ask("GET", at+"/changes", ben, "").body), &history); err != nil || len(history.Changes) != 5 {
		t.Errorf("%d changes, %v, want 5", len(history.Changes), err)
	}
	if got := s.ask("POST", "/api/v1/documents/"+string(b.ID)+"/restore", ben, ""); got.StatusCode != 200 {
		t.Errorf("restore: %s %s", got.Status, got.body)
	}
}

// Several documents are changed as one: all or none, by whom they belong to, and taken
// back at once.
func TestChangeMany(t *testing.T) {
	s := newSite(t, nil)
	ben, carl := s.user("ben", store.RoleMember), s.user("carl", store.RoleMember)
	owner := s.userID("ben")
	a, b := s.file(owner, "a", "one"), s.file(owner, "b", "two")
	both := func(first, second int) string {
		return fmt.Sprintf(`"documents":[{"id":%q,"revision":%d},{"id":%q,"revision":%d}]`, a.ID, first, b.ID, second)
	}
	for _, tt := range []struct {
		what, token, body string
		status            int
	}{
		{"somebody else", carl, `{` + both(1, 1) + `,"type":"x"}`, 404},
		{"none", ben, `{"documents":[],"type":"x"}`, 422},
		{"nothing to do", ben, `{` + both(1, 1) + `}`, 422},
		{"two things", ben, `{` + both(1, 1) + `,"type":"x","trash":true}`, 422},
		{"another state", ben, `{` + both(1, 7) + `,"type":"x"}`, 412},
		{"an unknown one", ben, `{"documents":[{"id":"none","revision":1}],"type":"x"}`, 404},
	} {
		if got := s.ask("POST", "/api/v1/changes", tt.token, tt.body); got.StatusCode != tt.status {
			t.Errorf("%s: %s %s, want %d", tt.what, got.Status, got.body, tt.status)
		}
	}
	done := answered(t, s.ask("POST", "/api/v1/changes", ben, `{`+both(1, 1)+`,"type":"Invoice","correspondent":"City","add_tags":["Tax","house"],"remove_tags":["HOUSE"]}`), 200)
	if len(done.Documents) != 2 {
		t.Fatalf("%+v", done)
	}
	for _, d := range done.Documents {
		if d.Type != "Invoice" || d.Correspondent != "City" || len(d.Tags) != 1 || d.Tags[0] != "tax" || d.Revision != 2 {
			t.Errorf("%+v", d)
		}
	}
	for _, d := range answered(t, s.ask("POST", "/api/v1/changes/"+done.Change+"/undo", ben, ""), 200).Documents {
		if d.Type != "" || len(d.Tags) != 0 {
			t.Errorf("taken back: %+v", d)
		}
	}
	if got := answered(t, s.ask("POST", "/api/v1/changes", ben, `{`+both(3, 3)+`,"trash":true}`), 200); len(got.Documents) != 2 || got.Documents[1].Trashed.IsZero() {
		t.Errorf("%+v", got)
	}
}

func TestReadAgain(t *testing.T) {
	s := newSite(t, nil)
	ben, carl := s.user("ben", store.RoleMember), s.user("carl", store.RoleMember)
	owner, err := s.Store.UserByName("ben")
	if err != nil {
		t.Fatal(err)
	}
	d := s.file(owner.ID, "letter", "text")
	at := "/api/v1/documents/" + string(d.ID) + "/read"
	tests := []struct {
		token, body string
		status      int
		want        string
	}{
		{carl, `{"revision":1}`, 404, ""},
		{ben, `{}`, 428, ""},
		{ben, `{"revision":7}`, 412, ""},
		{ben, `{"languages":["xyz"],"revision":1}`, 422, "tesseract-ocr-xyz"},
		{ben, `{"leave":["ironing"],"revision":1}`, 422, "ironing"},
		{ben, `{"languages":["eng"],"revision":1}`, 202, ""},
	}
	for _, tt := range tests {
		if a := s.ask("POST", at, tt.token, tt.body); a.StatusCode != tt.status || !strings.Contains(a.body, tt.want) {
			t.Errorf("%s: %s %s, want %d with %q", tt.body, a.Status, a.body, tt.status, tt.want)
		}
	}
	if waits, err := s.Engine.WaitsToBeRead(d.ID); err != nil || !waits {
		t.Errorf("waits %v, %v", waits, err)
	}
}

// What was found is shown as it is and taken over by a button.
func TestFoundIsTaken(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	owner, err := s.Store.UserByName("ben")
	if err != nil {
		t.Fatal(err)
	}
	first := s.file(owner.ID, "first", "text")
	d := s.file(owner.ID, "letter", "text")
	d, err = s.Store.UpdateDocument(d.ID, func(d *store.Document) error {
		d.Found = &store.Found{Title: "Bill <4711>", Kind: "invoice", Correspondent: "Power Ltd", Same: first.ID,
			Date:  &store.FoundDate{Day: "2026-04-03", Other: "2026-03-04", Words: "03/04/2026", Page: 1},
			Total: &store.FoundAmount{Value: "12.50", Currency: "EUR", Words: "12,50", Page: 1}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	at := "/documents/" + string(d.ID)
	page := s.ask("GET", at, ben, "").body
	for _, want := range []string{"Bill &lt;4711&gt;", "“03/04/2026”", "12.50 EUR", "Power Ltd", "the same paper as first"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page is without %q", want)
		}
	}
	for _, tt := range []struct {
		take, want string
		got        func(store.Document) string
	}{
		{"correspondent", "Power Ltd", func(d store.Document) string { return d.Correspondent }},
		{"type", "invoice", func(d store.Document) string { return d.Type }},
		{"other", "2026-03-04", func(d store.Document) string { return d.Date }},
		{"title", "Bill <4711>", func(d store.Document) string { return d.Title }},
	} {
		form := fmt.Sprintf("revision=%d&title=letter&take=%s", d.Revision, tt.take)
		if a := s.ask("POST", at+"/marks", ben, form, "Content-Type", "application/x-www-form-urlencoded"); a.StatusCode != 303 {
			t.Fatalf("take %s: %s", tt.take, a.Status)
		}
		if d, err = s.Store.Document(d.ID); err != nil {
			t.Fatal(err)
		}
		if got := tt.got(d); got != tt.want {
			t.Errorf("take %s: %q, want %q", tt.take, got, tt.want)
		}
	}
	if a := s.ask("POST", at+"/read", ben, fmt.Sprintf("revision=%d&languages=eng", d.Revision), "Content-Type", "application/x-www-form-urlencoded"); a.StatusCode != 303 {
		t.Errorf("read again: %s", a.Status)
	}
	form := fmt.Sprintf("revision=%d&languages=eng&clean_up=1&steps=upright&steps=background&steps=colour&steps=straighten", d.Revision)
	if a := s.ask("POST", at+"/read", ben, form, "Content-Type", "application/x-www-form-urlencoded"); a.StatusCode != 303 {
		t.Errorf("read again without a step: %s", a.Status)
	}
	var wishes []struct {
		Reading scan.Reading `json:"reading"`
	}
	if _, err := s.Store.Setting("read-again", &wishes); err != nil || len(wishes) != 1 || !slices.Equal(wishes[0].Reading.Leave, []string{"crop"}) {
		t.Errorf("read again without a step: %+v, %v", wishes, err)
	}
	if page := s.ask("GET", at, ben, "").body; !strings.Contains(page, "It is going to be read again.") {
		t.Error("the page does not say that it is going to be read again")
	}
}
