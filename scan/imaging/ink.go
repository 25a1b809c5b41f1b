package imaging

import "math"

// #include "ink.h"
import "C"

// Ink is what stands on a page.
type Ink struct {
	Marks   int     // pieces that could be print or writing, at most the number asked for
	Letters int     // those that are at least as large as a letter
	Specks  int     // pieces too small for print: dust
	Holes   int     // punched
	Corners int     // of the sheet that are torn off or folded over
	Streaks int     // creases, and streaks of a dirty glass: from edge to edge
	Pale    int     // marks far lighter than print
	Row     int     // most marks that stand side by side like the letters of a word
	Soft    int     // pieces of the other side that are seen through the paper
	Shine   float64 // mean contrast of the soft pieces, 0 to 1
}

// Care is how little ink keeps a page from being taken for blank.
type Care struct {
	Contrast float64 // of the palest mark, 0 to 1 of the paper's light
	Sharp    float64 // how steep the edges of a pale mark are, in its contrast for two millimetres: what is seen through the paper is soft
	Mark     float64 // long side of the smallest mark, millimetres
	Letter   float64 // long side of a mark that keeps a page alone, millimetres
	Few      int     // marks that keep a page together
	Row      int     // marks that do so if they stand side by side: a word
}

// Blank reports whether nothing stands on a page on which ink was found.
func (c Care) Blank(ink Ink) bool { return ink.Letters == 0 && ink.Marks < c.Few && ink.Row < c.Row }

// Ink looks for marks on a sheet in an even image, of which gray is what was scanned, until it
// has found enough.
// Punch holes, the shadows of the sheet's edges, creases, missing corners, dust and
// what is seen through the paper are no marks.
func (p *Pix) Ink(gray *Pix, dpi float64, s Sheet, c Care, enough int) (Ink, error) {
	unit := dpi / 25.4
	rules := C.ink_rules{
		unit: C.double(unit), contrast: C.double(c.Contrast), sharp: C.double(c.Sharp),
		least: C.double(c.Mark), letter: C.double(c.Letter), enough: C.int(enough),
	}
	for i, e := range s.Edges {
		rules.edges[i] = [3]C.double{C.double(e.A), C.double(e.B), C.double(e.C)}
		rules.bed[i] = -1
		if e.Seen {
			rules.seen[i] = 1
		}
		if e.Bed > 0 {
			rules.bed[i] = C.double(e.Bed)
		}
	}
	var ink C.ink
	if failed, err := C.lept_ink(p.p, gray.p, &rules, &ink); failed != 0 {
		return Ink{}, failure("look for ink", err)
	}
	shine := float64(ink.shine) / math.Max(float64(ink.soft), 1)
	return Ink{
		Shine: shine, Marks: int(ink.marks), Letters: int(ink.letters), Specks: int(ink.specks), Holes: int(ink.holes), Corners: int(ink.corners),
		Streaks: int(ink.streaks), Pale: int(ink.pale), Soft: int(ink.soft), Row: int(ink.row),
	}, nil
}
