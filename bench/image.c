/* SPDX-License-Identifier: MIT */
#include "image.h"

#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRIES 200u
#define PAUSE_NS 10000000
#define IMAGE_BYTES (6ll << 30) /* sparse: what is used is used */

static char mounted[PATH_MAX];
static pid_t owner;

static int run_tool(const char *name, const char *const *args)
{
	const char *names[] = { name, NULL };
	char path[BENCH_PROGRAM_PATH], *argv[8] = { path };

	for (unsigned i = 0; args[i]; i++)
		argv[i + 1] = (char *)(uintptr_t)args[i];
	return bench_program_find(names, path) || bench_program_run(argv) ? -EIO : 0;
}

void bench_image_unmount(void)
{
	const struct timespec pause = { 0, PAUSE_NS };
	int err;

	if (getpid() != owner || !mounted[0])
		return;
	/* The kernel lets go of a ring's files a moment after its process has ended. */
	for (unsigned i = 0; (err = umount2(mounted, 0)) && errno == EBUSY && i < TRIES; i++)
		nanosleep(&pause, NULL);
	if (err && umount2(mounted, MNT_DETACH))
		fprintf(stderr, "cannot unmount %s: %s\n", mounted, strerror(errno));
	mounted[0] = 0;
}

static int make_image(const char *file, const char *folder)
{
	/* Nothing is left for a thread of the kernel to do while we measure. */
	const char *const format[] = { "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0",
				       file, NULL };
	const char *const mount[] = { "-o", "loop,relatime", file, folder, NULL };
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), err;

	if (fd < 0)
		return -errno;
	err = ftruncate(fd, IMAGE_BYTES) ? -errno : 0;
	close(fd);
	if (!err && mkdir(folder, 0700))
		err = -errno;
	if (!err)
		err = run_tool("mkfs.ext4", format);
	return err ? err : run_tool("mount", mount);
}

const char *bench_image_mount(const struct bench_options *options, const char *place)
{
	char file[PATH_MAX], folder[PATH_MAX];
	int err;

	if (snprintf(file, sizeof file, "%s/image", place) >= (int)sizeof file ||
	    snprintf(folder, sizeof folder, "%s/mounted", place) >= (int)sizeof folder)
		return NULL;
	err = make_image(file, folder);
	if (err) {
		unlink(file);
		rmdir(folder);
		bench_say(options, "cannot make or mount an ext4 image: %s", strerror(-err));
		return NULL;
	}
	memcpy(mounted, folder, sizeof mounted);
	owner = getpid();
	/* After bench_place's, and so before it: the place can be removed then. */
	atexit(bench_image_unmount);
	return mounted;
}
