/* SPDX-License-Identifier: MIT */
/*
 * Quick calls of a private queue, several in a row: first the traps, one right after the other, then the
 * book-keeping of all of them.
 *
 * A trap leaves caches and branch predictors to the kernel, and what runs right after it runs at a third of
 * its speed; so does the beginning of the next trap after much other code. Measured with a walk over a tree
 * on one core: 1.07 of the plain program's time with the book-keeping between the traps, 0.93 with bursts
 * of 16, 0.96 with bursts of 4, and nothing more from 32 on.
 *
 * Nothing else changes by that. A burst takes only calls that follow each other on the list; no more than
 * the waiter would run in any case before it looks up, or has room for and takes next to no time, or
 * until a call is to be timed, or a lower priority has its turn; and only calls that cannot hang, since
 * all of them end when the last one has.
 */
#include "sched/sched.h"

#define BURST_MOST 16u
#define CLOCK_EVERY 4u	/* calls a look at the clock, ... */
#define LONG_NS 40000u	/* ... which may show that they are not as quick as they were taken for */
#define BURST_SHARED 8u /* while a thread takes a part: it must not wait for the next one */
#define SHORT_BYTES 65536u /* what more take says nothing of the call's number */

/* `first` and those like it. */
static uint32_t most_for(const struct asys_queue *q, const struct goal *goal,
			 const struct asys_call *first, uint32_t most)
{
	uint32_t asked, room;

	if (overtakes(q, call_priority(first)))
		return 1;
	most = least(most, helpers.live(&q->host) ? BURST_SHARED : BURST_MOST);
	most = least(most, q->inflight - goal->inflight);
	if (goal->ended > q->nended) {
		asked = goal->ended - q->nended;
		room = welcome(q, goal, first, WELCOME_NS);
		most = least(most, asked > room ? asked : room);
	}
	/* The one that list_take would take elsewhere, and the one that measure_begin would time. */
	most = least(most, TURN_EVERY - q->takes % TURN_EVERY);
	return least(most, COST_EVERY - 1 - q->tick % COST_EVERY);
}

static inline bool is_plain(const struct asys_queue *q, const struct asys_call *call)
{
	return is_surely_quick(q, call) && !moves_more_than(call, SHORT_BYTES) &&
	       (q->host.route[call->nr] == ROUTE_QUICK || q->host.uring_off);
}

/* `first` was just taken. Takes those that follow it, but none with a deadline, which may pass before its turn;
 * returns how many there are with it. */
static uint32_t take(struct asys_queue *q, uint32_t first, uint32_t most, uint32_t *ret_slots)
{
	struct slot_list *list = &q->lists[LIST_QUICK][call_priority(&slot_at(q, first)->call)];
	uint32_t n = 1, i;

	ret_slots[0] = first;
	while (n < most && (i = list->head) != NIL && !slot_at(q, i)->deadline &&
	       is_plain(q, &slot_at(q, i)->call)) {
		list_pop(list, q->host.pool.slots);
		ret_slots[n++] = i;
	}
	q->nlist[LIST_QUICK] -= n - 1;
	q->takes += n - 1;
	return n;
}

/* Something more is to be done before the next call of a burst: a change of rights to be followed, or a look at
 * what has ended meanwhile, since these take their time. */
static inline bool is_over(struct asys_queue *q, const struct goal *goal, uint32_t ran,
			   uint64_t begin_ns)
{
	return !context_check(q) || late(goal) ||
	       ((ran == 1 || ran % CLOCK_EVERY == 0) && clock_now() - begin_ns > LONG_NS);
}

/* Returns how many were run. The first is in any case: its taker has looked. */
static uint32_t run(struct asys_queue *q, const struct goal *goal, const uint32_t *slots,
		    uint32_t n, int64_t *ret_results)
{
	uint64_t begin = clock_now();
	uint32_t k;

	for (k = 0; unlikely(q->rescue) && k < n; k++)
		if (rescue_may_hurt(q, &slot_at(q, slots[k])->call))
			rescue_off(q);
	for (k = 0; k < n && (!k || likely(!is_over(q, goal, k, begin))); k++) {
		const struct asys_call *call = &slot_at(q, slots[k])->call;

		ret_results[k] = raw_syscall(call->nr, call->arg);
		if (unlikely(ret_results[k] == -EINTR && q->rescue))
			ret_results[k] = rescue_rerun(q, call, ret_results[k]);
	}
	return k;
}

uint32_t burst_with(struct asys_queue *q, uint32_t i, const struct goal *goal, uint32_t most)
{
	int64_t results[BURST_MOST];
	uint32_t slots[BURST_MOST], n, ran;

	if (!q->nlist[LIST_QUICK] || goal->slot != NIL || queue_shared(q) || q->host.fault ||
	    !has_time(goal, BURST_MOST) || !is_plain(q, &slot_at(q, i)->call))
		return 0;
	most = most_for(q, goal, &slot_at(q, i)->call, most);
	if (most < 2)
		return 0;
	n = take(q, i, most, slots);
	ran = run(q, goal, slots, n, results);
	while (n > ran)
		unpop(q, slots[--n], LIST_QUICK);
	q->tick += ran;
	q->host.stats.helped += ran;
	for (uint32_t k = 0; k < ran; k++) {
		struct slot *slot = slot_at(q, slots[k]);

		q->host.done_ns += cost_of(&q->host.costs, slot->call.nr);
		slot->engine = ASYS_ENGINE_INLINE;
		end(q, slots[k], results[k]);
	}
	return ran;
}
