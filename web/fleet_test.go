package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Two accounts that every Debian has stand in for those of a fleet.
const (
	updateUser, updateUID = "daemon", "1"
	fleetUser, fleetUID   = "bin", "2"
)

func newFleetSite(t *testing.T) (*site, *fakeUpdates) {
	s := newSite(t, func(c *Config) { c.UpdateAccount, c.FleetAccount = updateUser, fleetUser })
	f := &fakeUpdates{}
	s.Updates = f
	return s, f
}

// local asks over the local socket as the user of that number.
func (s *site) local(uid, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.LocalHandler().ServeHTTP(w, AsLocal(r, uid))
	return w
}

// The accounts of a fleet may do what is made for them and nothing else, not even
// what everybody may.
func TestFleetAccounts(t *testing.T) {
	s, _ := newFleetSite(t)
	update := []string{"GET /api/v1/update", "GET /api/v1/update/history", "GET /api/v1/update/facts", "GET " + uploadPath, "PUT " + uploadPath, "POST /api/v1/update/install", "POST /api/v1/update/rollback"}
	fleet := append([]string{"GET /api/v1/fleet/devices", "POST /api/v1/fleet/check", "POST /api/v1/fleet/restart", "PUT " + configPath, "GET " + auditExport}, update...)
	for _, rt := range routes() {
		path := rt.path
		for _, p := range []string{":id", ":seq", ":digest", ":action", ":batch", "*file"} {
			path = strings.ReplaceAll(path, p, "x")
		}
		name := rt.method + " " + rt.path
		for uid, may := range map[string][]string{updateUID: update, fleetUID: fleet, "3": nil, "-1": nil} {
			got := s.local(uid, rt.method, path, "").Code
			if allowed := slices.Contains(may, name); allowed == (got == http.StatusForbidden) {
				t.Errorf("user %s, %s: %d, allowed %t", uid, name, got, allowed)
			}
		}
	}
	// The same words over the network give no rights.
	if got := s.ask("GET", "/api/v1/update", "", "", fleetByHeader, "anna", fleetFromHeader, "10.0.0.9"); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("over the network: %d", got.StatusCode)
	}
}

func TestFleetAsks(t *testing.T) {
	s, f := newFleetSite(t)
	by := []string{fleetByHeader, "anna@laptop", fleetFromHeader, "10.0.0.9"}
	tests := []struct {
		uid, method, path, body string
		status                  int
		asked                   string
	}{
		{updateUID, "POST", "/api/v1/update/install", `{"digest":"ab","size":9}`, 202, "install ab 9 false by daemon (anna@laptop) from 10.0.0.9"},
		{updateUID, "POST", "/api/v1/update/install", `{"digest":"ab","size":9,"downgrade":true}`, 403, ""},
		{updateUID, "POST", "/api/v1/update/rollback", `{"reason":"slow"}`, 202, "roll back: slow by daemon (anna@laptop) from 10.0.0.9"},
		{fleetUID, "PUT", configPath, "[web]", 202, "configure [web] false by bin (anna@laptop) from 10.0.0.9"},
		{fleetUID, "PUT", configPath + "?dry_run=1", "[web]", 202, "configure [web] true by bin (anna@laptop) from 10.0.0.9"},
		{fleetUID, "PUT", configPath, "", 422, ""},
		{fleetUID, "POST", "/api/v1/fleet/restart", "", 202, "restart by bin (anna@laptop)"},
	}
	for _, tt := range tests {
		f.asked = nil
		got := s.local(tt.uid, tt.method, tt.path, tt.body, by...)
		if asked := strings.Join(f.asked, "; "); got.Code != tt.status || asked != tt.asked {
			t.Errorf("%s %s %s: %d, asked for %q; want %d, %q", tt.method, tt.path, tt.body, got.Code, asked, tt.status, tt.asked)
		}
	}
}

// The facts tell how the box is and nothing of what was scanned.
func TestFacts(t *testing.T) {
	s, _ := newFleetSite(t)
	got := s.local(updateUID, "GET", "/api/v1/update/facts", "")
	if got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"healthy":true`) || !strings.Contains(got.Body.String(), `"disk_free_bytes":`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

func TestFleetConfig(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"":               func(c *Config) { c.UpdateAccount, c.FleetAccount = "", "" },
		"update_account": func(c *Config) { c.UpdateAccount = "root" },
		"fleet_account":  func(c *Config) { c.FleetAccount = c.UpdateAccount },
	} {
		c := DefaultConfig()
		change(&c)
		err := c.Check()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error of %q", err, want)
		}
	}
}
