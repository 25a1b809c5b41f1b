package imaging

import (
	"math"
	"slices"
)

// #include "lept.h"
import "C"

// A Hole is one that was punched: its middle and its radius, in pixels of the image.
type Hole struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
	R float64 `json:"r"`
}

// What punched holes are like: those of ISO 838 (80 mm apart, 12 mm from the edge, 6 mm
// wide), of North America (2 3/4 or 4 1/4 inches, a quarter to 5/16 wide) and of
// Sweden (21 and 70 mm).
var apartHoles = []float64{80, 70, 108, 21}

// mostHoles is how many round dark pieces at one edge can be holes: a punch makes up to
// four. More are the points of a list.
const mostHoles = 4

// Holes looks for punched holes, through which a dark bed is seen, in an 8-bit image. One
// alone is none: only two that lie to each other as punches have them are told from
// print.
func (p *Pix) Holes(dpi float64, s Sheet) ([]Hole, error) {
	const grid = 75 // dpi: a hole has 18 pixels
	width, height := p.Width(), p.Height()
	w, h := int(float64(width)*grid/dpi), int(float64(height)*grid/dpi)
	if w < 64 || h < 64 || w > width || h > height {
		return nil, nil
	}
	small, err := p.Scale(w, h)
	if err != nil {
		return nil, err
	}
	defer small.Close()
	r := small.raster()
	return r.holes(s, float64(width)/float64(w), dpi/25.4), nil
}

// A disc is a round dark piece near an edge of the sheet.
type disc struct {
	x, y, r float64 // pixels of the raster
	edge    int     // the nearest one
	depth   float64 // from it, millimetres
}

// holes finds those in r, of which a pixel is scale pixels of the image, which has unit
// pixels in a millimetre.
func (r *raster) holes(s Sheet, scale, unit float64) []Hole {
	discs := r.discs(s, scale, unit)
	var at [len(s.Edges)]int
	for _, d := range discs {
		at[d.edge]++
	}
	var found []Hole
	for _, a := range discs {
		if at[a.edge] <= mostHoles && slices.ContainsFunc(discs, func(b disc) bool { return a.with(b, scale/unit) }) {
			found = append(found, Hole{(a.x + 0.5) * scale, (a.y + 0.5) * scale, a.r * scale})
		}
	}
	return found
}

// with reports whether two discs lie to each other as punches have them; mm is the size
// of a pixel.
func (a disc) with(b disc, mm float64) bool {
	const off = 2.0 // mm
	distance := math.Hypot(a.x-b.x, a.y-b.y) * mm
	return a.edge == b.edge && math.Abs(a.depth-b.depth) < 2*off && math.Abs(a.r-b.r) < 0.2*a.r &&
		slices.ContainsFunc(apartHoles, func(d float64) bool { return math.Abs(distance-d) < off })
}

// discs finds round dark pieces of the size of punched holes near the edges of the sheet.
func (r *raster) discs(s Sheet, scale, unit float64) []disc {
	const (
		dark, light     = 0.55, 0.75 // of the paper's level
		deepest         = 22.0       // mm from an edge to the far side of a hole
		least, most     = 4.5, 9.0   // mm across
		nearest, farest = 5.0, 18.0  // mm from an edge to its middle
		full, fullest   = 0.70, 0.87 // of its box; a disc has 0.785
		rim             = 1.35       // radii: there is paper
	)
	mm := scale / unit
	depth := func(x, y float64) (edge int, d float64) {
		d = math.Inf(1)
		for i, e := range s.Edges {
			if v := (e.A*(x+0.5)*scale + e.B*(y+0.5)*scale - e.C) / unit; v < d {
				edge, d = i, v
			}
		}
		return edge, d
	}
	level := float64(s.Level)
	is := make([]bool, len(r.pix))
	for y := range r.h {
		for x := range r.w {
			if float64(r.pix[y*r.w+x]) < dark*level {
				_, d := depth(float64(x), float64(y))
				is[y*r.w+x] = d >= 0 && d < deepest
			}
		}
	}
	var list []disc
	for start := range is {
		if !is[start] {
			continue
		}
		x0, y0, x1, y1 := r.w, r.h, 0, 0
		var n, sx, sy float64
		is[start] = false
		for todo := []int{start}; len(todo) > 0; {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			x, y := at%r.w, at/r.w
			x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
			n, sx, sy = n+1, sx+float64(x), sy+float64(y)
			for _, d := range [][2]int{{1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
				if nx, ny := x+d[0], y+d[1]; nx >= 0 && ny >= 0 && nx < r.w && ny < r.h && is[ny*r.w+nx] {
					is[ny*r.w+nx] = false
					todo = append(todo, ny*r.w+nx)
				}
			}
		}
		w, h := float64(x1-x0+1), float64(y1-y0+1)
		if min(w, h)*mm < least || max(w, h)*mm > most || min(w, h) < 0.85*max(w, h) || n < full*w*h || n > fullest*w*h {
			continue
		}
		c := disc{x: sx / n, y: sy / n, r: math.Sqrt(n / math.Pi)}
		if c.edge, c.depth = depth(c.x, c.y); c.depth < nearest || c.depth > farest {
			continue
		}
		paper := 0
		const points = 32
		for i := range points {
			sin, cos := math.Sincos(2 * math.Pi * float64(i) / points)
			x, y := int(math.Round(c.x+rim*c.r*cos)), int(math.Round(c.y+rim*c.r*sin))
			if x < 0 || y < 0 || x >= r.w || y >= r.h || float64(r.pix[y*r.w+x]) > light*level {
				paper++
			}
		}
		if paper >= points-2 {
			list = append(list, c)
		}
	}
	return list
}

// filled is how far a hole is painted over, in radii: its edge throws a shadow.
const filled = 1.28

// Fill paints over holes in p itself, an 8-bit image, with a level of grey.
func (p *Pix) Fill(holes []Hole, level int) error {
	for _, o := range holes {
		if err := p.disc(o, C.l_uint32(level)); err != nil {
			return err
		}
	}
	return nil
}

// Cover paints over holes in p itself, an image of any depth, with the paper around
// them. The holes are in pixels of an image of width.
func (p *Pix) Cover(holes []Hole, width int) error {
	scale := float64(p.Width()) / float64(width)
	for _, o := range holes {
		o = Hole{o.X * scale, o.Y * scale, o.R * scale}
		var around [4][]uint8 // by the bytes of a pixel
		o.around(p.Width(), p.Height(), func(x, y int) {
			var v C.l_uint32
			C.pixGetPixel(p.p, C.l_int32(x), C.l_int32(y), &v) // it is within
			for i := range around {
				around[i] = append(around[i], uint8(v>>(8*i)))
			}
		})
		if len(around[0]) == 0 {
			continue
		}
		var paper C.l_uint32
		for i := range around {
			paper |= C.l_uint32(middle(around[i])) << (8 * i)
		}
		if err := p.disc(o, paper); err != nil {
			return err
		}
	}
	return nil
}

// disc paints over a hole with a pixel.
func (p *Pix) disc(o Hole, pixel C.l_uint32) error {
	reach := filled * o.R
	for y := max(int(o.Y-reach), 0); y <= min(int(o.Y+reach), p.Height()-1); y++ {
		half := math.Sqrt(math.Max(reach*reach-(float64(y)-o.Y)*(float64(y)-o.Y), 0))
		x0, x1 := max(int(o.X-half), 0), min(int(o.X+half), p.Width()-1)
		if x1 < x0 {
			continue
		}
		box := C.boxCreate(C.l_int32(x0), C.l_int32(y), C.l_int32(x1-x0+1), 1)
		failed, err := C.pixSetInRectArbitrary(p.p, box, pixel)
		C.boxDestroy(&box)
		if failed != 0 {
			return failure("paint over a hole", err)
		}
	}
	return nil
}

// around calls see for points of the paper around a hole that are within an image.
func (o Hole) around(width, height int, see func(x, y int)) {
	const points = 64
	for i := range points {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / points)
		for _, far := range []float64{1.4, 1.6} { // radii
			if x, y := int(o.X+far*o.R*cos), int(o.Y+far*o.R*sin); x >= 0 && y >= 0 && x < width && y < height {
				see(x, y)
			}
		}
	}
}

// middle gives the median of list, which it sorts.
func middle(list []uint8) uint8 {
	slices.Sort(list)
	return list[len(list)/2]
}

// Fill paints over holes in p itself with the paper around them. The holes are in pixels
// of an image of width.
func (p *Planes) Fill(holes []Hole, width int) {
	for _, plane := range []*Plane{p.Y, p.Cb, p.Cr} {
		if plane == nil {
			continue
		}
		scale := float64(plane.Width) / float64(width)
		for _, o := range holes {
			plane.fill(Hole{o.X * scale, o.Y * scale, o.R * scale})
		}
	}
}

// fill paints over a hole with the median of what is around it.
func (p *Plane) fill(o Hole) {
	var around []uint8
	o.around(p.Width, p.Height, func(x, y int) { around = append(around, p.Row(y)[x]) })
	if len(around) == 0 {
		return
	}
	paper := middle(around)
	reach := filled * o.R
	for y := max(int(o.Y-reach), 0); y <= min(int(o.Y+reach), p.Height-1); y++ {
		half := math.Sqrt(math.Max(reach*reach-(float64(y)-o.Y)*(float64(y)-o.Y), 0))
		for x := max(int(o.X-half), 0); x <= min(int(o.X+half), p.Width-1); x++ {
			p.Row(y)[x] = paper
		}
	}
}
