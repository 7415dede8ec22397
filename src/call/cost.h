/* SPDX-License-Identifier: MIT */
/*
 * What runs of a call number took on this queue, smoothed. The client writes, also system call threads read.
 *
 * What waits for longer than a hand-over to another core takes is not run by who waits (COST_SLOW_NS). What computes
 * is, whatever it costs, if others do not wait for it too long (COST_LONG_NS).
 */
#ifndef CALL_COST_H
#define CALL_COST_H

#include "base/stopwatch.h"
#include "call/facts.h"

#define COST_SLOW_NS 20000u
#define COST_LONG_NS 200000u

/* One sample counts for so much at most: it takes several to make a call slow, not one that was
 * preempted. */
#define COST_MOST_NS (4 * COST_SLOW_NS)

/* Until something was measured. */
#define COST_DEFAULT_NS 700u

#define COST_EVERY 64u /* runs of which one is timed */

struct costs {
	uint32_t ns[CALL_NUMBERS]; /* 0: never measured */
};

/* What the call that ends now is taken for; 0: nothing is known. In the thread that started the watch. */
uint32_t cost_seen(const struct stopwatch *watch);
/* One more run, not of 0 ns. True: what is known has changed a lot. */
bool cost_add(struct costs *costs, uint32_t nr, uint32_t seen);

static inline uint32_t cost_known(const struct costs *costs, uint32_t nr)
{
	return nr < CALL_NUMBERS ? __atomic_load_n(&costs->ns[nr], __ATOMIC_RELAXED) : 0;
}

/* For the client, which alone writes it. */
static inline bool cost_is_high(const struct costs *costs, uint32_t nr)
{
	return nr < CALL_NUMBERS && costs->ns[nr] > COST_SLOW_NS;
}

static inline uint32_t cost_of(const struct costs *costs, uint32_t nr)
{
	uint32_t ns = cost_known(costs, nr);

	return ns ? ns : COST_DEFAULT_NS;
}

#endif
