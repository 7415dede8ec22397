/* SPDX-License-Identifier: MIT */
/*
 * A chain as text, line by line:
 *
 *   [NAME =] [MODIFIER ...] CALL ARGUMENT ...     NAME = timer 10ms
 *   &NAME[BYTES] [= WORD ...]                     result NAME
 *   loop [N] ... while NAME CONDITION             if NAME CONDITION ... else ... end
 *   on_failure ... end                            finally ... end
 */
#include "chain_text.h"
#include "chain_words.h"
#include "constants.h"
#include "near.h"
#include "visible.h"

#include <ctype.h>
#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct named {
	const char *name;
	size_t index; /* of the step or memory */
};

/* Blocks that are open, innermost last. */
struct blocks {
	struct {
		enum verb verb;
		unsigned line;
	} block[ASYS_CHAIN_NEST_MAX];
	unsigned depth;
};

int chain_refuse(struct chain_text *text, const char *format, ...)
{
	char what[320];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	visible_only(what, "");
	if (text->error[0] == '\0')
		snprintf(text->error, sizeof text->error, "%.60s:%u: %s", text->file, text->line,
			 what);
	return -EINVAL;
}

/* Room for one more element; 0 or -ENOMEM. */
static int reserve(struct chain_text *text, void *array, size_t *room, size_t count, size_t size)
{
	void *old, *grown;

	if (count < *room)
		return 0;
	memcpy(&old, array, sizeof old);
	grown = reallocarray(old, *room == 0 ? 16 : *room * 2, size);
	if (grown == NULL) {
		chain_refuse(text, "no memory for more lines");
		return -ENOMEM;
	}
	*room = *room == 0 ? 16 : *room * 2;
	memcpy(array, &grown, sizeof grown);
	/* cppcheck-suppress memleak ; it is in *array */
	return 0;
}

#define RESERVE(text, array, room, count) \
	reserve((text), &(text)->array, &(text)->room, (text)->count, sizeof *(text)->array)

/* ---- names --------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static long find_name(void *const *names, const char *name)
{
	const struct named wanted = { name, 0 };
	void *const *found = tfind(&wanted, names, compare_names);

	return found == NULL ? -1 : (long)((const struct named *)*found)->index;
}

static int add_name(void **names, const char *name, size_t index)
{
	struct named *named = malloc(sizeof *named);

	if (named == NULL)
		return -ENOMEM;
	*named = (struct named){ name, index };
	if (tsearch(named, names, compare_names) == NULL) {
		free(named);
		return -ENOMEM;
	}
	return 0;
}

long chain_find_step(const struct chain_text *text, const char *name)
{
	return find_name(&text->names, name);
}

long chain_find_memory(const struct chain_text *text, const char *name)
{
	return find_name(&text->memory_names, name);
}

static int check_name(struct chain_text *text, const char *name)
{
	int64_t value;

	if (!chain_is_name(name))
		return chain_refuse(text, "'%.60s' is no name: letters, digits and _ only", name);
	if (constant_find(name, &value))
		return chain_refuse(text, "'%.60s' is the name of a constant: choose another",
				    name);
	return 0;
}

static int name_step(struct chain_text *text, char *name)
{
	const long before = chain_find_step(text, name);
	int err = check_name(text, name);

	if (err < 0)
		return err;
	if (before >= 0)
		return chain_refuse(text, "'%.60s' is already the name of line %u: choose another",
				    name, text->steps[before].line);
	return add_name(&text->names, name, text->step_count);
}

/* ---- lines --------------------------------------------------------------------------------------- */

/* 1: a modifier was there. */
static int take_modifier(struct chain_text *text, struct words *words)
{
	static const struct {
		const char *name;
		enum modifier_kind kind;
	} known[] = {
		{ "when", MODIFIER_WHEN },	   { "after", MODIFIER_AFTER },
		{ "after_ok", MODIFIER_AFTER_OK }, { "after_error", MODIFIER_AFTER_ERROR },
		{ "full", MODIFIER_FULL },	   { "store", MODIFIER_STORE },
		{ "may_fail", MODIFIER_MAY_FAIL }, { "label", MODIFIER_LABEL },
	};
	struct modifier modifier = { .condition = ASYS_ALWAYS };
	size_t i = 0;
	int err = 0;

	while (i < sizeof known / sizeof *known && !words_next_is(words, known[i].name))
		i++;
	if (i == sizeof known / sizeof *known)
		return 0;
	modifier.kind = known[i].kind;
	switch (modifier.kind) {
	case MODIFIER_WHEN:
	case MODIFIER_AFTER:
	case MODIFIER_AFTER_OK:
	case MODIFIER_AFTER_ERROR:
		err = words_next_step(text, words, known[i].name, &modifier.value);
		if (err == 0 && modifier.kind == MODIFIER_WHEN)
			err = words_next_condition(text, words, "when", &modifier.condition);
		break;
	case MODIFIER_STORE:
		if (words->at == words->count || words->word[words->at].string)
			return chain_refuse(text, "'store' needs an address, as in store &n");
		err = words_next_value(text, words, &modifier.value);
		if (err == 0)
			err = chain_check_place(text, &modifier.value, 8, "store");
		break;
	case MODIFIER_LABEL:
		if (words->at == words->count)
			return chain_refuse(text,
					    "'label' needs a text, as in label \"the input\"");
		modifier.value.string = words->word[words->at++].text;
		break;
	default:
		break;
	}
	if (err == 0)
		err = RESERVE(text, modifiers, modifier_room, modifier_count);
	if (err < 0)
		return err;
	text->modifiers[text->modifier_count++] = modifier;
	return 1;
}

static int take_call(struct chain_text *text, struct words *words, struct step *step)
{
	const char *name = words->word[words->at].text;
	const char *near[NEAR_MAX];

	if (words->word[words->at++].string)
		return chain_refuse(text, "a string where a call is expected");
	step->verb = VERB_CALL;
	step->call = asys_syscall_by_name(name);
	if (step->call == NULL) {
		if (near_names(name, near) > 0)
			return chain_refuse(text, "no system call '%.60s': did you mean %s?", name,
					    near[0]);
		return chain_refuse(text, "no system call '%.60s': 'asys info' lists them all",
				    name);
	}
	if (step->call->class_ == ASYS_CLASS_NEVER)
		return chain_refuse(text, "%s cannot be a step: %s", name, step->call->reason);
	while (words->at < words->count && step->nargs < 6) {
		int err = words_next_value(text, words, &step->arg[step->nargs++]);

		if (err < 0)
			return err;
	}
	if (step->nargs != step->call->nargs || words->at < words->count)
		return chain_refuse(text, "%s takes %u arguments, here are %u: see %s(2)", name,
				    step->call->nargs, step->nargs + words->count - words->at,
				    name);
	return 0;
}

/* "10ms", or any value: nanoseconds. */
static int take_timer(struct chain_text *text, struct words *words, struct step *step)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
	char *word = words_next(words);
	char *end = word;
	unsigned long long number;

	step->nargs = 1;
	if (word == NULL)
		return chain_refuse(text, "'timer' needs a time, as in timer 10ms");
	errno = 0;
	number = *word >= '0' && *word <= '9' ? strtoull(word, &end, 10) : 0;
	for (size_t i = 0; *word >= '0' && *word <= '9' && i < sizeof units / sizeof *units; i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		if (errno != 0 || number > (unsigned long long)(INT64_MAX / units[i].ns))
			return chain_refuse(text, "'%.60s' is too long: 292 years at most", word);
		step->arg[0].number = (int64_t)number * units[i].ns;
		return 0;
	}
	/* 0x10 is a number, 10mm is not; nor is it a unit. */
	if (*word >= '0' && *word <= '9' && isalpha((unsigned char)*end) && *end != 'x' &&
	    *end != 'X')
		return chain_refuse(
			text,
			"'%.60s' is no time: its unit '%.20s' is none of ns, us, ms and "
			"s, which follow a decimal number at once",
			word, end);
	if (*word == '-')
		return chain_refuse(text, "'%.60s' is no time: a time is not negative", word);
	return chain_value(text, word, &step->arg[0]);
}

static int take_condition(struct chain_text *text, struct words *words, struct step *step,
			  const char *what)
{
	int err = words_next_step(text, words, what, &step->arg[0]);

	step->nargs = 1;
	return err < 0 ? err : words_next_condition(text, words, what, &step->condition);
}

static int take_loop(struct chain_text *text, struct words *words, struct step *step)
{
	char *word = words_next(words);
	int err;

	step->arg[0].number = UINT32_MAX;
	if (word == NULL)
		return 0;
	err = chain_number(text, word, &step->arg[0].number);
	if (err == 0 && (step->arg[0].number < 1 || step->arg[0].number > UINT32_MAX))
		err = chain_refuse(text, "a loop runs 1 to %u times", UINT32_MAX);
	return err;
}

static int open_block(struct chain_text *text, struct blocks *blocks, enum verb verb)
{
	if (blocks->depth == ASYS_CHAIN_NEST_MAX)
		return chain_refuse(text, "more than %u blocks in each other", ASYS_CHAIN_NEST_MAX);
	blocks->block[blocks->depth].verb = verb;
	blocks->block[blocks->depth++].line = text->line;
	return 0;
}

/* The innermost block is closed by `verb`; an else opens its other half. */
static int close_block(struct chain_text *text, struct blocks *blocks, enum verb verb,
		       const char *word)
{
	const enum verb open =
		blocks->depth > 0 ? blocks->block[blocks->depth - 1].verb : VERB_CALL;

	if (blocks->depth == 0)
		return chain_refuse(text, "'%s', but no block is open", word);
	if ((verb == VERB_WHILE && open != VERB_LOOP) || (verb == VERB_ELSE && open != VERB_IF))
		return chain_refuse(text, "'%s' closes a block that line %u did not open as %s",
				    word, blocks->block[blocks->depth - 1].line,
				    verb == VERB_WHILE ? "a loop" : "an if");
	blocks->depth--;
	return verb == VERB_ELSE ? open_block(text, blocks, VERB_ELSE) : 0;
}

static int take_verb(struct chain_text *text, struct words *words, struct blocks *blocks,
		     struct step *step)
{
	static const struct {
		const char *name;
		enum verb verb;
	} known[] = {
		{ "timer", VERB_TIMER },     { "if", VERB_IF },
		{ "else", VERB_ELSE },	     { "loop", VERB_LOOP },
		{ "while", VERB_WHILE },     { "on_failure", VERB_ON_FAILURE },
		{ "finally", VERB_FINALLY }, { "end", VERB_END },
		{ "result", VERB_RESULT },
	};
	size_t i = 0;
	int err = 0;

	if (words->at == words->count)
		return chain_refuse(text, "a call is missing at the end of the line");
	while (i < sizeof known / sizeof *known && !words_next_is(words, known[i].name))
		i++;
	if (i == sizeof known / sizeof *known)
		return take_call(text, words, step);
	step->verb = known[i].verb;
	switch (step->verb) {
	case VERB_TIMER:
		err = take_timer(text, words, step);
		break;
	case VERB_RESULT:
		err = words_next_step(text, words, "result", &step->arg[0]);
		break;
	case VERB_IF:
	case VERB_WHILE:
		err = take_condition(text, words, step, known[i].name);
		break;
	case VERB_LOOP:
		err = take_loop(text, words, step);
		break;
	default:
		break;
	}
	if (err == 0 && (step->verb == VERB_IF || step->verb == VERB_LOOP ||
			 step->verb == VERB_ON_FAILURE || step->verb == VERB_FINALLY))
		err = open_block(text, blocks, step->verb);
	if (err == 0 &&
	    (step->verb == VERB_ELSE || step->verb == VERB_WHILE || step->verb == VERB_END))
		err = close_block(text, blocks, step->verb, known[i].name);
	return err < 0 ? err : words_end(text, words);
}

static int take_step(struct chain_text *text, struct words *words, struct blocks *blocks)
{
	struct step step = { .line = text->line, .modifier = text->modifier_count };
	char *name = NULL;
	int err;

	if (words->count > 1 && !words->word[1].string && strcmp(words->word[1].text, "=") == 0) {
		name = words_next(words);
		words->at = 2;
		if (name == NULL)
			return chain_refuse(text, "a string is no name");
	}
	do {
		err = take_modifier(text, words);
	} while (err > 0);
	if (err == 0)
		err = take_verb(text, words, blocks, &step);
	if (err < 0)
		return err;
	step.modifiers = text->modifier_count - step.modifier;
	if ((step.verb == VERB_END || step.verb == VERB_WHILE || step.verb == VERB_RESULT) &&
	    (name != NULL || step.modifiers > 0))
		return chain_refuse(text,
				    "neither a name nor a modifier may stand before what is no "
				    "step: put it where the block begins");
	err = RESERVE(text, steps, step_room, step_count);
	if (err == 0 && name != NULL)
		err = name_step(text, name);
	if (err < 0)
		return err;
	step.name = name;
	text->steps[text->step_count++] = step;
	return 0;
}

/* &NAME[BYTES] [= WORD ...] */
static int take_memory(struct chain_text *text, struct words *words)
{
	struct memory memory = { .word = text->word_count };
	char *name = words_next(words) + 1, *open = strchr(name, '['), *close;
	int64_t size;
	int err;

	if (open == NULL)
		return chain_refuse(text,
				    "'&%.60s' declares no memory: give its size, as in "
				    "&%.60s[4096]",
				    name, name);
	*open++ = '\0';
	close = strchr(open, ']');
	if (close == NULL || close[1] != '\0')
		return chain_refuse(text, "the size of '&%.60s' needs ']' at its end", name);
	*close = '\0';
	err = check_name(text, name);
	if (err == 0)
		err = chain_number(text, open, &size);
	if (err < 0)
		return err;
	if (chain_find_memory(text, name) >= 0)
		return chain_refuse(text, "'&%.60s' is declared twice", name);
	if (size < 1 || (uint64_t)size > CHAIN_MEMORY_MAX - text->bytes)
		return chain_refuse(text,
				    "'&%.60s' has to have 1 byte or more, and all memory "
				    "together %llu at most",
				    name, (unsigned long long)CHAIN_MEMORY_MAX);
	if (words->at < words->count && !words_next_is(words, "="))
		return words_end(text, words);
	memory.name = name;
	memory.size = (uint64_t)size;
	memory.at = text->bytes;
	text->bytes += ((uint64_t)size + 63) / 64 * 64; /* each begins a cache line */
	for (; words->at < words->count; memory.words++) {
		err = RESERVE(text, words, word_room, word_count);
		if (err == 0)
			err = words_next_value(text, words, &text->words[text->word_count]);
		if (err < 0)
			return err;
		if (text->words[text->word_count].kind > VALUE_MEMORY ||
		    text->words[text->word_count].load != LOAD_NONE)
			return chain_refuse(text,
					    "memory begins with numbers, strings and addresses "
					    "of other memory only: store results in steps");
		text->word_count++;
	}
	if (memory.words * 8 > memory.size)
		return chain_refuse(text, "%zu words of 8 bytes are too many for &%.60s[%llu]",
				    memory.words, name, (unsigned long long)memory.size);
	err = RESERVE(text, memories, memory_room, memory_count);
	if (err == 0)
		err = add_name(&text->memory_names, name, text->memory_count);
	if (err == 0)
		text->memories[text->memory_count++] = memory;
	return err;
}

static int take_line(struct chain_text *text, char *line, struct blocks *blocks)
{
	struct words words;
	int err = words_split(text, line, &words);

	if (err < 0 || words.count == 0)
		return err;
	if (words.word[0].text[0] == '&' && !words.word[0].string)
		return take_memory(text, &words);
	return take_step(text, &words, blocks);
}

int chain_parse(struct chain_text *ret_text, const char *file, const char *source, size_t size)
{
	struct chain_text *text = ret_text;
	struct blocks blocks = { .depth = 0 };
	char *line, *next;
	int err = 0;

	memset(text, 0, sizeof *text);
	text->file = file;
	text->line = 1;
	text->text = malloc(size + 1);
	if (text->text == NULL) {
		chain_refuse(text, "no memory for %zu bytes of text", size);
		return -ENOMEM;
	}
	memcpy(text->text, source, size);
	text->text[size] = '\0';
	if (memchr(source, '\0', size) != NULL)
		return chain_refuse(text, "there is a zero byte in it: this is no text");
	for (line = text->text; line != NULL && err == 0; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (next != NULL && next > line + 1 && next[-2] == '\r')
			next[-2] = '\0';
		err = take_line(text, line, &blocks);
		text->line += err == 0;
	}
	if (err < 0) {
		chain_refuse(text, "no memory"); /* unless the reason is known better */
		return err;
	}
	if (blocks.depth > 0) {
		text->line = blocks.block[blocks.depth - 1].line;
		return chain_refuse(
			text, "the block that begins here has no end: close it with end%s",
			blocks.block[blocks.depth - 1].verb == VERB_LOOP ? " or while" : "");
	}
	text->line--;
	return text->step_count > 0 ? 0 : chain_refuse(text, "there is no step in it");
}

void chain_text_free(struct chain_text *text)
{
	tdestroy(text->names, free);
	tdestroy(text->memory_names, free);
	free(text->text);
	free(text->steps);
	free(text->modifiers);
	free(text->memories);
	free(text->words);
}
