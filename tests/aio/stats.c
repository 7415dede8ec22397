/* SPDX-License-Identifier: MIT */
/* The counters of the shims: buckets, quantiles, forked children, what is written and what is not. */
#include "shims/common/stats.h"
#include "shims/common/stats_say.h"

#include <asys/asys.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char *self;

static void buckets(void **state)
{
	uint64_t last = 0;

	(void)state;
	assert_int_equal(shim_bucket(0), 0);
	assert_int_equal(shim_bucket(UINT64_MAX), SHIM_BUCKETS - 1);
	for (unsigned i = 0; i + 1 < SHIM_BUCKETS; i++) {
		uint64_t end = shim_bucket_end(i);

		assert_int_equal(shim_bucket(end), i);
		assert_int_equal(shim_bucket(end + 1), i + 1);
		if (i > 0) {
			assert_true(end > last);
			/* None is wider than a 16th of its longest time. */
			assert_true((end - last - 1) * 16 <= end);
		}
		last = end;
	}
	assert_int_equal(last + 1, (uint64_t)1 << SHIM_BUCKET_TOP);
}

/* What a process that is started with the environment counts, as it is in the file then. */
static void report(const char *how, char *ret_text, size_t size)
{
	char path[] = "/tmp/asys-stats-XXXXXX";
	int fd = mkstemp(path), status;
	pid_t child;
	ssize_t n;

	assert_true(fd >= 0);
	child = fork();
	if (child == 0) {
		char pid[24];

		snprintf(pid, sizeof pid, "%d", (int)getpid());
		setenv("ASYS_RUN_STATS", path, 1);
		if (strcmp(how, "nothing unasked") != 0)
			setenv("ASYS_RUN_PID", pid, 1);
		execl(self, "odd \"name\\\n\xff\xc3\xa9", how, (char *)NULL);
		_exit(126);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	/* What it leaves behind becomes this process's. */
	while (wait(NULL) > 0)
		;
	n = read(fd, ret_text, size - 1);
	close(fd);
	unlink(path);
	assert_int_equal(status, 0);
	assert_true(n >= 0);
	ret_text[n] = '\0';
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no %s in: %s", part, text);
}

static void counted(void **state)
{
	char text[4096];

	(void)state;
	report("count", text, sizeof text);
	has(text, "{\"program\":\"odd \\\"name\\\\\\u000a\\ufffd\xc3\xa9\",\"pid\":");
	has(text, "\"calls\":{\"read\":3,\"write\":4,\"fsync\":1,\"poll\":0,\"noop\":2}");
	has(text, "\"engines\":{\"inline\":2,");
	has(text, "\"traps\":{\"native\":7,\"made\":5,\"saved\":2}");
	has(text, "\"count\":100}}\n");
	assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text));
}

/* The queues' figures: of one that was closed and of one that was not. */
static void queues(void **state)
{
	char text[4096], *at;
	unsigned long served = 0;

	(void)state;
	report("queues", text, sizeof text);
	at = strstr(text, "\"engines\":");
	assert_non_null(at);
	for (int i = 0; i < 4; i++) {
		at = strpbrk(at + 1, "0123456789");
		assert_non_null(at);
		served += strtoul(at, &at, 10);
	}
	assert_int_equal(served, 30);
}

/* Children that end by _exit and by exit count into the parent's; only the parent speaks. */
static void forks(void **state)
{
	char text[4096];

	(void)state;
	report("fork", text, sizeof text);
	has(text, "\"read\":12,");
	assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text));
}

/* The parent speaks and goes; what its child does after that, the child says itself. */
static void orphan(void **state)
{
	char text[4096];

	(void)state;
	report("orphan", text, sizeof text);
	has(text, "\"read\":1,");
	has(text, "\"read\":0,\"write\":5,");
}

static void silence(void **state)
{
	char text[4096];

	(void)state;
	report("nothing", text, sizeof text);
	has(text, "\"count\":0}}");
	report("nothing unasked", text, sizeof text);
	assert_string_equal(text, "");
}

/* Without the environment nothing is counted, and no clock is asked. */
static void off(void **state)
{
	(void)state;
	errno = 17;
	shim_count(SHIM_READ, 1);
	shim_count_native(1);
	assert_int_equal(shim_submit_begin(), 0);
	shim_submit_end(0);
	shim_queue_opened(NULL);
	shim_queue_closing(NULL);
	assert_int_equal(errno, 17);
}

static int use_queue(struct asys_queue **ret_queue, unsigned calls)
{
	int err = asys_queue_open(ret_queue, NULL);

	if (err)
		return err;
	shim_queue_opened(*ret_queue);
	for (unsigned i = 0; i < calls; i++)
		asys_getppid(*ret_queue);
	return asys_queue_barrier(*ret_queue);
}

static int child_counts(bool gently)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		shim_count(SHIM_READ, 5);
		if (gently)
			exit(0);
		_exit(0);
	}
	return waitpid(child, &status, 0) == child ? status : 1;
}

/* Waits until its parent has ended and spoken: its end of the pipe is closed by then. */
static int outlive(void)
{
	int ends[2];
	char byte;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return 1;
	shim_count(SHIM_READ, 1);
	if (fork() != 0)
		return 0;
	close(ends[1]);
	(void)!read(ends[0], &byte, 1);
	shim_count(SHIM_WRITE, 5);
	return 0;
}

/* The processes that report() starts. */
static int act(const char *how)
{
	struct asys_queue *closed, *open;

	if (strcmp(how, "count") == 0) {
		shim_count(SHIM_READ, 1);
		shim_count(SHIM_READ, 2);
		shim_count(SHIM_WRITE, 4);
		shim_count(SHIM_FSYNC, 1);
		shim_count(SHIM_NOOP, 2);
		shim_count_native(7);
		shim_count_made(3);
		shim_count_done(2);
		for (int i = 0; i < 100; i++)
			shim_submit_end(shim_submit_begin());
	} else if (strcmp(how, "queues") == 0) {
		if (use_queue(&closed, 10) || use_queue(&open, 20))
			return 1;
		shim_queue_closing(closed);
		asys_queue_close(closed);
	} else if (strcmp(how, "fork") == 0) {
		shim_count(SHIM_READ, 2);
		return child_counts(true) | child_counts(false);
	} else if (strcmp(how, "orphan") == 0) {
		return outlive();
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets), cmocka_unit_test(counted), cmocka_unit_test(queues),
		cmocka_unit_test(forks),   cmocka_unit_test(orphan),  cmocka_unit_test(silence),
		cmocka_unit_test(off),
	};

	if (argc > 1)
		return act(argv[1]);
	self = realpath("/proc/self/exe", NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return self ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
