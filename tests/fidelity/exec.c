/* SPDX-License-Identifier: MIT */
/* The executors: plain system calls, and a queue with each engine. */
#include "fidelity.h"

#include "../driver.h"
#include <errno.h>
#include <unistd.h>

static int open_plain(void **ret_context, int engine)
{
	(void)engine;
	*ret_context = NULL;
	return 0;
}

static int64_t run_plain(void *context, uint32_t nr, const uint64_t args[6])
{
	long result;

	(void)context;
	errno = 0;
	result = syscall((long)nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	/* The C library turns -4095..-1 into -1 and errno; nothing else becomes -1. */
	return result == -1 ? -errno : result;
}

static void close_plain(void *context, uint64_t served[ASYS_ENGINE_COUNT])
{
	(void)context;
	(void)served;
}

static int open_queue(void **ret_context, int engine)
{
	struct asys_queue_options options;
	struct asys_queue *queue;
	int err;

	asys_queue_options_init(&options);
	options.engine = (uint32_t)engine;
	/* Else the waiter would run most calls itself, and no thread would be tested. */
	if (engine == ASYS_ENGINE_THREADS)
		options.flags |= ASYS_QUEUE_NO_HELP;
	err = asys_queue_open(&queue, &options);
	if (err < 0)
		return err;
	*ret_context = queue;
	return 0;
}

/* A wait that fails is no result of any call: this far from every -errno. */
#define WAIT_FAILED (-1000000)

static int64_t run_queue(void *context, uint32_t nr, const uint64_t args[6])
{
	struct asys_call call = { .nr = nr, .user = ~(uint64_t)nr };
	struct asys_event event;
	asys_id id;
	int err;

	for (unsigned i = 0; i < 6; i++)
		call.arg[i] = args[i];
	id = asys_send(context, &call);
	if (id.value < 0)
		return id.value;
	/* A signal handler ends the wait, not the call. */
	do {
		err = asys_queue_wait(context, id, &event);
	} while (err == -EINTR);
	if (err < 0)
		return WAIT_FAILED + err;
	if (event.id.value != id.value || event.user != call.user)
		return WAIT_FAILED;
	return event.result;
}

static void close_queue(void *context, uint64_t served[ASYS_ENGINE_COUNT])
{
	struct asys_stats stats;

	if (asys_queue_stats(context, &stats) == 0)
		for (unsigned i = 0; i < ASYS_ENGINE_COUNT; i++)
			served[i] = stats.by_engine[i];
	asys_queue_close(context);
}

#define PLAIN(NAME)                                          \
	{                                                    \
		NAME, -1, run_plain, open_plain, close_plain \
	}
#define QUEUE(NAME, ENGINE)                                      \
	{                                                        \
		NAME, ENGINE, run_queue, open_queue, close_queue \
	}

/* "again" repeats the plain run: a case that differs from itself would prove nothing. */
const struct fid_executor fid_executors[] = {
	PLAIN("sync"),
	PLAIN("again"),
	QUEUE("auto", ASYS_ENGINE_AUTO),
	QUEUE("inline", ASYS_ENGINE_INLINE),
	QUEUE("threads", ASYS_ENGINE_THREADS),
	QUEUE("ready", ASYS_ENGINE_READY),
	QUEUE("uring", ASYS_ENGINE_URING),
};
const size_t fid_executor_count = sizeof(fid_executors) / sizeof(fid_executors[0]);
