/* SPDX-License-Identifier: MIT */
/* Before and after the program's memory changes: what libaio knows of it is asked anew. */
#ifndef SYSCALL_MEMORY_H
#define SYSCALL_MEMORY_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

void shim_memory_changes(void);

#endif
