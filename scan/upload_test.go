package scan

import (
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
