/* SPDX-License-Identifier: MIT */
/* A program that ends with operations in flight: what it wrote to files is there, and it does end. */
#include "libaio_support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECES 100

static void *waits(void *arg)
{
	struct timespec limit = { 20, 0 };
	struct io_event events[2];

	io_getevents(arg, 2, 2, events, &limit);
	return NULL;
}

/* Is in the library whenever the program ends. */
static void *asks(void *arg)
{
	struct timespec none = { 0, 0 };
	struct io_event event;

	for (;;)
		io_getevents(arg, 0, 0, &event, &none);
	return NULL;
}

enum how { ALONE, WAITER, EVENTFD, ASKER };

/* In a child, which ends by itself. */
static void run(void (*leaves)(int file, void (*end)(void)), int file, void (*end)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		leaves(file, end);
		_exit(4);
	}
	check_eq(waitpid(pid, &status, 0), pid);
	check_eq(status, 0);
	progress();
}

static void leave(int file, const int *pipes, enum how how, void (*end)(void))
{
	static unsigned char mem[4096];
	static struct iocb cb[PIECES + 1];
	int event = eventfd(0, EFD_CLOEXEC);
	io_context_t ctx = NULL;
	pthread_t thread;

	if (io_setup(PIECES + 1, &ctx))
		_exit(1);
	memset(mem, 7, sizeof(mem));
	io_prep_poll(&cb[PIECES], pipes[0], POLLIN);
	if (submit_iocb(ctx, &cb[PIECES]) != 1)
		_exit(2);
	if (how == WAITER || how == ASKER)
		pthread_create(&thread, NULL, how == WAITER ? waits : asks, ctx);
	for (int k = 0; k < PIECES; k++) {
		io_prep_pwrite(&cb[k], file, mem, 4096, k * 4096);
		if (how == EVENTFD)
			io_set_eventfd(&cb[k], event);
		if (submit_iocb(ctx, &cb[k]) != 1)
			_exit(3);
	}
	/* What is executed needs no library of the tests, which may be one with a sanitizer. */
	unsetenv("LD_PRELOAD");
	end();
	_exit(4);
}

static void one(enum how how, void (*end)(void))
{
	int file = numbered_file(0, 0), pipes[2], status;
	unsigned char mem[4096];
	pid_t pid;

	make_pipe(pipes);
	fflush(NULL);
	pid = fork();
	if (!pid)
		leave(file, pipes, how, end);
	check_eq(waitpid(pid, &status, 0), pid);
	check_eq(status, 0);
	for (int k = 0; k < PIECES; k++) {
		check_eq(pread(file, mem, 4096, k * 4096), 4096);
		check_page(mem, 6);
	}
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	progress();
}

static void by_exit(void)
{
	exit(0);
}

static void by_quick_exit(void)
{
	quick_exit(0);
}

static void by__exit(void)
{
	_exit(0);
}

static void by__Exit(void)
{
	_Exit(0);
}

static char *const arguments[] = { (char *)(uintptr_t) "true", NULL };

static void by_execv(void)
{
	execv("/bin/true", arguments);
}

static void by_execve(void)
{
	execve("/bin/true", arguments, environ);
}

static void by_execvp(void)
{
	execvp("true", arguments);
}

static void by_execlp(void)
{
	execlp("true", "true", (char *)NULL);
}

/* The shell tells whether its arguments, and the variables around it, are those that it was to get. */
static void by_execl(void)
{
	setenv("SAYS", "this", 1);
	execl("/bin/sh", "sh", "-c", "test \"$0-$1-$7-$8-$#-$SAYS\" = '0-one-seven--7-this'", "0",
	      "one", "", "3", "4", "5", "6", "seven", (char *)NULL);
}

static void by_execle(void)
{
	char says[] = "SAYS=that", *variables[] = { says, NULL };

	setenv("SAYS", "this", 1);
	execle("/bin/sh", "sh", "-c", "test \"$0-$1-$2-$#-$SAYS\" = 'zero-one--1-that'", "zero",
	       "one", (char *)NULL, variables);
}

static void by_fexecve(void)
{
	fexecve(open("/bin/true", O_RDONLY | O_CLOEXEC), arguments, environ);
}

/* Each waits for the one before, and somebody is to be told of all of them. */
static void leave_appends(int file, void (*end)(void))
{
	static unsigned char mem[4096];
	static struct iocb cb[16];
	int event = eventfd(0, EFD_CLOEXEC);
	io_context_t ctx = NULL;

	if (io_setup(16, &ctx))
		_exit(1);
	for (int k = 0; k < 16; k++) {
		io_prep_pwrite(&cb[k], file, mem, sizeof(mem), 0);
		io_set_eventfd(&cb[k], event);
		if (submit_iocb(ctx, &cb[k]) != 1)
			_exit(2);
	}
	end();
}

static void test_appends(void **state)
{
	static void (*const ends[])(void) = { by_exit, by_quick_exit };

	(void)state;
	for (int round = 0; round < 20; round++) {
		int file = numbered_file(0, O_APPEND);

		run(leave_appends, file, ends[round % 2]);
		check_eq(lseek(file, 0, SEEK_END), 16 * 4096);
		close(file);
	}
}

static void *destroys(void *arg)
{
	io_destroy(arg);
	return NULL;
}

/* While another thread waits in io_destroy. */
static void leave_destroyed(int file, void (*end)(void))
{
	static unsigned char mem[1 << 20];
	static struct iocb cb[16];
	io_context_t ctx = NULL;
	pthread_t thread;

	if (io_setup(16, &ctx))
		_exit(1);
	for (int k = 0; k < 16; k++) {
		io_prep_pwrite(&cb[k], file, mem, sizeof(mem), k * (long long)sizeof(mem));
		if (submit_iocb(ctx, &cb[k]) != 1)
			_exit(2);
	}
	if (pthread_create(&thread, NULL, destroys, ctx))
		_exit(3);
	sleep_ms(1);
	end();
}

static void test_destroyed(void **state)
{
	static void (*const ends[])(void) = { by_exit, by_quick_exit };

	(void)state;
	for (int round = 0; round < 10; round++) {
		int file = numbered_file(0, 0);

		run(leave_destroyed, file, ends[round % 2]);
		check_eq(lseek(file, 0, SEEK_END), 16 << 20);
		close(file);
	}
}

/* Memory that the kernel waits for when it reads it: its pages come from another thread, later than anybody is
 * patient with a thread that holds a lock. */
struct late_memory {
	void *mem;
	int fd;
};

static void *brings(void *arg)
{
	const struct late_memory *late = arg;
	struct uffdio_zeropage zero = { .range = { (uintptr_t)late->mem, 4096 } };
	struct uffd_msg message;

	if (read(late->fd, &message, sizeof(message)) != sizeof(message))
		_exit(6);
	sleep_ms(2500);
	if (ioctl(late->fd, UFFDIO_ZEROPAGE, &zero))
		_exit(7);
	return NULL;
}

/* False: this process may not have such memory. */
static bool late_make(struct late_memory *ret_late)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	ret_late->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (ret_late->fd < 0 || ioctl(ret_late->fd, UFFDIO_API, &api))
		return false;
	ret_late->mem =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range.range.start = (uintptr_t)ret_late->mem;
	range.range.len = 4096;
	return ret_late->mem != MAP_FAILED && !ioctl(ret_late->fd, UFFDIO_REGISTER, &range);
}

static void leave_slow(int file, void (*end)(void))
{
	static struct late_memory late;
	static struct iocb cb;
	io_context_t ctx = NULL;
	pthread_t threads[2];

	if (!late_make(&late))
		_exit(SKIPPED);
	if (io_setup(16, &ctx) || pthread_create(&threads[0], NULL, brings, &late))
		_exit(1);
	io_prep_pwrite(&cb, file, late.mem, 4096, 0);
	if (submit_iocb(ctx, &cb) != 1)
		_exit(2);
	if (pthread_create(&threads[1], NULL, destroys, ctx))
		_exit(3);
	sleep_ms(100);
	end();
}

/* One write takes seconds meanwhile. */
static void test_destroyed_slow(void **state)
{
	static void (*const ends[])(void) = { by_exit, by_quick_exit };

	(void)state;
	if (is_sanitized())
		skip_because("a sanitizer looks at the memory itself, and waits for it");
	for (int round = 0; round < 2; round++) {
		int file = numbered_file(0, 0), status;
		pid_t pid;

		fflush(NULL);
		pid = fork();
		if (!pid)
			leave_slow(file, ends[round]);
		check_eq(waitpid(pid, &status, 0), pid);
		if (status != SKIPPED << 8) {
			check_eq(status, 0);
			check_eq(lseek(file, 0, SEEK_END), 4096);
		}
		close(file);
		progress();
		if (status == SKIPPED << 8)
			skip_because("no userfaultfd for what the kernel reads");
	}
}

static void test_exit(void **state)
{
	(void)state;
	for (int how = ALONE; how <= EVENTFD; how++)
		one((enum how)how, by_exit);
	for (unsigned k = iterations(20); k; k--)
		one(ASKER, by_exit);
}

/* These are seen by libasys-syscall.so only, but for quick_exit. */
static bool is_seen(void)
{
	return !under_shim() || getenv("ASYS_TEST_EXIT");
}

static void test_others(void **state)
{
	static void (*const ends[])(void) = { by_quick_exit, by__exit,	by__Exit, by_execv,
					      by_execve,     by_execvp, by_execl, by_execlp,
					      by_execle,     by_fexecve };

	(void)state;
	for (size_t k = 0; k < (is_seen() ? sizeof(ends) / sizeof(ends[0]) : 1); k++)
		for (int how = ALONE; how <= ASKER; how++)
			one((enum how)how, ends[k]);
}

static void (*handler_ends)(void);
static bool handler_eventfd;

static void on_alarm(int sig)
{
	(void)sig;
	handler_ends();
}

static void set_alarm(void (*end)(void))
{
	static unsigned count;
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval when = { .it_value.tv_usec = (suseconds_t)(2000 + count++ * 37) };

	handler_ends = end;
	if (sigaction(SIGALRM, &action, NULL) || setitimer(ITIMER_REAL, &when, NULL))
		_exit(5);
}

static void *idles(void *arg)
{
	pause(); /* so that malloc takes locks */
	return arg;
}

/* Vectors, which the shim has to keep. */
static void leave_in_malloc(int file, void (*end)(void))
{
	static struct iovec iov[20];
	static unsigned char mem[128];
	static struct iocb cb[32];
	static void *volatile sink;
	int event = eventfd(0, EFD_CLOEXEC);
	io_context_t ctx = NULL;
	pthread_t thread;

	if (pthread_create(&thread, NULL, idles, NULL) || io_setup(32, &ctx))
		_exit(1);
	for (int k = 0; k < 20; k++)
		iov[k] = (struct iovec){ mem, sizeof(mem) };
	for (int k = 0; k < 32; k++) {
		io_prep_pwritev(&cb[k], file, iov, 20, k * 4096);
		if (handler_eventfd)
			io_set_eventfd(&cb[k], event);
		if (submit_iocb(ctx, &cb[k]) != 1)
			_exit(2);
	}
	set_alarm(end);
	for (;;) {
		sink = malloc(3000);
		free(sink);
	}
}

static void leave_in_getevents(int pipe, void (*end)(void))
{
	static struct iocb cb[2];
	static char byte;
	struct timespec limit = { 0, 2000 };
	struct io_event events[2];
	io_context_t ctx = NULL;

	if (io_setup(4, &ctx))
		_exit(1);
	io_prep_poll(&cb[0], pipe, POLLIN);
	if (submit_iocb(ctx, &cb[0]) != 1)
		_exit(2);
	io_prep_pread(&cb[1], pipe, &byte, 1, 0);
	if (under_shim() && submit_iocb(ctx, &cb[1]) != 1)
		_exit(3);
	set_alarm(end);
	for (;;)
		io_getevents(ctx, 1, 2, events, &limit);
}

/* A handler ends the program, whatever it interrupted. */
static void test_handler(void **state)
{
	int file, pipes[2];

	(void)state;
	if (is_sanitized())
		skip_because(
			"a sanitizer's malloc holds its lock while a handler ends the program");
	file = numbered_file(0, 0);
	make_pipe(pipes);
	for (unsigned k = iterations(30); k; k--) {
		run(leave_in_getevents, pipes[0], by_exit);
		if (!is_seen())
			continue;
		handler_eventfd = k % 2;
		run(leave_in_malloc, file, by__exit);
	}
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}

/* A program that fails to become another one goes on, with all that it had in flight. */
static void test_goes_on(void **state)
{
	static unsigned char mem[4096];
	io_context_t ctx = setup(8);
	int file = numbered_file(0, 0), pipes[2];
	struct iocb poll, cb;

	(void)state;
	make_pipe(pipes);
	for (unsigned k = iterations(20); k; k--) {
		io_prep_poll(&poll, pipes[0], POLLIN);
		io_prep_pwrite(&cb, file, mem, 4096, 0);
		check_eq(submit_iocb(ctx, &poll), 1);
		check_eq(submit_iocb(ctx, &cb), 1);
		check_eq(execv("/nonexistent/program", arguments), -1);
		check_eq(errno, ENOENT);
		check_eq(get_event(ctx).res, 4096);
		check_eq(write(pipes[1], "", 1), 1);
		check(get_event(ctx).res & POLLIN);
		check_eq(read(pipes[0], mem, 1), 1);
	}
	check_eq(io_destroy(ctx), 0);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_exit),	  contract(test_others),
					    contract(test_goes_on),	  contract(test_appends),
					    contract(test_handler),	  contract(test_destroyed),
					    contract(test_destroyed_slow) };

	return group(tests, argc, argv);
}
