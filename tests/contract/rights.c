/* SPDX-License-Identifier: MIT */
/*
 * Contract: no call starts with rights that its sender has dropped (src/sched/context.c, X1 to X6), also
 * through a driver, a batch that a thread already holds, and calls that lie before threads of another queue.
 * The right is that of calling getppid; a filter takes it. In children: it cannot be given back.
 */
#include "support.h"

#include <asys/chain.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>

static const long forbidden[] = { SYS_getppid };

/* A call that takes long. */
#define LONG_MAP ((size_t)512 << 20)
#define LONG_MAP_FLAGS 0x8022 /* private, anonymous, populated */
#define ANONYMOUS ((uint64_t)-1)

/* What the kernel asks for before it takes a filter. Not a part of the drop: after it, and before the filter,
 * a call may start. */
static void allow_filters(void)
{
	check_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
}

/* By a call through `q`, as the library can see. */
static void drop_right(struct asys_queue *q)
{
	check_eq(result_of(q, submit(q, SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0,
				     deny_program(forbidden, 1, EPERM))),
		 0);
	check_eq(syscall(SYS_getppid), -1);
}

static struct asys_queue *open_engine(uint32_t engine, uint32_t flags)
{
	struct asys_queue_options options;

	asys_queue_options_init(&options);
	options.engine = engine;
	options.flags = flags;
	return open_with(&options);
}

/* One call waits; getppid, sent before the drop, follows it when the drop is over. */
static int follow(uint32_t flags, bool by_loop)
{
	struct asys_queue *q = open_engine(ASYS_ENGINE_AUTO, flags), *other = open_queue();
	struct pollfd pfd = { .fd = by_loop ? asys_queue_fd(q) : -1, .events = POLLIN };
	struct asys_event event = { .result = 1 };
	asys_id first, second;
	char byte;
	int fd[2];

	allow_filters();
	make_pipe(fd);
	first = submit(asys_quiet(q), SYS_read, fd[0], &byte, 1);
	second = submit(asys_after(q, first), SYS_getppid, 0);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(10);
	drop_right(other);
	check_eq(write(fd[1], "x", 1), 1);
	sleep_ms(10);
	if (by_loop)
		while (asys_queue_get(q, &event) != 1)
			check_eq(poll(&pfd, 1, 10000), 1);
	else
		event.result = result_of(q, second);
	check_eq(event.result, -EPERM);
	asys_queue_close(q);
	asys_queue_close(other);
	return 0;
}

static int follow_private(void *arg)
{
	(void)arg;
	return follow(0, false);
}

static int follow_private_loop(void *arg)
{
	(void)arg;
	return follow(0, true);
}

static int follow_driver(void *arg)
{
	(void)arg;
	return follow(ASYS_QUEUE_DRIVER, false);
}

static int follow_driver_in_a_loop(void *arg)
{
	(void)arg;
	return follow(ASYS_QUEUE_DRIVER, true);
}

/*
 * The queue's only thread has taken quick calls together and is inside the first of them, which takes long:
 * the others have not started. `other`: the drop goes through a second queue, and nobody visits the first.
 */
static int behind_a_long_one(bool other)
{
	struct asys_queue_options options;
	struct asys_queue *q, *by;
	struct asys_event event;
	asys_id id[64], map;

	allow_filters();
	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_THREADS;
	options.threads = 1;
	q = open_with(&options);
	by = other ? open_queue() : q;
	submit(asys_quiet(q), SYS_getpid, 0); /* starts the thread */
	check_eq(asys_queue_barrier(q), 0);
	map = submit(q, SYS_mmap, 0, LONG_MAP, 3, LONG_MAP_FLAGS, -1, 0);
	for (unsigned k = 0; k < 64; k++)
		id[k] = submit(q, SYS_getppid, 0);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(2);
	if (asys_queue_get(q, &event))
		return SKIPPED; /* this machine is too fast for the test */
	drop_right(by);
	for (unsigned k = 0; k < 64; k++)
		check_eq(result_of(q, id[k]), -EPERM);
	check(result_of(q, map) > 0);
	asys_queue_close(q);
	if (other)
		asys_queue_close(by);
	return 0;
}

static int behind_same(void *arg)
{
	(void)arg;
	return behind_a_long_one(false);
}

static int behind_other(void *arg)
{
	(void)arg;
	return behind_a_long_one(true);
}

/* The driver is in the first step of a chain, which takes long; the second has not started. */
static int inside_a_chain(void *arg)
{
	struct asys_queue *q = open_engine(ASYS_ENGINE_INLINE, ASYS_QUEUE_DRIVER);
	struct asys_queue *other = open_queue();
	struct asys_chain *c;
	struct asys_event event;
	asys_id map, id;

	(void)arg;
	allow_filters();
	check_eq(asys_chain_open(&c, NULL), 0);
	map = asys_call(c, SYS_mmap, 0, LONG_MAP, 3, LONG_MAP_FLAGS, ANONYMOUS, 0);
	asys_call(asys_after(c, map), SYS_getppid, 0, 0, 0, 0, 0, 0);
	check_eq(asys_chain_ready(c), 0);
	id = asys_chain_send(q, c);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(2);
	if (asys_queue_get(q, &event))
		return SKIPPED;
	drop_right(other);
	check_eq(result_of(q, id), -EPERM);
	asys_queue_close(q);
	asys_queue_close(other);
	asys_chain_close(c);
	return 0;
}

static void test_follow(void **state)
{
	(void)state;
	check_child(follow_private, NULL);
	check_child(follow_private_loop, NULL);
}

static void test_follow_driver(void **state)
{
	(void)state;
	check_child(follow_driver, NULL);
	check_child(follow_driver_in_a_loop, NULL);
}

static void test_behind(void **state)
{
	(void)state;
	check_child(behind_same, NULL);
}

static void test_inside_a_chain(void **state)
{
	(void)state;
	check_child(inside_a_chain, NULL);
}

static void test_behind_through_another(void **state)
{
	(void)state;
	check_child(behind_other, NULL);
}

/* A change of rights ends nothing: what waits in threads, or for one, goes on. */
static void test_goes_on(void **state)
{
	struct asys_queue *q = open_engine(ASYS_ENGINE_THREADS, 0);
	char bytes[4];
	asys_id id[4];
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned k = 0; k < 4; k++)
			id[k] = submit(q, SYS_read, fd[0], &bytes[k], 1);
		check_eq(asys_queue_flush(q), 0);
		check_eq(asys_queue_renew(q), 0);
		check_eq(write(fd[1], "rest", 4), 4);
		for (unsigned k = 0; k < 4; k++)
			check_eq(result_of(q, id[k]), 1);
	}
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* Home calls that a thread left in a private queue are not made by the thread that has it now. */
struct handed {
	struct asys_queue *q;
	asys_id id;
};

static void *leave_home(void *arg)
{
	struct handed *handed = arg;

	handed->id = submit(handed->q, SYS_gettid, 0);
	asys_user(handed->q, 99); /* said, and no call sent */
	return NULL;
}

static void check_homeless(void)
{
	struct handed handed = { open_queue(), { 0 } };
	struct asys_event event;
	pthread_t thread;

	check_eq(pthread_create(&thread, NULL, leave_home, &handed), 0);
	pthread_join(thread, NULL);
	check_eq(result_of(handed.q, handed.id), -ECANCELED);
	submit(handed.q, SYS_getpid, 0);
	check_eq(asys_queue_get_many(handed.q, &event, 1, 1, ASYS_FOREVER), 1);
	check_eq(event.user, 0);
	asys_queue_close(handed.q);
}

static void test_homeless(void **state)
{
	(void)state;
	if (driver_is("thread") || driver_is("shared"))
		skip_because("in a shared queue a home call waits for its sender");
	check_homeless();
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		contract(test_follow),
		contract(test_follow_driver),
		contract(test_behind),
		contract(test_inside_a_chain),
		contract(test_goes_on),
		contract(test_homeless),
		contract(test_behind_through_another),
	};

	if (is_sanitized()) {
		puts("a sanitizer meets the filters too");
		return SKIPPED;
	}
	return group(tests, argc, argv);
}
