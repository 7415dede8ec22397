/* SPDX-License-Identifier: MIT */
/* Children, and what can only be done to a process that ends afterwards. */
#include "support.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static int exit_code(int status)
{
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

#if defined(__has_feature)
#define UNDER_ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#else
#define UNDER_ASAN 0
#endif

static void *does_nothing(void *arg)
{
	return arg;
}

/* The child: tells the parent by `end` that threads can be made. */
static void say_sound(int end)
{
	pthread_t thread;

	check_eq(pthread_create(&thread, NULL, does_nothing, NULL), 0);
	check_eq(pthread_join(thread, NULL), 0);
	check_eq(write(end, "x", 1), 1);
}

/*
 * AddressSanitizer's runtime takes no lock of its own for a fork (before LLVM 17): where a thread began or ended at
 * that moment, its list of threads is locked in the child for ever, and the child hangs in its first pthread_create,
 * whatever is tested. Such a child is told by that, and another one is made.
 */
static pid_t fork_under_asan(void)
{
	struct pollfd sound = { .events = POLLIN };
	int ends[2], ready;
	pid_t pid;

	for (;;) {
		make_pipe(ends);
		pid = fork();
		check(pid >= 0);
		if (!pid)
			say_sound(ends[1]);
		close(ends[1]);
		sound.fd = ends[0];
		do {
			ready = pid ? poll(&sound, 1, 5000) : 1;
		} while (ready < 0 && errno == EINTR);
		close(ends[0]);
		if (ready > 0)
			return pid;
		fprintf(stderr, "child %d: no thread can be made in it, so another is\n", (int)pid);
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

int run_in_child(int (*fn)(void *arg), void *arg, unsigned seconds)
{
	struct pollfd ends = { .events = POLLIN };
	int ready, status = 0;
	pid_t pid;

	fflush(NULL);
	pid = UNDER_ASAN ? fork_under_asan() : fork();
	check(pid >= 0);
	if (pid == 0) {
		/* Not _exit: coverage and leak checkers report at exit. */
		progress();
		exit(fn(arg));
	}
	ends.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	check(ends.fd >= 0);
	do {
		ready = poll(&ends, 1, (int)seconds * 1000);
	} while (ready < 0 && errno == EINTR);
	close(ends.fd);
	if (ready == 0) {
		fprintf(stderr, "child %d: still running after %u s\n", (int)pid, seconds);
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return exit_code(status);
}

void check_child(int (*fn)(void *arg), void *arg)
{
	int code = run_in_child(fn, arg, 60);

	if (code == SKIPPED)
		skip_because("the child could not do it here");
	check_eq(code, 0);
}

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "no audit number for this architecture"
#endif

struct sock_fprog *deny_program(const long *nr, unsigned count, int error)
{
	static struct sock_filter code[32];
	static struct sock_fprog program;
	unsigned n = 0;

	check(count <= 8);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, arch));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < count; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr[i],
							 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(
			BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)error & 0xffff));
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short)n;
	program.filter = code;
	return &program;
}

static void deny(const long *nr, unsigned count, int error)
{
	check_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	check_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, deny_program(nr, count, error), 0, 0),
		 0);
}

void deny_call(long nr, int error)
{
	deny(&nr, 1, error);
}

void deny_uring(int error)
{
	static const long numbers[] = { SYS_io_uring_setup, SYS_io_uring_enter,
					SYS_io_uring_register };

	deny(numbers, 3, error);
}
