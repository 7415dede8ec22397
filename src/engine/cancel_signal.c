/* SPDX-License-Identifier: MIT */
/*
 * The one real-time signal that ends blocked calls. Its handler is the process's only while system
 * call threads exist; then the earlier disposition comes back.
 */
#include "engine/cancel_signal.h"
#include "base/cancelpoint.h"
#include "call/slot.h"
#include "engine/uring.h"
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIGNALS 65
#define SIGNAL_DEFAULT (SIGRTMAX - 3)

static uint32_t users[SIGNALS];
static struct sigaction before[SIGNALS];

/* The flags word of the call that this thread runs, or ran last: slots outlive threads. */
_Thread_local uint32_t *cancel_running;
_Thread_local volatile uint32_t rescue_ticks;

/*
 * Runs on a system call thread, in a call that was asked to end (T3), or on a waiter whose timer went
 * off in a call that may hang (sched/rescue.c), or on a thread whose ring serves a queue that has moved
 * to another (engine/uring.c). If a stranger sent the signal, the thread runs nothing,
 * or a call whose bit is clear and that must go on.
 */
static void handler(int signal, siginfo_t *info, void *context)
{
	uint32_t *flags = cancel_running;

	(void)signal;
	uring_serve(info->si_code == SI_QUEUE ? (uintptr_t)info->si_value.sival_ptr :
		    info->si_code == SI_TKILL ? SUMMONS_ALL :
						0);
	if (info->si_code == SI_TIMER)
		rescue_ticks++;
	if (!flags)
		return;
	if (info->si_code == SI_TIMER)
		__atomic_fetch_or(flags, SLOT_CANCEL, __ATOMIC_RELAXED);
	if (__atomic_load_n(flags, __ATOMIC_RELAXED) & SLOT_CANCEL)
		cancelpoint_redirect(context);
}

static bool is_ours(int signal)
{
	struct sigaction now;

	sigaction(signal, NULL, &now);
	return (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handler;
}

int cancel_signal_check(int signal)
{
	struct sigaction now;

	if (signal < SIGRTMIN || signal > SIGRTMAX)
		return fail(-EINVAL, "option signal: %d is no real-time signal (%d..%d)", signal,
			    SIGRTMIN, SIGRTMAX);
	sigaction(signal, NULL, &now);
	if (!(now.sa_flags & SA_SIGINFO) &&
	    (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN))
		return 0;
	if (is_ours(signal))
		return 0;
	return fail(-EBUSY, "option signal: the program handles signal %d itself: choose another",
		    signal);
}

int cancel_signal_pick(void)
{
	for (int signal = SIGNAL_DEFAULT; signal >= SIGRTMIN; signal--)
		if (!cancel_signal_check(signal))
			return signal;
	return SIGNAL_DEFAULT;
}

static void install(int signal, struct sigaction *ret_before)
{
	struct sigaction ours;

	memset(&ours, 0, sizeof(ours));
	/* Without SA_RESTART: emulators would restart calls behind our back. */
	ours.sa_sigaction = handler;
	ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigfillset(&ours.sa_mask);
	sigaction(signal, &ours, ret_before);
}

int cancel_signal_take(int signal)
{
	int err = 0;

	process_lock(LOCK_SIGNALS);
	if (!users[signal]) {
		err = cancel_signal_check(signal);
		if (!err)
			install(signal, &before[signal]);
	}
	users[signal] += !err;
	process_unlock(LOCK_SIGNALS);
	return err;
}

void cancel_signal_give(int signal)
{
	process_lock(LOCK_SIGNALS);
	/* What the program has put there meanwhile stays. */
	if (--users[signal] == 0 && is_ours(signal))
		sigaction(signal, &before[signal], NULL);
	process_unlock(LOCK_SIGNALS);
}

/* It may be sent: the program has not put a handler of its own there since, and if it took ours away, that is there
 * again. */
static bool is_ready(int signal)
{
	bool ready;

	if (likely(is_ours(signal)))
		return true;
	process_lock(LOCK_SIGNALS);
	ready = !cancel_signal_check(signal);
	if (ready)
		install(signal, NULL);
	process_unlock(LOCK_SIGNALS);
	return ready;
}

/* tgkill is what everybody uses, so filters let it through; it has no room for `summons`. */
static int64_t send_once(int signal, int32_t tid, uint64_t summons)
{
	uint64_t process = (uint64_t)raw_call(SYS_getpid, 0, 0, 0, 0);
	siginfo_t info;
	int64_t err;

	if (summons) {
		memset(&info, 0, sizeof(info));
		info.si_code = SI_QUEUE;
		info.si_pid = (pid_t)process;
		info.si_uid = (uid_t)raw_call(SYS_getuid, 0, 0, 0, 0);
		info.si_value.sival_ptr = (void *)(uintptr_t)summons;
		err = raw_call(SYS_rt_tgsigqueueinfo, process, (uint64_t)tid, (uint64_t)signal,
			       ptr_word(&info));
		if (!err || err == -EAGAIN)
			return err;
	}
	return raw_call(SYS_tgkill, process, (uint64_t)tid, (uint64_t)signal, 0);
}

/* RLIMIT_SIGPENDING counts the signals of all processes of the user, but what it allows is this process's own: for
 * the one signal, as many as the user may have at all. Who sets that limit in this very moment sets it again. */
static int64_t send_beyond_limit(int signal, int32_t tid, uint64_t summons)
{
	struct rlimit now, most;
	int64_t err = -EAGAIN;

	process_lock(LOCK_SIGNALS);
	if (!getrlimit(RLIMIT_SIGPENDING, &now) && now.rlim_cur < now.rlim_max) {
		most.rlim_cur = most.rlim_max = now.rlim_max;
		if (!setrlimit(RLIMIT_SIGPENDING, &most)) {
			err = send_once(signal, tid, summons);
			setrlimit(RLIMIT_SIGPENDING, &now);
		}
	}
	process_unlock(LOCK_SIGNALS);
	return err;
}

bool cancel_signal_send(int signal, int32_t tid, uint64_t summons)
{
	int64_t err;

	if (!is_ready(signal))
		return false;
	err = send_once(signal, tid, summons);
	if (unlikely(err == -EAGAIN))
		err = send_beyond_limit(signal, tid, summons);
	return err != -EAGAIN;
}

/*
 * Threads take no signals but the cancelling one (0: there is none), and those that a call raises on its own thread
 * and that must act as they would on the caller's: a broken pipe, the limit of a file's size, faults, and the
 * terminal of a program in the background, which stops it.
 */
void cancel_signal_mask(int signal, sigset_t *ret_mask)
{
	static const int own[] = { SIGPIPE, SIGXFSZ, SIGSEGV, SIGBUS,  SIGILL,
				   SIGFPE,  SIGSYS,  SIGTRAP, SIGTTIN, SIGTTOU };
	sigset_t now;

	pthread_sigmask(SIG_SETMASK, NULL, &now);
	sigfillset(ret_mask);
	for (size_t k = 0; k < sizeof(own) / sizeof(own[0]); k++)
		if (!sigismember(&now, own[k]))
			sigdelset(ret_mask, own[k]);
	if (signal)
		sigdelset(ret_mask, signal);
}
