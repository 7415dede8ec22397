/* SPDX-License-Identifier: MIT */
/* Clocks, timers and sleeping. No case sets a clock: those calls are made with what must fail. */
#include "fidelity.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static void clocks(struct fid *f)
{
	struct timespec t = { -1, -1 };
	struct timeval v = { -1, -1 };
	struct tms tms;
	int64_t seconds = -1;

	CALL("clock_gettime", CLOCK_MONOTONIC, &t);
	fid_note(f, "%d\n", t.tv_sec >= 0 && t.tv_nsec >= 0);
	CALL("clock_gettime", 999, &t);
	CALL("clock_gettime", CLOCK_REALTIME, FID_BAD);
	CALL("clock_getres", CLOCK_MONOTONIC, &t);
	fid_note(f, "%lld %ld\n", (long long)t.tv_sec, t.tv_nsec);
	CALL("clock_getres", 999, &t);
	CALL("gettimeofday", &v, NULL);
	fid_note(f, "%d\n", v.tv_sec > 0);
	CALL("gettimeofday", FID_BAD, NULL);
	fid_note(f, "%d\n", CALL_OK("time", &seconds) == seconds);
	CALL("time", FID_BAD);
	CALL_OK("times", &tms);
	CALL("times", FID_BAD);
}

static void settings(struct fid *f)
{
	struct timespec wrong = { 0, -1 };
	struct timex tx = { .modes = 0 };

	CALL("clock_settime", CLOCK_MONOTONIC, &wrong);
	CALL("clock_settime", CLOCK_REALTIME, FID_BAD);
	CALL("clock_settime", CLOCK_REALTIME, &wrong);
	CALL("settimeofday", FID_BAD, NULL);
	CALL_OK("adjtimex", &tx);
	CALL("adjtimex", FID_BAD);
	tx.modes = 0;
	CALL_OK("clock_adjtime", CLOCK_REALTIME, &tx);
	CALL("clock_adjtime", 999, &tx);
	CALL("clock_adjtime", CLOCK_REALTIME, FID_BAD);
}

static void sleeps(struct fid *f)
{
	struct timespec brief = { 0, 1000000 }, past = { 1, 0 }, wrong = { 0, -1 };

	CALL("nanosleep", &brief, NULL);
	CALL("nanosleep", &wrong, NULL);
	/* QEMU before 8 looks at no fault there and sleeps as long as what lies on its own stack says. */
	if (!fid_emulated())
		CALL("nanosleep", FID_BAD, NULL);
	CALL("clock_nanosleep", CLOCK_MONOTONIC, 0, &brief, NULL);
	CALL("clock_nanosleep", CLOCK_REALTIME, TIMER_ABSTIME, &past, NULL);
	CALL("clock_nanosleep", 999, 0, &brief, NULL);
	CALL("clock_nanosleep", CLOCK_MONOTONIC, 0, &wrong, NULL);
}

static void posix_timers(struct fid *f)
{
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	struct itimerspec far = { { 7, 0 }, { 1000, 0 } }, got = { 0 };
	int id = -1;

	CALL("timer_create", CLOCK_MONOTONIC, &none, &id);
	CALL("timer_settime", id, 0, &far, &got);
	fid_note(f, "old %lld\n", (long long)got.it_value.tv_sec);
	CALL("timer_gettime", id, &got);
	fid_note(f, "interval %lld armed %d\n", (long long)got.it_interval.tv_sec,
		 got.it_value.tv_sec > 900);
	CALL("timer_getoverrun", id);
	CALL("timer_settime", id, 0, FID_BAD, NULL);
	far.it_value.tv_nsec = -1;
	CALL("timer_settime", id, 0, &far, NULL);
	CALL("timer_delete", id);
	CALL("timer_delete", id);
	CALL("timer_gettime", id, &got);
	CALL("timer_getoverrun", id);
	CALL("timer_create", 999, &none, &id);
	CALL("timer_create", CLOCK_MONOTONIC, FID_BAD, &id);
	none.sigev_notify = 99;
	CALL("timer_create", CLOCK_MONOTONIC, &none, &id);
}

/* A timer of the process sends it a signal, whoever armed it. */
static void interval_timers(struct fid *f)
{
	struct itimerval soon = { { 0, 0 }, { 0, 5000 } }, far = { { 5, 0 }, { 1000, 0 } }, old;
	struct timespec limit = { 10, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	CALL("setitimer", ITIMER_REAL, &far, NULL);
	CALL("getitimer", ITIMER_REAL, &old);
	fid_note(f, "interval %lld armed %d\n", (long long)old.it_interval.tv_sec,
		 old.it_value.tv_sec > 900);
	CALL("setitimer", ITIMER_REAL, &soon, &old);
	fid_note(f, "armed %d\n", old.it_value.tv_sec > 900);
	fid_note(f, "signal %d\n", sigtimedwait(&set, NULL, &limit));
	CALL("alarm", 1000);
	CALL("alarm", 0);
	CALL("alarm", 0);
	CALL("setitimer", 99, &soon, NULL);
	CALL("setitimer", ITIMER_REAL, FID_BAD, NULL);
	CALL("getitimer", 99, &old);
	CALL("getitimer", ITIMER_REAL, FID_BAD);
	soon.it_value.tv_usec = -1;
	CALL("setitimer", ITIMER_REAL, &soon, NULL);
}

const struct fid_case fid_times[] = {
	{ "clocks", clocks, 0, 0 },
	{ "clocks not set", settings, 0, 0 },
	{ "sleep", sleeps, 0, 0 },
	{ "posix timers", posix_timers, 0, 0 },
	{ "interval timers", interval_timers, 0, 0 },
	{ 0 },
};
