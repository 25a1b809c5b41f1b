package ocr

import (
	"image"
	"image/color"
	stddraw "image/draw"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docscan/scan/imaging"
)

// print draws text at the baseline x, y in a size of points.
func (s *sheet) print(t *testing.T, x, y int, size float64, text string) {
	t.Helper()
	s.printIn(t, 30, x, y, size, text)
}

// printIn does the same in a grey.
func (s *sheet) printIn(t *testing.T, grey uint8, x, y int, size float64, text string) {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: sheetDPI})
	if err != nil {
		t.Fatal(err)
	}
	defer face.Close()
	d := font.Drawer{Dst: s.img, Src: image.NewUniform(color.Gray{Y: grey}), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(text)
}

// frame draws the outline of r.
func (s *sheet) frame(r image.Rectangle, grey uint8, thick int) {
	for _, side := range []image.Rectangle{
		image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+thick), image.Rect(r.Min.X, r.Max.Y-thick, r.Max.X, r.Max.Y),
		image.Rect(r.Min.X, r.Min.Y, r.Min.X+thick, r.Max.Y), image.Rect(r.Max.X-thick, r.Min.Y, r.Max.X, r.Max.Y),
	} {
		stddraw.Draw(s.img, side, image.NewUniform(color.Gray{Y: grey}), image.Point{}, stddraw.Src)
	}
}

// sentence is what forms of tests have above their fields.
const sentence = "Please write in block letters and sign below."

// read gives the lines of a page.
func (s *sheet) read(t *testing.T, p *Pool) []string {
	t.Helper()
	got, err := p.Recognize(t.Context(), RecognizeJob{Path: s.save(t), DPI: sheetDPI, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(got.Text.Plain(), "\n"), func(l string) bool { return l == "" })
}

// The label of a box is followed by its entry, though the engine reads the boxes of a row
// across.
func TestFormOfBoxes(t *testing.T) {
	want := []string{sentence, "Surname", "Hollander", "First name", "Miriam", "Telephone", "Street", "Orchard Rise", "Town", "Country", "Wales"}
	s := newSheet(t, "", 250, 30)
	s.print(t, 200, 300, 11, sentence)
	for i, box := range [][2]string{{"Surname", "Hollander"}, {"First name", "Miriam"}, {"Telephone", ""}, {"Street", "Orchard Rise"}, {"Town", ""}, {"Country", "Wales"}} {
		x, y := 200+420*(i%3), 350+100*(i/3)
		s.frame(image.Rect(x, y, x+420, y+100), 100, 2)
		s.print(t, x+12, y+28, 7, box[0])
		s.print(t, x+18, y+75, 11, box[1])
	}
	if got := s.read(t, newPagePool(t, nil)); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The letters in the cells of a comb are words, with spaces for empty cells.
func TestFormWithCombs(t *testing.T) {
	p := newPagePool(t, nil)
	for _, tt := range []struct {
		name string
		draw func(s *sheet, x, y int) // a cell
	}{
		{"boxes", func(s *sheet, x, y int) { s.frame(image.Rect(x, y, x+56, y+60), 110, 2) }},
		{"boxes apart from each other", func(s *sheet, x, y int) { s.frame(image.Rect(x, y, x+50, y+60), 60, 2) }},
		{"teeth", func(s *sheet, x, y int) {
			for _, side := range []image.Rectangle{image.Rect(x, y+36, x+2, y+60), image.Rect(x+54, y+36, x+56, y+60), image.Rect(x, y+58, x+56, y+60)} {
				stddraw.Draw(s.img, side, image.NewUniform(color.Gray{Y: 90}), image.Point{}, stddraw.Src)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := []string{sentence, "Surname", "HOLLANDER", "Street and number", "17 ORCHARD RISE", "Account", "4711084520"}
			s := newSheet(t, "", 250, 30)
			s.print(t, 200, 300, 11, sentence)
			for i := 1; i+1 < len(want); i += 2 {
				y := 360 + 70*i
				s.print(t, 200, y-10, 9, want[i])
				for k := range 22 {
					x := 200 + 56*k
					if tt.draw(s, x, y); k < len(want[i+1]) {
						s.print(t, x+15, y+47, 12, want[i+1][k:k+1])
					}
				}
			}
			if got := s.read(t, p); !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// Numbers in the narrow columns of a table are no letters of one word.
func TestNarrowColumns(t *testing.T) {
	s := newSheet(t, "", 250, 30)
	s.print(t, 200, 300, 11, sentence)
	want := []string{"12", "40", "38", "27", "56", "93", "84"}
	for i, n := range want {
		s.frame(image.Rect(200+70*i, 360, 272+70*i, 420), 60, 2)
		s.print(t, 215+70*i, 404, 11, n)
	}
	got := strings.Fields(strings.ReplaceAll(strings.Join(s.read(t, newPagePool(t, nil))[1:], " "), "|", " ")) // lines
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What is pale in a row of cells, in pencil or grey print, is read as it stands, and so is a
// label that stands above the teeth of a comb, and what is between two boxes.
func TestPaleInCombs(t *testing.T) {
	p := newPagePool(t, nil)
	figures := []string{"12", "40", "38", "27", "56", "93", "84"}
	teeth := func(s *sheet, x, y int) {
		for _, side := range []image.Rectangle{image.Rect(x, y+36, x+2, y+60), image.Rect(x+70, y+36, x+72, y+60), image.Rect(x, y+58, x+72, y+60)} {
			stddraw.Draw(s.img, side, image.NewUniform(color.Gray{Y: 90}), image.Point{}, stddraw.Src)
		}
	}
	boxes := func(s *sheet, x, y int) { s.frame(image.Rect(x, y, x+72, y+60), 110, 2) }
	for _, tt := range []struct {
		name string
		cell func(s *sheet, x, y int)
		draw func(s *sheet)
		want []string
	}{
		{"grey figures in a row of a table", boxes, func(s *sheet) {
			for i, n := range figures {
				s.printIn(t, 185, 215+72*i, 404, 11, n)
			}
		}, figures},
		{"a pale entry", boxes, func(s *sheet) {
			for i, n := range "HARBOUR" {
				s.printIn(t, 190, 220+72*i, 406, 13, string(n))
			}
		}, []string{"HARBOUR"}},
		{"a pale entry between teeth", teeth, func(s *sheet) { s.printIn(t, 185, 215, 388, 11, "Harbour Lane") }, []string{"Harbour", "Lane"}},
		{"a label above teeth", teeth, func(s *sheet) { s.print(t, 215, 388, 9, "Signature of holder") }, []string{"Signature", "of", "holder"}},
		{"a pale label above teeth", teeth, func(s *sheet) { s.printIn(t, 180, 215, 388, 9, "Signature of holder") }, []string{"Signature", "of", "holder"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSheet(t, "", 250, 30)
			s.print(t, 200, 300, 11, sentence)
			for i := range figures {
				tt.cell(s, 200+72*i, 360)
			}
			tt.draw(s)
			s.print(t, 200, 500, 11, sentence)
			got := strings.Join(s.read(t, p), " ")
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("%q is not in %q", w, got)
				}
			}
		})
	}
}

// Of a comb nothing but its lines goes before its letters have been read, and then those alone.
func TestTakenFromCombs(t *testing.T) {
	const unit = 10
	var c comb
	for i := range 5 {
		at := image.Rect(60*i, 0, 60*i+50, 60)
		c.strokes = append(c.strokes, image.Rect(60*i-5, 0, 60*i-3, 70))
		c.box = c.box.Union(at)
		c.cells = append(c.cells, imaging.Cell{Rectangle: at, Ink: image.Rect(60*i+15, 20, 60*i+35, 50), At: 10 + 30*i, Parts: 1})
	}
	c.filled = 5
	word := func(from, to float64, text string, confidence float64) hocrWord {
		return hocrWord{box: box{from, 10, to, 40}, text: text, confidence: confidence}
	}
	for _, tt := range []struct {
		name  string
		words []hocrWord
		want  string
		gone  int // cells
	}{
		{"nothing", nil, "", 0},
		{"all", []hocrWord{word(8, 152, "HOUSE", 90)}, "HOUSE", 5},
		{"two words", []hocrWord{word(8, 60, "NO", 90), word(70, 152, "WAY", 90)}, "NO WAY", 5},
		{"all but a cell", []hocrWord{word(8, 120, "HOUS", 90)}, "HOUS", 4},
		{"two letters of five", []hocrWord{word(8, 152, "HO", 90)}, "", 0},
		{"guesses", []hocrWord{word(8, 152, "HOUSE", 12)}, "", 0},
		{"a word in no cell", []hocrWord{word(400, 500, "HOUSE", 90)}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var lines []hocrLine
			if tt.words != nil {
				lines = []hocrLine{{words: tt.words}}
			}
			taken, gone := c.take(lines, unit)
			var got []string
			for _, l := range taken {
				for _, w := range l.words {
					got = append(got, w.text)
				}
			}
			if s := strings.Join(got, " "); s != tt.want || len(gone) != tt.gone {
				t.Errorf("%q, %d cells gone; want %q, %d", s, len(gone), tt.want, tt.gone)
			}
		})
	}
	for _, r := range c.ruling(unit) {
		for _, l := range c.cells {
			if r.Overlaps(l.Ink) {
				t.Errorf("a line at %v covers the letter at %v", r, l.Ink)
			}
		}
	}
}

// A row that cannot be read, and those beyond a bound, are left on the page.
func TestCombsUnread(t *testing.T) {
	s := newSheet(t, "", 250, 30)
	for i := range 66 {
		left, top := 200+500*(i%3), 200+70*(i/3)
		for x := range 6 {
			s.frame(image.Rect(left+56*x, top, left+58+56*x, top+62), 110, 2)
		}
		s.print(t, left+20, top+47, 12, "E")
	}
	data, err := os.ReadFile(s.save(t))
	if err != nil {
		t.Fatal(err)
	}
	h, err := imaging.ReadHeader(data, 100e6)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ before, rows int }{{0, 60}, {80, 10}, {90, 0}} {
		straight := pixOf(t, data, h)
		p := page{worker: new(worker), dpi: sheetDPI, combRows: tt.before} // its engine has no data
		k, err := p.combs(straight, 0, 250)
		if err != nil {
			t.Fatal(err)
		}
		if rows := p.combRows - tt.before; rows != tt.rows || len(k.lines) > 0 || len(k.gone) == 0 {
			t.Errorf("%d rows, %d lines, %d taken out; want %d rows", rows, len(k.lines), len(k.gone), tt.rows)
		}
		k.clear(straight, 250)
		pieces, err := piecesOf(straight, 15, 60, 1000)
		if err != nil || len(pieces) != 66 {
			t.Errorf("%d letters are left, %v", len(pieces), err)
		}
		again, err := p.combs(straight, 0, 250)
		if err != nil || again != k {
			t.Errorf("read again: %v", err)
		}
		straight.Close()
	}
}

// Wide boxes beside each other are a row of a table, each with a number of its own.
func TestWideBoxes(t *testing.T) {
	s := newSheet(t, "", 250, 30)
	s.print(t, 200, 300, 11, sentence)
	for i, n := range "734925" {
		s.frame(image.Rect(200+100*i, 360, 202+100*(i+1), 420), 60, 2)
		s.print(t, 240+100*i, 404, 11, string(n))
	}
	if got := strings.Join(s.read(t, newPagePool(t, nil)), " "); strings.Contains(got, "734") || strings.Contains(got, "925") {
		t.Errorf("one word: %q", got)
	}
}

func TestCombsAmong(t *testing.T) {
	const unit = 10
	row := func(y, height int, at ...int) (strokes []image.Rectangle) {
		for _, x := range at {
			strokes = append(strokes, image.Rect(x, y, x+2, y+height))
		}
		return strokes
	}
	tests := []struct {
		name    string
		strokes []image.Rectangle
		want    []int // cells
	}{
		{"a comb", row(0, 60, 0, 70, 140, 210, 280, 350), []int{5}},
		{"cells with room between them", row(0, 60, 0, 50, 62, 112, 124, 174, 186, 236, 248, 298), []int{5}},
		{"two combs in a row", row(0, 60, 0, 50, 100, 150, 200, 250, 400, 450, 500, 550, 600, 650), []int{5, 5}},
		{"four cells", row(0, 60, 0, 70, 140, 210, 280), nil},
		{"stems of letters", row(0, 30, 0, 22, 44, 66, 88, 110, 132), nil},
		{"columns of a table", row(0, 200, 0, 70, 140, 210, 280, 350), nil},
		{"strokes of two rows", append(row(0, 60, 0, 140, 280), row(30, 60, 70, 210, 350)...), nil},
		{"strokes at any distance", row(0, 60, 0, 70, 110, 210, 260, 350, 480), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []int
			for _, c := range combsAmong(tt.strokes, unit) {
				got = append(got, len(c.cells))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v cells, want %v", got, tt.want)
			}
		})
	}
}
