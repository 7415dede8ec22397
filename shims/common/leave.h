/* SPDX-License-Identifier: MIT */
/*
 * The ways to end the process, or its program, without running destructors: _exit, _Exit and the
 * exec functions. For the one file of a shim that defines LEAVE_FINISH, the function to be called before, and
 * includes this: then the library has these names, and what comes next under them is called, the C library's
 * or another shim's. LEAVE_FINISH runs in signal handlers too, and in children of vfork.
 */
#ifndef SHIM_LEAVE_H
#define SHIM_LEAVE_H

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEAVE_EXPORTED __attribute__((visibility("default"), used))

static void (*next_exit)(int);
static int (*next_execve)(const char *, char *const[], char *const[]);
static int (*next_execvpe)(const char *, char *const[], char *const[]);
static int (*next_fexecve)(int, char *const[], char *const[]);

__attribute__((constructor)) static void leave_begin(void)
{
	*(void **)&next_exit = dlsym(RTLD_NEXT, "_exit");
	*(void **)&next_execve = dlsym(RTLD_NEXT, "execve");
	*(void **)&next_execvpe = dlsym(RTLD_NEXT, "execvpe");
	*(void **)&next_fexecve = dlsym(RTLD_NEXT, "fexecve");
}

LEAVE_EXPORTED void _exit(int status)
{
	LEAVE_FINISH();
	if (next_exit)
		next_exit(status);
	for (;;)
		syscall(SYS_exit_group, status);
}

LEAVE_EXPORTED void _Exit(int status)
{
	_exit(status);
}

LEAVE_EXPORTED int execve(const char *path, char *const argv[], char *const envp[])
{
	LEAVE_FINISH();
	return next_execve ? next_execve(path, argv, envp) :
			     (int)syscall(SYS_execve, path, argv, envp);
}

LEAVE_EXPORTED int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

LEAVE_EXPORTED int execvpe(const char *file, char *const argv[], char *const envp[])
{
	LEAVE_FINISH();
	if (next_execvpe)
		return next_execvpe(file, argv, envp);
	errno = ENOSYS;
	return -1;
}

LEAVE_EXPORTED int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

LEAVE_EXPORTED int fexecve(int fd, char *const argv[], char *const envp[])
{
	LEAVE_FINISH();
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

LEAVE_EXPORTED int execl(const char *path, const char *arg, ...)
{
	va_list args;
	char **argv;

	COLLECT(args, argv, arg);
	va_end(args);
	return execve(path, argv, environ);
}

LEAVE_EXPORTED int execlp(const char *file, const char *arg, ...)
{
	va_list args;
	char **argv;

	COLLECT(args, argv, arg);
	va_end(args);
	return execvpe(file, argv, environ);
}

LEAVE_EXPORTED int execle(const char *path, const char *arg, ...)
{
	va_list args;
	char **argv;
	char *const *envp;

	COLLECT(args, argv, arg);
	envp = va_arg(args, char *const *);
	va_end(args);
	return execve(path, argv, envp);
}

#endif
