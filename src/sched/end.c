/* SPDX-License-Identifier: MIT */
/* The one place where a call ends. */
#include "engine/transfer.h"
#include "sched/sched.h"

/* Failure injection may hold an ended call back: it stays HANDED to nobody until its timer fires. */
static bool hold_back(struct asys_queue *q, uint32_t i, int64_t result)
{
	struct slot *slot = slot_at(q, i);
	uint64_t ns;

	if (slot->held || q->closing)
		return false;
	slot->held = 1;
	ns = fault_delay(q->host.fault);
	if (!ns)
		return false;
	if (slot->timer)
		timer_remove(q, i);
	slot->deadline = clock_now() + ns;
	slot_to(slot, SLOT_HELD);
	slot->result = result;
	if (timer_add(q, i))
		return false;
	q->host.stats.faults++;
	return true;
}

static void release_dependents(struct asys_queue *q, uint32_t i, int64_t result)
{
	uint32_t next;

	while ((next = edges_meet(&q->edges, &q->host.pool, i, result)) != NIL) {
		q->nwaiting--;
		make_ready(q, next);
	}
}

void end(struct asys_queue *q, uint32_t i, int64_t result)
{
	struct slot *slot = slot_at(q, i);
	bool failed;

	if (unlikely(slot->given))
		result = transfer_came_back(slot, result);
	if (unlikely(q->host.fault) && hold_back(q, i, result))
		return;
	if (unlikely(slot->chain) && chain_takes(q, i, result))
		return;
	if (unlikely(slot->timed_out) && result == -ECANCELED)
		result = -ETIME;
	failed = is_error(result);
	if (unlikely(failed)) {
		if (!q->first_error)
			q->first_error = (int)result;
		if ((result == -ECANCELED || result == -ETIME) && slot_cancelled(slot))
			q->host.stats.cancelled++;
	}
	if (unlikely(slot->timer))
		timer_remove(q, i);
	slot->result = result;
	slot_to(slot, SLOT_ENDED);
	q->inflight--;
	q->blocked = false;
	q->host.stats.by_engine[slot->engine]++;
	q->news = true;
	if (unlikely(slot->edges))
		release_dependents(q, i, result);
	if (unlikely(slot->call.flags & ASYS_CALL_QUIET) && !failed) {
		slot_freed(q, i);
		return;
	}
	list_push(&q->ended, q->host.pool.slots, i);
	q->nended++;
}
