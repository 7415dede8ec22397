/* SPDX-License-Identifier: MIT */
/*
 * Calls that could change the machine. Each one is made with arguments that the kernel must refuse
 * before it does anything, whoever asks; what is compared is the refusal.
 */
#include "fidelity.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void restart(struct fid *f)
{
	CALL("reboot", 0, 0, 0, 0);
	CALL("reboot", 0xfee1dead, 1, 0, 0);
	CALL("kexec_load", 0, 0, NULL, 1ull << 40);
	CALL("kexec_load", 0, 9999, NULL, 0);
	CALL("kexec_file_load", FID_BAD_FD, FID_BAD_FD, 0, NULL, 1 << 30);
	CALL("kexec_file_load", FID_BAD_FD, FID_BAD_FD, 0, NULL, 4);
}

static void modules(struct fid *f)
{
	int fd = fid_make(f, "file", "no module");

	CALL("init_module", "no module", 9, "");
	CALL("init_module", FID_BAD, 9, "");
	CALL("init_module", "x", 0, "");
	CALL("finit_module", fd, "", 0);
	CALL("finit_module", FID_BAD_FD, "", 0);
	CALL("finit_module", fd, "", 1 << 20);
	CALL("delete_module", "asys_no_such_module", O_NONBLOCK);
	CALL("delete_module", FID_BAD, O_NONBLOCK);
	CALL("create_module", "asys_no_such_module", 0);
	CALL("query_module", NULL, 0, NULL, 0, NULL);
	CALL("get_kernel_syms", NULL);
}

static void storage(struct fid *f)
{
	char about[512];
	int fd = fid_make(f, "file", "no swap");

	CALL("swapon", "absent", 0);
	CALL("swapon", FID_BAD, 0);
	CALL("swapon", "file", 1 << 30);
	CALL("swapoff", "absent");
	CALL("swapoff", "file");
	CALL("swapoff", FID_BAD);
	CALL("acct", "absent");
	CALL("acct", ".");
	CALL("acct", FID_BAD);
	CALL("quotactl", 0x80000700, "absent", 0, about);
	CALL("quotactl", 0x80000700, FID_BAD, 0, about);
	CALL("quotactl", 0xfffff00, NULL, 0, NULL);
	CALL("quotactl_fd", fd, 0xfffff00, 0, NULL);
	CALL("quotactl_fd", FID_BAD_FD, 0x80000700, 0, about);
	CALL("nfsservctl", 0, NULL, NULL);
	CALL("uselib", "absent");
}

static void logs(struct fid *f)
{
	CALL_OK("syslog", 10, NULL, 0);
	CALL("syslog", 99, NULL, 0);
	CALL("syslog", 3, NULL, 10);
	CALL("syslog", 3, FID_BAD, -1);
	CALL("syslog", 8, NULL, 99);
}

/* A session of its own has no terminal that could be hung up. */
static void hang_up(struct fid *f)
{
	if (setsid() < 0)
		fid_fail(f, "setsid");
	CALL("vhangup", 0);
}

static void ports(struct fid *f)
{
	CALL("iopl", 0);
	CALL("iopl", 99);
	CALL("ioperm", 0x80, 1, 0);
	CALL("ioperm", 70000, 1, 1);
	CALL("ioperm", 0, 0, 0);
}

static void descriptor_tables(struct fid *f)
{
	uint32_t user[4] = { 9999, 0, 0, 0 };
	char table[64] = "";
	uint64_t base = 1;

	CALL("modify_ldt", 0, table, sizeof(table));
	CALL("modify_ldt", 1, user, sizeof(user));
	CALL("modify_ldt", 1, user, 3);
	CALL("modify_ldt", 99, table, sizeof(table));
	CALL("arch_prctl", 0x1003, &base);
	fid_note(f, "has a base %d\n", base > 1);
	CALL("arch_prctl", 0x1004, &base);
	fid_note(f, "base %llu\n", (unsigned long long)base);
	CALL("arch_prctl", 0x1003, FID_BAD);
	CALL("arch_prctl", 0x1002, UINT64_MAX);
	CALL("arch_prctl", 99, &base);
	CALL("set_thread_area", user);
	CALL("get_thread_area", user);
}

const struct fid_case fid_machine[] = {
	{ "restart", restart, 0, 0 },
	{ "modules", modules, 0, 0 },
	{ "storage", storage, 0, 0 },
	{ "kernel log", logs, 0, 0 },
	{ "vhangup", hang_up, 0, FID_SAME_GROUP },
	{ "ports", ports, 0, 0 },
	{ "descriptor tables", descriptor_tables, 0, 0 },
	{ 0 },
};
