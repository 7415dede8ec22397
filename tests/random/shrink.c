/* SPDX-License-Identifier: MIT */
/*
 * Takes out of a program that fails whatever it also fails without. Each attempt runs in a child, since
 * it may crash, or stand still because what fed a call was taken out; then it proves nothing.
 */
#include "program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIES = 6, SECONDS = 60, BOUND_MS = 1000 };

static uint64_t over_at;

static bool fails(const struct program *program, const struct way *way)
{
	int status = 0;
	pid_t pid;

	if (asys_now() > over_at)
		return false;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		struct asys_queue *queue = NULL;
		const char *found = NULL;

		peer_forget();
		world_clean_own();
		guard_start(BOUND_MS * UINT64_C(1000000));
		for (unsigned k = 0; k < TRIES && !found; k++)
			found = try_program(&queue, way, program);
		_exit(found && strcmp(found, TOO_LONG) ? 1 : 0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	/* GUARD_EXIT: without what it needs, the plain run stands still too. */
	return !WIFEXITED(status) || WEXITSTATUS(status) == 1;
}

static void drop(struct program *program, unsigned i)
{
	program->op[i].dropped = true;
	for (unsigned k = i + 1; k < program->ops; k++)
		for (unsigned n = 0; n < program->op[k].args; n++)
			if (!program->op[k].dropped && program->op[k].arg[n].kind == A_RESULT &&
			    program->op[k].arg[n].value == i)
				drop(program, k);
}

// Bytes are compared: padding that differs costs one try more, and no field can be forgotten.
static bool differ(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct program)) != 0;
}

static void keep_if_fails(struct program *program, struct program *smaller, const struct way *way)
{
	program_layout(smaller);
	if (differ(program, smaller) && fails(smaller, way))
		*program = *smaller;
	*smaller = *program;
}

static void plainer(struct program *program, const struct way *way)
{
	struct program smaller = *program;

	smaller.busy = false;
	keep_if_fails(program, &smaller, way);
	smaller.stepped = false;
	keep_if_fails(program, &smaller, way);
	smaller.limit = LIMIT_NONE;
	keep_if_fails(program, &smaller, way);
	for (unsigned i = 0; i < program->ops; i++) {
		struct op *op = &smaller.op[i];

		if (op->dropped)
			continue;
		op->priority = 0;
		op->quiet = false;
		keep_if_fails(program, &smaller, way);
		if (op->endless)
			continue;
		op->cancel = false;
		op->deadline_us = 0;
		keep_if_fails(program, &smaller, way);
	}
}

void shrink(struct program *program, const struct way *way)
{
	struct program smaller = *program;
	bool changed = true;

	over_at = asys_now() + SECONDS * UINT64_C(1000000000);
	if (!fails(program, way)) {
		printf("Alone it did not fail in %u more runs.\n", (unsigned)TRIES);
		return;
	}
	while (changed) {
		changed = false;
		for (unsigned i = program->ops; i--;) {
			if (program->op[i].dropped)
				continue;
			drop(&smaller, i);
			keep_if_fails(program, &smaller, way);
			changed = changed || program->op[i].dropped;
		}
	}
	plainer(program, way);
	printf("Smaller:\n");
	program_print(program);
}
