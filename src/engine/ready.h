/* SPDX-License-Identifier: MIT */
/*
 * The ready engine: an attempt without blocking, then epoll. ready.c keeps who waits for what,
 * ready_try.c attempts.
 */
#ifndef ENGINE_READY_H
#define ENGINE_READY_H

#include "engine/engine.h"

/*
 * Sleeps until a descriptor in the queue's epoll set is ready, including its event_fd and ring, or
 * when_ns (CLOCK_MONOTONIC; UINT64_MAX: no limit) has passed. 0, -EINTR or -ETIME. Takes no event:
 * ready_poll does. Without the lock.
 */
int ready_wait(struct host *host, uint64_t when_ns);

/* Asks epoll once, now, and ends what is ready; returns how many ended. What engine_ready.reap does,
 * but without reap's restraint. */
unsigned ready_poll(struct host *host);

/* The epoll set may have events for ready_poll to take, also when nothing is outstanding. */
bool ready_listens(const struct host *host);

/* ready_try.c */
enum ready_direction { READY_IN, READY_OUT };

enum ready_outcome {
	READY_DONE,   /* *ret_result is the result */
	READY_WAIT,   /* until the descriptor is ready, then try again */
	READY_QUICK,  /* nothing happened; it cannot block for ever: just run it */
	READY_REFUSE, /* nothing happened; only a thread gives these words their exact meaning */
};

bool ready_knows(const struct asys_call *call);
enum ready_direction ready_way(const struct asys_call *call);
bool ready_is_accept(const struct asys_call *call);

/*
 * Attempts the call without blocking. slot->result counts bytes that earlier attempts moved. `events` is
 * what epoll says about the descriptor, 0 the first time; what is asked then (O_NONBLOCK, time-outs) is
 * not asked again.
 */
enum ready_outcome ready_try(struct slot *slot, uint32_t events, int64_t *ret_result,
			     uint64_t *traps);

#endif
