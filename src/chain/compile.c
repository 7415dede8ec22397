/* SPDX-License-Identifier: MIT */
/* What counts down what: program.h says why counting and looking are two things. */
#include "call/facts.h"
#include "chain/program.h"
#include "chain/run.h"

#include <asys/table.h>
#include <stdlib.h>

/* The blocks around a step, the outermost first. A BEGIN counts as inside its own block where others name it, an END
 * where it names others. */
struct inside {
	uint32_t blocks[ASYS_CHAIN_NEST_MAX + 1];
	unsigned count;
};

static void find_inside(const struct asys_chain *c, uint32_t k, bool names, struct inside *ret)
{
	const struct step *step = &c->steps.at[k];
	uint32_t block = step->block;
	unsigned n = 0;

	if (!names && step->kind == STEP_BEGIN)
		block = k;
	if (names && step->kind == STEP_END)
		block = step->other;
	for (uint32_t b = block; b != NIL; b = c->steps.at[b].block)
		n++;
	ret->count = n;
	for (uint32_t b = block; b != NIL; b = c->steps.at[b].block)
		ret->blocks[--n] = b;
}

/* The outermost loop of `in` that is not one of `out`; NIL: none. */
static uint32_t loop_between(const struct asys_chain *c, const struct inside *in,
			     const struct inside *out)
{
	for (unsigned n = 0; n < in->count; n++)
		if ((n >= out->count || in->blocks[n] != out->blocks[n]) &&
		    c->steps.at[in->blocks[n]].block_kind == BLOCK_LOOP)
			return in->blocks[n];
	return NIL;
}

struct edge_ends {
	uint32_t from, to;
};

static struct edge_ends counted(const struct asys_chain *c, uint32_t k, uint32_t on)
{
	struct edge_ends ends = { on, k };
	struct inside named, names;
	uint32_t loop;

	find_inside(c, on, false, &named);
	find_inside(c, k, true, &names);
	loop = loop_between(c, &named, &names);
	if (loop != NIL)
		ends.from = c->steps.at[loop].other;
	loop = loop_between(c, &names, &named);
	if (loop != NIL)
		ends.to = loop;
	return ends;
}

/* One pass over all edges: counts them, or puts them in their places. */
static void each_edge(struct asys_chain *c, uint32_t *places)
{
	for (uint32_t k = 0; k < c->steps.count; k++) {
		const struct step *step = &c->steps.at[k];

		for (uint32_t w = 0; w < step->nwhen; w++) {
			struct edge_ends ends =
				counted(c, k, c->whens.at[step->first_when + w].step);

			if (places) {
				c->nexts.at[places[ends.from]++] = ends.to;
			} else {
				c->steps.at[ends.from].nnext++;
				c->initial[ends.to].pending++;
			}
		}
	}
}

static void link_ready(struct asys_chain *c)
{
	c->first_ready = c->last_ready = NIL;
	for (uint32_t k = 0; k < c->steps.count; k++) {
		c->initial[k].next = NIL;
		if (c->initial[k].pending)
			continue;
		if (c->first_ready == NIL)
			c->first_ready = k;
		else
			c->initial[c->last_ready].next = k;
		c->last_ready = k;
	}
}

static bool is_file_transfer(const struct asys_chain *c, const struct step *step)
{
	const struct value *fd;

	if (step->nr != SYS_read && step->nr != SYS_write && step->nr != SYS_readv &&
	    step->nr != SYS_writev)
		return false;
	if (!step->nargs)
		return false;
	fd = &c->values.at[step->first_arg];
	return fd->base == BASE_STEP && !fd->add && !fd->memory &&
	       c->steps.at[fd->index].kind == STEP_CALL && nr_opens(c->steps.at[fd->index].nr);
}

/* By its words, as far as they are constants. */
static bool opens_at_once(const struct asys_chain *c, const struct step *step)
{
	struct asys_call call = { .nr = step->nr };

	for (uint32_t k = 0; k < step->nargs && k < 6; k++) {
		const struct value *value = &c->values.at[step->first_arg + k];

		if (value->base == BASE_NONE && !value->memory)
			call.arg[k] = value->add;
	}
	return !open_may_hang(&call);
}

/* A descriptor may be told to wait after all. */
static bool may_change_descriptors(const struct asys_chain *c)
{
	for (uint32_t k = 0; k < c->steps.count; k++) {
		const struct step *step = &c->steps.at[k];

		if (step->kind == STEP_CALL && (step->nr == SYS_fcntl || step->nr == SYS_ioctl))
			return true;
	}
	return false;
}

static void note_call(struct asys_chain *c, struct step *step, bool changes)
{
	const struct asys_syscall_info *info = asys_syscall_info(step->nr);
	const struct step *opening = step;

	if (is_file_transfer(c, step)) {
		step->flags |= STEP_FILE;
		opening = &c->steps.at[c->values.at[step->first_arg].index];
	}
	if (nr_opens(opening->nr)) {
		if ((opening == step || !changes) && opens_at_once(c, opening))
			step->flags |= STEP_AT_ONCE;
		else
			c->may_hang = true;
	}
	if (c->may_hang || !info || info->block == ASYS_BLOCK_FOREVER)
		c->may_block = true;
}

int chain_compile(struct asys_chain *c)
{
	uint32_t count = c->steps.count, at = 0;
	uint32_t *places = calloc(count + 1, sizeof(*places));
	bool changes;

	c->reports = 0;
	c->initial = calloc(count + 1, sizeof(*c->initial));
	c->nexts.at = calloc(c->whens.count + 1, sizeof(*c->nexts.at));
	if (!places || !c->initial || !c->nexts.at) {
		free(places);
		return chain_fail(c, -ENOMEM, count, "no memory for a chain of %u steps", count);
	}
	each_edge(c, NULL);
	for (uint32_t k = 0; k < count; k++) {
		c->steps.at[k].first_next = places[k] = at;
		at += c->steps.at[k].nnext;
	}
	c->nexts.count = at;
	each_edge(c, places);
	free(places);
	changes = may_change_descriptors(c);
	for (uint32_t k = 0; k < count; k++) {
		c->reports += (c->steps.at[k].flags & STEP_REPORT) != 0;
		if (c->steps.at[k].kind == STEP_CALL)
			note_call(c, &c->steps.at[k], changes);
	}
	link_ready(c);
	return 0;
}
