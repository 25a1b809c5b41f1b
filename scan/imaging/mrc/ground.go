package mrc

import (
	"slices"

	"docscan/scan/imaging"
)

// even is how much, in levels, paper can differ from its own colour, over a square
// of some millimetres, and still be that colour; and how much where uneven light has been
// taken out of it, which has made noise more.
const even, evened = 5, 7

// Paper from this luminance on, and so near to grey, is white.
const (
	white     = 228
	whitish   = 3
	whiteness = 255
)

// ground makes the layers below the ink, and the stencils of tinted areas that lie
// between.
func (s *separation) ground() (layers []Layer, tints []ink, err error) {
	all := s.sample(0, 0, s.w, s.h, cell)
	paper := s.paperColor(&all)
	if !s.options.Paper && !s.options.Negative && paper.y >= white && abs(paper.cb-128) <= whitish && abs(paper.cr-128) <= whitish {
		s.whiten = paper
		paper = color{whiteness, 128, 128}
		s.bleach(&all.planes)
	}
	s.paper = paper
	layers = []Layer{{Kind: Fill, Color: s.rgb(paper), Width: float64(s.w) * s.scaleX, Height: float64(s.h) * s.scaleY}}
	if tints, err = s.tints(&all, paper); err != nil {
		return nil, nil, err
	}
	if a, ok := s.flatten(&all, paper); ok {
		l, err := s.jpeg(all.cut(a), s.options.PaperQuality)
		if err != nil {
			return nil, nil, err
		}
		layers = append(layers, s.place(l, a.x0*cell, a.y0*cell, cell))
	}
	size := photo
	if s.dpi < photo*leastPhotoDPI {
		size = 1
	}
	for _, a := range s.pictures {
		x0, y0 := a.x0*tile, a.y0*tile
		x1, y1 := min(a.x1*tile, s.w), min(a.y1*tile, s.h)
		part := s.sample(x0, y0, x1, y1, size)
		s.bleach(&part.planes)
		l, err := s.jpeg(&part.planes, s.options.PhotoQuality)
		if err != nil {
			return nil, nil, err
		}
		layers = append(layers, s.place(l, x0, y0, size))
	}
	return layers, tints, nil
}

// paperColor gives the most frequent colour of the paper.
func (s *separation) paperColor(all *sampling) color {
	most := func(p *imaging.Plane, at func(i int) bool) int {
		var counts [256 + 4]int
		for i, v := range p.Pix {
			if all.known[i] && at(i) {
				counts[v]++
			}
		}
		best, v := -1, 255
		for i := range 256 {
			if n := counts[i] + counts[i+1] + counts[i+2] + counts[i+3]; n > best && n > 0 {
				best, v = n, i+1
			}
		}
		return min(v, 255)
	}
	c := color{cb: 128, cr: 128}
	c.y = most(all.planes.Y, func(int) bool { return true })
	if s.cb != nil {
		same := func(i int) bool { return abs(int(all.planes.Y.Pix[i])-c.y) <= even }
		c.cb, c.cr = most(all.planes.Cb, same), most(all.planes.Cr, same)
	}
	return c
}

// Coloured reports whether a page, decoded at dpi, has colours worth keeping: a
// coloured paper, or some square millimetres of ink or photograph in another
// colour than the paper's. The fringes that scanners draw along black print are
// none: they even out within a cell.
func Coloured(p *imaging.Planes, dpi int) bool {
	if p.Gray() {
		return false
	}
	const (
		cells  = 38 // to the inch
		tinted = 8  // levels that the paper is off grey
		inked  = 12 // levels that a cell is off the paper
		least  = 9  // cells: 4 mm²
	)
	size := max(1, int(float64(dpi*p.Cb.Width)/float64(p.Y.Width*cells)+0.5))
	cb, cr := p.Cb.Shrink(size), p.Cr.Shrink(size)
	pb, pr := mode(cb.Pix), mode(cr.Pix)
	if abs(pb-128) > tinted || abs(pr-128) > tinted {
		return true
	}
	n := 0
	for i := range cb.Pix {
		if abs(int(cb.Pix[i])-pb) > inked || abs(int(cr.Pix[i])-pr) > inked {
			n++
		}
	}
	return n > least
}

// mode gives the most frequent value.
func mode(pix []uint8) int {
	var counts [256]int
	best := 128
	for _, v := range pix {
		if counts[v]++; counts[v] > counts[best] {
			best = int(v)
		}
	}
	return best
}

// bleach makes p so much lighter that white paper becomes white.
func (s *separation) bleach(p *imaging.Planes) {
	if s.whiten.y == 0 {
		return
	}
	var light [256]uint8
	for v := range light {
		light[v] = uint8(min(v*whiteness/s.whiten.y, whiteness))
	}
	for i, v := range p.Y.Pix {
		p.Y.Pix[i] = light[v]
	}
	if p.Gray() {
		return
	}
	for i := range p.Cb.Pix {
		p.Cb.Pix[i] = uint8(min(max(int(p.Cb.Pix[i])+128-s.whiten.cb, 0), 255))
		p.Cr.Pix[i] = uint8(min(max(int(p.Cr.Pix[i])+128-s.whiten.cr, 0), 255))
	}
}

func abs(v int) int { return max(v, -v) }

// flatten gives all paper that is nearly of the paper's colour just that, and
// finds the area of what is not. ok is false if that is nothing.
func (s *separation) flatten(all *sampling, paper color) (a area, ok bool) {
	p := &all.planes
	w, h := p.Y.Width, p.Y.Height
	other := make([]bool, w*h)
	most := even
	if s.lit {
		most = evened
	}
	unlike := func(q *imaging.Plane, level int) {
		coarse := smooth(smooth(q.Shrink(2)))
		for y := range h {
			row := coarse.Row(y / 2)
			for x := range w {
				if abs(int(row[x/2])-level) > most {
					other[y*w+x] = true
				}
			}
		}
	}
	unlike(p.Y, paper.y)
	if s.cb != nil {
		unlike(p.Cb, paper.cb)
		unlike(p.Cr, paper.cr)
	}
	a = area{w, h, 0, 0}
	for y := range h {
		for x := range w {
			if other[y*w+x] && !s.pictured(x*cell, y*cell) {
				a = a.with(area{x, y, x + 1, y + 1})
			}
		}
	}
	for i := range p.Y.Pix {
		if !other[i] || s.pictured(i%w*cell, i/w*cell) {
			p.Y.Pix[i] = uint8(paper.y)
			if s.cb != nil {
				p.Cb.Pix[i], p.Cr.Pix[i] = uint8(paper.cb), uint8(paper.cr)
			}
		}
	}
	return a, a.x0 < a.x1
}

// pictured reports whether a pixel lies in a photograph.
func (s *separation) pictured(x, y int) bool {
	across, _ := s.tiles()
	return s.picture[y/tile*across+x/tile]
}

// cut gives a part of what was sampled.
func (p *sampling) cut(a area) *imaging.Planes {
	part := func(p *imaging.Plane) *imaging.Plane {
		if p == nil {
			return nil
		}
		out := imaging.NewPlane(a.x1-a.x0, a.y1-a.y0)
		for y := range out.Height {
			copy(out.Row(y), p.Row(a.y0 + y)[a.x0:])
		}
		return out
	}
	return &imaging.Planes{Y: part(p.planes.Y), Cb: part(p.planes.Cb), Cr: part(p.planes.Cr)}
}

// colorful is how far from grey, in levels, a picture must be somewhere to need
// its colours.
const colorful = 7

// jpeg codes p, without its colours if it has none to speak of.
func (s *separation) jpeg(p *imaging.Planes, quality int) (Layer, error) {
	out := Layer{Kind: Picture, Columns: p.Y.Width, Rows: p.Y.Height, Colors: 1}
	colored := func(v uint8) bool { return abs(int(v)-128) > colorful }
	if p.Gray() || !slices.ContainsFunc(p.Cb.Pix, colored) && !slices.ContainsFunc(p.Cr.Pix, colored) {
		p = &imaging.Planes{Y: p.Y}
	} else {
		out.Colors = 3
	}
	if s.options.Negative {
		n := &imaging.Planes{Y: inverted(p.Y)}
		if !p.Gray() {
			n.Cb, n.Cr = inverted(p.Cb), inverted(p.Cr)
		}
		p = n
	}
	var err error
	out.Data, err = p.EncodeJPEG(quality)
	return out, err
}
