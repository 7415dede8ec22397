/* SPDX-License-Identifier: MIT */
/* The folder that a benchmark's files are in, and its removal whatever happens. */
#include "harness.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TMPFS 0x01021994u

static char place[PATH_MAX];
static pid_t owner;
static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = sig;
}

bool bench_stopped(void)
{
	return stopped != 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	if (remove(path))
		fprintf(stderr, "cannot remove %s: %s\n", path, strerror(errno));
	return 0;
}

static void remove_place(void)
{
	if (getpid() == owner && place[0])
		nftw(place, remove_one, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	place[0] = 0;
}

static bool is_memory(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == TMPFS && !access(path, W_OK);
}

static const char *choose_parent(const struct bench_options *options, bool in_memory)
{
	const char *env = getenv("TMPDIR");

	if (options->place)
		return options->place;
	if (in_memory && is_memory("/dev/shm"))
		return "/dev/shm";
	return env && *env ? env : "/tmp";
}

const char *bench_place(const struct bench_options *options, bool in_memory)
{
	struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: poll shall end */
	const char *parent = choose_parent(options, in_memory);
	int n = snprintf(place, sizeof place, "%s/asys-bench-%s-XXXXXX", parent, options->bench);

	if (n < 0 || (size_t)n >= sizeof place || !mkdtemp(place)) {
		bench_say(options, "cannot make a folder in %s: %s (--place names another)", parent,
			  n < 0 || (size_t)n >= sizeof place ? "the name is too long" :
							       strerror(errno));
		place[0] = 0;
		return NULL;
	}
	owner = getpid();
	atexit(remove_place);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	return place;
}

const char *bench_place_type(void)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} types[] = {
		{ 0xef53, "ext4" },	{ 0x58465342, "xfs" },	   { 0x9123683e, "btrfs" },
		{ TMPFS, "tmpfs" },	{ 0x794c7630, "overlay" }, { 0x2fc12fc1, "zfs" },
		{ 0xf2f52010, "f2fs" }, { 0x6969, "nfs" },	   { 0x65735546, "fuse" },
		{ 0x01021997, "9p" },
	};
	static char other[32];
	struct statfs fs;

	if (statfs(place, &fs))
		return "unknown";
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].magic == (unsigned long)fs.f_type)
			return types[i].name;
	snprintf(other, sizeof other, "type 0x%lx", (unsigned long)fs.f_type);
	return other;
}
