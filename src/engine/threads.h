/* SPDX-License-Identifier: MIT */
/*
 * System call threads: what the client and the threads share.
 *
 *   client                                         thread
 *   ------ quick[high,normal,low] --------------->  several at once, any thread that is awake
 *   ------ hanging[high,normal,low] ------------->  one at a time: quick calls that may hang (the
 *                                                   open of a FIFO), and no other behind them
 *   ------ slow[high,normal,low]  --------------->  one at once; at most max-1 threads are in one
 *                                                   of these two, so that quick calls always find one
 *   <----- results -------------------------------
 *   sleeps on host->bell             <--- rings ------
 *   ------ pushes (futex) ----------------------->  sleeps
 *
 * Life of a thread: started by the client when work needs one more and the limit allows it, so it
 * inherits the client's rights and namespaces. looking -> (running | asleep) -> ... -> gone, after
 * IDLE_EXIT_NS without work, on renewal of the context, or on close. Idle threads leave because a
 * process with one thread is served faster by the kernel (no atomic reference on descriptors).
 *
 * Invariants
 *  T1  A push is seen: `pushes` is raised after the entry; a thread reads `pushes`, scans, announces
 *      itself in `asleep`, fences, and sleeps only if `pushes` is unchanged. The client raises
 *      `pushes`, fences, then reads who looks and who is asleep. (tests/model/worker.pml)
 *  T2  Threads that start, look, or run are counted in their crew's `live`, which only changes under
 *      `lock`.
 *  T3  A signal is sent to a thread only while `current` names the call to be cancelled, under its
 *      cancel_lock; a thread that finds its finished call cancelled takes cancel_lock and makes one
 *      trap, so the signal is absorbed before its next call. (tests/model/cancel.pml)
 *  T5  A thread stops looking before it takes a slow call, and who pushes one reads the lane before he
 *      counts who looks; a thread that goes to sleep or wakes is never counted as both looking and
 *      asleep; and it takes no call that may hang while slow ones lie there and threads could still be
 *      started for them: no slow call waits for a thread that is inside another one. (tests/model/slow.pml, hang.pml)
 *  T6  No lane keeps a thread from the others: a thread that has run OVERTAKES_MOST batches of quick calls looks
 *      at the slow lanes first, a new one at once, and wakes another for the quick calls it leaves there; of
 *      the slow lanes it looks at each first every other time.
 *  T4  After renew returns, or once rights_epoch was raised, no thread that started before starts
 *      another call: what it has taken already it gives back.
 */
#ifndef ENGINE_THREADS_H
#define ENGINE_THREADS_H

#include "engine/cancel_signal.h"
#include "engine/helpers.h"
#include "ring/result_ring.h"
#include "ring/work_ring.h"
#include <pthread.h>
#include <signal.h>

enum worker_phase { WORKER_OUT, WORKER_CLAIMING, WORKER_BUSY };

/*
 * Threads of one generation count themselves here. After a renewal those still inside a call belong
 * to an older crew: they finish it and leave, and the new crew is not kept waiting by them.
 */
struct crew {
	alignas(CACHE_PAIR) _Atomic uint64_t idle; /* CREW_LOOKING each, CREW_ASLEEP each */
	_Atomic uint32_t quick_running;		   /* in a batch of quick calls */
	_Atomic uint32_t slow_running;		   /* in a slow call, or one that may hang */
	_Atomic uint32_t live; /* started and not left; changes under threads.lock */
	uint32_t members; /* client: threads not joined yet; freed with the last, once it is old */
};

/* Looking for work or about to; asleep. One word, since who reads them adds them up (T5). */
#define CREW_LOOKING 1ull
#define CREW_ASLEEP (1ull << 32)

static inline uint32_t crew_looking(uint64_t idle)
{
	return (uint32_t)idle;
}

static inline uint32_t crew_asleep(uint64_t idle)
{
	return (uint32_t)(idle >> 32);
}

struct worker {
	alignas(CACHE_PAIR) _Atomic uint32_t current; /* slot + 1 of the call being run, 0: none */
	_Atomic uint32_t phase;			      /* enum worker_phase */
	_Atomic uint32_t gone;			      /* it will touch nothing any more: join it */
	_Atomic uint32_t
		hanging; /* count of a call that may hang while its chain could go on; 0: none */
	uint32_t seen_hanging; /* client: as of the last look */
	uint32_t generation;
	uint32_t epoch; /* rights_epoch when it was started */
	struct crew *crew;
	uint32_t used; /* client: there is a thread to join */
	int32_t tid;
	uint32_t hangs;			/* its own: counts calls that might have hung */
	uint32_t ran_quick, looks_slow; /* its own, as are these: how often, for turns */
	uint32_t overtook; /* batches of quick calls since it last looked for slow ones */
	bool quick;	   /* its own: counted in quick_running, not as looking */
	bool deaf;	   /* client: there is no signal that ends its calls */
	bool unsent;	   /* client: one that could not be sent */
	pthread_mutex_t cancel_lock;
	pthread_t thread;
	struct host *host;
	uint64_t spin_ns;    /* adapted */
	uint64_t move_after; /* worker_place.c */
};

#define WORKERS_FOR(max) (2 * (max))

struct threads {
	struct work_ring lane[LANES][3];
	struct result_ring results;
	/* written by the client */
	alignas(CACHE_PAIR) _Atomic uint32_t pushes; /* futex */
	_Atomic uint32_t generation;
	_Atomic bool scarce; /* a thread could not be started when one was wanted last */
	/* written by threads */
	alignas(CACHE_PAIR) _Atomic uint32_t cost_nr; /* last measured call number + 1, and ... */
	_Atomic uint32_t cost_ns;
	/* the client's own */
	alignas(CACHE_PAIR) struct crew *crew; /* of the present generation */
	uint32_t slow_out;		       /* slow ones that are outstanding */
	uint32_t risky_out;		       /* chains with calls that may hang */
	bool unsent;		      /* there are workers with a signal that could not be sent */
	uint64_t watched_ns;	      /* when they were looked at */
	uint32_t looks_in_vain;	      /* since a call came or ended */
	uint32_t new_quick, new_slow; /* pushed since the last flush */
	uint32_t max;
	uint32_t spinners; /* threads that may look without sleeping */
	uint32_t sharers;  /* threads among which quick calls are divided, the waiter included */
	int32_t signal;
	pthread_mutex_t lock;
	struct worker *workers; /* WORKERS_FOR(max): old crews may still be inside calls */
};

/* So many may be in slow calls, or in such as may hang, at once. */
static inline uint32_t threads_slow_most(const struct threads *t)
{
	return t->max > 1 ? t->max - 1 : 1;
}

/* In one lane, of any priority. */
uint32_t threads_queued(const struct threads *t, enum lane lane);
int threads_open(struct host *host); /* rings only; 0 or -ENOMEM */

/* worker.c */
void *worker_main(void *arg);

#endif
