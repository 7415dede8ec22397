/* SPDX-License-Identifier: MIT */
/* The end of an operation. */
#include "inside.h"

#include "../common/stats.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

void wake_sleepers(struct state *s)
{
	atomic_fetch_add(&s->ended, 1);
	shim_count_made(1);
	syscall(SYS_futex, &s->ended, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void group_release(struct group *group)
{
	if (atomic_fetch_sub(&group->left, 1) != 1)
		return;
	notice_give(&group->notice);
	free(group);
}

void finish_publish(struct op *op, int64_t result)
{
	struct aiocb *cb = atomic_load_explicit(&op->cb, memory_order_relaxed);

	if (unlikely(notice_is_wrong(&op->notice)))
		result = -EINVAL;
	cb->__return_value = result < 0 ? -1 : (ssize_t)result;
	__atomic_store_n(&cb->__error_code, result < 0 ? (int)-result : 0, __ATOMIC_RELEASE);
	atomic_store_explicit(&op->cb, NULL, memory_order_release);
}

void finish_free(struct state *s, struct op *op)
{
	struct notice notice = op->notice;
	struct group *group = op->group;

	op_free(s, op);
	if (notice.how != SIGEV_NONE)
		notice_give(&notice);
	if (group)
		group_release(group);
}
