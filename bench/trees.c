/* SPDX-License-Identifier: MIT */
#include "copytree.h"
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DESCRIPTORS 64
#define COPIES 4u	   /* the source, the destination, and as much again to spare */
#define NAMES_PER_COPY 64u /* for one cp */

static struct trees_total counted; /* nftw hands no pointer on */

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (type == FTW_DNR || type == FTW_NS)
		return -1;
	counted.entries++;
	counted.blocks += (uint64_t)st->st_blocks * 512;
	if (S_ISREG(st->st_mode))
		counted.bytes += (uint64_t)st->st_size;
	return 0;
}

int trees_count(const char *path, struct trees_total *ret_total)
{
	memset(&counted, 0, sizeof counted);
	errno = 0;
	if (nftw(path, count_one, DESCRIPTORS, FTW_PHYS))
		return errno ? -errno : -EACCES;
	*ret_total = counted;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int trees_remove(const char *path)
{
	if (access(path, F_OK))
		return errno == ENOENT ? 0 : -errno;
	return nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) ? -errno : 0;
}

int trees_settle(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = syncfs(fd) ? -errno : 0;
	close(fd);
	return err;
}

static uint64_t room(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) ? 0 : (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* cp -a NAME ... TO, as many names as there are. */
struct batch {
	char *argv[NAMES_PER_COPY + 4];
	unsigned len;
};

static void forget_names(struct batch *b)
{
	while (b->len > 2)
		free(b->argv[--b->len]);
}

static int copy_names(struct batch *b, const char *to)
{
	int err;

	if (b->len == 2)
		return 0;
	b->argv[b->len] = (char *)(uintptr_t)to;
	b->argv[b->len + 1] = NULL;
	err = bench_program_run(b->argv);
	forget_names(b);
	return err;
}

static int copy_entries(const char *from, const char *to, struct dirent **entries, int len,
			uint64_t limit)
{
	static const char *const names[] = { "cp", NULL };
	char cp[BENCH_PROGRAM_PATH], archive[] = "-a";
	struct batch b = { { cp, archive }, 2 };
	uint64_t used = 0;
	int err = bench_program_find(names, cp);

	for (int i = 0; i < len && !err; i++) {
		struct trees_total total;
		char *path;

		if (!strcmp(entries[i]->d_name, ".") || !strcmp(entries[i]->d_name, ".."))
			continue;
		if (asprintf(&path, "%s/%s", from, entries[i]->d_name) < 0) {
			err = -ENOMEM;
			break;
		}
		/* What we may not read is not copied. */
		if (trees_count(path, &total) || used + total.blocks > limit) {
			free(path);
			continue;
		}
		used += total.blocks;
		b.argv[b.len++] = path;
		if (b.len == NAMES_PER_COPY + 2)
			err = copy_names(&b, to);
		if (bench_stopped())
			err = -EINTR;
	}
	if (!err)
		err = copy_names(&b, to);
	forget_names(&b);
	return err;
}

int trees_make(const char *from, const char *to, uint64_t limit, struct trees_total *ret_total)
{
	struct dirent **entries;
	uint64_t fits;
	int len, err;

	if (mkdir(to, 0700))
		return -errno;
	fits = room(to) / COPIES;
	len = scandir(from, &entries, NULL, alphasort);
	if (len < 0)
		return -errno;
	err = copy_entries(from, to, entries, len, limit < fits ? limit : fits);
	for (int i = 0; i < len; i++)
		free(entries[i]);
	free(entries);
	return err ? err : trees_count(to, ret_total);
}
