package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	sqlite3 "github.com/mattn/go-sqlite3"
	"golang.org/x/text/unicode/norm"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// pages gives pages with these texts, whose names are the texts themselves, for named
// to give back.
func pages(texts ...string) []Page {
	var all []Page
	for _, t := range texts {
		all = append(all, Page{t, t})
	}
	return all
}

func named(name string) (string, error) { return name, nil }

func openTest(t testing.TB) *Index {
	t.Helper()
	x, err := Open(filepath.Join(t.TempDir(), "odd #?% name", "search.db"), named, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func fill(t testing.TB, x *Index) {
	t.Helper()
	for _, d := range []Doc{
		{ID: "a", Owner: "anna", Title: "Heating", Revision: 1, Pages: pages("Invoice for the boiler room", "Terms of payment: thirty days")},
		{ID: "b", Owner: "ben", Title: "Letter", Revision: 3, Pages: pages("Über die Prüfung der Straße", "An invoice follows")},
		{ID: "c", Owner: "", Title: "Invoice of the garage", Revision: 1, Pages: pages("Four tyres, fitted")},
	} {
		if err := x.Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSearch(t *testing.T) {
	x := openTest(t)
	fill(t, x)
	anna := "anna"
	tests := []struct {
		text  string
		owner *string
		want  string // documents and pages, the best first
	}{
		{"invoice", nil, "c1 b2 a1"},
		{"invoice", &anna, "c1 a1"},
		{"INVOI", nil, "c1 b2 a1"},
		{"uber strasse", nil, ""}, // ß is no diacritic
		{"uber pruf", nil, "b1"},
		{"Über", nil, "b1"},
		{`"boiler room"`, nil, "a1"},
		{`"room boiler"`, nil, ""},
		{"invoice -boiler", nil, "c1 b2"},
		{"-boiler", nil, "c0 b0"},
		{"-boiler", &anna, "c0"},
		{"-boiler -garage", nil, "b0"},
		{`-"boiler room"`, nil, "c0 b0"},
		{`-"room boiler"`, &anna, "c0 a0"},
		{"-", nil, ""},
		{"", nil, ""},
		{`"`, nil, ""},
		{`AND OR NOT NEAR( title: * ^ ' ; DROP TABLE docs`, nil, ""},
		{"thirty-days", nil, "a2"},
		{"payment: thirty", nil, "a2"},
		{"boiler thirty", nil, "a1"},      // on different pages of one document
		{"invoice -thirty", nil, "c1 b2"}, // anywhere in it
		{"invoice -straße", nil, "c1 a1"},
		{"title:invoice", nil, "c0"},
		{"invoice -title:invoice", nil, "b2 a1"},
	}
	for _, tt := range tests {
		r, err := x.Search(t.Context(), Query{Text: tt.text, Owner: tt.owner})
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
		}
		var got []string
		for _, h := range r.Hits {
			got = append(got, fmt.Sprintf("%s%d", h.ID, h.Page))
		}
		if s := strings.Join(got, " "); s != tt.want || r.Total != len(r.Hits) {
			t.Errorf("%q: %q, total %d, want %q", tt.text, s, r.Total, tt.want)
		}
	}
}

func TestFilters(t *testing.T) {
	x := openTest(t)
	zone := time.FixedZone("east", 2*3600)
	for _, d := range []Doc{
		{ID: "a", Title: "One", Created: time.Date(2026, 3, 9, 23, 30, 0, 0, zone), Day: "2026-03-01", Type: "Invoice", Sender: "Stadtwerke München", Tags: []string{"tax 2026", "house"}, ASN: 12, Pages: pages("boiler")},
		{ID: "b", Title: "Two", Created: time.Date(2026, 4, 1, 0, 0, 0, 0, zone), Day: "2025-12-31", Type: "Contract", Sender: "50% off", Tags: []string{"house"}, ASN: 20, Pages: pages("boiler boiler")},
		{ID: "c", Title: "Three", Created: time.Date(2027, 1, 1, 0, 0, 0, 0, zone), Pages: pages("garage", "more")},
	} {
		if err := x.Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ text, want string }{
		{"type:invoice", "a0"},
		{"TYPE:INV", "a0"},
		{`type:"inv"`, ""}, // in quotes: all of it
		{"tag:house", "b0 a0"},
		{`tag:"tax 2026"`, "a0"},
		{"from:munchen", "a0"},
		{"from:50%", "b0"},
		{"from:5_%", ""},
		{"created:2026", "b0 a0"},
		{"created:2026-03", "a0"},
		{"created:2026-03-09", "a0"},
		{"created:2026-03-10", ""},
		{"created:>2026-03", "c0 b0"},
		{"created:<=2026-03", "a0"},
		{"created:2026-04..", "c0 b0"},
		{"created:2026-03..2026-04", "b0 a0"},
		{"date:2026-03-01", "a0"},
		{"date:<2026", "b0"},
		{"asn:12", "a0"},
		{"asn:10..30", "b0 a0"},
		{"-tag:house", "c0"},
		{"boiler tag:tax", "a1"},
		{"boiler -type:contract", "a1"},
		{"tag:house boiler", "b1 a1"},
		{"invoice", "a1"},  // what is said of it is found as its text is
		{"tag: house", ""}, // words
		{"created:soon", "refused created:soon"},
		{"created:2026-13 boiler", "refused created:2026-13"},
		{"asn:x", "refused asn:x"},
		{"created:..", ""}, // no word at all
	}
	for _, tt := range tests {
		r, err := x.Search(t.Context(), Query{Text: tt.text, Zone: zone})
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
		}
		var got []string
		for _, h := range r.Hits {
			got = append(got, fmt.Sprintf("%s%d", h.ID, h.Page))
		}
		if len(r.Refused) > 0 {
			got = append([]string{"refused"}, r.Refused...)
		}
		if s := strings.Join(got, " "); s != tt.want || r.Total != len(r.Hits) {
			t.Errorf("%q: %q, total %d, want %q", tt.text, s, r.Total, tt.want)
		}
	}
}

func TestMatches(t *testing.T) {
	words := strings.Fields("Über die thirty-days Prüfung: die Prüfung, und Über alles")
	tests := []struct{ query, want string }{
		{"pruf", "Prüfung: Prüfung,"},
		{`"die prufung"`, "die Prüfung,"},
		{`"pruf"`, ""},
		{"uber -alles type:x", "Über Über"},
		{"days", "thirty-days"},
		{"thirty-da", "thirty-days"},
		{"", ""},
		{"a zz", "alles"},
	}
	for _, tt := range tests {
		var got []string
		for i, m := range Matches(tt.query, words) {
			if m {
				got = append(got, words[i])
			}
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%q marks %q, want %q", tt.query, s, tt.want)
		}
	}
	if m := Matches("two words here", []string{"two"}); m[0] != true {
		t.Error("a text shorter than the query loses its match")
	}
	if m := Matches(`"two words"`, []string{"two"}); m[0] {
		t.Error("a phrase matches a text that is shorter")
	}
}

// foldSlowly is fold as it is defined.
func foldSlowly(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.Join(strings.Fields(s), " ")) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return norm.NFC.String(b.String())
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"Invoice  No. 7\n", "Über die Straße", "a\u0301 A\u030a\u0327", "\u212a\u00a0\u2003x", "각\u1112\u1161", "\xff\xc3a", "İ", "e\u0301\u0302", " \u0301a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			s = strings.ToValidUTF8(s, " ")
		}
		// A mark that stands alone leaves nothing, not even a space before it.
		want := strings.Join(strings.Fields(foldSlowly(s)), " ")
		if got := fold(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	})
}

func TestSaid(t *testing.T) {
	x := openTest(t)
	for i, d := range []Doc{
		{Owner: "anna", Type: "Invoice", Sender: "Bank", Tags: []string{"tax", "House"}},
		{Owner: "anna", Type: "invoice", Tags: []string{"tax"}},
		{Owner: "ben", Type: "Contract", Tags: []string{"secret"}},
	} {
		d.ID = fmt.Sprint(i)
		if err := x.Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	anna := "anna"
	got, err := x.Said(t.Context(), Query{Owner: &anna})
	if want := (Said{Types: []string{"Invoice"}, Senders: []string{"Bank"}, Tags: []string{"tax", "House"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if all, err := x.Said(t.Context(), Query{}); err != nil || len(all.Types) != 2 || len(all.Tags) != 3 {
		t.Errorf("of all: %+v, %v", all, err)
	}
	if err := x.Put(t.Context(), Doc{ID: "3", Owner: "anna", Type: "Report"}); err != nil {
		t.Fatal(err)
	}
	x.said["\x00anna"] = saidLists{took: long} // it was quick
	if got, err := x.Said(t.Context(), Query{Owner: &anna}); err != nil || !slices.Contains(got.Types, "Report") {
		t.Errorf("after a change: %+v, %v", got, err)
	}
}

func TestSnippet(t *testing.T) {
	x := openTest(t)
	if err := x.Put(t.Context(), Doc{ID: "a", Pages: pages("The \uE000<b>boiler</b> is old")}); err != nil {
		t.Fatal(err)
	}
	r, err := x.Search(t.Context(), Query{Text: "boiler"})
	if err != nil || len(r.Hits) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	want := []Span{{"The <b>", false}, {"boiler", true}, {"</b> is old", false}}
	if got := r.Hits[0].Snippet; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A text is read from the store once, and once more when memory was wanted back.
func TestTextsAreKept(t *testing.T) {
	reads := 0
	x, err := Open(filepath.Join(t.TempDir(), "search.db"), func(name string) (string, error) { reads++; return name, nil }, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	fill(t, x)
	find := func() {
		t.Helper()
		r, err := x.Search(t.Context(), Query{Text: `"boiler room"`})
		if err != nil || len(r.Hits) != 1 || len(r.Hits[0].Snippet) == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	find()
	before := x.CacheBytes()
	find()
	if reads != 1 {
		t.Errorf("read %d times", reads)
	}
	x.Shrink()
	if after := x.CacheBytes(); after >= before {
		t.Errorf("caches hold %d bytes, %d before", after, before)
	}
	find()
	if reads != 2 {
		t.Errorf("read %d times", reads)
	}
}

// A phrase is one where its words stand one after the other, on one page.
func TestPhrases(t *testing.T) {
	x := openTest(t)
	for _, d := range []Doc{
		{ID: "a", Title: "Green tractor", Pages: pages("the tractor is green", "a red tractor")},
		{ID: "b", Title: "Bill", Pages: pages("green", "tractor and a green tractor, 12.50 paid")},
		{ID: "c", Title: "List", Pages: pages("12 pieces, 50 boxes; tractor green")},
	} {
		if err := x.Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ text, want string }{
		{`"green tractor"`, "a1 b2"}, // in a title, too
		{`"tractor green"`, "c1"},
		{`"red tractor" green`, "a2"},
		{"12.50", "b2"},
		{"12.5", "b2"},
		{`tractor -"green tractor"`, "c1"},
		{`"green boat"`, ""},
	} {
		r, err := x.Search(t.Context(), Query{Text: tt.text})
		got := ""
		for _, h := range r.Hits {
			got += fmt.Sprint(h.ID, h.Page, " ")
		}
		if got = strings.TrimSpace(got); err != nil || got != tt.want || r.Total != len(r.Hits) || r.More || r.Next != 0 {
			t.Errorf("%s: %q, %+v, %v, want %q", tt.text, got, r, err, tt.want)
		}
	}
	// In pages of one, each comes once.
	var got []string
	for at := 0; ; {
		r, err := x.Search(t.Context(), Query{Text: `"green tractor"`, Limit: 1, Offset: at})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range r.Hits {
			got = append(got, h.ID)
		}
		if at = r.Next; at == 0 {
			break
		}
	}
	if !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("in pages of one: %q", got)
	}
}

// Whatever is asked, what is found is what a look at each document finds, and comes once.
func TestFoundIsWhatFits(t *testing.T) {
	x := openTest(t)
	r := rand.New(rand.NewPCG(5, 6))
	words := strings.Fields("green greenhouse greens tractor red boat paid")
	text := func(most int) string {
		var b []string
		for range r.IntN(most) {
			b = append(b, words[r.IntN(len(words))])
		}
		return strings.Join(b, " ")
	}
	docs := make(map[string]Doc)
	for i := range 3 * few {
		d := Doc{ID: fmt.Sprint(i), Title: text(3), Remark: text(3), Created: time.Unix(int64(r.IntN(100)), 0)}
		for range 1 + r.IntN(3) {
			d.Pages = append(d.Pages, pages(text(6))...)
		}
		docs[d.ID] = d
		if err := x.Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	for range 300 {
		var q []string
		for range 1 + r.IntN(3) {
			term := words[r.IntN(len(words))]
			switch r.IntN(4) {
			case 0:
				term = term[:min(len(term), 5)]
			case 1, 2:
				term = `"` + term + " " + words[r.IntN(len(words))] + `"`
			}
			if r.IntN(3) == 0 {
				term = "-" + term
			}
			q = append(q, term)
		}
		query := strings.Join(q, " ")
		want := make(map[string]bool)
		for id, d := range docs {
			fits := true
			for _, term := range parse(query) {
				has := term.in(d.Title) || term.in(d.Remark) || slices.ContainsFunc(d.Pages, func(p Page) bool { return term.in(p.Text) })
				fits = fits && has != term.not
			}
			if fits {
				want[id] = true
			}
		}
		got := make(map[string]bool)
		for at := 0; ; {
			r, err := x.Search(t.Context(), Query{Text: query, Limit: 7, Offset: at})
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range r.Hits {
				if got[h.ID] {
					t.Errorf("%s: document %s came twice", query, h.ID)
				}
				got[h.ID] = true
			}
			if at = r.Next; at == 0 {
				break
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %d documents, want %d", query, len(got), len(want))
		}
	}
}

// Words that a beginning may stand for are asked for one by one, unless they are many; what
// is found is the same.
func TestLengthen(t *testing.T) {
	x := openTest(t)
	texts := []string{"boil boiled böller boiler", "boilers", "bold boiler2", "Straßenbahn", "straße"}
	for range 2 * maxSame {
		texts = append(texts, "boiler boat", "boilers")
	}
	for i := range maxLonger {
		texts = append(texts, fmt.Sprintf("many%d sever%[1]d", i))
	}
	texts = append(texts, "manyfold")
	var docs []Doc
	for i, text := range texts {
		docs = append(docs, Doc{ID: fmt.Sprint(i), Pages: pages(text)})
	}
	if err := x.Put(t.Context(), docs...); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		term   string
		longer string
		found  int
	}{
		{"boile", "boiled boiler boiler2 boilers", 4*maxSame + 3},
		{"boiler", "boiler boiler2 boilers", 4*maxSame + 3},
		{"boat-boile", "boiled boiler boiler2 boilers", 0}, // on pages with both, but not one after the other
		{"boiler-boa", "", 2 * maxSame},
		{"straß", "straße straßenbahn", 2},
		{"STRASS", "", 0},
		{"böll", "boller", 1},
		{"boi", "", 4*maxSame + 3}, // there are lists for three characters
		{`"boil"`, "", 1},
		{"boilersuit", "", 0},
		{"sever", strings.Join(severs(), " "), maxLonger},
		{"many", "", maxLonger + 1},
	} {
		term := parse(tt.term)[0]
		if err := x.lengthen(t.Context(), &term, &stretch{maxLonger, maxSought}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(term.longer, " "); got != tt.longer {
			t.Errorf("%s: stands for %q, want %q", tt.term, got, tt.longer)
		}
		r, err := x.Search(t.Context(), Query{Text: tt.term, Limit: 1000})
		if err != nil || len(r.Hits) != tt.found {
			t.Errorf("%s: %d found, %v, want %d", tt.term, len(r.Hits), err, tt.found)
		}
	}
	// All terms of a query together may stand for so many words, and be sought so often.
	p, _, _, err := x.plan(t.Context(), &Query{Text: "boile sever boiler straß"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`(("boiled" OR "boiler" OR "boiler2" OR "boilers"))`, `("sever"*)`, `(("boiler" OR "boiler2" OR "boilers"))`, `(("straße" OR "straßenbahn"))`}
	if !slices.Equal(p.terms, want) {
		t.Errorf("%q, want %q", p.terms, want)
	}
	once := stretch{maxLonger, 1}
	term := parse("boile")[0]
	if err := x.lengthen(t.Context(), &term, &once); err != nil || len(term.longer) > 0 {
		t.Errorf("%q, %v: two words are on many pages, and one may be sought", term.longer, err)
	}
}

// severs are the words of TestLengthen that are as many as may be asked for at once.
func severs() (list []string) {
	for i := range maxLonger {
		list = append(list, fmt.Sprintf("sever%d", i))
	}
	slices.Sort(list)
	return list
}

// An index that an earlier version made has no table of places yet, and gets it.
func TestIndexOfAnEarlierVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "search.db")
	x, err := Open(path, named, quiet)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, x)
	if _, err := x.db.Load().Exec("DROP TABLE places"); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x, err = Open(path, named, quiet); err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if !x.places.Load() {
		t.Error("it has not got the table")
	}
	for range 2 { // the second time without it, as where it could not be added
		if r, err := x.Search(t.Context(), Query{Text: "invoi"}); err != nil || r.Total != 3 {
			t.Errorf("%d found, %v, want what was in it before", r.Total, err)
		}
		if _, err := x.db.Load().Exec("DROP TABLE IF EXISTS places"); err != nil {
			t.Fatal(err)
		}
		x.places.Store(false)
	}
}

// Many that fit are not all counted, and all come by and by.
func TestMoreThanTheWindow(t *testing.T) {
	x := openTest(t)
	const many = window + 150
	var docs []Doc
	for i := range many {
		docs = append(docs, Doc{ID: fmt.Sprint(i), Created: time.Unix(int64(i), 0), Pages: pages("tractor")})
	}
	if err := x.Put(t.Context(), docs...); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{400, 100, 25} { // 100 and 25 end where the window does
		seen := make(map[string]bool)
		for at := 0; ; {
			r, err := x.Search(t.Context(), Query{Text: "tractor", Limit: limit, Offset: at})
			if err != nil {
				t.Fatal(err)
			}
			if at == 0 && (r.Total != window || !r.More || r.Hits[0].ID != fmt.Sprint(many-1)) {
				t.Errorf("total %d, more %t, first %s", r.Total, r.More, r.Hits[0].ID)
			}
			for _, h := range r.Hits {
				seen[h.ID] = true
			}
			if r.Next != 0 && r.Next <= at {
				t.Fatalf("%d come each: after %d comes %d", limit, at, r.Next)
			}
			if at = r.Next; at == 0 {
				break
			}
		}
		if len(seen) != many {
			t.Errorf("%d each: %d came, want %d", limit, len(seen), many)
		}
	}
}

func TestPutReplacesAndDelete(t *testing.T) {
	x := openTest(t)
	fill(t, x)
	if err := x.Put(t.Context(), Doc{ID: "a", Revision: 2, Title: "Heating", Pages: pages("nothing left")}); err != nil {
		t.Fatal(err)
	}
	if err := x.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if err := x.Delete(t.Context(), "unknown"); err != nil {
		t.Errorf("deleting what is not there: %v", err)
	}
	got, err := x.Revisions(t.Context())
	if want := map[string]int{"a": 2, "c": 1}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("revisions %v, %v, want %v", got, err, want)
	}
	r, err := x.Search(t.Context(), Query{Text: "boiler"})
	if err != nil || r.Total != 0 {
		t.Errorf("the replaced text is still found: %+v, %v", r, err)
	}
}

func TestLimitAndOffset(t *testing.T) {
	x := openTest(t)
	fill(t, x)
	r, err := x.Search(t.Context(), Query{Text: "invoice", Limit: 1, Offset: 1})
	if err != nil || r.Total != 3 || len(r.Hits) != 1 || r.Hits[0].ID != "b" {
		t.Errorf("%+v, %v, want b of 3", r, err)
	}
}

// A damaged index is no reason not to start: what cannot be read at all is made anew
// at once, and the rest is found soon.
func TestDamagedIndexIsMadeAnew(t *testing.T) {
	for name, tt := range map[string]struct {
		damage func([]byte) []byte
		later  bool // found by Check
	}{
		"not a database": {func([]byte) []byte { return []byte("this is no database, but long enough to look at") }, false},
		"empty":          {func([]byte) []byte { return nil }, false},
		"truncated":      {func(b []byte) []byte { return b[:len(b)/2] }, false},
		"overwritten": {func(b []byte) []byte {
			for page := 4096; page < len(b); page += 2 * 4096 {
				copy(b[page:], strings.Repeat("x", 64))
			}
			return b
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "search.db")
			x, err := Open(path, named, quiet)
			if err != nil {
				t.Fatal(err)
			}
			fill(t, x)
			if err := x.Check(t.Context()); err != nil {
				t.Errorf("a whole index: %v", err)
			}
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tt.damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			x, err = Open(path, named, quiet)
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Check(t.Context()); errors.Is(err, ErrDamaged) != tt.later || err != nil && !tt.later {
				t.Errorf("Check: %v", err)
			}
			if tt.later {
				// Who meets the damage first tells of it.
				_, serr := x.Search(t.Context(), Query{Text: "invoice"})
				_, rerr := x.Revisions(t.Context())
				if serr != nil && !errors.Is(serr, ErrDamaged) || rerr != nil && !errors.Is(rerr, ErrDamaged) {
					t.Errorf("%v, %v, want %v where there is an error", serr, rerr, ErrDamaged)
				}
				select {
				case <-x.Damaged():
				default:
					t.Errorf("nothing is said of the damage: %v, %v", serr, rerr)
				}
				if err := x.Renew(); err != nil {
					t.Fatal(err)
				}
			}
			if r, err := x.Revisions(t.Context()); err != nil || len(r) != 0 {
				t.Errorf("%v, %v, want an empty index", r, err)
			}
			fill(t, x)
			// It is there after the next start, and another renewal goes as well.
			for range 2 {
				if r, err := x.Search(t.Context(), Query{Text: "invoice"}); err != nil || r.Total != 3 {
					t.Errorf("%+v, %v, want 3 documents", r, err)
				}
				if err := x.Close(); err != nil {
					t.Fatal(err)
				}
				if x, err = Open(path, named, quiet); err != nil {
					t.Fatal(err)
				}
			}
			if err := x.Renew(); err != nil {
				t.Fatal(err)
			}
			if r, err := x.Revisions(t.Context()); err != nil || len(r) != 0 {
				t.Errorf("%v, %v, want an empty index", r, err)
			}
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 1 {
				t.Errorf("files left: %v, %v, want the database", left, err)
			}
		})
	}
}

// Who is broken off by Close can tell that from a fault.
func TestClosed(t *testing.T) {
	x, err := Open(filepath.Join(t.TempDir(), "search.db"), named, quiet)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, x)
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := x.Search(ended, Query{Text: "invoice"}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrClosed) {
		t.Errorf("who goes away from an open one: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() error{
		"search":    func() error { _, err := x.Search(t.Context(), Query{Text: "invoice"}); return err },
		"phrase":    func() error { _, err := x.Search(t.Context(), Query{Text: `"boiler room"`}); return err },
		"suggest":   func() error { _, err := x.Suggest(t.Context(), Query{Text: "invoise"}); return err },
		"said":      func() error { _, err := x.Said(t.Context(), Query{}); return err },
		"sharing":   func() error { _, err := x.Sharing(t.Context(), []uint64{1}, 1); return err },
		"revisions": func() error { _, err := x.Revisions(t.Context()); return err },
		"put":       func() error { return x.Put(t.Context(), Doc{ID: "d", Title: "Late"}) },
	} {
		if err := ask(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want %v", name, err, ErrClosed)
		}
	}
}

// Who works with an index that is replaced meanwhile learns that it was damaged; and the
// one that has taken its place is not replaced for that in turn.
func TestReplacedMeanwhile(t *testing.T) {
	x, err := Open(filepath.Join(t.TempDir(), "search.db"), named, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	fill(t, x)
	err = x.change(t.Context(), func(tx *sql.Tx) error {
		x.damaged <- struct{}{} // by somebody who had met it before
		if err := x.Renew(); err != nil {
			t.Error(err)
		}
		return sqlite3.Error{Code: sqlite3.ErrCorrupt}
	})
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("at work: %v, want %v", err, ErrDamaged)
	}
	old := x.db.Load()
	if err := x.Renew(); err != nil {
		t.Fatal(err)
	}
	err = old.PingContext(t.Context()) // which is closed
	if x.watch(old, &err); !errors.Is(err, ErrDamaged) || errors.Is(err, ErrClosed) {
		t.Errorf("afterwards: %v, want %v", err, ErrDamaged)
	}
	select {
	case <-x.Damaged():
		t.Error("the new one is taken for damaged")
	default:
	}
	fill(t, x)
	if r, err := x.Search(t.Context(), Query{Text: "invoice"}); err != nil || r.Total != 3 {
		t.Errorf("%+v, %v, want 3 documents", r, err)
	}
}

// Nothing a person types may reach the query language of FTS5.
func FuzzSearch(f *testing.F) {
	for _, s := range []string{"invoice", `"a b" -c`, `""`, `-"`, "a*", "a:b", "(", "NEAR(a b)", "\x00", "ß", "\uE000", "type:x", `tag:"a b" -from:c`, "created:2026-03..", "asn:1..2", "title:(", `date:">"`} {
		f.Add(s)
	}
	x := openTest(f)
	fill(f, x)
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := x.Search(t.Context(), Query{Text: s}); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func TestSharing(t *testing.T) {
	x := openTest(t)
	put := func(id string, marks ...uint64) {
		t.Helper()
		if err := x.Put(t.Context(), Doc{ID: id, Revision: 1, Pages: pages("text"), Marks: marks}); err != nil {
			t.Fatal(err)
		}
	}
	put("a", 1, 2, 1<<63)
	put("b", 2, 1<<63)
	put("c", 3)
	sharing := func(marks ...uint64) string {
		t.Helper()
		list, err := x.Sharing(t.Context(), marks, 10)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(list, " ")
	}
	if got := sharing(1, 2, 1<<63); got != "a b" {
		t.Errorf("%q, want the one with most marks first", got)
	}
	if got := sharing(); got != "" {
		t.Errorf("without marks: %q", got)
	}
	put("a", 3, 3)
	if got := sharing(1); got != "" {
		t.Errorf("%q has a mark that was taken from it", got)
	}
	if got := sharing(3); got != "c a" {
		t.Errorf("%q, want the newest first", got)
	}
	if err := x.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := sharing(1, 2, 3); got != "c b" {
		t.Errorf("%q after a was deleted", got)
	}
}

// What is shared with a group its people find, and nobody else.
func TestGroups(t *testing.T) {
	x := openTest(t)
	fill(t, x)
	put := func(groups ...string) {
		t.Helper()
		if err := x.Put(t.Context(), Doc{ID: "b", Owner: "ben", Groups: groups, Title: "Letter", Revision: 4, Pages: pages("An invoice follows")}); err != nil {
			t.Fatal(err)
		}
	}
	anna := "anna"
	find := func(groups ...string) int {
		t.Helper()
		r, err := x.Search(t.Context(), Query{Text: "letter", Owner: &anna, Groups: groups})
		if err != nil {
			t.Fatal(err)
		}
		return r.Total
	}
	put("office", "board")
	if find() != 0 || find("other") != 0 || find("office") != 1 || find("office", "board") != 1 {
		t.Errorf("found %d, %d, %d, %d times; want 0, 0, 1, 1", find(), find("other"), find("office"), find("office", "board"))
	}
	put()
	if find("office") != 0 {
		t.Error("found when it is shared no longer")
	}
}

// Pages of a document that is being made are found, and no more when it is made.
func TestAddPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "search.db")
	for _, reopen := range []bool{false, true} { // by another process, it is not known whose the rows are
		x, err := Open(path, named, quiet)
		if err != nil {
			t.Fatal(err)
		}
		d := Doc{ID: "m", Owner: "anna", Title: "Scan"}
		for i, body := range []string{"the first harbour", "the second harbour"} {
			if err := x.AddPage(t.Context(), d, i+1, Page{body, body}); err != nil {
				t.Fatal(err)
			}
		}
		if reopen {
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			if x, err = Open(path, named, quiet); err != nil {
				t.Fatal(err)
			}
			if err := x.AddPage(t.Context(), d, 3, pages("the third harbour")[0]); err != nil {
				t.Fatal(err)
			}
		}
		look := func(text, owner, want string) {
			t.Helper()
			r, err := x.Search(t.Context(), Query{Text: text, Owner: &owner})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, h := range r.Hits {
				got += fmt.Sprint(h.ID, h.Page, " ")
			}
			if got = strings.TrimSpace(got); got != want {
				t.Errorf("%s finds %q for %s, want %q", text, got, owner, want)
			}
		}
		look("second harbour", "anna", "m2")
		look("second harbour", "ben", "")
		d.Revision, d.Pages = 1, pages("quay")
		if err := x.Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		look("harbour", "anna", "")
		look("quay", "anna", "m1")
		if err := x.Delete(t.Context(), "m"); err != nil {
			t.Fatal(err)
		}
		look("quay", "anna", "")
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
