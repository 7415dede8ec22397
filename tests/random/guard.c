/* SPDX-License-Identifier: MIT */
/*
 * Nothing may stand still. A thread looks at the clock: past the bound it interrupts the threads that
 * wait, again and again, and they find out that it is late. If even that does not bring them back, it
 * ends the process.
 */
#include "program.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t bound, ends_at;
static bool late;
static pid_t first, second;

static void on_alarm(int signal)
{
	(void)signal;
}

static void *look(void *arg)
{
	const struct timespec while_ = { 0, 20000000 };
	uint64_t ends, since;
	pid_t other;

	for (;; nanosleep(&while_, NULL)) {
		ends = __atomic_load_n(&ends_at, __ATOMIC_ACQUIRE);
		if (!ends || asys_now() < ends)
			continue;
		since = asys_now() - ends;
		__atomic_store_n(&late, true, __ATOMIC_RELEASE);
		tgkill(getpid(), __atomic_load_n(&first, __ATOMIC_ACQUIRE), SIGALRM);
		other = __atomic_load_n(&second, __ATOMIC_ACQUIRE);
		if (other)
			tgkill(getpid(), other, SIGALRM);
		if (since > bound + UINT64_C(5000000000)) {
			(void)!write(STDERR_FILENO, "It stands still.\n", 17);
			if (getenv("ASYS_TEST_ABORT"))
				abort();
			_exit(GUARD_EXIT);
		}
	}
	return arg;
}

void guard_start(uint64_t bound_ns)
{
	struct sigaction action = { .sa_handler = on_alarm };
	sigset_t all, before;
	pthread_t thread;

	bound = bound_ns;
	ends_at = 0;
	second = 0;
	sigaction(SIGALRM, &action, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, look, NULL))
		abort();
	pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void guard_begin(void)
{
	__atomic_store_n(&first, gettid(), __ATOMIC_RELEASE);
	__atomic_store_n(&late, false, __ATOMIC_RELEASE);
	__atomic_store_n(&ends_at, asys_now() + bound, __ATOMIC_RELEASE);
}

void guard_second(bool begins)
{
	__atomic_store_n(&second, begins ? gettid() : 0, __ATOMIC_RELEASE);
}

bool guard_late(void)
{
	return __atomic_load_n(&late, __ATOMIC_ACQUIRE);
}

void guard_end(void)
{
	__atomic_store_n(&ends_at, 0, __ATOMIC_RELEASE);
}
