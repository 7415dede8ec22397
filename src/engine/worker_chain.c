/* SPDX-License-Identifier: MIT */
/*
 * A sending of a chain on a system call thread: from step to step, until it has ended or a step is
 * somebody else's: one that only the client may make, an engine waits for better, or that has an event.
 */
#include "base/cancelpoint.h"
#include "chain/run.h"
#include "engine/engine.h"
#include "engine/worker.h"

/* So long a sending has its thread, before others who wait for one have their turn; between so many quick calls
 * it looks whether that time is over. */
#define TURN_NS 20000000u
#define LOOK_EVERY 64u

/* Calls that are made here: those that cannot block for ever, and in the lane of those that may, any that
 * would need a thread of their own, if nothing else of the sending could go on meanwhile. */
static bool is_mine(const struct worker *w, const struct slot *slot, const struct instance *inst,
		    uint32_t k, const struct asys_call *call)
{
	bool file = inst->chain->steps.at[k].flags & STEP_FILE, alone = inst->ready.head == NIL;
	enum route route =
		call->nr < CALL_NUMBERS ? (enum route)w->host->route[call->nr] : ROUTE_SLOW;

	if (w->host->fault)
		return false;
	if (route_is_quick(route) || route == ROUTE_POOL ||
	    (file && w->host->engine != ASYS_ENGINE_URING && w->host->engine != ASYS_ENGINE_READY))
		return true;
	return route == ROUTE_SLOW && slot->lane == LANE_SLOW && alone;
}

/* The cancelled sending's cleanup must not be interrupted: nobody signals from here on, and a signal
 * that was sent is taken now (T3). */
static void leave_cancel(struct worker *w, const uint32_t **flags)
{
	static const uint32_t none;

	atomic_exchange_explicit(&w->current, 0, memory_order_seq_cst);
	cancel_running = NULL;
	absorb_signal(w);
	*flags = &none;
}

static int64_t make_call(const uint32_t *flags, const struct asys_call *call)
{
	int64_t result =
		cancelpoint_syscall(flags, call->nr, call->arg[0], call->arg[1], call->arg[2],
				    call->arg[3], call->arg[4], call->arg[5]);

	if (unlikely(result == -EINTR) && (__atomic_load_n(flags, __ATOMIC_SEQ_CST) & SLOT_CANCEL))
		return -ECANCELED;
	return result;
}

static bool was_signalled(const struct slot *slot, const uint32_t *flags)
{
	return flags == &slot->call.flags &&
	       (__atomic_load_n(flags, __ATOMIC_SEQ_CST) & SLOT_CANCEL);
}

/* The cancel came while a call of cleanup was made: that is made again, or the rest of it. */
static int64_t finish_cleanup(struct worker *w, struct instance *inst, uint32_t k,
			      const uint32_t **flags, const struct asys_call *call, int64_t result)
{
	leave_cancel(w, flags);
	if (result == -ECANCELED)
		return make_call(*flags, call);
	chain_interrupted(inst, k, call, result);
	return result;
}

/*
 * A call that may hang says so; the client looks every UNHANG_NS and interrupts what hangs
 * (threads_unhang). Then nothing has happened, or a part of a write, and the client gives the call, or the
 * rest, a thread of its own: false.
 */
static bool make_step(struct worker *w, struct instance *inst, uint32_t k, const uint32_t **flags,
		      const struct asys_call *call)
{
	struct slot *slot = host_slot(w->host, inst->slot);
	uint16_t kind = inst->chain->steps.at[k].flags;
	bool risky = !(kind & STEP_AT_ONCE) && ((kind & STEP_FILE) || may_hang(call));
	int64_t result;

	if (risky) {
		w->hangs = w->hangs + 1 ? w->hangs + 1 : 1;
		atomic_store_explicit(&w->hanging, w->hangs, memory_order_relaxed);
	}
	result = make_call(*flags, call);
	if (risky)
		atomic_store_explicit(&w->hanging, 0, memory_order_relaxed);
	if (likely(!was_signalled(slot, *flags))) {
		chain_done(inst, k, call, result);
		return true;
	}
	if (chain_cancelled(inst)) {
		if (step_is_cleanup(inst, k))
			result = finish_cleanup(w, inst, k, flags, call, result);
	} else {
		absorb_signal(w);
		__atomic_fetch_and(&slot->call.flags, ~SLOT_CANCEL, __ATOMIC_SEQ_CST);
		inst->hung = k;
		if (result == -ECANCELED) {
			chain_unget(inst, k);
			return false;
		}
		chain_interrupted(inst, k, call, result);
	}
	chain_done(inst, k, call, result);
	return inst->hung == NIL;
}

struct turn {
	uint64_t until_ns; /* from the first look on, which most sendings end before; 0: not yet */
	uint32_t calls;
};

/*
 * Somebody waits for a thread, and none is there for it or can be had: all are busy, perhaps each with a sending that
 * loops for ever, or as many as may be in slow lanes.
 */
static bool is_awaited(const struct worker *w)
{
	const struct threads *t = w->host->threads;
	const struct crew *crew = w->crew;
	uint32_t slow = threads_queued(t, LANE_SLOW) + threads_queued(t, LANE_HANGING);

	if (slow && !worker_may_be_slow(w)) /* sendings are in these lanes, too */
		return true;
	if (atomic_load_explicit(&crew->idle, memory_order_relaxed) ||
	    (atomic_load_explicit(&crew->live, memory_order_relaxed) < t->max &&
	     !atomic_load_explicit(&t->scarce, memory_order_relaxed)))
		return false;
	return slow || (threads_queued(t, LANE_QUICK) &&
			!atomic_load_explicit(&crew->quick_running, memory_order_relaxed));
}

/* Then one that has had its turn goes back to the client, and comes again behind the others. */
static bool turn_is_over(const struct worker *w, struct turn *turn)
{
	uint64_t now = clock_now();

	if (!turn->until_ns)
		turn->until_ns = now + TURN_NS;
	return now >= turn->until_ns && is_awaited(w);
}

/* T4: the sender's rights may have changed between two steps. */
static bool goes_on(struct worker *w, const struct slot *slot, struct turn *turn)
{
	if (!worker_may_go_on(w))
		return false;
	return (++turn->calls % LOOK_EVERY && slot->lane != LANE_SLOW) || !turn_is_over(w, turn);
}

static void run_steps(struct worker *w, struct slot *slot, struct instance *inst)
{
	const uint32_t *flags = &slot->call.flags;
	struct asys_call call;
	struct turn turn = { 0 };
	uint32_t k = NIL;

	for (;;) {
		enum chain_want want = chain_next(inst, &k, &call);

		if (want == CHAIN_ENDED || want == CHAIN_WAITS)
			return;
		if (want == CHAIN_REPORT) {
			chain_unget_report(inst, k);
			return;
		}
		if (want == CHAIN_YIELD && worker_may_go_on(w) && !turn_is_over(w, &turn)) {
			/* A step may compute for long, and who renews must not wait for it. */
			atomic_store_explicit(&w->phase, WORKER_BUSY, memory_order_release);
			continue;
		}
		if (want != CHAIN_CALL || !is_mine(w, slot, inst, k, &call) ||
		    !goes_on(w, slot, &turn)) {
			if (want != CHAIN_YIELD)
				chain_unget(inst, k);
			return;
		}
		atomic_store_explicit(&w->phase, WORKER_BUSY, memory_order_release);
		/* Cancelled since chain_next looked: only cleanup is still to be made. */
		if (unlikely(chain_cancelled(inst))) {
			if (!step_is_cleanup(inst, k)) {
				chain_unget(inst, k);
				continue;
			}
			if (flags == &slot->call.flags)
				leave_cancel(w, &flags);
		}
		inst->calls++;
		inst->calls_ns += cost_of(&w->host->costs, call.nr);
		if (!make_step(w, inst, k, &flags, &call))
			return;
	}
}

bool worker_run_chain(struct worker *w, uint32_t i)
{
	struct slot *slot = host_slot(w->host, i);
	struct instance *inst = instance_of(slot);

	if (!inst->started)
		instance_start(inst, &slot->call, slot->deadline);
	cancel_running = &slot->call.flags;
	atomic_exchange_explicit(&w->current, i + 1, memory_order_seq_cst);
	run_steps(w, slot, inst);
	atomic_exchange_explicit(&w->current, 0, memory_order_seq_cst);
	if (unlikely(__atomic_load_n(&slot->call.flags, __ATOMIC_SEQ_CST) & SLOT_CANCEL))
		absorb_signal(w);
	return inst->ended;
}
