/* SPDX-License-Identifier: MIT */
/*
 * What an engine sees of the queue whose calls it runs: what it says to it, and what all engines share.
 *
 * The functions are the queue's (sched/queue.c sets them when it is opened), and are called as the engine's own are: by
 * the queue's one thread, or with its lock held.
 */
#ifndef ENGINE_HOST_H
#define ENGINE_HOST_H

#include <stdint.h>

struct asys_queue;

struct host {
	/* The call in slot `i` is over. Any result, also -errno. */
	void (*ended)(struct asys_queue *q, uint32_t i, int64_t result);
	/* A system call thread has the sending of a chain in slot `i` no longer: it has ended, or goes on elsewhere. */
	void (*returned)(struct asys_queue *q, uint32_t i);
	/* A system call thread ran a call of this number; 0 ns: nothing is known. */
	void (*measured)(struct asys_queue *q, uint32_t nr, uint32_t ns);

	/* One epoll set for sleepers: event_fd (which the bell writes; epoll data UINT64_MAX), the ring (UINT64_MAX
	 * - 1), and what the ready engine waits for. -1 until needed. */
	int epoll_fd;
	int event_fd;
};

/* The set, made on first use. 0 or -errno with message. */
int host_epoll(struct asys_queue *q);

#endif
