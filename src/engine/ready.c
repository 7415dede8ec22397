/* SPDX-License-Identifier: MIT */
/*
 * The ready engine: who waits for which descriptor.
 *
 *   start()   attempt (ready_try.c) -- done --> end
 *                 | would block
 *                 v
 *   watch[fd].waiting[IN or OUT]  FIFO of slots;  one epoll entry a descriptor, EPOLLONESHOT
 *                 | epoll_wait says ready
 *                 v
 *   attempt from the head on, until one would block again; then the entry is armed once more
 *
 * The work is proportional to descriptors that become ready, not to those that wait: 10,000 idle
 * receives cost nothing. ONESHOT keeps a busy descriptor that nobody waits for any more, or whose
 * waiters want only the other direction, from waking the sleeper over and over.
 *
 * Limits, inherent in naming files by descriptor: a descriptor that is closed while calls wait on it
 * drops out of the epoll set, and they wait until cancelled; if its number is then given to another
 * file and a new call waits on that, the old ones continue on the new file. The synchronous call
 * would have kept the old file. Nothing else is harmed.
 */
#include "engine/ready.h"
#include "engine/transfer.h"
#include "sched/queue.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* epoll says "writable" to some who then cannot write (datagrams to a full peer): after so many
 * attempts in vain a thread does the waiting. */
#define VAIN_MOST 3u
#define EVENTS_AT_ONCE 64
/* Between two looks at epoll by reap(): a wake-up costs more than this. */
#define POLL_EVERY_NS 20000u
#define FD_LIMIT (1u << 26)

struct watch {
	struct slot_list waiting[2]; /* enum ready_direction */
	uint32_t known;		     /* the epoll set had it the last time */
};

struct ready {
	struct watch *watch; /* by descriptor */
	uint32_t room;
	uint32_t outstanding;
	uint64_t polled_ns;
};

/* accept's words are taken by number: ready_try looks closer. */
bool ready_takes(const struct asys_call *call)
{
	return ready_knows(call);
}

static uint32_t ready_outstanding(const struct asys_queue *q)
{
	return q->ready ? q->ready->outstanding : 0;
}

static int make_room(struct ready *r, uint32_t fd)
{
	uint32_t room = r->room ? r->room : 64;
	struct watch *watch;

	if (fd < r->room)
		return 0;
	if (fd >= FD_LIMIT)
		return -EOPNOTSUPP;
	while (room <= fd)
		room *= 2;
	watch = realloc(r->watch, room * sizeof(*watch));
	if (!watch)
		return -EOPNOTSUPP;
	for (uint32_t k = r->room; k < room; k++) {
		list_init(&watch[k].waiting[READY_IN]);
		list_init(&watch[k].waiting[READY_OUT]);
		watch[k].known = 0;
	}
	r->watch = watch;
	r->room = room;
	return 0;
}

static uint32_t events_wanted(const struct watch *w)
{
	uint32_t events = 0;

	if (!list_empty(&w->waiting[READY_IN]))
		events |= EPOLLIN | EPOLLRDHUP;
	if (!list_empty(&w->waiting[READY_OUT]))
		events |= EPOLLOUT;
	return events;
}

/*
 * Asks epoll for what the waiters of `fd` want. What the set knows may be outdated: a closed
 * descriptor leaves it silently, so a number may be unknown again; and even a wish that was asked
 * before must be asked again, since the number may mean another file now. 0; -EPERM: the file cannot
 * be waited for.
 */
static int arm(struct asys_queue *q, uint32_t fd)
{
	struct watch *w = &q->ready->watch[fd];
	struct epoll_event event = { .events = events_wanted(w) | EPOLLONESHOT, .data.u64 = fd };
	int op = w->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int64_t err;

	for (unsigned k = 0; k < 2; k++) {
		err = raw_call(SYS_epoll_ctl, (uint64_t)q->epoll_fd, (uint64_t)op, fd,
			       ptr_word(&event));
		q->stats.traps++;
		if (err == -EEXIST)
			op = EPOLL_CTL_MOD;
		else if (err == -ENOENT)
			op = EPOLL_CTL_ADD;
		else
			break;
	}
	w->known = !err;
	return (int)err;
}

static void unlink_slot(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	struct watch *w = &q->ready->watch[(uint32_t)slot->call.arg[0]];

	list_remove(&w->waiting[ready_way(&slot->call)], q->pool.slots, i);
	q->ready->outstanding--;
}

/* It cannot be waited for. Nothing happened (`err`), or a thread goes on after what was moved. */
static int stop(struct asys_queue *q, uint32_t i, int err)
{
	if (!slot_at(q, i)->result)
		return err;
	transfer_to_thread(q, i);
	return 0;
}

static int start(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	uint32_t fd = (uint32_t)slot->call.arg[0];
	enum ready_outcome outcome;
	struct watch *w;
	int64_t result;
	int err;

	if (!q->ready) {
		err = queue_epoll(q);
		if (err < 0)
			return err;
		q->ready = calloc(1, sizeof(*q->ready));
		if (!q->ready)
			return -ENOMEM;
	}
	slot->result = 0;
	slot->aux = 0;
	outcome = ready_try(slot, 0, &result, &q->stats.traps);
	if (outcome == READY_DONE) {
		end(q, i, result);
		return 0;
	}
	if (outcome != READY_WAIT)
		return stop(q, i, outcome == READY_QUICK ? -ENOTBLK : -EOPNOTSUPP);
	/* There is such a descriptor, so the table stays as small as the process's. */
	err = make_room(q->ready, fd);
	if (err)
		return stop(q, i, err);
	w = &q->ready->watch[fd];
	list_push(&w->waiting[ready_way(&slot->call)], q->pool.slots, i);
	q->ready->outstanding++;
	err = arm(q, fd);
	if (!err)
		return 0;
	unlink_slot(q, i);
	return stop(q, i, -EOPNOTSUPP);
}

/* True: the slot stays, and so do those behind it. */
static bool attempt_again(struct asys_queue *q, uint32_t i, enum ready_direction way,
			  uint32_t events)
{
	struct slot *slot = slot_at(q, i);
	int64_t before = slot->result, result;
	enum ready_outcome outcome = ready_try(slot, events, &result, &q->stats.traps);

	if (outcome == READY_WAIT) {
		if (slot->result != before)
			slot->aux = 0;
		else if (way == READY_OUT && ++slot->aux > VAIN_MOST)
			outcome = READY_REFUSE;
		if (outcome == READY_WAIT)
			return true;
	}
	unlink_slot(q, i);
	if (outcome == READY_DONE)
		end(q, i, result);
	else
		transfer_to_thread(q, i);
	return false;
}

static unsigned attempt_all(struct asys_queue *q, uint32_t fd, enum ready_direction way,
			    uint32_t events)
{
	unsigned n = 0;
	uint32_t i;

	/* The table may move when an end starts something: look it up each time. */
	while ((i = q->ready->watch[fd].waiting[way].head) != NIL) {
		/* One thread for one connection: the next waits for its own. */
		bool one = ready_is_accept(&slot_at(q, i)->call);

		if (attempt_again(q, i, way, events))
			break;
		n++;
		if (one)
			break;
	}
	return n;
}

static unsigned take_event(struct asys_queue *q, uint32_t fd, uint32_t events)
{
	const uint32_t over = EPOLLERR | EPOLLHUP;
	unsigned n = 0;

	if (fd >= q->ready->room)
		return 0;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI | over))
		n += attempt_all(q, fd, READY_IN, events);
	if (events & (EPOLLOUT | over))
		n += attempt_all(q, fd, READY_OUT, events);
	if (events_wanted(&q->ready->watch[fd]) && arm(q, fd) == -EBADF) {
		/* Closed under its waiters; let them find out as a new call would. */
		n += attempt_all(q, fd, READY_IN, events);
		n += attempt_all(q, fd, READY_OUT, events);
	}
	return n;
}

unsigned ready_poll(struct asys_queue *q)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	struct ready *r = q->ready;
	unsigned n = 0;
	int got;

	if (!r || !r->outstanding)
		return 0;
	do {
		const uint64_t arg[6] = {
			(uint64_t)q->epoll_fd, ptr_word(events), EVENTS_AT_ONCE, 0, 0, 8
		};

		got = (int)raw_syscall(SYS_epoll_pwait, arg);
		q->stats.traps++;
		for (int k = 0; k < got; k++)
			if (events[k].data.u64 < r->room)
				n += take_event(q, (uint32_t)events[k].data.u64, events[k].events);
	} while (got == EVENTS_AT_ONCE && r->outstanding);
	r->polled_ns = clock_now();
	return n;
}

/* Called in every turn of the driver's loop: asks only after a while. Who uses the epoll set in a loop
 * of its own was told by it that there is something. */
static unsigned ready_reap(struct asys_queue *q)
{
	struct ready *r = q->ready;

	if (!r || !r->outstanding)
		return 0;
	if (!q->fd_wanted && clock_now() - r->polled_ns < POLL_EVERY_NS)
		return 0;
	return ready_poll(q);
}

static void ready_cancel(struct asys_queue *q, uint32_t i)
{
	int64_t done = slot_at(q, i)->result;

	unlink_slot(q, i);
	end(q, i, done ? done : -ECANCELED);
}

int ready_wait(struct asys_queue *q, uint64_t when_ns)
{
	struct pollfd pfd = { .fd = q->epoll_fd, .events = POLLIN };
	struct timespec left;
	uint64_t arg[6] = { ptr_word(&pfd), 1, 0, 0, 0, 0 };
	int64_t got;

	if (when_ns != UINT64_MAX) {
		uint64_t now = clock_now();

		left = clock_timespec(when_ns > now ? when_ns - now : 0);
		arg[2] = ptr_word(&left);
	}
	got = raw_syscall(SYS_ppoll, arg);
	return got > 0 ? 0 : got == 0 ? -ETIME : (int)got;
}

static void ready_close(struct asys_queue *q, bool child)
{
	(void)child; /* the epoll set is the queue's */
	if (!q->ready)
		return;
	free(q->ready->watch);
	free(q->ready);
	q->ready = NULL;
}

const struct engine engine_ready = {
	.name = "ready",
	.start = start,
	.reap = ready_reap,
	.cancel = ready_cancel,
	.outstanding = ready_outstanding,
	.close = ready_close,
};
