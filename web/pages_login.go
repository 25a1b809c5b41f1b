package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"docscan/scan"
	"docscan/store"
)

// setupCookie carries the set-up token from the link to the form, so that it
// does not stay in the address bar.
const setupCookie = "docscan_setup"

// setupFormTime is how long the form may stay open; the link opens it again.
const setupFormTime = 30 * time.Minute

func (s *Server) setupPage(c *call) error {
	if token := c.r.URL.Query().Get("token"); token != "" {
		putCookie(c.w, c.r, setupCookie, clip(token), setupFormTime)
		return redirect(c, "/setup")
	}
	if s.entrance(c.r) == "/login" {
		return redirect(c, "/login")
	}
	data := setupData{}
	token := cookie(c.r, setupCookie)
	if err := s.checkSetup(token); err != nil {
		p := problem(err)
		if p.Status >= http.StatusInternalServerError {
			return err
		}
		data.Ask = true
		if token != "" {
			data.Error = c.say(p)
		}
	}
	return s.show(c, "setup", data)
}

// setupData is what the page for the first administrator shows.
type setupData struct {
	formData
	Ask  bool   // for the code: the link did not bring it
	Code string // as it was typed
}

// formData is what a form shows again after it was refused.
type formData struct {
	Name  string
	Error string
}

// refused shows a form again with what was wrong, if that is the person's to
// mend.
func (s *Server) refused(c *call, page, name string, err error) error {
	return s.refusedWith(c, err, func(status int, text string) error {
		return s.render(c.w, c.r, c.caller, status, page, s.loginData(c, formData{Name: name, Error: text}))
	})
}

// refusedWith shows with show what was wrong, if that is the person's to mend.
func (s *Server) refusedWith(c *call, err error, show func(status int, text string) error) error {
	p := s.explain(c, err)
	if p.Status < 400 || p.Status >= 500 || p.Status == http.StatusNotFound {
		return err
	}
	return show(p.Status, c.say(p))
}

func (s *Server) setupForm(c *call) error {
	code := c.r.PostFormValue("setup_code")
	name, password := strings.TrimSpace(c.r.PostFormValue("username")), c.r.PostFormValue("password")
	secret, err := "", error(problemf(422, "again", "Not the same", "The two passwords are not the same."))
	if password == c.r.PostFormValue("again") {
		_, secret, err = s.setUp(c, credentials{Token: cmp.Or(code, cookie(c.r, setupCookie)), Username: name, Password: password})
	}
	if err != nil {
		return s.refusedWith(c, err, func(status int, text string) error {
			data := setupData{formData{Name: clip(name), Error: text}, code != "" || errors.Is(err, errSetupToken), clip(code)}
			return s.render(c.w, c.r, c.caller, status, "setup", data)
		})
	}
	putCookie(c.w, c.r, setupCookie, "", 0)
	s.setCookie(c.w, c.r, secret)
	return redirect(c, "/welcome")
}

// loginData is what log-in and set-up pages show beside the form.
type loginData struct {
	formData
	Register bool // people can ask for an account
	Passkeys bool // this address is fit for passkeys
}

func (s *Server) loginData(c *call, f formData) loginData {
	_, _, err := passkeySite(c.r)
	return loginData{formData: f, Register: s.cfg.Registration != registerOff, Passkeys: err == nil}
}

func (s *Server) loginPage(c *call) error {
	if s.entrance(c.r) == "/setup" {
		return redirect(c, "/setup")
	}
	if c.caller != nil {
		return redirect(c, onward(c))
	}
	return s.show(c, "login", s.loginData(c, formData{}))
}

// wayCookie has the page that somebody asked for who had to log in first.
const (
	wayCookie = "docscan_way"
	wayTime   = 10 * time.Minute
	maxWay    = 1000 // bytes
)

// rememberWay keeps an address for after the log-in.
func rememberWay(w http.ResponseWriter, r *http.Request, to string) {
	if to != "" && to != "/" && len(to) <= maxWay {
		putCookie(w, r, wayCookie, url.QueryEscape(to), wayTime)
	}
}

// onward is where a log-in leads: to the page that was asked for before, or home. It
// never leaves this host, whoever has written the cookie.
func onward(c *call) string {
	left := cookie(c.r, wayCookie)
	if left == "" {
		return "/"
	}
	putCookie(c.w, c.r, wayCookie, "", 0)
	to, err := url.QueryUnescape(left)
	if err != nil || len(to) > maxWay || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.Contains(to, `\`) || !scan.Readable(to) {
		return "/"
	}
	return to
}

// codeData is what the page for the second factor shows.
type codeData struct {
	Ticket string
	Error  string
}

func (s *Server) loginForm(c *call) error {
	name, password := strings.TrimSpace(c.r.PostFormValue("username")), c.r.PostFormValue("password")
	u, secret, err := s.logIn(c, credentials{Username: name, Password: password}, s.longest())
	if errors.Is(err, errSecondFactor) {
		return s.show(c, "code", codeData{Ticket: s.halfway.begin(halfLogin{user: u, length: s.longest()})})
	}
	if err != nil {
		return s.refused(c, "login", clip(name), err)
	}
	s.setCookie(c.w, c.r, secret)
	to := onward(c)
	if u.Role == store.RolePanel {
		to = "/" // which leads to the one page it has
	}
	return redirect(c, to)
}

// codeForm is the second step of a log-in.
func (s *Server) codeForm(c *call) error {
	secret, again, err := s.finishLogin(c, c.r.PostFormValue("ticket"), c.r.PostFormValue("code"))
	switch {
	case err != nil && again != "":
		return s.refusedWith(c, err, func(status int, text string) error {
			return s.render(c.w, c.r, c.caller, status, "code", codeData{Ticket: again, Error: text})
		})
	case err != nil:
		return s.refused(c, "login", "", err)
	}
	s.setCookie(c.w, c.r, secret)
	return redirect(c, onward(c))
}

func (s *Server) logoutForm(c *call) error {
	if err := s.logOut(c); err != nil {
		return err
	}
	s.setCookie(c.w, c.r, "")
	putCookie(c.w, c.r, wayCookie, "", 0) // who comes next may be somebody else
	// Not the cache: browsers take many seconds to go through a large one, and show nothing
	// meanwhile. What is in it is shown to nobody whom docscan does not let see it.
	c.w.Header().Set("Clear-Site-Data", `"storage"`)
	return redirect(c, "/login")
}
