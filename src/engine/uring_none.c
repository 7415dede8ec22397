/* SPDX-License-Identifier: MIT */
/* Built without liburing: no call is ever started here, so nothing else is reached with work to do. */
#include "engine/engine.h"
#include "engine/uring.h"

#if !ASYS_HAVE_URING

void uring_serve(uint64_t summons)
{
	(void)summons;
}

static bool takes(const struct asys_call *call)
{
	(void)call;
	return false;
}

static bool takes_disk(uint32_t nr)
{
	(void)nr;
	return false;
}

static int start(struct host *host, uint32_t i)
{
	(void)host;
	(void)i;
	return -EOPNOTSUPP;
}

static unsigned reap_ring(struct host *host)
{
	(void)host;
	return 0;
}

static void flush(struct host *host)
{
	(void)host;
}

static void cancel(struct host *host, uint32_t i)
{
	(void)host;
	(void)i;
}

static void close_ring(struct host *host, bool child)
{
	(void)host;
	(void)child;
}

const struct engine engine_uring = {
	.name = "uring",
	.takes = takes,
	.takes_disk = takes_disk,
	.start = start,
	.flush = flush,
	.reap = reap_ring,
	.cancel = cancel,
	.close = close_ring,
};

#endif
