/* SPDX-License-Identifier: MIT */
/* Contract: one descriptor that any event loop can watch. */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int watch(struct asys_queue *q, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = 42 };
	int epoll = epoll_create1(EPOLL_CLOEXEC), fd = asys_queue_fd(q);

	check(epoll >= 0);
	check(fd >= 0);
	check_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
	return epoll;
}

/* Waits, without calling asys, until the descriptor says that there is something to do. */
static void await_ready(int epoll)
{
	struct epoll_event event;
	int n;

	while ((n = epoll_wait(epoll, &event, 1, 15000)) < 0)
		check_eq(errno, EINTR);
	if (n == 0)
		support_fail(__FILE__, __LINE__, "the queue's descriptor stays silent");
	check(event.events & EPOLLIN);
	check_eq(event.data.u64, 42);
}

static unsigned get_all(struct asys_queue *q)
{
	struct asys_event event;
	unsigned count = 0;
	int n;

	while ((n = asys_queue_get(q, &event)) == 1)
		count++;
	check_eq(n, 0);
	return count;
}

static void test_same_descriptor(void **state)
{
	struct asys_queue *q = open_queue();
	int fd = asys_queue_fd(q);

	(void)state;
	check(fd >= 0);
	check_eq(asys_queue_fd(q), fd);
	warm_up(q);
	check_eq(asys_queue_fd(q), fd);
	asys_queue_close(q);
}

/* Nothing to get: not readable, so that a loop does not spin. */
static void test_silent_when_empty(void **state)
{
	struct asys_queue *q = open_queue();
	struct pollfd set = { .fd = asys_queue_fd(q), .events = POLLIN };
	char byte;
	asys_id id;
	int fd[2];

	(void)state;
	make_pipe(fd);
	check_eq(poll(&set, 1, 0), 0);
	id = submit(q, SYS_read, fd[0], &byte, 1);
	check_eq(asys_queue_flush(q), 0);
	get_all(q);
	check_eq(poll(&set, 1, 20), 0);
	check_eq(write(fd[1], "x", 1), 1);
	check_eq(result_of(q, id), 1);
	get_all(q);
	check_eq(poll(&set, 1, 0), 0);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void loop_of(uint32_t flags, uint32_t events)
{
	const unsigned rounds = iterations(1000);
	struct asys_queue *q = open_depth(64, flags);
	int epoll = watch(q, events), fd[2];
	char bytes[4];

	make_pipe(fd);
	for (unsigned i = 0; i < rounds; i++) {
		const unsigned count = 1 + i % 4;
		unsigned got = 0;

		for (unsigned n = 0; n < count; n++)
			submit(q, SYS_read, fd[0], &bytes[n], 1);
		submit(q, SYS_getppid, 0);
		check_eq(asys_queue_flush(q), 0);
		got += get_all(q);
		for (unsigned n = 0; n < count; n++)
			check_eq(write(fd[1], "x", 1), 1);
		while (got < count + 1) {
			await_ready(epoll);
			got += get_all(q);
		}
		check_eq(got, count + 1);
		progress();
	}
	check_eq(asys_queue_pending(q), 0);
	close(epoll);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

static void test_level(void **state)
{
	(void)state;
	loop_of(0, EPOLLIN);
	loop_of(ASYS_QUEUE_SHARED, EPOLLIN);
	loop_of(ASYS_QUEUE_DRIVER, EPOLLIN);
}

/* As libuv watches some descriptors: told once for each change. */
static void test_edge(void **state)
{
	(void)state;
	loop_of(0, EPOLLIN | EPOLLET);
	loop_of(ASYS_QUEUE_DRIVER, EPOLLIN | EPOLLET);
}

/* Level-triggered: as long as an event is there, it says so, however often it is asked. */
static void test_stays_readable(void **state)
{
	struct asys_queue *q = open_queue();
	struct pollfd set = { .fd = asys_queue_fd(q), .events = POLLIN };
	struct asys_event event;
	int fd[2];
	char bytes[2];

	(void)state;
	make_pipe(fd);
	submit(q, SYS_read, fd[0], &bytes[0], 1);
	submit(q, SYS_read, fd[0], &bytes[1], 1);
	check_eq(asys_queue_flush(q), 0);
	check_eq(get_all(q), 0);
	check_eq(write(fd[1], "xy", 2), 2);
	check_eq(poll(&set, 1, 15000), 1);
	check_eq(poll(&set, 1, 15000), 1);
	/* one event is taken, the other is still there or still to come: either way it is told */
	while (asys_queue_get(q, &event) == 0)
		check_eq(poll(&set, 1, 15000), 1);
	check_eq(event.result, 1);
	check_eq(poll(&set, 1, 15000), 1);
	while (asys_queue_get(q, &event) == 0)
		check_eq(poll(&set, 1, 15000), 1);
	check_eq(get_all(q), 0);
	check_eq(poll(&set, 1, 0), 0);
	asys_queue_close(q);
	close(fd[0]);
	close(fd[1]);
}

/* A chain of which several steps need the loop's help: each help is asked for by the descriptor. */
static void test_chain_in_a_loop(void **state)
{
	struct asys_queue *q = open_queue();
	int epoll = watch(q, EPOLLIN), fd[2];
	asys_id last = { 0 };
	unsigned got = 0;
	char bytes[8];

	(void)state;
	make_pipe(fd);
	for (unsigned i = 0; i < 8; i++) {
		last = submit(i ? asys_after(q, last) : q, SYS_read, fd[0], &bytes[i], 1);
		last = submit(asys_after_ok(q, last), SYS_getppid, 0);
		last = submit(asys_after_ok(q, last), SYS_gettid, 0);
	}
	check_eq(asys_queue_flush(q), 0);
	check_eq(get_all(q), 0);
	check_eq(write(fd[1], "12345678", 8), 8);
	while (got < 24) {
		await_ready(epoll);
		got += get_all(q);
	}
	check(!memcmp(bytes, "12345678", 8));
	asys_queue_close(q);
	close(epoll);
	close(fd[0]);
	close(fd[1]);
}

/* The way libuv does it: poll handle, get until 0, other descriptors in the same loop. */
static void test_among_others(void **state)
{
	const unsigned rounds = iterations(500);
	struct asys_queue *q = open_queue();
	int epoll = watch(q, EPOLLIN), other[2], fd[2];
	struct epoll_event events[4], extra = { .events = EPOLLIN, .data.u64 = 7 };
	unsigned got = 0, told = 0;
	char byte, bytes[2];

	(void)state;
	make_pipe(other);
	make_pipe(fd);
	check_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, other[0], &extra), 0);
	for (unsigned i = 0; i < rounds; i++) {
		submit(q, SYS_read, fd[0], &byte, 1);
		submit(q, SYS_write, fd[1], "q", 1);
		check_eq(asys_queue_flush(q), 0);
		check_eq(write(other[1], "o", 1), 1);
		while (got < 2 * (i + 1) || told < i + 1) {
			int n = epoll_wait(epoll, events, 4, 15000);

			check(n > 0 || (n < 0 && errno == EINTR));
			for (int k = 0; k < n; k++) {
				if (events[k].data.u64 == 42) {
					got += get_all(q);
				} else {
					check_eq(read(other[0], bytes, 2), 1);
					told++;
				}
			}
		}
		check_eq(got, 2 * (i + 1));
		progress();
	}
	asys_queue_close(q);
	close(epoll);
	close(other[0]);
	close(other[1]);
	close(fd[0]);
	close(fd[1]);
}

/* An event that was there before the descriptor was asked for. */
static void check_asked_for_late(void)
{
	struct asys_queue *q = open_queue();
	struct pollfd set = { .events = POLLIN };

	submit(q, SYS_getppid, 0);
	check_eq(asys_queue_barrier(q), 0);
	set.fd = asys_queue_fd(q);
	check_eq(poll(&set, 1, 15000), 1);
	check_eq(get_all(q), 1);
	check_eq(poll(&set, 1, 0), 0);
	asys_queue_close(q);
}

static void test_asked_for_late(void **state)
{
	(void)state;
	uncollected_or_skip("the descriptor is asked for early");
	check_asked_for_late();
}

struct counter {
	pthread_t thread;
	int fd;
};

static void *count_late(void *arg)
{
	const struct counter *counter = arg;
	const uint64_t value = 3;

	sleep_ms(3);
	check_eq(write(counter->fd, &value, sizeof(value)), sizeof(value));
	return NULL;
}

/* Again and again one that an eventfd wakes, directly or through an epoll set. */
static void test_woken_by_eventfd(void **state)
{
	static const uint32_t kinds[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };
	struct counter counter = { .fd = eventfd(0, EFD_CLOEXEC) };
	struct epoll_event event = { .events = EPOLLIN };
	int set = epoll_create1(EPOLL_CLOEXEC), pipe[2];
	uint64_t value;
	char byte;

	(void)state;
	check(counter.fd >= 0 && set >= 0);
	check_eq(epoll_ctl(set, EPOLL_CTL_ADD, counter.fd, &event), 0);
	make_pipe(pipe);
	for (unsigned k = 0; k < 24; k++) {
		struct asys_queue *q = open_depth(k % 2 ? 1 : 16, kinds[k / 2 % 3]);
		int epoll = watch(q, EPOLLIN);

		if (k % 2 == 0)
			submit(q, SYS_read, pipe[0], &byte, 1);
		for (unsigned n = 0; n < 5; n++) {
			if (k < 12)
				submit(q, SYS_read, counter.fd, &value, sizeof(value));
			else
				submit(q, SYS_epoll_pwait, set, &event, 1, -1, NULL, 8);
			while (get_all(q))
				;
			check_eq(pthread_create(&counter.thread, NULL, count_late, &counter), 0);
			do
				await_ready(epoll);
			while (!get_all(q));
			pthread_join(counter.thread, NULL);
			if (k >= 12)
				check_eq(read(counter.fd, &value, sizeof(value)), sizeof(value));
			check_eq(value, 3);
			progress();
		}
		asys_queue_cancel_all(q);
		asys_queue_close(q);
		close(epoll);
	}
	close(counter.fd);
	close(set);
	close(pipe[0]);
	close(pipe[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_same_descriptor),
		contract(test_silent_when_empty),
		contract(test_level),
		contract(test_edge),
		contract(test_stays_readable),
		contract(test_chain_in_a_loop),
		contract(test_among_others),
		contract(test_asked_for_late),
		contract(test_woken_by_eventfd),
	};

	return group(tests, argc, argv);
}
