package mrc

import (
	"cmp"
	"slices"

	"docscan/scan/imaging/jbig2"
)

// An ink is all that is printed or written in one colour.
type ink struct {
	color color
	bits  *jbig2.Bitmap
	x, y  int // of bits on the page
}

// mostInks bounds the stencils of a page.
const mostInks = 8

// A run is a horizontal row of ink.
type run struct {
	y, x0, x1 int32
	piece     int32 // the run that stands for all that it is connected with
}

// A piece is connected ink.
type piece struct {
	n          int // pixels
	x0, y0     int32
	x1, y1     int32
	weight     int // sums of what follows
	sy, cb, cr int
}

// dust is what, in pixels at 300 dpi, is too small for a dot.
const dust = 5

// clean takes dust out of the mask.
func (s *separation) clean() {
	runs := s.runs()
	count := make([]int32, len(runs))
	for i := range runs {
		count[root(runs, int32(i))] += runs[i].x1 - runs[i].x0
	}
	least := int32(max(dust*s.dpi*s.dpi/(300*300), 2))
	for i := range runs {
		if r := runs[i]; count[root(runs, int32(i))] < least {
			for x := r.x0; x < r.x1; x++ {
				s.mask.Pix[int(r.y)*s.mask.Stride+int(x/8)] &^= 0x80 >> (x % 8)
			}
		}
	}
}

// runs finds the runs of the mask and connects them.
func (s *separation) runs() []run {
	var out []run
	above := 0 // where the runs of the row above begin
	for y := range s.h {
		row := s.mask.Row(y)
		from := len(out)
		in := false
		for i, v := range row {
			if !in && v == 0 || in && v == 0xff {
				continue
			}
			for k := range 8 {
				if black := v&(0x80>>k) != 0; black != in {
					if in = black; in {
						out = append(out, run{int32(y), int32(i*8 + k), 0, int32(len(out))})
					} else {
						out[len(out)-1].x1 = int32(i*8 + k)
					}
				}
			}
		}
		if in {
			out[len(out)-1].x1 = int32(s.w)
		}
		// Runs that touch, also by a corner, are one piece.
		j := above
		for i := from; i < len(out); i++ {
			for j < from && out[j].x1 < out[i].x0 {
				j++
			}
			for k := j; k < from && out[k].x0 <= out[i].x1; k++ {
				a, b := root(out, int32(i)), root(out, int32(k))
				out[max(a, b)].piece = min(a, b)
			}
		}
		above = from
	}
	return out
}

// root gives the run that stands for the piece of run i.
func root(runs []run, i int32) int32 {
	for runs[i].piece != i {
		runs[i].piece = runs[runs[i].piece].piece
		i = runs[i].piece
	}
	return i
}

// inks parts the mask by colour.
func (s *separation) inks() []ink {
	runs := s.runs()
	pieces := make(map[int32]*piece)
	var order []*piece
	for i := range runs {
		r := &runs[i]
		top := root(runs, int32(i))
		p := pieces[top]
		if p == nil {
			p = &piece{x0: r.x0, y0: r.y, x1: r.x1, y1: r.y + 1}
			pieces[top] = p
			order = append(order, p)
		}
		p.n += int(r.x1 - r.x0)
		p.x0, p.x1, p.y1 = min(p.x0, r.x0), max(p.x1, r.x1), max(p.y1, r.y+1)
		s.weigh(p, r)
	}
	palette := s.palette(order)
	if len(palette) == 0 {
		return nil
	}
	out := make([]ink, len(palette))
	frames := make([]area, len(palette))
	for i := range frames {
		frames[i] = area{s.w, s.h, 0, 0}
	}
	choice := make(map[*piece]int, len(order))
	for _, p := range order {
		n := nearest(palette, p.color())
		choice[p] = n
		frames[n] = frames[n].with(area{int(p.x0), int(p.y0), int(p.x1), int(p.y1)})
	}
	for i, f := range frames {
		out[i] = ink{color: palette[i], x: f.x0, y: f.y0}
		if f.x0 < f.x1 {
			out[i].bits = jbig2.NewBitmap(f.x1-f.x0, f.y1-f.y0)
		}
	}
	for i := range runs {
		r := &runs[i]
		o := &out[choice[pieces[root(runs, int32(i))]]]
		fill(o.bits.Row(int(r.y)-o.y), int(r.x0)-o.x, int(r.x1)-o.x)
	}
	return slices.DeleteFunc(out, func(i ink) bool { return i.bits == nil })
}

// fill makes the pixels from x0 to before x1 of a row black.
func fill(row []byte, x0, x1 int) {
	for x := x0; x < x1; {
		if x%8 == 0 && x1-x >= 8 {
			row[x/8] = 0xff
			x += 8
			continue
		}
		row[x/8] |= 0x80 >> (x % 8)
		x++
	}
}

// weigh adds the colour of r to that of its piece. The edges of ink are blurred,
// so of a short run the darkest pixel counts, of a long one what lies within.
func (s *separation) weigh(p *piece, r *run) {
	row := s.y.Row(int(r.y))
	n := int(r.x1 - r.x0)
	sum, count := 0, 0
	if n <= 12 {
		least := row[r.x0]
		for _, v := range row[r.x0+1 : r.x1] {
			least = min(least, v)
		}
		sum, count = int(least)*n, n
	} else {
		for _, v := range row[r.x0+2 : r.x1-2] {
			sum += int(v)
		}
		count = n - 4
	}
	p.weight += count
	p.sy += sum
	if s.cb == nil {
		return
	}
	cb, cr := s.cb.Row(int(r.y)/2), s.cr.Row(int(r.y)/2)
	if n <= 12 {
		m := (r.x0 + r.x1) / 4
		p.cb += int(cb[m]) * count
		p.cr += int(cr[m]) * count
		return
	}
	for x := r.x0 + 2; x < r.x1-2; x++ {
		p.cb += int(cb[x/2])
		p.cr += int(cr[x/2])
	}
}

// color is the mean colour of a piece.
func (p *piece) color() color {
	if p.cb == 0 {
		return color{p.sy / p.weight, 128, 128}
	}
	return color{p.sy / p.weight, p.cb / p.weight, p.cr / p.weight}
}

// How far from each other, in levels, colours can be and still be one ink.
const (
	sameShade = 30 // of luminance
	sameHue   = 12 // of each of the two colours
	neutral   = 7  // from grey: nobody sees that in print
)

// far measures how far apart two colours are; up to 100 is one ink.
func far(a, b color) int {
	y, cb, cr := 10*(a.y-b.y)/sameShade, 10*(a.cb-b.cb)/sameHue, 10*(a.cr-b.cr)/sameHue
	return y*y + cb*cb + cr*cr
}

func nearest(palette []color, c color) int {
	best := 0
	for i := range palette {
		if far(palette[i], c) < far(palette[best], c) {
			best = i
		}
	}
	return best
}

// palette finds the inks of a page.
func (s *separation) palette(pieces []*piece) []color {
	type bin struct {
		n, y, cb, cr int
	}
	bins := make(map[[3]int]*bin)
	for _, p := range pieces {
		c := p.color()
		key := [3]int{c.y / 8, c.cb / 4, c.cr / 4}
		b := bins[key]
		if b == nil {
			b = new(bin)
			bins[key] = b
		}
		b.n += p.n
		b.y += c.y * p.n
		b.cb += c.cb * p.n
		b.cr += c.cr * p.n
	}
	mean := func(b *bin) color { return color{b.y / b.n, b.cb / b.n, b.cr / b.n} }
	list := make([]*bin, 0, len(bins))
	for _, b := range bins {
		list = append(list, b)
	}
	// The order of a map is by chance; the same page must give the same bytes.
	slices.SortFunc(list, func(a, b *bin) int {
		return cmp.Or(b.n-a.n, a.y-b.y, a.cb-b.cb, a.cr-b.cr)
	})
	var out []color
	for len(list) > 0 && len(out) < mostInks {
		middle := mean(list[0])
		var all bin
		list = slices.DeleteFunc(list, func(b *bin) bool {
			if far(mean(b), middle) > 100 {
				return false
			}
			all.n, all.y, all.cb, all.cr = all.n+b.n, all.y+b.y, all.cb+b.cb, all.cr+b.cr
			return true
		})
		c := mean(&all)
		if abs(c.cb-128) <= neutral && abs(c.cr-128) <= neutral {
			c.cb, c.cr = 128, 128
		}
		out = append(out, c)
	}
	return out
}
