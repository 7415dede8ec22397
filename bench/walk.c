/* SPDX-License-Identifier: MIT */
/*
 * A walk of a warm tree of 100,000 files in 1,000 folders: open, getdents64, statx, close.
 *
 * tree, tree_one_core: the walker on asys against the plain one, each inside its process.
 * tree against bfs, find and fd: whole programs, from their start to their end; asked for files
 * above 1 GiB, of which there are none, so that they need every file's stat and print nothing. The
 * program on asys is this one: walk --walker asys FOLDER.
 *
 * contended_N: the walkers inside their processes, beside N programs that compute and never wait.
 * A user's machine is seldom idle, and a second thread there gets its turn late.
 */
#include "harness.h"
#include "program.h"
#include "tree.h"
#include "walkers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 12
#define NEIGHBOURS_MAX 8u

struct setting {
	struct bench_tree tree;
	bool one_core;
};

/* What a case measures, beside how many neighbours. */
struct walk_case {
	const char *name;
	const struct bench_side *const *sides;
	unsigned sides_len;
	unsigned neighbours;
	bool one_core;
};

/* Did a walk see everything? */
static int check(const struct bench_tree *tree, const struct walk_total *total)
{
	return !total->errors && total->folders == bench_tree_folders(tree) &&
			       total->files == bench_tree_files(tree) &&
			       total->bytes == bench_tree_bytes(tree) ?
		       0 :
		       -EBADMSG;
}

/* Walkers inside the side's own process */

static int inside_open(struct bench_child *child)
{
	const struct setting *set = child->arg;
	int cores = set->one_core ? bench_cores(0, 1) : 1;

	return cores < 0 ? cores : 0;
}

static int inside_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost,
			int (*walk)(const char *path, struct walk_total *ret_total))
{
	const struct bench_tree *tree = &((const struct setting *)child->arg)->tree;
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
	char path[BENCH_PROGRAM_PATH];
	char *argv[ARGS_MAX];
};

static int program_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	struct program *p = child->state;
	uint64_t start = bench_now();

	for (uint64_t i = 0; i < ops; i++) {
		int err = bench_program_run(p->argv);

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

/* `args`: after the program's name; NULL stands for the tree, and ends with a second NULL. */
static int program_open(struct bench_child *child, const char *const *names,
			const char *const *args)
{
	const struct setting *set = child->arg;
	struct program *p = calloc(1, sizeof *p);
	unsigned n = 0;
	bool named = false;

	child->state = p;
	if (!p)
		return -ENOMEM;
	if (bench_program_find(names, p->path)) {
		snprintf(child->note, sizeof child->note, "%s is not installed", names[0]);
		return -ENOENT;
	}
	p->argv[n++] = p->path;
	for (; *args || !named; args++) {
		p->argv[n++] = *args ? (char *)(uintptr_t)*args : (char *)(uintptr_t)set->tree.path;
		named |= !*args;
	}
	return 0;
}

static int self_open(struct bench_child *child)
{
	static const char *const names[] = { "./walk", NULL }; /* this program, wherever it is */
	static const char *const args[] = { "--walker", "asys", NULL, NULL };

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

/* Neighbours */

static void compute_for_ever(pid_t parent)
{
	volatile unsigned n = 0;

	if (!bench_ends_with(parent))
		_exit(0);
	for (;;)
		n++;
}

static void neighbours_end(const pid_t *pids, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
}

/* Process ids into `ret_pids`. 0 or -errno, then there is none. */
static int neighbours_begin(pid_t *ret_pids, unsigned count)
{
	pid_t parent = getpid();

	for (unsigned i = 0; i < count; i++) {
		ret_pids[i] = fork();
		if (ret_pids[i] < 0) {
			int err = -errno;

			neighbours_end(ret_pids, i);
			return err;
		}
		if (!ret_pids[i])
			compute_for_ever(parent);
	}
	return 0;
}

static int measure(const struct bench_options *options, const struct walk_case *what,
		   struct setting *set)
{
	const struct bench_case one = { what->name, "ms", 1e6, what->sides_len, what->sides, set };
	pid_t pids[NEIGHBOURS_MAX];
	int err;

	if (!bench_wants(options, what->name))
		return 0;
	set->one_core = what->one_core;
	err = neighbours_begin(pids, what->neighbours);
	if (err)
		return err;
	err = bench_compare(options, &one);
	neighbours_end(pids, what->neighbours);
	return err;
}

static unsigned size_of(unsigned file)
{
	return file;
}

static int run_all(const struct bench_options *options)
{
	/* 1,000 folders of 100 files. Holes: the walk adds up sizes, which needs no block. */
	struct setting set = { .tree = { .top = options->quick ? 3 : 40,
					 .sub = options->quick ? 3 : 24,
					 .files = options->quick ? 5 : 100,
					 .size = size_of,
					 .holes = true } };
	struct bench_tree *tree = &set.tree;
	static const struct walk_case cases[] = {
		{ "tree", inside, 2, 0, false },
		{ "tree", whole, 4, 0, false },
		{ "tree_one_core", inside, 2, 0, true },
		{ "contended_1", inside, 2, 1, false },
		{ "contended_2", inside, 2, 2, false },
		{ "contended_4", inside, 2, 4, false },
		{ "contended_8", inside, 2, NEIGHBOURS_MAX, false },
	};
	const char *place = bench_place(options, false);
	char path[4200];
	int err;

	if (!place)
		return -EIO;
	snprintf(path, sizeof path, "%s/tree", place);
	tree->path = path;
	bench_say(options, "%u files in %u folders on %s, in %s", bench_tree_files(tree),
		  bench_tree_folders(tree), bench_place_type(), path);
	err = bench_tree_make(tree);
	if (err)
		bench_say(options, "cannot make the tree: %s", strerror(-err));
	for (size_t i = 0; i < sizeof cases / sizeof *cases && !err; i++)
		err = measure(options, &cases[i], &set);
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
