/* SPDX-License-Identifier: MIT */
/*
 * Results on their way back from threads: many producers, one consumer.
 *
 *   entry, 16 bytes:  [ lap : 32 | slot : 32 ][ result : 64 ]
 *
 * A producer reserves a position with fetch_add, writes the result, then the word with slot and lap
 * (release). The consumer knows which lap it expects at its position; that word, read with acquire,
 * is the only thing it looks at, so an empty ring costs it one cached load. The ring has as many
 * entries as the queue has slots and a slot has at most one result on its way, so a producer never
 * finds it full.
 *
 * The lap of position p is p / size + 1 (never 0 in the first 2^32 laps of 32-bit words: it wraps
 * together with p only after 2^64 results).
 * Results are packed four to a line instead of being written to their slots: so the consumer misses
 * a quarter of the lines, in order, where the prefetcher helps.
 */
#ifndef RING_RESULT_RING_H
#define RING_RESULT_RING_H

#include "base/base.h"

/* In the place of a slot's number: its call was not started, and there is no result. */
#define RESULT_GIVEN_BACK (1u << 31)

struct result_entry {
	_Atomic uint64_t word;
	int64_t result;
};

struct result_ring {
	alignas(CACHE_PAIR) _Atomic uint64_t tail;
	alignas(CACHE_PAIR) _Atomic uint64_t
		head; /* consumer's own; a spinner of a shared queue reads it */
	struct result_entry *entries;
	uint32_t mask;
	uint32_t shift; /* log2 of the size */
};

/* Any thread. */
static inline void result_push(struct result_ring *r, uint32_t slot, int64_t result)
{
	uint64_t at = atomic_fetch_add_explicit(&r->tail, 1, memory_order_acq_rel);
	struct result_entry *entry = &r->entries[at & r->mask];

	entry->result = result;
	atomic_store_explicit(&entry->word, ((at >> r->shift) + 1) << 32 | slot,
			      memory_order_release);
}

static inline uint64_t result_head(const struct result_ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_relaxed);
}

/* Is the entry at `head` published? */
static inline bool result_at(const struct result_ring *r, uint64_t head, uint64_t *ret_word)
{
	*ret_word = atomic_load_explicit(&r->entries[head & r->mask].word, memory_order_acquire);
	return (uint32_t)(*ret_word >> 32) == (uint32_t)((head >> r->shift) + 1);
}

/* Consumer; false: none. */
static inline bool result_pop(struct result_ring *r, uint32_t *ret_slot, int64_t *ret_result)
{
	uint64_t head = result_head(r), word;

	if (!result_at(r, head, &word))
		return false;
	*ret_slot = (uint32_t)word;
	*ret_result = r->entries[head & r->mask].result;
	atomic_store_explicit(&r->head, head + 1, memory_order_relaxed);
	return true;
}

/* Consumer: nothing is published or about to be. Pairs with the fence that a producer passes before it
 * rings (bell.h): a place reserved after this returned true is counted by the bell. */
static inline bool result_none_reserved(struct result_ring *r)
{
	return atomic_load_explicit(&r->tail, memory_order_seq_cst) == result_head(r);
}

/* Consumer: the lines after the next come from another core's cache; ask early. */
static inline void result_prefetch(const struct result_ring *r)
{
	__builtin_prefetch(&r->entries[(result_head(r) + 16) & r->mask]);
}

static inline bool result_ready(const struct result_ring *r)
{
	uint64_t word;

	return result_at(r, result_head(r), &word);
}

#endif
