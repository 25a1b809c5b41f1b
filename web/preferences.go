package web

import (
	"docscan/store"
)

// Preferences are what a person chose for the pages. They are kept as a setting,
// apart from the account, which decides what the person may do.
type preferences struct {
	Language string        `json:"language,omitempty"` // tag; empty: the browser's
	Searches []savedSearch `json:"searches,omitempty"`
}

// A savedSearch is a search kept under a name.
type savedSearch struct {
	Name  string `json:"name"`
	Query string `json:"query"`
}

// boxSettings are what was chosen for the box as a whole.
type boxSettings struct {
	Language string `json:"language,omitempty"` // of the pages, where neither account nor browser say
	Zone     string `json:"zone,omitempty"`     // IANA time zone; empty: the system's
	Welcomed bool   `json:"welcomed,omitempty"` // the first administrator has been shown around
}

const boxKey = "box"

func preferencesKey(u store.UserID) string { return "preferences/" + string(u) }

func (s *Server) preferences(u store.UserID) (preferences, error) {
	var p preferences
	_, err := s.Store.Setting(preferencesKey(u), &p)
	return p, err
}

func (s *Server) boxSettings() (boxSettings, error) {
	var b boxSettings
	_, err := s.Store.Setting(boxKey, &b)
	return b, err
}
