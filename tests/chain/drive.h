/* SPDX-License-Identifier: MIT */
/* The programs of model.h as real chains: built, sent, and watched. */
#ifndef TESTS_CHAIN_DRIVE_H
#define TESTS_CHAIN_DRIVE_H

#include "model.h"

/* What the chains work on, for as long as they run. */
struct rig {
	int file;
};

/* One run of a K_WORK step; `start` and `end` count what happens in all sendings. */
struct entry {
	unsigned flat, occurrence;
	uint64_t start, end;
	int64_t arg[ARGS_MAX];
	int64_t result;
};

/* One sending: the memory that it works on, and what it brought. */
struct sending {
	int64_t input[INPUTS];
	int64_t stored[FLAT_MAX];
	/* Its own: what a cancelled one does not write is not missed elsewhere. The second is for cleanup,
	 * of which nothing is cancelled: a read that is may still take a byte, and its write not follow. */
	int pipe[2][2];
	char byte; /* read from it, always the same */
	const struct node *node[FLAT_MAX];
	unsigned runs[FLAT_MAX];
	unsigned entries;
	struct entry entry[EXECS_MAX];
	int64_t param[6];
	asys_id id, param_id; /* param_id: of a call whose result is param[3], or none */
	unsigned tolds;
	struct told told[EXECS_MAX];
	unsigned ends; /* must be 1 */
	unsigned late; /* reports after the end */
	int64_t result;
	bool cancel, deadline;
};

/* Builds pool->program[0], with subs; NULL and a message on stderr if the library refused. */
struct asys_chain *drive_build(const struct pool *pool, const struct rig *rig);
/* Fills what the chain needs to find its way; drive_release gives back what that opened. */
void drive_prepare(struct sending *sending, const struct program *program);
void drive_release(struct sending *sending);
void drive_send(struct asys_queue *queue, struct asys_chain *chain, const struct rig *rig,
		struct sending *sending);
/* Takes one event for one of the sendings; false if it belongs to none. */
bool drive_take(struct sending *sendings, unsigned count, const struct asys_event *event);

#endif
