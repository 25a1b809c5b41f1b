package sample

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"strings"

	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
)

// Faces are the typefaces that varied pages are set in.
type Faces struct {
	Text []*sfnt.Font // of books and letters
	Mono []*sfnt.Font // of typewriters and tills
}

// ParseFaces reads OpenType files.
func ParseFaces(text, mono [][]byte) (Faces, error) {
	var f Faces
	for _, list := range []struct {
		files [][]byte
		to    *[]*sfnt.Font
	}{{text, &f.Text}, {mono, &f.Mono}} {
		for _, data := range list.files {
			font, err := opentype.Parse(data)
			if err != nil {
				return Faces{}, err
			}
			*list.to = append(*list.to, font)
		}
	}
	return f, nil
}

// Varied gives a page of every layout and of every blank or nearly blank side,
// each with whatever can befall a sheet chosen at random: type, size, skew,
// tint, light, dust, holes, the scanner's bed, resolution and mode. Where Hard
// shows one fault at a time, these pages have several at once. Another seed
// gives other pages; none is drawn with random numbers of another's.
func Varied(seed uint64, faces Faces) []Page {
	var pages []Page
	for i, k := range variedKinds {
		r := rand.New(rand.NewPCG(seed, 1000+uint64(i)))
		p, c := k.make(r)
		p.name = strings.NewReplacer(": ", "-", " ", "-").Replace(k.name)
		if p.width == 0 {
			p.width, p.height = a4Width, a4Height
		}
		c.befall(r, k.blank || strings.HasPrefix(k.name, "kept"))
		text, mono := faces.Text[r.IntN(len(faces.Text))], faces.Mono[r.IntN(len(faces.Mono))]
		for j := range p.blocks {
			if p.blocks[j].font = text; p.blocks[j].face == "mono" {
				p.blocks[j].font = mono
			}
		}
		languages := k.languages
		if languages == nil {
			languages = []string{"eng"}
		}
		draw := r.Uint64()
		text1 := p.text()
		if k.unread {
			text1 = ""
		}
		pages = append(pages, Page{
			Kind: k.name,
			Side: Side{Name: p.name, Text: text1, draw: func(dpi int) (image.Image, error) {
				return c.scan(p, dpi, rand.New(rand.NewPCG(draw, 1)))
			}},
			Blank:     k.blank,
			Upright:   (4 - c.quarters) % 4 * 90,
			Skew:      c.skew,
			Languages: languages,
			DPI:       c.dpi,
			Mode:      c.mode,
			Width:     p.width, Height: p.height, Bed: c.margin,
		})
	}
	return pages
}

// befall chooses what befalls a sheet. little says that hardly anything stands
// on it: nobody could tell how it is turned.
func (c *conditions) befall(r *rand.Rand, little bool) {
	some := func(part float64) bool { return r.Float64() < part }
	pick := func(list ...color.RGBA) color.RGBA { return list[r.IntN(len(list))] }
	if c.dpi == 0 {
		c.dpi = []int{300, 300, 300, 200, 600}[r.IntN(5)]
	}
	if c.skew == 0 {
		c.skew = math.Round((r.Float64()*6-3)*100) / 100
	}
	if c.tint.A == 0 && some(0.5) {
		c.tint = pick(offWhite, thermal, recycled, yellow, pink, mint, sky, manila)
	}
	if c.margin == 0 && some(0.4) {
		c.margin = 2 + 12*r.Float64()
		c.bed = pick(blackBed, grayBed, whiteBed, silver)
	}
	if c.uneven == 0 && some(0.25) {
		c.uneven = 15 + 45*r.Float64()
	}
	if c.grain == 0 {
		c.grain = 1.5 + 4*r.Float64()
	}
	if c.shine == 0 && some(0.25) {
		c.shine = 0.05 + 0.12*r.Float64()
		c.behind = proseLetter(r, "eng", "bold", 11.5)
	}
	if c.holes == 0 && some(0.3) {
		c.holes = 2 * (1 + r.IntN(2))
	}
	if c.dust == 0 && some(0.3) {
		c.dust = 5 + r.IntN(40)
	}
	if c.edge == 0 && some(0.4) {
		c.edge = 20 + 60*r.Float64()
	}
	c.stain = c.stain || some(0.07)
	c.folds = c.folds || some(0.12)
	if !little && c.quarters == 0 && some(0.2) {
		c.quarters = 1 + r.IntN(3)
	}
	if c.mode == Colour && some(0.3) {
		if c.mode = Gray; !little && c.plain() && some(0.4) {
			c.mode = Bilevel
		}
	}
}

// plain reports whether a scanner would reduce the sheet to black and white
// without damage.
func (c *conditions) plain() bool {
	return c.shine < 0.1 && c.uneven < 30 && !c.stain && c.wear == 0 && (c.margin == 0 || c.bed == whiteBed)
}

// What else a sheet can be made of or lie on.
var (
	mint   = color.RGBA{R: 205, G: 236, B: 212, A: 255}
	sky    = color.RGBA{R: 190, G: 214, B: 242, A: 255}
	manila = color.RGBA{R: 236, G: 212, B: 160, A: 255}
	silver = color.RGBA{R: 190, G: 190, B: 192, A: 255}
	fawn   = color.RGBA{R: 120, G: 116, B: 112, A: 255}
)

// size gives one of type for running text, in points.
func size(r *rand.Rand) float64 { return 9 + math.Floor(r.Float64()*9)/2 }

func amount(r *rand.Rand) string { return number(r, 1, 900) + "." + number(r, 10, 99) }

// form asks for entries.
func formPage(r *rand.Rand) paper {
	p := paper{blocks: []block{{x: 25, y: 28, size: 16, face: "bold", text: "Application for a permit"}}}
	entries := [][2]string{
		{"Name:", "Margaret Holloway"}, {"Street:", number(r, 1, 90) + " Orchard Road"}, {"Town:", "Kingsbridge"},
		{"Date of birth:", number(r, 1, 28) + "/0" + number(r, 1, 9) + "/19" + number(r, 40, 99)},
		{"Telephone:", "01632 " + number(r, 100000, 999999)}, {"Vehicle:", "Estate car, blue"}, {"Number:", "KB" + number(r, 10, 99) + " TRW"},
	}
	for i, e := range entries {
		y := 50 + 14*float64(i)
		p.blocks = append(p.blocks, block{x: 25, y: y, size: 11, stops: []float64{80}, text: e[0] + "\t" + e[1], rule: 150})
	}
	p.blocks = append(p.blocks, block{x: 25, y: 170, size: 10, text: prose(r, "eng", 5, 80)})
	return p
}

// bill is a long narrow receipt.
func bill(r *rand.Rand) paper {
	p := till(r)
	p.width = []float64{58, 70, 80}[r.IntN(3)]
	end := -(p.width - 8)
	for i := range p.blocks {
		b := &p.blocks[i]
		b.x = 6
		b.size *= p.width / 84
		if b.stops != nil {
			b.stops = []float64{end}
		}
		if b.face != "mono" && p.width < 80 {
			b.size *= 0.9
		}
	}
	return p
}

// dark is a brochure with white print on areas of colour.
func brochure(r *rand.Rand) paper {
	inks := []color.RGBA{steel, burgundy, green, black}
	return paper{blocks: []block{
		{x: 0, y: 0, size: 70, rule: 210, mark: true, ink: inks[r.IntN(4)]},
		{x: 22, y: 30, size: 18, face: "bold", ink: paper255, text: prose(r, "eng", 2, 36)},
		{x: 22, y: 90, size: size(r), text: prose(r, "eng", 12, 62)},
		{x: 22, y: 190, size: 45, rule: 80, mark: true, ink: inks[r.IntN(4)]},
		{x: 27, y: 203, size: 11, ink: paper255, text: prose(r, "eng", 5, 30)},
		{x: 112, y: 203, size: 10, text: prose(r, "eng", 5, 34)},
	}}
}

// besidePhoto has one or two photographs among its text.
func besidePhoto(r *rand.Rand) paper {
	p := paper{blocks: []block{
		{x: 25, y: 28, size: 16, face: "bold", text: prose(r, "eng", 1, 36)},
		{x: 25, y: 45, size: 10.5, text: prose(r, "eng", 14, 34)},
		{x: 25, y: 150, size: 10.5, text: prose(r, "eng", 14, 72)},
	}}
	p.picture = image.Rect(108, 40, 188, 80+r.IntN(40))
	return p
}

// mark is one small thing on an otherwise empty sheet.
func mark(b block) func(r *rand.Rand) (paper, conditions) {
	return func(r *rand.Rand) (paper, conditions) {
		b := b
		b.x += 90 * r.Float64()
		b.y += 200 * r.Float64()
		return paper{blocks: []block{b}}, conditions{dpi: 300}
	}
}

func text(lines, width int, language string) func(r *rand.Rand) (paper, conditions) {
	return func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, language, "", math.Min(size(r), 12)), conditions{}
	}
}

func empty(c conditions) func(r *rand.Rand) (paper, conditions) {
	return func(r *rand.Rand) (paper, conditions) {
		c := c
		if c.shine > 0 {
			c.behind = proseLetter(r, "eng", "bold", 9+4*r.Float64())
		}
		return paper{}, c
	}
}

var variedKinds = []kind{
	{name: "letter", make: text(8, 76, "eng")},
	{name: "letter, German", languages: []string{"deu", "eng"}, make: text(8, 76, "deu")},
	{name: "letter, French", languages: []string{"fra", "eng"}, make: text(8, 76, "fra")},
	{name: "letter, turned", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "", 11), conditions{quarters: 1 + r.IntN(3)}
	}},
	{name: "letter, 1 bit", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "deu", "", 10), conditions{mode: Bilevel, dpi: []int{200, 300, 600}[r.IntN(3)], bed: whiteBed, margin: 0.1, uneven: 1}
	}, languages: []string{"deu", "eng"}},
	{name: "two columns", make: func(r *rand.Rand) (paper, conditions) { return columns(r), conditions{} }},
	{name: "three columns", make: func(r *rand.Rand) (paper, conditions) {
		p := paper{blocks: []block{{x: 18, y: 26, size: 22, face: "bold", text: prose(r, "eng", 1, 30)}}}
		for i := range 3 {
			p.blocks = append(p.blocks, block{x: 18 + 60*float64(i), y: 45, size: 8.5, leading: 1.35, text: prose(r, "eng", 50, 32)})
		}
		return p, conditions{}
	}},
	{name: "table", make: func(r *rand.Rand) (paper, conditions) { return itemTable(r), conditions{} }},
	{name: "table, turned", make: func(r *rand.Rand) (paper, conditions) {
		return itemTable(r), conditions{quarters: 1 + r.IntN(3)}
	}},
	{name: "numbers", make: func(r *rand.Rand) (paper, conditions) {
		var rows []string
		for range 28 {
			rows = append(rows, number(r, 10000, 99999)+"\t"+amount(r)+"\t"+amount(r)+"\t"+number(r, 1, 99)+"%")
		}
		return paper{blocks: []block{{x: 30, y: 35, size: 10, stops: []float64{-90, -130, -165}, text: strings.Join(rows, "\n")}}}, conditions{}
	}},
	{name: "form", make: func(r *rand.Rand) (paper, conditions) { return formPage(r), conditions{} }},
	{name: "receipt", make: func(r *rand.Rand) (paper, conditions) { return bill(r), conditions{tint: thermal} }},
	{name: "receipt, faded", make: func(r *rand.Rand) (paper, conditions) {
		p := bill(r)
		for i := range p.blocks {
			p.blocks[i].ink = fawn
		}
		return p, conditions{tint: thermal, wear: 0.15}
	}},
	{name: "receipt, upside down", make: func(r *rand.Rand) (paper, conditions) {
		return bill(r), conditions{tint: thermal, quarters: 2}
	}},
	{name: "small print", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{{x: 18, y: 25, size: 6.5, text: prose(r, "eng", 70, 120)}}}, conditions{dpi: 300}
	}},
	{name: "typewriter", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "mono", 11), conditions{wear: 0.2 + 0.25*r.Float64()}
	}},
	{name: "white on dark", make: func(r *rand.Rand) (paper, conditions) { return brochure(r), conditions{} }},
	{name: "white on a dark page", make: func(r *rand.Rand) (paper, conditions) {
		p := paper{blocks: []block{{rule: 210, size: 297, mark: true, ink: steel}}}
		p.blocks = append(p.blocks, block{x: 25, y: 50, size: 13, ink: paper255, text: prose(r, "eng", 14, 58)})
		return p, conditions{tint: white}
	}},
	{name: "beside a photo", make: func(r *rand.Rand) (paper, conditions) { return besidePhoto(r), conditions{} }},
	{name: "low contrast", make: func(r *rand.Rand) (paper, conditions) {
		p := proseLetter(r, "eng", "", 11)
		for i := range p.blocks {
			p.blocks[i].ink = pale
		}
		return p, conditions{tint: offWhite, mode: Gray}
	}},
	{name: "coloured inks", make: func(r *rand.Rand) (paper, conditions) {
		p := proseLetter(r, "eng", "", 11)
		for i := range p.blocks {
			p.blocks[i].ink = []color.RGBA{steel, burgundy, green, blue}[i%4]
		}
		return p, conditions{}
	}},
	{name: "strong bleed-through", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "", 11), conditions{shine: 0.3, behind: proseLetter(r, "eng", "bold", 11.5)}
	}},
	{name: "capitals, turned", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{{x: 30, y: 60, size: 14, text: strings.ToUpper(prose(r, "eng", 9, 42))}}}, conditions{quarters: 1 + r.IntN(3)}
	}},
	{name: "title page", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{
			{x: 40, y: 90, size: 32, text: "ANNUAL REPORT"}, {x: 40, y: 110, size: 20, text: "of the harbour society"},
			{x: 40, y: 240, size: 12, text: "Portwick, " + number(r, 1900, 2026)},
		}}, conditions{}
	}},
	{name: "few lines, turned", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{{x: 50, y: 80 + 100*r.Float64(), size: 11, text: prose(r, "eng", 3, 44)}}}, conditions{quarters: 1 + r.IntN(3)}
	}},
	{name: "blank: white", blank: true, make: empty(conditions{})},
	{name: "blank: deep tint", blank: true, make: func(r *rand.Rand) (paper, conditions) {
		return paper{}, conditions{tint: []color.RGBA{yellow, manila, sky, mint, pink, recycled}[r.IntN(6)], grain: 3 + 5*r.Float64()}
	}},
	{name: "blank: bleed-through", blank: true, make: empty(conditions{shine: 0.1})},
	{name: "blank: strong bleed-through", blank: true, make: empty(conditions{shine: 0.28})},
	{name: "blank: holes on black", blank: true, make: empty(conditions{holes: 4, bed: blackBed, edge: 70, margin: 3})},
	{name: "blank: spiral holes", blank: true, make: empty(conditions{spiral: true, bed: blackBed})},
	{name: "blank: torn corner on black", blank: true, make: empty(conditions{torn: true, bed: blackBed})},
	{name: "blank: dust", blank: true, make: empty(conditions{dust: 80})},
	{name: "blank: dirty glass", blank: true, make: empty(conditions{streaks: 3})},
	{name: "blank: 1 bit", blank: true, make: empty(conditions{mode: Bilevel, dust: 30, uneven: 1, shine: 0.05})},
	{name: "blank: photo behind", blank: true, make: func(r *rand.Rand) (paper, conditions) {
		behind := paper{blocks: []block{{x: 20, y: 40, size: 90, rule: 160, mark: true, ink: steel}, {x: 25, y: 160, size: 12, text: prose(r, "eng", 12, 60)}}}
		return paper{}, conditions{shine: 0.12, behind: behind}
	}},
	{name: "blank: creased", blank: true, make: empty(conditions{folds: true, uneven: 50, edge: 80})},
	{name: "blank: receipt", blank: true, make: func(r *rand.Rand) (paper, conditions) {
		return paper{width: 80, height: 160}, conditions{tint: thermal, shine: 0.1, behind: till(r)}
	}},
	{name: "kept: signature", unread: true, make: func(r *rand.Rand) (paper, conditions) {
		return paper{pen: signature(30+90*r.Float64(), 40+220*r.Float64())}, conditions{}
	}},
	{name: "kept: pencil signature", unread: true, make: func(r *rand.Rand) (paper, conditions) {
		return paper{pen: signature(30+90*r.Float64(), 40+220*r.Float64()), penInk: pencil}, conditions{}
	}},
	{name: "kept: pencil line", unread: true, make: func(r *rand.Rand) (paper, conditions) {
		y := 40 + 200*r.Float64()
		return paper{pen: []stroke{{50, y, 75, y + 2, 90, y + 1, 110, y + 3}}, penInk: pencil}, conditions{}
	}},
	{name: "kept: tick", unread: true, make: func(r *rand.Rand) (paper, conditions) {
		x, y := 30+140*r.Float64(), 40+200*r.Float64()
		return paper{pen: []stroke{{x, y, x + 2, y + 3, x + 7, y - 5}}}, conditions{}
	}},
	{name: "kept: page number", unread: true, make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{{x: 20 + 160*r.Float64(), y: 278, size: 9 + 2*r.Float64(), text: number(r, 2, 99)}}}, conditions{}
	}},
	{name: "kept: three tiny words", unread: true, make: mark(block{x: 30, y: 40, size: 6, text: "continued over leaf"})},
	{name: "kept: pale words", unread: true, make: mark(block{x: 30, y: 40, size: 9, ink: pale, text: "intentionally left blank"})},
	{name: "kept: stamp", unread: true, make: mark(block{x: 30, y: 40, size: 10, face: "bold", ink: burgundy, text: "COPY"})},
	{name: "kept: white on black", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{{rule: 210, size: 297, mark: true, ink: black}, {x: 60, y: 140, size: 30, ink: paper255, text: "CHAPTER " + number(r, 1, 9)}}}, conditions{tint: white}
	}, unread: true},
	{name: "kept: photo alone", unread: true, make: func(r *rand.Rand) (paper, conditions) {
		return paper{picture: image.Rect(50, 60, 160, 140)}, conditions{}
	}},
}

// spiralHoles punches the edge of a page torn from a spiral pad; torn takes a
// corner away; streaks are what dirt on the glass draws along the feed.
func (c conditions) damage(sheet *image.RGBA, dpi int, r *rand.Rand) {
	b := sheet.Bounds()
	mm := float64(dpi) / 25.4
	bed := c.bed
	if bed.A == 0 {
		bed = color.RGBA{R: 40, G: 40, B: 42, A: 255}
	}
	if c.spiral {
		for y := 8 * mm; y < float64(b.Dy())-5*mm; y += 8.47 * mm { // three to the inch
			disc(sheet, 5*mm, y, 2*mm, bed)
		}
	}
	if c.torn {
		side := (8 + 12*r.Float64()) * mm
		for y := range int(side) {
			rag := int(side-float64(y)) + int(2*mm*r.Float64()/4)
			draw.Draw(sheet, image.Rect(b.Max.X-rag, y, b.Max.X, y+1), image.NewUniform(bed), image.Point{}, draw.Src)
		}
	}
}

// streak draws what dirt on the glass does along the feed, over bed and paper.
func (c conditions) streak(img *image.RGBA, dpi int, r *rand.Rand) {
	b := img.Bounds()
	for range c.streaks {
		x := b.Dx()/10 + r.IntN(b.Dx()*8/10)
		level := uint8(90 + r.IntN(110))
		for y := range b.Dy() {
			for dx := range max(1, dpi/200) {
				img.SetRGBA(x+dx, y, color.RGBA{R: level, G: level, B: level, A: 255})
			}
		}
	}
}

// Mode is what a scanner gives of each pixel.
type Mode int

// The modes.
const (
	Colour  Mode = iota
	Gray         // 8 bits
	Bilevel      // black or white
)

// reduce brings an image to a mode.
func (m Mode) reduce(img *image.RGBA) image.Image {
	if m == Colour {
		return img
	}
	b := img.Bounds()
	gray := image.NewGray(b)
	draw.Draw(gray, b, img, b.Min, draw.Src)
	if m == Gray {
		return gray
	}
	// Scanners take a fixed level, somewhat under the middle of the paper.
	const level = 140
	out := image.NewPaletted(b, color.Palette{color.White, color.Black})
	for y := range b.Dy() {
		from, to := gray.Pix[y*gray.Stride:], out.Pix[y*out.Stride:]
		for x := range b.Dx() {
			if from[x] < level {
				to[x] = 1
			}
		}
	}
	return out
}
