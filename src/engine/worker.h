/* SPDX-License-Identifier: MIT */
/* Between worker.c and worker_chain.c. */
#ifndef ENGINE_WORKER_H
#define ENGINE_WORKER_H

#include "engine/threads.h"

/* After a call that was asked to end: the signal, if one was sent, is taken here and not by the
 * next call. */
void absorb_signal(struct worker *w);
/* Claims the right to take one more call; false: the thread is of an old generation. */
bool worker_may_go_on(struct worker *w);
/* One more thread may be in a slow call. */
bool worker_may_be_slow(const struct worker *w);
/* worker_place.c: once, at the beginning; and before it takes quick calls. */
void worker_ask_for_short_slices(void);
void worker_leave_clients_core(struct worker *w);
/* The sending in slot `i` goes on here; true: it has ended. */
bool worker_run_chain(struct worker *w, uint32_t i);

#endif
