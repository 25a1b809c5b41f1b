package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"github.com/pquerna/otp/totp"

	"docscan/store"
	"docscan/store/audit"
)

// json asks and decodes the answer, which must have this status.
func (s *site) json(method, path, token, body string, status int, out any) {
	s.t.Helper()
	a := s.ask(method, path, token, body, "If-Match", "*") // in whatever state it is
	if a.StatusCode != status {
		s.t.Fatalf("%s %s: %s %s, want %d", method, path, a.Status, a.body, status)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal([]byte(a.body), out); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, a.body)
	}
}

// read gives a field of a JSON answer.
func (s *site) read(a answer, field string) string {
	s.t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		s.t.Fatalf("%v in %s", err, a.body)
	}
	text, _ := v[field].(string)
	if text == "" {
		s.t.Fatalf("no %s in %s", field, a.body)
	}
	return text
}

// status asks and gives the status.
func (s *site) status(method, path, token, body string) int {
	s.t.Helper()
	return s.ask(method, path, token, body).StatusCode
}

// named gives the user of that name.
func (s *site) named(name string) store.User {
	s.t.Helper()
	u, err := s.Store.UserByName(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// recorded counts the entries of the audit log with this action and status.
func (s *site) recorded(action, status string) int {
	s.t.Helper()
	list, _, err := s.Store.Audit(audit.Query{Action: action, Status: status, Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

// secondFactor sets up one-time codes for the bearer of token, and returns the
// secret, the recovery codes and the code that was used.
func (s *site) secondFactor(token string) (secret string, recovery []string, used string) {
	s.t.Helper()
	var begun struct{ Ticket, Secret, URI string }
	s.json("POST", "/api/v1/second-factor", token, fmt.Sprintf(`{"password":%q}`, password), 200, &begun)
	if !strings.HasPrefix(begun.URI, "otpauth://totp/") || !strings.Contains(begun.URI, begun.Secret) {
		s.t.Fatalf("the app is told %q", begun.URI)
	}
	code, err := totp.GenerateCode(begun.Secret, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	var p Problem
	s.json("POST", "/api/v1/second-factor/confirm", token, fmt.Sprintf(`{"ticket":%q,"code":"000000"}`, begun.Ticket), 422, &p)
	var done struct {
		Codes []string `json:"recovery_codes"`
		Token string   `json:"access_token"`
	}
	s.json("POST", "/api/v1/second-factor/confirm", token, fmt.Sprintf(`{"ticket":%q,"code":%q}`, p.Ticket, code), 200, &done)
	if got := s.status("GET", "/api/v1/me", done.Token, ""); got != 200 || done.Token == token {
		s.t.Errorf("a program cannot go on with the secret that it is given: %d", got)
	}
	return begun.Secret, done.Codes, code
}

// logInWith tries to log in with a code.
func (s *site) logInWith(name, code string) answer {
	s.t.Helper()
	return s.ask("POST", "/api/v1/login", "", fmt.Sprintf(`{"username":%q,"password":%q,"code":%q}`, name, password, code))
}

// With a second factor the password alone opens nothing, and no code opens
// anything twice.
func TestSecondFactor(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("ben", store.RoleMember)
	other := s.logInAs("ben")
	secret, recovery, used := s.secondFactor(token)
	if got := s.status("GET", "/api/v1/me", other, ""); got != 401 {
		t.Errorf("another log-in goes on: %d", got)
	}
	if got := s.status("GET", "/api/v1/me", token, ""); got != 401 {
		t.Errorf("the secret from before goes on: %d", got)
	}
	if a := s.logInWith("ben", ""); a.StatusCode != 401 || !strings.Contains(a.body, "/problems/second-factor") {
		t.Errorf("the password alone: %s %s", a.Status, a.body)
	}
	if a := s.logInWith("ben", used); a.StatusCode != 401 {
		t.Errorf("the code with which it was set up, again: %s", a.Status)
	}
	next, err := totp.GenerateCode(secret, time.Now().Add(codePeriod*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if a := s.logInWith("ben", next[:3]+" "+next[3:]); a.StatusCode != 200 {
		t.Errorf("the next code: %s %s", a.Status, a.body)
	}
	for what, code := range map[string]string{"a used code": next, "a code from before": used, "nonsense": "12345x", "long": strings.Repeat("1", 500)} {
		if a := s.logInWith("ben", code); a.StatusCode != 401 || strings.Contains(a.body, "access_token") {
			t.Errorf("%s: %s", what, a.Status)
		}
	}
	if len(recovery) != recoveryCodes {
		t.Fatalf("%d recovery codes", len(recovery))
	}
	if a := s.logInWith("ben", strings.ToUpper(recovery[3])); a.StatusCode != 200 {
		t.Errorf("a recovery code: %s %s", a.Status, a.body)
	}
	if a := s.logInWith("ben", recovery[3]); a.StatusCode != 401 {
		t.Errorf("the recovery code again: %s", a.Status)
	}
	var in struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(s.logInWith("ben", recovery[0]).body), &in); err != nil {
		t.Fatal(err)
	}
	var left struct {
		Codes int `json:"recovery_codes"`
	}
	s.json("GET", "/api/v1/second-factor", in.Token, "", 200, &left)
	if left.Codes != recoveryCodes-2 {
		t.Errorf("%d recovery codes are left", left.Codes)
	}
	s.json("POST", "/api/v1/second-factor/recovery", in.Token, `{"password":"wrong"}`, 422, nil)
	var fresh struct {
		Codes []string `json:"recovery_codes"`
	}
	s.json("POST", "/api/v1/second-factor/recovery", in.Token, fmt.Sprintf(`{"password":%q}`, password), 200, &fresh)
	if a := s.logInWith("ben", recovery[5]); a.StatusCode != 401 {
		t.Errorf("a recovery code of before: %s", a.Status)
	}
	other = s.read(s.logInWith("ben", fresh.Codes[0]), "access_token")
	s.json("POST", "/api/v1/second-factor/off", in.Token, fmt.Sprintf(`{"password":%q}`, password), 204, nil)
	if got := s.status("GET", "/api/v1/me", other, ""); got != 401 {
		t.Errorf("another log-in goes on without the second factor: %d", got)
	}
	if a := s.logInWith("ben", ""); a.StatusCode != 200 {
		t.Errorf("with the second factor off: %s", a.Status)
	}
	for _, secret := range append(recovery, secret) {
		if strings.Contains(s.log.String(), secret) || strings.Contains(fmt.Sprint(s.named("ben").Recovery), secret) {
			t.Error("a secret is in the log or kept in clear")
		}
	}
}

// A code holds for its period and those beside it, as clocks differ, and for no other.
func TestCodesHoldShortly(t *testing.T) {
	secret, now := "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", time.Unix(1_900_000_005, 0)
	for away := -4; away <= 4; away++ {
		at := now.Add(time.Duration(away) * 30 * time.Second)
		code, err := totp.GenerateCode(secret, at)
		if err != nil {
			t.Fatal(err)
		}
		if step, ok := matchCode(secret, code, 0, now); ok != (away >= -1 && away <= 1) || ok && step != at.Unix()/30 {
			t.Errorf("a code %d periods away: %t, of period %d", away, ok, step)
		}
		if _, ok := matchCode(secret, code, at.Unix()/30, now); ok {
			t.Errorf("a code %d periods away is taken a second time", away)
		}
	}
}

// Whoever has shown the password again, or a code, goes on with another secret, which stands
// in the cookie and nowhere else. That of before, and all other log-ins, open nothing.
func TestSecretAfterProof(t *testing.T) {
	s := newSite(t, nil)
	s.user("ben", store.RoleMember)
	_, err := s.Store.UpdateUser(s.named("ben").ID, func(u *store.User) error {
		u.Passkeys = []store.Passkey{{ID: "one", Name: "Phone", Site: "box"}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	now := s.logInAs("ben")
	browse := func(path, kind, body string) answer {
		t.Helper()
		return s.ask("POST", path, "", body, "Cookie", cookieName+"="+now, "Content-Type", kind)
	}
	proof := fmt.Sprintf(`{"password":%q}`, password)
	var begun struct{ Ticket, Secret string }
	if err := json.Unmarshal([]byte(browse("/api/v1/second-factor", jsonType, proof).body), &begun); err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(begun.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	form := "application/x-www-form-urlencoded"
	typed := url.Values{"password": {password}}.Encode()
	for _, tt := range []struct{ path, kind, body string }{
		{"/api/v1/second-factor/confirm", jsonType, fmt.Sprintf(`{"ticket":%q,"code":%q}`, begun.Ticket, code)},
		{"/api/v1/second-factor/recovery", jsonType, proof},
		{"/account/second-factor/recovery", form, typed},
		{"/account/passkeys/one/delete", form, typed},
		{"/api/v1/second-factor/off", jsonType, proof},
		{"/account/password", form, url.Values{"old": {password}, "password": {password + "!"}, "again": {password + "!"}}.Encode()},
		{"/api/v1/password", jsonType, fmt.Sprintf(`{"old":%q,"password":%q}`, password+"!", password)},
	} {
		other := newSecret()
		x, err := s.Store.SessionByHash(hashSecret(now))
		if err != nil {
			t.Fatal(err)
		}
		x.ID, x.Hash = store.SessionID(store.NewID()), hashSecret(other)
		if err := s.Store.AddSession(nil, x); err != nil {
			t.Fatal(err)
		}
		a := browse(tt.path, tt.kind, tt.body)
		next := ""
		for _, c := range a.Cookies() {
			if c.Name == cookieName && c.HttpOnly {
				next = c.Value
			}
		}
		if a.StatusCode >= 400 || next == "" || next == now || strings.Contains(a.body, next) {
			t.Fatalf("%s: %s, the secret is %q\n%s", tt.path, a.Status, next, a.body)
		}
		for what, secret := range map[string]string{"the secret of before": now, "another log-in": other} {
			if got := s.status("GET", "/api/v1/me", secret, ""); got != 401 {
				t.Errorf("after %s %s opens: %d", tt.path, what, got)
			}
		}
		if now = next; s.status("GET", "/api/v1/me", now, "") != 200 {
			t.Fatalf("after %s the log-in does not go on", tt.path)
		}
	}
}

// The same by forms, as without script.
func TestSecondFactorForms(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("ben", store.RoleMember)
	cookie := cookieName + "=" + token
	form := func(path, cookie string, values ...string) answer {
		t.Helper()
		v := make(url.Values)
		for i := 0; i < len(values); i += 2 {
			v.Set(values[i], values[i+1])
		}
		return s.ask("POST", path, "", v.Encode(), "Cookie", cookie, "Content-Type", "application/x-www-form-urlencoded")
	}
	ticket := func(a answer) string {
		t.Helper()
		m := regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(a.body)
		if m == nil {
			t.Fatalf("no ticket: %s\n%s", a.Status, a.body)
		}
		return m[1]
	}
	a := form("/account/second-factor", cookie, "password", password)
	secret := regexp.MustCompile(`<code>([A-Z2-7]{32})</code>`).FindStringSubmatch(a.body)
	if secret == nil || !strings.Contains(a.body, "<svg") {
		t.Fatalf("no secret: %s\n%s", a.Status, a.body)
	}
	code, err := totp.GenerateCode(secret[1], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a = form("/account/second-factor/confirm", cookie, "ticket", ticket(a), "code", "999999")
	a = form("/account/second-factor/confirm", cookie, "ticket", ticket(a), "code", code)
	recovery := regexp.MustCompile(`<code>([a-z2-7]{6}(?:-[a-z2-7]{6}){3})</code>`).FindStringSubmatch(a.body)
	if recovery == nil || len(a.Cookies()) == 0 {
		t.Fatalf("no recovery codes, or the log-in has no new secret: %s\n%s", a.Status, a.body)
	}
	if got := s.ask("GET", "/account", "", "", "Cookie", cookieName+"="+a.Cookies()[0].Value).StatusCode; got != 200 {
		t.Errorf("the log-in does not go on: %d", got)
	}
	a = form("/login", "", "username", "ben", "password", password)
	if a.StatusCode != 200 || len(a.Cookies()) > 0 {
		t.Fatalf("the password alone: %s, cookies %v", a.Status, a.Cookies())
	}
	a = form("/login/code", "", "ticket", ticket(a), "code", "wrong code")
	good := form("/login/code", "", "ticket", ticket(a), "code", recovery[1])
	if good.StatusCode != 303 || !slices.ContainsFunc(good.Cookies(), func(c *http.Cookie) bool { return c.Name == cookieName && c.HttpOnly }) {
		t.Errorf("password and recovery code: %s %v", good.Status, good.Cookies())
	}
	if again := form("/login/code", "", "ticket", ticket(a), "code", recovery[1]); again.StatusCode != 401 {
		t.Errorf("the ticket again: %s", again.Status)
	}
	// One password is good for a few codes only.
	a = form("/login", "", "username", "ben", "password", password)
	for range maxTries - 1 {
		a = form("/login/code", "", "ticket", ticket(a), "code", "000000")
	}
	if a = form("/login/code", "", "ticket", ticket(a), "code", "000000"); strings.Contains(a.body, `name="ticket"`) {
		t.Error("codes can be guessed without end")
	}
}

// A passkey opens its account, and nothing else does with it.
func TestPasskeys(t *testing.T) {
	s := newSite(t, nil)
	token := s.user("ben", store.RoleMember)
	s.user("carl", store.RoleMember)
	if got := s.status("POST", "/api/v1/passkey-challenges", token, fmt.Sprintf(`{"password":%q}`, password)); got != 409 {
		t.Errorf("at an address without a name: %d", got)
	}
	near := *s
	near.url = strings.Replace(s.url, "127.0.0.1", "localhost", 1)
	rp := virtualwebauthn.RelyingParty{Name: "docscan", ID: "localhost", Origin: near.url}
	phone := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: []byte(s.named("ben").ID)})
	key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)

	type begun struct {
		Ticket  string          `json:"ticket"`
		Options json.RawMessage `json:"options"`
	}
	if got := near.status("POST", "/api/v1/passkey-challenges", token, `{"password":"wrong"}`); got != 422 {
		t.Errorf("with a wrong password: %d", got)
	}
	make := func(rp virtualwebauthn.RelyingParty, name string) answer {
		t.Helper()
		var b begun
		near.json("POST", "/api/v1/passkey-challenges", token, fmt.Sprintf(`{"password":%q}`, password), 200, &b)
		options, err := virtualwebauthn.ParseAttestationOptions(`{"publicKey":` + string(b.Options) + `}`)
		if err != nil {
			t.Fatal(err)
		}
		return near.ask("POST", "/api/v1/passkeys", token, fmt.Sprintf(`{"ticket":%q,"name":%q,"credential":%s}`, b.Ticket, name, virtualwebauthn.CreateAttestationResponse(rp, phone, key, *options)))
	}
	if a := make(virtualwebauthn.RelyingParty{Name: "docscan", ID: "localhost", Origin: "https://evil.example"}, "phone"); a.StatusCode != 401 {
		t.Errorf("made for another site: %s %s", a.Status, a.body)
	}
	var made struct{ ID string }
	a := make(rp, "my phone")
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.StatusCode != 201 || s.recorded("passkey_added", audit.Success) != 1 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	phone.AddCredential(key)

	logIn := func(rp virtualwebauthn.RelyingParty, device virtualwebauthn.Authenticator, key virtualwebauthn.Credential) (string, answer) {
		t.Helper()
		var b begun
		near.json("POST", "/api/v1/login/passkey-challenge", "", "{}", 200, &b)
		options, err := virtualwebauthn.ParseAssertionOptions(`{"publicKey":` + string(b.Options) + `}`)
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf(`{"ticket":%q,"credential":%s}`, b.Ticket, virtualwebauthn.CreateAssertionResponse(rp, device, key, *options))
		return body, near.ask("POST", "/api/v1/login/passkey", "", body)
	}
	before := s.newest()
	body, a := logIn(rp, phone, key)
	if a.StatusCode != 200 || !strings.Contains(a.body, `"name":"ben"`) || !slices.Equal(s.since(before), []string{"login success"}) {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	session := a.Cookies()[slices.IndexFunc(a.Cookies(), func(c *http.Cookie) bool { return c.Name == cookieName })]
	if !session.HttpOnly || strings.Contains(a.body, session.Value) {
		t.Errorf("scripts can read what opens the account: %s", a.body)
	}
	before = s.newest()
	if a := near.ask("POST", "/api/v1/login/passkey", "", body); a.StatusCode != 401 || !slices.Equal(s.since(before), []string{"login_too_late blocked"}) {
		t.Errorf("the same answer again: %s, recorded %q", a.Status, s.since(before))
	}
	foreign := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: []byte(s.named("carl").ID)})
	careless := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: []byte(s.named("ben").ID), UserNotVerified: true})
	for what, try := range map[string]func() (string, answer){
		"another site's": func() (string, answer) {
			return logIn(virtualwebauthn.RelyingParty{Name: "docscan", ID: "localhost", Origin: "https://evil.example"}, phone, key)
		},
		"another RP ID": func() (string, answer) {
			return logIn(virtualwebauthn.RelyingParty{Name: "docscan", ID: "evil.example", Origin: near.url}, phone, key)
		},
		"one nobody knows": func() (string, answer) {
			return logIn(rp, phone, virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2))
		},
		"ben's in carl's name":      func() (string, answer) { return logIn(rp, foreign, key) },
		"without a finger or a PIN": func() (string, answer) { return logIn(rp, careless, key) },
		"one with a signature of 0s": func() (string, answer) {
			return "", near.ask("POST", "/api/v1/login/passkey", "", `{"ticket":"x","credential":{}}`)
		},
	} {
		if _, a := try(); a.StatusCode != 401 {
			t.Errorf("%s: %s %s", what, a.Status, a.body)
		}
	}
	if s.recorded("login", audit.Failure) == 0 {
		t.Error("refused passkeys are not in the audit log")
	}
	// Of several that were begun, no more are made than there may be.
	fill := func(u *store.User) error {
		for i := range maxPasskeys - 2 {
			u.Passkeys = append(u.Passkeys, store.Passkey{ID: fmt.Sprint("crowd ", i), Site: "elsewhere", Credential: json.RawMessage("{}")})
		}
		return nil
	}
	if _, err := s.Store.UpdateUser(s.named("ben").ID, fill); err != nil {
		t.Fatal(err)
	}
	var begunTwice [2]begun
	for i := range begunTwice {
		near.json("POST", "/api/v1/passkey-challenges", token, fmt.Sprintf(`{"password":%q}`, password), 200, &begunTwice[i])
	}
	for i, b := range begunTwice {
		options, err := virtualwebauthn.ParseAttestationOptions(`{"publicKey":` + string(b.Options) + `}`)
		if err != nil {
			t.Fatal(err)
		}
		one := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		a := near.ask("POST", "/api/v1/passkeys", token, fmt.Sprintf(`{"ticket":%q,"name":"more","credential":%s}`, b.Ticket, virtualwebauthn.CreateAttestationResponse(rp, phone, one, *options)))
		if want := []int{201, 409}[i]; a.StatusCode != want {
			t.Errorf("passkey %d: %s %s, want %d", maxPasskeys+i, a.Status, a.body, want)
		}
	}
	near.json("DELETE", "/api/v1/passkeys/"+made.ID, token, "", 422, nil)
	other := s.logInAs("ben")
	near.json("DELETE", "/api/v1/passkeys/"+made.ID, token, fmt.Sprintf(`{"password":%q}`, password), 204, nil)
	if got := s.status("GET", "/api/v1/me", other, ""); got != 401 {
		t.Errorf("another log-in goes on: %d", got)
	}
	if _, a := logIn(rp, phone, key); a.StatusCode != 401 {
		t.Errorf("when it is deleted: %s", a.Status)
	}
}

// A key for programs does what its scopes say, on every route.
func TestScopes(t *testing.T) {
	s := newSite(t, nil)
	admin, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	keys := make(map[scope]string)
	for _, x := range scopes {
		var made struct{ Token string }
		s.json("POST", "/api/v1/tokens", admin, fmt.Sprintf(`{"name":"for %s","scopes":[%q],"expires_days":1}`, x, x), 201, &made)
		keys[x] = made.Token
	}
	for _, rt := range routes() {
		if rt.access == anyone || rt.path == eventsPath || rt.path == eventsBefore || strings.HasSuffix(rt.path, "/logout") || rt.access == updaters || rt.access == fleets {
			continue
		}
		path := strings.NewReplacer(":id", "none", ":session", "none", ":seq", "1", ":action", "cancel").Replace(rt.path)
		for x, key := range keys {
			allowed := x == scopeAll || slices.Contains(rt.access.needs(rt.method), x)
			if rt.access == members && rt.method == "GET" && x != scopeRead && x != scopeAll && allowed {
				t.Errorf("%s is good for %s %s", x, rt.method, rt.path)
			}
			a := s.ask(rt.method, path, key, "")
			if refused := a.StatusCode == 403 && (strings.Contains(a.body, "Key not good for this") || strings.Contains(a.body, "not good for that")); refused == allowed {
				t.Errorf("%s %s with the scope %s: %s", rt.method, path, x, a.Status)
			}
		}
	}
	for _, bad := range []string{`{"name":"x","scopes":["root"]}`, `{"name":"x","expires_days":0}`, `{"name":"x","expires_days":99999}`, `{"name":"a\u202eb"}`, `{"name":""}`} {
		if got := s.status("POST", "/api/v1/tokens", admin, bad); got != 422 {
			t.Errorf("%s: %d, want 422", bad, got)
		}
	}
	for i := range store.MaxTokens - 1 {
		if err := s.Store.AddToken(nil, store.Token{ID: store.TokenID(store.NewID()), Hash: fmt.Sprint("crowd ", i), User: s.named("ben").ID}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.status("POST", "/api/v1/tokens", ben, `{"name":"the last"}`); got != 201 {
		t.Errorf("the last key there is room for: %d", got)
	}
	if a := s.ask("POST", "/api/v1/tokens", ben, `{"name":"one more"}`); a.StatusCode != 409 || !strings.Contains(a.body, "Delete one first") {
		t.Errorf("more keys than there can be: %s %s", a.Status, a.body)
	}
	if got := s.status("POST", "/api/v1/tokens", keys[scopeRead], `{"name":"more","scopes":["all"]}`); got != 403 {
		t.Errorf("a key makes a stronger one: %d", got)
	}
	list, err := s.Store.Tokens(s.named("anna").ID)
	if err != nil {
		t.Fatal(err)
	}
	list[0].Expires = time.Now().Add(-time.Second)
	if err := s.Store.AddToken(nil, list[0]); err != nil {
		t.Fatal(err)
	}
	ended := 0
	for _, key := range keys {
		if s.status("GET", "/api/v1/me", key, "") == 401 {
			ended++
		}
	}
	if ended != 1 {
		t.Errorf("%d keys have ended, want the 1 whose time is over", ended)
	}
}

// Whoever is shut out is out at once: sessions, keys and open streams.
func TestShutOut(t *testing.T) {
	for _, how := range []struct{ name, method, path, body string }{
		{"disabled", "PATCH", "/api/v1/users/%s", `{"disabled":true}`},
		{"reset", "POST", "/api/v1/users/%s/reset", `{}`},
		{"the old way", "PATCH", "/api/admin/users/%s/status?is_active=false", ``},
		{"an old reset", "POST", "/api/admin/users/%s/reset-password", `{"new_password":"four score and seven"}`},
		{"ended", "POST", "/api/v1/users/%s/end", ``},
		{"another role", "PATCH", "/api/v1/users/%s", `{"role":"panel"}`},
		{"deleted", "DELETE", "/api/v1/users/%s", ``},
	} {
		t.Run(how.name, func(t *testing.T) {
			s := newSite(t, nil)
			admin, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
			var key struct{ Token string }
			s.json("POST", "/api/v1/tokens", ben, `{"name":"script"}`, 201, &key)
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			ends := make(chan error, 2)
			for _, token := range []string{ben, key.Token} {
				resp := s.stream(ctx, token, "")
				go func() {
					lines := bufio.NewScanner(resp.Body)
					for lines.Scan() {
					}
					ends <- lines.Err()
				}()
			}
			a := s.ask(how.method, fmt.Sprintf(how.path, s.named("ben").ID), admin, how.body, "If-Match", "*")
			if a.StatusCode/100 != 2 {
				t.Fatalf("%s %s", a.Status, a.body)
			}
			for range 2 {
				if err := <-ends; err != nil {
					t.Errorf("a stream did not end by itself: %v", err)
				}
			}
			for what, token := range map[string]string{"session": ben, "key": key.Token} {
				if got := s.status("GET", "/api/v1/me", token, ""); got != 401 {
					t.Errorf("the %s opens something: %d", what, got)
				}
			}
			if got := s.status("GET", "/api/v1/me", admin, ""); got != 200 {
				t.Errorf("the administrator is out too: %d", got)
			}
		})
	}
}

// A log-in that is under way while its account is shut comes to nothing, and whoever knew
// the password of before cannot choose the next one.
func TestShutOutMeanwhile(t *testing.T) {
	for _, how := range []struct{ name, method, path, body string }{
		{"disabled", "PATCH", "/api/v1/users/%s", `{"disabled":true}`},
		{"ended", "POST", "/api/v1/users/%s/end", ``},
		{"another role", "PATCH", "/api/v1/users/%s", `{"role":"panel"}`},
		{"deleted", "DELETE", "/api/v1/users/%s", ``},
	} {
		t.Run(how.name, func(t *testing.T) {
			s := newSite(t, nil)
			admin, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
			before := s.named("ben")
			s.hashing <- struct{}{} // whose password is looked at waits
			answers := make(chan answer)
			for _, x := range []struct{ path, token, body string }{
				{"/api/v1/login", "", fmt.Sprintf(`{"username":"ben","password":%q}`, password)},
				{"/api/v1/password", ben, fmt.Sprintf(`{"old":%q,"password":"the intruder's own"}`, password)},
			} {
				go func() { answers <- s.ask("POST", x.path, x.token, x.body) }()
			}
			for s.waiting.Load() < 2 {
				time.Sleep(time.Millisecond)
			}
			a := s.ask(how.method, fmt.Sprintf(how.path, before.ID), admin, how.body, "If-Match", "*")
			if a.StatusCode/100 != 2 {
				t.Fatalf("%s %s", a.Status, a.body)
			}
			<-s.hashing
			for range 2 {
				if a := <-answers; a.StatusCode < 400 || a.StatusCode >= 500 || strings.Contains(a.body, "access_token") {
					t.Errorf("%s: %s %s", a.Request.URL.Path, a.Status, a.body)
				}
			}
			if list, err := s.Store.Sessions(before.ID); err != nil || len(list) > 0 {
				t.Errorf("there are %d log-ins, %v", len(list), err)
			}
			if after, err := s.Store.User(before.ID); err == nil && after.Password != before.Password {
				t.Error("the password is another one")
			}
			if n := s.recorded("login", audit.Failure); n != 1 {
				t.Errorf("%d log-ins that failed are recorded, want 1", n)
			}
		})
	}
}

// Nor does one that waits for its code, which is not used up by it.
func TestShutOutHalfway(t *testing.T) {
	s := newSite(t, nil)
	admin, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	_, recovery, _ := s.secondFactor(ben)
	a := s.form("/login", "", url.Values{"username": {"ben"}, "password": {password}})
	m := regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no ticket: %s\n%s", a.Status, a.body)
	}
	s.json("POST", "/api/v1/users/"+string(s.named("ben").ID)+"/end", admin, "", 204, nil)
	if a := s.form("/login/code", "", url.Values{"ticket": {m[1]}, "code": {recovery[0]}}); a.StatusCode != 401 || len(a.Cookies()) > 0 {
		t.Errorf("a ticket from before: %s, cookies %v", a.Status, a.Cookies())
	}
	if a := s.logInWith("ben", recovery[0]); a.StatusCode != 200 {
		t.Errorf("the code that was shown with it: %s %s", a.Status, a.body)
	}
}

// Guesses of codes delay the next attempts like those of passwords, whoever brings tickets
// from before.
func TestCodesAreDelayed(t *testing.T) {
	s := newSite(t, func(c *Config) { c.LoginsPerMinute = 20 })
	_, recovery, _ := s.secondFactor(s.user("ben", store.RoleMember))
	a := s.form("/login", "", url.Values{"username": {"ben"}, "password": {password}})
	m := regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no ticket: %s\n%s", a.Status, a.body)
	}
	s.limits[limitAccount].failed(accountKey("ben"), 20)
	if a := s.form("/login/code", "", url.Values{"ticket": {m[1]}, "code": {recovery[0]}}); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("after many failures: %s", a.Status)
	}
}

// The box can always be administered, whoever tries what.
func TestLastAdminStays(t *testing.T) {
	s := newSite(t, nil)
	anna := s.user("anna", store.RoleAdmin)
	id := string(s.named("anna").ID)
	for _, tt := range []struct {
		method, path, body string
		want               int
		detail             string
	}{
		{"PATCH", "/api/admin/users/" + id + "/status?is_active=false", "", 400, "Cannot change your own status"},
		{"PATCH", "/api/v1/users/" + id, `{"disabled":true}`, 400, "Cannot change your own status"},
		{"PATCH", "/api/v1/users/" + id, `{"role":"member"}`, 409, "last active administrator"},
		{"DELETE", "/api/v1/users/" + id, "", 400, "Cannot change your own status"},
		{"PATCH", "/api/admin/users/" + id + "/status?is_active=perhaps", "", 422, "is_active"},
		{"PATCH", "/api/admin/users/none/status?is_active=false", "", 404, ""},
	} {
		a := s.ask(tt.method, tt.path, anna, tt.body, "If-Match", "*")
		if a.StatusCode != tt.want || !strings.Contains(a.body, tt.detail) {
			t.Errorf("%s %s %s: %s %s, want %d", tt.method, tt.path, tt.body, a.Status, a.body, tt.want)
		}
	}
	// Another administrator, who has been disabled, does not count; nor may the box
	// itself take the last one away.
	s.user("bea", store.RoleAdmin)
	bea := string(s.named("bea").ID)
	s.json("PATCH", "/api/v1/users/"+bea, anna, `{"disabled":true}`, 200, nil)
	c := &call{caller: &caller{user: store.User{Name: localActor, Role: store.RoleAdmin}}, r: &http.Request{}}
	disabled := true
	if _, err := s.changeUser(c, s.named("anna"), userChange{Disabled: &disabled}); problem(err).Status != 409 {
		t.Errorf("from the box: %v", err)
	}
}

// Somebody else's password holds for one log-in and some days.
func TestTemporaryPassword(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	s.user("ben", store.RoleMember)
	id := string(s.named("ben").ID)
	reset := func(path string) string {
		t.Helper()
		var out struct {
			Password string `json:"temp_password"`
		}
		s.json("POST", path, admin, "", 200, &out)
		return out.Password
	}
	if first, second := reset("/api/admin/users/"+id+"/generate-temp-password"), reset("/api/v1/users/"+id+"/reset"); first == second || len(first) != 19 {
		t.Errorf("temporary passwords %q, %q", first, second)
	}
	temporary := reset("/api/v1/users/" + id + "/reset")
	if s.status("POST", "/api/login", "", fmt.Sprintf(`{"username":"ben","password":%q}`, password)) != 401 {
		t.Error("the password of before opens")
	}
	var in struct {
		Token string `json:"access_token"`
		User  struct {
			Must bool `json:"must_change_password"`
		} `json:"user"`
	}
	s.json("POST", "/api/login", "", fmt.Sprintf(`{"username":"ben","password":%q}`, temporary), 200, &in)
	if !in.User.Must {
		t.Error("the log-in does not say that the password must be changed")
	}
	for _, path := range []string{"/api/v1/documents", "/api/v1/sessions", "/api/v1/status"} {
		if got := s.status("GET", path, in.Token, ""); got != 403 {
			t.Errorf("%s before the password is changed: %d", path, got)
		}
	}
	a := s.ask("GET", "/", "", "", "Cookie", cookieName+"="+in.Token)
	if a.Header.Get("Location") != "/account/password" {
		t.Errorf("the home page sends to %q", a.Header.Get("Location"))
	}
	if a := s.ask("GET", "/account/password", "", "", "Cookie", cookieName+"="+in.Token); a.StatusCode != 200 || !strings.Contains(a.body, `name="again"`) {
		t.Errorf("the page to change it: %s", a.Status)
	}
	if got := s.status("POST", "/api/v1/password", in.Token, fmt.Sprintf(`{"old":%q,"password":%q}`, temporary, temporary)); got != 422 {
		t.Errorf("changed to itself: %d", got)
	}
	s.json("POST", "/api/v1/password", in.Token, fmt.Sprintf(`{"old":%q,"password":"my own long password"}`, temporary), 200, &in)
	if got := s.status("GET", "/api/v1/documents", in.Token, ""); got != 200 {
		t.Errorf("after the change: %d", got)
	}
	temporary = reset("/api/v1/users/" + id + "/reset")
	if _, err := s.Store.UpdateUser(store.UserID(id), func(u *store.User) error { u.PasswordEnds = time.Now().Add(-time.Second); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := s.status("POST", "/api/login", "", fmt.Sprintf(`{"username":"ben","password":%q}`, temporary)); got != 401 {
		t.Errorf("after its time: %d", got)
	}
	if strings.Contains(s.log.String(), temporary) {
		t.Error("the log holds a password")
	}
}

func TestRegistration(t *testing.T) {
	ask := func(name string) string {
		return fmt.Sprintf(`{"username":%q,"password":%q,"email":"a@example.org","full_name":"A. Nybody"}`, name, password)
	}
	t.Run("before the first administrator", func(t *testing.T) {
		s := newSite(t, func(c *Config) { c.Registration = registerOpen })
		if got := s.status("POST", "/api/register", "", ask("eve")); got != 403 {
			t.Errorf("%d", got)
		}
	})
	t.Run("off", func(t *testing.T) {
		s := newSite(t, func(c *Config) { c.Registration = registerOff })
		s.user("anna", store.RoleAdmin)
		for _, name := range []string{"anna", "zoe"} {
			if got := s.status("POST", "/api/register", "", ask(name)); got != 403 {
				t.Errorf("%s: %d", name, got)
			}
		}
		if got := s.status("GET", "/register", "", ""); got != 404 {
			t.Errorf("the page: %d", got)
		}
	})
	t.Run("approval", func(t *testing.T) {
		s := newSite(t, nil)
		admin := s.user("anna", store.RoleAdmin)
		type user struct {
			ID, Username, Email string
			FullName            string `json:"full_name"`
			IsActive            bool   `json:"is_active"`
			IsAdmin             bool   `json:"is_admin"`
			CreatedAt           string `json:"created_at"`
		}
		var known, fresh user
		s.json("POST", "/api/register", "", ask("anna"), 200, &known)
		s.json("POST", "/api/register", "", ask("zoe"), 200, &fresh)
		known.ID, known.Username, known.CreatedAt = fresh.ID, fresh.Username, fresh.CreatedAt
		if known != fresh || fresh.IsActive || fresh.IsAdmin || fresh.Email != "a@example.org" || fresh.FullName != "A. Nybody" {
			t.Errorf("a name that exists is answered differently: %+v, %+v", known, fresh)
		}
		typed := url.Values{"username": {"yves"}, "full_name": {"Yves Y"}, "email": {"y@example.org"}, "password": {password}, "again": {"another"}}
		if a := s.form("/register", "", typed); a.StatusCode != 422 || !strings.Contains(a.body, `value="Yves Y"`) || !strings.Contains(a.body, `value="y@example.org"`) {
			t.Errorf("two passwords that differ: %s, want what was typed", a.Status)
		}
		if a := s.form("/people", admin, url.Values{"username": {"wall"}, "password": {"short"}, "role": {"panel"}}); a.StatusCode != 422 || !strings.Contains(a.body, `value="panel" selected`) {
			t.Errorf("a short password: %s, want what was chosen", a.Status)
		}
		if got := s.logInWith("zoe", "").StatusCode; got != 401 {
			t.Errorf("before she is let in: %d", got)
		}
		if a := s.ask("GET", "/people", "", "", "Cookie", cookieName+"="+admin); !strings.Contains(a.body, "waits to be let in") {
			t.Error("the page of people does not show who waits")
		}
		s.json("PATCH", "/api/admin/users/"+fresh.ID+"/status?is_active=true", admin, "", 200, nil)
		if got := s.logInWith("zoe", "").StatusCode; got != 200 {
			t.Errorf("after she is let in: %d", got)
		}
		for i := range maxPending + 2 {
			u := store.User{ID: store.UserID(store.NewID()), Name: fmt.Sprintf("crowd%d", i), Role: store.RoleMember, Pending: true, Disabled: true}
			if err := s.Store.AddUser(u); err != nil {
				t.Fatal(err)
			}
		}
		s.json("POST", "/api/register", "", ask("late"), 200, nil)
		if _, err := s.Store.UserByName("late"); err == nil {
			t.Error("more wait than an administrator can look through")
		}
	})
	t.Run("open", func(t *testing.T) {
		s := newSite(t, func(c *Config) { c.Registration = registerOpen })
		s.user("anna", store.RoleAdmin)
		s.json("POST", "/api/register", "", ask("zoe"), 200, nil)
		if a := s.ask("POST", "/api/register", "", ask("ZOE")); a.StatusCode != 400 || !strings.Contains(a.body, "Username already registered") {
			t.Errorf("the name again: %s %s", a.Status, a.body)
		}
		if n := s.recorded("register", audit.Failure); n != 1 {
			t.Errorf("%d refusals are recorded, want 1", n)
		}
		if got := s.logInWith("zoe", "").StatusCode; got != 200 {
			t.Errorf("logging in: %d", got)
		}
		// What an applicant must not choose counts for nothing.
		more := strings.TrimSuffix(ask("mallory"), "}") + `,"id":"mine","role":"admin","groups":["none"],"disabled":false,"pending":false,"is_admin":true}`
		a := s.ask("POST", "/api/register", "", more, "Content-Type", "text/plain") // nobody describes such a body
		if u := s.named("mallory"); a.StatusCode != 200 || u.ID == "mine" || u.Role != store.RoleMember || len(u.Groups) > 0 {
			t.Errorf("%s: an applicant is %+v", a.Status, u)
		}
	})
	t.Run("limit", func(t *testing.T) {
		s := newSite(t, func(c *Config) { c.RegistrationsPerMinute = 5 })
		s.user("anna", store.RoleAdmin)
		for i := range 6 {
			want := 200
			if i == 5 {
				want = 429
			}
			if got := s.status("POST", "/api/register", "", ask(fmt.Sprintf("zoe%d", i))); got != want {
				t.Errorf("registration %d: %d, want %d", i+1, got, want)
			}
		}
	})
}

// What the service before told administrators.
func TestOldAdminCalls(t *testing.T) {
	s := newSite(t, nil)
	admin, ben := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	s.file(s.named("ben").ID, "Letter", "words")
	if a := s.ask("GET", "/api/admin/users", ben, ""); a.StatusCode != 403 || !strings.Contains(a.body, "Admin access required") {
		t.Errorf("a member: %s %s", a.Status, a.body)
	}
	var users []struct {
		ID           string
		Username     string
		TotalBatches int     `json:"total_batches"`
		LastActivity *string `json:"last_activity"`
	}
	s.json("GET", "/api/admin/users", admin, "", 200, &users)
	if len(users) != 2 || users[1].Username != "ben" || users[1].TotalBatches != 1 || users[1].LastActivity == nil {
		t.Errorf("%+v", users)
	}
	var did struct {
		User    struct{ Username string }
		Batches []any
	}
	s.json("GET", "/api/admin/users/"+users[1].ID+"/activities", admin, "", 200, &did)
	if did.User.Username != "ben" || len(did.Batches) != 1 {
		t.Errorf("%+v", did)
	}
	for i, value := range []string{"False", "True", "off", "on", "0", "1"} { // as clients in Python and forms write it
		active := s.ask("PATCH", "/api/admin/users/"+users[1].ID+"/status?is_active="+value, admin, "")
		if u := s.named("ben"); active.StatusCode != 200 || u.Active() != (i%2 == 1) {
			t.Errorf("is_active=%s: %s %s", value, active.Status, active.body)
		}
	}
	if got := s.status("PATCH", "/api/admin/users/"+users[1].ID+"/status?is_active=perhaps", admin, ""); got != 422 {
		t.Errorf("is_active=perhaps: %d", got)
	}
	var stats struct {
		Users   map[string]int
		Batches map[string]int
		Files   map[string]int
	}
	s.json("GET", "/api/admin/dashboard/stats", admin, "", 200, &stats)
	if stats.Users["total"] != 2 || stats.Users["admins"] != 1 || stats.Batches["total"] != 1 || stats.Files["total"] != 1 || stats.Files["documents"] != 1 {
		t.Errorf("%+v", stats)
	}
	if got := s.status("POST", "/api/admin/users/"+users[1].ID+"/reset-password?new_password=in+the+address", admin, "{}"); got != 422 {
		t.Errorf("a password in the address: %d", got)
	}
	s.json("POST", "/api/admin/users/"+users[1].ID+"/reset-password", admin, `{"new_password":"four score and seven"}`, 200, nil)
	if got := s.status("POST", "/api/login", "", `{"username":"ben","password":"four score and seven"}`); got != 200 {
		t.Errorf("the new password: %d", got)
	}
	s.json("GET", "/api/me", admin, "", 200, nil)
}
