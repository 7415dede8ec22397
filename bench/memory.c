/* SPDX-License-Identifier: MIT */
/*
 * Memory of one call in flight, from a million at once, and of one step of chains in flight.
 *
 * bytes_per_call: a million reads of one empty pipe, all started; default options.
 * bytes_per_call_ready: the same on the engine ready, where no call costs the kernel memory.
 * bytes_per_call_held: a million calls that wait for one such read, none of them started.
 * bytes_per_step: 100,000 sendings of a chain of 8 steps, each at its first, which is such a read; the
 * others count on from its result, one after the other. For each step of each sending.
 * bytes_per_step_long: the same for 1,000 sendings of a chain of 1,000 steps. The chain is included.
 *
 * Counted are what the process has resident more than before the queue was opened, its page tables,
 * and the kernel's: unreclaimable slab and kernel stacks, which the kernel counts for the whole
 * machine only, so that a busy machine adds noise. Afterwards the pipe's end closes, and all must end
 * with the right result.
 */
#include "harness.h"

#include <asys/asys.h>
#include <asys/chain.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CALLS 1000000u
#define CALLS_QUICK 10000u
#define CHAINS 100000u
#define CHAINS_LONG 1000u
#define STEPS 8u
#define STEPS_LONG 1000u
#define QUICK 100u /* the part of the chains that --quick sends */
#define LIVES 3u
#define EVENTS 1024u
#define SETTLE_POLLS 200u

struct setting {
	unsigned calls; /* or chains */
	unsigned steps; /* of a chain; 0: calls */
	uint32_t engine;
	bool held;
};

struct usage {
	uint64_t resident, tables, kernel;
};

/* The value of "Key:   N kB" in a file of /proc, in bytes; 0 if it is not there. */
static uint64_t proc_value(const char *path, const char *key)
{
	char line[256];
	size_t len = strlen(key);
	uint64_t value = 0;
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof line, file)) {
		if (!strncmp(line, key, len) && line[len] == ':') {
			value = strtoull(line + len + 1, NULL, 10) * 1024;
			break;
		}
	}
	if (file)
		fclose(file);
	return value;
}

static struct usage usage_now(void)
{
	struct usage u = {
		/* Exact, where status and statm may be behind by some pages per core. */
		.resident = proc_value("/proc/self/smaps_rollup", "Rss"),
		.tables = proc_value("/proc/self/status", "VmPTE"),
		.kernel = proc_value("/proc/meminfo", "SUnreclaim") +
			  proc_value("/proc/meminfo", "KernelStack"),
	};

	if (!u.resident)
		u.resident = proc_value("/proc/self/status", "VmRSS");
	return u;
}

/* When every thread and ring has taken what it will take: nothing moves any more. */
static struct usage settled(void)
{
	struct timespec pause = { 0, 20000000 };
	struct usage last = usage_now();

	for (unsigned i = 0, still = 0; i < SETTLE_POLLS && still < 5; i++) {
		struct usage now;

		nanosleep(&pause, NULL);
		now = usage_now();
		still = now.resident == last.resident ? still + 1 : 0;
		last = now;
	}
	return last;
}

static char byte; /* nothing is ever read into it */

static int64_t add_one(const uint64_t arg[6])
{
	return (int64_t)arg[0] + 1;
}

/* Its result is the number of steps after the read, which ends with 0. */
static int build(struct asys_chain **ret_chain, unsigned steps, int fd)
{
	struct asys_chain *c;
	int err = asys_chain_open(&c, NULL);
	asys_id last;

	if (err)
		return err;
	last = asys_read(c, fd, &byte, 1);
	for (unsigned i = 1; i < steps; i++)
		last = asys_chain_compute(c, add_one, last);
	err = asys_chain_result(c, last);
	if (!err)
		err = asys_chain_ready(c);
	if (err)
		asys_chain_close(c);
	else
		*ret_chain = c;
	return err;
}

/* The chain may be closed at once: it lasts as long as its sendings. */
static int send_chains(struct asys_queue *queue, const struct setting *set, int fd)
{
	struct asys_chain *chain;
	int err = build(&chain, set->steps, fd);

	if (err)
		return err;
	for (unsigned i = 0; i < set->calls && !err; i++)
		err = asys_error(asys_chain_send(asys_user(queue, i), chain));
	asys_chain_close(chain);
	return err;
}

static void send_calls(struct asys_queue *queue, const struct setting *set, int fd)
{
	asys_id gate = asys_read(queue, fd, &byte, 1);

	for (unsigned i = 1; i < set->calls; i++) {
		struct asys_queue *q = asys_user(queue, i);

		asys_read(set->held ? asys_after(q, gate) : q, fd, &byte, 1);
	}
}

static int send_all(struct asys_queue *queue, const struct setting *set, int fd)
{
	int err = 0;

	if (set->steps)
		err = send_chains(queue, set, fd);
	else
		send_calls(queue, set, fd);
	return err ? err : asys_queue_flush(queue);
}

/* Every call must end, once, with "end of file", and every chain with what follows from that. */
static int take_all(struct asys_queue *queue, unsigned calls, int64_t result)
{
	static struct asys_event events[EVENTS];
	uint64_t sum = 0, expected = (uint64_t)calls * (calls - 1) / 2;

	for (unsigned got = 0; got < calls;) {
		int n = asys_queue_get_many(queue, events, EVENTS, 1, ASYS_FOREVER);

		if (n <= 0)
			return n < 0 ? n : -ENODATA;
		for (int i = 0; i < n; i++) {
			if (events[i].result != result)
				return events[i].result < 0 ? (int)events[i].result : -EBADMSG;
			sum += events[i].user;
		}
		got += (unsigned)n;
	}
	return sum == expected && asys_queue_pending(queue) == 0 ? 0 : -EBADMSG;
}

static uint64_t more(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static int fly(struct bench_child *child, const int fds[2], struct bench_cost *ret_cost)
{
	const struct setting *set = child->arg;
	struct usage before = settled(), now;
	struct asys_queue_options options;
	struct asys_queue *queue;
	unsigned ops = set->steps ? set->calls * set->steps : set->calls;
	double per = 1.0 / ops;
	int err;

	asys_queue_options_init(&options);
	options.depth = set->calls; /* and what it takes to make that a power of two */
	options.engine = set->engine;
	err = asys_queue_open(&queue, &options);
	if (err) {
		snprintf(child->note, sizeof child->note, "%s", asys_message());
		close(fds[1]);
		return err;
	}
	err = send_all(queue, set, fds[0]);
	now = settled();
	if (!err && asys_queue_pending(queue) != set->calls)
		err = -EBADMSG;
	close(fds[1]);
	if (!err)
		err = take_all(queue, set->calls, set->steps ? set->steps - 1 : 0);
	asys_queue_close(queue);
	ret_cost->ns = more(now.resident, before.resident) + more(now.tables, before.tables) +
		       more(now.kernel, before.kernel);
	ret_cost->ops = ops;
	if (!err)
		snprintf(child->note, sizeof child->note,
			 "process %.0f, page tables %.1f, kernel %.0f; all %u ended",
			 (double)more(now.resident, before.resident) * per,
			 (double)more(now.tables, before.tables) * per,
			 (double)more(now.kernel, before.kernel) * per, set->calls);
	return err;
}

static int memory_open(struct bench_child *child)
{
	(void)child;
	return 0;
}

static int memory_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	int fds[2], err;

	(void)ops;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	err = fly(child, fds, ret_cost);
	close(fds[0]);
	return err;
}

static void memory_close(struct bench_child *child)
{
	(void)child;
}

static int measure(const struct bench_options *options, const char *name, const struct setting *set)
{
	static const struct bench_side side = { "asys", memory_open, memory_round, memory_close };
	unsigned lives = options->quick ? 1 : LIVES;
	double bytes[LIVES];
	struct bench_process process;

	if (!bench_wants(options, name))
		return 0;
	for (unsigned i = 0; i < lives; i++) {
		struct bench_cost cost;
		int err = bench_process_start(&side, set, &process);

		if (!err) {
			err = bench_process_round(&process, 1, &cost);
			bench_process_stop(&process);
		}
		if (err) {
			bench_say(options, "%s: %s: %s", name,
				  process.note[0] ? process.note : "failed", strerror(-err));
			return err;
		}
		bytes[i] = (double)cost.ns / (double)cost.ops;
	}
	bench_figure(options, name, "bytes", bytes, lives, process.note);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		struct setting set, quick;
	} cases[] = {
		{ "bytes_per_call",
		  { CALLS, 0, ASYS_ENGINE_AUTO, false },
		  { CALLS_QUICK, 0, ASYS_ENGINE_AUTO, false } },
		{ "bytes_per_call_ready",
		  { CALLS, 0, ASYS_ENGINE_READY, false },
		  { CALLS_QUICK, 0, ASYS_ENGINE_READY, false } },
		{ "bytes_per_call_held",
		  { CALLS, 0, ASYS_ENGINE_AUTO, true },
		  { CALLS_QUICK, 0, ASYS_ENGINE_AUTO, true } },
		{ "bytes_per_step",
		  { CHAINS, STEPS, ASYS_ENGINE_AUTO, false },
		  { CHAINS / QUICK, STEPS, ASYS_ENGINE_AUTO, false } },
		{ "bytes_per_step_long",
		  { CHAINS_LONG, STEPS_LONG, ASYS_ENGINE_AUTO, false },
		  { CHAINS_LONG / QUICK, STEPS_LONG, ASYS_ENGINE_AUTO, false } },
	};
	struct bench_options options;
	int err = 0;

	bench_options(&options, "memory",
		      "Memory of one call in flight, of a million at once, and of one step of\n"
		      "100,000 chains in flight; and that they all end.",
		      argc, argv);
	for (size_t i = 0; i < sizeof cases / sizeof *cases && !err; i++)
		err = measure(&options, cases[i].name,
			      options.quick ? &cases[i].quick : &cases[i].set);
	return bench_exit(&options, err);
}
