package web

import (
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"docscan/scan"
	"docscan/store"
	"docscan/store/audit"
)

// Cost of argon2id: RFC 9106's second recommended choice with less memory, as a
// box may have 512 MB in all. One hash at a time is computed.
const (
	argonTime    = 3
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	argonKey     = 32
)

// hashPassword gives the encoded argon2id hash of a password, in the usual form.
func (s *Server) hashPassword(password string) string {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	key := s.argon(password, salt, argonTime, argonMemory)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, enc.EncodeToString(salt), enc.EncodeToString(key))
}

func (s *Server) argon(password string, salt []byte, time, memory uint32) []byte {
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	return argon2.IDKey([]byte(password), salt, time, memory, argonThreads, argonKey)
}

// decoy is hashed when there is no such user, so that the time tells nothing.
const decoy = "$argon2id$v=19$m=19456,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// checkPassword reports whether password is the one that was hashed.
func (s *Server) checkPassword(encoded, password string) bool {
	var version int
	var memory, passes uint32
	var threads uint8
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	_, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &threads)
	salt, serr := base64.RawStdEncoding.DecodeString(parts[4])
	key, kerr := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || serr != nil || kerr != nil || version != argon2.Version || memory > 1<<20 || passes > 100 || passes < 1 {
		return false
	}
	return subtle.ConstantTimeCompare(s.argon(password, salt, passes, memory), key) == 1
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Bounds of names and passwords, in characters and bytes.
const (
	minPassword, maxPassword = 10, 1024
	maxName                  = 64
)

// common are the passwords that are tried first. Shorter ones the length rule
// already refuses.
//
//go:embed common-passwords.txt
var common string

// checkNewPassword says what is wrong with a password somebody chooses.
func checkNewPassword(name, password string) error {
	folded := strings.ToLower(password)
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return problemf(422, "weak-password", "Password too short", "The password needs at least %d characters. Some words in a row are easy to remember.", minPassword)
	case len(password) > maxPassword:
		return problemf(422, "weak-password", "Password too long", "The password may have at most %d bytes.", maxPassword)
	case strings.Contains(folded, strings.ToLower(name)) && len(folded) < len(name)+minPassword:
		return problemf(422, "weak-password", "Password too easy", "The password must not be made of the name.")
	case slices.Contains(strings.Fields(common), folded), strings.Trim(folded, folded[:1]) == "":
		return problemf(422, "weak-password", "Password too common", "This password is one of those that are tried first. Choose another.")
	}
	return nil
}

// checkNewName says what is wrong with a log-in name.
func checkNewName(name string) error {
	bad := strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-_@", r)
	})
	if name == "" || bad || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName {
		return problemf(422, "bad-name", "Name not usable", "A name has 1 to %d letters, digits and the characters . - _ @", maxName)
	}
	if strings.EqualFold(name, localActor) || strings.EqualFold(name, "docscan") || strings.EqualFold(name, "panel") {
		return problemf(422, "bad-name", "Name not usable", "This name is used by docscan itself. Choose another.")
	}
	return nil
}

// cookieName is that of the session. The secret in it opens the session; the
// store has only its hash.
const cookieName = "docscan_session"

// localActor is who works at the box itself.
const localActor = "local"

// caller is who makes a request.
type caller struct {
	user    store.User
	session string // hash of the session's secret; "" for a token or the local socket
	token   string // hash of the token's secret; "" for a session or the local socket
	address string // of the network; "" for the local socket
	origin  string // what a batch is told to come from: web, api or cli
}

func (c *caller) admin() bool { return c.user.Role == store.RoleAdmin }

func (c *caller) by() scan.By { return scan.By{Actor: c.user.Name, Address: c.address} }

// entry is what the audit log keeps of a deed of c.
func (c *caller) entry(kind, action, target string) audit.Entry {
	return audit.Entry{Time: time.Now(), EventType: kind, Actor: c.user.Name, Address: c.address, Action: action, Target: target, Status: audit.Success}
}

// sees reports whether c may see what belongs to owner.
func (c *caller) sees(owner store.UserID) bool {
	return c.admin() || owner == "" || owner == c.user.ID
}

// owner limits a listing to what c may see.
func (c *caller) owner() *store.UserID {
	if c.admin() {
		return nil
	}
	return &c.user.ID
}

// identify finds out who makes a request: nil is nobody in particular.
func (s *Server) identify(r *http.Request) (*caller, error) {
	if peer, ok := r.Context().Value(peerKey{}).(peer); ok {
		if !peer.trusted {
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
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil, nil
	}
	c.origin = "web"
	err = s.open(c, hashSecret(cookie.Value), false)
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
		if now.After(x.Expires) || now.Sub(x.Seen) > time.Duration(s.cfg.SessionIdleMinutes)*time.Minute {
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
		user, c.token = t.User, hash
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
	if errors.Is(err, store.ErrNotFound) || err == nil && c.user.Disabled {
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

// logIn checks name and password and begins a session, whose secret it returns.
func (s *Server) logIn(r *http.Request, name, password string) (store.User, string, error) {
	entry := audit.Entry{Time: time.Now(), EventType: audit.Authentication, Actor: clip(name), Action: "login", Target: clip(name), Address: address(r), Status: audit.Failure}
	if err := s.limit(entry); err != nil {
		return store.User{}, "", err
	}
	u, err := s.Store.UserByName(name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.User{}, "", err
	}
	hash := u.Password
	if err != nil {
		hash = decoy
	}
	good := len(password) <= maxPassword && s.checkPassword(hash, password)
	if err != nil || !good || u.Disabled {
		if err := s.Store.AddAudit(entry); err != nil {
			return store.User{}, "", err
		}
		return store.User{}, "", errWrongPassword
	}
	entry.Actor, entry.Status = u.Name, audit.Success
	secret, err := s.newSession(r, u, entry)
	return u, secret, err
}

// limit counts an attempt that entry describes, and refuses and records it if
// there have been too many from its address.
func (s *Server) limit(entry audit.Entry) error {
	wait, ok := s.logins.allow(limitKey(entry.Address))
	if ok {
		return nil
	}
	entry.EventType, entry.Action, entry.Status = audit.Security, "rate_limit_exceeded", audit.Blocked
	if err := s.Store.AddAudit(entry); err != nil {
		return err
	}
	return &retryLater{wait}
}

// clip bounds what a stranger can put into the audit log.
func clip(s string) string {
	r := []rune(strings.ToValidUTF8(s, "?"))
	return string(r[:min(len(r), maxName)])
}

func (s *Server) newSession(r *http.Request, u store.User, entry audit.Entry) (string, error) {
	secret, now := newSecret(), time.Now()
	if err := s.Store.EndExpiredSessions(now, now.Add(-time.Duration(s.cfg.SessionIdleMinutes)*time.Minute)); err != nil {
		return "", err
	}
	return secret, s.Store.AddSession(store.Session{
		ID: store.SessionID(store.NewID()), Hash: hashSecret(secret), User: u.ID, Created: now, Seen: now,
		Expires: now.Add(time.Duration(s.cfg.SessionHours) * time.Hour), Address: address(r), Agent: clip(r.UserAgent()),
	}, entry)
}

// setCookie gives the browser the secret of its session, or takes it away.
func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, secret string) {
	c := &http.Cookie{Name: cookieName, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil, MaxAge: s.cfg.SessionHours * 3600}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// setUp makes the first administrator and logs in.
func (s *Server) setUp(r *http.Request, token, name, password string) (store.User, string, error) {
	entry := audit.Entry{Time: time.Now(), EventType: audit.AdminAction, Actor: clip(name), Address: address(r), Action: "setup", Target: clip(name), Status: audit.Success}
	if err := s.limit(entry); err != nil {
		return store.User{}, "", err
	}
	if err := s.checkSetup(token); err != nil {
		if errors.Is(err, errSetupToken) {
			refused := entry
			refused.Status = audit.Failure
			err = errors.Join(err, s.Store.AddAudit(refused))
		}
		return store.User{}, "", err
	}
	if err := errors.Join(checkNewName(name), checkNewPassword(name, password)); err != nil {
		return store.User{}, "", err
	}
	u := store.User{ID: store.UserID(store.NewID()), Name: name, Role: store.RoleAdmin, Password: s.hashPassword(password), Created: time.Now()}
	if err := s.Store.AddFirstUser(u, entry); err != nil {
		if errors.Is(err, store.ErrExists) {
			return store.User{}, "", errSetupToken // somebody was faster
		}
		return store.User{}, "", err
	}
	if err := s.Store.PutSetting(setupKey, nil); err != nil {
		s.Log.Warn("forgetting the set-up link failed; it no longer works all the same", "err", err)
	}
	entry.EventType, entry.Action = audit.Authentication, "login"
	secret, err := s.newSession(r, u, entry)
	return u, secret, err
}

// addUser adds an account.
func (s *Server) addUser(c *caller, name, password string, role store.Role) (store.User, error) {
	if err := errors.Join(checkNewName(name), checkNewPassword(name, password)); err != nil {
		return store.User{}, err
	}
	if role != store.RoleAdmin && role != store.RoleMember {
		return store.User{}, problemf(422, "bad-role", "Unknown role", "A role is admin or member.")
	}
	u := store.User{ID: store.UserID(store.NewID()), Name: name, Role: role, Password: s.hashPassword(password), Created: time.Now()}
	err := s.Store.AddUser(u, c.entry(audit.AdminAction, "user_added", name))
	if errors.Is(err, store.ErrExists) {
		return store.User{}, problemf(409, "name-taken", "Name taken", "Username already registered")
	}
	return u, err
}

// changePassword gives the caller a new password and ends its other sessions.
func (s *Server) changePassword(c *caller, old, password string) error {
	if c.user.ID == "" {
		return problemf(409, "no-account", "No account", "The local socket has no password.")
	}
	entry := c.entry(audit.Authentication, "password_changed", c.user.Name)
	if err := s.limit(entry); err != nil {
		return err
	}
	if !s.checkPassword(c.user.Password, old) {
		entry.Status = audit.Failure
		if err := s.Store.AddAudit(entry); err != nil {
			return err
		}
		return problemf(422, "wrong-password", "Wrong password", "The present password is not right.")
	}
	if err := checkNewPassword(c.user.Name, password); err != nil {
		return err
	}
	hash := s.hashPassword(password)
	_, err := s.Store.UpdateUser(c.user.ID, func(u *store.User) error { u.Password = hash; return nil }, entry)
	if err != nil {
		return err
	}
	return s.Store.EndSessionsOf(c.user.ID, c.session)
}

// addToken makes a key for programs and returns its secret, which is shown once.
func (s *Server) addToken(c *caller, name string) (store.Token, string, error) {
	name = strings.TrimSpace(name)
	if name == "" || utf8.RuneCountInString(name) > maxName {
		return store.Token{}, "", problemf(422, "bad-name", "Name not usable", "A token needs a name of at most %d characters, such as what it is for.", maxName)
	}
	secret := newSecret()
	t := store.Token{ID: store.TokenID(store.NewID()), Name: name, Hash: hashSecret(secret), User: c.user.ID, Created: time.Now()}
	return t, secret, s.Store.AddToken(t, c.entry(audit.Authentication, "token_created", name))
}

// retryLater refuses somebody who asks too often.
type retryLater struct{ wait time.Duration }

func (e *retryLater) Error() string { return "too many attempts" }

// limiter counts attempts by key in a sliding window of one interval.
type limiter[K comparable] struct {
	most     int
	interval time.Duration

	mu   sync.Mutex
	seen map[K][]time.Time
}

// maxKeys bounds the memory of a limiter under attack from many addresses.
const maxKeys = 10000

func newLimiter[K comparable](most int, interval time.Duration) *limiter[K] {
	return &limiter[K]{most: most, interval: interval, seen: make(map[K][]time.Time)}
}

// limitKey counts IPv6 by /64, which is what one customer gets.
func limitKey(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// allow counts an attempt. When there are too many, it says how long to wait.
func (l *limiter[K]) allow(key K) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	old := func(t time.Time) bool { return now.Sub(t) >= l.interval }
	if len(l.seen) > maxKeys {
		for k, list := range l.seen {
			if old(list[len(list)-1]) {
				delete(l.seen, k)
			}
		}
	}
	list := slices.DeleteFunc(l.seen[key], old)
	if len(list) >= l.most {
		l.seen[key] = list
		return l.interval - now.Sub(list[0]), false
	}
	l.seen[key] = append(list, now)
	return 0, true
}
