package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"docscan/scan/refusal"
	"docscan/store"
)

// Why a change of documents is refused.
var (
	ErrEdit       = errors.New("this change is not possible") // a refusal wraps it
	ErrImagesGone = errors.New("the images of the pages are no longer kept")
)

func refuse(message string, args ...any) error { return refusal.New(ErrEdit, message, args...) }

// Bounds of what people say of a document.
const (
	maxTitle  = 200 // characters
	maxWord   = 64  // of a correspondent, a type, a tag
	maxTags   = 32
	maxRemark = 4000
	maxASN    = 999_999_999
	MaxMerged = 100  // documents into one
	maxMany   = 500  // documents changed at once
	maxPages  = 5000 // of one document
)

// Marks are what people say of a document.
type Marks struct {
	Title         string   `json:"title"`
	Date          string   `json:"date"` // 2006-01-02, or ""
	Correspondent string   `json:"correspondent"`
	Type          string   `json:"type"`
	Tags          []string `json:"tags"`
	Remark        string   `json:"remark"`
	ASN           int      `json:"asn"` // archive serial number; 0: none
}

// MarksOf gives what is said of d now.
func MarksOf(d store.Document) Marks {
	return Marks{Title: d.Title, Date: d.Date, Correspondent: d.Correspondent, Type: d.Type, Tags: d.Tags, Remark: d.Remark, ASN: d.ASN}
}

// tidy brings m into its form, or says what is wrong with it.
func (m *Marks) tidy() error {
	m.Title = oneLine(m.Title)
	m.Correspondent = oneLine(m.Correspondent)
	m.Type = oneLine(m.Type)
	m.Remark = strings.TrimSpace(strings.ToValidUTF8(m.Remark, "\uFFFD"))
	m.Date = strings.TrimSpace(m.Date)
	var tags []string
	for _, t := range m.Tags {
		t = strings.TrimLeft(oneLine(strings.ToLower(t)), "# ")
		if t != "" && !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	slices.Sort(tags)
	m.Tags = tags
	switch {
	case m.Title == "":
		return refuse("A document needs a title.")
	case utf8.RuneCountInString(m.Title) > maxTitle:
		return refuse("The title is longer than %d characters.", maxTitle)
	case utf8.RuneCountInString(m.Correspondent) > maxWord || utf8.RuneCountInString(m.Type) > maxWord:
		return refuse("Correspondent and type may have %d characters.", maxWord)
	case len(m.Tags) > maxTags:
		return refuse("A document may have %d tags.", maxTags)
	case slices.ContainsFunc(m.Tags, func(t string) bool { return utf8.RuneCountInString(t) > maxWord }):
		return refuse("A tag may have %d characters.", maxWord)
	case utf8.RuneCountInString(m.Remark) > maxRemark:
		return refuse("The note is longer than %d characters.", maxRemark)
	case m.ASN < 0 || m.ASN > maxASN:
		return refuse("An archive number is 1 to %d, or empty.", maxASN)
	}
	if m.Date != "" {
		if _, err := time.Parse(time.DateOnly, m.Date); err != nil {
			return refuse("The date must be like 2026-03-09.")
		}
	}
	return nil
}

// maxMarks is how many marks may stand on one letter: no script stacks more, and
// more of them cover the lines above.
const maxMarks = 6

// unseen reports whether a character is not seen, or turns the text around it: it
// can forge a name. The joiner of emoji and of some scripts is none.
func unseen(r rune) bool { return unicode.Is(unicode.Cf, r) && r != '\u200d' }

// towers counts the marks that stand on one letter.
type towers int

// next counts r, and gives how many marks there are with it. What is not seen is no
// letter to stand on.
func (t *towers) next(r rune) towers {
	switch {
	case unicode.IsMark(r):
		*t++
	case !unicode.Is(unicode.Cf, r):
		*t = 0
	}
	return *t
}

// Readable reports whether a name that somebody gives is what it seems to be: no
// control characters, nothing unseen, and no tower of marks.
func Readable(s string) bool {
	var marks towers
	for _, r := range s {
		if marks.next(r) > maxMarks || unicode.IsControl(r) || unseen(r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return utf8.ValidString(s)
}

// oneLine makes a text readable as a name is: it takes out what is not seen, marks
// and spaces that are too many.
func oneLine(s string) string {
	var marks towers
	s = strings.Map(func(r rune) rune {
		switch n := marks.next(r); {
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return ' '
		case unseen(r) || n > maxMarks:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// An Edit is somebody's wish to change a document in the state that was seen.
type Edit struct {
	Document store.DocumentID
	Revision int // that was seen
	By       By
}

// open gives the document of an edit, or store.ErrConflict if it is another by
// now.
func (e *Engine) open(x Edit) (store.Document, error) {
	d, err := e.store.Document(x.Document)
	if err != nil {
		return d, err
	}
	if d.Revision != x.Revision {
		return d, fmt.Errorf("document %s: %w", x.Document, store.ErrConflict)
	}
	if !d.Trashed.IsZero() {
		return d, refuse("It is in the trash.")
	}
	return d, nil
}

// Mark changes what is said of a document.
func (e *Engine) Mark(ctx context.Context, x Edit, m Marks) (store.Document, store.ChangeID, error) {
	return one(e.MarkAll(ctx, []Edit{x}, func(old *Marks) { *old = m }))
}

// MarkAll changes what is said of documents, all or none, as one change.
func (e *Engine) MarkAll(ctx context.Context, list []Edit, set func(*Marks)) ([]store.Document, store.ChangeID, error) {
	if err := checkMany(list); err != nil {
		return nil, "", err
	}
	var docs []store.Document
	for _, x := range list {
		d, err := e.open(x)
		if err != nil {
			return nil, "", err
		}
		m := MarksOf(d)
		set(&m)
		if err := m.tidy(); err != nil {
			return nil, "", err
		}
		retitled := d.Title != m.Title
		d.Title, d.Date, d.Correspondent, d.Type, d.Tags, d.Remark, d.ASN = m.Title, m.Date, m.Correspondent, m.Type, m.Tags, m.Remark, m.ASN
		if retitled { // the PDF bears the title too, as long as it can be made
			if err := e.rewrite(&d); err != nil && !errors.Is(err, ErrImagesGone) {
				return nil, "", err
			}
		}
		docs = append(docs, d)
	}
	return e.change(ctx, list[0].By, "edit", docs, nil)
}

// checkMany reports why documents cannot be changed at once.
func checkMany(list []Edit) error {
	if len(list) == 0 || len(list) > maxMany {
		return refuse("Choose 1 to %d documents.", maxMany)
	}
	seen := make(map[store.DocumentID]bool)
	for _, x := range list {
		if seen[x.Document] {
			return refuse("A document stands twice.")
		}
		seen[x.Document] = true
	}
	return nil
}

// Arrange gives a document these pages in this order. They are its own, or such
// as its batches have but no document has: sides that were set aside.
func (e *Engine) Arrange(ctx context.Context, x Edit, pages []store.DocumentPage) (store.Document, store.ChangeID, error) {
	d, err := e.open(x)
	if err != nil {
		return d, "", err
	}
	if err := e.mayHave(d, pages); err != nil {
		return d, "", err
	}
	for _, at := range pages {
		if slices.ContainsFunc(d.Pages, at.Is) {
			continue
		}
		p, err := e.store.Page(at.Batch, at.Seq)
		if err != nil {
			return d, "", err
		}
		if p.Aside != "" { // nobody has read a side that was taken for blank
			if err := e.readRestored(ctx, &p); err != nil {
				return d, "", err
			}
		}
	}
	d.Pages = pages
	if err := e.rewrite(&d); err != nil {
		return d, "", err
	}
	return one(e.change(ctx, x.By, "pages", []store.Document{d}, nil))
}

// mayHave reports why d cannot have these pages.
func (e *Engine) mayHave(d store.Document, pages []store.DocumentPage) error {
	switch {
	case len(pages) == 0:
		return refuse("A document needs a page; put the document into the trash instead.")
	case len(pages) > maxPages:
		return refuse("A document may have %d pages.", maxPages)
	}
	aside, _, err := e.free(d)
	if err != nil {
		return err
	}
	seen := make(map[store.DocumentPage]bool)
	for i, p := range pages {
		if p.Turn != 0 && p.Turn != 90 && p.Turn != 180 && p.Turn != 270 {
			return refuse("Page %d: a turn is 0, 90, 180 or 270.", i+1)
		}
		p.Turn = 0
		if seen[p] {
			return refuse("Page %d stands twice.", i+1)
		}
		seen[p] = true
		if slices.ContainsFunc(d.Pages, p.Is) {
			continue
		}
		if !slices.ContainsFunc(aside, func(a store.Page) bool { return p.Batch == a.Batch && p.Seq == a.Seq }) {
			return refuse("Page %d is not one of this document.", i+1)
		}
	}
	return nil
}

// Aside lists the sides of the batches of d that stand in no document: blank
// ones, separators, such as were scanned again, and such as a person took out. Of
// a batch with several documents it lists those that belong to d: another side of
// the sheet is in it, or the page that follows.
func (e *Engine) Aside(d store.Document) ([]store.Page, error) {
	_, near, err := e.free(d)
	return near, err
}

// free lists the sides of the batches of d that stand in no document, and those
// among them that belong to d; see Aside.
func (e *Engine) free(d store.Document) (all, near []store.Page, err error) {
	for _, id := range batchesOf(d) {
		b, err := e.store.Batch(id)
		if err != nil {
			return nil, nil, err
		}
		if b.Owner != d.Owner {
			continue // somebody else's paper, merged in by an administrator
		}
		held := make(map[int]store.DocumentID) // by the number of the page
		for _, x := range b.Documents {
			other, err := e.store.Document(x)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			for _, at := range other.Pages {
				if at.Batch == id {
					held[at.Seq] = x
				}
			}
		}
		pages, err := e.store.Pages(id)
		if err != nil {
			return nil, nil, err
		}
		for i, p := range pages {
			if held[p.Seq] != "" || p.State == store.PageSafe {
				continue
			}
			all = append(all, p)
			if to := belongs(pages, i, held); to == d.ID || to == "" {
				near = append(near, p)
			}
		}
	}
	return all, near, nil
}

// belongs gives the document that the i-th of pages belongs to, which is in none:
// that of the sheet's other side, of the page that follows, or of the one before.
func belongs(pages []store.Page, i int, held map[int]store.DocumentID) store.DocumentID {
	for _, p := range pages {
		if p.Sheet == pages[i].Sheet && held[p.Seq] != "" {
			return held[p.Seq]
		}
	}
	for _, p := range pages[i+1:] {
		if held[p.Seq] != "" {
			return held[p.Seq]
		}
	}
	for _, p := range slices.Backward(pages[:i]) {
		if held[p.Seq] != "" {
			return held[p.Seq]
		}
	}
	return ""
}

func batchesOf(d store.Document) []store.BatchID {
	list := []store.BatchID{d.Batch}
	for _, p := range d.Pages {
		if !slices.Contains(list, p.Batch) {
			list = append(list, p.Batch)
		}
	}
	return list
}

// Split cuts a document after each of these page numbers, which ascend. The
// first part stays the document; the others are new ones, which are returned
// after it.
func (e *Engine) Split(ctx context.Context, x Edit, after []int) ([]store.Document, store.ChangeID, error) {
	d, err := e.open(x)
	if err != nil {
		return nil, "", err
	}
	if len(after) == 0 {
		return nil, "", refuse("Say after which page.")
	}
	var docs []store.Document
	from := 0
	for i, to := range append(slices.Clone(after), len(d.Pages)) {
		if to <= from || to > len(d.Pages) {
			return nil, "", refuse("A part would have no page.")
		}
		part := d
		part.Pages = slices.Clone(d.Pages[from:to])
		if i > 0 {
			part.ID, part.Revision = store.DocumentID(store.NewID()), 0
			part.Batch = part.Pages[0].Batch
			part.Title = fmt.Sprintf("%s (%d)", clipTitle(d.Title), i+1)
			part.Remark, part.ASN = "", 0
		}
		if err := e.rewrite(&part); err != nil {
			return nil, "", err
		}
		docs = append(docs, part)
		from = to
	}
	if err := e.followLabel(docs); err != nil {
		return nil, "", err
	}
	return e.change(ctx, x.By, "split", docs, nil)
}

// clipTitle leaves room for a number behind a title.
func clipTitle(s string) string {
	r := []rune(s)
	return string(r[:min(len(r), maxTitle-8)])
}

// Merge adds the pages of the other documents to the first, 2 to MaxMerged in all.
// The others go into the trash.
func (e *Engine) Merge(ctx context.Context, list []Edit) (store.Document, store.ChangeID, error) {
	if len(list) < 2 || len(list) > MaxMerged {
		return store.Document{}, "", refuse("Choose 2 to %d documents.", MaxMerged)
	}
	var docs []store.Document
	for _, x := range list {
		d, err := e.open(x)
		if err != nil {
			return d, "", err
		}
		if slices.ContainsFunc(docs, func(o store.Document) bool { return o.ID == d.ID }) {
			return d, "", refuse("A document stands twice.")
		}
		docs = append(docs, d)
	}
	first := &docs[0]
	if slices.ContainsFunc(docs, func(d store.Document) bool { return d.Owner != first.Owner }) {
		return *first, "", refuse("The documents belong to different people.")
	}
	for i := range docs[1:] {
		d := &docs[i+1]
		for _, p := range d.Pages {
			if !slices.ContainsFunc(first.Pages, p.Is) {
				first.Pages = append(first.Pages, p)
			}
		}
		for _, t := range d.Tags {
			if !slices.Contains(first.Tags, t) {
				first.Tags = append(slices.Clone(first.Tags), t)
			}
		}
		if first.ASN == 0 {
			first.ASN, d.ASN = d.ASN, 0
		}
		d.Trashed = time.Now()
	}
	if len(first.Pages) > maxPages {
		return *first, "", refuse("A document may have %d pages.", maxPages)
	}
	if err := e.rewrite(first); err != nil {
		return *first, "", err
	}
	return one(e.change(ctx, list[0].By, "merge", docs, nil))
}

// Trash puts a document into the trash, where it stays until Config.TrashDays
// are over.
func (e *Engine) Trash(ctx context.Context, x Edit) (store.Document, store.ChangeID, error) {
	return one(e.TrashAll(ctx, []Edit{x}))
}

// TrashAll puts documents into the trash, all or none, as one change.
func (e *Engine) TrashAll(ctx context.Context, list []Edit) ([]store.Document, store.ChangeID, error) {
	if err := checkMany(list); err != nil {
		return nil, "", err
	}
	var docs []store.Document
	for _, x := range list {
		d, err := e.open(x)
		if err != nil {
			return nil, "", err
		}
		d.Trashed = time.Now()
		docs = append(docs, d)
	}
	return e.change(ctx, list[0].By, "trash", docs, nil)
}

// WriteTogether writes one PDF of the pages of docs, in their order, without
// keeping it. The title is that of the first.
func (e *Engine) WriteTogether(w io.Writer, docs []store.Document) error {
	if len(docs) == 0 || len(docs) > maxMany {
		return refuse("Choose 1 to %d documents.", maxMany)
	}
	var pages []store.Page
	for _, d := range docs {
		list, err := e.pagesOf(d)
		if err != nil {
			return err
		}
		pages = append(pages, list...)
	}
	if len(pages) > maxPages {
		return refuse("A document may have %d pages.", maxPages)
	}
	content, err := e.content(pages)
	if err != nil {
		return err
	}
	first := docs[0]
	first.Languages = nil
	return e.writePDF(w, &first, pages, content)
}

// TrashDays is how many days a document stays in the trash; 0: for ever.
func (e *Engine) TrashDays() int { return e.cfg.TrashDays }

// Restore takes a document out of the trash.
func (e *Engine) Restore(ctx context.Context, id store.DocumentID, by By) (store.Document, store.ChangeID, error) {
	d, err := e.store.Document(id)
	if err != nil {
		return d, "", err
	}
	if d.Trashed.IsZero() {
		return d, "", refuse("It is not in the trash.")
	}
	d.Trashed = time.Time{}
	return one(e.change(ctx, by, "restore", []store.Document{d}, nil))
}

// Undo takes a change back, if nothing has been done since to what it touched;
// otherwise the error is store.ErrConflict. It returns the documents as they
// were before.
func (e *Engine) Undo(ctx context.Context, id store.ChangeID, by By) ([]store.Document, error) {
	c, err := e.store.Change(id)
	if err != nil {
		return nil, err
	}
	if c.Undone {
		return nil, fmt.Errorf("change %s: %w", id, store.ErrConflict)
	}
	if c.Action == readAction {
		return nil, refuse("Reading again cannot be taken back; read it again as before.")
	}
	var docs []store.Document
	var made []store.DocumentID
	for _, r := range c.After {
		d, err := e.store.Document(r.ID)
		if err != nil || d.Revision != r.Revision {
			return nil, fmt.Errorf("change %s: %w", id, store.ErrConflict)
		}
		i := slices.IndexFunc(c.Before, func(b store.Document) bool { return b.ID == r.ID })
		if i < 0 {
			made = append(made, r.ID)
			continue
		}
		old := c.Before[i]
		same := old.Title == d.Title && slices.Equal(old.Pages, d.Pages)
		old.Revision = d.Revision
		old.PDF = d.PDF
		if !same {
			err := e.rewrite(&old)
			if errors.Is(err, ErrImagesGone) && slices.Equal(old.Pages, d.Pages) {
				err = nil // only the title inside the PDF stays as it is
			}
			if err != nil {
				return nil, err
			}
		}
		docs = append(docs, old)
	}
	docs, _, err = e.change(ctx, by, "undo", docs, made)
	if err != nil {
		return nil, err
	}
	return docs, e.store.MarkUndone(id)
}

// pagesOf gives the pages of d as its PDF has them, or ErrImagesGone.
func (e *Engine) pagesOf(d store.Document) ([]store.Page, error) {
	pages := make([]store.Page, len(d.Pages))
	for i, at := range d.Pages {
		p, err := e.store.Page(at.Batch, at.Seq)
		if err != nil {
			return nil, err
		}
		if p.Width > 0 && p.Image.Blob.Zero() && len(p.Layered.Layers) == 0 {
			return nil, ErrImagesGone
		}
		p.Rotate = (p.Rotate + at.Turn) % 360
		pages[i] = p
	}
	return pages, nil
}

// rewrite makes the PDF of d anew from its pages.
func (e *Engine) rewrite(d *store.Document) error {
	pages, err := e.pagesOf(*d)
	if err != nil {
		return err
	}
	if err := e.room(); err != nil {
		return err
	}
	b, err := e.store.Batch(d.Batch)
	if err != nil {
		return err
	}
	d.Updated, d.Languages, d.Notes = time.Now(), nil, notes(b, pages)
	content, err := e.content(pages)
	if err != nil {
		return err
	}
	e.understand(d, content)
	d.PDF, err = e.keep("application/pdf", func(w io.Writer) error {
		return e.writePDF(w, d, pages, content)
	})
	if err != nil {
		return fmt.Errorf("write the PDF: %w", err)
	}
	return nil
}

// followLabel gives the archive number of the first of docs, its parts, to the one
// that has the page with the label, if there is one.
func (e *Engine) followLabel(docs []store.Document) error {
	asn := docs[0].ASN
	if asn == 0 {
		return nil
	}
	for i, d := range docs {
		for _, at := range d.Pages {
			p, err := e.store.Page(at.Batch, at.Seq)
			if err != nil {
				return err
			}
			if p.ASN == asn {
				docs[0].ASN = 0
				docs[i].ASN = asn
				return nil
			}
		}
	}
	return nil
}

// checkNumbers reports an archive number that a document has which stays as it
// is, or that two of docs have.
func (e *Engine) checkNumbers(docs []store.Document, gone []store.DocumentID) error {
	for i, d := range docs {
		if d.ASN == 0 {
			continue
		}
		others, err := e.store.Numbered(d.ASN)
		if err != nil {
			return err
		}
		others = slices.DeleteFunc(others, func(o store.Document) bool {
			return slices.Contains(gone, o.ID) || slices.ContainsFunc(docs, func(d store.Document) bool { return d.ID == o.ID })
		})
		if len(others) > 0 || slices.ContainsFunc(docs[:i], func(o store.Document) bool { return o.ASN == d.ASN }) {
			return refuse("Another document has the archive number %d; it may be in the trash.", d.ASN)
		}
	}
	return nil
}

// change records a change and lets index and watchers follow.
func (e *Engine) change(ctx context.Context, by By, action string, docs []store.Document, made []store.DocumentID) ([]store.Document, store.ChangeID, error) {
	c := store.Change{ID: store.ChangeID(store.NewID()), Time: time.Now(), Actor: by.Actor, Action: action}
	owners := make(map[store.DocumentID]store.UserID)
	for _, id := range made {
		d, err := e.store.Document(id)
		if err != nil {
			return nil, "", err
		}
		owners[id] = d.Owner
	}
	var targets []string
	for _, d := range docs {
		targets = append(targets, string(d.ID))
	}
	e.numbering.Lock()
	defer e.numbering.Unlock()
	if err := e.checkNumbers(docs, made); err != nil {
		return nil, "", err
	}
	docs, err := e.store.ChangeDocuments(c, docs, made, by.entry("document_"+action, strings.Join(targets, " ")))
	if err != nil {
		return nil, "", err
	}
	for _, d := range docs {
		err := error(nil)
		if d.Trashed.IsZero() {
			err = e.indexDocument(ctx, d)
		} else {
			err = e.index.Delete(ctx, string(d.ID))
		}
		if err != nil {
			e.log.Error("indexing the document failed; the next start catches up", "document", d.ID, "err", err)
		}
		e.hub.publish(Event{Name: EventDocument, Document: d.ID, Owner: d.Owner, Deleted: !d.Trashed.IsZero()})
	}
	for _, id := range made {
		if err := e.index.Delete(ctx, string(id)); err != nil {
			e.log.Error("taking the document out of the index failed", "document", id, "err", err)
		}
		e.hub.publish(Event{Name: EventDocument, Document: id, Owner: owners[id], Deleted: true})
	}
	e.log.Info("documents changed", "action", action, "documents", len(docs))
	return docs, c.ID, nil
}

func one(docs []store.Document, id store.ChangeID, err error) (store.Document, store.ChangeID, error) {
	if err != nil {
		return store.Document{}, "", err
	}
	return docs[0], id, nil
}

// emptyTrash deletes what has been in the trash for its time, and forgets the
// changes that are as old: neither can be taken back any more.
func (e *Engine) emptyTrash(ctx context.Context) error {
	if e.cfg.TrashDays == 0 {
		return nil
	}
	limit := time.Now().AddDate(0, 0, -e.cfg.TrashDays)
	err := e.store.EachDocument(ctx, func(d store.Document) error {
		if d.Trashed.IsZero() || d.Trashed.After(limit) {
			return nil
		}
		err := e.DeleteDocument(ctx, Edit{Document: d.ID, Revision: d.Revision, By: By{Actor: "docscan"}})
		if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) { // somebody has taken it out, or deleted it
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = e.store.ForgetChanges(limit)
	return err
}
