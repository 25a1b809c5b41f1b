package web

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docscan/store"
	"docscan/store/audit"
)

func TestDestinations(t *testing.T) {
	s := newSite(t, nil)
	admin, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	dir := t.TempDir()
	if a := s.ask("POST", "/api/v1/destinations", ben, `{}`); a.StatusCode != 403 {
		t.Errorf("a member: %s", a.Status)
	}
	body := func(v map[string]any) string {
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(j)
	}
	for name, v := range map[string]map[string]any{
		"no name":   {"kind": "folder", "folder": dir},
		"no folder": {"name": "x", "kind": "folder", "folder": filepath.Join(dir, "none")},
		"no kind":   {"name": "x"},
		"too long":  {"name": "x", "kind": "webdav", "url": "http://h/" + strings.Repeat("x", 5000)},
	} {
		if a := s.ask("POST", "/api/v1/destinations", admin, body(v)); a.StatusCode != 422 {
			t.Errorf("%s: %s %s", name, a.Status, a.body)
		}
	}
	plain := url.Values{"name": {"x"}, "kind": {"webdav"}, "url": {"http://192.0.2.1/"}}
	if a := s.form("/destinations", admin, plain); a.StatusCode != 422 || !strings.Contains(a.body, "plain_destinations") || !strings.Contains(a.body, `value="http://192.0.2.1/"`) {
		t.Errorf("an address without encryption: %s\n%s", a.Status, a.body)
	}
	a := s.ask("POST", "/api/v1/destinations", admin, body(map[string]any{"name": "Share", "kind": "folder", "folder": dir, "password": "hush"}))
	var made store.Destination
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.StatusCode != 201 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	if _, err := os.Stat(filepath.Join(dir, ".docscan-destination")); err != nil {
		t.Errorf("the folder is not marked: %v", err)
	}
	// A password is kept, but never told.
	keep := store.Destination{ID: "dav", Name: "Cloud", Kind: "webdav", URL: "http://127.0.0.1:1/", User: "anna", Password: "hush-hush"}
	if err := s.Store.PutDestination(keep); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/v1/destinations", "/destinations", "/welcome/documents"} {
		if a := s.ask("GET", path, admin, ""); a.StatusCode != 200 || !strings.Contains(a.body, "Cloud") || strings.Contains(a.body, "hush-hush") {
			t.Errorf("%s: %s\n%s", path, a.Status, a.body)
		}
	}
	// Of an earlier version there may be one to which everything goes unencrypted.
	const readable = "can read the password"
	if a := s.ask("GET", "/destinations", admin, ""); strings.Contains(a.body, readable) {
		t.Error("on this box itself nobody is on the way")
	}
	if err := s.Store.PutDestination(store.Destination{ID: "far", Name: "Far", Kind: "webdav", URL: "http://192.0.2.1/"}); err != nil {
		t.Fatal(err)
	}
	if a := s.ask("GET", "/destinations", admin, ""); !strings.Contains(a.body, readable) {
		t.Errorf("that a password can be read is not told:\n%s", a.body)
	}
	if err := s.Store.DeleteDestination("far"); err != nil {
		t.Fatal(err)
	}
	d := s.file(s.userID("ben"), "Letter", "boiler")
	if err := s.Store.PutDelivery(store.Delivery{Destination: made.ID, Document: d.ID, Error: "this is a file, not a folder"}); err != nil {
		t.Fatal(err)
	}
	if a := s.ask("GET", "/api/v1/documents/"+string(d.ID)+"/deliveries", ben, ""); a.StatusCode != 200 || !strings.Contains(a.body, `"name":"Share"`) {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if a := s.ask("GET", "/documents/"+string(d.ID), ben, "", "Accept-Language", "de"); !strings.Contains(a.body, "wartet: das ist eine Datei, kein Ordner") {
		t.Errorf("the page does not tell why it waits: %s", a.Status)
	}
	bad := url.Values{"name": {"Mine"}, "kind": {"folder"}, "folder": {"scans"}, "password": {"hush"}}
	if a := s.form("/destinations", admin, bad); a.StatusCode != 422 || !strings.Contains(a.body, `value="Mine"`) || !strings.Contains(a.body, "It cannot be used") || strings.Contains(a.body, "hush") {
		t.Errorf("a bad form: %s\n%s", a.Status, a.body)
	}
	for path, want := range map[string]int{"/destinations/none/retry": 404, "/destinations/none/delete": 404, "/destinations/" + string(made.ID) + "/retry": 303} {
		if a := s.form(path, admin, nil); a.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, a.Status, want)
		}
	}
	if a := s.form("/destinations/"+string(made.ID)+"/delete", admin, nil); a.StatusCode != 303 {
		t.Errorf("deleting: %s", a.Status)
	}
	if _, err := s.Store.Delivery(made.ID, d.ID); err == nil {
		t.Error("what arrived at a destination that is gone is still told of")
	}
	// The audit log has where documents went, and no password.
	for action, want := range map[string]string{"destination_added": dir, "destination_deleted": "Share"} {
		list, _, err := s.Store.Audit(audit.Query{Action: action, Limit: 1})
		if err != nil || len(list) != 1 || list[0].Details != want {
			t.Errorf("%s: %+v, %v, want %s", action, list, err, want)
		}
	}
}
