/* SPDX-License-Identifier: MIT */
/* One program, both ways. */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_DEPTH = 8, THREADS = 24 };

void way_choose(struct way *way, uint64_t number, int driver)
{
	static const uint32_t engines[] = { ASYS_ENGINE_AUTO,	 ASYS_ENGINE_AUTO,
					    ASYS_ENGINE_AUTO,	 ASYS_ENGINE_INLINE,
					    ASYS_ENGINE_THREADS, ASYS_ENGINE_READY,
					    ASYS_ENGINE_URING,	 ASYS_ENGINE_URING };
	struct random random = { .state = number ^ UINT64_C(0x5ca1ab1e) };
	const char *forced = getenv("ASYS_ENGINE");

	asys_queue_options_init(&way->options);
	way->driver = (uint8_t)(driver >= 0 ? (uint32_t)driver : below(&random, D_DRIVERS));
	way->options.engine = engines[below(&random, 8)];
	/* With fewer, calls that wait for each other could not all begin. */
	way->options.threads = THREADS;
	if (once_in(&random, 8))
		way->options.depth = 1 + below(&random, SMALL_DEPTH);
	if (once_in(&random, 4))
		way->options.spin_ns = 0;
	if (once_in(&random, 8) && way->options.engine != ASYS_ENGINE_INLINE &&
	    !(forced && !strcmp(forced, "inline")))
		way->options.flags |= ASYS_QUEUE_NO_HELP;
	if (way->driver == D_THREAD || way->driver == D_THREAD_FD)
		way->options.flags |= ASYS_QUEUE_DRIVER;
	else if (way->driver == D_SHARED || way->driver == D_SHARED_ONE || once_in(&random, 8))
		way->options.flags |= ASYS_QUEUE_SHARED;
}

bool way_calm(const struct way *way)
{
	return way->options.depth <= SMALL_DEPTH;
}

void try_close(struct asys_queue **queue)
{
	helper_end();
	guard_begin();
	asys_queue_close(*queue);
	guard_end();
	*queue = NULL;
}

static struct run queued, plain;

/* What each call gave, both ways: beside the listing, it shows where the two part. */
void try_print(const struct program *program)
{
	for (unsigned i = 0; i < program->ops; i++) {
		if (program->op[i].dropped)
			continue;
		printf("  %2u gave %lld", i, (long long)queued.result[i]);
		if (queued.late[i])
			printf(" (has not ended)");
		else if (!queued.events[i])
			printf(" (no event)");
		printf(", plainly %lld\n", (long long)plain.result[i]);
	}
}

const char *try_program(struct asys_queue **queue, const struct way *way,
			const struct program *program)
{
	const char *found;
	bool late;

	if (!queued.arena) {
		queued.arena = malloc(ARENA_SIZE);
		plain.arena = malloc(ARENA_SIZE);
	}
	if (!*queue && asys_queue_open(queue, &way->options)) {
		fprintf(stderr, "No queue: %s\n", asys_message());
		exit(1);
	}
	guard_begin();
	queued_run(*queue, way, program, &queued);
	guard_end();
	late = guard_late();
	/* Calls that have not ended still use memory and descriptors. */
	if (late)
		try_close(queue);
	guard_begin();
	plain_run(program, &queued, &plain);
	guard_end();
	if (guard_late())
		return TOO_LONG;
	found = compare(program, &queued, &plain);
	if (!found && late)
		found = "every call has ended as it should, but only when it was interrupted";
	if (found && *queue)
		try_close(queue);
	return found;
}
