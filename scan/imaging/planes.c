#include "planes.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>
#include <math.h>

enum { done, damaged, unknown, memory };

// A trap catches libjpeg's way of giving up.
typedef struct {
	struct jpeg_error_mgr base;
	jmp_buf jump;
} trap;

static void give_up(j_common_ptr info)
{
	longjmp(((trap *)info->err)->jump, 1);
}

static void say_nothing(j_common_ptr info)
{
	(void)info;
}

// allocate makes room for a plane, padded to whole blocks of the JPEG.
static int allocate(plane *p, int width, int height, int stride, int rows)
{
	p->width = width;
	p->height = height;
	p->stride = stride;
	p->data = calloc((size_t)stride, (size_t)rows);
	return p->data != NULL;
}

void planes_free(planes *p)
{
	for (int i = 0; i < 3; i++) {
		free(p->plane[i].data);
		p->plane[i].data = NULL;
	}
}

int planes_jpeg(const uint8_t *data, size_t size, int reduce, planes *out)
{
	struct jpeg_decompress_struct info;
	trap err;

	memset(out, 0, sizeof *out);
	info.err = jpeg_std_error(&err.base);
	err.base.error_exit = give_up;
	err.base.output_message = say_nothing;
	if (setjmp(err.jump)) {
		int code = info.err->msg_code == JERR_OUT_OF_MEMORY ? memory : damaged;
		jpeg_destroy_decompress(&info);
		planes_free(out);
		return code;
	}
	jpeg_create_decompress(&info);
	jpeg_mem_src(&info, data, size);
	jpeg_read_header(&info, TRUE);
	int gray = info.num_components == 1 && info.jpeg_color_space == JCS_GRAYSCALE;
	int color = info.num_components == 3 && info.jpeg_color_space == JCS_YCbCr;
	// Only where the first component has the most samples do planes show what
	// the image shows.
	if ((!gray && !color) || info.comp_info[0].h_samp_factor != info.max_h_samp_factor ||
	    info.comp_info[0].v_samp_factor != info.max_v_samp_factor) {
		jpeg_destroy_decompress(&info);
		return unknown;
	}
	info.raw_data_out = TRUE;
	info.do_fancy_upsampling = FALSE;
	info.dct_method = JDCT_ISLOW;
	info.out_color_space = info.jpeg_color_space;
	info.scale_num = 1;
	info.scale_denom = (unsigned)reduce;
	jpeg_start_decompress(&info);

	out->count = info.num_components;
	for (int i = 0; i < out->count; i++) {
		jpeg_component_info *c = &info.comp_info[i];
		int unit = c->DCT_scaled_size;
		if (!allocate(&out->plane[i], (int)c->downsampled_width, (int)c->downsampled_height,
		              (int)c->width_in_blocks * unit, ((int)c->height_in_blocks + c->v_samp_factor) * unit)) {
			jpeg_destroy_decompress(&info);
			planes_free(out);
			return memory;
		}
	}
	// A row of blocks of each component at a time, at most 4 x 8 lines.
	JSAMPROW rows[3][4 * DCTSIZE];
	JSAMPARRAY image[3] = {rows[0], rows[1], rows[2]};
	for (int n = 0; info.output_scanline < info.output_height; n++) {
		int lines = 0;
		for (int i = 0; i < out->count; i++) {
			jpeg_component_info *c = &info.comp_info[i];
			int count = c->v_samp_factor * c->DCT_scaled_size;
			int room = ((int)c->height_in_blocks + c->v_samp_factor) * c->DCT_scaled_size;
			for (int k = 0; k < count; k++) {
				int y = n * count + k;
				rows[i][k] = out->plane[i].data + (size_t)out->plane[i].stride * (size_t)(y < room ? y : room - 1);
			}
			lines = i == 0 ? count : lines;
		}
		if (jpeg_read_raw_data(&info, image, (JDIMENSION)lines) == 0) {
			break;
		}
	}
	jpeg_abort_decompress(&info);
	jpeg_destroy_decompress(&info);
	return done;
}

int planes_make(int width, int height, int samples, planes *out)
{
	int cw = (width + 1) / 2, ch = (height + 1) / 2;

	memset(out, 0, sizeof *out);
	out->count = samples;
	if (!allocate(&out->plane[0], width, height, width, height) ||
	    (samples == 3 && (!allocate(&out->plane[1], cw, ch, cw, ch) || !allocate(&out->plane[2], cw, ch, cw, ch)))) {
		planes_free(out);
		return memory;
	}
	return done;
}

int planes_pix(PIX *pix, planes *out)
{
	int w = pixGetWidth(pix), h = pixGetHeight(pix), wpl = pixGetWpl(pix);
	int cw = (w + 1) / 2;

	if (planes_make(w, h, pixGetDepth(pix) == 32 ? 3 : 1, out) != done) {
		return memory;
	}
	for (int y = 0; y < h; y++) {
		l_uint32 *line = pixGetData(pix) + (size_t)y * (size_t)wpl;
		uint8_t *to = out->plane[0].data + (size_t)y * (size_t)w;
		for (int x = 0; x < w; x++) {
			if (out->count == 1) {
				to[x] = (uint8_t)GET_DATA_BYTE(line, x);
				continue;
			}
			int r = (int)(line[x] >> L_RED_SHIFT & 255), g = (int)(line[x] >> L_GREEN_SHIFT & 255), b = (int)(line[x] >> L_BLUE_SHIFT & 255);
			// As in JFIF, in units of 1/65536.
			to[x] = (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
			if (x % 2 == 0 && y % 2 == 0) {
				// The mean of the pixels that share this colour.
				int n = 1;
				for (int k = 1; k < 4; k++) {
					int x2 = x + k % 2, y2 = y + k / 2;
					if (x2 < w && y2 < h) {
						l_uint32 p = pixGetData(pix)[(size_t)y2 * (size_t)wpl + (size_t)x2];
						r += (int)(p >> L_RED_SHIFT & 255);
						g += (int)(p >> L_GREEN_SHIFT & 255);
						b += (int)(p >> L_BLUE_SHIFT & 255);
						n++;
					}
				}
				size_t at = (size_t)(y / 2) * (size_t)cw + (size_t)(x / 2);
				out->plane[1].data[at] = (uint8_t)(((-11059 * r - 21709 * g + 32768 * b) / n + (128 << 16) + 32767) >> 16);
				out->plane[2].data[at] = (uint8_t)(((32768 * r - 27439 * g - 5329 * b) / n + (128 << 16) + 32767) >> 16);
			}
		}
	}
	return done;
}

int planes_encode(const uint8_t *const data[3], int count, int width, int height, int quality, uint8_t **out, size_t *size)
{
	struct jpeg_compress_struct info;
	trap err;
	unsigned char *memory_out = NULL;
	unsigned long length = 0;
	JSAMPLE *volatile line = NULL;

	info.err = jpeg_std_error(&err.base);
	err.base.error_exit = give_up;
	err.base.output_message = say_nothing;
	if (setjmp(err.jump)) {
		jpeg_destroy_compress(&info);
		free(line);
		free(memory_out);
		return memory;
	}
	jpeg_create_compress(&info);
	jpeg_mem_dest(&info, &memory_out, &length);
	info.image_width = (JDIMENSION)width;
	info.image_height = (JDIMENSION)height;
	info.input_components = count;
	info.in_color_space = count == 3 ? JCS_YCbCr : JCS_GRAYSCALE;
	jpeg_set_defaults(&info);
	jpeg_set_quality(&info, quality, TRUE);
	info.optimize_coding = TRUE;
	jpeg_start_compress(&info, TRUE);
	line = malloc((size_t)width * (size_t)count);
	if (line == NULL) {
		longjmp(err.jump, 1);
	}
	while (info.next_scanline < info.image_height) {
		size_t at = (size_t)info.next_scanline * (size_t)width;
		for (int x = 0; x < width; x++) {
			for (int i = 0; i < count; i++) {
				line[x * count + i] = data[i][at + (size_t)x];
			}
		}
		JSAMPROW row = line;
		jpeg_write_scanlines(&info, &row, 1);
	}
	jpeg_finish_compress(&info);
	jpeg_destroy_compress(&info);
	free(line);
	*out = memory_out;
	*size = length;
	return done;
}

int plane_extremes(const uint8_t *data, int width, int height, int stride, uint8_t *low, uint8_t *high)
{
	int across = (width + 7) / 8;
	// Means of 2 x 2 pixels, four for each block; beyond the edge, the last again.
	size_t n = (size_t)across * 4;
	uint8_t *mean = malloc(3 * n);
	if (mean == NULL) {
		return memory;
	}
	uint8_t *lo = mean + n, *hi = lo + n;
	for (int top = 0; top < height; top += 8, low += across, high += across) {
		for (int y = top; y < top + 8 && y < height; y += 2) {
			const uint8_t *a = data + (size_t)y * (size_t)stride, *b = y + 1 < height ? a + stride : a;
			int whole = width / 2;
			for (int x = 0; x < whole; x++) {
				mean[x] = (uint8_t)((a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1] + 2) >> 2);
			}
			for (int x = whole; x < (int)n; x++) {
				mean[x] = width % 2 ? (uint8_t)((a[width - 1] + b[width - 1] + 1) >> 1) : mean[whole - 1];
			}
			if (y == top) {
				memcpy(lo, mean, n);
				memcpy(hi, mean, n);
				continue;
			}
			for (size_t x = 0; x < n; x++) {
				lo[x] = mean[x] < lo[x] ? mean[x] : lo[x];
				hi[x] = mean[x] > hi[x] ? mean[x] : hi[x];
			}
		}
		for (int i = 0; i < across; i++) {
			uint8_t l = lo[4 * i], h = hi[4 * i];
			for (int k = 1; k < 4; k++) {
				l = lo[4 * i + k] < l ? lo[4 * i + k] : l;
				h = hi[4 * i + k] > h ? hi[4 * i + k] : h;
			}
			low[i] = l;
			high[i] = h;
		}
	}
	free(mean);
	return done;
}

// blend gives the pixel at u, v, in units of 1/65536, between its four neighbours.
static inline uint8_t blend(const uint8_t *a, size_t right, size_t down, int64_t u, int64_t v)
{
	int fx = (int)(u >> 8) & 255, fy = (int)(v >> 8) & 255;
	int top = a[0] * (256 - fx) + a[right] * fx, bottom = a[down] * (256 - fx) + a[down + right] * fx;

	return (uint8_t)((top * (256 - fy) + bottom * fy + 32768) >> 16);
}

void plane_turn(const uint8_t *data, int width, int height, int stride, double radians, uint8_t *out)
{
	const double one = 65536;
	int64_t sine = (int64_t)lround(sin(radians) * one), cosine = (int64_t)lround(cos(radians) * one);
	int64_t most_x = (int64_t)(width - 1) << 16, most_y = (int64_t)(height - 1) << 16;

	for (int y = 0; y < height; y++, out += width) {
		// Where the first pixel of this row comes from, in units of 1/65536.
		int64_t u = most_x / 2 - cosine * (width - 1) / 2 + sine * (2 * y - (height - 1)) / 2;
		int64_t v = most_y / 2 + sine * (width - 1) / 2 + cosine * (2 * y - (height - 1)) / 2;
		for (int x = 0; x < width;) {
			if (u >= 0 && u < most_x && v >= 0 && v < most_y) {
				// As many as surely come from within.
				int64_t n = (most_x - 1 - u) / cosine;
				int64_t m = sine > 0 ? v / sine : sine < 0 ? (most_y - 1 - v) / -sine : n;
				n = n < m ? n : m;
				for (n = n < width - 1 - x ? n : width - 1 - x; n >= 0; n--, x++, u += cosine, v -= sine) {
					out[x] = blend(data + (size_t)(v >> 16) * (size_t)stride + (size_t)(u >> 16), 1, (size_t)stride, u, v);
				}
				continue;
			}
			int64_t cu = u < 0 ? 0 : u > most_x ? most_x : u, cv = v < 0 ? 0 : v > most_y ? most_y : v;
			out[x] = blend(data + (size_t)(cv >> 16) * (size_t)stride + (size_t)(cu >> 16),
			               cu < most_x ? 1 : 0, cv < most_y ? (size_t)stride : 0, cu, cv);
			x++, u += cosine, v -= sine;
		}
	}
}

void plane_shrink(const uint8_t *data, int width, int height, int stride, int size, uint8_t *out)
{
	int across = (width + size - 1) / size, whole = width / size;

	for (int y = 0; y < height; y += size, out += across) {
		int rows = height - y < size ? height - y : size;
		const uint8_t *row = data + (size_t)y * (size_t)stride;
		for (int x = 0; x < across; x++) {
			int columns = x < whole ? size : width - whole * size, sum = 0;
			for (int k = 0; k < rows; k++) {
				const uint8_t *p = row + (size_t)k * (size_t)stride + (size_t)x * (size_t)size;
				if (columns == 4) { // the usual one, without a loop
					sum += p[0] + p[1] + p[2] + p[3];
					continue;
				}
				for (int i = 0; i < columns; i++) {
					sum += p[i];
				}
			}
			int n = rows * columns;
			out[x] = (uint8_t)(n == 16 ? (sum + 8) >> 4 : (sum + n / 2) / n);
		}
	}
}

void plane_cells(const uint8_t *data, int width, int height, int stride, int across, int down, float *out)
{
	for (int y = 0; y < down; y++) {
		int top = (int)((long)y * height / down), foot = (int)((long)(y + 1) * height / down);
		for (int x = 0; x < across; x++) {
			int left = (int)((long)x * width / across), right = (int)((long)(x + 1) * width / across), sum = 0;
			for (int j = top; j < foot; j++) {
				const uint8_t *row = data + (size_t)j * (size_t)stride;
				for (int i = left; i < right; i++) {
					sum += row[i];
				}
			}
			*out++ = (float)sum / (float)((right - left) * (foot - top));
		}
	}
}
