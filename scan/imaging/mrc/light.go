package mrc

import (
	"math"
	"slices"

	"docscan/scan/imaging"
)

// What tells the light that falls on paper from what is printed on it. The page is looked
// at in squares of plot cells: from one to the next light changes by little, and the paper
// keeps its hue. The edge of a tinted area, a stain or a photograph is a leap.
const (
	plot      = 16   // cells: 5 mm at 300 dpi
	leap      = 0.05 // of the light, from a plot to the next, beside
	leapLevel = 3    // levels of noise
	sameTint  = 6    // levels of each colour, of paper with the light of 256
	alikePlot = 8    // levels around the most frequent one that are the paper of a plot
	unevenLit = 0.96 // of the lightest: paper that is darker somewhere is unevenly lit
	mostGain  = 4
)

// A lit is the paper of a plot.
type lit struct {
	y, cb, cr float64    // cb and cr are those of paper with a light of 256, from grey on
	at        [2]float64 // the middle of what is seen of it, in plots from the middle of the plot
	known     bool       // there is some, and it is even
	inked     bool
}

// alike reports whether two plots can be the same paper in another light.
func (a *lit) alike(b *lit) bool {
	return a.known && b.known && math.Abs(a.y-b.y) <= leapLevel+leap*max(a.y, b.y) &&
		math.Abs(a.cb-b.cb) <= sameTint && math.Abs(a.cr-b.cr) <= sameTint
}

// A field is the light on the page, at the middle of each plot and of those that would lie
// around the page.
type field struct {
	across, down int // plots, without those around
	light        []float64
	best         float64 // the light that all is to have
}

// evenLight makes the light on the page even, where paper with print on it, most of the page,
// is lighter in one place than in another: all of it as light as where it is lightest. It
// reports whether it did.
func (s *separation) evenLight() bool {
	if s.options.Paper || s.options.Negative {
		return false
	}
	var counts [256]int
	for _, v := range s.light.Pix {
		counts[v]++
	}
	if n := len(s.light.Pix); float64(quantile(counts[:], n/20)) > unevenLit*float64(quantile(counts[:], n*9/10)) {
		return false
	}
	plots, across := s.plots()
	f := lightOf(plots, across)
	if f == nil {
		return false
	}
	f.shine(s.y, plot*cell)
	for _, p := range []*imaging.Plane{s.low, s.high, s.light} {
		f.shine(p, plot*cell/block)
	}
	if s.cb != nil {
		f.shineOff(s.cb, plot*cell/2)
		f.shineOff(s.cr, plot*cell/2)
	}
	return true
}

// plots gives the paper of each plot.
func (s *separation) plots() (list []lit, across int) {
	all := s.sample(0, 0, s.w, s.h, cell)
	w, h := all.planes.Y.Width, all.planes.Y.Height
	across = (w + plot - 1) / plot
	list = make([]lit, across*((h+plot-1)/plot))
	for i := range list {
		p := &list[i]
		x0, y0 := i%across*plot, i/across*plot
		x1, y1 := min(x0+plot, w), min(y0+plot, h)
		var counts [256]int
		n := 0
		paper := func(do func(at int)) {
			for y := y0; y < y1; y++ {
				for x := x0; x < x1; x++ {
					if at := y*w + x; all.known[at] && !s.pictured(x*cell, y*cell) {
						do(at)
					} else {
						p.inked = p.inked || !all.known[at]
					}
				}
			}
		}
		paper(func(at int) { counts[all.planes.Y.Pix[at]]++; n++ })
		middle := mostAround(&counts, alikePlot)
		var sum color
		in, right, below := 0, 0, 0
		paper(func(at int) {
			if c := all.at(at); abs(c.y-middle) <= alikePlot {
				sum.y, sum.cb, sum.cr = sum.y+c.y, sum.cb+c.cb-128, sum.cr+c.cr-128
				in, right, below = in+1, right+at%w-x0, below+at/w-y0
			}
		})
		if p.known = 8*n >= (x1-x0)*(y1-y0) && 2*in >= n && in > 0 && sum.y > 0; p.known {
			p.y = float64(sum.y) / float64(in)
			p.at = [2]float64{(float64(right)/float64(in)+0.5)/plot - 0.5, (float64(below)/float64(in)+0.5)/plot - 0.5}
			p.cb, p.cr = 256*float64(sum.cb)/float64(sum.y), 256*float64(sum.cr)/float64(sum.y)
		}
	}
	return list, across
}

// mostAround gives the level around which, up to reach, most are.
func mostAround(counts *[256]int, reach int) int {
	sum, best, at := 0, 0, 0
	for v := -reach; v < len(counts)+reach; v++ {
		if i := v + reach; i < len(counts) {
			sum += counts[i]
		}
		if i := v - reach - 1; i >= 0 {
			sum -= counts[i]
		}
		if sum > best {
			best, at = sum, v
		}
	}
	return at
}

// lightOf finds the light on the paper, or nil if it is even or nothing tells it from what is
// printed.
func lightOf(plots []lit, across int) *field {
	const (
		leastShare = 3  // one of so many plots must be paper,
		leastKnown = 2  // one of so many of which something is known,
		leastInked = 50 // and one of so many of them have ink
	)
	group, known := largestGroup(plots, across)
	inked := 0
	var list []float64
	for i, in := range group {
		if in {
			list = append(list, plots[i].y)
			if plots[i].inked {
				inked++
			}
		}
	}
	if leastShare*len(list) < len(plots) || leastKnown*len(list) < known || leastInked*inked < len(list) {
		return nil
	}
	slices.Sort(list)
	if list[len(list)/50] > unevenLit*list[len(list)*49/50] {
		return nil
	}
	f := &field{across: across, down: len(plots) / across}
	f.light = make([]float64, (f.across+2)*(f.down+2))
	f.best = 0
	for y := range f.down {
		for x := range f.across {
			v := levelAt(plots, group, across, x, y)
			if group[y*across+x] {
				f.best = max(f.best, min(v, 255))
			}
			f.light[(y+1)*(f.across+2)+x+1] = v
		}
	}
	for i, v := range f.light {
		f.light[i] = max(v, f.best/mostGain)
	}
	// The plots around the page go on as those at its edge do.
	beyond := func(at, one, two int) {
		f.light[at] = max(2*f.light[one]-f.light[two], f.best/mostGain)
	}
	w := f.across + 2
	for y := 1; y <= f.down; y++ {
		beyond(y*w, y*w+1, y*w+min(2, f.across))
		beyond(y*w+w-1, y*w+w-2, y*w+max(w-3, 1))
	}
	for x := range w {
		beyond(x, w+x, min(2, f.down)*w+x)
		beyond((f.down+1)*w+x, f.down*w+x, max(f.down-1, 1)*w+x)
	}
	return f
}

// largestGroup finds the most plots that are the same paper, one beside the other, and says
// of how many plots something is known.
func largestGroup(plots []lit, across int) (group []bool, known int) {
	numbers := make([]int, len(plots))
	best, most := 0, 0
	for i := range plots {
		if !plots[i].known {
			continue
		}
		known++
		if numbers[i] != 0 {
			continue
		}
		numbers[i] = i + 1
		list := []int{i}
		for n := 0; n < len(list); n++ {
			at := list[n]
			x := at % across
			for _, next := range [4]int{at - across, at - 1, at + 1, at + across} {
				if next < 0 || next >= len(plots) || next == at-1 && x == 0 || next == at+1 && x == across-1 {
					continue
				}
				if numbers[next] == 0 && plots[at].alike(&plots[next]) {
					numbers[next] = i + 1
					list = append(list, next)
				}
			}
		}
		if len(list) > most {
			best, most = i+1, len(list)
		}
	}
	group = make([]bool, len(plots))
	for i, n := range numbers {
		group[i] = n == best && n != 0
	}
	return group, known
}

// levelAt gives the light of a plot from that of the paper around it: where the plane that
// fits it best lies there.
func levelAt(plots []lit, group []bool, across, x, y int) float64 {
	const (
		fewest = 4    // plots that make a plane
		stiff  = 0.02 // keeps planes level that few plots hold
	)
	down := len(plots) / across
	for reach := 1; ; reach *= 2 {
		var n, sx, sy, sxx, sxy, syy, v, vx, vy float64
		count := 0
		for yy := max(y-reach, 0); yy <= min(y+reach, down-1); yy++ {
			for xx := max(x-reach, 0); xx <= min(x+reach, across-1); xx++ {
				i := yy*across + xx
				if !group[i] {
					continue
				}
				dx, dy := (float64(xx-x)+plots[i].at[0])/float64(reach), (float64(yy-y)+plots[i].at[1])/float64(reach)
				w := 1 / (1 + 4*(dx*dx+dy*dy))
				count++
				n, sx, sy = n+w, sx+w*dx, sy+w*dy
				sxx, sxy, syy = sxx+w*dx*dx, sxy+w*dx*dy, syy+w*dy*dy
				v, vx, vy = v+w*plots[i].y, vx+w*dx*plots[i].y, vy+w*dy*plots[i].y
			}
		}
		if count < fewest && reach < max(across, down) {
			continue
		}
		// The slopes about the middle of what is there.
		mx, my, mean := sx/n, sy/n, v/n
		a, b, d := sxx-n*mx*mx+stiff, sxy-n*mx*my, syy-n*my*my+stiff
		p, q := vx-n*mx*mean, vy-n*my*mean
		det := a*d - b*b
		return mean - mx*(p*d-q*b)/det - my*(q*a-p*b)/det
	}
}

// gains calls do for all rows of pixels, of which a plot has size, with the gain of each pixel
// of the row, in 4096ths.
func (f *field) gains(width, height, size int, do func(y int, gain []int32)) {
	row, gain := make([]float64, f.across+2), make([]int32, width)
	for y := range height {
		// Between the middles of two plots.
		at := (float64(y)+0.5)/float64(size) + 0.5
		top := min(int(at), f.down)
		part := at - float64(top)
		for x := range row {
			above, below := f.light[top*len(row)+x], f.light[(top+1)*len(row)+x]
			row[x] = 4096 * f.best / (above + (below-above)*part)
		}
		for x := range gain {
			n := 2*x + 1 + size // in halves of a pixel, from the middle of the plot before the first
			i := min(n/(2*size), f.across)
			gain[x] = int32(row[i] + (row[i+1]-row[i])*float64(n-2*size*i)/float64(2*size))
		}
		do(y, gain)
	}
}

// shine gives a plane of light, of which a plot has size pixels, the light that all is to have.
func (f *field) shine(p *imaging.Plane, size int) {
	f.gains(p.Width, p.Height, size, func(y int, gain []int32) {
		for x, v := range p.Row(y) {
			p.Pix[y*p.Stride+x] = uint8(min((int32(v)*gain[x]+2048)>>12, 255))
		}
	})
}

// shineOff is shine for a plane of colour.
func (f *field) shineOff(p *imaging.Plane, size int) {
	f.gains(p.Width, p.Height, size, func(y int, gain []int32) {
		for x, v := range p.Row(y) {
			p.Pix[y*p.Stride+x] = uint8(min(max(128+((int32(v)-128)*gain[x]+2048)>>12, 0), 255))
		}
	})
}
