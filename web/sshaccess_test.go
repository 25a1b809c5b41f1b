package web

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"docscan/store"
	"docscan/store/audit"
)

// fakeSSH is root's side.
type fakeSSH struct {
	asked  []string
	ways   []SSHWay
	refuse error
}

func (f *fakeSSH) ask(format string, args ...any) error {
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
	return f.refuse
}

func (f *fakeSSH) Ways() ([]SSHWay, error)                      { return f.ways, nil }
func (f *fakeSSH) LetKeys(_ context.Context, keys string) error { return f.ask("keys %s", keys) }
func (f *fakeSSH) LetAuthority(_ context.Context, key string) error {
	return f.ask("authority %s", key)
}
func (f *fakeSSH) KeepOut(_ context.Context, print string) error { return f.ask("out %s", print) }
func (f *fakeSSH) Close(context.Context) error                   { return f.ask("close") }

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9rBQhXyGfsVq4DLwRnqtMH4zJ4OjvS2oXCcUGo8W2q anna"

func TestSSHAccessAPI(t *testing.T) {
	s := newSite(t, nil)
	admin, member := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	if a := s.ask("POST", sshAccessPath, admin, `{"close":true}`); a.StatusCode != 404 || !strings.Contains(a.body, "docscanctl receive setup") {
		t.Errorf("where root does not answer: %s %s", a.Status, a.body)
	}
	f := &fakeSSH{ways: []SSHWay{{Account: "docscan-update", Name: "anna", Fingerprint: "SHA256:abc", Allow: []string{"logs"}}}}
	s.SSHAccess = f
	tests := []struct {
		method, token, body string
		status              int
		want, asked         string
	}{
		{"GET", admin, "", 200, `"fingerprint":"SHA256:abc"`, ""},
		{"GET", member, "", 403, "", ""},
		{"POST", member, `{"keys":"` + publicKey + `"}`, 403, "", ""},
		{"POST", "", `{"close":true}`, 401, "", ""},
		{"POST", admin, `{"keys":"` + publicKey + `"}`, 200, `"changeable":true`, "keys " + publicKey},
		{"POST", admin, `{"authority":"` + publicKey + `"}`, 200, "", "authority " + publicKey},
		{"POST", admin, `{"keep_out":"SHA256:abc"}`, 200, "", "out SHA256:abc"},
		{"POST", admin, `{"close":true}`, 200, "", "close"},
		{"POST", admin, `{}`, 422, "no public key", ""},
		{"POST", admin, `{"keys":"` + publicKey + `","authority":"` + publicKey + `"}`, 422, "One thing at a time", ""},
		{"POST", admin, `{"keep_out":"SHA256:abc","close":true}`, 422, "One thing at a time", ""},
		{"POST", admin, `{"keys":"hello"}`, 422, "Line 1 is not a public key", ""},
		{"POST", admin, `{"keys":"` + publicKey + `\nssh-rsa AAAA x"}`, 422, "Line 2 is not", ""},
		{"POST", admin, `{"keys":"-----BEGIN OPENSSH PRIVATE KEY-----\nsecret"}`, 422, "private key", ""},
		{"POST", admin, `{"keys":"` + strings.Repeat("x", maxSSHKeys+1) + `"}`, 422, "too many", ""},
	}
	for _, tt := range tests {
		f.asked = nil
		a := s.ask(tt.method, sshAccessPath, tt.token, tt.body)
		if a.StatusCode != tt.status || !strings.Contains(a.body, tt.want) || strings.Contains(a.body, "secret") {
			t.Errorf("%s %.60s: %s %s, want %d with %q", tt.method, tt.body, a.Status, a.body, tt.status, tt.want)
		}
		if asked := strings.Join(f.asked, "; "); asked != tt.asked {
			t.Errorf("%s %.60s: root was asked %q, want %q", tt.method, tt.body, asked, tt.asked)
		}
	}
	f.refuse = fmt.Errorf("%w: there is no SSH server here", ErrSSHAccess)
	if a := s.ask("POST", sshAccessPath, admin, `{"keys":"`+publicKey+`"}`); a.StatusCode != 409 || !strings.Contains(a.body, "no SSH server") {
		t.Errorf("refused: %s %s", a.Status, a.body)
	}
	var done []string
	entries, _, err := s.Store.Audit(audit.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Action, "ssh_") {
			done = append(done, e.Action+" "+string(e.Status))
		}
	}
	if got, want := strings.Join(done, ", "), "ssh_let_key failure, ssh_close success, ssh_keep_out success, ssh_let_authority success, ssh_let_key success"; got != want {
		t.Errorf("recorded: %s, want %s", got, want)
	}
}

func TestSSHAccessPage(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	if a := s.ask("GET", sshAccessPage, admin, ""); a.StatusCode != 200 || strings.Contains(a.body, "<textarea") {
		t.Errorf("where root does not answer: %s", a.Status)
	}
	if a := s.ask("GET", "/welcome/documents", admin, ""); strings.Contains(a.body, sshAccessPage) {
		t.Error("the wizard offers what there is not")
	}
	f := &fakeSSH{}
	s.SSHAccess = f
	if a := s.ask("GET", "/welcome/documents", admin, ""); !strings.Contains(a.body, sshAccessPage) {
		t.Error("the wizard does not offer it")
	}
	if a := s.ask("GET", sshAccessPage, admin, ""); !strings.Contains(a.body, "It is off until a key is let in") {
		t.Errorf("it is not off by default: %s", a.body)
	}
	if a := s.form(sshAccessPage, admin, url.Values{"kind": {"authority"}, "key": {publicKey}}); a.StatusCode != 303 || len(f.asked) != 1 || f.asked[0] != "authority "+publicKey {
		t.Errorf("let in: %s, asked %q", a.Status, f.asked)
	}
	f.ways = []SSHWay{{Account: "docscan-update", Authority: true, Name: "<ca>", Fingerprint: "SHA256:abc"}}
	if a := s.ask("GET", sshAccessPage, admin, "", "Accept-Language", "de"); !strings.Contains(a.body, "&lt;ca&gt;") || !strings.Contains(a.body, "Zertifizierungsstelle") || !strings.Contains(a.body, "SHA256:abc") {
		t.Errorf("who may come in: %s", a.body)
	}
	a := s.form(sshAccessPage, admin, url.Values{"kind": {"key"}, "key": {"-----BEGIN OPENSSH PRIVATE KEY-----\nsecret"}})
	if a.StatusCode != 422 || !strings.Contains(a.body, "private key") || strings.Contains(a.body, "secret") {
		t.Errorf("a private key: %s", a.Status)
	}
	if a := s.form(sshAccessPage, admin, url.Values{"keep_out": {"SHA256:abc"}}); a.StatusCode != 303 || f.asked[len(f.asked)-1] != "out SHA256:abc" {
		t.Errorf("keep out: %s, asked %q", a.Status, f.asked)
	}
	if a := s.form(sshAccessPage, admin, url.Values{"close": {"1"}}); a.StatusCode != 303 || f.asked[len(f.asked)-1] != "close" {
		t.Errorf("close: %s, asked %q", a.Status, f.asked)
	}
}
