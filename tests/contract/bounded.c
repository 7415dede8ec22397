/* SPDX-License-Identifier: MIT */
/* Contract: threads have a limit that the options set, however many calls block. */
#include "support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* 64 calls that only a thread each could serve at once, and four threads. */
static void locks(uint32_t flags, unsigned extra)
{
	enum { MANY = 64, THREADS = 4 };
	const struct census before = census_take();
	struct asys_queue_options options;
	struct asys_queue *q;
	struct asys_stats stats;
	char *dir = temp_make(), *path = NULL;
	int held, want[MANY];
	asys_id id[MANY];

	check(asprintf(&path, "%s/lock", dir) > 0);
	held = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	check(held >= 0);
	check_eq(flock(held, LOCK_EX), 0);
	asys_queue_options_init(&options);
	options.threads = THREADS;
	options.flags = flags;
	q = open_with(&options);
	for (unsigned i = 0; i < MANY; i++) {
		want[i] = open(path, O_RDWR | O_CLOEXEC);
		check(want[i] >= 0);
		id[i] = submit(q, SYS_flock, want[i], LOCK_SH);
	}
	check_eq(asys_queue_flush(q), 0);
	for (unsigned i = 0; i < 20; i++) {
		check(census_take().threads <= before.threads + THREADS + extra);
		/* quick calls go on meanwhile: blocked ones do not take all the threads there are */
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
		sleep_ms(1);
	}
	check_eq(asys_queue_stats(q, &stats), 0);
	check(stats.threads_max <= THREADS);
	check_eq(stats.ended, 20);
	check_eq(flock(held, LOCK_UN), 0);
	for (unsigned i = 0; i < MANY; i++)
		check_eq(result_of(q, id[i]), 0);
	check_eq(asys_queue_stats(q, &stats), 0);
	check(stats.threads_max <= THREADS);
	asys_queue_close(q);
	for (unsigned i = 0; i < MANY; i++)
		close(want[i]);
	close(held);
	free(path);
	temp_remove(dir);
}

static void test_locks(void **state)
{
	(void)state;
	locks(0, driver_is("thread"));
}

static void test_locks_with_driver(void **state)
{
	(void)state;
	/* the driver is not a system call thread */
	locks(ASYS_QUEUE_DRIVER, 1);
}

static void test_locks_no_help(void **state)
{
	(void)state;
	if (engine_forced("inline"))
		skip_because("the inline engine is the helping itself");
	locks(ASYS_QUEUE_NO_HELP, driver_is("thread"));
}

/* One thread, and calls that need one another to end: quick ones are not stuck behind slow ones. */
static void test_one_thread(void **state)
{
	struct asys_queue_options options;
	struct asys_queue *q;
	char bytes[8];
	asys_id id[8];
	int fd[2];

	(void)state;
	make_pipe(fd);
	asys_queue_options_init(&options);
	options.threads = 1;
	q = open_with(&options);
	for (unsigned i = 0; i < 8; i++)
		id[i] = submit(q, SYS_read, fd[0], &bytes[i], 1);
	check_eq(asys_queue_flush(q), 0);
	for (unsigned i = 0; i < 8; i++)
		check_eq(write(fd[1], "x", 1), 1);
	for (unsigned i = 0; i < 8; i++)
		check_eq(result_of(q, id[i]), 1);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

enum { SOCKETS = 10000, THREADS_AT_MOST = 16 };

static int open_pairs(int *socket_fd)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_max < SOCKETS + 100)
		return -1;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	/* both ends of a pair receive, so that 10,000 sockets are 5,000 pairs */
	for (unsigned i = 0; i < SOCKETS; i += 2)
		check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socket_fd + i), 0);
	return 0;
}

static int idle_receives(void *arg)
{
	static int socket_fd[SOCKETS];
	static char bytes[SOCKETS];
	struct asys_queue *q;
	struct asys_event event;
	unsigned ended = 0;

	if (arg)
		deny_uring(EPERM);
	if (open_pairs(socket_fd))
		return SKIPPED;
	q = open_depth(16384, 0);
	for (unsigned i = 0; i < SOCKETS; i++)
		check(submit(asys_user(q, i), SYS_recvfrom, socket_fd[i], &bytes[i], 1, 0, NULL,
			     NULL)
			      .value > 0);
	check_eq(asys_queue_get_many(q, &event, 1, 1, 50000000), 0);
	check(census_take().threads <= THREADS_AT_MOST);
	/* all are idle, and calls of other kinds go on */
	check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	progress();
	for (unsigned i = 0; i < SOCKETS; i++) {
		const char byte = (char)i;

		check_eq(write(socket_fd[i ^ 1], &byte, 1), 1);
		if (i % 100 == 0)
			check(census_take().threads <= THREADS_AT_MOST);
	}
	while (ended < SOCKETS) {
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.result, 1);
		check_eq(bytes[event.user], (char)event.user);
		bytes[event.user]++;
		if (ended++ % 100 == 0)
			check(census_take().threads <= THREADS_AT_MOST);
		progress();
	}
	asys_queue_close(q);
	return 0;
}

static void test_idle_receives(void **state)
{
	(void)state;
	check_child(idle_receives, NULL);
}

static void test_idle_receives_without_uring(void **state)
{
	static char yes;

	(void)state;
	check_child(idle_receives, &yes);
}

/* Closing while all of them are idle. */
static int idle_then_close(void *arg)
{
	static int socket_fd[SOCKETS];
	static char bytes[SOCKETS];
	struct asys_queue *q;

	if (arg)
		deny_uring(EPERM);
	if (open_pairs(socket_fd))
		return SKIPPED;
	q = open_depth(16384, 0);
	for (unsigned i = 0; i < SOCKETS; i++)
		submit(q, SYS_recvfrom, socket_fd[i], &bytes[i], 1, 0, NULL, NULL);
	check_eq(asys_queue_flush(q), 0);
	asys_queue_close(q);
	for (unsigned i = 0; i < SOCKETS; i++)
		check_eq(write(socket_fd[i ^ 1], "x", 1), 1);
	for (unsigned i = 0; i < SOCKETS; i++)
		check_eq(bytes[i], 0);
	return 0;
}

static void test_close_while_idle(void **state)
{
	static char yes;

	(void)state;
	check_child(idle_then_close, NULL);
	check_child(idle_then_close, &yes);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_locks),
		contract(test_locks_with_driver),
		contract(test_locks_no_help),
		contract(test_one_thread),
		contract(test_idle_receives),
		contract(test_idle_receives_without_uring),
		contract(test_close_while_idle),
	};

	return group(tests, argc, argv);
}
