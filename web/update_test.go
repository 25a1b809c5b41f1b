package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/scan"
	"docscan/store"
)

// fakeUpdates remembers what it was asked for.
type fakeUpdates struct {
	asked  []string
	refuse error
}

func (f *fakeUpdates) Status() (UpdateStatus, error) {
	return UpdateStatus{Running: "1.2.0", State: "rolled-back", Current: &UpdateVersion{"a", "1.2.0", "aa"}, Previous: &UpdateVersion{"b", "1.1.0", "bb"}, Reason: "it <hangs>"}, nil
}

func (f *fakeUpdates) History() ([]UpdateStep, error) {
	list := []UpdateStep{{Time: time.Unix(1e9, 0), Step: "install", Who: "anna", From: "10.0.0.9", Version: "1.3.0"}}
	for i, step := range []string{"try", "commit", "commit", "restart"} { // in one second
		list = append(list, UpdateStep{Time: time.Unix(1e9+int64(i/2), 0), Step: step, Who: "docscan"})
	}
	return list, nil
}

func (f *fakeUpdates) Part(_ context.Context, digest string, size, offset int64, r io.Reader) (int64, error) {
	if r == nil {
		return 7, f.refuse
	}
	n, err := io.Copy(io.Discard, r)
	f.asked = append(f.asked, fmt.Sprintf("part %s %d at %d: %d", digest, size, offset, n))
	return offset + n, err
}

func (f *fakeUpdates) Receive(_ context.Context, size int64, r io.Reader) (string, int64, error) {
	text, err := io.ReadAll(r)
	if int64(len(text)) > size {
		err = fmt.Errorf("%d bytes were announced, %d came", size, len(text))
	}
	return string(text), int64(len(text)), errors.Join(err, f.refuse)
}

func (f *fakeUpdates) Install(_ context.Context, digest string, size int64, downgrade bool, by scan.By) error {
	f.asked = append(f.asked, fmt.Sprintf("install %s %d %t by %s from %s", digest, size, downgrade, by.Actor, by.Address))
	return f.refuse
}

func (f *fakeUpdates) Package(_ context.Context, downgrade bool, by scan.By) error {
	f.asked = append(f.asked, fmt.Sprintf("package %t by %s from %s", downgrade, by.Actor, by.Address))
	return f.refuse
}

func (f *fakeUpdates) RollBack(_ context.Context, reason string, by scan.By) error {
	f.asked = append(f.asked, fmt.Sprintf("roll back: %s by %s from %s", reason, by.Actor, by.Address))
	return f.refuse
}

func (f *fakeUpdates) Restart(_ context.Context, by scan.By) error {
	f.asked = append(f.asked, fmt.Sprintf("restart by %s", by.Actor))
	return f.refuse
}

func (f *fakeUpdates) Configure(_ context.Context, settings []byte, dryRun bool, by scan.By) error {
	f.asked = append(f.asked, fmt.Sprintf("configure %s %t by %s from %s", settings, dryRun, by.Actor, by.Address))
	return f.refuse
}

func TestUpdateAPI(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	if got := s.ask("GET", "/api/v1/update", admin, ""); got.StatusCode != http.StatusNotFound || !strings.Contains(got.body, "package manager") {
		t.Errorf("where nothing can be updated: %d %s", got.StatusCode, got.body)
	}
	f := &fakeUpdates{}
	s.Updates = f
	member := s.user("ben", store.RoleMember)
	large := strings.Repeat("x", 3<<20) // larger than other bodies may be
	tests := []struct {
		method, path, token, body string
		status                    int
		want                      string // of the answer
		asked                     string
	}{
		{"GET", "/api/v1/update", admin, "", 200, `"running":"1.2.0"`, ""},
		{"GET", "/api/v1/update/history", admin, "", 200, `"who":"anna"`, ""},
		{"GET", "/api/v1/update/uploads/ab?size=9", admin, "", 200, `"offset":7`, ""},
		{"PUT", "/api/v1/update/uploads/ab?size=9&offset=2", admin, large, 200, `"offset":3145730`, "part ab 9 at 2: 3145728"},
		{"PUT", "/api/v1/update/uploads/ab?size=9&offset=-2", admin, "x", 422, "offset", ""},
		{"PUT", "/api/v1/update/uploads/ab?offset=0", admin, "x", 422, "size", ""},
		{"PUT", "/api/v1/update/uploads/ab?size=9&offset=0", admin, strings.Repeat("x", maxUpdatePart+1), 413, "", ""},
		{"POST", "/api/v1/update/install", admin, `{"digest":"ab","size":9,"downgrade":true}`, 202, `"state"`, "install ab 9 true by anna from 127.0.0.1"},
		{"POST", "/api/v1/update/package", admin, `{"downgrade":true}`, 202, `"state"`, "package true by anna from 127.0.0.1"},
		{"POST", "/api/v1/update/package", member, `{}`, 403, "", ""},
		{"POST", "/api/v1/update/rollback", admin, `{"reason":"slow"}`, 202, `"state"`, "roll back: slow by anna from 127.0.0.1"},
		{"GET", "/api/v1/update", member, "", 403, "", ""},
		{"POST", "/api/v1/update/install", member, `{"digest":"ab","size":9}`, 403, "", ""},
		{"PUT", "/api/v1/update/uploads/ab?size=9&offset=0", member, "x", 403, "", ""},
		{"POST", "/api/v1/update/rollback", "", `{}`, 401, "", ""},
		{"GET", "/system/update", admin, "", 200, "it &lt;hangs&gt;", ""},
	}
	for _, tt := range tests {
		f.asked = nil
		got := s.ask(tt.method, tt.path, tt.token, tt.body)
		if got.StatusCode != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s %s: %d %.200s, want %d %s", tt.method, tt.path, got.StatusCode, got.body, tt.status, tt.want)
		}
		if asked := strings.Join(f.asked, "; "); tt.asked != "" && asked != tt.asked || tt.status >= 401 && tt.status <= 403 && asked != "" {
			t.Errorf("%s %s: asked for %q, want %q", tt.method, tt.path, asked, tt.asked)
		}
	}
	f.asked = nil
	if got := s.form("/system/update/rollback", admin, url.Values{"reason": {"slow"}}); got.StatusCode != http.StatusSeeOther || !slices.Equal(f.asked, []string{"roll back: slow by anna from 127.0.0.1"}) {
		t.Errorf("the form: %d, asked for %q", got.StatusCode, f.asked)
	}
	for _, tt := range []struct {
		name   string
		parts  []string
		token  string
		status int
		asked  []string
	}{
		{"a file", []string{"file@x.bundle=abcd"}, admin, 303, []string{"install abcd 4 false by anna from 127.0.0.1"}},
		{"an older one", []string{"downgrade=1", "file@x.bundle=abcd"}, admin, 303, []string{"install abcd 4 true by anna from 127.0.0.1"}},
		{"no file", []string{"downgrade=1"}, admin, 422, nil},
		{"no form", nil, admin, 422, nil},
		{"of a member", []string{"file@x.bundle=abcd"}, member, 403, nil},
	} {
		f.asked = nil
		body, kind := form(t, tt.parts...)
		if got := s.ask("POST", "/system/update/install", tt.token, body, "Content-Type", kind); got.StatusCode != tt.status || !slices.Equal(f.asked, tt.asked) {
			t.Errorf("the form with %s: %d %.200s, asked for %q; want %d, %q", tt.name, got.StatusCode, got.body, f.asked, tt.status, tt.asked)
		}
	}
	f.refuse = &UpdateError{UpdateNoRoom, errors.New("the disk is full")}
	body, kind := form(t, "file@x.bundle=abcd")
	if got := s.ask("POST", "/system/update/install", admin, body, "Content-Type", kind); got.StatusCode != http.StatusConflict || !strings.Contains(got.body, "the disk is full") {
		t.Errorf("the form is refused: %d %.200s", got.StatusCode, got.body)
	}
	if got := s.ask("POST", "/api/v1/update/install", admin, `{"digest":"ab","size":9}`); got.StatusCode != http.StatusConflict || !strings.Contains(got.body, "the disk is full") || !strings.Contains(got.body, "/problems/update-no-room") {
		t.Errorf("a refusal: %d %s", got.StatusCode, got.body)
	}
}
