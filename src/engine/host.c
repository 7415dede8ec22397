/* SPDX-License-Identifier: MIT */
#include "engine/host.h"

#include "ring/pollable.h"
#include "sched/queue.h"

int host_epoll(struct asys_queue *q)
{
	struct host *host = &q->host;
	int err = host->epoll_fd >= 0 ? 0 : pollable_open(&host->epoll_fd, &host->event_fd);

	return err || !q->uring || q->ring_watched ? err : uring_watch(q);
}
