package mrc

import (
	"math"

	"docscan/scan/imaging/jbig2"
)

// What makes an area of tinted paper a stencil of its own: how much its cells may
// differ, in levels, from each other and, as a standard deviation, from their mean; how
// far it is from the paper's colour; and how many cells there must be. One with an edge
// so ragged that it takes more than mostTint bytes is a stain or a shadow.
const (
	alikeCells = 4
	evenTint   = 4
	strongTint = 15
	leastTint  = 144 // cells: 12 square millimetres at 300 dpi
	mostTint   = 400
	mostTints  = 40 // of a page
)

// A tinted is an area of cells that have one colour.
type tinted struct {
	cells []int // by their places in the sampling
	color color
}

// tints finds the areas of all that have one colour other than the paper's, as those of
// a text marker or the rows of a table, and makes stencils of them: at the resolution
// of the paper their edges would be blurred. They become paper in all.
func (s *separation) tints(all *sampling, paper color) ([]ink, error) {
	var out []ink
	for _, t := range s.tinted(all, paper) {
		stencil, cells := s.cutOut(t, all, paper)
		data, err := jbig2.Encode(stencil.bits)
		if err != nil {
			return nil, err
		}
		if len(data) > mostTint || len(out) == mostTints {
			continue
		}
		out = append(out, stencil)
		for i := range cells {
			all.planes.Y.Pix[i] = uint8(paper.y)
			if !all.planes.Gray() {
				all.planes.Cb.Pix[i], all.planes.Cr.Pix[i] = uint8(paper.cb), uint8(paper.cr)
			}
		}
	}
	return out, nil
}

// at gives the colour of a cell.
func (p *sampling) at(i int) color {
	c := color{int(p.planes.Y.Pix[i]), 128, 128}
	if !p.planes.Gray() {
		c.cb, c.cr = int(p.planes.Cb.Pix[i]), int(p.planes.Cr.Pix[i])
	}
	return c
}

// within reports whether each part of two colours differs by at most so many levels.
func (c color) within(o color, levels int) bool {
	return abs(c.y-o.y) <= levels && abs(c.cb-o.cb) <= levels && abs(c.cr-o.cr) <= levels
}

// tinted finds even areas, without the cells at their edges.
func (s *separation) tinted(all *sampling, paper color) []tinted {
	w, h := all.planes.Y.Width, all.planes.Y.Height
	inside := make([]bool, w*h)
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			c := all.at(i)
			if c.within(paper, strongTint) || s.pictured(x*cell, y*cell) {
				continue
			}
			inside[i] = true
			for _, j := range [...]int{i - w - 1, i - w, i - w + 1, i - 1, i + 1, i + w - 1, i + w, i + w + 1} {
				if !all.at(j).within(c, 2*alikeCells) {
					inside[i] = false
					break
				}
			}
		}
	}
	var out []tinted
	for i := range inside {
		if !inside[i] {
			continue
		}
		inside[i] = false
		t := tinted{cells: []int{i}}
		var sum, square [3]int
		for n := 0; n < len(t.cells); n++ {
			at := t.cells[n]
			c := all.at(at)
			for k, v := range [3]int{c.y, c.cb, c.cr} {
				sum[k] += v
				square[k] += v * v
			}
			for _, next := range [4]int{at - w, at - 1, at + 1, at + w} {
				if inside[next] && all.at(next).within(c, alikeCells) {
					inside[next] = false
					t.cells = append(t.cells, next)
				}
			}
		}
		n := len(t.cells)
		even := n >= leastTint
		for k := range sum {
			mean := float64(sum[k]) / float64(n)
			even = even && math.Sqrt(math.Max(float64(square[k])/float64(n)-mean*mean, 0)) <= evenTint
		}
		if even {
			t.color = color{sum[0] / n, sum[1] / n, sum[2] / n}
			out = append(out, t)
		}
	}
	return out
}

// cutOut makes a stencil of t: its cells, and of the cells around them the pixels that
// are nearer to its colour than to the paper's. The keys of state are all these cells.
func (s *separation) cutOut(t tinted, all *sampling, paper color) (out ink, state map[int]uint8) {
	const edge = 4 // cells
	const around, within = 1, 2
	w, h := all.planes.Y.Width, all.planes.Y.Height
	state = make(map[int]uint8, 2*len(t.cells))
	frame := area{w, h, 0, 0}
	for _, i := range t.cells {
		x, y := i%w, i/w
		frame = frame.with(area{max(x-edge, 0), max(y-edge, 0), min(x+edge+1, w), min(y+edge+1, h)})
		state[i] = within
	}
	for _, i := range t.cells {
		x, y := i%w, i/w
		for _, next := range [4]int{i - w, i - 1, i + 1, i + w} {
			if state[next] == within {
				continue
			}
			for yy := max(y-edge, 0); yy <= min(y+edge, h-1); yy++ {
				for xx := max(x-edge, 0); xx <= min(x+edge, w-1); xx++ {
					if j := yy*w + xx; state[j] == 0 {
						state[j] = around
					}
				}
			}
		}
	}
	x0, y0 := frame.x0*cell, frame.y0*cell
	x1, y1 := min(frame.x1*cell, s.w), min(frame.y1*cell, s.h)
	out = ink{color: t.color, x: x0, y: y0, bits: jbig2.NewBitmap(x1-x0, y1-y0)}
	dark := min(t.color.y, paper.y) - 3*evenTint
	for i, st := range state {
		x, y := i%w*cell, i/w*cell
		if s.pictured(x, y) {
			continue
		}
		inked := nearer(all.at(i), t.color, paper)
		for yy := y; yy < min(y+cell, s.h); yy++ {
			for xx := x; xx < min(x+cell, s.w); xx++ {
				in := st == within
				if !in {
					c := s.paperAt(xx, yy)
					in = nearer(c, t.color, paper)
					if c.y < dark { // ink tells nothing of what is under it
						in = inked
					}
				}
				if in {
					out.bits.Set(xx-x0, yy-y0)
				}
			}
		}
	}
	return out, state
}

// nearer reports whether c is nearer to a than to b.
func nearer(c, a, b color) bool {
	distance := func(o color) int {
		y, cb, cr := c.y-o.y, c.cb-o.cb, c.cr-o.cr
		return y*y + 2*(cb*cb+cr*cr)
	}
	return distance(a) < distance(b)
}

// paperAt gives the colour of a pixel of the paper as the layers have it, with the mean
// of the nine around it for its light.
func (s *separation) paperAt(x, y int) color {
	c := s.colorAt(x, y)
	sum, n := 0, 0
	for yy := max(y-1, 0); yy <= min(y+1, s.h-1); yy++ {
		for xx := max(x-1, 0); xx <= min(x+1, s.w-1); xx++ {
			sum += int(s.y.Row(yy)[xx])
			n++
		}
	}
	c.y = sum / n
	if s.whiten.y != 0 {
		c.y = min(c.y*whiteness/s.whiten.y, whiteness)
		if s.cb != nil {
			c.cb, c.cr = c.cb+128-s.whiten.cb, c.cr+128-s.whiten.cr
		}
	}
	return c
}
