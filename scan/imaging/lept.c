#define _GNU_SOURCE // RTLD_DEFAULT
#include "lept.h"

#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static char said[512];

static void listen(const char *msg)
{
	// The first message is the nearest to the cause: the callers up the stack
	// repeat that they failed.
	if (said[0] == '\0') {
		strncpy(said, msg, sizeof said - 1);
	}
}

// broken counts what libtiff has said of pixels that it could not decode as they were meant.
static _Thread_local int broken;

// complain hears libtiff. What it says of tags is passed over, and so is the noise on the line
// of a fax (Fax3Decode): group 4 knows none.
static void complain(void *handle, const char *module, const char *format, va_list args)
{
	static const char *const coders[] = {"Fax4", "JPEG", "LZW", "ZIP", "PackBits", "TIFFFillStrip", "TIFFFillTile"};
	(void)handle;
	(void)format;
	(void)args;
	for (size_t i = 0; module != NULL && i < sizeof coders / sizeof *coders; i++) {
		if (strncmp(module, coders[i], strlen(coders[i])) == 0) {
			broken++;
		}
	}
}

typedef void (*tiff_handler)(void *, const char *, const char *, va_list);

PIX *lept_tiff(const l_uint8 *data, size_t size, l_int32 *damaged)
{
	broken = 0;
	PIX *pix = pixReadMemTiff(data, size, 0);
	*damaged = broken > 0;
	return pix;
}

void lept_quiet(void)
{
	// Leptonica brings libtiff with it, whose headers are not needed for more than this. It takes
	// away the common handlers at each image, and leaves these.
	static const char *const setters[] = {"TIFFSetErrorHandlerExt", "TIFFSetWarningHandlerExt"};
	for (size_t i = 0; i < sizeof setters / sizeof *setters; i++) {
		tiff_handler (*set)(tiff_handler) = NULL;
		*(void **)&set = dlsym(RTLD_DEFAULT, setters[i]);
		if (set != NULL) {
			set(complain);
		}
	}
	leptSetStderrHandler(listen);
	setMsgSeverity(L_SEVERITY_ERROR);
}

const char *lept_message(char *buf, size_t size)
{
	strncpy(buf, said, size - 1);
	buf[size - 1] = '\0';
	said[0] = '\0';
	return buf;
}

// step replaces *pix by next.
static void step(PIX **pix, PIX *next)
{
	pixDestroy(pix);
	*pix = next;
}

// is_gray reports whether all pixels of a 32-bit pix have equal components.
static int is_gray(PIX *pix)
{
	l_int32 w = pixGetWidth(pix), h = pixGetHeight(pix), wpl = pixGetWpl(pix);
	l_uint32 *line = pixGetData(pix);

	for (l_int32 y = 0; y < h; y++, line += wpl) {
		for (l_int32 x = 0; x < w; x++) {
			l_uint32 p = line[x] >> L_BLUE_SHIFT; // red, green, blue from high to low
			if ((p >> 16) != (p >> 8 & 0xff) || (p >> 16) != (p & 0xff)) {
				return 0;
			}
		}
	}
	return 1;
}

PIX *lept_flatten(PIX *pix)
{
	PIXCMAP *map = pixGetColormap(pix);

	if (map != NULL) {
		l_int32 opaque = 1, black_white = 0;
		pixcmapIsOpaque(map, &opaque);
		pixcmapIsBlackAndWhite(map, &black_white);
		if (!opaque) {
			step(&pix, pixRemoveColormap(pix, REMOVE_CMAP_WITH_ALPHA));
		} else if (pixGetDepth(pix) == 1 && black_white) {
			step(&pix, pixConvertCmapTo1(pix));
		} else {
			step(&pix, pixRemoveColormap(pix, REMOVE_CMAP_BASED_ON_SRC));
		}
		if (pix == NULL) {
			return NULL;
		}
	}
	switch (pixGetDepth(pix)) {
	case 1:
	case 8:
		return pix;
	case 2:
	case 4:
		step(&pix, pixConvertTo8(pix, 0));
		return pix;
	case 16:
		step(&pix, pixConvert16To8(pix, L_MS_BYTE));
		return pix;
	case 32:
		if (pixGetSpp(pix) == 4) {
			step(&pix, pixAlphaBlendUniform(pix, 0xffffff00));
			if (pix == NULL) {
				return NULL;
			}
		}
		pixSetSpp(pix, 3);
		if (is_gray(pix)) {
			step(&pix, pixGetRGBComponent(pix, COLOR_RED));
		}
		return pix;
	}
	pixDestroy(&pix);
	return NULL;
}

PIX *lept_repeat(PIX *pix, l_int32 w, l_int32 h)
{
	l_int64 ws = pixGetWidth(pix), hs = pixGetHeight(pix);
	PIX *out = pixCreate(w, h, 1);

	if (out == NULL) {
		return NULL;
	}
	l_int32 wpl = pixGetWpl(out);
	l_uint32 *to = pixGetData(out);
	for (l_int32 y = 0; y < h; y++, to += wpl) {
		l_uint32 *from = pixGetData(pix) + y * hs / h * pixGetWpl(pix);
		if (w == ws) {
			memcpy(to, from, 4 * (size_t)wpl);
			continue;
		}
		for (l_int32 x = 0; x < w; x++) {
			if (GET_DATA_BIT(from, x * ws / w)) {
				SET_DATA_BIT(to, x);
			}
		}
	}
	return out;
}

void lept_line(PIX *pix, l_int32 y, const l_uint8 *line)
{
	l_int32 w = pixGetWidth(pix);
	l_uint32 *to = pixGetData(pix) + (long)y * pixGetWpl(pix);

	if (pixGetDepth(pix) == 8) {
		for (l_int32 x = 0; x < w; x++) {
			SET_DATA_BYTE(to, x, line[x]);
		}
		return;
	}
	for (l_int32 x = 0; x < w; x++, line += 3) {
		to[x] = (l_uint32)line[0] << L_RED_SHIFT | (l_uint32)line[1] << L_GREEN_SHIFT | (l_uint32)line[2] << L_BLUE_SHIFT;
	}
}

// between gives the level at x, y, in units of 1/65536 pixel, outside of which all
// is white.
static inline int between(l_uint32 *data, int w, int h, int wpl, long long x, long long y)
{
	long long ix = x >> 16, iy = y >> 16;
	int fx = (int)(x >> 8) & 255, fy = (int)(y >> 8) & 255, a = 255, b = 255, c = 255, d = 255;

	if (ix < -1 || iy < -1 || ix >= w || iy >= h) {
		return 255;
	}
	l_uint32 *line = data + iy * wpl, *next = line + wpl;
	if (ix >= 0 && iy >= 0 && ix < w - 1 && iy < h - 1) {
		a = GET_DATA_BYTE(line, ix), b = GET_DATA_BYTE(line, ix + 1), c = GET_DATA_BYTE(next, ix), d = GET_DATA_BYTE(next, ix + 1);
	} else {
		if (iy >= 0) {
			a = ix >= 0 ? GET_DATA_BYTE(line, ix) : 255;
			b = ix + 1 < w ? GET_DATA_BYTE(line, ix + 1) : 255;
		}
		if (iy + 1 < h) {
			c = ix >= 0 ? GET_DATA_BYTE(next, ix) : 255;
			d = ix + 1 < w ? GET_DATA_BYTE(next, ix + 1) : 255;
		}
	}
	return ((a * (256 - fx) + b * fx) * (256 - fy) + (c * (256 - fx) + d * fx) * fy + 32768) >> 16;
}

// within leaves of the pixels from *from to before *end those of which a coordinate, which is at
// for the first of a line and goes on by step, is at least 0 and less than most.
static void within(long long at, long long step, long long most, l_int32 *from, l_int32 *end)
{
	if (step < 0) { // the same from the other side
		at = most - 1 - at;
		step = -step;
	}
	long long first = at >= 0 ? 0 : step == 0 ? *end : (step - 1 - at) / step;
	long long after = at >= most ? 0 : step == 0 ? *end : (most - 1 - at) / step + 1;
	*from = first > *from ? (l_int32)(first < *end ? first : *end) : *from;
	*end = after < *end ? (l_int32)(after > *from ? after : *from) : *end;
}

PIX *lept_turn(PIX *pix, double radians, int border)
{
	const double one = 65536;
	l_int32 w = pixGetWidth(pix), h = pixGetHeight(pix), wpl = pixGetWpl(pix);
	l_uint32 *data = pixGetData(pix);
	l_int32 width = w + 2 * border, height = h + 2 * border;
	long long sine = llround(sin(radians) * one), cosine = llround(cos(radians) * one);

	if (pixGetDepth(pix) != 8) {
		return NULL;
	}
	PIX *out = pixCreateNoInit(width, height, 8);
	if (out == NULL) {
		return NULL;
	}
	int middle_x = width / 2, middle_y = height / 2;
	for (l_int32 y = 0; y < height; y++) {
		l_uint32 *to = pixGetData(out) + (long)y * pixGetWpl(out);
		long long u = ((long long)(middle_x - border) << 16) - middle_x * cosine + (y - middle_y) * sine;
		long long v = ((long long)(middle_y - border) << 16) + middle_x * sine + (y - middle_y) * cosine;
		l_int32 from = 0, end = width;
		// Most pixels come from between four others.
		within(u, cosine, (long long)(w - 1) << 16, &from, &end);
		within(v, -sine, (long long)(h - 1) << 16, &from, &end);
		for (l_int32 x = 0; x < width; x++) {
			if (x == from) {
				for (; x < end; x++) {
					long long fu = u + x * cosine, fv = v - x * sine;
					const l_uint32 *line = data + (fv >> 16) * wpl, *next = line + wpl;
					int at = (int)(fu >> 16), fx = (int)(fu >> 8) & 255, fy = (int)(fv >> 8) & 255;
					int above = GET_DATA_BYTE(line, at) * (256 - fx) + GET_DATA_BYTE(line, at + 1) * fx;
					int below = GET_DATA_BYTE(next, at) * (256 - fx) + GET_DATA_BYTE(next, at + 1) * fx;
					SET_DATA_BYTE(to, x, (above * (256 - fy) + below * fy + 32768) >> 16);
				}
				if (x == width) {
					break;
				}
			}
			SET_DATA_BYTE(to, x, between(data, w, h, wpl, u + x * cosine, v - x * sine));
		}
	}
	return out;
}

// beside gives the 32 pixels that are by pixels to the right of those of a word of a line.
static inline l_uint32 beside(const l_uint32 *line, int i, int wpl, int by)
{
	if (by < 0) {
		return line[i] >> -by | (i > 0 ? line[i - 1] << (32 + by) : 0);
	}
	return by == 0 ? line[i] : line[i] << by | (i + 1 < wpl ? line[i + 1] >> (32 - by) : 0);
}

// stems gives the pixels of a word of lines[1] beside which a letter rises above its neighbours. Of
// lines the first is above it, or below it where what hangs is looked for, and the others go on the other way.
// What it looks for are the text selections of Leptonica's pixUpDownDetect.
static l_uint32 stems(const l_uint32 *const lines[5], int i, int wpl)
{
	const l_uint32 *a = lines[0], *b = lines[1], *c = lines[2], *d = lines[3], *e = lines[4];
	l_uint32 empty = ~(beside(b, i, wpl, -1) | b[i] | beside(b, i, wpl, 1) | a[i] | c[i]);

	empty &= beside(e, i, wpl, -2) & beside(e, i, wpl, -1) & e[i] & beside(e, i, wpl, 1) & beside(e, i, wpl, 2);
	if (empty == 0) {
		return 0;
	}
	l_uint32 left = beside(a, i, wpl, -3) & beside(b, i, wpl, -3) & beside(c, i, wpl, -3) & beside(d, i, wpl, -3) & beside(e, i, wpl, -3);
	l_uint32 right = beside(a, i, wpl, 3) & beside(b, i, wpl, 3) & beside(c, i, wpl, 3) & beside(d, i, wpl, 3) & beside(e, i, wpl, 3);
	return empty & ((left & ~beside(a, i, wpl, 1)) | (right & ~beside(a, i, wpl, -1)));
}

// count_stems counts the squares of four by four pixels in which there is one of stems: way is 1 for
// those that rise, and -1 for those that hang. none is a line without ink.
static int count_stems(PIX *pix, int way, const l_uint32 *none)
{
	l_int32 w = pixGetWidth(pix), h = pixGetHeight(pix), wpl = pixGetWpl(pix);
	const l_uint32 *data = pixGetData(pix);
	int n = 0;

	for (l_int32 top = 0; top + 4 <= h; top += 4) {
		for (l_int32 i = 0; i < wpl; i++) {
			l_uint32 found = 0;
			for (l_int32 y = top; y < top + 4; y++) {
				const l_uint32 *lines[5];
				for (int k = 0; k < 5; k++) {
					l_int32 at = y + way * (k - 1);
					lines[k] = at < 0 || at >= h ? none : data + (size_t)at * wpl;
				}
				found |= stems(lines, i, wpl);
			}
			l_int32 left = w / 4 * 4 - 32 * i; // pixels that are in whole squares
			if (left < 32) {
				found &= left <= 0 ? 0 : ~(l_uint32)0 << (32 - left);
			}
			found |= found << 1;
			found |= found << 2;
			n += __builtin_popcount(found & 0x88888888);
		}
	}
	return n;
}

int lept_updown(PIX *pix, l_float32 *up)
{
	const int fewest = 70; // Leptonica's own
	PIX *words = pixMorphCompSequence(pix, "c1.8 + c30.1", 0); // letters are closed, and joined at their height
	l_uint32 *none = words == NULL ? NULL : calloc(pixGetWpl(words), sizeof *none);

	*up = 0;
	if (none == NULL) {
		pixDestroy(&words);
		return 1;
	}
	pixSetPadBits(words, 0);
	l_float32 rise = (l_float32)count_stems(words, 1, none), hang = (l_float32)count_stems(words, -1, none);
	if (rise > fewest || hang > fewest) {
		*up = 2. * ((rise - hang) / sqrt(rise + hang));
	}
	free(none);
	pixDestroy(&words);
	return 0;
}

static int pixels(PIX *pix)
{
	l_int32 n = 0;
	pixCountPixels(pix, &n, NULL);
	return n;
}

// pieces counts the pieces of pix with a long side of at least size pixels.
static int pieces(PIX *pix, double size)
{
	BOXA *boxes = pixConnCompBB(pix, 8);
	int n = 0;

	for (l_int32 i = 0; boxes != NULL && i < boxaGetCount(boxes); i++) {
		l_int32 w, h;
		boxaGetBoxGeometry(boxes, i, NULL, NULL, &w, &h);
		n += w >= size || h >= size;
	}
	boxaDestroy(&boxes);
	return n;
}

int lept_solids(PIX *clean, PIX *gray, double unit, int level, double *share)
{
	// A quarter of the resolution is enough, and takes a sixteenth of the time.
	const int reduce = 4;
	int side = (int)(2.5 * unit / reduce) | 1; // more than the strokes of any print
	PIX *half = NULL, *small = NULL, *dark = NULL, *core = NULL, *solid = NULL;
	PIX *edge = NULL, *inner = NULL, *closed = NULL, *holes = NULL, *mask = NULL, *light = NULL;
	int failed = 1;

	*share = 0;
	if ((half = pixScaleAreaMap2(gray)) == NULL || (small = pixScaleAreaMap2(half)) == NULL ||
	    (dark = pixThresholdToBinary(small, level)) == NULL ||
	    (core = pixOpenBrick(NULL, dark, side, side)) == NULL ||
	    (solid = pixSeedfillBinary(NULL, core, dark, 8)) == NULL ||
	    (edge = pixExtractBorderConnComps(solid, 8)) == NULL ||
	    (inner = pixSubtract(NULL, solid, edge)) == NULL ||
	    (closed = pixCloseSafeBrick(NULL, edge, side, side)) == NULL ||
	    (holes = pixSubtract(NULL, closed, dark)) == NULL) {
		goto done;
	}
	// The corners of a sheet on a bed leave a few holes, too.
	const int print = 12;
	int at_edge = pixels(closed), within = pixels(inner);
	if (at_edge > 0 && pieces(holes, unit / reduce) >= print) {
		within += at_edge; // a coloured area up to the edge, with light print in it
		if (pixOr(inner, inner, edge) == NULL) {
			goto done;
		}
	} else if (at_edge > 0) {
		// A little more, for the soft edge of the shadow.
		if ((mask = pixDilateBrick(NULL, edge, 3, 3)) == NULL) {
			goto done;
		}
		step(&mask, pixExpandReplicate(mask, reduce));
		if (mask == NULL || pixSetMasked(clean, mask, 255) != 0) {
			goto done;
		}
	}
	if (within > 0) {
		pixDestroy(&mask);
		// With the light print in them, and their soft edges.
		if ((mask = pixCloseSafeBrick(NULL, inner, side, side)) == NULL || (light = pixHolesByFilling(mask, 4)) == NULL ||
		    pixOr(mask, mask, light) == NULL) {
			goto done;
		}
		step(&mask, pixDilateBrick(NULL, mask, 3, 3));
		if (mask != NULL) {
			step(&mask, pixExpandReplicate(mask, reduce));
		}
		if (mask == NULL || pixCombineMasked(clean, gray, mask) != 0) {
			goto done;
		}
	}
	*share = (double)within / ((double)pixGetWidth(small) * pixGetHeight(small));
	failed = 0;
done:
	pixDestroy(&half);
	pixDestroy(&small);
	pixDestroy(&dark);
	pixDestroy(&core);
	pixDestroy(&solid);
	pixDestroy(&edge);
	pixDestroy(&inner);
	pixDestroy(&closed);
	pixDestroy(&holes);
	pixDestroy(&mask);
	pixDestroy(&light);
	return failed;
}

l_uint32 *lept_pack(PIX *pix, size_t *size)
{
	const l_uint32 white = 0xffffffff;
	size_t n = (size_t)pixGetWpl(pix) * pixGetHeight(pix);
	const l_uint32 *data = pixGetData(pix);
	l_uint32 *out = NULL;

	// How much room it takes, and then what goes there.
	for (int pass = 0; pass < 2; pass++) {
		size_t at = 0;
		for (size_t i = 0; i < n;) {
			size_t from = i;
			for (; i < n && data[i] == white; i++) {
			}
			size_t ink = i;
			for (; i < n && data[i] != white; i++) {
			}
			if (pass > 0) {
				out[at] = (l_uint32)(ink - from);
				out[at + 1] = (l_uint32)(i - ink);
				memcpy(out + at + 2, data + ink, (i - ink) * sizeof *out);
			}
			at += 2 + i - ink;
		}
		*size = at;
		if (pass == 0 && (out = malloc(at * sizeof *out)) == NULL) {
			return NULL;
		}
	}
	return out;
}

void lept_unpack(const l_uint32 *packed, size_t size, PIX *pix)
{
	l_uint32 *to = pixGetData(pix);

	for (size_t at = 0; at < size;) {
		size_t blank = packed[at], ink = packed[at + 1];
		memset(to, 0xff, blank * sizeof *to);
		memcpy(to + blank, packed + at + 2, ink * sizeof *to);
		to += blank + ink;
		at += 2 + ink;
	}
}

int lept_pieces(PIX *pix, int least, int most, int limit, int32_t **boxes)
{
	BOXA *all = pixConnCompBB(pix, 8);
	int32_t *to = all == NULL ? NULL : malloc(4 * (size_t)(limit + 1) * sizeof *to);
	int n = 0;

	*boxes = to;
	if (to == NULL) {
		boxaDestroy(&all);
		return -1;
	}
	for (l_int32 i = 0; i < boxaGetCount(all) && n < limit; i++) {
		l_int32 x, y, w, h;
		boxaGetBoxGeometry(all, i, &x, &y, &w, &h);
		if ((w >= least || h >= least) && w <= most && h <= most) {
			int32_t piece[4] = {x, y, w, h};
			memcpy(to + 4 * n++, piece, sizeof piece);
		}
	}
	boxaDestroy(&all);
	return n;
}

// open_upright leaves of a 1-bit pix what upright strokes of n pixels and more cover, as pixOpenBrick does.
// That goes over the image 2*n times.
static void open_upright(PIX *pix, int n)
{
	l_int32 h = pixGetHeight(pix), wpl = pixGetWpl(pix);
	l_uint32 *data = pixGetData(pix);

	// Of each pixel whether size ones from it down are black: of twice as many that is told by two.
	for (int size = 1; size < n;) {
		int more = size < n - size ? size : n - size;
		for (l_int32 y = 0; y < h; y++) {
			l_uint32 *line = data + (size_t)y * wpl, *below = line + (size_t)more * wpl;
			for (l_int32 i = 0; i < wpl; i++) {
				line[i] = y + more < h ? line[i] & below[i] : 0;
			}
		}
		size += more;
	}
	for (int size = 1; size < n;) {
		int more = size < n - size ? size : n - size;
		for (l_int32 y = h - 1; y >= more; y--) {
			l_uint32 *line = data + (size_t)y * wpl, *above = line - (size_t)more * wpl;
			for (l_int32 i = 0; i < wpl; i++) {
				line[i] |= above[i];
			}
		}
		size += more;
	}
}

int lept_strokes(PIX *pix, int least, int limit, int32_t **boxes)
{
	PIX *strokes = pixCopy(NULL, pix);

	*boxes = NULL;
	if (strokes == NULL) {
		return -1;
	}
	open_upright(strokes, least);
	int n = lept_pieces(strokes, least, pixGetHeight(pix), limit, boxes);
	pixDestroy(&strokes);
	return n;
}

void lept_clear(PIX *pix, int x, int y, int w, int h, int level)
{
	BOX *box = boxCreate(x, y, w, h);

	pixSetInRectArbitrary(pix, box, level);
	boxDestroy(&box);
}

// is_dark reports whether a column of an 8-bit pix has a pixel darker than level.
static int is_dark(PIX *pix, int x, int from, int to, int level)
{
	l_uint32 *line = pixGetData(pix) + (size_t)from * pixGetWpl(pix);

	for (int y = from; y < to; y++, line += pixGetWpl(pix)) {
		if (GET_DATA_BYTE(line, x) < level) {
			return 1;
		}
	}
	return 0;
}

void lept_look(PIX *pix, int level, int pale, int reach, lept_cell *cells, int n)
{
	for (lept_cell *c = cells; c < cells + n; c++) {
		int from = c->y + c->h, to = from + reach, blank = 2;
		c->left = -1;
		c->parts = c->floor = 0;
		to = to > pixGetHeight(pix) ? pixGetHeight(pix) : to;
		for (int x = c->x; x < c->x + c->w; x++) {
			c->floor += is_dark(pix, x, from, to, pale);
			if (!is_dark(pix, x, c->y, c->y + c->h, level)) {
				blank++;
				continue;
			}
			c->parts += blank > 1;
			blank = 0;
			c->left = c->left < 0 ? x : c->left;
			c->right = x + 1;
		}
		c->top = c->y + c->h;
		c->bottom = c->y;
		for (int y = c->y; c->left >= 0 && y < c->y + c->h; y++) {
			l_uint32 *line = pixGetData(pix) + (size_t)y * pixGetWpl(pix);
			for (int x = c->left; x < c->right; x++) {
				if (GET_DATA_BYTE(line, x) < level) {
					c->top = y < c->top ? y : c->top;
					c->bottom = y + 1;
					break;
				}
			}
		}
	}
}

PIX *lept_row(PIX *pix, lept_cell *cells, int n, int apart, int space)
{
	const int margin = 10; // pixels, around all
	int width = 2 * margin, height = 0, last = -1, x = margin;

	for (int i = 0; i < n; i++) {
		if (cells[i].left >= 0) {
			last = i;
		}
		width += (cells[i].left < 0 ? space : cells[i].right - cells[i].left) + apart;
		height = cells[i].h > height ? cells[i].h : height;
	}
	PIX *row = last < 0 ? NULL : pixCreate(width, height + 2 * margin, 8);
	if (row == NULL) {
		return NULL;
	}
	pixSetAll(row);
	for (int i = 0; i <= last; i++) {
		lept_cell *c = cells + i;
		if (c->left < 0) {
			x += x > margin ? space : 0;
			continue;
		}
		c->at = x;
		pixRasterop(row, x, margin, c->right - c->left, c->h, PIX_SRC, pix, c->left, c->y);
		x += c->right - c->left + apart;
	}
	return row;
}
