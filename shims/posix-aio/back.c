/* SPDX-License-Identifier: MIT */
/*
 * The back: a queue on io_uring, where there is one, and the thread that drives it.
 *
 * The reaper sleeps in the queue. A read of `bell`, an eventfd, is always among its calls; who pushes
 * something rings it, but only if the reaper said that it is asleep. Sequentially consistent on
 * both sides: it looks into the inbox after saying so, and who pushes looks at `asleep` after pushing.
 */
#include "inside.h"

#include "../common/stats.h"
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AT_ONCE 64u
#define BELL OPS_MAX /* user word of its read */
#define TICK_NS 1000000u
#define HURRY_NS 100000u
#define IDLE_TICKS 50u
#define BUSY_ENOUGH 4u
#define STACK_SIZE (256u << 10)

void back_ring(struct state *s)
{
	const uint64_t one = 1;

	if (!atomic_exchange(&s->back.asleep, false))
		return;
	shim_count_made(1);
	syscall(SYS_write, s->back.bell, &one, sizeof(one));
}

void back_tick(struct state *s)
{
	if (!atomic_exchange(&s->back.ticking, true))
		back_ring(s);
}

void back_push(struct state *s, struct op *op, bool later)
{
	if (later)
		atomic_fetch_add_explicit(&s->back.late, 1, memory_order_relaxed);
	inbox_push(s, &s->back.inbox, op);
	if (later && atomic_load(&s->back.ticking))
		return;
	if (atomic_load(&s->back.asleep))
		back_ring(s);
}

/* A disk with work for a while wakes the reaper soon enough: then what was pushed may wait for that. */
void back_flush(struct state *s)
{
	uint32_t busy = atomic_load_explicit(&s->back.busy, memory_order_relaxed);

	if (atomic_load(&s->back.inbox) == NONE || !atomic_load(&s->back.asleep))
		return;
	if (busy < BUSY_ENOUGH * atomic_load_explicit(&s->back.late, memory_order_relaxed) || !busy)
		back_ring(s);
}

static void send_bell(struct state *s)
{
	struct asys_call call = { .nr = SYS_read,
				  .user = BELL,
				  .arg = { (uint64_t)s->back.bell, (uintptr_t)&s->back.bell_count,
					   sizeof(s->back.bell_count) } };

	asys_send(s->back.queue, &call);
}

/* `waited`: it lay there for a tick, although its thread was to come. */
static void drain(struct state *s, bool waited)
{
	uint32_t i, next;

	if (atomic_load_explicit(&s->back.late, memory_order_relaxed))
		atomic_store_explicit(&s->back.late, 0, memory_order_relaxed);
	for (i = inbox_take(s, &s->back.inbox); i != NONE; i = next) {
		next = atomic_load_explicit(&s->ops[i].next, memory_order_relaxed);
		if (unlikely(waited))
			lane_rests(&s->lanes[s->ops[i].from]);
		order_begin(s, &s->ops[i]);
	}
}

/* Sequentially consistent, as is lane_push: one of the two sees the other. */
static void ticks_end(struct state *s)
{
	atomic_store(&s->back.ticking, false);
	for (unsigned i = 0; i < LANES; i++)
		if (atomic_load(&s->lanes[i].pending))
			atomic_store(&s->back.ticking, true);
}

static void tick(struct state *s)
{
	uint64_t now;

	if (!atomic_load_explicit(&s->back.ticking, memory_order_relaxed))
		return;
	now = asys_now();
	if (now - s->back.tick_ns < TICK_NS)
		return;
	s->back.tick_ns = now;
	if (lanes_look(s, false))
		s->back.idle_ticks = 0;
	else if (++s->back.idle_ticks >= IDLE_TICKS)
		ticks_end(s);
}

static uint64_t patience(struct state *s, bool lanes_wanted)
{
	if (lanes_wanted)
		return HURRY_NS;
	if (atomic_load(&s->back.ticking) || notices_late())
		return TICK_NS;
	return ASYS_FOREVER;
}

static bool has_work(struct state *s)
{
	return atomic_load(&s->back.inbox) != NONE || atomic_load(&s->back.requests);
}

/* *ret_waited: what lies in the inbox now did so for a whole tick. */
static int sleep_for_events(struct state *s, struct asys_event *events, bool lanes_wanted,
			    bool *ret_waited)
{
	uint64_t limit;
	int n;

	atomic_store(&s->back.asleep, true);
	limit = patience(s, lanes_wanted);
	if (has_work(s)) {
		atomic_store(&s->back.asleep, false);
		limit = 1;
	}
	n = asys_queue_get_many(s->back.queue, events, AT_ONCE, 1, limit);
	*ret_waited = n == 0 && limit == TICK_NS && atomic_load(&s->back.asleep);
	atomic_store(&s->back.asleep, false);
	return n;
}

/* After error codes were published, and before it is asked who sleeps: a full fence, as sleepers have. */
static void tell(struct state *s)
{
	if (!s->back.news)
		return;
	s->back.news = false;
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&s->sleepers))
		wake_sleepers(s);
}

static void reap(struct state *s)
{
	struct asys_event events[AT_ONCE];
	bool lanes_wanted, waited, tickets;
	int n;

	lanes_wanted = order_syncs(s);
	tell(s);
	if (unlikely(lanes_wanted))
		lanes_look(s, true);
	n = sleep_for_events(s, events, lanes_wanted, &waited);
	for (int k = 0; k < n; k++) {
		if (events[k].user == BELL)
			send_bell(s);
		else
			order_end(s, &events[k]);
	}
	/* In this order: what a ticket means was pushed before it was given. */
	tickets = order_see(s);
	drain(s, waited);
	if (unlikely(tickets))
		order_cancel(s);
	tell(s);
	if (unlikely(notices_late()))
		notices_again();
	tick(s);
}

static void *reaper_main(void *arg)
{
	struct state *s = arg;

	pthread_setname_np(pthread_self(), "asys-aio");
	send_bell(s);
	for (;;)
		reap(s);
	return NULL;
}

static bool start_reaper(struct state *s)
{
	pthread_attr_t attributes;
	sigset_t all, old;
	pthread_t thread;
	int err;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attributes, reaper_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return !err;
}

/*
 * io_uring for everything that it takes, quick or not: the reaper is to run nothing itself, since a read that
 * waits for a disk, or an fsync, would keep all others waiting. Without io_uring the queue chooses.
 */
static int open_queue(struct asys_queue **ret_queue)
{
	struct asys_queue_options options;

	asys_queue_options_init(&options);
	options.depth = 2 * OPS_MAX;
	options.engine = ASYS_ENGINE_URING;
	options.flags = ASYS_QUEUE_NONBLOCK;
	return asys_queue_open(ret_queue, &options);
}

bool back_open(struct state *s)
{
	struct back *back = &s->back;

	pthread_mutex_init(&back->lock, NULL);
	back->bell = eventfd(0, EFD_CLOEXEC);
	if (back->bell < 0 || open_queue(&back->queue) < 0)
		return false;
	if (!start_reaper(s))
		return false;
	shim_queue_opened(back->queue);
	return true;
}
