/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the text of chains: whatever it is, it is understood, or refused with a place and a reason,
 * and what was understood names only what is there.
 */
#include "chain_text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *text_end;

static void check_string(const struct chain_text *text, const char *string)
{
	assert(string >= text->text && string + strlen(string) <= text_end);
}

static void check_value(const struct chain_text *text, const struct value *value, size_t step)
{
	switch (value->kind) {
	case VALUE_STRING:
		check_string(text, value->string);
		break;
	case VALUE_MEMORY:
		assert(value->index < text->memory_count);
		break;
	case VALUE_STEP:
		assert(value->index < step);
		break;
	case VALUE_PARAM:
		assert(value->index < text->params);
		assert(text->param_use[value->index] != PARAM_UNUSED);
		break;
	case VALUE_NUMBER:
		break;
	}
}

static void check_step(const struct chain_text *text, size_t index)
{
	const struct step *step = &text->steps[index];

	assert(step->nargs <= 6);
	assert((step->verb == VERB_CALL) == (step->call != NULL));
	assert(step->call == NULL || step->call->nargs == step->nargs);
	assert(step->modifier + step->modifiers <= text->modifier_count);
	if (step->name != NULL)
		assert(chain_find_step(text, step->name) == (long)index);
	for (unsigned i = 0; i < step->nargs; i++)
		check_value(text, &step->arg[i], index);
	for (size_t i = 0; i < step->modifiers; i++) {
		const struct modifier *modifier = &text->modifiers[step->modifier + i];

		check_value(text, &modifier->value, index);
		if (modifier->kind == MODIFIER_LABEL)
			check_string(text, modifier->value.string);
	}
}

static void check_memory(const struct chain_text *text, const struct memory *memory)
{
	check_string(text, memory->name);
	assert(memory->at + memory->size <= text->bytes);
	assert(memory->words * 8 <= memory->size);
	assert(memory->word + memory->words <= text->word_count);
	for (size_t i = 0; i < memory->words; i++)
		check_value(text, &text->words[memory->word + i], 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain_text text;
	int err = chain_parse(&text, "fuzz", (const char *)data, size);

	assert(err == 0 || err == -EINVAL);
	assert((err == 0) == (text.error[0] == '\0'));
	assert(memchr(text.error, '\0', sizeof text.error) != NULL);
	if (err == 0) {
		text_end = text.text + size;
		assert(text.params <= CHAIN_PARAMS);
		assert(text.bytes <= CHAIN_MEMORY_MAX + 64 * text.memory_count);
		for (size_t i = 0; i < text.step_count; i++)
			check_step(&text, i);
		for (size_t i = 0; i < text.memory_count; i++)
			check_memory(&text, &text.memories[i]);
	} else {
		assert(strncmp(text.error, "fuzz:", 5) == 0);
	}
	chain_text_free(&text);
	return 0;
}
