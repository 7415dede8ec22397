/* SPDX-License-Identifier: MIT */
/* From an end in the queue to an event. All with the lock. */
#ifndef LIBAIO_SETTLE_H
#define LIBAIO_SETTLE_H

#include "context.h"

/* The `user` of ends that are no operation's. */
#define USER_KICK 0u
#define USER_WATCH 1u
#define USER_BELL 2u

/* A place for an accepted operation; A1 says that there is one. It is in flight from now on. */
struct operation *operation_take(struct context *ctx, const struct request *request);
void operation_give_back(struct context *ctx, struct operation *op);
/* All places, when none is in flight. */
void operations_free(struct context *ctx);

/* The operation is over: its event, and the eventfd to tell afterwards, or -1. It is active until the
 * caller has put the event somewhere and calls context_unreserve. */
void operation_end(struct context *ctx, struct operation *op, int64_t result,
		   struct io_event *ret_event, int *ret_eventfd);

/* The same, with the event in the ring and everybody told; context_flush is left to the caller. */
void operation_event(struct context *ctx, struct operation *op, int64_t result);

/* Asks for its end, or ends it: io_cancel's events. False: it has ended already. context_flush and
 * context_kick are left to the caller. */
bool operation_cancel(struct context *ctx, struct operation *op);

/* Even if nobody gets its event: a write to a file, or fsync. */
bool operation_must_finish(const struct operation *op);

/* It is over and brings no event. */
void operation_drop(struct context *ctx, struct operation *op);

/*
 * What came out of the queue. True: an operation ended, as operation_end says. False: nothing for the
 * program, or it is in the ring.
 */
bool settle(struct context *ctx, const struct asys_event *end, struct io_event *ret_event,
	    int *ret_eventfd);

#endif
