/* SPDX-License-Identifier: MIT */
#include "engine/host.h"

#include "ring/pollable.h"

#include <poll.h>

#define NAP_NS 1000000u

int host_epoll(struct host *host)
{
	return host->epoll_fd >= 0 ? 0 : pollable_open(&host->epoll_fd, &host->event_fd);
}

static uint64_t nap_from(uint64_t when_ns)
{
	uint64_t now = clock_now(), left = when_ns > now ? when_ns - now : 0;

	return left < NAP_NS ? left : NAP_NS;
}

int host_wait(struct host *host, uint64_t when_ns)
{
	struct pollfd pfd = { .fd = host->epoll_fd, .events = POLLIN };
	struct timespec left;
	uint64_t arg[6] = { ptr_word(&pfd), 1, 0, 0, 0, 0 };
	int64_t got;

	if (when_ns != UINT64_MAX) {
		uint64_t now = clock_now();

		left = clock_timespec(when_ns > now ? when_ns - now : 0);
		arg[2] = ptr_word(&left);
	}
	got = raw_syscall(SYS_ppoll, arg);
	/* At a limit of no descriptors at all, poll takes none either. */
	if (unlikely(got == -EINVAL)) {
		left = clock_timespec(nap_from(when_ns));
		got = raw_call(SYS_ppoll, 0, 0, ptr_word(&left), 0);
	}
	return got > 0 ? 0 : got == 0 ? -ETIME : (int)got;
}
