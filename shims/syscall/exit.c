/* SPDX-License-Identifier: MIT */
/* The end of the process, or of its program: what was written through libaio is finished before, as where the
 * kernel does it in io_submit. */
#include <dlfcn.h>
#include <stddef.h>

/* Of the shim beside this one; of another libaio, which has no such thing, NULL. */
static void (*finish)(void);

static __attribute__((constructor)) void find_finish(void)
{
	*(void **)&finish = dlsym(RTLD_DEFAULT, "asys_aio_finish");
}

static void finish_writes(void)
{
	if (finish)
		finish();
}

#define LEAVE_FINISH finish_writes
#include "../common/leave.h"
