/* SPDX-License-Identifier: MIT */
/*
 * The end of the process, or of its program. glibc's threads start a write at once, so that it is seldom
 * lost if the program ends a little later without having waited for it. Here it may still lie in
 * a lane. So whoever ends the program waits for writes to files: for as long as they go on ending.
 *
 * Like aio_suspend, this may run in a signal handler. A child of vfork has the memory of its parent, but
 * is not who submitted.
 */
#include "wait.h"

#include "names.h"
#include <alloca.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE_NS 2000000000u /* since the last one ended */

static void (*next_exit)(int);
static int (*next_execve)(const char *, char *const[], char *const[]);
static int (*next_execvpe)(const char *, char *const[], char *const[]);
static int (*next_fexecve)(int, char *const[], char *const[]);

/* Of those in lanes, *ret_lanes says in which. */
static uint32_t writes_left(struct state *s, uint32_t *ret_lanes)
{
	uint32_t left = 0, fresh = atomic_load(&s->fresh);

	*ret_lanes = 0;
	for (uint32_t i = 0; i < fresh; i++) {
		const struct op *op = &s->ops[i];
		uint32_t at = atomic_load_explicit(&op->at, memory_order_relaxed);

		if (!atomic_load_explicit(&op->cb, memory_order_acquire) || op->kind != OP_WRITE ||
		    op->file != FILE_DISK)
			continue;
		left++;
		if (at < LANES)
			*ret_lanes |= 1u << at;
	}
	return left;
}

static void wait_for_writes(struct state *s)
{
	uint32_t before = 0, left, lanes, seen;
	uint64_t when = 0;
	bool signal;
	int err = 0;

	for (;;) {
		seen = atomic_load(&s->ended);
		left = writes_left(s, &lanes);
		if (!left || (left == before && err == ETIMEDOUT))
			return;
		back_ring(s);
		if (lanes && run_lanes(s, lanes, &signal))
			continue;
		if (left != before)
			when = asys_now() + PATIENCE_NS;
		before = left;
		err = sleep_once(s, seen, when, false);
	}
}

static void finish_writes(void)
{
	WITHOUT_CANCELLATION;
	struct state *s = state_now();

	if (!s || s->pid != syscall(SYS_getpid))
		return;
	atomic_fetch_add(&s->sleepers, 1);
	wait_for_writes(s);
	atomic_fetch_sub(&s->sleepers, 1);
}

__attribute__((constructor)) static void begin(void)
{
	*(void **)&next_exit = dlsym(RTLD_NEXT, "_exit");
	*(void **)&next_execve = dlsym(RTLD_NEXT, "execve");
	*(void **)&next_execvpe = dlsym(RTLD_NEXT, "execvpe");
	*(void **)&next_fexecve = dlsym(RTLD_NEXT, "fexecve");
	(void)at_quick_exit(finish_writes); /* refused: writes may be lost there, as before */
}

__attribute__((destructor)) static void end(void)
{
	finish_writes();
}

EXPORTED void _exit(int status)
{
	finish_writes();
	if (next_exit)
		next_exit(status);
	for (;;)
		syscall(SYS_exit_group, status);
}

EXPORTED void _Exit(int status)
{
	_exit(status);
}

EXPORTED int execve(const char *path, char *const argv[], char *const envp[])
{
	finish_writes();
	return next_execve ? next_execve(path, argv, envp) :
			     (int)syscall(SYS_execve, path, argv, envp);
}

EXPORTED int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORTED int execvpe(const char *file, char *const argv[], char *const envp[])
{
	finish_writes();
	if (next_execvpe)
		return next_execvpe(file, argv, envp);
	errno = ENOSYS;
	return -1;
}

EXPORTED int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

EXPORTED int fexecve(int fd, char *const argv[], char *const envp[])
{
	finish_writes();
	if (next_fexecve)
		return next_fexecve(fd, argv, envp);
	errno = ENOSYS;
	return -1;
}

/* `first` and what follows it, to the NULL. On this stack, since vfork's children may allocate no other. */
#define COLLECT(args, argv, first)                                               \
	do {                                                                     \
		size_t n = 0;                                                    \
		va_start(args, first);                                           \
		for (const char *a = (first); a; a = va_arg(args, const char *)) \
			n++;                                                     \
		va_end(args);                                                    \
		(argv) = alloca((n + 1) * sizeof(*(argv)));                      \
		va_start(args, first);                                           \
		(argv)[0] = (char *)(uintptr_t)(first);                          \
		for (size_t i = 1; i <= n; i++)                                  \
			(argv)[i] = va_arg(args, char *);                        \
	} while (0)

EXPORTED int execl(const char *path, const char *arg, ...)
{
	va_list args;
	char **argv;

	COLLECT(args, argv, arg);
	va_end(args);
	return execve(path, argv, environ);
}

EXPORTED int execlp(const char *file, const char *arg, ...)
{
	va_list args;
	char **argv;

	COLLECT(args, argv, arg);
	va_end(args);
	return execvpe(file, argv, environ);
}

EXPORTED int execle(const char *path, const char *arg, ...)
{
	va_list args;
	char **argv;
	char *const *envp;

	COLLECT(args, argv, arg);
	envp = va_arg(args, char *const *);
	va_end(args);
	return execve(path, argv, envp);
}
