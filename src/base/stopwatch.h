/* SPDX-License-Identifier: MIT */
/*
 * How long a thread is at something. On a busy machine the time by the clock is no answer: others ran in
 * between, for milliseconds, and a call looks as if it had waited for a disk. Only a thread that went to
 * sleep has waited for something.
 *
 * To ask the kernel for that costs two traps, so this is done where there is a reason to doubt. (Not for the
 * thread's CPU clock: reading it makes the kernel look whether the thread's slice is over, and beside others
 * it would lose the CPU after 1 ms where it else has it until the next tick, after 4.)
 */
#ifndef ASYS_BASE_STOPWATCH_H
#define ASYS_BASE_STOPWATCH_H

#include "base/base.h"

#include <sys/resource.h>

struct stopwatch {
	uint64_t ns;
	uint64_t cpu_us; /* as of the kernel's last look: some milliseconds late */
	long sleeps, preempted;
	bool in_doubt;
};

enum stopwatch_seen {
	STOPWATCH_UNKNOWN, /* nothing was asked */
	STOPWATCH_WAITED,
	STOPWATCH_WORKED,
	STOPWATCH_LOST, /* worked, but others had its CPU for a while */
};

/* Of the calling thread. */
static inline void stopwatch_look(struct stopwatch *ret_watch)
{
	struct rusage usage = { .ru_nvcsw = 0 };

	raw_call(SYS_getrusage, (uint64_t)RUSAGE_THREAD, ptr_word(&usage), 0, 0);
	ret_watch->cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
			    (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	ret_watch->sleeps = usage.ru_nvcsw;
	ret_watch->preempted = usage.ru_nivcsw;
}

static inline void stopwatch_start(struct stopwatch *watch, bool in_doubt)
{
	watch->in_doubt = in_doubt;
	if (unlikely(in_doubt))
		stopwatch_look(watch);
	watch->ns = clock_now();
}

/* In the thread that started it. *ret_ns: by the clock; where the CPU was lost, what is known of its own. */
static inline enum stopwatch_seen stopwatch_stop(const struct stopwatch *watch, uint64_t *ret_ns)
{
	struct stopwatch now;

	*ret_ns = clock_now() - watch->ns;
	if (likely(!watch->in_doubt))
		return STOPWATCH_UNKNOWN;
	stopwatch_look(&now);
	if (now.sleeps != watch->sleeps)
		return STOPWATCH_WAITED;
	if (now.preempted == watch->preempted)
		return STOPWATCH_WORKED;
	*ret_ns = (now.cpu_us - watch->cpu_us) * 1000;
	return STOPWATCH_LOST;
}

#endif
