/* SPDX-License-Identifier: MIT */
#include "rent.h"

#include "reaper.h"

#define WEIGHT 4u
/*
 * How much of what is in flight may wait to be started: a quarter, if it is writes. Dividing the price of
 * a submission, and of telling the device, by that number is worth more than the rest of the device's
 * queue. A read waits for the medium, where each place in the device's queue counts, so it has the weight
 * of eight: at a depth of 32 it is started alone. A write is soon in the device's memory.
 */
#define SHARE 4u
#define READ_COUNTS 8u

bool rent_submitted(struct context *ctx)
{
	ctx->submitted = true;
	ctx->sent_at_ns = asys_now();
	/* Whoever sleeps in the queue waits for this too. */
	if (ctx->return_ns >= PROMPT_NS || ctx->sleepers || !reaper_attend(ctx)) {
		ctx->for_ring = 0;
		return true;
	}
	ctx->deferred = true;
	return false;
}

void rent_started(struct context *ctx)
{
	ctx->sent_at_ns = asys_now();
}

void rent_note(struct context *ctx, const struct request *r)
{
	if (r->write && (r->kind == FILE_DIRECT || r->kind == FILE_STREAM))
		ctx->for_ring++;
	else if (!r->write && r->kind != FILE_PLAIN)
		ctx->for_ring += READ_COUNTS;
}

static void start(struct context *ctx)
{
	ctx->deferred = false;
	ctx->for_ring = 0;
	pthread_mutex_unlock(&ctx->lock);
	asys_queue_flush(ctx->queue);
	pthread_mutex_lock(&ctx->lock);
}

static void learn(struct context *ctx)
{
	uint64_t gap = asys_now() - ctx->sent_at_ns;

	gap = gap < RETURN_MOST_NS ? gap : RETURN_MOST_NS;
	ctx->return_ns += gap / WEIGHT;
	ctx->return_ns -= ctx->return_ns / WEIGHT;
}

void rent_visited(struct context *ctx)
{
	ctx->visits++;
	if (ctx->submitted)
		learn(ctx);
	ctx->submitted = false;
	if (ctx->deferred && ctx->for_ring && ctx->for_ring >= ctx->sent / SHARE)
		start(ctx);
}

void rent_due(struct context *ctx)
{
	if (ctx->deferred)
		start(ctx);
}
