/* SPDX-License-Identifier: MIT */
/* io_destroy: what was written is written, nothing touches a buffer any more, waiters leave. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

static void test_twice(void **state)
{
	bool shim = under_shim();
	io_context_t ctx = setup(8);
	struct io_event event;
	struct iocb cb, *p = &cb;
	int fd = numbered_file(1, 0);
	struct timespec ms = { 0, 1000000 };
	char byte;

	(void)state;
	io_prep_pread(&cb, fd, &byte, 1, 0);
	check_eq(io_destroy(ctx), 0);
	check_eq(io_destroy(ctx), -EINVAL);
	check_eq(io_submit(ctx, 1, &p), -EINVAL);
	if (shim) /* libaio itself looks into the ring, which is gone */
		check_eq(io_getevents(ctx, 1, 1, &event, &ms), -EINVAL);
	close(fd);
}

static void test_writes(void **state)
{
	static unsigned char mem[64][4096];
	struct iocb cb[64], *list[64];
	int fd = numbered_file(64, 0);

	(void)state;
	for (int round = 0; round < 10; round++) {
		io_context_t ctx = setup(64);

		for (unsigned k = 0; k < 64; k++) {
			memset(mem[k], (int)(100 + k + (unsigned)round), 4096);
			list[k] = &cb[k];
			io_prep_pwrite(&cb[k], fd, mem[k], 4096, k * 4096);
		}
		check_eq(io_submit(ctx, 64, list), 64);
		check_eq(io_destroy(ctx), 0);
		for (unsigned k = 0; k < 64; k++) {
			memset(mem[k], 0, 4096);
			check_eq(pread(fd, mem[k], 4096, k * 4096), 4096);
			check_page(mem[k], 99 + k + (unsigned)round);
		}
	}
	close(fd);
}

/* What would wait for ever does not keep io_destroy. */
static void test_waiting(void **state)
{
	int event = eventfd(0, EFD_CLOEXEC), fd[2];
	struct iocb cb[4];
	char byte = 0;
	io_context_t ctx;

	(void)state;
	make_pipe(fd);
	for (int round = 0; round < 4; round++) {
		ctx = setup(8);
		for (int k = 0; k < 4; k++) {
			io_prep_poll(&cb[k], fd[0], POLLIN);
			if (k == 3 && under_shim())
				io_prep_pread(&cb[k], fd[0], &byte, 1, 0);
			if (round & 1)
				io_set_eventfd(&cb[k], event);
			check_eq(submit_iocb(ctx, &cb[k]), 1);
		}
		check_eq(io_destroy(ctx), 0);
		check_eq(write(fd[1], "x", 1), 1);
		sleep_ms(5);
		check_eq(byte, 0);
		check_eq(read(fd[0], &byte, 1), 1);
		byte = 0;
	}
	close(fd[0]);
	close(fd[1]);
	close(event);
}

struct waiter {
	io_context_t ctx;
	int least, result;
};

static void *waits(void *arg)
{
	struct waiter *w = arg;
	struct io_event events[4];

	w->result = io_getevents(w->ctx, w->least, 4, events, NULL);
	return NULL;
}

/* Threads that wait in it leave, with -EINVAL. */
static void test_waiters(void **state)
{
	struct waiter w[3];
	pthread_t threads[3];
	struct iocb cb;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (int round = 0; round < 6; round++) {
		io_context_t ctx = setup(8);

		if (round & 1) {
			io_prep_poll(&cb, fd[0], POLLIN);
			check_eq(submit_iocb(ctx, &cb), 1);
		}
		for (int k = 0; k < 3; k++) {
			w[k] = (struct waiter){ .ctx = ctx, .least = k + 1 };
			pthread_create(&threads[k], NULL, waits, &w[k]);
		}
		sleep_ms((unsigned)round * 4 + 20);
		check_eq(io_destroy(ctx), 0);
		for (int k = 0; k < 3; k++) {
			pthread_join(threads[k], NULL);
			/* The kernel may give the poll that it cancelled to one of them. */
			check(w[k].result == -EINVAL || w[k].result == 1);
		}
		progress();
	}
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_twice),
		contract(test_writes),
		contract(test_waiting),
		contract(test_waiters),
	};

	return group(tests, argc, argv);
}
