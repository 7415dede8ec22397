/* SPDX-License-Identifier: MIT */
/*
 * Spin, then sleep, on everything that can bring an end at once.
 *
 *   who has calls of this queue        sleeps in                      woken by
 *   threads only (or nobody)           futex on bell.rung             the thread that counts to 0
 *   io_uring only, private queue       io_uring_enter                 the kernel
 *   anything else                      epoll: event_fd, ring's, fds   bell (event_fd), the kernel
 *
 * A shared queue has one sleeper for all; the others wait on `changes` and look again when it has
 * brought something. A thread that needs the sleeper to listen to one engine more rings it.
 */
#include "engine/ready.h"
#include "sched/sched.h"
#include <limits.h>
#include <sched.h>
#include <unistd.h>

#define SPIN_FEW 4u /* ends worth spinning for; more take longer than a spin */
#define SPIN_LEAST_NS 1000u
#define DOOR_NS 1000000u      /* in which a thread that is woken gets a core, mostly */
#define SHORT_NAP_NS 1000000u /* where no descriptors are to be had to sleep on */

/* For those whose ends another thread publishes. True: one is there. Without the lock. */
static bool spin(struct asys_queue *q, uint32_t kinds)
{
	uint64_t until = clock_now() + q->spin_now;
	bool found = false;

	do {
		for (int k = 0; k < 32 && !found; k++) {
			cpu_relax();
			found = engines_have_news(&q->host, kinds);
		}
	} while (!found && clock_now() < until);
	if (found)
		q->spin_now = q->spin_now * 2 < q->host.spin_ns ? q->spin_now * 2 : q->host.spin_ns;
	else if (q->spin_now > SPIN_LEAST_NS)
		q->spin_now -= q->spin_now / 4;
	return found;
}

static int sleep_futex(struct asys_queue *q, uint64_t when_ns)
{
	return futex_wait(&q->host.bell.rung, 0, when_ns);
}

void drain_event_fd(struct asys_queue *q)
{
	uint64_t count = 0;

	if (raw_call(SYS_read, (uint64_t)(int64_t)q->host.event_fd, ptr_word(&count), sizeof(count),
		     0) != sizeof(count))
		count = 0;
	bell_drained(&q->host.bell, count);
	q->host.stats.traps++;
}

/* Arms the bell, looks once more, sleeps. The lock is let go while it sleeps. */
static int sleep_armed(struct asys_queue *q, uint32_t kinds, uint32_t need, uint64_t when_ns)
{
	bool by_epoll = engines_by_epoll(kinds);
	int err = 0;

	/* Nothing to wait with (the limit of descriptors): look again and again, not too often. */
	if (by_epoll && UNHEARD(queue_epoll(q)) < 0) {
		by_epoll = false;
		kinds &= ~engines_by_epoll(kinds);
		need = 1;
		if (when_ns > clock_now() + SHORT_NAP_NS)
			when_ns = clock_now() + SHORT_NAP_NS;
	}
	engines_listen(&q->host, kinds);
	bell_arm(&q->host.bell, (int32_t)need, by_epoll ? q->host.event_fd : -1);
	/* Results behind a place that is reserved and not yet published were not counted by the bell, and
	 * cannot be taken: then every end counts. */
	if (need > 1 && engines_may_have_news(&q->host, ALL_ENGINES)) {
		if (bell_disarm(&q->host.bell))
			drain_event_fd(q);
		bell_arm(&q->host.bell, 1, by_epoll ? q->host.event_fd : -1);
	}
	/* Also of those that were given calls meanwhile. */
	if (!engines_have_news(&q->host, kinds | ~engines_by_epoll(ALL_ENGINES))) {
		q->host.stats.sleeps++;
		q->host.stats.traps++;
		atomic_store_explicit(&q->host.client_core, -1, memory_order_relaxed);
		queue_unlock(q);
		err = by_epoll ? host_wait(&q->host, when_ns) : sleep_futex(q, when_ns);
		queue_lock(q);
		engines_woken(&q->host, ALL_ENGINES);
	}
	if (bell_disarm(&q->host.bell))
		drain_event_fd(q);
	engines_listen_no_more(&q->host, kinds);
	return err == -EINTR ? err : 0;
}

static int sleep_once(struct asys_queue *q, uint32_t kinds, uint32_t need, uint64_t when_ns)
{
	uint32_t by_bell = kinds & ~engines_by_epoll(kinds), pokes = q->pokes;
	const struct engine *waits;
	bool found = false;
	int err;

	if (by_bell && need <= SPIN_FEW && q->host.cores > 1 && q->spin_now) {
		queue_unlock(q);
		found = spin(q, by_bell);
		queue_lock(q);
	}
	/* Others may have taken the end that this thread was about to wait for, or sent something. */
	if (found || q->pokes != pokes)
		return 0;
	waits = queue_shared(q) ? NULL : engines_wait_alone(kinds);
	if (!waits)
		return sleep_armed(q, kinds, need, when_ns);
	err = waits->wait(&q->host, when_ns);
	return err == -EINTR ? err : 0;
}

/* Threads may hang, and somebody has to look. */
static bool has_risk(const struct asys_queue *q)
{
	return helpers.to_watch(&q->host) || helpers.may_start_more(&q->host);
}

bool sleeper_misses(const struct asys_queue *q)
{
	return (engines_busy(&q->host) & ~q->sleep_kinds) || (!q->sleep_risky && has_risk(q)) ||
	       engines_broken(&q->host);
}

/* Wakes those that wait while another thread sleeps for all. */
static void wake_listeners(struct asys_queue *q)
{
	atomic_fetch_add_explicit(&q->changes, 1, memory_order_relaxed);
	if (q->listeners)
		futex_wake(&q->changes, INT_MAX);
}

/* Until the sleeper has brought something; 0 or -EINTR. Not a condition variable: a signal must end this
 * wait as it ends others, and pthread_cancel must not, or the queue would stay locked. */
static int wait_for_sleeper(struct asys_queue *q, uint64_t when_ns)
{
	uint32_t seen;
	int err;

	if (q->news)
		tell_others(q);
	if (q->somebody_sleeps && sleeper_misses(q))
		poke_sleeper(q);
	seen = atomic_load_explicit(&q->changes, memory_order_relaxed);
	q->listeners++;
	pthread_mutex_unlock(&q->lock);
	err = futex_wait(&q->changes, seen, when_ns);
	queue_lock(q);
	q->listeners--;
	return err == -EINTR ? err : 0;
}

int sleep_for_end(struct asys_queue *q, uint32_t need, uint64_t when_ns)
{
	uint32_t kinds, before = q->nlist[LIST_START] + q->nended;
	bool risky;
	int err;

	engines_flush(&q->host);
	/* Something has ended on that way, or the ring gave it back. */
	if (unlikely(q->nlist[LIST_START] + q->nended != before))
		return 0;
	if (unlikely(q->rescue))
		rescue_off(q); /* its signal must not end the sleep as one of the program's would */
	if (unlikely(q->host.fd_wanted)) {
		user_wait_end(q); /* the bell and the ring's news are this sleeper's now */
		user_signal(q);
	}
	kinds = engines_busy(&q->host);
	if ((kinds & (kinds - 1)) || !helpers.have_quick_only(&q->host))
		q->share.spoiled = true;
	if (queue_shared(q) && q->somebody_sleeps)
		return wait_for_sleeper(q, when_ns);
	if (timers_next(q) < when_ns)
		when_ns = timers_next(q);
	risky = has_risk(q);
	if (unlikely(risky) && clock_now() + helpers.look_ns(&q->host) < when_ns)
		when_ns = clock_now() + helpers.look_ns(&q->host);
	q->somebody_sleeps = true;
	q->sleep_kinds = kinds;
	q->sleep_risky = risky;
	err = sleep_once(q, kinds, need, when_ns);
	if (unlikely(risky)) {
		helpers.watch(&q->host);
		helpers.start_more(&q->host);
	}
	q->somebody_sleeps = false;
	if (queue_shared(q))
		wake_listeners(q);
	return err;
}

/*
 * A mutex is not fair: who sleeps on it comes too late, again and again, if another thread keeps it, or takes it
 * anew at once. Who keeps it looks for those at the door (instead_of_sleep). Who takes it anew does not, since to
 * hand it on each time would cost a switch of threads for each call; but on entering again it gives way to
 * those who have waited for long.
 */
void queue_lock_waiting(struct asys_queue *q)
{
	struct timespec until;
	bool got;

	atomic_fetch_add_explicit(&q->at_the_door, 1, memory_order_relaxed);
	clock_gettime(CLOCK_REALTIME, &until);
	until = clock_timespec((uint64_t)until.tv_sec * 1000000000u + (uint64_t)until.tv_nsec +
			       DOOR_NS);
	got = !pthread_mutex_timedlock(&q->lock, &until);
	if (unlikely(!got)) {
		atomic_fetch_add_explicit(&q->impatient, 1, memory_order_relaxed);
		pthread_mutex_lock(&q->lock);
		atomic_fetch_sub_explicit(&q->impatient, 1, memory_order_relaxed);
	}
	atomic_fetch_sub_explicit(&q->at_the_door, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&q->came_in, 1, memory_order_relaxed);
}

/* Without the lock. */
void queue_give_way(struct asys_queue *q)
{
	uint32_t before = atomic_load_explicit(&q->came_in, memory_order_relaxed);
	uint64_t until = clock_now() + DOOR_NS;

	do
		sched_yield();
	while (atomic_load_explicit(&q->came_in, memory_order_relaxed) == before &&
	       atomic_load_explicit(&q->at_the_door, memory_order_relaxed) && clock_now() < until);
}

void let_others_in(struct asys_queue *q)
{
	queue_unlock(q);
	queue_give_way(q);
	queue_lock(q);
}

bool poke_sleeper(struct asys_queue *q)
{
	q->pokes++;
	return q->somebody_sleeps && bell_ring_now(&q->host.bell);
}

void tell_others(struct asys_queue *q)
{
	q->news = false;
	wake_listeners(q);
	poke_sleeper(q);
}
