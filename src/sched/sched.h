/* SPDX-License-Identifier: MIT */
/*
 * The stations of a call between sending and its event, and what they say to each other.
 *
 *   send.c     a call becomes a slot: waiting (chain/), or on a list of ready calls
 *   route.c    who serves a call number on this queue
 *   start.c    ready calls are handed to engines
 *   share.c    quick calls, which the waiter runs, are shared with system call threads
 *   drive.c    the loop of every waiter: end what has ended, start, help, else sleep
 *   batch.c    quick calls that cost less in the ring, several at once
 *   burst.c    quick calls of a private queue, one right after the other
 *   rescue.c   a waiter that hangs in a call gets out of it
 *   sleep.c    spin, then sleep, on everything that can bring an end at once
 *   loop.c     ... and the same where the program polls asys_queue_fd
 *   end.c      the one place where a call ends: releases dependents, makes the event
 *   get.c      events go out
 *   cancel.c   cancel and deadlines
 *   context.c  threads follow a change of the sender's rights
 *   driver.c   a thread that drives, for queues that ask for it
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "engine/cancel_signal.h"
#include "engine/helpers.h"
#include "sched/queue.h"

/* sleep.c, of shared queues. tell_others: something has ended, and threads that wait on `changes` look again.
 * poke_sleeper: there is something new to do, and the one that sleeps for all looks again; true if it had to be
 * woken. */
void tell_others(struct asys_queue *q);
bool poke_sleeper(struct asys_queue *q);
/* For who keeps the lock without an end: a thread that waits for it gets it. */
void let_others_in(struct asys_queue *q);
void queue_give_way(struct asys_queue *q);
/* There is something by now that who sleeps for all does not listen to, or look after. */
bool sleeper_misses(const struct asys_queue *q);
/* sleep.c: event_fd was written by a ringer, or will be: makes it quiet again. */
void drain_event_fd(struct asys_queue *q);

void queue_lock_waiting(struct asys_queue *q); /* sleep.c */

static inline void queue_lock(struct asys_queue *q)
{
	if (unlikely(queue_shared(q)) && unlikely(pthread_mutex_trylock(&q->lock)))
		queue_lock_waiting(q);
}

/* Whoever lets the lock go says what has ended meanwhile: the sleeper did not see it. */
static inline void queue_unlock(struct asys_queue *q)
{
	if (likely(!queue_shared(q)))
		return;
	if (q->news)
		tell_others(q);
	pthread_mutex_unlock(&q->lock);
}

/* queue.c: what is rare at the door. */
int queue_enter_child(void); /* -ECHILD with message */

/* loop.c: asys_queue_fd was asked for: leaving, it shall poll; entering again; before another thread sleeps. */
void user_wait_begin(struct asys_queue *q);
void user_wait_end(struct asys_queue *q);
void user_signal(struct asys_queue *q);

/* Entering and leaving every public function. 0, or -ECHILD in a forked child. */
static inline int queue_enter(struct asys_queue *q)
{
	if (unlikely(!*q->mark))
		return queue_enter_child();
	if (unlikely(queue_shared(q)) &&
	    unlikely(atomic_load_explicit(&q->impatient, memory_order_relaxed)))
		queue_give_way(q);
	queue_lock(q);
	if (unlikely(q->host.fd_wanted))
		user_wait_end(q);
	return 0;
}

static inline void queue_leave(struct asys_queue *q)
{
	if (unlikely(queue_shared(q)) && q->somebody_sleeps && sleeper_misses(q))
		poke_sleeper(q);
	if (unlikely(q->host.fd_wanted))
		user_wait_begin(q);
	queue_unlock(q); /* the last access: from here on another thread may close the queue */
}

/* send.c: this thread said something about its next call, and gets or waits instead: -EINVAL with message; it is
 * forgotten. 0: it did not. */
int said_in_vain(struct asys_queue *q, const char *function);

/* The same for functions that get, wait or flush. */
static inline int queue_enter_waiting(struct asys_queue *q, const char *function)
{
	int err = queue_enter(q);

	if (unlikely(!err && (q->nnext || q->user_said_by))) {
		err = said_in_vain(q, function);
		if (err)
			queue_leave(q);
	}
	return err;
}

/* queue.c: what is given, or the defaults, checked and completed; also by the environment. 0 or -errno
 * with message; *ret is written in any case. */
int queue_options(struct asys_queue_options *ret, const struct asys_queue_options *given);

/* route.c */
/* A run of `nr` took so long; 0: nothing is known. */
void cost_note(struct asys_queue *q, uint32_t nr, uint32_t seen);
/* Of the threads' lanes, that for a quick call or a sending. */
enum lane quick_lane(const struct asys_queue *q, const struct slot *slot);
void route_init(struct asys_queue *q);
int engine_from_environment(uint32_t *engine); /* 0, or -EINVAL with message */

/* send.c */
/* A new slot whose call is still to be written; NIL: *ret_err. Then it is sent. */
uint32_t slot_new(struct asys_queue *q, int *ret_err);
asys_id slot_sent(struct asys_queue *q, uint32_t i);
/* It was refused instead: what was said about it is not about the call after it. */
asys_id not_sent(struct asys_queue *q, int err);
void next_calls_free(struct asys_queue *q);

/* context.c: change of the sender's rights or namespaces */
bool context_call(const struct asys_call *call); /* it will change them */
bool filter_call(const struct asys_call *call);	 /* ... and may refuse io_uring from then on */
/* Threads that are not inside a call leave now; `alone`: whoever is about to leave is waited for. */
void context_leave(struct asys_queue *q, bool alone);
void context_changed(void); /* this process's queues renew before their next call */
void context_init(struct asys_queue *q);
bool context_renew(struct asys_queue *q);
bool context_renew_inside(struct asys_queue *q);

/* No change of rights happened since the queue's threads were started, and no driver leaves because of one. */
static inline bool context_is_present(const struct asys_queue *q)
{
	return q->host.context_epoch == atomic_load_explicit(&rights_epoch, memory_order_acquire) &&
	       !q->driver_quit;
}

/* Where nothing is under way: renews the queue if a change happened, and lets the lock go meanwhile if it has a
 * driver. False: this thread, the queue's driver, must not start anything, since it still has the rights
 * of before. */
static inline bool context_follow(struct asys_queue *q)
{
	return likely(context_is_present(q)) || context_renew(q);
}

/* Before anything is started: the same with the lock held all the time. False also where that would let it
 * go: who drives comes to a context_follow next. */
static inline bool context_check(struct asys_queue *q)
{
	return likely(context_is_present(q)) || context_renew_inside(q);
}

/* start.c */
void start_all(struct asys_queue *q); /* what is ready and not quick goes where it belongs */
/* To one of `engines`: 0, or what its start() says. */
int hand_to(struct asys_queue *q, int engine, uint32_t i);
void unpop(struct asys_queue *q, uint32_t i, unsigned list); /* back to where it was taken from */

/* share.c: quick calls, see share.h */
void share_init(struct share *share);
void share_all(struct asys_queue *q);  /* nobody will wait now: threads get them all */
void share_some(struct asys_queue *q); /* part of them, where that is a gain */
/* True: the wait that begins now is to be measured, and the watch runs. */
bool share_measures(struct asys_queue *q, struct stopwatch *watch);
/* It is over; so much work was done. */
void share_ended(struct asys_queue *q, const struct stopwatch *watch, uint64_t work_ns);
void share_measured(struct asys_queue *q, uint64_t ns,
		    uint64_t work_ns); /* the same, it took so long */

/* Work that a waiter with its goal met still does, if it has room for the events. */
#define WELCOME_NS 20000u

/* drive.c: what a waiter waits for */
struct goal {
	uint32_t ended; /* nended reaches this, or ... */
	uint32_t most;	/* (more are welcome, up to this, where they cost next to no time) */
	uint32_t slot;	/* ... the call `id` in this slot is over (NIL: none), or ... */
	int64_t id;
	uint32_t inflight; /* ... no more than so many are in flight */
	uint64_t when_ns;  /* gives up then; UINT64_MAX: never */
	const bool *stop;  /* ... or this is set; may be NULL */
};

static inline bool late(const struct goal *goal)
{
	return goal->when_ns != UINT64_MAX && clock_now() >= goal->when_ns;
}

/* ... nor will it be after so many calls that all take as long as a quick one may. */
static inline bool has_time(const struct goal *goal, uint32_t calls)
{
	return goal->when_ns == UINT64_MAX ||
	       goal->when_ns > clock_now() + (uint64_t)calls * COST_SLOW_NS;
}

/* It reads or writes one buffer of more than that. */
static inline bool moves_more_than(const struct asys_call *call, uint64_t bytes)
{
	switch (call->nr) {
	case SYS_read:
	case SYS_write:
	case SYS_pread64:
	case SYS_pwrite64:
		return call->arg[2] > bytes;
	default:
		return false;
	}
}

/* It neither hangs nor, as far as is known, takes long. */
static inline bool is_surely_quick(const struct asys_queue *q, const struct asys_call *call)
{
	return call->nr < CALL_NUMBERS && route_is_quick(q->host.route[call->nr]) &&
	       q->host.costs.ns[call->nr] && !cost_is_high(&q->host.costs, call->nr) &&
	       !may_hang(call);
}

/* So many calls like this one are welcome to a waiter with `left_ns` to spare. */
static inline uint32_t welcome(const struct asys_queue *q, const struct goal *goal,
			       const struct asys_call *call, uint64_t left_ns)
{
	uint32_t room = goal->most > q->nended ? goal->most - q->nended : 0;
	uint64_t n = is_surely_quick(q, call) ? left_ns / cost_of(&q->host.costs, call->nr) : 0;

	return n < room ? (uint32_t)n : room;
}

/* 0 when the goal is reached; -ETIME; -EINTR (a signal handler ran); -ENODATA (nothing that is in
 * flight can bring an end). */
int drive(struct asys_queue *q, const struct goal *goal);
/* For a visit whose goal is met already: what is ready gets its turn. */
void serve(struct asys_queue *q, const struct goal *goal);
void advance(struct asys_queue *q, bool here); /* `here`: sendings may make calls in this thread */
unsigned reap(struct asys_queue *q);
void run_here(struct asys_queue *q, uint32_t i); /* the call runs in this thread now, and ends */

/* A quick call of this priority has its turn before others: it alone, not those that follow it. */
static inline bool overtakes(const struct asys_queue *q, unsigned priority)
{
	return (priority > 0 && q->lists[LIST_QUICK][0].head != NIL) ||
	       (priority > 1 && q->lists[LIST_QUICK][1].head != NIL);
}

/* batch.c. True: `i`, just taken from LIST_QUICK, was run with others of the list; all of `slots` were
 * run. False: nothing happened. */
bool batch_with(struct asys_queue *q, uint32_t i, const struct goal *goal);
bool batch_these(struct asys_queue *q, const uint32_t *slots, uint32_t n);
/* The call, a step, is worth handing to the ring and not waiting for: enough others will follow before the
 * client looks there again. */
bool batch_may_wait(struct asys_queue *q, const struct asys_call *call);

/* burst.c: the same, in this thread, `most` at most. How many were run; 0: nothing happened. */
uint32_t burst_with(struct asys_queue *q, uint32_t i, const struct goal *goal, uint32_t most);

/* rescue.c: calls that may hang, in a waiter. */
void run_risky(struct asys_queue *q, uint32_t i); /* runs here and ends, or goes to LIST_START */
/* The same for a call without a slot; false: it hung, and nothing has happened. */
bool rescue_call(struct asys_queue *q, const struct asys_call *call, int64_t *ret_result,
		 bool *ret_interrupted); /* it ended, but perhaps early because of us */
/* A call in this thread ended with -EINTR: made again if it was the timer's signal. */
int64_t rescue_rerun(struct asys_queue *q, const struct asys_call *call, int64_t result);
/* The timer is set, and its signal might end or shorten such a call for good. */
bool rescue_may_hurt(const struct asys_queue *q, const struct asys_call *call);
void rescue_off(struct asys_queue *q); /* the waiter stops waiting */
void rescue_close(struct asys_queue *q);

#define LATELY_NS 1000000u

/* Around a call that the client runs itself, of which one in COST_EVERY is timed: true. */
static inline bool measure_begin(struct asys_queue *q, uint32_t nr, struct stopwatch *watch)
{
	q->host.stats.helped++;
	q->host.done_ns += cost_of(&q->host.costs, nr);
	if (likely(nr >= CALL_NUMBERS || (++q->tick % COST_EVERY && q->host.costs.ns[nr])))
		return false;
	stopwatch_start(watch, cost_in_doubt(&q->host, nr));
	return true;
}

static inline void measure_end(struct asys_queue *q, uint32_t nr, const struct stopwatch *watch)
{
	if (watch->ns - q->sampled_ns > LATELY_NS)
		q->share.unshared_ns = 0;
	q->sampled_ns = watch->ns;
	cost_note(q, nr, cost_seen(watch));
}

/* Runs the call in this thread. Nothing else is done about it. */
static inline int64_t run_measured(struct asys_queue *q, const struct asys_call *call)
{
	uint32_t nr = call->nr;
	struct stopwatch watch;
	int64_t result;
	bool timed;

	if (unlikely(q->rescue) && rescue_may_hurt(q, call))
		rescue_off(q);
	timed = measure_begin(q, nr, &watch);
	result = raw_syscall(nr, call->arg);
	if (unlikely(timed))
		measure_end(q, nr, &watch);
	if (unlikely(result == -EINTR && q->rescue))
		result = rescue_rerun(q, call, result);
	return result;
}

/* A quiet call that succeeded leaves no event: its slot is free, or another call's already. */
static inline bool slot_over(const struct slot *slot, int64_t id)
{
	return slot->state == SLOT_ENDED || slot->state == SLOT_FREE || slot->id != id;
}

bool may_help(const struct asys_queue *q); /* a waiter may run quick calls */
int queue_epoll(
	struct asys_queue
		*q); /* what engines wait for is in host.epoll_fd: 0, or -errno with message */

/* sleep.c */
int sleep_for_end(struct asys_queue *q, uint32_t need, uint64_t when_ns); /* 0, -EINTR */

/* end.c: the one place where calls end. Any result, also -errno. */
void end(struct asys_queue *q, uint32_t i, int64_t result);

/* chains.c: sendings of chains, on the client's side */
/* A system call thread gives a sending back, ended or not. */
void chain_returned(struct asys_queue *q, uint32_t i);
/* Which of the lanes (engine/helpers.h) takes a sending. */
enum lane chain_lane(const struct asys_queue *q, const struct slot *slot);
void chain_run(struct asys_queue *q, uint32_t i); /* its slot was taken from a list: goes on here */
/* Those that wait for the client. `here`: it may make calls; else they are handed out. */
void chains_run(struct asys_queue *q, bool here);
/* Those that found no slot for a step try again: one may be free. */
void chains_feed(struct asys_queue *q);

/* A slot is free again: where none was left, the step that waits for one is news for whoever drives or sleeps. */
static inline void slot_freed(struct asys_queue *q, uint32_t i)
{
	slot_release(&q->host.pool, i);
	if (unlikely(q->starved))
		chains_feed(q);
}

/* Both. */
static inline void chains_go_on(struct asys_queue *q, bool here)
{
	if (unlikely(q->starved) && slots_used(&q->host.pool) < q->host.pool.depth)
		chains_feed(q);
	if (unlikely(q->chains))
		chains_run(q, here);
}

/* A sending is asked to end, before its slot is: false if it was before. */
bool chain_asked_to_end(struct asys_queue *q, uint32_t i);
bool slot_asked_to_end(const struct slot *slot); /* a call or a sending */
uint64_t chain_work_ns(const struct asys_queue *q, const struct slot *slot);

/* get.c: what a step of a sending reports, an event that no slot stands for; false: no memory. `reserved`: there is room
 * for it (backlog_reserve). */
bool event_add(struct asys_queue *q, const struct asys_event *report, bool reserved);

/* cancel.c */
int timer_add(struct asys_queue *q, uint32_t i); /* 0 or -ENOMEM */
void timer_remove(struct asys_queue *q, uint32_t i);
uint64_t timers_next(const struct asys_queue *q); /* ns, UINT64_MAX if none */
void timers_run(struct asys_queue *q);
void cancel_slot(struct asys_queue *q, uint32_t i);

/* get.c */
bool events_keep(struct asys_queue *q); /* frees slots of ended calls; false: no memory */

/* driver.c */
int driver_start(struct asys_queue *q);
int driver_replace(struct asys_queue *q); /* one that has left, unless another is on its way out */
void driver_stop(struct asys_queue *q);
void driver_start_again(struct asys_queue *q);

/* For who gives it something to do: one that could not be started before may be by now. */
static inline void driver_needed(struct asys_queue *q)
{
	if (unlikely((q->host.flags & ASYS_QUEUE_DRIVER) && !q->driver_on))
		driver_start_again(q);
}

/* queue.c: the user's loop listens to what sleepers sleep on; 0 or -errno with message. */
int user_fd_listens(struct asys_queue *q);

#endif
