/* SPDX-License-Identifier: MIT */
/*
 * Contract: a call's words mean the same to every engine. Files and names: what the ring serves, and
 * the words that it must refuse and hand on (src/engine/uring_prep.c says why).
 */
#include "script.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* An empty folder and a descriptor of it. */
struct folder {
	char *path;
	int fd;
};

static struct folder folder_open(void)
{
	struct folder folder = { .path = temp_make() };

	folder.fd = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(folder.fd >= 0);
	return folder;
}

static void folder_close(struct folder folder)
{
	close(folder.fd);
	temp_remove(folder.path);
}

static void note_file(struct script *s, int fd)
{
	char bytes[256] = "";
	ssize_t size = pread(fd, bytes, sizeof(bytes), 0);

	note(s, "size", size);
	note_bytes(s, "content", bytes, sizeof(bytes));
	note(s, "offset", lseek(fd, 0, SEEK_CUR));
}

static void transfers(struct script *s)
{
	struct folder dir = folder_open();
	int fd = CALL_FD(BY_ANY, SYS_openat, dir.fd, "file", O_RDWR | O_CREAT | O_EXCL, 0640);
	char a[8] = "", b[8] = "", whole[256]; /* more than the file ever has */
	struct iovec out[2] = { { (char[]){ "abc" }, 3 }, { (char[]){ "DEFG" }, 4 } };
	struct iovec in[2] = { { a, 4 }, { b, 8 } };

	CALL(BY_RING, SYS_pwrite64, fd, "0123456789", 10, 0);
	CALL(BY_RING, SYS_pwritev, fd, out, 2, 8, 0);
	CALL(BY_RING, SYS_pwritev2, fd, out, 2, 1, 0, 0);
	note_file(s, fd);
	CALL(BY_RING, SYS_pread64, fd, a, 4, 3);
	note_bytes(s, "a", a, sizeof(a));
	CALL(BY_RING, SYS_preadv, fd, in, 2, 2, 0);
	note_bytes(s, "a", a, sizeof(a));
	note_bytes(s, "b", b, sizeof(b));
	CALL(BY_RING, SYS_preadv2, fd, in, 2, 6, 0, 0);
	note_bytes(s, "b", b, sizeof(b));
	CALL(BY_OTHER, SYS_preadv2, fd, in, 2, 0, 0, RWF_HIPRI);
	/* with the file's own offset: the ring would not take its lock */
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_read, fd, a, 4);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_preadv2, fd, in, 2, -1, -1, 0);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_write, fd, "own", 3);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_writev, fd, out, 2);
	note_file(s, fd);
	/* words that it would take otherwise than the call */
	CALL(BY_OTHER, SYS_pread64, fd, a, 4, -1);
	CALL(BY_OTHER, SYS_pread64, fd, a, 0, 0);
	CALL(BY_OTHER, SYS_pread64, fd, whole, 1ull << 32, 0);
	CALL(BY_OTHER, SYS_preadv, fd, in, 2000, 0, 0);
	CALL(BY_OTHER, SYS_pwritev2, fd, out, 0, 0, 0, 0);
	CALL(BY_OTHER, SYS_preadv2, fd, in, 2, -2, -1, 0);
	CALL(BY_ANY, SYS_preadv2, fd, in, 2, 0, 0, 1 << 30);
	CALL(BY_OTHER, SYS_readv, fd, in, -1);
	CALL(BY_OTHER, SYS_pread64, dir.fd, a, 4, 0);
	close(fd);
	folder_close(dir);
}

/* The kernel's own files have length 0, and one look gives less than there is. */
static void made_up_files(struct script *s)
{
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	char bytes[8] = "";

	check(fd >= 0);
	CALL(BY_OTHER, SYS_pread64, fd, bytes, 4, 0);
	note_bytes(s, "bytes", bytes, sizeof(bytes));
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_read, fd, bytes, 2);
	note_bytes(s, "bytes", bytes, sizeof(bytes));
	close(fd);
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	check(fd >= 0);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_read, fd, bytes, 4);
	note_bytes(s, "zero", bytes, sizeof(bytes));
	close(fd);
}

static void sizes(struct script *s)
{
	int fd = memory_file();
	const size_t size = 4096;
	struct stat st;
	char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(page != MAP_FAILED);
	CALL(BY_RING, SYS_fallocate, fd, 0, 100, 5000);
	check_eq(fstat(fd, &st), 0);
	note(s, "size", st.st_size);
	CALL(BY_RING, SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE, 0, 10);
	CALL(BY_RING, SYS_ftruncate, fd, 321);
	check_eq(fstat(fd, &st), 0);
	note(s, "size", st.st_size);
	CALL(BY_OTHER, SYS_ftruncate, fd, -1);
	CALL(BY_RING, SYS_fsync, fd);
	CALL(BY_RING, SYS_fdatasync, fd);
	CALL(BY_RING, SYS_fsync, -1);
	CALL(BY_RING, SYS_sync_file_range, fd, 0, 100, 2);
	CALL(BY_OTHER, SYS_sync_file_range, fd, 0, 1ull << 33, 2);
	CALL(BY_RING, SYS_sync_file_range, fd, 0, 100, 64);
	CALL(BY_RING, SYS_fadvise64, fd, 0, 100, POSIX_FADV_WILLNEED);
	CALL(BY_RING, SYS_fadvise64, fd, 0, 100, 99);
	CALL(BY_OTHER, SYS_fadvise64, fd, 0, 1ull << 33, POSIX_FADV_WILLNEED);
	page[10] = 'x';
	CALL(BY_RING, SYS_madvise, page, size, MADV_DONTNEED);
	note(s, "page", page[10]);
	CALL(BY_RING, SYS_madvise, page, size, 9999);
	CALL(BY_OTHER, SYS_madvise, page, 1ull << 40, MADV_NORMAL);
	check_eq(munmap(page, size), 0);
	close(fd);
}

static void note_name(struct script *s, int dir, const char *name)
{
	struct stat st = { 0 };

	note(s, name, fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ? -errno : 0);
	note(s, "mode", st.st_mode);
	note(s, "links", (int64_t)st.st_nlink);
}

static void names_at(struct script *s)
{
	struct folder dir = folder_open();
	struct statx stx = { 0 };
	char target[32] = "";

	CALL(BY_RING, SYS_mkdirat, dir.fd, "sub", 0750);
	CALL(BY_RING, SYS_mkdirat, dir.fd, "sub", 0750);
	CALL(BY_RING, SYS_symlinkat, "sub", dir.fd, "link");
	note(s, "target", readlinkat(dir.fd, "link", target, sizeof(target)));
	note_bytes(s, "target", target, sizeof(target));
	check_eq(mknodat(dir.fd, "file", S_IFREG | 0600, 0), 0);
	CALL(BY_RING, SYS_linkat, dir.fd, "file", dir.fd, "second", 0);
	CALL(BY_RING, SYS_linkat, dir.fd, "link", dir.fd, "third", AT_SYMLINK_FOLLOW);
	note_name(s, dir.fd, "second");
	CALL(BY_RING, SYS_renameat2, dir.fd, "second", dir.fd, "sub/moved", 0);
	CALL(BY_RING, SYS_renameat2, dir.fd, "file", dir.fd, "sub/moved", RENAME_NOREPLACE);
	CALL(BY_RING, SYS_renameat2, dir.fd, "file", dir.fd, "sub", RENAME_EXCHANGE);
	note_name(s, dir.fd, "sub");
	note_name(s, dir.fd, "file/moved");
#ifdef SYS_renameat
	CALL(BY_RING, SYS_renameat, dir.fd, "link", dir.fd, "link2");
	note_name(s, dir.fd, "link2");
#endif
	CALL(BY_RING, SYS_statx, dir.fd, "file/moved", 0, STATX_TYPE | STATX_NLINK | STATX_SIZE,
	     &stx);
	note(s, "links", stx.stx_nlink);
	note(s, "mode", stx.stx_mode);
	CALL(BY_OTHER, SYS_statx, dir.fd, NULL, AT_EMPTY_PATH, STATX_TYPE, &stx);
	CALL(BY_RING, SYS_statx, dir.fd, "none", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &stx);
	CALL(BY_RING, SYS_unlinkat, dir.fd, "file", 0);
	CALL(BY_RING, SYS_unlinkat, dir.fd, "file/moved", 0);
	CALL(BY_RING, SYS_unlinkat, dir.fd, "file", AT_REMOVEDIR);
	CALL(BY_RING, SYS_unlinkat, dir.fd, "file", 1 << 30);
	note_name(s, dir.fd, "file");
	folder_close(dir);
}

static void opens(struct script *s)
{
	struct folder dir = folder_open();
	struct open_how how = { .flags = O_RDWR | O_CREAT | O_EXCL, .mode = 0604 };
	int fd;

	CALL_FD(BY_ANY, SYS_openat, dir.fd, "none", O_RDONLY, 0);
	fd = CALL_FD(BY_ANY, SYS_openat, dir.fd, "a", O_WRONLY | O_CREAT | O_EXCL, 0640);
	note(s, "flags", fcntl(fd, F_GETFL));
	close(fd);
	fd = CALL_FD(BY_ANY, SYS_openat, dir.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	note(s, "flags", fcntl(fd, F_GETFL));
	note(s, "cloexec", fcntl(fd, F_GETFD));
	close(fd);
	fd = CALL_FD(BY_ANY, SYS_openat2, dir.fd, "b", &how, sizeof(how));
	note(s, "flags", fcntl(fd, F_GETFL));
	close(fd);
	note_name(s, dir.fd, "a");
	note_name(s, dir.fd, "b");
	how.resolve = RESOLVE_BENEATH;
	CALL_FD(BY_ANY, SYS_openat2, dir.fd, "../x", &how, sizeof(how));
	CALL_FD(BY_OTHER, SYS_openat2, dir.fd, "c", &how, 8192);
	CALL_FD(BY_ANY, SYS_openat2, dir.fd, "c", &how, 3);
	folder_close(dir);
}

#ifdef SYS_open
/* The calls without a folder's descriptor, which only x86-64 has. */
static void names(struct script *s)
{
	struct folder dir = folder_open();
	int old = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

	check(old >= 0 && !fchdir(dir.fd));
	CALL(BY_RING, SYS_mkdir, "sub", 0710);
	note_name(s, dir.fd, "sub");
	fd = CALL_FD(BY_ANY, SYS_creat, "file", 0620);
	note(s, "flags", fcntl(fd, F_GETFL));
	close(fd);
	note_name(s, dir.fd, "file");
	fd = CALL_FD(BY_ANY, SYS_open, "file", O_RDWR | O_APPEND, 0);
	note(s, "flags", fcntl(fd, F_GETFL));
	close(fd);
	CALL(BY_RING, SYS_link, "file", "second");
	CALL(BY_RING, SYS_rename, "second", "sub/third");
	CALL(BY_RING, SYS_symlink, "sub", "link");
	note_name(s, dir.fd, "sub/third");
	note_name(s, dir.fd, "link");
	CALL(BY_RING, SYS_rmdir, "sub");
	CALL(BY_RING, SYS_unlink, "sub");
	CALL(BY_RING, SYS_unlink, "sub/third");
	CALL(BY_RING, SYS_rmdir, "sub");
	note_name(s, dir.fd, "sub");
	check_eq(fchdir(old), 0);
	close(old);
	folder_close(dir);
}
#else
static void names(struct script *s)
{
	note(s, "there are none", 0);
}
#endif

static void attributes(struct script *s)
{
	struct folder dir = folder_open();
	int fd = openat(dir.fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *path = NULL, value[16] = "";

	check(fd >= 0 && asprintf(&path, "%s/file", dir.path) > 0);
	CALL(BY_RING, SYS_setxattr, path, "user.one", "first", 5, 1);
	CALL(BY_RING, SYS_setxattr, path, "user.one", "again", 5, 1);
	CALL(BY_RING, SYS_fsetxattr, fd, "user.two", "second", 6, 0);
	CALL(BY_RING, SYS_fsetxattr, fd, "user.none", "x", 1, 2);
	CALL(BY_RING, SYS_getxattr, path, "user.two", value, sizeof(value));
	note_bytes(s, "value", value, sizeof(value));
	CALL(BY_RING, SYS_fgetxattr, fd, "user.one", value, sizeof(value));
	note_bytes(s, "value", value, sizeof(value));
	CALL(BY_RING, SYS_fgetxattr, fd, "user.one", value, 2);
	CALL(BY_RING, SYS_getxattr, path, "user.none", value, sizeof(value));
	CALL(BY_OTHER, SYS_getxattr, path, "user.one", value, 1ull << 32);
	CALL(BY_OTHER, SYS_setxattr, path, "user.one", value, (1ull << 32) + 1, 0);
	free(path);
	close(fd);
	folder_close(dir);
}

#define SCRIPT(fn)                          \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		script_compare(fn);         \
	}

SCRIPT(transfers)
SCRIPT(made_up_files)
SCRIPT(sizes)
SCRIPT(names_at)
SCRIPT(opens)
SCRIPT(names)
SCRIPT(attributes)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_transfers),  contract(test_made_up_files), contract(test_sizes),
		contract(test_names_at),   contract(test_opens),	 contract(test_names),
		contract(test_attributes),
	};

	return group(tests, argc, argv);
}
