/* SPDX-License-Identifier: MIT */
/*
 * io_cancel. The kernel's protocol: -EINPROGRESS, and the event comes as any other: -ECANCELED, or the
 * real result of what was faster; 0 for a poll. The kernel can cancel polls only; here whatever has not
 * ended is asked to.
 */
#include "context.h"

#include "../common/cancel.h"
#include "../common/errno.h"
#include "../common/stats.h"
#include "memory.h"
#include "numbers.h"
#include "settle.h"
#include "symbols.h"

#include <stddef.h>

/* With the lock. */
static int cancel(struct context *ctx, uintptr_t iocb, bool *ret_flush)
{
	struct operation *op = ctx->newest;

	while (op && (op->request.obj != iocb || op->cancelled))
		op = op->next;
	if (!op)
		return -EINVAL;
	if (!operation_cancel(ctx, op))
		return -EINVAL; /* it has ended */
	context_flush(ctx);
	*ret_flush = context_kick(ctx);
	return -EINPROGRESS;
}

int shim_io_cancel(void *ring, struct iocb *iocb, struct io_event *unused)
{
	SHIM_NO_CANCEL;
	SHIM_KEEP_ERRNO;
	struct context *ctx;
	uint32_t key;
	bool flush = false;
	int err;

	(void)unused;
	shim_count_native(1);
	if (!memory_get(memory_now(), &key, (uintptr_t)iocb + offsetof(struct iocb, aio_key),
			sizeof(key)))
		return -EFAULT;
	if (key)
		return -EINVAL;
	ctx = context_enter(ring);
	if (!ctx)
		return -EINVAL;
	pthread_mutex_lock(&ctx->lock);
	err = cancel(ctx, (uintptr_t)iocb, &flush);
	pthread_mutex_unlock(&ctx->lock);
	if (flush)
		context_start(ctx);
	context_leave(ctx);
	return err;
}
