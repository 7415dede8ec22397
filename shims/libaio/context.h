/* SPDX-License-Identifier: MIT */
/*
 * libaio.so.1 on asynchronous system calls: what an io_context_t is here.
 *
 *   symbols.c    the exported names, in all their versions
 *   registry.c   which pointers are contexts; references; what a forked child sees
 *   context.c    io_setup, io_destroy
 *   submit.c     io_submit: one iocb after the other
 *     check.c      what the kernel refuses
 *     memory.c     may the program's memory be touched
 *     files.c      what is believed of descriptors
 *     prepare.c    what kind of file it is, and which system call it becomes
 *     attempt.c    what can be done at once without waiting is done at once; size.c
 *     order.c      what must not overtake what
 *     rent.c       started at once, or by the program when it comes for events
 *     polls.c       IOCB_CMD_POLL: one epoll set for all of a context's
 *   settle.c     an end comes back from the queue
 *   getevents.c  io_getevents; pgetevents.c with a signal mask
 *     prompt.c     events that the kernel has at once
 *   ring.c       the ring of events that programs may read themselves
 *   reaper.c     a thread that fills that ring
 *   inbox.c      what program threads leave to it
 *   cancel.c     io_cancel
 *   numbers.c    the program closes a descriptor that operations in flight need
 *   exit.c       what is in flight when the program ends
 *
 * Who runs what. io_submit never waits. A read of a file that is not O_DIRECT is attempted there with
 * RWF_NOWAIT, which gives what the page cache has: the one system call that tells whether the
 * descriptor is good also brings the data, and nothing is queued. A poll is looked at once in the same
 * way. Everything else goes to the context's queue of system calls: reads that are not in memory,
 * O_DIRECT, pipes and sockets are for io_uring (which waits for them without a thread), writes to the
 * page cache and fsync for whoever waits or for system call threads. They are started before io_submit
 * returns, or left to the program where it always comes for events within moments (rent.c).
 *
 * Two modes. DIRECT, as long as it will do: no thread of the shim's own; io_getevents waits in the
 * queue itself and takes events from it, past the ring. REAPING, from the first queued operation with
 * IOCB_FLAG_RESFD on: somebody must signal the eventfd and fill the ring while the program is
 * elsewhere, so a thread waits in the queue and io_getevents waits for the ring. Submissions go to
 * that thread by an inbox.
 *
 * Addresses. A bad one is -EFAULT under the kernel and a fault here, so the kernel is asked before iocbs, their
 * vector and the events are touched: by getcpu, which writes four bytes where four bytes are written anyway,
 * and rt_sigprocmask, which reads eight: the cheapest calls that do either, about 150 ns. That is once for a
 * page and call of the program's, so nearly nothing for many operations at once, and nothing for what lies on
 * the page of the stack that the thread is on. Where libasys-syscall.so sees what unmaps memory, a thread
 * remembers its last pages between calls (memory.h), which spares an operation alone three questions. Asking
 * for all at once (process_vm_readv) costs four times as much. A handler of SIGSEGV would cost nothing; but it is
 * the program's signal: the program may handle it itself, from before or later, on a stack of its own, and a
 * thread that blocks all signals, as threads for I/O do, would be killed. What another thread unmaps between the
 * question and the use is still a fault, which is a race under the kernel as well.
 *
 * Invariants (`lock` is the context's):
 *   A1  active + events in the ring <= nr - 1: so the ring never overflows, and memory is bounded. An
 *       operation is active from its acceptance until its event is in the ring or in the hands of
 *       io_getevents.                                                  tests/aio/libaio_limits.c
 *   A2  every accepted operation brings exactly one event.             libaio_threads.c
 *   A3  whoever lets go of the lock leaves no event in the ring for which a thread that sleeps in the
 *       queue was not kicked: sleepers in the queue see the queue only. libaio_threads.c
 *   A4  `sent` is how many calls the queue has or had and whose end is not settled: a thread of the
 *       program sleeps in the queue only while it is not 0, else on `news`. libaio_threads.c
 *   A5  buffered operations of one context on one descriptor whose ranges overlap, appends, reads at
 *       the end of the file, fsync after writes, and each direction of a pipe or socket keep the order
 *       of submission, as they do where the kernel runs them in io_submit. libaio_order.c
 *   A6  what was accepted is started within two ticks of ATTEND_NS even if nobody comes for events.
 *                                                                      libaio_nonblock.c
 *   A7  a context is freed when nobody is inside (references) and its queue is closed, and is found by
 *       nobody who comes later.                                        libaio_destroy.c
 *   A8  in a forked child no context exists.                           libaio_fork.c
 *   A9  a close that the shim is told of (numbers.h) returns when no operation accepted before depends
 *       on the number.                                                 libaio_close.c
 *   A10 in REAPING no thread of the program starts a call: io_uring ends calls in the thread that
 *       started them, whose waits would end with EINTR.                with_uring.c
 *   A11 what is in the inbox is sent without anything else happening.  libaio_ring.c
 */
#ifndef LIBAIO_CONTEXT_H
#define LIBAIO_CONTEXT_H

#include "operation.h"
#include "ring.h"

#include <asys/asys.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>

#define FILE_CACHE 64u
#define POLLED 16
#define NUMBERS 64u

struct context {
	_Atomic(struct aio_ring *) ring; /* the program's pointer; NULL: this place is free */
	atomic_uint references;		 /* of threads inside; a futex for io_destroy */
	atomic_bool dead;		 /* io_destroy has begun */
	unsigned index;			 /* of this place */
	unsigned wanted_events;		 /* what io_setup asked for */
	uint32_t nr;			 /* of the ring; the program could change what is there */
	struct aio_ring *events;	 /* the same ring where the program does not move it, for
					  * those who have a reference */

	/* The shim allocates and frees nothing, and starts no thread, with `lock`: the program may end in a
	 * handler that interrupted malloc, and then needs the lock to finish what was written. What is made for the
	 * context is made with `making`, which nobody needs at the end. It comes before `lock`. */
	pthread_mutex_t making;
	atomic_bool made; /* the queue is there */

	pthread_mutex_t lock;
	struct asys_queue *queue;     /* from the first operation that is queued */
	struct operation *operations; /* nr of them, touched as they are needed */
	struct operation *unused;
	uint32_t fresh;		  /* never used from here on */
	struct operation *newest; /* in flight, newest first */
	atomic_uint active;	  /* accepted and not ended; counted without the lock */
	atomic_uint writes;	  /* of them; also looked at without the lock */
	uint32_t held;		  /* of them, not sent yet (order.c) */
	uint32_t prompt;	  /* of them, those that a visit without waiting looks for */
	uint32_t streams;	  /* of them, those of pipes, sockets and the like */
	bool unflushed;		  /* something was sent that nobody has flushed */
	uint32_t sent;		  /* calls to the queue whose ends were not settled yet */
	uint32_t sent_ever;	  /* so many until now, wraps */
	uint64_t births;	  /* operations so far */

	/* numbers.c: how many operations in flight name a descriptor of this remainder; read without the
	 * lock */
	_Atomic uint32_t numbers[NUMBERS];

	/* rent.c */
	bool deferred;	     /* calls were sent and not started */
	uint32_t for_ring;   /* of them, those that io_uring starts, weighed */
	bool submitted;	     /* since the last visit */
	uint64_t visits;     /* of threads that came to get events */
	uint64_t sent_at_ns; /* the last one */
	uint64_t return_ns;  /* from there to the next visit, smoothed */

	/* waiting */
	_Atomic uint32_t
		news;	     /* changes with every event in the ring and every call sent; a futex */
	uint32_t idle;	     /* threads that wait for `news` */
	uint32_t sleepers;   /* threads of the program in the queue */
	uint32_t kick_worth; /* ends that they wait for, in all */
	uint32_t kicks;	     /* kicks sent that have not come back */
	int news_fd;	     /* the same for io_pgetevents, or -1 */

	/* polls.c */
	int epoll_fd; /* or -1 */
	bool watching;
	asys_id watch;
	struct epoll_event polled[POLLED];

	/* inbox.c */
	struct operation *inbox, *inbox_last; /* the first, and if there is one, the last */
	int bell;			      /* or -1 */
	bool bell_read;			      /* the queue has a call that reads it */
	uint64_t bell_count;
	atomic_bool asleep; /* who puts something in rings */

	/* reaper.c */
	atomic_bool reaping;
	bool has_thread;
	atomic_bool wants_thread; /* there is work for one */
	atomic_bool stopping;	  /* it ends, when nobody else is inside */
	_Atomic uint32_t work;	  /* changes when there is something for it; a futex */
	bool reaper_idle;	  /* it waits for `work` without a limit */
	unsigned quiet;		  /* how often it looked in vain */
	pthread_t reaper;

	/* files.c */
	_Atomic uint64_t files[FILE_CACHE];
};

/* The context that `ring` points to, with a reference; NULL if there is none. A ring may have been moved: then
 * its memory tells. */
struct context *context_enter(const void *ring);
void context_leave(struct context *ctx);

/* How deep this thread is inside the shim: it may hold locks, also of the queue. */
extern _Thread_local unsigned shim_inside;

static inline void inside_begin(void)
{
	shim_inside++;
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void inside_end(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	shim_inside--;
}

/* registry.c, for context.c. -EAGAIN: too many. */
int registry_add(struct aio_ring *ring, struct aio_ring *own, unsigned wanted,
		 struct context **ret_ctx);
/* Takes it out: true for the one caller that did. Others find nothing from then on. False: it is as before. */
bool registry_remove(const void *ring, struct context **ret_ctx);
/* Nobody is inside any more. `ring`: its address, as it was taken out; it is unmapped. */
void registry_free(struct context *ctx, struct aio_ring *ring);
/* All contexts of this process, one after the other, with a reference each; `index` from 0. Only those
 * with operations that may name one of the descriptors from `first` to `last`; and none in a child
 * that has its parent's memory until exec (vfork). */
struct context *registry_next(unsigned *index, unsigned first, unsigned last);
/* The next context of this process that io_destroy of another thread has begun with and in which operations are in
 * flight; it may be gone at any moment. */
struct context *registry_next_dead(unsigned *index);
/* The queue of this context is to be closed in a forked child. */
void registry_note_queue(const struct context *ctx, struct asys_queue *queue);

int context_setup(unsigned wanted, void **ret_ring);
/* The same, whatever is in *ret_ring. */
int context_setup_anew(unsigned wanted, void **ret_ring);
int context_destroy(void *ring);
/* What an operation needs of its context before it is queued: the queue, and if somebody is to be told of its
 * end, the thread that does. Without the lock. -ENOMEM or -EAGAIN. */
int context_make(struct context *ctx, bool tells);
/* What writes to files is waited for, everything else is cancelled. With the lock. */
void context_finish(struct context *ctx);

/* A place for one operation more, or for its event (A1). Without the lock: an event is in the ring before
 * its operation is active no longer, so what moves between the two is counted twice at most. */
static inline bool context_reserve(struct context *ctx)
{
	if (atomic_fetch_add(&ctx->active, 1) + ring_count(ctx->events) < ctx->nr - 1)
		return true;
	atomic_fetch_sub(&ctx->active, 1);
	return false;
}

static inline void context_unreserve(struct context *ctx)
{
	atomic_fetch_sub(&ctx->active, 1);
}

/* With the lock: one more call is in the queue. */
static inline void context_sent(struct context *ctx)
{
	ctx->sent++;
	ctx->sent_ever++;
}

/* With the lock: calls were sent, or events lie in the ring: news for those who wait for that. */
void context_tell(struct context *ctx);
/* What was sent is started: here, or by the thread that has the queue. Without the lock, or with it. */
void context_start(struct context *ctx);
/* With the lock: the same for what was sent while events were settled. */
void context_flush(struct context *ctx);
/* With the lock: ends the sleep of those in the queue. Flush after letting go of the lock. */
bool context_kick(struct context *ctx);

long futex_sleep(const _Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns);
void futex_wake_all(const _Atomic uint32_t *word);

#endif
