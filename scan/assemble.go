package scan

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docscan/device"
	"docscan/scan/pdf"
	"docscan/scan/text"
	"docscan/store"
	"docscan/store/audit"
	"docscan/store/search"
)

// producer is what the PDF says it was made by.
const producer = "docscan"

// assembleWhenDone makes the document of a batch if feeding has ended and all
// pages are done. It returns at once when somebody else is at it, who then looks
// again: the page that is done now may be one that the other has seen undone.
func (e *Engine) assembleWhenDone(id store.BatchID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, busy := e.working[id]; busy {
		e.working[id] = true
		return
	}
	for again := true; again; again = e.working[id] {
		e.working[id] = false
		e.mu.Unlock()
		err := e.assemble(id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			e.log.Error("making the document failed; it will be tried again", "batch", id, "err", err)
		}
		e.mu.Lock()
	}
	delete(e.working, id)
}

// assemble writes the PDF, files the document and makes it findable. It does
// nothing while a page is not done. Repeating it is harmless: the document's
// ID was chosen when the batch was opened.
func (e *Engine) assemble(id store.BatchID) error {
	b, err := e.store.Batch(id)
	if err != nil {
		return err
	}
	if b.State != store.BatchProcessing {
		return nil
	}
	if unread, err := e.store.AnyPage(id, store.PageSafe); err != nil || unread {
		return err
	}
	all, err := e.store.Pages(id)
	if err != nil {
		return err
	}
	if err := e.room(); err != nil {
		return err
	}
	parts, err := e.divided(b, standing(all))
	if err != nil {
		return err
	}
	start := time.Now()
	e.numbering.Lock()
	defer e.numbering.Unlock()
	docs := make([]store.Document, len(parts))
	entries := make([]audit.Entry, len(parts))
	for i, pages := range parts {
		if docs[i], err = e.made(b, i, pages, docs[:i]); err != nil {
			return err
		}
		entries[i] = audit.Entry{
			Time: time.Now(), EventType: audit.DataAccess, Actor: "docscan",
			Action: "document_filed", Target: string(docs[i].ID), Status: audit.Success,
		}
	}
	if err := e.store.FileDocuments(id, docs, entries...); err != nil {
		return err
	}
	e.countBatch(store.BatchCompleted)
	for i, doc := range docs {
		e.log.Info("document filed", "batch", id, "document", doc.ID, "pages", len(parts[i]),
			"bytes", doc.PDF.Size, "ms", time.Since(start).Milliseconds())
		if err := e.learn(doc.ID, parts[i]); err != nil {
			return err
		}
		e.hub.publish(Event{Name: EventDocument, Batch: id, Document: doc.ID})
	}
	e.hub.publish(Event{Name: EventBatch, Batch: id, Device: b.Device})
	if b.Upload == nil {
		e.mu.Lock()
		e.delivered, e.safe = time.Now(), b.Closed
		e.mu.Unlock()
	}
	e.showLight()
	return nil
}

// divided gives the pages of each document of b, and records which sides leave
// because of the sheet they are on. A batch of nothing but sides that are set
// aside is shown whole: a document without pages would hide that something was
// scanned.
func (e *Engine) divided(b store.Batch, pages []store.Page) ([][]store.Page, error) {
	parts, aside := divide(b.Profile.Separation, pages)
	if len(parts) == 0 {
		return [][]store.Page{pages}, nil
	}
	for _, p := range aside {
		_, err := e.store.UpdatePage(p.Batch, p.Seq, func(p *store.Page) error {
			p.Aside = store.AsideSeparator
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// made makes the n-th document of b, from 0, with its PDF. before are the documents
// of the batch that were made and are not filed yet.
func (e *Engine) made(b store.Batch, n int, pages []store.Page, before []store.Document) (store.Document, error) {
	id, err := documentID(b, n)
	if err != nil {
		return store.Document{}, err
	}
	doc := store.Document{
		ID:      id,
		Title:   e.title(b),
		Owner:   b.Owner,
		Batch:   b.ID,
		Created: b.Created,
		Updated: time.Now(),
		Notes:   notes(b, pages),
	}
	if n > 0 {
		doc.Title = fmt.Sprintf("%s (%d)", clipTitle(doc.Title), n+1)
	}
	for _, p := range pages {
		doc.Pages = append(doc.Pages, store.DocumentPage{Batch: p.Batch, Seq: p.Seq})
	}
	content, err := e.content(pages)
	if err != nil {
		return store.Document{}, err
	}
	if err := e.number(&doc, pages, content, before); err != nil {
		return store.Document{}, err
	}
	e.understand(&doc, content)
	if t := foundTitle(b, doc); t != "" {
		doc.Title = t
	}
	doc.PDF, err = e.keep("application/pdf", func(w io.Writer) error {
		return e.writePDF(w, &doc, pages, content)
	})
	if err != nil {
		return store.Document{}, fmt.Errorf("write the PDF: %w", err)
	}
	return doc, nil
}

// learn tells the index of a document that was filed.
func (e *Engine) learn(id store.DocumentID, pages []store.Page) error {
	filed, err := e.store.Document(id)
	if errors.Is(err, store.ErrNotFound) {
		return nil // somebody was quick to delete it
	}
	if err != nil {
		return err
	}
	content, err := e.content(pages)
	if err != nil {
		return err
	}
	if err := e.index.Put(context.Background(), indexed(filed, pages, content)); err != nil {
		// The index is derived; the next start catches up.
		e.log.Error("indexing the document failed", "document", id, "err", err)
	}
	return nil
}

// standing leaves out the pages that later ones have taken the place of.
func standing(pages []store.Page) []store.Page {
	gone := make(map[int]bool)
	for _, p := range pages {
		if p.Supersedes != 0 {
			gone[p.Supersedes] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(pages), func(p store.Page) bool { return gone[p.Seq] })
}

func (e *Engine) title(b store.Batch) string {
	if b.Upload != nil {
		return strings.TrimSuffix(b.Upload.Name, path.Ext(b.Upload.Name))
	}
	return b.Created.In(e.store.Zone()).Format("Scan of 2 January 2006, 15:04")
}

// notes says what a reader of the document should know of its making.
func notes(b store.Batch, pages []store.Page) []string {
	var list []string
	if b.Fault != nil && (b.Fault.Kind == string(device.Interrupted) || b.Fault.Kind == uploadFault) {
		list = append(list, b.Fault.What+" "+b.Fault.Advice)
	}
	for i, p := range pages {
		if p.DoubleFeed {
			list = append(list, fmt.Sprintf("Page %d: the scanner noticed two sheets at once here; one may be missing.", i+1))
		}
		switch {
		case p.State == store.PageKept && p.Width == 0:
			list = append(list, fmt.Sprintf("Page %d cannot be shown: %s.", i+1, p.Note))
		case p.State == store.PageKept:
			list = append(list, fmt.Sprintf("Page %d is kept as an image only: %s.", i+1, p.Note))
		case p.Note != "":
			list = append(list, fmt.Sprintf("Page %d: %s.", i+1, p.Note))
		}
	}
	return list
}

// indexed is what the index learns of d, which has these pages with this content.
func indexed(d store.Document, pages []store.Page, content []*text.Page) search.Doc {
	var groups []string
	for _, g := range d.Groups {
		groups = append(groups, string(g))
	}
	out := search.Doc{
		ID:       string(d.ID),
		Owner:    string(d.Owner),
		Groups:   groups,
		Title:    d.Title,
		Revision: d.Revision,
		Created:  d.Created,
		Pages:    make([]search.Page, len(content)),
		Marks:    marksOf(d, content),
		Day:      d.Date,
		Type:     d.Type,
		Sender:   d.Correspondent,
		Tags:     d.Tags,
		Remark:   d.Remark,
		ASN:      d.ASN,
	}
	for i, t := range content {
		if t != nil {
			out.Pages[i] = search.Page{Text: t.Findable(), Name: pages[i].Text.Sum}
		}
	}
	return out
}

// content gives what stands on each of the pages; nil for one that was not read.
func (e *Engine) content(pages []store.Page) ([]*text.Page, error) {
	list := make([]*text.Page, len(pages))
	for i, p := range pages {
		var err error
		if list[i], err = e.PageText(p); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// writePDF writes pages with their content to w, one image in memory at a time.
func (e *Engine) writePDF(w io.Writer, doc *store.Document, pages []store.Page, content []*text.Page) error {
	for _, t := range content {
		if t == nil {
			continue
		}
		for _, l := range t.Languages {
			if !slices.Contains(doc.Languages, l) {
				doc.Languages = append(doc.Languages, l)
			}
		}
	}
	id := sha256.Sum256([]byte(doc.ID))
	out := pdf.NewWriter(w, pdf.Meta{
		Title:     doc.Title,
		Producer:  producer,
		Created:   doc.Created,
		Modified:  doc.Updated,
		Languages: doc.Languages,
		ID:        [16]byte(id[:16]),
	})
	notices := make(placeholders)
	for i, p := range pages {
		if err := e.addPage(out, p, content[i], notices); err != nil {
			return fmt.Errorf("page %d: %w", i+1, err)
		}
	}
	return out.Close()
}

func (e *Engine) addPage(out *pdf.Writer, p store.Page, t *text.Page, notices placeholders) error {
	if p.Width == 0 {
		img, err := notices.image(fmt.Sprintf("This page cannot be shown: %s. The file it came in is kept and can be downloaded from the page of the document in docscan.", p.Note))
		if err != nil {
			return err
		}
		return out.AddPage(pdf.Page{Image: img})
	}
	if len(p.Layered.Layers) > 0 {
		return e.addLayers(out, p, t)
	}
	f, err := e.store.OpenBlob(p.Image.Blob)
	if err != nil {
		return err
	}
	defer f.Close()
	return out.AddPage(pdf.Page{
		Image: pdf.Image{
			Width:     p.Image.Width,
			Height:    p.Image.Height,
			DPI:       p.DPI,
			Colors:    p.Image.Colors,
			Bits:      p.Image.Bits,
			Filter:    p.Image.Filter,
			Predictor: p.Image.Predictor,
			BlackIs1:  p.Image.BlackIs1,
			Size:      p.Image.Blob.Size,
			Data:      f,
		},
		Rotate: p.Rotate,
		Text:   t,
	})
}

// PageText gives what stands on p, or nil if that was not, or could not be,
// read.
func (e *Engine) PageText(p store.Page) (*text.Page, error) {
	if p.Text.Zero() {
		return nil, nil
	}
	f, err := e.store.OpenBlob(p.Text)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return text.Read(f)
}

// Texts gives the index what it was told of pages, by the sums of their texts.
func Texts(st *store.Store) search.Texts {
	return func(sum string) (string, error) {
		f, err := st.OpenBlob(store.Blob{Sum: sum})
		if errors.Is(err, store.ErrNotFound) {
			return "", fmt.Errorf("%w: %w", search.ErrNoText, err)
		}
		if err != nil {
			return "", err
		}
		defer f.Close()
		return text.ReadFindable(f)
	}
}

// placeholders are messages that stand for pages whose file no worker could open, so
// that the number and order of the pages are those of the paper. Each is drawn once.
type placeholders map[string][]byte

// The size of a message: A4 at 100 dpi.
const placeholderDPI, placeholderWidth, placeholderHeight = 100, 827, 1169

// image gives a message as an image.
func (p placeholders) image(message string) (pdf.Image, error) {
	data, ok := p[message]
	if !ok {
		var err error
		if data, err = drawPlaceholder(message); err != nil {
			return pdf.Image{}, fmt.Errorf("placeholder: %w", err)
		}
		p[message] = data
	}
	return pdf.Image{
		Width: placeholderWidth, Height: placeholderHeight, DPI: placeholderDPI, Colors: 1, Bits: 8,
		Filter: "FlateDecode", Predictor: 1, Size: int64(len(data)), Data: bytes.NewReader(data),
	}, nil
}

// drawPlaceholder draws a message and gives its pixels, deflated.
func drawPlaceholder(message string) ([]byte, error) {
	const margin, size = 80, 12
	parsed, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, err
	}
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: size, DPI: placeholderDPI})
	if err != nil {
		return nil, err
	}
	defer face.Close()
	img := image.NewGray(image.Rect(0, 0, placeholderWidth, placeholderHeight))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	d := font.Drawer{Dst: img, Src: image.Black, Face: face, Dot: fixed.P(margin, 2*margin)}
	for _, word := range strings.Fields(message) {
		if d.Dot.X != fixed.I(margin) && d.Dot.X+d.MeasureString(word) > fixed.I(placeholderWidth-margin) {
			d.Dot = fixed.Point26_6{X: fixed.I(margin), Y: d.Dot.Y + face.Metrics().Height}
		}
		d.DrawString(word + " ")
	}
	var data bytes.Buffer
	z := zlib.NewWriter(&data)
	if _, err := z.Write(img.Pix); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return data.Bytes(), nil
}

// DeleteDocument removes a document with its pages. Their files go with the
// next sweep. One that is not as it was seen any more stays: store.ErrConflict.
func (e *Engine) DeleteDocument(ctx context.Context, x Edit) error {
	id := x.Document
	doc, err := e.store.Document(id)
	if err != nil {
		return err
	}
	if err := e.store.DeleteDocument(store.Revision{ID: id, Revision: x.Revision}, x.By.entry("document_delete", string(id))); err != nil {
		return err
	}
	if err := e.index.Delete(ctx, string(id)); err != nil {
		e.log.Error("taking the document out of the index failed", "document", id, "err", err)
	}
	e.log.Info("document deleted", "document", id)
	e.hub.publish(Event{Name: EventDocument, Document: id, Owner: doc.Owner, Deleted: true})
	return nil
}

// renewPause is between two times that a damaged index is made anew: where the
// storage is bad that helps for a while only.
const renewPause = time.Minute

// keepIndex brings the index to what the store holds, after a crash between the two,
// a restore, or the loss of the index file; and makes it anew whenever it turns out to
// be damaged. Searches find less meanwhile, and nothing waits for it.
func (e *Engine) keepIndex(ctx context.Context) {
	err := e.index.Check(ctx)
	if err != nil && !errors.Is(err, search.ErrDamaged) && ctx.Err() == nil {
		e.log.Error("the search index could not be checked", "err", err)
		err = nil // what it lacks is put in all the same
	}
	var renewed time.Time
	for ctx.Err() == nil {
		if errors.Is(err, search.ErrDamaged) {
			renewed = time.Now()
			e.log.Warn("the search index is made anew from the documents, which are as they were", "err", err)
			err = e.index.Renew()
		}
		n := 0
		if err == nil {
			n, err = e.Reindex(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.log.Error("bringing the index up to date failed", "err", err)
		case n > 0:
			e.log.Info("index brought up to date", "documents", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-e.index.Damaged():
			err = search.ErrDamaged
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(renewed.Add(renewPause))):
		}
	}
}

// Reindex puts documents that the index lacks or has in an older revision into
// it, takes out those that are gone, and returns how many that were.
func (e *Engine) Reindex(ctx context.Context) (int, error) {
	have, err := e.index.Revisions(ctx)
	if err != nil {
		return 0, fmt.Errorf("reindex: %w", err)
	}
	var missing []store.DocumentID // the newest first
	err = e.store.EachDocument(ctx, func(d store.Document) error {
		if !d.Trashed.IsZero() {
			return nil
		}
		rev, known := have[string(d.ID)]
		delete(have, string(d.ID))
		if !known || rev != d.Revision {
			missing = append(missing, d.ID)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("reindex: %w", err)
	}
	n := 0
	// The index wants documents in the order in which they came.
	slices.Reverse(missing)
	for ids := range slices.Chunk(missing, indexAtOnce) {
		if err := e.indexDocuments(ctx, ids); err != nil {
			return n, fmt.Errorf("reindex: %w", err)
		}
		n += len(ids)
	}
	for id := range have {
		// It may have been filed since the list of revisions was read.
		if _, err := e.store.Document(store.DocumentID(id)); !errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err := e.index.Delete(ctx, id); err != nil {
			return n, fmt.Errorf("reindex: %w", err)
		}
		n++
	}
	if n >= indexAtOnce {
		if err := e.index.Tidy(ctx); err != nil {
			return n, fmt.Errorf("reindex: %w", err)
		}
	}
	return n, nil
}

// indexAtOnce is how many documents go into the index together: so many that its files
// are not written for each, and so few that a document that is filed meanwhile need not
// wait long.
const indexAtOnce = 100

func (e *Engine) indexDocuments(ctx context.Context, ids []store.DocumentID) error {
	var docs []search.Doc
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := e.store.Document(id)
		if errors.Is(err, store.ErrNotFound) || err == nil && !d.Trashed.IsZero() {
			continue
		}
		if err == nil {
			var doc search.Doc
			doc, err = e.indexDoc(d)
			docs = append(docs, doc)
		}
		if err != nil {
			return fmt.Errorf("document %s: %w", id, err)
		}
	}
	return e.index.Put(ctx, docs...)
}

func (e *Engine) indexDoc(d store.Document) (search.Doc, error) {
	pages, err := e.recordsOf(d)
	if err != nil {
		return search.Doc{}, err
	}
	content, err := e.content(pages)
	return indexed(d, pages, content), err
}

func (e *Engine) indexDocument(ctx context.Context, d store.Document) error {
	doc, err := e.indexDoc(d)
	if err != nil {
		return err
	}
	return e.index.Put(ctx, doc)
}

// retainEvery is how often what is no longer needed is looked for.
const retainEvery = time.Hour

// sweepAge protects blobs that are written but not yet named by a record.
const sweepAge = time.Hour

// retain drops the raw images of documents whose time is over, and files that
// nothing names any more.
func (e *Engine) retain(ctx context.Context) {
	t := time.NewTicker(retainEvery)
	defer t.Stop()
	for {
		if err := e.dropRaw(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("dropping old raw images failed", "err", err)
		}
		if err := e.emptyTrash(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("emptying the trash failed", "err", err)
		}
		n, err := e.store.Sweep(ctx, sweepAge)
		if err != nil && ctx.Err() == nil {
			e.log.Error("sweeping unnamed files failed", "err", err)
		}
		if n > 0 {
			e.log.Info("unnamed files swept", "files", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (e *Engine) dropRaw(ctx context.Context) error {
	if e.cfg.KeepRawDays == 0 {
		return nil
	}
	limit := time.Now().AddDate(0, 0, -e.cfg.KeepRawDays)
	return e.store.EachDocument(ctx, func(d store.Document) error {
		if !d.Trashed.IsZero() || d.Updated.After(limit) {
			return nil
		}
		aside, err := e.Aside(d)
		if err != nil {
			return err
		}
		for _, p := range aside {
			if err := e.dropRawPage(store.DocumentPage{Batch: p.Batch, Seq: p.Seq}); err != nil {
				return err
			}
		}
		for _, at := range d.Pages {
			if err := e.dropRawPage(at); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropRawPage forgets the raw image. The picture made for the PDF stays, so that
// pages can be turned, moved, split off and merged at any time. A page whose file
// could not be opened keeps it: nothing else has it.
func (e *Engine) dropRawPage(at store.DocumentPage) error {
	p, err := e.store.Page(at.Batch, at.Seq)
	if err != nil {
		return err
	}
	if p.Raw.Zero() || p.Image.Blob.Zero() {
		return nil
	}
	_, err = e.store.UpdatePage(at.Batch, at.Seq, func(p *store.Page) error {
		p.Raw = store.Blob{}
		if len(p.Layered.Layers) > 0 {
			p.Image.Blob = store.Blob{} // the PDF is made of the layers
		}
		return nil
	})
	return err
}
