/* SPDX-License-Identifier: MIT */
/*
 * A queue in somebody else's event loop: asys_queue_fd polls readable when there are events. The
 * loop below also serves a timer, as any loop serves other things; it prints each file's size.
 */
#define _GNU_SOURCE 1 /* struct statx */
#include "shown.h"

#include <asys/asys.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define FILES_MAX 64

static struct statx infos[FILES_MAX];

static int watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .fd = fd } };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Takes all events there are: only then does the descriptor fall silent. Returns failures. */
static int take_events(struct asys_queue *q, char **names, int *left)
{
	struct asys_event event;
	int failures = 0;

	while (asys_queue_get(q, &event) == 1) {
		const char *name = shown(names[event.user]);

		--*left;
		if (event.result < 0) {
			fprintf(stderr, "%s: %s\n", name, strerror((int)-event.result));
			failures++;
		} else {
			printf("%s: %llu bytes\n", name,
			       (unsigned long long)infos[event.user].stx_size);
		}
	}
	return failures;
}

static int loop(struct asys_queue *q, int epoll, int timer, char **names, int left)
{
	int failures = 0;

	while (left > 0) {
		struct epoll_event ready;
		uint64_t ticks;
		int count = epoll_wait(epoll, &ready, 1, -1);

		if (count < 0 && errno != EINTR)
			return 1;
		if (count <= 0)
			continue;
		if (ready.data.fd == timer) {
			if (read(timer, &ticks, sizeof ticks) == sizeof ticks)
				fprintf(stderr, "still waiting for %d files\n", left);
		} else {
			failures += take_events(q, names, &left);
		}
	}
	return failures;
}

int main(int argc, char **argv)
{
	const struct itimerspec every = { { 1, 0 }, { 1, 0 } };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct asys_queue *q;
	int failures, fd;

	if (argc < 2 || argc > FILES_MAX + 1) {
		fprintf(stderr, "usage: epoll_loop FILE... (at most %d)\n", FILES_MAX);
		return 2;
	}
	fd = asys_queue_open(&q, NULL) < 0 ? -1 : asys_queue_fd(q);
	if (fd < 0) {
		fprintf(stderr, "epoll_loop: %s\n", asys_message());
		return 2;
	}
	if (epoll < 0 || timer < 0 || timerfd_settime(timer, 0, &every, NULL) != 0 ||
	    watch(epoll, timer) != 0 || watch(epoll, fd) != 0) {
		perror("epoll_loop: cannot make an event loop");
		return 2;
	}
	for (int i = 0; i < argc - 1; i++)
		asys_statx(asys_user(q, (uint64_t)i), AT_FDCWD, argv[i + 1], 0, STATX_SIZE,
			   &infos[i]);
	asys_queue_flush(q); /* starts them now; without it the first turn of the loop would */
	failures = loop(q, epoll, timer, argv + 1, argc - 1);
	asys_queue_close(q);
	close(timer);
	close(epoll);
	if (fflush(stdout) != 0) {
		perror("cannot write");
		failures++;
	}
	return failures > 0;
}
