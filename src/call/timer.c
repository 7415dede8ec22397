/* SPDX-License-Identifier: MIT */
#include "call/timer.h"

#include <stdlib.h>

static uint64_t when_at(const struct timer_heap *h, const struct slot *slots, uint32_t k)
{
	return slots[h->slots[k]].deadline;
}

static void place(struct timer_heap *h, struct slot *slots, uint32_t k, uint32_t i)
{
	h->slots[k] = i;
	slots[i].timer = k + 1;
}

static void sift_up(struct timer_heap *h, struct slot *slots, uint32_t k)
{
	uint32_t i = h->slots[k];

	while (k && slots[i].deadline < when_at(h, slots, (k - 1) / 2)) {
		place(h, slots, k, h->slots[(k - 1) / 2]);
		k = (k - 1) / 2;
	}
	place(h, slots, k, i);
}

static void sift_down(struct timer_heap *h, struct slot *slots, uint32_t k)
{
	uint32_t i = h->slots[k], child;

	while ((child = 2 * k + 1) < h->count) {
		if (child + 1 < h->count && when_at(h, slots, child + 1) < when_at(h, slots, child))
			child++;
		if (slots[i].deadline <= when_at(h, slots, child))
			break;
		place(h, slots, k, h->slots[child]);
		k = child;
	}
	place(h, slots, k, i);
}

int timer_heap_add(struct timer_heap *h, struct slot *slots, uint32_t i)
{
	if (h->count == h->room) {
		uint32_t room = h->room ? 2 * h->room : 64;
		uint32_t *more = realloc(h->slots, room * sizeof(*more));

		if (!more)
			return fail(-ENOMEM, "no memory for %u deadlines", room);
		h->slots = more;
		h->room = room;
	}
	h->slots[h->count++] = i;
	sift_up(h, slots, h->count - 1);
	return 0;
}

void timer_heap_remove(struct timer_heap *h, struct slot *slots, uint32_t i)
{
	uint32_t k = slots[i].timer - 1, last = h->slots[--h->count];

	slots[i].timer = 0;
	if (last == i)
		return;
	place(h, slots, k, last);
	sift_up(h, slots, k);
	sift_down(h, slots, slots[last].timer - 1);
}

void timer_heap_free(struct timer_heap *h)
{
	free(h->slots);
}
