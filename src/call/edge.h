/* SPDX-License-Identifier: MIT */
/*
 * When may a call run: edges from a call to those that wait for it.
 *
 * An edge is made when a call is sent that names an earlier one whose end is not known yet. It is in
 * two circular lists: of the edges that lead away from the call that is waited for (slot.edges names
 * the first), and of those that lead to the one that waits (slot.aux, which no engine needs yet).
 * So it can be taken out at once from either end: when the one is over, or when the other gives up
 * waiting. An edge never outlives either of its calls.
 */
#ifndef CALL_EDGE_H
#define CALL_EDGE_H

#include "call/backlog.h"
#include "call/slot.h"

enum edge_kind {
	EDGE_ARG0 = 0, /* ..5: the result becomes that argument; a failure is inherited */
	EDGE_AFTER = 6,
	EDGE_AFTER_OK,
	EDGE_AFTER_ERROR,
};

/* Edges are numbered from 1: 0 is none. */
struct edge {
	uint32_t next, prev;	   /* from the same call; free: the next free one */
	uint32_t to_next, to_prev; /* to the same call */
	uint32_t on;		   /* slot that is waited for */
	uint32_t slot;		   /* slot that waits */
	uint32_t kind;		   /* enum edge_kind */
};

static_assert(sizeof(struct edge) == 28, "memory of a call in flight counts edges");

/* Grows by whole chunks, reuses last freed first. */
struct edge_pool {
	struct edge *edges; /* reserved address space for the most there can be */
	uint32_t used, room;
	uint32_t free;
};

int edge_pool_init(struct edge_pool *pool, uint32_t depth);
void edge_pool_free(struct edge_pool *pool);

/*
 * Makes slot `i` wait for the call named `id`, or takes its result at once if that has ended (it may be in the
 * backlog by now). What is wrong with the id dooms the slot. 0, or -ENOMEM with message.
 */
int edge_add(struct edge_pool *edges, struct slot_pool *pool, struct backlog *backlog, uint32_t i,
	     int64_t id, enum edge_kind kind);

/* Slot `i`, which may still wait for others, does so no longer. */
void edges_forget(struct edge_pool *edges, struct slot_pool *pool, uint32_t i);

/*
 * Slot `i` has ended with `result`: meets the dependencies on it, up to the first call that waits for nothing else.
 * Returns that one, or NIL once there are no more: to be called again until then.
 */
uint32_t edges_meet(struct edge_pool *edges, struct slot_pool *pool, uint32_t i, int64_t result);

#endif
