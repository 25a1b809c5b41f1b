package web

import (
	"html/template"
	"net/http"
	"strconv"

	"docscan/store"
)

type accountData struct {
	Tokens   []tokenView
	Sessions []store.Session
	Session  string // hash of the one in use
	Secret   string // of a token just made
	Done     string
	Tongues  []*tongue
	Language string // tag of the one chosen
	Keys     bool   // single letters are shortcuts
	Was      string // names the preferences that are kept
	Error    string
	At       string // part of the page with the form of Error

	Typed      *preferencesView // preferences that were refused, to be corrected
	Wish       tokenWish        // a key, likewise
	WishedDays string           // as it was typed

	Scopes   []scope
	OneTime  bool
	Left     int // recovery codes
	Passkeys []passkeyView
	Site     string   // the name passkeys work for here; "": none do
	NoSite   string   // why not
	Codes    []string // recovery codes just made
	Enrol    *enrolData
}

// enrolData is a second factor that is being set up.
type enrolData struct {
	Ticket string
	Secret string
	QR     template.HTML
}

func newEnrolData(e enrolment, ticket string) (*enrolData, error) {
	svg, err := drawQR(e.uri)
	return &enrolData{ticket, e.secret, svg}, err
}

func (s *Server) account(c *call, status int, data accountData) error {
	tokens, err := s.Store.Tokens(c.user.ID)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		data.Tokens = append(data.Tokens, viewToken(t))
	}
	if data.Sessions, err = s.sessions(c.user.ID); err != nil {
		return err
	}
	p, err := s.preferences(c.user.ID)
	if err != nil {
		return err
	}
	if c.user.ID != "" {
		if c.user, err = s.Store.User(c.user.ID); err != nil { // as it is after what was done
			return err
		}
	}
	data.Tongues, data.Language, data.Keys, data.Was = s.tongues, p.Language, !p.NoKeys, tagOf(p.view())
	if data.Typed != nil {
		data.Language, data.Keys = data.Typed.Language, data.Typed.Keys
	}
	data.Session, data.Scopes = c.session, scopes
	data.OneTime, data.Left = c.user.OneTime != nil, len(c.user.Recovery)
	for _, k := range c.user.Passkeys {
		data.Passkeys = append(data.Passkeys, viewPasskey(k))
	}
	if data.Site, _, err = passkeySite(c.r); err != nil {
		data.NoSite = c.say(problem(err))
	}
	return s.render(c.w, c.r, c.caller, status, "account", data)
}

// accountRefused shows the account, in whose part at something was wrong.
func (s *Server) accountRefused(c *call, at string, err error) error {
	return s.refusedWith(c, err, func(status int, text string) error {
		return s.account(c, status, accountData{Error: text, At: at})
	})
}

func (s *Server) accountPage(c *call) error { return s.account(c, http.StatusOK, accountData{}) }

// passwordPage is for somebody whose password was given by another.
func (s *Server) passwordPage(c *call) error { return s.show(c, "password", formData{}) }

func (s *Server) passwordForm(c *call) error {
	err := error(problemf(422, "again", "Not the same", "The two passwords are not the same."))
	if c.r.PostFormValue("password") == c.r.PostFormValue("again") {
		_, err = s.changePassword(c, c.r.PostFormValue("old"), c.r.PostFormValue("password"))
	}
	if err != nil && c.user.MustChange {
		return s.refusedWith(c, err, func(status int, text string) error {
			return s.render(c.w, c.r, c.caller, status, "password", formData{Error: text})
		})
	}
	if err != nil {
		return s.accountRefused(c, "password", err)
	}
	if c.user.MustChange {
		return redirect(c, "/")
	}
	return s.account(c, http.StatusOK, accountData{Done: c.tongue.T("The password is changed. All your other log-ins have ended. Keys for programs go on: delete those that you do not know.")})
}

func (s *Server) tokenForm(c *call) error {
	if err := c.r.ParseForm(); err != nil {
		return problemf(400, "bad-form", "Malformed request", "The form cannot be read: %v", err)
	}
	wish, typed := tokenWish{Name: c.r.PostFormValue("name"), Scopes: c.r.PostForm["scope"]}, c.r.PostFormValue("days")
	if typed != "" {
		days, err := strconv.Atoi(typed)
		if err != nil {
			days = 0 // is refused
		}
		wish.Days = &days
	}
	err := error(problemf(422, "bad-scope", "No scope", "Tick what the key is good for."))
	secret := ""
	if len(wish.Scopes) > 0 { // a program that names none means all; a person has overlooked it
		_, secret, err = s.addToken(c, wish)
	}
	if err != nil {
		return s.refusedWith(c, err, func(status int, text string) error {
			return s.account(c, status, accountData{Error: text, At: "tokens", Wish: wish, WishedDays: typed})
		})
	}
	return s.account(c, http.StatusCreated, accountData{Secret: secret})
}

func (s *Server) endSessionForm(c *call) error {
	if err := s.endSession(c); err != nil {
		return err
	}
	tell(c, "ended", "")
	return redirect(c, "/account")
}

func (s *Server) deleteTokenForm(c *call) error {
	if err := s.deleteToken(c); err != nil {
		return err
	}
	tell(c, "deleted", "")
	return redirect(c, "/account")
}

func (s *Server) deletePasskeyForm(c *call) error {
	if err := s.deletePasskey(c, c.r.PostFormValue("password")); err != nil {
		return s.accountRefused(c, "passkeys", err)
	}
	tell(c, "deleted", "")
	return redirect(c, "/account")
}

func (s *Server) enrolForm(c *call) error {
	e, ticket, err := s.enrol(c, c.r.PostFormValue("password"))
	if err != nil {
		return s.accountRefused(c, "factor", err)
	}
	data, err := newEnrolData(e, ticket)
	if err != nil {
		return err
	}
	return s.account(c, http.StatusOK, accountData{Enrol: data})
}

func (s *Server) confirmForm(c *call) error {
	codes, _, again, e, err := s.confirmCode(c, c.r.PostFormValue("ticket"), c.r.PostFormValue("code"))
	if err != nil {
		return s.refusedWith(c, err, func(status int, text string) error {
			data := accountData{Error: text, At: "factor"}
			if again != "" {
				if data.Enrol, err = newEnrolData(e, again); err != nil {
					return err
				}
			}
			return s.account(c, status, data)
		})
	}
	return s.account(c, http.StatusOK, accountData{Codes: codes})
}

func (s *Server) recoveryForm(c *call) error {
	codes, err := s.freshRecovery(c, c.r.PostFormValue("password"))
	if err != nil {
		return s.accountRefused(c, "factor", err)
	}
	return s.account(c, http.StatusOK, accountData{Codes: codes})
}

func (s *Server) offForm(c *call) error {
	if err := s.dropSecondFactor(c, c.r.PostFormValue("password")); err != nil {
		return s.accountRefused(c, "factor", err)
	}
	return s.account(c, http.StatusOK, accountData{Done: c.tongue.T("The second factor is off.")})
}

func (s *Server) preferencesForm(c *call) error {
	in := preferencesView{Keys: c.r.PostFormValue("keys") != ""}
	if l := s.tongue(c.r.PostFormValue("language"), nil); l != nil {
		in.Language = l.Tag
	}
	err := s.changePreferences(c, func(p *preferences) error {
		if err := c.formFrom(p.view()); err != nil {
			return err
		}
		p.Language, p.NoKeys = in.Language, !in.Keys
		return nil
	})
	if err != nil {
		return s.refusedWith(c, err, func(status int, text string) error {
			return s.account(c, status, accountData{Error: text, At: "looks", Typed: &in})
		})
	}
	tell(c, "saved", "")
	return redirect(c, "/account")
}
