package barcode

import (
	"fmt"
	"image"
	"math"
	"slices"
	"strings"
	"unsafe"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/datamatrix"

	"docscan/scan/imaging"
)

// #include <zbar.h>
// #include "codes.h"
import "C"

// kinds are libzbar's.
var kinds = map[C.int]Kind{
	C.ZBAR_EAN8: EAN8, C.ZBAR_EAN13: EAN13, C.ZBAR_ISBN13: EAN13, C.ZBAR_UPCA: UPCA, C.ZBAR_UPCE: UPCE, C.ZBAR_I25: ITF,
	C.ZBAR_CODABAR: Codabar, C.ZBAR_CODE39: Code39, C.ZBAR_CODE93: Code93, C.ZBAR_CODE128: Code128, C.ZBAR_QRCODE: QR,
}

var errMemory = fmt.Errorf("read barcodes: %w", imaging.ErrMemory)

// A strip is a picture of one byte a pixel that a library is to read.
type strip struct {
	pixels        []byte
	width, height int
}

// read gives what one of the libraries finds in s.
func (s *strip) read(by func(gray *C.uchar, w, h C.int, out *C.symbol, most C.int) C.int) ([]C.symbol, error) {
	const most = 8
	out := make([]C.symbol, most)
	n := by((*C.uchar)(unsafe.Pointer(&s.pixels[0])), C.int(s.width), C.int(s.height), &out[0], most)
	if n < 0 {
		return nil, errMemory
	}
	return out[:n], nil
}

func text(s *C.symbol) string {
	return clean(C.GoBytes(unsafe.Pointer(&s.text[0]), s.length))
}

// bars reads the bars in the regions of m that have edges in one direction.
func (r *reader) bars(m *chart) error {
	for _, g := range m.stripes() {
		if r.known(g.x, g.y) {
			continue
		}
		if c, ok := r.patch(g); ok {
			r.add(c)
			continue
		}
		g, ok := r.barred(g)
		if !ok {
			continue
		}
		if err := r.readBars(g); err != nil {
			return err
		}
	}
	return nil
}

// band gives C the part of g from v0 to v1 of its height, and pad pixels more at
// its ends.
func (g region) band(v0, v1, pad float64) C.band {
	return C.band{
		x: C.double(g.x), y: C.double(g.y), ux: C.double(g.ux), uy: C.double(g.uy),
		u0: C.double(-g.width/2 - pad), u1: C.double(g.width/2 + pad), v0: C.double(v0 * g.height), v1: C.double(v1 * g.height),
	}
}

// profile gives the mean levels across the bars of a band at n points.
func (r *reader) profile(b C.band, lines, n int) []float32 {
	out := make([]float32, n)
	C.codes_profile(pix(r.page), &b, C.int(max(1, lines)), (*C.float)(&out[0]), C.int(n))
	return out
}

// sharp is how steep a profile is.
func sharp(p []float32) float64 {
	var sum float64
	for i := 1; i < len(p); i++ {
		d := float64(p[i] - p[i-1])
		sum += d * d
	}
	return sum
}

// barred reports whether two bands across g look alike and have edges enough for
// a code, which letters do not, and turns g by what the bars are displaced.
func (r *reader) barred(g region) (region, bool) {
	const (
		least = 0.6  // correlation
		hint  = 0.4  // of a few lines
		edges = 14   // of the shortest code
		apart = 0.22 // distance of the bands, of the height
	)
	n := int(g.width)
	reach := min(n/4, 2+int(0.06*apart*g.height)) // the angle is rough
	compare := func(lines int) (best float64, at int) {
		a, b := r.profile(g.band(-0.2, -0.02, 0), lines, n), r.profile(g.band(0.02, 0.2, 0), lines, n)
		if crossings(a) < edges || crossings(b) < edges {
			return 0, 0
		}
		for d := -reach; d <= reach; d++ {
			if c := alike(a[max(0, d):n+min(0, d)], b[max(0, -d):n-max(0, d)]); c > best {
				best, at = c, d
			}
		}
		return best, at
	}
	// Most of what is looked at are lines of text, which a few lines across them
	// tell from bars.
	lines := min(30, max(2, int(0.15*g.height)))
	if few := 5; lines > few {
		if best, _ := compare(few); best <= hint {
			return g, false
		}
	}
	best, at := compare(lines)
	// Positive: the bars of the lower band are farther to the left.
	return g.turned(math.Atan(float64(at) / (apart * g.height))), best > least
}

// turned turns the direction of g clockwise by an angle in radians.
func (g region) turned(angle float64) region {
	sin, cos := math.Sincos(angle)
	g.ux, g.uy = g.ux*cos-g.uy*sin, g.uy*cos+g.ux*sin
	return g
}

// even reports whether straight bars reach from the head to the foot of g.
func (r *reader) even(g region) bool {
	const least = 0.6 // correlation
	n, lines := int(g.width), min(20, max(2, int(0.2*g.height)))
	middle := r.profile(g.band(-0.12, 0.12, 0), lines, n)
	return alike(r.profile(g.band(-0.4, -0.15, 0), lines, n), middle) > least && alike(r.profile(g.band(0.15, 0.4, 0), lines, n), middle) > least
}

// crossings counts how often p goes through its middle level.
func crossings(p []float32) int {
	low, high := slices.Min(p), slices.Max(p)
	middle, n := (low+high)/2, 0
	for i := 1; i < len(p); i++ {
		if (p[i] < middle) != (p[i-1] < middle) {
			n++
		}
	}
	return n
}

// alike is the correlation of a and b, which are as long.
func alike(a, b []float32) float64 {
	var sa, sb, aa, bb, ab float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		sa, sb, aa, bb, ab = sa+x, sb+y, aa+x*x, bb+y*y, ab+x*y
	}
	n := float64(len(a))
	va, vb := aa-sa*sa/n, bb-sb*sb/n
	if va <= 0 || vb <= 0 {
		return 0
	}
	return (ab - sa*sb/n) / math.Sqrt(va*vb)
}

// straighten turns g until its bars stand as sharp as they get.
func (r *reader) straighten(g region) region {
	n := int(g.width)
	lines := min(40, max(4, int(g.height/2)))
	try := func(degrees float64) (region, float64) {
		t := g.turned(degrees * math.Pi / 180)
		return t, sharp(r.profile(t.band(-0.4, 0.4, 0), lines, n))
	}
	best, score := try(0)
	at := 0.0
	for _, step := range []float64{0.5, 0.2} {
		from := at
		for k := -2; k <= 2; k++ {
			if k == 0 {
				continue
			}
			d := from + float64(k)*step
			if t, s := try(d); s > score {
				best, score, at = t, s, d
			}
		}
	}
	return best
}

// readBars reads a linear code in g from means of many and of few of its lines.
func (r *reader) readBars(g region) error {
	const perMM = 24 // points across the bars; the narrowest have 0.15 mm
	const rows = 2   // of each mean: zbar goes there and back
	g = r.straighten(g)
	if !r.even(g) {
		return nil
	}
	cell := cellSize * r.dpi / 25.4
	for _, pad := range []float64{0.6 * cell, 2 * cell} {
		length := g.width + 2*pad
		quiet := int(4 * perMM)
		n := int(length / r.dpi * 25.4 * perMM)
		if n < 100 || n > 12000 {
			return nil
		}
		var bands [][2]float64
		bands = append(bands, [2]float64{-0.3, 0.3}, [2]float64{-0.42, 0.42})
		pieces := min(9, max(3, int(g.height/r.dpi*25.4/1.2)))
		for i := range pieces {
			a := -0.45 + 0.9*float64(i)/float64(pieces)
			bands = append(bands, [2]float64{a, a + 0.9/float64(pieces)})
		}
		s := &strip{width: n + 2*quiet, height: rows * len(bands)}
		s.pixels = make([]byte, s.width*s.height)
		for i := range s.pixels {
			s.pixels[i] = 255
		}
		for i, b := range bands {
			lines := min(40, max(3, int((b[1]-b[0])*g.height)))
			p := r.profile(g.band(b[0], b[1], pad), lines, n)
			contrast(p)
			for k := range rows {
				row := s.pixels[(rows*i+k)*s.width+quiet:]
				for x, v := range p {
					row[x] = byte(v)
				}
			}
		}
		found, err := s.read(func(gray *C.uchar, w, h C.int, out *C.symbol, most C.int) C.int {
			return C.codes_bars(gray, w, h, out, most)
		})
		if err != nil {
			return err
		}
		var list []Code // of labels that stand one below the other
		for i := range found {
			c, ok := r.believe(&found[i], g, pad, float64(quiet), float64(n))
			if ok && !slices.ContainsFunc(list, func(o Code) bool { return strings.Contains(o.Text, c.Text) }) {
				if k := pieceOf(&found[i], rows) - 2; k >= 0 {
					v := (-0.45 + 0.9*(float64(k)+0.5)/float64(pieces)) * g.height
					c.X, c.Y = c.X-g.uy*v, c.Y+g.ux*v
				}
				list = slices.DeleteFunc(list, func(o Code) bool { return strings.Contains(c.Text, o.Text) })
				list = append(list, c)
			}
		}
		for _, c := range list {
			if len(list) == 1 {
				c.X, c.Y = g.x+(c.X-g.x)*g.ux*g.ux+(c.Y-g.y)*g.ux*g.uy, g.y+(c.X-g.x)*g.ux*g.uy+(c.Y-g.y)*g.uy*g.uy
			}
			c.Height /= float64(len(list))
			r.add(c)
		}
		if len(list) > 0 {
			return nil
		}
	}
	return nil
}

// pieceOf tells in which band, of so many rows, s was read: in the middle one of
// those where it was.
func pieceOf(s *C.symbol, rows int) int {
	if s.points == 0 {
		return 0
	}
	return int(s.y[s.points/2]) / rows
}

// contrast stretches p from black to white, and cuts off what is lighter than
// the spaces.
func contrast(p []float32) {
	low, high := p[0], p[0]
	for _, v := range p {
		low, high = min(low, v), max(high, v)
	}
	if high-low < 1 {
		return
	}
	for i, v := range p {
		p[i] = min(255, 255*(v-low)/(high-low))
	}
}

// believe makes a code of what zbar read in the bars of g, unless it is likely to
// be noise.
func (r *reader) believe(s *C.symbol, g region, pad, quiet, n float64) (Code, bool) {
	c := Code{Kind: kinds[s._type], Text: text(s)}
	first, last := math.Inf(1), math.Inf(-1)
	for i := range int(s.points) {
		first, last = min(first, float64(s.x[i])), max(last, float64(s.x[i]))
	}
	filled := (last - first) / (n * g.width / (g.width + 2*pad))
	switch c.Kind {
	case Code128, Code93:
		if len(c.Text) < 2 {
			return c, false
		}
	case EAN13, EAN8, UPCA, UPCE:
		if filled < 0.5 {
			return c, false
		}
	case Code39:
		if len(c.Text) < 3 || filled < 0.75 {
			return c, false
		}
	case Codabar:
		if len(c.Text) < 7 || filled < 0.85 {
			return c, false
		}
	case ITF:
		if len(c.Text) < 6 || len(c.Text)%2 != 0 || !digits(c.Text) || filled < 0.85 {
			return c, false
		}
	default:
		return c, false
	}
	perPoint := (g.width + 2*pad) / n
	middle := (first+last)/2 - quiet - n/2
	c.X, c.Y = g.x+g.ux*middle*perPoint, g.y+g.uy*middle*perPoint
	c.Width, c.Height = (last-first)*perPoint, g.height
	if c.Width < g.width/4 { // it was read in one direction only
		c.X, c.Y, c.Width = g.x, g.y, g.width
	}
	c.Angle = math.Atan2(g.uy, g.ux) * 180 / math.Pi
	if s.backward != 0 {
		c.Angle = turn(c.Angle + 180)
	}
	return c, true
}

// turn brings an angle to -180 up to 180 degrees.
func turn(degrees float64) float64 {
	return math.Remainder(degrees, 360)
}

// patches are the wide bars of the patch codes that part documents, of four
// each; see Kodak's A-61599. T is 3 upside down, which has no other use here.
var patches = map[[4]bool]string{
	{true, false, false, true}: "2",
	{true, false, true, false}: "T",
	{false, true, false, true}: "T",
}

// patch reads the bars of a patch sheet: four of 2.03 or 5.08 mm, 2.03 mm apart.
func (r *reader) patch(g region) (Code, bool) {
	const narrow, wide, all, least = 2.03, 5.08, 20.32, 17.0 // millimetres; bars are at least 19 long
	mm := r.dpi / 25.4
	if g.height < least*mm || g.width < (all-5)*mm || g.width > (all+8)*mm {
		return Code{}, false
	}
	g = r.straighten(g)
	pad := 4 * mm
	perPoint := mm / 10
	n := int((g.width + 2*pad) / perPoint)
	var name string
	var from, to float64
	for _, v := range [][2]float64{{-0.4, -0.15}, {-0.12, 0.12}, {0.15, 0.4}} {
		p := r.profile(g.band(v[0], v[1], pad), 40, n)
		contrast(p)
		bars, first, last, ok := measure(p, 10)
		if !ok {
			return Code{}, false
		}
		said, known := patches[bars]
		if !known || name != "" && name != said {
			return Code{}, false
		}
		name, from, to = said, from+float64(first)/3, to+float64(last)/3
	}
	middle := (from+to)/2 - float64(n)/2
	return Code{
		Kind: Patch, Text: name, X: g.x + g.ux*middle*perPoint, Y: g.y + g.uy*middle*perPoint,
		Width: (to - from) * perPoint, Height: g.height, Angle: math.Atan2(g.uy, g.ux) * 180 / math.Pi,
	}, true
}

// measure takes a profile of perMM points a millimetre for the bars of a patch: it
// tells which are wide, and where the first begins and the last ends.
func measure(p []float32, perMM float64) (bars [4]bool, first, last int, ok bool) {
	var edges []int
	dark := false
	for i, v := range p {
		if d := v < 128; d != dark {
			edges = append(edges, i)
			dark = d
		}
	}
	if len(edges) != 8 {
		return bars, 0, 0, false
	}
	const tolerance = 0.75 // mm: copies shrink a little
	is := func(length int, mm float64) bool { return math.Abs(float64(length)/perMM-mm) < tolerance }
	for i := range 7 {
		length := edges[i+1] - edges[i]
		switch {
		case is(length, 2.03):
		case i%2 == 0 && is(length, 5.08):
			bars[i/2] = true
		default:
			return bars, 0, 0, false
		}
	}
	return bars, edges[0], edges[7], true
}

// matrices reads the QR and Data Matrix codes in the regions of m that are half
// dark.
func (r *reader) matrices(m *chart) error {
	for _, g := range m.squares() {
		if r.known(g.x, g.y) {
			continue
		}
		if err := r.readMatrix(g, m.size); err != nil {
			return err
		}
	}
	return nil
}

// A view is a part of the page, scaled and turned.
type view struct {
	strip
	g      region  // what it shows
	scale  float64 // pixels of the view for one of the page
	middle [2]float64
}

// cut gives g with pad pixels around it, scaled so that its long side has about
// side pixels.
func (r *reader) cut(g region, pad, side float64) (*view, error) {
	x0, y0 := max(0, int(g.x-g.width/2-pad)), max(0, int(g.y-g.height/2-pad))
	x1, y1 := min(r.page.Width(), int(g.x+g.width/2+pad)), min(r.page.Height(), int(g.y+g.height/2+pad))
	if x1-x0 < 8 || y1-y0 < 8 {
		return nil, nil
	}
	part, err := r.page.Cut(x0, y0, x1-x0, y1-y0)
	if err != nil {
		return nil, err
	}
	defer part.Close()
	v := &view{g: g, scale: side / float64(max(x1-x0, y1-y0))}
	scaled := part
	if v.scale < 0.9 || v.scale > 1.1 {
		if scaled, err = part.Scale(max(8, int(float64(x1-x0)*v.scale)), max(8, int(float64(y1-y0)*v.scale))); err != nil {
			return nil, err
		}
		defer scaled.Close()
	} else {
		v.scale = 1
	}
	v.width, v.height = scaled.Width(), scaled.Height()
	v.middle = [2]float64{(g.x - float64(x0)) * v.scale, (g.y - float64(y0)) * v.scale}
	v.pixels = make([]byte, v.width*v.height)
	grayOf(scaled, v.pixels)
	return v, nil
}

// smooth takes the noise out of v: each pixel becomes the mean of those around it.
func (v *view) smooth() {
	const reach = 4
	// First along the rows, then along the columns.
	pass := func(n, count, step, next int) {
		sums := make([]int, n+1)
		for k := range count {
			at := k * next
			for i := range n {
				sums[i+1] = sums[i] + int(v.pixels[at+i*step])
			}
			for i := range n {
				from, to := max(0, i-reach), min(n, i+reach+1)
				v.pixels[at+i*step] = byte((sums[to] - sums[from]) / (to - from))
			}
		}
	}
	for range 2 {
		pass(v.width, v.height, 1, v.width)
		pass(v.height, v.width, v.width, 1)
	}
}

// grayOf copies an image of 8 bits to one byte a pixel.
func grayOf(p *imaging.Pix, out []byte) { C.codes_gray(pix(p), (*C.uchar)(&out[0])) }

// straight gives what v shows turned so that squares stand upright, of the same
// size and with a white margin.
func (r *reader) straight(v *view) *view {
	const margin = 8
	angle := float64(C.codes_direction((*C.uchar)(&v.pixels[0]), C.int(v.width), C.int(v.height)))
	s := &view{g: v.g.turned(angle), scale: v.scale}
	side := float64(max(v.width, v.height)) / v.scale
	n := int(side * v.scale)
	s.width, s.height = n+2*margin, n+2*margin
	s.middle = [2]float64{float64(s.width) / 2, float64(s.height) / 2}
	s.pixels = make([]byte, s.width*s.height)
	for i := range s.pixels {
		s.pixels[i] = 255
	}
	t := s.g
	t.width = side
	lines := max(1, int(1/v.scale))
	for y := range n {
		b := t.band(0, 0, 0)
		b.v0 = C.double((float64(y)/float64(n) - 0.5) * side)
		b.v1 = b.v0 + C.double(side/float64(n))
		for x, l := range r.profile(b, lines, n) {
			s.pixels[(y+margin)*s.width+margin+x] = byte(l)
		}
	}
	return s
}

// inside gives the middle of v, without what is around the code.
func (v *view) inside() image.Rectangle {
	const inner = 0.3 // of width and height, from the middle
	w, h := inner*v.g.width*v.scale, inner*v.g.height*v.scale
	r := image.Rect(int(v.middle[0]-w), int(v.middle[1]-h), int(v.middle[0]+w), int(v.middle[1]+h))
	return r.Intersect(image.Rect(0, 0, v.width, v.height))
}

// levels gives the levels of ink and of paper in a part of v.
func (v *view) levels(r image.Rectangle) (ink, paper int) {
	var count [256]int
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for _, l := range v.pixels[y*v.width+r.Min.X : y*v.width+r.Max.X] {
			count[l]++
		}
	}
	area := float64(r.Dx() * r.Dy())
	below := func(part float64) (level int) {
		for sum := 0; level < 255; level++ {
			if sum += count[level]; float64(sum) > part*area {
				break
			}
		}
		return level
	}
	return below(0.05), below(0.95)
}

// halftone reports whether about half of the middle of v is black and its levels
// change often along rows and columns, which is so of codes but seldom of print.
func (v *view) halftone() bool {
	const (
		least, most = 0.3, 0.7
		changes     = 1.5 // a row; the smallest codes have ten modules
	)
	r := v.inside()
	if r.Dx() < 8 || r.Dy() < 8 {
		return false
	}
	low, high := v.levels(r)
	middle := byte((low + high) / 2)
	black, across, down := 0, 0, 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			at := y*v.width + x
			d := v.pixels[at] < middle
			if d {
				black++
			}
			if x > r.Min.X && d != (v.pixels[at-1] < middle) {
				across++
			}
			if y > r.Min.Y && d != (v.pixels[at-v.width] < middle) {
				down++
			}
		}
	}
	area := float64(r.Dx() * r.Dy())
	return high-low > 40 && float64(black) > least*area && float64(black) < most*area &&
		float64(across) >= changes*float64(r.Dy()) && float64(down) >= changes*float64(r.Dx())
}

// readMatrix tries a region at several sizes: large modules are read best when
// they are small, and small ones when they are large.
func (r *reader) readMatrix(g region, size float64) error {
	g.width = max(g.width, g.height) // codes are square, and fade out in the cells at their edges
	g.height = g.width
	for _, side := range []float64{120, 240, 480} {
		v, err := r.cut(g, 1.5*size, side)
		if err != nil || v == nil || !v.halftone() {
			return err
		}
		if side == 480 {
			v.smooth() // it was worn, if it is a code
		}
		found, err := v.read(func(gray *C.uchar, w, h C.int, out *C.symbol, most C.int) C.int {
			return C.codes_matrix(gray, w, h, out, most)
		})
		if err != nil {
			return err
		}
		ok := false
		for i := range found {
			if s := &found[i]; s.points == 4 {
				var x, y [4]float64
				for k := range 4 {
					x[k], y[k] = float64(s.x[k]), float64(s.y[k])
				}
				ok = r.addMatrix(v, QR, text(s), x, y) || ok
			}
		}
		if ok {
			return nil
		}
		if side < 480 {
			if s := r.straight(v); r.readGrid(s) || r.readDataMatrix(v) || r.readDataMatrix(s) {
				return nil
			}
		}
	}
	return nil
}

// readDataMatrix reads a Data Matrix code in the middle of v.
func (r *reader) readDataMatrix(v *view) bool {
	img := &image.Gray{Pix: v.pixels, Stride: v.width, Rect: image.Rect(0, 0, v.width, v.height)}
	bits, err := gozxing.NewBinaryBitmap(gozxing.NewHybridBinarizer(gozxing.NewLuminanceSourceFromImage(img)))
	if err != nil {
		return false
	}
	found, err := datamatrix.NewDataMatrixReader().Decode(bits, nil)
	if err != nil || len(found.GetResultPoints()) < 4 {
		return false // there is none: most regions are something else
	}
	// Two of the corners are in doubt: the solid sides meet at one of them.
	var x, y [4]float64
	for i, p := range found.GetResultPoints()[:4] {
		x[i], y[i] = p.GetX(), p.GetY()
	}
	return r.addMatrix(v, DataMatrix, clean([]byte(found.GetText())), x, y)
}

// addMatrix adds a code with corners in v, from its upper left counter-clockwise.
func (r *reader) addMatrix(v *view, kind Kind, text string, x, y [4]float64) bool {
	if text == "" {
		return false
	}
	c := Code{Kind: kind, Text: text}
	var px, py [4]float64
	for i := range 4 {
		dx, dy := (x[i]-v.middle[0])/v.scale, (y[i]-v.middle[1])/v.scale
		px[i], py[i] = v.g.x+dx*v.g.ux-dy*v.g.uy, v.g.y+dx*v.g.uy+dy*v.g.ux
		c.X, c.Y = c.X+px[i]/4, c.Y+py[i]/4
	}
	c.Width = (math.Hypot(px[3]-px[0], py[3]-py[0]) + math.Hypot(px[2]-px[1], py[2]-py[1])) / 2
	c.Height = (math.Hypot(px[1]-px[0], py[1]-py[0]) + math.Hypot(px[2]-px[3], py[2]-py[3])) / 2
	c.Angle = math.Atan2(py[3]-py[0], px[3]-px[0]) * 180 / math.Pi
	r.add(c)
	return true
}

// Blot makes the codes white in p, a copy of their page of width pixels, so that
// nobody takes bars for letters.
func Blot(p *imaging.Pix, width int, codes []Code) {
	scale := float64(p.Width()) / float64(width)
	for _, c := range codes {
		sin, cos := math.Sincos(c.Angle * math.Pi / 180)
		b := C.band{
			x: C.double(c.X * scale), y: C.double(c.Y * scale), ux: C.double(cos), uy: C.double(sin),
			u0: C.double(-c.Width / 2 * scale), u1: C.double(c.Width / 2 * scale), v0: C.double(-c.Height / 2 * scale), v1: C.double(c.Height / 2 * scale),
		}
		C.codes_blot(pix(p), &b)
	}
}
