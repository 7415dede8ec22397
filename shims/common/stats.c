/* SPDX-License-Identifier: MIT */
/*
 * Counters of a shim, and what is said of them at the end (stats_say.c).
 *
 * They are in memory that forked children share: a program that forks its jobs, each of which ends
 * by _exit, would have nothing to report otherwise. The list of open queues is each process's own, as
 * queues are. Every counter only grows, by relaxed additions that nobody is ordered by; reporting
 * takes what is there by exchanging it with 0, so nothing is reported twice, whoever reports.
 */
#include "stats.h"

#include "stats_say.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* As many as an id has tags for. */
#define QUEUES 1024

static struct shim_figures *figures; /* NULL: nobody asked. Set before main */
static const char *target;
static pid_t owner; /* the process that the environment was given to */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list below */
static struct open_queue {
	struct asys_queue *queue;
	struct asys_stats added; /* what the figures have of it */
} queues[QUEUES];
static unsigned queue_count;

/*
 * A child that only forked may end by _exit, and then nobody asks its queues. So it adds up what they have
 * as it goes, when the kernel's clock has ticked since the last time.
 */
static bool forked;
static _Atomic int64_t last_tick;

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void shim_count(enum shim_op op, unsigned n)
{
	if (figures)
		add(&figures->calls[op], n);
}

void shim_count_made(unsigned n)
{
	if (figures)
		add(&figures->made, n);
}

void shim_count_done(unsigned n)
{
	if (!figures)
		return;
	add(&figures->engines[ASYS_ENGINE_INLINE], n);
	add(&figures->made, n);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t shim_submit_begin(void)
{
	return figures ? now_ns() : 0;
}

void shim_submit_end(uint64_t begin)
{
	uint64_t took, max;

	if (!figures || !begin)
		return;
	took = now_ns() - begin;
	add(&figures->submit[shim_bucket(took)], 1);
	max = atomic_load_explicit(&figures->submit_max, memory_order_relaxed);
	while (took > max &&
	       !atomic_compare_exchange_weak_explicit(&figures->submit_max, &max, took,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

/* Calls run by a thread, whoever it is, are traps; those in the ring are not. */
static uint64_t traps(const struct asys_stats *stats)
{
	return stats->traps + stats->by_engine[ASYS_ENGINE_INLINE] +
	       stats->by_engine[ASYS_ENGINE_THREADS] + stats->by_engine[ASYS_ENGINE_READY];
}

/* Adds what is new. -ECHILD, of a queue that was the parent's, adds nothing. */
static void add_queue(struct open_queue *one)
{
	struct asys_stats now;

	if (asys_queue_stats(one->queue, &now) < 0)
		return;
	for (unsigned i = 0; i < ASYS_ENGINE_COUNT; i++)
		add(&figures->engines[i], now.by_engine[i] - one->added.by_engine[i]);
	add(&figures->made, traps(&now) - traps(&one->added));
	one->added = now;
}

static void add_queues(void)
{
	for (unsigned i = 0; i < queue_count; i++)
		add_queue(&queues[i]);
}

static void add_as_it_goes(void)
{
	struct timespec ts;
	int64_t tick, last = atomic_load_explicit(&last_tick, memory_order_relaxed);

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	tick = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	if (tick == last || pthread_mutex_trylock(&lock))
		return;
	atomic_store_explicit(&last_tick, tick, memory_order_relaxed);
	add_queues();
	pthread_mutex_unlock(&lock);
}

void shim_count_native(unsigned n)
{
	if (!figures)
		return;
	add(&figures->native, n);
	if (forked)
		add_as_it_goes();
}

void shim_queue_opened(struct asys_queue *queue)
{
	if (!figures)
		return;
	pthread_mutex_lock(&lock);
	if (queue_count < QUEUES)
		queues[queue_count++] = (struct open_queue){ .queue = queue };
	pthread_mutex_unlock(&lock);
}

void shim_queue_closing(struct asys_queue *queue)
{
	if (!figures)
		return;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < queue_count; i++) {
		if (queues[i].queue != queue)
			continue;
		add_queue(&queues[i]);
		queues[i] = queues[--queue_count];
		break;
	}
	pthread_mutex_unlock(&lock);
}

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/* Its parent's queues are not the child's. */
static void in_child(void)
{
	queue_count = 0;
	forked = true;
	pthread_mutex_unlock(&lock);
}

/* Has the process that is to report already done so, or gone without? */
static bool owner_is_gone(void)
{
	return atomic_load_explicit(&figures->reported, memory_order_relaxed) ||
	       (kill(owner, 0) < 0 && errno == ESRCH);
}

__attribute__((constructor)) static void begin(void)
{
	const char *to = secure_getenv("ASYS_RUN_STATS");
	void *shared;

	if (!to || !*to)
		return;
	shim_say_begin(to);
	shared = mmap(NULL, sizeof *figures, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || pthread_atfork(before_fork, in_parent, in_child)) {
		shim_say_failure("cannot count", "no memory");
		return;
	}
	target = strdup(to); /* the program may change its environment */
	owner = getpid();
	if (target)
		figures = shared;
}

__attribute__((destructor)) static void end(void)
{
	int before = errno;

	if (!figures)
		return;
	pthread_mutex_lock(&lock);
	add_queues();
	queue_count = 0;
	pthread_mutex_unlock(&lock);
	if (owner == getpid() || owner_is_gone()) {
		bool asked = shim_started_by_run(owner) && owner == getpid();

		shim_say(figures, target, asked);
		atomic_store_explicit(&figures->reported, true, memory_order_relaxed);
	}
	errno = before;
}
