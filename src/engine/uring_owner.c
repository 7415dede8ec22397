/* SPDX-License-Identifier: MIT */
/*
 * Which thread made a ring, for rings that only their maker may enter (SINGLE_ISSUER).
 *
 * A table that a thread can search without a lock: in the handler of the queue's signal, which lends
 * the thread to its rings when their queue has moved to another, and when the thread exits.
 */
#include "engine/threads.h"
#include "engine/uring.h"

#if ASYS_HAVE_URING

#include <liburing.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Rings owned at once by all threads; further ones are made without SINGLE_ISSUER. */
#define OWNED_MOST 64
#define OWNER_GONE UINT64_MAX
#define REGISTER_SYNC_CANCEL 24
#define CANCEL_ALL_ANY ((1u << 0) | (1u << 2))
/* An owner that has not come after the first is summoned again after so long, then after twice as long, ... */
#define SUMMON_AGAIN_NS 100000000ull
#define DOUBLED_MOST 16u

struct owned {
	_Atomic uint64_t owner;	  /* thread_number; 0: free; OWNER_GONE */
	_Atomic uint32_t busy;	  /* > 0: the owner uses fd now, it must not be closed */
	_Atomic uint32_t sent;	  /* the last signal to the owner, */
	_Atomic uint32_t seen;	  /* ... and the last that has arrived */
	_Atomic uint32_t refused; /* a summoned owner was not let in */
	uint64_t sent_ns;
	const uint32_t *kflags; /* of the ring, as long as it is held */
	int fd;
	int32_t tid;
};

static struct owned owned[OWNED_MOST];

bool ring_is_foreign(const struct uring *u)
{
	return u->owned &&
	       atomic_load_explicit(&u->owned->owner, memory_order_acquire) != thread_number();
}

bool owned_is_summoned(const struct owned *o)
{
	return o && atomic_load_explicit(&o->sent, memory_order_seq_cst) !=
			    atomic_load_explicit(&o->seen, memory_order_seq_cst);
}

bool owned_is_refused(const struct owned *o)
{
	return o && atomic_load_explicit(&o->refused, memory_order_acquire);
}

bool owned_is_gone(const struct owned *o)
{
	return atomic_load_explicit(&o->owner, memory_order_acquire) == OWNER_GONE;
}

static void owned_let_go(struct owned *o)
{
	atomic_fetch_sub_explicit(&o->busy, 1, memory_order_release);
}

/* Holds the entry's fd open if this thread owns it. `busy` and then `owner` here, `owner` and then
 * `busy` in owned_free: one of the two sees the other. */
static bool owned_hold(struct owned *o)
{
	if (!thread_number_ ||
	    atomic_load_explicit(&o->owner, memory_order_relaxed) != thread_number_)
		return false;
	atomic_fetch_add_explicit(&o->busy, 1, memory_order_seq_cst);
	if (atomic_load_explicit(&o->owner, memory_order_seq_cst) == thread_number_)
		return true;
	owned_let_go(o);
	return false;
}

/* The kernel completes 20 calls or so each time that it is asked to, if it need not wait for more. Nothing makes new
 * ones meanwhile but calls that others end, so that this comes to an end, and is stopped if it does not. */
#define ROUNDS_MOST 100000u

static int64_t complete_all(const struct owned *o)
{
	int64_t err = 0;

	for (unsigned n = 0; n < ROUNDS_MOST && !uring_is_final(err); n++) {
		err = raw_call(SYS_io_uring_enter, (uint64_t)o->fd, 0, 0, IORING_ENTER_GETEVENTS);
		if (!(__atomic_load_n(o->kflags, __ATOMIC_ACQUIRE) & SQ_TASKRUN))
			break;
	}
	return err;
}

/* What there is: the kernel does not submit and complete at once if it was given fewer entries than it was told. */
static void submit_all(const struct owned *o)
{
	raw_call(SYS_io_uring_enter, (uint64_t)o->fd, SQ_MOST, 0, 0);
}

/* Signals of one number arrive in the order in which they were sent. One may come late, to the next owner of the same
 * place in the table. */
static void note_summons(struct owned *o, uint32_t number)
{
	uint32_t sent = atomic_load_explicit(&o->sent, memory_order_relaxed);
	uint32_t open = sent - atomic_load_explicit(&o->seen, memory_order_relaxed);

	/* none that was seen, nor one that a stranger made up */
	if (sent - number < open)
		atomic_store_explicit(&o->seen, number, memory_order_seq_cst);
}

/* In the handler of the queue's signal: lends this thread to the rings that it made. */
void uring_serve(uint64_t summons)
{
	for (unsigned k = 0; k < OWNED_MOST; k++) {
		if (!owned_hold(&owned[k]))
			continue;
		if (summons == SUMMONS_ALL)
			note_summons(&owned[k],
				     atomic_load_explicit(&owned[k].sent, memory_order_relaxed));
		else if (summons >> 32 == k + 1)
			note_summons(&owned[k], (uint32_t)summons);
		submit_all(&owned[k]);
		if (uring_is_final(complete_all(&owned[k])))
			atomic_store_explicit(&owned[k].refused, 1, memory_order_release);
		owned_let_go(&owned[k]);
	}
}

int64_t ring_cancel_all(int fd, uint64_t most_ns)
{
	struct io_uring_sync_cancel_reg reg;

	memset(&reg, 0, sizeof(reg));
	reg.fd = -1;
	reg.flags = CANCEL_ALL_ANY;
	reg.timeout.tv_sec = most_ns == UINT64_MAX ? -1 : (int64_t)(most_ns / 1000000000u);
	reg.timeout.tv_nsec = most_ns == UINT64_MAX ? -1 : (long long)(most_ns % 1000000000u);
	return raw_call(SYS_io_uring_register, (uint64_t)fd, REGISTER_SYNC_CANCEL, ptr_word(&reg),
			1);
}

/* This thread exits: nobody else could make its calls complete, so they are cancelled now, all of
 * them and synchronously, and their completions written. */
static void owner_exits(void *unused)
{
	int64_t err;

	(void)unused;
	for (unsigned k = 0; k < OWNED_MOST; k++) {
		if (!owned_hold(&owned[k]))
			continue;
		submit_all(&owned[k]);
		err = ring_cancel_all(owned[k].fd, UINT64_MAX);
		/* By a filter of this thread's own: what waits there is not called back by it. */
		if (uring_is_final(err) || uring_is_final(complete_all(&owned[k])))
			atomic_store_explicit(&owned[k].refused, 1, memory_order_release);
		atomic_store_explicit(&owned[k].owner, OWNER_GONE, memory_order_release);
		owned_let_go(&owned[k]);
	}
}

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static bool exit_known;

static void make_exit_key(void)
{
	exit_known = pthread_key_create(&exit_key, owner_exits) == 0;
}

/* An entry for a ring that this thread is about to make; NULL: it must not own one. */
struct owned *owned_take(void)
{
	pthread_once(&exit_once, make_exit_key);
	if (!exit_known || pthread_setspecific(exit_key, &thread_number_))
		return NULL;
	for (unsigned k = 0; k < OWNED_MOST; k++) {
		uint64_t none = 0;

		if (atomic_compare_exchange_strong(&owned[k].owner, &none, OWNER_GONE))
			return &owned[k];
	}
	return NULL;
}

void owned_free(struct owned *o)
{
	if (!o)
		return;
	atomic_store_explicit(&o->owner, OWNER_GONE, memory_order_seq_cst);
	while (atomic_load_explicit(&o->busy, memory_order_seq_cst))
		cpu_relax();
	atomic_store_explicit(&o->owner, 0, memory_order_release);
}

void owned_set(struct owned *o, int fd, const uint32_t *kflags)
{
	if (!o)
		return;
	o->fd = fd;
	o->kflags = kflags;
	atomic_store_explicit(&o->seen, atomic_load_explicit(&o->sent, memory_order_relaxed),
			      memory_order_relaxed);
	atomic_store_explicit(&o->refused, 0, memory_order_relaxed);
	o->tid = (int32_t)raw_call(SYS_gettid, 0, 0, 0, 0);
	atomic_store_explicit(&o->owner, thread_number(), memory_order_release);
}

/*
 * Numbered, since what is on its way when the handler is taken off would end the program: an owner that is summoned in
 * vain keeps it there. The program may have had a handler of its own for a while, or sigwait, which has taken the
 * signal; so more are sent, each after twice the time, for they stay pending in a thread that blocks them.
 */
void owned_summon(struct owned *o, int signal)
{
	uint32_t before = atomic_load_explicit(&o->sent, memory_order_relaxed);
	uint32_t open = before - atomic_load_explicit(&o->seen, memory_order_seq_cst);
	uint64_t now = clock_now(), place = (uint64_t)(o - owned) + 1;

	if (open && now < o->sent_ns + (SUMMON_AGAIN_NS << least(open - 1, DOUBLED_MOST)))
		return;
	o->sent_ns = now;
	atomic_store_explicit(&o->sent, before + 1, memory_order_seq_cst);
	if (!cancel_signal_send(signal, o->tid, place << 32 | (before + 1)))
		atomic_store_explicit(&o->sent, before, memory_order_seq_cst);
}

void owned_forget(struct owned *o)
{
	if (!o)
		return;
	atomic_store_explicit(&o->busy, 0, memory_order_relaxed);
	atomic_store_explicit(&o->owner, 0, memory_order_relaxed);
}

#endif
