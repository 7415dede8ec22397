/* SPDX-License-Identifier: MIT */
/*
 * A ring that may not be entered any more.
 *
 * A seccomp filter that the program installs may refuse io_uring_enter, and then what is in the ring would
 * never end: in a private ring completions are made when its owner enters, and no cancellation gets in
 * either. The kernel still ends everything when it takes a ring apart, which needs no such call: the
 * descriptor is closed and the memory unmapped. What it did of each call it writes to the completion ring,
 * which this process has let go by then; so the pages are held by a pipe (vmsplice), and looked at there.
 *
 * Where that cannot be had (kernels whose ring is not made of pages, a filter that refuses vmsplice too, a
 * forked child that keeps the ring), nothing is known. What only waited cannot have moved anything, since
 * that too takes the owner, and is begun again; the rest ends with -ECANCELED.
 */
#include "engine/engine.h"
#include "engine/uring.h"

#if ASYS_HAVE_URING

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define APART_MOST_NS 1000000000u /* for a call that the kernel cannot interrupt */
#define LOOK_PAUSE_NS 1000000u

/* The completion ring's pages: `held` has them, and each look is a copy that goes through `looks`. */
struct remains {
	int held[2], looks[2];
	size_t size;
	char *copy;
	struct io_uring_cq cq; /* in the copy */
	unsigned head;
};

static void let_go(struct remains *r)
{
	for (unsigned k = 0; k < 2; k++) {
		if (r->held[k] >= 0)
			close(r->held[k]);
		if (r->looks[k] >= 0)
			close(r->looks[k]);
	}
	free(r->copy);
}

/* Where something of the ring is in the copy. */
static void *in_copy(const struct remains *r, const struct io_uring_cq *cq, const void *what)
{
	return r->copy + ((const char *)what - (const char *)cq->ring_ptr);
}

static bool hold(struct remains *r, const struct io_uring_cq *cq)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct iovec iov = { cq->ring_ptr, (cq->ring_sz + page - 1) & ~(page - 1) };

	memset(r, 0, sizeof(*r));
	r->held[0] = r->held[1] = r->looks[0] = r->looks[1] = -1;
	r->size = iov.iov_len;
	r->copy = malloc(r->size);
	if (!r->copy || pipe2(r->held, O_CLOEXEC | O_NONBLOCK) ||
	    pipe2(r->looks, O_CLOEXEC | O_NONBLOCK) ||
	    fcntl(r->held[1], F_SETPIPE_SZ, (int)r->size) < 0 ||
	    fcntl(r->looks[1], F_SETPIPE_SZ, (int)r->size) < 0 ||
	    vmsplice(r->held[1], &iov, 1, SPLICE_F_NONBLOCK) != (ssize_t)r->size)
		return false;
	r->cq = *cq;
	r->head = *cq->khead;
	r->cq.khead = &r->head;
	r->cq.ktail = in_copy(r, cq, cq->ktail);
	r->cq.cqes = in_copy(r, cq, cq->cqes);
	return true;
}

/* The pages as they are now. */
static bool look(struct remains *r)
{
	ssize_t n = tee(r->held[0], r->looks[1], r->size, SPLICE_F_NONBLOCK);
	size_t done = 0;

	while (n > 0 && done < r->size) {
		n = read(r->looks[0], r->copy + done, r->size - done);
		done += n > 0 ? (size_t)n : 0;
	}
	return done == r->size;
}

/* The descriptor's number may be another file's by now, if the program closed what it did not open. */
static bool is_ours(const struct uring *u)
{
	char path[48], name[32];
	int64_t n;

	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", u->ring.ring_fd);
	n = raw_call(SYS_readlinkat, (uint64_t)(int64_t)AT_FDCWD, ptr_word(path), ptr_word(name),
		     sizeof(name) - 1);
	if (n < 0)
		return true; /* closed, which does no harm twice; or there is no /proc */
	name[n] = '\0';
	return !strcmp(name, "anon_inode:[io_uring]");
}

static void drop_ring(struct host *host)
{
	struct uring *u = host->uring;

	owned_free(u->owned);
	u->owned = NULL;
	if (!is_ours(u))
		u->ring.ring_fd = -1;
	io_uring_queue_exit(&u->ring);
	memset(&u->ring, 0, sizeof(u->ring));
	if (u->news_fd >= 0)
		close(u->news_fd); /* and so out of the epoll set */
	u->news_fd = -1;
	u->fresh_count = u->owed = 0;
	u->missed = false;
	u->dead = host->uring_off = host->ring_watched = true;
}

/* What nothing is known of. */
static unsigned give_up(struct host *host)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < host->pool.fresh; i++) {
		struct slot *slot = host_slot(host, i);

		if (!slot_is_rings(slot) || !(slot->aux & URING_IN_RING))
			continue;
		if (!(slot->aux & (PREP_WAITS | PREP_TIMER)) ||
		    (transfer_flags(&slot->call) & MSG_WAITALL))
			slot->aux |= URING_CANCEL;
		n += ring_ends(host, i, -ECANCELED);
	}
	return n;
}

unsigned ring_apart(struct host *host)
{
	const struct timespec pause = { 0, LOOK_PAUSE_NS };
	uint64_t until = clock_now() + APART_MOST_NS;
	unsigned n = ring_completions(host), ended;
	int state = cancel_point_off();
	struct uring *u = host->uring;
	struct remains r;
	bool known = hold(&r, &u->ring.cq);

	drop_ring(host);
	while (known && ring_holds(host)) {
		known = look(&r) && clock_now() < until;
		if (known && !ring_take(host, &r.cq, &ended))
			raw_call(SYS_nanosleep, ptr_word(&pause), 0, 0, 0);
		else if (known)
			n += ended;
	}
	let_go(&r);
	ring_sit_out();
	if (ring_holds(host))
		n += give_up(host);
	ring_unpark(host);
	cancel_point_back(state);
	return n;
}
#endif
