/* SPDX-License-Identifier: MIT */
/* A tree, one plain call after the other. walk_async.c makes the same calls through a queue. */
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct walker {
	struct walk *walk;
	struct cost *cost;
	struct progress *progress;
	struct walk_path *stack;
	uint64_t device; /* of the root */
	char names[WALK_CHUNK] __attribute__((aligned(8)));
	char data[WALK_CHUNK];
};

int walk_push(struct walk_path **stack, const char *folder, const char *name)
{
	size_t size = strlen(folder) + strlen(name) + 2;
	struct walk_path *path = malloc(sizeof *path + size);

	if (path == NULL) {
		say_error(-ENOMEM, "cannot remember the folder '%s/%s'", folder, name);
		return -ENOMEM;
	}
	snprintf(path->text, size, "%s/%s", folder, name);
	path->next = *stack;
	*stack = path;
	return 0;
}

uint64_t walk_device(const struct statx *info)
{
	return (uint64_t)makedev(info->stx_dev_major, info->stx_dev_minor);
}

static void read_file(struct walker *walker, int folder, const char *name, uint64_t size)
{
	int fd = openat(folder, name, WALK_OPEN_FLAGS);
	uint64_t offset = 0;
	ssize_t got;

	walker->cost->calls++;
	if (fd < 0) {
		walker->walk->errors++;
		return;
	}
	do {
		got = pread(fd, walker->data, WALK_CHUNK, (off_t)offset);
		walker->cost->calls++;
		if (got < 0)
			walker->walk->errors++;
		else
			offset += (uint64_t)got;
	} while (got > 0 && offset < size);
	walker->walk->read_bytes += offset;
	close(fd);
	walker->cost->calls++;
}

static int visit(struct walker *walker, const char *path, int folder, const char *name)
{
	struct walk *walk = walker->walk;
	struct statx info;

	walker->cost->calls++;
	if (statx(folder, name, AT_SYMLINK_NOFOLLOW, WALK_STATX_MASK, &info) != 0) {
		walk->errors++;
		return 0;
	}
	if (S_ISDIR(info.stx_mode))
		return walk_device(&info) == walker->device ?
			       walk_push(&walker->stack, path, name) :
			       0;
	if (!S_ISREG(info.stx_mode)) {
		walk->others++;
		return 0;
	}
	walk->files++;
	walk->size_bytes += info.stx_size;
	read_file(walker, folder, name, info.stx_size);
	progress_step(walker->progress, walk->files);
	return 0;
}

static int walk_folder(struct walker *walker, const char *path)
{
	int fd = open(path, WALK_OPEN_FLAGS | O_DIRECTORY);
	long got;
	int err = 0;

	walker->cost->calls++;
	if (fd < 0) {
		walker->walk->errors++;
		return 0;
	}
	walker->walk->folders++;
	while (err == 0) {
		got = syscall(SYS_getdents64, fd, walker->names, (size_t)WALK_CHUNK);
		walker->cost->calls++;
		if (got <= 0) {
			walker->walk->errors += got < 0;
			break;
		}
		for (long at = 0; at < got && err == 0;) {
			const void *place = walker->names + at;
			const struct walk_entry *entry = place;

			at += entry->length;
			if (walk_wanted(entry))
				err = visit(walker, path, fd, entry->name);
		}
	}
	close(fd);
	walker->cost->calls++;
	return err;
}

static int walk_all(struct walker *walker, const char *root)
{
	struct statx info;
	int err;

	walker->cost->calls++;
	if (statx(AT_FDCWD, root, 0, WALK_STATX_MASK, &info) != 0)
		return say_error(-errno, "cannot walk '%s'", root);
	if (!S_ISDIR(info.stx_mode))
		return say_error(-ENOTDIR, "cannot walk '%s'", root);
	walker->device = walk_device(&info);
	err = walk_push(&walker->stack, root, ".");
	while (walker->stack != NULL) {
		struct walk_path *path = walker->stack;

		walker->stack = path->next;
		if (err == 0)
			err = walk_folder(walker, path->text);
		free(path);
	}
	return err;
}

int walk_sync(const char *root, struct walk *ret_walk, struct cost *ret_cost,
	      struct progress *progress)
{
	struct walker *walker = calloc(1, sizeof *walker);
	int err;

	if (walker == NULL)
		return say_error(-ENOMEM, "cannot start a walk");
	memset(ret_walk, 0, sizeof *ret_walk);
	walker->walk = ret_walk;
	walker->cost = ret_cost;
	walker->progress = progress;
	cost_start(ret_cost);
	err = walk_all(walker, root);
	cost_stop(ret_cost);
	ret_cost->traps = ret_cost->calls;
	free(walker);
	return err;
}
