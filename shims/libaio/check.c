/* SPDX-License-Identifier: MIT */
/* What the kernel refuses, in its order where one request is wrong in two ways. */
#include "submit.h"

#include "../common/stats.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLAG_IOPRIO 2u

#define USER_BITS 56	       /* no address of a program is longer */
#define BYTES_MOST 0x7ffff000u /* of one transfer; more is as much as this */

enum { CLASS_NONE, CLASS_REALTIME, CLASS_BEST_EFFORT, CLASS_IDLE };

int check_words(const struct iocb *iocb)
{
	if (iocb->aio_reserved2 || iocb->aio_nbytes > SSIZE_MAX)
		return -EINVAL;
	return 0;
}

int check_descriptor(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	shim_count_made(1);
	return flags < 0 || (flags & O_PATH) ? -EBADF : 0;
}

/* Every such file has no type; only their name tells them apart. */
int check_eventfd(int fd)
{
	static const char *const name = "anon_inode:[eventfd]";
	char path[32], link[32];
	struct stat st;
	ssize_t n;

	shim_count_made(2);
	if (fstat(fd, &st))
		return -EBADF;
	if (st.st_mode & S_IFMT)
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link));
	return n < 0 || ((size_t)n == strlen(name) && !memcmp(link, name, strlen(name))) ? 0 :
											   -EINVAL;
}

static bool may_be_realtime(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	const uint32_t either = 1u << CAP_SYS_NICE | 1u << CAP_SYS_ADMIN;

	return !syscall(SYS_capget, &head, data) && (data[0].effective & either);
}

/* The priority of the disk belongs to a thread, so it cannot be had for one call; the class decides
 * what is started first. */
static int check_priority(const struct iocb *iocb, struct request *r)
{
	unsigned value = (uint16_t)iocb->aio_reqprio;

	switch (value >> 13) {
	case CLASS_NONE:
		return value ? -EINVAL : 0;
	case CLASS_REALTIME:
		r->high = true;
		return may_be_realtime() ? 0 : -EPERM;
	case CLASS_BEST_EFFORT:
		return 0;
	case CLASS_IDLE:
		r->low = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int check_rw_flags(struct request *r)
{
	if (r->rw_flags & ~RW_KNOWN)
		return -EOPNOTSUPP;
	if ((r->rw_flags & RW_ATOMIC) && !r->write)
		return -EOPNOTSUPP;
	if ((r->rw_flags & RW_APPEND) && (r->rw_flags & RW_NOAPPEND))
		return -EINVAL;
	r->rw_flags &= ~RW_HIPRI; /* nobody would poll for it */
	return 0;
}

static bool is_of_program(uint64_t address, uint64_t size)
{
	return !(address >> USER_BITS) && !((address + size) >> USER_BITS);
}

static bool is_transfer(const struct request *r)
{
	return r->write || r->vector || r->opcode == IOCB_CMD_PREAD;
}

struct iovec request_part(const struct request *r, uint64_t k)
{
	struct iovec part;

	memcpy(&part, (const void *)(uintptr_t)(r->buffer + k * sizeof(part)), sizeof(part));
	return part;
}

/* All lengths first, as the kernel does. */
static int check_lengths(struct request *r)
{
	for (uint64_t k = 0; k < r->size; k++) {
		size_t length = request_part(r, k).iov_len;

		if (length > SSIZE_MAX)
			return -EINVAL;
		r->bytes += length < BYTES_MOST ? length : BYTES_MOST;
	}
	if (r->bytes > BYTES_MOST)
		r->bytes = BYTES_MOST;
	return 0;
}

static int check_vector(struct request *r)
{
	int err;

	if (r->size > IOV_MAX)
		return -EINVAL;
	if (r->size && !memory_reads(memory_now(), r->buffer, r->size * sizeof(struct iovec)))
		return -EFAULT;
	err = check_lengths(r);
	for (uint64_t k = 0; !err && k < r->size; k++) {
		struct iovec part = request_part(r, k);

		if (!is_of_program((uintptr_t)part.iov_base, r->size > 1 ? part.iov_len : r->bytes))
			err = -EFAULT;
	}
	return err;
}

int check_memory(struct request *r)
{
	if (r->vector)
		return check_vector(r);
	if (!is_transfer(r))
		return 0;
	if (r->size > BYTES_MOST)
		r->size = BYTES_MOST;
	r->bytes = r->size;
	return is_of_program(r->buffer, r->size) ? 0 : -EFAULT;
}

static int check_transfer(const struct iocb *iocb, struct request *r)
{
	int err = iocb->aio_flags & FLAG_IOPRIO ? check_priority(iocb, r) : 0;

	return err ? err : check_rw_flags(r);
}

static int check_sync(const struct iocb *iocb)
{
	return iocb->aio_buf || iocb->aio_offset || iocb->aio_nbytes || iocb->aio_rw_flags ?
		       -EINVAL :
		       0;
}

static int check_poll(const struct iocb *iocb)
{
	return iocb->aio_buf > UINT16_MAX || iocb->aio_offset || iocb->aio_nbytes ||
			       iocb->aio_rw_flags ?
		       -EINVAL :
		       0;
}

int check_request(const struct iocb *iocb, struct request *r)
{
	*r = (struct request){
		.data = iocb->aio_data,
		.opcode = iocb->aio_lio_opcode,
		.fd = (int)iocb->aio_fildes,
		.eventfd = iocb->aio_flags & FLAG_RESFD ? (int)iocb->aio_resfd : -1,
		.rw_flags = (uint32_t)iocb->aio_rw_flags,
		.buffer = iocb->aio_buf,
		.size = iocb->aio_nbytes,
		.offset = iocb->aio_offset,
	};
	r->write = r->opcode == IOCB_CMD_PWRITE || r->opcode == IOCB_CMD_PWRITEV;
	r->vector = r->opcode == IOCB_CMD_PREADV || r->opcode == IOCB_CMD_PWRITEV;
	switch (r->opcode) {
	case IOCB_CMD_PREAD:
	case IOCB_CMD_PWRITE:
	case IOCB_CMD_PREADV:
	case IOCB_CMD_PWRITEV:
		if (r->vector)
			r->size = (uint32_t)r->size; /* as the kernel takes it */
		return check_transfer(iocb, r);
	case IOCB_CMD_FSYNC:
	case IOCB_CMD_FDSYNC:
		return check_sync(iocb);
	case IOCB_CMD_POLL:
		return check_poll(iocb);
	default: /* IOCB_CMD_NOOP too: the kernel has the name only */
		return -EINVAL;
	}
}

int check_area(const struct request *r)
{
	return r->offset < 0 || (uint64_t)(INT64_MAX - r->offset) < r->bytes ? -EINVAL : 0;
}
