package web

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"
)

// call is one request with what the router found out about it.
type call struct {
	w http.ResponseWriter
	r *http.Request
	*caller
	ps     httprouter.Params
	tongue *tongue // what the answer speaks
}

// say puts a problem into the words of the one who asks.
func (c *call) say(p *Problem) string { return c.tongue.Problem(p).Detail }

// route is one line of the table.
type route struct {
	method, path string
	access       access
	handle       func(*Server, *call) error
	summary      string // for the API's description; "": a page
}

// eventsPath is the one address whose answer does not end.
const eventsPath = "/api/v1/events"

// routes lists all there is. The API's description is made from it, so no route is
// without one.
func routes() []route {
	return append(slices.Concat(updateRoutes(), uploadRoutes(), documentRoutes(), auditRoutes(), accountRoutes(), languageRoutes(),
		documentPages(), systemRoutes(), restoreRoutes(), welcomeRoutes(), destinationRoutes(), kioskRoutes(), fleetRoutes(), sshAccessRoutes(), sheetRoutes(), beforeRoutes(), apiPages()), []route{
		{"GET", "/api/health", anyone, (*Server).health, "Whether docscan works"},
		{"POST", "/api/login", anyone, (*Server).apiLogin, "Log in (the path of the service before)"},
		{"POST", "/api/v1/login", anyone, (*Server).apiLogin, "Log in: {username, password, code?} gives {access_token, token_type}"},
		{"POST", "/api/v1/setup", anyone, (*Server).apiSetup, "Choose the first administrator: {token, username, password}"},
		{"POST", "/api/v1/logout", entering, (*Server).apiLogout, "End this session"},
		{"GET", "/api/v1/me", entering, (*Server).apiMe, "Who I am"},
		{"POST", "/api/v1/password", entering, (*Server).apiPassword, "Change my password: {old, password}; ends my other sessions and gives this one another access_token"},
		{"GET", "/api/v1/status", panels, (*Server).apiStatus, "Version, disk, scanners and work waiting"},
		{"GET", "/api/v1/devices", panels, (*Server).apiDevices, "Scanners"},
		{"GET", "/api/v1/devices/:id", panels, (*Server).apiDevice, "A scanner with what was chosen for it"},
		{"PUT", "/api/v1/devices/:id", admins, (*Server).apiChooseDevice, "Choose {name, presses: [{button, gesture, profile}], auto_start, auto_start_seconds, auto_start_profile}"},
		{"GET", "/api/v1/devices/:id/diagnosis", admins, (*Server).apiDiagnosis, "All that is known of a scanner, as text; nothing of what was scanned"},
		{"GET", "/api/v1/profiles", panels, (*Server).apiProfiles, "Profiles; the first is the default"},
		{"GET", "/api/v1/profiles/:id", panels, (*Server).apiProfile, "A profile"},
		{"PUT", "/api/v1/profiles/:id", admins, (*Server).apiPutProfile, "Add or replace {name, source, duplex, mode, resolution, languages, double_feed, paper, separation: {patch, code, blank, label, sheets, back}}"},
		{"DELETE", "/api/v1/profiles/:id", admins, (*Server).apiDeleteProfile, "Delete a profile"},
		{"POST", "/api/v1/scans", panels, (*Server).apiScan, "Press: {device?, profile?, anew?} opens a batch, or goes on with a stopped one unless it is to start anew"},
		{"GET", "/api/v1/batches", panels, (*Server).apiBatches, "Batches, newest first (?limit=, ?cursor=)"},
		{"GET", "/api/v1/batches/:id", panels, (*Server).apiBatch, "A batch with its pages"},
		{"POST", "/api/v1/batches/:id/cancel", panels, (*Server).apiCancel, "Stop feeding after this sheet and keep what is safe"},
		{"POST", "/api/v1/batches/:id/resume", panels, (*Server).apiResume, "Go on with a stopped batch in the same document"},
		{"POST", "/api/v1/batches/:id/finish", panels, (*Server).apiFinish, "Close a stopped batch with the pages that are there"},
		{"GET", "/api/v1/batches/:id/pages/:seq/thumb", members, (*Server).batchThumb, "Small picture of a page"},
		{"GET", "/api/v1/batches/:id/pages/:seq/view", members, (*Server).batchView, "Picture of a page for a screen"},
		{"GET", "/api/v1/batches/:id/pages/:seq/raw", members, (*Server).batchRaw, "The file as the scanner sent it"},
		{"GET", "/api/v1/batches/:id/pages/:seq/text", members, (*Server).batchText, "Words of a page with their places"},
		{"GET", "/api/v1/documents", members, (*Server).apiDocuments, "Documents, newest first, or those that fit ?q= (?limit=, ?cursor=)"},
		{"GET", "/api/v1/documents/:id", members, (*Server).apiDocument, "A document"},
		{"DELETE", "/api/v1/documents/:id", members, (*Server).apiDelete, "Put a document into the trash; ?forever= deletes it with its pages"},
		{"GET", "/api/v1/documents/:id/pdf", members, (*Server).documentPDF, "The PDF (?download=1 as a file)"},
		{"GET", "/api/v1/documents/:id/text", members, (*Server).documentText, "The text, pages divided by form feeds"},
		{"GET", "/api/v1/documents/:id/pages/:seq/thumb", members, (*Server).documentThumb, "Small picture of a page"},
		{"GET", "/api/v1/documents/:id/pages/:seq/view", members, (*Server).documentView, "Picture of a page for a screen"},
		{"GET", "/api/v1/documents/:id/pages/:seq/text", members, (*Server).documentPageText, "Words of a page with their places"},
		{"GET", eventsPath, panels, (*Server).events, "Server-sent events; Last-Event-ID replays"},
		{"GET", "/api/v1/sessions", selves, (*Server).apiSessions, "My log-ins"},
		{"DELETE", "/api/v1/sessions/:id", selves, (*Server).apiEndSession, "End one of my log-ins"},
		{"GET", "/api/v1/tokens", selves, (*Server).apiTokens, "My keys for programs"},
		{"POST", "/api/v1/tokens", selves, (*Server).apiAddToken, "Make a key: {name, scopes?, expires_days?}; its secret is shown once"},
		{"DELETE", "/api/v1/tokens/:id", selves, (*Server).apiDeleteToken, "Delete a key"},
		{"GET", "/api/v1/users", admins, (*Server).apiUsers, "People"},
		{"POST", "/api/v1/users", admins, (*Server).apiAddUser, "Add a person: {username, password, role?, email?, full_name?, groups?, must_change_password?}"},
		{"POST", "/api/v1/system/check", admins, (*Server).apiCheck, "Check all that is stored"},
		{"GET", "/api/v1/system/backup", admins, (*Server).apiBackup, "A backup of all that is stored"},
		{"GET", "/api/v1/openapi.json", anyone, (*Server).openAPI, "This description"},

		{"GET", "/setup", anyone, (*Server).setupPage, ""},
		{"POST", "/setup", anyone, (*Server).setupForm, ""},
		{"GET", "/login", anyone, (*Server).loginPage, ""},
		{"POST", "/login", anyone, (*Server).loginForm, ""},
		{"POST", "/logout", entering, (*Server).logoutForm, ""},
		{"GET", "/", members, (*Server).homePage, ""},
		{"GET", "/live", members, (*Server).livePart, ""},
		{"POST", "/scan", panels, (*Server).scanForm, ""},
		{"POST", uploadsPage, senders, (*Server).uploadForm, ""},
		{"GET", "/keys", members, (*Server).keysPage, ""},
		{"GET", "/devices", admins, (*Server).devicesPage, ""},
		{"POST", "/devices/:id", admins, (*Server).deviceForm, ""},
		{"GET", "/profiles", admins, (*Server).profilesPage, ""},
		{"POST", "/profiles", admins, (*Server).profileForm, ""},
		{"POST", "/profiles/:id/delete", admins, (*Server).deleteProfileForm, ""},
		{"POST", "/batches/:id/:action", panels, (*Server).batchForm, ""},
		{"GET", "/account", selves, (*Server).accountPage, ""},
		{"POST", "/account/preferences", members, (*Server).preferencesForm, ""},
		{"POST", "/account/password", entering, (*Server).passwordForm, ""},
		{"POST", "/account/sessions/:id/end", selves, (*Server).endSessionForm, ""},
		{"POST", "/account/tokens", selves, (*Server).tokenForm, ""},
		{"POST", "/account/tokens/:id/delete", selves, (*Server).deleteTokenForm, ""},
		{"GET", "/people", admins, (*Server).peoplePage, ""},
		{"POST", "/people", admins, (*Server).peopleForm, ""},
		{"GET", "/metrics", anyone, (*Server).metricsPage, ""},
		{"GET", "/static/*file", anyone, (*Server).static, ""},
	}...)
}

func (s *Server) newRouter() http.Handler {
	router := httprouter.New()
	router.HandleOPTIONS = false
	for _, rt := range routes() {
		router.Handle(rt.method, rt.path, s.serve(rt))
		if rt.method == http.MethodGet && rt.path != eventsPath && rt.path != eventsBefore {
			router.Handle(http.MethodHead, rt.path, s.serve(rt))
		}
	}
	router.NotFound = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isAPI(r) {
			s.fail(w, r, nil, errNoPath)
			return
		}
		s.fail(w, r, nil, errNotFound)
	})
	router.MethodNotAllowed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && !isAPI(r) { // the address of an answer to a form, opened again
			http.Redirect(w, r, cmp.Or(formPage(r.URL.Path), "/"), http.StatusSeeOther)
			return
		}
		allowed := strings.Split(w.Header().Get("Allow"), ", ")
		w.Header().Set("Allow", strings.Join(slices.DeleteFunc(allowed, func(m string) bool { return m == http.MethodOptions }), ", "))
		s.fail(w, r, nil, problemf(405, "method", "Method not allowed", "This address does not take %s.", clip(r.Method)))
	})
	return router
}

// maxBody bounds the body of a request, in bytes.
func (s *Server) maxBody(rt route) int64 {
	switch {
	case rt.method == http.MethodPut && rt.path == uploadPath:
		return maxUpdatePart
	case rt.path == updateForm:
		return maxUpdate
	case rt.method == http.MethodPost && (rt.path == restorePath || rt.path == restorePage):
		return maxBackup
	case rt.path == languagePath || rt.path == languagesPage:
		return maxLanguage
	case rt.method == http.MethodPost && (rt.path == uploadsPath || rt.path == uploadsPage || rt.path == uploadBefore):
		return int64(s.cfg.MaxUploadMB) << 20
	}
	if rt.access == anyone { // whoever that is shall not fill the memory
		return min(maxOpenBody, int64(s.cfg.MaxBodyKB)<<10)
	}
	return int64(s.cfg.MaxBodyKB) << 10
}

// maxOpenBody bounds what comes from somebody who is not logged in, in bytes: a
// log-in, a passkey or an application for an account.
const maxOpenBody = 64 << 10

// serve runs one route: it finds out who asks, bounds the body, and turns an
// error into an answer.
func (s *Server) serve(rt route) httprouter.Handle {
	return func(w http.ResponseWriter, r *http.Request, ps httprouter.Params) {
		if most := s.maxBody(rt); r.ContentLength > most {
			w.Header().Set("Connection", "close") // the rest of it is not read
			s.fail(w, r, nil, &http.MaxBytesError{Limit: most})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.maxBody(rt))
		who, err := s.identify(r)
		if errors.Is(err, errNotAuthenticated) {
			s.recordRefusal(r, nil, "token_refused")
		}
		if rt.access == anyone && errors.Is(err, errNotAuthenticated) {
			who, err = nil, nil // a token that no longer holds must not hide what is for all
		}
		if err == nil {
			if err = rt.access.permit(who, r.Method); err != nil && who != nil && err != errMustChange {
				s.recordRefusal(r, who, "access_denied")
			}
		}
		c := &call{w: w, r: r, caller: who, ps: ps}
		if who != nil {
			w.Header().Set("Cache-Control", "no-store") // unless the handler says otherwise
		}
		if err == nil {
			err = s.limitUser(c, rt)
		}
		if err == nil && !isAPI(r) { // a program sends JSON, whatever it calls it
			err = wholeForm(r)
		}
		if err == nil {
			c.tongue = s.speak(r, who)
			err = s.once(rt, c)
		}
		if err != nil {
			if r.PostForm == nil && !isAPI(r) && r.ContentLength <= maxOpenBody {
				_ = wholeForm(r) // for what was typed; err is what is told
			}
			s.fail(w, r, who, err)
		}
	}
}

// wholeForm reads a form, and says if it did not come as a whole: handlers ask for
// its fields one by one and would take a missing one for empty.
func wholeForm(r *http.Request) error {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil
	}
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	case errors.As(err, &tooLarge):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return problemf(400, "bad-form", "Malformed request", "The form breaks off: %v", err)
	}
	return nil // what is malformed in it counts as not given
}

// explain is problem, with the time to wait for somebody who asks too often.
func (s *Server) explain(c *call, err error) *Problem {
	var later *retryLater
	if !errors.As(err, &later) {
		p := problem(err)
		switch p {
		case errEnding:
			c.w.Header().Set("Retry-After", "5")
		case errIndex:
			c.w.Header().Set("Retry-After", "60")
		}
		return p
	}
	if later.crowd {
		s.recordRefusal(c.r, c.caller, "rate_limit_exceeded")
	}
	n := max(seconds(later.wait), 1)
	c.w.Header().Set("Retry-After", strconv.Itoa(n))
	return problemf(429, "too-many", "Too many attempts", "Too many attempts. Try again in %d seconds.", n)
}

// instead is the page to which somebody is sent who must not see this one, "" if
// there is none.
func (s *Server) instead(r *http.Request, p *Problem) string {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header.Get("HX-Request") != "":
		return ""
	case p.Status == http.StatusUnauthorized:
		return s.entrance(r)
	case p == errMustChange:
		return "/account/password"
	case p == errPanel && r.URL.Path == "/":
		return "/kiosk"
	}
	return ""
}

// isAPI reports whether a request comes from a program.
func isAPI(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/metrics"
}

// fail answers with an error: a problem for programs, a page for people.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, who *caller, err error) {
	p := s.explain(&call{w: w, r: r}, err)
	if p.Status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	if isAPI(r) {
		err = writeProblem(w, p)
	} else if to := s.instead(r, p); to != "" {
		if to == "/login" {
			rememberWay(w, r, r.URL.RequestURI())
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	} else {
		if p == errNotAuthenticated {
			p = errLoggedOut
			to, _ := wayBack(r)
			rememberWay(w, r, to)
		}
		err = s.render(w, r, who, p.Status, "problem", p)
	}
	if err != nil {
		s.Log.Debug("answering failed", "path", r.URL.Path, "err", err)
	}
}

// policy allows nothing inline, nothing from elsewhere, no objects, and text as script or
// markup only through the policies that our own script files make.
const (
	policy = "default-src 'none'; object-src 'none'; frame-src 'self'; " + otherThanObjects
	// filePolicy is that of a PDF, which Chromium shows as an object in a page of its own.
	filePolicy = "default-src 'none'; object-src 'self'; frame-src 'self'; " + otherThanObjects

	otherThanObjects = "script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; font-src 'self'; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types default"
)

// headers stand in every answer.
var headers = map[string]string{
	"Content-Security-Policy":           policy,
	"X-Content-Type-Options":            "nosniff",
	"X-Frame-Options":                   "DENY",
	"X-Permitted-Cross-Domain-Policies": "none",
	"Referrer-Policy":                   "same-origin",
	"Cross-Origin-Opener-Policy":        "same-origin",
	"Cross-Origin-Resource-Policy":      "same-origin",
	"Origin-Agent-Cluster":              "?1",
	"Permissions-Policy": "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), " +
		"payment=(), serial=(), usb=(), xr-spatial-tracking=(), publickey-credentials-create=(self), publickey-credentials-get=(self)",
}

// transportSecurity keeps browsers from ever coming unencrypted again. It is said
// only with a certificate that somebody else vouches for: with our own, browsers
// would take no exception any more.
const transportSecurity = "max-age=31536000"

// protect sets the headers of every answer and outlives a panic.
func (s *Server) protect(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		for name, value := range headers {
			head.Set(name, value)
		}
		if r.TLS != nil && s.Certificate != nil && s.Certificate.Given() {
			head.Set("Strict-Transport-Security", transportSecurity)
		}
		began, answer := time.Now(), &counted{ResponseWriter: w}
		w = answer
		defer func() { s.metrics.count(r, answer.status, time.Since(began)) }()
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v) // an answer that must break off
			}
			s.fail(w, r, nil, fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
		}()
		h.ServeHTTP(w, r)
	})
}
