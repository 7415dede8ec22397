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
 * Who stops waiting before that (cancel, deadline) takes his wish out of the set.
 *
 * Limits, inherent in naming files by descriptor: a descriptor that is closed while calls wait on it
 * drops out of the epoll set, and they wait until cancelled, or until another call waits on the same
 * number as another file: then they end with -EBADF. The synchronous call would have kept the old
 * file. If that is open elsewhere, its entry stays in the set and cannot be taken out: its events are
 * taken and thrown away.
 */
#include "engine/ready.h"
#include "engine/engine.h"
#include "engine/transfer.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* epoll says "writable" to some who then cannot write (datagrams to a full peer), and "readable" where
 * only a call that may block finds out that there is an end (datagrams after shutdown): after so many
 * attempts in vain a thread does the waiting. */
#define VAIN_MOST 3u
#define EVENTS_AT_ONCE 64
/* Between two looks at epoll by reap(): a wake-up costs more than this. */
#define POLL_EVERY_NS 20000u
#define FD_LIMIT (1u << 26)

struct watch {
	struct slot_list waiting[2]; /* enum ready_direction */
	uint32_t generation;	     /* of its entry: events of older ones are another file's */
	bool known;		     /* the epoll set had it the last time */
	bool armed;		     /* ... and will tell: it has told nothing since it was asked */
	bool edge;		     /* ... of changes only */
};

struct ready {
	struct watch *watch; /* by descriptor */
	uint32_t room;
	bool stale; /* there may be entries of closed descriptors that are open elsewhere */
	uint64_t polled_ns;
};

/* accept's words are taken by number: ready_try looks closer. */
static bool ready_takes(const struct asys_call *call)
{
	return ready_knows(call);
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
		watch[k].generation = 0;
		watch[k].known = watch[k].armed = watch[k].edge = false;
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

static void unlink_slot(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);
	struct watch *w = &host->ready->watch[(uint32_t)slot->call.arg[0]];

	list_remove(&w->waiting[ready_way(&slot->call)], host->pool.slots, i);
	host->outstanding[ASYS_ENGINE_READY]--;
}

static int control(struct host *host, int op, uint32_t fd)
{
	struct watch *w = &host->ready->watch[fd];
	struct epoll_event event = { .events = events_wanted(w) };

	event.events |= w->edge ? EPOLLET : EPOLLONESHOT;
	w->generation += op == EPOLL_CTL_ADD;
	event.data.u64 = (uint64_t)w->generation << 32 | fd;
	host->stats.traps++;
	return (int)raw_call(SYS_epoll_ctl, (uint64_t)host->epoll_fd, (uint64_t)op, fd,
			     ptr_word(&event));
}

/* The entry, which would still tell, is gone from this number; if the file is open elsewhere, it will
 * tell though nobody can take the entry out any more. */
static void lose_entry(struct ready *r, struct watch *w)
{
	r->stale |= w->armed;
	w->known = w->armed = w->edge = false;
}

/* The number was closed and means another file now. Who waited for the old one (all but `i`) cannot
 * reach it any more, and must not be served by the new one. */
static void displace(struct host *host, uint32_t fd, uint32_t i)
{
	for (unsigned way = READY_IN; way <= READY_OUT; way++) {
		uint32_t k = host->ready->watch[fd].waiting[way].head, next;

		for (; k != NIL; k = next) {
			int64_t done = host_slot(host, k)->result;

			next = host_slot(host, k)->next;
			if (k == i)
				continue;
			unlink_slot(host, k);
			host->ended(host, k, done ? done : -EBADF);
		}
	}
}

/*
 * Asks epoll for what the waiters of `fd` want; `i` has come last, NIL: none has come. What the set
 * knows may be outdated: a closed descriptor leaves it silently, so a number may be unknown again; and
 * even a wish that was asked before must be asked again, since the number may mean another file now.
 * 0; -EBADF: closed; -EPERM and others: the file cannot be waited for.
 */
static int arm(struct host *host, uint32_t fd, uint32_t i)
{
	struct watch *w = &host->ready->watch[fd];
	int err = control(host, w->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd);

	if (err == -ENOENT) {
		lose_entry(host->ready, w);
		displace(host, fd, i);
		w = &host->ready->watch[fd];
		if (!events_wanted(w))
			return 0;
		err = control(host, EPOLL_CTL_ADD, fd);
	} else if (err == -EEXIST) {
		err = control(host, EPOLL_CTL_MOD, fd);
	}
	w->known = w->armed = !err;
	return err;
}

/* Nobody waits any more: an entry that would still tell would wake sleepers and loops for nothing, and
 * for ever, since no event of it would be taken. */
static void disarm(struct host *host, uint32_t fd)
{
	struct watch *w = &host->ready->watch[fd];

	if (!w->armed || events_wanted(w))
		return;
	if (!control(host, EPOLL_CTL_DEL, fd))
		w->armed = false;
	lose_entry(host->ready, w);
}

/* It cannot be waited for. Nothing happened (`err`), or a thread goes on after what was moved. */
static int stop(struct host *host, uint32_t i, int err)
{
	if (!host_slot(host, i)->result)
		return err;
	transfer_to_thread(host, i);
	return 0;
}

static int start(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);
	uint32_t fd = (uint32_t)slot->call.arg[0];
	enum ready_outcome outcome;
	struct watch *w;
	int64_t result;
	int err;

	if (!host->ready) {
		err = UNHEARD(host_epoll(host));
		if (err < 0)
			return err;
		host->ready = calloc(1, sizeof(*host->ready));
		if (!host->ready)
			return -ENOMEM;
	}
	slot->result = 0;
	slot->aux = 0;
	outcome = ready_try(slot, 0, &result, &host->stats.traps);
	if (outcome == READY_DONE) {
		host->ended(host, i, result);
		return 0;
	}
	if (outcome != READY_WAIT)
		return stop(host, i, outcome == READY_QUICK ? -ENOTBLK : -EOPNOTSUPP);
	/* There is such a descriptor, so the table stays as small as the process's. */
	err = make_room(host->ready, fd);
	if (err)
		return stop(host, i, err);
	w = &host->ready->watch[fd];
	list_push(&w->waiting[ready_way(&slot->call)], host->pool.slots, i);
	host->outstanding[ASYS_ENGINE_READY]++;
	err = arm(host, fd, i);
	if (!err)
		return 0;
	unlink_slot(host, i);
	disarm(host, fd);
	return stop(host, i, -EOPNOTSUPP);
}

/* What lets a transfer of this direction go on, as epoll says it. */
static uint32_t events_of(enum ready_direction way)
{
	return way == READY_IN ? EPOLLIN | EPOLLRDHUP | EPOLLHUP : EPOLLOUT | EPOLLHUP;
}

/* Is it still said to be ready, after an attempt that found nothing? Not if somebody else was faster. */
static bool still_ready(struct host *host, int fd, enum ready_direction way)
{
	struct pollfd pfd = { .fd = fd, .events = (short)events_of(way) };
	struct timespec now = { 0, 0 };
	const uint64_t arg[6] = { ptr_word(&pfd), 1, ptr_word(&now), 0, 0, 0 };

	host->stats.traps++;
	return raw_syscall(SYS_ppoll, arg) == 1 && (pfd.revents & pfd.events);
}

/* What taking one event did. */
struct taken {
	unsigned ended;
	bool moved; /* bytes of one that goes on waiting */
};

/* True: the slot stays, and so do those behind it. */
static bool attempt_again(struct host *host, uint32_t i, enum ready_direction way, uint32_t events,
			  struct taken *taken)
{
	struct slot *slot = host_slot(host, i);
	int64_t before = slot->result, result;
	enum ready_outcome outcome = ready_try(slot, events, &result, &host->stats.traps);

	if (outcome == READY_WAIT) {
		bool vain = slot->result == before;

		taken->moved |= !vain;
		if (!vain || !(events & events_of(way)))
			slot->aux = 0;
		else if (++slot->aux <= VAIN_MOST)
			return true;
		else if (!still_ready(host, (int)slot->call.arg[0], way))
			slot->aux = 0;
		if (!slot->aux)
			return true;
	}
	unlink_slot(host, i);
	taken->ended++;
	if (outcome == READY_DONE)
		host->ended(host, i, result);
	else
		transfer_to_thread(host, i);
	return false;
}

static void attempt_all(struct host *host, uint32_t fd, enum ready_direction way, uint32_t events,
			struct taken *taken)
{
	/* Those that come meanwhile have their turn later, so that others have theirs. */
	uint32_t most = host->outstanding[ASYS_ENGINE_READY], i;

	/* The table may move when an end starts something: look it up each time. */
	while (most-- && (i = host->ready->watch[fd].waiting[way].head) != NIL) {
		/* One thread for one connection: the next waits for its own. */
		bool one = ready_is_accept(&host_slot(host, i)->call);

		if (attempt_again(host, i, way, events, taken) || one)
			break;
	}
}

/*
 * After an event: what is still waited for is asked for again. If epoll has told of nothing but an
 * error, and none of the waiters got it (the socket's queue of errors, which nobody reads), asking
 * again would bring the same event at once: from then on only changes are asked for, and each brings
 * one event, without being asked again.
 */
static void ask_again(struct host *host, uint32_t fd, uint32_t events, struct taken *taken)
{
	struct watch *w = &host->ready->watch[fd];

	if (!events_wanted(w)) {
		disarm(host, fd);
		return;
	}
	if (events == EPOLLERR && !taken->ended && !taken->moved) {
		if (w->edge)
			return;
		w->edge = true;
	}
	if (arm(host, fd, NIL) == -EBADF) {
		/* Closed under its waiters; let them find out as a new call would. */
		attempt_all(host, fd, READY_IN, events, taken);
		attempt_all(host, fd, READY_OUT, events, taken);
	}
}

static unsigned take_event(struct host *host, uint32_t fd, uint32_t events)
{
	struct watch *w = &host->ready->watch[fd];
	struct taken taken = { 0 };

	w->armed = w->edge;
	if (events & (events_of(READY_IN) | EPOLLERR))
		attempt_all(host, fd, READY_IN, events, &taken);
	if (events & (events_of(READY_OUT) | EPOLLERR))
		attempt_all(host, fd, READY_OUT, events, &taken);
	ask_again(host, fd, events, &taken);
	return taken.ended;
}

/* The epoll set may have events, also when nothing is outstanding. */
static bool listens(const struct host *host)
{
	return host->ready && (host->outstanding[ASYS_ENGINE_READY] || host->ready->stale);
}

/* Asks epoll once, now, without the restraint of ready_reap; returns how many ended. */
static unsigned ready_poll(struct host *host)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	struct ready *r = host->ready;
	unsigned n = 0;
	uint32_t rounds;
	int got;

	if (!listens(host))
		return 0;
	rounds = host->outstanding[ASYS_ENGINE_READY] / EVENTS_AT_ONCE + 1;
	do {
		const uint64_t arg[6] = {
			(uint64_t)host->epoll_fd, ptr_word(events), EVENTS_AT_ONCE, 0, 0, 8
		};

		got = (int)raw_syscall(SYS_epoll_pwait, arg);
		host->stats.traps++;
		for (int k = 0; k < got; k++) {
			uint32_t fd = (uint32_t)events[k].data.u64;

			if (fd < r->room && r->watch[fd].generation == events[k].data.u64 >> 32)
				n += take_event(host, fd, events[k].events);
		}
	} while (got == EVENTS_AT_ONCE && --rounds);
	r->polled_ns = clock_now();
	return n;
}

/* Called in every turn of the driver's loop: asks only after a while. Who uses the epoll set in a loop
 * of its own was told by it that there is something. */
static unsigned ready_reap(struct host *host)
{
	struct ready *r = host->ready;

	if (!r || !host->outstanding[ASYS_ENGINE_READY])
		return 0;
	if (!host->fd_wanted && clock_now() - r->polled_ns < POLL_EVERY_NS)
		return 0;
	return ready_poll(host);
}

/* Nothing is collected. */
static void ready_flush(struct host *host)
{
	(void)host;
}

static void ready_cancel(struct host *host, uint32_t i)
{
	int64_t done = host_slot(host, i)->result;

	unlink_slot(host, i);
	disarm(host, (uint32_t)host_slot(host, i)->call.arg[0]);
	host->ended(host, i, done ? done : -ECANCELED);
}

static void ready_close(struct host *host, bool child)
{
	(void)child; /* the epoll set is the queue's */
	if (!host->ready)
		return;
	free(host->ready->watch);
	free(host->ready);
	host->ready = NULL;
}

const struct engine engine_ready = {
	.name = "ready",
	.takes = ready_takes,
	.start = start,
	.flush = ready_flush,
	.reap = ready_reap,
	.cancel = ready_cancel,
	.by_epoll = true,
	.woken = ready_poll,
	.close = ready_close,
};
