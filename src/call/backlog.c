/* SPDX-License-Identifier: MIT */
#include "call/backlog.h"

#include <stdlib.h>

static struct asys_event *at(const struct backlog *b, size_t k)
{
	return &b->events[(b->head + k) & (b->room - 1)];
}

static bool grow(struct backlog *b)
{
	size_t room = b->room ? 2 * b->room : 256;
	struct asys_event *events = malloc(room * sizeof(*events));

	if (!events)
		return false;
	for (size_t k = 0; k < b->count; k++)
		events[k] = *at(b, k);
	free(b->events);
	b->events = events;
	b->head = 0;
	b->room = room;
	return true;
}

bool backlog_add(struct backlog *b, const struct asys_event *event)
{
	if (b->count == b->room && !grow(b))
		return false;
	*at(b, b->count++) = *event;
	return true;
}

/* No id is negative. */
bool backlog_add_report(struct backlog *b, const struct asys_event *event)
{
	struct asys_event report = *event;

	report.id.value = ~report.id.value;
	return backlog_add(b, &report);
}

void backlog_take_first(struct backlog *b, struct asys_event *ret_event)
{
	*ret_event = *at(b, 0);
	if (ret_event->id.value < 0)
		ret_event->id.value = ~ret_event->id.value;
	b->head++;
	b->count--;
}

/* One more than its place in the row; 0: not there. */
static size_t find(const struct backlog *b, int64_t id)
{
	size_t k = b->count;

	while (k && at(b, k - 1)->id.value != id)
		k--;
	return k;
}

const struct asys_event *backlog_find(const struct backlog *b, int64_t id)
{
	size_t k = find(b, id);

	return k ? at(b, k - 1) : NULL;
}

bool backlog_take(struct backlog *b, int64_t id, struct asys_event *ret_event)
{
	size_t k = find(b, id);

	if (!k--)
		return false;
	*ret_event = *at(b, k);
	for (; k; k--)
		*at(b, k) = *at(b, k - 1);
	b->head++;
	b->count--;
	return true;
}

void backlog_free(struct backlog *b)
{
	free(b->events);
}
