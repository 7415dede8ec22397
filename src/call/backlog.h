/* SPDX-License-Identifier: MIT */
/*
 * Events whose slots were needed for new calls: a FIFO that grows.
 *
 * Its owner (the client, see slot.h) alone touches it. An event that is in it has no slot any more, but its id
 * still holds for whoever waits on that call. Most are taken in their order; where one is looked for by its id among
 * many, an index of ids is made, and kept until the backlog is empty, so that waits for each of n kept events
 * cost n looks, not n * n.
 */
#ifndef CALL_BACKLOG_H
#define CALL_BACKLOG_H

#include <asys/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: empty. An event's place is its number since the beginning; it lies there modulo `room`. */
struct backlog {
	struct asys_event *events; /* id 0: it was taken out of the middle */
	size_t head, tail;	   /* places of the oldest, and of the next */
	size_t room;		   /* a power of two */
	size_t count;		   /* events in it */
	size_t reserved;	   /* room that others may not have */
	/* Where events lie, + 1, by the hash of the id, or in the next free one; 0: free. At most half full. */
	uint32_t *index;
	size_t index_room; /* a power of two */
	size_t in_index;   /* so many */
	bool indexed;	   /* all events but reports are in it */
};

/* Last in the row; false: no memory. */
bool backlog_add(struct backlog *b, const struct asys_event *event);
/* The same for what a step of a sending reports: it has the sending's id, and does not stand for the sending's own
 * event, which is found and taken by that id. */
bool backlog_add_report(struct backlog *b, const struct asys_event *event);
/* Room for so many, which backlog_release gives back, or one by one to be filled; false: no memory. */
bool backlog_reserve(struct backlog *b, size_t n);
void backlog_release(struct backlog *b, size_t n);
/* The oldest. There is one. */
void backlog_take_first(struct backlog *b, struct asys_event *ret_event);
/* The event of the call, or the sending, `id`. NULL: not there. Valid until the next change. */
const struct asys_event *backlog_find(struct backlog *b, int64_t id);
/* The same one, out of the middle. False: not there. */
bool backlog_take(struct backlog *b, int64_t id, struct asys_event *ret_event);
void backlog_free(struct backlog *b);

#endif
