/* SPDX-License-Identifier: MIT */
/*
 * The client's side of the system call threads: threads.h has the protocol, worker.c the threads.
 */
#include "engine/threads.h"
#include "chain/run.h"
#include "engine/sleep_left.h"

#include "engine/engine.h"
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define UNHANG_NS \
	2000000ull /* so long a call of a chain may hang on a thread that others wait for */
#define LOOKS_DOUBLED_MOST 5u

/* Enough for a system call and a handler of SIGPIPE; only what is touched costs. */
#define STACK_BYTES (128u * 1024)

static struct crew *new_crew(void)
{
	struct crew *crew = aligned_alloc(CACHE_PAIR, sizeof(*crew));

	if (crew)
		memset(crew, 0, sizeof(*crew));
	return crew;
}

int threads_open(struct host *host)
{
	uint32_t depth = host->pool.depth, shift = (uint32_t)__builtin_ctz(depth);
	size_t work = (size_t)depth * sizeof(uint32_t);
	struct threads *t = aligned_alloc(CACHE_PAIR, sizeof(*t));
	bool short_of = !t;

	if (t) {
		memset(t, 0, sizeof(*t));
		for (unsigned k = 0; k < LANES * 3; k++) {
			struct work_ring *ring = &t->lane[k / 3][k % 3];

			ring->mask = depth - 1;
			ring->entries = pages_alloc(work);
			short_of |= !ring->entries;
		}
		t->results.mask = depth - 1;
		t->results.shift = shift;
		t->results.entries = pages_alloc((size_t)depth * sizeof(*t->results.entries));
		t->max = host->max_threads;
		t->workers = aligned_alloc(CACHE_PAIR, WORKERS_FOR(t->max) * sizeof(*t->workers));
		t->crew = new_crew();
		short_of |= !t->results.entries || !t->workers || !t->crew;
	}
	host->threads = t;
	if (short_of) {
		if (t) {
			t->max = t->workers ? t->max : 0;
			engine_threads.close(host, true);
		}
		return -ENOMEM;
	}
	memset(t->workers, 0, WORKERS_FOR(t->max) * sizeof(*t->workers));
	for (uint32_t k = 0; k < WORKERS_FOR(t->max); k++)
		pthread_mutex_init(&t->workers[k].cancel_lock, NULL);
	pthread_mutex_init(&t->lock, NULL);
	t->sharers = host->cores;
	t->spinners = host->cores > 1 ? host->cores - 1 : 0;
	t->signal = host->signal;
	return 0;
}

static void join(struct threads *t, struct worker *w)
{
	int state = cancel_point_off();

	pthread_join(w->thread, NULL);
	thread_is_gone(w->tid);
	cancel_point_back(state);
	if (!w->deaf)
		cancel_signal_give(t->signal);
	w->used = 0;
	if (--w->crew->members == 0 && w->crew != t->crew)
		free(w->crew);
}

/* Joins threads that have left. */
static void collect(struct threads *t)
{
	for (uint32_t k = 0; k < WORKERS_FOR(t->max); k++) {
		struct worker *w = &t->workers[k];

		if (w->used && atomic_load_explicit(&w->gone, memory_order_acquire))
			join(t, w);
	}
}

static int create(struct worker *w)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(
		&attr, STACK_BYTES < PTHREAD_STACK_MIN ? (size_t)PTHREAD_STACK_MIN : STACK_BYTES);
	err = pthread_create(&w->thread, &attr, worker_main, w);
	if (err == EINVAL) /* thread-local storage of the program does not fit on that stack */
		err = pthread_create(&w->thread, NULL, worker_main, w);
	pthread_attr_destroy(&attr);
	return -err;
}

/* Called with t->lock held. The new thread counts as looking at once, so that the next flush does
 * not start another one for the same call. */
static int start_thread(struct host *host)
{
	struct threads *t = host->threads;
	sigset_t mask, old;
	struct worker *w = NULL;
	int err;

	if (unlikely(!host->may_start(host)))
		return -EAGAIN;
	collect(t);
	for (uint32_t k = 0; k < WORKERS_FOR(t->max) && !w; k++)
		if (!t->workers[k].used)
			w = &t->workers[k];
	if (!w)
		return -EAGAIN;
	/* The program handles it by now, or handles all there are: it is not sent then. */
	w->deaf = cancel_signal_take(t->signal) != 0;
	w->host = host;
	w->crew = t->crew;
	w->quick = false;
	w->unsent = false;
	w->ran_quick = w->looks_slow = 0;
	w->overtook = UINT32_MAX / 2; /* it may be for a slow call that it is started */
	w->generation = atomic_load_explicit(&t->generation, memory_order_relaxed);
	w->epoch = host->context_epoch;
	w->spin_ns = host->cores > 1 ? host->spin_ns : 0;
	atomic_store_explicit(&w->gone, 0, memory_order_relaxed);
	atomic_store_explicit(&w->current, 0, memory_order_relaxed);
	t->crew->live++;
	atomic_fetch_add_explicit(&t->crew->idle, CREW_LOOKING, memory_order_seq_cst);
	cancel_signal_mask(w->deaf ? 0 : t->signal, &mask);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	err = create(w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		t->crew->live--;
		atomic_fetch_sub_explicit(&t->crew->idle, CREW_LOOKING, memory_order_seq_cst);
		if (!w->deaf)
			cancel_signal_give(t->signal);
		return err;
	}
	w->used = 1;
	t->crew->members++;
	host->stats.traps += 3;
	if (t->crew->live > host->stats.threads_max)
		host->stats.threads_max = t->crew->live;
	return 0;
}

/* `want` threads shall look for work. Returns 0, or the error if no thread lives at all. */
static int wake_or_start(struct host *host, uint32_t want)
{
	struct threads *t = host->threads;
	uint32_t looking, asleep, wake;
	uint64_t idle;
	int err = 0;

	if (crew_looking(atomic_load_explicit(&t->crew->idle, memory_order_seq_cst)) >= want)
		return 0;
	pthread_mutex_lock(&t->lock);
	idle = atomic_load_explicit(&t->crew->idle, memory_order_seq_cst);
	looking = crew_looking(idle);
	asleep = crew_asleep(idle);
	want -= want < looking ? want : looking;
	wake = want < asleep ? want : asleep;
	if (wake) {
		futex_wake(&t->pushes, (int)wake);
		host->stats.traps++;
		host->stats.wakeups += wake;
	}
	for (; wake < want && t->crew->live < t->max && !err; wake++)
		err = start_thread(host);
	atomic_store_explicit(&t->scarce, err != 0, memory_order_relaxed);
	if (t->crew->live)
		err = 0;
	pthread_mutex_unlock(&t->lock);
	return err;
}

static bool push(struct host *host, uint32_t i, enum lane lane)
{
	struct slot *slot = host_slot(host, i);
	struct threads *t = host->threads;

	slot->lane = (uint8_t)lane; /* before a thread sees it */
	if (!work_push(&t->lane[lane][call_priority(&slot->call)], i, &slot->aux))
		return false;
	slot_to(slot, SLOT_HANDED);
	slot->engine = ASYS_ENGINE_THREADS;
	host->outstanding[ASYS_ENGINE_THREADS]++;
	t->looks_in_vain = 0;
	t->risky_out += chain_is_risky(slot);
	if (lane == LANE_SLOW) {
		t->new_slow++;
		t->slow_out++;
	} else {
		t->new_quick++;
	}
	return true;
}

static bool threads_offer(struct host *host, uint32_t i, enum lane lane)
{
	return (host->threads || !threads_open(host)) && push(host, i, lane);
}

uint32_t threads_queued(const struct threads *t, enum lane lane)
{
	return work_count(&t->lane[lane][0]) + work_count(&t->lane[lane][1]) +
	       work_count(&t->lane[lane][2]);
}

/* Threads that take quick calls without being woken. */
static uint32_t quick_threads(const struct threads *t)
{
	return crew_looking(atomic_load_explicit(&t->crew->idle, memory_order_seq_cst)) +
	       atomic_load_explicit(&t->crew->quick_running, memory_order_seq_cst);
}

static uint32_t threads_offered(const struct host *host)
{
	const struct threads *t = host->threads;
	uint32_t n = 0;

	for (unsigned k = 0; t && k < LANE_SLOW * 3; k++)
		n += work_count(&t->lane[k / 3][k % 3]);
	return n;
}

static void threads_flush(struct host *host, bool wake)
{
	struct threads *t = host->threads;
	uint32_t want = 0, quick, slow, most = host->cores > 1 ? host->cores - 1 : 1;

	if (!t || !(t->new_slow | t->new_quick))
		return;
	atomic_store_explicit(&host->client_core, sched_getcpu(), memory_order_relaxed);
	atomic_fetch_add_explicit(&t->pushes, 1, memory_order_seq_cst);
	full_fence(); /* T1 */
	host->stats.batches++;
	quick = threads_offered(host);
	slow = t->slow_out ? threads_queued(t, LANE_SLOW) : 0;
	/* A slow call needs a thread of its own, so who looks for one is not there for others; quick ones need as
	 * many as there are cores besides the client's, those that run some already included. Who was awake when the
	 * client looked may have gone to sleep before it pushed: then these would lie there. */
	if (t->new_slow)
		want = slow + (quick != 0);
	else if (quick && quick_threads(t) < (wake ? most + slow : 1))
		want = slow + (quick < most ? quick : most);
	t->new_slow = t->new_quick = 0;
	if (want)
		wake_or_start(host, want < t->max ? want : t->max);
}

static void threads_start_more(struct host *host)
{
	if (!threads_offered(host) || quick_threads(host->threads))
		return;
	host->threads->new_quick++;
	threads_flush(host, true);
}

static bool takes_all(const struct asys_call *call)
{
	(void)call;
	return true;
}

static int start(struct host *host, uint32_t i)
{
	int err = host->threads ? 0 : threads_open(host);

	if (err)
		return err;
	/* No thread at all is an error now, not a call that never ends. */
	if (!host->threads->crew->live) {
		err = wake_or_start(host, 1);
		if (err)
			return -EOPNOTSUPP;
	}
	if (unlikely(host_slot(host, i)->given == GIVEN_SLEEP))
		sleep_goes_on(host_slot(host, i));
	return push(host, i, host_slot(host, i)->lane) ? 0 : -EAGAIN;
}

static void flush(struct host *host)
{
	threads_flush(host, true);
}

/* A call has left the threads: by its result, withdrawn, or taken back. */
static void over(struct host *host, const struct slot *slot)
{
	struct threads *t = host->threads;

	host->outstanding[ASYS_ENGINE_THREADS]--;
	t->looks_in_vain = 0;
	t->slow_out -= slot->lane == LANE_SLOW;
	t->risky_out -= chain_is_risky(slot);
}

static void threads_given_back(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);

	slot->engine = ASYS_ENGINE_AUTO;
	if (slot->chain != SLOT_SENDING && slot_cancelled(slot))
		host->ended(host, i, -ECANCELED);
	else
		host->again(host, i);
}

static unsigned reap_results(struct host *host)
{
	struct threads *t = host->threads;
	unsigned n = 0;
	uint32_t i, nr;
	int64_t result;

	if (!t || !host->outstanding[ASYS_ENGINE_THREADS])
		return 0;
	while (result_pop(&t->results, &i, &result)) {
		result_prefetch(&t->results);
		over(host, host_slot(host, i & ~RESULT_GIVEN_BACK));
		n++;
		if (unlikely(i & RESULT_GIVEN_BACK)) {
			threads_given_back(host, i & ~RESULT_GIVEN_BACK);
			continue;
		}
		if (unlikely(host_slot(host, i)->call.nr == CALL_CHAIN)) {
			host->returned(host, i);
			continue;
		}
		host->done_ns += cost_of(&host->costs, host_slot(host, i)->call.nr);
		host->ended(host, i, result);
	}
	nr = n ? atomic_exchange_explicit(&t->cost_nr, 0, memory_order_acquire) : 0;
	if (nr)
		host->measured(host, nr - 1,
			       atomic_load_explicit(&t->cost_ns, memory_order_relaxed));
	return n;
}

static void send_signal(struct host *host, struct worker *w)
{
	if (w->deaf)
		return;
	w->unsent = !cancel_signal_send(host->threads->signal, w->tid, 0);
	if (unlikely(w->unsent))
		host->threads->unsent = true;
	host->stats.traps += 2;
}

/* T3. The bit first, then a look at who runs the call: pairs with run_call. */
static void signal_runner(struct host *host, uint32_t i)
{
	struct threads *t = host->threads;

	full_fence();
	for (uint32_t k = 0; k < WORKERS_FOR(t->max); k++) {
		struct worker *w = &t->workers[k];

		if (!w->used || atomic_load_explicit(&w->current, memory_order_seq_cst) != i + 1)
			continue;
		pthread_mutex_lock(&w->cancel_lock);
		if (atomic_load_explicit(&w->current, memory_order_seq_cst) == i + 1)
			send_signal(host, w);
		pthread_mutex_unlock(&w->cancel_lock);
		return;
	}
}

static void cancel(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);
	struct threads *t = host->threads;

	if (work_withdraw(&t->lane[slot->lane][call_priority(&slot->call)], slot->aux, i)) {
		over(host, slot);
		slot->engine = ASYS_ENGINE_AUTO;
		host->ended(host, i, -ECANCELED);
		return;
	}
	__atomic_fetch_or(&slot->call.flags, SLOT_CANCEL, __ATOMIC_SEQ_CST);
	signal_runner(host, i);
}

/*
 * The count in `hanging` is another one for each call: if it is the same before and after, the thread
 * was in that call all the time, and `current` names its sending. The slot is that sending's until the
 * client reaps it, so the bit cannot hit another call; the signal goes as in signal_runner.
 */
static void unhang(struct host *host, struct worker *w)
{
	uint32_t now = atomic_load_explicit(&w->hanging, memory_order_seq_cst), i;

	pthread_mutex_lock(&w->cancel_lock);
	i = atomic_load_explicit(&w->current, memory_order_seq_cst);
	if (now && now == w->seen_hanging && i &&
	    now == atomic_load_explicit(&w->hanging, memory_order_seq_cst)) {
		__atomic_fetch_or(&host_slot(host, i - 1)->call.flags, SLOT_CANCEL,
				  __ATOMIC_SEQ_CST);
		full_fence();
		if (atomic_load_explicit(&w->current, memory_order_seq_cst) == i)
			send_signal(host, w);
	}
	pthread_mutex_unlock(&w->cancel_lock);
	w->seen_hanging = now;
}

/* Unless that call has ended. */
static void send_again(struct host *host, struct worker *w)
{
	uint32_t i;

	pthread_mutex_lock(&w->cancel_lock);
	i = atomic_load_explicit(&w->current, memory_order_seq_cst);
	w->unsent = false;
	if (i && slot_cancelled(host_slot(host, i - 1)))
		send_signal(host, w);
	pthread_mutex_unlock(&w->cancel_lock);
}

static bool threads_to_watch(const struct host *host)
{
	return host->threads && (host->threads->risky_out || host->threads->unsent);
}

static bool runs_sending(struct host *host, const struct worker *w)
{
	uint32_t i = atomic_load_explicit(&w->current, memory_order_seq_cst);

	return i && host_slot(host, i - 1)->call.nr == CALL_CHAIN;
}

static uint64_t threads_look_ns(const struct host *host)
{
	const struct threads *t = host->threads;

	return t ? UNHANG_NS << t->looks_in_vain : UNHANG_NS;
}

/* Where all sendings wait for a thread, one is taken only after something has ended, which looks are counted from
 * anew: until then they may be rare. */
static void threads_watch(struct host *host)
{
	struct threads *t = host->threads;
	uint64_t now = clock_now();
	bool runs = t->unsent;

	if (now < t->watched_ns + threads_look_ns(host))
		return;
	t->watched_ns = now;
	for (uint32_t k = 0; k < WORKERS_FOR(t->max); k++) {
		if (!t->workers[k].used)
			continue;
		unhang(host, &t->workers[k]);
		runs |= runs_sending(host, &t->workers[k]);
	}
	t->looks_in_vain = runs ? 0 : least(t->looks_in_vain + 1, LOOKS_DOUBLED_MOST);
	if (likely(!t->unsent))
		return;
	t->unsent = false;
	for (uint32_t k = 0; k < WORKERS_FOR(t->max); k++)
		if (t->workers[k].used && t->workers[k].unsent)
			send_again(host, &t->workers[k]);
}

static uint32_t threads_live(const struct host *host)
{
	return host->threads ?
		       atomic_load_explicit(&host->threads->crew->live, memory_order_relaxed) :
		       0;
}

/* Before the next flush, threads are perhaps only not started yet: after a change of rights there are none. */
static bool threads_stuck(const struct host *host)
{
	const struct threads *t = host->threads;

	return t && host->outstanding[ASYS_ENGINE_THREADS] && !threads_live(host) &&
	       !(t->new_slow | t->new_quick) &&
	       (threads_offered(host) || threads_queued(t, LANE_SLOW));
}

static unsigned threads_take_back(struct host *host, uint32_t *ret_slots, unsigned max)
{
	struct threads *t = host->threads;
	unsigned lanes = threads_stuck(host) ? LANES : LANE_SLOW;
	unsigned n = 0;
	bool any;

	if (!t || !host->outstanding[ASYS_ENGINE_THREADS])
		return 0;
	for (unsigned k = 0; k < lanes * 3 && !n; k++)
		n = work_take(&t->lane[k / 3][k % 3], ret_slots, max, t->sharers, &any);
	for (unsigned k = 0; k < n; k++)
		over(host, host_slot(host, ret_slots[k]));
	return n;
}

static bool threads_have_quick_only(const struct host *host)
{
	return host->threads && host->outstanding[ASYS_ENGINE_THREADS] && !host->threads->slow_out;
}

static bool threads_may_start_more(const struct host *host)
{
	const struct threads *t = host->threads;

	if (!threads_offered(host) ||
	    (atomic_load_explicit(&t->crew->live, memory_order_relaxed) == t->max &&
	     !crew_asleep(atomic_load_explicit(&t->crew->idle, memory_order_relaxed))))
		return false;
	/* Where as many are in calls that may hang as may be, one more would not take another. */
	return threads_queued(t, LANE_QUICK) ||
	       atomic_load_explicit(&t->crew->slow_running, memory_order_relaxed) <
		       threads_slow_most(t);
}

static bool threads_awake(const struct host *host)
{
	return host->threads && quick_threads(host->threads) >= host->threads->spinners;
}

static bool has_result(const struct host *host)
{
	return host->threads && result_ready(&host->threads->results);
}

/* ... or will have one that may be published already, behind one that is not. */
static bool may_have_result(const struct host *host)
{
	return host->threads && !result_none_reserved(&host->threads->results);
}

/* After the generation was raised. A thread outside a call can claim no other any more: it leaves
 * now. One inside a call leaves after it. */
static void leave_behind(struct threads *t, struct worker *w)
{
	uint32_t phase;

	if (!w->used)
		return;
	while ((phase = atomic_load_explicit(&w->phase, memory_order_seq_cst)) == WORKER_CLAIMING)
		sched_yield();
	if (phase == WORKER_OUT)
		join(t, w);
}

static void renew(struct host *host)
{
	struct threads *t = host->threads;
	struct crew *crew;

	if (!t)
		return;
	atomic_fetch_add_explicit(&t->generation, 1, memory_order_seq_cst);
	atomic_fetch_add_explicit(&t->pushes, 1, memory_order_seq_cst);
	full_fence();
	futex_wake(&t->pushes, INT_MAX);
	for (uint32_t k = 0; k < WORKERS_FOR(t->max); k++)
		leave_behind(t, &t->workers[k]);
	/* Without memory the new threads count together with the old ones: later, not wrong. */
	crew = t->crew->members ? new_crew() : NULL;
	if (crew)
		t->crew = crew;
	/* What they left in the lanes is for new ones. */
	t->new_quick += threads_offered(host);
	t->new_slow += threads_queued(t, LANE_SLOW);
}

#define SEE_OFF_NS 20000000u
#define SEE_OFF_PAUSE_NS 50000u

/* One that has published its result, or is between two steps of a sending, is still there; one in a call may be so
 * for ever. */
static void see_off(struct host *host)
{
	const struct timespec pause = { 0, SEE_OFF_PAUSE_NS };
	uint64_t until = clock_now() + SEE_OFF_NS;
	struct threads *t = host->threads;
	bool there = t != NULL;

	while (there && clock_now() < until) {
		there = false;
		for (uint32_t k = 0; k < WORKERS_FOR(t->max); k++) {
			leave_behind(t, &t->workers[k]);
			there |= t->workers[k].used;
		}
		if (there)
			raw_call(SYS_nanosleep, ptr_word(&pause), 0, 0, 0);
	}
}

/* Nothing is outstanding, so every thread is between calls and leaves soon. */
static void join_all(struct host *host)
{
	struct threads *t = host->threads;

	renew(host);
	for (uint32_t k = 0; k < WORKERS_FOR(t->max); k++) {
		struct worker *w = &t->workers[k];

		if (w->used)
			join(t, w);
	}
}

static void close_threads(struct host *host, bool child)
{
	struct threads *t = host->threads;
	size_t work = (size_t)host->pool.depth * sizeof(uint32_t);

	if (!t)
		return;
	if (!child) {
		join_all(host);
		for (uint32_t k = 0; k < WORKERS_FOR(t->max); k++)
			pthread_mutex_destroy(&t->workers[k].cancel_lock);
		pthread_mutex_destroy(&t->lock);
	}
	for (unsigned k = 0; k < LANES * 3; k++)
		pages_free((void *)(uintptr_t)t->lane[k / 3][k % 3].entries, work);
	pages_free(t->results.entries, (size_t)host->pool.depth * sizeof(*t->results.entries));
	free(t->crew);
	free(t->workers);
	free(t);
	host->threads = NULL;
}

const struct engine engine_threads = {
	.name = "threads",
	.takes = takes_all,
	.start = start,
	.flush = flush,
	.reap = reap_results,
	.cancel = cancel,
	.has_news = has_result,
	.may_have_news = may_have_result,
	.renew = renew,
	.see_off = see_off,
	.close = close_threads,
};

const struct helpers helpers = {
	.offer = threads_offer,
	.flush = threads_flush,
	.start_more = threads_start_more,
	.take_back = threads_take_back,
	.given_back = threads_given_back,
	.have_quick_only = threads_have_quick_only,
	.offered = threads_offered,
	.may_start_more = threads_may_start_more,
	.awake = threads_awake,
	.live = threads_live,
	.stuck = threads_stuck,
	.watch = threads_watch,
	.to_watch = threads_to_watch,
	.look_ns = threads_look_ns,
};
