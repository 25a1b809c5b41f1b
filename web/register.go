package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"docscan/store"
	"docscan/store/audit"
)

// How people come to accounts by themselves.
const (
	registerOff      = "off"      // not at all
	registerApproval = "approval" // an administrator lets them in
	registerOpen     = "open"     // at once
)

// maxPending is how many may wait for an administrator: more are no people.
const maxPending = 100

var errNoRegistration = problemf(403, "no-registration", "Not possible", "Accounts are given by an administrator here.")

// register makes an account for somebody who asks. Where an administrator must let
// people in, the answer is the same for a name that exists already: otherwise
// it would tell who has an account.
func (s *Server) register(c *call, in newAccount) (store.User, error) {
	entry := audit.Entry{Time: time.Now(), EventType: audit.Authentication, Actor: clip(in.Username), Action: "register", Target: clip(in.Username), Address: address(c.r), Status: audit.Success}
	if err := s.limit(c.w, limitRegister, limitKey(entry.Address).String(), entry); err != nil {
		return store.User{}, err
	}
	if s.cfg.Registration == registerOff || s.entrance(c.r) == "/setup" {
		return store.User{}, errNoRegistration
	}
	u, err := s.newUser(c.r.Context(), in.Username, in.Password, store.RoleMember)
	if err != nil {
		return u, err
	}
	if u.Email, u.FullName, err = checkPerson(in.Email, in.FullName); err != nil {
		return u, err
	}
	if s.cfg.Registration == registerOpen {
		err = s.Store.AddUser(u, entry)
		if errors.Is(err, store.ErrExists) {
			entry.Status = audit.Failure
			return u, errors.Join(problemf(400, "name-taken", "Name taken", "Username already registered"), s.Store.AddAudit(entry))
		}
		return u, err
	}
	u.Pending, u.Disabled = true, true
	entry.Details = "waits for an administrator"
	s.editing.Lock() // of several that come at once, each counts those before it
	defer s.editing.Unlock()
	users, err := s.Store.Users()
	if err != nil {
		return u, err
	}
	waiting := 0
	for _, other := range users {
		if other.Pending {
			waiting++
		}
	}
	if waiting >= maxPending {
		err = store.ErrExists
	} else {
		err = s.Store.AddUser(u, entry)
	}
	if errors.Is(err, store.ErrExists) {
		entry.Status, entry.Details = audit.Failure, ""
		return u, s.Store.AddAudit(entry)
	}
	return u, err
}

func (s *Server) apiRegister(c *call) error {
	var in newAccount
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	u, err := s.register(c, in)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, userView(u))
}

// registerData is what the page shows.
type registerData struct {
	formData
	FullName, Email string // as they were typed
	Waits           bool   // an administrator must let people in
	Done            bool
}

func (s *Server) registerPage(c *call) error {
	if s.cfg.Registration == registerOff || s.entrance(c.r) == "/setup" {
		return errNotFound
	}
	return s.show(c, "register", registerData{Waits: s.cfg.Registration == registerApproval})
}

func (s *Server) registerForm(c *call) error {
	name := strings.TrimSpace(c.r.PostFormValue("username"))
	full, email := c.r.PostFormValue("full_name"), c.r.PostFormValue("email")
	err := error(problemf(422, "again", "Not the same", "The two passwords are not the same."))
	if c.r.PostFormValue("password") == c.r.PostFormValue("again") {
		_, err = s.register(c, newAccount{Username: name, Password: c.r.PostFormValue("password"), FullName: full, Email: email})
	}
	data := registerData{formData: formData{Name: clip(name)}, FullName: full, Email: email, Waits: s.cfg.Registration == registerApproval, Done: err == nil}
	if err != nil {
		return s.refusedWith(c, err, func(status int, text string) error {
			data.Error = text
			return s.render(c.w, c.r, c.caller, status, "register", data)
		})
	}
	return s.show(c, "register", data)
}
