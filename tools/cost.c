/* SPDX-License-Identifier: MIT */
#include "cost.h"

#include <stdlib.h>
#include <sys/resource.h>

static void now(struct cost *cost)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	cost->cpu_ns = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
		       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
	cost->switches = (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw);
	cost->wall_ns = asys_now();
}

void cost_start(struct cost *cost)
{
	cost->calls = 0;
	cost->traps = 0;
	now(cost);
}

void cost_stop(struct cost *cost)
{
	struct cost end;

	now(&end);
	cost->wall_ns = end.wall_ns - cost->wall_ns;
	cost->cpu_ns = end.cpu_ns - cost->cpu_ns;
	cost->switches = end.switches - cost->switches;
}

uint64_t cost_traps(struct asys_queue *queue)
{
	struct asys_stats stats;

	if (asys_queue_stats(queue, &stats) < 0)
		return 0;
	return stats.traps + stats.helped;
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The median of the uint64_t at `offset` of every cost. */
static uint64_t median_of(const struct cost *costs, unsigned count, size_t offset)
{
	uint64_t values[64] = { 0 };
	unsigned n = count < 64 ? count : 64;

	for (unsigned i = 0; i < n; i++)
		values[i] = *(const uint64_t *)(const void *)((const char *)&costs[i] + offset);
	qsort(values, n, sizeof *values, compare);
	return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

struct cost cost_median(const struct cost *costs, unsigned count)
{
	return (struct cost){
		.wall_ns = median_of(costs, count, offsetof(struct cost, wall_ns)),
		.cpu_ns = median_of(costs, count, offsetof(struct cost, cpu_ns)),
		.switches = median_of(costs, count, offsetof(struct cost, switches)),
		.calls = median_of(costs, count, offsetof(struct cost, calls)),
		.traps = median_of(costs, count, offsetof(struct cost, traps)),
	};
}
