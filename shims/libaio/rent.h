/* SPDX-License-Identifier: MIT */
/*
 * To rent or to buy. Starting calls at once costs a system call, or the wake-up of a thread; who comes
 * for events starts them too, many at a time, and runs those that are quick by itself. So where the
 * program came back soon after its last submissions (within PROMPT_NS, smoothed), what it submits now
 * is left to it. If it does not come this time, the context's own thread starts it (reaper.h). All with
 * the lock.
 */
#ifndef LIBAIO_RENT_H
#define LIBAIO_RENT_H

#include "context.h"

#define PROMPT_NS 50000u
/* No single return counts for more: the program may have lost its core. Some late ones in a row do. */
#define RETURN_MOST_NS (2 * PROMPT_NS)

/* Something was sent. True: start it now, after letting go of the lock. */
bool rent_submitted(struct context *ctx);
/* That was done: how long it took says nothing about the program. */
void rent_started(struct context *ctx);
/* This one is started by io_uring. */
void rent_note(struct context *ctx, const struct request *request);

/* A thread has come for events, and starts what was left to it: what is quick while it waits; what goes
 * to io_uring in one go with others, as long as the device has enough to do (the lock is let go). */
void rent_visited(struct context *ctx);
/* Starts all of it. */
void rent_due(struct context *ctx);

#endif
