/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include "../common/stats.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_LEAST ((uintptr_t)1 << 12)
#define NO_SUCH_WAY (-1) /* of changing a signal mask */
#define SET_SIZE 8u	 /* of signals, as the kernel takes it */

/* The kernel takes the set before it looks at what is to be done with it. At 0 there is none, but at 8. */
static bool can_be_read(uintptr_t address)
{
	const uintptr_t word = address < SET_SIZE ? SET_SIZE : address & ~(uintptr_t)(SET_SIZE - 1);

	shim_count_made(1);
	return syscall(SYS_rt_sigprocmask, NO_SUCH_WAY, word, NULL, SET_SIZE) != -1 ||
	       errno != EFAULT;
}

/* The number of the processor is the cheapest that the kernel writes, and as short as a field of an iocb. At
 * 0 it is not asked for. */
static bool can_be_written(uintptr_t address)
{
	shim_count_made(1);
	return address && (syscall(SYS_getcpu, address, NULL, NULL) != -1 || errno != EFAULT);
}

/* One address in each page. Returns the last, or 0 if one of them is bad. */
static uintptr_t ask_each(bool (*ask)(uintptr_t), uintptr_t address, size_t size)
{
	uintptr_t last;

	if (__builtin_add_overflow(address, size - 1, &last))
		return 0;
	for (; ask(address); address = (address | (PAGE_LEAST - 1)) + 1)
		if (PAGE_OF(address) == PAGE_OF(last))
			return PAGE_OF(last);
	return 0;
}

bool memory_ask_reads(struct memory *known, const void *address, size_t size)
{
	known->reads = ask_each(can_be_read, (uintptr_t)address, size);
	return known->reads;
}

/* What can be written can be read. */
bool memory_ask_takes(struct memory *known, void *address, size_t size)
{
	known->reads = known->takes = ask_each(can_be_written, (uintptr_t)address, size);
	return known->takes;
}
