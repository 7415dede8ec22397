/* SPDX-License-Identifier: MIT */
/* The same program, through the wrappers of C++. */
#include "wrappers.c"
