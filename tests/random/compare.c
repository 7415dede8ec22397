/* SPDX-License-Identifier: MIT */
/* Whether a program did through the queue what it does plainly. */
#include "program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

static char why[256];
#define differs(...) (snprintf(why, sizeof(why), __VA_ARGS__), why)

static bool same_result(const struct op *op, int64_t a, int64_t b)
{
	if (op->makes_fd && a >= 0 && b >= 0)
		return true;
	if (op->has_alternative && (a == 0 || a == op->alternative) &&
	    (b == 0 || b == op->alternative))
		return true;
	return a == b;
}

static bool cut_off(const struct op *op, int64_t result)
{
	return (op->cancel && result == -ECANCELED) || (op->deadline_us && result == -ETIME);
}

/* The kernel ends the reading of a folder early when there is something else for the thread to do: a
 * signal, or the end of a call of its ring. Who reads folders goes on until there is nothing. */
static bool read_in_part(const struct op *op, int64_t a, int64_t b)
{
	return op->settle == S_NAMES && a > 0 && a < b;
}

static const char *compare_memory(const struct program *program, unsigned i, struct run *queued,
				  struct run *plain)
{
	const struct op *op = &program->op[i];

	if (cut_off(op, queued->result[i]))
		return NULL;
	op_settle(op, queued, queued->result[i]);
	op_settle(op, plain, plain->result[i]);
	for (unsigned k = 0; k < op->args; k++) {
		const uint32_t from = op->arg[k].at;
		const uint32_t size = arg_memory(&op->arg[k]);

		for (uint32_t n = 0; n < size; n++)
			if (queued->arena[from + n] != plain->arena[from + n])
				return differs(
					"call %u: argument %u, byte %u is %02x, plainly %02x", i, k,
					n, queued->arena[from + n], plain->arena[from + n]);
	}
	return NULL;
}

static const char *compare_op(const struct program *program, unsigned i, struct run *queued,
			      struct run *plain)
{
	const struct op *op = &program->op[i];
	const int64_t result = queued->result[i];

	if (queued->late[i])
		return differs("call %u has not ended", i);
	if (op->quiet && !queued->events[i]) {
		if (plain->result[i] < 0)
			return differs("call %u is quiet and brought no event, but fails with %lld",
				       i, (long long)plain->result[i]);
		return NULL;
	}
	if (queued->events[i] != 1)
		return differs("call %u brought %u events", i, queued->events[i]);
	if (op->quiet && result >= 0)
		return differs("call %u is quiet, but brought an event", i);
	if (read_in_part(op, result, plain->result[i]))
		return NULL;
	if (!same_result(op, result, plain->result[i]) &&
	    !op_decided_by(program, queued, i, result))
		return differs("call %u gave %lld, plainly %lld", i, (long long)result,
			       (long long)plain->result[i]);
	if (queued->early[i])
		return differs("call %u ended before its time", i);
	return compare_memory(program, i, queued, plain);
}

static const char *compare_world(const struct program *program, const struct run *queued,
				 const struct run *plain)
{
	for (unsigned i = 0; i < program->objects; i++) {
		for (unsigned end = 0; end < 2; end++) {
			if (queued->bytes[i][end] != plain->bytes[i][end])
				return differs(
					"object %u: %llu bytes came out of end %u, plainly %llu", i,
					(unsigned long long)queued->bytes[i][end], end,
					(unsigned long long)plain->bytes[i][end]);
			if (queued->through[i][end] != plain->through[i][end])
				return differs("object %u: other bytes came out of end %u", i, end);
		}
		if (queued->state[i] != plain->state[i])
			return differs("object %u has another state", i);
	}
	if (queued->names != plain->names)
		return differs("the folder has other contents");
	return NULL;
}

/* How often the program sent SIGUSR1 to itself. */
static unsigned raised(const struct program *program, const struct run *run)
{
	unsigned count = 0;

	for (unsigned i = 0; i < program->ops; i++)
		count += program->op[i].nr == SYS_kill && !program->op[i].dropped &&
			 run->result[i] == 0;
	return count;
}

/* Calls that were to be ended, but moved something: plainly they are made with just that size, and do
 * not reach what raises a signal. */
static unsigned in_part(const struct program *program, const struct run *queued)
{
	unsigned count = 0;

	for (unsigned i = 0; i < program->ops; i++)
		count += program->op[i].stream && !program->op[i].dropped &&
			 (program->op[i].cancel || program->op[i].deadline_us) &&
			 queued->result[i] > 0;
	return count;
}

/* Several signals of a number at once may count as one. Those that a call raises in its own thread do not
 * do so plainly; those that the program sends to itself do, since another thread takes them. */
static const char *compare_signals(const struct program *program, const struct run *queued,
				   const struct run *plain)
{
	static const char *const name[SIGNALS] = { "SIGPIPE", "SIGXFSZ", "SIGUSR1" };

	for (unsigned k = 0; k < SIGNALS; k++) {
		const unsigned got = queued->signals[k];
		const unsigned most = k == 2 ? raised(program, plain) :
					       plain->signals[k] + in_part(program, queued);

		if (got > most || (plain->signals[k] && !got))
			return differs("%u %s, plainly %u", got, name[k], plain->signals[k]);
	}
	return NULL;
}

/* A signal that the program sends to itself may reach the thread that makes a call just then, which ends with -EINTR
 * if the kernel never starts it again (copy_file_range). Plainly the signals come between the calls, and
 * what follows from that call cannot be compared. */
static bool was_interrupted(const struct program *program, const struct run *queued)
{
	bool found = false;

	for (unsigned i = 0; i < program->ops; i++)
		found |= !program->op[i].dropped && queued->result[i] == -EINTR &&
			 (program->op[i].nr == SYS_copy_file_range ||
			  program->op[i].nr == SYS_splice || program->op[i].nr == SYS_sendfile);
	return found && raised(program, queued);
}

const char *compare(const struct program *program, struct run *queued, struct run *plain)
{
	const char *found = NULL;

	if (queued->why[0])
		return queued->why;
	if (was_interrupted(program, queued))
		return NULL;
	for (unsigned i = 0; i < program->ops && !found; i++)
		if (!program->op[i].dropped)
			found = compare_op(program, i, queued, plain);
	if (!found)
		found = compare_world(program, queued, plain);
	if (!found)
		found = compare_signals(program, queued, plain);
	return found;
}
