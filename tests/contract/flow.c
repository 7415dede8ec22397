/* SPDX-License-Identifier: MIT */
/* Contract: a result can be an argument, and a call can wait for others. */
#include "support.h"

#include <asys/asys.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define REF ASYS_CALL_REF

/* A call whose result is `value`: the new offset of a file. */
static asys_id give(struct asys_queue *q, int fd, uint64_t value)
{
	return submit(q, SYS_lseek, fd, value, SEEK_SET);
}

static void test_copy_chain(void **state)
{
	struct asys_queue *q = open_queue();
	char buf[16] = "", *dir = temp_make(), *from = NULL, *to = NULL;
	int fd;

	(void)state;
	check(asprintf(&from, "%s/from", dir) > 0 && asprintf(&to, "%s/to", dir) > 0);
	fd = open(from, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	check_eq(write(fd, "hello, chain", 12), 12);
	close(fd);
	asys_id in = asys_openat(q, AT_FDCWD, from, O_RDONLY, 0);
	asys_id out = asys_openat(q, AT_FDCWD, to, O_WRONLY | O_CREAT, 0600);
	asys_id n = asys_read(q, in, buf, sizeof(buf));
	asys_id w = asys_write(q, out, buf, n);
	asys_id c1 = asys_close(asys_after(q, n), in);
	asys_id c2 = asys_close(asys_after(q, w), out);

	check_eq(asys_queue_barrier(q), 0);
	check_eq(result_of(q, n), 12);
	check_eq(result_of(q, w), 12);
	check_eq(result_of(q, c1), 0);
	check_eq(result_of(q, c2), 0);
	memset(buf, 0, sizeof(buf));
	fd = open(to, O_RDONLY | O_CLOEXEC);
	check_eq(read(fd, buf, sizeof(buf)), 12);
	check(!strcmp(buf, "hello, chain"));
	close(fd);
	asys_queue_close(q);
	free(from);
	free(to);
	temp_remove(dir);
}

/* Every subset of the six arguments as references, in the one call where all six matter. */
static void test_every_position(void **state)
{
	struct asys_queue *q = open_queue();
	const long page = sysconf(_SC_PAGESIZE);
	int numbers = memory_file(), data = memory_file();
	char *where = mmap(NULL, (size_t)page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	check(where != MAP_FAILED);
	check_eq(ftruncate(data, 2 * page), 0);
	check_eq(pwrite(data, "second page", 11, page), 11);
	/* descriptors are results as well: the one of `data` comes from a dup */
	for (unsigned mask = 0; mask < 64; mask++) {
		const uint64_t arg[6] = { WORD(where), WORD(page),
					  PROT_READ,   MAP_PRIVATE | MAP_FIXED,
					  WORD(data),  WORD(page) };
		struct asys_call call = { .nr = SYS_mmap, .flags = mask };
		asys_id map;

		for (unsigned i = 0; i < 6; i++) {
			call.arg[i] = arg[i];
			if (mask & REF(i))
				call.arg[i] = (uint64_t)give(q, numbers, arg[i]).value;
		}
		map = asys_send(q, &call);
		check_eq(asys_queue_barrier(q), 0);
		check_eq(result_of(q, map), (intptr_t)where);
		check(!memcmp(where, "second page", 11));
		check_eq(drain(q), (unsigned)__builtin_popcount(mask));
		check_eq(mprotect(where, (size_t)page, PROT_NONE), 0);
	}
	munmap(where, (size_t)page);
	asys_queue_close(q);
	close(numbers);
	close(data);
}

static void test_one_result_many_uses(void **state)
{
	struct asys_queue *q = open_queue();
	int fd = memory_file();
	asys_id seven, id;
	char buf[8];

	(void)state;
	check_eq(write(fd, "0123456789abcdef", 16), 16);
	seven = give(q, fd, 7);
	/* twice in one call: pread of 7 bytes at offset 7 */
	id = submit_refs(q, SYS_pread64, REF(2) | REF(3), fd, buf, seven.value, seven.value);
	check_eq(result_of(q, id), 7);
	check(!memcmp(buf, "789abcd", 7));
	/* 64 bits arrive whole */
	id = give(q, fd, 0x123456789abcdeull);
	id = submit_refs(q, SYS_lseek, REF(1), fd, id.value, SEEK_SET);
	check_eq(result_of(q, id), 0x123456789abcdell);
	asys_queue_close(q);
	close(fd);
}

static void test_error_travels(void **state)
{
	struct asys_queue *q = open_queue();
	char buf[8] = "before";
	asys_id in = submit(q, SYS_openat, AT_FDCWD, "/nonexistent/file", O_RDONLY, 0);
	asys_id n = submit_refs(q, SYS_read, REF(0), in.value, buf, sizeof(buf));
	asys_id w = submit_refs(q, SYS_write, REF(2), STDOUT_FILENO, buf, n.value);
	asys_id c = submit_refs(asys_after(q, w), SYS_close, REF(0), in.value);
	asys_id free_one = submit(asys_after(q, c), SYS_getppid, 0);

	(void)state;
	check_eq(asys_queue_barrier(q), -ENOENT);
	check_eq(result_of(q, in), -ENOENT);
	check_eq(result_of(q, n), -ENOENT);
	check_eq(result_of(q, w), -ENOENT);
	check_eq(result_of(q, c), -ENOENT);
	check_eq(result_of(q, free_one), getppid());
	check(!strcmp(buf, "before"));
	asys_queue_close(q);
}

/* Two arguments fail: one of the two errors, and the call does not run. */
static void test_two_errors(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id a = submit(q, SYS_close, -1);
	asys_id b = submit(q, SYS_openat, AT_FDCWD, "/nonexistent/file", O_RDONLY, 0);
	asys_id c = submit_refs(q, SYS_dup3, REF(0) | REF(1), a.value, b.value, 0);

	(void)state;
	check_one_of(result_of(q, c), -EBADF, -ENOENT);
	asys_queue_close(q);
}

static void check_conditions(void)
{
	struct asys_queue *q = open_queue();

	for (unsigned ended = 0; ended < 2; ended++) {
		asys_id good = submit(q, SYS_getppid, 0);
		asys_id bad = submit(q, SYS_close, -1);

		/* the same whether they have ended when the dependent is sent, or not */
		if (ended)
			asys_queue_barrier(q);
		asys_id after[2] = { submit(asys_after(q, good), SYS_getppid, 0),
				     submit(asys_after(q, bad), SYS_getppid, 0) };
		asys_id ok[2] = { submit(asys_after_ok(q, good), SYS_getppid, 0),
				  submit(asys_after_ok(q, bad), SYS_getppid, 0) };
		asys_id error[2] = { submit(asys_after_error(q, good), SYS_getppid, 0),
				     submit(asys_after_error(q, bad), SYS_getppid, 0) };
		asys_id both =
			submit(asys_after_ok(asys_after_error(q, bad), good), SYS_getppid, 0);
		asys_id neither =
			submit(asys_after_ok(asys_after_error(q, good), good), SYS_getppid, 0);

		check_eq(result_of(q, after[0]), getppid());
		check_eq(result_of(q, after[1]), getppid());
		check_eq(result_of(q, ok[0]), getppid());
		check_eq(result_of(q, ok[1]), -ECANCELED);
		check_eq(result_of(q, error[0]), -ECANCELED);
		check_eq(result_of(q, error[1]), getppid());
		check_eq(result_of(q, both), getppid());
		check_eq(result_of(q, neither), -ECANCELED);
		check_eq(result_of(q, good), getppid());
		check_eq(result_of(q, bad), -EBADF);
	}
	/* a cancelled dependent is an error like any other */
	asys_id good = submit(q, SYS_getppid, 0);
	asys_id not_run = submit(asys_after_error(q, good), SYS_getppid, 0);
	asys_id cleanup = submit(asys_after_error(q, not_run), SYS_getppid, 0);

	check_eq(result_of(q, cleanup), getppid());
	asys_queue_close(q);
}

static void test_conditions(void **state)
{
	(void)state;
	uncollected_or_skip("calls that have ended are named: their events must not be taken");
	check_conditions();
}

/* A -> B, C -> D, many times: the order shows in the file. */
static void test_diamond(void **state)
{
	struct asys_queue *q = open_queue();
	const unsigned rounds = iterations(2000);
	int fd = memory_file();
	asys_id last = { 0 };
	char buf[4];

	(void)state;
	check_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	for (unsigned i = 0; i < rounds; i++) {
		asys_id a = submit(i ? asys_after(q, last) : q, SYS_write, fd, "A", 1);
		asys_id b = submit(asys_after(q, a), SYS_write, fd, "B", 1);
		asys_id c = submit(asys_after(q, a), SYS_write, fd, "C", 1);

		last = submit(asys_after(asys_after(q, b), c), SYS_write, fd, "D", 1);
		if (i % 16 == 15) {
			check_eq(result_of(q, last), 1);
			drain(q);
			last = submit(q, SYS_getppid, 0);
			progress();
		}
	}
	check_eq(asys_queue_barrier(q), 0);
	check_eq(lseek(fd, 0, SEEK_END), 4 * (off_t)rounds);
	for (unsigned i = 0; i < rounds; i++) {
		check_eq(pread(fd, buf, 4, 4 * (off_t)i), 4);
		check(buf[0] == 'A' && buf[3] == 'D');
		check((buf[1] == 'B' && buf[2] == 'C') || (buf[1] == 'C' && buf[2] == 'B'));
	}
	asys_queue_close(q);
	close(fd);
}

static void check_ended_but_not_got(void)
{
	struct asys_queue *q = open_queue();
	int fd = memory_file();
	asys_id five = give(q, fd, 5), copy;

	check_eq(asys_queue_barrier(q), 0);
	for (unsigned i = 0; i < 3; i++) {
		copy = submit_refs(q, SYS_lseek, REF(1), fd, five.value, SEEK_SET);
		check_eq(result_of(q, copy), 5);
	}
	check_eq(result_of(q, five), 5);
	copy = submit_refs(q, SYS_lseek, REF(1), fd, five.value, SEEK_SET);
	check_eq(result_of(q, copy), -ESTALE);
	asys_queue_close(q);
	close(fd);
}

static void test_ended_but_not_got(void **state)
{
	(void)state;
	uncollected_or_skip("it is about events that nobody takes");
	check_ended_but_not_got();
}

/* The event of the first is got while its dependents have not started. */
static void test_got_while_needed(void **state)
{
	struct asys_queue *q = open_queue();
	int fd = memory_file(), gate[2];
	asys_id five, closed, copy;
	char byte;

	(void)state;
	make_pipe(gate);
	closed = submit(q, SYS_read, gate[0], &byte, 1);
	five = give(q, fd, 5);
	copy = submit_refs(asys_after(q, closed), SYS_lseek, REF(1), fd, five.value, SEEK_SET);
	check_eq(result_of(q, five), 5);
	check_eq(asys_queue_wait(q, five, NULL), -ESTALE);
	check_eq(write(gate[1], "g", 1), 1);
	check_eq(result_of(q, copy), 5);
	check_eq(result_of(q, closed), 1);
	asys_queue_close(q);
	close(fd);
	close(gate[0]);
	close(gate[1]);
}

static void test_many_dependencies(void **state)
{
	struct asys_queue *q = open_depth(512, 0);
	asys_id gate[200], last;
	char bytes[200];
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 200; i++)
		gate[i] = submit(q, SYS_read, fd[0], &bytes[i], 1);
	for (unsigned i = 0; i < 200; i++)
		asys_after_ok(q, gate[i]);
	last = submit(q, SYS_getppid, 0);
	for (unsigned i = 0; i < 199; i++)
		check_eq(write(fd[1], "x", 1), 1);
	check_eq(asys_queue_get_many(q, (struct asys_event[199]){ 0 }, 199, 199, ASYS_FOREVER),
		 199);
	/* one is missing: not yet */
	check_eq(asys_queue_get_many(q, (struct asys_event[1]){ 0 }, 1, 1, 2000000), 0);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, last), getppid());
	check_eq(drain(q), 1);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* 10,000 steps, each adds one to the offset: the results are the order. */
static void long_chain(uint32_t depth)
{
	enum { LONG = 10000 };
	struct asys_queue *q = open_depth(depth, 0);
	asys_id *id = malloc(LONG * sizeof(*id));
	int fd = memory_file();

	check(id);
	for (unsigned i = 0; i < LONG; i++)
		id[i] = submit(i ? asys_after(q, id[i - 1]) : q, SYS_lseek, fd, 1, SEEK_CUR);
	check_eq(asys_queue_barrier(q), 0);
	for (unsigned i = 0; i < LONG; i++)
		check_eq(result_of(q, id[i]), i + 1);
	/* a result that is handed on 10,000 times */
	id[0] = give(q, fd, 4711);
	for (unsigned i = 1; i < LONG; i++)
		id[i] = submit_refs(q, SYS_lseek, REF(1), fd, id[i - 1].value, SEEK_SET);
	check_eq(asys_queue_barrier(q), 0);
	for (unsigned i = 0; i < LONG; i++)
		check_eq(result_of(q, id[i]), 4711);
	/* and an error */
	id[0] = submit(q, SYS_close, -1);
	for (unsigned i = 1; i < LONG; i++)
		id[i] = submit_refs(q, SYS_lseek, REF(1), fd, id[i - 1].value, SEEK_SET);
	check_eq(result_of(q, id[LONG - 1]), -EBADF);
	check_eq(asys_queue_barrier(q), -EBADF);
	check_eq(drain(q), LONG - 1);
	free(id);
	asys_queue_close(q);
	close(fd);
}

static void test_long_chain_fits(void **state)
{
	(void)state;
	long_chain(16384);
}

static void test_long_chain_in_small_queue(void **state)
{
	(void)state;
	long_chain(8);
}

static void test_many_dependents(void **state)
{
	enum { MANY = 10000 };
	struct asys_queue *q = open_depth(16384, 0);
	asys_id *id = malloc(MANY * sizeof(*id)), root;
	int fd = memory_file(), gate[2];
	char bytes[8];

	(void)state;
	check(id);
	make_pipe(gate);
	root = submit(q, SYS_read, gate[0], bytes, sizeof(bytes));
	for (unsigned i = 0; i < MANY; i++)
		id[i] = submit_refs(q, SYS_lseek, REF(1), fd, root.value, SEEK_SET);
	check_eq(asys_queue_flush(q), 0);
	check_eq(asys_queue_get(q, &(struct asys_event){ .result = 0 }), 0);
	check_eq(write(gate[1], "12345", 5), 5);
	for (unsigned i = 0; i < MANY; i++)
		check_eq(result_of(q, id[i]), 5);
	check_eq(result_of(q, root), 5);
	free(id);
	asys_queue_close(q);
	close(fd);
	close(gate[0]);
	close(gate[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_copy_chain),
		contract(test_every_position),
		contract(test_one_result_many_uses),
		contract(test_error_travels),
		contract(test_two_errors),
		contract(test_conditions),
		contract(test_diamond),
		contract(test_ended_but_not_got),
		contract(test_got_while_needed),
		contract(test_many_dependencies),
		contract(test_long_chain_fits),
		contract(test_long_chain_in_small_queue),
		contract(test_many_dependents),
	};

	return group(tests, argc, argv);
}
