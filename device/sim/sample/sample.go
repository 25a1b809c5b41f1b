// Package sample draws a stack of office paper for the simulated scanner:
// letters, an invoice, a receipt, an article, blank backs and a page that lies
// upside down, with the grain, shadows and skew that scans have. Names and texts
// are invented and free for any use (CC0). What was drawn is known, so that the
// text read from it can be scored.
package sample

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/f64"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
	"golang.org/x/sync/errgroup"

	xdraw "golang.org/x/image/draw"
)

// A Sheet is one piece of paper: its front and, in a duplex stack, its back.
type Sheet struct {
	Sides []Side
}

// A Side is one side of a sheet.
type Side struct {
	Name string // of its file, without the number and the ending
	Text string // what stands on it, in reading order; empty: blank
	draw func(dpi int) (image.Image, error)
}

// Draw draws the side at dpi dots per inch, as it comes from the scanner.
func (s Side) Draw(dpi int) (image.Image, error) { return s.draw(dpi) }

// Stack gives the sheets in feed order; without duplex they have fronts only.
func Stack(duplex bool) []Sheet {
	sheets := make([]Sheet, 0, len(papers))
	for i, p := range papers {
		sheet := Sheet{Sides: []Side{p.front.side(uint64(2*i), paper{})}}
		if duplex {
			sheet.Sides = append(sheet.Sides, p.back.side(uint64(2*i+1), p.front))
		}
		sheets = append(sheets, sheet)
	}
	return sheets
}

// quality is that of the JPEGs: what a scanner's own encoder commonly uses.
const quality = 85

// Write draws the duplex stack into dir at dpi dots per inch, one file for each
// side, named so that their order is the feed order. It makes dir if need be,
// and does nothing if there are files in it already: they may be a person's.
// The files come all at once, so that no folder is ever seen half full.
func Write(dir string, dpi int) error {
	if err := write(filepath.Clean(dir), dpi); err != nil {
		return fmt.Errorf("draw the sample stack: %w", err)
	}
	return nil
}

func write(dir string, dpi int) error {
	have, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(have) > 0 {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	work, err := os.MkdirTemp(parent, ".sample-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0)) // a page takes some 120 MB while it is drawn
	for i, sheet := range Stack(true) {
		for j, side := range sheet.Sides {
			name := fmt.Sprintf("%02d%c-%s.jpg", i+1, "ab"[j], side.Name)
			g.Go(func() error { return writeSide(filepath.Join(work, name), side, dpi) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// Remove refuses a folder that has been filled in the meantime.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(work, dir)
}

func writeSide(path string, side Side, dpi int) error {
	img, err := side.Draw(dpi)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := jpeg.Encode(f, img, &jpeg.Options{Quality: quality}); err != nil {
		return err
	}
	return f.Close()
}

// A paper is one side before it is scanned. Lengths are in millimetres.
type paper struct {
	name          string
	width, height float64
	blocks        []block
	symbols       []symbol
	pen           []stroke
	penInk        color.RGBA // none: blue
	skew          float64    // clockwise, degrees
	turned        bool       // lies upside down in the feeder
	tint          color.RGBA
	picture       image.Rectangle // a photograph there, millimetres; only drawn by conditions
}

// A block is text set in one column.
type block struct {
	x, y    float64        // of the first baseline
	size    float64        // of the type, points
	leading float64        // in type sizes; 0: 1.4
	face    string         // regular, bold or mono
	font    *opentype.Font // instead of face
	ink     color.RGBA
	text    string    // lines end where they end; tabs go to the next of stops
	stops   []float64 // where a cell starts or, if it is negative, ends
	rule    float64   // draws a line of this length under the block's last line
	mark    bool      // is a filled box of rule x size mm instead (a logo)
}

// A stroke is a line drawn by hand through these points, x and y in turn.
type stroke []float64

// text is what stands on a paper, block by block.
func (p paper) text() string {
	var parts []string
	for _, b := range p.blocks {
		if b.text != "" {
			parts = append(parts, strings.ReplaceAll(b.text, "\t", " "))
		}
	}
	return strings.Join(parts, "\n")
}

func (p paper) side(seed uint64, behind paper) Side {
	return Side{
		Name: p.name,
		Text: p.text(),
		draw: func(dpi int) (image.Image, error) { return p.scan(dpi, seed, behind) },
	}
}

// scan draws the paper as a scanner sees it: printed, what shines through from
// the other side, turned a little, with uneven light and grain.
func (p paper) scan(dpi int, seed uint64, behind paper) (image.Image, error) {
	front, err := p.print(dpi)
	if err != nil {
		return nil, err
	}
	var through *image.RGBA
	if behind.width > 0 {
		if through, err = behind.print(dpi); err != nil {
			return nil, err
		}
	}
	img := p.turn(front)
	p.light(img, through, dpi, rand.New(rand.NewPCG(seed, 7)))
	return img, nil
}

// pixels converts millimetres.
func pixels(mm float64, dpi int) int { return int(math.Round(mm / 25.4 * float64(dpi))) }

// print gives what the paper's printer and writer have put on it, on pure white.
func (p paper) print(dpi int) (*image.RGBA, error) {
	img := image.NewRGBA(image.Rect(0, 0, pixels(p.width, dpi), pixels(p.height, dpi)))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	for _, b := range p.blocks {
		if err := b.print(img, dpi); err != nil {
			return nil, err
		}
	}
	for _, s := range p.symbols {
		if err := s.print(img, dpi, black); err != nil {
			return nil, err
		}
	}
	penInk := p.penInk
	if penInk.A == 0 {
		penInk = blue
	}
	for _, s := range p.pen {
		s.draw(img, dpi, penInk)
	}
	return img, nil
}

var programs = map[string][]byte{"": goregular.TTF, "regular": goregular.TTF, "bold": gobold.TTF, "mono": gomono.TTF}

func (b block) print(img *image.RGBA, dpi int) error {
	ink := image.NewUniform(b.ink)
	if b.ink.A == 0 {
		ink = image.NewUniform(black)
	}
	if b.mark {
		r := image.Rect(pixels(b.x, dpi), pixels(b.y, dpi), pixels(b.x+b.rule, dpi), pixels(b.y+b.size, dpi))
		draw.Draw(img, r, ink, image.Point{}, draw.Src)
		return nil
	}
	parsed := b.font
	if parsed == nil {
		var err error
		if parsed, err = opentype.Parse(programs[b.face]); err != nil {
			return err
		}
	}
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: b.size, DPI: float64(dpi)})
	if err != nil {
		return err
	}
	defer face.Close()
	leading := b.leading
	if leading == 0 {
		leading = 1.4
	}
	step := leading * b.size / 72 * float64(dpi)
	d := font.Drawer{Dst: img, Src: ink, Face: face}
	y := float64(pixels(b.y, dpi))
	for l := range strings.SplitSeq(b.text, "\n") {
		for i, cell := range strings.Split(l, "\t") {
			x := b.x
			if i > 0 {
				x = b.stops[i-1]
			}
			d.Dot = fixed.P(pixels(math.Abs(x), dpi), int(y))
			if x < 0 {
				d.Dot.X -= d.MeasureString(cell)
			}
			d.DrawString(cell)
		}
		y += step
	}
	if b.rule > 0 {
		at := int(y - step/2)
		r := image.Rect(pixels(b.x, dpi), at, pixels(b.x+b.rule, dpi), at+max(1, dpi/100))
		draw.Draw(img, r, ink, image.Point{}, draw.Src)
	}
	return nil
}

// draw draws s with a ballpoint pen, as a smooth curve (Catmull-Rom) that is
// pressed harder where it goes down.
func (s stroke) draw(img *image.RGBA, dpi int, ink color.RGBA) {
	scale := float64(dpi) / 25.4
	n := len(s) / 2
	var area image.Rectangle
	for i := range n {
		area = area.Union(image.Rect(pixels(s[2*i]-3, dpi), pixels(s[2*i+1]-3, dpi), pixels(s[2*i]+3, dpi), pixels(s[2*i+1]+3, dpi)))
	}
	pen := vector.NewRasterizer(area.Dx(), area.Dy())
	at := func(i int) (x, y float64) {
		i = min(max(i, 0), n-1)
		return s[2*i]*scale - float64(area.Min.X), s[2*i+1]*scale - float64(area.Min.Y)
	}
	const steps = 24 // straight pieces from point to point
	px, py := at(0)
	for i := range n - 1 {
		x0, y0 := at(i - 1)
		x1, y1 := at(i)
		x2, y2 := at(i + 1)
		x3, y3 := at(i + 2)
		for k := 1; k <= steps; k++ {
			t := float64(k) / steps
			curve := func(a, b, c, d float64) float64 {
				return (2*b + t*(c-a) + t*t*(2*a-5*b+4*c-d) + t*t*t*(3*b-a-3*c+d)) / 2
			}
			x, y := curve(x0, x1, x2, x3), curve(y0, y1, y2, y3)
			length := math.Hypot(x-px, y-py)
			if length < 0.01 {
				continue
			}
			half := (0.17 + 0.07*(y-py)/length) * scale
			// A piece is a little longer than it is, so that pieces overlap.
			ux, uy := (x-px)/length*half, (y-py)/length*half
			corner := func(cx, cy, along, across float64) (float32, float32) {
				return float32(cx + along*ux - across*uy), float32(cy + along*uy + across*ux)
			}
			pen.MoveTo(corner(px, py, -0.5, 1))
			pen.LineTo(corner(x, y, 0.5, 1))
			pen.LineTo(corner(x, y, 0.5, -1))
			pen.LineTo(corner(px, py, -0.5, -1))
			pen.ClosePath()
			px, py = x, y
		}
	}
	pen.Draw(img, area, image.NewUniform(ink), image.Point{})
}

// turn lays the paper into the feeder: askew, perhaps upside down.
func (p paper) turn(flat *image.RGBA) *image.RGBA {
	if len(p.blocks)+len(p.symbols) == 0 {
		return flat
	}
	angle := p.skew * math.Pi / 180
	if p.turned {
		angle += math.Pi
	}
	b := flat.Bounds()
	sin, cos := math.Sincos(angle)
	cx, cy := float64(b.Dx())/2, float64(b.Dy())/2
	out := image.NewRGBA(b)
	draw.Draw(out, b, image.White, image.Point{}, draw.Src)
	// Screen coordinates run down, so this turns clockwise about the middle.
	m := f64.Aff3{cos, -sin, cx - cos*cx + sin*cy, sin, cos, cy - sin*cx - cos*cy}
	xdraw.ApproxBiLinear.Transform(out, m, flat, b, xdraw.Src, nil)
	return out
}

// light adds to img what paper and lamp add: a tint, the cloudy look of paper, a
// shadow towards two edges and a sharp one where the paper ends, the other side
// shining through mirrored, and grain.
func (p paper) light(img, through *image.RGBA, dpi int, random *rand.Rand) {
	const (
		shine  = 0.06 // how much of the other side's ink is seen
		shadow = 10.0 // grey levels at the dark edge
		edge   = 60.0 // grey levels at the very edge of the paper
		soft   = 0.7  // millimetres over which that shadow falls to a third
		grain  = 2.5  // standard deviation in grey levels
		cloud  = 0.9  // standard deviation in grey levels
	)
	// Grain costs most of the time; a table of it, entered at random, looks the
	// same.
	var table [4096]float64
	for i := range table {
		table[i] = random.NormFloat64() * grain
	}
	b := img.Bounds()
	width, height := b.Dx(), b.Dy()
	clouds := newClouds(width, height, pixels(1.2, dpi), cloud, random)
	tint := [3]float64{float64(p.tint.R), float64(p.tint.G), float64(p.tint.B)}
	across := make([]float64, width)
	for x := range across {
		across[x] = shadow*math.Abs(float64(x)/float64(width)-0.45)*0.4 + edge*math.Exp(-float64(x)/(soft/25.4*float64(dpi)))
	}
	for y := range height {
		down := float64(y) / float64(height)
		fall := shadow*down*down*0.6 + edge*math.Exp(-float64(height-1-y)/(soft/25.4*float64(dpi)))
		line := img.Pix[y*img.Stride : y*img.Stride+4*width]
		at := random.IntN(len(table))
		paper := clouds.row(y)
		for x := range width {
			seen := 1.0
			if through != nil {
				// Green is what the eye, and a grey scan, goes by.
				seen -= shine * (1 - float64(through.Pix[y*through.Stride+4*(width-1-x)+1])/255)
			}
			add := table[(at+x)&4095] + paper[x] - fall - across[x]
			for c := range 3 {
				v := &line[4*x+c]
				*v = uint8(min(max(tint[c]*seen*float64(*v)/255+add, 0), 255))
			}
		}
	}
}

// clouds are how light and dark the fibres of a paper make it.
type clouds struct {
	cell   int // pixels between points
	points [][]float64
	line   []float64
}

func newClouds(width, height, cell int, deviation float64, random *rand.Rand) *clouds {
	c := &clouds{cell: max(cell, 1), line: make([]float64, width)}
	for range height/c.cell + 2 {
		row := make([]float64, width/c.cell+2)
		for i := range row {
			row[i] = random.NormFloat64() * deviation
		}
		c.points = append(c.points, row)
	}
	return c
}

// row gives one line of pixels; the next call overwrites it.
func (c *clouds) row(y int) []float64 {
	above, below := c.points[y/c.cell], c.points[y/c.cell+1]
	part := float64(y%c.cell) / float64(c.cell)
	for i := range len(above) - 1 {
		v := above[i]*(1-part) + below[i]*part
		step := (above[i+1]*(1-part) + below[i+1]*part - v) / float64(c.cell)
		for x := i * c.cell; x < min((i+1)*c.cell, len(c.line)); x++ {
			c.line[x] = v
			v += step
		}
	}
	return c.line
}
