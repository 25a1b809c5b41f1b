package mrc

import (
	"encoding/binary"
	"math"
	"slices"

	"docscan/scan/imaging"
	"docscan/scan/imaging/jbig2"
)

// The contrast, in grey levels, that makes ink: at least that which a pencil has,
// and never more than that of grey print.
const leastContrast, mostContrast = 22, 60

// Contrast below doubtful is believed only where dark and light are apart, in
// their means, by so many per cent of it: the noise of a tint is not.
const doubtful, apart = 80, 45

// solid is the luminance from which on, in per cent of the paper's, what is all
// alike is no ink.
const solid = 60

// thresholds finds for each block how dark ink is there: half-way between the
// darkest pixel near it and the lightest around it. Where there is nothing, it is what
// it is in the surroundings if that makes the whole block ink, as inside bars and
// black areas, and 0, for no ink, otherwise.
func (s *separation) thresholds() error {
	var err error
	if s.low, s.high, err = s.y.Extremes(); err != nil {
		return err
	}
	lo, hi, noise := s.extremes()
	s.noise, s.form, s.formNoise = noise, s.y, noise
	if noise >= noisy {
		s.form = calmed(s.y)
		if s.low, s.high, err = s.form.Extremes(); err != nil {
			return err
		}
		lo, hi, s.formNoise = s.extremes()
	}
	s.light = hi
	var lights [256]int
	for _, v := range hi.Pix {
		lights[v]++
	}
	paper := quantile(lights[:], len(lo.Pix)/2)
	s.seen = s.seenThrough(paper)
	least := max(uint8(min(max(leastContrast, 8*s.formNoise/5), mostContrast)), s.seen)

	share := 11 // of 20
	if s.noise >= noisy {
		share = 12 // what calmed has spread is paler
	}
	t := imaging.NewPlane(lo.Width, lo.Height)
	known := make([]bool, len(t.Pix))
	weak := make([]parts, len(t.Pix))
	for i := range t.Pix {
		if c := hi.Pix[i] - lo.Pix[i]; c >= least {
			t.Pix[i] = lo.Pix[i] + uint8(int(c)*share/20)
			known[i] = true
			if c < doubtful {
				weak[i] = s.parts(i, t.Pix[i])
			}
		}
	}
	for i := range t.Pix {
		if c := hi.Pix[i] - lo.Pix[i]; known[i] && c < doubtful && !bimodal(weak, i, t.Width, int(c)) {
			known[i] = false
		}
	}
	fillIn(t, known)
	s.threshold = smooth(t)
	for i, k := range known {
		if !k {
			level := (int(s.low.Pix[i]) + int(s.high.Pix[i])) / 2
			if level < int(s.threshold.Pix[i]) && 100*level < solid*paper {
				s.threshold.Pix[i] = 255
			} else {
				s.threshold.Pix[i] = 0
			}
		}
	}
	return nil
}

// noisy is the noise from which on ink is told from paper in pixels that are the mean of their
// neighbours and themselves: in others hairlines are lost in it, and edges ragged.
const noisy = 30

// extremes gives the darkest and the lightest around each block, and the noise of empty
// paper: the quietest fifth of a page is that nearly always.
func (s *separation) extremes() (lo, hi *imaging.Plane, noise int) {
	lo, hi = darkest(s.low, 1), lightest(s.high, 2)
	var contrasts [256]int
	for i := range lo.Pix {
		contrasts[hi.Pix[i]-lo.Pix[i]]++
	}
	return lo, hi, quantile(contrasts[:], len(lo.Pix)/5)
}

// calmed gives p with two fifths of its noise: each pixel counts for a quarter, those beside it
// for an eighth, and the others around it for a sixteenth.
func calmed(p *imaging.Plane) *imaging.Plane { return nineOf(p, 2) }

// seenThrough gives the contrast in grey levels that most of what is seen through
// the paper does not reach.
func (s *separation) seenThrough(paper int) uint8 {
	const least = 120 // levels: what is darker is print
	return uint8(min(1.5*s.options.Shine*float64(paper), least))
}

// parts are the pixels of a block below and above its threshold.
type parts struct{ dark, light, darkSum, lightSum int }

// parts counts those of block i.
func (s *separation) parts(i int, t uint8) parts {
	var p parts
	x, y := i%s.low.Width*block, i/s.low.Width*block
	for yy := y; yy < min(y+block, s.h); yy++ {
		for _, v := range s.form.Row(yy)[x:min(x+block, s.w)] {
			if v < t {
				p.dark++
				p.darkSum += int(v)
			} else {
				p.light++
				p.lightSum += int(v)
			}
		}
	}
	return p
}

// around sums up block i and those that touch it.
func around(blocks []parts, i, across int) parts {
	var all parts
	for y := -1; y <= 1; y++ {
		for x := -1; x <= 1; x++ {
			j := i + y*across + x
			if j < 0 || j >= len(blocks) || i%across+x < 0 || i%across+x >= across {
				continue
			}
			all.dark += blocks[j].dark
			all.darkSum += blocks[j].darkSum
			all.light += blocks[j].light
			all.lightSum += blocks[j].lightSum
		}
	}
	return all
}

// bimodal reports whether the pixels in and around block i are of two kinds.
func bimodal(blocks []parts, i, across, contrast int) bool {
	all := around(blocks, i, across)
	if all.dark == 0 || all.light == 0 {
		return false
	}
	return 100*(all.lightSum/all.light-all.darkSum/all.dark) >= apart*contrast
}

// quantile gives the least value that n of those counted are not above.
func quantile(counts []int, n int) int {
	for v, c := range counts {
		if n -= c; n <= 0 {
			return v
		}
	}
	return len(counts) - 1
}

// darkest gives each pixel the darkest of those up to reach around it.
func darkest(p *imaging.Plane, reach int) *imaging.Plane {
	return spread(p, reach, func(to, from []uint8) {
		for x, v := range from {
			to[x] = min(to[x], v)
		}
	})
}

// lightest gives each pixel the lightest of those up to reach around it.
func lightest(p *imaging.Plane, reach int) *imaging.Plane {
	return spread(p, reach, func(to, from []uint8) {
		for x, v := range from {
			to[x] = max(to[x], v)
		}
	})
}

// spread merges into each pixel those up to reach around it. merge takes two
// slices of one length.
func spread(p *imaging.Plane, reach int, merge func(to, from []uint8)) *imaging.Plane {
	across, out := imaging.NewPlane(p.Width, p.Height), imaging.NewPlane(p.Width, p.Height)
	for y := range p.Height {
		from, to := p.Row(y), across.Row(y)
		copy(to, from)
		for i := 1; i <= min(reach, p.Width-1); i++ {
			merge(to[i:], from[:p.Width-i])
			merge(to[:p.Width-i], from[i:])
		}
	}
	for y := range p.Height {
		to := out.Row(y)
		copy(to, across.Row(y))
		for i := max(y-reach, 0); i <= min(y+reach, p.Height-1); i++ {
			merge(to, across.Row(i))
		}
	}
	return out
}

// smooth gives the mean of the nine pixels around each.
func smooth(p *imaging.Plane) *imaging.Plane { return nineOf(p, 1) }

// nineOf gives the mean of the nine pixels around each, of which its own row and its own column
// count so many times as the others.
func nineOf(p *imaging.Plane, middle int) *imaging.Plane {
	out := imaging.NewPlane(p.Width, p.Height)
	sums := make([]int, p.Width) // of three rows
	all := (2 + middle) * (2 + middle)
	const one = 1 << 16
	part := (one + all - 1) / all // to multiply with instead of to divide: exact for sums of so many pixels
	for y := range p.Height {
		a, b, c := p.Row(max(y-1, 0)), p.Row(y), p.Row(min(y+1, p.Height-1))
		for x := range sums {
			sums[x] = int(a[x]) + middle*int(b[x]) + int(c[x])
		}
		to := out.Row(y)
		left := sums[0]
		for x, here := range sums {
			right := sums[min(x+1, len(sums)-1)]
			to[x] = uint8((left + middle*here + right + all/2) * part / one)
			left = here
		}
	}
	return out
}

// fillIn gives the pixels that are not known a value between those of the known
// ones around them: that of the smallest square, with sides of a power of two,
// that knows one. Where nothing is known all become 0.
func fillIn(p *imaging.Plane, known []bool) {
	if p.Width <= 1 && p.Height <= 1 || !slices.Contains(known, false) {
		return
	}
	half := imaging.NewPlane((p.Width+1)/2, (p.Height+1)/2)
	halfKnown := make([]bool, len(half.Pix))
	for y := range half.Height {
		first := 2 * y * p.Width
		second := min(2*y+1, p.Height-1) * p.Width
		for x := range half.Width {
			l, r := 2*x, min(2*x+1, p.Width-1)
			sum, n := 0, 0
			if known[first+l] {
				sum, n = int(p.Pix[first+l]), 1
			}
			if known[first+r] {
				sum, n = sum+int(p.Pix[first+r]), n+1
			}
			if known[second+l] {
				sum, n = sum+int(p.Pix[second+l]), n+1
			}
			if known[second+r] {
				sum, n = sum+int(p.Pix[second+r]), n+1
			}
			if n > 0 {
				half.Pix[y*half.Width+x], halfKnown[y*half.Width+x] = uint8((sum+n/2)/n), true
			}
		}
	}
	fillIn(half, halfKnown)
	for y := range p.Height {
		for x := range p.Width {
			if known[y*p.Width+x] {
				continue
			}
			// Between the four nearest of the coarse pixels.
			x2, y2 := min(max(x/2+x%2*2-1, 0), half.Width-1), min(max(y/2+y%2*2-1, 0), half.Height-1)
			a, b := int(half.Pix[y/2*half.Width+x/2]), int(half.Pix[y/2*half.Width+x2])
			c, d := int(half.Pix[y2*half.Width+x/2]), int(half.Pix[y2*half.Width+x2])
			p.Pix[y*p.Width+x] = uint8((9*a + 3*b + 3*c + d + 8) / 16)
		}
	}
}

// stencil marks all pixels that are darker than their threshold.
func (s *separation) stencil() {
	low, high := s.low, s.high
	s.mask = jbig2.NewBitmap(s.w, s.h)
	for by := range low.Height {
		for bx, t := range s.threshold.Row(by) {
			if t <= low.Pix[by*low.Width+bx] {
				continue
			}
			n := min(block, s.w-bx*block)
			all := t > high.Pix[by*low.Width+bx]
			for y := by * block; y < min((by+1)*block, s.h); y++ {
				if all {
					s.mask.Pix[y*s.mask.Stride+bx] = 0xff << (8 - n)
					continue
				}
				var bits uint8
				for i, v := range s.form.Row(y)[bx*block:][:n] {
					if v < t {
						bits |= 0x80 >> i
					}
				}
				s.mask.Pix[y*s.mask.Stride+bx] = bits
			}
		}
	}
}

// even makes the edges of the mask even: a pixel whose level is so near to its
// threshold that noise decides is what most of its neighbours are. Noise would
// make edges ragged, and costs more bytes than letters.
func (s *separation) even() {
	const least = 8 // levels
	near := max(least, s.formNoise)
	was := slices.Clone(s.mask.Pix)
	stride := s.mask.Stride
	at := func(x, y int) int { return int(was[y*stride+x/8]>>(7-x%8)) & 1 }
	for by := range s.low.Height {
		for bx, t := range s.threshold.Row(by) {
			i := by*s.low.Width + bx
			if t == 0 || t == 255 || int(t)+near < int(s.low.Pix[i]) || int(t)-near > int(s.high.Pix[i]) {
				continue
			}
			x0, x1 := max(bx*block, 1), min((bx+1)*block, s.w-1)
			for y := max(by*block, 1); y < min((by+1)*block, s.h-1); y++ {
				for x, v := range s.form.Row(y)[x0:x1] {
					if abs(int(v)-int(t)) > near {
						continue
					}
					x += x0
					black := at(x-1, y-1) + at(x, y-1) + at(x+1, y-1) + at(x-1, y) + at(x+1, y) + at(x-1, y+1) + at(x, y+1) + at(x+1, y+1)
					switch bit := uint8(0x80 >> (x % 8)); {
					case black > 4:
						s.mask.Pix[y*stride+x/8] |= bit
					case black < 4:
						s.mask.Pix[y*stride+x/8] &^= bit
					}
				}
			}
		}
	}
}

// finePixels is the resolution, in dpi, from which on two pixels of an edge are no part of
// a letter's shape.
const finePixels = 250

// trim takes bumps of one pixel, or two, off straight edges, and then fills such notches in
// them: they come from the noise of the scanner and the grain of the paper, and cost a
// tenth of the bytes of print. What has less than three pixels of ink behind it, as a dot
// or a thin stroke, stays as it is, and so does what has less than three of paper, and what
// is hard to read anyway.
func (s *separation) trim() {
	s.trimOne(0)
	s.trimOne(math.MaxUint32)
}

// trimOne takes off bumps, or fills notches if paper is all ones: ink and paper change
// places then.
func (s *separation) trimOne(paper uint32) {
	const reach = 3 // rows above and below that are looked at
	was := jbig2.Bitmap{Width: s.w, Height: s.h, Stride: s.mask.Stride, Pix: slices.Clone(s.mask.Pix)}
	none := make([]byte, was.Stride)
	var rows [2*reach + 1][]byte
	for y := range s.h {
		for i := range rows {
			rows[i] = none
			if at := y + i - reach; at >= 0 && at < s.h {
				rows[i] = was.Row(at)
			}
		}
		out := s.mask.Row(y)
		for x, v := range rows[reach] {
			if above, below := rows[reach-1][x], rows[reach+1][x]; v == above && v == below && (v == 0 || v == 0xff) {
				continue
			}
			// Eight pixels of each row, with the eight before and the eight after them.
			var near [2*reach + 1]uint32
			for i, r := range rows {
				near[i] = uint32(r[x]) << 8
				if x > 0 {
					near[i] |= uint32(r[x-1]) << 16
				}
				if x+1 < len(r) {
					near[i] |= uint32(r[x+1])
				}
				near[i] ^= paper
			}
			found := uint8(bumps(&near, s.dpi >= finePixels) >> 8)
			if s.soft != nil {
				found &^= s.soft.Row(y)[x]
			}
			out[x] ^= found
		}
		if r := s.w % 8; r != 0 {
			out[len(out)-1] &= 0xff << (8 - r)
		}
	}
}

// bumps gives the pixels of the middle row that stick out of a straight edge alone, or also
// by twos. A higher bit is further left.
func bumps(rows *[7]uint32, twos bool) (found uint32) {
	a2, a, c, b, b2 := rows[1], rows[2], rows[3], rows[4], rows[5]
	// On an edge that runs across: beyond is the row above or below, body what is behind.
	across := func(beyond, body uint32) {
		free := c & ^(c >> 1) & ^(beyond >> 1) & ^beyond & ^(beyond << 1) & (body >> 1) & body & (body << 1)
		found |= free & ^(c << 1)
		if !twos {
			return
		}
		two := free & (c << 1) & ^(c << 2) & ^(beyond << 2) & (body << 2)
		found |= two | two>>1
	}
	across(a, b&b2&rows[6])
	across(b, a&a2&rows[0])
	// On an edge that runs down: any and all are of the rows from the one above to the one
	// below what sticks out.
	down := func(out, any, all uint32) {
		found |= out & ^(any >> 1) & (all << 1) & (all << 2) & (all << 3)
		found |= out & ^(any << 1) & (all >> 1) & (all >> 2) & (all >> 3)
	}
	down(c & ^a & ^b, a|c|b, a&c&b)
	if !twos {
		return found
	}
	down(c&b & ^a & ^b2, a|c|b|b2, a&c&b&b2)
	down(c&a & ^a2 & ^b, a2|a|c|b, a2&a&c&b)
	return found
}

// thin marks strokes so thin that the lens has made them paler than their
// threshold: what is darker than the pixels to both sides of it by a quarter of the
// contrast of the ink around it. Letters would fall to pieces without them.
func (s *separation) thin() {
	across, noise, share := 2, 2*s.formNoise, 50 // pixels from the middle of a stroke to the paper beside it, levels, per cent
	if s.noise >= noisy {
		across, noise, share = 3, s.formNoise, 37 // calmed has spread it
	}
	for by := range s.low.Height {
		for bx, t := range s.threshold.Row(by) {
			i := by*s.low.Width + bx
			if t == 0 || t == 255 {
				continue
			}
			deep := max(share*int(s.light.Pix[i]-min(t, s.light.Pix[i]))/100, noise, leastContrast, int(s.seen))
			if int(s.low.Pix[i])+deep > int(s.light.Pix[i]) {
				continue
			}
			x0, x1 := max(bx*block, across), min((bx+1)*block, s.w-across)
			for y := max(by*block, across); y < min((by+1)*block, s.h-across); y++ {
				row, above, below := s.form.Row(y), s.form.Row(y-across), s.form.Row(y+across)
				for x := x0; x < x1; x++ {
					v := int(row[x]) + deep
					if v <= int(min(row[x-across], row[x+across])) || v <= int(min(above[x], below[x])) {
						s.mask.Pix[y*s.mask.Stride+x/8] |= 0x80 >> (x % 8)
					}
				}
			}
		}
	}
}

// faint marks ink that is much lighter than what stands next to it, as pencil on a
// form, or that noise has hidden, as what a worn ribbon leaves: it looks at what is left
// once ink is taken away, and finds thresholds for that alone. The mean of nine pixels
// has a third of the noise.
func (s *separation) faint() {
	from := s.form // in a mean a pale full stop would be lost
	if !s.quiet() {
		from = smooth(s.y)
	}
	w, h := s.light.Width, s.light.Height
	// The darkest and the lightest of what is left in each block.
	dark, light := imaging.NewPlane(w, h), imaging.NewPlane(w, h)
	var contrasts [256]int
	for by := range h {
		for bx := range w {
			lo, hi := uint8(255), uint8(0)
			for y := by * block; y < min((by+1)*block, s.h); y++ {
				near := s.near.Pix[y*s.near.Stride+bx]
				if near == 0xff {
					continue
				}
				row := from.Row(y)[bx*block : min((bx+1)*block, s.w)]
				if near == 0 {
					for _, v := range row {
						lo, hi = min(lo, v), max(hi, v)
					}
					continue
				}
				for i, v := range row {
					if near&(0x80>>i) == 0 {
						lo, hi = min(lo, v), max(hi, v)
					}
				}
			}
			if lo > hi { // all is ink
				lo = s.light.Row(by)[bx]
			}
			dark.Row(by)[bx], light.Row(by)[bx] = lo, hi
		}
	}
	lo, hi := darkest(dark, 1), lightest(light, 2)
	for i := range lo.Pix {
		contrasts[hi.Pix[i]-min(lo.Pix[i], hi.Pix[i])]++
	}
	noise := quantile(contrasts[:], len(lo.Pix)/5)
	least := max(uint8(min(max(leastFaint, 2*noise), mostContrast)), s.seen)
	leastSoft := max(uint8(min(max(leastSoftFaint, 3*noise/2), mostContrast)), s.seen)
	levels := make([]uint8, len(lo.Pix))
	split := make([]parts, len(lo.Pix))
	for i := range lo.Pix {
		bound := least
		if s.soft != nil && s.soft.At(i%w*block+block/2, i/w*block+block/2) {
			bound = leastSoft
		}
		if c := hi.Pix[i] - min(lo.Pix[i], hi.Pix[i]); c >= bound && s.threshold.Pix[i] != 255 {
			levels[i] = lo.Pix[i] + uint8(int(c)*11/20)
			split[i] = s.partsLeft(from, i, levels[i])
		}
	}
	for i, t := range levels {
		const fewest = 3 // pixels: one or two are noise
		if t == 0 || split[i].dark == 0 || around(split, i, w).dark < fewest || !bimodal(split, i, w, int(hi.Pix[i]-lo.Pix[i])) {
			continue
		}
		x, y := i%w, i/w*block
		for yy := y; yy < min(y+block, s.h); yy++ {
			for k, v := range from.Row(yy)[x*block : min((x+1)*block, s.w)] {
				if v < t && s.near.Pix[yy*s.near.Stride+x]&(0x80>>k) == 0 {
					s.mask.Pix[yy*s.mask.Stride+x] |= 0x80 >> k
				}
			}
		}
	}
}

// rims takes the edges of tinted areas, as a text marker's, out of the mask: what is as
// dark beyond it as itself on one side is no stroke. An area whose inside is paper and
// whose edge is ink would look torn.
func (s *separation) rims() {
	const (
		step, farthest = 4, 20 // pixels from ink to what is beyond it
		every          = 8     // pixels along a run
	)
	was, rims := s.mask, jbig2.NewBitmap(s.w, s.h)
	// beyond gives the level of what lies beyond the ink from x, y on; ok is false if
	// that is too far away.
	beyond := func(x, y, dx, dy int) (v int, ok bool) {
		for n := 0; n < farthest; n += step {
			x, y = x+dx*step, y+dy*step
			if x < 1 || y < 1 || x >= s.w-1 || y >= s.h-1 {
				return 0, false
			}
			if !was.At(x, y) {
				row := s.y.Row(y)
				return (int(row[x-1]) + int(row[x]) + int(row[x+1]) + int(s.y.Row(y - 1)[x]) + int(s.y.Row(y + 1)[x])) / 5, true
			}
		}
		return 0, false
	}
	for y := range s.h {
		row, light := s.y.Row(y), s.light.Row(y/block)
		eachRun(was.Row(y), s.w, func(x0, x1 int) {
			if s.rules != nil && s.rules.At((x0+x1)/2, y) {
				return
			}
			level := 0
			for _, v := range row[x0:x1] {
				level += int(v)
			}
			level /= x1 - x0
			most := level + (int(light[x0/block])-level)/3
			alike, all := 0, 0
			look := func(x, dx, dy int) {
				if v, ok := beyond(x, y, dx, dy); ok {
					all++
					if v <= most {
						alike++
					}
				}
			}
			look(x0, -1, 0)
			look(x1-1, 1, 0)
			for x := x0 + min(every, x1-x0)/2; x < x1; x += every {
				look(x, 0, -1)
				look(x, 0, 1)
			}
			if 3*alike >= all && alike > 0 {
				fill(rims.Row(y), x0, x1)
			}
		})
	}
	// Worn strokes have such places, too: small ones, with ink above and below.
	type place struct {
		area
		above, below bool
	}
	runs := runsOf(rims)
	places := make(map[int32]*place)
	for _, r := range runs {
		p := places[r.piece]
		if p == nil {
			p = &place{area: area{s.w, s.h, 0, 0}}
			places[r.piece] = p
		}
		p.area = p.with(area{int(r.x0), int(r.y), int(r.x1), int(r.y) + 1})
		x, y := int(r.x0+r.x1)/2, int(r.y)
		p.above = p.above || was.At(x, y-1) && !rims.At(x, y-1)
		p.below = p.below || was.At(x, y+1) && !rims.At(x, y+1)
	}
	for _, r := range runs {
		if p := places[r.piece]; !p.above || !p.below || max(p.x1-p.x0, p.y1-p.y0) >= s.dpi/8 { // 3 mm
			s.erase(r)
		}
	}
}

// quiet reports whether the paper has so little noise that what is darker by a few levels
// is print, as after a camera's or another program's clean-up.
func (s *separation) quiet() bool { return 4*s.noise < leastFaint }

// leastFaint is the least contrast of ink beside darker ink: what the lens and
// the JPEG leave around that is not to be taken for it. Where the engine has read a word
// that it is not sure of, there is ink, and it may well be paler.
const leastFaint, leastSoftFaint = 28, 20

// partsLeft is parts of what is not near ink.
func (s *separation) partsLeft(from *imaging.Plane, i int, t uint8) parts {
	var p parts
	x, y := i%s.low.Width, i/s.low.Width*block
	for yy := y; yy < min(y+block, s.h); yy++ {
		near := s.near.Pix[yy*s.near.Stride+x]
		for k, v := range from.Row(yy)[x*block : min((x+1)*block, s.w)] {
			switch {
			case near&(0x80>>k) != 0:
			case v < t:
				p.dark++
				p.darkSum += int(v)
			default:
				p.light++
				p.lightSum += int(v)
			}
		}
	}
	return p
}

// grown gives b with all within reach pixels of its black ones.
func grown(b *jbig2.Bitmap, reach int) *jbig2.Bitmap {
	across := jbig2.NewBitmap(b.Width, b.Height)
	for y := range b.Height {
		from, to := b.Row(y), across.Row(y)
		var before uint32
		for i, v := range from {
			var after uint32
			if i+1 < len(from) {
				after = uint32(from[i+1])
			}
			if v == 0 && before == 0 && after == 0 {
				continue
			}
			all := before<<16 | uint32(v)<<8 | after
			before = uint32(v)
			for range reach {
				all |= all<<1 | all>>1
			}
			to[i] = uint8(all >> 8)
		}
		if r := b.Width % 8; r != 0 {
			to[len(to)-1] &= 0xff << (8 - r)
		}
	}
	out := jbig2.NewBitmap(b.Width, b.Height)
	for y := range b.Height {
		to := out.Row(y)
		for i := max(y-reach, 0); i <= min(y+reach, b.Height-1); i++ {
			from := across.Row(i)
			x := 0
			for ; x+8 <= len(to); x += 8 {
				if v := binary.NativeEndian.Uint64(from[x:]); v != 0 {
					binary.NativeEndian.PutUint64(to[x:], v|binary.NativeEndian.Uint64(to[x:]))
				}
			}
			for ; x < len(to); x++ {
				to[x] |= from[x]
			}
		}
	}
	return out
}
