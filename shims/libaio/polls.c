/* SPDX-License-Identifier: MIT */
#include "polls.h"

#include "../common/look.h"
#include "../common/stats.h"
#include "settle.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FOREVER UINT64_MAX /* -1 in the word of an int */

static bool waits_for(const struct operation *op, int fd)
{
	return op->request.opcode == IOCB_CMD_POLL && op->request.fd == fd;
}

/* What the operations in flight want of a descriptor, but for one of them. */
static uint32_t wanted(const struct context *ctx, int fd, const struct operation *but,
		       bool *ret_any)
{
	uint32_t events = 0;

	*ret_any = false;
	for (const struct operation *op = ctx->newest; op; op = op->next) {
		if (op != but && waits_for(op, fd)) {
			events |= (uint32_t)op->request.buffer;
			*ret_any = true;
		}
	}
	return events;
}

/* The set asks for what is wanted now. */
static int arm(struct context *ctx, int fd, const struct operation *but)
{
	struct epoll_event event = { .data.fd = fd };
	bool any;

	shim_count_made(1);
	event.events = wanted(ctx, fd, but, &any);
	if (!any)
		return epoll_ctl(ctx->epoll_fd, EPOLL_CTL_DEL, fd, NULL) ? -errno : 0;
	if (!epoll_ctl(ctx->epoll_fd, EPOLL_CTL_MOD, fd, &event))
		return 0;
	return epoll_ctl(ctx->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int watch(struct context *ctx)
{
	/* Not asys_user(), which takes memory. */
	const struct asys_call call = { .nr = SYS_epoll_pwait,
					.user = USER_WATCH,
					.arg = { (uint64_t)ctx->epoll_fd, (uintptr_t)ctx->polled,
						 POLLED, FOREVER, 0, sizeof(uint64_t) } };
	int err;

	if (ctx->watching)
		return 0;
	ctx->watch = asys_send(ctx->queue, &call);
	err = asys_error(ctx->watch);
	if (!err) {
		ctx->watching = true;
		context_sent(ctx);
	}
	return err;
}

int poll_start(struct context *ctx, struct operation *op)
{
	int err;

	if (ctx->epoll_fd < 0)
		ctx->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ctx->epoll_fd < 0)
		return -EAGAIN;
	err = arm(ctx, op->request.fd, NULL);
	if (err == -EPERM) /* what epoll says of files that cannot be polled */
		return -EINVAL;
	return err ? err : watch(ctx);
}

void poll_leave(struct context *ctx, const struct operation *op)
{
	arm(ctx, op->request.fd, op);
}

void poll_forget(struct context *ctx, int fd)
{
	if (ctx->epoll_fd >= 0)
		epoll_ctl(ctx->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int poll_again(struct context *ctx, int fd)
{
	return arm(ctx, fd, NULL);
}

static bool is_wanted(const struct context *ctx, int fd)
{
	bool any;

	wanted(ctx, fd, NULL, &any);
	return any;
}

static void end_ready(struct context *ctx, int fd)
{
	struct operation *op = ctx->newest, *next;

	for (; op; op = next) {
		struct pollfd p = { .fd = fd, .events = (short)op->request.buffer };

		next = op->next;
		if (waits_for(op, fd) && look(&p, 1) > 0)
			operation_event(ctx, op, (unsigned short)p.revents);
	}
	context_tell(ctx);
	arm(ctx, fd, NULL);
}

void poll_settle(struct context *ctx, int64_t result)
{
	bool any = false;

	ctx->watching = false;
	/* What a visit has found meanwhile may be closed, and its number be another file's. */
	for (int64_t k = 0; k < result; k++)
		if (is_wanted(ctx, ctx->polled[k].data.fd))
			end_ready(ctx, ctx->polled[k].data.fd);
	for (const struct operation *op = ctx->newest; op && !any; op = op->next)
		any = op->request.opcode == IOCB_CMD_POLL;
	if (any && result != -ECANCELED)
		watch(ctx);
}

/* The set tells of the same again to who watches it, where nobody is interested any more. */
bool poll_look(struct context *ctx)
{
	struct epoll_event ready[POLLED];
	int n;

	if (!ctx->watching)
		return false;
	shim_count_made(1);
	n = epoll_wait(ctx->epoll_fd, ready, POLLED, 0);
	for (int k = 0; k < n; k++)
		end_ready(ctx, ready[k].data.fd);
	return n > 0;
}

void poll_stop(struct context *ctx)
{
	struct operation *op = ctx->newest, *next;

	for (; op; op = next) {
		next = op->next;
		if (op->request.opcode == IOCB_CMD_POLL)
			operation_drop(ctx, op);
	}
	if (ctx->watching)
		asys_queue_cancel(ctx->queue, ctx->watch);
}

void poll_close(struct context *ctx)
{
	if (ctx->epoll_fd >= 0)
		close(ctx->epoll_fd);
}
