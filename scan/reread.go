package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"docscan/scan/ocr"
	"docscan/store"
	"docscan/store/audit"
)

// A document can be read again later: in other languages, with other steps of the
// clean-up, or with better data. The wish is recorded, so that it outlives this
// process; the document stays as it is until all its pages are read.

// A Reading is how a document is to be read.
type Reading struct {
	Languages []string `json:"languages"` // the engine's names; empty: those of the profile it was scanned with
	Leave     []string `json:"leave"`     // steps of the clean-up that are left out; nil: those of the profile
}

// A readWish is a document that waits to be read again.
type readWish struct {
	Document store.DocumentID `json:"document"`
	Reading  Reading          `json:"reading"`
	Asked    time.Time        `json:"asked"`
	By       By               `json:"by"`
}

// readWishes is the setting with the wishes, the oldest first.
const readWishes = "read-again"

// maxReadWishes bounds how many documents wait.
const maxReadWishes = 1000

// ReadAgain has a document read again, in its turn behind new paper. The error is
// a refusal where that is not possible.
func (e *Engine) ReadAgain(x Edit, r Reading) error {
	d, err := e.open(x)
	if err != nil {
		return err
	}
	if err := e.pool.CheckLanguages(r.Languages); err != nil {
		return err
	}
	if err := checkCleanUp(store.Profile{Leave: r.Leave}); err != nil {
		return err
	}
	for _, at := range d.Pages {
		p, err := e.store.Page(at.Batch, at.Seq)
		if err != nil {
			return err
		}
		if p.Raw.Zero() {
			return refuse("The images as they came are no longer kept, so it cannot be read again.")
		}
	}
	e.rereading.Lock()
	defer e.rereading.Unlock()
	list, err := e.waitingToRead()
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(w readWish) bool { return w.Document == d.ID })
	if len(list) >= maxReadWishes {
		return refuse("%d documents are waiting to be read again already.", len(list))
	}
	list = append(list, readWish{d.ID, r, time.Now(), x.By})
	if err := e.store.PutSetting(readWishes, list, x.By.entry("document_read_again", string(d.ID))); err != nil {
		return err
	}
	select {
	case e.reread <- struct{}{}:
	default: // it will look anyway
	}
	return nil
}

// WaitsToBeRead reports whether a document is going to be read again.
func (e *Engine) WaitsToBeRead(id store.DocumentID) (bool, error) {
	list, err := e.waitingToRead()
	return slices.ContainsFunc(list, func(w readWish) bool { return w.Document == id }), err
}

func (e *Engine) waitingToRead() ([]readWish, error) {
	var list []readWish
	_, err := e.store.Setting(readWishes, &list)
	return list, err
}

// rereadLoop reads documents again whenever there are some.
func (e *Engine) rereadLoop(ctx context.Context) {
	for {
		e.rereadAll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-e.reread:
		}
	}
}

// rereadAll reads what waits, one page at a time, so that new paper never waits for
// more than one.
func (e *Engine) rereadAll(ctx context.Context) {
	for ctx.Err() == nil {
		list, err := e.waitingToRead()
		if err != nil {
			e.log.Error("looking for documents to read again failed", "err", err)
		}
		if len(list) == 0 {
			return
		}
		if err := e.rereadDocument(ctx, list[0]); err != nil {
			e.log.Error("recording that a document was read again failed", "document", list[0].Document, "err", err)
			return
		}
	}
}

// rereadDocument reads one document, and forgets the wish unless ctx ends: then the
// next process begins anew.
func (e *Engine) rereadDocument(ctx context.Context, w readWish) error {
	start := time.Now()
	entry := w.By.entry("document_was_read", string(w.Document))
	missed, err := e.readPagesAgain(ctx, w)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		e.log.Error("reading a document again failed", "document", w.Document, "err", err)
		entry.Status, entry.Details = audit.Failure, err.Error()
	case missed > 0:
		entry.Details = fmt.Sprintf("%d pages keep their text", missed)
	}
	e.rereading.Lock()
	defer e.rereading.Unlock()
	list, err := e.waitingToRead()
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(o readWish) bool { return o.Document == w.Document && o.Asked.Equal(w.Asked) })
	e.log.Info("document read again", "document", w.Document, "missed", missed, "ms", time.Since(start).Milliseconds())
	return e.store.PutSetting(readWishes, list, entry)
}

// readPagesAgain reads the pages of a document, makes its PDF anew, and gives how
// many pages could not be read; they keep the text they have.
func (e *Engine) readPagesAgain(ctx context.Context, w readWish) (missed int, err error) {
	d, err := e.store.Document(w.Document)
	if err != nil {
		return 0, err
	}
	for _, at := range d.Pages {
		err := e.readPageAgain(ctx, at, w.Reading)
		if ctx.Err() != nil {
			return missed, ctx.Err()
		}
		if err != nil {
			missed++
			e.log.Warn("page keeps its text", "batch", at.Batch, "page", at.Seq, "err", err)
		}
	}
	// Somebody may have changed the document meanwhile; it is its new state that is
	// made from the new texts.
	for {
		d, err := e.store.Document(w.Document)
		if err != nil {
			return missed, err
		}
		if err := e.rewrite(&d); err != nil {
			return missed, err
		}
		_, _, err = e.change(ctx, w.By, readAction, []store.Document{d}, nil)
		if !errors.Is(err, store.ErrConflict) || ctx.Err() != nil {
			return missed, err
		}
	}
}

// readAction is the change that reading again makes. It cannot be taken back: the
// texts before are not kept.
const readAction = "read"

func (e *Engine) readPageAgain(ctx context.Context, at store.DocumentPage, r Reading) error {
	p, err := e.store.Page(at.Batch, at.Seq)
	if err != nil {
		return err
	}
	b, err := e.store.Batch(at.Batch)
	if err != nil {
		return err
	}
	if len(r.Languages) > 0 {
		b.Profile.Languages = r.Languages
	}
	if r.Leave != nil {
		b.Profile.Leave = r.Leave
	}
	p.Restored = true // a person has this page in a document: it is not set aside
	read, err := e.readPage(ctx, p, b, e.recogniseOnce(ctx))
	if err != nil {
		return err
	}
	_, err = e.store.UpdatePage(at.Batch, at.Seq, func(p *store.Page) error {
		read.record(p)
		return nil
	})
	if err != nil {
		return err
	}
	e.hub.publish(Event{Name: EventPage, Batch: at.Batch, Page: at.Seq})
	return nil
}

// recogniseOnce asks the workers without trying again: somebody waits, and can ask
// again.
func (e *Engine) recogniseOnce(ctx context.Context) func(ocr.RecognizeJob) (ocr.Recognized, error) {
	return func(job ocr.RecognizeJob) (ocr.Recognized, error) { return e.pool.Recognize(ctx, job) }
}
