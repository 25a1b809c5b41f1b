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

	"docscan/scan/imaging"
	"docscan/scan/ocr"
	"docscan/scan/refusal"
	"docscan/scan/text"
	"docscan/store"
	"docscan/store/search"
)

// prepareLoop makes the pictures of one page after the other.
func (e *Engine) prepareLoop(ctx context.Context) {
	e.loop(ctx, e.prepare, "preparing the page failed", func(ctx context.Context, k pageKey) error {
		if err := e.preparePage(ctx, k); err != nil {
			return err
		}
		e.recognise.add(k)
		return nil
	})
}

// recogniseLoop reads the text of one page after the other.
func (e *Engine) recogniseLoop(ctx context.Context) {
	e.loop(ctx, e.recognise, "reading the page failed", e.recognisePage)
}

// loop works off q until it is closed. What fails is left in the store as it
// is; takeUp finds it again.
func (e *Engine) loop(ctx context.Context, q *queue, failed string, work func(context.Context, pageKey) error) {
	for {
		k, ok := q.next()
		if !ok {
			return
		}
		err := work(ctx, k)
		q.done(k)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, store.ErrNotFound): // deleted meanwhile
			e.log.Info("page is gone", "batch", k.batch, "page", k.seq)
		default:
			e.log.Error(failed, "batch", k.batch, "page", k.seq, "err", err)
		}
	}
}

// preparePage makes the picture for the PDF and those for a screen.
func (e *Engine) preparePage(ctx context.Context, k pageKey) error {
	p, err := e.store.Page(k.batch, k.seq)
	if err != nil {
		return err
	}
	if p.State != store.PageSafe || !p.Image.Blob.Zero() {
		return nil
	}
	if p.Raw.Zero() { // of an uploaded file; the note says why
		return e.keepImage(ctx, k, 0, errors.New(p.Note))
	}
	path, err := e.store.BlobPath(p.Raw)
	if err != nil {
		return err
	}
	dir, err := e.store.ScratchDir("prepare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var out ocr.Prepared
	tries, err := e.try(ctx, k, func() error {
		out, err = e.pool.Prepare(ctx, ocr.PrepareJob{Path: path, Resolution: p.Resolution, Dir: dir})
		return err
	})
	if err != nil {
		if ctx.Err() != nil || e.room() != nil {
			return err
		}
		return e.keepImage(ctx, k, tries, fmt.Errorf("the image could not be opened: %w", err))
	}
	image := store.Image{
		Blob:      p.Raw,
		Filter:    out.Image.Filter,
		Width:     out.Image.Width,
		Height:    out.Image.Height,
		Colors:    out.Image.Colors,
		Bits:      out.Image.Bits,
		Predictor: out.Image.Predictor,
		BlackIs1:  out.Image.BlackIs1,
	}
	if out.Image.Path != path {
		if image.Blob, err = e.keepFile(out.Image.Path, "application/octet-stream"); err != nil {
			return err
		}
	}
	view, err := e.keepFile(out.View, "image/jpeg")
	if err != nil {
		return err
	}
	thumb, err := e.keepFile(out.Thumb, "image/jpeg")
	if err != nil {
		return err
	}
	_, err = e.store.UpdatePage(k.batch, k.seq, func(p *store.Page) error {
		p.Width, p.Height, p.DPI = out.Width, out.Height, out.DPI
		p.Image, p.View, p.Thumb = image, view, thumb
		p.Tries += tries
		if out.Damaged {
			p.Note = incomplete
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.hub.publish(Event{Name: EventPage, Batch: k.batch, Page: k.seq})
	return nil
}

// recognisePage reads the text of a prepared page.
func (e *Engine) recognisePage(ctx context.Context, k pageKey) error {
	p, err := e.store.Page(k.batch, k.seq)
	if err != nil {
		return err
	}
	if p.State != store.PageSafe {
		e.assembleWhenDone(k.batch)
		return nil
	}
	b, err := e.store.Batch(k.batch)
	if err != nil {
		return err
	}
	own, err := e.PageText(p) // that came with an uploaded file
	if err != nil {
		return err
	}
	if own != nil && !p.Sparse {
		return e.takeText(ctx, k, p, b, own)
	}
	start := time.Now()
	tries := 0
	r, err := e.readPage(ctx, p, b, func(job ocr.RecognizeJob) (out ocr.Recognized, err error) {
		tries, err = e.try(ctx, k, func() error {
			out, err = e.pool.Recognize(ctx, job)
			return err
		})
		return out, err
	})
	switch {
	case errors.Is(err, errUnread) && ctx.Err() == nil && e.room() == nil && own == nil:
		return e.keepImage(ctx, k, tries, err)
	case errors.Is(err, errUnread) && ctx.Err() == nil && e.room() == nil:
		e.log.Warn("page keeps the words that came with it", "batch", k.batch, "page", k.seq, "err", err)
		return e.takeText(ctx, k, p, b, own)
	case err != nil:
		return err
	case own != nil:
		t, turned := together(own, &r.text)
		if !turned {
			return e.takeText(ctx, k, p, b, t)
		}
		r.text = *t
		if r.words, err = e.keepText(t); err != nil {
			return err
		}
	}
	err = e.finishPage(k, func(p *store.Page) {
		r.record(p)
		p.Tries += tries
		switch {
		case p.Restored:
		case ocr.Separates(r.text.Codes, separators(b.Profile.Separation)):
			p.Aside, p.ASN = store.AsideSeparator, 0
		case r.blank && b.Profile.Blank != string(ocr.KeepBlank):
			p.Aside = store.AsideBlank
		}
	})
	if err != nil {
		return err
	}
	e.learnBack(b.Device, p, r.text.Rotate, r.count())
	e.countPage(store.PageDone)
	e.countRead(time.Since(start))
	e.log.Info("page read", "batch", k.batch, "page", k.seq, "words", r.count(),
		"confidence", int(r.text.Confidence), "ms", time.Since(start).Milliseconds())
	return nil
}

// errUnread is in the chain of an error that says why a page has no text.
var errUnread = errors.New("its text could not be read")

// A reading is what was made of a page by reading it, kept and not yet recorded.
type reading struct {
	text        text.Page
	blank       bool
	asn         int
	words       store.Blob // text, kept
	view, thumb store.Blob
	layered     store.Layered
}

func (r *reading) count() int { return r.text.Count() }

func (r *reading) record(p *store.Page) {
	if p.State == store.PageKept { // it says why there was no text
		p.Note = ""
	}
	p.State = store.PageDone
	p.Text, p.Words, p.Confidence, p.Rotate = r.words, r.count(), r.text.Confidence, r.text.Rotate
	p.View, p.Thumb, p.Layered = r.view, r.thumb, r.layered
	p.Blank, p.ASN = r.blank, r.asn
}

// readPage reads p as the profile of b says. recognise asks the workers. The error
// wraps errUnread where they cannot read it.
func (e *Engine) readPage(ctx context.Context, p store.Page, b store.Batch, recognise func(ocr.RecognizeJob) (ocr.Recognized, error)) (*reading, error) {
	if p.Raw.Zero() {
		return nil, fmt.Errorf("%w: %w", errUnread, errRawGone)
	}
	path, err := e.store.BlobPath(p.Raw)
	if err != nil {
		return nil, err
	}
	dir, err := e.store.ScratchDir("recognise")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out, err := recognise(recognizeJob(p, b.Profile, path, dir))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnread, err)
	}
	r := &reading{text: out.Text, blank: out.Blank, asn: e.labelOf(out.Text.Codes), view: p.View, thumb: p.Thumb}
	if r.words, err = e.keepText(&out.Text); err != nil {
		return nil, err
	}
	if out.View != "" {
		if r.view, err = e.keepFile(out.View, "image/jpeg"); err != nil {
			return nil, err
		}
	}
	if out.Thumb != "" {
		if r.thumb, err = e.keepFile(out.Thumb, "image/jpeg"); err != nil {
			return nil, err
		}
	}
	if !out.Blank {
		e.findable(ctx, b, p, &out.Text, r.words)
	}
	r.layered, err = e.compactPage(ctx, pageKey{p.Batch, p.Seq}, p, &out, b.Profile)
	return r, err
}

// findable puts what stands on a page into the index before its document is
// made: a stack of a hundred sheets takes a while. Filing replaces it.
func (e *Engine) findable(ctx context.Context, b store.Batch, p store.Page, t *text.Page, words store.Blob) {
	if len(t.Lines) == 0 || len(b.Documents) == 0 {
		return
	}
	// A page that was put back or is read again finds its document filed.
	d, ok, err := e.Making(b.Documents[0])
	if err == nil && ok {
		err = e.index.AddPage(ctx, indexed(d, nil, nil), p.Seq, search.Page{Text: t.Findable(), Name: words.Sum})
	}
	if err != nil && ctx.Err() == nil {
		e.log.Error("making the page findable failed", "batch", b.ID, "page", p.Seq, "err", err)
	}
}

// Making gives what there is of a document that is still being made, by the
// identifier that it will have. ok is false if there is none.
func (e *Engine) Making(id store.DocumentID) (d store.Document, ok bool, err error) {
	open, err := e.store.OpenBatches()
	if err != nil {
		return store.Document{}, false, err
	}
	for _, b := range open {
		if slices.Contains(b.Documents, id) {
			d := store.Document{ID: id, Title: e.title(b), Owner: b.Owner, Batch: b.ID, Created: b.Created}
			for seq := range b.Pages {
				d.Pages = append(d.Pages, store.DocumentPage{Batch: b.ID, Seq: seq + 1})
			}
			return d, true, nil
		}
	}
	return store.Document{}, false, nil
}

// try calls work as often as the configuration allows. An image that cannot be
// decoded, or a language that is not installed, will not get better by that. A
// page that took too long may have been kept waiting by other programs.
func (e *Engine) try(ctx context.Context, k pageKey, work func() error) (tries int, err error) {
	for tries = 1; ; tries++ {
		err = work()
		e.countDeath(err)
		if err == nil || ctx.Err() != nil || errors.Is(err, ocr.ErrImage) || errors.Is(err, ocr.ErrLanguage) || tries >= e.cfg.PageTries || e.room() != nil {
			return tries, err
		}
		e.log.Warn("worker failed, trying the page again", "batch", k.batch, "page", k.seq, "err", err)
	}
}

// Why a page is not as it should be, as its note says it; package web has them in other languages.
const (
	incomplete = "the image is incomplete"
	unreadable = "the image is damaged, or of a kind that cannot be read"
	tooLarge   = "the image is too large to be read: "
	overworked = "the program that reads pages failed at it"
)

// inWords says for people why a page has no text, or cannot be shown. What workers and their
// libraries have said besides stands in the log.
func inWords(cause error) string {
	said := cause.Error()
	holds := func(err error) bool { return strings.Contains(said, err.Error()) } // of another process
	var why *refusal.Error
	switch _, size, large := strings.Cut(said, imaging.ErrSize.Error()+": "); {
	case errors.As(cause, &why):
		return strings.TrimSuffix(why.Error(), ".")
	case errors.Is(cause, errRawGone):
		return errRawGone.Error()
	case errors.Is(cause, ocr.ErrTimeout):
		return ocr.ErrTimeout.Error()
	case errors.Is(cause, ocr.ErrMemory), errors.Is(cause, ocr.ErrImage) && holds(imaging.ErrMemory):
		return ocr.ErrMemory.Error()
	case errors.Is(cause, ocr.ErrCrashed):
		return overworked
	case errors.Is(cause, ocr.ErrImage) && large && strings.HasPrefix(size, "it claims "): // or it has none
		return tooLarge + size
	case errors.Is(cause, ocr.ErrImage) && holds(imaging.ErrFormat):
		return imaging.ErrFormat.Error()
	case errors.Is(cause, ocr.ErrImage):
		return unreadable
	}
	return said
}

// keepImage ends the processing of a page that the workers could not handle:
// it stays in the document as an image, with a note why it has no text.
func (e *Engine) keepImage(_ context.Context, k pageKey, tries int, cause error) error {
	e.countPage(store.PageKept)
	e.log.Warn("page is kept as an image", "batch", k.batch, "page", k.seq, "err", cause)
	return e.finishPage(k, func(p *store.Page) {
		p.State = store.PageKept
		p.Note = inWords(cause)
		p.Tries += tries
	})
}

// finishPage records that nothing more is to be done for a page, and makes the
// document if it was the last one.
func (e *Engine) finishPage(k pageKey, change func(*store.Page)) error {
	_, err := e.store.UpdatePage(k.batch, k.seq, func(p *store.Page) error {
		change(p)
		return nil
	})
	if err != nil {
		return err
	}
	e.hub.publish(Event{Name: EventPage, Batch: k.batch, Page: k.seq})
	e.assembleWhenDone(k.batch)
	return nil
}

// keepFile moves what a worker made into a blob.
func (e *Engine) keepFile(path, mediaType string) (store.Blob, error) {
	f, err := os.Open(path)
	if err != nil {
		return store.Blob{}, fmt.Errorf("keep a worker's file: %w", err)
	}
	defer f.Close()
	return e.keep(mediaType, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

func (e *Engine) keepText(p *text.Page) (store.Blob, error) {
	return e.keep(text.MediaType, func(w io.Writer) error { return text.Write(w, p) })
}

// keep makes a blob of what write writes.
func (e *Engine) keep(mediaType string, write func(io.Writer) error) (store.Blob, error) {
	w, err := e.store.NewBlob()
	if err != nil {
		return store.Blob{}, err
	}
	defer w.Abort() // does nothing after Commit
	if err := write(w); err != nil {
		return store.Blob{}, fmt.Errorf("keep a blob: %w", err)
	}
	return w.Commit(mediaType)
}

// takeUp finds work that nobody is doing: left by an earlier process, put off
// for want of room, or lost to a passing fault.
func (e *Engine) takeUp(ctx context.Context) {
	open, err := e.store.OpenBatches()
	if err != nil {
		e.log.Error("looking for unfinished work failed", "err", err)
		return
	}
	for _, b := range open {
		if ctx.Err() != nil {
			return
		}
		if err := e.takeUpBatch(ctx, b); err != nil && !errors.Is(err, store.ErrNotFound) {
			e.log.Error("taking up unfinished work failed", "batch", b.ID, "err", err)
		}
	}
	e.showLight()
}

func (e *Engine) takeUpBatch(ctx context.Context, b store.Batch) error {
	e.mu.Lock()
	fed := e.feeds[b.ID] != nil
	e.mu.Unlock()
	switch {
	case b.State == store.BatchScanning && b.Upload != nil:
		e.takeApart(b)
	case b.State == store.BatchScanning && !fed && time.Since(b.Updated) > tick:
		if err := e.closeOrphan(b.ID); err != nil {
			return err
		}
	case b.State == store.BatchStopped && b.Fault != nil && time.Since(b.Fault.Time) > time.Duration(e.cfg.ResumeMinutes)*time.Minute:
		if _, err := e.Finish(ctx, b.ID, By{Actor: "docscan"}); err != nil && !errors.Is(err, ErrState) {
			return err
		}
	}
	pages, err := e.store.Pages(b.ID)
	if err != nil {
		return err
	}
	for _, p := range pages {
		k := pageKey{p.Batch, p.Seq}
		switch {
		case p.State != store.PageSafe || e.prepare.has(k):
		case p.Image.Blob.Zero():
			e.prepare.add(k)
		default:
			e.recognise.add(k)
		}
	}
	e.assembleWhenDone(b.ID)
	return nil
}
