/* SPDX-License-Identifier: MIT */
/*
 * asys demo: two jobs on this machine's own files, synchronously and asynchronously in turn, so
 * that both meet the same machine. What runs first only warms the caches and is not counted.
 */
#include "demo.h"
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COLD_ROUNDS_MAX 3u
/* No further round begins after that: on a slow machine fewer rounds tell it in as short a time. */
#define ROUNDS_NS 3000000000u

typedef int hash_function(int fd, struct digest *ret_digest, struct cost *ret_cost,
			  struct progress *progress);
typedef int walk_function(const char *root, struct walk *ret_walk, struct cost *ret_cost,
			  struct progress *progress);

static hash_function *const hashes[SIDES] = { hash_sync, hash_async };
static walk_function *const walks[SIDES] = { walk_sync, walk_async };
static const char *const side_names[SIDES] = { "synchronously", "asynchronously" };

/* Who is first alternates too. */
static enum side side_of(unsigned round, unsigned turn)
{
	return (round + turn) % SIDES == 0 ? SIDE_SYNC : SIDE_ASYNC;
}

static int hash_once(struct hash_report *report, enum side side, bool cold, struct cost *ret_cost)
{
	struct progress progress;
	struct digest digest;
	char what[64];
	int err;

	snprintf(what, sizeof what, "hashing %s%s, bytes", side_names[side],
		 cold ? ", cold cache" : "");
	if (cold)
		posix_fadvise(report->file->fd, 0, 0, POSIX_FADV_DONTNEED);
	progress_begin(&progress, what, report->file->size);
	err = hashes[side](report->file->fd, &digest, ret_cost, &progress);
	progress_end(&progress);
	if (err < 0)
		return err;
	if (report->digest[side][0] != '\0' && strcmp(report->digest[side], digest.text) != 0) {
		report->equal = false;
		say_error(0, "two digests made %s differ: %s and %s; did the file change?",
			  side_names[side], report->digest[side], digest.text);
	}
	memcpy(report->digest[side], digest.text, sizeof digest.text);
	return 0;
}

/* At most `*rounds`: how many it were is stored there. */
static int hash_rounds(struct hash_report *report, bool cold, unsigned *rounds,
		       struct cost ret_median[SIDES])
{
	const uint64_t end_ns = asys_now() + ROUNDS_NS;
	struct cost costs[SIDES][ROUNDS_MAX];
	unsigned round;

	for (round = 0; round < *rounds && (round == 0 || asys_now() < end_ns); round++) {
		for (unsigned turn = 0; turn < SIDES; turn++) {
			enum side side = side_of(round, turn);
			int err = hash_once(report, side, cold, &costs[side][round]);

			if (err < 0)
				return err;
		}
	}
	for (unsigned side = 0; side < SIDES; side++)
		ret_median[side] = cost_median(costs[side], round);
	*rounds = round;
	return 0;
}

static int run_hash(struct hash_report *report, unsigned rounds)
{
	struct cost ignored;
	int err;

	report->rounds = rounds;
	report->cold_rounds = rounds < COLD_ROUNDS_MAX ? rounds : COLD_ROUNDS_MAX;
	report->equal = true;
	/* What lies under the page cache, a host's for one, must be as warm for both. */
	err = hash_once(report, SIDE_SYNC, true, &ignored);
	if (err == 0)
		err = hash_rounds(report, true, &report->cold_rounds, report->cold);
	if (err == 0)
		err = hash_once(report, SIDE_SYNC, false, &ignored);
	if (err == 0)
		err = hash_rounds(report, false, &report->rounds, report->warm);
	if (err < 0)
		return err;
	err = hash_command(report->file->fd, report->command);
	if (err < 0 && err != -ENOENT)
		return err;
	if (strcmp(report->digest[SIDE_SYNC], report->digest[SIDE_ASYNC]) != 0 ||
	    (err == 0 && strcmp(report->command, report->digest[SIDE_SYNC]) != 0)) {
		report->equal = false;
		say_error(0,
			  "digests of '%s' differ: synchronous %s, asynchronous %s, sha256sum %s",
			  report->file->path, report->digest[SIDE_SYNC], report->digest[SIDE_ASYNC],
			  err == 0 ? report->command : "not found");
	}
	return 0;
}

static bool walks_equal(const struct walk *a, const struct walk *b)
{
	return a->folders == b->folders && a->files == b->files && a->others == b->others &&
	       a->size_bytes == b->size_bytes && a->read_bytes == b->read_bytes &&
	       a->errors == b->errors;
}

static int walk_once(struct walk_report *report, enum side side, bool first, struct cost *ret_cost)
{
	struct walk before = report->walk[SIDE_SYNC];
	struct progress progress;
	char what[64];
	int err;

	snprintf(what, sizeof what, "walking %s, files", side_names[side]);
	progress_begin(&progress, what, before.files);
	err = walks[side](report->dir, &report->walk[side], ret_cost, &progress);
	progress_end(&progress);
	if (err < 0 || first)
		return err;
	if (!walks_equal(&report->walk[side], &before) && report->equal) {
		report->equal = false;
		if (report->walk[side].errors != before.errors)
			say_error(0,
				  "walking '%s': %" PRIu64 " calls failed, and %" PRIu64 " before: "
				  "many folders are open at once when it is walked asynchronously, "
				  "raise the limit of descriptors (ulimit -n)",
				  report->dir, report->walk[side].errors, before.errors);
		else
			say_error(0, "totals of '%s' differ; did something change there meanwhile?",
				  report->dir);
	}
	return 0;
}

static int run_walk(struct walk_report *report, unsigned rounds)
{
	struct cost costs[SIDES][ROUNDS_MAX], ignored;
	uint64_t end_ns;
	unsigned round;
	int err;

	report->equal = true;
	err = walk_once(report, SIDE_SYNC, true, &ignored);
	if (err == 0)
		err = walk_once(report, SIDE_ASYNC, false, &ignored);
	end_ns = asys_now() + ROUNDS_NS;
	for (round = 0; round < rounds && err == 0; round++) {
		if (round > 0 && asys_now() >= end_ns)
			break;
		for (unsigned turn = 0; turn < SIDES && err == 0; turn++) {
			enum side side = side_of(round, turn);

			err = walk_once(report, side, false, &costs[side][round]);
		}
	}
	if (err < 0)
		return err;
	report->rounds = round;
	for (unsigned side = 0; side < SIDES; side++)
		report->cost[side] = cost_median(costs[side], round);
	return 0;
}

/* Before the first job, which takes its time. */
static int check_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		say_error(0, "cannot walk '%s' (%s): name a folder that you may read with --dir",
			  dir, strerror(errno));
		return -1;
	}
	close(fd);
	return 0;
}

int command_demo(const struct options *options)
{
	unsigned rounds = options->quick ? 1 : ROUNDS_MAX;
	struct walk_report walk = { .dir = options->dir != NULL ? options->dir : "/usr/share" };
	struct hash_report hash = { 0 };
	struct big_file file;

	if (check_folder(walk.dir) < 0 || big_file_open(&file, options->file, options->quick) < 0)
		return STATUS_FAILED;
	hash.file = &file;
	if (run_hash(&hash, rounds) < 0) {
		close(file.fd);
		return STATUS_FAILED;
	}
	close(file.fd);
	if (!options->json) {
		demo_print_hash(&hash);
		fflush(stdout);
	}
	if (run_walk(&walk, rounds) < 0)
		return STATUS_FAILED;
	if (!options->json)
		demo_print_walk(&walk);
	else if (demo_print_json(&hash, &walk) < 0)
		return STATUS_FAILED;
	return hash.equal && walk.equal ? STATUS_OK : STATUS_FAILED;
}
