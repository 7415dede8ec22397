/* SPDX-License-Identifier: MIT */
/* Extended attributes, by path, by link and by descriptor. */
#include "fidelity.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static void by_path(struct fid *f)
{
	char buf[64] = "";

	fid_make(f, "file", "x");
	CALL("setxattr", "file", "user.a", "one", 3, 0);
	CALL("setxattr", "file", "user.a", "one", 3, XATTR_CREATE);
	CALL("setxattr", "file", "user.b", "two", 3, XATTR_REPLACE);
	CALL("setxattr", "file", "user.b", "two", 3, 99);
	CALL("setxattr", "file", "nowhere.b", "two", 3, 0);
	CALL("setxattr", "absent", "user.b", "two", 3, 0);
	CALL("setxattr", "file", "user.b", FID_BAD, 3, 0);
	CALL("getxattr", "file", "user.a", buf, sizeof(buf));
	fid_bytes(f, "getxattr", buf, sizeof(buf));
	CALL("getxattr", "file", "user.a", buf, 1);
	CALL("getxattr", "file", "user.a", NULL, 0);
	CALL("getxattr", "file", "user.none", buf, sizeof(buf));
	CALL("getxattr", "file", FID_BAD, buf, sizeof(buf));
	CALL("listxattr", "file", buf, sizeof(buf));
	fid_bytes(f, "listxattr", buf, sizeof(buf));
	CALL("listxattr", "file", buf, 1);
	CALL("listxattr", "absent", buf, sizeof(buf));
	CALL("removexattr", "file", "user.a");
	CALL("removexattr", "file", "user.a");
	CALL("removexattr", "absent", "user.a");
	CALL("listxattr", "file", buf, sizeof(buf));
}

/* The namespace user. is not for symbolic links; root may use trusted. there. */
static void by_link(struct fid *f)
{
	char buf[64] = "";

	fid_make(f, "file", "x");
	if (symlink("file", "link") < 0)
		fid_fail(f, "symlink");
	CALL("lsetxattr", "link", "user.a", "one", 3, 0);
	CALL("lsetxattr", "link", "trusted.a", "two", 3, 0);
	CALL("lsetxattr", "file", "user.a", "one", 3, 0);
	CALL("lgetxattr", "link", "trusted.a", buf, sizeof(buf));
	CALL("lgetxattr", "file", "user.a", buf, sizeof(buf));
	fid_bytes(f, "lgetxattr", buf, sizeof(buf));
	CALL("lgetxattr", "link", "user.a", buf, sizeof(buf));
	CALL("llistxattr", "link", buf, sizeof(buf));
	CALL("llistxattr", "file", buf, sizeof(buf));
	CALL("llistxattr", "absent", buf, sizeof(buf));
	CALL("lremovexattr", "link", "trusted.a");
	CALL("lremovexattr", "link", "trusted.a");
	CALL("lremovexattr", "file", "user.a");
}

static void by_descriptor(struct fid *f)
{
	int fd = fid_make(f, "file", "x");
	char buf[64] = "";

	CALL("fsetxattr", fd, "user.a", "one", 3, 0);
	CALL("fsetxattr", FID_BAD_FD, "user.a", "one", 3, 0);
	CALL("fgetxattr", fd, "user.a", buf, sizeof(buf));
	fid_bytes(f, "fgetxattr", buf, sizeof(buf));
	CALL("fgetxattr", FID_BAD_FD, "user.a", buf, sizeof(buf));
	CALL("flistxattr", fd, buf, sizeof(buf));
	fid_bytes(f, "flistxattr", buf, sizeof(buf));
	CALL("flistxattr", FID_BAD_FD, buf, sizeof(buf));
	CALL("fremovexattr", fd, "user.a");
	CALL("fremovexattr", fd, "user.a");
	CALL("fremovexattr", FID_BAD_FD, "user.a");
}

static void by_place(struct fid *f)
{
	char value[16] = "four", buf[64] = "";
	struct {
		uint64_t value;
		uint32_t size, flags;
	} args = { FID_WORD(value), 4, 0 };

	fid_make(f, "file", "x");
	CALL("setxattrat", AT_FDCWD, "file", 0, "user.a", &args, sizeof(args));
	CALL("setxattrat", AT_FDCWD, "file", 0, "user.a", &args, 1);
	CALL("setxattrat", AT_FDCWD, "file", 1 << 30, "user.a", &args, sizeof(args));
	CALL("setxattrat", FID_BAD_FD, "file", 0, "user.a", &args, sizeof(args));
	args.value = FID_WORD(buf);
	args.size = sizeof(buf);
	CALL("getxattrat", AT_FDCWD, "file", 0, "user.a", &args, sizeof(args));
	fid_bytes(f, "getxattrat", buf, sizeof(buf));
	CALL("getxattrat", AT_FDCWD, "file", 0, "user.none", &args, sizeof(args));
	CALL("listxattrat", AT_FDCWD, "file", 0, buf, sizeof(buf));
	fid_bytes(f, "listxattrat", buf, sizeof(buf));
	CALL("listxattrat", AT_FDCWD, "absent", 0, buf, sizeof(buf));
	CALL("removexattrat", AT_FDCWD, "file", 0, "user.a");
	CALL("removexattrat", AT_FDCWD, "file", 0, "user.a");
}

/* struct file_attr: five words of 32 bits after one of 64. */
static void inode_flags(struct fid *f)
{
	uint64_t attr[3] = { 0 };

	fid_make(f, "file", "x");
	CALL("file_getattr", AT_FDCWD, "file", attr, sizeof(attr), 0);
	fid_bytes(f, "file_getattr", attr, sizeof(attr));
	CALL("file_setattr", AT_FDCWD, "file", attr, sizeof(attr), 0);
	CALL("file_getattr", AT_FDCWD, "absent", attr, sizeof(attr), 0);
	CALL("file_getattr", AT_FDCWD, "file", attr, 1, 0);
	CALL("file_getattr", AT_FDCWD, "file", attr, sizeof(attr), 1 << 30);
	CALL("file_setattr", AT_FDCWD, "file", attr, sizeof(attr), 1 << 30);
	CALL("file_setattr", AT_FDCWD, "file", FID_BAD, sizeof(attr), 0);
}

const struct fid_case fid_xattrs[] = {
	{ "xattr by path", by_path, 0, 0 },
	{ "xattr by link", by_link, 0, 0 },
	{ "xattr by descriptor", by_descriptor, 0, 0 },
	{ "xattr by place", by_place, 0, 0 },
	{ "inode flags", inode_flags, 0, 0 },
	{ 0 },
};
