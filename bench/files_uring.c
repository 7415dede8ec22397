/* SPDX-License-Identifier: MIT */
/*
 * The peer liburing of the benchmark files: a state machine for each file, written by hand, `window`
 * of them at once. Three ways to do it are tried, each with several windows and both ways to set up
 * a ring; the fastest is used and named:
 *
 *   fstat trapped   openat in the ring; when it has ended, fstat as a plain trap, which is cheaper
 *                   than statx in the ring (the kernel hands that to a thread); read and close
 *                   linked in the ring
 *   all in the ring openat; when it has ended, statx, read and close linked
 *   direct          openat, read and close linked from the start on a direct descriptor, which
 *                   fstat does not know: the name's statx as a plain trap instead
 *
 * Links are hard ones, because a read that ends before its buffer does would break a soft one. What
 * nobody needs to hear about (a close that succeeded) brings no completion.
 *
 * liburing-sqpoll is the same with the kernel's polling thread, which goes to sleep after an idle
 * millisecond so that it does not disturb the others. It starts what is new before it goes on with
 * links, so that closes would fall behind without bound: there a file's close must have ended before
 * the next file takes its place.
 */
#include "files.h"
#include "ring.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_MAX 512u
#define WINDOWS 3u
#define METHODS 3u
#define SETUPS 2u

enum method { TRAPPED, IN_RING, DIRECT };
/* The low bits of user data: what has ended. */
enum ended { OPENED, HAS_READ, CLOSED, OTHER, ENDED_MASK = 3 };

struct request {
	struct statx stx;
	unsigned index;
	int fd;
	char buf[FILES_BUFFER];
};

struct theirs {
	struct files files;
	struct ring ring;
	struct request *requests;
	enum method method;
	unsigned window;
	bool sqpoll;
};

static void mark(struct io_uring_sqe *sqe, unsigned slot, enum ended what, unsigned flags)
{
	sqe->user_data = (uint64_t)slot << 2 | what;
	sqe->flags |= (uint8_t)flags;
}

static int plain_statx(int dir, const char *name, int flags, struct statx *ret_stx)
{
	return statx(dir, name, flags, STATX_BASIC_STATS, ret_stx) ? -errno : 0;
}

/* The ring has room for what all requests can put into it at once. */
static void start(struct theirs *t, unsigned slot)
{
	struct io_uring *ring = &t->ring.uring;
	struct request *r = &t->requests[slot];
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	const char *name;

	r->index = files_next(&t->files);
	name = t->files.set->names[r->index];
	if (t->method != DIRECT) {
		io_uring_prep_openat(sqe, t->files.set->root, name,
				     O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
		mark(sqe, slot, OPENED, 0);
		return;
	}
	io_uring_prep_openat_direct(sqe, t->files.set->root, name, O_RDONLY | O_NONBLOCK, 0, slot);
	mark(sqe, slot, OTHER, IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS);
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_read(sqe, (int)slot, r->buf, FILES_BUFFER, 0);
	mark(sqe, slot, HAS_READ, IOSQE_FIXED_FILE | IOSQE_IO_HARDLINK);
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_close_direct(sqe, slot);
	mark(sqe, slot, CLOSED, t->sqpoll ? 0 : IOSQE_CQE_SKIP_SUCCESS);
}

/* It is open: what remains. */
static int go_on(struct theirs *t, unsigned slot, int fd)
{
	struct io_uring *ring = &t->ring.uring;
	struct request *r = &t->requests[slot];
	struct io_uring_sqe *sqe;
	struct stat st;

	if (t->method == IN_RING) {
		sqe = io_uring_get_sqe(ring);
		io_uring_prep_statx(sqe, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &r->stx);
		mark(sqe, slot, OTHER, IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS);
	} else {
		if (fstat(fd, &st))
			return -errno;
		r->stx.stx_size = (uint64_t)st.st_size;
	}
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_read(sqe, fd, r->buf, FILES_BUFFER, 0);
	mark(sqe, slot, HAS_READ, IOSQE_IO_HARDLINK);
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_close(sqe, fd);
	mark(sqe, slot, CLOSED, t->sqpoll ? 0 : IOSQE_CQE_SKIP_SUCCESS);
	return 0;
}

/* Is what was read right? */
static int look(struct theirs *t, unsigned slot, int n)
{
	struct request *r = &t->requests[slot];
	int err = 0;

	if (t->method == DIRECT)
		err = plain_statx(t->files.set->root, t->files.set->names[r->index],
				  AT_SYMLINK_NOFOLLOW, &r->stx);
	return err ? err : files_check(&t->files, r->index, (int64_t)r->stx.stx_size, n, r->buf);
}

struct progress {
	uint64_t wanted, sent, ended;
};

/* The slot is free for the next file. */
static void next(struct theirs *t, struct progress *p, unsigned slot)
{
	p->ended++;
	if (p->sent < p->wanted) {
		start(t, slot);
		p->sent++;
	}
}

static int on_completion(struct theirs *t, struct progress *p, const struct io_uring_cqe *cqe)
{
	unsigned slot = (unsigned)(cqe->user_data >> 2);
	enum ended what = (enum ended)(cqe->user_data & ENDED_MASK);
	int err;

	if (cqe->res < 0)
		return cqe->res;
	if (what == OPENED)
		return go_on(t, slot, cqe->res);
	err = what == HAS_READ ? look(t, slot, cqe->res) : 0;
	if (!err && what == (t->sqpoll ? CLOSED : HAS_READ))
		next(t, p, slot);
	return err;
}

static int run(struct theirs *t, uint64_t ops)
{
	struct progress p = { .wanted = ops };
	int err = 0;

	for (; p.sent < t->window && p.sent < ops; p.sent++)
		start(t, (unsigned)p.sent);
	while (p.ended < p.sent && !err) {
		uint64_t flying = p.sent - p.ended;
		unsigned least = t->window / 4 < flying ? t->window / 4 : (unsigned)flying;
		struct io_uring_cqe *cqe;
		unsigned head, got = 0;
		int n = io_uring_submit_and_wait(&t->ring.uring, least);

		if (n < 0 && n != -EINTR)
			return n;
		io_uring_for_each_cqe(&t->ring.uring, head, cqe)
		{
			got++;
			if (!err)
				err = on_completion(t, &p, cqe);
		}
		io_uring_cq_advance(&t->ring.uring, got);
	}
	return err;
}

static int theirs_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	uint64_t start_ns = bench_now();
	int err;

	ops = files_ops(ops);
	err = run(child->state, ops);

	ret_cost->ns = bench_now() - start_ns;
	ret_cost->ops = ops;
	return err;
}

static int use_sqpoll(struct ring *ring, unsigned entries)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 1 };
	int err;

	ring_close(ring);
	err = io_uring_queue_init_params(entries, &ring->uring, &params);
	ring->open = !err;
	return err;
}

static int theirs_use(struct bench_child *child, unsigned variant)
{
	static const char *const methods[METHODS] = { "fstat trapped", "all in the ring",
						      "direct, statx trapped" };
	static const unsigned windows[WINDOWS] = { 32, 128, WINDOW_MAX };
	struct theirs *t = child->state;
	const struct ring_variant *setup =
		&ring_variants[variant / WINDOWS / METHODS ? RING_VARIANTS - 1 : 0];
	int err;

	t->window = windows[variant % WINDOWS];
	t->method = (enum method)(variant / WINDOWS % METHODS);
	snprintf(child->note, sizeof child->note, "%s, %u in flight, %s", methods[t->method],
		 t->window, t->sqpoll ? "SQPOLL" : setup->name);
	err = t->sqpoll ? use_sqpoll(&t->ring, 4 * t->window) :
			  ring_use(&t->ring, setup, 4 * t->window);
	if (!err && t->method == DIRECT)
		err = io_uring_register_files_sparse(&t->ring.uring, t->window);
	return err;
}

static void theirs_close(struct bench_child *child)
{
	struct theirs *t = child->state;

	ring_close(&t->ring);
	free(t->requests);
	free(t);
}

static int open_fastest(struct bench_child *child, bool sqpoll)
{
	struct theirs *t;
	int err = files_open(child, sizeof(struct theirs));

	if (err)
		return err;
	t = child->state;
	t->sqpoll = sqpoll;
	t->requests = calloc(WINDOW_MAX, sizeof *t->requests);
	if (!t->requests)
		return -ENOMEM;
	err = bench_fastest(child, WINDOWS * METHODS * (sqpoll ? 1 : SETUPS), t->files.set->trial,
			    theirs_use, theirs_round);
	return err < 0 ? err : 0;
}

static int uring_open(struct bench_child *child)
{
	return open_fastest(child, false);
}

static int sqpoll_open(struct bench_child *child)
{
	return open_fastest(child, true);
}

const struct bench_side files_side_uring = { "liburing", uring_open, theirs_round, theirs_close };
const struct bench_side files_side_sqpoll = { "liburing-sqpoll", sqpoll_open, theirs_round,
					      theirs_close };
