package main

// #define _GNU_SOURCE
// #include <link.h>
// #include <stdint.h>
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
import "C"

// letGoOfFiles lets go of all pages of the program and of libraries that nobody can have
// changed. The linker and what libraries do at their start have read most of them, some
// 15 MB for nothing, as Tesseract, Leptonica and ICU work in other processes; what is needed
// again the system still has, and maps it again when it is looked at.
func letGoOfFiles() { C.let_go_of_files() }
