/* SPDX-License-Identifier: MIT */
/*
 * Memory as x86 and stronger machines give it, since spin by itself is sequentially consistent:
 * each process has a buffer of one store. A store goes into the buffer and reaches memory at some
 * later time; the process itself sees it at once. A second store waits for the first, so stores stay
 * in order (TSO). Fences, read-modify-writes and system calls wait until the buffer is empty.
 *
 * Needs: WORDS (words of memory). The drain is process 0; those that store are 1 to 4.
 */
#define PROCESSES 5

byte memory[WORDS];
bool buffered[PROCESSES];
byte buffer_word[PROCESSES];
byte buffer_value[PROCESSES];

#define STORE(word, value)                                                                         \
	atomic {                                                                                   \
		!buffered[_pid];                                                                   \
		buffer_word[_pid] = word;                                                          \
		buffer_value[_pid] = value;                                                        \
		buffered[_pid] = true;                                                             \
	}

#define SEEN(word)                                                                                 \
	(buffered[_pid] && buffer_word[_pid] == (word) -> buffer_value[_pid] : memory[word])

#define FENCE !buffered[_pid]

#define REACH(p)                                                                                   \
	d_step {                                                                                   \
		buffered[p] ->                                                                     \
		memory[buffer_word[p]] = buffer_value[p];                                          \
		buffered[p] = false                                                                \
	}

/* Stores reach memory, at any time. */
active proctype drain()
{
end:
	do
	:: REACH(1)
	:: REACH(2)
	:: REACH(3)
	:: REACH(4)
	od
}
