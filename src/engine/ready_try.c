/* SPDX-License-Identifier: MIT */
/*
 * Attempts that cannot block, for the ready engine. transfer.c has what it shares with io_uring.
 * How each call is attempted:
 *   recv*, send*      MSG_DONTWAIT
 *   read, write ...   preadv2 and pwritev2 with RWF_NOWAIT and the file's own offset. Files with
 *                     offsets (disks) are refused: a transfer cut in two would not be atomic
 *                     against others that use the same offset, and only a device is waited for.
 *   accept            cannot be attempted: epoll says when a connection is there, then a thread
 *                     accepts it, since somebody else may be faster
 *   MSG_WAITALL       the same on AF_UNIX, where what comes short may be all (see
 *                     socket_is_seamless); but if enough is there one attempt says it
 *
 * The result must be the blocking call's. What differs is asked before the first wait:
 *   O_NONBLOCK                  -EAGAIN is the result
 *   SO_RCVTIMEO, SO_SNDTIMEO    a thread waits
 *   a short send on a stream    goes on until all is sent
 *   a short MSG_WAITALL         goes on until all is there or the stream ends (TCP)
 * With a time-out a thread goes on with the rest, see transfer_to_thread.
 */
#include "engine/ready.h"
#include "engine/transfer.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PIECES_AT_ONCE 16

bool ready_knows(const struct asys_call *call)
{
	enum transfer_way way = transfer_way(call->nr);

	/* Without RWF_NOWAIT there is no attempt for these. */
	return way != WAY_NONE && (way > WAY_WRITEV || asys_probe()->nowait);
}

enum ready_direction ready_way(const struct asys_call *call)
{
	return transfer_is_out(transfer_way(call->nr)) ? READY_OUT : READY_IN;
}

bool ready_is_accept(const struct asys_call *call)
{
	return transfer_way(call->nr) == WAY_ACCEPT;
}

/* Attempts. */

/* read on a socket is recv without flags, on kernels whose sockets do not know RWF_NOWAIT. */
static int64_t attempt_as_message(const struct asys_call *call, struct iovec *iov, uint64_t count,
				  bool out)
{
	/* The C libraries disagree on the type of the count. */
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (__typeof__(msg.msg_iovlen))count };
	const uint64_t arg[6] = { call->arg[0], ptr_word(&msg), MSG_DONTWAIT, 0, 0, 0 };

	return raw_syscall(out ? SYS_sendmsg : SYS_recvmsg, arg);
}

static int64_t attempt_vector(const struct asys_call *call, const struct iovec *iov, uint64_t count,
			      bool out, uint64_t flags)
{
	const uint64_t arg[6] = { call->arg[0], ptr_word(iov), count,
				  UINT64_MAX,	UINT64_MAX,    flags | TRANSFER_NOWAIT };
	int64_t res = raw_syscall(out ? SYS_pwritev2 : SYS_preadv2, arg);

	/* An emulator or a filter that does not know the call is no answer about the descriptor. */
	if (res == -ENOSYS)
		res = -EOPNOTSUPP;
	if (res == -EOPNOTSUPP && !flags && count <= TRANSFER_IOV_MAX &&
	    socket_is_stream((int)call->arg[0]))
		res = attempt_as_message(call, (struct iovec *)(uintptr_t)iov, count, out);
	return res;
}

/*
 * The rest of a transfer that had begun. Control data went with the first byte, and a socket raises no
 * SIGPIPE for a call that has sent something.
 */
static int64_t attempt_rest(const struct asys_call *call, uint64_t done, enum transfer_way way)
{
	struct iovec iov[PIECES_AT_ONCE];
	unsigned count = transfer_pieces(call, done, iov, PIECES_AT_ONCE);
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (__typeof__(msg.msg_iovlen))count };
	bool out = transfer_is_out(way);
	uint64_t arg[6] = { call->arg[0], ptr_word(&msg),
			    transfer_flags(call) | MSG_DONTWAIT | (out ? MSG_NOSIGNAL : 0) };
	int64_t res = raw_syscall(out ? SYS_sendmsg : SYS_recvmsg, arg);

	return res == -ENOTSOCK ? attempt_vector(call, iov, count, out, 0) : res;
}

static int64_t attempt_first(const struct asys_call *call, enum transfer_way way)
{
	uint64_t arg[6];
	struct iovec iov = { (void *)(uintptr_t)call->arg[1], call->arg[2] };

	memcpy(arg, call->arg, sizeof(arg));
	switch (way) {
	case WAY_READ:
	case WAY_WRITE:
		return attempt_vector(call, &iov, 1, way == WAY_WRITE, 0);
	case WAY_READV:
	case WAY_WRITEV:
		return attempt_vector(call, (const struct iovec *)(uintptr_t)call->arg[1],
				      call->arg[2], way == WAY_WRITEV,
				      call->nr == SYS_readv || call->nr == SYS_writev ?
					      0 :
					      (uint32_t)call->arg[5]);
	case WAY_RECV:
	case WAY_SEND:
		arg[3] = (uint32_t)arg[3] | MSG_DONTWAIT;
		return raw_syscall(call->nr, arg);
	default:
		arg[2] = (uint32_t)arg[2] | MSG_DONTWAIT;
		return raw_syscall(call->nr, arg);
	}
}

/* On a disk, or on nothing at all: no need to wait for readiness. */
static enum ready_outcome look_at_file(const struct asys_call *call, uint64_t *traps)
{
	++*traps;
	switch (file_kind((int)call->arg[0])) {
	case FILE_PIPE:
	case FILE_SOCKET:
	case FILE_ANON:
	case FILE_STREAM:
		return READY_WAIT;
	case FILE_OTHER:
		return READY_REFUSE;
	default:
		return READY_QUICK;
	}
}

/* Can this way of attempting give these words their exact meaning? READY_WAIT if so. */
static enum ready_outcome words_fit(const struct asys_call *call, enum transfer_way way,
				    uint64_t *traps)
{
	uint32_t flags = transfer_flags(call);
	bool fits = true;

	switch (way) {
	case WAY_READ:
	case WAY_WRITE:
		/* The kernel checks the whole range before it cuts the count, and count 0 never
		 * reaches most files: not the same through iovecs. */
		fits = call->arg[2] && call->arg[2] <= TRANSFER_MAX;
		break;
	case WAY_READV:
	case WAY_WRITEV:
		fits = call->arg[2] && call->arg[2] <= TRANSFER_IOV_MAX;
		if (call->nr == SYS_preadv2 || call->nr == SYS_pwritev2)
			fits = fits && call->arg[3] == UINT64_MAX;
		break;
	case WAY_RECV:
		if ((flags & MSG_WAITALL) && (call->arg[4] || (flags & (MSG_PEEK | MSG_TRUNC))))
			return READY_REFUSE;
		return flags & (MSG_OOB | MSG_ERRQUEUE) ? READY_REFUSE : READY_WAIT;
	case WAY_RECVMSG:
		return flags & (MSG_OOB | MSG_ERRQUEUE | MSG_WAITALL) ? READY_REFUSE : READY_WAIT;
	default:
		return flags & (MSG_OOB | MSG_FASTOPEN | MSG_ZEROCOPY) ? READY_REFUSE : READY_WAIT;
	}
	return fits ? look_at_file(call, traps) : READY_REFUSE;
}

/* It would block, for the first time: is waiting what the blocking call would have done? */
static enum ready_outcome before_wait(struct slot *slot, enum transfer_way way, int64_t *ret_result,
				      uint64_t *traps)
{
	const struct asys_call *call = &slot->call;
	int fd = (int)call->arg[0];
	bool out = transfer_is_out(way);
	bool asked = (transfer_flags(call) & MSG_DONTWAIT) ||
		     ((call->nr == SYS_preadv2 || call->nr == SYS_pwritev2) &&
		      (call->arg[5] & TRANSFER_NOWAIT));

	*traps += asked ? 0 : 2;
	if (asked || fd_is_nonblocking(fd)) {
		*ret_result = slot->result ? slot->result : -EAGAIN;
		return READY_DONE;
	}
	if (socket_has_timeout(fd, !out))
		return READY_REFUSE;
	return READY_WAIT;
}

static bool listens(int fd)
{
	int on = 0;

	return socket_option(fd, SO_ACCEPTCONN, &on, sizeof(on)) && on;
}

/* READY_WAIT if the call can only wait now, without a time limit; else a thread's. */
static enum ready_outcome wait_or_refuse(int fd, uint64_t *traps)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct timespec now = { 0, 0 };
	const uint64_t arg[6] = { ptr_word(&pfd), 1, ptr_word(&now), 0, 0, 0 };

	*traps += 3;
	if (fd_is_nonblocking(fd) || socket_has_timeout(fd, true))
		return READY_REFUSE;
	return raw_syscall(SYS_ppoll, arg) == 0 ? READY_WAIT : READY_REFUSE;
}

/*
 * accept takes a descriptor before it waits, and fails at once if there is none. So does this open, which
 * takes none in the end: a socket is no folder.
 */
static bool descriptor_is_free(int fd)
{
	return raw_call(SYS_openat, (uint64_t)(int64_t)fd, ptr_word("none"), O_PATH | O_CLOEXEC,
			0) == -ENOTDIR;
}

/* accept is never attempted here. */
static enum ready_outcome try_accept(const struct slot *slot, uint64_t *traps)
{
	const uint32_t flags = slot->call.nr == SYS_accept4 ? (uint32_t)slot->call.arg[3] : 0;
	int fd = (int)slot->call.arg[0];

	++*traps;
	if ((flags & ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK)) || !listens(fd))
		return READY_REFUSE;
	++*traps;
	return descriptor_is_free(fd) ? wait_or_refuse(fd, traps) : READY_REFUSE;
}

/* A receive of all, from a stream with seams: whether what came short is all is the call's own matter. */
static bool is_seamed(const struct asys_call *call, enum transfer_way way, uint64_t *traps)
{
	if (way != WAY_RECV || !(transfer_flags(call) & MSG_WAITALL))
		return false;
	*traps += 2;
	return socket_is_seamed((int)call->arg[0]);
}

static enum ready_outcome try_seamed(const struct asys_call *call, uint32_t events,
				     int64_t *ret_result, uint64_t *traps)
{
	int there = 0;

	*traps += 2;
	if (raw_call(SYS_ioctl, call->arg[0], FIONREAD, ptr_word(&there), 0) ||
	    (uint64_t)there < call->arg[2])
		return events || (transfer_flags(call) & MSG_DONTWAIT) ?
			       READY_REFUSE :
			       wait_or_refuse((int)call->arg[0], traps);
	*ret_result = attempt_first(call, WAY_RECV);
	return *ret_result == -EAGAIN ? READY_REFUSE : READY_DONE;
}

/*
 * The connection broke after part was moved. The blocking call returns the part and leaves the error to
 * the next call; another attempt would take it. AF_UNIX takes it in the blocking call too, but not in
 * an attempt to send.
 */
static bool is_broken(const struct asys_call *call, bool out, uint32_t events, uint64_t *traps)
{
	int fd = (int)call->arg[0], domain = AF_UNIX, value = 0;

	if ((events & (EPOLLERR | EPOLLHUP)) != (EPOLLERR | EPOLLHUP))
		return false;
	*traps += 2;
	if (!socket_option(fd, SO_DOMAIN, &domain, sizeof(domain)))
		return false;
	if (domain == AF_UNIX)
		return out && socket_option(fd, SO_ERROR, &value, sizeof(value));
	return out || raw_call(SYS_ioctl, (uint64_t)(int64_t)fd, FIONREAD, ptr_word(&value), 0) ||
	       !value;
}

/* `done` bytes were moved, not all: does the call go on? READY_WAIT if so. */
static enum ready_outcome after_part(struct slot *slot, enum transfer_way way, bool first,
				     int64_t *ret_result, uint64_t *traps)
{
	*traps += 2;
	*ret_result = slot->result;
	if (!transfer_is_partial(&slot->call, (uint64_t)slot->result))
		return READY_DONE;
	return first ? before_wait(slot, way, ret_result, traps) : READY_WAIT;
}

enum ready_outcome ready_try(struct slot *slot, uint32_t events, int64_t *ret_result,
			     uint64_t *traps)
{
	const struct asys_call *call = &slot->call;
	enum transfer_way way = transfer_way(call->nr);
	uint64_t done = (uint64_t)slot->result, addr, size;
	int64_t res;

	if (way == WAY_ACCEPT)
		return events ? READY_REFUSE : try_accept(slot, traps);
	if (!events) {
		enum ready_outcome fit = words_fit(call, way, traps);

		if (fit != READY_WAIT)
			return fit;
	}
	if (unlikely(is_seamed(call, way, traps)))
		return try_seamed(call, events, ret_result, traps);
	if (done && is_broken(call, transfer_is_out(way), events, traps))
		res = 0;
	else
		res = done ? attempt_rest(call, done, way) : attempt_first(call, way);
	*traps += res == -EAGAIN || done;
	if (res == -EAGAIN)
		return events ? READY_WAIT : before_wait(slot, way, ret_result, traps);
	if (res == -EOPNOTSUPP && !done && !transfer_flags(call))
		return READY_REFUSE;
	if (res <= 0) {
		*ret_result = done ? (int64_t)done : res;
		return READY_DONE;
	}
	slot->result += res;
	/* A short transfer took all that there was. */
	if (transfer_rest(call, (uint64_t)slot->result, &addr, &size))
		return done ? READY_WAIT : after_part(slot, way, !events, ret_result, traps);
	*ret_result = slot->result;
	return READY_DONE;
}
