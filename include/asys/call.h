/* SPDX-License-Identifier: MIT */
/*
 * Modifiers: what may stand around the next call. Each one changes the next call that this thread
 * sends to `queue` and returns `queue`, so that they nest: asys_close(asys_after(q, n), in).
 * They never fail by themselves: what was wrong with one is the result of the call that follows.
 * Threads: kept per thread, so senders of a shared queue do not see each other's.
 */
#ifndef ASYS_CALL_H
#define ASYS_CALL_H

#include <asys/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Not before `id` has ended, whatever its result. Any number of them may be combined. */
ASYS_API struct asys_queue *asys_after(struct asys_queue *queue, asys_id id);

/* Not before `id` has ended, and only if it succeeded (result >= 0); else ends with -ECANCELED. */
ASYS_API struct asys_queue *asys_after_ok(struct asys_queue *queue, asys_id id);

/* Not before `id` has ended, and only if it failed (result < 0); else ends with -ECANCELED. */
ASYS_API struct asys_queue *asys_after_error(struct asys_queue *queue, asys_id id);

/*
 * Ends the call with -ETIME if it has not ended at `when_ns` on CLOCK_MONOTONIC (see asys_now).
 * Held whenever the queue is driven: by who waits, sends or gets, or by its driver.
 */
ASYS_API struct asys_queue *asys_deadline(struct asys_queue *queue, uint64_t when_ns);

/* Before, or after, all calls of normal priority that wait to be started. */
ASYS_API struct asys_queue *asys_high(struct asys_queue *queue);
ASYS_API struct asys_queue *asys_low(struct asys_queue *queue);

/* No event unless the call fails. Its id is stale as soon as it has succeeded, so a call that depends on
 * it is sent before that can be: in a private queue before the next flush, get or wait, and before
 * sending into a full queue, which runs calls too. In a queue that is shared, or has a driver, it may
 * be before the next line of the program: let nothing depend on a quiet call there. */
ASYS_API struct asys_queue *asys_quiet(struct asys_queue *queue);

/* The word that the event hands back. */
ASYS_API struct asys_queue *asys_user(struct asys_queue *queue, uint64_t user);

/* CLOCK_MONOTONIC in nanoseconds. */
ASYS_API uint64_t asys_now(void);

/*
 * asys_send with the call in registers instead of memory, which is what the wrappers use: `head` is
 * the number, and the flags shifted left by 32; the user word is 0 unless asys_user said otherwise.
 */
ASYS_API asys_id asys_send_(struct asys_queue *queue, uint64_t head, uint64_t a0, uint64_t a1,
			    uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);

/* A step of a chain instead, see asys/chain.h: what the wrappers use where they are given a chain. */
ASYS_API asys_id asys_chain_add_(struct asys_chain *chain, uint64_t head, uint64_t a0, uint64_t a1,
				 uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);

ASYS_SAME_NAME_BEGIN_
/*
 * Any call by its number, also one newer than the table (then it is taken for one that any thread
 * may run and that may block for ever). Words as the kernel takes them.
 */
static inline asys_id asys_call(struct asys_queue *queue, uint32_t nr, uint64_t a0, uint64_t a1,
				uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	return asys_send_(queue, nr, a0, a1, a2, a3, a4, a5);
}
ASYS_SAME_NAME_END_

#ifdef __cplusplus
}
#endif
#endif
