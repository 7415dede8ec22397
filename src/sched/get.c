/* SPDX-License-Identifier: MIT */
/* Events go out. */
#include "sched/sched.h"
#include <stdlib.h>
#include <string.h>

#define KEEP_AT_ONCE 64
#define INLINE_AT_ONCE 16
#define START_ROUNDS 4u
/* So many events are taken one by one without a look at what else there is to do. */
#define GETS_MOST 64u

static struct asys_event slot_event(const struct slot *slot)
{
	return (struct asys_event){ { slot->id }, slot->result, slot->call.user };
}

/* Sets the oldest event that has a slot aside; false: no memory. */
static bool keep_first(struct asys_queue *q)
{
	uint32_t i = q->ended.head;
	struct asys_event event = slot_event(slot_at(q, i));

	if (!backlog_add(&q->backlog, &event))
		return false;
	list_pop(&q->ended, q->host.pool.slots);
	slot_freed(q, i);
	return true;
}

bool events_keep(struct asys_queue *q)
{
	for (unsigned n = 0; n < KEEP_AT_ONCE && q->ended.head != NIL; n++) {
		if (!keep_first(q))
			return n != 0;
		q->host.stats.overflow++;
	}
	return true;
}

/* Behind all that has ended before, or one sending that reports again and again would keep the events of others
 * from being got: those kept aside are got first. */
bool event_add(struct asys_queue *q, const struct asys_event *report, bool reserved)
{
	while (q->ended.head != NIL && keep_first(q))
		;
	if (unlikely(reserved))
		backlog_release(&q->backlog, 1);
	if (!backlog_add_report(&q->backlog, report))
		return false;
	q->nended++;
	q->news = true;
	return true;
}

/* Those kept aside are the oldest. nended > 0. */
static void take(struct asys_queue *q, struct asys_event *ret_event)
{
	uint32_t i;

	q->nended--;
	if (unlikely(q->backlog.count)) {
		backlog_take_first(&q->backlog, ret_event);
		return;
	}
	i = list_pop(&q->ended, q->host.pool.slots);
	*ret_event = slot_event(slot_at(q, i));
	slot_freed(q, i);
}

/* Nobody waits: everything starts, threads get the quick calls. */
static void start_without_waiting(struct asys_queue *q)
{
	struct goal soon = { .ended = q->nended + INLINE_AT_ONCE, .slot = NIL, .when_ns = 1 };
	bool more = true;

	if (unlikely(!context_follow(q)))
		return;
	driver_needed(q);
	/* What ends may let others start: again, as long as there is no event to go with. */
	for (unsigned n = 0; n < START_ROUNDS && more; n++) {
		advance(q, false);
		if (q->nlist[LIST_QUICK])
			share_all(q);
		if (engines_busy(&q->host))
			engines_flush(&q->host);
		if (q->inflight != q->nwaiting)
			reap(q);
		more = !q->nended &&
		       (q->chains || q->nlist[LIST_START] ||
			(q->nlist[LIST_QUICK] && q->host.engine != ASYS_ENGINE_INLINE));
	}
	if (q->host.threads)
		helpers.start_more(&q->host);
	/* Engine inline has no other thread for them; else none could be had, or none has room. */
	if (unlikely(q->nlist[LIST_QUICK] || helpers.stuck(&q->host)))
		drive(q, &soon);
}

ASYS_API int asys_queue_flush(struct asys_queue *q)
{
	int err = queue_enter_waiting(q, "asys_queue_flush");

	if (err)
		return err;
	context_follow(q);
	driver_needed(q);
	advance(q, false);
	share_all(q);
	engines_flush(&q->host);
	if (unlikely(q->nlist[LIST_START]))
		start_all(q); /* what the ring gave back */
	queue_leave(q);
	return 0;
}

ASYS_API int asys_queue_get(struct asys_queue *q, struct asys_event *ret_event)
{
	int got = queue_enter_waiting(q, "asys_queue_get");

	if (unlikely(got))
		return got;
	if (unlikely(q->paused))
		context_follow(q); /* X3: else the descriptor would poll for ever */
	/* A loop that takes one event in each turn may always find one: what is ready gets its turn all the same. */
	if (q->inflight && (!q->nended || ++q->gets == GETS_MOST)) {
		q->gets = 0;
		start_without_waiting(q);
	}
	if (q->nended) {
		take(q, ret_event);
		got = 1;
	}
	queue_leave(q);
	return got;
}

static uint64_t when_from(uint64_t timeout_ns)
{
	uint64_t now;

	if (timeout_ns == ASYS_FOREVER)
		return UINT64_MAX;
	now = clock_now();
	return timeout_ns < UINT64_MAX - 1 - now ? now + timeout_ns : UINT64_MAX - 1;
}

ASYS_API int asys_queue_get_many(struct asys_queue *q, struct asys_event *ret_events, unsigned max,
				 unsigned min, uint64_t timeout_ns)
{
	struct goal goal = { .ended = min < max ? min : max, .most = max, .slot = NIL };
	int err = queue_enter_waiting(q, "asys_queue_get_many");
	unsigned n = 0;

	if (unlikely(err))
		return err;
	if (max > INT32_MAX)
		max = INT32_MAX;
	if (unlikely(q->paused))
		context_follow(q); /* X3, as above */
	if (q->nended < goal.ended && timeout_ns) {
		goal.when_ns = when_from(timeout_ns);
		err = drive(q, &goal);
	} else if (q->nended < max && q->inflight) {
		start_without_waiting(q);
	} else if (q->inflight != q->nwaiting && context_follow(q)) {
		serve(q, &goal);
	}
	while (n < max && q->nended)
		take(q, &ret_events[n++]);
	queue_leave(q);
	return n || err != -EINTR ? (int)n : fail_interrupted("asys_queue_get_many");
}

/* The event of one call, which is kept aside; false: it is not. */
static bool take_kept(struct asys_queue *q, int64_t id, struct asys_event *ret_event)
{
	if (!backlog_take(&q->backlog, id, ret_event))
		return false;
	q->nended--;
	return true;
}

/* One call in so many that are waited for alone gives all others their turn. */
#define OVERTAKEN_MOST 8u

/*
 * The call that is waited for, if it is on the client's own list, before the others; and where
 * nothing else hangs on its end, without going through the list of ended calls. So one call sent
 * and waited for costs little more than its trap.
 */
static bool run_first(struct asys_queue *q, uint32_t i, struct asys_event *ret_event)
{
	struct slot *slot = slot_at(q, i);

	if (slot->state != SLOT_READY || !context_check(q) || slot->list != LIST_QUICK ||
	    slot_late(slot) || slot->chain || q->nlist[LIST_START] || q->nlist[LIST_HOME] ||
	    q->chains ||
	    ((q->inflight > 1 || q->timers.count || queue_shared(q)) && may_hang(&slot->call)) ||
	    (q->inflight > 1 && ++q->overtaken % OVERTAKEN_MOST == 0))
		return false;
	list_remove(&q->lists[LIST_QUICK][call_priority(&slot->call)], q->host.pool.slots, i);
	q->nlist[LIST_QUICK]--;
	if (unlikely(q->host.fault || slot->edges || slot->timer ||
		     (slot->call.flags & ASYS_CALL_QUIET) || queue_shared(q))) {
		run_here(q, i);
		return false;
	}
	ret_event->result = run_measured(q, &slot->call);
	if (unlikely(is_error(ret_event->result)) && !q->first_error)
		q->first_error = (int)ret_event->result;
	q->inflight--;
	q->host.stats.by_engine[ASYS_ENGINE_INLINE]++;
	ret_event->id.value = slot->id;
	ret_event->user = slot->call.user;
	slot_freed(q, i);
	return true;
}

static int wait_long(struct asys_queue *q, uint32_t i, asys_id id, struct asys_event *ret_event)
{
	struct goal goal = {
		.ended = UINT32_MAX, .slot = i, .id = id.value, .when_ns = UINT64_MAX
	};
	struct slot *slot = slot_at(q, i);
	int err;

	if (slot_over(slot, id.value) && ++q->overtaken % OVERTAKEN_MOST == 0 && context_check(q))
		serve(q, &goal);
	while (!slot_over(slot, id.value)) {
		err = drive(q, &goal);
		if (err == -EINTR)
			return fail_interrupted("asys_queue_wait");
		if (err)
			return slot_find_fail(&q->host.pool, id.value, "asys_queue_wait");
	}
	if (slot->id != id.value || slot->state == SLOT_FREE)
		return take_kept(q, id.value, ret_event) ?
			       0 :
			       slot_find_fail(&q->host.pool, id.value, "asys_queue_wait");
	list_remove(&q->ended, q->host.pool.slots, i);
	q->nended--;
	*ret_event = slot_event(slot);
	slot_freed(q, i);
	return 0;
}

ASYS_API int asys_queue_wait(struct asys_queue *q, asys_id id, struct asys_event *ret_event)
{
	struct asys_event event;
	int err = queue_enter_waiting(q, "asys_queue_wait");
	uint32_t i;

	if (unlikely(err))
		return err;
	if (!ret_event)
		ret_event = &event;
	i = slot_find(&q->host.pool, id.value);
	if (unlikely(i == NIL)) {
		if (slot_find_error(&q->host.pool, id.value) != -ESTALE ||
		    !take_kept(q, id.value, ret_event))
			err = slot_find_fail(&q->host.pool, id.value, "asys_queue_wait");
	} else if (!run_first(q, i, ret_event)) {
		err = wait_long(q, i, id, ret_event);
	}
	queue_leave(q);
	return err;
}

ASYS_API int asys_queue_barrier(struct asys_queue *q)
{
	struct goal goal = { .ended = UINT32_MAX, .slot = NIL, .when_ns = UINT64_MAX };
	int err = queue_enter_waiting(q, "asys_queue_barrier");

	if (err)
		return err;
	if (q->inflight)
		err = drive(q, &goal);
	if (err == -EINTR) {
		fail_interrupted("asys_queue_barrier");
	} else {
		err = q->first_error;
		q->first_error = 0;
		if (err)
			fail(err,
			     "asys_queue_barrier: all calls have ended, the first that failed "
			     "since the last barrier did with %s: their events tell which",
			     strerror(-err));
	}
	queue_leave(q);
	return err;
}

ASYS_API uint64_t asys_queue_pending(struct asys_queue *q)
{
	uint64_t n;

	if (queue_enter(q))
		return 0;
	n = (uint64_t)q->inflight + q->nended;
	queue_leave(q);
	return n;
}
