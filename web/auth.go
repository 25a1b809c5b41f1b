package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"docscan/scan"
	"docscan/store"
	"docscan/store/audit"
)

// cookieName is that of the session. The secret in it opens the session; the
// store has only its hash.
const cookieName = "docscan_session"

// secured is the prefix of the names of cookies on encrypted connections: browsers
// take such a cookie from this host only, and only encrypted (RFC 6265bis).
const secured = "__Host-"

// putCookie gives a cookie to a browser, or takes it away where its value is empty.
func putCookie(w http.ResponseWriter, r *http.Request, name, value string, holds time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(holds.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	if r.TLS != nil {
		c.Name, c.Secure = secured+name, true
	}
	http.SetCookie(w, c)
}

// cookie gives the value of a cookie that putCookie gave, "" if there is none.
func cookie(r *http.Request, name string) string {
	if r.TLS != nil {
		name = secured + name
	}
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// localActor is who works at the box itself.
const localActor = "local"

// caller is who makes a request.
type caller struct {
	user    store.User
	session string   // hash of the session's secret; "" for a token or the local socket
	token   string   // hash of the token's secret; "" for a session or the local socket
	scopes  []string // of the token; none: no bounds
	account string   // of a fleet, at the local socket; "" for people and programs
	more    bool     // the account may do more than update
	address string   // of the network; "" for the local socket
	origin  string   // what a batch is told to come from: web, api or cli
}

func (c *caller) admin() bool { return c.user.Role == store.RoleAdmin }

// browses reports whether c came with a cookie.
func (c *caller) browses() bool { return c.origin == "web" }

func (c *caller) by() scan.By { return scan.By{Actor: c.user.Name, Address: c.address} }

// entry is what the audit log keeps of a deed of c.
func (c *caller) entry(kind, action, target string) audit.Entry {
	return audit.Entry{Time: time.Now(), EventType: kind, Actor: c.user.Name, Address: c.address, Action: action, Target: target, Status: audit.Success}
}

func (c *caller) panel() bool { return c.user.Role == store.RolePanel }

// sees reports whether c may see what belongs to owner. What is shared with a
// group, reads knows.
func (c *caller) sees(owner store.UserID) bool {
	return c.admin() || owner == "" || owner == c.user.ID
}

// reads reports whether c may see a document. One that was shared and thrown away is
// for its owner only.
func (c *caller) reads(d store.Document) bool {
	if c.admin() || c.panel() {
		return c.admin()
	}
	return c.sees(d.Owner) || d.Trashed.IsZero() && c.owner().Reads(&d)
}

// told is d as c may know it. Whom it is shared with learns neither with whom else it is, nor
// which other documents its owner has.
func (c *caller) told(d store.Document) store.Document {
	if c.sees(d.Owner) {
		return d
	}
	d.Groups = slices.DeleteFunc(slices.Clone(d.Groups), func(g store.GroupID) bool { return !slices.Contains(c.user.Groups, g) })
	if d.Found != nil {
		found := *d.Found
		found.Same, d.Found = "", &found
	}
	return d
}

// watches reports whether c may see how far a batch is, and stop it: the screen
// at the box may as long as there is something to stop.
func (c *caller) watches(b store.Batch) bool {
	return c.sees(b.Owner) || c.panel() && !b.State.Final()
}

// owner limits a listing to what c may see.
func (c *caller) owner() *store.Reader {
	if c.admin() {
		return nil
	}
	return &store.Reader{User: c.user.ID, Groups: c.user.Groups}
}

// trashOwner limits a listing of the trash: what somebody shared and threw away is
// for that one only.
func (c *caller) trashOwner() *store.Reader {
	if c.admin() {
		return nil
	}
	return &store.Reader{User: c.user.ID}
}

// identify finds out who makes a request: nil is nobody in particular.
func (s *Server) identify(r *http.Request) (*caller, error) {
	if peer, ok := r.Context().Value(peerKey{}).(peer); ok {
		if !peer.trusted() {
			if c := s.fleetCaller(r, peer); c != nil {
				return c, nil
			}
			return nil, problemf(403, "not-trusted", "Not allowed", "Only root and docscan's own user may use the local socket. Use sudo, or a token with --server.")
		}
		return &caller{user: store.User{Name: localActor, Role: store.RoleAdmin}, origin: "cli"}, nil
	}
	c := &caller{address: address(r), origin: "api"}
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, secret, _ := strings.Cut(h, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, errNotAuthenticated
		}
		return c, s.open(c, hashSecret(strings.TrimSpace(secret)), true)
	}
	secret := cookie(r, cookieName)
	if secret == "" {
		return nil, nil
	}
	c.origin = "web"
	err := s.open(c, hashSecret(secret), false)
	if errors.Is(err, errNotAuthenticated) {
		return nil, nil // a log-in that is over: the same as none
	}
	return c, err
}

// open fills c with the user whose session (or, if allowed, token) has this
// hash, and records that the session was used.
func (s *Server) open(c *caller, hash string, tokens bool) error {
	seen, err := s.lookUp(c, hash, tokens)
	if err != nil {
		return err
	}
	if now := time.Now(); c.session != "" && now.Sub(seen) > time.Minute {
		if err := s.Store.TouchSession(hash, now); err != nil && !errors.Is(err, store.ErrNotFound) {
			s.Log.Warn("recording the use of a session failed", "user", c.user.ID, "err", err)
		}
	}
	return nil
}

// lookUp fills c with the user whose session or token has this hash, and says
// when the session was last used.
func (s *Server) lookUp(c *caller, hash string, tokens bool) (seen time.Time, err error) {
	now := time.Now()
	var user store.UserID
	x, err := s.Store.SessionByHash(hash)
	switch {
	case err == nil:
		if x.Over(now, s.idle()) {
			return seen, errNotAuthenticated
		}
		user, c.session, seen = x.User, hash, x.Seen
	case errors.Is(err, store.ErrNotFound) && tokens:
		t, err := s.Store.TokenByHash(hash)
		if errors.Is(err, store.ErrNotFound) || err == nil && !t.Expires.IsZero() && now.After(t.Expires) {
			return seen, errNotAuthenticated
		}
		if err != nil {
			return seen, err
		}
		user, c.token, c.scopes = t.User, hash, t.Scopes
		if now.Sub(t.Used) > time.Hour {
			if err := s.Store.TouchToken(hash, now); err != nil && !errors.Is(err, store.ErrNotFound) {
				s.Log.Warn("recording the use of a key failed", "user", t.User, "err", err)
			}
		}
	case errors.Is(err, store.ErrNotFound):
		return seen, errNotAuthenticated
	default:
		return seen, err
	}
	if user == "" { // a token made at the box itself
		c.user = store.User{Name: localActor, Role: store.RoleAdmin}
		return seen, nil
	}
	c.user, err = s.Store.User(user)
	if errors.Is(err, store.ErrNotFound) || err == nil && !c.user.Active() {
		return seen, errNotAuthenticated
	}
	return seen, err
}

// address is the network address of a request without its port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// credentials are what somebody shows to log in.
type credentials struct {
	Token    string `json:"token"` // the set-up code
	Username string `json:"username"`
	Password string `json:"password"`
	Code     string `json:"code"` // one-time or recovery code, where there is a second factor
}

// logIn checks credentials and begins a session of at most this length, whose
// secret it returns. Where a second factor is missing, the error is
// errSecondFactor, and the user is returned, too.
func (s *Server) logIn(c *call, in credentials, length time.Duration) (store.User, string, error) {
	entry := audit.Entry{Time: time.Now(), EventType: audit.Authentication, Actor: clip(in.Username), Action: "login", Target: clip(in.Username), Address: address(c.r), Status: audit.Failure}
	if err := s.limit(c.w, limitLogin, limitKey(entry.Address).String(), entry); err != nil {
		return store.User{}, "", err
	}
	u, err := s.Store.UserByName(in.Username)
	unknown := errors.Is(err, store.ErrNotFound)
	if err != nil && !unknown {
		return store.User{}, "", err
	}
	key := s.failureKey(c.r, u.ID, in.Username)
	if err := s.attempt(key, entry); err != nil {
		return store.User{}, "", err
	}
	hash := u.Password
	if unknown || hash == "" {
		hash = s.decoy(in.Username)
	}
	good, current, err := s.checkPassword(c.r.Context(), hash, in.Password[:min(len(in.Password), maxPassword)])
	if err != nil {
		s.limits[limitAccount].takeBack(key)
		return store.User{}, "", err
	}
	ended := u.MustChange && !u.PasswordEnds.IsZero() && time.Now().After(u.PasswordEnds)
	if unknown || !good || !u.Active() || ended || len(in.Password) > maxPassword {
		if good && ended {
			entry.Details = "the temporary password has ended"
		}
		return store.User{}, "", s.refuseLogin(key, entry, errWrongPassword)
	}
	entry.Actor, entry.Target = u.Name, u.Name
	factor := ""
	if u.OneTime != nil {
		if in.Code == "" {
			s.limits[limitAccount].takeBack(key)
			return u, "", errSecondFactor
		}
		switch factor, err = s.useCode(&u, in.Code); {
		case errors.Is(err, errWrongCode):
			entry.Details = "second factor"
			return store.User{}, "", s.refuseLogin(key, entry, errWrongCode)
		case errors.Is(err, store.ErrConflict):
			return store.User{}, "", s.refuseLogin(key, entry, errWrongPassword)
		case err != nil:
			return store.User{}, "", err
		}
	}
	if err := s.succeeded(key); err != nil {
		return store.User{}, "", err
	}
	if !current {
		if err := s.rehash(c.r.Context(), u, in.Password); err != nil {
			s.Log.Warn("a password keeps the cost it had", "user", u.ID, "err", err)
		}
	}
	secret, err := s.enter(c, u, factor, length, entry)
	return u, secret, err
}

// attempt counts an attempt to log in as a failure until it is known to be none: of many
// that come at once each must wait for those before it. An error says that it must.
func (s *Server) attempt(key string, entry audit.Entry) error {
	if v := s.limits[limitAccount].attempt(key, min(s.cfg.LoginsPerMinute, freeFailures)); !v.ok {
		return s.refuse(v, entry)
	}
	return nil
}

// refuseLogin records an attempt that failed.
func (s *Server) refuseLogin(key string, entry audit.Entry, why error) error {
	if err := errors.Join(s.keepLimit(limitAccount, key), s.Store.AddAudit(entry)); err != nil {
		return err
	}
	return why
}

// succeeded forgets the failures before an attempt that was none.
func (s *Server) succeeded(key string) error {
	s.limits[limitAccount].forget(key)
	return s.keepLimit(limitAccount, key)
}

// rehash gives the password of u, which is known to be right, the cost of today.
func (s *Server) rehash(ctx context.Context, u store.User, password string) error {
	hash, err := s.hashPassword(ctx, password)
	if err != nil {
		return err
	}
	_, err = s.Store.UpdateUser(u.ID, func(now *store.User) error {
		if now.Password == u.Password { // else it was changed meanwhile
			now.Password = hash
		}
		return nil
	})
	return err
}

// enter begins a session for u, as it was read before what it showed was looked at, and
// ends the one that the browser had: a secret from before the log-in opens nothing after it.
func (s *Server) enter(c *call, u store.User, factor string, length time.Duration, entry audit.Entry) (string, error) {
	entry.Status = audit.Success
	switch {
	case factor != "":
		entry.Details = "with " + factor
	case s.device(c.r, u.ID) == "":
		entry.Details = "new device"
	}
	if s.device(c.r, u.ID) == "" && factor != "" {
		entry.Details += ", new device"
	}
	secret, now := newSecret(), time.Now()
	if err := s.Store.EndExpiredSessions(now, s.idle()); err != nil {
		return "", err
	}
	if old := cookie(c.r, cookieName); old != "" {
		if err := s.Store.EndSession(hashSecret(old)); err != nil {
			return "", err
		}
	}
	x := store.Session{
		ID: store.SessionID(store.NewID()), Hash: hashSecret(secret), Created: now, Seen: now,
		Expires: now.Add(length), Address: address(c.r), Agent: clip(c.r.UserAgent()), Factor: factor,
	}
	if u.Role == store.RolePanel && length == s.longest() { // nobody who stands at the screen has its password
		x.Idle = s.panelTime()
		x.Expires = now.Add(x.Idle)
	}
	err := s.Store.AddSession(&u, x, entry)
	if errors.Is(err, store.ErrConflict) { // the account was shut or changed while the password was looked at
		entry.Status, entry.Details = audit.Failure, ""
		return "", errors.Join(errWrongPassword, s.Store.AddAudit(entry))
	}
	if err != nil {
		return "", err
	}
	return secret, s.knowDevice(c.w, c.r, u.ID)
}

func (s *Server) idle() time.Duration { return time.Duration(s.cfg.SessionIdleMinutes) * time.Minute }

// longest is how long a log-in of a browser holds, and shortest that of a program
// that logged in with a password.
func (s *Server) longest() time.Duration { return time.Duration(s.cfg.SessionHours) * time.Hour }

func (s *Server) shortest() time.Duration {
	return time.Duration(s.cfg.LoginTokenMinutes) * time.Minute
}

// panelTime is how long the log-in of a screen at the box holds, also without use.
func (s *Server) panelTime() time.Duration {
	return time.Duration(s.cfg.PanelSessionDays) * 24 * time.Hour
}

// setCookie gives the browser the secret of its session, or takes it away. When the
// session ends the store knows; the browser must only not forget it before.
func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, secret string) {
	putCookie(w, r, cookieName, secret, max(s.longest(), s.panelTime()))
}

// A browser that somebody has logged in with before is known by a cookie. It
// opens nothing. But failures of strangers to log in under a name do not delay
// the browser that belongs to it: its own failures are counted apart.
const (
	deviceCookie = "docscan_device"
	deviceTime   = 180 * 24 * time.Hour
	deviceKey    = "device-key" // the setting with the key of its signatures
)

// device gives the number by which a browser is known to user u, "" if it is not.
func (s *Server) device(r *http.Request, u store.UserID) string {
	number, sum, _ := strings.Cut(cookie(r, deviceCookie), ".")
	if len(number) != 32 || u == "" || !equal(sum, s.sign(number, u)) {
		return ""
	}
	return number
}

func (s *Server) sign(number string, u store.UserID) string {
	h := hmac.New(sha256.New, s.deviceKey)
	h.Write([]byte(number + " " + string(u)))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// knowDevice lets a browser be known from now on.
func (s *Server) knowDevice(w http.ResponseWriter, r *http.Request, u store.UserID) error {
	number := s.device(r, u)
	if number == "" {
		number = newSecret()
	}
	putCookie(w, r, deviceCookie, number+"."+s.sign(number, u), deviceTime)
	return nil
}

// loadDeviceKey gives the key of the signatures, and makes it the first time.
func (s *Server) loadDeviceKey() error {
	if ok, err := s.Store.Setting(deviceKey, &s.deviceKey); err != nil || ok && len(s.deviceKey) == 32 {
		return err
	}
	s.deviceKey = make([]byte, 32)
	rand.Read(s.deviceKey) // never fails
	return s.Store.PutSetting(deviceKey, s.deviceKey)
}

// failureKey is what failures to log in are counted by.
func (s *Server) failureKey(r *http.Request, u store.UserID, name string) string {
	if number := s.device(r, u); number != "" {
		return "device " + number
	}
	return accountKey(name)
}

// confirmKey is what failures to show one's password once more are counted by.
func confirmKey(u store.UserID) string { return "confirm " + string(u) }

// setUp makes the first administrator and logs in.
func (s *Server) setUp(c *call, in credentials) (store.User, string, error) {
	entry := audit.Entry{Time: time.Now(), EventType: audit.AdminAction, Actor: clip(in.Username), Address: address(c.r), Action: "setup", Target: clip(in.Username), Status: audit.Success}
	if err := s.limit(c.w, limitLogin, limitKey(entry.Address).String(), entry); err != nil {
		return store.User{}, "", err
	}
	if err := s.checkSetup(in.Token); err != nil {
		if errors.Is(err, errSetupToken) {
			refused := entry
			refused.Status = audit.Failure
			err = errors.Join(err, s.Store.AddAudit(refused))
		}
		return store.User{}, "", err
	}
	u, err := s.newUser(c.r.Context(), in.Username, in.Password, store.RoleAdmin)
	if err != nil {
		return store.User{}, "", err
	}
	if err := s.Store.AddFirstUser(u, entry); err != nil {
		if errors.Is(err, store.ErrExists) {
			return store.User{}, "", errSetupToken // somebody was faster
		}
		return store.User{}, "", err
	}
	if err := s.Store.PutSetting(setupKey, nil); err != nil {
		s.Log.Warn("forgetting the set-up code failed; it no longer works all the same", "err", err)
	}
	if s.SetUp != nil {
		s.SetUp()
	}
	entry.EventType, entry.Action = audit.Authentication, "login"
	secret, err := s.enter(c, u, "", s.longest(), entry)
	return u, secret, err
}

// newUser makes an account of checked parts.
func (s *Server) newUser(ctx context.Context, name, password string, role store.Role) (store.User, error) {
	kept, err := newName(name)
	if err != nil {
		return store.User{}, err
	}
	if err := checkNewPassword(kept, password); err != nil {
		return store.User{}, err
	}
	hash, err := s.hashPassword(ctx, password)
	if err != nil {
		return store.User{}, err
	}
	return store.User{ID: store.UserID(store.NewID()), Name: kept, Role: role, Password: hash, Created: time.Now()}, nil
}

// confirm reports whether password is the caller's: what decides who can log in
// is changed only by somebody who knows it. Failures count like those to log in, but apart
// from these: strangers who guess at a name must not keep out who is in.
func (s *Server) confirm(c *call, password string) error {
	if c.user.ID == "" {
		return problemf(409, "no-account", "No account", "The local socket has no account of its own.")
	}
	entry := c.entry(audit.Authentication, "password_check", c.user.Name)
	if err := s.limit(c.w, limitLogin, "user "+string(c.user.ID), entry); err != nil {
		return err
	}
	key := confirmKey(c.user.ID)
	if err := s.attempt(key, entry); err != nil {
		return err
	}
	good, _, err := s.checkPassword(c.r.Context(), c.user.Password, password[:min(len(password), maxPassword)])
	if err != nil {
		s.limits[limitAccount].takeBack(key)
		return err
	}
	if !good || len(password) > maxPassword {
		entry.Status = audit.Failure
		return s.refuseLogin(key, entry, problemf(422, "wrong-password", "Wrong password", "The present password is not right."))
	}
	return s.succeeded(key)
}

// changePassword gives the caller a new password and ends its other sessions. The
// one that goes on gets another secret, which is returned to programs.
func (s *Server) changePassword(c *call, old, password string) (string, error) {
	if err := s.confirm(c, old); err != nil {
		return "", err
	}
	if err := checkNewPassword(c.user.Name, password); err != nil {
		return "", err
	}
	if old == password {
		return "", problemf(422, "same-password", "Same password", "This is the present password. Choose another.")
	}
	hash, err := s.hashPassword(c.r.Context(), password)
	if err != nil {
		return "", err
	}
	return s.changeSelf(c, true, func(u *store.User) error {
		u.Password, u.MustChange, u.PasswordEnds = hash, false, time.Time{}
		return nil
	}, c.entry(audit.Authentication, "password_changed", c.user.Name))
}

// changeSelf changes what decides how the caller logs in, and ends all other log-ins. That of
// a browser goes on with another secret, in its cookie and nowhere else; that of a program, if
// the answer can tell it, with the one that is returned, and else with the same. Where
// somebody has ended it since it was looked up, as with a reset of the password, nothing is
// changed.
func (s *Server) changeSelf(c *call, tells bool, change func(*store.User) error, entry audit.Entry) (secret string, err error) {
	keeps := store.Keeps{Session: c.session, Tokens: true}
	if c.session != "" && (tells || c.browses()) { // else it is a key, or has to go on as it is
		secret = newSecret()
		keeps.Renewed = hashSecret(secret)
	}
	_, err = s.Store.CutUser(c.user.ID, keeps, func(u *store.User) error {
		if u.Cuts != c.user.Cuts || !u.Active() {
			return errNotAuthenticated
		}
		return change(u)
	}, entry)
	s.recheck.ring()
	if err != nil || secret == "" {
		return "", err
	}
	c.session = keeps.Renewed
	if c.browses() {
		s.setCookie(c.w, c.r, secret)
		return "", nil
	}
	return secret, nil
}

// Bounds of how long a key for programs holds, in days.
const (
	tokenDays    = 365
	maxTokenDays = 3650
)

// A tokenWish is what somebody wants a key for programs to be.
type tokenWish struct {
	Name   string   `json:"name"`
	Scopes []string `json:"scopes,omitempty"`       // none: scopeAll
	Days   *int     `json:"expires_days,omitempty"` // 1 to maxTokenDays; nil: tokenDays
}

// addToken makes a key for programs and returns its secret, which is shown once.
func (s *Server) addToken(c *call, wish tokenWish) (store.Token, string, error) {
	name, err := label(wish.Name)
	if err != nil {
		return store.Token{}, "", err
	}
	days := tokenDays
	if wish.Days != nil {
		days = *wish.Days
	}
	if days < 1 || days > maxTokenDays {
		return store.Token{}, "", problemf(422, "bad-days", "Not possible", "A key holds 1 to %d days.", maxTokenDays)
	}
	if len(wish.Scopes) == 0 {
		wish.Scopes = []string{string(scopeAll)}
	}
	for _, x := range wish.Scopes {
		if !slices.Contains(scopes, scope(x)) {
			return store.Token{}, "", problemf(422, "bad-scope", "Unknown scope", "A scope is read, scan, upload, write or all.")
		}
	}
	slices.Sort(wish.Scopes)
	secret, now := newSecret(), time.Now()
	t := store.Token{
		ID: store.TokenID(store.NewID()), Name: name, Hash: hashSecret(secret), Created: now,
		Expires: now.AddDate(0, 0, days), Scopes: slices.Compact(wish.Scopes),
	}
	entry := c.entry(audit.Authentication, "token_created", name)
	entry.Details = strings.Join(t.Scopes, " ")
	user := &c.user
	if user.ID == "" { // the box itself
		user = nil
	}
	err = s.Store.AddToken(user, t, entry)
	switch {
	case errors.Is(err, store.ErrConflict):
		err = errNotAuthenticated
	case errors.Is(err, store.ErrTokens):
		err = problemf(409, "too-many-keys", "Too many keys", "There are %d keys. Delete one first.", store.MaxTokens)
	}
	return t, secret, err
}
