package ocr

// #define _GNU_SOURCE
// #include <leptonica/allheaders.h>
// #include <link.h>
// #include <stdint.h>
// #include <stdlib.h>
// #include <string.h>
// #include <sys/mman.h>
// #include <unistd.h>
//
// // Relocations in code make pages of it the process's own, which would be lost.
// static int is_relocated(struct dl_phdr_info *object) {
// 	for (int i = 0; i < object->dlpi_phnum; i++) {
// 		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
// 		if (part->p_type != PT_DYNAMIC)
// 			continue;
// 		for (const ElfW(Dyn) *d = (const ElfW(Dyn) *)(object->dlpi_addr + part->p_vaddr); d->d_tag != DT_NULL; d++)
// 			if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && d->d_un.d_val & DF_TEXTREL))
// 				return 1;
// 	}
// 	return 0;
// }
//
// static int let_go(struct dl_phdr_info *object, size_t size, void *unused) {
// 	uintptr_t page = sysconf(_SC_PAGESIZE);
// 	if (is_relocated(object))
// 		return 0;
// 	for (int i = 0; i < object->dlpi_phnum; i++) {
// 		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
// 		if (part->p_type != PT_LOAD || part->p_flags & PF_W)
// 			continue;
// 		uintptr_t from = object->dlpi_addr + part->p_vaddr;
// 		uintptr_t start = from & -page;
// 		madvise((void *)start, from + part->p_memsz - start, MADV_DONTNEED); // an advice: who cannot take it goes on
// 	}
// 	return 0;
// }
//
// static void let_go_of_files(void) { dl_iterate_phdr(let_go, NULL); }
//
// // What is next when an image is given to the engine.
// enum { nothing, first, second, other };
//
// static int expected;
// static struct { char *data, *copy; size_t size; } spare;
//
// static void *allocate(size_t size) {
// 	if (expected == other) {
// 		uintptr_t page = sysconf(_SC_PAGESIZE), from = ((uintptr_t)spare.data + page - 1) & -page, to = ((uintptr_t)spare.data + spare.size) & -page;
// 		if (memcmp(spare.data, spare.copy, spare.size) == 0 && to > from)
// 			madvise((void *)from, to - from, MADV_DONTNEED);
// 		if (spare.size > 1 << 20)
// 			let_go_of_files();
// 		expected = nothing;
// 	}
// 	void *data = malloc(size);
// 	if (data != NULL && expected == first)
// 		spare.data = data, spare.size = size, expected = second;
// 	else if (data != NULL && expected == second && size == spare.size)
// 		spare.copy = data, expected = other;
// 	return data;
// }
//
// static void release(void *data) {
// 	if (expected > first && (data == spare.data || data == spare.copy))
// 		expected = nothing;
// 	free(data);
// }
//
// static void expect_image(void) {
// 	setPixMemoryManager(allocate, release);
// 	expected = first;
// }
import "C"

// LetGoOfFiles lets go of all pages of the program and of libraries that nobody can have
// changed. The linker and what libraries do at their start have read most of them, some
// 15 MB for nothing, as Tesseract, Leptonica and ICU work in other processes; what is needed
// again the system still has, and maps it again when it is looked at.
func LetGoOfFiles() { C.let_go_of_files() }

// gosseract makes an image of the bytes that it is given, and keeps it; the engine makes a
// copy, and looks at that alone. So an image would lie in memory twice while it
// is read, which is when most memory is needed. Leptonica asks who has said so for the
// memory of pixels: that for the first image after expectImage is gosseract's, that for the next of
// the same size is the copy, and when any other is asked for the copy has been made. Then
// the pixels of the first are let go of, if they are the same. They are never looked at again, but with the next
// image the memory is given back. So is code for the steps before and for the engine's start.
func expectImage() { C.expect_image() }
