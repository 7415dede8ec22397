/* SPDX-License-Identifier: MIT */
/*
 * A program may end with operations in flight. Under the kernel what was written to the page cache was
 * written in io_submit; so writes to files, and fsync, that were accepted here are finished first. At
 * exit everything else is cancelled. At the other ends (quick_exit; _exit and exec, which libasys-syscall.so
 * sees) it is left alone: exec may fail, and the program go on.
 */
#include "context.h"

#include "../common/cancel.h"
#include "../common/errno.h"
#include "numbers.h"

#include <stdlib.h>
#include <time.h>

#define PATIENCE_S 1 /* with a lock */
#define DESTROYER_PATIENCE_NS 60000000000ull
#define LOOK_NS 1000000u

/* Other threads hold it for moments. The thread that ends holds it itself if it does so in a signal
 * handler: then what is in flight is lost. */
static bool lock_for_moment(struct context *ctx)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += PATIENCE_S;
	return !pthread_mutex_timedlock(&ctx->lock, &limit);
}

/* Something ends there within the patience, counted from when `active` operations were in flight. */
static bool ends_something(struct context *ctx, unsigned active)
{
	uint64_t until_ns = asys_now() + DESTROYER_PATIENCE_NS, now;

	while (atomic_load(&ctx->dead) && atomic_load(&ctx->active) == active) {
		uint32_t news = atomic_load(&ctx->news);

		now = asys_now();
		if (now >= until_ns)
			return false;
		futex_sleep(&ctx->news, news, LOOK_NS);
	}
	return true;
}

/*
 * Other threads are in io_destroy, which has cancelled all that may wait for ever and finishes what must be finished.
 * How long a transfer takes is not known, so the patience is long. It has an end because this may be a handler that
 * interrupted malloc, for which that thread waits.
 */
static void await_destroyers(void)
{
	struct context *ctx;
	unsigned index = 0, active;

	while ((ctx = registry_next_dead(&index)))
		while (atomic_load(&ctx->dead) && (active = atomic_load(&ctx->active)))
			if (!ends_something(ctx, active))
				break;
}

static __attribute__((destructor)) void finish_all(void)
{
	struct context *ctx;
	unsigned index = 0;

	if (shim_inside)
		return; /* exit in a signal handler, see below */
	while ((ctx = registry_next(&index, 0, UINT32_MAX))) {
		if (lock_for_moment(ctx)) {
			context_finish(ctx);
			pthread_mutex_unlock(&ctx->lock);
		}
		context_leave(ctx);
	}
	await_destroyers();
}

/* Also for libasys-syscall.so. In a signal handler that interrupted the shim nothing can be waited for, as this
 * thread itself may hold what is needed for it. */
void asys_aio_finish(void) __attribute__((visibility("default")));
void asys_aio_finish(void)
{
	SHIM_NO_CANCEL;
	SHIM_KEEP_ERRNO;
	struct context *ctx;
	unsigned index = 0;
	bool kicked;

	if (shim_inside)
		return;
	while ((ctx = registry_next(&index, 0, UINT32_MAX))) {
		if (lock_for_moment(ctx)) {
			kicked = numbers_await_writes(ctx);
			pthread_mutex_unlock(&ctx->lock);
			if (kicked)
				context_start(ctx);
		}
		context_leave(ctx);
	}
	await_destroyers();
}

__attribute__((constructor)) static void begin(void)
{
	(void)at_quick_exit(asys_aio_finish); /* refused: writes may be lost there */
}
