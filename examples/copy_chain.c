/* SPDX-License-Identifier: MIT */
/*
 * Copies a file with a chain: the whole copy is one sending, and one wait. copy_task.c does the same
 * as straight-line code.
 */
#include "shown.h"

#include <asys/asys.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Every step, with what it does to which of the two files: errors name it. */
enum { OPEN_IN, STAT_IN, DIFFER, CREATE, READ, WRITE, CLOSE_IN, CLOSE_OUT };

static const struct {
	const char *verb;
	int file;
} steps[] = {
	[OPEN_IN] = { "open", 0 },
	[STAT_IN] = { "look at", 0 },
	[DIFFER] = { "copy to itself", 0 },
	[CREATE] = { "create", 1 },
	[READ] = { "read", 0 },
	[WRITE] = { "write", 1 },
	[CLOSE_IN] = { "close", 0 },
	[CLOSE_OUT] = { "close", 1 },
};

#define STEPS (sizeof steps / sizeof *steps)

static int64_t result[STEPS];
static struct stat info[2];
static char buffer[65536];

/* The next step is `which`: its label, and where its result goes. */
static struct asys_chain *step(struct asys_chain *c, int which)
{
	return asys_store(asys_label(c, steps[which].verb), &result[which]);
}

/* A step that is no system call: both names may mean one file. */
static int64_t differ(const uint64_t arg[6])
{
	(void)arg;
	return info[0].st_dev == info[1].st_dev && info[0].st_ino == info[1].st_ino ? -EINVAL : 0;
}

/* Parameters of the sending: the two paths. */
static int build(struct asys_chain *c)
{
	asys_id from = asys_param(c, 0), to = asys_param(c, 1);
	asys_id in = asys_openat(step(c, OPEN_IN), AT_FDCWD, from, O_RDONLY | O_CLOEXEC, 0);
	asys_id known = asys_fstat(step(c, STAT_IN), in, &info[0]);
	/* What is not there yet is no failure: info[1] stays zero then. */
	asys_id other = asys_newfstatat(asys_may_fail(c), AT_FDCWD, to, &info[1], 0);
	asys_id fine = asys_chain_compute(asys_after(asys_after_ok(step(c, DIFFER), known), other),
					  differ);
	asys_id out = asys_openat(asys_after_ok(step(c, CREATE), fine), AT_FDCWD, to,
				  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				  asys_load_int(c, &info[0].st_mode));
	asys_id n;

	asys_chain_loop(asys_after_ok(c, out), UINT32_MAX);
	n = asys_read(step(c, READ), in, buffer, sizeof buffer);
	asys_write(asys_full(asys_when(step(c, WRITE), n, ASYS_POSITIVE)), out, buffer, n);
	asys_chain_while(c, n, ASYS_POSITIVE);
	asys_chain_finally(c); /* what was not opened is not closed */
	asys_close(step(c, CLOSE_IN), in);
	asys_close(step(c, CLOSE_OUT), out);
	asys_chain_end(c);
	return asys_chain_ready(c);
}

static int64_t copy(char *const path[2])
{
	struct asys_event event = { .result = -EIO };
	struct asys_queue *q = NULL;
	struct asys_chain *c = NULL;
	int err = asys_queue_open(&q, NULL);

	if (err == 0)
		err = asys_chain_open(&c, NULL);
	if (err == 0)
		err = build(c);
	if (err == 0) {
		asys_id id = asys_chain_send(q, c, path[0], path[1]);

		do {
			err = asys_queue_wait(q, id, &event);
		} while (err == -EINTR);
	}
	if (err < 0)
		fprintf(stderr, "copy_chain: %s\n", asys_message());
	asys_chain_close(c);
	asys_queue_close(q);
	return err < 0 ? err : event.result;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: copy_chain FROM TO\n");
		return 2;
	}
	if (copy(argv + 1) >= 0)
		return 0;
	for (unsigned i = 0; i < STEPS; i++) {
		if (result[i] < 0) {
			fprintf(stderr, "copy_chain: cannot %s '%s': %s\n", steps[i].verb,
				shown(argv[1 + steps[i].file]), strerror((int)-result[i]));
			break;
		}
	}
	return 1;
}
