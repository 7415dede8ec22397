/* SPDX-License-Identifier: MIT */
/*
 * How system call threads sleep and leave (src/engine/worker.c, src/engine/threads.c, T1): a client
 * pushes calls and makes a system call only when no thread looks for work; threads look, sleep on
 * the count of pushes, and leave when nothing came for long.
 *
 * Shown: no call stays in the ring for ever.
 * Mutations that must fail: -DNO_LOOK (a thread that goes to sleep does not compare the count),
 * -DLEAVE_BLINDLY (one that leaves does not either), -DWAKE_FIRST (the client looks who is awake
 * before it raises the count).
 */
#define CALLS 3
#define THREADS 2

byte pushes, calls, done;
byte looking, asleep, live;
byte sleeping, wakes; /* in the kernel; wake-ups on their way there */
bool lock;
byte times_up = 2; /* a time-out may hide a lost wake-up for 0.5 s, not for ever: they are few */

#define LOCK atomic { !lock -> lock = true }
#define UNLOCK lock = false

proctype thread()
{
	byte seen;
	bool found, leave;

look:
	seen = pushes;
	found = false;
	atomic {
		if
		:: calls > 0 -> calls--; found = true
		:: else
		fi
	}
	if
	:: found ->
		looking--; /* busy */
		done++;
		looking++;
		goto look
	:: else
	fi;
	atomic { asleep++; looking-- }
sleep:
	/* the kernel compares and sleeps in one step */
	atomic {
		if
#ifndef NO_LOOK
		:: pushes != seen -> goto awake
#endif
		:: else -> sleeping++
		fi
	}
end_asleep:
	if
	:: atomic { wakes > 0 -> wakes--; sleeping-- }
	:: atomic { sleeping > wakes && times_up > 0 -> sleeping--; times_up-- }
		LOCK;
#ifdef LEAVE_BLINDLY
		leave = true;
#else
		leave = (pushes == seen);
#endif
		if
		:: leave -> asleep--; live--
		:: else
		fi;
		UNLOCK;
		if
		:: leave -> goto gone
		:: else
		fi
	fi;
	if
	:: pushes == seen -> goto sleep
	:: else
	fi;
awake:
	atomic { looking++; asleep-- }
	goto look;
gone:
	skip
}

proctype client()
{
	byte i, wake;
	bool somebody;

	for (i : 1 .. CALLS) {
		calls++;
#ifdef WAKE_FIRST
		somebody = (looking > 0);
		pushes++;
#else
		pushes++;
		somebody = (looking > 0);
#endif
		if
		:: somebody
		:: else ->
			LOCK;
			if
			:: asleep > 0 ->
				atomic {
					if
					:: sleeping > wakes -> wakes++
					:: else
					fi
				}
			:: asleep == 0 && live < THREADS ->
				live++;
				looking++;
				run thread()
			:: else /* all are busy, and look again afterwards */
			fi;
			UNLOCK
		fi
	}
	/* whoever sleeps by now sleeps for ever */
	done == CALLS
}

init {
	run client()
}
