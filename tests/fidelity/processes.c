/* SPDX-License-Identifier: MIT */
/* Processes: their children, groups, programs and tracers. */
#include "fidelity.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static pid_t child(struct fid *f, int status)
{
	pid_t pid = fork();

	if (pid < 0)
		fid_fail(f, "fork");
	if (pid == 0)
		_exit(status);
	return pid;
}

static void own_ids(struct fid *f)
{
	fid_note(f, "%d\n", CALL_OK("getpid", 0) == getpid());
	fid_note(f, "%d\n", CALL_OK("getppid", 0) == getppid());
	fid_note(f, "%d\n", CALL_OK("gettid", 0) == gettid());
	fid_note(f, "%d\n", CALL_OK("getpgrp", 0) == getpgrp());
	fid_note(f, "%d\n", CALL_OK("getpgid", 0) == getpgrp());
	fid_note(f, "%d\n", CALL_OK("getsid", 0) == getsid(0));
	CALL("getpgid", 0x7ffffff0);
	CALL("getsid", 0x7ffffff0);
	CALL("setsid", 0);
	CALL("setpgid", 0, -1);
	CALL("setpgid", 0x7ffffff0, 0);
}

static void sessions(struct fid *f)
{
	int64_t session = CALL_OK("setsid", 0);

	fid_note(f, "mine %d group %d\n", session == getpid(), getpgrp() == getpid());
	CALL("setpgid", 0, 0);
}

static void groups(struct fid *f)
{
	siginfo_t info = { 0 };
	int ends[2], status = 0;
	pid_t pid;

	fid_pipe(f, ends);
	pid = fork();
	if (pid == 0) {
		char end;

		close(ends[1]);
		_exit(read(ends[0], &end, 1) != 0);
	}
	CALL("setpgid", pid, pid);
	fid_note(f, "%d\n", CALL_OK("getpgid", pid) == pid);
	fid_note(f, "%d\n", CALL_OK("getsid", pid) == getsid(0));
	CALL("wait4", pid, &status, WNOHANG, NULL);
	CALL("waitid", P_PID, pid, &info, WEXITED | WNOHANG, NULL);
	fid_note(f, "nobody %d\n", info.si_pid);
	fid_close(f, ends[1]);
	waitpid(pid, NULL, 0);
}

static void waits(struct fid *f)
{
	struct rusage usage = { 0 };
	int status = -1;
	pid_t pid = child(f, 3);

	fid_note(f, "%d\n", CALL_OK("wait4", pid, &status, 0, &usage) == pid);
	fid_note(f, "status %x time %d\n", (unsigned)status, usage.ru_utime.tv_sec < 10);
	CALL("wait4", -1, &status, 0, NULL);
	CALL("wait4", -1, &status, 0x100, NULL);
	if (fid_peer(f))
		kill(getpid(), SIGKILL);
	fid_note(f, "%d\n", CALL_OK("wait4", -1, &status, 0, NULL) == f->peer);
	fid_note(f, "status %x\n", (unsigned)status);
	f->peer = 0;
	CALL("wait4", 0x7ffffff0, &status, 0, NULL);
	pid = child(f, 0);
	CALL("wait4", pid, FID_BAD, 0, NULL);
}

static void wait_ids(struct fid *f)
{
	siginfo_t info = { 0 };
	pid_t pid = child(f, 5);

	CALL("waitid", P_PID, pid, &info, WEXITED | WNOWAIT, NULL);
	fid_note(f, "signal %d code %d status %d mine %d\n", info.si_signo, info.si_code,
		 info.si_status, info.si_pid == pid);
	CALL("waitid", P_PID, pid, &info, WEXITED, NULL);
	CALL("waitid", P_PID, pid, &info, WEXITED, NULL);
	CALL("waitid", 99, pid, &info, WEXITED, NULL);
	CALL("waitid", P_ALL, 0, &info, 0, NULL);
	CALL("waitid", P_PIDFD, FID_BAD_FD, &info, WEXITED, NULL);
	if (fid_peer(f))
		_exit(9);
	CALL("waitid", P_ALL, 0, &info, WEXITED, NULL);
	fid_note(f, "status %d mine %d\n", info.si_status, info.si_pid == f->peer);
	f->peer = 0;
}

static void kills(struct fid *f)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	CALL("kill", pid, 0);
	CALL("kill", pid, 99);
	CALL("kill", 0x7ffffff0, 0);
	CALL("tkill", pid, 0);
	CALL("tkill", -1, 0);
	CALL("tgkill", pid, pid, 0);
	CALL("tgkill", pid, getpid(), 0);
	CALL("tgkill", -1, pid, 0);
	CALL("tkill", pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	fid_note(f, "status %x\n", (unsigned)status);
	CALL("tgkill", pid, pid, SIGCONT);
	waitpid(pid, &status, WCONTINUED);
	fid_note(f, "status %x\n", (unsigned)status);
	CALL("kill", pid, SIGTERM);
	waitpid(pid, &status, 0);
	fid_note(f, "status %x\n", (unsigned)status);
	CALL("kill", pid, 0);
}

/* The case ends as its own call orders; the runner notes how. */
static void own_end(struct fid *f)
{
	signal(SIGTERM, SIG_DFL);
	CALL("kill", getpid(), SIGTERM);
	/* Any thread may take the signal, so this one may come so far. */
	for (int i = 0; i < 100; i++)
		fid_patience();
	fid_note(f, "still here\n");
}

static void exec_errors(struct fid *f)
{
	char *const none[] = { NULL };
	int fd = fid_make(f, "file", "no program");

	CALL("execve", "absent", none, none);
	CALL("execve", "file", none, none);
	CALL("execve", FID_BAD, none, none);
	CALL("execve", ".", none, none);
	CALL("execve", "file/x", none, none);
	CALL("execveat", AT_FDCWD, "absent", none, none, 0);
	CALL("execveat", FID_BAD_FD, "absent", none, none, 0);
	CALL("execveat", fd, "", none, none, AT_EMPTY_PATH);
	CALL("execveat", AT_FDCWD, "file", none, none, 1 << 30);
	if (chmod("file", 0755) < 0)
		fid_fail(f, "chmod");
	fid_close(f, fd);
	CALL("execve", "file", none, none);
}

/* Its output is the file that the runner adds to the transcript. */
static void redirect(struct fid *f)
{
	int fd = open("output", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
		fid_fail(f, "output");
}

static void exec_program(struct fid *f)
{
	char *const args[] = { (char[]){ "sh" }, (char[]){ "-c" },
			       (char[]){ "echo \"$0 $A $PWD\"; umask; echo *; exit 7" }, NULL };
	char *const environment[] = { (char[]){ "A=b" }, NULL };

	redirect(f);
	CALL("execve", "/bin/sh", args, environment);
	fid_note(f, "still here\n");
}

static void exec_descriptor(struct fid *f)
{
	char *const args[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ "echo $A; exit 6" },
			       NULL };
	char *const environment[] = { (char[]){ "A=c" }, NULL };
	int fd = fid_keep(f, open("/bin/sh", O_RDONLY | O_CLOEXEC));

	redirect(f);
	CALL("execveat", fd, "", args, environment, AT_EMPTY_PATH);
	fid_note(f, "still here\n");
}

static void trace(struct fid *f)
{
	int status = 0, ends[2];
	long word = 77, got = 0;
	pid_t pid;

	fid_pipe(f, ends);
	pid = fork();
	if (pid == 0) {
		char end;

		close(ends[1]);
		_exit(read(ends[0], &end, 1) != 0 || word != 78);
	}
	CALL("ptrace", PTRACE_PEEKDATA, pid, &word, &got);
	CALL("ptrace", 9999, pid, 0, 0);
	CALL("ptrace", PTRACE_ATTACH, 0x7ffffff0, 0, 0);
	if (CALL("ptrace", PTRACE_ATTACH, pid, 0, 0) < 0) {
		kill(pid, SIGKILL);
		return;
	}
	fid_note(f, "%d\n", CALL_OK("wait4", pid, &status, 0x40000000, NULL) == pid);
	fid_note(f, "status %x\n", (unsigned)status);
	CALL("ptrace", PTRACE_PEEKDATA, pid, &word, &got);
	fid_note(f, "word %ld\n", got);
	CALL("ptrace", PTRACE_POKEDATA, pid, &word, 78);
	CALL("ptrace", PTRACE_POKEDATA, pid, FID_BAD, 78);
	CALL("ptrace", PTRACE_DETACH, pid, 0, 0);
	fid_close(f, ends[1]);
	waitpid(pid, &status, 0);
	fid_note(f, "status %x\n", (unsigned)status);
}

const struct fid_case fid_processes[] = {
	{ "own ids", own_ids, 0, 0 },	    { "setsid", sessions, 0, FID_SAME_GROUP },
	{ "process groups", groups, 0, 0 }, { "wait4", waits, 0, 0 },
	{ "waitid", wait_ids, 0, 0 },	    { "kill", kills, 0, 0 },
	{ "own end", own_end, 0, 0 },	    { "execve errors", exec_errors, 0, 0 },
	{ "execve", exec_program, 0, 0 },   { "execveat", exec_descriptor, 0, 0 },
	{ "ptrace", trace, 0, 0 },	    { 0 },
};
