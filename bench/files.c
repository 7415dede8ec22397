/* SPDX-License-Identifier: MIT */
/*
 * Open, fstat, read, close: 100,000 small files in 1,000 folders, all in the page cache.
 *
 * Every side goes through the files in the order in which they were made, by names relative to the
 * tree's folder, and looks at what it got: the size that fstat gave, the number of bytes read and the
 * last of them must be right. one_core: all sides on the same core. two_cores: on two.
 *
 * The tree is not on tmpfs, from which io_uring reads only through threads of its own; that would not
 * be a fair comparison. For root it is on a new ext4 in an image in memory, which is made and removed
 * at once, whatever the disk is like; for others, or with --place, it is in that place, in $TMPDIR or
 * in /tmp. Every file is read once before anything is measured.
 */
#include "files.h"

#include "image.h"
#include "program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int files_open(struct bench_child *child, size_t size)
{
	const struct files_setting *set = child->arg;
	struct files *f = calloc(1, size);
	int cores;

	child->state = f;
	if (!f)
		return -ENOMEM;
	f->set = set;
	cores = bench_cores(0, set->cores);
	return cores < 0 ? cores : 0;
}

/* Plain calls, one thread. */

struct plain {
	struct files files;
	char buf[FILES_BUFFER];
};

static int sync_one(struct plain *p)
{
	unsigned index = files_next(&p->files);
	const struct files_setting *set = p->files.set;
	struct stat st;
	ssize_t n;
	int fd = openat(set->root, set->names[index], O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	n = fstat(fd, &st) ? -1 : read(fd, p->buf, sizeof p->buf);
	if (n < 0)
		n = -errno;
	if (close(fd) && n >= 0)
		n = -errno;
	return files_check(&p->files, index, st.st_size, n, p->buf);
}

static int sync_open(struct bench_child *child)
{
	return files_open(child, sizeof(struct plain));
}

static int sync_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	uint64_t start = bench_now();

	ops = files_ops(ops);
	for (uint64_t i = 0; i < ops; i++) {
		int err = sync_one(child->state);

		if (err)
			return err;
	}
	ret_cost->ns = bench_now() - start;
	ret_cost->ops = ops;
	return 0;
}

static void sync_close(struct bench_child *child)
{
	free(child->state);
}

static const struct bench_side side_sync = { "sync", sync_open, sync_round, sync_close };

/* The last one only takes part where there is a core for the kernel's thread. */
static const struct bench_side *const sides[] = {
	&files_side_asys,
	&side_sync,
#ifdef BENCH_LIBURING
	&files_side_uring,
	&files_side_sqpoll,
#endif
};

/* 100 to 4000 bytes, without an order. */
static unsigned size_of(unsigned file)
{
	return 100 + file * 1637 % 3901;
}

/* Reads every file, which also settles its time of access, and has the disk hold what we wrote. */
static int warm(const struct files_setting *set)
{
	struct plain p = { .files = { .set = set } };
	int err = 0;

	for (unsigned i = 0; i < set->len && !err; i++)
		err = sync_one(&p);
	return err ? err : syncfs(set->root) ? -errno : 0;
}

static int prepare(const struct bench_options *options, const struct bench_tree *tree,
		   struct files_setting *set)
{
	int err;

	bench_say(options, "%u files in %u folders, in %s", bench_tree_files(tree),
		  bench_tree_folders(tree), tree->path);
	err = bench_tree_make(tree);
	if (err) {
		bench_say(options, "cannot make the tree: %s", strerror(-err));
		return err;
	}
	set->tree = tree;
	set->len = bench_tree_files(tree);
	set->root = open(tree->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (set->root < 0)
		return -errno;
	set->names = calloc(set->len, sizeof *set->names);
	if (!set->names)
		return -ENOMEM;
	for (unsigned i = 0; i < set->len; i++)
		bench_tree_name(tree, i, set->names[i]);
	return warm(set);
}

static const char *choose_place(const struct bench_options *options)
{
	const char *memory, *mounted;

	if (options->place || geteuid())
		return bench_place(options, false);
	memory = bench_place(options, true);
	mounted = memory ? bench_image_mount(options, memory) : NULL;
	if (mounted || !memory)
		return mounted;
	/* At exit only the last place is removed. */
	return rmdir(memory) ? NULL : bench_place(options, false);
}

static int run_all(const struct bench_options *options)
{
	static const struct {
		const char *name;
		unsigned cores;
	} cases[] = { { "one_core", 1 }, { "two_cores", 2 } };
	const char *place = choose_place(options);
	struct files_setting set = { .root = -1, .trial = options->quick ? 500 : 8000 };
	struct bench_tree tree = { .top = options->quick ? 3 : 40,
				   .sub = options->quick ? 3 : 24,
				   .files = options->quick ? 10 : 100,
				   .size = size_of };
	char path[4200];
	int err;

	if (!place)
		return -EIO;
	snprintf(path, sizeof path, "%s/tree", place);
	tree.path = path;
	err = prepare(options, &tree, &set);
	for (size_t i = 0; i < sizeof cases / sizeof *cases && !err; i++) {
		struct bench_case one = { cases[i].name, "ns", 1, sizeof sides / sizeof *sides,
					  sides,	 &set };

		set.cores = cases[i].cores;
		if (one.sides_len > 2 && set.cores == 1)
			one.sides_len--;
		err = bench_compare(options, &one);
	}
	free(set.names);
	if (set.root >= 0)
		close(set.root);
	return err;
}

int main(int argc, char **argv)
{
	struct bench_options options;

	bench_options(&options, "files",
		      "Time per file of open, fstat, read and close over 100,000 small files in\n"
		      "1,000 folders, in the page cache; against plain calls and liburing.\n"
		      "liburing-sqpoll has the kernel's polling thread, which takes a core.",
		      argc, argv);
#ifndef BENCH_LIBURING
	bench_say(&options, "built without liburing: that comparison is skipped");
#endif
	return bench_exit(&options, run_all(&options));
}
