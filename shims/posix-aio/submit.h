/* SPDX-License-Identifier: MIT */
#ifndef POSIX_AIO_SUBMIT_H
#define POSIX_AIO_SUBMIT_H

#include "inside.h"

struct submission {
	enum op_kind kind;
	bool awaited; /* this thread is about to wait for it */
	bool silent;  /* without the control block's own notice */
	struct group *group;
};

/* 0, or an error number. */
int submit(struct aiocb *cb, const struct submission *how);

#endif
