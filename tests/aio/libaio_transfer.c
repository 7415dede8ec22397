/* SPDX-License-Identifier: MIT */
/* What is read and written is right, whatever becomes of iocb and iovecs after io_submit. */
#include "libaio_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PAGES 64u

static void read_all(int fd, unsigned char *mem)
{
	struct iocb cb[PAGES], *list[PAGES];
	struct io_event events[PAGES];
	io_context_t ctx = setup(PAGES);
	unsigned got = 0;

	for (unsigned k = 0; k < PAGES; k++) {
		list[k] = &cb[k];
		io_prep_pread(&cb[k], fd, mem + 4096 * k, 4096, 4096ll * ((k * 37) % PAGES));
		cb[k].data = (void *)(uintptr_t)(k + 1000);
	}
	check_eq(io_submit(ctx, PAGES, list), PAGES);
	memset(cb, 0xee, sizeof(cb));
	while (got < PAGES) {
		int n = io_getevents(ctx, 1, PAGES - got, events, NULL);

		check(n > 0);
		for (int i = 0; i < n; i++) {
			unsigned k = (unsigned)(uintptr_t)events[i].data - 1000;

			check(events[i].obj == &cb[k]);
			check_eq(events[i].res, 4096);
			check_eq(events[i].res2, 0);
			check_page(mem + 4096 * k, (k * 37) % PAGES);
		}
		got += (unsigned)n;
	}
	check_nothing(ctx);
	check_eq(io_destroy(ctx), 0);
}

static void test_read(void **state)
{
	unsigned char *mem = aligned_alloc(4096, 4096 * PAGES);
	int fd = numbered_file(PAGES, 0);

	(void)state;
	read_all(fd, mem);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* from the disk this time */
	read_all(fd, mem);
	close(fd);
	free(mem);
}

/* A file in memory is O_DIRECT by name only, and not before Linux 6.6. */
static void test_direct_in_memory(void **state)
{
	unsigned char *mem;
	int memory = memfd_create("file", MFD_CLOEXEC), fd;
	char name[64];
	struct iocb cb[2], *list[2] = { &cb[0], &cb[1] };
	io_context_t ctx;

	(void)state;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", memory);
	fd = open(name, O_RDWR | O_DIRECT | O_CLOEXEC);
	close(memory);
	if (fd < 0)
		skip();
	mem = aligned_alloc(4096, 4096 * PAGES);
	for (unsigned k = 0; k < PAGES; k++) {
		memset(mem, (int)k + 1, 4096);
		check_eq(pwrite(fd, mem, 4096, 4096 * k), 4096);
	}
	read_all(fd, mem);
	ctx = setup(4);
	memset(mem, 78, 4096);
	io_prep_pwrite(&cb[0], fd, mem, 4096, 4096);
	io_prep_pread(&cb[1], fd, mem + 4096, 4096, 4096);
	check_eq(io_submit(ctx, 2, list), 2);
	check_eq(get_event(ctx).res, 4096);
	check_eq(get_event(ctx).res, 4096);
	check_page(mem + 4096, 77); /* in order, as it has no disk to go to */
	check_eq(io_destroy(ctx), 0);
	close(fd);
	free(mem);
}

static void test_direct(void **state)
{
	unsigned char *mem = aligned_alloc(4096, 4096 * PAGES);
	int fd = numbered_file(PAGES, O_DIRECT);
	struct iocb cb;
	io_context_t ctx;

	(void)state;
	read_all(fd, mem);
	ctx = setup(4);
	memset(mem, 9, 4096);
	io_prep_pwrite(&cb, fd, mem, 4096, 4096);
	check_eq(result_now(ctx, &cb), 4096);
	memset(mem, 0, 4096);
	io_prep_pread(&cb, fd, mem, 4096, 4096);
	check_eq(result_now(ctx, &cb), 4096);
	check_page(mem, 8);
	io_prep_pread(&cb, fd, mem + 1, 4096, 1); /* not aligned: refused, or done all the same */
	check_one_of(result_now(ctx, &cb), -EINVAL, 4096);
	check_eq(io_destroy(ctx), 0);
	close(fd);
	free(mem);
}

/* At and beyond the end of the file. */
static void test_end(void **state)
{
	static unsigned char mem[3 * 4096];
	int fd = numbered_file(2, 0);
	io_context_t ctx = setup(4);
	struct iocb cb;

	(void)state;
	io_prep_pread(&cb, fd, mem, sizeof(mem), 0);
	check_eq(result_now(ctx, &cb), 2 * 4096);
	io_prep_pread(&cb, fd, mem, 4096, 2 * 4096 - 5);
	check_eq(result_now(ctx, &cb), 5);
	io_prep_pread(&cb, fd, mem, 4096, 2 * 4096);
	check_eq(result_now(ctx, &cb), 0);
	io_prep_pread(&cb, fd, mem, 4096, 1 << 20);
	check_eq(result_now(ctx, &cb), 0);
	check_eq(lseek(fd, 0, SEEK_CUR), 0);
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

static void test_vectors(void **state)
{
	static unsigned char a[4096], b[4096];
	struct iovec iov[3] = { { a, 4096 }, { NULL, 0 }, { b, 4096 } };
	int fd = numbered_file(4, 0);
	io_context_t ctx = setup(4);
	struct iocb cb;

	(void)state;
	io_prep_preadv(&cb, fd, iov, 3, 4096);
	check_eq(submit_iocb(ctx, &cb), 1);
	memset(iov, 0xee, sizeof(iov));
	check_eq(get_event(ctx).res, 2 * 4096);
	check_page(a, 1);
	check_page(b, 2);
	iov[0] = (struct iovec){ b, 4096 };
	iov[1] = (struct iovec){ a, 4096 };
	io_prep_pwritev(&cb, fd, iov, 2, 0);
	check_eq(submit_iocb(ctx, &cb), 1);
	memset(iov, 0xee, sizeof(iov));
	check_eq(get_event(ctx).res, 2 * 4096);
	check_eq(pread(fd, a, 4096, 0), 4096);
	check_page(a, 2);
	iov[0] = (struct iovec){ a, 4096 };
	io_prep_preadv(&cb, fd, iov, 1, 3 * 4096);
	check_eq(result_now(ctx, &cb), 4096);
	check_page(a, 3);
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

static void test_append(void **state)
{
	int fd = numbered_file(1, O_APPEND);
	io_context_t ctx = setup(4);
	unsigned char mem[4096];
	struct iocb cb;

	(void)state;
	memset(mem, 2, sizeof(mem));
	io_prep_pwrite(&cb, fd, mem, sizeof(mem), 0);
	check_eq(result_now(ctx, &cb), 4096);
	check_eq(lseek(fd, 0, SEEK_END), 2 * 4096);
	check_eq(pread(fd, mem, 4096, 0), 4096);
	check_page(mem, 0);
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

static void stream(int in, int out, long offset)
{
	io_context_t ctx = setup(4);
	char got[16] = "";
	struct iovec iov[2] = { { "he", 2 }, { "llo", 3 } };
	struct iocb cb;

	io_prep_pwrite(&cb, out, "abc", 3, offset);
	check_eq(result_now(ctx, &cb), 3);
	io_prep_pread(&cb, in, got, sizeof(got), offset);
	check_eq(result_now(ctx, &cb), 3);
	check_eq(memcmp(got, "abc", 3), 0);
	io_prep_pwritev(&cb, out, iov, 2, 0);
	check_eq(result_now(ctx, &cb), 5);
	iov[0] = (struct iovec){ got, 1 };
	iov[1] = (struct iovec){ got + 1, 9 };
	io_prep_preadv(&cb, in, iov, 2, 0);
	check_eq(result_now(ctx, &cb), 5);
	check_eq(memcmp(got, "hello", 5), 0);
	check_eq(io_destroy(ctx), 0);
}

static void test_streams(void **state)
{
	io_context_t ctx;
	struct iocb cb;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	stream(fd[0], fd[1], 77); /* pipes do not care */
	close(fd[0]);
	close(fd[1]);
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	stream(fd[0], fd[1], 0);
	ctx = setup(4);
	io_prep_pwrite(&cb, fd[1], "abc", 3, 77);
	check_eq(result_now(ctx, &cb), -ESPIPE);
	io_prep_pread(&cb, fd[0], &byte, 1, 5);
	check_eq(result_now(ctx, &cb), -ESPIPE);
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
}

/* The number of a file becomes that of a pipe, and back. */
static void test_number_again(void **state)
{
	int fd = numbered_file(2, 0), other = numbered_file(3, 0), pipes[2];
	io_context_t ctx = setup(4);
	unsigned char mem[4096];
	struct iocb cb;

	(void)state;
	make_pipe(pipes);
	for (int k = 0; k < 4; k++) {
		io_prep_pread(&cb, fd, mem, 4096, 4096);
		check_eq(result_now(ctx, &cb), 4096);
	}
	check_eq(dup2(pipes[0], fd), fd);
	check_eq(write(pipes[1], "xyz", 3), 3);
	io_prep_pread(&cb, fd, mem, 4096, 4096);
	check_eq(result_now(ctx, &cb), 3);
	check_eq(dup2(other, fd), fd);
	io_prep_pread(&cb, fd, mem, 4096, 2 * 4096);
	check_eq(result_now(ctx, &cb), 4096);
	check_page(mem, 2);
	check_eq(lseek(fd, 0, SEEK_CUR), 0);
	io_prep_pwrite(&cb, fd, mem, 4096, 0);
	check_eq(result_now(ctx, &cb), 4096);
	check_eq(dup2(pipes[1], fd), fd);
	io_prep_pwrite(&cb, fd, "abcd", 4, 0);
	check_eq(result_now(ctx, &cb), 4);
	check_eq(read(pipes[0], mem, sizeof(mem)), 4);
	check_eq(io_destroy(ctx), 0);
	close(fd);
	close(other);
	close(pipes[0]);
	close(pipes[1]);
}

/* Reads that find nothing in memory, one after the other, then everything, then another file: whatever was
 * learned of a descriptor, data and errors are right. */
static void test_cold_and_warm(void **state)
{
	int fd = numbered_file(PAGES, 0), pipes[2];
	io_context_t ctx = setup(4);
	unsigned char mem[4096];
	struct iocb cb;

	(void)state;
	for (unsigned k = 0; k < 6 * PAGES; k++) {
		if (k < 2 * PAGES || k >= 4 * PAGES)
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		io_prep_pread(&cb, fd, mem, 4096, 4096ll * (k * 37 % PAGES));
		check_eq(result_now(ctx, &cb), 4096);
		check_page(mem, k * 37 % PAGES);
	}
	io_prep_pread(&cb, fd, mem, 4096, INT64_MAX - 4);
	check_eq(submit_iocb(ctx, &cb), -EINVAL);
	make_pipe(pipes);
	check_eq(dup2(pipes[1], fd), fd);
	io_prep_pread(&cb, fd, mem, 4096, 4096);
	check_eq(submit_iocb(ctx, &cb), -EBADF);
	check_eq(dup2(pipes[0], fd), fd);
	check_eq(write(pipes[1], "xyz", 3), 3);
	check_eq(result_now(ctx, &cb), 3);
	check_eq(close(fd), 0);
	check_eq(submit_iocb(ctx, &cb), -EBADF);
	check_eq(io_destroy(ctx), 0);
	close(pipes[0]);
	close(pipes[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_read),
		contract(test_direct),
		contract(test_direct_in_memory),
		contract(test_end),
		contract(test_vectors),
		contract(test_append),
		contract(test_streams),
		contract(test_number_again),
		contract(test_cold_and_warm),
	};

	return group(tests, argc, argv);
}
