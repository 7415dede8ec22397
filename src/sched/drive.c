/* SPDX-License-Identifier: MIT */
/*
 * The loop of every waiter: end what has ended, start what can start, help, and only then sleep.
 */
#include "sched/sched.h"

#define TAKE_BACK 8u
/* Engines get what quick calls and chains make ready for them together, but not later than after so many. */
#define START_TOGETHER 16u
/* Quick calls between two looks at what else has ended. */
#define LOOK_EVERY 16u
/* Quick calls that a visit runs whose goal is met without it: as many as it brings events, within these. */
#define SERVE_LEAST 4u
#define SERVE_MOST 16u

bool may_help(const struct asys_queue *q)
{
	return !(q->host.flags & ASYS_QUEUE_NO_HELP) && q->host.engine != ASYS_ENGINE_THREADS;
}

unsigned reap(struct asys_queue *q)
{
	unsigned n = engines_reap(&q->host);

	if (unlikely(q->timers.count))
		timers_run(q);
	if (unlikely(helpers.to_watch(&q->host)))
		helpers.watch(&q->host);
	q->blocked &= !n;
	return n;
}

void run_here(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	struct stopwatch watch;
	int64_t result;
	bool timed;

	if (unlikely(slot->call.nr == CALL_CHAIN)) {
		chain_run(q, i);
		return;
	}
	slot_to(slot, SLOT_RUNNING);
	slot->engine = ASYS_ENGINE_INLINE;
	if (likely(!queue_shared(q))) {
		end(q, i, run_measured(q, &slot->call));
		return;
	}
	timed = measure_begin(q, slot->call.nr, &watch);
	queue_unlock(q);
	result = raw_syscall(slot->call.nr, slot->call.arg);
	queue_lock(q);
	if (unlikely(timed))
		measure_end(q, slot->call.nr, &watch);
	end(q, i, result);
}

static bool reached(const struct asys_queue *q, const struct goal *goal)
{
	if (q->nended >= goal->ended || q->inflight <= goal->inflight)
		return true;
	if (unlikely(goal->stop && *goal->stop))
		return true;
	return goal->slot != NIL && slot_over(&q->host.pool.slots[goal->slot], goal->id);
}

static void run_quick(struct asys_queue *q, uint32_t i)
{
	if (unlikely(may_hang(&slot_at(q, i)->call)))
		run_risky(q, i);
	else
		run_here(q, i);
}

/*
 * One that was taken from the list, and up to `most` with those that follow it. Returns how many were run; 0:
 * its kind turned out to wait for a device, and many may wait at once elsewhere.
 */
static inline uint32_t help_some(struct asys_queue *q, uint32_t i, const struct goal *goal,
				 uint32_t most)
{
	enum route route = route_call(q, &slot_at(q, i)->call);
	uint32_t ran = 0;

	if (unlikely(!route_is_quick(route) &&
		     route_is_quick(q->host.route[slot_at(q, i)->call.nr]))) {
		list_add(q, i, LIST_START);
		return 0;
	}
	if (route == ROUTE_BATCH)
		ran = batch_with(q, i, goal);
	if (route_is_quick(route) && !ran)
		ran = burst_with(q, i, goal, most);
	if (ran)
		return ran;
	run_quick(q, i); /* also a file on disk: see start_one */
	return 1;
}

/*
 * The goal is met, and the waiter has room for more events: so many calls more. Who asks for one event and takes
 * many would else pay for each by a wait of its own, whatever belongs to that.
 */
static uint32_t room_for(struct asys_queue *q, const struct goal *goal, uint64_t begin_ns)
{
	uint64_t now = clock_now(), until = begin_ns + WELCOME_NS;
	uint32_t i = list_first(q, LIST_QUICK);

	return i == NIL || now >= until ? 0 : welcome(q, goal, &slot_at(q, i)->call, until - now);
}

/* Runs the client's own quick calls. Results of threads are taken in between, so that a waiter for
 * one of them does not wait for all of its own; and now and then what others have ended. */
static void help_own(struct asys_queue *q, const struct goal *goal)
{
	uint64_t begin = goal->most ? clock_now() : 0;
	uint32_t i, waiting = 0, ran = 0, n, most = LOOK_EVERY;

	while (context_check(q) && (i = list_take(q, LIST_QUICK)) != NIL) {
		n = help_some(q, i, goal, most);
		if (!n)
			return;
		if (unlikely(q->host.outstanding[ASYS_ENGINE_THREADS]))
			engines[ASYS_ENGINE_THREADS]->reap(&q->host);
		ran += n;
		if (unlikely(ran >= LOOK_EVERY)) {
			ran = 0;
			reap(q);
		}
		if (q->nlist[LIST_HOME] || late(goal))
			return;
		if (reached(q, goal)) {
			most = goal->most ? room_for(q, goal, begin) : 0;
			if (!most)
				return;
		}
		if (q->nlist[LIST_START] && ++waiting == START_TOGETHER)
			return;
		if (q->host.threads)
			share_some(q);
	}
}

/* What a visit owes everybody, whatever it came for: deadlines that are over, sendings that go on, and what is ready
 * and not quick goes where it belongs. drive_on does the same by reap and go_on. */
void advance(struct asys_queue *q, bool here)
{
	if (unlikely(q->timers.count))
		timers_run(q);
	chains_go_on(q, here);
	if (q->nlist[LIST_START] || q->nlist[LIST_HOME])
		start_all(q);
}

/*
 * The goal is met by what ended without this visit; what is ready gets its turn all the same, or a call
 * that ends again and again (a descriptor that always has data) would keep it from running for ever. So
 * every visit hands over all that is for engines, takes what has ended in them, lets chains go on, and runs some
 * quick calls, the oldest first: who is ready behind n others is served in the n-th visit at the latest.
 */
void serve(struct asys_queue *q, const struct goal *goal)
{
	uint32_t most = q->nended < SERVE_LEAST ? SERVE_LEAST :
			q->nended > SERVE_MOST	? SERVE_MOST :
						  q->nended;
	uint32_t i, n;

	advance(q, may_help(q));
	if (engines_busy(&q->host)) {
		engines_flush(&q->host); /* cancels too */
		reap(q);
	}
	if (!q->nlist[LIST_QUICK])
		return;
	share_some(q);
	while (most && context_check(q) && (i = list_take(q, LIST_QUICK)) != NIL) {
		n = help_some(q, i, goal, most);
		if (!n || late(goal))
			break;
		most -= n;
	}
}

/* Takes back what no thread has taken yet. */
static bool help_shared(struct asys_queue *q)
{
	uint32_t slots[TAKE_BACK];
	unsigned n = helpers.take_back(&q->host, slots, TAKE_BACK);

	if (n && batch_these(q, slots, n))
		return true;
	for (unsigned k = 0; k < n; k++) {
		if (unlikely(!context_check(q)))
			helpers.given_back(&q->host, slots[k]);
		else if (unlikely(slot_at(q, slots[k])->lane == LANE_SLOW &&
				  slot_at(q, slots[k])->call.nr != CALL_CHAIN))
			end(q, slots[k], -EAGAIN); /* no thread: as in start_without_thread */
		else
			run_quick(q, slots[k]);
	}
	return n != 0;
}

/*
 * One call alone in a queue, awaited without a time limit: nothing else can want this thread, so the
 * call runs in it even if it blocks, and costs what it costs without a queue. Not where somebody
 * may cancel it, or the queue's user asked for another engine. Nor a step of a chain: a signal would end it, or not
 * even that where it is made again until it is whole, instead of the wait.
 */
static bool alone(const struct asys_queue *q, const struct goal *goal)
{
	return q->inflight == 1 && q->nlist[LIST_START] == 1 && !q->nsteps && !q->chains &&
	       goal->when_ns == UINT64_MAX && q->host.engine == ASYS_ENGINE_AUTO &&
	       !q->timers.count && may_help(q) && !queue_shared(q) && !q->closing &&
	       !q->host.fault && !reached(q, goal) &&
	       !q->host.pool.slots[list_first(q, LIST_START)].chain;
}

static void run_alone(struct asys_queue *q)
{
	uint32_t i;

	if (unlikely(q->rescue))
		rescue_off(q); /* it may block for long: no signal of ours must end or shorten it */
	i = list_take(q, LIST_START);
	if (slot_at(q, i)->doomed)
		end(q, i, slot_at(q, i)->result);
	else
		run_here(q, i);
}

/* How many ends the sleeper can wait for at once without missing something it should do before. */
static uint32_t ends_needed(const struct asys_queue *q, const struct goal *goal)
{
	uint32_t by_threads = q->host.outstanding[ASYS_ENGINE_THREADS], need = 1;

	if (q->nwaiting || queue_shared(q) || q->nlist[LIST_START] || goal->slot != NIL ||
	    q->host.fd_wanted)
		return 1;
	if (goal->ended != UINT32_MAX)
		need = goal->ended - q->nended;
	else
		need = q->inflight - goal->inflight;
	return need < by_threads ? need : by_threads ? by_threads : 1;
}

/* Nothing more may be begun here: see context.c. Whoever may was told; until then, sleep. */
static int wait_for_rights(struct asys_queue *q, const struct goal *goal)
{
	return sleep_for_end(q, 1, goal->when_ns);
}

/* Lets chains go on, hands over what is for engines, helps: something of each, whatever the goal, so that
 * each has its turn in every visit. True: look again before going to sleep. */
static bool go_on(struct asys_queue *q, const struct goal *goal)
{
	uint32_t before;

	chains_go_on(q, may_help(q));
	if (unlikely(alone(q, goal))) {
		run_alone(q);
		return true;
	}
	before = q->nlist[LIST_START];
	if (before || q->nlist[LIST_HOME])
		start_all(q);
	if (q->nlist[LIST_QUICK]) {
		share_some(q);
		help_own(q, goal);
		return true;
	}
	if (q->nlist[LIST_START] && q->nlist[LIST_START] < before)
		return true;
	return (may_help(q) || helpers.stuck(&q->host)) && help_shared(q);
}

/*
 * It goes round again without a sleep, as it may for ever (a sending that loops): what a sleep would have given
 * others is due. Engines get what was collected for them, sleepers and loops hear what has ended, and who stands at
 * the door comes in: then true, and all may be different.
 */
static bool instead_of_sleep(struct asys_queue *q)
{
	if (engines_busy(&q->host))
		engines_flush(&q->host);
	if (likely(!queue_shared(q)))
		return false;
	if (unlikely(q->host.fd_wanted))
		user_signal(q);
	if (q->news)
		tell_others(q); /* one may have gone to sleep before this thread came */
	if (likely(!atomic_load_explicit(&q->at_the_door, memory_order_relaxed)))
		return false;
	let_others_in(q);
	return true;
}

static int drive_on(struct asys_queue *q, const struct goal *goal)
{
	bool served = goal->stop != NULL; /* a driver has no other visits */
	bool again = false;
	int err;

	/* What was offered while it was sent: a visit may meet its goal in its first round, and so may each after it. */
	helpers.flush(&q->host, true);
	for (;;) {
		if (q->inflight != q->nwaiting)
			reap(q);
		if (reached(q, goal)) {
			if (served || q->inflight == q->nwaiting)
				return 0;
			serve(q, goal);
			served = true;
			continue;
		}
		if (unlikely(!context_follow(q))) {
			err = wait_for_rights(q, goal);
			if (err)
				return err;
			continue;
		}
		served = true;
		if (again && instead_of_sleep(q)) {
			again = false;
			continue;
		}
		again = true;
		if (go_on(q, goal)) {
			if (late(goal) && !reached(q, goal))
				return -ETIME;
			continue;
		}
		if (reached(q, goal))
			return 0;
		if (late(goal))
			return -ETIME;
		/* Something ended while it was started, and let others be ready. */
		if (unlikely(q->chains) ||
		    (!engines_busy(&q->host) && (q->nlist[LIST_START] || q->nlist[LIST_QUICK])))
			continue;
		if (!engines_busy(&q->host) && !q->timers.count && !queue_shared(q))
			return -ENODATA;
		err = sleep_for_end(q, ends_needed(q, goal), goal->when_ns);
		if (err)
			return err;
		again = false;
	}
}

int drive(struct asys_queue *q, const struct goal *goal)
{
	uint64_t done = q->host.done_ns;
	struct stopwatch watch;
	bool measured;
	int err;

	measured = share_measures(q, &watch);
	err = drive_on(q, goal);
	if (unlikely(measured))
		share_ended(q, &watch, q->host.done_ns - done);
	if (unlikely(q->rescue))
		rescue_off(q);
	return err;
}
