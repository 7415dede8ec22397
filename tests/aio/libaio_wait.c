/* SPDX-License-Identifier: MIT */
/* When io_getevents returns: how many there must be, time limits, signals. */
#include "libaio_support.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_limit(void **state)
{
	struct timespec limit = { 0, 50000000 }, none = { 0, 0 };
	io_context_t ctx = setup(8);
	struct io_event events[4];
	struct iocb cb;
	double begin = seconds();
	int fd[2];

	(void)state;
	check_eq(io_getevents(ctx, 1, 4, events, &limit), 0);
	check(seconds() - begin > 0.045);
	check_eq(io_getevents(ctx, 1, 4, events, &none), 0);
	check_eq(io_getevents(ctx, 0, 4, events, NULL), 0);
	check_eq(io_getevents(ctx, 0, 0, NULL, NULL), 0);
	make_pipe(fd);
	io_prep_poll(&cb, fd[0], POLLIN);
	check_eq(submit_iocb(ctx, &cb), 1);
	begin = seconds();
	check_eq(io_getevents(ctx, 1, 4, events, &limit), 0);
	check(seconds() - begin > 0.045);
	check_eq(io_getevents(ctx, 0, 4, events, NULL), 0);
	check_eq(write(fd[1], "x", 1), 1);
	/* One is there, two were asked for: the time passes, then the one. */
	begin = seconds();
	check_eq(io_getevents(ctx, 2, 4, events, &limit), 1);
	check(seconds() - begin > 0.045);
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

/* No more than asked for, and the rest next time. */
static void test_most(void **state)
{
	struct iocb cb[10], *list[10];
	struct io_event events[10];
	io_context_t ctx = setup(10);
	int fd = numbered_file(1, 0), got = 0;
	char byte[10];

	(void)state;
	for (int k = 0; k < 10; k++) {
		list[k] = &cb[k];
		io_prep_pread(&cb[k], fd, &byte[k], 1, 0);
	}
	check_eq(io_submit(ctx, 10, list), 10);
	check_eq(io_getevents(ctx, 3, 3, events, NULL), 3);
	check_eq(io_getevents(ctx, 2, 2, events, NULL), 2);
	while (got < 5) {
		int n = io_getevents(ctx, 1, 10, events, NULL);

		check(n > 0);
		got += n;
	}
	check_eq(got, 5);
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

/* More than one call of the queue brings at once. */
static void test_many(void **state)
{
	static struct iocb cb[300], *list[300];
	static struct io_event events[300];
	static unsigned char mem[4096];
	io_context_t ctx = setup(300);
	int fd = numbered_file(1, 0);

	(void)state;
	for (int k = 0; k < 300; k++) {
		list[k] = &cb[k];
		io_prep_pwrite(&cb[k], fd, mem, 16, k * 16);
	}
	check_eq(io_submit(ctx, 300, list), 300);
	check_eq(io_getevents(ctx, 300, 300, events, NULL), 300);
	for (int k = 0; k < 300; k++)
		check_eq(events[k].res, 16);
	check_nothing(ctx);
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

static void handler(int sig)
{
	(void)sig;
}

static void interrupt_in(unsigned ms)
{
	struct itimerval when = { .it_value = { 0, ms * 1000 } };

	check_eq(setitimer(ITIMER_REAL, &when, NULL), 0);
}

/* The signal is not for this thread. */
static void *write_soon(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	sleep_ms(20);
	check_eq(write(*(int *)arg, "x", 1), 1);
	return NULL;
}

/* A handler ends the wait, SA_RESTART or not; an event that is there comes first. */
static void test_signal(void **state)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct timespec limit = { 5, 0 };
	io_context_t ctx = setup(8);
	struct io_event events[2];
	struct iocb cb[2];
	int fd[2], late[2], file = numbered_file(1, 0);
	pthread_t writer;
	char byte;

	(void)state;
	make_pipe(late);
	check_eq(sigaction(SIGALRM, &action, NULL), 0);
	interrupt_in(20);
	check_eq(io_getevents(ctx, 1, 1, events, NULL), -EINTR);
	interrupt_in(20);
	check_eq(io_getevents(ctx, 1, 1, events, &limit), -EINTR);
	make_pipe(fd);
	io_prep_poll(&cb[0], fd[0], POLLIN);
	check_eq(submit_iocb(ctx, &cb[0]), 1);
	interrupt_in(20);
	check_eq(io_getevents(ctx, 1, 1, events, NULL), -EINTR);
	io_prep_pread(&cb[1], file, &byte, 1, 0);
	check_eq(submit_iocb(ctx, &cb[1]), 1);
	interrupt_in(20);
	check_eq(io_getevents(ctx, 2, 2, events, NULL), 1);
	check(events[0].obj == &cb[1]);
	/* The first end comes while it sleeps, the signal after that: what is there is returned. */
	io_prep_poll(&cb[1], late[0], POLLIN);
	check_eq(submit_iocb(ctx, &cb[1]), 1);
	check_eq(pthread_create(&writer, NULL, write_soon, &late[1]), 0);
	interrupt_in(300);
	check_eq(io_getevents(ctx, 2, 2, events, NULL), 1);
	check(events[0].obj == &cb[1]);
	check_eq(pthread_join(writer, NULL), 0);
	check_eq(io_destroy(ctx), 0);
	close(late[0]);
	close(late[1]);
	close(fd[0]);
	close(fd[1]);
	close(file);
}

struct late {
	io_context_t ctx;
	int file, pipe;
	struct iocb cb;
	char byte;
};

/* What another thread submits wakes who waits in an empty context, or for something else. */
static void *submits_later(void *arg)
{
	struct late *late = arg;

	sleep_ms(50);
	io_prep_pread(&late->cb, late->file, &late->byte, 1, 0);
	check_eq(submit_iocb(late->ctx, &late->cb), 1);
	return NULL;
}

static void *writes_later(void *arg)
{
	struct late *late = arg;

	sleep_ms(50);
	io_prep_pwrite(&late->cb, late->file, &late->byte, 1, 0);
	check_eq(submit_iocb(late->ctx, &late->cb), 1);
	return NULL;
}

static void test_other_thread(void **state)
{
	struct late late = { .file = numbered_file(1, 0) };
	void *(*const how[])(void *) = { submits_later, writes_later };
	struct iocb waits;
	pthread_t thread;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (int k = 0; k < 4; k++) {
		late.ctx = setup(8);
		if (k & 2) { /* something is in flight already */
			io_prep_poll(&waits, fd[0], POLLIN);
			check_eq(submit_iocb(late.ctx, &waits), 1);
		}
		pthread_create(&thread, NULL, how[k & 1], &late);
		check(get_event(late.ctx).obj == &late.cb);
		pthread_join(thread, NULL);
		check_eq(io_destroy(late.ctx), 0);
	}
	close(fd[0]);
	close(fd[1]);
	close(late.file);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_limit),  contract(test_most),	    contract(test_many),
		contract(test_signal), contract(test_other_thread),
	};

	return group(tests, argc, argv);
}
