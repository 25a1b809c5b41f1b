package barcode

import (
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/datamatrix/decoder"
)

// The library looks for a Data Matrix code in a rectangle whose rim is white to the
// last pixel, and takes the first dark pixels from its corners for the corners of the
// code. Dust, or a code that is a little askew, leads it astray. In a view that was laid
// straight the modules can be counted instead: the frame of the code says whether the
// count is right.

// sides are the modules along a square Data Matrix code (ISO/IEC 16022, ECC 200) of
// up to 204 bytes, which is far more than labels have.
var sides = []int{10, 12, 14, 16, 18, 20, 22, 24, 26, 32, 36, 40, 44, 48, 52}

// readGrid reads a Data Matrix code in the middle of v, whose modules stand upright.
func (r *reader) readGrid(v *view) bool {
	x0, y0, x1, y1, ok := v.frame()
	if !ok {
		return false
	}
	const least = 3 // pixels of a module
	for _, n := range sides {
		if min(x1-x0, y1-y0) < least*n {
			break
		}
		grid := v.sample(x0, y0, x1, y1, n)
		for turns := range 4 { // clockwise, until its solid sides are on the left and below
			if turns > 0 {
				grid = turned(grid)
			}
			if !framed(grid) {
				continue
			}
			bits, err := gozxing.ParseBoolMapToBitMatrix(grid)
			if err != nil {
				break
			}
			found, err := decoder.NewDecoder().Decode(bits)
			if err != nil {
				break // its frame fits by chance, or it is damaged
			}
			// From its upper left counter-clockwise, in v.
			x := []float64{float64(x0), float64(x0), float64(x1), float64(x1)}
			y := []float64{float64(y0), float64(y1), float64(y1), float64(y0)}
			var cx, cy [4]float64
			for i := range 4 {
				cx[i], cy[i] = x[(i+turns)%4], y[(i+turns)%4]
			}
			return r.addMatrix(v, DataMatrix, clean([]byte(found.GetText())), cx, cy)
		}
	}
	return false
}

// frame gives the rectangle around what is dark in the middle of v, and white around
// that.
func (v *view) frame() (x0, y0, x1, y1 int, ok bool) {
	const white = 0.025 // of a line that may be dark: a solid side gives more to each
	dark := v.darkness()
	mx, my := int(v.middle[0]), int(v.middle[1])
	reach := int(0.15 * v.g.width * v.scale)
	x0, y0, x1, y1 = mx-reach, my-reach, mx+reach, my+reach
	if x0 < 1 || y0 < 1 || x1 > v.width-1 || y1 > v.height-1 || reach < 2 {
		return 0, 0, 0, 0, false
	}
	row := func(y int) bool { // has no code in it
		n := 0
		for x := x0; x < x1; x++ {
			if v.pixels[y*v.width+x] < dark {
				n++
			}
		}
		return float64(n) <= white*float64(x1-x0)
	}
	column := func(x int) bool {
		n := 0
		for y := y0; y < y1; y++ {
			if v.pixels[y*v.width+x] < dark {
				n++
			}
		}
		return float64(n) <= white*float64(y1-y0)
	}
	// Inside a code there can be a white line, but not two beside each other as wide as
	// the rectangle.
	for grown := true; grown; {
		grown = false
		for x0 > 1 && !(column(x0-1) && column(x0-2)) {
			x0--
			grown = true
		}
		for x1 < v.width-1 && !(column(x1) && column(x1+1)) {
			x1++
			grown = true
		}
		for y0 > 1 && !(row(y0-1) && row(y0-2)) {
			y0--
			grown = true
		}
		for y1 < v.height-1 && !(row(y1) && row(y1+1)) {
			y1++
			grown = true
		}
	}
	w, h := x1-x0, y1-y0
	return x0, y0, x1, y1, x0 > 1 && y0 > 1 && x1 < v.width-1 && y1 < v.height-1 && 10*min(w, h) > 8*max(w, h)
}

// darkness gives the level under which a pixel of v is dark.
func (v *view) darkness() byte {
	ink, paper := v.levels(v.inside())
	return byte((ink + paper) / 2)
}

// sample tells which of n by n modules in a rectangle of v are dark in their middle.
func (v *view) sample(x0, y0, x1, y1, n int) [][]bool {
	const inner = 0.5 // of a module's width, in its middle
	dark := int(v.darkness())
	grid := make([][]bool, n)
	w, h := float64(x1-x0)/float64(n), float64(y1-y0)/float64(n)
	for j := range grid {
		grid[j] = make([]bool, n)
		for i := range grid[j] {
			fromX, fromY := x0+int((float64(i)+(1-inner)/2)*w), y0+int((float64(j)+(1-inner)/2)*h)
			toX, toY := max(fromX+1, x0+int((float64(i)+(1+inner)/2)*w)), max(fromY+1, y0+int((float64(j)+(1+inner)/2)*h))
			sum := 0
			for y := fromY; y < toY; y++ {
				for _, l := range v.pixels[y*v.width+fromX : y*v.width+toX] {
					sum += int(l)
				}
			}
			grid[j][i] = sum < dark*(toX-fromX)*(toY-fromY)
		}
	}
	return grid
}

// turned gives a square grid turned clockwise by a quarter.
func turned(grid [][]bool) [][]bool {
	n := len(grid)
	out := make([][]bool, n)
	for y := range out {
		out[y] = make([]bool, n)
		for x := range out[y] {
			out[y][x] = grid[n-1-x][y]
		}
	}
	return out
}

// framed reports whether the left and the lower side of a grid are dark, and the
// others dark and light by turns.
func framed(grid [][]bool) bool {
	const wrong = 0.06 // of the frame, at most
	n, bad := len(grid), 0
	for i := range n {
		for _, ok := range []bool{grid[i][0], grid[n-1][i], grid[0][i] == (i%2 == 0), grid[n-1-i][n-1] == (i%2 == 0)} {
			if !ok {
				bad++
			}
		}
	}
	return float64(bad) <= wrong*4*float64(n)
}
