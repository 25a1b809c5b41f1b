package scan

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"docscan/scan/ocr"
	"docscan/store"
	"docscan/store/search"
)

func TestReadAgain(t *testing.T) {
	e := testEngine(t)
	b := scanned(t, e, store.Profile{Languages: []string{"eng"}}, "Die Prüfung der großen\nStraße ist geschlossen", "", "A page that may not be read")
	document := func() store.Document {
		t.Helper()
		d, err := e.store.Document(b.Documents[0])
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := document()
	x := Edit{Document: d.ID, Revision: d.Revision, By: By{Actor: "anna"}}
	if err := e.ReadAgain(x, Reading{Languages: []string{"xyz"}}); !errors.Is(err, ocr.ErrLanguage) || !strings.Contains(err.Error(), "tesseract-ocr-xyz") {
		t.Errorf("a language that is not there: %v", err)
	}
	if err := e.ReadAgain(Edit{Document: d.ID, Revision: d.Revision + 1}, Reading{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a state that is not there: %v", err)
	}
	if err := e.ReadAgain(x, Reading{Languages: []string{"deu"}}); err != nil {
		t.Fatal(err)
	}
	if waits, err := e.WaitsToBeRead(d.ID); err != nil || !waits {
		t.Errorf("waits: %v, %v", waits, err)
	}
	// The process ends in the middle: the wish is still there, and nothing is changed.
	ended, end := context.WithCancel(t.Context())
	end()
	e.rereadAll(ended)
	if waits, err := e.WaitsToBeRead(d.ID); err != nil || !waits || document().Revision != d.Revision {
		t.Errorf("after an end: waits %v, %v", waits, err)
	}
	e.rereadAll(t.Context())
	now := document()
	if !slices.Equal(now.Languages, []string{"deu"}) || now.Revision == d.Revision || len(now.Pages) != len(d.Pages) {
		t.Errorf("read again: %+v", now)
	}
	p, err := e.store.Page(b.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	content, err := e.PageText(p)
	if err != nil || !strings.Contains(content.Plain(), "Straße") {
		t.Errorf("the text is %q, %v", content.Plain(), err)
	}
	if r, err := e.index.Search(t.Context(), search.Query{Text: "Prüfung"}); err != nil || r.Total != 1 {
		t.Errorf("found %d, %v", r.Total, err)
	}
	list, err := e.store.ChangesOf(d.ID, 10)
	if err != nil || len(list) != 1 || list[0].Action != readAction || list[0].Actor != "anna" {
		t.Fatalf("history %+v, %v", list, err)
	}
	if _, err := e.Undo(t.Context(), list[0].ID, By{}); !errors.Is(err, ErrEdit) {
		t.Errorf("taken back: %v", err)
	}

	if err := e.dropRawPage(now.Pages[0]); err != nil {
		t.Fatal(err)
	}
	if err := e.ReadAgain(Edit{Document: d.ID, Revision: now.Revision}, Reading{}); !errors.Is(err, ErrEdit) {
		t.Errorf("without the scanner's images: %v", err)
	}
}

// A page that cannot be read keeps the text it has, and the others are read.
func TestReadAgainMissesAPage(t *testing.T) {
	e := testEngine(t)
	b := scanned(t, e, store.Profile{}, "The first page has words", "The second page has some too")
	garbage := "no image at all"
	raw, err := e.keep("image/png", func(w io.Writer) error { _, err := io.WriteString(w, garbage); return err })
	if err != nil {
		t.Fatal(err)
	}
	before, err := e.store.UpdatePage(b.ID, 1, func(p *store.Page) error { p.Raw = raw; return nil })
	if err != nil {
		t.Fatal(err)
	}
	d, err := e.store.Document(b.Documents[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ReadAgain(Edit{Document: d.ID, Revision: d.Revision}, Reading{Languages: []string{"deu"}}); err != nil {
		t.Fatal(err)
	}
	e.rereadAll(t.Context())
	after, err := e.store.Page(b.ID, 1)
	if err != nil || after.Text != before.Text || after.State != before.State {
		t.Errorf("the page that cannot be read: %+v, %v", after, err)
	}
	if now, err := e.store.Document(d.ID); err != nil || !slices.Contains(now.Languages, "deu") {
		t.Errorf("the others: %+v, %v", now.Languages, err)
	}
}
