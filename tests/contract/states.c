/* SPDX-License-Identifier: MIT */
/* A slot's changes of state (src/call/slot.h): what must never happen is refused, and a debug build dies of it. */
#include "call/slot.h"

#include "support.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static bool may(enum slot_state from, enum slot_state to)
{
	struct slot slot = { .state_word = 0 };

	slot.state = (uint8_t)from;
	return slot_may_become(&slot, to);
}

static void test_never(void **state)
{
	(void)state;
	for (unsigned k = 0; k < SLOT_STATES; k++) {
		/* Who is free begins anew, and what has ended is over: nothing ends twice. */
		check_eq(may(SLOT_FREE, (enum slot_state)k), k == SLOT_READY);
		check_eq(may(SLOT_ENDED, (enum slot_state)k), k == SLOT_FREE);
		/* Only what was ready waits for others, so nothing comes back to that. */
		check_eq(may((enum slot_state)k, SLOT_WAITING), k == SLOT_READY);
	}
	check(!may(SLOT_WAITING,
		   SLOT_RUNNING));	     /* nobody runs what its arguments are missing for */
	check(!may(SLOT_HELD, SLOT_HANDED)); /* a call that has ended is not made again */
}

static void test_way_of_a_call(void **state)
{
	static const enum slot_state way[] = { SLOT_FREE,    SLOT_READY,  SLOT_WAITING,
					       SLOT_READY,   SLOT_HANDED, SLOT_READY,
					       SLOT_RUNNING, SLOT_ENDED,  SLOT_FREE };
	struct slot slot = { .state_word = 0 };

	(void)state;
	for (unsigned k = 1; k < sizeof(way) / sizeof(way[0]); k++)
		slot_to(&slot, way[k]);
}

#ifndef NDEBUG
static int end_twice(void *arg)
{
	struct slot slot = { .state_word = SLOT_ENDED };

	(void)arg;
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGABRT, SIG_DFL);
	slot_to(&slot, SLOT_ENDED);
	return 0;
}
#endif

static void test_dies(void **state)
{
	(void)state;
#ifdef NDEBUG
	skip_because("built without assertions");
#else
	pid_t child = fork();
	int status;

	check(child >= 0);
	if (!child)
		_exit(end_twice(NULL));
	check_eq(waitpid(child, &status, 0), child);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#endif
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_never),
		contract(test_way_of_a_call),
		contract(test_dies),
	};

	return group(tests, argc, argv);
}
