/* SPDX-License-Identifier: MIT */
/*
 * May the program's memory be touched? context.h says why it is asked like this. Addresses are numbers here: one
 * that nobody has asked about is no pointer to anything, and nothing says that it is aligned.
 *
 * Within one call of the program's a page that was found good is not asked for again, nor is the page that
 * this thread's stack is on at the moment. Nor in later calls of the thread's, as long as the program unmaps and
 * protects nothing, where somebody says when it does (libasys-syscall.so): asys_aio_unmaps changes before and
 * after, so what was asked in between is asked again.
 */
#ifndef LIBAIO_MEMORY_H
#define LIBAIO_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The part of an address that tells the page: of every page size a part. */
#define PAGE_BITS 12
#define PAGE_OF(address) ((uintptr_t)(address) >> PAGE_BITS)
#define KNOWN_PAGES 8u /* iocbs of one call often lie on a few pages, in any order */

/* What is known within one call: pages, each at the place that its number says; 0 where nothing is. The lowest bit
 * says that the page can be written, which is then known of it; the others are its number. */
struct memory {
	uintptr_t pages[KNOWN_PAGES];
};

/* Changes whenever memory may have become bad. 0: nobody says so. */
extern __attribute__((visibility("default"))) _Atomic uint64_t asys_aio_unmaps;

/* memory.c: what this thread knows, at the moment; anew after whatever may have taken long. */
struct memory *memory_now(void);

/* In a child, which may lack some of what its parent had (MADV_DONTFORK). */
void memory_begin_anew(void);

/* memory.c: the same as memory_is, page by page. */
bool memory_ask(struct memory *known, uintptr_t address, size_t size, bool written);

static inline bool memory_is_known(const struct memory *known, uintptr_t page, bool written)
{
	uintptr_t entry = known->pages[page % KNOWN_PAGES];

	return (page && entry >> 1 == page && (entry & 1) >= (uintptr_t)written) ||
	       page == PAGE_OF(__builtin_frame_address(0));
}

/* All of it, which is not nothing, can be read, or written too. */
static inline bool memory_is(struct memory *known, uintptr_t address, size_t size, bool written)
{
	uintptr_t page = PAGE_OF(address);

	return (page == PAGE_OF(address + size - 1) && memory_is_known(known, page, written)) ||
	       memory_ask(known, address, size, written);
}

static inline bool memory_reads(struct memory *known, uintptr_t address, size_t size)
{
	return memory_is(known, address, size, false);
}

/* Of four bytes or more, which are to be written anyway: asking may change four of them in each page. */
static inline bool memory_takes(struct memory *known, uintptr_t address, size_t size)
{
	return memory_is(known, address, size, true);
}

/* A copy of it, if it can be read. */
static inline bool memory_get(struct memory *known, void *ret_copy, uintptr_t address, size_t size)
{
	if (!memory_reads(known, address, size))
		return false;
	memcpy(ret_copy, (const void *)address, size);
	return true;
}

#endif
