package main

// SQLite does its work in whichever thread Go gives it, and the C library keeps an arena
// for every thread, each with its own holes: one for all takes some 8 MB less. It must be
// said before the first thread is started.

// #include <malloc.h>
// __attribute__((constructor)) static void one_arena(void) { mallopt(M_ARENA_MAX, 1); }
import "C"
