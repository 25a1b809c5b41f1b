// What package imaging needs of Leptonica in more than one call. Every function
// that returns a PIX gives a new one, NULL on failure.

#ifndef DOCSCAN_LEPT_H
#define DOCSCAN_LEPT_H

#include <stdint.h>

#include <leptonica/allheaders.h>

// lept_quiet sends Leptonica's messages to a buffer, and hears libtiff. To be called once.
void lept_quiet(void);

// lept_tiff decodes a TIFF. damaged says that some of its pixels are not what was meant.
PIX *lept_tiff(const l_uint8 *data, size_t size, l_int32 *damaged);

// lept_message gives what Leptonica said last, and forgets it.
const char *lept_message(char *buf, size_t size);

// lept_flatten gives pix without palette, alpha or more than 8 bits a sample: 1
// bit with 1 for black, 8 bits grey, or 32 bits colour. It takes pix over.
PIX *lept_flatten(PIX *pix);

// lept_repeat gives a 1-bit pix of w x h pixels with the lines and pixels of another, each repeated.
PIX *lept_repeat(PIX *pix, l_int32 w, l_int32 h);

// lept_line puts a line into an 8-bit pix, of a byte a pixel, or into a 32-bit pix, of three:
// red, green and blue.
void lept_line(PIX *pix, l_int32 y, const l_uint8 *line);

// lept_turn turns an 8-bit pix clockwise about the pixel in its middle, by less
// than a quarter turn, after a white border was added to it.
PIX *lept_turn(PIX *pix, double radians, int border);

// lept_updown tells how many letters of a 1-bit pix rise above the others rather than hang below them, as Leptonica's
// pixUpDownDetect does, in less than half of the time: positive for one that is upright. It returns nonzero without memory.
int lept_updown(PIX *pix, l_float32 *up);

// lept_solids looks for areas of gray that are darker than level all over.
// Those that reach the edge of the image and hold nothing are the bed of the
// scanner around the sheet, and are made white in clean. *share is the part of the page
// that the others take, 0 to 1; clean gets back what gray, the page as it was
// before, shows there, because cleaning spoils them. It returns nonzero on
// failure.
int lept_solids(PIX *clean, PIX *gray, double unit, int level, double *share);

// lept_pack gives the words of an 8-bit pix without the white ones: for each run the number
// of white words, that of the others behind them, and these. *size is how many
// words it gives; NULL without memory.
l_uint32 *lept_pack(PIX *pix, size_t *size);

// lept_unpack puts the words that lept_pack gave into a pix of the same size.
void lept_unpack(const l_uint32 *packed, size_t size, PIX *pix);

// lept_pieces gives the boxes of the black pieces of a 1-bit pix whose longer side is
// of least to most pixels: four numbers each, x, y, width and height, in *boxes,
// which the caller frees. It gives how many there are, at most limit, or -1 on failure.
int lept_pieces(PIX *pix, int least, int most, int limit, int32_t **boxes);

// lept_strokes gives, in the same way, the boxes of what is left of a 1-bit pix where only
// upright strokes of least pixels and more are.
int lept_strokes(PIX *pix, int least, int limit, int32_t **boxes);

// lept_clear makes a part of an 8-bit pix of one grey.
void lept_clear(PIX *pix, int x, int y, int w, int h, int level);

// A lept_cell is one of the cells of a row: where it is, and what is in it that is darker
// than a level.
typedef struct {
	int32_t x, y, w, h;
	int32_t left, top, right, bottom; // of its ink; left < 0: it is empty
	int32_t parts;                    // columns of ink with white between them
	int32_t floor;                    // columns with a line below the cell
	int32_t at;                       // where lept_row has put it
} lept_cell;

// lept_look fills in what is in the cells, from left to floor. A line below a cell, which may
// be pale, is looked for up to reach pixels below its foot.
void lept_look(PIX *pix, int level, int pale, int reach, lept_cell *cells, int n);

// lept_row makes a pix of the cells from the first with ink to the last, moved together: apart
// is what is left between two letters, and space the width of an empty cell. NULL: no memory,
// or all are empty.
PIX *lept_row(PIX *pix, lept_cell *cells, int n, int apart, int space);

#endif
