/* SPDX-License-Identifier: MIT */
/* For the tests that run under the system's libaio and under the shim. */
#ifndef TESTS_AIO_LIBAIO_SUPPORT_H
#define TESTS_AIO_LIBAIO_SUPPORT_H

#include "support.h"

#include <libaio.h>

/* Headers older than Linux 5.9 do not have it. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* What an io_context_t points to. */
struct ring {
	unsigned id, nr;
	volatile unsigned head, tail;
	unsigned magic, compat, incompat, header_length;
	struct io_event events[];
};

#define RING_MAGIC 0xa10a10a1u

/* A context, or the test is skipped: this kernel has no KAIO to compare with. */
io_context_t setup(int events);
/* The shim is what io_submit leads to. */
bool under_shim(void);
/* Only where the shim promises more than the kernel does. */
void shim_or_skip(void);

int submit_iocb(io_context_t ctx, struct iocb *iocb);
/* The one event that comes within 10 s. */
struct io_event get_event(io_context_t ctx);
/* Submits and gets: the result. */
long result_now(io_context_t ctx, struct iocb *iocb);
/* No event comes within 30 ms. */
void check_nothing(io_context_t ctx);

/* A file of `pages` pages, each filled with its number, open for reading and writing; unlinked. */
int numbered_file(unsigned pages, int flags);
void check_page(const unsigned char *buf, unsigned page);

#endif
