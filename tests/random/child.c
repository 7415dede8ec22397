/* SPDX-License-Identifier: MIT */
/* One of the processes: takes seeds, runs their programs, says what differs. */
#include "runner.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* How many seeds a process takes at a time; a whole number of queues. */
enum { SEEDS_AT_ONCE = 8 * PROGRAMS_PER_QUEUE, DESCRIPTORS = 512 };

static struct shared *shared;
static struct slot *slot;

/* ---- saying --------------------------------------------------------------------------------- */

static void print_way(const struct way *way)
{
	const char *forced = getenv("ASYS_ENGINE");

	printf("driver %s, engine %s, depth %u, flags %u, spin %u ns\n", driver_name(way->driver),
	       forced && *forced ? forced : asys_engine_name((int)way->options.engine),
	       way->options.depth, way->options.flags, way->options.spin_ns);
}

void print_again(uint64_t seed)
{
	const char *forced = getenv("ASYS_ENGINE");
	const uint64_t first = seed - seed % PROGRAMS_PER_QUEUE;

	printf("Again: %s%s%s%s%s --seed %llu --count 1\n", forced && *forced ? "ASYS_ENGINE=" : "",
	       forced && *forced ? forced : "", forced && *forced ? " " : "",
	       program_invocation_name, options.kinds, (unsigned long long)seed);
	if (first != seed)
		printf("       or, with those before it in its queue, --seed %llu --count %llu\n",
		       (unsigned long long)first,
		       (unsigned long long)seed - (unsigned long long)first + 1);
}

static void explain(struct program *program, const struct way *way, const char *found)
{
	__atomic_fetch_add(&shared->failed, 1, __ATOMIC_RELAXED);
	printf("seed %llu: %s\n", (unsigned long long)program->seed, found);
	print_way(way);
	program_print(program);
	try_print(program);
	print_again(program->seed);
	fflush(stdout);
	if (!options.go_on)
		shrink(program, way);
	fflush(stdout);
}

/* ---- descriptors ---------------------------------------------------------------------------- */

/* Which ones are open. */
static void descriptors(bool open[DESCRIPTORS])
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	memset(open, 0, DESCRIPTORS * sizeof(*open));
	while (dir && (entry = readdir(dir)))
		if (atoi(entry->d_name) < DESCRIPTORS && entry->d_name[0] != '.')
			open[atoi(entry->d_name)] = true;
	if (dir) {
		open[dirfd(dir)] = false;
		closedir(dir);
	}
}

/* After a queue was closed the same ones must be open as before it. */
static bool same_descriptors(bool before[DESCRIPTORS], uint64_t seed)
{
	bool now[DESCRIPTORS];
	bool same = true;

	descriptors(now);
	for (unsigned fd = 0; fd < DESCRIPTORS; fd++) {
		if (now[fd] == before[fd])
			continue;
		same = false;
		printf("seed %llu or one before with its queue: descriptor %u %s\n",
		       (unsigned long long)seed, fd, now[fd] ? "is left open" : "was closed");
	}
	if (!same) {
		__atomic_fetch_add(&shared->failed, 1, __ATOMIC_RELAXED);
		print_again(seed);
		fflush(stdout);
	}
	memcpy(before, now, sizeof(now));
	return same;
}

/* ---- programs ------------------------------------------------------------------------------- */

static bool run_one(uint64_t seed, struct asys_queue **queue)
{
	static struct program program;
	struct way way;
	const char *found;

	memset(&way, 0, sizeof(way));
	way_choose(&way, seed / PROGRAMS_PER_QUEUE, options.driver);
	generate(&program, seed, options.without, way_calm(&way));
	if (options.print) {
		printf("seed %llu\n", (unsigned long long)seed);
		print_way(&way);
		program_print(&program);
		fflush(stdout);
	}
	found = try_program(queue, &way, &program);
	if (found)
		explain(&program, &way, found);
	__atomic_fetch_add(&shared->programs, 1, __ATOMIC_RELAXED);
	return !found;
}

/* The next one of the list. */
static bool take_listed(void)
{
	const uint64_t taken = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED);
	uint64_t seed;

	if (taken >= (uint64_t)options.seeds * options.rounds ||
	    __atomic_load_n(&shared->stop, __ATOMIC_RELAXED))
		return false;
	seed = options.listed[taken % options.seeds];
	slot->next = seed - seed % PROGRAMS_PER_QUEUE;
	slot->end = seed + 1;
	return true;
}

/* The next seeds of this process, up to a border of queues; false if there are none any more. */
static bool take_seeds(void)
{
	const uint64_t last = options.seed + options.count;
	uint64_t first = __atomic_load_n(&shared->next, __ATOMIC_RELAXED), end;

	if (asys_now() > shared->until)
		return false;
	if (options.seeds)
		return take_listed();
	do {
		end = (first / SEEDS_AT_ONCE + 1) * SEEDS_AT_ONCE;
		if (end > last)
			end = last;
		if (first >= last || __atomic_load_n(&shared->stop, __ATOMIC_RELAXED))
			return false;
	} while (!__atomic_compare_exchange_n(&shared->next, &first, end, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	slot->next = first;
	slot->end = end;
	return true;
}

static bool goes_on(void)
{
	return options.go_on && __atomic_load_n(&shared->failed, __ATOMIC_RELAXED) < options.most;
}

/* The programs of one queue, up to the process's last seed. */
struct group {
	bool before[DESCRIPTORS];
	bool good;
};

/* In a thread of its own: after a ring was closed, the kernel interrupts what its thread does next
 * (docs/LIMITS.md), which must not be taken for something that the next queue did. */
static void *run_group(void *arg)
{
	struct group *group = arg;
	struct asys_queue *queue = NULL;
	uint64_t seed;

	world_signals();
	do {
		seed = slot->next++;
		group->good = run_one(seed, &queue);
	} while ((seed + 1) % PROGRAMS_PER_QUEUE && slot->next < slot->end &&
		 (group->good || goes_on()));
	try_close(&queue);
	group->good = same_descriptors(group->before, seed) && group->good;
	return NULL;
}

int child_run(struct shared *all, unsigned number)
{
	struct group group;
	pthread_t thread;
	sigset_t every;

	shared = all;
	slot = &all->slot[number];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	world_begin(number);
	guard_start(options.bound_ms * 1000000);
	/* Signals are for the thread that has the queue. */
	sigfillset(&every);
	sigprocmask(SIG_SETMASK, &every, NULL);
	descriptors(group.before);
	while (slot->next < slot->end || take_seeds()) {
		if (pthread_create(&thread, NULL, run_group, &group))
			world_stop("a thread");
		pthread_join(thread, NULL);
		if (!group.good && !goes_on()) {
			__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
			return 1;
		}
	}
	return 0;
}
