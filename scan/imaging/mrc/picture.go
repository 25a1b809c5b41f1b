package mrc

import (
	"math"

	"docscan/scan/imaging"
	"docscan/scan/imaging/jbig2"
)

// blur is how far, in pixels, ink changes the paper around it: what the scanner's
// lens and the JPEG make of an edge.
const blur = 2

// An area is a rectangle; x1 and y1 are beyond it.
type area struct{ x0, y0, x1, y1 int }

// What makes a tile part of a photograph: the standard deviation of its paper or
// of its ink, in grey levels, over so many pixels at least.
const (
	unevenPaper = 9
	unevenInk   = 26
	enough      = 40
	mostWrong   = 24 // pixels of ink that have another colour
	// Ink that fills a tile is as even as paper: no stroke is so broad, and the dark
	// parts of a photograph are not even.
	filled = tile * tile * 3 / 5
)

// A photograph is where two of five tiles are uneven, over a square of wide tiles,
// and at least a square of leastPicture tiles large.
const (
	wide         = 7
	leastPicture = 6 // 8 mm at 300 dpi
)

// findPictures finds the tiles that d, ink on smooth paper, does not explain, and
// makes areas of them. If there are any, their ink is taken out of the mask.
func (s *separation) findPictures(d *drawing) (found bool) {
	across, down := s.tiles()
	uneven, restless, rough := make([]bool, across*down), make([]bool, across*down), make([]bool, across*down)
	// What is seen through the paper makes it uneven by two fifths of its contrast.
	limit := max(unevenPaper, 0.5*float64(s.noise), 0.4*float64(s.seen))
	for i, bad := range s.wrong(d) {
		paper, ink, broad := s.spreads(i%across, i/across)
		uneven[i] = paper > limit || ink > unevenInk || broad && ink > 4*limit/3 || bad > mostWrong
		restless[i] = paper > 0.7*limit || broad && ink > 0.7*limit
		rough[i] = restless[i] || ink > unevenInk
	}
	s.picture = dense(uneven, across, down)
	s.pictures = areas(s.picture, restless, across, down)
	clear(s.picture)
	for _, a := range s.pictures {
		for ty := a.y0; ty < a.y1; ty++ {
			for tx := a.x0; tx < a.x1; tx++ {
				s.picture[ty*across+tx] = true
				for y := ty * tile; y < min((ty+1)*tile, s.h); y++ {
					clear(s.mask.Row(y)[tx*tile/8 : min((tx+1)*tile/8, s.mask.Stride)])
				}
			}
		}
	}
	// A letter beside a photograph is no part of it, nor cut in two.
	for _, r := range d.runs {
		if p := &d.pieces[r.piece]; !p.large && (s.sticksOut(p) || s.beside(p, rough)) {
			fill(s.mask.Row(int(r.y)), int(r.x0), int(r.x1))
		}
	}
	return len(s.pictures) > 0
}

// sticksOut reports whether a part of p, a third of its frame and more, lies outside
// the photographs.
func (s *separation) sticksOut(p *piece) bool {
	in, all := 0, int(p.x1-p.x0)*int(p.y1-p.y0)
	for _, a := range s.pictures {
		x0, y0 := max(int(p.x0), a.x0*tile), max(int(p.y0), a.y0*tile)
		x1, y1 := min(int(p.x1), a.x1*tile), min(int(p.y1), a.y1*tile)
		if x0 < x1 && y0 < y1 {
			in += (x1 - x0) * (y1 - y0)
		}
	}
	return 3*(all-in) >= all
}

// beside reports whether p, ink on even paper, lies at the edge of a photograph: that
// reaches some tiles beyond what is uneven.
func (s *separation) beside(p *piece, rough []bool) bool {
	const most = 4 // tiles from the edge
	across, _ := s.tiles()
	t := area{int(p.x0) / tile, int(p.y0) / tile, int(p.x1-1)/tile + 1, int(p.y1-1)/tile + 1}
	for y := t.y0; y < t.y1; y++ {
		for x := t.x0; x < t.x1; x++ {
			if rough[y*across+x] {
				return false
			}
		}
	}
	for _, a := range s.pictures {
		if t.x0 >= a.x0 && t.x1 <= a.x1 && t.y0 >= a.y0 && t.y1 <= a.y1 {
			return min(t.x0-a.x0, a.x1-t.x1, t.y0-a.y0, a.y1-t.y1) <= most
		}
	}
	return true
}

// spreads gives the standard deviations of the paper and of the ink of a tile, 0
// where there is too little, and whether ink fills it. What lies at the edges of
// ink is neither.
func (s *separation) spreads(tx, ty int) (paper, ink float64, broad bool) {
	if s.level(tx, ty) {
		return 0, 0, false
	}
	var n, sum, square [2]int
	for y := ty * tile; y < min((ty+1)*tile, s.h); y++ {
		row := s.y.Row(y)
		for i := tx * tile / 8; i < min((tx+1)*tile/8, s.mask.Stride); i++ {
			near, in := s.near.Row(y)[i], s.core.Row(y)[i]
			px := row[i*8 : min(i*8+8, s.w)]
			if near == 0 {
				a, b := 0, 0
				for _, v := range px {
					a += int(v)
					b += int(v) * int(v)
				}
				n[0], sum[0], square[0] = n[0]+len(px), sum[0]+a, square[0]+b
				continue
			}
			for k, v := range px {
				class := 0
				switch bit := uint8(0x80 >> k); {
				case in&bit != 0:
					class = 1
				case near&bit != 0:
					continue
				}
				n[class]++
				sum[class] += int(v)
				square[class] += int(v) * int(v)
			}
		}
	}
	deviation := func(c int) float64 {
		if n[c] < enough {
			return 0
		}
		mean := float64(sum[c]) / float64(n[c])
		return math.Sqrt(math.Max(float64(square[c])/float64(n[c])-mean*mean, 0))
	}
	return deviation(0), deviation(1), n[1] >= filled
}

// level reports whether a tile is so even that nothing in it can be uneven.
func (s *separation) level(tx, ty int) bool {
	const blocks = tile / block
	lo, hi := uint8(255), uint8(0)
	for y := ty * blocks; y < min((ty+1)*blocks, s.low.Height); y++ {
		for x := tx * blocks; x < min((tx+1)*blocks, s.low.Width); x++ {
			lo, hi = min(lo, s.low.Row(y)[x]), max(hi, s.high.Row(y)[x])
		}
	}
	return hi < lo+unevenPaper
}

// shrunk gives b without the pixels that touch a white one.
func shrunk(b *jbig2.Bitmap) *jbig2.Bitmap {
	white := jbig2.NewBitmap(b.Width, b.Height)
	for i, v := range b.Pix {
		white.Pix[i] = ^v
	}
	out := grown(white, 1)
	for i, v := range out.Pix {
		out.Pix[i] = ^v & b.Pix[i]
	}
	return out
}

// dense gives the tiles around which two of five are uneven.
func dense(uneven []bool, across, down int) []bool {
	// sums[y][x] counts those above and to the left.
	sums := make([]int, (across+1)*(down+1))
	for y := range down {
		for x := range across {
			v := 0
			if uneven[y*across+x] {
				v = 1
			}
			sums[(y+1)*(across+1)+x+1] = v + sums[y*(across+1)+x+1] + sums[(y+1)*(across+1)+x] - sums[y*(across+1)+x]
		}
	}
	out := make([]bool, len(uneven))
	for y := range down {
		for x := range across {
			x0, x1 := max(x-wide/2, 0), min(x+wide/2+1, across)
			y0, y1 := max(y-wide/2, 0), min(y+wide/2+1, down)
			n := sums[y1*(across+1)+x1] - sums[y0*(across+1)+x1] - sums[y1*(across+1)+x0] + sums[y0*(across+1)+x0]
			out[y*across+x] = 5*n >= 2*(x1-x0)*(y1-y0)
		}
	}
	return out
}

// widened gives a with the rows and columns beside it of which a third is
// restless: at the edge of a photograph there are too few tiles for dense.
func (a area) widened(restless []bool, across, down int) area {
	third := func(x0, y0, x1, y1 int) bool {
		n := 0
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				if restless[y*across+x] {
					n++
				}
			}
		}
		return 3*n >= (x1-x0)*(y1-y0)
	}
	for range wide / 2 {
		if a.x0 > 0 && third(a.x0-1, a.y0, a.x0, a.y1) {
			a.x0--
		}
		if a.x1 < across && third(a.x1, a.y0, a.x1+1, a.y1) {
			a.x1++
		}
		if a.y0 > 0 && third(a.x0, a.y0-1, a.x1, a.y0) {
			a.y0--
		}
		if a.y1 < down && third(a.x0, a.y1, a.x1, a.y1+1) {
			a.y1++
		}
	}
	// Its edge lies within the next tile.
	return area{max(a.x0-1, 0), max(a.y0-1, 0), min(a.x1+1, across), min(a.y1+1, down)}
}

// areas gives the rectangles around the connected parts of tiles, widened; those
// that overlap are one.
func areas(tiles, restless []bool, across, down int) []area {
	var out []area
	seen := make([]bool, len(tiles))
	for i, t := range tiles {
		if !t || seen[i] {
			continue
		}
		a := area{across, down, 0, 0}
		seen[i] = true
		for todo := []int{i}; len(todo) > 0; {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			x, y := at%across, at/across
			a = a.with(area{x, y, x + 1, y + 1})
			for _, next := range [4][2]int{{x - 1, y}, {x + 1, y}, {x, y - 1}, {x, y + 1}} {
				if n := next[1]*across + next[0]; next[0] >= 0 && next[0] < across && next[1] >= 0 && next[1] < down && tiles[n] && !seen[n] {
					seen[n] = true
					todo = append(todo, n)
				}
			}
		}
		if a.large() {
			out = append(out, a.widened(restless, across, down))
		}
	}
	for i := 0; i < len(out); i++ {
		for j := i + 1; j < len(out); j++ {
			if out[i].meets(out[j]) {
				out[i] = out[i].with(out[j])
				out = append(out[:j], out[j+1:]...)
				j = i
			}
		}
	}
	return out
}

// large reports whether a is large enough for a photograph.
func (a area) large() bool { return a.x1-a.x0 >= leastPicture && a.y1-a.y0 >= leastPicture }

// with gives the rectangle around a and b.
func (a area) with(b area) area {
	return area{min(a.x0, b.x0), min(a.y0, b.y0), max(a.x1, b.x1), max(a.y1, b.y1)}
}

// meets reports whether a and b overlap or touch.
func (a area) meets(b area) bool {
	return a.x0 <= b.x1 && b.x0 <= a.x1 && a.y0 <= b.y1 && b.y0 <= a.y1
}

// A sampling is a part of the page at a lower resolution, from what is not near
// ink; known says where there was any.
type sampling struct {
	planes imaging.Planes
	known  []bool
}

// sample takes the means of squares of size pixels, a number that divides 8, from x0, y0 to x1, y1, which it divides too or which are the page's edges.
func (s *separation) sample(x0, y0, x1, y1, size int) sampling {
	out := sampling{planes: imaging.Planes{Y: s.y.Part(x0, y0, x1, y1).Shrink(size)}}
	if s.cb != nil {
		out.planes.Cb, out.planes.Cr = s.cb.Part(x0/2, y0/2, (x1+1)/2, (y1+1)/2), s.cr.Part(x0/2, y0/2, (x1+1)/2, (y1+1)/2)
		if size > 1 {
			out.planes.Cb, out.planes.Cr = out.planes.Cb.Shrink(size/2), out.planes.Cr.Shrink(size/2)
		} else {
			out.planes.Cb, out.planes.Cr = repeated(out.planes.Cb, x1-x0, y1-y0), repeated(out.planes.Cr, x1-x0, y1-y0)
		}
	}
	w, h := out.planes.Y.Width, out.planes.Y.Height
	out.known = make([]bool, w*h)
	for cy := range h {
		y := y0 + cy*size
		rows := s.near.Pix[y*s.near.Stride : min(y+size, s.h)*s.near.Stride]
		for cx := range w {
			x := x0 + cx*size
			// The bits of this square within its byte.
			mask := uint8(0xff) << (8 - size) >> (x % 8)
			touched := uint8(0)
			for i := x / 8; i < len(rows); i += s.near.Stride {
				touched |= rows[i]
			}
			at := cy*w + cx
			out.known[at] = touched&mask == 0
			if !out.known[at] {
				out.planes.Y.Pix[at], out.known[at] = s.paperOnly(x, y, size)
			}
		}
	}
	fillIn(out.planes.Y, out.known)
	if s.cb != nil {
		fillIn(out.planes.Cb, out.known)
		fillIn(out.planes.Cr, out.known)
	}
	return out
}

// repeated gives p, a plane of colour, with as many pixels as an image of w by h.
func repeated(p *imaging.Plane, w, h int) *imaging.Plane {
	out := imaging.NewPlane(w, h)
	for y := range h {
		from, to := p.Row(y/2), out.Row(y)
		for x := range to {
			to[x] = from[x/2]
		}
	}
	return out
}

// paperOnly gives the mean of what is not near ink in a square of size pixels;
// ok is false if that is less than a quarter of it.
func (s *separation) paperOnly(x, y, size int) (mean uint8, ok bool) {
	sum, n := 0, 0
	for yy := y; yy < min(y+size, s.h); yy++ {
		near := s.near.Pix[yy*s.near.Stride+x/8] << (x % 8)
		for _, v := range s.y.Row(yy)[x:min(x+size, s.w)] {
			if near&0x80 == 0 {
				sum += int(v)
				n++
			}
			near <<= 1
		}
	}
	if 4*n < size*size {
		return 0, false
	}
	return uint8((sum + n/2) / n), true
}
