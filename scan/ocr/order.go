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
			above := &lines[i-1]
			ok = ok && lines[i].box.top-above.box.bottom < 1.5*(above.box.bottom-above.box.top) && lines[i].box.top > above.box.top
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
	var words, chars [2]int
	for _, l := range lines[:n] {
		a, b := l.cut(at)
		for side, part := range []hocrLine{a, b} {
			words[side] += len(part.words)
			for _, w := range part.words {
				if !strings.ContainsFunc(w.text, unicode.IsDigit) {
					chars[side] += letters(w.text)
				}
			}
		}
	}
	for side := range 2 {
		if words[side] < 3*n || chars[side] < 12*n {
			return 0, 0 // the cells of a table
		}
	}
	return n, at
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
	const most = 3000 // lines: a page of noise has no rows
	if len(lines) > most {
		out := make([][]*hocrLine, len(lines))
		for i := range lines {
			out[i] = []*hocrLine{&lines[i]}
		}
		return out
	}
	numbers := make(map[int]int) // lines of a paragraph that are cells of numbers
	all := make(map[int]int)     // lines of a paragraph
	for i := range lines {
		all[lines[i].paragraph]++
		if lines[i].isNumber() {
			numbers[lines[i].paragraph]++
		}
	}
	// The line that a cell follows, by the cell's place.
	follows := make(map[int]int)
	followers := make(map[int][]int)
	for i := range lines {
		l := &lines[i]
		number := l.isNumber() && 10*numbers[l.paragraph] >= 6*all[l.paragraph]
		left := -1
		for j := range lines {
			if m := &lines[j]; j != i && m.before(l) && (left < 0 || m.box.right > lines[left].box.right) {
				left = j
			}
		}
		if left >= 0 && (number || lines[left].isLabel() && l.isEntry() || alone(lines, left) && alone(lines, i) && !heads(lines, left, i) && !heads(lines, i, left)) {
			follows[i] = left
			followers[left] = append(followers[left], i)
		}
	}
	var out [][]*hocrLine
	for i := range lines {
		if _, cell := follows[i]; cell {
			continue
		}
		row := []*hocrLine{&lines[i]}
		// A cell stands to the right of what it follows, so there is no circle.
		for todo := followers[i]; len(todo) > 0; {
			at := todo[0]
			row = append(row, &lines[at])
			todo = append(todo[1:], followers[at]...)
		}
		slices.SortStableFunc(row, func(a, b *hocrLine) int { return cmp.Compare(a.box.left, b.box.left) })
		out = append(out, row)
	}
	return out
}

// alone reports whether the line at i is short and has no line close above or
// below: the label or the entry of a form, and no column of prose.
func alone(lines []hocrLine, i int) bool {
	const (
		most = 10  // words
		near = 0.8 // heights of the line, between lines of a text
	)
	l := &lines[i]
	if l.angle != 0 || len(l.words) > most {
		return false
	}
	for j := range lines {
		m := &lines[j]
		if j == i || !m.overlaps(l) {
			continue
		}
		above, below := l.box.top-m.box.bottom, m.box.top-l.box.bottom
		if max(above, below) < near*min(l.box.bottom-l.box.top, m.box.bottom-m.box.top) {
			return false
		}
	}
	return true
}

// overlaps reports whether l and m share some of the page's width.
func (l *hocrLine) overlaps(m *hocrLine) bool {
	return l.box.right > m.box.left && l.box.left < m.box.right
}

// heads reports whether the line at i is the heading of a column of prose that the
// line at other does not stand over.
func heads(lines []hocrLine, i, other int) bool {
	const (
		prose = 4 // words of a line
		reach = 3 // heights of the line
	)
	l, o := &lines[i], &lines[other]
	for j := range lines {
		m := &lines[j]
		if below := m.box.top - l.box.bottom; below > 0 && below < reach*(l.box.bottom-l.box.top) && len(m.words) > prose && m.overlaps(l) && !m.overlaps(o) {
			return true
		}
	}
	return false
}

// before reports whether l stands to the left of m in the same row.
func (l *hocrLine) before(m *hocrLine) bool {
	if l.angle != 0 || m.angle != 0 || l.box.right > m.box.left+(m.box.bottom-m.box.top)/2 || l.box.left >= m.box.left {
		return false
	}
	shared := math.Min(l.box.bottom, m.box.bottom) - math.Max(l.box.top, m.box.top)
	return shared > 0.5*math.Min(l.box.bottom-l.box.top, m.box.bottom-m.box.top)
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
