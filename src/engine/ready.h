/* SPDX-License-Identifier: MIT */
/*
 * The ready engine: an attempt without blocking, then epoll. ready.c keeps who waits for what,
 * ready_try.c attempts.
 */
#ifndef ENGINE_READY_H
#define ENGINE_READY_H

#include "engine/engine.h"

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
