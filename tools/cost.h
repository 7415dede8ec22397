/* SPDX-License-Identifier: MIT */
/* What a piece of work cost: this process with all its threads, kernel workers included. */
#ifndef ASYS_TOOLS_COST_H
#define ASYS_TOOLS_COST_H

#include <asys/asys.h>
#include <stdint.h>

struct cost {
	uint64_t wall_ns;
	uint64_t cpu_ns;   /* user and system */
	uint64_t switches; /* context switches, voluntary or not */
	uint64_t calls;	   /* system calls that the work consists of */
	uint64_t traps;	   /* system calls made by the thread that does the work */
};

/* cost_stop turns what cost_start noted into differences; calls and traps are the caller's. */
void cost_start(struct cost *cost);
void cost_stop(struct cost *cost);

/* What a queue's user trapped for: what the queue needed, and the calls it ran itself. */
uint64_t cost_traps(struct asys_queue *queue);

/* The median of each figure by itself; count > 0. */
struct cost cost_median(const struct cost *costs, unsigned count);

#endif
