/* SPDX-License-Identifier: MIT */
/*
 * Contract: two cores are never used where one alone is faster (src/sched/share.h). The judgement is
 * a function of measured windows, so most of this drives it with windows made up here; time passes
 * only in the last tests, where it is not looked at.
 */
/* before cmocka, which has a macro named fail */
#include "sched/sched.h"

#include "support.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#define WINDOW 200000u /* ns: every measured wait is one window */
#define ALONE_SPEED 1000u
#define MS 1000000u

static struct asys_queue *fresh(struct asys_queue *q)
{
	memset(q, 0, sizeof(*q));
	share_init(&q->share);
	return q;
}

/* A window in which so much was done per 1024 ns. */
static void window(struct asys_queue *q, uint32_t speed)
{
	share_measured(q, WINDOW, (uint64_t)speed * WINDOW / 1024);
}

/* How many such windows until the state changes. */
static unsigned until_change(struct asys_queue *q, uint32_t speed)
{
	const bool alone = q->share.alone;
	unsigned n = 0;

	while (q->share.alone == alone) {
		window(q, speed);
		check(++n < 100000);
	}
	return n;
}

/* From the start: shared, a look at how fast one is alone, shared again. */
static struct asys_queue *with_reference(struct asys_queue *q)
{
	fresh(q);
	check(!q->share.alone);
	until_change(q, 2 * ALONE_SPEED);
	check_eq(until_change(q, ALONE_SPEED), 2); /* its first window is not counted */
	return q;
}

/* A wait that took so much longer than its work that others must have had the core. */
static void test_preempted(void **state)
{
	struct stopwatch watch;
	struct asys_queue q;
	uint64_t busy;

	(void)state;
	fresh(&q);
	window(&q, ALONE_SPEED);
	stopwatch_start(&watch, q.share.doubts);
	share_ended(&q, &watch, WINDOW / 2);
	busy = q.share.busy_ns;
	watch.ns -= 100 * WINDOW;
	share_ended(&q, &watch, WINDOW / 2);
	check_eq(q.share.busy_ns, busy);
	check(q.share.doubts);
	check(!q.share.spoiled);
	/* From now on it asks: what was long for another reason counts, unless it really happens now. */
	for (unsigned n = 0; q.share.busy_ns == busy; n++) {
		check(n < 1000);
		stopwatch_start(&watch, q.share.doubts);
		check(watch.in_doubt);
		watch.ns -= WINDOW / 2;
		share_ended(&q, &watch, 1);
	}
	/* and what really lost the CPU does not */
	busy = q.share.busy_ns;
	stopwatch_start(&watch, q.share.doubts);
	watch.preempted--;
	share_ended(&q, &watch, WINDOW);
	check_eq(q.share.busy_ns, busy);
}

/* What a call is taken for that took 10 ms. */
static void test_seen(void **state)
{
	const struct timespec moment = { .tv_nsec = 1 };
	struct stopwatch watch;
	uint32_t seen;

	(void)state;
	stopwatch_start(&watch, false);
	watch.ns -= 10 * MS;
	check_eq(cost_seen(&watch), COST_MOST_NS);
	/* Others had the core: nothing is known. */
	stopwatch_start(&watch, true);
	watch.ns -= 10 * MS;
	watch.preempted--;
	check_eq(cost_seen(&watch), 0);
	/* It waited. */
	stopwatch_start(&watch, true);
	nanosleep(&moment, NULL);
	watch.ns -= 10 * MS;
	check_eq(cost_seen(&watch), COST_MOST_NS);
	/* It computed, and so long that others wait; the same where it lost the core for a while. */
	for (seen = 0; !seen; seen = cost_seen(&watch)) {
		stopwatch_start(&watch, true);
		watch.ns -= 10 * MS;
	}
	check_eq(seen, COST_MOST_NS);
	stopwatch_start(&watch, true);
	watch.preempted--;
	watch.cpu_us -= 10000;
	check_eq(cost_seen(&watch), COST_MOST_NS);
	/* It computed, not for so long: who waits runs it. */
	for (seen = 0; !seen; seen = cost_seen(&watch)) {
		stopwatch_start(&watch, true);
		watch.ns -= 5 * COST_SLOW_NS;
	}
	check_eq(seen, COST_SLOW_NS);
}

static void test_reference(void **state)
{
	struct asys_queue q;
	unsigned first;

	(void)state;
	fresh(&q);
	/* nothing to compare with: slow or fast, it goes on sharing until the first look */
	first = until_change(&q, 1);
	fresh(&q);
	check_eq(until_change(&q, 5 * ALONE_SPEED), first);
	check(first > 2);
	check_eq(until_change(&q, ALONE_SPEED), 2);
	check(q.share.speed_alone > ALONE_SPEED - 5 && q.share.speed_alone <= ALONE_SPEED);
}

static void test_not_faster(void **state)
{
	struct asys_queue q;

	(void)state;
	with_reference(&q);
	/* the window with the wake-up is not counted, the next one decides */
	window(&q, 1);
	check(!q.share.alone);
	window(&q, ALONE_SPEED);
	check(q.share.alone);
	/* a little faster is not worth a core: the line is at a sixteenth */
	with_reference(&q);
	window(&q, 1);
	window(&q, ALONE_SPEED + ALONE_SPEED / 16 - 5);
	check(q.share.alone);
	with_reference(&q);
	window(&q, 1);
	window(&q, ALONE_SPEED + ALONE_SPEED / 16 + 5);
	check(!q.share.alone);
}

static void test_pause_doubles(void **state)
{
	unsigned pause, last = 0, times = 0;
	struct asys_queue q;

	(void)state;
	with_reference(&q);
	for (;;) {
		check_eq(until_change(&q, ALONE_SPEED), 2);
		pause = until_change(&q, ALONE_SPEED) - 1;
		if (pause == last)
			break;
		if (last)
			check_eq(pause, 2 * last);
		last = pause;
		check(++times < 20);
	}
	/* up to 1.6 s, and there it stays */
	check_eq((uint64_t)last * WINDOW / 1000000, 1638);
	check_eq(until_change(&q, ALONE_SPEED), 2);
	check_eq(until_change(&q, ALONE_SPEED) - 1, last);
}

static void test_recovery(void **state)
{
	struct asys_queue q;
	unsigned trial, last = 0, times = 0;

	(void)state;
	with_reference(&q);
	for (unsigned k = 0; k < 12; k++) {
		until_change(&q, ALONE_SPEED);
		until_change(&q, ALONE_SPEED);
	}
	/* the other core is free again: shared, with ever rarer looks at how fast one is alone */
	for (;;) {
		trial = until_change(&q, 2 * ALONE_SPEED) - 1;
		check_eq(until_change(&q, ALONE_SPEED), 2);
		if (trial == last)
			break;
		if (last)
			check_eq(trial, 2 * last);
		last = trial;
		check(++times < 20);
	}
	/* and a failure begins with a short pause again */
	check_eq(until_change(&q, ALONE_SPEED / 2), 2);
	check(until_change(&q, ALONE_SPEED) < 10);
	/* after which the next look is near again, too */
	check(until_change(&q, 2 * ALONE_SPEED) - 1 < last);
}

/* A judgement is smoothed: one window that somebody disturbed is not a reason. */
static void test_one_bad_window(void **state)
{
	struct asys_queue q;

	(void)state;
	with_reference(&q);
	for (unsigned k = 0; k < 10; k++)
		window(&q, 2 * ALONE_SPEED);
	window(&q, ALONE_SPEED);
	check(!q.share.alone);
	for (unsigned k = 0; k < 10; k++)
		window(&q, ALONE_SPEED / 2);
	check(q.share.alone);
}

static void test_spoiled(void **state)
{
	struct asys_queue q;
	struct share before;

	(void)state;
	with_reference(&q);
	window(&q, 1);
	before = q.share;
	/* waits for something else count for nothing, however long */
	for (unsigned k = 0; k < 100; k++) {
		q.share.spoiled = true;
		share_measured(&q, 1000ull * WINDOW, 1);
		check(!q.share.spoiled);
		check(q.share.busy_ns == before.busy_ns && q.share.work_ns == before.work_ns);
		check(q.share.alone == before.alone && q.share.windows == before.windows);
		check(q.share.speed_alone == before.speed_alone);
		check(q.share.speed_shared == before.speed_shared);
	}
	window(&q, 2 * ALONE_SPEED);
	check(!q.share.alone);
	for (unsigned k = 0; k < 10; k++)
		window(&q, 1);
	check(q.share.alone);
}

/* Waits are short: many make a window, and nothing is judged before it is full. */
static void test_small_waits(void **state)
{
	struct asys_queue q;

	(void)state;
	with_reference(&q);
	window(&q, 1);
	for (unsigned k = 0; k < 199; k++) {
		share_measured(&q, WINDOW / 200, k % 2 ? 0 : WINDOW / 200);
		check(!q.share.alone);
	}
	share_measured(&q, WINDOW / 200, 0);
	check(q.share.alone);
}

static void test_extremes(void **state)
{
	struct asys_queue q;

	(void)state;
	/* no work at all, more than fits, and a wait of an hour end in one of the two states */
	for (unsigned k = 0; k < 20000; k++) {
		if (k % 5000 == 0)
			fresh(&q);
		share_measured(&q, k % 3 ? WINDOW : 3600000000000ull, k % 4 ? 0 : UINT64_MAX >> 10);
		check(q.share.windows > 0);
		check(q.share.windows <= 8192);
	}
}

/* What sharing may lose, or what not sharing may lose, is a small part of the time. */
static void shares(uint32_t speed_shared, unsigned least, unsigned most)
{
	const unsigned windows = 50000; /* 10 s */
	unsigned shared = 0;
	struct asys_queue q;

	fresh(&q);
	for (unsigned k = 0; k < windows; k++) {
		shared += !q.share.alone;
		window(&q, q.share.alone ? ALONE_SPEED : speed_shared);
	}
	if (shared < least || shared > most)
		support_fail(__FILE__, __LINE__, "speed %u: shared in %u of %u windows",
			     speed_shared, shared, windows);
}

static void test_small_loss(void **state)
{
	(void)state;
	shares(ALONE_SPEED / 3, 2, 200);
	shares(ALONE_SPEED, 2, 200);
	shares(2 * ALONE_SPEED, 49500, 49999);
	shares(5 * ALONE_SPEED / 4, 49500, 49999);
}

/* The real thing. */

/* The queue says of itself that it works alone: then no thread gets a quick call. */
static void test_alone_is_alone(void **state)
{
	struct asys_stats before, after;
	struct asys_queue *q = open_queue();
	asys_id id[64];

	(void)state;
	if (driver_is("fd")) {
		asys_queue_close(q);
		skip_because("nobody waits, so threads run all");
	}
	if (q->host.engine == ASYS_ENGINE_THREADS) {
		asys_queue_close(q);
		skip_because("with threads forced, they run all");
	}
	warm_up(q);
	share_init(&q->share);
	/* the longest pause */
	q->share.speed_alone = ALONE_SPEED;
	for (unsigned k = 0; k < 40000 && !(q->share.alone && q->share.windows == 8192); k++)
		window(q, ALONE_SPEED);
	check(q->share.alone);
	check_eq(asys_queue_stats(q, &before), 0);
	for (unsigned k = 0; k < 50; k++) {
		for (unsigned n = 0; n < 64; n++)
			id[n] = submit(q, SYS_getppid, 0);
		for (unsigned n = 0; n < 64; n++)
			check_eq(result_of(q, id[n]), getppid());
	}
	check_eq(asys_queue_stats(q, &after), 0);
	check_eq(after.by_engine[ASYS_ENGINE_THREADS], before.by_engine[ASYS_ENGINE_THREADS]);
	check_eq(after.ended - before.ended, 50 * 64);
	asys_queue_close(q);
}

struct burner {
	pthread_t thread;
	uint32_t stop;
};

static void *burn(void *arg)
{
	struct burner *burner = arg;

	while (!__atomic_load_n(&burner->stop, __ATOMIC_RELAXED))
		;
	return NULL;
}

/* On the last core that this program may use, so that the queue's threads compete with it. */
static void burner_start(struct burner *burner)
{
	cpu_set_t all, last;

	burner->stop = 0;
	check_eq(pthread_create(&burner->thread, NULL, burn, burner), 0);
	check_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	for (size_t cpu = CPU_SETSIZE; cpu-- > 0;) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&last);
		CPU_SET(cpu, &last);
		pthread_setaffinity_np(burner->thread, sizeof(last), &last);
		break;
	}
}

static void burner_stop(struct burner *burner)
{
	__atomic_store_n(&burner->stop, 1, __ATOMIC_RELAXED);
	pthread_join(burner->thread, NULL);
}

/* Batches of quick calls while somebody has the other core: each ends once, with its own result. */
static void test_under_load(void **state)
{
	static const uint32_t flags[] = { 0, ASYS_QUEUE_SHARED };
	struct asys_event events[64];
	struct burner burner;
	uint32_t sent = 0;

	(void)state;
	burner_start(&burner);
	for (unsigned k = 0; k < 2; k++) {
		struct asys_queue *q = open_depth(256, flags[k]);
		const uint64_t end = asys_now() + 300000000;
		struct asys_stats stats;
		uint64_t sum = 0;

		sent = 0;
		while (asys_now() < end) {
			uint64_t seen = 0;
			asys_id last = { 0 };

			for (unsigned n = 0; n < 64; n++) {
				struct asys_queue *next = asys_user(q, n);

				if (n % 16 == 15)
					next = asys_after(next, last);
				last = submit(next, n % 2 ? SYS_getppid : SYS_close, -1);
			}
			sent += 64;
			for (unsigned n = 0; n < 64;) {
				int got = asys_queue_get_many(q, events, 64, 64 - n, ASYS_FOREVER);

				check(got > 0);
				for (int e = 0; e < got; e++) {
					check_eq(events[e].result,
						 events[e].user % 2 ? getppid() : -EBADF);
					check(!(seen & (1ull << events[e].user)));
					seen |= 1ull << events[e].user;
				}
				n += (unsigned)got;
			}
			check_eq(asys_queue_pending(q), 0);
		}
		check_eq(asys_queue_stats(q, &stats), 0);
		for (unsigned e = 0; e < ASYS_ENGINE_COUNT; e++)
			sum += stats.by_engine[e];
		check_eq(stats.sent, sent);
		check_eq(stats.ended, sent);
		check_eq(sum, sent);
		asys_queue_close(q);
	}
	burner_stop(&burner);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_preempted),      contract(test_seen),
		contract(test_reference),      contract(test_not_faster),
		contract(test_pause_doubles),  contract(test_recovery),
		contract(test_one_bad_window), contract(test_spoiled),
		contract(test_small_waits),    contract(test_extremes),
		contract(test_small_loss),     contract(test_alone_is_alone),
		contract(test_under_load),
	};

	return group(tests, argc, argv);
}
