package imaging

import (
	"math"
	"slices"
	"unsafe"
)

// #include "lept.h"
// #include "ink.h"
import "C"

// A Sheet is where the paper lies in an image that shows more than it: the bed
// of a flatbed, or what a feeder scans beyond the sheet's end.
type Sheet struct {
	// Edges are the four sides in pixels of the image, in the order of the sides:
	// x and y are on the sheet where A*x + B*y > C. A and B have length 1.
	Edges [4]Edge
	// Skew is how far the edges are turned clockwise, in degrees. NaN if none
	// of them can be seen.
	Skew float64
	// Level is the grey of the paper.
	Level int
}

// The sides of an image.
const (
	Left = iota
	Right
	Top
	Bottom
)

// An Edge is one side of a sheet.
type Edge struct {
	A, B, C float64
	Seen    bool // else it is that of the image
	Dark    bool // it borders on something much darker than paper
	Bed     int  // the grey of what it borders on; 0 if that cannot be seen
}

// Cut reports whether any edge of the sheet is seen.
func (s *Sheet) Cut() bool {
	return slices.ContainsFunc(s.Edges[:], func(e Edge) bool { return e.Seen })
}

// Inverted gives the sheet in the image with black for white.
func (s Sheet) Inverted() Sheet {
	s.Level = 255 - s.Level
	for i := range s.Edges {
		if e := &s.Edges[i]; e.Bed > 0 {
			e.Bed = max(255-e.Bed, 1)
		}
	}
	return s
}

// Box gives the sheet within an image of width by height pixels that is turned
// back by degrees about its middle. An edge that is not seen is that of the image.
func (s *Sheet) Box(width, height int, degrees float64) (x, y, w, h float64) {
	fw, fh := float64(width), float64(height)
	sin, cos := math.Sincos(-degrees * math.Pi / 180)
	bounds := [4]float64{Left: 0, Right: fw, Top: 0, Bottom: fh}
	for side, e := range s.Edges {
		if !e.Seen {
			continue
		}
		// The middle of the edge, turned.
		var mx, my float64
		if side <= Right {
			my = fh / 2
			mx = (e.C - e.B*my) / e.A
		} else {
			mx = fw / 2
			my = (e.C - e.A*mx) / e.B
		}
		dx, dy := mx-fw/2, my-fh/2
		tx, ty := fw/2+dx*cos-dy*sin, fh/2+dx*sin+dy*cos
		if side <= Right {
			bounds[side] = min(max(tx, 0), fw)
		} else {
			bounds[side] = min(max(ty, 0), fh)
		}
	}
	return bounds[Left], bounds[Top], bounds[Right] - bounds[Left], bounds[Bottom] - bounds[Top]
}

// sheetDPI is about the resolution at which sheets are looked for: the grain is
// gone, and an edge is found to less than half a millimetre.
const sheetDPI = 60

// Sheet looks for the paper in an 8-bit image.
func (p *Pix) Sheet(dpi float64) (Sheet, error) {
	width, height := p.Width(), p.Height()
	if min(width, height) < 2*int(dpi/sheetDPI) {
		return findSheet(raster{}, width, height), nil
	}
	small := p
	const least, most = 0.9 * sheetDPI, 1.2 * sheetDPI
	for dpi > most {
		var next *Pix
		var err error
		if dpi/2 >= least { // much faster
			next, err = small.Halve()
		} else {
			next, err = small.Scale(max(1, int(float64(small.Width())*sheetDPI/dpi)), max(1, int(float64(small.Height())*sheetDPI/dpi)))
			dpi = 2 * sheetDPI
		}
		if err != nil {
			return Sheet{}, err
		}
		defer next.Close()
		small = next
		dpi /= 2
	}
	return findSheet(small.raster(), width, height), nil
}

// Outside gives all that lies beyond the sheet, and inset pixels within it, the
// grey of the paper in p itself, an 8-bit image.
func (p *Pix) Outside(s Sheet, inset float64) error {
	var lines [4][3]C.double
	for i, e := range s.Edges {
		c := e.C
		if e.Seen {
			c += inset
		}
		lines[i] = [3]C.double{C.double(e.A), C.double(e.B), C.double(c)}
	}
	if failed, err := C.lept_outside(p.p, &lines[0], C.int(s.Level)); failed != 0 {
		return failure("paint over the bed", err)
	}
	return nil
}

// Tint looks for areas of s, in the 8-bit image p, that are darker than the
// paper around them by contrast, 0 to 1 of its light, all over: photographs and
// areas of colour, pale ones too. It gives how many square millimetres they take.
// An even background has no trace of them any more. Uneven light is no area, and
// neither are small ones at the edge of the sheet, where shadows lie, nor those whose
// edges are less steep than sharp, in their contrast for two millimetres: they are
// seen through the paper.
func (p *Pix) Tint(dpi float64, s Sheet, contrast, sharp float64) (area float64, err error) {
	const grid = 20 // dpi: 1.3 mm
	width, height := p.Width(), p.Height()
	w, h := int(float64(width)*grid/dpi), int(float64(height)*grid/dpi)
	if w < 16 || h < 16 || w >= width || h >= height {
		return 0, nil
	}
	small, err := p.Scale(w, h)
	if err != nil {
		return 0, err
	}
	defer small.Close()
	r := small.raster()
	scale := float64(width) / float64(w)
	// How far inside the sheet each pixel is, in pixels of r.
	inside := func(x, y int) float64 {
		least := math.Inf(1)
		for _, e := range s.Edges {
			least = min(least, (e.A*(float64(x)+0.5)*scale+e.B*(float64(y)+0.5)*scale-e.C)/scale)
		}
		return least
	}
	const rim = 4 // pixels: 5 mm
	light := r.light(func(x, y int) bool { return inside(x, y) > rim }, float64(s.Level))
	tinted := make([]bool, w*h)
	for y := range h {
		for x := range w {
			paper := light(x, y)
			tinted[y*w+x] = inside(x, y) > 1 && paper-float64(r.pix[y*w+x]) > contrast*paper
		}
	}
	// Without lines of text, which are thinner.
	const thick = 3 // pixels: 4 mm; a text marker draws 5
	core := make([]bool, w*h)
	for y := range h - thick + 1 {
		for x := range w - thick + 1 {
			full := true
			for i := range thick * thick {
				full = full && tinted[(y+i/thick)*w+x+i%thick]
			}
			for i := range thick * thick {
				at := (y+i/thick)*w + x + i%thick
				core[at] = core[at] || full
			}
		}
	}
	var full raster
	if sharp > 0 {
		full = p.raster()
	}
	seen := make([]bool, w*h)
	for at := range core {
		if !core[at] || seen[at] {
			continue
		}
		n, edge := 0, false
		var steep []float64 // where the area ends
		for todo := []int{at}; len(todo) > 0; {
			i := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if seen[i] || !core[i] {
				continue
			}
			seen[i] = true
			n++
			x, y := i%w, i/w
			edge = edge || inside(x, y) < rim
			if sharp > 0 {
				steep = append(steep, full.steepness(x, y, scale, dpi, light(x, y), func(x, y int) bool {
					return x >= 0 && y >= 0 && x < w && y < h && !tinted[y*w+x]
				})...)
			}
			if x > 0 {
				todo = append(todo, i-1)
			}
			if x < w-1 {
				todo = append(todo, i+1)
			}
			if y > 0 {
				todo = append(todo, i-w)
			}
			if y < h-1 {
				todo = append(todo, i+w)
			}
		}
		const mm2 = (25.4 / grid) * (25.4 / grid)
		const hole = 60 // mm²: larger than one that is punched
		// A photograph may fade out on some of its sides.
		if slices.Sort(steep); sharp > 0 && (len(steep) == 0 || steep[len(steep)*3/4] < sharp) {
			continue
		}
		if a := float64(n) * mm2; a > hole && !edge || a > 2500 {
			area += a
		}
	}
	return area, nil
}

// steepness tells how steep the edges of an area are beside one of its cells of
// size pixels, towards the cells that are paper: in its contrast to the paper for two
// millimetres. The mean across a third of a cell has little noise, and leaves the edge of what is
// round sharp.
func (r *raster) steepness(x, y int, size, dpi, paper float64, isPaper func(x, y int) bool) []float64 {
	var list []float64
	for _, d := range [][2]int{{1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
		if !isPaper(x+d[0], y+d[1]) {
			continue
		}
		// From the middle of the cell behind this one to that of the second before it.
		cx, cy := (float64(x)+0.5)*size, (float64(y)+0.5)*size
		profile := make([]float64, 0, int(3*size))
		for i := -size; i < 2*size; i++ {
			var sum, n float64
			for k := -size / 6; k < size/6; k++ {
				px, py := int(cx+i*float64(d[0])+k*float64(d[1])), int(cy+i*float64(d[1])+k*float64(d[0]))
				if px >= 0 && py >= 0 && px < r.w && py < r.h {
					sum, n = sum+float64(r.pix[py*r.w+px]), n+1
				}
			}
			if n > 0 {
				profile = append(profile, sum/n)
			}
		}
		best := 0.0
		for i := 2; i < len(profile); i++ {
			best = max(best, profile[i]-profile[i-2])
		}
		if len(profile) > 0 {
			list = append(list, best*dpi/25.4/max(paper-profile[0], 1))
		}
	}
	return list
}

// light gives the grey of the paper under the light that falls on it, which
// changes over the sheet as a polynomial of the second degree does. counts tells
// which pixels are on the sheet; level is the grey of most of it.
func (r *raster) light(counts func(x, y int) bool, level float64) func(x, y int) float64 {
	u := func(x int) float64 { return 2*float64(x)/float64(r.w) - 1 }
	v := func(y int) float64 { return 2*float64(y)/float64(r.h) - 1 }
	model := [6]float64{level}
	at := func(x, y int) float64 {
		a, b := u(x), v(y)
		return model[0] + model[1]*a + model[2]*b + model[3]*a*a + model[4]*a*b + model[5]*b*b
	}
	// What is far from the model is not paper; the model becomes better each time.
	for _, far := range []float64{60, 35, 20, 12, 12} {
		var m [6][7]float64
		for y := range r.h {
			for x := range r.w {
				g := float64(r.pix[y*r.w+x])
				if math.Abs(g-at(x, y)) > far || !counts(x, y) {
					continue
				}
				a, b := u(x), v(y)
				f := [6]float64{1, a, b, a * a, a * b, b * b}
				for i := range f {
					for j := range f {
						m[i][j] += f[i] * f[j]
					}
					m[i][6] += f[i] * g
				}
			}
		}
		if m[0][0] < 0.1*float64(r.w*r.h) {
			break // too little is paper to tell
		}
		if next, ok := solve(m); ok {
			model = next
		}
	}
	return at
}

// solve solves six linear equations by elimination.
func solve(m [6][7]float64) (x [6]float64, ok bool) {
	const n = 6
	for i := range n {
		best := i
		for j := i + 1; j < n; j++ {
			if math.Abs(m[j][i]) > math.Abs(m[best][i]) {
				best = j
			}
		}
		if m[i], m[best] = m[best], m[i]; math.Abs(m[i][i]) < 1e-9 {
			return x, false
		}
		for j := range n {
			if j == i {
				continue
			}
			f := m[j][i] / m[i][i]
			for k := i; k <= n; k++ {
				m[j][k] -= f * m[i][k]
			}
		}
	}
	for i := range n {
		x[i] = m[i][n] / m[i][i]
	}
	return x, true
}

// raster copies an 8-bit image.
func (p *Pix) raster() raster {
	r := raster{w: p.Width(), h: p.Height(), pix: make([]uint8, p.Width()*p.Height())}
	C.lept_copy(p.p, (*C.uchar)(unsafe.SliceData(r.pix)))
	return r
}

// A raster is an 8-bit image.
type raster struct {
	w, h int
	pix  []uint8
}

// from gives the pixel that is depth pixels in from a side, at along.
func (r *raster) from(side, along, depth int) float64 {
	switch side {
	case Right:
		return float64(r.pix[along*r.w+r.w-1-depth])
	case Top:
		return float64(r.pix[depth*r.w+along])
	case Bottom:
		return float64(r.pix[(r.h-1-depth)*r.w+along])
	}
	return float64(r.pix[along*r.w+depth])
}

// findSheet looks for the paper in r, which shows an image of width by height.
func findSheet(r raster, width, height int) Sheet {
	s := Sheet{Skew: math.NaN(), Level: 255}
	s.Edges = [4]Edge{
		Left: {A: 1, C: -1}, Right: {A: -1, C: -float64(width) - 1},
		Top: {B: 1, C: -1}, Bottom: {B: -1, C: -float64(height) - 1},
	}
	if least := 40; r.w < least || r.h < least { // too small for a bed to show
		return s
	}
	s.Level = int(paper(&r))
	sx, sy := float64(width)/float64(r.w), float64(height)/float64(r.h)
	var skews []float64
	for side := range 4 {
		at, slope, bed, dark, ok := r.edge(side, float64(s.Level))
		if !ok { // there may be a shadow all the same, which does not tell how the sheet lies
			at, slope, bed = 0, 0, 0
		}
		shadow := r.shadow(side, at, slope, float64(s.Level))
		if !ok && shadow == 0 {
			continue
		}
		at += shadow
		e := Edge{Seen: true, Dark: dark, Bed: int(math.Round(bed))}
		// depth = at + slope*along, in pixels of r.
		var skew float64
		switch side {
		case Left:
			e.A, e.B, e.C = 1/sx, -slope/sy, at
			skew = -slope * sx / sy
		case Right:
			e.A, e.B, e.C = -1/sx, -slope/sy, at-float64(r.w)
			skew = slope * sx / sy
		case Top:
			e.A, e.B, e.C = -slope/sx, 1/sy, at
			skew = slope * sy / sx
		case Bottom:
			e.A, e.B, e.C = -slope/sx, -1/sy, at-float64(r.h)
			skew = -slope * sy / sx
		}
		if ok {
			skews = append(skews, skew)
		}
		n := math.Hypot(e.A, e.B)
		e.A, e.B, e.C = e.A/n, e.B/n, e.C/n
		s.Edges[side] = e
	}
	if dark, ok := r.darkPaper(&s, sx, sy); ok {
		whole := findSheet(raster{}, width, height)
		whole.Level = dark
		return whole
	}
	if len(skews) > 0 {
		slices.Sort(skews)
		s.Skew = math.Atan(skews[len(skews)/2]) * 180 / math.Pi
	}
	return s
}

// darkPaper tells a dark sheet with light boxes in its middle, which look like a light
// sheet on a dark bed: what lies all round is much of what would be the sheet, too, and
// light print stands on it. It gives the grey of the sheet. sx and sy are pixels of the
// image in one of r.
func (r *raster) darkPaper(s *Sheet, sx, sy float64) (level int, ok bool) {
	const (
		all     = 0.8 // of the sides of the image
		most    = 0.3 // of the sheet: a light one has less on it that is as dark as the bed
		like    = 20  // grey levels
		fewest  = 12  // pieces of print
		highest = 8   // pixels: print of 9 pt is two high, large one eight
	)
	var rim []float64
	for side := range 4 {
		for i := range []int{Left: r.h, Right: r.h, Top: r.w, Bottom: r.w}[side] {
			rim = append(rim, r.from(side, i, 1))
		}
	}
	slices.Sort(rim)
	level = int(rim[len(rim)/2])
	dark := func(at int) bool { return max(int(r.pix[at]), level)-min(int(r.pix[at]), level) <= like }
	if level >= s.Level-darker || rim[int(all*float64(len(rim)))] > float64(level+like) {
		return 0, false
	}
	n, low := 0, 0
	for y := range r.h {
		for x := range r.w {
			on := true
			for _, e := range s.Edges {
				on = on && e.A*float64(x)*sx+e.B*float64(y)*sy > e.C
			}
			if !on {
				continue
			}
			n++
			if dark(y*r.w + x) {
				low++
			}
		}
	}
	if float64(low) < most*float64(n) {
		return 0, false
	}
	light := func(at int) bool { return int(r.pix[at]) > level+darker }
	pieces := 0
	seen := make([]bool, len(r.pix))
	for at := range r.pix {
		if seen[at] || !light(at) {
			continue
		}
		top, bottom := r.h, 0
		for todo := []int{at}; len(todo) > 0; {
			i := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if seen[i] || !light(i) {
				continue
			}
			seen[i] = true
			x, y := i%r.w, i/r.w
			top, bottom = min(top, y), max(bottom, y)
			if x > 0 {
				todo = append(todo, i-1)
			}
			if x < r.w-1 {
				todo = append(todo, i+1)
			}
			if y > 0 {
				todo = append(todo, i-r.w)
			}
			if y < r.h-1 {
				todo = append(todo, i+r.w)
			}
		}
		// at is the first pixel of the piece from the top: what is above it is around it.
		const above = 2
		if h := bottom - top + 1; h > 1 && h <= highest && top >= above && dark(at-above*r.w) {
			pieces++
		}
	}
	return level, pieces >= fewest
}

// paper gives the grey of most of the middle of r: that of the paper, unless it
// is printed all over.
func paper(r *raster) float64 {
	var count [256]int
	n := 0
	for y := r.h / 5; y < r.h-r.h/5; y++ {
		for x := r.w / 5; x < r.w-r.w/5; x++ {
			count[r.pix[y*r.w+x]]++
			n++
		}
	}
	for v, seen := 0, 0; v < 256; v++ {
		if seen += count[v]; 10*seen >= 6*n {
			return float64(v)
		}
	}
	return 255
}

// The bounds of an edge.
const (
	steepest   = 0.21 // 12 degrees
	darker     = 45   // grey levels by which a dark bed differs from the paper at least
	unlike     = 4    // by which a white one does
	edgeOnLine = 0.85 // part of the lines across an edge that agree on it
	shortest   = 25 * sheetDPI / 25.4
)

// edge looks for the edge of the sheet at a side: at depth at + slope*along. It
// is seen where what lies beyond it, the bed, is all alike and unlike the paper. bed is the grey
// of that, 0 if there is too little of it to tell.
func (r *raster) edge(side int, level float64) (at, slope, bed float64, dark, ok bool) {
	length, reach := r.h, r.w
	if side >= Top {
		length, reach = r.w, r.h
	}
	rim := make([]float64, length)
	for i := range rim {
		rim[i] = (r.from(side, i, 1) + r.from(side, i, 2)) / 2
	}
	sorted := slices.Clone(rim)
	slices.Sort(sorted)
	bed = sorted[length/2]
	// Where the sheet touches the side there is no bed; the bed is what is there
	// otherwise, which may be less than half of it.
	if low := sorted[length/8]; level-low > darker && level-bed <= darker {
		bed = low
	}
	dark = level-bed > darker
	// A bed that differs more from the paper may be less even.
	limit := max(unlike, math.Abs(level-bed)/2)
	if math.Abs(level-bed) < unlike {
		return 0, 0, 0, false, false // nobody can tell the one from the other
	}
	// The depth at which each line across the side leaves the bed.
	var depths [][2]float64
	lighter := level-bed > 2*unlike // then the shadow of the paper's edge is none of it
	for i := 1; i < length-1; i++ {
		if math.Abs(rim[i]-bed) > math.Max(limit/2, 3) {
			continue
		}
		for d := 2; d < reach*6/10; d++ {
			off := r.from(side, i, d) - bed
			next := r.from(side, i, min(d+1, reach-1)) - bed
			if lighter && off > limit && next > limit || !lighter && math.Abs(off) > limit && math.Abs(next) > limit {
				depths = append(depths, [2]float64{float64(i), float64(d) - part(r.from(side, i, d-1)-bed, off, limit)})
				break
			}
		}
	}
	if float64(len(depths)) < shortest {
		return 0, 0, 0, false, false
	}
	at, slope, inliers := fit(depths)
	if math.Abs(slope) > steepest || float64(inliers) < shortest {
		return 0, 0, 0, false, false
	}
	// All lines that lie between the ends of the edge must agree, or it is the
	// margin of some text.
	first, last, agree := length, 0, 0
	for _, p := range depths {
		if math.Abs(p[1]-at-slope*p[0]) <= 1.5 {
			first, last = min(first, int(p[0])), max(last, int(p[0]))
			agree++
		}
	}
	if float64(agree) < edgeOnLine*float64(last-first+1) || float64(last-first) < 0.5*float64(len(depths)) {
		return 0, 0, 0, false, false
	}
	deep := at + slope*float64(length)/2
	if dark { // a wedge, where the sheet lies askew on a bed of its own size
		deep = max(at+slope*float64(first), at+slope*float64(last))
	}
	if deep < 1.5 { // thinner than anybody would mind
		return 0, 0, 0, false, false
	}
	// The paper within is unlike the bed, between its lines too.
	const in = 2 * sheetDPI / 25 // 2 mm
	var within []float64
	for i := first; i <= last; i++ {
		if d := int(at+slope*float64(i)) + in; d >= 0 && d < reach {
			within = append(within, r.from(side, i, d))
		}
	}
	slices.Sort(within)
	if len(within) == 0 || math.Abs(within[len(within)*3/4]-bed) < limit*0.75 {
		return 0, 0, 0, false, false
	}
	// Its own grey is that at the side, where a wedge is broadest.
	var alone []float64
	for i := first; i <= last; i++ {
		if at+slope*float64(i) > 3 {
			alone = append(alone, r.from(side, i, 0))
		}
	}
	if bed = 0; len(alone) > 0 {
		slices.Sort(alone)
		bed = max(alone[len(alone)/2], 1)
	}
	return at, slope, bed, dark, true
}

// shadow gives how many pixels behind an edge of the sheet, at depth at + slope*along from
// a side, its shadow ends, or 0: along nearly all of it the sheet is darker there than its
// paper, and the darker the nearer. It may be a hairline. A wedge of the bed is none.
func (r *raster) shadow(side int, at, slope, level float64) float64 {
	const (
		reach  = 6   // pixels: 2.5 mm
		all    = 0.8 // part of the edge
		darker = 12  // grey levels at the edge
		like   = 5   // grey levels that the paper behind it may be off the sheet's
		light  = 150 // on a darker sheet nobody could tell one
	)
	length, across := r.h, r.w
	if side >= Top {
		length, across = r.w, r.h
	}
	line := make([]float64, 0, length)
	var profile, dark [reach + 2]float64 // the middle level at each depth, and the one of which nearly all are no darker
	var lightest float64                 // of which at the edge nearly all are no lighter
	for d := range profile {
		line = line[:0]
		for i := range length {
			if depth := int(at+slope*float64(i)) + d; depth >= 0 && depth < across {
				line = append(line, r.from(side, i, depth))
			}
		}
		if len(line) < length/2 {
			return 0
		}
		slices.Sort(line)
		profile[d], dark[d] = line[len(line)/2], line[int((1-all)*float64(len(line)))]
		if d == 0 {
			lightest = line[int(all*float64(len(line)))]
		}
	}
	paper := profile[reach+1]
	if level < light || math.Abs(paper-level) > 2*like || paper-lightest < darker {
		return 0
	}
	for d := 1; d <= reach; d++ {
		if profile[d] < profile[d-1] {
			return 0
		}
		if paper-dark[d] < 2*like && paper-profile[d] < like {
			return float64(d)
		}
	}
	return 0
}

// part gives how far before the second of two neighbours the limit was passed.
func part(before, after, limit float64) float64 {
	if limit = math.Copysign(limit, after); after == before {
		return 0
	}
	return min(max((after-limit)/(after-before), 0), 1)
}

// fit finds the line on which most points lie to a pixel, and how many do.
func fit(points [][2]float64) (at, slope float64, inliers int) {
	count := func(a, s float64) int {
		n := 0
		for _, p := range points {
			if math.Abs(p[1]-a-s*p[0]) <= 1 {
				n++
			}
		}
		return n
	}
	step := max(len(points)/24, 1)
	for i := 0; i < len(points); i += step {
		for j := i + len(points)/4; j < len(points); j += step {
			if points[j][0] == points[i][0] {
				continue
			}
			s := (points[j][1] - points[i][1]) / (points[j][0] - points[i][0])
			a := points[i][1] - s*points[i][0]
			if n := count(a, s); n > inliers {
				at, slope, inliers = a, s, n
			}
		}
	}
	// The mean line of those.
	var n, sx, sy, sxx, sxy float64
	for _, p := range points {
		if math.Abs(p[1]-at-slope*p[0]) <= 1.5 {
			n, sx, sy = n+1, sx+p[0], sy+p[1]
			sxx, sxy = sxx+p[0]*p[0], sxy+p[0]*p[1]
		}
	}
	if det := n*sxx - sx*sx; det > 1e-6 {
		slope = (n*sxy - sx*sy) / det
		at = (sy - slope*sx) / n
	}
	return at, slope, inliers
}
