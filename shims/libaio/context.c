/* SPDX-License-Identifier: MIT */
/* io_setup and io_destroy. */
#include "context.h"

#include "../common/stats.h"
#include "inbox.h"
#include "memory.h"
#include "polls.h"
#include "reaper.h"
#include "settle.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's: a ring of 256 MiB, and it makes room for twice what is asked for. */
#define EVENTS_MOST (0x10000000u / sizeof(struct io_event) / 2)
#define KICK_AGAIN_NS 1000000u
#define DEPTH_MORE 64u
#define DRAIN_AT_ONCE 16

int context_setup(unsigned wanted, void **ret_ring)
{
	const uintptr_t place = (uintptr_t)ret_ring;
	struct memory memory = { 0 };
	struct aio_ring *ring, *own;
	struct context *ctx;
	void *before;
	int err;

	if (!memory_get(&memory, &before, place, sizeof(before)))
		return -EFAULT;
	/* In the kernel's 32 bits twice so many may be few; it finds out by its limit of the system then. */
	if (before || !wanted || 2 * wanted > 2 * EVENTS_MOST)
		return -EINVAL;
	if (wanted > EVENTS_MOST)
		return -EAGAIN;
	ring = ring_map(wanted, &own);
	if (!ring)
		return -ENOMEM;
	err = registry_add(ring, own, wanted, &ctx);
	if (err) {
		ring_unmap(ring, own);
		return err;
	}
	if (!memory_takes(&memory, place, sizeof(ring))) {
		context_destroy(ring);
		return -EFAULT;
	}
	memcpy((void *)place, &ring, sizeof(ring));
	return 0;
}

int context_setup_anew(unsigned wanted, void **ret_ring)
{
	struct memory memory = { 0 };
	const void *none = NULL;

	if (!memory_takes(&memory, (uintptr_t)ret_ring, sizeof(none)))
		return -EFAULT;
	memcpy((void *)(uintptr_t)ret_ring, &none, sizeof(none));
	return context_setup(wanted, ret_ring);
}

/* With `making`. */
static int open_queue(struct context *ctx)
{
	struct asys_queue_options options;
	struct asys_queue *queue;
	size_t bytes = ctx->nr * sizeof(*ctx->operations);
	void *mem;
	int err;

	asys_queue_options_init(&options);
	options.flags = ASYS_QUEUE_SHARED | ASYS_QUEUE_NONBLOCK;
	/* What is in flight, as many kicks, and the watch of polls.c. */
	options.depth = 2 * ctx->nr + DEPTH_MORE;
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (mem == MAP_FAILED)
		return -ENOMEM;
	err = asys_queue_open(&queue, &options);
	if (err) {
		munmap(mem, bytes);
		return err == -ENOMEM ? err : -EAGAIN;
	}
	registry_note_queue(ctx, queue);
	shim_queue_opened(queue);
	pthread_mutex_lock(&ctx->lock);
	ctx->operations = mem;
	ctx->queue = queue;
	pthread_mutex_unlock(&ctx->lock);
	atomic_store_explicit(&ctx->made, true, memory_order_release);
	return 0;
}

int context_make(struct context *ctx, bool tells)
{
	int err = 0;

	/* The acquire is for `made` of open_queue; the queue itself is looked at with the lock. */
	if (atomic_load_explicit(&ctx->made, memory_order_acquire) &&
	    (!tells || atomic_load_explicit(&ctx->reaping, memory_order_relaxed)))
		return 0;
	pthread_mutex_lock(&ctx->making);
	if (!atomic_load_explicit(&ctx->made, memory_order_relaxed))
		err = open_queue(ctx);
	if (!err && tells)
		err = reaper_start(ctx);
	pthread_mutex_unlock(&ctx->making);
	return err;
}

void context_start(struct context *ctx)
{
	if (atomic_load_explicit(&ctx->reaping, memory_order_relaxed))
		inbox_ring(ctx);
	else
		asys_queue_flush(ctx->queue);
}

void context_flush(struct context *ctx)
{
	if (!ctx->unflushed)
		return;
	ctx->unflushed = false;
	context_start(ctx);
}

void context_tell(struct context *ctx)
{
	const uint64_t one = 1;

	atomic_fetch_add(&ctx->news, 1);
	if (ctx->idle)
		futex_wake_all(&ctx->news);
	if (ctx->news_fd >= 0 && write(ctx->news_fd, &one, sizeof(one)) < 0)
		return; /* it is full, so it reads */
}

bool context_kick(struct context *ctx)
{
	bool kicked = false;

	while (ctx->sleepers && ctx->kicks < ctx->kick_worth && ctx->kicks < ctx->nr) {
		if (asys_error(asys_call(ctx->queue, SYS_getpid, 0, 0, 0, 0, 0, 0)))
			break;
		ctx->kicks++;
		context_sent(ctx);
		kicked = true;
	}
	return kicked;
}

/* Everybody who is inside leaves, since the context is dead. */
static void wait_until_empty(struct context *ctx)
{
	unsigned inside;

	while ((inside = atomic_load(&ctx->references))) {
		pthread_mutex_lock(&ctx->lock);
		context_tell(ctx);
		context_kick(ctx);
		pthread_mutex_unlock(&ctx->lock);
		if (ctx->queue)
			context_start(ctx);
		futex_sleep(&ctx->references, inside, KICK_AGAIN_NS);
	}
}

/* Until nothing is in flight; nobody gets the events. In REAPING, what waited for others goes to the inbox when it
 * is let go, and the thread that sends it from there may be gone. */
static void drain(struct context *ctx)
{
	struct asys_event ends[DRAIN_AT_ONCE];
	struct io_event event;
	int n, eventfd;

	for (;;) {
		inbox_send(ctx);
		if (!ctx->sent)
			return;
		context_flush(ctx);
		pthread_mutex_unlock(&ctx->lock);
		n = asys_queue_get_many(ctx->queue, ends, DRAIN_AT_ONCE, 1, KICK_AGAIN_NS);
		pthread_mutex_lock(&ctx->lock);
		for (int k = 0; k < n; k++)
			if (settle(ctx, &ends[k], &event, &eventfd))
				context_unreserve(ctx);
	}
}

void context_finish(struct context *ctx)
{
	struct operation *op, *next;

	if (!ctx->queue)
		return;
	inbox_send(ctx);
	poll_stop(ctx);
	op = ctx->newest;
	for (; op; op = next) {
		next = op->next;
		if (operation_must_finish(op))
			continue;
		op->cancelled = true;
		if (op->blockers)
			operation_drop(ctx, op);
		else
			asys_queue_cancel(ctx->queue, op->id);
	}
	drain(ctx);
}

static void take_apart(struct context *ctx)
{
	if (ctx->queue) {
		shim_queue_closing(ctx->queue);
		registry_note_queue(ctx, NULL);
		asys_queue_close(ctx->queue);
		operations_free(ctx);
	}
	poll_close(ctx);
	inbox_close(ctx);
	if (ctx->news_fd >= 0)
		close(ctx->news_fd);
}

int context_destroy(void *ring)
{
	struct context *ctx;

	if (!registry_remove(ring, &ctx))
		return -EINVAL;
	inside_begin();
	wait_until_empty(ctx);
	reaper_stop(ctx);
	pthread_mutex_lock(&ctx->lock);
	context_finish(ctx);
	pthread_mutex_unlock(&ctx->lock);
	take_apart(ctx);
	registry_free(ctx, ring);
	inside_end();
	return 0;
}
