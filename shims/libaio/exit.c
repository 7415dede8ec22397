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

#define PATIENCE_S 1
#define LOOKS_IN_SECOND 1000

/* Other threads hold it for moments. The thread that ends holds it itself if it does so in a signal
 * handler: then what is in flight is lost. */
static bool lock_for_moment(struct context *ctx)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += PATIENCE_S;
	return !pthread_mutex_timedlock(&ctx->lock, &limit);
}

/* Other threads are in io_destroy, which finishes what must be finished; as long as something ends within the
 * patience. */
static void await_destroyers(void)
{
	struct context *ctx;
	unsigned index = 0;

	while ((ctx = registry_next_dead(&index))) {
		unsigned before = atomic_load(&ctx->active), looks = 0;

		while (atomic_load(&ctx->dead) && atomic_load(&ctx->active) &&
		       looks < PATIENCE_S * LOOKS_IN_SECOND) {
			unsigned active = atomic_load(&ctx->active);
			uint32_t news = atomic_load(&ctx->news);

			looks = active == before ? looks + 1 : 0;
			before = active;
			futex_sleep(&ctx->news, news, 1000000000 / LOOKS_IN_SECOND);
		}
	}
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
