package web

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"docscan/device"
	"docscan/scan"
	"docscan/scan/ocr"
	"docscan/store"
)

// apiPutProfile adds or replaces a profile.
func (s *Server) apiPutProfile(c *call) error {
	var p store.Profile
	if err := readJSON(c.r, &p); err != nil {
		return err
	}
	p.ID = store.ProfileID(c.ps.ByName("id"))
	s.editing.Lock()
	defer s.editing.Unlock()
	if err := s.matchProfile(c, p.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := s.Engine.PutProfile(p, c.by()); err != nil {
		return err
	}
	p, err := s.Store.Profile(p.ID)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", tagOf(p))
	return writeJSON(c.w, http.StatusOK, p)
}

func (s *Server) apiDeleteProfile(c *call) error {
	id := store.ProfileID(c.ps.ByName("id"))
	s.editing.Lock()
	defer s.editing.Unlock()
	if err := s.matchProfile(c, id); err != nil {
		return err
	}
	if err := s.Engine.DeleteProfile(id, c.by()); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// matchProfile compares what If-Match names with the profile as it is.
func (s *Server) matchProfile(c *call, id store.ProfileID) error {
	p, err := s.Store.Profile(id)
	if err != nil {
		return err
	}
	return c.match(tagOf(p))
}

// A step is one of the clean-up, in words.
type step struct {
	Step ocr.Step
	Name string
}

// A readStep is a step that is done or left out.
type readStep struct {
	step
	Done bool
}

// cleanUp lists the steps of the clean-up.
func cleanUp() []step {
	return []step{
		{ocr.Upright, msg("Turn upright")},
		{ocr.Straighten, msg("Straighten")},
		{ocr.Crop, msg("Cut to the paper")},
		{ocr.Background, msg("Even out the background, and make white what nearly is")},
		{ocr.Colour, msg("Keep colours only where there are some")},
	}
}

// An editable is a profile as the form shows it.
type editable struct {
	store.Profile
	Main string // language
	Was  string // names the state that is kept
	Open bool   // it was refused and is to be corrected
}

// Does reports whether a step is done.
func (p editable) Does(s ocr.Step) bool { return !slices.Contains(p.Leave, string(s)) }

type profilesData struct {
	Profiles  []editable // the last one is for a new one
	Steps     []step
	Languages []string // installed
	Usual     []string // those where a profile names none
	Papers    []scan.Paper
	Error     string
}

// profiles shows the page; edited is what was refused, to be corrected.
func (s *Server) profiles(c *call, status int, message string, edited *store.Profile) error {
	list, err := s.Store.Profiles()
	if err != nil {
		return err
	}
	list = append(list, store.Profile{Source: "auto", Duplex: true, Mode: string(device.Color), Resolution: 300})
	installed, err := s.Engine.Languages()
	if err != nil {
		s.Log.Warn("listing the languages failed", "err", err)
	}
	data := profilesData{Steps: cleanUp(), Papers: scan.Papers(), Usual: s.Engine.DefaultLanguages(), Error: message}
	for _, l := range installed {
		data.Languages = append(data.Languages, l.Name)
	}
	for _, p := range list {
		e := editable{Profile: p, Was: tagOf(p)}
		if edited != nil && p.ID == edited.ID {
			e.Profile, e.Open = *edited, true
		}
		for _, l := range slices.Concat(e.Languages, data.Usual) {
			e.Main = cmp.Or(e.Main, l)
		}
		data.Profiles = append(data.Profiles, e)
	}
	return s.render(c.w, c.r, c.caller, status, "profiles", data)
}

func (s *Server) profilesPage(c *call) error { return s.profiles(c, http.StatusOK, "", nil) }

// profileForm saves one profile. A new one gets its ID from its name.
func (s *Server) profileForm(c *call) error {
	if err := c.r.ParseForm(); err != nil {
		return problemf(400, "bad-form", "Malformed request", "The form could not be read.")
	}
	form := c.r.PostForm
	p := store.Profile{
		ID: store.ProfileID(form.Get("id")), Name: form.Get("name"), Source: form.Get("source"), Duplex: form.Get("duplex") != "",
		Mode: form.Get("mode"), Languages: mainFirst(form["languages"], form.Get("main")), DoubleFeed: form.Get("double_feed"), Paper: form.Get("paper"),
		Blank: form.Get("blank"), PDF: form.Get("pdf"),
	}
	p.Separation = store.Separation{
		Patch: form.Get("part_patch") != "", Blank: form.Get("part_blank") != "", Label: form.Get("part_label") != "",
		Code: strings.TrimSpace(form.Get("part_code")), Back: form.Get("part_back"),
	}
	if n := form.Get("part_sheets"); n != "" {
		var err error
		if p.Separation.Sheets, err = strconv.Atoi(n); err != nil {
			p.Separation.Sheets = -1 // is refused
		}
	}
	if form.Get("clean_up") != "" {
		p.Leave = leftOut(form["steps"])
	}
	p.Resolution, _ = strconv.Atoi(form.Get("resolution")) // what is no number is out of bounds
	if err := s.saveProfile(c, p); err != nil {
		if q := problem(err); q.Status == http.StatusUnprocessableEntity || q.Status == http.StatusPreconditionFailed {
			return s.profiles(c, q.Status, c.say(q), &p)
		}
		return err
	}
	tell(c, "saved", "")
	return redirect(c, "/profiles")
}

// mainFirst puts the language in which most is written before the others that are ticked:
// with it the engine begins.
func mainFirst(ticked []string, main string) []string {
	if !slices.Contains(ticked, main) {
		return ticked
	}
	return append([]string{main}, slices.DeleteFunc(slices.Clone(ticked), func(l string) bool { return l == main })...)
}

// saveProfile keeps what a form says, if it was filled in from what is kept now.
func (s *Server) saveProfile(c *call, p store.Profile) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	var err error
	if p.ID == "" {
		p.ID, err = s.newProfileID(p.Name)
	} else {
		var now store.Profile
		if now, err = s.Store.Profile(p.ID); err == nil {
			err = c.formFrom(now)
		}
	}
	if err != nil {
		return err
	}
	return s.Engine.PutProfile(p, c.by())
}

// newProfileID makes an ID of a name that no profile has yet.
func (s *Server) newProfileID(name string) (store.ProfileID, error) {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	base := strings.Join(words, "-")
	base = strings.Trim(base[:min(len(base), 24)], "-")
	if base == "" {
		base = "profile"
	}
	list, err := s.Store.Profiles()
	if err != nil {
		return "", err
	}
	used := make(map[store.ProfileID]bool)
	for _, p := range list {
		used[p.ID] = true
	}
	id := store.ProfileID(base)
	for n := 2; used[id]; n++ {
		id = store.ProfileID(base + "-" + strconv.Itoa(n))
	}
	return id, nil
}

func (s *Server) deleteProfileForm(c *call) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	p, err := s.Store.Profile(store.ProfileID(c.ps.ByName("id")))
	if err == nil {
		err = c.formFrom(p)
	}
	if err == nil {
		err = s.Engine.DeleteProfile(p.ID, c.by())
	}
	if err != nil {
		return s.refusedWith(c, err, func(status int, text string) error { return s.profiles(c, status, text, nil) })
	}
	tell(c, "deleted", "")
	return redirect(c, "/profiles")
}
