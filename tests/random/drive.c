/* SPDX-License-Identifier: MIT */
/* The ways in which a program drives a queue. */
#include "queued.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

enum { AT_ONCE = 8 };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static bool other_over;

static unsigned left(void)
{
	return __atomic_load_n(&now.left, __ATOMIC_ACQUIRE);
}

static bool goes_on(void)
{
	return left() && !guard_late();
}

static void take(const struct asys_event *event)
{
	pthread_mutex_lock(&one_at_a_time);
	queued_take(event);
	pthread_mutex_unlock(&one_at_a_time);
}

static void wait_for(unsigned i)
{
	struct asys_event event;
	int err;

	do
		err = asys_queue_wait(now.queue, now.id[i], &event);
	while (err == -EINTR && !guard_late());
	if (!err)
		take(&event);
}

/* While the neighbour is waited for, the others must end; the queue's counters show it. */
static void wait_for_busy(void)
{
	struct asys_stats stats;
	struct asys_event event;
	uint64_t others = 0;

	while (others < left() && goes_on() && now.busy_id.value > 0) {
		if (!asys_queue_wait(now.queue, now.busy_id, &event))
			take(&event);
		asys_queue_stats(now.queue, &stats);
		others = stats.ended - now.ended_before - now.run->busy_events;
	}
}

static bool waits_for_later(void)
{
	for (unsigned i = 0; i < now.program->ops; i++)
		if (now.program->op[i].apart && !now.program->op[i].dropped)
			return true;
	return false;
}

static void drive_many(void);

/* Where each call is sent when others have ended, and one waits for what a later one brings, waiting for
 * just that one would never end. */
static void drive_one(void)
{
	if (now.program->stepped && waits_for_later()) {
		drive_many();
		return;
	}
	if (now.program->busy && !now.program->stepped)
		wait_for_busy();
	for (unsigned k = 0; goes_on(); k = (k + 1) % now.program->ops) {
		const unsigned i = now.program->order[k];

		if (now.sent[i] && !now.ended[i] && !now.program->op[i].quiet)
			wait_for(i);
	}
}

/* Of calls that are sent when others have ended, the next may be what one in flight waits for: then
 * one event at a time must be enough. */
static void drive_many(void)
{
	const unsigned least = now.program->stepped ? 1 : 1 + (unsigned)(now.program->seed % 3);
	const uint64_t time = now.program->seed & 8 ? ASYS_FOREVER : 2000000;
	struct asys_event events[AT_ONCE];
	int n;

	while (goes_on()) {
		n = asys_queue_get_many(now.queue, events, AT_ONCE, least, time);
		for (int k = 0; k < n; k++)
			take(&events[k]);
	}
}

static void drive_barrier(void)
{
	struct asys_event event;

	while (goes_on()) {
		asys_queue_barrier(now.queue);
		while (asys_queue_get(now.queue, &event) == 1)
			take(&event);
	}
}

/* Nothing has come: others may have the core, and for longer the longer that lasts. */
static void let_others(unsigned nothing)
{
	const struct timespec little = { 0, 20000 };

	if (nothing < 4)
		sched_yield();
	else
		nanosleep(&little, NULL);
}

static void drive_poll(void)
{
	struct asys_event event;
	unsigned nothing = 0;

	while (goes_on())
		if (asys_queue_get(now.queue, &event) == 1) {
			take(&event);
			nothing = 0;
		} else {
			let_others(nothing++);
		}
}

static void drive_fd(bool flush)
{
	struct pollfd fd = { .fd = now.fd, .events = POLLIN };
	struct asys_event event;

	while (goes_on()) {
		if (now.unflushed && flush)
			asys_queue_flush(now.queue);
		now.unflushed = false;
		if (poll(&fd, 1, -1) == 1)
			while (goes_on() && asys_queue_get(now.queue, &event) == 1)
				take(&event);
	}
}

/* Quiet calls bring no event, but those of class home run only in the thread that sent them, and in the
 * stepped way that is whoever took the event before: each thread drives until nothing is in flight. */
static bool drives_on(void)
{
	return !guard_late() && (left() || asys_queue_pending(now.queue));
}

static void drive_many_too(void *arg)
{
	struct asys_event event;

	(void)arg;
	guard_second(true);
	while (drives_on()) {
		const int n = asys_queue_get_many(now.queue, &event, 1, 1, ASYS_FOREVER);

		if (n == 1)
			take(&event);
		else
			let_others(4);
	}
	guard_second(false);
	__atomic_store_n(&other_over, true, __ATOMIC_RELEASE);
}

/* Every second call of those that bring an event; calls of class home run in the thread that sent
 * them, so that one waits for them. */
static void wait_for_half(bool sender)
{
	for (unsigned k = 0; k < now.program->ops && goes_on(); k++) {
		const unsigned i = now.program->order[k];
		const struct asys_syscall_info *info = asys_syscall_info(now.program->op[i].nr);
		const bool home = info && info->class_ == ASYS_CLASS_HOME;

		if (now.sent[i] && !now.program->op[i].quiet && (home || k % 2 == 0) == sender)
			wait_for(i);
	}
}

static void wait_for_odd(void *arg)
{
	(void)arg;
	guard_second(true);
	wait_for_half(false);
	guard_second(false);
}

static void drive_shared(void)
{
	struct asys_event event;

	other_over = false;
	helper_start(drive_many_too, NULL);
	/* While the other one waits for what only this one can bring, it must not leave. */
	while (drives_on() || !__atomic_load_n(&other_over, __ATOMIC_ACQUIRE)) {
		const int n = asys_queue_get_many(now.queue, &event, 1, 1, 1000000);

		if (n == 1)
			take(&event);
		else if (!n)
			let_others(4);
	}
	helper_join();
}

static void drive_shared_one(void)
{
	if (now.program->stepped || now.program->busy) {
		drive_shared();
		return;
	}
	helper_start(wait_for_odd, NULL);
	wait_for_half(true);
	helper_join();
}

void queued_drive(void)
{
	switch (now.way->driver) {
	case D_ONE:
		drive_one();
		break;
	case D_BARRIER:
		if (now.program->busy)
			drive_many();
		else
			drive_barrier();
		break;
	case D_POLL:
		drive_poll();
		break;
	case D_FD:
		drive_fd(true);
		break;
	case D_THREAD_FD:
		drive_fd(false);
		break;
	case D_SHARED:
		drive_shared();
		break;
	case D_SHARED_ONE:
		drive_shared_one();
		break;
	default:
		drive_many();
	}
}
