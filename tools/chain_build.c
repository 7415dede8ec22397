/* SPDX-License-Identifier: MIT */
#include "chain_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct build {
	struct asys_chain *chain;
	struct chain_text *text;
	char *memory;
	asys_id *ids; /* of text->steps */
};

/* What a value is to the chain: a word, or an id that stands for one. */
struct word_or_id {
	uint64_t word;
	asys_id id;
	bool is_id;
};

static struct word_or_id make_value(const struct build *b, const struct value *value)
{
	struct word_or_id made = { .is_id = false };

	switch (value->kind) {
	case VALUE_NUMBER:
		made.word = (uint64_t)value->number;
		break;
	case VALUE_STRING:
		made.word = (uint64_t)(uintptr_t)value->string;
		break;
	case VALUE_MEMORY:
		made.word = (uint64_t)(uintptr_t)(b->memory + b->text->memories[value->index].at) +
			    (uint64_t)value->number;
		break;
	case VALUE_STEP:
	case VALUE_PARAM:
		made.is_id = true;
		made.id = value->kind == VALUE_STEP ? b->ids[value->index] :
						      asys_param(b->chain, value->index);
		if (value->number != 0)
			made.id = asys_plus(b->chain, made.id, value->number);
		break;
	}
	if (value->load != LOAD_NONE) {
		const bool is_int = value->load == LOAD_INT;

		if (made.is_id)
			made.id = is_int ? asys_load_int(b->chain, made.id) :
					   asys_load(b->chain, made.id);
		else
			made.id = is_int ? asys_load_int(b->chain, made.word) :
					   asys_load(b->chain, made.word);
		made.is_id = true;
	}
	return made;
}

static void modify(const struct build *b, const struct modifier *modifier)
{
	const struct word_or_id value = make_value(b, &modifier->value);

	switch (modifier->kind) {
	case MODIFIER_WHEN:
		asys_when(b->chain, value.id, modifier->condition);
		break;
	case MODIFIER_AFTER:
		asys_after(b->chain, value.id);
		break;
	case MODIFIER_AFTER_OK:
		asys_after_ok(b->chain, value.id);
		break;
	case MODIFIER_AFTER_ERROR:
		asys_after_error(b->chain, value.id);
		break;
	case MODIFIER_FULL:
		asys_full(b->chain);
		break;
	case MODIFIER_STORE:
		if (value.is_id)
			asys_store(b->chain, value.id);
		else
			asys_store(b->chain, value.word);
		break;
	case MODIFIER_MAY_FAIL:
		asys_may_fail(b->chain);
		break;
	case MODIFIER_LABEL:
		asys_label(b->chain, modifier->value.string);
		break;
	}
}

static asys_id add_call(const struct build *b, const struct step *step)
{
	uint64_t head = step->call->nr, arg[6] = { 0 };

	for (unsigned i = 0; i < step->nargs; i++) {
		const struct word_or_id value = make_value(b, &step->arg[i]);

		arg[i] = value.is_id ? (uint64_t)value.id.value : value.word;
		if (value.is_id)
			head |= (uint64_t)ASYS_CALL_REF(i) << 32;
	}
	return asys_chain_add_(b->chain, head, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

static asys_id add_timer(const struct build *b, const struct step *step)
{
	const struct word_or_id value = make_value(b, &step->arg[0]);

	return value.is_id ? asys_chain_timer(b->chain, value.id) :
			     asys_chain_timer(b->chain, value.word);
}

static asys_id add_step(const struct build *b, const struct step *step)
{
	const struct value *arg = &step->arg[0];

	switch (step->verb) {
	case VERB_TIMER:
		return add_timer(b, step);
	case VERB_IF:
		return asys_chain_if(b->chain, b->ids[arg->index], step->condition);
	case VERB_ELSE:
		return asys_chain_else(b->chain);
	case VERB_LOOP:
		return asys_chain_loop(b->chain, (uint32_t)arg->number);
	case VERB_WHILE:
		return asys_chain_while(b->chain, b->ids[arg->index], step->condition);
	case VERB_ON_FAILURE:
		return asys_chain_on_failure(b->chain);
	case VERB_FINALLY:
		return asys_chain_finally(b->chain);
	case VERB_END:
		return asys_chain_end(b->chain);
	case VERB_RESULT:
		return (asys_id){ asys_chain_result(b->chain, b->ids[arg->index]) };
	default:
		return add_call(b, step);
	}
}

/* Puts into memory what the declarations say. */
static void fill_memory(const struct build *b)
{
	for (size_t i = 0; i < b->text->memory_count; i++) {
		const struct memory *memory = &b->text->memories[i];

		for (size_t k = 0; k < memory->words; k++) {
			const struct word_or_id value =
				make_value(b, &b->text->words[memory->word + k]);

			memcpy(b->memory + memory->at + k * 8, &value.word, 8);
		}
	}
}

static int add_steps(struct build *b, bool report)
{
	struct chain_text *text = b->text;

	for (size_t i = 0; i < text->step_count; i++) {
		const struct step *step = &text->steps[i];
		const bool leaf = step->verb == VERB_CALL || step->verb == VERB_TIMER;

		if (step->name != NULL && leaf)
			asys_label(b->chain, step->name); /* a label of its own follows, if any */
		for (size_t k = 0; k < step->modifiers; k++)
			modify(b, &text->modifiers[step->modifier + k]);
		if (report && leaf)
			asys_report(b->chain, i);
		b->ids[i] = add_step(b, step);
		if (b->ids[i].value < 0) {
			text->line = step->line;
			return chain_refuse(text, "%s", asys_message());
		}
	}
	return 0;
}

int chain_build(struct asys_chain **ret_chain, struct chain_text *text, char *memory,
		uint32_t flags, bool report)
{
	struct asys_chain_options options;
	struct build b = { NULL, text, memory, NULL };
	int err;

	asys_chain_options_init(&options);
	options.steps = ASYS_CHAIN_STEPS_MAX;
	options.flags = flags;
	b.ids = calloc(text->step_count, sizeof *b.ids);
	err = b.ids == NULL ? -ENOMEM : asys_chain_open(&b.chain, &options);
	if (err < 0) {
		chain_refuse(text, "no memory for the chain");
	} else {
		fill_memory(&b);
		err = add_steps(&b, report);
	}
	if (err == 0) {
		err = asys_chain_ready(b.chain);
		if (err < 0)
			chain_refuse(text, "%s", asys_message());
	}
	free(b.ids);
	if (err < 0)
		asys_chain_close(b.chain);
	else
		*ret_chain = b.chain;
	return err;
}
