/* SPDX-License-Identifier: MIT */
/*
 * What is believed of descriptors, so that not every operation has to ask.
 *
 * Kind. Whether a file goes through the page cache is asked once in TRUSTED operations; in between a
 * read is attempted on that belief alone. The attempt itself says whether the descriptor is open, has
 * the mode and has offsets. If the program has put another file under the number meanwhile, what may
 * be wrong is only that one O_DIRECT: up to TRUSTED reads then wait for the disk in io_submit. All that
 * is queued was asked for its mode at its submission.
 *
 * Cold. An attempt on what is not in memory is not for nothing, since the kernel begins to read it then;
 * but it takes as long as giving the disk a request does, in io_submit. After attempts in vain,
 * one after the other, as many reads as 2, 4 ... SKIPPED_MOST go to the queue at once, where they are
 * started together; the first attempt that finds its data ends that. SKIPPED_MOST is such that of a
 * hundred submissions in a cold file less than one attempts.
 *
 * A word: number, streak, skips left, kind, how often it may still be believed, from the top. Threads may
 * lose each other's changes.
 */
#include "submit.h"

#define TRUSTED 32u
#define STREAK_MOST 8u
#define SKIPPED_MOST ((1u << STREAK_MOST) - 1)

#define ONE_SKIP (1ull << 16)
#define ONE_STREAK (1ull << 24)
#define COLD_BITS (0xffffull << 16)

static _Atomic uint64_t *word_of(struct context *ctx, int fd)
{
	return &ctx->files[(unsigned)fd % FILE_CACHE];
}

/* 0: nothing is known. */
static uint64_t load(struct context *ctx, int fd)
{
	uint64_t value = atomic_load_explicit(word_of(ctx, fd), memory_order_relaxed);

	return value >> 32 == (uint32_t)fd ? value : 0;
}

static void store(struct context *ctx, int fd, uint64_t value)
{
	atomic_store_explicit(word_of(ctx, fd), value, memory_order_relaxed);
}

static enum file_kind kind_of(uint64_t value)
{
	return (enum file_kind)(value >> 8 & 0xff);
}

enum file_kind file_believed(struct context *ctx, int fd)
{
	uint64_t value = load(ctx, fd);

	if (!(value & 0xff))
		return FILE_UNKNOWN;
	store(ctx, fd, value - 1);
	return kind_of(value);
}

void file_learn(struct context *ctx, int fd, enum file_kind kind)
{
	uint64_t value = load(ctx, fd), cold = kind_of(value) == kind ? value & COLD_BITS : 0;

	store(ctx, fd, (uint64_t)(uint32_t)fd << 32 | cold | (uint64_t)kind << 8 | TRUSTED);
}

bool file_is_cold(struct context *ctx, int fd)
{
	uint64_t value = load(ctx, fd);

	if (!(value / ONE_SKIP & 0xff))
		return false;
	store(ctx, fd, value - ONE_SKIP);
	return true;
}

void file_attempted(struct context *ctx, int fd, bool found)
{
	uint64_t value = load(ctx, fd), streak = value / ONE_STREAK & 0xff;

	if (found && !streak)
		return;
	value &= ~COLD_BITS;
	if (!found) {
		streak += streak < STREAK_MOST;
		value |= streak * ONE_STREAK | ((1ull << streak) - 1) * ONE_SKIP;
	}
	store(ctx, fd, value);
}
