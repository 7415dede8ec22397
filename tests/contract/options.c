/* SPDX-License-Identifier: MIT */
/* Contract: bad options harm nothing and the message says which; priorities; statistics. */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

struct bad {
	const char *says;
	void (*spoil)(struct asys_queue_options *options);
};

#define BAD(name, field, value)                                \
	static void spoil_##name(struct asys_queue_options *o) \
	{                                                      \
		o->field = (value);                            \
	}

BAD(depth_zero, depth, 0)
BAD(depth_huge, depth, ASYS_DEPTH_MAX + 1)
BAD(depth_all, depth, UINT32_MAX)
BAD(engine, engine, ASYS_ENGINE_COUNT)
BAD(flags, flags, ASYS_QUEUE_FLAGS + 1)
BAD(flags_all, flags, UINT32_MAX)
BAD(threads_zero, threads, 0)
BAD(threads_huge, threads, ASYS_THREADS_MAX + 1)
BAD(cores, cores, CPU_SETSIZE + 1)
BAD(cores_all, cores, UINT32_MAX)
BAD(spin, spin_ns, ASYS_SPIN_MAX_NS + 1)
BAD(signal_low, signal, SIGUSR1)
BAD(signal_negative, signal, -1)
BAD(signal_huge, signal, 65)
BAD(size_zero, size, 0)
BAD(fault, fault, "no such thing")

static void spoil_no_help(struct asys_queue_options *o)
{
	o->engine = ASYS_ENGINE_INLINE;
	o->flags = ASYS_QUEUE_NO_HELP;
}

static void spoil_sqpoll(struct asys_queue_options *o)
{
	o->engine = ASYS_ENGINE_THREADS;
	o->flags = ASYS_QUEUE_SQPOLL;
}

static const struct bad bads[] = {
	{ "depth", spoil_depth_zero },
	{ "depth", spoil_depth_huge },
	{ "depth", spoil_depth_all },
	{ "engine", spoil_engine },
	{ "flag", spoil_flags },
	{ "flag", spoil_flags_all },
	{ "threads", spoil_threads_zero },
	{ "threads", spoil_threads_huge },
	{ "cores", spoil_cores },
	{ "cores", spoil_cores_all },
	{ "spin", spoil_spin },
	{ "signal", spoil_signal_low },
	{ "signal", spoil_signal_negative },
	{ "signal", spoil_signal_huge },
	{ "size", spoil_size_zero },
	{ "fault", spoil_fault },
	{ "NO_HELP", spoil_no_help },
	{ "SQPOLL", spoil_sqpoll },
};

/* Whatever the environment puts in the place of some options. */
static int bad_options(void *arg)
{
	const char *const *setting = arg;

	setenv(setting[0], setting[1], 1);
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		struct asys_queue *q = (struct asys_queue *)&bads;
		struct asys_queue_options options;
		int err;

		asys_queue_options_init(&options);
		bads[i].spoil(&options);
		err = asys_queue_open(&q, &options);
		if (err != -EINVAL)
			fprintf(stderr, "bad option %zu (%s), %s=%s\n", i, bads[i].says, setting[0],
				setting[1]);
		check_eq(err, -EINVAL);
		check_says(asys_message(), bads[i].says);
		/* written only on success */
		check(q == (struct asys_queue *)&bads);
		check_eq(asys_engine_for(&options, SYS_read, NULL), -EINVAL);
		check_says(asys_message(), bads[i].says);
	}
	return 0;
}

static void test_bad_options(void **state)
{
	static const char *const settings[][2] = {
		{ "ASYS_TEST_NOTHING", "" }, { "ASYS_ENGINE", "auto" },
		{ "ASYS_ENGINE", "inline" }, { "ASYS_ENGINE", "threads" },
		{ "ASYS_ENGINE", "ready" },  { "ASYS_ENGINE", "uring" },
		{ "ASYS_FAULT", "seed=1" },  { "ASYS_FAULT", "" },
		{ "ASYS_ENGINE", "none" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		check_child(bad_options, (void *)settings[i]);
}

static int bad_environment(void *arg)
{
	const char *const *setting = arg;
	struct asys_queue *q = (struct asys_queue *)&bads;
	struct asys_queue_options options;

	unsetenv("ASYS_ENGINE");
	setenv(setting[0], setting[1], 1);
	asys_queue_options_init(&options);
	options.flags = ASYS_QUEUE_NO_HELP;
	check_eq(asys_queue_open(&q, &options), -EINVAL);
	check_says(asys_message(), setting[2]);
	check(q == (struct asys_queue *)&bads);
	check_eq(asys_engine_for(&options, SYS_read, NULL), -EINVAL);
	check_says(asys_message(), setting[2]);
	return 0;
}

/* What the environment says and cannot be done is told, not passed over. */
static void test_bad_environment(void **state)
{
	static const char *const settings[][3] = {
		{ "ASYS_ENGINE", "foo", "auto, inline, threads, ready or uring" },
		{ "ASYS_ENGINE", "foo", "ASYS_ENGINE=foo" },
		{ "ASYS_ENGINE", "Threads", "ASYS_ENGINE=Threads" },
		{ "ASYS_ENGINE", "threads ", "ASYS_ENGINE=threads " },
		{ "ASYS_ENGINE", "inline", "inline (ASYS_ENGINE)" },
		{ "ASYS_FAULT", "foo", "ASYS_FAULT=foo: fault option 'foo'" },
		{ "ASYS_FAULT", "rate=x", "0..1000" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		check_child(bad_environment, (void *)settings[i]);
}

static int empty_environment(void *arg)
{
	struct asys_queue *q = NULL;

	(void)arg;
	setenv("ASYS_ENGINE", "", 1);
	setenv("ASYS_FAULT", "", 1);
	check_eq(asys_queue_open(&q, NULL), 0);
	asys_queue_close(q);
	return 0;
}

static void test_empty_environment(void **state)
{
	(void)state;
	check_child(empty_environment, NULL);
}

static void test_defaults(void **state)
{
	struct asys_queue_options options;

	(void)state;
	memset(&options, 0xff, sizeof(options));
	asys_queue_options_init(&options);
	check_eq(options.size, sizeof(options));
	check_eq(options.depth, 256);
	check_eq(options.engine, ASYS_ENGINE_AUTO);
	check_eq(options.flags, 0);
	check_eq(options.threads, 12);
	check_eq(options.cores, 0);
	check_eq(options.spin_ns, 50000);
	check_eq(options.signal, 0);
	check(options.fault == NULL);
}

/* A program may be older than the library, or newer and ask for nothing new; what it does not know has its default. */
static void test_sizes(void **state)
{
	struct {
		struct asys_queue_options known;
		char more[24];
	} options = { 0 };
	struct {
		struct asys_stats known;
		char more[8];
	} stats;
	struct asys_queue *q;

	(void)state;
	asys_queue_options_init(&options.known);
	options.known.depth = 4;
	options.known.size = 40; /* of the first version */
	check_eq(asys_queue_open(&q, &options.known), 0);
	asys_queue_close(q);
	options.known.size = 36;
	check_eq(asys_queue_open(&q, &options.known), -EINVAL);
	check(strstr(asys_message(), "option size: 36"));
	options.known.size = sizeof(options);
	check_eq(asys_queue_open(&q, &options.known), 0);
	asys_queue_close(q);
	options.more[20] = 1;
	check_eq(asys_queue_open(&q, &options.known), -E2BIG);
	check(strstr(asys_message(), "newer library"));
	q = open_queue();
	check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	/* As much as fits; what the library does not know is 0. */
	memset(&stats, 0x55, sizeof(stats));
	check_eq(asys_queue_stats_(q, &stats.known, sizeof(stats)), 0);
	check_eq(stats.known.sent, 1);
	check(!stats.more[0] && !stats.more[7]);
	memset(&stats, 0x55, sizeof(stats));
	check_eq(asys_queue_stats_(q, &stats.known, 2 * sizeof(uint64_t)), 0);
	check_eq(stats.known.ended, 1);
	check_eq(stats.known.helped, UINT64_C(0x5555555555555555));
	asys_queue_close(q);
}

/* Each corner of the ranges opens and works. */
static void test_extremes(void **state)
{
	static const struct asys_queue_options corners[] = {
		{ .depth = 1, .threads = 1, .cores = 1, .spin_ns = 0 },
		{ .depth = 3, .threads = 1, .cores = 64, .spin_ns = ASYS_SPIN_MAX_NS },
		{ .depth = 64, .threads = ASYS_THREADS_MAX, .cores = 2, .spin_ns = 1 },
		{ .depth = 64, .threads = 2, .flags = ASYS_QUEUE_SHARED },
		{ .depth = 64, .threads = 2, .flags = ASYS_QUEUE_DRIVER },
		{ .depth = 64, .threads = 2, .flags = ASYS_QUEUE_SHARED | ASYS_QUEUE_DRIVER },
		{ .depth = 64, .threads = 2, .flags = ASYS_QUEUE_NONBLOCK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(corners) / sizeof(corners[0]); i++) {
		struct asys_queue_options options = corners[i];
		struct asys_queue *q;

		options.size = sizeof(options);
		q = open_with(&options);
		for (unsigned n = 0; n < 100; n++)
			check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
		asys_queue_close(q);
	}
}

static void test_depth_max(void **state)
{
	struct asys_queue_options options;
	struct asys_queue *q = NULL;
	int err;

	(void)state;
	asys_queue_options_init(&options);
	options.depth = ASYS_DEPTH_MAX;
	err = asys_queue_open(&q, &options);
	if (err == -ENOMEM) {
		check(asys_message()[0]);
		skip_because("not enough memory for the largest queue");
	}
	check_eq(err, 0);
	check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	asys_queue_close(q);
}

static void test_signal_taken(void **state)
{
	struct asys_queue_options options;
	struct asys_queue *q;
	asys_id id;
	char byte;
	int fd[2];

	(void)state;
	/* Another signal than the default one serves as well. */
	make_pipe(fd);
	asys_queue_options_init(&options);
	options.signal = SIGRTMIN + 2;
	q = open_with(&options);
	id = submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(2);
	check_eq(asys_queue_cancel(q, id), 0);
	check_eq(result_of(q, id), -ECANCELED);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void on_signal(int signal)
{
	(void)signal;
}

/* What is in a pipe. */
static void empty_pipe(int fd)
{
	char bytes[16];
	int waiting = 0;

	check_eq(ioctl(fd, FIONREAD, &waiting), 0);
	if (waiting)
		check_eq(read(fd, bytes, sizeof(bytes)), waiting);
}

static void test_signal_busy(void **state)
{
	const struct sigaction mine = { .sa_handler = on_signal };
	struct sigaction now;
	struct asys_queue_options options;
	struct asys_queue *q = NULL;
	char byte;
	asys_id id;
	int err, fd[2];

	(void)state;
	check_eq(sigaction(SIGRTMIN + 4, &mine, NULL), 0);
	make_pipe(fd);
	asys_queue_options_init(&options);
	options.signal = SIGRTMIN + 4;
	err = asys_queue_open(&q, &options);
	if (err == 0) {
		/* It may also be found out when the first thread starts; then the call says so, or
		 * does without a thread. */
		id = submit(q, SYS_read, fd[0], &byte, 1);
		asys_queue_flush(q);
		sleep_ms(2);
		check_eq(write(fd[1], "x", 1), 1);
		if (asys_error(id))
			check_eq(asys_error(id), -EBUSY);
		else
			check_one_of(result_of(q, id), 1, -EBUSY);
		asys_queue_close(q);
	} else {
		check_eq(err, -EBUSY);
		check_says(asys_message(), "signal");
	}
	check_eq(sigaction(SIGRTMIN + 4, NULL, &now), 0);
	check(now.sa_handler == on_signal);
	signal(SIGRTMIN + 4, SIG_DFL);
	close(fd[0]);
	close(fd[1]);
}

/* A read that blocks until something is written: cancelled, or served if that cannot be. */
static void check_with_handlers(bool may_be_cancelled)
{
	struct asys_queue *q = NULL;
	char byte;
	asys_id id;
	int fd[2];

	make_pipe(fd);
	check_eq(asys_queue_open(&q, NULL), 0);
	for (unsigned n = 0; n < 3; n++) {
		id = submit(q, SYS_read, fd[0], &byte, 1);
		check_eq(asys_queue_flush(q), 0);
		sleep_ms(2);
		check_eq(asys_queue_cancel(q, id), 0);
		if (!may_be_cancelled)
			check_eq(write(fd[1], "x", 1), 1);
		if (may_be_cancelled)
			check_eq(result_of(q, id), -ECANCELED);
		else
			check_one_of(result_of(q, id), 1, -ECANCELED);
		if (!may_be_cancelled)
			empty_pipe(fd[0]);
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void handle_signals(int last, void (*handler)(int))
{
	const struct sigaction action = { .sa_handler = handler };

	for (int i = SIGRTMIN; i <= last; i++)
		check_eq(sigaction(i, &action, NULL), 0);
}

/* Whatever real-time signals the program ignores or handles: a queue opens, and serves blocking calls. */
static void test_signals_of_the_program(void **state)
{
	(void)state;
	handle_signals(SIGRTMAX, SIG_IGN);
	check_with_handlers(true);
	handle_signals(SIGRTMAX, on_signal);
	check_with_handlers(false);
	signal(SIGRTMIN, SIG_DFL);
	check_with_handlers(true);
	handle_signals(SIGRTMAX, SIG_DFL);
}

/* It resets all signals, or handles them, while there are threads. */
static void test_signals_taken_later(void **state)
{
	struct sigaction now;
	struct asys_queue *q = NULL;
	char byte;
	asys_id id;
	int fd[2];

	(void)state;
	make_pipe(fd);
	check_eq(asys_queue_open(&q, NULL), 0);
	id = submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(2);
	handle_signals(SIGRTMAX, SIG_DFL);
	check_eq(asys_queue_cancel(q, id), 0);
	check_eq(result_of(q, id), -ECANCELED);
	id = submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(2);
	handle_signals(SIGRTMAX, on_signal);
	check_eq(asys_queue_cancel(q, id), 0);
	check_eq(write(fd[1], "x", 1), 1);
	check_one_of(result_of(q, id), 1, -ECANCELED);
	asys_queue_close(q);
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++) {
		check_eq(sigaction(i, NULL, &now), 0);
		check(now.sa_handler == on_signal);
	}
	handle_signals(SIGRTMAX, SIG_DFL);
	close(fd[0]);
	close(fd[1]);
}

/* The handler exists only while threads do. */
static void test_signal_restored(void **state)
{
	struct sigaction before[65], now;
	struct asys_queue *q;

	(void)state;
	memset(before, 0, sizeof(before));
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
		check_eq(sigaction(i, NULL, &before[i]), 0);
	q = open_queue();
	warm_up(q);
	asys_queue_close(q);
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++) {
		check_eq(sigaction(i, NULL, &now), 0);
		check(now.sa_handler == before[i].sa_handler);
	}
}

static void test_priorities(void **state)
{
	struct asys_queue_options options;
	struct asys_queue *q;
	struct asys_event events[12];

	(void)state;
	if (getenv("ASYS_ENGINE") && !engine_forced("inline"))
		skip_because("only one core in one thread has an order to look at");
	if (driver_is("thread"))
		skip_because("the driver begins with the first before the last is sent");
	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_INLINE;
	options.cores = 1;
	q = open_with(&options);
	for (unsigned i = 0; i < 12; i++) {
		struct asys_queue *next = asys_user(q, i);

		if (i % 3 == 0)
			next = asys_low(next);
		if (i % 3 == 2)
			next = asys_high(next);
		submit(next, SYS_getppid, 0);
	}
	check_eq(asys_queue_get_many(q, events, 12, 12, ASYS_FOREVER), 12);
	for (unsigned i = 0; i < 12; i++)
		check_eq(events[i].user % 3, 2 - i / 4);
	/* and within one priority, the order of sending */
	for (unsigned i = 1; i < 12; i++)
		if (i % 4)
			check(events[i].user > events[i - 1].user);
	asys_queue_close(q);
}

static void test_stats(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_stats stats;
	uint64_t sum = 0;
	asys_id id;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 100; i++)
		submit(q, SYS_getppid, 0);
	check_eq(asys_queue_barrier(q), 0);
	id = submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_cancel(q, id), 0);
	check_eq(result_of(q, id), -ECANCELED);
	check_eq(asys_queue_stats(q, &stats), 0);
	check_eq(stats.sent, 101);
	check_eq(stats.ended, 101);
	check_eq(stats.cancelled, 1);
	for (unsigned i = 0; i < ASYS_ENGINE_COUNT; i++)
		sum += stats.by_engine[i];
	check_eq(sum, 101);
	check(stats.helped <= stats.ended);
	check(stats.threads <= stats.threads_max);
	check(stats.threads_max <= 12);
	check_eq(drain(q), 100);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_no_help(void **state)
{
	struct asys_queue *q;
	struct asys_stats stats;

	(void)state;
	if (engine_forced("inline"))
		skip_because("the inline engine is the helping itself");
	q = open_depth(64, ASYS_QUEUE_NO_HELP);
	for (unsigned i = 0; i < 1000; i++)
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	check_eq(asys_queue_stats(q, &stats), 0);
	check_eq(stats.helped, 0);
	check_eq(stats.ended, 1000);
	/* home calls are the exception */
	check_eq(result_of(q, submit(q, SYS_gettid, 0)), gettid());
	asys_queue_close(q);
}

static void *message_of_thread(void *arg)
{
	struct asys_queue *q = arg;

	check(asys_message());
	check(!asys_queue_open(&q, NULL));
	check_eq(submit_refs(q, SYS_getppid, 1u << 9, 0).value, -EINVAL);
	check_says(asys_message(), "flag");
	asys_queue_close(q);
	return NULL;
}

static void test_message_is_per_thread(void **state)
{
	struct asys_queue_options options;
	struct asys_queue *q = NULL;
	pthread_t thread;

	(void)state;
	check(asys_message());
	asys_queue_options_init(&options);
	options.depth = 0;
	check_eq(asys_queue_open(&q, &options), -EINVAL);
	check_eq(pthread_create(&thread, NULL, message_of_thread, NULL), 0);
	pthread_join(thread, NULL);
	check_says(asys_message(), "depth");
}

static void test_errno_untouched(void **state)
{
	struct asys_queue *q = open_queue();

	(void)state;
	errno = 1234;
	check_eq(result_of(q, submit(q, SYS_close, -1)), -EBADF);
	check_eq(asys_queue_cancel_all(q), 0);
	check_eq(asys_queue_barrier(q), -EBADF);
	check_eq(errno, 1234);
	asys_queue_close(q);
	check_eq(errno, 1234);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_bad_options),
		contract(test_bad_environment),
		contract(test_empty_environment),
		contract(test_defaults),
		contract(test_sizes),
		contract(test_extremes),
		contract(test_depth_max),
		contract(test_signal_taken),
		contract(test_signal_busy),
		contract(test_signals_of_the_program),
		contract(test_signals_taken_later),
		contract(test_signal_restored),
		contract(test_priorities),
		contract(test_stats),
		contract(test_no_help),
		contract(test_message_is_per_thread),
		contract(test_errno_untouched),
	};

	return group(tests, argc, argv);
}
