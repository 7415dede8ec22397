/* SPDX-License-Identifier: MIT */
#include "call/facts.h"

#include <fcntl.h>

bool open_flags(const struct asys_call *call, uint64_t *ret_flags)
{
	*ret_flags = call->arg[call->nr == SYS_openat ? 2 : 1];
#ifdef SYS_open
	if (call->nr == SYS_open)
		return true;
#endif
	return call->nr == SYS_openat;
}

bool open_may_hang(const struct asys_call *call)
{
	uint64_t flags;

	if (!open_flags(call, &flags))
		return true;
	if (flags & (O_NONBLOCK | O_PATH | O_DIRECTORY))
		return false;
	return (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
}
