/* SPDX-License-Identifier: MIT */
/*
 * io_cancel. The kernel's protocol: -EINPROGRESS, and the event comes as any other: -ECANCELED, or the
 * real result of what was faster; 0 for a poll. The kernel can cancel polls only; here whatever has not
 * ended is asked to.
 */
#include "context.h"

#include "../common/errno.h"
#include "../common/stats.h"
#include "eventfd.h"
#include "polls.h"
#include "settle.h"
#include "symbols.h"

/* It is not in the queue: a poll, or held. */
static void end_now(struct context *ctx, struct operation *op, int64_t result)
{
	struct io_event event;
	int eventfd;

	operation_end(ctx, op, result, &event, &eventfd);
	ring_put(ctx->events, &event);
	context_unreserve(ctx);
	if (eventfd >= 0)
		eventfd_tell(eventfd, 1);
	context_tell(ctx);
	context_flush(ctx);
}

/* With the lock. */
static int cancel(struct context *ctx, const struct iocb *iocb, bool *ret_flush)
{
	struct operation *op = ctx->newest;

	while (op && (op->request.obj != (uintptr_t)iocb || op->cancelled))
		op = op->next;
	if (!op)
		return -EINVAL;
	if (op->request.opcode == IOCB_CMD_POLL || op->blockers) {
		if (op->blockers) {
			end_now(ctx, op, -ECANCELED);
		} else {
			poll_leave(ctx, op);
			end_now(ctx, op, 0);
		}
		*ret_flush = context_kick(ctx);
		return -EINPROGRESS;
	}
	if (asys_queue_cancel(ctx->queue, op->id))
		return -EINVAL; /* it has ended */
	op->cancelled = true;
	return -EINPROGRESS;
}

int shim_io_cancel(void *ring, struct iocb *iocb, struct io_event *unused)
{
	SHIM_KEEP_ERRNO;
	struct context *ctx;
	bool flush = false;
	int err;

	(void)unused;
	shim_count_native(1);
	if (!iocb)
		return -EFAULT;
	if (iocb->aio_key)
		return -EINVAL;
	ctx = context_enter(ring);
	if (!ctx)
		return -EINVAL;
	pthread_mutex_lock(&ctx->lock);
	err = cancel(ctx, iocb, &flush);
	pthread_mutex_unlock(&ctx->lock);
	if (flush)
		asys_queue_flush(ctx->queue);
	context_leave(ctx);
	return err;
}
