/* SPDX-License-Identifier: MIT */
/* Waiting for readiness. */
#include "fidelity.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

/* What the kernel takes for a set of signals: eight bytes. */
#define SET_SIZE 8

static void note_events(struct fid *f, const struct epoll_event *events, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		fid_note(f, "events %x data %llu\n", events[i].events,
			 (unsigned long long)events[i].data.u64);
}

static void control(struct fid *f)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .u64 = 1ull << 40 } };
	int ends[2], file = fid_make(f, "file", "x");
	int fd = CALL_FD("epoll_create1", EPOLL_CLOEXEC);

	CALL_FD("epoll_create1", 1);
	CALL_FD("epoll_create", 8);
	CALL_FD("epoll_create", 0);
	fid_pipe(f, ends);
	CALL("epoll_ctl", fd, EPOLL_CTL_ADD, ends[0], &event);
	CALL("epoll_ctl", fd, EPOLL_CTL_ADD, ends[0], &event);
	CALL("epoll_ctl", fd, EPOLL_CTL_MOD, ends[1], &event);
	CALL("epoll_ctl", fd, EPOLL_CTL_MOD, ends[0], &event);
	CALL("epoll_ctl", fd, EPOLL_CTL_ADD, file, &event);
	CALL("epoll_ctl", fd, EPOLL_CTL_ADD, fd, &event);
	CALL("epoll_ctl", fd, 99, ends[0], &event);
	CALL("epoll_ctl", fd, EPOLL_CTL_ADD, ends[1], FID_BAD);
	CALL("epoll_ctl", ends[0], EPOLL_CTL_ADD, ends[1], &event);
	CALL("epoll_ctl", FID_BAD_FD, EPOLL_CTL_ADD, ends[1], &event);
	CALL("epoll_ctl", fd, EPOLL_CTL_DEL, ends[0], NULL);
	CALL("epoll_ctl", fd, EPOLL_CTL_DEL, ends[0], NULL);
}

static void wait_ready(struct fid *f)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .u64 = 7ull << 40 } };
	struct epoll_event got[4] = { 0 };
	struct timespec none = { 0, 0 };
	int fd = fid_keep(f, epoll_create1(EPOLL_CLOEXEC));
	uint64_t mask = 0;
	int ends[2];

	fid_pipe(f, ends);
	if (epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], &event) < 0)
		fid_fail(f, "epoll_ctl");
	CALL("epoll_wait", fd, got, 4, 0);
	CALL("epoll_pwait", fd, got, 4, 1, NULL, 0);
	CALL("epoll_pwait2", fd, got, 4, &none, NULL, 0);
	if (write(ends[1], "x", 1) != 1)
		fid_fail(f, "write");
	note_events(f, got, CALL("epoll_wait", fd, got, 4, -1));
	note_events(f, got, CALL("epoll_pwait", fd, got, 4, -1, &mask, SET_SIZE));
	note_events(f, got, CALL("epoll_pwait2", fd, got, 4, NULL, NULL, 0));
	CALL("epoll_wait", fd, got, 0, 0);
	CALL("epoll_wait", fd, FID_BAD, 4, 0);
	CALL("epoll_wait", ends[0], got, 4, 0);
	CALL("epoll_wait", FID_BAD_FD, got, 4, 0);
	CALL("epoll_pwait", fd, got, 4, 0, &mask, 3);
	CALL("epoll_pwait", FID_BAD_FD, got, 4, 0, NULL, 0);
	CALL("epoll_pwait2", FID_BAD_FD, got, 4, NULL, NULL, 0);
	CALL("epoll_pwait2", fd, got, 4, FID_BAD, NULL, 0);
}

static void wait_long(struct fid *f)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data = { .u64 = 5 } };
	struct epoll_event got[4] = { 0 };
	int fd = fid_keep(f, epoll_create1(EPOLL_CLOEXEC));
	int ends[2];

	fid_pipe(f, ends);
	if (epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], &event) < 0)
		fid_fail(f, "epoll_ctl");
	if (fid_peer(f))
		_exit(write(ends[1], "x", 1) != 1);
	note_events(f, got, CALL("epoll_wait", fd, got, 4, 10000));
	fid_join(f);
	CALL("epoll_wait", fd, got, 4, 0);
	if (fid_peer(f))
		_exit(write(ends[1], "x", 1) != 1);
	note_events(f, got, CALL("epoll_pwait", fd, got, 4, -1, NULL, 0));
	fid_join(f);
}

static void polls(struct fid *f)
{
	int ends[2], other[2];
	struct pollfd fds[3];
	struct timespec none = { 0, 0 };

	fid_pipe(f, ends);
	fid_pipe(f, other);
	fid_close(f, other[0]);
	fds[0] = (struct pollfd){ ends[0], POLLIN, 99 };
	fds[1] = (struct pollfd){ other[1], POLLOUT, 99 };
	fds[2] = (struct pollfd){ FID_BAD_FD, POLLIN, 99 };
	CALL("poll", fds, 3, -1);
	for (int i = 0; i < 3; i++)
		fid_note(f, "revents %x\n", (unsigned)fds[i].revents);
	CALL("poll", fds, 1, 0);
	CALL("poll", NULL, 0, 1);
	CALL("poll", FID_BAD, 1, 0);
	CALL("poll", fds, 0x7fffffff, 0);
	CALL("ppoll", fds, 1, &none, NULL, 0);
	CALL("ppoll", fds, 1, FID_BAD, NULL, 0);
	CALL("ppoll", fds, 1, &none, fds, 3);
	if (fid_peer(f))
		_exit(write(ends[1], "x", 1) != 1);
	CALL("poll", fds, 1, -1);
	fid_note(f, "revents %x\n", (unsigned)fds[0].revents);
	fid_join(f);
	fds[0].revents = 0;
	CALL("ppoll", fds, 2, NULL, NULL, 0);
	fid_note(f, "revents %x %x\n", (unsigned)fds[0].revents, (unsigned)fds[1].revents);
}

static void selects(struct fid *f)
{
	struct timeval limit = { 0, 0 }, wrong = { 0, -1 };
	struct timespec none = { 0, 0 };
	int ends[2];
	fd_set in, out;

	fid_pipe(f, ends);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(ends[0], &in);
	FD_SET(ends[1], &out);
	CALL("select", ends[1] + 1, &in, &out, NULL, NULL);
	fid_note(f, "%d %d\n", FD_ISSET(ends[0], &in) != 0, FD_ISSET(ends[1], &out) != 0);
	FD_SET(ends[0], &in);
	CALL("select", ends[1] + 1, &in, NULL, NULL, &limit);
	CALL("select", -1, NULL, NULL, NULL, &limit);
	CALL("select", 4, FID_BAD, NULL, NULL, &limit);
	CALL("select", 0, NULL, NULL, NULL, &wrong);
	FD_SET(ends[0], &in);
	if (fid_peer(f))
		_exit(write(ends[1], "x", 1) != 1);
	CALL("select", ends[1] + 1, &in, NULL, NULL, NULL);
	fid_note(f, "%d\n", FD_ISSET(ends[0], &in) != 0);
	fid_join(f);
	CALL("pselect6", ends[1] + 1, &in, NULL, NULL, &none, NULL);
	CALL("pselect6", ends[1] + 1, &in, NULL, NULL, FID_BAD, NULL);
	CALL("pselect6", -1, NULL, NULL, NULL, &none, NULL);
	CALL("pselect6", 0, NULL, NULL, NULL, &none, FID_BAD);
}

const struct fid_case fid_epolls[] = {
	{ "epoll_ctl", control, 0, 0 },	    { "epoll_wait", wait_ready, 0, 0 },
	{ "epoll waits", wait_long, 0, 0 }, { "poll", polls, 0, 0 },
	{ "select", selects, 0, 0 },	    { 0 },
};
