/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

unsigned bench_tree_folders(const struct bench_tree *tree)
{
	return tree->top * (1 + tree->sub);
}

unsigned bench_tree_files(const struct bench_tree *tree)
{
	return bench_tree_folders(tree) * tree->files;
}

uint64_t bench_tree_bytes(const struct bench_tree *tree)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < tree->files; i++)
		bytes += tree->size(i);
	return bytes * bench_tree_folders(tree);
}

/* Folder `index`: a top folder is followed by its subfolders. */
static int folder_name(const struct bench_tree *tree, unsigned index, char *name, size_t size)
{
	unsigned top = index / (1 + tree->sub), sub = index % (1 + tree->sub);

	return sub ? snprintf(name, size, "folder-%02u/sub-%02u", top, sub - 1) :
		     snprintf(name, size, "folder-%02u", top);
}

void bench_tree_name(const struct bench_tree *tree, unsigned index, char ret_name[BENCH_TREE_NAME])
{
	int n = folder_name(tree, index / tree->files, ret_name, BENCH_TREE_NAME);

	snprintf(ret_name + n, BENCH_TREE_NAME - (size_t)n, "/file-%03u.txt", index % tree->files);
}

static int fill_file(const struct bench_tree *tree, int fd, unsigned file)
{
	size_t size = tree->size(file), done = 0;
	char *text;

	if (tree->holes)
		return ftruncate(fd, (off_t)size) ? -errno : 0;
	text = malloc(size + 1);
	if (!text)
		return -ENOMEM;
	memset(text, 'a' + (int)(file % 26), size);
	while (done < size) {
		ssize_t n = write(fd, text + done, size - done);
		int err = n < 0 ? -errno : -ENOSPC;

		if (n <= 0) {
			free(text);
			return err;
		}
		done += (size_t)n;
	}
	free(text);
	return 0;
}

int bench_tree_make(const struct bench_tree *tree)
{
	unsigned files = bench_tree_files(tree);
	int root, err = 0;

	if (mkdir(tree->path, 0700))
		return -errno;
	root = open(tree->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	for (unsigned i = 0; i < files && !err; i++) {
		char name[BENCH_TREE_NAME];
		int fd;

		folder_name(tree, i / tree->files, name, sizeof name);
		if (i % tree->files == 0 && mkdirat(root, name, 0700)) {
			err = -errno;
			break;
		}
		bench_tree_name(tree, i, name);
		fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0) {
			err = -errno;
			break;
		}
		err = fill_file(tree, fd, i % tree->files);
		close(fd);
		if (!err && bench_stopped())
			err = -EINTR;
	}
	close(root);
	return err;
}
