/* SPDX-License-Identifier: MIT */
/* Contract: the thread that closed a queue is not disturbed by what the kernel takes apart later. */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

#define CLOSES 30
#define LATER_MS 40 /* the kernel's part comes 10 to 30 ms after the close */

/* A queue that has used its ring, if it may have one. False: it has none. */
static bool use(struct asys_queue *q, const int fd[2])
{
	struct asys_stats stats;
	char byte;

	for (unsigned k = 0; k < 4; k++) {
		asys_id id = submit(q, SYS_recvfrom, fd[0], &byte, 1, 0, NULL, NULL);

		check_eq(asys_queue_flush(q), 0);
		check_eq(write(fd[1], "x", 1), 1);
		check_eq(result_of(q, id), 1);
	}
	check_eq(asys_queue_stats(q, &stats), 0);
	return stats.by_engine[ASYS_ENGINE_URING] != 0;
}

static struct asys_queue *open_kind(unsigned k)
{
	static const uint32_t flags[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };
	struct asys_queue_options options;

	asys_queue_options_init(&options);
	options.engine = ASYS_ENGINE_URING;
	options.flags = flags[k % 3];
	options.depth = k % 2 ? 16 : 1024;
	return open_with(&options);
}

/* Three waits that the kernel does not start again by itself. */
static void wait_undisturbed(unsigned k, int epoll, const int fd[2])
{
	const struct timespec later = { 0, LATER_MS * 1000000 };
	struct epoll_event event;
	sigset_t none;
	char byte;

	sigemptyset(&none);
	errno = 0;
	if (k % 3 == 0) {
		check_eq(epoll_wait(epoll, &event, 1, LATER_MS), 0);
	} else if (k % 3 == 1) {
		check_eq(sigtimedwait(&none, NULL, &later), -1);
		check_eq(errno, EAGAIN);
	} else {
		check_eq(recv(fd[0], &byte, 1, 0), -1);
		check_eq(errno, EAGAIN);
	}
}

static void *close_and_wait(void *arg)
{
	const struct timeval limit = { 0, LATER_MS * 1000 };
	int epoll = epoll_create1(EPOLL_CLOEXEC), fd[2];
	bool *used = arg;

	make_pair(SOCK_STREAM, fd);
	for (unsigned k = 0; k < CLOSES; k++) {
		struct asys_queue *q = open_kind(k / 3);

		*used |= use(q, fd);
		asys_queue_close(q);
		check_eq(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
		wait_undisturbed(k, epoll, fd);
		check_eq(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0 },
				    sizeof(limit)),
			 0);
		progress();
	}
	/* And many without a pause, of which the last is as good as the first. */
	for (unsigned k = 0; k < CLOSES; k++) {
		struct asys_queue *q = open_kind(k);

		use(q, fd);
		asys_queue_close(q);
	}
	wait_undisturbed(0, epoll, fd);
	close(epoll);
	close_both(fd);
	return NULL;
}

static void test_closer(void **state)
{
	bool used = false;

	(void)state;
	close_and_wait(&used);
	if (!used)
		skip_because("no ring is used here");
}

/* A thread that has done it ends, and others do the same. */
static void test_threads(void **state)
{
	pthread_t thread[3];
	bool used[3] = { false };

	(void)state;
	if (is_sanitized())
		skip_because("ThreadSanitizer does not see that one ring's memory was another's");
	for (unsigned k = 0; k < 3; k++)
		check_eq(pthread_create(&thread[k], NULL, close_and_wait, &used[k]), 0);
	for (unsigned k = 0; k < 3; k++)
		check_eq(pthread_join(thread[k], NULL), 0);
	if (!used[0])
		skip_because("no ring is used here");
}

/* A ring that cannot be made, for want of a descriptor, is taken apart as well. */
static void close_in_vain(void)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), fd[2];
	struct rlimit old, low;

	make_pair(SOCK_STREAM, fd);
	check_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){ 3, old.rlim_max };
	for (unsigned k = 0; k < CLOSES; k += 3) {
		struct asys_queue *q = open_kind(k / 3 % 2);

		check_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
		use(q, fd);
		check_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
		wait_undisturbed(k, epoll, fd);
		asys_queue_close(q);
		wait_undisturbed(k, epoll, fd);
		progress();
	}
	close(epoll);
	close_both(fd);
}

static void test_in_vain(void **state)
{
	(void)state;
	uncollected_or_skip("a loop needs a descriptor");
	close_in_vain();
}

/* A child has none of its parent's rings, and closes as many itself. */
static int close_in_child(void *arg)
{
	(void)arg;
	return close_and_wait(&(bool){ false }) != NULL;
}

static void test_child(void **state)
{
	bool used = false;

	(void)state;
	close_and_wait(&used);
	check_child(close_in_child, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_closer),
		contract(test_threads),
		contract(test_in_vain),
		contract(test_child),
	};

	return group(tests, argc, argv);
}
