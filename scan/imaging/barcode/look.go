package barcode

import (
	"cmp"
	"math"
	"slices"

	"docscan/scan/imaging"
)

// #cgo CFLAGS: -O2
// #cgo LDFLAGS: -lleptonica -lzbar -lm
// #include "codes.h"
import "C"

// pix gives the image to C.
func pix(p *imaging.Pix) *C.PIX { return (*C.PIX)(p.Pointer()) }

// A chart is a page cut into cells.
type chart struct {
	cols, rows int
	size       float64 // of a cell, in pixels of the page
	cells      []C.cell
}

// look cuts small, a copy of the page at 1/scale of its size, into cells.
func look(small *imaging.Pix, size, level int, scale float64) (*chart, error) {
	m := &chart{
		cols: (small.Width() + size - 1) / size,
		rows: (small.Height() + size - 1) / size,
		size: float64(size) * scale,
	}
	m.cells = make([]C.cell, m.cols*m.rows)
	if C.codes_cells(pix(small), C.int(size), C.int(max(level, 1)), &m.cells[0], C.int(m.cols), C.int(m.rows)) != 0 {
		return nil, errMemory
	}
	return m, nil
}

// A region is a piece of the page that may hold a code.
type region struct {
	x, y   float64 // its middle, pixels of the page
	ux, uy float64 // across the bars
	width  float64 // in that direction, pixels
	height float64
	cells  int
}

// What bars and their cells are like, found by measurement.
const (
	leastEdge = 150.0 // squared difference of levels per pixel that bars make at least
	coherent  = 0.5   // part of it in one direction
	agree     = 14.0  // degrees between neighbours
)

// stripes finds where edges run in parallel over an area.
func (m *chart) stripes() []region {
	angle := make([]float64, len(m.cells)) // of the direction across the bars, radians; NaN: no bars
	for i, c := range m.cells {
		xx, yy, xy := float64(c.xx), float64(c.yy), float64(c.xy)
		one := math.Hypot(xx-yy, 2*xy)
		angle[i] = math.NaN()
		if one > leastEdge && one > coherent*(xx+yy) {
			angle[i] = math.Atan2(2*xy, xx-yy) / 2
		}
	}
	seen := make([]bool, len(m.cells))
	var regions []region
	for start := range m.cells {
		if seen[start] || math.IsNaN(angle[start]) {
			continue
		}
		seen[start] = true
		group := []int{start}
		for k := 0; k < len(group); k++ {
			at := group[k]
			m.around(at, 2, func(next int) {
				if !seen[next] && !math.IsNaN(angle[next]) && apart(angle[at], angle[next]) < agree*math.Pi/180 {
					seen[next] = true
					group = append(group, next)
				}
			})
		}
		if len(group) < 6 {
			continue
		}
		if r, ok := m.outline(group); ok {
			regions = append(regions, r)
		}
	}
	return largest(regions)
}

// around calls do with the cells at most reach from one.
func (m *chart) around(at, reach int, do func(int)) {
	x, y := at%m.cols, at/m.cols
	for j := max(0, y-reach); j <= min(m.rows-1, y+reach); j++ {
		for i := max(0, x-reach); i <= min(m.cols-1, x+reach); i++ {
			do(j*m.cols + i)
		}
	}
}

// apart is the angle between two directions without sense, in radians.
func apart(a, b float64) float64 {
	d := math.Mod(math.Abs(a-b), math.Pi)
	return min(d, math.Pi-d)
}

// outline lays a rectangle around a group of cells with bars. ok is false for
// what is too thin, such as a rule.
func (m *chart) outline(group []int) (r region, ok bool) {
	var xx, yy, xy float64
	for _, i := range group {
		c := m.cells[i]
		xx, yy, xy = xx+float64(c.xx), yy+float64(c.yy), xy+float64(c.xy)
	}
	angle := math.Atan2(2*xy, xx-yy) / 2
	r.uy, r.ux = math.Sincos(angle)
	r.cells = len(group)
	u0, u1, v0, v1 := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, i := range group {
		x, y := (float64(i%m.cols)+0.5)*m.size, (float64(i/m.cols)+0.5)*m.size
		u, v := x*r.ux+y*r.uy, y*r.ux-x*r.uy
		u0, u1, v0, v1 = min(u0, u), max(u1, u), min(v0, v), max(v1, v)
	}
	r.width, r.height = u1-u0+m.size, v1-v0+m.size
	u, v := (u0+u1)/2, (v0+v1)/2
	r.x, r.y = u*r.ux-v*r.uy, u*r.uy+v*r.ux
	area := r.width * r.height / (m.size * m.size)
	return r, r.width >= 5*m.size && r.height >= 2*m.size && float64(len(group)) >= 0.25*area
}

// What cells of matrix codes are like.
const (
	leastDark, mostDark = 0.28, 0.8 // mean over three by three cells
	leastBusy           = 300.0     // squared difference of levels per pixel
)

// squares finds areas that are about as long as wide and half dark all over.
func (m *chart) squares() []region {
	half := make([]bool, len(m.cells))
	for i := range m.cells {
		var dark, busy float64
		n := 0.0
		m.around(i, 1, func(j int) {
			c := m.cells[j]
			dark += float64(c.dark)
			busy += float64(c.xx + c.yy)
			n++
		})
		c := m.cells[i]
		half[i] = dark > leastDark*n && dark < mostDark*n && busy > leastBusy*n && float64(c.xx+c.yy) > leastBusy/4
	}
	seen := make([]bool, len(m.cells))
	var regions []region
	for start := range m.cells {
		if seen[start] || !half[start] {
			continue
		}
		seen[start] = true
		group := []int{start}
		x0, y0, x1, y1 := m.cols, m.rows, 0, 0
		for k := 0; k < len(group); k++ {
			x, y := group[k]%m.cols, group[k]/m.cols
			x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
			m.around(group[k], 1, func(next int) {
				if !seen[next] && half[next] {
					seen[next] = true
					group = append(group, next)
				}
			})
		}
		w, h := x1-x0+1, y1-y0+1
		if min(w, h) < 2 || max(w, h) > 40 || 8*min(w, h) < 5*max(w, h) || 5*len(group) < 2*w*h {
			continue
		}
		regions = append(regions, region{
			x: (float64(x0+x1+1) / 2) * m.size, y: (float64(y0+y1+1) / 2) * m.size, ux: 1,
			width: float64(w) * m.size, height: float64(h) * m.size, cells: len(group),
		})
	}
	return largest(regions)
}

// largest keeps the regions on which work is worthwhile.
func largest(list []region) []region {
	slices.SortStableFunc(list, func(a, b region) int { return cmp.Compare(b.cells, a.cells) })
	return list[:min(len(list), mostRegions)]
}
