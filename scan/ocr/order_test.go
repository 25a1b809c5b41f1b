package ocr

import (
	"slices"
	"strings"
	"testing"
)

// at makes a line of text that begins at x, y, with letters of 10 x 20 pixels.
func at(paragraph int, x, y float64, text string) hocrLine {
	l := hocrLine{paragraph: paragraph, box: box{x, y, x, y + 20}}
	for w := range strings.FieldsSeq(text) {
		width := float64(10 * len([]rune(w)))
		l.words = append(l.words, hocrWord{box: box{l.box.right, y, l.box.right + width, y + 20}, text: w, confidence: 90})
		l.box.right += width + 10
	}
	l.box.right -= 10
	return l
}

// small gives l in letters of half the height.
func small(l hocrLine) hocrLine {
	l.box.top += 10
	for i := range l.words {
		l.words[i].box.top += 10
	}
	return l
}

// wide gives the words of all lines as one line.
func wide(lines ...hocrLine) hocrLine {
	all := lines[0]
	for _, l := range lines[1:] {
		all.words = append(all.words, l.words...)
		all.box = all.box.with(l.box)
	}
	return all
}

// A line without words is in no row of boxes.
func TestLevelsOfNothing(t *testing.T) {
	if levels := levelsOf([]hocrLine{{}, at(1, 0, 30, "Surname"), {}}); len(levels) != 1 {
		t.Errorf("%d levels", len(levels))
	}
}

func TestRows(t *testing.T) {
	tests := []struct {
		name  string
		lines []hocrLine
		want  []string
	}{
		{"one column", []hocrLine{at(1, 0, 0, "one line"), at(1, 0, 30, "and another")}, []string{"one line", "and another"}},
		{"a receipt", []hocrLine{at(1, 0, 0, "Milk 2 l"), at(1, 0, 30, "Bread"), at(2, 400, 2, "1.85"), at(2, 400, 31, "2.20 €")},
			[]string{"Milk 2 l|1.85", "Bread|2.20 €"}},
		{"a table", []hocrLine{at(1, 0, 0, "Paper"), at(1, 0, 30, "Toner"), at(2, 200, 0, "20"), at(2, 200, 30, "2"), at(3, 400, 0, "83.00"), at(3, 400, 30, "137.00")},
			[]string{"Paper|20|83.00", "Toner|2|137.00"}},
		{"numbers only", []hocrLine{at(1, 0, 0, "4711"), at(1, 0, 30, "4712"), at(2, 200, 0, "12 %"), at(2, 200, 30, "13 %")}, []string{"4711|12 %", "4712|13 %"}},
		{"two columns of print", []hocrLine{at(1, 0, 0, "the clock was fast in"), at(1, 0, 30, "all of the town"), at(2, 400, 0, "and nobody ever"), at(2, 400, 30, "1987."), at(2, 400, 60, "minded at all")},
			[]string{"the clock was fast in", "all of the town", "and nobody ever", "1987.", "minded at all"}},
		{"a form", []hocrLine{at(1, 0, 0, "Name:"), at(1, 0, 30, "Town:"), at(2, 300, 0, "Hollander"), at(2, 300, 30, "Port Wick")}, []string{"Name:|Hollander", "Town:|Port Wick"}},
		{"a form without colons", []hocrLine{at(1, 0, 0, "Policy number"), at(2, 0, 45, "Amount claimed"), at(3, 300, 0, "DD-5892"), at(3, 300, 45, "not known yet")},
			[]string{"Policy number|DD-5892", "Amount claimed|not known yet"}},
		{"boxes to tick over a text", []hocrLine{at(1, 0, 0, "I agree"), at(2, 300, 0, "Call me by telephone"), at(3, 0, 50, "All that follows is a text as wide as the page")},
			[]string{"I agree|Call me by telephone", "All that follows is a text as wide as the page"}},
		{"the last row of a form over boxes to tick", []hocrLine{at(1, 0, 0, "Policy number"), at(1, 0, 60, "Date of the incident"), at(2, 0, 112, "I have read the conditions"), at(3, 300, 0, "DD-5892"), at(3, 300, 55, "4 February 2026"), at(3, 300, 112, "Call me by telephone if there are questions at any time")},
			[]string{"Policy number|DD-5892", "Date of the incident|4 February 2026", "I have read the conditions", "Call me by telephone if there are questions at any time"}},
		{"headings of two columns", []hocrLine{at(1, 0, 0, "Supply"), at(1, 0, 45, "the clock was fast in town"), at(1, 0, 75, "all the year"), at(2, 400, 0, "Demand"), at(2, 400, 45, "and nobody ever minded it"), at(2, 400, 75, "at all")},
			[]string{"Supply", "the clock was fast in town", "all the year", "Demand", "and nobody ever minded it", "at all"}},
		{"an entry of several lines", []hocrLine{at(1, 0, 0, "Name"), at(1, 0, 60, "Address"), at(1, 0, 160, "Telephone"), at(2, 300, 0, "Miriam Hollander"), at(2, 300, 60, "44 Orchard Rise"), at(2, 300, 90, "Port Wick"), at(3, 300, 160, "not known")},
			[]string{"Name|Miriam Hollander", "Address|44 Orchard Rise", "Port Wick", "Telephone|not known"}},
		{"a label of several lines", []hocrLine{at(1, 0, 0, "Name"), at(1, 0, 60, "Street and"), at(1, 0, 90, "number"), at(1, 0, 160, "Town"), at(2, 300, 0, "Miriam Hollander"), at(2, 300, 75, "Orchard Rise"), at(3, 300, 160, "Port Wick")},
			[]string{"Name|Miriam Hollander", "Street and", "number", "Orchard Rise", "Town|Port Wick"}},
		{"labels and entries twice in a row", []hocrLine{at(1, 0, 0, "Name"), at(1, 0, 60, "Town"), at(2, 150, 0, "Hollander"), at(2, 150, 60, "Port Wick"), at(3, 400, 0, "First name"), at(3, 400, 60, "Country"), at(4, 600, 0, "Miriam"), at(4, 600, 60, "Wales")},
			[]string{"Name|Hollander|First name|Miriam", "Town|Port Wick|Country|Wales"}},
		{"boxes that are both label and entry", []hocrLine{at(1, 0, 0, "Name"), at(1, 0, 25, "Hollander"), at(2, 300, 0, "First name"), at(2, 300, 25, "Miriam")},
			[]string{"Name", "Hollander", "First name", "Miriam"}},
		{"short paragraphs in columns", []hocrLine{at(1, 0, 0, "the clock was fast in"), at(1, 0, 25, "all of the town and yet"), at(1, 0, 90, "nobody minded"), at(2, 400, 0, "It was cleaned"), at(2, 400, 60, "after ninety years and a"), at(2, 400, 85, "day it was set right again")},
			[]string{"the clock was fast in", "all of the town and yet", "nobody minded", "It was cleaned", "after ninety years and a", "day it was set right again"}},
		{"numbered lines", []hocrLine{at(1, 0, 0, "5"), at(1, 0, 30, "6"), at(2, 100, 0, "Door hinge"), at(2, 100, 30, "Work gloves"), at(3, 400, 0, "12"), at(3, 400, 30, "19")},
			[]string{"5|Door hinge|12", "6|Work gloves|19"}},
		{"sums under a table", []hocrLine{at(1, 0, 0, "Paper"), at(1, 0, 30, "Toner"), at(4, 0, 180, "Pay within 30 days."), at(2, 200, 0, "20"), at(2, 200, 30, "2"), at(3, 400, 0, "83.00"), at(3, 400, 30, "137.00"), at(5, 250, 80, "Subtotal"), at(5, 250, 110, "VAT"), at(6, 400, 80, "220.00"), at(6, 400, 110, "44.00")},
			[]string{"Paper|20|83.00", "Toner|2|137.00", "Subtotal|220.00", "VAT|44.00", "Pay within 30 days."}},
		{"what stands beside the sums", []hocrLine{at(1, 0, 0, "Paper"), at(4, 0, 80, "Pay within"), at(2, 200, 0, "20"), at(3, 400, 0, "83.00"), at(5, 250, 80, "Subtotal"), at(6, 400, 80, "220.00")},
			[]string{"Paper|20|83.00", "Pay within|Subtotal|220.00"}},
		{"addresses beside each other", []hocrLine{at(1, 0, 0, "Northgate Supplies"), at(1, 0, 30, "88 Canal Street"), at(2, 400, 0, "Brightwater Dental"), at(2, 400, 30, "12 Queen Street")},
			[]string{"Northgate Supplies", "88 Canal Street", "Brightwater Dental", "12 Queen Street"}},
		{"a foot under the first of two columns", []hocrLine{at(1, 0, 0, "the clock was fast in"), at(1, 0, 25, "all of the town"), at(2, 0, 80, "54 Travel and Leisure"), at(3, 400, 0, "and nobody ever"), at(3, 400, 25, "minded at all")},
			[]string{"the clock was fast in", "all of the town", "and nobody ever", "minded at all", "54 Travel and Leisure"}},
		{"the first of two columns is longer", []hocrLine{at(1, 0, 0, "in it we do as he is to be at no"), at(1, 0, 40, "up or so my it if an go us by me"), at(1, 0, 80, "and so on"), at(3, 400, 0, "to do or be of as no up on if we"), at(3, 400, 40, "is it as he we an at by in or so")},
			[]string{"in it we do as he is to be at no", "up or so my it if an go us by me", "and so on", "to do or be of as no up on if we", "is it as he we an at by in or so"}},
		{"the second column ends sooner", []hocrLine{at(1, 0, 0, "the clock was fast in"), at(1, 0, 25, "all of the town for"), at(1, 0, 50, "ninety long years"), at(2, 0, 110, "and then it stopped"), at(3, 400, 0, "and nobody ever")},
			[]string{"the clock was fast in", "all of the town for", "ninety long years", "and then it stopped", "and nobody ever"}},
		{"boxes with labels in small print, read across", []hocrLine{small(at(1, 0, 0, "Name")), small(at(1, 300, 0, "First name")), small(at(1, 600, 0, "Born")), small(at(1, 900, 0, "Account")), wide(at(1, 5, 32, "Hollander"), at(1, 605, 32, "1987"), at(1, 905, 32, "4711"))},
			[]string{"Name", "Hollander", "First name", "Born", "1987", "Account", "4711"}},
		{"two rows of boxes in letters of one size", []hocrLine{wide(at(1, 0, 0, "Name"), at(1, 300, 0, "First name")), wide(at(1, 5, 25, "Hollander"), at(1, 305, 25, "Miriam")), wide(at(1, 0, 70, "Town"), at(1, 300, 70, "Telephone")), wide(at(1, 5, 95, "Port Wick"), at(1, 305, 95, "0123 456"))},
			[]string{"Name", "Hollander", "First name", "Miriam", "Town", "Port Wick", "Telephone", "0123 456"}},
		{"a table with a heading in small print", []hocrLine{small(wide(at(1, 0, 0, "Goods"), at(1, 300, 0, "Price"))), wide(at(1, 0, 30, "Paper"), at(1, 300, 30, "83.00")), wide(at(1, 0, 60, "Toner"), at(1, 300, 60, "137.00"))},
			[]string{"Goods Price", "Paper 83.00", "Toner 137.00"}},
		{"headings of two columns in small print", []hocrLine{small(wide(at(1, 0, 0, "Supply"), at(1, 400, 0, "Demand"))), wide(at(1, 0, 30, "the clock was fast in all of the town"), at(1, 400, 30, "and nobody minded it"))},
			[]string{"Supply Demand", "the clock was fast in all of the town and nobody minded it"}},
		{"another row", []hocrLine{at(1, 0, 0, "Total"), at(2, 400, 25, "16.50")}, []string{"Total", "16.50"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, row := range rows(tt.lines) {
				var cells []string
				for _, l := range row {
					var words []string
					for _, w := range l.words {
						words = append(words, w.text)
					}
					cells = append(cells, strings.Join(words, " "))
				}
				got = append(got, strings.Join(cells, "|"))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// across makes one line of two, as the engine does where it sees no column.
func across(y float64, left, right string) hocrLine {
	a, b := at(1, 0, y, left), at(1, 400, y, right)
	a.words = append(a.words, b.words...)
	a.box.right = b.box.right
	return a
}

func TestUnmerge(t *testing.T) {
	stray := across(30, "in all of town", "as they were late")
	n := len(stray.words) - 1
	stray.words = append([]hocrWord{stray.words[n]}, stray.words[:n]...)
	tests := []struct {
		name  string
		lines []hocrLine
		want  []string
	}{
		{"two columns", []hocrLine{at(1, 0, 0, "A heading"), across(30, "the clock was fast", "and nobody minded it"), across(60, "in all of town", "as they were late"), across(90, "on every Monday", "on all other days"), at(1, 0, 150, "the end")},
			[]string{"A heading", "the clock was fast", "in all of town", "on every Monday", "and nobody minded it", "as they were late", "on all other days", "the end"}},
		{"a table", []hocrLine{across(0, "Copier paper white", "20 83.00 166.00"), across(30, "Toner for printers", "2 137.00 274.00"), across(60, "Envelopes and stamps", "4 12.00 48.00")},
			[]string{"Copier paper white 20 83.00 166.00", "Toner for printers 2 137.00 274.00", "Envelopes and stamps 4 12.00 48.00"}},
		{"short cells", []hocrLine{across(0, "Name", "Margaret Holloway"), across(30, "Town", "Kingsbridge"), across(60, "Street", "Orchard Road")},
			[]string{"Name Margaret Holloway", "Town Kingsbridge", "Street Orchard Road"}},
		{"two lines", []hocrLine{across(0, "the clock was fast", "and nobody minded it"), across(30, "in all of town", "as they were late")},
			[]string{"the clock was fast and nobody minded it", "in all of town as they were late"}},
		{"a line whose words are in another order", []hocrLine{across(0, "the church clock was fast", "and nobody minded it"), stray, across(60, "every Monday morning at nine", "on all other days"), across(90, "and most of the year", "said the watchmaker then")},
			[]string{"the church clock was fast", "every Monday morning at nine", "and most of the year", "and nobody minded it", "late in all of town as they were", "on all other days", "said the watchmaker then"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines := unmerge(tt.lines)
			if got := said(lines); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			rows(lines)
		})
	}
}

// said gives the words of each line.
func said(lines []hocrLine) (list []string) {
	for _, l := range lines {
		var words []string
		for _, w := range l.words {
			words = append(words, w.text)
		}
		list = append(list, strings.Join(words, " "))
	}
	return list
}

func TestInterleave(t *testing.T) {
	tests := []struct {
		name  string
		lines []hocrLine
		want  []string
	}{
		{"the second line of a head", []hocrLine{at(1, 0, 0, "GREEN GROCER LTD"), at(1, 10, 60, "TEL 0236"), at(1, 0, 90, "VAT NO 1590"), at(2, 5, 30, "14 QUARRY LANE"), at(3, 0, 130, "TILL 6")},
			[]string{"GREEN GROCER LTD", "14 QUARRY LANE", "TEL 0236", "VAT NO 1590", "TILL 6"}},
		{"two of them", []hocrLine{at(1, 0, 0, "Market"), at(1, 10, 90, "Till 6"), at(2, 5, 30, "Quarry Lane"), at(2, 0, 60, "Wexcombe")},
			[]string{"Market", "Quarry Lane", "Wexcombe", "Till 6"}},
		{"another column", []hocrLine{at(1, 0, 0, "the clock"), at(1, 0, 60, "in town"), at(2, 400, 30, "and nobody")},
			[]string{"the clock", "in town", "and nobody"}},
		{"columns under a heading", []hocrLine{at(1, 0, 0, "The heading is as wide as both of the columns below"), at(1, 0, 60, "the clock"), at(2, 400, 40, "and nobody"), at(2, 400, 70, "minded")},
			[]string{"The heading is as wide as both of the columns below", "the clock", "and nobody", "minded"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := said(interleave(tt.lines)); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestUnweave(t *testing.T) {
	tests := []struct {
		name  string
		lines []hocrLine
		want  []string
	}{
		{"a column in two parts", []hocrLine{at(1, 0, 0, "the clock was fast"), at(1, 0, 30, "in all of the town"), at(2, 400, 8, "and nobody minded it"), at(2, 400, 35, "as they were late"), at(2, 400, 62, "on all other days"), at(3, 0, 60, "until every Monday"), at(3, 0, 90, "it was set right"), at(4, 0, 160, "The end of it all")},
			[]string{"the clock was fast", "in all of the town", "until every Monday", "it was set right", "and nobody minded it", "as they were late", "on all other days", "The end of it all"}},
		{"one below the other column", []hocrLine{at(1, 0, 0, "the clock was fast"), at(1, 0, 30, "in all of the town"), at(2, 400, 0, "and nobody minded it"), at(2, 400, 30, "as they were late"), at(3, 0, 60, "until every Monday")},
			[]string{"the clock was fast", "in all of the town", "and nobody minded it", "as they were late", "until every Monday"}},
		{"a form", []hocrLine{at(1, 0, 0, "Name"), at(1, 0, 30, "Address"), at(2, 400, 30, "Miriam Hollander and others"), at(2, 400, 60, "44 Orchard Rise in Port Wick"), at(3, 0, 60, "Telephone")},
			[]string{"Name", "Address", "Miriam Hollander and others", "44 Orchard Rise in Port Wick", "Telephone"}},
		{"another paragraph", []hocrLine{at(1, 0, 0, "the clock was fast"), at(2, 400, 0, "and nobody minded it"), at(2, 400, 30, "as they were late"), at(2, 400, 60, "on all other days"), at(3, 0, 70, "until every Monday")},
			[]string{"the clock was fast", "and nobody minded it", "as they were late", "on all other days", "until every Monday"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := said(unweave(tt.lines)); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestLanguages(t *testing.T) {
	word := func(text, language string) hocrWord { return hocrWord{text: text, language: language} }
	asked := []string{"eng", "deu", "fra"}
	tests := []struct {
		name  string
		words []hocrWord
		want  []string
	}{
		{"nothing read", nil, asked},
		{"not told", []hocrWord{word("word", "")}, asked},
		{"one of them", []hocrWord{word("Straße", "deu"), word("lang", "deu")}, []string{"deu"}},
		{"two, the second more", []hocrWord{word("Tür", "deu"), word("neighbour", "eng"), word("answer", "eng"), word("überrascht", "deu"), word("höher", "deu")}, []string{"deu", "eng"}},
		{"a name", []hocrWord{word("neighbourhood", "eng"), word("neighbourhoods", "eng"), word("a", "fra")}, []string{"eng"}},
		{"one that was not asked for", []hocrWord{word("palabra", "spa")}, asked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := reading{lines: []hocrLine{{words: tt.words}}}
			if got := r.languages(asked); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
