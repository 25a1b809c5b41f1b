package web

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"docscan/scan/text"
	"docscan/store"
)

// serveBlob sends a file. A browser may keep it, but asks each time whether it
// may still show it; the answer is short, as the content is the file's name.
func (s *Server) serveBlob(c *call, b store.Blob) error {
	f, err := s.Store.OpenBlob(b)
	if err != nil {
		return err
	}
	defer f.Close()
	s.leave(c) // a slow reader holds nothing up
	h := c.w.Header()
	h.Set("Content-Type", b.Type)
	h.Set("ETag", `"`+b.Sum+`"`)
	h.Set("Cache-Control", "private, no-cache")
	if b.Type == pdfType {
		h.Set("Content-Security-Policy", filePolicy)
	}
	http.ServeContent(c.w, c.r, "", time.Time{}, f)
	return nil
}

// seq reads the number of a page.
func seq(c *call) (int, error) {
	n, err := strconv.Atoi(c.ps.ByName("seq"))
	if err != nil || n < 1 {
		return 0, errNotFound
	}
	return n, nil
}

// batchPage gives the page of b that a request is about.
func (s *Server) batchPage(c *call, b store.Batch) (store.Page, error) {
	n, err := seq(c)
	if err != nil {
		return store.Page{}, err
	}
	return s.Store.Page(b.ID, n)
}

// viewedBatchPage gives the page of a batch to who gets to see what stands on it.
func (s *Server) viewedBatchPage(c *call) (store.Page, error) {
	b, err := s.batch(c)
	if err != nil {
		return store.Page{}, err
	}
	p, err := s.batchPage(c, b)
	if err != nil {
		return store.Page{}, err
	}
	return p, s.recordView(c, "batch_view", string(b.ID), b.Owner)
}

// viewedPage is pageOf for who gets to see what stands on it.
func (s *Server) viewedPage(c *call) (store.Page, int, error) {
	d, err := s.document(c)
	if err != nil {
		return store.Page{}, 0, err
	}
	p, turn, err := s.pageOf(c, d)
	if err != nil {
		return store.Page{}, 0, err
	}
	return p, turn, s.recordView(c, "document_view", string(d.ID), d.Owner)
}

// pageOf gives a page of a document by its place in it, and how a person turned it.
func (s *Server) pageOf(c *call, d store.Document) (store.Page, int, error) {
	n, err := seq(c)
	if err != nil || n > len(d.Pages) {
		return store.Page{}, 0, errNotFound
	}
	at := d.Pages[n-1]
	p, err := s.Store.Page(at.Batch, at.Seq)
	return p, at.Turn, err
}

// picture sends a picture of a page, if there is one yet, turned clockwise by turn
// degrees.
func (s *Server) picture(c *call, b store.Blob, turn int) error {
	if b.Zero() {
		return problemf(404, "no-picture", "No picture", "There is no picture of this page, or not yet.")
	}
	if turn == 0 {
		return s.serveBlob(c, b)
	}
	f, err := s.Store.OpenBlob(b)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if data, err = turned(data, turn); err != nil {
		return err
	}
	s.leave(c)
	h := c.w.Header()
	h.Set("Content-Type", b.Type)
	h.Set("ETag", fmt.Sprintf(`"%s-%d"`, b.Sum, turn))
	h.Set("Cache-Control", "private, no-cache")
	http.ServeContent(c.w, c.r, "", time.Time{}, bytes.NewReader(data))
	return nil
}

func (s *Server) batchThumb(c *call) error {
	b, err := s.batch(c)
	if err != nil {
		return err
	}
	p, err := s.batchPage(c, b)
	if err != nil {
		return err
	}
	if err := s.recordList(c, b.Owner); err != nil {
		return err
	}
	return s.picture(c, p.Thumb, 0)
}

func (s *Server) batchView(c *call) error {
	p, err := s.viewedBatchPage(c)
	if err != nil {
		return err
	}
	return s.picture(c, p.View, 0)
}

func (s *Server) batchRaw(c *call) error {
	p, err := s.viewedBatchPage(c)
	if err != nil {
		return err
	}
	if p.Raw.Zero() {
		return problemf(410, "raw-gone", "No longer kept", "The image as it came is no longer kept; the PDF has it.")
	}
	// It is what a machine sent: a browser must not open it.
	attach(c.w, namedAs("page "+strconv.Itoa(p.Seq), p.Raw.Type))
	return s.serveBlob(c, p.Raw)
}

// endings are those that names of files of a type may have; the first is given where there is
// another.
var endings = map[string][]string{
	pdfType: {".pdf"}, "image/jpeg": {".jpg", ".jpeg", ".jpe", ".jfif"}, "image/png": {".png"}, "image/tiff": {".tif", ".tiff"},
}

// namedAs gives a file's name an ending of its type. A computer opens a file by its name, and
// what is both a picture and a program must not be the latter.
func namedAs(name, kind string) string {
	fit := endings[kind]
	if len(fit) == 0 || slices.ContainsFunc(fit, func(end string) bool { return strings.HasSuffix(strings.ToLower(name), end) }) {
		return name
	}
	return name + fit[0]
}

func (s *Server) pageText(c *call, p store.Page) error {
	t, err := s.Engine.PageText(p)
	if err != nil {
		return err
	}
	if t == nil {
		t = &text.Page{Version: 1}
	}
	return writeJSON(c.w, http.StatusOK, t)
}

func (s *Server) batchText(c *call) error {
	p, err := s.viewedBatchPage(c)
	if err != nil {
		return err
	}
	return s.pageText(c, p)
}

func (s *Server) documentPageText(c *call) error {
	p, _, err := s.viewedPage(c)
	if err != nil {
		return err
	}
	return s.pageText(c, p)
}

func (s *Server) documentThumb(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	p, turn, err := s.pageOf(c, d)
	if err != nil {
		return err
	}
	if err := s.recordList(c, d.Owner); err != nil {
		return err
	}
	return s.picture(c, p.Thumb, turn)
}

func (s *Server) documentView(c *call) error {
	p, turn, err := s.viewedPage(c)
	if err != nil {
		return err
	}
	return s.picture(c, p.View, turn)
}

func (s *Server) documentPDF(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	if err := s.recordExport(c, d.ID, d.Owner); err != nil {
		return err
	}
	if c.r.URL.Query().Get("download") != "" {
		attach(c.w, d.Title+".pdf")
	}
	return s.serveBlob(c, d.PDF)
}

func (s *Server) documentText(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	if err := s.recordExport(c, d.ID, d.Owner); err != nil {
		return err
	}
	var b bytes.Buffer // an error in the middle must not look like the end
	for i, at := range d.Pages {
		p, err := s.Store.Page(at.Batch, at.Seq)
		if err != nil {
			return err
		}
		t, err := s.Engine.PageText(p)
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte('\f')
		}
		if t != nil {
			b.WriteString(t.Plain() + "\n")
		}
	}
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.w.Header().Set("Cache-Control", "private, no-cache")
	_, err = b.WriteTo(c.w)
	return err
}

// reading is one caller's way through one document.
type reading struct {
	user, address string
	what          string
}

// viewTime is how long requests for parts of a document count as one reading of
// it: browsers fetch a PDF in many ranges.
const viewTime = 10 * time.Minute

// recordExport puts into the audit log that the caller gets the content of a
// document.
func (s *Server) recordExport(c *call, id store.DocumentID, owner store.UserID) error {
	if c.r.Method == http.MethodHead {
		return nil // no content
	}
	v := s.views.allow(reading{c.user.Name, c.address, string(id)})
	if !v.ok && c.r.Header.Get("Range") != "" {
		return nil
	}
	return s.Store.AddAudit(s.access(c, "document_export", string(id), owner))
}

// attach makes the answer a file of this name. Old browsers get it in ASCII,
// others whole (RFC 6266).
func attach(w http.ResponseWriter, name string) {
	name = fileName(name)
	ascii := strings.Map(func(r rune) rune {
		if r > '~' {
			return '_'
		}
		return r
	}, name)
	v := mime.FormatMediaType("attachment", map[string]string{"filename": ascii})
	if v == "" {
		v = "attachment"
	}
	w.Header().Set("Content-Disposition", v+"; filename*=UTF-8''"+strings.ReplaceAll(url.QueryEscape(name), "+", "%20"))
}

// fileName makes a name that every system takes of one that people gave, and that
// ends as it seems to.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r) && r != '\u200d':
			return -1
		case unicode.IsControl(r) || strings.ContainsRune(`/\:*?"<>|`, r):
			return '-'
		}
		return r
	}, strings.ToValidUTF8(name, "-"))
	return strings.TrimLeft(name, ". ") // hidden where a dot comes first
}
