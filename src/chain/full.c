/* SPDX-License-Identifier: MIT */
/* Transfers that go on until they are whole. */
#include "chain/program.h"

#include <sys/uio.h>

enum shape {
	SHAPE_NONE,
	SHAPE_PLAIN,  /* (fd, address, size, ...) */
	SHAPE_AT,     /* (fd, address, size, offset) */
	SHAPE_VECTOR, /* (fd, iov, count) */
	SHAPE_VECTOR_AT,
	SHAPE_SIZE3, /* between descriptors, the size is word 3; the kernel keeps the offsets */
	SHAPE_SIZE4,
};

static enum shape shape_of(uint32_t nr)
{
	switch (nr) {
	case SYS_read:
	case SYS_write:
	case SYS_sendto:
	case SYS_recvfrom:
		return SHAPE_PLAIN;
	case SYS_pread64:
	case SYS_pwrite64:
		return SHAPE_AT;
	case SYS_readv:
	case SYS_writev:
		return SHAPE_VECTOR;
	case SYS_preadv:
	case SYS_pwritev:
		return SHAPE_VECTOR_AT;
	case SYS_sendfile:
		return SHAPE_SIZE3;
	case SYS_copy_file_range:
	case SYS_splice:
		return SHAPE_SIZE4;
	default:
		return SHAPE_NONE;
	}
}

bool full_knows(uint32_t nr)
{
	return shape_of(nr) != SHAPE_NONE;
}

static uint32_t single(uint32_t nr)
{
	switch (nr) {
	case SYS_readv:
		return SYS_read;
	case SYS_writev:
		return SYS_write;
	case SYS_preadv:
		return SYS_pread64;
	default:
		return SYS_pwrite64;
	}
}

/* The next buffer, or the rest of one, as a call of one buffer. */
static bool vector_rest(const struct asys_call *call, uint64_t done, bool at,
			struct asys_call *ret_rest)
{
	const struct iovec *iov = (const struct iovec *)(uintptr_t)call->arg[1];
	uint64_t offset = call->arg[3] + done;

	for (uint64_t k = 0; k < call->arg[2]; k++) {
		if (done >= iov[k].iov_len) {
			done -= iov[k].iov_len;
			continue;
		}
		*ret_rest = (struct asys_call){
			.nr = single(call->nr),
			.arg = { call->arg[0], ptr_word(iov[k].iov_base) + done,
				 iov[k].iov_len - done, at ? offset : 0 },
		};
		return true;
	}
	return false;
}

static bool size_rest(const struct asys_call *call, unsigned size, uint64_t done,
		      struct asys_call *ret_rest)
{
	*ret_rest = *call;
	ret_rest->arg[size] -= done;
	return done < call->arg[size];
}

bool full_rest(const struct asys_call *call, uint64_t done, struct asys_call *ret_rest)
{
	enum shape shape = shape_of(call->nr);
	bool more;

	switch (shape) {
	case SHAPE_PLAIN:
	case SHAPE_AT:
		more = size_rest(call, 2, done, ret_rest);
		ret_rest->arg[1] += done;
		ret_rest->arg[3] += shape == SHAPE_AT ? done : 0;
		return more;
	case SHAPE_VECTOR:
	case SHAPE_VECTOR_AT:
		return vector_rest(call, done, shape == SHAPE_VECTOR_AT, ret_rest);
	case SHAPE_SIZE3:
		return size_rest(call, 3, done, ret_rest);
	case SHAPE_SIZE4:
		return size_rest(call, 4, done, ret_rest);
	case SHAPE_NONE:
		break;
	}
	return false;
}
