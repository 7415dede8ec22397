/* SPDX-License-Identifier: MIT */
/*
 * The user waits in a loop of its own, on asys_queue_fd. That is an epoll set of user_fd and (unless a
 * driver does the waiting) of the set that sleepers use. Invariants, when a public function returns:
 *
 *  U1  user_fd reads while there are events to be got, or something that the next get would start: a loop
 *      never waits for what only it can begin.
 *  U2  Otherwise everything that brings an end can be heard: what is for engines was handed over to the
 *      kernel, threads ring for the next end, the timer is set.
 *  U3  What nobody can begin now (blocked: no room) does not make it read: a loop never spins.
 *  U4  A home call can be begun by its sender only, who may poll the same descriptor as others and cannot be
 *      woken alone. It makes the descriptor read for a moment, in which others find nothing for them,
 *      and again after a pause, both longer each time, until its sender has come.
 */
#include "engine/ready.h"
#include "sched/sched.h"
#include <sys/timerfd.h>
#include <unistd.h>

#define HOME_PAUSE_NS 1000000u /* the first */
#define HOME_PAUSE_MOST_NS 128000000u
#define HOME_TOLD_NS(pause) ((pause) < 16000000u ? (pause) / 16 : 1000000u)

/* U4. */
static bool home_is_told(struct asys_queue *q)
{
	struct home *home = &q->home;
	uint64_t now;

	if (likely(!q->nlist[LIST_HOME]))
		return false;
	if (!queue_shared(q))
		return true; /* whoever gets next makes it, or refuses it */
	now = clock_now();
	if (home->news || now >= home->again_ns) {
		home->pause_ns = home->news			     ? HOME_PAUSE_NS :
				 home->pause_ns < HOME_PAUSE_MOST_NS ? home->pause_ns * 2 :
								       HOME_PAUSE_MOST_NS;
		home->news = false;
		home->told_until_ns = now + HOME_TOLD_NS(home->pause_ns);
		home->again_ns = now + home->pause_ns;
	}
	return now < home->told_until_ns;
}

static bool user_has_something(struct asys_queue *q)
{
	if (q->nended || q->paused || home_is_told(q))
		return true;
	if (q->driver_on)
		return false;
	return q->chains || q->nlist[LIST_QUICK] || (q->nlist[LIST_START] && !q->blocked) ||
	       helpers.stuck(&q->host);
}

/* When the loop has to turn though nothing has ended, if nobody else waits for it. */
static uint64_t user_next(const struct asys_queue *q)
{
	uint64_t next = timers_next(q);

	/* Somebody has to look whether threads hang in chains. */
	if (unlikely(helpers.to_watch(&q->host) || helpers.may_start_more(&q->host)) &&
	    clock_now() + helpers.look_ns(&q->host) < next)
		next = q->user_when > clock_now() && q->user_when < next ?
			       q->user_when :
			       clock_now() + helpers.look_ns(&q->host);
	return next;
}

/* Setting it also makes it quiet again. If another thread waits meanwhile, it rings for home calls only. */
static void user_set_timer(struct asys_queue *q, bool others_wait)
{
	struct itimerspec when = { .it_value = { 0, 0 } };
	uint64_t next = others_wait ? UINT64_MAX : user_next(q);

	if (unlikely(q->nlist[LIST_HOME]) && q->home.again_ns < next)
		next = q->home.again_ns;
	if (next == q->user_when)
		return;
	q->user_when = next;
	if (q->user_when != UINT64_MAX)
		when.it_value = clock_timespec(q->user_when ? q->user_when : 1);
	timerfd_settime(q->user_timer, TFD_TIMER_ABSTIME, &when, NULL);
	q->host.stats.traps++;
}

void user_signal(struct asys_queue *q)
{
	uint64_t count = 1;
	bool wanted = user_has_something(q);

	if (unlikely(q->nlist[LIST_HOME]) && !wanted)
		user_set_timer(q, true);
	if (likely(q->user_set == wanted))
		return;
	raw_call(wanted ? SYS_write : SYS_read, (uint64_t)(int64_t)q->user_fd, ptr_word(&count),
		 sizeof(count), 0);
	q->user_set = wanted;
	q->host.stats.traps++;
}

void user_wait_begin(struct asys_queue *q)
{
	UNHEARD(queue_epoll(q)); /* a ring may be new in it */
	if (engines_busy(&q->host))
		engines_flush(&q->host); /* U2: cancels too */
	user_signal(q);
	if (q->user_set)
		return;
	if (q->somebody_sleeps || q->driver_on) {
		/* What it rang for is the other's business by now; it must not ring on. */
		if (q->user_when != UINT64_MAX && q->user_when <= clock_now())
			user_set_timer(q, true);
		return;
	}
	user_set_timer(q, false);
	engines_listen(&q->host, ALL_ENGINES);
	bell_arm(&q->host.bell, 1, q->host.event_fd);
	q->user_armed = true;
	if (engines_have_news(&q->host, ALL_ENGINES))
		bell_ring_now(&q->host.bell);
}

void user_wait_end(struct asys_queue *q)
{
	/* Nobody else takes what would make the descriptor poll for ever. */
	engines_woken(&q->host, ~engines_busy(&q->host));
	if (!q->user_armed)
		return;
	if (bell_disarm(&q->host.bell))
		drain_event_fd(q);
	engines_listen_no_more(&q->host, ALL_ENGINES);
	q->user_armed = false;
}
