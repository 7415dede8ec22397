/* SPDX-License-Identifier: MIT */
/* The constants of the system's headers by their names. */
#ifndef ASYS_TOOLS_CONSTANTS_H
#define ASYS_TOOLS_CONSTANTS_H

#include <stdbool.h>
#include <stdint.h>

/* True if there is one of that name. */
bool constant_find(const char *name, int64_t *ret_value);

/* The name most like this one, or NULL if none is near. */
const char *constant_near(const char *name);

#endif
