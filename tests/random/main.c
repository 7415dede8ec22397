/* SPDX-License-Identifier: MIT */
/*
 * Random programs, through a queue and plainly (program.h).
 *
 *   random_programs [--seed N] [--count N] | [--seeds FILE] [--rounds N] [--jobs N] [--driver NAME]
 *                   [--without KIND]... [--with KIND]... [--only KIND] [--bound MS] [--seconds N] [--print]
 *                   [--progress] [--go-on [--most N]] | --list
 *
 * The program of a seed is made from that alone, its queue and the way in which that is driven from an
 * eighth of it. The first that differs is printed, made smaller, and printed again; with --go-on it is
 * only printed, and the next ones follow, also after a crash, until there are --most such. Each is
 * printed with the command that runs just that one. The engine is ASYS_ENGINE's.
 *
 * The programs are run by `jobs` processes, each in a world of its own (world.c): most of its time a
 * program waits. This one only looks after them: it says what one that crashed or stood still was doing,
 * starts another one in its place, and removes what they made.
 */
#include "runner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROGRESS_S = 10 };

static struct shared *shared;
static uint64_t began;

static void start(unsigned number)
{
	sigset_t none;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		world_stop("fork");
	if (!pid) {
		int result;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		result = child_run(shared, number);
		fflush(NULL);
		_exit(result);
	}
	shared->slot[number].pid = pid;
}

static void say_progress(void)
{
	const double seconds = (double)(asys_now() - began) / 1e9;

	printf("%llu of %llu programs, %llu failed, %.0f s, %.0f a second\n",
	       (unsigned long long)shared->programs, (unsigned long long)options.count,
	       (unsigned long long)shared->failed, seconds, (double)shared->programs / seconds);
	fflush(stdout);
}

/* What became of a process that did not reach its end. */
static void say_end(const struct slot *slot, int status)
{
	const uint64_t seed = slot->next - 1;

	shared->failed++;
	shared->programs++;
	if (WIFSIGNALED(status))
		printf("seed %llu: it was ended by signal %d\n", (unsigned long long)seed,
		       WTERMSIG(status));
	else if (WEXITSTATUS(status) == GUARD_EXIT)
		printf("seed %llu: it stood still\n", (unsigned long long)seed);
	else
		printf("seed %llu: it exited with %d\n", (unsigned long long)seed,
		       WEXITSTATUS(status));
	print_again(seed);
	fflush(stdout);
}

/* True if another one takes its place. */
static bool ended(unsigned number, int status)
{
	struct slot *slot = &shared->slot[number];

	slot->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		return false;
	say_end(slot, status);
	world_clean(number);
	if (!options.go_on || shared->failed >= options.most)
		shared->stop = true;
	/* One that could not even begin would not begin the next time either. */
	if (shared->stop || !slot->end || WEXITSTATUS(status) == WORLD_EXIT)
		return false;
	start(number);
	return true;
}

/* Ends of processes; returns how many are left. */
static unsigned take_ends(unsigned left)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned k = 0; k < options.jobs; k++)
			if (shared->slot[k].pid == pid && !ended(k, status))
				left--;
	return left;
}

/* A signal that ends this process ends the others before. */
static void give_up(void)
{
	for (unsigned k = 0; k < options.jobs; k++)
		if (shared->slot[k].pid > 0)
			kill(shared->slot[k].pid, SIGKILL);
	for (unsigned k = 0; k < options.jobs; k++)
		if (shared->slot[k].pid > 0)
			waitpid(shared->slot[k].pid, NULL, 0);
	shared->failed++;
}

static void look_after(void)
{
	const struct timespec while_ = { 1, 0 };
	unsigned left = options.jobs, seconds = 0;
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (unsigned k = 0; k < options.jobs; k++)
		start(k);
	while (left) {
		number = sigtimedwait(&set, NULL, &while_);
		if (number > 0 && number != SIGCHLD) {
			printf("Signal %d: it gives up.\n", number);
			give_up();
			return;
		}
		left = take_ends(left);
		if (options.progress && asys_now() - began > seconds * UINT64_C(1000000000)) {
			if (seconds)
				say_progress();
			seconds += PROGRESS_S;
		}
	}
}

int main(int argc, char **argv)
{
	options_take(argc, argv);
	if (getenv("ASYS_FAULT")) {
		printf("The environment's faults would change results.\n");
		return SKIPPED;
	}
	/* The listing of a program is written at once: there are others beside this process. */
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return 1;
	world_prepare();
	shared->next = options.seeds ? 0 : options.seed;
	options.count *= options.seeds ? options.rounds : 1;
	began = asys_now();
	shared->until =
		options.seconds ? began + options.seconds * UINT64_C(1000000000) : UINT64_MAX;
	look_after();
	world_end(options.jobs);
	printf("seed %llu, %llu programs, %llu failed, %.1f s\n",
	       (unsigned long long)(options.seeds ? options.listed[0] : options.seed),
	       (unsigned long long)shared->programs, (unsigned long long)shared->failed,
	       (double)(asys_now() - began) / 1e9);
	return shared->failed || (shared->programs < options.count && !options.seconds);
}
