package web

import (
	"net/http"
	"slices"
	"time"

	"docscan/scan"
	"docscan/store"
)

// groupView is a group with how many people it has.
type groupView struct {
	store.Group
	People int `json:"people"`
}

// Was names the state of the group that a form shows.
func (g groupView) Was() string { return tagOf(g.Group) }

// groups lists the groups that the caller may know of: own ones, for an administrator
// all, and also these.
func (s *Server) groups(c *call, also ...store.GroupID) ([]groupView, error) {
	all, err := s.Store.Groups()
	if err != nil {
		return nil, err
	}
	users, err := s.Store.Users()
	if err != nil {
		return nil, err
	}
	views := []groupView{}
	for _, g := range all {
		if !c.admin() && !slices.Contains(c.user.Groups, g.ID) && !slices.Contains(also, g.ID) {
			continue
		}
		v := groupView{Group: g}
		for _, u := range users {
			if slices.Contains(u.Groups, g.ID) {
				v.People++
			}
		}
		views = append(views, v)
	}
	return views, nil
}

func (s *Server) apiGroups(c *call) error {
	list, err := s.groups(c)
	if err != nil {
		return err
	}
	list, next, err := paged(c, list, func(g groupView) string { return string(g.ID) })
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, groupsView{list, next})
}

// maxGroups bounds what every listing looks through.
const maxGroups = 200

func (s *Server) addGroup(c *call, name string) (store.Group, error) {
	name, err := label(name)
	if err != nil {
		return store.Group{}, err
	}
	all, err := s.Store.Groups()
	if err != nil {
		return store.Group{}, err
	}
	if len(all) >= maxGroups {
		return store.Group{}, problemf(409, "too-many-groups", "Too many groups", "There are %d groups. Delete one first.", maxGroups)
	}
	g := store.Group{ID: store.GroupID(store.NewID()), Name: name, Created: time.Now()}
	return g, s.Store.PutGroup(g, c.deed("group_added", name))
}

func (s *Server) apiAddGroup(c *call) error {
	var in struct{ Name string }
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	g, err := s.addGroup(c, in.Name)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusCreated, g)
}

// group gives the group of a request.
func (s *Server) group(c *call) (store.Group, error) {
	all, err := s.Store.Groups()
	if err != nil {
		return store.Group{}, err
	}
	for _, g := range all {
		if string(g.ID) == c.ps.ByName("id") {
			return g, nil
		}
	}
	return store.Group{}, errNotFound
}

func (s *Server) apiGroup(c *call) error {
	g, err := s.group(c)
	if err != nil {
		return err
	}
	if !c.admin() && !slices.Contains(c.user.Groups, g.ID) {
		return errNotFound // nobody else knows of it
	}
	return c.tagged(g)
}

// renameGroup gives the group of a request another name.
func (s *Server) renameGroup(c *call, name string, from from) (store.Group, error) {
	s.editing.Lock()
	defer s.editing.Unlock()
	g, err := s.group(c)
	if err == nil {
		err = from(g)
	}
	if err != nil {
		return g, err
	}
	if g.Name, err = label(name); err != nil {
		return g, err
	}
	return g, s.Store.PutGroup(g, c.deed("group_renamed", g.Name))
}

func (s *Server) apiRenameGroup(c *call) error {
	var in struct{ Name string }
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	g, err := s.renameGroup(c, in.Name, c.apiFrom)
	if err != nil {
		return err
	}
	return c.tagged(g)
}

// deleteGroup removes the group of a request, and what was shared with it is so no
// longer.
func (s *Server) deleteGroup(c *call, from from) error {
	s.editing.Lock()
	g, err := s.group(c)
	if err == nil {
		err = from(g)
	}
	var changed []store.Document
	if err == nil {
		changed, err = s.Store.DeleteGroup(g.ID, c.deed("group_deleted", g.Name))
	}
	s.editing.Unlock()
	if err != nil {
		return err
	}
	s.Engine.DocumentsChanged(c.r.Context(), changed)
	return nil
}

func (s *Server) apiDeleteGroup(c *call) error {
	if err := s.deleteGroup(c, c.apiFrom); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) groupForm(c *call) error {
	_, err := s.addGroup(c, c.r.PostFormValue("name"))
	return s.groupSaved(c, err)
}

func (s *Server) renameGroupForm(c *call) error {
	_, err := s.renameGroup(c, c.r.PostFormValue("name"), c.formFrom)
	return s.groupSaved(c, err)
}

// groupSaved shows the groups, or what was wrong with the wish for one and what was
// typed.
func (s *Server) groupSaved(c *call, err error) error {
	if err != nil {
		return s.refusedWith(c, err, func(status int, text string) error {
			return s.people(c, status, peopleData{GroupError: text, Group: store.GroupID(c.ps.ByName("id")), GroupName: c.r.PostFormValue("name")})
		})
	}
	tell(c, "saved", "")
	return redirect(c, "/people")
}

func (s *Server) deleteGroupForm(c *call) error {
	if err := s.deleteGroup(c, c.formFrom); err != nil {
		return s.groupSaved(c, err)
	}
	tell(c, "deleted", "")
	return redirect(c, "/people")
}

// share shares the document of a request with exactly these groups. A person
// shares own documents with own groups; an administrator all with all.
func (s *Server) share(c *call, with []store.GroupID) (store.Document, error) {
	d, err := s.ownDocument(c)
	if err != nil {
		return d, err
	}
	for _, g := range with {
		if !c.admin() && !slices.Contains(c.user.Groups, g) && !slices.Contains(d.Groups, g) {
			return d, problemf(422, "unknown-group", "Unknown group", "There is no such group.")
		}
	}
	if with, err = s.checkGroups(with); err != nil {
		return d, err
	}
	return s.Engine.Share(c.r.Context(), d.ID, with, c.by())
}

func (s *Server) apiShare(c *call) error {
	var in struct{ Groups []store.GroupID }
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	s.editing.Lock()
	defer s.editing.Unlock()
	d, err := s.ownDocument(c)
	if err == nil {
		err = c.match(etag(d))
	}
	if err == nil {
		d, err = s.share(c, in.Groups)
	}
	if err == nil { // which is in the log only if it has changed anything
		err = s.recordView(c, "document_view", string(d.ID), d.Owner)
	}
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", etag(d))
	return writeJSON(c.w, http.StatusOK, d)
}

// A sharing is a group that a document can be shared with.
type sharing struct {
	groupView
	With bool // it is
}

// sharings gives what the form of a document offers.
func (s *Server) sharings(c *call, d store.Document) ([]sharing, error) {
	list, err := s.groups(c, d.Groups...)
	var all []sharing
	for _, g := range list {
		all = append(all, sharing{g, slices.Contains(d.Groups, g.ID)})
	}
	return all, err
}

func (s *Server) shareForm(c *call) error {
	if err := c.r.ParseForm(); err != nil {
		return problemf(400, "bad-form", "Malformed request", "The form cannot be read: %v", err)
	}
	var with []store.GroupID
	for _, g := range c.r.PostForm["group"] {
		with = append(with, store.GroupID(g))
	}
	s.editing.Lock()
	defer s.editing.Unlock()
	d, err := s.ownDocument(c)
	if err == nil {
		err = c.formFrom(d.Groups)
	}
	if err == nil {
		d, err = s.share(c, with)
	}
	if err != nil {
		return s.refusedWith(c, err, func(status int, text string) error {
			if d, err = s.ownDocument(c); err != nil {
				return err
			}
			return s.showDocument(c, status, documentData{Document: d, Marks: scan.MarksOf(d), ShareError: text, Ticked: with})
		})
	}
	tell(c, "saved", "")
	return redirect(c, "/documents/"+string(d.ID))
}
