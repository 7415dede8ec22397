/* SPDX-License-Identifier: MIT */
#include "call/edge.h"

#include <string.h>

/* Edges beyond the slots' own six arguments come from `after`; address space for 16 a slot, touched
 * only as far as used. */
#define EDGES_PER_SLOT 16

int edge_pool_init(struct edge_pool *pool, uint32_t depth)
{
	uint64_t room = (uint64_t)depth * EDGES_PER_SLOT;

	memset(pool, 0, sizeof(*pool));
	pool->used = 1;
	pool->room = room < 16384 ? 16384 : (uint32_t)room;
	pool->edges = pages_alloc((size_t)pool->room * sizeof(*pool->edges));
	if (!pool->edges)
		return fail(-ENOMEM,
			    "no address space for the dependencies of %u calls: ask for a "
			    "smaller depth or raise the limit (ulimit -v)",
			    depth);
	return 0;
}

void edge_pool_free(struct edge_pool *pool)
{
	pages_free(pool->edges, (size_t)pool->room * sizeof(*pool->edges));
	memset(pool, 0, sizeof(*pool));
}

static uint32_t edge_alloc(struct edge_pool *pool)
{
	uint32_t e = pool->free;

	if (e)
		pool->free = pool->edges[e].next;
	else if (pool->used < pool->room)
		e = pool->used++;
	return e;
}

/* Last in both lists, so that dependents become ready as they were sent. */
static void edge_link(struct edge_pool *pool, struct slot *slots, uint32_t e)
{
	struct edge *edges = pool->edges, *edge = &edges[e];
	uint32_t *from = &slots[edge->on].edges, *to = &slots[edge->slot].aux;

	if (!*from)
		*from = edge->prev = e;
	if (!*to)
		*to = edge->to_prev = e;
	edge->next = *from;
	edge->prev = edges[*from].prev;
	edges[edge->prev].next = edges[edge->next].prev = e;
	edge->to_next = *to;
	edge->to_prev = edges[*to].to_prev;
	edges[edge->to_prev].to_next = edges[edge->to_next].to_prev = e;
}

/* Out of both lists, and free. */
static void edge_free(struct edge_pool *pool, struct slot *slots, uint32_t e)
{
	struct edge *edges = pool->edges, *edge = &edges[e];
	uint32_t *from = &slots[edge->on].edges, *to = &slots[edge->slot].aux;

	if (*from == e)
		*from = edge->next == e ? 0 : edge->next;
	if (*to == e)
		*to = edge->to_next == e ? 0 : edge->to_next;
	edges[edge->prev].next = edge->next;
	edges[edge->next].prev = edge->prev;
	edges[edge->to_prev].to_next = edge->to_next;
	edges[edge->to_next].to_prev = edge->to_prev;
	edge->next = pool->free;
	pool->free = e;
}

/* What the end of a call means to one that waits for it. */
static void meet(struct slot *slot, enum edge_kind kind, int64_t result)
{
	bool failed = is_error(result);

	if (kind <= EDGE_ARG0 + 5) {
		if (!failed)
			slot->call.arg[kind - EDGE_ARG0] = (uint64_t)result;
		else if (!slot->doomed)
			slot->result = result;
		slot->doomed |= failed;
	} else if ((kind == EDGE_AFTER_OK && failed) || (kind == EDGE_AFTER_ERROR && !failed)) {
		if (!slot->doomed)
			slot->result = -ECANCELED;
		slot->doomed = 1;
	}
}

static void doom(struct slot *slot, int err)
{
	if (!slot->doomed)
		slot->result = err;
	slot->doomed = 1;
}

int edge_add(struct edge_pool *edges, struct slot_pool *pool, struct backlog *backlog, uint32_t i,
	     int64_t id, enum edge_kind kind)
{
	struct slot *slot = &pool->slots[i];
	const struct asys_event *kept;
	uint32_t j = slot_find(pool, id), e;
	int err;

	/* Its own id was guessed: there was no such call when it was sent. */
	if (j == NIL || j == i) {
		err = j == i ? -ESTALE : slot_find_error(pool, id);
		kept = err == -ESTALE ? backlog_find(backlog, id) : NULL;
		if (kept)
			meet(slot, kind, kept->result);
		else
			doom(slot, err);
		return 0;
	}
	if (pool->slots[j].state == SLOT_ENDED) {
		meet(slot, kind, pool->slots[j].result);
		return 0;
	}
	e = edge_alloc(edges);
	if (!e)
		return fail(-ENOMEM,
			    "more than %u dependencies wait at once: get events first or "
			    "open the queue with a larger depth",
			    edges->room - 1);
	edges->edges[e] = (struct edge){ .on = j, .slot = i, .kind = kind };
	edge_link(edges, pool->slots, e);
	slot->pending++;
	return 0;
}

void edges_forget(struct edge_pool *edges, struct slot_pool *pool, uint32_t i)
{
	struct slot *slot = &pool->slots[i];

	while (slot->aux)
		edge_free(edges, pool->slots, slot->aux);
	slot->pending = 0;
}

uint32_t edges_meet(struct edge_pool *edges, struct slot_pool *pool, uint32_t i, int64_t result)
{
	struct slot *on = &pool->slots[i];

	while (on->edges) {
		struct edge edge = edges->edges[on->edges];
		struct slot *slot = &pool->slots[edge.slot];

		edge_free(edges, pool->slots, on->edges);
		meet(slot, (enum edge_kind)edge.kind, result);
		if (--slot->pending == 0)
			return edge.slot;
	}
	return NIL;
}
