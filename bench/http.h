/* SPDX-License-Identifier: MIT */
/* What the benchmark http needs of a server: see http.c. */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include "harness.h"
#include "program.h"

#define HTTP_FILES 64u
#define HTTP_PATH 4200u

struct http_setting {
	const char *place; /* the folder of all that follows */
	char www[HTTP_PATH];
	char script[HTTP_PATH]; /* for wrk */
	char wrk[BENCH_PROGRAM_PATH];
	unsigned seconds; /* of one round */
	bool quick;
};

struct http_server {
	const struct http_setting *set;
	char program[BENCH_PROGRAM_PATH];
	char config[HTTP_PATH]; /* nginx: its file */
	int pid;		/* 0: not running */
	unsigned port;
};

/* Bytes of file `file`. */
static inline unsigned http_size(unsigned file)
{
	return (file % 16 + 1) * 1024;
}

/* Makes the files and the script. 0 or -errno. */
int http_make(struct http_setting *set);

/* A port on the loopback interface that nobody uses at this moment. 0: none. */
unsigned http_free_port(void);

/*
 * Starts argv on the first core and waits until it answers; then gets each file once and compares it.
 * 0 or -errno; on failure it does not run.
 */
int http_start(struct http_server *server, char *const argv[]);
void http_stop(struct http_server *server);

/* CPU time of the server and its children so far, in nanoseconds; 0 if that cannot be read. */
uint64_t http_cpu(const struct http_server *server);

#endif
