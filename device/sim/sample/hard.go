package sample

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"strings"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/math/f64"
)

// A Page is one side with all that a program should find out about it.
type Page struct {
	Kind      string // what makes it hard, such as "blank: punch holes"
	Side             // Text is what stands on it; empty where nothing is to be read
	Blank     bool   // nothing is on it that anybody would miss
	Upright   int    // clockwise turn that makes it upright: 0, 90, 180 or 270 degrees
	Skew      float64
	Languages []string // the engine's names of the text's languages
	DPI       int      // at which it is to be drawn
	Mode      Mode
	Codes     []Code // the barcodes that are on it
	Separator bool   // it stands between documents and belongs to none
	// Sheet is the paper's size and Bed the width of what shows around it, all in
	// millimetres. Without a bed the image ends where the paper does.
	Width, Height, Bed float64
}

// Hard gives a page of every kind that clean-up, blank test and recognition
// find hard. Another seed gives other texts, turns and marks.
func Hard(seed uint64) []Page {
	var pages []Page
	for i, k := range hardKinds {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		p, c := k.make(r)
		pages = append(pages, finish(k, p, c, r))
	}
	return pages
}

// finish makes a page of a paper of kind k under the conditions c.
func finish(k kind, p paper, c conditions, r *rand.Rand) Page {
	p.name = strings.NewReplacer(": ", "-", " ", "-").Replace(k.name)
	if p.width == 0 {
		p.width, p.height = a4Width, a4Height
	}
	if c.dpi == 0 {
		c.dpi = 300
	}
	if c.skew == 0 {
		c.skew = math.Round((r.Float64()*4-2)*100) / 100
	}
	languages := k.languages
	if languages == nil {
		languages = []string{"eng"}
	}
	draw := r.Uint64()
	return Page{
		Kind: k.name,
		Side: Side{Name: p.name, Text: p.text(), draw: func(dpi int) (image.Image, error) {
			return c.scan(p, dpi, rand.New(rand.NewPCG(draw, 1)))
		}},
		Blank:     k.blank,
		Upright:   (4 - c.quarters) % 4 * 90,
		Skew:      c.skew,
		Languages: languages,
		DPI:       c.dpi,
		Width:     p.width, Height: p.height, Bed: c.margin,
	}
}

// conditions are how a paper is fed and what has befallen it.
type conditions struct {
	dpi      int
	skew     float64    // clockwise, degrees; 0: any up to 2
	quarters int        // clockwise quarter turns in the feeder
	bed      color.RGBA // around the sheet
	margin   float64    // of the bed, millimetres
	tint     color.RGBA // of the paper; none: white
	uneven   float64    // grey levels of light from one edge to the other
	grain    float64    // standard deviation in grey levels; 0: 2.5
	shine    float64    // part of the other side's ink that shows through
	behind   paper      // what stands on that side
	holes    int        // punched into the left edge
	dust     int        // specks of up to 0.3 mm
	stain    bool       // a ring left by a cup
	folds    bool       // two creases
	edge     float64    // grey levels of the shadow along two edges
	pattern  bool       // of a copier: pale stripes along the feed
	wear     float64    // part of the ink that is missing, in patches
	blur     bool       // out of focus by a pixel
	spiral   bool       // torn from a spiral pad
	torn     bool       // a corner is missing
	streaks  int        // drawn by dirt on the glass
	mode     Mode
}

// scan gives the paper as a scanner sees it under the conditions.
func (c conditions) scan(p paper, dpi int, r *rand.Rand) (image.Image, error) {
	sheet, err := p.print(dpi)
	if err != nil {
		return nil, err
	}
	if p.picture.Dx() > 0 {
		drawPicture(sheet, p.picture, dpi, r)
	}
	if c.wear > 0 {
		wear(sheet, c.wear, dpi, r)
	}
	if err := c.paper(sheet, dpi, r); err != nil {
		return nil, err
	}
	if c.spiral || c.torn {
		c.damage(sheet, dpi, r)
	}
	img := c.light(c.feed(sheet, dpi), dpi, r)
	c.streak(img, dpi, r)
	return c.mode.reduce(img), nil
}

// paper gives the sheet its tint, what shines through, and its damage.
func (c conditions) paper(sheet *image.RGBA, dpi int, r *rand.Rand) error {
	b := sheet.Bounds()
	w, h := b.Dx(), b.Dy()
	tint := c.tint
	if tint.A == 0 {
		tint = white
	}
	var through *image.RGBA
	if c.shine > 0 {
		behind := c.behind
		behind.width, behind.height = float64(w)/float64(dpi)*25.4, float64(h)/float64(dpi)*25.4
		var err error
		if through, err = behind.print(dpi); err != nil {
			return err
		}
	}
	mm := float64(dpi) / 25.4
	cx, cy, ring := float64(w)*(0.2+0.6*r.Float64()), float64(h)*(0.2+0.6*r.Float64()), 40*mm
	crease := [2]int{h/3 + r.IntN(h/20+1), 2*h/3 + r.IntN(h/20+1)}
	t := [3]float64{float64(tint.R) / 255, float64(tint.G) / 255, float64(tint.B) / 255}
	brown := [3]float64{0.90, 0.84, 0.72}
	spread := max(pixels(0.17, dpi), 1)
	var tables levels
	for y := range h {
		line := sheet.Pix[y*sheet.Stride : y*sheet.Stride+4*w]
		fold := 1.0
		if c.folds {
			for _, at := range crease {
				d := math.Abs(float64(y-at)) / mm
				fold -= 0.16 * math.Exp(-d*d/0.1)
			}
		}
		if through == nil && !c.stain { // a level becomes the same one all along the line
			if y == 0 || fold != tables.fold {
				tables.fill(fold, t)
			}
			for i := 0; i < len(line); i += 4 {
				line[i], line[i+1], line[i+2] = tables.to[0][line[i]], tables.to[1][line[i+1]], tables.to[2][line[i+2]]
			}
			continue
		}
		for x := range w {
			f := [3]float64{fold * t[0], fold * t[1], fold * t[2]}
			if through != nil {
				if bx := through.Bounds().Dx() - 1 - x; bx >= 0 && y < through.Bounds().Dy() {
					// Fibres scatter: what shines through is blurred by sampling around.
					ink := 0.0
					for _, o := range [5][2]int{{0, 0}, {-spread, 0}, {spread, 0}, {0, -spread}, {0, spread}} {
						px, py := min(max(bx+o[0], 0), through.Bounds().Dx()-1), min(max(y+o[1], 0), through.Bounds().Dy()-1)
						ink += 1 - float64(through.Pix[py*through.Stride+4*px+1])/255
					}
					for k := range f {
						f[k] *= 1 - c.shine*ink/5
					}
				}
			}
			if c.stain {
				d := (math.Hypot(float64(x)-cx, float64(y)-cy) - ring) / mm
				s := math.Exp(-d*d/2.5) + 0.25*b2f(d < 0)
				for k := range f {
					f[k] *= 1 - min(s, 1)*(1-brown[k])
				}
			}
			for k := range 3 {
				line[4*x+k] = uint8(float64(line[4*x+k]) * f[k])
			}
		}
	}
	bed := c.bed
	if bed.A == 0 {
		bed = color.RGBA{R: 40, G: 40, B: 42, A: 255}
	}
	for i := range c.holes { // two are 80 mm apart; four have 80 mm each, ISO 838
		y := float64(h)/2 + (float64(i)-float64(c.holes-1)/2)*80*mm
		disc(sheet, 12*mm, y, 3*mm, bed)
	}
	for range c.dust {
		v := uint8(40 + r.IntN(120))
		disc(sheet, r.Float64()*float64(w), r.Float64()*float64(h), (0.03+0.12*r.Float64())*mm, color.RGBA{R: v, G: v, B: v, A: 255})
	}
	return nil
}

// levels are what the levels of ink on white become on a paper, by colour.
type levels struct {
	fold float64
	to   [3][256]uint8
}

// fill makes those of a tint under the shade of a fold.
func (l *levels) fill(fold float64, tint [3]float64) {
	l.fold = fold
	for k := range l.to {
		for v := range l.to[k] {
			l.to[k][v] = uint8(float64(v) * (fold * tint[k]))
		}
	}
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// disc fills a disc.
func disc(img *image.RGBA, cx, cy, radius float64, c color.RGBA) {
	for y := int(cy - radius); y <= int(cy+radius)+1; y++ {
		for x := int(cx - radius); x <= int(cx+radius)+1; x++ {
			if math.Hypot(float64(x)-cx, float64(y)-cy) <= radius && image.Pt(x, y).In(img.Rect) {
				img.SetRGBA(x, y, c)
			}
		}
	}
}

// feed lays the sheet askew onto the bed, or into an image of its own size.
func (c conditions) feed(sheet *image.RGBA, dpi int) *image.RGBA {
	b := sheet.Bounds()
	margin := pixels(c.margin, dpi)
	w, h := b.Dx()+2*margin, b.Dy()+2*margin
	bed := c.bed
	if bed.A == 0 {
		bed = white
	}
	ow, oh := w, h
	if c.quarters%2 != 0 {
		ow, oh = h, w
	}
	out := image.NewRGBA(image.Rect(0, 0, ow, oh))
	draw.Draw(out, out.Bounds(), image.NewUniform(bed), image.Point{}, draw.Src)
	sin, cos := math.Sincos(c.skew*math.Pi/180 + float64(c.quarters)*math.Pi/2)
	cx, cy := float64(b.Dx())/2, float64(b.Dy())/2
	x, y := float64(ow)/2, float64(oh)/2
	m := f64.Aff3{cos, -sin, x - cos*cx + sin*cy, sin, cos, y - sin*cx - cos*cy}
	xdraw.ApproxBiLinear.Transform(out, m, sheet, b, xdraw.Src, nil)
	return out
}

// light adds what lamp and sensor add.
func (c conditions) light(img *image.RGBA, dpi int, r *rand.Rand) *image.RGBA {
	grain := c.grain
	if grain == 0 {
		grain = 2.5
	}
	var table [4096]float64
	for i := range table {
		table[i] = r.NormFloat64() * grain
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if c.blur {
		small := image.NewRGBA(image.Rect(0, 0, w*2/3, h*2/3))
		xdraw.ApproxBiLinear.Scale(small, small.Bounds(), img, b, xdraw.Src, nil)
		xdraw.ApproxBiLinear.Scale(img, b, small, small.Bounds(), xdraw.Src, nil)
	}
	soft := 1.2 / 25.4 * float64(dpi)
	across := make([]float64, w)
	for x := range across {
		across[x] = c.edge*math.Exp(-float64(x)/soft) + c.uneven*float64(x)/float64(w)/2
		if c.pattern && x/(pixels(9, dpi)+1)%4 == 0 {
			across[x] += 7
		}
	}
	for y := range h {
		fall := c.edge*math.Exp(-float64(h-1-y)/soft) + c.uneven*float64(y)/float64(h)/2
		line := img.Pix[y*img.Stride : y*img.Stride+4*w]
		at := r.IntN(len(table))
		for x := range w {
			add := table[(at+x)&4095] - fall - across[x]
			for k := range 3 {
				v := &line[4*x+k]
				*v = uint8(min(max(float64(*v)+add, 0), 255))
			}
		}
	}
	return img
}

// wear takes ink away in small patches, as a worn ribbon does.
func wear(img *image.RGBA, part float64, dpi int, r *rand.Rand) {
	b := img.Bounds()
	cell := max(pixels(0.35, dpi), 1)
	row := make([]float64, b.Dx()/cell+1)
	for y := range b.Dy() {
		if y%cell == 0 {
			for i := range row {
				row[i] = math.Max(0, r.NormFloat64()*part+part/2)
			}
		}
		for x := range b.Dx() {
			keep := 1 - min(row[x/cell], 0.75)
			for k := range 3 {
				v := &img.Pix[y*img.Stride+4*x+k]
				*v = uint8(255 - float64(255-*v)*keep)
			}
		}
	}
}

// drawPicture fills area, in millimetres, with something like a photograph of
// hills under a sky.
func drawPicture(img *image.RGBA, area image.Rectangle, dpi int, r *rand.Rand) {
	box := image.Rect(pixels(float64(area.Min.X), dpi), pixels(float64(area.Min.Y), dpi),
		pixels(float64(area.Max.X), dpi), pixels(float64(area.Max.Y), dpi))
	phase := [3]float64{r.Float64() * 6, r.Float64() * 6, r.Float64() * 6}
	for y := box.Min.Y; y < box.Max.Y; y++ {
		v := float64(y-box.Min.Y) / float64(box.Dy())
		for x := box.Min.X; x < box.Max.X; x++ {
			u := float64(x-box.Min.X) / float64(box.Dx())
			c := [3]float64{120 + 90*v, 160 + 60*v, 225}
			for i := range 3 {
				top := 0.35 + 0.2*float64(i) + 0.09*math.Sin(phase[i]+u*(5+3*float64(i))) + 0.015*math.Sin(90*u+phase[i])
				if v > top {
					c = [3]float64{90 - 25*float64(i) + 30*math.Sin(40*u+31*v), 130 - 30*float64(i) + 25*math.Sin(57*v+phase[i]), 70 - 15*float64(i)}
				}
			}
			img.SetRGBA(x, y, color.RGBA{R: clip(c[0]), G: clip(c[1]), B: clip(c[2]), A: 255})
		}
	}
}

func clip(v float64) uint8 { return uint8(min(max(v, 0), 255)) }

// number gives digits as they stand on papers.
func number(r *rand.Rand, low, high int) string { return fmt.Sprint(low + r.IntN(high-low)) }
