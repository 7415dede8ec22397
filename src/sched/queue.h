/* SPDX-License-Identifier: MIT */
/*
 * The queue's inside: what the scheduler, chains and engines work on.
 *
 * Locking. A private queue has no lock: one thread at a time uses it. A shared one has `lock`, held
 * inside every function; it is let go while a call runs in the caller (drive.c) and during sleep.
 * Engines, lists and slots are touched by the holder only; system call threads reach only the
 * threads engine's rings, its words, and line 0 of the slots that they run.
 */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include "call/backlog.h"
#include "call/cost.h"
#include "call/edge.h"
#include "call/facts.h"
#include "call/slot.h"
#include "call/timer.h"
#include "engine/engine.h"
#include "engine/host.h"
#include "ring/bell.h"
#include "sched/share.h"
#include <pthread.h>

/* Home calls that wait for their sender, and whoever polls the queue's descriptor: loop.c, U4. */
struct home {
	bool news;		/* one more since that was looked at */
	uint64_t told_until_ns; /* the descriptor reads for them until then, ... */
	uint64_t again_ns;	/* ... and again from then on */
	uint64_t pause_ns;	/* how far from one time to the next */
};

/* Quick calls in the ring, see batch.c. */
struct batch {
	uint32_t missed; /* calls that a ring would have taken, until there is one */
	uint32_t rest;	 /* calls that still go by until the next batch */
	uint32_t pause; /* how long the last rest was; half of it after each batch that went well */
};

struct asys_queue {
	struct host host; /* first: what engines see */
	/* What every send and get touches. */
	const volatile uint32_t *mark; /* see process_watch */
	uint32_t inflight;	       /* sent, not ended */
	uint32_t nwaiting;	       /* of these, waiting on others */
	uint32_t nended;	       /* events that wait to be got, the backlog's included */
	uint32_t nsteps;       /* slots in use by steps of chains besides the sendings' own */
	uint32_t nnext;	       /* threads that said something about their next call */
	uint64_t user;	       /* what asys_user said last, in a private queue, and ... */
	uint64_t user_said_by; /* ... in which thread; 0: nothing */
	uint32_t nlist[LIST_KINDS];
	uint32_t tick;	    /* samples the cost clock */
	uint32_t takes;	    /* from lists, counted for TURN_EVERY */
	uint32_t overtaken; /* calls waited for alone that went before others, see run_first */
	uint32_t gets;	    /* events taken alone since that looked at what else there is: get.c */
	int next_error;	    /* what was said about the next call was lost */
	int first_error;    /* of calls ended since the last barrier */
	bool closing;
	bool blocked; /* the first of LIST_START found no room: until something ends */
	struct slot_list ended;
	struct slot_list lists[LIST_KINDS][3];

	struct timer_heap timers;
	struct edge_pool edges;
	struct instance *chains;	/* sendings that the client is to go on with, linked */
	struct instance *starved;	/* ... once there is a slot for their next step */
	struct instance **starved_last; /* the link of the last of these */
	uint64_t spin_now;		/* adapted */
	struct backlog backlog;
	struct next_call *next_calls; /* what asys_after and its kind said */

	/* What asys_queue_fd gives out, see loop.c. -1 until asked for. */
	int user_epoll;
	int user_fd;
	int user_timer;	    /* in that set: reads at the first deadline. -1 until asked for */
	uint64_t user_when; /* what it is set to; UINT64_MAX: nothing */
	bool user_set;	    /* user_fd reads */
	bool user_armed;    /* the bell is armed for who polls epoll_fd through user_epoll */

	/* Shared queues. */
	pthread_mutex_t lock;
	_Atomic uint32_t at_the_door; /* threads that wait for the lock */
	_Atomic uint32_t impatient;   /* of these, those that have waited for long */
	_Atomic uint32_t came_in;     /* how often one of them has got it */
	_Atomic uint32_t changes; /* futex: raised when an event came, or nobody sleeps any more */
	uint32_t listeners;	  /* who waits on it */
	bool somebody_sleeps; /* one thread sleeps or spins for all; the others wait on `changes` */
	struct home home;     /* loop.c */
	bool driver_on, driver_quit;
	bool driver_leaves;	  /* one thread waits for that, without the lock */
	uint64_t driver_again_ns; /* none could be started: not tried again before */
	bool paused; /* the driver waits for a thread with the present rights, see context.c */
	pthread_t driver;
	int32_t driver_tid;
	_Atomic uint64_t driver_number; /* its thread_number */
	bool news;			/* something ended since the lock was taken */
	uint32_t pokes;	      /* raised for a sleeper that may be spinning, and then looks again */
	uint32_t sleep_kinds; /* engines that the sleeper listens to */
	bool sleep_risky;     /* it looks now and then whether threads hang */

	struct rescue *rescue; /* rescue.c */

	uint64_t sampled_ns; /* when a run was last timed */
	struct share share;
	struct batch batch;

	uint8_t futex_route; /* of those that wait */
};

static_assert(offsetof(struct asys_queue, host) == 0, "queue_of");

/* The queue that an engine speaks to. */
static inline struct asys_queue *queue_of(struct host *host)
{
	return (struct asys_queue *)host;
}

static inline struct slot *slot_at(struct asys_queue *q, uint32_t i)
{
	return host_slot(&q->host, i);
}

static inline bool queue_shared(const struct asys_queue *q)
{
	return host_shared(&q->host);
}

/* Puts a ready call on a list, behind those of its priority. */
static inline void list_add(struct asys_queue *q, uint32_t i, unsigned list)
{
	struct slot *slot = slot_at(q, i);

	slot_to(slot, SLOT_READY);
	slot->list = (uint8_t)list;
	list_push(&q->lists[list][call_priority(&slot->call)], q->host.pool.slots, i);
	q->nlist[list]++;
	if (unlikely(list == LIST_HOME))
		q->news = q->home.news = true; /* its sender may wait, or sleep, elsewhere */
}

/* The one that is next by priority; NIL: none. */
static inline uint32_t list_first(const struct asys_queue *q, unsigned list)
{
	uint32_t i = NIL;

	for (unsigned p = 0; p < 3 && i == NIL; p++)
		i = q->lists[list][p].head;
	return i;
}

/* Its deadline is over: it is not begun any more. */
static inline bool slot_late(const struct slot *slot)
{
	return slot->timer && clock_now() >= slot->deadline;
}

/* cancel.c: one that was taken from `list` is late, and ends, or is back on it, asked to end. */
bool late_ends(struct asys_queue *q, uint32_t i, unsigned list);

static inline uint32_t list_take_any(struct asys_queue *q, unsigned list)
{
	uint32_t i = NIL;

	if (unlikely(++q->takes % TURN_EVERY == 0))
		i = list_pop(&q->lists[list][1 + q->takes / TURN_EVERY % 2], q->host.pool.slots);
	for (unsigned p = 0; p < 3 && i == NIL; p++)
		i = list_pop(&q->lists[list][p], q->host.pool.slots);
	if (i != NIL)
		q->nlist[list]--;
	return i;
}

/* The first of a list that may still begin, higher priorities before; NIL: none. */
static inline uint32_t list_take(struct asys_queue *q, unsigned list)
{
	uint32_t i = list_take_any(q, list);

	while (unlikely(q->timers.count) && i != NIL && late_ends(q, i, list))
		i = list_take_any(q, list);
	return i;
}

static inline bool is_driver(const struct asys_queue *q)
{
	return thread_number() == atomic_load_explicit(&q->driver_number, memory_order_relaxed);
}

/* route.c */
/* Of an unknown number, one measured slow, or one whose words matter. */
enum route route_by_call(struct asys_queue *q, const struct asys_call *call);

static inline enum route route_call(struct asys_queue *q, const struct asys_call *call)
{
	uint32_t nr = call->nr;

	if (unlikely(nr >= CALL_NUMBERS ||
		     (route_is_quick(q->host.route[nr]) && cost_is_high(&q->host.costs, nr)) ||
		     q->host.route[nr] == ROUTE_BY_CALL))
		return route_by_call(q, call);
	return (enum route)q->host.route[nr];
}

bool cheap_in_ring(const struct asys_call *call); /* of ROUTE_BATCH: with these words */

/* chains.c */
/* A slot of a chain has ended in an engine or on a list; false: it is the sending that ends. */
bool chain_takes(struct asys_queue *q, uint32_t i, int64_t result);
/* The user word of a slot's event. */
uint64_t *slot_user(struct slot *slot);

/* send.c */
void make_ready(struct asys_queue *q, uint32_t i); /* dependencies are met: put on its list */

#endif
