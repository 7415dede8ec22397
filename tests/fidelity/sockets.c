/* SPDX-License-Identifier: MIT */
/* Sockets: unix ones, and TCP and UDP on loopback. */
#include "fidelity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct sockaddr_un here = { AF_UNIX, "socket" };

static void create(struct fid *f)
{
	int fd = CALL_FD("socket", AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int pair[2], kind = 0;
	socklen_t size = sizeof(kind);

	CALL_FD("socket", AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	CALL_FD("socket", 999, SOCK_STREAM, 0);
	CALL_FD("socket", AF_UNIX, 999, 0);
	CALL_FD("socket", AF_INET, SOCK_STREAM, 99);
	CALL("socketpair", AF_UNIX, SOCK_SEQPACKET, 0, pair);
	fid_keep(f, pair[0]);
	fid_keep(f, pair[1]);
	CALL("socketpair", AF_INET, SOCK_STREAM, 0, pair);
	CALL("socketpair", AF_UNIX, SOCK_STREAM, 0, FID_BAD);
	CALL("getsockopt", fd, SOL_SOCKET, SO_TYPE, &kind, &size);
	fid_note(f, "type %d size %u\n", kind, size);
	CALL("getsockopt", fd, SOL_SOCKET, 9999, &kind, &size);
	CALL("getsockopt", fd, SOL_SOCKET, SO_TYPE, FID_BAD, &size);
	CALL("getsockopt", FID_BAD_FD, SOL_SOCKET, SO_TYPE, &kind, &size);
	kind = 1;
	CALL("setsockopt", fd, SOL_SOCKET, SO_PASSCRED, &kind, sizeof(kind));
	CALL("setsockopt", fd, SOL_SOCKET, SO_PASSCRED, &kind, 1);
	CALL("setsockopt", fd, SOL_TCP, TCP_NODELAY, &kind, sizeof(kind));
	CALL("setsockopt", fd, SOL_SOCKET, SO_PASSCRED, FID_BAD, sizeof(kind));
	CALL("getsockopt", fd, SOL_SOCKET, SO_PASSCRED, &kind, &size);
	fid_note(f, "passcred %d\n", kind);
}

/* Abstract errors of naming and connecting. */
static void names(struct fid *f)
{
	struct sockaddr_un where = { 0 }, absent = { AF_UNIX, "absent" };
	socklen_t size = sizeof(where);
	int fd = CALL_FD("socket", AF_UNIX, SOCK_STREAM, 0);
	int other = CALL_FD("socket", AF_UNIX, SOCK_STREAM, 0);

	CALL("bind", fd, &here, sizeof(here));
	CALL("bind", other, &here, sizeof(here));
	CALL("bind", other, FID_BAD, sizeof(here));
	CALL("bind", other, &here, 1);
	CALL("bind", FID_BAD_FD, &here, sizeof(here));
	CALL("connect", other, &here, sizeof(here));
	CALL("connect", other, &absent, sizeof(absent));
	CALL("connect", other, FID_BAD, sizeof(absent));
	CALL("connect", FID_BAD_FD, &here, sizeof(here));
	CALL("accept", other, NULL, NULL);
	CALL("listen", fd, 4);
	CALL("listen", FID_BAD_FD, 4);
	CALL("connect", other, &here, sizeof(here));
	CALL("connect", other, &here, sizeof(here));
	CALL("getsockname", fd, &where, &size);
	fid_bytes(f, "getsockname", &where, size);
	size = sizeof(where);
	CALL("getpeername", other, &where, &size);
	fid_bytes(f, "getpeername", &where, size);
	CALL("getpeername", fd, &where, &size);
	CALL("getpeername", FID_BAD_FD, &where, &size);
	CALL("getsockname", fd, FID_BAD, &size);
	CALL("getsockname", FID_BAD_FD, &where, &size);
	fid_stat(f, AT_FDCWD, "socket");
}

/* A server here, a client in the peer: accept, recvfrom and the end of the stream all wait. */
static void unix_stream(struct fid *f)
{
	int fd = fid_keep(f, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), in;
	struct sockaddr_un from = { 0 };
	socklen_t size = sizeof(from);
	char buf[16] = "";

	if (bind(fd, (const struct sockaddr *)&here, sizeof(here)) < 0 || listen(fd, 4) < 0)
		fid_fail(f, "bind");
	if (fid_peer(f)) {
		int out = socket(AF_UNIX, SOCK_STREAM, 0);

		if (connect(out, (const struct sockaddr *)&here, sizeof(here)) < 0)
			_exit(1);
		fid_patience();
		if (write(out, "hello", 5) != 5 || read(out, buf, 3) != 3)
			_exit(2);
		_exit(0);
	}
	in = CALL_FD("accept", fd, &from, &size);
	fid_note(f, "address size %u family %d\n", size, from.sun_family);
	CALL("recvfrom", in, buf, 3, MSG_PEEK, NULL, NULL);
	CALL("recvfrom", in, buf, 5, MSG_WAITALL, NULL, NULL);
	fid_bytes(f, "received", buf, sizeof(buf));
	CALL("sendto", in, "yes", 3, MSG_NOSIGNAL, NULL, 0);
	CALL("recvfrom", in, buf, sizeof(buf), 0, NULL, NULL);
	fid_join(f);
	CALL("accept4", fd, NULL, NULL, 99);
	CALL("accept4", FID_BAD_FD, NULL, NULL, 0);
	CALL("accept", FID_BAD_FD, NULL, NULL);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		fid_fail(f, "fcntl");
	CALL_FD("accept4", fd, NULL, NULL, SOCK_CLOEXEC);
}

static int listener(struct fid *f, struct sockaddr_in *ret_where, int type)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t size = sizeof(any);
	int fd = fid_keep(f, socket(AF_INET, type | SOCK_CLOEXEC, 0));

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&any, size) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 4) < 0) ||
	    getsockname(fd, (struct sockaddr *)&any, &size) < 0)
		fid_fail(f, "loopback");
	*ret_where = any;
	return fd;
}

static void tcp(struct fid *f)
{
	struct sockaddr_in where, peer;
	int fd = listener(f, &where, SOCK_STREAM), out, in;
	socklen_t size = sizeof(peer);
	char buf[16] = "";

	out = CALL_FD("socket", AF_INET, SOCK_STREAM, 0);
	CALL("connect", out, &where, sizeof(where));
	in = CALL_FD("accept4", fd, &peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
	fid_note(f, "family %d address %s\n", peer.sin_family, inet_ntoa(peer.sin_addr));
	CALL("recvfrom", in, buf, sizeof(buf), 0, NULL, NULL);
	CALL("sendto", out, "hello", 5, 0, NULL, 0);
	fid_ready(f, in);
	CALL("recvfrom", in, buf, 2, 0, NULL, NULL);
	CALL("read", in, buf + 2, 14);
	fid_bytes(f, "received", buf, sizeof(buf));
	CALL("shutdown", out, SHUT_WR);
	CALL("shutdown", out, 99);
	CALL("shutdown", FID_BAD_FD, SHUT_WR);
	fid_ready(f, in);
	CALL("read", in, buf, sizeof(buf));
	CALL("sendto", out, "x", 1, MSG_NOSIGNAL, NULL, 0);
	CALL("connect", out, &where, sizeof(where));
	/* Nobody listens there any more. */
	fid_close(f, fd);
	out = CALL_FD("socket", AF_INET, SOCK_STREAM, 0);
	CALL("connect", out, &where, sizeof(where));
	where.sin_family = 999;
	CALL("connect", out, &where, sizeof(where));
}

static void udp(struct fid *f)
{
	struct sockaddr_in where, from = { 0 };
	int fd = listener(f, &where, SOCK_DGRAM);
	int out = fid_keep(f, socket(AF_INET, SOCK_DGRAM, 0));
	socklen_t size = sizeof(from);
	char buf[16] = "";

	CALL("sendto", out, "datagram", 8, 0, &where, sizeof(where));
	CALL("recvfrom", fd, buf, sizeof(buf), 0, &from, &size);
	fid_note(f, "from %s, %u bytes\n", inet_ntoa(from.sin_addr), size);
	fid_bytes(f, "received", buf, sizeof(buf));
	CALL("sendto", out, "datagram", 8, 0, &where, sizeof(where));
	CALL("recvfrom", fd, buf, 3, MSG_TRUNC, NULL, NULL);
	CALL("recvfrom", fd, buf, 3, MSG_DONTWAIT, NULL, NULL);
	CALL("sendto", out, FID_BAD, 8, 0, &where, sizeof(where));
	CALL("sendto", out, "x", 1, 0, NULL, 0);
	CALL("sendto", FID_BAD_FD, "x", 1, 0, NULL, 0);
	CALL("recvfrom", FID_BAD_FD, buf, 1, 0, NULL, NULL);
	CALL("sendto", out, "x", 0, 0, &where, sizeof(where));
	CALL("recvfrom", fd, buf, 1, 0, NULL, NULL);
}

/* A descriptor travels with three bytes; what arrives refers to the same open file. */
static void ancillary(struct fid *f)
{
	int file = fid_make(f, "file", "0123456789"), pair[2], got = -1;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec vec = { (char[]){ "abc" }, 3 };
	struct msghdr message = { .msg_iov = &vec,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	char buf[8] = "";

	fid_pair(f, SOCK_STREAM, pair);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &file, sizeof(int));
	CALL("sendmsg", pair[0], &message, MSG_NOSIGNAL);
	memset(control, 0, sizeof(control));
	vec.iov_base = buf;
	vec.iov_len = sizeof(buf);
	CALL("recvmsg", pair[1], &message, MSG_CMSG_CLOEXEC);
	c = CMSG_FIRSTHDR(&message);
	fid_note(f, "flags %x control %zu level %d type %d\n", (unsigned)message.msg_flags,
		 (size_t)message.msg_controllen, c ? c->cmsg_level : -1, c ? c->cmsg_type : -1);
	fid_bytes(f, "received", buf, sizeof(buf));
	if (c)
		memcpy(&got, CMSG_DATA(c), sizeof(int));
	CALL("lseek", file, 5, SEEK_SET);
	fid_place(f, fid_keep(f, got));
	CALL("recvmsg", pair[1], &message, MSG_DONTWAIT);
	CALL("recvmsg", pair[1], FID_BAD, 0);
	CALL("sendmsg", pair[0], FID_BAD, 0);
	CALL("recvmsg", FID_BAD_FD, &message, 0);
	CALL("sendmsg", FID_BAD_FD, &message, 0);
	if (fid_peer(f))
		_exit(write(pair[0], "later", 5) != 5);
	CALL("recvmsg", pair[1], &message, 0);
	fid_bytes(f, "received", buf, sizeof(buf));
	fid_join(f);
}

static void many(struct fid *f)
{
	struct iovec out[2] = { { (char[]){ "first" }, 5 }, { (char[]){ "2nd" }, 3 } };
	char a[8] = "", b[8] = "";
	struct iovec in[2] = { { a, 8 }, { b, 8 } };
	struct mmsghdr messages[2] = { 0 };
	struct timespec limit = { 1, 0 };
	int pair[2];

	fid_pair(f, SOCK_DGRAM, pair);
	for (unsigned i = 0; i < 2; i++) {
		messages[i].msg_hdr.msg_iov = &out[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	CALL("sendmmsg", pair[0], messages, 2, 0);
	fid_note(f, "sent %u %u\n", messages[0].msg_len, messages[1].msg_len);
	for (unsigned i = 0; i < 2; i++)
		messages[i].msg_hdr.msg_iov = &in[i];
	CALL("recvmmsg", pair[1], messages, 2, 0, &limit);
	fid_note(f, "received %u %u\n", messages[0].msg_len, messages[1].msg_len);
	fid_bytes(f, "a", a, sizeof(a));
	fid_bytes(f, "b", b, sizeof(b));
	CALL("recvmmsg", pair[1], messages, 2, MSG_DONTWAIT, NULL);
	CALL("recvmmsg", FID_BAD_FD, messages, 2, 0, NULL);
	CALL("sendmmsg", FID_BAD_FD, messages, 2, 0);
	CALL("sendmmsg", pair[0], FID_BAD, 2, 0);
	limit.tv_nsec = -1;
	CALL("recvmmsg", pair[1], messages, 2, MSG_DONTWAIT, &limit);
	if (fid_peer(f))
		_exit(write(pair[0], "one", 3) != 3 || write(pair[0], "two", 3) != 3);
	CALL("recvmmsg", pair[1], messages, 2, 0, NULL);
	fid_join(f);
}

const struct fid_case fid_sockets[] = {
	{ "socket", create, 0, 0 },
	{ "socket names", names, 0, 0 },
	{ "unix stream", unix_stream, 0, 0 },
	{ "tcp", tcp, 0, 0 },
	{ "udp", udp, 0, 0 },
	{ "ancillary data", ancillary, 0, 0 },
	{ "many messages", many, 0, 0 },
	{ 0 },
};
