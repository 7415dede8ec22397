/* SPDX-License-Identifier: MIT */
#include "inbox.h"

#include "../common/stats.h"
#include "settle.h"
#include "submit.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

int inbox_open(struct context *ctx)
{
	if (ctx->bell < 0)
		ctx->bell = eventfd(0, EFD_CLOEXEC);
	return ctx->bell < 0 ? -EAGAIN : 0;
}

void inbox_close(struct context *ctx)
{
	if (ctx->bell >= 0)
		close(ctx->bell);
}

void inbox_put(struct context *ctx, struct operation *op)
{
	struct operation **end = &ctx->inbox;

	if (ctx->inbox)
		end = &ctx->inbox_last->next_put;
	op->put = true;
	op->next_put = NULL;
	*end = ctx->inbox_last = op;
}

void inbox_remove(struct context *ctx, struct operation *op)
{
	struct operation *before = NULL, *at = ctx->inbox;

	for (; at != op; at = at->next_put)
		before = at;
	*(before ? &before->next_put : &ctx->inbox) = op->next_put;
	if (ctx->inbox_last == op)
		ctx->inbox_last = before;
	op->put = false;
}

void inbox_send(struct context *ctx)
{
	struct operation *op;
	int err;

	while ((op = ctx->inbox)) {
		ctx->inbox = op->next_put;
		op->put = false;
		err = submit_now(ctx, op);
		if (err)
			operation_event(ctx, op, err);
	}
}

void inbox_listen(struct context *ctx)
{
	struct asys_call call = { .nr = SYS_read,
				  .user = USER_BELL,
				  .flags = ASYS_CALL_LOW, /* engine inline: after all others */
				  .arg = { (uint64_t)ctx->bell, (uintptr_t)&ctx->bell_count,
					   sizeof(ctx->bell_count) } };

	if (!ctx->bell_read)
		ctx->bell_read = !asys_error(asys_send(ctx->queue, &call));
	atomic_store(&ctx->asleep, true);
}

void inbox_heard(struct context *ctx)
{
	ctx->bell_read = false;
}

void inbox_ring(struct context *ctx)
{
	const uint64_t one = 1;

	if (!atomic_exchange(&ctx->asleep, false))
		return;
	shim_count_made(1);
	if (write(ctx->bell, &one, sizeof(one)) < 0)
		return; /* it cannot be full, and nobody else has its number */
}
