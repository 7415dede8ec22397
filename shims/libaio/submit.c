/* SPDX-License-Identifier: MIT */
/* io_submit. */
#include "submit.h"

#include "../common/stats.h"
#include "eventfd.h"
#include "inbox.h"
#include "memory.h"
#include "order.h"
#include "polls.h"
#include "reaper.h"
#include "rent.h"
#include "settle.h"
#include "symbols.h"

#include "../common/cancel.h"
#include "../common/errno.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int submit_now(struct context *ctx, struct operation *op)
{
	struct asys_call call;
	int err;

	prepare_call(op, &call);
	op->id = asys_send(ctx->queue, &call);
	err = asys_error(op->id);
	if (!err)
		context_sent(ctx);
	return err;
}

int submit_send(struct context *ctx, struct operation *op)
{
	if (!atomic_load_explicit(&ctx->reaping, memory_order_relaxed))
		return submit_now(ctx, op);
	inbox_put(ctx, op);
	return 0;
}

void submit_released(struct context *ctx, struct operation *op)
{
	int err = submit_send(ctx, op);

	ctx->unflushed = true;
	if (err)
		operation_event(ctx, op, err);
}

/* Sent, or held until what it comes after is over. */
static int start(struct context *ctx, struct operation *op)
{
	op->blockers = order_count(ctx, op->next, &op->request);
	if (!op->blockers)
		return submit_send(ctx, op);
	ctx->held++;
	/* Who waits for several events at once would not see the one that lets this start. */
	if (ctx->kick_worth > ctx->sleepers)
		context_kick(ctx);
	reaper_attend(ctx);
	return 0;
}

/* With the lock. */
static int queue_with_vector(struct context *ctx, const struct request *r, struct iovec **vector)
{
	struct operation *op = operation_take(ctx, r);
	int err;

	prepare_memory(op, vector);
	err = r->opcode == IOCB_CMD_POLL ? poll_start(ctx, op) : start(ctx, op);
	if (err) {
		operation_give_back(ctx, op);
		return err;
	}
	rent_note(ctx, r);
	if (ctx->idle)
		context_tell(ctx);
	return 0;
}

/* What takes memory is done before and after the lock is held (context.h). */
static int queue_request(struct context *ctx, const struct request *r)
{
	struct iovec *vector;
	int err = prepare_vector(r, &vector);

	if (!err)
		err = context_make(ctx, r->eventfd >= 0);
	if (!err) {
		pthread_mutex_lock(&ctx->lock);
		err = queue_with_vector(ctx, r, &vector);
		pthread_mutex_unlock(&ctx->lock);
	}
	free(vector);
	return err;
}

static void finish_now(struct context *ctx, const struct request *r, int64_t result)
{
	const struct io_event event = { r->data, r->obj, result, 0 };

	ring_put(ctx->events, &event);
	context_unreserve(ctx);
	if (r->eventfd >= 0)
		eventfd_tell(r->eventfd, 1);
	context_tell(ctx);
}

/* Nothing in flight has to end before it. */
static bool is_next(struct context *ctx, struct request *r)
{
	bool next;

	pthread_mutex_lock(&ctx->lock);
	next = !ctx->streams || !order_count(ctx, ctx->newest, r);
	pthread_mutex_unlock(&ctx->lock);
	return next;
}

static enum attempt transfer(struct context *ctx, struct request *r, bool held, int64_t *ret_result)
{
	enum attempt outcome = attempt_transfer(ctx, r, held, ret_result);

	if (outcome != ATTEMPT_QUEUE || r->kind != FILE_STREAM)
		return outcome;
	r->sort = r->kind;
	return is_next(ctx, r) ? attempt_stream(r, ret_result) : outcome;
}

static enum attempt attempt(struct context *ctx, struct request *r, bool held, int64_t *ret_result)
{
	switch (r->opcode) {
	case IOCB_CMD_POLL:
		return attempt_poll(r, ret_result);
	case IOCB_CMD_FSYNC:
	case IOCB_CMD_FDSYNC:
		return attempt_sync(r, ret_result);
	default:
		return transfer(ctx, r, held, ret_result);
	}
}

static int check_resfd(struct context *ctx, int fd)
{
	int err = fd < 0 ? -EBADF : check_eventfd(fd);

	if (!err)
		file_learn(ctx, fd, FILE_EVENTFD);
	return err;
}

/* The first thing that is wrong: descriptor, eventfd, an iocb that cannot be written (`fixed`), words, mode of
 * the file, memory. */
static int check(struct context *ctx, const struct iocb *iocb, bool fixed, struct request *r)
{
	int words = check_request(iocb, r), memory, err;
	bool tells = iocb->aio_flags & FLAG_RESFD;

	if (fixed)
		words = -EFAULT;
	memory = words ? 0 : check_memory(r);

	if (!words && !memory &&
	    (!tells || (r->eventfd >= 0 && file_believed(ctx, r->eventfd) == FILE_EVENTFD)))
		return 0;
	err = check_descriptor(r->fd);
	if (!err && tells)
		err = check_resfd(ctx, r->eventfd);
	if (!err)
		err = words;
	if (!err && memory)
		err = file_look(ctx, r);
	return err ? err : memory;
}

static void count(const struct request *r)
{
	static const uint8_t ops[] = {
		[IOCB_CMD_PREAD] = SHIM_READ,  [IOCB_CMD_PWRITE] = SHIM_WRITE,
		[IOCB_CMD_FSYNC] = SHIM_FSYNC, [IOCB_CMD_FDSYNC] = SHIM_FSYNC,
		[IOCB_CMD_POLL] = SHIM_POLL,   [IOCB_CMD_NOOP] = SHIM_NOOP,
		[IOCB_CMD_PREADV] = SHIM_READ, [IOCB_CMD_PWRITEV] = SHIM_WRITE,
	};

	shim_count((enum shim_op)ops[r->opcode], 1);
}

/* Something in flight has to end before this may be attempted, and only reads and RWF_NOWAIT are. What
 * other threads submit meanwhile has no order to this. */
static bool must_wait(struct context *ctx, const struct request *r, bool writes)
{
	struct request any;
	bool wait;

	if (r->write ? !(r->rw_flags & RW_NOWAIT) : !writes)
		return false;
	any = *r;
	any.append = r->write; /* nobody looked yet whether it is */
	pthread_mutex_lock(&ctx->lock);
	wait = order_count(ctx, ctx->newest, &any);
	pthread_mutex_unlock(&ctx->lock);
	return wait;
}

/* How it went, of what was not refused. */
#define DONE 0
#define QUEUED 1
#define WOKE 2 /* somebody, who needs a flush to notice */

static int accept_one(struct context *ctx, struct request *r)
{
	bool writes = atomic_load_explicit(&ctx->writes, memory_order_relaxed);
	bool wait = must_wait(ctx, r, writes);
	int64_t result = 0;
	enum attempt outcome = attempt(ctx, r, wait, &result);
	bool woke;
	int err;

	if (outcome == ATTEMPT_FAIL)
		return (int)result;
	if (outcome == ATTEMPT_DONE && r->end && writes)
		outcome = ATTEMPT_QUEUE; /* the end that it met may have been moved meanwhile */
	if (outcome == ATTEMPT_QUEUE) {
		err = queue_request(ctx, r);
		return err ? err : QUEUED;
	}
	shim_count_done(1);
	pthread_mutex_lock(&ctx->lock);
	finish_now(ctx, r, result);
	woke = context_kick(ctx);
	pthread_mutex_unlock(&ctx->lock);
	return woke ? WOKE : DONE;
}

/* The kernel copies all of it and writes its key; the key is 0, unless it is refused before that. */
static int take(struct memory *memory, uintptr_t address, struct iocb *ret_iocb, bool *ret_fixed)
{
	const uintptr_t key = address + offsetof(struct iocb, aio_key);

	*ret_fixed = !memory_takes(memory, key, sizeof(ret_iocb->aio_key));
	if (!memory_get(memory, ret_iocb, address, sizeof(*ret_iocb)))
		return -EFAULT;
	ret_iocb->aio_key = 0;
	if (!*ret_fixed)
		memcpy((void *)key, &ret_iocb->aio_key, sizeof(ret_iocb->aio_key));
	return 0;
}

static int submit_one(struct context *ctx, struct memory *memory, uintptr_t address)
{
	struct iocb iocb;
	struct request r;
	bool fixed;
	int err = take(memory, address, &iocb, &fixed);

	if (err)
		return err;
	err = check_words(&iocb);
	if (err)
		return err;
	if (!context_reserve(ctx))
		return -EAGAIN;
	err = check(ctx, &iocb, fixed, &r);
	r.obj = address;
	if (!err)
		err = accept_one(ctx, &r);
	if (err < 0) {
		context_unreserve(ctx);
		return err;
	}
	count(&r);
	return err;
}

static void start_all(struct context *ctx, int how)
{
	bool now = how & WOKE;

	if (how & QUEUED) {
		pthread_mutex_lock(&ctx->lock);
		now |= rent_submitted(ctx);
		pthread_mutex_unlock(&ctx->lock);
		reaper_make(ctx);
	}
	if (!now)
		return;
	context_start(ctx);
	pthread_mutex_lock(&ctx->lock);
	rent_started(ctx);
	pthread_mutex_unlock(&ctx->lock);
}

/* `vector`: where the addresses of the iocbs are. */
static int submit_all(struct context *ctx, long nr, uintptr_t vector)
{
	int err = 0, how = DONE;
	struct memory *memory = memory_now();
	uintptr_t iocb;
	long done = 0;

	while (done < nr && done < ctx->nr) {
		err = -EFAULT;
		if (memory_get(memory, &iocb, vector + (uintptr_t)done * sizeof(iocb),
			       sizeof(iocb)))
			err = submit_one(ctx, memory, iocb);
		if (err < 0)
			break;
		how |= err;
		done++;
	}
	start_all(ctx, how);
	return done ? (int)done : err < 0 ? (int)shim_error(err) : 0;
}

int shim_io_submit(void *ring, long nr, struct iocb **iocbs)
{
	SHIM_NO_CANCEL;
	SHIM_KEEP_ERRNO;
	uint64_t begin = shim_submit_begin();
	struct context *ctx;
	int n;

	shim_count_native(1);
	ctx = nr < 0 ? NULL : context_enter(ring);
	if (!ctx)
		return -EINVAL;
	n = submit_all(ctx, nr, (uintptr_t)iocbs);
	context_leave(ctx);
	shim_submit_end(begin);
	return n;
}
