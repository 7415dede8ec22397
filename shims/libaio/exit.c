/* SPDX-License-Identifier: MIT */
/*
 * A program may end with operations in flight. Under the kernel what was written to the page cache was
 * written in io_submit; so writes to files, and fsync, that were accepted here are finished first.
 */
#include "context.h"

static __attribute__((destructor)) void finish_all(void)
{
	struct context *ctx;
	unsigned index = 0;

	while ((ctx = registry_next(&index, 0, UINT32_MAX))) {
		/* Held by the very thread that ends, perhaps: in a signal handler. */
		if (!pthread_mutex_trylock(&ctx->lock)) {
			context_finish(ctx);
			pthread_mutex_unlock(&ctx->lock);
		}
		context_leave(ctx);
	}
}
