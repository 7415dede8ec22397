/* SPDX-License-Identifier: MIT */
/*
 * What chains cost beyond their calls.
 *
 * step_ns: 1,000 compute steps, each with the result of the one before as its argument: sending and
 *   awaiting such a chain, less sending and awaiting one without steps, for each step.
 * loop_ns: the same for one compute step in a loop of 1,000 iterations, for each iteration.
 * fan_ns: the same for one step, 1,000 that take its result and one that waits for all of these.
 * wakeups: how often a client that sleeps until the chain's event comes is woken, with a chain of
 *   1,000 calls. Each chain counts what the queue says or what the kernel says (voluntary context
 *   switches of the client's thread), whichever is more, and each round reports its worst chain. The
 *   client does not run calls itself and does not spin, so that it does sleep. getppid.
 * wakeups_pread: the same with preads of 4 KiB from the page cache.
 */
#include "harness.h"

#include <asys/asys.h>
#include <asys/chain.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define STEPS 1000u
#define BLOCK 4096u
#define CHAINS_PER_ROUND 20u

enum shape { ROW, LOOP, FAN, GETPPID, PREAD };

struct setting {
	enum shape shape;
	int fd; /* a file of one block, in the page cache */
};

struct side {
	const struct setting *set;
	struct asys_queue *queue;
	struct asys_chain *chain, *empty;
	uint64_t counted; /* iterations that ran */
	int64_t expected; /* the chain's result */
	char buf[BLOCK];
};

static int64_t add_one(const uint64_t arg[6])
{
	return (int64_t)arg[0] + 1;
}

static int64_t count(const uint64_t arg[6])
{
	uint64_t *counter = (uint64_t *)(uintptr_t)arg[0];

	return (int64_t)++ * counter;
}

/* Each returns the step whose result is the chain's. */

static asys_id add_row(struct asys_chain *c)
{
	asys_id last = asys_chain_compute(c, add_one, 0);

	for (unsigned i = 1; i < STEPS; i++)
		last = asys_chain_compute(c, add_one, last);
	return last;
}

static asys_id add_loop(struct asys_chain *c, uint64_t *counter)
{
	asys_id last;

	asys_chain_loop(c, STEPS);
	last = asys_chain_compute(c, count, counter);
	asys_chain_end(c);
	return last;
}

/* 1,002 steps. All of the middle are after the first, the last is after all of the middle. */
static asys_id add_fan(struct asys_chain *c)
{
	asys_id first = asys_chain_compute(c, add_one, 0);
	asys_id middle[STEPS];

	for (unsigned i = 0; i < STEPS; i++)
		middle[i] = asys_chain_compute(c, add_one, first);
	for (unsigned i = 0; i < STEPS; i++)
		asys_after(c, middle[i]);
	return asys_chain_compute(c, add_one, middle[0]);
}

static asys_id add_calls(struct asys_chain *c, struct side *s)
{
	asys_id last = { 0 };

	for (unsigned i = 0; i < STEPS; i++) {
		struct asys_chain *next = i ? asys_after_ok(c, last) : c;

		last = s->set->shape == GETPPID ? asys_getppid(next) :
						  asys_pread64(next, s->set->fd, s->buf, BLOCK, 0);
	}
	return last;
}

static asys_id add_steps(struct asys_chain *c, struct side *s)
{
	switch (s->set->shape) {
	case ROW:
		s->expected = STEPS;
		return add_row(c);
	case LOOP:
		s->expected = STEPS;
		return add_loop(c, &s->counted);
	case FAN:
		s->expected = 3; /* first, middle, last: each adds one */
		return add_fan(c);
	default:
		s->expected = s->set->shape == GETPPID ? getppid() : (int)BLOCK;
		return add_calls(c, s);
	}
}

static int build(struct side *s)
{
	int err = asys_chain_open(&s->chain, NULL);

	if (!err)
		err = asys_chain_result(s->chain, add_steps(s->chain, s));
	if (!err)
		err = asys_chain_ready(s->chain);
	if (!err)
		err = asys_chain_open(&s->empty, NULL);
	return err ? err : asys_chain_ready(s->empty);
}

/* Sends one and waits for it. */
static int once(struct side *s, struct asys_chain *chain, int64_t expected)
{
	struct asys_event event;
	asys_id id;
	int err;

	s->counted = 0;
	id = asys_chain_send(s->queue, chain);
	err = asys_queue_wait(s->queue, id, &event);
	if (err)
		return err;
	if (event.result < 0)
		return (int)event.result;
	return event.result == expected ? 0 : -EBADMSG;
}

static void side_close(struct bench_child *child)
{
	struct side *s = child->state;

	asys_queue_close(s->queue);
	asys_chain_close(s->chain);
	asys_chain_close(s->empty);
	free(s);
}

static int side_open(struct bench_child *child, const struct asys_queue_options *options)
{
	struct side *s = calloc(1, sizeof *s);
	int err;

	child->state = s;
	if (!s)
		return -ENOMEM;
	s->set = child->arg;
	err = asys_queue_open(&s->queue, options);
	if (!err)
		err = build(s);
	if (err)
		snprintf(child->note, sizeof child->note, "%s", asys_message());
	return err;
}

/* Steps */

static int steps_open(struct bench_child *child)
{
	return side_open(child, NULL);
}

/* Chains with steps and without, in turns, so that both meet the same machine. */
static int steps_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	struct side *s = child->state;
	uint64_t with = 0, without = 0, chains = 0;

	do {
		uint64_t start = bench_now(), middle;
		int err = once(s, s->chain, s->expected);

		middle = bench_now();
		if (!err)
			err = once(s, s->empty, 0);
		if (err)
			return err;
		with += middle - start;
		without += bench_now() - middle;
		chains++;
	} while (chains * STEPS < ops);
	ret_cost->ns = with > without ? with - without : 0;
	ret_cost->ops = chains * STEPS;
	snprintf(child->note, sizeof child->note, "a chain without steps: %llu ns",
		 (unsigned long long)(without / chains));
	return 0;
}

/* Wake-ups */

static int sleeper_open(struct bench_child *child)
{
	struct asys_queue_options options;

	asys_queue_options_init(&options);
	options.flags = ASYS_QUEUE_NO_HELP;
	options.spin_ns = 0;
	return side_open(child, &options);
}

static uint64_t kernel_sleeps(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : (uint64_t)usage.ru_nvcsw;
}

static int sleep_once(struct side *s, uint64_t *ret_queue, uint64_t *ret_kernel)
{
	struct asys_stats before, after;
	struct asys_event event;
	uint64_t kernel;
	int err = asys_queue_stats(s->queue, &before), n;

	if (err)
		return err;
	kernel = kernel_sleeps();
	asys_chain_send(s->queue, s->chain);
	n = asys_queue_get_many(s->queue, &event, 1, 1, ASYS_FOREVER);
	*ret_kernel = kernel_sleeps() - kernel;
	err = asys_queue_stats(s->queue, &after);
	if (n != 1 || err)
		return n < 0 ? n : err ? err : -ENODATA;
	*ret_queue = after.sleeps - before.sleeps;
	if (event.result < 0)
		return (int)event.result;
	return event.result == s->expected ? 0 : -EBADMSG;
}

/* One operation, whose cost is the round's worst number of wake-ups. */
static int sleeper_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	struct side *s = child->state;
	uint64_t worst = 0, worst_queue = 0, worst_kernel = 0;

	(void)ops;
	for (unsigned i = 0; i < CHAINS_PER_ROUND; i++) {
		uint64_t queue = 0, kernel = 0;
		int err = sleep_once(s, &queue, &kernel);

		if (err)
			return err;
		worst_queue = queue > worst_queue ? queue : worst_queue;
		worst_kernel = kernel > worst_kernel ? kernel : worst_kernel;
	}
	worst = worst_queue > worst_kernel ? worst_queue : worst_kernel;
	ret_cost->ns = worst;
	ret_cost->ops = 1;
	snprintf(child->note, sizeof child->note,
		 "worst of %u chains in the last round: queue %llu, kernel %llu", CHAINS_PER_ROUND,
		 (unsigned long long)worst_queue, (unsigned long long)worst_kernel);
	return 0;
}

/* Cases */

static const struct bench_side stepper = { "asys", steps_open, steps_round, side_close };
static const struct bench_side sleeper = { "asys", sleeper_open, sleeper_round, side_close };

/* Rounds of `ops` each, after one that warms up; the figure is the cost of an operation. */
static int measure(const struct bench_options *options, const char *name, const char *unit,
		   const struct bench_side *side, const struct setting *set)
{
	static double values[BENCH_ROUNDS_MAX];
	uint64_t ops = options->round_ns / 100; /* enough; the round's length does not matter */
	struct bench_process process;
	struct bench_cost cost;
	int err;

	if (!bench_wants(options, name))
		return 0;
	err = bench_process_start(side, set, &process);
	if (!err) {
		err = bench_process_round(&process, ops, &cost);
		for (unsigned i = 0; i < options->rounds && !err; i++) {
			err = bench_process_round(&process, ops, &cost);
			values[i] = err ? 0 : (double)cost.ns / (double)cost.ops;
		}
		bench_process_stop(&process);
	}
	if (err) {
		bench_say(options, "%s: %s: %s", name, process.note[0] ? process.note : "failed",
			  strerror(-err));
		return err;
	}
	bench_figure(options, name, unit, values, options->rounds, process.note);
	return 0;
}

/* A file of one block that is gone when we are. -errno. */
static int open_block(void)
{
	FILE *file = tmpfile();
	static const char block[BLOCK];
	int fd;

	if (!file)
		return -errno;
	fd = dup(fileno(file));
	fclose(file);
	if (fd >= 0 && write(fd, block, sizeof block) == (ssize_t)sizeof block)
		return fd;
	return errno ? -errno : -ENOSPC;
}

static int run_all(const struct bench_options *options)
{
	static const struct {
		const char *name, *unit;
		enum shape shape;
		const struct bench_side *side;
	} cases[] = {
		{ "step_ns", "ns", ROW, &stepper },
		{ "loop_ns", "ns", LOOP, &stepper },
		{ "fan_ns", "ns", FAN, &stepper },
		{ "wakeups", "times", GETPPID, &sleeper },
		{ "wakeups_pread", "times", PREAD, &sleeper },
	};
	int fd = open_block(), err = fd < 0 ? fd : 0;

	if (err)
		bench_say(options, "cannot make a temporary file: %s", strerror(-err));
	for (size_t i = 0; i < sizeof cases / sizeof *cases && !err; i++) {
		const struct setting set = { cases[i].shape, fd };

		err = measure(options, cases[i].name, cases[i].unit, cases[i].side, &set);
	}
	if (fd >= 0)
		close(fd);
	return err;
}

int main(int argc, char **argv)
{
	struct bench_options options;

	bench_options(
		&options, "chain",
		"What a step of a chain costs beyond the call itself, and how often a client\n"
		"that sleeps while a chain of 1,000 calls runs is woken.",
		argc, argv);
	return bench_exit(&options, run_all(&options));
}
