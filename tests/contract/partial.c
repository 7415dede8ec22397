/* SPDX-License-Identifier: MIT */
/*
 * Contract: a transfer that blocks until all of it is done is one transfer to every engine, also where
 * only a part of it can be done at once: with time limits that are far away or that pass, with control
 * data, and when the other side goes away in the middle.
 */
#include "script.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#define BIG 3000000 /* more than both sides of a socket hold */

static unsigned char big[BIG], taken[BIG];

static void fill_big(void)
{
	uint32_t random = 7;

	if (big[BIG - 1])
		return;
	for (size_t k = 0; k < BIG; k++)
		big[k] = (unsigned char)(next_random(&random) | 1);
}

static void limit(int fd, int which, unsigned ms)
{
	const struct timeval tv = { ms / 1000, (suseconds_t)(ms % 1000 * 1000) };

	check_eq(setsockopt(fd, SOL_SOCKET, which, &tv, sizeof(tv)), 0);
}

/* The other side takes `size` bytes a little later, and keeps them. */
struct taker {
	pthread_t thread;
	int fd;
	size_t size;
};

static void *take(void *arg)
{
	const struct taker *taker = arg;
	size_t done = 0;

	sleep_ms(10);
	while (done < taker->size) {
		ssize_t n = read(taker->fd, taken + done, taker->size - done);

		check(n > 0);
		done += (size_t)n;
	}
	return NULL;
}

static void take_later(struct taker *taker, int fd, size_t size)
{
	memset(taken, 0, sizeof(taken));
	*taker = (struct taker){ .fd = fd, .size = size };
	check_eq(pthread_create(&taker->thread, NULL, take, taker), 0);
}

static void end_taking(struct script *s, struct taker *taker)
{
	check_eq(pthread_join(taker->thread, NULL), 0);
	note(s, "arrived as sent", !memcmp(big, taken, taker->size));
}

static void write_all_ways(struct script *s, const int fd[2])
{
	struct iovec out[3] = { { big, 5000 }, { big, 0 }, { big + 5000, BIG - 5000 } };
	struct taker taker;

	take_later(&taker, fd[1], BIG);
	CALL(BY_ANY, SYS_write, fd[0], big, BIG);
	end_taking(s, &taker);
	take_later(&taker, fd[1], BIG);
	CALL(BY_ANY, SYS_writev, fd[0], out, 3);
	end_taking(s, &taker);
}

static void send_all_ways(struct script *s, const int fd[2])
{
	struct iovec out[5] = { { big, 1000 },
				{ big + 1000, 0 },
				{ big + 1000, BIG / 2 },
				{ big + 1000 + BIG / 2, 1 },
				{ big + 1001 + BIG / 2, BIG - 1001 - BIG / 2 } };
	struct msghdr message = { .msg_iov = out, .msg_iovlen = 5 };
	struct taker taker;

	take_later(&taker, fd[1], BIG);
	CALL(BY_ANY, SYS_sendto, fd[0], big, BIG, 0, NULL, 0);
	end_taking(s, &taker);
	take_later(&taker, fd[1], BIG);
	CALL(BY_ANY, SYS_sendmsg, fd[0], &message, MSG_NOSIGNAL);
	end_taking(s, &taker);
	write_all_ways(s, fd);
}

static void output_with_limit(struct script *s)
{
	int fd[2];

	fill_big();
	make_pair(SOCK_STREAM, fd);
	limit(fd[0], SO_SNDTIMEO, 60000);
	send_all_ways(s, fd);
	close_both(fd);
	make_connection(fd);
	limit(fd[0], SO_SNDTIMEO, 60000);
	send_all_ways(s, fd);
	close_both(fd);
}

static void output_without_limit(struct script *s)
{
	int fd[2];

	fill_big();
	make_connection(fd);
	send_all_ways(s, fd);
	close_both(fd);
	make_pipe(fd);
	write_all_ways(s, (const int[2]){ fd[1], fd[0] });
	close_both(fd);
}

/* The limit passes: what was moved before is the result, and what arrived. */
static void limit_passes(struct script *s)
{
	struct iovec out[2] = { { big, BIG / 2 }, { big + BIG / 2, BIG - BIG / 2 } };
	struct msghdr message = { .msg_iov = out, .msg_iovlen = 2 };
	int64_t sent, left;
	int fd[2];

	fill_big();
	make_pair(SOCK_STREAM, fd);
	limit(fd[0], SO_SNDTIMEO, 20);
	limit(fd[1], SO_RCVTIMEO, 20);
	sent = CALL(BY_ANY, SYS_sendmsg, fd[0], &message, 0);
	CALL(BY_ANY, SYS_sendto, fd[0], big, 10000, 0, NULL, 0);
	for (left = sent; left > 0; left -= 1000)
		check_eq(read(fd[1], taken, left < 1000 ? (size_t)left : 1000),
			 left < 1000 ? left : 1000);
	check_eq(send(fd[0], "part", 4, 0), 4);
	CALL(BY_ANY, SYS_recvfrom, fd[1], taken, 10, MSG_WAITALL, NULL, NULL);
	CALL(BY_ANY, SYS_recvfrom, fd[1], taken, 10, MSG_WAITALL, NULL, NULL);
	close_both(fd);
}

/* Looking at a unix socket takes what is there, without waiting for the rest: how much that is depends
 * on how far the other side is by then. */
static void note_whether_seen(struct script *s, int64_t n)
{
	if (n > 0 && n <= 18 && n % 6 == 0)
		s->notes[s->count - 1].value = 6;
}

static void receive_all_ways(struct script *s, const int fd[2], bool waits_to_look)
{
	struct iovec in[3] = { { taken, 4 }, { taken + 4, 5 }, { taken + 9, 9 } };
	struct msghdr message = { .msg_iov = in, .msg_iovlen = 3 };
	struct later later;
	int64_t n;

	/* The first piece is there, the others come one after the other. */
	check_eq(send(fd[0], big, 6, 0), 6);
	write_later(&later, fd[0], 6, 2);
	CALL(BY_ANY, SYS_recvfrom, fd[1], taken, 18, MSG_WAITALL, NULL, NULL);
	end_later(&later);
	check_eq(send(fd[0], big, 6, 0), 6);
	write_later(&later, fd[0], 6, 2);
	CALL(BY_ANY, SYS_recvmsg, fd[1], &message, MSG_WAITALL);
	end_later(&later);
	note_bytes(s, "taken", taken, 18);
	/* Looked at only: nothing is taken. */
	check_eq(send(fd[0], big, 6, 0), 6);
	write_later(&later, fd[0], 6, 2);
	n = CALL(BY_ANY, SYS_recvfrom, fd[1], taken, 18, MSG_WAITALL | MSG_PEEK, NULL, NULL);
	if (!waits_to_look)
		note_whether_seen(s, n);
	end_later(&later);
	note(s, "rest", recv(fd[1], taken, 18, MSG_DONTWAIT | MSG_WAITALL));
}

static void input_with_limit(struct script *s)
{
	int fd[2];

	fill_big();
	make_pair(SOCK_STREAM, fd);
	receive_all_ways(s, fd, false);
	limit(fd[1], SO_RCVTIMEO, 60000);
	receive_all_ways(s, fd, false);
	close_both(fd);
	make_connection(fd);
	receive_all_ways(s, fd, true);
	limit(fd[1], SO_RCVTIMEO, 60000);
	receive_all_ways(s, fd, true);
	close_both(fd);
}

/* Descriptors in one message of many bytes: how many come out at the other side. */
struct rights_taker {
	pthread_t thread;
	int fd;
	size_t bytes;
	unsigned rights;
};

static void *take_rights(void *arg)
{
	struct rights_taker *taker = arg;

	sleep_ms(10);
	while (taker->bytes < BIG) {
		union {
			struct cmsghdr header;
			char room[CMSG_SPACE(4 * sizeof(int))];
		} control;
		struct iovec in = { taken, sizeof(taken) };
		struct msghdr message = { .msg_iov = &in,
					  .msg_iovlen = 1,
					  .msg_control = &control,
					  .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(taker->fd, &message, MSG_CMSG_CLOEXEC);
		const struct cmsghdr *c = CMSG_FIRSTHDR(&message);

		check(n > 0);
		taker->bytes += (size_t)n;
		if (c) {
			int fd;

			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			check_eq(close(fd), 0);
			taker->rights++;
		}
	}
	return NULL;
}

static void rights_once(struct script *s)
{
	for (unsigned limited = 0; limited < 2; limited++) {
		union {
			struct cmsghdr header;
			char room[CMSG_SPACE(sizeof(int))];
		} control = { 0 };
		struct iovec out[2] = { { big, BIG / 2 }, { big + BIG / 2, BIG - BIG / 2 } };
		struct msghdr message = { .msg_iov = out,
					  .msg_iovlen = 2,
					  .msg_control = &control,
					  .msg_controllen = sizeof(control) };
		struct rights_taker taker = { 0 };
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		int fd[2];

		make_pair(SOCK_STREAM, fd);
		if (limited)
			limit(fd[0], SO_SNDTIMEO, 60000);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd[0], sizeof(int));
		taker.fd = fd[1];
		check_eq(pthread_create(&taker.thread, NULL, take_rights, &taker), 0);
		CALL(BY_ANY, SYS_sendmsg, fd[0], &message, 0);
		check_eq(pthread_join(taker.thread, NULL), 0);
		note(s, "bytes", (int64_t)taker.bytes);
		note(s, "rights", taker.rights);
		close_both(fd);
	}
}

static unsigned pipes_broken;

static void on_pipe(int signal)
{
	(void)signal;
	__atomic_fetch_add(&pipes_broken, 1, __ATOMIC_RELAXED);
}

/* Somebody who goes away a little later, without taking anything. */
static void *leave(void *arg)
{
	const int *fd = arg;

	sleep_ms(30);
	close(*fd);
	return NULL;
}

static int64_t call_while_leaving(struct script *s, int leaving, uint32_t nr, const uint64_t arg[6])
{
	pthread_t thread;
	int64_t result;

	pipes_broken = 0;
	check_eq(pthread_create(&thread, NULL, leave, &leaving), 0);
	result = script_call(s, BY_ANY, "while the other side leaves", nr, arg);
	if (result > 1000)
		s->notes[s->count - 1].value = 1000;
	check_eq(pthread_join(thread, NULL), 0);
	note(s, "signals", __atomic_load_n(&pipes_broken, __ATOMIC_RELAXED));
	return result;
}

/* The ring's write has no flag against the signal, and its transfers take the error themselves. */
static bool without_ring(void)
{
	return engine_forced("ready") || engine_forced("inline") || engine_forced("threads");
}

static int pending_error(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	check_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	return without_ring() ? error : 0;
}

static void fill(int fd)
{
	while (send(fd, big, 65536, MSG_DONTWAIT) > 0)
		;
}

/* What was moved is the result, and the error is there for the next call, if it would be. */
static void other_side_leaves(struct script *s)
{
	const struct linger reset = { 1, 0 };
	struct sigaction action = { .sa_handler = on_pipe, .sa_flags = SA_RESTART }, old;
	const uint32_t output = without_ring() ? SYS_write : SYS_sendto;
	int fd[2];

	fill_big();
	check_eq(sigaction(SIGPIPE, &action, &old), 0);
	/* The ring raises the signal while the waiter sleeps, which ends the wait (-EINTR). */
	if (without_ring()) {
		make_pipe(fd);
		call_while_leaving(s, fd[0], SYS_write, script_words(fd[1], big, BIG, 0, 0, 0));
		close(fd[1]);
	}
	make_pair(SOCK_STREAM, fd);
	call_while_leaving(s, fd[1], output, script_words(fd[0], big, BIG, 0, 0, 0));
	note(s, "error", pending_error(fd[0]));
	close(fd[0]);
	make_pair(SOCK_STREAM, fd);
	check_eq(send(fd[1], "part", 4, 0), 4);
	fill(fd[0]); /* unread: that makes it a reset */
	call_while_leaving(s, fd[1], SYS_recvfrom,
			   script_words(fd[0], taken, 10, MSG_WAITALL, 0, 0));
	note(s, "error", pending_error(fd[0]));
	close(fd[0]);
	make_connection(fd);
	check_eq(send(fd[1], "part", 4, 0), 4);
	check_eq(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	call_while_leaving(s, fd[1], SYS_recvfrom,
			   script_words(fd[0], taken, 10, MSG_WAITALL, 0, 0));
	note(s, "error", pending_error(fd[0]));
	close(fd[0]);
	/* A connection holds more at one time than at another: only whether it was a part counts. */
	for (unsigned k = 0; k < 2; k++) {
		const uint32_t nr = k ? SYS_sendto : output;
		int64_t result;

		make_connection(fd);
		check_eq(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
		result = call_while_leaving(s, fd[1], nr,
					    script_words(fd[0], big, sizeof(big), 0, 0, 0));
		note(s, "a part", result > 0 && result < BIG);
		note(s, "error", pending_error(fd[0]));
		close(fd[0]);
	}
	check_eq(sigaction(SIGPIPE, &old, NULL), 0);
}

#define SCRIPT(fn)                          \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		script_compare(fn);         \
	}

SCRIPT(output_with_limit)
SCRIPT(output_without_limit)
SCRIPT(limit_passes)
SCRIPT(input_with_limit)
SCRIPT(rights_once)
SCRIPT(other_side_leaves)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_output_with_limit), contract(test_output_without_limit),
		contract(test_limit_passes),	  contract(test_input_with_limit),
		contract(test_rights_once),	  contract(test_other_side_leaves),
	};

	if (is_sanitized()) {
		puts("too slow to keep step with its slow peers");
		return SKIPPED;
	}
	return group(tests, argc, argv);
}
