/* SPDX-License-Identifier: MIT */
#include "call/slot.h"

#include <pthread.h>
#include <string.h>

static uint64_t tags[(ID_TAG_MAX + 1) / 64];
static uint32_t tag_next = 1;

/* Tags go round, so that one is not reused soon after its queue was closed. 0: all taken. */
static uint32_t tag_take(void)
{
	uint32_t found = 0;

	process_lock(LOCK_TAGS);
	for (uint32_t n = 0; n < ID_TAG_MAX && !found; n++) {
		uint32_t tag = tag_next;

		tag_next = tag_next == ID_TAG_MAX ? 1 : tag_next + 1;
		if (!(tags[tag / 64] & (UINT64_C(1) << (tag % 64)))) {
			tags[tag / 64] |= UINT64_C(1) << (tag % 64);
			found = tag;
		}
	}
	process_unlock(LOCK_TAGS);
	return found;
}

static void tag_give(uint32_t tag)
{
	process_lock(LOCK_TAGS);
	tags[tag / 64] &= ~(UINT64_C(1) << (tag % 64));
	process_unlock(LOCK_TAGS);
}

int slot_pool_init(struct slot_pool *pool, uint32_t depth)
{
	uint32_t tag = tag_take();

	memset(pool, 0, sizeof(*pool));
	if (!tag)
		return fail(-EMFILE, "%d queues are open in this process: close some", ID_TAG_MAX);
	pool->tag = (int64_t)tag << ID_SEQ_BITS;
	pool->depth = depth;
	pool->slots = pages_alloc((size_t)depth * sizeof(*pool->slots));
	pool->free = pages_alloc((size_t)depth * sizeof(*pool->free));
	if (!pool->slots || !pool->free) {
		slot_pool_free(pool);
		return fail(-ENOMEM,
			    "no address space for %u calls of 128 bytes: ask for a smaller depth "
			    "or raise the limit (ulimit -v)",
			    depth);
	}
	return 0;
}

void slot_pool_free(struct slot_pool *pool)
{
	pages_free(pool->slots, (size_t)pool->depth * sizeof(*pool->slots));
	pages_free(pool->free, (size_t)pool->depth * sizeof(*pool->free));
	if (pool->tag)
		tag_give((uint32_t)(pool->tag >> ID_SEQ_BITS));
	memset(pool, 0, sizeof(*pool));
}

#define BIT(state) (1u << (state))

bool slot_may_become(const struct slot *slot, enum slot_state to)
{
	static const uint8_t next[SLOT_STATES] = {
		[SLOT_FREE] = BIT(SLOT_READY),
		[SLOT_READY] = BIT(SLOT_WAITING) | BIT(SLOT_READY) | BIT(SLOT_HANDED) |
			       BIT(SLOT_RUNNING) | BIT(SLOT_HELD) | BIT(SLOT_ENDED) |
			       BIT(SLOT_FREE),
		[SLOT_WAITING] = BIT(SLOT_READY) | BIT(SLOT_HANDED) | BIT(SLOT_HELD) |
				 BIT(SLOT_ENDED) | BIT(SLOT_FREE),
		[SLOT_HANDED] = BIT(SLOT_READY) | BIT(SLOT_HANDED) | BIT(SLOT_RUNNING) |
				BIT(SLOT_HELD) | BIT(SLOT_ENDED) | BIT(SLOT_FREE),
		[SLOT_RUNNING] = BIT(SLOT_READY) | BIT(SLOT_HANDED) | BIT(SLOT_RUNNING) |
				 BIT(SLOT_HELD) | BIT(SLOT_ENDED) | BIT(SLOT_FREE),
		[SLOT_HELD] =
			BIT(SLOT_READY) | BIT(SLOT_RUNNING) | BIT(SLOT_ENDED) | BIT(SLOT_FREE),
		[SLOT_ENDED] = BIT(SLOT_FREE),
	};

	return next[slot->state] & BIT(to);
}

int slot_find_error(const struct slot_pool *pool, int64_t id)
{
	if (id < 0)
		return id >= -4095 ? (int)id : -EINVAL;
	return (id & ~ID_SEQ_MASK) == pool->tag ? -ESTALE : -EXDEV;
}

int slot_find_fail(const struct slot_pool *pool, int64_t id, const char *function)
{
	const int err = slot_find_error(pool, id);
	const unsigned long long shown = (unsigned long long)id;

	if (id < 0)
		return fail_again(err,
				  "%s: id %lld is no call but the error with which one could not "
				  "be sent: look at asys_error(id) after sending",
				  function, (long long)id);
	if (!id)
		return fail(err,
			    "%s: id 0 names no call of any queue: use the id that sending it "
			    "returned",
			    function);
	if (err == -EXDEV)
		return fail(err,
			    "%s: id 0x%llx is not of this queue, but of another one, or a step of "
			    "a chain: give the queue that it was sent to",
			    function, shown);
	return fail(
		err,
		"%s: id 0x%llx has no event to come: there was no such call, or its event was "
		"got before, or it was quiet and succeeded; use an id until its event, no longer",
		function, shown);
}
