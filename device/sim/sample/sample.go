// Package sample draws a stack of office paper for the simulated scanner:
// letters, an invoice, a receipt, an article, blank backs and a page that lies
// upside down, with the grain, shadows and skew that scans have. Names and texts
// are invented and free for any use (CC0). What was drawn is known, so that the
// text read from it can be scored.
package sample

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
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

// Write draws the duplex stack into dir, one file for each side, named so that
// their order is the feed order. It makes dir if need be, and does nothing if
// there are files in it already.
func Write(dir string, dpi int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("draw the sample stack: %w", err)
	}
	have, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("draw the sample stack: %w", err)
	}
	if len(have) > 0 {
		return nil
	}
	// A folder that is only half full must not look like a whole one.
	work, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".sample-*")
	if err != nil {
		return fmt.Errorf("draw the sample stack: %w", err)
	}
	defer os.RemoveAll(work)
	var names []string
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0)) // a page takes some 80 MB while it is drawn
	for i, sheet := range Stack(true) {
		for j, side := range sheet.Sides {
			name := fmt.Sprintf("%02d%c-%s.jpg", i+1, "ab"[j], side.Name)
			names = append(names, name)
			g.Go(func() error { return writeSide(filepath.Join(work, name), side, dpi) })
		}
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("draw the sample stack: %w", err)
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(work, name), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("draw the sample stack: %w", err)
		}
	}
	return nil
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
	skew          float64 // clockwise, degrees
	turned        bool    // lies upside down in the feeder
	tint          color.RGBA
}

// A block is text set in one column.
type block struct {
	x, y    float64 // of the first baseline
	size    float64 // of the type, points
	leading float64 // in type sizes; 0: 1.4
	face    string  // regular, bold or mono
	text    string  // lines end where they end; tabs go to the next of stops
	stops   []float64
	rule    float64 // draws a line of this length under the block's last line
	mark    bool    // is a filled box of rule x size mm instead (a logo)
}

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
	flat := image.NewGray(p.bounds(dpi))
	draw.Draw(flat, flat.Bounds(), image.White, image.Point{}, draw.Src)
	if err := p.print(flat, dpi, color.Gray{Y: 28}); err != nil {
		return nil, err
	}
	var through *image.Gray
	if behind.width > 0 {
		through = image.NewGray(p.bounds(dpi))
		draw.Draw(through, through.Bounds(), image.White, image.Point{}, draw.Src)
		if err := behind.print(through, dpi, color.Gray{Y: 28}); err != nil {
			return nil, err
		}
	}
	return p.light(p.turn(flat), through, seed), nil
}

func (p paper) bounds(dpi int) image.Rectangle {
	return image.Rect(0, 0, pixels(p.width, dpi), pixels(p.height, dpi))
}

// pixels converts millimetres.
func pixels(mm float64, dpi int) int { return int(math.Round(mm / 25.4 * float64(dpi))) }

// print sets the blocks.
func (p paper) print(img *image.Gray, dpi int, ink color.Gray) error {
	for _, b := range p.blocks {
		if b.mark {
			r := image.Rect(pixels(b.x, dpi), pixels(b.y, dpi), pixels(b.x+b.rule, dpi), pixels(b.y+b.size, dpi))
			draw.Draw(img, r, image.NewUniform(color.Gray{Y: 90}), image.Point{}, draw.Src)
			continue
		}
		if err := b.print(img, dpi, ink); err != nil {
			return err
		}
	}
	return nil
}

var programs = map[string][]byte{"": goregular.TTF, "regular": goregular.TTF, "bold": gobold.TTF, "mono": gomono.TTF}

func (b block) print(img *image.Gray, dpi int, ink color.Gray) error {
	parsed, err := opentype.Parse(programs[b.face])
	if err != nil {
		return err
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
	d := font.Drawer{Dst: img, Src: image.NewUniform(ink), Face: face}
	y := float64(pixels(b.y, dpi))
	for _, l := range strings.Split(b.text, "\n") {
		for i, cell := range strings.Split(l, "\t") {
			x := pixels(b.x, dpi)
			if i > 0 && i <= len(b.stops) {
				x = pixels(b.stops[i-1], dpi)
			}
			d.Dot = fixed.P(x, int(y))
			d.DrawString(cell)
		}
		y += step
	}
	if b.rule > 0 {
		at := int(y - step/2)
		r := image.Rect(pixels(b.x, dpi), at, pixels(b.x+b.rule, dpi), at+max(1, dpi/100))
		draw.Draw(img, r, image.NewUniform(ink), image.Point{}, draw.Src)
	}
	return nil
}

// turn lays the paper into the feeder: askew, perhaps upside down.
func (p paper) turn(flat *image.Gray) *image.Gray {
	angle := p.skew * math.Pi / 180
	if p.turned {
		angle += math.Pi
	}
	if angle == 0 {
		return flat
	}
	b := flat.Bounds()
	sin, cos := math.Sincos(angle)
	cx, cy := float64(b.Dx())/2, float64(b.Dy())/2
	out := image.NewGray(b)
	draw.Draw(out, b, image.White, image.Point{}, draw.Src)
	// Screen coordinates run down, so this turns clockwise about the middle.
	m := f64.Aff3{cos, -sin, cx - cos*cx + sin*cy, sin, cos, cy - sin*cx - cos*cy}
	xdraw.BiLinear.Transform(out, m, flat, b, xdraw.Src, nil)
	return out
}

// light adds what paper and lamp add: a tint, a shadow towards two edges, the
// other side shining through mirrored, and grain.
func (p paper) light(printed, through *image.Gray, seed uint64) image.Image {
	const (
		shine  = 0.06 // how much of the other side's ink is seen
		shadow = 10.0 // grey levels at the dark edge
		grain  = 2.5  // standard deviation in grey levels
	)
	random := rand.New(rand.NewPCG(seed, 7))
	// Grain costs most of the time; a table of it, entered at random, looks the
	// same.
	var table [4096]float64
	for i := range table {
		table[i] = random.NormFloat64() * grain
	}
	b := printed.Bounds()
	out := image.NewRGBA(b)
	tint := [3]float64{float64(p.tint.R), float64(p.tint.G), float64(p.tint.B)}
	width := b.Dx()
	for y := range b.Dy() {
		down := float64(y) / float64(b.Dy())
		line := printed.Pix[y*printed.Stride : y*printed.Stride+width]
		o := out.Pix[y*out.Stride : y*out.Stride+4*width]
		at := random.IntN(len(table))
		for x, v := range line {
			ink := float64(v) / 255
			if through != nil {
				back := through.Pix[y*through.Stride+width-1-x]
				ink *= 1 - shine*(1-float64(back)/255)
			}
			fall := shadow * (down*down*0.6 + math.Abs(float64(x)/float64(width)-0.45)*0.4)
			noise := table[(at+x)&4095]
			for c := range 3 {
				o[4*x+c] = uint8(min(max(tint[c]*ink-fall+noise, 0), 255))
			}
			o[4*x+3] = 255
		}
	}
	return out
}
