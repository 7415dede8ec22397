/* SPDX-License-Identifier: MIT */
/* The plain run: what is right. Calls one after the other, in an order in which all can end. */
#include "program.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct both {
	const struct program *program;
	const struct run *queued;
	struct run *run;
};

/* Cancelled, or too late, as a request of the program's: it did not run. */
static bool cut_off(const struct op *op, int64_t result)
{
	return (op->cancel && result == -ECANCELED) || (op->deadline_us && result == -ETIME);
}

static void make_call(const struct both *both, unsigned i)
{
	const struct op *op = &both->program->op[i];
	const int64_t seen = both->queued->result[i];
	struct run *run = both->run;
	int64_t part = -1;
	uint64_t word[6];
	long result;

	run->events[i] = 1;
	if (cut_off(op, seen)) {
		run->result[i] = seen;
		return;
	}
	if (op_decided(both->program, run, i, &run->result[i]))
		return;
	/* What was to be ended and moved a part must have moved just that; and nothing comes that
	 * could end what is endless. */
	if (op->stream && (op->cancel || op->deadline_us) && seen > 0)
		part = seen;
	if (op->endless && part < 0) {
		run->result[i] = op->cancel ? -ECANCELED : -ETIME;
		return;
	}
	op_words(both->program, run, i, part, word);
	result = syscall(op->nr, word[0], word[1], word[2], word[3], word[4], word[5]);
	run->result[i] = result == -1 ? -errno : result;
}

static void make_calls(const struct both *both, bool apart)
{
	for (unsigned i = 0; i < both->program->ops; i++)
		if (!both->program->op[i].dropped && both->program->op[i].apart == apart)
			make_call(both, i);
}

static void make_others(void *arg)
{
	make_calls(arg, true);
}

void close_results(const struct program *program, const struct run *run)
{
	for (unsigned i = 0; i < program->ops; i++) {
		bool closed = false;

		if (program->op[i].dropped || !program->op[i].makes_fd || run->result[i] < 0)
			continue;
		for (unsigned k = i + 1; k < program->ops; k++)
			closed = closed ||
				 (!program->op[k].dropped && program->op[k].nr == SYS_close &&
				  program->op[k].arg[0].kind == A_RESULT &&
				  program->op[k].arg[0].value == i && run->result[k] == 0);
		if (!closed)
			close((int)run->result[i]);
	}
}

static void run_here(void *arg)
{
	const struct both *both = arg;
	const struct program *program = both->program;
	struct run *run = both->run;
	bool others = false;

	memset(run->events, 0, sizeof(run->events));
	for (unsigned i = 0; i < program->ops; i++)
		others = others || (!program->op[i].dropped && program->op[i].apart);
	world_make(program, run);
	arena_prepare(program, run);
	signals_take(run->signals);
	guard_second(true);
	peer_start(program, run);
	world_limit(program, true);
	if (others)
		beside_start(make_others, arg);
	make_calls(both, false);
	if (others)
		beside_join();
	world_limit(program, false);
	peer_stop();
	close_results(program, run);
	guard_second(false);
	signals_await(program, run);
	world_look(program, run);
	signals_take(run->signals);
}

/* In a thread of its own: where a ring is or was, the kernel may interrupt what blocks in the thread
 * that made it (docs/LIMITS.md), and the plain run shall not be disturbed. */
void plain_run(const struct program *program, const struct run *queued, struct run *run)
{
	struct both both = { program, queued, run };

	plain_start(run_here, &both);
	plain_join();
}
