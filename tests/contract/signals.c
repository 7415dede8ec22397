/* SPDX-License-Identifier: MIT */
/*
 * Contract: a signal that a call raises is raised once, whoever makes the call: SIGPIPE where nobody
 * reads any more, SIGXFSZ beyond the limit of a file's size. And none where none would be.
 */
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#define LIMIT 5000

static atomic_uint broken, too_big;

static void on_signal(int signal)
{
	atomic_fetch_add(signal == SIGPIPE ? &broken : &too_big, 1);
}

static void note_signals(struct script *s)
{
	note(s, "SIGPIPE", atomic_exchange(&broken, 0));
	note(s, "SIGXFSZ", atomic_exchange(&too_big, 0));
}

#define RAISES(...)                        \
	do {                               \
		CALL(BY_ANY, __VA_ARGS__); \
		note_signals(s);           \
	} while (0)

static void pipes(struct script *s)
{
	struct iovec iov = { (char[]){ "abc" }, 3 };
	int to[2], from[2], file = memory_file();

	make_pipe(to);
	make_pipe(from);
	check_eq(write(from[1], "0123456789", 10), 10);
	check_eq(write(file, "0123456789", 10), 10);
	check_eq(lseek(file, 0, SEEK_SET), 0);
	close(to[0]);
	RAISES(SYS_write, to[1], "abc", 3);
	RAISES(SYS_writev, to[1], &iov, 1);
	RAISES(SYS_pwritev2, to[1], &iov, 1, -1, -1, 0);
	RAISES(SYS_tee, from[0], to[1], 3, 0);
	RAISES(SYS_splice, from[0], NULL, to[1], NULL, 3, 0);
	RAISES(SYS_splice, file, NULL, to[1], NULL, 3, 0);
	close(to[1]);
	close(from[0]);
	close(from[1]);
	close(file);
}

static void sockets(struct script *s)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	struct iovec iov = { (char[]){ "abc" }, 3 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	for (unsigned k = 0; k < 3; k++) {
		int fd[2];

		check_eq(socketpair(AF_UNIX, types[k] | SOCK_CLOEXEC, 0, fd), 0);
		check_eq(shutdown(fd[0], SHUT_WR), 0);
		RAISES(SYS_write, fd[0], "abc", 3);
		RAISES(SYS_writev, fd[0], &iov, 1);
		RAISES(SYS_sendto, fd[0], "abc", 3, 0, NULL, 0);
		RAISES(SYS_sendmsg, fd[0], &msg, 0);
		RAISES(SYS_sendto, fd[0], "abc", 3, MSG_NOSIGNAL, NULL, 0);
		RAISES(SYS_sendmsg, fd[0], &msg, MSG_NOSIGNAL);
		close(fd[0]);
		close(fd[1]);
	}
}

#define ROOM 65536

/* When the pipe is full: the writer has begun, or begins with a full one. */
static void *close_late(void *arg)
{
	int fd = *(int *)arg, there = 0;

	do {
		sleep_ms(3);
		check_eq(ioctl(fd, FIONREAD, &there), 0);
	} while (there < ROOM);
	close(fd);
	return NULL;
}

/* The reader leaves while the call waits, and after it took a part. */
static void breaks_while_waiting(struct script *s)
{
	static char big[300000];
	pthread_t thread;

	for (unsigned k = 0; k < 2; k++) {
		int fd[2];

		make_pipe(fd);
		note(s, "room", fcntl(fd[1], F_SETPIPE_SZ, ROOM));
		if (k)
			check_eq(write(fd[1], big, ROOM), ROOM);
		check_eq(pthread_create(&thread, NULL, close_late, &fd[0]), 0);
		RAISES(SYS_write, fd[1], big, sizeof(big));
		pthread_join(thread, NULL);
		close(fd[1]);
	}
}

static void sizes(struct script *s)
{
	struct rlimit old, limit;
	struct iovec iov = { (char[]){ "abc" }, 3 };
	char *folder = temp_make(), path[256];
	int fd, from[2];

	snprintf(path, sizeof(path), "%s/file", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	check(fd >= 0);
	make_pipe(from);
	check_eq(write(from[1], "0123456789", 10), 10);
	check_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){ LIMIT, old.rlim_max };
	RAISES(SYS_pwrite64, fd, "abc", 3, LIMIT - 3);
	check_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	RAISES(SYS_pwrite64, fd, "abc", 3, LIMIT - 3);
	RAISES(SYS_pwrite64, fd, "abc", 3, LIMIT);
	RAISES(SYS_pwritev, fd, &iov, 1, LIMIT, 0);
	RAISES(SYS_pwritev2, fd, &iov, 1, LIMIT, 0, 0);
	RAISES(SYS_fallocate, fd, 0, 0, LIMIT + 1);
	RAISES(SYS_ftruncate, fd, LIMIT + 1);
	check_eq(lseek(fd, LIMIT, SEEK_SET), LIMIT);
	RAISES(SYS_write, fd, "abc", 3);
	RAISES(SYS_splice, from[0], NULL, fd, NULL, 3, 0);
	RAISES(SYS_copy_file_range, fd, (int64_t[]){ 0 }, fd, (int64_t[]){ LIMIT }, 3, 0);
	RAISES(SYS_sendfile, fd, fd, (int64_t[]){ 0 }, 3);
	check_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	RAISES(SYS_ftruncate, fd, LIMIT + 1);
	close(from[0]);
	close(from[1]);
	close(fd);
	temp_remove(folder);
}

static void compare(void (*fn)(struct script *s))
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct sigaction old[2];

	check_eq(sigaction(SIGPIPE, &action, &old[0]), 0);
	check_eq(sigaction(SIGXFSZ, &action, &old[1]), 0);
	script_compare(fn);
	check_eq(sigaction(SIGPIPE, &old[0], NULL), 0);
	check_eq(sigaction(SIGXFSZ, &old[1], NULL), 0);
}

#define SCRIPT(fn)                          \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		compare(fn);                \
	}

SCRIPT(pipes)
SCRIPT(sockets)
SCRIPT(breaks_while_waiting)
SCRIPT(sizes)

/* A process that is stopped and goes on: its queued connect, which waits for room, waits on, as the plain one does. */
static int connects_while_stopped(void *arg)
{
	const uint32_t *flags = arg;
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(any);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), more;
	struct asys_queue *q;
	struct asys_event event;
	asys_id id;
	pid_t helper;

	check_eq(bind(listener, (const struct sockaddr *)&any, sizeof(any.sun_family)), 0);
	check_eq(listen(listener, 0), 0);
	check_eq(getsockname(listener, (struct sockaddr *)&any, &size), 0);
	do
		more = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	while (!connect(more, (const struct sockaddr *)&any, size));
	q = open_depth(64, *flags);
	more = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	helper = fork();
	check(helper >= 0);
	if (!helper) {
		sleep_ms(30);
		kill(getppid(), SIGSTOP);
		sleep_ms(30);
		kill(getppid(), SIGCONT);
		sleep_ms(30);
		while (accept(listener, NULL, NULL) >= 0 &&
		       poll(&(struct pollfd){ listener, POLLIN, 0 }, 1, 200) > 0)
			;
		_exit(0);
	}
	id = submit(q, SYS_connect, more, &any, size);
	while (asys_queue_wait(q, id, &event) == -EINTR)
		progress();
	check_eq(event.result, 0);
	check_eq(waitpid(helper, NULL, 0), helper);
	asys_queue_close(q);
	return 0;
}

static void test_stopped(void **state)
{
	uint32_t kinds[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };

	(void)state;
	for (unsigned k = 0; k < 3; k++)
		check_child(connects_while_stopped, &kinds[k]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_pipes), contract(test_sockets), contract(test_breaks_while_waiting),
		contract(test_sizes), contract(test_stopped),
	};

	return group(tests, argc, argv);
}
