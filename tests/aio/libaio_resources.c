/* SPDX-License-Identifier: MIT */
/* A program at its limits: an operation is refused with an error of the kernel's, or it ends; and when the limit is
 * over everything works again. Each case is a process of its own. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define PATIENCE_S 50
#define NOBODY 65534
#define PAGE 4096

static int file, pipes[2], event;
static unsigned char mem[4][PAGE];

enum when { BEFORE_SETUP, BEFORE_SUBMIT, WHILE_RUNNING };

static bool is_refusal(int err)
{
	return err == -EAGAIN || err == -ENOMEM || err == -EINVAL;
}

static void prepare(struct iocb *cb, unsigned k)
{
	switch (k % 4) {
	case 0:
		io_prep_pwrite(cb, file, mem[0], PAGE, 0);
		return;
	case 1:
		io_prep_fsync(cb, file);
		return;
	case 2:
		io_prep_pread(cb, file, mem[1], PAGE, PAGE);
		return;
	default:
		io_prep_pwrite(cb, pipes[1], mem[2], 1, 0);
	}
}

/* Returns 0, or what went wrong. What is accepted has its event; `strict`: nothing may be refused. */
static int use(io_context_t ctx, bool tells, bool strict)
{
	struct iocb cb[8], *list;
	int accepted = 0;

	for (unsigned k = 0; k < 8; k++) {
		int n;

		prepare(&cb[k], k);
		if (tells)
			io_set_eventfd(&cb[k], event);
		list = &cb[k];
		n = io_submit(ctx, 1, &list);
		if (n != 1 && (strict || !is_refusal(n)))
			return 10 + (int)k;
		accepted += n == 1;
	}
	while (accepted) {
		struct timespec limit = { PATIENCE_S, 0 };
		struct io_event got[8];
		int n = io_getevents(ctx, 1, 8, got, &limit);

		if (n <= 0)
			return 20;
		for (int k = 0; k < n; k++)
			if ((long)got[k].res < 0)
				return 21;
		accepted -= n;
	}
	return 0;
}

static int lower_limit(unsigned which, rlim_t soft, struct rlimit *ret_before)
{
	struct rlimit limit;

	if (getrlimit(which, ret_before))
		return -1;
	limit = *ret_before;
	limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
	return setrlimit(which, &limit);
}

/* What the process has of it, so that it can have no more. */
static rlim_t used(unsigned which)
{
	unsigned long pages = 0;
	FILE *f;

	if (which == RLIMIT_NOFILE)
		return 3;
	if (which != RLIMIT_AS)
		return 0;
	f = fopen("/proc/self/statm", "re");
	if (f && fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * PAGE;
}

static int process(unsigned which, enum when when, bool tells)
{
	io_context_t ctx = NULL;
	struct rlimit before;
	rlim_t soft = used(which);
	int err;

	alarm(PATIENCE_S);
	if (which == RLIMIT_NPROC &&
	    (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)))
		return 77;
	if (when == BEFORE_SETUP && lower_limit(which, soft, &before))
		return 1;
	err = io_setup(16, &ctx);
	if (err && (when != BEFORE_SETUP || !is_refusal(err)))
		return 2;
	if (when == WHILE_RUNNING && (err = use(ctx, tells, true)))
		return 100 + err;
	if (when != BEFORE_SETUP && lower_limit(which, soft, &before))
		return 3;
	if (ctx && (err = use(ctx, tells, false)))
		return err;
	if (setrlimit(which, &before))
		return 4;
	if (!ctx && io_setup(16, &ctx))
		return 5;
	err = use(ctx, tells, true);
	return err ? 200 + err : io_destroy(ctx) ? 6 : 0;
}

static void one(unsigned which, enum when when, bool tells)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(process(which, when, tells));
	check_eq(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || (WEXITSTATUS(status) && WEXITSTATUS(status) != 77))
		fprintf(stderr, "limit %u, when %d, eventfd %d\n", which, (int)when, tells);
	check(WIFEXITED(status));
	if (WEXITSTATUS(status) != 77)
		check_eq(WEXITSTATUS(status), 0);
	progress();
}

static void each(unsigned which)
{
	file = numbered_file(8, 0);
	make_pipe(pipes);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (int when = BEFORE_SETUP; when <= WHILE_RUNNING; when++)
		for (int tells = 0; tells < 2; tells++)
			one(which, (enum when)when, tells);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	close(event);
}

static void test_descriptors(void **state)
{
	(void)state;
	each(RLIMIT_NOFILE);
}

/* No descriptor may be opened, as in a sandbox: poll takes none either. */
static int in_sandbox(void *arg)
{
	io_context_t ctx = setup(8);
	struct timespec limit = { 0, 20000000 };
	struct rlimit none;
	struct io_event ends;
	uint64_t count;
	struct iocb cb, writes;
	sigset_t mask;
	int waits[2], told = eventfd(0, EFD_CLOEXEC), own = numbered_file(1, 0);

	(void)arg;
	sigemptyset(&mask);
	make_pipe(waits);
	io_prep_pwrite(&writes, own, mem[0], PAGE, 0);
	io_set_eventfd(&writes, told);
	check_eq(result_now(ctx, &writes), PAGE);
	io_prep_poll(&cb, waits[0], POLLIN);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(io_pgetevents(ctx, 1, 1, &ends, &limit, &mask), 0); /* all is open by now */
	check_eq(write(waits[1], "p", 1), 1);
	check(get_event(ctx).res & POLLIN);
	check_eq(getrlimit(RLIMIT_NOFILE, &none), 0);
	none.rlim_cur = 0;
	check_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	check(result_now(ctx, &cb) & POLLIN);
	check_eq(read(waits[0], mem[0], 1), 1);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(io_pgetevents(ctx, 1, 1, &ends, &limit, &mask), 0);
	check_eq(write(waits[1], "p", 1), 1);
	check(get_event(ctx).res & POLLIN);
	check_eq(result_now(ctx, &writes), PAGE);
	/* which may be told a moment after its event is there */
	for (uint64_t sum = 0; sum < 2; sum += count)
		check_eq(read(told, &count, sizeof(count)), sizeof(count));
	return 0;
}

static void test_sandbox(void **state)
{
	(void)state;
	check_child(in_sandbox, NULL);
}

static void test_threads(void **state)
{
	(void)state;
	each(RLIMIT_NPROC);
}

static void test_locked(void **state)
{
	(void)state;
	each(RLIMIT_MEMLOCK);
}

static void test_memory(void **state)
{
	(void)state;
	each(RLIMIT_AS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_descriptors), contract(test_sandbox),
					    contract(test_threads), contract(test_locked),
					    contract(test_memory) };

	return group(tests, argc, argv);
}
