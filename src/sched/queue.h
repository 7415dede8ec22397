/* SPDX-License-Identifier: MIT */
/*
 * The queue's inside, and the stations of a call between sending and its event.
 *
 *   send.c     a call becomes a slot: waiting (chain/), or on a list of ready calls
 *   route.c    who serves a call number on this queue
 *   start.c    ready calls are handed to engines, or shared with system call threads
 *   drive.c    the loop of every waiter: end what has ended, start, help, else sleep
 *   rescue.c   a waiter that hangs in a call gets out of it
 *   sleep.c    spin, then sleep, on everything that can bring an end at once
 *   end.c      the one place where a call ends: releases dependents, makes the event
 *   get.c      events go out
 *   cancel.c   cancel and deadlines
 *   context.c  threads follow a change of the sender's rights
 *   driver.c   a thread that drives, for queues that ask for it
 *
 * Locking. A private queue has no lock: one thread at a time uses it. A shared one has `lock`, held
 * inside every function; it is let go while a call runs in the caller (drive.c) and during sleep.
 * Engines, lists and slots are touched by the holder only; system call threads reach only the
 * threads engine's rings, its words, and line 0 of the slots that they run.
 */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include "call/slot.h"
#include "chain/depend.h"
#include "engine/engine.h"
#include "ring/bell.h"
#include <pthread.h>

/* Call numbers above are served as unknown ones. */
#define ROUTES 512

/* Where a call number goes on this queue. */
enum route {
	ROUTE_NEVER = 0,
	ROUTE_HOME,  /* the caller, at flush */
	ROUTE_QUICK, /* cannot block for ever: who waits, and threads that are awake */
	ROUTE_POOL,  /* the same, but threads only: the waiter is to stay free */
	ROUTE_SLOW,  /* a thread of its own while it runs */
	ROUTE_READY,
	ROUTE_URING,
	ROUTE_BY_CALL, /* by its words */
};

/* Events whose slots were needed for new calls; FIFO. */
struct backlog {
	struct asys_event *events;
	size_t head, count, room;
};

struct timer_heap {
	uint32_t *slots;
	uint32_t count, room;
};

struct threads; /* engine/threads.h */
struct ready;	/* engine/ready.c */
struct uring;	/* engine/uring.c */

struct asys_queue {
	/* What every send and get touches. */
	const volatile uint32_t *mark; /* see process_watch */
	uint32_t flags;		       /* ASYS_QUEUE_... */
	uint32_t inflight;	       /* sent, not ended */
	uint32_t nwaiting;	       /* of these, waiting on others */
	uint32_t nended;	       /* events that wait to be got, the backlog's included */
	uint32_t nnext;		       /* threads that said something about their next call */
	uint32_t nlist[LIST_KINDS];
	uint32_t tick;	   /* samples the cost clock */
	int next_error;	   /* what was said about the next call was lost */
	int first_error;   /* of calls ended since the last barrier */
	bool fd_wanted;	   /* asys_queue_fd was asked for */
	bool ring_watched; /* the ring is in the epoll set */
	bool uring_off;	   /* refused, or retired after a change of context */
	bool closing;
	uint8_t engine; /* as asked for */
	struct fault *fault;
	struct slot_pool pool;
	struct slot_list ended;
	struct slot_list lists[LIST_KINDS][3];
	struct threads *threads; /* NULL until needed */
	struct ready *ready;
	struct uring *uring;
	struct asys_stats stats;

	struct timer_heap timers;
	struct edge_pool edges;
	uint64_t spin_ns;  /* as asked for */
	uint64_t spin_now; /* adapted */
	uint32_t cores;
	struct backlog backlog;
	struct next_call *next_calls; /* what asys_after and its kind said */

	/* Change of rights or namespaces: see context.c. */
	uint32_t context_epoch;
	int32_t signal;
	uint32_t max_threads;

	/* One epoll set for sleepers: event_fd (which the bell writes), the ring, and what the ready
	 * engine waits for. -1 until needed. */
	int epoll_fd;
	int event_fd;
	/* What asys_queue_fd gives out, see sleep.c. -1 until asked for. */
	int user_epoll;
	int user_fd;
	bool user_set;	 /* user_fd reads */
	bool user_armed; /* the bell is armed for who polls epoll_fd through user_epoll */

	/* Shared queues. */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* an event came, or nobody sleeps for the queue any more */
	bool somebody_sleeps; /* one thread sleeps or spins for all; the others wait on `changed` */
	bool driver_on, driver_quit;
	pthread_t driver;
	bool news;	      /* something ended since the lock was taken */
	uint32_t pokes;	      /* raised for a sleeper that may be spinning, and then looks again */
	uint32_t sleep_kinds; /* engines that the sleeper listens to */

	struct bell bell; /* rung by other threads when an end was published */

	struct rescue *rescue; /* rescue.c */

	uint64_t sampled_ns;	/* when a run was last timed */
	uint64_t unshared_ns;	/* work run here lately that another core could have shared */
	uint64_t wake_price_ns; /* ... and how much of it makes waking a thread worth while */
	uint64_t woken_taken;	/* calls that threads had taken at the last wake-up */

	uint32_t cost[ROUTES]; /* smoothed ns of a run of call nr; 0: never measured */
	uint8_t route[ROUTES];
};

static inline struct slot *slot_at(struct asys_queue *q, uint32_t i)
{
	return &q->pool.slots[i];
}

static inline bool queue_shared(const struct asys_queue *q)
{
	return q->flags & ASYS_QUEUE_SHARED;
}

static inline void queue_lock(struct asys_queue *q)
{
	if (unlikely(queue_shared(q)))
		pthread_mutex_lock(&q->lock);
}

/* sleep.c, shared queues: something ended that others may wait for; there is something new to do for
 * whoever sleeps for all, true if he had to be woken. */
void tell_others(struct asys_queue *q);
bool poke_sleeper(struct asys_queue *q);

/* Whoever lets the lock go says what has ended meanwhile: the sleeper did not see it. */
static inline void queue_unlock(struct asys_queue *q)
{
	if (likely(!queue_shared(q)))
		return;
	if (q->news)
		tell_others(q);
	pthread_mutex_unlock(&q->lock);
}

/* Puts a ready call on a list, behind those of its priority. */
static inline void list_add(struct asys_queue *q, uint32_t i, unsigned list)
{
	struct slot *slot = slot_at(q, i);

	slot->state = SLOT_READY;
	slot->list = (uint8_t)list;
	list_push(&q->lists[list][call_priority(&slot->call)], q->pool.slots, i);
	q->nlist[list]++;
}

/* The first of a list, higher priorities before; NIL: none. */
static inline uint32_t list_take(struct asys_queue *q, unsigned list)
{
	uint32_t i = NIL;

	for (unsigned p = 0; p < 3 && i == NIL; p++)
		i = list_pop(&q->lists[list][p], q->pool.slots);
	if (i != NIL)
		q->nlist[list]--;
	return i;
}

/* queue.c: what is rare at the door. */
int queue_enter_child(void); /* -ECHILD with message */

/* sleep.c: asys_queue_fd was asked for: leaving, it shall poll; entering again. */
void user_wait_begin(struct asys_queue *q);
void user_wait_end(struct asys_queue *q);

/* Entering and leaving every public function. 0, or -ECHILD in a forked child. */
static inline int queue_enter(struct asys_queue *q)
{
	if (unlikely(!*q->mark))
		return queue_enter_child();
	queue_lock(q);
	if (unlikely(q->fd_wanted))
		user_wait_end(q);
	return 0;
}

static inline void queue_leave(struct asys_queue *q)
{
	if (unlikely(q->fd_wanted))
		user_wait_begin(q);
	queue_unlock(q);
}

/* queue.c */
/* The epoll set, made on first use; -errno. Adds event_fd (epoll data UINT64_MAX) and, once it
 * exists, the ring (epoll data UINT64_MAX - 1). */
int queue_epoll(struct asys_queue *q);

/* route.c */
void route_init(struct asys_queue *q);
/* Of an unknown number, one measured slow, or one whose words matter. */
enum route route_by_call(struct asys_queue *q, const struct asys_call *call);
void cost_note(struct asys_queue *q, uint32_t nr, uint64_t ns);

/* A quick call that takes longer than a hand-over to another core waits for something. */
#define COST_SLOW_NS 20000u

static inline bool cost_is_high(const struct asys_queue *q, uint32_t nr)
{
	return nr < ROUTES && q->cost[nr] > COST_SLOW_NS;
}

static inline enum route route_call(struct asys_queue *q, const struct asys_call *call)
{
	uint32_t nr = call->nr;

	if (unlikely(nr >= ROUTES || (q->route[nr] == ROUTE_QUICK && cost_is_high(q, nr)) ||
		     q->route[nr] == ROUTE_BY_CALL))
		return route_by_call(q, call);
	return (enum route)q->route[nr];
}

bool open_may_hang(const struct asys_call *call); /* one of the opens: a FIFO would be waited for */

/* Quick as a rule, but may block for ever. */
static inline bool may_hang(const struct asys_call *call)
{
	switch (call->nr) {
#ifdef SYS_open
	case SYS_open:
	case SYS_creat:
#endif
	case SYS_openat:
	case SYS_openat2:
		return open_may_hang(call);
	default:
		return false;
	}
}

int engine_from_environment(uint32_t *engine); /* 0, or -EINVAL with message */

/* send.c */
void next_calls_free(struct asys_queue *q);
const void *thread_key(void);			   /* different for every thread that lives */
void make_ready(struct asys_queue *q, uint32_t i); /* dependencies are met: put on its list */

/* context.c: change of the sender's rights or namespaces */
bool context_call(const struct asys_call *call); /* it will change them */
void context_leave(struct asys_queue *q);	 /* threads that are not inside a call leave now */
void context_changed(void);		  /* this process's queues renew before their next call */
void context_check(struct asys_queue *q); /* renews this one if a change happened */
void context_init(struct asys_queue *q);

/* start.c */
void start_all(struct asys_queue *q);  /* what is ready and not quick goes where it belongs */
void share_all(struct asys_queue *q);  /* nobody will wait now: threads get the quick calls */
void share_some(struct asys_queue *q); /* part of them, where that is a gain */
void flush_engines(struct asys_queue *q);

/* drive.c: what a waiter waits for */
struct goal {
	uint32_t ended; /* nended reaches this, or ... */
	uint32_t slot;	/* ... the call `id` in this slot is over (NIL: none), or ... */
	int64_t id;
	uint32_t inflight; /* ... no more than so many are in flight */
	uint64_t when_ns;  /* gives up then; UINT64_MAX: never */
	const bool *stop;  /* ... or this is set; may be NULL */
};

/* 0 when the goal is reached; -ETIME; -EINTR (a signal handler ran); -ENODATA (nothing that is in
 * flight can bring an end). */
int drive(struct asys_queue *q, const struct goal *goal);
unsigned reap(struct asys_queue *q);
void run_here(struct asys_queue *q, uint32_t i); /* the call runs in this thread now, and ends */

/* rescue.c: calls that may hang, in a waiter. */
void run_risky(struct asys_queue *q, uint32_t i); /* runs here and ends, or goes to LIST_START */
/* A call in this thread ended with -EINTR: made again if it was the timer's signal. */
int64_t rescue_rerun(struct asys_queue *q, const struct slot *slot, int64_t result);
void rescue_off(struct asys_queue *q); /* the waiter stops waiting */
void rescue_close(struct asys_queue *q);

#define COST_EVERY 64u
#define LATELY_NS 1000000u

static inline bool is_error(int64_t result)
{
	return (uint64_t)result >= (uint64_t)-4095;
}

/* Runs the call in this thread, measuring one in COST_EVERY. Nothing else is done about it. */
static inline int64_t run_measured(struct asys_queue *q, const struct slot *slot)
{
	uint32_t nr = slot->call.nr;
	uint64_t before;
	int64_t result;

	q->stats.helped++;
	if (likely(nr >= ROUTES || (++q->tick % COST_EVERY && q->cost[nr]))) {
		result = raw_syscall(nr, slot->call.arg);
	} else {
		before = clock_now();
		result = raw_syscall(nr, slot->call.arg);
		if (before - q->sampled_ns > LATELY_NS)
			q->unshared_ns = 0;
		q->sampled_ns = before;
		cost_note(q, nr, clock_now() - before);
	}
	if (unlikely(result == -EINTR && q->rescue))
		result = rescue_rerun(q, slot, result);
	return result;
}

/* A quiet call that succeeded leaves no event: its slot is free, or another call's already. */
static inline bool slot_over(const struct slot *slot, int64_t id)
{
	return slot->state == SLOT_ENDED || slot->state == SLOT_FREE || slot->id != id;
}

bool may_help(const struct asys_queue *q);		/* a waiter may run quick calls */
uint32_t queue_outstanding(const struct asys_queue *q); /* handed to engines */

/* sleep.c */
int sleep_for_end(struct asys_queue *q, uint32_t need, uint64_t when_ns); /* 0, -EINTR */

/* cancel.c */
int timer_add(struct asys_queue *q, uint32_t i); /* 0 or -ENOMEM */
void timer_remove(struct asys_queue *q, uint32_t i);
uint64_t timers_next(const struct asys_queue *q); /* ns, UINT64_MAX if none */
void timers_run(struct asys_queue *q);
void cancel_slot(struct asys_queue *q, uint32_t i);

/* get.c */
bool backlog_keep(struct asys_queue *q); /* frees slots of ended calls; false: no memory */
/* The event of a call that is kept aside: its slot is gone, its id still holds. NULL: not there. */
const struct asys_event *backlog_find(const struct asys_queue *q, int64_t id);

/* driver.c */
int driver_start(struct asys_queue *q);
void driver_stop(struct asys_queue *q);

#endif
