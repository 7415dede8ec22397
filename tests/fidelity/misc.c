/* SPDX-License-Identifier: MIT */
/* Calls that only have a number any more, and numbers that no table has. */
#include "fidelity.h"

#include <string.h>

static void retired(struct fid *f)
{
	static const char *const names[] = { "_sysctl",	       "afs_syscall", "epoll_ctl_old",
					     "epoll_wait_old", "getpmsg",     "putpmsg",
					     "lookup_dcookie", "security",    "tuxcall",
					     "vserver",	       "sysfs",	      "nfsservctl" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		fid_call(f, FID_LOG_EXACT, names[i],
			 (const uint64_t[6]){ 9999, 9999, 9999, 9999, 9999, 9999 });
}

static void by_number(struct fid *f, uint32_t nr)
{
	fid_note(f, "%u = %lld\n", nr,
		 (long long)f->executor->run(f->context, nr, (const uint64_t[6]){ 0 }));
}

/* Newer than the table: still the kernel's answer. */
static void unknown(struct fid *f)
{
	by_number(f, asys_syscall_count() + 100);
	by_number(f, 1023);
	by_number(f, 65535);
}

/* From the outside of a probe: the kernel ends the caller, or refuses. */
static void uretprobe(struct fid *f)
{
	CALL("uretprobe", 0);
}

static void uprobe(struct fid *f)
{
	CALL("uprobe", 0);
}

static void restarted(struct fid *f)
{
	CALL("restart_syscall", 0);
}

const struct fid_case fid_misc[] = {
	{ "retired calls", retired, 0, 0 },	{ "unknown numbers", unknown, 0, 0 },
	{ "uretprobe", uretprobe, 0, 0 },	{ "uprobe", uprobe, 0, 0 },
	{ "restart_syscall", restarted, 0, 0 }, { 0 },
};
