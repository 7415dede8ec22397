/* SPDX-License-Identifier: MIT */
/*
 * Slow calls that wait for each other (src/engine/worker.c, src/engine/threads.c, T5): each needs a
 * thread of its own, and the client starts or wakes no more threads than that takes.
 *
 * Shown: every call gets its thread, as long as there are not more calls than threads that may be in
 * slow calls.
 * Mutations that must fail: -DTAKE_FIRST (a thread takes a call, then stops looking), -DTWO_COUNTS
 * (one that goes to sleep or wakes is in both counts for a moment), -DTRY_BY_ADDING (a thread counts
 * itself in, and out again if there are too many), -DCOUNT_FIRST (the client counts who looks, then
 * the calls that lie there).
 */
#define CALLS 2
#define THREADS 3
#define MOST (THREADS - 1) /* in slow calls, or looking for one */

byte pushes, lane, started;
byte looking, asleep, live, slow_running;
byte sleeping, wakes; /* in the kernel; wake-ups on their way there */

#ifdef TWO_COUNTS
#define TOGETHER(a, b) a; b
#else
#define TOGETHER(a, b) atomic { a; b }
#endif

proctype thread()
{
	byte seen;
	bool took;

look:
	seen = pushes;
	took = false;
#ifdef TRY_BY_ADDING
	slow_running++;
	if
	:: slow_running > MOST -> slow_running--; goto idle
	:: else
	fi;
#else
	atomic {
		if
		:: slow_running >= MOST -> goto idle
		:: else -> slow_running++
		fi
	};
#endif
	if
	:: lane > 0 ->
#ifndef TAKE_FIRST
		looking--;
#endif
		atomic {
			if
			:: lane > 0 -> lane--; started++; took = true
			:: else
			fi
		};
#ifdef TAKE_FIRST
		looking--;
#endif
		if
		:: took -> started == CALLS /* inside: until the others are, too */
		:: else
		fi;
		looking++
	:: else
	fi;
	slow_running--;
	if
	:: took -> goto look
	:: else
	fi;
idle:
	TOGETHER(asleep++, looking--);
sleep:
	/* the kernel compares and sleeps in one step */
	atomic {
		if
		:: pushes != seen -> goto awake
		:: else -> sleeping++
		fi
	}
end_asleep:
	atomic { wakes > 0 -> wakes--; sleeping-- }
	if
	:: pushes == seen -> goto sleep
	:: else
	fi;
awake:
	TOGETHER(looking++, asleep--);
	goto look
}

inline start_thread()
{
	live++;
	looking++;
	run thread()
}

proctype client()
{
	byte i, want, quick, l, a, n;

	start_thread(); /* the first call needs one in any case */
	for (i : 1 .. CALLS) {
		lane++;
		if
		:: i < CALLS /* several are made known together */
		:: true ->
			if
			:: quick = 0
			:: quick = 1 /* and one more thread for quick calls */
			fi;
			pushes++;
#ifdef COUNT_FIRST
			TOGETHER(l = looking, a = asleep);
			want = lane + quick;
#else
			want = lane + quick;
			TOGETHER(l = looking, a = asleep);
#endif
			n = (want > l -> want - l : 0);
			if
			:: a > n -> a = n
			:: else
			fi;
			n = n - a;
			atomic { wakes = (wakes + a < sleeping -> wakes + a : sleeping) };
			do
			:: n > 0 && live < THREADS -> start_thread(); n--
			:: else -> break
			od
		fi
	}
	started == CALLS
}

init {
	run client()
}
