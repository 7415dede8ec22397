/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (1024u * 1024u)
#define SIZE_MAX_DEFAULT (64 * (uint64_t)MIB)
#define SIZE_MAX_QUICK (32 * (uint64_t)MIB)

/* nftw gives its callback no word of the caller's. */
static struct {
	struct big_file *best;
	uint64_t limit;
	uint64_t seen;
	struct progress progress;
} search;

static int consider(const char *path, const struct stat *info, int type, struct FTW *where)
{
	uint64_t size = (uint64_t)info->st_size;

	(void)where;
	progress_step(&search.progress, ++search.seen);
	/* A file with holes would be read without a device. */
	if (type != FTW_F || !S_ISREG(info->st_mode) || size <= search.best->size ||
	    size > search.limit || (uint64_t)info->st_blocks * 512 < size / 2 ||
	    strlen(path) >= sizeof search.best->path || access(path, R_OK) != 0)
		return 0;
	search.best->size = size;
	snprintf(search.best->path, sizeof search.best->path, "%s", path);
	return size >= search.limit / 2; /* good enough to end the search */
}

/* Below /usr, and of at most `limit` bytes: one of at least the half of that, else the largest. */
static void find_file(struct big_file *best, uint64_t limit)
{
	best->size = 0;
	best->path[0] = '\0';
	search.best = best;
	search.limit = limit;
	search.seen = 0;
	progress_begin(&search.progress, "looking for a large file below /usr, files seen", 0);
	nftw("/usr", consider, 32, FTW_PHYS | FTW_MOUNT);
	progress_end(&search.progress);
}

static int open_named(struct big_file *file, const char *path)
{
	struct stat info;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return say_error(-errno, "cannot open '%s' to hash it", path);
	if (fstat(fd, &info) != 0)
		err = say_error(-errno, "cannot stat '%s'", path);
	else if (!S_ISREG(info.st_mode)) {
		say_error(0, "cannot hash '%s': it is not a regular file", path);
		err = -EINVAL;
	}
	if (err < 0) {
		close(fd);
		return err;
	}
	file->fd = fd;
	file->size = (uint64_t)info.st_size;
	if (path != file->path)
		snprintf(file->path, sizeof file->path, "%s", path);
	return 0;
}

/* Words that do not compress and are the same each time (xorshift). */
static void fill_block(uint64_t *block, size_t words, uint64_t *state)
{
	for (size_t i = 0; i < words; i++) {
		*state ^= *state << 13;
		*state ^= *state >> 7;
		*state ^= *state << 17;
		block[i] = *state;
	}
}

/* A file without a name: it is gone when the program ends, however it ends. */
static int make_file(struct big_file *file, uint64_t size)
{
	static uint64_t block[MIB / sizeof(uint64_t)];
	uint64_t state = 88172645463325252u;
	const char *dir = "/var/tmp";
	struct progress progress;
	struct statvfs space;
	int fd;

	if (statvfs(dir, &space) != 0 || (uint64_t)space.f_bavail * space.f_frsize < 2 * size)
		return -ENOSPC;
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	progress_begin(&progress, "no large file below /usr: writing one, bytes", size);
	for (uint64_t done = 0; done < size; done += sizeof block) {
		fill_block(block, sizeof block / sizeof *block, &state);
		if (write(fd, block, sizeof block) != (ssize_t)sizeof block) {
			close(fd);
			return -EIO;
		}
		progress_step(&progress, done);
	}
	/* What is not on the device yet cannot be dropped from the page cache. */
	fdatasync(fd);
	progress_end(&progress);
	file->fd = fd;
	file->size = size;
	snprintf(file->path, sizeof file->path, "a temporary file in %s", dir);
	return 0;
}

int big_file_open(struct big_file *ret_file, const char *path, bool quick)
{
	if (path != NULL)
		return open_named(ret_file, path);
	find_file(ret_file, quick ? SIZE_MAX_QUICK : SIZE_MAX_DEFAULT);
	if (!quick && ret_file->size < SIZE_MAX_DEFAULT / 4 &&
	    make_file(ret_file, SIZE_MAX_DEFAULT) == 0)
		return 0;
	if (ret_file->size == 0)
		return say_error(-ENOENT, "no readable file below /usr; name one with --file");
	return open_named(ret_file, ret_file->path);
}
