/* SPDX-License-Identifier: MIT */
/*
 * What an engine sees of the queue whose calls it runs: the slots, what all engines share, and what it says to
 * the queue. Nothing in this folder knows more of it.
 *
 * The functions are the queue's (sched/queue.c sets them when it is opened), and are called as the engine's own are: by
 * the queue's one thread, or with its lock held. All the rest belongs to whoever holds the queue, too; system call
 * threads read what does not change while they live (flags, limits, costs, route) and write nothing but what
 * threads.h gives them.
 */
#ifndef ENGINE_HOST_H
#define ENGINE_HOST_H

#include "call/cost.h"
#include "call/facts.h"
#include "call/slot.h"
#include "ring/bell.h"
#include <asys/queue.h>

/* Where a call number goes on this queue. */
enum route {
	ROUTE_NEVER = 0,
	ROUTE_HOME,  /* the caller, at flush */
	ROUTE_QUICK, /* cannot block for ever: who waits, and threads that are awake */
	ROUTE_BATCH, /* the same, but several at once cost less in the ring */
	ROUTE_POOL,  /* the same, but threads only: the waiter is to stay free */
	ROUTE_SLOW,  /* a thread of its own while it runs */
	ROUTE_READY,
	ROUTE_URING,
	ROUTE_BY_CALL, /* by its words */
};

struct threads; /* engine/threads.h */
struct ready;	/* engine/ready.c */
struct uring;	/* engine/uring.c */
struct fault;	/* engine/fault.c */

struct host {
	/* The call in slot `i` is over. Any result, also -errno. */
	void (*ended)(struct host *host, uint32_t i, int64_t result);
	/* The call in slot `i` did not happen, and the engine has it no longer: it is to be started anew. */
	void (*again)(struct host *host, uint32_t i);
	/* A system call thread has the sending of a chain in slot `i` no longer: it has ended, or goes on elsewhere. */
	void (*returned)(struct host *host, uint32_t i);
	/* A system call thread ran a call of this number; 0 ns: nothing is known. */
	void (*measured)(struct host *host, uint32_t nr, uint32_t ns);
	/* False: the calling thread is about to be replaced, since a sender has dropped rights that it has. What it
	 * started now would run with them. */
	bool (*may_start)(const struct host *host);

	/* Calls that each engine has (E6 in engine.h), by enum asys_engine: an idle engine costs this look. */
	uint32_t outstanding[ASYS_ENGINE_COUNT];
	struct threads *threads; /* NULL until needed, as are the next two */
	struct ready *ready;
	struct uring *uring;
	struct slot_pool
		pool;	     /* more than `limit`: steps of chains find room in a full queue too */
	uint32_t limit;	     /* calls in flight and events in slots, those steps not counted */
	uint32_t flags;	     /* ASYS_QUEUE_... */
	struct fault *fault; /* NULL: calls run as they are */
	uint64_t done_ns;    /* work done so far, by the client and by threads */
	uint64_t spin_ns;    /* as asked for */
	uint32_t cores;
	uint32_t max_threads;
	int32_t signal; /* that interrupts calls; 0: none */
	/* One epoll set for sleepers: event_fd (which the bell writes; epoll data UINT64_MAX), the ring (UINT64_MAX
	 * - 1), and what the ready engine waits for. -1 until needed. */
	int epoll_fd;
	int event_fd;
	_Atomic int32_t client_core; /* where it was when it last woke a thread; -1: it sleeps */
	uint32_t context_epoch;	     /* raised when rights or namespaces change: context.c */
	uint32_t ring_rest;	     /* calls that still go by until a ring is tried again */
	uint32_t ring_pause;	     /* how many they were the last time */
	bool uring_off;		     /* refused, or retired after a change of context */
	bool ring_watched;	     /* the ring is in the epoll set */
	bool fd_wanted;		     /* asys_queue_fd was asked for */
	uint8_t engine;		     /* as asked for */
	struct bell bell;	     /* rung by other threads when an end was published */

	struct asys_stats stats;
	struct costs costs;
	uint8_t route[CALL_NUMBERS];
};

static inline struct slot *host_slot(struct host *host, uint32_t i)
{
	return &host->pool.slots[i];
}

static inline bool host_shared(const struct host *host)
{
	return host->flags & ASYS_QUEUE_SHARED;
}

static inline bool route_is_quick(enum route route)
{
	return route == ROUTE_QUICK || route == ROUTE_BATCH;
}

/* So much is worth asking whether it waited, or others ran in its place. */
static inline bool cost_in_doubt(const struct host *host, uint32_t nr)
{
	return nr < CALL_NUMBERS && route_is_quick(host->route[nr]) &&
	       cost_known(&host->costs, nr) > COST_SLOW_NS / 4;
}

/* The set, made on first use. 0 or -errno with message. */
int host_epoll(struct host *host);
/* Sleeps until something in the set is ready, or when_ns (CLOCK_MONOTONIC; UINT64_MAX: no limit) has passed. 0, -EINTR
 * or -ETIME. Takes nothing. Without the lock. */
int host_wait(struct host *host, uint64_t when_ns);

#endif
