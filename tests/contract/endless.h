/* SPDX-License-Identifier: MIT */
/* Sendings that loop for ever, so that who drives their queue never sleeps. */
#ifndef CONTRACT_ENDLESS_H
#define CONTRACT_ENDLESS_H

#include "support.h"

#include <asys/chain.h>

enum loop { LOOP_TIMERS, LOOP_COMPUTES, LOOP_CALLS, LOOPS };

static inline int64_t endless_next(const uint64_t arg[6])
{
	return (int64_t)arg[0] + 1;
}

/* A chain of so many loops beside each other. */
static inline struct asys_chain *endless_chain(enum loop loop, unsigned branches)
{
	struct asys_chain *c;

	check_eq(asys_chain_open(&c, NULL), 0);
	for (unsigned k = 0; k < branches; k++) {
		asys_chain_loop(c, UINT32_MAX);
		if (loop == LOOP_TIMERS)
			asys_chain_timer(c, 1000);
		else if (loop == LOOP_COMPUTES)
			asys_chain_compute(c, endless_next, 1);
		else
			asys_getppid(c);
		asys_chain_end(c);
	}
	check_eq(asys_chain_ready(c), 0);
	return c;
}

/* A thread that waits for one call, or sending. */
struct waiter {
	struct asys_queue *q;
	asys_id id;
	int64_t result;
};

static inline void *wait_for(void *arg)
{
	struct waiter *w = arg;
	struct asys_event event;

	check_eq(asys_queue_wait(w->q, w->id, &event), 0);
	w->result = event.result;
	return NULL;
}

#endif
