// Package web lets people and programs reach docscan: pages that work without
// script, a JSON API under /api/v1, and events.
//
// All of it is one table of routes. A handler returns an error; one function
// turns errors into RFC 9457 problems for programs and into pages for people.
// The package holds no state but the limits on log-ins: what it shows is in the
// store, and what it does the engine does.
package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"docscan/device"
	"docscan/scan"
	"docscan/scan/deliver"
	"docscan/store"
	"docscan/store/search"
)

// Config is the table [web] of docscan.toml.
type Config struct {
	// Listen is the address for browsers and programs.
	Listen string `toml:"listen"`
	// TLS says whether pages and API are encrypted: auto, on or off.
	TLS string `toml:"tls"`
	// Certificate and Key are files of a certificate by somebody else.
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	// Names are more names for the certificate that docscan makes itself.
	Names []string `toml:"names"`
	// TrustedProxies are addresses and networks of proxies in front of docscan.
	TrustedProxies []string `toml:"trusted_proxies"`
	// ForwardedHeader is where they say for whom they ask.
	ForwardedHeader string `toml:"forwarded_header"`
	// MaxConnections bounds the connections at one time.
	MaxConnections int `toml:"max_connections"`
	// ConnectionsPerAddress bounds those of one address.
	ConnectionsPerAddress int `toml:"connections_per_address"`
	// SessionIdleMinutes ends a log-in that is not used.
	SessionIdleMinutes int `toml:"session_idle_minutes"`
	// SessionHours ends a log-in in any case.
	SessionHours int `toml:"session_hours"`
	// PanelSessionDays ends the log-in of a screen at the box, used or not.
	PanelSessionDays int `toml:"panel_session_days"`
	// LoginTokenMinutes ends what a program gets that logs in with a password.
	LoginTokenMinutes int `toml:"login_token_minutes"`
	// Registration is how people come to accounts by themselves: off, approval or
	// open.
	Registration string `toml:"registration"`
	// PasswordPasses is how many passes argon2id makes; 0: as measured.
	PasswordPasses int `toml:"password_passes"`
	// LoginsPerMinute is how many attempts to log in one address has.
	LoginsPerMinute int `toml:"logins_per_minute"`
	// RegistrationsPerMinute is how many registrations one address has.
	RegistrationsPerMinute int `toml:"registrations_per_minute"`
	// UploadsPerMinute is how many requests that bring files one user has.
	UploadsPerMinute int `toml:"uploads_per_minute"`
	// ExportsPerMinute is how many files one user can take away.
	ExportsPerMinute int `toml:"exports_per_minute"`
	// AdminPerMinute is how many changes one administrator can make.
	AdminPerMinute int `toml:"admin_per_minute"`
	// MaxBodyKB bounds the body of a request, in KiB.
	MaxBodyKB int `toml:"max_body_kb"`
	// MaxUploadMB bounds a request that brings files, in MiB.
	MaxUploadMB int `toml:"max_upload_mb"`
	// UpdateAccount is the system's user that may bring updates over the local
	// socket, and nothing else; empty for none.
	UpdateAccount string `toml:"update_account"`
	// FleetAccount is the one that may also do the other work of a fleet.
	FleetAccount string `toml:"fleet_account"`
	// DocumentTypes are kinds of documents that uploads can name beside the six that
	// every box knows: invoice, receipt, id_card, passport, driver_license and other.
	DocumentTypes []string `toml:"document_types"`
	// PlainDestinations lets documents go to WebDAV destinations unencrypted.
	PlainDestinations bool `toml:"plain_destinations"`
}

// DefaultConfig is what holds where docscan.toml is silent.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:8000", TLS: tlsAuto, ForwardedHeader: forwardedFor, MaxConnections: 1024, ConnectionsPerAddress: 256,
		SessionIdleMinutes: 12 * 60, SessionHours: 7 * 24, PanelSessionDays: 365, LoginTokenMinutes: 30, Registration: registerApproval,
		LoginsPerMinute: 10, RegistrationsPerMinute: 5, UploadsPerMinute: 60, ExportsPerMinute: 120, AdminPerMinute: 120,
		MaxBodyKB: 10 * 1024, MaxUploadMB: 256, UpdateAccount: "docscan-update", FleetAccount: "docscan-fleet",
	}
}

// Check reports the first value that makes no sense.
func (c *Config) Check() error {
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || port == "" {
		return fmt.Errorf("listen is %q; it must be like 127.0.0.1:8000, or :8000 for all addresses", c.Listen)
	}
	switch {
	case c.SessionIdleMinutes < 1 || c.SessionIdleMinutes > 60*24*365:
		return fmt.Errorf("session_idle_minutes is %d; it must be 1 to 525600", c.SessionIdleMinutes)
	case c.SessionHours < 1 || c.SessionHours > 24*365:
		return fmt.Errorf("session_hours is %d; it must be 1 to 8760", c.SessionHours)
	case c.PanelSessionDays < 1 || c.PanelSessionDays > 400: // browsers keep no cookie longer (RFC 6265bis)
		return fmt.Errorf("panel_session_days is %d; it must be 1 to 400", c.PanelSessionDays)
	case c.LoginTokenMinutes < 1 || c.LoginTokenMinutes > 60*24*365:
		return fmt.Errorf("login_token_minutes is %d; it must be 1 to 525600", c.LoginTokenMinutes)
	case c.Registration != registerOff && c.Registration != registerApproval && c.Registration != registerOpen:
		return fmt.Errorf("registration is %q; it must be off, approval or open", c.Registration)
	case c.PasswordPasses < 0 || c.PasswordPasses > maxPasses:
		return fmt.Errorf("password_passes is %d; it must be 0 to %d", c.PasswordPasses, maxPasses)
	case c.MaxBodyKB < 16 || c.MaxBodyKB > 1<<20:
		return fmt.Errorf("max_body_kb is %d; it must be 16 to 1048576", c.MaxBodyKB)
	case c.MaxUploadMB < 1 || c.MaxUploadMB > 1<<16:
		return fmt.Errorf("max_upload_mb is %d; it must be 1 to 65536", c.MaxUploadMB)
	}
	for _, t := range c.DocumentTypes {
		if t == "" || len(t) > 64 || strings.ContainsFunc(t, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
			return fmt.Errorf("document_types has %q; a type has 1 to 64 small letters, digits and _", t)
		}
	}
	switch {
	case c.TLS != tlsAuto && c.TLS != tlsOn && c.TLS != tlsOff:
		return fmt.Errorf("tls is %q; it must be auto, on or off", c.TLS)
	case (c.Certificate == "") != (c.Key == ""):
		return errors.New("certificate and key must both be given, or neither")
	case c.Certificate != "" && c.TLS == tlsOff:
		return errors.New("certificate is given, but tls is off")
	case c.MaxConnections < 16 || c.MaxConnections > 1<<16:
		return fmt.Errorf("max_connections is %d; it must be 16 to 65536", c.MaxConnections)
	case c.ConnectionsPerAddress < 4 || c.ConnectionsPerAddress > 1<<16:
		return fmt.Errorf("connections_per_address is %d; it must be 4 to 65536", c.ConnectionsPerAddress)
	}
	for _, n := range c.Names {
		if !fitForCertificate(n) {
			return fmt.Errorf("names has %q; it must be a host name or an address", n)
		}
	}
	if err := c.checkProxies(); err != nil {
		return err
	}
	for name, n := range map[string]int{
		"logins_per_minute": c.LoginsPerMinute, "registrations_per_minute": c.RegistrationsPerMinute, "uploads_per_minute": c.UploadsPerMinute,
		"exports_per_minute": c.ExportsPerMinute, "admin_per_minute": c.AdminPerMinute,
	} {
		if n < 1 || n > 1_000_000 {
			return fmt.Errorf("%s is %d; it must be 1 to 1000000", name, n)
		}
	}
	return checkAccounts(c)
}

// Deps are what the pages show and act on.
type Deps struct {
	Store    *store.Store
	Engine   *scan.Engine
	Registry *device.Registry
	Index    *search.Index
	Version  string
	Versions func() string // of this program and the libraries it runs on, one a line
	Log      *slog.Logger
	Recent   *Recent // the last lines of Log; may be nil

	Deliveries *deliver.Queue

	Certificate       *Certificate          // nil: the connections are not encrypted here
	Updates           Updates               // nil: this box cannot update itself
	LanguageInstaller LanguageInstaller     // nil: nor can it install languages
	SSHAccess         SSHAccess             // nil: nor let a fleet in
	Leave             func(context.Context) // see Server.leave; may be nil
	SetUp             func()                // there is an administrator now; may be nil
	Restart           func()                // ends docscan, which is then started again; nil: nobody would start it
}

// Server answers requests. It is made by New.
type Server struct {
	Deps
	cfg      Config
	started  time.Time
	tongues  []*tongue
	assets   assets
	pages    *templates
	router   http.Handler
	limits   map[string]*limiter[string]
	tidied   tidying                // of what the store keeps of them
	refusals *limiter[netip.Prefix] // bounds what is recorded of requests that are not allowed
	views    *limiter[reading]      // tells the views of a document apart from the parts of one view
	lists    *limiter[reading]      // the same for lists of somebody's documents
	hashing  chan struct{}          // holds one token: one argon2 at a time bounds its memory
	waiting  atomic.Int32           // how many hash or wait for that
	passes   uint32                 // of argon2id

	deviceKey []byte     // signs what browsers are known by
	recheck   bell       // rings when somebody may no longer be who they were
	halfway   ceremonies // log-ins that wait for their second step

	choosing sync.Mutex    // held while preferences change
	allTime  time.Duration // in which all documents of a list are found
	beat     time.Duration // between the signs of life of an event stream

	streams  streams // that are open
	metrics  *metrics
	describe describer  // the description of the API
	repeats  repeats    // requests with an Idempotency-Key that are being worked at
	editing  sync.Mutex // held while what If-Match names is compared and replaced, and what is bounded counted and added
	staging  sync.Mutex // held while a backup is laid ready, confirmed or removed

	closing sync.Once
	closed  chan struct{} // closed when the server shuts down, so that event streams end
}

// New returns a server.
func New(cfg Config, d Deps) (*Server, error) {
	s := &Server{
		Deps:     d,
		cfg:      cfg,
		started:  time.Now(),
		limits:   newLimits(cfg),
		refusals: newLimiter[netip.Prefix](maxRefusals, time.Minute),
		views:    newLimiter[reading](1, viewTime),
		lists:    newLimiter[reading](1, listTime),
		hashing:  make(chan struct{}, 1),
		allTime:  allTime,
		beat:     heartbeat,
		closed:   make(chan struct{}),
	}
	var err error
	if s.tongues, err = loadTongues(); err != nil {
		return nil, fmt.Errorf("load the messages: %w", err)
	}
	if s.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("load the files of the pages: %w", err)
	}
	if s.pages, err = loadTemplates(s.tongues, s.assets, s.Store.Zone); err != nil {
		return nil, fmt.Errorf("load the pages: %w", err)
	}
	if s.passes, err = s.measurePasses(); err != nil {
		return nil, fmt.Errorf("measure the cost of a password: %w", err)
	}
	if err := errors.Join(s.loadDeviceKey(), s.loadLimits()); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(s)
	s.router = s.newRouter()
	return s, nil
}

// Handler answers what comes over the network.
func (s *Server) Handler() http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.recordRefusal(r, nil, "cross_origin_blocked")
		s.fail(w, r, nil, problemf(403, "cross-origin", "Not from here", "Another website tried to do this in your name. Nothing was done."))
	}))
	return s.believe(s.protect(p.Handler(s.router)))
}

// LocalHandler answers what comes over the socket on the box itself. Who is at
// the other end, its credentials tell.
func (s *Server) LocalHandler() http.Handler { return s.protect(s.router) }

// Bounds in time of one connection. Bodies of answers have none: a PDF may be
// large and the line thin, and events go on.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 60 * time.Second
	idleTimeout   = 120 * time.Second
	maxHeader     = 32 << 10
	maxStreams    = 100 // requests at one time over one connection of HTTP/2
)

// Server wraps h, which is Handler or LocalHandler, for serving.
func (s *Server) Server(h http.Handler) *http.Server {
	srv := NewHTTPServer(h, s.Log)
	srv.RegisterOnShutdown(s.End)
	return srv
}

// End ends event streams; who watches comes back.
func (s *Server) End() { s.closing.Do(func() { close(s.closed) }) }

// NewHTTPServer serves h, to which Handler and LocalHandler belong, within the
// bounds of time of a connection.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withPeer,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: stallTime},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// The one-time code of the first set-up. It can be typed, and there is a link with it.
const (
	setupKey = "setup"
	// SetupTime is how long it holds.
	SetupTime = 24 * time.Hour
)

// setupSecret is what the store keeps of the code.
type setupSecret struct {
	Hash    string    `json:"hash"`
	Expires time.Time `json:"expires"`
}

// SetupCode makes a new one-time code for choosing the first administrator; those made
// before no longer work. It is "" once there is one.
func (s *Server) SetupCode() (string, error) {
	users, err := s.Store.Users()
	if err != nil || len(users) > 0 {
		return "", err
	}
	code := temporaryPassword()
	return code, s.Store.PutSetting(setupKey, setupSecret{hashSecret(tidyCode(code)), time.Now().Add(SetupTime)})
}

// SetupLink gives the link below base in which a code from SetupCode is.
func SetupLink(base, code string) string { return base + "/setup?token=" + code }

// checkSetup reports whether code is the one of the set-up, and still valid.
func (s *Server) checkSetup(code string) error {
	var want setupSecret
	ok, err := s.Store.Setting(setupKey, &want)
	if err != nil {
		return err
	}
	if !ok || !equal(hashSecret(tidyCode(code)), want.Hash) || time.Now().After(want.Expires) {
		return errSetupToken
	}
	return nil
}

// newSecret makes a secret of 192 bits that fits a URL and a cookie.
func newSecret() string {
	b := make([]byte, 24)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// hashSecret is what is kept of a secret. It needs no salt and no slow hash: a
// secret of 192 bits cannot be guessed.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
