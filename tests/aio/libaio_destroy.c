/* SPDX-License-Identifier: MIT */
/* io_destroy: what was written is written, nothing touches a buffer any more, waiters leave. */
#include "libaio_support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* Each waits for the one before, and somebody is to be told of all of them. */
static void test_appends(void **state)
{
	static unsigned char mem[4096];
	int event = eventfd(0, EFD_CLOEXEC), fd;
	struct iocb cb[16], *list[16];
	io_context_t ctx;

	(void)state;
	for (int round = 0; round < 20; round++) {
		ctx = setup(16);
		fd = numbered_file(0, O_APPEND);
		for (int k = 0; k < 16; k++) {
			list[k] = &cb[k];
			io_prep_pwrite(&cb[k], fd, mem, sizeof(mem), 0);
			io_set_eventfd(&cb[k], event);
		}
		check_eq(io_submit(ctx, 16, list), 16);
		check_eq(io_destroy(ctx), 0);
		check_eq(lseek(fd, 0, SEEK_END), 16 * (long)sizeof(mem));
		close(fd);
	}
	close(event);
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

	/* The library would look into a ring that is gone, if this thread comes late. */
	if (under_shim())
		w->result = io_getevents(w->ctx, w->least, 4, events, NULL);
	else
		w->result = (int)syscall(SYS_io_getevents, w->ctx, w->least, 4, events, NULL);
	if (w->result == -1)
		w->result = -errno;
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

/* Threads that come with a context while, and after, others destroy it. */
#define COMERS 3

static struct {
	io_context_t ctx;
	bool shim;
	atomic_bool over;
	atomic_int destroyed;
	pthread_barrier_t start;
} race;

static void *comes(void *arg)
{
	struct timespec none = { 0, 0 };
	struct io_event event;
	sigset_t mask;
	int n = 0;

	sigemptyset(&mask);
	pthread_barrier_wait(&race.start);
	while (!atomic_load(&race.over)) {
		if (arg)
			n = io_pgetevents(race.ctx, 0, 1, &event, &none, &mask);
		else
			n = io_submit(race.ctx, 0, NULL);
		check(n == 0 || n == -EINVAL);
		sched_yield(); /* where threads run one at a time, as under valgrind */
	}
	return NULL;
}

static void *destroys(void *unused)
{
	int err;

	pthread_barrier_wait(&race.start);
	err = io_destroy(race.ctx);
	check(err == 0 || err == -EINVAL);
	atomic_fetch_add(&race.destroyed, !err);
	return unused;
}

static void test_race(void **state)
{
	pthread_t threads[COMERS + 2];

	(void)state;
	race.shim = under_shim();
	for (unsigned round = iterations(race.shim ? 100 : 30); round; round--) {
		race.ctx = setup(8);
		atomic_store(&race.over, false);
		atomic_store(&race.destroyed, 0);
		check_eq(pthread_barrier_init(&race.start, NULL, COMERS + 2), 0);
		for (uintptr_t k = 0; k < COMERS + 2; k++)
			check_eq(pthread_create(&threads[k], NULL, k < COMERS ? comes : destroys,
						race.shim && !k ? &race : NULL),
				 0);
		for (int k = COMERS; k < COMERS + 2; k++)
			check_eq(pthread_join(threads[k], NULL), 0);
		atomic_store(&race.over, true);
		for (int k = 0; k < COMERS; k++)
			check_eq(pthread_join(threads[k], NULL), 0);
		check_eq(atomic_load(&race.destroyed), 1);
		pthread_barrier_destroy(&race.start);
		progress();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_twice),	contract(test_writes), contract(test_waiting),
		contract(test_waiters), contract(test_race),   contract(test_appends),
	};

	return group(tests, argc, argv);
}
