/* SPDX-License-Identifier: MIT */
/*
 * The queue: calls go in, events come out, and one place waits.
 *
 * Threads: a queue belongs to one thread at a time, unless it was opened with ASYS_QUEUE_SHARED;
 * then every function here except asys_queue_close may be called from any thread.
 * Fork: a child cannot use its parent's queues; every function answers -ECHILD there, but
 * asys_queue_pending, 0, and asys_queue_close, which only frees the child's copy (and leaves descriptors
 * open until exec or exit).
 * NULL is allowed where a comment says so; any other pointer that is NULL is a fault of the program,
 * which ends it as in the C library.
 * Errors: functions return 0 or more on success, -errno on failure, and never touch errno.
 * Outputs (ret_...) are written only on success.
 */
#ifndef ASYS_QUEUE_H
#define ASYS_QUEUE_H

#include <asys/types.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Who runs a call. AUTO lets the queue choose for every call; the others are preferences: a call
 * that the engine cannot serve goes to one that can. */
enum asys_engine {
	ASYS_ENGINE_AUTO = 0,
	ASYS_ENGINE_INLINE,  /* the thread that waits */
	ASYS_ENGINE_THREADS, /* system call threads */
	ASYS_ENGINE_READY,   /* attempt without blocking, else wait for readiness (epoll) */
	ASYS_ENGINE_URING,   /* io_uring */
	ASYS_ENGINE_COUNT
};

/* asys_queue_options.flags */

/* Several threads use the queue at once. */
#define ASYS_QUEUE_SHARED (1u << 0)
/* Poll for me: a thread of its own drives the queue, so that calls start and continue while the sender
 * computes. Implies SHARED. */
#define ASYS_QUEUE_DRIVER (1u << 1)
/* Never run on me: a waiting thread does not execute calls (those of class home excepted). */
#define ASYS_QUEUE_NO_HELP (1u << 2)
/* Sending to a full queue fails with -EAGAIN instead of helping. */
#define ASYS_QUEUE_NONBLOCK (1u << 3)
/* io_uring's own polling thread. It keeps the rights that the opener has now: see asys(7). */
#define ASYS_QUEUE_SQPOLL (1u << 4)
#define ASYS_QUEUE_FLAGS 0x1fu

#define ASYS_DEPTH_MAX (1u << 22)
#define ASYS_THREADS_MAX 1024u
#define ASYS_SPIN_MAX_NS 1000000u

/* How to open a queue. Start from asys_queue_options_init and change what you need. */
struct asys_queue_options {
	/* sizeof(struct asys_queue_options), set by _init. A later version of this structure adds fields at the end;
	 * those that a program does not know have their defaults. */
	uint32_t size;
	uint32_t
		depth; /* calls in flight, 1..ASYS_DEPTH_MAX, rounded up to a power of two, >= 2; 256 */
	uint32_t engine;  /* enum asys_engine; AUTO. The environment's ASYS_ENGINE overrides it */
	uint32_t flags;	  /* ASYS_QUEUE_... */
	uint32_t threads; /* system call threads at most, 1..ASYS_THREADS_MAX; 12 */
	uint32_t
		cores; /* cores to keep busy, the waiter's included, 0..1024; 0, and more than these: all
			 * that the process may use, as its first queue found it */
	uint32_t spin_ns;  /* how long a sleeper spins first, 0..ASYS_SPIN_MAX_NS; 50000, and less
			   * where spinning was in vain; without effect when cores is 1 */
	int32_t signal;	   /* real-time signal that cancels a blocked call; 0: SIGRTMAX - 3, or the
			   * next one below that the program does not handle; if it handles all, a
			   * call that blocks in a thread ends when it ends, cancelled or not.
			   * Its handler is installed when the first thread starts, removed after
			   * the last has ended. -EBUSY if the program handles the one asked for */
	const char *fault; /* failure injection, or NULL: see asys_fault(7). Read during open only.
			    * The environment's ASYS_FAULT overrides it */
};

/* Sets the defaults given above. */
ASYS_API void asys_queue_options_init(struct asys_queue_options *options);

/*
 * Opens a queue; NULL options are the defaults. But for the driver's, no thread and no ring exists until a
 * call needs it. -EINVAL: an option, or a variable of the environment, is out of range, or two contradict
 * each other; -E2BIG: an option that only a newer library knows; -EBUSY: the program handles the signal; -ENOMEM; -EMFILE: the process has 1023 queues;
 * -EAGAIN: the driver's thread could not be started (a limit of processes or threads, or memory).
 * asys_message() then says which, and what to do. io_uring missing is no error, unless SQPOLL asked
 * for it (what io_uring_setup answers: -ENOSYS, -EPERM, -EACCES, -ENOMEM, -EMFILE, -ENFILE): the other
 * engines serve.
 */
ASYS_API int asys_queue_open(struct asys_queue **ret_queue,
			     const struct asys_queue_options *options);

/*
 * Cancels what is in flight, waits until nothing touches a buffer any more, and frees the queue.
 * Events not yet got are gone. NULL is allowed. Not from a signal handler.
 */
ASYS_API void asys_queue_close(struct asys_queue *queue);

/* Why the last function that failed in this thread did so, in a sentence: what, on what, why, what
 * to do. Functions that succeed leave it as it is, and so do calls that end with an error, which is in their
 * event. Never NULL; valid until the next failure in this thread. */
ASYS_API const char *asys_message(void);

/*
 * Queues one call (copied). The id's value is negative if it could not be queued: -ENOSYS for a
 * number no table and no kernel could know (above 65535), -EOPNOTSUPP for a call of class never,
 * -EINVAL for unknown flags or two priorities, -EAGAIN when full, with ASYS_QUEUE_NONBLOCK or of calls
 * that cannot end, -ENOMEM, -ECHILD. A full queue helps: it runs and awaits calls until there is room.
 * The memory that arguments point to belongs to the call until its event.
 */
ASYS_API asys_id asys_send(struct asys_queue *queue, const struct asys_call *call);

/* Starts everything that was sent and can start, now, and returns without waiting for it. Calls of
 * class home run during it. Getting and waiting do this too. 0; -ECHILD; -EINVAL, as of all that gets or waits:
 * asys_after or its kind was said about a next call, and none was sent. */
ASYS_API int asys_queue_flush(struct asys_queue *queue);

/* Takes one event if one is there: 1, else 0. Never waits and never runs a call for long. */
ASYS_API int asys_queue_get(struct asys_queue *queue, struct asys_event *ret_event);

/* asys_queue_get_many: no limit of time. */
#define ASYS_FOREVER UINT64_MAX

/*
 * Takes up to `max` events; returns how many. Waits until there are `min` (clipped to `max`), or
 * `timeout_ns` has passed (relative; ASYS_FOREVER: no limit), or nothing is in flight that could
 * bring another. A signal handler that ran ends the wait: -EINTR if no event was taken. While it
 * waits, the thread executes queued calls that cannot block for ever (unless NO_HELP), so the time
 * limit may be exceeded by the length of one call. Having `min` events, and room for more, it goes on with
 * such calls for some 20 us: several at once cost less each. A call that is alone in a private queue and awaited
 * without a limit runs in the thread even if it blocks: a signal handler then ends it as it would end
 * the system call, with an event of -EINTR.
 */
ASYS_API int asys_queue_get_many(struct asys_queue *queue, struct asys_event *ret_events,
				 unsigned max, unsigned min, uint64_t timeout_ns);

/* Waits for one call and takes its event, leaving all others. -ESTALE: no such call, or its event
 * was got before (or never comes: it was quiet and succeeded); -EXDEV: an id of another queue, or 0; the
 * id's own error if its value is negative; -EINTR. ret_event may be NULL. */
ASYS_API int asys_queue_wait(struct asys_queue *queue, asys_id id, struct asys_event *ret_event);

/*
 * Waits until every call sent has ended. Their events stay, to be got. Returns 0 if all calls that
 * ended since the last barrier succeeded, else the -errno of the first that failed; -EINTR.
 */
ASYS_API int asys_queue_barrier(struct asys_queue *queue);

/*
 * Asks for the end of a call. It still brings exactly one event: -ECANCELED, or its real result if
 * it was faster; after that event nothing touches its buffers. 0; -ESTALE, -EXDEV or the id's own error, as
 * asys_queue_wait; -EALREADY if the call has ended or was cancelled before.
 */
ASYS_API int asys_queue_cancel(struct asys_queue *queue, asys_id id);

/* Cancels every call in flight; returns how many were asked to end. */
ASYS_API int asys_queue_cancel_all(struct asys_queue *queue);

/*
 * A descriptor that polls readable (EPOLLIN) when asys_queue_get has something to do, for epoll,
 * libuv or glib loops. Owned by the queue: do not read or close it. After it polled, call
 * asys_queue_get until it returns 0; that also re-arms it. Level-triggered. It reads too while something
 * that was sent is to be started, which asys_queue_get does: no flush is needed, but one starts it sooner.
 * -EMFILE, -ENFILE, -ENOMEM, -ENOSPC (too many epoll watches of this user).
 */
ASYS_API int asys_queue_fd(struct asys_queue *queue);

/* Calls sent whose event was not got yet (quiet ones: that have not ended yet). In a child 0. */
ASYS_API uint64_t asys_queue_pending(struct asys_queue *queue);

/*
 * Tells the queue that this thread's own rights or namespaces changed by a direct system call
 * (unshare, setns, seccomp, landlock, capset, raw set*id): threads that started before are replaced
 * before the next call runs. Such calls sent through the queue do this by themselves. 0; -ECHILD.
 */
ASYS_API int asys_queue_renew(struct asys_queue *queue);

/* Counters since open. A later version adds more at the end. */
struct asys_stats {
	uint64_t sent;	      /* calls queued */
	uint64_t ended;	      /* calls that ended */
	uint64_t helped;      /* ... run by a waiting or sending thread */
	uint64_t cancelled;   /* ... with -ECANCELED or -ETIME by request */
	uint64_t traps;	      /* system calls made by the queue's users that were not a call sent */
	uint64_t sleeps;      /* times a user of the queue went to sleep */
	uint64_t wakeups;     /* times a thread or ring had to be woken */
	uint64_t batches;     /* groups of calls handed over at once */
	uint64_t overflow;    /* events kept aside because no slot was free */
	uint64_t faults;      /* injected faults */
	uint32_t threads;     /* system call threads now */
	uint32_t threads_max; /* ... at most so far */
	uint64_t by_engine
		[ASYS_ENGINE_COUNT]; /* calls that ended, by who ran them; AUTO: never started */
};

/* Fills *ret_stats as far as the program knows it. 0; -ECHILD. */
#define asys_queue_stats(queue, ret_stats) \
	asys_queue_stats_((queue), (ret_stats), sizeof(*(ret_stats)))
ASYS_API int asys_queue_stats_(struct asys_queue *queue, struct asys_stats *ret_stats, size_t size);

#ifdef __cplusplus
}
#endif
#endif
