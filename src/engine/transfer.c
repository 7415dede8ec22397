/* SPDX-License-Identifier: MIT */
/*
 * What the engines that transfer piecewise ask about a descriptor and about the words of a call.
 */
#include "engine/transfer.h"
#include "engine/engine.h"
#include "engine/threads.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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

/*
 * MSG_WAITALL asks for more where the stream has brought less. Messages keep their ends (SOCK_SEQPACKET and
 * others), and so does AF_UNIX where descriptors came with the bytes or another sender's begin: there
 * what was received is all, though it is short.
 */
static bool has_seams(int fd)
{
	int domain = AF_UNIX;

	return !socket_option(fd, SO_DOMAIN, &domain, sizeof(domain)) ||
	       (domain != AF_INET && domain != AF_INET6);
}

bool socket_is_local(int fd)
{
	int domain = 0;

	return socket_option(fd, SO_DOMAIN, &domain, sizeof(domain)) && domain == AF_UNIX;
}

bool socket_is_seamless(int fd)
{
	return socket_is_stream(fd) && !has_seams(fd);
}

bool socket_is_seamed(int fd)
{
	return socket_is_stream(fd) && has_seams(fd);
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

unsigned transfer_pieces(const struct asys_call *call, uint64_t done, struct iovec *ret_iov,
			 unsigned room)
{
	const struct iovec one = { (void *)(uintptr_t)call->arg[1], call->arg[2] };
	uint64_t count = 1, most = done < TRANSFER_MAX ? TRANSFER_MAX - done : 0;
	const struct iovec *iov = transfer_vector(call, &count);
	unsigned n = 0;

	if (!iov)
		iov = &one;
	for (uint64_t k = 0; k < count && n < room && most; k++) {
		uint64_t size = iov[k].iov_len;

		if (done >= size) {
			done -= size;
			continue;
		}
		size = size - done < most ? size - done : most;
		ret_iov[n].iov_base = (char *)iov[k].iov_base + done;
		ret_iov[n++].iov_len = size;
		most -= size;
		done = 0;
	}
	return n;
}

bool transfer_rest(const struct asys_call *call, uint64_t done, uint64_t *ret_addr,
		   uint64_t *ret_size)
{
	struct iovec iov;

	if (!transfer_pieces(call, done, &iov, 1))
		return false;
	*ret_addr = ptr_word(iov.iov_base);
	*ret_size = iov.iov_len;
	return true;
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
 * Only what is a stream of bytes is ever transferred in part by a call that blocks until all of it is.
 * Disks come short for good (no space), datagrams are whole or nothing.
 */
bool transfer_is_partial(const struct asys_call *call, uint64_t done)
{
	bool out = transfer_is_out(transfer_way(call->nr));
	uint32_t flags = transfer_flags(call);
	uint64_t addr, size;

	if (!out && (flags & (MSG_WAITALL | MSG_PEEK)) != MSG_WAITALL)
		return false;
	if ((flags & MSG_DONTWAIT) || !transfer_rest(call, done, &addr, &size))
		return false;
	if (call->nr == SYS_pwritev2 && (call->arg[5] & TRANSFER_NOWAIT))
		return false;
	switch (file_kind((int)call->arg[0])) {
	case FILE_PIPE:
		return true;
	case FILE_SOCKET:
		return out ? socket_is_stream((int)call->arg[0]) :
			     socket_is_seamless((int)call->arg[0]);
	default:
		return false;
	}
}

bool transfer_goes_on(const struct asys_call *call, uint64_t done)
{
	return transfer_is_partial(call, done) && !fd_is_nonblocking((int)call->arg[0]);
}

/* To threads. */

/* What a thread is to transfer of a call of which a part was moved before. */
struct rest {
	struct msghdr msg;
	struct iovec iov[];
};

/*
 * The words of the call become those of its rest, as one transfer: a time-out of the socket begins with
 * the first wait, and there was none yet. Control data went with the first byte. The blocking call
 * raises no SIGPIPE on a socket once it has sent something. False: there is no rest, or no memory
 * for it: then the part is the result.
 */
static bool take_up_rest(struct slot *slot)
{
	struct asys_call *call = &slot->call;
	bool out = transfer_is_out(transfer_way(call->nr));
	uint32_t flags = transfer_flags(call);
	uint64_t count = 1, arg[6] = { call->arg[0] };
	struct rest *rest;

	if (!transfer_is_partial(call, (uint64_t)slot->result))
		return false;
	transfer_vector(call, &count);
	rest = calloc(1, sizeof(*rest) + count * sizeof(rest->iov[0]));
	if (!rest)
		return false;
	count = transfer_pieces(call, (uint64_t)slot->result, rest->iov, (unsigned)count);
	if (file_kind((int)call->arg[0]) == FILE_SOCKET) {
		rest->msg.msg_iov = rest->iov;
		rest->msg.msg_iovlen = (__typeof__(rest->msg.msg_iovlen))count;
		call->nr = out ? SYS_sendmsg : SYS_recvmsg;
		arg[1] = ptr_word(&rest->msg);
		arg[2] = flags | (out ? (uint32_t)MSG_NOSIGNAL : 0);
	} else {
		call->nr = SYS_writev;
		arg[1] = ptr_word(rest->iov);
		arg[2] = count;
	}
	arg[5] = ptr_word(rest); /* no call of these reads it */
	memcpy(call->arg, arg, sizeof(arg));
	slot->given = GIVEN_REST;
	return true;
}

void transfer_to_thread(struct host *host, uint32_t i)
{
	struct slot *slot = host_slot(host, i);

	if (slot->result && !take_up_rest(slot)) {
		host->ended(host, i, slot->result);
		return;
	}
	slot->engine = ASYS_ENGINE_THREADS;
	slot->lane = LANE_SLOW;
	if (engine_threads.start(host, i)) {
		/* Whoever comes after this driver has threads. */
		if (!host->may_start(host)) {
			slot->engine = ASYS_ENGINE_AUTO;
			host->again(host, i);
			return;
		}
		/* No thread can be had: the call blocks its caller, who waits for it. */
		slot->engine = ASYS_ENGINE_INLINE;
		host->ended(host, i, raw_syscall(slot->call.nr, slot->call.arg));
		return;
	}
	engine_threads.flush(host);
}

int64_t transfer_came_back(struct slot *slot, int64_t result)
{
	bool sleep = slot->given == GIVEN_SLEEP;

	slot->given = GIVEN_NOTHING;
	free((void *)(uintptr_t)slot->call.arg[5]);
	return sleep ? result : slot->result + (result > 0 ? result : 0);
}
