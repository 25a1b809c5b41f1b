#include "codes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zbar.h>

// row copies a line of an 8-bit image to one byte a pixel.
static void row(PIX *pix, int y, unsigned char *out)
{
	l_int32 w = pixGetWidth(pix);
	l_uint32 *line = pixGetData(pix) + (long)y * pixGetWpl(pix);
	for (int x = 0; x < w; x++) {
		out[x] = GET_DATA_BYTE(line, x);
	}
}

int codes_cells(PIX *pix, int size, int level, cell *cells, int cols, int rows)
{
	l_int32 w = pixGetWidth(pix), h = pixGetHeight(pix);
	unsigned char *buffer = malloc(3 * (size_t)w);

	if (!buffer) {
		return 1;
	}
	memset(cells, 0, sizeof(cell) * cols * rows);
	row(pix, 0, buffer);
	row(pix, 1, buffer + w);
	for (int y = 1; y < h - 1 && y / size < rows; y++) {
		unsigned char *a = buffer + (size_t)((y - 1) % 3) * w, *l = buffer + (size_t)(y % 3) * w, *b = buffer + (size_t)((y + 1) % 3) * w;
		row(pix, y + 1, b);
		cell *out = cells + (long)(y / size) * cols;
		for (int c = 0; c < cols; c++) {
			int xx = 0, yy = 0, xy = 0, sum = 0;
			int from = c * size, to = from + size;
			from = from < 1 ? 1 : from;
			to = to > w - 1 ? w - 1 : to;
			// Scharr's weights, because the plain difference is wrong about
			// directions by several degrees.
			for (int x = from; x < to; x++) {
				int dx = 3 * (a[x + 1] - a[x - 1] + b[x + 1] - b[x - 1]) + 10 * (l[x + 1] - l[x - 1]);
				int dy = 3 * (b[x - 1] - a[x - 1] + b[x + 1] - a[x + 1]) + 10 * (b[x] - a[x]);
				dx /= 16;
				dy /= 16;
				xx += dx * dx;
				yy += dy * dy;
				xy += dx * dy;
				sum += l[x];
			}
			out[c].xx += xx;
			out[c].yy += yy;
			out[c].xy += xy;
			out[c].dark += (to - from) * level - sum;
		}
	}
	float area = (float)size * size;
	for (long i = 0; i < (long)cols * rows; i++) {
		cells[i].xx /= area;
		cells[i].yy /= area;
		cells[i].xy /= area;
		cells[i].dark /= area * level;
	}
	free(buffer);
	return 0;
}

void codes_profile(PIX *pix, const band *b, int lines, float *out, int n)
{
	const double one = 65536;
	l_int32 w = pixGetWidth(pix), h = pixGetHeight(pix), wpl = pixGetWpl(pix);
	l_uint32 *data = pixGetData(pix);
	long long sx = llround(b->ux * (b->u1 - b->u0) / n * one), sy = llround(b->uy * (b->u1 - b->u0) / n * one);

	memset(out, 0, sizeof(float) * n);
	for (int l = 0; l < lines; l++) {
		double v = b->v0 + (b->v1 - b->v0) * (l + 0.5) / lines;
		// Where the line is, in units of 1/65536 pixel.
		long long x = llround((b->x - b->uy * v + b->ux * b->u0) * one), y = llround((b->y + b->ux * v + b->uy * b->u0) * one);
		for (int i = 0; i < n; i++, x += sx, y += sy) {
			long long ix = x >> 16, iy = y >> 16;
			if (ix < 0 || iy < 0 || ix >= w - 1 || iy >= h - 1) {
				out[i] += 255;
				continue;
			}
			l_uint32 *line = data + iy * wpl, *next = line + wpl;
			int fx = (int)(x >> 8) & 255, fy = (int)(y >> 8) & 255;
			int top = (int)GET_DATA_BYTE(line, ix) * (256 - fx) + (int)GET_DATA_BYTE(line, ix + 1) * fx;
			int low = (int)GET_DATA_BYTE(next, ix) * (256 - fx) + (int)GET_DATA_BYTE(next, ix + 1) * fx;
			out[i] += (float)(top * (256 - fy) + low * fy) / 65536;
		}
	}
	for (int i = 0; i < n; i++) {
		out[i] /= lines;
	}
}

void codes_blot(PIX *pix, const band *b)
{
	l_int32 w = pixGetWidth(pix), h = pixGetHeight(pix), wpl = pixGetWpl(pix);
	double us = fmax(fabs(b->u0), fabs(b->u1)), vs = fmax(fabs(b->v0), fabs(b->v1));
	double rx = fabs(b->ux) * us + fabs(b->uy) * vs, ry = fabs(b->uy) * us + fabs(b->ux) * vs;

	for (int y = (int)fmax(0, b->y - ry); y < h && y <= b->y + ry; y++) {
		l_uint32 *line = pixGetData(pix) + (long)y * wpl;
		for (int x = (int)fmax(0, b->x - rx); x < w && x <= b->x + rx; x++) {
			double u = (x - b->x) * b->ux + (y - b->y) * b->uy;
			double v = (y - b->y) * b->ux - (x - b->x) * b->uy;
			if (u >= b->u0 && u <= b->u1 && v >= b->v0 && v <= b->v1) {
				SET_DATA_BYTE(line, x, 255);
			}
		}
	}
}

void codes_gray(PIX *pix, unsigned char *out)
{
	l_int32 w = pixGetWidth(pix), h = pixGetHeight(pix);
	for (int y = 0; y < h; y++) {
		row(pix, y, out + (size_t)y * w);
	}
}

double codes_direction(const unsigned char *gray, int w, int h)
{
	double re = 0, im = 0;
	for (int y = 1; y < h - 1; y++) {
		const unsigned char *a = gray + (size_t)(y - 1) * w, *l = a + w, *b = l + w;
		for (int x = 1; x < w - 1; x++) {
			double dx = 3 * (a[x + 1] - a[x - 1] + b[x + 1] - b[x - 1]) + 10 * (l[x + 1] - l[x - 1]);
			double dy = 3 * (b[x - 1] - a[x - 1] + b[x + 1] - a[x + 1]) + 10 * (b[x] - a[x]);
			double n = dx * dx + dy * dy;
			if (n > 0) { // (dx + i dy)^4, as long as the difference squared
				re += (dx * dx * dx * dx - 6 * dx * dx * dy * dy + dy * dy * dy * dy) / n;
				im += 4 * (dx * dx * dx * dy - dx * dy * dy * dy) / n;
			}
		}
	}
	return atan2(im, re) / 4;
}

// keep copies a text; what is longer is nobody's label.
static int keep(symbol *s, const char *text, unsigned length)
{
	if (length == 0 || length > sizeof(s->text)) {
		return 0;
	}
	memcpy(s->text, text, length);
	s->length = length;
	return 1;
}

static int scan(const unsigned char *gray, int w, int h, const zbar_symbol_type_t *types, int matrix, symbol *out, int most)
{
	int n = -1;
	zbar_image_scanner_t *scanner = zbar_image_scanner_create();
	zbar_image_t *image = zbar_image_create();
	if (scanner && image) {
		zbar_image_scanner_set_config(scanner, 0, ZBAR_CFG_ENABLE, 0);
		for (; *types; types++) {
			zbar_image_scanner_set_config(scanner, *types, ZBAR_CFG_ENABLE, 1);
		}
		// The bytes as they are: libzbar takes German for Chinese.
		zbar_image_scanner_set_config(scanner, ZBAR_QRCODE, ZBAR_CFG_BINARY, 1);
		zbar_image_scanner_set_config(scanner, 0, ZBAR_CFG_X_DENSITY, matrix ? 1 : 0);
		zbar_image_scanner_set_config(scanner, 0, ZBAR_CFG_Y_DENSITY, 1);
		zbar_image_set_format(image, zbar_fourcc('Y', '8', '0', '0'));
		zbar_image_set_size(image, w, h);
		zbar_image_set_data(image, gray, (unsigned long)w * h, NULL);
		if (zbar_scan_image(scanner, image) >= 0) {
			n = 0;
			for (const zbar_symbol_t *s = zbar_image_first_symbol(image); s && n < most; s = zbar_symbol_next(s)) {
				symbol *o = &out[n];
				if (!keep(o, zbar_symbol_get_data(s), zbar_symbol_get_data_length(s))) {
					continue;
				}
				o->type = zbar_symbol_get_type(s);
				o->backward = zbar_symbol_get_orientation(s) == ZBAR_ORIENT_DOWN;
				o->points = 0;
				for (unsigned i = 0; i < zbar_symbol_get_loc_size(s) && i < 64; i++, o->points++) {
					o->x[i] = zbar_symbol_get_loc_x(s, i);
					o->y[i] = zbar_symbol_get_loc_y(s, i);
				}
				n++;
			}
		}
	}
	zbar_image_destroy(image);
	zbar_image_scanner_destroy(scanner);
	return n;
}

int codes_bars(const unsigned char *gray, int w, int h, symbol *out, int most)
{
	static const zbar_symbol_type_t types[] = {
		ZBAR_EAN8, ZBAR_EAN13, ZBAR_UPCA, ZBAR_UPCE, ZBAR_I25, ZBAR_CODABAR, ZBAR_CODE39, ZBAR_CODE93, ZBAR_CODE128, 0,
	};
	return scan(gray, w, h, types, 0, out, most);
}

int codes_matrix(const unsigned char *gray, int w, int h, symbol *out, int most)
{
	static const zbar_symbol_type_t types[] = {ZBAR_QRCODE, 0};
	return scan(gray, w, h, types, 1, out, most);
}
