/* SPDX-License-Identifier: MIT */
/*
 * Contract: every public function that returns an error has said by asys_message what failed, on what,
 * why and what to do; and one that returns none has left the message alone.
 */
#include "support.h"

#include <asys/asys.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* The library's own functions, also where a loop takes the place of those that wait. */
#undef asys_queue_open
#undef asys_queue_close
#undef asys_queue_get
#undef asys_queue_get_many
#undef asys_queue_wait
#undef asys_queue_barrier
#undef asys_queue_cancel
#undef asys_queue_pending

#define STALE_WORD "70707"

/* What is said now is about something else: number 70707. */
static void say_something_else(void)
{
	check_eq(asys_engine_for(NULL, 70707, NULL), -ENOSYS);
	check_says(asys_message(), STALE_WORD);
}

static bool said_something_else(void)
{
	return strstr(asys_message(), STALE_WORD);
}

/* `call` fails with `err`, and says each of the two. */
#define TOLD(call, err, word, other)                                                           \
	do {                                                                                   \
		say_something_else();                                                          \
		check_eq((call), (err));                                                       \
		check_says(asys_message(), word);                                              \
		check_says(asys_message(), other);                                             \
		if (said_something_else())                                                     \
			support_fail(__FILE__, __LINE__, "%s said nothing of its own", #call); \
	} while (0)

/* `call` is no failure, whatever it had to do. */
#define SILENT(call)                          \
	do {                                  \
		say_something_else();         \
		check(call);                  \
		check(said_something_else()); \
	} while (0)

static uint32_t flags_of_driver(void)
{
	return driver_is("thread") ? ASYS_QUEUE_DRIVER :
	       driver_is("shared") ? ASYS_QUEUE_SHARED :
				     0;
}

static struct asys_queue *open_plain(uint32_t depth, uint32_t flags)
{
	struct asys_queue_options options;
	struct asys_queue *q;

	asys_queue_options_init(&options);
	options.depth = depth;
	options.flags = flags | flags_of_driver();
	check_eq(asys_queue_open(&q, &options), 0);
	return q;
}

static void test_ids(void **state)
{
	struct asys_queue *q = open_plain(16, 0), *other = open_plain(16, 0);
	const asys_id none = { 0 }, failed = { -EPERM }, strange = { -70000 };
	asys_id id = submit(q, SYS_getppid, 0), foreign = submit(other, SYS_getppid, 0);

	(void)state;
	check_eq(asys_queue_wait(q, id, NULL), 0);
	TOLD(asys_queue_wait(q, id, NULL), -ESTALE, "asys_queue_wait", "got before");
	TOLD(asys_queue_cancel(q, id), -ESTALE, "asys_queue_cancel", "got before");
	TOLD(asys_queue_wait(q, foreign, NULL), -EXDEV, "asys_queue_wait", "another");
	TOLD(asys_queue_cancel(q, foreign), -EXDEV, "asys_queue_cancel", "another");
	TOLD(asys_queue_wait(q, none, NULL), -EXDEV, "asys_queue_wait", "id 0 names no call");
	TOLD(asys_queue_cancel(q, none), -EXDEV, "asys_queue_cancel", "id 0 names no call");
	TOLD(asys_queue_wait(q, failed, NULL), -EPERM, "asys_queue_wait", "asys_error(id)");
	TOLD(asys_queue_cancel(q, failed), -EPERM, "asys_queue_cancel", "asys_error(id)");
	TOLD(asys_queue_wait(q, strange, NULL), -EINVAL, "asys_queue_wait", "asys_error(id)");
	TOLD(asys_queue_cancel(q, strange), -EINVAL, "asys_queue_cancel", "asys_error(id)");
	/* why it was not sent is worth more than that it was not */
	TOLD(asys_queue_wait(q, asys_call(q, SYS_exit, 0, 0, 0, 0, 0, 0), NULL), -EOPNOTSUPP,
	     "exit", "cannot be queued");
	asys_queue_close(q);
	asys_queue_close(other);
}

static void test_cancelled_before(void **state)
{
	struct asys_queue *q = open_plain(16, 0);
	asys_id done = submit(q, SYS_getppid, 0), again;
	struct asys_event event;
	char byte;
	int fd[2];

	(void)state;
	make_pipe(fd);
	check_eq(asys_queue_barrier(q), 0);
	TOLD(asys_queue_cancel(q, done), -EALREADY, "asys_queue_cancel", "has ended");
	again = submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_cancel(q, again), 0);
	/* it may have ended meanwhile */
	TOLD(asys_queue_cancel(q, again), -EALREADY, "asys_queue_cancel", "event");
	SILENT(asys_queue_cancel_all(q) >= 0);
	TOLD(asys_queue_barrier(q), -ECANCELED, "asys_queue_barrier", "events");
	SILENT(asys_queue_barrier(q) == 0);
	while (asys_queue_get(q, &event) > 0)
		;
	asys_queue_close(q);
	close_both(fd);
}

static int nothing_sends(struct asys_queue *q)
{
	struct asys_call call = { .nr = SYS_exit_group };

	TOLD(asys_send(q, &call).value, -EOPNOTSUPP, "exit_group", "cannot be queued");
	call.nr = 70000;
	TOLD(asys_send(q, &call).value, -ENOSYS, "70000", "largest");
	call = (struct asys_call){ .nr = SYS_getppid, .flags = 1u << 20 };
	TOLD(asys_send(q, &call).value, -EINVAL, "flags", "known are");
	call.flags = ASYS_CALL_HIGH | ASYS_CALL_LOW;
	TOLD(asys_send(q, &call).value, -EINVAL, "priority", "both");
	TOLD(asys_call(q, 70000, 0, 0, 0, 0, 0, 0).value, -ENOSYS, "70000", "largest");
	TOLD(asys_chain_send(q, NULL).value, -EINVAL, "asys_chain_send", "NULL");
	return 0;
}

/* What was said about a call that was refused is not about the next. */
static void test_refused_sendings(void **state)
{
	struct asys_queue *q = open_plain(16, 0);
	struct asys_chain *c;
	struct asys_event event;
	asys_id id;

	(void)state;
	nothing_sends(q);
	check_eq(asys_chain_open(&c, NULL), 0);
	TOLD(asys_chain_send(asys_user(q, 77), c).value, -EINVAL, "not ready", "asys_chain_ready");
	id = submit(q, SYS_getppid, 0);
	check_eq(asys_queue_wait(q, id, &event), 0);
	check_eq(event.user, 0);
	check_eq(asys_chain_end(asys_label(c, "culprit")).value, -EINVAL);
	TOLD(asys_chain_send(q, c).value, -EINVAL, "asys_chain_send", "culprit");
	asys_chain_close(c);
	asys_queue_close(q);
}

static void test_full(void **state)
{
	struct asys_queue *q = open_plain(4, ASYS_QUEUE_NONBLOCK);
	struct asys_event event;
	char bytes[4];
	asys_id id;
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 4; i++)
		check(submit(q, SYS_read, fd[0], &bytes[i], 1).value > 0);
	TOLD(submit(asys_user(q, 5), SYS_getppid, 0).value, -EAGAIN, "full", "get events");
	check_eq(write(fd[1], "abcd", 4), 4);
	check_eq(asys_queue_barrier(q), 0);
	check_eq(asys_queue_get(q, &event), 1);
	SILENT((id = submit(q, SYS_getppid, 0)).value > 0);
	check_eq(asys_queue_wait(q, id, &event), 0);
	check_eq(event.user, 0);
	asys_queue_close(q);
	/* where the sender helps instead, nothing has failed */
	q = open_plain(4, 0);
	for (unsigned i = 0; i < 50; i++)
		SILENT(submit(q, SYS_getppid, 0).value > 0);
	SILENT(asys_queue_barrier(q) == 0);
	asys_queue_close(q);
	close_both(fd);
}

static void ring(int signal)
{
	(void)signal;
}

/* A wait for what does not come is interrupted sooner or later. */
static void test_interrupted(void **state)
{
	struct asys_queue *q = open_plain(16, 0);
	struct sigaction action = { .sa_handler = ring }, before;
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct asys_event event;
	asys_id id[2];
	char bytes[2];
	int fd[2];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 2; i++)
		id[i] = submit(q, SYS_read, fd[0], &bytes[i], 1);
	check_eq(sigaction(SIGALRM, &action, &before), 0);
	/* engine inline reads in the waiter itself, which may be interrupted instead */
	if (!engine_forced("inline")) {
		check_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
		TOLD(asys_queue_wait(q, id[0], NULL), -EINTR, "asys_queue_wait",
		     "call the function");
		TOLD(asys_queue_barrier(q), -EINTR, "asys_queue_barrier", "call the function");
		TOLD(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), -EINTR,
		     "asys_queue_get_many", "call the function");
		check_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	}
	check_eq(sigaction(SIGALRM, &before, NULL), 0);
	check_eq(write(fd[1], "ab", 2), 2);
	check_eq(asys_queue_wait(q, id[1], NULL), 0);
	asys_queue_close(q);
	close_both(fd);
}

/* Options that no queue is opened with, and questions about them; options.c goes over their values. */
static void test_options(void **state)
{
	struct asys_queue_options options;
	struct asys_chain_options of_chain;
	struct asys_queue *q;
	struct asys_chain *c;

	(void)state;
	asys_queue_options_init(&options);
	options.threads = 0;
	TOLD(asys_queue_open(&q, &options), -EINVAL, "option threads", "1..");
	TOLD(asys_engine_for(&options, SYS_read, NULL), -EINVAL, "option threads", "1..");
	TOLD(asys_engine_for(NULL, SYS_exit, NULL), -EOPNOTSUPP, "exit", "cannot be queued");
	asys_chain_options_init(&of_chain);
	of_chain.flags = 1u << 7;
	TOLD(asys_chain_open(&c, &of_chain), -EINVAL, "option flags: 0x80", "known are 0x1");
	of_chain.flags = 0;
	of_chain.steps = 0;
	TOLD(asys_chain_open(&c, &of_chain), -EINVAL, "option steps", "1..");
	of_chain.size = 3;
	TOLD(asys_chain_open(&c, &of_chain), -EINVAL, "option size", "asys_chain_options_init");
}

/* What is said about a next call, and then none is sent: who waits hears of it, and it is forgotten. */
static void test_said_in_vain(void **state)
{
	struct asys_queue *q = open_queue();
	struct asys_event event;
	asys_id id = submit(q, SYS_getppid, 0);

	(void)state;
	asys_deadline(q, asys_now());
	TOLD(asys_queue_get(q, &event), -EINVAL, "asys_queue_get", "asys_deadline");
	asys_user(asys_after(q, id), 5);
	TOLD(asys_queue_wait(q, id, &event), -EINVAL, "asys_queue_wait", "asys_after");
	asys_low(q);
	TOLD(asys_queue_flush(q), -EINVAL, "asys_queue_flush", "asys_low");
	asys_quiet(q);
	TOLD(asys_queue_get_many(q, &event, 1, 1, 0), -EINVAL, "asys_queue_get_many", "asys_quiet");
	asys_user(q, 7);
	TOLD(asys_queue_barrier(q), -EINVAL, "asys_queue_barrier", "asys_user");
	/* Nothing of it is left. */
	check_eq(asys_queue_wait(q, id, &event), 0);
	id = submit(q, SYS_getppid, 0);
	check_eq(asys_queue_wait(q, id, &event), 0);
	check_eq(event.result, getppid());
	check_eq(event.user, 0);
	asys_queue_close(q);
}

static void *says_and_waits(void *arg)
{
	struct asys_queue *q = arg;

	check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	return NULL;
}

/* Another thread may be between saying and sending. */
static void test_said_by_another(void **state)
{
	struct asys_event event;
	struct asys_queue *q;
	pthread_t other;
	asys_id id;

	(void)state;
	if (driver_is("fd"))
		skip_because("the loop of the test is between the two threads");
	q = open_depth(16, ASYS_QUEUE_SHARED);
	asys_user(q, 9);
	check_eq(pthread_create(&other, NULL, says_and_waits, q), 0);
	pthread_join(other, NULL);
	id = submit(q, SYS_getppid, 0);
	check_eq(asys_queue_wait(q, id, &event), 0);
	check_eq(event.user, 9);
	asys_queue_close(q);
}

/* The first error of a chain is each later function's, and its message too. */
static void test_chains(void **state)
{
	struct asys_chain *c;
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	check(full);
	check_eq(asys_chain_open(&c, NULL), 0);
	TOLD(asys_chain_dot(c, full), -ENOSPC, "asys_chain_dot", "No space");
	TOLD(asys_param(c, 6).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_param(c, 0).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_getppid(c).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_timer(c, 5).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_compute(c, NULL).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_sub(c, NULL).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_loop(c, 2).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_while(c, (asys_id){ 1 }, ASYS_OK).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_if(c, (asys_id){ 1 }, ASYS_OK).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_else(c).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_on_failure(c).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_finally(c).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_end(c).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_plus(c, (asys_id){ 1 }, 1).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_load(c, c).value, -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_result(c, (asys_id){ 1 }), -EINVAL, "step 1", "0..5");
	TOLD(asys_chain_ready(c), -EINVAL, "step 1", "0..5");
	asys_chain_close(c);
	check_eq(asys_chain_open(&c, NULL), 0);
	check_eq(asys_chain_ready(c), 0);
	TOLD(asys_getppid(c).value, -EINVAL, "is ready", "another");
	SILENT(asys_chain_ready(c) == 0);
	asys_chain_close(c);
	fclose(full);
}

static void idle(struct asys_task *task)
{
	ASYS_BEGIN(task);
	ASYS_END(task);
}

static struct asys_task sub;

static void forks_when_cancelled(struct asys_task *task)
{
	TOLD(asys_task_fork(task, &sub, idle), -ECANCELED, "asys_task_fork", "cancelled");
	TOLD(asys_tasks_run(task->tasks_, NULL), -EBUSY, "await", "task");
	ASYS_FINALLY(task);
	task->cancelled = false;
	TOLD(asys_task_cancel(task), -EALREADY, "asys_task_cancel", "ASYS_FINALLY");
}

static void test_tasks(void **state)
{
	struct asys_queue *q = open_plain(16, 0);
	struct asys_tasks tasks;
	struct asys_task task;

	(void)state;
	asys_tasks_init(&tasks, q);
	TOLD(asys_task_start(&tasks, (struct asys_task *)(UINT64_MAX - 4095), idle), -EINVAL,
	     "address", "mmap");
	check_eq(asys_task_start(&tasks, &task, forks_when_cancelled), 0);
	SILENT(asys_task_cancel(&task) == 0);
	TOLD(asys_task_cancel(&task), -EALREADY, "asys_task_cancel", "cancelled before");
	check_eq(asys_tasks_run(&tasks, NULL), 0);
	TOLD(asys_task_cancel(&task), -EALREADY, "asys_task_cancel", "has ended");
	asys_queue_close(q);
}

static int in_child(void *arg)
{
	struct asys_queue *q = arg;
	struct asys_chain *c;
	struct asys_stats stats;
	struct asys_event event;
	struct asys_call call = { .nr = SYS_getppid };
	const asys_id id = { 1 };

	check_eq(asys_chain_open(&c, NULL), 0);
	check_eq(asys_chain_ready(c), 0);
	TOLD(asys_send(q, &call).value, -ECHILD, "child", "own");
	TOLD(asys_call(q, SYS_getppid, 0, 0, 0, 0, 0, 0).value, -ECHILD, "child", "own");
	TOLD(asys_chain_send(q, c).value, -ECHILD, "child", "own");
	TOLD(asys_queue_flush(q), -ECHILD, "child", "own");
	TOLD(asys_queue_get(q, &event), -ECHILD, "child", "own");
	TOLD(asys_queue_get_many(q, &event, 1, 0, 0), -ECHILD, "child", "own");
	TOLD(asys_queue_wait(q, id, NULL), -ECHILD, "child", "own");
	TOLD(asys_queue_barrier(q), -ECHILD, "child", "own");
	TOLD(asys_queue_cancel(q, id), -ECHILD, "child", "own");
	TOLD(asys_queue_cancel_all(q), -ECHILD, "child", "own");
	TOLD(asys_queue_fd(q), -ECHILD, "child", "own");
	TOLD(asys_queue_renew(q), -ECHILD, "child", "own");
	TOLD(asys_queue_stats(q, &stats), -ECHILD, "child", "own");
	/* a number of calls is no error, but none of the parent's is this process's */
	TOLD(asys_queue_pending(q), 0, "child", "own");
	asys_chain_close(c);
	asys_queue_close(q);
	return 0;
}

static void test_child(void **state)
{
	struct asys_queue *q = open_plain(16, 0);

	(void)state;
	check(submit(q, SYS_getppid, 0).value > 0);
	check_child(in_child, q);
	check_eq(asys_queue_pending(q), 1);
	asys_queue_close(q);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_ids),	     contract(test_cancelled_before),
		contract(test_full),	     contract(test_refused_sendings),
		contract(test_interrupted),  contract(test_options),
		contract(test_said_in_vain), contract(test_said_by_another),
		contract(test_chains),	     contract(test_tasks),
		contract(test_child),
	};

	return group(tests, argc, argv);
}
