/* SPDX-License-Identifier: MIT */
/* What the kernel cannot do: io_submit returns though pipe, socket or terminal have nothing yet, and
 * the event comes when they have, also if nobody waits meanwhile. */
#include "libaio_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void late_reads(int in, int out)
{
	io_context_t ctx = setup(8);
	char got[4][8];
	struct iocb cb[4], *list[4];

	for (int k = 0; k < 4; k++) {
		list[k] = &cb[k];
		io_prep_pread(&cb[k], in, got[k], 4, 0);
	}
	check_eq(io_submit(ctx, 4, list), 4);
	check_nothing(ctx);
	check_eq(write(out, "one.two.", 8), 8);
	check_eq(get_event(ctx).res, 4);
	check_eq(get_event(ctx).res, 4);
	check_nothing(ctx);
	check_eq(write(out, "tri.for.", 8), 8);
	check_eq(get_event(ctx).res, 4);
	check_eq(get_event(ctx).res, 4);
	check_eq(memcmp(got[0], "one.", 4), 0);
	check_eq(memcmp(got[3], "for.", 4), 0);
	check_eq(io_destroy(ctx), 0);
}

static void test_pipe(void **state)
{
	int fd[2];

	(void)state;
	shim_or_skip();
	make_pipe(fd);
	late_reads(fd[0], fd[1]);
	close(fd[0]);
	close(fd[1]);
}

static void test_socket(void **state)
{
	int fd[2];

	(void)state;
	shim_or_skip();
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	late_reads(fd[0], fd[1]);
	close(fd[0]);
	close(fd[1]);
}

/* A write that has no room yet. */
static void test_full_pipe(void **state)
{
	static char mem[1 << 17];
	io_context_t ctx;
	struct iocb cb;
	long ended = 0;
	int fd[2];

	(void)state;
	shim_or_skip();
	ctx = setup(8);
	make_pipe(fd);
	io_prep_pwrite(&cb, fd[1], mem, sizeof(mem), 0);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_nothing(ctx);
	for (size_t n = 0; n < sizeof(mem);) {
		static char in[1 << 17];
		struct timespec ms = { 0, 1000000 };
		struct io_event event;
		ssize_t now = read(fd[0], in, sizeof(in));

		check(now > 0);
		n += (size_t)now;
		/* All is in the pipe before all was read. */
		if (!ended && io_getevents(ctx, 0, 1, &event, &ms) == 1)
			ended = (long)event.res;
		check(!ended || n + 65536 >= sizeof(mem));
	}
	check_eq(ended ? ended : (long)get_event(ctx).res, sizeof(mem));
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

/* O_NONBLOCK is the program's wish: the answer comes at once. */
static void test_nonblocking(void **state)
{
	io_context_t ctx = setup(8);
	struct iocb cb;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	check_eq(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	io_prep_pread(&cb, fd[0], &byte, 1, 0);
	check_eq(result_now(ctx, &cb), -EAGAIN);
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

/* Written though nobody ever asks for events. */
static void test_nobody_waits(void **state)
{
	struct iocb cb, more;
	io_context_t ctx;
	char byte = 0;
	int fd;

	(void)state;
	if (engine_forced("inline"))
		skip_because("who waits runs everything");
	ctx = setup(8);
	fd = numbered_file(1, 0);
	for (unsigned k = 0; k < 3; k++) {
		io_prep_pwrite(&cb, fd, "abc", 3, 0);
		check_eq(submit_iocb(ctx, &cb), 1);
		io_prep_pwrite(&more, fd, "z", 1, 100);
		check_eq(submit_iocb(ctx, &more), 1);
		for (unsigned n = 0; n < 1000 && byte != 'z'; n++) {
			sleep_ms(5);
			check_eq(pread(fd, &byte, 1, 100), 1);
		}
		check_eq(byte, 'z');
		check_eq(get_event(ctx).res > 0, 1);
		check_eq(get_event(ctx).res > 0, 1);
		byte = 0;
		check_eq(pwrite(fd, &byte, 1, 100), 1);
	}
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

/* The same after the program had always come at once, and of writes that must keep their order. */
static void test_stays_away(void **state)
{
	struct iocb cb[3];
	io_context_t ctx;
	char byte;
	int fd;

	(void)state;
	if (engine_forced("inline"))
		skip_because("who waits runs everything");
	ctx = setup(8);
	fd = numbered_file(1, 0);
	for (unsigned round = 0; round < 4; round++) {
		unsigned first = round & 1 ? 2 : 0;

		for (unsigned k = 0; k < 200; k++) {
			io_prep_pwrite(&cb[0], fd, "a", 1, 100);
			check_eq(result_now(ctx, &cb[0]), 1);
		}
		for (unsigned k = first; k < 3; k++) {
			io_prep_pwrite(&cb[k], fd, &"xyz"[k], 1, 100);
			check_eq(submit_iocb(ctx, &cb[k]), 1);
		}
		byte = 0;
		for (unsigned n = 0; n < 1000 && byte != 'z'; n++) {
			sleep_ms(5);
			check_eq(pread(fd, &byte, 1, 100), 1);
		}
		check_eq(byte, 'z');
		for (unsigned k = first; k < 3; k++)
			check_eq(get_event(ctx).res, 1);
	}
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_pipe),	    contract(test_socket),	 contract(test_full_pipe),
		contract(test_nonblocking), contract(test_nobody_waits), contract(test_stays_away),
	};

	return group(tests, argc, argv);
}
