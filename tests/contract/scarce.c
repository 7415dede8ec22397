/* SPDX-License-Identifier: MIT */
/*
 * Contract: where the system's limits are reached while a queue works, every call still ends: as it
 * would have, by a slower way, or with the error of a thread that cannot be had. Nothing hangs.
 */
#include "support.h"

#include <asys/chain.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define NOBODY 65534

static uint32_t flags_of(const void *arg)
{
	return arg ? *(const uint32_t *)arg : 0;
}

/* The user has one process and may have no further thread: also not those of the kernel's ring. */
static void one_process(void)
{
	const struct rlimit one = { 1, 1 };

	check_eq(setgroups(0, NULL), 0);
	check_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	check_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	check_eq(setrlimit(RLIMIT_NPROC, &one), 0);
}

/* What waits for bytes of a pipe needs no thread, nor does a pipe that has them. */
static void pipes_work(struct asys_queue *q)
{
	char bytes[4];
	asys_id id;
	int fd[2];

	make_pipe(fd);
	id = submit(q, SYS_read, fd[0], bytes, sizeof(bytes));
	check_eq(asys_queue_flush(q), 0);
	check_eq(write(fd[1], "abc", 3), 3);
	check_one_of(result_of(q, id), 3, -EAGAIN);
	close(fd[0]);
	close(fd[1]);
}

/* What only a thread could wait for says that there is none. */
static void copies_end(struct asys_queue *q)
{
	int from[2], to[2];
	asys_id id;

	make_pipe(from);
	make_pipe(to);
	check_eq(write(from[1], "abcabc", 6), 6);
	id = submit(q, SYS_tee, from[0], to[1], 3, 0);
	check_one_of(result_of(q, id), 3, -EAGAIN);
	id = submit(q, SYS_splice, from[0], NULL, to[1], NULL, 3, 0);
	submit(asys_quiet(q), SYS_getppid, 0);
	check_one_of(result_of(q, id), 3, -EAGAIN);
	close(from[0]);
	close(from[1]);
	close(to[0]);
	close(to[1]);
}

/* What cannot block for ever works, thread or not. */
static void names_work(struct asys_queue *q)
{
	static char bytes[4096];
	static struct statx x;
	int file = memory_file();
	asys_id id[6];
	int64_t fd;

	id[0] = submit(q, SYS_statx, AT_FDCWD, "/", 0, STATX_MODE, &x);
	id[1] = submit(q, SYS_mkdirat, AT_FDCWD, "/nonexistent/x", 0700);
	id[2] = submit(q, SYS_fsync, file);
	id[3] = submit(q, SYS_fallocate, file, 0, 0, 4096);
	id[4] = submit(q, SYS_unlinkat, AT_FDCWD, "/nonexistent/x", 0);
	id[5] = submit(q, SYS_pwrite64, file, "abc", 3, 0);
	check_eq(result_of(q, id[0]), 0);
	check_eq(result_of(q, id[1]), -ENOENT);
	check_eq(result_of(q, id[2]), 0);
	check_eq(result_of(q, id[3]), 0);
	check_eq(result_of(q, id[4]), -ENOENT);
	check_eq(result_of(q, id[5]), 3);
	check_eq(result_of(q, submit(q, SYS_write, file, "def", 3)), 3);
	check_eq(result_of(q, submit(q, SYS_read, file, bytes, sizeof(bytes))), 4093);
	id[0] = submit(q, SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	fd = result_of(q, id[0]);
	check(fd >= 0);
	close((int)fd);
	close(file);
}

static int64_t next_value(const uint64_t arg[6])
{
	return (int64_t)arg[0] + 1;
}

/* Sendings that go round for longer than one visit lets them, in calls and in what only computes. */
static void sendings_end(struct asys_queue *q)
{
	struct asys_chain *c;

	for (unsigned k = 0; k < 2; k++) {
		check_eq(asys_chain_open(&c, NULL), 0);
		asys_chain_loop(c, 500);
		if (k)
			asys_getppid(c);
		else
			asys_chain_compute(c, next_value, 1);
		asys_chain_end(c);
		asys_chain_result(c, asys_getpid(c));
		check_eq(asys_chain_ready(c), 0);
		check_eq(result_of(q, asys_chain_send(q, c)), getpid());
		asys_chain_close(c);
	}
}

static int without_threads(void *arg)
{
	struct asys_queue *q;

	one_process();
	q = open_depth(64, flags_of(arg));
	for (unsigned k = 0; k < 5; k++) {
		names_work(q);
		pipes_work(q);
		copies_end(q);
		sendings_end(q);
		progress();
	}
	asys_queue_close(q);
	return 0;
}

/* The limit leaves no driver when the queue is renewed; one comes when it is raised, with the next call that
 * is sent, and works by itself. */
static int driver_after_all(void *arg)
{
	struct asys_queue *q = open_depth(64, ASYS_QUEUE_DRIVER);
	const bool by_loop = *(const bool *)arg;
	int file = memory_file();
	struct rlimit limit = { 1, 1000 };

	if (by_loop)
		check(asys_queue_fd(q) >= 0);
	check_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
	check_eq(setgroups(0, NULL), 0);
	check_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	check_eq(asys_queue_renew(q), 0);
	check_eq(result_of(q, submit(q, SYS_getpid, 0)), getpid());
	limit.rlim_cur = limit.rlim_max;
	check_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
	sleep_ms(5);
	submit(q, SYS_ftruncate, file, 5);
	for (unsigned k = 0; k < 5000 && lseek(file, 0, SEEK_END) != 5; k++)
		sleep_ms(1);
	check_eq(lseek(file, 0, SEEK_END), 5);
	asys_queue_close(q);
	close(file);
	return 0;
}

static void test_driver_after_all(void **state)
{
	(void)state;
	root_or_skip();
	for (unsigned k = 0; k < 2; k++)
		check_child(driver_after_all, &(bool){ k != 0 });
}

/* A queue that is to have one is not opened without it, and says which limits there are. */
static int no_driver(void *arg)
{
	struct asys_queue_options options;
	struct asys_queue *q = NULL;

	(void)arg;
	asys_queue_options_init(&options);
	options.flags = ASYS_QUEUE_DRIVER;
	one_process();
	check_eq(asys_queue_open(&q, &options), -EAGAIN);
	check(!q);
	check_says(asys_message(), "ulimit -u");
	check_says(asys_message(), "pids.max");
	check_says(asys_message(), "kernel.threads-max");
	check_says(asys_message(), "without ASYS_QUEUE_DRIVER"); /* the end is not cut off */
	return 0;
}

static void test_no_driver(void **state)
{
	(void)state;
	root_or_skip();
	check_child(no_driver, NULL);
}

static void thread_or_skip(void)
{
	if (driver_is("thread"))
		skip_because("a driver is a thread too");
}

static void test_no_thread(void **state)
{
	(void)state;
	root_or_skip();
	thread_or_skip();
	check_child(without_threads, NULL);
}

static void test_no_thread_shared(void **state)
{
	uint32_t flags = ASYS_QUEUE_SHARED;

	(void)state;
	root_or_skip();
	thread_or_skip();
	check_child(without_threads, &flags);
}

static void test_no_thread_no_help(void **state)
{
	uint32_t flags = ASYS_QUEUE_NO_HELP;

	(void)state;
	root_or_skip();
	thread_or_skip();
	if (engine_forced("inline"))
		skip_because("engine inline and NO_HELP exclude each other");
	check_child(without_threads, &flags);
}

/* The same opens, in a queue that only its one user drives. */
static int open_without_threads(void *arg)
{
	struct asys_queue *q;
	int64_t fd;

	(void)arg;
	one_process();
	q = open_queue();
	for (unsigned k = 0; k < 20; k++) {
		asys_id id =
			submit(q, SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC, 0);

		submit(asys_quiet(q), SYS_getppid, 0);
		fd = result_of(q, id);
		check(fd >= 0);
		close((int)fd);
	}
	asys_queue_close(q);
	return 0;
}

static void test_no_thread_open(void **state)
{
	(void)state;
	root_or_skip();
	private_or_skip("docs/LIMITS.md: without threads an open in a shared queue says so");
	check_child(open_without_threads, NULL);
}

/* No descriptor is left from the n-th on: the queue works with those that it could have. */
static int without_descriptors(void *arg)
{
	struct rlimit few;
	unsigned more = 0;
	char bytes[2];
	int fd[2];

	make_pipe(fd);
	for (; more < 6; more++) {
		struct asys_queue *q;
		asys_id id[2];

		few = (struct rlimit){ (rlim_t)fd[1] + 1 + more, 4096 };
		check_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
		q = open_depth(64, flags_of(arg));
		id[0] = submit(q, SYS_read, fd[0], &bytes[0], 1);
		id[1] = submit(q, SYS_read, fd[0], &bytes[1], 1);
		check_eq(asys_queue_flush(q), 0);
		check_eq(write(fd[1], "ab", 2), 2);
		check_eq(result_of(q, id[0]), 1);
		check_eq(result_of(q, id[1]), 1);
		id[0] = submit(q, SYS_read, fd[0], &bytes[0], 1);
		check_eq(asys_queue_flush(q), 0);
		check_eq(asys_queue_cancel(q, id[0]), 0);
		check_eq(result_of(q, id[0]), -ECANCELED);
		asys_queue_close(q);
		progress();
	}
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static void test_no_descriptor(void **state)
{
	uint32_t shared = ASYS_QUEUE_SHARED, driver = ASYS_QUEUE_DRIVER;

	(void)state;
	if (driver_is("fd"))
		skip_because("a loop on a descriptor needs one");
	check_child(without_descriptors, NULL);
	check_child(without_descriptors, &shared);
	check_child(without_descriptors, &driver);
}

/* accept fails at once then, also if it would have to wait. */
static int accept_without_descriptors(void *arg)
{
	const struct sockaddr_un nowhere = { .sun_family = AF_UNIX };
	const socklen_t size = sizeof(nowhere.sun_family);
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check_eq(bind(listening, (const struct sockaddr *)&nowhere, size), 0);
	check_eq(listen(listening, 1), 0);
	for (unsigned k = 0; k < 8; k++) {
		struct rlimit limit, before;
		struct asys_queue *q = open_depth(64, flags_of(arg));
		int lowest;

		if (k % 2)
			warm_up(q);
		if ((k & 4) || driver_is("fd"))
			check(asys_queue_fd(q) >= 0);
		check_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
		limit = before;
		lowest = dup(listening);
		limit.rlim_cur = (rlim_t)(k & 2 ? 3 : lowest);
		close(lowest);
		check_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		check_eq(result_of(q, submit(q, SYS_accept4, listening, NULL, NULL, 0)), -EMFILE);
		check_eq(result_of(q, submit(q, SYS_accept, listening, NULL, NULL)), -EMFILE);
		asys_queue_cancel_all(q);
		check_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		asys_queue_close(q);
		progress();
	}
	close(listening);
	return 0;
}

static void test_no_descriptor_to_accept(void **state)
{
	uint32_t shared = ASYS_QUEUE_SHARED, driver = ASYS_QUEUE_DRIVER;

	(void)state;
	check_child(accept_without_descriptors, NULL);
	check_child(accept_without_descriptors, &shared);
	check_child(accept_without_descriptors, &driver);
}

static uint64_t served_by_ring(struct asys_queue *q)
{
	struct asys_stats stats;

	check_eq(asys_queue_stats(q, &stats), 0);
	return stats.by_engine[ASYS_ENGINE_URING];
}

static void two_reads(struct asys_queue *q, const int fd[2])
{
	char bytes[2];
	asys_id id[2];

	for (unsigned k = 0; k < 2; k++)
		id[k] = submit(q, SYS_read, fd[0], &bytes[k], 1);
	check_eq(asys_queue_flush(q), 0);
	check_eq(write(fd[1], "ab", 2), 2);
	check_eq(result_of(q, id[0]), 1);
	check_eq(result_of(q, id[1]), 1);
}

/* The limit was reached when the queue wanted its ring, and is not any more: it gets one. */
static int ring_after_all(void *arg)
{
	struct rlimit limit, before;
	struct asys_queue *q;
	int lowest, fd[2];

	make_pipe(fd);
	q = open_depth(64, flags_of(arg));
	if (driver_is("fd"))
		check(asys_queue_fd(q) >= 0);
	check_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	lowest = dup(fd[0]);
	limit.rlim_cur = (rlim_t)lowest;
	close(lowest);
	check_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	two_reads(q, fd);
	check_eq(served_by_ring(q), 0);
	check_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (unsigned k = 0; k < 10000 && !served_by_ring(q); k++) {
		two_reads(q, fd);
		progress();
	}
	check(served_by_ring(q) > 0);
	two_reads(q, fd);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static void test_ring_after_all(void **state)
{
	uint32_t shared = ASYS_QUEUE_SHARED, driver = ASYS_QUEUE_DRIVER;

	(void)state;
	if (asys_probe()->uring || engine_forced("inline") || engine_forced("threads") ||
	    engine_forced("ready"))
		skip_because("no ring is wanted");
	check_child(ring_after_all, NULL);
	check_child(ring_after_all, &shared);
	check_child(ring_after_all, &driver);
}

/* Started without the three standard descriptors, which the program makes later over whatever has their numbers. */
static int without_standard(void *arg)
{
	const uint32_t *flags = arg;
	struct asys_queue *q;
	int fd[2], null;
	char in = 0;
	asys_id id;

	make_pipe(fd);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int k = 0; k < 3; k++)
		close(k);
	q = open_depth(64, *flags);
	if (asys_queue_fd(q) < 3)
		return 1;
	id = submit(q, SYS_read, fd[0], &in, 1);
	asys_queue_flush(q);
	for (int k = 0; k < 3; k++)
		if (fcntl(k, F_GETFD) >= 0 || dup2(null, k) != k)
			return 1;
	if (write(fd[1], "x", 1) != 1 || result_of(q, id) != 1)
		return 1;
	asys_queue_close(q);
	return 0;
}

static void test_standard_descriptors(void **state)
{
	uint32_t kinds[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };

	(void)state;
	uncollected_or_skip("the loop of the test has descriptors of its own");
	for (unsigned k = 0; k < 3; k++)
		check_child(without_standard, &kinds[k]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_no_thread),	  contract(test_driver_after_all),
		contract(test_no_driver),	  contract(test_no_thread_shared),
		contract(test_no_thread_no_help), contract(test_no_thread_open),
		contract(test_no_descriptor),	  contract(test_no_descriptor_to_accept),
		contract(test_ring_after_all),	  contract(test_standard_descriptors),
	};

	if (is_sanitized()) {
		puts("a sanitizer cannot live with these limits");
		return SKIPPED;
	}
	return group(tests, argc, argv);
}
