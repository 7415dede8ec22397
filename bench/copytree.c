/* SPDX-License-Identifier: MIT */
/*
 * Whole programs: examples/copytree against cp -a, from start to end.
 *
 * Both copy the same tree, which is a copy of /usr/share (or of as many of its folders as there is
 * room for) on the same file system as the destination, so that the source is warm and nothing has to
 * cross. The destination is removed, and the file system told to write what it still holds, before
 * the time that is measured. After each copy the entries and bytes of the two trees are compared.
 *
 * tmpfs: in /dev/shm. ext4: for root, a new one in an image file in $TMPDIR or /tmp, which is mounted
 * for the time of the benchmark: an ext4 without a journal, as some virtual machines have, avoids
 * inodes that were freed in the last minutes, and looking for others would be most of what we measure.
 * For others, or with --place, $TMPDIR, /tmp or that place if it is ext4. A kind of place that is not
 * there is left out.
 */
#include "copytree.h"

#include "image.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUICK_BYTES (4u << 20)
#define ROUNDS_PER 5u /* of the harness: a copy takes seconds */

struct setting {
	const char *from, *to;
	const char *under; /* on the file system that holds the image, if there is one */
};

static bool measured; /* was there any place? */

struct copier {
	const struct setting *set;
	char path[BENCH_PROGRAM_PATH];
	char *argv[5];
};

static int copier_open(struct bench_child *child, const char *const *names, const char *option)
{
	struct copier *c = calloc(1, sizeof *c);
	unsigned n = 0;
	int err;

	child->state = c;
	if (!c)
		return -ENOMEM;
	c->set = child->arg;
	err = bench_program_find(names, c->path);
	if (err) {
		snprintf(child->note, sizeof child->note, "there is no %s", names[0]);
		return err;
	}
	c->argv[n++] = c->path;
	if (option)
		c->argv[n++] = (char *)(uintptr_t)option;
	c->argv[n++] = (char *)(uintptr_t)c->set->from;
	c->argv[n++] = (char *)(uintptr_t)c->set->to;
	return 0;
}

static int ours_open(struct bench_child *child)
{
	static const char *const names[] = { "../examples/copytree", NULL };

	return copier_open(child, names, NULL);
}

static int cp_open(struct bench_child *child)
{
	static const char *const names[] = { "cp", NULL };

	return copier_open(child, names, "-a");
}

static int copy_once(struct copier *c, uint64_t *ret_ns)
{
	struct trees_total from, to;
	uint64_t start;
	int err = trees_remove(c->set->to);

	if (!err)
		err = trees_settle(c->set->from);
	if (!err)
		err = trees_settle(c->set->under);
	if (err)
		return err;
	start = bench_now();
	err = bench_program_run(c->argv);
	*ret_ns += bench_now() - start;
	if (!err)
		err = trees_count(c->set->from, &from);
	if (!err)
		err = trees_count(c->set->to, &to);
	if (err)
		return err;
	return from.entries == to.entries && from.bytes == to.bytes ? 0 : -EBADMSG;
}

static int copier_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	uint64_t ns = 0;

	for (uint64_t i = 0; i < ops; i++) {
		int err = copy_once(child->state, &ns);

		if (err)
			return err;
	}
	ret_cost->ns = ns;
	ret_cost->ops = ops;
	return 0;
}

static void copier_close(struct bench_child *child)
{
	free(child->state);
}

static const struct bench_side side_asys = { "asys", ours_open, copier_round, copier_close };
static const struct bench_side side_cp = { "cp -a", cp_open, copier_round, copier_close };
static const struct bench_side *const sides[] = { &side_asys, &side_cp };

/* Copies what is to be copied and compares the two in `place`, which it empties again. */
static int compare_in(const struct bench_options *options, const char *name, const char *place,
		      const char *under)
{
	char from[PATH_MAX], to[PATH_MAX];
	const struct setting set = { from, to, under };
	const struct bench_case one = { name, "ms", 1e6, 2, sides, &set };
	struct bench_options few = *options;
	struct trees_total total;
	int err;

	if (snprintf(from, sizeof from, "%s/from", place) >= (int)sizeof from ||
	    snprintf(to, sizeof to, "%s/to", place) >= (int)sizeof to)
		return -ENAMETOOLONG;
	err = trees_make("/usr/share", from, options->quick ? QUICK_BYTES : UINT64_MAX, &total);
	if (err) {
		bench_say(options, "%s: cannot copy /usr/share to %s: %s", name, from,
			  strerror(-err));
		return err;
	}
	bench_say(options, "%s: %llu entries, %llu MB of /usr/share, in %s", name,
		  (unsigned long long)total.entries, (unsigned long long)(total.bytes / 1000000),
		  place);
	few.lives = 1;
	few.rounds = options->rounds > ROUNDS_PER ? options->rounds / ROUNDS_PER : 1;
	err = bench_compare(&few, &one);
	measured = true;
	trees_remove(from);
	trees_remove(to);
	return err;
}

/* If what a case needs is not there, it is left out and 0 is returned. */
static int run_tmpfs(const struct bench_options *options)
{
	const char *place;
	int err;

	if (!bench_wants(options, "tmpfs"))
		return 0;
	place = bench_place(options, true);
	if (!place)
		return -EIO;
	if (strcmp(bench_place_type(), "tmpfs") != 0) {
		bench_say(options, "tmpfs is left out: %s is on %s", place, bench_place_type());
		return rmdir(place) ? -errno : 0;
	}
	err = compare_in(options, "tmpfs", place, place);
	/* At exit only the last place is removed. */
	return err ? err : rmdir(place) ? -errno : 0;
}

static int run_ext4(const struct bench_options *options)
{
	const char *place, *mounted;
	int err;

	if (!bench_wants(options, "ext4"))
		return 0;
	place = bench_place(options, false);
	if (!place)
		return -EIO;
	mounted = options->place || geteuid() ? NULL : bench_image_mount(options, place);
	if (mounted) {
		err = compare_in(options, "ext4", mounted, place);
		bench_image_unmount();
		return err;
	}
	if (!strcmp(bench_place_type(), "ext4"))
		return compare_in(options, "ext4", place, place);
	bench_say(options, "ext4 is left out: %s is on %s", place, bench_place_type());
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "../examples/copytree", NULL };
	struct bench_options options;
	char path[BENCH_PROGRAM_PATH];
	int err;

	bench_options(&options, "copytree",
		      "Time of examples/copytree against cp -a, for /usr/share on tmpfs and on "
		      "ext4. As a\ncopy takes seconds, a fifth of the rounds asked for is "
		      "measured. --place DIR leaves\nout the case whose file system is another.",
		      argc, argv);
	if ((bench_wants(&options, "tmpfs") || bench_wants(&options, "ext4")) &&
	    bench_program_find(names, path)) {
		bench_say(&options, "skipped: examples/copytree is not built");
		return BENCH_SKIPPED;
	}
	err = run_tmpfs(&options);
	if (!err)
		err = run_ext4(&options);
	err = bench_exit(&options, err);
	return err || measured ? err : BENCH_SKIPPED;
}
