package web

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"docscan/store"
)

// A backup is restored from the page and by programs: looked at first, confirmed with the
// password, and only what was looked at.
func TestRestore(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	s.file("", "Letter", "boiler")
	backup := s.ask("GET", "/api/v1/system/backup", admin, "").body
	if a := s.ask("POST", restorePath, admin, backup, "Content-Type", anyFile); a.StatusCode != 409 || !strings.Contains(a.body, "docscanctl restore") {
		t.Errorf("where nobody starts docscan again: %s %s", a.Status, a.body)
	}
	if a := s.ask("GET", "/system", admin, ""); !strings.Contains(a.body, "docscanctl restore") || strings.Contains(a.body, `name="backup"`) {
		t.Error("the page offers what is not possible here")
	}
	restarts := 0
	s.Restart = func() { restarts++ }
	send := func(content string) answer {
		t.Helper()
		body, kind := form(t, "backup@box.backup="+content)
		return s.ask("POST", restorePage, admin, body, "Content-Type", kind)
	}
	if a := send(backup[:len(backup)/2]); a.StatusCode != 422 || !strings.Contains(a.body, "no whole backup of docscan") || !strings.Contains(a.body, `name="backup"`) {
		t.Errorf("half a backup: %s\n%s", a.Status, a.body)
	}
	if a := s.ask("GET", restorePath, admin, ""); a.StatusCode != 404 {
		t.Errorf("half a backup lies ready: %s %s", a.Status, a.body)
	}
	if a := send(backup); a.StatusCode != 303 {
		t.Fatalf("%s\n%s", a.Status, a.body)
	}
	page := s.ask("GET", "/system", admin, "").body
	for _, want := range []string{"A backup lies ready, and it is whole.", "It has 1 document.", "with their passwords of then: anna."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page is without %q:\n%s", want, page)
		}
	}
	first := s.ask("GET", restorePath, admin, "").Header.Get("ETag")
	s.file("", "Letter", "garage")
	backup = s.ask("GET", "/api/v1/system/backup", admin, "").body
	if a := s.ask("POST", restorePath, admin, backup, "Content-Type", anyFile); a.StatusCode != 201 || !strings.Contains(a.body, `"documents":2`) {
		t.Fatalf("another backup: %s %s", a.Status, a.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+restorePath, io.MultiReader(strings.NewReader(backup))) // nobody says how much it is
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+admin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 201 {
		t.Errorf("in chunks: %s", resp.Status)
	}
	in := fmt.Sprintf(`{"password":%q}`, password)
	for what, tt := range map[string]struct {
		body, match string
		want        int
	}{
		"without a state":        {in, "", 428},
		"another than looked at": {in, first, 412},
		"a wrong password":       {`{"password":"no"}`, "*", 422},
		"no password":            {`{}`, "*", 422},
	} {
		var header []string
		if tt.match != "" {
			header = []string{"If-Match", tt.match}
		}
		if a := s.ask("POST", restorePath+"/start", admin, tt.body, header...); a.StatusCode != tt.want {
			t.Errorf("%s: %s %s, want %d", what, a.Status, a.body, tt.want)
		}
	}
	if a := s.form(restorePage+"/start", admin, url.Values{"password": {"no"}}); a.StatusCode != 422 || !strings.Contains(a.body, "The present password is not right.") {
		t.Errorf("a wrong password on the page: %s\n%s", a.Status, a.body)
	}
	b := store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchScanning}
	if err := s.Store.AddBatch(b); err != nil {
		t.Fatal(err)
	}
	if a := s.form(restorePage+"/start", admin, url.Values{"password": {password}}); a.StatusCode != 409 || !strings.Contains(a.body, "Wait until that has ended.") {
		t.Errorf("while paper is fed: %s\n%s", a.Status, a.body)
	}
	if _, err := s.Store.UpdateBatch(b.ID, func(b *store.Batch) error { b.State = store.BatchCanceled; return nil }); err != nil {
		t.Fatal(err)
	}
	if x, err := s.Store.Staged(); err != nil || x.Ready || restarts > 0 {
		t.Errorf("refused, and yet %+v, %v, %d restarts", x, err, restarts)
	}
	if a := s.form(restorePage+"/start", admin, url.Values{"password": {password}}); a.StatusCode != 200 || !strings.Contains(a.body, "docscan starts anew") {
		t.Errorf("%s\n%s", a.Status, a.body)
	}
	if x, err := s.Store.Staged(); err != nil || !x.Ready || restarts != 1 {
		t.Errorf("confirmed, and yet %+v, %v, %d restarts", x, err, restarts)
	}
	s.json("DELETE", restorePath, admin, "", 204, nil)
	if a := s.form(restorePage+"/drop", admin, nil); a.StatusCode != 404 || !strings.Contains(a.body, "No backup lies ready.") {
		t.Errorf("nothing to remove: %s\n%s", a.Status, a.body)
	}
}
