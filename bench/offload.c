/* SPDX-License-Identifier: MIT */
/*
 * What it costs the sender to hand a call to somebody else: CPU time of the sending thread for send
 * and get, per call. The call is getppid, the shortest trap there is, so the trap itself is the
 * yardstick: cheaper than one, and sending is cheaper than calling.
 *
 * getppid: asys and libuv may each choose how many calls they keep in flight and take at once, and
 * asys whether it spins before it sleeps; the fastest is used and named. getppid/64 and so on: both
 * send batches of so many and wait for all of them before the next.
 */
#include "harness.h"

#include <asys/asys.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef BENCH_LIBUV
#include <uv.h>
#endif

#define DEPTH 4096u
#define TRIAL_OPS (16u * DEPTH)

/* asys: up to DEPTH calls in flight, replaced in steps. */

struct sender {
	struct asys_queue *queue;
	unsigned window; /* calls in flight */
	unsigned step;	 /* taken at once */
	struct asys_event events[DEPTH];
};

#define SPIN_DEFAULT UINT32_MAX

static const struct variant {
	unsigned step;
	uint32_t spin_ns;
} variants[] = {
	{ 256, 0 },
	{ 1024, 0 },
	{ 2048, 0 },
	{ 4096, 0 },
	{ 256, SPIN_DEFAULT },
	{ 1024, SPIN_DEFAULT },
	{ 2048, SPIN_DEFAULT },
	{ 4096, SPIN_DEFAULT },
};

#define VARIANTS (sizeof variants / sizeof *variants)

/* The case's batch, or 0: the side's own choice. */
static unsigned fixed_batch(const struct bench_child *child)
{
	const unsigned *batch = child->arg;

	return *batch;
}

static int ours_use(struct bench_child *child, unsigned variant)
{
	const struct variant *v = &variants[variant];
	struct sender *s = child->state;
	struct asys_queue_options options;
	int err;

	asys_queue_options_init(&options);
	options.depth = DEPTH;
	options.engine = ASYS_ENGINE_THREADS;
	options.flags = ASYS_QUEUE_NO_HELP;
	if (v->spin_ns != SPIN_DEFAULT)
		options.spin_ns = v->spin_ns;
	asys_queue_close(s->queue);
	s->queue = NULL;
	s->window = fixed_batch(child) ? fixed_batch(child) : DEPTH;
	s->step = fixed_batch(child) ? fixed_batch(child) : v->step;
	err = asys_queue_open(&s->queue, &options);
	if (err)
		snprintf(child->note, sizeof child->note, "%s", asys_message());
	else
		snprintf(child->note, sizeof child->note, "%u in flight, %u taken at once, %s",
			 s->window, s->step, v->spin_ns ? "spins first" : "sleeps at once");
	return err;
}

/* With a fixed batch only the spinning is left to choose: the last variant of each kind. */
static int ours_use_fixed(struct bench_child *child, unsigned variant)
{
	return ours_use(child, variant ? VARIANTS - 1 : VARIANTS / 2 - 1);
}

static int ours_take(struct sender *s, pid_t expected)
{
	int n = asys_queue_get_many(s->queue, s->events, s->step, s->step, ASYS_FOREVER);

	if (n != (int)s->step)
		return n < 0 ? n : -EIO;
	for (unsigned i = 0; i < s->step; i++)
		if (s->events[i].result != expected)
			return -EBADMSG;
	return 0;
}

static int ours_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	struct sender *s = child->state;
	pid_t expected = getppid();
	uint64_t total = (ops + s->window - 1) / s->window * s->window, sent = 0, got = 0;
	uint64_t start = bench_thread_cpu();

	while (got < total) {
		int err;

		for (; sent < total && sent - got < s->window; sent++)
			asys_getppid(s->queue);
		err = ours_take(s, expected);
		if (err)
			return err;
		got += s->step;
	}
	ret_cost->ns = bench_thread_cpu() - start;
	ret_cost->ops = total;
	return 0;
}

static int ours_open(struct bench_child *child)
{
	int best;

	child->state = calloc(1, sizeof(struct sender));
	if (!child->state)
		return -ENOMEM;
	if (fixed_batch(child))
		best = bench_fastest(child, 2, TRIAL_OPS, ours_use_fixed, ours_round);
	else
		best = bench_fastest(child, VARIANTS, TRIAL_OPS, ours_use, ours_round);
	return best < 0 ? best : 0;
}

static void ours_close(struct bench_child *child)
{
	struct sender *s = child->state;

	asys_queue_close(s->queue);
	free(s);
}

static const struct bench_side side_asys = { "asys", ours_open, ours_round, ours_close };

/* The trap. */

static int sync_open(struct bench_child *child)
{
	(void)child;
	return 0;
}

static int sync_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	pid_t expected = getppid();
	uint64_t start = bench_thread_cpu();

	(void)child;
	for (uint64_t i = 0; i < ops; i++)
		if (getppid() != expected)
			return -EBADMSG;
	ret_cost->ns = bench_thread_cpu() - start;
	ret_cost->ops = ops;
	return 0;
}

static void sync_close(struct bench_child *child)
{
	(void)child;
}

static const struct bench_side side_sync = { "sync", sync_open, sync_round, sync_close };

/* libuv: its default thread pool. */

#ifdef BENCH_LIBUV
struct item {
	uv_work_t work;
	pid_t result;
};

struct pool {
	uv_loop_t loop;
	unsigned batch;
	unsigned ended;
	struct item items[DEPTH];
};

static void work(uv_work_t *req)
{
	struct item *item = req->data;

	item->result = getppid();
}

static void after_work(uv_work_t *req, int status)
{
	struct pool *p = req->loop->data;

	p->ended += status == 0;
}

static int uv_batch(struct pool *p, pid_t expected)
{
	p->ended = 0;
	for (unsigned i = 0; i < p->batch; i++) {
		int err;

		p->items[i].work.data = &p->items[i];
		err = uv_queue_work(&p->loop, &p->items[i].work, work, after_work);
		if (err)
			return err;
	}
	uv_run(&p->loop, UV_RUN_DEFAULT);
	for (unsigned i = 0; i < p->batch; i++)
		if (p->items[i].result != expected)
			return -EBADMSG;
	return p->ended == p->batch ? 0 : -EIO;
}

static int uv_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	struct pool *p = child->state;
	pid_t expected = getppid();
	uint64_t start = bench_thread_cpu(), done = 0;

	for (; done < ops; done += p->batch) {
		int err = uv_batch(p, expected);

		if (err)
			return err;
	}
	ret_cost->ns = bench_thread_cpu() - start;
	ret_cost->ops = done;
	return 0;
}

static int uv_use(struct bench_child *child, unsigned variant)
{
	static const unsigned batches[] = { 64, 256, 1024, 4096 };
	struct pool *p = child->state;

	p->batch = fixed_batch(child) ? fixed_batch(child) : batches[variant];
	snprintf(child->note, sizeof child->note, "batches of %u", p->batch);
	return 0;
}

static int uv_open(struct bench_child *child)
{
	struct pool *p = calloc(1, sizeof *p);
	int err;

	child->state = p;
	if (!p)
		return -ENOMEM;
	err = uv_loop_init(&p->loop);
	if (err)
		return err;
	p->loop.data = p;
	err = bench_fastest(child, fixed_batch(child) ? 1 : 4, TRIAL_OPS, uv_use, uv_round);
	return err < 0 ? err : 0;
}

static void uv_close_side(struct bench_child *child)
{
	struct pool *p = child->state;

	uv_loop_close(&p->loop);
	free(p);
}

static const struct bench_side side_uv = { "libuv", uv_open, uv_round, uv_close_side };
#endif

static const struct bench_side *const sides[] = {
	&side_asys,
	&side_sync,
#ifdef BENCH_LIBUV
	&side_uv,
#endif
};

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned batch;
	} cases[] = { { "getppid", 0 }, { "getppid/64", 64 }, { "getppid/1024", 1024 } };
	struct bench_options options;
	int err = 0;

	bench_options(&options, "offload",
		      "CPU time of the sender for each call that a system call thread runs,\n"
		      "against the trap itself and libuv's thread pool.",
		      argc, argv);
#ifndef BENCH_LIBUV
	bench_say(&options, "built without libuv: that comparison is skipped");
#endif
	for (size_t i = 0; i < sizeof cases / sizeof *cases && !err; i++) {
		const struct bench_case one = {
			cases[i].name, "ns", 1, sizeof sides / sizeof *sides, sides, &cases[i].batch
		};

		err = bench_compare(&options, &one);
	}
	return bench_exit(&options, err);
}
