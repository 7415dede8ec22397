/* SPDX-License-Identifier: MIT */
#include "chain_words.h"

#include <errno.h>
#include <string.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What stands behind a backslash, as in C; moves *at behind it. -1: no such escape. */
static int escape(const char **at)
{
	static const char letters[] = "abefnrtv\\\"'", codes[] = "\a\b\033\f\n\r\t\v\\\"'";
	const char *letter;
	int value = 0, count = 0;

	if (**at == 'x') {
		for (++*at; count < 2 && hex(**at) >= 0; count++)
			value = value * 16 + hex(*(*at)++);
		return count > 0 ? value : -1;
	}
	for (; count < 3 && **at >= '0' && **at <= '7'; count++)
		value = value * 8 + (*(*at)++ - '0');
	if (count > 0)
		return value & 0xff;
	letter = **at != '\0' ? strchr(letters, *(*at)++) : NULL;
	return letter != NULL ? codes[letter - letters] : -1;
}

/* Takes a string in quotes, in place; *at stands on the first quote, then behind the last. */
static int take_string(struct chain_text *text, char **at)
{
	const char *from = *at + 1;
	char *to = *at;

	while (*from != '"') {
		if (*from == '\0')
			return chain_refuse(text, "a string has no end: put \" there");
		if (*from == '\\') {
			int value;

			from++;
			value = escape(&from);
			if (value < 0)
				return chain_refuse(text,
						    "unknown escape in a string: there are those "
						    "of C, as in \"\\n\", \"\\0\", \"\\x1b\"");
			*to++ = (char)value;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	*at += from + 1 - *at;
	if (**at != '\0' && **at != ' ' && **at != '\t')
		return chain_refuse(text, "'%.20s' right behind a string: put a space between",
				    *at);
	return 0;
}

int words_split(struct chain_text *text, char *line, struct words *ret_words)
{
	ret_words->count = ret_words->at = 0;
	for (;;) {
		struct word *word = &ret_words->word[ret_words->count];

		while (*line == ' ' || *line == '\t')
			*line++ = '\0';
		if (*line == '\0' || *line == '#')
			return 0;
		if (ret_words->count == WORDS_MAX)
			return chain_refuse(text, "more than %d words in a line", WORDS_MAX);
		word->text = line;
		word->string = *line == '"';
		if (word->string) {
			if (take_string(text, &line) < 0)
				return -EINVAL;
		} else {
			while (*line != '\0' && *line != ' ' && *line != '\t')
				line++;
		}
		ret_words->count++;
	}
}

char *words_next(struct words *words)
{
	if (words->at == words->count || words->word[words->at].string)
		return NULL;
	return words->word[words->at++].text;
}

bool words_next_is(struct words *words, const char *text)
{
	const struct word *word = &words->word[words->at];

	if (words->at == words->count || word->string || strcmp(word->text, text) != 0)
		return false;
	words->at++;
	return true;
}

int words_next_value(struct chain_text *text, struct words *words, struct value *ret_value)
{
	const struct word *word = &words->word[words->at++];

	if (!word->string)
		return chain_value(text, word->text, ret_value);
	*ret_value = (struct value){ .kind = VALUE_STRING, .string = word->text };
	return 0;
}

int words_end(struct chain_text *text, const struct words *words)
{
	if (words->at == words->count)
		return 0;
	return chain_refuse(text, "'%.60s' is too much: the line is complete before it",
			    words->word[words->at].text);
}

/* The name of an earlier step, after `what`. */
int words_next_step(struct chain_text *text, struct words *words, const char *what,
		    struct value *ret_value)
{
	char *name = words_next(words);
	long step;

	if (name == NULL)
		return chain_refuse(text, "'%s' needs the name of a step above", what);
	step = chain_find_step(text, name);
	if (step < 0)
		return chain_refuse(text, "'%s %.60s': no line above gives a step that name", what,
				    name);
	*ret_value = (struct value){ .kind = VALUE_STEP, .index = (unsigned)step };
	return 0;
}

int words_next_condition(struct chain_text *text, struct words *words, const char *what,
			 enum asys_condition *ret_condition)
{
	static const char *const names[] = {
		[ASYS_ALWAYS] = "always",     [ASYS_OK] = "ok",
		[ASYS_ERROR] = "error",	      [ASYS_ZERO] = "zero",
		[ASYS_NONZERO] = "nonzero",   [ASYS_POSITIVE] = "positive",
		[ASYS_NEGATIVE] = "negative",
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (words_next_is(words, names[i])) {
			*ret_condition = (enum asys_condition)i;
			return 0;
		}
	}
	return chain_refuse(text,
			    "'%s NAME' needs a condition: always, ok, error, zero, nonzero, "
			    "positive or negative",
			    what);
}
