/* SPDX-License-Identifier: MIT */
/*
 * No call is started with rights that its sender has dropped.
 *
 * Threads inherit rights and namespaces when they start. A thread changes its own through a queue, or
 * directly and says so with asys_queue_renew. Then `rights_epoch` is raised, and:
 *
 *  X1  A system call thread starts no call if the epoch is not the one that it was started in
 *      (worker.c): it gives back what it has taken, wakes the client and leaves.
 *  X2  A client compares the epoch before it hands over or starts anything, and then replaces the
 *      queue's threads by ones that inherit from it.
 *  X3  A driver that finds the epoch raised starts nothing more (`paused`): its own rights are the old
 *      ones. It wakes whoever waits, and makes the user's descriptor poll: the next thread that uses the
 *      queue replaces the driver by one that inherits from it.
 *  X4  The epoch is raised before the rights change: what a sender has dropped, nobody starts with.
 *      After the change it is raised once more, for threads that others started in between.
 *  X5  A queue notes the new epoch only when its old threads can take nothing more, and before its lock
 *      is let go: a second sender never finds the new epoch and old threads.
 *  X6  The driver is still there then, with the old rights and the lock, until it has left: it starts no
 *      call, and no thread, which would inherit from it (may_start).
 *
 * The epoch is the process's, not a thread's: replacing threads of an unrelated queue is harmless, the
 * contrary is not.
 *
 * io_uring is given up then: a seccomp filter does not see what the ring does, and the kernel's own
 * worker threads keep the old namespaces. A filter may also refuse to let anybody enter the ring; so what
 * is in it is called back before. Where a filter comes past the queue, engine/uring_apart.c ends it.
 */
#include "sched/sched.h"
#include <linux/seccomp.h>
#include <sys/prctl.h>

bool context_call(const struct asys_call *call)
{
	const struct asys_syscall_info *info = asys_syscall_info(call->nr);

	if (!info || !(info->traits & ASYS_TRAIT_CONTEXT))
		return false;
	/* prctl is many calls; these are frequent and change no right. */
	return call->nr != SYS_prctl ||
	       !(call->arg[0] == PR_SET_NAME || call->arg[0] == PR_GET_NAME ||
		 call->arg[0] == PR_SET_TIMERSLACK || call->arg[0] == PR_GET_TIMERSLACK ||
		 call->arg[0] == PR_SET_PDEATHSIG || call->arg[0] == PR_GET_PDEATHSIG);
}

bool filter_call(const struct asys_call *call)
{
	return (call->nr == SYS_seccomp && call->arg[0] <= SECCOMP_SET_MODE_FILTER) ||
	       (call->nr == SYS_prctl && call->arg[0] == PR_SET_SECCOMP);
}

/* A driver among them: a new user namespace is refused while it is there, too. context_renew starts another. */
void context_leave(struct asys_queue *q, bool alone)
{
	engines_renew(&q->host);
	if (q->driver_on)
		driver_stop(q);
	if (alone)
		engines_see_off(&q->host);
}

void context_init(struct asys_queue *q)
{
	q->host.context_epoch = atomic_load_explicit(&rights_epoch, memory_order_acquire);
}

void context_changed(void)
{
	atomic_fetch_add_explicit(&rights_epoch, 1, memory_order_seq_cst);
}

/* X3 */
static void pause_driver(struct asys_queue *q)
{
	if (q->paused || q->driver_quit)
		return;
	q->paused = true;
	engines_retire(&q->host);
	tell_others(q);
}

bool context_renew(struct asys_queue *q)
{
	uint32_t now = atomic_load_explicit(&rights_epoch, memory_order_acquire);

	if (is_driver(q)) {
		pause_driver(q);
		return false;
	}
	if (q->host.context_epoch == now)
		return true; /* only the driver is about to leave */
	engines_retire(&q->host);
	engines_renew(&q->host);
	q->host.context_epoch = now; /* X5 */
	if (q->driver_on)
		driver_stop(q);
	/* Also where none could be had the last time. While one leaves, the lock is let go: who waits for that comes
	 * after whoever renews meanwhile, and it must have left before another one starts. */
	if ((q->host.flags & ASYS_QUEUE_DRIVER) && !q->driver_on)
		UNHEARD(driver_replace(q));
	return true;
}

bool context_renew_inside(struct asys_queue *q)
{
	if ((q->driver_on || q->driver_leaves) && !is_driver(q) &&
	    q->host.context_epoch != atomic_load_explicit(&rights_epoch, memory_order_acquire))
		return false;
	return context_renew(q);
}

ASYS_API int asys_queue_renew(struct asys_queue *q)
{
	int err = queue_enter(q);

	if (err)
		return err;
	context_changed();
	context_renew(q);
	queue_leave(q);
	return 0;
}
