#define _GNU_SOURCE
#include "single.h"

#include <dlfcn.h>
#include <stddef.h>

// Tesseract asks libgomp for several threads for each column of pixels of a line, some ten thousand
// times a page. A worker has one, see OMP_THREAD_LIMIT, and yet libgomp makes a team each time, and
// asks the kernel to wake the others at its end: it has no short way for a team of one. What Tesseract calls
// of it is here, for one thread: a thread that is in no team is the first of one, and does all the work.

void GOMP_parallel(void (*work)(void *), void *data, unsigned threads, unsigned flags)
{
	(void)threads;
	(void)flags;
	work(data);
}

// The sections of a parallel part: which was begun last, and how many there are.
static _Thread_local unsigned section, sections;

void GOMP_parallel_sections(void (*work)(void *), void *data, unsigned threads, unsigned count, unsigned flags)
{
	unsigned at = section, all = sections;

	(void)threads;
	(void)flags;
	section = 0;
	sections = count;
	work(data);
	section = at;
	sections = all;
}

unsigned GOMP_sections_next(void) { return section < sections ? ++section : 0; }

void GOMP_sections_end_nowait(void) {}

int single_thread(void)
{
	return dlsym(RTLD_DEFAULT, "GOMP_parallel") == (void *)GOMP_parallel &&
	       dlsym(RTLD_DEFAULT, "GOMP_parallel_sections") == (void *)GOMP_parallel_sections &&
	       dlsym(RTLD_DEFAULT, "GOMP_sections_next") == (void *)GOMP_sections_next &&
	       dlsym(RTLD_DEFAULT, "GOMP_sections_end_nowait") == (void *)GOMP_sections_end_nowait;
}
