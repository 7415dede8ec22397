/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CHAIN_COMPARE_H
#define TESTS_CHAIN_COMPARE_H

#include "drive.h"

#include <stdio.h>

/* Why the last comparison failed. */
extern char why[256];
#define wrong(...) (snprintf(why, sizeof(why), __VA_ARGS__), false)

/* Sendings that were to be cancelled or had a deadline, and those that ended by it. */
extern unsigned compare_cancelled, compare_cut_short;

/* True if the sending did what `world` says. Both are sorted by the way. */
bool compare(struct world *world, struct sending *sending, const struct program *program);

#endif
