package ocr

import (
	"cmp"
	"image"
	"math"
	"slices"

	"docscan/scan/imaging"
)

// Many forms have a comb for an entry: a row of cells, one for each letter. The engine takes
// its lines for letters, and each letter for a word. So combs are taken out of the page before
// it is read, and what is in their cells is moved together and read as a line of its own.

// A comb is a row of cells of one width.
type comb struct {
	box   image.Rectangle // with its lines
	cells []imaging.Cell
	row   *imaging.Pix // what is in them, moved together; nil: nothing
}

// pale is how light the lines of a comb may be printed, of the paper's light.
const pale = 0.88

// combsOf finds the combs of a straight image, makes copies of what is in them, and takes
// them out of it. Paper is as light as level.
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
		ok, err := c.fill(straight, unit, level)
		if err != nil {
			closeCombs(combs)
			return nil, err
		}
		if ok {
			combs = append(combs, c)
		}
	}
	for _, c := range combs {
		straight.Clear(c.box.Inset(-int(0.3*unit)).Intersect(image.Rect(0, 0, straight.Width(), straight.Height())), level)
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
		inset        = 0.25      // mm: lines have soft edges
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
			c := comb{box: lines[from]}
			for _, l := range lines[from : to+1] {
				c.box = c.box.Union(l)
			}
			if float64(c.box.Dy()) < flat*mean {
				c.box.Min.Y = max(0, c.box.Max.Y-int(tooth*mean))
			}
			edge := int(math.Ceil(inset * unit))
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

// fill looks at what is in the cells of c. It reports whether c is a comb: there is a line below
// its cells, and no more than a letter in each.
func (c *comb) fill(straight *imaging.Pix, unit float64, level int) (ok bool, err error) {
	const (
		apart, space = 0.8, 2.0 // mm: between letters and words of some 12 points
		ruled        = 0.8      // of the width of the cells
		reach        = 0.8      // mm below them, of the line
		single       = 0.75     // of the letters are of one piece: more stand in a column of a table
		broad        = 1.3      // heights, of the widest letter
	)
	width := 0
	for _, l := range c.cells {
		if l.Dx() <= 0 || l.Dy() <= 0 {
			return false, nil
		}
		width += l.Dx()
	}
	straight.Look(c.cells, level*inkLevel/255, int(pale*float64(level)), int(reach*unit))
	floor, filled, whole, height := 0, 0, 0, 0
	for _, l := range c.cells {
		height = max(height, l.Ink.Dy())
	}
	for _, l := range c.cells {
		floor += l.Floor
		if l.Ink.Empty() {
			continue
		}
		if filled++; l.Parts == 1 && float64(l.Ink.Dx()) <= broad*float64(height) {
			whole++
		}
	}
	if float64(floor) < ruled*float64(width) || float64(whole) < single*float64(filled) {
		return false, nil
	}
	if filled > 0 {
		c.row, err = straight.Row(c.cells, int(apart*unit), int(space*unit))
	}
	return err == nil, err
}

// readCombs reads what stood in combs, and adds it to lines.
func (e *engine) readCombs(combs []comb, dpi int, languages []string, lines []hocrLine) ([]hocrLine, error) {
	paragraph := 0
	for i := range lines {
		paragraph = max(paragraph, lines[i].paragraph)
	}
	for i := range combs {
		c := &combs[i]
		if c.row == nil {
			continue
		}
		read, err := e.read(c.row, dpi, oneLine, languages)
		if c.row = nil; err != nil {
			return nil, err
		}
		for _, l := range read {
			if l.angle != 0 || !c.place(&l) {
				continue
			}
			paragraph++
			l.paragraph, l.boxed = paragraph, true
			lines = insert(lines, l)
		}
	}
	return lines, nil
}

// place puts the words of l, which was read of the row of c, where they stand on the page.
func (c *comb) place(l *hocrLine) bool {
	words := l.words
	l.words = nil
	var bottoms []int
	for _, w := range words {
		var at image.Rectangle
		for _, cell := range c.cells {
			if middle := float64(cell.At) + float64(cell.Ink.Dx())/2; !cell.Ink.Empty() && middle >= w.box.left && middle <= w.box.right {
				at = at.Union(cell.Ink)
				bottoms = append(bottoms, cell.Ink.Max.Y)
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
	if len(l.words) == 0 {
		return false
	}
	slices.Sort(bottoms) // of a comma it is lower
	l.slope, l.based, l.offset = 0, true, float64(bottoms[len(bottoms)/2])-l.box.bottom
	return true
}

func closeCombs(combs []comb) {
	for _, c := range combs {
		c.row.Close()
	}
}
