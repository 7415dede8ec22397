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
 *      do not sleep                          d     rung = 1, wake
 *   4  sleep while rung == 0
 *   5  need = 0, rung = 0
 *
 * Either 3 sees what a published or c sees what 1 wrote (store buffering is excluded by the two
 * fences; with n > 1 step 3 must look for any end published before, not only for the next one to be
 * taken, since those are not counted): tests/model/sleep.pml shows that removing one loses a wake-up. An end that was seen in 3
 * may also be counted in c; that only wakes early.
 */
#ifndef RING_BELL_H
#define RING_BELL_H

#include "base/base.h"
#include <unistd.h>

struct bell {
	alignas(CACHE_PAIR) _Atomic int32_t need; /* > 0: the sleeper waits for so many ends */
	_Atomic uint32_t rung;			  /* futex word */
	_Atomic int event_fd; /* >= 0: the sleeper sleeps on this eventfd instead of `rung` */
};

static inline void bell_init(struct bell *bell)
{
	atomic_init(&bell->need, 0);
	atomic_init(&bell->rung, 0);
	atomic_init(&bell->event_fd, -1);
}

/* Sleeper, steps 1 and 2. event_fd -1: it will sleep on the futex. */
static inline void bell_arm(struct bell *bell, int32_t need, int event_fd)
{
	atomic_store_explicit(&bell->event_fd, event_fd, memory_order_relaxed);
	atomic_store_explicit(&bell->rung, 0, memory_order_relaxed);
	atomic_store_explicit(&bell->need, need, memory_order_seq_cst);
	full_fence();
}

/* Sleeper, step 5; true if it was rung since arming. */
static inline bool bell_disarm(struct bell *bell)
{
	atomic_store_explicit(&bell->need, 0, memory_order_seq_cst);
	return atomic_load_explicit(&bell->rung, memory_order_acquire) != 0;
}

/* Ringer, step d. */
static inline void bell_wake(struct bell *bell)
{
	int fd = atomic_load_explicit(&bell->event_fd, memory_order_relaxed);

	atomic_store_explicit(&bell->rung, 1, memory_order_release);
	if (fd >= 0) {
		const uint64_t one = 1;

		raw_call(SYS_write, (uint64_t)(int64_t)fd, ptr_word(&one), sizeof(one), 0);
	} else {
		futex_wake(&bell->rung, 1);
	}
}

/* Ringer, steps b to d, after publishing `count` ends; true if it woke the sleeper. */
static inline bool bell_ring(struct bell *bell, int32_t count)
{
	int32_t need;

	full_fence();
	if (likely(atomic_load_explicit(&bell->need, memory_order_seq_cst) <= 0))
		return false;
	need = atomic_fetch_sub_explicit(&bell->need, count, memory_order_seq_cst);
	if (need <= 0 || need > count)
		return false;
	bell_wake(bell);
	return true;
}

/* Wakes the sleeper whatever it waits for. */
static inline bool bell_ring_now(struct bell *bell)
{
	full_fence();
	if (atomic_load_explicit(&bell->need, memory_order_seq_cst) <= 0)
		return false;
	if (atomic_exchange_explicit(&bell->need, 0, memory_order_seq_cst) <= 0)
		return false;
	bell_wake(bell);
	return true;
}

#endif
