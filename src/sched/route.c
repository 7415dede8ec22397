/* SPDX-License-Identifier: MIT */
/*
 * Who serves a call: decided once per call number when the queue is opened, from the table, the
 * probe and the options; and once more per call where its cost was measured.
 *
 *   class home                      the caller, at flush
 *   cannot block for ever           who waits, helped by threads that are awake (quick); io_uring
 *                                   would only hand most of these to kernel threads of its own
 *   the same, and several at once   the ring, where it runs them at once in the thread that submits
 *   cost less there                 them (batch.c)
 *   may block for ever              io_uring if it has an opcode, else ready if it can be attempted
 *                                   without blocking, else a thread of its own (slow)
 *   quick but measured slow         (a cold disk) io_uring or threads, so that many wait at once
 */
#include "sched/sched.h"

#include "syscall_table.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static bool has_uring(const struct asys_queue_options *o)
{
	return !asys_probe()->uring || (o->flags & ASYS_QUEUE_SQPOLL);
}

/* Only where no other thread waits for the lock, or for the ring, meanwhile. */
static bool may_batch(const struct asys_queue_options *o)
{
	return o->engine == ASYS_ENGINE_AUTO &&
	       !(o->flags & (ASYS_QUEUE_SHARED | ASYS_QUEUE_NO_HELP | ASYS_QUEUE_SQPOLL));
}

/*
 * Calls that the ring serves for less than a trap each, since it runs them at once where they are
 * submitted: an open in the ring costs two thirds of one by a trap. Others gain nothing: the ring
 * hands calls on names to kernel threads, reading from the page cache costs the same in both, and a
 * close of a file with a flush method would go to a kernel thread too, which releases the file only
 * after it has said that the close is over.
 */
static bool cheap_number(uint32_t nr)
{
	switch (nr) {
	case SYS_openat:
#ifdef SYS_open
	case SYS_open:
#endif
		return true;
	default:
		return false;
	}
}

/* `ret_why` is written in every case. */
static enum route route_of(const struct asys_queue_options *o, uint32_t nr, const char **ret_why)
{
	const struct asys_syscall_info *info = asys_syscall_info(nr);
	struct asys_call call = { .nr = nr };
	bool pool = o->engine == ASYS_ENGINE_THREADS || (o->flags & ASYS_QUEUE_NO_HELP);

	if (info && info->class_ == ASYS_CLASS_NEVER) {
		*ret_why = "cannot be queued";
		return ROUTE_NEVER;
	}
	if (info && info->class_ == ASYS_CLASS_HOME) {
		*ret_why = "concerns the calling thread";
		return ROUTE_HOME;
	}
	if (o->engine == ASYS_ENGINE_URING && has_uring(o) &&
	    engines[ASYS_ENGINE_URING]->takes(&call)) {
		*ret_why = "the queue asks for io_uring and the kernel has an opcode";
		return ROUTE_URING;
	}
	if (info && may_batch(o) && has_uring(o) && engines[ASYS_ENGINE_URING]->takes(&call) &&
	    cheap_number(nr)) {
		*ret_why = "cannot block for ever: who waits runs it, threads that are awake help; "
			   "several at once go through the ring where that costs less";
		return ROUTE_BATCH;
	}
	if (info && info->block != ASYS_BLOCK_FOREVER) {
		*ret_why = pool ? "the queue keeps it off the waiting thread" :
				  "cannot block for ever: who waits runs it, threads that are "
				  "awake help";
		return pool ? ROUTE_POOL : ROUTE_QUICK;
	}
	if (o->engine == ASYS_ENGINE_THREADS) {
		*ret_why = "the queue asks for threads";
		return ROUTE_SLOW;
	}
	if (info && o->engine != ASYS_ENGINE_READY && o->engine != ASYS_ENGINE_INLINE &&
	    has_uring(o) && engines[ASYS_ENGINE_URING]->takes(&call)) {
		*ret_why = "may block for ever: the kernel's ring waits for it";
		return ROUTE_URING;
	}
	if (info && engines[ASYS_ENGINE_READY]->takes(&call)) {
		*ret_why =
			"may block for ever: attempted without blocking, then epoll waits for it";
		return ROUTE_READY;
	}
	*ret_why = info ? "may block for ever and nothing but a thread can wait for it" :
			  "unknown number: a thread of its own while it runs";
	return ROUTE_SLOW;
}

/* Decided by route_by_call where words matter. */
void route_init(struct asys_queue *q)
{
	struct asys_queue_options o;
	const char *why;

	asys_queue_options_init(&o);
	o.engine = q->host.engine;
	o.flags = q->host.flags;
	for (uint32_t nr = 0; nr < CALL_NUMBERS; nr++)
		q->host.route[nr] = (uint8_t)route_of(&o, nr, &why);
	q->futex_route = q->host.route[SYS_futex];
	q->host.route[SYS_futex] = ROUTE_BY_CALL;
}

/* A quick call that turned out to wait for a device: not on the waiting thread, except now and then
 * to see whether that has changed. */
static enum route route_slow_quick(struct asys_queue *q, uint32_t nr)
{
	if ((++q->tick & 63) == 0 || q->host.engine == ASYS_ENGINE_INLINE)
		return ROUTE_QUICK;
	if (!q->host.uring_off && engines[ASYS_ENGINE_URING]->takes_disk(nr) &&
	    (q->host.engine == ASYS_ENGINE_AUTO))
		return ROUTE_URING;
	return ROUTE_SLOW;
}

/* One number for much: locks with priority inheritance belong to the thread that takes them; waking
 * never waits. */
static enum route route_futex(const struct asys_queue *q, const struct asys_call *call)
{
	switch ((uint32_t)call->arg[1] & ~(uint32_t)(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)) {
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
	case FUTEX_UNLOCK_PI:
	case FUTEX_TRYLOCK_PI:
	case FUTEX_WAIT_REQUEUE_PI:
		return ROUTE_HOME;
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
	case FUTEX_WAKE_OP:
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return may_help(q) ? ROUTE_QUICK : ROUTE_POOL;
	default:
		return (enum route)q->futex_route;
	}
}

enum route route_by_call(struct asys_queue *q, const struct asys_call *call)
{
	if (call->nr == CALL_CHAIN)
		return may_help(q) ? ROUTE_QUICK : ROUTE_POOL;
	if (call->nr == SYS_futex)
		return route_futex(q, call);
	return call->nr >= CALL_NUMBERS ? ROUTE_SLOW : route_slow_quick(q, call->nr);
}

/*
 * The ring tries an open with O_NONBLOCK, which must not change its meaning: it was asked for, or what
 * is opened is a folder or only a name. What may make a file goes to the kernel's threads at once.
 */
bool cheap_in_ring(const struct asys_call *call)
{
	const uint64_t same = O_NONBLOCK | O_DIRECTORY | O_PATH;
	const uint64_t makes = O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
	uint64_t flags;

	return open_flags(call, &flags) && (flags & same) && !(flags & makes);
}

/* Work that is shared is counted in what calls cost alone, or what they lose to each other would look
 * like work (share.h). Slow is slow in any case. */
void cost_note(struct asys_queue *q, uint32_t nr, uint32_t seen)
{
	uint32_t known = cost_known(&q->host.costs, nr);

	if (!seen || nr >= CALL_NUMBERS ||
	    (known && known < COST_SLOW_NS && seen < COST_SLOW_NS && helpers.live(&q->host) &&
	     !q->share.alone))
		return;
	q->share.moved |= cost_add(&q->host.costs, nr, seen);
}

enum lane quick_lane(const struct asys_queue *q, const struct slot *slot)
{
	if (slot->call.nr == CALL_CHAIN)
		return chain_lane(q, slot);
	return may_hang(&slot->call) ? LANE_HANGING : LANE_QUICK;
}

static int engine_of(enum route route)
{
	switch (route) {
	case ROUTE_NEVER:
		return -EOPNOTSUPP;
	case ROUTE_BY_CALL:
	case ROUTE_HOME:
	case ROUTE_QUICK:
	case ROUTE_BATCH:
		return ASYS_ENGINE_INLINE;
	case ROUTE_POOL:
	case ROUTE_SLOW:
		return ASYS_ENGINE_THREADS;
	case ROUTE_READY:
		return ASYS_ENGINE_READY;
	case ROUTE_URING:
		return ASYS_ENGINE_URING;
	}
	return -EINVAL;
}

ASYS_API int asys_engine_for(const struct asys_queue_options *options, uint32_t nr,
			     const char **ret_why)
{
	struct asys_queue_options o;
	const char *why;
	int engine, err = queue_options(&o, options);

	if (err)
		return err;
	if (nr > UINT16_MAX)
		return fail(-ENOSYS, "asys_engine_for: call %u: no kernel has a number above %u",
			    nr, UINT16_MAX);
	engine = engine_of(route_of(&o, nr, &why));
	if (engine < 0)
		return fail(engine, "asys_engine_for: %s cannot be queued: %s",
			    asys_syscall_info(nr)->name, asys_syscall_info(nr)->reason);
	if (ret_why)
		*ret_why = why;
	return engine;
}

ASYS_API const char *asys_engine_name(int engine)
{
	static const char *const names[] = { "auto", "inline", "threads", "ready", "uring" };

	return engine >= 0 && engine < ASYS_ENGINE_COUNT ? names[engine] : "unknown";
}

/* 0, or -EINVAL with message. */
int engine_from_environment(uint32_t *engine)
{
	const char *name = secure_getenv("ASYS_ENGINE");

	if (!name || !*name)
		return 0;
	for (uint32_t k = 0; k < ASYS_ENGINE_COUNT; k++) {
		if (!strcmp(name, asys_engine_name((int)k))) {
			*engine = k;
			return 0;
		}
	}
	return fail(-EINVAL,
		    "ASYS_ENGINE=%.80s: there is no such engine: set it to auto, inline, threads, "
		    "ready or uring, or unset it",
		    name);
}
