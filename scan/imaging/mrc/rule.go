package mrc

import (
	"cmp"
	"slices"

	"docscan/scan/imaging/jbig2"
)

// Rules are the pale lines of checked and lined paper: longer than the strokes of letters,
// thin, with paper on both sides, and paler than the print that stands on them. They are no
// ink of that print, or letters would be as pale as the lines that connect them, or these black.
const (
	ruleGap   = 3   // pixels of a line that noise can take
	paleRule  = 35  // per cent of the paper's light that a line has at least
	otherwise = 50  // levels that print on it is darker
	leastMet  = 40  // pixels of lines that print covers, on a page whose lines are looked after
	mostRules = 400 // of a direction
)

// A rule is a row of pixels of a line, or a column if it is turned, that nothing touches.
type rule struct {
	y, x0, x1    int
	level, thick int // the median along it
}

// findRules marks the lines, whole and of one width, in s.rules and in the mask.
func (s *separation) findRules() {
	sides := []*ruled{{s: s, mask: s.mask}, {s: s, mask: transposed(s.mask), turned: true}}
	var seeds [2][]rule
	for i, side := range sides {
		seeds[i] = side.seeds()
	}
	if len(seeds[0])+len(seeds[1]) == 0 {
		return
	}
	rules, rest := jbig2.NewBitmap(s.w, s.h), *s.mask
	rest.Pix = slices.Clone(s.mask.Pix)
	met := 0
	for i, side := range sides {
		side.rules, side.rest = rules, &rest
		met += side.follow(seeds[i])
	}
	if met < leastMet {
		return
	}
	for i, v := range rules.Pix {
		rest.Pix[i] |= v
	}
	s.rules, s.mask = rules, &rest
}

// A ruled is a page on which lines are looked for that run across, or down if it is turned.
type ruled struct {
	s      *separation
	mask   *jbig2.Bitmap
	turned bool
	rules  *jbig2.Bitmap // lines; as the page lies
	rest   *jbig2.Bitmap // ink without them
}

// at gives a place on the page.
func (l *ruled) at(x, y int) (int, int) {
	if l.turned {
		return y, x
	}
	return x, y
}

func (l *ruled) level(x, y int) int {
	x, y = l.at(x, y)
	return int(l.s.y.Pix[y*l.s.y.Stride+x])
}

func (l *ruled) light(x, y int) int {
	x, y = l.at(x, y)
	return int(l.s.light.Row(y / block)[x/block])
}

// seeds gives the rows of ink that are lines where nothing touches them, the longest first.
func (l *ruled) seeds() []rule {
	var out []rule
	least := 2 * l.s.dpi / 5 // 10 mm
	for y := range l.mask.Height {
		from, to := 0, -1
		end := func() {
			if to-from >= least {
				if r, ok := l.seed(from, to, y); ok {
					out = append(out, r)
				}
			}
		}
		eachRun(l.mask.Row(y), l.mask.Width, func(x0, x1 int) {
			if to < 0 || x0-to > ruleGap {
				end()
				from = x0
			}
			to = x1
		})
		end()
	}
	slices.SortStableFunc(out, func(a, b rule) int { return cmp.Compare(b.x1-b.x0, a.x1-a.x0) })
	return out
}

// thick is how many pixels a line has across at most, with its blurred edges.
func (l *ruled) thick() int { return l.s.dpi/50 + 1 }

// extent gives the rows of the ink at x, y; ok is false if it is too thick for a line.
func (l *ruled) extent(x, y int) (y0, y1 int, ok bool) {
	most := l.thick()
	for y0 = y; y0 > 0 && l.mask.At(x, y0-1); y0-- {
		if y-y0 == most {
			return 0, 0, false
		}
	}
	for y1 = y + 1; y1 < l.mask.Height && l.mask.At(x, y1); y1++ {
		if y1-y0 > most {
			return 0, 0, false
		}
	}
	return y0, y1, y1-y0 <= most
}

// seed reports whether a row of ink is that of a line.
func (l *ruled) seed(x0, x1, y int) (r rule, ok bool) {
	const every = 4
	beyond := l.thick() / 2 // what the line blurs
	var levels, widths [256]int
	n, all := 0, 0
	for x := x0; x < x1; x += every {
		all++
		if !l.mask.At(x, y) {
			continue
		}
		top, bottom, ok := l.extent(x, y)
		if !ok || top < beyond || bottom+beyond > l.mask.Height {
			continue
		}
		v := 255
		for at := top; at < bottom; at++ {
			v = min(v, l.level(x, at))
		}
		paper := min(l.level(x, top-beyond), l.level(x, bottom+beyond-1))
		if light := l.light(x, y); 100*v < paleRule*light || 2*paper < v+light {
			continue
		}
		levels[v]++
		widths[bottom-top]++
		n++
	}
	if 4*n < 3*all {
		return rule{}, false
	}
	return rule{y, x0, x1, quantile(levels[:], n/2), quantile(widths[:], n/2)}, true
}

// follow follows lines from where they were seen to their ends, and marks them. It gives how
// many of their pixels print covers.
func (l *ruled) follow(seeds []rule) (met int) {
	var widths [256]int
	n := 0
	for _, r := range seeds {
		widths[r.thick] += r.x1 - r.x0
		n += r.x1 - r.x0
	}
	thick := quantile(widths[:], n/2)
	done := jbig2.NewBitmap(l.mask.Width, l.mask.Height)
	lines := 0
	for _, r := range seeds {
		if lines == mostRules || done.At((r.x0+r.x1)/2, r.y) || done.At((3*r.x0+r.x1)/4, r.y) {
			continue
		}
		if columns := l.track(r); l.whole(columns) {
			lines++
			met += l.mark(columns, r.level, thick, done)
		}
	}
	return met
}

// whole reports whether a line is longer than strokes, 25 mm, and most of it is seen.
func (l *ruled) whole(columns []column) bool {
	seen := 0
	for _, c := range columns {
		if c.seen {
			seen++
		}
	}
	return len(columns) >= l.s.dpi && 2*seen >= len(columns)
}

// A column is where a line is at one place along it.
type column struct {
	x, y int
	seen bool // nothing covers it
}

// track gives the columns of a line, from one end to the other.
func (l *ruled) track(r rule) []column {
	middle := (r.x0 + r.x1) / 2
	out := l.walk(middle, r.y, -1, r.level)
	slices.Reverse(out)
	out = append(out, l.walk(middle+1, r.y, 1, r.level)...)
	straighten(out)
	return out
}

// straighten makes a line as straight as it is: it gives each column the mean place of those around it.
func straighten(columns []column) {
	const reach = 48 // columns to both sides
	sums, n := make([]int, len(columns)+1), make([]int, len(columns)+1)
	for i, c := range columns {
		sums[i+1], n[i+1] = sums[i], n[i]
		if c.seen {
			sums[i+1], n[i+1] = sums[i]+c.y, n[i]+1
		}
	}
	for i := range columns {
		from, to := max(i-reach, 0), min(i+reach+1, len(columns))
		if n[to] == n[from] {
			continue
		}
		at := fraction * (sums[to] - sums[from]) / (n[to] - n[from])
		columns[i].y = (at + fraction/2) / fraction
		// Where it lies between two rows it stays in one.
		if before := columns[max(i-1, 0)].y; i > 0 && abs(at-fraction*before) < 3*fraction/4 {
			columns[i].y = before
		}
	}
}

// fraction is that of a pixel in which the place of a line is reckoned.
const fraction = 256

// walk gives the columns of a line from one on, to where it ends.
func (l *ruled) walk(x, y, step, level int) []column {
	const slow = 8      // of so many columns, the mean is where the line is
	most := l.s.dpi / 2 // columns that something can cover, 12 mm
	beyond := l.thick() / 2
	center := y*fraction + fraction/2
	var out []column
	last := 0
	for ; x >= 2 && x < l.mask.Width-2 && len(out)-last < most; x += step {
		at := center / fraction
		if at < beyond+1 || at >= l.mask.Height-beyond-1 {
			break
		}
		best, v := at, 256
		for y := at - 1; y <= at+1; y++ {
			if m := (l.level(x-1, y) + 2*l.level(x, y) + l.level(x+1, y)) / 4; m < v {
				best, v = y, m
			}
		}
		light := l.light(x, best)
		seen := v >= level-otherwise/2 && 3*(light-v) >= light-level
		for _, side := range [2]int{best - beyond, best + beyond} {
			// What is dark beside it is print, and says nothing.
			if p := l.level(x, side); p >= level-otherwise/2 && 3*(p-v) < light-level {
				seen = false
			}
		}
		if seen {
			center += (best*fraction + fraction/2 - center) / slow
			last = len(out) + 1
		}
		out = append(out, column{x, best, seen})
	}
	return out[:last]
}

// mark marks a line: what of it is seen, and what is beside that, but not the print on it.
func (l *ruled) mark(columns []column, level, thick int, done *jbig2.Bitmap) (met int) {
	const bridge = 8 // columns
	around := l.thick()/2 + 1
	before := -bridge - 1 // the last one that is seen
	after := 0
	for i, c := range columns {
		if c.seen {
			before = i
		}
		for after < i || after < len(columns) && !columns[after].seen {
			after++
		}
		near := i-before <= bridge && after-i <= bridge
		top := c.y - (thick-1)/2
		for y := max(c.y-around, 0); y <= min(c.y+around, l.mask.Height-1); y++ {
			done.Set(c.x, y)
			px, py := l.at(c.x, y)
			inked := l.mask.At(c.x, y)
			within := y >= top && y < top+thick
			if !inked && (!near || !within) {
				continue
			}
			if l.s.strokeAt(px, py) < l.s.between(px, py, level) {
				if inked && within {
					met++
				}
				continue
			}
			l.rest.Pix[py*l.rest.Stride+px/8] &^= 0x80 >> (px % 8)
			if within {
				l.rules.Set(px, py)
			}
		}
	}
	return met
}

// between gives the level half-way between that of a line and that of the darkest print
// near it, or one that is darker than all of it.
func (s *separation) between(x, y, line int) int {
	darkest := 255
	for by := max(y/block-1, 0); by <= min(y/block+1, s.low.Height-1); by++ {
		for _, v := range s.low.Row(by)[max(x/block-1, 0):min(x/block+2, s.low.Width)] {
			darkest = min(darkest, int(v))
		}
	}
	if line-darkest < otherwise {
		return 0
	}
	return (line + darkest) / 2
}

// strokeAt gives the level of the stroke that a pixel is part of: the darkest of the nine around it.
func (s *separation) strokeAt(x, y int) int {
	v := uint8(255)
	for at := max(y-1, 0); at <= min(y+1, s.h-1); at++ {
		row := s.y.Row(at)
		v = min(v, row[max(x-1, 0)], row[x], row[min(x+1, s.w-1)])
	}
	return int(v)
}

// transposed gives b with rows for columns.
func transposed(b *jbig2.Bitmap) *jbig2.Bitmap {
	out := jbig2.NewBitmap(b.Height, b.Width)
	for y := range b.Height {
		at, bit := y/8, uint8(0x80>>(y%8))
		eachRun(b.Row(y), b.Width, func(x0, x1 int) {
			for x := x0; x < x1; x++ {
				out.Pix[x*out.Stride+at] |= bit
			}
		})
	}
	return out
}
