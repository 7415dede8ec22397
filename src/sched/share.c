/* SPDX-License-Identifier: MIT */
#include "sched/sched.h"

/* A sleeping thread of another core starts to work about this much later (in a virtual machine). */
#define WAKE_WORTH_NS 50000u
#define SHARE_LEAST 4u
#define SHARE_MOST 64u

#define WINDOW_NS 200000u
#define MEASURED_ALWAYS \
	16u /* calls on the list when the wait begins; of smaller waits one in ... */
#define MEASURED_SELDOM 8u
#define PAUSE_LEAST 4u
#define PAUSE_MOST 8192u
#define TRIAL_LEAST 32u
#define TRIAL_MOST 1024u
#define PREEMPTED_NS 100000u
#define DOUBTS 256u
#define TRIED_BESIDE 16u /* at most TRIAL_LEAST */

void share_init(struct share *share)
{
	*share = (struct share){
		.windows = TRIAL_LEAST, .pause = PAUSE_LEAST, .trial = TRIAL_LEAST, .skip = true
	};
}

static uint32_t offer(struct asys_queue *q, uint32_t count)
{
	uint32_t n = 0, i;

	for (; n < count && (i = list_take(q, LIST_QUICK)) != NIL; n++) {
		if (!helpers.offer(&q->host, i, quick_lane(q, slot_at(q, i)))) {
			unpop(q, i, LIST_QUICK);
			break;
		}
	}
	return n;
}

void share_all(struct asys_queue *q)
{
	if (q->nlist[LIST_QUICK] && q->host.engine != ASYS_ENGINE_INLINE) {
		if (!context_check(q))
			return;
		offer(q, q->nlist[LIST_QUICK]);
		helpers.flush(&q->host, true);
	} else if (q->nlist[LIST_QUICK] && queue_shared(q)) {
		poke_sleeper(q); /* who waits runs them, and may be asleep */
	}
}

static uint64_t quick_work_ns(const struct asys_queue *q)
{
	uint32_t i = list_first(q, LIST_QUICK);

	if (i == NIL)
		return 0;
	return (unlikely(q->host.pool.slots[i].chain) ?
			chain_work_ns(q, &q->host.pool.slots[i]) :
			cost_of(&q->host.costs, q->host.pool.slots[i].call.nr)) *
	       q->nlist[LIST_QUICK];
}

/*
 * To rent or to buy: the client runs by itself what it could have shared until that adds up to the
 * price of waking a thread, and then wakes one. So small batches in close succession get a second
 * core, and a single small batch does not pay for one.
 */
static bool worth_waking(struct asys_queue *q)
{
	q->share.unshared_ns += quick_work_ns(q) / 2;
	if (q->share.unshared_ns < WAKE_WORTH_NS)
		return false;
	q->share.unshared_ns = 0;
	return true;
}

void share_some(struct asys_queue *q)
{
	uint32_t n = q->nlist[LIST_QUICK];
	bool awake;

	if (n < SHARE_LEAST || q->share.alone || q->host.cores < 2 ||
	    q->host.engine == ASYS_ENGINE_INLINE || helpers.offered(&q->host))
		return;
	awake = helpers.awake(&q->host);
	if (!awake && !worth_waking(q))
		return;
	if (!context_check(q))
		return;
	n /= 2;
	if (offer(q, n > SHARE_MOST ? SHARE_MOST : n))
		helpers.flush(&q->host, !awake);
}

static void go_alone(struct share *s, uint32_t windows)
{
	s->alone = true;
	s->skip = true;
	s->windows = windows;
}

static void go_shared(struct share *s)
{
	s->alone = false;
	s->skip = true;
	s->speed_shared = 0;
	s->windows = s->trial;
}

static uint32_t smoothed(uint32_t old, uint32_t now)
{
	return old ? old - old / 4 + now / 4 : now;
}

static uint32_t twice(uint32_t windows, uint32_t most)
{
	return windows * 2 < most ? windows * 2 : most;
}

/* Windows shared so far are enough to judge by: one, or beside busy programs until a thread that was woken
 * has had its turn. */
static bool tried_enough(const struct share *s)
{
	return !s->doubts || s->trial - s->windows + 1 >= TRIED_BESIDE;
}

static void judge(struct share *s, uint32_t speed)
{
	if (s->moved) {
		s->moved = false;
		s->speed_alone = s->speed_shared = 0;
	}
	if (s->alone) {
		s->speed_alone = smoothed(s->speed_alone, speed);
		if (!--s->windows)
			go_shared(s);
		return;
	}
	s->speed_shared = smoothed(s->speed_shared, speed);
	if (tried_enough(s) && s->speed_alone &&
	    s->speed_shared < s->speed_alone + s->speed_alone / 16) {
		go_alone(s, s->pause);
		s->pause = twice(s->pause, PAUSE_MOST);
		s->trial = TRIAL_LEAST;
	} else if (!--s->windows) {
		go_alone(s, 1);
		s->pause = PAUSE_LEAST;
		s->trial = twice(s->trial, TRIAL_MOST);
	}
}

bool share_measures(struct asys_queue *q, struct stopwatch *watch)
{
	uint32_t n = q->nlist[LIST_QUICK];

	if (n < SHARE_LEAST || !helpers.live(&q->host))
		return false;
	if (n < MEASURED_ALWAYS && ++q->share.drives % MEASURED_SELDOM)
		return false;
	stopwatch_start(watch, q->share.doubts);
	return true;
}

/*
 * How long the client was at it; 0: that is not known, since others had its CPU meanwhile. Whether they had
 * is asked from the first wait on that took far too long, until none has for a while.
 */
static uint64_t time_at_it(struct share *s, const struct stopwatch *watch, uint64_t work_ns)
{
	uint64_t ns;
	enum stopwatch_seen seen = stopwatch_stop(watch, &ns);
	bool lost = seen == STOPWATCH_LOST ||
		    (seen == STOPWATCH_UNKNOWN && ns > 4 * work_ns + PREEMPTED_NS);

	if (lost)
		s->doubts = DOUBTS;
	else if (s->doubts)
		s->doubts--;
	return lost ? 0 : ns;
}

void share_ended(struct asys_queue *q, const struct stopwatch *watch, uint64_t work_ns)
{
	uint64_t ns = time_at_it(&q->share, watch, work_ns);

	if (!ns)
		q->share.spoiled = true;
	share_measured(q, ns, work_ns);
}

void share_measured(struct asys_queue *q, uint64_t ns, uint64_t work_ns)
{
	struct share *s = &q->share;
	uint64_t speed;

	if (s->spoiled) {
		s->spoiled = false;
		return;
	}
	s->busy_ns += ns;
	s->work_ns += work_ns;
	if (s->busy_ns < WINDOW_NS)
		return;
	speed = s->work_ns * 1024 / s->busy_ns;
	s->busy_ns = s->work_ns = 0;
	if (s->skip)
		s->skip = false;
	else
		judge(s, speed > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)speed);
}
