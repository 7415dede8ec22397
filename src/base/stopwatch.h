/* SPDX-License-Identifier: MIT */
/*
 * How long a thread is at a call. On a busy machine the time by the clock is no answer: others ran in
 * between, for milliseconds, and the call looks as if it had waited for a disk. What it cost is the CPU
 * time, unless the thread went to sleep in it: then, and only then, it waited for something.
 *
 * To ask the kernel for both costs four traps, so this is done where there is a reason to doubt.
 */
#ifndef ASYS_BASE_STOPWATCH_H
#define ASYS_BASE_STOPWATCH_H

#include "base/base.h"

#include <sys/resource.h>

struct stopwatch {
	uint64_t ns, cpu_ns;
	long sleeps, preempted; /* times */
	bool in_doubt;
};

/* Of the calling thread. */
static inline uint64_t stopwatch_cpu_ns(void)
{
	struct timespec ts;

	if (raw_call(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, ptr_word(&ts), 0, 0))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void stopwatch_switches(long *ret_sleeps, long *ret_preempted)
{
	struct rusage usage;
	bool known = !raw_call(SYS_getrusage, (uint64_t)RUSAGE_THREAD, ptr_word(&usage), 0, 0);

	*ret_sleeps = known ? usage.ru_nvcsw : 0;
	*ret_preempted = known ? usage.ru_nivcsw : 0;
}

static inline void stopwatch_start(struct stopwatch *watch, bool in_doubt)
{
	watch->in_doubt = in_doubt;
	if (unlikely(in_doubt)) {
		stopwatch_switches(&watch->sleeps, &watch->preempted);
		watch->cpu_ns = stopwatch_cpu_ns();
	}
	watch->ns = clock_now();
}

/* In the thread that started it. False: it was at work all the time, as far as it had the CPU, and
 * *ret_ns is how long it had it. True without a doubt, too. */
static inline bool stopwatch_waited(const struct stopwatch *watch, uint64_t *ret_ns)
{
	long sleeps, preempted;

	*ret_ns = clock_now() - watch->ns;
	if (likely(!watch->in_doubt))
		return true;
	stopwatch_switches(&sleeps, &preempted);
	if (sleeps != watch->sleeps)
		return true;
	*ret_ns = stopwatch_cpu_ns() - watch->cpu_ns;
	return false;
}

/* In the thread that started it, in doubt: others ran in its place though it did not wait. */
static inline bool stopwatch_preempted(const struct stopwatch *watch)
{
	long sleeps, preempted;

	stopwatch_switches(&sleeps, &preempted);
	return preempted != watch->preempted;
}

#endif
