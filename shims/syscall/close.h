/* SPDX-License-Identifier: MIT */
/* Before descriptors are closed: no operation of libaio's in flight depends on their numbers any more. */
#ifndef SYSCALL_CLOSE_H
#define SYSCALL_CLOSE_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Headers older than Linux 5.9 have neither. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

/* Of the shim beside this one (numbers.h there); of another libaio, which has no such thing, or before
 * the constructor has run: a 0 and NULL. */
extern const _Atomic uint32_t *shim_busy;
extern void (*shim_let_go_now)(unsigned first, unsigned last);

/* Two loads and a branch when nothing is in flight. */
static inline void shim_let_go(unsigned first, unsigned last)
{
	if (__builtin_expect(atomic_load_explicit(shim_busy, memory_order_relaxed), 0))
		shim_let_go_now(first, last);
}

/* As close_range. */
static inline void shim_let_go_range(unsigned first, unsigned last, int flags)
{
	if (!((unsigned)flags & CLOSE_RANGE_CLOEXEC))
		shim_let_go(first, last);
}

#endif
