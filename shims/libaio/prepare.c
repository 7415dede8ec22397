/* SPDX-License-Identifier: MIT */
/*
 * What kind of file a descriptor is, and which system call an operation becomes.
 *
 * Calls. asys learns what a call costs by its number, and sends numbers that may wait for ever to
 * io_uring; so the number says what is known already:
 *
 *   page cache, not there (the attempt said so); O_DIRECT; flags    preadv2, pwritev2: io_uring
 *   to the page cache; no attempt possible                          pwrite64, pread64: who waits, threads
 *   pipe, socket                                                    read, write
 */
#include "submit.h"

#include "../common/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An empty read asks for mode and offsets; an empty write might wait for a lock. */
static int find_stream(const struct request *r, bool *ret_stream)
{
	*ret_stream = false;
	shim_count_made(1);
	if (r->write) {
		*ret_stream = lseek(r->fd, 0, SEEK_CUR) < 0 && errno == ESPIPE;
		return 0;
	}
	if (pread(r->fd, NULL, 0, 0) >= 0)
		return 0;
	*ret_stream = errno == ESPIPE;
	return errno == EISDIR || errno == EINVAL ? -EINVAL : 0;
}

/*
 * O_DIRECT. Where a read cannot be forbidden to wait, as on tmpfs, io_uring has nothing to wait with
 * either and would give each operation to a thread of its own. A read of one byte finds out, since
 * that is asked before alignment; whether it succeeds does not matter.
 */
static enum file_kind direct_kind(int fd)
{
	char byte;
	const struct iovec one = { &byte, 1 };

	shim_count_made(1);
	return syscall(SYS_preadv2, fd, &one, 1, 0, 0, RW_NOWAIT) < 0 && errno == EOPNOTSUPP ?
		       FILE_PLAIN :
		       FILE_DIRECT;
}

int file_look(struct context *ctx, struct request *r)
{
	enum file_kind believed = file_believed(ctx, r->fd);
	int flags = fcntl(r->fd, F_GETFL), err;
	bool stream = false;

	shim_count_made(1);
	if (flags < 0 || (flags & O_PATH) ||
	    (flags & O_ACCMODE) == (r->write ? O_RDONLY : O_WRONLY) ||
	    (flags & O_ACCMODE) == O_ACCMODE)
		return -EBADF;
	r->prompt = flags & O_NONBLOCK;
	r->append = r->write && !(r->rw_flags & RW_NOAPPEND) &&
		    ((flags & O_APPEND) || (r->rw_flags & RW_APPEND));
	if (believed == FILE_UNKNOWN || believed == FILE_STREAM || believed == FILE_EVENTFD) {
		err = find_stream(r, &stream);
		if (err)
			return err;
	}
	if (stream)
		r->kind = FILE_STREAM;
	else if (flags & O_DIRECT)
		r->kind = believed == FILE_PLAIN || believed == FILE_DIRECT ?
				  (uint8_t)believed :
				  (uint8_t)direct_kind(r->fd);
	else
		r->kind = believed == FILE_PLAIN ? FILE_PLAIN : FILE_CACHED;
	if (believed != r->kind)
		file_learn(ctx, r->fd, (enum file_kind)r->kind);
	return 0;
}

int prepare_vector(const struct request *r, struct iovec **ret_copy)
{
	*ret_copy = NULL;
	if (!r->vector || r->size <= 1)
		return 0;
	*ret_copy = malloc(r->size * sizeof(**ret_copy));
	if (!*ret_copy)
		return -ENOMEM;
	memcpy(*ret_copy, (const void *)(uintptr_t)r->buffer, r->size * sizeof(**ret_copy));
	return 0;
}

void prepare_memory(struct operation *op, struct iovec **copy)
{
	const struct request *r = &op->request;
	struct iovec *before = op->copied;

	op->copied = *copy;
	*copy = before;
	op->one = (struct iovec){ (void *)(uintptr_t)r->buffer, r->size };
	if (r->vector)
		op->one = (struct iovec){ NULL, 0 };
	if (r->vector && r->size == 1)
		op->one = (struct iovec){ request_part(r, 0).iov_base, r->bytes };
}

static uint32_t number_for(const struct request *r, bool vector)
{
	if (r->kind == FILE_STREAM) {
		if (vector)
			return r->write ? SYS_writev : SYS_readv;
		return r->write ? SYS_write : SYS_read;
	}
	if (vector)
		return r->write ? SYS_pwritev : SYS_preadv;
	return r->write ? SYS_pwrite64 : SYS_pread64;
}

static bool by_flags_call(const struct request *r)
{
	if (r->rw_flags || (r->kind == FILE_DIRECT))
		return true;
	return r->kind == FILE_CACHED && !r->write;
}

static void prepare_transfer(const struct operation *op, struct asys_call *call)
{
	const struct request *r = &op->request;
	const struct iovec *iov = op->copied ? op->copied : &op->one;
	uint64_t count = op->copied ? r->size : 1;

	call->arg[0] = (uint64_t)r->fd;
	call->arg[3] = (uint64_t)r->offset;
	if (by_flags_call(r)) {
		call->nr = r->write ? SYS_pwritev2 : SYS_preadv2;
		call->arg[1] = (uintptr_t)iov;
		call->arg[2] = count;
		call->arg[3] = r->kind == FILE_STREAM ? UINT64_MAX : (uint64_t)r->offset;
		call->arg[5] = r->rw_flags;
		return;
	}
	call->nr = number_for(r, op->copied);
	call->arg[1] = op->copied ? (uintptr_t)iov : (uintptr_t)op->one.iov_base;
	call->arg[2] = op->copied ? count : op->one.iov_len;
	if (r->kind == FILE_STREAM)
		call->arg[3] = 0;
}

void prepare_call(const struct operation *op, struct asys_call *call)
{
	const struct request *r = &op->request;

	*call = (struct asys_call){ .user = (uintptr_t)op };
	if (r->high)
		call->flags |= ASYS_CALL_HIGH;
	if (r->low)
		call->flags |= ASYS_CALL_LOW;
	switch (r->opcode) {
	case IOCB_CMD_FSYNC:
		call->nr = SYS_fsync;
		call->arg[0] = (uint64_t)r->fd;
		break;
	case IOCB_CMD_FDSYNC:
		call->nr = SYS_fdatasync;
		call->arg[0] = (uint64_t)r->fd;
		break;
	default:
		prepare_transfer(op, call);
	}
}
