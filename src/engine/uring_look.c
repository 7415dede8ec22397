/* SPDX-License-Identifier: MIT */
/*
 * What the system call would do where the ring waits.
 *
 * The ring knows neither O_NONBLOCK nor the time-outs of sockets. And before it calls a file that cannot
 * be asked not to wait, it waits until poll says that the file is ready: also for ever, where the file
 * would have said at once that it does not read at all, or not so few bytes. Which files wait first and
 * judge afterwards is their own matter, so only those that are known to do so are left to the ring.
 */
#include "engine/engine.h"
#include "engine/uring.h"

#if ASYS_HAVE_URING

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Reads of at least that many bytes wait for something to read, and nothing else comes first. The names
 * are the kernel's; those of files on a disk begin with a slash. */
static const struct {
	const char *name;
	uint64_t least;
} waiting[] = {
	{ "anon_inode:[eventfd]", sizeof(uint64_t) },
	{ "anon_inode:[timerfd]", sizeof(uint64_t) },
	{ "anon_inode:[signalfd]", 128 },
	{ "anon_inode:inotify", 1 },
	{ "anon_inode:[fanotify]", 1 },
};

static uint64_t least_to_wait(int fd)
{
	char path[48], name[32];
	int64_t length;

	/* A thread may have descriptors of its own, which /proc/self does not show. */
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	length = raw_call(SYS_readlinkat, (uint64_t)(int64_t)AT_FDCWD, ptr_word(path),
			  ptr_word(name), sizeof(name) - 1);
	if (length < 0)
		return UINT64_MAX;
	name[length] = '\0';
	for (size_t k = 0; k < sizeof(waiting) / sizeof(waiting[0]); k++) {
		if (!strcmp(name, waiting[k].name))
			return waiting[k].least;
	}
	return UINT64_MAX;
}

static bool read_waits_first(const struct asys_call *call)
{
	return call->nr == SYS_read && call->arg[2] >= least_to_wait((int)call->arg[0]);
}

enum look uring_look(struct host *host, const struct asys_call *call, uint32_t prep)
{
	int fd = (int)call->arg[0];

	host->stats.traps++;
	if (fd_is_nonblocking(fd))
		return LOOK_FAILS;
	if (!(prep & (PREP_IN | PREP_OUT | PREP_OWN_WAY)))
		return LOOK_WAITS;
	host->stats.traps++;
	if (prep & PREP_OWN_WAY)
		return read_waits_first(call) ? LOOK_WAITS : LOOK_DIFFERS;
	return socket_has_timeout(fd, prep & PREP_IN) ? LOOK_DIFFERS : LOOK_WAITS;
}
#endif
