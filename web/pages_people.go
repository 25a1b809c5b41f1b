package web

import (
	"net/http"
	"strings"

	"docscan/store"
)

type peopleData struct {
	Users []store.User
	formData
}

func (s *Server) people(c *call, status int, data peopleData) error {
	var err error
	if data.Users, err = s.Store.Users(); err != nil {
		return err
	}
	return s.render(c.w, c.r, c.caller, status, "people", data)
}

func (s *Server) peoplePage(c *call) error { return s.people(c, http.StatusOK, peopleData{}) }

func (s *Server) peopleForm(c *call) error {
	name := strings.TrimSpace(c.r.PostFormValue("username"))
	if _, err := s.addUser(c.caller, name, c.r.PostFormValue("password"), store.Role(c.r.PostFormValue("role"))); err != nil {
		if p := problem(err); p.Status < 500 {
			return s.people(c, p.Status, peopleData{formData: formData{Name: clip(name), Error: c.say(p)}})
		}
		return err
	}
	return redirect(c, "/people")
}
