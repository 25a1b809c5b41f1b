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
