/* SPDX-License-Identifier: MIT */
/* The functions behind the exported names. As libaio's they return -errno and leave errno alone. */
#ifndef LIBAIO_SYMBOLS_H
#define LIBAIO_SYMBOLS_H

#include <linux/aio_abi.h>
#include <signal.h>
#include <time.h>

int shim_io_submit(void *ring, long nr, struct iocb **iocbs);
int shim_io_getevents(void *ring, long least, long most, struct io_event *events,
		      const struct timespec *timeout);
int shim_io_pgetevents(void *ring, long least, long most, struct io_event *events,
		       const struct timespec *timeout, const sigset_t *mask);
int shim_io_cancel(void *ring, struct iocb *iocb, struct io_event *unused);

#endif
