/* SPDX-License-Identifier: MIT */
/*
 * What the engines that transfer piecewise ask about a descriptor and about the words of a call.
 */
#include "engine/transfer.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

enum transfer_way transfer_way(uint32_t nr)
{
	switch (nr) {
	case SYS_read:
		return WAY_READ;
	case SYS_write:
		return WAY_WRITE;
	case SYS_readv:
	case SYS_preadv2:
		return WAY_READV;
	case SYS_writev:
	case SYS_pwritev2:
		return WAY_WRITEV;
	case SYS_recvfrom:
		return WAY_RECV;
	case SYS_sendto:
		return WAY_SEND;
	case SYS_recvmsg:
		return WAY_RECVMSG;
	case SYS_sendmsg:
		return WAY_SENDMSG;
	case SYS_accept:
	case SYS_accept4:
		return WAY_ACCEPT;
	default:
		return WAY_NONE;
	}
}

bool transfer_is_out(enum transfer_way way)
{
	return way == WAY_WRITE || way == WAY_WRITEV || way == WAY_SEND || way == WAY_SENDMSG;
}

/* Questions about descriptors. A wrong descriptor has no property; the call itself will say so. */

enum file_kind file_kind(int fd)
{
	struct stat st;

	if (raw_call(SYS_fstat, (uint64_t)(int64_t)fd, ptr_word(&st), 0, 0) < 0)
		return FILE_BAD;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return st.st_size ? FILE_DISK : FILE_EMPTY;
	case S_IFBLK:
		return FILE_DISK;
	case S_IFIFO:
		return FILE_PIPE;
	case S_IFSOCK:
		return FILE_SOCKET;
	case S_IFCHR:
		return raw_call(SYS_lseek, (uint64_t)(int64_t)fd, 0, SEEK_CUR, 0) == -ESPIPE ?
			       FILE_STREAM :
			       FILE_OTHER;
	case 0:
		return FILE_ANON;
	default:
		return FILE_OTHER;
	}
}

bool fd_is_nonblocking(int fd)
{
	int64_t flags = raw_call(SYS_fcntl, (uint64_t)(int64_t)fd, F_GETFL, 0, 0);

	return flags >= 0 && (flags & O_NONBLOCK);
}

bool socket_option(int fd, int option, void *value, uint32_t size)
{
	const uint64_t arg[6] = { (uint64_t)(int64_t)fd, SOL_SOCKET,	  (uint64_t)option,
				  ptr_word(value),	 ptr_word(&size), 0 };

	return raw_syscall(SYS_getsockopt, arg) == 0;
}

bool socket_has_timeout(int fd, bool input)
{
	struct timeval tv = { 0, 0 };

	return socket_option(fd, input ? SO_RCVTIMEO : SO_SNDTIMEO, &tv, sizeof(tv)) &&
	       (tv.tv_sec || tv.tv_usec);
}

bool socket_is_stream(int fd)
{
	int type = 0;

	return socket_option(fd, SO_TYPE, &type, sizeof(type)) && type == SOCK_STREAM;
}

/* Transfers. */

static const struct iovec *transfer_vector(const struct asys_call *call, uint64_t *ret_count)
{
	const struct msghdr *msg;

	switch (transfer_way(call->nr)) {
	case WAY_READV:
	case WAY_WRITEV:
		*ret_count = call->arg[2];
		return (const struct iovec *)(uintptr_t)call->arg[1];
	case WAY_RECVMSG:
	case WAY_SENDMSG:
		msg = (const struct msghdr *)(uintptr_t)call->arg[1];
		*ret_count = (uint64_t)msg->msg_iovlen;
		return msg->msg_iov;
	default:
		return NULL;
	}
}

bool transfer_rest(const struct asys_call *call, uint64_t done, uint64_t *ret_addr,
		   uint64_t *ret_size)
{
	uint64_t count, most = done < TRANSFER_MAX ? TRANSFER_MAX - done : 0;
	const struct iovec *iov = transfer_vector(call, &count);

	if (!iov) {
		uint64_t size = call->arg[2] < TRANSFER_MAX ? call->arg[2] : TRANSFER_MAX;

		*ret_addr = call->arg[1] + done;
		*ret_size = size - done;
		return done < size;
	}
	for (uint64_t k = 0; k < count; k++) {
		if (done < iov[k].iov_len) {
			uint64_t size = iov[k].iov_len - done;

			*ret_addr = ptr_word(iov[k].iov_base) + done;
			*ret_size = size < most ? size : most;
			return *ret_size > 0;
		}
		done -= iov[k].iov_len;
	}
	return false;
}

uint32_t transfer_flags(const struct asys_call *call)
{
	switch (transfer_way(call->nr)) {
	case WAY_RECV:
	case WAY_SEND:
		return (uint32_t)call->arg[3];
	case WAY_RECVMSG:
	case WAY_SENDMSG:
		return (uint32_t)call->arg[2];
	default:
		return 0;
	}
}

/*
 * Only what is a stream of bytes is ever sent in part by a call that blocks until all is sent. Disks
 * come short for good (no space), datagrams are whole or nothing.
 */
bool transfer_goes_on(const struct asys_call *call, uint64_t done)
{
	int fd = (int)call->arg[0];
	uint64_t addr, size;

	if (!transfer_is_out(transfer_way(call->nr)) || !transfer_rest(call, done, &addr, &size))
		return false;
	if (transfer_flags(call) & MSG_DONTWAIT)
		return false;
	if (call->nr == SYS_pwritev2 && (call->arg[5] & TRANSFER_NOWAIT))
		return false;
	switch (file_kind(fd)) {
	case FILE_PIPE:
		break;
	case FILE_SOCKET:
		if (!socket_is_stream(fd))
			return false;
		break;
	default:
		return false;
	}
	return !fd_is_nonblocking(fd);
}
