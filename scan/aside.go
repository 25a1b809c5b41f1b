package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"docscan/scan/ocr"
	"docscan/store"
)

// Sides that are blank are set aside: they are kept, but stand in no document.
// A person can put each of them back into its place, and take others out.

// ErrGone says that the files which a wish needs are no longer kept.
var ErrGone = errors.New("the images are no longer kept, so that the document cannot be put together anew")

// checkCleanUp says what of a profile's clean-up makes no sense.
func checkCleanUp(p store.Profile) error {
	if p.Blank != "" && !slices.Contains(ocr.Blanks(), ocr.Blank(p.Blank)) {
		return fmt.Errorf("blank sides are treated by one of %q, not %q", ocr.Blanks(), p.Blank)
	}
	for _, s := range p.Leave {
		if !slices.Contains(ocr.Steps(), ocr.Step(s)) {
			return fmt.Errorf("the steps of the clean-up are %q, not %q", ocr.Steps(), s)
		}
	}
	return nil
}

// recognizeJob asks for the text of p with the settings of a profile.
func recognizeJob(p store.Page, profile store.Profile, path, dir string) ocr.RecognizeJob {
	job := ocr.RecognizeJob{
		Path: path, DPI: p.DPI, Languages: profile.Languages, Turned: p.Turned, Blank: ocr.Blank(profile.Blank), Dir: dir,
	}
	if p.Restored {
		job.Blank = ocr.KeepBlank
	}
	for _, s := range profile.Leave {
		job.Leave = append(job.Leave, ocr.Step(s))
	}
	return job
}

// shown leaves out the pages that are set aside. A batch of nothing but such
// pages is shown whole: a document without pages would hide that something was
// scanned.
func shown(pages []store.Page) []store.Page {
	left := slices.DeleteFunc(slices.Clone(pages), func(p store.Page) bool { return p.Aside != "" })
	if len(left) == 0 {
		return pages
	}
	return left
}

// Aside lists the pages that are set aside beside the pages of d, in feed
// order: those that Restore would put into it.
func (e *Engine) Aside(d store.Document) ([]store.Page, error) {
	all, err := e.store.Pages(d.Batch)
	if err != nil {
		return nil, err
	}
	b, err := e.store.Batch(d.Batch)
	if err != nil {
		return nil, err
	}
	var list []store.Page
	for _, p := range standing(all) {
		if p.Aside == "" || slices.Contains(d.Pages, store.DocumentPage{Batch: p.Batch, Seq: p.Seq}) {
			continue
		}
		at, err := e.beside(b, p.Seq)
		if err != nil {
			return nil, err
		}
		if at.ID == d.ID {
			list = append(list, p)
		}
	}
	return list, nil
}

// beside finds the document that a page of a batch belongs to: the one with the
// nearest page before it, else the first.
func (e *Engine) beside(b store.Batch, seq int) (store.Document, error) {
	var best store.Document
	nearest := -1
	for _, id := range b.Documents {
		d, err := e.store.Document(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return store.Document{}, err
		}
		last := 0
		for _, at := range d.Pages {
			if at.Batch == b.ID && at.Seq <= seq {
				last = max(last, at.Seq)
			}
		}
		if last > nearest {
			best, nearest = d, last
		}
	}
	if nearest < 0 {
		return store.Document{}, fmt.Errorf("the document of page %d of batch %s: %w", seq, b.ID, store.ErrNotFound)
	}
	return best, nil
}

// Restore puts a page that was set aside back into its document, where it was
// in the stack, and reads what stands on it. The error wraps ErrState while the
// batch is still at work, and ErrGone after the retention of the raw images.
func (e *Engine) Restore(ctx context.Context, id store.BatchID, seq int, by By) (store.Document, error) {
	return e.rearrange(ctx, id, seq, "page_restored", by, func(d *store.Document, p store.Page) error {
		at := store.DocumentPage{Batch: p.Batch, Seq: p.Seq}
		if p.Aside == "" && slices.Contains(d.Pages, at) {
			return fmt.Errorf("%w: the page is not set aside", ErrState)
		}
		if err := e.readRestored(ctx, &p); err != nil {
			return err
		}
		if !slices.Contains(d.Pages, at) {
			place := slices.IndexFunc(d.Pages, func(o store.DocumentPage) bool { return o.Batch == id && o.Seq > seq })
			if place < 0 {
				place = len(d.Pages)
			}
			d.Pages = slices.Insert(d.Pages, place, at)
		}
		return nil
	})
}

// SetAside takes a page out of its document; Restore puts it back. The error
// wraps ErrState while the batch is still at work or if it is the only page.
func (e *Engine) SetAside(ctx context.Context, id store.BatchID, seq int, by By) (store.Document, error) {
	return e.rearrange(ctx, id, seq, "page_set_aside", by, func(d *store.Document, p store.Page) error {
		place := slices.Index(d.Pages, store.DocumentPage{Batch: p.Batch, Seq: p.Seq})
		switch {
		case place < 0:
			return fmt.Errorf("%w: the page stands in no document", ErrState)
		case len(d.Pages) == 1:
			return fmt.Errorf("%w: it is the only page of its document", ErrState)
		}
		d.Pages = slices.Delete(d.Pages, place, place+1)
		_, err := e.store.UpdatePage(id, seq, func(p *store.Page) error {
			p.Aside, p.Restored = store.AsidePerson, false
			return nil
		})
		return err
	})
}

// rearrange lets change choose the pages of the document that a page belongs to,
// and makes its PDF anew.
func (e *Engine) rearrange(ctx context.Context, id store.BatchID, seq int, action string, by By, change func(*store.Document, store.Page) error) (store.Document, error) {
	e.mu.Lock()
	busy := e.working[id]
	e.working[id] = true
	e.mu.Unlock()
	if busy {
		return store.Document{}, fmt.Errorf("%w: its document is being made", ErrState)
	}
	defer func() {
		e.mu.Lock()
		delete(e.working, id)
		e.mu.Unlock()
	}()
	b, err := e.store.Batch(id)
	if err != nil {
		return store.Document{}, err
	}
	if b.State != store.BatchCompleted {
		return store.Document{}, fmt.Errorf("%w: it is still at work", ErrState)
	}
	p, err := e.store.Page(id, seq)
	if err != nil {
		return store.Document{}, err
	}
	if p.Raw.Zero() {
		return store.Document{}, ErrGone
	}
	d, err := e.beside(b, seq)
	if err != nil {
		return store.Document{}, err
	}
	pages := make([]store.Page, 0, len(d.Pages)+1)
	for _, at := range d.Pages {
		other, err := e.store.Page(at.Batch, at.Seq)
		if err != nil {
			return store.Document{}, err
		}
		if other.Raw.Zero() {
			return store.Document{}, ErrGone
		}
	}
	if err := change(&d, p); err != nil {
		return store.Document{}, err
	}
	for _, at := range d.Pages {
		other, err := e.store.Page(at.Batch, at.Seq)
		if err != nil {
			return store.Document{}, err
		}
		pages = append(pages, other)
	}
	return e.remake(ctx, b, d, pages, action, by)
}

// readRestored records that a person has put p back, with its text.
func (e *Engine) readRestored(ctx context.Context, p *store.Page) error {
	b, err := e.store.Batch(p.Batch)
	if err != nil {
		return err
	}
	path, err := e.store.BlobPath(p.Raw)
	if err != nil {
		return err
	}
	dir, err := e.store.ScratchDir("restore")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p.Restored = true
	out, err := e.pool.Recognize(ctx, recognizeJob(*p, b.Profile, path, dir))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	words, count := p.Text, p.Words
	note := p.Note
	if err != nil { // the person wants the page; its text is what can be missing
		e.log.Warn("a restored page could not be read", "batch", p.Batch, "page", p.Seq, "err", err)
		note = fmt.Sprintf("its text could not be read: %v", err)
	} else {
		if words, err = e.keepText(&out.Text); err != nil {
			return err
		}
		count = 0
		for _, l := range out.Text.Lines {
			count += len(l.Words)
		}
	}
	view, thumb := p.View, p.Thumb
	if out.View != "" {
		if view, err = e.keepFile(out.View, "image/jpeg"); err != nil {
			return err
		}
		if thumb, err = e.keepFile(out.Thumb, "image/jpeg"); err != nil {
			return err
		}
	}
	_, err = e.store.UpdatePage(p.Batch, p.Seq, func(p *store.Page) error {
		p.Aside, p.Restored, p.Note = "", true, note
		p.Text, p.Words, p.Confidence, p.Rotate = words, count, out.Text.Confidence, out.Text.Rotate
		p.View, p.Thumb = view, thumb
		return nil
	})
	return err
}

// remake writes the PDF of d anew with pages, and makes it findable.
func (e *Engine) remake(ctx context.Context, b store.Batch, d store.Document, pages []store.Page, action string, by By) (store.Document, error) {
	if err := e.room(); err != nil {
		return store.Document{}, err
	}
	d.Updated, d.Languages = time.Now(), nil
	texts := make([]string, len(pages))
	file, err := e.keep("application/pdf", func(w io.Writer) error { return e.writePDF(w, &d, pages, texts) })
	if err != nil {
		return store.Document{}, fmt.Errorf("write the PDF: %w", err)
	}
	made, err := e.store.UpdateDocument(d.ID, func(old *store.Document) error {
		old.Pages, old.PDF, old.Languages, old.Notes = d.Pages, file, d.Languages, notes(b, pages)
		return nil
	}, by.entry(action, string(d.ID)))
	if err != nil {
		return store.Document{}, err
	}
	if err := e.index.Put(ctx, indexed(made, texts)); err != nil {
		// The index is derived; the next start catches up.
		e.log.Error("indexing the document failed", "document", d.ID, "err", err)
	}
	e.hub.publish(Event{Name: EventDocument, Batch: b.ID, Document: d.ID})
	return made, nil
}
