/* SPDX-License-Identifier: MIT */
/*
 * Calls on their way to threads: one producer, many consumers, slot indices.
 *
 *        head (consumers, CAS)          tail (producer)
 *          v                             v
 *   ... [ - | - | 7 | 9 | dead | 4 | 12 |   |   ] ...        - : taken
 *
 * A consumer reserves [head, head+n) with one CAS, then takes each entry by exchanging it for EMPTY.
 * The exchange decides who owns a call: the producer may withdraw an entry (cancel) by exchanging it
 * for DEAD as long as no consumer took it. So an entry is free for the producer only when it reads
 * EMPTY, not merely when head has passed it.
 *
 *   producer: entry = index (release)  ->  tail + 1 (release)
 *   consumer: tail (acquire) pairs with it; exchange (acq_rel) orders the slot's line 0
 *   consumer: EMPTY by the exchange (release)  ->  producer's load of the entry (acquire)
 *
 * Invariant R1: an index is given to exactly one of: one consumer, or withdraw().
 * Weakness: one CAS word for all consumers. At the handful of threads a queue has, reserving several
 * entries at once keeps it off the profile.
 * tests/model/ring.pml is this protocol.
 */
#ifndef RING_WORK_RING_H
#define RING_WORK_RING_H

#include "base/base.h"

#define WORK_EMPTY 0u /* so that fresh pages are a valid ring */
#define WORK_DEAD 1u
#define WORK_BASE 2u /* entry = index + WORK_BASE */

struct work_ring {
	alignas(CACHE_PAIR) _Atomic uint32_t head;
	alignas(CACHE_PAIR) _Atomic uint32_t tail;
	_Atomic uint32_t *entries;
	uint32_t mask;
};

/* Producer. False: no room. *ret_position is for withdraw(). */
static inline bool work_push(struct work_ring *r, uint32_t index, uint32_t *ret_position)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	_Atomic uint32_t *entry = &r->entries[tail & r->mask];

	if (atomic_load_explicit(entry, memory_order_acquire) != WORK_EMPTY)
		return false;
	atomic_store_explicit(entry, index + WORK_BASE, memory_order_release);
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	*ret_position = tail;
	return true;
}

/* Producer: takes an entry back; false: a consumer was faster. */
static inline bool work_withdraw(struct work_ring *r, uint32_t position, uint32_t index)
{
	uint32_t expected = index + WORK_BASE;

	return atomic_compare_exchange_strong_explicit(&r->entries[position & r->mask], &expected,
						       WORK_DEAD, memory_order_acq_rel,
						       memory_order_acquire);
}

/* Entries not reserved yet; may be out of date when it returns. Who sees an entry gone also sees what its
 * consumer did before it took it. */
static inline uint32_t work_count(const struct work_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);

	return (int32_t)(tail - head) > 0 ? tail - head : 0;
}

/*
 * Consumer (also the producer's thread): takes up to `max` calls, fewer when there are few left for
 * `sharers` who take from here, so that all finish together. Returns how many are in ret_index;
 * *ret_any says whether anything was reserved at all (all of it may have been withdrawn).
 */
static inline unsigned work_take(struct work_ring *r, uint32_t *ret_index, unsigned max,
				 unsigned sharers, bool *ret_any)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t n;
	unsigned got = 0;

	do {
		uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
		int32_t count = (int32_t)(tail - head);

		if (count <= 0) {
			*ret_any = false;
			return 0;
		}
		n = (uint32_t)count / (2 * sharers);
		n = n < 1 ? 1 : n > max ? max : n;
	} while (!atomic_compare_exchange_weak_explicit(
		&r->head, &head, head + n, memory_order_acq_rel, memory_order_relaxed));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t entry = atomic_exchange_explicit(&r->entries[(head + i) & r->mask],
							  WORK_EMPTY, memory_order_acq_rel);

		if (entry >= WORK_BASE)
			ret_index[got++] = entry - WORK_BASE;
	}
	*ret_any = true;
	return got;
}

#endif
