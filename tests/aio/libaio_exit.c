/* SPDX-License-Identifier: MIT */
/* A program that ends with operations in flight: what it wrote to files is there, and it does end. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

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

static void leave(int file, const int *pipes, enum how how)
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
	exit(0);
}

static void one(enum how how)
{
	int file = numbered_file(0, 0), pipes[2], status;
	unsigned char mem[4096];
	pid_t pid;

	make_pipe(pipes);
	fflush(NULL);
	pid = fork();
	if (!pid)
		leave(file, pipes, how);
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

static void test_exit(void **state)
{
	(void)state;
	one(ALONE);
	one(WAITER);
	one(EVENTFD);
	for (unsigned k = iterations(20); k; k--)
		one(ASKER);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_exit) };

	return group(tests, argc, argv);
}
