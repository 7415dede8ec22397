/* SPDX-License-Identifier: MIT */
/* What the sides of the benchmark meta share: see meta.c. */
#ifndef BENCH_META_H
#define BENCH_META_H

#include "harness.h"
#ifdef BENCH_LIBURING
#include "ring.h"
#endif

#include <sys/stat.h>

#define META_BATCH 64u
#define META_DIRS 16u
#define META_NAMES 1024u
#define META_NAME 24u

enum meta_what { META_STATX, META_OPEN, META_MKDIR, META_RENAME, META_UNLINK };

struct meta_setting {
	const char *place;
	enum meta_what what;
};

struct meta {
	enum meta_what what;
	bool renamed; /* the files have their other names now */
	char *root;
	int dirs[META_DIRS];
	char name[META_NAMES][META_NAME];
	char other[META_NAMES][META_NAME];
	struct statx stx[META_BATCH];
	struct asys_queue *queue;
#ifdef BENCH_LIBURING
	struct ring ring;
	int results[META_BATCH];
#endif
};

/* The folder of name i. */
static inline int meta_dir(const struct meta *m, unsigned i)
{
	return m->dirs[i % META_DIRS];
}

static inline const char *meta_from(const struct meta *m, unsigned i)
{
	return m->renamed ? m->other[i] : m->name[i];
}

static inline const char *meta_to(const struct meta *m, unsigned i)
{
	return m->renamed ? m->name[i] : m->other[i];
}

int meta_open(struct bench_child *child, const char *side);
void meta_close(struct bench_child *child);
int meta_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost,
	       int (*run)(struct meta *m, unsigned first));

extern const struct bench_side meta_side_uring, meta_side_direct;

#endif
