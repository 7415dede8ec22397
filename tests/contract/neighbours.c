/* SPDX-License-Identifier: MIT */
/* Contract: threads that use one queue at once, each in its own way, take nothing from each other. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define TURNS_MOST 5000u

/* Two senders whose rights may have changed, again and again. */
static void *renew_and_send(void *arg)
{
	struct asys_queue *q = arg;

	for (unsigned k = 0; k < 150; k++) {
		check_eq(asys_queue_renew(q), 0);
		for (unsigned n = 0; n < 3; n++)
			check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	}
	return NULL;
}

static void test_two_renew(void **state)
{
	static const uint32_t flags[] = { ASYS_QUEUE_DRIVER, ASYS_QUEUE_SHARED };

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct asys_queue *q = open_depth(64, flags[k]);
		pthread_t thread;

		check_eq(pthread_create(&thread, NULL, renew_and_send, q), 0);
		renew_and_send(q);
		pthread_join(thread, NULL);
		check_eq(asys_queue_pending(q), 0);
		asys_queue_close(q);
		progress();
	}
}

/* A call that changes the context is cancelled while it makes the driver leave. */
struct cancelled {
	struct asys_queue *queue;
	_Atomic int64_t id;
};

static void *cancel_all_the_time(void *arg)
{
	struct cancelled *c = arg;
	int64_t id;

	while ((id = atomic_load(&c->id)) >= 0)
		if (id)
			asys_queue_cancel(c->queue, (asys_id){ id });
	return NULL;
}

static void test_context_call_cancelled(void **state)
{
	struct cancelled c = { .queue = open_depth(64, ASYS_QUEUE_DRIVER) };
	pthread_t thread;

	(void)state;
	check_eq(pthread_create(&thread, NULL, cancel_all_the_time, &c), 0);
	for (unsigned k = 0; k < 200; k++) {
		asys_id id = submit(c.queue, SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
		int64_t result;

		atomic_store(&c.id, id.value);
		result = result_of(c.queue, id);
		check(result >= 0 || result == -ECANCELED);
		progress();
	}
	atomic_store(&c.id, -1);
	pthread_join(thread, NULL);
	check_eq(asys_queue_pending(c.queue), 0);
	check_eq(drain(c.queue), 0);
	asys_queue_close(c.queue);
}

/* One sleeps for a call on a thread; another sends what an engine waits for. */
static void *get_one(void *arg)
{
	struct asys_event event;

	check_eq(asys_queue_get_many(arg, &event, 1, 1, ASYS_FOREVER), 1);
	check_eq(event.user, 7);
	check_eq(event.result, 1);
	return NULL;
}

static void check_other_engine(void)
{
	struct asys_queue *q = open_depth(64, ASYS_QUEUE_SHARED);
	int fd[2], held, wanted;
	pthread_t thread;
	asys_id lock;
	char byte;

	held = memory_file();
	wanted = reopen(held);
	check_eq(flock(held, LOCK_EX), 0);
	make_pair(SOCK_STREAM, fd);
	lock = submit(q, SYS_flock, wanted, LOCK_EX);
	check_eq(pthread_create(&thread, NULL, get_one, q), 0);
	sleep_ms(5);
	submit(asys_user(q, 7), SYS_recvfrom, fd[0], &byte, 1, 0, NULL, NULL);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(5);
	check_eq(write(fd[1], "x", 1), 1);
	pthread_join(thread, NULL);
	check_eq(flock(held, LOCK_UN), 0);
	check_eq(result_of(q, lock), 0);
	asys_queue_close(q);
	close_both(fd);
	close(held);
	close(wanted);
}

static void test_other_engine(void **state)
{
	(void)state;
	uncollected_or_skip("nobody sleeps in the library");
	for (unsigned k = 0; k < 10; k++) {
		check_other_engine();
		progress();
	}
}

/* One waits for a call on a thread and runs quick ones; another is in a loop. */
static void *wait_for_lock(void *arg)
{
	const struct cancelled *c = arg;

	check_eq(asys_queue_wait(c->queue, (asys_id){ atomic_load(&c->id) }, NULL), 0);
	return NULL;
}

static void check_beside_a_loop(unsigned looks)
{
	struct cancelled c = { .queue = open_depth(64, ASYS_QUEUE_SHARED) };
	struct pollfd set = { .fd = asys_queue_fd(c.queue), .events = POLLIN };
	struct asys_event event;
	int held, wanted;
	pthread_t thread;

	held = memory_file();
	wanted = reopen(held);
	check_eq(flock(held, LOCK_EX), 0);
	atomic_store(&c.id, submit(c.queue, SYS_flock, wanted, LOCK_EX).value);
	for (unsigned k = 0; k < 20; k++)
		submit(asys_quiet(c.queue), SYS_getppid, 0);
	check_eq(pthread_create(&thread, NULL, wait_for_lock, &c), 0);
	for (unsigned k = 0; k < looks; k++) {
		asys_queue_get(c.queue, &event);
		poll(&set, 1, 0);
	}
	check_eq(flock(held, LOCK_UN), 0);
	pthread_join(thread, NULL);
	asys_queue_close(c.queue);
	close(held);
	close(wanted);
}

static void test_beside_a_loop(void **state)
{
	(void)state;
	uncollected_or_skip("the loop would take what another waits for");
	for (unsigned k = 0; k < 100; k++) {
		check_beside_a_loop(1 + k % 40);
		progress();
	}
}

/* After a renewal a thread of before is still in its call: a loop has nothing to do. */
static void check_quiet_after_renewal(uint32_t flags)
{
	struct asys_queue *q = open_depth(64, flags);
	struct pollfd set = { .fd = asys_queue_fd(q), .events = POLLIN };
	uint64_t until = asys_now() + 100000000;
	struct asys_event event;
	unsigned turns = 0;
	int held, wanted;
	asys_id lock;

	held = memory_file();
	wanted = reopen(held);
	check_eq(flock(held, LOCK_EX), 0);
	lock = submit(q, SYS_flock, wanted, LOCK_EX);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(5);
	check_eq(asys_queue_renew(q), 0);
	while (asys_now() < until) {
		turns += poll(&set, 1, 5) > 0;
		check_eq(asys_queue_get_many(q, &event, 1, 0, 0), 0);
		check_eq(asys_queue_get(q, &event), 0);
		if (turns > TURNS_MOST)
			support_fail(__FILE__, __LINE__, "the loop spins: %u turns", turns);
	}
	check_eq(flock(held, LOCK_UN), 0);
	check_eq(result_of(q, lock), 0);
	asys_queue_close(q);
	close(held);
	close(wanted);
}

static void test_quiet_after_renewal(void **state)
{
	(void)state;
	if (engine_forced("inline"))
		skip_because("no thread is in a call");
	check_quiet_after_renewal(0);
	check_quiet_after_renewal(ASYS_QUEUE_SHARED);
	check_quiet_after_renewal(ASYS_QUEUE_DRIVER);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_two_renew),	    contract(test_context_call_cancelled),
		contract(test_other_engine),	    contract(test_beside_a_loop),
		contract(test_quiet_after_renewal),
	};

	return group(tests, argc, argv);
}
