/* SPDX-License-Identifier: MIT */
/*
 * A system call thread: threads.h has the protocol.
 */
#include "engine/worker.h"
#include "base/cancelpoint.h"
#include "engine/engine.h"
#include <signal.h>

#define TAKE_MAX 16
#define OVERTAKES_MOST 8u /* batches of quick calls, before a slow call or a sending has its turn */
#define IDLE_EXIT_NS 500000000u
#define SPIN_LEAST_NS 2000u

/* Whoever sent it has let go of cancel_lock by then, so it is pending; a trap takes it. */
void absorb_signal(struct worker *w)
{
	pthread_mutex_lock(&w->cancel_lock);
	raw_call(SYS_getpid, 0, 0, 0, 0);
	pthread_mutex_unlock(&w->cancel_lock);
}

/* T4. After `current` was set: renewing either finds that call running, or this finds the new epoch. */
static bool rights_are_old(const struct worker *w)
{
	return atomic_load_explicit(&rights_epoch, memory_order_seq_cst) != w->epoch ||
	       atomic_load_explicit(&w->host->threads->generation, memory_order_seq_cst) !=
		       w->generation;
}

/* False: not started, its sender may have dropped the rights that this thread has. */
static bool run_call(struct worker *w, uint32_t i, int64_t *ret_result)
{
	struct slot *slot = host_slot(w->host, i);
	const struct asys_call *call = &slot->call;
	int64_t result = 0;
	bool run;

	cancel_running = &slot->call.flags;
	/* Pairs with signal_runner: either it finds `current`, or the window's test finds its bit. */
	atomic_exchange_explicit(&w->current, i + 1, memory_order_seq_cst);
	run = !rights_are_old(w);
	if (likely(run))
		result =
			cancelpoint_syscall(&call->flags, call->nr, call->arg[0], call->arg[1],
					    call->arg[2], call->arg[3], call->arg[4], call->arg[5]);
	atomic_exchange_explicit(&w->current, 0, memory_order_seq_cst);
	if (unlikely(__atomic_load_n(&call->flags, __ATOMIC_SEQ_CST) & SLOT_CANCEL)) {
		absorb_signal(w);
		/* Interrupted by the cancel. Not of close: its descriptor is gone, and who heard of a cancel
		 * would close it again. */
		if (result == -EINTR && call->nr != SYS_close)
			result = -ECANCELED;
	}
	*ret_result = result;
	return run;
}

/* The client, who is told at once, hands it to a thread with the present rights. */
static void give_back(struct worker *w, uint32_t i)
{
	result_push(&w->host->threads->results, i | RESULT_GIVEN_BACK, 0);
	bell_ring_now(&w->host->bell);
}

/* What a sending's client has to do something about is told at once, however many ends it waits for. */
static void run_chain_and_publish(struct worker *w, uint32_t i)
{
	bool ended;

	if (unlikely(rights_are_old(w))) {
		give_back(w, i);
		return;
	}
	ended = worker_run_chain(w, i);
	result_push(&w->host->threads->results, i, 0);
	if (ended)
		bell_ring(&w->host->bell, 1);
	else
		bell_ring_now(&w->host->bell);
}

static bool run_timed(struct worker *w, uint32_t i, int64_t *ret_result)
{
	struct threads *t = w->host->threads;
	uint32_t nr = host_slot(w->host, i)->call.nr;
	struct stopwatch watch;

	stopwatch_start(&watch, cost_in_doubt(w->host, nr));
	if (unlikely(!run_call(w, i, ret_result)))
		return false;
	atomic_store_explicit(&t->cost_ns, cost_seen(&watch), memory_order_relaxed);
	atomic_store_explicit(&t->cost_nr, nr + 1, memory_order_release);
	return true;
}

static void run_and_publish(struct worker *w, uint32_t i, bool timed)
{
	int64_t result;
	bool run;

	if (unlikely(host_slot(w->host, i)->call.nr == CALL_CHAIN)) {
		run_chain_and_publish(w, i);
		return;
	}
	run = unlikely(timed) ? run_timed(w, i, &result) : run_call(w, i, &result);
	if (unlikely(!run)) {
		give_back(w, i);
		return;
	}
	result_push(&w->host->threads->results, i, result);
	bell_ring(&w->host->bell, 1);
}

/* A thread counts itself as looking for work or as running quick calls. From one batch to the next it
 * stays with the latter: each count is a shared line. */
static void count_as_quick(struct worker *w, bool quick)
{
	struct crew *crew = w->crew;

	if (w->quick == quick)
		return;
	w->quick = quick;
	if (quick) {
		atomic_fetch_add_explicit(&crew->quick_running, 1, memory_order_seq_cst);
		atomic_fetch_sub_explicit(&crew->idle, CREW_LOOKING, memory_order_seq_cst);
	} else {
		atomic_fetch_add_explicit(&crew->idle, CREW_LOOKING, memory_order_seq_cst);
		atomic_fetch_sub_explicit(&crew->quick_running, 1, memory_order_seq_cst);
	}
}

/* Which priority the n-th look begins with, and goes on with: now and then a lower one first, as list_take does. */
static unsigned turn(uint32_t n, unsigned k)
{
	return n % TURN_EVERY ? k : (k + 1 + n / TURN_EVERY % 2) % 3;
}

static bool take_quick(struct worker *w)
{
	struct threads *t = w->host->threads;
	uint32_t batch[TAKE_MAX];
	bool any = false;

	for (unsigned k = 0; k < 3 && !any; k++) {
		unsigned p = turn(w->ran_quick / TAKE_MAX, k);
		unsigned n = work_take(&t->lane[LANE_QUICK][p], batch, TAKE_MAX, t->sharers, &any);

		if (!any)
			continue;
		/* From here on a renewal may leave this thread behind. */
		atomic_store_explicit(&w->phase, WORKER_BUSY, memory_order_release);
		count_as_quick(w, true);
		w->overtook++;
		for (unsigned j = 0; j < n; j++) {
			if (j + 1 < n)
				__builtin_prefetch(&host_slot(w->host, batch[j + 1])->call);
			run_and_publish(w, batch[j], w->ran_quick++ % COST_EVERY == 0);
		}
	}
	return any;
}

bool worker_may_be_slow(const struct worker *w)
{
	return atomic_load_explicit(&w->crew->slow_running, memory_order_relaxed) <
	       threads_slow_most(w->host->threads);
}

/*
 * Slow calls were pushed in the belief that this thread would take one, since it was looking or was woken. Where no more
 * threads can be had for them, asleep or new, nobody believed that, and many slow calls must not keep the others waiting
 * until they are over. What is left in the other lane gets a thread by the client (threads_start_more).
 */
static bool is_expected_elsewhere(const struct worker *w, enum lane lane)
{
	const struct threads *t = w->host->threads;

	return lane == LANE_HANGING && threads_queued(t, LANE_SLOW) && worker_may_be_slow(w) &&
	       (crew_asleep(atomic_load_explicit(&w->crew->idle, memory_order_seq_cst)) ||
		(!atomic_load_explicit(&t->scarce, memory_order_relaxed) &&
		 atomic_load_explicit(&w->crew->live, memory_order_seq_cst) < t->max));
}

/*
 * Takes one from a slow lane and runs it; false: nothing there. A thread stops counting as looking before
 * it takes: who pushes a call that this one may wait for, and finds that one gone from the lane, must
 * not count on this thread for his (T5).
 */
static bool take_slow_from(struct worker *w, enum lane lane, unsigned priority)
{
	struct work_ring *ring = &w->host->threads->lane[lane][priority];
	uint32_t one;
	unsigned n = 0;
	bool any;

	if (!work_count(ring))
		return false;
	atomic_fetch_sub_explicit(&w->crew->idle, CREW_LOOKING, memory_order_seq_cst);
	any = is_expected_elsewhere(w, lane);
	if (likely(!any))
		n = work_take(ring, &one, 1, 1, &any);
	if (n)
		atomic_store_explicit(&w->phase, WORKER_BUSY, memory_order_release);
	if (n)
		run_and_publish(w, one, true);
	atomic_fetch_add_explicit(&w->crew->idle, CREW_LOOKING, memory_order_seq_cst);
	return any;
}

/*
 * The right to be in a slow call, or to look for one: all threads but one may have it. Who is refused may
 * rely on another that has it, and so looks at the lanes again before it sleeps; two that only tried
 * must never refuse each other.
 */
static bool claim_slow(struct worker *w)
{
	uint32_t most = threads_slow_most(w->host->threads);
	uint32_t now = atomic_load_explicit(&w->crew->slow_running, memory_order_seq_cst);

	do {
		if (now >= most)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&w->crew->slow_running, &now, now + 1, memory_order_seq_cst, memory_order_seq_cst));
	return true;
}

/* One slow call, or one that may hang, unless all threads but one are in such calls already. */
static bool take_slow(struct worker *w)
{
	bool any = false;
	enum lane first;

	w->overtook = 0;
	count_as_quick(w, false);
	if (!claim_slow(w))
		return false;
	first = ++w->looks_slow % 2 ? LANE_HANGING : LANE_SLOW;
	for (unsigned k = 0; k < 6 && !any; k++) {
		enum lane lane = k < 3 ? first : (enum lane)(LANE_HANGING + LANE_SLOW - first);

		any = take_slow_from(w, lane, turn(w->looks_slow / 2, k % 3));
	}
	atomic_fetch_sub_explicit(&w->crew->slow_running, 1, memory_order_seq_cst);
	return any;
}

/*
 * A lane of quick calls that is never empty would keep every thread from slow ones, also one that was started for
 * them. Who leaves it for one, and may be long, wakes another: its calls were pushed in the belief that this
 * thread would take them. Where all are busy, or none can be woken, the client starts one (threads_start_more).
 */
static bool take_slow_in_turn(struct worker *w)
{
	struct threads *t = w->host->threads;
	uint64_t idle;

	if (likely(w->overtook < OVERTAKES_MOST) ||
	    (!threads_queued(t, LANE_SLOW) && !threads_queued(t, LANE_HANGING)))
		return false;
	atomic_fetch_add_explicit(&t->pushes, 1, memory_order_seq_cst);
	full_fence(); /* T1 */
	idle = atomic_load_explicit(&w->crew->idle, memory_order_seq_cst);
	if (!crew_looking(idle) && crew_asleep(idle))
		futex_wake(&t->pushes, 1);
	return take_slow(w);
}

bool worker_may_go_on(struct worker *w)
{
	/* Pairs with renew in threads.c: it raises the generation, then waits for phase != CLAIMING. */
	atomic_exchange_explicit(&w->phase, WORKER_CLAIMING, memory_order_seq_cst);
	return !rights_are_old(w);
}

/* Looks at `pushes` for a while; true: it changed. */
static bool spin_for_work(struct worker *w, uint32_t seen)
{
	struct threads *t = w->host->threads;
	uint64_t until;

	if (!w->spin_ns ||
	    crew_looking(atomic_load_explicit(&w->crew->idle, memory_order_relaxed)) > t->spinners)
		return false;
	until = clock_now() + w->spin_ns;
	do {
		for (int k = 0; k < 64; k++) {
			if (atomic_load_explicit(&t->pushes, memory_order_acquire) != seen) {
				w->spin_ns = w->spin_ns * 2 < w->host->spin_ns ? w->spin_ns * 2 :
										 w->host->spin_ns;
				return true;
			}
			cpu_relax();
		}
	} while (clock_now() < until);
	if (w->spin_ns > SPIN_LEAST_NS)
		w->spin_ns -= w->spin_ns / 4;
	return false;
}

/* Nobody pushed for IDLE_EXIT_NS: leaves, unless somebody did meanwhile. */
static bool leave_if_idle(struct worker *w, uint32_t seen)
{
	struct threads *t = w->host->threads;
	bool leave;

	pthread_mutex_lock(&t->lock);
	leave = atomic_load_explicit(&t->pushes, memory_order_seq_cst) == seen;
	if (leave) {
		atomic_fetch_sub_explicit(&w->crew->idle, CREW_ASLEEP, memory_order_seq_cst);
		w->crew->live--;
	}
	pthread_mutex_unlock(&t->lock);
	return leave;
}

/* Found nothing after reading `pushes` as `seen`. False: the thread has left. */
static bool wait_for_work(struct worker *w, uint32_t seen)
{
	struct threads *t = w->host->threads;
	int err = 0;

	if (spin_for_work(w, seen))
		return true;
	atomic_fetch_add_explicit(&w->crew->idle, CREW_ASLEEP - CREW_LOOKING, memory_order_seq_cst);
	full_fence(); /* T1 */
	while (atomic_load_explicit(&t->pushes, memory_order_seq_cst) == seen) {
		err = futex_wait(&t->pushes, seen, clock_now() + IDLE_EXIT_NS);
		if (err == -ETIMEDOUT && leave_if_idle(w, seen))
			return false;
	}
	atomic_fetch_sub_explicit(&w->crew->idle, CREW_ASLEEP - CREW_LOOKING, memory_order_seq_cst);
	return true;
}

static void leave(struct worker *w)
{
	struct threads *t = w->host->threads;

	count_as_quick(w, false);
	pthread_mutex_lock(&t->lock);
	atomic_fetch_sub_explicit(&w->crew->idle, CREW_LOOKING, memory_order_seq_cst);
	w->crew->live--;
	pthread_mutex_unlock(&t->lock);
	bell_ring_now(&w->host->bell); /* what it leaves in the lanes needs somebody else */
}

void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct threads *t = w->host->threads;

	w->tid = (int32_t)raw_call(SYS_gettid, 0, 0, 0, 0);
	worker_ask_for_short_slices();
	for (;;) {
		uint32_t seen = atomic_load_explicit(&t->pushes, memory_order_acquire);
		bool found;

		if (!worker_may_go_on(w)) {
			leave(w);
			break;
		}
		worker_leave_clients_core(w);
		found = take_slow_in_turn(w) || take_quick(w) || take_slow(w);
		atomic_store_explicit(&w->phase, WORKER_OUT, memory_order_release);
		if (!found && !wait_for_work(w, seen))
			break;
	}
	atomic_store_explicit(&w->phase, WORKER_OUT, memory_order_seq_cst);
	atomic_store_explicit(&w->gone, 1, memory_order_release);
	return NULL;
}
