/* SPDX-License-Identifier: MIT */
/* Contract: an id names one call of one queue for ever, or answers with a clear error. */
#include "support.h"

#include <fcntl.h>
#include <stdlib.h>

#define TAG_SHIFT 53

static asys_id make_id(int64_t value)
{
	asys_id id = { value };

	return id;
}

/* All the ways in which an id can be used as a dependency. */
static void check_dependency(struct asys_queue *q, asys_id id, int error)
{
	check_eq(result_of(q, submit_refs(q, SYS_fcntl, ASYS_CALL_REF(0), id.value, F_GETFD)),
		 error);
	check_eq(result_of(q, submit(asys_after(q, id), SYS_getppid, 0)), error);
	check_eq(result_of(q, submit(asys_after_ok(q, id), SYS_getppid, 0)), error);
	check_eq(result_of(q, submit(asys_after_error(q, id), SYS_getppid, 0)), error);
	/* and nothing of it sticks to the next call */
	check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
}

static void test_stale(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	asys_id id = submit(q, SYS_getppid, 0);

	(void)state;
	check_eq(result_of(q, id), getppid());
	check_eq(asys_queue_wait(q, id, &event), -ESTALE);
	check_eq(asys_queue_cancel(q, id), -ESTALE);
	check_dependency(q, id, -ESTALE);
	/* also when its slot has long been another call's */
	for (unsigned i = 0; i < 5000; i++)
		submit(asys_quiet(q), SYS_getppid, 0);
	check_eq(asys_queue_wait(q, id, &event), -ESTALE);
	check_dependency(q, id, -ESTALE);
	asys_queue_close(q);
}

static void test_stale_while_slot_is_used(void **state)
{
	struct asys_queue *q = open_depth(1, 0);
	asys_id old = submit(q, SYS_getppid, 0), now;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	check_eq(result_of(q, old), getppid());
	now = submit(q, SYS_read, fd[0], &byte, 1);
	check(now.value != old.value);
	check_eq(asys_queue_cancel(q, old), -ESTALE);
	check_eq(asys_queue_wait(q, old, NULL), -ESTALE);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, now), 1);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_foreign(void **state)
{
	struct asys_queue *a = open_queue(), *b = open_queue();
	asys_id id = submit(a, SYS_getppid, 0);

	(void)state;
	check(id.value >> TAG_SHIFT != submit(b, SYS_getppid, 0).value >> TAG_SHIFT);
	check_eq(asys_queue_wait(b, id, NULL), -EXDEV);
	check_eq(asys_queue_cancel(b, id), -EXDEV);
	check_dependency(b, id, -EXDEV);
	/* the failed attempts left the call alone */
	check_eq(result_of(a, id), getppid());
	check_eq(asys_queue_wait(b, id, NULL), -EXDEV);
	asys_queue_close(a);
	asys_queue_close(b);
}

/* Queues that follow one another at the same address do not understand each other's ids. */
static void test_closed_queue(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct asys_queue *q = open_queue();
		asys_id id = submit(q, SYS_getppid, 0);

		asys_queue_close(q);
		q = open_queue();
		check_eq(asys_queue_wait(q, id, NULL), -EXDEV);
		check_dependency(q, id, -EXDEV);
		asys_queue_close(q);
	}
}

/* There are 1,024 tags; far more queues than that can follow one another. */
static void test_many_queues(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		struct asys_queue *q = open_depth(2, 0);

		check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
		asys_queue_close(q);
	}
}

static void test_negative(void **state)
{
	struct asys_queue *q = open_queue();

	(void)state;
	check_eq(asys_queue_wait(q, make_id(-ENOENT), NULL), -ENOENT);
	check_eq(asys_queue_cancel(q, make_id(-ENOENT)), -ENOENT);
	/* which is not what failed last in the same way */
	check_eq(asys_queue_wait(q, make_id(-EINVAL), NULL), -EINVAL);
	check_says(asys_message(), "asys_queue_wait: id -22 ");
	check_eq(asys_queue_cancel(q, make_id(-EINVAL)), -EINVAL);
	check_says(asys_message(), "asys_queue_cancel: id -22 ");
	check_dependency(q, make_id(-EAGAIN), -EAGAIN);
	check_dependency(q, make_id(-4095), -4095);
	/* what sending gave, in a chain, as DESIGN.md draws it */
	asys_id bad = submit_refs(q, SYS_openat, 1u << 9, AT_FDCWD, "/", O_RDONLY, 0);
	asys_id use = submit_refs(q, SYS_fcntl, ASYS_CALL_REF(0), bad.value, F_GETFD);
	asys_id more = submit_refs(q, SYS_close, ASYS_CALL_REF(0), use.value);

	check_eq(bad.value, -EINVAL);
	check_eq(result_of(q, more), -EINVAL);
	check_eq(result_of(q, use), -EINVAL);
	asys_queue_close(q);
}

static void test_made_up(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id first = submit(q, SYS_getppid, 0);
	const int64_t future = first.value + 1000;

	(void)state;
	check_eq(asys_queue_wait(q, make_id(future), NULL), -ESTALE);
	check_eq(asys_queue_cancel(q, make_id(future)), -ESTALE);
	check_dependency(q, make_id(first.value + 100000), -ESTALE);
	/* Zero names nothing: it belongs to no queue, or to no call of this one. */
	check_one_of(asys_queue_wait(q, make_id(0), NULL), -ESTALE, -EXDEV);
	check_one_of(asys_queue_cancel(q, make_id(0)), -ESTALE, -EXDEV);
	check_one_of(result_of(q, submit(asys_after(q, make_id(0)), SYS_getppid, 0)), -ESTALE,
		     -EXDEV);
	/* Far out of range: any error, and no harm. */
	check(asys_queue_wait(q, make_id(INT64_MAX), NULL) < 0);
	check(asys_queue_cancel(q, make_id(INT64_MAX)) < 0);
	check(asys_queue_wait(q, make_id(INT64_MIN), NULL) < 0);
	check(asys_queue_cancel(q, make_id(INT64_MIN)) < 0);
	check(result_of(q, submit(asys_after(q, make_id(INT64_MAX)), SYS_getppid, 0)) < 0);
	check(result_of(q, submit(asys_after(q, make_id(INT64_MIN)), SYS_getppid, 0)) < 0);
	check_eq(result_of(q, first), getppid());
	asys_queue_close(q);
}

/* A call cannot wait for itself: when its dependency is given, its own id names nothing yet. */
static void test_own_id(void **state)
{
	struct asys_queue *q = open_queue();
	asys_id before = submit(q, SYS_getppid, 0);
	asys_id next = make_id(before.value + 1);
	asys_id id = submit(asys_after(q, next), SYS_getppid, 0);

	(void)state;
	check_eq(result_of(q, id), -ESTALE);
	asys_queue_close(q);
}

static int by_value(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void test_never_reused(void **state)
{
	const unsigned total = iterations(1000000);
	int64_t *ids = malloc(total * sizeof(*ids));
	struct asys_queue *q = open_queue();

	(void)state;
	check(ids);
	for (unsigned i = 0; i < total; i++) {
		ids[i] = submit(asys_quiet(q), SYS_getppid, 0).value;
		check(ids[i] > 0);
		if (i % 4096 == 0)
			progress();
	}
	check_eq(asys_queue_barrier(q), 0);
	qsort(ids, total, sizeof(*ids), by_value);
	for (unsigned i = 1; i < total; i++)
		check(ids[i] != ids[i - 1]);
	free(ids);
	asys_queue_close(q);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_stale),	     contract(test_stale_while_slot_is_used),
		contract(test_foreign),	     contract(test_closed_queue),
		contract(test_many_queues),  contract(test_negative),
		contract(test_made_up),	     contract(test_own_id),
		contract(test_never_reused),
	};

	return group(tests, argc, argv);
}
