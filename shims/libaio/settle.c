/* SPDX-License-Identifier: MIT */
#include "settle.h"

#include "../common/errno.h"
#include "order.h"
#include "polls.h"
#include "submit.h"

#include <stdlib.h>

struct operation *operation_take(struct context *ctx, const struct request *request)
{
	struct operation *op = ctx->unused;

	if (op)
		ctx->unused = op->next;
	else
		op = &ctx->operations[ctx->fresh++];
	op->request = *request;
	op->cancelled = false;
	op->blockers = 0;
	op->copied = NULL;
	op->previous = NULL;
	op->next = ctx->newest;
	if (ctx->newest)
		ctx->newest->previous = op;
	ctx->newest = op;
	if (request->write)
		atomic_fetch_add_explicit(&ctx->writes, 1, memory_order_relaxed);
	return op;
}

void operation_give_back(struct context *ctx, struct operation *op)
{
	if (op->blockers)
		ctx->held--;
	if (op->previous)
		op->previous->next = op->next;
	else
		ctx->newest = op->next;
	if (op->next)
		op->next->previous = op->previous;
	if (op->request.write)
		atomic_fetch_sub_explicit(&ctx->writes, 1, memory_order_relaxed);
	free(op->copied);
	op->next = ctx->unused;
	ctx->unused = op;
}

void operation_end(struct context *ctx, struct operation *op, int64_t result,
		   struct io_event *ret_event, int *ret_eventfd)
{
	*ret_event = (struct io_event){ op->request.data, op->request.obj, result, 0 };
	*ret_eventfd = op->request.eventfd;
	order_release(ctx, op);
	operation_give_back(ctx, op);
}

void operation_drop(struct context *ctx, struct operation *op)
{
	struct io_event event;
	int eventfd;

	operation_end(ctx, op, 0, &event, &eventfd);
	context_unreserve(ctx);
}

/* The program has put a pipe or a socket under the number of a file that was believed in. */
static bool send_again(struct context *ctx, struct operation *op, int64_t result)
{
	if (result != -ESPIPE || op->request.kind == FILE_STREAM || op->cancelled)
		return false;
	op->request.kind = FILE_STREAM;
	ctx->unflushed = true;
	return !submit_send(ctx, op);
}

bool settle(struct context *ctx, const struct asys_event *end, struct io_event *ret_event,
	    int *ret_eventfd)
{
	struct operation *op;

	ctx->sent--;
	if (end->user == USER_KICK) {
		ctx->kicks--;
		return false;
	}
	if (end->user == USER_WATCH) {
		poll_settle(ctx, end->result);
		return false;
	}
	op = (struct operation *)(uintptr_t)end->user;
	if (send_again(ctx, op, end->result))
		return false;
	operation_end(ctx, op, shim_error(end->result), ret_event, ret_eventfd);
	return true;
}
