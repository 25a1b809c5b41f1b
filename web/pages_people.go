package web

import (
	"net/http"
	"strings"

	"docscan/store"
)

type peopleData struct {
	Users      []store.User
	Groups     []groupView
	GroupError string
	Group      store.GroupID // that was to get GroupName; "": a new one
	GroupName  string        // as it was typed
	Role       store.Role    // as it was chosen
	formData
}

func (s *Server) people(c *call, status int, data peopleData) error {
	var err error
	if data.Users, err = s.Store.Users(); err != nil {
		return err
	}
	if data.Groups, err = s.groups(c); err != nil {
		return err
	}
	return s.render(c.w, c.r, c.caller, status, "people", data)
}

func (s *Server) peoplePage(c *call) error { return s.people(c, http.StatusOK, peopleData{}) }

func (s *Server) peopleForm(c *call) error {
	in := newAccount{
		Username: strings.TrimSpace(c.r.PostFormValue("username")), Password: c.r.PostFormValue("password"),
		Role: store.Role(c.r.PostFormValue("role")), MustChange: c.r.PostFormValue("must") != "",
	}
	if _, err := s.addUser(c, in); err != nil {
		return s.refusedWith(c, err, func(status int, text string) error {
			return s.people(c, status, peopleData{Role: in.Role, formData: formData{Name: clip(in.Username), Error: text}})
		})
	}
	tell(c, "saved", "")
	return redirect(c, "/people")
}

// personData is what the page of one person shows.
type personData struct {
	Person    store.User
	Script    string // of the name, where it is not Latin
	Groups    []groupView
	Sessions  []store.Session
	Others    []store.User // who could get the documents
	Temporary string       // password just made
	Self      bool
	Error     string
	Was       string      // names the particulars that are kept
	Typed     *userChange // what was refused, to be corrected
}

// particulars are what the form of a person shows.
func particulars(u store.User) any {
	return []any{u.Role, u.Email, u.FullName, u.Groups}
}

func (s *Server) showPerson(c *call, status int, data personData) error {
	u, err := s.person(c)
	if err != nil {
		return err
	}
	data.Was = tagOf(particulars(u))
	if x := data.Typed; x != nil {
		u.Email, u.FullName, u.Groups = *x.Email, *x.FullName, *x.Groups
		if x.Role != nil {
			u.Role = *x.Role
		}
	}
	data.Person, data.Self, data.Script = u, u.ID == c.user.ID, script(u.Name)
	if data.Groups, err = s.groups(c); err != nil {
		return err
	}
	if data.Sessions, err = s.sessions(u.ID); err != nil {
		return err
	}
	all, err := s.Store.Users()
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID != u.ID && other.Active() && other.Role != store.RolePanel {
			data.Others = append(data.Others, other)
		}
	}
	return s.render(c.w, c.r, c.caller, status, "person", data)
}

func (s *Server) personPage(c *call) error { return s.showPerson(c, http.StatusOK, personData{}) }

// personRefused shows the person with what was wrong.
func (s *Server) personRefused(c *call, err error) error {
	return s.refusedWith(c, err, func(status int, text string) error {
		return s.showPerson(c, status, personData{Error: text})
	})
}

// personForm changes role, groups and particulars.
func (s *Server) personForm(c *call) error {
	if err := c.r.ParseForm(); err != nil {
		return problemf(400, "bad-form", "Malformed request", "The form cannot be read: %v", err)
	}
	s.editing.Lock()
	defer s.editing.Unlock()
	u, err := s.person(c)
	if err != nil {
		return err
	}
	var groups []store.GroupID
	for _, g := range c.r.PostForm["group"] {
		groups = append(groups, store.GroupID(g))
	}
	role, email, full := store.Role(c.r.PostFormValue("role")), c.r.PostFormValue("email"), c.r.PostFormValue("full_name")
	x := userChange{Email: &email, FullName: &full, Groups: &groups}
	if role != "" {
		x.Role = &role
	}
	if err = c.formFrom(particulars(u)); err == nil {
		_, err = s.changeUser(c, u, x)
	}
	if err != nil {
		return s.refusedWith(c, err, func(status int, text string) error {
			return s.showPerson(c, status, personData{Error: text, Typed: &x})
		})
	}
	tell(c, "saved", "")
	return redirect(c, "/people/"+string(u.ID))
}

// personActionForm does one of the things that can be done with an account.
func (s *Server) personActionForm(c *call) error {
	u, err := s.person(c)
	if err != nil {
		return err
	}
	switch action := c.ps.ByName("action"); action {
	case "enable", "disable":
		err = s.setDisabled(c, action == "disable")
	case "end":
		if session := c.r.PostFormValue("session"); session != "" {
			err = s.endSessionOf(u.ID, session, c.deed("session_ended", u.Name))
		} else {
			err = s.endUser(c, u)
		}
	case "reset":
		password, err := s.resetUser(c, u, "", c.r.PostFormValue("factors") != "")
		if err != nil {
			return s.personRefused(c, err)
		}
		return s.showPerson(c, http.StatusOK, personData{Temporary: password})
	case "delete":
		err := s.deleteUser(c, store.UserID(c.r.PostFormValue("heir")), func(u store.User) error { return c.formFrom(particulars(u)) })
		if err != nil {
			return s.personRefused(c, err)
		}
		tell(c, "deleted", "")
		return redirect(c, "/people")
	default:
		return errNotFound
	}
	if err != nil {
		return s.personRefused(c, err)
	}
	tell(c, "saved", "")
	return redirect(c, "/people/"+string(u.ID))
}

// setDisabled shuts the person of a request out, or lets them in.
func (s *Server) setDisabled(c *call, disabled bool) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	u, err := s.person(c)
	if err == nil {
		_, err = s.changeUser(c, u, userChange{Disabled: &disabled})
	}
	return err
}
