/* SPDX-License-Identifier: MIT */
/*
 * Which error of the ring may not be the system call's.
 *
 * Where a call is wrong in several ways, a system call names the one that it finds first, and the ring
 * looks in another order: it reads what the words point to (names, vectors, addresses) before it asks
 * for the descriptor, and before flags that go with them are judged. It also takes the number of a new
 * socket before it looks what socket is wanted. Invariant:
 *
 *   An error from the ring is the event's result only if the system call would name the same; else the
 *   call is made again, as a system call. That is done only where what failed had no effect, and where
 *   nothing but an error can come of it at once, or a thread makes it.
 *
 * So not after a receive from a socket with a wrong address, which has taken the message.
 */
#include "engine/uring.h"

#if ASYS_HAVE_URING

#include <fcntl.h>

#ifndef __O_TMPFILE
#define __O_TMPFILE (O_TMPFILE & ~O_DIRECTORY)
#endif

/* Errors of words and of what they point to. */
static bool is_of_words(int64_t error)
{
	switch (error) {
	case -EBADF:
	case -EFAULT:
	case -EINVAL:
	case -EOPNOTSUPP:
	case -ENOTSOCK:
	case -ENAMETOOLONG:
	case -ENOENT:
	case -E2BIG:
	case -ERANGE:
	case -EMSGSIZE:
	case -ENOBUFS:
		return true;
	default:
		return false;
	}
}

static bool is_of_name(int64_t error)
{
	return error == -EFAULT || error == -ENOENT || error == -ENAMETOOLONG;
}

static bool open_makes(uint64_t flags)
{
	return flags & (O_CREAT | __O_TMPFILE);
}

/* Calls that have no effect when they fail so, and of whose errors the order differs. A thread has time
 * for them, whatever has become of the names meanwhile. */
static bool order_differs(const struct asys_call *call, int64_t error)
{
	switch (call->nr) {
	case SYS_openat:
		return is_of_name(error) && open_makes(call->arg[2]);
#ifdef SYS_open
	case SYS_open:
		return is_of_name(error) && open_makes(call->arg[1]);
	case SYS_link:
	case SYS_rename:
	case SYS_symlink:
#endif
#ifdef SYS_renameat
	case SYS_renameat:
#endif
	case NR_OPENAT2:
	case SYS_renameat2:
	case SYS_linkat:
	case SYS_symlinkat:
		return is_of_name(error);
	case SYS_setxattr:
	case SYS_getxattr:
		return is_of_words(error);
	case SYS_socket:
		return error == -EMFILE;
	default:
		return false;
	}
}

enum use { USE_NONE, USE_ANY, USE_READ, USE_WRITE, USE_SOCKET };

/* What the call wants of the descriptor that its first word is. */
static enum use use_of(uint32_t nr)
{
	switch (nr) {
	case SYS_read:
	case SYS_pread64:
	case SYS_readv:
	case SYS_preadv:
	case SYS_preadv2:
		return USE_READ;
	case SYS_write:
	case SYS_pwrite64:
	case SYS_writev:
	case SYS_pwritev:
	case SYS_pwritev2:
	case SYS_ftruncate:
	case SYS_fallocate:
		return USE_WRITE;
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_accept:
	case SYS_accept4:
	case SYS_connect:
	case SYS_bind:
	case SYS_listen:
	case SYS_shutdown:
		return USE_SOCKET;
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_sync_file_range:
	case SYS_fadvise64:
	case SYS_fsetxattr:
	case SYS_fgetxattr:
	case SYS_epoll_pwait:
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
#endif
		return USE_ANY;
	default:
		return USE_NONE;
	}
}

/* Can nothing but an error come of that use of the descriptor? */
static bool is_useless(int fd, enum use use)
{
	int64_t flags = raw_call(SYS_fcntl, (uint64_t)(int64_t)fd, F_GETFL, 0, 0);

	if (use == USE_NONE)
		return false;
	if (flags < 0 || (flags & O_PATH))
		return true;
	switch (use) {
	case USE_READ:
		return (flags & O_ACCMODE) == O_WRONLY;
	case USE_WRITE:
		return (flags & O_ACCMODE) == O_RDONLY;
	case USE_SOCKET:
		return file_kind(fd) != FILE_SOCKET;
	default:
		return false;
	}
}

enum again uring_again(const struct asys_call *call, int64_t error)
{
	if (order_differs(call, error))
		return AGAIN_ELSEWHERE;
	if (is_of_words(error) && is_useless((int)call->arg[0], use_of(call->nr)))
		return AGAIN_HERE;
	return AGAIN_NO;
}
#endif
