/* SPDX-License-Identifier: MIT */
/* What a process has: operations, descriptors, lanes and the back. Made by the first submission. */
#include "inside.h"

#include "../common/stats.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TAG_SHIFT 32

static _Atomic(struct state *) current;
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

static void *pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* A word that is 1 here and 0 in every child. */
static volatile uint32_t *mark_make(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	volatile uint32_t *mark = pages(size);

	if (mark && madvise((void *)mark, size, MADV_WIPEONFORK)) {
		munmap((void *)mark, size);
		return NULL;
	}
	if (mark)
		*mark = 1;
	return mark;
}

/*
 * Of a parent only the memory goes. Its queues and descriptors stay, as they do in any child: another thread
 * may have been making one during the fork, whose number is in the memory that was copied but not among
 * the child's descriptors, where it may be something else by now.
 */
static void state_free(struct state *s, bool of_parent)
{
	if (!of_parent && s->back.queue)
		asys_queue_close(s->back.queue);
	if (!of_parent && s->back.bell >= 0)
		close(s->back.bell);
	for (unsigned i = 0; i < FILE_CHUNKS; i++)
		if (s->files[i])
			munmap(s->files[i], FILE_CHUNK * sizeof(struct file));
	if (s->ops)
		munmap(s->ops, OPS_MAX * sizeof(struct op));
	if (s->mark)
		munmap((void *)s->mark, (size_t)sysconf(_SC_PAGESIZE));
	munmap(s, sizeof(*s));
}

static struct state *state_make(void)
{
	struct state *s = pages(sizeof(*s));

	if (!s)
		return NULL;
	for (unsigned i = 0; i < LANES; i++) {
		s->lanes[i].inbox = s->lanes[i].todo = NONE;
		s->lanes[i].wanted = 1;
	}
	s->back.inbox = s->back.syncs = NONE;
	s->back.bell = -1;
	s->free = NONE;
	s->pid = getpid();
	s->ops = pages(OPS_MAX * sizeof(struct op));
	s->mark = mark_make();
	if (!s->ops || !s->mark || !back_open(s)) {
		state_free(s, false);
		return NULL;
	}
	return s;
}

struct state *state_now(void)
{
	struct state *s = atomic_load_explicit(&current, memory_order_acquire);

	return likely(s && *s->mark) ? s : NULL;
}

/* With the lock held. */
static struct state *state_anew(void)
{
	struct state *s, *old = atomic_load_explicit(&current, memory_order_relaxed);

	if (old) {
		atomic_store(&current, NULL);
		notices_forget();
		state_free(old, true);
	}
	s = state_make();
	if (s)
		atomic_store_explicit(&current, s, memory_order_release);
	return s;
}

/* The lock is taken by fork too, which a signal handler may call: so it is held with signals blocked. */
struct state *state_get(void)
{
	struct state *s = state_now();
	sigset_t old;

	if (likely(s))
		return s;
	signals_block(&old);
	pthread_mutex_lock(&making);
	s = state_now();
	if (!s)
		s = state_anew();
	pthread_mutex_unlock(&making);
	signals_restore(&old);
	return s;
}

static void before_fork(void)
{
	pthread_mutex_lock(&making);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&making);
}

__attribute__((constructor)) static void begin(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

struct op *op_take(struct state *s)
{
	uint64_t head = atomic_load_explicit(&s->free, memory_order_acquire), next;
	uint32_t i;

	while ((uint32_t)head != NONE) {
		next = ((head >> TAG_SHIFT) + 1) << TAG_SHIFT |
		       atomic_load_explicit(&s->ops[(uint32_t)head].next, memory_order_relaxed);
		if (atomic_compare_exchange_weak_explicit(
			    &s->free, &head, next, memory_order_acquire, memory_order_acquire))
			return &s->ops[(uint32_t)head];
	}
	i = atomic_load_explicit(&s->fresh, memory_order_relaxed);
	while (i < OPS_MAX &&
	       !atomic_compare_exchange_weak_explicit(&s->fresh, &i, i + 1, memory_order_relaxed,
						      memory_order_relaxed))
		;
	return i < OPS_MAX ? &s->ops[i] : NULL;
}

void op_free(struct state *s, struct op *op)
{
	uint64_t head = atomic_load_explicit(&s->free, memory_order_relaxed), next;

	do {
		atomic_store_explicit(&op->next, (uint32_t)head, memory_order_relaxed);
		next = ((head >> TAG_SHIFT) + 1) << TAG_SHIFT | op_index(s, op);
	} while (!atomic_compare_exchange_weak_explicit(&s->free, &head, next, memory_order_release,
							memory_order_relaxed));
}

/* Descriptors above a million share the places of others, which only makes more of them wait for
 * each other. */
struct file *file_of(struct state *s, int fd)
{
	uint32_t n = (uint32_t)fd % (FILE_CHUNKS * FILE_CHUNK);
	_Atomic(struct file *) *place = &s->files[n / FILE_CHUNK];
	struct file *chunk = atomic_load_explicit(place, memory_order_acquire), *made;

	if (unlikely(!chunk)) {
		made = pages(FILE_CHUNK * sizeof(*made));
		if (!made)
			return NULL;
		if (atomic_compare_exchange_strong(place, &chunk, made))
			chunk = made;
		else
			munmap(made, FILE_CHUNK * sizeof(*made));
	}
	return &chunk[n % FILE_CHUNK];
}

struct op *op_of(struct state *s, const struct aiocb *cb)
{
	uint32_t i = (uint32_t)__atomic_load_n(&cb->__abs_prio, __ATOMIC_RELAXED);

	if (i >= atomic_load_explicit(&s->fresh, memory_order_relaxed) ||
	    atomic_load_explicit(&s->ops[i].cb, memory_order_acquire) != cb)
		return NULL;
	return &s->ops[i];
}

void inbox_push(struct state *s, _Atomic uint32_t *inbox, struct op *op)
{
	uint32_t head = atomic_load_explicit(inbox, memory_order_relaxed);

	do
		atomic_store_explicit(&op->next, head, memory_order_relaxed);
	while (!atomic_compare_exchange_weak(inbox, &head, op_index(s, op)));
}

uint32_t inbox_take(struct state *s, _Atomic uint32_t *inbox)
{
	uint32_t i, list = NONE, next;

	if (atomic_load_explicit(inbox, memory_order_relaxed) == NONE)
		return NONE;
	for (i = atomic_exchange_explicit(inbox, NONE, memory_order_acquire); i != NONE; i = next) {
		next = atomic_load_explicit(&s->ops[i].next, memory_order_relaxed);
		atomic_store_explicit(&s->ops[i].next, list, memory_order_relaxed);
		list = i;
	}
	return list;
}

/* The kernel's sets, without libc's exceptions: its own signals (cancellation, set*id) wait as well. */
#define SET_SIZE (_NSIG / 8)

void signals_block(sigset_t *ret_old)
{
	sigset_t all;

	memset(&all, 0xff, sizeof(all));
	shim_count_made(2); /* and signals_restore */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, ret_old, SET_SIZE);
}

void signals_restore(const sigset_t *old)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, old, NULL, SET_SIZE);
}

/* What is ignored is pending all the same while it is blocked. */
static bool has_handler(int signal)
{
	struct sigaction action;

	return !sigaction(signal, NULL, &action) && action.sa_handler != SIG_IGN &&
	       action.sa_handler != SIG_DFL;
}

bool signals_waiting(const sigset_t *mask)
{
	uint64_t waiting = 0, blocked;

	memcpy(&blocked, mask, sizeof(blocked));
	syscall(SYS_rt_sigpending, &waiting, SET_SIZE);
	for (waiting &= ~blocked; waiting; waiting &= waiting - 1)
		if (has_handler(__builtin_ctzll(waiting) + 1))
			return true;
	return false;
}
