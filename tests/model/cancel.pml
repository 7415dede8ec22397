/* SPDX-License-Identifier: MIT */
/*
 * Cancelling a call that a thread may be about to make, makes, or has just made
 * (src/engine/worker.c run_call and absorb_signal, src/engine/threads.c signal_runner,
 * src/base/cancelpoint.c). A thread runs call 1, which is cancelled and for which data may come,
 * and then call 2, which nobody cancels and which blocks until call 1 has ended.
 *
 * Shown: call 1 always ends (a lost cancel is an invalid end state), data taken is reported, and
 * call 2 is never touched by the signal.
 * Mutations that must fail: -DPLAIN_CURRENT (current is stored without a fence), -DPLAIN_FLAG (the
 * bit is), -DNO_WINDOW (the handler does not move the program counter), -DNO_ABSORB, -DNO_RECHECK
 * (the canceller does not look at current again under the lock).
 */
#define FLAG 0	  /* call 1 is to end */
#define CURRENT 1 /* which call the thread is in */
#define WORDS 2
#include "tso.pml"

#define CANCELED 1
#define REAL 2
#define INTERRUPTED 3

byte result[3];
bool data[3];	 /* what the call waits for is there */
bool taken[3];	 /* and was taken */
bool pending;	 /* signal */
bool lock;

/* The signal may arrive between any two instructions outside the kernel; the handler looks at the
 * call that runs or ran last. In the window it makes the thread go on at `cancelled`. */
#define SIGNAL_OUTSIDE                                                                             \
	if                                                                                         \
	:: pending -> pending = false                                                              \
	:: skip                                                                                    \
	fi
#ifdef NO_WINDOW
#define SIGNAL_INSIDE SIGNAL_OUTSIDE
#else
#define SIGNAL_INSIDE                                                                              \
	if                                                                                         \
	:: pending ->                                                                              \
		pending = false;                                                                   \
		if                                                                                 \
		:: call == 1 && SEEN(FLAG) -> goto cancelled                                       \
		:: else                                                                            \
		fi                                                                                 \
	:: skip                                                                                    \
	fi
#endif

proctype thread()
{
	byte call = 1;

	do
	:: call > 2 -> break
	:: else ->
#ifdef PLAIN_CURRENT
		STORE(CURRENT, call);
#else
		atomic { FENCE; memory[CURRENT] = call }
#endif
		SIGNAL_OUTSIDE;
		/* the window begins: test, then trap */
		if
		:: call == 1 && SEEN(FLAG) -> goto cancelled
		:: else
		fi;
		SIGNAL_INSIDE;
		/* The trap. A signal that is pending when it begins, or comes while it blocks, ends it;
		 * data that is there when it begins, or comes while it blocks, too. */
		if
		:: atomic { data[call] -> data[call] = false; taken[call] = true; result[call] = REAL }
		:: atomic { pending -> pending = false; result[call] = INTERRUPTED }
		fi;
		/* on the way out of the kernel */
		pending = false;
		goto after;
cancelled:
		result[call] = CANCELED;
after:
		SIGNAL_OUTSIDE;
#ifdef PLAIN_CURRENT
		STORE(CURRENT, 0);
#else
		atomic { FENCE; memory[CURRENT] = 0 }
#endif
		SIGNAL_OUTSIDE;
		if
		:: call == 1 && SEEN(FLAG) ->
#ifndef NO_ABSORB
			atomic { !lock && !buffered[_pid] -> lock = true }
			pending = false; /* any trap takes it */
			lock = false;
#endif
			if
			:: result[call] == INTERRUPTED -> result[call] = CANCELED
			:: else
			fi
		:: else
		fi;
		if
		:: call == 1 ->
			assert(result[1] == CANCELED || result[1] == REAL);
			assert(taken[1] == (result[1] == REAL));
			/* published: the client may go on with what waits for it */
			data[2] = true
		:: else ->
			assert(result[2] == REAL)
		fi;
		call++
	od
}

proctype canceller()
{
#ifdef PLAIN_FLAG
	STORE(FLAG, 1);
#else
	atomic { FENCE; memory[FLAG] = 1 }
#endif
	if
	:: SEEN(CURRENT) == 1 ->
		atomic { !lock && !buffered[_pid] -> lock = true }
#ifdef NO_RECHECK
		pending = true;
#else
		if
		:: SEEN(CURRENT) == 1 -> pending = true
		:: else
		fi;
#endif
		lock = false
	:: else
	fi
}

/* Data may come for call 1, at any time, or never. */
init {
	atomic {
		run thread();
		run canceller()
	}
	if
	:: data[1] = true
	:: skip
	fi
}
