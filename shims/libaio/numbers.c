/* SPDX-License-Identifier: MIT */
#include "numbers.h"

#include "../common/errno.h"
#include "polls.h"
#include "reaper.h"
#include "settle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Between two looks whether another thread has settled what is waited for. */
#define LOOK_LEAST_NS 50000u
#define LOOK_MOST_NS 1000000u
/* Below are the numbers that mean something to every program. */
#define LEAST_NUMBER 3u

struct range {
	unsigned first, last;
};

_Atomic uint32_t asys_aio_busy;

void numbers_begin_anew(void)
{
	atomic_store(&asys_aio_busy, 0);
}

/* Only with the lock, so this needs no atomic addition. */
static void add(struct context *ctx, int number, uint32_t n)
{
	_Atomic uint32_t *count = &ctx->numbers[(unsigned)number % NUMBERS];

	if (number >= 0)
		atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
				      memory_order_relaxed);
}

void numbers_add(struct context *ctx, const struct operation *op)
{
	if (!op->next)
		atomic_fetch_add_explicit(&asys_aio_busy, 1, memory_order_relaxed);
	add(ctx, op->request.fd, 1);
	add(ctx, op->request.eventfd, 1);
}

/* A descriptor of the shim's own that no other operation has. */
static void give_back(struct context *ctx, int number)
{
	for (const struct operation *op = ctx->newest; op; op = op->next)
		if (op->borrowed && op->request.fd == number)
			return;
	poll_forget(ctx, number); /* the file may stay open elsewhere, and then in the set too */
	syscall(SYS_close, number);
}

void numbers_remove(struct context *ctx, const struct operation *op)
{
	add(ctx, op->request.fd, UINT32_MAX);
	add(ctx, op->request.eventfd, UINT32_MAX);
	if (!ctx->newest)
		atomic_fetch_sub_explicit(&asys_aio_busy, 1, memory_order_relaxed);
	if (op->borrowed)
		give_back(ctx, op->request.fd);
}

static bool is_in(const struct range *range, int number)
{
	return number >= 0 && (unsigned)number >= range->first && (unsigned)number <= range->last;
}

/* Of an operation, not of what is open under its number now. */
static bool may_wait_for_ever(const struct operation *op)
{
	return op->request.opcode == IOCB_CMD_POLL || op->request.kind == FILE_STREAM;
}

static bool is_file(int number)
{
	struct stat st;

	return fstat(number, &st) || S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ||
	       S_ISDIR(st.st_mode);
}

/* Of the operation that has the number `from`. One that is with the queue ends there first. */
static void move(struct context *ctx, struct operation *op, int to)
{
	int from = op->request.fd;
	bool borrowed = op->borrowed;

	add(ctx, from, UINT32_MAX);
	add(ctx, to, 1);
	op->request.fd = to;
	op->borrowed = true;
	if (borrowed)
		give_back(ctx, from);
	if (op->blockers || op->put || op->request.opcode == IOCB_CMD_POLL || op->moving)
		return;
	op->moving = true;
	if (!op->cancelled)
		asys_queue_cancel(ctx->queue, op->id);
}

/* All on one number together, since it is what their order is told by. */
static void move_all(struct context *ctx, int from, int to)
{
	bool polls = false;

	poll_forget(ctx, from);
	for (struct operation *op = ctx->newest; op; op = op->next) {
		if (op->request.fd != from)
			continue;
		polls |= op->request.opcode == IOCB_CMD_POLL;
		move(ctx, op, to);
	}
	if (!polls || !poll_again(ctx, to))
		return;
	for (struct operation *op = ctx->newest, *next; op; op = next) {
		next = op->next;
		if (op->request.fd == to && op->request.opcode == IOCB_CMD_POLL)
			operation_cancel(ctx, op);
	}
}

/* One that depends on its number and for which nothing was done yet. */
static struct operation *find_untouched(struct context *ctx, const struct range *range,
					uint64_t births)
{
	struct operation *op = ctx->newest;

	while (op && (op->awaited || op->born >= births || !is_in(range, op->request.fd)))
		op = op->next;
	return op;
}

static void await_all(struct context *ctx, int number)
{
	for (struct operation *op = ctx->newest; op; op = op->next)
		if (op->request.fd == number)
			op->awaited = true;
}

static void forget_eventfds(struct context *ctx, const struct range *range)
{
	for (struct operation *op = ctx->newest; op; op = op->next) {
		if (!is_in(range, op->request.eventfd))
			continue;
		add(ctx, op->request.eventfd, UINT32_MAX);
		op->request.eventfd = -1;
	}
}

/* Above all numbers that are to be closed; -1 if there is none. */
static int second_descriptor(int number, const struct range *range)
{
	unsigned least = range->last < LEAST_NUMBER ? LEAST_NUMBER : range->last + 1;

	return range->last < INT_MAX ? fcntl(number, F_DUPFD_CLOEXEC, least) : -1;
}

/* The operations on one number, or one of them: whatever is done changes what is in flight. The lock is
 * let go meanwhile, since it may take a server of files to say what a file is. */
static void detach(struct context *ctx, int number, const struct range *range, uint64_t births)
{
	struct operation *op;
	int second;
	bool file;

	pthread_mutex_unlock(&ctx->lock);
	file = is_file(number);
	pthread_mutex_lock(&ctx->lock);
	if (file) {
		await_all(ctx, number);
		return;
	}
	op = find_untouched(ctx, range, births);
	if (!op || op->request.fd != number)
		return; /* another one next, then */
	second = second_descriptor(number, range);
	if (second >= 0) {
		move_all(ctx, number, second);
	} else {
		op->awaited = true;
		operation_cancel(ctx, op);
	}
}

/* Accepted before `births`, so that others that still submit cannot keep the caller. */
static bool depends(const struct context *ctx, const struct range *range, uint64_t births)
{
	for (const struct operation *op = ctx->newest; op; op = op->next) {
		if (op->born >= births)
			continue;
		if (op->moving || (op->awaited && is_in(range, op->request.fd) &&
				   (op->cancelled || !may_wait_for_ever(op))))
			return true;
	}
	return false;
}

/* With the lock, which it lets go meanwhile: another thread is about to settle something. */
static void pause_once(struct context *ctx)
{
	uint32_t news = atomic_load(&ctx->news);

	pthread_mutex_unlock(&ctx->lock);
	context_start(ctx);
	futex_sleep(&ctx->news, news, LOOK_LEAST_NS);
	pthread_mutex_lock(&ctx->lock);
}

/*
 * With the lock, which it lets go meanwhile. What ends is settled here if nobody else does, and others
 * who wait for it in the queue are sent to the ring; while they have kicks to take, this thread stays
 * out of the queue, or it would take them itself. True: there are kicks, to be flushed.
 */
static bool wait_until_free(struct context *ctx, const struct range *range, uint64_t births)
{
	uint64_t look_ns = LOOK_LEAST_NS;
	bool kicked = false;

	while (depends(ctx, range, births)) {
		if (atomic_load(&ctx->reaping) || (ctx->sleepers && ctx->kicks) ||
		    (reaper_deliver(ctx, look_ns) <= 0 && !asys_queue_pending(ctx->queue)))
			pause_once(ctx);
		if (ring_count(ctx->events) && context_kick(ctx))
			kicked = true;
		look_ns = look_ns < LOOK_MOST_NS ? 2 * look_ns : LOOK_MOST_NS;
	}
	return kicked;
}

bool numbers_await_writes(struct context *ctx)
{
	static const struct range all = { 0, UINT_MAX };

	for (struct operation *op = ctx->newest; op; op = op->next)
		op->awaited |= operation_must_finish(op);
	return wait_until_free(ctx, &all, ctx->births);
}

static void let_go(struct context *ctx, const struct range *range)
{
	struct operation *op;
	uint64_t births;
	bool kicked;

	pthread_mutex_lock(&ctx->lock);
	births = ctx->births;
	forget_eventfds(ctx, range);
	while ((op = find_untouched(ctx, range, births)))
		detach(ctx, op->request.fd, range, births);
	kicked = wait_until_free(ctx, range, births);
	if (ctx->queue)
		context_flush(ctx);
	if (ring_count(ctx->events) && context_kick(ctx))
		kicked = true;
	pthread_mutex_unlock(&ctx->lock);
	if (kicked)
		context_start(ctx);
}

/* What io_destroy of another thread waits for is made by number, too. It ends all that might wait for ever. */
static void await_destroyers(unsigned first, unsigned last)
{
	struct context *ctx;
	unsigned index = 0;

	while ((ctx = registry_next_dead(&index))) {
		while (atomic_load(&ctx->dead) && atomic_load(&ctx->active) &&
		       numbers_maybe(ctx, first, last)) {
			uint32_t news = atomic_load(&ctx->news);

			futex_sleep(&ctx->news, news, LOOK_MOST_NS);
		}
	}
}

void asys_aio_let_go(unsigned first, unsigned last)
{
	SHIM_KEEP_ERRNO;
	const struct range range = { first, last };
	struct context *ctx;
	unsigned index = 0;
	int cancel;

	if (first > last || shim_inside)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	while ((ctx = registry_next(&index, first, last))) {
		let_go(ctx, &range);
		context_leave(ctx);
	}
	await_destroyers(first, last);
	pthread_setcancelstate(cancel, &cancel);
}
