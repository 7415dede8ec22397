/* SPDX-License-Identifier: MIT */
/*
 * Random programs, through a queue and plainly (program.h).
 *
 *   random [--seed N] [--count N] [--driver NAME] [--without KIND]... [--with KIND]... [--only KIND]
 *          [--bound MS] [--print] [--go-on] | --list
 *
 * Program number i is made from seed + i alone, its queue and the way in which that is driven from
 * (seed + i) / 8. The first that differs is printed, made smaller, and printed again; with --go-on it
 * is only printed, and the next ones follow, also after a crash. The engine is ASYS_ENGINE's.
 */
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROGRAMS_PER_QUEUE = 8, DESCRIPTORS = 512, SKIPPED = 77 };

static struct {
	uint64_t seed, count, without, bound_ms;
	int driver; /* -1: any */
	bool print, go_on;
} options = { .seed = 1, .count = 3000, .bound_ms = 10000, .driver = -1 };

/* Shared with the child that runs the programs, so that another one can go on. */
static struct {
	uint64_t next;
	uint64_t failed;
} * done;

/* ---- options -------------------------------------------------------------------------------- */

static const char *const modes[] = { "busy", "limit", "cancel" };

static uint64_t kind_bit(const char *name)
{
	const char *scene;

	for (unsigned k = 0; (scene = scene_name(k)); k++)
		if (!strcmp(scene, name))
			return UINT64_C(1) << k;
	for (unsigned k = 0; k < 3; k++)
		if (!strcmp(modes[k], name))
			return UINT64_C(1) << (SCENE_BUSY + k);
	fprintf(stderr, "no kind %s\n", name);
	exit(2);
}

static int list(void)
{
	const char *name;

	printf("Kinds:\n");
	for (unsigned k = 0; (name = scene_name(k)); k++)
		printf("  %s%s\n", name,
		       scene_unusual(k) ? " (only with --with: docs/LIMITS.md)" : "");
	for (unsigned k = 0; k < 3; k++)
		printf("  %s\n", modes[k]);
	printf("Drivers:\n");
	for (unsigned k = 0; k < D_DRIVERS; k++)
		printf("  %s\n", driver_name(k));
	return 0;
}

static int driver_by_name(const char *name)
{
	for (unsigned k = 0; k < D_DRIVERS; k++)
		if (!strcmp(driver_name(k), name))
			return (int)k;
	fprintf(stderr, "no driver %s\n", name);
	exit(2);
}

static bool take_option(const char *name, const char *value)
{
	if (!strcmp(name, "--seed"))
		options.seed = strtoull(value, NULL, 0);
	else if (!strcmp(name, "--count"))
		options.count = strtoull(value, NULL, 0);
	else if (!strcmp(name, "--bound"))
		options.bound_ms = strtoull(value, NULL, 0);
	else if (!strcmp(name, "--driver"))
		options.driver = driver_by_name(value);
	else if (!strcmp(name, "--without"))
		options.without |= kind_bit(value);
	else if (!strcmp(name, "--with"))
		options.without &= ~kind_bit(value);
	else if (!strcmp(name, "--only"))
		options.without |= ~kind_bit(value) & ((UINT64_C(1) << SCENE_BUSY) - 1);
	else
		return false;
	return true;
}

static void take_options(int argc, char **argv)
{
	for (unsigned k = 0; scene_name(k); k++)
		if (scene_unusual(k))
			options.without |= UINT64_C(1) << k;
	for (int k = 1; k < argc; k++) {
		if (!strcmp(argv[k], "--list"))
			exit(list());
		else if (!strcmp(argv[k], "--print"))
			options.print = true;
		else if (!strcmp(argv[k], "--go-on"))
			options.go_on = true;
		else if (k + 1 < argc && take_option(argv[k], argv[k + 1]))
			k++;
		else {
			fprintf(stderr,
				"usage: %s [--seed N] [--count N] [--driver NAME] "
				"[--without KIND] [--with KIND] [--only KIND] "
				"[--bound MS] [--print] [--go-on] | --list\n",
				argv[0]);
			exit(2);
		}
	}
}

/* ---- programs ------------------------------------------------------------------------------- */

static void print_way(const struct way *way)
{
	const char *forced = getenv("ASYS_ENGINE");

	printf("driver %s, engine %s, depth %u, flags %u, spin %u ns\n", driver_name(way->driver),
	       forced && *forced ? forced : asys_engine_name((int)way->options.engine),
	       way->options.depth, way->options.flags, way->options.spin_ns);
}

/* Which descriptors are open. */
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
	memcpy(before, now, sizeof(now));
	return same;
}

static void explain(struct program *program, const struct way *way, const char *found)
{
	done->failed++;
	printf("seed %llu: %s\n", (unsigned long long)program->seed, found);
	print_way(way);
	program_print(program);
	if (!options.go_on)
		shrink(program, way);
	fflush(stdout);
}

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
	return !found;
}

static int run_all(void)
{
	struct asys_queue *queue = NULL;
	bool before[DESCRIPTORS];

	guard_start(options.bound_ms * 1000000);
	world_clean();
	descriptors(before);
	for (; done->next < options.count;) {
		const uint64_t seed = options.seed + done->next++;

		if (!run_one(seed, &queue) && !options.go_on)
			return 1;
		if ((seed + 1) % PROGRAMS_PER_QUEUE)
			continue;
		guard_begin();
		asys_queue_close(queue);
		guard_end();
		queue = NULL;
		if (!same_descriptors(before, seed)) {
			done->failed++;
			if (!options.go_on)
				return 1;
		}
	}
	asys_queue_close(queue);
	return 0;
}

/* In a child, so that the folder is removed and it is known which program ended the process. */
static int run_in_child(void)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		const int result = run_all();

		fflush(NULL);
		_exit(result);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		return WEXITSTATUS(status);
	done->failed++;
	printf("seed %llu: it %s %d\n", (unsigned long long)(options.seed + done->next - 1),
	       WIFSIGNALED(status) ? "was ended by signal" : "stood still:",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return GUARD_EXIT;
}

int main(int argc, char **argv)
{
	int result;

	take_options(argc, argv);
	if (getenv("ASYS_FAULT")) {
		printf("The environment's faults would change results.\n");
		return SKIPPED;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (done == MAP_FAILED)
		return 1;
	world_begin();
	do
		result = run_in_child();
	while (options.go_on && result == GUARD_EXIT && done->next < options.count);
	world_end();
	printf("seed %llu, %llu programs, %llu failed\n", (unsigned long long)options.seed,
	       (unsigned long long)done->next, (unsigned long long)done->failed);
	return result || done->failed ? 1 : 0;
}
