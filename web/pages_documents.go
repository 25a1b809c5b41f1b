package web

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"docscan/scan"
	"docscan/store"
	"docscan/store/audit"
	"docscan/store/search"
)

// documentPages are the pages about documents.
func documentPages() []route {
	return []route{
		{"GET", "/documents", members, (*Server).documentsPage, ""},
		{"POST", "/documents", members, (*Server).bulkForm, ""},
		{"POST", "/searches", members, (*Server).saveSearchForm, ""},
		{"POST", "/searches/delete", members, (*Server).deleteSearchForm, ""},
		{"GET", "/documents/:id", members, (*Server).documentPage, ""},
		{"GET", "/documents/:id/now", members, (*Server).documentNow, ""},
		{"POST", "/documents/:id/marks", members, (*Server).marksForm, ""},
		{"POST", "/documents/:id/pages", members, (*Server).pagesForm, ""},
		{"POST", "/documents/:id/read", members, (*Server).readForm, ""},
		{"POST", "/documents/:id/trash", members, (*Server).trashForm, ""},
		{"POST", "/changes/:id/undo", members, (*Server).undoForm, ""},
		{"GET", "/trash", members, (*Server).trashPage, ""},
		{"POST", "/trash", members, (*Server).emptyForm, ""},
		{"POST", "/trash/:id/restore", members, (*Server).restoreForm, ""},
		{"GET", "/trash/:id/delete", members, (*Server).deletePage, ""},
		{"POST", "/trash/:id/delete", members, (*Server).deleteForm, ""},
	}
}

// results is a list of documents with what was asked for.
type results struct {
	Query     string
	Documents []found
	Total     int
	More      bool // than Total
	Next      string
	Instead   string   // what to ask for, where little was found
	Refused   []string // filters whose value makes no sense
	Cursor    string   // of this page; "": the first

	Owners   map[store.UserID]string // names of other people who have some of them
	Bulk     bulk
	Searches []savedSearch
	Saved    bool // the query is one of them
	Said     search.Said
}

// A bulk is what was to be done to several documents and could not, to be corrected.
type bulk struct {
	Do, Value string
	Chosen    []string // IDs
	All       bool     // instead: those of the whole list
	Error     string
}

func (s *Server) documentsPage(c *call) error {
	v := c.r.URL.Query()
	return s.documents(c, http.StatusOK, v.Get("q"), v.Get("cursor"), bulk{})
}

func (s *Server) documents(c *call, status int, q, cursor string, refused bulk) error {
	data, err := s.find(c, q, listLimit, cursor)
	if err != nil {
		return err
	}
	data.Cursor, data.Bulk = cursor, refused
	if data.Owners, err = s.owners(c, data.Documents); err != nil {
		return err
	}
	p, err := s.preferences(c.user.ID)
	if err != nil {
		return err
	}
	data.Searches = p.Searches
	data.Saved = slices.ContainsFunc(p.Searches, func(x savedSearch) bool { return x.Query == data.Query })
	c.w.Header().Add("Vary", "HX-Request")
	if c.r.Header.Get("HX-Request") != "" { // while somebody types, the rest of the page stays
		return s.show(c, "documents:results", data)
	}
	if data.Said, err = s.said(c); err != nil {
		return err
	}
	return s.render(c.w, c.r, c.caller, status, "documents", data)
}

// said gives what forms suggest. A page goes without while the index is damaged.
func (s *Server) said(c *call) (search.Said, error) {
	said, err := s.Index.Said(c.r.Context(), c.asks(""))
	if errors.Is(err, search.ErrDamaged) {
		s.Log.Warn("nothing is suggested", "err", err)
		err = nil
	}
	return said, err
}

// owners names the people, but for the reader, to whom documents of a list belong.
func (s *Server) owners(c *call, docs []found) (map[store.UserID]string, error) {
	names := make(map[store.UserID]string)
	for _, d := range docs {
		if _, known := names[d.Owner]; known || d.Owner == "" || d.Owner == c.user.ID {
			continue
		}
		u, err := s.Store.User(d.Owner)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		names[d.Owner] = u.Name
	}
	return names, nil
}

// asks makes a question to the index that finds what c may read.
func (c *caller) asks(text string) search.Query {
	q := search.Query{Text: text}
	if c.admin() {
		return q
	}
	owner := string(c.user.ID)
	q.Owner = &owner
	for _, g := range c.user.Groups {
		q.Groups = append(q.Groups, string(g))
	}
	return q
}

// Bounds of what one may choose and keep.
const (
	maxChosen   = 500 // documents at once
	maxSearches = 30
	maxQuery    = 500 // characters
)

func (x *savedSearch) check() error {
	if x.Name == "" || x.Query == "" || !scan.Readable(x.Name) || utf8.RuneCountInString(x.Name) > maxName || utf8.RuneCountInString(x.Query) > maxQuery {
		return problemf(422, "bad-search", "Not possible", "A search needs words and a name of 1 to %d characters, all of which can be seen.", maxName)
	}
	return nil
}

func (s *Server) saveSearchForm(c *call) error {
	x := savedSearch{Name: strings.TrimSpace(c.r.PostFormValue("name")), Query: strings.TrimSpace(c.r.PostFormValue("q"))}
	if err := x.check(); err != nil {
		return err
	}
	err := s.changePreferences(c, func(p *preferences) error {
		p.Searches = slices.DeleteFunc(p.Searches, func(o savedSearch) bool { return o.Name == x.Name })
		if len(p.Searches) >= maxSearches {
			return problemf(422, "too-many-searches", "Not possible", "There are %d saved searches. Delete one first.", maxSearches)
		}
		p.Searches = append(p.Searches, x)
		return nil
	})
	if err != nil {
		return err
	}
	tell(c, "saved", "")
	return redirect(c, "/documents?q="+url.QueryEscape(x.Query))
}

func (s *Server) deleteSearchForm(c *call) error {
	name := c.r.PostFormValue("name")
	err := s.changePreferences(c, func(p *preferences) error {
		p.Searches = slices.DeleteFunc(p.Searches, func(o savedSearch) bool { return o.Name == name })
		return nil
	})
	if err != nil {
		return err
	}
	return redirect(c, "/documents")
}

// bulkForm does one thing to all documents that were chosen in a list, or with all, asks
// whether to do it to all that the list has. If that is not possible, the list comes back
// with what was chosen.
func (s *Server) bulkForm(c *call) error {
	if err := c.r.ParseForm(); err != nil {
		return problemf(400, "bad-form", "Malformed request", "The form could not be read.")
	}
	err := s.doToMany(c)
	if err == nil {
		return nil
	}
	p := s.explain(c, err)
	if p.Status >= http.StatusInternalServerError {
		return err
	}
	form := c.r.PostForm
	return s.documents(c, p.Status, form.Get("q"), form.Get("cursor"), bulk{form.Get("do"), form.Get("value"), form["id"], form.Get("all")+form.Get("asked") != "", c.say(p)})
}

func (s *Server) doToMany(c *call) error {
	do := c.r.PostFormValue("do")
	export := do == "zip" || do == "pdf"
	if export {
		if err := s.limitCaller(c, limitExport); err != nil {
			return err
		}
	}
	value, q := c.r.PostFormValue("value"), c.r.PostFormValue("q")
	tags := splitTags(value)
	if (do == "tag" || do == "untag") && len(tags) == 0 {
		return problemf(422, "no-tags", "Not possible", "Write the tags into the field beside it.")
	}
	ids := c.r.PostForm["id"]
	if c.r.PostFormValue("all") != "" {
		x, err := s.allFor(c, q, do)
		if err != nil {
			return err
		}
		ids = x.ids()
		if !export {
			return s.askMany(c, manyData{Do: do, Value: value, Query: q, IDs: ids, Of: len(ids), Others: x.others, Shared: x.shared, More: x.more})
		}
	}
	var rest []string
	if c.r.PostFormValue("asked") != "" && inSteps(do) && len(ids) > maxChosen && len(ids) <= maxAll {
		ids, rest = ids[:maxChosen], ids[maxChosen:]
	}
	docs, err := s.chosen(c, ids, export)
	if err != nil {
		return err
	}
	edits := make([]scan.Edit, len(docs))
	for i, d := range docs {
		edits[i] = scan.Edit{Document: d.ID, Revision: d.Revision, By: c.by()}
	}
	back := "/documents"
	if q != "" {
		back += "?q=" + url.QueryEscape(q)
	}
	ctx := c.r.Context()
	var id store.ChangeID
	switch do {
	case "tag":
		_, id, err = s.changeMany(ctx, edits, manyChange{AddTags: tags})
	case "untag":
		_, id, err = s.changeMany(ctx, edits, manyChange{RemoveTags: tags})
	case "type":
		_, id, err = s.changeMany(ctx, edits, manyChange{Type: &value})
	case "from":
		_, id, err = s.changeMany(ctx, edits, manyChange{Correspondent: &value})
	case "merge":
		var d store.Document
		if d, id, err = s.Engine.Merge(ctx, edits); err == nil {
			back = "/documents/" + string(d.ID)
		}
	case "trash":
		_, id, err = s.changeMany(ctx, edits, manyChange{Trash: true})
	case "zip":
		return s.sendZip(c, docs)
	case "pdf":
		return s.sendTogether(c, docs)
	default:
		return errNoAction
	}
	if err != nil {
		return err
	}
	undo := "/changes/" + string(id) + "/undo"
	if len(rest) > 0 {
		return s.askMany(c, c.goesOn(do, rest, len(ids)+len(rest), undo))
	}
	tell(c, "changed", undo)
	return redirect(c, back)
}

// chosen gives the documents that were chosen, in the order in which they were
// scanned. Whom they are shared with may only read them.
func (s *Server) chosen(c *call, ids []string, read bool) ([]store.Document, error) {
	if len(ids) == 0 || len(ids) > maxChosen {
		return nil, problemf(422, "nothing-chosen", "Nothing is chosen", "Choose 1 to %d documents: tick the box beside each.", maxChosen)
	}
	var docs []store.Document
	for _, id := range ids {
		d, err := s.Store.Document(store.DocumentID(id))
		if err == nil && read {
			err = s.mayRead(c, d)
		} else if err == nil {
			err = s.mayChange(c, d)
		}
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrBadID):
			return nil, problemf(404, "gone", "No longer there", "One of the documents that were chosen is no longer there. Nothing was done to the others.")
		case errors.Is(err, errOnlyShared):
			return nil, problemf(403, "only-shared", "Not yours", "“%s” is shared with you to read. Only the person it belongs to can change it. Nothing was done to the others.", d.Title)
		case err != nil:
			return nil, err
		}
		docs = append(docs, d)
	}
	slices.SortFunc(docs, func(a, b store.Document) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return docs, nil
}

// splitTags takes apart what a person typed as tags.
func splitTags(s string) (list []string) {
	for tag := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ';' || r == '\n' }) {
		if tag = strings.TrimSpace(tag); tag != "" {
			list = append(list, tag)
		}
	}
	return list
}

// maxFileName bounds a name in an archive, in bytes: file systems take 255, and ".pdf" and
// a number follow.
const maxFileName = 240

// shortName cuts a name to what every file system takes.
func shortName(name string) string {
	for len(name) > maxFileName {
		_, last := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-last]
	}
	return name
}

// sendZip sends documents as an archive of their PDFs, under names that differ by more
// than their case, which some systems do not tell apart. It is not packed again: the
// images in a PDF are.
func (s *Server) sendZip(c *call, docs []store.Document) error {
	if err := s.recordExports(c, docs); err != nil {
		return err
	}
	attach(c.w, "docscan.zip")
	h := c.w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Cache-Control", "no-store")
	s.leave(c)
	z := zip.NewWriter(c.w)
	used := make(map[string]bool)
	for _, d := range docs {
		if err := s.addToZip(z, d, used); err != nil {
			s.Log.Warn("sending an archive broke off", "document", d.ID, "err", err)
			panic(http.ErrAbortHandler) // it must not look whole
		}
	}
	if err := z.Close(); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (s *Server) addToZip(z *zip.Writer, d store.Document, used map[string]bool) error {
	f, err := s.Store.OpenBlob(d.PDF)
	if err != nil {
		return err
	}
	defer f.Close()
	short := shortName(fileName(d.Title))
	name := short
	for n := 2; used[strings.ToLower(name)]; n++ {
		name = fmt.Sprintf("%s (%d)", short, n)
	}
	used[strings.ToLower(name)] = true
	w, err := z.CreateHeader(&zip.FileHeader{Name: name + ".pdf", Method: zip.Store, Modified: d.Created.In(s.Store.Zone())})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// sendTogether sends one PDF of all pages.
func (s *Server) sendTogether(c *call, docs []store.Document) error {
	return s.sendFile(c, docs[0].Title+".pdf", pdfType, func(w io.Writer) error {
		if err := s.Engine.WriteTogether(w, docs); err != nil {
			return err
		}
		return s.recordExports(c, docs)
	})
}

// recordExports puts into the audit log that the caller gets the content of documents: of
// all or of none, as one sync of the disk for each would hold up a large selection.
func (s *Server) recordExports(c *call, docs []store.Document) error {
	if c.r.Method == http.MethodHead {
		return nil // no content
	}
	var entries []audit.Entry
	for _, d := range docs {
		entries = append(entries, s.access(c, "document_export", string(d.ID), d.Owner))
	}
	return s.Store.AddAudit(entries...)
}

// shownPages is how many pages of a document one page of ours shows.
const shownPages = 40

type documentData struct {
	Document store.Document
	Query    string // whose words are marked
	Pages    []documentPageData
	From     int       // number of the first page shown
	Others   []int     // first pages of the other parts of a long document
	Hits     []pageHit // all pages with a hit
	Aside    []store.Page
	Changes  []changeData
	Said     search.Said
	Arrivals []arrival // where it has arrived beside this box, or why not yet
	Found    foundData
	Sharings []sharing // what the owner can share it with
	SharedAs string    // names the groups it is shared with now

	ShareError string          // why Ticked was refused
	Ticked     []store.GroupID // groups to share with, to be corrected

	ReadError string     // why it is not read again
	ReadIn    []string   // languages in which it was to be
	ReadLeave []string   // steps of the clean-up that were to be left out; nil: those of its profile
	ReadSteps []readStep // as the form shows them

	Marks  scan.Marks  // as the form shows them
	Theirs *scan.Marks // as they are in the store, where somebody else was quicker
	Error  string
	Edit   bool   // the form is open
	Mine   bool   // the reader may change it
	Owner  string // name of the person it belongs to, if that is not the reader

	Original *store.Upload // the file that it was made of, for whom it belongs to; nil: it was scanned
}

// A pageHit is a page on which words were found.
type pageHit struct{ Page, Count int }

type documentPageData struct {
	store.Page
	At     store.DocumentPage
	Number int
	Plain  string
	Width  int // of what is shown, in units of Boxes
	Height int
	Boxes  []string // corners of the words that were found
}

// A changeData is a line of a document's history.
type changeData struct {
	store.Change
	What string
	Was  []difference // what it changed; for who may change it, too
	Can  bool         // it can be taken back now
}

// changesInWords are what can be done to a document.
var changesInWords = map[string]string{
	"edit": msg("what is said of it was changed"), "pages": msg("its pages were changed"), "split": msg("it was split"),
	"merge": msg("documents were merged"), "trash": msg("it was put into the trash"), "restore": msg("it was taken out of the trash"),
	"undo": msg("a change was taken back"), "read": msg("it was read again"),
}

// lasting are changes that cannot be taken back.
var lasting = []string{"undo", "read"}

func (s *Server) documentPage(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	return s.showDocument(c, http.StatusOK, documentData{Document: d, Marks: scan.MarksOf(d), Edit: c.r.URL.Query().Has("edit")})
}

// showDocument fills data, of which Document and what the form shows are there,
// and shows it: also the answer to a form that was refused is a view.
func (s *Server) showDocument(c *call, status int, data documentData) error {
	d := data.Document
	if err := s.recordView(c, "document_view", string(d.ID), d.Owner); err != nil {
		return err
	}
	data.Mine = c.sees(d.Owner)
	if d.Owner != "" && d.Owner != c.user.ID {
		u, err := s.Store.User(d.Owner)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		data.Owner = u.Name
	}
	v := c.r.URL.Query()
	data.Query = v.Get("q")
	data.From = 1
	if n, err := strconv.Atoi(v.Get("from")); err == nil && n > 0 && n <= len(d.Pages) {
		data.From = (n-1)/shownPages*shownPages + 1
	}
	for n := 1; n <= len(d.Pages); n += shownPages {
		if len(d.Pages) > shownPages {
			data.Others = append(data.Others, n)
		}
	}
	for i, at := range d.Pages {
		shown := i+1 >= data.From && i+1 < data.From+shownPages
		if !shown && data.Query == "" {
			continue
		}
		page, err := s.documentPageData(data.Query, at, i+1)
		if err != nil {
			return err
		}
		if len(page.Boxes) > 0 {
			data.Hits = append(data.Hits, pageHit{i + 1, len(page.Boxes)})
		}
		if shown {
			data.Pages = append(data.Pages, page)
		}
	}
	var err error
	if data.Found, err = s.found(c, d); err != nil {
		return err
	}
	if data.Mine {
		switch u, err := s.Engine.Original(d.Batch); {
		case err == nil:
			data.Original = &u
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	if data.ReadSteps, err = s.readSteps(d, data.ReadLeave); err != nil {
		return err
	}
	if data.Mine && d.Trashed.IsZero() {
		if data.Aside, err = s.Engine.Aside(d); err != nil {
			return err
		}
		if data.Sharings, err = s.sharings(c, d); err != nil {
			return err
		}
		for i := range data.Sharings {
			if g := &data.Sharings[i]; data.ShareError != "" {
				g.With = slices.Contains(data.Ticked, g.ID)
			}
		}
		data.SharedAs = tagOf(d.Groups)
	}
	if data.Arrivals, err = s.arrivals(d.ID); err != nil {
		return err
	}
	list, err := s.Store.ChangesOf(d.ID, maxChanges)
	if err != nil {
		return err
	}
	after := d // the newest change comes first
	for _, x := range list {
		now := slices.Contains(x.After, store.Revision{ID: d.ID, Revision: d.Revision})
		line := changeData{Change: x, What: c.tongue.T(changesInWords[x.Action]), Can: data.Mine && now && !x.Undone && !slices.Contains(lasting, x.Action)}
		if at := slices.IndexFunc(x.Before, func(b store.Document) bool { return b.ID == d.ID }); at >= 0 {
			if data.Mine {
				line.Was = differences(c.tongue, x.Before[at], after)
			}
			after = x.Before[at]
		}
		data.Changes = append(data.Changes, line)
	}
	if data.Said, err = s.said(c); err != nil {
		return err
	}
	return s.render(c.w, c.r, c.caller, status, "document", data)
}

// A difference is what is said of a document before and after a change; "–" is nothing.
type difference struct {
	What, From, To string
}

func differences(l *tongue, old, now store.Document) (list []difference) {
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	short := func(s string) string {
		if r := []rune(strings.Join(strings.Fields(s), " ")); len(r) > maxShown {
			return string(r[:maxShown]) + "…"
		} else if len(r) > 0 {
			return string(r)
		}
		return "–"
	}
	for _, x := range [][3]string{
		{msg("Title"), old.Title, now.Title}, {msg("Date that stands on it"), datedIn(l, old.Date), datedIn(l, now.Date)},
		{msg("Correspondent"), old.Correspondent, now.Correspondent}, {msg("Type"), old.Type, now.Type},
		{msg("Tags"), strings.Join(old.Tags, ", "), strings.Join(now.Tags, ", ")}, {msg("Archive serial number"), number(old.ASN), number(now.ASN)},
		{msg("Note"), old.Remark, now.Remark}, {msg("Pages"), number(len(old.Pages)), number(len(now.Pages))},
	} {
		if x[1] != x[2] {
			list = append(list, difference{l.T(x[0]), short(x[1]), short(x[2])})
		}
	}
	return list
}

// maxShown is how much of a text the history of a document shows, in characters.
const maxShown = 80

func (s *Server) documentPageData(query string, at store.DocumentPage, number int) (documentPageData, error) {
	page := documentPageData{At: at, Number: number}
	var err error
	if page.Page, err = s.Store.Page(at.Batch, at.Seq); err != nil {
		return page, err
	}
	t, err := s.Engine.PageText(page.Page)
	if err != nil || t == nil {
		return page, err
	}
	page.Plain = t.Plain()
	if query == "" {
		return page, nil
	}
	show := showing(t, at.Turn)
	page.Width, page.Height = show.size()
	var words []string
	for _, l := range t.Lines {
		for _, w := range l.Words {
			words = append(words, w.Text)
		}
	}
	marked := search.Matches(query, words)
	for _, l := range t.Lines {
		for _, w := range l.Words {
			if marked[0] {
				page.Boxes = append(page.Boxes, show.corners(w))
			}
			marked = marked[1:]
		}
	}
	return page, nil
}

// documentNow says whether a document has changed since somebody opened it: it
// is a part of the page, asked for when there is news.
func (s *Server) documentNow(c *call) error {
	d, err := s.document(c)
	if errors.Is(err, store.ErrNotFound) {
		return s.show(c, "document:moved", documentData{})
	}
	if err != nil {
		return err
	}
	if strconv.Itoa(d.Revision) == c.r.URL.Query().Get("revision") {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return s.show(c, "document:moved", documentData{Document: d, Mine: c.sees(d.Owner)})
}

// seen gives the edit of a form, which names the state it was made from.
func (s *Server) seen(c *call) (scan.Edit, error) {
	n, err := strconv.Atoi(c.r.PostFormValue("revision"))
	if err != nil {
		return scan.Edit{}, problemf(400, "bad-form", "Malformed request", "The form could not be read.")
	}
	x, err := s.edit(c, n)
	return x, gone(err)
}

// gone is err for a form about a document, which somebody may have deleted since it was
// opened.
func gone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return problemf(404, "gone", "No longer there", "This document is no longer there: somebody has deleted it for ever. Nothing could be saved.")
	}
	return err
}

// marksForm saves what is said of a document. If somebody else was quicker,
// nothing of theirs is overwritten: the form comes back with both.
func (s *Server) marksForm(c *call) error {
	x, err := s.seen(c)
	if err != nil {
		return err
	}
	form := c.r.PostFormValue
	if form("restore") != "" { // somebody else has thrown it away meanwhile
		if x, err = s.fetchBack(c, x); err != nil {
			return gone(err)
		}
	}
	m := scan.Marks{
		Title: form("title"), Date: form("date"), Correspondent: form("correspondent"), Type: form("type"),
		Tags: splitTags(form("tags")), Remark: strings.ReplaceAll(form("remark"), "\r\n", "\n"),
	}
	if take := form("take"); take != "" {
		d, err := s.document(c)
		if err != nil {
			return gone(err)
		}
		c.takeFound(take, d, &m)
	}
	if v := strings.TrimSpace(form("asn")); v != "" {
		if m.ASN, err = strconv.Atoi(v); err != nil {
			m.ASN = -1 // out of bounds, which is told
		}
	}
	d, id, err := s.Engine.Mark(c.r.Context(), x, m)
	if err == nil {
		tell(c, "changed", "/changes/"+string(id)+"/undo")
		return redirect(c, "/documents/"+string(d.ID))
	}
	p := problem(err)
	if p.Status != http.StatusPreconditionFailed && p.Status != http.StatusUnprocessableEntity {
		return gone(err)
	}
	if d, err = s.document(c); err != nil {
		return gone(err)
	}
	data := documentData{Document: d, Marks: m, Error: c.say(p), Edit: true}
	if p.Status == http.StatusPreconditionFailed {
		theirs := scan.MarksOf(d)
		data.Theirs = &theirs
	}
	return s.showDocument(c, p.Status, data)
}

// fetchBack takes the document of an edit out of the trash, if the edit was made from
// its present state, and gives the edit of the state it then has.
func (s *Server) fetchBack(c *call, x scan.Edit) (scan.Edit, error) {
	d, err := s.document(c)
	if err != nil || d.Trashed.IsZero() || d.Revision != x.Revision {
		return x, err
	}
	d, _, err = s.Engine.Restore(c.r.Context(), x.Document, x.By)
	x.Revision = d.Revision
	return x, err
}

// pagesForm does one thing to the pages of a document: what a button of the page
// says, such as "turn 3 90", "up 3", "down 3", "out 3", "split 3", or "back" with
// the batch, number and new place of a side that was set aside.
func (s *Server) pagesForm(c *call) error {
	x, err := s.seen(c)
	if err != nil {
		return err
	}
	d, err := s.document(c)
	if err != nil {
		return err
	}
	bad := problemf(400, "bad-form", "Malformed request", "The form could not be read.")
	do := strings.Fields(c.r.PostFormValue("do"))
	if len(do) < 2 {
		return bad
	}
	pages := slices.Clone(d.Pages)
	var at int // index of the page meant
	if do[0] != "back" {
		if at, err = strconv.Atoi(do[1]); err != nil || at < 1 || at > len(pages) {
			return store.ErrConflict // it has fewer pages by now
		}
		at--
	}
	show := at + 1
	switch do[0] {
	case "turn":
		if len(do) != 3 || !slices.Contains([]string{"90", "180", "270"}, do[2]) {
			return bad
		}
		by, err := strconv.Atoi(do[2])
		if err != nil {
			return bad
		}
		pages[at].Turn = (pages[at].Turn + by) % 360
	case "up":
		if at > 0 {
			pages[at-1], pages[at] = pages[at], pages[at-1]
			show--
		}
	case "down":
		if at < len(pages)-1 {
			pages[at+1], pages[at] = pages[at], pages[at+1]
			show++
		}
	case "move":
		to, err := strconv.Atoi(c.r.PostFormValue("to"))
		if err != nil {
			return bad
		}
		to = min(max(to, 1), len(pages))
		p := pages[at]
		pages = slices.Insert(slices.Delete(pages, at, at+1), to-1, p)
		show = to
	case "out":
		pages = slices.Delete(pages, at, at+1)
		show = min(show, len(pages))
	case "back":
		seq, err := strconv.Atoi(do[len(do)-1])
		if err != nil {
			return bad
		}
		p := store.DocumentPage{Batch: store.BatchID(do[1]), Seq: seq}
		place := placeOf(pages, p)
		pages = slices.Insert(pages, place, p)
		show = place + 1
	case "split":
		_, id, err := s.Engine.Split(c.r.Context(), x, []int{at + 1})
		if err != nil {
			return err
		}
		tell(c, "split", "/changes/"+string(id)+"/undo")
		return redirect(c, "/documents/"+string(d.ID))
	default:
		return bad
	}
	_, id, err := s.Engine.Arrange(c.r.Context(), x, pages)
	if err != nil {
		return err
	}
	tell(c, "changed", "/changes/"+string(id)+"/undo")
	to := "/documents/" + string(d.ID)
	if show > shownPages {
		to += "?from=" + strconv.Itoa(show)
	}
	return redirect(c, to+"#page-"+strconv.Itoa(show))
}

// placeOf says before which page a side that is put back belongs: the first of
// its batch that was fed after it, or behind all.
func placeOf(pages []store.DocumentPage, p store.DocumentPage) int {
	i := slices.IndexFunc(pages, func(o store.DocumentPage) bool { return o.Batch == p.Batch && o.Seq > p.Seq })
	if i < 0 {
		return len(pages)
	}
	return i
}

func (s *Server) trashForm(c *call) error {
	x, err := s.seen(c)
	if err != nil {
		return err
	}
	_, id, err := s.Engine.Trash(c.r.Context(), x)
	if err != nil {
		return err
	}
	tell(c, "trashed", "/changes/"+string(id)+"/undo")
	return redirect(c, "/documents")
}

func (s *Server) undoForm(c *call) error {
	docs, err := s.undo(c, store.ChangeID(c.ps.ByName("id")))
	if err != nil {
		return err
	}
	left := make([]string, len(docs))
	for i, d := range docs {
		left[i] = string(d.ID)
	}
	left = append(left, c.r.PostForm["id"]...)
	if do := c.r.PostFormValue("do"); c.r.PostFormValue("asked") != "" && slices.Contains(manyActions, do) && inSteps(do) && len(left) <= maxAll { // the last of several steps
		data := c.goesOn(do, left, len(left), "")
		data.Undone = true
		return s.askMany(c, data)
	}
	tell(c, "undone", "")
	if len(docs) == 1 && docs[0].Trashed.IsZero() {
		return redirect(c, "/documents/"+string(docs[0].ID))
	}
	return redirect(c, "/documents")
}

type trashData struct {
	Documents []store.Document
	Next      string
	Days      int // how long they stay; 0: for ever
	Emptied   *emptied
}

func (s *Server) trashPage(c *call) error { return s.showTrash(c, http.StatusOK, nil) }

func (s *Server) showTrash(c *call, status int, x *emptied) error {
	docs, err := s.Store.Documents(store.DocumentQuery{
		Owner: c.trashOwner(), Limit: defaultLimit, Before: store.DocumentID(c.r.URL.Query().Get("cursor")), Trash: true,
	})
	if err != nil {
		return err
	}
	if err := s.recordLists(c, docs); err != nil {
		return err
	}
	data := trashData{Documents: docs, Days: s.Engine.TrashDays(), Emptied: x}
	if len(docs) == defaultLimit {
		data.Next = string(docs[len(docs)-1].ID)
	}
	return s.render(c.w, c.r, c.caller, status, "trash", data)
}

// emptied is what became of what a page has shown of the trash, where that is not what was
// asked for.
type emptied struct {
	Restore bool
	Done    int     // taken out, or deleted
	Changed int     // since they were shown: they stay as they are
	Refused []stays // the first of them
	Others  int     // refused, beside these
}

// A stays is a document to which something could not be done.
type stays struct{ Title, Why string }

// maxRefused is how many of them are named.
const maxRefused = 10

// emptyForm deletes for ever, or with restore takes out, what its page has shown of the
// trash, but for what has changed since or is refused: that is told.
func (s *Server) emptyForm(c *call) error {
	shown := c.r.PostForm["document"]
	if len(shown) == 0 || len(shown) > maxChosen {
		return problemf(400, "bad-form", "Malformed request", "The form could not be read.")
	}
	x := emptied{Restore: c.r.PostForm.Get("restore") != ""}
	status := http.StatusPreconditionFailed
	for _, v := range shown {
		id, revision, _ := strings.Cut(v, " ")
		d, err := s.emptyOne(c, store.DocumentID(id), revision, x.Restore)
		switch {
		case err == nil:
			x.Done++
			continue
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrBadID), errors.Is(err, store.ErrConflict):
			x.Changed++
			continue
		}
		p := s.explain(c, err)
		switch {
		case p.Status >= http.StatusInternalServerError: // it is in the way of the others, too
			if x.Done > 0 && p.Status == http.StatusInternalServerError {
				s.Log.Error("emptying the trash broke off", "document", id, "err", err)
			}
			return x.brokenOff(err, p, len(shown))
		case len(x.Refused) < maxRefused:
			if err := s.recordList(c, d.Owner); err != nil {
				return err
			}
			x.Refused = append(x.Refused, stays{d.Title, c.say(p)})
		default:
			x.Others++
		}
		status = p.Status
	}
	if x.Done == len(shown) {
		said := "deleted"
		if x.Restore {
			said = "back"
		}
		tell(c, said, "")
		return redirect(c, "/trash")
	}
	if x.Done > 0 {
		status = http.StatusOK
	}
	return s.showTrash(c, status, &x)
}

// brokenOff is err, which is told as p, with how many of all that were shown are done.
func (x *emptied) brokenOff(err error, p *Problem, shown int) error {
	if x.Done == 0 {
		return err
	}
	told := problemf(p.Status, "", p.Title, "%d of %d documents are deleted for ever. The others are still in the trash. %s", x.Done, shown, p.Detail)
	if x.Restore {
		told = problemf(p.Status, "", p.Title, "%d of %d documents are out of the trash. The others are still in it. %s", x.Done, shown, p.Detail)
	}
	told.Type = p.Type
	return told
}

// emptyOne deletes a document of the trash for ever, or with restore takes it out, if it is in
// the state that a page has shown.
func (s *Server) emptyOne(c *call, id store.DocumentID, revision string, restore bool) (store.Document, error) {
	d, err := s.Store.Document(id)
	if err == nil {
		err = s.mayChange(c, d)
	}
	switch {
	case err != nil:
	case d.Trashed.IsZero() || strconv.Itoa(d.Revision) != revision:
		err = store.ErrConflict
	case restore:
		_, _, err = s.Engine.Restore(c.r.Context(), d.ID, c.by())
	default:
		err = s.Engine.DeleteDocument(c.r.Context(), scan.Edit{Document: d.ID, Revision: d.Revision, By: c.by()})
	}
	return d, err
}

func (s *Server) restoreForm(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	if _, _, err := s.Engine.Restore(c.r.Context(), d.ID, c.by()); err != nil {
		return err
	}
	tell(c, "restored", "")
	return redirect(c, "/documents/"+string(d.ID))
}

func (s *Server) deletePage(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	return s.show(c, "delete", d)
}

func (s *Server) deleteForm(c *call) error {
	x, err := s.seen(c)
	if err != nil {
		return err
	}
	if err := s.Engine.DeleteDocument(c.r.Context(), x); err != nil { // such as when somebody has taken it out of the trash
		return err
	}
	tell(c, "deleted", "")
	return redirect(c, "/trash")
}
