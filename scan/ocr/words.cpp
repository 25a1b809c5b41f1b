#include "words.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <tesseract/baseapi.h>
#include <tesseract/resultiterator.h>

using namespace tesseract;

// as_written gives a number as it stands in hOCR.
static double as_written(double v)
{
	char s[64];
	snprintf(s, sizeof s, "%.8g", v);
	return strtod(s, nullptr);
}

static words_line line_at(const LTRResultIterator &it)
{
	words_line l = {};
	int left, top, right, bottom, x1, y1, x2, y2;
	Orientation orientation;
	WritingDirection direction;
	TextlineOrder order;
	float deskew, height, descenders, ascenders;

	it.BoundingBox(RIL_TEXTLINE, &left, &top, &right, &bottom);
	l.left = left, l.top = top, l.right = right, l.bottom = bottom;
	it.Orientation(&orientation, &direction, &order, &deskew);
	if (orientation != ORIENTATION_PAGE_UP) {
		l.angle = 360 - orientation * 90;
	} else if (it.Baseline(RIL_TEXTLINE, &x1, &y1, &x2, &y2) && x1 != x2) {
		double p1 = (y2 - y1) / static_cast<double>(x2 - x1);
		double p0 = y1 - bottom - p1 * (x1 - left);
		l.based = 1;
		l.slope = as_written(round(p1 * 1000.0) / 1000.0);
		l.offset = as_written(round(p0 * 1000.0) / 1000.0);
	}
	it.RowAttributes(&height, &descenders, &ascenders);
	l.size = as_written(height);
	l.descenders = as_written(-descenders);
	return l;
}

template <typename T> static T *copy_of(const std::vector<T> &list, int32_t *n)
{
	T *out = static_cast<T *>(malloc((list.size() + 1) * sizeof(T)));
	if (out != nullptr && !list.empty()) {
		memcpy(out, list.data(), list.size() * sizeof(T));
	}
	*n = static_cast<int32_t>(list.size());
	return out;
}

static int read_all(TessBaseAPI *api, int32_t most, words_read *out)
{
	std::vector<words_line> lines;
	std::vector<words_word> words;
	std::vector<char> bytes(1);
	std::unique_ptr<ResultIterator> all(api->GetIterator());
	if (all == nullptr) {
		return words_done;
	}
	LTRResultIterator it(*all); // without the order of the words
	it.Begin();
	int paragraph = 0;
	int32_t language = 0;
	std::string known;

	auto add = [&bytes](const char *s) {
		int32_t at = static_cast<int32_t>(bytes.size());
		bytes.insert(bytes.end(), s, s + strlen(s) + 1);
		return at;
	};
	while (!it.Empty(RIL_BLOCK) && static_cast<int32_t>(words.size()) <= most) {
		switch (it.BlockType()) {
		case PT_FLOWING_IMAGE:
		case PT_HEADING_IMAGE:
		case PT_PULLOUT_IMAGE:
		case PT_HORZ_LINE:
		case PT_VERT_LINE:
			it.Next(RIL_BLOCK);
			continue;
		default:
			break;
		}
		if (it.Empty(RIL_WORD)) {
			it.Next(RIL_WORD);
			continue;
		}
		if (it.IsAtBeginningOf(RIL_PARA)) {
			paragraph++;
		}
		if (it.IsAtBeginningOf(RIL_TEXTLINE) || lines.empty()) {
			lines.push_back(line_at(it));
			lines.back().paragraph = paragraph;
		}
		StrongScriptDirection direction = it.WordDirection();
		if (direction == DIR_RIGHT_TO_LEFT || direction == DIR_MIX) {
			return words_mixed;
		}
		int left, top, right, bottom;
		it.BoundingBox(RIL_WORD, &left, &top, &right, &bottom);
		words_word w = {static_cast<int32_t>(lines.size()) - 1, left, top, right, bottom, static_cast<int32_t>(it.Confidence(RIL_WORD)), 0, 0};
		std::unique_ptr<char[]> text(it.GetUTF8Text(RIL_WORD));
		w.text = text == nullptr ? 0 : add(text.get());
		if (const char *l = it.WordRecognitionLanguage(); l != nullptr) {
			if (language == 0 || known != l) {
				known = l;
				language = add(l);
			}
			w.language = language;
		}
		words.push_back(w);
		it.Next(RIL_WORD);
	}
	out->lines = copy_of(lines, &out->n_lines);
	out->words = copy_of(words, &out->n_words);
	out->bytes = copy_of(bytes, &out->n_bytes);
	return out->lines == nullptr || out->words == nullptr || out->bytes == nullptr ? words_memory : words_done;
}

int words_of(void *api, int32_t most, words_read *out)
{
	memset(out, 0, sizeof *out);
	try {
		return read_all(static_cast<TessBaseAPI *>(api), most, out);
	} catch (const std::bad_alloc &) {
		return words_memory;
	}
}

void words_free(words_read *r)
{
	free(r->lines);
	free(r->words);
	free(r->bytes);
	memset(r, 0, sizeof *r);
}
