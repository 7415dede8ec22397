/* SPDX-License-Identifier: MIT */
/* A sending as it was against what the interpreter says. */
#include "compare.h"

#include <errno.h>
#include <stdlib.h>

char why[256];
unsigned compare_cut_short, compare_cancelled;

static const struct exec *find_exec(const struct world *world, unsigned flat, unsigned occurrence)
{
	for (unsigned i = 0; i < world->execs; i++)
		if (world->exec[i].flat == flat && world->exec[i].occurrence == occurrence)
			return &world->exec[i];
	return NULL;
}

static bool same_runs(const struct world *world, const struct sending *sending,
		      const struct entry **of)
{
	for (unsigned i = 0; i < sending->entries; i++) {
		const struct entry *entry = &sending->entry[i];
		const struct exec *exec = find_exec(world, entry->flat, entry->occurrence);

		if (!exec)
			return wrong("flat %u ran once more, run %u", entry->flat,
				     entry->occurrence);
		for (unsigned k = 0; k < ARGS_MAX; k++)
			if (entry->arg[k] != exec->arg[k])
				return wrong("flat %u run %u: argument %u is %lld, not %lld",
					     entry->flat, entry->occurrence, k,
					     (long long)entry->arg[k], (long long)exec->arg[k]);
		of[exec - world->exec] = entry;
	}
	return true;
}

static bool right_order(const struct world *world, const struct entry **of)
{
	for (unsigned i = 0; i < world->execs; i++)
		for (unsigned k = 0; of[i] && k < world->execs; k++)
			if (of[k] && bits_has(&world->exec[i].before, k) &&
			    of[k]->end > of[i]->start)
				return wrong("flat %u run %u began before flat %u run %u ended",
					     world->exec[i].flat, world->exec[i].occurrence,
					     world->exec[k].flat, world->exec[k].occurrence);
	return true;
}

static int by_user(const void *a, const void *b)
{
	const struct told *x = a, *y = b;

	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	return (x->result > y->result) - (x->result < y->result);
}

static bool same_told(struct world *world, struct sending *sending)
{
	qsort(world->told, world->tolds, sizeof(struct told), by_user);
	qsort(sending->told, sending->tolds, sizeof(struct told), by_user);
	for (unsigned i = 0; i < world->tolds && i < sending->tolds; i++)
		if (by_user(&world->told[i], &sending->told[i]))
			return wrong(
				"report by chain %u s%u of %lld, expected by chain %u s%u of %lld",
				(unsigned)sending->told[i].user / NODES_MAX,
				(unsigned)sending->told[i].user % NODES_MAX,
				(long long)sending->told[i].result,
				(unsigned)world->told[i].user / NODES_MAX,
				(unsigned)world->told[i].user % NODES_MAX,
				(long long)world->told[i].result);
	if (world->tolds != sending->tolds)
		return wrong("%u reports, expected %u", sending->tolds, world->tolds);
	return true;
}

static bool same_result(const struct world *world, const struct sending *sending)
{
	int64_t expected = world->result;

	for (unsigned i = 0; i < world->firsts; i++)
		if (world->first[i] == sending->result)
			return true;
	if (world->firsts)
		expected = world->first[0];
	else if (world->result_skipped)
		expected = -ECANCELED;
	if (sending->result != expected)
		return wrong("result %lld, expected %lld%s", (long long)sending->result,
			     (long long)expected, world->firsts > 1 ? " or another" : "");
	return true;
}

/* The plain steps of a finally at the top run once, cancelled or not, if the sending has begun. */
static bool cleaned_up(const struct program *program, const struct sending *sending)
{
	if (!sending->entries)
		return true;
	for (unsigned n = 0; n < program->count; n++) {
		const struct node *node = &program->node[n];
		bool plain = node->kind == K_WORK && !node->dropped && !node->names;

		for (unsigned i = 0; i < node->args; i++)
			plain = plain && node->arg[i].source != S_STEP;
		if (!plain || node->parent < 0 || program->node[node->parent].parent >= 0 ||
		    program->node[node->parent].kind != K_FINALLY)
			continue;
		if (sending->runs[n] != 1)
			return wrong("s%u of a finally ran %u times", n, sending->runs[n]);
	}
	return true;
}

/*
 * After a cancel only what a cancel cannot change: what ran outside of cleanups did what it does
 * otherwise, and in the same order.
 */
static bool right_until_cancelled(const struct world *world, struct sending *sending,
				  const struct program *program)
{
	const struct entry *of[EXECS_MAX] = { NULL };
	unsigned kept = 0;

	for (unsigned i = 0; i < sending->entries; i++) {
		const unsigned flat = sending->entry[i].flat;

		if (flat < program->count && !in_cleanup(program, sending->node[flat]))
			sending->entry[kept++] = sending->entry[i];
	}
	sending->entries = kept;
	compare_cut_short++;
	return cleaned_up(program, sending) && same_runs(world, sending, of) &&
	       right_order(world, of);
}

bool compare(struct world *world, struct sending *sending, const struct program *program)
{
	const struct entry *of[EXECS_MAX] = { NULL };

	if (sending->late)
		return wrong("%u reports after the end", sending->late);
	if (sending->entries > EXECS_MAX)
		return wrong("%u runs", sending->entries);
	compare_cancelled += sending->cancel || sending->deadline;
	if ((sending->cancel && sending->result == -ECANCELED) ||
	    (sending->deadline && sending->result == -ETIME))
		return right_until_cancelled(world, sending, program);
	if (!same_runs(world, sending, of) || !right_order(world, of) ||
	    !same_told(world, sending) || !same_result(world, sending))
		return false;
	for (unsigned i = 0; i < world->execs; i++)
		if (world->exec[i].node->kind == K_WORK && !of[i])
			return wrong("flat %u did not run, run %u", world->exec[i].flat,
				     world->exec[i].occurrence);
	for (unsigned n = 0; n < FLAT_MAX; n++)
		if (world->stored[n] != sending->stored[n])
			return wrong("flat %u stored %lld, expected %lld", n,
				     (long long)sending->stored[n], (long long)world->stored[n]);
	return true;
}
