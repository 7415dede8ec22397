/* SPDX-License-Identifier: MIT */
/*
 * Who drives the queues of a test. The environment's ASYS_TEST_DRIVER chooses, so that every test
 * shows its promise for each of them:
 *
 *   wait    (or unset) the functions that wait, on queues as the test opens them
 *   fd      a loop of the program's own: asys_queue_fd is polled, asys_queue_get takes every event
 *   thread  every queue has a driver thread (ASYS_QUEUE_DRIVER), so it is shared too
 *   shared  every queue is shared (ASYS_QUEUE_SHARED)
 *
 * With `fd`, what was not asked for is kept here, for each queue, until it is: waiting for one call,
 * for many and for all have the results that asys/queue.h promises, and none of the functions that
 * wait is called while there is something to wait for.
 */
#ifndef TESTS_DRIVER_H
#define TESTS_DRIVER_H

#include <asys/queue.h>
#include <stdbool.h>

#define DRIVER_VARIABLE "ASYS_TEST_DRIVER"

/* "wait", "fd", "thread" or "shared". */
bool driver_is(const char *name);

/* Called for each event that a loop gets, if it is set: a test may wait for a hundred thousand at once. */
extern void (*driver_moved)(void);

int driver_open(struct asys_queue **ret_queue, const struct asys_queue_options *given);
void driver_close(struct asys_queue *queue);
int driver_get(struct asys_queue *queue, struct asys_event *ret_event);
int driver_get_many(struct asys_queue *queue, struct asys_event *ret_events, unsigned max,
		    unsigned min, uint64_t timeout_ns);
int driver_wait(struct asys_queue *queue, asys_id id, struct asys_event *ret_event);
int driver_barrier(struct asys_queue *queue);
int driver_cancel(struct asys_queue *queue, asys_id id);
uint64_t driver_pending(struct asys_queue *queue);

/* A test calls the library's functions by their names. */
#ifndef DRIVER_INSIDE
#define asys_queue_open driver_open
#define asys_queue_close driver_close
#define asys_queue_get driver_get
#define asys_queue_get_many driver_get_many
#define asys_queue_wait driver_wait
#define asys_queue_barrier driver_barrier
#define asys_queue_cancel driver_cancel
#define asys_queue_pending driver_pending
#endif

#endif
