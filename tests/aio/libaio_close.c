/* SPDX-License-Identifier: MIT */
/*
 * Descriptors are closed while operations on them are in flight, and other files opened under their
 * numbers: the operations are about the files that they were submitted for. Under the kernel io_submit
 * takes the file; the shim has to see the close (libasys-syscall.so).
 */
#include "libaio_support.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define PAGE 4096
#define WRITES 32
#define HIGH_NUMBER 700

/* How a number is closed and another file put under it. */
static void by_close(int fd, int other)
{
	check_eq(close(fd), 0);
	check_eq(fcntl(other, F_DUPFD_CLOEXEC, fd), fd);
}

static void by_dup2(int fd, int other)
{
	check_eq(dup2(other, fd), fd);
}

static void by_dup3(int fd, int other)
{
	check_eq(dup3(other, fd, O_CLOEXEC), fd);
}

/* Not in every C library. */
static int close_all(unsigned first, unsigned last)
{
	int (*function)(unsigned, unsigned, int) =
		(int (*)(unsigned, unsigned, int))(intptr_t)dlsym(RTLD_DEFAULT, "close_range");

	if (function)
		return function(first, last, 0);
	return (int)syscall(SYS_close_range, first, last, 0);
}

static void close_from(int first)
{
	void (*function)(int) = (void (*)(int))(intptr_t)dlsym(RTLD_DEFAULT, "closefrom");

	if (function)
		function(first);
	else
		check_eq(close_all((unsigned)first, UINT_MAX), 0);
}

static void by_range(int fd, int other)
{
	check_eq(close_all((unsigned)fd, (unsigned)fd), 0);
	check_eq(fcntl(other, F_DUPFD_CLOEXEC, fd), fd);
}

static void by_number(int fd, int other)
{
	check_eq(syscall(SYS_dup3, other, fd, 0), fd);
}

static void close_by_number(int fd, int other)
{
	check_eq(syscall(SYS_close, fd), 0);
	check_eq(fcntl(other, F_DUPFD_CLOEXEC, fd), fd);
}

static void range_by_number(int fd, int other)
{
	if (syscall(SYS_close_range, fd, fd, 0))
		check_eq(close(fd), 0); /* before Linux 5.9 */
	check_eq(fcntl(other, F_DUPFD_CLOEXEC, fd), fd);
}

static void (*const ways[])(int, int) = { by_close,  by_dup2,	      by_dup3,	      by_range,
					  by_number, close_by_number, range_by_number };

#define WAYS (sizeof(ways) / sizeof(*ways))

/* A context to which the program comes back soon, so that the shim leaves calls to it. */
static io_context_t prompt_context(int events)
{
	static unsigned char mem[PAGE];
	io_context_t ctx = setup(events);
	int fd = numbered_file(1, 0);
	struct iocb cb;

	for (int k = 0; k < 40; k++) {
		io_prep_pwrite(&cb, fd, mem, PAGE, 0);
		check_eq(result_now(ctx, &cb), PAGE);
	}
	close(fd);
	return ctx;
}

/* Two descriptors of one file: the first is lost with its number. */
static int file_twice(unsigned pages, int flags, int *ret_keep)
{
	char path[64];
	int fd;

	*ret_keep = numbered_file(pages, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *ret_keep);
	fd = open(path, O_RDWR | O_CLOEXEC | flags);
	if (fd < 0 && (flags & O_DIRECT))
		skip_because("no O_DIRECT on this file system");
	check(fd >= 0);
	return fd;
}

static void check_file(int fd, unsigned page, unsigned char value)
{
	unsigned char mem[PAGE];

	check_eq(pread(fd, mem, PAGE, (off_t)page * PAGE), PAGE);
	for (unsigned k = 0; k < PAGE; k++)
		if (mem[k] != value)
			support_fail(__FILE__, __LINE__, "page %u, byte %u: %u, not %u", page, k,
				     mem[k], value);
}

static void get_results(io_context_t ctx, int n, long result)
{
	while (n--)
		check_eq(get_event(ctx).res, result);
}

/* Writes, an fsync after them, and reads. */
static void lose_number(int flags, void (*way)(int, int), bool sync)
{
	static _Alignas(PAGE) unsigned char out[WRITES][PAGE];
	struct iocb cb[WRITES + 1];
	int keep, fd = file_twice(WRITES, flags, &keep), other = numbered_file(WRITES, 0);
	io_context_t ctx = prompt_context(WRITES + 1);

	for (int k = 0; k < WRITES; k++) {
		memset(out[k], 100 + k, PAGE);
		io_prep_pwrite(&cb[k], fd, out[k], PAGE, k * (long long)PAGE);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	io_prep_fsync(&cb[WRITES], fd);
	if (sync)
		check_eq(submit_iocb(ctx, &cb[WRITES]), 1);
	way(fd, other);
	for (int k = 0; k < WRITES + sync; k++) {
		struct io_event event = get_event(ctx);

		check_eq(event.res, event.obj == &cb[WRITES] ? 0 : PAGE);
	}
	for (unsigned k = 0; k < WRITES; k++) {
		check_file(keep, k, (unsigned char)(100 + k));
		check_file(other, k, (unsigned char)(k + 1));
	}
	check_eq(io_destroy(ctx), 0);
	close(fd);
	close(keep);
	close(other);
}

static void test_write(void **state)
{
	(void)state;
	for (unsigned k = 0; k < WAYS; k++)
		lose_number(0, ways[k], false);
}

static void test_sync(void **state)
{
	(void)state;
	lose_number(0, by_close, true);
	lose_number(0, by_dup2, true);
}

static void test_direct_write(void **state)
{
	(void)state;
	for (unsigned k = 0; k < WAYS; k++)
		lose_number(O_DIRECT, ways[k], false);
}

/* What is read is not in memory. */
static void read_cold(int flags, void (*way)(int, int))
{
	static _Alignas(PAGE) unsigned char in[WRITES][PAGE];
	struct iocb cb[WRITES];
	int keep, fd = file_twice(WRITES, flags, &keep), other = memory_file();
	io_context_t ctx = prompt_context(WRITES);

	memset(in, 0, sizeof(in));
	check_eq(ftruncate(other, WRITES * PAGE), 0);
	check_eq(fsync(keep), 0);
	posix_fadvise(keep, 0, 0, POSIX_FADV_DONTNEED);
	for (int k = 0; k < WRITES; k++) {
		io_prep_pread(&cb[k], fd, in[k], PAGE, k * (long long)PAGE);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	way(fd, other);
	get_results(ctx, WRITES, PAGE);
	for (unsigned k = 0; k < WRITES; k++)
		check_page(in[k], k);
	check_eq(io_destroy(ctx), 0);
	close(fd);
	close(keep);
	close(other);
}

static void test_read(void **state)
{
	(void)state;
	for (unsigned k = 0; k < WAYS; k++)
		read_cold(0, ways[k]);
}

static void test_direct_read(void **state)
{
	(void)state;
	for (unsigned k = 0; k < WAYS; k++)
		read_cold(O_DIRECT, ways[k]);
}

/* Each waits for the one before: of writes to one place the last one stays. */
static void test_held(void **state)
{
	static unsigned char out[WRITES][PAGE];
	struct iocb cb[WRITES];
	int keep, fd = file_twice(1, 0, &keep), other = numbered_file(1, 0);
	io_context_t ctx = prompt_context(WRITES);

	(void)state;
	for (int k = 0; k < WRITES; k++) {
		memset(out[k], 100 + k, PAGE);
		io_prep_pwrite(&cb[k], fd, out[k], PAGE, 0);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	by_close(fd, other);
	get_results(ctx, WRITES, PAGE);
	check_file(keep, 0, 100 + WRITES - 1);
	check_file(other, 0, 1);
	check_eq(io_destroy(ctx), 0);
	close(fd);
	close(keep);
	close(other);
}

/* With a number that the library, which opens descriptors when it needs them, does not get. */
static int high_eventfd(void)
{
	int low = eventfd(0, EFD_NONBLOCK), high = fcntl(low, F_DUPFD_CLOEXEC, HIGH_NUMBER);

	close(low);
	return high;
}

/* The notice does not go to another eventfd that is under the number now. */
static void test_resfd(void **state)
{
	static unsigned char out[PAGE];
	struct iocb cb[2];
	int keep, fd = file_twice(1, 0, &keep), pipes[2], bell = high_eventfd(), other;
	uint64_t count;
	io_context_t ctx = setup(2);

	(void)state;
	make_pipe(pipes);
	io_prep_poll(&cb[0], pipes[0], POLLIN);
	io_set_eventfd(&cb[0], bell);
	check_eq(submit_iocb(ctx, &cb[0]), 1);
	memset(out, 77, PAGE);
	io_prep_pwrite(&cb[1], fd, out, PAGE, 0);
	io_set_eventfd(&cb[1], bell);
	check_eq(submit_iocb(ctx, &cb[1]), 1);
	check_eq(close(fd), 0);
	check_file(keep, 0, 77);
	check_eq(get_event(ctx).res, PAGE);
	check_eq(close(bell), 0);
	other = high_eventfd();
	check_eq(other, bell);
	check_eq(write(pipes[1], "a", 1), 1);
	check(get_event(ctx).res & POLLIN);
	sleep_ms(20);
	check_eq(read(other, &count, sizeof(count)), -1);
	check_eq(io_destroy(ctx), 0);
	close(other);
	close(keep);
	close(pipes[0]);
	close(pipes[1]);
}

/* Also those of other numbers; closefrom from a high number, since the shim has descriptors too. */
static void test_ranges(void **state)
{
	static unsigned char out[3][PAGE];
	struct iocb cb[3];
	int keep, fd = file_twice(3, 0, &keep);
	io_context_t ctx = prompt_context(3);

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int k = 0; k < 3; k++) {
			check_eq(fcntl(fd, F_DUPFD_CLOEXEC, HIGH_NUMBER + 50 * k),
				 HIGH_NUMBER + 50 * k);
			memset(out[k], 50 * round + k, PAGE);
			io_prep_pwrite(&cb[k], HIGH_NUMBER + 50 * k, out[k], PAGE, PAGE * k);
			check_eq(submit_iocb(ctx, &cb[k]), 1);
		}
		if (round)
			check_eq(close_all(HIGH_NUMBER, HIGH_NUMBER + 200), 0);
		else
			close_from(HIGH_NUMBER);
		get_results(ctx, 3, PAGE);
		for (int k = 0; k < 3; k++)
			check_file(keep, (unsigned)k, (unsigned char)(50 * round + k));
	}
	check_eq(io_destroy(ctx), 0);
	close(fd);
	close(keep);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_write), contract(test_sync),	  contract(test_direct_write),
		contract(test_read),  contract(test_direct_read), contract(test_held),
		contract(test_resfd), contract(test_ranges),
	};

	if (under_shim() && !getenv("ASYS_TEST_CLOSE"))
		return SKIPPED;
	return group(tests, argc, argv);
}
