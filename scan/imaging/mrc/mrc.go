// Package mrc takes a scanned page apart into layers that are small together:
// print and handwriting as sharp black-and-white stencils, each filled with one
// colour; photographs as JPEG; and what is under both, the paper with its tint
// and shadows, as one colour or as a JPEG of low resolution. PDF calls this mixed
// raster content.
//
// The separation is judged by what it loses: where ink of one colour on smooth
// paper is not what was scanned, the page is taken for a photograph there. So a
// wrong guess costs bytes, not content. All pixels come from outside and are only
// ever compared and added up here.
package mrc

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"docscan/scan/imaging"
	"docscan/scan/imaging/jbig2"
)

// A Kind is what a layer is.
type Kind string

// The kinds of layers.
const (
	Fill    Kind = "fill"    // one colour all over
	Picture Kind = "picture" // a JPEG
	Stencil Kind = "stencil" // JBIG2, one colour where it is black, nothing elsewhere
)

// A Layer is laid over those before it.
type Layer struct {
	Kind Kind
	// X, Y, Width and Height are where it lies, in pixels of the page from its
	// upper left corner. It can reach beyond the page's right and lower edge.
	X, Y, Width, Height float64
	Color               [3]uint8 // sRGB, of a Fill or Stencil
	Columns, Rows       int      // pixels of its own, of a Picture or Stencil
	Colors              int      // components of a Picture: 1 or 3
	Data                []byte   // of a Picture or Stencil
}

// Options say how much may be lost.
type Options struct {
	// Quality is that of JPEG, 1 to 100, of photographs and of the paper.
	PhotoQuality, PaperQuality int
	// Gray leaves colours out.
	Gray bool
	// Paper leaves nearly white paper as it is; otherwise it becomes white.
	Paper bool
	// Shine is the mean contrast, 0 to 1 of the paper's light, of what is seen through
	// the paper; 0 for nothing. Marks that are no darker are no ink: they stay part
	// of the paper, and as soft as they are.
	Shine float64
	// Negative says that the paper is dark: what is lighter is ink.
	Negative bool
	// Soft are places, on the page after its turn, where ink keeps its soft edges: it is
	// hard to read, and without them would be harder.
	Soft []image.Rectangle
	// Turn is how far the page is to be turned clockwise about its middle before
	// it is taken apart, in degrees, less than 45. Stencils are to be straight:
	// viewers draw others with ragged edges, and they are larger.
	Turn float64
	// Sheet is where the paper lies on the page after its turn. The bed around it, of which nobody
	// sees anything, becomes paper; it would be a photograph. Empty: all is paper.
	Sheet image.Rectangle
}

// Balanced keeps all that a reader of the page sees.
func Balanced() Options { return Options{PhotoQuality: 62, PaperQuality: 45} }

// Smallest keeps all that is to be read.
func Smallest() Options { return Options{PhotoQuality: 40, PaperQuality: 30} }

// The sizes of things in pixels. A page is worked on at leastDPI to mostDPI.
const (
	block = 8  // of the map of thresholds
	cell  = 4  // of the paper: 75 dpi of 300
	photo = 2  // of a photograph: 150 dpi of 300; 1 where that were too coarse
	tile  = 16 // that is print or photograph as a whole
)

// Size of what is worked on, in dots per inch.
const leastDPI, mostDPI = 190, 450

// leastPhotoDPI is the resolution that photographs keep at least, but for rounding.
const leastPhotoDPI = 145

// ErrResolution says that a page is too coarse for stencils, or too fine.
var ErrResolution = errors.New("the resolution does not suit layers")

// Reduction gives the fraction 1/n at which a page of dpi is to be decoded for
// Separate.
func Reduction(dpi int) int {
	n := 1
	for n < 8 && dpi/n > mostDPI {
		n *= 2
	}
	return n
}

// Separate takes p apart, which was scanned with dpi and decoded at
// 1/Reduction(dpi) of its size. The layers are placed on a page of width by
// height pixels. p is closed as soon as it is not needed, for a small box is short of memory.
func Separate(p *imaging.Planes, width, height, dpi int, o Options) ([]Layer, error) {
	s, err := newSeparation(p, width, height, dpi, o)
	if err != nil {
		return nil, err
	}
	layers, inks, err := s.take()
	if err != nil {
		return nil, err
	}
	for _, ink := range inks {
		l, err := s.stencilOf(ink)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	return layers, nil
}

// stencilOf makes a layer of an ink.
func (s *separation) stencilOf(i ink) (Layer, error) {
	data, err := jbig2.Encode(i.bits)
	if err != nil {
		return Layer{}, err
	}
	return s.place(Layer{Kind: Stencil, Color: s.rgb(i.color), Columns: i.bits.Width, Rows: i.bits.Height, Data: data}, i.x, i.y, 1), nil
}

// newSeparation turns p straight and brings it to a size to work on.
func newSeparation(p *imaging.Planes, width, height, dpi int, o Options) (*separation, error) {
	dpi /= Reduction(dpi)
	luminance, cb, cr := p.Y, p.Cb, p.Cr
	if o.Gray {
		cb, cr = nil, nil
	}
	if o.Negative {
		luminance = inverted(luminance)
		if cb != nil {
			cb, cr = inverted(cb), inverted(cr)
		}
	}
	if o.Turn != 0 {
		luminance = luminance.Turn(o.Turn)
		if cb != nil {
			cb, cr = cb.Turn(o.Turn), cr.Turn(o.Turn)
		}
	}
	if dpi < leastDPI {
		// Stencils have no grey to smooth their edges: they need more pixels.
		luminance = doubled(luminance)
		dpi *= 2
	}
	if dpi < leastDPI || dpi > mostDPI {
		return nil, fmt.Errorf("%w: %d dpi", ErrResolution, dpi)
	}
	if luminance.Width < 4*tile || luminance.Height < 4*tile {
		return nil, fmt.Errorf("%w: %d x %d pixels", ErrResolution, p.Y.Width, p.Y.Height)
	}
	s := &separation{
		y: luminance, w: luminance.Width, h: luminance.Height, dpi: dpi, options: o,
		scaleX: float64(width) / float64(luminance.Width), scaleY: float64(height) / float64(luminance.Height),
	}
	if cb != nil {
		s.cb, s.cr = halved(cb, s.w, s.h), halved(cr, s.w, s.h)
	}
	s.coverBed()
	if o.Negative || o.Turn != 0 { // all of it has been copied
		p.Close()
	}
	return s, nil
}

// coverBed makes all that lies around the sheet paper.
func (s *separation) coverBed() {
	r := s.options.Sheet
	for _, p := range []*imaging.Plane{s.y, s.cb, s.cr} {
		if p == nil || r.Empty() {
			continue
		}
		sx, sy := float64(p.Width)/(s.scaleX*float64(s.w)), float64(p.Height)/(s.scaleY*float64(s.h))
		cover(p, image.Rect(int(float64(r.Min.X)*sx), int(float64(r.Min.Y)*sy), int(math.Ceil(float64(r.Max.X)*sx)), int(math.Ceil(float64(r.Max.Y)*sy))))
	}
}

// cover gives what lies around r the levels that the paper has beside it.
func cover(p *imaging.Plane, r image.Rectangle) {
	const in, n = 4, 24 // pixels: behind the shadow of the edge, and so many that print has fewer
	r = r.Intersect(image.Rect(0, 0, p.Width, p.Height))
	if r.Dx() < 2*(in+n) || r.Dy() < 2*(in+n) {
		return
	}
	var list [n]uint8
	level := func(at func(i int) uint8) uint8 {
		for i := range list {
			list[i] = at(in + i)
		}
		slices.Sort(list[:])
		return list[n/2]
	}
	fill := func(row []uint8, v uint8) {
		for i := range row {
			row[i] = v
		}
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := p.Row(y)
		fill(row[:r.Min.X], level(func(i int) uint8 { return row[r.Min.X+i] }))
		fill(row[r.Max.X:], level(func(i int) uint8 { return row[r.Max.X-1-i] }))
	}
	above, below := make([]uint8, p.Width), make([]uint8, p.Width)
	for x := range above {
		above[x] = level(func(i int) uint8 { return p.Row(r.Min.Y + i)[x] })
		below[x] = level(func(i int) uint8 { return p.Row(r.Max.Y - 1 - i)[x] })
	}
	for y := range p.Height {
		switch {
		case y < r.Min.Y:
			copy(p.Row(y), above)
		case y >= r.Max.Y:
			copy(p.Row(y), below)
		}
	}
}

// inverted gives p with light and dark, and each colour and its opposite,
// exchanged.
func inverted(p *imaging.Plane) *imaging.Plane {
	out := imaging.NewPlane(p.Width, p.Height)
	for y := range p.Height {
		to := out.Row(y)
		for x, v := range p.Row(y) {
			to[x] = 255 - v
		}
	}
	return out
}

// rgb gives a colour of the page as it was scanned.
func (s *separation) rgb(c color) [3]uint8 {
	out := c.rgb()
	if s.options.Negative {
		for i := range out {
			out[i] = 255 - out[i]
		}
	}
	return out
}

// take gives the layers under the ink, and the ink.
func (s *separation) take() ([]Layer, []ink, error) {
	if err := s.thresholds(); err != nil {
		return nil, nil, err
	}
	s.stencil()
	s.even()
	s.thin()
	s.near = grown(s.mask, blur)
	s.softPlaces()
	s.faint()
	s.findRules()
	s.rims()
	s.trim()
	s.form = nil
	s.near = grown(s.mask, blur)
	s.core = shrunk(s.mask)
	drawn := s.draw()
	if s.findPictures(drawn) {
		s.near = grown(s.mask, blur)
		s.core = shrunk(s.mask)
		drawn = s.draw()
	}
	if s.lit = s.evenLight(); s.lit {
		drawn = s.draw()
	}
	layers, tints, err := s.ground()
	if err != nil {
		return nil, nil, err
	}
	inks := s.inks(drawn)
	return layers, slices.Concat(tints, s.softEdges(inks), inks), nil
}

// A separation is a page on its way into layers.
type separation struct {
	y              *imaging.Plane
	cb, cr         *imaging.Plane // half as wide and high as y; nil for grey
	w, h, dpi      int
	options        Options
	scaleX, scaleY float64 // pixels of the page for one here

	low, high *imaging.Plane // by block: its extremes
	light     *imaging.Plane // by block: the lightest around it, which is paper
	threshold *imaging.Plane // by block: ink is darker than this
	noise     int            // grey levels between the extremes of empty paper
	form      *imaging.Plane // y, with less noise where it has much; nil once ink is told from paper
	formNoise int            // noise of form
	seen      uint8          // grey levels of contrast up to which marks are those of the other side
	mask      *jbig2.Bitmap  // ink
	near      *jbig2.Bitmap  // ink and what it blurs
	core      *jbig2.Bitmap  // ink without its edges
	rules     *jbig2.Bitmap  // of ink, what is the lines' that print stands on; nil for nothing
	soft      *jbig2.Bitmap  // where ink keeps its soft edges; nil for nowhere
	lit       bool           // uneven light has been taken out of it
	picture   []bool         // by tile
	pictures  []area         // in tiles
	paper     color          // as the layers have it
	whiten    color          // what is to be white; 0 for nothing
}

// tiles gives the size of the page in tiles.
func (s *separation) tiles() (across, down int) {
	return (s.w + tile - 1) / tile, (s.h + tile - 1) / tile
}

// place puts l, whose pixels are of the given size, at x, y.
func (s *separation) place(l Layer, x, y, size int) Layer {
	l.X, l.Y = float64(x)*s.scaleX, float64(y)*s.scaleY
	l.Width, l.Height = float64(l.Columns*size)*s.scaleX, float64(l.Rows*size)*s.scaleY
	return l
}

// halved gives p, a plane of colour, with a pixel for each 2 x 2 of an image of w
// by h.
func halved(p *imaging.Plane, w, h int) *imaging.Plane {
	cw, ch := (w+1)/2, (h+1)/2
	if p.Width == cw && p.Height == ch {
		return p
	}
	out := imaging.NewPlane(cw, ch)
	for y := range ch {
		row, from := out.Row(y), p.Row(y*p.Height/ch)
		below := p.Row(min(y*p.Height/ch+p.Height/(2*ch), p.Height-1))
		for x := range row {
			i := x * p.Width / cw
			j := min(i+p.Width/(2*cw), p.Width-1)
			row[x] = uint8((int(from[i]) + int(from[j]) + int(below[i]) + int(below[j]) + 2) / 4)
		}
	}
	return out
}

// doubled gives p with four pixels for each, between it and its neighbours.
func doubled(p *imaging.Plane) *imaging.Plane {
	out := imaging.NewPlane(2*p.Width, 2*p.Height)
	for y := range out.Height {
		a := p.Row(y / 2)
		b := p.Row(min(max(y/2+y%2*2-1, 0), p.Height-1))
		to := out.Row(y)
		for x := range a {
			l, r := max(x-1, 0), min(x+1, p.Width-1)
			here := 3*int(a[x]) + int(b[x])
			to[2*x] = uint8((3*here + 3*int(a[l]) + int(b[l]) + 8) / 16)
			to[2*x+1] = uint8((3*here + 3*int(a[r]) + int(b[r]) + 8) / 16)
		}
	}
	return out
}

// A color is luminance and colour as JFIF has them.
type color struct{ y, cb, cr int }

// rgb gives sRGB.
func (c color) rgb() [3]uint8 {
	clamp := func(v int) uint8 { return uint8(min(max((v+500)/1000, 0), 255)) }
	y, cb, cr := 1000*c.y, c.cb-128, c.cr-128
	return [3]uint8{clamp(y + 1402*cr), clamp(y - 344*cb - 714*cr), clamp(y + 1772*cb)}
}
