/* SPDX-License-Identifier: MIT */
/* The plain walker: depth first, one call after the other. */
#include "walkers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int walk_folder(int fd, struct walk_total *total);

static int visit(int fd, const char *name, struct walk_total *total)
{
	struct statx stx;
	int sub, err;

	if (statx(fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx)) {
		total->errors++;
		return 0;
	}
	if (!S_ISDIR(stx.stx_mode)) {
		total->files++;
		total->bytes += stx.stx_size;
		return 0;
	}
	total->folders++;
	sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (sub < 0) {
		total->errors++;
		return 0;
	}
	err = walk_folder(sub, total);
	close(sub);
	return err;
}

static int walk_folder(int fd, struct walk_total *total)
{
	char *buf = malloc(WALK_BUFFER);
	ssize_t n = 0;
	int err = buf ? 0 : -ENOMEM;

	while (!err && (n = getdents64(fd, buf, WALK_BUFFER)) > 0) {
		for (char *at = buf; at < buf + n && !err;) {
			struct dirent64 *entry = (struct dirent64 *)(void *)at;

			at += entry->d_reclen;
			if (!is_dot(entry->d_name))
				err = visit(fd, entry->d_name, total);
		}
	}
	if (n < 0)
		total->errors++;
	free(buf);
	return err;
}

int walk_sync(const char *path, struct walk_total *ret_total)
{
	struct walk_total total = { 0, 0, 0, 0 };
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = walk_folder(fd, &total);
	close(fd);
	if (!err)
		*ret_total = total;
	return err;
}
