/* SPDX-License-Identifier: MIT */
#include "common.h"

struct asys_chain *open_chain_with(uint32_t steps, uint32_t flags)
{
	struct asys_chain_options options;
	struct asys_chain *chain = NULL;
	int err;

	asys_chain_options_init(&options);
	if (steps)
		options.steps = steps;
	options.flags = flags;
	err = asys_chain_open(&chain, &options);
	if (err)
		support_fail(__FILE__, __LINE__, "asys_chain_open: %d: %s", err, asys_message());
	check(chain);
	return chain;
}

struct asys_chain *open_chain(void)
{
	struct asys_chain *chain = NULL;
	int err = asys_chain_open(&chain, NULL);

	if (err)
		support_fail(__FILE__, __LINE__, "asys_chain_open: %d: %s", err, asys_message());
	check(chain);
	return chain;
}

void make_ready(struct asys_chain *chain)
{
	int err = asys_chain_ready(chain);

	if (err)
		support_fail(__FILE__, __LINE__, "asys_chain_ready: %d: %s", err, asys_message());
}

int64_t run_on(struct asys_queue *queue, struct asys_chain *chain, int64_t param)
{
	asys_id id = asys_chain_send(queue, chain, param);

	if (id.value < 0)
		support_fail(__FILE__, __LINE__, "asys_chain_send: %d: %s", (int)id.value,
			     asys_message());
	return result_of(queue, id);
}

int64_t run_once(struct asys_chain *chain)
{
	struct asys_queue *queue = open_queue();
	int64_t result = run_on(queue, chain, 0);

	check_quiet(queue);
	asys_queue_close(queue);
	return result;
}

int64_t run_and_close(struct asys_chain *chain)
{
	int64_t result;

	make_ready(chain);
	result = run_once(chain);
	asys_chain_close(chain);
	return result;
}

void close_all(struct asys_queue *queue, struct asys_chain *chain, const int fd[2])
{
	asys_chain_close(chain);
	asys_queue_close(queue);
	close(fd[0]);
	close(fd[1]);
}

void fill(int64_t *values, unsigned count, int64_t value)
{
	for (unsigned i = 0; i < count; i++)
		values[i] = value;
}

int64_t give(const uint64_t arg[6])
{
	return (int64_t)arg[0];
}

int64_t sum(const uint64_t arg[6])
{
	return (int64_t)(arg[0] + arg[1] + arg[2] + arg[3] + arg[4] + arg[5]);
}

static uint32_t add_one(uint64_t address)
{
	return __atomic_fetch_add((uint32_t *)(uintptr_t)address, 1, __ATOMIC_RELAXED);
}

int64_t count_up(const uint64_t arg[6])
{
	add_one(arg[0]);
	return (int64_t)arg[1];
}

int64_t next_of(const uint64_t arg[6])
{
	return add_one(arg[0]);
}

int64_t down_from(const uint64_t arg[6])
{
	return (int64_t)arg[1] - (int64_t)add_one(arg[0]) - 1;
}

struct asys_event take_event(struct asys_queue *queue)
{
	struct asys_event event = { .result = 0 };

	check_eq(asys_queue_get_many(queue, &event, 1, 1, ASYS_FOREVER), 1);
	return event;
}

void check_quiet(struct asys_queue *queue)
{
	check_eq(asys_queue_get(queue, &(struct asys_event){ .result = 0 }), 0);
	check_eq(asys_queue_pending(queue), 0);
}
