/* SPDX-License-Identifier: MIT */
/* Names and attributes. */
#include "fidelity.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

static void note_stat(struct fid *f, const struct stat *st)
{
	fid_note(f, "mode %o links %u size %lld block %ld\n", st->st_mode, (unsigned)st->st_nlink,
		 (long long)st->st_size, (long)st->st_blksize);
}

static void stats(struct fid *f)
{
	int fd = fid_make(f, "file", "12345");
	struct stat st = { 0 };

	if (symlink("file", "link") < 0 || symlink("loop", "loop") < 0)
		fid_fail(f, "symlink");
	CALL("stat", "link", &st);
	note_stat(f, &st);
	CALL("lstat", "link", &st);
	note_stat(f, &st);
	CALL("fstat", fd, &st);
	note_stat(f, &st);
	CALL("newfstatat", AT_FDCWD, "link", &st, AT_SYMLINK_NOFOLLOW);
	note_stat(f, &st);
	CALL("newfstatat", fd, "", &st, AT_EMPTY_PATH);
	note_stat(f, &st);
	CALL("stat", "absent", &st);
	CALL("stat", "loop", &st);
	CALL("stat", "file", FID_BAD);
	CALL("lstat", FID_BAD, &st);
	CALL("lstat", "file/x", &st);
	CALL("fstat", FID_BAD_FD, &st);
	CALL("fstat", fd, FID_BAD);
	CALL("newfstatat", AT_FDCWD, "file", &st, 0x8000000);
	CALL("newfstatat", FID_BAD_FD, "file", &st, 0);
	CALL("newfstatat", AT_FDCWD, "", &st, 0);
}

static void statx_masks(struct fid *f)
{
	struct statx sx = { 0 };
	int fd = fid_make(f, "file", "12345");

	CALL("statx", AT_FDCWD, "file", 0, STATX_BASIC_STATS, &sx);
	fid_note(f, "mask %x mode %o size %llu links %u\n", sx.stx_mask, sx.stx_mode,
		 (unsigned long long)sx.stx_size, sx.stx_nlink);
	CALL("statx", fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx);
	CALL("statx", AT_FDCWD, "absent", 0, STATX_SIZE, &sx);
	CALL("statx", AT_FDCWD, "file", 1 << 30, STATX_SIZE, &sx);
	CALL("statx", AT_FDCWD, "file", 0, 1u << 31, &sx);
	CALL("statx", AT_FDCWD, "file", 0, STATX_SIZE, FID_BAD);
	CALL("statx", AT_FDCWD, FID_BAD, 0, STATX_SIZE, &sx);
	CALL("statx", FID_BAD_FD, "file", 0, STATX_SIZE, &sx);
}

static void accesses(struct fid *f)
{
	fid_make(f, "file", "12345");
	CALL("access", "file", R_OK | W_OK);
	CALL("access", "file", X_OK);
	CALL("access", "absent", F_OK);
	CALL("access", "file", 99);
	CALL("access", FID_BAD, F_OK);
	CALL("faccessat", AT_FDCWD, "file", R_OK);
	CALL("faccessat", AT_FDCWD, "file", X_OK);
	CALL("faccessat", FID_BAD_FD, "file", R_OK);
	CALL("faccessat2", AT_FDCWD, "file", R_OK, AT_EACCESS);
	CALL("faccessat2", AT_FDCWD, "absent", R_OK, 0);
	CALL("faccessat2", AT_FDCWD, "file", R_OK, 0x4000);
}

static void modes(struct fid *f)
{
	int fd = fid_make(f, "file", "12345");

	CALL("chmod", "file", 0751);
	fid_stat(f, AT_FDCWD, "file");
	CALL("fchmod", fd, 04711);
	fid_stat(f, AT_FDCWD, "file");
	CALL("fchmodat", AT_FDCWD, "file", 01600);
	fid_stat(f, AT_FDCWD, "file");
	CALL("fchmodat2", AT_FDCWD, "file", 0640, 0);
	fid_stat(f, AT_FDCWD, "file");
	CALL("chmod", "absent", 0600);
	CALL("chmod", FID_BAD, 0600);
	CALL("fchmod", FID_BAD_FD, 0600);
	CALL("fchmodat", AT_FDCWD, "absent", 0600);
	CALL("fchmodat2", AT_FDCWD, "file", 0640, 1 << 30);
}

static void owners(struct fid *f)
{
	int fd = fid_make(f, "file", "12345");

	if (symlink("file", "link") < 0)
		fid_fail(f, "symlink");
	CALL("chown", "link", 1001, 1002);
	fid_stat(f, AT_FDCWD, "file");
	CALL("lchown", "link", 1003, 1004);
	fid_stat(f, AT_FDCWD, "link");
	CALL("fchown", fd, 1005, -1);
	fid_stat(f, AT_FDCWD, "file");
	CALL("fchownat", AT_FDCWD, "link", -1, 1006, AT_SYMLINK_NOFOLLOW);
	fid_stat(f, AT_FDCWD, "link");
	CALL("fchownat", fd, "", 1007, 1007, AT_EMPTY_PATH);
	fid_stat(f, AT_FDCWD, "file");
	CALL("chown", "absent", 0, 0);
	CALL("lchown", FID_BAD, 0, 0);
	CALL("fchown", FID_BAD_FD, 0, 0);
	CALL("fchownat", AT_FDCWD, "file", 0, 0, 1 << 30);
}

static void links(struct fid *f)
{
	char buf[32] = "";

	fid_make(f, "file", "12345");
	CALL("link", "file", "hard");
	CALL("link", "file", "hard");
	CALL("link", "absent", "other");
	CALL("linkat", AT_FDCWD, "file", AT_FDCWD, "third", 0);
	fid_stat(f, AT_FDCWD, "file");
	CALL("linkat", AT_FDCWD, "file", AT_FDCWD, "fourth", 1 << 30);
	CALL("linkat", FID_BAD_FD, "file", AT_FDCWD, "fourth", 0);
	CALL("linkat", AT_FDCWD, ".", AT_FDCWD, "folder", 0);
	CALL("symlink", "target", "soft");
	CALL("symlink", "target", "soft");
	CALL("symlinkat", "other target", AT_FDCWD, "soft2");
	CALL("symlinkat", "", AT_FDCWD, "soft3");
	CALL("symlinkat", FID_BAD, AT_FDCWD, "soft3");
	CALL("readlink", "soft", buf, sizeof(buf));
	fid_bytes(f, "readlink", buf, sizeof(buf));
	CALL("readlink", "soft", buf, 3);
	CALL("readlink", "soft", buf, 0);
	CALL("readlink", "file", buf, sizeof(buf));
	CALL("readlinkat", AT_FDCWD, "soft2", buf, sizeof(buf));
	fid_bytes(f, "readlinkat", buf, sizeof(buf));
	CALL("readlinkat", AT_FDCWD, "soft2", FID_BAD, sizeof(buf));
	CALL("readlinkat", AT_FDCWD, "absent", buf, sizeof(buf));
}

static void renames(struct fid *f)
{
	fid_make(f, "a", "a");
	fid_make(f, "b", "bb");
	if (mkdir("folder", 0755) < 0 || mkdir("folder/inner", 0755) < 0)
		fid_fail(f, "mkdir");
	CALL("rename", "a", "c");
	CALL("rename", "a", "c");
	CALL("rename", "c", "folder");
	CALL("rename", "folder", "folder/inner/x");
	CALL("renameat", AT_FDCWD, "c", AT_FDCWD, "folder/c");
	CALL("renameat", FID_BAD_FD, "c", AT_FDCWD, "d");
	CALL("renameat", AT_FDCWD, "absent", AT_FDCWD, "d");
	CALL("renameat2", AT_FDCWD, "b", AT_FDCWD, "folder/c", 1);
	CALL("renameat2", AT_FDCWD, "b", AT_FDCWD, "folder/c", 2);
	CALL("renameat2", AT_FDCWD, "b", AT_FDCWD, "folder/c", 3);
	CALL("renameat2", AT_FDCWD, "b", AT_FDCWD, "d", 1 << 20);
	fid_file(f, "b");
	fid_file(f, "folder/c");
}

static void unlinks(struct fid *f)
{
	fid_make(f, "a", "a");
	fid_make(f, "b", "b");
	if (mkdir("folder", 0755) < 0 || mkdir("full", 0755) < 0)
		fid_fail(f, "mkdir");
	fid_make(f, "full/x", "x");
	CALL("unlink", "a");
	CALL("unlink", "a");
	CALL("unlink", "folder");
	CALL("unlink", FID_BAD);
	CALL("unlinkat", AT_FDCWD, "b", 0);
	CALL("unlinkat", AT_FDCWD, "folder", 0);
	CALL("unlinkat", AT_FDCWD, "folder", AT_REMOVEDIR);
	CALL("unlinkat", AT_FDCWD, "full", AT_REMOVEDIR);
	CALL("unlinkat", AT_FDCWD, "full/x", AT_REMOVEDIR);
	CALL("unlinkat", AT_FDCWD, "full/x", 1 << 30);
	CALL("unlinkat", FID_BAD_FD, "x", 0);
	fid_stat(f, AT_FDCWD, "a");
	fid_stat(f, AT_FDCWD, "b");
	fid_stat(f, AT_FDCWD, "folder");
}

static void nodes(struct fid *f)
{
	CALL("mknod", "fifo", S_IFIFO | 0600, 0);
	CALL("mknod", "fifo", S_IFIFO | 0600, 0);
	CALL("mknod", "plain", S_IFREG | 0640, 0);
	CALL("mknod", "bad", S_IFDIR | 0640, 0);
	CALL("mknodat", AT_FDCWD, "socket", S_IFSOCK | 0700, 0);
	CALL("mknodat", AT_FDCWD, "absent/x", S_IFREG | 0700, 0);
	CALL("mknodat", AT_FDCWD, FID_BAD, S_IFREG | 0700, 0);
	CALL("mknodat", FID_BAD_FD, "x", S_IFREG | 0700, 0);
	fid_stat(f, AT_FDCWD, "fifo");
	fid_stat(f, AT_FDCWD, "plain");
	fid_stat(f, AT_FDCWD, "socket");
}

static void note_times(struct fid *f, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		fid_note(f, "%s: read %lld.%09ld written %lld.%09ld\n", path,
			 (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
			 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void stamps(struct fid *f)
{
	struct utimbuf seconds = { 1000, 2000 };
	struct timeval micros[2] = { { 3000, 5 }, { 4000, 6 } };
	struct timespec nanos[2] = { { 5000, 7 }, { 6000, 8 } };
	int fd = fid_make(f, "file", "12345");

	if (futimens(fd, nanos) < 0)
		fid_fail(f, "futimens");
	CALL("utime", "file", &seconds);
	note_times(f, "file");
	CALL("utimes", "file", micros);
	note_times(f, "file");
	CALL("utimensat", AT_FDCWD, "file", nanos, 0);
	note_times(f, "file");
	nanos[0].tv_nsec = UTIME_OMIT;
	nanos[1].tv_sec = 7000;
	CALL("utimensat", fd, NULL, nanos, 0);
	note_times(f, "file");
	micros[0].tv_sec = 8000;
	CALL("futimesat", AT_FDCWD, "file", micros);
	note_times(f, "file");
	CALL("utime", "absent", &seconds);
	CALL("utime", "file", FID_BAD);
	micros[0].tv_usec = 2000000;
	CALL("utimes", "file", micros);
	CALL("futimesat", FID_BAD_FD, "file", NULL);
	nanos[0].tv_nsec = 2000000000;
	CALL("utimensat", AT_FDCWD, "file", nanos, 0);
	CALL("utimensat", AT_FDCWD, "file", NULL, 1 << 30);
}

static void systems(struct fid *f)
{
	int fd = fid_make(f, "file", "12345");
	struct statfs fs = { 0 };
	char old[32] = "";
	struct stat st;

	CALL("statfs", ".", &fs);
	fid_note(f, "type %llx block %llu name %llu\n", (unsigned long long)fs.f_type,
		 (unsigned long long)fs.f_bsize, (unsigned long long)fs.f_namelen);
	CALL("fstatfs", fd, &fs);
	fid_note(f, "type %llx\n", (unsigned long long)fs.f_type);
	CALL("statfs", "absent", &fs);
	CALL("statfs", ".", FID_BAD);
	CALL("fstatfs", FID_BAD_FD, &fs);
	CALL("ustat", 0xffffff, old);
	if (fstat(fd, &st) < 0)
		fid_fail(f, "fstat");
	CALL("ustat", (uint32_t)st.st_dev, FID_BAD);
	CALL("sysfs", 3);
	CALL("sysfs", 1, "proc");
	CALL("sysfs", 1, "no such system");
	CALL("sysfs", 9);
}

const struct fid_case fid_paths[] = {
	{ "stat", stats, 0, 0 },     { "statx", statx_masks, 0, 0 }, { "access", accesses, 0, 0 },
	{ "chmod", modes, 0, 0 },    { "chown", owners, 0, 0 },	     { "links", links, 0, 0 },
	{ "rename", renames, 0, 0 }, { "unlink", unlinks, 0, 0 },    { "mknod", nodes, 0, 0 },
	{ "utime", stamps, 0, 0 },   { "statfs", systems, 0, 0 },    { 0 },
};
