/* SPDX-License-Identifier: MIT */
#include "chain/run.h"

#include <stdlib.h>
#include <string.h>

/* Steps that are no calls, in one go: an endless loop of them must not keep a waiter. */
#define YIELD_AFTER 4096u

static void push(struct instance *inst, struct step_list *list, uint32_t k)
{
	inst->step[k].next = NIL;
	if (list->head == NIL)
		list->head = k;
	else
		inst->step[list->tail].next = k;
	list->tail = k;
}

static void put_back(struct instance *inst, struct step_list *list, uint32_t k)
{
	inst->step[k].next = list->head;
	if (list->head == NIL)
		list->tail = k;
	list->head = k;
}

/* The list is not empty. */
static uint32_t pop(const struct instance *inst, struct step_list *list)
{
	uint32_t k = list->head;

	list->head = inst->step[k].next;
	return k;
}

void chain_unget(struct instance *inst, uint32_t k)
{
	put_back(inst, &inst->ready, k);
}

void chain_unget_report(struct instance *inst, uint32_t k)
{
	put_back(inst, &inst->reports, k);
}

int instance_init(struct instance *inst, struct asys_chain *c)
{
	memset(inst, 0, sizeof(*inst));
	inst->own_step = inst->hung = inst->reports.head = NIL;
	inst->left = c->steps.count;
	inst->ready.head = c->first_ready;
	inst->ready.tail = c->last_ready;
	memcpy(inst->step, c->initial, c->steps.count * sizeof(*c->initial));
	if (c->flags & ASYS_CHAIN_RECORD) {
		inst->record = calloc(c->steps.count + 1, sizeof(*inst->record));
		if (!inst->record)
			return fail(-ENOMEM, "no memory for the record of %u steps",
				    c->steps.count);
		inst->begin_ns = clock_now();
	}
	inst->chain = c;
	chain_hold(c);
	return 0;
}

void instance_start(struct instance *inst, const struct asys_call *call, uint64_t deadline)
{
	inst->deadline = deadline;
	memcpy(inst->params, call->arg, sizeof(inst->params));
	inst->flags = __atomic_load_n(&call->flags, __ATOMIC_RELAXED) &
		      (ASYS_CALL_HIGH | ASYS_CALL_LOW | ASYS_CALL_QUIET);
	inst->started = true;
}

void instance_done(struct instance *inst)
{
	struct asys_chain *c = inst->chain;

	while (inst->full) {
		struct full *full = inst->full;

		inst->full = full->link;
		free(full);
	}
	if (inst->record && inst->ended) {
		pthread_mutex_lock(&c->lock);
		free(c->record);
		c->record = inst->record;
		c->record_result = chain_result(inst);
		pthread_mutex_unlock(&c->lock);
	} else {
		free(inst->record);
	}
	chain_drop(c);
}

void chain_cancel(struct instance *inst)
{
	atomic_store_explicit(&inst->cancelled, 1, memory_order_relaxed);
}

int64_t chain_result(const struct instance *inst)
{
	uint32_t k = inst->chain->result;

	if (inst->cut)
		return -ECANCELED;
	if (inst->error || k == NIL)
		return inst->error;
	return inst->step[k].result;
}

/* Values and conditions */

static uint64_t value_now(const struct instance *inst, const struct value *value)
{
	uint64_t word = value->add;
	int64_t wide;
	int32_t narrow;

	if (value->base == BASE_STEP)
		word += (uint64_t)inst->step[value->index].result;
	else if (value->base == BASE_PARAM)
		word += inst->params[value->index];
	if (likely(value->memory == MEMORY_NONE))
		return word;
	if (value->memory == MEMORY_INT64) {
		memcpy(&wide, (const void *)(uintptr_t)word, sizeof(wide));
	} else {
		memcpy(&narrow, (const void *)(uintptr_t)word, sizeof(narrow));
		wide = narrow;
	}
	return (uint64_t)(wide + value->after);
}

static void words_now(const struct instance *inst, const struct step *step, uint64_t arg[6])
{
	unsigned a = 0;

	for (; a < step->nargs; a++)
		arg[a] = value_now(inst, &inst->chain->values.at[step->first_arg + a]);
	for (; a < 6; a++)
		arg[a] = 0;
}

static bool holds(int64_t result, unsigned condition)
{
	switch ((enum asys_condition)condition) {
	case ASYS_ALWAYS:
		return true;
	case ASYS_OK:
		return !is_error(result);
	case ASYS_ERROR:
		return is_error(result);
	case ASYS_ZERO:
		return result == 0;
	case ASYS_NONZERO:
		return result != 0;
	case ASYS_POSITIVE:
		return result > 0;
	case ASYS_NEGATIVE:
		return result < 0;
	}
	return false;
}

static bool when_holds(const struct instance *inst, uint32_t step, unsigned condition)
{
	const struct step_state *state = &inst->step[step];

	if (condition == ASYS_ALWAYS)
		return true;
	if (state->pending & STATE_SKIPPED)
		return false;
	return holds(state->result, condition & ~CONDITION_NOT) == !(condition & CONDITION_NOT);
}

static bool conditions_hold(const struct instance *inst, const struct step *step)
{
	for (uint32_t w = 0; w < step->nwhen; w++) {
		const struct when *when = &inst->chain->whens.at[step->first_when + w];

		if (!when_holds(inst, when->step, when->condition))
			return false;
	}
	return true;
}

/* The end of a step */

/* The first failure inside a block is kept as its END's result to be; it is that of every block around it
 * too, up to one that may fail. */
static void note_failure(struct instance *inst, uint32_t block, int64_t result)
{
	const struct asys_chain *c = inst->chain;

	while (block != NIL) {
		uint32_t end = c->steps.at[block].other;

		if (!inst->step[end].result)
			inst->step[end].result = result;
		if (c->steps.at[end].flags & STEP_MAY_FAIL)
			return;
		block = c->steps.at[block].block;
	}
	if (!inst->error)
		inst->error = (int)result;
}

static void count_down(struct instance *inst, const struct step *step)
{
	const uint32_t *next = &inst->chain->nexts.at[step->first_next];

	for (uint32_t n = 0; n < step->nnext; n++)
		if (!--inst->step[next[n]].pending)
			push(inst, &inst->ready, next[n]);
}

static void note_end(struct instance *inst, uint32_t k, int64_t result, bool skipped)
{
	struct step_record *record = &inst->record[k];

	record->end_ns = clock_now() - inst->begin_ns;
	record->result = result;
	record->skipped = skipped;
	record->times += !skipped;
}

static void store(const struct instance *inst, const struct step *step, int64_t result)
{
	const struct value *where = &inst->chain->values.at[step->first_arg + step->nargs];

	memcpy((void *)(uintptr_t)value_now(inst, where), &result, sizeof(result));
}

static void finish(struct instance *inst, uint32_t k, int64_t result, bool skipped)
{
	const struct step *step = &inst->chain->steps.at[k];
	struct step_state *state = &inst->step[k];

	state->result = result;
	state->pending = STATE_ENDED | (skipped ? STATE_SKIPPED : 0);
	inst->left--;
	if (unlikely(step->flags & (STEP_STORE | STEP_REPORT))) {
		if ((step->flags & STEP_STORE) && !skipped)
			store(inst, step, result);
		if (step->flags & STEP_REPORT)
			push(inst, &inst->reports, k);
	}
	if (unlikely(is_error(result)) && !skipped) {
		inst->cut |= result == -ECANCELED && chain_cancelled(inst);
		if (!(step->flags & STEP_MAY_FAIL))
			note_failure(inst, step->block, result);
	}
	if (unlikely(inst->record))
		note_end(inst, k, result, skipped);
	count_down(inst, step);
}

static void skip(struct instance *inst, uint32_t k)
{
	finish(inst, k, -ECANCELED, true);
}

/* Blocks */

static int64_t failure_of(const struct instance *inst, uint32_t block)
{
	return block == NIL ? inst->error : inst->step[inst->chain->steps.at[block].other].result;
}

static void begin(struct instance *inst, uint32_t k)
{
	const struct step *step = &inst->chain->steps.at[k];

	if (step->block_kind == BLOCK_FAILURE && !failure_of(inst, step->block)) {
		skip(inst, k);
		return;
	}
	inst->step[step->other].result = 0;
	/* A loop of no iteration: everything inside is skipped, the loop itself is not. */
	finish(inst, k, 0, step->block_kind == BLOCK_LOOP && !step->bound);
}

/* All of the body waits again, as at the start; the BEGIN counts iterations and lets it go. */
static void iterate(struct instance *inst, uint32_t first, uint32_t end)
{
	const struct asys_chain *c = inst->chain;

	for (uint32_t n = first + 1; n < end; n++)
		inst->step[n].pending = c->initial[n].pending;
	inst->step[end].pending = c->initial[end].pending;
	inst->left += end - first - 1;
	inst->step[first].result++;
	count_down(inst, &c->steps.at[first]);
}

static void end_of_loop(struct instance *inst, uint32_t k)
{
	const struct step *step = &inst->chain->steps.at[k];
	int64_t failure = inst->step[k].result, done = inst->step[step->other].result + 1;

	if (!step->bound)
		finish(inst, k, 0, false);
	else if (failure)
		finish(inst, k, failure, false);
	else if (chain_cancelled(inst) && !(step->flags & STEP_CLEANUP))
		finish(inst, k, -ECANCELED, false);
	else if (step->test_step != NIL && !when_holds(inst, step->test_step, step->test))
		finish(inst, k, done, false);
	else if (done >= step->bound)
		finish(inst, k, step->test_step == NIL ? done : -ELOOP, false);
	else
		iterate(inst, step->other, k);
}

static void end_of_block(struct instance *inst, uint32_t k)
{
	const struct step *step = &inst->chain->steps.at[k];
	const struct step_state *first = &inst->step[step->other];
	int64_t result = inst->step[k].result;

	if ((first->pending & STATE_SKIPPED) && first->result) {
		skip(inst, k);
	} else if (step->block_kind == BLOCK_LOOP) {
		end_of_loop(inst, k);
	} else {
		if (!result && step->result != NIL)
			result = inst->step[step->result].result;
		finish(inst, k, result, false);
	}
}

/* Transfers that are to be completed */

static struct full *full_of(const struct instance *inst, uint32_t k)
{
	const struct step_state *state = &inst->step[k];

	return state->pending & STATE_FULL ? (struct full *)(uintptr_t)state->result : NULL;
}

static void drop_full(struct instance *inst, uint32_t k)
{
	struct full *full = full_of(inst, k);

	if (!full)
		return;
	*full->back = full->link;
	if (full->link)
		full->link->back = full->back;
	inst->step[k].pending &= ~STATE_FULL;
	free(full);
}

static int keep_call(struct instance *inst, uint32_t k, const struct asys_call *call)
{
	struct full *full;

	if (full_of(inst, k))
		return 0;
	full = malloc(sizeof(*full));
	if (!full)
		return -ENOMEM;
	*full = (struct full){ .link = inst->full, .back = &inst->full, .call = *call };
	if (full->link)
		full->link->back = &full->link;
	inst->full = full;
	inst->step[k].pending |= STATE_FULL;
	inst->step[k].result = (int64_t)ptr_word(full);
	return 0;
}

int chain_keep_call(struct instance *inst, uint32_t k, const struct asys_call *call)
{
	return inst->chain->steps.at[k].flags & STEP_FULL ? keep_call(inst, k, call) : 0;
}

void chain_interrupted(struct instance *inst, uint32_t k, const struct asys_call *call,
		       int64_t result)
{
	struct asys_call rest;

	if (result > 0 && (call->nr == SYS_write || call->nr == SYS_writev) &&
	    full_rest(call, (uint64_t)result, &rest))
		keep_call(inst, k, call);
}

/* Part of it was transferred: true if the rest is to be. */
static bool goes_on(struct instance *inst, uint32_t k, const struct asys_call *call, int64_t result,
		    int64_t *ret_sum)
{
	const struct full *full = full_of(inst, k);
	struct asys_call rest;

	*ret_sum = result;
	if (is_error(result))
		return result == -EINTR && !chain_cancelled(inst) && !keep_call(inst, k, call);
	if (full) {
		*ret_sum += full->done;
		call = &full->call;
	}
	if (!result || !full_rest(call, (uint64_t)*ret_sum, &rest))
		return false;
	if (keep_call(inst, k, call)) {
		*ret_sum = -ENOMEM;
		return false;
	}
	return true;
}

void chain_done(struct instance *inst, uint32_t k, const struct asys_call *call, int64_t result)
{
	if (unlikely((inst->chain->steps.at[k].flags & STEP_FULL) || full_of(inst, k))) {
		bool on = goes_on(inst, k, call, result, &result);

		if (on) {
			if (!is_error(result))
				full_of(inst, k)->done = result;
			chain_unget(inst, k);
			return;
		}
		drop_full(inst, k);
	}
	finish(inst, k, result, false);
}

/* Steps */

/* The queue's timer ends a sending whose steps are out, and them; while none is, nobody may look at it for
 * long. */
static void check_deadline(struct instance *inst)
{
	if (!inst->out && !chain_cancelled(inst) && clock_now() >= inst->deadline) {
		atomic_store_explicit(&inst->timed_out, true, memory_order_relaxed);
		chain_cancel(inst);
	}
}

/* The step is to run. CHAIN_GOES_ON: that is done. */
static enum chain_want start(struct instance *inst, uint32_t k, struct asys_call *call)
{
	const struct step *step = &inst->chain->steps.at[k];
	const struct full *full;

	if (unlikely(inst->record))
		inst->record[k].begin_ns = clock_now() - inst->begin_ns;
	if (unlikely(inst->deadline))
		check_deadline(inst);
	if (step->kind < STEP_BEGIN && unlikely(chain_cancelled(inst)) &&
	    !(step->flags & STEP_CLEANUP)) {
		drop_full(inst, k);
		finish(inst, k, -ECANCELED, false);
		return CHAIN_GOES_ON;
	}
	switch ((enum step_kind)step->kind) {
	case STEP_CALL:
		full = full_of(inst, k);
		call->nr = step->nr;
		call->flags = 0;
		call->user = 0;
		if (!full)
			words_now(inst, step, call->arg);
		else
			full_rest(&full->call, (uint64_t)full->done, call);
		return CHAIN_CALL;
	case STEP_TIMER:
		words_now(inst, step, call->arg);
		return CHAIN_TIMER;
	case STEP_COMPUTE:
		words_now(inst, step, call->arg);
		finish(inst, k, step->function(call->arg), false);
		break;
	case STEP_BEGIN:
		begin(inst, k);
		break;
	case STEP_END:
		end_of_block(inst, k);
		break;
	}
	return CHAIN_GOES_ON;
}

static enum chain_want next(struct instance *inst, uint32_t *ret_step, struct asys_call *ret_call)
{
	uint32_t k;

	if (unlikely(inst->reports.head != NIL)) {
		*ret_step = pop(inst, &inst->reports);
		return CHAIN_REPORT;
	}
	if (inst->ready.head == NIL) {
		inst->ended = !inst->left;
		return inst->ended ? CHAIN_ENDED : CHAIN_WAITS;
	}
	k = pop(inst, &inst->ready);
	/* A transfer that goes on has passed its conditions. */
	if (!full_of(inst, k) && !conditions_hold(inst, &inst->chain->steps.at[k])) {
		skip(inst, k);
		return CHAIN_GOES_ON;
	}
	*ret_step = k;
	return start(inst, k, ret_call);
}

enum chain_want chain_next(struct instance *inst, uint32_t *ret_step, struct asys_call *ret_call)
{
	enum chain_want want = CHAIN_GOES_ON;

	for (unsigned n = 0; n < YIELD_AFTER && want == CHAIN_GOES_ON; n++)
		want = next(inst, ret_step, ret_call);
	return want == CHAIN_GOES_ON ? CHAIN_YIELD : want;
}
