/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <netinet/in.h>
#include <sys/socket.h>

void make_pair(int type, int fd[2])
{
	check_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd), 0);
}

void make_connection(int fd[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(addr);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check_eq(bind(listening, (const struct sockaddr *)&addr, size), 0);
	check_eq(listen(listening, 1), 0);
	check_eq(getsockname(listening, (struct sockaddr *)&addr, &size), 0);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check_eq(connect(fd[0], (const struct sockaddr *)&addr, size), 0);
	fd[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	check(fd[1] >= 0);
	close(listening);
}

void close_both(const int fd[2])
{
	close(fd[0]);
	close(fd[1]);
}
