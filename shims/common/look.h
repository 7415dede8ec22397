/* SPDX-License-Identifier: MIT */
/*
 * Is a descriptor ready now? Poll tells, but for as many descriptors at once only as the limit of open files allows,
 * and programs in a sandbox set that to 0. Then select does, which cannot tell an end or an error from data.
 */
#ifndef SHIM_LOOK_H
#define SHIM_LOOK_H

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/select.h>

#define LOOK_IN (POLLIN | POLLRDNORM)
#define LOOK_OUT (POLLOUT | POLLWRNORM)

static inline int look_by_select(struct pollfd *p)
{
	struct timeval none = { 0, 0 };
	fd_set in, out, pri;

	p->revents = 0;
	if (p->fd < 0 || p->fd >= FD_SETSIZE)
		return 0;
	FD_ZERO(&in);
	FD_SET(p->fd, &in);
	out = pri = in;
	if (select(p->fd + 1, &in, &out, &pri, &none) < 0)
		return -1;
	p->revents = (short)(p->events & ((FD_ISSET(p->fd, &in) ? LOOK_IN : 0) |
					  (FD_ISSET(p->fd, &out) ? LOOK_OUT : 0) |
					  (FD_ISSET(p->fd, &pri) ? POLLPRI : 0)));
	return p->revents != 0;
}

/* As poll with a time limit of 0. */
static inline int look(struct pollfd *fds, unsigned n)
{
	int ready = poll(fds, n, 0);

	if (__builtin_expect(ready >= 0 || errno != EINVAL, 1))
		return ready;
	ready = 0;
	for (unsigned k = 0; k < n; k++)
		ready += look_by_select(&fds[k]) > 0;
	return ready;
}

#endif
