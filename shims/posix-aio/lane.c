/* SPDX-License-Identifier: MIT */
/*
 * Lanes: operations that are run by the thread that waits for them.
 *
 * A lane rests (`direct` is false, its thread's operations go to the back) until somebody has waited
 * `wanted` times; it rests again when the reaper found operations that nobody had come for, and each
 * time `wanted` doubles. A descriptor rests for itself when its operations were slow, for a number of
 * operations that doubles too: those go to the back, whose queue has engines for what waits for a device,
 * but for one that is tried.
 */
#include "inside.h"

#include "../common/stats.h"
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LANE_DEPTH 512u
#define WANTED_MOST 4096u
#define REST_LEAST 32u
#define REST_MOST 4096u
#define SLOW_NS 20000u /* as in asys: longer than a hand-over to another core */
#define STAY_NS 16000u /* at most so long in a queue without looking up */
#define RUN_MOST 32u

static _Atomic uint32_t threads_seen;

struct lane *lane_mine(struct state *s)
{
	static _Thread_local uint32_t number __attribute__((tls_model("initial-exec")));

	if (unlikely(!number))
		number = 1 + atomic_fetch_add(&threads_seen, 1) % LANES;
	return &s->lanes[number - 1];
}

uint32_t lane_number(const struct state *s, const struct lane *lane)
{
	return (uint32_t)(lane - s->lanes);
}

bool lane_lock(struct lane *lane)
{
	return !atomic_load_explicit(&lane->locked, memory_order_relaxed) &&
	       !atomic_exchange(&lane->locked, true);
}

/* Who found it locked sleeps until something happens: this is something. Sequentially consistent, as is
 * counting oneself as a sleeper: one of the two sees the other. */
void lane_unlock(struct state *s, struct lane *lane)
{
	atomic_store(&lane->locked, false);
	if (unlikely(atomic_load(&s->sleepers)))
		wake_sleepers(s);
}

bool lane_open(struct lane *lane)
{
	struct asys_queue_options options;
	sigset_t old;
	bool ok = true;

	if (likely(atomic_load_explicit(&lane->ready, memory_order_acquire)))
		return true;
	asys_queue_options_init(&options);
	options.depth = LANE_DEPTH;
	options.engine = ASYS_ENGINE_INLINE;
	options.flags = ASYS_QUEUE_NONBLOCK;
	options.cores = 1;
	signals_block(&old);
	if (!lane_lock(lane)) {
		ok = false;
	} else {
		if (!lane->queue && asys_queue_open(&lane->queue, &options) < 0)
			ok = false;
		else if (!atomic_load(&lane->ready))
			shim_queue_opened(lane->queue);
		atomic_store_explicit(&lane->ready, ok, memory_order_release);
		atomic_store(&lane->locked, false);
	}
	signals_restore(&old);
	return ok;
}

void lane_push(struct state *s, struct lane *lane, struct op *op)
{
	atomic_fetch_add_explicit(&lane->pending, 1, memory_order_relaxed);
	inbox_push(s, &lane->inbox, op);
	if (unlikely(!atomic_load(&s->back.ticking)))
		back_tick(s);
}

static bool lane_send(struct state *s, struct lane *lane, struct op *op)
{
	struct asys_call call = { .nr = op->kind == OP_READ ? SYS_pread64 : SYS_pwrite64,
				  .flags = op->low ? ASYS_CALL_LOW : 0,
				  .user = op_index(s, op),
				  .arg = { (uint64_t)(int64_t)op->fd, (uintptr_t)op->buffer,
					   op->count, (uint64_t)op->offset } };

	op->id = asys_send(lane->queue, &call);
	if (op->id.value < 0)
		return false;
	op->state = OP_SENT;
	lane->sent++;
	return true;
}

/* From the inbox, through `todo`, into the queue. */
static void lane_fill(struct state *s, struct lane *lane)
{
	uint32_t i = inbox_take(s, &lane->inbox);

	if (i != NONE) {
		if (lane->todo == NONE)
			lane->todo = i;
		else
			atomic_store_explicit(&s->ops[lane->todo_end].next, i,
					      memory_order_relaxed);
		for (; i != NONE; i = atomic_load_explicit(&s->ops[i].next, memory_order_relaxed))
			lane->todo_end = i;
	}
	while (lane->todo != NONE && lane->sent < LANE_DEPTH) {
		struct op *op = &s->ops[lane->todo];

		/* The queue has the op from here on, and may not take it: then it stays. */
		i = atomic_load_explicit(&op->next, memory_order_relaxed);
		if (!lane_send(s, lane, op))
			break;
		lane->todo = i;
	}
}

static void descriptor_rests(struct file *file)
{
	uint32_t pause = atomic_load_explicit(&file->pause, memory_order_relaxed);

	pause = pause ? pause * 2 < REST_MOST ? pause * 2 : REST_MOST : REST_LEAST;
	atomic_store_explicit(&file->pause, pause, memory_order_relaxed);
	atomic_store_explicit(&file->rest, pause, memory_order_relaxed);
}

/* A regular file without offsets: read and write may wait for ever, which is nothing for a lane. */
static void hand_over(struct state *s, struct file *file, struct op *op)
{
	op->file = FILE_OTHER;
	op->as_stream = op->ordered = true;
	op->state = OP_PUSHED;
	atomic_store(&op->at, AT_BACK);
	atomic_fetch_add_explicit(&file->in_back, 1, memory_order_relaxed);
	back_push(s, op, false);
}

/*
 * A write beyond the limit of a file's size raises SIGXFSZ in the thread that makes it. With glibc that is
 * one of the library's, which blocks it; here it may be the program's, which would die of it. All
 * signals are blocked here, so it is still pending.
 */
static void take_size_signal(void)
{
	const uint64_t set = 1ull << (SIGXFSZ - 1);
	const struct timespec none = { 0, 0 };

	shim_count_made(1);
	syscall(SYS_rt_sigtimedwait, &set, NULL, &none, sizeof(set));
}

static void lane_end(struct state *s, struct lane *lane, struct op *op, int64_t result, bool slow)
{
	struct file *file = file_of(s, op->fd);

	if (unlikely(result == -EFBIG && op->kind == OP_WRITE))
		take_size_signal();
	if (slow)
		descriptor_rests(file);
	else if (atomic_load_explicit(&file->pause, memory_order_relaxed))
		atomic_store_explicit(&file->pause, 0, memory_order_relaxed);
	if (unlikely(result == -ESPIPE && !op->cancelled)) {
		hand_over(s, file, op);
	} else {
		finish_publish(op, result);
		finish_free(s, op);
	}
	atomic_fetch_sub_explicit(&lane->pending, 1, memory_order_relaxed);
	if (atomic_fetch_sub(&file->in_lanes, 1) == 1 && unlikely(atomic_load(&file->syncs)))
		back_ring(s);
}

/* How many fit into the time that a waiter stays. */
static unsigned lane_portion(const struct lane *lane)
{
	uint32_t n = lane->cost_ns ? STAY_NS / lane->cost_ns : 4;

	return n < 1 ? 1 : n < RUN_MOST ? n : RUN_MOST;
}

unsigned lane_run(struct state *s, struct lane *lane)
{
	struct asys_event events[RUN_MOST];
	uint64_t begin;
	uint32_t each;
	int n, want;

	atomic_fetch_add_explicit(&lane->visits, 1, memory_order_relaxed);
	if (!lane->queue)
		return 0;
	lane_fill(s, lane);
	if (!lane->sent)
		return 0;
	want = (int)lane_portion(lane);
	begin = asys_now();
	n = asys_queue_get_many(lane->queue, events, RUN_MOST, (unsigned)want, ASYS_FOREVER);
	if (n <= 0)
		return 0;
	each = (uint32_t)((asys_now() - begin) / (unsigned)n);
	lane->cost_ns = lane->cost_ns ? lane->cost_ns - lane->cost_ns / 4 + each / 4 : each;
	for (int k = 0; k < n; k++) {
		struct op *op = &s->ops[events[k].user];

		lane->sent--;
		if (unlikely(events[k].result == -EINTR && !op->cancelled) &&
		    lane_send(s, lane, op))
			continue;
		lane_end(s, lane, op, events[k].result, each > SLOW_NS);
	}
	return (unsigned)n;
}

/* Not in the queue: out of the list. */
static bool todo_remove(struct state *s, struct lane *lane, struct op *op)
{
	uint32_t i = op_index(s, op), k, before = NONE;

	for (k = lane->todo; k != NONE && k != i; k = atomic_load(&s->ops[k].next))
		before = k;
	if (k == NONE)
		return false;
	if (before == NONE)
		lane->todo = atomic_load(&op->next);
	else
		atomic_store(&s->ops[before].next, atomic_load(&op->next));
	if (lane->todo_end == i)
		lane->todo_end = before;
	return true;
}

bool lane_cancel(struct state *s, struct lane *lane, struct op *op, int64_t *ret_result)
{
	struct asys_event event = { .result = -ECANCELED };

	if (!lane->queue)
		return false;
	lane_fill(s, lane);
	op->cancelled = true;
	if (op->state == OP_SENT) {
		asys_queue_cancel(lane->queue, op->id);
		if (asys_queue_wait(lane->queue, op->id, &event))
			return false;
		lane->sent--;
	} else if (!todo_remove(s, lane, op)) {
		return false;
	}
	*ret_result = event.result;
	lane_end(s, lane, op, event.result, false);
	return true;
}

void lane_waited(struct state *s, struct lane *lane)
{
	uint32_t waits;

	if (likely(atomic_load_explicit(&lane->direct, memory_order_relaxed)))
		return;
	waits = atomic_fetch_add_explicit(&lane->waits, 1, memory_order_relaxed) + 1;
	if (waits < atomic_load_explicit(&lane->wanted, memory_order_relaxed))
		return;
	atomic_store_explicit(&lane->direct, true, memory_order_relaxed);
	back_tick(s);
}

void lane_rests(struct lane *lane)
{
	uint32_t wanted = atomic_load_explicit(&lane->wanted, memory_order_relaxed);

	if (!atomic_load_explicit(&lane->direct, memory_order_relaxed))
		return;
	atomic_store_explicit(&lane->direct, false, memory_order_relaxed);
	atomic_store_explicit(&lane->waits, 0, memory_order_relaxed);
	atomic_store_explicit(&lane->wanted, wanted * 2 < WANTED_MOST ? wanted * 2 : WANTED_MOST,
			      memory_order_relaxed);
}

/* Its thread came: what it did before counts less and less. */
static void lane_pleases(struct lane *lane)
{
	uint32_t wanted = atomic_load_explicit(&lane->wanted, memory_order_relaxed);

	atomic_store_explicit(&lane->wanted, wanted - wanted / 8, memory_order_relaxed);
}

static void lane_clear(struct state *s, struct lane *lane)
{
	while (atomic_load_explicit(&lane->pending, memory_order_relaxed) && lane_run(s, lane))
		;
}

bool lanes_look(struct state *s, bool all)
{
	bool used = false;

	for (unsigned i = 0; i < LANES; i++) {
		struct lane *lane = &s->lanes[i];
		uint32_t visits = atomic_load_explicit(&lane->visits, memory_order_relaxed);
		bool left = atomic_load_explicit(&lane->pending, memory_order_relaxed) &&
			    visits == lane->seen;

		if (!all && visits != lane->seen)
			lane_pleases(lane);
		used |= left || visits != lane->seen;
		if (!all)
			lane->seen = visits;
		if (!(left || all) || !lane_lock(lane))
			continue;
		if (left && !all)
			lane_rests(lane);
		lane_clear(s, lane);
		if (!all)
			lane->seen = atomic_load_explicit(&lane->visits, memory_order_relaxed);
		lane_unlock(s, lane);
	}
	return used;
}
