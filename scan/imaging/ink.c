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

// at_edge reports whether a piece lies along an edge of the sheet that is seen: what is
// left there of the bed or of a shadow, where the edge was not found to the pixel.
static int at_edge(const ink_rules *rules, BOX *box)
{
	const double nearest = 1.8 * rules->unit, farthest = 4 * rules->unit; // from the edge; 0.8 mm are painted over
	l_int32 w, h;

	boxGetGeometry(box, NULL, NULL, &w, &h);
	for (int edge = 0; edge < 4; edge++) {
		const double *e = rules->edges[edge];
		double half = fabs(e[0]) * w / 2 + fabs(e[1]) * h / 2, middle = depth(rules, edge, box);
		if (rules->seen[edge] && middle - half <= nearest && middle + half <= farthest) {
			return 1;
		}
	}
	return 0;
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
// the sheet is torn off or folded over: a triangle between two edges, of the sheet or where
// that goes on beyond the image. There cut pixels may have been cut off.
// A pale one may have become lighter in its middle, as a stain has.
static int is_corner(PIX *dark, BOX *box, const ink_rules *rules, int cut, int pale)
{
	const double reach = 3, largest = 40; // mm from an edge, and of a side
	l_int32 W = pixGetWidth(dark), H = pixGetHeight(dark), x, y, w, h, n = 0;

	boxGetGeometry(box, &x, &y, &w, &h);
	if (w > largest * rules->unit || h > largest * rules->unit) {
		return 0;
	}
	int across = depth(rules, 0, box) - w / 2.0 < reach * rules->unit || depth(rules, 1, box) - w / 2.0 < reach * rules->unit;
	int along = depth(rules, 2, box) - h / 2.0 < reach * rules->unit || depth(rules, 3, box) - h / 2.0 < reach * rules->unit;
	across |= x == cut || x + w == W - cut;
	along |= y == cut || y + h == H - cut;
	pixCountPixelsInRect(dark, box, &n, NULL);
	if (pale) {
		n = 0;
	}
	for (l_int32 j = y; pale && j < y + h; j++) {
		l_uint32 *line = pixGetData(dark) + (long)j * pixGetWpl(dark);
		l_int32 from = x, to = x + w - 1;
		for (; from <= to && !GET_DATA_BIT(line, from); from++) {
		}
		for (; to >= from && !GET_DATA_BIT(line, to); to--) {
		}
		n += to - from + 1;
	}
	return across && along && n > 0.35 * w * h && n < 0.75 * w * h;
}

// bed_beyond gives the grey of the bed beyond an edge: where too little of it is seen there, as on other
// sides. It is less than 0 if it is seen on none.
static double bed_beyond(const ink_rules *rules, int edge)
{
	double sum = 0;
	int n = 0;

	for (int i = 0; i < 4 && rules->bed[edge] < 0; i++) {
		if (rules->bed[i] >= 0) {
			sum += rules->bed[i];
			n++;
		}
	}
	return rules->bed[edge] >= 0 || n == 0 ? rules->bed[edge] : sum / n;
}

// filled_hull gives the part of the convex hull of an area on a straight line that is full. depth is how far
// it reaches from each of n places on that line.
static double filled_hull(const int *depth, int n)
{
	double area = 0, hull = 0;
	int at = 0;

	for (int i = 0; i < n; i++) {
		area += depth[i];
	}
	// From each corner of the hull to the next: the one to which the line is the steepest.
	for (double y = 0; at < n;) {
		int next = n;
		double best = -1e9, to = 0;
		for (int i = at + 1; i <= n; i++) {
			double d = i < n ? depth[i] : 0, slope = (d - y) / (i - at);
			if (slope >= best) {
				best = slope, next = i, to = d;
			}
		}
		hull += (y + to) / 2 * (next - at);
		at = next, y = to;
	}
	return hull > 0 ? area / hull : 1;
}

// is_bite reports whether a piece is what is seen of the bed where the edge of the sheet is torn: it
// begins at an edge, of which cut pixels may have been cut off, has the grey of the bed, is as even, and
// the farther in the narrower, as no tab is that is printed there.
static int is_bite(PIX *gray, PIX *dark, BOX *box, const ink_rules *rules, int cut)
{
	const double reach = 2.2, deepest = 25, longest = 60; // mm from the edge, into the sheet, along the edge
	const double like = 12, same = 4, even = 8;            // grey levels
	const double ragged = 0.95;                            // part of its hull that is full; of what has even edges, as print has, more is
	const double begin = 0.9, end = 0.75;                  // parts of its breadth, of what is left of it at three quarters of its depth
	l_int32 x0, y0, w, h, wpl = pixGetWpl(dark), gpl = pixGetWpl(gray);
	l_uint32 *bits = pixGetData(dark), *data = pixGetData(gray);

	boxGetGeometry(box, &x0, &y0, &w, &h);
	for (int edge = 0; edge < 4; edge++) {
		int upright = edge < 2, deep = upright ? w : h, broad = upright ? h : w;
		double away = depth(rules, edge, box) - deep / 2.0, bed = bed_beyond(rules, edge);
		if (bed < 0 || away > reach * rules->unit + cut || deep > deepest * rules->unit || broad > longest * rules->unit || deep < 3 || broad < deep) {
			continue;
		}
		// Its pixels at each quarter of its depth, from the edge on, and their greys.
		double row[4] = {0}, sum = 0, squares = 0;
		int *reached = calloc((size_t)broad, sizeof *reached); // by each line that goes in from the edge
		if (reached == NULL) {
			return 0; // it counts as a mark
		}
		long n = 0;
		for (int d = 0; d < deep; d++) {
			int at = edge % 2 == 0 ? d : deep - 1 - d;
			for (int b = 0; b < broad; b++) {
				int x = upright ? x0 + at : x0 + b, y = upright ? y0 + b : y0 + at;
				if (!GET_DATA_BIT(bits + (long)y * wpl, x)) {
					continue;
				}
				row[4 * d / deep] += 4.0 / deep;
				reached[b] = d + 1;
				// Its rim is soft, and in the shadow of the paper.
				if (x > x0 + 1 && y > y0 + 1 && GET_DATA_BIT(bits + (long)y * wpl, x - 2) && GET_DATA_BIT(bits + (long)(y - 2) * wpl, x) &&
				    x < x0 + w - 2 && y < y0 + h - 2 && GET_DATA_BIT(bits + (long)y * wpl, x + 2) && GET_DATA_BIT(bits + (long)(y + 2) * wpl, x)) {
					double v = GET_DATA_BYTE(data + (long)y * gpl, x);
					sum += v;
					squares += v * v;
					n++;
				}
			}
		}
		double full = filled_hull(reached, broad);
		free(reached);
		if (n == 0) {
			continue;
		}
		double mean = sum / n, sd = sqrt(fmax(squares / n - mean * mean, 0));
		int narrower = row[0] > 0.6 * broad && row[2] < begin * row[0] && row[3] < end * row[0];
		if (narrower && fabs(mean - bed) <= (full < ragged ? like : same) && sd <= even) {
			return 1;
		}
	}
	return 0;
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

// sampling gives of how many rows of a box one is looked at: of a large piece a part tells as much.
static int sampling(l_int32 w, l_int32 h)
{
	const long enough = 400000; // pixels
	return 1 + (int)((long)w * h / enough);
}

// steepness tells how steep the edges of a piece are: the mean of the steeper half of the
// slopes near them, in parts of its contrast for two pixels. Noise is smoothed first. What is lighter than
// paper is none of it.
static double steepness(PIX *even, PIX *dark, BOX *box, double contrast, double unit, int paper)
{
	const int rim = (int)(0.35 * unit + 0.5); // what is farther inside an area is as flat on any side of the sheet
	l_int32 x0, y0, w, h, W = pixGetWidth(even), H = pixGetHeight(even), wpl = pixGetWpl(even), bpl = pixGetWpl(dark);
	l_uint32 *data = pixGetData(even), *bits = pixGetData(dark);
	long slopes[256] = {0}, n = 0;

	boxGetGeometry(box, &x0, &y0, &w, &h);
	l_int32 x1 = x0 + w, y1 = y0 + h, step = sampling(w, h);
	if (x0 < 2) x0 = 2;
	if (y0 < 2) y0 = 2;
	if (x1 > W - 2) x1 = W - 2;
	if (y1 > H - 2) y1 = H - 2;
	for (l_int32 y = y0; y < y1; y += step) {
		for (l_int32 x = x0; x < x1; x++) {
			if (!GET_DATA_BIT(bits + (long)y * bpl, x)) {
				continue;
			}
			int edge = 0; // of the image there is none: a piece may go on there
			for (int k = 0; k < 4; k++) {
				l_int32 i = x + (k == 0 ? rim : k == 1 ? -rim : 0), j = y + (k == 2 ? rim : k == 3 ? -rim : 0);
				edge |= i >= 0 && j >= 0 && i < W && j < H && GET_DATA_BYTE(data + (long)j * wpl, i) >= paper;
			}
			if (!edge) {
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

// darkness gives how much darker than level the darkest tenth of a piece is. mean is how much
// all of it is, and mass the same in pixels that were quite black.
static double darkness(PIX *even, PIX *dark, BOX *box, int level, double *mean, double *mass)
{
	l_int32 x0, y0, w, h, wpl = pixGetWpl(even), bpl = pixGetWpl(dark);
	l_uint32 *data = pixGetData(even), *bits = pixGetData(dark);
	long count[256] = {0}, n = 0;

	boxGetGeometry(box, &x0, &y0, &w, &h);
	l_int32 x1 = x0 + w, y1 = y0 + h, step = sampling(w, h);
	for (l_int32 y = y0; y < y1; y += step) {
		for (l_int32 x = x0; x < x1; x++) {
			if (GET_DATA_BIT(bits + (long)y * bpl, x)) {
				count[GET_DATA_BYTE(data + (long)y * wpl, x)]++;
				n++;
			}
		}
	}
	*mean = 0;
	for (int v = 0; v < level && n > 0; v++) {
		*mean += (double)count[v] * (level - v) / n;
	}
	*mass = *mean * n * step / level;
	long seen = 0;
	for (int v = 0; v < 256; v++) {
		if ((seen += count[v]) * 10 >= n) {
			return level - v;
		}
	}
	return 0;
}

// is_bed reports whether a piece can be a part of the bed: where that is seen, it is as
// dark in gray, or darker, as a shadow may lie on it.
static int is_bed(PIX *gray, PIX *dark, BOX *box, const ink_rules *rules)
{
	const double off = 8, shade = 0.4; // grey levels, and the part that a shadow takes
	l_int32 x0, y0, w, h, wpl = pixGetWpl(gray), dpl = pixGetWpl(dark);
	l_uint32 *data = pixGetData(gray), *bits = pixGetData(dark);
	long count[256] = {0}, n = 0, below = 0;
	int seen = 0, level = 0;

	boxGetGeometry(box, &x0, &y0, &w, &h);
	for (l_int32 y = y0; y < y0 + h; y++) {
		for (l_int32 x = x0; x < x0 + w; x++) {
			if (GET_DATA_BIT(bits + (long)y * dpl, x)) {
				count[GET_DATA_BYTE(data + (long)y * wpl, x)]++;
				n++;
			}
		}
	}
	while (level < 255 && 2 * (below += count[level]) < n) { // its rim is lighter
		level++;
	}
	for (int edge = 0; edge < 4; edge++) {
		double bed = rules->bed[edge];
		if (bed >= 0 && level <= bed + off && level >= (1 - shade) * bed - off) {
			return 1;
		}
		seen |= bed >= 0;
	}
	return !seen;
}

// breadth gives how broad a piece is where it is broadest: down the page for one that runs
// across, and across for one that runs down.
static int breadth(PIX *dark, BOX *box)
{
	l_int32 x0, y0, w, h, wpl = pixGetWpl(dark);
	l_uint32 *bits = pixGetData(dark);
	int broadest = 0;

	boxGetGeometry(box, &x0, &y0, &w, &h);
	int upright = h > w, length = upright ? h : w, across = upright ? w : h;
	for (int i = 0; i < length; i++) {
		int first = -1, last = -1;
		for (int at = 0; at < across; at++) {
			int x = upright ? x0 + at : x0 + i, y = upright ? y0 + i : y0 + at;
			if (GET_DATA_BIT(bits + (long)y * wpl, x)) {
				first = first < 0 ? at : first;
				last = at;
			}
		}
		broadest = last - first + 1 > broadest ? last - first + 1 : broadest;
	}
	return broadest;
}

// A relief is what the paper looks like on the two sides of a piece.
typedef struct {
	double light[2]; // grey levels above that of the paper
	double steady;   // the part of its length along which they differ by half as much as in the mean at least
	int broad;       // breadth of the piece
} relief;

// find_relief looks at the paper along the two sides of a piece: left and right of one
// that runs down the page, above and below another.
static relief find_relief(PIX *even, PIX *dark, BOX *box, double unit, int level)
{
	enum { most = 600 };
	const int near = (int)(0.25 * unit + 0.5), far = (int)(1.1 * unit + 0.5); // mm: past the soft edge of the piece
	const double part = 0.6 * unit;                                          // mm of its length that are looked at as one
	l_int32 x0, y0, w, h, W = pixGetWidth(even), H = pixGetHeight(even), wpl = pixGetWpl(even), bpl = pixGetWpl(dark);
	l_uint32 *data = pixGetData(even), *bits = pixGetData(dark);
	double sum[2][most] = {{0}}, all[2] = {0};
	long n[2][most] = {{0}}, count[2] = {0};

	boxGetGeometry(box, &x0, &y0, &w, &h);
	int upright = h > w, length = upright ? h : w, across = upright ? w : h, limit = upright ? W : H;
	for (int i = 0; i < length; i++) {
		int k = (int)(i / part) < most ? (int)(i / part) : most - 1;
		for (int side = 0; side < 2; side++) {
			int step = side == 0 ? 1 : -1, at = side == 0 ? 0 : across - 1;
			for (; at >= 0 && at < across; at += step) {
				int x = upright ? x0 + at : x0 + i, y = upright ? y0 + i : y0 + at;
				if (GET_DATA_BIT(bits + (long)y * bpl, x)) {
					break;
				}
			}
			for (int d = near; d <= far && at >= 0 && at < across; d++) {
				int from = (upright ? x0 : y0) + at - step * d;
				if (from < 0 || from >= limit) {
					break;
				}
				int x = upright ? from : x0 + i, y = upright ? y0 + i : from;
				sum[side][k] += GET_DATA_BYTE(data + (long)y * wpl, x) - level;
				n[side][k]++;
			}
		}
	}
	relief r = {0};
	int parts = 0, steady = 0;
	for (int side = 0; side < 2; side++) {
		for (int k = 0; k < most; k++) {
			all[side] += sum[side][k];
			count[side] += n[side][k];
		}
		r.light[side] = count[side] > 0 ? all[side] / count[side] : 0;
	}
	double half = (r.light[0] - r.light[1]) / 2;
	for (int k = 0; k < most; k++) {
		if (n[0][k] > 0 && n[1][k] > 0) {
			double more = sum[0][k] / n[0][k] - sum[1][k] / n[1][k];
			parts++;
			steady += half > 0 ? more >= half : more <= half;
		}
	}
	r.steady = parts > 0 ? (double)steady / parts : 0;
	r.broad = breadth(dark, box);
	return r;
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
	const double broadest = 1.6;            // mm: a crease with writing across it is broader
	l_int32 x, y, w, h, n = 0;

	boxGetGeometry(box, &x, &y, &w, &h);
	l_int32 side = w > h ? w : h, thin = w > h ? h : w;
	if (side < 3 * thin && thin > 2 || thin > steep * side + thick * unit) {
		return 0;
	}
	pixCountPixelsInRect(dark, box, &n, NULL);
	if (n > thick * unit * side || breadth(dark, box) > broadest * unit) {
		return 0;
	}
	s->upright = h > w;
	s->from = h > w ? y : x;
	s->to = s->from + side;
	s->at = h > w ? x + w / 2.0 : y + h / 2.0;
	s->side = side;
	return 1;
}

// A mark is one that counts, or would if it were not soft.
typedef struct {
	l_int32 x, y, w, h;
	int pale, letter, soft;
	int gone, fold;     // it does not count after all; it is a crease
	double deep, steep; // contrast in grey levels, and steepness of a pale one
	double mean, mass;  // see darkness
	relief sides;       // of a pale one
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

// end gives where a line across the page crosses an edge of the sheet.
static double end(const ink_rules *rules, int edge, double at, int upright)
{
	const double *e = rules->edges[edge];
	return upright ? (e[2] - e[0] * at) / e[1] : (e[2] - e[1] * at) / e[0];
}

// find_creases looks for lines that run from one edge of the sheet to the other:
// creases, folds, and what dirt on the glass draws. No printer reaches the edges,
// and no hand draws so straight. It may be broken into many strokes, of which
// those that are pale, or long, are said to be a crease; and so are pale marks on it that
// are no larger than it is wide.
static int find_creases(stroke *list, int n, mark *marks, int n_marks, const ink_rules *rules, int upright, int length)
{
	const double margin = 8 * rules->unit, bin = 0.5 * rules->unit, most = 3, step = 0.2; // degrees
	const double long_side = 40 * rules->unit, thick = 0.8 * rules->unit, enough = 0.5; // of the sheet
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
		for (int i = 0; i < n_marks; i++) {
			mark *m = &marks[i];
			double x = m->x + m->w / 2.0, y = m->y + m->h / 2.0;
			double off = upright ? x - best_slope * y - best_at : y - best_slope * x - best_at;
			m->fold |= m->pale && (upright ? m->w : m->h) <= thick && fabs(off) <= 2 * bin;
		}
	}
	free(sum);
	return found;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

// gap gives how far two marks are from each other along the axis along which that is more.
static int gap(const mark *a, const mark *b)
{
	int right = b->x - a->x - a->w, left = a->x - b->x - b->w, down = b->y - a->y - a->h, up = a->y - b->y - b->h;
	int across = right > left ? right : left, along = down > up ? down : up;
	return across > along ? across : along;
}

// find_shine looks at many pale pieces together. Those that are seen through the
// paper are soft, though noise and a coarse scan make single ones look sharp: it is
// so where most are soft, or where no letter is dark and the middle one is rather soft.
// What is far sharper than they are, or far darker, stands on this side. It returns nonzero
// without memory.
static int find_shine(mark *list, int n, const ink_rules *rules, int level, ink *out)
{
	const int some = 8, many = 30;
	const double rather = 1.2; // of the bound for one piece
	// How much sharper a piece must be than they: less if it is larger than letters,
	// as signatures and lines are.
	const double sharper = 1.5, large_sharper = 1.2, large = 8; // mm
	const double share = 0.98, darker = 1.5; // what is so much darker than nearly all of them is not seen through the paper
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
	if (soft == 0) {
		return 0;
	}
	double *means = malloc(sizeof *means * (n + 1));
	int softer = 0;
	if (means == NULL) {
		return 1;
	}
	for (int i = 0; i < n; i++) {
		if (list[i].pale && list[i].steep <= soft) {
			means[softer++] = list[i].mean;
		}
	}
	qsort(means, softer, sizeof *means, ascending);
	double darkest = softer > 0 ? darker * means[(int)(share * softer)] : 0;
	free(means);
	for (int i = 0; i < n; i++) {
		mark *m = &list[i];
		double side = m->w > m->h ? m->w : m->h;
		if (m->pale && !m->soft && m->mean <= darkest && m->steep < soft * (side < large * rules->unit ? sharper : large_sharper)) {
			drop(m, out);
			m->soft = 1;
			out->soft++;
			out->shine += m->deep / level;
		}
	}
	return 0;
}

// is_fibre reports whether a mark could be a fibre or a speck of the paper: it is short.
static int is_fibre(const mark *m, const ink_rules *rules)
{
	const double longest = 4; // mm; recycled paper has such
	return fmax(m->w, m->h) < longest * rules->unit;
}

// density gives how many of the possible fibres there are on a square pixel of the sheet, told
// by how many cells of a grid have none: a few thick clusters, as writing is, count for little.
// It returns less than 0 without memory.
static double density(const mark *list, int n, int fibres, const ink_rules *rules, int width, int height)
{
	int size = (int)ceil(sqrt((double)width * height / fibres)); // one in each cell, if they lie evenly
	int cols = width / size + 1, rows = height / size + 1, cells = 0, taken = 0;
	unsigned char *cell = calloc((size_t)cols * rows, 1);

	if (cell == NULL) {
		return -1;
	}
	for (int i = 0; i < n; i++) {
		if (is_fibre(&list[i], rules)) {
			cell[(list[i].y + list[i].h / 2) / size * cols + (list[i].x + list[i].w / 2) / size] = 1;
		}
	}
	for (int y = 0; y < rows; y++) {
		for (int x = 0; x < cols; x++) {
			int inside = x * size + size / 2 < width && y * size + size / 2 < height;
			for (int edge = 0; edge < 4; edge++) {
				const double *e = rules->edges[edge];
				inside &= e[0] * (x + 0.5) * size + e[1] * (y + 0.5) * size > e[2];
			}
			cells += inside;
			taken += inside && cell[y * cols + x];
		}
	}
	free(cell);
	if (cells == 0) {
		return 0;
	}
	return -log(fmax(cells - taken, 0.5) / cells) / ((double)size * size);
}

// surplus gives the least number of pieces that are more than chance lets lie where
// there are mean in the mean. often is how many such places are looked at.
static int surplus(double mean, int often)
{
	const double doubt = 0.01; // places at which chance does it
	double term = exp(-mean), left = 1 - term;
	int k = 1;

	for (; left * often > doubt && k < 1000; k++) { // left: the chance of k or more
		term *= mean / k;
		left -= term;
	}
	return k;
}

// drop_caught takes back short marks in the middle of much that is seen through the paper, no darker
// than that and alone: where a fibre crosses one of its letters, that looks sharp. It
// returns nonzero without memory.
static int drop_caught(mark *list, int n, const ink_rules *rules, int level, ink *out)
{
	const int much = 300, around = 2;
	const double longest = 4 * rules->unit, near = 1.5 * rules->unit, alone = 5 * rules->unit, share = 0.99;
	double *deep = malloc(sizeof *deep * (n + 1));
	int soft = 0;

	if (deep == NULL) {
		return 1;
	}
	for (int i = 0; i < n; i++) {
		if (list[i].soft) {
			deep[soft++] = list[i].deep;
		}
	}
	qsort(deep, soft, sizeof *deep, ascending);
	double darkest = soft > 0 ? deep[(int)(share * soft)] : 0;
	free(deep);
	for (int i = 0; i < n && soft >= much; i++) {
		mark *m = &list[i];
		int beside = 0, others = 0;
		if (m->gone || m->soft || !m->pale || !m->letter || m->deep > darkest || fmax(m->w, m->h) > longest) {
			continue;
		}
		for (int k = 0; k < n; k++) {
			int off = gap(m, &list[k]);
			beside += list[k].soft && off <= near;
			others += k != i && !list[k].gone && list[k].letter && off <= alone;
		}
		if (beside >= around && others == 0) {
			drop(m, out);
			m->soft = 1;
			out->soft++;
			out->shine += m->deep / level;
		}
	}
	return 0;
}

// stands_out reports whether a pale mark is an edge in the paper rather than on it: light falls on one of
// its sides, and the other lies in the shade. Beside ink both are alike, though they
// may both be a little lighter than elsewhere.
static int stands_out(const mark *m, int level)
{
	const double palest = 0.3, lit = 2, shade = 2, least = 2.5, part = 0.07; // of level, grey levels (three), of its contrast
	double a = m->sides.light[0], b = m->sides.light[1];

	return m->pale && m->deep <= palest * level && fmax(a, b) >= lit && fmin(a, b) <= shade && fabs(a - b) >= fmax(least, part * m->deep);
}

// drop_folds takes back creases that end within the sheet: long marks that stand out
// all along, and short ones near them that do.
static void drop_folds(mark *list, int n, const ink_rules *rules, int level, ink *out)
{
	const double shortest = 8 * rules->unit, near = 10 * rules->unit, broadest = 1.6 * rules->unit;
	const double steady = 0.92; // beside a line of pencil it is 0.8 and less
	int found = 0;

	for (int i = 0; i < n; i++) {
		mark *m = &list[i];
		if (!m->gone && hypot(m->w, m->h) >= shortest && m->sides.broad <= broadest && m->sides.steady >= steady && stands_out(m, level)) {
			drop(m, out);
			m->fold = 1;
			found++;
		}
	}
	out->streaks += found;
	for (int i = 0; i < n && found > 0; i++) {
		for (int k = 0; k < n && !list[i].gone && stands_out(&list[i], level); k++) {
			if (list[k].fold && gap(&list[i], &list[k]) <= near) {
				drop(&list[i], out);
			}
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

// keep_left moves the marks that still count to the front, and gives how many there are.
static int keep_left(mark *list, int n)
{
	int left = 0;

	for (int i = 0; i < n; i++) {
		if (!list[i].gone) {
			list[left++] = list[i];
		}
	}
	return left;
}

// row_from gives how many marks follow each other from one on, and marks them in members
// unless that is NULL.
static int row_from(const mark *list, int n, int first, int down, const ink_rules *rules, unsigned char *members)
{
	int row = 1, last = first;

	for (int k = 0; k < n; k++) { // each is farther along than the last
		if (!list[k].gone && follows(&list[last], &list[k], down, rules)) {
			if (members != NULL) {
				members[last] = members[k] = 1;
			}
			last = k, row++, k = -1;
		}
	}
	return row;
}

// A texture is what the fibres and specks of a paper have in common.
typedef struct {
	int beside, row;                 // so many lie next to one, or in a row, by no chance
	double longest, heaviest, deep; // bounds of their size, of how much ink they have, and of their contrast
} texture;

// least_row gives the least number of n pieces of a size in a row that no chance puts there, where
// there are thick of them on a square pixel: see follows for how much room the next one has.
static int least_row(double thick, double size, int n)
{
	const double doubt = 0.02; // rows that chance makes
	double next = fmin(thick * 0.8 * size * size, 0.5);

	return next > 0 ? 1 + (int)ceil(log(doubt / n) / log(next)) : 3;
}

// outlier gives a size that none of n fibres reaches by chance: there are exponentially
// fewer of the larger ones. sizes are sorted, and none is less than least.
static double outlier(const double *sizes, int n, double least)
{
	const double doubt = 0.05; // fibres that are larger all the same
	return least + (sizes[n * 9 / 10] - least) / M_LN10 * log(n / doubt);
}

// find_texture looks whether the short pieces on a sheet are its texture. Those are many,
// mostly pale, and the more the shorter. It returns 1 if so, 0 if not, and less than
// 0 without memory.
static int find_texture(const mark *list, int n, const ink_rules *rules, double near, int width, int height, texture *t)
{
	const int many = 30;
	const double pale = 0.75, usual = 1.7; // part of them at least, and length of the middle one in that of the shortest mark
	int fibres = 0, dark = 0, found = 0;
	double *sizes = malloc(3 * sizeof *sizes * (n + 1)), *masses = sizes + n, *deep = masses + n, side = 0;

	if (sizes == NULL) {
		return -1;
	}
	for (int i = 0; i < n; i++) {
		const mark *m = &list[i];
		if (is_fibre(m, rules)) {
			sizes[fibres] = fmax(m->w, m->h);
			masses[fibres] = m->mass;
			deep[fibres++] = m->deep;
			side += (m->w + m->h) / 2.0;
			dark += !m->pale;
		}
	}
	qsort(sizes, fibres, sizeof *sizes, ascending);
	qsort(masses, fibres, sizeof *masses, ascending);
	qsort(deep, fibres, sizeof *deep, ascending);
	if (fibres >= many && dark <= (1 - pale) * fibres && sizes[fibres / 2] <= usual * rules->least * rules->unit) {
		double thick = density(list, n, fibres, rules, width, height);
		found = thick < 0 ? -1 : 1;
		side /= fibres;
		*t = (texture){
			.beside = surplus(thick * pow(2 * (near + side), 2), fibres),
			.row = least_row(thick, sizes[fibres / 2], fibres),
			.longest = fmax(outlier(sizes, fibres, rules->least * rules->unit), rules->letter * rules->unit),
			.heaviest = fmax(outlier(masses, fibres, masses[0]), 4 * masses[fibres / 2]),                // fibres cross
			.deep = deep[fibres / 2] + 2.5 * (deep[fibres * 9 / 10] - deep[fibres / 2]), // three times the standard deviation
		};
	}
	free(sizes);
	return found;
}

// drop_fibres takes short marks for fibres and specks of the paper. Few of them are pale, and
// lie alone: letters, and the strokes of a pencil, have others beside them. Many are strewn
// evenly over all of the sheet. Of those only what stands out is written: by its size, its
// contrast, how much ink it has, or because it lies closer to others than chance lets
// it. It returns nonzero without memory.
static int drop_fibres(mark *list, int n, const ink_rules *rules, int width, int height, ink *out)
{
	const int most = 3000; // what has so many pieces is a page of print
	const double near = 3 * rules->unit;

	if (n == 0 || n > most) {
		return 0;
	}
	texture t = {.beside = 1};
	int textured = find_texture(list, n, rules, near, width, height, &t);
	unsigned char *written = calloc(n, 1);
	if (textured < 0 || written == NULL) {
		free(written);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		mark *m = &list[i];
		int others = 0;
		for (int k = 0; k < n && is_fibre(m, rules); k++) {
			others += k != i && gap(m, &list[k]) <= near;
		}
		written[i] = !is_fibre(m, rules) || others >= t.beside;
		if (textured) {
			written[i] |= fmax(m->w, m->h) >= t.longest || m->mass > t.heaviest || m->deep > t.deep;
		} else {
			written[i] |= m->letter || !m->pale;
		}
	}
	for (int i = 0; i < n && textured; i++) {
		for (int down = 0; down < 2; down++) {
			if (row_from(list, n, i, down, rules, NULL) >= t.row) {
				row_from(list, n, i, down, rules, written);
			}
		}
	}
	for (int i = 0; i < n; i++) {
		int part = written[i]; // of what is written is also what lies beside it
		for (int k = 0; k < n && !part; k++) {
			part = written[k] && gap(&list[i], &list[k]) <= near;
		}
		if (!part) {
			drop(&list[i], out);
			out->specks++;
		}
	}
	free(written);
	return 0;
}

// longest_row gives the most marks that follow each other like the letters of a
// word. Dust and fibres lie anyhow; where there are many, some do so by chance.
static int longest_row(const mark *list, int n, const ink_rules *rules)
{
	const int most = 60;
	int left = 0, longest = 0;

	for (int i = 0; i < n; i++) {
		left += !list[i].gone;
	}
	for (int i = 0; i < n && left <= most; i++) {
		for (int down = 0; down < 2 && !list[i].gone; down++) {
			int row = row_from(list, n, i, down, rules, NULL);
			longest = row > longest ? row : longest;
		}
	}
	return longest;
}

// A speck is a piece that is too small for a mark.
typedef struct {
	double x, y, side; // its middle and its long side
} speck;

static int leftmost(const void *a, const void *b)
{
	double x = ((const speck *)a)->x, y = ((const speck *)b)->x;
	return x < y ? -1 : x > y;
}

// most_dots gives how many specks at most stand in a line like the points of a dotted one, alike
// and as far from each other. Dust lies anyhow.
static int most_dots(speck *list, int n, double unit)
{
	const double nearest = 0.6 * unit, farthest = 4 * unit, off = 0.12 * unit + 0.5, alike = 1.5;
	int longest = 0;

	for (int pass = 0; pass < 2; pass++) { // across, then down
		qsort(list, n, sizeof *list, leftmost);
		for (int i = 0; i < n; i++) {
			for (int k = i + 1; k < n && list[k].x - list[i].x <= farthest; k++) {
				double dx = list[k].x - list[i].x, dy = list[k].y - list[i].y;
				if (dx < fabs(dy) || hypot(dx, dy) < nearest) {
					continue;
				}
				int dots = 1, at = i;
				for (int next = k; next < n && list[next].x - list[at].x <= dx + off; next++) {
					double ratio = list[next].side / list[at].side;
					if (list[next].x - list[at].x >= dx - off && fabs(list[next].y - list[at].y - dy) <= off && ratio < alike && ratio > 1 / alike) {
						at = next;
						dots++;
					}
				}
				longest = dots > longest ? dots : longest;
			}
		}
		for (int i = 0; i < n; i++) {
			list[i] = (speck){list[i].y, list[i].x, list[i].side};
		}
	}
	return longest;
}

// clear_rim takes what lies along the edges of the sheet that are seen out of dark: what is left there of a
// shadow, and where the bed was painted over with another grey than that of the paper beside it.
static void clear_rim(PIX *dark, const ink_rules *rules)
{
	const double rim = 1.6 * rules->unit; // from the edge; 0.8 mm are painted over
	l_int32 w = pixGetWidth(dark), h = pixGetHeight(dark);

	for (l_int32 y = 0; y < h; y++) {
		double from = 0, to = w;
		for (int edge = 0; edge < 4; edge++) {
			const double *e = rules->edges[edge];
			double a = e[0], c = e[2] + rim - e[1] * y;
			if (!rules->seen[edge]) {
				continue;
			}
			if (fabs(a) < 1e-9) {
				to = c >= 0 ? 0 : to;
			} else if (a > 0) {
				from = fmax(from, c / a);
			} else {
				to = fmin(to, c / a);
			}
		}
		l_int32 left = (l_int32)fmin(from, w), right = (l_int32)fmax(to, left);
		pixRasterop(dark, 0, y, left, 1, PIX_CLR, NULL, 0, 0);
		pixRasterop(dark, right, y, w - right, 1, PIX_CLR, NULL, 0, 0);
	}
}

// cut_shadows takes the shadows of the sheet's edges out of dark, of which boxes are the
// pieces: what is longer than any print at an edge of the image, and reaches it, ends
// width pixels from it. A crease that runs into a shadow stays. It returns less than 0 without
// memory, and 1 if dark was changed.
static int cut_shadows(PIX *dark, BOXA *boxes, const ink_rules *rules, double width)
{
	const double shortest = 20 * rules->unit, reach = rules->unit;
	l_int32 W = pixGetWidth(dark), H = pixGetHeight(dark), in = (l_int32)width, x, y, w, h;
	PIX *edge = NULL;
	int cut = 0;

	for (l_int32 i = 0; i < boxaGetCount(boxes); i++) {
		boxaGetBoxGeometry(boxes, i, &x, &y, &w, &h);
		int at_edge = x <= reach || y <= reach || x + w >= W - reach || y + h >= H - reach;
		cut |= at_edge && w > width && h > width && fmax(w, h) > shortest;
	}
	if (!cut || W <= 2 * in || H <= 2 * in) {
		return 0;
	}
	if ((edge = pixCopy(NULL, dark)) == NULL) {
		return -1;
	}
	l_int32 rim = (l_int32)reach + 1;
	pixRasterop(edge, rim, rim, W - 2 * rim, H - 2 * rim, PIX_CLR, NULL, 0, 0);
	// All that reaches the edge, without what is farther from it.
	if (pixSeedfillBinary(edge, edge, dark, 8) == NULL || pixRasterop(edge, in, in, W - 2 * in, H - 2 * in, PIX_CLR, NULL, 0, 0) != 0 ||
	    pixSubtract(dark, dark, edge) == NULL) {
		cut = -1;
	}
	pixDestroy(&edge);
	return cut;
}

// cut_crossings parts lines that cross in dark, of which boxes are the pieces: of a sheet that
// was folded twice the creases are one piece. It returns less than 0 without memory,
// and 1 if dark was changed.
static int cut_crossings(PIX *dark, BOXA *boxes, const ink_rules *rules)
{
	const double shortest = 20 * rules->unit, thick = 1.2 * rules->unit, crossing = rules->unit;
	l_int32 x0, y0, w, h, wpl = pixGetWpl(dark);
	l_uint32 *bits = pixGetData(dark);
	int cut = 0;

	for (l_int32 i = 0; i < boxaGetCount(boxes); i++) {
		l_int32 n = 0;
		BOX *box = boxaGetBox(boxes, i, L_CLONE);
		boxGetGeometry(box, &x0, &y0, &w, &h);
		if (w > shortest && h > shortest) {
			pixCountPixelsInRect(dark, box, &n, NULL);
		}
		boxDestroy(&box);
		if (n == 0 || n > thick * (w + h)) {
			continue;
		}
		// Where a line crosses another, both its row and its column are long.
		int *up = calloc((size_t)w + 1, sizeof *up); // the row at which the run down each column began
		l_int32 *list = malloc(sizeof *list * 2 * (size_t)n);
		int found = 0;
		if (up == NULL || list == NULL) {
			free(up);
			free(list);
			return -1;
		}
		for (l_int32 y = 0; y < h; y++) {
			l_uint32 *line = bits + (long)(y0 + y) * wpl;
			for (l_int32 x = 0; x < w; x++) {
				up[x] = GET_DATA_BIT(line, x0 + x) ? up[x] + 1 : 0;
			}
			for (l_int32 from = 0, to; from < w; from = to + 1) {
				for (to = from; to < w && GET_DATA_BIT(line, x0 + to); to++) {
				}
				for (l_int32 x = from; x < to && to - from > crossing; x++) {
					int down = 0;
					while (y + down + 1 < h && down < crossing && GET_DATA_BIT(bits + (long)(y0 + y + down + 1) * wpl, x0 + x)) {
						down++;
					}
					if (up[x] + down > crossing) {
						list[2 * found] = x0 + x;
						list[2 * found++ + 1] = y0 + y;
					}
				}
			}
		}
		for (int k = 0; k < found; k++) { // and what is beside it, or they would touch at the corners
			l_int32 x = list[2 * k], y = list[2 * k + 1];
			pixRasterop(dark, x - 2, y - 2, 5, 5, PIX_CLR, NULL, 0, 0);
		}
		cut |= found > 0;
		free(up);
		free(list);
	}
	return cut;
}

// in_corner reports whether a mark lies where staples are put.
static int in_corner(const mark *m, const ink_rules *rules)
{
	const double reach = 25 * rules->unit;
	double x = m->x + m->w / 2.0, y = m->y + m->h / 2.0, off[4];

	for (int edge = 0; edge < 4; edge++) {
		off[edge] = rules->edges[edge][0] * x + rules->edges[edge][1] * y - rules->edges[edge][2];
	}
	return fmin(off[0], off[1]) < reach && fmin(off[2], off[3]) < reach;
}

// drop_staple takes two small marks in a corner for the holes of a staple that was taken out, if they
// are as far from each other as its ends, and nothing else is on the sheet.
static void drop_staple(mark *list, int n, const ink_rules *rules, ink *out)
{
	const double largest = 2.5 * rules->unit, nearest = 9 * rules->unit, farthest = 13.5 * rules->unit;
	mark *hole[2];
	int found = 0;

	for (int i = 0; i < n; i++) {
		mark *m = &list[i];
		if (m->gone || m->soft) {
			continue;
		}
		if (found == 2 || fmax(m->w, m->h) > largest || !in_corner(m, rules)) {
			return;
		}
		hole[found++] = m;
	}
	if (found < 2) {
		return;
	}
	double apart = hypot(hole[0]->x + hole[0]->w / 2.0 - hole[1]->x - hole[1]->w / 2.0, hole[0]->y + hole[0]->h / 2.0 - hole[1]->y - hole[1]->h / 2.0);
	if (apart >= nearest && apart <= farthest) {
		drop(hole[0], out);
		drop(hole[1], out);
	}
}

int lept_ink(PIX *even, PIX *gray, const ink_rules *rules, ink *out)
{
	enum { most_strokes = 2000, most_specks = 4000, dotted = 8 };
	const double least_dot = 0.2; // mm
	const double rim = 4; // mm: how wide shadows of edges are
	stroke *strokes = NULL;
	mark *marks = NULL;
	speck *specks = NULL;
	int n_strokes = 0, n_marks = 0, n_specks = 0, shortened = 0;
	l_int32 width = pixGetWidth(even), height = pixGetHeight(even);
	double unit = rules->unit;
	int level, failed = 1;
	// Grain must not be taken for ink.
	double sd = noise(even, &level);
	double cut = fmax(rules->contrast * level, 4.5 * sd);
	l_int32 paper = (l_int32)fmax(level - cut, 1);
	PIX *dark = pixThresholdToBinary(even, paper);
	if (dark != NULL) {
		clear_rim(dark, rules);
	}
	BOXA *boxes = dark != NULL ? pixConnCompBB(dark, 8) : NULL;

	memset(out, 0, sizeof *out);
	for (int step = 0; step < 2 && boxes != NULL; step++) {
		int changed = step == 0 ? cut_shadows(dark, boxes, rules, rim * unit) : cut_crossings(dark, boxes, rules);
		shortened |= step == 0 && changed;
		if (changed != 0) {
			boxaDestroy(&boxes);
			boxes = changed > 0 ? pixConnCompBB(dark, 8) : NULL;
		}
	}
	if (boxes == NULL || (strokes = calloc(most_strokes, sizeof *strokes)) == NULL || (specks = calloc(most_specks, sizeof *specks)) == NULL ||
	    (marks = calloc(boxaGetCount(boxes) + 1, sizeof *marks)) == NULL) {
		goto done;
	}
	for (l_int32 i = 0; i < boxaGetCount(boxes) && out->marks - out->pale < rules->enough; i++) {
		l_int32 x, y, w, h;
		boxaGetBoxGeometry(boxes, i, &x, &y, &w, &h);
		l_int32 side = w > h ? w : h;
		BOX *box = boxaGetBox(boxes, i, L_CLONE);
		stroke *s = n_strokes < most_strokes && is_stroke(dark, box, unit, &strokes[n_strokes]) ? &strokes[n_strokes++] : NULL;
		if (side < rules->least * unit) {
			if (side >= least_dot * unit && n_specks < most_specks) {
				specks[n_specks++] = (speck){x + w / 2.0, y + h / 2.0, side};
			}
			boxDestroy(&box);
			out->specks++;
			continue;
		}
		// The shadow of the sheet's edge lies along the edge of the image.
		if (x <= unit && w <= rim * unit || y <= unit && h <= rim * unit ||
		    x + w >= width - unit && w <= rim * unit || y + h >= height - unit && h <= rim * unit || at_edge(rules, box)) {
			boxDestroy(&box);
			continue;
		}
		if (side < 1.2 * unit && is_dot(dark, box)) {
			if (n_specks < most_specks) {
				specks[n_specks++] = (speck){x + w / 2.0, y + h / 2.0, side};
			}
			boxDestroy(&box);
			out->specks++;
			continue;
		}
		int hole = is_hole(dark, box, rules);
		double mean, mass, deep = darkness(even, dark, box, level, &mean, &mass);
		if (!hole && (deep > 0.5 * level || bed_beyond(rules, 0) >= 0) && (is_bed(gray, dark, box, rules) && is_corner(dark, box, rules, shortened ? (int)(rim * unit) : 0, deep <= 0.5 * level) || is_bite(gray, dark, box, rules, shortened ? (int)(rim * unit) : 0))) {
			boxDestroy(&box);
			out->corners++;
			continue;
		}
		int pale = !hole && deep < 0.5 * level;
		double steep = pale ? steepness(even, dark, box, deep, unit, paper) * unit : 0;
		int soft = pale && steep < rules->sharp;
		relief sides = pale ? find_relief(even, dark, box, unit, level) : (relief){0};
		boxDestroy(&box);
		if (hole) {
			out->holes++;
			continue;
		}
		// What goes on where a shadow was cut off is larger than it looks.
		int goes_on = shortened && (fabs(x - rim * unit) < 2 || fabs(y - rim * unit) < 2 || fabs(x + w - width + rim * unit) < 2 || fabs(y + h - height + rim * unit) < 2);
		int letter = side >= rules->letter * unit || goes_on;
		marks[n_marks++] = (mark){x, y, w, h, pale, letter, soft, soft, 0, deep, steep, mean, mass, sides, s};
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
		if (find_shine(marks, n_marks, rules, level, out) != 0 || drop_caught(marks, n_marks, rules, level, out) != 0) {
			goto done;
		}
		drop_folds(marks, n_marks, rules, level, out);
		n_marks = keep_left(marks, n_marks);
		if (drop_fibres(marks, n_marks, rules, width, height, out) != 0) {
			goto done;
		}
		int across = find_creases(strokes, n_strokes, marks, n_marks, rules, 0, height), down = find_creases(strokes, n_strokes, marks, n_marks, rules, 1, width);
		if (across < 0 || down < 0) {
			goto done;
		}
		out->streaks += across + down;
		for (int i = 0; i < n_marks; i++) {
			if (!marks[i].gone && (marks[i].fold || marks[i].s != NULL && marks[i].s->crease)) {
				drop(&marks[i], out);
			}
		}
		drop_staple(marks, n_marks, rules, out);
		out->row = longest_row(marks, n_marks, rules);
		if (n_specks < most_specks && most_dots(specks, n_specks, unit) >= dotted) {
			out->marks++;
			out->letters++;
		}
	}
	if (out->marks > rules->enough) {
		out->pale = (int)((long)out->pale * rules->enough / out->marks);
		out->marks = rules->enough;
	}
	failed = 0;
done:
	free(strokes);
	free(marks);
	free(specks);
	boxaDestroy(&boxes);
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
