/* SPDX-License-Identifier: MIT */
/*
 * aio_error, aio_return, aio_suspend: what a signal handler may call. Nothing here takes a lock while
 * signals can be delivered, and nothing allocates.
 *
 * Who waits first runs what it waits for, if that is in lanes, and then sleeps on `ended`, which is raised
 * after something ended while there are sleepers. It counts itself before it looks for the last time.
 */
#include "wait.h"

#include "../common/errno.h"
#include "../common/stats.h"
#include "names.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000u

int posix_aio_error(const struct aiocb *cb)
{
	return __atomic_load_n(&cb->__error_code, __ATOMIC_ACQUIRE);
}
EXPORT(posix_aio_error, aio_error);

ssize_t posix_aio_return(struct aiocb *cb)
{
	return cb->__return_value;
}
EXPORT(posix_aio_return, aio_return);

static bool in_progress(const struct aiocb *cb)
{
	return __atomic_load_n(&cb->__error_code, __ATOMIC_ACQUIRE) == EINPROGRESS;
}

/* In progress as far as the control block says, but not here: nothing will ever end it. The error
 * code is looked at once more, since it may have ended meanwhile. */
static bool is_stranger(struct state *s, const struct aiocb *cb)
{
	return (!s || !op_of(s, cb)) && in_progress(cb);
}

/* 0: there is nothing to wait for any more. */
static bool reached(struct state *s, const struct aiocb *const list[], int n, enum wait_for what)
{
	bool any = false;

	for (int i = 0; i < n; i++) {
		if (!list[i])
			continue;
		if (in_progress(list[i]) && !is_stranger(s, list[i])) {
			any = true;
			if (what == WAIT_FOR_ALL)
				return false;
		} else if (what == WAIT_FOR_ONE) {
			return true;
		}
	}
	return !any;
}

/* The lanes in which these operations are. */
static uint32_t lanes_of(struct state *s, const struct aiocb *const list[], int n)
{
	uint32_t lanes = 0;

	for (int i = 0; i < n; i++) {
		const struct op *op = list[i] && in_progress(list[i]) ? op_of(s, list[i]) : NULL;
		uint32_t at = op ? atomic_load_explicit(&op->at, memory_order_relaxed) : AT_BACK;

		if (at < LANES)
			lanes |= 1u << at;
	}
	return lanes;
}

unsigned run_lanes(struct state *s, uint32_t lanes, bool *ret_signal)
{
	unsigned ended = 0;
	sigset_t old;

	signals_block(&old);
	for (unsigned i = 0; i < LANES; i++) {
		if (!(lanes & 1u << i) || !lane_lock(&s->lanes[i]))
			continue;
		ended += lane_run(s, &s->lanes[i]);
		lane_unlock(s, &s->lanes[i]);
	}
	*ret_signal = !ended && signals_waiting(&old);
	signals_restore(&old);
	return ended;
}

static void wake_up(void *arg)
{
	struct state *s = arg;

	atomic_fetch_sub(&s->sleepers, 1);
}

int sleep_once(struct state *s, uint32_t seen, uint64_t when_ns, bool cancel)
{
	struct timespec when = { .tv_sec = (time_t)(when_ns / SECOND),
				 .tv_nsec = (long)(when_ns % SECOND) };
	int err, saved = errno;

	shim_count_made(1);
	/* Nothing is held: what a cancelled thread leaves behind is its place among the sleepers. */
	if (cancel) {
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
		pthread_testcancel();
	}
	err = (int)syscall(SYS_futex, &s->ended, FUTEX_WAIT_BITSET_PRIVATE, seen,
			   when_ns == UINT64_MAX ? NULL : &when, NULL, FUTEX_BITSET_MATCH_ANY);
	if (cancel) {
		pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	}
	err = err < 0 && errno != EAGAIN ? errno : 0;
	errno = saved; /* not SHIM_KEEP_ERRNO: a cancelled thread has no way through its clean-up */
	return err;
}

/* One round of looking, running and sleeping. 0: look again. */
static int sleep_and_look(struct state *s, const struct aiocb *const list[], int n,
			  enum wait_for what, uint64_t when_ns, bool cancel)
{
	uint32_t lanes, seen;
	bool signal = false;
	int err = 0;

	pthread_cleanup_push(wake_up, s);
	atomic_fetch_add(&s->sleepers, 1);
	seen = atomic_load(&s->ended);
	lanes = lanes_of(s, list, n);
	if (!reached(s, list, n, what) && !(lanes && run_lanes(s, lanes, &signal)))
		err = signal ? EINTR : sleep_once(s, seen, when_ns, cancel);
	pthread_cleanup_pop(1);
	return err;
}

int wait_for(const struct aiocb *const list[], int n, enum wait_for what, uint64_t when_ns,
	     bool cancel)
{
	struct state *s = state_now();
	bool signal;
	int err = 0;

	while (!reached(s, list, n, what)) {
		uint32_t lanes = lanes_of(s, list, n);

		if (err)
			return err == ETIMEDOUT ? EAGAIN : err;
		back_flush(s);
		if (lanes && run_lanes(s, lanes, &signal))
			continue;
		err = sleep_and_look(s, list, n, what, when_ns, cancel);
	}
	return 0;
}

/* EINVAL, or 0 and when on CLOCK_MONOTONIC. */
static int when_of(const struct timespec *timeout, uint64_t *ret_when)
{
	*ret_when = UINT64_MAX;
	if (!timeout)
		return 0;
	if (timeout->tv_nsec < 0 || timeout->tv_nsec >= (long)SECOND)
		return EINVAL;
	if (timeout->tv_sec < 0)
		*ret_when = 0;
	else if ((uint64_t)timeout->tv_sec <= UINT32_MAX)
		*ret_when = asys_now() + (uint64_t)timeout->tv_sec * SECOND +
			    (uint64_t)timeout->tv_nsec;
	return 0;
}

static int suspend(const struct aiocb *const list[], int n, const struct timespec *timeout)
{
	struct state *s = state_now();
	bool ended = n < 0 || reached(s, list, n, WAIT_FOR_ONE);
	uint64_t when;
	int err;

	/* It may run what it waits for and never sleep: then it is here that a cancelled thread ends. */
	if (!ended)
		pthread_testcancel();
	WITHOUT_CANCELLATION;
	if (n < 0)
		return EINVAL;
	if (s)
		lane_waited(s, lane_mine(s));
	if (ended)
		return 0;
	err = when_of(timeout, &when);
	return err ? err :
		     wait_for(list, n, WAIT_FOR_ONE, when,
			      cancellation_was.state == PTHREAD_CANCEL_ENABLE);
}

int posix_aio_suspend(const struct aiocb *const list[], int n, const struct timespec *timeout)
{
	return (int)shim_set_errno(-suspend(list, n, timeout));
}
EXPORT(posix_aio_suspend, aio_suspend);
