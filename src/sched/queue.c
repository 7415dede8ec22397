/* SPDX-License-Identifier: MIT */
/* Open, close, and what stands at the door of every function. */
#include "ring/pollable.h"
#include "sched/sched.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define OPTIONS_LEAST 40u /* bytes that the first version of asys_queue_options had */
#define STEP_SLOTS 8192u
#define DEPTH_DEFAULT 256u
#define THREADS_DEFAULT 12u
#define SPIN_DEFAULT_NS 50000u

ASYS_API void asys_queue_options_init(struct asys_queue_options *options)
{
	memset(options, 0, sizeof(*options));
	options->size = sizeof(*options);
	options->depth = DEPTH_DEFAULT;
	options->engine = ASYS_ENGINE_AUTO;
	options->threads = THREADS_DEFAULT;
	options->spin_ns = SPIN_DEFAULT_NS;
}

static int check_limits(const struct asys_queue_options *o)
{
	if (!o->depth || o->depth > ASYS_DEPTH_MAX)
		return fail(-EINVAL, "option depth: %u is not in 1..%u", o->depth, ASYS_DEPTH_MAX);
	if (o->engine >= ASYS_ENGINE_COUNT)
		return fail(-EINVAL, "option engine: %u is not in 0..%d", o->engine,
			    ASYS_ENGINE_COUNT - 1);
	if (o->flags & ~ASYS_QUEUE_FLAGS)
		return fail(-EINVAL,
			    "option flags: 0x%x has bits that mean nothing: known are 0x%x",
			    o->flags, ASYS_QUEUE_FLAGS);
	if (!o->threads || o->threads > ASYS_THREADS_MAX)
		return fail(-EINVAL, "option threads: %u is not in 1..%u", o->threads,
			    ASYS_THREADS_MAX);
	if (o->cores > CPU_SETSIZE)
		return fail(-EINVAL, "option cores: %u is not in 0..%d", o->cores, CPU_SETSIZE);
	if (o->spin_ns > ASYS_SPIN_MAX_NS)
		return fail(-EINVAL, "option spin_ns: %u is not in 0..%u", o->spin_ns,
			    ASYS_SPIN_MAX_NS);
	return 0;
}

/* `who`: who chose the engine if the options did not. */
static int check_combination(const struct asys_queue_options *o, const char *who)
{
	if (o->engine == ASYS_ENGINE_INLINE && (o->flags & ASYS_QUEUE_NO_HELP))
		return fail(-EINVAL,
			    "engine inline%s runs calls on the thread that waits, NO_HELP forbids "
			    "it: drop one of the two",
			    who);
	if ((o->flags & ASYS_QUEUE_SQPOLL) && o->engine != ASYS_ENGINE_AUTO &&
	    o->engine != ASYS_ENGINE_URING)
		return fail(-EINVAL,
			    "SQPOLL is a thread of io_uring, engine %s%s does not use it: "
			    "choose engine auto or uring",
			    asys_engine_name((int)o->engine), who);
	return 0;
}

static int check_fault(const struct asys_queue_options *o)
{
	struct fault *fault;
	int err = o->fault ? fault_open(&fault, o->fault) : 0;

	if (o->fault && !err)
		fault_close(fault);
	return err;
}

static int check(const struct asys_queue_options *o)
{
	int err = check_limits(o);

	if (!err)
		err = check_combination(o, "");
	if (!err && o->signal)
		err = cancel_signal_check(o->signal);
	return err ? err : check_fault(o);
}

/* An empty variable is none. */
static int read_environment(struct asys_queue_options *o)
{
	const char *fault = secure_getenv("ASYS_FAULT");
	const uint32_t engine = o->engine;
	int err = engine_from_environment(&o->engine);

	if (!err && o->engine != engine)
		err = check_combination(o, " (ASYS_ENGINE)");
	if (err || !fault || !*fault)
		return err;
	o->fault = fault;
	err = check_fault(o);
	return err ? fail_naming(err, "ASYS_FAULT", fault,
				 "set it to what asys_fault(7) says, or unset it") :
		     0;
}

/* What the program gives is checked before the environment replaces some of it: a mistake in it is no
 * less one where a variable is set, and a test under another engine finds it. */
int queue_options(struct asys_queue_options *ret, const struct asys_queue_options *given)
{
	int err = 0;

	asys_queue_options_init(ret);
	if (given)
		err = options_take(ret, sizeof(*ret), OPTIONS_LEAST, given,
				   "asys_queue_options_init");
	if (!err)
		err = check(ret);
	if (!err)
		err = read_environment(ret);
	if (!err && !ret->signal)
		ret->signal = cancel_signal_pick();
	if (ret->flags & ASYS_QUEUE_DRIVER)
		ret->flags |= ASYS_QUEUE_SHARED;
	return err;
}

static uint32_t power_of_two(uint32_t n)
{
	return n <= 2 ? 2 : 1u << (32 - __builtin_clz(n - 1));
}

static int check_sqpoll(const struct asys_queue_options *o)
{
	if (!(o->flags & ASYS_QUEUE_SQPOLL) || !asys_probe()->uring)
		return 0;
	return fail(asys_probe()->uring, "SQPOLL was asked for, but io_uring cannot be had: %s",
		    asys_probe()->uring_why);
}

/* Steps of chains need slots besides the calls: only those that are used cost memory. */
static uint32_t pool_depth(uint32_t limit)
{
	uint32_t steps = limit < STEP_SLOTS / 64 ? 64 * limit : STEP_SLOTS;

	return steps > 2 * limit ? steps : 2 * limit;
}

/* What engines say to the queue: struct host. */
static void host_ended(struct host *host, uint32_t i, int64_t result)
{
	end(queue_of(host), i, result);
}

static void host_again(struct host *host, uint32_t i)
{
	list_add(queue_of(host), i, LIST_START);
}

static void host_returned(struct host *host, uint32_t i)
{
	chain_returned(queue_of(host), i);
}

static void host_measured(struct host *host, uint32_t nr, uint32_t ns)
{
	cost_note(queue_of(host), nr, ns);
}

static bool host_may_start(const struct host *host)
{
	const struct asys_queue *q = (const struct asys_queue *)host;

	return !q->driver_quit || !is_driver(q);
}

static void init_fields(struct asys_queue *q, const struct asys_queue_options *o)
{
	q->host.ended = host_ended;
	q->host.again = host_again;
	q->host.returned = host_returned;
	q->host.measured = host_measured;
	q->host.may_start = host_may_start;
	q->host.flags = o->flags;
	q->host.engine = (uint8_t)o->engine;
	q->host.cores = o->cores && o->cores < asys_probe()->cores ? o->cores : asys_probe()->cores;
	q->host.spin_ns = q->spin_now = o->spin_ns;
	q->host.signal = o->signal;
	share_init(&q->share);
	q->host.max_threads = o->threads;
	q->host.limit = power_of_two(o->depth);
	q->host.uring_off = asys_probe()->uring != 0;
	q->host.epoll_fd = q->host.event_fd = q->user_epoll = q->user_fd = q->user_timer = -1;
	q->user_when = UINT64_MAX;
	for (unsigned k = 0; k < LIST_KINDS * 3; k++)
		list_init(&q->lists[k / 3][k % 3]);
	list_init(&q->ended);
	q->starved_last = &q->starved;
	bell_init(&q->host.bell);
	pthread_mutex_init(&q->lock, NULL);
	context_init(q);
	route_init(q);
}

static void free_queue(struct asys_queue *q, bool child)
{
	int state = cancel_point_off();

	engines_close(&q->host, child);
	/* In a child the numbers may be others': fork copies descriptors before it copies memory, and a thread
	 * of the parent may have made one in between. They are closed by exec or exit. */
	if (!child) {
		pollable_close(q->host.epoll_fd, q->host.event_fd);
		pollable_close(q->user_epoll, q->user_fd);
		pollable_close(q->user_timer, -1);
	}
	fault_close(q->host.fault);
	edge_pool_free(&q->edges);
	slot_pool_free(&q->host.pool);
	rescue_close(q);
	next_calls_free(q);
	timer_heap_free(&q->timers);
	backlog_free(&q->backlog);
	if (!child)
		pthread_mutex_destroy(&q->lock);
	free(q);
	cancel_point_back(state);
}

ASYS_API int asys_queue_open(struct asys_queue **ret_queue,
			     const struct asys_queue_options *options)
{
	struct asys_queue_options o;
	int err = queue_options(&o, options);
	struct asys_queue *q;

	if (!err)
		err = check_sqpoll(&o);
	if (err)
		return err;
	q = aligned_alloc(CACHE_PAIR, sizeof(*q));
	if (!q)
		return fail(-ENOMEM, "no memory for a queue (%zu bytes)", sizeof(*q));
	memset(q, 0, sizeof(*q));
	init_fields(q, &o);
	q->mark = process_watch();
	if (!q->mark)
		err = -ENOMEM;
	if (!err)
		err = slot_pool_init(&q->host.pool, pool_depth(q->host.limit));
	if (!err)
		err = edge_pool_init(&q->edges, 2 * q->host.limit);
	if (!err && o.fault)
		err = fault_open(&q->host.fault, o.fault);
	if (!err && (o.flags & ASYS_QUEUE_DRIVER))
		err = driver_start(q);
	if (err) {
		free_queue(q, false);
		return err;
	}
	*ret_queue = q;
	return 0;
}

ASYS_API void asys_queue_close(struct asys_queue *q)
{
	struct goal goal = { .ended = UINT32_MAX, .slot = NIL, .when_ns = UINT64_MAX };
	bool child;

	if (!q)
		return;
	child = !*q->mark;
	if (!child) {
		queue_enter(q);
		q->closing = true;
		queue_unlock(q);
		asys_queue_cancel_all(q);
		queue_lock(q);
		while (q->inflight && drive(q, &goal) != -ENODATA)
			;
		if (q->driver_on) /* after it: its exit would wait for what it has in the ring */
			driver_stop(q);
		queue_unlock(q);
	}
	free_queue(q, child);
}

int queue_enter_child(void)
{
	return fail(-ECHILD,
		    "this queue belongs to the parent process: the child must open its own");
}

int queue_epoll(struct asys_queue *q)
{
	int err = host_epoll(&q->host);

	return err ? err : engines_watch(&q->host);
}

/* Deadlines, and the timers of chains: a loop that polls must hear of them. */
static int open_user_timer(struct asys_queue *q)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = UINT64_MAX };

	q->user_timer =
		fd_above_standard(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	if (q->user_timer < 0 || epoll_ctl(q->user_epoll, EPOLL_CTL_ADD, q->user_timer, &event))
		return fail(-errno, "no descriptor for deadlines (%s): %s", strerror(errno),
			    descriptor_advice(-errno));
	return 0;
}

int user_fd_listens(struct asys_queue *q)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = UINT64_MAX };

	if (epoll_ctl(q->user_epoll, EPOLL_CTL_ADD, q->host.epoll_fd, &event) && errno != EEXIST)
		return fail(-errno, "the queue's descriptors cannot be waited for (%s): %s",
			    strerror(errno), descriptor_advice(-errno));
	return 0;
}

static int open_user_fd(struct asys_queue *q)
{
	int err = queue_epoll(q);

	if (!err && q->user_epoll < 0)
		err = pollable_open(&q->user_epoll, &q->user_fd);
	if (!err && q->user_timer < 0)
		err = open_user_timer(q);
	if (!err && !q->host.fd_wanted && !q->driver_on)
		err = user_fd_listens(q);
	q->host.fd_wanted |= !err;
	return err;
}

ASYS_API int asys_queue_fd(struct asys_queue *q)
{
	int err = queue_enter(q);

	if (err)
		return err;
	err = open_user_fd(q);
	queue_leave(q);
	return err ? err : q->user_epoll;
}

ASYS_API int asys_queue_stats_(struct asys_queue *q, struct asys_stats *ret_stats, size_t size)
{
	struct asys_stats stats;
	int err = queue_enter(q);

	if (err)
		return err;
	stats = q->host.stats;
	stats.ended = q->host.stats.sent - q->inflight;
	stats.threads = helpers.live(&q->host);
	queue_leave(q);
	memset(ret_stats, 0, size);
	memcpy(ret_stats, &stats, size < sizeof(stats) ? size : sizeof(stats));
	return 0;
}
