/* SPDX-License-Identifier: MIT */
/*
 * Which pointers are contexts.
 *
 * The places are in a mapping that a child finds empty (MADV_WIPEONFORK), also after a raw clone: no
 * context, and locks that are free. A place is never given back to the system, so a thread that comes
 * with an old pointer may look at it: it takes a reference first and then looks whether the place still
 * has that ring (A7); io_destroy takes the ring away first and then waits for the references.
 *
 *   enter                                    remove
 *   references + 1, seq_cst                  ring = NULL, seq_cst
 *   ring == pointer? (seq_cst) else - 1      references == 0? (seq_cst) else sleep
 *
 * The program may move a ring (mremap), as the kernel lets it. A pointer that no place has is asked what it
 * points to: the ring's number names the place, and whether it is that place's memory is tried out. From then
 * on the place has the new pointer. Where a new ring comes to lie at the old one, the old one is forgotten.
 * All that, and taking a context out and unmapping its ring, is done with the registry's lock: so what a thread
 * with a pointer to a context that is gone looks at is not taken away by io_destroy meanwhile, and a pointer
 * changes only there.
 *
 * Looking for a pointer costs a comparison with each place up to the highest in use, the last one found
 * first: programs have few contexts.
 */
#include "context.h"
#include "memory.h"
#include "numbers.h"
#include "rent.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* asys has names for 1023 queues. */
#define PLACES 1000u
#define RING_ALIGNED 4096u /* at least */

struct registry {
	pthread_mutex_t lock;
	atomic_uint high; /* places used so far */
	unsigned events;  /* that all contexts asked for */
	_Atomic pid_t owner;
	struct context places[PLACES];
};

static struct registry *registry;
/* Where a ring is that was moved, while nobody has said where to. */
static struct aio_ring nowhere;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local unsigned last;
_Thread_local unsigned shim_inside;

/* Not wiped: a child frees its copies. */
static _Atomic(struct asys_queue *) queues[PLACES];

static void child_closes(void)
{
	numbers_begin_anew();
	memory_begin_anew();
	for (unsigned i = 0; i < PLACES; i++)
		asys_queue_close(atomic_exchange(&queues[i], NULL));
}

/* And looks at the kernel, which takes milliseconds once: contexts open a queue with the first operation that needs
 * one, in io_submit, which is to take microseconds. */
static void map_registry(void)
{
	void *mem = mmap(NULL, sizeof(*registry), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return;
	madvise(mem, sizeof(*registry), MADV_WIPEONFORK);
	pthread_atfork(NULL, NULL, child_closes);
	asys_probe();
	registry = mem;
}

/* What the system allows one program: the kernel's limit, though it does not count ours. */
static unsigned most_events(void)
{
	FILE *file = fopen("/proc/sys/fs/aio-max-nr", "re");
	unsigned most = 65536;

	if (!file)
		return most;
	if (fscanf(file, "%u", &most) != 1)
		most = 65536;
	fclose(file);
	return most;
}

static void place_init(struct context *ctx, unsigned index, unsigned wanted, struct aio_ring *own)
{
	pthread_mutexattr_t attr;

	memset(ctx->files, 0, sizeof(ctx->files));
	ctx->index = index;
	ctx->wanted_events = wanted;
	ctx->nr = own->nr;
	ctx->events = own;
	atomic_store(&own->id, index);
	ctx->queue = NULL;
	ctx->operations = ctx->unused = ctx->newest = NULL;
	ctx->fresh = ctx->held = ctx->sent = ctx->prompt = ctx->streams = 0;
	ctx->deferred = ctx->submitted = false;
	ctx->for_ring = 0;
	ctx->visits = ctx->sent_at_ns = ctx->quiet = 0;
	ctx->births = 0;
	ctx->inbox = NULL;
	ctx->bell = -1;
	ctx->bell_read = false;
	atomic_store(&ctx->asleep, false);
	ctx->return_ns = RETURN_MOST_NS;
	ctx->idle = ctx->sleepers = ctx->kick_worth = ctx->kicks = 0;
	ctx->news_fd = ctx->epoll_fd = -1;
	ctx->watching = ctx->reaper_idle = ctx->has_thread = ctx->unflushed = false;
	atomic_store(&ctx->active, 0);
	atomic_store(&ctx->writes, 0);
	atomic_store(&ctx->made, false);
	atomic_store(&ctx->wants_thread, false);
	atomic_store(&ctx->reaping, false);
	atomic_store(&ctx->stopping, false);
	atomic_store(&ctx->dead, false);
	/* Held for moments: worth a short spin, where there is such a kind. */
	pthread_mutexattr_init(&attr);
#ifdef __GLIBC__
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
	pthread_mutex_init(&ctx->lock, &attr);
	pthread_mutex_init(&ctx->making, NULL);
	pthread_mutexattr_destroy(&attr);
}

/* A free place that nobody is looking at. */
static struct context *find_free(void)
{
	for (unsigned i = 0; i < PLACES; i++) {
		struct context *ctx = &registry->places[i];

		if (!atomic_load(&ctx->ring) && !atomic_load(&ctx->dead)) {
			if (i >= atomic_load(&registry->high))
				atomic_store(&registry->high, i + 1);
			ctx->index = i;
			return ctx;
		}
	}
	return NULL;
}

/* Whoever had this address moved away. */
static void forget_address(const struct aio_ring *ring)
{
	for (unsigned i = 0; i < atomic_load(&registry->high); i++) {
		struct aio_ring *before = atomic_load(&registry->places[i].ring);

		if (before == ring)
			atomic_compare_exchange_strong(&registry->places[i].ring, &before,
						       &nowhere);
	}
}

int registry_add(struct aio_ring *ring, struct aio_ring *own, unsigned wanted,
		 struct context **ret_ctx)
{
	unsigned most = most_events();
	struct context *ctx = NULL;
	int err = -EAGAIN;

	pthread_once(&once, map_registry);
	if (!registry)
		return -ENOMEM;
	atomic_store_explicit(&registry->owner, getpid(), memory_order_relaxed);
	pthread_mutex_lock(&registry->lock);
	if (wanted <= most && registry->events <= most - wanted)
		ctx = find_free();
	if (ctx) {
		registry->events += wanted;
		place_init(ctx, ctx->index, wanted, own);
		forget_address(ring);
		atomic_store(&ctx->ring, ring);
		*ret_ctx = ctx;
		err = 0;
	}
	pthread_mutex_unlock(&registry->lock);
	return err;
}

static bool try_enter(struct context *ctx, const void *ring)
{
	if (atomic_load_explicit(&ctx->ring, memory_order_relaxed) != ring)
		return false;
	inside_begin();
	atomic_fetch_add(&ctx->references, 1);
	if (atomic_load(&ctx->ring) == ring)
		return true;
	context_leave(ctx);
	return false;
}

/* With the registry's lock. */
static bool enter_moved(struct context *ctx, struct aio_ring *ring)
{
	struct aio_ring *before;

	inside_begin();
	atomic_fetch_add(&ctx->references, 1);
	before = atomic_load(&ctx->ring);
	if (before && ring_is_same(ring, ctx->events) &&
	    atomic_compare_exchange_strong(&ctx->ring, &before, ring))
		return true;
	context_leave(ctx);
	return false;
}

/* With the registry's lock. */
static struct context *find_moved(struct aio_ring *ring)
{
	struct memory memory = { 0 };
	uint32_t id;

	if (!memory_reads(&memory, (uintptr_t)ring, sizeof(*ring)))
		return NULL;
	id = atomic_load(&ring->id);
	if (id >= atomic_load(&registry->high) || !enter_moved(&registry->places[id], ring))
		return NULL;
	return &registry->places[id];
}

static struct context *look_for_moved(struct aio_ring *ring)
{
	struct context *ctx;

	if ((uintptr_t)ring % RING_ALIGNED)
		return NULL;
	pthread_mutex_lock(&registry->lock);
	ctx = find_moved(ring);
	pthread_mutex_unlock(&registry->lock);
	return ctx;
}

struct context *context_enter(const void *ring)
{
	/* A handler that interrupts this thread may come by here with another context. */
	unsigned high, at = last;

	if (!ring || !registry)
		return NULL;
	high = atomic_load_explicit(&registry->high, memory_order_acquire);
	if (at < high && try_enter(&registry->places[at], ring))
		return &registry->places[at];
	for (unsigned i = 0; i < high; i++) {
		if (try_enter(&registry->places[i], ring)) {
			last = i;
			return &registry->places[i];
		}
	}
	return high ? look_for_moved((struct aio_ring *)(uintptr_t)ring) : NULL;
}

void context_leave(struct context *ctx)
{
	if (atomic_fetch_sub(&ctx->references, 1) == 1 && atomic_load(&ctx->dead))
		futex_wake_all(&ctx->references);
	inside_end();
}

bool registry_remove(const void *ring, struct context **ret_ctx)
{
	struct context *ctx = context_enter(ring);
	bool removed;

	if (!ctx)
		return false;
	pthread_mutex_lock(&registry->lock);
	/* Others may have destroyed it, or given it another address; the program may have moved the ring away
	 * or unmapped it. Then nothing has happened. */
	removed = atomic_load(&ctx->ring) == ring && ring_is_same(ring, ctx->events);
	if (removed) {
		atomic_store(&ctx->dead, true);
		atomic_store(&ctx->ring, NULL);
	}
	pthread_mutex_unlock(&registry->lock);
	context_leave(ctx);
	if (removed)
		*ret_ctx = ctx;
	return removed;
}

void registry_free(struct context *ctx, struct aio_ring *ring)
{
	pthread_mutex_lock(&registry->lock);
	ring_unmap(ring, ctx->events);
	registry->events -= ctx->wanted_events;
	pthread_mutex_destroy(&ctx->lock);
	pthread_mutex_destroy(&ctx->making);
	atomic_store(&queues[ctx->index], NULL);
	atomic_store(&ctx->dead, false);
	pthread_mutex_unlock(&registry->lock);
}

/* A system call, but asked only where there is something to be done. */
static bool is_own(void)
{
	return registry && atomic_load_explicit(&registry->owner, memory_order_relaxed) == getpid();
}

struct context *registry_next(unsigned *index, unsigned first, unsigned last_number)
{
	while (registry && *index < atomic_load(&registry->high)) {
		struct context *ctx = &registry->places[(*index)++];
		const struct aio_ring *ring = atomic_load(&ctx->ring);

		if (ring && numbers_maybe(ctx, first, last_number) && is_own() &&
		    try_enter(ctx, ring))
			return ctx;
	}
	return NULL;
}

struct context *registry_next_dead(unsigned *index)
{
	while (registry && *index < atomic_load(&registry->high)) {
		struct context *ctx = &registry->places[(*index)++];

		if (atomic_load(&ctx->dead) && atomic_load(&ctx->active) && is_own())
			return ctx;
	}
	return NULL;
}

void registry_note_queue(const struct context *ctx, struct asys_queue *queue)
{
	atomic_store(&queues[ctx->index], queue);
}

/* Always with a limit: without one, the kernel would go on after a handler with SA_RESTART. */
long futex_sleep(const _Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	const uint64_t most = 1000000ull * 1000000000;
	struct timespec limit;

	if (timeout_ns > most)
		timeout_ns = most;
	limit.tv_sec = (time_t)(timeout_ns / 1000000000);
	limit.tv_nsec = (long)(timeout_ns % 1000000000);
	if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &limit, NULL, 0) < 0)
		return -errno;
	return 0;
}

void futex_wake_all(const _Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
