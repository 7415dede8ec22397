/* SPDX-License-Identifier: MIT */
/*
 * No call runs with rights that its sender has dropped.
 *
 * Threads inherit rights and namespaces when they start. When a thread changes its own (through a
 * queue, or directly and says so with asys_queue_renew), `epoch` is raised; every queue compares it
 * before it hands calls over, and replaces its threads. The epoch is the process's, not a thread's:
 * replacing threads of an unrelated queue is harmless, the contrary is not.
 *
 * io_uring is given up then: a seccomp filter does not see what the ring does, and the kernel's own
 * worker threads keep the old namespaces.
 */
#include "sched/sched.h"
#include <sys/prctl.h>

static _Atomic uint32_t epoch;

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

void context_leave(struct asys_queue *q)
{
	threads_renew(q);
}

void context_init(struct asys_queue *q)
{
	q->context_epoch = atomic_load_explicit(&epoch, memory_order_acquire);
}

void context_changed(void)
{
	atomic_fetch_add_explicit(&epoch, 1, memory_order_acq_rel);
}

void context_check(struct asys_queue *q)
{
	uint32_t now = atomic_load_explicit(&epoch, memory_order_acquire);
	bool driver = q->driver_on;

	if (likely(q->context_epoch == now) || (driver && pthread_equal(pthread_self(), q->driver)))
		return;
	q->context_epoch = now;
	if (q->uring)
		uring_retire(q);
	q->uring_off = true;
	if (driver)
		driver_stop(q);
	threads_renew(q);
	if (driver)
		driver_start(q);
}

ASYS_API int asys_queue_renew(struct asys_queue *q)
{
	int err = queue_enter(q);

	if (err)
		return err;
	context_changed();
	context_check(q);
	queue_leave(q);
	return 0;
}
