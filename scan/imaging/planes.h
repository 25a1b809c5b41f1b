// Luminance and colour of an image apart, as a JPEG has them.

#ifndef DOCSCAN_PLANES_H
#define DOCSCAN_PLANES_H

#include <stddef.h>
#include <stdint.h>
#include <leptonica/allheaders.h>

// plane is one component. Its rows are stride bytes apart.
typedef struct {
	uint8_t *data;
	int width, height, stride;
} plane;

// planes is an image of one component (grey) or three (Y, Cb, Cr). The last two
// can have fewer pixels than the first, but show the same area.
typedef struct {
	plane plane[3];
	int count;
} planes;

// planes_jpeg decodes a JPEG with one or three components, at 1/reduce of its
// size (1, 2, 4 or 8). It gives 0; 1 for a file that is damaged so that nothing
// is shown; 2 for one whose components are something else; 3 for want of memory.
int planes_jpeg(const uint8_t *data, size_t size, int reduce, planes *out);

// planes_pix takes an 8-bit or 32-bit pix apart, with one value of colour for
// four pixels. It gives 0, or 3 for want of memory.
int planes_pix(PIX *pix, planes *out);

// planes_make makes room for the planes of an image with one sample a pixel, or with three,
// of which the colours are halved. It gives 0, or 3 for want of memory.
int planes_make(int width, int height, int samples, planes *out);

// planes_free frees what the functions above have made.
void planes_free(planes *p);

// planes_encode codes count planes, all of one size, as a JPEG. Colours are
// halved in both directions. It gives 0 and memory for free, or 3.
int planes_encode(const uint8_t *const data[3], int count, int width, int height, int quality, uint8_t **out, size_t *size);

// plane_turn turns a plane clockwise about its middle, by less than 45 degrees,
// to another of the same size. What comes in from beyond the edge is what lies
// at the edge.
void plane_turn(const uint8_t *data, int width, int height, int stride, double radians, uint8_t *out);

// plane_shrink takes the mean of each square of size pixels; those at the right
// and lower edge may be smaller.
void plane_shrink(const uint8_t *data, int width, int height, int stride, int size, uint8_t *out);

// plane_cells takes the means of a plane in across by down cells, of which it has at least as many pixels.
void plane_cells(const uint8_t *data, int width, int height, int stride, int across, int down, float *out);

// plane_extremes finds the darkest and the lightest of each block of 8 x 8 pixels,
// taking the means of 2 x 2 for pixels. The image is at least 2 pixels wide. It
// gives 0, or 3 for want of memory.
int plane_extremes(const uint8_t *data, int width, int height, int stride, uint8_t *low, uint8_t *high);

#endif
