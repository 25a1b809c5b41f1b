package scan

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/scan/ocr"
	"docscan/scan/text"
	"docscan/store"
	"docscan/store/search"
)

// desk is an engine with a store, and no scanner.
type desk struct {
	*Engine
	t *testing.T
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	st, err := store.Open(store.Config{Dir: dir}, log)
	if err != nil {
		t.Fatal(err)
	}
	index, err := search.Open(filepath.Join(dir, "index.db"), Texts(st), log)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := ocr.NewPool(ocr.DefaultConfig(), "/bin/false", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool.Close()
		if err := index.Close(); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return &desk{New(DefaultConfig(), 1, st, pool, index, log), t}
}

// document files a document of pages with these lines. A page whose lines are ""
// is set aside.
func (k *desk) document(title string, words ...string) store.Document {
	k.t.Helper()
	now := time.Now()
	d := store.Document{ID: store.DocumentID(store.NewID()), Title: title, Owner: "anna", Created: now, Updated: now}
	b := store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchScanning, Owner: "anna", Created: now, Documents: []store.DocumentID{d.ID}}
	d.Batch = b.ID
	k.must(k.store.AddBatch(b))
	for i, w := range words {
		t := &text.Page{Version: 1}
		paragraph := 1
		for _, s := range strings.Split(w, "\n") {
			l := text.Line{Paragraph: paragraph}
			if s == "" {
				paragraph++
			}
			for _, word := range strings.Fields(s) {
				l.Words = append(l.Words, text.Word{Text: word, Confidence: 90})
			}
			if len(l.Words) > 0 {
				t.Lines = append(t.Lines, l)
			}
		}
		blob, err := k.keepText(t)
		k.must(err)
		_, err = k.store.AddPage(store.Page{Batch: b.ID, Seq: i + 1, Sheet: i + 1, State: store.PageSafe, Created: now})
		k.must(err)
		k.must(k.finishPage(pageKey{b.ID, i + 1}, func(p *store.Page) { p.State, p.Note, p.Text = store.PageKept, "only a test", blob }))
		if w != "" {
			d.Pages = append(d.Pages, store.DocumentPage{Batch: b.ID, Seq: i + 1})
		}
	}
	k.must(k.rewrite(&d))
	k.must(k.store.FileDocument(d))
	d, err := k.store.Document(d.ID)
	k.must(err)
	k.must(k.indexDocument(k.t.Context(), d))
	return d
}

func (k *desk) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// found gives the documents with a word.
func (k *desk) found(word string) (ids []string) {
	k.t.Helper()
	r, err := k.index.Search(k.t.Context(), search.Query{Text: word})
	k.must(err)
	for _, h := range r.Hits {
		ids = append(ids, h.ID)
	}
	return ids
}

// seqs gives the numbers of a document's pages, in order.
func seqs(d store.Document) (list []int) {
	for _, p := range d.Pages {
		list = append(list, p.Seq)
	}
	return list
}

func edit(d store.Document) Edit {
	return Edit{Document: d.ID, Revision: d.Revision, By: By{Actor: "anna"}}
}

func TestMark(t *testing.T) {
	k := newDesk(t)
	d := k.document("scan", "rent")
	m := Marks{Title: " Rent\n of  May ", Date: "2026-05-03", Correspondent: "Landlord", Type: "Invoice", Tags: []string{"#Home", "home", " "}, Remark: "paid"}
	got, change, err := k.Mark(t.Context(), edit(d), m)
	k.must(err)
	if got.Title != "Rent of May" || !slices.Equal(got.Tags, []string{"home"}) || got.Date != "2026-05-03" || got.Revision != d.Revision+1 {
		t.Errorf("%+v", got)
	}
	if got.PDF == d.PDF {
		t.Error("the PDF still has the old title")
	}
	if _, _, err := k.Mark(t.Context(), edit(d), m); !errors.Is(err, store.ErrConflict) {
		t.Errorf("an edit of what somebody else has changed: %v, want ErrConflict", err)
	}
	back, err := k.Undo(t.Context(), change, By{Actor: "anna"})
	k.must(err)
	if back[0].Title != "scan" || back[0].Tags != nil {
		t.Errorf("after undo: %+v", back[0])
	}
	if _, err := k.Undo(t.Context(), change, By{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("undo twice: %v, want ErrConflict", err)
	}
}

func TestMarksRefused(t *testing.T) {
	k := newDesk(t)
	d := k.document("scan", "rent")
	for name, m := range map[string]Marks{
		"no title":     {Title: " \u200b\n"},
		"long title":   {Title: strings.Repeat("ü", maxTitle+1)},
		"no date":      {Title: "t", Date: "3.5.2026"},
		"no such day":  {Title: "t", Date: "2026-02-30"},
		"long tag":     {Title: "t", Tags: []string{strings.Repeat("x", maxWord+1)}},
		"long remark":  {Title: "t", Remark: strings.Repeat("x", maxRemark+1)},
		"long type":    {Title: "t", Type: strings.Repeat("x", maxWord+1)},
		"too many":     {Title: "t", Tags: strings.Fields(manyTags())},
		"long sender":  {Title: "t", Correspondent: strings.Repeat("x", maxWord+1)},
		"only a break": {Title: "\u2028"},
	} {
		if _, _, err := k.Mark(t.Context(), edit(d), m); !errors.Is(err, ErrEdit) {
			t.Errorf("%s: %v, want ErrEdit", name, err)
		}
	}
}

func manyTags() string {
	var b strings.Builder
	for i := range maxTags + 1 {
		b.WriteString(" t" + strings.Repeat("x", i))
	}
	return b.String()
}

func TestArrange(t *testing.T) {
	k := newDesk(t)
	d := k.document("scan", "one", "two", "", "four")
	page := func(seq, turn int) store.DocumentPage {
		return store.DocumentPage{Batch: d.Batch, Seq: seq, Turn: turn}
	}

	aside, err := k.Aside(d)
	k.must(err)
	if len(aside) != 1 || aside[0].Seq != 3 {
		t.Fatalf("set aside: %+v, want side 3", aside)
	}
	// Turned, moved, taken out and brought back in one go.
	got, change, err := k.Arrange(t.Context(), edit(d), []store.DocumentPage{page(4, 0), page(1, 90), page(3, 0)})
	k.must(err)
	if want := []int{4, 1, 3}; !slices.Equal(seqs(got), want) || got.Pages[1].Turn != 90 {
		t.Errorf("pages %+v, want %v", got.Pages, want)
	}
	if len(k.found("two")) != 0 || len(k.found("four")) != 1 {
		t.Error("the index does not follow the pages")
	}
	if want := "Page 2 cannot be shown: only a test."; !slices.Contains(got.Notes, want) {
		t.Errorf("notes %q, want %q among them", got.Notes, want)
	}
	if aside, err = k.Aside(got); err != nil || len(aside) != 1 || aside[0].Seq != 2 {
		t.Errorf("set aside: %+v, %v, want side 2", aside, err)
	}
	back, err := k.Undo(t.Context(), change, By{})
	k.must(err)
	if want := []int{1, 2, 4}; !slices.Equal(seqs(back[0]), want) {
		t.Errorf("after undo %v, want %v", seqs(back[0]), want)
	}
	if len(k.found("two")) != 1 {
		t.Error("the index does not follow the undo")
	}

	d = back[0]
	other := k.document("other", "x")
	for name, pages := range map[string][]store.DocumentPage{
		"no page":         nil,
		"a page twice":    {page(1, 0), page(1, 90)},
		"an eighth turn":  {page(1, 45)},
		"no such page":    {page(9, 0)},
		"somebody else's": {page(1, 0), other.Pages[0]},
	} {
		if _, _, err := k.Arrange(t.Context(), edit(d), pages); !errors.Is(err, ErrEdit) {
			t.Errorf("%s: %v, want ErrEdit", name, err)
		}
	}
}

func TestSplit(t *testing.T) {
	k := newDesk(t)
	d := k.document("scan", "one", "two", "three")
	parts, change, err := k.Split(t.Context(), edit(d), []int{1, 2})
	k.must(err)
	if len(parts) != 3 || parts[0].ID != d.ID || parts[1].Title != "scan (2)" || !slices.Equal(seqs(parts[2]), []int{3}) {
		t.Fatalf("%+v", parts)
	}
	if got := k.found("two"); !slices.Equal(got, []string{string(parts[1].ID)}) {
		t.Errorf("two is in %v", got)
	}
	k.sound()
	back, err := k.Undo(t.Context(), change, By{})
	k.must(err)
	if len(back) != 1 || !slices.Equal(seqs(back[0]), []int{1, 2, 3}) {
		t.Errorf("after undo %+v", back)
	}
	if _, err := k.store.Document(parts[1].ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the part is still there: %v", err)
	}
	if got := k.found("two"); !slices.Equal(got, []string{string(d.ID)}) {
		t.Errorf("after undo two is in %v", got)
	}
	k.sound()
	for _, after := range [][]int{nil, {0}, {3}, {2, 1}, {1, 1}, {-1}} {
		if _, _, err := k.Split(t.Context(), edit(back[0]), after); !errors.Is(err, ErrEdit) {
			t.Errorf("split after %v: %v, want ErrEdit", after, err)
		}
	}
}

func TestMerge(t *testing.T) {
	k := newDesk(t)
	a, b := k.document("a", "one"), k.document("b", "two", "three")
	got, change, err := k.Merge(t.Context(), []Edit{edit(a), edit(b)})
	k.must(err)
	if len(got.Pages) != 3 || !slices.Equal(k.found("three"), []string{string(a.ID)}) {
		t.Errorf("%+v, three is in %v", got.Pages, k.found("three"))
	}
	k.sound()

	// What was merged in ends with the trash; its pages live on.
	if err := k.DeleteDocument(t.Context(), edit(b)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("deleted as it was before: %v, want ErrConflict", err)
	}
	b, err = k.store.Document(b.ID)
	k.must(err)
	k.must(k.DeleteDocument(t.Context(), edit(b)))
	k.sound()
	if _, err := k.store.Page(b.Batch, 2); err != nil {
		t.Errorf("a page of the merged document is gone: %v", err)
	}
	if _, err := k.Undo(t.Context(), change, By{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("undo of what is deleted: %v, want ErrConflict", err)
	}
	k.must(k.DeleteDocument(t.Context(), edit(got)))
	for _, id := range []store.BatchID{a.Batch, b.Batch} {
		if _, err := k.store.Batch(id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("batch %s is left: %v", id, err)
		}
	}

	c, d := k.document("c", "x"), k.document("d", "y")
	_, change, err = k.Merge(t.Context(), []Edit{edit(c), edit(d)})
	k.must(err)
	back, err := k.Undo(t.Context(), change, By{})
	k.must(err)
	if len(back) != 2 || len(back[0].Pages) != 1 || !back[1].Trashed.IsZero() {
		t.Errorf("after undo %+v", back)
	}
	if _, _, err := k.Merge(t.Context(), []Edit{edit(back[0]), edit(back[0])}); !errors.Is(err, ErrEdit) {
		t.Errorf("merge with itself: %v, want ErrEdit", err)
	}
	k.sound()
}

// A damaged index is found, and filled again from the documents, while all goes on.
func TestDamagedIndexIsFilledAgain(t *testing.T) {
	k := newDesk(t)
	for range 20 {
		k.document("scan", "rent and "+store.NewID())
	}
	k.must(k.index.Tidy(t.Context())) // all is in the file now
	k.index.Shrink()                  // and in no cache
	file, err := os.OpenFile(filepath.Join(k.store.Dir(), "index.db"), os.O_RDWR, 0)
	k.must(err)
	info, err := file.Stat()
	k.must(err)
	for at := int64(4096); at < info.Size(); at += 4096 {
		_, err := file.WriteAt([]byte(strings.Repeat("x", 64)), at)
		k.must(err)
	}
	k.must(file.Close())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.keepIndex(ctx)
	}()
	for n := 0; n < 20; {
		r, err := k.index.Search(t.Context(), search.Query{Text: "rent"})
		if n = r.Total; err != nil || n < 20 {
			time.Sleep(time.Millisecond)
		}
	}
	stop()
	<-done
}

func TestTrash(t *testing.T) {
	k := newDesk(t)
	d := k.document("scan", "rent")
	d, _, err := k.Trash(t.Context(), edit(d))
	k.must(err)
	list := func(trash bool) int {
		l, err := k.store.Documents(store.DocumentQuery{Trash: trash})
		k.must(err)
		return len(l)
	}
	if list(false) != 0 || list(true) != 1 || len(k.found("rent")) != 0 {
		t.Errorf("%d documents, %d in the trash, found %v", list(false), list(true), k.found("rent"))
	}
	if n, err := k.Reindex(t.Context()); n != 0 || err != nil {
		t.Errorf("the index took %d from the trash, %v", n, err)
	}
	if _, _, err := k.Mark(t.Context(), edit(d), Marks{Title: "x"}); !errors.Is(err, ErrEdit) {
		t.Errorf("an edit in the trash: %v, want ErrEdit", err)
	}
	if d, _, err = k.Restore(t.Context(), d.ID, By{}); err != nil || len(k.found("rent")) != 1 {
		t.Errorf("restored: %v, found %v", err, k.found("rent"))
	}

	// Its time in the trash ends.
	d, _, err = k.Trash(t.Context(), edit(d))
	k.must(err)
	k.must(k.emptyTrash(t.Context()))
	if list(true) != 1 {
		t.Error("the trash is emptied too early")
	}
	_, err = k.store.UpdateDocument(d.ID, func(d *store.Document) error {
		d.Trashed = time.Now().AddDate(0, 0, -31)
		return nil
	})
	k.must(err)
	k.must(k.emptyTrash(t.Context()))
	if list(true) != 0 {
		t.Error("the trash is not emptied")
	}
}

// sound checks all that is stored.
func (k *desk) sound() {
	k.t.Helper()
	r, err := k.store.Check(k.t.Context())
	k.must(err)
	for _, p := range r.Problems {
		if p.Kind != store.ProblemOrphanBlob {
			k.t.Errorf("check: %+v", p)
		}
	}
}

// What people type may be anything; what is kept has one form.
func FuzzMarks(f *testing.F) {
	f.Add("Title", "tag, two", "2026-01-02")
	f.Add("\u202egnp", "#\x00", "x")
	f.Add("a"+strings.Repeat("\u0301\u200d", 20), "# #\u0130"+strings.Repeat("\u0301", 6), "")
	f.Fuzz(func(t *testing.T, title, tag, date string) {
		m := Marks{Title: title, Tags: []string{tag}, Date: date}
		if m.tidy() != nil {
			return
		}
		again := m
		if err := again.tidy(); err != nil || again.Title != m.Title || !slices.Equal(again.Tags, m.Tags) {
			t.Errorf("%+v is not tidy: %+v, %v", m, again, err)
		}
		if !Readable(m.Title) || slices.ContainsFunc(m.Tags, func(s string) bool { return !Readable(s) }) {
			t.Errorf("kept as %q and %q", m.Title, m.Tags)
		}
	})
}
