package sense

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"docscan/scan/text"
)

// A word as it stands, and as the rules see it.
type word struct {
	text   string
	folded string // small, without accents
	bare   string // folded without the punctuation around it
	sure   float64
}

// A line of words. Places are parts of the upright page: 0 is its left or upper
// edge, 1 its right or lower one.
type line struct {
	page      int // from 1
	words     []word
	left, top float64
	right     float64 // of its last letter
	height    float64 // of its letters, as a part of the page's height
	newBlock  bool    // a paragraph begins with it
	inText    bool    // it goes on with a sentence of the line above
}

// Running text has this many lines and words a line at least; addresses and heads of
// letters have fewer words. Columns of a newspaper have five or six.
const (
	textLines = 3
	textWords = 4.5
)

// running tells for each line whether it is one of a paragraph of running text.
func running(p *text.Page) []bool {
	marks := make([]bool, len(p.Lines))
	for from := 0; from < len(p.Lines); {
		to, words, figures := from, 0, 0
		for to < len(p.Lines) && p.Lines[to].Paragraph == p.Lines[from].Paragraph {
			for _, w := range p.Lines[to].Words {
				words++
				if strings.ContainsFunc(w.Text, unicode.IsDigit) {
					figures++
				}
			}
			to++
		}
		n := to - from
		if n >= textLines && float64(words) >= textWords*float64(n) && figures*4 < words { // else it is a table
			for i := from; i < to; i++ {
				marks[i] = true
			}
		}
		from = to
	}
	return marks
}

// linesOf gives the lines of a page.
func linesOf(p *text.Page, number int) []line {
	wide, long := float64(p.Width), float64(p.Height) // upright
	if p.Rotate%180 != 0 {
		wide, long = long, wide
	}
	var all []line
	inText := running(p)
	for i, l := range p.Lines {
		if len(l.Words) == 0 {
			continue
		}
		out := line{page: number, inText: inText[i]}
		out.newBlock = i == 0 || p.Lines[i-1].Paragraph != l.Paragraph
		out.left, out.top = upright(p, l.Words[0].X, l.Words[0].Y)
		height := 0.0
		for _, w := range l.Words {
			height = max(height, w.Height)
			for _, part := range parts(w.Text) {
				out.words = append(out.words, newWord(part, w.Confidence))
			}
		}
		if long > 0 {
			out.height = height / long
		}
		last := l.Words[len(l.Words)-1]
		sin, cos := math.Sincos(last.Angle * math.Pi / 180)
		out.right, _ = upright(p, last.X+last.Width*cos, last.Y+last.Width*sin)
		all = append(all, out)
	}
	return rows(all, wide/max(long, 1)*math.Tan(p.Skew*math.Pi/180))
}

// Of a table, what is said and its figure can be lines of their own, far apart: they are joined
// again. These bound the words of either.
const (
	mostSaying = 8
	mostFigure = 5
)

// rows joins lines that say something with the figures to their right at the same height. lean is
// how far a line that was read sinks over the page, in parts of its height.
func rows(all []line, lean float64) []line {
	height := func(l *line) float64 { return l.top - l.left*lean }
	joined := make(map[int]int) // a figure with the line that it is joined to
	var order []int
	for i := range all {
		if l := &all[i]; !l.inText && len(l.words) <= mostFigure && l.isFigure() {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(all[a].left, all[b].left) })
	for _, i := range order {
		best := -1
		for j := range all {
			l := &all[j]
			if j == i || l.inText || len(l.words) > mostSaying || l.right >= all[i].left ||
				math.Abs(height(l)-height(&all[i])) > 0.4*max(l.height, all[i].height) {
				continue
			}
			if best < 0 || l.right > all[best].right {
				best = j
			}
		}
		if best < 0 {
			continue
		}
		if to, ok := joined[best]; ok { // the figure of the column before
			best = to
		} else if !all[best].says() {
			continue
		}
		joined[i] = best
		all[best].words = append(all[best].words, all[i].words...)
	}
	out := all[:0]
	for i := range all {
		if _, ok := joined[i]; !ok {
			out = append(out, all[i])
		}
	}
	return out
}

// isFigure reports whether a line is an amount, a date, a number or the like.
func (l *line) isFigure() bool {
	figures := 0
	for _, w := range l.words {
		if strings.ContainsFunc(w.text, unicode.IsDigit) {
			figures++
		}
	}
	return figures > 0 && 2*len(l.words) <= 3*figures+2 && !strings.HasSuffix(l.words[len(l.words)-1].text, ":")
}

// says reports whether there are words in a line, not figures alone.
func (l *line) says() bool {
	for _, w := range l.words {
		if letters(w.text) > 1 && !strings.ContainsFunc(w.text, unicode.IsDigit) {
			return true
		}
	}
	return false
}

// upright gives a point of the scanned image as parts of the page that was turned
// upright.
func upright(p *text.Page, x, y float64) (left, top float64) {
	if p.Width <= 0 || p.Height <= 0 {
		return 0, 0
	}
	u, v := x/float64(p.Width), y/float64(p.Height)
	switch p.Rotate {
	case 90:
		return 1 - v, u
	case 180:
		return 1 - u, 1 - v
	case 270:
		return v, 1 - u
	}
	return u, v
}

// parts cuts a word behind the colon that sticks to what follows it, as in
// "Date:02/12/2017", and before a bracket. A time of day stays whole.
func parts(s string) []string {
	if i := strings.IndexByte(s, '('); i > 0 && i < len(s)-1 {
		return []string{s[:i], s[i:]}
	}
	before, after, ok := strings.Cut(s, ":")
	if !ok || before == "" || after == "" || !strings.ContainsFunc(before, unicode.IsLetter) || strings.HasPrefix(after, "//") {
		return []string{s}
	}
	return []string{before + ":", after}
}

func newWord(s string, sure float64) word {
	w := word{text: s, folded: fold(s), sure: sure}
	w.bare = strings.TrimFunc(w.folded, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsSymbol(r)
	})
	return w
}

// fold makes s small and takes its accents away.
func fold(s string) string {
	if isASCII(s) { // nearly every word, and much cheaper
		return strings.ToLower(s)
	}
	t := transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn)), norm.NFC)
	out, _, err := transform.String(t, strings.ToLower(s))
	if err != nil {
		out = strings.ToLower(s) // it is only found less well
	}
	return strings.NewReplacer("ß", "ss", "’", "'", "æ", "ae", "ø", "o", "œ", "oe").Replace(out)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// raw gives words i to j-1 as they stand.
func (l *line) raw(i, j int) string {
	var b strings.Builder
	for k, w := range l.words[i:j] {
		if k > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return b.String()
}

// A phrase is words that stand one behind the other.
type phrase []string

func phrasesOf(list []string) []phrase {
	all := make([]phrase, len(list))
	for i, s := range list {
		all[i] = strings.Fields(s)
	}
	return all
}

// at reports whether p stands at word i, and behind which word it ends. What is
// punctuation only does not count.
func (l *line) at(i int, p phrase) (end int, ok bool) {
	for _, want := range p {
		for i < len(l.words) && l.words[i].bare == "" {
			i++
		}
		if i >= len(l.words) || l.words[i].bare != want {
			return 0, false
		}
		i++
	}
	return i, true
}

// before reports whether one of the phrases ends right before word i. Punctuation
// and up to skip short words may stand between, such as "Nr." or "(EUR)".
func (l *line) before(i int, phrases []phrase, skip int) bool {
	for start := max(0, i-8); start < i; start++ {
		for _, p := range phrases {
			end, ok := l.at(start, p)
			if !ok || end > i {
				continue
			}
			between := 0
			for _, w := range l.words[end:i] {
				if w.bare != "" {
					between++
				}
			}
			if between <= skip {
				return true
			}
		}
	}
	return false
}

// find gives the place of the first of the phrases that stands in the line.
func (l *line) find(phrases []phrase) (start, end int, ok bool) {
	for i := range l.words {
		for _, p := range phrases {
			if end, ok := l.at(i, p); ok {
				return i, end, true
			}
		}
	}
	return 0, 0, false
}
