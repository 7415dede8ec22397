/* SPDX-License-Identifier: MIT */
/*
 * Some quick calls cost less in the ring than as a trap each, because the kernel runs them at once in
 * the thread that submits them (route.c says which, and why). Where several of them are on the
 * client's list, the client submits them together and takes their results at once. Threads go on to
 * take their share by traps.
 *
 * What the kernel does not run at once, such as a name that is not in its cache, goes to a thread of
 * its own: dearer than a trap. Such calls end like all others of the ring (drive.c reaps them), and
 * batches rest for a while, each time twice as long.
 *
 * One call in COST_EVERY is still run by itself: what calls cost is known in traps (share.h).
 */
#include "sched/sched.h"

#define BATCH_LEAST 4u	/* entering the ring costs about what two or three calls save */
#define BATCH_MOST 16u	/* more save nothing, and would keep the client and the threads waiting */
#define RING_WORTH 256u /* calls that could have used a ring pay for making one */
#define REST_LEAST 16u	/* calls */
#define REST_MOST 16384u

/* The calls that a waiter would run in any case before it looks up; more would make it late. */
static uint32_t most_for(const struct asys_queue *q, const struct goal *goal)
{
	uint32_t n = q->nlist[LIST_QUICK] + 1;

	if (goal->slot != NIL)
		return 1;
	if (goal->ended != UINT32_MAX && goal->ended - q->nended < n)
		n = goal->ended - q->nended;
	if (goal->most > q->nended && goal->most - q->nended > n)
		n = goal->most - q->nended;
	if (n > q->nlist[LIST_QUICK] + 1)
		n = q->nlist[LIST_QUICK] + 1;
	return n < BATCH_MOST ? n : BATCH_MOST;
}

static bool is_ready(struct asys_queue *q, uint32_t n)
{
	if (n < BATCH_LEAST || q->closing || !context_check(q) || q->host.uring_off)
		return false;
	if (q->batch.rest) {
		q->batch.rest--;
		return false;
	}
	if (unlikely(!q->host.uring) && ++q->batch.missed < RING_WORTH)
		return false;
	/* It is time to measure: see measure_begin. */
	if (q->tick % COST_EVERY + n >= COST_EVERY) {
		q->tick |= COST_EVERY - 1;
		return false;
	}
	return true;
}

static bool fits(struct asys_queue *q, uint32_t i)
{
	const struct asys_call *call = &slot_at(q, i)->call;

	return route_call(q, call) == ROUTE_BATCH && q->host.costs.ns[call->nr] &&
	       cheap_in_ring(call) && !slot_late(slot_at(q, i));
}

/* Takes those that follow `i`, which was just taken, from the list. Returns how many with it; 0 if
 * they are too few, and none is taken. */
static uint32_t take_more(struct asys_queue *q, uint32_t i, uint32_t most, uint32_t *ret_slots)
{
	struct slot_list *list = &q->lists[LIST_QUICK][call_priority(&slot_at(q, i)->call)];
	uint32_t n = 0;

	for (; i != NIL && n < most && fits(q, i); i = n > 1 ? slot_at(q, i)->next : list->head)
		ret_slots[n++] = i;
	if (n < BATCH_LEAST)
		return 0;
	for (uint32_t k = 1; k < n; k++)
		list_pop(list, q->host.pool.slots);
	q->nlist[LIST_QUICK] -= n - 1;
	return n;
}

static void judge(struct asys_queue *q, bool went_well)
{
	if (likely(went_well)) {
		q->batch.pause /= 2;
		return;
	}
	q->batch.pause = q->batch.pause ? 2 * q->batch.pause : REST_LEAST;
	if (q->batch.pause > REST_MOST)
		q->batch.pause = REST_MOST;
	q->batch.rest = q->batch.pause;
}

static void run_all(struct asys_queue *q, const uint32_t *slots, uint32_t n)
{
	uint32_t handed = 0, left = 0;

	for (uint32_t k = 0; k < n; k++) {
		if (unlikely(hand_to(q, ASYS_ENGINE_URING, slots[k]))) {
			run_here(q, slots[k]);
			continue;
		}
		handed++;
		q->host.done_ns += cost_of(&q->host.costs, slot_at(q, slots[k])->call.nr);
	}
	q->tick += handed;
	if (handed)
		engines[ASYS_ENGINE_URING]->reap(&q->host);
	for (uint32_t k = 0; k < n; k++)
		left += slot_at(q, slots[k])->state == SLOT_HANDED;
	judge(q, handed == n && !left);
}

bool batch_with(struct asys_queue *q, uint32_t i, const struct goal *goal)
{
	uint32_t slots[BATCH_MOST], n = most_for(q, goal);

	if (overtakes(q, call_priority(&slot_at(q, i)->call)) || !is_ready(q, n) ||
	    !has_time(goal, BATCH_MOST))
		return false;
	n = take_more(q, i, n, slots);
	if (n)
		run_all(q, slots, n);
	return n;
}

bool batch_these(struct asys_queue *q, const uint32_t *slots, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++)
		if (!fits(q, slots[k]))
			return false;
	if (n > BATCH_MOST || !is_ready(q, n))
		return false;
	run_all(q, slots, n);
	return true;
}

bool batch_may_wait(struct asys_queue *q, const struct asys_call *call)
{
	return !queue_shared(q) && q->host.engine == ASYS_ENGINE_AUTO && !q->host.fault &&
	       route_call(q, call) == ROUTE_BATCH && q->host.costs.ns[call->nr] &&
	       cheap_in_ring(call) && is_ready(q, q->nlist[LIST_QUICK] + 1);
}
