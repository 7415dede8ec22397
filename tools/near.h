/* SPDX-License-Identifier: MIT */
/* Names of the table that are near a name that is not in it. */
#ifndef ASYS_TOOLS_NEAR_H
#define ASYS_TOOLS_NEAR_H

#include <stddef.h>

#define NEAR_MAX 5

/* The nearest first; returns how many. The names are static. */
unsigned near_names(const char *name, const char *ret_near[NEAR_MAX]);

#endif
