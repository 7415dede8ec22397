/* SPDX-License-Identifier: MIT */
/*
 * The bell (src/ring/bell.h): a sleeper that needs a number of ends, and ringers that make the
 * system call only for one who sleeps, and only the one that brings the last end.
 *
 * Shown: every end is taken, that is, the sleeper never sleeps while ends wait for it and nobody is
 * left to wake it (spin reports that as an invalid end state).
 * Mutations that must fail: -DNO_SLEEPER_FENCE, -DNO_RINGER_FENCE, -DNO_LOOK (step 3 left out).
 */
#define RINGERS 2
#define ENDS_EACH 2
#define TOTAL (RINGERS * ENDS_EACH)

#define NEED 0	     /* bell.need + 4, so that it fits a byte when counted below zero */
#define RUNG 1	     /* bell.rung, the futex word */
#define PUBLISHED(r) (2 + (r)) /* ends published by ringer r */
#define ZERO 4

#define WORDS 4
#include "tso.pml"

bool asleep; /* in the kernel, on the futex */

#ifdef NO_SLEEPER_FENCE
#define SLEEPER_FENCE skip
#else
#define SLEEPER_FENCE FENCE
#endif
#ifdef NO_RINGER_FENCE
#define RINGER_FENCE skip
#else
#define RINGER_FENCE FENCE
#endif

proctype ringer(byte me)
{
	byte i, before;

	for (i : 1 .. ENDS_EACH) {
		STORE(PUBLISHED(me), i);		/* a */
		RINGER_FENCE;				/* b */
		if
		:: SEEN(NEED) <= ZERO			/* c: nobody sleeps, no system call */
		:: else ->
			atomic {
				FENCE;
				before = memory[NEED];
				memory[NEED] = before - 1;
			}
			if
			:: before == ZERO + 1 ->	/* d: the last one that was needed */
				STORE(RUNG, 1);
				atomic { FENCE; asleep = false }
			:: else
			fi
		fi
	}
}

proctype sleeper()
{
	byte seen[RINGERS], taken, r, need;
	bool found;

	do
	:: taken == TOTAL -> break
	:: else ->
		found = false;
		for (r : 0 .. RINGERS - 1) {
			d_step {
				if
				:: SEEN(PUBLISHED(r)) > seen[r] ->
					seen[r]++;
					taken++;
					found = true
				:: else
				fi
			}
		}
		if
		:: found
		:: else ->
			need = 1;
			do
			:: need < TOTAL - taken -> need++
			:: break
			od;
			STORE(RUNG, 0);
			STORE(NEED, ZERO + need);	/* 1 */
			SLEEPER_FENCE;			/* 2 */
#ifndef NO_LOOK
			for (r : 0 .. RINGERS - 1) {	/* 3 */
				found = found || SEEN(PUBLISHED(r)) > seen[r]
			}
#endif
			if
			:: found
			:: else ->			/* 4: the kernel compares, then sleeps */
				atomic {
					FENCE;
					asleep = (memory[RUNG] == 0)
				}
				!asleep
			fi;
			STORE(NEED, ZERO);		/* 5 */
			FENCE
		fi
	od
}

init {
	atomic {
		memory[NEED] = ZERO;
		run ringer(0);
		run ringer(1)
	}
	run sleeper()
}
