/* SPDX-License-Identifier: MIT */
/* Contract: a call's words mean the same to every engine. Sockets. */
#include "script.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#define BIG 2000000 /* more than both sides of a socket hold */

static char big[BIG];

static void set_timeout(int fd, int which)
{
	const struct timeval tv = { 0, 5000 };

	check_eq(setsockopt(fd, SOL_SOCKET, which, &tv, sizeof(tv)), 0);
}

static struct sockaddr_in loopback(int fd)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(addr);

	if (fd >= 0)
		check_eq(getsockname(fd, (struct sockaddr *)&addr, &size), 0);
	return addr;
}

static void short_ones(struct script *s)
{
	char a[8] = "", b[8] = "";
	struct iovec out[2] = { { (char[]){ "abc" }, 3 }, { (char[]){ "DEFG" }, 4 } };
	struct iovec in[2] = { { a, 4 }, { b, 8 } };
	struct msghdr send = { .msg_iov = out, .msg_iovlen = 2 };
	struct msghdr receive = { .msg_iov = in, .msg_iovlen = 2 };
	int fd[2];

	make_pair(SOCK_STREAM, fd);
	CALL(BY_RING | BY_ATTEMPT, SYS_sendto, fd[0], "0123456789", 10, 0, NULL, 0);
	CALL(BY_RING | BY_ATTEMPT, SYS_recvfrom, fd[1], a, 4, MSG_PEEK, NULL, NULL);
	CALL(BY_RING | BY_ATTEMPT, SYS_recvfrom, fd[1], a, 4, 0, NULL, NULL);
	note_bytes(s, "a", a, sizeof(a));
	CALL(BY_RING | BY_ATTEMPT, SYS_sendmsg, fd[0], &send, MSG_NOSIGNAL);
	CALL(BY_OTHER | BY_ATTEMPT, SYS_recvmsg, fd[1], &receive, 0);
	note_bytes(s, "a", a, sizeof(a));
	note_bytes(s, "b", b, sizeof(b));
	CALL(BY_RING | BY_ATTEMPT, SYS_write, fd[0], "plain", 5);
	CALL(BY_RING | BY_ATTEMPT, SYS_read, fd[1], a, 8);
	note_bytes(s, "a", a, sizeof(a));
	CALL(BY_OTHER | BY_ATTEMPT, SYS_writev, fd[0], out, 2);
	CALL(BY_RING | BY_ATTEMPT, SYS_readv, fd[1], in, 2);
	CALL(BY_RING | BY_ATTEMPT, SYS_recvfrom, fd[1], a, 4, MSG_DONTWAIT, NULL, NULL);
	CALL(BY_OTHER | BY_ATTEMPT, SYS_recvmsg, fd[1], &receive, MSG_DONTWAIT);
	/* words that never wait, would here, or that only the call itself understands */
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_recvfrom, fd[1], a, 1, MSG_OOB | MSG_DONTWAIT, NULL,
	     NULL);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_recvmsg, fd[1], &receive, MSG_ERRQUEUE | MSG_DONTWAIT);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_sendto, fd[0], "x", 1, MSG_ZEROCOPY, NULL, 0);
	CALL(BY_OTHER, SYS_sendto, fd[0], (void *)8, 1ull << 40, 0, NULL, 0);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_sendmsg, fd[0], &send, MSG_OOB | MSG_FASTOPEN);
	CALL(BY_RING, SYS_shutdown, fd[0], SHUT_WR);
	CALL(BY_RING | BY_ATTEMPT, SYS_recvfrom, fd[1], big, 100, 0, NULL, NULL);
	CALL(BY_RING, SYS_shutdown, fd[0], 77);
	close_both(fd);
}

static void input_waits(struct script *s)
{
	struct iovec in[2] = { { big, 2 }, { big + 2, 4 } };
	struct iovec all[2] = { { big, 7 }, { big + 7, 11 } };
	struct msghdr receive = { .msg_iov = in, .msg_iovlen = 2 };
	struct msghdr receive_all = { .msg_iov = all, .msg_iovlen = 2 };
	struct sockaddr_storage addr;
	socklen_t size = sizeof(addr);
	struct later later;
	int fd[2];

	make_pair(SOCK_STREAM, fd);
	write_later(&later, fd[0], 6, 11);
	CALL(BY_RING | BY_ATTEMPT, SYS_recvfrom, fd[1], big, 6, 0, NULL, NULL);
	CALL(BY_OTHER | BY_ATTEMPT, SYS_recvfrom, fd[1], big, 6, 0, &addr, &size);
	CALL(BY_OTHER | BY_ATTEMPT, SYS_recvmsg, fd[1], &receive, 0);
	CALL(BY_RING | BY_ATTEMPT, SYS_read, fd[1], big, 6);
	CALL(BY_RING | BY_ATTEMPT, SYS_readv, fd[1], in, 2);
	/* all of it, which comes in three pieces */
	CALL(BY_OTHER, SYS_recvfrom, fd[1], big, 18, MSG_WAITALL, NULL, NULL);
	CALL(BY_OTHER | BY_NO_ATTEMPT, SYS_recvmsg, fd[1], &receive_all, MSG_WAITALL);
	end_later(&later);
	note(s, "rest", recv(fd[1], big, BIG, MSG_DONTWAIT));
	close_both(fd);
}

/* All of it is not there before the other side goes away, or the time is over. */
static void input_ends_early(struct script *s)
{
	struct later later;
	int fd[2];

	make_pair(SOCK_STREAM, fd);
	set_timeout(fd[1], SO_RCVTIMEO);
	CALL(BY_ANY, SYS_recvfrom, fd[1], big, 10, 0, NULL, NULL);
	CALL(BY_ANY, SYS_read, fd[1], big, 10);
	CALL(BY_OTHER, SYS_recvfrom, fd[1], big, 10, MSG_WAITALL, NULL, NULL);
	check_eq(write(fd[0], "part", 4), 4);
	CALL(BY_OTHER, SYS_recvfrom, fd[1], big, 10, MSG_WAITALL, NULL, NULL);
	close_both(fd);
	make_pair(SOCK_STREAM, fd);
	write_later(&later, fd[0], 6, 1);
	check_eq(write(fd[0], "part", 4), 4);
	check_eq(shutdown(fd[1], SHUT_WR), 0);
	CALL(BY_OTHER, SYS_recvfrom, fd[1], big, 10, MSG_WAITALL, NULL, NULL);
	end_later(&later);
	check_eq(write(fd[0], "part", 4), 4);
	check_eq(shutdown(fd[0], SHUT_WR), 0);
	CALL(BY_OTHER, SYS_recvfrom, fd[1], big, 10, MSG_WAITALL, NULL, NULL);
	close_both(fd);
}

static void output_goes_on(struct script *s)
{
	struct iovec out[3] = { { big, 1000 }, { big + 1000, 0 }, { big + 1000, BIG - 1000 } };
	struct msghdr send = { .msg_iov = out, .msg_iovlen = 3 };
	struct later later;
	int fd[2];

	make_pair(SOCK_STREAM, fd);
	read_later(&later, fd[1], 4ul * BIG);
	CALL(BY_RING | BY_ATTEMPT, SYS_sendto, fd[0], big, BIG, MSG_NOSIGNAL, NULL, 0);
	CALL(BY_RING | BY_ATTEMPT, SYS_sendmsg, fd[0], &send, 0);
	CALL(BY_RING | BY_ATTEMPT, SYS_write, fd[0], big, BIG);
	CALL(BY_OTHER | BY_ATTEMPT, SYS_writev, fd[0], out, 3);
	end_later(&later);
	close_both(fd);
}

static int64_t fill(int fd)
{
	int64_t sum = 0;
	ssize_t n;

	while ((n = send(fd, big, 4096, MSG_DONTWAIT)) > 0)
		sum += n;
	return sum > 0;
}

static void output_is_full(struct script *s)
{
	int fd[2];

	make_pair(SOCK_STREAM, fd);
	note(s, "filled", fill(fd[0]));
	CALL(BY_ANY, SYS_sendto, fd[0], big, 4096, MSG_DONTWAIT, NULL, 0);
	set_timeout(fd[0], SO_SNDTIMEO);
	CALL(BY_ANY, SYS_sendto, fd[0], big, 4096, 0, NULL, 0);
	CALL(BY_ANY, SYS_write, fd[0], big, 4096);
	check_eq(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	CALL(BY_ANY, SYS_sendto, fd[0], big, 4096, 0, NULL, 0);
	CALL(BY_ANY, SYS_recvfrom, fd[1], big, 100, 0, NULL, NULL);
	close_both(fd);
	make_pair(SOCK_DGRAM, fd);
	note(s, "filled", fill(fd[0]));
	CALL(BY_ANY, SYS_sendto, fd[0], big, 4096, MSG_DONTWAIT, NULL, 0);
	set_timeout(fd[0], SO_SNDTIMEO);
	CALL(BY_ANY, SYS_sendto, fd[0], big, 4096, 0, NULL, 0);
	CALL(BY_ANY, SYS_recvfrom, fd[1], big, 100, MSG_TRUNC, NULL, NULL);
	close_both(fd);
}

static int pipes_broken;

static void on_pipe(int signal)
{
	(void)signal;
	__atomic_fetch_add(&pipes_broken, 1, __ATOMIC_RELAXED);
}

static void nobody_reads(struct script *s)
{
	struct sigaction action = { .sa_handler = on_pipe, .sa_flags = SA_RESTART }, old;
	struct iovec out = { big, 10 };
	struct msghdr send = { .msg_iov = &out, .msg_iovlen = 1 };
	int fd[2];

	check_eq(sigaction(SIGPIPE, &action, &old), 0);
	make_pair(SOCK_STREAM, fd);
	close(fd[1]);
	pipes_broken = 0;
	CALL(BY_ANY, SYS_sendto, fd[0], big, 10, 0, NULL, 0);
	note(s, "signals", __atomic_load_n(&pipes_broken, __ATOMIC_RELAXED));
	CALL(BY_ANY, SYS_sendmsg, fd[0], &send, MSG_NOSIGNAL);
	note(s, "signals", __atomic_load_n(&pipes_broken, __ATOMIC_RELAXED));
	CALL(BY_ANY, SYS_sendmsg, fd[0], &send, 0);
	note(s, "signals", __atomic_load_n(&pipes_broken, __ATOMIC_RELAXED));
	close(fd[0]);
	check_eq(sigaction(SIGPIPE, &old, NULL), 0);
}

static void datagrams(struct script *s)
{
	int a = CALL_FD(BY_RING, SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int b = CALL_FD(BY_RING, SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = loopback(-1), addr;
	socklen_t size = sizeof(addr);
	char bytes[16] = "";

	CALL_FD(BY_RING, SYS_socket, AF_INET, 99, 0);
	CALL(BY_RING, SYS_bind, a, &any, sizeof(any));
	CALL(BY_RING, SYS_bind, a, &any, sizeof(any));
	addr = loopback(a);
	CALL(BY_RING | BY_ATTEMPT, SYS_sendto, b, "to", 2, 0, &addr, sizeof(addr));
	CALL(BY_OTHER | BY_ATTEMPT, SYS_recvfrom, a, bytes, sizeof(bytes), 0, &addr, &size);
	note_bytes(s, "bytes", bytes, sizeof(bytes));
	note(s, "from", addr.sin_port == loopback(b).sin_port);
	CALL(BY_OTHER, SYS_sendto, b, "to", 2, 0, &addr, 4096);
	CALL(BY_RING | BY_ATTEMPT, SYS_sendto, b, "to", 2, 0, &addr, 3);
	CALL(BY_RING | BY_ATTEMPT, SYS_sendto, b, "to", 2, 0, NULL, 0);
	/* a datagram that is longer than asked for, and one that is waited for wholly */
	CALL(BY_RING, SYS_connect, b, (addr = loopback(a), &addr), sizeof(addr));
	CALL(BY_RING | BY_ATTEMPT, SYS_sendto, b, "0123456789", 10, 0, NULL, 0);
	CALL(BY_RING | BY_ATTEMPT, SYS_recvfrom, a, bytes, 4, MSG_TRUNC, NULL, NULL);
	CALL(BY_RING | BY_ATTEMPT, SYS_sendto, b, "0123456789", 10, 0, NULL, 0);
	CALL(BY_ANY, SYS_recvfrom, a, bytes, 16, MSG_WAITALL, NULL, NULL);
	note_bytes(s, "bytes", bytes, sizeof(bytes));
	close(a);
	close(b);
}

static void *connect_late(void *arg)
{
	const struct sockaddr_in addr = loopback(*(const int *)arg);

	for (unsigned k = 0; k < 3; k++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		sleep_ms(3);
		check_eq(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
		close(fd);
	}
	return NULL;
}

static void connections(struct script *s)
{
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, peer;
	struct sockaddr_in addr = loopback(-1);
	socklen_t size = sizeof(addr);
	pthread_t thread;

	CALL(BY_RING, SYS_bind, listening, &addr, sizeof(addr));
	CALL_FD(BY_ANY, SYS_accept4, listening, NULL, NULL, 0);
	CALL(BY_RING, SYS_listen, listening, 8);
	addr = loopback(listening);
	fd = CALL_FD(BY_RING, SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CALL(BY_RING, SYS_connect, fd, &addr, sizeof(addr));
	CALL(BY_RING, SYS_connect, fd, &addr, sizeof(addr));
	peer = CALL_FD(BY_RING, SYS_accept4, listening, &addr, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
	note(s, "address", size == sizeof(addr) && addr.sin_port == loopback(fd).sin_port);
	note(s, "flags", fcntl(peer, F_GETFL));
	note(s, "cloexec", fcntl(peer, F_GETFD));
	close(fd);
	close(peer);
	check_eq(pthread_create(&thread, NULL, connect_late, &listening), 0);
	close(CALL_FD(BY_RING, SYS_accept4, listening, NULL, NULL, 0));
	close(CALL_FD(BY_RING, SYS_accept, listening, NULL, NULL));
	close(CALL_FD(BY_RING, SYS_accept, listening, &addr, &size));
	pthread_join(thread, NULL);
	CALL_FD(BY_ANY, SYS_accept4, listening, NULL, NULL, 1 << 30);
	set_timeout(listening, SO_RCVTIMEO);
	CALL_FD(BY_ANY, SYS_accept, listening, NULL, NULL);
	check_eq(fcntl(listening, F_SETFL, O_NONBLOCK), 0);
	CALL_FD(BY_ANY, SYS_accept, listening, NULL, NULL);
	/* what would not wait, or not for ever, is not for the ring, which would */
	addr = loopback(listening);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CALL(BY_OTHER, SYS_connect, fd, &addr, sizeof(addr));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_timeout(fd, SO_SNDTIMEO);
	CALL(BY_OTHER, SYS_connect, fd, &addr, sizeof(addr));
	close(fd);
	close(listening);
}

#define SCRIPT(fn)                          \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		script_compare(fn);         \
	}

SCRIPT(short_ones)
SCRIPT(input_waits)
SCRIPT(input_ends_early)
SCRIPT(output_goes_on)
SCRIPT(output_is_full)
SCRIPT(nobody_reads)
SCRIPT(datagrams)
SCRIPT(connections)

/*
 * The peer takes a part and then no more: SO_SNDTIMEO holds for every piece of what is sent, and what
 * is asked to end ends, whichever piece is on its way.
 */
struct taker {
	int fd;
	size_t part;
	uint32_t done;
};

static void *take_part(void *arg)
{
	static char buf[65536];
	struct taker *taker = arg;
	ssize_t n = 1;

	for (size_t got = 0; got < taker->part && n > 0; got += (size_t)n)
		n = recv(taker->fd, buf, sizeof(buf), 0);
	__atomic_store_n(&taker->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void stop_output(struct asys_queue *q, size_t part, bool timed)
{
	struct taker taker = { .part = part };
	struct asys_event event;
	pthread_t thread;
	int64_t sent;
	asys_id id;
	int fd[2], n = 0;

	make_pair(SOCK_STREAM, fd);
	taker.fd = fd[1];
	if (timed)
		set_timeout(fd[0], SO_SNDTIMEO);
	id = submit(q, SYS_sendto, fd[0], big, BIG, MSG_NOSIGNAL, 0, 0);
	check_eq(pthread_create(&thread, NULL, take_part, &taker), 0);
	if (timed) {
		sent = result_of(q, id);
		shutdown(fd[0], SHUT_RDWR);
	} else {
		while (!n && !__atomic_load_n(&taker.done, __ATOMIC_ACQUIRE))
			n = asys_queue_get_many(q, &event, 1, 1, 1000000);
		check_eq(n, 0);
		check_eq(asys_queue_cancel(q, id), 0);
		sent = result_of(q, id);
	}
	check(sent > 0 && sent < BIG);
	pthread_join(thread, NULL);
	close_both(fd);
	progress();
}

static void test_output_stops(void **state)
{
	struct asys_queue *q = open_queue();
	uint32_t random = 1;
	int idle[2];
	asys_id id;
	char byte;

	(void)state;
	/* so that the send is not alone, or it would run in this thread */
	make_pair(SOCK_STREAM, idle);
	id = submit(q, SYS_read, idle[0], &byte, 1);
	for (unsigned k = 0; k < iterations(600); k++)
		stop_output(q, next_random(&random) % (BIG / 2), k % 2);
	check_eq(asys_queue_cancel(q, id), 0);
	check_eq(result_of(q, id), -ECANCELED);
	asys_queue_close(q);
	close_both(idle);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_short_ones),	 contract(test_input_waits),
		contract(test_input_ends_early), contract(test_output_goes_on),
		contract(test_output_is_full),	 contract(test_nobody_reads),
		contract(test_datagrams),	 contract(test_connections),
		contract(test_output_stops),
	};

	return group(tests, argc, argv);
}
