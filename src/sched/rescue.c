/* SPDX-License-Identifier: MIT */
/*
 * A waiter runs quick calls. Some of them hardly ever block for ever, yet may: the open of a FIFO
 * waits for its other end, which perhaps only a later call of the same queue would open. To look
 * first would double the cost of every open. So a timer watches: while such a call runs it sends this
 * thread the cancelling signal every RESCUE_NS, inside the window of base/cancelpoint.c the call is
 * given up before anything happened, and goes to a thread of its own.
 *
 * The timer is set once in a wait, by the first such call, and stopped when the waiter sleeps, leaves, or
 * is about to make a call that a signal could end or shorten (rescue_may_hurt). What it may still hit
 * returns -EINTR before anything has happened, and is made again: only calls that the table says may be
 * (ASYS_TRAIT_RETRY). A close is never made twice.
 *
 * Such calls go to threads at once where no timer can watch: in a shared queue, since any of its users may
 * wait, and in a thread that blocks the signal.
 */
#include "base/cancelpoint.h"
#include "sched/sched.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define RESCUE_NS \
	5000000 /* longer than a tick, or setting it reprograms the clock: 2.4 times the price */

#define WHOLE_BYTES 4096u /* the devices look for a signal after each page */

#define SERVER_NS 8000u /* no other process has answered faster */

#ifndef sigev_notify_thread_id /* glibc keeps the documented name to itself */
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct rescue {
	uint64_t thread; /* thread_number: whom the timer signals */
	timer_t timer;
	bool made, set;
	bool slow;	/* an open has taken as long as a server's answer does */
	uint32_t ticks; /* seen */
};

static int make_timer(struct asys_queue *q, struct rescue *r)
{
	struct sigevent event;
	int err = cancel_signal_take(q->host.signal);

	if (err)
		return err;
	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = q->host.signal;
	event.sigev_notify_thread_id = (int)raw_call(SYS_gettid, 0, 0, 0, 0);
	if (timer_create(CLOCK_MONOTONIC, &event, &r->timer)) {
		cancel_signal_give(q->host.signal);
		return -errno;
	}
	r->thread = thread_number();
	r->made = true;
	return 0;
}

static void drop_timer(struct asys_queue *q, struct rescue *r)
{
	if (r->made) {
		timer_delete(r->timer);
		cancel_signal_give(q->host.signal);
	}
	r->made = r->set = false;
}

static void set_timer(struct asys_queue *q, struct rescue *r, long ns)
{
	const struct itimerspec when = { { 0, ns }, { 0, ns } };

	timer_settime(r->timer, 0, &when, NULL);
	q->host.stats.traps++;
	r->set = ns != 0;
}

/* The timer's signal would stay pending, and the call would hang all the same. */
static bool signal_is_blocked(struct asys_queue *q)
{
	uint64_t mask = 0;

	q->host.stats.traps++;
	return raw_call(SYS_rt_sigprocmask, SIG_BLOCK, 0, ptr_word(&mask), sizeof(mask)) ||
	       (mask & (1ull << (q->host.signal - 1)));
}

/* False: no timer is to be had. */
static bool rescue_on(struct asys_queue *q)
{
	struct rescue *r = q->rescue;

	if (!r)
		r = q->rescue = calloc(1, sizeof(*r));
	if (!r)
		return false;
	if (r->made && r->thread != thread_number())
		drop_timer(q, r); /* the queue has moved to another thread */
	if (!r->set && signal_is_blocked(q))
		return false;
	if (!r->made && make_timer(q, r))
		return false;
	if (!r->set)
		set_timer(q, r, RESCUE_NS);
	r->ticks = rescue_ticks;
	return true;
}

/* Whether a signal cannot make the call come short: nothing is moved, or less than is moved between two looks
 * for a signal. Sockets and pipes are not asked about: who waits does not run their calls. */
static bool stays_whole(const struct asys_call *call)
{
	switch (call->nr) {
	case SYS_read:
	case SYS_write:
	case SYS_pread64:
	case SYS_pwrite64:
	case SYS_getdents64: /* comes short anyhow, as it likes */
#ifdef SYS_stat
	case SYS_stat:
	case SYS_lstat:
	case SYS_access:
	case SYS_readlink:
	case SYS_mkdir:
	case SYS_rmdir:
	case SYS_unlink:
	case SYS_rename:
#endif
	case SYS_fstat:
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_faccessat:
	case SYS_readlinkat:
	case SYS_mkdirat:
	case SYS_unlinkat:
	case SYS_linkat:
	case SYS_symlinkat:
#ifdef SYS_renameat
	case SYS_renameat:
#endif
	case SYS_renameat2:
	case SYS_fchmodat:
	case SYS_fchownat:
	case SYS_utimensat:
	case SYS_lseek:
		return !moves_more_than(call, WHOLE_BYTES);
	default:
		return nr_opens(call->nr);
	}
}

/* Calls that are neither made again after a signal nor done before one could reach them, or that would come
 * short. Of close, only those of files whose server answers a signal (FUSE) and that take their time can be hit:
 * their opens take their time too, so after such opens the timer is off while files are closed. */
bool rescue_may_hurt(const struct asys_queue *q, const struct asys_call *call)
{
	const struct asys_syscall_info *info;

	if (likely(!q->rescue || !q->rescue->set))
		return false;
	if (call->nr == SYS_close)
		return q->rescue->slow;
	info = asys_syscall_info(call->nr);
	return !info || !(info->traits & ASYS_TRAIT_RETRY) || !stays_whole(call);
}

int64_t rescue_rerun(struct asys_queue *q, const struct asys_call *call, int64_t result)
{
	const struct asys_syscall_info *info = asys_syscall_info(call->nr);

	while (result == -EINTR && q->rescue->ticks != rescue_ticks && info &&
	       (info->traits & ASYS_TRAIT_RETRY)) {
		q->rescue->ticks = rescue_ticks;
		result = raw_syscall(call->nr, call->arg);
	}
	return result;
}

void rescue_off(struct asys_queue *q)
{
	if (q->rescue->set)
		set_timer(q, q->rescue, 0);
}

void rescue_close(struct asys_queue *q)
{
	if (!q->rescue)
		return;
	if (*q->mark)
		drop_timer(q, q->rescue);
	free(q->rescue);
}

bool rescue_call(struct asys_queue *q, const struct asys_call *call, int64_t *ret_result,
		 bool *ret_interrupted)
{
	static _Thread_local uint32_t flags; /* outlives a late signal */
	struct stopwatch watch;
	uint64_t begin;
	int64_t result;
	bool timed;

	if (queue_shared(q) || !rescue_on(q))
		return false;
	begin = clock_now();
	flags = 0;
	cancel_running = &flags;
	timed = measure_begin(q, call->nr, &watch);
	result = cancelpoint_syscall(&flags, call->nr, call->arg[0], call->arg[1], call->arg[2],
				     call->arg[3], call->arg[4], call->arg[5]);
	cancel_running = NULL;
	if (unlikely(timed))
		measure_end(q, call->nr, &watch);
	if (unlikely(clock_now() - begin > SERVER_NS))
		q->rescue->slow = true;
	if (UNDER_TSAN && result == -EINTR)
		flags = SLOT_CANCEL; /* its handler runs late, and not in the call */
	*ret_result = result;
	*ret_interrupted = flags != 0;
	return !flags || (result != -ECANCELED && result != -EINTR);
}

void run_risky(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	bool interrupted;
	int64_t result;

	slot_to(slot, SLOT_RUNNING);
	slot->engine = ASYS_ENGINE_INLINE;
	if (rescue_call(q, &slot->call, &result, &interrupted)) {
		end(q, i, result);
		return;
	}
	slot->engine = ASYS_ENGINE_AUTO;
	slot->own_thread = 1;
	list_add(q, i, LIST_START);
}
