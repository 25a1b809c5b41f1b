package ocr

import (
	"fmt"
	"image"
	"image/color"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// tableSheet draws an invoice whose rows have a number of one digit at their left and a
// quantity in their middle.
func tableSheet(t *testing.T, rows [][5]string, pitch int) *sheet {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 9.5, DPI: sheetDPI})
	if err != nil {
		t.Fatal(err)
	}
	defer face.Close()
	s := newSheet(t, letter, 250, 20)
	d := font.Drawer{Dst: s.img, Src: image.NewUniform(color.Gray{Y: 20}), Face: face}
	for i, row := range rows {
		for j, text := range row {
			x := fixed.I([]int{190, 300, 920, 1220, 1470}[j])
			if j > 1 { // numbers end below each other
				x -= d.MeasureString(text)
			}
			d.Dot = fixed.Point26_6{X: x, Y: fixed.I(900 + pitch*i)}
			d.DrawString(text)
		}
	}
	return s
}

// What runs up the page goes when most of it has been read again, and not before.
func TestLineStaysUntilItIsReadAgain(t *testing.T) {
	cell := func(i float64) box { return box{100, 100 * i, 120, 100*i + 50} }
	var up hocrLine
	for i := range 4 {
		up.words = append(up.words, hocrWord{box: cell(float64(i))})
	}
	for _, tt := range []struct {
		again []float64
		want  bool
	}{
		{nil, false},
		{[]float64{1}, false},
		{[]float64{0, 3}, false},
		{[]float64{0, 1, 3}, true},
	} {
		var lines []hocrLine
		for _, i := range tt.again {
			lines = append(lines, hocrLine{box: cell(i)})
		}
		if got := up.mostlyIn(lines); got != tt.want {
			t.Errorf("cells %v are read again: %t, want %t", tt.again, got, tt.want)
		}
	}
}

// The engine drops narrow columns of numbers, or reads them as one line that runs up the
// page.
func TestColumnsOfNumbersAreRead(t *testing.T) {
	goods := []string{"Copper pipe", "Garden hose", "Oak shelf", "Cable drum", "Door hinge", "Work gloves", "Sealing tape", "Water filter", "Roof tile"}
	var rows [][5]string
	for i, g := range goods {
		rows = append(rows, [5]string{fmt.Sprint(i + 1), g, fmt.Sprint(3 + 7*i%19), fmt.Sprintf("%d.%02d", 3+7*i, 11*i), fmt.Sprintf("%d.%02d", 20+37*i, 11*i)})
	}
	p := newPagePool(t, nil)
	for _, pitch := range []int{44, 54} {
		got, err := p.Recognize(t.Context(), RecognizeJob{Path: tableSheet(t, rows, pitch).save(t), DPI: sheetDPI, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		read := strings.Split(got.Text.Plain(), "\n")
		for _, row := range rows {
			if want := strings.Join(row[:], " "); !slices.Contains(read, want) {
				t.Errorf("%d pixels from row to row: no row %q in\n%s", pitch, want, got.Text.Plain())
			}
		}
	}
}

func TestLeftOut(t *testing.T) {
	lines := []hocrLine{at(1, 0, 0, "Paper 83.00"), at(1, 0, 60, "Toner 137.00")}
	tests := []struct {
		name   string
		pieces []box
		blocks []box
	}{
		{"all was read", []box{{2, 2, 8, 18}, {12, -3, 15, -1}, {62, 62, 70, 78}}, nil},
		{"a word in the margin", []box{{300, 200, 310, 216}, {314, 200, 322, 216}, {326, 204, 334, 216}}, []box{{300, 200, 334, 216}}},
		{"a column of digits", []box{{200, 2, 208, 18}, {200, 62, 209, 78}}, []box{{200, 2, 209, 78}}},
		{"a speck in no row", []box{{300, 200, 310, 216}}, nil},
		{"a large thing in a row", []box{{200, -20, 260, 40}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []box
			for _, g := range blocksOf(leftOut(tt.pieces, lines), lines) {
				got = append(got, g.box)
			}
			if !slices.Equal(got, tt.blocks) {
				t.Errorf("blocks %v, want %v", got, tt.blocks)
			}
		})
	}
}

func TestTrusted(t *testing.T) {
	before := []hocrLine{at(1, 0, 0, "Paper")}
	block := group{box{200, 0, 260, 20}, 3}
	doubtful := at(1, 10, 10, "20")
	doubtful.words[0].confidence = 40
	tests := []struct {
		name  string
		lines []hocrLine
		block group
		want  []string
	}{
		{"a word", []hocrLine{at(1, 10, 10, "20")}, block, []string{"20"}},
		{"a doubtful word", []hocrLine{doubtful}, block, nil},
		{"strokes", []hocrLine{at(1, 10, 10, "|_|")}, block, nil},
		{"beside the block", []hocrLine{at(1, 110, 10, "20")}, block, nil},
		{"read before", []hocrLine{at(1, -190, 10, "Paper")}, group{box{0, 0, 260, 20}, 3}, nil},
		{"a lone digit", []hocrLine{at(1, 10, 10, "7")}, group{block.box, 1}, []string{"7"}},
		{"a lone loop", []hocrLine{at(1, 10, 10, "O")}, group{block.box, 1}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := said(trusted(tt.lines, 190, -10, tt.block, before)); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestInsert(t *testing.T) {
	lines := []hocrLine{at(1, 0, 0, "Name"), at(2, 0, 60, "Town"), at(3, 300, 60, "Wales")}
	wide := at(1, 0, 0, "1")
	wide.words = append(wide.words, at(1, 300, 0, "83.00").words...)
	wide.box.right = 350
	tests := []struct {
		name  string
		lines []hocrLine
		line  hocrLine
		want  []string
	}{
		{"beside a label", lines, at(4, 150, 0, "Hollander"), []string{"Name", "Hollander", "Town", "Wales"}},
		{"below", lines, at(4, 310, 120, "far below"), []string{"Name", "Town", "Wales", "far below"}},
		{"above all", lines, at(4, 100, -60, "Form"), []string{"Form", "Name", "Town", "Wales"}},
		{"within a line", []hocrLine{wide}, at(4, 150, 0, "20"), []string{"1 20 83.00"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := said(insert(slices.Clone(tt.lines), tt.line)); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
