package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"docscan/scan"
)

// Updates installs other versions of docscan.
type Updates interface {
	// Status tells how things are.
	Status() (UpdateStatus, error)
	// History gives the last steps, the newest last.
	History() ([]UpdateStep, error)
	// Part adds to an upload what r gives, from offset on, and says where the next
	// part begins. size and digest are those of the whole file.
	Part(ctx context.Context, digest string, size, offset int64, r io.Reader) (next int64, err error)
	// Receive takes a whole file of about size bytes, and gives the digest and the
	// size by which it can be installed.
	Receive(ctx context.Context, size int64, r io.Reader) (digest string, n int64, err error)
	// Install begins to install what was uploaded. What comes of it, Status tells.
	Install(ctx context.Context, digest string, size int64, downgrade bool, by scan.By) error
	// Package begins to install the version that Debian's package has brought.
	Package(ctx context.Context, downgrade bool, by scan.By) error
	// RollBack begins to go back to the version before.
	RollBack(ctx context.Context, reason string, by scan.By) error
	// Restart begins to start the version that runs anew.
	Restart(ctx context.Context, by scan.By) error
	// Configure has settings, the content of a docscan.toml, checked. Unless it is
	// a dry run they are then taken, and a process that works with them takes
	// over; if it does not prove itself, the settings before hold again.
	Configure(ctx context.Context, settings []byte, dryRun bool, by scan.By) error
}

// UpdateStatus is how an update stands.
type UpdateStatus struct {
	Running  string         `json:"running"`           // the version that answers
	State    string         `json:"state"`             // idle, staged, trying, committed, rolled-back
	Doing    string         `json:"doing,omitempty"`   // what goes on now, in words
	Current  *UpdateVersion `json:"current,omitempty"` // what starts
	Previous *UpdateVersion `json:"previous,omitempty"`
	Next     *UpdateVersion `json:"next,omitempty"` // installed and not current
	Reason   string         `json:"reason,omitempty"`
	Failure  string         `json:"failure,omitempty"` // why the last wish came to nothing
	// FailureKind is one of the kinds of ErrUpdate.
	FailureKind string    `json:"failure_kind,omitempty"`
	Deadline    time.Time `json:"deadline,omitzero"`
}

// UpdateVersion is an installed version.
type UpdateVersion struct {
	Slot    string `json:"slot"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
}

// UpdateStep is one step of an update.
type UpdateStep struct {
	Time    time.Time `json:"time"`
	Step    string    `json:"step"`
	Who     string    `json:"who"`
	From    string    `json:"from,omitempty"`
	Slot    string    `json:"slot,omitempty"`
	Version string    `json:"version,omitempty"`
	Digest  string    `json:"digest,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// An UpdateError is an error of Updates whose text is fit for people.
type UpdateError struct {
	Kind string // one of the kinds below
	Err  error
}

// What programs can act on.
const (
	UpdateBusy    = "busy"    // something is going on; later
	UpdateNoRoom  = "no-room" // the disk is too full
	UpdateBase    = "base"    // the delta begins from another version
	UpdateRefused = "refused" // anything else
)

func (e *UpdateError) Error() string { return e.Err.Error() }
func (e *UpdateError) Unwrap() error { return e.Err }

// maxUpdatePart bounds one part of an upload, in bytes.
const maxUpdatePart = 16 << 20

// maxUpdate bounds a form with a whole update file, in bytes. What such a file may
// have at most is a little less, and is for who installs it to say.
const maxUpdate = 528 << 20

// uploadPath is where parts of an upload go, and updateForm a whole file.
const (
	uploadPath = "/api/v1/update/uploads/:digest"
	updateForm = "/system/update/install"
)

func updateRoutes() []route {
	return []route{
		{"GET", "/api/v1/update", updaters, (*Server).apiUpdate, "Installed versions and how an update stands"},
		{"GET", "/api/v1/update/history", updaters, (*Server).apiUpdateHistory, "The last steps of updates, the newest last"},
		{"GET", uploadPath, updaters, (*Server).apiUploadOffset, "Where the upload of the bundle with this SHA-256 goes on (?size=)"},
		{"PUT", uploadPath, updaters, (*Server).apiUpload, "Upload a part of at most 16 MiB of the bundle with this SHA-256 (?size=, ?offset=); gives {offset}"},
		{"POST", "/api/v1/update/install", updaters, (*Server).apiInstall, "Install what was uploaded: {digest, size, downgrade?}"},
		{"POST", "/api/v1/update/package", admins, (*Server).apiPackage, "Install the version that Debian's package has brought: {downgrade?}"},
		{"POST", "/api/v1/update/rollback", updaters, (*Server).apiRollBack, "Go back to the version before: {reason}"},
		{"GET", "/system/update", admins, (*Server).updatePage, ""},
		{"POST", updateForm, admins, (*Server).installForm, ""},
		{"POST", "/system/update/rollback", admins, (*Server).rollBackForm, ""},
	}
}

var errNoUpdates = problemf(404, "no-updates", "No updates here", "This docscan is not installed in a way that it can update itself. Use the package manager.")

// updates gives what installs versions, if this box has it.
func (s *Server) updates() (Updates, error) {
	if s.Updates == nil {
		return nil, errNoUpdates
	}
	return s.Updates, nil
}

// refused makes a refusal an answer for people.
func refused(err error) error {
	var u *UpdateError
	if errors.As(err, &u) {
		return problemf(http.StatusConflict, "update-"+u.Kind, "Not updated", "%s", u.Error())
	}
	return err
}

func (s *Server) apiUpdate(c *call) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	st, err := u.Status()
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, st)
}

func (s *Server) apiUpdateHistory(c *call) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	steps, err := u.History()
	if err != nil {
		return err
	}
	// Steps have no ID, and two may bear one time and name: the first of them has
	// the number 0.
	type step struct {
		UpdateStep
		id string
	}
	same, all := make(map[string]int), make([]step, 0, len(steps))
	for _, x := range steps {
		at := x.Time.Format(time.RFC3339Nano) + " " + x.Step
		all = append(all, step{x, at + " " + strconv.Itoa(same[at])})
		same[at]++
	}
	page, next, err := paged(c, all, func(x step) string { return x.id })
	if err != nil {
		return err
	}
	v := updateStepsView{Steps: []UpdateStep{}, Next: next}
	for _, x := range page {
		v.Steps = append(v.Steps, x.UpdateStep)
	}
	return writeJSON(c.w, http.StatusOK, v)
}

// number reads a number of the query.
func (c *call) number(name string) (int64, error) {
	n, err := strconv.ParseInt(c.r.URL.Query().Get(name), 10, 64)
	if err != nil || n < 0 {
		return 0, problemf(422, "bad-number", "Number missing", "?%s= must be a number of bytes.", name)
	}
	return n, nil
}

func (s *Server) apiUploadOffset(c *call) error { return s.part(c, 0, nil) }

func (s *Server) apiUpload(c *call) error {
	offset, err := c.number("offset")
	if err != nil {
		return err
	}
	// A thin line may take its time.
	if err := http.NewResponseController(c.w).SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return s.part(c, offset, c.r.Body)
}

func (s *Server) part(c *call, offset int64, r io.Reader) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	size, err := c.number("size")
	if err != nil {
		return err
	}
	s.leave(c)
	next, err := u.Part(c.r.Context(), c.ps.ByName("digest"), size, offset, r)
	if err != nil {
		return refused(err)
	}
	return writeJSON(c.w, http.StatusOK, uploadedView{next, size})
}

func (s *Server) apiInstall(c *call) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	var in struct {
		Digest    string `json:"digest"`
		Size      int64  `json:"size"`
		Downgrade bool   `json:"downgrade"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if in.Downgrade && c.account != "" {
		return problemf(403, "not-for-fleet", "Not allowed", "Over SSH an older version cannot be installed. An administrator can do it at the box: docscanctl update install --downgrade.")
	}
	if err := u.Install(c.r.Context(), in.Digest, in.Size, in.Downgrade, c.by()); err != nil {
		return refused(err)
	}
	return s.accepted(c, u)
}

func (s *Server) apiPackage(c *call) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	var in struct {
		Downgrade bool `json:"downgrade"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if err := u.Package(c.r.Context(), in.Downgrade, c.by()); err != nil {
		return refused(err)
	}
	return s.accepted(c, u)
}

func (s *Server) apiRollBack(c *call) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	var in struct {
		Reason string `json:"reason"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if err := u.RollBack(c.r.Context(), in.Reason, c.by()); err != nil {
		return refused(err)
	}
	return s.accepted(c, u)
}

// accepted answers that something has begun.
func (s *Server) accepted(c *call, u Updates) error {
	st, err := u.Status()
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusAccepted, st)
}

// updateView is what the page shows.
type updateView struct {
	Status UpdateStatus
	Steps  []UpdateStep
}

// stepWord is a step of an update in words; others are shown as they are.
func stepWord(s string) string {
	switch s {
	case "install":
		return msg("installed")
	case "try":
		return msg("on trial")
	case "commit":
		return msg("proved itself")
	case "roll-back":
		return msg("taken back")
	case "mend":
		return msg("put in order")
	case "restart":
		return msg("started anew")
	case "settings":
		return msg("with new settings")
	}
	return s
}

func (s *Server) updatePage(c *call) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	var v updateView
	if v.Status, err = u.Status(); err != nil {
		return err
	}
	if v.Steps, err = u.History(); err != nil {
		return err
	}
	return s.render(c.w, c.r, c.caller, http.StatusOK, "update", v)
}

// installForm takes an update file and begins to install it. The box that allows an
// older version comes before the file.
func (s *Server) installForm(c *call) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	c.r.Body = &patient{ReadCloser: c.r.Body, control: http.NewResponseController(c.w)}
	parts, err := c.r.MultipartReader()
	if err != nil {
		return badForm(err)
	}
	s.leave(c)
	downgrade := false
	for {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return errNoUpdateFile
		case err != nil:
			return badForm(err)
		case part.FormName() == "downgrade":
			downgrade = true
			continue
		case part.FormName() != "file" || part.FileName() == "":
			continue
		}
		digest, size, err := u.Receive(c.r.Context(), c.r.ContentLength, part)
		if err == nil {
			err = u.Install(c.r.Context(), digest, size, downgrade, c.by())
		}
		if err != nil {
			return refused(err)
		}
		return redirect(c, "/system/update")
	}
}

var errNoUpdateFile = problemf(422, "no-file", "No file", "Choose the update file, such as docscan-1.4.0-arm64.bundle.")

func (s *Server) rollBackForm(c *call) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	if err := u.RollBack(c.r.Context(), c.r.PostFormValue("reason"), c.by()); err != nil {
		return refused(err)
	}
	return redirect(c, "/system/update")
}

type updateStepsView struct {
	Steps []UpdateStep `json:"steps"`
	Next  string       `json:"next"`
}

type uploadedView struct {
	Offset int64 `json:"offset"` // where the next part begins
	Size   int64 `json:"size"`   // of the whole
}
