package ocr

import (
	"cmp"
	"math"
	"slices"
	"unicode"
)

// Many forms have boxes side by side, each with its label in small print above the entry.
// The engine reads such a row across: all labels, then all entries. Nothing in a table looks
// like that, where what stands below a heading goes on for more than a row, so that a
// row of labels is told by the entries right below it and the room around both.

// A level is what stands at one height of a page.
type level struct {
	lines       []int // their numbers
	words       []hocrWord
	bases       []float64 // the baselines of the words
	top, bottom float64   // of capitals and figures
	across      bool      // the engine has read it as one line, or line by line
}

func (v *level) height() float64 { return v.bottom - v.top }

// levelsOf gives the levels of a page from top to bottom.
func levelsOf(lines []hocrLine) []level {
	var order []level
	for i := range lines {
		if l := &lines[i]; l.angle == 0 && len(l.words) > 0 {
			v := level{lines: []int{i}, words: slices.Clone(l.words)}
			for _, w := range l.words {
				v.bases = append(v.bases, l.base(w.box.left))
			}
			v.settle()
			order = append(order, v)
		}
	}
	slices.SortStableFunc(order, func(a, b level) int { return cmp.Compare(a.top+a.bottom, b.top+b.bottom) })
	var out []level
	for _, v := range order {
		if n := len(out); n > 0 && (v.top+v.bottom)/2 < out[n-1].bottom {
			at := &out[n-1]
			at.lines = append(at.lines, v.lines...)
			at.words, at.bases = slices.Concat(at.words, v.words), slices.Concat(at.bases, v.bases)
			at.settle()
			continue
		}
		out = append(out, v)
	}
	return out
}

// settle puts the words of v in order and measures them. The box of a word may reach up to
// the line of the box above it.
func (v *level) settle() {
	tops := make([]float64, len(v.words))
	for i, w := range v.words {
		tops[i] = w.box.top
	}
	slices.Sort(tops)
	slices.Sort(v.bases)
	v.top, v.bottom = tops[2*len(tops)/3], v.bases[len(v.bases)/2]
	slices.SortStableFunc(v.words, func(a, b hocrWord) int { return cmp.Compare(a.box.left, b.box.left) })
	v.across = slices.Max(v.lines)-slices.Min(v.lines) < len(v.lines)
}

// labels gives what stands apart from each other in v, if that can be the labels of boxes.
func (v *level) labels() (parts [][]hocrWord, ok bool) {
	const (
		apart = 1.5 // heights, between two labels
		most  = 5   // words
	)
	from := 0
	for i := 1; i <= len(v.words); i++ {
		if i < len(v.words) && v.words[i].box.left-v.words[i-1].box.right < apart*v.height() {
			continue
		}
		part := v.words[from:i:i]
		var letters, digits int
		for _, w := range part {
			for _, r := range w.text {
				if unicode.IsLetter(r) {
					letters++
				} else if unicode.IsDigit(r) {
					digits++
				}
			}
		}
		if len(part) > most || letters <= 2*digits {
			return nil, false
		}
		parts = append(parts, part)
		from = i
	}
	return parts, len(parts) > 1
}

// entries gives the words of v by the label under which they stand; ok is false if they
// cannot be the entries of labels.
func (v *level) entries(labels [][]hocrWord) (parts [][]hocrWord, ok bool) {
	const (
		apart   = 0.8 // heights, between two entries
		outdent = 1.0 // heights that an entry may begin before its label
		indent  = 4.0 // heights that it may begin after it
		longest = 6   // words
	)
	parts = make([][]hocrWord, len(labels))
	at, right := -1, math.Inf(-1)
	for _, w := range v.words {
		next := at
		for next+1 < len(labels) && labels[next+1][0].box.left-outdent*v.height() <= w.box.left {
			next++
		}
		if next < 0 {
			return nil, false
		}
		if next > at {
			if w.box.left-right < apart*v.height() || w.box.left-labels[next][0].box.left > indent*v.height() {
				return nil, false
			}
			at = next
		}
		if parts[at] = append(parts[at], w); len(parts[at]) > longest {
			return nil, false
		}
		right = w.box.right
	}
	return parts, true
}

// boxed is a row of boxes: levels from first to last, and what stands in each box, by level.
type boxed struct {
	levels []level
	boxes  [][][]hocrWord
	filled int  // boxes with an entry
	larger bool // the entries are set in larger letters than the labels
}

// boxedAt looks for a row of boxes whose labels stand at levels[i].
func boxedAt(levels []level, i int) (b boxed, ok bool) {
	const (
		tight  = 1.6 // heights, between a label and its entry
		looser = 1.3 // times that, to what stands above and below
		larger = 1.15
	)
	if i+1 == len(levels) {
		return b, false
	}
	label, entry := &levels[i], &levels[i+1]
	gap := entry.top - label.bottom
	if gap > tight*entry.height() {
		return b, false
	}
	least := looser * math.Max(gap, 0.3*entry.height())
	if i > 0 && label.top-levels[i-1].bottom < least || i+2 < len(levels) && levels[i+2].top-entry.bottom < least {
		return b, false
	}
	labels, ok := label.labels()
	if !ok || !label.across || !entry.across {
		return b, false
	}
	entries, ok := entry.entries(labels)
	if !ok {
		return b, false
	}
	b.levels = levels[i : i+2]
	b.larger = entry.height() >= larger*label.height()
	for k := range labels {
		box := [][]hocrWord{labels[k]}
		if len(entries[k]) > 0 {
			box = append(box, entries[k])
			b.filled++
		}
		b.boxes = append(b.boxes, box)
	}
	return b, b.filled > 1 || b.filled == 1 && b.larger
}

// byBox puts what stands in boxes side by side into the order of the boxes.
func byBox(lines []hocrLine) []hocrLine {
	levels := levelsOf(lines)
	var found []boxed
	for i := 0; i < len(levels); i++ {
		if b, ok := boxedAt(levels, i); ok {
			found = append(found, b)
			i++
		}
	}
	// A lone row with letters of one size may be anything, and so may one with one entry.
	rows := 0
	for _, b := range found {
		if b.filled > 1 {
			if rows++; b.larger {
				rows++
			}
		}
	}
	if rows < 2 {
		return lines
	}
	paragraph := 0
	for i := range lines {
		paragraph = max(paragraph, lines[i].paragraph)
	}
	first := make(map[int][]hocrLine) // by the number of the first line that they replace
	gone := make(map[int]bool)
	for _, b := range found {
		var from []int
		for _, v := range b.levels {
			from = append(from, v.lines...)
		}
		at := slices.Min(from)
		for _, box := range b.boxes {
			paragraph++
			for k, words := range box {
				l := lines[b.levels[k].holding(lines, words[0])].of(words)
				l.paragraph, l.boxed = paragraph, true
				first[at] = append(first[at], l)
			}
		}
		for _, i := range from {
			gone[i] = true
		}
	}
	var out []hocrLine
	for i, l := range lines {
		out = append(out, first[i]...)
		if !gone[i] {
			out = append(out, l)
		}
	}
	return out
}

// holding gives the number of the line of v in which w was read.
func (v *level) holding(lines []hocrLine, w hocrWord) int {
	for _, i := range v.lines {
		if slices.Contains(lines[i].words, w) {
			return i
		}
	}
	return v.lines[0]
}

// base gives how far down the baseline of l is at x.
func (l *hocrLine) base(x float64) float64 { return l.box.bottom + l.offset + l.slope*(x-l.box.left) }

// of gives a part of l, or of what stands beside it, as a line of its own.
func (l hocrLine) of(words []hocrWord) hocrLine {
	b := words[0].box
	for _, w := range words[1:] {
		b = b.with(w.box)
	}
	l.offset = l.base(b.left) - b.bottom
	l.words, l.box = words, b
	return l
}
