/* SPDX-License-Identifier: MIT */
/*
 * A chain as text, understood line by line (chain_parse.c, chain_value.c) and made into a chain
 * (chain_build.c). asys(1) describes the notation.
 */
#ifndef ASYS_TOOLS_CHAIN_TEXT_H
#define ASYS_TOOLS_CHAIN_TEXT_H

#include <asys/asys.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_PARAMS 6
#define CHAIN_MEMORY_MAX ((uint64_t)1 << 30) /* all declarations together */

enum value_kind { VALUE_NUMBER, VALUE_STRING, VALUE_MEMORY, VALUE_STEP, VALUE_PARAM };
enum load_kind { LOAD_NONE, LOAD_WORD, LOAD_INT };

/* One argument. */
struct value {
	enum value_kind kind;
	enum load_kind load; /* what is in memory there, instead of the address itself */
	unsigned index;	     /* of a memory, a step or a parameter */
	int64_t number;	     /* or what is added to it */
	const char *string;
};

enum modifier_kind {
	MODIFIER_WHEN,
	MODIFIER_AFTER,
	MODIFIER_AFTER_OK,
	MODIFIER_AFTER_ERROR,
	MODIFIER_FULL,
	MODIFIER_STORE,
	MODIFIER_MAY_FAIL,
	MODIFIER_LABEL,
};

struct modifier {
	enum modifier_kind kind;
	enum asys_condition condition;
	struct value value;
};

enum verb {
	VERB_CALL,
	VERB_TIMER,
	VERB_IF,
	VERB_ELSE,
	VERB_LOOP,
	VERB_WHILE,
	VERB_ON_FAILURE,
	VERB_FINALLY,
	VERB_END,
	VERB_RESULT,
};

struct step {
	enum verb verb;
	enum asys_condition condition; /* if, while */
	unsigned line;
	unsigned nargs;
	struct value arg[6];
	const char *name;		      /* or NULL */
	const struct asys_syscall_info *call; /* of VERB_CALL */
	size_t modifier, modifiers;	      /* the first, and how many */
};

struct memory {
	const char *name;
	uint64_t size;
	uint64_t at;	    /* in the one block that holds all */
	size_t word, words; /* what it begins with: 64-bit words, in chain_text.words */
};

struct chain_text {
	const char *file; /* for messages; the caller's */
	char *text;	  /* the copy that all strings point into */
	struct step *steps;
	struct modifier *modifiers;
	struct memory *memories;
	struct value *words;
	size_t step_count, modifier_count, memory_count, word_count;
	size_t step_room, modifier_room, memory_room, word_room;
	void *names, *memory_names;	 /* of steps and memories, trees of chain_parse.c */
	uint64_t bytes;			 /* of all memories */
	unsigned line;			 /* being read */
	unsigned params;		 /* 1 + the highest that is used */
	uint8_t param_use[CHAIN_PARAMS]; /* PARAM_... */
	char error[400]; /* "FILE:LINE: what, why, what to do", of the first mistake */
};

enum { PARAM_UNUSED, PARAM_STRING, PARAM_NUMBER };

/*
 * Understands `size` bytes of text. 0, or -EINVAL (-ENOMEM) with ret_text->error set. In both cases
 * chain_text_free is due. `file` lasts as long as *ret_text.
 */
int chain_parse(struct chain_text *ret_text, const char *file, const char *source, size_t size);
void chain_text_free(struct chain_text *text);

/* Sets text->error about the line being read, and returns -EINVAL. */
int chain_refuse(struct chain_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The step of that name, or -1. */
long chain_find_step(const struct chain_text *text, const char *name);
long chain_find_memory(const struct chain_text *text, const char *name);

/* Of chain_value.c: a word that is no string in quotes, as an argument; a number in C's notation,
 * constants and | included; a name as steps and memories have. `word` may be changed. */
int chain_value(struct chain_text *text, char *word, struct value *ret_value);
int chain_number(struct chain_text *text, char *word, int64_t *ret_number);
/* `who` is to read or write so many bytes at `value`: an error if that is no address, or the memory has fewer there.
 * What steps and parameters will be is not known yet. */
int chain_check_place(struct chain_text *text, const struct value *value, uint64_t bytes,
		      const char *who);
bool chain_is_name(const char *word);

/*
 * A chain of what was understood, ready to be sent. `memory` has text->bytes bytes and lasts as long
 * as the chain, as does `text`. With `report` each step brings an event with its index as user word.
 * 0, or an error with text->error set.
 */
int chain_build(struct asys_chain **ret_chain, struct chain_text *text, char *memory,
		uint32_t flags, bool report);

#endif
