package ocr

import (
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"slices"
	"strings"
	"unicode"

	"docscan/scan/imaging"
	"docscan/scan/text"
)

// What was found best by measurement, over letters, tables, receipts, small
// print, fax and brochures.
const (
	// readDPI is the resolution at which the engine reads best and fast. Pages of leastDPI
	// to mostDPI are read as they are: to scale up what has 200 dots costs an eighth more and
	// the marks of letters.
	readDPI           = 250
	leastDPI, mostDPI = 190, 275
	// sureConfidence is the mean confidence from which a page is taken as read.
	// Good print has 91 and more.
	sureConfidence = 90
	// uprightConfidence is the one from which a page is taken to lie the right way
	// up if its letters do not tell. Pages upside down are read with 28 to 51,
	// sideways with up to 56, capitals upside down with 67; the worst upright ones
	// have 65.
	uprightConfidence = 80
	// leastSkew is what the engine does not mind, degrees.
	leastSkew = 0.2
	// mostShown is how far askew a page may lie and be shown straight, degrees: of one
	// that lies farther askew the corners would be cut off.
	mostShown = 10
	// inkLevel parts ink from paper on a cleaned page.
	inkLevel = 160
	// leastDark is the share of a page from which on dark areas count.
	leastDark = 0.01
)

// recognize is the job of [Pool.Recognize].
func recognize(w *worker, r request, files []*os.File) (answer, error) {
	if len(files) != fileThumb+1 {
		return answer{}, fmt.Errorf("recognize: %d files", len(files))
	}
	if r.DPI < imaging.MinDPI || r.DPI > imaging.MaxDPI {
		return answer{}, fmt.Errorf("recognize: %d dpi", r.DPI)
	}
	src, err := openSource(files[fileImage], r.MaxPixels)
	if err != nil {
		return answer{}, err
	}
	defer src.close()
	out, err := w.readPage(src, r)
	if err != nil {
		return answer{}, err
	}
	if !asItLies(&out.Text, out.Holes) {
		if err := writeUpright(src, &out.Text, out.Holes, files[fileView], files[fileThumb]); err != nil {
			return answer{}, err
		}
	}
	return answer{Recognized: out}, nil
}

// leastShown is how far askew a page may be shown on a screen, degrees.
const leastShown = 0.3

// asItLies reports whether the pictures for a screen that were made of the page
// before it was read will do.
func asItLies(p *text.Page, holes []Hole) bool {
	return p.Rotate == 0 && p.Sheet == nil && math.Abs(p.Skew) < leastShown && len(holes) == 0
}

// writeUpright writes the pictures for a screen of a page that has to be turned,
// straightened or cut, or has holes.
func writeUpright(src *source, p *text.Page, holes []Hole, view, thumb *os.File) error {
	pix, _, err := imaging.Decode(src.data, src.header, viewReduction(src.header), false)
	if err != nil {
		return err
	}
	defer func() { pix.Close() }()
	// Each step takes the place of the one before.
	step := func(next *imaging.Pix, err error) error {
		if err == nil {
			pix.Close()
			pix = next
		}
		return err
	}
	if err := step(pix.Fit(shownSide(pix))); err != nil {
		return err
	}
	if err := pix.Cover(holes, p.Width); err != nil {
		return err
	}
	if math.Abs(p.Skew) >= leastShown {
		if pix.Depth() == 1 {
			if err := step(pix.Gray()); err != nil {
				return err
			}
		}
		if err := step(pix.Level(-p.Skew)); err != nil {
			return err
		}
	}
	if b := p.Sheet; b != nil {
		sx, sy := float64(pix.Width())/float64(p.Width), float64(pix.Height())/float64(p.Height)
		if err := step(pix.Cut(int(b.X*sx), int(b.Y*sy), max(1, int(b.Width*sx)), max(1, int(b.Height*sy)))); err != nil {
			return err
		}
	}
	if p.Rotate != 0 {
		if err := step(pix.Turn(p.Rotate / 90)); err != nil {
			return err
		}
	}
	return writeView(pix, view, thumb)
}

// A reading is the text of a page, read one way.
type reading struct {
	place      placement
	from       ground
	layout     layout
	lines      []hocrLine
	words      int
	confidence float64 // mean over the words
	// score tells the better of two readings of one page: sure letters count for
	// a reading, doubtful ones against it.
	score float64
	// angle is how the text of most letters is turned, 0, 90, 180 or 270 degrees
	// counter-clockwise.
	angle int
	skew  float64 // of the page, degrees
}

func (r *reading) sure() bool { return r.words > 0 && r.confidence >= sureConfidence }

// A ground is one of the images of a page that can be read.
type ground int

const (
	whitened ground = iota // its background is white
	scanned                // as it was scanned, in grey
)

// A page is an image on its way to the engine.
type page struct {
	worker   *worker
	source   *source
	request  request
	width    int // of the scanned image
	height   int
	turn     int             // clockwise quarter turns that the file asks for
	dpi      int             // of gray and clean
	columns  int             // of gray and clean
	rows     int             // of gray and clean
	gray     *imaging.Pix    // as scanned; nil: see image
	clean    *imaging.Pix    // with a white background; nil: see image
	packed   *imaging.Packed // clean, once the engine has read
	dark     bool            // it has areas that suffer from cleaning
	sheet    imaging.Sheet
	ink      imaging.Ink
	negative bool    // its paper is dark: gray and clean are inverted
	shine    float64 // contrast of what is seen through the paper, if that is much
	holes    []imaging.Hole
	blank    bool // nothing is on it that anybody would miss
	sparse   bool // there is little
	legible  bool // all of it is as soft as what is seen through the paper, and can be read
	lies     bool // its letters tell how it lies
	codes    []text.Code
	bars     bars // the same
	// skew is how far the lines are turned clockwise, by the parity of the
	// quarter turns; NaN until measured.
	skew [2]float64
	// combed is what its combs say, by the quarter turns; nil until read.
	combed   [4]*combed
	combRows int // combs that have been read for it
}

// readPage reads the text of src and tells what else it has found out of it.
func (w *worker) readPage(src *source, r request) (*recognized, error) {
	p, err := w.openPage(src, r)
	if err != nil {
		return nil, err
	}
	defer p.close()
	out, err := p.readAll()
	if err != nil {
		return nil, err
	}
	scale := float64(p.width) / float64(p.columns)
	for i, h := range p.holes {
		p.holes[i] = imaging.Hole{X: h.X * scale, Y: h.Y * scale, R: h.R * scale}
	}
	return &recognized{Text: *out, Blank: p.blank, Shine: p.shine, Negative: p.negative, Holes: p.holes}, nil
}

// readAll reads the text of p, trying further ways while it is not sure.
func (p *page) readAll() (out *text.Page, err error) {
	r := p.request
	out = &text.Page{Version: 1, Width: p.width, Height: p.height, DPI: r.DPI, Languages: r.Languages}
	if p.blank && !r.CodesOnly {
		if p.does(Upright) {
			if out.Rotate = 90 * p.turn; r.Turned {
				out.Rotate = 180
			}
		}
		if !math.IsNaN(p.sheet.Skew) && p.does(Straighten) {
			out.Skew = round(p.sheet.Skew)
		}
		p.cut(out)
		return out, nil
	}
	if out.Codes = p.codes; r.CodesOnly {
		return out, nil
	}
	if Separates(p.codes, r.Separators) {
		p.lieBy(out)
		p.cut(out)
		return out, nil // nobody wants its text
	}
	first, err := p.lie()
	if err != nil {
		return nil, err
	}
	best, err := p.read(first, p.ground(), anyLayout)
	if err != nil {
		return nil, err
	}
	if nothing := p.sparse && best.words == 0; p.narrow() || best.angle != 0 || !best.sure() && !nothing {
		if best, err = p.readOtherwise(best); err != nil {
			return nil, err
		}
	}
	if r.Turned && !p.lies && !best.sure() && best.rotate() == 0 {
		turned, err := p.read(2, p.ground(), anyLayout)
		if err != nil {
			return nil, err
		}
		if turned.score >= best.score { // without words at all both are nothing
			best = turned
		}
	}
	if err := p.readLeftOut(best); err != nil {
		return nil, err
	}
	if err := p.inOneLanguage(best); err != nil {
		return nil, err
	}
	best.fill(out)
	if !p.does(Upright) {
		out.Rotate = 0
	}
	if !p.does(Straighten) || math.Abs(out.Skew) > mostShown {
		out.Skew = 0
	}
	p.cut(out)
	return out, nil
}

// lie gives the clockwise quarter turns with which to read the page first. The
// engine would need longer to find out than to read the page.
func (p *page) lie() (quarters int, err error) {
	if p.sparse {
		return p.turn, nil
	}
	ink, err := p.binary()
	if err != nil {
		return 0, err
	}
	defer ink.Close()
	quarters, sure, err := ink.Upright()
	if err != nil {
		return 0, err
	}
	// Of a page of digits and capitals it can be mistaken, and the engine needs twice as long
	// for what stands on its head. Most pages lie upright.
	const weak = 12
	switch p.lies = sure > 0; {
	case !p.lies:
		return p.turn, nil
	case sure < weak && quarters != p.turn:
		return p.lieBySample(ink, quarters)
	}
	return quarters, nil
}

// lieBySample gives that way to lie in which a few words of the page are read best: the one
// that is expected, turned by quarters, or so that the other end is up. ink is that of the page.
func (p *page) lieBySample(ink *imaging.Pix, quarters int) (int, error) {
	best, score := p.turn, 0.0
	p.lies = false
	for i, q := range []int{quarters, (quarters + 2) % 4, p.turn} {
		if i == 2 && (p.lies || q%2 == quarters%2) {
			break // nothing takes as long to read as print that lies on its side
		}
		r, err := p.sample(ink, q)
		if err != nil {
			return 0, err
		}
		if r.angle == 0 && r.score > score {
			best, score, p.lies = q, r.score, true
		}
		if r.sure() {
			break
		}
	}
	return best, nil
}

// sample reads the part of the page, turned by quarters, in which most stands.
func (p *page) sample(ink *imaging.Pix, quarters int) (*reading, error) {
	const width, height = 80, 12 // mm: some lines of a few words
	turned, err := ink.Turn(quarters)
	if err != nil {
		return nil, err
	}
	unit := float64(p.dpi) / 25.4
	at, err := densest(turned, unit, int(width*unit), int(height*unit))
	turned.Close()
	if err != nil {
		return nil, err
	}
	clean, err := p.image(whitened)
	if err != nil {
		return nil, err
	}
	page, err := clean.Turn(quarters)
	if err != nil {
		return nil, err
	}
	part, err := page.Cut(at.Min.X, at.Min.Y, at.Dx(), at.Dy())
	page.Close()
	if err != nil {
		return nil, err
	}
	if err := p.putAway(); err != nil {
		part.Close()
		return nil, err
	}
	r := new(reading)
	if r.lines, err = p.worker.engine.read(part, p.dpi, oneBlock, p.request.Languages); err != nil {
		return nil, err
	}
	r.judge()
	return r, nil
}

// densest gives the part of so many pixels of a 1-bit image in which most letters begin.
func densest(ink *imaging.Pix, unit float64, width, height int) (image.Rectangle, error) {
	const (
		least, most = 1, 6 // mm, of a letter
		limit       = 20_000
		steps       = 4 // in a width and in a height
	)
	pieces, err := ink.Pieces(int(least*unit), int(most*unit), limit)
	if err != nil {
		return image.Rectangle{}, err
	}
	width, height = min(width, ink.Width()), min(height, ink.Height())
	dx, dy := max(1, width/steps), max(1, height/steps)
	count := make(map[image.Point]int)
	for _, b := range pieces {
		count[image.Pt(b.Min.X/dx, b.Min.Y/dy)]++
	}
	var best image.Rectangle
	found := -1
	for y := 0; y+height <= ink.Height(); y += dy {
		for x := 0; x+width <= ink.Width(); x += dx {
			n := 0
			for i := range steps {
				for j := range steps {
					n += count[image.Pt(x/dx+i, y/dy+j)]
				}
			}
			if n > found {
				best, found = image.Rect(x, y, x+width, y+height), n
			}
		}
	}
	return best, nil
}

// cut tells where on the page the sheet is, if more than it is to be seen.
func (p *page) cut(out *text.Page) {
	if !p.sheet.Cut() || !p.does(Crop) {
		return
	}
	x, y, w, h := p.sheet.Box(p.columns, p.rows, out.Skew)
	sx, sy := float64(p.width)/float64(p.columns), float64(p.height)/float64(p.rows)
	// A sheet that is smaller than a bank card is none.
	if least := 1.5 * float64(p.request.DPI); w*sx < least || h*sy < least {
		return
	}
	out.Sheet = &text.Box{X: round(x * sx), Y: round(y * sy), Width: round(w * sx), Height: round(h * sy)}
}

// openPage decodes src in grey at about readDPI.
func (w *worker) openPage(src *source, r request) (*page, error) {
	p := &page{worker: w, source: src, request: r, turn: src.header.Turn, skew: [2]float64{math.NaN(), math.NaN()}}
	full, err := p.decode()
	if err != nil {
		return nil, err
	}
	defer full.Close()
	if err = p.clear(); err == nil && !p.blank {
		err = p.readCodes(full)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// decode makes p.gray of the source. full is the image of which it was made.
func (p *page) decode() (full *imaging.Pix, err error) {
	r, h := p.request, p.source.header
	reduce := 1
	for reduce < 8 && r.DPI/(2*reduce) >= readDPI {
		reduce *= 2
	}
	if full, _, err = imaging.Decode(p.source.data, h, reduce, true); err != nil {
		return nil, err
	}
	p.width, p.height, p.dpi = h.Width, h.Height, readDPI
	if !h.Reduces() { // and a TIFF may have been turned
		p.width, p.height = full.Width(), full.Height()
	}
	if r.DPI >= leastDPI && r.DPI < mostDPI {
		p.dpi = r.DPI
		p.gray, err = full.Gray()
	} else {
		var scaled *imaging.Pix
		scaled, err = full.Scale(max(1, (p.width*readDPI+r.DPI/2)/r.DPI), max(1, (p.height*readDPI+r.DPI/2)/r.DPI))
		if err == nil {
			defer scaled.Close()
			p.gray, err = scaled.Gray()
		}
	}
	if err != nil {
		full.Close()
		return nil, err
	}
	p.columns, p.rows = p.gray.Width(), p.gray.Height()
	return full, nil
}

// bare paints over the bed in p.gray, in which s is the sheet.
func (p *page) bare(s imaging.Sheet) error {
	const inset = 0.8 // mm: the shadow of the paper's edge
	if !s.Cut() {
		return nil
	}
	return p.gray.Outside(s, inset*float64(p.dpi)/25.4)
}

// image gives one of the images of the page, of which putAway may have let go. It stays the
// page's.
func (p *page) image(g ground) (_ *imaging.Pix, err error) {
	switch {
	case g == whitened && p.clean == nil:
		p.clean, err = p.packed.Unpack()
	case g == scanned && p.gray == nil:
		err = p.decodeAgain()
	}
	if g == scanned {
		return p.gray, err
	}
	return p.clean, err
}

// decodeAgain makes p.gray once more as it was.
func (p *page) decodeAgain() error {
	full, err := p.decode()
	if err != nil {
		return err
	}
	full.Close()
	s := p.sheet
	if p.negative {
		s = s.Inverted()
	}
	if err := p.bare(s); err != nil {
		return err
	}
	if p.negative {
		if err := p.gray.Invert(); err != nil {
			return err
		}
	}
	if err := p.gray.Fill(p.holes, p.sheet.Level); err != nil {
		return err
	}
	p.blot(p.gray)
	return nil
}

// putAway lets go of the images, before the engine takes the most memory. Few pages are
// read again: the white one, which takes little, is kept for them, and the other
// one is decoded anew.
func (p *page) putAway() (err error) {
	if p.packed == nil {
		clean, err := p.image(whitened)
		if err != nil {
			return err
		}
		if p.packed, err = clean.Pack(); err != nil {
			return err
		}
	}
	p.gray.Close()
	p.clean.Close()
	p.gray, p.clean = nil, nil
	return nil
}

// clear finds the sheet and what stands on it, and makes the background white.
func (p *page) clear() error {
	dpi := float64(p.dpi)
	var err error
	if p.sheet, err = p.gray.Sheet(dpi); err != nil {
		return err
	}
	if err := p.bare(p.sheet); err != nil {
		return err
	}
	// All that follows looks for dark print on light paper.
	const darkPaper = 100
	if p.negative = p.sheet.Level < darkPaper; p.negative {
		if err := p.gray.Invert(); err != nil {
			return err
		}
		p.sheet = p.sheet.Inverted()
	}
	if p.clean, err = p.gray.Even(); err != nil {
		return err
	}
	const few, many, someSoft, muchSoft, leastPale = 30, 300, 8, 20, 10 // marks, marks, pieces, pieces, marks
	care := p.care()
	if p.ink, err = p.clean.Ink(p.gray, dpi, p.sheet, care, many); err != nil {
		return err
	}
	if p.blank = p.request.Blank != KeepBlank && care.Blank(p.ink); p.blank {
		// A photograph has been evened out like a stain.
		const least = 100 // mm²
		contrast, sharp := 1.25*care.Contrast, 0.0
		through := p.ink.Soft > someSoft
		if through { // then its edges tell on which side it is
			sharp = 1.2 * care.Sharp
		}
		area, err := p.gray.Tint(dpi, p.sheet, contrast, sharp)
		if err == nil && through && area < least { // a picture on the other side is darker than the letters there
			area, err = p.gray.Tint(dpi, p.sheet, max(contrast, 1.6*p.ink.Shine), 0)
		}
		if err != nil {
			return err
		}
		p.blank = area < least
		if p.blank { // a pale area is print if its edges are sharp: those of stains and of what is seen through the paper are not
			if area, err = p.gray.Tint(dpi, p.sheet, 0.6*care.Contrast, 1.2*care.Sharp); err != nil {
				return err
			}
			p.blank = area == 0
		}
		if p.blank { // nor is there any that only its colour tells
			hued, err := p.hued(care)
			if err != nil {
				return err
			}
			p.blank = !hued
		}
	}
	p.sparse = p.ink.Marks < few
	worn := p.ink.Pale*20 >= p.ink.Marks && p.ink.Pale > leastPale && p.ink.Soft < p.ink.Pale
	if worn {
		if err := p.clean.Deepen(dpi); err != nil {
			return err
		}
	}
	if err := p.clean.Whiten(); err != nil {
		return err
	}
	if p.does(Crop) && !p.negative { // a hole is no part of the sheet
		if p.holes, err = p.gray.Holes(dpi, p.sheet); err != nil {
			return err
		}
		if err := errors.Join(p.gray.Fill(p.holes, p.sheet.Level), p.clean.Fill(p.holes, 255)); err != nil {
			return err
		}
	}
	share, err := p.clean.Solids(p.gray, dpi, p.sheet.Level)
	if err != nil {
		return err
	}
	if p.blank && p.ink.Soft > someSoft {
		if p.legible, err = p.readable(); err != nil {
			return err
		}
		p.blank = !p.legible
		p.sparse = p.sparse && p.blank
	}
	// A photograph is full of soft pieces, too, and so is worn print.
	if p.dark = share > leastDark; !p.dark && !p.legible && !worn && p.ink.Soft > muchSoft && 8*p.ink.Soft > p.ink.Marks {
		p.shine = min(p.ink.Shine, 1)
		return p.clean.Fade(p.shine)
	}
	return nil
}

// hued reports whether there is a mark on the page that is told from the paper by its colour, which
// is decoded for that.
func (p *page) hued(care imaging.Care) (bool, error) {
	const least = 140 // dpi, at which edges are told
	if !p.source.header.Colored() {
		return false, nil
	}
	reduce := 1
	for reduce < 8 && p.request.DPI >= 2*reduce*least {
		reduce *= 2
	}
	planes, err := imaging.DecodePlanes(p.source.data, p.source.header, reduce)
	if errors.Is(err, imaging.ErrDamaged) || errors.Is(err, imaging.ErrMemory) {
		return true, nil // nobody knows
	}
	if err != nil {
		return false, err
	}
	defer planes.Close()
	return planes.Hued(float64(p.dpi), p.sheet, p.columns, care), nil
}

// readable reports whether a page that is blank but for soft and pale pieces has words all
// the same, such as a carbon copy has: what is seen through the paper is the wrong way round,
// and nobody can read it.
func (p *page) readable() (bool, error) {
	const fewest, sure, long = 6, 80, 3 // words, per cent, letters
	was := p.sparse
	p.sparse = false
	defer func() { p.sparse = was }()
	quarters, err := p.lie()
	if err != nil {
		return false, err
	}
	// The page is not done, so that its images stay where they are.
	_, straight, err := p.straight(quarters, whitened)
	if err != nil {
		return false, err
	}
	defer straight.Close()
	lines, err := p.worker.engine.read(straight, p.dpi, anyLayout, p.request.Languages)
	if err != nil {
		return false, err
	}
	words, all := 0, 0
	for _, l := range lines {
		all += len(l.words)
		for _, w := range l.words {
			if w.confidence >= sure && letters(w.text) >= long {
				words++
			}
		}
	}
	return words >= fewest && 2*words >= all, nil
}

// care is how little ink keeps the page. The middle one takes three words of 6
// points, a page number and a pencil line for ink, and specks of dust that are
// as large as their full stops for none.
func (p *page) care() imaging.Care {
	c := imaging.Care{Contrast: 0.12, Sharp: 5.3, Mark: 0.6, Letter: 1.3, Few: 8, Row: 3}
	switch p.request.Blank {
	case CarefulBlank:
		c = imaging.Care{Contrast: 0.07, Sharp: 3.5, Mark: 0.5, Letter: 0.9, Few: 3, Row: 3}
	case EagerBlank:
		c = imaging.Care{Contrast: 0.2, Sharp: 6.5, Mark: 0.8, Letter: 2, Few: 12, Row: 4}
	}
	// A coarse scan makes everything softer.
	c.Sharp *= min(1, 0.5+float64(p.request.DPI)/600)
	return c
}

// does reports whether a step of the clean-up is wanted.
func (p *page) does(s Step) bool { return !slices.Contains(p.request.Leave, s) }

// ground gives the image that is read: with a white background, unless that is
// not wanted.
func (p *page) ground() ground {
	if p.does(Background) {
		return whitened
	}
	return scanned
}

func (p *page) close() {
	p.gray.Close()
	p.clean.Close()
	p.packed.Close()
}

// read reads one of the images, turned clockwise by quarters and straightened.
func (p *page) read(quarters int, from ground, l layout) (*reading, error) {
	r, straight, err := p.straight(quarters, from)
	if err != nil {
		return nil, err
	}
	defer straight.Close()
	if err := p.putAway(); err != nil {
		return nil, err
	}
	r.layout, r.from = l, from
	combs, err := p.combs(straight, quarters, p.light(from))
	if err != nil {
		return nil, err
	}
	combs.clear(straight, p.light(from))
	if r.lines, err = p.worker.engine.read(straight, p.dpi, l, p.request.Languages); err != nil {
		return nil, err
	}
	r.lines = combs.among(interleave(unweave(unmerge(r.lines))))
	r.skew = r.place.residual(r.lines, r.skew)
	r.judge()
	return r, nil
}

// light is the grey of the paper on one of the images.
func (p *page) light(g ground) int {
	if g == scanned {
		return p.sheet.Level
	}
	return 255
}

// straight gives one of the images, turned clockwise by quarters and straightened, and the
// beginning of a reading of it.
func (p *page) straight(quarters int, g ground) (*reading, *imaging.Pix, error) {
	from, err := p.image(g)
	if err != nil {
		return nil, nil, err
	}
	turned, err := from.Turn(quarters)
	if err != nil {
		return nil, nil, err
	}
	skew, err := p.skewAfter(quarters)
	if err != nil {
		turned.Close()
		return nil, nil, err
	}
	r := &reading{skew: skew}
	if math.Abs(skew) < leastSkew {
		r.place = newPlacement(p.width, p.height, p.columns, p.rows, quarters, 0, 0)
		return r, turned, nil
	}
	border := int(math.Ceil(math.Sin(math.Abs(skew)*math.Pi/180) * float64(max(p.columns, p.rows)) / 2))
	straight, err := turned.Rotate(-skew, border)
	turned.Close() // the engine needs the memory
	if err != nil {
		return nil, nil, err
	}
	r.place = newPlacement(p.width, p.height, p.columns, p.rows, quarters, border, -skew)
	return r, straight, nil
}

// narrow reports whether the sheet is a receipt by its width.
func (p *page) narrow() bool {
	const widest = 4.5 // inches; till rolls are 80 mm, and some bed may show
	return float64(min(p.width, p.height))/float64(p.request.DPI) < widest
}

// skewAfter gives the skew of the page after quarter turns.
func (p *page) skewAfter(quarters int) (_ float64, err error) {
	skew := &p.skew[quarters%2]
	if !math.IsNaN(*skew) {
		return *skew, nil
	}
	*skew = 0
	if !p.sparse { // a signature rises as it likes
		if *skew, err = p.measureSkew(quarters); err != nil {
			return 0, err
		}
	}
	if *skew == 0 && !math.IsNaN(p.sheet.Skew) { // there are too few lines to tell
		*skew = p.sheet.Skew
	}
	return *skew, nil
}

// binary gives the ink of the page.
func (p *page) binary() (*imaging.Pix, error) {
	clean, err := p.image(whitened)
	if err != nil {
		return nil, err
	}
	return clean.Binary(inkLevel)
}

// measureSkew measures how far the lines are turned after quarter turns.
func (p *page) measureSkew(quarters int) (float64, error) {
	return p.measure(quarters, (*imaging.Pix).Skew)
}

func (p *page) measure(quarters int, skew func(*imaging.Pix) float64) (float64, error) {
	ink, err := p.binary()
	if err != nil {
		return 0, err
	}
	defer ink.Close()
	turned, err := ink.Turn(quarters)
	if err != nil {
		return 0, err
	}
	defer turned.Close()
	return skew(turned), nil
}

// judge sums up what was read.
func (r *reading) judge() {
	byAngle := make(map[int]int)
	var sum float64
	for _, l := range r.lines {
		for _, w := range l.words {
			r.words++
			sum += w.confidence
			n := letters(w.text)
			byAngle[l.angle] += n
			r.score += float64(n) * (w.confidence - 50)
		}
	}
	if r.words > 0 {
		r.confidence = sum / float64(r.words)
	}
	for angle, n := range byAngle {
		if n > byAngle[r.angle] {
			r.angle = angle
		}
	}
}

// letters counts the letters and digits of s.
func letters(s string) int {
	n := 0
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			n++
		}
	}
	return n
}

// readOtherwise looks for a better reading than first: the page straightened, if its
// lines lie far askew; turned, if first is doubtful or runs up or down the page; as one
// block, if it is a receipt, of which the engine takes the column of prices for a picture
// at times; and its background left as it is, if the best is doubtful or the page has dark
// areas.
func (p *page) readOtherwise(first *reading) (*reading, error) {
	const few = 20 // words: what is less has no columns
	best := first
	try := func(quarters int, from ground, l layout) error {
		r, err := p.read(quarters, from, l)
		if err != nil {
			return err
		}
		// The engine reads text that runs up or down as well, but knows its
		// baselines only when the page is turned.
		if r.score > best.score || best.angle != 0 && r.angle == 0 && r.score > 0.8*best.score {
			best = r
		}
		return nil
	}
	lying := first.place.quarters
	for _, q := range []int{lying, (lying + 1) % 4} {
		if first.sure() || p.sparse || p.skew[lying%2] != 0 {
			break
		}
		far, err := p.measure(q, (*imaging.Pix).FarSkew)
		if err != nil {
			return nil, err
		}
		if math.Abs(far) <= mostShown {
			continue // it was looked for there
		}
		was := p.skew
		p.skew = [2]float64{far, far}
		for _, q := range []int{q, (q + 2) % 4} { // letters that are askew do not tell which
			if best.confidence < uprightConfidence {
				if err := try(q, p.ground(), anyLayout); err != nil {
					return nil, err
				}
			}
		}
		if best == first {
			p.skew = was
		}
		first = best
	}
	quarters := (first.place.quarters + first.angle/90) % 4
	if first.confidence < uprightConfidence {
		clean, err := p.image(whitened)
		if err != nil {
			return nil, err
		}
		q, confidence, err := p.worker.engine.orientation(clean, p.dpi)
		switch {
		case err != nil || confidence > 0:
		case p.lies:
			q = first.place.quarters
		default:
			q, err = p.guessTurn(first)
		}
		if err != nil {
			return nil, err
		}
		quarters = q
	}
	if quarters != first.place.quarters {
		if err := try(quarters, p.ground(), anyLayout); err != nil {
			return nil, err
		}
	}
	// Of large handwriting it makes columns where there are none.
	if p.narrow() || best.confidence < uprightConfidence && best.words >= few {
		if err := try(best.place.quarters, p.ground(), oneBlock); err != nil {
			return nil, err
		}
	}
	if !best.sure() && p.does(Background) {
		// The image was decoded once: if that fails now, there is too little memory left beside
		// the engine, and what was read is kept.
		if _, err := p.image(scanned); err != nil && best.words > 0 {
			return best, nil
		}
		if err := try(best.place.quarters, scanned, best.layout); err != nil {
			return nil, err
		}
	}
	return best, nil
}

// guessTurn finds the quarter turns that make the page upright by reading it at
// a low resolution each way, for pages with too few letters to tell otherwise.
func (p *page) guessTurn(first *reading) (int, error) {
	const dpi = 150
	// A turn has to win a few sure words, not some specks.
	const leastScore = 200
	clean, err := p.image(whitened)
	if err != nil {
		return 0, err
	}
	small, err := clean.Scale(max(1, p.columns*dpi/p.dpi), max(1, p.rows*dpi/p.dpi))
	if err != nil {
		return 0, err
	}
	defer small.Close()
	best, score := first.place.quarters, math.Max(first.score, 0)+leastScore
	for _, more := range []int{2, 1, 3} {
		quarters := (first.place.quarters + more) % 4
		turned, err := small.Turn(quarters)
		if err != nil {
			return 0, err
		}
		r := new(reading)
		r.lines, err = p.worker.engine.read(turned, dpi, anyLayout, p.request.Languages)
		turned.Close()
		if err != nil {
			return 0, err
		}
		if r.judge(); r.angle == 0 && r.score > score {
			best, score = quarters, r.score
		}
	}
	return best, nil
}

// rotate gives the clockwise turn that makes the page upright, in degrees. Text
// that was read as running up or down the page says that the page lies on its
// side.
func (r *reading) rotate() int { return (90*r.place.quarters + r.angle) % 360 }

// lettersByLanguage counts the letters of lines that were read in each language, and all.
// Numbers are in none.
func lettersByLanguage(lines []hocrLine) (used map[string]int, all int) {
	used = make(map[string]int)
	for _, l := range lines {
		for _, w := range l.words {
			if strings.ContainsFunc(w.text, unicode.IsDigit) {
				continue
			}
			n := letters(w.text)
			used[w.language] += n
			all += n
		}
	}
	return used, all
}

// languages gives those among asked in which the page is written, most used
// first: the engine tells it of each word. Nothing read gives all.
func (r *reading) languages(asked []string) []string {
	const least = 20 // a twentieth of the letters; fewer are names and mistakes
	used, all := lettersByLanguage(r.lines)
	var list []string
	for _, l := range asked {
		if least*used[l] >= all && used[l] > 0 {
			list = append(list, l)
		}
	}
	if len(list) == 0 {
		return asked
	}
	slices.SortStableFunc(list, func(a, b string) int { return used[b] - used[a] })
	return list
}

// fill writes what was read to a page.
func (r *reading) fill(p *text.Page) {
	p.Rotate = r.rotate()
	p.Skew = round(r.skew)
	p.Confidence = round(r.confidence)
	p.Languages = r.languages(p.Languages)
	for _, row := range rows(r.lines) {
		l := text.Line{Paragraph: row[0].paragraph}
		for _, cell := range row {
			l.Words = append(l.Words, r.place.words(cell)...)
		}
		p.Lines = append(p.Lines, l)
	}
}
