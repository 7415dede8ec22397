/* SPDX-License-Identifier: MIT */
#ifndef LIBAIO_EVENTFD_H
#define LIBAIO_EVENTFD_H

#include "../common/stats.h"

#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

/* IOCB_FLAG_RESFD, after the events are in the ring. The kernel holds the eventfd since io_submit, here
 * it is only its number: not written to if it has become something with a type. */
static inline void eventfd_tell(int fd, uint64_t count)
{
	struct stat st;

	shim_count_made(2);
	if (fstat(fd, &st) || (st.st_mode & S_IFMT))
		return;
	if (write(fd, &count, sizeof(count)) < 0)
		return; /* closed meanwhile, or full: then it reads as it should */
}

#endif
