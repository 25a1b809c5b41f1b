package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"docscan/device"
	"docscan/scan"
	"docscan/store"
	"docscan/store/audit"
	"docscan/store/search"
)

// healthTimeout bounds the questions behind /api/health.
const healthTimeout = 3 * time.Second

// health says whether the store answers. Monitors know its shape from the
// service before this one.
func (s *Server) health(c *call) error {
	is := s.sound(c.r.Context())
	status, database, index := http.StatusOK, "connected", "ok"
	if !is.Store {
		status, database = http.StatusServiceUnavailable, "failed"
	}
	if !is.Index {
		status, index = http.StatusServiceUnavailable, "failed"
	}
	word := "healthy"
	if status != http.StatusOK {
		word = "unhealthy"
	}
	c.w.Header().Set("Cache-Control", "no-store")
	return writeJSON(c.w, status, healthView{word, "docscan", time.Now().UTC(), database, index})
}

type healthView struct {
	Status    string    `json:"status"` // healthy or unhealthy
	Service   string    `json:"service"`
	Timestamp time.Time `json:"timestamp"`
	Database  string    `json:"database"` // connected or failed
	Index     string    `json:"index"`    // ok or failed
}

// welcome answers a log-in: a cookie for browsers, a token for programs.
func (s *Server) welcome(c *call, status int, u store.User, secret string) error {
	s.setCookie(c.w, c.r, secret)
	c.w.Header().Set("Cache-Control", "no-store")
	return writeJSON(c.w, status, map[string]any{"access_token": secret, "token_type": "bearer", "user": userView(u)})
}

func (s *Server) apiLogin(c *call) error {
	var in credentials
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	u, secret, err := s.logIn(c, in, s.shortest())
	if err != nil {
		return err
	}
	return s.welcome(c, http.StatusOK, u, secret)
}

func (s *Server) apiSetup(c *call) error {
	var in credentials
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	u, secret, err := s.setUp(c, in)
	if err != nil {
		return err
	}
	return s.welcome(c, http.StatusCreated, u, secret)
}

func (s *Server) logOut(c *call) error {
	if c.session == "" {
		return nil
	}
	err := s.Store.EndSession(c.session, c.entry(audit.Authentication, "logout", c.user.Name))
	s.recheck.ring()
	return err
}

func (s *Server) apiLogout(c *call) error {
	if err := s.logOut(c); err != nil {
		return err
	}
	s.setCookie(c.w, c.r, "")
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) apiMe(c *call) error { return writeJSON(c.w, http.StatusOK, userView(c.user)) }

func (s *Server) apiPassword(c *call) error {
	var in struct{ Old, Password string }
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	secret, err := s.changePassword(c, in.Old, in.Password)
	if err != nil {
		return err
	}
	if secret == "" {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	c.w.Header().Set("Cache-Control", "no-store")
	return writeJSON(c.w, http.StatusOK, map[string]string{"access_token": secret, "token_type": "bearer"})
}

func (s *Server) apiStatus(c *call) error {
	open, err := s.Store.OpenBatches()
	if err != nil {
		return err
	}
	free, total, err := s.Store.DiskBytes()
	if err != nil {
		return err
	}
	waiting := 0
	for _, b := range open {
		waiting += b.Pages - b.Done
	}
	devices := make(map[string]string)
	for _, d := range s.Registry.Devices() {
		devices[d.Info.ID] = string(d.Status.State)
	}
	return writeJSON(c.w, http.StatusOK, statusView{s.Version, s.started, int(time.Since(s.started).Seconds()), free, total, len(open), waiting, devices})
}

type statusView struct {
	Version     string            `json:"version"`
	Started     time.Time         `json:"started"`
	Uptime      int               `json:"uptime_seconds"`
	Free        uint64            `json:"disk_free_bytes"`
	Total       uint64            `json:"disk_total_bytes"`
	OpenBatches int               `json:"open_batches"`
	Waiting     int               `json:"pages_waiting"` // to be read
	Devices     map[string]string `json:"devices"`       // states by ID
}

func (s *Server) apiDevices(c *call) error {
	list, next, err := paged(c, s.Registry.Devices(), func(d device.DeviceState) string { return d.Info.ID })
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, devicesView{list, next})
}

type devicesView struct {
	Devices []device.DeviceState `json:"devices"`
	Next    string               `json:"next"`
}

// deviceView is a scanner with what was chosen for it.
type deviceView struct {
	device.DeviceState
	Choices store.Machine `json:"choices"`
}

func (s *Server) apiDevice(c *call) error {
	d, err := s.Registry.Device(c.ps.ByName("id"))
	if err != nil {
		return err
	}
	m, err := s.Store.Machine(d.Info.ID)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", tagOf(m))
	return writeJSON(c.w, http.StatusOK, deviceView{d, m})
}

// apiChooseDevice replaces all that was chosen for a scanner, which need not be
// plugged in, but must have been seen or chosen for before.
func (s *Server) apiChooseDevice(c *call) error {
	var m store.Machine
	if err := readJSON(c.r, &m); err != nil {
		return err
	}
	m.ID = c.ps.ByName("id")
	s.editing.Lock()
	err := s.chooseFrom(c, m)
	s.editing.Unlock()
	if err != nil {
		return err
	}
	return s.apiDevice(c)
}

// apiDiagnosis gives one text that a person can read and send on.
func (s *Server) apiDiagnosis(c *call) error {
	id := c.ps.ByName("id")
	sections, err := s.Registry.Diagnose(c.r.Context(), id)
	if err != nil {
		return err
	}
	if err := s.Store.AddAudit(c.entry(audit.AdminAction, "diagnosis", id)); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "docscan diagnosis of scanner %s, %s\n", id, time.Now().UTC().Format(time.RFC3339))
	for _, x := range append([]device.Section{{Title: "Versions", Text: s.Versions()}}, sections...) {
		fmt.Fprintf(&b, "\n== %s ==\n%s", x.Title, x.Text)
		if !strings.HasSuffix(x.Text, "\n") {
			b.WriteByte('\n')
		}
	}
	attach(c.w, "docscan-"+id+".txt")
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.w.Header().Set("Cache-Control", "no-store")
	_, err = io.WriteString(c.w, b.String())
	return err
}

// chooseFrom is choose from the state that If-Match names.
func (s *Server) chooseFrom(c *call, m store.Machine) error {
	now, err := s.Store.Machine(m.ID)
	if err != nil {
		return err
	}
	if err := c.match(tagOf(now)); err != nil {
		return err
	}
	return s.choose(c, m)
}

func (s *Server) choose(c *call, m store.Machine) error {
	if _, err := s.Registry.Device(m.ID); err != nil {
		return err
	}
	return s.Engine.Choose(m, c.by())
}

func (s *Server) apiProfiles(c *call) error {
	list, err := s.Store.Profiles()
	if err != nil {
		return err
	}
	list, next, err := paged(c, list, func(p store.Profile) string { return string(p.ID) })
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, profilesView{list, next})
}

type profilesView struct {
	Profiles []store.Profile `json:"profiles"`
	Next     string          `json:"next"`
}

func (s *Server) apiProfile(c *call) error {
	p, err := s.Store.Profile(store.ProfileID(c.ps.ByName("id")))
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", tagOf(p))
	return writeJSON(c.w, http.StatusOK, p)
}

func (s *Server) apiScan(c *call) error {
	var in struct {
		Device  string          `json:"device"`
		Profile store.ProfileID `json:"profile"`
		Anew    bool            `json:"anew"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	b, err := s.press(c, scan.Request{Device: in.Device, Profile: in.Profile, Anew: in.Anew})
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/api/v1/batches/"+string(b.ID))
	return writeJSON(c.w, http.StatusAccepted, b)
}

// press asks the engine for a scan in the name of the caller.
func (s *Server) press(c *call, r scan.Request) (store.Batch, error) {
	r.Owner, r.Origin, r.By = c.user.ID, c.origin, c.by()
	if c.panel() { // as with a button at the box, what comes of it is everybody's
		r.Owner, r.Origin = "", "panel"
	}
	b, err := s.Engine.Scan(c.r.Context(), r)
	if errors.Is(err, store.ErrNotFound) {
		return b, problemf(404, "unknown-profile", "Unknown profile", "There is no such profile.")
	}
	return b, err
}

// Sizes of listings.
const (
	defaultLimit = 50
	listLimit    = 25 // documents on a page: so many are looked through at once
	maxLimit     = 500
)

// limit reads how many entries of a listing are wanted.
func limit(r *http.Request) (int, error) {
	v := r.URL.Query().Get("limit")
	if v == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxLimit {
		return 0, problemf(400, "bad-limit", "Bad limit", "limit must be 1 to %d.", maxLimit)
	}
	return n, nil
}

func (s *Server) apiBatches(c *call) error {
	n, err := limit(c.r)
	if err != nil {
		return err
	}
	list, err := s.Store.Batches(store.BatchQuery{Owner: c.owner(), Limit: n, Before: store.BatchID(c.r.URL.Query().Get("cursor"))})
	if err != nil {
		return err
	}
	if err := s.recordBatches(c, list...); err != nil {
		return err
	}
	next := ""
	if len(list) == n {
		next = string(list[n-1].ID)
	}
	if list == nil {
		list = []store.Batch{}
	}
	for i := range list {
		if c.panel() {
			list[i].Upload = nil
		}
	}
	return writeJSON(c.w, http.StatusOK, batchesView{list, next})
}

type batchesView struct {
	Batches []store.Batch `json:"batches"`
	Next    string        `json:"next"`
}

// batch gives the batch of a request, if the caller may see it.
func (s *Server) batch(c *call) (store.Batch, error) {
	b, err := s.Store.Batch(store.BatchID(c.ps.ByName("id")))
	if err == nil && !c.watches(b) {
		err = s.notTheirs(c, store.ErrNotFound) // what is not yours is not there
	}
	return b, err
}

// batchView is a batch with its pages in the place of their number.
type batchView struct {
	store.Batch
	Pages []store.Page `json:"pages"`
}

func (s *Server) apiBatch(c *call) error {
	b, err := s.batch(c)
	if err != nil {
		return err
	}
	pages, err := s.Store.Pages(b.ID)
	if err != nil {
		return err
	}
	if err := s.recordBatches(c, b); err != nil {
		return err
	}
	if c.panel() { // what a file is called may say what stands in it
		b.Upload = nil
	}
	if pages == nil {
		pages = []store.Page{}
	}
	return writeJSON(c.w, http.StatusOK, batchView{b, pages})
}

// act does one of the things that can be done to an open batch.
func (s *Server) act(c *call, action string) (store.Batch, error) {
	b, err := s.batch(c)
	if err != nil {
		return b, err
	}
	switch action {
	case "cancel":
		return s.Engine.Cancel(c.r.Context(), b.ID, c.by())
	case "resume":
		return s.Engine.Resume(c.r.Context(), b.ID, c.by())
	case "finish":
		return s.Engine.Finish(c.r.Context(), b.ID, c.by())
	}
	return b, errNotFound
}

func (s *Server) apiAct(c *call, action string) error {
	b, err := s.act(c, action)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusAccepted, b)
}

func (s *Server) apiCancel(c *call) error { return s.apiAct(c, "cancel") }
func (s *Server) apiResume(c *call) error { return s.apiAct(c, "resume") }
func (s *Server) apiFinish(c *call) error { return s.apiAct(c, "finish") }

// found is a document in a listing, with what the search found of it.
type found struct {
	store.Document
	Hits   []hit `json:"hits,omitempty"`
	Making bool  `json:"making,omitempty"` // its sheets are still being fed or read
}

type hit struct {
	Page    int           `json:"page"`
	Snippet []search.Span `json:"snippet"`
}

// find lists documents, newest first, or those that fit a question, the best
// first. The cursor asks for the rest.
func (s *Server) find(c *call, q string, n int, cursor string) (results, error) {
	r := results{Query: q, Documents: []found{}}
	if strings.TrimSpace(q) == "" {
		docs, err := s.Store.Documents(store.DocumentQuery{Owner: c.owner(), Limit: n, Before: store.DocumentID(cursor)})
		if err != nil {
			return r, err
		}
		if err := s.recordLists(c, docs); err != nil {
			return r, err
		}
		for _, d := range docs {
			r.Documents = append(r.Documents, found{Document: c.told(d)})
		}
		if len(docs) == n {
			r.Next = string(docs[n-1].ID)
		}
		r.Total = len(docs)
		return r, nil
	}
	offset := 0
	if cursor != "" {
		var err error
		if offset, err = strconv.Atoi(cursor); err != nil || offset < 0 {
			return r, problemf(400, "bad-cursor", "Bad cursor", "The cursor is not one this list gave.")
		}
	}
	query := c.asks(q)
	query.Limit, query.Offset, query.Zone = n, offset, s.Store.Zone()
	result, err := s.Index.Search(c.r.Context(), query)
	if err != nil {
		return r, err
	}
	for _, h := range result.Hits {
		d, err := s.Store.Document(store.DocumentID(h.ID))
		making := false
		if errors.Is(err, store.ErrNotFound) {
			if d, making, err = s.Engine.Making(store.DocumentID(h.ID)); err == nil && !making {
				continue // deleted since; the index follows
			}
		}
		if err != nil {
			return r, err
		}
		// The store is the truth on whose it is, not the index.
		if !c.reads(d) {
			continue
		}
		if err := s.recordFound(c, d); err != nil { // what is found shows some of the text
			return r, err
		}
		f := found{Document: c.told(d), Making: making}
		if h.Page > 0 {
			f.Hits = []hit{{h.Page, h.Snippet}}
		}
		r.Documents = append(r.Documents, f)
	}
	if result.Next > 0 {
		r.Next = strconv.Itoa(result.Next)
	}
	r.Total, r.More, r.Refused = result.Total, result.More, result.Refused
	if r.Total == 0 && r.Next == "" && len(r.Refused) == 0 {
		if r.Instead, err = s.Index.Suggest(c.r.Context(), query); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (s *Server) apiDocuments(c *call) error {
	n, err := limit(c.r)
	if err != nil {
		return err
	}
	v := c.r.URL.Query()
	r, err := s.find(c, v.Get("q"), n, v.Get("cursor"))
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, foundView{r.Documents, r.Total, r.More, r.Next, r.Instead, r.Refused})
}

type foundView struct {
	Documents  []found  `json:"documents"`
	Total      int      `json:"total"`          // that fit the question; without one, those in this answer
	More       bool     `json:"more,omitempty"` // there are more than total; they were not counted
	Next       string   `json:"next"`
	Suggestion string   `json:"suggestion,omitempty"` // what may have been meant
	Refused    []string `json:"refused,omitempty"`    // parts of the question that say nothing
}

// document gives the document of a request, if the caller may do with it what is
// asked: whom it is shared with may read it.
func (s *Server) document(c *call) (store.Document, error) {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return s.ownDocument(c)
	}
	d, err := s.Store.Document(store.DocumentID(c.ps.ByName("id")))
	if err == nil {
		err = s.mayRead(c, d)
	}
	return d, err
}

// ownDocument gives the document of a request, if the caller may change it.
func (s *Server) ownDocument(c *call) (store.Document, error) {
	d, err := s.Store.Document(store.DocumentID(c.ps.ByName("id")))
	if err == nil {
		err = s.mayChange(c, d)
	}
	return d, err
}

// mayRead is an error for a document that the caller may not see: it is not there, but
// the audit log has who asked for it.
func (s *Server) mayRead(c *call, d store.Document) error {
	if c.reads(d) {
		return nil
	}
	return s.notTheirs(c, store.ErrNotFound)
}

// mayChange is an error for a document that the caller may not change.
func (s *Server) mayChange(c *call, d store.Document) error {
	if err := s.mayRead(c, d); err != nil || c.sees(d.Owner) {
		return err
	}
	return s.notTheirs(c, errOnlyShared)
}

// notTheirs puts into the audit log that the caller asked for what belongs to somebody
// else, and gives the answer.
func (s *Server) notTheirs(c *call, answer error) error {
	s.recordRefusal(c.r, c.caller, "access_denied")
	return answer
}

var errOnlyShared = problemf(403, "only-shared", "Not yours", "This document is shared with you to read. Only the person it belongs to can change it.")

func (s *Server) apiDocument(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	if err := s.recordView(c, "document_view", string(d.ID), d.Owner); err != nil {
		return err
	}
	c.w.Header().Set("ETag", etag(d))
	return writeJSON(c.w, http.StatusOK, c.told(d))
}

// tokenView is what is told of a token: never its hash.
type tokenView struct {
	ID      store.TokenID `json:"id"`
	Name    string        `json:"name"`
	Token   string        `json:"token,omitempty"` // only where it has just been made
	Scopes  []string      `json:"scopes"`
	Created time.Time     `json:"created"`
	Expires time.Time     `json:"expires,omitzero"`
	Used    time.Time     `json:"used,omitzero"` // to the hour
}

func viewToken(t store.Token) tokenView {
	v := tokenView{ID: t.ID, Name: t.Name, Scopes: t.Scopes, Created: t.Created, Expires: t.Expires, Used: t.Used}
	if len(v.Scopes) == 0 {
		v.Scopes = []string{string(scopeAll)}
	}
	return v
}

func (s *Server) apiTokens(c *call) error {
	list, err := s.Store.Tokens(c.user.ID)
	if err != nil {
		return err
	}
	views := make([]tokenView, 0, len(list))
	for _, t := range list {
		views = append(views, viewToken(t))
	}
	views, next, err := paged(c, views, func(t tokenView) string { return string(t.ID) })
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, tokensView{views, next})
}

type tokensView struct {
	Tokens []tokenView `json:"tokens"`
	Next   string      `json:"next"`
}

func (s *Server) apiAddToken(c *call) error {
	var in tokenWish
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	t, secret, err := s.addToken(c, in)
	if err != nil {
		return err
	}
	c.w.Header().Set("Cache-Control", "no-store")
	v := viewToken(t)
	v.Token = secret
	return writeJSON(c.w, http.StatusCreated, v)
}

func (s *Server) deleteToken(c *call) error {
	id := c.ps.ByName("id")
	err := s.Store.DeleteToken(c.user.ID, store.TokenID(id), c.entry(audit.Authentication, "token_deleted", clip(id)))
	s.recheck.ring()
	return err
}

func (s *Server) apiDeleteToken(c *call) error {
	if err := s.deleteToken(c); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// sessionView is what is told of a log-in: never its hash.
type sessionView struct {
	ID      store.SessionID `json:"id"`
	Created time.Time       `json:"created"`
	Seen    time.Time       `json:"seen"`
	Expires time.Time       `json:"expires"`
	Address string          `json:"address"`
	Agent   string          `json:"agent"`
	Factor  string          `json:"factor,omitempty"` // code, recovery code or passkey, beside or instead of the password
	This    bool            `json:"this"`             // the one that asks
}

func (s *Server) apiSessions(c *call) error { return s.listSessions(c, c.user.ID) }

// listSessions answers with the log-ins of a user.
func (s *Server) listSessions(c *call, u store.UserID) error {
	list, err := s.sessions(u)
	if err != nil {
		return err
	}
	views := make([]sessionView, 0, len(list))
	for _, x := range list {
		views = append(views, sessionView{x.ID, x.Created, x.Seen, x.Expires, x.Address, x.Agent, x.Factor, x.Hash == c.session})
	}
	views, next, err := paged(c, views, func(x sessionView) string { return string(x.ID) })
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, sessionsView{views, next})
}

type sessionsView struct {
	Sessions []sessionView `json:"sessions"`
	Next     string        `json:"next"`
}

// sessions gives the log-ins of a user that still hold.
func (s *Server) sessions(u store.UserID) ([]store.Session, error) {
	list, err := s.Store.Sessions(u)
	now := time.Now()
	return slices.DeleteFunc(list, func(x store.Session) bool { return x.Over(now, s.idle()) }), err
}

// endSession ends the log-in that the request names, if it is the caller's.
func (s *Server) endSession(c *call) error {
	id := c.ps.ByName("id")
	return s.endSessionOf(c.user.ID, id, c.entry(audit.Authentication, "session_ended", clip(id)))
}

// endSessionOf ends one log-in of a user.
func (s *Server) endSessionOf(u store.UserID, id string, entry audit.Entry) error {
	err := s.Store.EndSessionOf(u, store.SessionID(id), entry)
	s.recheck.ring()
	return err
}

func (s *Server) apiEndSession(c *call) error {
	if err := s.endSession(c); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) apiCheck(c *call) error {
	if err := s.Store.AddAudit(c.entry(audit.AdminAction, "check", "")); err != nil {
		return err
	}
	report, err := s.Store.Check(c.r.Context())
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, report)
}

// apiBackup makes the backup in a file before the first byte is sent: one that
// fails midway must not look like a download, and a slow client must not hold
// up what waits for the backup's end. A change of version waits only for the copy
// of the database in it: this process goes on with the files meanwhile.
func (s *Server) apiBackup(c *call) error {
	dir, err := s.Store.ScratchDir("backup")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, err := os.Create(filepath.Join(dir, "backup"))
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer f.Close()
	// It leaves the box with all that is on it: that is noted first, for later
	// the store may be another process's.
	if err := s.Store.AddAudit(c.entry(audit.AdminAction, "backup", "")); err != nil {
		return err
	}
	if err := s.Store.Backup(c.r.Context(), f, func() { s.leave(c) }); err != nil {
		return err
	}
	name := "docscan-" + time.Now().UTC().Format("20060102-150405") + ".backup"
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	return s.sendMade(c, f)
}
