/* SPDX-License-Identifier: MIT */
/* Contract: a call's words mean the same to every engine. Control data of sockets, and what is thrown away. */
#include "script.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define ROOM 512

struct control {
	char bytes[32];
	_Alignas(struct cmsghdr) char room[ROOM];
	struct iovec iov;
	struct msghdr msg;
};

static void prepare(struct control *c, size_t size, size_t room)
{
	memset(c, 0, sizeof(*c));
	c->iov.iov_base = c->bytes;
	c->iov.iov_len = size;
	c->msg.msg_iov = &c->iov;
	c->msg.msg_iovlen = 1;
	c->msg.msg_control = c->room;
	c->msg.msg_controllen = room;
}

/* Who sent it, and what came with it. Descriptors are closed. */
static void note_control(struct script *s, struct control *c)
{
	note(s, "flags", c->msg.msg_flags);
	note(s, "length", (int64_t)c->msg.msg_controllen);
	for (struct cmsghdr *m = CMSG_FIRSTHDR(&c->msg); m; m = CMSG_NXTHDR(&c->msg, m)) {
		note(s, "type", m->cmsg_type);
		if (m->cmsg_level == SOL_SOCKET && m->cmsg_type == SCM_CREDENTIALS) {
			struct ucred who;

			memcpy(&who, CMSG_DATA(m), sizeof(who));
			note(s, "pid is ours", who.pid == getpid());
			note(s, "user", who.uid);
		} else if (m->cmsg_level == SOL_SOCKET && m->cmsg_type == SCM_RIGHTS) {
			int fd;

			memcpy(&fd, CMSG_DATA(m), sizeof(fd));
			note(s, "descriptor", close(fd));
		}
	}
}

/* Sends three bytes with a descriptor and, if it may, as somebody else. */
struct sender {
	pthread_t thread;
	int fd;
};

static void *send_rights(void *arg)
{
	const struct sender *sender = arg;
	struct ucred who = { getpid(), is_root() ? 1234 : getuid(), getgid() };
	struct control c;
	struct cmsghdr *m;

	prepare(&c, 3, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(who)));
	memcpy(c.bytes, "abc", 3);
	m = CMSG_FIRSTHDR(&c.msg);
	m->cmsg_level = SOL_SOCKET;
	m->cmsg_type = SCM_RIGHTS;
	m->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(m), &(int){ STDERR_FILENO }, sizeof(int));
	m = CMSG_NXTHDR(&c.msg, m);
	m->cmsg_level = SOL_SOCKET;
	m->cmsg_type = SCM_CREDENTIALS;
	m->cmsg_len = CMSG_LEN(sizeof(who));
	memcpy(CMSG_DATA(m), &who, sizeof(who));
	sleep_ms(3);
	check_eq(sendmsg(sender->fd, &c.msg, 0), 3);
	return NULL;
}

/* What waits for a message hears who sent it, and of no one else. */
static void sender_is_told_by(struct script *s, int type, size_t room)
{
	const int on = 1;
	struct sender sender;
	struct control c;
	int fd[2];

	make_pair(type, fd);
	check_eq(setsockopt(fd[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	sender.fd = fd[0];
	check_eq(pthread_create(&sender.thread, NULL, send_rights, &sender), 0);
	prepare(&c, sizeof(c.bytes), room);
	CALL(BY_ANY, SYS_recvmsg, fd[1], &c.msg, 0);
	note_control(s, &c);
	pthread_join(sender.thread, NULL);
	close_both(fd);
}

static void sender_is_told(struct script *s)
{
	const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

	for (unsigned k = 0; k < 3; k++) {
		sender_is_told_by(s, types[k], ROOM);
		sender_is_told_by(s, types[k], CMSG_SPACE(sizeof(struct ucred)));
	}
}

/* Bytes that come in pieces, thrown away or with control data: all that was asked for, and no more. */
static void all_of_it(struct script *s)
{
	struct control c;
	struct later later;
	char bytes[32];
	int fd[2];

	make_connection(fd);
	write_later(&later, fd[0], 3, 9);
	CALL(BY_ANY, SYS_recvfrom, fd[1], bytes, 9, MSG_TRUNC | MSG_WAITALL, NULL, NULL);
	prepare(&c, 9, ROOM);
	CALL(BY_ANY, SYS_recvmsg, fd[1], &c.msg, MSG_WAITALL);
	note(s, "control", (int64_t)c.msg.msg_controllen);
	prepare(&c, 9, 0);
	CALL(BY_ANY, SYS_recvmsg, fd[1], &c.msg, MSG_TRUNC | MSG_WAITALL);
	end_later(&later);
	note(s, "rest", recv(fd[1], bytes, sizeof(bytes), MSG_DONTWAIT));
	close_both(fd);
	make_connection(fd);
	write_later(&later, fd[0], 3, 1);
	prepare(&c, 9, ROOM);
	CALL(BY_RING | BY_ATTEMPT, SYS_recvmsg, fd[1], &c.msg, 0);
	end_later(&later);
	close_both(fd);
}

static void test_sender_is_told(void **state)
{
	(void)state;
	script_compare(sender_is_told);
}

static void test_all_of_it(void **state)
{
	(void)state;
	script_compare(all_of_it);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { contract(test_sender_is_told),
					    contract(test_all_of_it) };

	return group(tests, argc, argv);
}
