/* SPDX-License-Identifier: MIT */
/*
 * A program that uses io_uring itself, by liburing, and libaio and POSIX AIO beside it. Its rings, their
 * registered files and buffers, its waiting and its descriptors are as they would be without the shims.
 * `with_uring shim` fails if the shims are not under it.
 */
#include "libaio_support.h"

#include <aio.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#define PAGE 4096
#define PAGES 16
#define TAG 0x7065616365ull

/* A page has its own number, whose it is, and the round. */
static void fill(unsigned char *page, unsigned who, unsigned round, unsigned k)
{
	memset(page, (int)(who * 40 + (round + k) % 40), PAGE);
}

static void check_filled(const unsigned char *page, unsigned who, unsigned round, unsigned k)
{
	unsigned char value = (unsigned char)(who * 40 + (round + k) % 40);

	for (unsigned i = 0; i < PAGE; i++)
		if (page[i] != value)
			support_fail(__FILE__, __LINE__,
				     "%u, round %u, page %u, byte %u: %u, not %u", who, round, k, i,
				     page[i], value);
}

static void open_ring(struct io_uring *ring, unsigned flags)
{
	int err = io_uring_queue_init(2 * PAGES, ring, flags);

	if (err == -EINVAL && flags)
		err = io_uring_queue_init(2 * PAGES, ring, 0);
	if (err == -ENOSYS || err == -EPERM)
		skip_because("no io_uring here");
	check_eq(err, 0);
}

static struct io_uring_sqe *entry(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	check(sqe);
	return sqe;
}

/* `n` ends, of entries 0 to n - 1, each with this result and no others. */
static void take(struct io_uring *ring, unsigned n, int result)
{
	struct io_uring_cqe *cqe;
	uint64_t seen = 0;

	for (unsigned k = 0; k < n; k++) {
		check_eq(io_uring_wait_cqe(ring, &cqe), 0);
		check_eq(cqe->user_data >> 16, TAG);
		check((cqe->user_data & 0xffff) < n);
		check_eq(cqe->res, result);
		seen |= 1ull << (cqe->user_data & 0xffff);
		io_uring_cqe_seen(ring, cqe);
	}
	check_eq(seen, (1ull << n) - 1);
}

struct worker {
	pthread_t thread;
	void (*round)(struct worker *w, unsigned round);
	unsigned number, rounds, flags;
	int fd;
	struct io_uring ring;
	io_context_t ctx;
	unsigned char *mem; /* PAGES to write, PAGES to read */
};

static unsigned char *page(const struct worker *w, unsigned k)
{
	return w->mem + (size_t)k * PAGE;
}

/* Registered file, registered buffers: write all, read all. */
static void round_uring(struct worker *w, unsigned round)
{
	for (unsigned reads = 0; reads < 2; reads++) {
		for (unsigned k = 0; k < PAGES; k++) {
			struct io_uring_sqe *sqe = entry(&w->ring);

			if (reads) {
				memset(page(w, PAGES + k), 0xff, PAGE);
				io_uring_prep_read_fixed(sqe, 0, page(w, PAGES + k), PAGE,
							 (uint64_t)k * PAGE, 0);
			} else {
				fill(page(w, k), w->number, round, k);
				io_uring_prep_write_fixed(sqe, 0, page(w, k), PAGE,
							  (uint64_t)k * PAGE, 0);
			}
			io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
			sqe->user_data = TAG << 16 | k;
		}
		check_eq(io_uring_submit(&w->ring), PAGES);
		take(&w->ring, PAGES, PAGE);
	}
	for (unsigned k = 0; k < PAGES; k++)
		check_filled(page(w, PAGES + k), w->number, round, k);
}

static void round_libaio(struct worker *w, unsigned round)
{
	struct iocb cb[PAGES], *list[PAGES];
	struct io_event event;
	int fd;

	for (unsigned reads = 0; reads < 2; reads++) {
		fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 0);
		for (unsigned k = 0; k < PAGES; k++) {
			list[k] = &cb[k];
			if (reads) {
				io_prep_pread(&cb[k], fd, page(w, PAGES + k), PAGE, k * PAGE);
			} else {
				fill(page(w, k), w->number, round, k);
				io_prep_pwrite(&cb[k], fd, page(w, k), PAGE, k * PAGE);
			}
		}
		check_eq(io_submit(w->ctx, PAGES, list), PAGES);
		check_eq(close(fd), 0);
		for (unsigned k = 0; k < PAGES; k++) {
			event = get_event(w->ctx);
			check_eq(event.res, PAGE);
		}
	}
	for (unsigned k = 0; k < PAGES; k++)
		check_filled(page(w, PAGES + k), w->number, round, k);
}

static void round_posix(struct worker *w, unsigned round)
{
	struct aiocb cb[PAGES], *list[PAGES];

	for (unsigned reads = 0; reads < 2; reads++) {
		memset(cb, 0, sizeof(cb));
		for (unsigned k = 0; k < PAGES; k++) {
			cb[k].aio_fildes = w->fd;
			cb[k].aio_nbytes = PAGE;
			cb[k].aio_offset = k * PAGE;
			cb[k].aio_buf = page(w, reads ? PAGES + k : k);
			cb[k].aio_lio_opcode = reads ? LIO_READ : LIO_WRITE;
			cb[k].aio_sigevent.sigev_notify = SIGEV_NONE;
			list[k] = &cb[k];
			if (!reads)
				fill(page(w, k), w->number, round, k);
		}
		check_eq(lio_listio(LIO_WAIT, list, PAGES, NULL), 0);
		for (unsigned k = 0; k < PAGES; k++)
			check_eq(aio_return(&cb[k]), PAGE);
	}
	for (unsigned k = 0; k < PAGES; k++)
		check_filled(page(w, PAGES + k), w->number, round, k);
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	struct iovec all = { NULL, 2 * PAGES * PAGE };

	check(!posix_memalign((void **)&w->mem, PAGE, all.iov_len));
	all.iov_base = w->mem;
	if (w->round == round_uring) {
		open_ring(&w->ring, w->flags);
		check_eq(io_uring_register_files(&w->ring, &w->fd, 1), 0);
		check_eq(io_uring_register_buffers(&w->ring, &all, 1), 0);
		if (w->number & 1)
			check_eq(io_uring_register_ring_fd(&w->ring), 1);
	}
	for (unsigned round = 0; round < w->rounds; round++) {
		w->round(w, round);
		progress();
	}
	if (w->round == round_uring)
		io_uring_queue_exit(&w->ring);
	free(w->mem);
	return NULL;
}

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER 0
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN 0
#endif

static void run_all(struct worker *workers, unsigned n, int flags)
{
	for (unsigned k = 0; k < n; k++) {
		struct worker *w = &workers[k];

		w->number = k;
		w->rounds = iterations(40);
		w->fd = numbered_file(PAGES, flags);
		if (w->round == round_libaio)
			w->ctx = setup(PAGES);
		check_eq(pthread_create(&w->thread, NULL, run_worker, w), 0);
	}
	for (unsigned k = 0; k < n; k++) {
		pthread_join(workers[k].thread, NULL);
		if (workers[k].ctx)
			check_eq(io_destroy(workers[k].ctx), 0);
		close(workers[k].fd);
	}
}

static void all_at_once(int flags)
{
	struct worker workers[] = {
		{ .round = round_uring },
		{ .round = round_uring,
		  .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN },
		{ .round = round_libaio },
		{ .round = round_libaio },
		{ .round = round_posix },
		{ .round = round_posix },
	};

	run_all(workers, sizeof(workers) / sizeof(*workers), flags);
}

static void test_threads(void **state)
{
	(void)state;
	all_at_once(0);
}

static void test_threads_direct(void **state)
{
	(void)state;
	all_at_once(O_DIRECT);
}

/* One thread has operations of all three in flight at once, on one file. */
static void test_one_thread(void **state)
{
	static _Alignas(PAGE) unsigned char mem[3][PAGE], back[3][PAGE];
	int fd = numbered_file(3, 0);
	io_context_t ctx = setup(1);
	struct io_uring ring;

	(void)state;
	open_ring(&ring, 0);
	for (unsigned round = 0; round < iterations(100); round++) {
		for (int reads = 0; reads < 2; reads++) {
			unsigned char(*to)[PAGE] = reads ? back : mem;
			struct io_uring_sqe *sqe = entry(&ring);
			struct iocb cb;
			struct aiocb posix = { .aio_fildes = fd,
					       .aio_buf = to[2],
					       .aio_nbytes = PAGE,
					       .aio_offset = 2 * PAGE };
			const struct aiocb *list[] = { &posix };

			for (unsigned k = 0; !reads && k < 3; k++)
				fill(mem[k], k, round, k);
			posix.aio_sigevent.sigev_notify = SIGEV_NONE;
			if (reads) {
				io_uring_prep_read(sqe, fd, to[0], PAGE, 0);
				io_prep_pread(&cb, fd, to[1], PAGE, PAGE);
			} else {
				io_uring_prep_write(sqe, fd, to[0], PAGE, 0);
				io_prep_pwrite(&cb, fd, to[1], PAGE, PAGE);
			}
			sqe->user_data = TAG << 16;
			check_eq(submit_iocb(ctx, &cb), 1);
			check_eq(reads ? aio_read(&posix) : aio_write(&posix), 0);
			check_eq(io_uring_submit(&ring), 1);
			check_eq(get_event(ctx).res, PAGE);
			while (aio_error(&posix) == EINPROGRESS)
				check_eq(aio_suspend(list, 1, NULL), 0);
			check_eq(aio_return(&posix), PAGE);
			take(&ring, 1, PAGE);
		}
		for (unsigned k = 0; k < 3; k++)
			check_filled(back[k], k, round, k);
	}
	io_uring_queue_exit(&ring);
	check_eq(io_destroy(ctx), 0);
	close(fd);
}

/* What ends in queues of the shims interrupts no call that the kernel goes on with by itself; and where
 * there is an eventfd, because the program waits elsewhere, no other either. See docs/AIO.md. */
#define WAITS 6
#define RESTARTED 3

static int wait_for_nothing(int fd)
{
	struct timeval limit = { 0, 60000 };
	char in;

	check_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	return recv(fd, &in, 1, 0) < 0 && errno == EAGAIN ? 0 : -errno;
}

static int wait_somehow(unsigned how, struct io_uring *ring, int epoll, int socket)
{
	struct __kernel_timespec limit = { 0, 60000000 };
	struct timespec time = { 0, 60000000 };
	struct io_uring_cqe *cqe;
	struct epoll_event event;
	sigset_t none;

	switch (how) {
	case 0:
		return nanosleep(&time, NULL) ? -errno : 0;
	case 1:
		return poll(NULL, 0, 60) ? -errno : 0;
	case 2:
		return io_uring_wait_cqe_timeout(ring, &cqe, &limit) == -ETIME ? 0 : -1;
	case RESTARTED:
		return epoll_wait(epoll, &event, 1, 60) ? -errno : 0;
	case RESTARTED + 1:
		return wait_for_nothing(socket);
	default:
		sigemptyset(&none);
		return sigtimedwait(&none, NULL, &time) < 0 && errno == EAGAIN ? 0 : -errno;
	}
}

static void *write_later(void *arg)
{
	sleep_ms(20);
	check_eq(write(*(int *)arg, "xyz", 3), 3);
	return NULL;
}

static void wait_in_all_ways(int eventfd)
{
	struct io_uring ring;
	io_context_t ctx = setup(2);
	int pipes[2], sockets[2], epoll = epoll_create1(EPOLL_CLOEXEC);

	make_pipe(pipes);
	check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	open_ring(&ring, 0);
	for (unsigned how = 0; how < WAITS; how++) {
		char in[2];
		struct aiocb posix = { .aio_fildes = pipes[0], .aio_buf = in, .aio_nbytes = 1 };
		struct iocb cb[2];
		pthread_t thread;
		int err;

		posix.aio_sigevent.sigev_notify = SIGEV_NONE;
		io_prep_poll(&cb[0], pipes[0], POLLIN);
		io_prep_pread(&cb[1], pipes[0], &in[1], 1, 0);
		for (unsigned k = 0; eventfd >= 0 && k < 2; k++)
			io_set_eventfd(&cb[k], eventfd);
		check_eq(submit_iocb(ctx, &cb[0]), 1);
		check_eq(aio_read(&posix), 0);
		if (under_shim()) /* the kernel would wait in io_submit */
			check_eq(submit_iocb(ctx, &cb[1]), 1);
		check_eq(pthread_create(&thread, NULL, write_later, &pipes[1]), 0);
		err = wait_somehow(how, &ring, epoll, sockets[0]);
		if (err && (err != -EINTR || !under_shim() || eventfd >= 0 || how < RESTARTED))
			support_fail(__FILE__, __LINE__, "wait %u, eventfd %d: %d", how, eventfd,
				     err);
		pthread_join(thread, NULL);
		check(get_event(ctx).res > 0);
		if (under_shim())
			check_eq(get_event(ctx).res, 1);
		while (aio_error(&posix) == EINPROGRESS)
			sleep_ms(1);
		check_eq(aio_return(&posix), 1);
		check(read(pipes[0], in, 1) == 1);
		if (!under_shim())
			check(read(pipes[0], in, 1) == 1);
	}
	io_uring_queue_exit(&ring);
	check_eq(io_destroy(ctx), 0);
	close(epoll);
	for (unsigned k = 0; k < 2; k++) {
		close(pipes[k]);
		close(sockets[k]);
	}
}

static void *wait_in_thread(void *arg)
{
	wait_in_all_ways(*(int *)arg);
	return NULL;
}

/* In threads of their own: the end of a ring interrupts whoever used that ring, tens of milliseconds later or,
 * on a busy machine, a test later. These threads have used no other. */
static void test_waiting(void **state)
{
	int told = eventfd(0, EFD_CLOEXEC), how[] = { -1, told };
	struct io_uring ring;
	pthread_t thread;

	(void)state;
	open_ring(&ring, 0); /* a test is skipped from its first thread only */
	io_uring_queue_exit(&ring);
	for (unsigned k = 0; k < 2; k++) {
		check_eq(pthread_create(&thread, NULL, wait_in_thread, &how[k]), 0);
		check_eq(pthread_join(thread, NULL), 0);
	}
	close(told);
}

/* The program's ring goes on while it closes ranges of numbers that are its own, in a process with
 * operations in flight, and what waits in its ring is neither ended nor taken. */
static void test_closing(void **state)
{
	static unsigned char mem[PAGE];
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	io_context_t ctx = setup(4);
	int keep = numbered_file(2, 0), pipes[2];
	struct iocb cb;
	char in;

	(void)state;
	make_pipe(pipes);
	open_ring(&ring, 0);
	for (int round = 0; round < 10; round++) {
		sqe = entry(&ring);
		io_uring_prep_read(sqe, pipes[0], &in, 1, 0);
		sqe->user_data = TAG << 16;
		check_eq(io_uring_submit(&ring), 1);
		check_eq(fcntl(keep, F_DUPFD_CLOEXEC, 600), 600);
		memset(mem, round + 100, PAGE);
		io_prep_pwrite(&cb, 600, mem, PAGE, PAGE);
		check_eq(submit_iocb(ctx, &cb), 1);
		check_eq(syscall(SYS_close_range, 600, 700, 0), 0);
		check_eq(get_event(ctx).res, PAGE);
		check_eq(pread(keep, mem, 1, PAGE), 1);
		check_eq(mem[0], round + 100);
		check_eq(io_uring_cq_ready(&ring), 0);
		check_eq(write(pipes[1], "x", 1), 1);
		take(&ring, 1, 1);
		check_eq(in, 'x');
	}
	io_uring_queue_exit(&ring);
	check_eq(io_destroy(ctx), 0);
	close(keep);
	close(pipes[0]);
	close(pipes[1]);
}

/* The program's ring closes descriptors by itself too, and opens others. */
static void test_ring_closes(void **state)
{
	struct io_uring_sqe *sqe;
	struct io_uring ring;

	(void)state;
	open_ring(&ring, 0);
	for (int round = 0; round < 20; round++) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

		sqe = entry(&ring);
		io_uring_prep_close(sqe, fd);
		sqe->user_data = TAG << 16;
		check_eq(io_uring_submit(&ring), 1);
		take(&ring, 1, 0);
		check_eq(fcntl(fd, F_GETFD), -1);
	}
	io_uring_queue_exit(&ring);
}

static int in_child(void *arg)
{
	struct worker workers[] = { { .round = round_uring },
				    { .round = round_libaio },
				    { .round = round_posix } };

	(void)arg;
	/* glibc's POSIX AIO does not come back to life in a child. */
	run_all(workers, under_shim() ? 3 : 2, 0);
	return 0;
}

/* A child has none of its parent's; the parent goes on, with what was in flight. */
static void test_fork(void **state)
{
	static unsigned char mem[PAGE];
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	io_context_t ctx = setup(4);
	int keep = numbered_file(1, 0), pipes[2];
	struct iocb cb[2];
	char in;

	(void)state;
	make_pipe(pipes);
	open_ring(&ring, 0);
	sqe = entry(&ring);
	io_uring_prep_read(sqe, pipes[0], &in, 1, 0);
	sqe->user_data = TAG << 16;
	check_eq(io_uring_submit(&ring), 1);
	io_prep_poll(&cb[0], pipes[0], POLLIN);
	check_eq(submit_iocb(ctx, &cb[0]), 1);
	io_prep_pwrite(&cb[1], keep, mem, PAGE, 0);
	check_eq(submit_iocb(ctx, &cb[1]), 1);
	check_eq(run_in_child(in_child, NULL, 30), 0);
	check_eq(get_event(ctx).res, PAGE);
	check_eq(write(pipes[1], "xy", 2), 2);
	check(get_event(ctx).obj == &cb[0]);
	take(&ring, 1, 1);
	io_uring_queue_exit(&ring);
	check_eq(io_destroy(ctx), 0);
	close(keep);
	close(pipes[0]);
	close(pipes[1]);
}

/* Threads and descriptors of POSIX AIO's implementations stay, so those are not counted. */
static int begin(void **state)
{
	(void)state;
	progress();
	return 0;
}

int main(int argc, char **argv)
{
#define with_all(fn) cmocka_unit_test_setup(fn, begin)
	const struct CMUnitTest tests[] = {
		with_all(test_one_thread),     with_all(test_threads),	   with_all(test_waiting),
		with_all(test_closing),	       with_all(test_ring_closes), with_all(test_fork),
		with_all(test_threads_direct),
	};
	bool shim = argc > 1 && !strcmp(argv[1], "shim");

	check_eq(under_shim(), shim);
	return group(tests, shim ? argc - 1 : argc, shim ? argv + 1 : argv);
}
