package web

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"docscan/device"
	"docscan/scan"
	"docscan/store"
)

// home is the page with the button.
type home struct {
	Live     live
	Profiles []store.Profile
	Welcome  bool // setting up was begun and is not done
	Most     int  // MiB of files that can be handed in at once
}

// live is the part of the home page that changes by itself.
type live struct {
	Devices []device.DeviceState
	Batches []liveBatch
	Recent  []store.Document
}

type liveBatch struct {
	store.Batch
	Pages []store.Page
}

// Numbers of what the home page shows.
const (
	recentDocuments = 6
	recentEnded     = 3 * time.Minute // how long a failed batch stays on the page
)

func (s *Server) live(c *call) (live, error) {
	l := live{Devices: s.Registry.Devices()}
	list, err := s.Store.OpenBatches()
	if err != nil {
		return l, err
	}
	list = slices.DeleteFunc(list, func(b store.Batch) bool { return !c.watches(b) })
	newest, err := s.Store.Batches(store.BatchQuery{Owner: c.owner(), Limit: 1})
	if err != nil {
		return l, err
	}
	for _, b := range newest {
		failed := b.State == store.BatchFailed || b.State == store.BatchCanceled
		known := slices.ContainsFunc(list, func(o store.Batch) bool { return o.ID == b.ID })
		if failed && !known && time.Since(b.Updated) < recentEnded {
			list = append(list, b)
		}
	}
	slices.Reverse(list) // newest first
	for _, b := range list {
		pages, err := s.Store.Pages(b.ID)
		if err != nil {
			return l, err
		}
		l.Batches = append(l.Batches, liveBatch{b, pages})
	}
	l.Recent, err = s.Store.Documents(store.DocumentQuery{Owner: c.owner(), Limit: recentDocuments})
	return l, err
}

func (s *Server) homePage(c *call) error {
	l, err := s.live(c)
	if err == nil {
		err = s.recordLists(c, l.Recent)
	}
	if err != nil {
		return err
	}
	profiles, err := s.Store.Profiles()
	if err != nil {
		return err
	}
	h := home{Live: l, Profiles: profiles, Most: s.cfg.MaxUploadMB}
	if c.admin() {
		if h.Welcome, err = s.settingUp(); err != nil {
			return err
		}
	}
	return s.show(c, "home", h)
}

func (s *Server) livePart(c *call) error {
	l, err := s.live(c)
	if err == nil {
		err = s.recordLists(c, l.Recent)
	}
	if err != nil {
		return err
	}
	return s.show(c, "home:live", l)
}

func (s *Server) scanForm(c *call) error {
	r := scan.Request{Device: c.r.PostFormValue("device"), Profile: store.ProfileID(c.r.PostFormValue("profile")), Anew: c.r.PostFormValue("anew") != ""}
	back := c.r.PostFormValue("back") == "/welcome/scanner"
	_, err := s.press(c, r)
	switch p := problem(err); {
	case err != nil && back && c.admin() && p.Status != http.StatusInternalServerError:
		return s.welcoming(c, "scanner", p.Status, c.say(p))
	case err != nil:
		return err
	case back:
		return redirect(c, "/welcome/scanner")
	}
	return redirect(c, "/")
}

func (s *Server) batchForm(c *call) error {
	if _, err := s.act(c, c.ps.ByName("action")); err != nil {
		return err
	}
	return redirect(c, "/")
}

// uploadedData tells what became of files that were not all taken.
type uploadedData struct {
	Taken   int
	Refused []uploaded // each with its problem in the reader's language
}

// uploadForm takes files from the page. Each that is refused is told of; the others go
// on.
func (s *Server) uploadForm(c *call) error {
	list, err := s.takeFiles(c, "", nil)
	if errors.Is(err, errNoFile) {
		return problemf(422, "no-file", "No file", "Choose the files first.")
	}
	if err != nil && len(list) == 0 {
		return err
	}
	if err != nil { // the request broke off; what was taken before is safe
		list = append(list, uploaded{Problem: problem(err)})
	}
	var data uploadedData
	status := http.StatusOK
	for _, u := range list {
		if u.Problem == nil {
			data.Taken++
			continue
		}
		status = u.Problem.Status
		u.Problem = c.tongue.Problem(u.Problem)
		data.Refused = append(data.Refused, u)
	}
	if len(data.Refused) == 0 {
		tell(c, "taken", "")
		return redirect(c, "/")
	}
	return s.render(c.w, c.r, c.caller, status, "uploaded", data)
}

func (s *Server) keysPage(c *call) error { return s.show(c, "keys", nil) }
