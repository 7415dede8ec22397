/* SPDX-License-Identifier: MIT */
/* Contract: bad input and missing resources give an error and harm nothing. */
#include "support.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/stat.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define BAD ((void *)8)

/* Each reads or writes memory at an address where there is none. */
static unsigned send_bad(struct asys_queue *q, const int pipe_fd[2], int file, int sock,
			 asys_id *id)
{
	unsigned n = 0;

	id[n++] = submit(q, SYS_read, file, BAD, 4);
	id[n++] = submit(q, SYS_write, file, BAD, 4);
	id[n++] = submit(q, SYS_pread64, file, BAD, 4, 0);
	id[n++] = submit(q, SYS_pwrite64, file, BAD, 4, 0);
	id[n++] = submit(q, SYS_readv, file, BAD, 1);
	id[n++] = submit(q, SYS_writev, file, BAD, 1);
	id[n++] = submit(q, SYS_preadv, file, BAD, 1, 0, 0);
	id[n++] = submit(q, SYS_preadv2, file, BAD, 1, 0, 0, 0);
	id[n++] = submit(q, SYS_openat, AT_FDCWD, BAD, O_RDONLY, 0);
	id[n++] = submit(q, SYS_mkdirat, AT_FDCWD, BAD, 0700);
	id[n++] = submit(q, SYS_unlinkat, AT_FDCWD, BAD, 0);
	id[n++] = submit(q, SYS_renameat2, AT_FDCWD, BAD, AT_FDCWD, BAD, 0);
	id[n++] = submit(q, SYS_symlinkat, BAD, AT_FDCWD, BAD);
	id[n++] = submit(q, SYS_linkat, AT_FDCWD, BAD, AT_FDCWD, BAD, 0);
	id[n++] = submit(q, SYS_readlinkat, AT_FDCWD, BAD, BAD, 64);
	id[n++] = submit(q, SYS_statx, AT_FDCWD, BAD, 0, STATX_BASIC_STATS, BAD);
	id[n++] = submit(q, SYS_statx, AT_FDCWD, "/", 0, STATX_BASIC_STATS, BAD);
	id[n++] = submit(q, SYS_newfstatat, AT_FDCWD, "/", BAD, 0);
	id[n++] = submit(q, SYS_fstat, file, BAD);
	id[n++] = submit(q, SYS_faccessat, AT_FDCWD, BAD, 0);
	id[n++] = submit(q, SYS_utimensat, AT_FDCWD, BAD, NULL, 0);
	id[n++] = submit(q, SYS_truncate, BAD, 0);
	id[n++] = submit(q, SYS_getcwd, BAD, 4096);
	id[n++] = submit(q, SYS_uname, BAD);
	id[n++] = submit(q, SYS_clock_gettime, CLOCK_MONOTONIC, BAD);
	id[n++] = submit(q, SYS_nanosleep, BAD, NULL);
	id[n++] = submit(q, SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, BAD, NULL);
	id[n++] = submit(q, SYS_pipe2, BAD, 0);
	id[n++] = submit(q, SYS_ppoll, BAD, 1, NULL, NULL, 8);
	id[n++] = submit(q, SYS_sendto, sock, BAD, 4, 0, NULL, 0);
	id[n++] = submit(q, SYS_sendmsg, sock, BAD, 0);
	id[n++] = submit(q, SYS_recvmsg, sock, BAD, 0);
	id[n++] = submit(q, SYS_bind, sock, BAD, 16);
	id[n++] = submit(q, SYS_connect, sock, BAD, 16);
	id[n++] = submit(q, SYS_getsockname, sock, BAD, BAD);
	id[n++] = submit(q, SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, BAD);
	id[n++] = submit(q, SYS_futex, BAD, FUTEX_WAIT, 0, NULL, NULL, 0);
	id[n++] = submit(q, SYS_getrandom, BAD, 4, 0);
	/* data is there, and it must still be there afterwards */
	id[n++] = submit(q, SYS_read, pipe_fd[0], BAD, 4);
	return n;
}

static void test_bad_pointers(void **state)
{
	static const uint32_t flags[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };
	int fd[2], file = memory_file(), sockets[2];
	char rest[8];

	(void)state;
	make_pipe(fd);
	check_eq(write(fd[1], "data", 4), 4);
	check_eq(write(file, "content", 7), 7);
	check_eq(lseek(file, 0, SEEK_SET), 0);
	check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct asys_queue *q = open_depth(256, flags[i]);
		asys_id id[64];
		unsigned count = send_bad(q, fd, file, sockets[0], id);

		for (unsigned n = 0; n < count; n++) {
			int64_t result = result_of(q, id[n]);

			if (result != -EFAULT)
				fprintf(stderr, "bad pointer %u\n", n);
			check_eq(result, -EFAULT);
		}
		asys_queue_close(q);
	}
	check_eq(read(fd[0], rest, sizeof(rest)), 4);
	close(fd[0]);
	close(fd[1]);
	close(file);
	close(sockets[0]);
	close(sockets[1]);
}

static void test_bad_descriptors(void **state)
{
	static const int bad[] = { -1, 1000000, INT32_MAX, INT32_MIN };
	struct asys_queue *q = open_queue();
	char byte;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_eq(result_of(q, submit(q, SYS_read, bad[i], &byte, 1)), -EBADF);
		check_eq(result_of(q, submit(q, SYS_write, bad[i], &byte, 1)), -EBADF);
		check_eq(result_of(q, submit(q, SYS_recvfrom, bad[i], &byte, 1, 0, NULL, NULL)),
			 -EBADF);
		check_eq(result_of(q, submit(q, SYS_accept4, bad[i], NULL, NULL, 0)), -EBADF);
		check_eq(result_of(q, submit(q, SYS_fsync, bad[i])), -EBADF);
		check_eq(result_of(q, submit(q, SYS_close, bad[i])), -EBADF);
		check_eq(result_of(q, submit(q, SYS_flock, bad[i], 2)), -EBADF);
		check_eq(result_of(q, submit(q, SYS_epoll_pwait, bad[i], &byte, 1, -1, NULL, 8)),
			 -EBADF);
	}
	asys_queue_close(q);
}

static void test_unknown_number(void **state)
{
	static const uint32_t no_such[] = { 60000, 65535, 1000, 5000 };
	static const uint32_t refused[] = { 65536, 100000, UINT32_MAX, 0x80000000u };
	struct asys_queue *q = open_queue();

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		check(asys_syscall_info(no_such[i]) == NULL);
		check_eq(result_of(q, submit(q, no_such[i], 1, 2, 3, 4, 5, 6)), -ENOSYS);
	}
	for (unsigned i = 0; i < 4; i++) {
		asys_id id = submit(q, refused[i], 1, 2, 3, 4, 5, 6);

		check(asys_syscall_info(refused[i]) == NULL);
		check_eq(id.value, -ENOSYS);
		check(asys_message()[0]);
		check_eq(asys_engine_for(NULL, refused[i], NULL), -ENOSYS);
	}
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
}

static void test_asked_for_nothing(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event = { .result = 5 };

	(void)state;
	submit(q, SYS_getppid, 0);
	check_eq(asys_queue_get_many(q, &event, 0, 0, 0), 0);
	check_eq(asys_queue_get_many(q, &event, 0, 5, ASYS_FOREVER), 0);
	check_eq(event.result, 5);
	check_eq(drain(q), 1);
	asys_queue_close(q);
}

static void basics(struct asys_queue *q)
{
	char byte;
	asys_id id;
	int fd[2];

	for (unsigned i = 0; i < 100; i++)
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	make_pipe(fd);
	id = submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_flush(q), 0);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, id), 1);
	close(fd[0]);
	close(fd[1]);
}

/* No locked memory: the ring cannot be had on old kernels; either way the calls are served. */
static int no_memlock(void *arg)
{
	const struct rlimit none = { 0, 0 };
	struct asys_queue *q;

	(void)arg;
	check_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	if (is_root())
		check_eq(setresuid(65534, 65534, 65534), 0);
	q = open_queue();
	basics(q);
	asys_queue_close(q);
	return 0;
}

static void test_no_memlock(void **state)
{
	(void)state;
	check_child(no_memlock, NULL);
}

static uint64_t own_size(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	check(file && fscanf(file, "%lu", &pages) == 1);
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int no_memory(void *arg)
{
	struct asys_queue_options options;
	struct asys_queue *q = NULL;
	struct rlimit limit;

	(void)arg;
	limit.rlim_cur = limit.rlim_max = own_size() + (8u << 20);
	check_eq(setrlimit(RLIMIT_AS, &limit), 0);
	asys_queue_options_init(&options);
	options.depth = ASYS_DEPTH_MAX;
	check_eq(asys_queue_open(&q, &options), -ENOMEM);
	check(q == NULL);
	check_says(asys_message(), "depth");
	/* what is small enough works on */
	options.depth = 16;
	q = open_with(&options);
	for (unsigned i = 0; i < 100; i++)
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	asys_queue_close(q);
	return 0;
}

static void test_no_memory(void **state)
{
	(void)state;
	if (is_sanitized())
		skip_because("sanitizers need address space without limit");
	check_child(no_memory, NULL);
}

/* Memory that ends while events pile up: sending says so and nothing that was sent is lost. */
static int no_memory_later(void *arg)
{
	struct asys_queue *q = open_depth(16, 0);
	struct rlimit limit;
	uint64_t sent = 0;
	asys_id id = { 0 };

	(void)arg;
	warm_up(q);
	limit.rlim_cur = limit.rlim_max = own_size() + (2u << 20);
	check_eq(setrlimit(RLIMIT_AS, &limit), 0);
	while (sent < 2000000) {
		id = submit(q, SYS_getppid, 0);
		if (id.value < 0)
			break;
		sent++;
		if (sent % 1024 == 0)
			progress();
	}
	check_eq(id.value, -ENOMEM);
	check_eq(asys_queue_pending(q), sent);
	check_eq(drain(q), sent);
	check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	asys_queue_close(q);
	return 0;
}

static void test_no_memory_later(void **state)
{
	(void)state;
	uncollected_or_skip("the test's own loop needs memory for what it takes");
	if (is_sanitized())
		skip_because("sanitizers need address space without limit");
	check_child(no_memory_later, NULL);
}

/* No thread can be started: calls that need none go on, others end with a clear error. */
static int no_threads(void *arg)
{
	const struct rlimit none = { 0, 0 };
	struct asys_queue *q;
	int64_t result;
	char byte;
	asys_id id;
	int fd[2];

	(void)arg;
	check_eq(setrlimit(RLIMIT_NPROC, &none), 0);
	if (is_root())
		check_eq(setresuid(65534, 65534, 65534), 0);
	if (is_root() || syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0)
		_exit(SKIPPED);
	q = open_queue();
	make_pipe(fd);
	for (unsigned i = 0; i < 100; i++)
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	for (unsigned i = 0; i < 20; i++) {
		id = submit(q, SYS_read, fd[0], &byte, 1);
		asys_queue_flush(q);
		check_eq(write(fd[1], "x", 1), 1);
		if (id.value > 0)
			result = result_of(q, id);
		else
			result = id.value;
		if (result != 1) {
			check_one_of(result, -EAGAIN, -ENOMEM);
			check_eq(read(fd[0], &byte, 1), 1);
		}
	}
	/* with a blocked one in between, the quick ones still end */
	id = submit(q, SYS_read, fd[0], &byte, 1);
	for (unsigned i = 0; i < 100; i++)
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	asys_queue_close(q);
	_exit(0); /* leak checkers that run at exit need a thread */
}

static void test_no_threads(void **state)
{
	(void)state;
	if (driver_is("thread"))
		skip_because("a driver is a thread");
	check_child(no_threads, NULL);
}

/* No descriptor is left: open says so, or the engines that need none serve. */
static int no_descriptors(void *arg)
{
	struct asys_queue *q = NULL;
	struct asys_queue_options options;
	const struct rlimit few = { 64, 64 };
	int64_t result;
	char byte;
	int fd[2], err;

	(void)arg;
	check_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	make_pipe(fd);
	while (dup(fd[0]) >= 0)
		;
	asys_queue_options_init(&options);
	err = asys_queue_open(&q, &options);
	if (err) {
		check_eq(err, -EMFILE);
		check(asys_message()[0]);
		_exit(0); /* leak checkers that run at exit need a descriptor */
	}
	for (unsigned i = 0; i < 100; i++)
		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	asys_id id = submit(q, SYS_read, fd[0], &byte, 1);

	asys_queue_flush(q);
	check_eq(write(fd[1], "x", 1), 1);
	result = id.value > 0 ? result_of(q, id) : id.value;
	check_one_of(result, 1, -EMFILE);
	check_one_of(asys_queue_fd(q) >= 0 ? 0 : asys_queue_fd(q), 0, -EMFILE);
	asys_queue_close(q);
	_exit(0);
}

static void test_no_descriptors(void **state)
{
	(void)state;
	uncollected_or_skip("a loop needs a descriptor to poll");
	check_child(no_descriptors, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_bad_pointers),	contract(test_bad_descriptors),
		contract(test_unknown_number),	contract(test_asked_for_nothing),
		contract(test_no_memlock),	contract(test_no_memory),
		contract(test_no_memory_later), contract(test_no_threads),
		contract(test_no_descriptors),
	};

	return group(tests, argc, argv);
}
