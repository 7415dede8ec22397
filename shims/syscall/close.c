/* SPDX-License-Identifier: MIT */
/*
 * close and its kin. What comes next under these names is called, the C library's or another library's
 * in between; before the constructor has run, or where there is none (close_range and closefrom came with
 * glibc 2.34), the kernel.
 */
#include "close.h"
#include "next.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int close_seen(int fd) EXPORT("close");
int dup2_seen(int from, int to) EXPORT("dup2");
int dup3_seen(int from, int to, int flags) EXPORT("dup3");
int close_range_seen(unsigned first, unsigned last, int flags) EXPORT("close_range");
void closefrom_seen(int first) EXPORT("closefrom");

static int kernel_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

/* dup2 is no system call on aarch64. */
static int kernel_dup2(int from, int to)
{
#ifdef SYS_dup2
	return (int)syscall(SYS_dup2, from, to);
#else
	if (from == to)
		return fcntl(from, F_GETFD) < 0 ? -1 : to;
	return (int)syscall(SYS_dup3, from, to, 0);
#endif
}

static int kernel_dup3(int from, int to, int flags)
{
	return (int)syscall(SYS_dup3, from, to, flags);
}

static int kernel_close_range(unsigned first, unsigned last, int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

/* Linux before 5.9 has no close_range. */
static void kernel_closefrom(int first)
{
	struct rlimit limit;
	int fd = first < 0 ? 0 : first;

	if (!kernel_close_range((unsigned)fd, UINT_MAX, 0) || getrlimit(RLIMIT_NOFILE, &limit))
		return;
	for (; fd < INT_MAX && (rlim_t)fd < limit.rlim_cur; fd++)
		kernel_close(fd);
}

static struct {
	int (*close)(int);
	int (*dup2)(int, int);
	int (*dup3)(int, int, int);
	int (*close_range)(unsigned, unsigned, int);
	void (*closefrom)(int);
} next = { kernel_close, kernel_dup2, kernel_dup3, kernel_close_range, kernel_closefrom };

static const _Atomic uint32_t nothing;
const _Atomic uint32_t *shim_busy = &nothing;
void (*shim_let_go_now)(unsigned first, unsigned last);

static void find_libaio(void)
{
	void *busy = dlsym(RTLD_DEFAULT, "asys_aio_busy");
	void *let_go = dlsym(RTLD_DEFAULT, "asys_aio_let_go");

	if (!busy || !let_go)
		return;
	shim_let_go_now = (void (*)(unsigned, unsigned))(intptr_t)let_go;
	shim_busy = busy;
}

static __attribute__((constructor)) void find_all(void)
{
	FIND(close);
	FIND(dup2);
	FIND(dup3);
	FIND(close_range);
	FIND(closefrom);
	find_libaio();
}

int close_seen(int fd)
{
	shim_let_go((unsigned)fd, (unsigned)fd);
	return next.close(fd);
}

int dup2_seen(int from, int to)
{
	if (from != to)
		shim_let_go((unsigned)to, (unsigned)to);
	return next.dup2(from, to);
}

int dup3_seen(int from, int to, int flags)
{
	if (from != to)
		shim_let_go((unsigned)to, (unsigned)to);
	return next.dup3(from, to, flags);
}

int close_range_seen(unsigned first, unsigned last, int flags)
{
	shim_let_go_range(first, last, flags);
	return next.close_range(first, last, flags);
}

void closefrom_seen(int first)
{
	shim_let_go(first < 0 ? 0 : (unsigned)first, UINT_MAX);
	next.closefrom(first);
}
