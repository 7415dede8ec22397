/* SPDX-License-Identifier: MIT */
/*
 * Contract: a call's words mean the same to every engine. Calls that wait for something other than
 * data: time, children, futexes, epoll.
 */
#include "script.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>

#define NR_FUTEX_WAITV 449
#define NR_FUTEX_WAKE 454
#define NR_FUTEX_WAIT 455
#define FUTEX2_U32 0x02
#define FUTEX2_PRIVATE 0x80

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct waiter { /* struct futex_waitv, which older headers lack */
	uint64_t value, address;
	uint32_t flags, reserved;
};

static void sleeping(struct script *s)
{
	struct timespec moment = { 0, 1000000 }, rest = { 7, 7 }, wrong = { 0, 1000000000 };
	struct timespec past = { 1, 0 }, soon, negative = { -1, 0 };

	CALL(BY_RING, SYS_nanosleep, &moment, &rest);
	note(s, "rest", rest.tv_sec + rest.tv_nsec);
	CALL(BY_OTHER, SYS_nanosleep, &wrong, &rest);
	CALL(BY_OTHER, SYS_nanosleep, &negative, NULL);
	CALL(BY_OTHER, SYS_nanosleep, NULL, NULL);
	CALL(BY_OTHER, SYS_nanosleep, (void *)8, NULL);
	CALL(BY_RING, SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &moment, NULL);
	CALL(BY_RING, SYS_clock_nanosleep, CLOCK_REALTIME, 0, &moment, NULL);
	CALL(BY_RING, SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &moment, NULL);
	CALL(BY_RING, SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &past, NULL);
	check_eq(clock_gettime(CLOCK_MONOTONIC, &soon), 0);
	soon.tv_nsec += 2000000;
	soon.tv_sec += soon.tv_nsec / 1000000000;
	soon.tv_nsec %= 1000000000;
	CALL(BY_RING, SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &soon, NULL);
	check_eq(clock_gettime(CLOCK_MONOTONIC, &moment), 0);
	note(s, "slept until then",
	     moment.tv_sec > soon.tv_sec ||
		     (moment.tv_sec == soon.tv_sec && moment.tv_nsec >= soon.tv_nsec));
	moment = (struct timespec){ 0, 1000000 };
	CALL(BY_OTHER, SYS_clock_nanosleep, CLOCK_TAI, 0, &moment, NULL);
	CALL(BY_OTHER, SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &moment, NULL);
	CALL(BY_OTHER, SYS_clock_nanosleep, 999, 0, &moment, NULL);
}

static pid_t make_child(int code)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (!pid) {
		if (code < 0)
			raise(SIGSTOP);
		_exit(code);
	}
	return pid;
}

static void children(struct script *s)
{
	struct rusage_room {
		char bytes[512];
	} usage;
	siginfo_t info;
	pid_t pid;
	int fd;

	memset(&info, 0, sizeof(info));
	CALL(BY_RING, SYS_waitid, P_ALL, 0, &info, WEXITED);
	pid = make_child(7);
	CALL(BY_RING, SYS_waitid, P_PID, pid, &info, WEXITED | WNOWAIT);
	note(s, "status", info.si_status);
	note(s, "child", info.si_pid == pid);
	CALL(BY_RING, SYS_waitid, P_ALL, 0, &info, WEXITED);
	note(s, "code", info.si_code);
	pid = make_child(-1);
	CALL(BY_RING, SYS_waitid, P_PID, pid, &info, WSTOPPED);
	note(s, "code", info.si_code);
	CALL(BY_RING, SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG);
	check_eq(kill(pid, SIGKILL), 0);
	CALL(BY_OTHER, SYS_waitid, P_PID, pid, &info, WEXITED, &usage);
	note(s, "code", info.si_code);
	pid = make_child(3);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	check(fd >= 0);
	CALL(BY_OTHER, SYS_waitid, P_PIDFD, fd, &info, WEXITED);
	note(s, "status", info.si_status);
	close(fd);
	/* refused by the call itself, in its own way */
	CALL(BY_OTHER, SYS_waitid, P_PID, 0, &info, WEXITED);
	CALL(BY_OTHER, SYS_waitid, P_PID, -5, &info, WEXITED);
	CALL(BY_OTHER, SYS_waitid, 99, 1, &info, WEXITED);
	CALL(BY_OTHER, SYS_waitid, P_ALL, 0, &info, 0);
	CALL(BY_OTHER, SYS_waitid, P_ALL, 0, &info, WEXITED | (1 << 20));
	CALL(BY_RING, SYS_waitid, P_PGID, getpgrp(), &info, WEXITED | WNOHANG);
}

struct word {
	uint32_t value;
	uint32_t flags;
	unsigned want;
};

/* Wakes until it has woken as many as it wants: they may not wait yet. */
static void *wake_late(void *arg)
{
	struct word *word = arg;
	unsigned woken = 0;

	while (woken < word->want) {
		long n = syscall(SYS_futex, &word->value, FUTEX_WAKE | word->flags, 1, NULL, NULL,
				 0);

		check(n >= 0);
		woken += (unsigned)n;
		sleep_ms(1);
	}
	return NULL;
}

static void futexes(struct script *s)
{
	static const struct timespec moment = { 0, 1000000 };
	struct word word = { .flags = FUTEX_PRIVATE_FLAG, .want = 2 };
	pthread_t thread;

	CALL(BY_RING, SYS_futex, &word.value, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	CALL(BY_OTHER, SYS_futex, &word.value, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 0);
	CALL(BY_OTHER, SYS_futex, &word.value, FUTEX_WAIT_PRIVATE, 0, &moment, NULL, 0);
	CALL(BY_OTHER, SYS_futex, &word.value, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	CALL(BY_OTHER, SYS_futex, &word.value, 99, 1, NULL, NULL, 0);
	CALL(BY_ANY, SYS_futex, 8, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	check_eq(pthread_create(&thread, NULL, wake_late, &word), 0);
	CALL(BY_RING, SYS_futex, &word.value, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	CALL(BY_RING, SYS_futex, &word.value, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 1);
	pthread_join(thread, NULL);
}

/* The calls of Linux 6.7 and 5.16; where they are missing, all say so. */
static void new_futexes(struct script *s)
{
	const uint32_t flags = FUTEX2_U32 | FUTEX2_PRIVATE, any = FUTEX_BITSET_MATCH_ANY;
	static const struct timespec moment = { 0, 1000000 };
	struct word word = { .flags = FUTEX_PRIVATE_FLAG, .want = 2 };
	struct waiter waiters[2] = { { 0, WORD(&word.value), flags, 0 },
				     { 9, WORD(&word.want), flags, 0 } };
	pthread_t thread;
	bool here = syscall(NR_FUTEX_WAKE, &word.value, any, 1, flags) == 0;

	CALL(BY_RING, NR_FUTEX_WAIT, &word.value, 1, any, flags, NULL, CLOCK_MONOTONIC);
	CALL(BY_RING, NR_FUTEX_WAIT, &word.value, 0, -1, flags, NULL, CLOCK_MONOTONIC);
	CALL(BY_RING, NR_FUTEX_WAIT, &word.value, 0, 0, flags, NULL, CLOCK_MONOTONIC);
	CALL(BY_RING, NR_FUTEX_WAIT, &word.value, 0, any, 1 << 20, NULL, CLOCK_MONOTONIC);
	CALL(BY_OTHER, NR_FUTEX_WAIT, &word.value, 0, any, flags, &moment, CLOCK_MONOTONIC);
	CALL(BY_RING, NR_FUTEX_WAKE, &word.value, any, 1, flags);
	CALL(BY_RING, NR_FUTEX_WAKE, &word.value, 0, 1, flags);
	CALL(BY_OTHER, NR_FUTEX_WAKE, &word.value, -1, any, flags);
	CALL(BY_RING, NR_FUTEX_WAITV, waiters, 2, 0, NULL, CLOCK_MONOTONIC);
	CALL(BY_OTHER, NR_FUTEX_WAITV, waiters, 1, 1, NULL, CLOCK_MONOTONIC);
	CALL(BY_RING, NR_FUTEX_WAITV, waiters, 0, 0, NULL, CLOCK_MONOTONIC);
	if (!here)
		return;
	check_eq(pthread_create(&thread, NULL, wake_late, &word), 0);
	CALL(BY_RING, NR_FUTEX_WAIT, &word.value, 0, any, flags, NULL, CLOCK_MONOTONIC);
	CALL(BY_RING, NR_FUTEX_WAITV, waiters, 1, 0, NULL, CLOCK_MONOTONIC);
	pthread_join(thread, NULL);
}

static void epolls(struct script *s)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 42 }, got = { 0 };
	int set = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(1, EFD_CLOEXEC);
	struct later later;
	sigset_t mask;
	int pipe_fd[2];

	sigemptyset(&mask);
	check(set >= 0 && fd >= 0);
	check_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
	CALL(BY_RING, SYS_epoll_pwait, set, &got, 1, -1, NULL, 8);
	note(s, "events", got.events);
	note(s, "data", (int64_t)got.data.u64);
	CALL(BY_OTHER, SYS_epoll_pwait, set, &got, 1, 0, NULL, 8);
	CALL(BY_OTHER, SYS_epoll_pwait, set, &got, 1, -1, &mask, 8);
	CALL(BY_OTHER, SYS_epoll_pwait, set, &got, 0, -1, NULL, 8);
	CALL(BY_OTHER, SYS_epoll_pwait, set, &got, -3, -1, NULL, 8);
#ifdef SYS_epoll_wait
	CALL(BY_RING, SYS_epoll_wait, set, &got, 1, -1);
	note(s, "data", (int64_t)got.data.u64);
	CALL(BY_OTHER, SYS_epoll_wait, set, &got, 1, 1);
#endif
	CALL(BY_ANY, SYS_epoll_pwait, fd, &got, 1, -1, NULL, 8);
	check_eq(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL), 0);
	make_pipe(pipe_fd);
	event.data.u64 = 77;
	check_eq(epoll_ctl(set, EPOLL_CTL_ADD, pipe_fd[0], &event), 0);
	write_later(&later, pipe_fd[1], 1, 1);
	CALL(BY_RING, SYS_epoll_pwait, set, &got, 1, -1, NULL, 8);
	note(s, "data", (int64_t)got.data.u64);
	end_later(&later);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	close(set);
	close(fd);
}

#define SCRIPT(fn)                          \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		script_compare(fn);         \
	}

SCRIPT(sleeping)
SCRIPT(children)
SCRIPT(futexes)
SCRIPT(new_futexes)
SCRIPT(epolls)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_sleeping),    contract(test_children), contract(test_futexes),
		contract(test_new_futexes), contract(test_epolls),
	};

	return group(tests, argc, argv);
}
