/* SPDX-License-Identifier: MIT */
/* Cancel, and deadlines: a binary heap of slots by time. */
#include "sched/sched.h"
#include <stdlib.h>

static const struct engine *engine_of_slot(const struct slot *slot)
{
	switch (slot->engine) {
	case ASYS_ENGINE_THREADS:
		return &engine_threads;
	case ASYS_ENGINE_READY:
		return &engine_ready;
	default:
		return &engine_uring;
	}
}

void cancel_slot(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);

	if (unlikely(slot->chain == SLOT_SENDING) && !chain_asked_to_end(q, i))
		return;
	switch ((enum slot_state)slot->state) {
	case SLOT_WAITING:
		q->nwaiting--;
		depend_forget(q, i);
		__atomic_fetch_or(&slot->call.flags, SLOT_CANCEL, __ATOMIC_RELAXED);
		end(q, i, -ECANCELED);
		break;
	case SLOT_READY:
		list_remove(&q->lists[slot->list][call_priority(&slot->call)], q->pool.slots, i);
		q->nlist[slot->list]--;
		__atomic_fetch_or(&slot->call.flags, SLOT_CANCEL, __ATOMIC_RELAXED);
		end(q, i, -ECANCELED);
		break;
	case SLOT_HANDED:
		/* From here on a thread may read the word: threads.c orders this with what it does. */
		__atomic_fetch_or(&slot->call.flags, SLOT_CANCEL, __ATOMIC_SEQ_CST);
		engine_of_slot(slot)->cancel(q, i);
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
	uint32_t i = slot_find(&q->pool, id.value);
	const struct slot *slot;

	if (i == NIL)
		return backlog_find(&q->backlog, id.value) ?
			       fail_ended(id) :
			       slot_find_fail(&q->pool, id.value, "asys_queue_cancel");
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
	for (uint32_t i = 0; i < q->pool.fresh && q->inflight; i++) {
		const struct slot *slot = slot_at(q, i);

		if (slot->state != SLOT_FREE && slot->chain != SLOT_STEP &&
		    !UNHEARD(cancel_locked(q, (asys_id){ slot->id })))
			n++;
	}
	queue_leave(q);
	return n;
}

static uint64_t when_at(const struct asys_queue *q, uint32_t k)
{
	return q->pool.slots[q->timers.slots[k]].deadline;
}

static void place(struct asys_queue *q, uint32_t k, uint32_t i)
{
	q->timers.slots[k] = i;
	slot_at(q, i)->timer = k + 1;
}

static void sift_up(struct asys_queue *q, uint32_t k)
{
	uint32_t i = q->timers.slots[k];

	while (k && slot_at(q, i)->deadline < when_at(q, (k - 1) / 2)) {
		place(q, k, q->timers.slots[(k - 1) / 2]);
		k = (k - 1) / 2;
	}
	place(q, k, i);
}

static void sift_down(struct asys_queue *q, uint32_t k)
{
	uint32_t i = q->timers.slots[k], child;

	while ((child = 2 * k + 1) < q->timers.count) {
		if (child + 1 < q->timers.count && when_at(q, child + 1) < when_at(q, child))
			child++;
		if (slot_at(q, i)->deadline <= when_at(q, child))
			break;
		place(q, k, q->timers.slots[child]);
		k = child;
	}
	place(q, k, i);
}

int timer_add(struct asys_queue *q, uint32_t i)
{
	struct timer_heap *h = &q->timers;

	if (h->count == h->room) {
		uint32_t room = h->room ? 2 * h->room : 64;
		uint32_t *slots = realloc(h->slots, room * sizeof(*slots));

		if (!slots)
			return fail(-ENOMEM, "no memory for %u deadlines", room);
		h->slots = slots;
		h->room = room;
	}
	h->slots[h->count++] = i;
	sift_up(q, h->count - 1);
	/* Who sleeps for all of a shared queue knows a later time only. */
	if (slot_at(q, i)->timer == 1 && queue_shared(q))
		poke_sleeper(q);
	return 0;
}

void timer_remove(struct asys_queue *q, uint32_t i)
{
	struct timer_heap *h = &q->timers;
	uint32_t k = slot_at(q, i)->timer - 1, last = h->slots[--h->count];

	slot_at(q, i)->timer = 0;
	if (last == i)
		return;
	place(q, k, last);
	sift_up(q, k);
	sift_down(q, slot_at(q, last)->timer - 1);
}

uint64_t timers_next(const struct asys_queue *q)
{
	return q->timers.count ? when_at(q, 0) : UINT64_MAX;
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

	while (q->timers.count && when_at(q, 0) <= now) {
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
