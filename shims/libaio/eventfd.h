/* SPDX-License-Identifier: MIT */
/*
 * IOCB_FLAG_RESFD, after the events are in the ring.
 *
 * The kernel holds the eventfd since io_submit and adds to it without waiting: at its most the counter
 * stays there. Here there is only the number, and a write of what a counter cannot take waits until
 * somebody reads it. So poll is asked before:
 *
 *   no POLLOUT        not even 1 can be added: it reads as it should, and nothing is done
 *   POLLOUT           the counter is 0, and takes as much as there ever is
 *   POLLIN | POLLOUT  it takes 1 at least; more only where a write does not wait
 *   and more          files, pipes, sockets and terminals say POLLWRNORM too, Linux's eventfds do not: most
 *                     likely something else is under the number now, and if it has a type it is
 *
 * What remains is that another thread fills the counter between poll and the write.
 */
#ifndef LIBAIO_EVENTFD_H
#define LIBAIO_EVENTFD_H

#include "../common/look.h"
#include "../common/stats.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTFD_WAYS (LOOK_IN | LOOK_OUT)

static inline bool eventfd_ready(int fd, short *ret_ready)
{
	struct pollfd set = { .fd = fd, .events = EVENTFD_WAYS };
	struct stat st;

	shim_count_made(1);
	if (look(&set, 1) != 1 || !(set.revents & POLLOUT))
		return false;
	*ret_ready = set.revents;
	if (!(set.revents & ~(POLLIN | POLLOUT)))
		return true;
	shim_count_made(1);
	return !fstat(fd, &st) && !(st.st_mode & S_IFMT);
}

static inline bool eventfd_takes(int fd, short ready, uint64_t count)
{
	if (count == 1 || !(ready & POLLIN))
		return true;
	shim_count_made(1);
	return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static inline void eventfd_tell(int fd, uint64_t count)
{
	bool whole = true;
	uint64_t part;
	short ready;

	while (count && eventfd_ready(fd, &ready)) {
		part = whole && eventfd_takes(fd, ready, count) ? count : 1;
		shim_count_made(1);
		if (write(fd, &part, sizeof(part)) > 0)
			count -= part;
		else if (part > 1)
			whole = false; /* what fits */
		else
			return; /* closed or filled meanwhile */
	}
}

#endif
