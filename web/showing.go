package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"docscan/scan/text"
)

// A shown says how the picture of a page on the screen came from the scanned
// image: turned back by its skew, cut to the sheet, and turned by quarters.
type shown struct {
	centreX, centreY float64 // of the scanned image
	sin, cos         float64 // of the turn that takes the skew away
	sheet            text.Box
	quarters         int // clockwise
}

// leastSkew is below which a page is shown as it lies, in degrees; as in scan/ocr.
const leastSkew = 0.3

// showing gives that of the page with text t, which a person turned by turn
// degrees beyond what makes it upright.
func showing(t *text.Page, turn int) shown {
	s := shown{
		centreX: float64(t.Width) / 2, centreY: float64(t.Height) / 2, cos: 1,
		sheet:    text.Box{Width: float64(t.Width), Height: float64(t.Height)},
		quarters: (t.Rotate + turn) / 90 % 4,
	}
	if math.Abs(t.Skew) >= leastSkew {
		s.sin, s.cos = math.Sincos(-t.Skew * math.Pi / 180)
	}
	if t.Sheet != nil {
		s.sheet = *t.Sheet
	}
	return s
}

// size is that of the picture, in pixels of the scanned image.
func (s *shown) size() (width, height int) {
	w, h := int(math.Round(s.sheet.Width)), int(math.Round(s.sheet.Height))
	if s.quarters%2 != 0 {
		w, h = h, w
	}
	return max(w, 1), max(h, 1)
}

// place gives the place in the picture of a place in the scanned image.
func (s *shown) place(x, y float64) (float64, float64) {
	dx, dy := x-s.centreX, y-s.centreY
	x, y = s.centreX+dx*s.cos-dy*s.sin-s.sheet.X, s.centreY+dx*s.sin+dy*s.cos-s.sheet.Y
	w, h := s.sheet.Width, s.sheet.Height
	switch s.quarters {
	case 1:
		return h - y, x
	case 2:
		return w - x, h - y
	case 3:
		return y, w - x
	}
	return x, y
}

// corners gives the four of a word, as a polygon of SVG wants them.
func (s *shown) corners(w text.Word) string {
	points := make([]string, 0, 4)
	xs, ys := w.Corners()
	for i := range xs {
		x, y := s.place(xs[i], ys[i])
		points = append(points, strconv.Itoa(int(math.Round(x)))+","+strconv.Itoa(int(math.Round(y))))
	}
	return strings.Join(points, " ")
}

// orientation is a JPEG's segment of Exif that tells a browser to turn the
// picture clockwise by 90, 180 or 270 degrees (CIPA DC-008, 4.5.4 and 4.6.4.A):
// the picture itself stays as it is.
func orientation(turn int) ([]byte, error) {
	value, ok := map[int]byte{90: 6, 180: 3, 270: 8}[turn]
	if !ok {
		return nil, fmt.Errorf("a turn of %d degrees", turn)
	}
	body := append([]byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08"), // big-endian, the directory follows
		0, 1, // one entry
		0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, value, 0, 0, // Orientation, one SHORT
		0, 0, 0, 0) // no other directory
	size := len(body) + 2
	return append([]byte{0xff, 0xe1, byte(size >> 8), byte(size)}, body...), nil
}

// turned puts the segment behind the first marker of a JPEG. A picture that is no
// JPEG stays as it is.
func turned(jpeg []byte, turn int) ([]byte, error) {
	if turn == 0 || len(jpeg) < 2 || jpeg[0] != 0xff || jpeg[1] != 0xd8 {
		return jpeg, nil
	}
	segment, err := orientation(turn)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(jpeg)+len(segment))
	out = append(out, jpeg[:2]...)
	out = append(out, segment...)
	return append(out, jpeg[2:]...), nil
}
