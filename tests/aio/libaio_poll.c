/* SPDX-License-Identifier: MIT */
/* IOCB_CMD_POLL. */
#include "libaio_support.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define PAIRS 40

static void test_later(void **state)
{
	io_context_t ctx = setup(PAIRS);
	struct iocb cb[PAIRS];
	int fd[PAIRS][2];

	(void)state;
	for (int k = 0; k < PAIRS; k++) {
		check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd[k]), 0);
		io_prep_poll(&cb[k], fd[k][0], POLLIN);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	check_nothing(ctx);
	for (int k = PAIRS - 1; k >= 0; k--) {
		struct io_event event;

		check_eq(write(fd[k][1], "x", 1), 1);
		event = get_event(ctx);
		check(event.obj == &cb[k]);
		check(event.res & POLLIN);
	}
	check_nothing(ctx);
	for (int k = 0; k < PAIRS; k++) {
		close(fd[k][0]);
		close(fd[k][1]);
	}
	check_eq(io_destroy(ctx), 0);
}

/* All at once, more than one look at the set brings. */
static void test_together(void **state)
{
	static struct io_event events[PAIRS];
	io_context_t ctx = setup(PAIRS);
	struct iocb cb[PAIRS];
	int fd[PAIRS][2], got = 0;

	(void)state;
	for (int k = 0; k < PAIRS; k++) {
		make_pipe(fd[k]);
		io_prep_poll(&cb[k], fd[k][0], POLLIN);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	for (int k = 0; k < PAIRS; k++)
		check_eq(write(fd[k][1], "x", 1), 1);
	while (got < PAIRS) {
		int n = io_getevents(ctx, 1, PAIRS, events, NULL);

		check(n > 0);
		got += n;
	}
	for (int k = 0; k < PAIRS; k++) {
		close(fd[k][0]);
		close(fd[k][1]);
	}
	check_eq(io_destroy(ctx), 0);
}

/* Several for one descriptor, each for something else. */
static void test_one_descriptor(void **state)
{
	io_context_t ctx = setup(8);
	struct iocb in, in2, hup, hup2;
	struct io_event event;
	int fd[2];

	(void)state;
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	io_prep_poll(&in, fd[0], POLLIN);
	io_prep_poll(&in2, fd[0], POLLIN);
	io_prep_poll(&hup, fd[0], 0);
	io_prep_poll(&hup2, fd[0], POLLHUP);
	check_eq(submit_iocb(ctx, &in), 1);
	check_eq(submit_iocb(ctx, &hup), 1);
	check_eq(submit_iocb(ctx, &in2), 1);
	check_eq(submit_iocb(ctx, &hup2), 1);
	check_nothing(ctx);
	check_eq(write(fd[1], "x", 1), 1);
	event = get_event(ctx);
	check(event.obj == &in || event.obj == &in2);
	check(event.res & POLLIN);
	check(get_event(ctx).obj == (event.obj == &in ? &in2 : &in));
	check_nothing(ctx);
	close(fd[1]);
	event = get_event(ctx);
	check(event.obj == &hup || event.obj == &hup2);
	check(event.res & POLLHUP);
	check(get_event(ctx).obj == (event.obj == &hup ? &hup2 : &hup));
	close(fd[0]);
	check_eq(io_destroy(ctx), 0);
}

static void test_resfd(void **state)
{
	int event = eventfd(0, EFD_CLOEXEC), fd[2];
	io_context_t ctx = setup(8);
	struct iocb cb;
	uint64_t count;

	(void)state;
	make_pipe(fd);
	for (int k = 0; k < 3; k++) {
		char byte;

		io_prep_poll(&cb, fd[0], POLLIN);
		io_set_eventfd(&cb, event);
		check_eq(submit_iocb(ctx, &cb), 1);
		check_eq(write(fd[1], "x", 1), 1);
		check_eq(read(event, &count, sizeof(count)), sizeof(count));
		check_eq(count, 1);
		check(get_event(ctx).res & POLLIN);
		check_eq(read(fd[0], &byte, 1), 1);
	}
	close(event);
	close(fd[0]);
	close(fd[1]);
	check_eq(io_destroy(ctx), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_later),
		contract(test_together),
		contract(test_one_descriptor),
		contract(test_resfd),
	};

	return group(tests, argc, argv);
}
