/* SPDX-License-Identifier: MIT */
/* What the chain tests share: chains that must open and be ready, and functions for their steps. */
#ifndef TESTS_CHAIN_COMMON_H
#define TESTS_CHAIN_COMMON_H

#include "../support.h"

#include <asys/asys.h>

/* Stored where nothing must have been stored. */
#define UNTOUCHED INT64_C(0x7e57)

struct asys_chain *open_chain(void);
struct asys_chain *open_chain_with(uint32_t steps, uint32_t flags);
/* Building is over, without an error. */
void make_ready(struct asys_chain *chain);
/* Sends it once, without parameters, on a queue of its own; takes its one event. */
int64_t run_once(struct asys_chain *chain);
/* The same, with a first parameter, on this queue. */
int64_t run_on(struct asys_queue *queue, struct asys_chain *chain, int64_t param);
/* ready, run once, close. */
int64_t run_and_close(struct asys_chain *chain);
/* Chain, queue and the pipe of a test. */
void close_all(struct asys_queue *queue, struct asys_chain *chain, const int fd[2]);
void fill(int64_t *values, unsigned count, int64_t value);

/* Steps. Nothing that they return depends on the time. */
int64_t give(const uint64_t arg[6]);	 /* its first argument */
int64_t sum(const uint64_t arg[6]);	 /* of the six */
int64_t count_up(const uint64_t arg[6]); /* adds 1 to the uint32_t at arg[0]; returns arg[1] */
int64_t next_of(const uint64_t arg[6]);	 /* the uint32_t at arg[0], 0 at first, then adds 1 to it */
int64_t down_from(const uint64_t arg[6]); /* arg[1] - how often it ran (the uint32_t at arg[0]) */

/* A step that returns `value`. */
#define value_step(chain, value) asys_chain_compute(chain, give, value)
#define count_step(chain, counter) asys_chain_compute(chain, count_up, &(counter), 0)

/* One event, which must be there; the sending may be any. */
struct asys_event take_event(struct asys_queue *queue);
/* No event is pending, and none is there. */
void check_quiet(struct asys_queue *queue);

#endif
