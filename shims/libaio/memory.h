/* SPDX-License-Identifier: MIT */
/*
 * May the program's memory be touched? context.h says why it is asked like this.
 *
 * Within one call of the program's a page that was found good is not asked for again, nor is the page that
 * this thread's stack is on at the moment.
 */
#ifndef LIBAIO_MEMORY_H
#define LIBAIO_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The part of an address that tells the page: of every page size a part. */
#define PAGE_OF(address) ((uintptr_t)(address) >> 12)

/* What is known within one call: the last page that could be read, and the last that could be written; or 0,
 * where nothing is. */
struct memory {
	uintptr_t reads, takes;
};

/* memory.c: the same without looking at what is known. */
bool memory_ask_reads(struct memory *known, const void *address, size_t size);
bool memory_ask_takes(struct memory *known, void *address, size_t size);

static inline bool memory_is_stack(uintptr_t page)
{
	return page == PAGE_OF(__builtin_frame_address(0));
}

/* In one page that is known. */
static inline bool memory_is_known(uintptr_t known, const void *address, size_t size)
{
	uintptr_t page = PAGE_OF(address);

	return page && page == PAGE_OF((uintptr_t)address + size - 1) &&
	       (page == known || memory_is_stack(page));
}

/* All of it, which is not nothing, can be read. */
static inline bool memory_reads(struct memory *known, const void *address, size_t size)
{
	return memory_is_known(known->reads, address, size) ||
	       memory_ask_reads(known, address, size);
}

/* All of it can be written, and read. For what is to be written anyway: four bytes in each page, from the
 * first or from where the page begins, may be changed by asking. */
static inline bool memory_takes(struct memory *known, void *address, size_t size)
{
	return memory_is_known(known->takes, address, size) ||
	       memory_ask_takes(known, address, size);
}

#endif
