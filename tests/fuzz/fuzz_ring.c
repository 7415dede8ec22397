/* SPDX-License-Identifier: MIT */
/*
 * The rings against a plain list of what should be in them: pushes, takes of several, withdrawals
 * and results in any order, with positions that start anywhere, so that they wrap.
 */
#include "ring/result_ring.h"
#include "ring/work_ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEPTH 8u

#define must(cond) ((cond) ? (void)0 : fail_at(__LINE__, #cond))

enum place { FREE, QUEUED, TAKEN, RETURNED };

struct world {
	struct work_ring work;
	struct result_ring results;
	_Atomic uint32_t work_entries[DEPTH];
	struct result_entry result_entries[DEPTH];
	enum place place[DEPTH];
	uint32_t position[DEPTH];
	int64_t value[DEPTH];
	uint32_t fifo[DEPTH]; /* queued slots, oldest first; those withdrawn stay until passed */
	unsigned queued;
	uint32_t returned[DEPTH];
	unsigned nreturned;
};

static void fail_at(int line, const char *what)
{
	fprintf(stderr, "line %d: %s is false\n", line, what);
	abort();
}

static void push(struct world *w, uint32_t slot)
{
	bool pushed;

	if (w->place[slot] != FREE)
		return;
	pushed = work_push(&w->work, slot, &w->position[slot]);
	/* as many entries as slots: room fails only behind entries that nobody has passed yet */
	must(pushed || w->queued == DEPTH);
	if (!pushed)
		return;
	w->place[slot] = QUEUED;
	w->fifo[w->queued++] = slot;
}

static void take(struct world *w, unsigned max, unsigned sharers)
{
	uint32_t index[DEPTH];
	unsigned got, expected = 0, reserved;
	bool any = false;

	must(work_count(&w->work) == w->queued);
	reserved = w->queued / (2 * sharers);
	reserved = reserved < 1 ? 1 : reserved > max ? max : reserved;
	reserved = reserved > w->queued ? w->queued : reserved;
	got = work_take(&w->work, index, max, sharers, &any);
	must(any == (w->queued > 0));
	for (unsigned i = 0; i < reserved; i++) {
		uint32_t slot = w->fifo[i];

		if (slot == DEPTH) /* withdrawn */
			continue;
		must(expected < got && index[expected] == slot);
		w->place[slot] = TAKEN;
		expected++;
	}
	must(got == expected);
	w->queued -= reserved;
	memmove(w->fifo, w->fifo + reserved, w->queued * sizeof(w->fifo[0]));
}

static void withdraw(struct world *w, uint32_t slot)
{
	bool mine;

	if (w->place[slot] == FREE)
		return;
	mine = work_withdraw(&w->work, w->position[slot], slot);
	must(mine == (w->place[slot] == QUEUED));
	if (!mine)
		return;
	w->place[slot] = FREE;
	for (unsigned i = 0; i < w->queued; i++)
		if (w->fifo[i] == slot)
			w->fifo[i] = DEPTH;
}

static void give_back(struct world *w, uint32_t slot, int64_t value)
{
	if (w->place[slot] != TAKEN)
		return;
	result_push(&w->results, slot, value);
	w->place[slot] = RETURNED;
	w->value[slot] = value;
	w->returned[w->nreturned++] = slot;
}

static void pop(struct world *w)
{
	uint32_t slot = UINT32_MAX;
	int64_t value = 0;
	bool ready = result_ready(&w->results), popped = result_pop(&w->results, &slot, &value);

	must(ready == popped);
	must(popped == (w->nreturned > 0));
	if (!popped)
		return;
	must(slot == w->returned[0]);
	must(value == w->value[slot]);
	w->place[slot] = FREE;
	w->nreturned--;
	memmove(w->returned, w->returned + 1, w->nreturned * sizeof(w->returned[0]));
}

/* Positions near the end of 32 bits, or laps near the end of theirs, as after years of use. */
static void start_at(struct world *w, uint8_t where)
{
	const uint32_t at = where & 1 ? UINT32_MAX - (where >> 1) % 32 : where >> 1;
	const uint64_t lap = where & 2 ? (UINT64_C(1) << 35) - (where >> 2) % 32 : where >> 2;

	w->work.entries = w->work_entries;
	w->work.mask = DEPTH - 1;
	atomic_init(&w->work.head, at);
	atomic_init(&w->work.tail, at);
	w->results.entries = w->result_entries;
	w->results.mask = DEPTH - 1;
	w->results.shift = 3;
	w->results.head = lap;
	atomic_init(&w->results.tail, lap);
	/* what the lap before has left behind */
	for (uint64_t p = lap < DEPTH ? 0 : lap - DEPTH; p < lap; p++)
		atomic_init(&w->result_entries[p % DEPTH].word, ((p >> 3) + 1) << 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	if (size < 1)
		return 0;
	start_at(&w, data[0]);
	for (size_t i = 1; i < size; i++) {
		const uint32_t slot = data[i] / 8 % DEPTH;

		switch (data[i] % 8) {
		case 0:
		case 1:
		case 2:
			push(&w, slot);
			break;
		case 3:
			take(&w, 1 + slot, 1 + data[i] / 64);
			break;
		case 4:
			withdraw(&w, slot);
			break;
		case 5:
		case 6:
			give_back(&w, slot, (int64_t)(i * 0x123456789abcull) - data[i]);
			break;
		default:
			pop(&w);
			break;
		}
	}
	return 0;
}
