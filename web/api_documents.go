package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"docscan/scan"
	"docscan/store"
)

// documentRoutes are what can be done with documents beyond reading them. A
// change names the state it was made from, in If-Match or as revision; another
// state is 412, and nothing is changed. It answers with the document and the
// change, which can be taken back with undo.
func documentRoutes() []route {
	return []route{
		{"PATCH", "/api/v1/documents/:id", members, (*Server).apiMark, "Say of a document {title?, date?, correspondent?, type?, tags?, remark?, asn?, revision?}; what is left out stays"},
		{"PUT", "/api/v1/documents/:id/pages", members, (*Server).apiArrange, "Give a document its pages anew: {pages: [{batch, seq, turn}], revision}; also such as are set aside"},
		{"GET", "/api/v1/documents/:id/aside", members, (*Server).apiAside, "Sides of its batches that stand in no document, for the person it belongs to"},
		{"GET", "/api/v1/documents/:id/changes", members, (*Server).apiChanges, "What was done to it, newest first"},
		{"POST", "/api/v1/documents/:id/split", members, (*Server).apiSplit, "Cut a document after these pages: {after: [2, 5], revision}"},
		{"POST", "/api/v1/documents/:id/merge", members, (*Server).apiMerge, "Add the pages of others, which go into the trash: {documents: [{id, revision}], revision}"},
		{"POST", "/api/v1/documents/:id/restore", members, (*Server).apiRestore, "Take a document out of the trash"},
		{"POST", "/api/v1/documents/:id/read", members, (*Server).apiRead, "Read a document again, behind new paper: {languages?, leave?, revision}; leave names steps of the clean-up"},
		{"POST", "/api/v1/changes", members, (*Server).apiChangeMany, "Do one thing to several documents, as one change: {documents: [{id, revision}] or query with count, how many it finds, add_tags?, remove_tags?, type?, correspondent?, trash?}"},
		{"POST", "/api/v1/changes/:id/undo", members, (*Server).apiUndo, "Take a change back, if nothing has been done since to what it touched"},
		{"GET", "/api/v1/trash", members, (*Server).apiTrash, "Documents in the trash"},
		{"GET", "/api/v1/export", members, (*Server).apiExport, "PDFs of documents (?document=, several times, or all that ?q= finds) as a ZIP, or with ?together=1 as one PDF"},
		{"GET", "/api/v1/suggestions", members, (*Server).apiSuggestions, "What is said of documents that I may read: {types, correspondents, tags}, the most used first"},
		{"GET", "/api/v1/searches", members, (*Server).apiSearches, "Kept searches"},
		{"PUT", "/api/v1/searches", members, (*Server).apiPutSearches, "Replace the kept searches: {searches: [{name, query}]}"},
	}
}

// etag names the state of a document.
func etag(d store.Document) string { return `"r` + strconv.Itoa(d.Revision) + `"` }

// tagOf names the state of something that counts no revisions.
func tagOf(v any) string {
	j, err := json.Marshal(v)
	if err != nil {
		return `""` // fits no state
	}
	return `"` + hashSecret(string(j))[:24] + `"`
}

// match is nil if the request was made from the state that tag names (RFC 9110,
// 13.1.1), store.ErrConflict if from another, and a problem if it does not say.
func (c *call) match(tag string) error {
	m := c.r.Header.Get("If-Match")
	if m == "" {
		return problemf(428, "state-missing", "State missing", "Say which state this change is made from: give the ETag you got in If-Match.")
	}
	for one := range strings.SplitSeq(m, ",") {
		if one = strings.TrimSpace(one); one == tag || one == "*" {
			return nil
		}
	}
	return store.ErrConflict
}

// A from says whether a wish was made from the state v: nil, or store.ErrConflict if
// somebody has changed that since. Programs name the state in If-Match, forms carry it.
type from func(v any) error

// apiFrom is the from of a program.
func (c *call) apiFrom(v any) error { return c.match(tagOf(v)) }

// formFrom is the from of a form.
func (c *call) formFrom(v any) error {
	if was := c.r.PostFormValue("was"); was != "" && was != tagOf(v) {
		return store.ErrConflict
	}
	return nil
}

// tagged answers with v, whose state the answer names.
func (c *call) tagged(v any) error {
	c.w.Header().Set("ETag", tagOf(v))
	return writeJSON(c.w, http.StatusOK, v)
}

// paged gives one page of a list that is short enough to be read as a whole. Its
// cursor is the ID of the last one of the page before, behind how many there were until then.
func paged[T any](c *call, list []T, id func(T) string) (page []T, next string, err error) {
	n := maxLimit
	if c.r.URL.Query().Get("limit") != "" {
		if n, err = limit(c.r); err != nil {
			return nil, "", err
		}
	}
	at := 0
	if cursor := c.r.URL.Query().Get("cursor"); cursor != "" {
		place, last, _ := strings.Cut(cursor, ".")
		before, err := strconv.Atoi(place)
		placed := err == nil && before >= 1 && last != ""
		if !placed { // one of the release before is the ID alone
			last = cursor
		}
		at = slices.IndexFunc(list, func(t T) bool { return id(t) == last }) + 1
		switch {
		case at > 0:
		case !placed:
			return nil, "", errBadCursor
		default: // it is gone, and those behind it have moved up
			at = min(before-1, len(list))
		}
	}
	if list == nil {
		list = []T{}
	}
	if end := at + n; len(list) > end {
		return list[at:end], strconv.Itoa(end) + "." + id(list[end-1]), nil
	}
	return list[at:], "", nil
}

// edit says which document in which state a request is about.
func (s *Server) edit(c *call, revision int) (scan.Edit, error) {
	d, err := s.document(c)
	if err != nil {
		return scan.Edit{}, err
	}
	if m := c.r.Header.Get("If-Match"); m != "" {
		if m != "*" && !strings.Contains(m, `"`) {
			return scan.Edit{}, problemf(400, "bad-tag", "Malformed request", "If-Match must be the ETag of the document.")
		}
		if err := c.match(etag(d)); err != nil {
			return scan.Edit{}, err
		}
		revision = d.Revision
	}
	if revision == 0 {
		return scan.Edit{}, problemf(428, "revision-missing", "State missing", "Say which state of the document this change is made from: its ETag in If-Match, or revision.")
	}
	return scan.Edit{Document: d.ID, Revision: revision, By: c.by()}, nil
}

// changed answers a change.
func changed(c *call, d store.Document, id store.ChangeID) error {
	c.w.Header().Set("ETag", etag(d))
	return writeJSON(c.w, http.StatusOK, changedView{d, id})
}

type changedView struct {
	Document store.Document `json:"document"`
	Change   store.ChangeID `json:"change"`
}

func (s *Server) apiMark(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	in := struct {
		scan.Marks
		Revision int `json:"revision"`
	}{Marks: scan.MarksOf(d)}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	x, err := s.edit(c, in.Revision)
	if err != nil {
		return err
	}
	d, id, err := s.Engine.Mark(c.r.Context(), x, in.Marks)
	if err != nil {
		return err
	}
	return changed(c, d, id)
}

func (s *Server) apiArrange(c *call) error {
	var in struct {
		Pages    []store.DocumentPage `json:"pages"`
		Revision int                  `json:"revision"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	x, err := s.edit(c, in.Revision)
	if err != nil {
		return err
	}
	d, id, err := s.Engine.Arrange(c.r.Context(), x, in.Pages)
	if err != nil {
		return err
	}
	return changed(c, d, id)
}

func (s *Server) apiAside(c *call) error {
	d, err := s.ownDocument(c) // what was taken out of it is not shared
	if err != nil {
		return err
	}
	pages, err := s.Engine.Aside(d)
	if err != nil {
		return err
	}
	if pages == nil {
		pages = []store.Page{}
	}
	return writeJSON(c.w, http.StatusOK, pagesView{pages})
}

type pagesView struct {
	Pages []store.Page `json:"pages"`
}

// maxChanges is how much of its history a document shows.
const maxChanges = 50

// changeView is what is told of a change: not the documents as they were, which
// may have been another's.
type changeView struct {
	ID     store.ChangeID   `json:"id"`
	Time   time.Time        `json:"time"`
	Actor  string           `json:"actor"`
	Action string           `json:"action"`
	After  []store.Revision `json:"after"`
	Undone bool             `json:"undone,omitempty"`
	Was    *wasView         `json:"was,omitempty"` // for who may change the document
}

// wasView is what is said of a document before and after a change.
type wasView struct {
	From statement `json:"from"`
	To   statement `json:"to"`
}

type statement struct {
	scan.Marks
	Pages int `json:"pages"` // how many
}

func stated(d store.Document) statement { return statement{scan.MarksOf(d), len(d.Pages)} }

type changesView struct {
	Changes []changeView `json:"changes"`
	Next    string       `json:"next"`
}

func (s *Server) apiChanges(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	list, err := s.Store.ChangesOf(d.ID, maxChanges)
	if err == nil {
		err = s.recordView(c, "document_view", string(d.ID), d.Owner)
	}
	if err != nil {
		return err
	}
	views, after := make([]changeView, len(list)), d // the newest comes first
	for i, x := range list {
		if !c.sees(d.Owner) { // nor is what else the change touched shared
			x.After = slices.DeleteFunc(x.After, func(r store.Revision) bool { return r.ID != d.ID })
		}
		views[i] = changeView{x.ID, x.Time, x.Actor, x.Action, x.After, x.Undone, nil}
		if at := slices.IndexFunc(x.Before, func(b store.Document) bool { return b.ID == d.ID }); at >= 0 {
			if c.sees(d.Owner) {
				views[i].Was = &wasView{stated(x.Before[at]), stated(after)}
			}
			after = x.Before[at]
		}
	}
	views, next, err := paged(c, views, func(x changeView) string { return string(x.ID) })
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, changesView{views, next})
}

func (s *Server) apiSplit(c *call) error {
	var in struct {
		After    []int `json:"after"`
		Revision int   `json:"revision"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	x, err := s.edit(c, in.Revision)
	if err != nil {
		return err
	}
	docs, id, err := s.Engine.Split(c.r.Context(), x, in.After)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, splitView{docs, id})
}

type splitView struct {
	Documents []store.Document `json:"documents"`
	Change    store.ChangeID   `json:"change"`
}

func (s *Server) apiMerge(c *call) error {
	var in struct {
		Documents []store.Revision `json:"documents"`
		Revision  int              `json:"revision"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	x, err := s.edit(c, in.Revision)
	if err != nil {
		return err
	}
	list := []scan.Edit{x}
	for _, r := range in.Documents {
		if err := s.mayEdit(c, r.ID); err != nil {
			return err
		}
		list = append(list, scan.Edit{Document: r.ID, Revision: r.Revision, By: c.by()})
	}
	d, id, err := s.Engine.Merge(c.r.Context(), list)
	if err != nil {
		return err
	}
	return changed(c, d, id)
}

// mayEdit is an error for a document that the caller may not change.
func (s *Server) mayEdit(c *call, id store.DocumentID) error {
	d, err := s.Store.Document(id)
	if err != nil {
		return err
	}
	return s.mayChange(c, d)
}

// apiDelete puts a document into the trash, or with ?forever=1 deletes it. Into the
// trash it goes without If-Match in whatever state it is, as it can be restored.
func (s *Server) apiDelete(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	if c.r.URL.Query().Get("forever") != "" {
		if err := c.match(etag(d)); err != nil {
			return err
		}
		if err := s.Engine.DeleteDocument(c.r.Context(), scan.Edit{Document: d.ID, Revision: d.Revision, By: c.by()}); err != nil {
			return err
		}
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	x, err := s.edit(c, d.Revision)
	if err != nil {
		return err
	}
	if d.Trashed.IsZero() {
		if _, _, err := s.Engine.Trash(c.r.Context(), x); err != nil {
			return err
		}
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) apiRead(c *call) error {
	var in struct {
		scan.Reading
		Revision int `json:"revision"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	x, err := s.edit(c, in.Revision)
	if err != nil {
		return err
	}
	if err := s.Engine.ReadAgain(x, in.Reading); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) apiRestore(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	d, id, err := s.Engine.Restore(c.r.Context(), d.ID, c.by())
	if err != nil {
		return err
	}
	return changed(c, d, id)
}

// A manyChange is what is to be done to several documents; what is not said stays.
type manyChange struct {
	Documents     []store.Revision `json:"documents,omitempty"` // 1 to maxChosen
	Query         *string          `json:"query,omitempty"`     // instead: all that it finds and that may be changed
	Count         int              `json:"count,omitempty"`     // with Query: how many these must be
	AddTags       []string         `json:"add_tags,omitempty"`
	RemoveTags    []string         `json:"remove_tags,omitempty"`
	Type          *string          `json:"type,omitempty"`
	Correspondent *string          `json:"correspondent,omitempty"`
	Trash         bool             `json:"trash,omitempty"` // into the trash, and nothing else
}

var errNoAction = problemf(422, "no-action", "Not possible", "Choose what to do with the documents.")

// changeMany does it, to all or to none.
func (s *Server) changeMany(ctx context.Context, edits []scan.Edit, x manyChange) ([]store.Document, store.ChangeID, error) {
	marks := len(x.AddTags)+len(x.RemoveTags) > 0 || x.Type != nil || x.Correspondent != nil
	if x.Trash == marks {
		return nil, "", errNoAction
	}
	if x.Trash {
		return s.Engine.TrashAll(ctx, edits)
	}
	return s.Engine.MarkAll(ctx, edits, func(m *scan.Marks) {
		m.Tags = slices.DeleteFunc(slices.Concat(m.Tags, x.AddTags), func(t string) bool {
			return slices.ContainsFunc(x.RemoveTags, func(gone string) bool { return strings.EqualFold(t, strings.TrimSpace(gone)) })
		})
		if x.Type != nil {
			m.Type = *x.Type
		}
		if x.Correspondent != nil {
			m.Correspondent = *x.Correspondent
		}
	})
}

func (s *Server) apiChangeMany(c *call) error {
	var in manyChange
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if in.Query != nil {
		if err := s.nameAll(c, &in); err != nil {
			return err
		}
	}
	if len(in.Documents) == 0 || len(in.Documents) > maxChosen {
		return problemf(422, "nothing-chosen", "Nothing is chosen", "Name 1 to %d documents.", maxChosen)
	}
	var edits []scan.Edit
	for _, r := range in.Documents {
		if err := s.mayEdit(c, r.ID); err != nil {
			return err
		}
		edits = append(edits, scan.Edit{Document: r.ID, Revision: r.Revision, By: c.by()})
	}
	docs, id, err := s.changeMany(c.r.Context(), edits, in)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, splitView{docs, id})
}

// undo takes a change back, if the caller may see all that it touched.
func (s *Server) undo(c *call, id store.ChangeID) ([]store.Document, error) {
	x, err := s.Store.Change(id)
	for _, r := range x.After {
		if err == nil {
			err = s.mayEdit(c, r.ID)
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, problemf(404, "gone", "No longer possible", "This can no longer be taken back: the change, or a document that it touched, is no longer kept.")
	}
	if err != nil {
		return nil, err
	}
	docs, err := s.Engine.Undo(c.r.Context(), id, c.by())
	if errors.Is(err, store.ErrConflict) {
		return nil, problemf(412, "changed", "No longer possible", "This can no longer be taken back: something has been done since to what it touched. The history of the document says what.")
	}
	return docs, err
}

func (s *Server) apiUndo(c *call) error {
	docs, err := s.undo(c, store.ChangeID(c.ps.ByName("id")))
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, documentsView{docs, ""})
}

type documentsView struct {
	Documents []store.Document `json:"documents"`
	Next      string           `json:"next"`
}

func (s *Server) apiTrash(c *call) error {
	n, err := limit(c.r)
	if err != nil {
		return err
	}
	docs, err := s.Store.Documents(store.DocumentQuery{Owner: c.trashOwner(), Limit: n, Before: store.DocumentID(c.r.URL.Query().Get("cursor")), Trash: true})
	if err != nil {
		return err
	}
	if err := s.recordLists(c, docs); err != nil {
		return err
	}
	next := ""
	if len(docs) == n {
		next = string(docs[n-1].ID)
	}
	if docs == nil {
		docs = []store.Document{}
	}
	return writeJSON(c.w, http.StatusOK, documentsView{docs, next})
}

func (s *Server) apiExport(c *call) error {
	v := c.r.URL.Query()
	ids := v["document"]
	if q := strings.TrimSpace(v.Get("q")); q != "" && len(ids) == 0 {
		x, err := s.allFor(c, q, "zip")
		if err != nil {
			return err
		}
		ids = x.ids()
	}
	docs, err := s.chosen(c, ids, true)
	if err != nil {
		return err
	}
	if v.Get("together") != "" {
		return s.sendTogether(c, docs)
	}
	return s.sendZip(c, docs)
}

// suggestionsView is what forms suggest.
type suggestionsView struct {
	Types          []string `json:"types"`
	Correspondents []string `json:"correspondents"`
	Tags           []string `json:"tags"`
}

func (s *Server) apiSuggestions(c *call) error {
	said, err := s.said(c)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, suggestionsView{append([]string{}, said.Types...), append([]string{}, said.Senders...), append([]string{}, said.Tags...)})
}

func (s *Server) apiSearches(c *call) error {
	p, err := s.preferences(c.user.ID)
	if err != nil {
		return err
	}
	return c.tagged(p.kept())
}

// kept are the searches as programs see them.
func (p *preferences) kept() searchesView {
	if p.Searches == nil {
		return searchesView{[]savedSearch{}}
	}
	return searchesView{p.Searches}
}

func (s *Server) apiPutSearches(c *call) error {
	var in struct {
		Searches []savedSearch `json:"searches"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if len(in.Searches) > maxSearches {
		return problemf(422, "too-many-searches", "Not possible", "There may be %d saved searches.", maxSearches)
	}
	for _, x := range in.Searches {
		if err := x.check(); err != nil {
			return err
		}
	}
	err := s.changePreferences(c, func(p *preferences) error {
		if err := c.apiFrom(p.kept()); err != nil {
			return err
		}
		p.Searches = in.Searches
		return nil
	})
	if err != nil {
		return err
	}
	return s.apiSearches(c)
}
