/* SPDX-License-Identifier: MIT */
/*
 * Contract: a sending that loops for ever, so that who drives its queue never sleeps, keeps nobody out: other
 * threads send, wait and cancel, and hear what has ended; loops that poll the descriptor do, too; other
 * sendings get slots for their steps, and calls a thread. progress.c has the same for the thread that drives.
 */
#include "endless.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

#define BRANCHES 8u
#define ROUNDS 50u

/* Calls of several kinds, sent and awaited beside the thread that drives. */
static void rounds_beside(struct asys_queue *q)
{
	struct pollfd pfd = { .fd = asys_queue_fd(q), .events = POLLIN };
	struct asys_event event;
	int fd[2];
	char in;

	make_pipe(fd);
	for (unsigned n = 0; n < ROUNDS; n++) {
		asys_id id = submit(q, SYS_getppid, 0);

		progress();
		check_eq(asys_queue_wait(q, id, &event), 0);
		id = submit(q, SYS_read, fd[0], &in, 1);
		check_eq(asys_queue_flush(q), 0);
		check_eq(write(fd[1], "x", 1), 1);
		check_eq(asys_queue_wait(q, id, &event), 0);
		check_eq(event.result, 1);
		id = submit(q, SYS_read, fd[0], &in, 1);
		check_eq(asys_queue_cancel(q, id), 0);
		check_eq(result_of(q, id), -ECANCELED);
		submit(q, SYS_read, fd[0], &in, 1);
		check_eq(asys_queue_flush(q), 0);
		check_eq(write(fd[1], "x", 1), 1);
		event.result = 0;
		if (driver_is("fd")) /* its other thread takes the event, for both */
			check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		else
			while (asys_queue_get(q, &event) != 1)
				check_eq(poll(&pfd, 1, 10000), 1);
		check_eq(event.result, 1);
	}
	close(fd[0]);
	close(fd[1]);
}

static void beside(uint32_t flags, enum loop loop, unsigned branches)
{
	struct asys_chain *c = endless_chain(loop, branches);
	struct asys_queue *q = open_depth(64, flags);
	struct waiter w = { .q = q, .id = asys_chain_send(q, c) };
	pthread_t thread;

	check(w.id.value > 0);
	check_eq(pthread_create(&thread, NULL, wait_for, &w), 0);
	sleep_ms(20); /* it is the thread that drives, unless there is a driver */
	rounds_beside(q);
	check_eq(asys_queue_cancel(q, w.id), 0);
	check_eq(pthread_join(thread, NULL), 0);
	check_eq(w.result, -ECANCELED);
	asys_queue_close(q);
	asys_chain_close(c);
}

static void beside_all(uint32_t flags)
{
	for (enum loop loop = LOOP_TIMERS; loop < LOOPS; loop++) {
		beside(flags, loop, BRANCHES);
		beside(flags, loop, 20 * BRANCHES);
	}
}

static void test_another_waits(void **state)
{
	(void)state;
	beside_all(ASYS_QUEUE_SHARED);
}

static void test_driver(void **state)
{
	(void)state;
	beside_all(ASYS_QUEUE_DRIVER);
}

static void test_no_help(void **state)
{
	(void)state;
	if (engine_forced("inline"))
		skip_because("engine inline and NO_HELP exclude each other");
	beside_all(ASYS_QUEUE_SHARED | ASYS_QUEUE_NO_HELP);
}

/* Who went to sleep before the other thread began to drive is woken when its call ends; and what comes after it. */
static void asleep_before(uint32_t flags, bool chain)
{
	struct asys_chain *c = endless_chain(LOOP_COMPUTES, BRANCHES), *own = NULL;
	struct asys_queue *q = open_depth(64, flags);
	struct waiter sleeper = { .q = q }, driving = { .q = q };
	pthread_t threads[2];
	int fd[2];
	char in;

	make_pipe(fd);
	if (chain) {
		asys_id n;

		check_eq(asys_chain_open(&own, NULL), 0);
		n = asys_read(own, fd[0], &in, 1);
		asys_chain_result(own, asys_getppid(asys_after(own, n)));
		check_eq(asys_chain_ready(own), 0);
		sleeper.id = asys_chain_send(q, own);
	} else {
		sleeper.id = submit(q, SYS_read, fd[0], &in, 1);
	}
	check_eq(pthread_create(&threads[0], NULL, wait_for, &sleeper), 0);
	sleep_ms(5);
	driving.id = asys_chain_send(q, c);
	check_eq(pthread_create(&threads[1], NULL, wait_for, &driving), 0);
	sleep_ms(5);
	check_eq(write(fd[1], "x", 1), 1);
	pthread_join(threads[0], NULL);
	check_eq(sleeper.result, chain ? getppid() : 1);
	check_eq(asys_queue_cancel(q, driving.id), 0);
	pthread_join(threads[1], NULL);
	asys_queue_close(q);
	asys_chain_close(c);
	asys_chain_close(own);
	close(fd[0]);
	close(fd[1]);
	progress();
}

static void test_asleep_before(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 10; n++) {
		asleep_before(ASYS_QUEUE_SHARED, n % 2);
		asleep_before(ASYS_QUEUE_DRIVER, n % 2);
	}
}

/* As many sendings that loop as there are threads: a call that only a thread may run has its turn. */
static void one_thread(uint32_t flags, enum loop loop, unsigned threads)
{
	struct asys_chain *c = endless_chain(loop, 1);
	struct asys_queue_options options;
	struct asys_event event;
	struct asys_queue *q;
	const struct timespec nap = { 0, 1000 };
	asys_id id, last = { 0 };

	asys_queue_options_init(&options);
	options.flags = flags;
	options.depth = 64;
	options.threads = threads;
	q = open_with(&options);
	for (unsigned n = 0; n < threads; n++)
		last = asys_chain_send(q, c);
	check(last.value > 0);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(20);
	for (unsigned n = 0; n < 3; n++) {
		id = submit(q, SYS_getppid, 0);
		check_eq(asys_queue_wait(q, id, &event), 0);
		id = submit(q, SYS_nanosleep, &nap, NULL);
		check_eq(asys_queue_wait(q, id, &event), 0);
		progress();
	}
	asys_queue_close(q);
	asys_chain_close(c);
}

static void test_one_thread(void **state)
{
	(void)state;
	for (enum loop loop = LOOP_TIMERS; loop < LOOPS; loop++)
		for (unsigned threads = 1; threads <= 3; threads++) {
			one_thread(0, loop, threads);
			one_thread(ASYS_QUEUE_SHARED, loop, threads);
			if (!engine_forced("inline"))
				one_thread(ASYS_QUEUE_NO_HELP, loop, threads);
		}
}

static uint64_t turns;

static int64_t count_turns(const uint64_t arg[6])
{
	__atomic_fetch_add(&turns, 1, __ATOMIC_RELAXED);
	return (int64_t)arg[0];
}

/* One that gave its thread to another comes to a thread again, and needs no visit to go on. */
static void test_comes_again(void **state)
{
	struct asys_queue_options options;
	struct asys_event event;
	struct asys_queue *q;
	struct asys_chain *c;
	uint64_t late = asys_now() + UINT64_C(10000000000), before;

	(void)state;
	if (engine_forced("inline") || driver_is("thread"))
		skip_because("no thread but the client's, or the driver's, runs it");
	asys_queue_options_init(&options);
	options.flags = ASYS_QUEUE_NO_HELP;
	options.threads = 1;
	q = open_with(&options);
	check_eq(asys_chain_open(&c, NULL), 0);
	asys_chain_loop(c, UINT32_MAX);
	asys_chain_compute(c, count_turns, 1);
	asys_chain_end(c);
	check_eq(asys_chain_ready(c), 0);
	check(asys_chain_send(q, c).value > 0);
	for (unsigned n = 0; n < 3; n++) {
		asys_id id = submit(q, SYS_getppid, 0);

		check_eq(asys_queue_wait(q, id, &event), 0);
	}
	check_eq(asys_queue_flush(q), 0);
	before = __atomic_load_n(&turns, __ATOMIC_RELAXED);
	while (__atomic_load_n(&turns, __ATOMIC_RELAXED) < before + 1000 && asys_now() < late)
		sleep_ms(1);
	check(__atomic_load_n(&turns, __ATOMIC_RELAXED) >= before + 1000);
	asys_queue_close(q);
	asys_chain_close(c);
}

#define NAPS_MOST 200u /* 20 ms are four; a turn of 1024 calls would be half of that many naps */

/* A loop of naps has its turn for a time, not for so many naps. */
static void test_naps(void **state)
{
	const struct timespec long_nap = { 0, 5000000 }, nap = { 0, 1000 };
	struct asys_queue_options options;
	struct asys_event event;
	struct asys_queue *q;
	struct asys_chain *c;

	(void)state;
	if (engine_forced("inline"))
		skip_because("no thread but the client's runs it");
	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_THREADS;
	options.flags = ASYS_QUEUE_NO_HELP;
	options.threads = 1;
	q = open_with(&options);
	check_eq(asys_chain_open(&c, NULL), 0);
	asys_chain_loop(c, UINT32_MAX);
	asys_nanosleep(c, &long_nap, NULL);
	asys_chain_compute(c, count_turns, 1);
	asys_chain_end(c);
	check_eq(asys_chain_ready(c), 0);
	check(asys_chain_send(q, c).value > 0);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(20);
	for (unsigned n = 0; n < 3; n++) {
		const uint64_t before = __atomic_load_n(&turns, __ATOMIC_RELAXED);
		asys_id id = submit(q, SYS_nanosleep, &nap, NULL);

		check_eq(asys_queue_wait(q, id, &event), 0);
		check(__atomic_load_n(&turns, __ATOMIC_RELAXED) - before < NAPS_MOST);
		progress();
	}
	asys_queue_close(q);
	asys_chain_close(c);
}

#define QUICK 1000u
#define QUICK_BYTES 1048576u

/* Where more threads may be had, a sending keeps its own beside a lane of quick calls that threads are running: the
 * client, to which it would go back, computes. */
static void test_keeps_its_thread(void **state)
{
	static char area[QUICK_BYTES];
	struct asys_queue_options options;
	struct asys_queue *q;
	struct asys_chain *c;
	uint64_t before;
	int file;

	(void)state;
	if (engine_forced("inline"))
		skip_because("no thread but the client's runs it");
	file = memory_file();
	check_eq(ftruncate(file, QUICK_BYTES), 0);
	asys_queue_options_init(&options);
	options.flags = ASYS_QUEUE_NO_HELP;
	options.threads = 8;
	options.depth = 2 * QUICK;
	q = open_with(&options);
	check_eq(asys_chain_open(&c, NULL), 0);
	asys_chain_loop(c, UINT32_MAX);
	asys_chain_compute(c, count_turns, 1);
	asys_chain_end(c);
	check_eq(asys_chain_ready(c), 0);
	for (unsigned k = 0; k < QUICK; k++)
		submit(q, SYS_pread64, file, area, QUICK_BYTES, 0);
	check(asys_chain_send(q, c).value > 0);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(200);
	before = __atomic_load_n(&turns, __ATOMIC_RELAXED);
	sleep_ms(200);
	check(__atomic_load_n(&turns, __ATOMIC_RELAXED) > before);
	asys_queue_close(q);
	asys_chain_close(c);
	close(file);
}

/* Two sendings that loop, and a call that needs a thread of its own, when as many threads as may be are there, asleep: the
 * call gets one of them, not only when one of the others leaves after half a second. A busy machine may be late now and
 * then; without the mend a third of them is. */
#define TRIES 40u
#define LATE_MOST 5u

static unsigned late_beside_sleepers(uint32_t flags, struct asys_chain *loop)
{
	const struct timespec nap = { 0, 20000000 }, soon = { 0, 1000000 };
	struct asys_queue_options options;
	struct asys_queue *q;
	asys_id slow;
	unsigned late;

	asys_queue_options_init(&options);
	options.flags = flags;
	options.threads = 4;
	q = open_with(&options);
	for (unsigned k = 0; k < 4; k++)
		submit(q, SYS_ppoll, 0, 0, &nap, 0, 0);
	drain(q);
	sleep_ms(2);
	for (unsigned k = 0; k < 2; k++)
		check(asys_chain_send(q, loop).value > 0);
	slow = submit(asys_deadline(q, asys_now() + 300000000), SYS_ppoll, 0, 0, &soon, 0, 0);
	late = result_of(q, slow) == -ETIME;
	asys_queue_close(q);
	progress();
	return late;
}

static void test_slow_beside_sleepers(void **state)
{
	struct asys_chain *loop = endless_chain(LOOP_CALLS, 1);
	unsigned late = 0, late_shared = 0;

	(void)state;
	if (engine_forced("inline"))
		skip_because("engine inline and NO_HELP exclude each other");
	for (unsigned k = 0; k < TRIES; k++) {
		late += late_beside_sleepers(ASYS_QUEUE_NO_HELP, loop);
		late_shared += late_beside_sleepers(ASYS_QUEUE_NO_HELP | ASYS_QUEUE_SHARED, loop);
	}
	asys_chain_close(loop);
	check(late <= LATE_MOST);
	check(late_shared <= LATE_MOST);
}

/* A step computes for long, some time after its sending was asked to give way: who renews does not wait for it. */
static uint32_t computing, go_on;

static int64_t compute_long(const uint64_t arg[6])
{
	static uint32_t rounds;
	uint64_t late = asys_now() + UINT64_C(10000000000);

	(void)arg;
	if (++rounds == 9000) { /* it was asked twice by then */
		__atomic_store_n(&computing, 1, __ATOMIC_RELEASE);
		while (!__atomic_load_n(&go_on, __ATOMIC_ACQUIRE) && asys_now() < late)
			sleep_ms(1);
		check(asys_now() < late);
	}
	return rounds < 9100;
}

static void test_renew_beside_compute(void **state)
{
	struct asys_queue *q;
	struct asys_chain *c;
	asys_id id;

	(void)state;
	if (engine_forced("inline"))
		skip_because("engine inline and NO_HELP exclude each other");
	q = open_depth(64, ASYS_QUEUE_NO_HELP);
	check_eq(asys_chain_open(&c, NULL), 0);
	asys_chain_loop(c, UINT32_MAX);
	asys_chain_while(c, asys_chain_compute(c, compute_long), ASYS_POSITIVE);
	check_eq(asys_chain_ready(c), 0);
	id = asys_chain_send(q, c);
	check_eq(asys_queue_flush(q), 0);
	while (!__atomic_load_n(&computing, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	check_eq(asys_queue_renew(q), 0);
	__atomic_store_n(&go_on, 1, __ATOMIC_RELEASE);
	check_eq(result_of(q, id), 0);
	asys_queue_close(q);
	asys_chain_close(c);
}

/* A thread that visits without a pause, each time for a moment: others come in. */
static void *visits(void *arg)
{
	struct waiter *w = arg;
	struct asys_event event;

	while (!__atomic_load_n(&w->result, __ATOMIC_ACQUIRE))
		if (asys_queue_get_many(w->q, &event, 1, 1, 0) == 1)
			return NULL; /* the sending has ended */
	return NULL;
}

static void test_tight_visits(void **state)
{
	(void)state;
	for (enum loop loop = LOOP_TIMERS; loop < LOOPS; loop++) {
		struct asys_chain *c = endless_chain(loop, BRANCHES);
		struct waiter w = { .q = open_depth(64, ASYS_QUEUE_SHARED) };
		pthread_t thread;

		check(asys_chain_send(w.q, c).value > 0);
		check_eq(pthread_create(&thread, NULL, visits, &w), 0);
		sleep_ms(5);
		for (unsigned n = 0; n < 200; n++) {
			check_eq(asys_queue_pending(w.q), 1);
			progress();
		}
		__atomic_store_n(&w.result, 1, __ATOMIC_RELEASE);
		pthread_join(thread, NULL);
		asys_queue_close(w.q);
		asys_chain_close(c);
	}
}

/* More branches than the queue has slots for: another sending's second step gets one all the same, also where
 * every visit finds an event at hand. */
static void slots(uint32_t flags, bool events)
{
	struct asys_chain *all = endless_chain(LOOP_TIMERS, 600), *c;
	struct asys_queue *q = open_depth(8, flags);
	uint64_t late = asys_now() + UINT64_C(10000000000);
	struct asys_event event;
	static int64_t result;
	int wait[2], ready[2];
	char in[2];

	make_pipe(wait);
	make_pipe(ready);
	result = -1;
	check_eq(asys_chain_open(&c, NULL), 0);
	asys_read(c, wait[0], &in[0], 1);
	asys_read(asys_store(c, &result), ready[0], &in[1], 1);
	check_eq(asys_chain_ready(c), 0);
	check_eq(write(ready[1], "x", 1), 1);
	check(asys_chain_send(q, all).value > 0);
	for (unsigned n = 0; n < 20; n++)
		asys_queue_get_many(q, &event, 1, 1, 1000000);
	check(asys_chain_send(q, c).value > 0);
	for (unsigned n = 0; events && n < 3; n++)
		submit(q, SYS_getppid, 0);
	while (__atomic_load_n(&result, __ATOMIC_ACQUIRE) < 0 && asys_now() < late) {
		if (events)
			submit(q, SYS_getppid, 0);
		asys_queue_get_many(q, &event, 1, 1, events ? ASYS_FOREVER : 1000000);
	}
	check_eq(result, 1);
	asys_queue_close(q);
	asys_chain_close(all);
	asys_chain_close(c);
	for (unsigned k = 0; k < 2; k++) {
		close(wait[k]);
		close(ready[k]);
	}
}

static void test_slots(void **state)
{
	(void)state;
	for (unsigned events = 0; events < 2; events++) {
		slots(0, events);
		slots(ASYS_QUEUE_SHARED, events);
		slots(ASYS_QUEUE_DRIVER, events);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		contract(test_another_waits),
		contract(test_driver),
		contract(test_no_help),
		contract(test_slots),
		contract(test_asleep_before),
		contract(test_one_thread),
		contract(test_tight_visits),
		contract(test_comes_again),
		contract(test_naps),
		contract(test_keeps_its_thread),
		contract(test_slow_beside_sleepers),
		contract(test_renew_beside_compute),
	};

	return group(tests, argc, argv);
}
