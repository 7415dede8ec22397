/* SPDX-License-Identifier: MIT */
/*
 * The one place where what asys returns becomes what an older interface returns.
 *
 * asys gives a value of 0 or more, or -errno, and never touches errno. libaio gives -errno too, and
 * leaves errno alone; POSIX gives -1 and sets errno. An error that speaks of a queue is turned into the
 * one that speaks of what the program knows: a context that is not this process's is no context.
 */
#ifndef SHIM_ERRNO_H
#define SHIM_ERRNO_H

#include <errno.h>
#include <stdint.h>

/* -errno in the words of the older interface; 0 and more is left as it is. */
static inline int64_t shim_error(int64_t result)
{
	switch (result) {
	case -ECHILD: /* a parent's queue */
	case -EXDEV:  /* an id of another queue */
	case -ESTALE: /* an id that is over */
		return -EINVAL;
	case -EMFILE: /* no queue, or no descriptor for its engines, can be had now */
		return -EAGAIN;
	default:
		return result;
	}
}

/* -1 with errno set, or the value. */
static inline int64_t shim_set_errno(int64_t result)
{
	if (result >= 0)
		return result;
	errno = (int)-shim_error(result);
	return -1;
}

/* libaio's functions leave errno as it was: SHIM_KEEP_ERRNO; at the top of a function does that. */
static inline void shim_restore_errno(const int *saved)
{
	errno = *saved;
}

#define SHIM_KEEP_ERRNO \
	__attribute__((cleanup(shim_restore_errno), unused)) const int shim_saved_errno = errno

#endif
