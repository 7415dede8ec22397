/* SPDX-License-Identifier: MIT */
#include "engine/host.h"

#include "engine/engine.h"
#include "ring/pollable.h"

int host_epoll(struct host *host)
{
	int err = host->epoll_fd >= 0 ? 0 : pollable_open(&host->epoll_fd, &host->event_fd);

	return err || !host->uring || host->ring_watched ? err : uring_watch(host);
}
