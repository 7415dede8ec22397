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

/* Of `first` and what follows it, those before the NULL. `args` stays where it is. */
static size_t leave_count(const char *first, va_list args)
{
	va_list copy;
	size_t n = 0;

	va_copy(copy, args);
	for (const char *arg = first; arg; arg = va_arg(copy, const char *))
		n++;
	va_end(copy);
	return n;
}

/* All of them and the NULL, which *args is behind then. */
static void leave_collect(char **argv, const char *first, va_list *args)
{
	char *arg = (char *)(uintptr_t)first;

	for (*argv = arg; arg; *++argv = arg)
		arg = va_arg(*args, char *);
}

/* `argv` becomes the arguments of the function that this stands in, of which `first` is the first, and `args` is behind
 * their NULL. The memory is of this stack, since a child of vfork may allocate nothing else. */
#define LEAVE_ARGUMENTS(argv, first, args)                              \
	char **argv;                                                    \
	va_list args;                                                   \
	va_start(args, first);                                          \
	argv = alloca((leave_count(first, args) + 1) * sizeof(char *)); \
	leave_collect(argv, first, &args)

LEAVE_EXPORTED int execl(const char *path, const char *arg, ...)
{
	LEAVE_ARGUMENTS(argv, arg, args);
	va_end(args);
	return execve(path, argv, environ);
}

LEAVE_EXPORTED int execlp(const char *file, const char *arg, ...)
{
	LEAVE_ARGUMENTS(argv, arg, args);
	va_end(args);
	return execvpe(file, argv, environ);
}

LEAVE_EXPORTED int execle(const char *path, const char *arg, ...)
{
	LEAVE_ARGUMENTS(argv, arg, args);
	char *const *envp = va_arg(args, char *const *);

	va_end(args);
	return execve(path, argv, envp);
}

#endif
