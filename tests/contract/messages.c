/* SPDX-License-Identifier: MIT */
/*
 * Contract: what was sent as one message is received as one, also where the receiver asks to wait for
 * more than that (MSG_WAITALL), which says nothing to sockets that keep messages apart. Streams whose
 * bytes have ends in between (descriptors that came with them) are received up to there.
 */
#include "script.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

static char bytes[4096], other[4096];

/* Two ends that send each other datagrams. */
static void make_datagrams(int fd[2])
{
	struct sockaddr_in addr[2];
	socklen_t size = sizeof(addr[0]);

	for (unsigned k = 0; k < 2; k++) {
		addr[k] = (struct sockaddr_in){ .sin_family = AF_INET,
						.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		fd[k] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		check_eq(bind(fd[k], (const struct sockaddr *)&addr[k], size), 0);
		check_eq(getsockname(fd[k], (struct sockaddr *)&addr[k], &size), 0);
	}
	for (unsigned k = 0; k < 2; k++)
		check_eq(connect(fd[k], (const struct sockaddr *)&addr[!k], size), 0);
}

static void receive_all_ways(struct script *s, int fd, unsigned flags)
{
	struct iovec in[3] = { { bytes, 5 }, { other, 70 }, { bytes + 5, 800 } };
	struct msghdr message = { .msg_iov = in, .msg_iovlen = 3 };
	struct sockaddr_storage addr;
	socklen_t size = sizeof(addr);

	memset(bytes, 0, sizeof(bytes));
	CALL(BY_ANY, SYS_recvfrom, fd, bytes, 900, flags, NULL, NULL);
	CALL(BY_ANY, SYS_recvmsg, fd, &message, flags);
	note(s, "of the message", message.msg_flags & (MSG_TRUNC | MSG_CTRUNC | MSG_EOR));
	CALL(BY_ANY, SYS_recvfrom, fd, bytes, 900, flags, &addr, &size);
	note_bytes(s, "bytes", bytes, sizeof(bytes));
}

/* Messages that are there, and such that come. */
static void kept_apart(struct script *s, const int fd[2])
{
	struct later later;

	for (unsigned k = 0; k < 3; k++)
		check_eq(send(fd[0], "0123456789", 10 - k, 0), 10 - k);
	receive_all_ways(s, fd[1], MSG_WAITALL);
	write_later(&later, fd[0], 33, 6);
	receive_all_ways(s, fd[1], MSG_WAITALL);
	receive_all_ways(s, fd[1], MSG_WAITALL | MSG_TRUNC);
	end_later(&later);
	check_eq(send(fd[0], "0123456789", 10, 0), 10);
	receive_all_ways(s, fd[1], MSG_WAITALL | MSG_PEEK);
	/* longer than there is room for */
	CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 4, MSG_WAITALL, NULL, NULL);
	receive_all_ways(s, fd[1], MSG_WAITALL | MSG_DONTWAIT);
	/* one of no bytes */
	check_eq(send(fd[0], "", 0, 0), 0);
	CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 4, MSG_WAITALL, NULL, NULL);
}

/* Said to one who sends, it means nothing. */
static void sent_whole(struct script *s, const int fd[2])
{
	struct iovec out[2] = { { bytes, 1000 }, { other, 500 } };
	struct msghdr message = { .msg_iov = out, .msg_iovlen = 2 };

	CALL(BY_ANY, SYS_sendto, fd[0], bytes, 1200, MSG_WAITALL | MSG_NOSIGNAL, NULL, 0);
	CALL(BY_ANY, SYS_sendmsg, fd[0], &message, MSG_WAITALL | MSG_NOSIGNAL);
	note(s, "first", recv(fd[1], other, sizeof(other), 0));
	note(s, "second", recv(fd[1], other, sizeof(other), MSG_DONTWAIT));
}

static void packets(struct script *s)
{
	int fd[2];

	make_pair(SOCK_SEQPACKET, fd);
	kept_apart(s, fd);
	sent_whole(s, fd);
	check_eq(send(fd[0], "last", 4, 0), 4);
	check_eq(shutdown(fd[0], SHUT_WR), 0);
	receive_all_ways(s, fd[1], MSG_WAITALL);
	close_both(fd);
}

static void datagrams(struct script *s)
{
	int fd[2];

	make_pair(SOCK_DGRAM, fd);
	kept_apart(s, fd);
	sent_whole(s, fd);
	close_both(fd);
	make_datagrams(fd);
	kept_apart(s, fd);
	sent_whole(s, fd);
	close_both(fd);
}

/* Nothing at all is no message, and nobody has to be there for it. */
static void nothing(struct script *s)
{
	static const int types[] = { SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM };
	struct iovec empty[2] = { { bytes, 0 }, { other, 0 } };
	int fd[2];

	for (unsigned k = 0; k < 3; k++) {
		make_pair(types[k], fd);
		CALL(BY_ANY, SYS_writev, fd[0], empty, 2);
		CALL(BY_ANY, SYS_pwritev2, fd[0], empty, 2, -1, -1, 0);
		CALL(BY_ANY, SYS_readv, fd[1], empty, 2);
		CALL(BY_ANY, SYS_preadv2, fd[1], empty, 2, -1, -1, 0);
		note(s, "arrived", recv(fd[1], bytes, sizeof(bytes), MSG_DONTWAIT));
		close(fd[1]);
		CALL(BY_ANY, SYS_writev, fd[0], empty, 2);
		CALL(BY_ANY, SYS_pwritev2, fd[0], empty, 2, -1, -1, 0);
		close(fd[0]);
	}
}

static void send_descriptor(int fd, int what, const char *text)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = "" };
	struct iovec out = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr message = { .msg_iov = &out,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &what, sizeof(int));
	check_eq(sendmsg(fd, &message, 0), (ssize_t)strlen(text));
}

/* Bytes with descriptors among them end a receive, though it is short. */
static void seams(struct script *s)
{
	struct iovec in[2] = { { bytes, 5 }, { other, 900 } };
	struct msghdr message = { .msg_iov = in, .msg_iovlen = 2 };
	struct later later;
	int fd[2];

	make_pair(SOCK_STREAM, fd);
	for (unsigned k = 0; k < 2; k++) {
		check_eq(send(fd[0], "before", 6, 0), 6);
		send_descriptor(fd[0], fd[0], "with");
		check_eq(send(fd[0], "after", 5, 0), 5);
		if (!k)
			CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 15, MSG_WAITALL, NULL, NULL);
		else
			CALL(BY_ANY, SYS_recvmsg, fd[1], &message, MSG_WAITALL);
		CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 5, MSG_WAITALL, NULL, NULL);
	}
	/* too few, and what comes then has a descriptor */
	check_eq(send(fd[0], "before", 6, 0), 6);
	send_descriptor(fd[0], fd[0], "with");
	CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 900, MSG_WAITALL, NULL, NULL);
	/* and without any all is waited for */
	write_later(&later, fd[0], 6, 3);
	CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 12, MSG_WAITALL, NULL, NULL);
	CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 6, MSG_WAITALL, NULL, NULL);
	end_later(&later);
	CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 6, MSG_WAITALL | MSG_DONTWAIT, NULL, NULL);
	check_eq(send(fd[0], "part", 4, 0), 4);
	CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 6, MSG_WAITALL | MSG_DONTWAIT, NULL, NULL);
	check_eq(send(fd[0], "part", 4, 0), 4);
	check_eq(shutdown(fd[0], SHUT_WR), 0);
	CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 6, MSG_WAITALL, NULL, NULL);
	CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 6, MSG_WAITALL, NULL, NULL);
	close_both(fd);
}

/* Where nothing but the end of the stream ends it, the kernel does the waiting. */
static void streams(struct script *s)
{
	struct iovec in[2] = { { bytes, 5 }, { other, 13 } };
	struct msghdr message = { .msg_iov = in, .msg_iovlen = 2 };
	struct later later;
	int fd[2];

	make_connection(fd);
	write_later(&later, fd[0], 6, 6);
	CALL(BY_RING | BY_ATTEMPT, SYS_recvfrom, fd[1], bytes, 18, MSG_WAITALL, NULL, NULL);
	CALL(BY_OTHER, SYS_recvmsg, fd[1], &message, MSG_WAITALL);
	end_later(&later);
	check_eq(send(fd[0], "part", 4, 0), 4);
	check_eq(shutdown(fd[0], SHUT_WR), 0);
	CALL(BY_RING | BY_ATTEMPT, SYS_recvfrom, fd[1], bytes, 18, MSG_WAITALL, NULL, NULL);
	close_both(fd);
}

/* Those that wait are ended by cancelling them, and by closing the queue. */
static void given_up(int type, uint32_t flags, bool close_it)
{
	static const uint32_t numbers[] = { SYS_recvfrom, SYS_recvmsg };
	struct iovec in = { bytes, 900 };
	struct msghdr message = { .msg_iov = &in, .msg_iovlen = 1 };
	struct asys_event event;
	struct asys_queue *q = open_depth(16, flags);
	int fd[2];

	make_pair(type, fd);
	for (unsigned k = 0; k < 2; k++) {
		if (numbers[k] == SYS_recvmsg)
			submit(q, SYS_recvmsg, fd[1], &message, MSG_WAITALL);
		else
			submit(q, SYS_recvfrom, fd[1], bytes, 900, MSG_WAITALL, NULL, NULL);
		submit(q, SYS_recvfrom, fd[1], other, 900, MSG_WAITALL, NULL, NULL);
	}
	check_eq(asys_queue_flush(q), 0);
	check_eq(send(fd[0], "message", 7, 0), 7);
	sleep_ms(2);
	if (type == SOCK_SEQPACKET) {
		check_eq(asys_queue_get_many(q, &event, 1, 1, ASYS_FOREVER), 1);
		check_eq(event.result, 7);
	}
	if (!close_it) {
		asys_queue_cancel_all(q);
		check_eq(asys_queue_barrier(q) == 0 || drain(q) > 0, 1);
		drain(q);
	}
	asys_queue_close(q);
	close_both(fd);
	progress();
}

static void test_given_up(void **state)
{
	static const uint32_t kinds[] = { 0, ASYS_QUEUE_SHARED, ASYS_QUEUE_DRIVER };

	(void)state;
	for (unsigned k = 0; k < 12; k++)
		given_up(k % 2 ? SOCK_SEQPACKET : SOCK_STREAM, kinds[k / 2 % 3], k / 6);
}

#define SCRIPT(fn)                          \
	static void test_##fn(void **state) \
	{                                   \
		(void)state;                \
		script_compare(fn);         \
	}

SCRIPT(packets)
SCRIPT(datagrams)
SCRIPT(seams)
SCRIPT(streams)
SCRIPT(nothing)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		contract(test_packets), contract(test_datagrams), contract(test_seams),
		contract(test_streams), contract(test_nothing),	  contract(test_given_up),
	};

	return group(tests, argc, argv);
}
