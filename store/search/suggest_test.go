package search

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"invoice", "invoice", 0},
		{"invoice", "lnvoice", alikeCost},
		{"invoice", "1nv0ice", 2 * alikeCost},
		{"modern", "modem", alikeCost},
		{"klein", "kiein", alikeCost},
		{"invoice", "invoce", otherCost},
		{"invoice", "invioce", otherCost}, // changed about
		{"invoice", "incoice", otherCost},
		{"invoice", "xxxxxxx", 5},
		{"a", "abcdefgh", 5},
	}
	for _, tt := range tests {
		if got := min(distance([]rune(tt.a), []rune(tt.b), 4), 5); got != tt.want { // 5: more than the limit
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	x := openTest(t)
	for _, d := range []Doc{
		{ID: "a", Owner: "anna", Pages: pages("Invoice of the modem, boiler room")},
		{ID: "b", Owner: "ben", Pages: pages("Rechnunq der Stadtwerke", "secretword")},
	} {
		if err := x.Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	anna, ben := "anna", "ben"
	tests := []struct {
		text  string
		owner *string
		want  string
	}{
		{"lnvoice", nil, "invoice"},
		{"invoise boilr", nil, "invoice boiler"},
		{"modern", nil, "modem"},
		{"rechnung", nil, "rechnunq"},                             // the machine misread it, the person did not
		{"rechnung", &anna, ""},                                   // not hers
		{"secretwort", &anna, ""},                                 // words of others are not told
		{"secretwort", &ben, "secretword"},                        //
		{"type:lnvoice", nil, ""},                                 // no word of the text
		{"invoice -lnvoice", nil, ""},                             // finds something
		{"zzzzzzzz", nil, ""},                                     // nothing near
		{"xx", nil, ""},                                           // too short to tell
		{"lnvoice stadtwerke", nil, ""},                           // both words, but in no document
		{"rechnung -created:1999", nil, "rechnunq -created:1999"}, // the rest stays
	}
	if _, loaded := x.preload(); loaded != nil {
		<-loaded
	}
	for _, tt := range tests {
		got, err := x.Suggest(t.Context(), Query{Text: tt.text, Owner: tt.owner})
		if err != nil || got != tt.want {
			t.Errorf("Suggest(%q) = %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
}

// Words come back as they were put in, and take less than they have letters.
func TestVocabulary(t *testing.T) {
	v := &vocabulary{}
	want := make(map[string]uint32)
	add := func(word string, pages uint32) {
		v.add([]byte(word), pages)
		want[word] = pages
	}
	letters := 0
	for i := range 5000 {
		w := fmt.Sprintf("word%07d", i*i)
		add(w, uint32(i)%3+1)
		letters += len(w)
	}
	for i, w := range []string{"über", "übel", "a", "ab", "abc", "b", "abd", "a1", strings.Repeat("x", 500), "\xff", "z"} { // in no order
		add(w, 1000<<i)
	}
	got := make(map[string]uint32)
	for b := range 256 {
		for w, pages := range v.beginning(byte(b)) {
			if w[0] != byte(b) {
				t.Errorf("%q begins with %q", w, byte(b))
			}
			got[string(w)] = pages
		}
	}
	if !maps.Equal(got, want) || v.words != len(want) {
		t.Errorf("%d words are %v, want %v", v.words, got, want)
	}
	if n := v.bytes(); n > int64(letters) {
		t.Errorf("%d letters take %d bytes", letters, n)
	}
}

// A person may type anything.
func FuzzSuggest(f *testing.F) {
	for _, s := range []string{"invoise", `"a b" -c`, "rn", "ﬁre", "tag:x y", "\x00\xff", "İİİ", "ßßß"} {
		f.Add(s)
	}
	x := openTest(f)
	fill(f, x)
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := x.Suggest(t.Context(), Query{Text: s}); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}

// BenchmarkSuggest shows that a suggestion stays quick with many words.
func BenchmarkSuggest(b *testing.B) {
	x := openTest(b)
	for d := range 200 {
		text := ""
		for w := range 1000 {
			text += fmt.Sprintf("inv%dx%d ", d, w)
		}
		if err := x.Put(b.Context(), Doc{ID: fmt.Sprint(d), Pages: pages(text)}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := x.Suggest(b.Context(), Query{Text: "inv1ox500"}); err != nil {
			b.Fatal(err)
		}
	}
}
