/* SPDX-License-Identifier: MIT */
/* A line of a chain as text, cut into words. */
#ifndef ASYS_TOOLS_CHAIN_WORDS_H
#define ASYS_TOOLS_CHAIN_WORDS_H

#include "chain_text.h"

#define WORDS_MAX 64

struct word {
	char *text;
	bool string; /* stood in quotes */
};

struct words {
	struct word word[WORDS_MAX];
	unsigned count, at; /* `at` is the next */
};

/* Cuts `line` where it stands. 0, or -EINVAL with text->error set, as all below. */
int words_split(struct chain_text *text, char *line, struct words *ret_words);

/* The next word; NULL if there is none, or a string. */
char *words_next(struct words *words);
/* True, and moves on, if the next word is this one. */
bool words_next_is(struct words *words, const char *text);
/* There is a next word, and it is an argument. */
int words_next_value(struct chain_text *text, struct words *words, struct value *ret_value);
/* The next word names a step above; `what` stands before it. */
int words_next_step(struct chain_text *text, struct words *words, const char *what,
		    struct value *ret_value);
int words_next_condition(struct chain_text *text, struct words *words, const char *what,
			 enum asys_condition *ret_condition);
/* Refuses what is left. */
int words_end(struct chain_text *text, const struct words *words);

#endif
