/* SPDX-License-Identifier: MIT */
/* Events of transfers to and from the page cache are there without waiting, as where io_submit does them. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define MOST 16

static io_context_t ctx;
static unsigned char mem[MOST][4096];

enum driver { LEAST_0, LEAST_0_LIMIT, LIMIT_0, MASKED };

static void all_there(int n, enum driver how)
{
	struct timespec none = { 0, 0 }, limit = { 10, 0 };
	struct io_event events[MOST];
	sigset_t mask;
	int got = -1;

	sigemptyset(&mask);
	switch (how) {
	case LEAST_0:
		got = io_getevents(ctx, 0, MOST, events, NULL);
		break;
	case LEAST_0_LIMIT:
		got = io_getevents(ctx, 0, MOST, events, &limit);
		break;
	case LIMIT_0:
		got = io_getevents(ctx, n, MOST, events, &none);
		break;
	case MASKED:
		got = io_pgetevents(ctx, 0, MOST, events, &none, &mask);
		break;
	}
	check_eq(got, n);
	for (int k = 0; k < n; k++)
		check_eq(events[k].res, 4096);
}

/* One or many, in one submission or several. */
static void writes_and_reads(int file, int event, int n, bool vectors, enum driver how)
{
	struct iovec iov[MOST];
	struct iocb cb[MOST], *list[MOST];

	for (int write = 1; write >= 0; write--) {
		for (int k = 0; k < n; k++) {
			iov[k] = (struct iovec){ mem[k], 4096 };
			list[k] = &cb[k];
			if (vectors && write)
				io_prep_pwritev(&cb[k], file, &iov[k], 1, k * 4096);
			else if (vectors)
				io_prep_preadv(&cb[k], file, &iov[k], 1, k * 4096);
			else if (write)
				io_prep_pwrite(&cb[k], file, mem[k], 4096, k * 4096);
			else
				io_prep_pread(&cb[k], file, mem[k], 4096, k * 4096);
			if (event >= 0)
				io_set_eventfd(&cb[k], event);
		}
		if (n % 2) {
			for (int k = 0; k < n; k++)
				check_eq(submit_iocb(ctx, list[k]), 1);
		} else {
			check_eq(io_submit(ctx, n, list), n);
		}
		all_there(n, how);
	}
}

/* A read after a write that it must not overtake, and one that meets the end of the file. */
static void ordered(int file, enum driver how)
{
	struct iocb cb[3];

	check_eq(ftruncate(file, 0), 0);
	io_prep_pwrite(&cb[0], file, mem[0], 4096, 0);
	io_prep_pread(&cb[1], file, mem[1], 4096, 0);
	io_prep_pread(&cb[2], file, mem[2], 4096, 0);
	for (int k = 0; k < 3; k++)
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	all_there(3, how);
}

static void short_read(int file)
{
	struct io_event event;
	struct iocb cb;

	check_eq(ftruncate(file, 100), 0);
	io_prep_pread(&cb, file, mem[1], 4096, 0);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(io_getevents(ctx, 0, 1, &event, NULL), 1);
	check_eq(event.res, 100);
}

static void use(int event)
{
	int file = numbered_file(MOST, 0), pipes[2];
	struct iocb poll;

	ctx = setup(64);
	make_pipe(pipes);
	/* Something that does not end is in flight. */
	io_prep_poll(&poll, pipes[0], POLLIN);
	check_eq(submit_iocb(ctx, &poll), 1);
	for (unsigned k = iterations(40); k; k--) {
		for (int how = LEAST_0; how <= MASKED; how++) {
			writes_and_reads(file, event, 1 + (int)(k % MOST), k & 1, (enum driver)how);
			ordered(file, (enum driver)how);
		}
		short_read(file);
		progress();
	}
	check_eq(io_destroy(ctx), 0);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_direct(void **state)
{
	(void)state;
	use(-1);
}

static void test_eventfd(void **state)
{
	int event = eventfd(0, EFD_CLOEXEC);

	(void)state;
	use(event);
	close(event);
}

/* What waits for somebody else is not waited for. */
static void test_others(void **state)
{
	struct io_event event;
	struct iocb cb;
	int pipes[2];

	(void)state;
	shim_or_skip(); /* the kernel waits in io_submit */
	ctx = setup(8);
	make_pipe(pipes);
	io_prep_pread(&cb, pipes[0], mem[0], 1, 0);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(io_getevents(ctx, 0, 1, &event, NULL), 0);
	check_eq(write(pipes[1], "x", 1), 1);
	check_eq(get_event(ctx).res, 1);
	check_eq(io_destroy(ctx), 0);
	close(pipes[0]);
	close(pipes[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_direct), contract(test_eventfd),
					    contract(test_others) };

	return group(tests, argc, argv);
}
