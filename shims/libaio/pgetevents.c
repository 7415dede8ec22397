/* SPDX-License-Identifier: MIT */
/*
 * io_pgetevents: the signal mask holds while it sleeps, and only then, in one step. Sleeping in the
 * queue or on `news` cannot do that, so this one sleeps in ppoll: on the queue's descriptor, and on an
 * eventfd that is written whenever `news` changes. Whatever the outcome, signals that are pending and that the mask
 * lets through are handled before it returns, as where the kernel does it.
 */
#include "../common/cancel.h"
#include "../common/errno.h"
#include "../common/stats.h"
#include "getevents.h"
#include "memory.h"
#include "rent.h"
#include "symbols.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define NAP_NS 1000000

static int open_news(struct context *ctx)
{
	if (ctx->news_fd < 0)
		ctx->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return ctx->news_fd < 0 ? -EAGAIN : 0;
}

/* With the lock, which it lets go while it sleeps. */
static int sleep_masked(struct context *ctx, uint64_t left, const sigset_t *mask)
{
	struct pollfd fds[2] = { { .fd = ctx->news_fd, .events = POLLIN }, { .fd = -1 } };
	struct timespec limit;
	uint64_t count;
	bool blind;
	int n;

	if (ctx->queue && !atomic_load(&ctx->reaping))
		fds[1] = (struct pollfd){ .fd = asys_queue_fd(ctx->queue), .events = POLLIN };
	blind = fds[1].fd < 0; /* the queue that is opened meanwhile is news, too */
	ctx->idle += blind;
	limit.tv_sec = (time_t)(left / SECOND_NS);
	limit.tv_nsec = (long)(left % SECOND_NS);
	pthread_mutex_unlock(&ctx->lock);
	n = ppoll(fds, 2, left == UINT64_MAX ? NULL : &limit, mask);
	if (n < 0 && errno == EINVAL) { /* the limit of descriptors is lower than two */
		limit = (struct timespec){ 0, left < NAP_NS ? (long)left : NAP_NS };
		n = ppoll(NULL, 0, &limit, mask);
	}
	if (n < 0)
		n = errno == EINTR ? -EINTR : 0;
	else if (fds[0].revents && read(ctx->news_fd, &count, sizeof(count)) < 0)
		n = 0; /* another thread read it */
	pthread_mutex_lock(&ctx->lock);
	ctx->idle -= blind;
	return n < 0 ? n : 0;
}

static int get_masked(struct context *ctx, struct getting *get, const sigset_t *mask)
{
	int err = open_news(ctx);
	uint64_t left;

	rent_visited(ctx);
	while (!err) {
		get_from_ring(ctx, get);
		if (!atomic_load(&ctx->reaping) && ctx->sent && get->got < get->most) {
			get_from_queue(ctx, get);
			get_from_ring(ctx, get);
		}
		left = time_left(get->until_ns);
		if (!get_wants(get) || !left)
			break;
		if (atomic_load(&ctx->dead))
			return -EINVAL;
		err = sleep_masked(ctx, left, mask);
	}
	if (err != -EAGAIN && (!get->until_ns || get->got < get->least))
		get_prompt(ctx, get);
	/* What is left is for others who may sleep: this thread may have read the news of it. */
	if (ring_count(ctx->events))
		context_tell(ctx);
	return err;
}

/* The kernel takes the limit before the mask, and either before it looks for the context. */
static int take_all(const struct timespec **timeout, struct timespec *ret_limit,
		    const sigset_t *mask, sigset_t *ret_mask)
{
	int err = limit_take(timeout, ret_limit);

	sigemptyset(ret_mask);
	if (!err && !memory_get(memory_now(), ret_mask, (uintptr_t)mask, sizeof(uint64_t)))
		err = -EFAULT;
	return err;
}

/* Runs the handlers of what is pending under this mask: true if there was any. */
static bool handle_signals(const sigset_t *mask)
{
	const struct timespec none = { 0, 0 };

	shim_count_made(1);
	return ppoll(NULL, 0, &none, mask) < 0 && errno == EINTR;
}

/* 0 events and a signal are an interrupted call. */
static int finish_masked(int result, const sigset_t *mask)
{
	bool handled = result != -EINTR && handle_signals(mask);

	return handled && !result ? -EINTR : result;
}

/* io_getevents of the kernel's: libaio's own may not look at the counts. */
static int get_without_mask(void *ring, long least, long most, struct io_event *events,
			    const struct timespec *timeout)
{
	struct timespec limit;
	int err = limit_take(&timeout, &limit);

	if (!err && (least < 0 || least > most))
		err = -EINVAL;
	return err ? err : shim_io_getevents(ring, least, most, events, timeout);
}

int shim_io_pgetevents(void *ring, long least, long most, struct io_event *events,
		       const struct timespec *timeout, const sigset_t *mask)
{
	SHIM_NO_CANCEL;
	SHIM_KEEP_ERRNO;
	struct getting get = { .events = (uintptr_t)events };
	struct timespec limit;
	struct context *ctx;
	sigset_t signals;
	int err;

	if (!mask)
		return get_without_mask(ring, least, most, events, timeout);
	shim_count_native(1);
	err = take_all(&timeout, &limit, mask, &signals);
	if (err)
		return err;
	ctx = context_enter(ring);
	if (!ctx)
		return finish_masked(-EINVAL, &signals);
	err = get_begin(&get, least, most, timeout);
	if (!err) {
		pthread_mutex_lock(&ctx->lock);
		err = get_masked(ctx, &get, &signals);
		get_leave(ctx);
	}
	context_leave(ctx);
	return finish_masked(get_result(&get, err), &signals);
}
