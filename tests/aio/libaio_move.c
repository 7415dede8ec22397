/* SPDX-License-Identifier: MIT */
/* A program may move the ring of a context: its new address is the context from then on. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define PAGE 4096
#define DEPTH 64

static int file, pipes[2], event;
static char mem[PAGE];

static size_t size_of(io_context_t ctx)
{
	const uint32_t *words = (const uint32_t *)(const void *)ctx;

	return (32 + (size_t)words[1] * 32 + PAGE - 1) & ~(size_t)(PAGE - 1);
}

static io_context_t move_to(io_context_t ctx, void *where)
{
	size_t size = size_of(ctx);
	void *moved = mremap(ctx, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, where);

	check(moved == where);
	return moved;
}

static void *room_for(io_context_t ctx)
{
	void *where = mmap(NULL, size_of(ctx), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(where != MAP_FAILED);
	return where;
}

static io_context_t move(io_context_t ctx)
{
	return move_to(ctx, room_for(ctx));
}

static void prepare(struct iocb *cb, unsigned k, bool tells)
{
	switch (k % 4) {
	case 0:
		io_prep_pread(cb, file, mem, PAGE, 0);
		break;
	case 1:
		io_prep_pwrite(cb, file, mem, PAGE, PAGE);
		break;
	case 2:
		io_prep_fsync(cb, file);
		break;
	default:
		io_prep_poll(cb, pipes[1], POLLOUT);
	}
	if (tells)
		io_set_eventfd(cb, event);
}

static void submit_all(io_context_t ctx, struct iocb *cb, bool tells)
{
	for (unsigned k = 0; k < 8; k++) {
		prepare(&cb[k], k, tells);
		check_eq(submit_iocb(ctx, &cb[k]), 1);
	}
}

static void get_all(io_context_t ctx)
{
	struct timespec limit = { 20, 0 };
	struct io_event got[8];

	for (int n = 0, more; n < 8; n += more) {
		more = io_getevents(ctx, 1, 8, got, &limit);
		check(more > 0);
		if (more <= 0)
			return;
	}
}

static void begin(void)
{
	file = numbered_file(4, 0);
	make_pipe(pipes);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void end(void)
{
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	close(event);
}

/* Nothing, or what is in flight, or what has ended moves with it. */
static void test_moved(void **state)
{
	(void)state;
	begin();
	for (unsigned k = iterations(40); k; k--) {
		io_context_t ctx = setup(DEPTH), old = ctx;
		struct iocb cb[8], waits;
		struct io_event unused;
		bool tells = k & 1;

		if (k & 2)
			submit_all(ctx, cb, tells);
		ctx = move(ctx);
		if (k & 2)
			get_all(ctx);
		submit_all(ctx, cb, tells);
		get_all(ctx);
		check_eq(submit_iocb(old, &cb[0]), -EINVAL);
		check_eq(io_destroy(old), -EINVAL);
		io_prep_poll(&waits, pipes[0], POLLIN);
		check_eq(submit_iocb(ctx, &waits), 1);
		ctx = move(ctx);
		check_eq(io_cancel(ctx, &waits, &unused), -EINPROGRESS);
		check(get_event(ctx).obj == &waits);
		ctx = move(ctx);
		check_eq(io_destroy(ctx), 0);
		check_eq(submit_iocb(ctx, &cb[0]), -EINVAL);
		progress();
	}
	end();
}

/* Each is used before the other comes to lie where it was: that is how it is noticed. */
static void test_exchanged(void **state)
{
	io_context_t a = setup(DEPTH), b = setup(DEPTH);
	void *was_a = a, *was_b = b;
	struct iocb one, two;

	(void)state;
	begin();
	io_prep_pread(&one, file, mem, 10, 0);
	io_prep_pread(&two, file, mem, 20, 0);
	check_eq(submit_iocb(a, &one), 1);
	check_eq(submit_iocb(b, &two), 1);
	a = move(a);
	check_eq(get_event(a).res, 10);
	b = move_to(b, was_a);
	check_eq(get_event(b).res, 20);
	a = move_to(a, was_b);
	check_eq(result_now(a, &two), 20);
	check_eq(result_now(b, &one), 10);
	check_eq(io_destroy(a), 0);
	check_eq(io_destroy(b), 0);
	end();
}

/* A new one where the old one was; and what is no ring. */
static void test_others(void **state)
{
	io_context_t ctx = setup(DEPTH), other = NULL;
	size_t size = size_of(ctx);
	struct iocb cb;
	void *copy;

	(void)state;
	begin();
	io_prep_pread(&cb, file, mem, 10, 0);
	copy = room_for(ctx);
	check_eq(mprotect(copy, size, PROT_READ | PROT_WRITE), 0);
	ctx = move(ctx);
	check_eq(io_setup(DEPTH, &other), 0);
	check_eq(result_now(other, &cb), 10);
	check_eq(result_now(ctx, &cb), 10);
	check_eq(io_destroy(other), 0);
	check_eq(submit_iocb((io_context_t)copy, &cb), -EINVAL);
	check_eq(result_now(ctx, &cb), 10);
	check_eq(io_destroy(ctx), 0);
	munmap(copy, size);
	end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_moved), contract(test_exchanged),
					    contract(test_others) };

	return group(tests, argc, argv);
}
