/* SPDX-License-Identifier: MIT */
/* The figures of a shim, and how they are told. */
#ifndef SHIM_STATS_SAY_H
#define SHIM_STATS_SAY_H

#include "stats.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/*
 * Times are counted in buckets that are 1 ns wide up to 16, and from there on 16 to each doubling: none
 * is wider than a 16th of what it holds. The last one, at 2^40 ns (18 minutes), holds all that is longer.
 */
#define SHIM_BUCKET_BITS 4
#define SHIM_BUCKET_EACH (1u << SHIM_BUCKET_BITS)
#define SHIM_BUCKET_TOP 40
#define SHIM_BUCKETS ((SHIM_BUCKET_TOP - SHIM_BUCKET_BITS + 1) * SHIM_BUCKET_EACH + 1)

static inline unsigned shim_bucket(uint64_t ns)
{
	unsigned top, shift;

	if (ns < SHIM_BUCKET_EACH)
		return (unsigned)ns;
	if (ns >> SHIM_BUCKET_TOP)
		return SHIM_BUCKETS - 1;
	top = 63u - (unsigned)__builtin_clzll(ns);
	shift = top - SHIM_BUCKET_BITS;
	return (shift + 1) * SHIM_BUCKET_EACH + ((unsigned)(ns >> shift) & (SHIM_BUCKET_EACH - 1));
}

/* The longest time that falls into a bucket. */
static inline uint64_t shim_bucket_end(unsigned bucket)
{
	unsigned shift;

	if (bucket < SHIM_BUCKET_EACH)
		return bucket;
	if (bucket == SHIM_BUCKETS - 1)
		return UINT64_MAX;
	shift = bucket / SHIM_BUCKET_EACH - 1;
	return ((uint64_t)(SHIM_BUCKET_EACH + bucket % SHIM_BUCKET_EACH + 1) << shift) - 1;
}

struct shim_figures {
	_Atomic uint64_t calls[SHIM_OPS];
	_Atomic uint64_t native; /* system calls that the program would have made */
	_Atomic uint64_t made;
	_Atomic uint64_t engines[ASYS_ENGINE_COUNT];
	_Atomic uint64_t submit[SHIM_BUCKETS];
	_Atomic uint64_t submit_max; /* ns */
	_Atomic bool reported;	     /* by the process that is to */
};

/* Before main: remembers the standard error, and holds it if that is the target ("-"). */
void shim_say_begin(const char *target);
/*
 * Writes the figures to a file, or to the standard error for people if `target` is "-", and leaves 0 in
 * their place. Where nothing went through, nothing is written unless `always`.
 */
void shim_say(struct shim_figures *figures, const char *target, bool always);
/* A line to the standard error. */
void shim_say_failure(const char *what, const char *why);
/* Is `pid` the program that `asys run` became, rather than one that it started? */
bool shim_started_by_run(pid_t pid);

#endif
