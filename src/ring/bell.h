/* SPDX-License-Identifier: MIT */
/*
 * The bell: spin, then sleep, without a lost wake-up and without a wake-up per call.
 *
 * One sleeper, many ringers. The sleeper says how many ends it needs; ringers count them down and
 * only the one that reaches zero makes the system call.
 *
 *      sleeper                                  ringer
 *   1  need = n                              a  publish an end (release)
 *   2  full fence          <- pairs with ->  b  full fence
 *   3  look once more; found: need = 0,      c  need > 0 and need-- was 1:
 *      do not sleep                          d     wake: rung = 1, or a write to the eventfd
 *   4  sleep while not rung
 *   5  need = 0
 *
 * Either 3 sees what a published or c sees what 1 wrote (store buffering is excluded by the two
 * fences; with n > 1 step 3 must look for any end published before, not only for the next one to be
 * taken, since those are not counted): tests/model/sleep.pml shows that removing one loses a wake-up. An
 * end that was seen in 3 may also be counted in c; that only wakes early.
 *
 * The sleeper sleeps on a futex or, through epoll, on an eventfd. Each has a `need` of its own, of which
 * at most one is armed, so that a ringer knows by the word that it counted down how to wake.
 *
 * A late ring. Between c and d the ringer may lose its core for long, and meanwhile the sleeper, woken
 * by something else, has passed 5. On the futex that does no harm: the next 1 sets `rung` back. The
 * eventfd however is readable from d on, until it is read. So step 5 takes `need` by an exchange: where a
 * ringer had been faster, one write is owed, and `owed` counts these until they were read. No ringer
 * rings twice for one arming, so the count is exact.
 */
#ifndef RING_BELL_H
#define RING_BELL_H

#include "base/base.h"
#include <unistd.h>

enum bell_way { BELL_FUTEX, BELL_EVENT_FD, BELL_WAYS };

struct bell {
	alignas(CACHE_PAIR) _Atomic int32_t
		need[BELL_WAYS]; /* > 0: the sleeper waits for so many ends */
	_Atomic uint32_t rung;	 /* futex word */
	_Atomic int event_fd; /* set before BELL_EVENT_FD is first armed, then the same for ever */
	bool by_event_fd;     /* sleeper's own: what it armed last */
	uint64_t owed;	      /* sleeper's own: writes to event_fd that were not read yet */
};

static inline void bell_init(struct bell *bell)
{
	atomic_init(&bell->need[BELL_FUTEX], 0);
	atomic_init(&bell->need[BELL_EVENT_FD], 0);
	atomic_init(&bell->rung, 0);
	atomic_init(&bell->event_fd, -1);
	bell->by_event_fd = false;
	bell->owed = 0;
}

/* Sleeper, steps 1 and 2; need > 0. event_fd -1: it will sleep on the futex. */
static inline void bell_arm(struct bell *bell, int32_t need, int event_fd)
{
	bell->by_event_fd = event_fd >= 0;
	if (bell->by_event_fd)
		atomic_store_explicit(&bell->event_fd, event_fd, memory_order_relaxed);
	else
		atomic_store_explicit(&bell->rung, 0, memory_order_relaxed);
	atomic_store_explicit(&bell->need[bell->by_event_fd], need, memory_order_seq_cst);
	full_fence();
}

/* Sleeper, step 5; true: the eventfd has to be read, and bell_drained told. */
static inline bool bell_disarm(struct bell *bell)
{
	int32_t left =
		atomic_exchange_explicit(&bell->need[bell->by_event_fd], 0, memory_order_seq_cst);

	bell->owed += bell->by_event_fd && left <= 0;
	return bell->owed != 0;
}

/* Sleeper: a read of the eventfd gave `count`; 0: what is owed is still on its way. */
static inline void bell_drained(struct bell *bell, uint64_t count)
{
	bell->owed -= count < bell->owed ? count : bell->owed;
}

/* Ringer, step d. */
static inline void bell_wake(struct bell *bell, enum bell_way way)
{
	if (way == BELL_EVENT_FD) {
		int fd = atomic_load_explicit(&bell->event_fd, memory_order_relaxed);
		const uint64_t one = 1;

		raw_call(SYS_write, (uint64_t)(int64_t)fd, ptr_word(&one), sizeof(one), 0);
	} else {
		atomic_store_explicit(&bell->rung, 1, memory_order_release);
		futex_wake(&bell->rung, 1);
	}
}

/* Ringer, steps b to d, after publishing `count` ends; true if it woke the sleeper. */
static inline bool bell_ring(struct bell *bell, int32_t count)
{
	full_fence();
	for (unsigned way = 0; way < BELL_WAYS; way++) {
		int32_t need;

		if (likely(atomic_load_explicit(&bell->need[way], memory_order_seq_cst) <= 0))
			continue;
		need = atomic_fetch_sub_explicit(&bell->need[way], count, memory_order_seq_cst);
		if (need <= 0 || need > count)
			continue;
		bell_wake(bell, (enum bell_way)way);
		return true;
	}
	return false;
}

/* Wakes the sleeper whatever it waits for. */
static inline bool bell_ring_now(struct bell *bell)
{
	full_fence();
	for (unsigned way = 0; way < BELL_WAYS; way++) {
		if (atomic_load_explicit(&bell->need[way], memory_order_seq_cst) <= 0 ||
		    atomic_exchange_explicit(&bell->need[way], 0, memory_order_seq_cst) <= 0)
			continue;
		bell_wake(bell, (enum bell_way)way);
		return true;
	}
	return false;
}

#endif
