/* SPDX-License-Identifier: MIT */
/*
 * Copies a file with a task: straight-line code that waits without a thread or a stack of its own.
 * copy_chain.c does the same as a chain.
 */
#include "shown.h"

#include <asys/asys.h>
#include <asys/task.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What must last across an await is here. */
struct copy {
	struct asys_task task;
	const char *path[2];
	const char *verb; /* what is being done to which file: errors name it */
	int file;
	int in, out;
	size_t size, done;
	struct stat info[2];
	char buffer[65536];
};

static void now(struct copy *c, const char *verb, int file)
{
	if (c->task.outcome == 0) {
		c->verb = verb;
		c->file = file;
	}
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void copy_run(struct asys_task *t)
{
	struct copy *c = ASYS_TASK_OF(t, struct copy, task);
	struct asys_queue *q = t->queue;

	ASYS_BEGIN(t);
	now(c, "open", 0);
	ASYS_TRY(t, out, asys_openat(q, AT_FDCWD, c->path[0], O_RDONLY | O_CLOEXEC, 0));
	c->in = (int)t->result;
	now(c, "look at", 0);
	ASYS_TRY(t, close_in, asys_fstat(q, c->in, &c->info[0]));
	/* What is not there yet is no failure: info[1] stays zero then. */
	ASYS_AWAIT(t, asys_newfstatat(q, AT_FDCWD, c->path[1], &c->info[1], 0));
	if (same(&c->info[0], &c->info[1])) {
		now(c, "copy to itself", 0);
		t->outcome = -EINVAL;
		goto close_in;
	}
	now(c, "create", 1);
	ASYS_TRY(t, close_in,
		 asys_openat(q, AT_FDCWD, c->path[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			     c->info[0].st_mode));
	c->out = (int)t->result;
	for (;;) {
		now(c, "read", 0);
		ASYS_TRY(t, close_out, asys_read(q, c->in, c->buffer, sizeof c->buffer));
		c->size = (size_t)t->result;
		if (c->size == 0)
			break;
		now(c, "write", 1);
		for (c->done = 0; c->done < c->size; c->done += (size_t)t->result)
			ASYS_TRY(t, close_out,
				 asys_write(q, c->out, c->buffer + c->done, c->size - c->done));
	}
close_out:
	ASYS_FINALLY(t);
	now(c, "close", 1);
	ASYS_TRY(t, close_in, asys_close(q, c->out));
close_in:
	ASYS_FINALLY(t);
	now(c, "close", 0);
	ASYS_TRY(t, out, asys_close(q, c->in));
out:
	ASYS_END(t);
}

int main(int argc, char **argv)
{
	static struct copy c;
	struct asys_tasks tasks;
	struct asys_queue *q;
	int err;

	if (argc != 3) {
		fprintf(stderr, "usage: copy_task FROM TO\n");
		return 2;
	}
	c.path[0] = argv[1];
	c.path[1] = argv[2];
	err = asys_queue_open(&q, NULL);
	if (err < 0) {
		fprintf(stderr, "copy_task: %s\n", asys_message());
		return 1;
	}
	asys_tasks_init(&tasks, q);
	asys_task_start(&tasks, &c.task, copy_run);
	do {
		err = asys_tasks_run(&tasks, NULL);
	} while (err == -EINTR);
	asys_queue_close(q);
	if (err < 0)
		fprintf(stderr, "copy_task: %s\n", asys_message());
	else if (c.task.outcome < 0)
		fprintf(stderr, "copy_task: cannot %s '%s': %s\n", c.verb, shown(c.path[c.file]),
			strerror((int)-c.task.outcome));
	return err < 0 || c.task.outcome < 0;
}
