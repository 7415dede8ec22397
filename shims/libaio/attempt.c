/* SPDX-License-Identifier: MIT */
/* What can be done at once without waiting is done at once. */
#include "submit.h"

#include "../common/look.h"
#include "../common/stats.h"
#include "size.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEND_SHARE 3u /* poll promises room for a third of a socket's buffer, at least */
#define ALWAYS_READY (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

static int64_t transfer_now(const struct request *r, int64_t offset)
{
	const struct iovec one = { (void *)(uintptr_t)r->buffer, r->size };
	const struct iovec *iov = r->vector ? (const struct iovec *)(uintptr_t)r->buffer : &one;
	long nr = r->write ? SYS_pwritev2 : SYS_preadv2;
	long n = syscall(nr, r->fd, iov, r->vector ? r->size : 1, offset, 0,
			 r->rw_flags | RW_NOWAIT);

	return n < 0 ? -errno : n;
}

/* A short read may have met the end of the file, which another one finds as soon. */
static bool is_cold(const struct request *r, int64_t result)
{
	return result == -EAGAIN ||
	       (result > 0 && !size_may_be_less(r->fd, (uint64_t)r->offset + (uint64_t)result + 1));
}

/* Of a read. A short one may have come to the end of the file, or of what is in memory: it is done
 * again from its beginning by a call that waits. */
static enum attempt judge_read(struct context *ctx, struct request *r, int64_t *result)
{
	bool asked = r->rw_flags & RW_NOWAIT;

	if (*result == 0 || *result == (int64_t)r->bytes || (asked && *result > 0))
		return ATTEMPT_DONE;
	switch (*result) {
	case -EBADF:
		return ATTEMPT_FAIL;
	case -EISDIR:
	case -EINVAL:
		*result = -EINVAL;
		return ATTEMPT_FAIL;
	case -ESPIPE:
		r->kind = FILE_STREAM;
		file_learn(ctx, r->fd, FILE_STREAM);
		return ATTEMPT_QUEUE;
	case -EAGAIN:
		return asked ? ATTEMPT_DONE : ATTEMPT_QUEUE;
	case -EOPNOTSUPP:
		if (asked)
			return ATTEMPT_FAIL;
		if (!r->rw_flags) {
			r->kind = FILE_PLAIN;
			file_learn(ctx, r->fd, FILE_PLAIN);
		}
		return ATTEMPT_QUEUE;
	case -EINTR:
		return ATTEMPT_QUEUE;
	default:
		return *result < 0 ? ATTEMPT_DONE : ATTEMPT_QUEUE;
	}
}

static bool may_meet_end(const struct request *r)
{
	return size_may_be_less(r->fd, (uint64_t)r->offset + r->bytes);
}

/* One that was in vain is a call more than the operation needs. */
static enum attempt judge(struct context *ctx, struct request *r, int64_t *result)
{
	enum attempt outcome = r->write ? ATTEMPT_DONE : judge_read(ctx, r, result);

	if (!r->write && *result >= 0)
		r->end = *result < (int64_t)r->bytes;
	else if (outcome == ATTEMPT_QUEUE && r->kind != FILE_STREAM)
		r->end = may_meet_end(r);
	if (outcome == ATTEMPT_QUEUE && !r->write)
		r->cold = is_cold(r, *result);
	if (outcome != ATTEMPT_DONE)
		shim_count_made(1);
	return outcome;
}

static bool is_socket(int fd)
{
	struct stat st;

	shim_count_made(1);
	return !fstat(fd, &st) && S_ISSOCK(st.st_mode);
}

/* The page cache is asked, which takes no longer than a copy. */
static enum attempt try_now(struct context *ctx, struct request *r, int64_t *result)
{
	enum attempt outcome;

	*result = transfer_now(r, r->offset);
	outcome = judge(ctx, r, result);
	if (r->kind == FILE_CACHED && !r->write)
		file_attempted(ctx, r->fd, outcome != ATTEMPT_FAIL && !r->cold);
	return outcome;
}

enum attempt attempt_transfer(struct context *ctx, struct request *r, bool held,
			      int64_t *ret_result)
{
	bool later;

	if (!held && !r->write && !r->rw_flags)
		r->cold = file_is_cold(ctx, r->fd);
	later = held || r->cold || (r->write && !(r->rw_flags & RW_NOWAIT));

	if (!r->write && !later && file_believed(ctx, r->fd) == FILE_CACHED && !check_area(r)) {
		enum attempt outcome;

		r->kind = FILE_CACHED;
		outcome = try_now(ctx, r, ret_result);
		if (*ret_result != -ESPIPE)
			return outcome;
		file_learn(ctx, r->fd, FILE_UNKNOWN);
	}
	*ret_result = file_look(ctx, r);
	if (!*ret_result)
		*ret_result = check_area(r);
	if (*ret_result)
		return ATTEMPT_FAIL;
	if (r->kind == FILE_STREAM && r->offset && is_socket(r->fd)) {
		*ret_result = -ESPIPE; /* sockets look at the offset, pipes do not */
		return ATTEMPT_DONE;
	}
	if (later || r->kind != FILE_CACHED) {
		r->end = !r->write && (r->kind == FILE_CACHED || r->kind == FILE_PLAIN) &&
			 may_meet_end(r);
		return ATTEMPT_QUEUE;
	}
	return try_now(ctx, r, ret_result);
}

/* A write waits until all of it has found room. Poll promises as much as a pipe writes in one piece. */
bool stream_has_room(const struct request *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLOUT };
	int pipe, filled, buffer;
	socklen_t size = sizeof(buffer);

	if (look(&p, 1) <= 0)
		return false;
	if (r->bytes <= PIPE_BUF || (p.revents & (POLLERR | POLLHUP)))
		return true;
	pipe = fcntl(r->fd, F_GETPIPE_SZ);
	if (pipe >= 0)
		return !ioctl(r->fd, FIONREAD, &filled) &&
		       (uint64_t)filled + r->bytes <= (uint64_t)pipe;
	return !getsockopt(r->fd, SOL_SOCKET, SO_SNDBUF, &buffer, &size) &&
	       r->bytes <= (uint64_t)buffer / SEND_SHARE;
}

enum attempt attempt_stream(struct request *r, int64_t *ret_result)
{
	if (r->write && r->bytes > PIPE_BUF) {
		r->prompt |= stream_has_room(r);
		return ATTEMPT_QUEUE;
	}
	if (!r->bytes)
		return ATTEMPT_QUEUE;
	*ret_result = transfer_now(r, -1);
	switch (*ret_result) {
	case -EAGAIN:
	case -EINTR:
	case -EINVAL:	  /* it may mean the flag */
	case -EOPNOTSUPP: /* it does */
		shim_count_made(1);
		return ATTEMPT_QUEUE;
	default:
		return ATTEMPT_DONE;
	}
}

enum attempt attempt_poll(const struct request *r, int64_t *ret_result)
{
	struct pollfd p = { .fd = r->fd, .events = (short)r->buffer };
	struct stat st;

	*ret_result = check_descriptor(r->fd);
	if (*ret_result)
		return ATTEMPT_FAIL;
	if (look(&p, 1) > 0) {
		*ret_result = (unsigned short)p.revents;
		return ATTEMPT_DONE;
	}
	shim_count_made(1);
	/* A file that cannot be polled is always ready, unless that was not asked for. */
	if (!(r->buffer & ALWAYS_READY) && !fstat(r->fd, &st) &&
	    (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		*ret_result = -EINVAL;
		return ATTEMPT_FAIL;
	}
	return ATTEMPT_QUEUE;
}

enum attempt attempt_sync(const struct request *r, int64_t *ret_result)
{
	struct stat st;

	*ret_result = check_descriptor(r->fd);
	if (*ret_result)
		return ATTEMPT_FAIL;
	shim_count_made(1);
	if (!fstat(r->fd, &st) &&
	    (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode)))
		return ATTEMPT_QUEUE;
	*ret_result = -EINVAL;
	return ATTEMPT_FAIL;
}
