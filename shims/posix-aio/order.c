/* SPDX-License-Identifier: MIT */
/*
 * What the back starts when. The reaper's only.
 *
 * Operations of one descriptor are linked in the order of submission. One is held while
 *   - it is ordered (a stream, O_APPEND) and one before it in its direction has not ended;
 *   - it is an fsync and not the first, or operations of its descriptor are still in lanes.
 * Everything else starts at once.
 */
#include "inside.h"

#include <sys/syscall.h>

static uint32_t call_number(const struct op *op)
{
	switch ((enum op_kind)op->kind) {
	case OP_READ:
		return op->as_stream ? SYS_read : SYS_pread64;
	case OP_WRITE:
		return op->as_stream ? SYS_write : SYS_pwrite64;
	case OP_FDATASYNC:
		return SYS_fdatasync;
	default:
		return SYS_fsync;
	}
}

/* 0, or why not. */
static int send_op(struct state *s, struct op *op)
{
	struct asys_call call = { .nr = call_number(op),
				  .flags = op->low ? ASYS_CALL_LOW : 0,
				  .user = op_index(s, op),
				  .arg = { (uint64_t)(int64_t)op->fd } };

	if (op->kind == OP_READ || op->kind == OP_WRITE) {
		call.arg[1] = (uintptr_t)op->buffer;
		call.arg[2] = op->count;
		call.arg[3] = op->as_stream ? 0 : (uint64_t)op->offset;
	}
	op->id = asys_send(s->back.queue, &call);
	return asys_error(op->id);
}

static bool is_sync(const struct op *op)
{
	return op->kind == OP_FSYNC || op->kind == OP_FDATASYNC;
}

static unsigned direction(const struct op *op)
{
	return op->kind == OP_WRITE;
}

/* Index of file.held. */
static unsigned held_as(const struct op *op)
{
	return is_sync(op) ? 2 : direction(op);
}

static void link_op(struct state *s, struct file *file, struct op *op)
{
	uint32_t i = op_index(s, op);

	if (!file->used)
		file->first = file->last = NONE;
	file->used = true;
	op->before = file->last;
	op->after = NONE;
	if (file->last == NONE)
		file->first = i;
	else
		s->ops[file->last].after = i;
	file->last = i;
}

static void unlink_op(struct state *s, struct file *file, struct op *op)
{
	if (op->before == NONE)
		file->first = op->after;
	else
		s->ops[op->before].after = op->after;
	if (op->after == NONE)
		file->last = op->before;
	else
		s->ops[op->after].before = op->before;
}

static void hold(struct state *s, struct file *file, struct op *op)
{
	op->state = OP_HELD;
	file->held[held_as(op)]++;
	if (!is_sync(op))
		return;
	atomic_store_explicit(&op->next, s->back.syncs, memory_order_relaxed);
	s->back.syncs = op_index(s, op);
}

/* No longer held. */
static void let_go(struct state *s, struct file *file, struct op *op)
{
	uint32_t i = op_index(s, op), k = s->back.syncs;

	file->held[held_as(op)]--;
	if (!is_sync(op))
		return;
	if (k == i) {
		s->back.syncs = atomic_load(&op->next);
		return;
	}
	while (atomic_load(&s->ops[k].next) != i)
		k = atomic_load(&s->ops[k].next);
	atomic_store(&s->ops[k].next, atomic_load(&op->next));
}

static bool may_start(const struct state *s, struct file *file, const struct op *op)
{
	if (is_sync(op))
		return file->first == op_index(s, op) && !atomic_load(&file->in_lanes);
	return !op->ordered || !file->busy[direction(op)];
}

/* Somebody waits to see it cancelled, unless the ticket was withdrawn meanwhile. */
static void count_for_ticket(struct state *s, struct op *op, int64_t result)
{
	struct ticket *ticket;

	pthread_mutex_lock(&s->back.lock);
	ticket = atomic_load(&op->ticket);
	if (ticket) {
		ticket->left--;
		ticket->soon -= op->file != FILE_DISK;
		ticket->cancelled += result == -ECANCELED;
		ticket->done += result != -ECANCELED;
	}
	pthread_mutex_unlock(&s->back.lock);
}

/* Out of its descriptor's list, and ended. */
static void end_op(struct state *s, struct file *file, struct op *op, int64_t result)
{
	unlink_op(s, file, op);
	if (is_sync(op))
		atomic_fetch_sub(&file->syncs, 1);
	atomic_fetch_sub_explicit(&file->in_back, 1, memory_order_relaxed);
	s->back.news = true;
	finish_publish(op, result);
	if (unlikely(atomic_load_explicit(&op->ticket, memory_order_relaxed)))
		count_for_ticket(s, op, result);
	finish_free(s, op);
}

/* False: it has ended instead. */
static bool start(struct state *s, struct file *file, struct op *op)
{
	int err = send_op(s, op);

	if (unlikely(err)) {
		end_op(s, file, op, -EAGAIN);
		return false;
	}
	op->state = OP_SENT;
	if (op->ordered)
		file->busy[direction(op)] = true;
	else if (!is_sync(op))
		atomic_fetch_add_explicit(&s->back.busy, 1, memory_order_relaxed);
	return true;
}

/* Something is held and no longer has to be. */
static bool some_may_start(const struct state *s, struct file *file)
{
	const struct op *first = &s->ops[file->first];

	return (file->held[0] && !file->busy[0]) || (file->held[1] && !file->busy[1]) ||
	       (file->held[2] && first->state == OP_HELD && may_start(s, file, first));
}

/* One of the descriptor's operations has ended: what was held for it may start. */
static void advance(struct state *s, struct file *file)
{
	uint32_t i = file->first, after;

	for (; i != NONE && some_may_start(s, file); i = after) {
		struct op *op = &s->ops[i];

		after = op->after;
		if (op->state != OP_HELD || !may_start(s, file, op))
			continue;
		let_go(s, file, op);
		start(s, file, op);
	}
}

void order_begin(struct state *s, struct op *op)
{
	struct file *file = file_of(s, op->fd);

	link_op(s, file, op);
	if (unlikely(op->kind == OP_WRONG))
		end_op(s, file, op, -EINVAL);
	else if (may_start(s, file, op))
		start(s, file, op);
	else
		hold(s, file, op);
}

void order_end(struct state *s, const struct asys_event *event)
{
	struct op *op = &s->ops[event->user];
	struct file *file = file_of(s, op->fd);

	/* It is made again: unchanged after EINTR, without an offset after ESPIPE. */
	if (event->result == -EINTR && !op->cancelled && !send_op(s, op))
		return;
	if (event->result == -ESPIPE && !op->as_stream && !is_sync(op)) {
		op->as_stream = true;
		if (!op->cancelled && !send_op(s, op))
			return;
	}
	if (op->ordered)
		file->busy[direction(op)] = false;
	else if (!is_sync(op))
		atomic_fetch_sub_explicit(&s->back.busy, 1, memory_order_relaxed);
	end_op(s, file, op, event->result);
	advance(s, file);
}

/* Asks for its end, which may come at once. */
static void cancel_op(struct state *s, struct file *file, struct op *op)
{
	op->cancelled = true;
	if (op->state != OP_HELD) {
		asys_queue_cancel(s->back.queue, op->id);
		return;
	}
	let_go(s, file, op);
	end_op(s, file, op, -ECANCELED);
	advance(s, file);
}

static bool is_meant(const struct ticket *ticket, struct op *op)
{
	return op->fd == ticket->fd && !op->cancelled &&
	       (!ticket->cb || ticket->cb == atomic_load_explicit(&op->cb, memory_order_relaxed));
}

/* A part of what it writes may have reached the other side: it is written to its end, as with glibc. */
static bool must_go_on(const struct op *op)
{
	return op->state == OP_SENT && op->kind == OP_WRITE && op->file != FILE_DISK;
}

bool order_see(struct state *s)
{
	bool any = false;

	if (likely(!atomic_load(&s->back.requests)))
		return false;
	pthread_mutex_lock(&s->back.lock);
	for (struct ticket *ticket = s->back.tickets; ticket; ticket = ticket->next) {
		any |= !ticket->seen;
		ticket->seen = true;
	}
	pthread_mutex_unlock(&s->back.lock);
	return any;
}

/* The operations of a ticket that was not looked at so far have its address then. NULL: there is none.
 * After this it may be withdrawn at any time. */
static struct ticket *ticket_accept(struct state *s, struct file **ret_file)
{
	struct ticket *ticket;
	struct file *file = NULL;

	pthread_mutex_lock(&s->back.lock);
	for (ticket = s->back.tickets; ticket && (ticket->asked || !ticket->seen);
	     ticket = ticket->next)
		;
	if (ticket) {
		ticket->asked = true;
		atomic_fetch_sub(&s->back.requests, 1);
		file = file_of(s, ticket->fd);
	}
	for (uint32_t i = file && file->used ? file->first : NONE; i != NONE; i = s->ops[i].after) {
		if (!is_meant(ticket, &s->ops[i]))
			continue;
		if (must_go_on(&s->ops[i])) {
			ticket->going_on++;
			continue;
		}
		atomic_store_explicit(&s->ops[i].ticket, ticket, memory_order_relaxed);
		ticket->left++;
		ticket->soon += s->ops[i].file != FILE_DISK;
	}
	pthread_mutex_unlock(&s->back.lock);
	*ret_file = file;
	return ticket;
}

/* From the last to the first, so that what is held is not started before it is reached. */
void order_cancel(struct state *s)
{
	struct ticket *ticket;
	struct file *file;
	uint32_t i, before;

	while ((ticket = ticket_accept(s, &file))) {
		for (i = file && file->used ? file->last : NONE; i != NONE; i = before) {
			before = s->ops[i].before;
			if (atomic_load(&s->ops[i].ticket) == ticket)
				cancel_op(s, file, &s->ops[i]);
		}
		s->back.news = true; /* the canceller hears at least that it was asked */
	}
}

/* Starts fsyncs that waited for lanes. True: some still do. */
bool order_syncs(struct state *s)
{
	uint32_t i = s->back.syncs, next;
	bool wait = false;

	for (; i != NONE; i = next) {
		struct op *op = &s->ops[i];
		struct file *file = file_of(s, op->fd);

		next = atomic_load_explicit(&op->next, memory_order_relaxed);
		if (may_start(s, file, op)) {
			let_go(s, file, op);
			start(s, file, op);
		} else {
			wait |= atomic_load(&file->in_lanes) != 0;
		}
	}
	return wait;
}
