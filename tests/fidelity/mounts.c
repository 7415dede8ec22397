/* SPDX-License-Identifier: MIT */
/* Mounting, in a namespace of its own: nothing leaves it, and it ends with the case. */
#include "fidelity.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct request { /* the kernel's struct mnt_id_req, first version */
	uint32_t size, spare;
	uint64_t id, param;
};

#define UNIQUE_ID 0x4000u /* STATX_MNT_ID_UNIQUE */
#define TYPE_NAME 0x20u	  /* STATMOUNT_FS_TYPE */
#define TYPE_AT 36	  /* of the name's offset in struct statmount, and of its strings */
#define STRINGS_AT 512
#define MOUNT_EMPTY_PATH 4 /* MOVE_MOUNT_F_EMPTY_PATH */

static void classic(struct fid *f)
{
	if (mkdir("target", 0755) < 0 || mkdir("second", 0755) < 0)
		fid_fail(f, "mkdir");
	CALL("mount", "asys", "target", "tmpfs", 0, "size=64k,mode=0751");
	fid_stat(f, AT_FDCWD, "target");
	CALL_FD("openat", AT_FDCWD, "target/file", O_RDWR | O_CREAT, 0600);
	CALL("mount", "target", "second", NULL, MS_BIND, NULL);
	fid_stat(f, AT_FDCWD, "second/file");
	CALL("mount", NULL, "second", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
	CALL_FD("openat", AT_FDCWD, "second/other", O_RDWR | O_CREAT, 0600);
	CALL("mount", "asys", "target", "no such system", 0, NULL);
	CALL("mount", "asys", "absent", "tmpfs", 0, NULL);
	CALL("mount", "asys", FID_BAD, "tmpfs", 0, NULL);
	CALL("mount", "asys", "target", "tmpfs", 0, "nonsense=1");
	CALL("umount2", "second", 0x4000000);
	CALL("umount2", "second", 0);
	CALL("umount2", "second", 0);
	CALL("umount2", "absent", 0);
	CALL("umount2", FID_BAD, 0);
	CALL("umount2", "target", MNT_DETACH);
	fid_stat(f, AT_FDCWD, "target");
}

static void by_descriptor(struct fid *f)
{
	int system = CALL_FD("fsopen", "tmpfs", FSOPEN_CLOEXEC), mount;

	if (mkdir("target", 0755) < 0)
		fid_fail(f, "mkdir");
	CALL_FD("fsopen", "no such system", 0);
	CALL_FD("fsopen", "tmpfs", 99);
	CALL_FD("fsopen", FID_BAD, 0);
	CALL("fsconfig", system, FSCONFIG_SET_STRING, "mode", "0711", 0);
	CALL("fsconfig", system, FSCONFIG_SET_STRING, "nonsense", "0711", 0);
	CALL("fsconfig", system, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	CALL("fsconfig", system, 99, NULL, NULL, 0);
	CALL("fsconfig", FID_BAD_FD, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	mount = CALL_FD("fsmount", system, FSMOUNT_CLOEXEC, 0);
	CALL_FD("fsmount", system, 99, 0);
	CALL_FD("fsmount", FID_BAD_FD, 0, 0);
	CALL("move_mount", mount, "", AT_FDCWD, "target", MOUNT_EMPTY_PATH);
	fid_stat(f, AT_FDCWD, "target");
	CALL("move_mount", AT_FDCWD, "absent", AT_FDCWD, "target", 0);
	CALL("move_mount", mount, "", AT_FDCWD, "target", 1 << 20);
	CALL_FD("fspick", AT_FDCWD, "target", 0);
	CALL_FD("fspick", AT_FDCWD, "absent", 0);
	CALL_FD("fspick", AT_FDCWD, "target", 1 << 20);
}

static void trees(struct fid *f)
{
	uint64_t attr[4] = { 1, 0, 0, 0 }; /* read only */
	int fd;

	if (mkdir("target", 0755) < 0 || mkdir("copy", 0755) < 0 ||
	    mount("asys", "target", "tmpfs", 0, NULL) < 0)
		fid_fail(f, "mount");
	fd = CALL_FD("open_tree", AT_FDCWD, "target", 1);
	CALL_FD("open_tree", AT_FDCWD, "absent", 0);
	CALL_FD("open_tree", AT_FDCWD, "target", 1 << 30);
	CALL("mount_setattr", fd, "", AT_EMPTY_PATH, attr, sizeof(attr));
	CALL("move_mount", fd, "", AT_FDCWD, "copy", MOUNT_EMPTY_PATH);
	CALL_FD("openat", AT_FDCWD, "copy/file", O_RDWR | O_CREAT, 0600);
	CALL_FD("openat", AT_FDCWD, "target/file", O_RDWR | O_CREAT, 0600);
	CALL("mount_setattr", AT_FDCWD, "copy", 0, attr, 3);
	CALL("mount_setattr", AT_FDCWD, "absent", 0, attr, sizeof(attr));
	attr[0] = 1ull << 60;
	CALL("mount_setattr", AT_FDCWD, "copy", 0, attr, sizeof(attr));
	attr[0] = 1;
	CALL_FD("open_tree_attr", AT_FDCWD, "target", 1, attr, sizeof(attr));
	CALL_FD("open_tree_attr", AT_FDCWD, "absent", 1, attr, sizeof(attr));
	CALL_FD("open_tree_attr", AT_FDCWD, "target", 1, FID_BAD, sizeof(attr));
}

static void about(struct fid *f)
{
	struct request request = { sizeof(request), 0, 0, 0 };
	_Alignas(8) char buf[1024] = "";
	struct statx sx = { 0 };
	uint64_t list[64];
	uint32_t name;

	if (mkdir("target", 0755) < 0 || mount("asys", "target", "tmpfs", 0, NULL) < 0)
		fid_fail(f, "mount");
	request.id = UINT64_MAX; /* the root of the namespace */
	request.param = 0;
	CALL("listmount", &request, list, 64, 0);
	CALL("listmount", &request, list, 64, 99);
	CALL("listmount", &request, FID_BAD, 64, 0);
	CALL("listmount", FID_BAD, list, 64, 0);
	request.id = 1;
	CALL("listmount", &request, list, 64, 0);
	/* The id that statmount wants, or 0 from kernels that have none. */
	if (statx(AT_FDCWD, "target", 0, UNIQUE_ID, &sx) < 0 || !(sx.stx_mask & UNIQUE_ID))
		sx.stx_mnt_id = 0;
	request.id = sx.stx_mnt_id;
	request.param = TYPE_NAME;
	CALL("statmount", &request, buf, sizeof(buf), 0);
	memcpy(&name, buf + TYPE_AT, sizeof(name));
	fid_bytes(f, "type", buf + STRINGS_AT + (name < 64 ? name : 0), 6);
	CALL("statmount", &request, buf, 8, 0);
	request.id = 1;
	CALL("statmount", &request, buf, sizeof(buf), 0);
	CALL("statmount", FID_BAD, buf, sizeof(buf), 0);
	CALL("statmount", &request, buf, sizeof(buf), 99);
	request.size = 1;
	CALL("statmount", &request, buf, sizeof(buf), 0);
}

static void new_root(struct fid *f)
{
	char buf[64] = "";

	if (mkdir("root", 0755) < 0 || mount("asys", "root", "tmpfs", 0, NULL) < 0 ||
	    mkdir("root/old", 0755) < 0)
		fid_fail(f, "mount");
	fid_make(f, "root/inside", "x");
	CALL("pivot_root", "absent", "root/old");
	CALL("pivot_root", "root", "absent");
	CALL("pivot_root", FID_BAD, "root/old");
	CALL("pivot_root", "root", "root/old");
	CALL("chdir", "/");
	CALL("getcwd", buf, sizeof(buf));
	fid_bytes(f, "getcwd", buf, strlen(buf));
	fid_stat(f, AT_FDCWD, "/inside");
	CALL_FD("openat", AT_FDCWD, "/old/etc", O_RDONLY);
	CALL("umount2", "/old", MNT_DETACH);
	CALL_FD("openat", AT_FDCWD, "/old/etc", O_RDONLY);
}

const struct fid_case fid_mounts[] = {
	{ "mount", classic, CLONE_NEWNS, 0 },	    { "fsopen", by_descriptor, CLONE_NEWNS, 0 },
	{ "mount trees", trees, CLONE_NEWNS, 0 },   { "listmount", about, CLONE_NEWNS, 0 },
	{ "pivot_root", new_root, CLONE_NEWNS, 0 }, { 0 },
};
