/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_MS 5000

static int beside_us(const char *name, char path[BENCH_PROGRAM_PATH])
{
	char self[BENCH_PROGRAM_PATH], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n <= 0)
		return -ENOENT;
	self[n] = 0;
	slash = strrchr(self, '/');
	*slash = 0;
	n = snprintf(path, BENCH_PROGRAM_PATH, "%s/%s", self, name);
	return n < (ssize_t)BENCH_PROGRAM_PATH && !access(path, X_OK) ? 0 : -ENOENT;
}

static int in_folders(const char *folders, const char *name, char path[BENCH_PROGRAM_PATH])
{
	for (const char *at = folders; *at;) {
		size_t len = strcspn(at, ":");
		int n = snprintf(path, BENCH_PROGRAM_PATH, "%.*s/%s", (int)len, at, name);

		if (n < (int)BENCH_PROGRAM_PATH && !access(path, X_OK))
			return 0;
		at += len + (at[len] == ':');
	}
	return -ENOENT;
}

int bench_program_find(const char *const *names, char ret_path[BENCH_PROGRAM_PATH])
{
	const char *env = getenv("PATH");
	char path[BENCH_PROGRAM_PATH];

	for (; *names; names++) {
		int err = strchr(*names, '/') ?
				  beside_us(*names, path) :
				  in_folders(env ? env : "/usr/bin:/bin", *names, path);

		if (err && !strchr(*names, '/'))
			err = in_folders("/usr/local/sbin:/usr/sbin:/sbin", *names, path);
		if (!err) {
			memcpy(ret_path, path, BENCH_PROGRAM_PATH);
			return 0;
		}
	}
	return -ENOENT;
}

/* In the child: becomes the program. Ends with 127 if it cannot. */
static void become(char *const argv[], int out, int core, int parent)
{
	int target = out >= 0 ? out : open("/dev/null", O_WRONLY | O_CLOEXEC);
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (getppid() == parent && target >= 0 && dup2(target, STDOUT_FILENO) >= 0 &&
	    (core < 0 || bench_cores((unsigned)core, 1) > 0))
		execv(argv[0], argv);
	_exit(127);
}

int bench_program_start(char *const argv[], int out, int core)
{
	int parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become(argv, out, core, parent);
	return pid < 0 ? -errno : pid;
}

int bench_program_wait(int pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int bench_program_run(char *const argv[])
{
	int pid = bench_program_start(argv, -1, -1);

	return pid < 0 ? pid : bench_program_wait(pid);
}

void bench_program_stop(int pid)
{
	/* Its descriptor polls readable once it has ended. */
	struct pollfd pfd = { (int)syscall(SYS_pidfd_open, pid, 0), POLLIN, 0 };

	kill(pid, SIGTERM);
	if (pfd.fd < 0 || poll(&pfd, 1, STOP_MS) != 1)
		kill(pid, SIGKILL);
	if (pfd.fd >= 0)
		close(pfd.fd);
	bench_program_wait(pid);
}

int bench_cores(unsigned skip, unsigned len)
{
	cpu_set_t all, some;
	unsigned seen = 0;

	if (sched_getaffinity(0, sizeof all, &all))
		return -errno;
	CPU_ZERO(&some);
	for (size_t cpu = 0; cpu < CPU_SETSIZE && (unsigned)CPU_COUNT(&some) < len; cpu++)
		if (CPU_ISSET(cpu, &all) && seen++ >= skip)
			CPU_SET(cpu, &some);
	if (CPU_COUNT(&some) == 0)
		return -EINVAL;
	return sched_setaffinity(0, sizeof some, &some) ? -errno : CPU_COUNT(&some);
}
