/* SPDX-License-Identifier: MIT */
/*
 * The two rings between a queue and its threads (src/ring/work_ring.h, src/ring/result_ring.h):
 * one client pushes slot indices, or withdraws one; threads reserve several with one compare-and-
 * swap and take each by an exchange; results come back over a ring whose entries carry a lap.
 *
 * Shown: every call ends exactly once, run by exactly one thread or withdrawn, and the client gets
 * the result that belongs to it (R1). A slot is used again as soon as its call has ended.
 * Mutations that must fail: -DPUSH_OVER (room is judged by head alone, not by the entry),
 * -DLOAD_THEN_STORE (an entry is taken without an exchange), -DWORD_FIRST (a result's word is
 * written before the result), -DNO_LAP (a result's word does not say the lap).
 */
#define SLOTS 2 /* also the size of both rings */
#define CALLS 4
#define THREADS 2
#define TAKE_MAX 2

#define EMPTY 0
#define DEAD 1
#define BASE 2

byte head, tail, entry[SLOTS];
byte result_tail, result_head, result_word[SLOTS], result_value[SLOTS];

byte call_in[SLOTS]; /* number of the call in this slot, 0: free */
byte runs[CALLS + 1], ends[CALLS + 1];
byte ended;

#ifdef PUSH_OVER
#define ROOM (tail - head < SLOTS)
#else
#define ROOM (entry[tail % SLOTS] == EMPTY) /* the entry itself says whether it is free */
#endif

#define WORD(position, slot) (((position) / SLOTS + 1) * SLOTS + (slot))

proctype thread()
{
	byte from, n, i, got, at;
	byte index[TAKE_MAX];

	do
	:: ended == CALLS -> break
	:: head != tail ->
		from = head;
		atomic {
			n = tail - from;
			/* a head that is out of date makes the count larger than the ring: the swap
			 * below fails then */
			if
			:: n > TAKE_MAX -> n = TAKE_MAX
			:: n > 1 -> n = 1 /* fewer than there are */
			:: else
			fi
		}
		if
		:: n == 0
		:: else ->
			atomic {
				if
				:: head == from -> head = from + n
				:: else -> n = 0
				fi
			}
		fi;
		i = 0;
		got = 0;
		do
		:: i < n ->
#ifdef LOAD_THEN_STORE
			at = entry[(from + i) % SLOTS];
			entry[(from + i) % SLOTS] = EMPTY;
#else
			atomic {
				at = entry[(from + i) % SLOTS];
				entry[(from + i) % SLOTS] = EMPTY
			}
#endif
			if
			:: at >= BASE -> index[got] = at - BASE; got++
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < got ->
			atomic {
				runs[call_in[index[i]]]++;
				assert(call_in[index[i]] != 0 && runs[call_in[index[i]]] == 1)
			}
			atomic { at = result_tail; result_tail++ }
#ifdef WORD_FIRST
			result_word[at % SLOTS] = WORD(at, index[i]);
			result_value[at % SLOTS] = call_in[index[i]];
#else
			result_value[at % SLOTS] = call_in[index[i]];
			result_word[at % SLOTS] = WORD(at, index[i]);
#endif
			i++
		:: else -> break
		od
	od
}

proctype client()
{
	byte sent, slot, at, position, last, last_slot;

	do
	:: ended == CALLS -> break

	/* send: a free slot, and a place in the ring */
	:: sent < CALLS && (call_in[0] == 0 || call_in[1] == 0) && ROOM ->
		slot = (call_in[0] == 0 -> 0 : 1);
		sent++;
		call_in[slot] = sent;
		entry[tail % SLOTS] = slot + BASE;
		position = tail;
		tail++;
		last = sent;
		last_slot = slot

	/* cancel the last one: withdraw it if no thread took it */
	:: last != 0 && call_in[last_slot] == last ->
		atomic {
			if
			:: entry[position % SLOTS] == last_slot + BASE ->
				entry[position % SLOTS] = DEAD;
				runs[last]++;
				ends[last]++;
				ended++;
				call_in[last_slot] = 0;
				assert(runs[last] == 1 && ends[last] == 1)
			:: else
			fi
		}
		last = 0

	/* take a result */
#ifdef NO_LAP
	:: result_head != result_tail && result_word[result_head % SLOTS] != 0 ->
#else
	:: result_word[result_head % SLOTS] / SLOTS == result_head / SLOTS + 1 ->
#endif
		d_step {
			slot = result_word[result_head % SLOTS] % SLOTS;
			at = result_value[result_head % SLOTS];
			assert(at != 0 && at == call_in[slot]);
			ends[at]++;
			assert(ends[at] == 1 && runs[at] == 1);
			ended++;
			call_in[slot] = 0;
			result_head++
		}
	od;
	for (slot : 1 .. CALLS) {
		assert(runs[slot] == 1 && ends[slot] == 1)
	}
}

init {
	atomic {
		run client();
		run thread();
		run thread()
	}
}
