/* SPDX-License-Identifier: MIT */
/* Who the caller is: ids, groups, capabilities; and that what follows runs as that. */
#include "fidelity.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

/* What the process may do now: a file of its own, and one that only root may read. */
static void probe(struct fid *f, const char *name)
{
	CALL_FD("openat", AT_FDCWD, name, O_WRONLY | O_CREAT, 0600);
	fid_stat(f, AT_FDCWD, name);
	CALL_FD("openat", AT_FDCWD, "secret", O_RDONLY);
	CALL("mkdirat", AT_FDCWD, "closed/new", 0700);
	CALL("fchownat", AT_FDCWD, name, 1234, 1234, 0);
}

static void prepare(struct fid *f)
{
	if (chmod(".", 0777) < 0 || mkdir("closed", 0755) < 0)
		fid_fail(f, "mkdir");
	fid_make(f, "secret", "x");
	if (chmod("secret", 0600) < 0)
		fid_fail(f, "chmod");
}

static void note_ids(struct fid *f)
{
	uid_t r = 9, e = 9, s = 9;

	CALL("getresuid", &r, &e, &s);
	fid_note(f, "users %u %u %u\n", r, e, s);
	CALL("getresgid", &r, &e, &s);
	fid_note(f, "groups %u %u %u\n", r, e, s);
	CALL("getuid", 0);
	CALL("geteuid", 0);
	CALL("getgid", 0);
	CALL("getegid", 0);
}

static void queries(struct fid *f)
{
	gid_t groups[64];
	int64_t count;

	note_ids(f);
	CALL("getresuid", FID_BAD, FID_BAD, FID_BAD);
	CALL("getresgid", FID_BAD, FID_BAD, FID_BAD);
	count = CALL("getgroups", 64, groups);
	if (count > 0)
		fid_bytes(f, "groups", groups, (size_t)count * sizeof(groups[0]));
	CALL("getgroups", 0, NULL);
	CALL("getgroups", -1, groups);
	CALL("setgroups", -1, groups);
	CALL("setgroups", 1, FID_BAD);
}

static void set_user(struct fid *f)
{
	prepare(f);
	CALL("setgid", NOBODY);
	CALL("setuid", NOBODY);
	note_ids(f);
	probe(f, "mine");
	CALL("setuid", 0);
	CALL("setgid", 0);
}

static void set_effective(struct fid *f)
{
	prepare(f);
	CALL("setregid", -1, 1001);
	CALL("setreuid", -1, 1002);
	note_ids(f);
	probe(f, "mine");
	CALL("setreuid", -1, 0);
	probe(f, "root's");
	CALL("setreuid", 5, 6);
	CALL("setreuid", 7, 8);
	CALL("setregid", 7, 8);
}

static void set_saved(struct fid *f)
{
	gid_t groups[2] = { 3001, 3002 };

	prepare(f);
	CALL("setgroups", 2, groups);
	groups[0] = groups[1] = 0;
	CALL("getgroups", 2, groups);
	fid_note(f, "groups %u %u\n", groups[0], groups[1]);
	CALL("setresgid", 1001, 1002, 1003);
	CALL("setresuid", 1001, 1002, 1003);
	note_ids(f);
	probe(f, "mine");
	CALL("setresuid", -1, 1003, -1);
	probe(f, "saved");
	CALL("setresuid", 1, 2, 3);
	CALL("setresgid", 1, 2, 3);
	CALL("setgroups", 2, groups);
}

static void set_files(struct fid *f)
{
	prepare(f);
	CALL("setfsuid", 1001);
	CALL("setfsuid", -1);
	CALL("setfsgid", 1002);
	CALL("setfsgid", -1);
	probe(f, "mine");
	CALL("setfsuid", 0);
	probe(f, "root's");
}

static void capabilities(struct fid *f)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };

	prepare(f);
	CALL("capget", &head, data);
	fid_bytes(f, "capabilities", data, sizeof(data));
	/* Without these, root is bound by the modes of files that others own. */
	data[0].effective &= ~(1u << 1 | 1u << 2);
	data[0].permitted &= ~(1u << 1 | 1u << 2);
	if (chown("secret", 1234, 1234) < 0)
		fid_note(f, "not root\n");
	CALL("capset", &head, data);
	probe(f, "mine");
	data[0].permitted |= 1u << 1;
	CALL("capset", &head, data);
	CALL("capset", &head, FID_BAD);
	CALL("capget", FID_BAD, data);
	head.pid = -1;
	CALL("capget", &head, data);
	head.version = 1;
	CALL("capget", &head, data);
	fid_note(f, "version %x\n", head.version);
}

const struct fid_case fid_identity[] = {
	{ "ids", queries, 0, 0 },
	{ "setuid", set_user, 0, 0 },
	{ "setreuid", set_effective, 0, 0 },
	{ "setresuid", set_saved, 0, 0 },
	{ "setfsuid", set_files, 0, 0 },
	{ "capabilities", capabilities, 0, 0 },
	{ 0 },
};
