/* SPDX-License-Identifier: MIT */
/* Descriptors that stand for an event: counters, timers, signals. */
#include "fidelity.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static void counters(struct fid *f)
{
	int fd = CALL_FD("eventfd2", 3, EFD_NONBLOCK);
	uint64_t value = 5;

	CALL_FD("eventfd2", 3, 1 << 30);
	CALL_FD("eventfd", 1);
	CALL("write", fd, &value, 8);
	CALL("read", fd, &value, 8);
	fid_note(f, "value %llu\n", (unsigned long long)value);
	CALL("read", fd, &value, 8);
	CALL("read", fd, &value, 4);
	value = UINT64_MAX;
	CALL("write", fd, &value, 8);
	value = UINT64_MAX - 1;
	CALL("write", fd, &value, 8);
	value = 1;
	CALL("write", fd, &value, 8);
	fd = CALL_FD("eventfd2", 2, EFD_SEMAPHORE);
	CALL("read", fd, &value, 8);
	fid_note(f, "value %llu\n", (unsigned long long)value);
	CALL("read", fd, &value, 8);
	if (fid_peer(f))
		_exit(eventfd_write(fd, 1) < 0);
	CALL("read", fd, &value, 8);
	fid_note(f, "value %llu\n", (unsigned long long)value);
	fid_join(f);
}

static void timers(struct fid *f)
{
	struct itimerspec soon = { { 0, 0 }, { 0, 1000000 } }, far = { { 9, 0 }, { 1000, 0 } };
	struct itimerspec old = { 0 };
	int fd = CALL_FD("timerfd_create", CLOCK_MONOTONIC, 0);
	uint64_t count = 0;

	CALL_FD("timerfd_create", 999, 0);
	CALL_FD("timerfd_create", CLOCK_MONOTONIC, 1);
	CALL("timerfd_settime", fd, 0, &far, &old);
	fid_note(f, "old %lld\n", (long long)old.it_value.tv_sec);
	CALL("timerfd_gettime", fd, &old);
	fid_note(f, "interval %lld, armed %d\n", (long long)old.it_interval.tv_sec,
		 old.it_value.tv_sec > 900);
	CALL("timerfd_settime", fd, 0, &soon, NULL);
	CALL("read", fd, &count, 8);
	fid_note(f, "expired %llu\n", (unsigned long long)count);
	CALL("read", fd, &count, 4);
	CALL("timerfd_settime", fd, 99, &soon, NULL);
	CALL("timerfd_settime", fd, 0, FID_BAD, NULL);
	CALL("timerfd_settime", FID_BAD_FD, 0, &soon, NULL);
	CALL("timerfd_gettime", FID_BAD_FD, &old);
	CALL("timerfd_gettime", fd, FID_BAD);
	soon.it_value.tv_nsec = -1;
	CALL("timerfd_settime", fd, 0, &soon, NULL);
}

/* The signal is sent to the process, so that whichever thread reads takes it. */
static void signals(struct fid *f)
{
	struct signalfd_siginfo info = { 0 };
	uint64_t mask = 1ull << (SIGUSR1 - 1);
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = CALL_FD("signalfd4", -1, &mask, 8, SFD_NONBLOCK);
	CALL_FD("signalfd4", -1, &mask, 8, 1);
	CALL_FD("signalfd4", -1, &mask, 3, 0);
	CALL_FD("signalfd4", -1, FID_BAD, 8, 0);
	CALL_FD("signalfd4", FID_BAD_FD, &mask, 8, 0);
	CALL("read", fd, &info, sizeof(info));
	CALL("kill", getpid(), SIGUSR1);
	CALL("read", fd, &info, sizeof(info));
	fid_note(f, "signal %u code %d mine %d\n", info.ssi_signo, info.ssi_code,
		 info.ssi_pid == (uint32_t)getpid());
	CALL("read", fd, &info, 4);
	fd = CALL_FD("signalfd", -1, &mask, 8);
	CALL("kill", getpid(), SIGUSR1);
	CALL("read", fd, &info, sizeof(info));
	fid_note(f, "signal %u code %d\n", info.ssi_signo, info.ssi_code);
}

static void signal_waits(struct fid *f)
{
	struct signalfd_siginfo info = { 0 };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = fid_keep(f, signalfd(-1, &set, SFD_CLOEXEC));
	if (fid_peer(f))
		_exit(kill(getppid(), SIGUSR2) < 0);
	CALL("read", fd, &info, sizeof(info));
	fid_note(f, "signal %u code %d\n", info.ssi_signo, info.ssi_code);
	fid_join(f);
}

const struct fid_case fid_events[] = {
	{ "eventfd", counters, 0, 0 },
	{ "timerfd", timers, 0, 0 },
	{ "signalfd", signals, 0, 0 },
	{ "signalfd waits", signal_waits, 0, 0 },
	{ 0 },
};
