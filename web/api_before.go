package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"docscan/store"
	"docscan/store/audit"
)

// Scripts and monitors know these paths from the service that docscan takes the place
// of. What that called a batch is what one request has brought (store.Handin), or one
// stack of paper; what it called a result is a document.
func beforeRoutes() []route {
	return []route{
		{"POST", "/api/heartbeat", anyone, (*Server).heartbeat, "Whether docscan runs, and the name of its OCR engine"},
		{"POST", uploadBefore, senders, (*Server).uploadFiles, "Hand in up to 50 files with their document types"},
		{"GET", "/api/batches", members, (*Server).batchesBefore, "What was handed in or scanned, newest first"},
		{"GET", "/api/batches/:id", members, (*Server).batchBefore, "One of these, with its files and how far they are"},
		{"GET", "/api/batches/:id/results", members, (*Server).batchResults, "The text of its documents"},
		{"GET", "/api/batches/:id/export/:format", members, (*Server).exportBatch, "Its documents in one file: pdf or excel"},
		{"GET", "/api/results", members, (*Server).results, "The text of documents, newest first"},
		{"GET", "/api/results/:id/export/:format", members, (*Server).exportResult, "A document as pdf or excel"},
		{"GET", "/api/cache/stats", members, (*Server).cacheStats, "What is kept in memory to be quick"},
		{"POST", "/api/cache/clear", admins, (*Server).clearCache, "Give that memory back"},
		{"GET", "/api/connections", members, (*Server).connections, "Who watches events now; members see their own"},
		{"GET", eventsBefore, members, (*Server).events, "Server-sent events; Last-Event-ID replays"},
		{"GET", "/api/v1/document-types", members, (*Server).apiDocumentTypes, "Kinds of documents that uploads can name"},
	}
}

// Paths that have limits of their own.
const (
	uploadBefore = "/api/upload"
	eventsBefore = "/api/events"
)

type heartbeatView struct {
	Status    string    `json:"status"`
	Service   string    `json:"service"`
	Timestamp time.Time `json:"timestamp"`
	Engine    string    `json:"ocr_engine"`
}

func (s *Server) heartbeat(c *call) error {
	c.w.Header().Set("Cache-Control", "no-store")
	return writeJSON(c.w, http.StatusOK, heartbeatView{"ok", "docscan", time.Now().UTC(), "tesseract"})
}

// documentTypes are those that every box knows.
var documentTypes = []string{"invoice", "receipt", "id_card", "passport", "driver_license", "other"}

func (s *Server) documentTypes() []string {
	return append(slices.Clone(documentTypes), s.cfg.DocumentTypes...)
}

type documentTypesView struct {
	Types []string `json:"document_types"`
}

func (s *Server) apiDocumentTypes(c *call) error {
	return writeJSON(c.w, http.StatusOK, documentTypesView{s.documentTypes()})
}

// checkType gives a document type in its form; "" is none.
func (s *Server) checkType(name string) (string, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name != "" && !slices.Contains(s.documentTypes(), name) {
		return "", problemf(422, "unknown-type", "Unknown document type", "%q is no document type here. There are: %s.", clip(name), strings.Join(s.documentTypes(), ", "))
	}
	return name, nil
}

type fileBefore struct {
	ID       store.BatchID    `json:"id,omitempty"` // empty: it was refused
	Name     string           `json:"filename"`
	Type     string           `json:"document_type"`
	Status   string           `json:"status"` // processing, completed or failed
	Error    string           `json:"error,omitempty"`
	Pages    int              `json:"pages"`
	Result   store.DocumentID `json:"result_id,omitempty"`
	progress float64          // 0 to 1
}

type batchBefore struct {
	ID        string       `json:"id"`
	Owner     store.UserID `json:"user_id"`
	Status    string       `json:"status"` // processing, completed, partial or failed
	Created   time.Time    `json:"created_at"`
	Total     int          `json:"total_files"`
	Processed int          `json:"processed_files"`
	Progress  int          `json:"progress_percentage"`
	Files     []fileBefore `json:"files"`
}

// before shows a hand-in as clients of the service before know it.
func (s *Server) before(h store.Handin) (batchBefore, error) {
	v := batchBefore{ID: string(h.ID), Owner: h.Owner, Created: h.Created, Total: len(h.Files), Files: []fileBefore{}}
	failed, progress := 0, 0.0
	for _, f := range h.Files {
		x, err := s.fileBefore(f)
		if err != nil {
			return v, err
		}
		if x.Status != "processing" {
			v.Processed++
		}
		if x.Status == "failed" {
			failed++
		}
		progress += x.progress
		v.Files = append(v.Files, x)
	}
	switch {
	case v.Processed < v.Total:
		v.Status = "processing"
	case failed == v.Total:
		v.Status = "failed"
	case failed > 0:
		v.Status = "partial"
	default:
		v.Status = "completed"
	}
	v.Progress = int(100 * progress / float64(max(v.Total, 1)))
	return v, nil
}

func (s *Server) fileBefore(f store.HandinFile) (fileBefore, error) {
	x := fileBefore{ID: f.Batch, Name: f.Name, Type: f.Type, Status: "failed", Error: f.Problem, progress: 1}
	if f.Batch == "" {
		return x, nil
	}
	b, err := s.Store.Batch(f.Batch)
	if errors.Is(err, store.ErrNotFound) {
		x.Error = "It was deleted."
		return x, nil
	}
	if err != nil {
		return x, err
	}
	x.Pages = b.Pages
	switch {
	case b.State == store.BatchCompleted:
		x.Status = "completed"
		if len(b.Documents) > 0 {
			x.Result = b.Documents[0]
		}
	case b.State.Final():
	default:
		x.Status = "processing"
		x.progress = 0.99 * float64(b.Done) / float64(max(b.Pages, 1))
		if b.Upload != nil {
			x.progress = 0.99 * float64(b.Done) / float64(max(b.Upload.Pages, 1))
		}
	}
	if b.Fault != nil {
		x.Error = b.Fault.What
	}
	return x, nil
}

// uploadFiles takes files with document types. It answers when all are safe; their
// text comes later.
func (s *Server) uploadFiles(c *call) error {
	types := &typedParts{server: s}
	h := store.Handin{ID: store.HandinID(store.NewID()), Owner: c.user.ID, Created: time.Now()}
	list, err := s.takeFiles(c, h.ID, types)
	if err != nil && len(list) == 0 {
		return err
	}
	if err != nil {
		list = append(list, uploaded{Problem: problem(err)}) // what came before is safe
	}
	if !taken(list) {
		return noneTaken(list)
	}
	for i, u := range list {
		f := store.HandinFile{Name: u.Name, Type: types.of(i)}
		if u.Batch != nil {
			f.Batch, f.Problem = u.Batch.ID, types.refused(i)
		} else {
			f.Problem = u.Problem.Detail
		}
		h.Files = append(h.Files, f)
	}
	if err := s.Store.AddHandin(h, c.entry(audit.DataAccess, "upload_batch", string(h.ID))); err != nil {
		return err
	}
	v, err := s.before(h)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, v)
}

// noneTaken says why none of the files was taken.
func noneTaken(list []uploaded) *Problem {
	if len(list) == 1 {
		return list[0].Problem
	}
	var b strings.Builder
	status := list[0].Problem.Status
	for _, u := range list {
		fmt.Fprintf(&b, "%s: %s ", u.Name, u.Problem.Detail)
		if u.Problem.Status != status {
			status = http.StatusUnprocessableEntity
		}
	}
	return problemf(status, "no-file-taken", "No file was taken", "%s", strings.TrimSpace(b.String()))
}

// typedParts reads the document types of an upload: one for all, one for each file in
// turn, or several in one field with commas between them.
type typedParts struct {
	server *Server
	list   []string
	wrong  map[int]*Problem // those of list that are none, by their place
}

// maxTypes bounds a field with document types, in bytes.
const maxTypes = 4096

// read takes a field. A type that is none is an error unless files have come before it:
// these stay, without a type.
func (t *typedParts) read(part *multipart.Part, begun bool) error {
	value, err := io.ReadAll(io.LimitReader(part, maxTypes))
	if err != nil {
		return badForm(err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(value), "[]"), ",") {
		name, err := t.server.checkType(strings.Trim(name, ` "'`))
		if err != nil && !begun {
			return err
		}
		if len(t.list) == maxFiles {
			return problemf(422, "too-many-types", "Too many document types", "More than %d document types came at once. There is one for each file, or one for all.", maxFiles)
		}
		if err != nil {
			if t.wrong == nil {
				t.wrong = make(map[int]*Problem)
			}
			t.wrong[len(t.list)] = problem(err)
		}
		t.list = append(t.list, name)
	}
	return nil
}

// refused says why the file with this number, from 0, has not the type that was named; ""
// if it has.
func (t *typedParts) refused(n int) string {
	if len(t.list) == 1 {
		n = 0
	}
	if p := t.wrong[n]; p != nil {
		return p.Detail + " The file is kept without one."
	}
	return ""
}

// of is the type of the file with this number, from 0.
func (t *typedParts) of(n int) string {
	switch {
	case t == nil || len(t.list) == 0:
		return ""
	case len(t.list) == 1:
		return t.list[0]
	case n < len(t.list):
		return t.list[n]
	}
	return "other"
}

type batchesBeforeView struct {
	Batches []batchBefore `json:"batches"`
	Total   int           `json:"total"` // in this answer
	Next    string        `json:"next"`
}

func (s *Server) batchesBefore(c *call) error {
	n, err := limit(c.r)
	if err != nil {
		return err
	}
	list, err := s.Store.Handins(store.BatchQuery{Owner: c.owner(), Limit: n, Before: store.BatchID(c.r.URL.Query().Get("cursor"))})
	if err != nil {
		return err
	}
	if err := s.recordHandins(c, list...); err != nil {
		return err
	}
	v := batchesBeforeView{Batches: []batchBefore{}, Total: len(list)}
	for _, h := range list {
		x, err := s.before(h)
		if err != nil {
			return err
		}
		v.Batches = append(v.Batches, x)
	}
	if len(list) == n {
		v.Next = string(list[n-1].First())
	}
	return writeJSON(c.w, http.StatusOK, v)
}

// handin gives what a request is about, if the caller may see it: a hand-in, or a batch
// as one.
func (s *Server) handin(c *call) (store.Handin, error) {
	id := c.ps.ByName("id")
	h, err := s.Store.Handin(store.HandinID(id))
	if errors.Is(err, store.ErrNotFound) {
		b, err := s.Store.Batch(store.BatchID(id))
		if err != nil {
			return h, err
		}
		h = store.HandinOf(&b)
	} else if err != nil {
		return h, err
	}
	if !c.sees(h.Owner) {
		return h, s.notTheirs(c, store.ErrNotFound)
	}
	return h, nil
}

func (s *Server) batchBefore(c *call) error {
	h, err := s.handin(c)
	if err == nil {
		err = s.recordHandins(c, h)
	}
	if err != nil {
		return err
	}
	v, err := s.before(h)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, v)
}

// resultView is a document as clients of the service before know it.
type resultView struct {
	ID         store.DocumentID `json:"id"`
	Batch      store.BatchID    `json:"batch_id"`
	Name       string           `json:"filename"`
	Title      string           `json:"title"`
	Type       string           `json:"document_type"`
	Status     string           `json:"status"`
	Text       string           `json:"extracted_text"` // pages divided by form feeds
	Confidence float64          `json:"confidence"`     // of the words, in the mean, 0 to 100
	Pages      int              `json:"pages"`
	Created    time.Time        `json:"created_at"`
}

func (s *Server) result(c *call, d store.Document) (resultView, error) {
	v := resultView{ID: d.ID, Batch: d.Batch, Title: d.Title, Name: d.Title + ".pdf", Type: d.Type, Status: "completed", Pages: len(d.Pages), Created: d.Created}
	if b, err := s.Store.Batch(d.Batch); err == nil && b.Upload != nil && c.sees(d.Owner) {
		v.Name = b.Upload.Name
	}
	if err := s.recordView(c, "document_view", string(d.ID), d.Owner); err != nil {
		return v, err
	}
	pages, err := s.documentPages(d)
	if err != nil {
		return v, err
	}
	var b strings.Builder
	words, sum := 0, 0.0
	for i, p := range pages {
		if i > 0 {
			b.WriteByte('\f')
		}
		b.WriteString(p.Plain)
		words += p.Words
		sum += p.Confidence * float64(p.Words)
	}
	v.Text = b.String()
	if words > 0 {
		v.Confidence = sum / float64(words)
	}
	return v, nil
}

// documentPages gives the pages of a document with their text.
func (s *Server) documentPages(d store.Document) ([]documentPageData, error) {
	var list []documentPageData
	for i, at := range d.Pages {
		p, err := s.Store.Page(at.Batch, at.Seq)
		if err != nil {
			return nil, err
		}
		t, err := s.Engine.PageText(p)
		if err != nil {
			return nil, err
		}
		page := documentPageData{Page: p, Number: i + 1}
		if t != nil {
			page.Plain = t.Plain()
		}
		list = append(list, page)
	}
	return list, nil
}

type resultsView struct {
	Results []resultView `json:"results"`
	Next    string       `json:"next"`
}

// A resultList answers with results one after the other: the text of many documents may be
// more than the box has memory. It looks like a resultsView.
type resultList struct {
	s     *Server
	c     *call
	begun bool
}

func (l *resultList) add(docs []store.Document) error {
	for _, d := range docs {
		v, err := l.s.result(l.c, d)
		if err == nil {
			err = l.write(v)
		}
		if err != nil {
			return l.broken(err)
		}
	}
	return nil
}

func (l *resultList) write(v resultView) error {
	j, err := json.Marshal(v)
	if err != nil {
		return err
	}
	before := ","
	if !l.begun {
		before = l.begin()
	}
	_, err = l.c.w.Write(append([]byte(before), j...))
	return err
}

func (l *resultList) begin() string {
	l.begun = true
	l.c.w.Header().Set("Content-Type", jsonType)
	return `{"results":[`
}

// broken is err, unless the answer has begun: then it must not look whole.
func (l *resultList) broken(err error) error {
	if l.begun {
		l.s.Log.Warn("sending results broke off", "path", l.c.r.URL.Path, "err", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// end ends the list; next asks for the rest.
func (l *resultList) end(next string) error {
	before := ""
	if !l.begun {
		before = l.begin()
	}
	_, err := fmt.Fprintf(l.c.w, "%s],\"next\":%q}\n", before, next)
	return err
}

// resultsAtOnce is how many documents results asks the store for together.
const resultsAtOnce = 20

func (s *Server) results(c *call) error {
	n, err := limit(c.r)
	if err != nil {
		return err
	}
	list := &resultList{s: s, c: c}
	before := store.DocumentID(c.r.URL.Query().Get("cursor"))
	for most := 0; n > 0; n -= most {
		most = min(n, resultsAtOnce)
		docs, err := s.Store.Documents(store.DocumentQuery{Owner: c.owner(), Limit: most, Before: before})
		if err != nil {
			return list.broken(err)
		}
		if err := list.add(docs); err != nil {
			return err
		}
		if len(docs) < most {
			return list.end("")
		}
		before = docs[most-1].ID
	}
	return list.end(string(before))
}

// documentsOf gives the documents that were made of a hand-in, without those in the
// trash.
func (s *Server) documentsOf(c *call) ([]store.Document, error) {
	h, err := s.handin(c)
	if err != nil {
		return nil, err
	}
	var docs []store.Document
	for _, f := range h.Files {
		if f.Batch == "" {
			continue
		}
		b, err := s.Store.Batch(f.Batch)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, id := range b.Documents {
			d, err := s.Store.Document(id)
			switch {
			case errors.Is(err, store.ErrNotFound): // not filed yet
			case err != nil:
				return nil, err
			case d.Trashed.IsZero() && c.sees(d.Owner):
				docs = append(docs, d)
			}
		}
	}
	return docs, nil
}

func (s *Server) batchResults(c *call) error {
	docs, err := s.documentsOf(c)
	if err != nil {
		return err
	}
	list := &resultList{s: s, c: c}
	if err := list.add(docs); err != nil {
		return err
	}
	return list.end("")
}

func (s *Server) exportResult(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	return s.export(c, []store.Document{d})
}

func (s *Server) exportBatch(c *call) error {
	docs, err := s.documentsOf(c)
	if err != nil {
		return err
	}
	if len(docs) == 0 {
		return problemf(409, "no-result", "No result yet", "There is no document yet, or no longer. Ask for the batch to see how far it is.")
	}
	return s.export(c, docs)
}

// export sends documents in one file.
func (s *Server) export(c *call, docs []store.Document) error {
	format := c.ps.ByName("format")
	if format != "pdf" && format != "excel" {
		return errNotFound
	}
	for _, d := range docs {
		if err := s.recordExport(c, d.ID, d.Owner); err != nil {
			return err
		}
	}
	switch {
	case format == "excel":
		return s.exportExcel(c, docs)
	case len(docs) == 1:
		attach(c.w, docs[0].Title+".pdf")
		return s.serveBlob(c, docs[0].PDF)
	}
	return s.sendFile(c, docs[0].Title+".pdf", pdfType, func(w io.Writer) error { return s.Engine.WriteTogether(w, docs) })
}

type cacheView struct {
	Caches []cacheStat `json:"caches"`
}

type cacheStat struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// caches measures what is kept only to be quick. Thumbnails and pictures of pages are
// no cache here: they are made once, with the page, and kept with it.
func (s *Server) caches() cacheView {
	return cacheView{[]cacheStat{{"search_index", s.Index.CacheBytes()}, {"free_memory", heapIdle()}}}
}

func (s *Server) cacheStats(c *call) error { return writeJSON(c.w, http.StatusOK, s.caches()) }

type clearView struct {
	Message string `json:"message"`
	cacheView
}

func (s *Server) clearCache(c *call) error {
	if err := s.Store.AddAudit(c.entry(audit.AdminAction, "cache_clear", "")); err != nil {
		return err
	}
	s.Index.Shrink()
	releaseHeap()
	return writeJSON(c.w, http.StatusOK, clearView{"Cache cleared", s.caches()})
}
