/* SPDX-License-Identifier: MIT */
/* Blocks of a chain, and sub-chains, which are blocks too. */
#include "chain/program.h"

#include <stdlib.h>
#include <string.h>

/* What the BEGIN was told about its result is the END's to do. */
#define FLAGS_OF_END (STEP_REPORT | STEP_STORE | STEP_MAY_FAIL)

/* A block with as many in each other inside is to begin. */
static int go_deeper(struct asys_chain *c, uint32_t inside)
{
	uint32_t depth = c->depth + 1 + inside;

	if (depth > ASYS_CHAIN_NEST_MAX)
		return chain_fail(
			c, -EINVAL, c->steps.count,
			"blocks are nested more than %u deep, those of sub-chains counted",
			ASYS_CHAIN_NEST_MAX);
	if (depth > c->deepest)
		c->deepest = depth;
	return 0;
}

static uint32_t block_begin(struct asys_chain *c, enum block_kind kind, const struct value *args,
			    unsigned nargs)
{
	uint32_t k;

	if (go_deeper(c, 0))
		return NIL;
	k = not_full(c, "a block") ? NIL : step_add(c, STEP_BEGIN, args, nargs);
	if (k == NIL)
		return NIL;
	c->steps.at[k].block_kind = (uint8_t)kind;
	c->open = k;
	c->depth++;
	return k;
}

/* What has ended when all of a closed block, or one step, has. */
static uint32_t end_of(const struct asys_chain *c, uint32_t n)
{
	return n < c->steps.count && c->steps.at[n].kind == STEP_BEGIN ? c->steps.at[n].other : n;
}

/* Steps, and ENDs of blocks, directly inside the block of `begin` (NIL: the chain), all closed. */
static uint32_t first_inside(const struct asys_chain *c, uint32_t begin)
{
	return end_of(c, begin == NIL ? 0 : begin + 1);
}

static uint32_t next_inside(const struct asys_chain *c, uint32_t n)
{
	return end_of(c, n + 1);
}

/* The END waits for all that is directly inside. */
static uint32_t block_end(struct asys_chain *c)
{
	uint32_t begin = c->open, k;
	struct step *step;

	if (c->next.whens.count || c->next.flags || c->next.label) {
		chain_fail(c, -EINVAL, c->steps.count,
			   "closes a block, but something was said about a step");
		return NIL;
	}
	c->open = c->steps.at[begin].block;
	k = step_add(c, STEP_END, NULL, 0);
	if (k == NIL)
		return NIL;
	c->depth--;
	step = &c->steps.at[k];
	step->block_kind = c->steps.at[begin].block_kind;
	step->other = begin;
	step->flags |= c->steps.at[begin].flags & FLAGS_OF_END;
	step->first_arg = c->steps.at[begin].first_arg + c->steps.at[begin].nargs;
	step->user = c->steps.at[begin].user;
	c->steps.at[begin].other = k;
	c->steps.at[begin].flags &= (uint16_t)~FLAGS_OF_END;
	for (uint32_t n = first_inside(c, begin); n < k; n = next_inside(c, n))
		if (step_when(c, k, n, ASYS_ALWAYS))
			return NIL;
	return step_when(c, k, begin, ASYS_ALWAYS) ? NIL : k;
}

ASYS_API asys_id asys_chain_if(struct asys_chain *c, asys_id id, enum asys_condition condition)
{
	uint32_t k = NIL, step = NIL;
	int err = may_add(c);

	if (err)
		return failed_id(err);
	asys_when(c, id, condition);
	if (!c->error) {
		step = c->next.whens.at[c->next.whens.count - 1].step;
		k = block_begin(c, BLOCK_IF, NULL, 0);
	}
	if (k == NIL)
		return failed_id(c->error);
	c->steps.at[k].test_step = step;
	c->steps.at[k].test = (uint8_t)condition;
	return step_id(c, k);
}

/* What was said before is about the else, not about the END before it. */
static uint32_t begin_else(struct asys_chain *c, uint32_t begin)
{
	struct next_step said = c->next;
	struct when *when;
	uint32_t end;

	memset(&c->next, 0, sizeof(c->next));
	end = block_end(c);
	free(c->next.whens.at);
	c->next = said;
	when = end == NIL ? NULL : ARRAY_ADD(c->next.whens);
	if (!when) {
		chain_fail(c, -ENOMEM, c->steps.count, "no memory");
		return NIL;
	}
	when->step = c->steps.at[begin].test_step;
	when->condition = c->steps.at[begin].test | CONDITION_NOT;
	return block_begin(c, BLOCK_IF, NULL, 0);
}

ASYS_API asys_id asys_chain_else(struct asys_chain *c)
{
	uint32_t begin = c->open, k;
	int err = chain_building(c);

	if (err)
		return failed_id(err);
	if (begin == NIL || c->steps.at[begin].block_kind != BLOCK_IF ||
	    (c->steps.at[begin].flags & STEP_ELSE))
		return failed_id(chain_fail(c, -EINVAL, c->steps.count,
					    "an else, but the innermost open block is no if"));
	k = begin_else(c, begin);
	if (k == NIL)
		return failed_id(c->error);
	c->steps.at[k].flags |= STEP_ELSE;
	return step_id(c, k);
}

ASYS_API asys_id asys_chain_loop(struct asys_chain *c, uint32_t bound)
{
	uint32_t k;
	int err = may_add(c);

	if (err)
		return failed_id(err);
	k = block_begin(c, BLOCK_LOOP, NULL, 0);
	if (k == NIL)
		return failed_id(c->error);
	c->steps.at[k].bound = bound;
	return step_id(c, k);
}

static asys_id close_block(struct asys_chain *c)
{
	uint32_t bound = c->steps.at[c->open].bound, k = block_end(c);

	if (k == NIL)
		return failed_id(c->error);
	c->steps.at[k].bound = bound;
	return step_id(c, k);
}

ASYS_API asys_id asys_chain_while(struct asys_chain *c, asys_id id, enum asys_condition condition)
{
	uint32_t begin = c->open, step, k;
	int err = chain_building(c);

	if (err)
		return failed_id(err);
	if (begin == NIL || c->steps.at[begin].block_kind != BLOCK_LOOP)
		return failed_id(chain_fail(c, -EINVAL, c->steps.count,
					    "a while, but the innermost open block is no loop"));
	if ((unsigned)condition > ASYS_NEGATIVE)
		return failed_id(chain_fail(c, -EINVAL, c->steps.count, "%d is no condition",
					    (int)condition));
	step = step_of_id(c, id);
	if (step == NIL || asys_error(close_block(c)))
		return failed_id(c->error);
	k = c->steps.count - 1;
	c->steps.at[k].test_step = step;
	c->steps.at[k].test = (uint8_t)condition;
	/* What is inside has ended when the loop's END is reached. */
	if (step < begin && step_when(c, k, step, ASYS_ALWAYS))
		return failed_id(c->error);
	return step_id(c, k);
}

/* A cleanup block waits for all before it in its block: one behind another for that one, which did. */
static int wait_for_others(struct asys_chain *c, uint32_t outside)
{
	uint32_t last = outside == NIL ? c->closing : c->steps.at[outside].closing;
	uint32_t first = last == NIL ? first_inside(c, outside) : end_of(c, last);

	for (uint32_t n = first; n < c->steps.count; n = next_inside(c, n)) {
		struct when *when = ARRAY_ADD(c->next.whens);

		if (!when)
			return chain_fail(c, -ENOMEM, n, "no memory");
		*when = (struct when){ n, ASYS_ALWAYS };
	}
	return 0;
}

static asys_id cleanup(struct asys_chain *c, enum block_kind kind)
{
	uint32_t outside = c->open, k;
	int err = chain_building(c);

	if (!err)
		err = wait_for_others(c, outside);
	if (err)
		return failed_id(err);
	k = block_begin(c, kind, NULL, 0);
	if (k == NIL)
		return failed_id(c->error);
	c->steps.at[k].flags |= STEP_CLEANUP;
	if (outside == NIL)
		c->closing = k;
	else
		c->steps.at[outside].closing = k;
	return step_id(c, k);
}

ASYS_API asys_id asys_chain_on_failure(struct asys_chain *c)
{
	return cleanup(c, BLOCK_FAILURE);
}

ASYS_API asys_id asys_chain_finally(struct asys_chain *c)
{
	return cleanup(c, BLOCK_FINALLY);
}

ASYS_API asys_id asys_chain_end(struct asys_chain *c)
{
	int err = chain_building(c);

	if (!err && c->open == NIL)
		err = chain_fail(c, -EINVAL, c->steps.count, "an end, but no block is open");
	return err ? failed_id(err) : close_block(c);
}

/* Sub-chains: their steps are copied. */

/* What a value of the sub-chain becomes: its steps come after `first`, its parameters are `args`. */
static int move_value(struct asys_chain *c, struct value *value, uint32_t first,
		      const struct value args[6])
{
	const struct value *arg;

	if (value->base == BASE_STEP)
		value->index += first;
	if (value->base != BASE_PARAM)
		return 0;
	arg = &args[value->index];
	if (arg->memory && value->memory)
		return chain_fail(c, -EINVAL, c->steps.count,
				  "argument %u is loaded from memory, and the sub-chain loads from "
				  "there again: let a compute step do it",
				  value->index);
	value->base = arg->base;
	value->index = arg->index;
	if (arg->memory) {
		value->memory = arg->memory;
		value->after = arg->after + (int64_t)value->add;
		value->add = arg->add;
	} else {
		value->add += arg->add;
	}
	return 0;
}

static uint32_t moved(uint32_t step, uint32_t first)
{
	return step == NIL ? NIL : step + first;
}

static int copy_values(struct asys_chain *c, const struct asys_chain *sub, const struct step *from,
		       uint32_t first, const struct value args[6])
{
	unsigned n = from->nargs + (from->flags & STEP_STORE ? 1u : 0u);

	for (unsigned a = 0; a < n; a++) {
		struct value *value = ARRAY_ADD(c->values);

		if (!value)
			return chain_fail(c, -ENOMEM, c->steps.count, "no memory");
		*value = sub->values.at[from->first_arg + a];
		if (move_value(c, value, first, args))
			return c->error;
	}
	return 0;
}

static int copy_step(struct asys_chain *c, const struct asys_chain *sub, uint32_t n, uint32_t first,
		     const struct value args[6], uint32_t begin)
{
	const struct step *from = &sub->steps.at[n];
	uint32_t k = c->steps.count, first_arg = c->values.count;
	struct step *step;

	if (k == c->most)
		return chain_fail(c, -E2BIG, k,
				  "more steps than the %u that the chain was opened for", c->most);
	if (copy_values(c, sub, from, first, args))
		return c->error;
	step = ARRAY_ADD(c->steps);
	if (!step)
		return chain_fail(c, -ENOMEM, k, "no memory");
	*step = *from;
	step->label = from->label ? strdup(from->label) : NULL;
	step->block = from->block == NIL ? begin : from->block + first;
	step->other = moved(from->other, first);
	step->test_step = moved(from->test_step, first);
	step->closing = moved(from->closing, first);
	step->result = moved(from->result, first);
	step->first_arg = first_arg;
	/* What the chain compiles anew: here there may be more that changes a descriptor. */
	step->flags &= (uint16_t) ~(STEP_FILE | STEP_AT_ONCE);
	step->flags |= c->steps.at[begin].flags & STEP_CLEANUP;
	step->first_when = c->whens.count;
	step->nwhen = step->nnext = 0;
	c->calls += step->kind == STEP_CALL;
	for (uint32_t w = 0; w < from->nwhen; w++) {
		const struct when *when = &sub->whens.at[from->first_when + w];

		if (step_when(c, k, when->step + first, when->condition))
			return c->error;
	}
	return from->block == NIL ? step_when(c, k, begin, ASYS_OK) : 0;
}

ASYS_API asys_id asys_chain_sub_(struct asys_chain *c, const struct asys_chain *sub,
				 const struct asys_arg_ args[6])
{
	struct value values[6];
	uint32_t begin, first;
	int err = may_add(c);

	for (unsigned a = 0; a < 6 && !err; a++)
		err = value_of(c, args[a], &values[a]);
	if (!err && (!sub || !sub->ready))
		err = chain_fail(c, -EINVAL, c->steps.count, "the sub-chain is not ready");
	if (!err && args_given(args) < sub->params)
		err = chain_fail(
			c, -EINVAL, c->steps.count,
			"the sub-chain has %u parameters, %u are given: give asys_chain_sub "
			"all of them",
			sub->params, args_given(args));
	if (!err)
		err = go_deeper(c, sub->deepest);
	if (err)
		return failed_id(err);
	begin = block_begin(c, BLOCK_SUB, values, 6);
	if (begin == NIL)
		return failed_id(c->error);
	first = c->steps.count;
	for (uint32_t n = 0; n < sub->steps.count; n++)
		if (copy_step(c, sub, n, first, values, begin))
			return failed_id(c->error);
	if (asys_error(close_block(c)))
		return failed_id(c->error);
	c->steps.at[c->steps.count - 1].result = moved(sub->result, first);
	return step_id(c, c->steps.count - 1);
}
