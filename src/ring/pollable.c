/* SPDX-License-Identifier: MIT */
#include "ring/pollable.h"

#include "base/base.h"
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int pollable_open(int *ret_epoll, int *ret_event)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = UINT64_MAX };
	int epoll_fd = fd_above_standard(epoll_create1(EPOLL_CLOEXEC));
	int event_fd =
		epoll_fd < 0 ? -1 : fd_above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	int err = 0;

	if (event_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event)) {
		err = -errno;
		pollable_close(epoll_fd, event_fd);
		return fail(err, "no descriptors to wait with (%s): %s", strerror(-err),
			    descriptor_advice(err));
	}
	*ret_epoll = epoll_fd;
	*ret_event = event_fd;
	return 0;
}

void pollable_close(int epoll_fd, int event_fd)
{
	int state = cancel_point_off();

	if (event_fd >= 0)
		close(event_fd);
	if (epoll_fd >= 0)
		close(epoll_fd);
	cancel_point_back(state);
}
