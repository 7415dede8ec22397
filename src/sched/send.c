/* SPDX-License-Identifier: MIT */
/* A call becomes a slot. */
#include "sched/sched.h"

#include "syscall_table.h"
#include <asys/call.h>
#include <stdlib.h>
#include <string.h>

/*
 * What asys_after and its kind said about a thread's next call to a queue. A private queue needs one,
 * its first; a shared one keeps one for each thread that ever said something.
 */
struct next_call {
	struct next_call *link;
	uint64_t thread; /* thread_number; 0: nothing was said */
	uint32_t flags;
	uint32_t count;
	uint64_t deadline;
	uint64_t user;
	bool has_user;
	uint8_t first; /* enum said: what was said first, for messages */
	int error;
	uint32_t room;
	struct after {
		int64_t id;
		enum edge_kind kind;
	} few[8], *after;
};

/* What was said, NULL if nothing. */
static struct next_call *next_find(const struct asys_queue *q)
{
	struct next_call *next = q->next_calls;

	while (next && next->thread != thread_number())
		next = next->link;
	return next;
}

static void next_done(struct asys_queue *q, struct next_call *next)
{
	next->thread = 0;
	q->nnext--;
}

static struct next_call *next_add(struct asys_queue *q, unsigned first)
{
	struct next_call *next = q->next_calls;

	/* A private queue that has come to this thread: what another said about a call that it never sent is
	 * not about this one's. */
	if (next && next->thread && !queue_shared(q))
		next_done(q, next);
	while (next && next->thread)
		next = next->link;
	if (!next) {
		next = calloc(1, sizeof(*next));
		if (!next)
			return NULL;
		next->after = next->few;
		next->room = sizeof(next->few) / sizeof(next->few[0]);
		next->link = q->next_calls;
		q->next_calls = next;
	}
	next->thread = thread_number();
	next->flags = 0;
	next->count = 0;
	next->deadline = 0;
	next->has_user = false;
	next->first = (uint8_t)first;
	next->error = 0;
	q->nnext++;
	return next;
}

void next_calls_free(struct asys_queue *q)
{
	while (q->next_calls) {
		struct next_call *next = q->next_calls;

		q->next_calls = next->link;
		if (next->after != next->few)
			free(next->after);
		free(next);
	}
}

enum said { SAY_AFTER, SAY_AFTER_OK, SAY_AFTER_ERROR, SAY_DEADLINE, SAY_FLAGS, SAY_USER };

static int add_after(struct next_call *next, int64_t id, enum edge_kind kind)
{
	if (next->count == next->room) {
		struct after *more = malloc(2 * next->room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		memcpy(more, next->after, next->count * sizeof(*more));
		if (next->after != next->few)
			free(next->after);
		next->after = more;
		next->room *= 2;
	}
	next->after[next->count++] = (struct after){ id, kind };
	return 0;
}

/* A later priority replaces an earlier one. */
static void add_flags(struct next_call *next, uint32_t flags)
{
	if (flags & (ASYS_CALL_HIGH | ASYS_CALL_LOW))
		next->flags &= ~(ASYS_CALL_HIGH | ASYS_CALL_LOW);
	next->flags |= flags;
}

static void apply(struct next_call *next, enum said what, uint64_t word)
{
	int err = 0;

	switch (what) {
	case SAY_AFTER:
		err = add_after(next, (int64_t)word, EDGE_AFTER);
		break;
	case SAY_AFTER_OK:
		err = add_after(next, (int64_t)word, EDGE_AFTER_OK);
		break;
	case SAY_AFTER_ERROR:
		err = add_after(next, (int64_t)word, EDGE_AFTER_ERROR);
		break;
	case SAY_DEADLINE:
		next->deadline = word ? word : 1;
		break;
	case SAY_FLAGS:
		add_flags(next, (uint32_t)word);
		break;
	case SAY_USER:
		next->user = word;
		next->has_user = true;
		break;
	}
	if (err)
		next->error = err;
}

/* Without memory even for this, the next call of any thread is refused: q->next_error. In a child
 * nothing is said: the call itself will answer. */
static struct asys_queue *say(struct asys_queue *q, enum said what, uint64_t word)
{
	struct next_call *next;

	if (unlikely(!*q->mark))
		return q;
	queue_lock(q);
	next = next_find(q);
	if (!next)
		next = next_add(q, what);
	if (next)
		apply(next, what, word);
	else
		q->next_error = -ENOMEM;
	queue_unlock(q);
	return q;
}

ASYS_API struct asys_queue *asys_after(struct asys_queue *q, asys_id id)
{
	return say(q, SAY_AFTER, (uint64_t)id.value);
}

ASYS_API struct asys_queue *asys_after_ok(struct asys_queue *q, asys_id id)
{
	return say(q, SAY_AFTER_OK, (uint64_t)id.value);
}

ASYS_API struct asys_queue *asys_after_error(struct asys_queue *q, asys_id id)
{
	return say(q, SAY_AFTER_ERROR, (uint64_t)id.value);
}

ASYS_API struct asys_queue *asys_deadline(struct asys_queue *q, uint64_t when_ns)
{
	return say(q, SAY_DEADLINE, when_ns);
}

ASYS_API struct asys_queue *asys_high(struct asys_queue *q)
{
	return say(q, SAY_FLAGS, ASYS_CALL_HIGH);
}

ASYS_API struct asys_queue *asys_low(struct asys_queue *q)
{
	return say(q, SAY_FLAGS, ASYS_CALL_LOW);
}

ASYS_API struct asys_queue *asys_quiet(struct asys_queue *q)
{
	return say(q, SAY_FLAGS, ASYS_CALL_QUIET);
}

/* Most calls have one, and most queues are private: then it needs no record. */
ASYS_API struct asys_queue *asys_user(struct asys_queue *q, uint64_t user)
{
	if (unlikely(!*q->mark || queue_shared(q) || q->nnext))
		return say(q, SAY_USER, user);
	q->user = user;
	q->user_said_by = thread_number();
	return q;
}

/* What another thread said, which had this private queue before, is not about this one's call. */
static inline void apply_user(struct asys_queue *q, struct slot *slot)
{
	if (unlikely(q->user_said_by != thread_number()))
		return;
	*(likely(!slot->chain) ? &slot->call.user : slot_user(slot)) = q->user;
	q->user_said_by = 0;
}

/* Threads are to run it and some live: it need not go through a list. A sleeping one is woken at the
 * next flush. Nothing is renewed here, in the middle of an end: that lets the lock go. */
static bool offer_now(struct asys_queue *q, uint32_t i)
{
	return helpers.live(&q->host) && context_is_present(q) && !may_hang(&slot_at(q, i)->call) &&
	       helpers.offer(&q->host, i, quick_lane(q, slot_at(q, i)));
}

void make_ready(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	enum route route;

	/* A call that ends without running goes through a list too: a long chain of such calls must
	 * not end in a recursion as deep. */
	if (unlikely(slot->doomed)) {
		list_add(q, i, LIST_START);
		return;
	}
	if (unlikely(q->host.fault) && slot->call.nr != CALL_CHAIN) {
		enum fate fate = fault_before(q->host.fault, slot, &slot->result);

		q->host.stats.faults += fate != FATE_RUN;
		slot->doomed = fate == FATE_END;
		if (slot->doomed) {
			list_add(q, i, LIST_START);
			return;
		}
	}
	route = route_call(q, &slot->call);
	if (route == ROUTE_POOL && !slot_late(slot) && offer_now(q, i))
		return;
	list_add(q, i,
		 route_is_quick(route) ? LIST_QUICK :
		 route == ROUTE_HOME   ? LIST_HOME :
					 LIST_START);
}

/* NIL: the queue is full. */
static inline uint32_t take_slot(struct asys_queue *q)
{
	return likely(slots_used(&q->host.pool) - q->nsteps < q->host.limit) ?
		       slot_alloc(&q->host.pool) :
		       NIL;
}

/* Makes room for one more call: sets ended ones aside, else helps until one has ended. */
static uint32_t alloc_helping(struct asys_queue *q, int *ret_err)
{
	struct goal goal = { .ended = UINT32_MAX, .slot = NIL, .when_ns = UINT64_MAX };
	uint32_t i;
	int err = 0;

	if (q->host.flags & ASYS_QUEUE_NONBLOCK) {
		*ret_err = fail(-EAGAIN,
				"the queue is full: %u calls are in flight or have events to be "
				"got: get events, then send again",
				q->host.limit);
		return NIL;
	}
	while ((i = take_slot(q)) == NIL) {
		if (q->ended.head != NIL) {
			if (!events_keep(q)) {
				*ret_err = fail(-ENOMEM,
						"the queue is full, and there is no memory to keep "
						"events aside: get events, then send again");
				return NIL;
			}
			continue;
		}
		if (err == -ENODATA) {
			*ret_err = fail(-EAGAIN,
					"the queue is full of %u calls that wait for what cannot "
					"end: cancel some, or open it with a larger depth",
					q->host.limit);
			return NIL;
		}
		goal.inflight = q->inflight - 1;
		err = drive(q, &goal);
	}
	return i;
}

static int no_memory_for_next(void)
{
	return fail(-ENOMEM,
		    "no memory for what asys_after or another modifier said about the call: "
		    "it was not sent");
}

static int wait_for(struct asys_queue *q, uint32_t i, int64_t id, enum edge_kind kind)
{
	return edge_add(&q->edges, &q->host.pool, &q->backlog, i, id, kind);
}

/* Applies what was said about the next call, and resolves its references. */
static int add_dependencies(struct asys_queue *q, uint32_t i, struct next_call *next)
{
	struct slot *slot = slot_at(q, i);
	int err = 0;

	for (unsigned k = 0; k < 6 && !err; k++)
		if (slot->call.flags & ASYS_CALL_REF(k))
			err = wait_for(q, i, (int64_t)slot->call.arg[k],
				       (enum edge_kind)(EDGE_ARG0 + k));
	if (!next || err)
		return err;
	for (uint32_t k = 0; k < next->count && !err; k++)
		err = wait_for(q, i, next->after[k].id, next->after[k].kind);
	return err ? err : next->error ? no_memory_for_next() : 0;
}

static void apply_next(struct slot *slot, const struct next_call *next)
{
	if (next->flags & (ASYS_CALL_HIGH | ASYS_CALL_LOW))
		slot->call.flags &= ~(ASYS_CALL_HIGH | ASYS_CALL_LOW);
	slot->call.flags |= next->flags;
	if (next->has_user)
		*slot_user(slot) = next->user;
	slot->deadline = next->deadline;
}

static asys_id refuse(struct asys_queue *q, uint32_t i, int err)
{
	edges_forget(&q->edges, &q->host.pool, i);
	slot_freed(q, i);
	return (asys_id){ fail_sending(err) };
}

/* Sending with dependencies, deadline or other modifiers. */
static asys_id send_modified(struct asys_queue *q, uint32_t i, struct next_call *next)
{
	struct slot *slot = slot_at(q, i);
	int err;

	slot_to(slot, SLOT_WAITING);
	if (next)
		apply_next(slot, next);
	err = q->next_error ? no_memory_for_next() : add_dependencies(q, i, next);
	q->next_error = 0;
	if (next)
		next_done(q, next);
	if (!err && slot->deadline)
		err = timer_add(q, i);
	if (err)
		return refuse(q, i, err);
	q->inflight++;
	q->host.stats.sent++;
	if (slot->pending)
		q->nwaiting++;
	else
		make_ready(q, i);
	return (asys_id){ slot->id };
}

/* What is wrong with a call; 0: nothing. */
static int call_error(const struct asys_queue *q, uint32_t nr, uint32_t flags)
{
	if (flags & ~ASYS_CALL_KNOWN)
		return fail(-EINVAL, "call %u has flags 0x%x that mean nothing: known are 0x%x", nr,
			    flags, ASYS_CALL_KNOWN);
	if ((flags & ASYS_CALL_HIGH) && (flags & ASYS_CALL_LOW))
		return fail(-EINVAL, "call %u has both high and low priority", nr);
	if (nr > UINT16_MAX)
		return fail(-ENOSYS, "%u is no system call number: the largest possible is %u", nr,
			    UINT16_MAX);
	if (nr < CALL_NUMBERS && q->host.route[nr] == ROUTE_NEVER) {
		const struct asys_syscall_info *info = asys_syscall_info(nr);

		return fail(-EOPNOTSUPP, "%s cannot be queued: %s", info->name, info->reason);
	}
	return 0;
}

inline uint32_t slot_new(struct asys_queue *q, int *ret_err)
{
	uint32_t i;

	if (unlikely(q->host.flags & ASYS_QUEUE_DRIVER)) {
		context_follow(q); /* the driver may run the call: with this thread's rights */
		driver_needed(q);
	}
	i = take_slot(q);
	return likely(i != NIL) ? i : alloc_helping(q, ret_err);
}

/* It may have to be run by its sender and nobody else: what is of class home, or a chain with such steps. */
static inline bool needs_owner(const struct asys_queue *q, uint32_t nr)
{
	return nr >= CALL_NUMBERS || q->host.route[nr] == ROUTE_HOME ||
	       q->host.route[nr] == ROUTE_BY_CALL;
}

/* What was said first, by its name. */
static const char *said_name(const struct next_call *next)
{
	static const char *const names[] = {
		"asys_after", "asys_after_ok", "asys_after_error", "asys_deadline",
		NULL,	      "asys_user"
	};

	if (next->first != SAY_FLAGS)
		return names[next->first];
	return next->flags & ASYS_CALL_HIGH ? "asys_high" :
	       next->flags & ASYS_CALL_LOW  ? "asys_low" :
					      "asys_quiet";
}

int said_in_vain(struct asys_queue *q, const char *function)
{
	const char *name = "asys_user";
	struct next_call *next = q->nnext ? next_find(q) : NULL;

	if (next) {
		name = said_name(next);
		next_done(q, next);
	} else if (q->user_said_by != thread_number()) {
		return 0; /* another thread's, which may still send its call */
	}
	q->user_said_by = 0;
	return fail(
		-EINVAL,
		"%s: %s was said about a next call, and none was sent: say it where the call is "
		"sent, as in asys_read(asys_deadline(queue, when), ...)",
		function, name);
}

asys_id not_sent(struct asys_queue *q, int err)
{
	struct next_call *next = q->nnext ? next_find(q) : NULL;

	if (next)
		next_done(q, next);
	q->user_said_by = 0;
	return (asys_id){ fail_sending(err) };
}

inline asys_id slot_sent(struct asys_queue *q, uint32_t i)
{
	struct slot *slot = slot_at(q, i);
	asys_id id = { slot->id };

	if (unlikely(queue_shared(q) || needs_owner(q, slot->call.nr)))
		slot->owner = thread_number();
	if (q->user_said_by)
		apply_user(q, slot);
	if (unlikely(q->nnext || q->next_error || (slot->call.flags & ASYS_CALL_REFS))) {
		id = send_modified(q, i, q->nnext ? next_find(q) : NULL);
	} else {
		q->inflight++;
		q->host.stats.sent++;
		make_ready(q, i);
	}
	if (unlikely(q->host.flags & ASYS_QUEUE_DRIVER) && poke_sleeper(q))
		q->host.stats.wakeups++;
	return id;
}

/* 0, or why the call cannot be queued. */
static inline int check(struct asys_queue *q, uint32_t nr, uint32_t flags)
{
	if (likely(nr < CALL_NUMBERS && q->host.route[nr] != ROUTE_NEVER &&
		   !(flags & ~(ASYS_CALL_REFS | ASYS_CALL_QUIET))))
		return 0;
	return call_error(q, nr, flags);
}

/* Words travel in registers: copied from memory that was just written in words, a wider copy would
 * wait for these stores. */
ASYS_API asys_id asys_send_(struct asys_queue *q, uint64_t head, uint64_t a0, uint64_t a1,
			    uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	uint32_t nr = (uint32_t)head, flags = (uint32_t)(head >> 32), i = NIL;
	asys_id id = { 0 };
	int err = queue_enter(q);

	if (unlikely(err))
		return (asys_id){ fail_sending(err) };
	err = check(q, nr, flags);
	if (likely(!err))
		i = slot_new(q, &err);
	if (likely(i != NIL)) {
		struct asys_call *call = &slot_at(q, i)->call;

		call->nr = nr;
		call->flags = flags;
		call->user = 0;
		call->arg[0] = a0;
		call->arg[1] = a1;
		call->arg[2] = a2;
		call->arg[3] = a3;
		call->arg[4] = a4;
		call->arg[5] = a5;
		id = slot_sent(q, i);
	} else {
		id = not_sent(q, err);
	}
	queue_leave(q);
	return id;
}

ASYS_API asys_id asys_send(struct asys_queue *q, const struct asys_call *call)
{
	asys_id id = { 0 };
	uint32_t i = NIL;
	int err = queue_enter(q);

	if (unlikely(err))
		return (asys_id){ fail_sending(err) };
	err = check(q, call->nr, call->flags);
	if (likely(!err))
		i = slot_new(q, &err);
	if (likely(i != NIL)) {
		slot_at(q, i)->call = *call;
		id = slot_sent(q, i);
	} else {
		id = not_sent(q, err);
	}
	queue_leave(q);
	return id;
}
