/* SPDX-License-Identifier: MIT */
/* Calls that block for ever, of many kinds, for the tests that end them. */
#ifndef TESTS_BLOCKED_H
#define TESTS_BLOCKED_H

#include "support.h"

/* What the calls need: open one, send any number of kinds, end them, close it. */
struct stage {
	int pipe[2];	/* empty */
	int full[2];	/* its buffer is full */
	int pair[2];	/* sockets, nothing to read */
	int listening;	/* nobody connects */
	int busy;	/* a unix listener with no room for one more */
	int caller;	/* a socket that is to connect to it */
	int event;	/* eventfd with 0 */
	int timer;	/* timerfd, not armed */
	int epoll;	/* watches nothing */
	int held;	/* a file that is locked */
	int want;	/* the same file, opened again */
	int queue;	/* System V message queue, empty */
	uint32_t futex; /* 0 */
	char bytes[64];
	char *dir;
};

struct blocked {
	const char *name;
	asys_id (*send)(struct asys_queue *queue, struct stage *stage);
};

extern const struct blocked blocked_kinds[];
extern const unsigned blocked_count;

void stage_open(struct stage *stage);
void stage_close(struct stage *stage);
/* Fails if a call that was ended has read or written anything. */
void stage_check_untouched(const struct stage *stage);

#endif
