/* SPDX-License-Identifier: MIT */
/* Cancel, and deadlines. */
#include "sched/sched.h"

void cancel_slot(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);

	if (unlikely(slot->chain == SLOT_SENDING) && !chain_asked_to_end(q, i))
		return;
	switch ((enum slot_state)slot->state) {
	case SLOT_WAITING:
		q->nwaiting--;
		edges_forget(&q->edges, &q->host.pool, i);
		__atomic_fetch_or(&slot->call.flags, SLOT_CANCEL, __ATOMIC_RELAXED);
		end(q, i, -ECANCELED);
		break;
	case SLOT_READY:
		list_remove(&q->lists[slot->list][call_priority(&slot->call)], q->host.pool.slots,
			    i);
		q->nlist[slot->list]--;
		__atomic_fetch_or(&slot->call.flags, SLOT_CANCEL, __ATOMIC_RELAXED);
		end(q, i, -ECANCELED);
		break;
	case SLOT_HANDED:
		/* From here on a thread may read the word: threads.c orders this with what it does. */
		__atomic_fetch_or(&slot->call.flags, SLOT_CANCEL, __ATOMIC_SEQ_CST);
		engines[slot->engine]->cancel(&q->host, i);
		break;
	case SLOT_HELD:
		if (slot->timer)
			timer_remove(q, i);
		end(q, i, slot->call.nr == CALL_TIMER ? -ECANCELED : slot->result);
		break;
	case SLOT_RUNNING: /* in another thread that helps: it cannot last */
	case SLOT_FREE:
	case SLOT_ENDED:
		break;
	}
}

static int fail_ended(asys_id id)
{
	return fail(-EALREADY, "asys_queue_cancel: call 0x%llx has ended: get its event",
		    (unsigned long long)id.value);
}

static int cancel_locked(struct asys_queue *q, asys_id id)
{
	uint32_t i = slot_find(&q->host.pool, id.value);
	const struct slot *slot;

	if (i == NIL)
		return backlog_find(&q->backlog, id.value) ?
			       fail_ended(id) :
			       slot_find_fail(&q->host.pool, id.value, "asys_queue_cancel");
	slot = slot_at(q, i);
	if (slot->state == SLOT_ENDED || (slot->state == SLOT_HELD && !slot->chain))
		return fail_ended(id);
	if (slot_asked_to_end(slot))
		return fail(-EALREADY,
			    "asys_queue_cancel: call 0x%llx was cancelled before: wait for its "
			    "event",
			    (unsigned long long)id.value);
	cancel_slot(q, i);
	return 0;
}

ASYS_API int asys_queue_cancel(struct asys_queue *q, asys_id id)
{
	int err = queue_enter(q);

	if (err)
		return err;
	err = cancel_locked(q, id);
	queue_leave(q);
	return err;
}

ASYS_API int asys_queue_cancel_all(struct asys_queue *q)
{
	int n = queue_enter(q);

	if (n)
		return n;
	for (uint32_t i = 0; i < q->host.pool.fresh && q->inflight; i++) {
		const struct slot *slot = slot_at(q, i);

		if (slot->state != SLOT_FREE && slot->chain != SLOT_STEP &&
		    !UNHEARD(cancel_locked(q, (asys_id){ slot->id })))
			n++;
	}
	queue_leave(q);
	return n;
}

int timer_add(struct asys_queue *q, uint32_t i)
{
	int err = timer_heap_add(&q->timers, q->host.pool.slots, i);

	/* Who sleeps for all of a shared queue knows a later time only. */
	if (!err && slot_at(q, i)->timer == 1 && queue_shared(q))
		poke_sleeper(q);
	return err;
}

void timer_remove(struct asys_queue *q, uint32_t i)
{
	timer_heap_remove(&q->timers, q->host.pool.slots, i);
}

uint64_t timers_next(const struct asys_queue *q)
{
	return timer_heap_next(&q->timers, q->host.pool.slots);
}

static void time_out(struct asys_queue *q, uint32_t i)
{
	slot_at(q, i)->timed_out = 1;
	cancel_slot(q, i);
}

bool late_ends(struct asys_queue *q, uint32_t i, unsigned list)
{
	struct slot *slot = slot_at(q, i);

	if (!slot_late(slot))
		return false;
	timer_remove(q, i);
	if (slot_asked_to_end(slot))
		return false;
	unpop(q, i, list);
	time_out(q, i);
	return true;
}

void timers_run(struct asys_queue *q)
{
	uint64_t now = clock_now();

	while (timers_next(q) <= now) {
		uint32_t i = q->timers.slots[0];
		struct slot *slot = slot_at(q, i);

		timer_remove(q, i);
		if (slot->state == SLOT_HELD) {
			end(q, i, slot->result);
		} else if (!slot_asked_to_end(slot)) {
			time_out(q, i);
		}
	}
}
