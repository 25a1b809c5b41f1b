package web

import (
	"errors"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"docscan/scan"
	"docscan/store"
	"docscan/store/audit"
)

// accountRoutes are what concerns accounts: the caller's own, and those of others
// for administrators. Those without v1 in their path are what scripts of the
// service before know.
func accountRoutes() []route {
	return []route{
		{"GET", "/api/v1/second-factor", selves, (*Server).apiSecondFactor, "Whether I have a second factor, and how many recovery codes are left"},
		{"POST", "/api/v1/second-factor", selves, (*Server).apiEnrol, "Begin to set up one-time codes: {password} gives {ticket, secret, uri}"},
		{"POST", "/api/v1/second-factor/confirm", selves, (*Server).apiConfirmCode, "Set them up: {ticket, code} gives {recovery_codes}, shown once; ends my other sessions and gives this one another access_token"},
		{"POST", "/api/v1/second-factor/recovery", selves, (*Server).apiFreshRecovery, "New recovery codes for the old ones: {password}; ends my other sessions"},
		{"POST", "/api/v1/second-factor/off", selves, (*Server).apiDropSecondFactor, "Do without one-time codes: {password}; ends my other sessions"},
		{"GET", "/api/v1/passkeys", selves, (*Server).apiPasskeys, "My passkeys"},
		{"POST", "/api/v1/passkeys", selves, (*Server).apiAddPasskey, "Add a passkey: {ticket, name, credential}; ends my other sessions"},
		{"DELETE", "/api/v1/passkeys/:id", selves, (*Server).apiDeletePasskey, "Delete a passkey: {password}; ends my other sessions"},
		{"POST", "/api/v1/passkey-challenges", selves, (*Server).apiPasskeyChallenge, "Begin to add a passkey: {password} gives {ticket, options}"},
		{"POST", "/api/v1/login/passkey", anyone, (*Server).apiPasskeyLogin, "Log in with a passkey: {ticket, credential}; the session is in the cookie alone"},
		{"POST", "/api/v1/login/passkey-challenge", anyone, (*Server).apiPasskeyLoginChallenge, "Begin to log in with a passkey: gives {ticket, options}"},

		{"GET", "/api/v1/preferences", selves, (*Server).apiPreferences, "What I chose for the pages: {language, keys}"},
		{"PUT", "/api/v1/preferences", selves, (*Server).apiPutPreferences, "Choose {language, keys}: of the pages, empty for the browser's, and whether single letters are shortcuts"},

		{"GET", "/api/v1/users/:id", admins, (*Server).apiUser, "A person"},
		{"PATCH", "/api/v1/users/:id", admins, (*Server).apiChangeUser, "Change {role?, disabled?, full_name?, email?, groups?}; who is disabled is logged out"},
		{"DELETE", "/api/v1/users/:id", admins, (*Server).apiDeleteUser, "Delete a person; documents go to the person ?heir="},
		{"POST", "/api/v1/users/:id/reset", admins, (*Server).apiResetUser, "Give a temporary password, shown once, and end all the person holds: {second_factors?} also takes one-time codes and passkeys away"},
		{"POST", "/api/v1/users/:id/end", admins, (*Server).apiEndUser, "End all log-ins and keys of a person"},
		{"GET", "/api/v1/users/:id/sessions", admins, (*Server).apiUserSessions, "Log-ins of a person"},
		{"DELETE", "/api/v1/users/:id/sessions/:session", admins, (*Server).apiEndUserSession, "End one log-in of a person"},

		{"GET", "/api/v1/groups", members, (*Server).apiGroups, "Groups: all for administrators, else my own"},
		{"GET", "/api/v1/groups/:id", members, (*Server).apiGroup, "A group: any for administrators, else one of my own"},
		{"POST", "/api/v1/groups", admins, (*Server).apiAddGroup, "Add a group: {name}"},
		{"PATCH", "/api/v1/groups/:id", admins, (*Server).apiRenameGroup, "Give a group another name: {name}"},
		{"DELETE", "/api/v1/groups/:id", admins, (*Server).apiDeleteGroup, "Delete a group; what was shared with it is so no longer"},
		{"PUT", "/api/v1/documents/:id/groups", members, (*Server).apiShare, "Share a document with exactly these groups, whose people may read it: {groups}"},
		{"POST", "/documents/:id/share", members, (*Server).shareForm, ""},

		{"POST", "/api/v1/register", anyone, (*Server).apiRegister, "Ask for an account: {username, password, email?, full_name?}"},
		{"POST", "/api/register", anyone, (*Server).apiRegister, "Ask for an account (the path of the service before)"},
		{"GET", "/register", anyone, (*Server).registerPage, ""},
		{"POST", "/register", anyone, (*Server).registerForm, ""},

		{"GET", "/api/me", entering, (*Server).apiMe, "Who I am (the path of the service before)"},
		{"GET", "/api/admin/users", admins, (*Server).oldUsers, "People with {total_batches, last_activity} (the path of the service before)"},
		{"GET", "/api/admin/users/:id/activities", admins, (*Server).oldActivities, "A person with batches (the path of the service before)"},
		{"PATCH", "/api/admin/users/:id/status", admins, (*Server).oldStatus, "Let in or shut out with ?is_active= (the path of the service before)"},
		{"POST", "/api/admin/users/:id/reset-password", admins, (*Server).oldResetPassword, "Give a password: {new_password} (the path of the service before)"},
		{"POST", "/api/admin/users/:id/generate-temp-password", admins, (*Server).oldTempPassword, "Give a temporary password (the path of the service before)"},
		{"GET", "/api/admin/dashboard/stats", admins, (*Server).oldStats, "How many users, batches and files (the path of the service before)"},

		{"POST", "/login/code", anyone, (*Server).codeForm, ""},
		{"GET", "/account/password", entering, (*Server).passwordPage, ""},
		{"POST", "/account/second-factor", selves, (*Server).enrolForm, ""},
		{"POST", "/account/second-factor/confirm", selves, (*Server).confirmForm, ""},
		{"POST", "/account/second-factor/recovery", selves, (*Server).recoveryForm, ""},
		{"POST", "/account/second-factor/off", selves, (*Server).offForm, ""},
		{"POST", "/account/passkeys/:id/delete", selves, (*Server).deletePasskeyForm, ""},
		{"GET", "/people/:id", admins, (*Server).personPage, ""},
		{"POST", "/people/:id", admins, (*Server).personForm, ""},
		{"POST", "/people/:id/:action", admins, (*Server).personActionForm, ""},
		{"POST", "/groups", admins, (*Server).groupForm, ""},
		{"POST", "/groups/:id", admins, (*Server).renameGroupForm, ""},
		{"POST", "/groups/:id/delete", admins, (*Server).deleteGroupForm, ""},
	}
}

// userView is what is told of a user: never the password's hash, nor a secret.
func userView(u store.User) map[string]any {
	groups := u.Groups
	if groups == nil {
		groups = []store.GroupID{}
	}
	return map[string]any{
		"id": u.ID, "name": u.Name, "username": u.Name, "role": u.Role, "disabled": u.Disabled, "created": u.Created, "created_at": u.Created,
		"email": u.Email, "full_name": u.FullName, "groups": groups, "pending": u.Pending, "must_change_password": u.MustChange,
		"second_factor": u.OneTime != nil, "passkeys": len(u.Passkeys), "is_active": u.Active(), "is_admin": u.Role == store.RoleAdmin,
	}
}

// deed is what the audit log keeps of an administrator's deed.
func (c *call) deed(action, target string) audit.Entry {
	return c.entry(audit.AdminAction, action, target)
}

// person gives the user of a request.
func (s *Server) person(c *call) (store.User, error) {
	return s.Store.User(store.UserID(c.ps.ByName("id")))
}

// addUser adds an account. temporary says that the person must choose another
// password first.
func (s *Server) addUser(c *call, in newAccount) (store.User, error) {
	if in.Role == "" {
		in.Role = store.RoleMember
	}
	if err := checkRole(in.Role); err != nil {
		return store.User{}, err
	}
	u, err := s.newUser(c.r.Context(), in.Username, in.Password, in.Role)
	if err != nil {
		return store.User{}, err
	}
	if u.Email, u.FullName, err = checkPerson(in.Email, in.FullName); err != nil {
		return store.User{}, err
	}
	if in.MustChange && u.Role != store.RolePanel {
		u.MustChange, u.PasswordEnds = true, time.Now().Add(temporaryTime)
	}
	if u.Groups, err = s.checkGroups(in.Groups); err != nil {
		return store.User{}, err
	}
	entry := c.deed("user_added", u.Name)
	entry.Details = string(u.Role)
	err = s.Store.AddUser(u, entry)
	if errors.Is(err, store.ErrExists) {
		return store.User{}, errNameTaken
	}
	return u, err
}

// A newAccount is what somebody asks for.
type newAccount struct {
	Username   string          `json:"username"`
	Password   string          `json:"password"`
	Email      string          `json:"email,omitempty"`
	FullName   string          `json:"full_name,omitempty"`
	Role       store.Role      `json:"role,omitempty"` // none: member
	Groups     []store.GroupID `json:"groups,omitempty"`
	MustChange bool            `json:"must_change_password,omitempty"`
}

var errNameTaken = problemf(409, "name-taken", "Name taken", "Username already registered")

// temporaryTime is how long a password holds that somebody else gave.
const temporaryTime = 72 * time.Hour

func checkRole(r store.Role) error {
	if r != store.RoleAdmin && r != store.RoleMember && r != store.RolePanel {
		return problemf(422, "bad-role", "Unknown role", "A role is admin, member or panel.")
	}
	return nil
}

// checkPerson tidies an address and a person's name; both may be empty.
func checkPerson(email, full string) (string, string, error) {
	email = strings.TrimSpace(email)
	if email != "" {
		a, err := mail.ParseAddress(email)
		if err != nil || a.Address != email || len(email) > 254 || !scan.Readable(email) {
			return "", "", problemf(422, "bad-email", "Address not usable", "The e-mail address is not one.")
		}
	}
	if strings.TrimSpace(full) == "" {
		return email, "", nil
	}
	if utf8.RuneCountInString(full) > maxName {
		return "", "", errBadLabel
	}
	full, err := label(full)
	return email, full, err
}

// checkGroups tidies a list of groups.
func (s *Server) checkGroups(list []store.GroupID) ([]store.GroupID, error) {
	if len(list) == 0 {
		return nil, nil
	}
	all, err := s.Store.Groups()
	if err != nil {
		return nil, err
	}
	var have []store.GroupID
	for _, id := range list {
		if !slices.ContainsFunc(all, func(g store.Group) bool { return g.ID == id }) {
			return nil, problemf(422, "unknown-group", "Unknown group", "There is no such group.")
		}
		if !slices.Contains(have, id) {
			have = append(have, id)
		}
	}
	return have, nil
}

// A userChange is what an administrator wants to be otherwise; nil stays.
type userChange struct {
	Role     *store.Role      `json:"role,omitempty"`
	Disabled *bool            `json:"disabled,omitempty"`
	Email    *string          `json:"email,omitempty"`
	FullName *string          `json:"full_name,omitempty"`
	Groups   *[]store.GroupID `json:"groups,omitempty"`
}

// changeUser changes somebody, u being how they are now: editing is held. Whoever is shut
// out or gets another role is logged out, for which the store sees.
func (s *Server) changeUser(c *call, u store.User, x userChange) (store.User, error) {
	var err error
	if x.Role != nil {
		if err := checkRole(*x.Role); err != nil {
			return u, err
		}
	}
	email, full := u.Email, u.FullName
	if x.Email != nil {
		email = *x.Email
	}
	if x.FullName != nil {
		full = *x.FullName
	}
	if email, full, err = checkPerson(email, full); err != nil {
		return u, err
	}
	var groups []store.GroupID
	if x.Groups != nil {
		if groups, err = s.checkGroups(*x.Groups); err != nil {
			return u, err
		}
	}
	action, details := "user_changed", []string(nil)
	switch {
	case x.Disabled != nil && *x.Disabled && !u.Disabled:
		if u.ID == c.user.ID {
			return u, errOwnStatus
		}
		action = "user_deactivated"
	case x.Disabled != nil && !*x.Disabled && u.Disabled:
		action = "user_activated"
	}
	if x.Role != nil && *x.Role != u.Role {
		details = append(details, "role "+string(*x.Role))
	}
	entry := c.deed(action, u.Name)
	entry.Details = strings.Join(details, ", ")
	change := func(u *store.User) error {
		if x.Role != nil {
			u.Role = *x.Role
		}
		if x.Disabled != nil {
			u.Disabled = *x.Disabled
			if !u.Disabled {
				u.Pending = false
			}
		}
		if x.Groups != nil {
			u.Groups = groups
		}
		if x.Email != nil {
			u.Email = email
		}
		if x.FullName != nil {
			u.FullName = full
		}
		return nil
	}
	u, err = s.Store.UpdateUser(u.ID, change, entry)
	s.recheck.ring()
	return u, err
}

var (
	errOwnStatus = problemf(400, "own-status", "Not possible", "Cannot change your own status")
	errLastAdmin = problemf(409, "last-admin", "Not possible", "This is the last active administrator. Make somebody else one first.")
	errOwns      = problemf(409, "owns", "Not possible", "Documents belong to this person. Say who gets them (heir), or disable the account instead.")
)

// resetUser gives somebody a password and ends all they hold. An empty password
// is a temporary one, which is returned and must be changed.
func (s *Server) resetUser(c *call, u store.User, password string, factors bool) (temporary string, err error) {
	must := password == ""
	if must {
		temporary = temporaryPassword()
		password = temporary
	} else if err := checkNewPassword(u.Name, password); err != nil {
		return "", err
	}
	hash, err := s.hashPassword(c.r.Context(), password)
	if err != nil {
		return "", err
	}
	entry := c.deed("password_reset", u.Name)
	if must {
		entry.Details = "temporary password"
	}
	if factors {
		entry.Details = strings.TrimPrefix(entry.Details+", second factors taken away", ", ")
	}
	_, err = s.Store.CutUser(u.ID, store.Keeps{}, func(u *store.User) error {
		u.Password, u.MustChange, u.PasswordEnds = hash, must, time.Time{}
		if must {
			u.PasswordEnds = time.Now().Add(temporaryTime)
		}
		if factors {
			u.OneTime, u.Recovery, u.Passkeys = nil, nil, nil
		}
		return nil
	}, entry)
	s.recheck.ring()
	return temporary, err
}

// deleteUser removes the user of a request; what belongs to them goes to heir.
func (s *Server) deleteUser(c *call, heir store.UserID, from func(store.User) error) error {
	s.editing.Lock()
	u, err := s.person(c)
	if err == nil {
		err = from(u)
	}
	if err == nil && u.ID == c.user.ID {
		err = errOwnStatus
	}
	if err == nil {
		err = s.mayInherit(heir)
	}
	var changed []store.Document
	if err == nil {
		changed, err = s.Store.DeleteUser(u.ID, heir, c.deed("user_deleted", u.Name))
	}
	s.editing.Unlock()
	if err != nil {
		return err
	}
	if err := s.Store.PutSetting(preferencesKey(u.ID), nil); err != nil {
		s.Log.Warn("the preferences of a deleted user stay", "user", u.ID, "err", err)
	}
	s.recheck.ring()
	s.Engine.DocumentsChanged(c.r.Context(), changed)
	return nil
}

// mayInherit reports why a user cannot get another's documents: a screen at the box
// sees none. "" is nobody.
func (s *Server) mayInherit(heir store.UserID) error {
	if heir == "" {
		return nil
	}
	u, err := s.Store.User(heir)
	if errors.Is(err, store.ErrNotFound) || err == nil && u.Role == store.RolePanel {
		return problemf(422, "bad-heir", "Not possible", "Who gets the documents must be a member or an administrator.")
	}
	return err
}

func (s *Server) apiUsers(c *call) error {
	list, err := s.Store.Users()
	if err != nil {
		return err
	}
	views := make([]map[string]any, 0, len(list))
	for _, u := range list {
		views = append(views, userView(u))
	}
	page, next, err := paged(c, views, func(v map[string]any) string { return string(v["id"].(store.UserID)) })
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, map[string]any{"users": page, "next": next})
}

func (s *Server) apiAddUser(c *call) error {
	var in newAccount
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	u, err := s.addUser(c, in)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusCreated, userView(u))
}

func (s *Server) apiUser(c *call) error {
	u, err := s.person(c)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", tagOf(u))
	return writeJSON(c.w, http.StatusOK, userView(u))
}

func (s *Server) apiChangeUser(c *call) error {
	var in userChange
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	s.editing.Lock()
	defer s.editing.Unlock()
	u, err := s.person(c)
	if err != nil {
		return err
	}
	if err := c.match(tagOf(u)); err != nil {
		return err
	}
	if u, err = s.changeUser(c, u, in); err != nil {
		return err
	}
	c.w.Header().Set("ETag", tagOf(u))
	return writeJSON(c.w, http.StatusOK, userView(u))
}

func (s *Server) apiDeleteUser(c *call) error {
	if err := s.deleteUser(c, store.UserID(c.r.URL.Query().Get("heir")), func(u store.User) error { return c.apiFrom(u) }); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) apiResetUser(c *call) error {
	var in struct {
		SecondFactors bool `json:"second_factors"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	u, err := s.person(c)
	if err != nil {
		return err
	}
	password, err := s.resetUser(c, u, "", in.SecondFactors)
	if err != nil {
		return err
	}
	return s.tempPassword(c, u, password)
}

// tempPassword shows a temporary password, this once.
func (s *Server) tempPassword(c *call, u store.User, password string) error {
	c.w.Header().Set("Cache-Control", "no-store")
	return writeJSON(c.w, http.StatusOK, map[string]any{
		"message": "Temporary password generated", "username": u.Name, "temp_password": password, "expires": time.Now().Add(temporaryTime).UTC(),
	})
}

// endUser ends all that somebody holds.
func (s *Server) endUser(c *call, u store.User) error {
	_, err := s.Store.CutUser(u.ID, store.Keeps{}, func(*store.User) error { return nil }, c.deed("sessions_ended", u.Name))
	s.recheck.ring()
	return err
}

func (s *Server) apiEndUser(c *call) error {
	u, err := s.person(c)
	if err != nil {
		return err
	}
	if err := s.endUser(c, u); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) apiUserSessions(c *call) error {
	u, err := s.person(c)
	if err != nil {
		return err
	}
	return s.listSessions(c, u.ID)
}

func (s *Server) apiEndUserSession(c *call) error {
	u, err := s.person(c)
	if err != nil {
		return err
	}
	if err := s.endSessionOf(u.ID, c.ps.ByName("session"), c.deed("session_ended", u.Name)); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) apiSecondFactor(c *call) error {
	return writeJSON(c.w, http.StatusOK, map[string]any{"one_time_codes": c.user.OneTime != nil, "recovery_codes": len(c.user.Recovery), "passkeys": len(c.user.Passkeys)})
}

func (s *Server) apiEnrol(c *call) error {
	var in struct {
		Password string `json:"password"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	e, ticket, err := s.enrol(c, in.Password)
	if err != nil {
		return err
	}
	c.w.Header().Set("Cache-Control", "no-store")
	return writeJSON(c.w, http.StatusOK, map[string]string{"ticket": ticket, "secret": e.secret, "uri": e.uri})
}

func (s *Server) apiConfirmCode(c *call) error {
	var in struct{ Ticket, Code string }
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	codes, secret, again, _, err := s.confirmCode(c, in.Ticket, in.Code)
	if err != nil {
		if p := problem(err); again != "" && p.Status < 500 {
			q := *p
			q.Ticket = again
			return &q
		}
		return err
	}
	return s.recoveryCodes(c, codes, secret)
}

// recoveryCodes tells new ones, and the secret with which a program goes on, if it is another.
func (s *Server) recoveryCodes(c *call, codes []string, secret string) error {
	c.w.Header().Set("Cache-Control", "no-store")
	v := recoveryView{Codes: codes, Token: secret}
	if secret != "" {
		v.Type = "bearer"
	}
	return writeJSON(c.w, http.StatusOK, v)
}

func (s *Server) apiFreshRecovery(c *call) error {
	var in struct{ Password string }
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	codes, err := s.freshRecovery(c, in.Password)
	if err != nil {
		return err
	}
	return s.recoveryCodes(c, codes, "")
}

func (s *Server) apiDropSecondFactor(c *call) error {
	var in struct{ Password string }
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if err := s.dropSecondFactor(c, in.Password); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// What follows answers scripts of the service before.

func (s *Server) oldUsers(c *call) error {
	list, err := s.Store.Users()
	if err != nil {
		return err
	}
	did, err := s.Store.Activities()
	if err != nil {
		return err
	}
	views := make([]map[string]any, 0, len(list))
	for _, u := range list {
		v := userView(u)
		v["total_batches"] = did[u.ID].Batches
		v["last_activity"] = nil
		if last := did[u.ID].Last; !last.IsZero() {
			v["last_activity"] = last
		}
		views = append(views, v)
	}
	return writeJSON(c.w, http.StatusOK, views)
}

func (s *Server) oldActivities(c *call) error {
	u, err := s.person(c)
	if err != nil {
		return err
	}
	list, err := s.Store.Handins(store.BatchQuery{Owner: &store.Reader{User: u.ID}, Own: true, Limit: maxLimit})
	if err == nil {
		err = s.recordHandins(c, list...)
	}
	if err != nil {
		return err
	}
	views := make([]batchBefore, len(list))
	for i, h := range list {
		if views[i], err = s.before(h); err != nil {
			return err
		}
	}
	return writeJSON(c.w, http.StatusOK, map[string]any{"user": userView(u), "batches": views})
}

// truth reads a boolean in all the ways that the service before took; Python's clients
// write True and False.
func truth(v string) (is, ok bool) {
	switch strings.ToLower(v) {
	case "true", "1", "yes", "y", "on", "t":
		return true, true
	case "false", "0", "no", "n", "off", "f":
		return false, true
	}
	return false, false
}

func (s *Server) oldStatus(c *call) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	u, err := s.person(c)
	if err != nil {
		return err
	}
	active, ok := truth(c.r.URL.Query().Get("is_active"))
	if !ok {
		return problemf(422, "bad-status", "Malformed request", "is_active must be true or false.")
	}
	disabled := !active
	if u.ID == c.user.ID {
		return errOwnStatus
	}
	if u, err = s.changeUser(c, u, userChange{Disabled: &disabled}); err != nil {
		return err
	}
	word := "activated"
	if disabled {
		word = "deactivated"
	}
	return writeJSON(c.w, http.StatusOK, map[string]any{"message": "User " + u.Name + " has been " + word, "is_active": u.Active()})
}

func (s *Server) oldResetPassword(c *call) error {
	var in struct {
		NewPassword string `json:"new_password"`
		Password    string `json:"password"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if in.NewPassword == "" {
		in.NewPassword = in.Password
	}
	if in.NewPassword == "" {
		return problemf(422, "no-password", "No password", "Give the new password in the body, as new_password; one in the address would stand in logs.")
	}
	u, err := s.person(c)
	if err != nil {
		return err
	}
	if _, err := s.resetUser(c, u, in.NewPassword, false); err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, map[string]any{"message": "Password reset for user " + u.Name})
}

func (s *Server) oldTempPassword(c *call) error {
	u, err := s.person(c)
	if err != nil {
		return err
	}
	password, err := s.resetUser(c, u, "", false)
	if err != nil {
		return err
	}
	return s.tempPassword(c, u, password)
}

func (s *Server) oldStats(c *call) error {
	users, err := s.Store.Users()
	if err != nil {
		return err
	}
	n, err := s.Store.Sizes()
	if err != nil {
		return err
	}
	active, administer := 0, 0
	for _, u := range users {
		if u.Active() {
			active++
		}
		if u.Role == store.RoleAdmin {
			administer++
		}
	}
	return writeJSON(c.w, http.StatusOK, map[string]any{
		"users":   map[string]int{"total": len(users), "active": active, "admins": administer},
		"batches": map[string]int{"total": n.Batches, "open": n.Open},
		"files":   map[string]int{"total": n.Pages, "documents": n.Documents},
		// As the service before had them, side by side.
		"total_users": len(users), "active_users": active, "total_batches": n.Batches, "total_files": n.Pages, "total_documents": n.Documents,
	})
}
