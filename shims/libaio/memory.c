/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include "../common/stats.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NO_SUCH_WAY (-1) /* of changing a signal mask */
#define SET_SIZE 8u	 /* of signals, as the kernel takes it */
#define WORD 4u		 /* that the kernel writes */

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

_Atomic uint64_t asys_aio_unmaps;

static _Thread_local struct {
	struct memory memory;
	uint64_t unmaps;
} known;

/* A handler that interrupts this thread may come by here too: it finds no page that was good before `unmaps`. */
struct memory *memory_now(void)
{
	uint64_t unmaps = atomic_load_explicit(&asys_aio_unmaps, memory_order_acquire);

	if (unmaps && unmaps == known.unmaps)
		return &known.memory;
	for (unsigned k = 0; k < KNOWN_PAGES; k++)
		known.memory.pages[k] = 0;
	atomic_signal_fence(memory_order_seq_cst);
	known.unmaps = unmaps;
	return &known.memory;
}

void memory_begin_anew(void)
{
	if (atomic_load(&asys_aio_unmaps))
		atomic_fetch_add(&asys_aio_unmaps, 1);
}

/* What can be written can be read. */
static void note(struct memory *memory, uintptr_t page, bool written)
{
	memory->pages[page % KNOWN_PAGES] = page << 1 | written;
}

/* One question for each page, at the first byte of it that belongs to the memory. Of the last page there may be
 * less than a word, and what is behind it is not to be written: so the word ends with it. */
bool memory_ask(struct memory *memory, uintptr_t address, size_t size, bool written)
{
	uintptr_t last, at = address;

	if (__builtin_add_overflow(address, size - 1, &last))
		return false;
	for (uintptr_t page = PAGE_OF(address); page <= PAGE_OF(last); page++) {
		if (page != PAGE_OF(address))
			at = page << PAGE_BITS;
		if (memory_is_known(memory, page, written))
			continue;
		if (written && at > last - (WORD - 1))
			at = last - (WORD - 1);
		if (!(written ? can_be_written(at) : can_be_read(at)))
			return false;
		note(memory, page, written);
	}
	return true;
}
