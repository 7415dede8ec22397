/* SPDX-License-Identifier: MIT */
/*
 * aio_cancel. What has not begun ends at once; a read that waits for somebody (a pipe, a socket) is asked to
 * end and does so soon, a write to one goes on; a transfer to a disk cannot be stopped and is waited for, for a moment.
 *
 * Control blocks of operations that have ended may be gone, so a canceller looks at operations only: at
 * those in lanes itself. For those in the back it gives the reaper a ticket, on which they count
 * themselves when they end.
 */
#include "names.h"
#include "wait.h"

#include "../common/errno.h"
#include <fcntl.h>
#include <sched.h>

/* Since the last one ended: for a disk; and for what needs nothing but a processor, which others may have, that is
 * the reaper, and reads of pipes and sockets that were asked to end. */
#define DISK_NS 100000000u
#define SOON_NS 2000000000u

/* It is locked by somebody who runs some operations and has blocked signals. */
static void lane_lock_wait(struct lane *lane)
{
	while (!lane_lock(lane))
		sched_yield();
}

/* Still the operation that it was, in the place whose lock is held. */
static bool is_same(const struct op *op, const struct aiocb *cb, int fd, uint32_t at)
{
	return atomic_load(&op->cb) == cb && op->fd == fd && atomic_load(&op->at) == at;
}

static void cancel_in_lane(struct state *s, struct op *op, const struct aiocb *cb,
			   struct ticket *ticket, uint32_t at)
{
	struct lane *lane = &s->lanes[at];
	int64_t result;

	lane_lock_wait(lane);
	if (is_same(op, cb, ticket->fd, at) && lane_cancel(s, lane, op, &result)) {
		ticket->cancelled += result == -ECANCELED;
		ticket->done += result != -ECANCELED;
	}
	lane_unlock(s, lane);
}

static void look_into_lanes(struct state *s, struct ticket *ticket)
{
	uint32_t n = atomic_load(&s->fresh);

	for (uint32_t i = 0; i < n; i++) {
		struct op *op = &s->ops[i];
		const struct aiocb *cb = atomic_load(&op->cb);
		uint32_t at = atomic_load(&op->at);

		if (cb && at < LANES && op->fd == ticket->fd && (!ticket->cb || ticket->cb == cb))
			cancel_in_lane(s, op, cb, ticket, at);
	}
}

static void ticket_give(struct state *s, struct ticket *ticket)
{
	pthread_mutex_lock(&s->back.lock);
	ticket->next = s->back.tickets;
	s->back.tickets = ticket;
	atomic_fetch_add(&s->back.requests, 1);
	pthread_mutex_unlock(&s->back.lock);
	back_ring(s);
}

/* 0: it is over. What it returns changes as long as something goes on, which is waited for so long. */
static uint32_t ticket_left(struct state *s, struct ticket *ticket, uint64_t *ret_patience_ns)
{
	uint32_t left;

	pthread_mutex_lock(&s->back.lock);
	left = ticket->asked ? ticket->left : UINT32_MAX;
	*ret_patience_ns = !ticket->asked || ticket->soon ? SOON_NS : DISK_NS;
	pthread_mutex_unlock(&s->back.lock);
	return left;
}

/* What has not ended by now is no longer waited for. */
static void ticket_withdraw(struct state *s, struct ticket *ticket)
{
	struct ticket **place = &s->back.tickets;
	uint32_t n = atomic_load(&s->fresh);

	pthread_mutex_lock(&s->back.lock);
	while (*place != ticket)
		place = &(*place)->next;
	*place = ticket->next;
	if (!ticket->asked) {
		atomic_fetch_sub(&s->back.requests, 1);
		ticket->left = 1;
	}
	for (uint32_t i = 0; ticket->left && i < n; i++)
		if (atomic_load_explicit(&s->ops[i].ticket, memory_order_relaxed) == ticket)
			atomic_store_explicit(&s->ops[i].ticket, NULL, memory_order_relaxed);
	pthread_mutex_unlock(&s->back.lock);
}

static void ticket_wait(struct state *s, struct ticket *ticket)
{
	uint32_t before = 0, left, seen;
	uint64_t when = 0, patience_ns;
	int err = 0;

	atomic_fetch_add(&s->sleepers, 1);
	for (;;) {
		seen = atomic_load(&s->ended);
		left = ticket_left(s, ticket, &patience_ns);
		if (!left || (left == before && err == ETIMEDOUT))
			break;
		if (left != before)
			when = asys_now() + patience_ns;
		before = left;
		err = sleep_once(s, seen, when, false);
	}
	atomic_fetch_sub(&s->sleepers, 1);
}

/* All signals are blocked: locks are taken, and the ticket is on this stack. */
static void cancel_blocked(struct state *s, struct ticket *ticket)
{
	look_into_lanes(s, ticket);
	if (ticket->cb && (ticket->cancelled || ticket->done))
		return;
	ticket_give(s, ticket);
	ticket_wait(s, ticket);
	ticket_withdraw(s, ticket);
}

static int cancel(struct state *s, int fd, const struct aiocb *cb)
{
	struct ticket ticket = { .fd = fd, .cb = cb };
	sigset_t old;

	if (s) {
		signals_block(&old);
		cancel_blocked(s, &ticket);
		signals_restore(&old);
	}
	if (ticket.left || ticket.going_on)
		return AIO_NOTCANCELED;
	if (ticket.cancelled)
		return AIO_CANCELED;
	/* Neither found nor ended: another thread cancels it, or nobody ever submitted it. */
	if (!ticket.done && cb &&
	    __atomic_load_n(&cb->__error_code, __ATOMIC_ACQUIRE) == EINPROGRESS)
		return s && op_of(s, cb) ? AIO_NOTCANCELED : -EINVAL;
	return AIO_ALLDONE;
}

int posix_aio_cancel(int fd, struct aiocb *cb)
{
	WITHOUT_CANCELLATION;
	int result;

	if (fcntl(fd, F_GETFL) < 0)
		result = -EBADF;
	else if (cb && cb->aio_fildes != fd)
		result = -EINVAL;
	else if (cb && __atomic_load_n(&cb->__error_code, __ATOMIC_ACQUIRE) != EINPROGRESS)
		result = AIO_ALLDONE;
	else
		result = cancel(state_now(), fd, cb);
	return (int)shim_set_errno(result);
}
EXPORT(posix_aio_cancel, aio_cancel);
