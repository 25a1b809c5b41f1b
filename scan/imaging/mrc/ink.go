package mrc

import (
	"cmp"
	"math/bits"
	"slices"

	"docscan/scan/imaging/jbig2"
)

// An ink is all that is printed or written in one colour.
type ink struct {
	color color
	bits  *jbig2.Bitmap
	x, y  int // of bits on the page
}

// mostInks bounds the stencils of a page; mostHues those of pages with more colours:
// a shade that is a little off is not seen, another colour is.
const mostInks, mostHues = 8, 16

// A run is a horizontal row of ink.
type run struct {
	y, x0, x1 int32
	piece     int32 // the first run that it is connected with; then the number of its piece
}

// A piece is connected ink.
type piece struct {
	n      int // pixels
	x0, x1 int32
	y0, y1 int32
	large  bool // it can have several colours
	rule   bool // lines that print stands on
	shade
}

// A shade sums up colours.
type shade struct {
	weight, y, cb, cr int
	square            int // of what the colours are off grey
}

// A part is what lies of large pieces in one tile.
type part struct {
	n int // pixels
	shade
}

// mixed reports whether p holds ink of several colours, as where a stamp lies over
// print.
func (p *shade) mixed() bool {
	if p.weight == 0 || p.cb == 0 {
		return false
	}
	cb, cr := p.cb/p.weight-128, p.cr/p.weight-128
	return p.square/p.weight-cb*cb-cr*cr > sameHue*sameHue/2
}

// dust is what, in pixels at 300 dpi, is too small for a dot, and pale what is too small for
// what is left of one where paper has been made white, its rim with it.
const dust, pale = 5, 3

// A drawing is the ink of a page in pieces of one colour each.
type drawing struct {
	runs    []run
	pieces  []piece
	parts   []part // of large pieces, by tile
	palette []color
	across  int // tiles
}

// draw takes the mask to pieces, and dust out of it.
func (s *separation) draw() *drawing {
	runs, rules := s.runs()
	d := &drawing{runs: runs}
	across, down := s.tiles()
	d.across = across
	d.parts = make([]part, across*down)
	for i := range d.runs {
		r := &d.runs[i]
		if r.piece == int32(i) {
			r.piece = int32(len(d.pieces))
			d.pieces = append(d.pieces, piece{x0: r.x0, x1: r.x1, y0: r.y, y1: r.y + 1, rule: i >= rules})
		} else {
			r.piece = d.runs[r.piece].piece // which comes before
		}
		p := &d.pieces[r.piece]
		p.n += int(r.x1 - r.x0)
		p.x0, p.x1, p.y1 = min(p.x0, r.x0), max(p.x1, r.x1), r.y+1
	}
	for i := range d.pieces {
		p := &d.pieces[i]
		p.large = p.x1-p.x0 > 4*tile && p.y1-p.y0 > 4*tile
	}
	small := dust
	if s.quiet() {
		small = pale
	}
	least := max(small*s.dpi*s.dpi/(300*300), 2)
	kept := d.runs[:0]
	for _, r := range d.runs {
		p := &d.pieces[r.piece]
		if p.n < least {
			s.erase(r)
			continue
		}
		kept = append(kept, r)
		weigh := s.weigh
		if p.rule {
			weigh = s.weighAll
		}
		if !p.large {
			weigh(&p.shade, r)
			continue
		}
		for part := range r.byTile {
			weigh(&p.shade, part)
			at := &d.parts[d.tile(part)]
			at.n += int(part.x1 - part.x0)
			weigh(&at.shade, part)
		}
	}
	d.runs = kept
	s.findPalette(d)
	return d
}

// byTile parts a run at the borders of tiles.
func (r run) byTile(yield func(run) bool) {
	for x := r.x0; x < r.x1; {
		end := min((x/tile+1)*tile, r.x1)
		if !yield(run{r.y, x, end, r.piece}) {
			return
		}
		x = end
	}
}

// tile gives the tile in which a run begins.
func (d *drawing) tile(r run) int { return int(r.y)/tile*d.across + int(r.x0)/tile }

// erase takes a run out of the mask.
func (s *separation) erase(r run) {
	row := s.mask.Row(int(r.y))
	for x := r.x0; x < r.x1; x++ {
		row[x/8] &^= 0x80 >> (x % 8)
	}
}

// eachRun calls do for each row of black pixels, from x0 to before x1, in a row of w
// pixels.
func eachRun(row []byte, w int, do func(x0, x1 int)) {
	from, in := 0, false
	for i, v := range row {
		if !in && v == 0 || in && v == 0xff {
			continue
		}
		for k := range 8 {
			if black := v&(0x80>>k) != 0; black != in {
				if in = black; in {
					from = i*8 + k
				} else {
					do(from, i*8+k)
				}
			}
		}
	}
	if in {
		do(from, w)
	}
}

// runsOf finds the runs of b and connects them.
func runsOf(b *jbig2.Bitmap) []run {
	out := make([]run, 0, countRuns(b))
	above := 0 // where the runs of the row above begin
	for y := range b.Height {
		from := len(out)
		eachRun(b.Row(y), b.Width, func(x0, x1 int) {
			out = append(out, run{int32(y), int32(x0), int32(x1), int32(len(out))})
		})
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
	for i := range out {
		out[i].piece = root(out, int32(i))
	}
	return out
}

// runs gives the runs of the mask; those from rules on are of the lines that print stands on,
// and connected with each other only.
func (s *separation) runs() (list []run, rules int) {
	if s.rules == nil {
		list = runsOf(s.mask)
		return list, len(list)
	}
	print, lines := jbig2.NewBitmap(s.w, s.h), jbig2.NewBitmap(s.w, s.h)
	for i, v := range s.mask.Pix {
		print.Pix[i], lines.Pix[i] = v&^s.rules.Pix[i], v&s.rules.Pix[i]
	}
	list = runsOf(print)
	rules = len(list)
	for _, r := range runsOf(lines) {
		r.piece += int32(rules)
		list = append(list, r)
	}
	return list, rules
}

// countRuns gives how many runs b has.
func countRuns(b *jbig2.Bitmap) int {
	n := 0
	for y := range b.Height {
		before := uint8(0) // whose last pixel is beside the first of the next byte
		for _, v := range b.Row(y) {
			n += bits.OnesCount8(v &^ (v>>1 | before<<7))
			before = v
		}
	}
	return n
}

// root gives the first run of the piece of run i.
func root(runs []run, i int32) int32 {
	for runs[i].piece != i {
		runs[i].piece = runs[runs[i].piece].piece
		i = runs[i].piece
	}
	return i
}

// trust is the weight, in pixels, of a large piece's colour in that of its parts:
// a part that holds little says little.
const trust = 16 * 16

// shadeOf gives the colour of a run, which lies in one tile if its piece is large.
func (d *drawing) shadeOf(r run) color {
	p := &d.pieces[r.piece]
	if !p.large {
		return p.color()
	}
	mean, part := p.color(), d.parts[d.tile(r)].shade
	part.weight += trust
	part.y += trust * mean.y
	if part.cb != 0 { // of a grey page nothing is known of them
		part.cb += trust * mean.cb
		part.cr += trust * mean.cr
	}
	return part.color()
}

// margin is how many pixels stay empty around a stencil: viewers that draw it much smaller
// repeat what stands at its edge.
const margin = 16

// inks gives a stencil for each colour.
func (s *separation) inks(d *drawing) []ink {
	if len(d.palette) == 0 {
		return nil
	}
	out := make([]ink, len(d.palette))
	frames := make([]area, len(out))
	for i := range frames {
		frames[i] = area{s.w, s.h, 0, 0}
	}
	s.each(d, func(r run, ink int) {
		frames[ink] = frames[ink].with(area{int(r.x0), int(r.y), int(r.x1), int(r.y) + 1})
	})
	for i, f := range frames {
		if f.x0 < f.x1 {
			f = area{max(f.x0-margin, 0), max(f.y0-margin, 0), min(f.x1+margin, s.w), min(f.y1+margin, s.h)}
		}
		out[i] = ink{color: d.palette[i], x: f.x0, y: f.y0}
		if f.x0 < f.x1 {
			out[i].bits = jbig2.NewBitmap(f.x1-f.x0, f.y1-f.y0)
		}
	}
	s.each(d, func(r run, ink int) {
		o := &out[ink]
		fill(o.bits.Row(int(r.y)-o.y), int(r.x0)-o.x, int(r.x1)-o.x)
	})
	return slices.DeleteFunc(out, func(i ink) bool { return i.bits == nil })
}

// each calls do for all runs with the number of their ink; those of large pieces
// come by tiles, or where a tile has several colours in parts of one colour.
func (s *separation) each(d *drawing, do func(r run, ink int)) {
	choice := make([]int16, len(d.pieces))
	parts := make([]int16, len(d.parts))
	main := d.mainInks()
	for _, r := range d.runs {
		p := &d.pieces[r.piece]
		if !p.large {
			if choice[r.piece] == 0 {
				choice[r.piece] = int16(nearest(d.palette, p.color())) + 1
			}
			do(r, int(choice[r.piece]-1))
			continue
		}
		for part := range r.byTile {
			at := d.tile(part)
			if p.rule {
				do(part, d.inkWithin(sameRules, d.shadeOf(part), main[r.piece]))
				continue
			}
			if d.parts[at].mixed() {
				s.byInk(d, part, main[r.piece], do)
				continue
			}
			if parts[at] == 0 {
				parts[at] = int16(d.inkOf(d.shadeOf(part), main[r.piece])) + 1
			}
			do(part, int(parts[at]-1))
		}
	}
}

// byInk parts a run where its colour changes.
func (s *separation) byInk(d *drawing, r run, main int, do func(r run, ink int)) {
	from, ink := r.x0, s.inkAt(d, main, int(r.x0), int(r.y))
	for x := r.x0 + 1; x < r.x1; x++ {
		if next := s.inkAt(d, main, int(x), int(r.y)); next != ink {
			do(run{r.y, from, x, r.piece}, ink)
			from, ink = x, next
		}
	}
	do(run{r.y, from, r.x1, r.piece}, ink)
}

// inkAt gives the ink of a pixel by its own colour. The edges of ink are blurred and
// have that of the core beside them; ink too thin to have a core is told by its hue. What is
// nearly the main ink of the area is that: white print in it changes its shade a little.
func (s *separation) inkAt(d *drawing, main, x, y int) int {
	for _, at := range [...][2]int{{x, y}, {x - 1, y}, {x + 1, y}, {x, y - 1}, {x, y + 1}, {x - 1, y - 1}, {x + 1, y - 1}, {x - 1, y + 1}, {x + 1, y + 1}} {
		if s.core.At(at[0], at[1]) {
			return d.inkOf(s.colorAt(at[0], at[1]), main)
		}
	}
	best, c := main, s.colorAt(x, y)
	if farHue(d.palette[main], c) <= sameArea {
		return main
	}
	for i, p := range d.palette {
		if farHue(p, c) < farHue(d.palette[best], c) {
			best = i
		}
	}
	return best
}

// colorAt gives the colour of a pixel.
func (s *separation) colorAt(x, y int) color {
	c := color{int(s.y.Row(y)[x]), 128, 128}
	if s.cb != nil {
		c.cb, c.cr = int(s.cb.Row(y / 2)[x/2]), int(s.cr.Row(y / 2)[x/2])
	}
	return c
}

// mainInks gives, for each large piece, the ink that most of it has.
func (d *drawing) mainInks() map[int32]int {
	counts := make(map[int32][]int)
	for _, r := range d.runs {
		if !d.pieces[r.piece].large {
			continue
		}
		n := counts[r.piece]
		if n == nil {
			n = make([]int, len(d.palette))
			counts[r.piece] = n
		}
		for part := range r.byTile {
			n[nearest(d.palette, d.shadeOf(part))] += int(part.x1 - part.x0)
		}
	}
	main := make(map[int32]int, len(counts))
	for piece, n := range counts {
		for i := range n {
			if n[i] > n[main[piece]] {
				main[piece] = i
			}
		}
	}
	return main
}

// sameArea is how far, as in far, the colour of a tile can be from that of the
// area it is part of. Areas are printed in one colour; tiles of another would
// show as patches, where the paper shimmers through or holds letters.
const sameArea = 300

// sameRules is that of the lines on which print stands: as thin as they are they take their
// colour from where they lie between the pixels of the scanner.
const sameRules = 1200

// inkOf gives the ink of a tile of a large piece.
func (d *drawing) inkOf(c color, main int) int { return d.inkWithin(sameArea, c, main) }

// inkWithin gives the main ink of a piece to what is no further from it than most.
func (d *drawing) inkWithin(most int, c color, main int) int {
	if far(d.palette[main], c) <= most {
		return main
	}
	return nearest(d.palette, c)
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

// weigh adds the colour of r to p. The edges of ink are blurred, so what counts is
// its core, and where there is none the darkest pixel.
func (s *separation) weigh(p *shade, r run) {
	row := s.y.Row(int(r.y))
	in := s.core.Row(int(r.y))
	sum, n := 0, 0
	least, at := row[r.x0], r.x0
	for x := r.x0; x < r.x1; x++ {
		v := row[x]
		if in[x/8]&(0x80>>(x%8)) != 0 {
			sum += int(v)
			n++
		}
		if v < least {
			least, at = v, x
		}
	}
	// A pixel of the core counts as much as many of thin ink.
	const sure = 16
	if n == 0 {
		n, sum = 1, int(least)
	} else {
		at = (r.x0 + r.x1) / 2
		n, sum = n*sure, sum*sure
	}
	p.weight += n
	p.y += sum
	if s.cb != nil {
		i := int(r.y)/2*s.cb.Stride + int(at)/2
		cb, cr := int(s.cb.Pix[i]), int(s.cr.Pix[i])
		p.cb += n * cb
		p.cr += n * cr
		p.square += n * ((cb-128)*(cb-128) + (cr-128)*(cr-128))
	}
}

// weighAll adds the mean colour of r to p: a line is as pale as it looks, and so thin that its
// darkest pixels are chance.
func (s *separation) weighAll(p *shade, r run) {
	for x := r.x0; x < r.x1; x++ {
		c := s.colorAt(int(x), int(r.y))
		p.weight++
		p.y += c.y
		if s.cb != nil {
			p.cb += c.cb
			p.cr += c.cr
			p.square += (c.cb-128)*(c.cb-128) + (c.cr-128)*(c.cr-128)
		}
	}
}

// color is the mean.
func (p *shade) color() color {
	if p.weight == 0 {
		return color{}
	}
	if p.cb == 0 { // a grey page
		return color{p.y / p.weight, 128, 128}
	}
	return color{p.y / p.weight, p.cb / p.weight, p.cr / p.weight}
}

// How far from each other colours can be and still be one ink.
const (
	// Shades count by how light they are, as with otherShade: 22 levels in a
	// medium grey, 50 near black.
	sameShade = 22 * 256
	sameHue   = 12 // levels of each of the two colours
	neutral   = 7  // from grey: nobody sees that in print
)

// far measures how far apart two colours are; up to 100 is one ink.
func far(a, b color) int {
	y := 10 * (a.y - b.y) * (a.y + b.y) / sameShade
	return y*y + farHue(a, b)
}

// farHue is far, but for how light they are. Of what is nearly black the hue is hardly
// seen, and that of the paper around it comes in.
func farHue(a, b color) int {
	same := sameHue + sameHue*max(0, 60-min(a.y, b.y))/20
	cb, cr := 10*(a.cb-b.cb)/same, 10*(a.cr-b.cr)/same
	return cb*cb + cr*cr
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

// findPalette finds the inks of a page: the colour that most ink has with all that
// are nearly the same, then the next.
func (s *separation) findPalette(d *drawing) {
	bins := make(map[[3]int]*shade)
	add := func(c color, n int) {
		key := [3]int{c.y / 8, c.cb / 4, c.cr / 4}
		b := bins[key]
		if b == nil {
			b = new(shade)
			bins[key] = b
		}
		b.weight += n
		b.y += c.y * n
		b.cb += c.cb * n
		b.cr += c.cr * n
	}
	addMeans := func(mixed bool) {
		for i := range d.pieces {
			if p := &d.pieces[i]; p.weight > 0 && !p.large && !mixed {
				add(p.color(), p.n)
			}
		}
		for i := range d.parts {
			if p := &d.parts[i]; p.weight > 0 && p.mixed() == mixed {
				add(p.color(), p.n)
			}
		}
	}
	addMeans(false)
	if s.addMixed(d, add); len(bins) == 0 { // strokes too thin to tell
		addMeans(true)
	}
	list := make([]*shade, 0, len(bins))
	for _, b := range bins {
		list = append(list, b)
	}
	// The order of a map is by chance; the same page must give the same bytes.
	slices.SortFunc(list, func(a, b *shade) int {
		return cmp.Or(b.weight-a.weight, a.y-b.y, a.cb-b.cb, a.cr-b.cr)
	})
	least := s.dpi * s.dpi / 400 // pixels: 1.6 square millimetres, a word
	for len(list) > 0 && len(d.palette) < mostHues {
		next := 0
		if len(d.palette) >= mostInks {
			next = slices.IndexFunc(list, func(b *shade) bool {
				return b.weight >= least && !slices.ContainsFunc(d.palette, func(c color) bool { return farHue(b.color(), c) <= 100 })
			})
			if next < 0 {
				break
			}
		}
		middle := list[next].color()
		var all shade
		list = slices.DeleteFunc(list, func(b *shade) bool {
			if far(b.color(), middle) > 100 {
				return false
			}
			all.weight, all.y, all.cb, all.cr = all.weight+b.weight, all.y+b.y, all.cb+b.cb, all.cr+b.cr
			return true
		})
		c := all.color()
		if abs(c.cb-128) <= neutral && abs(c.cr-128) <= neutral {
			c.cb, c.cr = 128, 128
		}
		d.palette = append(d.palette, c)
	}
}

// addMixed adds the colours of what is mixed, pixel by pixel, but not those between
// two inks.
func (s *separation) addMixed(d *drawing, add func(c color, n int)) {
	pure := func(r run) {
		for x := r.x0 + 2; x < r.x1-2; x++ {
			if !s.core.At(int(x), int(r.y)) {
				continue
			}
			c, l, m := s.colorAt(int(x), int(r.y)), s.colorAt(int(x)-2, int(r.y)), s.colorAt(int(x)+2, int(r.y))
			if far(c, l) <= 100 && far(c, m) <= 100 {
				add(c, 1)
			}
		}
	}
	for _, r := range d.runs {
		if !d.pieces[r.piece].large {
			continue
		}
		for part := range r.byTile {
			if d.parts[d.tile(part)].mixed() {
				pure(part)
			}
		}
	}
}

// How far the colour of solid ink may be from what is there. Shades count by how
// light they are: it is a difference times a sum of levels, 14 levels in a medium
// grey.
const (
	otherShade = 14 * 256
	otherHue   = 9
)

// wrong counts, by tile, the pixels within ink that its colour is not right for.
func (s *separation) wrong(d *drawing) []int {
	out := make([]int, len(d.parts))
	s.each(d, func(whole run, ink int) {
		if whole.x1-whole.x0 < 3 {
			return
		}
		c := d.palette[ink]
		row, in := s.y.Row(int(whole.y)), s.core.Row(int(whole.y))
		for r := range whole.byTile {
			bad := 0
			for x := r.x0; x < r.x1; x++ {
				if in[x/8]&(0x80>>(x%8)) == 0 {
					continue
				}
				if v := int(row[x]); abs(v-c.y)*(v+c.y) > otherShade {
					bad++
				} else if s.cb != nil && x%2 == 0 {
					i := int(r.y)/2*s.cb.Stride + int(x)/2
					if abs(int(s.cb.Pix[i])-c.cb) > otherHue || abs(int(s.cr.Pix[i])-c.cr) > otherHue {
						bad += 2
					}
				}
			}
			out[d.tile(r)] += bad
		}
	})
	return out
}
