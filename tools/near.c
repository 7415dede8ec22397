/* SPDX-License-Identifier: MIT */
#include "near.h"

#include <asys/asys.h>
#include <string.h>

#define NAME_MAX_LENGTH 40

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned d = a < b ? a : b;

	return d < c ? d : c;
}

unsigned near_edits(const char *a, const char *b)
{
	unsigned row[NAME_MAX_LENGTH + 1]; /* of Levenshtein's table, one at a time */
	size_t la = strlen(a), lb = strlen(b);

	if (la > NAME_MAX_LENGTH || lb > NAME_MAX_LENGTH)
		return NAME_MAX_LENGTH;
	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned up = row[j];

			row[j] = least(up + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = up;
		}
	}
	return row[lb];
}

/* Small is near: a slip of the fingers, or a part of the name (stat: fstat, statx). */
static unsigned score(const char *name, const char *known)
{
	unsigned edits = near_edits(name, known);

	if (edits > 2 && strlen(name) >= 3 &&
	    (strstr(known, name) != NULL || strstr(name, known) != NULL))
		return 3;
	return edits;
}

unsigned near_names(const char *name, const char *ret_near[NEAR_MAX])
{
	unsigned found = 0;
	unsigned limit = strlen(name) < 4 ? 1 : 3;

	for (unsigned wanted = 0; wanted <= limit && found < NEAR_MAX; wanted++) {
		for (uint32_t nr = 0; nr < asys_syscall_count() && found < NEAR_MAX; nr++) {
			const struct asys_syscall_info *info = asys_syscall_info(nr);

			if (info != NULL && score(name, info->name) == wanted)
				ret_near[found++] = info->name;
		}
	}
	return found;
}
