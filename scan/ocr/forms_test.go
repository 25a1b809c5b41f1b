package ocr

import (
	"image"
	"image/color"
	stddraw "image/draw"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// print draws text at the baseline x, y in a size of points.
func (s *sheet) print(t *testing.T, x, y int, size float64, text string) {
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
	d := font.Drawer{Dst: s.img, Src: image.NewUniform(color.Gray{Y: 30}), Face: face, Dot: fixed.P(x, y)}
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
