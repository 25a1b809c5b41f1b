package scan

import (
	"context"
	"path"
	"regexp"
	"strings"

	"docscan/scan/sense"
	"docscan/scan/text"
	"docscan/store"
)

// What a document is about is found by package sense. Title and date are filled in
// as long as no person has said otherwise; all else is told as a suggestion.

// Bounds of how many documents are looked at for one that is the same paper, and
// for what those of the same sender were called.
const (
	maxAlike   = 8
	maxRelated = 30
)

// understand finds out what d, whose pages have this content, is about.
func (e *Engine) understand(d *store.Document, content []*text.Page) {
	old := d.Found
	d.Found = sense.Find(content, d.Created)
	if d.Found != nil {
		e.remember(d, content)
	}
	if d.Date == foundDay(old) {
		d.Date = foundDay(d.Found)
	}
}

func foundDay(f *store.Found) string {
	if f == nil || f.Date == nil {
		return ""
	}
	return f.Date.Day
}

// remember looks at earlier documents: for the same paper, and for what people
// called the correspondent of those that bear the same account, tax number, domain
// or name. Without the index nothing is found, and nothing else is lost.
func (e *Engine) remember(d *store.Document, content []*text.Page) {
	gist := sense.GistOf(content)
	for _, o := range e.sharing(d, gist.Marks(), maxAlike) {
		if o.ID >= d.ID { // the later one is the copy
			continue
		}
		its, err := e.contentOf(o)
		if err != nil {
			e.log.Error("comparing documents failed", "document", o.ID, "err", err)
			continue
		}
		if gist.Same(sense.GistOf(its)) {
			d.Found.Same = o.ID
			break
		}
	}
	names := make(map[string]int)
	best := ""
	for _, o := range e.sharing(d, keysOf(d.Found), maxRelated) {
		if o.Correspondent == "" {
			continue
		}
		names[o.Correspondent]++
		if best == "" || names[o.Correspondent] > names[best] {
			best = o.Correspondent
		}
	}
	if best != "" {
		d.Found.Correspondent = best
	}
}

// sharing gives documents with some of the marks that the owner of d may see too.
func (e *Engine) sharing(d *store.Document, marks []uint64, limit int) []store.Document {
	ids, err := e.index.Sharing(context.Background(), marks, limit)
	if err != nil {
		e.log.Error("looking for documents like it failed", "document", d.ID, "err", err)
		return nil
	}
	var list []store.Document
	for _, id := range ids {
		o, err := e.store.Document(store.DocumentID(id))
		if err != nil || o.ID == d.ID || !o.Trashed.IsZero() || o.Owner != "" && o.Owner != d.Owner {
			continue
		}
		list = append(list, o)
	}
	return list
}

// marksOf gives the numbers by which documents like d are found.
func marksOf(d store.Document, content []*text.Page) []uint64 {
	found := d.Found
	if found == nil { // it was filed before there was package sense
		found = sense.Find(content, d.Created)
	}
	return append(sense.GistOf(content).Marks(), keysOf(found)...)
}

// keysOf gives the marks of what documents of one sender have in common.
func keysOf(f *store.Found) []uint64 {
	if f == nil {
		return nil
	}
	var all []uint64
	for kind, list := range map[string][]string{"account": f.Accounts, "tax": f.TaxNumbers, "domain": f.Domains} {
		for _, v := range list {
			all = append(all, sense.KeyMark(kind, v))
		}
	}
	if f.Correspondent != "" {
		all = append(all, sense.KeyMark("name", strings.ToLower(f.Correspondent)))
	}
	return all
}

// contentOf gives what stands on the pages of d.
func (e *Engine) contentOf(d store.Document) ([]*text.Page, error) {
	pages, err := e.recordsOf(d)
	if err != nil {
		return nil, err
	}
	return e.content(pages)
}

// recordsOf gives the pages of d as they are known.
func (e *Engine) recordsOf(d store.Document) ([]store.Page, error) {
	pages := make([]store.Page, len(d.Pages))
	for i, at := range d.Pages {
		var err error
		if pages[i], err = e.store.Page(at.Batch, at.Seq); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// nameless are file names that scanners, cameras and programs make up.
var nameless = regexp.MustCompile(`(?i)^(scan|img|image|dsc|dscn|doc|document|dokument|scanned|page|seite|file|untitled|unbenannt|pxl|foto|photo|screenshot|out|output|print|download)?[ _.()-]*[0-9]*([ _.()-]*[0-9]+)*[ _.()-]*$`)

// foundTitle is the title that the text of a new document gives it; "" leaves the
// one it has: a file that a person gave a name keeps that.
func foundTitle(b store.Batch, d store.Document) string {
	if d.Found == nil {
		return ""
	}
	if b.Upload != nil && !nameless.MatchString(strings.TrimSuffix(path.Base(b.Upload.Name), path.Ext(b.Upload.Name))) {
		return ""
	}
	return d.Found.Title
}
