// What package barcode needs of pixels and of libzbar.

#ifndef DOCSCAN_CODES_H
#define DOCSCAN_CODES_H

#include <leptonica/allheaders.h>

// A cell is a square of an image: the sums of the products of the grey levels'
// differences to the right and downwards, and of what the levels lack to paper.
typedef struct {
	float xx, yy, xy;
	float dark; // 0 to 1
} cell;

// codes_cells fills cols x rows cells of size pixels with what they hold. pix
// has 8 bits; level is the grey of paper. It returns nonzero without memory.
int codes_cells(PIX *pix, int size, int level, cell *cells, int cols, int rows);

// A band is a piece of an image that may be turned: from u0 to u1 along the
// direction (ux, uy), and from v0 to v1 across it, about (x, y).
typedef struct {
	double x, y, ux, uy, u0, u1, v0, v1;
} band;

// codes_profile gives the mean grey levels across a band at n points along it,
// taken of so many lines. What is beyond the image is white.
void codes_profile(PIX *pix, const band *b, int lines, float *out, int n);

// codes_blot makes a band white in pix, which has 8 bits.
void codes_blot(PIX *pix, const band *b);

// A symbol is what a library has read. Points are corners of a matrix code from
// its upper left counter-clockwise, or ends of lines across bars.
typedef struct {
	int type;     // a zbar_symbol_type_t
	int backward; // bars run from right to left
	int length;
	char text[4096];
	int points;
	int x[64], y[64];
} symbol;

// codes_bars and codes_matrix read bars that stand, or QR codes, in an image of
// one byte a pixel with libzbar. They give the number found, at most most, or -1
// without memory.
int codes_bars(const unsigned char *gray, int w, int h, symbol *out, int most);
int codes_matrix(const unsigned char *gray, int w, int h, symbol *out, int most);

// codes_direction tells how a picture of squares is turned clockwise, from -pi/4
// to pi/4.
double codes_direction(const unsigned char *gray, int w, int h);

// codes_gray copies an 8-bit image to one byte a pixel.
void codes_gray(PIX *pix, unsigned char *out);

#endif
