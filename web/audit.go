package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"docscan/store"
	"docscan/store/audit"
)

func auditRoutes() []route {
	return []route{
		{"GET", "/api/v1/audit", admins, (*Server).apiAudit, "Entries of the audit log, newest first"},
		{"GET", auditExport, fleets, (*Server).apiAuditExport, "The audit log as JSON lines, oldest first, with what proves it whole"},
		{"GET", "/api/v1/audit/key", admins, (*Server).apiAuditKey, "The public key that signs the audit log, as PEM, and its fingerprint"},
		{"POST", "/api/v1/audit/verify", admins, (*Server).apiAuditVerify, "Verify the audit log where it is kept"},
		{"GET", "/api/v1/security", admins, (*Server).apiSecurity, "Failed log-ins, limits hit and what is new in the last days"},
		{"GET", "/audit", admins, (*Server).auditPage, ""},
		{"POST", "/audit/verify", admins, (*Server).auditVerifyForm, ""},
		{"GET", "/security", admins, (*Server).securityPage, ""},
	}
}

const auditExport = "/api/v1/audit/export"

// auditQuery reads which entries are wanted.
func auditQuery(v url.Values, n int) (audit.Query, error) {
	q := audit.Query{
		Limit: n, EventType: v.Get("event_type"), Actor: v.Get("actor"), Action: v.Get("action"),
		Target: v.Get("target"), Address: v.Get("ip_address"), Status: v.Get("status"),
	}
	var err error
	if x := v.Get("cursor"); x != "" {
		if q.Before, err = strconv.ParseUint(x, 10, 64); err != nil {
			return q, errBadCursor
		}
	}
	return q, nil
}

var errBadCursor = problemf(400, "bad-cursor", "Bad cursor", "The cursor is not one this list gave.")

func (s *Server) auditEntries(c *call) (list []audit.Line, next string, err error) {
	n, err := limit(c.r)
	if err != nil {
		return nil, "", err
	}
	q, err := auditQuery(c.r.URL.Query(), n)
	if err != nil {
		return nil, "", err
	}
	list, before, err := s.Store.Audit(q)
	if err != nil {
		return nil, "", err
	}
	if before > 0 {
		next = strconv.FormatUint(before, 10)
	}
	if list == nil {
		list = []audit.Line{}
	}
	return list, next, nil
}

// auditList is a page of the audit log.
type auditList struct {
	Entries []audit.Line `json:"entries"`
	Next    string       `json:"next"`
}

func (s *Server) apiAudit(c *call) error {
	list, next, err := s.auditEntries(c)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, auditList{list, next})
}

func (s *Server) apiAuditExport(c *call) error {
	if c.r.Method != http.MethodHead {
		if err := s.Store.AddAudit(c.entry(audit.DataAccess, "audit_export", "")); err != nil {
			return err
		}
	}
	attach(c.w, "docscan-audit-"+time.Now().UTC().Format("20060102-150405")+".jsonl")
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	c.w.Header().Set("Cache-Control", "no-store")
	if c.r.Method == http.MethodHead {
		return nil
	}
	w := &startedWriter{ResponseWriter: c.w}
	err := s.Store.ExportAudit(c.r.Context(), w)
	if err != nil && w.started {
		s.Log.Error("the export of the audit log broke off", "err", err)
		panic(http.ErrAbortHandler) // a part must not look like the whole
	}
	return err
}

// startedWriter knows whether an answer has begun.
type startedWriter struct {
	http.ResponseWriter
	started bool
}

func (w *startedWriter) Write(p []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(p)
}

// auditKeyView is the public key of the audit log.
type auditKeyView struct {
	Key         string `json:"key"` // PEM
	Fingerprint string `json:"fingerprint"`
}

func (s *Server) auditKey() (auditKeyView, error) {
	pem, err := audit.EncodeKey(s.Store.AuditKey())
	return auditKeyView{string(pem), audit.Fingerprint(s.Store.AuditKey())}, err
}

func (s *Server) apiAuditKey(c *call) error {
	k, err := s.auditKey()
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, k)
}

// auditVerdict is what a verification found.
type auditVerdict struct {
	Whole   bool          `json:"whole"`
	Problem string        `json:"problem,omitempty"` // what is wrong, and where
	Summary audit.Summary `json:"summary"`           // of what was in order until there
}

func (s *Server) verifyAudit(c *call) (auditVerdict, error) {
	sum, err := s.Store.VerifyAudit()
	v := auditVerdict{Whole: err == nil, Summary: sum}
	if v.Summary.Keys == nil {
		v.Summary.Keys = []string{}
	}
	if err != nil && !errors.Is(err, audit.ErrBroken) {
		return v, err
	}
	entry := c.entry(audit.AdminAction, "audit_verified", "")
	if err != nil {
		v.Problem = err.Error()
		entry.Status, entry.Details = audit.Failure, v.Problem
	}
	return v, s.Store.AddAudit(entry)
}

func (s *Server) apiAuditVerify(c *call) error {
	v, err := s.verifyAudit(c)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, v)
}

// auditData is the page of the audit log.
type auditData struct {
	auditList
	Query   audit.Query
	Types   []string
	States  []string
	Actions []auditChoice
	More    string // address of the next page
	Key     auditKeyView
	Verdict *auditVerdict
	Error   string
}

func (s *Server) auditPage(c *call) error { return s.showAudit(c, nil) }

func (s *Server) showAudit(c *call, v *auditVerdict) error {
	list, next, err := s.auditEntries(c)
	if err != nil {
		return err
	}
	query := c.r.URL.Query()
	d := auditData{
		auditList: auditList{list, next}, Verdict: v,
		Types: []string{audit.Authentication, audit.AdminAction, audit.Security, audit.DataAccess}, States: []string{audit.Success, audit.Failure, audit.Blocked},
	}
	if d.Query, err = auditQuery(query, 0); err != nil {
		return err
	}
	also := []string{d.Query.Action}
	for _, e := range list {
		also = append(also, e.Action)
	}
	d.Actions = auditChoices(c.tongue, also...)
	if next != "" {
		query.Set("cursor", next)
		d.More = "/audit?" + query.Encode()
	}
	if d.Key, err = s.auditKey(); err != nil {
		return err
	}
	return s.show(c, "audit", d)
}

func (s *Server) auditVerifyForm(c *call) error {
	v, err := s.verifyAudit(c)
	if err != nil {
		return err
	}
	return s.showAudit(c, &v)
}

// securityDays are the spans that the security page offers.
var securityDays = []int{1, 7, 30}

// trouble gives what happened in the days that are asked for.
func (s *Server) trouble(c *call) (audit.Trouble, int, error) {
	days, err := strconv.Atoi(cmp.Or(c.r.URL.Query().Get("days"), "7"))
	if err != nil || days < 1 || days > 366 {
		return audit.Trouble{}, 0, problemf(400, "bad-days", "Bad number of days", "days must be 1 to %d.", 366)
	}
	t, err := s.Store.Trouble(time.Now().AddDate(0, 0, -days))
	return t, days, err
}

func (s *Server) apiSecurity(c *call) error {
	t, _, err := s.trouble(c)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, t)
}

type securityData struct {
	audit.Trouble
	Days  int
	Spans []int
	Names map[string]string // of scanners by ID
}

func (s *Server) securityPage(c *call) error {
	t, days, err := s.trouble(c)
	if err != nil {
		return err
	}
	d := securityData{Trouble: t, Days: days, Spans: securityDays, Names: make(map[string]string)}
	for _, m := range s.Registry.Devices() {
		d.Names[m.Info.ID] = m.Name
	}
	return s.show(c, "security", d)
}

// recordView puts into the audit log that the caller sees the content of a document
// or batch. What a page then fetches is the same view.
func (s *Server) recordView(c *call, action, id string, owner store.UserID) error {
	if c.r.Method == http.MethodHead {
		return nil // no content
	}
	return s.recordOnce(s.views, reading{c.user.Name, c.address, action + id}, func() audit.Entry { return s.access(c, action, id, owner) })
}

// recordOnce puts an entry into the audit log unless one of its key is there from lately.
func (s *Server) recordOnce(lately *limiter[reading], key reading, entry func() audit.Entry) error {
	if !lately.allow(key).ok {
		return nil
	}
	err := s.Store.AddAudit(entry())
	if err != nil {
		lately.takeBack(key)
	}
	return err
}

// listTime is how long looking through lists of somebody's documents counts as once: a page
// that is left open shows them again and again.
const listTime = 24 * time.Hour

// recordList puts into the audit log that an administrator sees what documents somebody
// else has: their titles, or small pictures.
func (s *Server) recordList(c *call, owner store.UserID) error {
	if !c.admin() || owner == "" || owner == c.user.ID || c.r.Method == http.MethodHead {
		return nil
	}
	return s.recordOnce(s.lists, reading{c.user.Name, c.address, string(owner)}, func() audit.Entry { return s.access(c, "document_list", string(owner), owner) })
}

func (s *Server) recordLists(c *call, docs []store.Document) error {
	for _, d := range docs {
		if err := s.recordList(c, d.Owner); err != nil {
			return err
		}
	}
	return nil
}

// recordBatches is recordList for batches, as far as they bear names of files: these say
// what documents somebody has.
func (s *Server) recordBatches(c *call, list ...store.Batch) error {
	for _, b := range list {
		if b.Upload == nil {
			continue
		}
		if err := s.recordList(c, b.Owner); err != nil {
			return err
		}
	}
	return nil
}

// recordHandins is recordBatches for what requests have brought.
func (s *Server) recordHandins(c *call, list ...store.Handin) error {
	for _, h := range list {
		if !slices.ContainsFunc(h.Files, func(f store.HandinFile) bool { return f.Name != "" }) {
			continue
		}
		if err := s.recordList(c, h.Owner); err != nil {
			return err
		}
	}
	return nil
}

// access is what the audit log keeps of c getting at what belongs to owner: whose it
// is, where that is somebody else.
func (s *Server) access(c *call, action, id string, owner store.UserID) audit.Entry {
	e := c.entry(audit.DataAccess, action, id)
	if owner != "" && owner != c.user.ID {
		e.Details = "of user " + string(owner)
		if u, err := s.Store.User(owner); err == nil {
			e.Details = "of " + u.Name
		}
	}
	return e
}

// recordRefusal puts into the audit log that a request was not allowed: at most a few a
// minute of one address, so that nobody can fill the disk with them.
func (s *Server) recordRefusal(r *http.Request, who *caller, action string) {
	e := audit.Entry{EventType: audit.Security, Action: action, Target: clip(r.Method + " " + r.URL.Path), Address: address(r), Status: audit.Blocked}
	if who != nil {
		e.Actor, e.Address = who.user.Name, who.address
	}
	if v := s.refusals.allow(limitKey(e.Address)); !v.ok {
		return
	}
	if err := s.Store.AddAudit(e); err != nil {
		s.Log.Error("recording a refusal failed", "action", action, "err", err)
	}
}

// maxRefusals is how many refusals of one address are recorded in a minute.
const maxRefusals = 10
