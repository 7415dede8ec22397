/* SPDX-License-Identifier: MIT */
/* What others' text brings along must not change the terminal that shows it. */
#ifndef ASYS_TOOLS_VISIBLE_H
#define ASYS_TOOLS_VISIBLE_H

#include <stddef.h>

/* Bytes of the character (UTF-8) that `text` begins with; 0: its first byte belongs to none, or it
 * controls a terminal or the direction of text. */
unsigned visible_length(const char *text);

/* Puts '?' where that is 0, but for the characters in `keep`. Returns `text`. */
char *visible_only(char *text, const char *keep);

/* The same for a copy, as much as has room in `buffer`. */
#define VISIBLE_MAX 1024
const char *visible_copy(char buffer[VISIBLE_MAX], const char *text);

#endif
