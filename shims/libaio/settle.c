/* SPDX-License-Identifier: MIT */
#include "settle.h"

#include "../common/errno.h"
#include "eventfd.h"
#include "inbox.h"
#include "numbers.h"
#include "order.h"
#include "polls.h"
#include "submit.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Where the kernel runs it, it has ended in io_submit, which did not have to wait for a disk, or for anybody:
 * transfers of files, but O_DIRECT and reads of what is not in memory, and some of streams. */
static bool is_prompt(const struct request *r)
{
	switch (r->opcode) {
	case IOCB_CMD_PREAD:
	case IOCB_CMD_PREADV:
	case IOCB_CMD_PWRITE:
	case IOCB_CMD_PWRITEV:
		if (r->kind == FILE_STREAM)
			return r->prompt;
		return !r->cold && (r->kind == FILE_CACHED || r->kind == FILE_PLAIN);
	default:
		return false;
	}
}

struct operation *operation_take(struct context *ctx, const struct request *request)
{
	struct operation *op = ctx->unused;

	if (op)
		ctx->unused = op->next;
	else
		op = &ctx->operations[ctx->fresh++];
	op->request = *request;
	op->request.sort = request->kind;
	op->born = ctx->births++;
	op->cancelled = op->awaited = op->moving = op->borrowed = op->put = false;
	op->blockers = 0;
	op->overdue = false;
	op->prompt = is_prompt(request);
	ctx->prompt += op->prompt;
	ctx->streams += op->request.sort == FILE_STREAM;
	op->previous = NULL;
	op->next = ctx->newest;
	if (ctx->newest)
		ctx->newest->previous = op;
	ctx->newest = op;
	numbers_add(ctx, op);
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
	ctx->prompt -= op->prompt;
	ctx->streams -= op->request.sort == FILE_STREAM;
	if (op->request.write)
		atomic_fetch_sub_explicit(&ctx->writes, 1, memory_order_relaxed);
	numbers_remove(ctx, op);
	/* Its vector is given to the next use: nothing is freed with the lock. */
	op->next = ctx->unused;
	ctx->unused = op;
}

void operations_free(struct context *ctx)
{
	for (uint32_t k = 0; k < ctx->fresh; k++)
		free(ctx->operations[k].copied);
	munmap(ctx->operations, ctx->nr * sizeof(*ctx->operations));
}

void operation_end(struct context *ctx, struct operation *op, int64_t result,
		   struct io_event *ret_event, int *ret_eventfd)
{
	*ret_event = (struct io_event){ op->request.data, op->request.obj, result, 0 };
	*ret_eventfd = op->request.eventfd;
	order_release(ctx, op);
	operation_give_back(ctx, op);
}

void operation_event(struct context *ctx, struct operation *op, int64_t result)
{
	struct io_event event;
	int eventfd;

	operation_end(ctx, op, result, &event, &eventfd);
	ring_put(ctx->events, &event);
	context_unreserve(ctx);
	if (eventfd >= 0)
		eventfd_tell(eventfd, 1);
	context_tell(ctx);
}

/* It is in no list of the shim's. */
static bool cancel_sent(struct context *ctx, struct operation *op)
{
	if (op->request.opcode == IOCB_CMD_POLL) {
		poll_leave(ctx, op);
		operation_event(ctx, op, 0);
		return true;
	}
	if (!op->moving && asys_queue_cancel(ctx->queue, op->id))
		return false;
	op->cancelled = true;
	return true;
}

bool operation_cancel(struct context *ctx, struct operation *op)
{
	if (op->put)
		inbox_remove(ctx, op);
	else if (!op->blockers)
		return cancel_sent(ctx, op);
	operation_event(ctx, op, -ECANCELED);
	return true;
}

bool operation_must_finish(const struct operation *op)
{
	switch (op->request.opcode) {
	case IOCB_CMD_FSYNC:
	case IOCB_CMD_FDSYNC:
		return true;
	default:
		return op->request.write && op->request.kind != FILE_STREAM;
	}
}

void operation_drop(struct context *ctx, struct operation *op)
{
	struct io_event event;
	int eventfd;

	operation_end(ctx, op, 0, &event, &eventfd);
	context_unreserve(ctx);
}

/* It goes on with another number; or the program has put a pipe or a socket under that of a file that
 * was believed in. */
static bool send_again(struct context *ctx, struct operation *op, int64_t result)
{
	bool moved = op->moving && result == -ECANCELED;

	op->moving = false;
	if (op->cancelled || (!moved && (result != -ESPIPE || op->request.kind == FILE_STREAM)))
		return false;
	if (!moved)
		op->request.kind = FILE_STREAM;
	ctx->unflushed = true;
	return !submit_send(ctx, op);
}

bool settle(struct context *ctx, const struct asys_event *end, struct io_event *ret_event,
	    int *ret_eventfd)
{
	struct operation *op;

	if (end->user == USER_BELL) {
		inbox_heard(ctx);
		return false;
	}
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
