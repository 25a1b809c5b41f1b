package web

import (
	"docscan/store"
	"docscan/store/audit"
)

// Preferences are what a person chose for the pages. They are kept as a setting,
// apart from the account, which decides what the person may do.
type preferences struct {
	Language string        `json:"language,omitempty"` // tag; empty: the browser's
	Searches []savedSearch `json:"searches,omitempty"`
	NoKeys   bool          `json:"no_keys,omitempty"` // single letters do nothing
}

// A savedSearch is a search kept under a name.
type savedSearch struct {
	Name  string `json:"name"`
	Query string `json:"query"`
}

// boxSettings are what was chosen for the box as a whole.
type boxSettings struct {
	Language string `json:"language,omitempty"` // of the pages, where neither account nor browser say
	Step     int    `json:"step,omitempty"`     // how many of welcomeSteps the first administrator has taken
}

const boxKey = "box"

func preferencesKey(u store.UserID) string { return "preferences/" + string(u) }

func (s *Server) preferences(u store.UserID) (preferences, error) {
	var p preferences
	_, err := s.Store.Setting(preferencesKey(u), &p)
	return p, err
}

// changePreferences changes those of the caller; an error of change leaves them.
func (s *Server) changePreferences(c *call, change func(*preferences) error) error {
	s.choosing.Lock()
	defer s.choosing.Unlock()
	p, err := s.preferences(c.user.ID)
	if err != nil {
		return err
	}
	if err := change(&p); err != nil {
		return err
	}
	return s.Store.PutSetting(preferencesKey(c.user.ID), p)
}

// preferencesView is what programs see of them; searches have an address of their own.
type preferencesView struct {
	Language string `json:"language"`
	Keys     bool   `json:"keys"` // single letters are shortcuts
}

func (p *preferences) view() preferencesView { return preferencesView{p.Language, !p.NoKeys} }

func (s *Server) apiPreferences(c *call) error {
	p, err := s.preferences(c.user.ID)
	if err != nil {
		return err
	}
	return c.tagged(p.view())
}

func (s *Server) apiPutPreferences(c *call) error {
	var in preferencesView
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if in.Language != "" && s.tongue(in.Language, nil) == nil {
		return errBadLanguage
	}
	err := s.changePreferences(c, func(p *preferences) error {
		if err := c.apiFrom(p.view()); err != nil {
			return err
		}
		p.Language, p.NoKeys = in.Language, !in.Keys
		return nil
	})
	if err != nil {
		return err
	}
	return s.apiPreferences(c)
}

var errBadLanguage = problemf(422, "bad-language", "Not possible", "The pages do not speak this language.")

func (s *Server) boxSettings() (boxSettings, error) {
	var b boxSettings
	_, err := s.Store.Setting(boxKey, &b)
	return b, err
}

// changeBox changes what was chosen for the box, with what the audit log keeps of it.
func (s *Server) changeBox(change func(*boxSettings), entries ...audit.Entry) error {
	s.choosing.Lock()
	defer s.choosing.Unlock()
	b, err := s.boxSettings()
	if err != nil {
		return err
	}
	change(&b)
	return s.Store.PutSetting(boxKey, b, entries...)
}
