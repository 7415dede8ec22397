/* SPDX-License-Identifier: MIT */
/* Errors come where the kernel gives them: in io_submit or in the event. */
#include "libaio_support.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

static io_context_t ctx;
static int file, pipes[2];
static char buf[4096];
static struct iocb cb;

static int begin(void **state)
{
	(void)state;
	ctx = setup(8);
	file = numbered_file(4, 0);
	make_pipe(pipes);
	return 0;
}

static int end(void **state)
{
	(void)state;
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	return io_destroy(ctx);
}

static int submitted(void)
{
	return submit_iocb(ctx, &cb);
}

static void test_setup(void **state)
{
	io_context_t fresh = NULL, old = ctx;

	(void)state;
	check_eq(io_setup(0, &fresh), -EINVAL);
	check_eq(io_setup(-1, &fresh), -EINVAL);
	check_eq(io_setup(INT_MAX, &fresh), -EINVAL);
	check_eq(io_setup(1, &old), -EINVAL);
	check_eq(io_setup(1, NULL), -EFAULT);
	check_eq(io_queue_init(0, &fresh), -EINVAL);
	check(!fresh);
}

static void test_context(void **state)
{
	struct iocb *p = &cb, *none = NULL;
	struct timespec ms = { 0, 1000000 };
	struct io_event event;
	io_context_t wild = (io_context_t)&cb;

	(void)state;
	io_prep_pread(&cb, file, buf, 10, 0);
	check_eq(io_submit(NULL, 1, &p), -EINVAL);
	check_eq(io_submit(wild, 1, &p), -EINVAL);
	check_eq(io_submit(ctx, -1, &p), -EINVAL);
	check_eq(io_submit(ctx, 0, &p), 0);
	check_eq(io_submit(ctx, 1, NULL), -EFAULT);
	check_eq(io_submit(ctx, 1, &none), -EFAULT);
	check_eq(io_getevents(NULL, 0, 1, &event, &ms), -EINVAL);
	check_eq(io_getevents(wild, 0, 1, &event, &ms), -EINVAL);
	check_eq(io_getevents(ctx, 2, 1, &event, &ms), -EINVAL);
	check_eq(io_getevents(ctx, -1, 1, &event, &ms), -EINVAL);
	check_eq(io_cancel(NULL, &cb, &event), -EINVAL);
	check_eq(io_destroy(NULL), -EINVAL);
	check_eq(io_destroy(wild), -EINVAL);
	check_nothing(ctx);
}

static void test_errno(void **state)
{
	(void)state;
	errno = 4321;
	io_prep_pread(&cb, 12345, buf, 10, 0);
	check_eq(submitted(), -EBADF);
	check_eq(io_destroy(NULL), -EINVAL);
	check_nothing(ctx);
	check_eq(errno, 4321);
}

static void test_descriptor(void **state)
{
	int writes = open("/proc/self/fd/0", O_WRONLY), name;
	char path[64];

	(void)state;
	if (writes >= 0)
		close(writes);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	writes = open(path, O_WRONLY);
	name = open(path, O_PATH);
	check(writes >= 0 && name >= 0);
	io_prep_pread(&cb, 12345, buf, 10, 0);
	check_eq(submitted(), -EBADF);
	io_prep_pread(&cb, -1, buf, 10, 0);
	check_eq(submitted(), -EBADF);
	io_prep_pread(&cb, writes, buf, 10, 0);
	check_eq(submitted(), -EBADF);
	io_prep_pread(&cb, name, buf, 10, 0);
	check_eq(submitted(), -EBADF);
	io_prep_fsync(&cb, name);
	check_eq(submitted(), -EBADF);
	io_prep_poll(&cb, 12345, POLLIN);
	check_eq(submitted(), -EBADF);
	io_prep_pread(&cb, pipes[1], buf, 10, 0);
	check_eq(submitted(), -EBADF);
	io_prep_pwrite(&cb, pipes[0], buf, 10, 0);
	check_eq(submitted(), -EBADF);
	close(writes);
	close(name);
	check_nothing(ctx);
}

/* A read that was good before on the same number does not make a bad one good. */
static void test_closed(void **state)
{
	int fd = dup(file);

	(void)state;
	for (int k = 0; k < 3; k++) {
		io_prep_pread(&cb, fd, buf, 10, 0);
		check_eq(result_now(ctx, &cb), 10);
	}
	close(fd);
	io_prep_pread(&cb, fd, buf, 10, 0);
	check_eq(submitted(), -EBADF);
	io_prep_pwrite(&cb, fd, buf, 10, 0);
	check_eq(submitted(), -EBADF);
}

static void test_words(void **state)
{
	(void)state;
	io_prep_pread(&cb, file, buf, 10, 0);
	cb.u.c.__pad3 = 1;
	check_eq(submitted(), -EINVAL);
	io_prep_pread(&cb, file, buf, SIZE_MAX, 0);
	check_eq(submitted(), -EINVAL);
	io_prep_pread(&cb, file, buf, 10, -5);
	check_eq(submitted(), -EINVAL);
	io_prep_pread(&cb, file, buf, 10, LLONG_MAX - 4);
	check_eq(submitted(), -EINVAL);
	io_prep_pwrite(&cb, file, buf, 10, -5);
	check_eq(submitted(), -EINVAL);
	io_prep_pwrite(&cb, file, buf, 10, LLONG_MAX - 4);
	check_eq(submitted(), -EINVAL);
	io_prep_pread(&cb, file, (void *)(uintptr_t)0xffff800000000000, 10, 0);
	check_eq(submitted(), -EFAULT);
	io_prep_pread(&cb, file, (void *)(uintptr_t)8, 10, 0);
	check_eq(result_now(ctx, &cb), -EFAULT);
	io_prep_pread(&cb, file, (void *)(uintptr_t)8, 0, 0);
	check_eq(result_now(ctx, &cb), 0);
	check_nothing(ctx);
}

static void test_opcodes(void **state)
{
	static const int bad[] = { IO_CMD_NOOP, 4, 9, 99, -1 };

	(void)state;
	for (unsigned k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		io_prep_pread(&cb, file, buf, 10, 0);
		cb.aio_lio_opcode = (short)bad[k];
		check_eq(submitted(), -EINVAL);
		cb.aio_fildes = 12345;
		check_eq(submitted(), -EBADF);
	}
}

static void test_sync(void **state)
{
	int null = open("/dev/null", O_RDWR), folder = open("/tmp", O_RDONLY | O_DIRECTORY);

	(void)state;
	io_prep_fsync(&cb, pipes[0]);
	check_eq(submitted(), -EINVAL);
	io_prep_fdsync(&cb, null);
	check_eq(submitted(), -EINVAL);
	io_prep_fsync(&cb, file);
	cb.u.c.nbytes = 1;
	check_eq(submitted(), -EINVAL);
	io_prep_fdsync(&cb, file);
	cb.u.c.offset = 1;
	check_eq(submitted(), -EINVAL);
	io_prep_fsync(&cb, file);
	check_eq(result_now(ctx, &cb), 0);
	io_prep_fdsync(&cb, file);
	check_eq(result_now(ctx, &cb), 0);
	io_prep_fsync(&cb, folder);
	check_eq(result_now(ctx, &cb), 0);
	io_prep_pread(&cb, folder, buf, 10, 0);
	check_eq(submitted(), -EINVAL);
	close(null);
	close(folder);
}

static void test_poll(void **state)
{
	(void)state;
	io_prep_poll(&cb, pipes[0], 0x10001);
	check_eq(submitted(), -EINVAL);
	io_prep_poll(&cb, pipes[0], POLLIN);
	cb.u.c.offset = 1;
	check_eq(submitted(), -EINVAL);
	io_prep_poll(&cb, file, 0);
	check_eq(submitted(), -EINVAL);
	io_prep_poll(&cb, file, POLLIN);
	check_eq(result_now(ctx, &cb), POLLIN);
	io_prep_poll(&cb, pipes[1], POLLIN | POLLOUT);
	check_eq(result_now(ctx, &cb), POLLOUT);
}

static void test_vectors(void **state)
{
	struct iovec iov[2] = { { buf, 10 }, { buf + 10, SIZE_MAX } };

	(void)state;
	io_prep_preadv(&cb, file, iov, 2, 0);
	check_eq(submitted(), -EINVAL);
	io_prep_preadv(&cb, file, iov, -1, 0);
	check_eq(submitted(), -EINVAL);
	io_prep_preadv(&cb, file, iov, IOV_MAX + 1, 0);
	check_eq(submitted(), -EINVAL);
	io_prep_preadv(&cb, file, (struct iovec *)(uintptr_t)8, 1, 0);
	check_eq(submitted(), -EFAULT);
	io_prep_preadv(&cb, file, iov, 0, 0);
	check_eq(result_now(ctx, &cb), 0);
	io_prep_preadv(&cb, 12345, iov, 2, 0);
	check_eq(submitted(), -EBADF);
}

static void test_flags(void **state)
{
	struct iovec iov = { buf, 10 };

	(void)state;
	io_prep_preadv2(&cb, file, &iov, 1, 0, 0x4000000);
	check_eq(submitted(), -EOPNOTSUPP);
	io_prep_preadv2(&cb, file, &iov, 1, 0, 0x40); /* RWF_ATOMIC is for writes */
	check_eq(submitted(), -EOPNOTSUPP);
	io_prep_preadv2(&cb, file, &iov, 1, 0, RWF_HIPRI);
	check_eq(result_now(ctx, &cb), 10);
	io_prep_preadv2(&cb, file, &iov, 1, 0, RWF_NOWAIT);
	check_eq(result_now(ctx, &cb), 10);
	io_prep_pwritev2(&cb, file, &iov, 1, 0, RWF_DSYNC);
	check_eq(result_now(ctx, &cb), 10);
}

static void test_priority(void **state)
{
	(void)state;
	io_prep_pread(&cb, file, buf, 10, 0);
	cb.u.c.flags = 2;
	cb.aio_reqprio = (short)(7 << 13);
	check_eq(submitted(), -EINVAL);
	cb.aio_reqprio = 4;
	check_eq(submitted(), -EINVAL);
	cb.aio_reqprio = 2 << 13 | 4;
	check_eq(result_now(ctx, &cb), 10);
	cb.aio_reqprio = 3 << 13;
	check_eq(result_now(ctx, &cb), 10);
	cb.aio_reqprio = 1 << 13 | 4;
	if (is_root())
		check_eq(result_now(ctx, &cb), 10);
	else
		check_eq(submitted(), -EPERM);
}

static void test_resfd(void **state)
{
	int event = eventfd(0, EFD_CLOEXEC);

	(void)state;
	io_prep_pread(&cb, file, buf, 10, 0);
	io_set_eventfd(&cb, file);
	check_eq(submitted(), -EINVAL);
	io_set_eventfd(&cb, pipes[0]);
	check_eq(submitted(), -EINVAL);
	io_set_eventfd(&cb, 12345);
	check_eq(submitted(), -EBADF);
	io_set_eventfd(&cb, event);
	cb.aio_fildes = 12345;
	check_eq(submitted(), -EBADF);
	close(event);
	check_nothing(ctx);
}

/* The first bad one is the error, a later one ends the count. */
static void test_count(void **state)
{
	struct iocb bad, *list[3] = { &cb, &bad, &cb };

	(void)state;
	io_prep_pread(&cb, file, buf, 10, 0);
	io_prep_pread(&bad, 12345, buf, 10, 0);
	check_eq(io_submit(ctx, 3, list), 1);
	check_eq(get_event(ctx).res, 10);
	check_eq(io_submit(ctx, 2, list + 1), -EBADF);
	check_nothing(ctx);
}

int main(int argc, char **argv)
{
#define errors(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
	const struct CMUnitTest tests[] = {
		errors(test_setup),	 errors(test_context), errors(test_errno),
		errors(test_descriptor), errors(test_closed),  errors(test_words),
		errors(test_opcodes),	 errors(test_sync),    errors(test_poll),
		errors(test_vectors),	 errors(test_flags),   errors(test_priority),
		errors(test_resfd),	 errors(test_count),
	};

	return group(tests, argc, argv);
}
