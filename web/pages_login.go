package web

import (
	"net/http"
	"strings"
	"time"
)

// setupCookie carries the set-up token from the link to the form, so that it
// does not stay in the address bar.
const setupCookie = "docscan_setup"

// setupFormTime is how long the form may stay open; the link opens it again.
const setupFormTime = 30 * time.Minute

func (s *Server) setupPage(c *call) error {
	if token := c.r.URL.Query().Get("token"); token != "" {
		http.SetCookie(c.w, &http.Cookie{Name: setupCookie, Value: clip(token), Path: "/setup", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.r.TLS != nil, MaxAge: int(setupFormTime.Seconds())})
		return redirect(c, "/setup")
	}
	token := ""
	if cookie, err := c.r.Cookie(setupCookie); err == nil {
		token = cookie.Value
	}
	if err := s.checkSetup(token); err != nil {
		if s.entrance(c.r) == "/login" {
			return redirect(c, "/login")
		}
		if token == "" {
			return problemf(403, "setup-token", "docscan is not set up yet", "Open the one-time set-up link that docscan printed when it started.")
		}
		return err
	}
	return s.show(c, "setup", formData{})
}

// formData is what a form shows again after it was refused.
type formData struct {
	Name  string
	Error string
}

// refused shows a form again with what was wrong, if that is the person's to
// mend.
func (s *Server) refused(c *call, page, name string, err error) error {
	p := problem(err)
	if p.Status < 400 || p.Status >= 500 || p.Status == http.StatusNotFound {
		return err
	}
	return s.render(c.w, c.r, c.caller, p.Status, page, formData{Name: name, Error: c.say(p)})
}

func (s *Server) setupForm(c *call) error {
	token := ""
	if cookie, err := c.r.Cookie(setupCookie); err == nil {
		token = cookie.Value
	}
	name, password := strings.TrimSpace(c.r.PostFormValue("username")), c.r.PostFormValue("password")
	if password != c.r.PostFormValue("again") {
		return s.refused(c, "setup", name, problemf(422, "again", "Not the same", "The two passwords are not the same."))
	}
	_, secret, err := s.setUp(c.r, token, name, password)
	if err != nil {
		return s.refused(c, "setup", name, err)
	}
	http.SetCookie(c.w, &http.Cookie{Name: setupCookie, Path: "/setup", MaxAge: -1})
	s.setCookie(c.w, c.r, secret)
	return redirect(c, "/")
}

func (s *Server) loginPage(c *call) error {
	if s.entrance(c.r) == "/setup" {
		return redirect(c, "/setup")
	}
	if c.caller != nil {
		return redirect(c, "/")
	}
	return s.show(c, "login", formData{})
}

func (s *Server) loginForm(c *call) error {
	name := strings.TrimSpace(c.r.PostFormValue("username"))
	_, secret, err := s.logIn(c.r, name, c.r.PostFormValue("password"))
	if err != nil {
		return s.refused(c, "login", clip(name), err)
	}
	s.setCookie(c.w, c.r, secret)
	return redirect(c, "/")
}

func (s *Server) logoutForm(c *call) error {
	if err := s.logOut(c); err != nil {
		return err
	}
	s.setCookie(c.w, c.r, "")
	return redirect(c, "/login")
}
