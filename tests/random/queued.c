/* SPDX-License-Identifier: MIT */
/* The run through a queue. */
#include "queued.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define USER_MARK UINT64_C(0xca11)

struct queued_now now;

/* ---- sending -------------------------------------------------------------------------------- */

static uint64_t user_of(unsigned i)
{
	return USER_MARK << 48 | (now.number & 0xffffffff) << 8 | i;
}

static void link_to(const struct link *link)
{
	const asys_id id = now.id[link->op];

	if (link->kind == L_AFTER)
		asys_after(now.queue, id);
	else if (link->kind == L_AFTER_OK)
		asys_after_ok(now.queue, id);
	else
		asys_after_error(now.queue, id);
}

static void end_without_event(unsigned i, int64_t result)
{
	now.run->result[i] = result;
	now.run->events[i] = 1;
	now.ended[i] = true;
	if (!now.program->op[i].quiet)
		now.left--;
}

static void send_op(unsigned i)
{
	const struct op *op = &now.program->op[i];
	struct asys_call call = { .nr = op->nr, .user = user_of(i) };
	int64_t result;

	now.sent[i] = true;
	if (now.program->stepped && op_decided(now.program, now.run, i, &result)) {
		end_without_event(i, result);
		return;
	}
	op_words(now.program, now.run, i, -1, call.arg);
	for (unsigned k = 0; k < op->args && !now.program->stepped; k++)
		if (op->arg[k].kind == A_RESULT) {
			call.flags |= ASYS_CALL_REF(k);
			call.arg[k] = (uint64_t)now.id[op->arg[k].value].value;
		}
	if (op->quiet)
		call.flags |= ASYS_CALL_QUIET;
	if (op->priority)
		call.flags |= op->priority > 0 ? ASYS_CALL_HIGH : ASYS_CALL_LOW;
	for (unsigned k = 0; k < op->links && !now.program->stepped; k++)
		if (!now.program->op[op->link[k].op].dropped)
			link_to(&op->link[k]);
	if (op->deadline_us)
		asys_deadline(now.queue, now.began + op->deadline_us * UINT64_C(1000));
	now.sent_at[i] = asys_now();
	now.id[i] = asys_send(now.queue, &call);
	now.unflushed = true;
	if (now.id[i].value < 0)
		end_without_event(i, now.id[i].value);
}

/* All that it depends on has ended. */
static bool can_be_sent(unsigned i)
{
	const struct op *op = &now.program->op[i];

	if (now.sent[i] || op->dropped)
		return false;
	for (unsigned k = 0; k < op->links; k++)
		if (!now.ended[op->link[k].op] && !now.program->op[op->link[k].op].dropped)
			return false;
	for (unsigned k = 0; k < op->args; k++)
		if (op->arg[k].kind == A_RESULT && !now.ended[op->arg[k].value])
			return false;
	return true;
}

static void send_more(void)
{
	bool again = true;

	while (again) {
		again = false;
		for (unsigned k = 0; k < now.program->ops; k++) {
			const unsigned i = now.program->order[k];

			if (!can_be_sent(i))
				continue;
			send_op(i);
			again = true;
		}
	}
}

/* The neighbour that always has something to say. */
static void send_busy(void)
{
	static char byte[64];
	static struct pollfd poll_fd = { .fd = FD_BUSY, .events = POLLIN };
	struct asys_call call = { .nr = SYS_read, .user = USER_BUSY };

	call.arg[0] = FD_BUSY;
	call.arg[1] = (uint64_t)(uintptr_t)byte;
	call.arg[2] = sizeof(byte);
	if (now.program->busy_kind == 1) {
		call.nr = SYS_poll;
		call.arg[0] = (uint64_t)(uintptr_t)&poll_fd;
		call.arg[1] = 1;
		call.arg[2] = (uint64_t)-1;
	} else if (now.program->busy_kind == 2) {
		call.nr = SYS_recvfrom;
		call.arg[2] = 1;
		call.arg[3] = MSG_PEEK;
	}
	now.busy_id = asys_send(now.queue, &call);
	now.unflushed = true;
}

static void busy_begin(void)
{
	const uint64_t much = UINT64_C(1) << 40;
	int fd[2];

	if (!now.program->busy)
		return;
	if (now.program->busy_kind == 2) {
		if (!socketpair(AF_UNIX, SOCK_STREAM, 0, fd) && write(fd[1], "x", 1) == 1) {
			dup2(fd[0], FD_BUSY);
			dup2(fd[1], FD_BUSY + 1);
			close(fd[0]);
			close(fd[1]);
		}
	} else {
		fd[0] = eventfd(0, EFD_SEMAPHORE);
		(void)!write(fd[0], &much, sizeof(much));
		dup2(fd[0], FD_BUSY);
		close(fd[0]);
	}
	send_busy();
}

/* ---- events --------------------------------------------------------------------------------- */

static void check_time(unsigned i, int64_t result)
{
	const struct op *op = &now.program->op[i];
	const bool ran = result == 0 || result == -EAGAIN || result == -ETIMEDOUT;

	if (op->least_us && ran && asys_now() - now.sent_at[i] < op->least_us * UINT64_C(1000))
		now.run->early[i] = true;
}

void queued_take(const struct asys_event *event)
{
	const unsigned i = (unsigned)(event->user & 0xff);

	if (event->user == USER_BUSY) {
		now.run->busy_events++;
		now.busy_id.value = 0;
		if (now.left && !guard_late())
			send_busy();
		return;
	}
	if (i >= now.program->ops || event->user != user_of(i) || !now.sent[i]) {
		snprintf(now.run->why, sizeof(now.run->why), "an event that is nobody's: %llx",
			 (unsigned long long)event->user);
		return;
	}
	if (event->id.value != now.id[i].value && now.id[i].value)
		snprintf(now.run->why, sizeof(now.run->why), "call %u: another id in its event", i);
	now.run->result[i] = event->result;
	now.run->events[i]++;
	check_time(i, event->result);
	if (!now.ended[i] && !now.program->op[i].quiet)
		now.left--;
	now.ended[i] = true;
	if (now.program->stepped && !guard_late())
		send_more();
}

/* ---- the run -------------------------------------------------------------------------------- */

static void begin(struct asys_queue *queue, const struct way *way, const struct program *program,
		  struct run *run)
{
	static uint64_t number;

	memset(&now, 0, sizeof(now));
	now.queue = queue;
	now.way = way;
	now.program = program;
	now.run = run;
	now.number = ++number;
	memset(run->events, 0, sizeof(run->events));
	memset(run->late, 0, sizeof(run->late));
	memset(run->early, 0, sizeof(run->early));
	run->why[0] = '\0';
	run->busy_events = 0;
	for (unsigned i = 0; i < program->ops; i++) {
		run->result[i] = -EINPROGRESS;
		if (!program->op[i].dropped && !program->op[i].quiet)
			now.left++;
	}
}

static void cancel_some(void)
{
	bool flushed = false;

	for (unsigned i = 0; i < now.program->ops; i++) {
		const struct op *op = &now.program->op[i];

		if (!op->cancel || op->dropped || now.id[i].value <= 0)
			continue;
		if (!flushed) {
			asys_queue_flush(now.queue);
			for (const uint64_t until =
				     asys_now() + now.program->cancel_us * UINT64_C(1000);
			     asys_now() < until;)
				;
		}
		flushed = true;
		asys_queue_cancel(now.queue, now.id[i]);
	}
}

/* It took too long: says what did not end, and tries to leave nothing behind. */
static void give_up(void)
{
	struct asys_event event;

	for (unsigned i = 0; i < now.program->ops; i++)
		if (!now.program->op[i].dropped && !now.ended[i] &&
		    (!now.program->op[i].quiet || now.quiet_late))
			now.run->late[i] = true;
	asys_queue_cancel_all(now.queue);
	for (unsigned k = 0; k < 200; k++) {
		const int n = asys_queue_get_many(now.queue, &event, 1, 1, 5000000);

		if (n == 1)
			queued_take(&event);
		if (!asys_queue_pending(now.queue))
			break;
	}
	if (asys_queue_pending(now.queue))
		snprintf(now.run->why, sizeof(now.run->why),
			 "after asys_queue_cancel_all %llu calls have not ended",
			 (unsigned long long)asys_queue_pending(now.queue));
}

/* The neighbour's last event, and the ends of quiet calls. */
static void rest(void)
{
	struct asys_event event;

	if (now.busy_id.value > 0)
		asys_queue_cancel(now.queue, now.busy_id);
	while (asys_queue_pending(now.queue) && !guard_late()) {
		const int n = asys_queue_get_many(now.queue, &event, 1, 1, 20000000);

		if (n == 1)
			queued_take(&event);
	}
	now.quiet_late = asys_queue_pending(now.queue) != 0;
	for (unsigned i = 0; i < now.program->ops; i++)
		if (now.program->op[i].quiet && !now.run->events[i])
			now.run->result[i] = 0;
	while (asys_queue_get(now.queue, &event) == 1)
		queued_take(&event);
}

void queued_run(struct asys_queue *queue, const struct way *way, const struct program *program,
		struct run *run)
{
	struct asys_stats stats;

	begin(queue, way, program, run);
	world_make(program, run);
	arena_prepare(program, run);
	signals_take(run->signals);
	if (way->driver == D_FD || way->driver == D_THREAD_FD)
		now.fd = asys_queue_fd(queue);
	asys_queue_stats(queue, &stats);
	now.ended_before = stats.ended;
	busy_begin();
	peer_start(program, run);
	world_limit(program, true);
	now.began = asys_now();
	for (unsigned k = 0; k < program->ops && !program->stepped; k++)
		if (!program->op[program->order[k]].dropped)
			send_op(program->order[k]);
	if (program->stepped)
		send_more();
	cancel_some();
	queued_drive();
	if (!guard_late())
		rest();
	world_limit(program, false);
	if (guard_late())
		give_up();
	peer_stop();
	close_results(program, run);
	signals_await(program, run);
	world_look(program, run);
	if (program->busy)
		close(FD_BUSY);
	if (program->busy && program->busy_kind == 2)
		close(FD_BUSY + 1);
	signals_take(run->signals);
}
