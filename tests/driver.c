/* SPDX-License-Identifier: MIT */
#define DRIVER_INSIDE
#include "driver.h"

#include "sched/queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/*
 * A queue whose events go through here. Of the threads that wait, one polls; the others wait on
 * `changed` until it has brought something. The lock is never held while the library is called: a
 * thread may run calls in asys_queue_get.
 */
struct drive {
	struct asys_queue *queue;
	struct drive *next;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool polled;	  /* a thread polls */
	int poke;	  /* wakes it when another thread took an event; -1: the queue is private */
	unsigned pulling; /* threads between taking an event and keeping it */
	struct asys_event *kept;
	size_t count, room;
};

static struct drive *drives;
static pthread_mutex_t drives_lock = PTHREAD_MUTEX_INITIALIZER;

/* What a wait is for. */
struct goal {
	int64_t id;	 /* of one call; 0: of none */
	uint64_t events; /* so many; UINT64_MAX: until nothing is in flight */
	uint64_t when_ns;
};

bool driver_is(const char *name)
{
	const char *chosen = getenv(DRIVER_VARIABLE);

	return !strcmp(chosen && *chosen ? chosen : "wait", name);
}

/* ---- which queues --------------------------------------------------------------------------- */

static struct drive *drive_of(struct asys_queue *q)
{
	struct drive *d;

	pthread_mutex_lock(&drives_lock);
	for (d = drives; d && d->queue != q; d = d->next)
		;
	pthread_mutex_unlock(&drives_lock);
	return d;
}

static struct drive *drive_new(struct asys_queue *q)
{
	struct drive *d = calloc(1, sizeof(*d));
	pthread_condattr_t attr;

	if (!d)
		abort();
	d->queue = q;
	d->poke = queue_shared(q) ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&d->changed, &attr);
	pthread_condattr_destroy(&attr);
	return d;
}

static void drive_add(struct asys_queue *q)
{
	struct drive *d = drive_new(q);

	pthread_mutex_lock(&drives_lock);
	d->next = drives;
	drives = d;
	pthread_mutex_unlock(&drives_lock);
}

static struct drive *drive_remove(struct asys_queue *q)
{
	struct drive **at, *d;

	pthread_mutex_lock(&drives_lock);
	for (at = &drives; *at && (*at)->queue != q; at = &(*at)->next)
		;
	d = *at;
	if (d)
		*at = d->next;
	pthread_mutex_unlock(&drives_lock);
	return d;
}

int driver_open(struct asys_queue **ret_queue, const struct asys_queue_options *given)
{
	struct asys_queue_options options;
	int err;

	if (driver_is("wait") || driver_is("fd")) {
		err = asys_queue_open(ret_queue, given);
		if (!err && driver_is("fd"))
			drive_add(*ret_queue);
		return err;
	}
	asys_queue_options_init(&options);
	if (given && given->size != sizeof(options))
		return asys_queue_open(ret_queue, given);
	if (given)
		options = *given;
	options.flags |= driver_is("thread") ? ASYS_QUEUE_DRIVER : ASYS_QUEUE_SHARED;
	return asys_queue_open(ret_queue, &options);
}

void driver_close(struct asys_queue *q)
{
	struct drive *d = drive_remove(q);

	asys_queue_close(q);
	if (!d)
		return;
	if (d->poke >= 0)
		close(d->poke);
	free(d->kept);
	free(d);
}

/* ---- events --------------------------------------------------------------------------------- */

static void poke(struct drive *d)
{
	const uint64_t one = 1;

	pthread_cond_broadcast(&d->changed);
	if (d->polled && d->poke >= 0)
		(void)!write(d->poke, &one, sizeof(one));
}

static void keep(struct drive *d, const struct asys_event *event)
{
	if (d->count == d->room) {
		d->room = d->room ? 2 * d->room : 64;
		d->kept = realloc(d->kept, d->room * sizeof(*d->kept));
		if (!d->kept)
			abort();
	}
	d->kept[d->count++] = *event;
}

static struct asys_event take_at(struct drive *d, size_t k)
{
	struct asys_event event = d->kept[k];

	memmove(&d->kept[k], &d->kept[k + 1], (--d->count - k) * sizeof(*d->kept));
	return event;
}

/* The last of those with the id: reports of a sending have it too, and come before. */
static size_t find(const struct drive *d, int64_t id)
{
	size_t k = d->count;

	while (k && d->kept[k - 1].id.value != id)
		k--;
	return k;
}

void (*driver_moved)(void);

/* Takes what is there, as a loop does after the descriptor polled. 0 or -errno. Without the lock. */
static int pull(struct drive *d)
{
	struct asys_event event;
	int got;

	do {
		pthread_mutex_lock(&d->lock);
		d->pulling++;
		pthread_mutex_unlock(&d->lock);
		got = asys_queue_get(d->queue, &event);
		pthread_mutex_lock(&d->lock);
		d->pulling--;
		if (got == 1) {
			keep(d, &event);
			if (driver_moved)
				driver_moved();
		}
		poke(d);
		pthread_mutex_unlock(&d->lock);
	} while (got == 1);
	return got;
}

/* More will come for this id. The only look inside: no public function tells without waiting. */
static bool has_more(struct asys_queue *q, int64_t id)
{
	const struct backlog *b = &q->backlog;
	bool more;

	if (queue_shared(q)) { /* as queue_lock does, which the library does not give out */
		q->at_the_door++;
		pthread_mutex_lock(&q->lock);
		q->at_the_door--;
		q->came_in++;
	}
	more = slot_find(&q->host.pool, id) != NIL;
	for (size_t k = b->head; k != b->tail && !more; k++)
		more = b->events[k & (b->room - 1)].id.value == id;
	if (queue_shared(q))
		pthread_mutex_unlock(&q->lock);
	return more;
}

/* With the lock. */
static bool reached(struct drive *d, const struct goal *goal)
{
	if (d->count >= goal->events)
		return true;
	if (d->pulling)
		return false;
	if (goal->id)
		return !has_more(d->queue, goal->id);
	return asys_queue_pending(d->queue) == 0;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct timespec time_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
}

static int poll_for(struct drive *d, int fd, uint64_t when_ns)
{
	struct pollfd set[] = { { .fd = fd, .events = POLLIN },
				{ .fd = d->poke, .events = POLLIN } };
	uint64_t now = now_ns(), count;
	struct timespec left = time_of(when_ns > now ? when_ns - now : 0);
	int n;

	d->polled = true;
	pthread_mutex_unlock(&d->lock);
	n = ppoll(set, 2, when_ns == UINT64_MAX ? NULL : &left, NULL);
	n = n < 0 ? -errno : n;
	pthread_mutex_lock(&d->lock);
	d->polled = false;
	if (d->poke >= 0)
		(void)!read(d->poke, &count, sizeof(count));
	pthread_cond_broadcast(&d->changed);
	return n < 0 ? n : 0;
}

static void wait_for_poller(struct drive *d, uint64_t when_ns)
{
	struct timespec when = time_of(when_ns);

	if (when_ns == UINT64_MAX)
		pthread_cond_wait(&d->changed, &d->lock);
	else
		pthread_cond_timedwait(&d->changed, &d->lock, &when);
}

/* 0 with the lock held; or without it -EINTR, -ETIME or what the library answered. */
static int drive_until(struct drive *d, const struct goal *goal)
{
	int err, fd;

	for (;;) {
		err = pull(d);
		if (err < 0)
			return err;
		fd = asys_queue_fd(d->queue);
		if (fd < 0)
			return fd;
		pthread_mutex_lock(&d->lock);
		if (reached(d, goal))
			return 0;
		if (goal->when_ns != UINT64_MAX && now_ns() >= goal->when_ns)
			err = -ETIME;
		else if (d->polled || d->pulling)
			wait_for_poller(d, goal->when_ns);
		else
			err = poll_for(d, fd, goal->when_ns);
		if (err) {
			pthread_mutex_unlock(&d->lock);
			return err;
		}
		pthread_mutex_unlock(&d->lock);
	}
}

int driver_get(struct asys_queue *q, struct asys_event *ret_event)
{
	struct drive *d = drive_of(q);
	bool found;
	int got;

	if (!d)
		return asys_queue_get(q, ret_event);
	pthread_mutex_lock(&d->lock);
	found = d->count;
	if (found)
		*ret_event = take_at(d, 0);
	pthread_mutex_unlock(&d->lock);
	if (found)
		return 1;
	got = asys_queue_get(q, ret_event);
	pthread_mutex_lock(&d->lock);
	poke(d);
	pthread_mutex_unlock(&d->lock);
	return got;
}

int driver_wait(struct asys_queue *q, asys_id id, struct asys_event *ret_event)
{
	struct goal goal = { .id = id.value, .events = UINT64_MAX, .when_ns = UINT64_MAX };
	struct drive *d = drive_of(q);
	struct asys_event event;
	size_t k;
	int err;

	if (!d || id.value <= 0)
		return asys_queue_wait(q, id, ret_event);
	err = drive_until(d, &goal);
	if (err)
		return err;
	k = find(d, id.value);
	if (k)
		event = take_at(d, k - 1);
	pthread_mutex_unlock(&d->lock);
	if (!k)
		return asys_queue_wait(q, id, ret_event); /* says what is wrong with the id */
	if (ret_event)
		*ret_event = event;
	return 0;
}

static uint64_t when_from(uint64_t timeout_ns)
{
	uint64_t now = now_ns();

	return timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
}

int driver_get_many(struct asys_queue *q, struct asys_event *ret_events, unsigned max, unsigned min,
		    uint64_t timeout_ns)
{
	struct goal goal = { .events = min < max ? min : max, .when_ns = when_from(timeout_ns) };
	struct drive *d = drive_of(q);
	unsigned n = 0;
	int err;

	if (!d)
		return asys_queue_get_many(q, ret_events, max, min, timeout_ns);
	err = drive_until(d, &goal);
	if (err)
		pthread_mutex_lock(&d->lock);
	while (n < max && d->count)
		ret_events[n++] = take_at(d, 0);
	poke(d);
	pthread_mutex_unlock(&d->lock);
	return n || err == -ETIME ? (int)n : err;
}

int driver_barrier(struct asys_queue *q)
{
	struct goal goal = { .events = UINT64_MAX, .when_ns = UINT64_MAX };
	struct drive *d = drive_of(q);
	int err;

	if (d) {
		err = drive_until(d, &goal);
		if (err)
			return err;
		pthread_mutex_unlock(&d->lock);
	}
	return asys_queue_barrier(q); /* nothing is in flight: it has only to say what failed */
}

int driver_cancel(struct asys_queue *q, asys_id id)
{
	struct drive *d = drive_of(q);
	int err = asys_queue_cancel(q, id);

	if (!d || err != -ESTALE)
		return err;
	pthread_mutex_lock(&d->lock);
	if (find(d, id.value))
		err = -EALREADY; /* its event was not asked for yet */
	pthread_mutex_unlock(&d->lock);
	return err;
}

uint64_t driver_pending(struct asys_queue *q)
{
	struct drive *d = drive_of(q);
	uint64_t n = asys_queue_pending(q);

	if (!d)
		return n;
	pthread_mutex_lock(&d->lock);
	n += d->count;
	pthread_mutex_unlock(&d->lock);
	return n;
}
