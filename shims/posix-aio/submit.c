/* SPDX-License-Identifier: MIT */
/* aio_read, aio_write, aio_fsync, lio_listio: operations begin. */
#include "submit.h"
#include "names.h"

#include "../common/errno.h"
#include "../common/stats.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef AIO_PRIO_DELTA_MAX
#define PRIORITY_MOST AIO_PRIO_DELTA_MAX
#else
#define PRIORITY_MOST 20
#endif

/* What glibc leaves there for an operation whose priority is wrong. */
static int refuse(struct aiocb *cb, int err)
{
	cb->__return_value = -1;
	__atomic_store_n(&cb->__error_code, err, __ATOMIC_RELEASE);
	return err;
}

static bool is_transfer(enum op_kind kind)
{
	return kind == OP_READ || kind == OP_WRITE;
}

static enum op_file kind_of_file(int fd)
{
	struct stat st;

	shim_count_made(1);
	if (syscall(SYS_fstat, fd, &st))
		return FILE_DISK;
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
		return FILE_STREAM;
	return S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ? FILE_DISK : FILE_OTHER;
}

/*
 * Looks at the descriptor. A wrong one is a file like others: its call will say so. One that was a file on
 * disk still is as long as operations on it are in flight: a program that closes it before these have
 * ended does not know what they will read.
 */
static void look_at(struct file *file, struct op *op)
{
	SHIM_KEEP_ERRNO;
	int64_t flags;

	op->file = FILE_DISK;
	if (!atomic_load_explicit(&file->is_disk, memory_order_relaxed) ||
	    !(atomic_load_explicit(&file->in_lanes, memory_order_relaxed) +
	      atomic_load_explicit(&file->in_back, memory_order_relaxed))) {
		op->file = (uint8_t)kind_of_file(op->fd);
		atomic_store_explicit(&file->is_disk, op->file == FILE_DISK, memory_order_relaxed);
	}
	/* A negative offset is wrong for pread and pwrite whatever the file is, and they come first. */
	op->as_stream = op->file == FILE_STREAM && op->offset >= 0;
	op->ordered = op->file != FILE_DISK;
	if (op->ordered || op->kind != OP_WRITE)
		return;
	shim_count_made(1);
	flags = syscall(SYS_fcntl, op->fd, F_GETFL);
	op->ordered = flags >= 0 && (flags & O_APPEND);
}

/* It is counted first and then asked whether an fsync is under way; aio_fsync does it the other way
 * round: one of the two sees the other. */
static bool lane_takes(struct state *s, struct lane *lane, struct op *op)
{
	struct file *file = file_of(s, op->fd);
	uint32_t rest = atomic_load_explicit(&file->rest, memory_order_relaxed);

	if (op->file != FILE_DISK || op->ordered || op->group || op->notice.how != SIGEV_NONE)
		return false;
	if (unlikely(rest)) {
		atomic_store_explicit(&file->rest, rest - 1, memory_order_relaxed);
		return false;
	}
	if (!lane_open(lane))
		return false;
	/* After a rest one is tried: the others wait for what it says. */
	atomic_store_explicit(&file->rest, atomic_load_explicit(&file->pause, memory_order_relaxed),
			      memory_order_relaxed);
	atomic_fetch_add(&file->in_lanes, 1);
	if (likely(!atomic_load(&file->syncs)))
		return true;
	if (atomic_fetch_sub(&file->in_lanes, 1) == 1)
		back_ring(s);
	return false;
}

static void fill(struct op *op, const struct aiocb *cb, enum op_kind kind)
{
	op->fd = cb->aio_fildes;
	op->kind = (uint8_t)kind;
	op->state = OP_PUSHED;
	op->low = cb->aio_reqprio > 0;
	op->cancelled = false;
	op->buffer = (void *)(uintptr_t)cb->aio_buf;
	op->count = cb->aio_nbytes;
	op->offset = cb->aio_offset;
	notice_from(&op->notice, &cb->aio_sigevent);
}

/* Nothing but its end will be asked for, by a thread that always came to wait so far. */
static bool may_be_later(const struct lane *lane, const struct op *op)
{
	return is_transfer((enum op_kind)op->kind) && !op->ordered && !op->group &&
	       op->notice.how == SIGEV_NONE &&
	       atomic_load_explicit(&lane->direct, memory_order_relaxed);
}

static void count(enum op_kind kind)
{
	shim_count(kind == OP_READ ? SHIM_READ : kind == OP_WRITE ? SHIM_WRITE : SHIM_FSYNC, 1);
	shim_count_native(1);
}

int submit(struct aiocb *cb, const struct submission *how)
{
	struct state *s;
	struct lane *lane;
	struct file *file;
	struct op *op;

	if (how->kind == OP_FSYNC || how->kind == OP_FDATASYNC)
		cb->aio_reqprio = 0;
	else if (cb->aio_reqprio < 0 || cb->aio_reqprio > PRIORITY_MOST)
		return refuse(cb, EINVAL);
	s = state_get();
	file = s ? file_of(s, cb->aio_fildes) : NULL;
	op = file ? op_take(s) : NULL;
	if (!op)
		return EAGAIN;
	fill(op, cb, how->kind);
	op->group = how->group;
	atomic_store_explicit(&op->ticket, NULL, memory_order_relaxed);
	if (how->silent)
		op->notice.how = SIGEV_NONE;
	if (is_transfer(how->kind))
		look_at(file, op);
	else
		op->ordered = op->as_stream = false;
	lane = lane_mine(s);
	op->from = (uint8_t)lane_number(s, lane);
	cb->__abs_prio = (int)op_index(s, op);
	cb->__return_value = 0;
	__atomic_store_n(&cb->__error_code, EINPROGRESS, __ATOMIC_RELAXED);
	if (is_transfer(how->kind) &&
	    (how->awaited || atomic_load_explicit(&lane->direct, memory_order_relaxed)) &&
	    lane_takes(s, lane, op)) {
		atomic_store_explicit(&op->at, op->from, memory_order_relaxed);
		atomic_store_explicit(&op->cb, cb, memory_order_release);
		lane_push(s, lane, op);
	} else {
		if (how->kind == OP_FSYNC || how->kind == OP_FDATASYNC)
			atomic_fetch_add(&file->syncs, 1);
		atomic_store_explicit(&op->at, AT_BACK, memory_order_relaxed);
		atomic_store_explicit(&op->cb, cb, memory_order_release);
		atomic_fetch_add_explicit(&file->in_back, 1, memory_order_relaxed);
		back_push(s, op, may_be_later(lane, op));
	}
	count(how->kind);
	return 0;
}

static int submit_one(struct aiocb *cb, enum op_kind kind)
{
	WITHOUT_CANCELLATION;
	const struct submission how = { .kind = kind };
	uint64_t begin = shim_submit_begin();
	int err = submit(cb, &how);

	shim_submit_end(begin);
	return (int)shim_set_errno(-err);
}

int posix_aio_read(struct aiocb *cb)
{
	cb->aio_lio_opcode = LIO_READ;
	return submit_one(cb, OP_READ);
}
EXPORT(posix_aio_read, aio_read);

int posix_aio_write(struct aiocb *cb)
{
	cb->aio_lio_opcode = LIO_WRITE;
	return submit_one(cb, OP_WRITE);
}
EXPORT(posix_aio_write, aio_write);

int posix_aio_fsync(int how, struct aiocb *cb)
{
	if (how != O_SYNC && how != O_DSYNC)
		return (int)shim_set_errno(-EINVAL);
	if (fcntl(cb->aio_fildes, F_GETFL) < 0)
		return (int)shim_set_errno(-EBADF);
	return submit_one(cb, how == O_SYNC ? OP_FSYNC : OP_FDATASYNC);
}
EXPORT(posix_aio_fsync, aio_fsync);

/* A hint how many threads and operations to prepare for: nothing is prepared here. */
void posix_aio_init(const struct aioinit *init)
{
	(void)init;
}
EXPORT_ONE(posix_aio_init, aio_init);
