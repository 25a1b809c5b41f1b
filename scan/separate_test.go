package scan

import (
	"image"
	"image/draw"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/boombuler/barcode/code128"

	"docscan/scan/text"
	"docscan/store"
)

// drawBars draws a Code 128 of 150 dpi.
func drawBars(t *testing.T, m *image.Gray, text string, x, y int) {
	t.Helper()
	const module, height = 3, 80
	b, err := code128.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Bounds().Dx() {
		if v, _, _, _ := b.At(i, 0).RGBA(); v < 0x8000 {
			draw.Draw(m, image.Rect(x+module*i, y, x+module*(i+1), y+height), image.Black, image.Point{}, draw.Src)
		}
	}
}

// stack makes pages of a picture of a stack: a group for each sheet, a letter for
// each side. p is a page, b blank and set aside, B blank and kept, s a separator,
// l a page with a label.
func stack(s string) []store.Page {
	var pages []store.Page
	for sheet, sides := range strings.Fields(s) {
		for i, c := range sides {
			p := store.Page{Seq: len(pages) + 1, Sheet: sheet + 1, Back: i == 1}
			switch c {
			case 'b':
				p.Aside, p.Blank = store.AsideBlank, true
			case 'B':
				p.Blank = true
			case 's':
				p.Aside = store.AsideSeparator
			case 'l':
				p.ASN = p.Seq
			}
			pages = append(pages, p)
		}
	}
	return pages
}

func TestDivide(t *testing.T) {
	tests := []struct {
		name  string
		rules store.Separation
		stack string
		want  string // the numbers of the pages of each document
		aside string
	}{
		{"no rule", store.Separation{}, "pb pb pp", "1 3 5 6", ""},
		{"separators", store.Separation{Patch: true}, "pb sb pp sb pb", "1|5 6|9", ""},
		{"first and last, and two in a row", store.Separation{Patch: true}, "s p s s p s", "2|5", ""},
		{"print on its back", store.Separation{Patch: true}, "pb sp pb", "1|4 5", ""},
		{"on the back of a page", store.Separation{Patch: true}, "pb ps pb", "1 3|5", ""},
		{"print on its back goes too", store.Separation{Patch: true, Back: BackSheet}, "pb sp pb", "1|5", "4"},
		{"bare back where blank sides stay", store.Separation{Patch: true}, "pB sB pB", "1 2|5 6", "4"},
		{"nothing but separators", store.Separation{Patch: true}, "s s", "", ""},
		{"blank sheets", store.Separation{Blank: true}, "pb bb pp bb pb", "1|5 6|9", "3 4 7 8"},
		{"blank sheets where blank sides stay", store.Separation{Blank: true}, "pB BB Bp", "1 2|5 6", "3 4"},
		{"every two sheets", store.Separation{Sheets: 2}, "pb pp pb pb pp", "1 3 4|5 7|9 10", ""},
		{"every sheet, without empty ones", store.Separation{Sheets: 1}, "pb bb pp", "1|5 6", ""},
		{"count begins again after a separator", store.Separation{Sheets: 2, Patch: true}, "p p p s p p", "1 2|3|5 6", ""},
		{"labels", store.Separation{Label: true}, "lb pb lb pp", "1 3|5 7 8", ""},
		{"a label on a back", store.Separation{Label: true}, "pl pb", "1|2 3", ""},
		{"labels part nothing without the rule", store.Separation{Patch: true}, "lb lb", "1 3", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			numbers := func(pages []store.Page) string {
				var list []string
				for _, p := range pages {
					list = append(list, strconv.Itoa(p.Seq))
				}
				return strings.Join(list, " ")
			}
			parts, aside := divide(tt.rules, stack(tt.stack))
			var got []string
			for _, p := range parts {
				got = append(got, numbers(p))
			}
			if s := strings.Join(got, "|"); s != tt.want || numbers(aside) != tt.aside {
				t.Errorf("documents %q and aside %q, want %q and %q", s, numbers(aside), tt.want, tt.aside)
			}
		})
	}
}

func TestArchiveNumber(t *testing.T) {
	tests := []struct {
		prefix, text string
		want         int
	}{
		{"ASN", "ASN00123", 123},
		{"ASN", "asn 000124", 124},
		{"ASN", "ASN-7", 7},
		{"ASN", "ASN", 0},
		{"ASN", "ASN0", 0},
		{"ASN", "ASN12a", 0},
		{"ASN", "XASN12", 0},
		{"ASN", "ASN1234567890", 0},
		{"ASN", "PATCHT", 0},
		{"Akte/", "akte/12", 12},
		{"", "12", 0},
	}
	for _, tt := range tests {
		if got := archiveNumber(tt.prefix, tt.text); got != tt.want {
			t.Errorf("archiveNumber(%q, %q) = %d, want %d", tt.prefix, tt.text, got, tt.want)
		}
	}
}

// A label is bytes from outside.
func FuzzArchiveNumber(f *testing.F) {
	f.Add("ASN", "ASN00123")
	f.Fuzz(func(t *testing.T, prefix, text string) {
		if n := archiveNumber(prefix, text); n < 0 || n > maxASN {
			t.Errorf("archiveNumber(%q, %q) = %d", prefix, text, n)
		}
	})
}

func TestDocumentIDsAreInOrder(t *testing.T) {
	b := store.Batch{Documents: []store.DocumentID{"018f0000-0000-7000-8000-00000000ff02"}}
	before := store.DocumentID("")
	for n := range 600 {
		id, err := documentID(b, n)
		if err != nil || id <= before || store.CheckID(string(id)) != nil {
			t.Fatalf("document %d has the ID %s (%v), after %s", n, id, err, before)
		}
		before = id
	}
	if id, err := documentID(b, 0); err != nil || id != b.Documents[0] {
		t.Errorf("the first one has the ID %s (%v), want that of the batch", id, err)
	}
}

// A stack with separators becomes documents, each found by its own words; the
// separators are kept, and one that is put back stands where it lay.
func TestSeparation(t *testing.T) {
	e := testEngine(t)
	const words = "The first paper has some words\nto be read and kept"
	profile := store.Profile{Separation: store.Separation{Patch: true}}
	b := scanned(t, e, profile, words, "", "code128:PATCHT", "", "Another paper follows here\nwith other words\ncode128:ASN00123\n", "",
		"code128:PATCHT", "", "The last paper stands alone\nin this stack\ncode128:ASN00123\n\n\ncode128:K-4711-B", "")
	if len(b.Documents) != 3 {
		t.Fatalf("%d documents, want 3", len(b.Documents))
	}
	var docs []store.Document
	for i, want := range [][]int{{1}, {5}, {9}} {
		d, err := e.store.Document(b.Documents[i])
		if err != nil {
			t.Fatal(err)
		}
		var seqs []int
		for _, p := range d.Pages {
			seqs = append(seqs, p.Seq)
		}
		if !slices.Equal(seqs, want) {
			t.Errorf("document %d has the pages %v, want %v", i+1, seqs, want)
		}
		docs = append(docs, d)
	}
	// One number is for one document.
	if docs[0].ASN != 0 || docs[1].ASN != 123 || docs[2].ASN != 0 {
		t.Errorf("archive numbers are %d, %d and %d", docs[0].ASN, docs[1].ASN, docs[2].ASN)
	}
	if !slices.ContainsFunc(docs[2].Notes, func(n string) bool { return strings.Contains(n, "123") }) {
		t.Errorf("the third document's notes are %q", docs[2].Notes)
	}
	if list, err := e.store.Numbered(123); err != nil || len(list) != 1 || list[0].ID != docs[1].ID {
		t.Errorf("number 123 is that of %v (%v)", list, err)
	}
	p, err := e.store.Page(b.ID, 9)
	if err != nil {
		t.Fatal(err)
	}
	content, err := e.PageText(p)
	if err != nil {
		t.Fatal(err)
	}
	if len(content.Codes) != 2 || !strings.Contains(content.Findable(), "K-4711-B") || strings.Contains(content.Plain(), "4711") {
		t.Errorf("the last page has the codes %v and the text %q", content.Codes, content.Plain())
	}
	sep, err := e.store.Page(b.ID, 3)
	if err != nil || sep.Aside != store.AsideSeparator || sep.Words != 0 {
		t.Errorf("the separator is %+v (%v)", sep, err)
	}

	aside, err := e.Aside(docs[1])
	if err != nil {
		t.Fatal(err)
	}
	var seqs []int
	for _, p := range aside {
		seqs = append(seqs, p.Seq)
	}
	if !slices.Equal(seqs, []int{3, 4, 6}) {
		t.Errorf("with the second document the sides %v are aside, want the separator before it and its own back", seqs)
	}
	by := By{Actor: "anna"}
	back := append([]store.DocumentPage{{Batch: b.ID, Seq: 3}}, docs[1].Pages...)
	d, _, err := e.Arrange(t.Context(), Edit{docs[1].ID, docs[1].Revision, by}, back)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Pages) != 2 || d.Pages[0].Seq != 3 {
		t.Errorf("with its separator the document has the pages %v", d.Pages)
	}
	// By hand, too, one number is for one document.
	m := MarksOf(docs[2])
	m.ASN = 123
	if _, _, err := e.Mark(t.Context(), Edit{docs[2].ID, docs[2].Revision, by}, m); err == nil {
		t.Error("the number of another document was taken")
	}
	m.ASN = 124
	if d, _, err = e.Mark(t.Context(), Edit{docs[2].ID, docs[2].Revision, by}, m); err != nil || d.ASN != 124 {
		t.Errorf("number %d (%v), want 124", d.ASN, err)
	}
	if n, err := e.store.LastNumber(); n != 124 || err != nil {
		t.Errorf("the last number is %d (%v), want 124", n, err)
	}
}

// A batch of separators alone hides nothing.
func TestNothingButSeparators(t *testing.T) {
	e := testEngine(t)
	b := scanned(t, e, store.Profile{Separation: store.Separation{Code: "next"}}, "code128:NEXT", "", "code128:next", "")
	if len(b.Documents) != 1 || !slices.Equal(places(t, e, b), []int{1, 2, 3, 4}) {
		t.Errorf("documents %v, the first with the sides %v", b.Documents, places(t, e, b))
	}
}

// The bars of a patch sheet are no text.
func TestPatchIsNotFound(t *testing.T) {
	p := text.Page{Codes: []text.Code{{Kind: text.Patch, Text: "T"}, {Kind: "qr", Text: "ASN5"}}}
	if got := p.Findable(); got != "ASN5" {
		t.Errorf("it is found by %q", got)
	}
}

// Of two labels on one page the first one counts, and the other is told; the same one twice is one.
func TestTwoLabelsOnAPage(t *testing.T) {
	k := newDesk(t)
	d := store.Document{ID: "d"}
	content := []*text.Page{{Codes: []text.Code{{Text: "ASN00301"}, {Text: "asn 302"}, {Text: "ASN301"}, {Text: "4711"}}}, nil}
	k.must(k.number(&d, []store.Page{{ASN: 301}, {ASN: 301}}, content, nil))
	if d.ASN != 301 || len(d.Notes) != 1 || d.Notes[0] != "Page 1: its label says archive number 302, too." {
		t.Errorf("archive number %d, notes %q", d.ASN, d.Notes)
	}
	// Another document of the stack has the first one: the second, which may be no label at all,
	// is not taken in its place.
	o := store.Document{ID: "o"}
	k.must(k.number(&o, []store.Page{{ASN: 301}}, content[:1], []store.Document{d}))
	want := []string{"Page 1: its label says archive number 301, which another document bears already.", "Page 1: its label says archive number 302, too."}
	if o.ASN != 0 || !slices.Equal(o.Notes, want) {
		t.Errorf("archive number %d, notes %q", o.ASN, o.Notes)
	}
}
