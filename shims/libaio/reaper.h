/* SPDX-License-Identifier: MIT */
/*
 * A thread of the shim's own, for what cannot wait until the program comes back. It begins when it is
 * first needed, for one of two things:
 *
 *   reaping     It sits in the queue, puts events into the ring and tells eventfds. From then on
 *               no thread of the program enters the queue or starts anything in it (inbox.h), and
 *               the ring has its magic number.
 *   attending   Calls were left to the program (rent.h), or operations are held (order.h), which are
 *               sent when events of others are settled. If the program does not come to get events
 *               within ATTEND_NS, the thread starts the ones and settles the others, into the ring.
 *               Otherwise it leaves the queue alone.
 */
#ifndef LIBAIO_REAPER_H
#define LIBAIO_REAPER_H

#include "context.h"

/* With `making`, without the lock. Starts reaping; -EAGAIN. */
int reaper_start(struct context *ctx);
/* With the lock. From now on it looks whether the program comes. False: it is reaping, or there is no
 * thread yet, which reaper_make is to be called for. */
bool reaper_attend(struct context *ctx);
/* Without the lock: starts the thread that there is work for. */
void reaper_make(struct context *ctx);
/* With the lock, which it lets go meanwhile: what ends within the limit goes into the ring. Returns how
 * much came out of the queue, or -errno. For any thread; context_kick is left to the caller. */
int reaper_deliver(struct context *ctx, uint64_t limit_ns);
/* The context is dead and nobody is inside. */
void reaper_stop(struct context *ctx);

#endif
