// What is told of the marks on a page, and of the sheet they stand on.

#ifndef DOCSCAN_INK_H
#define DOCSCAN_INK_H

#include <leptonica/allheaders.h>

// ink is what stands on a page.
typedef struct {
	int marks;   // pieces that could be print or writing
	int letters; // those of them that are at least as large as a letter
	int specks;  // smaller ones: dust
	int holes;   // punched
	int corners; // torn off or folded over
	int streaks; // creases, and what a dirty glass draws: from edge to edge
	int soft;    // pieces that are seen through the paper
	int pale;    // marks that are far lighter than print
	int row;     // most marks that stand side by side like the letters of a word
	double shine; // sum of the contrasts of the soft pieces
} ink;

// ink_rules are bounds for a piece of a page to be a mark.
typedef struct {
	double unit;     // pixels in a millimetre
	double contrast; // that a mark has at least, 0 to 1 of the paper's light
	double sharp;    // how steep the edges of a pale mark are at least, in its contrast for two millimetres
	double least;    // long side of the smallest mark, millimetres
	double letter;   // long side of the smallest letter
	int enough;      // where counting ends
	// edges are the sides of the sheet, left, right, top and bottom: a*x + b*y > c
	// inside each, with a and b of length 1. Those that are seen are not those of the image.
	double edges[4][3];
	int seen[4];
	// bed is the grey of what lies beyond each edge; less than 0 if that cannot be seen.
	double bed[4];
} ink_rules;

// lept_ink measures the ink of an 8-bit page with an even background of 200, of which gray is what
// was scanned. It returns nonzero on failure.
int lept_ink(PIX *even, PIX *gray, const ink_rules *rules, ink *out);

// lept_deepen darkens pale ink on an 8-bit page with an even background of 200, of
// unit pixels a millimetre, so that stretching it from black to white makes it black.
// It returns nonzero on failure.
int lept_deepen(PIX *even, double unit, int black, int white);

// lept_outside sets to level what lies outside the four lines, a*x + b*y > c
// inside each, of an 8-bit page.
int lept_outside(PIX *pix, const double lines[4][3], int level);

// lept_copy copies an 8-bit page to out, row by row.
void lept_copy(PIX *pix, unsigned char *out);

#endif
