/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that operations in flight need. The kernel takes the file itself in io_submit, and a
 * program may close the descriptor then; a queue has the number only. So whoever sees the program close
 * numbers (libasys-syscall.so) says so beforehand, and after that no operation depends on them:
 *
 *   transfers and fsync of files     are waited for. They need the number that they have: a second
 *                                    descriptor would, when it is closed, take the locks of fcntl away
 *                                    that the process has on that file
 *   pipes, sockets, polls, devices   may wait for ever, so they go on with a descriptor of the shim's
 *                                    own, as the kernel would with the file
 *   IOCB_FLAG_RESFD                  nobody is told
 *
 * Nothing is done, and nothing waited for, when
 *   - this thread is inside the shim: then a signal handler interrupted it, which must not wait for it;
 *   - the process is not the one whose contexts these are: after vfork the numbers are copies.
 */
#ifndef LIBAIO_NUMBERS_H
#define LIBAIO_NUMBERS_H

#include "context.h"

#include <limits.h>

/* Not 0 while there are operations in flight: as many contexts have some. */
extern __attribute__((visibility("default"))) _Atomic uint32_t asys_aio_busy;

/* The program is about to close the descriptors from `first` to `last`. Keeps errno, and is no
 * cancellation point. */
__attribute__((visibility("default"))) void asys_aio_let_go(unsigned first, unsigned last);

/* With the lock, which it lets go meanwhile: writes to files, and fsync, that were accepted before have
 * ended. True: there are kicks, to be flushed. */
bool numbers_await_writes(struct context *ctx);

/* In a child. */
void numbers_begin_anew(void);

/* With the lock: an operation is in flight from now on; or no longer. */
void numbers_add(struct context *ctx, const struct operation *op);
void numbers_remove(struct context *ctx, const struct operation *op);

/* False: nothing in flight has such a number. Without the lock: it is true of what this thread submitted,
 * and of what happened before in other threads. */
static inline bool numbers_maybe(const struct context *ctx, unsigned first, unsigned last)
{
	for (unsigned k = 0; k < NUMBERS && k <= last - first; k++)
		if (atomic_load_explicit(&ctx->numbers[(first + k) % NUMBERS],
					 memory_order_relaxed))
			return true;
	return false;
}

#endif
