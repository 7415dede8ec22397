/* SPDX-License-Identifier: MIT */
/* Contract: nothing is lost. A full queue makes the sender help, or says -EAGAIN if asked to. */
#include "support.h"

#include <pthread.h>
#include <stdlib.h>

static void test_no_get_until_the_end(void **state)
{
	const unsigned total = iterations(100000);
	struct asys_queue *q = open_depth(4, 0);
	uint8_t *seen = calloc(total, 1);
	struct asys_stats stats;
	struct asys_event event;

	(void)state;
	check(seen);
	for (unsigned i = 0; i < total; i++) {
		check(submit(asys_user(q, i), SYS_getppid, 0).value > 0);
		if (i % 1024 == 0)
			progress();
	}
	check_eq(asys_queue_pending(q), total);
	check_eq(asys_queue_barrier(q), 0);
	for (unsigned i = 0; i < total; i++) {
		check_eq(asys_queue_get(q, &event), 1);
		check(event.user < total);
		check_eq(event.result, getppid());
		check_eq(seen[event.user]++, 0);
	}
	check_eq(asys_queue_get(q, &event), 0);
	check_eq(asys_queue_pending(q), 0);
	check_eq(asys_queue_stats(q, &stats), 0);
	check_eq(stats.sent, total);
	check_eq(stats.ended, total);
	check(stats.overflow > 0);
	asys_queue_close(q);
	free(seen);
}

static void test_wait_for_kept_aside(void **state)
{
	enum { MANY = 2000 };
	struct asys_queue *q = open_depth(4, 0);
	asys_id id[MANY];

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		id[i] = submit(q, SYS_getppid, 0);
	/* in an order that is not that of ending */
	for (unsigned i = 0; i < MANY; i += 2)
		check_eq(result_of(q, id[MANY - 1 - i]), getppid());
	for (unsigned i = 0; i < MANY; i += 2)
		check_eq(asys_queue_wait(q, id[MANY - 1 - i], NULL), -ESTALE);
	check_eq(asys_queue_cancel(q, id[0]), -EALREADY);
	for (unsigned i = 0; i < MANY; i += 2)
		check_eq(result_of(q, id[i]), getppid());
	check_eq(asys_queue_pending(q), 0);
	asys_queue_close(q);
}

static void check_kept_aside_as_argument(void)
{
	struct asys_queue *q = open_depth(4, 0);
	int fd = memory_file();
	asys_id seven, bad, copy;

	seven = submit(q, SYS_lseek, fd, 7, SEEK_SET);
	bad = submit(q, SYS_close, -1);
	for (unsigned i = 0; i < 1000; i++)
		submit(q, SYS_getppid, 0);
	copy = submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), fd, seven.value, SEEK_SET);
	check_eq(result_of(q, copy), 7);
	copy = submit_refs(q, SYS_lseek, ASYS_CALL_REF(1), fd, bad.value, SEEK_SET);
	check_eq(result_of(q, copy), -EBADF);
	copy = submit(asys_after_ok(q, bad), SYS_getppid, 0);
	check_eq(result_of(q, copy), -ECANCELED);
	check_eq(result_of(q, seven), 7);
	copy = submit(asys_after(q, seven), SYS_getppid, 0);
	check_eq(result_of(q, copy), -ESTALE);
	check_eq(drain(q), 1001);
	asys_queue_close(q);
	close(fd);
}

static void test_kept_aside_as_argument(void **state)
{
	(void)state;
	uncollected_or_skip("it is about events that nobody takes");
	check_kept_aside_as_argument();
}

/* Close frees events that nobody got, aside or not (seen by the leak checkers). */
static void test_closed_full(void **state)
{
	struct asys_queue *q = open_depth(4, 0);

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		submit(q, SYS_getppid, 0);
	asys_queue_close(q);
}

static void test_nonblock(void **state)
{
	struct asys_queue *q = open_depth(4, ASYS_QUEUE_NONBLOCK);
	char bytes[4];
	asys_id id;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 4; i++)
		check(submit(q, SYS_read, fd[0], &bytes[i], 1).value > 0);
	for (unsigned i = 0; i < 10; i++) {
		id = submit(asys_quiet(asys_user(q, 3)), SYS_getppid, 0);
		check_eq(id.value, -EAGAIN);
	}
	check_says(asys_message(), "full");
	check_eq(asys_queue_pending(q), 4);
	/* what was refused can be used as an argument, and fails with its error */
	check_eq(write(fd[1], "wxyz", 4), 4);
	check_eq(asys_queue_barrier(q), 0);
	check_eq(drain(q), 4);
	id = submit_refs(q, SYS_close, ASYS_CALL_REF(0), id.value);
	check_eq(result_of(q, id), -EAGAIN);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* Whatever is accepted comes back, whatever is refused does not. */
static void test_nonblock_accounts(void **state)
{
	const unsigned total = iterations(50000);
	struct asys_queue *q = open_depth(16, ASYS_QUEUE_NONBLOCK);
	uint64_t accepted = 0, got = 0;
	struct asys_event event;

	(void)state;
	for (unsigned i = 0; i < total; i++) {
		asys_id id = submit(q, SYS_getppid, 0);

		if (id.value > 0) {
			accepted++;
		} else {
			check_eq(id.value, -EAGAIN);
			check(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER) == 1);
			got++;
		}
		if (i % 1024 == 0)
			progress();
	}
	check(accepted > 0);
	check_eq(got + drain(q), accepted);
	asys_queue_close(q);
}

struct feeder {
	int fd;
	unsigned count;
};

static void *feed(void *arg)
{
	const struct feeder *feeder = arg;

	for (unsigned i = 0; i < feeder->count; i++) {
		if (i % 16 == 0)
			sleep_ms(1);
		check_eq(write(feeder->fd, "b", 1), 1);
	}
	return NULL;
}

/* The queue is full of calls that wait for somebody else: the sender waits with them. */
static void test_full_of_blocked(void **state)
{
	enum { MANY = 500 };
	struct asys_queue *q = open_depth(4, 0);
	char bytes[MANY] = { 0 };
	struct feeder feeder = { .count = MANY };
	pthread_t thread;
	int fd[2];

	(void)state;
	make_pipe(fd);
	feeder.fd = fd[1];
	check_eq(pthread_create(&thread, NULL, feed, &feeder), 0);
	for (unsigned i = 0; i < MANY; i++)
		check(submit(q, SYS_read, fd[0], &bytes[i], 1).value > 0);
	check_eq(asys_queue_barrier(q), 0);
	for (unsigned i = 0; i < MANY; i++)
		check_eq(bytes[i], 'b');
	check_eq(drain(q), MANY);
	pthread_join(thread, NULL);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* One that is small and one that is large fill each other's pipe: neither may stop the other. */
static void test_two_full_queues(void **state)
{
	enum { MANY = 1000 };
	struct asys_queue *a = open_depth(2, 0), *b = open_depth(2048, 0);
	char bytes[MANY];
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < MANY; i++)
		submit(b, SYS_read, fd[0], &bytes[i], 1);
	check_eq(asys_queue_flush(b), 0);
	for (unsigned i = 0; i < MANY; i++)
		check(submit(asys_quiet(a), SYS_write, fd[1], "q", 1).value > 0);
	check_eq(asys_queue_flush(a), 0);
	check_eq(asys_queue_barrier(b), 0);
	check_eq(asys_queue_barrier(a), 0);
	check_eq(drain(b), MANY);
	check_eq(drain(a), 0);
	asys_queue_close(a);
	asys_queue_close(b);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_no_get_until_the_end),
		contract(test_wait_for_kept_aside),
		contract(test_kept_aside_as_argument),
		contract(test_closed_full),
		contract(test_nonblock),
		contract(test_nonblock_accounts),
		contract(test_full_of_blocked),
		contract(test_two_full_queues),
	};

	return group(tests, argc, argv);
}
