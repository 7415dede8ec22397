/* SPDX-License-Identifier: MIT */
/* io_cancel: the kernel's protocol, and more that it can end. */
#include "libaio_support.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>

static void test_poll(void **state)
{
	int event = eventfd(0, EFD_CLOEXEC), fd[2];
	io_context_t ctx = setup(8);
	struct io_event ret = { 0 };
	struct iocb cb, other;
	uint64_t count;

	(void)state;
	make_pipe(fd);
	io_prep_poll(&cb, fd[0], POLLIN);
	io_set_eventfd(&cb, event);
	io_prep_poll(&other, fd[0], POLLIN);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(submit_iocb(ctx, &other), 1);
	check_eq(io_cancel(ctx, &cb, &ret), -EINPROGRESS);
	check(!ret.obj);
	ret = get_event(ctx);
	check(ret.obj == &cb);
	check_eq(ret.res, 0);
	check_eq(read(event, &count, sizeof(count)), sizeof(count));
	check_eq(io_cancel(ctx, &cb, &ret), -EINVAL);
	check_nothing(ctx);
	check_eq(write(fd[1], "x", 1), 1);
	check(get_event(ctx).obj == &other);
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
	close(event);
}

static void test_wrong(void **state)
{
	io_context_t ctx = setup(8);
	int fd = numbered_file(1, 0);
	struct io_event event;
	struct iocb cb;
	char byte;

	(void)state;
	io_prep_pread(&cb, fd, &byte, 1, 0);
	check_eq(io_cancel(ctx, &cb, &event), -EINVAL); /* never submitted */
	cb.key = 77;
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(cb.key, 0);
	check_eq(get_event(ctx).res, 1);
	check_eq(io_cancel(ctx, &cb, &event), -EINVAL); /* over */
	cb.key = 5;
	check_eq(io_cancel(ctx, &cb, &event), -EINVAL);
	check_eq(io_cancel(ctx, NULL, &event), -EFAULT);
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

/* A read of a pipe ends, the one behind it gets the bytes. */
static void test_read(void **state)
{
	io_context_t ctx;
	struct io_event event;
	struct iocb cb[3];
	char byte[3] = { 0 };
	int fd[2];

	(void)state;
	shim_or_skip();
	ctx = setup(8);
	make_pipe(fd);
	for (int k = 0; k < 3; k++) {
		io_prep_pread(&cb[k], fd[0], &byte[k], 1, 0);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	check_eq(io_cancel(ctx, &cb[0], &event), -EINPROGRESS);
	check_one_of(io_cancel(ctx, &cb[0], &event), -EINVAL, -EINVAL);
	event = get_event(ctx);
	check(event.obj == &cb[0]);
	check_eq(event.res, -ECANCELED);
	check_eq(io_cancel(ctx, &cb[2], &event), -EINPROGRESS);
	event = get_event(ctx);
	check(event.obj == &cb[2]);
	check_eq(event.res, -ECANCELED);
	check_eq(write(fd[1], "q", 1), 1);
	event = get_event(ctx);
	check(event.obj == &cb[1]);
	check_eq(event.res, 1);
	check_eq(byte[1], 'q');
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

/* Whatever wins, one event, and the bytes are either all there or none were taken. */
static void test_race(void **state)
{
	io_context_t ctx;
	struct io_event event;
	struct iocb cb;
	char byte;
	int fd[2];

	(void)state;
	shim_or_skip();
	ctx = setup(8);
	make_pipe(fd);
	for (unsigned k = iterations(300); k--;) {
		io_prep_pread(&cb, fd[0], &byte, 1, 0);
		check_eq(submit_iocb(ctx, &cb), 1);
		check_eq(write(fd[1], "x", 1), 1);
		check_one_of(io_cancel(ctx, &cb, &event), -EINPROGRESS, -EINVAL);
		event = get_event(ctx);
		check_one_of((long)event.res, 1, -ECANCELED);
		if ((long)event.res != 1)
			check_eq(read(fd[0], &byte, 1), 1);
	}
	check_nothing(ctx);
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_poll),
		contract(test_wrong),
		contract(test_read),
		contract(test_race),
	};

	return group(tests, argc, argv);
}
