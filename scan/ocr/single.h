#ifndef SINGLE_H
#define SINGLE_H

// single_thread reports whether libraries use what this program has in place of libgomp.
int single_thread(void);

#endif
