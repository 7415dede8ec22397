/* SPDX-License-Identifier: MIT */
/*
 * Two programs that do the same: open each folder, read it, statx every entry, close it. Nothing is
 * inferred from the type that a directory entry carries: what is a folder, statx says.
 */
#ifndef BENCH_WALKERS_H
#define BENCH_WALKERS_H

#include <stdint.h>

#define WALK_BUFFER 32768u /* for directory entries */

struct walk_total {
	uint64_t files;	  /* everything that is not a folder */
	uint64_t folders; /* without the root */
	uint64_t bytes;	  /* size of the files */
	uint64_t errors;  /* entries that could not be read */
};

/* 0, or -errno if the root cannot be opened or memory is short. */
int walk_sync(const char *path, struct walk_total *ret_total);
int walk_asys(const char *path, struct walk_total *ret_total);

#endif
