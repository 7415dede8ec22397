/* SPDX-License-Identifier: MIT */
/* What the sides of the benchmark files share: see files.c. */
#ifndef BENCH_FILES_H
#define BENCH_FILES_H

#include "harness.h"
#include "tree.h"

#include <errno.h>

#define FILES_BUFFER 4096u /* larger than any of the files */
#define FILES_LEAST 1000u  /* in one round: fewer than are in flight at once say nothing */

struct files_setting {
	const struct bench_tree *tree;
	unsigned cores;
	int root; /* the tree's folder */
	unsigned len;
	unsigned trial;			/* files, for choosing a variant */
	char (*names)[BENCH_TREE_NAME]; /* relative to root */
};

/* A side; its own part follows. */
struct files {
	const struct files_setting *set;
	unsigned next; /* file */
};

/* Prepares the side in child->state, of `size` bytes, zeroed, on its cores. */
int files_open(struct bench_child *child, size_t size);

/* How many files a round goes through. */
static inline uint64_t files_ops(uint64_t ops)
{
	return ops > FILES_LEAST ? ops : FILES_LEAST;
}

/* The next file's index; all of them in turn, again and again. */
static inline unsigned files_next(struct files *f)
{
	unsigned index = f->next;

	f->next = index + 1 == f->set->len ? 0 : index + 1;
	return index;
}

/* Is that what file `index` holds? `size` is what stat said, `n` what read returned. */
static inline int files_check(const struct files *f, unsigned index, int64_t size, int64_t n,
			      const char *buf)
{
	unsigned file = index % f->set->tree->files;

	if (n < 0)
		return (int)n;
	return n == f->set->tree->size(file) && size == n && buf[n - 1] == (char)('a' + file % 26) ?
		       0 :
		       -EBADMSG;
}

extern const struct bench_side files_side_asys, files_side_uring, files_side_sqpoll;

#endif
