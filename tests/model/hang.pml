/* SPDX-License-Identifier: MIT */
/*
 * Calls that are taken for quick ones and may hang (the open of a FIFO), beside a slow one
 * (src/engine/worker.c, is_expected_elsewhere; T5): slow.pml without sleep. Here they do hang, until the
 * slow call has its thread.
 *
 * Shown: it gets one.
 * Mutations that must fail: -DHANGING_ANYWAY (a thread takes one that may hang though slow ones lie there),
 * -DHANGING_FIRST (it looks for slow ones while it still counts as looking).
 */
byte lane, hanging, started, looking;

proctype thread()
{
	byte slow;

	do
	:: hanging > 0 ->
#ifdef HANGING_FIRST
		slow = lane;
		looking--;
#else
		looking--;
		slow = lane;
#endif
#ifdef HANGING_ANYWAY
		slow = 0;
#endif
		if
		:: atomic { slow == 0 && hanging > 0 -> hanging-- };
			started == 1
		:: else
		fi;
		looking++
	:: lane > 0 ->
		looking--;
		if
		:: atomic { lane > 0 -> lane-- };
			started++
		:: else
		fi;
		looking++
	:: started == 1 -> break
	od
}

active proctype client()
{
	byte want, l;

	atomic {
		hanging = 2;
		looking = 2;
		run thread();
		run thread()
	};
	lane++;
	want = lane + (hanging > 0);
	l = looking;
	do
	:: want > l -> atomic { looking++; run thread() }; want--
	:: else -> break
	od;
	started == 1
}
