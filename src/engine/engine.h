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

struct engine {
	const char *name;
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
};

extern const struct engine engine_threads, engine_ready, engine_uring;

/* engine/engines.c: by enum asys_engine, from FIRST_ENGINE on; those before run no calls of their own. */
extern const struct engine *const engines[ASYS_ENGINE_COUNT];
#define FIRST_ENGINE ASYS_ENGINE_THREADS

/*
 * engine/ready.c: can the call be attempted without blocking? With per-call means only (MSG_DONTWAIT,
 * RWF_NOWAIT, a zero time-out, poll before): the descriptor's flags are shared with others and stay
 * as they are.
 */
bool ready_takes(const struct asys_call *call);

/* engine/uring.c */
bool uring_takes(uint32_t nr);	  /* this kernel has an opcode for the call */
bool uring_is_async(uint32_t nr); /* ... and serves it without a kernel thread (read and write) */
/* Waits in the kernel for at least one end, until when_ns; 0, -EINTR, -ETIME. Without the lock. */
int uring_wait(struct host *host, uint64_t when_ns);
/* No SQE may be taken from now on (the sender's context changed); what is in flight ends. */
void uring_retire(struct host *host);
/* This thread is about to exit, and the kernel's workers for what it has submitted with it: calls are called back, to
 * be started again by others. An exit that finds them blocked can wait for them for ever. */
void uring_thread_leaves(struct host *host);
/* As uring_retire, before a change that may forbid io_uring: what is in flight is called back, for other engines. */
void uring_recall(struct host *host);
/* For sleeping in epoll: puts the ring's news into host->epoll_fd (0 or -errno with message); makes it
 * tell from now on; and no more, forgetting what it told. uring_has_news: there are ends to reap. */
int uring_watch(struct host *host);
void uring_listen(struct host *host);
void uring_listen_no_more(struct host *host);
bool uring_has_news(const struct host *host);
/* Nobody may enter the ring any more, and the next reap ends what is in it. */
bool uring_is_refused(const struct host *host);

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
