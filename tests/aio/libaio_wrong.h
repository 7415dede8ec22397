/* SPDX-License-Identifier: MIT */
/* What the tests of wrong addresses share: a context, something to read, and addresses that nothing can be read at. */
#ifndef TESTS_AIO_LIBAIO_WRONG_H
#define TESTS_AIO_LIBAIO_WRONG_H

#include "libaio_support.h"

#include <stdint.h>
#include <sys/mman.h>

#define PAGE 4096

static io_context_t ctx;
static int file, pipes[2];
static char buf[PAGE];
/* The last page that can be touched before one that cannot, and one that can only be read. */
static char *edge, *fixed;

static char *pages(unsigned n, int rights)
{
	char *mem = mmap(NULL, n * PAGE, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(mem != MAP_FAILED);
	return mem;
}

static int begin(void **state)
{
	(void)state;
	ctx = setup(64);
	file = numbered_file(4, 0);
	make_pipe(pipes);
	edge = pages(2, PROT_READ | PROT_WRITE);
	check_eq(mprotect(edge + PAGE, PAGE, PROT_NONE), 0);
	fixed = pages(1, PROT_READ | PROT_WRITE);
	return 0;
}

static int end(void **state)
{
	(void)state;
	check_eq(munmap(edge, 2 * PAGE), 0);
	munmap(fixed, PAGE);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	return io_destroy(ctx);
}

/* Addresses that nothing can be read at, one after the other; NULL is one, so the end is told by the count. */
static void *bad(unsigned k)
{
	static const uintptr_t wild[] = { 0,
					  8,
					  0xfff,
					  0xffffffff81000000,
					  0xffff888000000000,
					  UINTPTR_MAX,
					  UINTPTR_MAX - 7,
					  UINTPTR_MAX - 63,
					  1ull << 63 };

	if (k < sizeof(wild) / sizeof(wild[0]))
		return (void *)wild[k];
	return edge + PAGE + (k - sizeof(wild) / sizeof(wild[0])) * 40;
}

#define BAD 14u

/* A test with all of that. */
#define addresses(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

#endif
