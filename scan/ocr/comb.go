package ocr

import (
	"cmp"
	"image"
	"math"
	"slices"

	"docscan/scan/imaging"
)

// Many forms have a comb for an entry: a row of cells, one for each letter. The engine takes
// its lines for letters, and each letter for a word. So what is in the cells is moved together
// and read as a line of its own, before the page is. Of the page nothing is taken out but the
// lines of combs, and the ink of those cells that have been read so: what is pale, or what the
// engine could not read, it gets to see in its place.

// A comb is a row of cells of one width.
type comb struct {
	strokes []image.Rectangle // the lines beside the cells
	box     image.Rectangle   // with its lines
	cells   []imaging.Cell
	filled  int  // cells with ink
	closed  bool // there is a line above the cells, too
}

// combed is what has been read of the combs of a page.
type combed struct {
	lines []hocrLine        // without paragraphs
	gone  []image.Rectangle // lines of combs, and what has been read
}

// pale is how light the lines of a comb may be printed, of the paper's light.
const pale = 0.88

// softEdge is how far the edges of print reach, mm.
const softEdge = 0.25

// combsOf finds the combs of a straight image, whose paper is as light as level.
func combsOf(straight *imaging.Pix, dpi, level int) ([]comb, error) {
	const (
		shortest = 2.3  // mm, of the lines between cells
		limit    = 3000 // strokes: more are noise
	)
	unit := float64(dpi) / 25.4
	ink, err := straight.Binary(int(pale * float64(level)))
	if err != nil {
		return nil, err
	}
	strokes, err := ink.Strokes(int(shortest*unit), limit)
	ink.Close()
	if err != nil || len(strokes) == limit {
		return nil, err
	}
	var combs []comb
	for _, c := range combsAmong(strokes, unit) {
		if c.look(straight, unit, level) {
			combs = append(combs, c)
		}
	}
	return combs, nil
}

// combsAmong finds strokes of one height that stand beside each other at one distance.
func combsAmong(strokes []image.Rectangle, unit float64) []comb {
	const (
		tallest      = 12.0      // mm: what is taller goes through the rows of a table
		level        = 0.5       // mm between the ends of two strokes of a comb
		thickest     = 2.0       // mm, of a line, or of two with the room between two cells
		narrow, wide = 3.5, 13.0 // mm, of cells
		uneven       = 0.15      // of the width of a cell
		fewest       = 5         // cells
		flat, tooth  = 0.7, 1.05 // widths: cells that are lower have short teeth, and letters stand above them
	)
	strokes = slices.DeleteFunc(slices.Clone(strokes), func(r image.Rectangle) bool {
		return float64(r.Dy()) > tallest*unit || float64(r.Dx()) > thickest*unit
	})
	slices.SortFunc(strokes, func(a, b image.Rectangle) int {
		return cmp.Or(cmp.Compare(a.Min.Y, b.Min.Y), cmp.Compare(a.Min.X, b.Min.X))
	})
	near := func(a, b int) bool { return math.Abs(float64(a-b)) <= level*unit }
	var combs []comb
	for len(strokes) > fewest {
		first := strokes[0]
		var row, rest []image.Rectangle
		for _, s := range strokes {
			if near(s.Min.Y, first.Min.Y) && near(s.Max.Y, first.Max.Y) {
				row = append(row, s)
			} else {
				rest = append(rest, s)
			}
		}
		strokes = rest
		slices.SortFunc(row, func(a, b image.Rectangle) int { return cmp.Compare(a.Min.X, b.Min.X) })
		var lines []image.Rectangle
		for _, s := range row {
			if n := len(lines); n > 0 && float64(s.Max.X-lines[n-1].Min.X) < thickest*unit {
				lines[n-1] = lines[n-1].Union(s)
			} else {
				lines = append(lines, s)
			}
		}
		width := func(i int) float64 {
			return float64(lines[i+1].Min.X+lines[i+1].Max.X-lines[i].Min.X-lines[i].Max.X) / 2
		}
		for from := 0; from+fewest < len(lines); {
			to, mean := from, width(from)
			for to+1 < len(lines) && math.Abs(width(to)-mean) <= uneven*mean {
				to++
				mean += (width(to-1) - mean) / float64(to-from)
			}
			if to-from < fewest || mean < narrow*unit || mean > wide*unit {
				from = max(to, from+1)
				continue
			}
			var c comb
			for _, s := range row {
				if s.Min.X >= lines[from].Min.X && s.Max.X <= lines[to].Max.X {
					c.strokes, c.box = append(c.strokes, s), c.box.Union(s)
				}
			}
			if float64(c.box.Dy()) < flat*mean {
				c.box.Min.Y = max(0, c.box.Max.Y-int(tooth*mean))
			}
			edge := int(math.Ceil(softEdge * unit))
			for i := from; i < to; i++ {
				// The line below them may be as thick as those between.
				foot := c.box.Max.Y - min(lines[i].Dx(), edge) - edge
				c.cells = append(c.cells, imaging.Cell{Rectangle: image.Rect(lines[i].Max.X+edge, c.box.Min.Y+2*edge, lines[i+1].Min.X-edge, foot)})
			}
			combs = append(combs, c)
			from = to
		}
	}
	return combs
}

// look looks at what is in the cells of c. It reports whether c is a comb: there is a line below
// its cells, and no more than a letter in each.
func (c *comb) look(straight *imaging.Pix, unit float64, level int) bool {
	const (
		dark   = inkLevel / 255.0
		ruled  = 0.8  // of the width of the cells
		reach  = 0.8  // mm below them, of the line
		single = 0.75 // of the letters are of one piece: more stand in a column of a table
		broad  = 1.3  // heights, of the widest letter
		tall   = 1.7  // heights of a capital: so high is a letter with a label above it
	)
	width := 0
	for _, l := range c.cells {
		if l.Dx() <= 0 || l.Dy() <= 0 {
			return false
		}
		width += l.Dx()
	}
	look := func(cells []imaging.Cell, darker, reach float64) (ruling bool) {
		straight.Look(cells, int(darker*float64(level)), int(pale*float64(level)), int(reach*unit))
		floor := 0
		for _, l := range cells {
			floor += l.Floor
		}
		return float64(floor) >= ruled*float64(width)
	}
	top := c.strokes[0].Min.Y
	for _, s := range c.strokes {
		top = min(top, s.Min.Y)
	}
	above := slices.Clone(c.cells)
	at := max(1, top-int(softEdge*unit))
	for i := range above {
		above[i].Min.Y, above[i].Max.Y = at-1, at
	}
	// Cells with lines all round that are much wider than high are a row of a table.
	if c.closed = look(above, pale, 3*softEdge); c.closed && c.box.Min.Y < top {
		return false
	}
	var heights []int
	darkInk := false
	for _, darker := range []float64{dark, pale} { // an entry in pencil is pale
		if !look(c.cells, darker, reach) {
			return false
		}
		for _, l := range c.cells {
			if !l.Ink.Empty() {
				heights = append(heights, l.Ink.Dy())
			}
		}
		if len(heights) > 0 {
			darkInk = darker == dark
			break
		}
	}
	if c.filled = len(heights); c.filled == 0 {
		return true
	}
	slices.Sort(heights)
	highest, capital, whole := heights[len(heights)-1], heights[3*(len(heights)-1)/4], 0
	for _, l := range c.cells {
		if l.Parts == 1 && float64(l.Ink.Dx()) <= broad*float64(highest) {
			whole++
		}
	}
	if float64(whole) >= single*float64(c.filled) && float64(highest) <= tall*float64(capital) {
		return true
	}
	c.filled = 0 // noise, or what is best read as it stands
	return !darkInk
}

// ruling gives where the lines of c are, and nothing else.
func (c *comb) ruling(unit float64) []image.Rectangle {
	edge := int(math.Ceil(softEdge * unit))
	var out []image.Rectangle
	for _, s := range c.strokes {
		out = append(out, s.Inset(-edge))
	}
	for _, l := range c.cells {
		out = append(out, image.Rect(l.Min.X-edge, l.Max.Y, l.Max.X+edge, c.box.Max.Y+edge))
		if c.closed {
			out = append(out, image.Rect(l.Min.X-edge, c.box.Min.Y-edge, l.Max.X+edge, l.Min.Y))
		}
	}
	return out
}

// combs reads the combs of a straight image of the page, turned by quarters, whose paper is as
// light as level. The next reading that is turned so gets the same.
func (p *page) combs(straight *imaging.Pix, quarters, level int) (*combed, error) {
	const mostRows, mostOfPage = 60, 90 // combs that are read, of an image and of a page: each takes a call of the engine
	if p.combed[quarters] != nil {
		return p.combed[quarters], nil
	}
	combs, err := combsOf(straight, p.dpi, level)
	if err != nil {
		return nil, err
	}
	unit := float64(p.dpi) / 25.4
	read := new(combed)
	rows := 0
	for i := range combs {
		c := &combs[i]
		read.gone = append(read.gone, c.ruling(unit)...)
		if c.filled == 0 || rows == mostRows || p.combRows == mostOfPage {
			continue
		}
		rows++
		p.combRows++
		lines, err := c.read(&p.worker.engine, straight, p.dpi, p.request.Languages)
		if err != nil {
			continue // it is left where it is, and the page is read all the same
		}
		lines, gone := c.take(lines, unit)
		read.lines, read.gone = append(read.lines, lines...), append(read.gone, gone...)
	}
	p.combed[quarters] = read
	return read, nil
}

// clear takes out of a straight image what is read.
func (k *combed) clear(straight *imaging.Pix, level int) {
	all := image.Rect(0, 0, straight.Width(), straight.Height())
	for _, r := range k.gone {
		if r = r.Intersect(all); !r.Empty() {
			straight.Clear(r, level)
		}
	}
}

// among puts what stood in combs among the other lines of the page.
func (k *combed) among(lines []hocrLine) []hocrLine {
	paragraph := 0
	for i := range lines {
		paragraph = max(paragraph, lines[i].paragraph)
	}
	for _, l := range k.lines {
		paragraph++
		l.paragraph, l.boxed, l.words = paragraph, true, slices.Clone(l.words)
		lines = insert(lines, l)
	}
	return lines
}

// read reads what is in the cells of c, moved together.
func (c *comb) read(e *engine, straight *imaging.Pix, dpi int, languages []string) ([]hocrLine, error) {
	const apart, space = 0.8, 2.0 // mm: between letters and words of some 12 points
	unit := float64(dpi) / 25.4
	row, err := straight.Row(c.cells, int(apart*unit), int(space*unit))
	if err != nil {
		return nil, err
	}
	return e.read(row, dpi, oneLine, languages)
}

// take puts lines, which were read of the cells of c, where they stand on the page, and gives
// what may be taken out of it. It takes none of them if they can not be what is in the cells.
func (c *comb) take(lines []hocrLine, unit float64) (taken []hocrLine, gone []image.Rectangle) {
	const (
		fewest = 0.75 // letters for each cell with ink
		sure   = 30   // per cent, mean of the words
	)
	letters, words, confidence := 0, 0, 0.0
	edge := int(math.Ceil(softEdge * unit))
	for _, l := range lines {
		at := c.place(&l)
		if l.angle != 0 || len(at) == 0 {
			continue
		}
		taken = append(taken, l)
		for _, w := range l.words {
			letters += len([]rune(w.text))
			words++
			confidence += w.confidence
		}
		for _, cell := range at {
			gone = append(gone, cell.Ink.Inset(-edge).Intersect(cell.Rectangle))
		}
	}
	if float64(letters) < fewest*float64(c.filled) || confidence < sure*float64(words) {
		return nil, nil
	}
	return taken, gone
}

// place puts the words of l, which was read of the row of c, where they stand on the page, and
// gives the cells in which they do. It drops those that are in none.
func (c *comb) place(l *hocrLine) (in []imaging.Cell) {
	words := l.words
	l.words = nil
	var bottoms []int
	for _, w := range words {
		var at image.Rectangle
		for _, cell := range c.cells {
			if middle := float64(cell.At) + float64(cell.Ink.Dx())/2; !cell.Ink.Empty() && middle >= w.box.left && middle <= w.box.right {
				at = at.Union(cell.Ink)
				bottoms = append(bottoms, cell.Ink.Max.Y)
				in = append(in, cell)
			}
		}
		if at.Empty() {
			continue
		}
		w.box = box{float64(at.Min.X), float64(at.Min.Y), float64(at.Max.X), float64(at.Max.Y)}
		if l.words = append(l.words, w); len(l.words) == 1 {
			l.box = w.box
		}
		l.box = l.box.with(w.box)
	}
	if len(in) == 0 {
		return nil
	}
	slices.Sort(bottoms) // of a comma it is lower
	l.slope, l.based, l.offset = 0, true, float64(bottoms[len(bottoms)/2])-l.box.bottom
	return in
}
