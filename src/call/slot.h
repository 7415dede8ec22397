/* SPDX-License-Identifier: MIT */
/*
 * Slots: where a call lives from sending until its event is got.
 *
 * A slot is two cache lines. The first is the call itself: the client writes it before the call is
 * handed over, whoever runs it only reads it, and only the cancel bit of its flags changes after
 * that. The second belongs to the client alone, so that completing a call never waits for a line
 * that another core has written.
 *
 *   byte 0        4      8      16                       64
 *        +--------+------+------+------------------------+
 *        | nr     |flags | user | arg[0..5]              |  line 0: handed over
 *        +--------+------+------+------------------------+
 *        | id | result | deadline | links, edges, state  |  line 1: the client's
 *        +-----------------------------------------------+
 *
 * "The client" is the one thread of a private queue, or whoever holds the lock of a shared one.
 *
 * Invariants
 *  S1  A slot is on exactly one list, or handed to exactly one engine, or free.
 *  S2  Every slot that is not free brings exactly one end(): WAITING -> READY -> HANDED -> ENDED.
 *  S3  slots[i].id is the id of its present or last call; ids of a slot only grow, by `depth`.
 *  S4  A slot whose next id would not fit is retired instead of reused, so no id comes twice.
 */
#ifndef CALL_SLOT_H
#define CALL_SLOT_H

#include "base/base.h"
#include <assert.h>
#include <asys/types.h>

#define NIL UINT32_MAX

#define ID_SEQ_BITS 53
#define ID_SEQ_MASK ((INT64_C(1) << ID_SEQ_BITS) - 1)
#define ID_TAG_MAX 1023

/* Bit of asys_call.flags inside a slot: somebody wants this call to end. Fixed in the assembly of
 * base/cancelpoint.S too. */
#define SLOT_CANCEL_BIT 15
#define SLOT_CANCEL (1u << SLOT_CANCEL_BIT)

enum slot_state {
	SLOT_FREE = 0,
	SLOT_WAITING, /* on other calls */
	SLOT_READY,   /* on a list of the queue: quick, start or home */
	SLOT_HANDED,  /* to `engine`, which will bring its end */
	SLOT_RUNNING, /* by the client itself, outside the lock */
	SLOT_HELD,    /* ended, but failure injection holds the event back */
	SLOT_ENDED,   /* its event waits to be got */
};

#define SLOT_STATES (SLOT_ENDED + 1)

/* slot.list: which list a READY slot is on (times three priorities). */
enum { LIST_QUICK, LIST_START, LIST_HOME, LIST_KINDS };

/* Slots of chains: call.user points to the instance (chain/run.h). */
enum slot_chain {
	SLOT_NO_CHAIN,
	SLOT_SENDING, /* a sending's own: stands for it, or runs its step instance.own_step */
	SLOT_STEP,    /* one more for a step, which is number `pending` */
};

/* Why an engine gave the call away with words of its own, in memory that call.arg[5] names. */
enum slot_given {
	GIVEN_NOTHING, /* ... it did not, or the thread makes the call from its beginning */
	GIVEN_REST,    /* `result` bytes were moved before; the words are those of the rest */
	GIVEN_SLEEP,   /* a relative sleep: its time is what is left */
};

/* Call numbers that no kernel has: a sending as a whole; a timer step. */
#define CALL_CHAIN 0x10000u
#define CALL_TIMER 0x10001u

struct slot {
	struct asys_call call;
	/* line 1 */
	int64_t id;
	int64_t result;	   /* when ENDED; while HANDED, bytes of a transfer done so far */
	uint64_t deadline; /* ns; 0: none */
	uint32_t next, prev;
	uint32_t edges;	  /* first edge to a call that waits for this one, or 0 */
	uint32_t pending; /* calls that this one still waits for; SLOT_STEP: the step's number */
	uint32_t timer;	  /* index in the deadline heap + 1; 0: not in it */
	uint32_t aux; /* of the engine that has it (threads: position in the ring); WAITING: first
			   * edge from a call that this one waits for */
	union {
		struct {
			uint8_t state;	   /* enum slot_state; the low byte of state_word */
			uint8_t engine;	   /* enum asys_engine that runs or ran it; AUTO: none */
			uint8_t list;	   /* LIST_... */
			uint8_t lane;	   /* of the threads engine */
			uint8_t timed_out; /* by its deadline: -ECANCELED becomes -ETIME */
			uint8_t doomed;	   /* ends with `result` without running */
			uint8_t held;	   /* failure injection said when it ends */
			uint8_t own_thread : 1; /* hung once in a waiter: runs on a thread */
			uint8_t chain : 2;	/* enum slot_chain */
			uint8_t given : 2;	/* enum slot_given */
			uint8_t no_ring : 1;	/* io_uring could not serve it */
		};
		uint64_t state_word; /* all of these, set by one store */
	};
	uint64_t owner; /* thread_number of its sender, who runs it if it is of class home */
};

static_assert(sizeof(struct asys_call) == 64, "the call is a cache line");
static_assert(sizeof(struct slot) == 128, "a slot is two cache lines");
static_assert(offsetof(struct slot, call.flags) == 4, "cancelpoint.S reads flags at 4");
static_assert(offsetof(struct slot, id) == 64, "line 1 starts with the id");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "state is the low byte of state_word");

/*
 * A state is changed by slot_to alone. Where assertions are compiled in, as in all that CI builds but the benchmarks, it
 * dies of any change but these; beside each stand the functions that make it:
 *
 *   FREE    -> READY    slot_alloc; it is on no list before it is sent
 *   READY   -> WAITING  send_modified: on other calls, or until its words are complete
 *           -> READY    list_add, unpop: onto a list
 *           -> HANDED   hand_to, helpers.offer
 *           -> RUNNING  run_here, run_risky, run_context_call; go_on, a sending
 *           -> HELD     start_timer; end, failure injection
 *           -> ENDED    end: cancelled, late, or doomed before it began
 *           -> FREE     run_first, which needs no event; refuse; a step of a sending, as below
 *   WAITING -> READY    make_ready
 *           -> HANDED   make_ready, to a thread at once
 *           -> HELD, ENDED  end: cancelled
 *           -> FREE     refuse
 *   HANDED  -> READY    list_add: the engine does not have it any more (again); hand_to: it never had it
 *           -> HANDED   helpers.offer, from another engine (transfer_to_thread)
 *           -> RUNNING  chain_returned; chain_takes, the step that a sending's own slot ran
 *           -> HELD, ENDED  end
 *           -> FREE     chain_takes, a step that had a slot for itself
 *   RUNNING -> READY    list_add: it hangs, or is to go on later; step_slot, for a sending's next step
 *           -> HANDED, HELD, ENDED, FREE  as from HANDED
 *           -> RUNNING  go_on, again
 *   HELD    -> READY, RUNNING, FREE   a sending's timer, as from HANDED
 *           -> ENDED    end: it was held back for long enough
 *   ENDED   -> FREE     slot_freed: its event was got, or is kept aside
 */
bool slot_may_become(const struct slot *slot, enum slot_state to);

static inline void slot_to(struct slot *slot, enum slot_state to)
{
	assert(slot_may_become(slot, to));
	slot->state = (uint8_t)to;
}

/* READY, and nothing else is known of it. */
static inline void slot_clear(struct slot *slot)
{
	assert(slot_may_become(slot, SLOT_READY));
	slot->state_word = SLOT_READY;
}

/* Doubly linked list of slots by index. */
struct slot_list {
	uint32_t head, tail;
};

static inline void list_init(struct slot_list *list)
{
	list->head = list->tail = NIL;
}

static inline bool list_empty(const struct slot_list *list)
{
	return list->head == NIL;
}

static inline void list_push(struct slot_list *list, struct slot *slots, uint32_t i)
{
	slots[i].next = NIL;
	slots[i].prev = list->tail;
	if (list->tail == NIL)
		list->head = i;
	else
		slots[list->tail].next = i;
	list->tail = i;
}

static inline void list_remove(struct slot_list *list, struct slot *slots, uint32_t i)
{
	uint32_t next = slots[i].next, prev = slots[i].prev;

	if (prev == NIL)
		list->head = next;
	else
		slots[prev].next = next;
	if (next == NIL)
		list->tail = prev;
	else
		slots[next].prev = prev;
}

static inline uint32_t list_pop(struct slot_list *list, struct slot *slots)
{
	uint32_t i = list->head;

	if (i != NIL) {
		list->head = slots[i].next;
		if (list->head == NIL)
			list->tail = NIL;
		else
			slots[list->head].prev = NIL;
	}
	return i;
}

/* 0 high, 1 normal, 2 low. */
static inline unsigned call_priority(const struct asys_call *call)
{
	return (call->flags & ASYS_CALL_HIGH) ? 0 : (call->flags & ASYS_CALL_LOW) ? 2 : 1;
}

static inline bool slot_cancelled(const struct slot *slot)
{
	return __atomic_load_n(&slot->call.flags, __ATOMIC_RELAXED) & SLOT_CANCEL;
}

/* The pool of slots of one queue. Client only. */
struct slot_pool {
	struct slot *slots;
	uint32_t *free; /* FIFO of free indices: late reuse keeps stale ids detectable longest */
	uint32_t depth; /* power of two */
	uint32_t head, tail; /* free-running; tail - head are free */
	uint32_t fresh;	     /* slots never used yet start here */
	uint32_t retired;
	int64_t tag; /* of the queue, shifted into place */
};

int slot_pool_init(struct slot_pool *pool, uint32_t depth); /* 0 or -ENOMEM or -EMFILE */
void slot_pool_free(struct slot_pool *pool);

static inline uint32_t slots_used(const struct slot_pool *pool)
{
	return pool->fresh - (pool->tail - pool->head);
}

/* Slots reused before fresh memory is touched: few enough to stay in the first-level cache, enough
 * that an id is not reused at once. */
#define SLOT_REUSE_FROM 32

/* A slot with a new id, line 1 cleared except links and state; NIL if all are in use. */
static inline uint32_t slot_alloc(struct slot_pool *pool)
{
	uint32_t ready = pool->tail - pool->head, i;
	struct slot *slot;

	if (likely(ready >= SLOT_REUSE_FROM) || (ready && pool->fresh == pool->depth)) {
		i = pool->free[pool->head++ & (pool->depth - 1)];
		slot = &pool->slots[i];
		slot->id += pool->depth;
	} else if (pool->fresh < pool->depth) {
		i = pool->fresh++;
		slot = &pool->slots[i];
		slot->id = pool->tag | (int64_t)(pool->depth + i);
	} else {
		return NIL;
	}
	slot->result = 0;
	slot->deadline = 0;
	slot->edges = 0;
	slot->pending = 0;
	slot->timer = 0;
	slot->aux = 0;
	slot_clear(slot);
	return i;
}

static inline void slot_release(struct slot_pool *pool, uint32_t i)
{
	struct slot *slot = &pool->slots[i];

	slot_to(slot, SLOT_FREE);
	if (unlikely((slot->id & ID_SEQ_MASK) > ID_SEQ_MASK - (int64_t)pool->depth))
		pool->retired++; /* S4 */
	else
		pool->free[pool->tail++ & (pool->depth - 1)] = i;
}

/* Why `id` names no call: -ESTALE, -EXDEV or the id's own error. */
int slot_find_error(const struct slot_pool *pool, int64_t id);
int slot_find_fail(const struct slot_pool *pool, int64_t id, const char *function);

/* The slot that `id` names, NIL if its call is over. */
static inline uint32_t slot_find(const struct slot_pool *pool, int64_t id)
{
	uint32_t i = (uint32_t)id & (pool->depth - 1);
	const struct slot *slot = &pool->slots[i];

	return likely(i < pool->fresh && slot->id == id && slot->state != SLOT_FREE && id > 0) ?
		       i :
		       NIL;
}

/* One call in so many is taken from a list of lower priority though others are ready, so that none waits
 * for ever behind those that keep coming. */
#define TURN_EVERY 32u

#endif
