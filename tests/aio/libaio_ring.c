/* SPDX-License-Identifier: MIT */
/* Eventfds, and programs that take events out of the ring themselves once an eventfd has fired. */
#include "libaio_support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static uint64_t count_within(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&p, 1, ms) == 1)
		check_eq(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

/* As QEMU does it. */
static unsigned take(io_context_t ctx, struct io_event *ret_events, unsigned most)
{
	struct ring *ring = (struct ring *)ctx;
	unsigned n = 0, head = ring->head;

	while (n < most && head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE)) {
		ret_events[n++] = ring->events[head];
		head = (head + 1) % ring->nr;
	}
	__atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
	return n;
}

enum { DEPTH = 16 };

static void run_at(unsigned depth, int fd, bool by_ring, unsigned size)
{
	struct iocb cb[DEPTH];
	struct io_event events[DEPTH];
	io_context_t ctx = setup(DEPTH);
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	unsigned char *mem = aligned_alloc(4096, (size_t)DEPTH * 4096);
	unsigned sent = 0, got = 0, total = iterations(600);
	uint64_t told = 0;

	check(event >= 0);
	memset(mem, 0, (size_t)DEPTH * 4096);
	while (got < total) {
		for (unsigned free = depth - (sent - got); free && sent < total; free--, sent++) {
			struct iocb *p = &cb[sent % DEPTH];

			io_prep_pread(p, fd, mem + sent % DEPTH * 4096, size, sent % 8 * 4096);
			if (sent % 5 == 4)
				io_prep_pwrite(p, fd, mem + sent % DEPTH * 4096, size,
					       (8 + sent % 8) * 4096);
			io_set_eventfd(p, event);
			check_eq(submit_iocb(ctx, p), 1);
		}
		/* Events of one order of submission end in another: wait for all of them. */
		while (got < sent) {
			unsigned n;

			told += count_within(event, 10000);
			n = by_ring ? take(ctx, events, DEPTH) :
				      (unsigned)io_getevents(ctx, 0, DEPTH, events, NULL);
			check(n <= DEPTH);
			for (unsigned k = 0; k < n; k++)
				check_eq(events[k].res, size);
			got += n;
			progress();
		}
	}
	/* The eventfd is told after the event is there. */
	for (uint64_t n = 1; n && told < total; told += n)
		n = count_within(event, 10000);
	told += count_within(event, 0);
	check_eq(told, total);
	check_nothing(ctx);
	check_eq(io_destroy(ctx), 0);
	close(event);
	free(mem);
}

/* One alone finds the context's thread asleep, of many some find it at work. */
static void run(int fd, bool by_ring, unsigned size)
{
	run_at(1, fd, by_ring, size);
	run_at(DEPTH, fd, by_ring, size);
}

static void test_cached(void **state)
{
	int fd = numbered_file(16, 0);

	(void)state;
	run(fd, false, 512);
	run(fd, true, 512);
	close(fd);
}

static void test_direct(void **state)
{
	int fd = numbered_file(16, O_DIRECT);

	(void)state;
	run(fd, false, 4096);
	run(fd, true, 4096);
	close(fd);
}

/* The eventfd fires when a pipe has something at last, though the program does not wait. */
static void test_pipe(void **state)
{
	io_context_t ctx;
	int event, fd[2];
	struct io_event events[4];
	struct iocb cb;
	char byte;

	(void)state;
	shim_or_skip();
	event = eventfd(0, EFD_CLOEXEC);
	ctx = setup(4);
	make_pipe(fd);
	for (int k = 0; k < 3; k++) {
		io_prep_pread(&cb, fd[0], &byte, 1, 0);
		io_set_eventfd(&cb, event);
		check_eq(submit_iocb(ctx, &cb), 1);
		check_eq(((struct ring *)ctx)->magic, RING_MAGIC);
		check_eq(count_within(event, 20), 0);
		check_eq(write(fd[1], "x", 1), 1);
		check_eq(count_within(event, 10000), 1);
		check_eq(take(ctx, events, 4), 1);
		check_eq(events[0].res, 1);
	}
	check_eq(io_destroy(ctx), 0);
	close(fd[0]);
	close(fd[1]);
	close(event);
}

/* A context goes over to its own thread while another thread of the program waits in it. */
static void *waits(void *arg)
{
	get_event(arg);
	get_event(arg);
	return NULL;
}

static void test_goes_over(void **state)
{
	io_context_t ctx;
	int event, fd[2];
	struct iocb cb[3];
	pthread_t thread;
	char byte[2];

	(void)state;
	shim_or_skip();
	event = eventfd(0, EFD_CLOEXEC);
	make_pipe(fd);
	for (int k = 0; k < 20; k++) {
		ctx = setup(4);
		io_prep_pread(&cb[0], fd[0], &byte[0], 1, 0);
		check_eq(submit_iocb(ctx, &cb[0]), 1);
		pthread_create(&thread, NULL, waits, ctx);
		sleep_ms((unsigned)k % 4);
		io_prep_pread(&cb[1], fd[0], &byte[1], 1, 0);
		io_set_eventfd(&cb[1], event);
		check_eq(submit_iocb(ctx, &cb[1]), 1);
		check_eq(write(fd[1], "ab", 2), 2);
		pthread_join(thread, NULL);
		check_eq(count_within(event, 10000), 1);
		check_eq(io_destroy(ctx), 0);
		progress();
	}
	close(fd[0]);
	close(fd[1]);
	close(event);
}

enum way {
	CACHED,
	DIRECT,
	POLL
}; /* ends in io_submit; together, later; one after the other, later */

/* `n` operations that tell `event`. */
static void tell(int event, enum way way, int n)
{
	unsigned char *mem = aligned_alloc(4096, (size_t)DEPTH * 4096);
	int fd = numbered_file(1, way == DIRECT ? O_DIRECT : 0), pipes[2];
	struct iocb cb[DEPTH], *list[DEPTH];
	io_context_t ctx = setup(DEPTH);

	make_pipe(pipes);
	for (int k = 0; k < n; k++) {
		list[k] = &cb[k];
		if (way == POLL)
			io_prep_poll(&cb[k], pipes[0], POLLIN);
		else
			io_prep_pread(&cb[k], fd, mem + k * 4096, 4096, 0);
		io_set_eventfd(&cb[k], event);
	}
	check_eq(io_submit(ctx, n, list), n);
	check_eq(write(pipes[1], "x", 1), 1);
	for (int k = 0; k < n; k++)
		check(get_event(ctx).res > 0);
	/* The last is told after its event is there, but before this returns. */
	check_eq(io_destroy(ctx), 0);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	free(mem);
}

/* The counter takes `room` more; an operation that ends does not wait for somebody to read it. */
static void fill(int flags, enum way way, unsigned room, int n)
{
	const uint64_t most = UINT64_MAX - 1, start = most - room;
	int event = eventfd(0, EFD_CLOEXEC | flags);
	uint64_t count;

	check_eq(write(event, &start, sizeof(start)), sizeof(start));
	tell(event, way, n);
	count = count_within(event, 0);
	/* The kernel goes one further than a write can. */
	if ((unsigned)n > room)
		check(count >= most);
	else
		check_eq(count, start + (unsigned)n);
	tell(event, way, n);
	check_eq(count_within(event, 0), n);
	close(event);
	progress();
}

static void test_full(void **state)
{
	static const unsigned rooms[] = { 0, 1, 5, DEPTH - 1, DEPTH };

	(void)state;
	for (unsigned k = 0; k < sizeof(rooms) / sizeof(rooms[0]); k++) {
		for (int way = CACHED; way <= POLL; way++) {
			fill(0, (enum way)way, rooms[k], 1);
			fill(0, (enum way)way, rooms[k], DEPTH);
			fill(EFD_NONBLOCK, (enum way)way, rooms[k], 1);
			fill(EFD_NONBLOCK, (enum way)way, rooms[k], DEPTH);
		}
	}
}

/* Under the eventfd's number there is `other` when the operation ends. */
static void tell_moved(int other)
{
	int event = eventfd(0, EFD_CLOEXEC), pipes[2];
	io_context_t ctx = setup(1);
	struct iocb cb;

	make_pipe(pipes);
	io_prep_poll(&cb, pipes[0], POLLIN);
	io_set_eventfd(&cb, event);
	check_eq(submit_iocb(ctx, &cb), 1);
	check_eq(dup2(other, event), event);
	check_eq(write(pipes[1], "x", 1), 1);
	check(get_event(ctx).res & POLLIN);
	check_eq(io_destroy(ctx), 0);
	close(event);
	close(pipes[0]);
	close(pipes[1]);
}

/* Nothing is written to another kind of file. */
static void test_moved(void **state)
{
	int file = numbered_file(1, 0), pair[2], pipes[2], udp[2];
	char byte;

	(void)state;
	make_pipe(pipes);
	check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	check_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, udp), 0);
	tell_moved(file);
	check_eq(lseek(file, 0, SEEK_CUR), 0);
	tell_moved(pipes[1]);
	tell_moved(pair[1]);
	tell_moved(udp[1]);
	for (int k = 0; k < 2; k++) {
		int in = k ? udp[0] : pair[0];

		check_eq(recv(in, &byte, 1, MSG_DONTWAIT), -1);
		close(in);
		close(k ? udp[1] : pair[1]);
	}
	check_eq(fcntl(pipes[0], F_SETFL, O_NONBLOCK), 0);
	check_eq(read(pipes[0], &byte, 1), -1);
	close(pipes[0]);
	close(pipes[1]);
	close(file);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_cached),	  contract(test_direct), contract(test_pipe),
		contract(test_goes_over), contract(test_full),	 contract(test_moved),
	};

	return group(tests, argc, argv);
}
