/* SPDX-License-Identifier: MIT */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define START_TRIES 500u
#define START_PAUSE_NS 10000000
#define ANSWER_MAX 65536u

static void file_text(unsigned file, char *text)
{
	memset(text, 'a' + (int)(file % 26), http_size(file));
}

static int write_file(const char *path, const char *text, size_t size)
{
	FILE *file = fopen(path, "we");
	int err;

	if (!file)
		return -errno;
	err = fwrite(text, 1, size, file) == size ? 0 : -EIO;
	return fclose(file) && !err ? -errno : err;
}

/* wrk asks for one file after the other, and says in one line what came of it. */
static int write_script(const struct http_setting *set)
{
	char text[1024];
	int n = snprintf(
		text, sizeof text,
		"local requests, at = {}, 0\n"
		"init = function()\n"
		"\tfor i = 0, %u do\n"
		"\t\trequests[i] = wrk.format(nil, string.format('/file-%%02d.txt', i))\n"
		"\tend\n"
		"end\n"
		"request = function()\n"
		"\tat = (at + 1) %% %u\n"
		"\treturn requests[at]\n"
		"end\n"
		"done = function(s)\n"
		"\tlocal e = s.errors\n"
		"\tio.write(string.format('total %%d %%d %%d\\n', s.requests, s.duration,\n"
		"\t\te.connect + e.read + e.write + e.status + e.timeout))\n"
		"end\n",
		HTTP_FILES - 1, HTTP_FILES);

	return write_file(set->script, text, (size_t)n);
}

int http_make(struct http_setting *set)
{
	char path[HTTP_PATH + 32], text[16 * 1024];
	int err;

	snprintf(set->www, sizeof set->www, "%s/www", set->place);
	snprintf(set->script, sizeof set->script, "%s/wrk.lua", set->place);
	if (mkdir(set->www, 0755))
		return -errno;
	err = write_script(set);
	for (unsigned i = 0; i < HTTP_FILES && !err; i++) {
		snprintf(path, sizeof path, "%s/file-%02u.txt", set->www, i);
		file_text(i, text);
		err = write_file(path, text, http_size(i));
	}
	return err;
}

static struct sockaddr_in loopback(unsigned port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

unsigned http_free_port(void)
{
	struct sockaddr_in addr = loopback(0);
	socklen_t len = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned port = 0;

	if (fd >= 0 && !bind(fd, (struct sockaddr *)&addr, sizeof addr) &&
	    !getsockname(fd, (struct sockaddr *)&addr, &len))
		port = ntohs(addr.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

/* A connection to the server, as soon as it listens. */
static int connect_to(const struct http_server *server)
{
	const struct sockaddr_in addr = loopback(server->port);
	const struct timespec pause = { 0, START_PAUSE_NS };
	const struct timeval limit = { 5, 0 };

	for (unsigned i = 0; i < START_TRIES; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		if (!connect(fd, (const struct sockaddr *)&addr, sizeof addr)) {
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
			return fd;
		}
		close(fd);
		if (errno != ECONNREFUSED || bench_stopped())
			return -errno;
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

/* Reads one answer and compares its body. */
static int check_answer(int fd, unsigned file)
{
	char answer[ANSWER_MAX + 1], text[16 * 1024], *body = NULL;
	size_t len = 0, size = http_size(file);

	while (!body || len < (size_t)(body - answer) + size) {
		ssize_t n = recv(fd, answer + len, ANSWER_MAX - len, 0);

		if (n <= 0)
			return n ? -errno : -EPROTO;
		len += (size_t)n;
		answer[len] = 0;
		body = strstr(answer, "\r\n\r\n");
		body = body ? body + 4 : NULL;
	}
	file_text(file, text);
	return !strncmp(answer, "HTTP/1.1 200 ", 13) && len == (size_t)(body - answer) + size &&
			       !memcmp(body, text, size) ?
		       0 :
		       -EBADMSG;
}

/* All files, over one connection. */
static int check(const struct http_server *server)
{
	int fd = connect_to(server), err = fd < 0 ? fd : 0;

	for (unsigned i = 0; i < HTTP_FILES && !err; i++) {
		char text[128];
		int n = snprintf(text, sizeof text,
				 "GET /file-%02u.txt HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", i,
				 server->port);

		err = send(fd, text, (size_t)n, MSG_NOSIGNAL) == n ? check_answer(fd, i) : -errno;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

int http_start(struct http_server *server, char *const argv[])
{
	int err;

	server->pid = bench_program_start(argv, -1, 0);
	if (server->pid < 0) {
		err = server->pid;
		server->pid = 0;
		return err;
	}
	err = check(server);
	if (err)
		http_stop(server);
	return err;
}

void http_stop(struct http_server *server)
{
	if (server->pid > 0)
		bench_program_stop(server->pid);
	server->pid = 0;
}

/* User and system time of one process, in clock ticks: fields 14 and 15, after the name's bracket. */
static uint64_t ticks_of(int pid)
{
	char path[64], line[1024], *at;
	unsigned long long user = 0, system = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	at = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
	fclose(file);
	if (!at || sscanf(at + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu", &user,
			  &system) != 2)
		return 0;
	return user + system;
}

uint64_t http_cpu(const struct http_server *server)
{
	uint64_t ticks = ticks_of(server->pid);
	char path[64];
	FILE *file;
	int child;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", server->pid, server->pid);
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &child) == 1)
		ticks += ticks_of(child);
	if (file)
		fclose(file);
	return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}
