/* SPDX-License-Identifier: MIT */
/*
 * A thread that shares the client's work must not be on the client's core: there it takes the time that it saves, and
 * costs two changes of context more. The kernel puts it there all the same:
 * it looks for an idle core only while few are busy, else it wakes a thread where it last was, and
 * there it stays until the next balancing, milliseconds later. Measured with batches of 16 reads on two
 * cores: 0.7 of the client's speed alone with both on one core, 1.6 with each on its own.
 *
 * So a thread that finds itself there has itself moved: it forbids itself that core and then takes
 * that back. A thread's last core is the kernel's first choice, so once is enough for long.
 */
#include "engine/engine.h"
#include "engine/worker.h"
#include <sched.h>
#include <string.h>

#define SLICE_NS 100000u
#define MOVE_EVERY_NS 1000000u /* where the other cores are taken, it comes back at each wake-up */
#define ASK_AGAIN_NS 1000000000u /* where it is refused */

static bool move_off(int32_t core)
{
	uint64_t all[128], others[128]; /* 8,192 cores */
	int64_t bytes = raw_call(SYS_sched_getaffinity, 0, sizeof(all), ptr_word(all), 0);
	uint32_t word = (uint32_t)core / 64;

	if (bytes <= 0 || word * 8 >= (uint64_t)bytes)
		return false;
	memcpy(others, all, (size_t)bytes);
	others[word] &= ~(1ull << (core % 64));
	/* Refused where no other core is allowed. */
	if (raw_call(SYS_sched_setaffinity, 0, (uint64_t)bytes, ptr_word(others), 0))
		return false;
	raw_call(SYS_sched_setaffinity, 0, (uint64_t)bytes, ptr_word(all), 0);
	return true;
}

void worker_leave_clients_core(struct worker *w)
{
	int32_t core = atomic_load_explicit(&w->host->client_core, memory_order_relaxed);
	uint64_t now;

	if (likely(core < 0 || core != sched_getcpu()) || w->host->cores < 2)
		return;
	now = clock_now();
	if (now < w->move_after)
		return;
	w->move_after = now + (move_off(core) ? MOVE_EVERY_NS : ASK_AGAIN_NS);
}

/* As in linux/sched/types.h, which cannot be included beside the C library's sched.h. */
struct slice_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

/* Since 6.12 a thread may ask for shorter slices, which come sooner: its share of the CPU stays the same, and it
 * does not wait for the end of a busy neighbour's slice each time that it is woken for microseconds of work. */
void worker_ask_for_short_slices(void)
{
	struct slice_attr attr = { .size = sizeof(attr) };

	if (raw_call(SYS_sched_getattr, 0, ptr_word(&attr), sizeof(attr), 0) ||
	    attr.policy != SCHED_OTHER)
		return;
	attr.runtime = SLICE_NS;
	raw_call(SYS_sched_setattr, 0, ptr_word(&attr), 0, 0);
}
