/* SPDX-License-Identifier: MIT */
/* What the benchmark copytree needs beside its sides: trees. See trees.c. */
#ifndef BENCH_COPYTREE_H
#define BENCH_COPYTREE_H

#include "harness.h"

struct trees_total {
	uint64_t entries; /* of every type, the root included */
	uint64_t bytes;	  /* sizes of regular files */
	uint64_t blocks;  /* what they occupy, in bytes */
};

/* Functions return 0 or -errno. */

int trees_count(const char *path, struct trees_total *ret_total);

/* Removes a tree, if it is there. */
int trees_remove(const char *path);

/* Has everything written that the file system of `path` still holds. */
int trees_settle(const char *path);

/*
 * Copies folder `from` to `to`, which must not exist; only those of its entries, in the order of their
 * names, that fit into `limit` bytes and leave room for two copies more. ret_total: of the copy.
 */
int trees_make(const char *from, const char *to, uint64_t limit, struct trees_total *ret_total);

#endif
