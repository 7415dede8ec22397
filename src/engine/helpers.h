/* SPDX-License-Identifier: MIT */
/*
 * Threads of an engine that take part in the work of whoever waits: quick calls are offered to them, and taken back by who
 * has nothing else to do (sched/share.c, sched/drive.c). What they hold is the engine's: host->outstanding[] counts it,
 * and its reap brings the results. One engine has such threads.
 *
 * Used by the holder of the queue, as the functions of struct engine.
 */
#ifndef ENGINE_HELPERS_H
#define ENGINE_HELPERS_H

#include "engine/host.h"

/* What may stand behind what: a quick call behind others, one that may hang alone, a slow one on a thread of its own. */
enum lane { LANE_QUICK, LANE_HANGING, LANE_SLOW, LANES };

struct helpers {
	/* Offers call `i`, to be taken by a thread that is awake; false: no room. flush makes it seen. */
	bool (*offer)(struct host *host, uint32_t i, enum lane lane);
	/* Makes offers seen; starts or wakes threads for slow calls, and for quick ones if `wake` or if none is awake. */
	void (*flush)(struct host *host, bool wake);
	/* Calls were offered, and all threads that could take them hang: one more, if the limit allows it. */
	void (*start_more)(struct host *host);
	/* ... and that might help: there is a thread to be woken, or one more may be had. */
	bool (*may_start_more)(const struct host *host);
	/* Takes offered quick calls back to run them here, and slow ones if no thread could be started; how many. */
	unsigned (*take_back)(struct host *host, uint32_t *ret_slots, unsigned max);
	/* Who took it back did not start it. It is cancelled, or starts anew. */
	void (*given_back)(struct host *host, uint32_t i);
	/* Calls offered and not taken by a thread yet. */
	uint32_t (*offered)(const struct host *host);
	/* They have quick calls of this queue, and no others. */
	bool (*have_quick_only)(const struct host *host);
	/* As many threads as there are free cores for look for, or run, quick calls right now. */
	bool (*awake)(const struct host *host);
	uint32_t (*live)(const struct host *host); /* how many threads there are */
	bool (*stuck)(const struct host *host);	   /* calls wait for threads that cannot be had */
	/* Interrupts what has hung in a chain since the last look: the client gives that call a thread of its own. Also
	 * what was asked to end and could not be told. To be called while to_watch, by every driver. */
	void (*watch)(struct host *host);
	bool (*to_watch)(const struct host *host);
	uint64_t (*look_ns)(const struct host *host); /* until the next look */
};

extern const struct helpers helpers;

#endif
