/* SPDX-License-Identifier: MIT */
/* Built without liburing: no call is ever started here, so nothing else is reached with work to do. */
#include "engine/uring.h"
#include "sched/queue.h"

#if !ASYS_HAVE_URING

void uring_serve(uint64_t summons)
{
	(void)summons;
}

static int start(struct asys_queue *q, uint32_t i)
{
	(void)q;
	(void)i;
	return -EOPNOTSUPP;
}

static unsigned reap_ring(struct asys_queue *q)
{
	(void)q;
	return 0;
}

static void flush(struct asys_queue *q)
{
	(void)q;
}

static void cancel(struct asys_queue *q, uint32_t i)
{
	(void)q;
	(void)i;
}

static uint32_t uring_outstanding(const struct asys_queue *q)
{
	(void)q;
	return 0;
}

static void close_ring(struct asys_queue *q, bool child)
{
	(void)q;
	(void)child;
}

const struct engine engine_uring = {
	.name = "uring",
	.start = start,
	.flush = flush,
	.reap = reap_ring,
	.cancel = cancel,
	.outstanding = uring_outstanding,
	.close = close_ring,
};

bool uring_takes(uint32_t nr)
{
	(void)nr;
	return false;
}

int uring_wait(struct asys_queue *q, uint64_t when_ns)
{
	(void)q;
	(void)when_ns;
	return -EOPNOTSUPP;
}

void uring_retire(struct asys_queue *q)
{
	(void)q;
}

void uring_recall(struct asys_queue *q)
{
	(void)q;
}

void uring_thread_leaves(struct asys_queue *q)
{
	(void)q;
}

bool uring_is_refused(const struct asys_queue *q)
{
	(void)q;
	return false;
}

int uring_watch(struct asys_queue *q)
{
	(void)q;
	return 0;
}

bool uring_has_news(const struct asys_queue *q)
{
	(void)q;
	return false;
}

void uring_listen(struct asys_queue *q)
{
	(void)q;
}

void uring_listen_no_more(struct asys_queue *q)
{
	(void)q;
}
#endif
