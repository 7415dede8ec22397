/* SPDX-License-Identifier: MIT */
/* Signals: dispositions of the process, masks and pending signals of the calling thread. */
#include "fidelity.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SET(signal) (1ull << ((signal)-1))
#define SET_SIZE 8

struct action { /* as the kernel takes it */
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static volatile sig_atomic_t handled;

static void on_signal(int signal)
{
	handled = handled * 100 + signal;
}

static void actions(struct fid *f)
{
	struct action ignore = { .handler = SIG_IGN }, old = { 0 };

	CALL("rt_sigaction", SIGUSR1, &ignore, &old, SET_SIZE);
	fid_note(f, "default %d\n", old.handler == SIG_DFL);
	CALL("kill", getpid(), SIGUSR1);
	CALL("rt_sigaction", SIGUSR1, NULL, &old, SET_SIZE);
	fid_note(f, "ignored %d\n", old.handler == SIG_IGN);
	CALL("rt_sigaction", SIGKILL, &ignore, NULL, SET_SIZE);
	CALL("rt_sigaction", 99, &ignore, NULL, SET_SIZE);
	CALL("rt_sigaction", SIGUSR1, FID_BAD, NULL, SET_SIZE);
	CALL("rt_sigaction", SIGUSR1, &ignore, NULL, 3);
}

static void masks(struct fid *f)
{
	uint64_t set = SET(SIGUSR1) | SET(SIGUSR2), old = 0, pending = 0;
	struct timespec none = { 0, 0 };
	siginfo_t info = { 0 };
	sigset_t mine;

	CALL("rt_sigprocmask", SIG_BLOCK, &set, &old, SET_SIZE);
	fid_note(f, "old %llx\n", (unsigned long long)old);
	sigprocmask(SIG_SETMASK, NULL, &mine);
	fid_note(f, "blocked %d %d %d\n", sigismember(&mine, SIGUSR1), sigismember(&mine, SIGUSR2),
		 sigismember(&mine, SIGTERM));
	CALL("kill", getpid(), SIGUSR1);
	CALL("tgkill", getpid(), gettid(), SIGUSR2);
	CALL("rt_sigpending", &pending, SET_SIZE);
	fid_note(f, "pending %llx\n", (unsigned long long)pending);
	CALL("rt_sigtimedwait", &set, &info, &none, SET_SIZE);
	CALL("rt_sigtimedwait", &set, &info, &none, SET_SIZE);
	fid_note(f, "code %d mine %d\n", info.si_code, info.si_pid == getpid());
	CALL("rt_sigtimedwait", &set, &info, &none, SET_SIZE);
	CALL("rt_sigtimedwait", FID_BAD, &info, &none, SET_SIZE);
	none.tv_nsec = -1;
	CALL("rt_sigtimedwait", &set, &info, &none, SET_SIZE);
	if (fid_peer(f))
		_exit(kill(getppid(), SIGUSR1) < 0);
	CALL("rt_sigtimedwait", &set, &info, NULL, SET_SIZE);
	fid_join(f);
	CALL("rt_sigpending", FID_BAD, SET_SIZE);
	CALL("rt_sigpending", &pending, 99);
	CALL("rt_sigprocmask", 99, &set, NULL, SET_SIZE);
	CALL("rt_sigprocmask", SIG_BLOCK, FID_BAD, NULL, SET_SIZE);
	CALL("rt_sigprocmask", SIG_BLOCK, &set, NULL, 3);
}

static void queued(struct fid *f)
{
	siginfo_t info = { .si_code = SI_QUEUE };
	struct timespec limit = { 10, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	info.si_value.sival_int = 77;
	CALL("rt_sigqueueinfo", getpid(), SIGUSR1, &info);
	memset(&info, 0, sizeof(info));
	fid_note(f, "signal %d", sigtimedwait(&set, &info, &limit));
	fid_note(f, " code %d value %d\n", info.si_code, info.si_value.sival_int);
	info.si_value.sival_int = 78;
	CALL("rt_tgsigqueueinfo", getpid(), gettid(), SIGUSR1, &info);
	memset(&info, 0, sizeof(info));
	fid_note(f, "signal %d", sigtimedwait(&set, &info, &limit));
	fid_note(f, " code %d value %d\n", info.si_code, info.si_value.sival_int);
	CALL("rt_sigqueueinfo", 0x7ffffff0, SIGUSR1, &info);
	CALL("rt_sigqueueinfo", getpid(), SIGUSR1, FID_BAD);
	CALL("rt_sigqueueinfo", getpid(), 99, &info);
	CALL("rt_tgsigqueueinfo", -1, gettid(), SIGUSR1, &info);
	CALL("rt_tgsigqueueinfo", getpid(), 0x7ffffff0, SIGUSR1, &info);
}

/* A handler runs on the thread that the call belongs to, with the mask that the call sets. */
static void suspends(struct fid *f)
{
	uint64_t none = 0;
	sigset_t set;

	handled = 0;
	signal(SIGUSR1, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	CALL("kill", getpid(), SIGUSR1);
	fid_note(f, "handled %d\n", (int)handled);
	CALL("rt_sigsuspend", &none, SET_SIZE);
	fid_note(f, "handled %d\n", (int)handled);
	if (fid_peer(f))
		_exit(kill(getppid(), SIGUSR1) < 0);
	CALL("rt_sigsuspend", &none, SET_SIZE);
	fid_join(f);
	fid_note(f, "handled %d\n", (int)handled);
	CALL("rt_sigsuspend", FID_BAD, SET_SIZE);
	CALL("rt_sigsuspend", &none, 3);
}

/* The peer repeats its signal: one that comes before the call starts does not end it. */
static void pauses(struct fid *f)
{
	handled = 0;
	signal(SIGUSR1, on_signal);
	if (fid_peer(f)) {
		pid_t parent = getppid();

		for (int i = 0; i < 500 && getppid() == parent; i++) {
			kill(parent, SIGUSR1);
			fid_patience();
		}
		_exit(0);
	}
	CALL("pause", 0);
	signal(SIGUSR1, SIG_IGN);
	kill(f->peer, SIGKILL);
	f->peer = 0;
	fid_note(f, "handled %d\n", handled != 0);
}

static void stacks(struct fid *f)
{
	static char area[65536];
	stack_t stack = { .ss_sp = area, .ss_size = sizeof(area) }, got = { 0 };

	CALL("sigaltstack", &stack, &got);
	fid_note(f, "disabled %d\n", got.ss_flags == SS_DISABLE);
	CALL("sigaltstack", NULL, &got);
	fid_note(f, "mine %d size %zu flags %d\n", got.ss_sp == area, got.ss_size, got.ss_flags);
	stack.ss_size = 1;
	CALL("sigaltstack", &stack, NULL);
	stack.ss_flags = 99;
	CALL("sigaltstack", &stack, NULL);
	CALL("sigaltstack", FID_BAD, NULL);
	stack.ss_flags = SS_DISABLE;
	CALL("sigaltstack", &stack, NULL);
}

const struct fid_case fid_signals[] = {
	{ "rt_sigaction", actions, 0, 0 },
	{ "signal masks", masks, 0, 0 },
	{ "queued signals", queued, 0, 0 },
	{ "rt_sigsuspend", suspends, 0, 0 },
	{ "pause", pauses, 0, 0 },
	{ "sigaltstack", stacks, 0, 0 },
	{ 0 },
};
