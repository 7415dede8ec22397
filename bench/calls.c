/* SPDX-License-Identifier: MIT */
/*
 * What a call costs: 4 KiB preads from the page cache, in batches of 1, 16 and 256.
 *
 * All sides read the same blocks of the same warm file of 64 MiB in the same random order, each call
 * of a batch into a buffer of its own. asys runs with its default options.
 */
#include "harness.h"
#ifdef BENCH_LIBURING
#include "ring.h"
#endif

#include <asys/asys.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK 4096u
#define BATCH_MAX 256u
#define TRIAL_OPS 4096u

struct setting {
	const char *path;
	unsigned blocks; /* a power of two, at least BATCH_MAX */
	unsigned batch;
};

struct reader {
	const struct setting *set;
	int fd;
	unsigned pos;	 /* next in `order` */
	uint64_t *order; /* offsets */
	char *buf;	 /* `batch` blocks */
	struct asys_queue *queue;
	struct asys_event events[BATCH_MAX];
#ifdef BENCH_LIBURING
	struct ring ring;
#endif
};

/* The same sequence for everyone: a shuffle from a fixed seed. */
static void shuffle(uint64_t *order, unsigned len)
{
	uint64_t seed = 88172645463325252u;

	for (unsigned i = 0; i < len; i++)
		order[i] = (uint64_t)i * BLOCK;
	for (unsigned i = len - 1; i > 0; i--) {
		uint64_t other;
		unsigned k;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		k = (unsigned)(seed % (i + 1));
		other = order[i];
		order[i] = order[k];
		order[k] = other;
	}
}

static int reader_open(struct bench_child *child)
{
	const struct setting *set = child->arg;
	struct reader *r = calloc(1, sizeof *r);

	child->state = r;
	if (!r)
		return -ENOMEM;
	r->set = set;
	r->order = calloc(set->blocks, sizeof *r->order);
	r->buf = mmap(NULL, (size_t)set->batch * BLOCK, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (!r->order || r->buf == MAP_FAILED)
		return -ENOMEM;
	shuffle(r->order, set->blocks);
	r->fd = open(set->path, O_RDONLY | O_CLOEXEC);
	return r->fd < 0 ? -errno : 0;
}

static void reader_close(struct reader *r)
{
	close(r->fd);
	munmap(r->buf, (size_t)r->set->batch * BLOCK);
	free(r->order);
	free(r);
}

/* The offsets of the next batch. */
static const uint64_t *next_batch(struct reader *r)
{
	const uint64_t *offsets = r->order + r->pos;

	r->pos = (r->pos + r->set->batch) % r->set->blocks;
	return offsets;
}

typedef int batch_fn(struct reader *r, const uint64_t *offsets, unsigned batch);

/* Inlined into each side's round, so that none pays for an indirect call. */
static inline __attribute__((always_inline)) int run_round(struct bench_child *child, uint64_t ops,
							   struct bench_cost *ret_cost,
							   batch_fn *run)
{
	struct reader *r = child->state;
	unsigned batch = r->set->batch;
	uint64_t start = bench_now(), done = 0;

	for (; done < ops; done += batch) {
		int err = run(r, next_batch(r), batch);

		if (err)
			return err;
	}
	ret_cost->ns = bench_now() - start;
	ret_cost->ops = done;
	return 0;
}

/* One batch whose data is looked at: every block begins with its own offset. */
static int check_round(struct reader *r, batch_fn *run)
{
	const uint64_t *offsets = next_batch(r);
	int err;

	memset(r->buf, 0xff, (size_t)r->set->batch * BLOCK);
	err = run(r, offsets, r->set->batch);
	for (unsigned i = 0; i < r->set->batch && !err; i++)
		if (memcmp(r->buf + (size_t)i * BLOCK, &offsets[i], sizeof offsets[i]))
			err = -EBADMSG;
	return err;
}

/* asys */

static int ours_batch(struct reader *r, const uint64_t *offsets, unsigned batch)
{
	int n;

	for (unsigned i = 0; i < batch; i++)
		asys_pread64(r->queue, r->fd, r->buf + (size_t)i * BLOCK, BLOCK, (off_t)offsets[i]);
	n = asys_queue_get_many(r->queue, r->events, batch, batch, ASYS_FOREVER);
	if (n != (int)batch)
		return n < 0 ? n : -EIO;
	for (unsigned i = 0; i < batch; i++)
		if (r->events[i].result != BLOCK)
			return r->events[i].result < 0 ? (int)r->events[i].result : -EIO;
	return 0;
}

static int ours_single(struct reader *r, const uint64_t *offsets, unsigned batch)
{
	asys_id id = asys_pread64(r->queue, r->fd, r->buf, BLOCK, (off_t)offsets[0]);
	struct asys_event event;
	int err = asys_queue_wait(r->queue, id, &event);

	(void)batch;
	if (err)
		return err;
	return event.result == BLOCK ? 0 : event.result < 0 ? (int)event.result : -EIO;
}

static int ours_open(struct bench_child *child)
{
	int err = reader_open(child);
	struct reader *r = child->state;

	if (!err)
		err = asys_queue_open(&r->queue, NULL);
	if (err) {
		snprintf(child->note, sizeof child->note, "%s", asys_message());
		return err;
	}
	return check_round(r, r->set->batch == 1 ? ours_single : ours_batch);
}

static int ours_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	struct reader *r = child->state;

	if (r->set->batch == 1)
		return run_round(child, ops, ret_cost, ours_single);
	return run_round(child, ops, ret_cost, ours_batch);
}

static void ours_close(struct bench_child *child)
{
	struct reader *r = child->state;

	asys_queue_close(r->queue);
	reader_close(r);
}

static const struct bench_side side_asys = { "asys", ours_open, ours_round, ours_close };

/* plain pread */

static int sync_batch(struct reader *r, const uint64_t *offsets, unsigned batch)
{
	for (unsigned i = 0; i < batch; i++) {
		ssize_t n = pread(r->fd, r->buf + (size_t)i * BLOCK, BLOCK, (off_t)offsets[i]);

		if (n != BLOCK)
			return n < 0 ? -errno : -EIO;
	}
	return 0;
}

static int sync_open(struct bench_child *child)
{
	int err = reader_open(child);

	return err ? err : check_round(child->state, sync_batch);
}

static int sync_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	return run_round(child, ops, ret_cost, sync_batch);
}

static void sync_close(struct bench_child *child)
{
	reader_close(child->state);
}

static const struct bench_side side_sync = { "sync", sync_open, sync_round, sync_close };

/* liburing */

#ifdef BENCH_LIBURING
static int uring_batch(struct reader *r, const uint64_t *offsets, unsigned batch)
{
	for (unsigned i = 0; i < batch; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring.uring);

		io_uring_prep_read(sqe, r->fd, r->buf + (size_t)i * BLOCK, BLOCK, offsets[i]);
	}
	return ring_run(&r->ring, batch, BLOCK, NULL);
}

static int uring_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	return run_round(child, ops, ret_cost, uring_batch);
}

static int uring_use(struct bench_child *child, unsigned variant)
{
	struct reader *r = child->state;

	snprintf(child->note, sizeof child->note, "%s", ring_variants[variant].name);
	return ring_use(&r->ring, &ring_variants[variant], r->set->batch);
}

static int uring_open(struct bench_child *child)
{
	int err = reader_open(child);

	if (!err)
		err = bench_fastest(child, RING_VARIANTS, TRIAL_OPS, uring_use, uring_round);
	return err < 0 ? err : check_round(child->state, uring_batch);
}

static void uring_close(struct bench_child *child)
{
	struct reader *r = child->state;

	ring_close(&r->ring);
	reader_close(r);
}

static const struct bench_side side_uring = { "liburing", uring_open, uring_round, uring_close };
#endif

static const struct bench_side *const sides[] = {
	&side_asys,
#ifdef BENCH_LIBURING
	&side_uring,
#endif
	&side_sync,
};

/* Every block begins with its own offset. Written, then read, so that it is in the page cache. */
static int make_file(const struct setting *set)
{
	char block[BLOCK];
	int fd = open(set->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), err = 0;

	if (fd < 0)
		return -errno;
	memset(block, 'a', sizeof block);
	for (uint64_t i = 0; i < set->blocks && !err; i++) {
		uint64_t offset = i * BLOCK;

		memcpy(block, &offset, sizeof offset);
		if (bench_stopped())
			err = -EINTR;
		else if (write(fd, block, sizeof block) != sizeof block)
			err = errno ? -errno : -ENOSPC;
	}
	/* Clean pages: writing them back later would disturb whoever measures just then. */
	if (!err && fdatasync(fd))
		err = -errno;
	for (uint64_t i = 0; i < set->blocks && !err; i++)
		if (pread(fd, block, sizeof block, (off_t)(i * BLOCK)) != sizeof block)
			err = -EIO;
	close(fd);
	return err;
}

static int run_all(const struct bench_options *options)
{
	static const struct {
		const char *name;
		unsigned batch;
	} cases[] = { { "pread4k/1", 1 }, { "pread4k/16", 16 }, { "pread4k/256", BATCH_MAX } };
	struct setting set = { .blocks = options->quick ? BATCH_MAX : 16384u };
	const char *place = bench_place(options, false);
	char path[4200];
	int err;

	if (!place)
		return -EIO;
	snprintf(path, sizeof path, "%s/file", place);
	set.path = path;
	err = make_file(&set);
	if (err) {
		bench_say(options, "cannot make %s: %s", path, strerror(-err));
		return err;
	}
	for (size_t i = 0; i < sizeof cases / sizeof *cases && !err; i++) {
		const struct bench_case one = {
			cases[i].name, "ns", 1, sizeof sides / sizeof *sides, sides, &set
		};

		set.batch = cases[i].batch;
		err = bench_compare(options, &one);
	}
	return err;
}

int main(int argc, char **argv)
{
	struct bench_options options;

	bench_options(&options, "calls",
		      "Time per call: 4 KiB preads of cached blocks in batches of 1, 16 and 256,\n"
		      "against liburing and plain pread.",
		      argc, argv);
#ifndef BENCH_LIBURING
	bench_say(&options, "built without liburing: that comparison is skipped");
#endif
	return bench_exit(&options, run_all(&options));
}
