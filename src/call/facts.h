/* SPDX-License-Identifier: MIT */
/* What is known of a call by its number and words, whoever runs it. */
#ifndef CALL_FACTS_H
#define CALL_FACTS_H

#include "base/base.h"
#include <asys/types.h>

/* Call numbers above are served as unknown ones. */
#define CALL_NUMBERS 512

/* It opens a file by name. */
static inline bool nr_opens(uint64_t nr)
{
	switch (nr) {
#ifdef SYS_open
	case SYS_open:
	case SYS_creat:
#endif
	case SYS_openat:
	case SYS_openat2:
		return true;
	default:
		return false;
	}
}

/* False: creat, which opens for writing; openat2, whose flags are in memory. */
bool open_flags(const struct asys_call *call, uint64_t *ret_flags);
/* One of the opens: where a FIFO has the name, it waits for the other end. */
bool open_may_hang(const struct asys_call *call);

/* Quick as a rule, but may block for ever. */
static inline bool may_hang(const struct asys_call *call)
{
	return nr_opens(call->nr) && open_may_hang(call);
}

#endif
