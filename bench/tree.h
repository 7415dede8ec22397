/* SPDX-License-Identifier: MIT */
/* A tree of small files of the same shape everywhere: top folders, subfolders in each, files in all. */
#ifndef BENCH_TREE_H
#define BENCH_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_TREE_NAME 64u

struct bench_tree {
	const char *path;
	unsigned top;			 /* folders in `path` */
	unsigned sub;			 /* subfolders in each of them */
	unsigned files;			 /* files in each folder and subfolder */
	unsigned (*size)(unsigned file); /* bytes in a folder's file number `file` */
	bool holes;			 /* nothing is written: only the sizes are there */
};

/* Makes it; `path` must not exist. 0 or -errno; -EINTR if we were asked to stop. */
int bench_tree_make(const struct bench_tree *tree);

/* Folders (without `path`), files in all of them, and their bytes together. */
unsigned bench_tree_folders(const struct bench_tree *tree);
unsigned bench_tree_files(const struct bench_tree *tree);
uint64_t bench_tree_bytes(const struct bench_tree *tree);

/* The name, relative to `path`, of file `index` of all, in the order in which they were made. */
void bench_tree_name(const struct bench_tree *tree, unsigned index, char ret_name[BENCH_TREE_NAME]);

#endif
