/* SPDX-License-Identifier: MIT */
#include "engine/sleep_left.h"

#include <stdlib.h>
#include <time.h>

#define NS UINT64_C(1000000000)

struct left {
	struct timespec time; /* what the call's word points to */
	uint64_t end;	      /* ns, of the call's clock */
};

static bool is_relative(const struct asys_call *call)
{
	return call->nr == SYS_nanosleep || !(call->arg[1] & TIMER_ABSTIME);
}

static uint64_t *time_word(struct asys_call *call)
{
	return &call->arg[call->nr == SYS_nanosleep ? 0 : 2];
}

/* Setting the wall clock does not move the end of a relative sleep on it. */
static uint64_t now_of(const struct asys_call *call)
{
	bool boot = call->nr == SYS_clock_nanosleep && (int)call->arg[0] == CLOCK_BOOTTIME;
	struct timespec now;

	clock_gettime(boot ? CLOCK_BOOTTIME : CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

void sleep_begins(struct slot *slot)
{
	struct asys_call *call = &slot->call;
	const struct timespec *time = (const struct timespec *)(uintptr_t)*time_word(call);
	uint64_t end;

	if (!is_relative(call))
		return;
	/* The kernel, too, counts what is longer than 292 years as that. */
	end = (uint64_t)time->tv_sec < INT64_MAX / NS - 1 ?
		      (uint64_t)time->tv_sec * NS + (uint64_t)time->tv_nsec :
		      INT64_MAX;
	end += now_of(call);
	slot->next = (uint32_t)end;
	slot->prev = (uint32_t)(end >> 32);
}

void sleep_goes_on(struct slot *slot)
{
	struct left *left = (struct left *)(uintptr_t)slot->call.arg[5];
	uint64_t now = now_of(&slot->call);

	left->time = clock_timespec(left->end > now ? left->end - now : 0);
}

void sleep_leaves(struct slot *slot)
{
	struct asys_call *call = &slot->call;
	struct left *left;

	if (slot->given != GIVEN_NOTHING || !is_relative(call))
		return;
	left = malloc(sizeof(*left));
	if (!left)
		return;
	left->end = (uint64_t)slot->prev << 32 | slot->next;
	*time_word(call) = ptr_word(&left->time);
	call->arg[5] = ptr_word(left); /* no sleep reads it */
	slot->given = GIVEN_SLEEP;
}
