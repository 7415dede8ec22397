/* SPDX-License-Identifier: MIT */
/*
 * What takes the program's memory away, or makes it less: libaio remembers which pages it found good until one
 * of these is called (memory.h there). What the C library calls inside itself is not seen (free, the end of a thread,
 * dlclose); nobody may use such memory after that.
 *
 * Like close.c, what comes next under these names is called, and the kernel until the constructor has run.
 */
#include "memory.h"
#include "next.h"

#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

int munmap_seen(void *address, size_t size) EXPORT("munmap");
int mprotect_seen(void *address, size_t size, int how) EXPORT("mprotect");
int pkey_mprotect_seen(void *address, size_t size, int how, int key) EXPORT("pkey_mprotect");
int madvise_seen(void *address, size_t size, int advice) EXPORT("madvise");
void *mmap_seen(void *address, size_t size, int how, int flags, int fd, off_t at) EXPORT("mmap");
void *mmap64_seen(void *address, size_t size, int how, int flags, int fd, off_t at)
	EXPORT("mmap64");
void *mremap_seen(void *address, size_t size, size_t wanted, int flags, ...) EXPORT("mremap");
int remap_file_pages_seen(void *address, size_t size, int how, size_t page, int flags)
	EXPORT("remap_file_pages");
int brk_seen(void *end) EXPORT("brk");
void *sbrk_seen(intptr_t more) EXPORT("sbrk");
void *shmat_seen(int id, const void *address, int flags) EXPORT("shmat");
int shmdt_seen(const void *address) EXPORT("shmdt");

static _Atomic uint64_t nobody;
static _Atomic uint64_t *unmaps = &nobody;

void shim_memory_changes(void)
{
	atomic_fetch_add_explicit(unmaps, 1, memory_order_seq_cst);
}

/* Before and after: what is asked in between is of no worth later. */
#define SEEN(type, call)               \
	do {                           \
		type result;           \
		shim_memory_changes(); \
		result = call;         \
		shim_memory_changes(); \
		return result;         \
	} while (0)

static int kernel_munmap(void *address, size_t size)
{
	return (int)syscall(SYS_munmap, address, size);
}

static int kernel_mprotect(void *address, size_t size, int how)
{
	return (int)syscall(SYS_mprotect, address, size, how);
}

static int kernel_pkey_mprotect(void *address, size_t size, int how, int key)
{
	return (int)syscall(SYS_pkey_mprotect, address, size, how, key);
}

static int kernel_madvise(void *address, size_t size, int advice)
{
	return (int)syscall(SYS_madvise, address, size, advice);
}

static void *kernel_mmap(void *address, size_t size, int how, int flags, int fd, off_t at)
{
	return (void *)(intptr_t)syscall(SYS_mmap, address, size, how, flags, fd, at);
}

static void *kernel_mremap(void *address, size_t size, size_t wanted, int flags, ...)
{
	va_list rest;
	void *to;

	va_start(rest, flags);
	to = va_arg(rest, void *);
	va_end(rest);
	return (void *)(intptr_t)syscall(SYS_mremap, address, size, wanted, flags, to);
}

static int kernel_remap_file_pages(void *address, size_t size, int how, size_t page, int flags)
{
	return (int)syscall(SYS_remap_file_pages, address, size, how, page, flags);
}

static void *kernel_shmat(int id, const void *address, int flags)
{
	return (void *)(intptr_t)syscall(SYS_shmat, id, address, flags);
}

static int kernel_shmdt(const void *address)
{
	return (int)syscall(SYS_shmdt, address);
}

/* The C library knows where the end is; an allocator may ask before the constructor has run. */
static int first_brk(void *end);
static void *first_sbrk(intptr_t more);

static struct {
	int (*munmap)(void *, size_t);
	int (*mprotect)(void *, size_t, int);
	int (*pkey_mprotect)(void *, size_t, int, int);
	int (*madvise)(void *, size_t, int);
	void *(*mmap)(void *, size_t, int, int, int, off_t);
	void *(*mremap)(void *, size_t, size_t, int, ...);
	int (*remap_file_pages)(void *, size_t, int, size_t, int);
	void *(*shmat)(int, const void *, int);
	int (*shmdt)(const void *);
	int (*brk)(void *);
	void *(*sbrk)(intptr_t);
} next = {
	kernel_munmap, kernel_mprotect,		kernel_pkey_mprotect, kernel_madvise, kernel_mmap,
	kernel_mremap, kernel_remap_file_pages, kernel_shmat,	      kernel_shmdt,   first_brk,
	first_sbrk
};

static int first_brk(void *end)
{
	FIND(brk);
	return next.brk == first_brk ? -1 : next.brk(end);
}

static void *first_sbrk(intptr_t more)
{
	FIND(sbrk);
	return next.sbrk == first_sbrk ? (void *)(intptr_t)-1 : next.sbrk(more);
}

static __attribute__((constructor)) void find_all(void)
{
	_Atomic uint64_t *counter = dlsym(RTLD_DEFAULT, "asys_aio_unmaps");

	FIND(munmap);
	FIND(mprotect);
	FIND(pkey_mprotect);
	FIND(madvise);
	FIND(mmap);
	FIND(mremap);
	FIND(remap_file_pages);
	FIND(shmat);
	FIND(shmdt);
	if (counter)
		unmaps = counter;
	shim_memory_changes();
}

int munmap_seen(void *address, size_t size)
{
	SEEN(int, next.munmap(address, size));
}

int mprotect_seen(void *address, size_t size, int how)
{
	SEEN(int, next.mprotect(address, size, how));
}

int pkey_mprotect_seen(void *address, size_t size, int how, int key)
{
	SEEN(int, next.pkey_mprotect(address, size, how, key));
}

int madvise_seen(void *address, size_t size, int advice)
{
	SEEN(int, next.madvise(address, size, advice));
}

void *mmap_seen(void *address, size_t size, int how, int flags, int fd, off_t at)
{
	if (!(flags & MAP_FIXED))
		return next.mmap(address, size, how, flags, fd, at);
	SEEN(void *, next.mmap(address, size, how, flags, fd, at));
}

void *mmap64_seen(void *address, size_t size, int how, int flags, int fd, off_t at)
{
	return mmap_seen(address, size, how, flags, fd, at);
}

/* The last argument is there with MREMAP_FIXED or MREMAP_DONTUNMAP only; what is no argument is not used. */
void *mremap_seen(void *address, size_t size, size_t wanted, int flags, ...)
{
	va_list rest;
	void *to;

	va_start(rest, flags);
	to = va_arg(rest, void *);
	va_end(rest);
	SEEN(void *, next.mremap(address, size, wanted, flags, to));
}

int remap_file_pages_seen(void *address, size_t size, int how, size_t page, int flags)
{
	SEEN(int, next.remap_file_pages(address, size, how, page, flags));
}

int brk_seen(void *end)
{
	SEEN(int, next.brk(end));
}

void *sbrk_seen(intptr_t more)
{
	if (more >= 0)
		return next.sbrk(more);
	SEEN(void *, next.sbrk(more));
}

void *shmat_seen(int id, const void *address, int flags)
{
	SEEN(void *, next.shmat(id, address, flags));
}

int shmdt_seen(const void *address)
{
	SEEN(int, next.shmdt(address));
}
