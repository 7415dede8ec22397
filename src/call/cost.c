/* SPDX-License-Identifier: MIT */
#include "call/cost.h"

#define COST_WEIGHT 8u

uint32_t cost_seen(const struct stopwatch *watch)
{
	uint32_t most = COST_MOST_NS;
	uint64_t ns;

	switch (stopwatch_stop(watch, &ns)) {
	case STOPWATCH_LOST:
		if (ns < COST_LONG_NS)
			return 0;
		break;
	case STOPWATCH_WORKED:
		if (ns < COST_LONG_NS)
			most = COST_SLOW_NS;
		break;
	default:
		break;
	}
	return ns < most ? (uint32_t)ns : most;
}

bool cost_add(struct costs *costs, uint32_t nr, uint32_t seen)
{
	uint32_t old = costs->ns[nr], now;

	if (!old)
		now = seen < COST_SLOW_NS / 2 ? seen + 1 : COST_SLOW_NS / 2;
	else
		now = old + seen / COST_WEIGHT - old / COST_WEIGHT;
	__atomic_store_n(&costs->ns[nr], now, __ATOMIC_RELAXED); /* threads read it */
	return now > old + old / 8 || now + now / 16 < old;
}
