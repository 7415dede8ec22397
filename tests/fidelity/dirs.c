/* SPDX-License-Identifier: MIT */
/* Folders, and the folder that relative paths start from. */
#include "fidelity.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_remove(struct fid *f)
{
	CALL("mkdir", "one", 0751);
	CALL("mkdir", "one", 0751);
	CALL("mkdir", "absent/two", 0751);
	CALL("mkdir", FID_BAD, 0751);
	CALL("mkdirat", AT_FDCWD, "one/two", 0700);
	CALL("mkdirat", FID_BAD_FD, "two", 0700);
	fid_stat(f, AT_FDCWD, "one");
	fid_stat(f, AT_FDCWD, "one/two");
	fid_make(f, "file", "");
	CALL("rmdir", "one");
	CALL("rmdir", "file");
	CALL("rmdir", "one/two");
	CALL("rmdir", "one");
	CALL("rmdir", "one");
	CALL("rmdir", ".");
	fid_stat(f, AT_FDCWD, "one");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Layouts of the kernel's entries: inode, offset, length, then name and type in either order. */
static void note_entries(struct fid *f, const char *data, int64_t size, size_t name)
{
	const char *names[32] = { 0 };
	size_t count = 0;
	uint16_t length;

	for (int64_t at = 0; at < size && count < 32; at += length) {
		memcpy(&length, data + at + 16, sizeof(length));
		if (length == 0)
			break;
		names[count++] = data + at + name;
	}
	qsort(names, count, sizeof(names[0]), by_name);
	for (size_t i = 0; i < count; i++)
		fid_note(f, "%s\n", names[i]);
}

static void entries(struct fid *f)
{
	_Alignas(8) char buf[1024];
	int fd = fid_keep(f, open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int file = fid_make(f, "file", "x");

	fid_make(f, "second", "y");
	if (mkdir("folder", 0755) < 0)
		fid_fail(f, "mkdir");
	note_entries(f, buf, CALL("getdents64", fd, buf, sizeof(buf)), 19);
	CALL("getdents64", fd, buf, sizeof(buf));
	CALL("lseek", fd, 0, SEEK_SET);
	note_entries(f, buf, CALL("getdents", fd, buf, sizeof(buf)), 18);
	CALL("getdents", fd, buf, sizeof(buf));
	CALL("lseek", fd, 0, SEEK_SET);
	CALL("getdents64", fd, buf, 1);
	CALL("getdents64", fd, FID_BAD, sizeof(buf));
	CALL("getdents64", file, buf, sizeof(buf));
	CALL("getdents64", FID_BAD_FD, buf, sizeof(buf));
	CALL("getdents", file, buf, sizeof(buf));
	CALL("getdents", FID_BAD_FD, buf, sizeof(buf));
}

static void current(struct fid *f)
{
	char buf[256] = "";
	int fd;

	if (mkdir("one", 0755) < 0 || mkdir("one/two", 0755) < 0)
		fid_fail(f, "mkdir");
	fid_make(f, "file", "top");
	fd = fid_keep(f, open("one/two", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	CALL("getcwd", buf, sizeof(buf));
	fid_bytes(f, "getcwd", buf, strlen(buf));
	CALL("chdir", "one");
	CALL_FD("openat", AT_FDCWD, "in one", O_RDWR | O_CREAT, 0600);
	CALL_FD("openat", AT_FDCWD, "file", O_RDONLY);
	CALL_FD("openat", AT_FDCWD, "../file", O_RDONLY);
	CALL("getcwd", buf, sizeof(buf));
	fid_bytes(f, "getcwd", buf, strlen(buf));
	CALL("fchdir", fd);
	CALL("mkdirat", AT_FDCWD, "in two", 0700);
	CALL("getcwd", buf, sizeof(buf));
	fid_bytes(f, "getcwd", buf, strlen(buf));
	CALL("getcwd", buf, 2);
	CALL("getcwd", FID_BAD, sizeof(buf));
	CALL("chdir", "absent");
	CALL("chdir", "../../file");
	CALL("chdir", FID_BAD);
	CALL("fchdir", FID_BAD_FD);
	CALL("fchdir", fid_keep(f, open("../../file", O_RDONLY)));
	CALL("chdir", "../..");
	fid_stat(f, AT_FDCWD, "one/in one");
	fid_stat(f, AT_FDCWD, "one/two/in two");
}

static void root(struct fid *f)
{
	char buf[64] = "";

	if (mkdir("jail", 0755) < 0)
		fid_fail(f, "mkdir");
	fid_make(f, "jail/inside", "seen");
	CALL("chroot", "absent");
	CALL("chroot", "jail/inside");
	CALL("chroot", FID_BAD);
	if (CALL("chroot", "jail") < 0)
		return;
	CALL("chdir", "/");
	CALL("getcwd", buf, sizeof(buf));
	fid_bytes(f, "getcwd", buf, strlen(buf));
	CALL_FD("openat", AT_FDCWD, "/inside", O_RDONLY);
	CALL_FD("openat", AT_FDCWD, "/etc", O_RDONLY);
	CALL_FD("openat", AT_FDCWD, "../inside", O_RDONLY);
}

const struct fid_case fid_dirs[] = {
	{ "mkdir and rmdir", make_remove, 0, 0 },
	{ "getdents", entries, 0, 0 },
	{ "chdir", current, 0, 0 },
	{ "chroot", root, 0, 0 },
	{ 0 },
};
