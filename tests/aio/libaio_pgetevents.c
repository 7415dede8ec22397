/* SPDX-License-Identifier: MIT */
/* io_pgetevents: the mask holds while it sleeps, in one step with falling asleep. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

static volatile sig_atomic_t handled;

static void handler(int sig)
{
	(void)sig;
	handled++;
}

static void *submits_later(void *arg)
{
	static struct iocb cb;
	static char byte;
	io_context_t ctx = ((void **)arg)[0];

	sleep_ms(40);
	io_prep_pread(&cb, *(int *)((void **)arg)[1], &byte, 1, 0);
	check_eq(submit_iocb(ctx, &cb), 1);
	return NULL;
}

static void test_mask(void **state)
{
	struct sigaction action = { .sa_handler = handler };
	struct timespec limit = { 5, 0 }, short_limit = { 0, 30000000 };
	io_context_t ctx = setup(8);
	struct io_event events[4];
	sigset_t blocked, none, now;
	struct iocb cb;
	int fd[2];

	(void)state;
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	check_eq(sigaction(SIGUSR1, &action, NULL), 0);
	check_eq(pthread_sigmask(SIG_BLOCK, &blocked, NULL), 0);
	make_pipe(fd);
	for (int busy = 0; busy < 2; busy++) {
		if (busy) {
			io_prep_poll(&cb, fd[0], POLLIN);
			check_eq(submit_iocb(ctx, &cb), 1);
		}
		/* It came before: no moment in which it could be missed. */
		handled = 0;
		raise(SIGUSR1);
		check_eq(handled, 0);
		check_eq(io_pgetevents(ctx, 1, 4, events, &limit, &none), -EINTR);
		check_eq(handled, 1);
		/* Blocked while it sleeps. */
		raise(SIGUSR1);
		check_eq(io_pgetevents(ctx, 1, 4, events, &short_limit, &blocked), 0);
		check_eq(handled, 1);
		check_eq(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
		check_eq(sigismember(&now, SIGUSR1), 1);
		check_eq(io_pgetevents(ctx, 1, 4, events, &limit, &none), -EINTR);
	}
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(io_pgetevents(ctx, 1, 4, events, &limit, &none), 1);
	check(events[0].obj == &cb);
	check_eq(pthread_sigmask(SIG_UNBLOCK, &blocked, NULL), 0);
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

static void test_events(void **state)
{
	io_context_t ctx = setup(8);
	int file = numbered_file(1, 0);
	void *arg[2] = { ctx, &file };
	struct timespec limit = { 10, 0 }, nothing = { 0, 1000000 };
	struct io_event events[4];
	pthread_t thread;
	struct iocb cb;
	sigset_t none;

	(void)state;
	sigemptyset(&none);
	io_prep_pwrite(&cb, file, "abc", 3, 0);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(io_pgetevents(ctx, 1, 4, events, &limit, &none), 1);
	check_eq(events[0].res, 3);
	check_eq(io_pgetevents(ctx, 1, 4, events, &nothing, &none), 0);
	check_eq(io_pgetevents(ctx, 1, 4, events, &nothing, NULL), 0);
	check_eq(io_pgetevents(ctx, 5, 4, events, &nothing, &none), -EINVAL);
	check_eq(io_pgetevents(NULL, 1, 4, events, &nothing, &none), -EINVAL);
	pthread_create(&thread, NULL, submits_later, arg);
	check_eq(io_pgetevents(ctx, 1, 4, events, &limit, &none), 1);
	pthread_join(thread, NULL);
	check_eq(io_destroy(ctx), 0);
	close(file);
}

struct taker {
	io_context_t ctx;
	int result;
};

static void *takes_nowhere(void *arg)
{
	struct taker *t = arg;
	struct timespec limit = { 20, 0 };

	t->result = io_getevents(t->ctx, 1, 1, (struct io_event *)(uintptr_t)8, &limit);
	return NULL;
}

static void *takes_masked(void *arg)
{
	struct taker *t = arg;
	struct io_event event;
	sigset_t none;

	sigemptyset(&none);
	t->result = io_pgetevents(t->ctx, 1, 1, &event, NULL, &none);
	return NULL;
}

/* Another thread comes first, with an array that cannot be written: the event is for who sleeps. */
static void test_other_array(void **state)
{
	io_context_t ctx = setup(8);
	struct taker nowhere = { .ctx = ctx }, masked = { .ctx = ctx };
	pthread_t threads[2];
	struct iocb cb[2];
	char bytes[2];
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (int k = 0; k < 2; k++) {
		io_prep_poll(&cb[k], fd[0], POLLIN);
		if (under_shim())
			io_prep_pread(&cb[k], fd[0], &bytes[k], 1, 0);
	}
	check_eq(submit_iocb(ctx, &cb[0]), 1);
	check_eq(pthread_create(&threads[0], NULL, takes_masked, &masked), 0);
	sleep_ms(30);
	check_eq(pthread_create(&threads[1], NULL, takes_nowhere, &nowhere), 0);
	sleep_ms(30);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(pthread_join(threads[0], NULL), 0);
	check_eq(masked.result, 1);
	/* If that one was faster, here is one for the other. */
	check_eq(submit_iocb(ctx, &cb[1]), 1);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(pthread_join(threads[1], NULL), 0);
	check_eq(nowhere.result, -EFAULT);
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_mask),
		contract(test_events),
		contract(test_other_array),
	};

	return group(tests, argc, argv);
}
