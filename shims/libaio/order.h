/* SPDX-License-Identifier: MIT */
/* All with the lock. */
#ifndef LIBAIO_ORDER_H
#define LIBAIO_ORDER_H

#include "context.h"

/* How many operations in flight, from `older` on, have to end before this may run. */
uint32_t order_count(const struct context *ctx, const struct operation *older,
		     const struct request *request);

/* This one is over: those that waited for nothing else are sent. */
void order_release(struct context *ctx, const struct operation *ended);

#endif
