package web

import (
	"net/http"

	"docscan/store"
)

type accountData struct {
	Tokens   []store.Token
	Sessions []store.Session
	Session  string // hash of the one in use
	Secret   string // of a token just made
	Done     string
	Tongues  []*tongue
	Language string // tag of the one chosen
	Error    string
}

func (s *Server) account(c *call, status int, data accountData) error {
	var err error
	if data.Tokens, err = s.Store.Tokens(c.user.ID); err != nil {
		return err
	}
	if data.Sessions, err = s.Store.Sessions(c.user.ID); err != nil {
		return err
	}
	p, err := s.preferences(c.user.ID)
	if err != nil {
		return err
	}
	data.Tongues, data.Language = s.tongues, p.Language
	data.Session = c.session
	return s.render(c.w, c.r, c.caller, status, "account", data)
}

func (s *Server) accountPage(c *call) error { return s.account(c, http.StatusOK, accountData{}) }

func (s *Server) passwordForm(c *call) error {
	err := error(problemf(422, "again", "Not the same", "The two passwords are not the same."))
	if c.r.PostFormValue("password") == c.r.PostFormValue("again") {
		err = s.changePassword(c.caller, c.r.PostFormValue("old"), c.r.PostFormValue("password"))
	}
	if err != nil {
		if p := problem(err); p.Status < 500 {
			return s.account(c, p.Status, accountData{Error: c.say(p)})
		}
		return err
	}
	return s.account(c, http.StatusOK, accountData{Done: c.tongue.T("The password is changed. All your other log-ins have ended.")})
}

func (s *Server) tokenForm(c *call) error {
	_, secret, err := s.addToken(c.caller, c.r.PostFormValue("name"))
	if err != nil {
		if p := problem(err); p.Status < 500 {
			return s.account(c, p.Status, accountData{Error: c.say(p)})
		}
		return err
	}
	return s.account(c, http.StatusCreated, accountData{Secret: secret})
}

func (s *Server) endSessionForm(c *call) error {
	if err := s.endSession(c); err != nil {
		return err
	}
	return redirect(c, "/account")
}

func (s *Server) deleteTokenForm(c *call) error {
	if err := s.deleteToken(c); err != nil {
		return err
	}
	return redirect(c, "/account")
}

func (s *Server) preferencesForm(c *call) error {
	p, err := s.preferences(c.user.ID)
	if err != nil {
		return err
	}
	p.Language = ""
	if l := s.tongue(c.r.PostFormValue("language"), nil); l != nil {
		p.Language = l.Tag
	}
	if err := s.Store.PutSetting(preferencesKey(c.user.ID), p); err != nil {
		return err
	}
	tell(c, "saved", "")
	return redirect(c, "/account")
}
