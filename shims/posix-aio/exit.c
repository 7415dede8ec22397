/* SPDX-License-Identifier: MIT */
/*
 * The end of the process, or of its program. glibc's threads start a write at once, so that it is seldom
 * lost if the program ends a little later without having waited for it. Here it may still lie in
 * a lane. So whoever ends the program waits for writes to files: for as long as they go on ending.
 *
 * Like aio_suspend, this may run in a signal handler. A child of vfork has the memory of its parent, but
 * is not who submitted.
 */
#include "wait.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE_NS 2000000000u /* since the last one ended */

/* Of those in lanes, *ret_lanes says in which. */
static uint32_t writes_left(struct state *s, uint32_t *ret_lanes)
{
	uint32_t left = 0, fresh = atomic_load(&s->fresh);

	*ret_lanes = 0;
	for (uint32_t i = 0; i < fresh; i++) {
		const struct op *op = &s->ops[i];
		uint32_t at = atomic_load_explicit(&op->at, memory_order_relaxed);

		if (!atomic_load_explicit(&op->cb, memory_order_acquire) || op->kind != OP_WRITE ||
		    op->file != FILE_DISK)
			continue;
		left++;
		if (at < LANES)
			*ret_lanes |= 1u << at;
	}
	return left;
}

static void wait_for_writes(struct state *s)
{
	uint32_t before = 0, left, lanes, seen;
	uint64_t when = 0;
	bool signal;
	int err = 0;

	for (;;) {
		seen = atomic_load(&s->ended);
		left = writes_left(s, &lanes);
		if (!left || (left == before && err == ETIMEDOUT))
			return;
		back_ring(s);
		if (lanes && run_lanes(s, lanes, &signal))
			continue;
		if (left != before)
			when = asys_now() + PATIENCE_NS;
		before = left;
		err = sleep_once(s, seen, when, false);
	}
}

static void finish_writes(void)
{
	WITHOUT_CANCELLATION;
	struct state *s = state_now();

	if (!s || s->pid != syscall(SYS_getpid))
		return;
	atomic_fetch_add(&s->sleepers, 1);
	wait_for_writes(s);
	atomic_fetch_sub(&s->sleepers, 1);
}

__attribute__((constructor)) static void begin(void)
{
	(void)at_quick_exit(finish_writes); /* refused: writes may be lost there, as before */
}

__attribute__((destructor)) static void end(void)
{
	finish_writes();
}

#define LEAVE_FINISH finish_writes
#include "../common/leave.h"
