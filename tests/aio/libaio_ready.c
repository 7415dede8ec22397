/* SPDX-License-Identifier: MIT */
/* What pipes, sockets and the like are ready for is found by a visit that does not wait: the kernel does it in
 * io_submit. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define MOST 8
#define ROOM 40960

enum type { PIPE, STREAM, DATAGRAM, COUNTER, TYPES };

/* How the program asks for events without waiting. */
enum driver { LEAST_0, LEAST_0_LIMIT, LIMIT_0, MASKED, DRIVERS };

static io_context_t ctx;
static int in, out, event = -1;
static bool shim;
static char mem[MOST][ROOM];

static int visit(int n, enum driver how, struct io_event *events)
{
	struct timespec none = { 0, 0 }, limit = { 10, 0 };
	sigset_t mask;

	sigemptyset(&mask);
	switch (how) {
	case LEAST_0:
		return io_getevents(ctx, 0, MOST, events, NULL);
	case LEAST_0_LIMIT:
		return io_getevents(ctx, 0, MOST, events, &limit);
	case LIMIT_0:
		return io_getevents(ctx, n, MOST, events, &none);
	default:
		return io_pgetevents(ctx, 0, MOST, events, &none, &mask);
	}
}

static void all_there(int n, enum driver how, long result)
{
	struct io_event events[MOST];

	check_eq(visit(n, how, events), n);
	for (int k = 0; k < n; k++)
		check_eq(events[k].res, result);
	progress();
}

static void open_ends(enum type type)
{
	int fd[2];

	switch (type) {
	case PIPE:
		make_pipe(fd);
		break;
	case COUNTER:
		fd[0] = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
		fd[1] = dup(fd[0]);
		break;
	default:
		check_eq(socketpair(AF_UNIX, type == STREAM ? SOCK_STREAM : SOCK_DGRAM, 0, fd), 0);
	}
	in = fd[0];
	out = fd[1];
}

static void close_ends(void)
{
	close(in);
	close(out);
}

static void submit_list(struct iocb *cb, int n)
{
	struct iocb *list[MOST];

	for (int k = 0; k < n; k++) {
		list[k] = &cb[k];
		if (event >= 0)
			io_set_eventfd(&cb[k], event);
	}
	check_eq(io_submit(ctx, n, list), n);
}

/* One after the other, of 8 bytes, which all of them take. */
static void there_and_back(enum type type, int n, enum driver how)
{
	const uint64_t one = 1;
	struct iocb cb[MOST];

	for (int k = 0; k < n; k++) {
		memcpy(mem[k], &one, sizeof(one));
		io_prep_pwrite(&cb[k], out, mem[k], sizeof(one), 0);
		if (type == COUNTER) /* the kernel knows no such write of an eventfd */
			check_eq(write(out, &one, sizeof(one)), sizeof(one));
	}
	if (type != COUNTER) {
		submit_list(cb, n);
		all_there(n, how, sizeof(one));
	}
	for (int k = 0; k < n; k++)
		io_prep_pread(&cb[k], in, mem[k], sizeof(one), 0);
	submit_list(cb, n);
	all_there(n, how, sizeof(one));
}

/* As much as fits without anybody reading. */
static void large(enum driver how)
{
	struct iovec parts[2] = { { mem[0], ROOM / 2 }, { mem[1], ROOM / 2 } };
	struct iocb cb;

	io_prep_pwritev(&cb, out, parts, 2, 0);
	submit_list(&cb, 1);
	all_there(1, how, ROOM);
	io_prep_preadv(&cb, in, parts, 2, 0);
	submit_list(&cb, 1);
	all_there(1, how, ROOM);
}

/* The program does not want to wait there either. */
static void nothing_there(enum driver how)
{
	struct iocb cb;

	check_eq(fcntl(in, F_SETFL, O_NONBLOCK), 0);
	io_prep_pread(&cb, in, mem[0], 8, 0);
	submit_list(&cb, 1);
	all_there(1, how, -EAGAIN);
	check_eq(fcntl(in, F_SETFL, 0), 0);
}

/* A poll that waited, and is over. The kernel may leave its event to a thread of its own, if there is somebody to be
 * told of it or much else to do. */
static void polled(enum driver how)
{
	const uint64_t one = 1;
	struct io_event events[MOST];
	struct iocb cb;
	uint64_t count;
	int got;

	io_prep_poll(&cb, in, POLLIN);
	submit_list(&cb, 1);
	check_eq(visit(1, how, events), 0);
	check_eq(write(out, &one, sizeof(one)), sizeof(one));
	while (!(got = visit(1, how, events)) && !shim)
		progress();
	check_eq(got, 1);
	check(events[0].res & POLLIN);
	check_eq(read(in, &count, sizeof(count)), sizeof(count));
}

static void use(enum type type, enum driver how)
{
	open_ends(type);
	for (int n = 1; n < 5; n++)
		there_and_back(type, n, how);
	if (type == PIPE || type == STREAM)
		large(how);
	nothing_there(how);
	polled(how);
	close_ends();
}

static void use_all(void)
{
	struct iocb poll;
	int pipes[2];

	shim = under_shim();
	ctx = setup(64);
	make_pipe(pipes);
	/* Something that does not end is in flight. */
	io_prep_poll(&poll, pipes[0], POLLIN);
	check_eq(submit_iocb(ctx, &poll), 1);
	for (unsigned k = iterations(10); k; k--)
		for (int type = 0; type < TYPES; type++)
			for (int how = 0; how < DRIVERS; how++)
				use((enum type)type, (enum driver)how);
	check_eq(io_destroy(ctx), 0);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_alone(void **state)
{
	(void)state;
	use_all();
}

static void test_eventfd(void **state)
{
	(void)state;
	event = eventfd(0, EFD_CLOEXEC);
	use_all();
	close(event);
	event = -1;
}

/* The other end is closed. */
static void test_over(void **state)
{
	struct iocb cb;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	ctx = setup(8);
	for (int how = 0; how < DRIVERS; how++) {
		open_ends(how & 1 ? STREAM : PIPE);
		close(out);
		out = -1;
		io_prep_pread(&cb, in, mem[0], 8, 0);
		submit_list(&cb, 1);
		all_there(1, (enum driver)how, 0);
		close(in);
		open_ends(how & 1 ? STREAM : PIPE);
		close(in);
		in = -1;
		io_prep_pwrite(&cb, out, mem[0], ROOM, 0);
		submit_list(&cb, 1);
		all_there(1, (enum driver)how, -EPIPE);
		close(out);
	}
	check_eq(io_destroy(ctx), 0);
}

/* What the kernel waits for in io_submit: the visits before do not wait, and those after it is ready find it. The
 * first one may come while another thread has the data and has not said so. */
static void all_found(int n, enum driver how)
{
	struct io_event events[MOST];

	while (n) {
		int got = visit(n, how, events);

		check(got >= 0);
		n -= got;
	}
	progress();
}

static void test_late(void **state)
{
	struct io_event events[MOST];
	struct iocb cb[2];
	char byte;

	(void)state;
	shim_or_skip();
	ctx = setup(8);
	for (unsigned k = iterations(20) * DRIVERS; k; k--) {
		enum driver how = (enum driver)(k % DRIVERS);

		open_ends(k & 4 ? STREAM : PIPE);
		io_prep_pread(&cb[0], in, mem[0], 1, 0);
		io_prep_pread(&cb[1], in, mem[1], 1, 0);
		submit_list(cb, 2);
		check_eq(visit(2, how, events), 0);
		check_eq(visit(2, how, events), 0);
		check_eq(write(out, "xy", 2), 2);
		all_found(2, how);
		/* Somebody else was faster. */
		submit_list(cb, 1);
		check_eq(visit(1, how, events), 0);
		check_eq(write(out, "xy", 2), 2);
		all_found(1, how);
		check_eq(read(in, &byte, 1), 1);
		submit_list(cb, 1);
		check_eq(visit(1, how, events), 0);
		check_eq(write(out, "z", 1), 1);
		all_found(1, how);
		close_ends();
		progress();
	}
	check_eq(io_destroy(ctx), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_alone), contract(test_eventfd),
					    contract(test_over), contract(test_late) };

	return group(tests, argc, argv);
}
