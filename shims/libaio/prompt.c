/* SPDX-License-Identifier: MIT */
/*
 * Visits that do not wait. The kernel runs transfers in io_submit, but for O_DIRECT, so programs find their
 * events without waiting; here they may only have been queued. So before io_getevents returns because it may not
 * wait, or no longer, it starts what was left to this visit and waits for what need not wait for anybody:
 *
 *   transfers to and from the page cache                  from their beginning
 *   of pipes, sockets and the like                         with O_NONBLOCK, or if there was room for all of a write;
 *                                                          else if poll says now that they can go on
 *   IOCB_CMD_POLL                                          asked here, no waiting
 *
 * Reads of streams that have something, and short writes, were done in io_submit (attempt.c).
 *
 * That is a matter of moments, as some thread has them already. What takes longer than a copy does is not waited
 * for again: its file is slow, or somebody else was faster at the pipe and poll speaks of something else.
 */
#include "../common/look.h"
#include "getevents.h"
#include "polls.h"
#include "rent.h"
#include "submit.h"

#define PATIENCE_NS 1000000000ull
#define BYTE_NS 10u /* more for each byte: the slowest copy to a file that is worth waiting for */
#define LOOK_AGAIN_NS 1000000u
#define STREAMS_AT_ONCE 64u

/* Accepted before `births`: others that still submit cannot keep this thread. Those that are held come after
 * others of these, or after what is not waited for. */
static bool is_looked_for(const struct operation *op, uint64_t births)
{
	return !op->blockers && !op->overdue && op->born < births;
}

static bool is_stream(const struct operation *op)
{
	return op->request.sort == FILE_STREAM && op->request.opcode != IOCB_CMD_POLL;
}

static bool can_go_on(const struct request *r, short revents)
{
	if (!r->write || (revents & (POLLERR | POLLHUP | POLLNVAL)))
		return revents;
	return (revents & POLLOUT) && stream_has_room(r);
}

/* One of the streams, of the newest ones. */
static bool stream_left(const struct context *ctx, uint64_t births)
{
	const struct operation *ops[STREAMS_AT_ONCE];
	struct pollfd fds[STREAMS_AT_ONCE];
	unsigned n = 0;

	if (!ctx->streams)
		return false;
	for (const struct operation *op = ctx->newest; op && n < STREAMS_AT_ONCE; op = op->next) {
		if (!is_stream(op) || !is_looked_for(op, births))
			continue;
		fds[n] = (struct pollfd){ op->request.fd, op->request.write ? POLLOUT : POLLIN, 0 };
		ops[n++] = op;
	}
	if (!n || look(fds, n) <= 0)
		return false;
	while (n--)
		if (can_go_on(&ops[n]->request, fds[n].revents))
			return true;
	return false;
}

static bool prompt_left(const struct context *ctx, uint64_t births)
{
	if (!ctx->prompt)
		return false;
	for (const struct operation *op = ctx->newest; op; op = op->next)
		if (op->prompt && is_looked_for(op, births))
			return true;
	return false;
}

/* How long they are waited for. */
static uint64_t patience(const struct context *ctx)
{
	uint64_t ns = PATIENCE_NS;

	for (const struct operation *op = ctx->newest; op; op = op->next)
		if (op->prompt)
			ns += BYTE_NS * op->request.bytes;
	return ns;
}

/* They take longer than a copy does: nobody waits for them like that again. */
static void forget(struct context *ctx, uint64_t births)
{
	for (struct operation *op = ctx->newest; op; op = op->next) {
		if (op->born >= births)
			continue;
		ctx->prompt -= op->prompt;
		op->prompt = false;
		op->overdue = true;
	}
}

/* Signals do not end it: the kernel was not waiting either. It looks again now and then, since other
 * threads may get the events. */
void get_prompt(struct context *ctx, struct getting *get)
{
	uint64_t until_ns = 0, births = ctx->births;

	rent_due(ctx);
	if (get->got < get->most && poll_look(ctx))
		get_from_ring(ctx, get);
	while (!get->fault && get->got < get->most && !atomic_load(&ctx->dead) &&
	       (prompt_left(ctx, births) || stream_left(ctx, births))) {
		if (!until_ns)
			until_ns = asys_now() + patience(ctx);
		if (!time_left(until_ns)) {
			forget(ctx, births);
			return;
		}
		get_sleep(ctx, get, 1, LOOK_AGAIN_NS);
	}
}
