/* SPDX-License-Identifier: MIT */
/*
 * As libaio_close.c, for what may wait for ever: pipes, sockets and polls go on with the file that they
 * were submitted for. Under the kernel io_submit waits for the first two.
 */
#include "libaio_support.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define PAGE 4096
#define HIGH_NUMBER 700

static void by_close(int fd, int other)
{
	check_eq(close(fd), 0);
	check_eq(fcntl(other, F_DUPFD_CLOEXEC, fd), fd);
}

/* What a thread does to the other end after a while: under the kernel io_submit waits for that. */
struct other_end {
	pthread_t thread;
	int fd;
	const char *write; /* NULL: reads */
	size_t size;
	char got[1 << 18];
};

static void *work_other_end(void *arg)
{
	struct other_end *end = arg;
	size_t done = 0;
	ssize_t n = 1;

	sleep_ms(100);
	while (done < end->size && n > 0) {
		if (end->write)
			n = write(end->fd, end->write + done, 1);
		else
			n = read(end->fd, end->got + done, end->size - done);
		done += n > 0 ? (size_t)n : 0;
		if (end->write)
			sleep_ms(5);
	}
	check_eq(done, end->size);
	return NULL;
}

static void start_other_end(struct other_end *end, int fd, const char *write, size_t size)
{
	end->fd = fd;
	end->write = write;
	end->size = size;
	check_eq(pthread_create(&end->thread, NULL, work_other_end, end), 0);
}

/* Reads of a stream whose number goes to another, which has something to read. */
static void read_stream(const int fd[2], const int other[2])
{
	static struct other_end end;
	static char in[4];
	struct iocb cb[4];
	char left;
	io_context_t ctx = setup(4);

	memset(in, 0, sizeof(in));
	check_eq(write(other[1], "z", 1), 1);
	start_other_end(&end, fd[1], "abcd", 4);
	for (int k = 0; k < 4; k++) {
		io_prep_pread(&cb[k], fd[0], &in[k], 1, 0);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	by_close(fd[0], other[0]);
	for (int k = 0; k < 4; k++) {
		struct io_event event = get_event(ctx);

		check(event.obj == &cb[k]);
		check_eq(event.res, 1);
	}
	check_eq(memcmp(in, "abcd", 4), 0);
	check_eq(read(other[0], &left, 1), 1);
	check_eq(left, 'z');
	pthread_join(end.thread, NULL);
	check_eq(io_destroy(ctx), 0);
	for (int k = 0; k < 2; k++) {
		close(fd[k]);
		close(other[k]);
	}
}

static void test_pipe_read(void **state)
{
	int fd[2], other[2];

	(void)state;
	make_pipe(fd);
	make_pipe(other);
	read_stream(fd, other);
}

static void test_socket_read(void **state)
{
	int fd[2], other[2];

	(void)state;
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	make_pipe(other);
	read_stream(fd, other);
}

/* Into a full pipe. Where the shim moves it, a part may be written by then, and is the result. */
static void test_pipe_write(void **state)
{
	static struct other_end end;
	static char out[1 << 17];
	struct iocb cb;
	int fd[2], size;
	long result;
	io_context_t ctx = setup(1);

	(void)state;
	make_pipe(fd);
	size = fcntl(fd[1], F_GETPIPE_SZ);
	check(size > 0 && size <= (int)sizeof(out));
	memset(out, 'x', sizeof(out));
	check_eq(write(fd[1], out, (size_t)size), size);
	memset(out, 'y', sizeof(out));
	start_other_end(&end, fd[0], NULL, (size_t)size + PAGE);
	io_prep_pwrite(&cb, fd[1], out, PAGE, 0);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(close(fd[1]), 0);
	result = (long)get_event(ctx).res;
	check_eq(result, PAGE);
	pthread_join(end.thread, NULL);
	check_eq(end.got[size - 1], 'x');
	check_eq(end.got[size + PAGE - 1], 'y');
	check_eq(io_destroy(ctx), 0);
	check_eq(read(fd[0], out, 1), 0); /* nobody has the other end any more */
	close(fd[0]);
}

/* This waits in the kernel too. */
static void test_poll(void **state)
{
	struct iocb cb[2];
	int fd[2], other[2];
	io_context_t ctx = setup(2);

	(void)state;
	make_pipe(fd);
	make_pipe(other);
	for (int k = 0; k < 2; k++) {
		io_prep_poll(&cb[k], fd[0], POLLIN);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	by_close(fd[0], other[0]);
	check_eq(write(other[1], "z", 1), 1);
	check_nothing(ctx);
	check_eq(write(fd[1], "a", 1), 1);
	for (int k = 0; k < 2; k++)
		check(get_event(ctx).res & POLLIN);
	check_eq(io_destroy(ctx), 0);
	check_eq(write(fd[1], "a", 1), -1); /* nobody reads */
	for (int k = 0; k < 2; k++) {
		close(fd[k]);
		close(other[k]);
	}
}

/* Only the shim can be asked these: under the kernel nothing of it is in flight. */
static void test_after_move(void **state)
{
	struct iocb cb[3];
	char in[3];
	int fd[2];
	io_context_t ctx;

	(void)state;
	shim_or_skip();
	for (int cancels = 0; cancels < 2; cancels++) {
		ctx = setup(3);
		make_pipe(fd);
		for (int k = 0; k < 3; k++) {
			io_prep_pread(&cb[k], fd[0], &in[k], 1, 0);
			check_eq(submit_iocb(ctx, &cb[k]), 1);
		}
		check_eq(close(fd[0]), 0);
		check_eq(write(fd[1], "a", 1), 1);
		check(get_event(ctx).obj == &cb[0]);
		for (int k = 1; cancels && k < 3; k++) {
			struct io_event event;

			check_eq(io_cancel(ctx, &cb[k], &event), -EINPROGRESS);
			check_eq(get_event(ctx).res, -ECANCELED);
		}
		check_eq(io_destroy(ctx), 0);
		check_eq(write(fd[1], "a", 1), -1);
		close(fd[1]);
	}
}

/* No second descriptor can be had: they end. */
static void test_no_descriptor(void **state)
{
	struct rlimit before, none;
	struct iocb cb[3];
	char in[2];
	int fd[2];
	io_context_t ctx;

	(void)state;
	shim_or_skip();
	ctx = setup(3);
	make_pipe(fd);
	for (int k = 0; k < 2; k++) {
		io_prep_pread(&cb[k], fd[0], &in[k], 1, 0);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	io_prep_poll(&cb[2], fd[0], POLLIN);
	check_eq(submit_iocb(ctx, &cb[2]), 1);
	check_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)fd[0];
	check_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	check_eq(close(fd[0]), 0);
	check_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (int k = 0; k < 3; k++) {
		struct io_event event = get_event(ctx);

		check_eq(event.res, event.obj == &cb[2] ? 0 : -ECANCELED);
	}
	check_eq(io_destroy(ctx), 0);
	close(fd[1]);
}

/* closefrom would close a second descriptor too. */
static void test_all_numbers(void **state)
{
	void (*from)(int) = (void (*)(int))(intptr_t)dlsym(RTLD_DEFAULT, "closefrom");
	io_context_t ctx;
	struct iocb cb;
	int fd[2];
	char in;

	(void)state;
	shim_or_skip();
	check(from);
	ctx = setup(1);
	make_pipe(fd);
	check_eq(fcntl(fd[0], F_DUPFD_CLOEXEC, HIGH_NUMBER), HIGH_NUMBER);
	io_prep_pread(&cb, HIGH_NUMBER, &in, 1, 0);
	check_eq(submit_iocb(ctx, &cb), 1);
	from(HIGH_NUMBER);
	check_eq(get_event(ctx).res, -ECANCELED);
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_pipe_read),   contract(test_socket_read),
		contract(test_pipe_write),  contract(test_poll),
		contract(test_after_move),  contract(test_no_descriptor),
		contract(test_all_numbers),
	};

	signal(SIGPIPE, SIG_IGN);
	if (under_shim() && !getenv("ASYS_TEST_CLOSE"))
		return SKIPPED;
	return group(tests, argc, argv);
}
