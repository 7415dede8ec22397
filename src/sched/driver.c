/* SPDX-License-Identifier: MIT */
/*
 * A thread that drives a queue while its users compute: the same loop as every waiter's. It sleeps on
 * the queue's bell; sending rings it.
 */
#include "sched/sched.h"
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

/* From one try to start it in vain to the next: a try costs what some tens of calls do. */
#define AGAIN_NS 1000000u

static void *driver_main(void *arg)
{
	struct asys_queue *q = arg;
	struct goal goal = {
		.ended = UINT32_MAX, .slot = NIL, .when_ns = UINT64_MAX, .stop = &q->driver_quit
	};

	queue_lock(q);
	atomic_store_explicit(&q->driver_number, thread_number(), memory_order_relaxed);
	q->driver_tid = (int32_t)raw_call(SYS_gettid, 0, 0, 0, 0);
	while (!q->driver_quit) {
		drive(q, &goal);
		if (!q->inflight && !q->driver_quit)
			sleep_for_end(q, 1, UINT64_MAX);
	}
	engines_thread_leaves(&q->host);
	queue_unlock(q);
	return NULL;
}

int driver_start(struct asys_queue *q)
{
	sigset_t mask, old;
	int err;

	q->driver_quit = q->paused = false;
	/* It makes calls itself, and what these raise must not get lost. */
	cancel_signal_mask(0, &mask);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	err = pthread_create(&q->driver, NULL, driver_main, q);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	q->driver_on = !err;
	q->driver_again_ns = err ? clock_now() + AGAIN_NS : 0;
	/* Without a driver the user's loop does its work: it must hear of what sleepers hear of. */
	if (err && q->host.fd_wanted)
		user_fd_listens(q);
	if (err)
		return fail(
			-err,
			"the driver thread could not be started (%s): raise what is reached, the "
			"limit of the user (ulimit -u), of the control group (pids.max), of the "
			"machine (kernel.threads-max) or of memory (ulimit -v), or open the queue "
			"without ASYS_QUEUE_DRIVER",
			strerror(err));
	return 0;
}

int driver_replace(struct asys_queue *q)
{
	int err;

	if (q->driver_leaves || q->closing)
		return 0;
	err = driver_start(q);
	/* While there was none, whoever polls the queue's descriptor stood in for it. */
	if (!err && q->host.fd_wanted)
		epoll_ctl(q->user_epoll, EPOLL_CTL_DEL, q->host.epoll_fd, NULL);
	return err;
}

void driver_start_again(struct asys_queue *q)
{
	if (clock_now() >= q->driver_again_ns)
		driver_replace(q);
}

/* With the lock held; it is let go while the driver leaves. */
void driver_stop(struct asys_queue *q)
{
	int state = cancel_point_off();

	q->driver_quit = true;
	q->driver_on = false;
	q->driver_leaves = true;
	tell_others(q);
	queue_unlock(q);
	pthread_join(q->driver, NULL);
	thread_is_gone(q->driver_tid);
	queue_lock(q);
	q->driver_leaves = false;
	cancel_point_back(state);
}
