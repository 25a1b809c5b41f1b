#include "ink.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The level that an even background has.
#define PAPER 200

// noise estimates the standard deviation of the paper around its mode, from
// what is lighter than it: no ink is.
static double noise(PIX *even, int *mode)
{
	l_int32 w = pixGetWidth(even), h = pixGetHeight(even), wpl = pixGetWpl(even);
	l_uint32 *data = pixGetData(even);
	long count[256] = {0};

	for (l_int32 y = 0; y < h; y += 4) {
		for (l_int32 x = 0; x < w; x += 3) {
			count[GET_DATA_BYTE(data + (long)y * wpl, x)]++;
		}
	}
	*mode = PAPER;
	for (int v = PAPER - 25; v <= PAPER + 25; v++) {
		if (count[v] > count[*mode]) {
			*mode = v;
		}
	}
	double sum = 0;
	long n = 0;
	for (int v = *mode; v < 255; v++) { // 255 is what was painted
		sum += (double)count[v] * (v - *mode) * (v - *mode);
		n += count[v];
	}
	return n > 0 ? sqrt(sum / n) : 0;
}

// depth gives how far inside an edge of the sheet the middle of a box is, pixels.
static double depth(const ink_rules *rules, int edge, BOX *box)
{
	l_int32 x, y, w, h;

	boxGetGeometry(box, &x, &y, &w, &h);
	return rules->edges[edge][0] * (x + w / 2.0) + rules->edges[edge][1] * (y + h / 2.0) - rules->edges[edge][2];
}

// is_hole reports whether a piece is round and as large as a punch hole, and no
// farther from an edge of the sheet than those are. What is seen through it may
// have been taken for paper, so that only its rim is dark; one at the edge may be
// cut off.
static int is_hole(PIX *dark, BOX *box, const ink_rules *rules)
{
	const double nearest = 22; // mm from an edge to the far side of a hole
	double unit = rules->unit;
	l_int32 x0, y0, w, h, wpl = pixGetWpl(dark);
	l_uint32 *bits = pixGetData(dark);

	boxGetGeometry(box, &x0, &y0, &w, &h);
	if (w < 3 * unit || w > 9 * unit || h < 0.8 * w || h > 1.25 * w) {
		return 0;
	}
	int near = 0;
	for (int edge = 0; edge < 4; edge++) {
		near |= depth(rules, edge, box) + w / 2.0 <= nearest * unit;
	}
	if (!near) {
		return 0;
	}
	// A disc fills pi/4 of its box, and its rows are chords. Its middle is full,
	// or empty but for noise.
	double full = 0, off = 0;
	for (l_int32 y = 0; y < h; y++) {
		l_uint32 *line = bits + (long)(y0 + y) * wpl;
		l_int32 from = x0, to = x0 + w - 1;
		while (from <= to && !GET_DATA_BIT(line, from)) {
			from++;
		}
		while (to >= from && !GET_DATA_BIT(line, to)) {
			to--;
		}
		double v = 2 * (y + 0.5) / h - 1, chord = w * sqrt(1 - v * v);
		full += to - from + 1;
		off += fabs(to - from + 1 - chord);
	}
	return full > 0.72 * w * h && full < 0.9 * w * h && off < 0.12 * w * h || full >= 0.9 * w * h && off < 0.22 * w * h;
}

// is_corner reports whether a piece is what is seen of the bed where a corner of
// the sheet is torn off or folded over: a triangle between two edges.
static int is_corner(PIX *dark, BOX *box, const ink_rules *rules)
{
	const double reach = 3, largest = 40; // mm from an edge, and of a side
	l_int32 w, h, n = 0;

	boxGetGeometry(box, NULL, NULL, &w, &h);
	if (w > largest * rules->unit || h > largest * rules->unit) {
		return 0;
	}
	int across = depth(rules, 0, box) - w / 2.0 < reach * rules->unit || depth(rules, 1, box) - w / 2.0 < reach * rules->unit;
	int along = depth(rules, 2, box) - h / 2.0 < reach * rules->unit || depth(rules, 3, box) - h / 2.0 < reach * rules->unit;
	pixCountPixelsInRect(dark, box, &n, NULL);
	return across && along && n > 0.35 * w * h && n < 0.75 * w * h;
}

// is_dot reports whether a small piece is full, as a speck of dirt is and no
// letter.
static int is_dot(PIX *dark, BOX *box)
{
	l_int32 w, h, n = 0;

	boxGetGeometry(box, NULL, NULL, &w, &h);
	pixCountPixelsInRect(dark, box, &n, NULL);
	return n > 0.6 * w * h && w < 2 * h && h < 2 * w;
}

// steepness tells how steep the edges of a piece are: the mean of the steeper
// half of the slopes in it, in parts of its contrast for two pixels. Noise is smoothed first.
static double steepness(PIX *even, PIX *dark, BOX *box, double contrast)
{
	l_int32 x0, y0, w, h, W = pixGetWidth(even), H = pixGetHeight(even), wpl = pixGetWpl(even), bpl = pixGetWpl(dark);
	l_uint32 *data = pixGetData(even), *bits = pixGetData(dark);
	long slopes[256] = {0}, n = 0;

	boxGetGeometry(box, &x0, &y0, &w, &h);
	// A part of a large piece is as good.
	l_int32 x1 = x0 + (w < 300 ? w : 300), y1 = y0 + (h < 300 ? h : 300);
	if (x0 < 2) x0 = 2;
	if (y0 < 2) y0 = 2;
	if (x1 > W - 2) x1 = W - 2;
	if (y1 > H - 2) y1 = H - 2;
	for (l_int32 y = y0; y < y1; y++) {
		for (l_int32 x = x0; x < x1; x++) {
			if (!GET_DATA_BIT(bits + (long)y * bpl, x)) {
				continue;
			}
			int right = 0, left = 0, down = 0, up = 0;
			for (int d = -1; d <= 1; d++) {
				int weight = d == 0 ? 2 : 1;
				l_uint32 *line = data + (long)(y + d) * wpl;
				right += weight * GET_DATA_BYTE(line, x + 1);
				left += weight * GET_DATA_BYTE(line, x - 1);
				down += weight * GET_DATA_BYTE(data + (long)(y + 1) * wpl, x + d);
				up += weight * GET_DATA_BYTE(data + (long)(y - 1) * wpl, x + d);
			}
			int dx = abs(right - left) / 4, dy = abs(down - up) / 4;
			slopes[dx > dy ? dx : dy]++;
			n++;
		}
	}
	long half = n / 2, got = 0;
	double sum = 0;
	for (int v = 255; v >= 0 && got < half; v--) {
		long take = slopes[v] < half - got ? slopes[v] : half - got;
		sum += (double)v * take;
		got += take;
	}
	return got > 0 ? sum / got / contrast : 1e9;
}

// darkness gives how much darker than level the darkest tenth of a piece is.
static double darkness(PIX *even, PIX *dark, BOX *box, int level)
{
	l_int32 x0, y0, w, h, wpl = pixGetWpl(even), bpl = pixGetWpl(dark);
	l_uint32 *data = pixGetData(even), *bits = pixGetData(dark);
	long count[256] = {0}, n = 0;

	boxGetGeometry(box, &x0, &y0, &w, &h);
	l_int32 x1 = x0 + (w < 300 ? w : 300), y1 = y0 + (h < 300 ? h : 300);
	for (l_int32 y = y0; y < y1; y++) {
		for (l_int32 x = x0; x < x1; x++) {
			if (GET_DATA_BIT(bits + (long)y * bpl, x)) {
				count[GET_DATA_BYTE(data + (long)y * wpl, x)]++;
				n++;
			}
		}
	}
	long seen = 0;
	for (int v = 0; v < 256; v++) {
		if ((seen += count[v]) * 10 >= n) {
			return level - v;
		}
	}
	return 0;
}

// A stroke is a thin straight piece.
typedef struct {
	double from, to, at; // along the line it may be part of, and across it in its middle
	int upright;         // it runs down the page
	int side;            // its length, pixels
	int dark;
	int used, crease; // it is on a line from edge to edge, and is no mark by that
} stroke;

// is_stroke reports whether a piece is thin and straight, and fills in where it runs.
static int is_stroke(PIX *dark, BOX *box, double unit, stroke *s)
{
	const double thick = 0.8, steep = 0.06; // mm, and across for along
	l_int32 x, y, w, h, n = 0;

	boxGetGeometry(box, &x, &y, &w, &h);
	l_int32 side = w > h ? w : h, thin = w > h ? h : w;
	if (side < 3 * thin && thin > 2 || thin > steep * side + thick * unit) {
		return 0;
	}
	pixCountPixelsInRect(dark, box, &n, NULL);
	if (n > thick * unit * side) {
		return 0;
	}
	s->upright = h > w;
	s->from = h > w ? y : x;
	s->to = s->from + side;
	s->at = h > w ? x + w / 2.0 : y + h / 2.0;
	s->side = side;
	return 1;
}

// end gives where a line across the page crosses an edge of the sheet.
static double end(const ink_rules *rules, int edge, double at, int upright)
{
	const double *e = rules->edges[edge];
	return upright ? (e[2] - e[0] * at) / e[1] : (e[2] - e[1] * at) / e[0];
}

// find_creases looks for lines that run from one edge of the sheet to the other:
// creases, folds, and what dirt on the glass draws. No printer reaches the edges,
// and no hand draws so straight. It may be broken into many strokes, of which
// those that are pale, or long, are said to be a crease.
static int find_creases(stroke *list, int n, const ink_rules *rules, int upright, int length)
{
	const double margin = 8 * rules->unit, bin = 0.5 * rules->unit, most = 3, step = 0.2; // degrees
	const double long_side = 40 * rules->unit, enough = 0.5;                             // of the sheet
	int bins = (int)(length / bin) + 3, found = 0;
	double *sum = malloc(3 * sizeof(double) * bins);

	if (sum == NULL) {
		return -1;
	}
	double *low = sum + bins, *high = low + bins;
	for (int line = 0; line < 8; line++) {
		double best = 0, best_slope = 0, best_at = 0;
		for (double degrees = -most; degrees <= most; degrees += step) {
			double slope = tan(degrees * M_PI / 180);
			for (int b = 0; b < bins; b++) {
				sum[b] = 0, low[b] = 1e9, high[b] = -1e9;
			}
			for (int i = 0; i < n; i++) {
				stroke *s = &list[i];
				int b = (int)((s->at - slope * (s->from + s->to) / 2) / bin) + 1;
				if (s->upright == upright && !s->used && b >= 0 && b < bins) {
					sum[b] += s->to - s->from;
					low[b] = fmin(low[b], s->from);
					high[b] = fmax(high[b], s->to);
				}
			}
			for (int b = 1; b < bins - 1; b++) {
				double cover = sum[b - 1] + sum[b] + sum[b + 1];
				if (cover <= best) {
					continue;
				}
				double at = (b - 0.5) * bin, first = fmin(low[b], fmin(low[b - 1], low[b + 1])), last = fmax(high[b], fmax(high[b - 1], high[b + 1]));
				double a = end(rules, upright ? 2 : 0, at, upright), z = end(rules, upright ? 3 : 1, at + slope * last, upright);
				if (cover > enough * (z - a) && first < a + margin && last > z - margin) {
					best = cover, best_slope = slope, best_at = at;
				}
			}
		}
		if (best == 0) {
			break;
		}
		found++;
		for (int i = 0; i < n; i++) {
			stroke *s = &list[i];
			double off = s->at - best_slope * (s->from + s->to) / 2 - best_at;
			if (s->upright == upright && fabs(off) <= 2 * bin) {
				s->used = 1;
				s->crease |= !s->dark || s->side >= long_side;
			}
		}
	}
	free(sum);
	return found;
}

// A mark is one that counts, or would if it were not soft.
typedef struct {
	l_int32 x, y, w, h;
	int pale, letter, soft;
	int gone;           // it does not count after all
	double deep, steep; // contrast in grey levels, and steepness of a pale one
	stroke *s;          // NULL if it is none
} mark;

// drop takes back what a mark was counted as.
static void drop(mark *m, ink *out)
{
	m->gone = 1;
	out->marks--;
	out->letters -= m->letter;
	out->pale -= m->pale;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

// find_shine looks at many pale pieces together. Those that are seen through the
// paper are soft, though noise and a coarse scan make single ones look sharp: it is
// so where most are soft, or where no letter is dark and the middle one is rather soft.
// What is far sharper than they are stands on this side. It returns nonzero without
// memory.
static int find_shine(mark *list, int n, const ink_rules *rules, int level, ink *out)
{
	const int some = 8, many = 30;
	const double rather = 1.2; // of the bound for one piece
	// How much sharper a piece must be than they: less if it is larger than letters,
	// as signatures and lines are.
	const double sharper = 1.5, large_sharper = 1.2, large = 8; // mm
	double soft = 0;
	int dark = 0;

	for (int i = 0; i < n; i++) {
		dark |= list[i].letter && !list[i].pale;
	}
	if (out->soft > some && out->pale * 4 < out->soft) {
		soft = rules->sharp;
	}
	if (n >= many && !dark) {
		double *steep = malloc(sizeof(double) * n);
		if (steep == NULL) {
			return 1;
		}
		for (int i = 0; i < n; i++) {
			steep[i] = list[i].steep;
		}
		qsort(steep, n, sizeof(double), ascending);
		if (steep[n / 2] < rather * rules->sharp) {
			soft = fmax(soft, steep[n / 2]);
		}
		free(steep);
	}
	for (int i = 0; i < n; i++) {
		mark *m = &list[i];
		double side = m->w > m->h ? m->w : m->h;
		if (m->pale && !m->soft && m->steep < soft * (side < large * rules->unit ? sharper : large_sharper)) {
			drop(m, out);
			m->soft = 1;
			out->soft++;
			out->shine += m->deep / level;
		}
	}
	return 0;
}

// gap gives how far two marks are from each other along the axis along which that is more.
static int gap(const mark *a, const mark *b)
{
	int right = b->x - a->x - a->w, left = a->x - b->x - b->w, down = b->y - a->y - a->h, up = a->y - b->y - b->h;
	int across = right > left ? right : left, along = down > up ? down : up;
	return across > along ? across : along;
}

// drop_fibres takes small pale marks that stand alone for fibres of the paper:
// letters, and the strokes of a pencil, have others beside them. Where there are many
// fibres, some lie beside another by chance.
static void drop_fibres(mark *list, int n, const ink_rules *rules, ink *out)
{
	const int many = 60, most = 3000;
	int small = 0;

	for (int i = 0; i < n; i++) {
		small += list[i].pale && !list[i].letter && !list[i].soft;
	}
	if (small == 0 || n > most) {
		return; // what has so many pieces is a page of print
	}
	int least = small < many ? 1 : 2;
	double near = (small < many ? 3 : 1.2) * rules->unit;
	for (int i = 0; i < n; i++) {
		int beside = 0;
		if (!list[i].pale || list[i].letter || list[i].soft) {
			continue;
		}
		for (int k = 0; k < n && beside < least; k++) {
			beside += k != i && !list[k].soft && gap(&list[i], &list[k]) <= near;
		}
		if (beside < least) {
			drop(&list[i], out);
			out->specks++;
		}
	}
}

// follows reports whether b comes after a as the next letter of a word does: not
// farther than a letter is high, about as high, and on the same line. down says that
// the line runs down the page.
static int follows(const mark *a, const mark *b, int down, const ink_rules *rules)
{
	const double most = 2, off = 0.4; // heights for one, and part of the height
	const double flat = 0.75;         // of the smallest mark: the pieces of a crease are lower
	int from = down ? b->y - a->y - a->h : b->x - a->x - a->w;
	int ha = down ? a->w : a->h, hb = down ? b->w : b->h;
	int high = ha > hb ? ha : hb, low = ha > hb ? hb : ha;
	double middle = down ? b->x + hb / 2.0 - a->x - ha / 2.0 : b->y + hb / 2.0 - a->y - ha / 2.0;

	return from >= 0 && from <= high && high <= most * low && fabs(middle) <= off * high && low >= flat * rules->least * rules->unit;
}

// longest_row gives the most marks that follow each other like the letters of a
// word. Dust and fibres lie anyhow; where there are many, some do so by chance.
static int longest_row(const mark *list, int n, const ink_rules *rules)
{
	enum { most = 60 };
	const mark *left[most];
	int count = 0, longest = 0;

	for (int i = 0; i < n; i++) {
		if (list[i].gone) {
			continue;
		}
		if (count == most) {
			return 0;
		}
		left[count++] = &list[i];
	}
	for (int down = 0; down < 2; down++) {
		for (int i = 0; i < count; i++) {
			int row = 1;
			const mark *at = left[i];
			for (int k = 0; k < count; k++) { // each is farther along than the last
				if (follows(at, left[k], down, rules)) {
					at = left[k], row++, k = -1;
				}
			}
			longest = row > longest ? row : longest;
		}
	}
	return longest;
}

// in_rim reports whether all of a piece, which has the given box, is no farther than width
// pixels from the edges of an image of w by h.
static int in_rim(PIXA *pieces, int i, BOX *box, l_int32 w, l_int32 h, double width)
{
	l_int32 x, y, bx, by, n = 1;

	boxGetGeometry(box, &bx, &by, NULL, NULL);
	if (pixaGetBoxGeometry(pieces, i, &x, &y, NULL, NULL) != 0 || x != bx || y != by) {
		return 0;
	}
	PIX *piece = pixaGetPix(pieces, i, L_CLONE);
	BOX *inside = boxCreate((l_int32)width - x, (l_int32)width - y, w - 2 * (l_int32)width, h - 2 * (l_int32)width);
	if (piece == NULL || inside == NULL || pixCountPixelsInRect(piece, inside, &n, NULL) != 0) {
		n = 1;
	}
	boxDestroy(&inside);
	pixDestroy(&piece);
	return n == 0;
}

int lept_ink(PIX *even, const ink_rules *rules, ink *out)
{
	enum { most_strokes = 2000 };
	const double rim = 4, long_rim = 20; // mm: how wide shadows of edges are, and how long one of two edges is at least
	PIXA *pieces = NULL;
	stroke *strokes = NULL;
	mark *marks = NULL;
	int n_strokes = 0, n_marks = 0;
	l_int32 width = pixGetWidth(even), height = pixGetHeight(even);
	double unit = rules->unit;
	int level, failed = 1;
	// Grain must not be taken for ink.
	double sd = noise(even, &level);
	double cut = fmax(rules->contrast * level, 4.5 * sd);
	PIX *dark = pixThresholdToBinary(even, (l_int32)fmax(level - cut, 1));
	BOXA *boxes = dark != NULL ? pixConnCompBB(dark, 8) : NULL;

	memset(out, 0, sizeof *out);
	if (boxes == NULL || (strokes = calloc(most_strokes, sizeof *strokes)) == NULL ||
	    (marks = calloc(boxaGetCount(boxes) + 1, sizeof *marks)) == NULL) {
		goto done;
	}
	for (l_int32 i = 0; i < boxaGetCount(boxes) && out->marks - out->pale < rules->enough; i++) {
		l_int32 x, y, w, h;
		boxaGetBoxGeometry(boxes, i, &x, &y, &w, &h);
		l_int32 side = w > h ? w : h, thin = w > h ? h : w;
		BOX *box = boxaGetBox(boxes, i, L_CLONE);
		stroke *s = n_strokes < most_strokes && is_stroke(dark, box, unit, &strokes[n_strokes]) ? &strokes[n_strokes++] : NULL;
		if (side < rules->least * unit) {
			boxDestroy(&box);
			out->specks++;
			continue;
		}
		// The shadow of the sheet's edge lies along the edge of the image.
		if (x <= unit && w <= rim * unit || y <= unit && h <= rim * unit ||
		    x + w >= width - unit && w <= rim * unit || y + h >= height - unit && h <= rim * unit) {
			boxDestroy(&box);
			continue;
		}
		// Those of two edges are one piece.
		if ((x <= unit || x + w >= width - unit) && (y <= unit || y + h >= height - unit) && side > long_rim * unit) {
			if (pieces == NULL) {
				BOXA *same = pixConnComp(dark, &pieces, 8); // in the same order
				boxaDestroy(&same);
				if (pieces == NULL) {
					boxDestroy(&box);
					goto done;
				}
			}
			if (in_rim(pieces, i, box, width, height, rim * unit)) {
				boxDestroy(&box);
				continue;
			}
		}
		if (side < 1.2 * unit && is_dot(dark, box)) {
			boxDestroy(&box);
			out->specks++;
			continue;
		}
		int hole = is_hole(dark, box, rules);
		double deep = darkness(even, dark, box, level);
		if (!hole && deep > 0.5 * level && is_corner(dark, box, rules)) {
			boxDestroy(&box);
			out->corners++;
			continue;
		}
		int pale = !hole && deep < 0.5 * level;
		double steep = pale ? steepness(even, dark, box, deep) * unit : 0;
		int soft = pale && steep < rules->sharp;
		boxDestroy(&box);
		if (hole) {
			out->holes++;
			continue;
		}
		int letter = side >= rules->letter * unit;
		marks[n_marks++] = (mark){x, y, w, h, pale, letter, soft, soft, deep, steep, s};
		if (soft) {
			out->soft++;
			out->shine += deep / level;
			continue;
		}
		out->marks++;
		out->pale += pale;
		out->letters += letter;
		if (s != NULL) {
			s->dark = !pale;
		}
	}
	if (out->marks - out->pale < rules->enough) { // else the page is full anyway
		if (find_shine(marks, n_marks, rules, level, out) != 0) {
			goto done;
		}
		drop_fibres(marks, n_marks, rules, out);
		int across = find_creases(strokes, n_strokes, rules, 0, height), down = find_creases(strokes, n_strokes, rules, 1, width);
		if (across < 0 || down < 0) {
			goto done;
		}
		out->streaks = across + down;
		for (int i = 0; i < n_marks; i++) {
			if (!marks[i].gone && marks[i].s != NULL && marks[i].s->crease) {
				drop(&marks[i], out);
			}
		}
		out->row = longest_row(marks, n_marks, rules);
	}
	if (out->marks > rules->enough) {
		out->pale = (int)((long)out->pale * rules->enough / out->marks);
		out->marks = rules->enough;
	}
	failed = 0;
done:
	free(strokes);
	free(marks);
	boxaDestroy(&boxes);
	pixaDestroy(&pieces);
	pixDestroy(&dark);
	return failed;
}

int lept_deepen(PIX *even, double unit, int black, int white)
{
	const double side = 0.8;   // mm, of a block: three are about as wide as a letter
	const int least = 35;      // grey levels of contrast: a quarter of that of print
	const double margin = 0.9; // of the contrast: the darkest pixel may be noise
	l_int32 w = pixGetWidth(even), h = pixGetHeight(even), wpl = pixGetWpl(even);
	l_uint32 *data = pixGetData(even);
	int size = (int)(side * unit + 0.5), level;
	size = size < 4 ? 4 : size;
	double sd = noise(even, &level);
	double cut = fmax(least, 5 * sd);
	int cols = (w + size - 1) / size, rows = (h + size - 1) / size;
	unsigned char *low = malloc(3 * (size_t)cols * rows);
	if (low == NULL) {
		return 1;
	}
	unsigned char *near = low + (size_t)cols * rows, *point = near + (size_t)cols * rows;

	// The darkest of the means of two by two pixels in each block.
	memset(low, 255, (size_t)cols * rows);
	for (l_int32 y = 0; y + 1 < h; y += 2) {
		l_uint32 *a = data + (long)y * wpl, *b = a + wpl;
		unsigned char *out = low + (long)(y / size) * cols;
		for (l_int32 x = 0; x + 1 < w; x += 2) {
			int mean = (GET_DATA_BYTE(a, x) + GET_DATA_BYTE(a, x + 1) + GET_DATA_BYTE(b, x) + GET_DATA_BYTE(b, x + 1)) / 4;
			if (mean < out[x / size]) {
				out[x / size] = mean;
			}
		}
	}
	// The grey that is to become black around each block.
	for (int y = 0; y < rows; y++) {
		for (int x = 0; x < cols; x++) {
			int darkest = 255;
			for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < rows; j++) {
				for (int i = x > 0 ? x - 1 : 0; i <= x + 1 && i < cols; i++) {
					darkest = low[(long)j * cols + i] < darkest ? low[(long)j * cols + i] : darkest;
				}
			}
			double contrast = level - darkest;
			int to = contrast < cut ? black : (int)(level - margin * contrast);
			near[(long)y * cols + x] = to < black ? black : to;
		}
	}
	// Without steps between blocks.
	for (int y = 0; y < rows; y++) {
		for (int x = 0; x < cols; x++) {
			int sum = 0, n = 0;
			for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < rows; j++) {
				for (int i = x > 0 ? x - 1 : 0; i <= x + 1 && i < cols; i++) {
					int weight = (i == x ? 2 : 1) * (j == y ? 2 : 1);
					sum += weight * near[(long)j * cols + i];
					n += weight;
				}
			}
			point[(long)y * cols + x] = sum / n;
		}
	}
	for (l_int32 y = 0; y < h; y++) {
		l_uint32 *line = data + (long)y * wpl;
		unsigned char *row = point + (long)(y / size) * cols;
		for (l_int32 x = 0; x < w; x++) {
			int from = row[x / size], v = GET_DATA_BYTE(line, x);
			if (from > black && v < white) {
				int to = black + (v - from) * (white - black) / (white - from);
				SET_DATA_BYTE(line, x, to < 0 ? 0 : to);
			}
		}
	}
	free(low);
	return 0;
}

int lept_outside(PIX *pix, const double lines[4][3], int level)
{
	l_int32 w = pixGetWidth(pix), h = pixGetHeight(pix), wpl = pixGetWpl(pix);
	l_uint32 *line = pixGetData(pix);

	if (pixGetDepth(pix) != 8) {
		return 1;
	}
	for (l_int32 y = 0; y < h; y++, line += wpl) {
		double from = 0, to = w;
		for (int i = 0; i < 4; i++) {
			double a = lines[i][0], c = lines[i][2] - lines[i][1] * y;
			if (fabs(a) < 1e-9) {
				if (c >= 0) {
					to = 0;
				}
			} else if (a > 0) {
				from = fmax(from, c / a);
			} else {
				to = fmin(to, c / a);
			}
		}
		for (l_int32 x = 0; x < w && x < from; x++) {
			SET_DATA_BYTE(line, x, level);
		}
		for (l_int32 x = to < 0 ? 0 : (l_int32)ceil(to < w ? to : w); x < w; x++) {
			SET_DATA_BYTE(line, x, level);
		}
	}
	return 0;
}

void lept_copy(PIX *pix, unsigned char *out)
{
	l_int32 w = pixGetWidth(pix), h = pixGetHeight(pix), wpl = pixGetWpl(pix);
	l_uint32 *line = pixGetData(pix);

	for (l_int32 y = 0; y < h; y++, line += wpl) {
		for (l_int32 x = 0; x < w; x++) {
			*out++ = GET_DATA_BYTE(line, x);
		}
	}
}
