/* SPDX-License-Identifier: MIT */
/* Mappings. Addresses are noted as distances from an area reserved before, far above 4 GiB. */
#include "fidelity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES 64

static size_t page;

static char *reserve(struct fid *f)
{
	char *area;

	page = (size_t)sysconf(_SC_PAGESIZE);
	area = mmap(NULL, PAGES * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0);
	if (area == MAP_FAILED)
		fid_fail(f, "mmap");
	return area;
}

static void note_place(struct fid *f, const char *area, int64_t result)
{
	if (result > 0)
		fid_note(f, "at %+lld, above 4 GiB: %d\n",
			 (long long)(result - (int64_t)(intptr_t)area), result > UINT32_MAX);
}

static void maps(struct fid *f)
{
	int fd = fid_make(f, "file", "0123456789");
	int only = fid_keep(f, open("file", O_RDONLY));
	char *area = reserve(f), *at = area + 4 * page;
	int64_t any;

	any = CALL_OK("mmap", at, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (any < 0)
		return;
	note_place(f, area, any);
	fid_bytes(f, "mapped", at, 12);
	memcpy(at, "abc", 3);
	CALL("msync", at, page, MS_SYNC);
	fid_file(f, "file");
	CALL("msync", at + 1, page, MS_SYNC);
	CALL("msync", at, page, 99);
	CALL("munmap", at, page);
	CALL("munmap", at + 1, page);
	CALL("munmap", at, 0);
	CALL("msync", at, page, MS_SYNC);
	any = CALL_OK("mmap", NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fid_note(f, "address %d\n", any > UINT32_MAX && any % (int64_t)page == 0);
	CALL_OK("munmap", any, page);
	CALL_OK("mmap", NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CALL_OK("mmap", NULL, page, PROT_READ, 0, -1, 0);
	CALL_OK("mmap", NULL, page, PROT_READ, MAP_PRIVATE, FID_BAD_FD, 0);
	CALL_OK("mmap", NULL, page, PROT_WRITE, MAP_SHARED, only, 0);
	CALL_OK("mmap", NULL, page, PROT_READ, MAP_PRIVATE, only, 1);
	CALL_OK("mmap", area + 8 * page, page, PROT_READ,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static void changes(struct fid *f)
{
	char *area = reserve(f), *at = area + 4 * page;
	int fd = fid_make(f, "file", "first");

	CALL("mprotect", at, 4 * page, PROT_READ | PROT_WRITE);
	memcpy(at, "moved", 5);
	CALL("mprotect", at + 1, page, PROT_READ);
	CALL("mprotect", at, page, 0x4000000);
	note_place(f, area,
		   CALL_OK("mremap", at, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED,
			   area + 20 * page));
	fid_bytes(f, "moved", area + 20 * page, 8);
	note_place(f, area, CALL_OK("mremap", area + 20 * page, 2 * page, page, 0, 0));
	CALL_OK("mremap", at, page, page, 99, 0);
	CALL_OK("mremap", at + 1, page, page, 0, 0);
	CALL_OK("remap_file_pages", at, page, 0, 0, 0);
	if (ftruncate(fd, (off_t)(2 * page)) < 0 || pwrite(fd, "second", 6, (off_t)page) != 6 ||
	    mmap(area + 50 * page, 2 * page, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED)
		fid_fail(f, "mmap");
	CALL("remap_file_pages", area + 50 * page, page, 0, 1, 0);
	fid_bytes(f, "remapped", area + 50 * page, 6);
	CALL_OK("remap_file_pages", at, page, PROT_READ, 0, 0);
	CALL("pkey_mprotect", area + 30 * page, page, PROT_READ, -1);
	CALL("pkey_mprotect", area + 30 * page, page, PROT_READ, 77);
	CALL("mseal", area + 40 * page, page, 0);
	CALL("mprotect", area + 40 * page, page, PROT_READ);
	CALL("mseal", area + 40 * page, page, 1);
	CALL_OK("map_shadow_stack", 0, page, 1 << 30);
}

static void keys(struct fid *f)
{
	int64_t key = CALL_OK("pkey_alloc", 0, 0);

	CALL("pkey_alloc", 1, 0);
	CALL("pkey_alloc", 0, 99);
	if (key > 0)
		CALL("pkey_free", key);
	CALL("pkey_free", 15);
	CALL("pkey_free", 99);
}

static void advice(struct fid *f)
{
	char *area = reserve(f) + 4 * page;
	unsigned char present[4] = { 9, 9, 9, 9 };

	if (mprotect(area, 4 * page, PROT_READ | PROT_WRITE) < 0)
		fid_fail(f, "mprotect");
	memset(area, 'x', 2 * page);
	CALL("mincore", area, 4 * page, present);
	fid_note(f, "present %d %d %d %d\n", present[0] & 1, present[1] & 1, present[2] & 1,
		 present[3] & 1);
	CALL("madvise", area, page, MADV_DONTNEED);
	fid_note(f, "byte %d %d\n", area[0], area[page]);
	CALL("madvise", area, page, 999);
	CALL("madvise", area + 1, page, MADV_DONTNEED);
	CALL("mincore", area + 1, page, present);
	CALL("mincore", area, page, FID_BAD);
	CALL("munmap", area + 4 * page, page);
	CALL("mincore", area + 4 * page, page, present);
	CALL("madvise", area + 4 * page, page, MADV_DONTNEED);
}

static void locks(struct fid *f)
{
	char *area = reserve(f);

	if (mprotect(area, 4 * page, PROT_READ | PROT_WRITE) < 0)
		fid_fail(f, "mprotect");
	CALL("mlock", area, page);
	CALL("mlock2", area + page, page, 1);
	CALL("mlock2", area + page, page, 99);
	CALL("munlock", area, page);
	CALL("munlock", area + page, page);
	CALL("munmap", area + 8 * page, page);
	CALL("mlock", area + 8 * page, page);
	CALL("munlock", area + 8 * page, page);
	CALL("mlockall", 99);
	CALL("mlockall", MCL_FUTURE | MCL_ONFAULT);
	CALL("munlockall", 0);
}

/* The break is process wide; no allocator of this process runs between the two calls. */
static void program_break(struct fid *f)
{
	int64_t now = CALL_OK("brk", 0), up;

	up = CALL_OK("brk", now + 65536);
	fid_note(f, "moved %lld\n", (long long)(up - now));
	up = CALL_OK("brk", now);
	fid_note(f, "moved %lld\n", (long long)(up - now));
	up = CALL_OK("brk", 1);
	fid_note(f, "moved %lld\n", (long long)(up - now));
}

static void nodes(struct fid *f)
{
	unsigned long mask[16] = { 1 };
	char *area = reserve(f);
	void *pages[1] = { area };
	int mode = -1, status[1] = { -1 }, node[1] = { 0 };

	if (mprotect(area, 4 * page, PROT_READ | PROT_WRITE) < 0)
		fid_fail(f, "mprotect");
	area[0] = 1;
	CALL("get_mempolicy", &mode, NULL, 0, NULL, 0);
	fid_note(f, "mode %d\n", mode);
	CALL("set_mempolicy", 2, mask, 64);
	CALL("get_mempolicy", &mode, NULL, 0, NULL, 0);
	fid_note(f, "mode %d\n", mode);
	CALL("set_mempolicy", 0, NULL, 0);
	CALL("set_mempolicy", 99, mask, 64);
	CALL("get_mempolicy", FID_BAD, NULL, 0, NULL, 0);
	CALL("mbind", area, page, 2, mask, 64, 0);
	CALL("mbind", area + 1, page, 2, mask, 64, 0);
	CALL("mbind", area, page, 99, mask, 64, 0);
	CALL("set_mempolicy_home_node", area, page, 0, 0);
	CALL("set_mempolicy_home_node", area, page, 0, 1);
	CALL("move_pages", 0, 1, pages, NULL, status, 0);
	fid_note(f, "node %d\n", status[0]);
	CALL("move_pages", 0, 1, pages, node, status, 2);
	CALL("move_pages", 0, 1, pages, node, status, 99);
	CALL("move_pages", 0x7ffffff0, 1, pages, node, status, 2);
	CALL("migrate_pages", 0, 64, mask, mask);
	CALL("migrate_pages", 0, 64, FID_BAD, mask);
	CALL("migrate_pages", 0x7ffffff0, 64, mask, mask);
}

static void secrets(struct fid *f)
{
	struct {
		uint64_t api, features, ioctls;
	} api = { 0xaa, 0, 0 };
	int fd = CALL_FD("memfd_secret", 0);

	CALL("ftruncate", fd, 4096);
	CALL_FD("memfd_secret", 1 << 20);
	fd = CALL_FD("userfaultfd", O_CLOEXEC | 1);
	CALL_FD("userfaultfd", 1 << 20);
	CALL("ioctl", fd, 0xc018aa3f, &api);
	CALL("ioctl", fd, 0xc018aa3f, FID_BAD);
}

const struct fid_case fid_memory[] = {
	{ "mmap", maps, 0, 0 },
	{ "mremap and mprotect", changes, 0, 0 },
	{ "protection keys", keys, 0, 0 },
	{ "madvise", advice, 0, 0 },
	{ "mlock", locks, 0, 0 },
	{ "brk", program_break, 0, 0 },
	{ "memory policy", nodes, 0, 0 },
	{ "secret memory", secrets, 0, 0 },
	{ 0 },
};
