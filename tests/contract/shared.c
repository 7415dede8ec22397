/* SPDX-License-Identifier: MIT */
/* Contract: several threads on one queue, and a queue that drives itself. */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SENDERS = 4 };

struct common {
	struct asys_queue *queue;
	uint8_t *seen; /* by user word */
	unsigned each; /* calls per sender */
	uint32_t sent, got;
	uint32_t next_sender;
};

static void take(struct common *common, const struct asys_event *event)
{
	check(event->user < (uint64_t)common->each * SENDERS);
	check_eq(event->result, event->user % 3 ? getppid() : -EBADF);
	check_eq(__atomic_fetch_add(&common->seen[event->user], 1, __ATOMIC_RELAXED), 0);
	__atomic_fetch_add(&common->got, 1, __ATOMIC_RELAXED);
}

static asys_id send_one(struct common *common, uint64_t user)
{
	if (user % 3)
		return submit(asys_user(common->queue, user), SYS_getppid, 0);
	return submit(asys_user(common->queue, user), SYS_close, -1);
}

/* Sends its share, and takes whatever comes, its own or another's. */
static void *send_and_take(void *arg)
{
	struct common *common = arg;
	const uint64_t base =
		(uint64_t)__atomic_fetch_add(&common->next_sender, 1, __ATOMIC_RELAXED) *
		common->each;
	struct asys_event events[16];

	for (unsigned i = 0; i < common->each; i++) {
		check(send_one(common, base + i).value > 0);
		__atomic_fetch_add(&common->sent, 1, __ATOMIC_RELAXED);
		if (i % 16 == 15) {
			int n = asys_queue_get_many(common->queue, events, 16, i % 64 == 63,
						    1000000);

			check(n >= 0);
			while (n > 0)
				take(common, &events[--n]);
		}
		if (i % 256 == 0)
			progress();
	}
	return NULL;
}

static void many_senders(uint32_t flags, uint32_t depth)
{
	struct common common = { .queue = open_depth(depth, flags),
				 .each = iterations(100000) / SENDERS + 1 };
	const unsigned total = common.each * SENDERS;
	pthread_t thread[SENDERS - 1];
	struct asys_event event;

	common.seen = calloc(total, 1);
	check(common.seen);
	for (unsigned i = 0; i < SENDERS - 1; i++)
		check_eq(pthread_create(&thread[i], NULL, send_and_take, &common), 0);
	send_and_take(&common);
	for (unsigned i = 0; i < SENDERS - 1; i++)
		pthread_join(thread[i], NULL);
	while (asys_queue_get_many(common.queue, &event, 1, 1, ASYS_FOREVER) == 1)
		take(&common, &event);
	check_eq(common.sent, total);
	check_eq(common.got, total);
	check_eq(asys_queue_pending(common.queue), 0);
	for (unsigned i = 0; i < total; i++)
		check_eq(common.seen[i], 1);
	asys_queue_close(common.queue);
	free(common.seen);
}

static void test_many_senders(void **state)
{
	(void)state;
	many_senders(ASYS_QUEUE_SHARED, 256);
}

static void test_many_senders_small(void **state)
{
	(void)state;
	many_senders(ASYS_QUEUE_SHARED, 4);
}

static void test_many_senders_with_driver(void **state)
{
	(void)state;
	many_senders(ASYS_QUEUE_DRIVER, 256);
}

struct waiter {
	struct asys_queue *queue;
	int fd; /* file for dependent calls */
	unsigned rounds;
};

/* Each thread waits for its own calls only, by id, and uses results as arguments. */
static void *wait_by_id(void *arg)
{
	const struct waiter *waiter = arg;
	struct asys_queue *q = waiter->queue;

	for (unsigned i = 0; i < waiter->rounds; i++) {
		const uint64_t number = (uint64_t)gettid() * 1000 + i % 1000;
		asys_id a = submit(q, SYS_lseek, waiter->fd, number, SEEK_SET);
		asys_id b =
			submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), waiter->fd, a.value, SEEK_SET);
		asys_id c = submit(asys_after(q, b), SYS_close, -1);

		check_eq(result_of(q, c), -EBADF);
		check_eq(result_of(q, a), (int64_t)number);
		check_eq(result_of(q, b), (int64_t)number);
		progress();
	}
	return NULL;
}

static void waiters(uint32_t flags)
{
	struct waiter waiter = { open_depth(32, flags), memory_file(), iterations(12000) / 4 };
	pthread_t thread[SENDERS];

	for (unsigned i = 0; i < SENDERS; i++)
		check_eq(pthread_create(&thread[i], NULL, wait_by_id, &waiter), 0);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(thread[i], NULL);
	check_eq(asys_queue_pending(waiter.queue), 0);
	asys_queue_close(waiter.queue);
	close(waiter.fd);
}

static void test_wait_by_id(void **state)
{
	(void)state;
	uncollected_or_skip("one thread takes the event of a call that another still has to name");
	waiters(ASYS_QUEUE_SHARED);
	waiters(ASYS_QUEUE_DRIVER);
}

/* Modifiers belong to the thread that gave them. */
static void *send_plain(void *arg)
{
	struct asys_queue *q = arg;
	struct asys_event event;
	asys_id id = submit(q, SYS_getppid, 0);

	check_eq(asys_queue_wait(q, id, &event), 0);
	check_eq(event.user, 0);
	check_eq(event.result, getppid());
	return NULL;
}

static void check_modifiers_are_per_thread(void)
{
	struct asys_queue *q = open_depth(16, ASYS_QUEUE_SHARED);
	pthread_t thread;
	struct asys_event event;
	asys_id bad = submit(q, SYS_close, -1);

	asys_after_ok(asys_user(q, 8), bad);
	check_eq(pthread_create(&thread, NULL, send_plain, q), 0);
	pthread_join(thread, NULL);
	check_eq(asys_queue_wait(q, submit(q, SYS_getppid, 0), &event), 0);
	check_eq(event.user, 8);
	check_eq(event.result, -ECANCELED);
	check_eq(drain(q), 1);
	asys_queue_close(q);
}

static void test_modifiers_are_per_thread(void **state)
{
	(void)state;
	uncollected_or_skip("a call that has ended is named: its event must not be taken");
	check_modifiers_are_per_thread();
}

/* One waits for a call with nothing to do; another cancels it. */
static void *wait_for_cancel(void *arg)
{
	struct asys_queue *q = ((struct waiter *)arg)->queue;
	char byte;
	asys_id id = submit(q, SYS_read, ((struct waiter *)arg)->fd, &byte, 1);

	check_eq(result_of(q, id), -ECANCELED);
	return NULL;
}

static void test_cancel_from_another(void **state)
{
	struct waiter waiter = { .queue = open_depth(16, ASYS_QUEUE_SHARED) };
	pthread_t thread[SENDERS];
	unsigned cancelled = 0;
	int fd[2];

	(void)state;
	make_pipe(fd);
	waiter.fd = fd[0];
	for (unsigned i = 0; i < SENDERS; i++)
		check_eq(pthread_create(&thread[i], NULL, wait_for_cancel, &waiter), 0);
	while (cancelled < SENDERS) {
		int n = asys_queue_cancel_all(waiter.queue);

		check(n >= 0);
		cancelled += (unsigned)n;
		sleep_ms(1);
	}
	check_eq(cancelled, SENDERS);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(thread[i], NULL);
	asys_queue_close(waiter.queue);
	close(fd[0]);
	close(fd[1]);
}

/* Several barriers at once: all return. */
static void *barrier_only(void *arg)
{
	struct asys_queue *q = arg;

	for (unsigned i = 0; i < 200; i++) {
		submit(asys_quiet(q), SYS_getppid, 0);
		check_eq(asys_queue_barrier(q), 0);
	}
	return NULL;
}

static void test_barriers(void **state)
{
	struct asys_queue *q = open_depth(16, ASYS_QUEUE_SHARED);
	pthread_t thread[SENDERS];

	(void)state;
	for (unsigned i = 0; i < SENDERS; i++)
		check_eq(pthread_create(&thread[i], NULL, barrier_only, q), 0);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(thread[i], NULL);
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
}

/*
 * Who drives: with a driver, a chain goes on while its client computes and calls nothing of asys.
 * The client sees the end of the chain in the file system.
 */
static void test_driver_goes_on(void **state)
{
	struct asys_queue *q = open_depth(64, ASYS_QUEUE_DRIVER);
	char *dir = temp_make(), *from = NULL, *to = NULL;
	asys_id last;
	struct stat st;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	check(asprintf(&from, "%s/a", dir) > 0 && asprintf(&to, "%s/b", dir) > 0);
	last = submit(q, SYS_read, fd[0], &byte, 1);
	for (unsigned i = 0; i < 20; i++)
		last = submit(asys_after_ok(q, last), SYS_getppid, 0);
	last = submit(asys_after_ok(q, last), SYS_mkdirat, -100, from, 0700);
	last = submit(asys_after_ok(q, last), SYS_renameat2, -100, from, -100, to, 0);
	check_eq(write(fd[1], "x", 1), 1);
	while (stat(to, &st))
		check_eq(errno, ENOENT);
	check_eq(asys_queue_barrier(q), 0);
	check_eq(drain(q), 23);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
	free(from);
	free(to);
	temp_remove(dir);
}

struct sleeper {
	struct asys_queue *queue;
	struct asys_event event;
};

static void *take_one(void *arg)
{
	struct sleeper *sleeper = arg;

	check_eq(asys_queue_get_many(sleeper->queue, &sleeper->event, 1, 1, ASYS_FOREVER), 1);
	return NULL;
}

/* One thread is long asleep when another sends, flushes and goes away: the sleeper gets the event,
 * whoever runs the call. */
static void test_sent_while_asleep(void **state)
{
	static const uint32_t flags[] = { ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct sleeper sleeper = { .queue = open_depth(64, flags[k]) };
		struct asys_queue *q = sleeper.queue;
		asys_id idle, quick;
		pthread_t thread;
		char byte;
		int fd[2];

		make_pipe(fd);
		/* something is in flight, so that it does wait */
		idle = submit(q, SYS_read, fd[0], &byte, 1);
		check_eq(asys_queue_flush(q), 0);
		check_eq(pthread_create(&thread, NULL, take_one, &sleeper), 0);
		sleep_ms(20);
		quick = submit(q, SYS_getppid, 0);
		check_eq(asys_queue_flush(q), 0);
		pthread_join(thread, NULL);
		check_eq(sleeper.event.id.value, quick.value);
		check_eq(sleeper.event.result, getppid());
		check_eq(write(fd[1], "x", 1), 1);
		check_eq(result_of(q, idle), 1);
		asys_queue_close(q);
		close(fd[0]);
		close(fd[1]);
		progress();
	}
}

/* Whoever gets an event may close the queue, also before the thread that brought it about has left the queue. */
static void *get_and_close(void *arg)
{
	const struct sched_param none = { 0 };
	struct asys_event event;

	pthread_setschedparam(pthread_self(), SCHED_OTHER, &none);
	check_eq(asys_queue_get_many(arg, &event, 1, 1, ASYS_FOREVER), 1);
	asys_queue_close(arg);
	return NULL;
}

/* On one core, where who is woken runs before an idle thread goes on. The queue's memory is freed by then, as a
 * checker of addresses sees. */
static int closed_by_the_getter(void *arg)
{
	const struct sched_param none = { 0 };
	pthread_t thread;
	cpu_set_t one;
	int fd[2];
	char in;

	(void)arg;
	make_pipe(fd);
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	check_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	check_eq(pthread_setschedparam(pthread_self(), SCHED_IDLE, &none), 0);
	for (unsigned n = 0; n < 50; n++) {
		struct asys_queue *q = open_depth(8, ASYS_QUEUE_SHARED);
		asys_id id = submit(q, SYS_read, fd[0], &in, 1);

		check_eq(pthread_create(&thread, NULL, get_and_close, q), 0);
		sleep_ms(2);
		check_eq(asys_queue_cancel(q, id), 0);
		pthread_join(thread, NULL);
		progress();
	}
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static void test_closed_by_the_getter(void **state)
{
	(void)state;
	uncollected_or_skip("the driver of the test has a lock of its own");
	check_child(closed_by_the_getter, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_many_senders),
		contract(test_many_senders_small),
		contract(test_many_senders_with_driver),
		contract(test_wait_by_id),
		contract(test_modifiers_are_per_thread),
		contract(test_cancel_from_another),
		contract(test_barriers),
		contract(test_driver_goes_on),
		contract(test_sent_while_asleep),
		contract(test_closed_by_the_getter),
	};

	return group(tests, argc, argv);
}
