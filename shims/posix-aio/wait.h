/* SPDX-License-Identifier: MIT */
#ifndef POSIX_AIO_WAIT_H
#define POSIX_AIO_WAIT_H

#include "inside.h"

enum wait_for { WAIT_FOR_ONE, WAIT_FOR_ALL };

/* For one of the operations of `list`, or for all; NULLs are passed over. 0, EINTR, EAGAIN (when_ns,
 * of CLOCK_MONOTONIC, has passed). `cancel`: the thread may be cancelled here. */
int wait_for(const struct aiocb *const list[], int n, enum wait_for what, uint64_t when_ns,
	     bool cancel);
/* Until s->ended is no longer `seen`: 0, or EINTR, ETIMEDOUT. */
int sleep_once(struct state *s, uint32_t seen, uint64_t when_ns, bool cancel);

/* Runs some of these lanes: how many operations ended. *ret_signal: a signal came meanwhile, and its handler
 * has run. */
unsigned run_lanes(struct state *s, uint32_t lanes, bool *ret_signal);

#endif
