/* SPDX-License-Identifier: MIT */
/*
 * The peer liburing of the benchmark meta. io_uring hands most of these calls to its own threads
 * (io-wq), and how many of them there are matters: the kernel's default, one per core and a single
 * one are tried. The fastest is used and named.
 *
 * openat and close go as two batches: a close needs the number that its openat returned. A second
 * peer, liburing-direct, sends both at once as linked pairs on direct descriptors. It shows what the
 * ring can do, but is not the same work: no descriptor is ever made that a program could use.
 */
#include "meta.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define TRIAL_OPS META_NAMES
#define WORKER_CHOICES 3u
#define SETUP_CHOICES 2u
#define ENTRIES (2 * META_BATCH)

static struct io_uring_sqe *next_sqe(struct meta *m)
{
	return io_uring_get_sqe(&m->ring.uring);
}

static void prepare_one(struct meta *m, struct io_uring_sqe *sqe, unsigned i)
{
	int dir = meta_dir(m, i);

	switch (m->what) {
	case META_STATX:
		io_uring_prep_statx(sqe, dir, m->name[i], AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS,
				    &m->stx[i % META_BATCH]);
		break;
	case META_OPEN:
		io_uring_prep_openat(sqe, dir, m->name[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
		break;
	case META_MKDIR:
		io_uring_prep_mkdirat(sqe, dir, m->name[i], 0700);
		break;
	case META_RENAME:
		io_uring_prep_renameat(sqe, dir, meta_from(m, i), dir, meta_to(m, i), 0);
		break;
	case META_UNLINK:
		io_uring_prep_unlinkat(sqe, dir, m->name[i], 0);
		break;
	}
	sqe->user_data = i % META_BATCH;
}

static int close_all(struct meta *m)
{
	for (unsigned i = 0; i < META_BATCH; i++) {
		struct io_uring_sqe *sqe = next_sqe(m);

		io_uring_prep_close(sqe, m->results[i]);
		sqe->user_data = i;
	}
	return ring_run(&m->ring, META_BATCH, 0, NULL);
}

static int linked_batch(struct meta *m, unsigned first)
{
	for (unsigned i = first; i < first + META_BATCH; i++) {
		struct io_uring_sqe *sqe = next_sqe(m);

		io_uring_prep_openat_direct(sqe, meta_dir(m, i), m->name[i], O_RDONLY | O_NONBLOCK,
					    0, i % META_BATCH);
		io_uring_sqe_set_flags(sqe, IOSQE_IO_LINK);
		sqe->user_data = 0;
		sqe = next_sqe(m);
		io_uring_prep_close_direct(sqe, i % META_BATCH);
		sqe->user_data = 0;
	}
	return ring_run(&m->ring, 2 * META_BATCH, 0, NULL);
}

static int uring_batch(struct meta *m, unsigned first)
{
	int err;

	for (unsigned i = first; i < first + META_BATCH; i++)
		prepare_one(m, next_sqe(m), i);
	err = ring_run(&m->ring, META_BATCH, 0, m->results);
	return err || m->what != META_OPEN ? err : close_all(m);
}

static int uring_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	return meta_round(child, ops, ret_cost, uring_batch);
}

static int direct_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	return meta_round(child, ops, ret_cost, linked_batch);
}

/* Variants: two ways to set up, times three numbers of workers. */
static int uring_use(struct bench_child *child, unsigned variant)
{
	static const char *const labels[] = { "default io-wq", "io-wq of one thread per core",
					      "io-wq of one thread" };
	struct meta *m = child->state;
	struct ring_variant v = ring_variants[variant % SETUP_CHOICES ? RING_VARIANTS - 1 : 0];
	unsigned choice = variant / SETUP_CHOICES;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	v.workers = choice == 0 ? 0 : choice == 1 && cores > 0 ? (unsigned)cores : 1;
	snprintf(child->note, sizeof child->note, "%s, %s", v.name, labels[choice]);
	return ring_use(&m->ring, &v, ENTRIES);
}

static int direct_use(struct bench_child *child, unsigned variant)
{
	struct meta *m = child->state;
	int err = uring_use(child, variant);

	return err ? err : io_uring_register_files_sparse(&m->ring.uring, META_BATCH);
}

static int open_fastest(struct bench_child *child, const char *side,
			int (*use)(struct bench_child *child, unsigned variant),
			int (*round)(struct bench_child *child, uint64_t ops,
				     struct bench_cost *cost))
{
	int err = meta_open(child, side);

	if (err)
		return err;
	err = bench_fastest(child, SETUP_CHOICES * WORKER_CHOICES, TRIAL_OPS, use, round);
	if (err < 0)
		meta_close(child);
	return err < 0 ? err : 0;
}

static int uring_open(struct bench_child *child)
{
	return open_fastest(child, "liburing", uring_use, uring_round);
}

static int direct_open(struct bench_child *child)
{
	return open_fastest(child, "direct", direct_use, direct_round);
}

static void uring_close(struct bench_child *child)
{
	struct meta *m = child->state;

	ring_close(&m->ring);
	meta_close(child);
}

const struct bench_side meta_side_uring = { "liburing", uring_open, uring_round, uring_close };
const struct bench_side meta_side_direct = { "liburing-direct", direct_open, direct_round,
					     uring_close };
