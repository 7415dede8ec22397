/* SPDX-License-Identifier: MIT */
/*
 * Slots by their deadline: a binary heap, the earliest first. slot.timer is a slot's place in it + 1; 0: it is in none.
 *
 * A slot's deadline stays as it is while it is in the heap. Client only (see slot.h).
 */
#ifndef CALL_TIMER_H
#define CALL_TIMER_H

#include "call/slot.h"

/* Zeroed: empty. */
struct timer_heap {
	uint32_t *slots;
	uint32_t count, room;
};

/* 0, or -ENOMEM with message. */
int timer_heap_add(struct timer_heap *h, struct slot *slots, uint32_t i);
void timer_heap_remove(struct timer_heap *h, struct slot *slots, uint32_t i);
void timer_heap_free(struct timer_heap *h);

/* The earliest deadline, ns; UINT64_MAX: none. */
static inline uint64_t timer_heap_next(const struct timer_heap *h, const struct slot *slots)
{
	return h->count ? slots[h->slots[0]].deadline : UINT64_MAX;
}

#endif
