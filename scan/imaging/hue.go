package imaging

import (
	"math"
	"slices"
	"unsafe"
)

// #include "planes.h"
import "C"

// A mark in a pale colour can be nearly as light as the paper: a firm's sign, a stroke of a
// yellow or pink marker, a pencil of light blue. Its colour tells it, where paper has its own in the
// sun and in the shade. Stains, and what is seen through the paper, have colours too; they are
// told by their edges, for which the light is looked at where it can be: it has four times as many
// pixels in most JPEGs, and far finer steps.

// A hues is a sheet in cells.
type hues struct {
	w, h  int
	mm    float64   // side of a cell
	light []float32 // 0 to 255
	level float64   // light of the paper
	u, v  []float32 // Cb and Cr beside those of the paper, in its light
	off   []float32 // how far that is from it; 0 where nothing is told
	cb    float64   // those of the paper, in the middle of the sheet
	cr    float64
	noise float64 // of off, its standard deviation
}

// Hued reports whether something stands on the sheet s that differs from its paper by its colour, and
// has sharp edges. The sheet lies in an image with dpi that is width pixels wide.
func (p *Planes) Hued(dpi float64, s Sheet, width int, c Care) bool {
	const (
		least = 5 / 0.12 // levels of off for the contrast that a mark has at least
		sure  = 5        // standard deviations
		most  = 60       // pieces that are looked at, the largest first
		small = 6.0      // mm²: a letter of 10 points has more, fibres of the paper less
	)
	if p.Gray() {
		return false
	}
	g := p.hues(dpi, s, width)
	if g == nil {
		return false
	}
	pieces := g.pieces(max(least*c.Contrast, sure*g.noise))
	slices.SortStableFunc(pieces, func(a, b []int) int { return len(b) - len(a) })
	for i, cells := range pieces {
		if i == most || float64(len(cells))*g.mm*g.mm < small {
			return false
		}
		if g.isInk(p, cells) {
			return true
		}
	}
	return false
}

// hues takes the sheet into cells. It gives nil if the sheet is too small to tell.
func (p *Planes) hues(dpi float64, s Sheet, width int) *hues {
	const (
		cell   = 0.7  // mm: lines are thinner, and what is lost of their colour is noise
		rim    = 1.6  // mm from the edge of the sheet: there are its shadow and its bed
		dark   = 0.75 // of the paper's light: ink is told by that, and lenses have coloured edges there
		lit    = 1.6  // times: nothing on paper is so much darker and has its colour
		fewest = 400  // cells
	)
	unit := dpi / 25.4
	g := &hues{w: int(float64(width) / unit / cell)}
	if g.w < 1 {
		return nil
	}
	per := float64(width) / float64(g.w) // pixels of the sheet's image in a cell
	g.h, g.mm = int(float64(p.Y.Height)*float64(width)/float64(p.Y.Width)/per), per/unit
	if g.w*g.h < fewest || g.w > p.Cb.Width || g.h > p.Cb.Height {
		return nil
	}
	g.light, g.u, g.v = p.Y.cells(g.w, g.h), p.Cb.cells(g.w, g.h), p.Cr.cells(g.w, g.h)
	on := make([]bool, g.w*g.h)
	perRow := float64(p.Y.Height) * float64(width) / float64(p.Y.Width) / float64(g.h)
	var lights []float32
	for i := range on {
		x, y := (float64(i%g.w)+0.5)*per, (float64(i/g.w)+0.5)*perRow
		on[i] = true
		for _, e := range s.Edges {
			on[i] = on[i] && e.A*x+e.B*y-e.C > rim*unit
		}
		if on[i] {
			lights = append(lights, g.light[i])
		}
	}
	if len(lights) < fewest {
		return nil
	}
	slices.Sort(lights)
	g.level = float64(lights[len(lights)/2])
	for i, l := range g.light {
		k := float32(min(g.level/max(float64(l), 1), lit))
		g.u[i], g.v[i] = (g.u[i]-128)*k, (g.v[i]-128)*k
	}
	paper := func(i int) bool { return on[i] && float64(g.light[i]) > dark*g.level }
	g.cb, g.cr = g.without(g.u, paper), g.without(g.v, paper)
	g.off = make([]float32, g.w*g.h)
	var usual []float32
	for y := 1; y < g.h-1; y++ {
	cells:
		for x := 1; x < g.w-1; x++ {
			i := y*g.w + x
			for _, k := range [...]int{i, i - g.w - 1, i - g.w, i - g.w + 1, i - 1, i + 1, i + g.w - 1, i + g.w, i + g.w + 1} {
				if float64(g.light[k]) <= dark*g.level || !on[k] && k == i {
					continue cells
				}
			}
			g.off[i] = float32(math.Sqrt(float64(g.u[i]*g.u[i] + g.v[i]*g.v[i])))
			usual = append(usual, g.off[i])
		}
	}
	if len(usual) < fewest {
		return nil
	}
	slices.Sort(usual)
	g.noise = float64(usual[len(usual)/2]) / 1.18 // of a distance in two directions
	return g
}

// without takes out of list, in place, what the paper has of it: as much all over the sheet, but for a
// little that changes with the place, as lamps and sensors do that. counts tells which cells may be
// paper. It gives what the middle of the sheet has of it.
func (g *hues) without(list []float32, counts func(i int) bool) float64 {
	const step = 3 // cells
	var some []float32
	for y := 0; y < g.h; y += step {
		for x := 0; x < g.w; x += step {
			if i := y*g.w + x; counts(i) {
				some = append(some, list[i])
			}
		}
	}
	if len(some) == 0 {
		return 0
	}
	slices.Sort(some)
	model := [6]float64{float64(some[len(some)/2])}
	terms := func(x, y int) [6]float64 {
		a, b := 2*float64(x)/float64(g.w)-1, 2*float64(y)/float64(g.h)-1
		return [6]float64{1, a, b, a * a, a * b, b * b}
	}
	at := func(f [6]float64) (sum float64) {
		for i := range f {
			sum += model[i] * f[i]
		}
		return sum
	}
	// What is far from the model is not paper; the model becomes better each time.
	for _, far := range []float64{12, 8, 5, 4} {
		var m [6][7]float64
		n := 0
		for y := 0; y < g.h; y += step {
			for x := 0; x < g.w; x += step {
				i := y*g.w + x
				f := terms(x, y)
				v := float64(list[i])
				if !counts(i) || math.Abs(v-at(f)) > far {
					continue
				}
				n++
				for i := range f {
					for j := range f {
						m[i][j] += f[i] * f[j]
					}
					m[i][6] += f[i] * v
				}
			}
		}
		if 5*n < len(some) {
			break // too little is paper to tell
		}
		if next, ok := solve(m); ok {
			model = next
		}
	}
	for y := range g.h {
		for x := range g.w {
			list[y*g.w+x] -= float32(at(terms(x, y)))
		}
	}
	return model[0]
}

// pieces gives the cells of each piece that is farther than least from the paper.
func (g *hues) pieces(least float64) (out [][]int) {
	seen := make([]bool, len(g.off))
	for start := range g.off {
		if seen[start] || float64(g.off[start]) <= least {
			continue
		}
		var list []int
		seen[start] = true
		for todo := []int{start}; len(todo) > 0; {
			i := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			list = append(list, i)
			for _, k := range [...]int{i - g.w - 1, i - g.w, i - g.w + 1, i - 1, i + 1, i + g.w - 1, i + g.w, i + g.w + 1} { // off is 0 at the edges
				if !seen[k] && float64(g.off[k]) > least {
					seen[k] = true
					todo = append(todo, k)
				}
			}
		}
		out = append(out, list)
	}
	return out
}

// isInk reports whether a piece was put onto the paper: most of its edges are sharp.
func (g *hues) isInk(p *Planes, cells []int) bool {
	const (
		// Of the contrast, what lies within half a millimetre: coffee has 0.8, what is seen through the paper 0.7.
		sharp, sharpest = 0.8, 0.9
		large           = 15.0      // mm²: of smaller pieces few edges tell
		strong, rather  = 25.0, 0.5 // of what is so far from the paper's colour nothing is seen through it
		fewest          = 6.0       // levels of contrast by which the light tells
		clear           = 12.0      // of colour
		neutral         = 8.0       // levels from grey
		edges           = 400       // that are looked at
	)
	inside := make([]bool, len(g.off))
	offs := make([]float32, 0, len(cells))
	for _, i := range cells {
		inside[i] = true
		offs = append(offs, g.off[i])
	}
	// Its colour is that of its stronger half.
	slices.Sort(offs)
	var u, v, light, n float64
	for _, i := range cells {
		if g.off[i] >= offs[len(offs)/2] {
			u, v, light, n = u+float64(g.u[i]), v+float64(g.v[i]), light+float64(g.light[i]), n+1
		}
	}
	u, v, light = u/n, v/n, light/n
	far, darker := math.Hypot(u, v), g.level-light
	contrast, level := darker, func(x, y float64) float64 { return -p.Y.at(x, y) }
	if math.Abs(darker) < fewest {
		if far < clear {
			return false
		}
		contrast, level = far, func(x, y float64) float64 { return (p.Cb.at(x, y)*u + p.Cr.at(x, y)*v) / far }
	}
	// Out of the piece, towards the paper, the part of the contrast that lies within half a millimetre.
	var parts, noise []float64
	border := false
	step := max(len(cells)/edges, 1)
	for k, i := range cells {
		var dx, dy float64
		out := false
		for j := -2; j <= 2; j++ {
			for l := -2; l <= 2; l++ {
				x, y := i%g.w+l, i/g.w+j
				if x < 0 || y < 0 || x >= g.w || y >= g.h || inside[y*g.w+x] {
					continue
				}
				dx, dy = dx+float64(l), dy+float64(j)
				near := max(l, -l)+max(j, -j) == 1
				border = border || near && g.off[y*g.w+x] == 0
				out = out || near && g.off[y*g.w+x] > 0
			}
		}
		if n := math.Hypot(dx, dy); out && n > 0 && k%step == 0 {
			part, beside := g.within(i, dx/n, dy/n, contrast, level)
			parts, noise = append(parts, part), append(noise, beside)
		}
	}
	if len(parts) == 0 || border && math.Hypot(u+g.cb, v+g.cr) < neutral { // a bed of which nobody could see where it ends
		return false
	}
	slices.Sort(parts)
	slices.Sort(noise) // beside much of the piece there may be another one
	bound := sharp
	// What tea, rust and age leave is brown: it takes most of the blue, less of the green, little of the red.
	hue := math.Atan2(v, -u) * 180 / math.Pi
	switch brown := hue > 12 && hue < 42 && far < 1.25*darker; {
	case far >= strong && !brown:
		bound = rather
	case brown || float64(len(cells))*g.mm*g.mm < large:
		bound = sharpest
	}
	return parts[len(parts)/2]-noise[len(noise)/4] >= bound
}

// within gives the part of a contrast, from cell i in the direction dx, dy, that lies within half a millimetre
// where it is most, and the part that does on the paper beside the cell: noise. level gives what it is a
// contrast of, at a place from 0 to 1 across and down.
func (g *hues) within(i int, dx, dy, contrast float64, level func(x, y float64) float64) (part, noise float64) {
	const reach, near, step = 1.8, 0.5, 0.1                         // mm
	const n, out = int(2*reach/step) + 1, int((reach + 0.9) / step) // samples, and the first one on the paper
	var profile [n]float64
	for k := range profile {
		t := (float64(k)*step - reach) / g.mm
		for across := -1.0; across <= 1; across++ { // the mean of three has less noise
			x := float64(i%g.w) + 0.5 + t*dx - 0.5*across*dy
			y := float64(i/g.w) + 0.5 + t*dy + 0.5*across*dx
			profile[k] += level(x/float64(g.w), y/float64(g.h)) / 3
		}
	}
	for k := 0; k+int(near/step) < n; k++ {
		fall := (profile[k] - profile[k+int(near/step)]) / contrast
		if part = max(part, fall); k >= out {
			noise = max(noise, fall)
		}
	}
	return part, noise
}

// at gives a pixel at a place from 0 to 1 across and down; beyond, it is that at the edge.
func (p *Plane) at(x, y float64) float64 {
	px, py := min(max(int(x*float64(p.Width)), 0), p.Width-1), min(max(int(y*float64(p.Height)), 0), p.Height-1)
	return float64(p.Pix[py*p.Stride+px])
}

// cells gives the means of a plane in w by h cells, of which it has at least as many pixels.
func (p *Plane) cells(w, h int) []float32 {
	out := make([]float32, w*h)
	C.plane_cells((*C.uint8_t)(unsafe.SliceData(p.Pix)), C.int(p.Width), C.int(p.Height), C.int(p.Stride), C.int(w), C.int(h), (*C.float)(unsafe.SliceData(out)))
	return out
}
