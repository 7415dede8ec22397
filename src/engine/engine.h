/* SPDX-License-Identifier: MIT */
/*
 * An engine runs calls. docs/HOWTO_ADD_ENGINE.md walks through adding one.
 *
 * Contract (all functions are called by the client: the queue's one thread, or with its lock held)
 *  E1  start() == 0 means the engine has the slot and says host->ended() for it exactly once, from
 *      start, flush, reap or cancel. Any other value means that nothing happened: -EOPNOTSUPP (not
 *      this call with these words), -EAGAIN (no room now), or an error that took the engine away.
 *  E2  The engine reads slot->call and may change its argument words (a transfer that continues),
 *      and uses slot->next, prev, aux, lane and result as it likes while it has the slot.
 *  E3  The result is what the synchronous call would have returned: short transfers that the
 *      blocking call would have completed are continued by the engine.
 *  E4  After ended() nothing touches memory that the call's arguments point to.
 *  E5  cancel() makes the end come soon: -ECANCELED, or the real result if that was faster.
 *  E6  host->outstanding[] counts the slots that the engine has. With none, only start and close are called.
 *  E7  Sleeping is the scheduler's (sched/sleep.c). An engine whose ends can arrive while the client
 *      sleeps says how: a descriptor in the queue's epoll set, or the queue's bell.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/host.h"
#include <asys/queue.h>
#include <asys/table.h>

/* Those up to close are every engine's, but takes_disk; the others are NULL where there is nothing to do. */
struct engine {
	const char *name;
	/* Can it give a call of this number, and of these words where they tell, its exact meaning? start may still refuse. */
	bool (*takes)(const struct asys_call *call);
	/* ... and let it wait for a disk without a thread of its own. */
	bool (*takes_disk)(uint32_t nr);
	/* Hands the call over. */
	int (*start)(struct host *host, uint32_t i);
	/* Makes the kernel or another thread see what start() and cancel() collected. */
	void (*flush)(struct host *host);
	/* Ends calls that are over; returns how many. Cheap when there are none. */
	unsigned (*reap)(struct host *host);
	void (*cancel)(struct host *host, uint32_t i);
	/* Frees the engine's state; nothing is outstanding. Also in a forked child, where it must not
	 * touch what it shares with the parent (`child`). */
	void (*close)(struct host *host, bool child);

	/*
	 * Sleep (E7). Who is to sleep calls listen, then has_news, and sleeps if that is false: what ends from listen
	 * on wakes him, by the epoll set or by the bell, until listen_no_more.
	 */
	bool by_epoll; /* its ends wake who sleeps in the epoll set; else the bell rings for them */
	/* Puts what it waits for into the set, which exists. 0, or -errno with message. */
	int (*watch)(struct host *host);
	void (*listen)(struct host *host);
	bool (*has_news)(const struct host *host); /* there are ends to reap */
	/* No end will come by itself any more: the next reap ends what the engine has. */
	bool (*broken)(const struct host *host);
	/* Perhaps there are, or will be, ends that a bell armed for several has not counted. */
	bool (*may_have_news)(const struct host *host);
	void (*listen_no_more)(struct host *host);
	/* Somebody has slept in the epoll set, or polled it: takes what would make it poll for ever. */
	unsigned (*woken)(struct host *host);
	/* Sleeps for this engine alone, if no other one has calls: until an end or when_ns; 0, -EINTR or -ETIME.
	 * Without the lock. */
	int (*wait)(struct host *host, uint64_t when_ns);

	/*
	 * Rights, see sched/context.c. retire: nothing is started any more with the rights that were there when
	 * the engine was opened; what has been handed over is submitted now. renew: and from now on with the calling
	 * thread's.
	 */
	void (*retire)(struct host *host);
	void (*renew)(struct host *host);
	/* After it: the process has no threads of this engine any more, if these can leave within some time. */
	void (*see_off)(struct host *host);
	/* Before a change that may forbid the engine its ways: what is in flight is called back, for other engines. */
	void (*recall)(struct host *host);
	/* This thread is about to exit: calls that its exit would end, or wait for, are called back. */
	void (*thread_leaves)(struct host *host);
};

extern const struct engine engine_threads, engine_ready, engine_uring;

/* engine/engines.c: by enum asys_engine, from FIRST_ENGINE on; those before run no calls of their own. */
extern const struct engine *const engines[ASYS_ENGINE_COUNT];
#define FIRST_ENGINE ASYS_ENGINE_THREADS
/* The same for all of them; `kinds` are bits, 1 << enum asys_engine. */
#define ALL_ENGINES UINT32_MAX
uint32_t engines_busy(const struct host *host); /* which have calls: kinds */
void engines_flush(struct host *host);
unsigned engines_reap(struct host *host);
uint32_t engines_by_epoll(uint32_t kinds); /* of these */
int engines_watch(struct host *host);	   /* 0, or the first error */
void engines_listen(struct host *host, uint32_t kinds);
bool engines_have_news(const struct host *host, uint32_t kinds);
bool engines_broken(const struct host *host);
bool engines_may_have_news(const struct host *host, uint32_t kinds);
void engines_listen_no_more(struct host *host, uint32_t kinds);
/* The only one of `kinds`, if it can wait for its calls itself; else NULL. */
const struct engine *engines_wait_alone(uint32_t kinds);
void engines_woken(struct host *host, uint32_t kinds);
void engines_retire(struct host *host);
void engines_renew(struct host *host);
void engines_see_off(struct host *host);
void engines_recall(struct host *host);
void engines_thread_leaves(struct host *host);
void engines_close(struct host *host, bool child);

/* engine/fault.c: decides the fate of a call that is about to start. */
int fault_open(struct fault **ret_fault, const char *spec); /* -EINVAL with message */
void fault_close(struct fault *fault);
enum fate {
	FATE_RUN,   /* as it is */
	FATE_SHORT, /* the words of slot->call now ask for less */
	FATE_END,   /* without running, with *ret_result */
};
enum fate fault_before(struct fault *fault, struct slot *slot, int64_t *ret_result);
/* A call ended: how many ns its event shall be held back; 0: none. */
uint64_t fault_delay(struct fault *fault);

#endif
