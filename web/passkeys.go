package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"docscan/store"
	"docscan/store/audit"
)

// maxPasskeys bounds how many one person has.
const maxPasskeys = 20

// passkeySite gives the host name and origin for which passkeys of this request
// work, or says why there can be none. Browsers want a secure context and a
// name; an address is none (WebAuthn Level 3, section 5.1.2 and HTML's "registrable
// domain").
func passkeySite(r *http.Request) (host, origin string, err error) {
	host = r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return "", "", problemf(409, "no-passkeys", "No passkeys here", "Passkeys need a name in the address bar, such as docscan.local, in place of numbers.")
	}
	switch {
	case r.TLS != nil:
		return host, "https://" + r.Host, nil
	case host == "localhost":
		return host, "http://" + r.Host, nil
	}
	return "", "", problemf(409, "no-passkeys", "No passkeys here", "Passkeys need an encrypted connection (https), with a certificate that this browser trusts.")
}

// relyingParty is the library set up for where a request came to.
func relyingParty(r *http.Request) (*webauthn.WebAuthn, string, error) {
	host, origin, err := passkeySite(r)
	if err != nil {
		return nil, "", err
	}
	w, err := webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: "docscan", RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			// The passkey alone opens docscan, so it must ask for a finger or a PIN.
			UserVerification: protocol.VerificationRequired, ResidentKey: protocol.ResidentKeyRequirementRequired,
		},
	})
	if err != nil {
		return nil, "", problemf(409, "no-passkeys", "No passkeys here", "Passkeys need a name in the address bar, such as docscan.local, in place of numbers.")
	}
	return w, host, nil
}

// keyHolder is a user as the library wants one, with the passkeys of one site.
type keyHolder struct {
	store.User
	credentials []webauthn.Credential
}

func newKeyHolder(u store.User, site string) (*keyHolder, error) {
	h := &keyHolder{User: u}
	for _, p := range u.Passkeys {
		if p.Site != site {
			continue
		}
		var c webauthn.Credential
		if err := json.Unmarshal(p.Credential, &c); err != nil {
			return nil, fmt.Errorf("passkey %s: %w", p.ID, err)
		}
		h.credentials = append(h.credentials, c)
	}
	return h, nil
}

func (h *keyHolder) WebAuthnID() []byte                         { return []byte(h.ID) }
func (h *keyHolder) WebAuthnName() string                       { return h.Name }
func (h *keyHolder) WebAuthnDisplayName() string                { return h.Name }
func (h *keyHolder) WebAuthnCredentials() []webauthn.Credential { return h.credentials }

// A passkeyCeremony is one that waits for the browser's answer.
type passkeyCeremony struct {
	user    store.UserID // who makes a passkey; "": somebody logs in
	session webauthn.SessionData
}

// challenge is what a browser is asked.
type challenge struct {
	Ticket  string `json:"ticket"`
	Options any    `json:"options"`
}

func (s *Server) apiPasskeyChallenge(c *call) error {
	var in struct {
		Password string `json:"password"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	party, site, err := relyingParty(c.r)
	if err != nil {
		return err
	}
	if err := s.confirm(c, in.Password); err != nil {
		return err
	}
	holder, err := newKeyHolder(c.user, site)
	if err != nil {
		return err
	}
	if len(c.user.Passkeys) >= maxPasskeys {
		return errPasskeys
	}
	options, session, err := party.BeginRegistration(holder, webauthn.WithExclusions(webauthn.Credentials(holder.credentials).CredentialDescriptors()))
	if err != nil {
		return fmt.Errorf("begin a passkey: %w", err)
	}
	return s.challenge(c, passkeyCeremony{c.user.ID, *session}, options.Response)
}

func (s *Server) challenge(c *call, x passkeyCeremony, options any) error {
	c.w.Header().Set("Cache-Control", "no-store")
	return writeJSON(c.w, http.StatusOK, challenge{s.halfway.begin(x), options})
}

// A passkeyAnswer is what the browser answers to a challenge.
type passkeyAnswer struct {
	Ticket     string          `json:"ticket"`
	Name       string          `json:"name"`
	Credential json.RawMessage `json:"credential"`
}

var (
	errPasskey  = problemf(401, "wrong-passkey", "Log-in refused", "The passkey was not accepted.")
	errPasskeys = problemf(409, "too-many-passkeys", "Too many passkeys", "You have %d passkeys. Delete one first.", maxPasskeys)
)

func (s *Server) apiAddPasskey(c *call) error {
	var in passkeyAnswer
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	name, err := label(in.Name)
	if err != nil {
		return err
	}
	party, site, err := relyingParty(c.r)
	if err != nil {
		return err
	}
	data, ok := s.halfway.end(in.Ticket)
	x, fits := data.(passkeyCeremony)
	if !ok || !fits || x.user != c.user.ID {
		return problemf(422, "too-late", "Too late", "This took too long. Begin once more.")
	}
	holder, err := newKeyHolder(c.user, site)
	if err != nil {
		return err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(in.Credential)
	if err != nil {
		return s.badPasskey(err)
	}
	credential, err := party.CreateCredential(holder, x.session, parsed)
	if err != nil {
		return s.badPasskey(err)
	}
	raw, err := json.Marshal(credential)
	if err != nil {
		return fmt.Errorf("keep a passkey: %w", err)
	}
	p := store.Passkey{ID: store.NewID(), Name: name, Site: site, Created: time.Now(), Credential: raw}
	_, err = s.changeSelf(c, false, func(u *store.User) error {
		if len(u.Passkeys) >= maxPasskeys { // others were made since this one was begun
			return errPasskeys
		}
		u.Passkeys = append(u.Passkeys, p)
		return nil
	}, c.entry(audit.Authentication, "passkey_added", name))
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusCreated, viewPasskey(p))
}

// badPasskey tells the log what the library says of an answer, and the browser
// only that it was refused.
func (s *Server) badPasskey(err error) error {
	var p *protocol.Error
	if errors.As(err, &p) {
		s.Log.Info("a passkey was refused", "err", p.Details, "why", p.DevInfo)
	}
	return errPasskey
}

// passkeyView is what is told of a passkey.
type passkeyView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Site    string    `json:"site"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`
}

func viewPasskey(p store.Passkey) passkeyView {
	return passkeyView{p.ID, p.Name, p.Site, p.Created, p.Used}
}

func (s *Server) apiPasskeys(c *call) error {
	views := make([]passkeyView, 0, len(c.user.Passkeys))
	for _, p := range c.user.Passkeys {
		views = append(views, viewPasskey(p))
	}
	views, next, err := paged(c, views, func(v passkeyView) string { return v.ID })
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, passkeysView{views, next})
}

// deletePasskey takes one of the caller's passkeys away. All other log-ins end.
func (s *Server) deletePasskey(c *call, password string) error {
	if err := s.confirm(c, password); err != nil {
		return err
	}
	id := c.ps.ByName("id")
	_, err := s.changeSelf(c, false, func(u *store.User) error {
		i := slices.IndexFunc(u.Passkeys, func(p store.Passkey) bool { return p.ID == id })
		if i < 0 {
			return store.ErrNotFound
		}
		u.Passkeys = slices.Delete(u.Passkeys, i, i+1)
		return nil
	}, c.entry(audit.Authentication, "passkey_deleted", clip(id)))
	return err
}

func (s *Server) apiDeletePasskey(c *call) error {
	var in struct{ Password string }
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if err := s.deletePasskey(c, in.Password); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) apiPasskeyLoginChallenge(c *call) error {
	entry := audit.Entry{Time: time.Now(), EventType: audit.Authentication, Action: "login", Address: address(c.r), Status: audit.Failure}
	if err := s.limit(c.w, limitLogin, limitKey(entry.Address).String(), entry); err != nil {
		return err
	}
	party, _, err := relyingParty(c.r)
	if err != nil {
		return err
	}
	options, session, err := party.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return fmt.Errorf("begin a log-in with a passkey: %w", err)
	}
	return s.challenge(c, passkeyCeremony{session: *session}, options.Response)
}

// apiPasskeyLogin logs in with a passkey, which stands for password and second
// factor: the authenticator has asked for a finger or a PIN.
func (s *Server) apiPasskeyLogin(c *call) error {
	var in passkeyAnswer
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	entry := audit.Entry{Time: time.Now(), EventType: audit.Authentication, Action: "login", Address: address(c.r), Status: audit.Failure, Details: "passkey"}
	party, site, err := relyingParty(c.r)
	if err != nil {
		return err
	}
	data, ok := s.halfway.end(in.Ticket)
	x, fits := data.(passkeyCeremony)
	if !ok || !fits || x.user != "" {
		s.recordRefusal(c.r, nil, "login_too_late")
		return problemf(401, "too-late", "Too late", "This took too long. Begin once more.")
	}
	u, credential, err := s.checkPasskey(party, site, x.session, in.Credential)
	if errors.Is(err, errPasskey) {
		return errors.Join(s.Store.AddAudit(entry), err)
	}
	if err != nil {
		return err
	}
	raw, err := json.Marshal(credential)
	if err != nil {
		return fmt.Errorf("keep a passkey: %w", err)
	}
	_, err = s.Store.UpdateUser(u.ID, func(now *store.User) error {
		for i, p := range now.Passkeys {
			var c webauthn.Credential
			if err := json.Unmarshal(p.Credential, &c); err == nil && string(c.ID) == string(credential.ID) {
				now.Passkeys[i].Credential, now.Passkeys[i].Used = raw, time.Now()
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) { // deleted since
		return errors.Join(s.Store.AddAudit(entry), errPasskey)
	}
	if err != nil {
		return err
	}
	entry.Actor, entry.Target = u.Name, u.Name
	secret, err := s.enter(c, u, "passkey", s.longest(), entry)
	if err != nil {
		return err
	}
	// Only browsers have passkeys: the secret goes into the cookie and to no script.
	s.setCookie(c.w, c.r, secret)
	c.w.Header().Set("Cache-Control", "no-store")
	return writeJSON(c.w, http.StatusOK, map[string]any{"user": userView(u)})
}

// checkPasskey finds the user whose passkey has answered the challenge.
func (s *Server) checkPasskey(party *webauthn.WebAuthn, site string, session webauthn.SessionData, answer []byte) (store.User, *webauthn.Credential, error) {
	var failure error // of the store, not of the passkey
	find := func(_, handle []byte) (webauthn.User, error) {
		u, err := s.Store.User(store.UserID(handle))
		if err == nil && !u.Active() {
			err = store.ErrNotFound
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			failure = err
		}
		if err != nil {
			return nil, err
		}
		return newKeyHolder(u, site)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return store.User{}, nil, s.badPasskey(err)
	}
	holder, credential, err := party.ValidatePasskeyLogin(find, session, parsed)
	if failure != nil {
		return store.User{}, nil, failure
	}
	if err != nil {
		return store.User{}, nil, s.badPasskey(err)
	}
	h, ok := holder.(*keyHolder)
	if !ok || credential.Authenticator.CloneWarning {
		return store.User{}, nil, errPasskey
	}
	return h.User, credential, nil
}
