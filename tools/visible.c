/* SPDX-License-Identifier: MIT */
#include "visible.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Some characters turn the text around them, or end a line where it looks as if none ended. */
static bool turns_text(uint32_t c)
{
	return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

unsigned visible_length(const char *text)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *byte = (const unsigned char *)text;
	unsigned length = *byte < 0xc0 ? 0 :
			  *byte < 0xe0 ? 2 :
			  *byte < 0xf0 ? 3 :
			  *byte < 0xf8 ? 4 :
					 0;
	uint32_t c = *byte & (0x7fu >> length);

	if (*byte < 0x80)
		return *byte >= ' ' && *byte != 0x7f;
	for (unsigned i = 1; i < length; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (byte[i] & 0x3f);
	}
	if (length == 0 || c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return c < 0xa0 || turns_text(c) ? 0 : length;
}

char *visible_only(char *text, const char *keep)
{
	for (char *c = text; *c != '\0';) {
		unsigned length = visible_length(c);

		if (length == 0 && strchr(keep, *c) == NULL)
			*c = '?';
		c += length == 0 ? 1 : length;
	}
	return text;
}

const char *visible_copy(char buffer[VISIBLE_MAX], const char *text)
{
	snprintf(buffer, VISIBLE_MAX, "%s", text);
	return visible_only(buffer, "");
}
