/* SPDX-License-Identifier: MIT */
/* Limits of the process, and what the kernel tells about it and about itself. */
#include "fidelity.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

static void limits(struct fid *f)
{
	struct rlimit limit = { 1, 2 };

	CALL("getrlimit", RLIMIT_CORE, &limit);
	fid_note(f, "core %llx %llx\n", (unsigned long long)limit.rlim_cur,
		 (unsigned long long)limit.rlim_max);
	limit.rlim_cur = 0;
	CALL("setrlimit", RLIMIT_CORE, &limit);
	CALL("prlimit64", 0, RLIMIT_CORE, NULL, &limit);
	fid_note(f, "core %llx\n", (unsigned long long)limit.rlim_cur);
	limit.rlim_cur = limit.rlim_max = 4096;
	CALL("prlimit64", getpid(), RLIMIT_MSGQUEUE, &limit, NULL);
	CALL("getrlimit", RLIMIT_MSGQUEUE, &limit);
	fid_note(f, "queue %llx\n", (unsigned long long)limit.rlim_cur);
	CALL("getrlimit", 99, &limit);
	CALL("getrlimit", RLIMIT_CORE, FID_BAD);
	CALL("setrlimit", 99, &limit);
	CALL("setrlimit", RLIMIT_CORE, FID_BAD);
	limit.rlim_cur = 9;
	limit.rlim_max = 8;
	CALL("setrlimit", RLIMIT_CORE, &limit);
	CALL("prlimit64", 0x7ffffff0, RLIMIT_CORE, NULL, &limit);
	CALL("prlimit64", 0, RLIMIT_CORE, FID_BAD, NULL);
}

static void file_size(struct fid *f)
{
	struct rlimit limit = { 6, 6 };
	int fd = fid_make(f, "file", "1234");

	signal(SIGXFSZ, SIG_IGN);
	CALL("setrlimit", RLIMIT_FSIZE, &limit);
	CALL("lseek", fd, 4, SEEK_SET);
	CALL("write", fd, "5678", 4);
	CALL("write", fd, "9", 1);
	CALL("ftruncate", fd, 100);
	CALL("pwrite64", fd, "x", 1, 50);
	fid_file(f, "file");
}

static void descriptors(struct fid *f)
{
	struct rlimit limit;
	int fd = fid_make(f, "file", "1234");

	CALL("getrlimit", RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 500;
	CALL("prlimit64", 0, RLIMIT_NOFILE, &limit, NULL);
	CALL("dup2", fd, 499);
	CALL("dup2", fd, 500);
	CALL("dup3", fd, 501, 0);
	CALL("fcntl", fd, F_DUPFD, 500);
	CALL("close", 499);
}

static void usage(struct fid *f)
{
	struct utsname name = { 0 };
	struct sysinfo info = { 0 };
	struct rusage usage = { 0 };

	CALL("getrusage", RUSAGE_SELF, &usage);
	fid_note(f, "memory %d\n", usage.ru_maxrss > 0);
	CALL("getrusage", RUSAGE_CHILDREN, &usage);
	CALL("getrusage", RUSAGE_THREAD, &usage);
	CALL("getrusage", 99, &usage);
	CALL("getrusage", RUSAGE_SELF, FID_BAD);
	CALL("sysinfo", &info);
	fid_note(f, "memory %lu unit %u\n", info.totalram, info.mem_unit);
	CALL("sysinfo", FID_BAD);
	CALL("uname", &name);
	fid_bytes(f, "uname", &name, sizeof(name));
	CALL("uname", FID_BAD);
}

static void personality(struct fid *f)
{
	int64_t old = CALL("personality", 0xffffffff);

	CALL("personality", 0x0040000);
	CALL("personality", 0xffffffff);
	CALL("personality", old);
}

static void controls(struct fid *f)
{
	char name[16] = "";
	int value = -1;

	CALL("prctl", PR_SET_NAME, "fidelity case", 0, 0, 0);
	CALL("prctl", PR_GET_NAME, name, 0, 0, 0);
	fid_bytes(f, "name", name, sizeof(name));
	fid_file(f, "/proc/thread-self/comm");
	CALL("prctl", PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	CALL("prctl", PR_GET_PDEATHSIG, &value, 0, 0, 0);
	fid_note(f, "signal %d\n", value);
	CALL("prctl", PR_SET_PDEATHSIG, 0, 0, 0, 0);
	CALL("prctl", PR_SET_TIMERSLACK, 12345, 0, 0, 0);
	CALL("prctl", PR_GET_TIMERSLACK, 0, 0, 0, 0);
	CALL("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0);
	CALL("prctl", PR_GET_KEEPCAPS, 0, 0, 0, 0);
	CALL("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0);
	CALL("prctl", PR_GET_DUMPABLE, 0, 0, 0, 0);
	CALL("prctl", PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	CALL("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	CALL("prctl", PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	CALL("prctl", PR_SET_NAME, FID_BAD, 0, 0, 0);
	CALL("prctl", PR_SET_DUMPABLE, 99, 0, 0, 0);
	CALL("prctl", 9999, 0, 0, 0, 0);
}

const struct fid_case fid_limits[] = {
	{ "limits", limits, 0, 0 },
	{ "limit of file size", file_size, 0, 0 },
	{ "limit of descriptors", descriptors, 0, 0 },
	{ "usage", usage, 0, 0 },
	{ "personality", personality, 0, 0 },
	{ "prctl", controls, 0, 0 },
	{ 0 },
};
