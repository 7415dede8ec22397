/* SPDX-License-Identifier: MIT */
/* Names that are near one that does not exist. */
#ifndef ASYS_TOOLS_NEAR_H
#define ASYS_TOOLS_NEAR_H

#include <stddef.h>

#define NEAR_MAX 5

/* How many letters differ: put in, left out or changed. Long names are simply far from each other. */
unsigned near_edits(const char *a, const char *b);

/* System calls, the nearest first; returns how many. The names are static. */
unsigned near_names(const char *name, const char *ret_near[NEAR_MAX]);

#endif
