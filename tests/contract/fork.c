/* SPDX-License-Identifier: MIT */
/* Contract: a forked child cannot use its parent's queue, and cannot disturb it either. */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

/* In the child: every function answers -ECHILD. */
static void refuse_all(struct asys_queue *q, asys_id id)
{
	struct asys_event event;
	struct asys_stats stats;

	check_eq(submit(q, SYS_getppid, 0).value, -ECHILD);
	check_eq(submit(asys_after(asys_quiet(q), id), SYS_getppid, 0).value, -ECHILD);
	check_eq(asys_queue_flush(q), -ECHILD);
	check_eq(asys_queue_get(q, &event), -ECHILD);
	check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), -ECHILD);
	check_eq(asys_queue_wait(q, id, &event), -ECHILD);
	check_eq(asys_queue_barrier(q), -ECHILD);
	check_eq(asys_queue_cancel(q, id), -ECHILD);
	check_eq(asys_queue_cancel_all(q), -ECHILD);
	check_eq(asys_queue_fd(q), -ECHILD);
	check_eq(asys_queue_renew(q), -ECHILD);
	check_eq(asys_queue_stats(q, &stats), -ECHILD);
	check_says(asys_message(), "child");
}

/* Without libc's knowledge, so that no atfork handler runs. */
static pid_t raw_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static pid_t libc_fork(void)
{
	return fork();
}

struct use {
	pid_t (*fork)(void);
	uint32_t flags;
	bool close_in_child;
	bool own_queue_in_child;
};

static int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void child_work(struct asys_queue *q, asys_id id, const struct use *use)
{
	progress();
	refuse_all(q, id);
	if (use->close_in_child)
		asys_queue_close(q);
	if (use->own_queue_in_child) {
		struct asys_queue *own = open_queue();

		warm_up(own);
		check_eq(asys_queue_wait(own, id, NULL), -EXDEV);
		asys_queue_close(own);
	}
	_exit(0);
}

/* Forks with calls in flight of each sort: running, blocked, waiting for others, ended. */
static void fork_in_flight(const struct use *use)
{
	struct asys_queue *q = open_depth(64, use->flags);
	asys_id blocked[4], waiting, ended, fresh;
	char bytes[4];
	pid_t pid;
	int fd[2];

	warm_up(q);
	make_pipe(fd);
	for (unsigned i = 0; i < 4; i++)
		blocked[i] = submit(q, SYS_read, fd[0], &bytes[i], 1);
	waiting = submit(asys_after_ok(q, blocked[0]), SYS_getppid, 0);
	ended = submit(q, SYS_getppid, 0);
	check_eq(asys_queue_flush(q), 0);
	sleep_ms(1);
	fresh = submit(q, SYS_getppid, 0);
	fflush(NULL);
	pid = use->fork();
	check(pid >= 0);
	if (pid == 0)
		child_work(q, blocked[0], use);
	check_eq(wait_for(pid), 0);
	/* the parent notices nothing */
	check_eq(result_of(q, fresh), getppid());
	check_eq(result_of(q, ended), getppid());
	check_eq(asys_queue_get(q, &(struct asys_event){ .result = 0 }), 0);
	check_eq(asys_queue_cancel(q, blocked[3]), 0);
	check_eq(result_of(q, blocked[3]), -ECANCELED);
	check_eq(write(fd[1], "abc", 3), 3);
	for (unsigned i = 0; i < 3; i++)
		check_eq(result_of(q, blocked[i]), 1);
	check_eq(result_of(q, waiting), getppid());
	warm_up(q);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_fork(void **state)
{
	static const uint32_t flags[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		const struct use use = { libc_fork, flags[i % 3], i & 1, !is_sanitized() && i > 5 };

		fork_in_flight(&use);
		progress();
	}
}

static void test_raw_clone(void **state)
{
	(void)state;
	if (is_sanitized())
		skip_because("sanitizers do not know that a raw clone leaves their threads behind");
	for (unsigned i = 0; i < 4; i++) {
		const struct use use = { raw_fork, i & 2 ? ASYS_QUEUE_SHARED : 0, i & 1, false };

		fork_in_flight(&use);
	}
}

static void test_unused_queue(void **state)
{
	struct asys_queue *q = open_queue();
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		check_eq(submit(q, SYS_getppid, 0).value, -ECHILD);
		asys_queue_close(q);
		_exit(0);
	}
	check_eq(wait_for(pid), 0);
	check_eq(result_of(q, submit(q, SYS_getppid, 0)), getppid());
	asys_queue_close(q);
}

static void test_grandchild(void **state)
{
	struct asys_queue *q = open_queue();
	pid_t pid;

	(void)state;
	warm_up(q);
	fflush(NULL);
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		pid_t next = fork();

		if (next == 0) {
			check_eq(submit(q, SYS_getppid, 0).value, -ECHILD);
			asys_queue_close(q);
			_exit(0);
		}
		check_eq(wait_for(next), 0);
		check_eq(submit(q, SYS_getppid, 0).value, -ECHILD);
		_exit(0);
	}
	check_eq(wait_for(pid), 0);
	warm_up(q);
	asys_queue_close(q);
}

static volatile bool forks_enough;

static void *fork_often(void *arg)
{
	struct asys_queue *q = arg;

	for (unsigned i = 0; i < 30; i++) {
		pid_t pid = fork();

		check(pid >= 0);
		if (pid == 0) {
			asys_queue_close(q);
			_exit(0);
		}
		check_eq(wait_for(pid), 0);
	}
	__atomic_store_n(&forks_enough, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Another thread forks while this one uses its queue: locks may be held at any point. */
static void test_fork_from_other_thread(void **state)
{
	struct asys_queue *q;
	pthread_t thread;

	(void)state;
	if (is_sanitized())
		skip_because("sanitizers do not follow a fork of threads");
	q = open_queue();
	forks_enough = false;
	check_eq(pthread_create(&thread, NULL, fork_often, q), 0);
	while (!__atomic_load_n(&forks_enough, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 0; i < 64; i++)
			submit(q, SYS_getppid, 0);
		check_eq(drain(q), 64);
		warm_up(q);
	}
	pthread_join(thread, NULL);
	asys_queue_close(q);
}

/* An exec closes what the queue opened. */
static void test_descriptors_close_on_exec(void **state)
{
	bool before[1024] = { false };
	struct asys_queue *q;

	(void)state;
	for (int fd = 0; fd < 1024; fd++)
		before[fd] = fcntl(fd, F_GETFD) >= 0;
	q = open_queue();
	warm_up(q);
	check(asys_queue_fd(q) >= 0);
	for (int fd = 0; fd < 1024; fd++)
		if (!before[fd] && fcntl(fd, F_GETFD) >= 0)
			check_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	asys_queue_close(q);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_fork),
		contract(test_raw_clone),
		contract(test_unused_queue),
		contract(test_grandchild),
		contract(test_fork_from_other_thread),
		contract(test_descriptors_close_on_exec),
	};

	return group(tests, argc, argv);
}
