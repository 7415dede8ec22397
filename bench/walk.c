/* SPDX-License-Identifier: MIT */
/*
 * A walk of a warm tree of 100,000 files in 1,000 folders: open, getdents64, statx, close.
 *
 * tree, tree_one_core: the walker on asys against the plain one, each inside its process.
 * tree against bfs, find and fd: whole programs, from their start to their end; asked for files
 * above 1 GiB, of which there are none, so that they need every file's stat and print nothing. The
 * program on asys is this one: walk --walker asys FOLDER.
 */
#include "harness.h"
#include "walkers.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 12

/* 40 folders, each with 24 subfolders: 1,000, each with 100 files. --quick: 12 and 60. */
struct tree {
	const char *path;
	unsigned top, sub, files;
	bool one_core;
};

static int fill_folder(int fd, unsigned files)
{
	for (unsigned i = 0; i < files; i++) {
		char name[32];
		int file, err;

		snprintf(name, sizeof name, "file-%03u.txt", i);
		file = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (file < 0)
			return -errno;
		/* A hole: the walk adds up sizes, and no block is needed for that. */
		err = ftruncate(file, i) ? -errno : 0;
		close(file);
		if (err || bench_stopped())
			return err ? err : -EINTR;
	}
	return 0;
}

static int make_folder(const char *path, unsigned files)
{
	int fd, err;

	if (mkdir(path, 0700))
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fill_folder(fd, files);
	close(fd);
	return err;
}

static int make_tree(const struct tree *tree)
{
	char path[4300];
	int err = mkdir(tree->path, 0700) ? -errno : 0;

	for (unsigned i = 0; i < tree->top && !err; i++) {
		snprintf(path, sizeof path, "%s/folder-%02u", tree->path, i);
		err = make_folder(path, tree->files);
		for (unsigned k = 0; k < tree->sub && !err; k++) {
			snprintf(path, sizeof path, "%s/folder-%02u/sub-%02u", tree->path, i, k);
			err = make_folder(path, tree->files);
		}
	}
	return err;
}

/* Did a walk see everything? */
static int check(const struct tree *tree, const struct walk_total *total)
{
	uint64_t folders = tree->top * (1 + tree->sub);
	uint64_t bytes = folders * (tree->files * (tree->files - 1) / 2);

	return !total->errors && total->folders == folders &&
			       total->files == folders * tree->files && total->bytes == bytes ?
		       0 :
		       -EBADMSG;
}

/* Walkers inside the side's own process */

static int inside_open(struct bench_child *child)
{
	const struct tree *tree = child->arg;
	cpu_set_t all, one;

	if (!tree->one_core)
		return 0;
	if (sched_getaffinity(0, sizeof all, &all))
		return -errno;
	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &all)) {
			CPU_SET(cpu, &one);
			break;
		}
	}
	return sched_setaffinity(0, sizeof one, &one) ? -errno : 0;
}

static int inside_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost,
			int (*walk)(const char *path, struct walk_total *ret_total))
{
	const struct tree *tree = child->arg;
	uint64_t start = bench_now();

	for (uint64_t i = 0; i < ops; i++) {
		struct walk_total total;
		int err = walk(tree->path, &total);

		if (!err)
			err = check(tree, &total);
		if (err)
			return err;
	}
	ret_cost->ns = bench_now() - start;
	ret_cost->ops = ops;
	return 0;
}

static int ours_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	return inside_round(child, ops, ret_cost, walk_asys);
}

static int sync_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	return inside_round(child, ops, ret_cost, walk_sync);
}

static void inside_close(struct bench_child *child)
{
	(void)child;
}

static const struct bench_side inside_asys = { "asys", inside_open, ours_round, inside_close };
static const struct bench_side inside_sync = { "sync", inside_open, sync_round, inside_close };

/* Whole programs */

struct program {
	char path[4096];
	char *argv[ARGS_MAX];
};

static int run_program(const struct program *p)
{
	posix_spawn_file_actions_t actions;
	int err, status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	err = posix_spawn(&pid, p->path, &actions, NULL, p->argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int program_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	uint64_t start = bench_now();

	for (uint64_t i = 0; i < ops; i++) {
		int err = run_program(child->state);

		if (err)
			return err;
	}
	ret_cost->ns = bench_now() - start;
	ret_cost->ops = ops;
	return 0;
}

static void program_close(struct bench_child *child)
{
	free(child->state);
}

/* The first of `names` that PATH has. */
static int find_program(const char *const *names, struct program *p)
{
	const char *env = getenv("PATH");

	for (; *names; names++) {
		for (const char *at = env ? env : "/usr/bin:/bin"; *at;) {
			size_t len = strcspn(at, ":");

			snprintf(p->path, sizeof p->path, "%.*s/%s", (int)len, at, *names);
			if (!access(p->path, X_OK))
				return 0;
			at += len + (at[len] == ':');
		}
	}
	return -ENOENT;
}

/* `args`: after the program's name; NULL stands for the tree, and ends with a second NULL. */
static int program_open(struct bench_child *child, const char *const *names,
			const char *const *args)
{
	const struct tree *tree = child->arg;
	struct program *p = calloc(1, sizeof *p);
	unsigned n = 0;
	bool named = false;

	child->state = p;
	if (!p)
		return -ENOMEM;
	if (find_program(names, p)) {
		snprintf(child->note, sizeof child->note, "%s is not installed", names[0]);
		return -ENOENT;
	}
	p->argv[n++] = p->path;
	for (; *args || !named; args++) {
		p->argv[n++] = *args ? (char *)(uintptr_t)*args : (char *)(uintptr_t)tree->path;
		named |= !*args;
	}
	return 0;
}

static int self_open(struct bench_child *child)
{
	static const char *const names[] = { "exe", NULL };
	static const char *const args[] = { "--walker", "asys", NULL, NULL };

	/* This program, wherever it is. */
	if (setenv("PATH", "/proc/self", 1))
		return -errno;
	return program_open(child, names, args);
}

static int bfs_open(struct bench_child *child)
{
	static const char *const names[] = { "bfs", NULL };
	static const char *const args[] = { NULL, "-size", "+1G", NULL };

	return program_open(child, names, args);
}

static int find_open(struct bench_child *child)
{
	static const char *const names[] = { "find", NULL };
	static const char *const args[] = { NULL, "-size", "+1G", NULL };

	return program_open(child, names, args);
}

/* Debian calls it fdfind. One thread per core is its default. Nothing hidden, nothing ignored. */
static int fd_open(struct bench_child *child)
{
	static const char *const names[] = { "fdfind", "fd", NULL };
	static const char *const args[] = { "--unrestricted", "--size", "+1g", ".", NULL, NULL };

	return program_open(child, names, args);
}

static const struct bench_side whole_asys = { "asys", self_open, program_round, program_close };
static const struct bench_side whole_bfs = { "bfs", bfs_open, program_round, program_close };
static const struct bench_side whole_find = { "find", find_open, program_round, program_close };
static const struct bench_side whole_fd = { "fd", fd_open, program_round, program_close };

static const struct bench_side *const inside[] = { &inside_asys, &inside_sync };
static const struct bench_side *const whole[] = { &whole_asys, &whole_bfs, &whole_find, &whole_fd };

static int run_all(const struct bench_options *options)
{
	struct tree tree = { .top = options->quick ? 3 : 40,
			     .sub = options->quick ? 3 : 24,
			     .files = options->quick ? 5 : 100 };
	const struct bench_case cases[] = {
		{ "tree", "ms", 1e6, 2, inside, &tree },
		{ "tree", "ms", 1e6, 4, whole, &tree },
		{ "tree_one_core", "ms", 1e6, 2, inside, &tree },
	};
	const char *place = bench_place(options, false);
	char path[4200];
	int err;

	if (!place)
		return -EIO;
	snprintf(path, sizeof path, "%s/tree", place);
	tree.path = path;
	bench_say(options, "%u files in %u folders on %s, in %s",
		  tree.top * (1 + tree.sub) * tree.files, tree.top * (1 + tree.sub),
		  bench_place_type(), path);
	err = make_tree(&tree);
	if (err)
		bench_say(options, "cannot make the tree: %s", strerror(-err));
	for (size_t i = 0; i < sizeof cases / sizeof *cases && !err; i++) {
		tree.one_core = !strcmp(cases[i].name, "tree_one_core");
		err = bench_compare(options, &cases[i]);
	}
	return err;
}

/* walk --walker asys|sync FOLDER: walks it once and prints what it found. */
static int walk_once(int argc, char **argv)
{
	struct walk_total total;
	bool sync = argc == 4 && !strcmp(argv[2], "sync");
	int err;

	if (argc != 4 || (!sync && strcmp(argv[2], "asys") != 0)) {
		fprintf(stderr, "usage: walk --walker asys|sync FOLDER\n");
		return 2;
	}
	err = sync ? walk_sync(argv[3], &total) : walk_asys(argv[3], &total);
	if (err) {
		fprintf(stderr, "walk: %s: %s\n", argv[3], strerror(-err));
		return 1;
	}
	printf("files %llu folders %llu bytes %llu errors %llu\n", (unsigned long long)total.files,
	       (unsigned long long)total.folders, (unsigned long long)total.bytes,
	       (unsigned long long)total.errors);
	return total.errors ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct bench_options options;

	if (argc > 1 && !strcmp(argv[1], "--walker"))
		return walk_once(argc, argv);
	bench_options(&options, "walk",
		      "Time of a walk of 100,000 files in 1,000 folders (open, getdents64, statx,\n"
		      "close), against a plain walker, bfs, find and fd.\n"
		      "walk --walker asys|sync FOLDER walks a folder once and prints the totals.",
		      argc, argv);
	return bench_exit(&options, run_all(&options));
}
