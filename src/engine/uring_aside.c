/* SPDX-License-Identifier: MIT */
/*
 * Rings of closed queues.
 *
 * The kernel takes a ring apart some 10 to 30 ms after its last user let go, and has every thread that used it
 * take part: what such a thread blocks in by then is interrupted, as by a signal without a handler. A program
 * that closed a queue would find -EINTR in an epoll_wait of its own, or a short transfer.
 *
 * So the thread that closes a queue keeps the ring instead, among its registered rings: these take no
 * descriptor, belong to this thread alone and end with it, so that nobody can enter them by mistake. Once it
 * has as many as it may, all are let go at once, and it sits out what follows: one close in so many
 * takes as long as the kernel does.
 */
#include "engine/uring.h"

#if ASYS_HAVE_URING

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define REGISTER_RING_FDS 20 /* Linux 5.18 */
#define UNREGISTER_RING_FDS 21
#define USE_REGISTERED_RING (1u << 31)
#define ASIDE_MOST 12u /* of 16 that a thread may have: the program may want some */
#define ASIDE_BYTES_MOST (4u << 20)
#define APART_NS 500000000u /* the kernel is done by then, however busy */
#define BEGUN_NS 100000000u /* ... or has begun, or nothing is to come */
#define QUIET_NS 5000000u   /* from one ring to the next */

static _Thread_local struct {
	int64_t tid; /* a forked child has a copy of this, and none of the rings */
	uint32_t count;
	size_t bytes; /* of the kernel's memory */
	struct io_uring_rsrc_update ring[ASIDE_MOST];
} aside;

/*
 * Something that is at its end when all rings are gone, `ring` too: a pipe whose other end they hold as a file,
 * which the kernel lets go of last (Linux 6.3). -1: not to be had.
 */
static int hold_an_end(int ring)
{
	int64_t err;
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC))
		return -1;
	err = raw_call(SYS_io_uring_register, (uint64_t)ring, IORING_REGISTER_FILES,
		       ptr_word(&pipe[1]), 1);
	for (uint32_t k = 0; k < aside.count && !err; k++)
		err = raw_call(SYS_io_uring_register, aside.ring[k].offset,
			       IORING_REGISTER_FILES | USE_REGISTERED_RING, ptr_word(&pipe[1]), 1);
	close(pipe[1]);
	if (!err)
		return pipe[0];
	close(pipe[0]);
	return -1;
}

/* With every signal blocked, so what still interrupts a wait is the kernel. Where nothing tells the end, it has
 * come when nothing interrupts for a while. */
static void sit_out(int end)
{
	struct pollfd set = { .fd = end, .events = POLLIN };
	uint64_t until = clock_now() + (end >= 0 ? APART_NS : BEGUN_NS), now;
	sigset_t all, old;
	int64_t err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	do {
		struct timespec left;

		now = clock_now();
		left = clock_timespec(now < until ? until - now : 0);
		err = raw_call(SYS_ppoll, ptr_word(&set), end >= 0, ptr_word(&left), 0);
		if (end < 0)
			until = clock_now() + QUIET_NS;
	} while (err == -EINTR);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void ring_sit_out(void)
{
	sit_out(-1);
}

/* Through any ring. */
static void let_go(int fd)
{
	raw_call(SYS_io_uring_register, (uint64_t)fd, UNREGISTER_RING_FDS, ptr_word(aside.ring),
		 aside.count);
	aside.count = 0;
	aside.bytes = 0;
}

static int keep(const struct io_uring *u)
{
	struct io_uring_rsrc_update *ring;
	size_t bytes = u->sq.ring_sz + u->cq.ring_sz + u->sq.ring_entries * sizeof(*u->sq.sqes);
	int64_t n;

	if (aside.count == ASIDE_MOST || aside.bytes + bytes > ASIDE_BYTES_MOST)
		return -EBUSY;
	ring = &aside.ring[aside.count];
	memset(ring, 0, sizeof(*ring));
	ring->offset = UINT32_MAX; /* any place */
	ring->data = (__u64)u->ring_fd;
	n = raw_call(SYS_io_uring_register, (uint64_t)u->ring_fd, REGISTER_RING_FDS, ptr_word(ring),
		     1);
	if (n != 1)
		return n < 0 ? (int)n : -EINVAL;
	ring->data = 0;
	aside.count++;
	aside.bytes += bytes;
	return 0;
}

void ring_lay_aside(struct uring *u)
{
	int64_t tid = raw_call(SYS_gettid, 0, 0, 0, 0);
	int err, end;

	if (aside.tid != tid) {
		memset(&aside, 0, sizeof(aside));
		aside.tid = tid;
	}
	/* The kernel's thread that polls would go on. */
	err = u->sqpoll ? -EBUSY : keep(&u->ring);
	if (err != -EBUSY) {
		io_uring_queue_exit(&u->ring);
		return;
	}
	end = hold_an_end(u->ring.ring_fd);
	if (aside.count)
		let_go(u->ring.ring_fd);
	io_uring_queue_exit(&u->ring);
	sit_out(end);
	if (end >= 0)
		close(end);
}
#endif
