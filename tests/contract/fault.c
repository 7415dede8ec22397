/* SPDX-License-Identifier: MIT */
/* Contract: failure injection repeats itself from a seed, and stays within what a call may do. */
#include "support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { CALLS = 2000, PIECE = 6000 };

static struct asys_queue *open_faulty(const char *spec)
{
	struct asys_queue_options options;

	asys_queue_options_init(&options);
	options.depth = 4096;
	options.fault = spec;
	return open_with(&options);
}

static int make_file(char *content)
{
	int fd = memory_file();

	for (unsigned i = 0; i < PIECE; i++)
		content[i] = (char)(i * 31);
	check_eq(pwrite(fd, content, PIECE, 0), PIECE);
	return fd;
}

/* The same calls in the same order: their results. */
static void run_calls(const char *spec, int64_t *results)
{
	static char buf[CALLS][PIECE];
	char content[PIECE];
	struct asys_queue *q = open_faulty(spec);
	int fd = make_file(content);
	struct asys_event event;

	for (unsigned i = 0; i < CALLS; i++)
		submit(asys_user(q, i), i % 2 ? SYS_pread64 : SYS_pwrite64, fd,
		       i % 2 ? buf[i] : content, PIECE, 0);
	for (unsigned i = 0; i < CALLS; i++) {
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check(event.user < CALLS);
		results[event.user] = event.result;
	}
	check_eq(asys_queue_get(q, &event), 0);
	for (unsigned i = 1; i < CALLS; i += 2)
		if (results[i] > 0)
			check(!memcmp(buf[i], content, (size_t)results[i]));
	asys_queue_close(q);
	close(fd);
}

static void test_seed(void **state)
{
	static int64_t first[CALLS], again[CALLS], other[CALLS];

	(void)state;
	if (getenv("ASYS_FAULT"))
		skip_because("the environment's faults override the test's");
	run_calls("seed=7,rate=300", first);
	run_calls("seed=7,rate=300", again);
	run_calls("seed=8,rate=300", other);
	check(!memcmp(first, again, sizeof(first)));
	check(memcmp(first, other, sizeof(first)) != 0);
}

struct kind {
	const char *name;
	int64_t result; /* that it injects; 1: a short count */
	long nr;
};

static void test_each_kind(void **state)
{
	static const struct kind kinds[] = {
		{ "eintr", -EINTR, SYS_pread64 },    { "eagain", -EAGAIN, SYS_write },
		{ "enospc", -ENOSPC, SYS_pwrite64 }, { "eio", -EIO, SYS_pread64 },
		{ "short", 1, SYS_pread64 },	     { "short", 1, SYS_pwrite64 },
	};
	char content[PIECE], spec[64];

	(void)state;
	if (getenv("ASYS_FAULT"))
		skip_because("the environment's faults override the test's");
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct asys_queue *q;
		struct asys_stats stats;
		unsigned hit = 0, whole = 0;
		int fd = make_file(content);

		snprintf(spec, sizeof(spec), "seed=3,rate=500,kinds=%s", kinds[k].name);
		q = open_faulty(spec);
		for (unsigned i = 0; i < 100; i++) {
			int64_t result =
				result_of(q, submit(q, kinds[k].nr, fd, content, PIECE, 0));

			if (result == PIECE)
				whole++;
			else if (kinds[k].result == 1)
				hit += result > 0 && result < PIECE;
			else
				hit += result == kinds[k].result;
		}
		check_eq(hit + whole, 100);
		check(hit > 10 && whole > 10);
		check_eq(asys_queue_stats(q, &stats), 0);
		check(stats.faults >= hit);
		asys_queue_close(q);
		close(fd);
	}
}

/* What no correct program can notice in its results. */
static void test_benign(void **state)
{
	static int64_t results[CALLS];

	(void)state;
	if (getenv("ASYS_FAULT"))
		skip_because("the environment's faults override the test's");
	run_calls("seed=5,rate=200,kinds=benign", results);
	for (unsigned i = 0; i < CALLS; i++)
		check_eq(results[i], PIECE);
}

static void test_reorder(void **state)
{
	struct asys_queue *q;
	struct asys_event event;
	unsigned out_of_order = 0;
	uint64_t last = 0;

	(void)state;
	if (getenv("ASYS_FAULT"))
		skip_because("the environment's faults override the test's");
	q = open_faulty("seed=5,rate=300,kinds=reorder");
	for (unsigned i = 0; i < 500; i++)
		submit(asys_user(q, i), SYS_getppid, 0);
	for (unsigned i = 0; i < 500; i++) {
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.result, getppid());
		out_of_order += event.user < last;
		last = event.user;
	}
	check(out_of_order > 10);
	asys_queue_close(q);
}

/* Injected errors travel like real ones: dependents, barrier, quiet calls. */
static void test_errors_travel(void **state)
{
	struct asys_queue *q;
	char content[PIECE];
	asys_id read_id, use, cleanup;
	int fd = make_file(content);

	(void)state;
	if (getenv("ASYS_FAULT"))
		skip_because("the environment's faults override the test's");
	q = open_faulty("seed=1,rate=1000,kinds=eio");
	read_id = submit(asys_quiet(q), SYS_pread64, fd, content, PIECE, 0);
	use = submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), fd, read_id.value, SEEK_SET);
	cleanup = submit(asys_after_error(q, use), SYS_getppid, 0);
	check_eq(asys_queue_barrier(q), -EIO);
	check_eq(result_of(q, read_id), -EIO);
	check_eq(result_of(q, use), -EIO);
	check_eq(result_of(q, cleanup), getppid());
	asys_queue_close(q);
	close(fd);
}

/* Events that are held back can still be cancelled, timed out, closed over, and waited for. */
static void test_held_back(void **state)
{
	struct asys_queue *q;
	struct asys_event event;
	unsigned got = 0;
	asys_id id[50];

	(void)state;
	if (getenv("ASYS_FAULT"))
		skip_because("the environment's faults override the test's");
	q = open_faulty("seed=1,rate=1000,kinds=delay");
	for (unsigned i = 0; i < 50; i++)
		id[i] = submit(q, SYS_getppid, 0);
	check_eq(result_of(q, id[20]), getppid());
	for (unsigned i = 0; i < 50; i += 7)
		check(asys_queue_cancel(q, id[i]) <= 0);
	for (; asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER) == 1; got++)
		check_one_of(event.result, getppid(), -ECANCELED);
	check_eq(got, 49);
	for (unsigned i = 0; i < 50; i++)
		submit(asys_deadline(q, asys_now() + 1000000), SYS_getppid, 0);
	for (got = 0; asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER) == 1; got++)
		check_one_of(event.result, getppid(), -ETIME);
	check_eq(got, 50);
	for (unsigned i = 0; i < 50; i++)
		submit(q, SYS_getppid, 0);
	asys_queue_flush(q);
	asys_queue_close(q);
}

/* The environment: overrides, and is refused when it makes no sense. */
static int from_environment(void *arg)
{
	struct asys_queue *q = NULL;
	char byte;

	(void)arg;
	setenv("ASYS_FAULT", "rate=1000,kinds=eio", 1);
	q = open_faulty(NULL);
	check_eq(result_of(q, submit(q, SYS_pread64, 0, &byte, 1, 0)), -EIO);
	asys_queue_close(q);
	setenv("ASYS_FAULT", "rate=oops", 1);
	q = NULL;
	check_eq(asys_queue_open(&q, NULL), -EINVAL);
	check_says(asys_message(), "rate");
	check(q == NULL);
	return 0;
}

static void test_environment(void **state)
{
	(void)state;
	check_child(from_environment, NULL);
}

static void test_bad_specs(void **state)
{
	static const char *const bad[] = {
		"",
		",",
		"seed",
		"seed=",
		"seed=x",
		"seed=-1",
		"rate=1001",
		"rate=",
		"kinds=",
		"kinds=eintr+",
		"kinds=eperm",
		"seed=1,,",
		"seed=1;rate=2",
		"seed=99999999999999999999",
		"rate=1 ",
		"KINDS=eio",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct asys_queue_options options;
		struct asys_queue *q = NULL;
		int err;

		asys_queue_options_init(&options);
		options.fault = bad[i];
		err = asys_queue_open(&q, &options);
		if (err != -EINVAL)
			fprintf(stderr, "\"%s\"\n", bad[i]);
		check_eq(err, -EINVAL);
		check_says(asys_message(), "fault");
		check(q == NULL);
	}
}

/* What is injected is what the call may return; a call that never fails so is left alone. */
static void test_only_what_may_be(void **state)
{
	/* in this order: EINTR EAGAIN EIO ENOSPC */
	static const int errors[] = { -EINTR, -EAGAIN, -EIO, -ENOSPC };
	static const struct {
		uint32_t nr;
		const char *may;
	} calls[] = {
		{ SYS_read, "1110" },	    { SYS_readv, "1110" },	{ SYS_pread64, "1010" },
		{ SYS_preadv, "1010" },	    { SYS_preadv2, "1010" },	{ SYS_write, "1111" },
		{ SYS_writev, "1111" },	    { SYS_pwrite64, "1011" },	{ SYS_pwritev, "1011" },
		{ SYS_pwritev2, "1011" },   { SYS_fsync, "1010" },	{ SYS_fdatasync, "1010" },
		{ SYS_fallocate, "1011" },  { SYS_recvfrom, "1100" },	{ SYS_recvmsg, "1100" },
		{ SYS_sendto, "1100" },	    { SYS_sendmsg, "1100" },	{ SYS_accept4, "1100" },
		{ SYS_connect, "1000" },    { SYS_getdents64, "0010" }, { SYS_mkdirat, "0011" },
		{ SYS_linkat, "0011" },	    { SYS_symlinkat, "0011" },	{ SYS_renameat2, "0011" },
		{ SYS_fsetxattr, "0001" },  { SYS_flock, "1000" },	{ SYS_epoll_pwait, "1000" },
		{ SYS_getppid, "0000" },    { SYS_close, "0000" },	{ SYS_lseek, "0000" },
		{ SYS_getsockopt, "0000" },
	};
	struct asys_queue *q;

	(void)state;
	if (getenv("ASYS_FAULT"))
		skip_because("the environment's faults override the test's");
	q = open_faulty("seed=5,rate=1000,kinds=eintr+eagain+eio+enospc");
	for (unsigned c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
		unsigned seen[4] = { 0 }, other = 0;

		/* no such descriptor: what is not injected is -EBADF */
		for (unsigned k = 0; k < 100; k++) {
			int64_t result = result_of(q, submit(q, calls[c].nr, -1, "x", -1, "y"));
			unsigned e = 0;

			while (e < 4 && result != errors[e])
				e++;
			e < 4 ? seen[e]++ : other++;
		}
		for (unsigned e = 0; e < 4; e++)
			if ((seen[e] > 0) != (calls[c].may[e] == '1'))
				support_fail(__FILE__, __LINE__, "call %u: %u times error %d",
					     calls[c].nr, seen[e], errors[e]);
		check_eq(other, strcmp(calls[c].may, "0000") ? 0 : 100);
	}
	asys_queue_close(q);
}

/* A message is not made shorter: nobody's kernel would. */
static void messages(const int fd[2], bool reads)
{
	static char out[2000], in[4000];
	struct asys_queue *q = open_faulty("seed=3,rate=1000,kinds=short");

	for (unsigned k = 0; k < 20; k++) {
		check_eq(result_of(q, submit(q, SYS_write, fd[1], out, sizeof(out))), sizeof(out));
		check_eq(reads ? result_of(q, submit(q, SYS_read, fd[0], in, sizeof(in))) :
				 read(fd[0], in, sizeof(in)),
			 sizeof(out));
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_messages(void **state)
{
	static const int types[] = { SOCK_DGRAM, SOCK_SEQPACKET };
	int fd[2];

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		check_eq(socketpair(AF_UNIX, types[k] | SOCK_CLOEXEC, 0, fd), 0);
		messages(fd, true);
	}
	check_eq(pipe2(fd, O_CLOEXEC | O_DIRECT), 0);
	messages(fd, false); /* its end for reading cannot be told from another pipe's */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_seed),
		contract(test_each_kind),
		contract(test_benign),
		contract(test_reorder),
		contract(test_errors_travel),
		contract(test_held_back),
		contract(test_environment),
		contract(test_bad_specs),
		contract(test_only_what_may_be),
		contract(test_messages),
	};

	return group(tests, argc, argv);
}
