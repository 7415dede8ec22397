/* SPDX-License-Identifier: MIT */
/*
 * When may a call run: edges from a call to those that wait for it.
 *
 * An edge is made when a call is sent that names an earlier one whose end is not known yet; it is
 * followed once, when that one ends. It names its dependent by slot and id, so a dependent that was
 * cancelled in between (and its slot perhaps reused) is passed over.
 */
#ifndef CHAIN_DEPEND_H
#define CHAIN_DEPEND_H

#include "call/slot.h"

struct asys_queue;

enum edge_kind {
	EDGE_ARG0 = 0, /* ..5: the result becomes that argument; a failure is inherited */
	EDGE_AFTER = 6,
	EDGE_AFTER_OK,
	EDGE_AFTER_ERROR,
};

struct edge {
	uint32_t next;
	uint32_t slot;	 /* dependent */
	uint32_t id_low; /* of its id */
	uint32_t kind;
};

static_assert(sizeof(struct edge) == 16, "memory of a call in flight counts edges");

/* Grows by whole chunks, reuses last freed first. */
struct edge_pool {
	struct edge *edges; /* reserved address space for the most there can be */
	uint32_t used, room;
	uint32_t free;
};

int edge_pool_init(struct edge_pool *pool, uint32_t depth);
void edge_pool_free(struct edge_pool *pool);

/*
 * Makes slot `i` wait for the call named `id`, or takes its result at once if that has ended. What
 * is wrong with the id dooms the slot. 0 or -ENOMEM.
 */
int depend_on(struct asys_queue *q, uint32_t i, int64_t id, enum edge_kind kind);

/* Slot `i` has ended with `result`: meets the dependencies on it; calls ready for nothing else
 * become ready. */
void depend_release(struct asys_queue *q, uint32_t i, int64_t result);

#endif
