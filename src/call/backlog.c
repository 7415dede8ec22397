/* SPDX-License-Identifier: MIT */
#include "call/backlog.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST 256u
#define INDEX_LEAST 128u
#define LINEAR_MOST 32u /* so many are looked through one by one */

static size_t slot_of(const struct backlog *b, size_t place)
{
	return place & (b->room - 1);
}

static struct asys_event *at(const struct backlog *b, size_t place)
{
	return &b->events[slot_of(b, place)];
}

/* Index: linear probing. Fibonacci hashing: ids of one time differ in few bits. */

static size_t index_mask(const struct backlog *b)
{
	return b->index_room - 1;
}

static size_t home(const struct backlog *b, int64_t id)
{
	return (size_t)(((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & index_mask(b);
}

static void index_put(struct backlog *b, size_t place)
{
	int64_t id = at(b, place)->id.value;
	size_t k = home(b, id);

	if (id <= 0)
		return; /* a report, or taken */
	while (b->index[k])
		k = (k + 1) & index_mask(b);
	b->index[k] = (uint32_t)slot_of(b, place) + 1;
	b->in_index++;
}

/* Where it stands; a free one if it does not. */
static size_t index_find(const struct backlog *b, int64_t id)
{
	size_t k = home(b, id);

	while (b->index[k] && b->events[b->index[k] - 1].id.value != id)
		k = (k + 1) & index_mask(b);
	return k;
}

/* Moves up those behind it that would not be found over a gap. */
static void index_remove(struct backlog *b, int64_t id)
{
	size_t gap = index_find(b, id), k = gap;

	while (b->index[k = (k + 1) & index_mask(b)]) {
		size_t wanted = home(b, b->events[b->index[k] - 1].id.value);

		if (((k - wanted) & index_mask(b)) >= ((k - gap) & index_mask(b))) {
			b->index[gap] = b->index[k];
			gap = k;
		}
	}
	b->index[gap] = 0;
	b->in_index--;
}

/* With room for as many again. False: no memory, and one looks for it among all. */
static bool index_make(struct backlog *b)
{
	size_t room = INDEX_LEAST;

	while (room < 4 * b->count)
		room *= 2;
	if (room != b->index_room) {
		free(b->index);
		b->index = malloc(room * sizeof(*b->index));
		b->index_room = b->index ? room : 0;
	}
	b->in_index = 0;
	b->indexed = b->index != NULL;
	if (!b->index)
		return false;
	memset(b->index, 0, room * sizeof(*b->index));
	for (size_t place = b->head; place != b->tail; place++)
		index_put(b, place);
	return true;
}

/* The row. */

/* Room for so many more, and what those that were taken out of the middle had is used again. */
static bool grow(struct backlog *b, size_t more)
{
	size_t needed = b->count + b->reserved + more, room = b->room ? b->room : ROOM_LEAST, n = 0;
	struct asys_event *events;

	if (b->room && needed > b->room / 2)
		room *= 2;
	while (room < needed)
		room *= 2;
	events = room <= UINT32_MAX / 2 ? malloc(room * sizeof(*events)) : NULL;
	if (!events)
		return false;
	for (size_t place = b->head; place != b->tail; place++)
		if (at(b, place)->id.value)
			events[n++] = *at(b, place);
	free(b->events);
	b->events = events;
	b->head = 0;
	b->tail = n;
	b->room = room;
	if (b->indexed)
		index_make(b);
	return true;
}

bool backlog_add(struct backlog *b, const struct asys_event *event)
{
	if (b->tail - b->head + b->reserved == b->room && !grow(b, 1))
		return false;
	*at(b, b->tail) = *event;
	b->tail++;
	b->count++;
	if (b->indexed && 2 * (b->in_index + 1) > b->index_room)
		index_make(b);
	else if (b->indexed)
		index_put(b, b->tail - 1);
	return true;
}

/* No id is negative. */
bool backlog_add_report(struct backlog *b, const struct asys_event *event)
{
	struct asys_event report = *event;

	report.id.value = ~report.id.value;
	return backlog_add(b, &report);
}

bool backlog_reserve(struct backlog *b, size_t n)
{
	if (b->tail - b->head + b->reserved + n > b->room && !grow(b, n))
		return false;
	b->reserved += n;
	return true;
}

void backlog_release(struct backlog *b, size_t n)
{
	b->reserved -= n;
}

/* It is out of the index. */
static void leave(struct backlog *b, struct asys_event *event, struct asys_event *ret_event)
{
	*ret_event = *event;
	event->id.value = 0;
	b->count--;
	while (b->head != b->tail && !at(b, b->head)->id.value)
		b->head++;
	b->indexed = b->indexed && b->count;
}

void backlog_take_first(struct backlog *b, struct asys_event *ret_event)
{
	struct asys_event *event = at(b, b->head);

	if (b->indexed && event->id.value > 0)
		index_remove(b, event->id.value);
	leave(b, event, ret_event);
	if (ret_event->id.value < 0)
		ret_event->id.value = ~ret_event->id.value;
}

static struct asys_event *find(struct backlog *b, int64_t id)
{
	size_t k;

	if (b->tail - b->head > LINEAR_MOST && (b->indexed || index_make(b))) {
		k = index_find(b, id);
		return b->index[k] ? &b->events[b->index[k] - 1] : NULL;
	}
	for (size_t place = b->tail; place != b->head; place--)
		if (at(b, place - 1)->id.value == id)
			return at(b, place - 1);
	return NULL;
}

const struct asys_event *backlog_find(struct backlog *b, int64_t id)
{
	return id > 0 ? find(b, id) : NULL;
}

bool backlog_take(struct backlog *b, int64_t id, struct asys_event *ret_event)
{
	struct asys_event *event = id > 0 ? find(b, id) : NULL;

	if (!event)
		return false;
	if (b->indexed)
		index_remove(b, id);
	leave(b, event, ret_event);
	return true;
}

void backlog_free(struct backlog *b)
{
	free(b->events);
	free(b->index);
}
