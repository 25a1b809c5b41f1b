package scan

import (
	"math"
	"slices"
	"strings"
	"testing"

	"docscan/scan/text"
)

// What is read where the file has words already is not taken twice; what stands elsewhere is added.
func TestBeside(t *testing.T) {
	word := func(s string, x, y, sure float64) text.Word {
		return text.Word{Text: s, X: x, Y: y, Width: 10 * float64(len(s)), Height: 20, Descent: 4, Confidence: sure}
	}
	own := &text.Page{Lines: []text.Line{
		{Paragraph: 1, Words: []text.Word{word("Received", 100, 50, 100), word("today", 200, 50, 100)}},
	}}
	read := &text.Page{Lines: []text.Line{
		{Paragraph: 1, Words: []text.Word{word("Recieved", 102, 52, 91), word("today", 201, 51, 93), word("by", 300, 52, 90), word("post", 340, 52, 92)}},
		{Paragraph: 2, Words: []text.Word{word("Dear", 100, 300, 95), word("Sir,", 160, 300, 95)}},
		{Paragraph: 3, Words: []text.Word{word("~;", 100, 400, 95)}},
		{Paragraph: 4, Words: []text.Word{word("wilf", 100, 500, 30)}},
	}}
	want := []string{"Received today", "by post", "Dear Sir,"}
	got := strings.Split(strings.ReplaceAll((&text.Page{Lines: beside(own, read)}).Plain(), "\n\n", "\n"), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	read.Rotate = 90
	if got := beside(own, read); len(got) != 1 {
		t.Errorf("of a page that lies sideways %d lines", len(got))
	}
}

// What came with the file stays to the letter, whatever a picture below it is read as: a title over a
// photograph was lost for what was read of that.
func TestTogether(t *testing.T) {
	page := func(rotate int, language string, sure float64, lines ...string) *text.Page {
		p := &text.Page{Rotate: rotate, Languages: []string{language}}
		for i, s := range lines {
			l := text.Line{Paragraph: i + 1}
			for j, w := range strings.Fields(s) {
				l.Words = append(l.Words, text.Word{Text: w, X: float64(100 + 150*j), Y: float64(100 * (i + 1)), Width: 100, Height: 20, Descent: 4, Confidence: sure})
			}
			p.Lines = append(p.Lines, l)
		}
		return p
	}
	stamp := page(0, "", 100, "Case 4711-B")
	stamp.Languages = nil
	letter := []string{"", "Dear Sir, we thank you for", "your letter of last week and", "have the pleasure to send what", "you have asked for by post."}
	tests := []struct {
		name     string
		own      *text.Page
		read     *text.Page
		want     string // its lines
		language string
		sure     float64
		turned   bool
	}{
		{"over a photograph", stamp, page(0, "eng", 45, slices.Repeat([]string{"iv ~ Wl aa o"}, 8)...), "Case 4711-B", "", 100, false},
		{"over a photograph that is read sideways", stamp, page(90, "eng", 45, slices.Repeat([]string{"iv ~ Wl aa o"}, 8)...), "Case 4711-B", "", 100, false},
		{"over a scan", stamp, page(0, "deu", 90, append([]string{"Case A711-8"}, letter[1:]...)...), "Case 4711-B" + strings.Join(letter, "/"), "deu", 2360.0 / 26, false},
		{"a line beside it", page(0, "deu", 100, "Rechnung Nummer 4711", "Summe 12,50 Euro"), page(0, "eng", 90, "", "", "Made in Leeds"), "Rechnung Nummer 4711/Summe 12,50 Euro/Made in Leeds", "deu", 870.0 / 9, false},
		{"over a scan that lies sideways", stamp, page(90, "eng", 90, letter[1:]...), strings.Join(letter[1:], "/") + "/Case 4711-B", "eng", 2360.0 / 26, true},
		{"the same where it is read, too", stamp, page(90, "eng", 90, append([]string{"4711-B Case"}, letter[1:]...)...), "4711-B Case" + strings.Join(letter, "/"), "eng", 90, true},
		{"a few words that lie sideways", stamp, page(90, "eng", 90, letter[1]), "Case 4711-B", "", 100, false},
	}
	for _, tt := range tests {
		got, turned := together(tt.own, tt.read)
		lines := strings.ReplaceAll(strings.ReplaceAll(got.Plain(), "\n\n", "\n"), "\n", "/")
		if lines != tt.want || strings.Join(got.Languages, " ") != tt.language || math.Abs(got.Confidence-tt.sure) > 0.01 || turned != tt.turned {
			t.Errorf("%s: %q in %q, confidence %v, turned %v", tt.name, lines, got.Languages, got.Confidence, turned)
		}
	}
	if n := stamp.Count(); n != 2 {
		t.Errorf("what came with the file has become %d words", n)
	}
}
