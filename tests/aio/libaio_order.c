/* SPDX-License-Identifier: MIT */
/* What programs see in the order of submission under the kernel: page cache, pipes, sockets. */
#include "libaio_support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define WRITES 64

static void get_all(io_context_t ctx, int n, long result)
{
	while (n--)
		check_eq(get_event(ctx).res, result);
}

/* Of writes to one place the last one stays. */
static void test_overlap(void **state)
{
	static unsigned char mem[WRITES][4096];
	struct iocb cb[WRITES];
	int fd = numbered_file(2, 0);
	io_context_t ctx = setup(WRITES);

	(void)state;
	for (unsigned rounds = iterations(20); rounds--;) {
		for (int k = 0; k < WRITES; k++) {
			memset(mem[k], k + 1, 4096);
			io_prep_pwrite(&cb[k], fd, mem[k], 4096, k % 3 * 1000);
			check_eq(submit_iocb(ctx, &cb[k]), 1);
		}
		get_all(ctx, WRITES, 4096);
		check_eq(pread(fd, mem[0], 4096, WRITES % 3 * 1000 + 0), 4096);
		check_eq(mem[0][4095], (WRITES - 1) % 3 == WRITES % 3 ? WRITES : mem[0][4095]);
		check_eq(pread(fd, mem[0], 1, (WRITES - 1) % 3 * 1000), 1);
		check_eq(mem[0][0], WRITES);
	}
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

/* A read after a write has what was written, a write after a read does not disturb it. */
static void test_read_write(void **state)
{
	static unsigned char out[4096], before[4096], after[4096];
	int fd = numbered_file(2, 0);
	io_context_t ctx = setup(8);
	struct iocb cb[3], *list[3] = { &cb[0], &cb[1], &cb[2] };

	(void)state;
	for (unsigned k = 0; k < iterations(200); k++) {
		memset(out, (int)(k % 200 + 2), 4096);
		io_prep_pread(&cb[0], fd, before, 4096, 0);
		io_prep_pwrite(&cb[1], fd, out, 4096, 0);
		io_prep_pread(&cb[2], fd, after, 4096, 0);
		check_eq(io_submit(ctx, 3, list), 3);
		get_all(ctx, 3, 4096);
		check_page(before, k ? (k - 1) % 200 + 1 : 0);
		check_page(after, k % 200 + 1);
	}
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

static void test_append(void **state)
{
	static unsigned char mem[WRITES];
	struct iocb cb[WRITES];
	int fd = numbered_file(0, O_APPEND);
	io_context_t ctx = setup(WRITES);

	(void)state;
	for (int k = 0; k < WRITES; k++) {
		mem[k] = (unsigned char)k;
		io_prep_pwrite(&cb[k], fd, &mem[k], 1, 0);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	get_all(ctx, WRITES, 1);
	check_eq(pread(fd, mem, WRITES, 0), WRITES);
	for (int k = 0; k < WRITES; k++)
		check_eq(mem[k], k);
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

/* The same by a flag of the operation, whatever their offsets are. */
static void test_append_flag(void **state)
{
	static unsigned char mem[WRITES], got[WRITES];
	struct iocb cb[WRITES], *list[WRITES];
	int fd = numbered_file(0, 0);
	io_context_t ctx = setup(WRITES);

	(void)state;
	for (unsigned round = iterations(50); round--;) {
		for (int k = 0; k < WRITES; k++) {
			mem[k] = (unsigned char)k;
			io_prep_pwrite(&cb[k], fd, &mem[k], 1, k * 10);
			cb[k].aio_rw_flags = RWF_APPEND;
			list[k] = &cb[k];
		}
		check_eq(ftruncate(fd, 0), 0);
		check_eq(io_submit(ctx, WRITES, list), WRITES);
		get_all(ctx, WRITES, 1);
		check_eq(pread(fd, got, WRITES, 0), WRITES);
		check_eq(memcmp(got, mem, WRITES), 0);
	}
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

/* Where a file ends is what the writes before have made of it: a hole, appended bytes. */
static void test_end(void **state)
{
	static unsigned char mem[4096], got[4096];
	struct iocb cb[2], *list[2] = { &cb[0], &cb[1] };
	int fd = numbered_file(0, 0), again = numbered_file(1, O_APPEND);
	io_context_t ctx = setup(8);

	(void)state;
	io_prep_pwrite(&cb[0], fd, mem, 4096, 8192);
	io_prep_pread(&cb[1], fd, got, 4096, 4096);
	check_eq(io_submit(ctx, 2, list), 2);
	get_all(ctx, 2, 4096);
	io_prep_pwrite(&cb[0], again, mem, 4096, 0);
	io_prep_pread(&cb[1], again, got, 4096, 4096);
	check_eq(io_submit(ctx, 2, list), 2);
	get_all(ctx, 2, 4096);
	check_eq(io_destroy(ctx), 0);
	close(fd);
	close(again);
}

/* fsync ends after the writes that were submitted before it. */
static void test_sync(void **state)
{
	static unsigned char mem[4096];
	struct iocb cb[WRITES + 1];
	int fd = numbered_file(WRITES, 0), writes = 0;
	io_context_t ctx = setup(WRITES + 1);

	(void)state;
	for (int k = 0; k < WRITES; k++) {
		io_prep_pwrite(&cb[k], fd, mem, 4096, k * 4096ll);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
	io_prep_fsync(&cb[WRITES], fd);
	check_eq(submit_iocb(ctx, &cb[WRITES]), 1);
	for (int k = 0; k <= WRITES; k++) {
		struct io_event event = get_event(ctx);

		if (event.obj == &cb[WRITES])
			check_eq(writes, WRITES);
		writes++;
	}
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

/* Bytes of a stream go and come in the order of the operations. */
static void stream(int in, int out, bool reads_first)
{
	static unsigned char sent[WRITES], got[WRITES];
	struct iocb writes[WRITES], reads[WRITES];
	io_context_t ctx = setup(2 * WRITES);

	for (int round = 0; round < 2; round++) {
		for (int k = 0; k < WRITES; k++) {
			sent[k] = (unsigned char)k;
			got[k] = 0xff;
			if ((round == 0) == reads_first)
				io_prep_pread(&reads[k], in, &got[k], 1, 0);
			else
				io_prep_pwrite(&writes[k], out, &sent[k], 1, 0);
			check_eq(submit_iocb(ctx,
					     (round == 0) == reads_first ? &reads[k] : &writes[k]),
				 1);
		}
	}
	get_all(ctx, 2 * WRITES, 1);
	for (int k = 0; k < WRITES; k++)
		check_eq(got[k], k);
	check_eq(io_destroy(ctx), 0);
}

static void test_pipe(void **state)
{
	int fd[2];

	(void)state;
	make_pipe(fd);
	stream(fd[0], fd[1], false);
	if (under_shim())
		stream(fd[0], fd[1], true);
	close(fd[0]);
	close(fd[1]);
}

static void test_socket(void **state)
{
	int fd[2];

	(void)state;
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	stream(fd[0], fd[1], false);
	if (under_shim())
		stream(fd[0], fd[1], true);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_overlap),	    contract(test_read_write), contract(test_append),
		contract(test_append_flag), contract(test_end),	       contract(test_sync),
		contract(test_pipe),	    contract(test_socket),
	};

	return group(tests, argc, argv);
}
