/* SPDX-License-Identifier: MIT */
/* The state of a run through a queue. */
#ifndef TESTS_RANDOM_QUEUED_H
#define TESTS_RANDOM_QUEUED_H

#include "program.h"

#include <sys/syscall.h>

#define USER_BUSY UINT64_C(0xb5b5b5b5)
enum { FD_BUSY = FD_CLOSED + 1 };

struct queued_now {
	struct asys_queue *queue;
	const struct way *way;
	const struct program *program;
	struct run *run;
	uint64_t number; /* tells the programs of a queue apart */
	uint64_t began;
	int fd;
	uint64_t ended_before; /* calls of the queue, before this program */
	unsigned left;	       /* calls whose event is to come; quiet ones not counted */
	bool unflushed;
	bool quiet_late;
	asys_id busy_id; /* 0: none is in flight */
	asys_id id[OPS_MAX];
	bool sent[OPS_MAX];
	bool ended[OPS_MAX];
	uint64_t sent_at[OPS_MAX];
};

extern struct queued_now now;

void queued_take(const struct asys_event *event);
/* drive.c: until no event is left to come, or it is late. */
void queued_drive(void);

#endif
