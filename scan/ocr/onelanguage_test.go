package ocr

import (
	"slices"
	"strings"
	"testing"
)

// What another language has read is put right by that of the page, in its place and if
// it is as sure; numbers, and names that the page's language does not know, stay.
func TestOneLanguage(t *testing.T) {
	at := func(x float64, s, language string, confidence float64) hocrWord {
		return hocrWord{box: box{x, 0, x + 50, 20}, text: s, language: language, confidence: confidence}
	}
	line := hocrLine{words: []hocrWord{
		at(0, "mention", "fra", 96), at(60, "tres", "eng", 92), at(120, "Müller", "deu", 95), at(180, "12,50", "eng", 70), at(240, "recu", "eng", 90),
		at(300, "deja", "eng", 96), at(360, "Zürich", "deu", 90), at(420, "Miihle", "eng", 88), at(480, "theatre", "eng", 96),
	}}
	again := []hocrWord{
		at(0, "mentïon", "fra", 97), at(61, "très", "fra", 91), at(121, "Muller", "fra", 60), at(181, "12.5O", "fra", 99), at(290, "reçu", "fra", 96),
		at(301, "déjà", "fra", 84), at(361, "Zurich", "fra", 85), at(420, "Mühle", "fra", 80), at(481, "théâtre", "fra", 60),
	}
	for marks, want := range map[bool][]string{
		false: {"mention", "très", "Müller", "12,50", "recu", "deja", "Zürich", "Miihle", "theatre"},
		true:  {"mention", "très", "Müller", "12,50", "recu", "déjà", "Zürich", "Mühle", "theatre"},
	} {
		got := line
		got.words = slices.Clone(line.words)
		got.adopt(again, "fra", marks)
		for i := range want {
			if got.words[i].text != want[i] {
				t.Errorf("marks %v: word %d is %q, want %q", marks, i, got.words[i].text, want[i])
			}
		}
	}
}

func TestMainLanguage(t *testing.T) {
	said := func(paragraph int, language string, letters int) hocrLine {
		return hocrLine{paragraph: paragraph, words: []hocrWord{{text: strings.Repeat("m", letters), language: language}}}
	}
	tests := []struct {
		name  string
		lines []hocrLine
		want  string
		sure  bool
		in    []int // paragraphs with text in it
	}{
		{"nothing", nil, "", false, nil},
		{"French", []hocrLine{said(1, "fra", 70), said(1, "eng", 30)}, "fra", true, []int{1}},
		{"French that looks like English in places", []hocrLine{said(1, "fra", 30), said(1, "eng", 50), said(2, "fra", 3), said(2, "deu", 12)}, "fra", false, []int{1, 2}},
		{"an address and a text in French", []hocrLine{said(1, "eng", 20), said(2, "fra", 40), said(2, "eng", 25)}, "fra", false, []int{2}},
		{"three languages", []hocrLine{said(1, "eng", 30), said(2, "deu", 30), said(3, "fra", 30)}, "", false, nil},
		{"English with names", []hocrLine{said(1, "eng", 55), said(1, "deu", 10), said(2, "eng", 25), said(2, "fra", 10)}, "", false, nil},
		{"French, most of which looks like English", []hocrLine{said(1, "fra", 26), said(1, "eng", 70), said(1, "deu", 4)}, "fra", false, []int{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := reading{lines: tt.lines}
			got, sure := r.mainLanguage("eng")
			if got != tt.want || sure != tt.sure {
				t.Errorf("written in %q, sure %v; want %q, %v", got, sure, tt.want, tt.sure)
			}
			var in []int
			for n, ok := range r.paragraphsIn(got, leastShare) {
				if ok {
					in = append(in, n)
				}
			}
			if slices.Sort(in); !slices.Equal(in, tt.in) {
				t.Errorf("in paragraphs %v, want %v", in, tt.in)
			}
		})
	}
}
