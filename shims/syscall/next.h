/* SPDX-License-Identifier: MIT */
/* Functions of the C library's names, and what comes next under them: the C library's or another library's. */
#ifndef SYSCALL_NEXT_H
#define SYSCALL_NEXT_H

#include <dlfcn.h>
#include <stdint.h>

/* Under names of their own here: headers have these functions in their own way, or not at all. */
#define EXPORT(name) __asm__(name) __attribute__((visibility("default")))

/* Sets `next.NAME` of the file; without one that stays. */
#define FIND(name)                                                          \
	do {                                                                \
		void *found = dlsym(RTLD_NEXT, #name);                      \
		if (found)                                                  \
			next.name = (__typeof__(next.name))(intptr_t)found; \
	} while (0)

#endif
