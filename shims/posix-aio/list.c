/* SPDX-License-Identifier: MIT */
/* lio_listio: many at once. */
#include "names.h"
#include "submit.h"
#include "wait.h"

#include "../common/errno.h"
#include "../common/stats.h"
#include <stdlib.h>

struct list {
	struct aiocb *const *cbs;
	int n;
};

static enum op_kind kind_of(const struct aiocb *cb)
{
	return cb->aio_lio_opcode == LIO_READ  ? OP_READ :
	       cb->aio_lio_opcode == LIO_WRITE ? OP_WRITE :
						 OP_WRONG;
}

/* Returns the first error; *ret_count: how many were accepted. */
static int submit_list(const struct list *list, struct submission how, int *ret_count)
{
	uint64_t begin = shim_submit_begin();
	int result = 0, err;

	*ret_count = 0;
	for (int i = 0; i < list->n; i++) {
		if (!list->cbs[i] || list->cbs[i]->aio_lio_opcode == LIO_NOP)
			continue;
		how.kind = kind_of(list->cbs[i]);
		if (how.group)
			atomic_fetch_add(&how.group->left, 1);
		err = submit(list->cbs[i], &how);
		if (err && how.group)
			atomic_fetch_sub(&how.group->left, 1);
		if (err && !result)
			result = err;
		*ret_count += !err;
	}
	shim_submit_end(begin);
	return result;
}

static bool one_failed(const struct list *list)
{
	for (int i = 0; i < list->n; i++)
		if (list->cbs[i] && list->cbs[i]->aio_lio_opcode != LIO_NOP &&
		    list->cbs[i]->__error_code)
			return true;
	return false;
}

static int list_wait(const struct list *list, bool silent)
{
	const struct submission how = { .awaited = true, .silent = silent };
	int count, err = submit_list(list, how, &count), waited;

	if (!count)
		return err;
	waited = wait_for((const struct aiocb *const *)list->cbs, list->n, WAIT_FOR_ALL, UINT64_MAX,
			  false);
	if (waited)
		return waited;
	return err || one_failed(list) ? EIO : 0;
}

/* One notice when all have ended, besides each one's own. */
static int list_start(const struct list *list, const struct sigevent *event, bool silent)
{
	struct submission how = { .silent = silent };
	struct notice notice;
	int count, err;

	notice_from(&notice, event);
	if (notice.how != SIGEV_NONE) {
		/* A notice may be given at once: in a child not with what it has of its parent. */
		how.group = state_get() ? malloc(sizeof(*how.group)) : NULL;
		if (!how.group)
			return EAGAIN;
		how.group->notice = notice;
		how.group->left = 1; /* this function's, so that it does not end early */
	}
	err = submit_list(list, how, &count);
	if (how.group)
		group_release(how.group);
	if (notices_late() && state_now())
		back_ring(state_now()); /* who tries again must know */
	return err;
}

static int list_io(int mode, struct aiocb *const cbs[], int n, const struct sigevent *event,
		   bool silent)
{
	WITHOUT_CANCELLATION;
	const struct list list = { .cbs = cbs, .n = n };
	int err = EINVAL;

	if (mode == LIO_WAIT)
		err = list_wait(&list, silent);
	else if (mode == LIO_NOWAIT)
		err = list_start(&list, event, silent);
	return (int)shim_set_errno(-err);
}

int posix_lio_listio(int mode, struct aiocb *const cbs[], int n, struct sigevent *event)
{
	return list_io(mode, cbs, n, event, false);
}

#ifdef __x86_64__
/* Before glibc 2.4 the operations of a list gave no notices of their own. */
int posix_lio_listio_silent(int mode, struct aiocb *const cbs[], int n, struct sigevent *event)
{
	return list_io(mode, cbs, n, event, true);
}
SYMVER(posix_lio_listio, "lio_listio@@GLIBC_2.34");
SYMVER(posix_lio_listio, "lio_listio64@@GLIBC_2.34");
SYMVER(posix_lio_listio, "lio_listio@GLIBC_2.4");
SYMVER(posix_lio_listio, "lio_listio64@GLIBC_2.4");
SYMVER(posix_lio_listio_silent, "lio_listio@GLIBC_2.2.5");
SYMVER(posix_lio_listio_silent, "lio_listio64@GLIBC_2.2.5");
#else
EXPORT(posix_lio_listio, lio_listio);
#endif
