/* SPDX-License-Identifier: MIT */
/* Objects with two ends, and those that one waits for. */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_un address[OBJECTS_MAX];
static struct sockaddr_in tcp_address;
static int tcp_listener;

void world_lock(int fd, bool lock)
{
	if (flock(fd, lock ? LOCK_EX | LOCK_NB : LOCK_UN))
		world_stop("flock");
}

/* ---- making --------------------------------------------------------------------------------- */

void world_sockets_begin(void)
{
	socklen_t size = sizeof(tcp_address);

	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		address[i].sun_family = AF_UNIX;
		snprintf(address[i].sun_path + 1, 20, "random%8d-%2u", getpid(), i);
	}
	tcp_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tcp_address.sin_family = AF_INET;
	tcp_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(tcp_listener, (struct sockaddr *)&tcp_address, sizeof(tcp_address)) ||
	    listen(tcp_listener, 8) ||
	    getsockname(tcp_listener, (struct sockaddr *)&tcp_address, &size))
		world_stop("loopback");
}

const char *world_address(unsigned object)
{
	return (const char *)&address[object];
}

static void pair_of(const struct object *object, int fd[2])
{
	const int one = 1;

	switch (object->kind) {
	case O_TCP:
		fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (connect(fd[1], (struct sockaddr *)&tcp_address, sizeof(tcp_address)))
			world_stop("connect");
		fd[0] = accept4(tcp_listener, NULL, NULL, SOCK_CLOEXEC);
		setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		break;
	case O_UDP:
		for (unsigned k = 0; k < 2; k++) {
			struct sockaddr_in any = { .sin_family = AF_INET };

			any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
			fd[k] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
			if (bind(fd[k], (struct sockaddr *)&any, sizeof(any)))
				world_stop("bind");
		}
		for (unsigned k = 0; k < 2; k++) {
			struct sockaddr_in other;
			socklen_t size = sizeof(other);

			getsockname(fd[1 - k], (struct sockaddr *)&other, &size);
			if (connect(fd[k], (struct sockaddr *)&other, size))
				world_stop("connect");
		}
		break;
	default:
		if (socketpair(AF_UNIX,
			       (object->kind == O_STREAM ? SOCK_STREAM :
				object->kind == O_DGRAM	 ? SOCK_DGRAM :
							   SOCK_SEQPACKET) |
				       SOCK_CLOEXEC,
			       0, fd))
			world_stop("socketpair");
	}
}

static void set_time(int fd, int option, uint32_t us)
{
	const struct timeval time = { us / 1000000, us % 1000000 };

	if (us && setsockopt(fd, SOL_SOCKET, option, &time, sizeof(time)))
		world_stop("a time limit");
}

static void sockets_make(const struct object *object, int fd[2])
{
	const int small = 4096, mark = 50;

	pair_of(object, fd);
	for (unsigned k = 0; k < 2 && (object->flags & F_SMALL); k++) {
		setsockopt(fd[k], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		setsockopt(fd[k], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	}
	set_time(fd[0], SO_RCVTIMEO, object->receive_us);
	set_time(fd[0], SO_SNDTIMEO, object->send_us);
	if (object->flags & F_LOW_MARK)
		setsockopt(fd[0], SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
	if (object->fill && send(fd[1], pattern(), object->fill, 0) != (ssize_t)object->fill)
		world_stop("send");
	if (object->flags & F_SHUTDOWN)
		shutdown(fd[1], SHUT_WR);
}

static void pipe_make(const struct object *object, int fd[2])
{
	if (pipe2(fd, O_CLOEXEC))
		world_stop("pipe");
	if ((object->flags & F_SMALL) && fcntl(fd[1], F_SETPIPE_SZ, 4096) < 0)
		world_stop("F_SETPIPE_SZ");
	if (object->fill && write(fd[1], pattern(), object->fill) != (ssize_t)object->fill)
		world_stop("write");
}

static void pty_make(int fd[2])
{
	struct termios raw;

	fd[1] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd[1] < 0 || grantpt(fd[1]) || unlockpt(fd[1]))
		world_stop("a terminal");
	fd[0] = ioctl(fd[1], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd[0] < 0 || tcgetattr(fd[0], &raw))
		world_stop("a terminal");
	cfmakeraw(&raw);
	tcsetattr(fd[0], TCSANOW, &raw);
}

static void listen_make(const struct object *object, unsigned i, int fd[2])
{
	const socklen_t size = 24;

	fd[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd[0], (struct sockaddr *)&address[i], size) || listen(fd[0], 4))
		world_stop("listen");
	set_time(fd[0], SO_RCVTIMEO, object->receive_us);
	fd[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if ((object->flags & F_ARMED) && connect(fd[1], (struct sockaddr *)&address[i], size))
		world_stop("connect");
}

static void epoll_make(const struct object *object, int fd[2])
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 7 };

	fd[0] = epoll_create1(EPOLL_CLOEXEC);
	fd[1] = eventfd(object->flags & F_ARMED ? 1 : 0, EFD_CLOEXEC);
	if (fd[0] < 0 || fd[1] < 0 || epoll_ctl(fd[0], EPOLL_CTL_ADD, fd[1], &event))
		world_stop("epoll");
}

static int event_make(const struct object *object)
{
	const int fd = eventfd(0, EFD_CLOEXEC | (object->flags & F_SEMAPHORE ? EFD_SEMAPHORE : 0));
	const uint64_t value = object->fill == UINT32_MAX ? UINT64_MAX - 1 : object->fill;

	if (fd >= 0 && value && write(fd, &value, sizeof(value)) != sizeof(value))
		world_stop("eventfd");
	return fd;
}

static int timer_make(const struct object *object)
{
	const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec time = { .it_value.tv_nsec = 300000 };

	if (object->flags & F_ARMED)
		timerfd_settime(fd, 0, &time, NULL);
	return fd;
}

static int signal_make(const struct object *object)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	if (object->flags & F_ARMED)
		kill(getpid(), SIGUSR2);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

void world_watch(const struct object *object, unsigned i, const char *name, const char *folder)
{
	const int fd = inotify_init1(IN_CLOEXEC);
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (fd < 0 || inotify_add_watch(fd, path, IN_CREATE) < 0)
		world_stop("inotify");
	if (object->flags & F_ARMED)
		close(openat(world_fd(i, 1), "a", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	world_place(fd, world_fd(i, 0));
	if (object->flags & F_NONBLOCK_0)
		fcntl(world_fd(i, 0), F_SETFL, O_NONBLOCK);
}

static void make(const struct object *object, unsigned i, int fd[2])
{
	switch (object->kind) {
	case O_PIPE:
		pipe_make(object, fd);
		break;
	case O_LISTEN:
		listen_make(object, i, fd);
		break;
	case O_EVENTFD:
		fd[0] = event_make(object);
		break;
	case O_TIMERFD:
		fd[0] = timer_make(object);
		break;
	case O_SIGNALFD:
		fd[0] = signal_make(object);
		break;
	case O_EPOLL:
		epoll_make(object, fd);
		break;
	case O_PIDFD:
		fd[0] = (int)syscall(SYS_pidfd_open, getpid(), 0);
		break;
	case O_PTY:
		pty_make(fd);
		break;
	default:
		sockets_make(object, fd);
	}
}

void world_stream_make(const struct object *object, unsigned i)
{
	int fd[2] = { -1, -1 };

	make(object, i, fd);
	for (unsigned end = 0; end < 2; end++) {
		const bool closed = object->flags & (end ? F_CLOSED_1 : F_CLOSED_0);
		const bool nonblock = object->flags & (end ? F_NONBLOCK_1 | F_PEER : F_NONBLOCK_0);

		if (fd[end] < 0)
			continue;
		if (nonblock)
			fcntl(fd[end], F_SETFL, fcntl(fd[end], F_GETFL) | O_NONBLOCK);
		if (closed)
			close(fd[end]);
		else
			world_place(fd[end], world_fd(i, end));
	}
}

/* ---- looking -------------------------------------------------------------------------------- */

int64_t world_drain(const struct object *object, unsigned i, unsigned end, uint64_t most,
		    struct run *run)
{
	static unsigned char buffer[65536];
	const bool pieces =
		object->kind == O_DGRAM || object->kind == O_SEQPACKET || object->kind == O_UDP;
	int64_t total = 0;
	ssize_t n;

	while ((uint64_t)total < most &&
	       (n = read(world_fd(i, end), buffer,
			 pieces || most - (uint64_t)total > sizeof(buffer) ?
				 sizeof(buffer) :
				 most - (uint64_t)total)) > 0) {
		if (pieces)
			run->through[i][end] = hash(run->through[i][end], &n, sizeof(n));
		run->through[i][end] =
			sum_on(run->through[i][end], run->bytes[i][end], buffer, (size_t)n);
		run->bytes[i][end] += (uint64_t)n;
		total += n;
	}
	return total;
}

static void signal_look(void)
{
	const struct timespec none = { 0, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	while (sigtimedwait(&set, NULL, &none) > 0)
		;
}

/* What was sent may still be on its way: until its end has come. */
static void tcp_look(const struct object *object, unsigned i, struct run *run)
{
	const struct timeval limit = { 2, 0 };

	for (unsigned end = 0; end < 2; end++) {
		shutdown(world_fd(i, end), SHUT_WR);
		fcntl(world_fd(i, end), F_SETFL, 0);
		setsockopt(world_fd(i, end), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	}
	for (unsigned end = 0; end < 2; end++)
		world_drain(object, i, end, UINT64_MAX, run);
}

void world_stream_look(const struct object *object, unsigned i, struct run *run)
{
	uint64_t value = 0;

	switch (object->kind) {
	case O_PIPE:
	case O_STREAM:
	case O_DGRAM:
	case O_SEQPACKET:
	case O_UDP:
	case O_PTY:
		for (unsigned end = 0; end < 2; end++) {
			fcntl(world_fd(i, end), F_SETFL, O_NONBLOCK);
			world_drain(object, i, end, UINT64_MAX, run);
		}
		break;
	case O_TCP:
		tcp_look(object, i, run);
		break;
	case O_EVENTFD:
		fcntl(world_fd(i, 0), F_SETFL, O_NONBLOCK);
		if (read(world_fd(i, 0), &value, sizeof(value)) < 0)
			value = 0;
		run->state[i] = value;
		break;
	case O_SIGNALFD:
		signal_look();
		break;
	case O_LOCKED:
		run->state[i] = (uint64_t)flock(world_fd(i, 1), LOCK_EX | LOCK_NB);
		break;
	default:
		break;
	}
}
