/* SPDX-License-Identifier: MIT */
#include "blocked.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#define PATTERN 0x5a

static const struct timespec long_time = { 1000, 0 };

static asys_id read_pipe(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_read, s->pipe[0], s->bytes, sizeof(s->bytes));
}

static asys_id readv_pipe(struct asys_queue *q, struct stage *s)
{
	static struct iovec vec;

	vec = (struct iovec){ s->bytes, sizeof(s->bytes) };
	return submit(q, SYS_readv, s->pipe[0], &vec, 1);
}

static asys_id write_full(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_write, s->full[1], "more", 4);
}

static asys_id receive(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_recvfrom, s->pair[0], s->bytes, sizeof(s->bytes), 0, NULL, NULL);
}

static asys_id read_socket(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_read, s->pair[1], s->bytes, sizeof(s->bytes));
}

static asys_id accept_nobody(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_accept4, s->listening, NULL, NULL, SOCK_CLOEXEC);
}

static asys_id read_event(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_read, s->event, s->bytes, 8);
}

static asys_id read_timer(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_read, s->timer, s->bytes, 8);
}

static asys_id wait_epoll(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_epoll_pwait, s->epoll, s->bytes, 1, -1, NULL, 8);
}

static asys_id poll_pipe(struct asys_queue *q, struct stage *s)
{
	static struct pollfd set;

	set = (struct pollfd){ .fd = s->pipe[0], .events = POLLIN };
	return submit(q, SYS_ppoll, &set, 1, NULL, NULL, 8);
}

static asys_id sleep_long(struct asys_queue *q, struct stage *s)
{
	(void)s;
	return submit(q, SYS_nanosleep, &long_time, NULL);
}

static asys_id sleep_clock(struct asys_queue *q, struct stage *s)
{
	(void)s;
	return submit(q, SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &long_time, NULL);
}

static asys_id lock_file(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_flock, s->want, LOCK_EX);
}

static asys_id lock_range(struct asys_queue *q, struct stage *s)
{
	static struct flock range;

	range = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	return submit(q, SYS_fcntl, s->want, F_OFD_SETLKW, &range);
}

static asys_id wait_futex(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_futex, &s->futex, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static asys_id receive_message(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_msgrcv, s->queue, s->bytes, 32, 0, 0);
}

static asys_id splice_pipe(struct asys_queue *q, struct stage *s)
{
	return submit(q, SYS_splice, s->pipe[0], NULL, s->pair[0], NULL, 16, 0);
}

static struct sockaddr_un busy_address(const struct stage *s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/busy", s->dir);
	return address;
}

static int listen_busily(const struct stage *s)
{
	static const int kind = SOCK_STREAM | SOCK_CLOEXEC;
	struct sockaddr_un address = busy_address(s);
	int fd = socket(AF_UNIX, kind, 0), others[2];

	check(fd >= 0);
	check_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	check_eq(listen(fd, 0), 0);
	for (unsigned k = 0; k < 2; k++) {
		others[k] = socket(AF_UNIX, kind | SOCK_NONBLOCK, 0);
		check(others[k] >= 0);
		if (k == 0)
			check_eq(connect(others[k], (struct sockaddr *)&address, sizeof(address)),
				 0);
		else
			check_eq(connect(others[k], (struct sockaddr *)&address, sizeof(address)),
				 -1);
	}
	close(others[1]);
	close(others[0]); /* it still waits to be accepted */
	return fd;
}

/* The kernel takes such a connect for ready, and has it tried again and again in a ring. */
static asys_id connect_busy(struct asys_queue *q, struct stage *s)
{
	static struct sockaddr_un address;

	address = busy_address(s);
	return submit(q, SYS_connect, s->caller, &address, sizeof(address));
}

const struct blocked blocked_kinds[] = {
	{ "read of a pipe", read_pipe },
	{ "readv of a pipe", readv_pipe },
	{ "write to a full pipe", write_full },
	{ "recvfrom", receive },
	{ "read of a socket", read_socket },
	{ "accept4", accept_nobody },
	{ "connect to a full unix socket", connect_busy },
	{ "read of an eventfd", read_event },
	{ "read of a timerfd", read_timer },
	{ "epoll_pwait", wait_epoll },
	{ "ppoll", poll_pipe },
	{ "nanosleep", sleep_long },
	{ "clock_nanosleep", sleep_clock },
	{ "flock", lock_file },
	{ "fcntl OFD_SETLKW", lock_range },
	{ "futex", wait_futex },
	{ "msgrcv", receive_message },
	{ "splice", splice_pipe },
};

const unsigned blocked_count = sizeof(blocked_kinds) / sizeof(blocked_kinds[0]);

static void fill(int fd)
{
	static const char zeros[4096];

	check_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	check_eq(fcntl(fd, F_SETFL, 0), 0);
}

static int listen_somewhere(void)
{
	/* an abstract address that the kernel chooses: nothing to remove */
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(fd >= 0);
	check_eq(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	check_eq(listen(fd, 1), 0);
	return fd;
}

void stage_open(struct stage *s)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	char path[256];

	memset(s, 0, sizeof(*s));
	memset(s->bytes, PATTERN, sizeof(s->bytes));
	make_pipe(s->pipe);
	make_pipe(s->full);
	fill(s->full[1]);
	check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->pair), 0);
	s->listening = listen_somewhere();
	s->event = eventfd(0, EFD_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->dir = temp_make();
	s->busy = listen_busily(s);
	s->caller = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(s->caller >= 0);
	snprintf(path, sizeof(path), "%s/locked", s->dir);
	s->held = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	s->want = open(path, O_RDWR | O_CLOEXEC);
	check_eq(flock(s->held, LOCK_EX), 0);
	check_eq(fcntl(s->held, F_OFD_SETLK, &range), 0);
	s->queue = msgget(IPC_PRIVATE, 0600);
	check(s->event >= 0 && s->timer >= 0 && s->epoll >= 0 && s->want >= 0 && s->queue >= 0);
}

void stage_close(struct stage *s)
{
	const int fds[] = { s->pipe[0], s->pipe[1], s->full[0],	  s->full[1], s->pair[0],
			    s->pair[1], s->event,   s->listening, s->timer,   s->epoll,
			    s->held,	s->want,    s->busy,	  s->caller };

	msgctl(s->queue, IPC_RMID, NULL);
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	temp_remove(s->dir);
}

void stage_check_untouched(const struct stage *s)
{
	uint64_t one = 1;
	int left = 0;

	/* What arrives now must stay where it is. */
	check_eq(write(s->pipe[1], "abc", 3), 3);
	check_eq(write(s->pair[0], "de", 2), 2);
	check_eq(write(s->pair[1], "fghi", 4), 4);
	check_eq(write(s->event, &one, 8), 8);
	check_eq(flock(s->held, LOCK_UN), 0);
	sleep_ms(2);
	check_eq(ioctl(s->pipe[0], FIONREAD, &left), 0);
	check_eq(left, 3);
	check_eq(ioctl(s->pair[1], FIONREAD, &left), 0);
	check_eq(left, 2);
	check_eq(ioctl(s->pair[0], FIONREAD, &left), 0);
	check_eq(left, 4);
	check_eq(read(s->event, &one, 8), 8);
	check_eq(flock(s->held, LOCK_EX | LOCK_NB), 0);
	for (unsigned i = 0; i < sizeof(s->bytes); i++)
		check_eq(s->bytes[i], PATTERN);
}
