/* SPDX-License-Identifier: MIT */
/*
 * Sharing quick calls with system call threads, and the judgement whether that pays.
 *
 * Quick calls stay on the client's own list, where no other core's cache gets in the way, until there
 * is somebody to share them with: a thread that is awake, or so much work that waking one pays. Then
 * half of them are offered on the ring; when the client has done its half it takes back what is left
 * there (drive.c). So a single call never leaves the client, and a batch is divided as evenly as it
 * goes.
 *
 * Two cores are not always faster than one: another program may have the other core, or the kernel
 * may serve such calls one after the other (names of one folder, writes to one file). No cause is
 * looked for; the result is measured. Time that waiters spend on quick calls is cut into windows,
 * and a window's speed is the work done in it, counted in the time that a call of its number takes
 * alone, per time passed:
 *
 *   SHARED --- not faster than ALONE was ---> ALONE for a pause, each time twice as long
 *   SHARED --- seldom, one window ----------> ALONE, to know how fast that is now
 *   ALONE  --- the pause is over -----------> SHARED; its first window, with the wake-up, not counted
 *
 * So what sharing may lose is a small part of the time, whatever the reason.
 *
 * Used by the holder of the queue only.
 */
#ifndef SCHED_SHARE_H
#define SCHED_SHARE_H

#include "base/base.h"

struct share {
	uint64_t unshared_ns; /* work run here lately that another core could have shared */
	/* of the present window */
	uint64_t busy_ns, work_ns;
	bool alone;   /* no sharing in this window */
	bool spoiled; /* this wait was for something else too: it does not count */
	uint32_t
		doubts; /* so many more measured waits ask whether others ran in the client's place */
	bool skip;	/* the first window after a change does not count */
	bool moved;	/* what a call is taken to cost has changed: older speeds say nothing */
	uint32_t drives; /* small waits; one in several is measured */
	/* work per 1024 ns, smoothed; 0: not known */
	uint32_t speed_alone, speed_shared;
	uint32_t windows; /* left in this state */
	uint32_t pause;	  /* windows alone after the next failure */
	uint32_t trial;	  /* windows shared until the next look at how fast one is alone */
};

#endif
