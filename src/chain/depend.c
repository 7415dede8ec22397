/* SPDX-License-Identifier: MIT */
#include "chain/depend.h"

#include "sched/queue.h"
#include <string.h>
#include <sys/mman.h>

/* Edges beyond the slots' own six arguments come from `after`; address space for 16 a slot, touched
 * only as far as used. */
#define EDGES_PER_SLOT 16

int edge_pool_init(struct edge_pool *pool, uint32_t depth)
{
	uint64_t room = (uint64_t)depth * EDGES_PER_SLOT;

	memset(pool, 0, sizeof(*pool));
	pool->free = NIL;
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

	if (e != NIL)
		pool->free = pool->edges[e].next;
	else if (pool->used < pool->room)
		e = pool->used++;
	return e;
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

int depend_on(struct asys_queue *q, uint32_t i, int64_t id, enum edge_kind kind)
{
	struct slot *slot = slot_at(q, i), *on;
	const struct asys_event *kept;
	uint32_t j = slot_find(&q->pool, id), e;
	int err;

	/* Its own id was guessed: there was no such call when it was sent. */
	if (j == NIL || j == i) {
		err = j == i ? -ESTALE : slot_find_error(&q->pool, id);
		kept = err == -ESTALE ? backlog_find(q, id) : NULL;
		if (kept)
			meet(slot, kind, kept->result);
		else
			doom(slot, err);
		return 0;
	}
	on = slot_at(q, j);
	if (on->state == SLOT_ENDED) {
		meet(slot, kind, on->result);
		return 0;
	}
	e = edge_alloc(&q->edges);
	if (e == NIL)
		return fail(-ENOMEM,
			    "more than %u dependencies wait at once: get events first or "
			    "open the queue with a larger depth",
			    q->edges.room);
	q->edges.edges[e] = (struct edge){
		.next = on->edges, .slot = i, .id_low = (uint32_t)slot->id, .kind = kind
	};
	on->edges = e;
	slot->pending++;
	return 0;
}

/* The list was built by pushing in front; turned, dependents become ready as they were sent. */
static uint32_t reversed(struct edge_pool *pool, uint32_t e)
{
	uint32_t out = NIL;

	while (e != NIL) {
		uint32_t next = pool->edges[e].next;

		pool->edges[e].next = out;
		out = e;
		e = next;
	}
	return out;
}

void depend_release(struct asys_queue *q, uint32_t i, int64_t result)
{
	struct edge_pool *pool = &q->edges;
	uint32_t e = reversed(pool, slot_at(q, i)->edges);

	slot_at(q, i)->edges = NIL;
	while (e != NIL) {
		struct edge edge = pool->edges[e];
		struct slot *slot = slot_at(q, edge.slot);

		pool->edges[e].next = pool->free;
		pool->free = e;
		e = edge.next;
		if (slot->state != SLOT_WAITING || (uint32_t)slot->id != edge.id_low)
			continue; /* cancelled meanwhile */
		meet(slot, (enum edge_kind)edge.kind, result);
		if (--slot->pending == 0) {
			q->nwaiting--;
			make_ready(q, edge.slot);
		}
	}
}
