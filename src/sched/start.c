/* SPDX-License-Identifier: MIT */
/* Ready calls are handed to engines. Quick ones are the waiter's (drive.c), or shared (share.c). */
#include "sched/sched.h"
#include <sched.h>

#define RING_CROWDED 4096u

void unpop(struct asys_queue *q, uint32_t i, unsigned list)
{
	struct slot *slot = slot_at(q, i);
	struct slot_list *l = &q->lists[list][call_priority(&slot->call)];

	slot->prev = NIL;
	slot->next = l->head;
	if (l->head == NIL)
		l->tail = i;
	else
		slot_at(q, l->head)->prev = i;
	l->head = i;
	slot_to(slot, SLOT_READY);
	slot->list = (uint8_t)list;
	q->nlist[list]++;
}

int hand_to(struct asys_queue *q, int engine, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	int err;

	slot_to(slot, SLOT_HANDED);
	slot->engine = (uint8_t)engine;
	err = engines[engine]->start(&q->host, i);
	if (err) {
		slot->engine = ASYS_ENGINE_AUTO;
		slot_to(slot, SLOT_READY);
	}
	return err;
}

/* A call that waits in the ring costs the kernel about 600 bytes, one that waits in the ready engine
 * none: beyond what a server has in motion, that counts more than a saved trap. */
static bool ring_is_crowded(const struct asys_queue *q, const struct asys_call *call)
{
	return q->host.engine == ASYS_ENGINE_AUTO &&
	       q->host.outstanding[ASYS_ENGINE_URING] >= RING_CROWDED &&
	       engines[ASYS_ENGINE_READY]->takes(call);
}

static bool cannot_block(const struct asys_call *call)
{
	const struct asys_syscall_info *info = asys_syscall_info(call->nr);

	return info && info->block != ASYS_BLOCK_FOREVER && !may_hang(call);
}

/* No thread can be had at all. What cannot block for ever is run late rather than never; an open by the
 * waiter, who leaves it if it hangs; the rest waits in epoll if it can, or ends with the error that a
 * thread ends with that cannot be started. */
static int start_without_thread(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	int err = -EAGAIN;

	if (slot->lane == LANE_QUICK || slot->call.nr == CALL_CHAIN || cannot_block(&slot->call)) {
		run_here(q, i);
		return 0;
	}
	if (may_hang(&slot->call) && !slot->own_thread && !queue_shared(q)) {
		list_add(q, i, LIST_QUICK);
		return 0;
	}
	if (slot->given != GIVEN_REST && engines[ASYS_ENGINE_READY]->takes(&slot->call))
		err = hand_to(q, ASYS_ENGINE_READY, i);
	if (err == -ENOTBLK) /* a file on disk after all */
		run_here(q, i);
	else if (err)
		end(q, i, -EAGAIN);
	return 0;
}

/* 0; -EAGAIN: no room now, try again when something has ended. */
static int start_one(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	bool rest = slot->given == GIVEN_REST; /* a thread's: other engines would begin anew */
	enum route route = slot->own_thread || rest ? ROUTE_SLOW : route_call(q, &slot->call);
	bool quick = false;
	int err;

	if (unlikely(slot->doomed)) {
		end(q, i, slot->result);
		return 0;
	}
	if (route == ROUTE_URING && !q->host.uring_off && !slot->no_ring &&
	    !ring_is_crowded(q, &slot->call)) {
		err = hand_to(q, ASYS_ENGINE_URING, i);
		if (!err || err == -EAGAIN)
			return err;
	}
	if (route == ROUTE_READY ||
	    (route == ROUTE_URING && engines[ASYS_ENGINE_READY]->takes(&slot->call))) {
		err = hand_to(q, ASYS_ENGINE_READY, i);
		if (!err || err == -EAGAIN)
			return err;
		/* A file on disk after all: as quick as others of its kind. */
		quick = err == -ENOTBLK;
		if (quick && may_help(q)) {
			list_add(
				q, i,
				LIST_QUICK); /* behind those that are there: it comes later than they */
			return 0;
		}
	}
	if (slot->call.nr == CALL_CHAIN)
		slot->lane = (uint8_t)chain_lane(q, slot);
	else if (quick || (route == ROUTE_POOL && !may_hang(&slot->call)))
		slot->lane = LANE_QUICK;
	else
		slot->lane = LANE_SLOW;
	err = hand_to(q, ASYS_ENGINE_THREADS, i);
	return err && err != -EAGAIN ? start_without_thread(q, i) : err;
}

#ifndef CLONE_NEWTIME /* newer than some C libraries */
#define CLONE_NEWTIME 0x80
#endif

/* The kernel refuses these to a process with more than one thread; of a mount namespace, to a thread that shares its
 * working directory with another. */
static bool wants_to_be_alone(const struct asys_call *call)
{
	const uint64_t unshares = CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
	const uint64_t joins = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWTIME;

	return (call->nr == SYS_unshare && (call->arg[0] & unshares)) ||
	       (call->nr == SYS_setns && (!call->arg[1] || (call->arg[1] & joins)));
}

/* Some calls (a new user namespace) demand that the caller is alone, so threads leave before; they
 * come back, with the new context, when they are needed. */
static void run_context_call(struct asys_queue *q, uint32_t i)
{
	slot_to(slot_at(q, i), SLOT_RUNNING); /* the lock is let go meanwhile: nobody may end it */
	if (filter_call(&slot_at(q, i)->call))
		engines_recall(&q->host);
	context_leave(q, wants_to_be_alone(&slot_at(q, i)->call));
	context_changed(); /* X4: before and after */
	run_here(q, i);
	context_changed();
	context_follow(q);
}

/* The next home call that this thread sent. Those of other senders wait for them. */
static uint32_t pop_home(struct asys_queue *q)
{
	for (unsigned p = 0; p < 3; p++) {
		struct slot_list *list = &q->lists[LIST_HOME][p];

		for (uint32_t i = list->head; i != NIL; i = slot_at(q, i)->next) {
			if (slot_at(q, i)->owner != thread_number())
				continue;
			list_remove(list, q->host.pool.slots, i);
			q->nlist[LIST_HOME]--;
			return i;
		}
	}
	return NIL;
}

/* A private queue has come from another thread, which left home calls in it: they concern that thread, and
 * nobody else may make them. */
static void refuse_homeless(struct asys_queue *q)
{
	uint32_t i;

	while ((i = list_take(q, LIST_HOME)) != NIL)
		end(q, i, slot_at(q, i)->doomed ? slot_at(q, i)->result : -ECANCELED);
}

static void run_home(struct asys_queue *q)
{
	uint32_t i;

	while ((i = pop_home(q)) != NIL) {
		if (unlikely(late_ends(q, i, LIST_HOME)))
			continue;
		if (unlikely(q->rescue))
			rescue_off(q); /* it may block, and a signal of ours must not end it */
		if (unlikely(slot_at(q, i)->doomed))
			end(q, i, slot_at(q, i)->result);
		else if (context_call(&slot_at(q, i)->call))
			run_context_call(q, i);
		else
			run_here(q, i);
	}
	if (unlikely(q->nlist[LIST_HOME]) && !queue_shared(q))
		refuse_homeless(q);
}

void start_all(struct asys_queue *q)
{
	bool room = true;
	uint32_t i;

	if (!context_check(q))
		return;
	if (q->nlist[LIST_HOME] && (!q->driver_on || !is_driver(q)))
		run_home(q);
	/* Again, where the ring gave something back that it cannot serve. */
	do {
		while (room && context_check(q) && (i = list_take(q, LIST_START)) != NIL) {
			room = !start_one(q, i);
			if (!room)
				unpop(q, i, LIST_START);
		}
		engines_flush(&q->host);
	} while (room && q->nlist[LIST_START] && context_check(q));
	q->blocked = !room;
}
