#ifndef WORDS_H
#define WORDS_H

#include <stdint.h>

// What the engine has read, as its hOCR tells it.

typedef struct {
	int32_t paragraph; // its number, from 1
	int32_t left, top, right, bottom;
	int32_t angle; // degrees, as textangle has it
	int32_t based; // there is a baseline
	double slope, offset, size, descenders;
} words_line;

typedef struct {
	int32_t line; // its number, from 0
	int32_t left, top, right, bottom;
	int32_t confidence;
	int32_t text, language; // where they begin in the bytes
} words_word;

typedef struct {
	words_line *lines;
	words_word *words;
	char *bytes; // strings, each with a zero byte at its end
	int32_t n_lines, n_words, n_bytes;
} words_read;

enum { words_done, words_mixed, words_memory };

#ifdef __cplusplus
extern "C" {
#endif

// words_of gives what a TessBaseAPI has read. Text that does not run from left to right is
// words_mixed: only the engine's own writers know its order. At most most words are told, and one more.
int words_of(void *api, int32_t most, words_read *out);

void words_free(words_read *r);

#ifdef __cplusplus
}
#endif

#endif
