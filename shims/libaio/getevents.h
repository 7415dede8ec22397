/* SPDX-License-Identifier: MIT */
#ifndef LIBAIO_GETEVENTS_H
#define LIBAIO_GETEVENTS_H

#include "context.h"

#include <errno.h>
#include <time.h>

/* What one io_getevents has and wants. */
struct getting {
	uintptr_t events; /* the program's */
	unsigned most, least, got;
	bool fault;	   /* they cannot be written there; those that were to be are in the ring */
	uint64_t until_ns; /* CLOCK_MONOTONIC; UINT64_MAX: no limit; 0: do not wait */
};

/* The kernel reads the time limit before anything else. If there is one, *timeout points to the copy then.
 * -EFAULT: it cannot be read. */
int limit_take(const struct timespec **timeout, struct timespec *ret_copy);
/* What is asked for, until when. The kernel takes a time before now for one that never comes. -EINVAL. */
int get_begin(struct getting *get, long least, long most, const struct timespec *timeout);
/* 0 when it has passed. */
uint64_t time_left(uint64_t until_ns);

/* What io_getevents returns: how many it got, or what went wrong. */
static inline int get_result(const struct getting *get, int err)
{
	if (get->got)
		return (int)get->got;
	return get->fault ? -EFAULT : err;
}

/* More has to be waited for. */
static inline bool get_wants(const struct getting *get)
{
	return !get->fault && get->got < get->least;
}

/* With the lock. What is in the ring; and what the queue has, without waiting. */
void get_from_ring(struct context *ctx, struct getting *get);
void get_from_queue(struct context *ctx, struct getting *get);
/* With the lock, which it lets go while it sleeps, until something happened, or `least` events are there, if they
 * come from the queue. 0 or -EINTR. */
int get_sleep(struct context *ctx, struct getting *get, unsigned least, uint64_t limit_ns);
/* prompt.c, with the lock, which it lets go while it sleeps: before a visit returns because there is no time to wait,
 * or none left. */
void get_prompt(struct context *ctx, struct getting *get);
/* With the lock, which it lets go; afterwards nobody sleeps in vain. */
void get_leave(struct context *ctx);

#endif
