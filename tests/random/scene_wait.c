/* SPDX-License-Identifier: MIT */
/* Scenes about waiting itself: limits of time, locks, signals, descriptors that tell of events. */
#include "generate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

static uint32_t soon(struct gen *g)
{
	return pick(g, 3) ? pick(g, 150) : pick(g, 1500);
}

/* Hardly any time: most programs should cost none. */
static uint32_t little(struct gen *g)
{
	return pick(g, 4) ? 1 + pick(g, 300) : 1000 + pick(g, 3000);
}

static struct arg poll_of(int fd, unsigned events)
{
	return words(1, (uint32_t)fd | (uint64_t)events << 32, 0, 0, 0);
}

static void sleeps(struct gen *g)
{
	const uint32_t us = little(g), ms = us / 1000;
	struct op *op;

	switch (pick(g, 8)) {
	case 0:
		op = ADD(g, SYS_nanosleep, time_of(us), num(0));
		op->least_us = us;
		break;
	case 1:
		op = ADD(g, SYS_clock_nanosleep, num(CLOCK_MONOTONIC), num(0), time_of(us), num(0));
		op->least_us = us;
		break;
	case 2: /* a moment that is over, a clock that does not exist, no time at all */
		ADD(g, SYS_clock_nanosleep, num(pick(g, 2) ? CLOCK_MONOTONIC : 77),
		    num(TIMER_ABSTIME), time_of(us), num(0));
		break;
	case 3:
		ADD(g, SYS_nanosleep, words(2, 0, pick(g, 2) ? 1000000000 : UINT64_MAX, 0, 0),
		    num(0));
		break;
	case 4:
		op = ADD(g, SYS_poll, num(0), num(0), num(ms));
		op->least_us = ms * 1000;
		break;
	case 5:
		op = ADD(g, SYS_ppoll, num(0), num(0), time_of(us), num(0), num(8));
		op->least_us = us;
		op->arg[2].ignored = true;
		break;
	case 6:
		op = ADD(g, SYS_select, num(0), num(0), num(0), num(0), words(2, 0, us, 0, 0));
		op->arg[4].ignored = true;
		op->least_us = us;
		break;
	default:
		op = ADD(g, SYS_futex,
			 (struct arg){ .kind = A_FUTEX, .value = add_object(g, O_FUTEX, 0) },
			 num(FUTEX_WAIT_PRIVATE), num(chance(g, 3)), time_of(us));
		op->least_us = op->arg[2].value ? 0 : us;
	}
}

/* What never comes, with a limit of the descriptor's own. */
static void limited(struct gen *g)
{
	static const uint8_t kinds[] = { O_STREAM, O_STREAM, O_DGRAM, O_SEQPACKET, O_UDP };
	static const int flags[] = { 0, 0, MSG_WAITALL, MSG_PEEK };
	const unsigned kind = pick_of(g, kinds);
	const unsigned o = add_object(g, kind, 0);
	struct object *object = &g->program->object[o];
	struct op *op;

	object->receive_us = 1000 + pick(g, 3000);
	object->send_us = 1000 + pick(g, 3000);
	if (chance(g, 3))
		object->fill = 1 + pick(g, 300);
	op = add_read(g, end_of(o, 0), true, 400, pick_of(g, flags), true);
	op->stream = kind == O_STREAM;
	if (chance(g, 2))
		add_write(g, end_of(o, 0), true, 1 + pick(g, 100), 0, true)->stream =
			kind == O_STREAM;
}

static void accept_limited(struct gen *g)
{
	const unsigned o = add_object(g, O_LISTEN, chance(g, 2) ? F_ARMED : 0);

	g->program->object[o].receive_us = 1000 + pick(g, 2000);
	makes_fd(ADD(g, SYS_accept4, end_of(o, 0), num(0), num(0), num(SOCK_CLOEXEC)));
}

/* ---- descriptors that tell of something ------------------------------------------------------ */

static void event_still(struct gen *g)
{
	static const uint32_t values[] = { 0, 1, 5, UINT32_MAX };
	const unsigned o =
		add_object(g, O_EVENTFD, F_NONBLOCK_0 | (chance(g, 2) ? F_SEMAPHORE : 0));
	const unsigned calls = 1 + pick(g, 3);
	uint32_t size;

	g->program->object[o].fill = pick_of(g, values);
	for (unsigned k = 0; k < calls; k++) {
		size = chance(g, 6) ? pick(g, 8) : 8 + pick(g, 9);
		if (chance(g, 2))
			ADD(g, SYS_read, end_of(o, 0), any_out(g, size), num(size));
		else if (chance(g, 6))
			ADD(g, SYS_write, end_of(o, 0), words(1, UINT64_MAX, 0, 0, 0), num(8));
		else
			ADD(g, SYS_write, end_of(o, 0), words(1, 1 + pick(g, 3), 0, 0, 0),
			    num(chance(g, 6) ? pick(g, 8) : 8));
	}
}

/* Words that the kernel refuses before it waits, on a descriptor that would make one wait. */
static void refused(struct gen *g)
{
	static const uint8_t kinds[] = { O_EVENTFD, O_TIMERFD, O_SIGNALFD,
					 O_EPOLL,   O_PIDFD,   O_INOTIFY };
	const unsigned kind = pick_of(g, kinds);
	const unsigned o = add_object(g, kind, 0);

	if (kind == O_EPOLL || kind == O_PIDFD)
		ADD(g, pick(g, 2) ? SYS_read : SYS_write, end_of(o, 0), out(16),
		    num(8 + pick(g, 8)));
	else if (kind == O_EVENTFD && chance(g, 2)) {
		g->program->object[o].fill = UINT32_MAX;
		ADD(g, SYS_write, end_of(o, 0), words(1, UINT64_MAX, 0, 0, 0), num(8));
	} else if (kind == O_INOTIFY)
		ADD(g, SYS_write, end_of(o, 0), words(1, 1, 0, 0, 0), num(8));
	else
		ADD(g, SYS_read, end_of(o, 0), out(16), num(pick(g, 8)));
}

static void event_fed(struct gen *g)
{
	const bool full = chance(g, 3);
	const unsigned o = add_object(g, O_EVENTFD, 0);

	g->program->object[o].fill = full ? UINT32_MAX : 0;
	add_step(g, P_COUNT, o, 0, soon(g), full ? 0 : 1 + pick(g, 5));
	if (full)
		ADD(g, SYS_write, end_of(o, 0), words(1, 3, 0, 0, 0), num(8));
	else
		ADD(g, SYS_read, end_of(o, 0), out(8), num(8));
}

static void timer(struct gen *g)
{
	const unsigned o = add_object(g, O_TIMERFD, F_ARMED);

	if (chance(g, 2))
		ADD(g, SYS_timerfd_settime, end_of(o, 0), num(0),
		    words(4, 0, 0, 0, 1 + pick(g, 400000)), num(0))
			->last = true;
	if (chance(g, 2))
		ADD(g, SYS_poll, poll_of(world_fd(o, 0), POLLIN), num(1), num(-1));
	if (g->last >= 0)
		g->strict = true;
	ADD(g, SYS_read, end_of(o, 0), out(8), num(8));
}

static bool has(const struct gen *g, unsigned kind)
{
	for (unsigned i = 0; i < g->program->objects; i++)
		if (g->program->object[i].kind == kind)
			return true;
	return false;
}

static void signal_wait(struct gen *g)
{
	const bool there = chance(g, 2);
	unsigned o;
	struct op *op;

	if (has(g, O_SIGNALFD)) /* there is only one set of pending signals */
		return;
	o = add_object(g, O_SIGNALFD, there ? F_ARMED : 0);
	if (!there)
		add_step(g, P_SIGNAL, o, 0, soon(g), 0);
	op = ADD(g, SYS_read, end_of(o, 0), out_ignored(256), num(256));
	op->cancel = false;
	op->last = true;
}

static void watch(struct gen *g)
{
	const unsigned how = pick(g, 3);
	const unsigned o = add_object(g, O_INOTIFY,
				      how == 0 ? F_ARMED :
				      how == 1 ? F_NONBLOCK_0 :
						 0);

	if (how == 2)
		add_step(g, P_NAME, o, 1, soon(g), 0);
	ADD(g, SYS_read, end_of(o, 0), out(512), num(512));
	if (how == 1) {
		makes_fd(ADD(g, SYS_openat, end_of(o, 1), text(4), num(O_CREAT | O_WRONLY),
			     num(0600)));
		ADD(g, SYS_read, end_of(o, 0), out(512), num(512));
	}
}

static void epoll(struct gen *g)
{
	const bool fed = chance(g, 2);
	const unsigned o = add_object(g, O_EPOLL, fed ? 0 : chance(g, 2) ? F_ARMED : 0);
	const bool comes = fed || (g->program->object[o].flags & F_ARMED);
	const struct arg room = out(36);

	if (fed)
		add_step(g, P_COUNT, o, 1, soon(g), 1);
	if (comes && chance(g, 2))
		ADD(g, SYS_epoll_wait, end_of(o, 0), room, num(3), num(chance(g, 2) ? -1 : 60000));
	else if (comes)
		ADD(g, SYS_epoll_pwait2, end_of(o, 0), room, num(3),
		    chance(g, 2) ? num(0) : time_of(60000000), num(0), num(0));
	else if (chance(g, 2))
		ADD(g, SYS_epoll_wait, end_of(o, 0), room, num((int)pick(g, 4) - 1),
		    num((int)pick(g, 2)));
	else
		ADD(g, SYS_epoll_pwait, end_of(o, 0), room, num(1), num(0), num(0), num(8));
	if (chance(g, 3))
		ADD(g, SYS_epoll_ctl, end_of(o, 0), num(EPOLL_CTL_DEL), end_of(o, 1), num(0));
}

static void pidfd(struct gen *g)
{
	const unsigned o = add_object(g, O_PIDFD, 0);

	if (chance(g, 2))
		ADD(g, SYS_poll, poll_of(world_fd(o, 0), POLLIN), num(1), num(pick(g, 2)));
	else
		ADD(g, SYS_waitid, num(P_PIDFD), end_of(o, 0), num(0), num(WEXITED | WNOHANG),
		    num(0));
	ADD(g, SYS_pidfd_send_signal, end_of(o, 0), num(0), num(0), num(0));
}

/* ---- locks and wake-ups --------------------------------------------------------------------- */

static void lock(struct gen *g)
{
	const unsigned o = add_object(g, O_LOCKED, 0);

	if (chance(g, 2))
		ADD(g, SYS_flock, end_of(o, 0), num(LOCK_EX | LOCK_NB))->last = true;
	else
		add_step(g, P_UNLOCK, o, 1, soon(g), 0);
	if (g->program->steps && g->program->step[g->program->steps - 1].object == o) {
		ADD(g, SYS_flock, end_of(o, 0), num(LOCK_EX));
		ADD(g, SYS_flock, end_of(o, 0), num(LOCK_UN));
	}
}

static void futex(struct gen *g)
{
	const unsigned o = add_object(g, O_FUTEX, 0);
	struct op *op;

	add_step(g, P_WAKE, o, 0, soon(g), 0);
	op = ADD(g, SYS_futex, (struct arg){ .kind = A_FUTEX, .value = o }, num(FUTEX_WAIT), num(0),
		 chance(g, 2) ? num(0) : time_of(60000000));
	op->has_alternative = true;
	op->alternative = -EAGAIN;
}

/* ---- signals -------------------------------------------------------------------------------- */

/* To the process itself; the handler counts. */
static void raises(struct gen *g)
{
	struct op *pid;

	g->strict = true;
	pid = ADD(g, SYS_getpid, num(0));
	pid->last = true;
	ADD(g, SYS_kill, result_of(g, pid), num(SIGUSR1));
}

/* ---- what only a cancel or a deadline ends --------------------------------------------------- */

static void endless_call(struct gen *g)
{
	unsigned o;

	switch (pick(g, 10)) {
	case 0:
	case 1:
		o = add_object(g, O_PIPE, 0);
		add_read(g, end_of(o, 0), false, 1 + pick(g, 100), 0, true);
		break;
	case 2:
		o = add_object(g, O_STREAM, 0);
		add_read(g, end_of(o, 0), true, 1 + pick(g, 100), pick(g, 2) ? MSG_WAITALL : 0,
			 true);
		break;
	case 3:
		o = add_object(g, O_DGRAM, 0);
		g->program->object[o].receive_us = 60000000;
		add_read(g, end_of(o, 0), true, 1 + pick(g, 100), 0, true)->stream = false;
		break;
	case 4:
		o = add_object(g, O_EVENTFD, 0);
		ADD(g, SYS_read, end_of(o, 0), out(8), num(8));
		break;
	case 5:
		o = add_object(g, O_PIPE, F_SMALL);
		g->program->object[o].fill = 4096;
		add_write(g, end_of(o, 1), false, 100, 0, true);
		break;
	case 6:
		o = add_object(g, O_EPOLL, 0);
		ADD(g, SYS_epoll_wait, end_of(o, 0), out(12), num(1), num(-1));
		break;
	case 7:
		o = add_object(g, O_TIMERFD, 0);
		ADD(g, SYS_poll, poll_of(world_fd(o, 0), POLLIN), num(1), num(-1));
		break;
	case 8:
		o = add_object(g, O_LISTEN, 0);
		makes_fd(ADD(g, SYS_accept4, end_of(o, 0), num(0), num(0), num(SOCK_CLOEXEC)));
		break;
	default:
		o = add_object(g, O_FIFO, 0);
		makes_fd(ADD(g, SYS_openat, num(FD_FOLDER), text_of_object(0, o), num(O_RDONLY),
			     num(0)));
	}
}

static void endless(struct gen *g)
{
	struct op *op;

	endless_call(g);
	op = &g->program->op[g->program->ops - 1];
	op->endless = true;
	if (chance(g, 2))
		op->cancel = true;
	else
		op->deadline_us = 1 + little(g);
	if (chance(g, 2))
		ADD(g, SYS_getppid, num(0));
}

const struct scene scenes_wait[] = {
	{ "sleep", sleeps, 4, 1, false, false },
	{ "limited", limited, 2, 2, false, false },
	{ "accept-limited", accept_limited, 1, 1, false, false },
	{ "eventfd", event_still, 5, 3, false, false },
	{ "refused", refused, 4, 1, false, false },
	{ "eventfd-fed", event_fed, 4, 1, false, false },
	{ "timer", timer, 3, 3, false, false },
	{ "signal", signal_wait, 3, 1, false, false },
	{ "watch", watch, 3, 3, false, false },
	{ "epoll", epoll, 5, 2, false, false },
	{ "pidfd", pidfd, 2, 2, false, false },
	{ "lock", lock, 3, 3, false, false },
	{ "futex", futex, 3, 1, false, false },
	{ "raise", raises, 1, 2, false, false },
	{ "endless", endless, 8, 2, true, false },
	{ 0 },
};
