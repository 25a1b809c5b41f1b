package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"docscan/device"
	"docscan/scan/intake"
	"docscan/scan/ocr"
	"docscan/scan/sense"
	"docscan/scan/text"
	"docscan/store"
	"docscan/store/audit"
)

// An Upload is a file that somebody hands in instead of paper.
type Upload struct {
	Name    string    // as the sender calls it; for people only
	Body    io.Reader // bounded by the caller
	Profile store.ProfileID
	Type    string         // the kind of document, as the sender says; may be empty
	Handin  store.HandinID // the request that brings it with others; may be empty
	Owner   store.UserID
	Origin  string // web, api or cli
	By      By
}

// uploadFault is the Fault.Kind of a batch whose file could not be read to its end.
const uploadFault = "upload"

// maxUploadName bounds the name of a file, in bytes, as file systems do.
const maxUploadName = 255

// UploadName makes of what a sender calls a file a name without folders and
// without characters that are not seen.
func UploadName(s string) string {
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "")))
	for len(s) > maxUploadName {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	if s == "" || s == "." || s == ".." {
		return "upload"
	}
	return s
}

// TakeUploads lets the engine take uploaded files, before Run.
func (e *Engine) TakeUploads(cfg intake.Config) { e.intake = cfg }

// Upload keeps a file and opens a batch whose pages are those of the file. When
// it returns without an error, the file is safe; what becomes of it, events
// tell. The error wraps one of package intake's, store.ErrNotFound (the
// profile), store.ErrDiskFull, or a *device.Fault of kind DiskFull; nothing is
// kept then.
func (e *Engine) Upload(ctx context.Context, u Upload) (store.Batch, error) {
	profile, err := e.profile(u.Profile)
	if err != nil {
		return store.Batch{}, err
	}
	if err := e.room(); err != nil {
		return store.Batch{}, err
	}
	name := UploadName(u.Name)
	file, err := e.keep("application/octet-stream", func(w io.Writer) error {
		_, err := io.Copy(w, u.Body)
		return err
	})
	if err != nil {
		return store.Batch{}, fmt.Errorf("keep %q: %w", name, err)
	}
	opened, err := e.openUpload(ctx, file)
	if err != nil {
		return store.Batch{}, err // the next sweep takes the file
	}
	file.Type = string(opened.Kind)
	profile.Blank = string(ocr.KeepBlank) // no machine has drawn in a back that nobody meant
	now := time.Now()
	b := store.Batch{
		ID:        store.BatchID(store.NewID()),
		State:     store.BatchScanning,
		Profile:   profile,
		Owner:     u.Owner,
		Origin:    u.Origin,
		Upload:    &store.Upload{Name: name, File: file, Pages: opened.Pages, Type: u.Type, Handin: u.Handin},
		Created:   now,
		Updated:   now,
		Documents: []store.DocumentID{store.DocumentID(store.NewID())},
	}
	if err := e.store.AddBatch(b, u.By.entry("upload", string(b.ID))); err != nil {
		return store.Batch{}, fmt.Errorf("open a batch: %w", err)
	}
	e.log.Info("file uploaded", "batch", b.ID, "kind", opened.Kind, "pages", opened.Pages, "bytes", file.Size, "origin", u.Origin)
	e.hub.publish(Event{Name: EventBatch, Batch: b.ID})
	e.takeApart(b)
	return b, nil
}

// openUpload looks at an uploaded file.
func (e *Engine) openUpload(ctx context.Context, file store.Blob) (*intake.File, error) {
	path, err := e.store.BlobPath(file)
	if err != nil {
		return nil, err
	}
	dir, err := e.store.ScratchDir("upload")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return intake.Open(ctx, e.intake, path, dir)
}

// takeApart lets a goroutine make pages of the uploaded file of b, from the first
// that is not recorded. It does nothing if one is at it, or if the engine stops:
// then the next one goes on.
func (e *Engine) takeApart(b store.Batch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping || e.yielding || e.ctx == nil || e.uploads[b.ID] != nil {
		return
	}
	ctx, stop := context.WithCancel(e.ctx)
	w := &uploading{stop: stop, done: make(chan struct{})}
	e.uploads[b.ID] = w
	e.feeding.Go(func() {
		defer close(w.done)
		err := e.uploadPages(ctx, b)
		ended := ctx.Err() != nil
		stop()
		e.mu.Lock()
		delete(e.uploads, b.ID)
		e.mu.Unlock()
		switch {
		case ended: // the next process goes on, or somebody has canceled it
		case device.KindOf(err) == device.DiskFull || errors.Is(err, store.ErrDiskFull):
			// takeUp tries again when there is room.
			e.log.Warn("an uploaded file waits for room on the disk", "batch", b.ID, "err", err)
		case errors.Is(err, store.ErrNotFound): // deleted meanwhile
		default:
			e.endUpload(b.ID, err)
		}
	})
}

// uploading is a goroutine that takes a file apart.
type uploading struct {
	stop context.CancelFunc
	done chan struct{} // closed when it has ended
}

// cancelUpload ends the upload of a batch with the pages that are there; ok is
// false if none is under way.
func (e *Engine) cancelUpload(id store.BatchID) (ok bool) {
	e.mu.Lock()
	w := e.uploads[id]
	e.mu.Unlock()
	if w == nil {
		return false
	}
	w.stop()
	<-w.done
	e.endUpload(id, nil)
	return true
}

// uploadPages records the pages of b's file, each as soon as it is an image.
func (e *Engine) uploadPages(ctx context.Context, b store.Batch) error {
	pages, err := e.store.Pages(b.ID)
	if err != nil {
		return err
	}
	var file *intake.File
	err = e.inTurn(ctx, func() (err error) {
		file, err = e.openUpload(ctx, b.Upload.File)
		return err
	})
	if err != nil {
		return err
	}
	for n := len(pages) + 1; n <= min(file.Pages, b.Upload.Pages); n++ {
		err := e.inTurn(ctx, func() error {
			if err := e.room(); err != nil {
				return err
			}
			if err := e.uploadPage(ctx, b, file, n); err != nil {
				return fmt.Errorf("page %d: %w", n, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if file.CutOff {
		return intake.ErrCutOff
	}
	return nil
}

// inTurn does one thing with an uploaded file: one at a time, as scans go first and memory
// is bounded, but files take turns, so that one whose pages take minutes each holds up no
// other for longer than a page.
func (e *Engine) inTurn(ctx context.Context, do func() error) error {
	select {
	case e.oneUpload <- struct{}{}:
		defer func() { <-e.oneUpload }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return do()
}

func (e *Engine) uploadPage(ctx context.Context, b store.Batch, file *intake.File, n int) error {
	start := time.Now()
	dir, err := e.store.ScratchDir("upload")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := store.Page{Batch: b.ID, Seq: n, Sheet: n, State: store.PageSafe}
	side, err := file.Page(ctx, n, dir)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, intake.ErrDamaged):
		p.Note = inWords(err)
	case err != nil:
		return err
	case side.Whole:
		p.Raw = b.Upload.File
	default:
		if p.Raw, err = e.keepFile(side.Path, side.Type); err != nil {
			return err
		}
	}
	p.Resolution = side.Resolution
	if side.Text != nil {
		if p.Text, err = e.keepText(side.Text); err != nil {
			return err
		}
	}
	p.Sparse = side.Sparse
	p.Created = time.Now()
	if _, err := e.store.AddPage(p); err != nil {
		return err
	}
	e.countPage(store.PageSafe)
	e.log.Info("page safe", "batch", p.Batch, "page", p.Seq, "bytes", p.Raw.Size, "text", side.Text != nil, "ms", time.Since(start).Milliseconds())
	e.hub.publish(Event{Name: EventPage, Batch: b.ID, Page: p.Seq})
	e.prepare.add(pageKey{p.Batch, p.Seq})
	return nil
}

// endUpload records that no more pages come of an uploaded file; cause is why
// not all of them have come, if so.
func (e *Engine) endUpload(id store.BatchID, cause error) {
	if cause != nil {
		e.log.Warn("taking an uploaded file apart failed", "batch", id, "err", cause)
	}
	b, err := e.store.UpdateBatch(id, func(b *store.Batch) error {
		if b.State != store.BatchScanning {
			return ErrState
		}
		if cause != nil {
			b.Fault = &store.Fault{
				Kind: uploadFault, What: fmt.Sprintf("%q could not be read to its end: %v.", b.Upload.Name, cause),
				Safe: safeWords(b.Pages), Pages: b.Pages, Advice: "The file as it was sent is kept.", Time: time.Now(),
			}
		}
		closeFeeding(b)
		return nil
	}, audit.Entry{
		Time: time.Now(), EventType: audit.DataAccess, Actor: "docscan",
		Action: "upload_end", Target: string(id), Status: auditStatus(cause),
	})
	if err != nil {
		if !errors.Is(err, ErrState) {
			e.log.Error("recording the end of an upload failed", "batch", id, "err", err) // takeUp tries again
		}
		return
	}
	e.closed(b)
}

// Original gives the file that was uploaded for a batch; the error wraps
// store.ErrNotFound if there is none.
func (e *Engine) Original(id store.BatchID) (store.Upload, error) {
	b, err := e.store.Batch(id)
	if err != nil {
		return store.Upload{}, err
	}
	if b.Upload == nil {
		return store.Upload{}, fmt.Errorf("batch %s was not uploaded: %w", id, store.ErrNotFound)
	}
	return *b.Upload, nil
}

// A page whose own words are few is read, too. What came with the file is right to the letter
// and stays; what is only seen, such as a scan below a stamp, is added as it is read.
const (
	// surely is the mean confidence of a line that counts as read: a photograph gives lines, too.
	surely = 70
	// richer is how many times as many words are surely read on a page that lies turned as came
	// with the file, for the page to be turned, and fewMore how many more at least.
	richer, fewMore = 2, 10
)

// together gives the text of a page with words of its own that was read as well: own with what
// stands elsewhere. If most of the page lies turned it is read, with what that lacks of own.
func together(own, read *text.Page) (t *text.Page, turned bool) {
	sure := 0
	for _, l := range read.Lines {
		if confidence(l.Words) >= surely {
			sure += len(l.Words)
		}
	}
	out := *own
	if turned = read.Rotate != 0 && sure > richer*own.Count()+fewMore; turned {
		out = *read
		out.Lines = slices.Concat(read.Lines, lacking(read, own))
	} else if out.Lines = beside(own, read); out.Count() > 2*own.Count() { // most of it was read
		out.Languages = read.Languages
	}
	var words []text.Word
	for _, l := range out.Lines {
		words = append(words, l.Words...)
	}
	out.Confidence = confidence(words)
	return &out, turned
}

// confidence is the mean of words, 0 without any.
func confidence(words []text.Word) (mean float64) {
	for _, w := range words {
		mean += w.Confidence / float64(len(words))
	}
	return mean
}

// lacking gives the lines of own with a word that is nowhere in read.
func lacking(read, own *text.Page) (lines []text.Line) {
	seen, last := make(map[string]bool), 0
	for _, l := range read.Lines {
		last = max(last, l.Paragraph)
		for _, w := range l.Words {
			seen[w.Text] = true
		}
	}
	for _, l := range own.Lines {
		if slices.ContainsFunc(l.Words, func(w text.Word) bool { return !seen[w.Text] }) {
			lines = append(lines, text.Line{Paragraph: last + 1 + l.Paragraph, Words: l.Words})
		}
	}
	return lines
}

// beside gives the lines of read that are not in own, behind those of own.
func beside(own, read *text.Page) []text.Line {
	if read.Rotate != 0 {
		return own.Lines // its places would have to be turned for the reader, too
	}
	var boxes []text.Box
	last := 0
	for _, l := range own.Lines {
		last = max(last, l.Paragraph)
		for i := range l.Words {
			w := &l.Words[i]
			boxes = append(boxes, text.Box{X: w.X - w.Height/2, Y: w.Y - 1.25*w.Height, Width: w.Width + w.Height, Height: 1.5 * w.Height})
		}
	}
	lines := slices.Clone(own.Lines)
	for _, l := range read.Lines {
		letters := false
		kept := slices.DeleteFunc(slices.Clone(l.Words), func(w text.Word) bool {
			x, y := w.X+w.Width/2, w.Y-w.Height/2
			return slices.ContainsFunc(boxes, func(b text.Box) bool {
				return x > b.X && x < b.X+b.Width && y > b.Y && y < b.Y+b.Height
			})
		})
		for _, w := range kept {
			letters = letters || strings.ContainsFunc(w.Text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
		}
		if confidence(kept) >= surely && letters {
			lines = append(lines, text.Line{Paragraph: last + 1 + l.Paragraph, Words: kept})
		}
	}
	return lines
}

// takeText uses the words t that came with a page of an uploaded file. Its barcodes
// are looked for all the same.
func (e *Engine) takeText(ctx context.Context, k pageKey, p store.Page, b store.Batch, t *text.Page) error {
	var err error
	t.Width, t.Height, t.DPI = p.Width, p.Height, p.DPI
	if l := sense.Language(t); len(t.Languages) == 0 && l != "" {
		t.Languages = []string{l}
	}
	t.Codes, err = e.readCodes(ctx, p)
	if ctx.Err() != nil {
		return err
	}
	if err != nil {
		e.log.Warn("looking for barcodes failed", "batch", k.batch, "page", k.seq, "err", err)
	}
	words, err := e.keepText(t)
	if err != nil {
		return err
	}
	layered, err := e.compactPage(ctx, k, p, &ocr.Recognized{Text: *t}, b.Profile)
	if err != nil {
		return err
	}
	count := t.Count()
	e.findable(ctx, b, p, t, words)
	return e.finishPage(k, func(p *store.Page) {
		p.State = store.PageDone
		p.Text, p.Words, p.Confidence, p.Layered = words, count, t.Confidence, layered
		if p.ASN = e.labelOf(t.Codes); ocr.Separates(t.Codes, separators(b.Profile.Separation)) && !p.Restored {
			p.Aside, p.ASN = store.AsideSeparator, 0
		}
	})
}

// readCodes looks for the barcodes of a page whose text is known.
func (e *Engine) readCodes(ctx context.Context, p store.Page) ([]text.Code, error) {
	path, err := e.store.BlobPath(p.Raw)
	if err != nil {
		return nil, err
	}
	dir, err := e.store.ScratchDir("codes")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out, err := e.pool.Recognize(ctx, ocr.RecognizeJob{Path: path, DPI: p.DPI, Blank: ocr.KeepBlank, CodesOnly: true, Dir: dir})
	return out.Text.Codes, err
}
