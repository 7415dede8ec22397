/* SPDX-License-Identifier: MIT */
/* A file's name may hold anything, also what commands the terminal that shows it. */
#ifndef ASYS_EXAMPLES_SHOWN_H
#define ASYS_EXAMPLES_SHOWN_H

#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* `name` as `ls -b` shows it: what cannot be printed as a backslash and octal digits. Longer than a
 * path it is cut. Valid until the next call; one thread. */
static inline const char *shown(const char *name)
{
	static char text[4 * PATH_MAX + 1];
	const char *end = name + strnlen(name, PATH_MAX);
	mbstate_t state = { 0 };
	char *to = text;

	setlocale(LC_CTYPE, "");
	while (name < end) {
		wchar_t c;
		size_t length = mbrtowc(&c, name, (size_t)(end - name), &state);

		if (length <= MB_LEN_MAX && iswprint((wint_t)c)) {
			memcpy(to, name, length);
			to += length;
			name += length;
		} else {
			to += sprintf(to, "\\%03o", (unsigned char)*name++);
			memset(&state, 0, sizeof(state));
		}
	}
	*to = '\0';
	return text;
}

#endif
