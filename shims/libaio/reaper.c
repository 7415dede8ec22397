/* SPDX-License-Identifier: MIT */
#include "reaper.h"

#include "eventfd.h"
#include "inbox.h"
#include "settle.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#define ENDS_AT_ONCE 64u
#define KICK_AGAIN_NS 1000000u
#define ATTEND_NS 4000000u
#define QUIET_MOST 50u /* looks in vain before it sleeps until it is woken */

/* Eventfds to tell: most programs have one, so the last one collects. */
struct telling {
	int eventfd;
	unsigned count;
};

static void tell(struct telling *telling, int eventfd)
{
	if (eventfd == telling->eventfd) {
		telling->count++;
		return;
	}
	if (telling->count)
		eventfd_tell(telling->eventfd, telling->count);
	*telling = (struct telling){ eventfd, 1 };
}

/* Called with the lock held. The caller writes to the eventfd that is returned once it has let the lock go, so that nobody
 * waits for a system call. */
static struct telling deliver(struct context *ctx, const struct asys_event *ends, int n)
{
	struct telling telling = { -1, 0 };
	struct io_event event;
	int eventfd;

	for (int k = 0; k < n; k++) {
		if (!settle(ctx, &ends[k], &event, &eventfd))
			continue;
		ring_put(ctx->events, &event);
		context_unreserve(ctx);
		if (eventfd >= 0)
			tell(&telling, eventfd);
	}
	if (n > 0)
		context_tell(ctx);
	context_flush(ctx);
	return telling;
}

/* With the lock, which it lets go while it sleeps. */
static void wait_for_work(struct context *ctx, uint64_t limit_ns)
{
	uint32_t work = atomic_load(&ctx->work);

	ctx->reaper_idle = limit_ns == ASYS_FOREVER;
	pthread_mutex_unlock(&ctx->lock);
	futex_sleep(&ctx->work, work, limit_ns);
	pthread_mutex_lock(&ctx->lock);
	ctx->reaper_idle = false;
}

/* With the lock. Threads that sleep in the queue since before must wait for the ring instead. */
static void send_sleepers_away(struct context *ctx)
{
	while (ctx->sleepers) {
		context_kick(ctx);
		pthread_mutex_unlock(&ctx->lock);
		asys_queue_flush(ctx->queue);
		futex_sleep(&ctx->work, atomic_load(&ctx->work), KICK_AGAIN_NS);
		pthread_mutex_lock(&ctx->lock);
	}
}

int reaper_deliver(struct context *ctx, uint64_t limit_ns)
{
	struct asys_event ends[ENDS_AT_ONCE];
	struct telling telling;
	int n;

	pthread_mutex_unlock(&ctx->lock);
	n = asys_queue_get_many(ctx->queue, ends, ENDS_AT_ONCE, 1, limit_ns);
	pthread_mutex_lock(&ctx->lock);
	atomic_store(&ctx->asleep, false);
	telling = deliver(ctx, ends, n);
	if (!telling.count)
		return n;
	pthread_mutex_unlock(&ctx->lock);
	eventfd_tell(telling.eventfd, telling.count);
	pthread_mutex_lock(&ctx->lock);
	return n;
}

static void reap(struct context *ctx)
{
	send_sleepers_away(ctx);
	inbox_send(ctx);
	inbox_listen(ctx);
	/* Looked at after `asleep` was set, as who stops this thread rings after. */
	if (!atomic_load(&ctx->stopping))
		reaper_deliver(ctx, ASYS_FOREVER);
}

/* With the lock, which it lets go meanwhile. */
static void start_deferred(struct context *ctx)
{
	ctx->deferred = false;
	pthread_mutex_unlock(&ctx->lock);
	asys_queue_flush(ctx->queue);
	pthread_mutex_lock(&ctx->lock);
}

static void attend(struct context *ctx)
{
	uint64_t visits = ctx->visits;

	ctx->quiet = ctx->held || ctx->deferred ? 0 : ctx->quiet + 1;
	wait_for_work(ctx, ctx->quiet < QUIET_MOST ? ATTEND_NS : ASYS_FOREVER);
	if (ctx->deferred && visits == ctx->visits)
		start_deferred(ctx);
	while (ctx->held && ctx->sent && !ctx->sleepers && visits == ctx->visits &&
	       !atomic_load(&ctx->reaping) && !atomic_load(&ctx->dead)) {
		reaper_deliver(ctx, ATTEND_NS);
		if (context_kick(ctx))
			asys_queue_flush(ctx->queue);
	}
}

static void *run(void *arg)
{
	struct context *ctx = arg;

	inside_begin();
	pthread_mutex_lock(&ctx->lock);
	/* Not only until the context is dead: a close may still wait for what this thread settles. */
	while (!atomic_load(&ctx->stopping)) {
		if (atomic_load(&ctx->reaping))
			reap(ctx);
		else
			attend(ctx);
	}
	pthread_mutex_unlock(&ctx->lock);
	return NULL;
}

/* With `making`, without the lock. */
static int start_thread(struct context *ctx)
{
	sigset_t all, before;
	bool started;

	if (ctx->has_thread)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = !pthread_create(&ctx->reaper, NULL, run, ctx);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_mutex_lock(&ctx->lock);
	ctx->has_thread = started;
	pthread_mutex_unlock(&ctx->lock);
	return started ? 0 : -EAGAIN;
}

static void wake(struct context *ctx)
{
	if (!ctx->reaper_idle)
		return;
	atomic_fetch_add(&ctx->work, 1);
	futex_wake_all(&ctx->work);
}

int reaper_start(struct context *ctx)
{
	if (atomic_load(&ctx->reaping))
		return 0;
	if (inbox_open(ctx) || start_thread(ctx))
		return -EAGAIN;
	pthread_mutex_lock(&ctx->lock);
	atomic_store(&ctx->reaping, true);
	atomic_store(&ctx->events->magic, AIO_RING_MAGIC);
	wake(ctx);
	pthread_mutex_unlock(&ctx->lock);
	return 0;
}

bool reaper_attend(struct context *ctx)
{
	if (atomic_load_explicit(&ctx->reaping, memory_order_relaxed))
		return false;
	if (!ctx->has_thread) {
		atomic_store_explicit(&ctx->wants_thread, true, memory_order_relaxed);
		return false;
	}
	wake(ctx);
	return true;
}

void reaper_make(struct context *ctx)
{
	if (!atomic_load_explicit(&ctx->wants_thread, memory_order_relaxed))
		return;
	pthread_mutex_lock(&ctx->making);
	if (!start_thread(ctx))
		atomic_store_explicit(&ctx->wants_thread, false, memory_order_relaxed);
	pthread_mutex_unlock(&ctx->making);
}

void reaper_stop(struct context *ctx)
{
	if (!ctx->has_thread)
		return;
	atomic_store(&ctx->stopping, true);
	if (atomic_load(&ctx->reaping)) {
		inbox_ring(ctx);
	} else {
		pthread_mutex_lock(&ctx->lock);
		if (!asys_error(asys_call(ctx->queue, SYS_getpid, 0, 0, 0, 0, 0, 0))) {
			ctx->kicks++;
			context_sent(ctx);
		}
		atomic_fetch_add(&ctx->work, 1);
		futex_wake_all(&ctx->work);
		pthread_mutex_unlock(&ctx->lock);
		asys_queue_flush(ctx->queue);
	}
	pthread_join(ctx->reaper, NULL);
}
