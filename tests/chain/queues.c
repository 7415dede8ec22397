/* SPDX-License-Identifier: MIT */
/* Contract: chains on queues of every kind and size, in numbers, from several threads, after a fork. */
#include "common.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* ---- kinds of queues ------------------------------------------------------------------------ */

/* Six branches, each { read from a pipe; write to it after a timer }, joined. Parameter: the pipes. */
static struct asys_chain *build_wide(void)
{
	struct asys_chain *c = open_chain();
	static char byte;
	asys_id total = value_step(c, 0);

	for (unsigned i = 0; i < 6; i++) {
		asys_id in = asys_plus(c, asys_param(c, 0), 8 * i);
		asys_id out = asys_plus(c, asys_param(c, 0), 8 * i + 4);
		asys_id n = asys_read(c, asys_load_int(c, in), &byte, 1);
		asys_id late = asys_chain_timer(c, i % 2 ? 20000 : 0);

		asys_write(asys_after(c, late), asys_load_int(c, out), "w", 1);
		total = asys_chain_compute(c, sum, total, n);
	}
	asys_chain_result(c, total);
	make_ready(c);
	return c;
}

static void run_wide(uint32_t flags, uint32_t depth, unsigned sendings)
{
	struct asys_queue_options options;
	struct asys_chain *c = build_wide();
	struct asys_queue *q;
	int(*fd)[6][2] = calloc(sendings, sizeof(*fd));

	check(fd);
	asys_queue_options_init(&options);
	options.flags = flags;
	options.depth = depth;
	options.threads = 64; /* where only threads serve, each of the reads needs one */
	q = open_with(&options);
	for (unsigned i = 0; i < sendings; i++) {
		for (unsigned k = 0; k < 6; k++)
			make_pipe(fd[i][k]);
		check(asys_chain_send(q, c, fd[i]).value > 0);
	}
	for (unsigned i = 0; i < sendings; i++)
		check_eq(take_event(q).result, 6);
	check_quiet(q);
	asys_queue_close(q);
	asys_chain_close(c);
	for (unsigned i = 0; i < sendings; i++)
		for (unsigned k = 0; k < 6; k++) {
			close(fd[i][k][0]);
			close(fd[i][k][1]);
		}
	free(fd);
}

static void test_kinds_of_queues(void **state)
{
	static const uint32_t flags[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER,
					  ASYS_QUEUE_NO_HELP,
					  ASYS_QUEUE_NO_HELP | ASYS_QUEUE_DRIVER };

	(void)state;
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (engine_forced("inline") && flags[i] & ASYS_QUEUE_NO_HELP)
			continue;
		run_wide(flags[i], 256, 5);
		progress();
	}
}

/* A chain that is wider than the queue, several times. */
static void test_small_queues(void **state)
{
	(void)state;
	for (uint32_t depth = 1; depth <= 8; depth *= 2)
		for (unsigned sendings = 1; sendings <= 5; sendings += 2) {
			run_wide(0, depth, sendings);
			run_wide(ASYS_QUEUE_DRIVER, depth, sendings);
			progress();
		}
}

/* With a driver a chain goes on while its client computes. */
static void test_driver_goes_on(void **state)
{
	static uint32_t ended;
	struct asys_queue *q = open_depth(16, ASYS_QUEUE_DRIVER);
	struct asys_chain *c = open_chain();
	asys_id step = asys_chain_timer(c, 100000);

	(void)state;
	ended = 0;
	step = asys_getppid(asys_after(c, step));
	count_step(asys_after(c, step), ended);
	make_ready(c);
	for (unsigned i = 1; i <= 20; i++) {
		asys_chain_send(asys_quiet(q), c);
		while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < i)
			;
		progress();
	}
	asys_chain_close(c);
	asys_queue_close(q);
}

/* The event loop of another library: poll, get until nothing is there, poll again. */
static void test_event_loop(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	struct pollfd ready = { .fd = asys_queue_fd(q), .events = POLLIN };
	struct asys_event event;
	unsigned ends = 0, reports = 0;
	static char byte;
	asys_id step;
	int fd[2];

	(void)state;
	make_pipe(fd);
	step = asys_chain_timer(asys_report(c, 1), 300000);
	step = asys_getppid(asys_after(c, step));
	step = asys_read(asys_report(asys_after_ok(c, step), 2), fd[0], &byte, 1);
	asys_chain_timer(asys_after(c, step), 300000);
	make_ready(c);
	for (unsigned i = 0; i < 5; i++)
		check(asys_chain_send(asys_user(q, 3), c).value > 0);
	check_eq(asys_queue_flush(q), 0);
	check_eq(write(fd[1], "12345", 5), 5);
	while (ends < 5) {
		check_eq(poll(&ready, 1, -1), 1);
		while (asys_queue_get(q, &event) == 1) {
			ends += event.user == 3;
			reports += event.user != 3;
		}
	}
	check_eq(reports, 10);
	check_quiet(q);
	close_all(q, c, fd);
}

/* Where sending does not wait, a full queue says so, and takes it when there is room again. */
static void test_full_queue(void **state)
{
	struct asys_queue *q = open_depth(4, ASYS_QUEUE_NONBLOCK);
	struct asys_chain *c = open_chain();
	static char byte;
	unsigned sent = 0;
	asys_id id;
	int fd[2];

	(void)state;
	make_pipe(fd);
	asys_read(c, fd[0], &byte, 1);
	make_ready(c);
	while ((id = asys_chain_send(q, c)).value > 0)
		sent++;
	check_eq(id.value, -EAGAIN);
	check_eq(sent, 4);
	check_eq(write(fd[1], "12345", 5), 5);
	check_eq(take_event(q).result, 0);
	check(asys_chain_send(q, c).value > 0);
	check_eq(drain(q), 4);
	close_all(q, c, fd);
}

/* A chain of a thousand calls wakes its client once; what wakes the client at first is left out. */
static void test_one_wakeup(void **state)
{
	struct asys_queue *q;
	struct asys_chain *c;
	struct asys_stats before, after;
	asys_id step;

	(void)state;
	private_or_skip(
		"the sleeper of a shared queue wakes for every end, and the driver sleeps too");
	if (engine_forced("inline"))
		skip_because("the waiting thread runs all itself");
	q = open_queue();
	c = open_chain_with(2048, 0);
	step = asys_chain_timer(c, 1000000);
	for (unsigned i = 0; i < 1000; i++)
		step = asys_getppid(asys_after_ok(c, step));
	make_ready(c);
	warm_up(q);
	check_eq(asys_queue_stats(q, &before), 0);
	check_eq(run_on(q, c, 0), 0);
	check_eq(asys_queue_stats(q, &after), 0);
	check(after.sleeps - before.sleeps <= 3);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* What many sendings have for the ring at the same time goes there together. */
static void test_submitted_together(void **state)
{
	enum { SENDINGS = 64 };
	struct asys_queue_options options;
	struct asys_queue *q;
	struct asys_chain *c = open_chain();
	struct asys_stats before, after;
	asys_id sent[SENDINGS];
	int fd[SENDINGS][2];
	char byte;

	(void)state;
	asys_recvfrom(c, asys_param(c, 0), &byte, 1, 0, NULL, NULL);
	make_ready(c);
	asys_queue_options_init(&options);
	options.depth = 2 * SENDINGS;
	options.cores = 1; /* nothing is shared with threads */
	q = open_with(&options);
	for (unsigned i = 0; i < SENDINGS; i++)
		check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd[i]), 0);
	for (unsigned round = 0; round < 2; round++) { /* in the first the ring is made */
		check_eq(asys_queue_stats(q, &before), 0);
		for (unsigned i = 0; i < SENDINGS; i++) {
			check_eq(write(fd[i][1], "b", 1), 1);
			sent[i] = asys_chain_send(q, c, fd[i][0]);
		}
		for (unsigned i = 0; i < SENDINGS; i++)
			check_eq(result_of(q, sent[i]), 0);
		check_eq(asys_queue_stats(q, &after), 0);
	}
	asys_chain_close(c);
	asys_queue_close(q);
	for (unsigned i = 0; i < SENDINGS; i++) {
		close(fd[i][0]);
		close(fd[i][1]);
	}
	if (after.by_engine[ASYS_ENGINE_URING] == before.by_engine[ASYS_ENGINE_URING])
		skip_because("another engine than io_uring waits here");
	uncollected_or_skip("a loop of the program's own arms the descriptor each time");
	if (driver_is("thread"))
		skip_because("the driver begins with the first before the last is sent");
	check(after.traps - before.traps <= SENDINGS / 8);
}

/* ---- numbers -------------------------------------------------------------------------------- */

/* 1,000 steps: a line, then the same as a fork and join. */
static void test_thousand_steps(void **state)
{
	static uint32_t ran;
	struct asys_queue *q = open_queue();
	struct asys_chain *line = open_chain(), *wide = open_chain();
	asys_id step = value_step(line, 0), join[1000];

	(void)state;
	ran = 0;
	for (unsigned i = 1; i < 1000; i++)
		step = asys_chain_compute(line, sum, step, i % 10 == 0 ? asys_getppid(line) : step,
					  1);
	check_eq(asys_chain_steps(line), 1099);
	make_ready(line);
	for (unsigned i = 0; i < 999; i++)
		join[i] = count_step(wide, ran);
	for (unsigned i = 0; i < 999; i++)
		asys_after_ok(wide, join[i]);
	asys_chain_result(wide, asys_chain_compute(wide, give, asys_load_int(wide, &ran)));
	make_ready(wide);
	for (unsigned i = 0; i < 20; i++) {
		run_on(q, line, 0);
		ran = 0;
		check_eq(run_on(q, wide, 0), 999);
		progress();
	}
	asys_chain_close(line);
	asys_chain_close(wide);
	asys_queue_close(q);
}

/* 100,000 sendings in flight, parked on one read each: all end, and the memory comes back. */
static void test_hundred_thousand_in_flight(void **state)
{
	const unsigned many = is_sanitized() ? 10000 : iterations(100000);
	struct asys_queue *q = open_depth(many * 2, 0);
	struct asys_chain *c = open_chain();
	asys_id gate, first, second;
	static char byte;
	uint64_t wrong = 0;
	int fd[2];

	(void)state;
	make_pipe(fd);
	first = asys_chain_compute(c, sum, asys_param(c, 0), asys_param(c, 1));
	second = asys_getppid(asys_after_ok(c, first));
	asys_chain_result(c, asys_chain_compute(asys_after_ok(c, second), give, first));
	make_ready(c);
	gate = submit(q, SYS_read, fd[0], &byte, 1);
	for (unsigned i = 0; i < many; i++)
		check(asys_chain_send(asys_user(q, i + 1), c, gate, i).value > 0);
	asys_queue_flush(q);
	check_eq(asys_queue_pending(q), (uint64_t)many + 1);
	progress();
	check_eq(write(fd[1], "x", 1), 1);
	for (unsigned i = 0; i < many + 1; i++) {
		struct asys_event event = take_event(q);

		wrong += event.result != (event.user ? (int64_t)event.user : 1);
	}
	check_eq(wrong, 0);
	check_quiet(q);
	close_all(q, c, fd);
}

/* The same with instances: each has begun, and is parked in a timer of its own. */
static void test_many_begun(void **state)
{
	const unsigned many = is_sanitized() ? 2000 : 20000;
	static uint32_t began, ended;
	struct asys_queue *q = open_depth(32768, 0);
	struct asys_chain *c = open_chain();
	asys_id step;

	(void)state;
	began = ended = 0;
	step = count_step(c, began);
	step = asys_chain_timer(asys_after(c, step), 50000000);
	count_step(asys_after(c, step), ended);
	make_ready(c);
	for (unsigned i = 0; i < many; i++)
		check(asys_chain_send(q, c).value > 0);
	check_eq(drain(q), many);
	check_eq(began, many);
	check_eq(ended, many);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* Sent again and again, cancelled too: what is allocated does not grow. */
static void test_memory_comes_back(void **state)
{
	struct asys_queue *q;
	struct asys_chain *c;
	size_t before = 0, after;
	asys_id step;

	(void)state;
	if (is_sanitized())
		skip_because("their allocator keeps no account; they look for leaks themselves");
	q = open_depth(64, 0);
	c = open_chain();
	step = asys_getppid(c);
	for (unsigned i = 0; i < 50; i++)
		step = asys_getppid(asys_after_ok(c, step));
	asys_chain_timer(asys_report(asys_after_ok(c, step), 5), 1000);
	make_ready(c);
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 60; i++) {
			asys_id id = asys_chain_send(q, c);

			if (i % 3 == 0)
				asys_queue_cancel(q, id);
		}
		check(drain(q) >= 60);
		if (round == 9)
			before = mallinfo2().uordblks;
	}
	after = mallinfo2().uordblks;
	if (after > before + 65536)
		support_fail(__FILE__, __LINE__, "%zu bytes in use, %zu before", after, before);
	asys_chain_close(c);
	asys_queue_close(q);
}

/* ---- threads and processes ------------------------------------------------------------------ */

struct sender {
	struct asys_chain *chain;
	struct asys_queue *queue; /* shared, or NULL: one of its own */
	unsigned rounds;
	pthread_t thread;
};

static void *send_often(void *arg)
{
	struct sender *sender = arg;
	struct asys_queue *q = sender->queue ? sender->queue : open_depth(32, 0);

	for (unsigned i = 0; i < sender->rounds; i++) {
		asys_id id[8];

		for (unsigned k = 0; k < 8; k++)
			id[k] = asys_chain_send(q, sender->chain, i, k, gettid());
		for (unsigned k = 0; k < 8; k++)
			check_eq(result_of(q, id[k]), i + k + (unsigned)gettid());
		if (i % 64 == 0)
			progress();
	}
	if (!sender->queue)
		asys_queue_close(q);
	return NULL;
}

/* The same chain on queues of two threads, and on one that four share. */
static void test_threads(void **state)
{
	struct sender sender[4];
	struct asys_chain *c = open_chain();
	asys_id a, b, p;

	(void)state;
	a = asys_chain_compute(c, sum, asys_param(c, 0), asys_param(c, 1));
	p = asys_getppid(asys_after_ok(c, a));
	b = asys_chain_timer(asys_after_ok(c, p), 1000);
	asys_chain_result(c, asys_chain_compute(asys_after_ok(c, b), sum, a, asys_param(c, 2)));
	make_ready(c);
	for (unsigned shared = 0; shared < 3; shared++) {
		struct asys_queue *q = NULL;
		const unsigned count = shared ? 4 : 2;

		if (shared)
			q = open_depth(16, shared == 1 ? ASYS_QUEUE_SHARED : ASYS_QUEUE_DRIVER);
		for (unsigned i = 0; i < count; i++) {
			sender[i] = (struct sender){ .chain = c,
						     .queue = q,
						     .rounds = iterations(400) / 2 };
			check_eq(pthread_create(&sender[i].thread, NULL, send_often, &sender[i]),
				 0);
		}
		for (unsigned i = 0; i < count; i++)
			pthread_join(sender[i].thread, NULL);
		asys_queue_close(q);
	}
	asys_chain_close(c);
}

/* A child: not on its parent's queue, but its copy of the chain is good for one of its own. */
static void test_fork(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_chain *c = open_chain();
	char byte;
	int fd[2], status = -1;
	asys_id id;
	pid_t pid;

	(void)state;
	make_pipe(fd);
	asys_chain_result(c, asys_read(c, asys_param(c, 0), &byte, 1));
	make_ready(c);
	id = asys_chain_send(q, c, fd[0]);
	asys_queue_flush(q);
	fflush(NULL);
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		struct asys_queue *own;
		int mine[2];

		check_eq(asys_chain_send(q, c, fd[0]).value, -ECHILD);
		check_says(asys_message(), "child");
		own = open_queue();
		make_pipe(mine);
		check_eq(write(mine[1], "c", 1), 1);
		check_eq(result_of(own, asys_chain_send(own, c, mine[0])), 1);
		asys_queue_close(own);
		asys_queue_close(q);
		asys_chain_close(c);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	check_eq(status, 0);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, id), 1);
	close_all(q, c, fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_kinds_of_queues),
		contract(test_small_queues),
		contract(test_driver_goes_on),
		contract(test_event_loop),
		contract(test_full_queue),
		contract(test_one_wakeup),
		contract(test_submitted_together),
		contract(test_thousand_steps),
		contract(test_hundred_thousand_in_flight),
		contract(test_many_begun),
		contract(test_memory_comes_back),
		contract(test_threads),
		contract(test_fork),
	};

	return group(tests, argc, argv);
}
