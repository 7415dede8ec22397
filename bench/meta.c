/* SPDX-License-Identifier: MIT */
/*
 * Calls on names, in batches of 64: statx, openat and close, mkdirat, renameat, unlinkat.
 *
 * Each side has a folder of its own with 16 subfolders, over which its names are spread, as
 * descriptors and names relative to them. A pass works on 1024 names, one batch after the other; what
 * a pass needs or leaves (files to unlink, folders to remove) is made and removed outside the time
 * measured. asys runs with its default options.
 *
 * Files are opened with O_NONBLOCK on all sides alike. io_uring tries every open so, whatever its words
 * say; asys leaves opens to the ring only where the words say it too, since a FIFO would be waited for
 * otherwise.
 *
 * In memory (/dev/shm) if there is such a place: a file system on a disk adds its journal and, where
 * names are made and removed all the time, effects of its own (ext4 avoids inodes freed a moment ago
 * and spends most of such a mkdir on looking for others), which hide what is compared.
 */
#include "meta.h"

#include <asys/asys.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the measured calls work on */

static int make_files(struct meta *m)
{
	for (unsigned i = 0; i < META_NAMES; i++) {
		int fd = openat(meta_dir(m, i), m->name[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
				0600);

		if (fd < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

static int remove_names(struct meta *m, char (*names)[META_NAME], int flags)
{
	for (unsigned i = 0; i < META_NAMES; i++)
		if (unlinkat(meta_dir(m, i), names[i], flags))
			return -errno;
	return 0;
}

/* Makes what one pass needs. */
static int prepare(struct meta *m)
{
	return m->what == META_UNLINK ? make_files(m) : 0;
}

/* Undoes one pass. Renaming goes to and fro instead. */
static int undo(struct meta *m)
{
	if (m->what == META_MKDIR)
		return remove_names(m, m->name, AT_REMOVEDIR);
	if (m->what == META_RENAME)
		m->renamed = !m->renamed;
	return 0;
}

int meta_open(struct bench_child *child, const char *side)
{
	const struct meta_setting *set = child->arg;
	struct meta *m = calloc(1, sizeof *m);
	char path[4300];

	child->state = m;
	if (!m)
		return -ENOMEM;
	m->what = set->what;
	for (unsigned i = 0; i < META_NAMES; i++) {
		snprintf(m->name[i], META_NAME, "name-%04u", i);
		snprintf(m->other[i], META_NAME, "other-%04u", i);
	}
	snprintf(path, sizeof path, "%s/%s-%ld", set->place, side, (long)getpid());
	m->root = strdup(path);
	if (!m->root || mkdir(path, 0700))
		return m->root ? -errno : -ENOMEM;
	for (unsigned i = 0; i < META_DIRS; i++) {
		snprintf(path, sizeof path, "%s/%u", m->root, i);
		if (mkdir(path, 0700))
			return -errno;
		m->dirs[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (m->dirs[i] < 0)
			return -errno;
	}
	return m->what == META_MKDIR || m->what == META_UNLINK ? 0 : make_files(m);
}

void meta_close(struct bench_child *child)
{
	struct meta *m = child->state;
	char path[4300];

	if (m->what != META_MKDIR && m->what != META_UNLINK)
		remove_names(m, m->renamed ? m->other : m->name, 0);
	for (unsigned i = 0; i < META_DIRS; i++) {
		close(m->dirs[i]);
		snprintf(path, sizeof path, "%s/%u", m->root, i);
		rmdir(path);
	}
	rmdir(m->root);
	free(m->root);
	free(m);
}

int meta_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost,
	       int (*run)(struct meta *m, unsigned first))
{
	struct meta *m = child->state;
	uint64_t ns = 0, done = 0;

	for (; done < ops; done += META_NAMES) {
		int err = prepare(m);
		uint64_t start = bench_now();

		for (unsigned first = 0; first < META_NAMES && !err; first += META_BATCH)
			err = run(m, first);
		ns += bench_now() - start;
		if (!err)
			err = undo(m);
		if (err)
			return err;
	}
	ret_cost->ns = ns;
	ret_cost->ops = done;
	return 0;
}

/* asys */

static void send_one(struct meta *m, unsigned i)
{
	struct asys_queue *q = m->queue;
	int dir = meta_dir(m, i);

	switch (m->what) {
	case META_STATX:
		asys_statx(q, dir, m->name[i], AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS,
			   &m->stx[i % META_BATCH]);
		break;
	case META_OPEN:
		asys_close(q,
			   asys_openat(q, dir, m->name[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0));
		break;
	case META_MKDIR:
		asys_mkdirat(q, dir, m->name[i], 0700);
		break;
	case META_RENAME:
		asys_renameat2(q, dir, meta_from(m, i), dir, meta_to(m, i), 0);
		break;
	case META_UNLINK:
		asys_unlinkat(q, dir, m->name[i], 0);
		break;
	}
}

static int ours_batch(struct meta *m, unsigned first)
{
	struct asys_event events[2 * META_BATCH];
	unsigned calls = m->what == META_OPEN ? 2 * META_BATCH : META_BATCH;
	int n;

	for (unsigned i = first; i < first + META_BATCH; i++)
		send_one(m, i);
	n = asys_queue_get_many(m->queue, events, calls, calls, ASYS_FOREVER);
	if (n != (int)calls)
		return n < 0 ? n : -EIO;
	for (unsigned i = 0; i < calls; i++)
		if (events[i].result < 0)
			return (int)events[i].result;
	return 0;
}

static int ours_open(struct bench_child *child)
{
	int err = meta_open(child, "asys");
	struct meta *m = child->state;

	if (!err)
		err = asys_queue_open(&m->queue, NULL);
	if (err)
		snprintf(child->note, sizeof child->note, "%s", asys_message());
	return err;
}

static int ours_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	return meta_round(child, ops, ret_cost, ours_batch);
}

static void ours_close(struct bench_child *child)
{
	struct meta *m = child->state;

	asys_queue_close(m->queue);
	meta_close(child);
}

static const struct bench_side side_asys = { "asys", ours_open, ours_round, ours_close };

/* plain calls */

static int sync_one(struct meta *m, unsigned i)
{
	int dir = meta_dir(m, i), fd;

	switch (m->what) {
	case META_STATX:
		return statx(dir, m->name[i], AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS,
			     &m->stx[i % META_BATCH]);
	case META_OPEN:
		fd = openat(dir, m->name[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		return fd < 0 ? -1 : close(fd);
	case META_MKDIR:
		return mkdirat(dir, m->name[i], 0700);
	case META_RENAME:
		return renameat2(dir, meta_from(m, i), dir, meta_to(m, i), 0);
	case META_UNLINK:
		return unlinkat(dir, m->name[i], 0);
	}
	return -1;
}

static int sync_batch(struct meta *m, unsigned first)
{
	for (unsigned i = first; i < first + META_BATCH; i++)
		if (sync_one(m, i))
			return -errno;
	return 0;
}

static int sync_open(struct bench_child *child)
{
	return meta_open(child, "sync");
}

static int sync_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	return meta_round(child, ops, ret_cost, sync_batch);
}

static const struct bench_side side_sync = { "sync", sync_open, sync_round, meta_close };

/* The last one only takes part in "open". */
static const struct bench_side *const sides[] = {
	&side_asys,
#ifdef BENCH_LIBURING
	&meta_side_uring,
#endif
	&side_sync,
#ifdef BENCH_LIBURING
	&meta_side_direct,
#endif
};

static unsigned sides_of(enum meta_what what)
{
	unsigned len = sizeof sides / sizeof *sides;

#ifdef BENCH_LIBURING
	return what == META_OPEN ? len : len - 1;
#else
	(void)what;
	return len;
#endif
}

static int run_all(const struct bench_options *options)
{
	static const char *const names[] = { "statx", "open", "mkdir", "rename", "unlink" };
	struct meta_setting set = { bench_place(options, true), META_STATX };
	int err = 0;

	if (!set.place)
		return -EIO;
	bench_say(options, "names on %s, in %s", bench_place_type(), set.place);
	for (unsigned i = 0; i < sizeof names / sizeof *names && !err; i++) {
		struct bench_case one = { names[i], "ns", 1, 0, sides, &set };

		set.what = (enum meta_what)i;
		one.sides_len = sides_of(set.what);
		err = bench_compare(options, &one);
	}
	return err;
}

int main(int argc, char **argv)
{
	struct bench_options options;

	bench_options(
		&options, "meta",
		"Time per call on names (statx, openat+close, mkdirat, renameat, unlinkat) in\n"
		"batches of 64, against liburing and plain calls. liburing-direct opens and "
		"closes\n"
		"without ever making a descriptor, which is less than the others do.\n"
		"Files go to /dev/shm if it is there.",
		argc, argv);
#ifndef BENCH_LIBURING
	bench_say(&options, "built without liburing: that comparison is skipped");
#endif
	return bench_exit(&options, run_all(&options));
}
