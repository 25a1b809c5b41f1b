package ocr

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"
)

// The engine finds columns. That is right for print that flows from the foot of
// one to the head of the next, and wrong for prices, amounts and the entries of
// a form, which it reads after all that stands to their left. Such cells are put
// back into their rows.

// mostLines is how many lines a page with rows has: one of noise has none.
const mostLines = 3000

// unmerge takes lines apart that the engine has read across two columns of prose,
// as it does where one of them stands on a dark ground: the left column comes
// first, then the right one.
func unmerge(lines []hocrLine) []hocrLine {
	var out []hocrLine
	paragraph := 0
	for i := range lines {
		paragraph = max(paragraph, lines[i].paragraph)
	}
	for i := 0; i < len(lines); {
		n, gutter := gutterFrom(lines[i:])
		if n == 0 {
			out = append(out, lines[i])
			i++
			continue
		}
		paragraph++
		var right []hocrLine
		for _, l := range lines[i : i+n] {
			a, b := l.cut(gutter)
			b.paragraph = paragraph
			out, right = append(out, a), append(right, b)
		}
		out, right = withWords(out), withWords(right) // words may stand in any order
		out = append(out, right...)
		i += n
	}
	return out
}

// gutterFrom gives how many of the first lines have words on both sides of a
// gutter between columns of prose, and where that is; 0 if they are no columns.
func gutterFrom(lines []hocrLine) (n int, at float64) {
	const fewest = 3 // lines: two can be anything
	var left, right float64
	for i := range lines {
		from, to, ok := lines[i].gap()
		if i > 0 {
			from, to = max(from, left), min(to, right)
			// A column goes on right below.
			ok = ok && lines[i].goesOn(&lines[i-1])
		}
		if !ok || to-from < lines[i].box.bottom-lines[i].box.top {
			break
		}
		left, right = from, to
		n++
	}
	if n < fewest {
		return 0, 0
	}
	at = (left + right) / 2
	var before, after []hocrLine
	for _, l := range lines[:n] {
		a, b := l.cut(at)
		before, after = append(before, a), append(after, b)
	}
	if !prose(before) || !prose(after) {
		return 0, 0 // the cells of a table
	}
	return n, at
}

// prose reports whether lines are those of a text, and no cells.
func prose(lines []hocrLine) bool {
	words, chars := 0, 0
	for _, l := range lines {
		words += len(l.words)
		for _, w := range l.words {
			if !strings.ContainsFunc(w.text, unicode.IsDigit) {
				chars += letters(w.text)
			}
		}
	}
	return words >= 3*len(lines) && chars >= 12*len(lines)
}

// unweave puts a column together that the engine has read in two parts with the one to its
// right between them, as it does where the lines of both do not lie level.
func unweave(lines []hocrLine) []hocrLine {
	const fewest = 2 // lines of the column between
	for i := 2; i < len(lines); i++ {
		l, from := &lines[i], i
		between := box{left: math.Inf(1), bottom: math.Inf(-1)}
		for from > 0 && lines[from-1].angle == 0 && lines[from-1].box.left > l.box.right {
			from--
			between.left, between.bottom = math.Min(between.left, lines[from].box.left), math.Max(between.bottom, lines[from].box.bottom)
		}
		if i-from < fewest || from == 0 || l.box.top > between.bottom || !l.goesOn(&lines[from-1]) {
			continue
		}
		to := i + 1
		for to < len(lines) && lines[to].box.right < between.left && lines[to].goesOn(&lines[to-1]) {
			to++
		}
		if lines[from-1].box.right < between.left && prose(lines[from:i]) && prose(append(lines[from-1:from:from], lines[i:to]...)) {
			lines = slices.Concat(lines[:from], lines[i:to], lines[from:i], lines[to:])
		}
		i = to - 1
	}
	return lines
}

// interleave puts a line that stands between two others of one column, which were read one
// after the other, between them: the engine takes it for a block of its own, and reads it
// after them.
func interleave(lines []hocrLine) []hocrLine {
	if len(lines) > mostLines {
		return lines
	}
	for i := 2; i < len(lines); i++ {
		l := lines[i]
		if l.angle != 0 || l.box.top >= lines[i-1].box.top {
			continue
		}
		y := l.box.centre().y
		for j := i - 1; j > 0; j-- {
			a, b := &lines[j-1], &lines[j]
			if a.angle == 0 && b.angle == 0 && a.box.bottom <= y && y <= b.box.top && l.overlaps(a) && l.overlaps(b) {
				copy(lines[j+1:i+1], lines[j:i])
				lines[j] = l
				break
			}
		}
	}
	return lines
}

// goesOn reports whether l is the next line of the text in which above stands.
func (l *hocrLine) goesOn(above *hocrLine) bool {
	height := above.box.bottom - above.box.top
	return l.angle == 0 && above.angle == 0 && l.overlaps(above) && l.box.top > above.box.top && l.box.top-above.box.bottom < 1.5*height
}

// gap gives the widest gap between words of a line, if it is far wider than
// those of prose.
func (l *hocrLine) gap() (from, to float64, ok bool) {
	if l.angle != 0 {
		return 0, 0, false
	}
	for i := range len(l.words) - 1 {
		if a, b := l.words[i].box.right, l.words[i+1].box.left; b-a > to-from {
			from, to = a, b
		}
	}
	return from, to, to-from > 1.8*(l.box.bottom-l.box.top)
}

// cut gives the words of a line before and after at as two lines.
func (l *hocrLine) cut(at float64) (before, after hocrLine) {
	before, after = *l, *l
	n := 0
	for n < len(l.words) && l.words[n].box.centre().x < at {
		n++
	}
	before.words, after.words = l.words[:n:n], l.words[n:]
	if n > 0 && n < len(l.words) {
		before.box.right = l.words[n-1].box.right
		after.box.left = l.words[n].box.left
		after.offset += l.slope * (after.box.left - l.box.left)
	}
	return before, after
}

// rows gives the lines in reading order, each with the cells of its row, from
// left to right.
func rows(lines []hocrLine) [][]*hocrLine {
	if len(lines) > mostLines {
		out := make([][]*hocrLine, len(lines))
		for i := range lines {
			out[i] = []*hocrLine{&lines[i]}
		}
		return out
	}
	lines = byBox(lines)
	numbers := make(map[int]int) // lines of a paragraph that are cells of numbers
	all := make(map[int]int)     // lines of a paragraph
	for i := range lines {
		all[lines[i].paragraph]++
		if lines[i].isNumber() {
			numbers[lines[i].paragraph]++
		}
	}
	cells := cellsOf(lines)
	boxOf := func(i int) box {
		if cells[i] != nil {
			return cells[i].box
		}
		return lines[i].box
	}
	// left gives the line nearest to the left of b, where lines take the boxes that
	// boxed gives; -1 if there is none.
	left := func(b box, boxed func(int) box) int {
		nearest := -1
		for j := range lines {
			if lines[j].angle == 0 && !lines[j].boxed && boxed(j).before(b) && (nearest < 0 || boxed(j).right > boxed(nearest).right) {
				nearest = j
			}
		}
		return nearest
	}
	boxed := func(j int) box { return lines[j].box }
	followers := make(map[int][]int) // of a line, what stands to its right
	placed := make([]bool, len(lines))
	below := make([]bool, len(lines)) // it follows, and has a row of its own
	isNumber := func(i int) bool {
		l := &lines[i]
		return l.isNumber() && 10*numbers[l.paragraph] >= 6*all[l.paragraph]
	}
	// numbersRow reports whether the line at j is the number of a row, in a column of such.
	numbersRow := func(j int) bool {
		l := &lines[j]
		return len(l.words) == 1 && letters(l.text()) <= 3 && isNumber(j) && all[l.paragraph] > 1 && left(l.box, boxed) < 0
	}
	for i := range lines {
		l := &lines[i]
		if placed[i] || l.angle != 0 || l.boxed {
			continue
		}
		if j := left(l.box, boxed); j >= 0 && (isNumber(i) || l.isEntry() && (lines[j].isLabel() || numbersRow(j))) {
			followers[j], placed[i] = append(followers[j], i), true
			continue
		}
		entry := cells[i]
		if entry == nil || entry.lines[0] != i {
			continue
		}
		j := left(entry.box, boxOf)
		if j < 0 || cells[j] == nil || len(cells[j].lines) > 1 && len(entry.lines) > 1 {
			continue // two of several lines are addresses beside each other
		}
		j = cells[j].last()
		if heads(lines, j, i) || heads(lines, entry.last(), j) || slices.ContainsFunc(entry.lines, func(k int) bool {
			return lines[k].box.left <= lines[j].box.left || k != i && isNumber(k)
		}) {
			continue
		}
		for n, k := range entry.lines {
			followers[j], placed[k] = append(followers[j], k), true
			below[k] = n > 0 || !lines[j].box.before(lines[k].box)
		}
	}
	var out [][]*hocrLine
	// add gives the row that a line begins. What follows a line begins farther to the
	// right, so that there is no circle.
	var add func(i int)
	add = func(i int) {
		row := []*hocrLine{&lines[i]}
		var later []int
		for todo := followers[i]; len(todo) > 0; {
			at := todo[0]
			todo = todo[1:]
			if below[at] {
				later = append(later, at)
				continue
			}
			row = append(row, &lines[at])
			todo = append(todo[:len(todo):len(todo)], followers[at]...)
		}
		slices.SortStableFunc(row, func(a, b *hocrLine) int { return cmp.Compare(a.box.left, b.box.left) })
		out = append(out, row)
		for _, at := range later {
			add(at)
		}
	}
	for i := range lines {
		if !placed[i] {
			add(i)
		}
	}
	return footLast(sumsFirst(out))
}

// sumsFirst puts the sums of a table, which stand under its columns at the right, before
// what stands below them at the left: the engine takes that for the end of the left column.
func sumsFirst(rows [][]*hocrLine) [][]*hocrLine {
	const (
		cells   = 3 // of a row of the table
		longest = 8 // words of a sum with its label
	)
	isSum := func(row []*hocrLine) bool {
		words := 0
		for _, l := range row {
			words += len(l.words)
		}
		last := row[len(row)-1]
		return row[0].angle == 0 && words > 1 && words <= longest && strings.ContainsFunc(last.words[len(last.words)-1].text, unicode.IsDigit)
	}
	for i := 1; i < len(rows); i++ {
		if table := rows[i-1]; len(table) < cells || !table[len(table)-1].isNumber() {
			continue
		}
		// From i to k is what stands at the left, from k to m are the sums.
		for k := i + 1; k < len(rows); k++ {
			m, bottom := k, 0.0
			for m < len(rows) && isSum(rows[m]) {
				for _, l := range rows[m] {
					bottom = math.Max(bottom, l.box.bottom)
				}
				m++
			}
			if m == k {
				continue
			}
			if !slices.ContainsFunc(rows[i:k], func(row []*hocrLine) bool {
				return row[0].angle != 0 || row[0].box.top < bottom || row[0].box.left >= rows[k][0].box.left
			}) {
				rows = slices.Concat(rows[:i], rows[k:m], rows[i:k], rows[m:])
			}
			break
		}
	}
	return rows
}

// footLast puts the foot of a page, such as its number, behind all columns: the engine
// takes it for the end of the one that it stands under.
func footLast(rows [][]*hocrLine) [][]*hocrLine {
	const (
		apart  = 0.8 // heights of the foot, from what is above it
		wider  = 1.5 // times the distance of the lines above it
		specks = 3   // letters of what may be dirt above it
	)
	boxes := make([]box, len(rows))
	foot := -1
	for i, row := range rows {
		if row[0].angle != 0 {
			continue
		}
		boxes[i] = row[0].box
		for _, l := range row[1:] {
			boxes[i] = boxes[i].with(l.box)
		}
		if foot < 0 || boxes[i].top > boxes[foot].top {
			foot = i
		}
	}
	if foot < 0 || foot == len(rows)-1 {
		return rows
	}
	f := boxes[foot]
	height := f.bottom - f.top
	first := foot
	for first > 0 && letters(rows[first-1][0].text()) <= specks && f.top-boxes[first-1].bottom < 2*height {
		first--
	}
	// What stands above it, the line before that, and where the columns behind it end.
	above, before, behind := box{bottom: math.Inf(-1)}, math.Inf(-1), math.Inf(-1)
	for i, b := range boxes {
		if i >= first && i <= foot || rows[i][0].angle != 0 {
			continue
		}
		if b.bottom > f.top+0.2*height {
			return rows // it stands beside something
		}
		if i > foot {
			behind = max(behind, b.bottom)
		}
		if b.right <= f.left || b.left >= f.right {
			continue
		}
		if b.bottom > above.bottom {
			before, above = above.bottom, b
		} else {
			before = max(before, b.bottom)
		}
	}
	gap := f.top - above.bottom
	if gap < apart*height || gap < wider*(above.top-before) && !math.IsInf(before, -1) || behind < above.bottom-height {
		return rows
	}
	return slices.Concat(rows[:first], rows[foot+1:], rows[first:foot+1])
}

// A cell is the label or the entry of a form: a few short lines close to each other,
// with none close above or below, and no column of prose.
type cell struct {
	lines []int
	box   box
}

func (c *cell) last() int { return c.lines[len(c.lines)-1] }

// cellsOf gives the cell of each line; nil: it is in none.
func cellsOf(lines []hocrLine) []*cell {
	const (
		words = 10  // at most
		most  = 3   // lines
		near  = 0.8 // heights of a line, between lines of a text
	)
	cells := make([]*cell, len(lines))
	for i := range lines {
		if cells[i] != nil {
			continue
		}
		c := &cell{lines: []int{i}, box: lines[i].box}
		cells[i] = c
		for k := 0; k < len(c.lines); k++ {
			l := &lines[c.lines[k]]
			for j := range lines {
				m := &lines[j]
				apart := max(l.box.top-m.box.bottom, m.box.top-l.box.bottom)
				if cells[j] == nil && m.overlaps(l) && apart < near*min(l.box.bottom-l.box.top, m.box.bottom-m.box.top) {
					cells[j] = c
					c.lines = append(c.lines, j)
					c.box = c.box.with(m.box)
				}
			}
		}
		slices.Sort(c.lines)
	}
	for i, c := range cells {
		n := 0
		for _, j := range c.lines {
			n += len(lines[j].words)
		}
		if len(c.lines) > most || n > words || slices.ContainsFunc(c.lines, func(j int) bool { return lines[j].angle != 0 || lines[j].boxed }) {
			cells[i] = nil
		}
	}
	return cells
}

// overlaps reports whether l and m share some of the page's width.
func (l *hocrLine) overlaps(m *hocrLine) bool {
	return l.box.right > m.box.left && l.box.left < m.box.right
}

// heads reports whether the line at i is the heading of a column of prose that the
// line at other does not stand over. A column has more than one line: what stands below
// the last label of a form may be a sentence, or boxes to tick.
func heads(lines []hocrLine, i, other int) bool {
	const (
		prose = 4   // words of a line
		reach = 3   // heights of the line
		near  = 0.8 // heights between lines of a text
	)
	l, o := &lines[i], &lines[other]
	for j := range lines {
		m := &lines[j]
		if below := m.box.top - l.box.bottom; below <= 0 || below >= reach*(l.box.bottom-l.box.top) || len(m.words) <= prose || !m.overlaps(l) || m.overlaps(o) {
			continue
		}
		for k := range lines {
			n := &lines[k]
			height := min(m.box.bottom-m.box.top, n.box.bottom-n.box.top)
			if n.box.top > m.box.top && n.box.top-m.box.bottom < near*height && n.overlaps(m) && !n.overlaps(o) {
				return true
			}
		}
	}
	return false
}

// isNumber reports whether a line is a cell with a number: digits, perhaps with
// a currency or a unit.
func (l *hocrLine) isNumber() bool {
	const most = 4 // words
	digits := 0
	for _, w := range l.words {
		switch {
		case strings.ContainsFunc(w.text, unicode.IsDigit):
			digits++
		case len([]rune(w.text)) > 3:
			return false
		}
	}
	return digits > 0 && len(l.words) <= most && digits*2 >= len(l.words) && letters(l.text()) <= 14
}

// isLabel reports whether a line asks for an entry.
func (l *hocrLine) isLabel() bool {
	return len(l.words) <= 5 && strings.HasSuffix(l.words[len(l.words)-1].text, ":")
}

// isEntry reports whether a line can be the entry of a form.
func (l *hocrLine) isEntry() bool { return len(l.words) <= 6 && !l.isLabel() }

func (l *hocrLine) text() string {
	var b strings.Builder
	for _, w := range l.words {
		b.WriteString(w.text)
	}
	return b.String()
}
