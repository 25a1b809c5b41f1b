package ocr

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"

	"docscan/scan/imaging"
)

// The engine looks for columns and pictures first, and what it takes for neither is
// lost: a narrow column of quantities, a price that stands alone, a word in a margin.
// So pieces of ink of the size of letters in which it read nothing are looked for, and
// what lies together is read as a block of its own.

// A group is pieces of ink that lie together as the letters of a line or the lines of a
// block do.
type group struct {
	box    box
	pieces int
}

// readLeftOut reads what r has left out of the page.
func (p *page) readLeftOut(r *reading) error {
	const (
		leastSure         = 60       // per cent, mean of the page: of handwriting all is left out
		shortest, longest = 1.0, 9.0 // mm: the longer side of a letter
		margin            = 1.5      // mm around a block
		mostPieces        = 20000    // more are noise
		mostLeft          = 3000     // more are a picture
		mostBlocks        = 8        // each is read by itself, which takes time
		mostOfPage        = 0.3      // a larger block is no print that the engine has missed
	)
	if r.words == 0 || r.confidence < leastSure || r.angle != 0 || !p.does(Background) {
		return nil
	}
	_, straight, err := p.straight(r.place.quarters, whitened)
	if err != nil {
		return err
	}
	defer straight.Close()
	if err := p.putAway(); err != nil {
		return err
	}
	if read := p.combed[r.place.quarters]; read != nil {
		read.clear(straight, p.light(whitened))
	}
	unit := float64(p.dpi) / 25.4
	pieces, err := piecesOf(straight, int(shortest*unit), int(longest*unit), mostPieces)
	if err != nil || len(pieces) == mostPieces {
		return err
	}
	read := slices.DeleteFunc(slices.Clone(r.lines), hocrLine.stacked)
	left := leftOut(pieces, read)
	if len(left) == 0 || len(left) > mostLeft {
		return nil
	}
	blocks := blocksOf(left, read)
	if len(blocks) > mostBlocks {
		blocks = blocks[:mostBlocks]
	}
	page := float64(straight.Width()) * float64(straight.Height())
	paragraph := 0
	for i := range r.lines {
		paragraph = max(paragraph, r.lines[i].paragraph)
	}
	for _, b := range blocks {
		x, y := max(0, int(b.box.left-margin*unit)), max(0, int(b.box.top-margin*unit))
		right, bottom := min(straight.Width(), int(b.box.right+margin*unit)), min(straight.Height(), int(b.box.bottom+margin*unit))
		if float64(right-x)*float64(bottom-y) > mostOfPage*page {
			continue
		}
		part, err := straight.Cut(x, y, right-x, bottom-y)
		if err != nil {
			return err
		}
		lines, err := p.worker.engine.read(part, p.dpi, oneBlock, p.request.Languages)
		part.Close()
		if err != nil {
			return err
		}
		lines = trusted(lines, float64(x), float64(y), b, read)
		if len(lines) == 0 {
			continue
		}
		paragraph++
		r.lines = slices.DeleteFunc(r.lines, func(o hocrLine) bool {
			return o.stacked() && o.mostlyIn(lines)
		})
		for _, l := range lines {
			l.paragraph = paragraph
			r.lines = insert(r.lines, l)
		}
	}
	r.words, r.score = 0, 0
	r.judge()
	return nil
}

// stacked reports whether l may be short cells of a table, one below the other, which
// the engine has read as a line that runs up or down the page.
func (l hocrLine) stacked() bool {
	const sure = 80 // per cent
	var sum float64
	for _, w := range l.words {
		sum += w.confidence
	}
	return l.angle%180 != 0 && sum < sure*float64(len(l.words))
}

// mostlyIn reports whether most of the words of l stand where lines are. What has been
// read of the others is all that there is.
func (l hocrLine) mostlyIn(lines []hocrLine) bool {
	in := 0
	for _, w := range l.words {
		if slices.ContainsFunc(lines, func(o hocrLine) bool { return o.box.meets(w.box) }) {
			in++
		}
	}
	return 2*in > len(l.words)
}

// piecesOf gives the pieces of ink of a cleaned page that are as large as letters.
func piecesOf(clean *imaging.Pix, least, most, limit int) ([]box, error) {
	ink, err := clean.Binary(inkLevel)
	if err != nil {
		return nil, err
	}
	defer ink.Close()
	list, err := ink.Pieces(least, most, limit)
	if err != nil {
		return nil, err
	}
	out := make([]box, len(list))
	for i, r := range list {
		out[i] = box{float64(r.Min.X), float64(r.Min.Y), float64(r.Max.X), float64(r.Max.Y)}
	}
	return out, nil
}

// leftOut gives the pieces that lie in no word of lines.
func leftOut(pieces []box, lines []hocrLine) []box {
	const near = 0.25 // heights of a word: its accents and full stops
	var words []box
	for i := range lines {
		for _, w := range lines[i].words {
			b := w.box
			m := near * math.Min(b.bottom-b.top, b.right-b.left)
			words = append(words, box{b.left - m, b.top - m, b.right + m, b.bottom + m})
		}
	}
	return slices.DeleteFunc(slices.Clone(pieces), func(p box) bool {
		return slices.ContainsFunc(words, p.meets)
	})
}

// blocksOf gives what lies together of pieces, the largest block first. A single piece
// counts if it stands in the row of a word of its size.
func blocksOf(pieces []box, lines []hocrLine) []group {
	const (
		apart = 1.2 // heights, between letters of a line
		alike = 2.2 // times the height
		rows  = 4.0 // heights, between the lines of a column
	)
	single := make([]group, len(pieces))
	for i, p := range pieces {
		single[i] = group{p, 1}
	}
	inLine := together(single, func(a, b box) bool {
		low, high := math.Min(a.height(), b.height()), math.Max(a.height(), b.height())
		shared := math.Min(a.bottom, b.bottom) - math.Max(a.top, b.top)
		gap := math.Max(a.left, b.left) - math.Min(a.right, b.right)
		return shared > 0.5*low && gap < apart*high && high < alike*low
	})
	inLine = slices.DeleteFunc(inLine, func(g group) bool { return g.pieces == 1 && !inRow(g.box, lines) })
	blocks := together(inLine, func(a, b box) bool {
		low, high := math.Min(a.height(), b.height()), math.Max(a.height(), b.height())
		shared := math.Min(a.right, b.right) - math.Max(a.left, b.left)
		gap := math.Max(a.top, b.top) - math.Min(a.bottom, b.bottom)
		return shared > 0 && gap < rows*high && high < alike*low
	})
	slices.SortStableFunc(blocks, func(a, b group) int { return cmp.Compare(b.pieces, a.pieces) })
	return blocks
}

// together joins groups of which near says that they belong together.
func together(groups []group, near func(a, b box) bool) []group {
	head := make([]int, len(groups)) // another group of the same ones, or itself
	for i := range head {
		head[i] = i
	}
	first := func(i int) int {
		for head[i] != i {
			head[i] = head[head[i]]
			i = head[i]
		}
		return i
	}
	for i := range groups {
		for j := range i {
			if near(groups[i].box, groups[j].box) {
				head[first(i)] = first(j)
			}
		}
	}
	joined := make(map[int]group)
	for i, g := range groups {
		to := first(i)
		if all, ok := joined[to]; ok {
			g = group{all.box.with(g.box), all.pieces + g.pieces}
		}
		joined[to] = g
	}
	out := slices.Collect(maps.Values(joined))
	slices.SortFunc(out, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.box.top, b.box.top), cmp.Compare(a.box.left, b.box.left))
	})
	return out
}

// inRow reports whether b stands beside a word of its size.
func inRow(b box, lines []hocrLine) bool {
	const smaller, larger = 0.6, 1.5
	return slices.ContainsFunc(lines, func(l hocrLine) bool {
		return l.angle == 0 && slices.ContainsFunc(l.words, func(w hocrWord) bool {
			shared := math.Min(b.bottom, w.box.bottom) - math.Max(b.top, w.box.top)
			size := b.height() / w.box.height()
			return shared > 0.7*b.height() && size > smaller && size < larger
		})
	})
}

// trusted gives those of lines, read in the part of the page that begins at x and y, that
// can be what stands in block: what the engine is sure of, and nothing that was read
// before. It gives none if much of the block is doubtful: then it is no print.
func trusted(lines []hocrLine, x, y float64, block group, before []hocrLine) []hocrLine {
	const (
		sure   = 75 // per cent
		margin = 0.3
	)
	m := margin * math.Min(block.box.height(), block.box.right-block.box.left)
	within := box{block.box.left - m, block.box.top - m, block.box.right + m, block.box.bottom + m}
	good, all := 0, 0
	var out []hocrLine
	for _, l := range lines {
		if l.angle != 0 {
			return nil
		}
		l.box.move(x, y)
		words := l.words
		l.words = nil
		for _, w := range words {
			w.box.move(x, y)
			at := w.box.centre()
			if !within.holds(at) || slices.ContainsFunc(before, func(o hocrLine) bool {
				return slices.ContainsFunc(o.words, func(v hocrWord) bool { return v.box.holds(at) || w.box.holds(v.box.centre()) })
			}) {
				continue
			}
			n := letters(w.text)
			all += len([]rune(w.text))
			// A lone stroke or loop is a letter to the engine, too.
			if n == 0 || w.confidence < sure || block.pieces == 1 && !strings.ContainsFunc(w.text, unicode.IsDigit) {
				continue
			}
			good += n
			l.words = append(l.words, w)
		}
		if n := len(l.words); n > 0 {
			l.offset += l.slope * (l.words[0].box.left - l.box.left)
			l.box.left, l.box.right = l.words[0].box.left, l.words[n-1].box.right
			out = append(out, l)
		}
	}
	if 4*good < 3*all {
		return nil
	}
	return out
}

// insert puts l where it stands among lines in reading order: into the line around it,
// behind what stands to its left, or under what stands above it.
func insert(lines []hocrLine, l hocrLine) []hocrLine {
	left, above := -1, -1
	for i := range lines {
		o := &lines[i]
		if o.angle != 0 {
			continue
		}
		middle := l.box.centre().y
		beside := middle > o.box.top && middle < o.box.bottom
		switch {
		case beside && o.box.left < l.box.left && o.box.right > l.box.right:
			o.words = append(o.words[:len(o.words):len(o.words)], l.words...)
			slices.SortStableFunc(o.words, func(a, b hocrWord) int { return cmp.Compare(a.box.left, b.box.left) })
			return lines
		case beside && o.box.right <= l.box.left:
			if left < 0 || o.box.right > lines[left].box.right {
				left = i
			}
		case o.box.bottom <= middle && o.overlaps(&l):
			if above < 0 || o.box.bottom > lines[above].box.bottom {
				above = i
			}
		}
	}
	switch {
	case left >= 0:
		return slices.Insert(lines, left+1, l)
	case above >= 0:
		return slices.Insert(lines, above+1, l)
	}
	for i := range lines {
		if lines[i].box.top >= l.box.top {
			return slices.Insert(lines, i, l)
		}
	}
	return append(lines, l)
}
