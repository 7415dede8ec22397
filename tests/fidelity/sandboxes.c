/* SPDX-License-Identifier: MIT */
/* Calls that take rights or views away from the caller: what follows must run without them. */
#include "fidelity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Refuses getpgid and fchmodat with an error that they never give. */
static void filter(struct fid *f)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fchmodat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOANO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	uint32_t action = SECCOMP_RET_ERRNO;
	uint16_t sizes[3] = { 0 };

	fid_make(f, "file", "x");
	CALL_OK("getpgid", 0);
	CALL("seccomp", SECCOMP_GET_ACTION_AVAIL, 0, &action);
	CALL("seccomp", SECCOMP_GET_NOTIF_SIZES, 0, sizes);
	fid_bytes(f, "sizes", sizes, sizeof(sizes));
	CALL("seccomp", 99, 0, NULL);
	CALL("seccomp", SECCOMP_SET_MODE_FILTER, 1 << 20, &program);
	CALL("seccomp", SECCOMP_SET_MODE_FILTER, 0, FID_BAD);
	CALL("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (CALL("seccomp", SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return;
	CALL_OK("getpgid", 0);
	CALL("fchmodat", AT_FDCWD, "file", 0600);
	CALL("prctl", PR_GET_SECCOMP, 0, 0, 0, 0);
	CALL("faccessat", AT_FDCWD, "file", R_OK);
	fid_stat(f, AT_FDCWD, "file");
}

static void landlock(struct fid *f)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE |
								   LANDLOCK_ACCESS_FS_MAKE_REG };
	struct landlock_path_beneath_attr rule = { .allowed_access = attr.handled_access_fs };
	int fd;

	if (mkdir("open", 0755) < 0 || mkdir("closed", 0755) < 0)
		fid_fail(f, "mkdir");
	CALL("landlock_create_ruleset", NULL, 0, 1);
	CALL("landlock_create_ruleset", NULL, 0, 1 << 30);
	CALL("landlock_create_ruleset", FID_BAD, sizeof(attr), 0);
	fd = CALL_FD("landlock_create_ruleset", &attr, sizeof(attr), 0);
	rule.parent_fd = fid_keep(f, open("open", O_PATH | O_CLOEXEC));
	CALL("landlock_add_rule", fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	CALL("landlock_add_rule", fd, 99, &rule, 0);
	CALL("landlock_add_rule", fd, LANDLOCK_RULE_PATH_BENEATH, FID_BAD, 0);
	CALL("landlock_add_rule", FID_BAD_FD, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	CALL("landlock_restrict_self", FID_BAD_FD, 0);
	CALL("landlock_restrict_self", fd, 1 << 30);
	CALL("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	CALL("landlock_restrict_self", fd, 0);
	CALL_FD("openat", AT_FDCWD, "open/file", O_RDWR | O_CREAT, 0600);
	CALL_FD("openat", AT_FDCWD, "closed/file", O_RDWR | O_CREAT, 0600);
	CALL_FD("openat", AT_FDCWD, "file", O_WRONLY | O_CREAT, 0600);
	CALL_FD("openat", AT_FDCWD, "closed", O_RDONLY);
}

/* After this the caller has its own folder, mask and descriptors; nobody else's may be used. */
static void unshare_files(struct fid *f)
{
	char buf[256] = "";
	int fd;

	if (mkdir("folder", 0755) < 0)
		fid_fail(f, "mkdir");
	CALL("unshare", CLONE_FS | CLONE_FILES);
	CALL("umask", 077);
	CALL("chdir", "folder");
	fd = CALL_FD("openat", AT_FDCWD, "file", O_RDWR | O_CREAT, 0666);
	CALL("write", fd, "text", 4);
	fid_file(f, "file");
	fid_stat(f, AT_FDCWD, "file");
	CALL("getcwd", buf, sizeof(buf));
	fid_bytes(f, "getcwd", buf, strlen(buf));
	CALL("unshare", 1 << 30 | 1);
	CALL("unshare", 0);
}

static void other_names(struct fid *f)
{
	struct utsname name = { 0 };
	int old = fid_keep(f, open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC));
	int file = fid_make(f, "file", "x");

	CALL("sethostname", "first", 5);
	CALL("unshare", CLONE_NEWUTS);
	CALL("sethostname", "second", 6);
	CALL("setdomainname", "area", 4);
	CALL("uname", &name);
	fid_note(f, "%s %s\n", name.nodename, name.domainname);
	CALL("setns", old, CLONE_NEWUTS);
	CALL("uname", &name);
	fid_note(f, "%s\n", name.nodename);
	CALL("setns", old, CLONE_NEWNET);
	CALL("setns", file, 0);
	CALL("setns", FID_BAD_FD, 0);
	CALL("sethostname", FID_BAD, 4);
	CALL("sethostname", "x", -1);
	CALL("setdomainname", FID_BAD, 4);
	CALL("setdomainname", "x", 9999);
}

static void other_users(struct fid *f)
{
	CALL("unshare", CLONE_NEWUSER);
	CALL("getuid", 0);
	CALL_FD("openat", AT_FDCWD, "file", O_RDWR | O_CREAT, 0600);
}

static void other_mounts(struct fid *f)
{
	CALL("unshare", CLONE_NEWNS);
	CALL("mkdirat", AT_FDCWD, "target", 0755);
	CALL("mount", NULL, "/", NULL, 1 << 14 | 1 << 18, NULL);
	CALL("mount", "asys", "target", "tmpfs", 0, "mode=0751");
	fid_stat(f, AT_FDCWD, "target");
	CALL_FD("openat", AT_FDCWD, "target/file", O_RDWR | O_CREAT, 0600);
	fid_stat(f, AT_FDCWD, "target/file");
	CALL("umount2", "target", 2);
	fid_stat(f, AT_FDCWD, "target");
}

static void security_modules(struct fid *f)
{
	_Alignas(8) char buf[4096] = "";
	uint64_t ids[32] = { 0 };
	uint32_t size = sizeof(ids), space = sizeof(buf);
	int64_t count = CALL("lsm_list_modules", ids, &size, 0);

	fid_bytes(f, "modules", ids, count > 0 ? (size_t)count * 8 : 0);
	size = 1;
	CALL("lsm_list_modules", ids, &size, 0);
	CALL("lsm_list_modules", ids, &size, 99);
	CALL("lsm_list_modules", FID_BAD, FID_BAD, 0);
	CALL("lsm_get_self_attr", 100, buf, &space, 0);
	CALL("lsm_get_self_attr", 9999, buf, &space, 0);
	CALL("lsm_get_self_attr", 100, buf, FID_BAD, 0);
	CALL("lsm_set_self_attr", 9999, buf, sizeof(buf), 0);
	CALL("lsm_set_self_attr", 100, FID_BAD, 64, 0);
	CALL("lsm_set_self_attr", 100, buf, 64, 99);
}

const struct fid_case fid_sandboxes[] = {
	{ "seccomp", filter, 0, 0 },
	{ "landlock", landlock, 0, 0 },
	{ "unshare files", unshare_files, 0, 0 },
	{ "unshare names", other_names, CLONE_NEWUTS, 0 },
	{ "unshare users", other_users, 0, 0 },
	{ "unshare mounts", other_mounts, CLONE_NEWNS, 0 },
	{ "security modules", security_modules, 0, 0 },
	{ 0 },
};
