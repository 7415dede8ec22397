/* SPDX-License-Identifier: MIT */
/*
 * A relative sleep that leaves a ring before it is over (its thread exits, the ring is given up) goes on, in another ring
 * or on a thread, for the time that is left; it does not begin anew. It stays the call that it is, since a filter of
 * system calls may tell it from others.
 *
 * While a ring has it, its end stands in slot->next and prev, which nobody else uses then. When it leaves, it gets
 * memory of its own (GIVEN_SLEEP) for the end, and for the time that is left, which is found anew each time that it is
 * started.
 */
#ifndef ENGINE_SLEEP_LEFT_H
#define ENGINE_SLEEP_LEFT_H

#include "call/slot.h"

/* A ring has taken it. Its time is valid. */
void sleep_begins(struct slot *slot);
/* The ring has it no longer. Without memory it will begin anew. Absolute ones: nothing. */
void sleep_leaves(struct slot *slot);
/* It is started: of a slot with GIVEN_SLEEP. */
void sleep_goes_on(struct slot *slot);

#endif
