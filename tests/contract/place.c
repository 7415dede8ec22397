/* SPDX-License-Identifier: MIT */
/*
 * Contract: a thread that shares the client's work leaves the client's core (src/engine/worker_place.c),
 * and may run where it might before. This program is the thread.
 */
/* before cmocka, which has a macro named fail */
#include "engine/worker.h"

#include "support.h"

#include <sched.h>
#include <string.h>

struct place {
	struct host host;
	struct threads threads;
	struct worker worker;
	cpu_set_t allowed; /* as this program was started */
};

static struct place place;

static size_t first_core(const cpu_set_t *set)
{
	size_t core = 0;

	while (!CPU_ISSET(core, set))
		core++;
	return core;
}

/* On a core of its own choice, and free to run on all again. */
static int start_on(size_t core)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(core, &one);
	check_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	check_eq(sched_getcpu(), core);
	check_eq(sched_setaffinity(0, sizeof(place.allowed), &place.allowed), 0);
	return (int)core;
}

static int set_up(void **state)
{
	(void)state;
	memset(&place, 0, sizeof(place));
	place.host.threads = &place.threads;
	place.host.cores = 2;
	place.worker.host = &place.host;
	return sched_getaffinity(0, sizeof(place.allowed), &place.allowed);
}

static int tear_down(void **state)
{
	(void)state;
	return sched_setaffinity(0, sizeof(place.allowed), &place.allowed);
}

static void check_allowed(const cpu_set_t *wanted)
{
	cpu_set_t now;

	check_eq(sched_getaffinity(0, sizeof(now), &now), 0);
	check(CPU_EQUAL(&now, wanted));
}

/* The kernel may move this thread at any time of its own accord, also back: among many tries one must
 * have gone as wanted, and where the library has nothing to do it must never ask for anything. */
static void test_leaves(void **state)
{
	unsigned left = 0;

	(void)state;
	if (CPU_COUNT(&place.allowed) < 2)
		skip_because("only one core is allowed");
	for (unsigned i = 0; i < 200; i++) {
		int core = start_on(first_core(&place.allowed));

		place.worker.move_after = 0;
		atomic_store(&place.host.client_core, core);
		worker_leave_clients_core(&place.worker);
		left += place.worker.move_after && sched_getcpu() != core;
		check_allowed(&place.allowed);
	}
	check(left > 0);
}

static void test_stays_elsewhere(void **state)
{
	(void)state;
	start_on(first_core(&place.allowed));
	atomic_store(&place.host.client_core, CPU_SETSIZE - 1);
	worker_leave_clients_core(&place.worker);
	check_eq(place.worker.move_after, 0);
	atomic_store(&place.host.client_core, -1); /* the client sleeps: its core is free */
	worker_leave_clients_core(&place.worker);
	check_eq(place.worker.move_after, 0);
}

/* The only core that is allowed: refused, and not asked again for a second. */
static void test_nowhere_else(void **state)
{
	cpu_set_t one;
	uint64_t before = clock_now();
	size_t core = first_core(&place.allowed);

	(void)state;
	CPU_ZERO(&one);
	CPU_SET(core, &one);
	check_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	atomic_store(&place.host.client_core, (int)core);
	worker_leave_clients_core(&place.worker);
	check(place.worker.move_after >= before + 1000000000u);
	check_allowed(&one);
	before = place.worker.move_after;
	worker_leave_clients_core(&place.worker);
	check_eq(place.worker.move_after, before);
}

/* A queue that may use one core only has nothing to share. */
static void test_one_core(void **state)
{
	(void)state;
	place.host.cores = 1;
	atomic_store(&place.host.client_core, start_on(first_core(&place.allowed)));
	worker_leave_clients_core(&place.worker);
	check_eq(place.worker.move_after, 0);
}

#define placed(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		placed(test_leaves),
		placed(test_stays_elsewhere),
		placed(test_nowhere_else),
		placed(test_one_core),
	};

	return group(tests, argc, argv);
}
