/* SPDX-License-Identifier: MIT */
/* io_getevents. */
#include "getevents.h"

#include "../common/cancel.h"
#include "../common/errno.h"
#include "../common/stats.h"
#include "eventfd.h"
#include "memory.h"
#include "rent.h"
#include "settle.h"
#include "symbols.h"

#include <errno.h>
#include <string.h>

#define ENDS_AT_ONCE 64u
#define SECOND_NS 1000000000ull
/* Always with a limit: without one, a futex goes on after a handler with SA_RESTART, and io_getevents
 * must not. */
#define LONG_NS (1000000 * SECOND_NS)

int limit_take(const struct timespec **timeout, struct timespec *ret_copy)
{
	if (!*timeout)
		return 0;
	if (!memory_get(memory_now(), ret_copy, (uintptr_t)*timeout, sizeof(*ret_copy)))
		return -EFAULT;
	*timeout = ret_copy;
	return 0;
}

static uint64_t until_from(const struct timespec *timeout)
{
	int64_t ns;

	if (!timeout)
		return UINT64_MAX;
	if (__builtin_mul_overflow((int64_t)timeout->tv_sec, (int64_t)SECOND_NS, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)timeout->tv_nsec, &ns) || ns < 0)
		return UINT64_MAX;
	return ns ? asys_now() + (uint64_t)ns : 0;
}

int get_begin(struct getting *get, long least, long most, const struct timespec *timeout)
{
	if (least < 0 || least > most)
		return -EINVAL;
	get->most = most < INT32_MAX ? (unsigned)most : INT32_MAX;
	get->least = least < INT32_MAX ? (unsigned)least : INT32_MAX;
	get->until_ns = least ? until_from(timeout) : 0;
	return 0;
}

uint64_t time_left(uint64_t until_ns)
{
	uint64_t now;

	if (!until_ns || until_ns == UINT64_MAX)
		return until_ns;
	now = asys_now();
	return now < until_ns ? until_ns - now : 0;
}

/* Of the next event. */
static uintptr_t get_place(const struct getting *get)
{
	return get->events + get->got * sizeof(struct io_event);
}

/* So many further events, all of which are there, can be written where the program wants them. Other threads
 * may take the memory away while this one sleeps, so what is known is looked at again. */
static bool takes(struct getting *get, unsigned n)
{
	get->fault = n && !memory_takes(memory_now(), get_place(get), n * sizeof(struct io_event));
	return !get->fault;
}

void get_from_ring(struct context *ctx, struct getting *get)
{
	unsigned n = ring_count(ctx->events), left = get->most - get->got;

	n = n < left ? n : left;
	if (n && takes(get, n)) /* else there may be no array at all */
		get->got += ring_take(ctx->events, (void *)get_place(get), n);
}

/* What the program's memory does not take goes into the ring, as in the kernel it stays there; and so do all while
 * older ones are there, which another thread may have put in since this one went to sleep. */
static void hand_over(struct context *ctx, struct getting *get, const struct io_event *events,
		      unsigned n)
{
	bool direct = !ring_count(ctx->events) && takes(get, n);

	if (direct && n)
		memcpy((void *)get_place(get), events, n * sizeof(*events));
	get->got += direct ? n : 0;
	for (unsigned k = 0; k < n; k++) {
		if (!direct)
			ring_put(ctx->events, &events[k]);
		context_unreserve(ctx);
	}
	if (!direct && n)
		context_tell(ctx); /* the others: this one may leave without them */
}

static void settle_all(struct context *ctx, const struct asys_event *ends, int n,
		       struct getting *get)
{
	struct io_event events[ENDS_AT_ONCE];
	int eventfds[ENDS_AT_ONCE];
	unsigned settled = 0;

	for (int k = 0; k < n; k++)
		settled += settle(ctx, &ends[k], &events[settled], &eventfds[settled]);
	hand_over(ctx, get, events, settled);
	for (unsigned k = 0; k < settled; k++)
		if (eventfds[k] >= 0)
			eventfd_tell(eventfds[k], 1);
	context_flush(ctx);
}

static unsigned room(const struct getting *get)
{
	unsigned left = get->most - get->got;

	return left < ENDS_AT_ONCE ? left : ENDS_AT_ONCE;
}

/* Again only after as much as there was room for: threads that have taken events wait for the lock. */
void get_from_queue(struct context *ctx, struct getting *get)
{
	struct asys_event ends[ENDS_AT_ONCE];
	unsigned most;
	int n;

	do {
		most = room(get);
		n = asys_queue_get_many(ctx->queue, ends, most, 0, 0);
		settle_all(ctx, ends, n, get);
	} while (n > 0 && (unsigned)n == most && ctx->sent && room(get));
}

/*
 * The queue came back with fewer ends than were asked for, and before the time: nothing was in flight any more,
 * or a signal was taken. It was a signal if the queue still has calls from before: more than were sent
 * meanwhile. (Where others send while this one waits that is not always seen, and it waits on.)
 */
static bool was_interrupted(const struct context *ctx, uint32_t sent_before)
{
	return asys_queue_pending(ctx->queue) > ctx->sent_ever - sent_before;
}

/* The lock is let go while it sleeps. 0 or -EINTR. */
static int sleep_in_queue(struct context *ctx, struct getting *get, unsigned least, uint64_t left)
{
	struct asys_event ends[ENDS_AT_ONCE];
	unsigned most = room(get);
	uint64_t until = asys_now() + (left < LONG_NS ? left : LONG_NS);
	uint32_t sent_before;
	int n;

	if (ctx->held)
		least = 1; /* which may let others start */
	least = least < most ? least : most;
	ctx->sleepers++;
	ctx->kick_worth += least;
	sent_before = ctx->sent_ever;
	pthread_mutex_unlock(&ctx->lock);
	n = asys_queue_get_many(ctx->queue, ends, most, least, left < LONG_NS ? left : LONG_NS);
	pthread_mutex_lock(&ctx->lock);
	ctx->sleepers--;
	ctx->kick_worth -= least;
	settle_all(ctx, ends, n, get);
	if (n > 0 && (unsigned)n < least && asys_now() < until && was_interrupted(ctx, sent_before))
		return -EINTR;
	return n < 0 ? n : 0;
}

static int sleep_for_news(struct context *ctx, uint64_t left)
{
	uint32_t news = atomic_load(&ctx->news);
	long err;

	ctx->idle++;
	pthread_mutex_unlock(&ctx->lock);
	err = futex_sleep(&ctx->news, news, left);
	pthread_mutex_lock(&ctx->lock);
	ctx->idle--;
	return err == -EINTR ? -EINTR : 0;
}

int get_sleep(struct context *ctx, struct getting *get, unsigned least, uint64_t limit_ns)
{
	int err;

	if (!atomic_load(&ctx->reaping) && ctx->sent)
		err = sleep_in_queue(ctx, get, least, limit_ns);
	else
		err = sleep_for_news(ctx, limit_ns);
	get_from_ring(ctx, get);
	return err;
}

/* With the lock. 0, -EINTR, or -EINVAL when the context is being destroyed. */
static int get_all(struct context *ctx, struct getting *get)
{
	bool reaping = atomic_load_explicit(&ctx->reaping, memory_order_relaxed);
	uint64_t left;
	int err = 0;

	rent_visited(ctx);
	get_from_ring(ctx, get);
	/* Not before a sleep in the queue, which runs quick calls here instead of waking threads. */
	if (!reaping && ctx->sent && get->got < get->most &&
	    (get->got >= get->least || !get->until_ns)) {
		get_from_queue(ctx, get);
		get_from_ring(ctx, get);
	}
	while (!err && get_wants(get) && (left = time_left(get->until_ns))) {
		if (atomic_load(&ctx->dead))
			return -EINVAL;
		err = get_sleep(ctx, get, get->least - get->got, left);
	}
	if (err != -EINVAL && (!get->until_ns || get->got < get->least))
		get_prompt(ctx, get);
	return err;
}

void get_leave(struct context *ctx)
{
	bool kicked = ring_count(ctx->events) && context_kick(ctx);

	pthread_mutex_unlock(&ctx->lock);
	if (kicked)
		asys_queue_flush(ctx->queue);
}

/* As in libaio itself, which then does not look at the other arguments. */
static bool nothing_there(struct context *ctx, const struct timespec *timeout)
{
	return timeout && !timeout->tv_sec && !timeout->tv_nsec && !ring_count(ctx->events);
}

int shim_io_getevents(void *ring, long least, long most, struct io_event *events,
		      const struct timespec *timeout)
{
	SHIM_NO_CANCEL;
	SHIM_KEEP_ERRNO;
	struct getting get = { .events = (uintptr_t)events };
	struct timespec copy;
	struct context *ctx;
	int err;

	shim_count_native(1);
	err = limit_take(&timeout, &copy);
	if (err)
		return err;
	ctx = context_enter(ring);
	if (!ctx)
		return -EINVAL;
	err = get_begin(&get, least, most, timeout);
	if (err) {
		err = nothing_there(ctx, timeout) ? 0 : err;
		context_leave(ctx);
		return err;
	}
	pthread_mutex_lock(&ctx->lock);
	err = get_all(ctx, &get);
	get_leave(ctx);
	context_leave(ctx);
	return get_result(&get, err);
}
