package web

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"docscan/scan"
	"docscan/scan/intake"
	"docscan/scan/refusal"
	"docscan/store"
)

// maxFiles is how many files one request may bring, as with the service before.
const maxFiles = 50

// uploadsPath takes files of programs, uploadsPage those of a form.
const (
	uploadsPath = "/api/v1/uploads"
	uploadsPage = "/uploads"
)

func uploadRoutes() []route {
	return []route{
		{"POST", uploadsPath, senders, (*Server).apiUploads, "Hand in PDF, TIFF, JPEG or PNG files: multipart/form-data with up to 50 parts `files`, after `profile` if any (or ?profile=); or one file as the body (?name=). Gives {uploads: [{name, batch, problem}]}"},
		{"GET", "/api/v1/batches/:id/original", members, (*Server).batchOriginal, "The file that was uploaded for a batch, as it came"},
		{"GET", "/api/v1/documents/:id/original", members, (*Server).documentOriginal, "The file that a document was made of, as it came, for the person it belongs to"},
	}
}

// An uploaded says what became of one file.
type uploaded struct {
	Name    string       `json:"name"`
	Batch   *store.Batch `json:"batch,omitempty"`
	Problem *Problem     `json:"problem,omitempty"`
}

// apiUploads takes files. A bad one is refused with its reason and the others go
// on; if all are bad, so is the answer.
func (s *Server) apiUploads(c *call) error {
	list, err := s.takeFiles(c, "", nil)
	if err != nil && len(list) == 0 {
		return err
	}
	if err != nil { // the request broke off; what was taken before is safe
		list = append(list, uploaded{Problem: problem(err)})
	}
	status := http.StatusCreated
	if !taken(list) {
		status = list[0].Problem.Status
		for _, u := range list {
			if u.Problem.Status != status {
				status = http.StatusUnprocessableEntity
			}
		}
	}
	if len(list) == 1 && list[0].Problem != nil {
		return list[0].Problem
	}
	if len(list) == 1 {
		c.w.Header().Set("Location", "/api/v1/batches/"+string(list[0].Batch.ID))
	}
	return writeJSON(c.w, status, uploadsView{list})
}

type uploadsView struct {
	Uploads []uploaded `json:"uploads"`
}

func taken(list []uploaded) bool {
	for _, u := range list {
		if u.Batch != nil {
			return true
		}
	}
	return false
}

var errNoFile = problemf(422, "no-file", "No file", "There is no file in the request: send it as multipart/form-data in a part named files, or as the body.")

// takeFiles reads a request with files and hands each to the engine as it comes.
// Beside an error, it gives what was taken before. types, if not nil, reads the
// document types among the parts.
func (s *Server) takeFiles(c *call, handin store.HandinID, types *typedParts) ([]uploaded, error) {
	c.r.Body = &patient{ReadCloser: c.r.Body, control: http.NewResponseController(c.w)}
	profile := store.ProfileID(c.r.URL.Query().Get("profile"))
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		if c.r.ContentLength == 0 {
			return nil, errNoFile
		}
		u, err := s.takeFile(c, scan.Upload{Profile: profile, Handin: handin, Name: c.r.URL.Query().Get("name"), Body: c.r.Body})
		if err != nil {
			return nil, err
		}
		return []uploaded{u}, nil
	}
	parts, err := c.r.MultipartReader()
	if err != nil {
		return nil, problemf(400, "bad-form", "Malformed request", "The form cannot be read: %v", err)
	}
	var list []uploaded
	for {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF) && len(list) == 0:
			return nil, errNoFile
		case errors.Is(err, io.EOF):
			return list, s.lateTypes(list, types)
		case err != nil:
			return list, badForm(err)
		}
		switch part.FormName() {
		case "profile":
			value, err := io.ReadAll(io.LimitReader(part, 64))
			if err != nil {
				return list, badForm(err)
			}
			if len(value) > 0 {
				profile = store.ProfileID(value)
			}
		case "document_types", "document_type":
			if types != nil {
				if err := types.read(part, len(list) > 0); err != nil {
					return list, err
				}
			}
		case "files", "file":
			if part.FileName() == "" {
				continue // a form with no file chosen
			}
			if len(list) == maxFiles {
				return list, problemf(422, "too-many-files", "Too many files", "More than %d files came at once. Those before are taken; send the others again.", maxFiles)
			}
			u, err := s.takeFile(c, scan.Upload{Profile: profile, Handin: handin, Type: types.of(len(list)), Name: part.FileName(), Body: part})
			if err != nil {
				return list, err
			}
			list = append(list, u)
		}
	}
}

func badForm(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) || errors.Is(err, multipart.ErrMessageTooLarge) {
		return err
	}
	return problemf(400, "bad-form", "Malformed request", "The form breaks off: %v", err)
}

// takeFile hands one file to the engine. An error is one of the request; what is
// wrong with the file stands in the result.
func (s *Server) takeFile(c *call, x scan.Upload) (uploaded, error) {
	from := &readFailure{r: x.Body}
	x.Body, x.Owner, x.Origin, x.By = from, c.user.ID, c.origin, c.by()
	b, err := s.Engine.Upload(c.r.Context(), x)
	switch {
	case from.err != nil:
		return uploaded{}, badForm(from.err)
	case err != nil && c.r.Context().Err() != nil:
		return uploaded{}, c.r.Context().Err()
	case errors.Is(err, store.ErrNotFound):
		err = problemf(404, "unknown-profile", "Unknown profile", "There is no such profile.")
	}
	u := uploaded{Name: scan.UploadName(x.Name)}
	if err != nil {
		u.Problem = uploadProblem(err)
		if u.Problem.Status >= http.StatusInternalServerError {
			s.Log.Error("taking a file failed", "err", err)
		}
		return u, nil
	}
	u.Batch = &b
	return u, nil
}

// lateTypes records document types that came behind their files.
func (s *Server) lateTypes(list []uploaded, types *typedParts) error {
	for i, u := range list {
		if u.Batch == nil || u.Batch.Upload.Type == types.of(i) {
			continue
		}
		b, err := s.Store.UpdateBatch(u.Batch.ID, func(b *store.Batch) error { b.Upload.Type = types.of(i); return nil })
		if err != nil {
			return err
		}
		list[i].Batch = &b
		if b.State != store.BatchCompleted {
			continue // filing takes the type over
		}
		_, err = s.Store.UpdateDocument(b.Documents[0], func(d *store.Document) error { d.Type = types.of(i); return nil })
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// uploadProblem says what is wrong with a file.
func uploadProblem(err error) *Problem {
	for _, k := range []struct {
		is     error
		status int
		kind   string
		text   string
	}{
		{intake.ErrEmpty, 422, "empty-file", msg("The file is empty")},
		{intake.ErrKind, 415, "unknown-kind", msg("This kind of file is not known; PDF, TIFF, JPEG and PNG are")},
		{intake.ErrEncrypted, 422, "encrypted", msg("The PDF is protected by a password; save it without one and send it again")},
		{intake.ErrDamaged, 422, "damaged", msg("The file is damaged and cannot be opened")},
		{intake.ErrPages, 422, "too-many-pages", msg("The file has too many pages")},
		{intake.ErrSize, 422, "image-size", msg("The image has no size, or one that no image has")},
		{intake.ErrTools, 503, "not-installed", msg("A program that reads such files is not installed")},
	} {
		if !errors.Is(err, k.is) {
			continue
		}
		_, more, _ := strings.Cut(err.Error(), k.is.Error()) // what a tool says of it
		p := problemf(k.status, k.kind, "The file cannot be taken", "%s%s.", k.text, more)
		var why *refusal.Error
		if errors.As(err, &why) {
			p.Detail, p.format, p.args = why.Error(), why.Message, why.Args
		}
		return p
	}
	return problem(err)
}

// readFailure remembers the error of a reader, so that a file that breaks off is
// told from one that cannot be kept.
type readFailure struct {
	r   io.Reader
	err error
}

func (r *readFailure) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// patient moves the time limit of the body as long as bytes come: a file over a
// thin line takes longer than a form may.
type patient struct {
	io.ReadCloser
	control *http.ResponseController
	moved   time.Time
}

func (p *patient) Read(b []byte) (int, error) {
	if now := time.Now(); now.Sub(p.moved) > time.Second {
		p.moved = now
		if err := p.control.SetReadDeadline(now.Add(bodyTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, err
		}
	}
	return p.ReadCloser.Read(b)
}

func (s *Server) batchOriginal(c *call) error {
	b, err := s.batch(c)
	if err != nil {
		return err
	}
	return s.original(c, b.ID, store.DocumentID(b.ID), b.Owner)
}

func (s *Server) documentOriginal(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	if !c.sees(d.Owner) {
		return s.notTheirs(c, errMoreInIt)
	}
	return s.original(c, d.Batch, d.ID, d.Owner)
}

// errMoreInIt refuses the file of a shared document: other documents may have been made of
// it, and pages may have been taken out.
var errMoreInIt = problemf(403, "only-shared", "Not yours", "The file may hold more than what is shared with you. Only the person it belongs to can have it.")

// original serves an uploaded file, always as a download: what strangers made is
// not opened in the name of this site. The audit log has it under target, as owner's.
func (s *Server) original(c *call, id store.BatchID, target store.DocumentID, owner store.UserID) error {
	u, err := s.Engine.Original(id)
	if err != nil {
		return err
	}
	if err := s.recordExport(c, target, owner); err != nil {
		return err
	}
	attach(c.w, namedAs(u.Name, u.File.Type))
	return s.serveBlob(c, u.File)
}
