/* SPDX-License-Identifier: MIT */
/*
 * Sendings of chains, on the client's side.
 *
 * A sending has one slot of its own. While no step is with an engine the slot stands for the sending
 * as a whole (call number CALL_CHAIN): it lies on the list of quick calls, or is run here, or is with a
 * system call thread, which goes from step to step as far as it can. A step that must not run in a
 * waiter goes to an engine in the slot itself; further ones meanwhile in slots of their own as long as
 * there are any, so that a full queue only makes a sending less parallel.
 *
 *   LIST_QUICK, or threads   stands for the sending, nothing is out
 *   own_step != NIL          runs that step
 *   RUNNING                  steps are out in other slots; or it is run here, outside the lock
 *
 * When a step ends, chain_takes notes its result and puts the sending where it will be gone on with:
 * never from inside an engine, so that nothing recurses.
 */
#include "chain/run.h"
#include "sched/sched.h"
#include <stdlib.h>

#define YIELD_AFTER 32u /* calls */

uint64_t *slot_user(struct slot *slot)
{
	return slot->chain ? &instance_of(slot)->user : &slot->call.user;
}

bool slot_asked_to_end(const struct slot *slot)
{
	return slot->chain ? chain_cancelled(instance_of(slot)) : slot_cancelled(slot);
}

enum lane chain_lane(const struct asys_queue *q, const struct slot *slot)
{
	/* Where no waiter helps, nobody would take back what lies behind a call that hangs. */
	return !may_help(q) && instance_of(slot)->chain->may_block ? LANE_SLOW : LANE_HANGING;
}

uint64_t chain_work_ns(const struct asys_queue *q, const struct slot *slot)
{
	const struct asys_chain *c;
	uint64_t ns = 0;

	if (slot->call.nr != CALL_CHAIN)
		return cost_of(&q->host.costs, slot->call.nr);
	c = instance_of(slot)->chain;
	for (uint32_t k = 0; k < c->steps.count && k < YIELD_AFTER; k++)
		if (c->steps.at[k].kind == STEP_CALL)
			ns += cost_of(&q->host.costs, c->steps.at[k].nr);
	return ns + 1;
}

/* Sending */

static int check_sending(const struct asys_chain *c, const struct asys_arg_ params[6])
{
	if (!c)
		return fail(-EINVAL,
			    "asys_chain_send: NULL is no chain: was asys_chain_open's result "
			    "looked at?");
	if (!c->ready && c->error)
		return fail(-EINVAL, "asys_chain_send: the chain cannot be sent: %s", c->message);
	if (!c->ready)
		return fail(-EINVAL,
			    "asys_chain_send: the chain is not ready: call asys_chain_ready first");
	if (args_given(params) < c->params)
		return fail(-EINVAL,
			    "asys_chain_send: the chain has %u parameters, %u are given: give all "
			    "that it names with asys_param",
			    c->params, args_given(params));
	return 0;
}

static int make_instance(struct asys_chain *c, struct instance **ret_inst)
{
	struct instance *inst;
	int err;

	inst = malloc(instance_size(c));
	if (!inst)
		return fail(-ENOMEM, "no memory for a sending of %u steps (%zu bytes)",
			    c->steps.count, instance_size(c));
	err = instance_init(inst, c);
	if (err)
		free(inst);
	else
		*ret_inst = inst;
	return err;
}

/* It has begun, or is over: its reports find room as others do. */
static void release_reports(struct asys_queue *q, struct instance *inst)
{
	if (unlikely(inst->reserved))
		backlog_release(&q->backlog, inst->chain->reports);
	inst->reserved = false;
}

static void free_instance(struct asys_queue *q, struct instance *inst)
{
	release_reports(q, inst);
	instance_done(inst);
	free(inst);
}

/* What it waits for may never come, or not as it should: then it ends without a step, with all its reports, and at that
 * time nobody could be told that there is no memory for them. */
static int reserve_reports(struct asys_queue *q, struct instance *inst,
			   const struct asys_arg_ params[6])
{
	bool may_fail = q->nnext != 0; /* asys_after and its kind */

	for (unsigned k = 0; k < 6; k++)
		may_fail |= arg_is_id(params[k]);
	if (likely(!inst->chain->reports || !may_fail))
		return 0;
	inst->reserved = backlog_reserve(&q->backlog, inst->chain->reports);
	return inst->reserved ? 0 :
				fail(-ENOMEM, "no memory for the %u reports of a sending",
				     inst->chain->reports);
}

static void fill_slot(struct asys_queue *q, uint32_t i, struct instance *inst,
		      const struct asys_arg_ params[6])
{
	struct slot *slot = slot_at(q, i);

	slot->call.nr = CALL_CHAIN;
	slot->call.flags = 0;
	slot->call.user = ptr_word(inst);
	slot->chain = SLOT_SENDING;
	for (unsigned k = 0; k < 6; k++) {
		slot->call.arg[k] = params[k].word;
		if (arg_is_id(params[k]))
			slot->call.flags |= ASYS_CALL_REF(k);
	}
	inst->slot = i;
}

ASYS_API asys_id asys_chain_send_(struct asys_queue *q, struct asys_chain *c,
				  const struct asys_arg_ params[6])
{
	struct instance *inst = NULL;
	asys_id id = { 0 };
	uint32_t i = NIL;
	int err = queue_enter(q);

	if (unlikely(err))
		return (asys_id){ fail_sending(err) };
	err = check_sending(c, params);
	if (!err)
		err = make_instance(c, &inst);
	if (!err)
		err = reserve_reports(q, inst, params);
	if (!err)
		i = slot_new(q, &err);
	if (i != NIL) {
		fill_slot(q, i, inst, params);
		id = slot_sent(q, i);
	} else {
		id = not_sent(q, err);
	}
	if (id.value < 0 && inst)
		free_instance(q, inst);
	queue_leave(q);
	return id;
}

/* Where a sending goes on */

/* When the client has looked at everything else. */
static void yield(struct asys_queue *q, struct instance *inst)
{
	if (inst->listed)
		return;
	inst->listed = true;
	inst->link = q->chains;
	q->chains = inst;
	q->news = true; /* whoever put it here may not stay to go on with it */
}

/* When there may be a slot for its next step: one has become free. Who came first is first. */
static void starve(struct asys_queue *q, struct instance *inst)
{
	inst->listed = true;
	inst->link = NULL;
	*q->starved_last = inst;
	q->starved_last = &inst->link;
}

/* Before the others: those find slots again and again, where these would find none. */
void chains_feed(struct asys_queue *q)
{
	*q->starved_last = q->chains;
	q->chains = q->starved;
	q->starved = NULL;
	q->starved_last = &q->starved;
	q->news = true;
}

/* Not now: when the client drives, or in a thread. */
static void go_on_later(struct asys_queue *q, struct instance *inst)
{
	uint32_t i = inst->slot;

	if (inst->listed)
		return;
	if (inst->out) {
		yield(q, inst);
		return;
	}
	q->news = true;
	slot_at(q, i)->doomed = 0; /* its last step may have been */
	list_add(q, i, may_help(q) ? LIST_QUICK : LIST_START);
}

/* The slot is the sending's event from now on. */
static void end_sending(struct asys_queue *q, struct instance *inst)
{
	struct slot *slot = slot_at(q, inst->slot);
	int64_t result = chain_result(inst);

	slot->call.user = inst->user;
	slot->call.flags = inst->flags | (chain_cancelled(inst) ? SLOT_CANCEL : 0);
	slot->call.nr = CALL_CHAIN;
	slot->chain = SLOT_NO_CHAIN;
	slot->timed_out = atomic_load_explicit(&inst->timed_out, memory_order_relaxed);
	slot->engine = ASYS_ENGINE_AUTO;
	slot->held = 1; /* failure injection had its chances with the steps */
	q->host.stats.by_engine
		[ASYS_ENGINE_AUTO]--; /* its calls were counted, and `end` counts it again */
	inst->ended = true;
	free_instance(q, inst);
	end(q, (uint32_t)(slot - q->host.pool.slots), result);
}

/* First time: parameters that were ids have become values. */
static void start_sending(struct asys_queue *q, struct instance *inst)
{
	const struct slot *slot = slot_at(q, inst->slot);

	release_reports(q, inst);
	instance_start(inst, &slot->call, slot->deadline);
}

/* Steps that the client's own thread must not, or cannot, make. */

/* A slot for one more step: the sending's own (unless `other`), or another; NIL: when one of its steps has ended. */
static uint32_t step_slot(struct asys_queue *q, struct instance *inst, uint32_t k, bool other)
{
	uint32_t i = inst->slot;
	const struct slot *own = slot_at(q, i);
	struct slot *slot;

	if (inst->own_step == NIL && !other) {
		inst->own_step = k;
		slot = slot_at(q, i);
		slot_clear(slot);
		slot->chain = SLOT_SENDING;
		slot->pending = 0;
		slot->aux = 0;
		slot->result = 0;
		return i;
	}
	i = slot_alloc(&q->host.pool);
	if (i == NIL)
		return NIL;
	slot = slot_at(q, i);
	slot->chain = SLOT_STEP;
	slot->pending = k;
	slot->owner = own->owner;
	q->nsteps++;
	return i;
}

/* False: no slot; the step is the next one when there is. */
static bool hand_out(struct asys_queue *q, struct instance *inst, uint32_t k,
		     const struct asys_call *call, bool own_thread)
{
	struct slot *slot;
	uint32_t i;

	if (chain_keep_call(inst, k, call)) {
		chain_done(inst, k, call, -ENOMEM);
		return true;
	}
	i = step_slot(q, inst, k, false);
	if (i == NIL) {
		chain_unget(inst, k);
		starve(q, inst);
		return false;
	}
	slot = slot_at(q, i);
	slot->call = *call;
	slot->call.flags = inst->flags & ~(uint32_t)ASYS_CALL_QUIET;
	slot->call.user = ptr_word(inst);
	inst->out++;
	if (own_thread) {
		slot->own_thread = 1;
		list_add(q, i, LIST_START);
	} else {
		make_ready(q, i);
	}
	return true;
}

/* Where the sending's own deadline needs its slot's place among the timers, and there is no other slot. */
static bool sleep_instead(struct asys_queue *q, struct instance *inst, uint32_t k, uint64_t ns)
{
	const struct asys_call call = { .nr = SYS_clock_nanosleep,
					.arg = { CLOCK_MONOTONIC, 0, ptr_word(&inst->sleep), 0 } };

	inst->sleep = clock_timespec(ns);
	return hand_out(q, inst, k, &call, false);
}

/* As failure injection holds an event back: the timer ends it. */
static bool start_timer(struct asys_queue *q, struct instance *inst, uint32_t k, uint64_t ns)
{
	bool taken = slot_at(q, inst->slot)->timer != 0;
	uint32_t i = step_slot(q, inst, k, taken);
	struct slot *slot;

	if (i == NIL && taken && inst->own_step == NIL)
		return sleep_instead(q, inst, k, ns);
	if (i == NIL) {
		chain_unget(inst, k);
		starve(q, inst);
		return false;
	}
	slot = slot_at(q, i);
	slot->call = (struct asys_call){ .nr = CALL_TIMER, .user = ptr_word(inst) };
	slot->deadline = clock_now() + ns;
	if (slot->deadline < ns)
		slot->deadline = UINT64_MAX - 1;
	slot_to(slot, SLOT_HELD);
	slot->held = 1;
	slot->result = 0;
	inst->out++;
	if (timer_add(q, i))
		end(q, i, -ENOMEM);
	return true;
}

static bool report(struct asys_queue *q, struct instance *inst, uint32_t k)
{
	const struct asys_event event = { { slot_at(q, inst->slot)->id },
					  inst->step[k].result,
					  inst->chain->steps.at[k].user };

	if (event_add(q, &event, false))
		return true;
	chain_unget_report(inst, k);
	return false;
}

/* Running here */

static int64_t call_here(struct asys_queue *q, struct instance *inst, const struct asys_call *call)
{
	struct stopwatch watch;
	int64_t result;
	bool timed;

	q->host.stats.by_engine[ASYS_ENGINE_INLINE]++;
	if (likely(!queue_shared(q)))
		return run_measured(q, call);
	timed = measure_begin(q, call->nr, &watch);
	/* Nobody else touches the sending as long as none of its steps is out. */
	if (!inst->out)
		queue_unlock(q);
	result = raw_syscall(call->nr, call->arg);
	if (!inst->out)
		queue_lock(q);
	if (unlikely(timed))
		measure_end(q, call->nr, &watch);
	return result;
}

static bool may_run_here(struct asys_queue *q, const struct asys_call *call, bool file)
{
	if (q->host.fault)
		return false;
	if (file && q->host.engine != ASYS_ENGINE_URING && q->host.engine != ASYS_ENGINE_READY)
		return !cost_is_high(&q->host.costs, call->nr);
	return route_is_quick(route_call(q, call));
}

/*
 * Sendings side by side: each leaves such a step in the ring and the next one begins; they are submitted
 * together when the client has no other. False: not done.
 */
static bool leave_in_ring(struct asys_queue *q, struct instance *inst, uint32_t k,
			  const struct asys_call *call)
{
	uint32_t i;

	if (inst->out || !batch_may_wait(q, call))
		return false;
	i = step_slot(q, inst, k, false);
	slot_at(q, i)->call = *call;
	slot_at(q, i)->call.flags = inst->flags & ~(uint32_t)ASYS_CALL_QUIET;
	slot_at(q, i)->call.user = ptr_word(inst);
	inst->out++;
	if (!hand_to(q, ASYS_ENGINE_URING, i)) {
		q->host.done_ns += cost_of(&q->host.costs, call->nr);
		return true;
	}
	inst->out--;
	inst->own_step = NIL;
	slot_to(slot_at(q, i), SLOT_RUNNING);
	slot_at(q, i)->call.nr = CALL_CHAIN;
	return false;
}

/* A system call thread would make it too: the sending as a whole may go there. */
static bool may_run_there(struct asys_queue *q, const struct asys_call *call, bool file)
{
	return may_run_here(q, call, file) || (!q->host.fault && route_call(q, call) == ROUTE_POOL);
}

/* One call. False: nothing more can be done now. */
static bool do_call(struct asys_queue *q, struct instance *inst, uint32_t k,
		    const struct asys_call *call, bool here)
{
	uint16_t flags = inst->chain->steps.at[k].flags;
	bool file = flags & STEP_FILE, at_once = flags & STEP_AT_ONCE, interrupted;
	int64_t result;

	/* Between two steps, too, the rights of who drives may have become old. */
	if (unlikely(!context_check(q))) {
		chain_unget(inst, k);
		go_on_later(q, inst);
		return false;
	}
	if (unlikely(k == inst->hung)) {
		inst->hung = NIL;
		return hand_out(q, inst, k, call, true);
	}
	if (!here && !inst->out && may_run_there(q, call, file)) {
		chain_unget(inst, k);
		go_on_later(q, inst);
		return false;
	}
	if (!here || !may_run_here(q, call, file))
		return hand_out(q, inst, k, call, false);
	if (leave_in_ring(q, inst, k, call))
		return true;
	if (!at_once && (file || may_hang(call))) {
		if (!rescue_call(q, call, &result, &interrupted))
			return hand_out(q, inst, k, call, true);
		q->host.stats.by_engine[ASYS_ENGINE_INLINE]++;
		if (unlikely(interrupted))
			chain_interrupted(inst, k, call, result);
	} else {
		result = call_here(q, inst, call);
	}
	chain_done(inst, k, call, result);
	return true;
}

static void go_on(struct asys_queue *q, struct instance *inst, bool here)
{
	struct asys_call call;
	uint32_t k = NIL;

	if (inst->own_step == NIL)
		slot_to(slot_at(q, inst->slot), SLOT_RUNNING);
	for (unsigned n = 0; n < YIELD_AFTER; n++) {
		switch (chain_next(inst, &k, &call)) {
		case CHAIN_ENDED:
			end_sending(q, inst);
			return;
		case CHAIN_WAITS:
			return;
		case CHAIN_GOES_ON:
		case CHAIN_YIELD:
			if (here)
				yield(q, inst);
			else
				go_on_later(q, inst);
			return;
		case CHAIN_REPORT:
			/* One a visit, where there are many already: who gets as many as he can keeps up. */
			if (!report(q, inst, k) || q->nended > q->host.limit) {
				yield(q, inst);
				return;
			}
			break;
		case CHAIN_TIMER:
			if (!start_timer(q, inst, k, call.arg[0]))
				return;
			break;
		case CHAIN_CALL:
			if (!do_call(q, inst, k, &call, here))
				return;
			break;
		}
	}
	yield(q, inst);
}

void chain_run(struct asys_queue *q, uint32_t i)
{
	struct instance *inst = instance_of(slot_at(q, i));

	if (!inst->started)
		start_sending(q, inst);
	go_on(q, inst, true); /* where no waiter may help, since no thread can be had */
}

void chains_run(struct asys_queue *q, bool here)
{
	struct instance *inst = q->chains;

	q->chains = NULL;
	while (inst) {
		struct instance *next = inst->link;

		inst->listed = false;
		go_on(q, inst, here);
		inst = next;
	}
}

/* Ends */

/* It will not begin: as if all its steps had been skipped. */
static void report_all(struct asys_queue *q, struct instance *inst)
{
	const struct asys_chain *c = inst->chain;

	for (uint32_t k = 0; k < c->steps.count; k++) {
		const struct asys_event event = { { slot_at(q, inst->slot)->id },
						  -ECANCELED,
						  c->steps.at[k].user };

		if (c->steps.at[k].flags & STEP_REPORT)
			event_add(q, &event, inst->reserved);
	}
	inst->reserved = false; /* it is used up */
}

/* A sending ends other than by its last step. Cancelled, it must be able to close what it opened; only
 * one whose parameters are not known yet, or never will be, ends without a step. */
static bool takes_sending(struct asys_queue *q, struct instance *inst, int64_t result)
{
	struct slot *slot = slot_at(q, inst->slot);

	if (!inst->started && (!chain_cancelled(inst) || slot->state == SLOT_WAITING)) {
		report_all(q, inst);
		slot->call.user = inst->user;
		slot->chain = SLOT_NO_CHAIN;
		free_instance(q, inst);
		return false;
	}
	if (!inst->started)
		start_sending(q, inst);
	if (result == -ECANCELED)
		chain_cancel(inst);
	go_on_later(q, inst);
	return true;
}

bool chain_takes(struct asys_queue *q, uint32_t i, int64_t result)
{
	struct slot *slot = slot_at(q, i);
	struct instance *inst = instance_of(slot);
	uint32_t k = inst->own_step;

	if (slot->chain == SLOT_SENDING && k == NIL)
		return takes_sending(q, inst, result);
	q->host.stats.by_engine[slot->engine]++;
	if (slot->chain == SLOT_STEP) {
		k = slot->pending;
		if (slot->timer)
			timer_remove(q, i);
		slot_release(&q->host.pool, i);
		q->nsteps--;
	} else {
		inst->own_step = NIL;
		if (slot->call.nr == CALL_TIMER && slot->timer)
			timer_remove(q, i);
		slot_to(slot, SLOT_RUNNING);
		slot->engine = ASYS_ENGINE_AUTO;
		slot->call.nr = CALL_CHAIN;
		slot->call.flags = inst->flags;
		slot->deadline = inst->deadline;
		/* Failure injection may have taken the timer. */
		if (inst->deadline && !slot->timer && !chain_cancelled(inst))
			timer_add(q, i);
	}
	inst->out--;
	chain_done(inst, k, NULL, result);
	go_on_later(q, inst);
	if (unlikely(q->starved))
		chains_feed(q);
	return true;
}

void chain_returned(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	struct instance *inst = instance_of(slot);

	q->host.done_ns += inst->calls_ns;
	q->host.stats.by_engine[ASYS_ENGINE_THREADS] += inst->calls;
	inst->calls_ns = inst->calls = 0;
	slot_to(slot, SLOT_RUNNING);
	slot->engine = ASYS_ENGINE_AUTO;
	slot->call.flags = inst->flags;
	q->news = true;
	if (inst->ended)
		end_sending(q, inst);
	else
		go_on(q, inst, false);
}

/* Its steps in other slots end now; what its own slot does ends in cancel_slot: true. Not what cleans up:
 * it is made in any case, and whole. */
bool chain_asked_to_end(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	struct instance *inst = instance_of(slot);
	bool own;

	if (chain_cancelled(inst))
		return false;
	chain_cancel(inst);
	if (slot->timed_out)
		atomic_store_explicit(&inst->timed_out, true, memory_order_relaxed);
	own = inst->own_step == NIL || !step_is_cleanup(inst, inst->own_step);
	if (inst->out <= (inst->own_step != NIL))
		return own;
	for (uint32_t j = 0; j < q->host.pool.fresh; j++) {
		const struct slot *other = slot_at(q, j);

		if (other->state != SLOT_FREE && other->chain == SLOT_STEP &&
		    instance_of(other) == inst && !step_is_cleanup(inst, other->pending))
			cancel_slot(q, j);
	}
	return own;
}
