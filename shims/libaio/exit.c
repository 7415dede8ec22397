/* SPDX-License-Identifier: MIT */
/*
 * A program may end with operations in flight. Under the kernel what was written to the page cache was
 * written in io_submit; so writes to files, and fsync, that were accepted here are finished first.
 */
#include "context.h"

#include <time.h>

#define PATIENCE_S 1

/* Other threads hold it for moments. The thread that ends holds it itself if it does so in a signal
 * handler: then what is in flight is lost. */
static bool lock_for_moment(struct context *ctx)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += PATIENCE_S;
	return !pthread_mutex_timedlock(&ctx->lock, &limit);
}

static __attribute__((destructor)) void finish_all(void)
{
	struct context *ctx;
	unsigned index = 0;

	while ((ctx = registry_next(&index, 0, UINT32_MAX))) {
		if (lock_for_moment(ctx)) {
			context_finish(ctx);
			pthread_mutex_unlock(&ctx->lock);
		}
		context_leave(ctx);
	}
}
