/* SPDX-License-Identifier: MIT */
/*
 * Words of a chain as text that are arguments:
 *
 *   -1  0x1f  0644  O_RDWR|O_CREAT     numbers and constants
 *   in  n+1  buf-8                     result of an earlier step, plus a number
 *   $1  $1+8  number($1)               parameter: the address of its text; its text as a number
 *   &buf  &buf+8  sizeof(buf)          memory
 *   load(&n)  load_int(&st+24)         what is in memory when the step starts
 */
#include "chain_text.h"
#include "constants.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool chain_is_name(const char *word)
{
	if (*word != '_' && !isalpha((unsigned char)*word))
		return false;
	while (*word == '_' || isalnum((unsigned char)*word))
		word++;
	return *word == '\0';
}

/* How long the name at the begin of `word` is; 0 if none is there. */
static size_t name_length(const char *word)
{
	size_t length = 0;

	if (isdigit((unsigned char)*word))
		return 0;
	while (word[length] == '_' || isalnum((unsigned char)word[length]))
		length++;
	return length;
}

/* Digits in C's notation, all of `word`; a sign may stand before them. */
static bool digits(const char *word, int64_t *ret_number)
{
	const bool negative = *word == '-';
	unsigned long long number;
	char *end;

	word += negative;
	if (!isdigit((unsigned char)*word))
		return false;
	errno = 0;
	number = strtoull(word, &end, 0);
	if (*end != '\0' || errno != 0 || (negative && number > (uint64_t)INT64_MAX + 1))
		return false;
	*ret_number = (int64_t)(negative ? 0 - number : number);
	return true;
}

static int refuse_name(struct chain_text *text, const char *name)
{
	const char *near = constant_near(name);

	return chain_refuse(
		text,
		"unknown name '%.60s': it is no constant, and no line above gives a step "
		"that name%s%s%s",
		name, near != NULL ? "; did you mean " : "", near != NULL ? near : "",
		near != NULL ? "?" : "");
}

int chain_number(struct chain_text *text, char *word, int64_t *ret_number)
{
	int64_t all = 0;

	for (char *next; word != NULL; word = next) {
		int64_t number;

		next = strchr(word, '|');
		if (next != NULL)
			*next++ = '\0';
		if (*word == '\0')
			return chain_refuse(text, "a number or a constant is missing beside '|'");
		if (!digits(word, &number) && !constant_find(word, &number)) {
			if (chain_is_name(word))
				return refuse_name(text, word);
			return chain_refuse(text,
					    "'%.60s' is no number: write it as C does, in 64 "
					    "bits at most",
					    word);
		}
		all |= number;
	}
	*ret_number = all;
	return 0;
}

int chain_check_place(struct chain_text *text, const struct value *value, uint64_t bytes,
		      const char *who)
{
	const struct memory *memory;

	if (value->load != LOAD_NONE || value->kind == VALUE_STEP || value->kind == VALUE_PARAM)
		return 0;
	if (value->kind != VALUE_MEMORY)
		return chain_refuse(
			text,
			"'%s' needs an address: &NAME of memory that is declared above, or a "
			"step that returns one",
			who);
	memory = &text->memories[value->index];
	if (value->number >= 0 && (uint64_t)value->number <= memory->size &&
	    memory->size - (uint64_t)value->number >= bytes)
		return 0;
	if (value->number == 0)
		return chain_refuse(text, "'%s' is of %llu bytes, and &%.60s has %llu", who,
				    (unsigned long long)bytes, memory->name,
				    (unsigned long long)memory->size);
	return chain_refuse(text, "'%s' of %llu bytes at &%.60s%+lld is outside of &%.60s[%llu]",
			    who, (unsigned long long)bytes, memory->name, (long long)value->number,
			    memory->name, (unsigned long long)memory->size);
}

/* "+8", "-8" or nothing. */
static int offset(struct chain_text *text, const char *word, int64_t *ret_number)
{
	*ret_number = 0;
	if (*word == '\0')
		return 0;
	if ((*word == '+' && word[1] != '-' && digits(word + 1, ret_number)) ||
	    (*word == '-' && digits(word, ret_number)))
		return 0;
	return chain_refuse(text, "'%.60s' may follow a name only as +NUMBER or -NUMBER", word);
}

/* The memory whose name is the first `length` letters, or -1 with an error. */
static long find_memory(struct chain_text *text, char *name, size_t length)
{
	const char after = name[length];
	long found;

	name[length] = '\0';
	found = chain_find_memory(text, name);
	name[length] = after;
	if (found >= 0)
		return found;
	chain_refuse(text, "no memory '%.*s': declare it above as &%.*s[BYTES]",
		     (int)(length < 60 ? length : 60), name, (int)(length < 60 ? length : 60),
		     name);
	return -1;
}

static int memory_value(struct chain_text *text, char *word, struct value *ret_value)
{
	const size_t length = name_length(word);
	const long found = find_memory(text, word, length);

	if (found < 0)
		return -EINVAL;
	ret_value->kind = VALUE_MEMORY;
	ret_value->index = (unsigned)found;
	return offset(text, word + length, &ret_value->number);
}

/* `word` is what follows the $. */
static int param_value(struct chain_text *text, const char *word, uint8_t use,
		       struct value *ret_value)
{
	const unsigned index = (unsigned)(*word - '1');

	if (*word < '1' || *word > '0' + CHAIN_PARAMS)
		return chain_refuse(text, "'$%.60s' is no parameter: there are $1 to $%d", word,
				    CHAIN_PARAMS);
	if (text->param_use[index] != PARAM_UNUSED && text->param_use[index] != use)
		return chain_refuse(text,
				    "$%u is used as text and as a number: give two parameters",
				    index + 1);
	text->param_use[index] = use;
	if (text->params <= index)
		text->params = index + 1;
	ret_value->kind = VALUE_PARAM;
	ret_value->index = index;
	return offset(text, word + 1, &ret_value->number);
}

/* number($1), load(...), load_int(...), sizeof(...): `word` is what stands in the parentheses. */
static int function_value(struct chain_text *text, const char *name, char *word,
			  struct value *ret_value)
{
	int err;

	if (strcmp(name, "number") == 0) {
		if (*word != '$')
			return chain_refuse(text, "number() takes a parameter, as in number($1)");
		return param_value(text, word + 1, PARAM_NUMBER, ret_value);
	}
	if (strcmp(name, "sizeof") == 0) {
		long found =
			find_memory(text, word + (*word == '&'), strlen(word + (*word == '&')));

		if (found < 0)
			return -EINVAL;
		ret_value->number = (int64_t)text->memories[found].size;
		return 0;
	}
	if (strcmp(name, "load") != 0 && strcmp(name, "load_int") != 0)
		return chain_refuse(text,
				    "unknown '%.60s(': there are number, sizeof, load and "
				    "load_int",
				    name);
	err = chain_value(text, word, ret_value);
	if (err < 0)
		return err;
	if (ret_value->load != LOAD_NONE)
		return chain_refuse(text, "%s of a %s: load the address in a step of its own", name,
				    ret_value->load == LOAD_INT ? "load_int" : "load");
	err = chain_check_place(text, ret_value, strcmp(name, "load") == 0 ? 8 : 4, name);
	ret_value->load = strcmp(name, "load") == 0 ? LOAD_WORD : LOAD_INT;
	return err;
}

int chain_value(struct chain_text *text, char *word, struct value *ret_value)
{
	size_t length = name_length(word);
	long step;

	memset(ret_value, 0, sizeof *ret_value);
	if (*word == '&')
		return memory_value(text, word + 1, ret_value);
	if (*word == '$')
		return param_value(text, word + 1, PARAM_STRING, ret_value);
	if (length > 0 && word[length] == '(') {
		size_t last = strlen(word) - 1;

		if (word[last] != ')')
			return chain_refuse(text, "'%.60s' needs ')' at its end, and no spaces",
					    word);
		word[last] = '\0';
		word[length] = '\0';
		return function_value(text, word, word + length + 1, ret_value);
	}
	if (length > 0 && word[length] != '|') {
		char after = word[length];

		word[length] = '\0';
		step = chain_find_step(text, word);
		if (step < 0 && after != '\0' && !constant_find(word, &ret_value->number))
			return refuse_name(text, word);
		word[length] = after;
		if (step >= 0) {
			ret_value->kind = VALUE_STEP;
			ret_value->index = (unsigned)step;
			return offset(text, word + length, &ret_value->number);
		}
	}
	return chain_number(text, word, &ret_value->number);
}
