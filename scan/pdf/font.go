package pdf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"

	"docscan/scan/text"
)

// The font is invisible: every character is a blank box half an em wide, of
// which 0.2 em lie below the baseline. Viewers select by these boxes.
const (
	unitsPerEm = 1000
	advance    = 500
	ascent     = 800
	descent    = -200
)

// charTable gives each character used a number in the font, from 1.
type charTable struct {
	cids  map[rune]uint16
	runes []rune // by number - 1
}

// cid gives the number of r. A document of more than 65,000 different
// characters has the rest as replacement characters.
func (c *charTable) cid(r rune) uint16 {
	if n, ok := c.cids[r]; ok {
		return n
	}
	if len(c.runes) >= math.MaxUint16-1 && r != unicode.ReplacementChar {
		return c.cid(unicode.ReplacementChar)
	}
	if c.cids == nil {
		c.cids = make(map[rune]uint16)
	}
	c.runes = append(c.runes, r)
	n := uint16(len(c.runes))
	c.cids[r] = n
	return n
}

// usable leaves out what must not be mapped to (ISO 19005-2, 6.2.11.7.2), what
// is no character, and marks of direction: the order on the page says that.
func usable(s string) []rune {
	var out []rune
	for _, r := range s {
		switch {
		case r == utf8.RuneError, r == 0xfeff, r&0xfffe == 0xfffe, unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r):
		default:
			out = append(out, r)
		}
	}
	return out
}

// side is the direction a character is read in. Digits are read from the left
// in every script.
func side(r rune) direction {
	p, _ := bidi.LookupRune(r)
	switch p.Class() {
	case bidi.R, bidi.AL:
		return leftwards
	case bidi.L, bidi.EN, bidi.AN:
		return rightwards
	}
	return neutral
}

type direction int

const (
	neutral direction = iota
	rightwards
	leftwards
)

// visual puts the characters of a word into the order in which they stand on
// paper, from the left, which is what readers of PDF expect. They turn every
// run of right-to-left characters back as a whole, so marks must come before
// their letter here.
func visual(word []rune) []rune {
	out := slices.Clone(word)
	main, other := rightwards, leftwards
	if i := slices.IndexFunc(word, func(r rune) bool { return side(r) != neutral && !unicode.IsDigit(r) }); i >= 0 && side(word[i]) == leftwards {
		main, other = leftwards, rightwards
		slices.Reverse(out)
	}
	// What is read the other way is a run up to its last such character.
	for i := 0; i < len(out); i++ {
		if side(out[i]) != other {
			continue
		}
		end := i + 1
		for j := end; j < len(out) && side(out[j]) != main; j++ {
			if side(out[j]) == other || j == end && unicode.Is(unicode.M, out[j]) {
				end = j + 1
			}
		}
		slices.Reverse(out[i:end])
		i = end - 1
	}
	return out
}

// words writes the words of a page invisibly in their places and reports
// whether there were any. height is that of the image in pixels, scale points
// a pixel.
func (w *Writer) words(b *bytes.Buffer, p *text.Page, height int, scale float64) bool {
	pen := pen{b: b, chars: &w.chars, height: float64(height), scale: scale}
	for _, l := range p.Lines {
		for i, word := range l.Words {
			chars := visual(usable(word.Text))
			if len(chars) == 0 || !placeable(word, scale) {
				continue
			}
			if !pen.began {
				b.WriteString("BT 3 Tr")
				pen.began = true
			}
			var next *text.Word
			if i+1 < len(l.Words) {
				next = &l.Words[i+1]
			}
			pen.word(word, next, chars)
		}
	}
	if pen.began {
		b.WriteString("\nET\n")
	}
	return pen.began
}

// placeable reports whether a word's box can be drawn: engines have been seen to
// give empty ones, and a font of no size has no place on a page.
func placeable(w text.Word, scale float64) bool {
	const least = 0.01 // points; num keeps a tenth of it
	for _, f := range []float64{w.X, w.Y, w.Width, w.Height, w.Descent, w.Angle} {
		if math.IsNaN(f) || math.Abs(f) > 1e6 {
			return false
		}
	}
	return w.Width*scale >= least && w.Height*scale >= least
}

// maxLean is how far a word may lean and still be written straight, in degrees.
// Nothing in a feeder lies more askew; what does was printed so.
const maxLean = 10

// straight lays a word that leans a little level, turning it about the middle
// of its baseline. Poppler, and all viewers that use it, ends a word where its
// baseline has moved by half a point, which one degree of skew does to every
// longer word; then it is neither found nor copied as a whole.
func straight(w text.Word) text.Word {
	level := 90 * math.Round(w.Angle/90)
	if math.Abs(w.Angle-level) > maxLean {
		return w
	}
	sin, cos := math.Sincos(w.Angle * math.Pi / 180)
	levelSin, levelCos := math.Sincos(level * math.Pi / 180)
	w.X += w.Width / 2 * (cos - levelCos)
	w.Y += w.Width / 2 * (sin - levelSin)
	w.Angle = level
	return w
}

// A pen writes the words of a page. Where they stand takes more bytes than what
// they say, so it writes no more digits than an eye could tell, and says only what
// is other than before: a word that begins where the space before it ends needs no
// place of its own.
type pen struct {
	b       *bytes.Buffer
	chars   *charTable
	height  float64 // of the image, pixels
	scale   float64 // points a pixel
	began   bool
	size    float64 // of the font, points; 0 before the first word
	stretch string  // of the characters, per cent as written; empty before the first word
	angle   float64 // of the line, degrees clockwise
	x, y    float64 // where it began, points
	at      float64 // how far it is written, points along it
	placed  bool    // x, y and angle are known
}

// How far from its place a word may stand and still go on where the one before it has
// ended, in points: along the line, and above or below it. A pixel of a page of 300 dpi
// is 0.24. And by what share its box may be higher or lower than the one before.
const slip, lift, sameSize = 0.1, 0.25, 0.05

// word writes one word, stretched to its width, and a space that reaches to the
// next word of the line, so that copied text keeps its words apart and a
// selection has no holes. In a line that is read from the right the next word,
// and with it the space, is on the left.
func (p *pen) word(word text.Word, next *text.Word, chars []rune) {
	word = straight(word)
	sin, cos := math.Sincos(word.Angle * math.Pi / 180)
	// From the baseline to where the font's baseline must be for its box to be
	// the word's, in pixels across the line, upwards.
	up := -word.Descent - word.Height*descent/unitsPerEm
	// place gives a point of the line, in pixels from the word's start.
	place := func(along float64) (x, y float64) {
		return (word.X + along*cos + up*sin) * p.scale, (p.height - word.Y - along*sin + up*cos) * p.scale
	}
	const small = 2 // points: a tenth of one more or less would be much
	size := math.Round(word.Height*p.scale*10) / 10
	if size < small {
		size = math.Round(word.Height*p.scale*1000) / 1000
	}
	x, y := place(0)
	width := word.Width * p.scale
	start, off := p.along(x, y)
	if !p.placed || word.Angle != p.angle || math.Abs(start-p.at) > min(slip, width/10) || math.Abs(off) > lift ||
		math.Abs(size-p.size) > sameSize*p.size {
		p.b.WriteByte('\n')
		if size != p.size {
			p.size = size
			fmt.Fprintf(p.b, "/F0 %s Tf ", num(size))
		}
		p.move(x, y, word.Angle)
		start = p.at
	}
	p.show(chars, start+width)
	if next == nil {
		return
	}
	// How far to the right of this word's start the next one's is.
	after := straight(*next)
	ahead := (after.X-word.X)*cos + (after.Y-word.Y)*sin
	gap := ahead - word.Width
	if ahead < 0 {
		gap = -ahead - after.Width
	}
	// Words may touch or overlap, and one that is very far off is on another
	// line.
	gap = min(max(gap, 0.05*word.Height), 100*word.Height)
	end := start + (word.Width+gap)*p.scale
	if ahead < 0 {
		p.b.WriteByte('\n')
		x, y := place(-gap)
		p.move(x, y, word.Angle)
		end = p.at + gap*p.scale
	}
	p.show([]rune{' '}, max(end, p.at+gap/2*p.scale))
}

// along gives where a point of the page lies: along the line, and above it, in points.
func (p *pen) along(x, y float64) (along, up float64) {
	sin, cos := math.Sincos(p.angle * math.Pi / 180)
	dx, dy := x-p.x, y-p.y
	return dx*cos - dy*sin, dx*sin + dy*cos
}

// move begins a line of text at a point of the page.
func (p *pen) move(x, y, angle float64) {
	const far = 2000 // points: what is added up loses digits
	sin, cos := math.Sincos(angle * math.Pi / 180)
	tenth := func(v float64) float64 { return math.Round(v*10) / 10 }
	along, up := p.along(x, y)
	along, up = tenth(along), tenth(up)
	p.at = 0
	if !p.placed || angle != p.angle || max(math.Abs(along), math.Abs(up)) > far {
		p.placed, p.angle, p.x, p.y = true, angle, tenth(x), tenth(y)
		fmt.Fprintf(p.b, "%s %s %s %s %s %s Tm", coef(cos), coef(-sin), coef(sin), coef(cos), num(p.x), num(p.y))
		return
	}
	p.x, p.y = p.x+along*cos+up*sin, p.y-along*sin+up*cos
	fmt.Fprintf(p.b, "%s %s Td", num(along), num(up))
}

// show writes chars, stretched so that they end at a place of the line, in points along
// it, which must lie beyond where it is written to.
func (p *pen) show(chars []rune, end float64) {
	natural := float64(len(chars)) * p.size * advance / unitsPerEm
	stretch := 100 * (end - p.at) / natural
	// Whole per cent, or tenths of it, where that is right to a tenth of a point. What
	// is left over, the next space makes good.
	const exact = 20 // points
	if stretch > 10 {
		switch {
		case natural < exact:
			stretch = math.Round(stretch)
		case natural < 10*exact:
			stretch = math.Round(stretch*10) / 10
		}
	}
	p.at += natural * stretch / 100
	if s := num(stretch); s != p.stretch {
		p.stretch = s
		fmt.Fprintf(p.b, " %s Tz", s)
	}
	p.b.WriteByte('<')
	for _, r := range chars {
		fmt.Fprintf(p.b, "%04X", p.chars.cid(r))
	}
	p.b.WriteString(">Tj")
}

// coef writes a coefficient of a matrix; it needs more decimals than a length.
func coef(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.6f", f+0), "0"), ".")
}

// fontName has no subset tag: the font program is whole.
const fontName = "DocscanInvisible"

// font writes the font, if any page has text.
func (w *Writer) font() {
	if len(w.chars.runes) == 0 {
		return
	}
	w.object(objFont, "<</Type/Font/Subtype/Type0/BaseFont/%s/Encoding/Identity-H/DescendantFonts[%d 0 R]/ToUnicode %d 0 R>>", fontName, objCIDFont, objToUnicode)
	w.object(objCIDFont, "<</Type/Font/Subtype/CIDFontType2/BaseFont/%s/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor %d 0 R/DW %d/CIDToGIDMap %d 0 R>>",
		fontName, objDescriptor, advance, objCIDToGID)
	w.object(objDescriptor, "<</Type/FontDescriptor/FontName/%s/Flags 4/FontBBox[0 %d %d %d]/ItalicAngle 0/Ascent %d/Descent %d/CapHeight %d/StemV 80/FontFile2 %d 0 R>>",
		fontName, descent, advance, ascent, ascent, descent, ascent, objFontFile)
	program := trueType()
	w.stream(objFontFile, fmt.Sprintf("/Length1 %d", len(program)), program)
	w.stream(objToUnicode, "", w.chars.toUnicode())
	// All characters are glyph 1; glyph 0 would be "not defined", which must not
	// be shown (ISO 19005-2, 6.2.11.8).
	gids := make([]byte, 2*(len(w.chars.runes)+1))
	for i := 2; i < len(gids); i += 2 {
		gids[i+1] = 1
	}
	w.stream(objCIDToGID, "", gids)
}

// toUnicode writes the CMap that says which character each number is.
func (c *charTable) toUnicode() []byte {
	var b bytes.Buffer
	b.WriteString("/CIDInit/ProcSet findresource begin\n12 dict begin\nbegincmap\n" +
		"/CIDSystemInfo<</Registry(Adobe)/Ordering(UCS)/Supplement 0>>def\n/CMapName/Adobe-Identity-UCS def\n/CMapType 2 def\n" +
		"1 begincodespacerange\n<0000><FFFF>\nendcodespacerange\n")
	const most = 100 // entries in one section (Adobe Technical Note 5014)
	for i := 0; i < len(c.runes); i += most {
		section := c.runes[i:min(i+most, len(c.runes))]
		fmt.Fprintf(&b, "%d beginbfchar\n", len(section))
		for j, r := range section {
			fmt.Fprintf(&b, "<%04X><", i+j+1)
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, "%04X", u)
			}
			b.WriteString(">\n")
		}
		b.WriteString("endbfchar\n")
	}
	b.WriteString("endcmap\nCMapName currentdict/CMap defineresource pop\nend\nend\n")
	return b.Bytes()
}

// trueType builds a font of two glyphs that show nothing, by Apple's TrueType
// reference manual: the tables that a font in a PDF must have (ISO 32000-1,
// 9.9). The second glyph, which all characters are, is a line from corner to
// corner of its box and back: MuPDF goes by outlines, and drops a line of text
// that has none.
func trueType() []byte {
	be := binary.BigEndian
	u16 := func(v ...int) []byte {
		var b []byte
		for _, x := range v {
			b = be.AppendUint16(b, uint16(x))
		}
		return b
	}
	head := append(u16(1, 0, 1, 0), make([]byte, 4)...) // versions; the checksum comes last
	head = be.AppendUint32(head, 0x5F0F3CF5)
	head = append(head, u16(0, unitsPerEm)...)
	head = append(head, make([]byte, 16)...) // dates
	head = append(head, u16(0, descent, advance, ascent, 0, 8, 2, 0, 0)...)
	glyph := u16(1, 0, descent, advance, ascent, 2, 0) // one contour, three points, no instructions
	glyph = append(glyph, 1, 1, 1)                     // points on the curve
	glyph = append(glyph, u16(0, advance, -advance, descent, ascent-descent, descent-ascent)...)
	glyph = append(glyph, 0) // offsets in "loca" are in units of two bytes
	post := append([]byte{0, 3, 0, 0}, make([]byte, 28)...)
	tables := map[string][]byte{
		"head": head,
		"hhea": u16(1, 0, ascent, descent, 0, advance, 0, 0, advance, 1, 0, 0, 0, 0, 0, 0, 0, 2),
		"hmtx": u16(advance, 0, advance, 0),
		"maxp": u16(1, 0, 2, 3, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
		"loca": u16(0, 0, len(glyph)/2),
		"glyf": glyph,
		"post": post,
		// A symbol encoding of one character for the second glyph.
		"cmap": u16(0, 1, 3, 0, 0, 12, 4, 32, 0, 4, 4, 1, 0, 0xf020, 0xffff, 0, 0xf020, 0xffff, (1-0xf020)&0xffff, 1, 0, 0),
	}
	names := slices.Sorted(maps.Keys(tables))
	out := u16(1, 0, len(names), 128, 3, 16*len(names)-128)
	at := 12 + 16*len(names)
	var body []byte
	headAt := 0
	for _, n := range names {
		t := tables[n]
		if n == "head" {
			headAt = at + len(body)
		}
		out = append(out, n...)
		out = be.AppendUint32(out, checksum(t))
		out = be.AppendUint32(out, uint32(at+len(body)))
		out = be.AppendUint32(out, uint32(len(t)))
		body = append(body, t...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	out = append(out, body...)
	be.PutUint32(out[headAt+8:], 0xB1B0AFBA-checksum(out))
	return out
}

// checksum adds up the 32-bit words of b, which is taken to end in zeros.
func checksum(b []byte) uint32 {
	var sum uint32
	for i := 0; i < len(b); i += 4 {
		var word [4]byte
		copy(word[:], b[i:])
		sum += binary.BigEndian.Uint32(word[:])
	}
	return sum
}
